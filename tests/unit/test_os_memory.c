/* SPDX-License-Identifier: MIT */
/*
 * How much memory is left, read from invented files: each role sees a
 * /sys/fs/cgroup, a /proc/self/cgroup and a /proc/meminfo of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "common.h"
#include "mpt_mount.h"
#include "os/memory.h"

#define CGROUP "/sys/fs/cgroup"
#define MIB (UINT64_C(1) << 20)

/* A machine that limits nobody in these tests. */
#define MACHINE "MemTotal: 99999999999 kB\nMemFree: 1 kB\n" \
	"MemAvailable: 99999999999 kB\nSwapFree: 0 kB\n"

/* Groups of version 2 on one side and of version 1 on the other. */
static void
invent(struct mpt *t, const char *groups, const char *meminfo)
{
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, CGROUP, NULL);
	mpt_write_file(t, CGROUP "/own/cgroup", groups);
	mpt_write_file(t, CGROUP "/own/meminfo", meminfo);
	mpt_mount_file(t, CGROUP "/own/cgroup", "/proc/self/cgroup");
	mpt_mount_file(t, CGROUP "/own/meminfo", "/proc/meminfo");
}

static void
expect(struct mpt *t, uint64_t wanted, uint64_t left, uint64_t limit,
       const char *whose)
{
	struct mpr_memory m;

	errno = 17;
	mpr_memory_probe(wanted, &m);
	mpt_check_int(t, errno, 17);
	mpt_check_int(t, m.left, left);
	mpt_check_int(t, m.limit, limit);
	mpt_check(t, strcmp(m.whose, whose) == 0);
}

static int
see_nothing(struct mpt *t, void *arg)
{
	struct mpr_memory m;

	(void)arg;
	invent(t, "nonsense\n\n:::\n4:memory\n0:\n5", "");
	mpr_memory_probe(MIB, &m);
	mpt_check(t, m.left == UINT64_MAX);
	mpt_check(t, mpr_memory_allows(UINT64_MAX / 2, &m));
	/* Half of what is needed is nothing. */
	mpt_write_file(t, CGROUP "/own/meminfo", "MemAvailable: 5 kB\n");
	mpr_memory_probe(MIB, &m);
	mpt_check(t, m.left == UINT64_MAX);
	return 0;
}

static int
ask_the_machine(struct mpt *t, void *arg)
{
	(void)arg;
	invent(t, "0::/\n", "MemTotal:   1000 kB\nMemFree:  10 kB\n"
	       "MemAvailable:    300 kB\nCached: 7 kB\nSwapTotal: 60 kB\n"
	       "SwapFree:   50 kB\n");
	expect(t, 1, 350 * 1024, 1000 * 1024, "the machine");
	return 0;
}

static int
ask_version_2(struct mpt *t, void *arg)
{
	(void)arg;
	invent(t, "0::/a/b\n", MACHINE);
	mpt_write_file(t, CGROUP "/a/b/memory.max", "1000000\n");
	mpt_write_file(t, CGROUP "/a/b/memory.current", "400000\n");
	expect(t, 1, 600000, 1000000, "the control group");
	/* Any level can be the tightest. */
	mpt_write_file(t, CGROUP "/a/memory.max", "900000\n");
	mpt_write_file(t, CGROUP "/a/memory.current", "500000\n");
	expect(t, 1, 400000, 900000, "the control group");
	mpt_write_file(t, CGROUP "/memory.max", "5000000\n");
	mpt_write_file(t, CGROUP "/memory.current", "4700000\n");
	expect(t, 1, 300000, 5000000, "the control group");
	/* A level without a limit, or without files, says nothing. */
	mpt_write_file(t, CGROUP "/memory.max", "max\n");
	mpt_write_file(t, CGROUP "/a/memory.current", "");
	expect(t, 1, 600000, 1000000, "the control group");
	/* More may be in use than is allowed. */
	mpt_write_file(t, CGROUP "/a/b/memory.current", "1000001\n");
	expect(t, 1, 0, 1000000, "the control group");
	return 0;
}

static int
count_caches(struct mpt *t, void *arg)
{
	(void)arg;
	invent(t, "0::/a\n", MACHINE);
	mpt_write_file(t, CGROUP "/a/memory.max", "1000000\n");
	mpt_write_file(t, CGROUP "/a/memory.current", "900000\n");
	mpt_write_file(t, CGROUP "/a/memory.stat",
		       "anon 1\nfile 600000\nshmem 300000\n"
		       "inactive_file 200000\nactive_file 100000\n"
		       "slab_reclaimable 5000\nslab 9000\n"
		       "workingset_activate_file 77\n");
	/* Enough without them: they are not read. */
	expect(t, 100000, 100000, 1000000, "the control group");
	expect(t, 100001, 405000, 1000000, "the control group");
	/* Figures that contradict each other. */
	mpt_write_file(t, CGROUP "/a/memory.current", "200000\n");
	expect(t, 900000, 1000000, 1000000, "the control group");
	return 0;
}

