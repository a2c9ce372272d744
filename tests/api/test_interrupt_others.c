/* SPDX-License-Identifier: MIT */
/*
 * core.h: mproc_interrupt() - whom it concerns and whom not, and that no
 * message is lost by it. See interrupt.h.
 */
#include <sched.h>
#include <sys/wait.h>

#include "interrupt.h"

/* A thread that has been there before the interrupt, and one made after it. */
static int
wait_later(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_step(t, 0);
	mpt_reach(t, 2);
	mpt_check_int(t, wait_in(b, GET, MPROC_FOREVER), -EINTR);
	mpt_check_int(t, wait_in(b, GET, mproc_ms(1)), -ETIMEDOUT);
	return 0;
}

static int
wait_in_vain(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	mproc_process *p;
	int64_t began = mproc_now();

	(void)arg;
	mpt_check_int(t, wait_in(b, GET, mproc_ms(5)), -ETIMEDOUT);
	fill(t, b->full);
	mpt_check_int(t, wait_in(b, PUT, mproc_ms(5)), -ETIMEDOUT);
	mpt_check_int(t, mproc_process_start(&p, run_on_and_on, t, NULL), 0);
	mpt_check_int(t, mproc_process_join(p, mproc_ms(5)), -ETIMEDOUT);
	mpt_check_int(t, mproc_process_stop(p, MPROC_NOWAIT), 0);
	mproc_process_close(p);
	mpt_check(t, mproc_now() - began >= 15 * MS);
	return 0;
}

static int
wait_in_vain_when_started(void *t)
{
	return wait_in_vain(t, NULL);
}

static void
a_thread_made_before_is_concerned_and_one_made_after_is_not(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	int id;

	mpt_use_threads(t, true);
	id = mpt_spawn(t, "older", wait_later, NULL);
	mpt_reach(t, 1);
	mproc_interrupt();
	let_pass(t, TICK);
	mpt_expect_exit(t, mpt_spawn(t, "newer", wait_in_vain, NULL), 0);
	mpt_step(t, 1);
	mpt_expect_exit(t, id, 0);
	end(t, b);
}

/* Ways to make a child, of a thread that has an interrupt to answer. */
static void
expect_children_unconcerned(struct mpt *t)
{
	mproc_process *p;
	int code = -1;
	pid_t pid;

	pid = fork();
	if (pid == 0)
		_exit(wait_in_vain(t, NULL));
	mpt_check(t, pid > 0);
	mpt_check_int(t, waitpid(pid, &code, 0), pid);
	mpt_check_int(t, code, 0);

	mpt_check_int(t, mproc_process_start(&p, wait_in_vain_when_started, t,
					     NULL), 0);
	while (mproc_process_is_alive(p))
		sched_yield();
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, 0);
	mproc_process_close(p);
}

static int
fork_before_waiting(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mpt_step(t, 0);
	mpt_reach(t, 2);
	expect_children_unconcerned(t);
	mpt_check_int(t, wait_in(b, GET, MPROC_FOREVER), -EINTR);
	return 0;
}

static void
children_are_not_concerned(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	int id;

	/* A thread that has answered before, and one that has never waited. */
	assert_int_equal(wait_in(b, GET, mproc_us(1)), -ETIMEDOUT);
	mpt_use_threads(t, true);
	id = mpt_spawn(t, "other", fork_before_waiting, NULL);
	mpt_reach(t, 1);
	mproc_interrupt();
	expect_children_unconcerned(t);
	assert_int_equal(wait_in(b, GET, MPROC_FOREVER), -EINTR);
	expect_children_unconcerned(t);
	mpt_step(t, 1);
	mpt_expect_exit(t, id, 0);
	end(t, b);
}

static int
interrupt_oneself(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);

	(void)arg;
	mproc_interrupt();
	mpt_check_int(t, wait_in(b, GET, MPROC_FOREVER), -EINTR);
	mpt_check_int(t, wait_in(b, GET, mproc_ms(1)), -ETIMEDOUT);
	handle_interrupts(b);
	raise(SIGUSR1);
	mpt_check_int(t, wait_in(b, GET, MPROC_FOREVER), -EINTR);
	mpt_check_int(t, wait_in(b, GET, mproc_ms(1)), -ETIMEDOUT);
	return 0;
}

static int
interrupt_oneself_when_started(void *t)
{
	return interrupt_oneself(t, NULL);
}

