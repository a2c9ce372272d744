/* SPDX-License-Identifier: MIT */
/*
 * Polling: not where somebody else needs the CPU, and only as long as it pays.
 * How long yields and waits took is made up, but for the last test.
 */
#include <errno.h>
#include <sched.h>

#include <mproc/mproc.h>

#include "common.h"
#include "ipc/poll.h"
#include "ipc/turns.h"

#define US INT64_C(1000)
#define MS INT64_C(1000000)

/* Each number of attempts that look at MPR_LOOKS of them ends elsewhere. */
#define LANES 67

void __real_mpr_task_yield(void);
void __wrap_mpr_task_yield(void);

static bool nobody_else;
static int64_t somebody_for; /* ns, somebody else has the CPU; 0: as it is */
static unsigned yields;

void
__wrap_mpr_task_yield(void)
{
	int64_t end = mproc_now() + somebody_for;

	yields++;
	if (somebody_for)
		while (mproc_now() < end)
			;
	else if (!nobody_else)
		__real_mpr_task_yield();
}

static struct mpr_attachment *
attach(mproc_queue *q)
{
	struct mpr_attachment *at = NULL;

	return mpr_attachment_get(q, &at) == 0 ? at : NULL;
}

static struct mpr_attachment *
new_attachment(void)
{
	struct mpr_attachment *at;
	mproc_queue *q = NULL;

	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	at = attach(q);
	assert_non_null(at);
	return at;
}

/* What a wait that begins now does first. */
static struct mpr_poll
first(struct mpr_attachment *at, unsigned probes)
{
	struct mpr_poll poll;

	mpr_poll_begin(&poll, at, probes);
	return poll;
}

static bool
only_sleeps(struct mpr_attachment *at)
{
	struct mpr_poll poll = first(at, 5);

	return !poll.yields && !poll.tight && !poll.gaps;
}

/* As if a yield had taken @ns just now. */
static bool
yield_took(struct mpr_attachment *at, int64_t ns)
{
	int64_t now = mproc_now();

	return mpr_poll_judge(at, now - ns, now);
}

static void
a_wait_yields_before_it_polls(void **state)
{
	struct mpr_attachment *at = new_attachment();
	struct mpr_poll poll = first(at, 5);

	(void)state;
	assert_int_not_equal(poll.yields, 0);
	assert_int_equal(poll.tight, 0);
	assert_int_equal(poll.gaps, 0);
	mproc_queue_destroy(at->q);
}

static void
alone_on_its_cpu_it_polls(void **state)
{
	struct mpr_attachment *at = new_attachment();
	struct mpr_poll poll;
	unsigned n = 0;

	(void)state;
	assert_true(yield_took(at, US / 2));
	poll = first(at, 0);
	assert_false(poll.yields);
	assert_int_equal(poll.tight, 0);
	assert_int_equal(poll.gaps, at->patience);
	/* Who waits for an answer looks more often, at first. */
	assert_int_equal(first(at, 5).tight, 5);
	/* After some waits it asks again. */
	while (!first(at, 0).yields)
		n++;
	assert_true(n > 10 && n < 10000);
	mproc_queue_destroy(at->q);
}

static void
after_polling_in_vain_it_asks_again(void **state)
{
	struct mpr_attachment *at = new_attachment();
	struct mpr_poll poll;
	unsigned n = 0;

	(void)state;
	assert_true(yield_took(at, US / 2));
	mpr_poll_begin(&poll, at, 0);
	while (mpr_poll_again(&poll))
		n++;
	assert_int_equal(n, at->patience);
	assert_true(first(at, 0).yields);
	mproc_queue_destroy(at->q);
}

static void
where_somebody_else_ran_it_does_not_poll(void **state)
{
	struct mpr_attachment *at = new_attachment();

	(void)state;
	assert_false(yield_took(at, 5 * US));
	/* But it may yield again. */
	assert_true(first(at, 5).yields);
	assert_int_equal(at->yields.rest, 0);
	mproc_queue_destroy(at->q);
}

static void
after_a_long_yield_waits_only_sleep(void **state)
{
	struct mpr_attachment *at = new_attachment();
	unsigned n = 0, before = 0;

	(void)state;
	for (int round = 0; round < 10; round++) {
		assert_false(yield_took(at, 3 * MS));
		for (n = 0; only_sleeps(at); n++)
			;
		if (round == 0)
			assert_int_equal(n, 16);
		else
			assert_true(n == 2 * before ||
				    (n == before && n >= 1000));
		before = n;
	}
	/* Many short ones make up for it. */
	for (n = 0; at->yields.rest && n < 1000; n++)
		assert_false(yield_took(at, 5 * US));
	assert_true(n > 10 && n < 1000);
	mproc_queue_destroy(at->q);
}