static int
ask_version_1(struct mpt *t, void *arg)
{
	(void)arg;
	invent(t, "4:cpu,memory:/x/y\n2:cpuset:/no\n1:name=systemd:/no\n"
	       "0::/no\n", MACHINE);
	mpt_write_file(t, CGROUP "/memory/x/y/memory.limit_in_bytes",
		       "1000000\n");
	mpt_write_file(t, CGROUP "/memory/x/y/memory.usage_in_bytes",
		       "900000\n");
	mpt_write_file(t, CGROUP "/memory/x/y/memory.stat",
		       "inactive_file 1\nactive_file 2\n"
		       "total_inactive_file 30000\ntotal_active_file 4000\n");
	expect(t, 1, 100000, 1000000, "the control group");
	expect(t, 100001, 134000, 1000000, "the control group");
	/* "No limit" is a number. */
	mpt_write_file(t, CGROUP "/memory/x/memory.limit_in_bytes",
		       "9223372036854771712\n");
	mpt_write_file(t, CGROUP "/memory/x/memory.usage_in_bytes",
		       "9223372036854771711\n");
	expect(t, 1, 100000, 1000000, "the control group");
	/* Version 2 beside it, as far as it has the controller. */
	mpt_write_file(t, CGROUP "/no/memory.max", "50000\n");
	mpt_write_file(t, CGROUP "/no/memory.current", "10000\n");
	expect(t, 1, 40000, 50000, "the control group");
	return 0;
}

/* In a container without a namespace for groups, the path is the host's. */
static int
ask_from_a_container(struct mpt *t, void *arg)
{
	(void)arg;
	invent(t, "7:memory:/docker/0123\n0::/../else\n", MACHINE);
	mpt_write_file(t, CGROUP "/memory/memory.limit_in_bytes", "3000000\n");
	mpt_write_file(t, CGROUP "/memory/memory.usage_in_bytes", "1000000\n");
	expect(t, 1, 2000000, 3000000, "the control group");
	/* A path that leads out is not followed; what can be seen counts. */
	mpt_write_file(t, "/sys/fs/cgroup/memory.max", "500000\n");
	mpt_write_file(t, "/sys/fs/cgroup/memory.current", "200000\n");
	expect(t, 1, 300000, 500000, "the control group");
	return 0;
}

static int
ask_with_a_long_path(struct mpt *t, void *arg)
{
	char groups[2100];

	(void)arg;
	memset(groups, 'x', sizeof(groups));
	memcpy(groups, "0::/", 4);
	groups[sizeof(groups) - 1] = '\0';
	invent(t, groups, MACHINE);
	mpt_write_file(t, CGROUP "/memory.max", "500000\n");
	mpt_write_file(t, CGROUP "/memory.current", "200000\n");
	expect(t, 1, 300000, 500000, "the control group");
	return 0;
}

static int
fail_to_read(struct mpt *t, void *arg)
{
	struct mpr_memory m;

	(void)arg;
	invent(t, "0::/\n", "MemTotal: 9 kB\nMemAvailable: 1 kB\n"
	       "SwapFree: 0 kB\n");
	expect(t, 1, 1024, 9 * 1024, "the machine");
	mpr_fault_set("open:1+");
	mpr_memory_probe(1, &m);
	mpt_check(t, m.left == UINT64_MAX);
	return 0;
}

static void
expect_kills(struct mpt *t, int who, uint64_t n)
{
	uint64_t got = 99;

	errno = 17;
	mpt_check_int(t, mpr_memory_kills(&got), who);
	mpt_check_int(t, got, n);
	mpt_check_int(t, errno, 17);
}

