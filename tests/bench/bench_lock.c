/* SPDX-License-Identifier: MIT */
/*
 * Locks: libmproc's, also recursive, those of the C library for several
 * processes, robust and plain, and Python's Lock and RLock.
 *
 * Uncontended: one process takes and releases. Contended: several processes do,
 * each adding to two counters that only the holder may touch; in the end both
 * must be what all of them did together. Then the longest wait of any of eight in
 * ten seconds. Then how soon who waits has the lock of a holder that is killed.
 *
 * Usage: bench_lock [rounds]
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "python.h"

#define ROUNDS 7
#define ALONE 5000000
#define TOGETHER 300000 /* all peers */
#define PEERS_MAX 8
#define FAIR 10 /* s */
#define DEATHS 50
#define PYTHON_ALONE 200000
#define PYTHON_TOGETHER 20000

enum { OURS, RECURSIVE, ROBUST, PLAIN, IN_C, LOCK = IN_C, RLOCK, KINDS };

static const char *const names[KINDS] = {
	"libmproc", "libmproc, recursive", "pthread, robust", "pthread, plain",
	"Python's Lock", "Python's RLock",
};

static struct shared {
	pthread_mutex_t mutex[IN_C];
	_Atomic unsigned ready;
	_Atomic unsigned go;
	_Atomic int64_t began;
	_Atomic int64_t end;
	_Atomic int64_t longest;
	_Atomic uint64_t done;
	/* Of who has the lock. */
	uint64_t counter;
	uint64_t check;
} *shared;

static mproc_lock *lock;
static mproc_rlock *rlock;

static void
take(int kind)
{
	int r = kind >= ROBUST ? pthread_mutex_lock(&shared->mutex[kind]) :
		kind == OURS   ? mproc_lock_acquire(lock, MPROC_FOREVER) :
				 mproc_rlock_acquire(rlock, MPROC_FOREVER);

	if (r)
		bench_die("a lock was not to be had");
}

static void
give(int kind)
{
	int r = kind >= ROBUST ? pthread_mutex_unlock(&shared->mutex[kind]) :
		kind == OURS   ? mproc_lock_release(lock) :
				 mproc_rlock_release(rlock);

	if (r)
		bench_die("a lock was not released");
}

static void
init_mutex(int kind)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (kind == ROBUST)
		pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (pthread_mutex_init(&shared->mutex[kind], &attr))
		bench_die("pthread_mutex_init");
}

/* ns for a pair, without anybody else. */
static double
round_alone(int kind)
{
	int64_t began = mproc_now();

	shared->counter = 0;
	for (unsigned i = 0; i < ALONE; i++) {
		take(kind);
		shared->counter++;
		give(kind);
	}
	if (shared->counter != ALONE)
		bench_die("a wrong count");
	return (double)(mproc_now() - began) / ALONE;
}

static void
meet(void)
{
	shared->ready++;
	while (!shared->go)
		sched_yield();
}

static void
add_one(int kind)
{
	take(kind);
	shared->counter++;
	shared->check += shared->counter;
	give(kind);
}

static void
contend(int kind, unsigned n)
{
	meet();
	for (unsigned i = 0; i < n; i++)
		add_one(kind);
	shared->end = mproc_now();
}

/* For @ns, and notes the longest time that a lock was waited for. */
static void
contend_for(int kind, int64_t ns)
{
	int64_t longest = 0, seen, began, took;
	uint64_t n = 0;

	meet();
	for (int64_t end = mproc_now() + ns; mproc_now() < end; n++) {
		began = mproc_now();
		add_one(kind);
		took = mproc_now() - began;
		longest = took > longest ? took : longest;
	}
	seen = shared->longest;
	while (seen < longest &&
	       !atomic_compare_exchange_weak(&shared->longest, &seen, longest))
		;
	shared->done += n;
}

/* Starts @peers processes at once and waits for their end; returns when they
 * began. Each adds @n times, or for @ns. */
static int64_t
run_peers(int kind, unsigned peers, unsigned n, int64_t ns)
{
	pid_t pids[PEERS_MAX];
	int64_t began;
	uint64_t sum;
	int status;

	shared->ready = shared->go = 0;
	shared->counter = shared->check = 0;
	shared->longest = 0;
	shared->done = 0;
	for (unsigned i = 0; i < peers; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			bench_die("fork");
		if (pids[i])
			continue;
		if (ns)
			contend_for(kind, ns);
		else
			contend(kind, n);
		_exit(0);
	}
	while (shared->ready < peers)
		sched_yield();
	began = mproc_now();
	shared->go = 1;
	for (unsigned i = 0; i < peers; i++)
		if (waitpid(pids[i], &status, 0) < 0 || status)
			bench_die("a peer failed");
	sum = ns ? shared->done : (uint64_t)n * peers;
	if (shared->counter != sum || shared->check != sum * (sum + 1) / 2)
		bench_die("a wrong count");
	return began;
}

/* ns for a pair, by @peers processes together. */
static double
round_together(int kind, unsigned peers)
{
	unsigned n = TOGETHER / peers;
	int64_t began = run_peers(kind, peers, n, 0);

	return (double)(shared->end - began) / (double)(n * peers);
}

