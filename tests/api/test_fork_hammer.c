/* SPDX-License-Identifier: MIT */
/*
 * All of libmproc: threads are inside every operation while another thread
 * forks again and again. No child inherits a lock that nobody will give back:
 * each uses every operation at once, with a time limit, and the messages of
 * the threads arrive as if nobody had forked.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>

#include "common.h"

/* Seconds that a child may take for a few microseconds' work. */
#define LIMIT 10

#define PRODUCERS 2

/* Headers of queues that are there at the same time, and blocks for seats of
 * those who use one: they stay. */
#define STAYING 40

struct message {
	unsigned producer;
	unsigned number;
};

static struct {
	mproc_queue *q;	       /* from the producers to the consumer */
	mproc_queue *children; /* from each child to the test */
	_Atomic bool over;
	_Atomic unsigned wrong; /* line of the first thing that went wrong */
	_Atomic unsigned rounds;
	unsigned sent[PRODUCERS];
	unsigned received[PRODUCERS];
} world;

/* In threads and children: notes what went wrong. */
#define EXPECT(cond)                                                          \
	do {                                                                  \
		if (!(cond)) {                                                \
			unsigned none = 0;                                    \
                                                                              \
			atomic_compare_exchange_strong(&world.wrong, &none,   \
						       __LINE__);             \
		}                                                             \
	} while (0)

static int
return_it(void *arg)
{
	return (int)(intptr_t)arg;
}

static void
use_the_heap(unsigned number)
{
	size_t size = 8 + number % 13 * 300;
	unsigned char *p = mproc_alloc(size);

	EXPECT(p);
	if (!p)
		return;
	EXPECT(p[0] == 0 && p[size - 1] == 0);
	memset(p, (int)number, size);
	EXPECT(mproc_is_shared(p) && p[size / 2] == (unsigned char)number);
	mproc_free(p);
}

static void
use_a_queue(unsigned number)
{
	mproc_queue *q = NULL;
	unsigned got = ~number;

	EXPECT(mproc_queue_create(&q, NULL) == 0);
	EXPECT(mproc_queue_put(q, &number, sizeof(number), MPROC_NOWAIT) == 0);
	EXPECT(mproc_queue_len(q) == 1);
	EXPECT(mproc_queue_get(q, &got, sizeof(got), NULL, MPROC_NOWAIT) == 0);
	EXPECT(got == number);
	EXPECT(mproc_queue_get(q, &got, sizeof(got), NULL, mproc_us(1)) ==
	       -ETIMEDOUT);
	EXPECT(mproc_queue_shutdown(q, MPROC_DRAIN) == 0);
	mproc_queue_destroy(q);
}

static void
use_a_process(unsigned number)
{
	int wanted = (int)(number % 200), code = -1;
	mproc_process *p = NULL;

	EXPECT(mproc_process_start(&p, return_it, (void *)(intptr_t)wanted,
				   NULL) == 0);
	EXPECT(mproc_process_join(p, MPROC_FOREVER) == 0);
	EXPECT(mproc_process_exitcode(p, &code) == 0 && code == wanted);
	mproc_process_close(p);
}

static void
look_around(void)
{
	struct mproc_arena_stat stat;

	EXPECT(mproc_arena_recover(NULL) >= 0);
	EXPECT(mproc_arena_stat(NULL, &stat) == 0);
	EXPECT(stat.participants <= 1024);
	(void)mproc_queue_len(world.q);
}

static void *
produce(void *arg)
{
	struct message m = { .producer = (unsigned)(uintptr_t)arg };

	while (!world.over) {
		EXPECT(mproc_queue_put(world.q, &m, sizeof(m),
				       MPROC_FOREVER) == 0);
		m.number++;
	}
	world.sent[m.producer] = m.number;
	return NULL;
}

static void *
consume(void *arg)
{
	struct message m;
	int r;

	while ((r = mproc_queue_get(world.q, &m, sizeof(m), NULL,
				    MPROC_FOREVER)) == 0) {
		EXPECT(m.producer < PRODUCERS);
		EXPECT(m.number == world.received[m.producer]++);
	}
	EXPECT(r == -ESHUTDOWN);
	return arg;
}

static void *
hammer_the_rest(void *arg)
{
	unsigned first = (unsigned)(uintptr_t)arg;

	for (unsigned i = first; !world.over; i++) {
		if (i % 4 == 0)
			use_a_queue(i);
		else if (i % 32 == 1)
			use_a_process(i);
		else if (i % 4 == 2)
			look_around();
		use_the_heap(i);
		world.rounds++;
	}
	return arg;
}

/* Which locks of the C library are held, a child of _Fork() does not know: it
 * must do without malloc, which attachments and handles need. */
static void
use_what_needs_no_malloc(unsigned number)
{
	struct mproc_arena_stat stat;

	for (unsigned i = 0; i < 10; i++)
		use_the_heap(number + i);
	EXPECT(mproc_arena_recover(NULL) >= 0);
	EXPECT(mproc_arena_stat(NULL, &stat) == 0);
}

static void
use_everything(unsigned number)
{
	EXPECT(mproc_queue_put(world.children, &number, sizeof(number),
			       MPROC_NOWAIT) == 0);
	use_the_heap(number);
	use_a_queue(number);
	look_around();
	use_a_process(number);
}

/* ThreadSanitizer has locks of its own, which only fork() keeps in order. */
static pid_t
fork_without_handlers(void)
{
#ifdef __SANITIZE_THREAD__
	return fork();
#else
	return _Fork();
#endif
}

