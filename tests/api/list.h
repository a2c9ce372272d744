/* SPDX-License-Identifier: MIT */
/*
 * Lists as tests see them.
 */
#ifndef API_LIST_H
#define API_LIST_H

#include "common.h"

static inline bool
is_same(const struct mproc_any *a, const struct mproc_any *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case MPROC_INT:
		return a->i64 == b->i64;
	case MPROC_FLOAT:
		return memcmp(&a->f64, &b->f64, sizeof(a->f64)) == 0;
	case MPROC_BOOL:
		return a->b == b->b;
	case MPROC_STR:
	case MPROC_BYTES:
		return a->len == b->len &&
		       (!a->len || memcmp(a->ptr, b->ptr, a->len) == 0);
	case MPROC_REF:
		return a->ptr == b->ptr;
	case MPROC_NIL:
		break;
	}
	return true;
}

/* Of tests of lists that are somewhere else. */
static mproc_list *(*make_list)(void);

/* A list with nothing in it. */
static inline mproc_list *
new_list(void)
{
	mproc_list *l = NULL;

	if (make_list)
		return make_list();
	assert_int_equal(mproc_list_create(&l, NULL), 0);
	assert_non_null(l);
	return l;
}

/* Whether @value is at @index. */
static inline bool
has_at(mproc_list *l, int64_t index, struct mproc_any value)
{
	struct mproc_any any;
	bool same;

	if (mproc_list_get(l, index, &any) != 0)
		return false;
	same = is_same(&any, &value);
	mproc_any_clear(&any);
	return same;
}

/* Whether the list is that, and nothing more. */
static inline bool
is_list(mproc_list *l, const struct mproc_any *values, size_t n)
{
	struct mproc_any any;

	if (mproc_list_len(l) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!has_at(l, (int64_t)i, values[i]))
			return false;
	return mproc_list_get(l, (int64_t)n, &any) == -ERANGE &&
	       mproc_list_get(l, -(int64_t)n - 1, &any) == -ERANGE;
}

/* Values at the end of a list. */
static inline void
add_all(mproc_list *l, const struct mproc_any *values, size_t n)
{
	assert_int_equal(mproc_list_extend(l, values, n), 0);
}

#define ADD(l, ...)                                                           \
	do {                                                                  \
		const struct mproc_any values_[] = { __VA_ARGS__ };           \
                                                                              \
		add_all(l, values_, sizeof(values_) / sizeof(values_[0]));    \
	} while (0)

static inline mproc_list *
list_with(const struct mproc_any *values, size_t n)
{
	mproc_list *l = new_list();

	add_all(l, values, n);
	return l;
}

#define LIST(...)                                                             \
	list_with((const struct mproc_any[]){ __VA_ARGS__ },                  \
		  sizeof((const struct mproc_any[]){ __VA_ARGS__ }) /         \
			  sizeof(struct mproc_any))

#define MIXED 5

/* Of a few values. Some are long enough to lie in a block. */
static inline struct mproc_any
old_value(int i)
{
	static const char *const texts[MIXED] = {
		"the first of the texts that were there", "short", NULL,
		"the fourth of the texts that were there", NULL,
	};

	return texts[i] ? mproc_str(texts[i]) : mproc_int(i);
}

static inline mproc_list *
list_of(int n)
{
	struct mproc_any values[MIXED];

	for (int i = 0; i < n; i++)
		values[i] = old_value(i);
	return list_with(values, (size_t)n);
}

#define expect_list(l, ...)                                                   \
	do {                                                                  \
		const struct mproc_any values_[] = { __VA_ARGS__ };           \
                                                                              \
		assert_true(is_list(l, values_,                               \
				    sizeof(values_) / sizeof(values_[0])));   \
	} while (0)

#endif
