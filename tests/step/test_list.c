/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction that changes what is shared, and after
 * many others, while it makes a list, adds to it, and destroys it.
 */
#include "list.h"

static void
a_few(mproc_list *l)
{
	for (int i = 0; i < 5; i++)
		must(mproc_list_append(l, i == 2 ? mproc_str(LONG_TEXT) :
						   mproc_int(i)));
}

/* The smallest array is full. */
static void
eight(mproc_list *l)
{
	a_few(l);
	for (int i = 5; i < 8; i++)
		must(mproc_list_append(l, mproc_float(i)));
}

static int
append_int(mproc_list *l)
{
	return mproc_list_append(l, mproc_int(42));
}

static int
append_text(mproc_list *l)
{
	return mproc_list_append(l, mproc_str("another text, which is long"));
}

static void
killed_while_it_appends(void **state)
{
	static const struct operation ops[] = {
		{ .name = "append an integer", .init = a_few, .run = append_int },
		{ .name = "append a text", .init = a_few, .run = append_text },
		{ .name = "append the first", .init = nothing, .run = append_text },
		{ .name = "append and grow", .init = eight, .run = append_text },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

/* Has put a text behind the end, and not said that it belongs to the list. */
static void
die_in_an_append(mproc_list *l)
{
	struct mpr_list_use u = enter(l);
	struct mproc_any text = mproc_str(LONG_TEXT);
	struct mpr_slot *slot = &u.slots[u.len];

	mpr_list_put(&u.root->upto, u.len);
	mpr_list_put(&u.root->doing, MPR_LIST_FILL);
	mpr_slot_set(slot, (struct mpr_slot_words){ 0 });
	mpr_list_put(&u.root->upto, u.len + 1);
	must_be(mpr_slot_fill(u.arena, u.self, mpr_list_owner(&u),
			      slot, &text), 0);
}

static void
killed_while_it_makes_good_what_one_that_died_has_left(void **state)
{
	static const struct operation ops[] = {
		{ .name = "repair an append", .init = a_few, .run = append_int,
		  .die = die_in_an_append },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

/* Blocks of cells, see sync/cell.c, and the roots that hang on them: they stay. */
static uint64_t
count_what_stays(void)
{
	const mproc_arena *a = mpr_arena_peek();
	uint64_t offset = atomic_load(&a->shm->cells[MPR_CELL_LIST]), n = 0;

	while (offset) {
		const _Atomic uint64_t *words = mpr_arena_at(a, offset);
		const struct mproc_list *cells = mpr_arena_at(a, offset + 64);

		n++;
		for (int i = 0; i < 63; i++)
			n += atomic_load(&cells[i].root) != 0;
		offset = atomic_load(words);
	}
	return n;
}

#define HELD_MAX 2000 /* one for each instruction, at least */

struct creation {
	mproc_list *held[HELD_MAX];
	unsigned n;
	uint64_t others; /* blocks */
};

static void
hold_one(struct creation *c)
{
	assert_in_range(c->n, 0, HELD_MAX - 1);
	c->held[c->n] = new_list(nothing);
	assert_int_equal(mproc_list_len(c->held[c->n]), 0);
	c->n++;
}

static void
create_before(void *arg)
{
	struct creation *c = arg;
	struct mproc_arena_stat now;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	c->others = now.blocks - count_what_stays();
}

static void
create_victim(void *arg)
{
	mproc_list *l;

	(void)arg;
	mproc_free(mproc_value_new(64, NULL));
	mpt_step_begin();
	may_fail(mproc_list_create(&l, NULL));
	mpt_step_end();
	may_fail(append_text(l));
	mproc_list_destroy(l);
}

static uint64_t
create_state(void *arg)
{
	const mproc_arena *a = mpr_arena_peek();
	uint64_t offset = atomic_load(&a->shm->cells[MPR_CELL_LIST]);

	(void)arg;
	return hash(arena_state(NULL), mpr_arena_at(a, offset), 4096);
}

/* What the victim has made nobody knows, and it is empty. The one that is made
 * after that stays, so that the next victim, too, finds a cell that never was a
 * list. */
static void
create_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct creation *c = arg;
	struct mproc_arena_stat now;

	(void)victim;
	(void)finished;
	if (n % 2)
		recover();
	hold_one(c);
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, c->others + count_what_stays());
}

/* The last test: lists stay. */
static void
killed_while_it_makes_one(void **state)
{
	struct creation c = { .n = 0 };

	for (int i = 0; i < CELLS_AT_FIRST; i++)
		hold_one(&c);
	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "create",
		.before = create_before,
		.victim = create_victim,
		.survivor = create_survivor,
		.fingerprint = create_state,
		.arg = &c,
		.every = 30,
		.budget = 30,
		.max_cases = HELD_MAX - CELLS_AT_FIRST,
	}, NULL);
	for (unsigned i = 0; i < c.n; i++)
		mproc_list_destroy(c.held[i]);
}