/* How often a wait in vain yields, if somebody has the CPU for @ns each time. */
static unsigned
yields_of(struct mpr_attachment *at, unsigned probes, int64_t ns)
{
	struct mpr_poll poll;

	at->yields = (struct mpr_yields){ 0 };
	yields = 0;
	somebody_for = ns;
	mpr_poll_begin(&poll, at, probes);
	while (mpr_poll_again(&poll))
		;
	somebody_for = 0;
	return yields;
}

static void
who_waits_for_no_answer_yields_a_few_times(void **state)
{
	struct mpr_attachment *at = new_attachment();
	unsigned n = 0;

	(void)state;
	/* Or less, if we are kept up. */
	for (int i = 0; n < 4 && i < 100; i++) {
		n = yields_of(at, 0, 5 * US);
		assert_true(n <= 4);
	}
	assert_int_equal(n, 4);
	assert_int_equal(yields_of(at, 5, 5 * US), 1);
	/* Not where it is long. */
	assert_int_equal(yields_of(at, 0, MS / 5), 1);
	mproc_queue_destroy(at->q);
}

static void *
put_one(void *q)
{
	return mproc_queue_put(q, "1", 1, MPROC_NOWAIT) < 0 ? q : NULL;
}

/* Other producers who put all the time keep the CPU as long as a stranger, and
 * there is nothing else to do. */
static void
a_long_yield_in_a_busy_queue_does_not_count(void **state)
{
	struct mpr_attachment *at = new_attachment();
	_Atomic uint64_t *tail;
	uint64_t before;
	pthread_t peer;
	void *failed;

	(void)state;
	assert_int_equal(pthread_create(&peer, NULL, put_one, at->q), 0);
	assert_int_equal(pthread_join(peer, &failed), 0);
	assert_null(failed);
	tail = &((struct mpr_lane *)mpr_arena_at(the_arena(),
						 at->q->lanes))->tail;
	before = *tail;
	/* What was put before it was first asked says nothing. */
	*tail += UINT64_C(1) << 60;
	assert_false(yield_took(at, 3 * MS));
	assert_true(at->yields.rest > 0);
	at->yields.rest = 0;
	for (int round = 0; round < 5; round++) {
		*tail += UINT64_C(1) << 40;
		assert_false(yield_took(at, 3 * MS));
		assert_int_equal(at->yields.rest, 0);
	}
	/* Nor does a lane that has become ours meanwhile, which is none of
	 * theirs any more. */
	*tail = before;
	assert_int_equal(mproc_queue_put(at->q, "1", 1, MPROC_NOWAIT), 0);
	assert_ptr_equal(&at->producer.lane->tail, tail);
	assert_false(yield_took(at, 3 * MS));
	assert_true(at->yields.rest > 0);
	/* And what we put ourselves, others have not. */
	at->yields.rest = 0;
	*tail += UINT64_C(1) << 40;
	assert_false(yield_took(at, 3 * MS));
	assert_true(at->yields.rest > 0);
	*tail = at->producer.tail;
	mproc_queue_destroy(at->q);
}

/* Ends a wait of @ns. */
static void
wait_was(struct mpr_attachment *at, int64_t ns)
{
	mpr_poll_end(&(struct mpr_poll){
		.at = at,
		.began = mproc_now() - ns,
	});
}

static void
patience_is_learnt_from_the_length_of_waits(void **state)
{
	struct mpr_attachment *at = new_attachment();
	unsigned before;

	(void)state;
	at->patience = 8;
	/* Longer than anybody polls. */
	wait_was(at, MS);
	assert_int_equal(at->patience, 4);
	for (int i = 0; i < 10; i++)
		wait_was(at, MS);
	assert_int_equal(at->patience, 1);
	/* A sleep that polling could have bridged, if we are not kept up. */
	for (int i = 0; i < 1000 && at->patience < 40; i++)
		wait_was(at, 20 * US);
	assert_true(at->patience >= 40);
	/* One that ended at once says nothing. */
	before = at->patience;
	mpr_poll_end(&(struct mpr_poll){ .at = at });
	assert_int_equal(at->patience, before);
	mproc_queue_destroy(at->q);
}

int __real_mpr_attachment_find_lanes(struct mpr_attachment *at);
int __wrap_mpr_attachment_find_lanes(struct mpr_attachment *at);

