/* SPDX-License-Identifier: MIT */
/*
 * queue.h with several producers and consumers, as processes and as threads:
 * every message arrives once, whole, and in its producer's order.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "common.h"
#include "mpt_rand.h"

#define PRODUCERS_MAX 8
#define BATCH_MAX 16

/* What a message is filled from. */
struct message {
	uint32_t producer;
	uint32_t number;
};

/* In the scratch bytes. */
struct job {
	mproc_queue *q;
	unsigned producers;
	unsigned n;			/* messages of each */
	bool poll;			/* with MPROC_NOWAIT */
	int batch;			/* messages in a call; 0 for single */
	_Atomic unsigned next_producer;
	_Atomic unsigned taken[PRODUCERS_MAX];
	_Atomic uint64_t sum[PRODUCERS_MAX];
};

static size_t
length_of(const struct message *m)
{
	struct mpt_rand r;

	mpt_rand_init(&r, (uint64_t)m->producer << 32 | m->number);
	return sizeof(*m) + (size_t)mpt_rand_below(&r, m->number % 50 ? 100 :
							1500);
}

static unsigned char
byte_of(const struct message *m, size_t i)
{
	return (unsigned char)(m->producer * 59 + m->number * 7 + i);
}

static void
fill(unsigned char *bytes, const struct message *m)
{
	size_t len = length_of(m);

	memcpy(bytes, m, sizeof(*m));
	for (size_t i = sizeof(*m); i < len; i++)
		bytes[i] = byte_of(m, i);
}

/* In batches of changing size, every fifth of one message in parts. */
static int
produce_batches(struct mpt *t, struct job *job, struct message m)
{
	static __thread unsigned char bytes[BATCH_MAX][2000];
	struct iovec msgs[BATCH_MAX];
	int n, r;

	while (m.number < job->n) {
		uint32_t first = m.number;

		for (n = 0; n < 1 + (int)first % job->batch; n++) {
			if (first + (uint32_t)n >= job->n)
				break;
			m.number = first + (uint32_t)n;
			fill(bytes[n], &m);
			msgs[n].iov_base = bytes[n];
			msgs[n].iov_len = length_of(&m);
		}
		if (first % 5 == 0) {
			m.number = first;
			n = 1;
			msgs[1] = (struct iovec){ bytes[0] + 5,
						  length_of(&m) - 5 };
			msgs[0].iov_len = 5;
			r = mproc_queue_putv(job->q, msgs, 2,
					     job->poll ? MPROC_NOWAIT :
							 MPROC_FOREVER);
			r = r == 0 ? 1 : r;
		} else {
			r = mproc_queue_put_many(job->q, msgs, n,
						 job->poll ? MPROC_NOWAIT :
							     MPROC_FOREVER);
		}
		m.number = first;
		if (r == -EAGAIN && job->poll) {
			sched_yield();
			continue;
		}
		mpt_check(t, r > 0 && r <= n);
		m.number += (uint32_t)r;
	}
	return 0;
}

static int
produce(struct mpt *t, void *arg)
{
	struct job *job = arg;
	struct message m = { .producer = job->next_producer++ };
	unsigned char bytes[2000];
	int r;

	if (job->batch)
		return produce_batches(t, job, m);

	for (; m.number < job->n; m.number++) {
		size_t len = length_of(&m);

		fill(bytes, &m);
		while ((r = mproc_queue_put(job->q, bytes, len,
					    job->poll ? MPROC_NOWAIT :
							MPROC_FOREVER)) ==
		       -EAGAIN && job->poll)
			sched_yield();
		mpt_check_int(t, r, 0);
	}
	return 0;
}

static void
verify(struct mpt *t, struct job *job, int64_t *last,
       const unsigned char *bytes, size_t len)
{
	struct message m;

	mpt_check(t, len >= sizeof(m));
	memcpy(&m, bytes, sizeof(m));
	mpt_check(t, m.producer < job->producers);
	mpt_check(t, (int64_t)m.number > last[m.producer]);
	mpt_check_int(t, len, length_of(&m));
	for (size_t i = sizeof(m); i < len; i++)
		mpt_check_int(t, bytes[i], byte_of(&m, i));
	last[m.producer] = m.number;
	job->taken[m.producer]++;
	job->sum[m.producer] += m.number;
}

