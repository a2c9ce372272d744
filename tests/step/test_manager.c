/* SPDX-License-Identifier: MIT */
/*
 * A client of a manager is killed after each instruction of connecting, of leaving, of
 * finding an object, and of what it does with dicts, lists, arrays and objects of a
 * registered type. Each request was carried out as a whole or not at all, the server goes
 * on with others, and forgets the client.
 */
#include "letters.h"
#include "manager.h"

enum { ITEMS = 3 };

/* Found by the test and by each victim. */
static struct {
	mproc_dict *d;
	mproc_list *l;
	uint64_t *a;
} objects;

/* As the object of the registered type says it; what was done stays done. */
static int64_t count;

static int
add_one(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	int64_t *sum = state;

	*sum += n ? args[0].i64 : 0;
	*ret = mproc_int(*sum);
	return 0;
}

static int
be_server_with_type(struct mpt *t, void *arg)
{
	static const struct mproc_type_method methods[] = {
		{ "add", "|i", add_one },
	};
	mproc_manager *m;

	(void)arg;
	mpt_check_int(t, mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
			.in_process = true)), 0);
	mpt_check_int(t, mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "counter", .state_size = sizeof(int64_t),
			.methods = methods, .n_methods = 1, .workers = 1)), 0);
	serve(t, m);
	return 0;
}

static void
find(struct scene *s)
{
	void *a;

	mpt_check_int(s->t, mproc_manager_dict(s->m, "dict", &objects.d), 0);
	mpt_check_int(s->t, mproc_manager_list(s->m, "list", &objects.l), 0);
	mpt_check_int(s->t, mproc_manager_array(s->m, "array", sizeof(uint64_t), ITEMS,
						NULL, &a), 0);
	mpt_check_int(s->t, mproc_manager_object(s->m, "counter", "count"), 0);
	objects.a = a;
}

/* Under the key @i; 0 if there is nothing. */
static char
letter_at(int64_t i)
{
	struct mproc_any any;
	int r = mproc_dict_get(objects.d, mproc_int(i), &any);

	if (r < 0)
		assert_int_equal(r, -ENOENT);
	return r < 0 ? 0 : letter_of(&any);
}

static void
set_letter(int64_t i, char c)
{
	char text[LEN + 1];

	assert_int_equal(mproc_dict_set(objects.d, mproc_int(i), text_of(text, c)), 0);
}

/*
 * Dicts.
 */

static void
dict_begin(struct scene *s)
{
	(void)s;
	for (int i = 0; i < ITEMS; i++)
		set_letter(i, 'a');
}

static void
set_run(struct scene *s)
{
	char text[LEN + 1];

	(void)s;
	may_fail(mproc_dict_set(objects.d, mproc_int(1), text_of(text, 'b')));
}

static void
set_check(struct scene *s, bool finished)
{
	char c = letter_at(1);

	(void)s;
	assert_true(c == 'b' || (c == 'a' && !finished));
	assert_int_equal(mproc_dict_len(objects.d), ITEMS);
}

static void
get_run(struct scene *s)
{
	struct mproc_any any;

	(void)s;
	may_fail(mproc_dict_get(objects.d, mproc_int(1), &any));
	mproc_any_clear(&any);
}

static void
same_check(struct scene *s, bool finished)
{
	(void)s;
	(void)finished;
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(letter_at(i), 'a');
	assert_int_equal(mproc_dict_len(objects.d), ITEMS);
}

static void
pop_run(struct scene *s)
{
	struct mproc_any any;

	(void)s;
	may_fail(mproc_dict_pop(objects.d, mproc_int(1), &any));
	mproc_any_clear(&any);
}

static void
pop_check(struct scene *s, bool finished)
{
	char c = letter_at(1);

	(void)s;
	assert_true(!c || (c == 'a' && !finished));
	assert_int_equal(mproc_dict_len(objects.d), c ? ITEMS : ITEMS - 1);
	set_letter(1, 'a');
}

static void
set_many_run(struct scene *s)
{
	struct mproc_dict_item items[ITEMS];
	char text[LEN + 1];

	(void)s;
	text_of(text, 'b');
	for (int i = 0; i < ITEMS; i++)
		items[i] = (struct mproc_dict_item){ mproc_int(i), mproc_str(text) };
	must_be(mproc_dict_set_many(objects.d, items, ITEMS), ITEMS);
}

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

static void
get_many_run(struct scene *s)
{
	struct mproc_any keys[ITEMS], values[ITEMS];
	bool there[ITEMS];

	(void)s;
	for (int i = 0; i < ITEMS; i++)
		keys[i] = mproc_int(i);
	must_be(mproc_dict_get_many(objects.d, keys, ITEMS, values, there),
		ITEMS);
	for (int i = 0; i < ITEMS; i++)
		mproc_any_clear(&values[i]);
}

static const struct op dict_ops[] = {
	{ "dict set", dict_begin, NULL, set_run, set_check },
	{ "dict get", dict_begin, NULL, get_run, same_check },
	{ "dict pop", dict_begin, NULL, pop_run, pop_check },
	{ "dict set_many", dict_begin, NULL, set_many_run, set_many_check },
	{ "dict get_many", dict_begin, NULL, get_many_run, same_check },
};

