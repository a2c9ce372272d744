/* SPDX-License-Identifier: MIT */
/*
 * One object of each kind of locks and the like, all that can be done with it,
 * what that may return, and what a hostile peer writes in it.
 */
#ifndef HOSTILE_SYNC_H
#define HOSTILE_SYNC_H

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "hostile.h"
#include "sync/barrier.h"
#include "sync/cell.h"
#include "os/interrupt.h"
#include "sync/holder.h"
#include "sync/notes.h"
#include "sync/permits.h"

enum kind {
	LOCK,
	RLOCK,
	RWLOCK,
	SEMAPHORE,
	UNDO,
	CONDITION,
	EVENT,
	BARRIER,
	ONCE,
	KINDS
};

static const char *const kind_names[KINDS] = {
	"lock", "rlock", "rwlock", "semaphore", "semaphore with undo",
	"condition", "event", "barrier", "once",
};

struct thing {
	enum kind kind;
	void *object;
	mproc_lock *lock; /* of a condition */
};

/* What calls have returned, in the scratch bytes. */
struct tally {
	_Atomic unsigned calls;
	_Atomic unsigned returns[256]; /* by error */
};

enum { PERMITS = 3, PARTIES = 2 };

#define A_WHILE mproc_us(300)

/* What waits without a limit is interrupted. */

static timer_t interrupter;

static inline void
interrupt(int sig)
{
	(void)sig;
	mproc_interrupt();
}

/* Once for each process. */
static inline void
be_interruptible(struct mpt *t)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_signo = SIGUSR1 };

	signal(SIGUSR1, interrupt);
	mpt_check_int(t, timer_create(CLOCK_MONOTONIC, &ev, &interrupter), 0);
}

/* In @ms, or not at all if that is 0. */
static inline void
interrupt_in(struct mpt *t, long ms)
{
	const struct itimerspec when = { .it_value.tv_nsec = ms * 1000000 };

	mpt_check_int(t, timer_settime(interrupter, 0, &when, NULL), 0);
}

/* Calls whose results and time are checked. */

static int64_t began;

/* @errors are the ones that may be, and end with 0. */
static inline int
returned(struct mpt *t, struct tally *tally, const char *what, int r, int most,
	 const int *errors)
{
	if (mproc_now() - began >= bound())
		mpt_fail(t, __FILE__, __LINE__, "%s took too long", what);
	while (r < 0 && *errors && *errors != r)
		errors++;
	if (r > most || (r < 0 && !*errors))
		mpt_fail(t, __FILE__, __LINE__, "%s: %d, %s", what, r,
			 r < 0 ? mproc_strerror(r) : "too many");
	tally->returns[r < 0 ? -r & 255 : 0]++;
	tally->calls++;
	return r;
}

#define CALL(most, call, ...)                                                 \
	(began = mproc_now(), returned(t, tally, #call, (call), (most),       \
				       (const int[]){ __VA_ARGS__, 0 }))

/* Until a call has ended; or none does, as all wait for what is lost. */
static inline void
let_go_on(struct mpt *t, struct tally *tally)
{
	int64_t end = mproc_now() + 3000000;
	unsigned calls = tally->calls;

	mpt_until(t, tally->calls != calls || mproc_now() > end);
}

static inline void
print_tally(const struct tally *tally)
{
	for (int i = 0; i < 256; i++)
		if (tally->returns[i])
			printf("# %u calls: %s\n", tally->returns[i],
			       mproc_strerror(-i));
}

/* What a wait may end with, but for -EDEADLK and the like. */
#define WAIT_ERRORS -EAGAIN, -ETIMEDOUT, -EINTR, -ESTALE, -ESHUTDOWN

static inline void
use_lock(struct mpt *t, struct tally *tally, mproc_lock *l,
	 mproc_timeout timeout)
{
	struct mproc_owner owner;

	CALL(MPROC_OWNER_DIED, mproc_lock_acquire(l, timeout), WAIT_ERRORS,
	     -EDEADLK);
	CALL(0, mproc_lock_owner(l, &owner), -ESTALE);
	CALL(1, mproc_lock_is_consistent(l), 0);
	CALL(0, mproc_lock_consistent(l), -EPERM, -ESTALE);
	CALL(0, mproc_lock_release(l), -EPERM, -ESTALE);
}

