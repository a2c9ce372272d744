/* SPDX-License-Identifier: MIT */
/*
 * What tests of dicts and their like share: values that can be told from each other,
 * and from torn ones.
 */
#ifndef API_DICT_H
#define API_DICT_H

#include <stdio.h>

#include "sync.h"

#define TEXT_MAX 300

/* A text that says what it is: "what number ", then as many letters as that gives. */
static inline size_t
make_text(char buf[TEXT_MAX + 1], const char *what, unsigned number)
{
	size_t len = (size_t)snprintf(buf, TEXT_MAX + 1, "%s %u ", what, number);
	size_t more = number * 7 % (TEXT_MAX - 40);

	memset(buf + len, 'a' + (int)(number % 26), more);
	buf[len + more] = '\0';
	return len + more;
}

/* Whether it is one of @what, whatever its number is. */
static inline bool
is_text(const struct mproc_any *any, const char *what)
{
	char whole[TEXT_MAX + 1];
	size_t len = strlen(what);

	if (any->kind != MPROC_STR || any->len > TEXT_MAX || any->len < len)
		return false;
	len = make_text(whole, what, (unsigned)strtoul(
				(const char *)any->ptr + len, NULL, 10));
	return len == any->len && memcmp(whole, any->ptr, len + 1) == 0;
}

static inline bool
same(const struct mproc_any *a, const struct mproc_any *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case MPROC_NIL:
		return true;
	case MPROC_BOOL:
		return a->b == b->b;
	case MPROC_INT:
	case MPROC_FLOAT:
		return a->i64 == b->i64; /* all bits */
	case MPROC_REF:
		return a->ptr == b->ptr;
	case MPROC_STR:
	case MPROC_BYTES:
		break;
	}
	return a->len == b->len && (!a->len ||
				    memcmp(a->ptr, b->ptr, a->len) == 0);
}

/* Of tests of dicts that are somewhere else. */
static mproc_dict *(*make_dict)(void);

static inline mproc_dict *
new_dict(void)
{
	mproc_dict *d;

	if (make_dict)
		return make_dict();
	assert_int_equal(mproc_dict_create(&d, NULL), 0);
	return d;
}

static inline void
expect_there(mproc_dict *d, struct mproc_any key, struct mproc_any value)
{
	struct mproc_any got;

	assert_int_equal(mproc_dict_get(d, key, &got), 0);
	assert_true(same(&got, &value));
	mproc_any_clear(&got);
}

static inline void
expect_none(mproc_dict *d, struct mproc_any key)
{
	struct mproc_any got;

	assert_int_equal(mproc_dict_get(d, key, &got), -ENOENT);
	assert_int_equal(got.kind, MPROC_NIL);
	assert_int_equal(mproc_dict_has(d, key), 0);
}

/* Group setup: the dict's root stays, and so do the blocks of cells. */
static inline int
with_dict(void **state)
{
	mproc_dict *d;

	if (with_arena(state) < 0 || mproc_dict_create(&d, NULL) < 0)
		return -1;
	mproc_dict_destroy(d);
	return 0;
}

#endif
