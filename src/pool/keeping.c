/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "os/clock.h"
#include "os/crash.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "os/thread.h"
#include "pool/backend.h"
#include "pool/code.h"
#include "pool/keep.h"
#include "pool/keeper_word.h"
#include "pool/keeping.h"
#include "pool/owner.h"
#include "pool/pool.h"
#include "pool/shortage.h"
#include "process/handle.h"
#include "process/record.h"
#include "sync/park.h"

#define LOOK_EVERY INT64_C(1000000) /* ns */
#define PATIENCE INT64_C(2000000000) /* ns, with one keeper */

/* How long a forked keeper is waited for without a sleep; unless a look, with a turn for
 * others, takes so long that there are some. */
#define MOMENT INT64_C(250000) /* ns */
#define TURN INT64_C(20000) /* ns */

/* Keepers that this process has started: one of the two. A forked child's are its
 * parent's. */
struct started {
	struct started *next;
	uint64_t generation; /* of the process */
	uint64_t order; /* of two for one pool the later has the higher one */
	mproc_pool *pool;
	mproc_process *process;
	struct mpr_keeper_thread *thread;
};

static struct started *all_started;
static _Atomic uint64_t starts;

/* Takes out one for the pool; the process lock is held. */
static struct started
take_out(const struct mpr_pool_use *u)
{
	struct started **link = &all_started, *s, found = { .next = NULL };

	for (; (s = *link); link = &s->next) {
		if (s->pool != u->pool || s->generation != mpr_generation())
			continue;
		/* One of an earlier pool has ended with it. */
		found = *s;
		*link = s->next;
		free(s);
		break;
	}
	return found;
}

static struct started
take(const struct mpr_pool_use *u)
{
	struct started s;

	mpr_process_lock();
	s = take_out(u);
	mpr_process_unlock();
	return s;
}

/* In the list, in the place of one that was there before; or that was started after it,
 * by a thread that was faster from then on, and stays. */
static void
enter(const struct mpr_pool_use *u, struct started *s)
{
	struct started old;

	s->generation = mpr_generation();
	s->pool = u->pool;
	mpr_process_lock();
	old = take_out(u);
	if (old.process && s->process && old.order > s->order) {
		struct started later = old;

		old = *s;
		*s = later;
	}
	s->next = all_started;
	all_started = s;
	mpr_process_unlock();
	if (!old.process)
		return;
	/* A later one has its place, so it is dead, but it may take a while until it can
	 * be reaped, and after the pool there is to be nothing of it. If it lives, as
	 * somebody has scribbled over its word, there are not to be two. */
	(void)mproc_process_kill(old.process);
	(void)mpr_process_wait(old.process, mproc_now() + PATIENCE, false);
	mproc_process_close(old.process);
}

bool
mpr_keeping_kill(const struct mpr_pool_use *u)
{
	struct started s = { .process = NULL };

	if (mpr_pool_is_processes(u))
		s = take(u);
	if (!s.process)
		return false;
	(void)mproc_process_kill(s.process);
	(void)mpr_process_wait(s.process, mproc_now() + PATIENCE, false);
	mproc_process_close(s.process);
	return true;
}

/* Not a copy that a handler has forked. */
static bool
is_creator(const struct mpr_pool_use *u)
{
	return atomic_load(&u->root->creator) == (uint32_t)mpr_task_pid();
}

/* The pool's creator will want to see the end of its keeper. In another process it is
 * reaped some time after that, as any whose handle is closed; and where there is no memory
 * for it. */
static void
keep_handle(const struct mpr_pool_use *u, struct started *s,
	    mproc_process *process, uint64_t order)
{
	if (!s || !is_creator(u)) {
		mproc_process_close(process);
		free(s);
		return;
	}
	s->process = process;
	s->order = order;
	enter(u, s);
}

