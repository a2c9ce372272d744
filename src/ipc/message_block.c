/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "arena/heap.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/owner.h"
#include "ipc/attachment.h"
#include "ipc/message_block.h"
#include "sync/asymmetric.h"

/* The first blocks are looked at first: while few are in use, it is these, and
 * their memory is in the caches. */
#define LOOK_FIRST 8

/* Of free ones, so many are asked whether their memory fits. */
#define LOOK_FITTING 32

/* Memory fits if it is not larger than so many times the message. */
#define WASTE 4
#define WASTE_MIN 4096

static bool
cas(_Atomic uint64_t *word, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong(word, &from, to);
}

/* The group whose offset @link holds, or NULL at the end of the list. */
static struct mpr_message_group *
group_at(const mproc_arena *a, const _Atomic uint64_t *link, bool *ret_bad)
{
	/* Acquire pairs with the CAS that links it: it is zeroed. */
	uint64_t offset = atomic_load_explicit(link, memory_order_acquire);

	if (!offset)
		return NULL;
	if (!mpr_heap_is_linked(a, offset, sizeof(struct mpr_message_group))) {
		*ret_bad = true;
		return NULL;
	}
	return mpr_arena_at(a, offset);
}

/* Looks for groups that were linked since. Returns 0, -ENOMEM, -EBADMSG. */
static int
find_groups(struct mpr_attachment *at)
{
	struct mpr_message_blocks *known = &at->blocks;
	const _Atomic uint64_t *link =
		known->n ? &known->groups[known->n - 1]->next : &at->q->blocks;
	struct mpr_message_group *group, **more;
	bool bad = false;
	unsigned room;

	while ((group = group_at(at->arena, link, &bad))) {
		if (known->n == MPR_MESSAGE_GROUPS_MAX)
			return -EBADMSG;
		if (known->n == known->room) {
			room = known->room ? 2 * known->room : 4;
			more = mpr_realloc(known->groups,
					   room * sizeof(struct mpr_message_group *));
			if (!more)
				return mpr_fail(-ENOMEM, "no memory for %u "
						"groups of blocks", room);
			known->groups = more;
			known->room = room;
		}
		known->groups[known->n++] = group;
		link = &group->next;
	}
	return bad ? -EBADMSG : 0;
}

/* Links a group of free blocks. */
static int
add_group(struct mpr_attachment *at)
{
	struct mpr_block_ref ref;
	int r;

	r = mpr_heap_reserve(at->arena, at->self,
			     sizeof(struct mpr_message_group), &ref);
	if (r < 0)
		return r;
	r = mpr_block_append(at->arena, at->self, &ref, &at->q->blocks,
			     offsetof(struct mpr_message_group, next),
			     MPR_MESSAGE_GROUPS_MAX);
	return r < 0 ? r : find_groups(at);
}

static unsigned
count_blocks(const struct mpr_attachment *at)
{
	return at->blocks.n * MPR_MESSAGE_GROUP;
}

static struct mpr_message_block *
block_at(const struct mpr_attachment *at, unsigned i)
{
	return &at->blocks.groups[i / MPR_MESSAGE_GROUP]
			->block[i % MPR_MESSAGE_GROUP];
}

/* FREE to WRITTEN and ours, if its word is still @word. */
static bool
claim(const struct mpr_attachment *at, struct mpr_message_block *b,
      uint64_t word, struct mpr_written *ret)
{
	uint64_t mine = mpr_owner(mpr_arena_epoch(at->arena), at->self->slot,
				  MPR_MESSAGE_WRITTEN);

	/* Acquire, of seq_cst: what was read there last was read before. */
	if (!cas(&b->state, word, mine))
		return false;
	*ret = (struct mpr_written){ .block = b, .word = mine };
	return true;
}

static uint64_t
freed(uint64_t word)
{
	return mpr_owner(mpr_owner_epoch(word), 0, MPR_MESSAGE_FREE);
}

/* A producer may wait for what has just become free. */
static void
wake_waiting(const struct mpr_attachment *at)
{
	mproc_queue *q = at->q;

	/* The block before the look; theirs is the rare side
	 * (sleep_for_block() in queue_put.c). */
	mpr_fence_light(at->arena);
	if (!atomic_load_explicit(&q->wants_block, memory_order_relaxed))
		return;
	atomic_store(&q->wants_block, 0);
	mpr_seats_wake_all(at->arena, &q->seats);
}