/* How often, and by how many processes. */
#define PYTHON_PAIRS                                                          \
	"count = array(1)\n"                                                  \
	"def pairs(i):\n"                                                     \
	"    for i in range(a // b):\n"                                       \
	"        lock.acquire()\n"                                            \
	"        count[0] += 1\n"                                             \
	"        lock.release()\n"                                            \
	"if b == 1:\n"                                                        \
	"    began = now()\n"                                                 \
	"    pairs(0)\n"                                                      \
	"    took = now() - began\n"                                          \
	"else:\n"                                                             \
	"    took = measure(b, pairs)\n"                                      \
	"check(count[0] == a // b * b)\n"                                     \
	"print(took / count[0])\n"

/* ns for a pair. */
static double
round_of_python(int kind, unsigned peers)
{
	static const char *const programs[] = {
		BENCH_PYTHON "lock = context.Lock()\n" PYTHON_PAIRS,
		BENCH_PYTHON "lock = context.RLock()\n" PYTHON_PAIRS,
	};

	return bench_python(programs[kind - IN_C],
			    peers == 1 ? PYTHON_ALONE : PYTHON_TOGETHER, peers);
}

static double
round_of(int kind, unsigned peers)
{
	if (kind >= IN_C)
		return round_of_python(kind, peers);
	return peers == 1 ? round_alone(kind) : round_together(kind, peers);
}

static void
compare(unsigned peers, int rounds)
{
	double **ns = bench_columns(KINDS, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = round_of(k, peers);
	printf("acquire and release, %u process%s, %d rounds in turn, counted\n",
	       peers, peers == 1 ? "" : "es", rounds);
	printf("%-20s %10s %10s %10s %9s %9s\n", "", "median ns", "least",
	       "most", "x robust", "x plain");
	for (int k = 0; k < KINDS; k++) {
		if (bench_is_missing(names[k], ns[k]))
			continue;
		bench_row(names[k], ns[k], rounds, 1);
		printf(" %9.2f %9.2f\n",
		       bench_median_ratio(ns[ROBUST], ns[k], rounds),
		       bench_median_ratio(ns[PLAIN], ns[k], rounds));
	}
	bench_free_columns(ns, KINDS);
}

static void
compare_fairness(void)
{
	printf("%d processes for %d s\n%-20s %12s %12s\n", PEERS_MAX, FAIR, "",
	       "pairs", "longest ms");
	for (int k = 0; k < IN_C; k++) {
		run_peers(k, PEERS_MAX, 0, FAIR * INT64_C(1000000000));
		printf("%-20s %12llu %12.2f\n", names[k],
		       (unsigned long long)shared->done,
		       (double)shared->longest / 1e6);
	}
}

/* How long it takes until who waits has the lock of one that was killed. */

static int
hold(void *unused)
{
	(void)unused;
	take(OURS);
	shared->ready = 1;
	pause();
	return 0;
}

static void
inherit(void)
{
	while (!shared->ready)
		sched_yield();
	if (mproc_lock_acquire(lock, MPROC_FOREVER) != MPROC_OWNER_DIED ||
	    mproc_lock_consistent(lock) < 0)
		bench_die("not the lock of a dead holder");
	shared->end = mproc_now();
	give(OURS);
}

static void
kill_when_waited_for(pid_t pid)
{
	struct mproc_owner owner;

	do
		if (mproc_lock_owner(lock, &owner) < 0)
			bench_die(mproc_error_detail());
	while (owner.waiters == 0);
	/* Asleep by then. */
	usleep(2000);
	shared->began = mproc_now();
	kill(pid, SIGKILL);
}

static pid_t
start(void (*fn)(pid_t), pid_t arg)
{
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (pid == 0) {
		fn(arg);
		_exit(0);
	}
	return pid;
}

static void
inherit_as(pid_t unused)
{
	(void)unused;
	inherit();
}

static void
hold_as(pid_t unused)
{
	(void)unused;
	(void)hold(NULL);
}

/* ms. @watched: the parent is in mproc_process_join(). */
static double
round_of_death(bool watched)
{
	mproc_process *holder = NULL;
	pid_t pid, waiter, killer;

	shared->ready = 0;
	if (watched && mproc_process_start(&holder, hold, NULL, NULL) < 0)
		bench_die(mproc_error_detail());
	pid = watched ? mproc_process_pid(holder) : start(hold_as, 0);
	waiter = start(inherit_as, 0);
	killer = start(kill_when_waited_for, pid);
	if (watched && mproc_process_join(holder, MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
	if (watched)
		mproc_process_close(holder);
	else
		waitpid(pid, NULL, 0);
	waitpid(killer, NULL, 0);
	waitpid(waiter, NULL, 0);
	return (double)(shared->end - shared->began) / 1e6;
}

static void
compare_death(void)
{
	static const char *const rows[] = { "nobody watches",
					    "the parent waits" };
	double *column = bench_column(DEATHS);

	printf("ms until who waits has a killed holder's lock, %d times\n"
	       "%-20s %10s %10s %10s\n", DEATHS, "", "median", "least", "most");
	for (int watched = 0; watched < 2; watched++) {
		struct bench_figure f;

		for (int i = 0; i < DEATHS; i++)
			column[i] = round_of_death(watched);
		f = bench_figure(column, DEATHS);
		printf("%-20s %10.2f %10.2f %10.2f\n", rows[watched],
		       f.median, f.least, f.most);
	}
	free(column);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	shared = bench_shared(sizeof(*shared));
	init_mutex(ROBUST);
	init_mutex(PLAIN);
	if (mproc_lock_create(&lock) < 0 || mproc_rlock_create(&rlock) < 0)
		bench_die(mproc_error_detail());
	compare(1, rounds);
	compare(2, rounds);
	compare(8, rounds);
	compare_fairness();
	compare_death();
	return 0;
}