static void
a_child_has_interrupts_of_its_own(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	mproc_process *p;
	int code;

	mpt_expect_exit(t, mpt_spawn(t, "child", interrupt_oneself, NULL), 0);
	assert_int_equal(mproc_process_start(
		&p, interrupt_oneself_when_started, t, NULL), 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 0);
	mproc_process_close(p);
	/* Nothing of it has come here. */
	assert_int_equal(wait_in(b, GET, mproc_ms(1)), -ETIMEDOUT);
	/* The same for children that have found one of their parent's. */
	mproc_interrupt();
	mpt_expect_exit(t, mpt_spawn(t, "child", interrupt_oneself, NULL), 0);
	assert_int_equal(wait_in(b, GET, MPROC_FOREVER), -EINTR);
	assert_int_equal(wait_in(b, GET, mproc_ms(1)), -ETIMEDOUT);
	end(t, b);
}

/* In another process of the family. */
static int
get_one(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct waiter *w = arg;

	w->tid = gettid();
	mpt_check_int(t, wait_in(b, GET, MPROC_FOREVER), 0);
	return 0;
}

static void
other_processes_are_not_concerned(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);

	mpt_spawn(t, "consumer", get_one, &b->waiter[0]);
	mpt_until(t, b->waiter[0].tid);
	for (int i = 0; i < 5; i++) {
		await_sleep(t, &b->waiter[0]);
		mproc_interrupt();
		let_pass(t, 2 * MS);
	}
	release(t, b, 1);
	end(t, b);
}

static int
put_the_last_one(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct waiter *w = arg;
	uint64_t value = 0;
	int r;

	while ((r = mproc_queue_put(b->full, &value, sizeof(value),
				    MPROC_NOWAIT)) == 0)
		value++;
	mpt_check_int(t, r, -EAGAIN);
	w->tid = gettid();
	while ((r = mproc_queue_put(b->full, &value, sizeof(value),
				    MPROC_FOREVER)) == -EINTR)
		w->told++;
	mpt_check_int(t, r, 0);
	return 0;
}

static void
a_put_that_was_interrupted_has_put_nothing(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	struct waiter *w = &b->waiter[0];
	uint64_t value, n;
	size_t len;

	mpt_use_threads(t, true);
	mpt_spawn(t, "producer", put_the_last_one, w);
	mpt_until(t, w->tid);
	n = mproc_queue_len(b->full);
	assert_true(n > 0);
	for (unsigned i = 1; i <= 5; i++) {
		mproc_interrupt();
		mpt_until(t, w->told == i);
		assert_int_equal(mproc_queue_len(b->full), n);
	}
	for (uint64_t i = 0; i <= n; i++) {
		mpt_until(t, mproc_queue_len(b->full) > 0);
		assert_int_equal(mproc_queue_get(b->full, &value, sizeof(value),
						 &len, MPROC_NOWAIT), 0);
		assert_int_equal(len, sizeof(value));
		assert_int_equal(value, i);
	}
	mpt_join_all(t);
	assert_int_equal(mproc_queue_len(b->full), 0);
	end(t, b);
}

/* Takes numbers in order until a large one comes. */
static int
get_in_order(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	struct waiter *w = arg;
	unsigned value = 0;
	int r;

	w->tid = gettid();
	while (value != UINT32_MAX) {
		r = mproc_queue_get(b->empty, &value, sizeof(value), NULL,
				    MPROC_FOREVER);
		if (r == -EINTR) {
			w->told++;
			continue;
		}
		mpt_check_int(t, r, 0);
		if (value != UINT32_MAX)
			mpt_check_int(t, value, b->got++);
	}
	return 0;
}

static void
a_message_and_an_interrupt_at_once_both_arrive(void **state)
{
	struct mpt *t = *state;
	struct board *b = begin(t);
	struct waiter *w = &b->waiter[0];
	unsigned i;

	mpt_use_threads(t, true);
	mpt_spawn(t, "consumer", get_in_order, w);
	mpt_until(t, w->tid);
	for (i = 0; i < amount(500); i++) {
		if (i % 2)
			mproc_interrupt();
		assert_int_equal(mproc_queue_put(b->empty, &i, sizeof(i),
						 MPROC_NOWAIT), 0);
		if (i % 2 == 0)
			mproc_interrupt();
		mpt_until(t, b->got == i + 1 && w->told == i + 1);
	}
	i = UINT32_MAX;
	assert_int_equal(mproc_queue_put(b->empty, &i, sizeof(i),
					 MPROC_NOWAIT), 0);
	end(t, b);
}

/*
 * The storm: signals whose handlers interrupt, to whoever comes next, while
 * messages flow. What is checked is that each arrives once, whole, and in the
 * order of its producer.
 */
struct message {
	uint64_t producer;
	uint64_t seq;
	uint64_t check[5];
};

