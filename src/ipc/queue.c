/* SPDX-License-Identifier: MIT */
/*
 * A queue's beginning and end, and what does not move messages.
 */
#include <errno.h>
#include <stdio.h>

#include "arena/heap.h"
#include "arena/participant.h"
#include "base/error.h"
#include "base/opts.h"
#include "ipc/attachment.h"
#include "ipc/queue_fd.h"
#include "ipc/queue_remote.h"
#include "ipc/queue_shm.h"
#include "os/generation.h"
#include "sync/asymmetric.h"

#define REDELIVERIES_DEFAULT 3

struct mpr_lane *
mpr_queue_lane(const mproc_arena *a, const mproc_queue *q,
	       const _Atomic uint64_t *link, size_t capacity, bool *ret_bad)
{
	/* Acquire pairs with the CAS that links a lane: it is initialised. */
	uint64_t offset = atomic_load_explicit(link, memory_order_acquire);
	struct mpr_lane *lane;

	if (!offset)
		return NULL;
	/* What is free may have no memory. */
	if (mpr_heap_is_linked(a, offset, mpr_lane_size(capacity))) {
		lane = mpr_arena_at(a, offset);
		if (atomic_load_explicit(&lane->queue, memory_order_relaxed) ==
		    mpr_arena_offset(a, q))
			return lane;
	}
	*ret_bad = true;
	return NULL;
}

/* Links a fresh header at the end of the arena's list, for ever. The walk has
 * come to the end, or near it, and will find the header. */
static int
add_header(mproc_arena *a, struct mpr_self *self,
	   const struct mpr_queue_walk *walk)
{
	/* Only links that others have changed since are passed. */
	_Atomic uint64_t *link = walk->last ? &walk->last->next :
				 &a->shm->objects[MPR_KIND_QUEUE];
	struct mpr_block_ref ref;
	mproc_queue *q;
	int r;

	if (walk->n >= MPR_QUEUES_MAX)
		return mpr_fail(-EBADMSG, "the list of queues is corrupt: it "
				"has more than %d", MPR_QUEUES_MAX);
	r = mpr_heap_reserve(a, self, sizeof(*q), &ref);
	if (r < 0)
		return r;
	q = mpr_arena_at(a, ref.offset);
	q->magic = MPR_QUEUE_MAGIC;
	return mpr_block_append(a, self, &ref, link,
				offsetof(mproc_queue, next),
				MPR_QUEUES_MAX - walk->n);
}

/* Claims a FREE header, which is then BUSY with the word *@ret_busy, from where
 * the walk is on. */
static mproc_queue *
claim_header(mproc_arena *a, struct mpr_self *self, struct mpr_queue_walk *walk,
	     uint64_t *ret_busy)
{
	struct mpr_queue_walk before = *walk;
	mproc_queue *q;

	for (; (q = mpr_queue_next(a, walk)); before = *walk) {
		uint64_t word = atomic_load(&q->state);

		if (mpr_owner_state(word) == MPR_QUEUE_GONE) {
			mpr_queue_reap(a, self, q);
			word = atomic_load(&q->state);
		}
		/* A FREE one has nothing; someone who writes
		 * where he should not must not give us another's. */
		if (mpr_owner_state(word) != MPR_QUEUE_FREE ||
		    atomic_load(&q->lanes) || atomic_load(&q->blocks) ||
		    atomic_load(&q->partner) || mpr_seats_any(a, &q->seats))
			continue;
		*ret_busy = mpr_owner(mpr_arena_epoch(a), self->slot,
				      MPR_QUEUE_BUSY);
		if (!atomic_compare_exchange_strong(&q->state, &word, *ret_busy))
			continue;
		mpr_rover_found(&a->rovers[MPR_KIND_QUEUE],
				before.last ? mpr_arena_offset(a, before.last) :
					      0, before.n);
		return q;
	}
	return NULL;
}

/* Claims a FREE header, or makes one. */
static int
find_header(mproc_arena *a, struct mpr_self *self, mproc_queue **ret_q,
	    uint64_t *ret_busy)
{
	struct mpr_rover *rover = &a->rovers[MPR_KIND_QUEUE];
	uint64_t place = mpr_rover_begin(rover);
	struct mpr_queue_walk walk = { 0 };
	bool whole = !place;
	int r;

	if (place)
		walk = (struct mpr_queue_walk){
			mpr_arena_at(a, mpr_rover_offset(place)),
			mpr_rover_number(place),
		};
	/* One walk: where there are thousands, a second one would show. */
	while (!(*ret_q = claim_header(a, self, &walk, ret_busy))) {
		if (whole || !mpr_rover_turns(rover, walk.n)) {
			r = add_header(a, self, &walk);
			if (r == 0)
				continue;
			if (whole)
				return r;
		}
		walk = (struct mpr_queue_walk){ 0 };
		whole = true;
	}
	return 0;
}

