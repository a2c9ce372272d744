/* SPDX-License-Identifier: MIT */
/*
 * ipc/queue_get.c: a signal handler forks a consumer that is about to sleep, and there is
 * something to take.
 */
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "common.h"
#include "sync/seats.h"

#define LEN 64

void __real_mpr_seat_wait(_Atomic uint64_t *seat, _Atomic uint32_t *hint);
void __wrap_mpr_seat_wait(_Atomic uint64_t *seat, _Atomic uint32_t *hint);

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
};

static struct mpt *of;
static bool forks;
static pid_t copy = -1;
static unsigned char message[LEN], got[LEN];

/* Two messages come before that, and the copy goes first. */
void
__wrap_mpr_seat_wait(_Atomic uint64_t *seat, _Atomic uint32_t *hint)
{
	uint64_t before;
	int status;

	if (forks) {
		mpt_step(of, 0);
		mpt_reach(of, 2);
	}
	__real_mpr_seat_wait(seat, hint);
	if (!forks)
		return;
	forks = false;
	before = *seat;
	copy = fork();
	if (copy == 0)
		return;
	mpt_check(of, waitpid(copy, &status, 0) == copy);
	mpt_check_int(of, status, 0);
	/* It has not said in our name that we do not sleep any more. */
	mpt_check(of, *seat == before);
}

static int
put_two(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_reach(t, 1);
	for (int i = 0; i < 2; i++)
		mpt_check_int(t, mproc_queue_put(b->q, message, LEN, mproc_sec(10)), 0);
	mpt_step(t, 1);
	return 0;
}

static void
a_copy_leaves_the_seat_when_it_finds_a_message(void **state)
{
	struct board *b = mpt_scratch(*state);
	int r;

	of = *state;
	assert_int_equal(mproc_queue_create(&b->q, NULL), 0);
	mpt_spawn(of, "producer", put_two, NULL);
	forks = true;
	r = mproc_queue_get(b->q, got, LEN, NULL, mproc_sec(15));
	if (copy == 0)
		_exit(r ? 1 : 0);
	assert_int_equal(r, 0);
	assert_true(copy > 0);
	mpt_join_all(of);
	assert_int_equal(mproc_queue_len(b->q), 0);
	mproc_queue_destroy(b->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_copy_leaves_the_seat_when_it_finds_a_message),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
