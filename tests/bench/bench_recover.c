/* SPDX-License-Identifier: MIT */
/*
 * From kill -9 to recovery: how long the lane and the seat of a dead process
 * stay away. Unwatched, nobody has a pidfd of it, and a process that sleeps in
 * mproc_queue_get() finds the death when it next looks; watched, its parent is
 * in mproc_process_join(). Beside that, what waitpid() takes for a child that
 * has nothing. Sleepers in a crowd share the looks for the dead: how long one of
 * them has stayed in the seat, and how long who is left takes to see it if all
 * others are killed with the victim. And how long one takes to get a dead one's lock for
 * which many wait, if all of them but it are stopped when the holder is killed.
 *
 * What the victims have put is received, all of it and once.
 *
 * Usage: bench_recover [rounds]
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define ROUNDS 9
#define UNWATCHED_TIMES 5 /* in a round */
#define WATCHED_TIMES 50
#define MESSAGES 100 /* of a victim */
#define LOOKS 1000
#define CROWD 20 /* sleepers */
#define SETTLED 2 /* s, until the crowd has shared out the looks */
#define CROWDS 8 /* at most */
#define VICTIMS_BESIDE 8 /* of each crowd, before it is killed, too */
#define STOPPED 300 /* who wait for a lock */

/* Shared by all processes. */
struct board {
	_Atomic uint64_t put;
	_Atomic uint64_t received;
	_Atomic int64_t killed; /* when */
	_Atomic int64_t taken; /* when the lock was */
	_Atomic bool held;
};

static struct board *board;
static mproc_queue *queue;
static mproc_queue *silent; /* that a crowd waits for */
static mproc_lock *lock;

static int
receive(uint64_t number, mproc_timeout timeout)
{
	struct bench_message m;
	size_t len;
	int r = mproc_queue_get(queue, &m, sizeof(m), &len, timeout);

	if (r == 0 && (len != sizeof(m) || !bench_is_good(&m, number)))
		bench_die("a wrong message");
	return r;
}

/* Takes what is there. */
static void
receive_all(void)
{
	while (receive(board->received, MPROC_NOWAIT) == 0)
		board->received++;
	if (board->received != board->put)
		bench_die("a message is lost");
}

/* Has a lane, and waits for its death. */
static int
be_victim(void *arg)
{
	struct bench_message m;

	(void)arg;
	for (int i = 0; i < MESSAGES; i++) {
		bench_fill(&m, board->put);
		if (mproc_queue_put(queue, &m, sizeof(m), MPROC_NOWAIT) < 0)
			bench_die(mproc_error_detail());
		board->put++;
	}
	while (pause() < 0)
		;
	return 0;
}

static int
be_idle(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 0;
}

/* Receives until the queue is shut down. */
static int
be_survivor(void *arg)
{
	int r;

	(void)arg;
	while ((r = receive(board->received, MPROC_FOREVER)) == 0)
		board->received++;
	return r != -ESHUTDOWN;
}

/* Forked by hand, so that nobody has a handle of it. */
static pid_t
fork_one(int (*fn)(void *))
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	_exit(fn(NULL));
}

static void
reap(pid_t pid, int expected)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status != expected)
		bench_die("a process ended in another way");
}

static struct mproc_arena_stat
stat_now(void)
{
	struct mproc_arena_stat stat;

	if (mproc_arena_stat(NULL, &stat) < 0)
		bench_die(mproc_error_detail());
	return stat;
}

static uint64_t
participants(void)
{
	return stat_now().participants;
}

static bool
sleeps(pid_t tid)
{
	char path[64], text[256] = "", *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	end = strrchr(text, ')');
	return end && end[1] == ' ' && end[2] == 'S';
}