/* Reads what has limits: how large the lanes are to be, and the longest message
 * in the arena @a. */
static int
read_sizes(const mproc_arena *a, const struct mproc_queue_opts *o,
	   size_t *ret_capacity, size_t *ret_max_message)
{
	size_t longest = a->shmem.size - MPR_HEAP_AT;
	size_t capacity = MPR_QUEUE_CAPACITY_MIN;
	size_t given = o->capacity ? o->capacity : MPR_QUEUE_CAPACITY_DEFAULT;

	if (o->max_message > longest)
		return mpr_fail(-EINVAL, "messages of %zu bytes in an arena "
				"for %zu", o->max_message, longest);
	if (o->max_items > MPR_QUEUE_ITEMS_MAX)
		return mpr_fail(-EINVAL, "%zu messages at most; it must be %d "
				"or less", o->max_items, MPR_QUEUE_ITEMS_MAX);
	if (o->max_redeliveries < -1 ||
	    o->max_redeliveries > MPR_QUEUE_REDELIVERIES_MAX ||
	    (o->max_redeliveries && !o->ack))
		return mpr_fail(-EINVAL, "%d redeliveries; it must be -1 to %d, "
				"with .ack", o->max_redeliveries,
				MPR_QUEUE_REDELIVERIES_MAX);
	if (given < MPR_QUEUE_CAPACITY_MIN || given > MPR_QUEUE_CAPACITY_MAX)
		return mpr_fail(-EINVAL, "a capacity of %zu bytes; it must be "
				"%d to %d", given, MPR_QUEUE_CAPACITY_MIN,
				MPR_QUEUE_CAPACITY_MAX);
	while (capacity < given)
		capacity *= 2;
	*ret_capacity = capacity;
	*ret_max_message = o->max_message ? o->max_message : longest;
	return 0;
}

struct mpr_queue_label
mpr_queue_label(const mproc_queue *q)
{
	struct mpr_queue_label label;

	if (atomic_load(&q->pipe))
		snprintf(label.text, sizeof(label.text), "the pipe of queue %p",
			 (const void *)q);
	else if (q->name[0])
		snprintf(label.text, sizeof(label.text), "queue '%.*s'",
			 MPR_QUEUE_NAME - 1, q->name);
	else
		snprintf(label.text, sizeof(label.text), "queue %p",
			 (const void *)q);
	return label;
}

/* How often a message comes back, at most. */
static uint32_t
redeliveries(const struct mproc_queue_opts *o)
{
	if (!o->ack)
		return 0;
	if (o->max_redeliveries < 0)
		return UINT32_MAX;
	return o->max_redeliveries ? (uint32_t)o->max_redeliveries :
				     REDELIVERIES_DEFAULT;
}

static uint32_t
flags_of(const struct mproc_queue_opts *o)
{
	return (o->single_consumer ? MPR_QUEUE_SINGLE_CONSUMER : 0) |
	       (o->ack || o->joinable ? MPR_QUEUE_KEEPS : 0) |
	       (o->ordered ? MPR_QUEUE_ORDERED : 0);
}

/* A header that is BUSY and ours, as the options say. */
static int
make_header(mproc_arena *a, struct mpr_self *self,
	    const struct mproc_queue_opts *o, mproc_queue **ret_q)
{
	size_t capacity, max_message;
	mproc_queue *q;
	uint64_t busy;
	int r;

	r = read_sizes(a, o, &capacity, &max_message);
	if (r == 0)
		r = find_header(a, self, &q, &busy);
	if (r < 0)
		return r;
	q->magic = MPR_QUEUE_MAGIC; /* again: someone may have scribbled */
	atomic_store(&q->closing, 0);
	atomic_store(&q->hint, 0);
	atomic_store(&q->wants_block, 0);
	atomic_store(&q->wants_memory, 0);
	atomic_store(&q->returned, 0);
	atomic_store(&q->pipe, 0);
	atomic_store(&q->capacity, capacity);
	atomic_store(&q->max_message, max_message);
	atomic_store(&q->max_items, o->max_items);
	atomic_store(&q->max_redeliveries, redeliveries(o));
	snprintf(q->name, sizeof(q->name), "%s", o->name ? o->name : "");
	atomic_store(&q->flags, flags_of(o));
	*ret_q = q;
	return 0;
}

