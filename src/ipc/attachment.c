/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "arena/death.h"
#include "arena/heap.h"
#include "arena/recover.h"
#include "arena/remote.h"
#include "base/alloc.h"
#include "base/error.h"
#include "ipc/attachment.h"
#include "ipc/pipe_use.h"
#include "ipc/queue_keep.h"
#include "ipc/turns.h"
#include "os/thread.h"
#include "ring/access.h"

#define PATIENCE_START 8

/* Memory that a lane gets to begin with: all that one of the default capacity
 * will ever need, so that its owner does not call the kernel again. */
#define BACK_FIRST MPR_QUEUE_CAPACITY_DEFAULT

/* And at most at once: a call of 8 MiB takes milliseconds, asking for more of
 * them would save nothing. */
#define BACK_MOST ((size_t)8 << 20)

/* Up to so many are looked through. */
#define BUCKETS_FIRST 16

/* So many are never too many. */
#define SWEEP_FIRST 16

MPR_THREAD_LOCAL struct mpr_attachments mpr_attachments;

static void
forget(struct mpr_attachment *at)
{
	for (int i = 0; i < 2; i++)
		if (at->viewed[i])
			*at->viewed[i] = NULL;
	free(at->consumers);
	free(at->blocks.groups);
	free(at->held.taken);
	free(at->copy);
	free(at);
}

static struct mpr_attachment **
bucket_of(const mproc_queue *q)
{
	/* Headers lie at multiples of 128. */
	uint64_t hash = ((uintptr_t)q >> 7) * UINT64_C(0x9e3779b97f4a7c15);

	return &mpr_attachments.buckets[hash >> 32 &
					(mpr_attachments.n_buckets - 1)];
}

/* Puts all into @n buckets. Without memory it is left as it is: looking takes
 * longer then. */
static void
spread(unsigned n)
{
	struct mpr_attachment **buckets = mpr_zalloc(n * sizeof(*buckets));

	if (!buckets)
		return;
	free(mpr_attachments.buckets);
	mpr_attachments.buckets = buckets;
	mpr_attachments.n_buckets = n;
	for (struct mpr_attachment *at = mpr_attachments.all; at;
	     at = at->next) {
		struct mpr_attachment **bucket = bucket_of(at->q);

		at->next_in_bucket = *bucket;
		*bucket = at;
	}
}

static void
enter(struct mpr_attachment *at)
{
	struct mpr_attachment **bucket;

	at->next = mpr_attachments.all;
	if (at->next)
		at->next->previous = at;
	mpr_attachments.all = at;
	mpr_attachments.n++;
	if (mpr_attachments.n > BUCKETS_FIRST &&
	    mpr_attachments.n > mpr_attachments.n_buckets) {
		spread(2 * mpr_attachments.n_buckets > BUCKETS_FIRST ?
			       2 * mpr_attachments.n_buckets :
			       2 * BUCKETS_FIRST);
		if (mpr_attachments.n <= mpr_attachments.n_buckets)
			return;
	}
	if (!mpr_attachments.buckets)
		return;
	bucket = bucket_of(at->q);
	at->next_in_bucket = *bucket;
	*bucket = at;
}

static void
leave(struct mpr_attachment *at)
{
	struct mpr_attachment **link;

	if (at->previous)
		at->previous->next = at->next;
	else
		mpr_attachments.all = at->next;
	if (at->next)
		at->next->previous = at->previous;
	mpr_attachments.n--;
	for (int i = 0; i < MPR_ATTACHMENTS_HOT; i++)
		if (mpr_attachments.hot[i] == at)
			mpr_attachments.hot[i] = NULL;
	if (!mpr_attachments.buckets)
		return;
	link = bucket_of(at->q);
	while (*link != at)
		link = &(*link)->next_in_bucket;
	*link = at->next_in_bucket;
	if (mpr_attachments.n)
		return;
	free(mpr_attachments.buckets);
	mpr_attachments.buckets = NULL;
	mpr_attachments.n_buckets = 0;
}

/* In a forked child all attachments are copies of the parent's. */
static void
drop_parents(void)
{
	struct mpr_attachment *at = mpr_attachments.all, *next;

	for (; at; at = next) {
		next = at->next;
		forget(at);
	}
	free(mpr_attachments.buckets);
	mpr_attachments = (struct mpr_attachments){
		.generation = mpr_generation(),
	};
}

