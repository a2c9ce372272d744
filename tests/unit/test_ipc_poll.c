/* SPDX-License-Identifier: MIT */
/*
 * Polling: not where another user of the queue may need the CPU, and only as
 * long as it pays. Where everyone runs is made up.
 */
#include <sched.h>
#include <semaphore.h>

#include <mproc/mproc.h>

#include "common.h"
#include "ipc/poll.h"
#include "os/task.h"
#include "sync/park.h"

/* A thread that has put something, and does nothing more until it is let go. */
struct peer {
	pthread_t thread;
	mproc_queue *q;
	struct mpr_participant *participant;
	unsigned slot;
	sem_t there, go;
};

static void *
put_and_stay(void *arg)
{
	struct peer *peer = arg;
	struct mpr_attachment *at = NULL;

	if (mproc_queue_put(peer->q, "1", 1, MPROC_NOWAIT) == 0 &&
	    mpr_attachment_get(peer->q, &at) == 0) {
		peer->participant = at->self->shared;
		peer->slot = at->self->slot;
	}
	sem_post(&peer->there);
	while (sem_wait(&peer->go) < 0)
		;
	return NULL;
}

static void
peer_start(struct peer *peer, mproc_queue *q)
{
	*peer = (struct peer){ .q = q };
	sem_init(&peer->there, 0, 0);
	sem_init(&peer->go, 0, 0);
	assert_int_equal(pthread_create(&peer->thread, NULL, put_and_stay,
					peer), 0);
	while (sem_wait(&peer->there) < 0)
		;
	assert_non_null(peer->participant);
}

static void
peer_end(struct peer *peer)
{
	sem_post(&peer->go);
	assert_int_equal(pthread_join(peer->thread, NULL), 0);
	sem_destroy(&peer->there);
	sem_destroy(&peer->go);
}

/* As if it slept, with the wake-ups up to now behind it. */
static void
pretend_sleep(struct peer *peer)
{
	peer->participant->wait_ticket =
		mpr_parker_ticket(&peer->participant->parker);
	peer->participant->wait_object =
		mpr_arena_offset(the_arena(), peer->q);
}

struct scene {
	mproc_queue *q;
	struct mpr_attachment *at;
	cpu_set_t before;
	unsigned cpu; /* ours, for as long as the scene lasts */
};