static void
destroy_victim(void *arg)
{
	struct scene *s = arg;

	mproc_free(mproc_value_new(64, NULL));
	mpt_step_begin();
	mproc_list_destroy(s->list);
	mpt_step_end();
}

static void
destroy_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int r;

	(void)victim;
	if (n % 2)
		recover();
	r = mproc_list_append(s->list, mproc_str(LONG_TEXT));
	assert_true(r == -ESTALE || (r == 0 && !finished));
	if (r == 0) {
		must(mproc_list_append(s->before, mproc_str(LONG_TEXT)));
		assert_true(are_same(s->list, s->before));
		s->seen_before++;
	} else {
		/* It was the first one, and so is this. */
		assert_ptr_equal(new_list(s->op->init), s->list);
		assert_true(are_same(s->list, s->before));
		s->seen_after++;
	}
	scene_end(s);
}

static void
step_destroy(struct mpt *t, const struct operation *op)
{
	struct scene s = { .t = t, .op = op };

	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = op->name,
		.before = scene_begin,
		.victim = destroy_victim,
		.survivor = destroy_survivor,
		.fingerprint = scene_state,
		.arg = &s,
		.every = 100,
		.budget = 60,
	}, NULL);
	assert_true(s.seen_before && s.seen_after);
}

static void
killed_while_it_destroys_one(void **state)
{
	static const struct operation ops[] = {
		{ .name = "destroy", .init = a_few, .run = append_int },
		{ .name = "destroy an empty one", .init = nothing,
		  .run = append_int },
		{ .name = "destroy what one that died has left", .init = a_few,
		  .run = append_int, .die = die_in_an_append },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step_destroy(*state, &ops[i]);
}

/* It was in the list, and has the end to make when it leaves. */
static void
leave_victim(void *arg)
{
	struct scene *s = arg;
	struct mpr_list_use u = enter(s->list);

	must_be(mpr_cell_end(MPR_CELL_LIST, s->list), 0);
	mpt_step_begin();
	must_be(mpr_list_leave(&u, 0), 0);
	mpt_step_end();
}

static void
leave_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	if (n % 2)
		recover();
	assert_int_equal(mproc_list_append(s->list, mproc_int(1)), -ESTALE);
	/* The root stays with the cell. */
	if (finished)
		assert_int_equal(root_of(s->list)->arrays[0] |
				 root_of(s->list)->arrays[1], 0);
	/* It was the first one, and so is this. */
	assert_ptr_equal(new_list(s->op->init), s->list);
	assert_true(are_same(s->list, s->before));
	scene_end(s);
}

static void
killed_while_it_leaves_one_that_is_destroyed(void **state)
{
	static const struct operation op = { .init = a_few, .run = append_int };
	struct scene s = { .t = *state, .op = &op };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "leave a destroyed one",
		.before = scene_begin,
		.victim = leave_victim,
		.survivor = leave_survivor,
		.fingerprint = scene_state,
		.arg = &s,
		.every = 100,
		.budget = 60,
	}, NULL);
}

/* Has said that the list is gone, and freed nothing. */
static void
die_in_a_destroy(mproc_list *l)
{
	enter(l);
	must_be(mpr_cell_end(MPR_CELL_LIST, l), 0);
}

static void
take_over_victim(void *arg)
{
	struct scene *s = arg;
	mproc_list *l;

	mproc_free(mproc_value_new(64, NULL));
	mpt_step_begin();
	may_fail(mproc_list_create(&l, NULL));
	mpt_step_end();
	if (l != s->list || mproc_list_len(l))
		_exit(1);
}

static void
take_over_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int r;

	(void)victim;
	if (n % 2)
		recover();
	r = mproc_list_append(s->list, mproc_int(1));
	assert_true(r == 0 || (r == -ESTALE && !finished));
	if (r == 0) {
		assert_int_equal(mproc_list_len(s->list), 1);
		s->seen_after++;
	} else {
		assert_ptr_equal(new_list(s->op->init), s->list);
		assert_true(are_same(s->list, s->before));
		s->seen_before++;
	}
	scene_end(s);
}

static void
killed_while_it_makes_one_of_what_one_that_died_has_left(void **state)
{
	static const struct operation op = {
		.init = a_few, .run = append_int, .die = die_in_a_destroy,
	};
	struct scene s = { .t = *state, .op = &op };

	mpt_stepper_run(*state, &(struct mpt_stepper_opts){
		.name = "create in the place of another",
		.before = scene_begin,
		.victim = take_over_victim,
		.survivor = take_over_survivor,
		.fingerprint = scene_state,
		.arg = &s,
		.every = 100,
		.budget = 60,
	}, NULL);
	assert_true(s.seen_before && s.seen_after);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_appends),
		mpt_test(killed_while_it_makes_good_what_one_that_died_has_left),
		mpt_test(killed_while_it_destroys_one),
		mpt_test(killed_while_it_leaves_one_that_is_destroyed),
		mpt_test(killed_while_it_makes_one_of_what_one_that_died_has_left),
		mpt_test(killed_while_it_makes_one),
	};

	return cmocka_run_group_tests(tests, lists_setup, NULL);
}
