/* SPDX-License-Identifier: MIT */
/*
 * Processes wait for a queue and an event at once, every other one with a set of
 * waits, and are killed and stopped at random. In a ring each one waits for a token
 * from the one before it, that comes as a message or as an event: nothing goes on
 * unless each wake-up comes. Others wait for the queues of all and take nothing: what
 * they are woken for must be passed on, also if they are killed.
 */
#include "chaos.h"

#define KILLS 200
#define RING 6 /* the rest look on */

enum { WAITS = 1, WAITS_IN_SET, CREATES, ADDS, CLOSES };

static const char *const deeds[] = {
	"wait", "waitset_wait", "waitset_create", "waitset_add",
	"waitset_close", NULL,
};

struct ring {
	struct chaos chaos;
	mproc_queue *q[RING];
	mproc_event *e[RING];
	mproc_event *bell; /* a truce begins */
	_Atomic pid_t holder; /* of a token, who passes it on */
	_Atomic pid_t onlooker; /* who was just woken */
};

/* Where this process waits, if that is in a set. */
static mproc_waitset *set;

/* As mproc_wait(). What is ready in the set is told in @items, @n of
 * them, at most RING + 1. */
static int
wait_in_set(struct mproc_waitable *items, int n, mproc_timeout timeout)
{
	struct mproc_waitable ready[RING + 1];
	int r;

	chaos_does(WAITS_IN_SET);
	r = chaos_done(mproc_waitset_wait(set, ready, n, timeout));
	for (int i = 0; i < n; i++)
		items[i].ret_events = 0;
	for (int k = 0; k < r; k++)
		for (int i = 0; i < n; i++)
			if (items[i].object == ready[k].object)
				items[i].ret_events = ready[k].ret_events;
	return r;
}

static int
wait_for(struct mproc_waitable *items, int n, mproc_timeout timeout)
{
	if (set)
		return wait_in_set(items, n, timeout);
	chaos_does(WAITS);
	return chaos_done(mproc_wait(items, n, timeout));
}

static void
open_set(struct mpt *t, const struct mproc_waitable *items, int n)
{
	chaos_does(CREATES);
	mpt_check_int(t, chaos_done(mproc_waitset_create(&set)), 0);
	for (int i = 0; i < n; i++) {
		chaos_does(ADDS);
		mpt_check_int(t, chaos_done(mproc_waitset_add(set, &items[i])),
			      0);
	}
}

static void
close_set(void)
{
	if (!set)
		return;
	chaos_does(CLOSES);
	mproc_waitset_close(set);
	chaos_does(0);
	set = NULL;
}

/* Takes a token, or all if several have come. */
static void
wait_for_token(struct mpt *t, struct ring *b, unsigned me,
	       struct mpt_rand *rand)
{
	struct mproc_waitable items[] = {
		{ .kind = MPROC_WAIT_QUEUE, .object = b->q[me] },
		{ .kind = MPROC_WAIT_EVENT, .object = b->e[me] },
	};
	char byte;
	int r, got = -EAGAIN;

	if (me % 2 && !set)
		open_set(t, items, 2);
	do {
		r = wait_for(items, 2, chaos_timeout(rand));
		mpt_check(t, r > 0 || r == -ETIMEDOUT || r == -EAGAIN);
		/* What a killed producer has left may be no message. */
		if (items[0].ret_events)
			got = mproc_queue_get(b->q[me], &byte, 1, NULL,
					      MPROC_NOWAIT);
		mpt_check(t, got == 0 || got == -EAGAIN);
	} while (got < 0 && !items[1].ret_events);
	if (items[1].ret_events)
		mpt_check_int(t, mproc_event_clear(b->e[me]), 0);
}

static void
pass_on(struct mpt *t, struct ring *b, unsigned me, struct mpt_rand *rand)
{
	unsigned next = (me + 1) % RING;

	b->holder = getpid();
	if (mpt_rand_below(rand, 2))
		mpt_check_int(t, mproc_event_set(b->e[next]), 0);
	else
		mpt_check_int(t, mproc_queue_put(b->q[next], "x", 1,
						 MPROC_FOREVER), 0);
	b->holder = 0;
}

/* Who rests has passed a token on in the truce: its successor gets one. */
static void
work_in_ring(struct mpt *t, struct ring *b, unsigned me,
	     struct mpt_rand *rand)
{
	bool rests;