void
mpr_attachment_drop(struct mpr_attachment *at)
{
	struct mpr_lane *lane = at->producer.lane;

	/* What it holds; a block that the single consumer is shown is not its
	 * own, and stays. */
	if (at->writes.block)
		mpr_message_abandon(at, &at->writes);
	if (at->keeps)
		mpr_held_return(at);
	else if (at->shown_block.block && !at->single_consumer)
		mpr_message_free(at, &at->shown_block);
	/* The lane before the seat: Q3. Release, both: what we did there comes
	 * before the next owner. */
	if (lane)
		atomic_store_explicit(
			&lane->owner,
			mpr_owner_with_state(atomic_load(&lane->owner),
					     MPR_LANE_FREE),
			memory_order_release);
	if (at->role)
		atomic_store_explicit(
			at->role,
			mpr_owner_with_state(atomic_load(at->role),
					     MPR_ROLE_FREE),
			memory_order_release);
	mpr_seat_leave(at->seat);
	mpr_queue_reap(at->arena, at->self, at->q);

	if (!at->is_apart)
		leave(at);
	if (at->origin)
		mpr_attachment_drop(at->origin);
	forget(at);
}

void
mpr_attachment_forget(struct mpr_attachment *at)
{
	if (at->origin)
		forget(at->origin);
	forget(at);
}

static struct mpr_attachment *
first_in(const mproc_arena *a)
{
	struct mpr_attachment *at = mpr_attachments.all;

	while (at && at->arena != a)
		at = at->next;
	return at;
}

void
mpr_attachments_leave(const mproc_arena *a)
{
	struct mpr_attachment *at;

	if (mpr_attachments.generation != mpr_generation())
		return;
	while ((at = first_in(a)))
		mpr_attachment_drop(at);
}

void
mpr_attachments_sweep(void)
{
	struct mpr_attachment *at, *next;

	if (mpr_attachments.generation != mpr_generation() ||
	    mpr_attachments.n < SWEEP_FIRST + 2 * mpr_attachments.n_swept)
		return;
	for (at = mpr_attachments.all; at; at = next) {
		next = at->next;
		if (at->pipe && (atomic_load(&at->q->state) != at->open ||
				 !mpr_pipe_is_used(at)))
			mpr_attachment_drop(at);
	}
	mpr_attachments.n_swept = mpr_attachments.n;
}

int
mpr_queue_check(mproc_queue *q, mproc_arena **ret_a)
{
	mproc_arena *a = mpr_arena_of(q);

	if (!q)
		return mpr_fail(-EINVAL, "the queue is NULL");
	/* A handle to one elsewhere is no error, see mpr_queue_is_remote(). */
	if (!mproc_is_shared(q))
		return mpr_remote_has(q) ? -EFAULT :
					   mpr_fail(-EFAULT, "%p is not shared memory",
						    (void *)q);
	if (!mpr_heap_is_linked(a, mpr_arena_offset(a, q), sizeof(*q)) ||
	    q->magic != MPR_QUEUE_MAGIC)
		return mpr_fail(-EINVAL, "%p is no queue", (void *)q);
	*ret_a = a;
	return 0;
}

int
mpr_queue_stale(const mproc_queue *q)
{
	return mpr_fail(-ESTALE, "queue %p is destroyed", (const void *)q);
}

/* Takes a seat in the queue, which is OPEN as @open says. */
static int
take_seat(mproc_arena *a, struct mpr_self *self, mproc_queue *q, uint64_t open,
	  _Atomic uint64_t **ret_seat)
{
	int r = mpr_seat_take(a, self, &q->seats, ret_seat);

	if (r < 0)
		return r;
	/* seq_cst, after our seat, against "GONE, then are there seats" in
	 * mpr_queue_reap(): one of us sees the other. */
	if (atomic_load(&q->state) == open)
		return 0;
	mpr_seat_leave(*ret_seat);
	mpr_queue_reap(a, self, q);
	return mpr_queue_stale(q);
}

/* Messages of so many bytes and more do not lie in lanes, unless none does.
 * Half a lane is the most for which there is room in every empty one, whatever
 * its next position. */
static size_t
lane_limit(size_t capacity, size_t max_message, bool single_consumer)
{
	size_t most = capacity / 2 - MPR_FRAME_HEADER;

	if (!single_consumer && most > MPR_QUEUE_COPY_MAX)
		most = MPR_QUEUE_COPY_MAX;
	if (most > max_message)
		most = max_message;
	return most + 1;
}

