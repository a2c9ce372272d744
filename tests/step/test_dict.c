/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with a dict: the key
 * has its old value or the new one, all others have theirs, and nothing is lost or
 * there twice, neither keys nor blocks.
 */
#include "table.h"

#define CASES 120 /* of what does as others do */

static int
set(struct change *c)
{
	return mproc_dict_set(c->s.d, mproc_int(c->s.keys[c->it]), c->to);
}

static void
pop_victim(void *arg)
{
	struct change *c = arg;
	struct mproc_any got;
	int r;

	warm_up(&c->s);
	mpt_step_begin();
	r = mproc_dict_pop(c->s.d, mproc_int(c->s.keys[c->it]), &got);
	mpt_step_end();
	may_fail(r);
	must_be(mpr_any_equal(&got, c->old_value), true);
}

/* What changes first, for those who do not look before. */
static void
writing_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct change *c = arg;
	bool there;

	(void)victim;
	(void)n;
	(void)finished;
	assert_int_equal(mproc_dict_set(c->s.d, mproc_int(c->s.keys[c->it]),
					mproc_str("by the survivor")), 0);
	there = expect_others(&c->s, (int)c->it);
	assert_true(there);
	end(&c->s);
}

static void
step_set(struct mpt *t, const char *name, unsigned n, unsigned it,
	 struct mproc_any to)
{
	struct change c = { .s = { .t = t, .n = n }, .it = it, .to = to };
	struct mproc_any old_value = value_of(it);

	c.op = set;
	c.new_value = &c.to;
	c.old_value = it < n ? &old_value : NULL;
	step(&c.s, name, begin, change_victim, change_survivor);
	step(&c.s, name, begin, change_victim, writing_survivor);
}

static void
killed_while_it_sets_a_new_key(void **state)
{
	step_set(*state, "first key", 0, 0, mproc_int(5));
	step_set(*state, "key with a text", 3, 3, mproc_str("some text"));
}

static void
killed_while_it_changes_a_value(void **state)
{
	step_set(*state, "value in place", 4, 0, mproc_int(-1));
	step_set(*state, "longer value", 4, 1,
		 mproc_str("a text that has no room where the old one lies, as "
			   "it is longer"));
	step_set(*state, "value of another kind", 4, 3, mproc_float(0.5));
}

/* Who takes any key begins where the last one that did has found one: now the second
 * of all. */
static void
begin_behind_the_first(void *arg)
{
	struct change *c = arg;
	struct mproc_any key, second, value;

	begin(arg);
	assert_int_equal(mproc_dict_pop_item(c->s.d, &key, NULL), 0);
	assert_int_equal(mproc_dict_pop_item(c->s.d, &second, &value), 0);
	assert_int_equal(mproc_dict_set(c->s.d, second, value), 0);
	mproc_any_clear(&value);
	for (c->it = 0; c->s.keys[c->it] != key.i64; c->it++)
		assert_in_range(c->it, 0, c->s.n - 2);
}

static void
killed_while_it_sets_a_key_before_the_first(void **state)
{
	struct change c = { .s = { .t = *state, .n = 4 }, .op = set,
			    .to = mproc_int(5) };

	c.new_value = &c.to;
	step(&c.s, "key before the first", begin_behind_the_first,
	     change_victim, change_survivor);
}

static void
killed_while_it_adds_buckets(void **state)
{
	step_set(*state, "first block of buckets", 2, 2, mproc_int(5));
	step_set(*state, "second block of buckets", 8, 8, mproc_int(5));
	step_set(*state, "four keys move", 29, 29, mproc_int(5));
}

static void
step_pop(struct mpt *t, const char *name, unsigned n, unsigned it)
{
	struct change c = { .s = { .t = t, .n = n }, .it = it };
	struct mproc_any old_value = value_of(it);

	c.old_value = &old_value;
	step(&c.s, name, begin, pop_victim, change_survivor);
	step(&c.s, name, begin, pop_victim, writing_survivor);
}

static void
killed_while_it_takes_a_key_away(void **state)
{
	step_pop(*state, "pop of the only one", 1, 0);
	step_pop(*state, "pop of a text", 4, 2);
}

/* One whose value is a run of extents. */
#define LARGE ((size_t)3 << 19)

static void
begin_large(void *arg)
{
	static unsigned char bytes[LARGE];
	struct change *c = arg;

	begin(arg);
	assert_int_equal(mproc_dict_set(c->s.d, mproc_int(c->s.keys[c->it]),
					mproc_bytes(bytes, LARGE)), 0);
}

static int
drop(struct change *c)
{
	return mproc_dict_pop(c->s.d, mproc_int(c->s.keys[c->it]), NULL);
}

static void
large_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct change *c = arg;
	bool there;

	(void)victim;
	(void)n;
	there = expect_others(&c->s, (int)c->it);
	assert_true(!there || !finished);
	end(&c->s);
}

