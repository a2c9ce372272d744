/* SPDX-License-Identifier: MIT */
/*
 * The keeper: a process with one thread that forks a pool's workers, or a thread beside
 * them (backend.h). It replaces those that end, completes or requeues what they had, and
 * kills who is overdue. It runs nothing of the user's, and sleeps as all do
 * (sync/park.h), so that anybody can wake it; SIGCHLD does, too.
 *
 * Its word in the root says that there is no other, by proof of death of the one before.
 * So what it alone changes needs no more than that the next one can do it again.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/macros.h"
#include "os/ambience.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/task.h"
#include "pool/backend.h"
#include "pool/entries.h"
#include "pool/keep.h"
#include "pool/keeping.h"
#include "pool/map.h"
#include "pool/owner.h"
#include "pool/pool.h"
#include "pool/shortage.h"
#include "pool/starts.h"
#include "pool/task.h"
#include "process/handle.h"
#include "process/record.h"
#include "sync/park.h"

#define MS INT64_C(1000000)
#define SWEEP_EVERY (1000 * MS)
#define PAUSE (10 * MS)

/* A worker, in the keeper's own memory: what it kills is by this. */
struct hand {
	void *worker; /* or NULL: there is none */
	uint64_t foreign; /* the word of one of a keeper before, which lives; or 0 */
	bool rests; /* there is none, as there was nothing to do */
	bool killed; /* by us */
	struct mpr_worker_start start;
};

struct keeper {
	struct mpr_pool_use use;
	uint64_t generation; /* of the process: see is_copy() */
	struct mpr_self *self;
	uint64_t word; /* in the root */
	mproc_queue *queue;
	int64_t task_timeout; /* ns, or 0 */
	struct hand *hands; /* for as many as there were to be at a time */
	unsigned n; /* of them */
	unsigned wanted; /* workers, when it last looked */
	bool spread; /* maps, over those that have been added since */
	unsigned told; /* that so many are too many */
	unsigned untold; /* hints that are to be put yet for who is too many */
	const struct mpr_backend *backend;
	struct mpr_child_ears ears; /* of a process */
	const sigset_t *signals; /* of workers that are threads */
	bool announce; /* what is QUEUED, again */
	bool shut; /* the queue */
	int64_t now;   /* when it looked last */
	int64_t swept; /* when */
	bool is_first; /* who has begun it has not opened the pool yet */
	struct mpr_shortage shortage;
	bool is_told; /* of what was counted before that */
	struct mpr_starts starts;
};

MPR_CHILD_DATA static unsigned woken_slot;
MPR_CHILD_DATA static mproc_arena *woken_arena; /* NULL: it is not our slot yet */
MPR_CHILD_DATA static volatile sig_atomic_t asked_to_end;

static void
on_signal(int signal)
{
	if (signal == SIGTERM)
		asked_to_end = 1;
	if (woken_arena)
		mpr_unpark(woken_arena, woken_slot);
}

/* A function of pthread_atfork(3) has forked when a worker was, and this is not the
 * keeper: it has no worker, and nothing to keep. */
MPR_CHILD_PATH static bool
is_copy(const struct keeper *k)
{
	return k->generation != mpr_generation();
}

/* All that worker @w had, which is dead. @end is NULL if nobody knows how. */
static void
bury(struct keeper *k, unsigned w, const struct mproc_exit *end)
{
	if (!mpr_keep_bury(&k->use, k->self, w, end))
		k->announce = true;
	/* It may have taken a hint and not looked. Who is too many is told anew. */
	atomic_store(&k->use.root->surplus, 0);
	k->told = 0;
}

/* Whether worker @w, which has ended by @end, has ended in order. Who was killed need
 * not have, whatever its record says. */
