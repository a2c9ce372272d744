/* SPDX-License-Identifier: MIT */
/*
 * Locks: libmproc's, also recursive, those of the C library for several
 * processes, robust and plain, and Python's Lock and RLock.
 *
 * Uncontended: one process takes and releases. Contended: several processes do,
 * each adding to two counters that only the holder may touch; in the end both
 * must be what all of them did together. Then the longest wait of any of eight, in
 * ten seconds in all; libmproc's is void if it is longer than LONGEST. Then how soon
 * who waits has the lock of a holder that is killed.
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
#define FAIR INT64_C(10000000000) /* ns, of all rounds */
/* ms. Seven others have it twice, and wake up as often: 28 times at most, each after a
 * round of all eight on one CPU, of 4 ms for each. */
#define LONGEST 1000
#define DEATHS 5 /* of each kind in a round */
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
	_Atomic pid_t waiter;
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
	bench_table("ns for a pair", "lock: acquire and release");
	bench_table_at(peers, "processes");
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

/* Rows of libmproc are void if somebody waited for too long. */
static void
show_longest(double *const *ms, int rounds)
{
	bench_table("ms", "lock: the longest wait of %d processes", PEERS_MAX);
	bench_show_head();
	for (int k = 0; k < IN_C; k++)
		if (k < ROBUST && bench_most(ms[k], rounds) > LONGEST)
			bench_void(names[k], "somebody waited for longer than a "
				   "lock lets them");
		else
			bench_show_row(names[k], ms[k], ms[0], rounds, 2);
}

/* Each for a while, in turn. */
static void
compare_fairness(int rounds)
{
	double **ms = bench_columns(IN_C, rounds);
	double **ns = bench_columns(IN_C, rounds);
	int64_t each = FAIR / rounds;

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < IN_C; k++) {
			run_peers(k, PEERS_MAX, 0, each);
			ms[k][i] = (double)shared->longest / 1e6;
			ns[k][i] = (double)each / (double)shared->done;
		}
	show_longest(ms, rounds);
	bench_table("ns for a pair", "lock: %d processes meanwhile", PEERS_MAX);
	bench_show(names, ns, IN_C, rounds, 1);
	bench_free_columns(ms, IN_C);
	bench_free_columns(ns, IN_C);
}

/* How long it takes until who waits has the lock of one that was killed. */

static int
hold(void *kind)
{
	take(*(const int *)kind);
	shared->ready = 1;
	pause();
	return 0;
}

/* From one that died with it. */
static void
inherit(int kind)
{
	int r;

	while (!shared->ready)
		sched_yield();
	shared->waiter = getpid();
	if (kind == ROBUST)
		r = pthread_mutex_lock(&shared->mutex[kind]) == EOWNERDEAD &&
		    pthread_mutex_consistent(&shared->mutex[kind]) == 0;
	else
		r = mproc_lock_acquire(lock, MPROC_FOREVER) ==
			    MPROC_OWNER_DIED &&
		    mproc_lock_consistent(lock) == 0;
	if (!r)
		bench_die("not the lock of a dead holder");
	shared->end = mproc_now();
	give(kind);
}

static bool
sleeps(pid_t pid)
{
	char path[64], text[256] = "", *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		bench_die(path);
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	end = strrchr(text, ')');
	return end && strncmp(end, ") S", 3) == 0;
}

static void
kill_when_waited_for(pid_t pid)
{
	while (!shared->waiter || !sleeps(shared->waiter))
		sched_yield();
	/* One that has slept before is in its last sleep by then. */
	usleep(2000);
	shared->began = mproc_now();
	kill(pid, SIGKILL);
}

static pid_t
start(void (*fn)(int), int arg)
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
hold_as(int kind)
{
	(void)hold(&kind);
}

static void
await_child(pid_t pid, bool killed)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || WIFSIGNALED(status) != killed ||
	    (!killed && status))
		bench_die("a child failed");
}

/* ms. @watched: the parent is in mproc_process_join(). */
static double
round_of_death(int kind, bool watched)
{
	mproc_process *holder = NULL;
	pid_t pid, waiter, killer;

	shared->ready = 0;
	shared->waiter = 0;
	if (watched && mproc_process_start(&holder, hold, &kind, NULL) < 0)
		bench_die(mproc_error_detail());
	pid = watched ? mproc_process_pid(holder) : start(hold_as, kind);
	waiter = start(inherit, kind);
	killer = start(kill_when_waited_for, pid);
	if (watched && mproc_process_join(holder, MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
	if (watched)
		mproc_process_close(holder);
	else
		await_child(pid, true);
	await_child(killer, false);
	await_child(waiter, false);
	return (double)(shared->end - shared->began) / 1e6;
}

/* Python's Lock and a plain mutex are not to be had after that. */
static void
compare_death(int rounds)
{
	static const struct {
		int kind;
		bool watched;
	} deaths[] = { { OURS, false }, { OURS, true }, { ROBUST, false } };
	static const char *const rows[] = {
		"libmproc", "libmproc, joined", "pthread, robust",
	};
	double **ms = bench_columns(3, rounds * DEATHS);

	for (int i = 0; i < rounds * DEATHS; i++)
		for (int k = 0; k < 3; k++)
			ms[k][i] = round_of_death(deaths[k].kind,
						  deaths[k].watched);
	bench_table("ms", "lock: until who waits has a killed holder's");
	bench_show(rows, ms, 3, rounds * DEATHS, 2);
	bench_report_left_out(names[PLAIN], "who waits hangs");
	bench_report_left_out(names[LOCK], "who waits hangs");
	bench_free_columns(ms, 3);
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
	compare_fairness(rounds);
	compare_death(rounds);
	return 0;
}
