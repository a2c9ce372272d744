/* SPDX-License-Identifier: MIT */
/*
 * arena.h: memory that is there from the beginning, and huge pages, with a system
 * that has them and with one that has not. In a program without an arena, so that
 * each role makes its own.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "common.h"
#include "mpt_mount.h"
#include "mpt_refuse.h"

#define MIB ((size_t)1 << 20)
#define SETTINGS "/sys/kernel/mm/transparent_hugepage"

static void
run(void **state, int (*role)(struct mpt *t, void *arg), void *arg)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", role, arg), 0);
}

static uint64_t
backed(struct mpt *t, mproc_arena *a)
{
	struct mproc_arena_stat stat;

	mpt_check_int(t, mproc_arena_stat(a, &stat), 0);
	return stat.backed;
}

static long
faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* All that can be done with memory changes nothing of what is allocated. */
static void
use_all(struct mpt *t, mproc_arena *a, uint64_t capacity)
{
	for (int round = 0; round < 3; round++)
		for (size_t size = 100; size < 12 * MIB; size = size * 7 + 1) {
			unsigned char *p = mproc_arena_alloc(a, size, 0);

			mpt_check(t, p);
			for (size_t i = 0; i < size; i += 99)
				mpt_check_int(t, p[i], 0);
			memset(p, 0xff, size);
			mproc_free(p);
		}
	mpt_check(t, mproc_arena_recover(a) >= 0);
	mpt_check(t, backed(t, a) >= capacity);
}

static int
prefault(struct mpt *t, void *arg)
{
	unsigned char *p;
	long before;

	(void)arg;
	mpt_check_int(t, mproc_arena_configure_default(
		MPROC_OPTS(mproc_arena_opts, .capacity = 32 * MIB,
			   .prefault = true)), 0);
	mpt_check(t, mproc_arena_default());
	mpt_check(t, backed(t, NULL) >= 32 * MIB);
	before = faults();
	p = mproc_alloc(16 * MIB);
	mpt_check(t, p);
	for (size_t i = 0; i < 16 * MIB; i += 4096)
		p[i] = 1;
	/* 4096 pages, all of them mapped; sanitizers have memory of their own. */
	mpt_check(t, faults() - before < 1000);
	mproc_free(p);
	use_all(t, NULL, 32 * MIB);
	return 0;
}

static void
all_memory_is_there_from_the_beginning_and_stays(void **state)
{
	run(state, prefault, NULL);
}

static int
prefault_usual(struct mpt *t, void *arg)
{
	struct mproc_arena_stat stat;

	(void)arg;
	mpt_check_int(t, mproc_arena_configure_default(
		MPROC_OPTS(mproc_arena_opts, .prefault = true)), 0);
	mpt_check(t, mproc_arena_default());
	mpt_check_int(t, mproc_arena_stat(NULL, &stat), 0);
	mpt_check(t, stat.capacity == 256 * MIB);
	mpt_check(t, stat.backed >= stat.capacity);
	return 0;
}

static void
the_usual_capacity_is_smaller_then(void **state)
{
	run(state, prefault_usual, NULL);
}

/* In a control group with less memory than that. */
static int
prefault_too_much(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/sys/fs/cgroup", NULL);
	mpt_write_file(t, "/sys/fs/cgroup/self", "0::/it\n");
	mpt_mount_file(t, "/sys/fs/cgroup/self", "/proc/self/cgroup");
	mpt_write_file(t, "/sys/fs/cgroup/it/memory.max", "100000000\n");
	mpt_write_file(t, "/sys/fs/cgroup/it/memory.current", "90000000\n");
	mpt_write_file(t, "/sys/fs/cgroup/it/memory.stat", "inactive_file 0\n");
	mpt_check_int(t, mproc_arena_configure_default(
		MPROC_OPTS(mproc_arena_opts, .capacity = 32 * MIB,
			   .prefault = true)), 0);
	errno = 0;
	mpt_check(t, !mproc_arena_default());
	mpt_check_int(t, errno, ENOMEM);
	mpt_check(t, detail_has("33554432"));
	mpt_check(t, detail_has("10000000 of 100000000 bytes left"));
	/* Nothing of it is left, and it can be had otherwise. */
	mpt_check_int(t, mproc_arena_configure_default(NULL), 0);
	mpt_check(t, mproc_arena_default());
	return 0;
}

static void
what_is_too_much_is_an_error_with_its_size(void **state)
{
	run(state, prefault_too_much, NULL);
}

