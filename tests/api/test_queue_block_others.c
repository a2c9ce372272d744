/* SPDX-License-Identifier: MIT */
/*
 * queue.h: messages that are too long for a lane, between threads and between
 * processes, which wait for each other, hold what they write and read, end, and
 * are killed.
 */
#include <stdatomic.h>

#include "common.h"
#include "mpt_times.h"

#define CAPACITY 8192
#define PRODUCERS_MAX 3
#define BYTES_MAX 40000

/* In the scratch bytes. */
struct job {
	mproc_queue *q;
	bool single;
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
		&job->q, MPROC_OPTS(mproc_queue_opts, .capacity = CAPACITY,
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
 * shows. One of three lies in the lane. */
static size_t
len_of(unsigned number)
{
	return number % 3 ? 8 * (CAPACITY / 16 + number * 577 % 4400) :
			    8 * (1 + number % 100);
}

static uint64_t
word(unsigned producer, unsigned number, size_t i)
{
	return ((uint64_t)producer << 32 | number) +
	       i * UINT64_C(0x9e3779b97f4a7c15);
}

/* As in test_queue_hold_others.c: what lies in a lane may be copied, and thrown
 * away, while it is written. */
static void
write_words(void *to, unsigned producer, unsigned number)
{
	uint64_t *at = to;

	for (size_t i = 0; i < len_of(number) / 8; i++)
		__atomic_store_n(&at[i], word(producer, number, i),
				 __ATOMIC_RELAXED);
}

static int
put_in_place(const struct job *job, unsigned producer, unsigned number,
	     mproc_timeout timeout)
{
	size_t len = len_of(number);
	void *p;
	int r = mproc_queue_reserve(job->q, len + number % 5 * 8, &p, timeout);

	if (r < 0)
		return r;
	write_words(p, producer, number);
	if (number % 7 == 0) {
		r = mproc_queue_abort(job->q, p);
		if (r == 0)
			r = mproc_queue_reserve(job->q, len, &p, timeout);
		if (r < 0)
			return r;
		write_words(p, producer, number);
	}
	return mproc_queue_commit(job->q, p, len);
}

static int
put(const struct job *job, unsigned producer, unsigned number,
    mproc_timeout timeout)
{
	uint64_t words[BYTES_MAX / 8];

	write_words(words, producer, number);
	return mproc_queue_put(job->q, words, len_of(number), timeout);
}

static void
check_bytes(struct mpt *t, const uint64_t *at, size_t len, unsigned producer,
	    unsigned number)
{
	mpt_check_int(t, len, len_of(number));
	for (size_t i = 0; i < len / 8; i++)
		if (at[i] != word(producer, number, i))
			mpt_fail(t, __FILE__, __LINE__, "word %zu of %zu", i,
				 len / 8);
}

static void
check_message(struct mpt *t, struct job *job, const uint64_t *at, size_t len,
	      int64_t last[PRODUCERS_MAX])
{
	unsigned producer = (unsigned)(at[0] >> 32), number = (unsigned)at[0];

	mpt_check(t, len >= 8 && producer < PRODUCERS_MAX);
	check_bytes(t, at, len, producer, number);
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
		mpt_check_int(t, i % 4 < 2 ?
				      put(job, producer, i, MPROC_FOREVER) :
				      put_in_place(job, producer, i,
						   MPROC_FOREVER), 0);
	return 0;
}

static int
consume(struct mpt *t, void *arg)
{
	int64_t last[PRODUCERS_MAX] = { -1, -1, -1 };
	uint64_t buf[BYTES_MAX / 8];
	struct job *job = arg;
	struct iovec msgs[4];
	const void *p;
	size_t len;
	int r;

	for (unsigned i = 0;; i++) {
		if (i % 3 == 0) {
			r = mproc_queue_get(job->q, buf, sizeof(buf), &len,
					    MPROC_FOREVER);
			if (r < 0)
				break;
			check_message(t, job, buf, len, last);
		} else if (i % 3 == 1) {
			r = mproc_queue_get_many(job->q, buf, sizeof(buf), msgs,
						 4, MPROC_FOREVER);
			if (r < 0)
				break;
			for (int j = 0; j < r; j++)
				check_message(t, job, msgs[j].iov_base,
					      msgs[j].iov_len, last);
		} else {
			r = mproc_queue_peek(job->q, &p, &len, MPROC_FOREVER);
			if (r < 0)
				break;
			check_message(t, job, p, len, last);
			mpt_check_int(t, mproc_queue_release(job->q, p), 0);
		}
	}
	mpt_check_int(t, r, -ESHUTDOWN);
	return 0;
}

static void
stream(struct mpt *t, bool threads, unsigned producers, unsigned consumers)
{
	struct job *job = new_job(t, threads, consumers == 1);
	int id[PRODUCERS_MAX];

	job->n = amount(5000);
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
#define FULL 4 /* of the longest ones, each a quarter of the lane */

static unsigned
long_number(unsigned i)
{
	return 3 * i + 1;
}

static int
put_when_there_is_room(struct mpt *t, void *arg)
{
	struct job *job = arg;

	for (unsigned i = 0; i < FULL + ROUNDS; i++) {
		if (i == FULL)
			job->tid = gettid();
		mpt_check_int(t, put(job, 0, long_number(i), i < FULL ?
					     MPROC_NOWAIT : MPROC_FOREVER), 0);
		job->done++;
	}
	return 0;
}

/* As it is for all messages: the wake-up comes at once, not with the next look
 * for the dead. */
static void
room_is_waited_for(struct mpt *t, bool threads, bool single)
{
	struct job *job = new_job(t, threads, single);
	uint64_t buf[BYTES_MAX / 8];
	int64_t began;
	struct mpt_times spent[2] = { 0 };
	const void *p;
	size_t len;

	mpt_spawn(t, "producer", put_when_there_is_room, job);
	for (unsigned i = 0; i < ROUNDS; i++) {
		await_sleep(t, job);
		assert_int_equal(job->done, FULL + i);
		began = mproc_now();
		if (i % 2) {
			assert_int_equal(mproc_queue_peek(
				job->q, &p, &len, MPROC_NOWAIT), 0);
			check_bytes(t, p, len, 0, long_number(i));
			assert_int_equal(mproc_queue_release(job->q, p), 0);
		} else {
			assert_int_equal(mproc_queue_get(job->q, buf,
							 sizeof(buf), &len,
							 MPROC_NOWAIT), 0);
			check_bytes(t, buf, len, 0, long_number(i));
		}
		mpt_until(t, job->done == FULL + i + 1);
		mpt_times_add(&spent[i % 2], mproc_now() - began);
	}
	for (int k = 0; k < 2; k++)
		assert_true(mpt_times_median(&spent[k]) < 25 * MS);
	end(t, job);
}

static int
get_what_comes(struct mpt *t, void *arg)
{
	struct job *job = arg;
	uint64_t buf[BYTES_MAX / 8];
	const void *p;
	size_t len;

	job->tid = gettid();
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (i % 2) {
			mpt_check_int(t, mproc_queue_peek(job->q, &p, &len,
							  MPROC_FOREVER), 0);
			check_bytes(t, p, len, 0, long_number(i));
			mpt_check_int(t, mproc_queue_release(job->q, p), 0);
		} else {
			mpt_check_int(t, mproc_queue_get(job->q, buf,
							 sizeof(buf), &len,
							 MPROC_FOREVER), 0);
			check_bytes(t, buf, len, 0, long_number(i));
		}
		job->done++;
	}
	return 0;
}

static void
a_message_is_waited_for(struct mpt *t, bool threads, bool single)
{
	struct job *job = new_job(t, threads, single);
	int64_t began;
	struct mpt_times spent[2] = { 0 };

	mpt_spawn(t, "consumer", get_what_comes, job);
	for (unsigned i = 0; i < ROUNDS; i++) {
		await_sleep(t, job);
		began = mproc_now();
		assert_int_equal((i / 2 % 2 ? put : put_in_place)(
			job, 0, long_number(i), MPROC_NOWAIT), 0);
		mpt_until(t, job->done == i + 1);
		mpt_times_add(&spent[i / 2 % 2], mproc_now() - began);
	}
	for (int k = 0; k < 2; k++)
		assert_true(mpt_times_median(&spent[k]) < 25 * MS);
	end(t, job);
}

/* Processes and threads, both kinds of queues. */
#define in_all_settings(name, what)                   \
	static void name(void **state)                \
	{                                             \
		for (int i = 0; i < 4; i++)           \
			what(*state, i & 1, i & 2);   \
	}

in_all_settings(a_put_waits_for_room, room_is_waited_for)
in_all_settings(a_get_waits_for_a_message, a_message_is_waited_for)

static int
hold_on(struct mpt *t, void *arg)
{
	struct job *job = arg;
	mproc_queue *q = job->q;
	uint64_t buf[BYTES_MAX / 8];
	const void *shown;
	size_t len;
	void *p;

	mpt_check_int(t, put(job, 0, 1, MPROC_NOWAIT), 0);
	mpt_check_int(t, put(job, 0, 2, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_reserve(q, BYTES_MAX, &p, MPROC_NOWAIT),
		      0);
	mpt_check_int(t, mproc_queue_peek(q, &shown, &len, MPROC_NOWAIT), 0);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	mpt_check_int(t, put(job, 0, 4, MPROC_NOWAIT), -ESTALE);
	mpt_check_int(t, mproc_queue_get(q, buf, sizeof(buf), NULL,
					 MPROC_FOREVER), -ESTALE);
	mpt_step(t, 2);
	mpt_reach(t, 4);
	memset(p, 0xff, BYTES_MAX);
	check_bytes(t, shown, len, 0, 1);
	if (job->single) {
		mpt_check_int(t, mproc_queue_commit(q, p, BYTES_MAX), -ESTALE);
		check_bytes(t, shown, len, 0, 1);
		mpt_check_int(t, mproc_queue_release(q, shown), -ESTALE);
	} else {
		mpt_check_int(t, mproc_queue_release(q, shown), -ESTALE);
		memset(p, 0xff, BYTES_MAX);
		mpt_check_int(t, mproc_queue_abort(q, p), -ESTALE);
	}
	mpt_check_int(t, mproc_queue_commit(q, p, 100), -ESTALE);
	mpt_check_int(t, mproc_queue_release(q, shown), -ESTALE);
	mpt_step(t, 4);
	mpt_reach(t, 6);
	return 0;
}

/* Others write in as much memory as they can get meanwhile. */
static void
what_is_held_outlives_the_queue(struct mpt *t, bool threads, bool single)
{
	struct job *job = new_job(t, threads, single), other = *job;
	struct mproc_arena_stat before;
	uint64_t buf[BYTES_MAX / 8];
	size_t len;

	mpt_spawn(t, "holder", hold_on, job);
	mpt_reach(t, 1);
	before = stat_now();
	mproc_queue_destroy(job->q);
	mpt_step(t, 1);
	mpt_reach(t, 3);
	assert_int_equal(mproc_queue_create(
		&other.q, MPROC_OPTS(mproc_queue_opts, .capacity = CAPACITY)),
		0);
	assert_ptr_not_equal(other.q, job->q);
	for (unsigned i = 0; i < FULL; i++)
		assert_int_equal(put(&other, 1, long_number(i), MPROC_NOWAIT),
				 0);
	mpt_step(t, 3);
	mpt_reach(t, 5);
	for (unsigned i = 0; i < FULL; i++) {
		assert_int_equal(mproc_queue_get(other.q, buf, sizeof(buf),
						 &len, MPROC_NOWAIT), 0);
		check_bytes(t, buf, len, 1, long_number(i));
	}
	mproc_queue_destroy(other.q);
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
	what_is_held_outlives_the_queue(*state, true, false);
}

static void
the_only_consumers_stay_good_among_threads(void **state)
{
	what_is_held_outlives_the_queue(*state, true, true);
}

/* Puts 1 and 2, peeks, reserves, and ends in one way or another. */
static int
hold_and_end(struct mpt *t, void *arg)
{
	struct job *job = arg;
	const void *shown;
	size_t len;
	void *p;

	mpt_check_int(t, put(job, 0, 1, MPROC_NOWAIT), 0);
	mpt_check_int(t, put(job, 0, 2, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_peek(job->q, &shown, &len, MPROC_NOWAIT),
		      0);
	check_bytes(t, shown, len, 0, 1);
	mpt_check_int(t, mproc_queue_reserve(job->q, BYTES_MAX, &p,
					     MPROC_NOWAIT), 0);
	memset(p, 0xff, BYTES_MAX);
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
	const void *p;
	size_t len;

	mpt_check_int(t, put(job, 0, 4, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_len(job->q), job->single ? 3 : 2);
	for (unsigned i = job->single ? 1 : 2; i < 5; i += i) {
		mpt_check_int(t, mproc_queue_peek(job->q, &p, &len,
						  MPROC_NOWAIT), 0);
		check_bytes(t, p, len, 0, i);
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

/* Ends with one message reserved, and, where others may have it then, another
 * one shown. */
static int
peek_and_end(struct mpt *t, void *arg)
{
	struct job *job = arg;
	const void *shown;
	void *p;

	mpt_check_int(t, put(job, 0, 1, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_reserve(job->q, BYTES_MAX, &p,
					     MPROC_NOWAIT), 0);
	for (size_t i = job->single ? 1 : mproc_queue_len(job->q); i; i--) {
		mpt_check_int(t, mproc_queue_peek(job->q, &shown, NULL,
						  MPROC_NOWAIT), 0);
		if (job->single || i > 1)
			mpt_check_int(t, mproc_queue_release(job->q, shown), 0);
	}
	job->ready++;
	if (job->n)
		wait_to_be_killed(t);
	return 0;
}

/* What many of them held, one after the other, comes back: the queue needs no
 * more memory after them than after the first few. */
static void
holders_come_and_go(struct mpt *t, bool threads, bool single, bool killed)
{
	struct job *job = new_job(t, threads, single);
	struct mproc_arena_stat used = { 0 };
	int id;

	job->n = killed;
	for (unsigned i = 0; i < 20; i++) {
		id = mpt_spawn(t, "holder", peek_and_end, job);
		mpt_until(t, job->ready == i + 1);
		if (killed)
			mpt_kill(t, id);
		else
			mpt_expect_exit(t, id, 0);
		assert_true(mproc_arena_recover(NULL) >= 0);
		assert_int_equal(mproc_queue_len(job->q), 0);
		if (i == 3)
			used = stat_now();
		else if (i > 3)
			assert_int_equal(stat_now().used, used.used);
	}
	end(t, job);
}

static void
blocks_of_the_killed_are_used_again(void **state)
{
	holders_come_and_go(*state, false, false, true);
	holders_come_and_go(*state, false, true, true);
}

static void
blocks_of_those_that_end_are_used_again(void **state)
{
	for (int i = 0; i < 4; i++)
		holders_come_and_go(*state, i & 1, i & 2, false);
}

/* A stopped one holds up nobody but those who want its own. */
static void
a_holder_that_is_stopped_stalls_nobody(void **state)
{
	struct mpt *t = *state;
	struct job *job = new_job(t, false, false);
	uint64_t buf[BYTES_MAX / 8];
	size_t len;
	int id;

	job->n = 1;
	id = mpt_spawn(t, "holder", hold_and_end, job);
	mpt_until(t, job->ready);
	mpt_pause(t, id);
	assert_int_equal(put(job, 1, 1, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_shutdown(job->q, MPROC_DRAIN), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_queue_get(job->q, buf, sizeof(buf), &len,
						 MPROC_FOREVER), 0);
		check_bytes(t, buf, len, (unsigned)(buf[0] >> 32),
			    (unsigned)buf[0]);
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

	mpt_check_int(t, put(job, 0, 1, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_queue_peek(job->q, &shown, &len, MPROC_NOWAIT),
		      0);
	mpt_check_int(t, mproc_queue_reserve(job->q, BYTES_MAX, &p,
					     MPROC_NOWAIT), 0);
	pid = fork();
	if (pid == 0) {
		mpt_check_int(t, mproc_queue_commit(job->q, p, 8), -EINVAL);
		mpt_check_int(t, mproc_queue_abort(job->q, p), -EINVAL);
		mpt_check_int(t, mproc_queue_release(job->q, shown), -EINVAL);
		mpt_check_int(t, put_in_place(job, 1, 1, MPROC_NOWAIT), 0);
		mpt_check_int(t, mproc_queue_commit(job->q, p, 8), -EINVAL);
		mpt_check_int(t, mproc_queue_peek(job->q, &other, &len,
						  MPROC_NOWAIT),
			      job->single ? -EBUSY : 0);
		mpt_check(t, job->single || other != shown);
		_exit(0);
	}
	mpt_check(t, pid > 0);
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check_int(t, status, 0);
	check_bytes(t, shown, len, 0, 1);
	write_words(p, 0, 2);
	mpt_check_int(t, mproc_queue_commit(job->q, p, len_of(2)), 0);
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
		uint64_t buf[BYTES_MAX / 8];

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
		mpt_test(a_put_waits_for_room),
		mpt_test(a_get_waits_for_a_message),
		mpt_test(addresses_stay_good_when_the_queue_is_destroyed),
		mpt_test(the_only_consumers_stay_good_as_well),
		mpt_test(addresses_of_threads_stay_good),
		mpt_test(the_only_consumers_stay_good_among_threads),
		mpt_test(a_holder_that_is_killed_leaves_nothing_half),
		mpt_test(a_holder_that_ends_leaves_nothing_half),
		mpt_test(blocks_of_the_killed_are_used_again),
		mpt_test(blocks_of_those_that_end_are_used_again),
		mpt_test(a_holder_that_is_stopped_stalls_nobody),
		mpt_test(a_forked_child_holds_nothing),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