/* From here on it exists; before, it goes with us. */
static void
open_header(mproc_queue *q)
{
	atomic_store(&q->state, mpr_owner_with_state(atomic_load(&q->state),
						     MPR_QUEUE_OPEN));
}

/* Gives @q, which is not open yet, a queue of dead letters. */
static int
add_dead_letters(mproc_arena *a, struct mpr_self *self, mproc_queue *q,
		 const struct mproc_queue_opts *o)
{
	struct mproc_queue_opts opts = { .name = o->name };
	mproc_queue *dead;
	int r;

	r = make_header(a, self, &opts, &dead);
	if (r < 0)
		return r;
	atomic_store(&dead->flags, MPR_QUEUE_DEAD_LETTERS);
	atomic_store(&dead->partner, mpr_arena_offset(a, q));
	/* In this order: whoever ends @q ends this one. */
	atomic_store(&q->partner, mpr_arena_offset(a, dead));
	open_header(dead);
	return 0;
}

/* Not open yet. */
static int
make_queue(mproc_arena *a, struct mpr_self *self,
	   const struct mproc_queue_opts *o, mproc_queue **ret_q)
{
	mproc_queue *q;
	int r;

	r = make_header(a, self, o, &q);
	if (r < 0)
		return r;
	if (o->ack || o->joinable) {
		r = add_dead_letters(a, self, q, o);
		if (r < 0) {
			atomic_store(&q->state, mpr_owner_with_state(
				atomic_load(&q->state), MPR_QUEUE_FREE));
			return r;
		}
	}
	*ret_q = q;
	return 0;
}

