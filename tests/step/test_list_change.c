/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction that changes what is shared, and after
 * many others, while it changes a list, and while it makes good what another one
 * that has died had begun.
 */
#include <stdlib.h>

#include "list.h"

/* The smallest array is full. */
static void
eight(mproc_list *l)
{
	six(l);
	must(mproc_list_append(l, mproc_int(6)));
	must(mproc_list_append(l, mproc_int(7)));
}

/* The last one that goes makes it smaller. */
static void
too_large(mproc_list *l)
{
	six(l);
	for (int i = 0; i < 20; i++)
		must(mproc_list_append(l, mproc_int(i)));
}

static int
set_same(mproc_list *l)
{
	return mproc_list_set(l, 1, mproc_int(42));
}

static int
set_other(mproc_list *l)
{
	return mproc_list_set(l, 1, mproc_bool(true));
}

static int
set_long(mproc_list *l)
{
	return mproc_list_set(l, 1, mproc_str("a text for an integer"));
}

static int
set_short(mproc_list *l)
{
	return mproc_list_set(l, 0, mproc_int(42));
}

static int
set_long_for_long(mproc_list *l)
{
	return mproc_list_set(l, -1, mproc_str("a text for another"));
}

static void
killed_while_it_sets(void **state)
{
	static const struct operation ops[] = {
		{ .name = "set an integer", .init = six, .run = set_same },
		{ .name = "set another kind", .init = six, .run = set_other },
		{ .name = "set a text", .init = six, .run = set_long },
		{ .name = "set instead of a text", .init = six,
		  .run = set_short },
		{ .name = "set a text instead of one", .init = six,
		  .run = set_long_for_long },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

static int
insert_first(mproc_list *l)
{
	return mproc_list_insert(l, 0, mproc_str("a text before the first"));
}

static int
insert_int(mproc_list *l)
{
	return mproc_list_insert(l, 4, mproc_int(42));
}

static void
killed_while_it_inserts(void **state)
{
	static const struct operation ops[] = {
		{ .name = "insert a text", .init = six, .run = insert_first },
		{ .name = "insert an integer", .init = six, .run = insert_int },
		{ .name = "insert and grow", .init = eight,
		  .run = insert_first },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

static int
pop_first(mproc_list *l)
{
	return mproc_list_pop(l, 0, NULL);
}

static int
pop_with_copy(mproc_list *l)
{
	struct mproc_any any;
	int r = mproc_list_pop(l, 0, &any);

	mproc_any_clear(&any);
	return r;
}

static int
pop_middle(mproc_list *l)
{
	return mproc_list_pop(l, 1, NULL);
}

static int
pop_last(mproc_list *l)
{
	return mproc_list_pop(l, -1, NULL);
}

static int
clear(mproc_list *l)
{
	return mproc_list_clear(l);
}

#define LARGE ((size_t)3 << 19)

/* A text that is a run of extents. */
static void
large(mproc_list *l)
{
	char *text = calloc(1, LARGE);

	assert_non_null(text);
	must(mproc_list_append(l, mproc_bytes(text, LARGE)));
	must(mproc_list_append(l, mproc_int(1)));
	free(text);
}

static void
killed_while_it_takes_out(void **state)
{
	static const struct operation ops[] = {
		{ .name = "pop the first", .init = six, .run = pop_with_copy },
		{ .name = "pop an integer", .init = six, .run = pop_middle },
		{ .name = "pop the last", .init = six, .run = pop_last },
		{ .name = "pop a large text", .init = large, .run = pop_first },
		{ .name = "clear", .init = six, .run = clear },
		{ .name = "clear what was large", .init = too_large,
		  .run = clear },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

static int
extend(mproc_list *l)
{
	const struct mproc_any all[] = {
		mproc_str("the first of three"), mproc_int(1),
		mproc_str("the last of them"),
	};

	return mproc_list_extend(l, all, 3);
}

static void
killed_while_it_extends(void **state)
{
	static const struct operation ops[] = {
		{ .name = "extend and grow", .init = six, .run = extend },
		{ .name = "extend", .init = eight, .run = extend },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

static int
sort(mproc_list *l)
{
	return mproc_list_sort(l, NULL, NULL);
}

static int
reverse(mproc_list *l)
{
	return mproc_list_reverse(l);
}

static int
remove_text(mproc_list *l)
{
	return mproc_list_remove(l, mproc_str("a text in the middle"));
}

static void
texts(mproc_list *l)
{
	const struct mproc_any all[] = {
		mproc_str("c is a long text"), mproc_str("b"),
		mproc_str("a is a long text, too"), mproc_str("0"),
	};

	must(mproc_list_extend(l, all, 4));
}

static void
killed_while_it_changes_the_order(void **state)
{
	static const struct operation ops[] = {
		{ .name = "sort", .init = texts, .run = sort },
		{ .name = "reverse", .init = six, .run = reverse },
		{ .name = "remove", .init = six, .run = remove_text },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

static int
add(mproc_list *l)
{
	return mproc_list_add(l, 1, mproc_int(41), NULL);
}

static int
exchange(mproc_list *l)
{
	int r = mproc_list_compare_exchange(l, 3,
					    mproc_str("a text in the middle"),
					    mproc_str("another one, as long"));

	return r == 1 ? 0 : -1;
}

static int
give_text(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	(void)old;
	(void)ctx;
	*value = mproc_str("a text that takes its place");
	return 1;
}

static int
update(mproc_list *l)
{
	return mproc_list_update(l, 0, give_text, NULL);
}

static void
killed_while_it_changes_what_is_there(void **state)
{
	static const struct operation ops[] = {
		{ .name = "add", .init = six, .run = add },
		{ .name = "compare and exchange", .init = six,
		  .run = exchange },
		{ .name = "update", .init = six, .run = update },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

/* Has moved two of five values up. Each of these is what the list is to be when it
 * is repaired, but for what is done then. */
static void
die_in_an_insert(mproc_list *l)
{
	struct mpr_list_use u = enter(l);
	struct mproc_any text = mproc_str("a text from the dead");

	must_be(mpr_slot_fill(u.arena, u.self, mpr_list_owner(&u),
			      &u.root->hand, &text), 0);
	mpr_slot_set(&u.root->new_value, mpr_slot_get(&u.root->hand));
	say(&u, MPR_LIST_INSERT, 1, u.len);
	for (uint64_t i = 0; i < 2; i++) {
		mpr_slot_set(&u.slots[u.len - i],
			     mpr_slot_get(&u.slots[u.len - i - 1]));
		mpr_list_put(&u.root->gap, u.len - i - 1);
	}
}

static int
insert_that(mproc_list *l)
{
	return mproc_list_insert(l, 1, mproc_str("a text from the dead"));
}

static void
die_in_a_remove(mproc_list *l)
{
	struct mpr_list_use u = enter(l);

	mpr_slot_set(&u.root->old_value, mpr_slot_get(&u.slots[0]));
	say(&u, MPR_LIST_REMOVE, 0, 0);
	/* The slot, and not yet the gap. */
	mpr_slot_set(&u.slots[0], mpr_slot_get(&u.slots[1]));
}

static void
die_in_a_set(mproc_list *l)
{
	struct mpr_list_use u = enter(l);
	struct mproc_any any = mproc_int(42);

	mpr_slot_set(&u.root->old_value, mpr_slot_get(&u.slots[0]));
	must_be(mpr_slot_fill(u.arena, u.self, mpr_list_owner(&u),
			      &u.root->hand, &any), 0);
	mpr_slot_set(&u.root->new_value, mpr_slot_get(&u.root->hand));
	say(&u, MPR_LIST_SET, 0, 0);
	mpr_slot_set(&u.slots[0], mpr_slot_get(&u.root->new_value));
}

/* Has made the list empty, and freed nothing. */
static void
die_in_a_clear(mproc_list *l)
{
	struct mpr_list_use u = enter(l);

	say(&u, MPR_LIST_FILL, 0, 0);
	mpr_list_put(&u.root->len, 0);
}

/* What the one that died has done, which is so whatever happens next. */
static void
six_and_set(mproc_list *l)
{
	six(l);
	must(set_short(l));
}

static void
six_and_insert(mproc_list *l)
{
	six(l);
	must(insert_that(l));
}

static void
six_and_remove(mproc_list *l)
{
	six(l);
	must(pop_first(l));
}

static void
six_and_clear(mproc_list *l)
{
	six(l);
	must(clear(l));
}

static void
killed_while_it_makes_good_what_one_that_died_has_left(void **state)
{
	static const struct operation ops[] = {
		{ .name = "repair an insert", .init = six,
		  .repaired = six_and_insert, .run = pop_last,
		  .die = die_in_an_insert },
		{ .name = "repair a remove", .init = six,
		  .repaired = six_and_remove, .run = pop_last,
		  .die = die_in_a_remove },
		{ .name = "repair a set", .init = six, .repaired = six_and_set,
		  .run = pop_last, .die = die_in_a_set },
		{ .name = "repair a clear", .init = six,
		  .repaired = six_and_clear, .run = extend,
		  .die = die_in_a_clear },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_sets),
		mpt_test(killed_while_it_inserts),
		mpt_test(killed_while_it_takes_out),
		mpt_test(killed_while_it_extends),
		mpt_test(killed_while_it_changes_the_order),
		mpt_test(killed_while_it_changes_what_is_there),
		mpt_test(killed_while_it_makes_good_what_one_that_died_has_left),
	};

	return cmocka_run_group_tests(tests, lists_setup, NULL);
}