static bool
has_left(struct keeper *k, unsigned w, const struct mproc_exit *end)
{
	struct mpr_pool_worker *record = mpr_pool_worker_at(&k->use, w);
	uint64_t word = record ? atomic_load(&record->word) : 0;

	if (!record || end->code || (word && word != MPR_POOL_RESTS))
		return false;
	k->hands[w].rests = word == MPR_POOL_RESTS;
	atomic_store(&record->doomed, 0);
	atomic_store(&record->word, 0);
	return true;
}

/* What is known of those that the kernel has killed. Who makes the pool counts them for
 * its first keeper, which starts workers meanwhile; and before there are tasks. seq_cst
 * pairs with note_kills() in keeping.c: once it says whose they are, the count is there. */
MPR_CHILD_PATH static struct mpr_shortage *
shortage(struct keeper *k)
{
	const struct mpr_pool_root *root = k->use.root;
	uint64_t who = atomic_load(&root->kills_of);

	if (k->is_first && !k->is_told && who) {
		mpr_shortage_begin(&k->shortage, atomic_load(&root->kills),
				   (int)who);
		k->is_told = true;
	}
	return &k->shortage;
}

MPR_CHILD_PATH static void
reap(struct keeper *k)
{
	struct mproc_exit end;

	for (unsigned w = 0; w < k->n; w++) {
		struct hand *h = &k->hands[w];

		if (h->worker && k->backend->has_ended(h->worker, &end)) {
			end.out_of_memory =
				end.signal == SIGKILL && !h->killed &&
				mpr_shortage_explains(shortage(k));
			if (end.code != 0)
				atomic_fetch_add(&k->use.root->deaths, 1);
			mpr_starts_note_end(&k->starts, &h->start,
					    mpr_pool_worker_at(&k->use, w));
			if (!has_left(k, w, &end))
				bury(k, w, k->backend->has_exits ? &end : NULL);
			k->backend->close(h->worker);
			h->worker = NULL;
		} else if (h->foreign && mpr_keep_is_gone(k->use.arena, h->foreign)) {
			bury(k, w, NULL);
			h->foreign = 0;
		}
	}
	if (mpr_unlikely(k->starts.lost) &&
	    mpr_starts_are_in_vain(&k->starts, &k->use))
		mpr_pool_break(&k->use, -EOWNERDEAD);
}

MPR_CHILD_PATH static void
start_worker(struct keeper *k, unsigned w)
{
	struct mpr_pool_worker *record = mpr_pool_worker_at(&k->use, w);
	struct mpr_working working = {
		.use = k->use,
		.number = w,
		.record = record,
		.limited = k->task_timeout != 0,
		/* Never 0, and without HELD. */
		.ticket = (mpr_arena_epoch(k->use.arena) + 1) << 32,
		.keeper = k->word,
		.ears = &k->ears,
		.keeper_pid = (pid_t)k->self->pid,
		.namespace = mpr_task_namespace(),
		.signals = k->signals,
	};
	char name[MPR_NAME_MAX];
	struct hand *h = &k->hands[w];

	if (!record)
		return;
	mpr_worker_name(&k->use, w, name);
	if (!working.ticket)
		working.ticket = UINT64_C(1) << 32;
	atomic_store(&record->word, working.ticket);
	h->killed = false;
	mpr_worker_start_note(&h->start, record, k->now);
	if (k->backend->begin(&working, name, &h->worker) < 0) {
		h->worker = NULL;
		if (is_copy(k))
			return;
		atomic_store(&record->word, 0);
		k->starts.not_before = mproc_now() + PAUSE;
	}
}

/* Whether worker @w is about to begin. */
MPR_CHILD_PATH static bool
is_coming(const struct keeper *k, unsigned w)
{
	struct mpr_pool_worker *record = mpr_pool_worker_at(&k->use, w);
	uint64_t word = record ? atomic_load(&record->word) : 0;

	return k->hands[w].worker && word > MPR_POOL_RESTS &&
	       !(word & MPR_HELD);
}

/* Has as many of those that rest begin again as there are hints that nobody comes
 * for. */