void
mpr_keeping_reap(const struct mpr_pool_use *u, int64_t deadline)
{
	int64_t end = mproc_now() + PATIENCE;
	struct started s = take(u);

	/* Nobody stops a thread alone. */
	if (s.thread)
		mpr_keeper_thread_join(s.thread);
	if (!s.process)
		return;
	if (mpr_process_wait(s.process, deadline < end ? deadline : end, false) < 0) {
		if (deadline < end) {
			keep_handle(u, mpr_zalloc(sizeof(s)), s.process, s.order);
			return;
		}
		(void)mproc_process_kill(s.process);
	}
	mproc_process_close(s.process);
}

/* Whether another process takes the place of a keeper that is dead. What there is to do in a
 * pool that was terminated can be done without one, and does not have to wait for it. */
static bool
is_replaced(const struct mpr_pool_use *u)
{
	return mpr_pool_is_processes(u) &&
	       mpr_pool_phase(u) < MPR_POOL_TERMINATING;
}

/* A pool that has no keeper at this moment, and is to have none for longer: whether one would
 * have something to do. Somebody has died in a task; or the last one has come out of one. */
static bool
needs_keeper(const struct mpr_pool_use *u)
{
	/* seq_cst, and first: who comes into a task later sees that it was closed. */
	enum mpr_pool_phase phase = mpr_pool_phase(u);
	struct mpr_workers_walk walk = mpr_workers_walk(u);
	const struct mpr_pool_worker *record;
	bool busy = false;

	while ((record = mpr_workers_next(&walk))) {
		uint64_t word = atomic_load(&record->word);

		if (word & MPR_HELD && mpr_holder_is_dead(u->arena, word))
			return true;
		busy |= (word & MPR_HELD) != 0;
	}
	return !busy && phase != MPR_POOL_OPEN;
}

bool
mpr_keeping_is_on(const struct mpr_pool_use *u)
{
	uint64_t word = atomic_load(&u->root->keeper);

	if (mpr_pool_phase(u) == MPR_POOL_ENDED)
		return true;
	/* One that has died may not have done all of it, of an inline pool neither. */
	if (word & MPR_HELD)
		return !mpr_holder_is_dead(u->arena, word);
	return !is_replaced(u) && !needs_keeper(u);
}

/* Buries those who have died in tasks. Returns whether somebody is in one. */
static bool
bury_dead(const struct mpr_pool_use *u, struct mpr_self *self)
{
	struct mpr_workers_walk walk = mpr_workers_walk(u);
	struct mpr_pool_worker *record;
	bool busy = false;

	while ((record = mpr_workers_next(&walk))) {
		uint64_t word = mpr_keep_holder_of(record);

		if (!word)
			continue;
		if (!mpr_holder_is_dead(u->arena, word) ||
		    !mpr_keep_is_gone(u->arena, word)) {
			busy = true;
			continue;
		}
		atomic_fetch_add(&u->root->deaths, 1);
		(void)mpr_keep_bury(u, self, walk.n - 1, NULL);
	}
	return busy;
}

/* Being the keeper, who has read this @phase. Returns whether somebody is in a task. */
static bool
keep_once(const struct mpr_pool_use *u, struct mpr_self *self,
	  enum mpr_pool_phase phase)
{
	bool busy = bury_dead(u, self);

	/* Threads that are not dead yet are about to be: what they had is buried then. */
	if (busy && mpr_pool_is_threads(u))
		return busy;
	/* Where nobody has a record, what is not done was left by the dead. */
	if (phase == MPR_POOL_TERMINATING || (!busy && phase != MPR_POOL_OPEN))
		mpr_keep_revoke_all(u, self);
	/* Of those that do not end with their keeper the idle ones end by that. */
	if (busy && mpr_pool_is_processes(u))
		(void)mpr_pool_shut_queue(u);
	if (!busy && phase != MPR_POOL_OPEN)
		mpr_keep_end(u, self);
	return busy;
}