static int
count_kills(struct mpt *t, void *arg)
{
	char *machine = malloc(10000);

	(void)arg;
	invent(t, "4:memory:/x\n0::/a/b\n", MACHINE);
	mpt_check(t, machine != NULL);
	/* It is a long file. */
	memset(machine, 'x', 9000);
	strcpy(machine + 9000, "\noom_kill 7\noom_killer 4\n");
	mpt_write_file(t, CGROUP "/own/vmstat", "nr_free 3\n");
	mpt_mount_file(t, CGROUP "/own/vmstat", "/proc/vmstat");
	/* Nobody counts them. */
	expect_kills(t, 0, 0);
	mpt_write_file(t, CGROUP "/own/vmstat", machine);
	expect_kills(t, 3, 7);
	mpt_write_file(t, CGROUP "/memory/x/memory.oom_control",
		       "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n");
	expect_kills(t, 2, 5);
	mpt_write_file(t, CGROUP "/a/b/memory.events",
		       "low 9\noom 8\noom_kill 2\noom_group_kill 1\n");
	expect_kills(t, 1, 2);
	mpr_fault_set("open:1+");
	expect_kills(t, 0, 0);
	free(machine);
	return 0;
}

static int
take_what_is_left(struct mpt *t, void *arg)
{
	struct mpr_memory m = { 0 };

	(void)arg;
	invent(t, "0::/\n", MACHINE);
	mpt_write_file(t, CGROUP "/memory.max", "100000000\n");
	mpt_write_file(t, CGROUP "/memory.current", "60000000\n");
	mpt_check(t, !mpr_memory_allows(40000001, &m));
	mpt_check_int(t, m.left, 40000000);
	mpt_check_int(t, m.limit, 100000000);
	mpt_check(t, mpr_memory_allows(40000000, &m));
	/* Nothing was left over to take without asking. */
	mpt_write_file(t, CGROUP "/memory.current", "100000000\n");
	mpt_check(t, !mpr_memory_allows(1, &m));
	mpt_check_int(t, m.left, 0);
	return 0;
}

static int
take_often(struct mpt *t, void *arg)
{
	uint64_t once, asked;
	struct mpr_memory m;

	(void)arg;
	invent(t, "0::/\n", MACHINE);
	mpt_write_file(t, CGROUP "/memory.max", "9999999999\n");
	mpt_write_file(t, CGROUP "/memory.current", "0\n");
	mpr_fault_set("open:999999");
	mpr_memory_probe(MIB, &m);
	once = mpr_fault_hits(MPR_FAULT_OPEN);
	mpt_check(t, once >= 4);
	for (int i = 0; i < 500; i++)
		mpt_check(t, mpr_memory_allows(MIB, &m));
	asked = mpr_fault_hits(MPR_FAULT_OPEN) / once - 1;
	mpt_check(t, asked >= 1);
	/* But for a machine on which each call takes 10 ms. */
	mpt_check(t, asked < 250);
	return 0;
}

static int
see_the_real_files(struct mpt *t, void *arg)
{
	struct mpr_memory m;

	(void)arg;
	mpr_memory_probe(UINT64_MAX, &m);
	mpt_check(t, m.left > 0);
	mpt_check(t, m.left <= m.limit);
	mpt_check(t, mpr_memory_allows(1, &m));
	return 0;
}

#define role_test(name, role)                                                 \
	static void                                                           \
	name(void **state)                                                    \
	{                                                                     \
		struct mpt *t = *state;                                       \
                                                                              \
		mpt_expect_exit(t, mpt_spawn(t, "role", role, NULL), 0);      \
	}

role_test(what_cannot_be_read_is_no_limit, see_nothing)
role_test(the_machine_has_what_is_available_and_its_swap, ask_the_machine)
role_test(the_tightest_level_of_version_2_counts, ask_version_2)
role_test(caches_count_as_free_if_that_matters, count_caches)
role_test(version_1_is_understood_too, ask_version_1)
role_test(a_container_sees_its_root, ask_from_a_container)
role_test(a_path_that_is_too_long_leaves_the_root, ask_with_a_long_path)
role_test(files_that_do_not_open_are_no_limit, fail_to_read)
role_test(who_counts_kills_is_asked, count_kills)
role_test(more_than_is_left_is_not_allowed, take_what_is_left)
role_test(an_answer_serves_for_many_requests, take_often)
role_test(the_real_files_make_sense, see_the_real_files)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_cannot_be_read_is_no_limit),
		mpt_test(the_machine_has_what_is_available_and_its_swap),
		mpt_test(the_tightest_level_of_version_2_counts),
		mpt_test(caches_count_as_free_if_that_matters),
		mpt_test(version_1_is_understood_too),
		mpt_test(a_container_sees_its_root),
		mpt_test(a_path_that_is_too_long_leaves_the_root),
		mpt_test(files_that_do_not_open_are_no_limit),
		mpt_test(who_counts_kills_is_asked),
		mpt_test(more_than_is_left_is_not_allowed),
		mpt_test(an_answer_serves_for_many_requests),
		mpt_test(the_real_files_make_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
