/* SPDX-License-Identifier: MIT */
/*
 * queue.h: messages that one thread or process holds, reserved or shown, while
 * others work, wait, shut down, destroy; and holders that end or are killed.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "common.h"
#include "mpt_times.h"

#define PRODUCERS_MAX 3
#define WORDS_MAX 200

/* In the scratch bytes. */
struct job {
	mproc_queue *q;
	bool single;
	unsigned producers;
	unsigned n; /* messages of each */
	_Atomic unsigned next_producer;
	_Atomic unsigned taken[PRODUCERS_MAX];
	_Atomic uint64_t sum[PRODUCERS_MAX];
	_Atomic pid_t tid;
	_Atomic unsigned done;
	_Atomic unsigned ready;
};

static struct job *
new_job(struct mpt *t, bool threads, bool single)
{
	struct job *job = mpt_scratch(t);

	mpt_use_threads(t, threads);
	*job = (struct job){ .single = single };
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_queue_create(
		&job->q, MPROC_OPTS(mproc_queue_opts, .capacity = 4096,
				    .single_consumer = single)), 0);
	return job;
}

static void
end(struct mpt *t, struct job *job)
{
	mpt_join_all(t);
	mproc_queue_destroy(job->q);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

/* A message says whose it is, which one, and is filled so that a torn one
 * shows. */
static unsigned
words_of(unsigned number)
{
	return 1 + (number % 50 ? number * 7 % 20 : WORDS_MAX - 1);
}

static uint64_t
word(unsigned producer, unsigned number, unsigned i)
{
	return ((uint64_t)producer << 32 | number) +
	       i * UINT64_C(0x9e3779b97f4a7c15);
}

/*
 * One of several consumers may still be copying what lay here before, and throw
 * it away: to a sanitizer that is a race with plain stores.
 */
static void
write_words(const struct job *job, void *to, unsigned producer, unsigned number)
{
	uint64_t *at = to;

	for (unsigned i = 0; i < words_of(number); i++)
		if (job->single)
			at[i] = word(producer, number, i);
		else
			__atomic_store_n(&at[i], word(producer, number, i),
					 __ATOMIC_RELAXED);
}

static int
put_in_place(const struct job *job, unsigned producer, unsigned number,
	     mproc_timeout timeout)
{
	size_t len = 8 * words_of(number);
	void *p;
	int r = mproc_queue_reserve(job->q, len + number % 3 * 8, &p, timeout);

	if (r < 0)
		return r;
	write_words(job, p, producer, number);
	if (number % 7 == 0) {
		r = mproc_queue_abort(job->q, p);
		if (r == 0)
			r = mproc_queue_reserve(job->q, len, &p, timeout);
		if (r < 0)
			return r;
		write_words(job, p, producer, number);
	}
	return mproc_queue_commit(job->q, p, len);
}

static int
put(const struct job *job, unsigned producer, unsigned number,
    mproc_timeout timeout)
{
	uint64_t words[WORDS_MAX];

	for (unsigned i = 0; i < words_of(number); i++)
		words[i] = word(producer, number, i);
	return mproc_queue_put(job->q, words, 8 * words_of(number), timeout);
}

static void
check_message(struct mpt *t, struct job *job, const uint64_t *at, size_t len,
	      int64_t last[PRODUCERS_MAX])
{
	unsigned producer = (unsigned)(at[0] >> 32), number = (unsigned)at[0];

	mpt_check(t, len >= 8 && producer < PRODUCERS_MAX);
	mpt_check_int(t, len, 8 * words_of(number));
	for (unsigned i = 0; i < len / 8; i++)
		mpt_check_int(t, at[i], word(producer, number, i));
	if (job->single)
		mpt_check_int(t, number, last[producer] + 1);
	mpt_check(t, number > last[producer]);
	last[producer] = number;
	job->taken[producer]++;
	job->sum[producer] += number;
}

static int
produce(struct mpt *t, void *arg)
{
	struct job *job = arg;
	unsigned producer = job->next_producer++;

	for (unsigned i = 0; i < job->n; i++)
		mpt_check_int(t, i % 4 == 0 ?
				      put(job, producer, i, MPROC_FOREVER) :
				      put_in_place(job, producer, i,
						   MPROC_FOREVER), 0);
	return 0;
}

static int
consume(struct mpt *t, void *arg)
{
	int64_t last[PRODUCERS_MAX] = { -1, -1, -1 };
	uint64_t buf[WORDS_MAX];
	struct job *job = arg;
	const void *p;
	size_t len;
	int r;

	for (unsigned i = 0;; i++) {
		if (i % 5 == 0) {
			r = mproc_queue_get(job->q, buf, sizeof(buf), &len,
					    MPROC_FOREVER);
			if (r < 0)
				break;
			check_message(t, job, buf, len, last);
			continue;
		}
		r = mproc_queue_peek(job->q, &p, &len, MPROC_FOREVER);
		if (r < 0)
			break;
		check_message(t, job, p, len, last);
		mpt_check_int(t, mproc_queue_release(job->q, p), 0);
	}
	mpt_check_int(t, r, -ESHUTDOWN);
	return 0;
}

static void
stream(struct mpt *t, bool threads, unsigned producers, unsigned consumers)
{
	struct job *job = new_job(t, threads, consumers == 1);
	int id[PRODUCERS_MAX];

	job->producers = producers;
	job->n = amount(4000);
	for (unsigned i = 0; i < consumers; i++)
		mpt_spawn(t, "consumer", consume, job);
	for (unsigned i = 0; i < producers; i++)
		id[i] = mpt_spawn(t, "producer", produce, job);
	for (unsigned i = 0; i < producers; i++)
		mpt_expect_exit(t, id[i], 0);
	assert_int_equal(mproc_queue_shutdown(job->q, MPROC_DRAIN), 0);
	mpt_join_all(t);
	for (unsigned i = 0; i < producers; i++) {
		assert_int_equal(job->taken[i], job->n);
		assert_int_equal(job->sum[i],
				 (uint64_t)job->n * (job->n - 1) / 2);
	}
	end(t, job);
}

#define streams(name, producers, consumers)                 \
	static void name(void **state)                      \
	{                                                   \
		stream(*state, false, producers, consumers); \
	}                                                   \
	static void name##_of_threads(void **state)         \
	{                                                   \
		stream(*state, true, producers, consumers);  \
	}

streams(one_to_one, 1, 1)
streams(three_to_one, 3, 1)
streams(one_to_two, 1, 2)
streams(three_to_three, 3, 3)

/* Until it sleeps inside the library. */
static void
await_sleep(struct mpt *t, struct job *job)
{
	mpt_until(t, job->tid);
	mpt_until(t, mpt_task_state(job->tid) == 'S');
}

#define ROUNDS 20
#define FULL 64 /* messages of 56 bytes */

static int
write_when_there_is_room(struct mpt *t, void *arg)
{
	struct job *job = arg;
	void *p;

	for (unsigned i = 0; i < FULL + ROUNDS; i++) {
		if (i == FULL)
			job->tid = gettid();
		mpt_check_int(t, mproc_queue_reserve(job->q, 56, &p,
						     i < FULL ? MPROC_NOWAIT :
								MPROC_FOREVER),
			      0);
		memset(p, (int)i, 56);
		mpt_check_int(t, mproc_queue_commit(job->q, p, 56), 0);
		job->done++;
	}
	return 0;
}

/* A release is what makes the room for the only consumer's producer. */
static void
room_is_waited_for(struct mpt *t, bool threads)
{
	struct job *job = new_job(t, threads, true);
	int64_t began;
	struct mpt_times spent = { 0 };
	const void *p;

	mpt_spawn(t, "producer", write_when_there_is_room, job);
	for (unsigned i = 0; i < ROUNDS; i++) {
		await_sleep(t, job);
		assert_int_equal(mproc_queue_peek(job->q, &p, NULL,
						  MPROC_NOWAIT), 0);
		assert_int_equal(*(const unsigned char *)p, i);
		assert_int_equal(job->done, FULL + i);
		began = mproc_now();
		assert_int_equal(mproc_queue_release(job->q, p), 0);
		mpt_until(t, job->done == FULL + i + 1);
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_true(mpt_times_median(&spent) < 25 * MS);
	end(t, job);
}

static void
a_reservation_waits_for_a_release(void **state)
{
	room_is_waited_for(*state, false);
}

static void
a_reservation_of_a_thread_waits_for_a_release(void **state)
{
	room_is_waited_for(*state, true);
}

static int
read_what_comes(struct mpt *t, void *arg)
{
	struct job *job = arg;
	const void *p;
	size_t len;

	job->tid = gettid();
	for (unsigned i = 0; i < ROUNDS; i++) {
		mpt_check_int(t, mproc_queue_peek(job->q, &p, &len,
						  MPROC_FOREVER), 0);
		mpt_check_int(t, len, i);
		mpt_check_int(t, mproc_queue_release(job->q, p), 0);
		job->done++;
	}
	return 0;
}

/* Not the reservation but the commit wakes the consumer. */
static void
a_message_is_waited_for(struct mpt *t, bool threads, bool single)
{
	struct job *job = new_job(t, threads, single);
	int64_t began;
	struct mpt_times spent = { 0 };
	void *p;

	mpt_spawn(t, "consumer", read_what_comes, job);
	for (unsigned i = 0; i < ROUNDS; i++) {
		assert_int_equal(mproc_queue_reserve(job->q, 50, &p,
						     MPROC_NOWAIT), 0);
		await_sleep(t, job);
		began = mproc_now();
		assert_int_equal(mproc_queue_commit(job->q, p, i), 0);
		mpt_until(t, job->done == i + 1);
		mpt_times_add(&spent, mproc_now() - began);
	}
	assert_true(mpt_times_median(&spent) < 25 * MS);
	end(t, job);
}

static void
a_peek_waits_for_a_commit(void **state)
{
	a_message_is_waited_for(*state, false, false);
}

static void
a_peek_of_the_only_consumer_waits_for_a_commit(void **state)
{
	a_message_is_waited_for(*state, false, true);
}

static void
a_peek_of_a_thread_waits_for_a_commit(void **state)
{
	a_message_is_waited_for(*state, true, false);
	a_message_is_waited_for(*state, true, true);
}

static int
interrupted(struct mpt *t, void *arg)
{
	struct job *job = arg;
	const void *shown;
	void *p;

	mproc_interrupt();
	mpt_check_int(t, mproc_queue_peek(job->q, &shown, NULL, MPROC_FOREVER),
		      -EINTR);
	while (put(job, 0, 1, MPROC_NOWAIT) == 0)
		;
	mproc_interrupt();
	mpt_check_int(t, mproc_queue_reserve(job->q, 8 * words_of(1), &p,
					     MPROC_FOREVER), -EINTR);
	/* Nothing was left open. */
	mpt_check_int(t, mproc_queue_peek(job->q, &shown, NULL, MPROC_NOWAIT),
		      0);
	mpt_check_int(t, mproc_queue_release(job->q, shown), 0);
	mpt_check_int(t, put(job, 0, 1, MPROC_NOWAIT), 0);
	return 0;
}

static void
an_interrupt_ends_both_waits(void **state)
{
	struct job *job = new_job(*state, false, true);

	mpt_expect_exit(*state,
			mpt_spawn(*state, "interrupted", interrupted, job), 0);
	end(*state, job);
}

static int
waits_to_write(struct mpt *t, void *arg)
{
	struct job *job = arg;
	void *p;

	while (put(job, 0, 1, MPROC_NOWAIT) == 0)
		;
	job->tid = gettid();
	mpt_check_int(t, mproc_queue_reserve(job->q, 80, &p, MPROC_FOREVER),
		      -ESHUTDOWN);
	return 0;
}

static int
waits_to_read(struct mpt *t, void *arg)
{
	struct job *job = arg;
	const void *p;

	job->tid = gettid();
	mpt_check_int(t, mproc_queue_peek(job->q, &p, NULL, MPROC_FOREVER),
		      -ESHUTDOWN);
	return 0;
}

static void
the_end_of_the_queue_ends_both_waits(void **state)
{
	for (int how = 0; how < 8; how++) {
		struct job *job = new_job(*state, how & 4, how & 2);

		mpt_spawn(*state, "waits", how & 1 ? waits_to_read :
						     waits_to_write, job);
		await_sleep(*state, job);
		if (how & 2)
			mproc_queue_destroy(job->q);
		else
			assert_int_equal(mproc_queue_shutdown(
				job->q, MPROC_DRAIN), 0);
		end(*state, job);
	}
}

/* Holds both, and looks on while another one destroys the queue. */
static int
hold_on(struct mpt *t, void *arg)
{
	struct job *job = arg;
	int64_t last[PRODUCERS_MAX] = { -1, -1, -1 };
	mproc_queue *q = job->q;
	uint64_t buf[WORDS_MAX];
	const void *shown;
	size_t len;
	void *p;

	mpt_check_int(t, put(job, 0, 0, MPROC_NOWAIT), 0);
	mpt_check_int(t, put(job, 0, 1, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_reserve(q, 100, &p, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_peek(q, &shown, &len, MPROC_NOWAIT), 0);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	/* Whatever it tries, it learns that the queue is gone, and the memory
	 * becomes nobody else's. */
	mpt_check_int(t, put(job, 0, 2, MPROC_NOWAIT), -ESTALE);
	mpt_check_int(t, mproc_queue_get(q, buf, sizeof(buf), NULL,
					 MPROC_FOREVER), -ESTALE);
	mpt_check_int(t, mproc_queue_shutdown(q, MPROC_DRAIN), -ESTALE);
	mpt_check_int(t, mproc_queue_len(q), 0);
	mproc_queue_destroy(q);
	mpt_step(t, 2);
	mpt_reach(t, 4);
	memset(p, 0xff, 100);
	check_message(t, job, shown, len, last);
	if (job->single) {
		mpt_check_int(t, mproc_queue_commit(q, p, 100), -ESTALE);
		check_message(t, job, shown, len, (int64_t[]){ -1, -1, -1 });
		mpt_check_int(t, mproc_queue_release(q, shown), -ESTALE);
	} else {
		mpt_check_int(t, mproc_queue_release(q, shown), -ESTALE);
		memset(p, 0xff, 100);
		mpt_check_int(t, mproc_queue_abort(q, p), -ESTALE);
	}
	mpt_check_int(t, mproc_queue_commit(q, p, 100), -ESTALE);
	mpt_check_int(t, mproc_queue_release(q, shown), -ESTALE);
	mpt_step(t, 4);
	mpt_reach(t, 6);
	return 0;
}

static void
what_is_held_outlives_the_queue(struct mpt *t, bool threads, bool single)
{
	struct job *job = new_job(t, threads, single);
	struct mproc_arena_stat before;
	mproc_queue *more[4];

	mpt_spawn(t, "holder", hold_on, job);
	mpt_reach(t, 1);
	before = stat_now();
	mproc_queue_destroy(job->q);
	mpt_step(t, 1);
	mpt_reach(t, 3);
	/* New queues, with lanes that are written in. */
	for (int i = 0; i < 4; i++) {
		assert_int_equal(mproc_queue_create(
			&more[i], MPROC_OPTS(mproc_queue_opts,
					     .capacity = 4096)), 0);
		assert_ptr_not_equal(more[i], job->q);
		while (mproc_queue_put(more[i], "other", 5, MPROC_NOWAIT) == 0)
			;
	}
	mpt_step(t, 3);
	mpt_reach(t, 5);
	for (int i = 0; i < 4; i++) {
		char buf[5];

		while (mproc_queue_get(more[i], buf, 5, NULL, MPROC_NOWAIT) ==
		       0)
			assert_memory_equal(buf, "other", 5);
		mproc_queue_destroy(more[i]);
	}
	/* It has let go, and the queue with it, without having ended. */
	assert_int_equal(stat_now().queues, before.queues - 1);
	mpt_step(t, 5);
	mpt_join_all(t);
}

static void
addresses_stay_good_when_the_queue_is_destroyed(void **state)
{
	what_is_held_outlives_the_queue(*state, false, false);
}

static void
the_only_consumers_stay_good_as_well(void **state)
{
	what_is_held_outlives_the_queue(*state, false, true);
}

static void
addresses_of_threads_stay_good(void **state)
{
	what_is_held_outlives_the_queue(*state, true, true);
}

/* Puts 0 and 1, reserves, peeks, and ends in one way or another. */
static int
hold_and_end(struct mpt *t, void *arg)
{
	struct job *job = arg;
	const void *shown;
	void *p;

	mpt_check_int(t, put(job, 0, 0, MPROC_NOWAIT), 0);
	mpt_check_int(t, put(job, 0, 1, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_peek(job->q, &shown, NULL, MPROC_NOWAIT),
		      0);
	mpt_check_int(t, mproc_queue_reserve(job->q, 1000, &p, MPROC_NOWAIT),
		      0);
	memset(p, 0xff, 1000);
	job->ready = 1;
	if (job->n)
		wait_to_be_killed(t);
	return 0;
}

/* What it reserved was never there; what it was shown is, for the next one, if
 * there is one consumer at a time. */
static void
after_the_holder(struct mpt *t, struct job *job)
{
	int64_t last[PRODUCERS_MAX] = { job->single ? -1 : 0, -1, -1 };
	const void *p;
	size_t len;

	mpt_check_int(t, put(job, 0, 2, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_len(job->q), job->single ? 3 : 2);
	for (int i = job->single ? 0 : 1; i < 3; i++) {
		mpt_check_int(t, mproc_queue_peek(job->q, &p, &len,
						  MPROC_NOWAIT), 0);
		check_message(t, job, p, len, last);
		mpt_check_int(t, last[0], i);
		mpt_check_int(t, mproc_queue_release(job->q, p), 0);
	}
	mpt_check_int(t, mproc_queue_peek(job->q, &p, &len, MPROC_NOWAIT),
		      -EAGAIN);
	mproc_queue_destroy(job->q);
}

static void
a_holder_that_is_killed_leaves_nothing_half(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;

	for (int single = 0; single < 2; single++) {
		struct job *job = new_job(t, false, single);
		int id;

		job->n = 1;
		id = mpt_spawn(t, "holder", hold_and_end, job);
		mpt_until(t, job->ready);
		mpt_kill(t, id);
		after_the_holder(t, job);
		expect_stat(&before);
	}
}

static void
a_holder_that_ends_leaves_nothing_half(void **state)
{
	struct mproc_arena_stat before = stat_now();
	struct mpt *t = *state;

	for (int how = 0; how < 4; how++) {
		struct job *job = new_job(t, how & 2, how & 1);

		mpt_expect_exit(t, mpt_spawn(t, "holder", hold_and_end, job),
				0);
		after_the_holder(t, job);
		expect_stat(&before);
	}
}

/* A stopped one holds up nobody but those who want its own. */
static void
a_holder_that_is_stopped_stalls_nobody(void **state)
{
	struct mpt *t = *state;
	struct job *job = new_job(t, false, false);
	int64_t last[PRODUCERS_MAX] = { 0, -1, -1 };
	uint64_t buf[WORDS_MAX];
	size_t len;
	int id;

	job->n = 1;
	id = mpt_spawn(t, "holder", hold_and_end, job);
	mpt_until(t, job->ready);
	mpt_pause(t, id);
	assert_int_equal(put(job, 1, 0, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_shutdown(job->q, MPROC_DRAIN), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_queue_get(job->q, buf, sizeof(buf), &len,
						 MPROC_FOREVER), 0);
		check_message(t, job, buf, len, last);
	}
	assert_int_equal(mproc_queue_get(job->q, buf, sizeof(buf), &len,
					 MPROC_FOREVER), -ESHUTDOWN);
	mpt_kill(t, id);
	end(t, job);
}

/* The child of a fork has nothing of what its parent holds. */
static int
forked(struct mpt *t, void *arg)
{
	struct job *job = arg;
	const void *shown, *other;
	size_t len;
	int status;
	pid_t pid;
	void *p;

	mpt_check_int(t, put(job, 0, 0, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_peek(job->q, &shown, &len, MPROC_NOWAIT),
		      0);
	mpt_check_int(t, mproc_queue_reserve(job->q, 200, &p, MPROC_NOWAIT), 0);
	pid = fork();
	if (pid == 0) {
		struct job mine = *job;
		int r;

		mpt_check_int(t, mproc_queue_commit(job->q, p, 8), -EINVAL);
		mpt_check_int(t, mproc_queue_abort(job->q, p), -EINVAL);
		mpt_check_int(t, mproc_queue_release(job->q, shown), -EINVAL);
		mpt_check_int(t, put_in_place(&mine, 1, 0, MPROC_NOWAIT), 0);
		mpt_check_int(t, mproc_queue_commit(job->q, p, 8), -EINVAL);
		r = mproc_queue_peek(job->q, &other, &len, MPROC_NOWAIT);
		mpt_check_int(t, r, job->single ? -EBUSY : 0);
		_exit(0);
	}
	mpt_check(t, pid > 0);
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check_int(t, status, 0);
	check_message(t, job, shown, len, (int64_t[]){ -1, -1, -1 });
	write_words(job, p, 0, 1);
	mpt_check_int(t, mproc_queue_commit(job->q, p, 8 * words_of(1)), 0);
	mpt_check_int(t, mproc_queue_release(job->q, shown), 0);
	return 0;
}

static void
a_forked_child_holds_nothing(void **state)
{
	struct mpt *t = *state;

	for (int single = 0; single < 2; single++) {
		struct job *job = new_job(t, false, single);
		unsigned n[2] = { 0 };
		uint64_t buf[WORDS_MAX];

		mpt_expect_exit(t, mpt_spawn(t, "parent", forked, job), 0);
		while (mproc_queue_get(job->q, buf, sizeof(buf), NULL,
				       MPROC_NOWAIT) == 0)
			n[buf[0] >> 32]++;
		assert_int_equal(n[0], 1);
		/* Its child took one with it, where that is so. */
		assert_int_equal(n[1], single);
		end(t, job);
	}
}

static void *
thread_that_holds(void *arg)
{
	struct job *job = arg;
	const void *shown;
	void *p;
	int r;

	r = mproc_queue_reserve(job->q, 1000, &p, MPROC_NOWAIT);
	if (r == 0)
		r = mproc_queue_peek(job->q, &shown, NULL, MPROC_NOWAIT);
	return (void *)(intptr_t)r;
}

/* And a thread nothing of what another one holds, or held. */
static void
what_is_held_is_the_threads_own(void **state)
{
	for (int single = 0; single < 2; single++) {
		struct job *job = new_job(*state, false, single);
		const void *shown;
		pthread_t thread;
		void *p, *r;

		assert_int_equal(put(job, 0, 0, MPROC_NOWAIT), 0);
		assert_int_equal(put(job, 0, 1, MPROC_NOWAIT), 0);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(mproc_queue_reserve(
				job->q, 8, &p, MPROC_NOWAIT), 0);
			assert_int_equal(pthread_create(
				&thread, NULL, thread_that_holds, job), 0);
			assert_int_equal(pthread_join(thread, &r), 0);
			assert_int_equal((intptr_t)r, 0);
			assert_int_equal(mproc_queue_abort(job->q, p), 0);
		}
		assert_int_equal(mproc_queue_len(job->q), single ? 2 : 0);
		assert_int_equal(mproc_queue_peek(job->q, &shown, NULL,
						  MPROC_NOWAIT),
				 single ? 0 : -EAGAIN);
		end(*state, job);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(one_to_one),
		mpt_test(one_to_one_of_threads),
		mpt_test(three_to_one),
		mpt_test(three_to_one_of_threads),
		mpt_test(one_to_two),
		mpt_test(one_to_two_of_threads),
		mpt_test(three_to_three),
		mpt_test(three_to_three_of_threads),
		mpt_test(a_reservation_waits_for_a_release),
		mpt_test(a_reservation_of_a_thread_waits_for_a_release),
		mpt_test(a_peek_waits_for_a_commit),
		mpt_test(a_peek_of_the_only_consumer_waits_for_a_commit),
		mpt_test(a_peek_of_a_thread_waits_for_a_commit),
		mpt_test(an_interrupt_ends_both_waits),
		mpt_test(the_end_of_the_queue_ends_both_waits),
		mpt_test(addresses_stay_good_when_the_queue_is_destroyed),
		mpt_test(the_only_consumers_stay_good_as_well),
		mpt_test(addresses_of_threads_stay_good),
		mpt_test(a_holder_that_is_killed_leaves_nothing_half),
		mpt_test(a_holder_that_ends_leaves_nothing_half),
		mpt_test(a_holder_that_is_stopped_stalls_nobody),
		mpt_test(a_forked_child_holds_nothing),
		mpt_test(what_is_held_is_the_threads_own),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