/* Whether there is more to do than was done at @phase, with somebody in a task: who has
 * changed that meanwhile has found a keeper, and left it to that. seq_cst: they look for
 * one after they did it, and this is after it was given back. */
static bool
is_to_go_on(const struct mpr_pool_use *u, enum mpr_pool_phase phase)
{
	enum mpr_pool_phase now = mpr_pool_phase(u);
	struct mpr_workers_walk walk = mpr_workers_walk(u);
	const struct mpr_pool_worker *record;

	if (now != phase)
		return now != MPR_POOL_ENDED;
	while ((record = mpr_workers_next(&walk)))
		if (atomic_load(&record->word) & MPR_HELD)
			return false;
	return phase != MPR_POOL_OPEN;
}

/* The caller is the keeper, as long as this takes, where a dead one is not replaced; unless
 * somebody else is, or the pool has ended. Returns as mpr_keeping_ensure(). */
static int
keep_now(const struct mpr_pool_use *u)
{
	enum mpr_pool_phase phase;
	struct mpr_self *self;
	sigset_t before;
	bool busy = false;
	int r;

	/* A handler that forks would leave two in the one keeper's place. */
	mpr_thread_forbid_signals(&before);
	r = mpr_self(u->arena, &self);
	do {
		if (r == 0)
			r = mpr_keeper_claim(u, mpr_keeper_starter(self),
					     MPR_POOL_TERMINATING);
		if (r < 0)
			break;
		/* Its threads are dead, or are dying as we look. */
		if (mpr_pool_is_threads(u))
			mpr_pool_advance(u, MPR_POOL_TERMINATING);
		phase = mpr_pool_phase(u);
		busy = keep_once(u, self, phase);
		mpr_keeper_give_back(u, mpr_keeper_starter(self));
	} while ((busy || phase == MPR_POOL_OPEN) && is_to_go_on(u, phase));
	mpr_thread_allow_signals(&before);
	if (r == -ESTALE)
		return mpr_fail(-ESHUTDOWN, "%s was freed", mpr_pool_label(u).text);
	return r == -EBUSY || r == -ESHUTDOWN ? 0 : r;
}

int
mpr_keeping_slot(const struct mpr_pool_use *u)
{
	uint64_t word = atomic_load(&u->root->keeper);
	bool replaced = is_replaced(u);

	/* With HANDED, where none is started, it is the keeper for a moment only. */
	if (word & MPR_HELD && !mpr_pool_is_inline(u) &&
	    (replaced || !(word & MPR_HANDED)))
		return (int)mpr_holder_slot(word);
	/* Any may die who is in a task and has no keeper. */
	return replaced ? -1 : -2;
}

void
mpr_keeping_wake(const struct mpr_pool_use *u)
{
	uint64_t word = atomic_load(&u->root->keeper);

	/* Who has that slot by now is woken in vain. */
	if (word & MPR_HELD && !mpr_pool_is_inline(u))
		mpr_unpark(u->arena, mpr_holder_slot(word));
	else if (!is_replaced(u))
		(void)keep_now(u);
}

/* Who has terminated the pool leaves the rest to us, once the new keeper is dead: it may have
 * taken our place meanwhile. */
static int
call_off(const struct mpr_pool_use *u, mproc_process *process)
{
	(void)mproc_process_kill(process);
	(void)mpr_process_wait(process, mproc_now() + PATIENCE, false);
	return mpr_fail(-ECANCELED, "%s was terminated before it had a keeper again",
			mpr_pool_label(u).text);
}

/* To sleep and to be woken takes longer than a forked keeper takes for its first steps, and it
 * would have to wake us before it forks the first worker. */
static void
look_out(const struct mpr_pool_use *u, uint64_t mine)
{
	int64_t now = mproc_now(), until = now + MOMENT, last = now;

	while (now < until && now - last < TURN &&
	       atomic_load(&u->root->keeper) == mine) {
		mpr_task_yield();
		last = now;
		now = mproc_now();
	}
}