static int
use_named(struct mpt *t, void *arg)
{
	mproc_arena *a;

	mpt_check_int(t, mproc_arena_open(&a, arg, MPROC_NOWAIT), 0);
	use_all(t, a, 32 * MIB);
	mproc_arena_close(a);
	return 0;
}

static int
prefault_named(struct mpt *t, void *arg)
{
	mproc_arena *a;

	mpt_check_int(t, mproc_arena_create(&a, MPROC_OPTS(mproc_arena_opts,
		.name = arg, .capacity = 32 * MIB, .prefault = true)), 0);
	mpt_check(t, backed(t, a) >= 32 * MIB);
	use_all(t, a, 32 * MIB);
	return 0;
}

static void
a_named_arena_keeps_its_memory_for_all_its_users(void **state)
{
	char name[64];

	snprintf(name, sizeof(name), "mpt-%d-prefault", (int)getpid());
	run(state, prefault_named, name);
	run(state, use_named, name);
	assert_int_equal(mproc_arena_unlink(name), 0);
}

/* What the kernel says of huge pages, or NULL if it has no such file. */
static void
pretend(struct mpt *t, const char *text)
{
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, SETTINGS, NULL);
	if (text)
		mpt_write_file(t, SETTINGS "/shmem_enabled", text);
}

static int
configure_huge(void)
{
	return mproc_arena_configure_default(MPROC_OPTS(
		mproc_arena_opts, .capacity = 32 * MIB, .huge_pages = true));
}

static int
no_huge_pages(struct mpt *t, void *arg)
{
	pretend(t, arg);
	mpt_check_int(t, configure_huge(), -ENOTSUP);
	mpt_check(t, detail_has("no huge pages"));
	mpt_check(t, detail_has(SETTINGS "/shmem_enabled"));
	mpt_check(t, !arg || detail_has(strstr(arg, "[never]") ? "\"never\"" :
								 "\"deny\""));
	/* It goes on without. */
	mpt_check(t, mproc_alloc(100));
	return 0;
}

static void
a_system_without_huge_pages_says_so(void **state)
{
	run(state, no_huge_pages,
	    (char[]){ "always within_size advise [never] deny force\n" });
	run(state, no_huge_pages,
	    (char[]){ "always within_size advise never [deny] force\n" });
	run(state, no_huge_pages, NULL);
}

/* Whether the kernel was asked for huge pages where @p is. */
static bool
was_advised(const void *p)
{
	unsigned long begin, end;
	char line[512];
	bool here = false, is = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			here = (uintptr_t)p >= begin && (uintptr_t)p < end;
		if (here && strncmp(line, "VmFlags:", 8) == 0)
			is = strstr(line, " hg") != NULL;
	}
	if (f)
		fclose(f);
	return is;
}

static int
huge_pages(struct mpt *t, void *arg)
{
	unsigned char *p;

	pretend(t, arg);
	mpt_check_int(t, configure_huge(), 0);
	p = mproc_alloc(4 * MIB);
	/* A kernel that was built without, or memory that is a file. */
	if (!p && errno == ENOTSUP && detail_has("no huge pages"))
		return 0;
	mpt_check(t, p);
	mpt_check(t, was_advised(p));
	memset(p, 1, 4 * MIB);
	mproc_free(p);
	return 0;
}

static void
a_system_with_huge_pages_is_asked_for_them(void **state)
{
	run(state, huge_pages,
	    (char[]){ "always within_size [advise] never deny force\n" });
	run(state, huge_pages,
	    (char[]){ "[always] within_size advise never deny force\n" });
}

/* Whatever this one has. */
static int
huge_pages_here(struct mpt *t, void *arg)
{
	int r = configure_huge();

	(void)arg;
	mpt_check(t, r == 0 || (r == -ENOTSUP && detail_has("no huge pages")));
	mpt_check(t, r < 0 || mproc_arena_default() || errno == ENOTSUP);
	mpt_check_int(t, mproc_arena_create(&(mproc_arena *){ NULL },
		MPROC_OPTS(mproc_arena_opts, .name = "mpt-huge",
			   .huge_pages = true)), -EINVAL);
	return 0;
}

static void
this_system_has_them_or_says_so(void **state)
{
	run(state, huge_pages_here, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(all_memory_is_there_from_the_beginning_and_stays),
		mpt_test(the_usual_capacity_is_smaller_then),
		mpt_test(what_is_too_much_is_an_error_with_its_size),
		mpt_test(a_named_arena_keeps_its_memory_for_all_its_users),
		mpt_test(a_system_without_huge_pages_says_so),
		mpt_test(a_system_with_huge_pages_is_asked_for_them),
		mpt_test(this_system_has_them_or_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