/* Whether what create has set can be that. */
static bool
is_sane(const struct mpr_attachment *at)
{
	if (at->capacity < MPR_QUEUE_CAPACITY_MIN ||
	    at->capacity > MPR_QUEUE_CAPACITY_MAX ||
	    at->capacity & (at->capacity - 1) ||
	    at->max_items > MPR_QUEUE_ITEMS_MAX ||
	    (atomic_load(&at->q->pipe) && !at->pipe) ||
	    (at->keeps && at->dead_letters))
		return false;
	return !(at->keeps || at->dead_letters) ||
	       mpr_queue_partner(at->arena, at->q);
}

/* @self: who it is for, or NULL for the calling thread. */
static int
attach(mproc_queue *q, struct mpr_self *self, struct mpr_attachment **ret_at)
{
	struct mpr_attachment *at;
	mproc_arena *a = NULL;
	bool apart = self;
	uint64_t open;
	uint32_t flags;
	bool gone;
	int r;

	r = mpr_queue_check(q, &a);
	if (r < 0)
		return r;
	open = atomic_load(&q->state);
	if (mpr_owner_state(open) != MPR_QUEUE_OPEN)
		return mpr_queue_stale(q);
	r = apart ? 0 : mpr_self(a, &self);
	if (r < 0)
		return r;
	at = mpr_zalloc(sizeof(*at));
	if (!at)
		return mpr_fail(-ENOMEM, "no memory for an attachment");
	r = take_seat(a, self, q, open, &at->seat);
	if (r < 0) {
		free(at);
		return r;
	}
	at->q = q;
	at->generation = mpr_generation();
	at->open = open;
	at->arena = a;
	at->light_fences = &a->shm->light_fences;
	at->self = self;
	at->is_apart = apart;
	at->capacity = atomic_load(&q->capacity);
	at->max_message = atomic_load(&q->max_message);
	at->max_items = atomic_load(&q->max_items);
	flags = atomic_load(&q->flags);
	at->single_consumer = flags & MPR_QUEUE_SINGLE_CONSUMER;
	at->keeps = flags & MPR_QUEUE_KEEPS;
	at->dead_letters = flags & MPR_QUEUE_DEAD_LETTERS;
	at->ordered = flags & MPR_QUEUE_ORDERED;
	if (!at->keeps && !at->max_items && !at->ordered)
		at->lane_limit = lane_limit(at->capacity, at->max_message,
					    at->single_consumer);
	at->short_limit = at->lane_limit <= MPR_COPY_SHORT ?
				  at->lane_limit : MPR_COPY_SHORT + 1;
	at->patience = PATIENCE_START;
	mpr_pipe_attach(at);
	if (!apart)
		enter(at);
	if (!is_sane(at)) {
		/* Or it is being taken apart. */
		gone = atomic_load(&q->state) != open;
		mpr_attachment_drop(at);
		if (gone)
			return mpr_queue_stale(q);
		return mpr_fail(-EBADMSG, "the header of queue %p is corrupt",
				(void *)q);
	}
	*ret_at = at;
	return 0;
}

int
mpr_attachment_make(mproc_queue *q, struct mpr_self *self,
		    struct mpr_attachment **ret_at)
{
	struct mpr_attachment *at;
	mproc_queue *origin;
	int r = attach(q, self, &at);

	if (r < 0)
		return r;
	if (at->dead_letters) {
		origin = mpr_queue_partner(at->arena, q);
		/* They end together. */
		r = origin ? attach(origin, self, &at->origin) : mpr_queue_stale(q);
		if (r == 0 && !at->origin->keeps)
			r = mpr_fail(-EBADMSG, "the header of queue %p is corrupt",
				     (void *)q);
	}
	if (r < 0)
		mpr_attachment_drop(at);
	else
		*ret_at = at;
	return r;
}

struct mpr_attachment *
mpr_attachment_present(const mproc_queue *q)
{
	struct mpr_attachment *at =
		mpr_attachments.hot[mpr_attachment_index(q)];

	if (mpr_attachments.generation != mpr_generation())
		return NULL;
	if (at && at->q == q)
		return at;
	if (mpr_attachments.buckets) {
		at = *bucket_of(q);
		while (at && at->q != q)
			at = at->next_in_bucket;
		return at;
	}
	at = mpr_attachments.all;
	while (at && at->q != q)
		at = at->next;
	return at;
}