/* Until it has taken our place. Returns 0 as well in a copy that a signal handler has
 * forked meanwhile: there nobody has one to wait for. */
static int
wait_for(const struct mpr_pool_use *u, struct mpr_self *self, uint64_t mine,
	 mproc_process *process)
{
	uint32_t ticket;
	bool wanted;

	while (process->generation == mpr_generation()) {
		ticket = mpr_park_ticket(self);
		/* In this order: the first keeper's first worker may end the pool. */
		wanted = is_replaced(u);
		if (atomic_load(&u->root->keeper) != mine)
			return 0;
		if (!wanted)
			return call_off(u, process);
		if (mpr_process_has_ended(process)) {
			if (atomic_load(&u->root->keeper) != mine)
				return 0;
			return mpr_fail(-EAGAIN, "a process that was to keep %s "
					"has ended at once",
					mpr_pool_label(u).text);
		}
		/* An interrupt is for who wants the keeper, once there is one. */
		if (mpr_park(self, u->pool, ticket, MPR_NEVER) == -EINTR)
			(void)mpr_process_wait(process, mproc_now() + LOOK_EVERY,
					       false);
	}
	return 0;
}

/* What its first keeper is to know: who makes the pool has nothing else to do until that
 * is there. Later ones look for themselves. */
static void
note_kills(const struct mpr_pool_use *u)
{
	struct mpr_shortage shortage = { 0 };
	sigset_t before;

	mpr_shortage_look(&shortage);
	/* A copy that a handler forks leaves that to its parent. */
	mpr_thread_forbid_signals(&before);
	if (mpr_pool_check_cell(u) == 0) {
		/* In this order: see shortage() in keeper.c. */
		atomic_store(&u->root->kills, shortage.counted);
		atomic_store(&u->root->kills_of, (uint64_t)shortage.who);
	}
	mpr_thread_allow_signals(&before);
}

/* The loop goes along if other images find it. */
static uint64_t
code_of_loop(const struct mpr_pool_use *u)
{
	uint64_t code;

	return mpr_code_of(u, (mpr_function *)u->loop, &code) == 0 ? code : 0;
}

/* The word is ours. */
static int
start(const struct mpr_pool_use *u, struct mpr_self *self, uint64_t mine)
{
	struct mpr_keeping keeping = {
		.use = *u,
		.starter = mine,
		.starter_slot = self->slot,
		.at = mproc_now(),
		.is_first = !mpr_pool_is_there(u),
		.starter_pid = (pid_t)self->pid,
		.namespace = mpr_task_namespace(),
	};
	struct mproc_process_opts o = {
		.struct_size = sizeof(o),
		.name = "mproc-keeper",
		.method = MPROC_FORK,
		.no_report = true,
	};
	struct mpr_call call = mpr_call_entry(mpr_keeper_run, &keeping, 0);
	/* As the word is ours, in the order of the keepers. */
	uint64_t order = atomic_fetch_add(&starts, 1) + 1;
	uint64_t generation = mpr_generation();
	struct started *s = NULL;
	mproc_process *process;
	int r;

	/* First: nothing of one that was started is to be left. */
	if (is_creator(u)) {
		s = mpr_zalloc(sizeof(*s));
		if (!s)
			return mpr_fail(-ENOMEM, "no memory for a keeper");
	}
	if (mpr_pool_is_anew(u)) {
		o.method = (int)atomic_load(&u->root->method);
		call = mpr_call_entry(mpr_keeper_run_anew, &keeping,
				      sizeof(keeping));
		keeping.loop = code_of_loop(u);
		mpr_thread_forbid_signals(&keeping.blocked);
		mpr_thread_allow_signals(&keeping.blocked);
	}
	mpr_crash_prepare();
	if (!mpr_pool_is_anew(u))
		keeping.records = mpr_records_set_aside();
	/* In a copy that a handler has forked since, the word is the parent's. */
	r = generation == mpr_generation() ?
		    mpr_process_hold_service(&process, &call, &o) :
		    mpr_fail(-ECHILD, "forked while it started a keeper");
	if (r < 0) {
		mpr_records_take_back(keeping.records, true);
		free(s);
		return r;
	}
	process->lent = keeping.records;
	mpr_process_let_go(process);
	if (keeping.is_first)
		note_kills(u);
	if (!mpr_pool_is_anew(u))
		look_out(u, mine);
	r = wait_for(u, self, mine, process);
	keep_handle(u, s, process, order);
	return r;
}