void
mpr_message_abandon(struct mpr_attachment *at, struct mpr_written *w)
{
	/* Fails if someone has scribbled there: then it is not ours. */
	cas(&w->block->state, w->word, freed(w->word));
	w->block = NULL;
	wake_waiting(at);
}

/* The block's memory. Returns false if it has none, or what it has is none. */
static bool
memory_of(const mproc_arena *a, const struct mpr_message_block *b,
	  struct mpr_block_ref *ret)
{
	return mpr_heap_find(a, atomic_load_explicit(&b->memory,
						     memory_order_acquire),
			     ret);
}

static bool
fits(const struct mpr_block_ref *memory, size_t len)
{
	return memory->size >= len &&
	       (memory->size <= WASTE_MIN || memory->size / WASTE <= len);
}

/* Frees the memory of a block that is ours. Whoever dies in between leaves it
 * either in the block or to the heap. */
static void
drop_memory(mproc_arena *a, struct mpr_self *self, struct mpr_message_block *b)
{
	struct mpr_block_ref memory;
	bool retired = memory_of(a, b, &memory) &&
		       mpr_block_retire(a, self, &memory, &b->memory);

	atomic_store(&b->memory, 0);
	if (retired)
		mpr_block_cancel(self, &memory);
}

/* Gives a block that is ours memory for @len bytes. */
static int
get_memory(struct mpr_attachment *at, struct mpr_written *w, size_t len)
{
	struct mpr_block_ref memory;
	int r = 0;

	if (!memory_of(at->arena, w->block, &memory) || !fits(&memory, len)) {
		drop_memory(at->arena, at->self, w->block);
		r = mpr_heap_reserve_dirty(at->arena, at->self, len ? len : 1,
					   &memory);
		if (r == 0)
			r = mpr_block_append(at->arena, at->self, &memory,
					     &w->block->memory, 0, 0);
	}
	if (r == 0)
		w->memory = mpr_arena_at(at->arena, memory.offset);
	w->len = len;
	return r;
}

/* Claims @b if it is free and, unless @any, its memory fits. */
static bool
claim_fitting(const struct mpr_attachment *at, struct mpr_message_block *b,
	      size_t len, bool any, unsigned *looks, struct mpr_written *ret)
{
	uint64_t word = atomic_load_explicit(&b->state, memory_order_relaxed);
	struct mpr_block_ref memory;

	if (mpr_owner_state(word) != MPR_MESSAGE_FREE)
		return false;
	if (!any) {
		++*looks;
		if (!memory_of(at->arena, b, &memory) || !fits(&memory, len))
			return false;
	}
	return claim(at, b, word, ret);
}

static bool
search(struct mpr_attachment *at, size_t len, bool any, struct mpr_written *ret)
{
	unsigned n = count_blocks(at), i, looks = 0;

	for (i = 0; i < LOOK_FIRST && i < n; i++)
		if (claim_fitting(at, block_at(at, i), len, any, &looks, ret))
			return true;
	for (i = 0; i < n && looks < LOOK_FITTING; i++) {
		unsigned *cursor = &at->blocks.cursor;

		*cursor = *cursor + 1 < n ? *cursor + 1 : 0;
		if (claim_fitting(at, block_at(at, *cursor), len, any, &looks,
				  ret))
			return true;
	}
	return false;
}

/* Frees the memory that free blocks keep. Returns whether there was any, or a
 * block is in use, whose memory may come back. */
static bool
trim(struct mpr_attachment *at, bool *ret_used)
{
	unsigned n = count_blocks(at);
	struct mpr_written w;
	bool found = false;

	*ret_used = false;
	for (unsigned i = 0; i < n; i++) {
		struct mpr_message_block *b = block_at(at, i);
		uint64_t word = atomic_load(&b->state);

		if (mpr_owner_state(word) != MPR_MESSAGE_FREE) {
			*ret_used = true;
		} else if (atomic_load(&b->memory) && claim(at, b, word, &w)) {
			drop_memory(at->arena, at->self, b);
			cas(&b->state, w.word, freed(w.word));
			found = true;
		}
	}
	return found;
}