MPR_CHILD_PATH static void
end_rests(struct keeper *k)
{
	uint64_t resting = 0;
	size_t hints, coming = 0;

	for (unsigned w = 0; w < k->n; w++) {
		resting += k->hands[w].rests;
		coming += is_coming(k, w);
	}
	if (!resting && !atomic_load(&k->use.root->resting))
		return;
	atomic_store_explicit(&k->use.root->resting, resting,
			      memory_order_relaxed);
	/* Pairs with the fence in wake_resting() of who puts a hint. */
	mpr_cpu_fence();
	hints = mproc_queue_len(k->queue);
	for (unsigned w = 0; w < k->n && hints > coming; w++) {
		hints -= k->hands[w].rests;
		resting -= k->hands[w].rests;
		k->hands[w].rests = false;
	}
	/* Too many cost a wake-up, too few would cost a task. */
	atomic_store_explicit(&k->use.root->resting, resting,
			      memory_order_relaxed);
}

MPR_CHILD_PATH static unsigned
count_workers(const struct keeper *k)
{
	unsigned n = 0;

	for (unsigned w = 0; w < k->n; w++)
		n += k->hands[w].worker || k->hands[w].foreign;
	return n;
}

/* How many there are to be. */
MPR_CHILD_PATH static unsigned
count_wanted(const struct keeper *k)
{
	uint32_t n = atomic_load(&k->use.root->n_workers);

	return n < MPR_POOL_WORKERS_MAX ? n : MPR_POOL_WORKERS_MAX;
}

/* How many rest. Beyond @most they are forgotten. */
MPR_CHILD_PATH static unsigned
count_rests(struct keeper *k, unsigned most)
{
	unsigned n = 0;

	for (unsigned w = 0; w < k->n; w++) {
		k->hands[w].rests = k->hands[w].rests && n < most;
		n += k->hands[w].rests;
	}
	return n;
}

/* How many have ended in order, and are to be reaped. */
MPR_CHILD_PATH static unsigned
count_leaving(const struct keeper *k)
{
	struct mpr_pool_worker *record;
	unsigned n = 0;

	for (unsigned w = 0; w < k->n; w++) {
		record = mpr_pool_worker_at(&k->use, w);
		n += k->hands[w].worker && record &&
		     atomic_load(&record->word) <= MPR_POOL_RESTS;
	}
	return n;
}

/* Hands for @n workers. Returns false without memory for that: it has those that it had. */
MPR_CHILD_PATH static bool
make_hands(struct keeper *k, unsigned n)
{
	struct hand *hands;

	if (n <= k->n)
		return true;
	hands = mpr_realloc(k->hands, n * sizeof(*hands));
	if (!hands)
		return false;
	k->hands = hands;
	while (k->n < n)
		hands[k->n++] = (struct hand){ 0 };
	return true;
}

/* So many are too many. Whoever sees that first ends; who sleeps is woken by a hint at
 * nothing, which comes back if it is lost, as others do. There is one for each that was
 * added, whatever became of those before: who takes one has taken one off, or has found
 * that others did. */
static void
tell_surplus(struct keeper *k, unsigned n)
{
	const struct mpr_pool_hint nothing = { .offset = 0 };
	uint32_t before = atomic_exchange(&k->use.root->surplus, n);

	/* Workers take off only: somebody has scribbled. */
	if (before > k->told)
		before = 0;
	k->told = n;
	if (n > before)
		k->untold += n - before;
	if (k->untold > n)
		k->untold = n;
	/* Where there is no room for one, nobody sleeps. */
	while (k->untold && mproc_queue_put(k->queue, &nothing, sizeof(nothing),
					    MPROC_NOWAIT) == 0)
		k->untold--;
}

/* To fork many takes long, and is no part of the life of the first: those that this turn has
 * started begin now, when all are there. */