static unsigned whole_gets; /* they look for new lanes */
static unsigned ahead_then; /* at the first of them */

int
__wrap_mpr_attachment_find_lanes(struct mpr_attachment *at)
{
	if (!whole_gets++)
		ahead_then = at->ahead;
	return __real_mpr_attachment_find_lanes(at);
}

/* Has a lane until the test is over. */
static int
have_a_lane(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	mpt_reach(t, me);
	mpt_check_int(t, mproc_queue_put(*(mproc_queue **)mpt_scratch(t), "1", 1,
					 MPROC_NOWAIT), 0);
	mpt_step(t, me);
	mpt_reach(t, LANES + 1);
	return 0;
}

/* A queue of that many lanes, which are known and have nothing. */
static struct mpr_attachment *
many_lanes(struct mpt *t)
{
	struct mpr_attachment *at = new_attachment();
	char c;

	*(mproc_queue **)mpt_scratch(t) = at->q;
	mpt_use_threads(t, true);
	for (uintptr_t i = 0; i < LANES; i++)
		mpt_spawn(t, "producer", have_a_lane, (void *)i);
	mpt_reach(t, LANES);
	for (unsigned i = 0; i < LANES; i++)
		assert_int_equal(mproc_queue_get(at->q, &c, 1, NULL,
						 MPROC_NOWAIT), 0);
	assert_int_equal(at->n_consumers, LANES);
	return at;
}

/* How many attempts at a few lanes each go from lane @from to lane @to. */
static unsigned
attempts_to(unsigned from, unsigned to)
{
	unsigned n = 0;

	while ((from + n * MPR_LOOKS) % LANES != to)
		n++;
	return n;
}

/* How many attempts look at a few lanes alone as one waits for an answer in vain; those
 * that look at all end where they began. *@ret_first: of these, up to the first whole
 * get and with its own. */
static unsigned
attempts(struct mpr_attachment *at, bool several, unsigned *ret_first)
{
	unsigned before = at->ahead;
	struct iovec msg;
	char c;
	int r;

	at->puts_seen = mpr_thread_puts - 1;
	at->patience = 0;
	whole_gets = 0;
	r = several ? mproc_queue_get_many(at->q, &c, 1, &msg, 1, mproc_us(1)) :
		      mproc_queue_get(at->q, &c, 1, NULL, mproc_us(1));
	assert_int_equal(r, -ETIMEDOUT);
	assert_int_not_equal(whole_gets, 0);
	*ret_first = attempts_to(before, ahead_then);
	return attempts_to(before, at->ahead);
}

/* All know of two attempts besides: the first one and a whole get. If it is known that
 * the thread is alone, that comes after the looks. */
static void
who_waits_for_an_answer_looks_for_a_while(void **state)
{
	static const struct mpr_yields alone = { .alone = 1, .left = 2 };
	struct mpr_attachment *at = many_lanes(*state);
	unsigned first_whole;

	at->yields = alone;
	assert_int_equal(attempts(at, false, &first_whole), 2 + MPR_POLL_LOOKS);
	assert_int_equal(first_whole, 2 + MPR_POLL_LOOKS);
	assert_true(whole_gets < MPR_POLL_GETS);
	at->yields = alone;
	assert_int_equal(attempts(at, true, &first_whole), 2 + MPR_POLL_GETS);
	assert_int_equal(first_whole, 2);
	/* And so after a yield that shows that it is alone, which takes no time. */
	nobody_else = true;
	for (int several = 0; several < 2; several++) {
		unsigned n;

		do {
			at->yields = (struct mpr_yields){ 0 };
			n = attempts(at, several, &first_whole);
			assert_int_equal(first_whole, 2);
		} while (!at->yields.alone);
		assert_int_equal(n, 2 + (several ? MPR_POLL_GETS :
						   MPR_POLL_LOOKS));
		assert_true(several || whole_gets < MPR_POLL_GETS);
	}
	nobody_else = false;
	/* Beside somebody else it only sleeps. */
	at->yields = (struct mpr_yields){ .left = 2 };
	assert_int_equal(attempts(at, false, &first_whole), 2);
	mpt_step(*state, LANES);
	mpt_join_all(*state);
	mproc_queue_destroy(at->q);
}