static void
pause_for(int64_t ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

/* The death is to come at any phase of a sleeper's sleep. */
static void
pause_at_random(void)
{
	pause_for(rand() % 100 * 1000000);
}

/* A victim that has put its messages, which the survivor has received. */
static pid_t
start_victim(pid_t survivor)
{
	uint64_t due = board->put + MESSAGES;
	pid_t victim = fork_one(be_victim);

	while (board->put != due || board->received != due ||
	       !sleeps(survivor) || !sleeps(victim))
		pause_for(100000);
	return victim;
}

/* Milliseconds until what one victim had is given back. */
static double
kill_unwatched(pid_t survivor)
{
	uint64_t before = participants();
	pid_t victim = start_victim(survivor);
	uint64_t due = board->put;
	int64_t start;

	if (participants() != before + 1)
		bench_die("the victim has not joined");
	pause_at_random();
	start = mproc_now();
	kill(victim, SIGKILL);
	/* That its lane has come back as well, some microseconds later, shows
	 * when the next victim needs no other one. */
	while (participants() != before)
		pause_for(50000);
	start = mproc_now() - start;
	reap(victim, SIGKILL);
	if (board->received != due)
		bench_die("a message too many");
	return (double)start / 1000000;
}

/* Looking at the figures must not be what recovers. */
static void
check_that_looking_does_nothing(void)
{
	uint64_t before = participants();
	pid_t victim = fork_one(be_victim);

	while (board->put != MESSAGES || !sleeps(victim))
		pause_for(100000);
	kill(victim, SIGKILL);
	reap(victim, SIGKILL);
	for (int i = 0; i < LOOKS; i++)
		if (participants() != before + 1)
			bench_die("mproc_arena_stat has recovered something");
	if (mproc_arena_recover(NULL) != 1 || participants() != before)
		bench_die("the victim is not recovered");
	receive_all();
}

/* A thread that kills a process once the first thread sleeps, that is, waits
 * for it. */
struct killer {
	pthread_t thread;
	pid_t waiter;
	pid_t victim;
};

static void *
kill_when_awaited(void *arg)
{
	struct killer *k = arg;

	while (!sleeps(k->waiter))
		;
	board->killed = mproc_now();
	kill(k->victim, SIGKILL);
	return NULL;
}

static void
start_killer(struct killer *k, pid_t victim)
{
	k->waiter = getpid();
	k->victim = victim;
	if (pthread_create(&k->thread, NULL, kill_when_awaited, k))
		bench_die("pthread_create");
}

/* Microseconds from the kill to now. */
static double
since_kill(const struct killer *k)
{
	int64_t now = mproc_now();

	pthread_join(k->thread, NULL);
	return (double)(now - board->killed) / 1000;
}

static void *
wait_for_nothing(void *arg)
{
	char byte;

	if (mproc_queue_get(silent, &byte, 1, NULL, MPROC_FOREVER) != 0)
		bench_die("one of the crowd woke up");
	return arg;
}

static int
be_crowd(void *arg)
{
	pthread_t thread;

	for (int i = 0; i < CROWD; i++)
		if (pthread_create(&thread, NULL, wait_for_nothing, NULL))
			bench_die("pthread_create");
	return be_idle(arg);
}

/* Milliseconds until what a victim had is given back, which dies with the crowd. */
static double
kill_with_crowd(pid_t survivor, pid_t crowd)
{
	uint64_t before = participants();
	pid_t victim = start_victim(survivor);
	int64_t start;

	pause_at_random();
	start = mproc_now();
	kill(crowd, SIGKILL);
	kill(victim, SIGKILL);
	while (participants() != before - CROWD)
		pause_for(50000);
	start = mproc_now() - start;
	reap(crowd, SIGKILL);
	reap(victim, SIGKILL);
	return (double)start / 1000000;
}

static int
be_owner(void *arg)
{
	int r = mproc_lock_acquire(lock, MPROC_NOWAIT);

	if (r < 0)
		bench_die(mproc_error_detail());
	board->held = true;
	return be_idle(arg);
}

static int
be_heir(void *arg)
{
	(void)arg;
	if (mproc_lock_acquire(lock, MPROC_FOREVER) != MPROC_OWNER_DIED)
		bench_die("the lock was not a dead one's");
	board->taken = mproc_now();
	return mproc_lock_consistent(lock) < 0 || mproc_lock_release(lock) < 0;
}

static void *
wait_for_lock(void *arg)
{
	if (mproc_lock_acquire(lock, MPROC_FOREVER) != 0)
		bench_die("one that was stopped went on");
	return arg;
}

static int
be_lock_crowd(void *arg)
{
	pthread_t thread;

	for (int i = 0; i < STOPPED; i++)
		if (pthread_create(&thread, NULL, wait_for_lock, NULL))
			bench_die("pthread_create");
	return be_idle(arg);
}

static void
await_waiters(uint64_t n)
{
	struct mproc_owner owner = { 0 };

	while (owner.waiters != n) {
		if (mproc_lock_owner(lock, &owner) < 0)
			bench_die(mproc_error_detail());
		pause_for(100000);
	}
}

/* Returns when all threads have stopped: a signal only begins that. */
static void
stop(pid_t pid)
{
	int status;

	if (kill(pid, SIGSTOP) < 0 ||
	    waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		bench_die("a crowd does not stop");
}

/* Milliseconds until one has the lock whose holder is killed just as all others that
 * wait for it are stopped. */
static double
kill_owner_of_stopped(void)
{
	pid_t owner, crowd, heir;

	board->held = false;
	owner = fork_one(be_owner);
	while (!board->held)
		pause_for(100000);
	crowd = fork_one(be_lock_crowd);
	await_waiters(STOPPED);
	heir = fork_one(be_heir);
	await_waiters(STOPPED + 1);
	nanosleep(&(struct timespec){ .tv_sec = SETTLED }, NULL);
	pause_at_random();
	stop(crowd);
	board->killed = mproc_now();
	kill(owner, SIGKILL);
	reap(owner, SIGKILL);
	reap(heir, 0);
	kill(crowd, SIGKILL);
	reap(crowd, SIGKILL);
	mproc_arena_recover(NULL);
	return (double)(board->taken - board->killed) / 1000000;
}

static double
kill_watched(void)
{
	uint64_t before = participants(), due = board->put + MESSAGES;
	struct killer k;
	mproc_process *p;
	double us;
	int code;

	if (mproc_process_start(&p, be_victim, NULL, NULL) < 0)
		bench_die(mproc_error_detail());
	while (board->put != due || !sleeps(mproc_process_pid(p)))
		pause_for(100000);
	start_killer(&k, mproc_process_pid(p));
	if (mproc_process_join(p, MPROC_FOREVER) < 0)
		bench_die(mproc_error_detail());
	us = since_kill(&k);
	if (participants() != before)
		bench_die("something of the victim's is left");
	if (mproc_process_exitcode(p, &code) < 0 || code != -SIGKILL)
		bench_die("the victim ended in another way");
	mproc_process_close(p);
	receive_all();
	return us;
}

static double
kill_bare(void)
{
	pid_t victim = fork_one(be_idle);
	struct killer k;
	int status;
	double us;

	while (!sleeps(victim))
		pause_for(100000);
	start_killer(&k, victim);
	if (waitpid(victim, &status, 0) != victim || status != SIGKILL)
		bench_die("waitpid");
	us = since_kill(&k);
	return us;
}

/* Takes turns, for each kill. */
static void
measure_watched(int rounds)
{
	static const char *const names[] = { "mproc_process_join", "waitpid" };
	int n = rounds * WATCHED_TIMES;
	double **us = bench_columns(2, n);

	for (int i = 0; i < n; i++) {
		us[1][i] = kill_bare();
		us[0][i] = kill_watched();
	}
	bench_table("us", "recovery: from kill to the parent's return");
	bench_show(names, us, 2, n, 1);
	bench_free_columns(us, 2);
}

static void
show_delay(const char *name, const double *ms, int n)
{
	bench_row(name, ms, n, 1);
	printf("\n");
}

static void
measure_crowds(int crowds)
{
	double beside[CROWDS * VICTIMS_BESIDE], with[CROWDS];
	uint64_t before = participants();
	pid_t survivor = fork_one(be_survivor), crowd;

	while (participants() != before + 1 || !sleeps(survivor))
		pause_for(100000);
	for (int i = 0; i < crowds; i++) {
		before = participants();
		crowd = fork_one(be_crowd);
		while (participants() != before + CROWD)
			pause_for(100000);
		nanosleep(&(struct timespec){ .tv_sec = SETTLED }, NULL);
		for (int k = 0; k < VICTIMS_BESIDE; k++)
			beside[i * VICTIMS_BESIDE + k] = kill_unwatched(survivor);
		with[i] = kill_with_crowd(survivor, crowd);
	}
	if (mproc_queue_shutdown(queue, MPROC_DRAIN) < 0)
		bench_die(mproc_error_detail());
	reap(survivor, 0);
	printf("The same in a crowd of %d more sleepers, ms\n", CROWD);
	bench_table("ms", "recovery: by a sleeper of a crowd");
	show_delay("libmproc, one dies", beside, crowds * VICTIMS_BESIDE);
	show_delay("libmproc, all die", with, crowds);
}

static void
measure_stopped(int crowds)
{
	double ms[CROWDS];

	for (int i = 0; i < crowds; i++)
		ms[i] = kill_owner_of_stopped();
	printf("From the kill of a lock's holder until one of %d that wait has it, "
	       "ms\n", STOPPED + 1);
	bench_table("ms", "recovery: of a killed holder's lock");
	show_delay("libmproc, all stop", ms, crowds);
}

static void
measure_unwatched(int rounds)
{
	int n = rounds * UNWATCHED_TIMES;
	double *ms = bench_column(n);
	uint64_t before = participants(), size = 0;
	pid_t survivor = fork_one(be_survivor);

	while (participants() != before + 1 || !sleeps(survivor))
		pause_for(100000);
	for (int i = 0; i < n; i++) {
		ms[i] = kill_unwatched(survivor);
		if (i == 0)
			size = stat_now().blocks;
		else if (stat_now().blocks != size)
			bench_die("a lane has not come back");
	}
	kill(survivor, SIGKILL);
	reap(survivor, SIGKILL);
	while (participants() != before)
		mproc_arena_recover(NULL);
	printf("Unwatched, from kill to recovery by a sleeper, ms\n");
	bench_table("ms", "recovery: by a sleeper");
	show_delay("libmproc, in get", ms, n);
	free(ms);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED || mproc_queue_create(&queue, NULL) < 0 ||
	    mproc_queue_create(&silent, NULL) < 0 ||
	    mproc_lock_create(&lock) < 0)
		bench_die("no board, no queue or no lock");
	check_that_looking_does_nothing();
	measure_watched(rounds);
	measure_unwatched(rounds);
	measure_crowds(rounds < CROWDS ? rounds : CROWDS);
	measure_stopped(rounds < CROWDS ? rounds : CROWDS);
	mproc_lock_destroy(lock);
	mproc_queue_destroy(queue);
	mproc_queue_destroy(silent);
	printf("%llu messages, each received once\n",
	       (unsigned long long)board->received);
	return 0;
}