static void
note_begins(struct keeper *k)
{
	int64_t now = mproc_now();

	for (unsigned w = 0; w < k->n; w++)
		if (k->hands[w].worker && k->hands[w].start.at == k->now)
			k->hands[w].start.at = now;
}

MPR_CHILD_PATH static void
start_workers(struct keeper *k)
{
	unsigned wanted = count_wanted(k), have = count_workers(k), stay;
	bool started = false;

	/* Without memory for more it tries again when it looks next. */
	if (!make_hands(k, wanted))
		wanted = k->n;
	(void)count_rests(k, wanted > have ? wanted - have : 0);
	/* Any process can write there. */
	if (have > wanted || atomic_load(&k->use.root->surplus)) {
		stay = have - count_leaving(k);
		tell_surplus(k, stay > wanted ? stay - wanted : 0);
	}
	end_rests(k);
	have += count_rests(k, wanted);
	for (unsigned w = 0; w < k->n && have < wanted && !is_copy(k); w++) {
		struct hand *h = &k->hands[w];

		if (h->worker || h->foreign || h->rests ||
		    k->now < k->starts.not_before)
			continue;
		start_worker(k, w);
		started = true;
		have++;
	}
	if (started && !is_copy(k))
		note_begins(k);
}

static void
kill_worker(struct keeper *k, unsigned w)
{
	struct hand *h = &k->hands[w];

	if (!h->worker || !k->backend->kill)
		return;
	h->killed = true;
	k->backend->kill(h->worker);
}

/* When a task's time is over; @started is what stands there. */
static int64_t
overdue_at(int64_t started, int64_t limit)
{
	return started > 0 && limit > MPR_NEVER - started ? MPR_NEVER :
							    started + limit;
}

/* Who has a task that is not to be done any more. Returns when to look next. */
MPR_CHILD_PATH static int64_t
kill_overdue(struct keeper *k)
{
	int64_t limit = k->task_timeout, now = k->now;
	int64_t next = limit ? overdue_at(now, limit) : MPR_NEVER;

	for (unsigned w = 0; w < k->n; w++) {
		struct mpr_pool_worker *record = mpr_pool_worker_at(&k->use, w);
		struct mproc_future *f;
		int64_t started, until;
		struct mpr_map_use m;
		uint64_t word, holder;

		if (!record)
			continue;
		holder = atomic_load(&record->word);
		if (holder && atomic_load(&record->doomed) == holder)
			kill_worker(k, w);
		if (!limit)
			continue;
		f = mpr_entries_at(k->use.arena, atomic_load(&record->lease));
		if (!f)
			continue;
		if (mpr_map_look_at(&k->use, f, &m)) {
			until = next;
			if (mpr_map_is_overdue(&m, w, limit, now, &until))
				kill_worker(k, w);
			next = until < next ? until : next;
			continue;
		}
		word = atomic_load(&f->cell.word);
		started = atomic_load(&f->started);
		if (!mpr_future_runs_at(word, w) || !started)
			continue;
		until = overdue_at(started, limit);
		if (until > now) {
			next = until < next ? until : next;
		} else if (word & MPR_FUTURE_REVOKED ||
			   mpr_task_give_up(&k->use, k->self, f, word,
					    MPR_FUTURE_OVERDUE)) {
			kill_worker(k, w);
		}
	}
	return next;
}

static void
kill_number(void *keeper, unsigned w)
{
	struct keeper *k = keeper;

	if (w < k->n)
		kill_worker(k, w);
}

/* Who has it, or shares of it. It is of these workers as long as the numbers are. */
static void
kill_workers_of(struct keeper *k, struct mproc_future *f, uint64_t word)
{
	struct mpr_map_use m;

	if (mpr_map_look_at(&k->use, f, &m))
		mpr_map_each_worker(&m, word, kill_number, k);
	else
		kill_number(k, (unsigned)(word & MPR_FUTURE_WORKER));
}

