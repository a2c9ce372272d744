// SPDX-License-Identifier: MIT
/*
 * MPROC_SPAWN and MPROC_FORKSERVER in C++: global objects are constructed before the
 * entry runs, what throws is caught, and main() does not run. Prints TAP. Compiled
 * twice: to be loaded anywhere, and at a fixed address.
 */
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <mproc/mproc.h>

struct Table {
	std::vector<std::string> names;
	bool in_main;

	Table() : names{ "one", "two", "three" }, in_main(false)
	{
	}
};

static Table table;
static const std::unique_ptr<int> number(new int(30));

static int
use_globals(void *arg)
{
	int *shared = static_cast<int *>(arg);

	mproc_fetch_add(shared, *number);
	return table.in_main ? 100 :
			       static_cast<int>(table.names.at(2).size());
}

static int
throw_and_catch(void *)
{
	try {
		return static_cast<int>(table.names.at(77).size());
	} catch (const std::out_of_range &) {
		return 8;
	}
}

static int failures;

static void
report(const char *name, int method, bool good)
{
	static int n;

	std::printf("%sok %d - %s_by_%s\n", good ? "" : "not ", ++n, name,
		    method == MPROC_SPAWN ? "spawn" : "forkserver");
	if (!good)
		std::printf("# %s\n", mproc_error_detail());
	failures += !good;
}

static int
result_of(mproc_entry *fn, void *arg, int method)
{
	mproc_process *p;
	int code = -1;

	if (mproc_set_start_method(method) < 0 ||
	    mproc_process_start(&p, fn, arg, nullptr) < 0)
		return -1000;
	if (mproc_process_join(p, mproc_forever()) == 0)
		(void)mproc_process_exitcode(p, &code);
	mproc_process_close(p);
	return code;
}

int
main()
{
	int *shared = mproc_value(int, 12);

	table.in_main = true;
	for (int method = MPROC_SPAWN; method <= MPROC_FORKSERVER; method++) {
		report("globals_are_constructed", method,
		       result_of(use_globals, shared, method) == 5);
		report("exceptions_work", method,
		       result_of(throw_and_catch, nullptr, method) == 8);
	}
	report("the_arena_is_shared", MPROC_SPAWN, mproc_load(shared) == 72);
	(void)mproc_forkserver_stop();
	mproc_free(shared);
	std::printf("1..5\n");
	return failures != 0;
}