static void
begin_child(void)
{
	const char *slow = getenv("MPT_SLOW");

	signal(SIGALRM, SIG_DFL);
	alarm(LIMIT * (unsigned)(slow ? atoi(slow) : 1));
	world.wrong = 0;
}

/* Nothing for _exit(), otherwise what is wrong: a line, as far as it fits. */
static int
end_of_child(void)
{
	return world.wrong ? (int)(1 + world.wrong % 254) : 0;
}

static int
be_started(void *arg)
{
	begin_child();
	use_everything((unsigned)(uintptr_t)arg);
	return end_of_child();
}

static void
run_started(unsigned number)
{
	mproc_process *p = NULL;
	int code = -1;

	assert_int_equal(mproc_process_start(&p, be_started,
					     (void *)(uintptr_t)number, NULL),
			 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 0);
	mproc_process_close(p);
}

static void
run_forked(pid_t (*do_fork)(void), void (*use)(unsigned number),
	   unsigned number)
{
	pid_t pid = do_fork();
	int status;

	if (pid == 0) {
		begin_child();
		use(number);
		_exit(end_of_child());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
expect_word_of(unsigned number)
{
	unsigned got = ~number;

	assert_int_equal(mproc_queue_get(world.children, &got, sizeof(got),
					 NULL, MPROC_NOWAIT), 0);
	assert_int_equal(got, number);
}

static void
begin_world(struct mproc_arena_stat *ret_before)
{
	assert_true(mproc_arena_recover(NULL) >= 0);
	*ret_before = stat_now();
	memset(&world, 0, sizeof(world));
	assert_int_equal(mproc_queue_create(
		&world.q, MPROC_OPTS(mproc_queue_opts, .capacity = 4096)), 0);
	assert_int_equal(mproc_queue_create(&world.children, NULL), 0);
}

static void
end_world(const struct mproc_arena_stat *before)
{
	struct mproc_arena_stat after;

	mproc_queue_destroy(world.q);
	mproc_queue_destroy(world.children);
	assert_true(mproc_arena_recover(NULL) >= 0);
	after = stat_now();
	assert_int_equal(after.queues, before->queues);
	assert_int_equal(after.participants, before->participants);
	assert_in_range(after.blocks - before->blocks, 0, STAYING);
}

static void
children_of_a_busy_process_use_everything_at_once(void **state)
{
	pthread_t producer[PRODUCERS], consumer, other[3];
	struct mproc_arena_stat before;

	mpt_watchdog(*state, 60);
	begin_world(&before);
	assert_int_equal(pthread_create(&consumer, NULL, consume, NULL), 0);
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		assert_int_equal(pthread_create(&producer[i], NULL, produce,
						(void *)i), 0);
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&other[i], NULL,
						hammer_the_rest, (void *)i),
				 0);
	mpt_until(*state, world.rounds > 10);

	for (unsigned i = 0; i < amount(600); i++) {
		if (i % 3 == 0)
			run_forked(fork, use_everything, i);
		else if (i % 3 == 1)
			run_started(i);
		else
			run_forked(fork_without_handlers,
				   use_what_needs_no_malloc, i);
		if (i % 3 < 2)
			expect_word_of(i);
		assert_int_equal(world.wrong, 0);
	}

	world.over = true;
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(producer[i], NULL);
	assert_int_equal(mproc_queue_shutdown(world.q, MPROC_DRAIN), 0);
	pthread_join(consumer, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(other[i], NULL);
	assert_int_equal(world.wrong, 0);
	for (int i = 0; i < PRODUCERS; i++) {
		assert_int_equal(world.received[i], world.sent[i]);
		assert_true(world.sent[i] > 0);
	}
	end_world(&before);
}

static void *
come_with_a_message(void *arg)
{
	struct message m = { 0 };

	EXPECT(mproc_queue_put(world.q, &m, sizeof(m), MPROC_NOWAIT) == 0);
	EXPECT(mproc_queue_get(world.q, &m, sizeof(m), NULL, mproc_sec(10)) ==
	       0);
	return arg;
}

static void *
come_for_memory(void *arg)
{
	use_the_heap(1);
	return arg;
}

/* Threads come and go, so that some are always about to join or to leave. */
static void *
come_and_go(void *arg)
{
	bool for_memory = (uintptr_t)arg % 2;
	pthread_t thread;

	while (!world.over) {
		EXPECT(pthread_create(&thread, NULL,
				      for_memory ? come_for_memory :
						   come_with_a_message,
				      NULL) == 0);
		EXPECT(pthread_join(thread, NULL) == 0);
		world.rounds++;
	}
	return arg;
}

static void
children_of_one_whose_threads_come_and_go_join_at_once(void **state)
{
	struct mproc_arena_stat before;
	pthread_t thread[3];

	mpt_watchdog(*state, 60);
	begin_world(&before);
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, come_and_go,
						(void *)i), 0);
	mpt_until(*state, world.rounds > 10);
	for (unsigned i = 0; i < amount(600); i++) {
		if (i % 2)
			run_forked(fork_without_handlers,
				   use_what_needs_no_malloc, i);
		else
			run_forked(fork, use_everything, i);
		if (i % 2 == 0)
			expect_word_of(i);
		assert_int_equal(world.wrong, 0);
	}
	world.over = true;
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(world.wrong, 0);
	assert_int_equal(mproc_queue_len(world.q), 0);
	end_world(&before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(children_of_a_busy_process_use_everything_at_once),
		mpt_test(
		     children_of_one_whose_threads_come_and_go_join_at_once),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