/* One message, or several. Returns how many, or an error. */
static int
get(struct job *job, unsigned char *bytes, size_t size, struct iovec *msgs)
{
	mproc_timeout timeout = job->poll ? MPROC_NOWAIT : MPROC_FOREVER;
	int r;

	if (job->batch)
		return mproc_queue_get_many(job->q, bytes, size, msgs,
					    job->batch, timeout);
	msgs[0].iov_base = bytes;
	r = mproc_queue_get(job->q, bytes, size, &msgs[0].iov_len, timeout);
	return r == 0 ? 1 : r;
}

static int
consume(struct mpt *t, void *arg)
{
	struct iovec msgs[BATCH_MAX];
	struct job *job = arg;
	int64_t last[PRODUCERS_MAX];
	unsigned char bytes[5000];
	int r;

	for (unsigned i = 0; i < PRODUCERS_MAX; i++)
		last[i] = -1;
	for (;;) {
		r = get(job, bytes, sizeof(bytes), msgs);
		if (r == -ESHUTDOWN)
			return 0;
		if (r == -EAGAIN && job->poll) {
			sched_yield();
			continue;
		}
		mpt_check(t, r > 0);
		for (int i = 0; i < r; i++)
			verify(t, job, last, msgs[i].iov_base,
			       msgs[i].iov_len);
	}
}

struct setting {
	unsigned producers, consumers, n;
	size_t capacity;
	bool threads, single, poll;
	int batch;
	int cpus; /* all peers on so many; 0: on any */
};

/* Allows this thread, and whom it starts, the first @n of @cpus. */
static void
restrict_to(cpu_set_t cpus, int n)
{
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &cpus) && n-- <= 0)
			CPU_CLR(i, &cpus);
	assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