static void
killed_while_it_takes_a_large_one_away(void **state)
{
	struct change c = { .s = { .t = *state, .n = 3 }, .it = 3,
			    .op = drop };

	step(&c.s, "pop of 1.5 MiB", begin_large, change_victim,
	     large_survivor);
	c.op = set;
	c.to = mproc_int(1);
	step(&c.s, "1.5 MiB become a number", begin_large, change_victim,
	     writing_survivor);
}

static void
clear_victim(void *arg)
{
	struct scene *s = arg;
	int r;

	warm_up(s);
	mpt_step_begin();
	r = mproc_dict_clear(s->d);
	mpt_step_end();
	may_fail(r);
}

/* How many of the keys are there, each with its value. */
static unsigned
count_left(struct scene *s)
{
	struct mproc_cursor c = { { 0 } };
	struct mproc_any key, value;
	unsigned left = 0;

	while (mproc_dict_next(s->d, &c, &key, &value) == 0) {
		unsigned i = 0;

		while (i < s->n && s->keys[i] != key.i64)
			i++;
		assert_in_range(i, 0, s->n - 1);
		assert_true(mpr_any_equal(&value, &s->values[i]));
		mproc_any_clear(&value);
		left++;
	}
	assert_int_equal(mproc_dict_len(s->d), left);
	return left;
}

static void
clear_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	unsigned left = count_left(s);

	(void)victim;
	(void)n;
	assert_true(!finished || left == 0);
	end(s);
}

static void
killed_while_it_clears_a_dict(void **state)
{
	struct scene s = { .t = *state, .n = 6 };

	mpt_watchdog(*state, 120);
	step(&s, "clear", begin, clear_victim, clear_survivor);
}

static void
pop_item_victim(void *arg)
{
	struct scene *s = arg;
	struct mproc_any key, value;
	int r;

	warm_up(s);
	mpt_step_begin();
	r = mproc_dict_pop_item(s->d, &key, &value);
	mpt_step_end();
	may_fail(r);
}

static void
pop_item_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	assert_in_range(count_left(s), s->n - 1, finished ? s->n - 1 : s->n);
	end(s);
}

static void
killed_while_it_takes_any_key_away(void **state)
{
	struct scene s = { .t = *state, .n = 5, .max_cases = CASES };

	step(&s, "pop item", begin, pop_item_victim, pop_item_survivor);
}

/* With a dict that has two keys, one of which is the last one's. */
struct pair {
	struct scene s; /* first */
	mproc_dict *other;
};

static void
begin_pair(void *arg)
{
	struct pair *p = arg;

	begin(arg);
	assert_int_equal(mproc_dict_create(&p->other, NULL), 0);
	for (unsigned i = p->s.n - 1; i <= p->s.n; i++)
		assert_int_equal(mproc_dict_set(p->other,
						mproc_int(p->s.keys[i]),
						p->s.values[KEYS_MAX - i]), 0);
}

static void
merge_victim(void *arg)
{
	struct pair *p = arg;
	int r;

	warm_up(&p->s);
	mpt_step_begin();
	r = mproc_dict_merge(p->s.d, p->other);
	mpt_step_end();
	may_fail(r);
}

static void
merge_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct pair *p = arg;
	struct scene *s = &p->s;
	unsigned changed = s->n - 1, added = s->n;
	bool is_new;

	(void)victim;
	(void)n;
	is_new = has_value(s, changed, &s->values[KEYS_MAX - changed]);
	assert_true(is_new || has_value(s, changed, &s->values[changed]));
	assert_true(is_new || !finished);
	is_new = has_value(s, added, &s->values[KEYS_MAX - added]);
	assert_true(is_new || has_value(s, added, NULL));
	assert_true(is_new || !finished);
	assert_int_equal(mproc_dict_len(s->d), s->n + is_new);
	assert_int_equal(mproc_dict_len(p->other), 2);
	mproc_dict_destroy(p->other);
	end(s);
}

static void
killed_while_it_merges_another_one(void **state)
{
	struct pair p = { .s = { .t = *state, .n = 4, .max_cases = CASES } };

	step(&p.s, "merge", begin_pair, merge_victim, merge_survivor);
}

static void
killed_while_it_destroys_one(void **state)
{
	struct scene s = { .t = *state, .n = 6 };

	mpt_watchdog(*state, 120);
	step(&s, "destroy", begin, destroy_victim, destroy_survivor);
}

static void
create_victim(void *arg)
{
	mproc_dict *d;
	int r;

	warm_up(arg);
	mpt_step_begin();
	r = mproc_dict_create(&d, NULL);
	mpt_step_end();
	may_fail(r);
	mproc_dict_destroy(d);
}

/* Between the end of the operation and the return there is one that nobody knows;
 * and a new one has a root that stays, in a block of cells that does. */