MPR_NOINLINE int
mpr_attachment_find(mproc_queue *q, struct mpr_attachment **ret_at)
{
	struct mpr_attachment *at;
	int r;

	if (mpr_attachments.generation != mpr_generation())
		drop_parents();
	at = mpr_attachment_present(q);
	/* Gone since we attached. Our seat has kept the header from becoming
	 * another queue's, which is not what the caller means, so there is none
	 * to attach to. */
	if (at && atomic_load(&q->state) != at->open) {
		if (!mpr_attachment_is_held(at))
			mpr_attachment_drop(at);
		return mpr_queue_stale(q);
	}
	if (!at) {
		r = attach(q, NULL, &at);
		if (r < 0)
			return r;
	}
	mpr_attachments.hot[mpr_attachment_index(q)] = at;
	*ret_at = at;
	return 0;
}

/*
 * Takes over a lane without an owner. One that is empty is preferred: what a
 * former owner left takes room from us.
 */
static struct mpr_lane *
adopt(struct mpr_attachment *at, uint64_t mine, bool only_empty, bool *ret_bad)
{
	const _Atomic uint64_t *link = &at->q->lanes;
	struct mpr_lane *lane;
	unsigned n = 0;

	while ((lane = mpr_queue_lane(at->arena, at->q, link, at->capacity,
				      ret_bad))) {
		uint64_t word = atomic_load(&lane->owner);

		if (mpr_owner_state(word) == MPR_LANE_FREE &&
		    (!only_empty || mpr_lane_is_empty(lane)) &&
		    atomic_compare_exchange_strong(&lane->owner, &word, mine))
			return lane;
		link = &lane->next;
		if (++n > MPR_LANES_MAX) {
			*ret_bad = true;
			return NULL;
		}
	}
	return NULL;
}

/* Appends a lane that is ours from the start. */
static int
append(struct mpr_attachment *at, uint64_t mine, struct mpr_lane **ret_lane)
{
	struct mpr_block_ref ref;
	int r;

	r = mpr_heap_reserve_lazy(at->arena, at->self,
				  mpr_lane_size(at->capacity),
				  sizeof(struct mpr_lane), &ref);
	if (r < 0)
		return r;
	*ret_lane = mpr_arena_at(at->arena, ref.offset);
	mpr_lane_init(*ret_lane, mine);
	atomic_store_explicit(&(*ret_lane)->queue,
			      mpr_arena_offset(at->arena, at->q),
			      memory_order_relaxed); /* the link releases it */
	return mpr_block_append(at->arena, at->self, &ref, &at->q->lanes,
				offsetof(struct mpr_lane, next),
				MPR_LANES_MAX);
}

/* Allocates the lane's memory from @position on, @len bytes and not across its
 * end. What is allocated already, for a former owner, stays. */
static int
back(const struct mpr_attachment *at, uint64_t position, size_t len)
{
	const unsigned char *from = at->producer.lane->buffer +
				    (position & (at->capacity - 1));

	return mpr_heap_back(at->arena, mpr_arena_offset(at->arena, from), len);
}

/* Up to @len bytes more, as the lane may be nearly complete. */
static int
extend(struct mpr_attachment *at, size_t len)
{
	struct mpr_producer *p = &at->producer;
	size_t left = at->capacity - (size_t)(p->memory - p->first), part;
	int r = 0;

	if (len > left)
		len = left;
	while (len && r == 0) {
		part = at->capacity - (size_t)(p->memory & (at->capacity - 1));
		if (part > len)
			part = len;
		r = back(at, p->memory, part);
		if (r == 0)
			mpr_producer_extend(p, part);
		len -= part;
	}
	return r;
}

MPR_NOINLINE int
mpr_attachment_back(struct mpr_attachment *at)
{
	struct mpr_producer *p = &at->producer;
	size_t done = (size_t)(p->memory - p->first), more = done;
	/* Allocating is a cancellation point. */
	int cancel = mpr_thread_forbid_cancel(), r;

	if (more < BACK_FIRST)
		more = BACK_FIRST;
	if (more > BACK_MOST)
		more = BACK_MOST;
	r = extend(at, more);
	/* Where memory is short, what is needed may still be there. */
	if ((r == -ENOMEM || r == -ENOSPC) && done > BACK_FIRST)
		r = extend(at, BACK_FIRST);
	mpr_thread_allow_cancel(cancel);
	return r;
}