/* Claims a block, whatever its memory. */
static int
claim_any(struct mpr_attachment *at, size_t len, struct mpr_written *ret)
{
	int r = find_groups(at);

	/* Others may take those that we add. */
	while (r == 0 && !search(at, len, false, ret) &&
	       !search(at, len, true, ret))
		r = add_group(at);
	return r;
}

static bool
is_short(int r)
{
	return r == -ENOMEM || r == -ENOSPC;
}

int
mpr_message_begin(struct mpr_attachment *at, size_t len,
		  struct mpr_written *ret)
{
	struct mpr_written w;
	bool used;
	int r;

	r = claim_any(at, len, &w);
	if (r < 0)
		return r;
	r = get_memory(at, &w, len);
	if (mpr_unlikely(is_short(r))) {
		/* As it was: nobody is to wait for it. */
		cas(&w.block->state, w.word, freed(w.word));
		if (!trim(at, &used))
			return used ? -EAGAIN : r;
		r = claim_any(at, len, &w);
		if (r < 0)
			return r;
		r = get_memory(at, &w, len);
	}
	if (r < 0) {
		cas(&w.block->state, w.word, freed(w.word));
		return is_short(r) && used ? -EAGAIN : r;
	}
	*ret = w;
	return 0;
}

struct mpr_reference
mpr_message_reference(const struct mpr_attachment *at,
		      const struct mpr_written *w, size_t len)
{
	/* Before the reference is published. */
	atomic_store_explicit(&w->block->len, len, memory_order_relaxed);
	return (struct mpr_reference){
		.object = mpr_arena_offset(at->arena, w->block),
		.use = mpr_owner_epoch(w->word),
	};
}

void
mpr_message_queued(struct mpr_written *w)
{
	/* Unless a consumer has it already. */
	cas(&w->block->state, w->word,
	    mpr_owner(mpr_owner_epoch(w->word), 0, MPR_MESSAGE_QUEUED));
	w->block = NULL;
}

/* The block at @offset, or NULL if none can be there. */
static struct mpr_message_block *
block_of(const mproc_arena *a, uint64_t offset)
{
	size_t size = sizeof(struct mpr_message_group);
	uint64_t group = offset - offset % size;
	size_t in_group = (size_t)(offset - group);

	/* Blocks of that size lie at multiples of it. */
	if (in_group % sizeof(struct mpr_message_block) ||
	    in_group < offsetof(struct mpr_message_group, block) ||
	    !mpr_heap_is_linked(a, group, size))
		return NULL;
	return mpr_arena_at(a, offset);
}

/* Whether @word is that of a message in the queue. */
static bool
is_queued(uint64_t word)
{
	return mpr_owner_state(word) == MPR_MESSAGE_QUEUED ||
	       mpr_owner_state(word) == MPR_MESSAGE_WRITTEN;
}

int
mpr_message_find(const struct mpr_attachment *at, struct mpr_consumer *c,
		 struct mpr_taken *ret)
{
	struct mpr_message_block *b;
	struct mpr_block_ref memory;
	struct mpr_reference ref;
	bool good;

	if (!mpr_consumer_reference(c, &ref))
		return -EAGAIN;
	b = block_of(at->arena, ref.object);
	if (!b)
		return -EBADMSG;
	/* Acquire: with a later word come later values of the rest. */
	ret->word = atomic_load_explicit(&b->state, memory_order_acquire);
	if (mpr_owner_epoch(ret->word) != ref.use || !is_queued(ret->word))
		return -ENOENT;
	ret->block = b;
	ret->len = atomic_load_explicit(&b->len, memory_order_acquire);
	good = memory_of(at->arena, b, &memory) && memory.size >= ret->len;
	/* They are this message's if it is still there. */
	if (mpr_owner_epoch(atomic_load(&b->state)) != ref.use)
		return -ENOENT;
	if (!good)
		return -EBADMSG;
	ret->memory = mpr_arena_at(at->arena, memory.offset);
	return 0;
}

/* Changes the word of a message that was found, or is ours, to @to. */
static bool
change(struct mpr_taken *t, uint64_t to)
{
	uint64_t word = t->word;

	/* Its producer may be about to say that it is queued. */
	while (!atomic_compare_exchange_strong(&t->block->state, &word, to))
		if (!is_queued(t->word) || !is_queued(word) ||
		    mpr_owner_epoch(word) != mpr_owner_epoch(t->word))
			return false;
	t->word = to;
	return true;
}

