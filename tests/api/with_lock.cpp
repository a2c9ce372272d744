/* SPDX-License-Identifier: MIT */
/*
 * sync.h: mproc_with_lock() and mproc_with_lock_r(), in C++: the same as in C, and
 * an exception that leaves the block. Prints TAP.
 */
#include <cstdio>

#include "with_lock.h"

static mproc_lock lock, other;

static int
an_exception_releases()
{
	bool held = false;

	try {
		mproc_with_lock(&lock) {
			held = is_held(&lock);
			throw 1;
		}
	} catch (int) {
		NEED(held && !is_held(&lock));
		return 0;
	}
	return __LINE__;
}

static int failures;

static void
report(const char *name, int line)
{
	static int n;

	std::printf("%sok %d - %s\n", line ? "not " : "", ++n, name);
	if (line)
		std::printf("# line %d\n", line);
	failures += line != 0;
}

int
main()
{
	std::printf("1..9\n");
	report("runs_once", runs_once(&lock));
	report("return_releases", return_releases(&lock));
	report("goto_releases", goto_releases(&lock));
	report("break", break_leaves_the_block_only(&lock));
	report("continue", continue_leaves_the_block_only(&lock));
	report("blocks_nest", blocks_nest(&lock, &other));
	report("failed_acquire", a_failed_acquire_runs_nothing(&lock));
	report("released_inside", a_released_lock_stays_so(&lock, &other));
	report("exception", an_exception_releases());
	return failures != 0;
}