static void
run(struct mpt *t, struct setting s)
{
	struct job *job = mpt_scratch(t);
	struct mproc_arena_stat before = stat_now();
	int producers[PRODUCERS_MAX];
	cpu_set_t cpus;

	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	assert_int_equal(mproc_queue_create(
		&job->q, MPROC_OPTS(mproc_queue_opts, .capacity = s.capacity,
				    .single_consumer = s.single)), 0);
	job->producers = s.producers;
	job->n = amount(s.n);
	job->poll = s.poll;
	job->batch = s.batch;
	mpt_use_threads(t, s.threads);
	if (s.cpus)
		restrict_to(cpus, s.cpus);
	for (unsigned i = 0; i < s.consumers; i++)
		mpt_spawn(t, "consumer", consume, job);
	for (unsigned i = 0; i < s.producers; i++)
		producers[i] = mpt_spawn(t, "producer", produce, job);
	assert_int_equal(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
	for (unsigned i = 0; i < s.producers; i++)
		mpt_expect_exit(t, producers[i], 0);
	assert_int_equal(mproc_queue_shutdown(job->q, MPROC_DRAIN), 0);
	mpt_join_all(t);
	for (unsigned i = 0; i < s.producers; i++) {
		assert_int_equal(job->taken[i], job->n);
		assert_int_equal(job->sum[i],
				 (uint64_t)job->n * (job->n - 1) / 2);
	}
	assert_int_equal(mproc_queue_len(job->q), 0);
	mproc_queue_destroy(job->q);
	expect_stat(&before);
}

static void
one_process_to_one(void **state)
{
	run(*state, (struct setting){ 1, 1, 100000, 0, .single = true });
}

static void
one_thread_to_one(void **state)
{
	run(*state, (struct setting){ 1, 1, 100000, 0, .single = true,
				      .threads = true });
}

static void
several_processes_to_one(void **state)
{
	run(*state, (struct setting){ 4, 1, 20000, 4096, .single = true });
}

static void
several_threads_to_one(void **state)
{
	run(*state, (struct setting){ 4, 1, 20000, 4096, .single = true,
				      .threads = true });
}

static void
one_process_to_several(void **state)
{
	run(*state, (struct setting){ 1, 4, 50000, 0, .single = false });
}

static void
one_thread_to_several(void **state)
{
	run(*state, (struct setting){ 1, 4, 50000, 0, .threads = true });
}

static void
several_processes_to_several(void **state)
{
	run(*state, (struct setting){ 3, 3, 20000, 4096, .single = false });
}

static void
several_threads_to_several(void **state)
{
	run(*state, (struct setting){ 3, 3, 20000, 4096, .threads = true });
}

static void
several_processes_to_several_that_never_sleep(void **state)
{
	run(*state, (struct setting){ 2, 2, 20000, 4096, .poll = true });
}

static void
several_threads_to_several_that_never_sleep(void **state)
{
	run(*state, (struct setting){ 2, 2, 20000, 4096, .poll = true,
				      .threads = true });
}

static void
batches_of_several_processes_to_one(void **state)
{
	run(*state, (struct setting){ 4, 1, 20000, 4096, .single = true,
				      .batch = 16 });
}

static void
batches_of_several_threads_to_one(void **state)
{
	run(*state, (struct setting){ 4, 1, 20000, 4096, .single = true,
				      .threads = true, .batch = 16 });
}

static void
batches_of_several_processes_to_several(void **state)
{
	run(*state, (struct setting){ 3, 3, 20000, 4096, .batch = 16 });
}

static void
batches_of_several_threads_to_several(void **state)
{
	run(*state, (struct setting){ 3, 3, 20000, 4096, .threads = true,
				      .batch = 16 });
}

static void
batches_in_large_lanes(void **state)
{
	run(*state, (struct setting){ 2, 2, 50000, 4 << 20, .batch = 16 });
}

static void
batches_of_processes_that_never_sleep(void **state)
{
	run(*state, (struct setting){ 2, 2, 20000, 4096, .poll = true,
				      .batch = 5 });
}

static void
batches_of_threads_that_never_sleep(void **state)
{
	run(*state, (struct setting){ 2, 2, 20000, 4096, .poll = true,
				      .threads = true, .batch = 5 });
}

static void
eight_processes_on_two_cpus(void **state)
{
	run(*state, (struct setting){ 4, 4, 20000, 4096, .cpus = 2 });
}

static void
batches_of_eight_processes_on_one_cpu(void **state)
{
	run(*state, (struct setting){ 4, 4, 20000, 4096, .cpus = 1,
				      .batch = 16 });
}

/* Two queues, a question and an answer: each side is asleep in between. */
struct talk {
	mproc_queue *there, *back;
	unsigned n;
};

static int
answer(struct mpt *t, void *arg)
{
	struct talk *talk = arg;
	unsigned value;

	for (unsigned i = 0; i < talk->n; i++) {
		mpt_check_int(t, mproc_queue_get(talk->there, &value,
						 sizeof(value), NULL,
						 MPROC_FOREVER), 0);
		value++;
		mpt_check_int(t, mproc_queue_put(talk->back, &value,
						 sizeof(value), MPROC_FOREVER),
			      0);
	}
	return 0;
}

static void
talk_to(struct mpt *t)
{
	struct talk *talk = mpt_scratch(t);
	int64_t began = mproc_now();
	unsigned value;

	talk->n = amount(3000);
	assert_int_equal(mproc_queue_create(&talk->there, NULL), 0);
	assert_int_equal(mproc_queue_create(&talk->back, NULL), 0);
	mpt_spawn(t, "peer", answer, talk);
	for (unsigned i = 0; i < talk->n; i++) {
		assert_int_equal(mproc_queue_put(talk->there, &i, sizeof(i),
						 MPROC_FOREVER), 0);
		assert_int_equal(mproc_queue_get(talk->back, &value,
						 sizeof(value), NULL,
						 MPROC_FOREVER), 0);
		assert_int_equal(value, i + 1);
	}
	/* A lost wake-up would cost 50 ms. */
	assert_true(mproc_now() - began < talk->n * 10 * MS);
	mpt_join_all(t);
	mproc_queue_destroy(talk->there);
	mproc_queue_destroy(talk->back);
}

static void
question_and_answer_between_processes(void **state)
{
	talk_to(*state);
}

static void
question_and_answer_between_threads(void **state)
{
	mpt_use_threads(*state, true);
	talk_to(*state);
}

/* A queue made by a child and sent to the others through one they know. */
static int
make_a_queue(struct mpt *t, void *arg)
{
	mproc_queue *known = arg, *q;

	mpt_check_int(t, mproc_queue_create(&q, NULL), 0);
	mpt_check_int(t, mproc_queue_put(known, &q, sizeof(q), MPROC_NOWAIT),
		      0);
	mpt_check_int(t, mproc_queue_put(q, "from the child", 15,
					 MPROC_NOWAIT), 0);
	return 0;
}

static int
read_from_it(struct mpt *t, void *arg)
{
	char text[32];

	mpt_check_int(t, mproc_queue_get(arg, text, sizeof(text), NULL,
					 MPROC_FOREVER), 0);
	mpt_check(t, strcmp(text, "from the child") == 0);
	return 0;
}

static void
a_queue_made_in_a_child_is_the_familys(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before;
	mproc_queue *known, *q;

	/* What is left of the test before goes with its peers. */
	assert_true(mproc_arena_recover(NULL) >= 0);
	before = stat_now();
	assert_int_equal(mproc_queue_create(&known, NULL), 0);
	mpt_expect_exit(t, mpt_spawn(t, "maker", make_a_queue, known), 0);
	/* It outlives its maker. */
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_queue_get(known, &q, sizeof(q), NULL,
					 MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_len(q), 1);
	mpt_expect_exit(t, mpt_spawn(t, "sibling", read_from_it, q), 0);
	mproc_queue_destroy(q);
	mproc_queue_destroy(known);
	mproc_arena_recover(NULL);
	assert_int_equal(stat_now().queues, before.queues);
}

static int
put_in_many(struct mpt *t, void *arg)
{
	mproc_queue **q = arg;

	for (unsigned i = 0; i < 8; i++)
		for (unsigned k = 0; k < 100; k++)
			mpt_check_int(t, mproc_queue_put(q[(i + k) % 8], &k,
							 sizeof(k),
							 MPROC_FOREVER), 0);
	return 0;
}

static void
one_producer_serves_many_queues(void **state)
{
	struct mpt *t = *state;
	mproc_queue **q = mpt_scratch(t);
	unsigned value, n;

	for (int i = 0; i < 8; i++)
		assert_int_equal(mproc_queue_create(&q[i], NULL), 0);
	mpt_expect_exit(t, mpt_spawn(t, "producer", put_in_many, q), 0);
	for (int i = 0; i < 8; i++) {
		n = 0;
		while (mproc_queue_get(q[i], &value, sizeof(value), NULL,
				       MPROC_NOWAIT) == 0)
			n++;
		assert_int_equal(n, 100);
		mproc_queue_destroy(q[i]);
	}
}

static pthread_barrier_t seated;

static void *
take_a_seat(void *q)
{
	size_t len = mproc_queue_len(q);

	pthread_barrier_wait(&seated);
	return (void *)(uintptr_t)len;
}

/* A queue's seats stay where they are, for the next queue: there are enough
 * before the first test. */
static int
setup(void **state)
{
	pthread_t thread[PRODUCERS_MAX];
	mproc_queue *q;

	if (with_arena(state) < 0 || mproc_queue_create(&q, NULL) < 0 ||
	    pthread_barrier_init(&seated, NULL, PRODUCERS_MAX))
		return -1;
	for (int i = 0; i < PRODUCERS_MAX; i++)
		if (pthread_create(&thread[i], NULL, take_a_seat, q))
			return -1;
	for (int i = 0; i < PRODUCERS_MAX; i++)
		if (pthread_join(thread[i], NULL))
			return -1;
	pthread_barrier_destroy(&seated);
	mproc_queue_destroy(q);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(one_process_to_one),
		mpt_test(one_thread_to_one),
		mpt_test(several_processes_to_one),
		mpt_test(several_threads_to_one),
		mpt_test(one_process_to_several),
		mpt_test(one_thread_to_several),
		mpt_test(several_processes_to_several),
		mpt_test(several_threads_to_several),
		mpt_test(several_processes_to_several_that_never_sleep),
		mpt_test(several_threads_to_several_that_never_sleep),
		mpt_test(batches_of_several_processes_to_one),
		mpt_test(batches_of_several_threads_to_one),
		mpt_test(batches_of_several_processes_to_several),
		mpt_test(batches_of_several_threads_to_several),
		mpt_test(batches_in_large_lanes),
		mpt_test(batches_of_processes_that_never_sleep),
		mpt_test(batches_of_threads_that_never_sleep),
		mpt_test(eight_processes_on_two_cpus),
		mpt_test(batches_of_eight_processes_on_one_cpu),
		mpt_test(question_and_answer_between_processes),
		mpt_test(question_and_answer_between_threads),
		mpt_test(a_queue_made_in_a_child_is_the_familys),
		mpt_test(one_producer_serves_many_queues),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
