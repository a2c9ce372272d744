/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of the first use of the default
 * arena. The test itself has none, so each victim makes its own: nothing of it
 * may be left, as nobody else has seen it.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "arena/arena.h"
#include "base/fault.h"
#include "mpt.h"
#include "mpt_mount.h"
#include "mpt_step.h"

#define PLACE "/dev/shm"

static unsigned
entries_of(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void
first_use(void *faults)
{
	void *p;

	/* How much memory there is, is of no interest. */
	if (mpr_fault_set(faults) < 0)
		_exit(1);
	mpt_step_begin();
	p = mproc_alloc(64);
	mpt_step_end();
	if (!p)
		_exit(1);
}

static void
nothing_is_left(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct statvfs fs;

	(void)arg;
	(void)victim;
	(void)n;
	(void)finished;
	assert_null(mpr_arena_peek());
	assert_int_equal(entries_of(PLACE), 0);
	assert_int_equal(statvfs(PLACE, &fs), 0);
	assert_int_equal(fs.f_bfree, fs.f_blocks);
}

static void
step_first_use(struct mpt *t, const char *name, char *faults)
{
	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = first_use,
		.survivor = nothing_is_left,
		.every = 1,
		.budget = 300,
		.arg = faults,
	}, NULL);
}

static int
mount_place(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, PLACE, "size=8m");
	return 0;
}

/* In a file system of its own, where everything shows. */
static void
killed_in_the_first_use(void **state)
{
	struct mpt *t = *state;
	char memfd[] = "open:1+", unnamed[] = "open:1+,memfd:1+";

	/* A role that is refused has the test skipped. */
	mpt_expect_exit(t, mpt_spawn(t, "role", mount_place, NULL), 0);
	mount_place(t, NULL);
	mpt_rebase(t);
	step_first_use(t, "first use", memfd);
	step_first_use(t, "first use of an unnamed file", unnamed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_the_first_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
