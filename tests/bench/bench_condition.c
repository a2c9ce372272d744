/* SPDX-License-Identifier: MIT */
/*
 * Conditions: libmproc's, those of the C library for several processes with a
 * plain mutex, and Python's Condition.
 *
 * Broadcast: many processes sleep; the time from notify_all, called with the
 * lock, until each of them has had the lock. Each adds one to a counter of who
 * has the lock; who notifies naps meanwhile, so that they have the CPUs and the lock.
 * Then two processes hand a token to each other, and then notifications that find
 * nobody asleep, which Python has with the lock only.
 *
 * Usage: bench_condition [rounds]
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "python.h"

#define ROUNDS 7
#define SLEEPERS_MAX 64
#define BROADCASTS 50 /* in a round */
#define NAP 50000 /* ns */
#define HANDS 5000
#define IDLE 1000000
#define PYTHON_BROADCASTS 5
#define PYTHON_HANDS 2000
#define PYTHON_IDLE 100000

enum { OURS, THEIRS, PYTHON, KINDS };

static const char *const names[KINDS] = {
	"libmproc", "pthread", "Python's Condition",
};

static struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	/* Of who has the lock. */
	unsigned turn; /* which broadcast it is */
	unsigned asleep;
	unsigned served;
	_Atomic int64_t end; /* 0: not yet */
} *shared;

static mproc_lock *lock;
static mproc_condition *condition;

static void
take(int kind)
{
	if (kind == OURS ? mproc_lock_acquire(lock, MPROC_FOREVER) :
			   pthread_mutex_lock(&shared->mutex))
		bench_die("a lock was not to be had");
}

static void
give(int kind)
{
	if (kind == OURS ? mproc_lock_release(lock) :
			   pthread_mutex_unlock(&shared->mutex))
		bench_die("a lock was not released");
}

static void
sleep_once(int kind)
{
	if (kind == OURS ? mproc_condition_wait(condition, lock,
						MPROC_FOREVER) :
			   pthread_cond_wait(&shared->cond, &shared->mutex))
		bench_die("a wait failed");
}

static void
wake_all(int kind)
{
	if (kind == OURS ? mproc_condition_notify_all(condition) < 0 :
			   pthread_cond_broadcast(&shared->cond))
		bench_die("a broadcast failed");
}

static void
wake_one(int kind)
{
	if (kind == OURS ? mproc_condition_notify(condition, 1) < 0 :
			   pthread_cond_signal(&shared->cond))
		bench_die("a signal failed");
}

static void
init(void)
{
	pthread_mutexattr_t mutex;
	pthread_condattr_t cond;

	shared = bench_shared(sizeof(*shared));
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_condattr_init(&cond);
	pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
	if (pthread_mutex_init(&shared->mutex, &mutex) ||
	    pthread_cond_init(&shared->cond, &cond))
		bench_die("pthread");
	if (mproc_lock_create(&lock) < 0 ||
	    mproc_condition_create(&condition) < 0)
		bench_die(mproc_error_detail());
}

static void
start_peers(pid_t *pids, unsigned n, void (*run)(int kind, unsigned n),
	    int kind)
{
	for (unsigned i = 0; i < n; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			bench_die("fork");
		if (pids[i] == 0) {
			run(kind, n);
			_exit(0);
		}
	}
}

static void
await_peers(const pid_t *pids, unsigned n)
{
	int status;

	for (unsigned i = 0; i < n; i++)
		if (waitpid(pids[i], &status, 0) < 0 || status)
			bench_die("a peer failed");
}

static void
sleeper(int kind, unsigned n)
{
	take(kind);
	for (unsigned i = 0; i < BROADCASTS; i++) {
		shared->asleep++;
		while (shared->turn == i)
			sleep_once(kind);
		if (++shared->served == n)
			shared->end = mproc_now();
	}
	give(kind);
}

/* Until all of them are asleep. */
static void
await_sleepers(int kind, unsigned n)
{
	for (;;) {
		take(kind);
		if (shared->asleep == n)
			return;
		give(kind);
		sched_yield();
	}
}

static int64_t
await_end(void)
{
	struct timespec nap = { .tv_nsec = NAP };

	while (!shared->end)
		nanosleep(&nap, NULL);
	return shared->end;
}

/* us for a broadcast to @n. */
static double
round_broadcast(int kind, unsigned n)
{
	pid_t pids[SLEEPERS_MAX];
	int64_t began, spent = 0;

	shared->turn = shared->asleep = 0;
	start_peers(pids, n, sleeper, kind);
	for (unsigned i = 0; i < BROADCASTS; i++) {
		await_sleepers(kind, n);
		shared->asleep = shared->served = 0;
		shared->end = 0;
		shared->turn++;
		began = mproc_now();
		wake_all(kind);
		give(kind);
		spent += await_end() - began;
	}
	await_peers(pids, n);
	return (double)spent / BROADCASTS / 1000;
}