/* A future that nobody will close: its owner is dead. And one that was to be freed by
 * one that is. And one that was revoked by one who was killed before it could have its
 * worker killed. And a map whose last worker was killed before it could see that it was
 * at its end. */
static void
sweep_one(struct keeper *k, struct mproc_future *f,
	  struct mpr_pool_owner *dead, struct mpr_pool_owner *alive)
{
	uint64_t word = atomic_load(&f->cell.word);
	struct mpr_pool_owner owner = mpr_future_owner(f);
	struct mpr_map_use m;

	if (mpr_future_state(word) == MPR_FUTURE_FREED) {
		if (mpr_keep_is_gone(k->use.arena, mpr_future_freer(word)))
			mpr_future_free(k->use.arena, k->self, f);
		return;
	}
	if (mpr_future_is_begun(word) && word & MPR_FUTURE_REVOKED)
		kill_workers_of(k, f, word);
	if (mpr_map_look_at(&k->use, f, &m))
		mpr_map_settle(&m, k->self, word);
	if (word & MPR_FUTURE_ABANDONED || mpr_pool_owner_is(&owner, alive))
		return;
	if (!mpr_pool_owner_is(&owner, dead) && !mpr_pool_owner_has_ended(&owner)) {
		*alive = owner;
		return;
	}
	*dead = owner;
	/* It may have died before it could announce it. */
	if (mpr_task_waits(&k->use, f, word))
		k->announce = true;
	mpr_task_abandon(k->use.arena, k->self, f, word);
}

static bool
creator_is_dead(const struct keeper *k)
{
	const struct mpr_pool_owner creator = mpr_pool_creator(&k->use);

	return mpr_pool_owner_has_ended(&creator);
}

MPR_CHILD_PATH static void
sweep(struct keeper *k)
{
	struct mpr_entries_walk walk = mpr_entries_walk(&k->use);
	struct mpr_pool_owner dead = { 0 }, alive = { 0 };
	struct mproc_future *f;

	if (k->now < k->swept + SWEEP_EVERY)
		return;
	if (k->backend->has_exits) {
		mpr_shortage_look(shortage(k));
		k->is_told = true;
	}
	while ((f = mpr_entries_next(&walk)))
		sweep_one(k, f, &dead, &alive);
	if (creator_is_dead(k))
		mpr_pool_advance(&k->use, MPR_POOL_TERMINATING);
	/* With millions of futures it takes long, and there is to be a sleep until the next. */
	k->swept = mproc_now();
}

/* Puts hints for all that waits; what has one already has two. Returns false if that is to
 * be done again. */
static bool
announce_all(struct keeper *k, bool only_maps)
{
	struct mpr_entries_walk walk = mpr_entries_walk(&k->use);
	struct mproc_future *f;
	int r = 0;

	while (r == 0 && (f = mpr_entries_next(&walk))) {
		uint64_t word = atomic_load(&f->cell.word);

		if (only_maps && !mpr_future_is_a(f, MPR_FUTURE_MAP))
			continue;
		if (mpr_task_waits(&k->use, f, word))
			r = mpr_task_announce(&k->use, f, word);
	}
	return r == 0;
}

/* Whether a task is not done. With @drop those that are QUEUED are failed. */
static bool
is_unfinished(struct keeper *k, bool drop)
{
	struct mpr_entries_walk walk = mpr_entries_walk(&k->use);
	struct mproc_future *f;

	while ((f = mpr_entries_next(&walk))) {
		uint64_t word = atomic_load(&f->cell.word);

		if (drop && mpr_future_state(word) == MPR_FUTURE_QUEUED)
			mpr_task_drop(&k->use, k->self, f, word,
				      MPR_FUTURE_SHUT);
		else if (mpr_future_state(word) == MPR_FUTURE_QUEUED ||
			 mpr_future_is_begun(word))
			return true;
	}
	return false;
}

