/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "containers/any.h"

extern inline struct mproc_any mproc_nil(void);
extern inline struct mproc_any mproc_int(int64_t i);
extern inline struct mproc_any mproc_float(double d);
extern inline struct mproc_any mproc_bool(bool b);
extern inline struct mproc_any mproc_bytes(const void *p, size_t n);
extern inline struct mproc_any mproc_ref(const void *object);

struct mproc_any
mproc_str(const char *s)
{
	/* NULL with a length: mpr_any_check() refuses it. */
	struct mproc_any any = mproc_bytes(s, s ? strlen(s) : SIZE_MAX);

	any.kind = MPROC_STR;
	return any;
}

void
mproc_any_clear(struct mproc_any *any)
{
	if (!any)
		return;
	/* Ours, and so never const. */
	if (any->owned)
		free((void *)(uintptr_t)any->ptr);
	*any = mproc_nil();
}

static int
check_bytes(const mproc_arena *a, const struct mproc_any *any)
{
	if (!any->ptr && any->len)
		return mpr_fail(-EINVAL, "a text or bytes at NULL");
	if (any->len > a->shmem.size)
		return mpr_fail(-ENOMEM, "a value of %zu bytes in an arena of "
				"%zu", any->len, a->shmem.size);
	return 0;
}

int
mpr_any_check(const mproc_arena *a, const struct mproc_any *any)
{
	if (!any)
		return mpr_fail(-EINVAL, "a value is NULL");
	switch (any->kind) {
	case MPROC_NIL:
	case MPROC_INT:
	case MPROC_FLOAT:
	case MPROC_BOOL:
		return 0;
	case MPROC_STR:
	case MPROC_BYTES:
		return check_bytes(a, any);
	case MPROC_REF:
		return mpr_arena_has(a, mpr_arena_offset(a, any->ptr), 1) ?
			       0 : mpr_fail(-EFAULT, "%p lies not in the arena "
					    "of the container", any->ptr);
	}
	return mpr_fail(-EINVAL, "a value of kind %d", (int)any->kind);
}

static bool
has_bytes(const struct mproc_any *any)
{
	return any->kind == MPROC_STR || any->kind == MPROC_BYTES;
}

uint64_t
mpr_any_meta(const struct mproc_any *any)
{
	return mpr_meta(any->kind, has_bytes(any) ? any->len : 0);
}

uint64_t
mpr_any_word(const mproc_arena *a, const struct mproc_any *any)
{
	uint64_t word = 0;

	switch (any->kind) {
	case MPROC_INT:
		return (uint64_t)any->i64;
	case MPROC_FLOAT:
		memcpy(&word, &any->f64, sizeof(word));
		return word;
	case MPROC_BOOL:
		return any->b;
	case MPROC_REF:
		return mpr_arena_offset(a, any->ptr);
	case MPROC_NIL:
	case MPROC_STR:
	case MPROC_BYTES:
		break;
	}
	return 0;
}

static int
copy_bytes(uint64_t meta, const void *bytes, struct mproc_any *ret)
{
	size_t len = mpr_meta_len(meta);
	char *copy = len < SIZE_MAX ? mpr_malloc(len + 1) : NULL;

	if (!copy)
		return mpr_fail(-ENOMEM, "no memory for a value of %zu bytes",
				len);
	if (len)
		memcpy(copy, bytes, len);
	copy[len] = '\0';
	*ret = mproc_bytes(copy, len);
	ret->kind = mpr_meta_kind(meta) == MPROC_STR ? MPROC_STR : MPROC_BYTES;
	ret->owned = 1;
	return 0;
}

int
mpr_any_copy(const mproc_arena *a, uint64_t meta, uint64_t word,
	     const void *bytes, struct mproc_any *ret)
{
	double d;

	if (!mpr_meta_is_sound(meta))
		return mpr_fail(-EBADMSG, "a value in shared memory is of no "
				"kind");
	switch (mpr_meta_kind(meta)) {
	case MPROC_NIL:
		*ret = mproc_nil();
		return 0;
	case MPROC_INT:
		*ret = mproc_int((int64_t)word);
		return 0;
	case MPROC_FLOAT:
		memcpy(&d, &word, sizeof(d));
		*ret = mproc_float(d);
		return 0;
	case MPROC_BOOL:
		*ret = mproc_bool(word != 0);
		return 0;
	case MPROC_REF:
		if (!mpr_arena_has(a, word, 1))
			return mpr_fail(-EBADMSG, "a reference in shared memory "
					"leads out of it");
		*ret = mproc_ref(mpr_arena_at(a, word));
		return 0;
	}
	return copy_bytes(meta, bytes, ret);
}

void
mpr_any_normalise(struct mproc_any *any)
{
	/* What an integer can be lies between these, the lower one included. */
	const double low = -9223372036854775808.0, high = 9223372036854775808.0;

	if (any->kind == MPROC_BOOL) {
		*any = mproc_int(any->b);
	} else if (any->kind == MPROC_FLOAT && any->f64 >= low &&
		   any->f64 < high) {
		int64_t i = (int64_t)any->f64;

		if (!((double)i < any->f64 || (double)i > any->f64))
			*any = mproc_int(i);
	}
}

bool
mpr_any_equal(const struct mproc_any *a, const struct mproc_any *b)
{
	struct mproc_any x = *a, y = *b;

	mpr_any_normalise(&x);
	mpr_any_normalise(&y);
	if (x.kind != y.kind)
		return false;
	switch (x.kind) {
	case MPROC_INT:
		return x.i64 == y.i64;
	case MPROC_FLOAT:
		return x.f64 >= y.f64 && x.f64 <= y.f64;
	case MPROC_STR:
	case MPROC_BYTES:
		return x.len == y.len &&
		       (!x.len || memcmp(x.ptr, y.ptr, x.len) == 0);
	case MPROC_REF:
		return x.ptr == y.ptr;
	case MPROC_NIL:
	case MPROC_BOOL:
		break;
	}
	return true;
}

bool
mpr_any_same(const struct mproc_any *a, const struct mproc_any *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case MPROC_NIL:
		return true;
	case MPROC_BOOL:
		return a->b == b->b;
	case MPROC_INT:
		return a->i64 == b->i64;
	case MPROC_FLOAT:
		return memcmp(&a->f64, &b->f64, sizeof(a->f64)) == 0;
	case MPROC_STR:
	case MPROC_BYTES:
		return a->len == b->len &&
		       (!a->len || memcmp(a->ptr, b->ptr, a->len) == 0);
	case MPROC_REF: /* the other side has not seen which */
		break;
	}
	return true;
}
