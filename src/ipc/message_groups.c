/* SPDX-License-Identifier: MIT */
/*
 * The blocks of a queue as a whole: their groups, their memory, and what can be
 * said of all of them.
 */
#include <errno.h>

#include "arena/heap.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/owner.h"
#include "ipc/attachment.h"
#include "ipc/killers.h"
#include "ipc/message_block.h"
#include "ipc/message_priv.h"

struct mpr_message_group *
mpr_message_group_at(const mproc_arena *a, const _Atomic uint64_t *link,
		     bool *ret_bad)
{
	/* Acquire pairs with the CAS that links it: it is zeroed. */
	uint64_t offset = atomic_load_explicit(link, memory_order_acquire);
	struct mpr_block_ref ref;

	if (!offset)
		return NULL;
	/* Another queue's group has another home. */
	if (!mpr_heap_find_of(a, offset, link, &ref) ||
	    ref.size < sizeof(struct mpr_message_group)) {
		*ret_bad = true;
		return NULL;
	}
	return mpr_arena_at(a, offset);
}

int
mpr_message_find_groups(struct mpr_attachment *at)
{
	struct mpr_message_blocks *known = &at->blocks;
	const _Atomic uint64_t *link =
		known->n ? &known->groups[known->n - 1]->next : &at->q->blocks;
	struct mpr_message_group *group, **more;
	bool bad = false;
	unsigned room;

	while ((group = mpr_message_group_at(at->arena, link, &bad))) {
		if (known->n == MPR_MESSAGE_GROUPS_MAX)
			return -EBADMSG;
		if (known->n == known->room) {
			room = known->room ? 2 * known->room : 4;
			more = mpr_realloc(
				known->groups,
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

int
mpr_message_add_group(struct mpr_attachment *at)
{
	struct mpr_block_ref ref;
	int r;

	if (at->blocks.n == MPR_MESSAGE_GROUPS_MAX ||
	    (at->max_items && mpr_message_blocks(at) == at->max_items))
		return -EAGAIN;
	r = mpr_heap_reserve(at->arena, at->self,
			     sizeof(struct mpr_message_group), &ref);
	if (r < 0)
		return r;
	r = mpr_block_append(at->arena, at->self, &ref, &at->q->blocks,
			     offsetof(struct mpr_message_group, next),
			     MPR_MESSAGE_GROUPS_MAX - 1);
	return r < 0 ? r : mpr_message_find_groups(at);
}

unsigned
mpr_message_blocks(const struct mpr_attachment *at)
{
	unsigned n = at->blocks.n * MPR_MESSAGE_GROUP;

	return at->max_items && n > at->max_items ?
		       (unsigned)at->max_items : n;
}

struct mpr_message_block *
mpr_message_block_at(const struct mpr_attachment *at, unsigned i)
{
	return &at->blocks.groups[i / MPR_MESSAGE_GROUP]
			->block[i % MPR_MESSAGE_GROUP];
}

static struct mpr_message_group *
group_of(struct mpr_message_block *b)
{
	uintptr_t at = (uintptr_t)b;

	/* The arena begins at a page, and a group has one. */
	unsigned char *group =
		(unsigned char *)b - at % sizeof(struct mpr_message_group);

	return (struct mpr_message_group *)(void *)group;
}

/* The block's bit in the group's watched. */
static uint64_t
bit_of(const struct mpr_message_block *b, const struct mpr_message_group *group)
{
	return UINT64_C(1) << (b - group->block);
}

bool
mpr_message_unwatch(struct mpr_message_block *b)
{
	struct mpr_message_group *group = group_of(b);
	uint64_t bit = bit_of(b, group), word;

	word = atomic_load(&group->watched); /* see wake_waiting() */
	if (mpr_likely(!(word & bit)))
		return false;
	while (!atomic_compare_exchange_strong(&group->watched, &word,
					       word & ~bit))
		;
	return true;
}

void
mpr_message_watch(struct mpr_attachment *at, unsigned i)
{
	struct mpr_message_block *b = mpr_message_block_at(at, i);
	struct mpr_message_group *group = group_of(b);
	uint64_t word = atomic_load(&group->watched);

	while (!atomic_compare_exchange_strong(&group->watched, &word,
					       word | bit_of(b, group)))
		;
}

bool
mpr_message_is_watched(const struct mpr_taken *t)
{
	const struct mpr_message_group *group = group_of(t->block);

	return atomic_load_explicit(&group->watched, memory_order_relaxed) &
	       bit_of(t->block, group);
}

bool
mpr_message_memory(const mproc_arena *a, const struct mpr_message_block *b,
		   struct mpr_block_ref *ret)
{
	return mpr_heap_find_at(a, &b->memory, ret);
}

void
mpr_message_drop_memory(mproc_arena *a, struct mpr_self *self,
			struct mpr_message_block *b)
{
	struct mpr_block_ref memory;
	bool retired = mpr_message_memory(a, b, &memory) &&
		       mpr_block_retire(a, self, &memory, &b->memory);

	atomic_store(&b->memory, 0);
	if (retired)
		mpr_block_cancel(self, &memory);
}

unsigned
mpr_message_count(struct mpr_attachment *at, unsigned state, unsigned place)
{
	unsigned n, found = 0;

	(void)mpr_message_find_groups(at);
	n = mpr_message_blocks(at);
	for (unsigned i = 0; i < n; i++) {
		uint64_t word =
			atomic_load(&mpr_message_block_at(at, i)->state);

		found += mpr_owner_state(word) == state &&
			 (state != MPR_MESSAGE_QUEUED ||
			  mpr_owner_slot(word) == place);
	}
	return found;
}

/* Whether the block has a message that is not done, and that we do not hold. */
static bool
is_unfinished(struct mpr_attachment *at, struct mpr_message_block *b,
	      uint64_t word)
{
	unsigned state = mpr_owner_state(word);

	return (state == MPR_MESSAGE_QUEUED &&
		!mpr_message_is_at(word, MPR_MESSAGE_DEAD)) ||
	       (state == MPR_MESSAGE_TAKEN &&
		mpr_owner_slot(word) != at->self->slot) ||
	       /* Its producer may have died before it said so. */
	       (state == MPR_MESSAGE_WRITTEN &&
		mpr_message_is_published(at->arena, at->q, b, word));
}

struct mpr_message_block *
mpr_message_unfinished(struct mpr_attachment *at, unsigned *i, unsigned *dead)
{
	unsigned n;

	(void)mpr_message_find_groups(at);
	n = mpr_message_blocks(at);
	while (*i < n) {
		struct mpr_message_block *b = mpr_message_block_at(at, *i);
		uint64_t word = atomic_load(&b->state);

		if (is_unfinished(at, b, word))
			return b;
		/* Who takes it passes the reference after that: then it was not
		 * found in the lane. */
		if (mpr_owner_state(word) == MPR_MESSAGE_WRITTEN &&
		    atomic_load(&b->state) != word)
			continue;
		*dead += mpr_message_is_at(word, MPR_MESSAGE_DEAD);
		++*i;
	}
	return NULL;
}

void
mpr_messages_told(struct mpr_attachment *at, uint32_t pid, int signal)
{
	unsigned n;

	(void)mpr_message_find_groups(at);
	n = mpr_message_blocks(at);
	for (unsigned i = 0; i < n; i++)
		mpr_killers_told(mpr_message_block_at(at, i), pid, signal);
}

/*
 * Makes the group behind @first the list's first one. That word becomes its home
 * before it refers to it: killed in between, @first is the first one still, and
 * who goes on finds the next one with the new home. Returns false, and ends the
 * list, if what is there is no group of this queue.
 */
static bool
pass_first(mproc_arena *a, mproc_queue *q,
	   const struct mpr_message_group *first)
{
	uint64_t next = atomic_load(&first->next);
	struct mpr_block_ref ref;
	bool found = mpr_heap_find_of(a, next, &first->next, &ref) ||
		     mpr_heap_find_of(a, next, &q->blocks, &ref);

	if (found)
		mpr_block_set_home(a, &ref, &q->blocks);
	atomic_store(&q->blocks, found ? next : 0);
	return found || !next;
}

bool
mpr_messages_free(mproc_arena *a, struct mpr_self *self, mproc_queue *q)
{
	struct mpr_message_group *group;
	struct mpr_block_ref ref;
	bool bad = false;

	/* Front to back, as the lanes (queue_recover.c). */
	while ((group = mpr_message_group_at(a, &q->blocks, &bad))) {
		for (unsigned i = 0; i < MPR_MESSAGE_GROUP; i++)
			if (atomic_load(&group->block[i].memory))
				mpr_message_drop_memory(a, self,
							&group->block[i]);
		bad = !mpr_heap_find(a, mpr_arena_offset(a, group), &ref) ||
		      !mpr_block_retire(a, self, &ref, &q->blocks);
		if (bad)
			break;
		bad = !pass_first(a, q, group);
		mpr_block_cancel(self, &ref);
	}
	if (bad)
		atomic_store(&q->blocks, 0);
	return !bad;
}
