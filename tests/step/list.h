/* SPDX-License-Identifier: MIT */
/*
 * What step tests of lists start from: a list with known contents, and two more,
 * one that shows them, and one that shows what they are after the operation. After
 * any kill the list is as one of these, it works, and when all are destroyed
 * nothing is left in the arena.
 */
#ifndef STEP_LIST_H
#define STEP_LIST_H

#include <string.h>

#include <mproc/list.h>

#include "arena/heap.h"
#include "base/fault.h"
#include "containers/list.h"
#include "sync.h"
#include "world.h"

#define LONG_TEXT "a text that does not lie in a slot"

struct operation {
	const char *name;
	void (*init)(mproc_list *l); /* the contents before */
	int (*run)(mproc_list *l);
	/* What another process does before that, and dies over; or NULL. And the
	 * contents after that, if they are not the same. */
	void (*die)(mproc_list *l);
	void (*repaired)(mproc_list *l);
	unsigned long max_cases; /* of mpt_stepper_opts */
};

/* What one has seen that reads without waiting, up to its last look at the
 * version. */
struct glance {
	uint64_t version;
	uint64_t array; /* offset */
	uint64_t len;
	struct mpr_slot_words slots[32];
	uint64_t bytes[32]; /* of long ones, a hash */
};

struct scene {
	struct mpt *t;
	const struct operation *op;
	mproc_list *list, *before, *after;
	unsigned seen_before, seen_after; /* cases in which it was as these */
	struct glance glance;
	struct mproc_arena_stat stat;
};

static inline bool
is_same(const struct mproc_any *a, const struct mproc_any *b)
{
	if (a->kind != b->kind || a->len != b->len)
		return false;
	return a->owned ? memcmp(a->ptr, b->ptr, a->len) == 0 :
			  a->i64 == b->i64;
}

static inline bool
are_same_at(mproc_list *a, mproc_list *b, int64_t i)
{
	struct mproc_any x, y;
	bool same;

	assert_int_equal(mproc_list_get(a, i, &x), 0);
	assert_int_equal(mproc_list_get(b, i, &y), 0);
	same = is_same(&x, &y);
	mproc_any_clear(&x);
	mproc_any_clear(&y);
	return same;
}

/* What somebody who has died has begun is done to the end by the first call that
 * has to look into the list. */
static inline void
look_into(mproc_list *l)
{
	struct mproc_any any;

	if (mproc_list_get(l, 0, &any) == 0)
		mproc_any_clear(&any);
}

static inline bool
are_same(mproc_list *a, mproc_list *b)
{
	size_t n;

	look_into(a);
	n = mproc_list_len(a);
	if (mproc_list_len(b) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!are_same_at(a, b, (int64_t)i))
			return false;
	return true;
}

static inline mproc_list *
new_list(void (*init)(mproc_list *l))
{
	mproc_list *l;

	assert_int_equal(mproc_list_create(&l, NULL), 0);
	init(l);
	return l;
}

static inline const struct mpr_list_root *
root_of(const mproc_list *l)
{
	return mpr_arena_at(mpr_arena_peek(), atomic_load(&l->root));
}

static inline uint64_t
hash_of(struct mpr_slot_words words)
{
	return hash(1, mpr_arena_at(mpr_arena_peek(), words.word),
		    mpr_meta_len(words.meta));
}

static inline void
take_a_glance(struct scene *s)
{
	const struct mpr_list_root *root = root_of(s->list);
	struct glance *g = &s->glance;
	const struct mpr_slot *slots;

	g->version = root->version;
	g->array = root->arrays[root->current];
	g->len = root->len;
	assert_in_range(g->len, 0, 32);
	slots = mpr_arena_at(mpr_arena_peek(), g->array);
	for (uint64_t i = 0; i < g->len; i++) {
		g->slots[i] = mpr_slot_get(&slots[i]);
		if (mpr_slot_is_long(g->slots[i].meta))
			g->bytes[i] = hash_of(g->slots[i]);
	}
}

/* If the version is the same and even, all that may be read is as it was, but for a
 * word by itself. */
static inline void
what_was_seen_is_so(const struct scene *s)
{
	const mproc_arena *a = mpr_arena_peek();
	const struct glance *g = &s->glance;
	const struct mpr_slot *slots = mpr_arena_at(a, g->array);

	if (g->version % 2 || root_of(s->list)->version != g->version)
		return;
	assert_true(!g->len || mpr_heap_is_linked(a, g->array, 16 * g->len));
	for (uint64_t i = 0; i < g->len; i++) {
		assert_int_equal(slots[i].meta, g->slots[i].meta);
		if (!mpr_slot_is_long(g->slots[i].meta))
			continue;
		assert_int_equal(slots[i].word, g->slots[i].word);
		assert_true(mpr_heap_is_linked(a, slots[i].word,
					       mpr_meta_len(slots[i].meta)));
		assert_int_equal(hash_of(g->slots[i]), g->bytes[i]);
	}
}

static inline void
die(void *arg)
{
	struct scene *s = arg;

	s->op->die(s->list);
	_exit(0);
}

/* What does not count may be anything: a link to a block that must not be freed,
 * say. */