static int
add_lane(struct mpr_attachment *at, bool backed)
{
	uint64_t mine = mpr_owner(mpr_arena_epoch(at->arena), at->self->slot,
				  MPR_LANE_ACTIVE);
	struct mpr_lane *lane;
	bool bad = false;
	int r = 0;

	lane = adopt(at, mine, true, &bad);
	if (!lane && !bad)
		lane = adopt(at, mine, false, &bad);
	/* Lanes of the dead before more memory: short-lived producers that
	 * nobody waits for must not fill the arena. */
	if (!lane && !bad && mpr_recover_all(at->arena, false) > 0)
		lane = adopt(at, mine, false, &bad);
	if (!lane && !bad)
		r = append(at, mine, &lane);
	if (!bad && r == 0) {
		r = mpr_producer_begin(&at->producer, lane, at->capacity);
		if (r == 0 && at->lane_limit)
			at->producer.longest = at->lane_limit - 1;
		if (r == 0) {
			mpr_producer_restrict(&at->producer);
			r = backed ? mpr_attachment_back(at) : 0;
		}
		if (r == 0) {
			/* A block may have been offered to the last owner, who
			 * has died in its wait for one. */
			mpr_message_offer(at);
			return 0;
		}
		atomic_store(&lane->owner,
			     mpr_owner_with_state(mine, MPR_LANE_FREE));
		at->producer.lane = NULL;
	}
	if (bad || r == -EBADMSG)
		return mpr_fail(-EBADMSG, "the lanes of %s are corrupt",
				mpr_queue_label(at->q).text);
	return r;
}

int
mpr_attachment_add_producer(struct mpr_attachment *at)
{
	return add_lane(at, true);
}

int
mpr_attachment_add_lane(struct mpr_attachment *at)
{
	return add_lane(at, false);
}

static int
take_role(struct mpr_attachment *at)
{
	_Atomic uint64_t *role = &at->q->role;
	uint64_t mine = mpr_owner(mpr_arena_epoch(at->arena), at->self->slot,
				  MPR_ROLE_TAKEN);
	uint64_t word = atomic_load(role);

	if (mpr_owner_state(word) == MPR_ROLE_TAKEN) {
		mpr_recover_all(at->arena, false);
		word = atomic_load(role);
	}
	if (mpr_owner_state(word) != MPR_ROLE_FREE ||
	    !atomic_compare_exchange_strong(role, &word, mine))
		return mpr_fail(-EBUSY, "%s has a consumer already",
				mpr_queue_label(at->q).text);
	at->role = role;
	/* Heads that we saw before may have been moved by the last one. */
	at->n_consumers = 0;
	at->quantum = 0;
	at->cursor = 0;
	at->ahead = 0;
	at->left = 0;
	return 0;
}

int
mpr_attachment_add_consumer(struct mpr_attachment *at)
{
	int r = at->single_consumer ? take_role(at) : 0;

	if (r < 0)
		return r;
	mpr_seat_awake(at->seat);
	at->is_consumer = true;
	return 0;
}

void
mpr_attachment_end_consumer(struct mpr_attachment *at)
{
	at->is_consumer = false;
	if (!at->role)
		return;
	/* Release, as in mpr_attachment_drop(). */
	atomic_store_explicit(at->role,
			      mpr_owner_with_state(atomic_load(at->role),
						   MPR_ROLE_FREE),
			      memory_order_release);
	at->role = NULL;
}

static int
add_consumer(struct mpr_attachment *at, struct mpr_lane *lane)
{
	struct mpr_consumer *more;
	unsigned room;

	if (at->n_consumers == MPR_LANES_MAX)
		return -EBADMSG;
	if (at->n_consumers == at->room) {
		room = at->room ? 2 * at->room : 8;
		more = mpr_realloc(at->consumers, room * sizeof(*more));
		if (!more)
			return mpr_fail(-ENOMEM, "no memory for %u lanes",
					room);
		at->consumers = more;
		at->room = room;
	}
	if (!at->n_consumers)
		at->quantum = MPR_QUANTUM;
	mpr_consumer_begin(&at->consumers[at->n_consumers++], lane,
			   at->capacity);
	return 0;
}

int
mpr_attachment_find_lanes(struct mpr_attachment *at)
{
	const _Atomic uint64_t *link;
	struct mpr_lane *lane;
	bool bad = false;
	int found = 0, r;

	link = at->n_consumers ?
		       &at->consumers[at->n_consumers - 1].lane->next :
		       &at->q->lanes;
	while ((lane = mpr_queue_lane(at->arena, at->q, link, at->capacity,
				      &bad))) {
		r = add_consumer(at, lane);
		if (r < 0)
			return r;
		found++;
		link = &lane->next;
	}
	return bad ? -EBADMSG : found;
}