static void
who_is_too_fast_pauses_unless_that_was_in_vain(void **state)
{
	struct mpr_attachment *at = new_attachment();
	int64_t before = 0;
	unsigned n;

	(void)state;
	/* Not at once, if we are kept up in between. */
	for (n = 0; !at->paced && n < 1000; n++) {
		before = at->looked;
		mpr_poll_pace(at, 0);
	}
	assert_true(at->paced);
	assert_true(at->looked - before >= 2 * US);
	mpr_poll_found_nothing(at);
	before = at->looked;
	for (n = 0; at->looked == before && n < 10000; n++) {
		assert_false(at->paced);
		mpr_poll_pace(at, 0);
	}
	assert_true(n > 10 && n < 10000);
	/* Without a pause that says nothing of pauses. */
	at->looked = mproc_now() - MS;
	mpr_poll_pace(at, 0);
	assert_false(at->paced);
	mpr_poll_found_nothing(at);
	before = at->looked;
	mpr_poll_pace(at, 0);
	assert_true(at->looked > before);
	mproc_queue_destroy(at->q);
}

/* Has one message, of our own lane, to take; nothing is known there. Returns whether who
 * took it has paced. */
static bool
paces(struct mpr_attachment *at, bool answer, mproc_timeout timeout)
{
	char c;

	at->looked = 0;
	assert_int_equal(mproc_queue_put(at->q, "1", 1, MPROC_NOWAIT), 0);
	at->puts_seen = mpr_thread_puts - answer;
	assert_int_equal(mproc_queue_get(at->q, &c, 1, NULL, timeout), 0);
	return at->looked != 0;
}

static void
who_has_been_at_all_lanes_paces(void **state)
{
	struct mpr_attachment *at = many_lanes(*state);

	/* The test's own lane is the last one. */
	assert_false(paces(at, false, MPROC_NOWAIT));
	assert_int_equal(at->n_consumers, LANES + 1);
	assert_int_equal(at->cursor, LANES);
	/* Elsewhere is more. */
	at->cursor = 0;
	at->ahead = LANES - 1;
	at->left = 1;
	assert_false(paces(at, false, mproc_ms(10000)));
	assert_int_equal(at->cursor, LANES);
	assert_int_equal(at->left, 0);
	/* It was everywhere; new lanes are found then, if turns are ever so short. */
	whole_gets = 0;
	assert_true(paces(at, false, mproc_ms(10000)));
	assert_true(whole_gets > 0);
	assert_int_equal(at->left, LANES);
	/* Nowhere else is any. */
	assert_true(paces(at, false, mproc_ms(10000)));
	assert_int_equal(at->left, LANES);
	/* Who waits for an answer, or not at all, does not. */
	assert_false(paces(at, true, mproc_ms(10000)));
	assert_false(paces(at, false, MPROC_NOWAIT));
	mpt_step(*state, LANES);
	mpt_join_all(*state);
	mproc_queue_destroy(at->q);
}

/* More than are looked at before. */
static void
in_a_pause_it_looks_at_all_lanes(void **state)
{
	struct mpr_attachment *at = many_lanes(*state);

	assert_false(paces(at, false, MPROC_NOWAIT));
	assert_int_equal(mproc_queue_put(at->q, "1", 1, MPROC_NOWAIT), 0);
	/* Its lane, the last one, is the last one that is looked at. The pause is long, so
	 * that there is time for that. */
	for (unsigned left = LANES + 1; left--;) {
		at->cursor = 0;
		at->ahead = 0;
		at->left = left;
		at->looked = mproc_now() + 100 * MS;
		mpr_poll_pace(at, 0);
		assert_int_equal(at->cursor, LANES);
		assert_int_equal(at->left, left ? left - 1 : 0);
		assert_false(at->paced);
	}
	/* Not where all have had their turns. */
	at->cursor = 0;
	at->ahead = 0;
	at->looked = mproc_now();
	mpr_poll_pace(at, LANES + 1);
	assert_int_equal(at->cursor, 0);
	mpt_step(*state, LANES);
	mpt_join_all(*state);
	mproc_queue_destroy(at->q);
}

static void
a_pause_counts_for_the_next_look_alone(void **state)
{
	struct mpr_attachment *at = new_attachment();
	char c;

	(void)state;
	assert_false(paces(at, false, MPROC_NOWAIT));
	/* As if the last get had come after a pause, and an answer went out since. */
	at->paced = true;
	at->puts_seen = mpr_thread_puts - 1;
	assert_int_equal(mproc_queue_get(at->q, &c, 1, NULL, mproc_us(1)), -ETIMEDOUT);
	assert_int_equal(at->unpaced, 0);
	mproc_queue_destroy(at->q);
}