static void
create_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct mproc_arena_stat now;

	(void)victim;
	(void)n;
	(void)finished;
	expect_others(s, -1);
	mproc_dict_destroy(s->d);
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_in_range(now.blocks, s->before.blocks, s->before.blocks + 2);
}

static void
killed_while_it_makes_one(void **state)
{
	struct scene s = { .t = *state, .n = 2 };

	mpt_watchdog(*state, 120);
	step(&s, "create", begin, create_victim, create_survivor);
}

/*
 * What one leaves behind that dies in the middle of a change; by hand, as it has to
 * be the same each time.
 */

static struct mpr_visit
begin_to_change(struct scene *s)
{
	struct mpr_visit v;

	may_fail(mpr_visit_begin(&v, MPR_CELL_DICT, s->d));
	may_fail(mpr_visit_stripe(&v, 0));
	may_fail(mpr_visit_lock(&v));
	mpr_visit_change(&v);
	return v;
}

/* A new value in front of the old one. */
static void
die_over_a_value(void *arg)
{
	struct change *c = arg;
	struct mpr_visit v = begin_to_change(&c->s);
	struct mpr_block_ref ref;
	struct mpr_place at;
	struct mpr_entry *e;
	struct mpr_key key;

	may_fail(mpr_key_make(&v, &(struct mproc_any){
		.kind = MPROC_INT, .i64 = c->s.keys[c->it] }, &key));
	may_fail(mpr_table_find(&v, &key, &at));
	may_fail(mpr_heap_reserve(v.arena, v.self, 64, &ref));
	e = mpr_arena_at(v.arena, ref.offset);
	atomic_store(&e->next, at.item.ref.offset);
	atomic_store(&e->order, at.order);
	atomic_store(&e->stripe, mpr_arena_offset(v.arena, v.stripe));
	atomic_store(&e->key, at.item.key);
	atomic_store(&e->value, mpr_any_meta(&c->to));
	atomic_store(&e->words[0], key.flat.word);
	atomic_store(&e->words[1], (uint64_t)c->to.i64);
	mpr_block_link(v.arena, v.self, &ref, at.link);
	atomic_fetch_add(&v.stripe->count, 7);
}

/* More buckets, which no chain has been cut for. */
static void
die_over_growth(void *arg)
{
	struct change *c = arg;
	struct mpr_visit v = begin_to_change(&c->s);

	must_be(move_in_next_cut(&v) > 0, true);
	atomic_store(&v.stripe->cuts, v.stripe->cuts + 1);
}

static void
begin_after_a_value(void *arg)
{
	struct change *c = arg;

	begin(arg);
	wait_for_exit(start(die_over_a_value, c));
}

static void
begin_after_growth(void *arg)
{
	struct change *c = arg;

	begin(arg);
	wait_for_exit(start(die_over_growth, c));
}

static void
get_victim(void *arg)
{
	struct change *c = arg;
	struct mproc_any got;
	int r;

	mproc_free(mproc_value_new(64, NULL));
	(void)mpr_fault_set("open:1+");
	mpt_step_begin();
	r = mproc_dict_get(c->s.d, mproc_int(c->s.keys[c->it]), &got);
	mpt_step_end();
	may_fail(r);
	must_be(mpr_any_equal(&got, c->new_value), true);
	mproc_any_clear(&got);
}

static void
survivor_of_repair(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct change *c = arg;

	(void)victim;
	(void)n;
	(void)finished;
	assert_true(has_value(&c->s, c->it, c->new_value));
	expect_others(&c->s, (int)c->it);
	end(&c->s);
}

static void
killed_while_it_repairs(void **state)
{
	struct change c = { .s = { .t = *state, .n = 4 }, .it = 1,
			    .to = mproc_int(99) };
	struct mproc_any as_it_was;

	mpt_watchdog(*state, 120);
	c.new_value = &c.to;
	step(&c.s, "repair of a value", begin_after_a_value, get_victim,
	     survivor_of_repair);
	c.s.n = 29;
	as_it_was = value_of(c.it);
	c.new_value = &as_it_was;
	step(&c.s, "repair of growth", begin_after_growth, get_victim,
	     survivor_of_repair);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_sets_a_new_key),
		mpt_test(killed_while_it_changes_a_value),
		mpt_test(killed_while_it_sets_a_key_before_the_first),
		mpt_test(killed_while_it_adds_buckets),
		mpt_test(killed_while_it_takes_a_key_away),
		mpt_test(killed_while_it_takes_a_large_one_away),
		mpt_test(killed_while_it_clears_a_dict),
		mpt_test(killed_while_it_takes_any_key_away),
		mpt_test(killed_while_it_merges_another_one),
		mpt_test(killed_while_it_destroys_one),
		mpt_test(killed_while_it_makes_one),
		mpt_test(killed_while_it_repairs),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
