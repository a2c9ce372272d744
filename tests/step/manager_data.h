/* SPDX-License-Identifier: MIT */
/*
 * Requests for dicts, lists, arrays and objects of a registered type, and what becomes of
 * these: see manager_objects.h.
 */
#ifndef STEP_MANAGER_DATA_H
#define STEP_MANAGER_DATA_H

#include "letters.h"
#include "manager_objects.h"

static inline int
find_data(mproc_manager *m)
{
	void *a;
	int r = mproc_manager_dict(m, "dict", &objects.d);

	if (r == 0)
		r = mproc_manager_list(m, "list", &objects.l);
	if (r == 0)
		r = mproc_manager_array(m, "array", sizeof(uint64_t), ITEMS, NULL, &a);
	if (r == 0)
		objects.a = a;
	return r;
}

/* Under the key @i; 0 if there is nothing. */
static inline char
letter_at(int64_t i)
{
	struct mproc_any any;
	int r = mproc_dict_get(objects.d, mproc_int(i), &any);

	if (r < 0)
		assert_int_equal(r, -ENOENT);
	return r < 0 ? 0 : letter_of(&any);
}

static inline int
set_letter(int64_t i, char c)
{
	char text[LEN + 1];

	return mproc_dict_set(objects.d, mproc_int(i), text_of(text, c));
}

static inline void
dict_begin(struct scene *s)
{
	(void)s;
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(set_letter(i, 'a'), 0);
}

static inline int
dict_set(struct scene *s)
{
	(void)s;
	return set_letter(1, 'b');
}

static inline void
dict_set_check(struct scene *s, bool finished)
{
	char c = letter_at(1);

	(void)s;
	assert_true(c == 'b' || (c == 'a' && !finished));
	assert_int_equal(mproc_dict_len(objects.d), ITEMS);
}

static inline int
dict_get(struct scene *s)
{
	struct mproc_any any;
	int r = mproc_dict_get(objects.d, mproc_int(1), &any);

	(void)s;
	if (r == 0)
		mproc_any_clear(&any);
	return r;
}

static inline void
dict_get_check(struct scene *s, bool finished)
{
	(void)s;
	(void)finished;
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(letter_at(i), 'a');
	assert_int_equal(mproc_dict_len(objects.d), ITEMS);
}

static inline int
dict_pop(struct scene *s)
{
	struct mproc_any any;
	int r = mproc_dict_pop(objects.d, mproc_int(1), &any);

	(void)s;
	if (r == 0)
		mproc_any_clear(&any);
	return r;
}

static inline void
dict_pop_check(struct scene *s, bool finished)
{
	char c = letter_at(1);

	(void)s;
	assert_true(!c || (c == 'a' && !finished));
	assert_int_equal(mproc_dict_len(objects.d), c ? ITEMS : ITEMS - 1);
	assert_int_equal(set_letter(1, 'a'), 0);
}

static inline int
dict_set_many(struct scene *s)
{
	struct mproc_dict_item items[ITEMS];
	char text[LEN + 1];
	int r;

	(void)s;
	text_of(text, 'b');
	for (int i = 0; i < ITEMS; i++)
		items[i] = (struct mproc_dict_item){ mproc_int(i), mproc_str(text) };
	r = mproc_dict_set_many(objects.d, items, ITEMS);
	return r == ITEMS ? 0 : r;
}

static inline void
list_begin(struct scene *s)
{
	char text[LEN + 1];

	(void)s;
	assert_int_equal(mproc_list_clear(objects.l), 0);
	assert_int_equal(mproc_list_append(objects.l, text_of(text, 'a')), 0);
}

static inline int
list_append(struct scene *s)
{
	char text[LEN + 1];

	(void)s;
	return mproc_list_append(objects.l, text_of(text, 'b'));
}

static inline char
letter_in_list(int64_t i)
{
	struct mproc_any any;

	assert_int_equal(mproc_list_get(objects.l, i, &any), 0);
	return letter_of(&any);
}

static inline void
list_append_check(struct scene *s, bool finished)
{
	size_t len = mproc_list_len(objects.l);

	(void)s;
	assert_in_range(len, finished ? 2 : 1, 2);
	assert_int_equal(letter_in_list(0), 'a');
	if (len == 2)
		assert_int_equal(letter_in_list(1), 'b');
}

static inline int
list_pop(struct scene *s)
{
	struct mproc_any any;
	int r = mproc_list_pop(objects.l, -1, &any);

	(void)s;
	if (r == 0)
		mproc_any_clear(&any);
	return r;
}

static inline void
list_pop_check(struct scene *s, bool finished)
{
	size_t len = mproc_list_len(objects.l);

	(void)s;
	assert_in_range(len, 0, !finished);
	if (len)
		assert_int_equal(letter_in_list(0), 'a');
	assert_int_equal(mproc_list_clear(objects.l), 0);
}

static inline int
array_set(struct scene *s)
{
	uint64_t ones[ITEMS];

	(void)s;
	memset(ones, 0xff, sizeof(ones));
	return mproc_array_set(objects.a, 0, ones, sizeof(ones));
}

static inline int
array_add(struct scene *s)
{
	(void)s;
	return mproc_array_add(objects.a, 1, sizeof(uint64_t), 5, NULL);
}

static inline void
array_add_check(struct scene *s, bool finished)
{
	uint64_t found[ITEMS];

	(void)s;
	assert_int_equal(mproc_array_get(objects.a, 0, found, sizeof(found)), 0);
	assert_true(found[1] == 5 || (!found[1] && !finished));
	assert_int_equal(found[0] + found[2], 0);
}

/*
 * An object "count" of a registered type "counter", whose method "add" adds. A method is
 * one store, so that there is nothing to put in order.
 */

static inline int
counter_add(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	int64_t *sum = state;

	(void)n;
	*sum += args[0].i64;
	*ret = mproc_int(*sum);
	return 0;
}

static inline int
counter_is_in_order(void *state)
{
	(void)state;
	return 0;
}

static inline int
register_counter(mproc_manager *m)
{
	static const struct mproc_type_method methods[] = {
		{ "add", "i", counter_add },
	};

	return mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "counter", .state_size = sizeof(int64_t),
			.methods = methods, .n_methods = 1, .workers = 1,
			.recover = counter_is_in_order));
}

static inline int
add(int64_t n, struct mproc_any *ret)
{
	const struct mproc_any arg = mproc_int(n);

	return mproc_manager_call(objects.m, "count", "add", &arg, 1, ret, BOUND);
}

static inline int
call_run(struct scene *s)
{
	(void)s;
	return add(1, NULL);
}

/* What was done to @count stays done. Calls of one object run as they came, so this one
 * behind the victim's. */
static inline void
expect_counted(int64_t *count, bool finished)
{
	struct mproc_any now;

	assert_int_equal(add(0, &now), 0);
	assert_int_equal(now.kind, MPROC_INT);
	assert_in_range(now.i64, *count + finished, *count + 1);
	*count = now.i64;
}

#endif
