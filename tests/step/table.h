/* SPDX-License-Identifier: MIT */
/*
 * What step tests of dicts and their like share: a dict with known keys, all of them
 * in one stripe, and what must hold after any kill: each key that the victim had
 * nothing to do with has its value, an iteration meets each key once, their number
 * is right, the dict works, and when it is destroyed nothing is left in the arena.
 */
#ifndef STEP_TABLE_H
#define STEP_TABLE_H

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "containers/table_use.h"
#include "sync.h"
#include "world.h"

#define EVERY 200
#define BUDGET 60

#define KEYS_MAX 40
#define SEED 4711 /* so that each dict is like the last one */

struct scene {
	struct mpt *t;
	mproc_dict *d;
	unsigned n; /* keys in the beginning, 0 to n - 1 */
	int64_t keys[KEYS_MAX]; /* that are in the first stripe */
	struct mproc_any values[KEYS_MAX];
	uint64_t entries[KEYS_MAX]; /* offsets */
	unsigned n_entries;
	struct mproc_arena_stat before;
	unsigned long max_cases; /* of mpt_stepper_opts */
};

/* Of all sizes that there are small blocks for, and numbers. */
static inline struct mproc_any
value_of(unsigned i)
{
	static char text[KEYS_MAX][200];

	if (i % 3 == 0)
		return mproc_int(i);
	memset(text[i], 'a' + (int)(i % 26), i * 4);
	return mproc_bytes(text[i], i * 4);
}

static inline struct mpr_visit
visit(struct scene *s)
{
	struct mpr_visit v;

	assert_int_equal(mpr_visit_begin(&v, MPR_CELL_DICT, s->d), 0);
	assert_int_equal(mpr_visit_stripe(&v, 0), 0);
	return v;
}

static inline void
note_entries(struct scene *s)
{
	struct mpr_visit v = visit(s);
	struct mpr_place at;
	uint64_t from = 0;

	s->n_entries = 0;
	while (mpr_table_first(&v, from, &at) > 0) {
		s->entries[s->n_entries++] = at.item.ref.offset;
		from = at.order + 1;
	}
	assert_int_equal(s->n_entries, s->n);
}

static inline void
begin(void *arg)
{
	struct scene *s = arg;
	struct mpr_visit v;
	int64_t next = 0;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	assert_int_equal(mproc_dict_create(&s->d, NULL), 0);
	atomic_store(&((struct mpr_table *)s->d)->seed, SEED);
	v = visit(s);
	for (unsigned i = 0; i < KEYS_MAX; i++) {
		struct mpr_key key;

		do {
			s->keys[i] = next++;
			assert_int_equal(mpr_key_make(&v, &(struct mproc_any){
				.kind = MPROC_INT, .i64 = s->keys[i] }, &key),
				0);
		} while (key.stripe != 0);
		s->values[i] = value_of(i);
	}
	for (unsigned i = 0; i < s->n; i++)
		assert_int_equal(mproc_dict_set(s->d, mproc_int(s->keys[i]),
						s->values[i]), 0);
	note_entries(s);
}

/* How many keys are in the bucket that is cut next, and are in another one then. */
static inline unsigned
move_in_next_cut(const struct mpr_visit *v)
{
	uint64_t n = mpr_buckets_after(v->stripe->cuts);
	uint64_t bucket = mpr_bucket_next(n);
	_Atomic uint64_t *link = mpr_table_bucket(v, bucket);
	struct mpr_item item;
	unsigned move = 0;

	for (; link && mpr_table_entry(v, *link, &item);
	     link = &item.entry->next)
		move += mpr_bucket_of(item.order, n + 3) != bucket;
	return move;
}

/* Of tables that come to it with few keys: each bucket has a block. */
static inline uint64_t
hash_directory(uint64_t h, const _Atomic uint64_t *links)
{
	h = hash(h, links, 64 * sizeof(*links));
	for (unsigned i = 0; i < 64; i++)
		if (links[i])
			h = hash(h, mpr_arena_at(mpr_arena_peek(), links[i]), 8);
	return h;
}

/* All that steers the first stripe. */
static inline uint64_t
table_state(void *arg)
{
	struct scene *s = arg;
	const mproc_arena *a = mpr_arena_peek();
	uint64_t h = arena_state(NULL);
	struct mpr_table *table = (struct mpr_table *)s->d;
	const struct mpr_stripe *stripe = mpr_arena_at(a, table->root);

	h = hash(h, table, sizeof(*table));
	h = hash(h, stripe, sizeof(*stripe));
	for (unsigned i = 0; i < 2 && stripe->segments[i]; i++)
		h = hash(h, mpr_arena_at(a, stripe->segments[i]),
			 8 * (mpr_buckets(i + 1) - mpr_buckets(i)));
	if (stripe->directory)
		h = hash_directory(h, mpr_arena_at(a, stripe->directory));
	for (unsigned i = 0; i < s->n_entries; i++)
		h = hash(h, mpr_arena_at(a, s->entries[i]), 64);
	return h;
}

static inline bool
has_value(struct scene *s, unsigned i, const struct mproc_any *value)
{
	struct mproc_any got;
	bool same;
	int r = mproc_dict_get(s->d, mproc_int(s->keys[i]), &got);

	if (r == -ENOENT)
		return !value;
	assert_int_equal(r, 0);
	same = value && got.kind == value->kind && mpr_any_equal(&got, value);
	mproc_any_clear(&got);
	return same;
}

