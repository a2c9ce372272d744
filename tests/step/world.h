/* SPDX-License-Identifier: MIT */
/*
 * What all step tests of queues start from, and what must hold after any kill:
 *
 * - a known queue with known messages, made by the test itself, which has a
 *   lane and a seat of its own;
 * - afterwards the queue still works for the survivor, holds what it held plus
 *   or minus what the victim was about, each message whole and in its
 *   producer's order, and when it is destroyed nothing is left in the arena.
 */
#ifndef STEP_WORLD_H
#define STEP_WORLD_H

#include "arena/extent.h"
#include "common.h"
#include "ipc/queue_shm.h"

/* A message tells who sent it, its number, and is filled so that a torn one
 * shows. */
struct message {
	uint32_t sender;
	uint32_t number;
	uint64_t fill[6];
};

enum { BY_TEST = 1, BY_VICTIM = 2, BY_SURVIVOR = 3, BY_OTHER = 4 };

struct world {
	struct mpt *t;
	mproc_queue *q;
	struct mproc_queue_opts opts;
	unsigned queued;	/* messages of the test in each fresh queue */
	struct mproc_arena_stat before;
};

static inline struct message
message(uint32_t sender, uint32_t number)
{
	struct message m = { .sender = sender, .number = number };

	for (int i = 0; i < 6; i++)
		m.fill[i] = (sender * UINT64_C(0x9e3779b97f4a7c15)) ^
			    (number * UINT64_C(0xbf58476d1ce4e5b9)) ^
			    (uint64_t)i;
	return m;
}

static inline bool
is_whole(const struct message *m)
{
	struct message good = message(m->sender, m->number);

	for (int i = 0; i < 6; i++)
		if (m->fill[i] != good.fill[i])
			return false;
	return true;
}

static inline void
put(mproc_queue *q, uint32_t sender, uint32_t number)
{
	struct message m = message(sender, number);

	assert_int_equal(mproc_queue_put(q, &m, sizeof(m), MPROC_NOWAIT), 0);
}

/* A fresh queue with its messages. */
static inline void
world_begin(void *arg)
{
	struct world *w = arg;

	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &w->before), 0);
	w->opts.struct_size = sizeof(w->opts);
	assert_int_equal(mproc_queue_create(&w->q, &w->opts), 0);
	for (uint32_t i = 0; i < w->queued; i++)
		put(w->q, BY_TEST, i);
}

/* What drain() found of one sender. */
struct found {
	unsigned n;
	uint32_t first, last;
};

/* Takes all there is; senders' messages must be whole and in order. */
static inline void
drain(mproc_queue *q, struct found found[5])
{
	struct message m;
	size_t len;
	int r;

	for (int i = 0; i < 5; i++)
		found[i] = (struct found){ 0 };
	while ((r = mproc_queue_get(q, &m, sizeof(m), &len, MPROC_NOWAIT)) ==
	       0) {
		assert_int_equal(len, sizeof(m));
		assert_true(m.sender >= 1 && m.sender < 5);
		assert_true(is_whole(&m));
		if (found[m.sender].n++)
			assert_int_equal(m.number, found[m.sender].last + 1);
		else
			found[m.sender].first = m.number;
		found[m.sender].last = m.number;
	}
	assert_int_equal(r, -EAGAIN);
}

/* The queue is destroyed, and the arena as it was before it was made. */
static inline void
world_end(struct world *w)
{
	struct mproc_arena_stat now;
	struct found found[5];

	/* It works, whatever has happened to it. */
	put(w->q, BY_SURVIVOR, 0);
	drain(w->q, found);
	assert_int_equal(found[BY_SURVIVOR].n, 1);
	assert_int_equal(mproc_queue_len(w->q), 0);

	mproc_queue_destroy(w->q);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.queues, w->before.queues);
	assert_int_equal(now.blocks, w->before.blocks);
	assert_int_equal(now.used, w->before.used);
	assert_int_equal(now.participants, w->before.participants);
}

/* Makes what is made once: the arena, the type-stable header, our slot. */
static inline int
world_setup(void **state)
{
	mproc_queue *q;

	(void)state;
	if (mproc_queue_create(&q, NULL) < 0)
		return -1;
	mproc_queue_destroy(q);
	return 0;
}

/*
 * All shared words that steer anything: the arena's header, participants and
 * extents, the owner words at the start of each slab, the queue and its first
 * two lanes. An instruction that changes it is one to be killed at, on both
 * sides.
 */
static inline uint64_t
arena_state(void *arg)
{
	const mproc_arena *a = mpr_arena_peek();
	const struct world *w = arg;
	uint32_t extents = mpr_extents_high(a);
	const _Atomic uint64_t *link;
	uint64_t h, offset;

	h = hash(UINT64_C(0xcbf29ce484222325), a->shm, 512);
	h = hash(h, mpr_participant_at(a, 0),
		 mpr_participants_high(a) * sizeof(struct mpr_participant));
	h = hash(h, mpr_extent_at(a, 0), extents * sizeof(struct mpr_extent));
	for (uint32_t i = 0; i < extents; i++)
		h = hash(h, mpr_arena_at(a, mpr_extent_offset(i)), 1024);
	if (!w || !w->q)
		return h;
	h = hash(h, w->q, sizeof(*w->q));
	link = &w->q->lanes;
	for (int i = 0; i < 2 && (offset = *link); i++) {
		const struct mpr_lane *lane = mpr_arena_at(a, offset);

		h = hash(h, lane, sizeof(*lane));
		link = &lane->next;
	}
	return h;
}

#endif
