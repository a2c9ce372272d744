/* SPDX-License-Identifier: MIT */
/*
 * Locks and the like that one process is killed in the use of. All but the barrier
 * are had by one at a time, who adds to a counter.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include <mproc/mproc.h>

#include "bench.h"
#include "death.h"

#define PARTIES (DEATH_OTHERS + 1)

static struct theirs {
	pthread_mutex_t mutex;
	pthread_rwlock_t rwlock;
	pthread_barrier_t barrier;
	sem_t semaphore;
} *theirs;

static mproc_lock *lock;
static mproc_rlock *rlock;
static mproc_rwlock *rwlock;
static mproc_semaphore *semaphore;
static mproc_barrier *barrier;
static int *value;

/* Has it for a while, so that many are killed with it. */
static void
count(void)
{
	++*death_counter;
	sched_yield();
}

/* What a lock of libmproc's has said, of whose @consistent it is. */
static void
must_hold(int r, int consistent)
{
	death_must(r);
	death_must(consistent);
}

static bool
lock_open(void)
{
	death_must(mproc_lock_create(&lock));
	return true;
}

static void
lock_use(unsigned me)
{
	int r = mproc_lock_acquire(lock, MPROC_FOREVER);

	(void)me;
	must_hold(r, r > 0 ? mproc_lock_consistent(lock) : 0);
	count();
	death_must(mproc_lock_release(lock));
}

static void
lock_close(void)
{
	mproc_lock_destroy(lock);
}

static bool
rlock_open(void)
{
	death_must(mproc_rlock_create(&rlock));
	return true;
}

static void
rlock_use(unsigned me)
{
	int r = mproc_rlock_acquire(rlock, MPROC_FOREVER);

	(void)me;
	must_hold(r, r > 0 ? mproc_rlock_consistent(rlock) : 0);
	count();
	death_must(mproc_rlock_release(rlock));
}

static void
rlock_close(void)
{
	mproc_rlock_destroy(rlock);
}

static bool
rwlock_open(void)
{
	death_must(mproc_rwlock_create(&rwlock));
	return true;
}

static void
rwlock_use(unsigned me)
{
	int r = mproc_rwlock_write(rwlock, MPROC_FOREVER);

	(void)me;
	must_hold(r, r > 0 ? mproc_rwlock_consistent(rwlock) : 0);
	count();
	death_must(mproc_rwlock_release(rwlock));
}

static void
rwlock_close(void)
{
	mproc_rwlock_destroy(rwlock);
}

static void
semaphore_open_as(bool undo)
{
	death_must(mproc_semaphore_create(
		&semaphore, MPROC_OPTS(mproc_semaphore_opts, .value = 1,
				       .undo = undo)));
}

static bool
undo_open(void)
{
	semaphore_open_as(true);
	return true;
}

static bool
semaphore_open(void)
{
	semaphore_open_as(false);
	return true;
}

static void
semaphore_use(unsigned me)
{
	(void)me;
	death_must(mproc_semaphore_acquire(semaphore, MPROC_FOREVER));
	count();
	death_must(mproc_semaphore_release(semaphore));
}

static void
semaphore_close(void)
{
	mproc_semaphore_destroy(semaphore);
}

static bool
value_open(void)
{
	value = mproc_value(int, 0);
	death_must(value ? 0 : -ENOMEM);
	return true;
}

static void
value_use(unsigned me)
{
	mproc_lock *of = mproc_lock_of(value);
	int r = mproc_lock_acquire(of, MPROC_FOREVER);

	(void)me;
	must_hold(r, r > 0 ? mproc_lock_consistent(of) : 0);
	++*value;
	count();
	death_must(mproc_lock_release(of));
}

static void
value_close(void)
{
	if ((uint64_t)*value - *death_counter > 1)
		bench_die("a value is not what it was counted to");
	mproc_free(value);
}

static bool
barrier_open(void)
{
	death_must(mproc_barrier_create(&barrier, PARTIES));
	return true;
}

/* That it is broken is what those are to be told who wait for a dead one. */
static void
barrier_use(unsigned me)
{
	int r = mproc_barrier_wait(barrier, MPROC_FOREVER);

	(void)me;
	death_must(r == -ENOTRECOVERABLE ? 0 : r);
}

static void
barrier_close(void)
{
	mproc_barrier_destroy(barrier);
}

/*
 * The C library's.
 */

static bool
theirs_open(void)
{
	pthread_rwlockattr_t rwlock_attr;
	pthread_barrierattr_t barrier_attr;

	theirs = bench_shared(sizeof(*theirs));
	pthread_rwlockattr_init(&rwlock_attr);
	pthread_rwlockattr_setpshared(&rwlock_attr, PTHREAD_PROCESS_SHARED);
	pthread_barrierattr_init(&barrier_attr);
	pthread_barrierattr_setpshared(&barrier_attr, PTHREAD_PROCESS_SHARED);
	if (pthread_rwlock_init(&theirs->rwlock, &rwlock_attr) ||
	    pthread_barrier_init(&theirs->barrier, &barrier_attr, PARTIES) ||
	    sem_init(&theirs->semaphore, 1, 1))
		bench_die("the C library's are not to be had");
	return true;
}