static void
begin(struct scene *s)
{
	cpu_set_t one;

	assert_int_equal(sched_getaffinity(0, sizeof(s->before), &s->before),
			 0);
	CPU_ZERO(&one);
	CPU_SET(mpr_task_cpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	s->cpu = mpr_task_cpu();
	assert_int_equal(mproc_queue_create(&s->q, NULL), 0);
	assert_int_equal(mpr_attachment_get(s->q, &s->at), 0);
}

static void
end(struct scene *s)
{
	mproc_queue_destroy(s->q);
	assert_int_equal(sched_setaffinity(0, sizeof(s->before), &s->before),
			 0);
}

/* How often a wait that begins now looks before it sleeps; or 0 if it does
 * nothing but let others run, for which it looks once at most. */
static unsigned
looks(struct mpr_attachment *at, bool answer)
{
	struct mpr_poll poll;
	bool spins;
	unsigned n = 0;

	mpr_poll_begin(&poll, at, answer);
	spins = poll.tight || poll.gaps;
	assert_true(!spins || !poll.yields);
	while (mpr_poll_again(&poll))
		n++;
	assert_true(spins || n <= 1);
	return spins ? n : 0;
}

static void
a_peer_on_another_cpu_is_polled_for(void **state)
{
	struct peer peer;
	struct scene s;

	(void)state;
	begin(&s);
	peer_start(&peer, s.q);
	peer.participant->cpu = s.cpu + 1;
	assert_int_equal(looks(s.at, false), s.at->patience);
	/* Who waits for an answer looks more often, at first. */
	assert_true(looks(s.at, true) > s.at->patience);
	peer_end(&peer);
	end(&s);
}

static void
a_peer_on_the_same_cpu_is_not(void **state)
{
	struct peer peer;
	struct scene s;

	(void)state;
	begin(&s);
	peer_start(&peer, s.q);
	peer.participant->cpu = s.cpu;
	assert_int_equal(looks(s.at, false), 0);
	assert_int_equal(looks(s.at, true), 0);
	assert_false(s.at->polls);
	peer.participant->cpu = s.cpu + 1;
	assert_true(looks(s.at, false) > 0);
	assert_true(s.at->polls);
	peer_end(&peer);
	end(&s);
}

static void
one_of_several_is_enough(void **state)
{
	struct peer peers[3];
	struct scene s;

	(void)state;
	begin(&s);
	for (unsigned i = 0; i < 3; i++) {
		peer_start(&peers[i], s.q);
		peers[i].participant->cpu = s.cpu + 1 + i;
	}
	assert_true(looks(s.at, false) > 0);
	peers[2].participant->cpu = s.cpu;
	assert_int_equal(looks(s.at, false), 0);
	for (unsigned i = 0; i < 3; i++)
		peer_end(&peers[i]);
	/* Who has left wants nothing. */
	assert_true(looks(s.at, false) > 0);
	end(&s);
}

static void
who_sleeps_needs_no_cpu_until_it_is_woken(void **state)
{
	struct peer peer;
	struct scene s;

	(void)state;
	begin(&s);
	peer_start(&peer, s.q);
	peer.participant->cpu = s.cpu;
	pretend_sleep(&peer);
	assert_true(mpr_is_parked(peer.participant));
	assert_true(looks(s.at, false) > 0);
	/* It has not run yet, but it is going to. */
	mpr_unpark(the_arena(), peer.slot);
	assert_false(mpr_is_parked(peer.participant));
	assert_int_equal(looks(s.at, false), 0);
	peer.participant->wait_object = 0;
	peer_end(&peer);
	end(&s);
}

/* Whether a wait that begins now lets others run. */
static bool
yields(struct mpr_attachment *at)
{
	struct mpr_poll poll;
	bool result;

	mpr_poll_begin(&poll, at, false);
	result = poll.yields > 0;
	while (mpr_poll_again(&poll))
		;
	return result;
}

/* A thread that computes all the time, on one CPU with the test. */
struct hog {
	pthread_t thread;
	unsigned cpu;
	_Atomic uint64_t *tail; /* it moves that very fast, if it is not NULL */
	_Atomic bool stop;
};

static void *
compute(void *arg)
{
	struct hog *hog = arg;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(hog->cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	while (!hog->stop)
		if (hog->tail)
			*hog->tail += 1 << 20;
	return NULL;
}

/* Of @waits waits beside a hog, how many yield. */
static unsigned
yields_beside(struct scene *s, _Atomic uint64_t *tail, unsigned waits)
{
	struct hog hog = { .cpu = s->cpu, .tail = tail };
	int64_t began = mproc_now();
	unsigned n = 0;

	assert_int_equal(pthread_create(&hog.thread, NULL, compute, &hog), 0);
	/* Until it is there. */
	while (mproc_now() - began < 50000000)
		yields(s->at);
	for (unsigned i = 0; i < waits; i++)
		n += yields(s->at);
	hog.stop = true;
	assert_int_equal(pthread_join(hog.thread, NULL), 0);
	return n;
}

/* Somebody who computes keeps the CPU for much longer than a sleep takes. */
static void
yields_that_take_long_become_rare(void **state)
{
	struct peer peer;
	struct scene s;

	(void)state;
	begin(&s);
	peer_start(&peer, s.q);
	peer.participant->cpu = s.cpu;
	assert_true(yields(s.at));
	assert_true(yields_beside(&s, NULL, 3000) < 300);
	assert_true(s.at->yields_rest > 0);
	peer_end(&peer);
	end(&s);
}

/* Somebody who puts all the time keeps it as long, and there is nothing else to
 * do. The peer does not look at its lane. */
static void
but_not_where_the_queue_is_busy(void **state)
{
	_Atomic uint64_t *tail;
	struct peer peer;
	struct scene s;
	uint64_t before;

	(void)state;
	begin(&s);
	peer_start(&peer, s.q);
	peer.participant->cpu = s.cpu;
	tail = &((struct mpr_lane *)mpr_arena_at(the_arena(),
						 s.q->lanes))->tail;
	before = *tail;
	assert_true(yields_beside(&s, tail, 200) > 100);
	*tail = before;
	peer_end(&peer);
	end(&s);
}

/* Pinned to a CPU of its own, a process still has peers elsewhere. */
static void
one_allowed_cpu_is_no_reason(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	assert_int_equal(mproc_cpu_count(), 1);
	assert_true(looks(s.at, false) > 0);
	end(&s);
}

static void
a_waker_tells_where_it_runs(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	s.at->self->shared->cpu = s.cpu + 1;
	/* As a sleeper leaves it behind: the next put looks for whom to wake. */
	atomic_store(&s.q->hint, 1);
	assert_int_equal(mproc_queue_put(s.q, "1", 1, MPROC_NOWAIT), 0);
	assert_int_equal(s.at->self->shared->cpu, s.cpu);
	end(&s);
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
	struct scene s;
	unsigned before;

	(void)state;
	begin(&s);
	s.at->patience = 8;
	/* Longer than anybody polls. */
	wait_was(s.at, 1000000);
	assert_int_equal(s.at->patience, 4);
	for (int i = 0; i < 10; i++)
		wait_was(s.at, 1000000);
	assert_int_equal(s.at->patience, 1);
	/* A sleep that polling could have bridged, if we are not kept up. */
	for (int i = 0; i < 1000 && s.at->patience < 40; i++)
		wait_was(s.at, 20000);
	assert_true(s.at->patience >= 40);
	/* One that needed no pause says nothing. */
	before = s.at->patience;
	mpr_poll_end(&(struct mpr_poll){ .at = s.at });
	assert_int_equal(s.at->patience, before);
	end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_peer_on_another_cpu_is_polled_for),
		mpt_test(a_peer_on_the_same_cpu_is_not),
		mpt_test(one_of_several_is_enough),
		mpt_test(who_sleeps_needs_no_cpu_until_it_is_woken),
		mpt_test(yields_that_take_long_become_rare),
		mpt_test(but_not_where_the_queue_is_busy),
		mpt_test(one_allowed_cpu_is_no_reason),
		mpt_test(a_waker_tells_where_it_runs),
		mpt_test(patience_is_learnt_from_the_length_of_waits),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
