/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of a change of a dict that depends on
 * what is there, and of a look into it: the key has the value that it had, or the one
 * that it was to have, as if nobody had been killed.
 */
#include "table.h"

#define CASES 150 /* of each; what a table goes through is in test_dict.c */
#define N 4

static struct mproc_any
key_of(const struct change *c)
{
	return mproc_int(c->s.keys[c->it]);
}

/* Changes key @it to @to: NULL if it is to be gone. A key from N on is new. */
static void
step_change(struct mpt *t, const char *name, int (*op)(struct change *c),
	    unsigned it, const struct mproc_any *to)
{
	struct change c = { .s = { .t = t, .n = N, .max_cases = CASES },
			    .it = it, .op = op };
	struct mproc_any old_value = value_of(it);

	c.old_value = it < N ? &old_value : NULL;
	c.new_value = to;
	if (to)
		c.to = *to;
	step(&c.s, name, begin, change_victim, change_survivor);
}

static int
add(struct change *c)
{
	return mproc_dict_add(c->s.d, key_of(c), mproc_int(7), NULL);
}

static void
killed_while_it_adds(void **state)
{
	struct mproc_any ten = mproc_int(10), seven = mproc_int(7);

	step_change(*state, "add", add, 3, &ten);
	step_change(*state, "add to nothing", add, N, &seven);
}

static int
exchange(struct change *c)
{
	int r = mproc_dict_compare_exchange(c->s.d, key_of(c), c->old_value,
					    c->new_value);

	return r == 1 ? 0 : -1;
}

static int
exchange_in_vain(struct change *c)
{
	struct mproc_any other = mproc_str("another one"), to = mproc_nil();
	int r = mproc_dict_compare_exchange(c->s.d, key_of(c), &other, &to);

	return r == 0 ? 0 : -1;
}

static void
killed_while_it_exchanges(void **state)
{
	struct mproc_any text = mproc_str("a text that takes its place"),
			 same = value_of(2);

	step_change(*state, "exchange of a text", exchange, 2, &text);
	step_change(*state, "exchange of nothing", exchange, N, &text);
	step_change(*state, "exchange for nothing", exchange, 2, NULL);
	step_change(*state, "exchange that is not", exchange_in_vain, 2, &same);
}

static int
give_it(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	(void)old;
	*value = *(const struct mproc_any *)ctx;
	return 1;
}

static int
update(struct change *c)
{
	return mproc_dict_update(c->s.d, key_of(c), give_it, &c->to);
}

static void
killed_while_it_updates(void **state)
{
	struct mproc_any text = mproc_str("a text that takes its place");

	step_change(*state, "update of a text", update, 2, &text);
	step_change(*state, "update of nothing", update, N, &text);
}

static int
set_default(struct change *c)
{
	struct mproc_any got;
	int r = mproc_dict_set_default(c->s.d, key_of(c), c->to, &got);

	if (r >= 0)
		mproc_any_clear(&got);
	return r;
}

static void
killed_while_it_sets_a_default(void **state)
{
	struct mproc_any text = mproc_str("a text by default"),
			 same = value_of(2);

	step_change(*state, "default", set_default, N, &text);
	step_change(*state, "default of what is there", set_default, 2, &same);
}

static int
get(struct change *c)
{
	struct mproc_any got;
	int r = mproc_dict_get(c->s.d, key_of(c), &got);

	if (r >= 0)
		mproc_any_clear(&got);
	return r;
}

static int
go_through(struct change *c)
{
	struct mproc_cursor cursor = { { 0 } };
	struct mproc_any key, value;
	int r;

	while ((r = mproc_dict_next(c->s.d, &cursor, &key, &value)) == 0) {
		mproc_any_clear(&key);
		mproc_any_clear(&value);
	}
	return r == -ENODATA ? 0 : r;
}

static void
killed_while_it_looks(void **state)
{
	struct mproc_any same = value_of(2);

	step_change(*state, "get", get, 2, &same);
	step_change(*state, "next, to the end", go_through, 2, &same);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_adds),
		mpt_test(killed_while_it_exchanges),
		mpt_test(killed_while_it_updates),
		mpt_test(killed_while_it_sets_a_default),
		mpt_test(killed_while_it_looks),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
