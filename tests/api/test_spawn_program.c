/* SPDX-License-Identifier: MIT */
/*
 * MPROC_SPAWN of other programs than the caller's, and by programs that libmproc
 * does not begin by itself.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>

#include "options.h"

#define WITH(...) MPROC_OPTS(mproc_process_opts, .method = method, __VA_ARGS__)

static void
another_program_is_refused_if_it_is_none_of_ours(void **state)
{
	int method = MPROC_SPAWN;

	expect_refused(*state, -ENOENT, "/nowhere", WITH(.exe = "/nowhere"));
	expect_refused(*state, -EACCES, "/dev/null", WITH(.exe = "/dev/null"));
	/* Not linked with libmproc. */
	expect_refused(*state, -ENOEXEC, "status 1", WITH(.exe = "/bin/false"));
	for (method = 0; method < 4; method++)
		if (method != MPROC_SPAWN)
			expect_refused(*state, -EINVAL, "exe",
				       WITH(.exe = "/bin/true"));
	for (method = 4; method < 9; method++)
		expect_refused(*state, -EINVAL, "method",
			       WITH(.name = NULL));
}

static void
another_program_runs_an_entry_of_a_library(void **state)
{
	void *module = dlopen(getenv("MPT_SPAWN_MODULE"), RTLD_NOW);
	mproc_entry *(*entry)(void);
	struct mproc_process_opts o = {
		.struct_size = sizeof(o),
		.method = MPROC_SPAWN,
		.exe = getenv("MPT_SPAWN_EXE"),
	};
	int *value = mproc_value(int, 1);
	mproc_process *p;

	assert_non_null(module);
	*(void **)&entry = dlsym(module, "module_entry");
	p = start_with(entry(), value, &o);
	assert_int_equal(end_of(p), 11);
	mproc_process_close(p);
	assert_int_equal(*value, 11);
	/* But none of this program. */
	expect_refused(*state, -ENOEXEC, "not the same", &o);
	mproc_free(value);
	dlclose(module);
}

static int
run_host(const char *argument)
{
	const char *path = getenv("MPT_SPAWN_HOST");
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl(path, path, argument, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
a_program_that_we_do_not_begin_has_to_ask(void **state)
{
	(void)state;
	assert_int_equal(run_host("does not"), 100);
	assert_int_equal(run_host("asks"), 37);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(another_program_is_refused_if_it_is_none_of_ours),
		mpt_test(another_program_runs_an_entry_of_a_library),
		mpt_test(a_program_that_we_do_not_begin_has_to_ask),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