static inline void
use_rlock(struct mpt *t, struct tally *tally, mproc_rlock *l,
	  mproc_timeout timeout)
{
	struct mproc_owner owner;

	/* -EDEADLK: it has come to name us just then. */
	for (int i = 0; i < 2; i++)
		CALL(MPROC_OWNER_DIED, mproc_rlock_acquire(l, timeout),
		     WAIT_ERRORS, -EDEADLK, -EOVERFLOW);
	CALL(0, mproc_rlock_owner(l, &owner), -ESTALE);
	CALL(1, mproc_rlock_is_consistent(l), 0);
	CALL(0, mproc_rlock_consistent(l), -EPERM, -ESTALE);
	for (int i = 0; i < 2; i++)
		CALL(0, mproc_rlock_release(l), -EPERM, -ESTALE);
}

static inline void
use_rwlock(struct mpt *t, struct tally *tally, mproc_rwlock *l,
	   mproc_timeout timeout)
{
	struct mproc_owner owner;

	for (int i = 0; i < 2; i++)
		CALL(MPROC_OWNER_DIED, mproc_rwlock_read(l, timeout),
		     WAIT_ERRORS, -EDEADLK, -ENOLCK);
	CALL(0, mproc_rwlock_owner(l, &owner), -ESTALE);
	for (int i = 0; i < 2; i++)
		CALL(0, mproc_rwlock_release(l), -EPERM, -ESTALE);
	CALL(MPROC_OWNER_DIED, mproc_rwlock_write(l, timeout), WAIT_ERRORS,
	     -EDEADLK);
	CALL(1, mproc_rwlock_is_consistent(l), 0);
	CALL(0, mproc_rwlock_consistent(l), -EPERM, -ESTALE);
	CALL(0, mproc_rwlock_release(l), -EPERM, -ESTALE);
}

static inline void
use_semaphore(struct mpt *t, struct tally *tally, mproc_semaphore *s,
	      mproc_timeout timeout)
{
	for (int i = 0; i < 2; i++)
		CALL(0, mproc_semaphore_acquire(s, timeout), WAIT_ERRORS);
	CALL(INT32_MAX, mproc_semaphore_value(s), -ESTALE);
	for (int i = 0; i < 2; i++)
		CALL(0, mproc_semaphore_release(s), -EOVERFLOW, -EPERM,
		     -ESTALE);
}

static inline int
is_true(void *arg)
{
	return arg != NULL;
}

static inline void
use_condition(struct mpt *t, struct tally *tally, const struct thing *x,
	      mproc_timeout timeout)
{
	mproc_condition *c = x->object;
	mproc_lock *l = x->lock;

	CALL(MPROC_OWNER_DIED, mproc_lock_acquire(l, timeout), WAIT_ERRORS,
	     -EDEADLK);
	CALL(MPROC_OWNER_DIED, mproc_condition_wait(c, l, timeout), WAIT_ERRORS,
	     -EPERM);
	CALL(INT32_MAX, mproc_condition_notify(c, 1), -ESTALE);
	CALL(MPROC_OWNER_DIED,
	     mproc_condition_wait_for(c, l, is_true, NULL, timeout),
	     WAIT_ERRORS, -EPERM);
	CALL(INT32_MAX, mproc_condition_notify_all(c), -ESTALE);
	CALL(0, mproc_lock_consistent(l), -EPERM, -ESTALE);
	CALL(0, mproc_lock_release(l), -EPERM, -ESTALE);
	CALL(INT32_MAX, mproc_condition_notify(c, UINT32_MAX), -ESTALE);
}

static inline void
use_event(struct mpt *t, struct tally *tally, mproc_event *e,
	  mproc_timeout timeout)
{
	CALL(0, mproc_event_wait(e, timeout), WAIT_ERRORS);
	CALL(0, mproc_event_set(e), -ESTALE);
	CALL(1, mproc_event_is_set(e), -ESTALE);
	CALL(0, mproc_event_wait(e, timeout), WAIT_ERRORS);
	CALL(0, mproc_event_clear(e), -ESTALE);
}

/* Who asks a barrier may be told that it was never one. */
#define BARRIER_ERRORS -EINVAL, -ESTALE