	do {
		wait_for_token(t, b, me, rand);
		rests = chaos_is_truce(t);
		/* Now and then, so that sets are made and closed, too. */
		if (mpt_rand_below(rand, 16) == 0)
			close_set();
		pass_on(t, b, me, rand);
		b->chaos.finished[me]++;
	} while (!rests || chaos_rest(t, me));
	close_set();
}

static void
look_on(struct mpt *t, struct ring *b, unsigned me, struct mpt_rand *rand)
{
	struct mproc_waitable items[RING + 1];
	int r;

	for (int i = 0; i < RING; i++)
		items[i] = (struct mproc_waitable){
			.kind = MPROC_WAIT_QUEUE, .object = b->q[i],
		};
	items[RING] = (struct mproc_waitable){
		.kind = MPROC_WAIT_EVENT, .object = b->bell,
	};
	if (me % 2)
		open_set(t, items, RING + 1);
	do {
		r = wait_for(items, RING + 1, chaos_timeout(rand));
		mpt_check(t, r > 0 || r == -ETIMEDOUT || r == -EAGAIN);
		b->onlooker = getpid();
		b->chaos.finished[me]++;
		sched_yield();
	} while (!chaos_is_truce(t) || chaos_rest(t, me));
	close_set();
}

static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct ring *b = mpt_scratch(t);
	struct mpt_rand rand;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	chaos_join(t);
	if (me < RING)
		work_in_ring(t, b, me, &rand);
	else
		look_on(t, b, me, &rand);
	return 0;
}

static pid_t
inside(struct mpt *t, struct mpt_rand *rand)
{
	const struct ring *b = mpt_scratch(t);

	/* One of those who look on is never killed. */
	if (mpt_rand_below(rand, 2) &&
	    b->onlooker == b->chaos.pid[CHAOS_WORKERS - 1])
		return b->onlooker;
	return b->holder;
}

/* It may have died with a token. */
static bool
bury(struct mpt *t, unsigned number, pid_t pid)
{
	const struct ring *b = mpt_scratch(t);

	(void)pid;
	if (number < RING)
		assert_int_equal(mproc_event_set(b->e[number]), 0);
	return false;
}

static void
call(struct mpt *t)
{
	const struct ring *b = mpt_scratch(t);

	assert_int_equal(mproc_event_set(b->bell), 0);
}

/* Each one has seen a token and passed it on before it came to rest, so there
 * is one. From now on there is only one. */
static void
verify(struct mpt *t)
{
	const struct ring *b = mpt_scratch(t);
	unsigned tokens = 0;
	char byte;
	int r;

	for (int i = 0; i < RING; i++) {
		r = mproc_event_is_set(b->e[i]);
		assert_in_range(r, 0, 1);
		tokens += (unsigned)r;
		assert_int_equal(mproc_event_clear(b->e[i]), 0);
		while ((r = mproc_queue_get(b->q[i], &byte, 1, NULL,
					    MPROC_NOWAIT)) == 0)
			tokens++;
		assert_int_equal(r, -EAGAIN);
	}
	assert_true(tokens);
	assert_int_equal(mproc_event_clear(b->bell), 0);
	assert_int_equal(mproc_event_set(b->e[0]), 0);
}

static void
a_ring_goes_on_in_spite_of_kills_and_stops(struct mpt *t)
{
	struct ring *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.crowded = true,
		.deeds = deeds,
		.inside = inside,
		.bury = bury,
		.call = call,
		.verify = verify,
	};

	for (int i = 0; i < RING; i++) {
		assert_int_equal(mproc_event_create(&b->e[i]), 0);
		assert_int_equal(mproc_queue_create(&b->q[i], NULL), 0);
	}
	assert_int_equal(mproc_event_create(&b->bell), 0);
	assert_int_equal(mproc_event_set(b->e[0]), 0);
	chaos_run(t, &plan);
	print_message("# passed on or seen %llu times, %u kills\n",
		      (unsigned long long)chaos_finished(t), b->chaos.deaths);
	assert_true(mproc_arena_recover(NULL) >= 0);
	for (int i = 0; i < RING; i++) {
		mproc_event_destroy(b->e[i]);
		mproc_queue_destroy(b->q[i]);
	}
	mproc_event_destroy(b->bell);
}

chaos_both(a_ring_goes_on_in_spite_of_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(a_ring_goes_on_in_spite_of_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