int
mproc_queue_create(mproc_queue **ret_q, const struct mproc_queue_opts *opts)
{
	struct mproc_queue_opts o;
	struct mpr_self *self;
	mproc_arena *a;
	mproc_queue *q;
	int r;

	if (!ret_q)
		return mpr_fail(-EINVAL, "ret_q is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r < 0)
		return r;
	r = mpr_arena_resolve(o.arena, &a);
	if (r < 0)
		return r;
	r = mpr_self(a, &self);
	if (r < 0)
		return r;
	r = make_queue(a, self, &o, &q);
	if (r < 0)
		return r;
	open_header(q);
	*ret_q = q;
	return 0;
}

int
mpr_queue_create_at(mproc_arena *a, struct mpr_self *self,
		    const struct mproc_queue_opts *o, _Atomic uint64_t *link,
		    _Atomic uint64_t *open)
{
	mproc_queue *q;
	int r;

	r = make_queue(a, self, o, &q);
	if (r < 0)
		return r;
	atomic_store(open, mpr_owner_with_state(atomic_load(&q->state),
						MPR_QUEUE_OPEN));
	atomic_store(link, mpr_arena_offset(a, q));
	open_header(q);
	return 0;
}

/* What is named so, if it is there; or NULL. */
static mproc_queue *
find_at(const mproc_arena *a, const _Atomic uint64_t *link,
	const _Atomic uint64_t *open)
{
	uint64_t offset = atomic_load(link);
	mproc_queue *q = mpr_arena_has(a, offset, sizeof(*q)) ?
				 mpr_arena_at(a, offset) : NULL;
	mproc_arena *in;

	return q && mpr_queue_check(q, &in) == 0 &&
			       atomic_load(&q->state) == atomic_load(open) ?
		       q : NULL;
}

static void
shut(const mproc_arena *a, mproc_queue *q, uint32_t how)
{
	uint32_t closing = atomic_load(&q->closing);

	/* Never back from IMMEDIATE to DRAIN. */
	while (closing < how &&
	       !atomic_compare_exchange_weak(&q->closing, &closing, how))
		;
	mpr_fence_rare(a);
	mpr_seats_wake_all(a, &q->seats);
}

bool
mpr_queue_shut_at(const mproc_arena *a, const _Atomic uint64_t *link,
		  const _Atomic uint64_t *open)
{
	mproc_queue *q = find_at(a, link, open);

	if (q)
		shut(a, q, MPROC_IMMEDIATE);
	return q != NULL;
}

void
mpr_queue_destroy_at(const mproc_arena *a, _Atomic uint64_t *link,
		     const _Atomic uint64_t *open)
{
	uint64_t generation = mpr_generation();
	mproc_queue *q = find_at(a, link, open);

	if (q)
		mproc_queue_destroy(q);
	/* A copy that a signal handler has forked meanwhile may come here when its
	 * parent has made another one. */
	if (generation == mpr_generation())
		atomic_store(link, 0);
}

int
mpr_queue_create_for(mproc_arena *a, struct mpr_self *self, uint64_t pipe,
		     _Atomic uint64_t *link)
{
	struct mproc_queue_opts opts = { 0 };
	mproc_queue *q;
	int r;

	r = make_header(a, self, &opts, &q);
	if (r < 0)
		return r;
	/* In this order: whoever ends the pipe ends this one. */
	atomic_store(&q->pipe, pipe);
	atomic_store(link, mpr_arena_offset(a, q));
	open_header(q);
	return 0;
}

/* What this process has of a queue of dead letters that is GONE. */
static void
drop_dead_letters(mproc_queue *dead)
{
	struct mpr_attachment *at = mpr_attachment_present(dead);

	mpr_queue_fd_close(dead);
	if (at)
		mpr_attachment_drop(at);
}

void
mproc_queue_destroy(mproc_queue *q)
{
	struct mpr_attachment *at = NULL;
	bool destroyed = false;
	mproc_queue *dead;
	mproc_arena *a;
	uint64_t open;

	int r;

	if (!q)
		return;
	r = mpr_queue_check(q, &a);
	if (mpr_queue_is_remote(q, r))
		mpr_queue_remote_destroy(q);
	if (r < 0)
		return;
	/* Somebody else has destroyed what this process has a descriptor of.
	 * Whatever is there by now is not what is meant. */
	if (mpr_queue_fd_is_old(q)) {
		mpr_queue_fd_close(q);
		at = mpr_attachment_present(q);
		if (at && atomic_load(&q->state) != at->open &&
		    !mpr_attachment_is_held(at))
			mpr_attachment_drop(at);
		return;
	}
	/* A thread that cannot attach, for want of memory, can destroy. */
	(void)mpr_attachment_get(q, &at);
	open = at ? at->open : atomic_load(&q->state);
	/* It goes with its queue; only the descriptor is this process's. */
	if (atomic_load(&q->flags) & MPR_QUEUE_DEAD_LETTERS &&
	    mpr_queue_partner(a, q)) {
		mpr_queue_fd_close(q);
		return;
	}
	if (mpr_owner_state(open) == MPR_QUEUE_OPEN &&
	    atomic_compare_exchange_strong(
		    &q->state, &open,
		    mpr_owner_with_state(open, MPR_QUEUE_GONE))) {
		destroyed = true;
		/* Who is about to sleep looks at the state once more. */
		mpr_fence_rare(a);
		mpr_seats_wake_all(a, &q->seats);
		mpr_queue_end_partner(a, mpr_self_in(a), q,
				      mpr_owner_with_state(open,
							   MPR_QUEUE_GONE));
	}
	dead = mpr_queue_partner(a, q);
	mpr_queue_fd_close(q);
	/* The queue's memory goes with our attachment if it was the last. If
	 * another was faster, what we hold is still ours to give back. */
	if (!at)
		mpr_queue_reap(a, mpr_self_in(a), q);
	else if (destroyed || !mpr_attachment_is_held(at))
		mpr_attachment_drop(at);
	/* Someone may have written that it is its own. */
	if (dead && dead != q)
		drop_dead_letters(dead);
}

int
mproc_queue_shutdown(mproc_queue *q, unsigned flags)
{
	struct mpr_attachment *at;
	int r;

	if (flags != MPROC_DRAIN && flags != MPROC_IMMEDIATE)
		return mpr_fail(-EINVAL, "shutdown flags are %u", flags);
	r = mpr_attachment_get(q, &at);
	if (r < 0)
		return mpr_queue_is_remote(q, r) ?
			       mpr_queue_remote_shutdown(q, flags) : r;
	if (at->dead_letters)
		return mpr_fail(-EPERM, "%s holds dead letters",
				mpr_queue_label(q).text);
	shut(at->arena, q, flags);
	return 0;
}