/* What is in it, but for key @but, if there is one; returns whether that is there. */
static inline bool
expect_others(struct scene *s, int but)
{
	struct mproc_cursor c = { { 0 } };
	unsigned met[KEYS_MAX] = { 0 }, n = 0;
	struct mproc_any key;
	bool there = false;
	int r;

	while ((r = mproc_dict_next(s->d, &c, &key, NULL)) == 0) {
		for (unsigned i = 0; i < KEYS_MAX; i++)
			if (s->keys[i] == key.i64)
				met[i]++;
		n++;
	}
	assert_int_equal(r, -ENODATA);
	assert_int_equal(mproc_dict_len(s->d), n);
	for (unsigned i = 0; i < KEYS_MAX; i++) {
		assert_in_range(met[i], 0, 1);
		if ((int)i == but) {
			there = met[i];
			assert_int_equal(mproc_dict_has(s->d,
						mproc_int(s->keys[i])), there);
			continue;
		}
		assert_int_equal(met[i], i < s->n);
		assert_true(has_value(s, i, i < s->n ? &s->values[i] : NULL));
	}
	return there;
}

/* It works, and leaves nothing. */
static inline void
end(struct scene *s)
{
	struct mproc_arena_stat now;

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < KEYS_MAX; i++)
			assert_int_equal(
				mproc_dict_set(s->d, mproc_int(s->keys[i]),
					       value_of((i + round) %
							KEYS_MAX)), 0);
		assert_int_equal(mproc_dict_len(s->d), KEYS_MAX);
	}
	for (unsigned i = 0; i < KEYS_MAX; i += 2)
		assert_int_equal(mproc_dict_pop(s->d, mproc_int(s->keys[i]),
						NULL), 0);
	assert_int_equal(mproc_dict_len(s->d), KEYS_MAX / 2);
	mproc_dict_destroy(s->d);
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
	assert_int_equal(now.used, s->before.used);
	assert_int_equal(now.participants, s->before.participants);
}

/* In a victim: all that is done once. */
static inline void
warm_up(struct scene *s)
{
	mproc_free(mproc_value_new(64, NULL));
	/* A block that is free, of each size that may be wanted. */
	for (size_t size = 64; size <= 512; size *= 2)
		mproc_free(mproc_alloc(size));
	/* A large block asks how much memory there is. */
	(void)mpr_fault_set("open:1+");
	may_fail(mproc_dict_has(s->d, mproc_int(s->keys[KEYS_MAX - 1])));
}

static inline void
step(struct scene *s, const char *name, void (*before)(void *arg),
     void (*victim)(void *arg),
     void (*survivor)(void *arg, pid_t victim, unsigned long n, bool finished))
{
	mpt_stepper_run(s->t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = victim,
		.before = before,
		.survivor = survivor,
		.fingerprint = table_state,
		.every = EVERY,
		.budget = BUDGET,
		.max_cases = s->max_cases,
		.arg = s,
	}, NULL);
}

/* What the victim does to key @it, and which values that may have before and
 * after; NULL: it is not there. */
struct change {
	struct scene s; /* first */
	unsigned it;
	const struct mproc_any *old_value, *new_value;
	struct mproc_any to;
	int (*op)(struct change *c);
};

static inline void
change_victim(void *arg)
{
	struct change *c = arg;
	int r;

	warm_up(&c->s);
	mpt_step_begin();
	r = c->op(c);
	mpt_step_end();
	may_fail(r);
}

static inline void
change_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct change *c = arg;
	bool is_new;

	(void)victim;
	(void)n;
	/* Who comes next finds the death itself. */
	is_new = has_value(&c->s, c->it, c->new_value);
	assert_true(is_new || (!finished &&
			       has_value(&c->s, c->it, c->old_value)));
	expect_others(&c->s, (int)c->it);
	end(&c->s);
}

static inline void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	warm_up(s);
	mpt_step_begin();
	mproc_dict_destroy(s->d);
	mpt_step_end();
}

/* It is there, whole, or it is not, and then the next one is it. */
static inline void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int r = mproc_dict_has(s->d, mproc_int(s->keys[0]));

	(void)victim;
	(void)n;
	assert_true(r == -ESTALE || (r == 1 && !finished));
	if (r == 1) {
		expect_others(s, -1);
	} else {
		mproc_dict_destroy(s->d);
		assert_int_equal(mproc_dict_create(&s->d, NULL), 0);
		assert_int_equal(mproc_dict_len(s->d), 0);
		/* With no more of it than the cell and the root. */
		assert_int_equal(visit(s).stripe->cuts, 0);
		assert_int_equal(visit(s).stripe->directory, 0);
	}
	end(s);
}

/* What is made once: the arena, our slot, the cells and roots of two dicts. */
static inline int
setup(void **state)
{
	mproc_dict *d, *other;

	if (world_setup(state) < 0 || mproc_dict_create(&d, NULL) < 0 ||
	    mproc_dict_create(&other, NULL) < 0)
		return -1;
	mproc_dict_destroy(d);
	mproc_dict_destroy(other);
	make_spare_slots();
	return 0;
}

#endif