/* The workers end by that. */
static void
shut_queue(struct keeper *k)
{
	if (!k->shut)
		k->shut = mpr_pool_shut_queue(&k->use);
}

static void
revoke_all(struct keeper *k)
{
	mpr_keep_revoke_all(&k->use, k->self);
	for (unsigned w = 0; w < k->n; w++)
		kill_worker(k, w);
}

/* Returns whether the pool has ended, or this is a copy. */
MPR_CHILD_PATH static bool
look_at_phase(struct keeper *k)
{
	enum mpr_pool_phase phase = mpr_pool_phase(&k->use);
	unsigned wanted;

	if (phase == MPR_POOL_TERMINATING) {
		shut_queue(k);
		revoke_all(k);
		return !count_workers(k) && !is_unfinished(k, true);
	}
	if (phase == MPR_POOL_CLOSING && !is_unfinished(k, false)) {
		shut_queue(k);
		return !count_workers(k);
	}
	if (phase == MPR_POOL_ENDED) {
		/* By us, and then nobody is left; or by somebody who has scribbled: what
		 * they write to may be freed now. */
		shut_queue(k);
		for (unsigned w = 0; w < k->n; w++)
			kill_worker(k, w);
		return !count_workers(k);
	}
	if (k->announce)
		k->announce = !announce_all(k, false);
	/* seq_cst: who submits a map that is not found here finds that number itself. */
	wanted = count_wanted(k);
	k->spread |= wanted > k->wanted;
	k->wanted = wanted;
	k->spread = k->spread && !announce_all(k, true);
	if (!k->shut)
		start_workers(k);
	return is_copy(k);
}

MPR_CHILD_PATH static void
keep(struct keeper *k)
{
	uint32_t ticket;
	int64_t next;

	for (;; k->now = mproc_now()) {
		ticket = mpr_park_ticket(k->self);
		if (asked_to_end)
			mpr_pool_advance(&k->use, MPR_POOL_TERMINATING);
		reap(k);
		next = kill_overdue(k);
		sweep(k);
		if (look_at_phase(k))
			break;
		/* Whose time has come since it looked is not to wait for the next one. */
		if (k->starts.not_before > k->now && k->starts.not_before < next)
			next = k->starts.not_before;
		/* A slice may be longer than that, where many sleep. */
		if (k->swept + SWEEP_EVERY < next)
			next = k->swept + SWEEP_EVERY;
		if (mpr_park(k->self, k->use.pool, ticket, next) == -EINTR)
			mpr_interrupt_answer();
	}
	if (!is_copy(k))
		mpr_keep_end(&k->use, k->self);
}

/* Sleeps until then, as the waits of others are looked after meanwhile. */
static void
sleep_until(struct keeper *k, int64_t when)
{
	while (!asked_to_end && mproc_now() < when)
		if (mpr_park(k->self, k->use.pool, mpr_park_ticket(k->self),
			     when) == -EINTR)
			mpr_interrupt_answer();
}

/* The pool has ended, and its creator cannot free it any more: once nobody has a
 * future of it, we do. */
static void
free_for_creator(struct keeper *k)
{
	while (!asked_to_end && mpr_entries_exist(&k->use)) {
		sleep_until(k, k->swept + SWEEP_EVERY);
		k->now = mproc_now();
		sweep(k);
	}
	if (!mpr_entries_exist(&k->use))
		(void)mpr_pool_free(&k->use, k->self);
}

/* What a keeper before us has left. */
MPR_CHILD_PATH static bool
take_over(struct keeper *k)
{
	struct mpr_pool_worker *record;
	uint64_t word;

	for (unsigned w = 0; (record = mpr_pool_worker_at(&k->use, w)); w++) {
		word = mpr_keep_holder_of(record);
		if (!word)
			continue;
		if (!make_hands(k, w + 1))
			return false;
		k->hands[w].foreign = word;
	}
	/* Those that were told, and those that nobody has told of. Of what is left by others
	 * there is nothing before the pool is there. */
	k->announce = !k->is_first;
	if (k->is_first)
		k->swept = k->now;
	atomic_store(&k->use.root->resting, 0);
	atomic_store(&k->use.root->surplus, 0);
	atomic_fetch_add(&k->use.root->keepers, 1);
	return true;
}