bool
mpr_message_take(const struct mpr_attachment *at, struct mpr_taken *t)
{
	return change(t, mpr_owner(mpr_arena_epoch(at->arena), at->self->slot,
				   MPR_MESSAGE_TAKEN));
}

bool
mpr_message_free(const struct mpr_attachment *at, struct mpr_taken *t)
{
	bool done = change(t, freed(t->word));

	t->block = NULL;
	if (done)
		wake_waiting(at);
	return done;
}

/* Whether a lane of the dead participant in @slot refers to the block. */
static bool
is_referred_to(mproc_arena *a, mproc_queue *q, unsigned slot,
	       const struct mpr_reference *ref)
{
	size_t capacity = atomic_load(&q->capacity);
	const _Atomic uint64_t *link = &q->lanes;
	struct mpr_lane *lane;
	unsigned n = 0;
	bool bad = false;

	if (capacity > MPR_QUEUE_CAPACITY_MAX)
		return false;
	while ((lane = mpr_queue_lane(a, link, capacity, &bad)) &&
	       n++ < MPR_LANES_MAX) {
		uint64_t word = atomic_load(&lane->owner);

		if (mpr_owner_state(word) == MPR_LANE_ACTIVE &&
		    mpr_owner_slot(word) == slot &&
		    mpr_lane_refers(lane, capacity, ref))
			return true;
		link = &lane->next;
	}
	return false;
}

/* What becomes of a block that the dead participant had in hands. */
static uint64_t
settled(mproc_arena *a, mproc_queue *q, const struct mpr_message_block *b,
	uint64_t word)
{
	struct mpr_reference ref = {
		.object = mpr_arena_offset(a, b),
		.use = mpr_owner_epoch(word),
	};

	if (mpr_owner_state(word) == MPR_MESSAGE_WRITTEN &&
	    is_referred_to(a, q, mpr_owner_slot(word), &ref))
		return mpr_owner(mpr_owner_epoch(word), 0, MPR_MESSAGE_QUEUED);
	return freed(word);
}

void
mpr_messages_recover(mproc_arena *a, mproc_queue *q, _Atomic uint64_t *seat,
		     uint64_t seat_word)
{
	const _Atomic uint64_t *link = &q->blocks;
	unsigned slot = mpr_owner_slot(seat_word), n = 0;
	struct mpr_message_group *group;
	bool bad = false;

	while ((group = group_at(a, link, &bad)) &&
	       n++ < MPR_MESSAGE_GROUPS_MAX) {
		for (unsigned i = 0; i < MPR_MESSAGE_GROUP; i++) {
			struct mpr_message_block *b = &group->block[i];
			uint64_t word = atomic_load(&b->state), to;
			unsigned state = mpr_owner_state(word);

			if ((state != MPR_MESSAGE_WRITTEN &&
			     state != MPR_MESSAGE_TAKEN) ||
			    mpr_owner_slot(word) != slot)
				continue;
			to = settled(a, q, b, word);
			/* Otherwise the lane may have been another's, and the
			 * block, too. */
			if (!mpr_seat_is_held(seat, seat_word))
				return;
			cas(&b->state, word, to);
		}
		link = &group->next;
	}
}

bool
mpr_messages_free(mproc_arena *a, struct mpr_self *self, mproc_queue *q)
{
	struct mpr_message_group *group;
	struct mpr_block_ref ref;
	bool bad = false;

	/* Front to back, as the lanes (queue_recover.c). */
	while ((group = group_at(a, &q->blocks, &bad))) {
		for (unsigned i = 0; i < MPR_MESSAGE_GROUP; i++)
			if (atomic_load(&group->block[i].memory))
				drop_memory(a, self, &group->block[i]);
		bad = !mpr_heap_find(a, mpr_arena_offset(a, group), &ref) ||
		      !mpr_block_retire(a, self, &ref, &q->blocks);
		if (bad)
			break;
		atomic_store(&q->blocks, atomic_load(&group->next));
		mpr_block_cancel(self, &ref);
	}
	if (bad)
		atomic_store(&q->blocks, 0);
	return !bad;
}
