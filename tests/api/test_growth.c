/* SPDX-License-Identifier: MIT */
/*
 * arena.h and queue.h: thousands of threads and processes that each use the
 * arena for a moment, in turn or some at once, and leave nothing that grows: no
 * slot, block or page of the arena, no descriptor and no mapping.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>

#include "common.h"
#include "mpt_rand.h"

/* What is made once is there after so many. */
#define WARM 100

#define CROWD 16 /* at once */

struct size {
	struct mproc_arena_stat arena;
	unsigned descriptors;
	unsigned mappings;
};

static mproc_queue *queue;

static unsigned
count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned n = 0;
	int c;

	assert_non_null(f);
	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static struct size
size_now(void)
{
	return (struct size){
		.arena = stat_now(),
		.descriptors = mpt_fd_count(),
		.mappings = count_mappings(),
	};
}

static void
expect_size(const struct size *size)
{
	struct size now = size_now();

	assert_int_equal(now.arena.queues, size->arena.queues);
	assert_int_equal(now.arena.blocks, size->arena.blocks);
	assert_int_equal(now.arena.used, size->arena.used);
	assert_int_equal(now.arena.backed, size->arena.backed);
	assert_int_equal(now.descriptors, size->descriptors);
	assert_int_equal(now.mappings, size->mappings);
}

/* The whole life of one of them: memory, a message, and a queue of its own
 * every now and then. Returns 0 if all went well. */
static int
live(unsigned number)
{
	unsigned *p = mproc_alloc(4 + number % 10 * 500);
	mproc_queue *own;

	if (!p)
		return 1;
	*p = number;
	if (mproc_queue_put(queue, p, sizeof(*p), MPROC_NOWAIT) < 0)
		return 2;
	mproc_free(p);
	if (number % 16)
		return 0;
	if (mproc_queue_create(&own, NULL) < 0)
		return 3;
	if (mproc_queue_put(own, &number, sizeof(number), MPROC_NOWAIT) < 0)
		return 4;
	mproc_queue_destroy(own);
	return 0;
}

static void *
live_in_a_thread(void *arg)
{
	return (void *)(intptr_t)live((unsigned)(uintptr_t)arg);
}

static void
run_a_thread(unsigned number)
{
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, live_in_a_thread,
					(void *)(uintptr_t)number), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
}

static void
run_a_fork(unsigned number)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(live(number));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* What an entry is told. */
struct life {
	mproc_queue *queue;
	unsigned number;
};

static int
live_in_an_entry(void *arg)
{
	const struct life *l = arg;

	queue = l->queue;
	return live(l->number);
}

static void
run_a_process(unsigned number)
{
	struct life l = { .queue = queue, .number = number };
	mproc_process *p = NULL;
	int code = -1;

	assert_int_equal(mproc_process_start(
		&p, live_in_an_entry, &l,
		MPROC_OPTS(mproc_process_opts, .arg_size = sizeof(l))), 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 0);
	mproc_process_close(p);
}

/* One after the other; each one's message is its number. Nobody looks for the
 * dead but those who come and need what they had. */
static void
run_in_turn(struct mpt *t, unsigned n, void (*run)(unsigned number))
{
	unsigned got;
	struct size size = { 0 };
	uint64_t participants;

	assert_true(mproc_arena_recover(NULL) >= 0);
	participants = stat_now().participants;
	mpt_watchdog(t, 60);
	for (unsigned i = 0; i < n; i++) {
		run(i);
		got = ~i;
		assert_int_equal(mproc_queue_get(queue, &got, sizeof(got),
						 NULL, MPROC_NOWAIT), 0);
		assert_int_equal(got, i);
		if (i % 1000 == 0)
			mpt_watchdog(t, 60);
		if (i + 1 == WARM)
			size = size_now();
	}
	expect_size(&size);
	assert_true(mproc_arena_recover(NULL) <= 1);
	assert_int_equal(stat_now().participants, participants);
}

static void
threads_in_turn_leave_no_growth(void **state)
{
	run_in_turn(*state, amount(10000), run_a_thread);
}

static void
forked_processes_in_turn_leave_no_growth(void **state)
{
	run_in_turn(*state, amount(10000), run_a_fork);
}

static void
started_processes_in_turn_leave_no_growth(void **state)
{
	/* test_process_many.c starts as many as the others. */
	run_in_turn(*state, amount(3000), run_a_process);
}

/* Some at once, of all kinds, that put in one queue. */

enum kind {
	THREAD,	   /* puts one message and ends */
	PROCESS,   /* the same */
	SLEEPER,   /* puts one message, and is killed later */
	PUTTER,	   /* puts until it is killed */
	KINDS
};

struct member {
	enum kind kind;
	unsigned id;
	pid_t pid;
	pthread_t thread;
};

struct said {
	unsigned id;
	unsigned number;
};

/* In the scratch bytes. */
struct meeting {
	_Atomic unsigned present;
	_Atomic unsigned n;
};

static struct mpt *scenario;