static void
write_message(struct message *m, uint64_t producer, uint64_t seq)
{
	m->producer = producer;
	m->seq = seq;
	for (uint64_t i = 0; i < 5; i++)
		m->check[i] = (seq + i) * UINT64_C(0x9e3779b97f4a7c15) ^
			      producer;
}

static int
produce(struct mpt *t, void *arg)
{
	uint64_t me = (uintptr_t)arg, seq;
	struct board *b = mpt_scratch(t);
	struct message m;
	int r;

	handle_interrupts(b);
	b->peer[b->n_peers++] = gettid();
	for (seq = 0; !b->stop; seq++) {
		write_message(&m, me, seq);
		while ((r = mproc_queue_put(b->full, &m, sizeof(m),
					    MPROC_FOREVER)) == -EINTR)
			b->interrupted++;
		mpt_check_int(t, r, 0);
		b->sent[me]++;
		b->sent_sum[me] += seq;
	}
	return 0;
}

static int
consume(struct mpt *t, void *arg)
{
	uint64_t next[PRODUCERS] = { 0 };
	struct board *b = mpt_scratch(t);
	struct message m, expected;
	size_t len;
	int r;

	(void)arg;
	handle_interrupts(b);
	b->peer[b->n_peers++] = gettid();
	for (;;) {
		r = mproc_queue_get(b->full, &m, sizeof(m), &len,
				    MPROC_FOREVER);
		if (r == -EINTR) {
			b->interrupted++;
			continue;
		}
		if (r == -ESHUTDOWN)
			return 0;
		mpt_check_int(t, r, 0);
		mpt_check_int(t, len, sizeof(m));
		mpt_check(t, m.producer < PRODUCERS);
		write_message(&expected, m.producer, m.seq);
		mpt_check(t, memcmp(&m, &expected, sizeof(m)) == 0);
		mpt_check(t, m.seq >= next[m.producer]);
		next[m.producer] = m.seq + 1;
		b->taken[m.producer]++;
		b->taken_sum[m.producer] += m.seq;
	}
}

/* To one of the peers, or to this thread. */
static void
signal_somebody(struct mpt *t, struct mpt_rand *rand, bool threads)
{
	struct board *b = mpt_scratch(t);
	uint64_t i = mpt_rand_below(rand, PRODUCERS + CONSUMERS + 1);
	pid_t tid = i < PRODUCERS + CONSUMERS ? b->peer[i] : gettid();

	mpt_check_int(t, tgkill(threads || tid == gettid() ? getpid() : tid,
				tid, SIGUSR1), 0);
}

static void
interrupt_the_flow(struct mpt *t, bool threads)
{
	struct board *b = begin(t);
	struct mpt_rand rand;
	int producer[PRODUCERS];

	mpt_rand_init(&rand, mpt_seed());
	mpt_use_threads(t, threads);
	for (uintptr_t i = 0; i < CONSUMERS; i++)
		mpt_spawn(t, "consumer", consume, NULL);
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		producer[i] = mpt_spawn(t, "producer", produce, (void *)i);
	mpt_until(t, b->n_peers == PRODUCERS + CONSUMERS);
	for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
		mpt_until(t, b->peer[i]);
	mpt_until(t, (signal_somebody(t, &rand, threads),
		      b->handled >= amount(1000)));
	b->stop = true;
	for (int i = 0; i < PRODUCERS; i++)
		mpt_expect_exit(t, producer[i], 0);
	assert_int_equal(mproc_queue_shutdown(b->full, MPROC_DRAIN), 0);
	mpt_join_all(t);
	for (int i = 0; i < PRODUCERS; i++) {
		assert_int_equal(b->taken[i], b->sent[i]);
		assert_int_equal(b->taken_sum[i], b->sent_sum[i]);
	}
	assert_true(b->interrupted > 0);
	end(t, b);
}

static void
messages_flow_through_a_storm_between_threads(void **state)
{
	interrupt_the_flow(*state, true);
}

static void
messages_flow_through_a_storm_between_processes(void **state)
{
	interrupt_the_flow(*state, false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_thread_made_before_is_concerned_and_one_made_after_is_not),
		mpt_test(children_are_not_concerned),
		mpt_test(a_child_has_interrupts_of_its_own),
		mpt_test(other_processes_are_not_concerned),
		mpt_test(a_put_that_was_interrupted_has_put_nothing),
		mpt_test(a_message_and_an_interrupt_at_once_both_arrive),
		mpt_test(messages_flow_through_a_storm_between_threads),
		mpt_test(messages_flow_through_a_storm_between_processes),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
