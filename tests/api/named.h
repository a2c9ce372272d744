/* SPDX-License-Identifier: MIT */
/*
 * What tests of arenas with a name share: one arena, and other programs that have it
 * at another address. These are roles that were forked before the arena was there, or
 * instances of the test program, started by exec.
 */
#ifndef API_NAMED_H
#define API_NAMED_H

#include <stdio.h>
#include <sys/mman.h>

#include "common.h"

#define MIB ((size_t)1 << 20)
#define SIZE (32 * MIB)

/* Of this test process; its own part of /dev/shm. */
static char name[64];

static inline void
choose_name(const char *what)
{
	/* As mpt_name() has it, without the slash. */
	snprintf(name, sizeof(name), "mpt-%d-%s", (int)getpid(), what);
}

static inline mproc_arena *
create_arena(const char *what)
{
	mproc_arena *a = NULL;

	choose_name(what);
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = name, .capacity = SIZE)), 0);
	assert_non_null(a);
	return a;
}

static inline void
remove_arena(mproc_arena *a)
{
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(name), 0);
}

/* Opens it where @there, an address in it for another program, is not in it. */
static inline int
open_elsewhere(mproc_arena **ret_a, const char *its_name, const void *there)
{
	/* There it cannot be: something is there, or now this is. */
	(void)mmap((void *)((uintptr_t)there & ~(uintptr_t)4095), 4096,
		   PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
		   MAP_FIXED_NOREPLACE, -1, 0);
	return mproc_arena_open(ret_a, its_name, mproc_sec(30));
}

/* In an instance: cmocka's assertions are not for it. */
#define EXPECT(condition)                                                     \
	do {                                                                  \
		if (!(condition)) {                                           \
			fprintf(stderr, "%d: not %s: %s\n", __LINE__,         \
				#condition, mproc_error_detail());            \
			_exit(1);                                             \
		}                                                             \
	} while (0)

static inline void *
find(mproc_arena *a, const char *what)
{
	void *p;

	EXPECT(mproc_arena_find(a, what, &p, mproc_sec(30)) == 0);
	return p;
}

struct instance {
	const char *what; /* it is to do */
	void *there;      /* an address in the arena, for the test */
};

/* A role that becomes one. Its main() finds 4 arguments, and its program hands them
 * to open_as_instance(). */
static inline int
execute(struct mpt *t, void *arg)
{
	const struct instance *i = arg;
	char address[32], program[256];
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);

	mpt_check(t, len > 0);
	program[len] = '\0';
	snprintf(address, sizeof(address), "%p", i->there);
	execl(program, program, i->what, name, address, (char *)NULL);
	mpt_check(t, false);
	return 1;
}

static inline mproc_arena *
open_as_instance(char **argv)
{
	mproc_arena *a;

	EXPECT(open_elsewhere(&a, argv[2], (void *)(uintptr_t)strtoull(
				      argv[3], NULL, 0)) == 0);
	return a;
}

#endif