/* Whether it is alone is not asked, nor are its waits counted. */
static void
an_answer_that_is_there_is_no_wait(void **state)
{
	static const struct mpr_yields alone = { .alone = 1, .left = 2 };
	struct mpr_attachment *at = many_lanes(*state);
	size_t len = 0;
	char c;

	assert_false(paces(at, false, MPROC_NOWAIT));
	whole_gets = yields = 0;
	at->yields = alone;
	assert_false(paces(at, true, MPROC_FOREVER));
	/* In one of the next few lanes. */
	at->cursor = 0;
	at->ahead = LANES - MPR_LOOKS;
	assert_false(paces(at, true, MPROC_FOREVER));
	assert_int_equal(at->cursor, LANES);
	assert_int_equal(whole_gets, 0);
	/* One that is not as usual is taken, or not, as ever. */
	assert_int_equal(mproc_queue_put(at->q, "12", 2, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get(at->q, &c, 1, &len, MPROC_FOREVER), -EMSGSIZE);
	assert_int_equal(len, 2);
	assert_int_equal(mproc_queue_shutdown(at->q, MPROC_IMMEDIATE), 0);
	assert_int_equal(mproc_queue_get(at->q, &c, 1, &len, MPROC_FOREVER), -ESHUTDOWN);
	assert_int_equal(at->yields.left, 2);
	assert_int_equal(yields, 0);
	mpt_step(*state, LANES);
	mpt_join_all(*state);
	mproc_queue_destroy(at->q);
}

/* There each get looks at all lanes. */
static void
with_one_order_of_several_lanes_nobody_paces(void **state)
{
	struct mpr_attachment *at;
	mproc_queue *q = NULL;
	pthread_t peer;
	void *failed;
	char c;

	(void)state;
	assert_int_equal(mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .ordered = true)), 0);
	at = attach(q);
	assert_non_null(at);
	assert_false(paces(at, false, MPROC_NOWAIT));
	assert_true(paces(at, false, mproc_ms(10000)));
	assert_int_equal(pthread_create(&peer, NULL, put_one, q), 0);
	assert_int_equal(pthread_join(peer, &failed), 0);
	assert_null(failed);
	assert_int_equal(mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT), 0);
	assert_int_equal(at->n_consumers, 2);
	assert_false(paces(at, false, mproc_ms(10000)));
	mproc_queue_destroy(q);
}

static _Atomic bool stop, there;

static void *
compute(void *arg)
{
	struct sched_param normal = { 0 };

	(void)arg;
	/* Or it would never let go. */
	sched_setscheduler(0, SCHED_OTHER, &normal);
	there = true;
	while (!stop)
		;
	return NULL;
}

/* Somebody who computes on the same CPU keeps it for much longer than a sleep
 * takes. */
static void
beside_a_stranger_few_waits_yield_or_poll(void **state)
{
	struct mpr_attachment *at = new_attachment();
	cpu_set_t before, one;
	unsigned n = 0;
	pthread_t hog;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	stop = there = false;
	assert_int_equal(pthread_create(&hog, NULL, compute, NULL), 0);
	while (!there)
		sched_yield();
	for (int i = 0; i < 3000; i++) {
		struct mpr_poll poll = first(at, 0);

		n += poll.yields || poll.gaps;
		while (mpr_poll_again(&poll))
			;
	}
	assert_true(n < 1000);
	stop = true;
	assert_int_equal(pthread_join(hog, NULL), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	mproc_queue_destroy(at->q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_wait_yields_before_it_polls),
		mpt_test(alone_on_its_cpu_it_polls),
		mpt_test(after_polling_in_vain_it_asks_again),
		mpt_test(where_somebody_else_ran_it_does_not_poll),
		mpt_test(after_a_long_yield_waits_only_sleep),
		mpt_test(who_waits_for_no_answer_yields_a_few_times),
		mpt_test(a_long_yield_in_a_busy_queue_does_not_count),
		mpt_test(patience_is_learnt_from_the_length_of_waits),
		mpt_test(who_waits_for_an_answer_looks_for_a_while),
		mpt_test(who_is_too_fast_pauses_unless_that_was_in_vain),
		mpt_test(who_has_been_at_all_lanes_paces),
		mpt_test(in_a_pause_it_looks_at_all_lanes),
		mpt_test(a_pause_counts_for_the_next_look_alone),
		mpt_test(an_answer_that_is_there_is_no_wait),
		mpt_test(with_one_order_of_several_lanes_nobody_paces),
		mpt_test(beside_a_stranger_few_waits_yield_or_poll),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