static void
mutex_open_as(int robust)
{
	pthread_mutexattr_t attr;

	theirs_open();
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, robust);
	if (pthread_mutex_init(&theirs->mutex, &attr))
		bench_die("pthread_mutex_init");
}

static bool
robust_open(void)
{
	mutex_open_as(PTHREAD_MUTEX_ROBUST);
	return true;
}

static bool
plain_open(void)
{
	mutex_open_as(PTHREAD_MUTEX_STALLED);
	return true;
}

static void
must_be_zero(int r)
{
	if (r)
		bench_die("something of the C library's has failed");
}

static void
mutex_use(unsigned me)
{
	int r = pthread_mutex_lock(&theirs->mutex);

	(void)me;
	must_be_zero(r == EOWNERDEAD ? pthread_mutex_consistent(&theirs->mutex) :
				       r);
	count();
	must_be_zero(pthread_mutex_unlock(&theirs->mutex));
}

static void
their_rwlock_use(unsigned me)
{
	(void)me;
	must_be_zero(pthread_rwlock_wrlock(&theirs->rwlock));
	count();
	must_be_zero(pthread_rwlock_unlock(&theirs->rwlock));
}

static void
their_semaphore_use(unsigned me)
{
	(void)me;
	while (sem_wait(&theirs->semaphore))
		must_be_zero(errno == EINTR ? 0 : errno);
	count();
	must_be_zero(sem_post(&theirs->semaphore));
}

static void
their_barrier_use(unsigned me)
{
	int r = pthread_barrier_wait(&theirs->barrier);

	(void)me;
	must_be_zero(r == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : r);
}

/* Whoever comes has it. */
static void
no_lock_use(unsigned me)
{
	uint64_t seen = *death_counter;

	(void)me;
	sched_yield();
	*death_counter = seen + 1;
}

/* Those who hang are dead by now: nothing is waited for. */
static void
theirs_close(void)
{
	munmap(theirs, sizeof(*theirs));
}

/*
 * Python's.
 */
#define PYTHON_HELD(of)                                                       \
	"lock = " of "\n"                                                     \
	"def use(i):\n"                                                       \
	"    with lock:\n"                                                    \
	"        count[0] += 1\n"                                             \
	"        os.sched_yield()\n"

static const char python_value[] =
	"v = context.Value('i', 0)\n"
	"def use(i):\n"
	"    with v.get_lock():\n"
	"        v.value += 1\n"
	"        count[0] += 1\n"
	"        os.sched_yield()\n";

static const char python_barrier[] =
	"barrier = context.Barrier(3)\n"
	"def use(i):\n"
	"    barrier.wait()\n";

#define OURS(name_, object_, of)                                              \
	.name = name_, .object = object_, .open = of##_open, .use = of##_use, \
	.close = of##_close

#define THEIRS(name_, object_, of, open_)                                     \
	.name = name_, .object = object_, .open = open_, .use = of##_use,     \
	.close = theirs_close

#define PYTHONS(name_, object_, program)                                      \
	.name = name_, .object = object_, .python = program

const struct death_kind death_sync[] = {
	{ OURS("libmproc", "a lock", lock) },
	{ OURS("libmproc, recursive", "a lock", rlock) },
	{ THEIRS("pthread, robust", "a lock", mutex, robust_open) },
	{ THEIRS("pthread, plain", "a lock", mutex, plain_open) },
	{ PYTHONS("Python's Lock", "a lock", PYTHON_HELD("context.Lock()")) },
	{ PYTHONS("Python's RLock", "a lock", PYTHON_HELD("context.RLock()")) },
	{ OURS("libmproc", "bad", lock), .only_by_name = true },
	{ THEIRS("bad: no lock", "bad", no_lock, theirs_open),
	  .only_by_name = true },
	{ OURS("libmproc", "a rwlock", rwlock) },
	{ THEIRS("pthread", "a rwlock", their_rwlock, theirs_open) },
	{ .name = "libmproc, .undo", .object = "a semaphore",
	  .open = undo_open, .use = semaphore_use, .close = semaphore_close },
	{ OURS("libmproc", "a semaphore", semaphore) },
	{ THEIRS("sem_t", "a semaphore", their_semaphore, theirs_open) },
	{ PYTHONS("Python's Semaphore", "a semaphore",
		  PYTHON_HELD("context.Semaphore(1)")) },
	{ OURS("libmproc", "a value's lock", value) },
	{ PYTHONS("Python's Value", "a value's lock", python_value) },
	{ OURS("libmproc", "a barrier", barrier), .once = true },
	{ THEIRS("pthread", "a barrier", their_barrier, theirs_open),
	  .once = true },
	{ PYTHONS("Python's Barrier", "a barrier", python_barrier),
	  .once = true },
};

const int death_n_sync = sizeof(death_sync) / sizeof(death_sync[0]);