/* What it knows of its pool, before it keeps that; by its starter, if it is @told. Returns 0
 * or a negative error. */
MPR_CHILD_PATH static int
look_at_pool(struct keeper *k, const struct mpr_keeping *keeping, bool told)
{
	int r;

	k->is_first = keeping->is_first && (told || !mpr_pool_is_there(&k->use));
	/* What is just being made has not been left alone for long: the first look at the
	 * clock is for after the forks. */
	k->now = k->is_first && told ? keeping->at : mproc_now();
	k->task_timeout = atomic_load(&k->use.root->task_timeout);
	k->queue = mpr_pool_queue(&k->use);
	if (k->task_timeout < 0 || !k->queue)
		return -EBADMSG;
	r = mpr_self(k->use.arena, &k->self);
	if (r < 0)
		return r;
	k->word = mpr_holder(k->self);
	k->wanted = count_wanted(k);
	return make_hands(k, k->wanted) ? 0 : -ENOMEM;
}

/* From the starter's word to ours: the point from which on the pool is ours. Then until it
 * has ended. Returns false if it was not, or is not any more. */
MPR_CHILD_PATH static bool
take_and_keep(struct keeper *k, const struct mpr_keeping *keeping)
{
	uint64_t starter = keeping->starter;

	if (!atomic_compare_exchange_strong(&k->use.root->keeper, &starter,
					    k->word))
		return false;
	mpr_unpark(k->use.arena, keeping->starter_slot);
	if (!take_over(k))
		return false;
	keep(k);
	return true;
}

MPR_CHILD_PATH int
mpr_keeper_run(void *arg)
{
	const struct mpr_keeping *keeping = arg;
	struct mpr_keyboard keyboard;
	struct keeper k = { .use = keeping->use,
			    .generation = keeping->generation ?
						  keeping->generation :
						  mpr_generation_begin(),
			    .backend = &mpr_backend_processes };
	bool told;

	/* First: the program's handlers of signals do not run from here on. One that
	 * has run may have forked. */
	mpr_keyboard_ignore(&keyboard);
	mpr_child_listen(on_signal, &k.ears);
	if (is_copy(&k))
		return 0;
	/* A program's constructors may have begun threads in a new image. */
	if (!mpr_pool_is_anew(&k.use) || mpr_task_threads() == 1)
		mpr_process_is_alone();
	/* The child of a copy that a handler has forked meanwhile has others than ours, and
	 * may come when all is long over. */
	told = mpr_task_inherit_namespace(keeping->starter_pid, keeping->namespace);
	if (told)
		mpr_records_have(keeping->records);
	if (look_at_pool(&k, keeping, told) < 0)
		return 1;
	woken_slot = k.self->slot;
	atomic_signal_fence(memory_order_release);
	woken_arena = k.use.arena;
	if (take_and_keep(&k, keeping)) {
		if (is_copy(&k))
			return 0;
		/* Its creator may have freed it, and another one made another there. */
		if (creator_is_dead(&k) &&
		    atomic_load(&k.use.root->keeper) == k.word)
			free_for_creator(&k);
	}
	free(k.hands);
	return 0;
}

int
mpr_keeper_run_here(const struct mpr_keeping *keeping, const sigset_t *signals)
{
	struct keeper k = { .use = keeping->use,
			    .generation = mpr_generation(),
			    .backend = &mpr_backend_threads,
			    .signals = signals };
	int r = look_at_pool(&k, keeping, true);

	if (r == 0)
		(void)take_and_keep(&k, keeping);
	free(k.hands);
	return r;
}