static inline void
spoil_what_does_not_count(mproc_list *l)
{
	struct mpr_list_use u;
	struct mpr_slot_words bad;

	assert_int_equal(mpr_list_enter(l, &u), 0);
	bad = (struct mpr_slot_words){
		.meta = mpr_meta(MPROC_STR, 64),
		.word = mpr_arena_offset(u.arena, u.root),
	};
	u.root->index = u.root->upto = u.root->gap = UINT64_C(1) << 40;
	mpr_slot_set(&u.root->old_value, bad);
	mpr_slot_set(&u.root->new_value, bad);
	for (uint64_t i = u.len; i < u.capacity; i++)
		mpr_slot_set(&u.slots[i], bad);
	/* The last one that lay here was no text. */
	bad.meta = mpr_meta(MPROC_INT, 0);
	mpr_slot_set(&u.root->hand, bad);
	assert_int_equal(mpr_list_leave(&u, 0), 0);
}

static inline void
scene_begin(void *arg)
{
	struct scene *s = arg;
	void (*init)(mproc_list *l) = s->op->init;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &s->stat), 0);
	s->list = new_list(init);
	spoil_what_does_not_count(s->list);
	take_a_glance(s);
	if (s->op->repaired)
		init = s->op->repaired;
	s->before = new_list(init);
	s->after = new_list(init);
	may_fail(s->op->run(s->after));
	if (s->op->die)
		wait_for_exit(start(die, s));
}

/* In who is to die over it: has the list for itself. */
static inline struct mpr_list_use
enter(mproc_list *l)
{
	struct mpr_list_use u;

	may_fail(mpr_list_enter(l, &u));
	return u;
}

static inline uint64_t
scene_state(void *arg)
{
	const struct scene *s = arg;
	const struct mpr_list_root *root = root_of(s->list);
	const mproc_arena *a = mpr_arena_peek();
	uint64_t h, offset;

	h = hash(arena_state(NULL), s->list, sizeof(*s->list));
	h = hash(h, root, sizeof(*root));
	for (int i = 0; i < 2; i++)
		if ((offset = atomic_load(&root->arrays[i])))
			h = hash(h, mpr_arena_at(a, offset), 1024);
	return h;
}

static inline void
scene_victim(void *arg)
{
	struct scene *s = arg;

	/* Take part in the arena. */
	mproc_free(mproc_value_new(64, NULL));
	(void)mpr_fault_set("open:1+");
	mpt_step_begin();
	may_fail(s->op->run(s->list));
	mpt_step_end();
}

static inline void
scene_end(struct scene *s)
{
	struct mproc_arena_stat now;

	mproc_list_destroy(s->list);
	mproc_list_destroy(s->before);
	mproc_list_destroy(s->after);
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->stat.blocks);
	assert_int_equal(now.used, s->stat.used);
	assert_int_equal(now.participants, s->stat.participants);
}

static inline void
scene_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	bool is_before, is_after;

	(void)victim;
	what_was_seen_is_so(s);
	/* In the other cases the list has to find out by itself. */
	if (n % 2)
		recover();
	is_before = are_same(s->list, s->before);
	is_after = are_same(s->list, s->after);
	assert_true(finished ? is_after : is_before || is_after);
	s->seen_before += is_before && !is_after;
	s->seen_after += is_after && !is_before;
	/* It goes on. */
	assert_int_equal(mproc_list_append(s->list, mproc_str(LONG_TEXT)), 0);
	assert_int_equal(mproc_list_append(s->before, mproc_str(LONG_TEXT)), 0);
	assert_int_equal(mproc_list_append(s->after, mproc_str(LONG_TEXT)), 0);
	assert_true(are_same(s->list, is_before ? s->before : s->after));
	scene_end(s);
}

static inline void
step(struct mpt *t, const struct operation *op)
{
	struct scene s = { .t = t, .op = op };

	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = op->name,
		.before = scene_begin,
		.victim = scene_victim,
		.survivor = scene_survivor,
		.fingerprint = scene_state,
		.arg = &s,
		.every = 100,
		.budget = 60,
		.max_cases = op->max_cases,
	}, NULL);
	/* Both come about. */
	assert_true(s.seen_before && s.seen_after);
}

static inline void
must(int r)
{
	assert_int_equal(r, 0);
}

static inline void
nothing(mproc_list *l)
{
	(void)l;
}

/* A value with a block at each end and in the middle. */
static inline void
six(mproc_list *l)
{
	const struct mproc_any all[] = {
		mproc_str(LONG_TEXT), mproc_int(1), mproc_str("short"),
		mproc_str("a text in the middle"), mproc_float(4.0),
		mproc_str("a text at the end"),
	};

	must(mproc_list_extend(l, all, sizeof(all) / sizeof(all[0])));
}

/* In who is to die over it: what it is about. */
static inline void
say(struct mpr_list_use *u, enum mpr_list_doing doing, uint64_t index,
    uint64_t gap)
{
	mpr_list_put(&u->root->index, index);
	mpr_list_put(&u->root->upto, u->len);
	mpr_list_put(&u->root->gap, gap);
	if (doing != MPR_LIST_FILL)
		mpr_list_put(&u->root->version,
			     mpr_list_peek(&u->root->version) | 1);
	mpr_list_put(&u->root->doing, doing);
}

#define CELLS_AT_FIRST 4

static inline int
lists_setup(void **state)
{
	mproc_list *all[CELLS_AT_FIRST];

	if (world_setup(state) < 0)
		return -1;
	make_spare_slots();
	/* Cells stay, and what belongs to each of them. */
	for (int i = 0; i < CELLS_AT_FIRST; i++)
		all[i] = new_list(nothing);
	for (int i = 0; i < CELLS_AT_FIRST; i++)
		mproc_list_destroy(all[i]);
	return 0;
}

#endif