/* In the creator, and once. */
static int
start_thread(const struct mpr_pool_use *u, struct mpr_self *self, uint64_t mine)
{
	struct started *s = mpr_zalloc(sizeof(*s));
	int r;

	if (!s)
		return mpr_fail(-ENOMEM, "no memory for a keeper");
	r = mpr_keeper_thread_start(&s->thread, u, self, mine);
	if (r < 0)
		free(s);
	else
		enter(u, s);
	return r;
}

/* There is none yet. The word may be ours again when a copy goes on that a handler forks
 * here. */
static int
begin_without(const struct mpr_pool_use *u, uint64_t mine)
{
	sigset_t before;
	int r;

	mpr_thread_forbid_signals(&before);
	r = mpr_pool_check_cell(u);
	if (r == 0)
		mpr_keeper_give_back(u, mine);
	mpr_thread_allow_signals(&before);
	return r;
}

int
mpr_keeping_begin(const struct mpr_pool_use *u, struct mpr_self *self)
{
	uint64_t generation = mpr_generation(), mine = mpr_keeper_starter(self);
	int r;

	if (mpr_pool_is_inline(u))
		return begin_without(u, mine);
	r = mpr_pool_is_threads(u) ? start_thread(u, self, mine) :
				     start(u, self, mine);
	/* Others may be luckier. In a copy it is not ours. */
	if (r < 0 && generation == mpr_generation())
		mpr_keeper_give_back(u, mine);
	return r;
}

static int
check_image(const struct mpr_pool_use *u)
{
	uint64_t image;
	int r = mpr_code_image(u, &image);

	if (r == 0 && atomic_load(&u->root->image) != image)
		r = mpr_fail(-ENOEXEC, "the keeper of %s is dead, and this process "
			     "has another %s", mpr_pool_label(u).text,
			     mpr_pool_is_anew(u) ? "program" : "image");
	return r;
}

/* The first that a keeper does in a pool whose creator is dead is to terminate it. That takes
 * none, so who can start none has it so. */
static bool
ends_with_creator(const struct mpr_pool_use *u)
{
	const struct mpr_pool_owner creator = mpr_pool_creator(u);

	if (!mpr_pool_owner_has_ended(&creator))
		return false;
	mpr_pool_advance(u, MPR_POOL_TERMINATING);
	return true;
}

int
mpr_keeping_ensure(const struct mpr_pool_use *u)
{
	uint64_t generation = mpr_generation();
	struct mpr_self *self;
	int r;

	while (!mpr_keeping_is_on(u)) {
		if (!is_replaced(u))
			return keep_now(u);
		r = check_image(u);
		if (r < 0 && ends_with_creator(u))
			continue;
		if (r < 0)
			return r;
		r = mpr_self(u->arena, &self);
		if (r < 0)
			return r;
		r = mpr_keeper_claim(u, mpr_keeper_starter(self),
				     MPR_POOL_CLOSING);
		if (r == -ESTALE)
			return mpr_fail(-ESHUTDOWN, "%s was freed",
					mpr_pool_label(u).text);
		if (r < 0)
			continue;
		r = mpr_keeping_begin(u, self);
		/* A copy that a signal handler has forked looks for itself. Who has
		 * terminated the pool meanwhile has left it to us. */
		if (r < 0 && generation == mpr_generation())
			return is_replaced(u) ? r : keep_now(u);
		generation = mpr_generation();
	}
	return 0;
}