static int
put_number(unsigned id, unsigned number)
{
	return mproc_queue_put(queue, &(struct said){ id, number },
			       sizeof(struct said), MPROC_FOREVER);
}

/* Nobody ends before all are there. Returns 0 if all went well. */
static int
take_part(const struct member *m)
{
	struct meeting *meeting = mpt_scratch(scenario);

	if (put_number(m->id, 0) < 0)
		return 1;
	meeting->present++;
	if (m->kind == PUTTER)
		for (unsigned i = 1; put_number(m->id, i) == 0;)
			i++;
	if (m->kind == SLEEPER || m->kind == PUTTER)
		for (;;)
			pause();
	mpt_until(scenario, meeting->present >= meeting->n);
	return 0;
}

static void *
take_part_in_a_thread(void *m)
{
	return (void *)(intptr_t)take_part(m);
}

static void
begin_member(struct member *m)
{
	if (m->kind == THREAD) {
		assert_int_equal(pthread_create(&m->thread, NULL,
						take_part_in_a_thread, m), 0);
		return;
	}
	m->pid = fork();
	if (m->pid == 0)
		_exit(take_part(m));
	assert_true(m->pid > 0);
}

static void
end_member(struct member *m)
{
	void *result = NULL;
	int status = 0;

	if (m->kind == THREAD) {
		assert_int_equal(pthread_join(m->thread, &result), 0);
		assert_null(result);
		return;
	}
	if (m->kind != PROCESS)
		assert_int_equal(kill(m->pid, SIGKILL), 0);
	assert_int_equal(waitpid(m->pid, &status, 0), m->pid);
	if (m->kind == PROCESS)
		assert_int_equal(status, 0);
	else
		assert_true(WIFSIGNALED(status));
}

/* What members 0 to @n - 1 have put is there, whole and in order. */
static void
expect_said(unsigned n)
{
	unsigned next[CROWD] = { 0 };
	struct said said;
	int r;

	while ((r = mproc_queue_get(queue, &said, sizeof(said), NULL,
				    MPROC_NOWAIT)) == 0) {
		assert_true(said.id < n);
		assert_int_equal(said.number, next[said.id]++);
	}
	assert_int_equal(r, -EAGAIN);
	for (unsigned i = 0; i < n; i++)
		assert_true(next[i] > 0);
}

/* @n members, of kind @kind, or of any if that is KINDS. */
static void
meet(struct mpt *t, struct mpt_rand *rand, unsigned n, enum kind kind)
{
	struct meeting *meeting = mpt_scratch(t);
	struct member members[CROWD];

	meeting->present = 0;
	meeting->n = n;
	for (unsigned i = 0; i < n; i++) {
		members[i] = (struct member){
			.kind = kind < KINDS ? kind :
				(enum kind)mpt_rand_below(rand, KINDS),
			.id = i,
		};
		begin_member(&members[i]);
	}
	mpt_until(t, meeting->present >= n);
	for (unsigned i = 0; i < n; i++)
		end_member(&members[i]);
	expect_said(n);
}

/* A full run soaks: it goes on for minutes. */
static unsigned
crowds(void)
{
	const char *level = getenv("MPT_LEVEL");

	return amount(level && strcmp(level, "full") == 0 ? 3000 : 60);
}

static void
crowds_that_come_and_go_need_no_more_than_their_peak(void **state)
{
	unsigned n = crowds(), descriptors = mpt_fd_count();
	struct mproc_arena_stat peak, now;
	struct mproc_queue_stat st;
	struct mpt_rand rand;

	scenario = *state;
	mpt_rand_init(&rand, mpt_seed());
	assert_true(mproc_arena_recover(NULL) >= 0);
	/* As many as there can be, with as many dead before them. */
	for (int i = 0; i < 3; i++)
		meet(*state, &rand, CROWD, SLEEPER);
	peak = stat_now();
	for (unsigned i = 0; i < n; i++) {
		mpt_watchdog(*state, 60);
		meet(*state, &rand, 1 + (unsigned)mpt_rand_below(&rand, CROWD),
		     KINDS);
		if (mpt_rand_below(&rand, 4) == 0)
			assert_true(mproc_arena_recover(NULL) >= 0);
		now = stat_now();
		assert_true(now.blocks <= peak.blocks);
		assert_true(now.used <= peak.used);
		assert_true(now.backed <= peak.backed);
	}
	assert_int_equal(mproc_queue_stat(queue, &st), 0);
	assert_true(st.lanes <= CROWD);
	assert_int_equal(mpt_fd_count(), descriptors);
	assert_true(mproc_arena_recover(NULL) >= 0);
}

static int
setup(void **state)
{
	if (with_arena(state) < 0)
		return -1;
	return mproc_queue_create(&queue, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	mproc_queue_destroy(queue);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(threads_in_turn_leave_no_growth),
		mpt_test(forked_processes_in_turn_leave_no_growth),
		mpt_test(started_processes_in_turn_leave_no_growth),
		mpt_test(crowds_that_come_and_go_need_no_more_than_their_peak),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
