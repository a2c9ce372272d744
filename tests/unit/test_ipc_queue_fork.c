/* SPDX-License-Identifier: MIT */
/*
 * ipc/queue_get.c: a signal handler forks a consumer that is about to sleep, or to look for
 * an answer, and there is something to take.
 */
#include <errno.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "common.h"
#include "ipc/poll.h"
#include "sync/seats.h"

#define SHORT 64 /* in the lane */
#define LONG (1 << 20) /* in a block */

void __real_mpr_seat_wait(_Atomic uint64_t *seat, _Atomic uint32_t *hint);
void __wrap_mpr_seat_wait(_Atomic uint64_t *seat, _Atomic uint32_t *hint);

/* In the scratch bytes. */
struct board {
	mproc_queue *q;
	size_t len;
};

static struct mpt *of;
static bool forks;
static pid_t copy;
static unsigned char message[LONG], got[LONG];

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
		mpt_check_int(t, mproc_queue_put(b->q, message, b->len, mproc_sec(10)), 0);
	mpt_step(t, 1);
	/* Who finds a death wakes all who wait, and the copy would be the first one. */
	mpt_reach(t, 3);
	return 0;
}

static void
leaves_the_seat(struct mpt *t, size_t len)
{
	struct board *b = mpt_scratch(t);
	int r;

	of = t;
	b->len = len;
	assert_int_equal(mproc_queue_create(&b->q, NULL), 0);
	mpt_spawn(of, "producer", put_two, NULL);
	forks = true;
	copy = -1;
	r = mproc_queue_get(b->q, got, len, NULL, mproc_sec(15));
	if (copy == 0)
		_exit(r ? 1 : 0);
	assert_int_equal(r, 0);
	assert_true(copy > 0);
	mpt_step(of, 2);
	mpt_join_all(of);
	assert_int_equal(mproc_queue_len(b->q), 0);
	mproc_queue_destroy(b->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

void __real_mpr_poll_begin(struct mpr_poll *p, struct mpr_attachment *at, unsigned probes);
void __wrap_mpr_poll_begin(struct mpr_poll *p, struct mpr_attachment *at, unsigned probes);

static bool forks_in_wait;

/* There is one from a new lane by then, which no look at tails finds. */
void
__wrap_mpr_poll_begin(struct mpr_poll *p, struct mpr_attachment *at, unsigned probes)
{
	int status;

	__real_mpr_poll_begin(p, at, probes);
	if (!forks_in_wait)
		return;
	forks_in_wait = false;
	mpt_step(of, 0);
	mpt_reach(of, 2);
	copy = fork();
	if (copy == 0)
		return;
	mpt_check(of, waitpid(copy, &status, 0) == copy);
	mpt_check_int(of, status, 0);
}

/* It takes none as its parent, and may not be a consumer itself. */
static void
a_copy_takes_no_answer_as_its_parent(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	mproc_queue *other;
	int r;

	of = t;
	b->len = SHORT;
	assert_int_equal(mproc_queue_create(&other, NULL), 0);
	assert_int_equal(mproc_queue_create(
		&b->q, MPROC_OPTS(mproc_queue_opts, .single_consumer = true)), 0);
	mpt_spawn(of, "producer", put_two, NULL);
	assert_int_equal(mproc_queue_put(b->q, message, SHORT, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get(b->q, got, SHORT, NULL, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_put(other, message, SHORT, MPROC_NOWAIT), 0);
	forks_in_wait = true;
	copy = -1;
	r = mproc_queue_get(b->q, got, SHORT, NULL, mproc_sec(15));
	if (copy == 0)
		_exit(r == -EBUSY ? 0 : 1);
	assert_int_equal(r, 0);
	assert_true(copy > 0);
	mpt_step(of, 2);
	mpt_join_all(of);
	assert_int_equal(mproc_queue_get(b->q, got, SHORT, NULL, MPROC_NOWAIT), 0);
	mproc_queue_destroy(b->q);
	mproc_queue_destroy(other);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static void
a_copy_leaves_the_seat_when_it_finds_a_message(void **state)
{
	leaves_the_seat(*state, SHORT);
}

/* It takes none as its parent, and begins anew. */
static void
a_copy_leaves_the_seat_when_it_finds_a_long_one(void **state)
{
	leaves_the_seat(*state, LONG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_copy_takes_no_answer_as_its_parent),
		mpt_test(a_copy_leaves_the_seat_when_it_finds_a_message),
		mpt_test(a_copy_leaves_the_seat_when_it_finds_a_long_one),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
