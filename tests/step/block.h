/* SPDX-License-Identifier: MIT */
/*
 * What the step tests of messages in blocks share. Afterwards each block is
 * free, or in the queue once.
 *
 * The messages are no longer than they have to be, as their bytes are copied
 * step by step. The arena is as small as one can be, so that its memory can run
 * out.
 */
#ifndef STEP_BLOCK_H
#define STEP_BLOCK_H

#include <string.h>
#include <unistd.h>

#include "arena/heap.h"
#include "ipc/message_block.h"
#include "world.h"

#define CAPACITY 4096
#define PARTS 37

/* A little more than half a lane: about as short as one in a block can be. */
struct long_message {
	struct message part[PARTS];
};

static_assert(sizeof(struct long_message) >= CAPACITY / 2, "in a block");

struct scene {
	struct world w;
	unsigned longs; /* of the test, in the queue behind its short ones */
	size_t spare;	/* memory of a free block, or 0 */
	pid_t other;
};

static inline void
fill(struct long_message *m, uint32_t sender, uint32_t number)
{
	for (int i = 0; i < PARTS; i++)
		m->part[i] = message(sender, number);
}

static inline bool
is_long_whole(const struct long_message *m)
{
	for (int i = 0; i < PARTS; i++)
		if (!is_whole(&m->part[i]) ||
		    m->part[i].sender != m->part[0].sender ||
		    m->part[i].number != m->part[0].number)
			return false;
	return true;
}

static inline int
put_long(mproc_queue *q, uint32_t sender, uint32_t number)
{
	struct long_message m;

	fill(&m, sender, number);
	return mproc_queue_put(q, &m, sizeof(m), MPROC_NOWAIT);
}

static inline void
begin(void *arg)
{
	static unsigned char bytes[MPR_BLOCK_MAX];
	struct scene *s = arg;
	struct world *w = &s->w;
	unsigned shorts = w->queued;

	w->opts.capacity = CAPACITY;
	w->queued = 0;
	world_begin(w);
	w->queued = shorts;
	if (s->spare) {
		assert_int_equal(mproc_queue_put(w->q, bytes, s->spare,
						 MPROC_NOWAIT), 0);
		assert_int_equal(mproc_queue_get(w->q, bytes, s->spare, NULL,
						 MPROC_NOWAIT), 0);
	}
	for (unsigned i = 0; i < shorts; i++)
		put(w->q, BY_TEST, i);
	for (unsigned i = 0; i < s->longs; i++)
		assert_int_equal(put_long(w->q, BY_TEST, shorts + i), 0);
}

/* As drain() of world.h, of messages of both lengths. */
static inline void
take_all(mproc_queue *q, struct found found[5])
{
	struct long_message m;
	size_t len;
	int r;

	for (int i = 0; i < 5; i++)
		found[i] = (struct found){ 0 };
	while ((r = mproc_queue_get(q, &m, sizeof(m), &len, MPROC_NOWAIT)) ==
	       0) {
		struct message *first = &m.part[0];
		struct found *f = &found[first->sender % 5];

		assert_true(len == sizeof(m) ? is_long_whole(&m) :
			    len == sizeof(*first) && is_whole(first));
		if (f->n++)
			assert_int_equal(first->number, f->last + 1);
		else
			f->first = first->number;
		f->last = first->number;
	}
	assert_int_equal(r, -EAGAIN);
}

/* With nothing in the queue nothing is in use, and no two blocks have the same
 * memory. */
static inline void
expect_free_blocks(const struct scene *s)
{
	const mproc_arena *a = mpr_arena_peek();
	const _Atomic uint64_t *link = &s->w.q->blocks;
	uint64_t offset, memory[MPR_MESSAGE_GROUP];
	struct mpr_block_ref ref;
	unsigned n = 0;

	while ((offset = *link)) {
		const struct mpr_message_group *g = mpr_arena_at(a, offset);

		for (unsigned i = 0; i < MPR_MESSAGE_GROUP; i++) {
			assert_int_equal(mpr_owner_state(g->block[i].state),
					 MPR_MESSAGE_FREE);
			if (!g->block[i].memory)
				continue;
			memory[n] = g->block[i].memory;
			assert_true(mpr_heap_find(a, memory[n], &ref));
			assert_int_equal(mpr_owner_state(ref.block->state),
					 MPR_BLOCK_LINKED);
			for (unsigned j = 0; j < n; j++)
				assert_int_not_equal(memory[j], memory[n]);
			assert_in_range(++n, 1, 8);
		}
		link = &g->next;
	}
}

/* Long ones go on without more memory, and nothing is left at the end. */
static inline void
end(struct scene *s)
{
	struct mproc_arena_stat used, now;
	struct found found[5];

	expect_free_blocks(s);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(put_long(s->w.q, BY_SURVIVOR, i), 0);
		take_all(s->w.q, found);
		assert_int_equal(found[BY_SURVIVOR].n, 1);
		assert_int_equal(mproc_arena_stat(NULL, &now), 0);
		if (i == 0)
			used = now;
		assert_int_equal(now.used, used.used);
	}
	world_end(&s->w);
}

/* What else the operation changes: the first blocks. */
static inline uint64_t
blocks_state(void *arg)
{
	const mproc_arena *a = mpr_arena_peek();
	struct scene *s = arg;
	uint64_t h = arena_state(&s->w), group = s->w.q ? s->w.q->blocks : 0;

	return group ? hash(h, mpr_arena_at(a, group), 9 * 64) : h;
}

static inline void
step(struct scene *s, const char *name, void (*victim)(void *arg),
     void (*survivor)(void *arg, pid_t victim, unsigned long n, bool finished))
{
	mpt_stepper_run(s->w.t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = victim,
		.before = begin,
		.survivor = survivor,
		.fingerprint = blocks_state,
		.every = 300,
		.budget = 100,
		.arg = s,
	}, NULL);
}

/* The victim's own lane and seat, before the operation begins. */
static inline void
warm_up(struct scene *s)
{
	struct message m = message(BY_VICTIM, 0);

	may_fail(mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT));
}

static inline void *
reserve(struct scene *s, size_t len)
{
	void *p = NULL;

	may_fail(mproc_queue_reserve(s->w.q, len, &p, MPROC_NOWAIT));
	return p;
}

/* More than the memory of the shortest. */
#define MUCH 4500

static inline int
setup(void **state)
{
	int r = mproc_arena_configure_default(MPROC_OPTS(
		mproc_arena_opts, .capacity = (size_t)16 << 20));

	return r < 0 ? r : world_setup(state);
}

#endif
