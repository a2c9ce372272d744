/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>

#include "arena/heap.h"
#include "base/error.h"
#include "base/owner.h"
#include "ipc/attachment.h"
#include "ipc/killers.h"
#include "ipc/message_block.h"
#include "ipc/message_priv.h"
#include "sync/asymmetric.h"

/* The first blocks are looked at first: while few are in use, it is these, and
 * their memory is in the caches. */
#define LOOK_FIRST 8

/* Of free ones, so many are asked whether their memory fits. */
#define LOOK_FITTING 32

/* Behind the first ones so many blocks are looked at before there are new ones: or else
 * each put would take the longer the more messages wait. */
#define LOOK_USED 128

/* After so many times that others were faster it is as if there were none. */
#define TRIM_ATTEMPTS 100

/* Memory fits if it is not larger than so many times the message. */
#define WASTE 4
#define WASTE_MIN 4096

static bool
cas(_Atomic uint64_t *word, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong(word, &from, to);
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
	if (at->keeps)
		mpr_killers_none(b, mine);
	return true;
}

/* Somebody may wait for what has just become free: a producer; who joins; or,
 * where nothing else can come, a consumer. Of the producers that wait for a
 * block one is woken; of those that wait for memory nobody knows who is content
 * with this. */
static void
wake_waiting(const struct mpr_attachment *at, struct mpr_message_block *b)
{
	mproc_queue *q = at->q;
	bool wake;

	/* seq_cst, after the CAS that made the block free: who waits stores
	 * what is loaded here, and then loads the block's word, all seq_cst. One
	 * of us sees the other: sleep_for_block() in queue_put.c,
	 * sleep_for_done() in queue_keep.c. */
	wake = atomic_load(&q->wants_memory);
	if (mpr_unlikely(wake))
		atomic_store(&q->wants_memory, 0);
	if (at->keeps) {
		wake |= mpr_message_unwatch(b);
		/* The rare side: sleep_for_message() in queue_get.c. */
		mpr_fence_light(at->arena);
		wake |= atomic_load_explicit(&q->closing,
					     memory_order_relaxed) != 0;
	}
	if (mpr_unlikely(wake))
		mpr_seats_wake_all(at->arena, &q->seats);
	else
		mpr_message_offer(at);
}

void
mpr_message_abandon(struct mpr_attachment *at, struct mpr_written *w)
{
	/* Fails if someone has scribbled there: then it is not ours. */
	cas(&w->block->state, w->word, mpr_message_freed(w->word));
	wake_waiting(at, w->block);
	w->block = NULL;
}

static bool
fits(const struct mpr_block_ref *memory, size_t len)
{
	return memory->size >= len &&
	       (memory->size <= WASTE_MIN || memory->size / WASTE <= len);
}