static void
hand_on(int kind, unsigned n)
{
	unsigned me;

	(void)n;
	take(kind);
	me = shared->asleep++;
	while (shared->turn < HANDS) {
		if (shared->turn % 2 == me) {
			shared->turn++;
			wake_one(kind);
		} else {
			sleep_once(kind);
		}
	}
	give(kind);
}

/* us for each time that a token is handed on. */
static double
round_hand_on(int kind, unsigned n)
{
	int64_t began = mproc_now();
	pid_t pids[2];

	(void)n;
	shared->turn = shared->asleep = 0;
	start_peers(pids, 2, hand_on, kind);
	await_peers(pids, 2);
	return (double)(mproc_now() - began) / HANDS / 1000;
}

/* us for a notification that finds nobody, with @n processes in the arena. */
static double
round_idle(int kind, unsigned n)
{
	int64_t began = mproc_now();

	(void)n;
	for (unsigned i = 0; i < IDLE; i++)
		wake_one(kind);
	return (double)(mproc_now() - began) / IDLE / 1000;
}

/* The same in Python: how often, and for how many. */

static const char python_broadcast[] = BENCH_PYTHON
	"condition = context.Condition(context.Lock())\n"
	"turn, asleep, served, end = array(1), array(1), array(1), array(1)\n"
	"def sleeper(k):\n"
	"    with condition:\n"
	"        for i in range(a):\n"
	"            asleep[0] += 1\n"
	"            while turn[0] == i:\n"
	"                condition.wait()\n"
	"            served[0] += 1\n"
	"            if served[0] == b:\n"
	"                end[0] = now()\n"
	"def await_sleepers():\n"
	"    while True:\n"
	"        condition.acquire()\n"
	"        if asleep[0] == b:\n"
	"            return\n"
	"        condition.release()\n"
	"        os.sched_yield()\n"
	"start(b, sleeper)\n"
	"spent = 0\n"
	"for i in range(a):\n"
	"    await_sleepers()\n"
	"    asleep[0] = served[0] = end[0] = 0\n"
	"    turn[0] += 1\n"
	"    began = now()\n"
	"    condition.notify_all()\n"
	"    condition.release()\n"
	"    while not end[0]:\n"
	"        time.sleep(50e-6)\n"
	"    spent += end[0] - began\n"
	"join()\n"
	"print(spent / a / 1000)\n";

static const char python_hand_on[] = BENCH_PYTHON
	"condition = context.Condition(context.Lock())\n"
	"turn = array(1)\n"
	"def hand_on(me):\n"
	"    with condition:\n"
	"        while turn[0] < a:\n"
	"            if turn[0] % 2 == me:\n"
	"                turn[0] += 1\n"
	"                condition.notify()\n"
	"            else:\n"
	"                condition.wait()\n"
	"took = measure(2, hand_on)\n"
	"check(turn[0] == a)\n"
	"print(took / a / 1000)\n";

static const char python_idle[] = BENCH_PYTHON
	"condition = context.Condition(context.Lock())\n"
	"with condition:\n"
	"    began = now()\n"
	"    for i in range(a):\n"
	"        condition.notify()\n"
	"    print((now() - began) / a / 1000)\n";

struct contest {
	const char *what;
	double (*run)(int kind, unsigned n);
	const char *program;
	unsigned times; /* in that */
};

static double
round_of(const struct contest *c, int kind, unsigned n)
{
	return kind == PYTHON ? bench_python(c->program, c->times, n) :
				c->run(kind, n);
}

static void
compare(const struct contest *c, unsigned n, int rounds)
{
	double **us = bench_columns(KINDS, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			us[k][i] = round_of(c, k, n);
	bench_table("us", "condition: %s, %u processes", c->what, n);
	printf("%s, %u processes, %d rounds in turn\n%-20s %10s %10s %10s %9s\n",
	       c->what, n, rounds, "", "median us", "least", "most", "x pthread");
	for (int k = 0; k < KINDS; k++) {
		if (bench_is_missing(names[k], us[k]))
			continue;
		bench_row(names[k], us[k], rounds, 3);
		printf(" %9.2f\n",
		       bench_median_ratio(us[THEIRS], us[k], rounds));
	}
	bench_free_columns(us, KINDS);
}

int
main(int argc, char **argv)
{
	static const struct contest contests[] = {
		{ "notify_all until all have had the lock", round_broadcast,
		  python_broadcast, PYTHON_BROADCASTS },
		{ "hand a token on", round_hand_on, python_hand_on,
		  PYTHON_HANDS },
		{ "notify, nobody asleep", round_idle, python_idle,
		  PYTHON_IDLE },
	};
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	init();
	compare(&contests[0], 64, rounds);
	compare(&contests[0], 4, rounds);
	compare(&contests[1], 2, rounds);
	compare(&contests[2], 1, rounds);
	return 0;
}
