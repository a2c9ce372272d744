/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer has written anything in one of the words of a pipe's header. Its
 * holders may be told that it is corrupt, gone, not held or empty; they may not
 * crash or hang, and another pipe stays what it is, unless it comes behind in the
 * list of pipes: then it may be lost to those who make new ones or look for the dead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "ipc/pipe_shm.h"
#include "mpt.h"

enum { HEADER_WORDS = sizeof(struct mpr_pipe) / 8 };

static const uint64_t values[] = {
	0, 1, 2, 3, 128, UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 22,
	UINT64_C(0x123456789abcdef0),
};

enum { TRIED = sizeof(values) / sizeof(values[0]) };

/* Whether a call for the pipe may say this. */
static bool
may_return(int r)
{
	switch (r) {
	case 0:
	case -EPIPE:
	case -EAGAIN:
	case -ETIMEDOUT:
	case -EPERM:
	case -EMSGSIZE:
	case -ESTALE:
	case -EINVAL:
	case -EFAULT:
	case -EBADMSG:
		return true;
	default:
		return false;
	}
}

/* By itself, and by a thread that watches for a set. */
static void
wait_for(struct mpt *t, mproc_conn *c)
{
	struct mproc_waitable item = { .kind = MPROC_WAIT_CONN, .object = c };
	mproc_waitset *set;
	int r = mproc_wait(&item, 1, mproc_us(200));

	mpt_check(t, r == 1 || (r < 0 && may_return(r)));
	mpt_check_int(t, mproc_waitset_create(&set), 0);
	r = mproc_waitset_add(set, &item);
	mpt_check(t, may_return(r));
	if (r == 0) {
		r = mproc_waitset_wait(set, &item, 1, mproc_us(200));
		mpt_check(t, r == 1 || (r < 0 && may_return(r)));
	}
	mproc_waitset_close(set);
}

static void
use(struct mpt *t, mproc_conn *c)
{
	char bytes[100] = "x";

	mpt_check(t, may_return(mproc_conn_send(c, bytes, 40, MPROC_NOWAIT)));
	mpt_check(t, may_return(mproc_conn_recv(c, bytes, 100, NULL,
						MPROC_NOWAIT)));
	mpt_check(t, may_return(mproc_conn_poll(c, mproc_us(200))));
	mpt_check(t, may_return(mproc_conn_recv(c, bytes, 100, NULL,
						mproc_us(200))));
	mpt_check(t, may_return(mproc_conn_send(c, bytes, 40, mproc_us(200))));
}

static int
return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static void
use_all(struct mpt *t, mproc_conn *const ends[2])
{
	mproc_process *p;
	int r;

	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 2; i++)
			use(t, ends[i]);
	for (int i = 0; i < 2; i++)
		wait_for(t, ends[i]);
	r = mproc_process_start(&p, return_at_once, NULL,
				MPROC_OPTS(mproc_process_opts, .conns = ends,
					   .n_conns = 1, .method = MPROC_FORK));
	mpt_check(t, may_return(r));
	if (r == 0) {
		mpt_check_int(t, mproc_process_join(p, mproc_sec(20)), 0);
		mproc_process_close(p);
	}
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	for (int i = 0; i < 2; i++) {
		mproc_conn_close(ends[i]);
		use(t, ends[i]);
	}
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
}

/* One word, in an arena of its own, with each value. */
static int
scribble(struct mpt *t, void *arg)
{
	const char *level = getenv("MPT_LEVEL");
	bool full = level && strcmp(level, "full") == 0;
	unsigned word = (unsigned)(uintptr_t)arg;
	mproc_conn *quiet[2], *ends[2];
	_Atomic uint64_t *at;
	struct mpr_pipe *pipe;
	uint64_t value, before;
	char bytes[16];

	mpt_check_int(t, mproc_pipe(&quiet[0], &quiet[1], NULL), 0);
	/* Every other one, unless there is time. */
	for (unsigned i = full ? 0 : word % 2; i < TRIED; i += full ? 1 : 2) {
		mpt_check_int(t, mproc_pipe(&ends[0], &ends[1], NULL), 0);
		for (int side = 0; side < 2; side++)
			mpt_check_int(t, mproc_conn_send(ends[side], "x", 1,
							 MPROC_NOWAIT), 0);
		pipe = (void *)((char *)ends[0] -
				offsetof(struct mpr_pipe, end[0]));
		at = (_Atomic uint64_t *)(void *)pipe + word;
		before = atomic_load(at);
		value = values[i];
		/* What is nearly right. */
		if (value == 3)
			value = before + 1;
		if (value == 128)
			value = mpr_arena_offset(mpr_arena_peek(), pipe);
		atomic_store(at, value);
		use_all(t, ends);
		atomic_store(at, before);
		mpt_check(t, mproc_arena_recover(NULL) >= 0);
		mpt_check_int(t, mproc_conn_send(quiet[0], "quiet", 5,
						 MPROC_NOWAIT), 0);
		mpt_check_int(t, mproc_conn_recv(quiet[1], bytes, sizeof(bytes),
						 NULL, MPROC_NOWAIT), 0);
		mpt_check(t, memcmp(bytes, "quiet", 5) == 0);
	}
	return 0;
}

static void
any_word_of_a_header(void **state)
{
	struct mpt *t = *state;

	mpt_watchdog(t, 60);
	for (unsigned word = 0; word < HEADER_WORDS; word++)
		mpt_expect_exit(t, mpt_fork(t, "scribbler", scribble,
					    (void *)(uintptr_t)word), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { mpt_test(any_word_of_a_header) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
