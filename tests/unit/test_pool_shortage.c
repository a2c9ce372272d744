/* SPDX-License-Identifier: MIT */
/*
 * Which deaths a count of kills explains: those of the last two looks, once each, and none
 * while nobody counts, or somebody else.
 */
#include <stdio.h>

#include "common.h"
#include "mpt_mount.h"
#include "pool/shortage.h"

#define CGROUP "/sys/fs/cgroup"

static void
count(struct mpt *t, int n)
{
	char text[64];

	snprintf(text, sizeof(text), "oom_kill %d\n", n);
	mpt_write_file(t, CGROUP "/memory.events", text);
}

static int
look_and_ask(struct mpt *t, void *arg)
{
	struct mpr_shortage s = { 0 }, other;

	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, CGROUP, NULL);
	mpt_write_file(t, CGROUP "/own/cgroup", "0::/\n");
	mpt_write_file(t, CGROUP "/own/vmstat", "nr_free 3\n");
	mpt_mount_file(t, CGROUP "/own/cgroup", "/proc/self/cgroup");
	mpt_mount_file(t, CGROUP "/own/vmstat", "/proc/vmstat");
	count(t, 5);
	/* What was before the first look is nobody's. */
	mpt_check(t, !mpr_shortage_explains(&s));
	mpr_shortage_look(&s);
	mpt_check(t, !mpr_shortage_explains(&s));
	/* Once each, also if the look came between the count and the death. */
	count(t, 7);
	mpt_check(t, mpr_shortage_explains(&s));
	mpr_shortage_look(&s);
	mpt_check(t, mpr_shortage_explains(&s));
	mpt_check(t, !mpr_shortage_explains(&s));
	/* After another look it is too late. */
	count(t, 8);
	mpr_shortage_look(&s);
	mpr_shortage_look(&s);
	mpt_check(t, !mpr_shortage_explains(&s));
	/* For a while it cannot be read. */
	mpt_write_file(t, CGROUP "/memory.events", "");
	mpr_shortage_look(&s);
	mpt_check(t, !mpr_shortage_explains(&s));
	count(t, 8);
	mpt_check(t, !mpr_shortage_explains(&s));
	mpr_shortage_look(&s);
	mpt_check(t, !mpr_shortage_explains(&s));
	/* Another one counts. */
	mpt_write_file(t, CGROUP "/memory.events", "");
	mpt_write_file(t, CGROUP "/own/vmstat", "oom_kill 100\n");
	mpt_check(t, !mpr_shortage_explains(&s));
	mpr_shortage_look(&s);
	mpt_check(t, !mpr_shortage_explains(&s));
	mpt_write_file(t, CGROUP "/own/vmstat", "oom_kill 101\n");
	mpt_check(t, mpr_shortage_explains(&s));
	/* In another group fewer were counted. */
	mpt_write_file(t, CGROUP "/own/vmstat", "oom_kill 3\n");
	mpr_shortage_look(&s);
	mpt_check(t, !mpr_shortage_explains(&s));
	mpt_write_file(t, CGROUP "/own/vmstat", "oom_kill 4\n");
	mpt_check(t, mpr_shortage_explains(&s));
	/* Somebody else has looked first. */
	mpr_shortage_look(&s);
	mpr_shortage_begin(&other, s.counted, s.who);
	mpt_check(t, !mpr_shortage_explains(&other));
	mpt_write_file(t, CGROUP "/own/vmstat", "oom_kill 5\n");
	mpt_check(t, mpr_shortage_explains(&other));
	mpt_check(t, !mpr_shortage_explains(&other));
	/* But at what others count. */
	mpr_shortage_begin(&other, 1, s.who - 1);
	mpt_check(t, !mpr_shortage_explains(&other));
	return 0;
}

static void
a_count_explains_as_many_deaths(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", look_and_ask, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_count_explains_as_many_deaths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