/*
 * Lists and arrays.
 */

static void
list_begin(struct scene *s)
{
	char text[LEN + 1];

	(void)s;
	assert_int_equal(mproc_list_clear(objects.l), 0);
	assert_int_equal(mproc_list_append(objects.l, text_of(text, 'a')), 0);
}

static void
append_run(struct scene *s)
{
	char text[LEN + 1];

	(void)s;
	may_fail(mproc_list_append(objects.l, text_of(text, 'b')));
}

static char
letter_in_list(int64_t i)
{
	struct mproc_any any;

	assert_int_equal(mproc_list_get(objects.l, i, &any), 0);
	return letter_of(&any);
}

static void
append_check(struct scene *s, bool finished)
{
	size_t len = mproc_list_len(objects.l);

	(void)s;
	assert_in_range(len, finished ? 2 : 1, 2);
	assert_int_equal(letter_in_list(0), 'a');
	if (len == 2)
		assert_int_equal(letter_in_list(1), 'b');
}

static void
list_pop_run(struct scene *s)
{
	struct mproc_any any;

	(void)s;
	may_fail(mproc_list_pop(objects.l, -1, &any));
	mproc_any_clear(&any);
}

static void
list_pop_check(struct scene *s, bool finished)
{
	size_t len = mproc_list_len(objects.l);

	(void)s;
	assert_in_range(len, 0, finished ? 0 : 1);
	if (len)
		assert_int_equal(letter_in_list(0), 'a');
	assert_int_equal(mproc_list_clear(objects.l), 0);
}

static void
array_begin(struct scene *s)
{
	const uint64_t zeros[ITEMS] = { 0 };

	(void)s;
	assert_int_equal(mproc_array_set(objects.a, 0, zeros, sizeof(zeros)), 0);
}

static void
array_set_run(struct scene *s)
{
	uint64_t ones[ITEMS];

	(void)s;
	memset(ones, 0xff, sizeof(ones));
	may_fail(mproc_array_set(objects.a, 0, ones, sizeof(ones)));
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

static void
array_get_run(struct scene *s)
{
	uint64_t found[ITEMS];

	(void)s;
	may_fail(mproc_array_get(objects.a, 0, found, sizeof(found)));
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

static void
array_add_run(struct scene *s)
{
	(void)s;
	may_fail(mproc_array_add(objects.a, 1, sizeof(uint64_t), 5, NULL));
}

static void
array_add_check(struct scene *s, bool finished)
{
	uint64_t found[ITEMS];

	(void)s;
	assert_int_equal(mproc_array_get(objects.a, 0, found, sizeof(found)), 0);
	assert_true(found[1] == 5 || (!found[1] && !finished));
	assert_int_equal(found[0] + found[2], 0);
}

static const struct op sequence_ops[] = {
	{ "list append", list_begin, NULL, append_run, append_check },
	{ "list pop", list_begin, NULL, list_pop_run, list_pop_check },
	{ "array set", array_begin, NULL, array_set_run, array_set_check },
	{ "array get", array_begin, NULL, array_get_run, array_get_check },
	{ "array add", array_begin, NULL, array_add_run, array_add_check },
};

/*
 * A registered type.
 */

static void
call_run(struct scene *s)
{
	const struct mproc_any one = mproc_int(1);

	may_fail(mproc_manager_call(s->m, "count", "add", &one, 1, NULL, BOUND));
}

/* Calls of one object run as they came, so this one behind the victim's. */
static void
call_check(struct scene *s, bool finished)
{
	struct mproc_any now;

	assert_int_equal(mproc_manager_call(s->m, "count", "add", NULL, 0, &now, BOUND),
			 0);
	assert_int_equal(now.kind, MPROC_INT);
	assert_in_range(now.i64, count + finished, count + 1);
	count = now.i64;
}

/*
 * Connections.
 */

static void
is_served(struct scene *s, bool finished)
{
	(void)s;
	(void)finished;
	set_letter(0, 'c');
	assert_int_equal(letter_at(0), 'c');
}

static void
close_run(struct scene *s)
{
	mproc_manager_close(s->m);
}

static void
find_run(struct scene *s)
{
	mproc_dict *d;

	may_fail(mproc_manager_dict(s->m, "new one", &d));
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
	const struct mproc_any none = mproc_int(0);

	count = 0;
	open_scene(s, t, be_server_with_type, find);
	/* With its worker. */
	assert_int_equal(mproc_manager_call(s->m, "count", "add", &none, 1, NULL, BOUND),
			 0);
}

static void
close_data(struct scene *s)
{
	mproc_dict_destroy(objects.d);
	mproc_list_destroy(objects.l);
	mproc_free(objects.a);
	assert_int_equal(mproc_manager_object_destroy(s->m, "count"), 0);
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

static int
setup(void **state)
{
	(void)state;
	return mproc_arena_default() ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_with_a_dict),
		mpt_test(killed_with_a_list_or_array),
		mpt_test(killed_with_a_connection),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
