/* SPDX-License-Identifier: MIT */
/*
 * A client of a manager is killed after each instruction of connecting, of leaving, of
 * finding an object, and of what it does with dicts, lists, arrays and objects of a
 * registered type. Each request was carried out as a whole or not at all, the server goes
 * on with others, and forgets the client.
 */
#include "manager.h"
#include "manager_data.h"

static int64_t count; /* as the object of the registered type says it */

static int
be_server_with_type(struct mpt *t, void *arg)
{
	mproc_manager *m;

	(void)arg;
	mpt_check_int(t, mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
			.in_process = true)), 0);
	mpt_check_int(t, register_counter(m), 0);
	serve(t, m);
	return 0;
}

static int
find(mproc_manager *m)
{
	int r = find_data(m);

	return r < 0 ? r : mproc_manager_object(m, "counter", "count");
}

/*
 * Dicts.
 */

/* They are one request, of which the server lives. */
static void
set_many_check(struct scene *s, bool finished)
{
	char c = letter_at(0);

	(void)s;
	assert_true(c == 'b' || (c == 'a' && !finished));
	for (int i = 1; i < ITEMS; i++)
		assert_int_equal(letter_at(i), c);
}

static int
get_many_run(struct scene *s)
{
	struct mproc_any keys[ITEMS], values[ITEMS];
	bool there[ITEMS];
	int r;

	(void)s;
	for (int i = 0; i < ITEMS; i++)
		keys[i] = mproc_int(i);
	r = mproc_dict_get_many(objects.d, keys, ITEMS, values, there);
	for (int i = 0; i < r; i++)
		mproc_any_clear(&values[i]);
	return r == ITEMS ? 0 : r;
}

static const struct op dict_ops[] = {
	{ "dict set", dict_begin, NULL, dict_set, dict_set_check },
	{ "dict get", dict_begin, NULL, dict_get, dict_get_check },
	{ "dict pop", dict_begin, NULL, dict_pop, dict_pop_check },
	{ "dict set_many", dict_begin, NULL, dict_set_many, set_many_check },
	{ "dict get_many", dict_begin, NULL, get_many_run, dict_get_check },
};

/*
 * Lists and arrays.
 */

static void
array_begin(struct scene *s)
{
	const uint64_t zeros[ITEMS] = { 0 };

	(void)s;
	assert_int_equal(mproc_array_set(objects.a, 0, zeros, sizeof(zeros)), 0);
}

static void
array_set_check(struct scene *s, bool finished)
{
	uint64_t found[ITEMS];

	(void)s;
	assert_int_equal(mproc_array_get(objects.a, 0, found, sizeof(found)), 0);
	assert_true(found[0] == UINT64_MAX || (!found[0] && !finished));
	for (int i = 1; i < ITEMS; i++)
		assert_int_equal(found[i], found[0]);
}

static int
array_get_run(struct scene *s)
{
	uint64_t found[ITEMS];

	(void)s;
	return mproc_array_get(objects.a, 0, found, sizeof(found));
}

static void
array_get_check(struct scene *s, bool finished)
{
	uint64_t found[ITEMS];

	(void)s;
	(void)finished;
	assert_int_equal(mproc_array_get(objects.a, 0, found, sizeof(found)), 0);
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(found[i], 0);
}

static const struct op sequence_ops[] = {
	{ "list append", list_begin, NULL, list_append, list_append_check },
	{ "list pop", list_begin, NULL, list_pop, list_pop_check },
	{ "array set", array_begin, NULL, array_set, array_set_check },
	{ "array get", array_begin, NULL, array_get_run, array_get_check },
	{ "array add", array_begin, NULL, array_add, array_add_check },
};

/*
 * A registered type.
 */

static void
call_check(struct scene *s, bool finished)
{
	(void)s;
	expect_counted(&count, finished);
}

/*
 * Connections.
 */

static void
is_served(struct scene *s, bool finished)
{
	(void)s;
	(void)finished;
	assert_int_equal(set_letter(0, 'c'), 0);
	assert_int_equal(letter_at(0), 'c');
}

static int
close_run(struct scene *s)
{
	(void)s;
	mproc_manager_close(objects.m);
	return 0;
}

static int
find_run(struct scene *s)
{
	mproc_dict *d;

	(void)s;
	return mproc_manager_dict(objects.m, "new one", &d);
}

/* It is there as a whole, or nothing has the name. */
static void
find_check(struct scene *s, bool finished)
{
	void *d;
	int r = mproc_arena_find(NULL, "new one", &d, MPROC_NOWAIT);

	(void)s;
	assert_true(r == 0 || (r == -ENOENT && !finished));
	if (r < 0)
		return;
	assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_int(1)), 0);
	assert_int_equal(mproc_arena_bind(NULL, "new one", NULL), 0);
	mproc_dict_destroy(d);
}

static const struct op other_ops[] = {
	{ "call", NULL, NULL, call_run, call_check },
	{ "find", NULL, NULL, find_run, find_check },
	{ "close", NULL, NULL, close_run, is_served },
};

static const struct op connect_op = { "connect", NULL, NULL, NULL, is_served };

/* What is loaded once is there already. */
static void
connect_victim(void *arg)
{
	struct scene *s = arg;
	mproc_manager *m;

	may_fail(mproc_manager_connect(&m, s->b->address, NULL, BOUND));
	mproc_manager_close(m);
	mpt_step_begin();
	may_fail(mproc_manager_connect(&m, s->b->address, NULL, BOUND));
	mpt_step_end();
}

static void
open_data(struct scene *s, struct mpt *t)
{
	count = 0;
	open_scene(s, t, be_server_with_type, find);
	/* With its worker. */
	assert_int_equal(add(0, NULL), 0);
}

static void
close_data(struct scene *s)
{
	mproc_dict_destroy(objects.d);
	mproc_list_destroy(objects.l);
	mproc_free(objects.a);
	assert_int_equal(mproc_manager_object_destroy(objects.m, "count"), 0);
	close_scene(s);
}

static void
killed_with_a_dict(void **state)
{
	struct scene s = { .t = *state };

	open_data(&s, *state);
	step_ops(&s, dict_ops, N_OPS(dict_ops));
	close_data(&s);
}

static void
killed_with_a_list_or_array(void **state)
{
	struct scene s = { .t = *state };

	open_data(&s, *state);
	step_ops(&s, sequence_ops, N_OPS(sequence_ops));
	close_data(&s);
}

static void
killed_with_a_connection(void **state)
{
	struct scene s = { .t = *state };

	open_data(&s, *state);
	step_op(&s, &connect_op, connect_victim);
	step_ops(&s, other_ops, N_OPS(other_ops));
	close_data(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_with_a_dict),
		mpt_test(killed_with_a_list_or_array),
		mpt_test(killed_with_a_connection),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
