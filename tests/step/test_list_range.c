/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction that changes what is shared, and after
 * many others, while it puts several values in the place of others, and while it
 * makes good what another one that has died over that had begun.
 */
#include "list.h"

#define CASES 70
#define MORE_CASES 180

static const struct mproc_any *
three(void)
{
	static struct mproc_any values[3];

	values[0] = mproc_str("the first of three");
	values[1] = mproc_int(42);
	values[2] = mproc_str("the last of them");
	return values;
}

static int
replace_two_by_three(mproc_list *l)
{
	return mproc_list_replace(l, 2, 4, three(), 3);
}

static int
insert_three(mproc_list *l)
{
	return mproc_list_replace(l, 0, 0, three(), 3);
}

static int
replace_all(mproc_list *l)
{
	return mproc_list_replace(l, 0, INT64_MAX, three(), 1);
}

static int
delete_three(mproc_list *l)
{
	return mproc_list_delete(l, 0, 3);
}

static int
delete_the_last(mproc_list *l)
{
	return mproc_list_delete(l, -3, INT64_MAX);
}

/* After it the array is far too large. */
static void
many(mproc_list *l)
{
	six(l);
	for (int i = 0; i < 20; i++)
		must(mproc_list_append(l, mproc_int(i)));
}

static int
delete_most(mproc_list *l)
{
	return mproc_list_delete(l, 1, -1);
}

static void
killed_while_it_replaces(void **state)
{
	static const struct operation ops[] = {
		/* With room for these behind the end, and without. */
		{ .name = "replace and grow", .init = six,
		  .run = replace_two_by_three, .max_cases = MORE_CASES },
		{ .name = "replace", .init = many,
		  .run = replace_two_by_three, .max_cases = CASES },
		{ .name = "insert three", .init = six, .run = insert_three,
		  .max_cases = CASES },
		{ .name = "replace all", .init = six, .run = replace_all,
		  .max_cases = CASES },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

static void
killed_while_it_deletes(void **state)
{
	static const struct operation ops[] = {
		{ .name = "delete the first three", .init = six,
		  .run = delete_three, .max_cases = CASES },
		{ .name = "delete the last three", .init = six,
		  .run = delete_the_last, .max_cases = CASES },
		{ .name = "delete most", .init = many, .run = delete_most,
		  .max_cases = CASES },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

/* Another text for two values, one of them with a block: the other array is current,
 * the length is the old one. */
static void
die_in_a_replace(mproc_list *l)
{
	struct mpr_list_use u = enter(l);
	struct mproc_any text = mproc_str("a text from the dead");

	must_be(mpr_list_make_room(&u, u.len + 1), 0);
	must_be(mpr_slot_fill(u.arena, u.self, mpr_list_owner(&u),
			      &u.slots[u.len], &text), 0);
	must_be(mpr_list_link_spliced(&u, 2, 4, 1), 0);
	u.len++;
	say(&u, MPR_LIST_REPLACE, !u.root->current, u.len - 2);
	mpr_list_put(&u.root->current, u.root->index);
}

/* As before, but for what was decided. */
static void
die_before_a_replace(mproc_list *l)
{
	struct mpr_list_use u = enter(l);
	struct mproc_any text = mproc_str("a text from the dead");

	must_be(mpr_list_make_room(&u, u.len + 1), 0);
	mpr_list_put(&u.root->upto, u.len + 1);
	mpr_slot_set(&u.slots[u.len], (struct mpr_slot_words){ 0 });
	mpr_list_put(&u.root->doing, MPR_LIST_FILL);
	must_be(mpr_slot_fill(u.arena, u.self, mpr_list_owner(&u),
			      &u.slots[u.len], &text), 0);
	must_be(mpr_list_link_spliced(&u, 2, 4, 1), 0);
}

static void
six_and_replace(mproc_list *l)
{
	struct mproc_any text = mproc_str("a text from the dead");

	six(l);
	must(mproc_list_replace(l, 2, 4, &text, 1));
}

static int
pop_last(mproc_list *l)
{
	return mproc_list_pop(l, -1, NULL);
}

static void
killed_while_it_makes_good_what_one_that_died_has_left(void **state)
{
	static const struct operation ops[] = {
		{ .name = "repair a replace", .init = six,
		  .repaired = six_and_replace, .run = pop_last,
		  .die = die_in_a_replace, .max_cases = MORE_CASES },
		{ .name = "repair before a replace", .init = six,
		  .run = pop_last, .die = die_before_a_replace,
		  .max_cases = CASES },
	};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		step(*state, &ops[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_replaces),
		mpt_test(killed_while_it_deletes),
		mpt_test(killed_while_it_makes_good_what_one_that_died_has_left),
	};

	return cmocka_run_group_tests(tests, lists_setup, NULL);
}