/* Gives a block that is ours memory for @len bytes. */
static int
get_memory(struct mpr_attachment *at, struct mpr_written *w, size_t len)
{
	struct mpr_block_ref memory;
	int r = 0;

	if (!mpr_message_memory(at->arena, w->block, &memory) ||
	    !fits(&memory, len)) {
		mpr_message_drop_memory(at->arena, at->self, w->block);
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
	/* seq_cst, for who is about to sleep: see wake_waiting(). */
	uint64_t word = atomic_load(&b->state);
	struct mpr_block_ref memory;

	if (mpr_owner_state(word) != MPR_MESSAGE_FREE)
		return false;
	if (!any) {
		++*looks;
		if (!mpr_message_memory(at->arena, b, &memory) ||
		    !fits(&memory, len))
			return false;
	}
	return claim(at, b, word, ret);
}

/* The next one to be looked at: all in turn, new ones before. */
static unsigned
step(struct mpr_attachment *at, unsigned n)
{
	if (++at->blocks.cursor >= n) {
		at->blocks.cursor = at->blocks.resume < n ? at->blocks.resume : 0;
		at->blocks.resume = 0;
	}
	return at->blocks.cursor;
}

/* At most @most of them behind the first ones. */
static bool
search(struct mpr_attachment *at, size_t len, bool any, unsigned most,
       struct mpr_written *ret)
{
	unsigned n = mpr_message_blocks(at), i, looks = 0;

	for (i = 0; i < LOOK_FIRST && i < n; i++)
		if (claim_fitting(at, mpr_message_block_at(at, i), len, any,
				  &looks, ret))
			return true;
	for (i = 0; i < n && i < most && looks < LOOK_FITTING; i++) {
		if (claim_fitting(at, mpr_message_block_at(at, step(at, n)), len,
				  any, &looks, ret))
			return true;
	}
	return false;
}

/* Whether somebody else will free a block that is in use, without our doing. */
static bool
will_be_free(const struct mpr_attachment *at, const struct mpr_message_block *b,
	     uint64_t word)
{
	return b != at->shown_block.block &&
	       !mpr_message_is_at(word, MPR_MESSAGE_DEAD) &&
	       !(mpr_owner_state(word) == MPR_MESSAGE_TAKEN &&
		 mpr_owner_slot(word) == at->self->slot && !at->others_have);
}

/* Frees the memory that free blocks keep. Returns whether there was any.
 * *@ret_used is whether a block is in use: that one will be free, too. */
static bool
trim(struct mpr_attachment *at, bool *ret_used)
{
	unsigned n = mpr_message_blocks(at);
	struct mpr_written w;
	bool found = false;

	*ret_used = false;
	for (unsigned i = 0; i < n; i++) {
		struct mpr_message_block *b = mpr_message_block_at(at, i);
		uint64_t word = atomic_load(&b->state);

		if (mpr_owner_state(word) == MPR_MESSAGE_FREE &&
		    !atomic_load(&b->memory))
			continue;
		if (mpr_owner_state(word) != MPR_MESSAGE_FREE ||
		    !claim(at, b, word, &w)) {
			*ret_used |= will_be_free(at, b, word);
			continue;
		}
		mpr_message_drop_memory(at->arena, at->self, b);
		cas(&b->state, w.word, mpr_message_freed(w.word));
		found = true;
	}
	return found;
}

static bool
is_short(int r)
{
	return r == -ENOMEM || r == -ENOSPC;
}

/* Claims a block, whatever its memory. */
static int
claim_any(struct mpr_attachment *at, size_t len, struct mpr_written *ret)
{
	int r = mpr_message_find_groups(at);

	/* Others may take those that we add. */
	while (r == 0) {
		unsigned n = mpr_message_blocks(at), from = at->blocks.cursor;
		unsigned resume = at->blocks.resume;

		if (search(at, len, false, LOOK_USED, ret))
			return 0;
		/* Free ones that do not fit are not passed over. */
		at->blocks.cursor = from;
		at->blocks.resume = resume;
		if (search(at, len, true, LOOK_USED, ret))
			return 0;
		r = mpr_message_add_group(at);
		/* Who is to wait has looked at all of them. */
		if ((r == -EAGAIN || is_short(r)) &&
		    search(at, len, true, UINT_MAX, ret))
			return 0;
		if (r == 0) {
			at->blocks.resume = at->blocks.cursor;
			at->blocks.cursor = n ? n - 1 : 0;
		}
		/* All that there are will be free again. */
		if (r == -EAGAIN || (is_short(r) && at->blocks.n))
			r = -ENOSR;
	}
	return r;
}

int
mpr_message_begin(struct mpr_attachment *at, size_t len,
		  struct mpr_written *ret)
{
	bool found = true, used = false;
	struct mpr_written w;
	int r = -EXFULL;

	/* Others may be faster to what we give to the heap. */
	for (int attempt = 0; found && attempt < TRIM_ATTEMPTS; attempt++) {
		r = claim_any(at, len, &w);
		if (r < 0)
			return r;
		r = get_memory(at, &w, len);
		if (mpr_likely(r == 0)) {
			*ret = w;
			return 0;
		}
		cas(&w.block->state, w.word, mpr_message_freed(w.word));
		if (!is_short(r))
			return r;
		found = trim(at, &used);
	}
	/* Somebody may have seen it in use, and wait for it. */
	if (!used && !found) {
		wake_waiting(at, w.block);
		return r;
	}
	mpr_message_offer(at);
	return -EXFULL;
}

struct mpr_reference
mpr_message_reference(const struct mpr_attachment *at,
		      const struct mpr_written *w, size_t len)
{
	/* Before the reference is published. Release, after the claim: who
	 * still finds the block's earlier word has an earlier length
	 * (read_block()). */
	atomic_store_explicit(&w->block->len, len, memory_order_release);
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

/* Whether @word is that of a message to which a lane may refer. */
static bool
is_queued(uint64_t word)
{
	return mpr_message_is_at(word, MPR_MESSAGE_IN_LANE) ||
	       mpr_owner_state(word) == MPR_MESSAGE_WRITTEN;
}

/* What the message in the block with this word consists of. Returns 0, -ENOENT
 * if it is another's by now, or -EBADMSG. */
static int
read_block(const struct mpr_attachment *at, struct mpr_message_block *b,
	   uint64_t word, struct mpr_taken *ret)
{
	struct mpr_block_ref memory;
	bool good;

	ret->block = b;
	ret->word = word;
	ret->len = atomic_load_explicit(&b->len, memory_order_acquire);
	good = mpr_message_memory(at->arena, b, &memory) &&
	       memory.size >= ret->len;
	/* They are this message's if it is still there. */
	if (mpr_owner_epoch(atomic_load(&b->state)) != mpr_owner_epoch(word))
		return -ENOENT;
	if (!good)
		return -EBADMSG;
	ret->memory = mpr_arena_at(at->arena, memory.offset);
	return 0;
}

int
mpr_message_find(const struct mpr_attachment *at, struct mpr_consumer *c,
		 struct mpr_taken *ret)
{
	struct mpr_message_block *b;
	struct mpr_reference ref;
	uint64_t word;

	if (!mpr_consumer_reference(c, &ref))
		return -EAGAIN;
	b = block_of(at->arena, ref.object);
	if (!b)
		return -EBADMSG;
	/* Acquire: with a later word come later values of the rest. */
	word = atomic_load_explicit(&b->state, memory_order_acquire);
	if (mpr_owner_epoch(word) != ref.use || !is_queued(word))
		return -ENOENT;
	return read_block(at, b, word, ret);
}

int
mpr_message_find_at(struct mpr_attachment *at, enum mpr_message_place place,
		    struct mpr_taken *ret)
{
	int r = mpr_message_find_groups(at);
	unsigned n = mpr_message_blocks(at);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++) {
		struct mpr_message_block *b = mpr_message_block_at(at, i);
		uint64_t word = atomic_load_explicit(&b->state,
						     memory_order_acquire);

		if (!mpr_message_is_at(word, place))
			continue;
		r = read_block(at, b, word, ret);
		if (r != -ENOENT)
			return r;
	}
	return -EAGAIN;
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
mpr_message_is_there(const struct mpr_taken *t)
{
	uint64_t word = atomic_load_explicit(&t->block->state,
					     memory_order_relaxed);

	return mpr_owner_epoch(word) == mpr_owner_epoch(t->word) &&
	       mpr_owner_state(word) != MPR_MESSAGE_FREE;
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
	bool done = change(t, mpr_message_freed(t->word));

	if (done)
		wake_waiting(at, t->block);
	t->block = NULL;
	return done;
}

bool
mpr_message_lay_back(struct mpr_taken *t, enum mpr_message_place place)
{
	bool done = change(t, mpr_message_queued_at(t->word, place));

	t->block = NULL;
	return done;
}

bool
mpr_message_return(const struct mpr_attachment *at, struct mpr_taken *t)
{
	mproc_queue *q = at->q;
	bool done = mpr_message_lay_back(t, MPR_MESSAGE_RETURNED);

	/* After it; killed in between, our death is recovered with the same. */
	atomic_fetch_add(&q->returned, 1);
	mpr_seats_wake_all(at->arena, &q->seats);
	return done;
}
