/* SPDX-License-Identifier: MIT */
/*
 * Values taken for what they are wanted as: numbers, which may be added, and texts.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/any.h"

static int
of_another_kind(void)
{
	return mpr_fail(-EPROTOTYPE, "the value is of another kind");
}

int
mpr_any_as_int(const struct mproc_any *any, int64_t *ret_i)
{
	if (any->kind != MPROC_INT && any->kind != MPROC_BOOL)
		return of_another_kind();
	*ret_i = any->kind == MPROC_INT ? any->i64 : any->b;
	return 0;
}

int
mpr_any_as_float(const struct mproc_any *any, double *ret_f)
{
	if (any->kind != MPROC_FLOAT && any->kind != MPROC_INT)
		return of_another_kind();
	*ret_f = any->kind == MPROC_FLOAT ? any->f64 : (double)any->i64;
	return 0;
}

int
mpr_any_as_str(const struct mproc_any *any, size_t size, size_t *ret_len)
{
	if (any->kind != MPROC_STR)
		return of_another_kind();
	if (ret_len)
		*ret_len = any->len;
	return any->len < size ? 0 :
				 mpr_fail(-EMSGSIZE, "a text of %zu bytes and "
					  "a 0 for %zu", any->len, size);
}

static bool
is_number(const struct mproc_any *any)
{
	return any->kind == MPROC_INT || any->kind == MPROC_BOOL ||
	       any->kind == MPROC_FLOAT;
}

static int64_t
int_of(const struct mproc_any *any)
{
	return any->kind == MPROC_BOOL ? any->b : any->i64;
}

static double
float_of(const struct mproc_any *any)
{
	return any->kind == MPROC_FLOAT ? any->f64 : (double)int_of(any);
}

int
mpr_any_sum(const struct mproc_any *a, const struct mproc_any *b,
	    struct mproc_any *ret)
{
	int64_t sum;

	if (!is_number(a) || !is_number(b))
		return mpr_fail(-EPROTOTYPE, "what is to be added is no "
				"number");
	if (a->kind == MPROC_FLOAT || b->kind == MPROC_FLOAT) {
		*ret = mproc_float(float_of(a) + float_of(b));
		return 0;
	}
	if (__builtin_add_overflow(int_of(a), int_of(b), &sum))
		return mpr_fail(-EOVERFLOW, "the sum does not fit 64 bits");
	*ret = mproc_int(sum);
	return 0;
}