static inline void
use_barrier(struct mpt *t, struct tally *tally, mproc_barrier *b,
	    mproc_timeout timeout)
{
	CALL(0, mproc_barrier_enroll(b), BARRIER_ERRORS, -EPERM, -ENOLCK,
	     -ENOTRECOVERABLE);
	for (int i = 0; i < 2; i++)
		CALL(MPR_BARRIER_MAX - 1, mproc_barrier_wait(b, timeout),
		     WAIT_ERRORS, BARRIER_ERRORS, -EPERM, -ENOLCK,
		     -ENOTRECOVERABLE);
	CALL(MPR_BARRIER_MAX, mproc_barrier_waiting(b), BARRIER_ERRORS);
	CALL(1, mproc_barrier_broken(b), 0);
	CALL(0, mproc_barrier_abort(b), BARRIER_ERRORS);
	CALL(0, mproc_barrier_reset(b), BARRIER_ERRORS);
}

static inline int
done(void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

static inline int
fail_it(void *arg)
{
	++*(unsigned *)arg;
	return -EIO;
}

static inline void
use_once(struct mpt *t, struct tally *tally, mproc_once *o)
{
	unsigned runs = 0;

	interrupt_in(t, 2);
	CALL(0, mproc_once_run(o, fail_it, &runs), WAIT_ERRORS, -EDEADLK, -EIO);
	interrupt_in(t, 2);
	CALL(0, mproc_once_run(o, done, &runs), WAIT_ERRORS, -EDEADLK);
	interrupt_in(t, 0);
	/* It may have come when nothing waited any more. */
	mpr_interrupt_answer();
}

static inline void
use(struct mpt *t, struct tally *tally, const struct thing *x,
    mproc_timeout timeout)
{
	switch (x->kind) {
	case LOCK:
		use_lock(t, tally, x->object, timeout);
		break;
	case RLOCK:
		use_rlock(t, tally, x->object, timeout);
		break;
	case RWLOCK:
		use_rwlock(t, tally, x->object, timeout);
		break;
	case SEMAPHORE:
	case UNDO:
		use_semaphore(t, tally, x->object, timeout);
		break;
	case CONDITION:
		use_condition(t, tally, x, timeout);
		break;
	case EVENT:
		use_event(t, tally, x->object, timeout);
		break;
	case BARRIER:
		use_barrier(t, tally, x->object, timeout);
		break;
	case ONCE:
		use_once(t, tally, x->object);
		break;
	case KINDS:
		break;
	}
}

/* Objects come and go. */

static inline int
create(struct thing *x)
{
	void *ret = &x->object;

	switch (x->kind) {
	case LOCK:
		return mproc_lock_create(ret);
	case RLOCK:
		return mproc_rlock_create(ret);
	case RWLOCK:
		return mproc_rwlock_create(ret);
	case SEMAPHORE:
	case UNDO:
		return mproc_semaphore_create(
			ret, MPROC_OPTS(mproc_semaphore_opts, .value = PERMITS,
					.undo = x->kind == UNDO));
	case CONDITION:
		return mproc_condition_create(ret);
	case EVENT:
		return mproc_event_create(ret);
	case BARRIER:
		return mproc_barrier_create(ret, PARTIES);
	case ONCE:
		return mproc_once_create(ret);
	case KINDS:
		break;
	}
	return -EINVAL;
}

static inline void
destroy(struct thing *x)
{
	switch (x->kind) {
	case LOCK:
		mproc_lock_destroy(x->object);
		break;
	case RLOCK:
		mproc_rlock_destroy(x->object);
		break;
	case RWLOCK:
		mproc_rwlock_destroy(x->object);
		break;
	case SEMAPHORE:
	case UNDO:
		mproc_semaphore_destroy(x->object);
		break;
	case CONDITION:
		mproc_condition_destroy(x->object);
		break;
	case EVENT:
		mproc_event_destroy(x->object);
		break;
	case BARRIER:
		/* What is none any more would not be destroyed. */
		if (mproc_barrier_init(x->object, PARTIES) == 0)
			mproc_barrier_destroy(x->object);
		break;
	case ONCE:
		mproc_once_destroy(x->object);
		break;
	case KINDS:
		break;
	}
}

static inline struct thing
make_thing(struct mpt *t, enum kind kind)
{
	struct thing x = { .kind = kind };

	mpt_check_int(t, create(&x), 0);
	if (kind == CONDITION)
		mpt_check_int(t, mproc_lock_create(&x.lock), 0);
	return x;
}

/* Whoever waits for it is told. */
static inline void
end_thing(struct mpt *t, struct thing *x)
{
	began = mproc_now();
	destroy(x);
	if (x->lock)
		mproc_lock_destroy(x->lock);
	mpt_check(t, mproc_now() - began < bound());
}

/* Bystanders: one of each, in which nobody writes. We have a permit of each
 * semaphore, and nobody has run the once. */

static inline void
make_bystanders(struct mpt *t, struct thing all[KINDS])
{
	for (int k = 0; k < KINDS; k++)
		all[k] = make_thing(t, (enum kind)k);
	for (int k = SEMAPHORE; k <= UNDO; k++)
		mpt_check_int(t, mproc_semaphore_acquire(all[k].object,
							 MPROC_NOWAIT), 0);
}

static inline void
check_semaphore(struct mpt *t, mproc_semaphore *s)
{
	for (int i = PERMITS - 1; i > 0; i--) {
		mpt_check_int(t, mproc_semaphore_value(s), i);
		mpt_check_int(t, mproc_semaphore_acquire(s, MPROC_NOWAIT), 0);
	}
	mpt_check_int(t, mproc_semaphore_acquire(s, MPROC_NOWAIT), -EAGAIN);
	for (int i = 1; i < PERMITS; i++)
		mpt_check_int(t, mproc_semaphore_release(s), 0);
}

static inline void
check_condition(struct mpt *t, const struct thing *x)
{
	mpt_check_int(t, mproc_lock_acquire(x->lock, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_condition_wait(x->object, x->lock, mproc_us(1)),
		      -ETIMEDOUT);
	mpt_check_int(t, mproc_condition_notify_all(x->object), 0);
	mpt_check_int(t, mproc_lock_release(x->lock), 0);
}

static inline void
check_barrier(struct mpt *t, mproc_barrier *b)
{
	mpt_check_int(t, mproc_barrier_wait(b, MPROC_NOWAIT), -EAGAIN);
	mpt_check_int(t, mproc_barrier_waiting(b), 0);
	mpt_check(t, !mproc_barrier_broken(b));
	mpt_check_int(t, mproc_barrier_abort(b), 0);
	mpt_check(t, mproc_barrier_broken(b));
	mpt_check_int(t, mproc_barrier_reset(b), 0);
}

static inline void
check_bystanders(struct mpt *t, struct thing all[KINDS])
{
	unsigned runs = 0;

	mpt_check_int(t, mproc_lock_acquire(all[LOCK].object, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_lock_release(all[LOCK].object), 0);
	for (int i = 0; i < 2; i++)
		mpt_check_int(t, mproc_rlock_acquire(all[RLOCK].object,
						     MPROC_NOWAIT), 0);
	for (int i = 0; i < 2; i++)
		mpt_check_int(t, mproc_rlock_release(all[RLOCK].object), 0);
	mpt_check_int(t, mproc_rwlock_read(all[RWLOCK].object, MPROC_NOWAIT),
		      0);
	mpt_check_int(t, mproc_rwlock_release(all[RWLOCK].object), 0);
	mpt_check_int(t, mproc_rwlock_write(all[RWLOCK].object, MPROC_NOWAIT),
		      0);
	mpt_check_int(t, mproc_rwlock_release(all[RWLOCK].object), 0);
	check_semaphore(t, all[SEMAPHORE].object);
	check_semaphore(t, all[UNDO].object);
	check_condition(t, &all[CONDITION]);
	mpt_check_int(t, mproc_event_set(all[EVENT].object), 0);
	mpt_check_int(t, mproc_event_wait(all[EVENT].object, MPROC_NOWAIT), 0);
	mpt_check_int(t, mproc_event_clear(all[EVENT].object), 0);
	check_barrier(t, all[BARRIER].object);
	mpt_check_int(t, mproc_once_run(all[ONCE].object, fail_it, &runs), -EIO);
	mpt_check_int(t, runs, 1);
}

static inline void
end_bystanders(struct mpt *t, struct thing all[KINDS])
{
	unsigned runs = 0;

	mpt_check_int(t, mproc_once_run(all[ONCE].object, done, &runs), 0);
	mpt_check_int(t, mproc_once_run(all[ONCE].object, done, &runs), 0);
	mpt_check_int(t, runs, 1);
	for (int k = 0; k < KINDS; k++)
		end_thing(t, &all[k]);
}

/* The words of an object, and what is written in them. */

enum { THING_WORDS = 16 };

static inline void
add_at(struct word *words, unsigned *n, const char *name, void *start,
       size_t at, size_t size)
{
	struct word *word = &words[(*n)++];

	snprintf(word->name, sizeof(word->name), "%.12s %zu", name, at);
	word->p = (unsigned char *)start + at;
	word->size = size;
}

/* Of a cell. Returns how many. */
static inline unsigned
words_of_thing(const struct thing *x, struct word words[THING_WORDS])
{
	static const unsigned sizes[KINDS] = {
		[LOCK] = sizeof(mproc_lock),
		[RLOCK] = sizeof(mproc_rlock),
		[RWLOCK] = sizeof(mproc_rwlock),
		[SEMAPHORE] = sizeof(mproc_semaphore),
		[UNDO] = sizeof(mproc_semaphore),
		[CONDITION] = sizeof(mproc_condition),
		[EVENT] = sizeof(mproc_event),
		[BARRIER] = sizeof(mproc_barrier),
		[ONCE] = sizeof(mproc_once),
	};
	const char *name = kind_names[x->kind];
	uint64_t link = 0;
	unsigned n = 0;

	add_at(words, &n, name, x->object, 0, 8);
	for (size_t at = 8; at < sizes[x->kind]; at += 4)
		add_at(words, &n, name, x->object, at, 4);
	for (size_t at = 16; at < 32 && at < sizes[x->kind]; at += 8)
		add_at(words, &n, name, x->object, at, 8);
	if (x->kind != UNDO)
		return n;
	link = atomic_load(mpr_cell_blocks(x->object));
	add_at(words, &n, name, x->object, MPR_CELL_BLOCKS, 8);
	/* Where the next block is, how many permits it has, and two of them. */
	for (size_t at = 0; at < 32; at += 8)
		add_at(words, &n, "permits", mpr_arena_at(mpr_arena_peek(), link),
		       at, 8);
	return n;
}

/* Whose names a hostile peer may write. */
struct names {
	uint64_t mine, other, dead; /* holders */
	uint64_t object, bystander, link, arena; /* offsets */
};

#define NO_SLOT (MPR_HELD | 0xffff)

enum { SYNC_VALUES = 50 };

/* One of so many that are worth trying in @word. */
static inline uint64_t
sync_value(const struct names *names, const struct word *word, unsigned n,
	   struct mpt_rand *rand)
{
	const uint64_t one = UINT64_C(1) << 32, sign = UINT64_C(1) << 63;
	const uint64_t old = read_word(word);
	const uint64_t values[] = {
		0, 1, 2, UINT64_MAX, sign, sign - 1, sign - one, UINT32_MAX,
		UINT64_MAX << 32, old + 1, old - 1, old + one, old - one,
		old ^ MPR_HELD,
		/* Holders, incarnations, slots. */
		names->mine, names->mine | MPR_WAITERS | MPR_HANDED,
		names->other, names->other | MPR_WAITERS,
		names->other | MPR_WAITERS | MPR_HANDED,
		names->other | MPR_WAITERS | MPR_STARVED | MPR_DIED,
		names->other + one, names->dead,
		names->dead | MPR_WAITERS | MPR_HANDED, NO_SLOT,
		NO_SLOT | UINT64_MAX << 32, MPR_HELD, MPR_HELD | MPR_HANDED,
		MPR_WAITERS, MPR_DIED | MPR_STARVED, MPR_GONE,
		MPR_GONE | names->other, MPR_GONE | names->dead,
		/* Barriers. */
		MPR_BARRIER_READY | MPR_BARRIER_RESETTING | 1,
		MPR_BARRIER_READY | MPR_BARRIER_WAITING | 1,
		MPR_BARRIER_READY | MPR_BARRIER_ENROLLED,
		MPR_BARRIER_READY | MPR_BARRIER_PARTIES | MPR_BARRIER_ENROL,
		MPR_BARRIER_READY | MPR_BARRIER_BROKEN | MPR_BARRIER_WAITING,
		MPR_BARRIER_READY | MPR_BARRIER_RESETS | MPR_BARRIER_PHASE | 1,
		/* Links: loops, what is another's, what is nothing. */
		names->object, names->bystander, names->link, names->object + 4,
		names->arena - 64, names->arena + 64,
		/* What one waits for, and has notes of. */
		names->object << 2 | 1, names->object << 2 | 3,
		names->bystander << 2 | 1,
		names->object | MPR_NOTE_READS, names->object | MPR_NOTE_PARTY,
	};
	uint64_t value;

	static_assert(sizeof(values) / sizeof(*values) == SYNC_VALUES - 1,
		      "and a random one");
	value = n < SYNC_VALUES - 1 ? values[n] : mpt_rand_next(rand);
	/* Both halves are worth trying. */
	return word->size == 8 ? value : (uint32_t)(value ^ value >> 32);
}

#endif
