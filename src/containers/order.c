/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "containers/any.h"
#include "containers/order.h"

/* Below, at or above: as floating point numbers they could be equal and are not. */
static int
compare_int(int64_t i, double d)
{
	const double low = -9223372036854775808.0, high = 9223372036854775808.0;
	int64_t whole;

	if (d >= high)
		return -1;
	if (d < low)
		return 1;
	whole = (int64_t)d;
	if (i != whole)
		return i < whole ? -1 : 1;
	/* The same, but for what lies behind the point. */
	return (d > (double)whole) ? -1 : (d < (double)whole);
}

static bool
is_less_number(const struct mproc_any *a, const struct mproc_any *b)
{
	if (a->kind == MPROC_INT && b->kind == MPROC_INT)
		return a->i64 < b->i64;
	if (a->kind == MPROC_FLOAT && b->kind == MPROC_FLOAT)
		return a->f64 < b->f64;
	/* The comparison with itself is false of what is no number. */
	if (a->kind == MPROC_INT)
		return b->f64 <= b->f64 && compare_int(a->i64, b->f64) < 0;
	return a->f64 <= a->f64 && compare_int(b->i64, a->f64) > 0;
}

static bool
is_less_bytes(const struct mproc_any *a, const struct mproc_any *b)
{
	size_t len = a->len < b->len ? a->len : b->len;
	int order = len ? memcmp(a->ptr, b->ptr, len) : 0;

	return order < 0 || (order == 0 && a->len < b->len);
}

static bool
is_number(const struct mproc_any *any)
{
	return any->kind == MPROC_INT || any->kind == MPROC_FLOAT;
}

int
mpr_any_is_less(const struct mproc_any *a, const struct mproc_any *b, bool *ret)
{
	struct mproc_any x = *a, y = *b;

	mpr_any_normalise(&x);
	mpr_any_normalise(&y);
	if (is_number(&x) && is_number(&y))
		*ret = is_less_number(&x, &y);
	else if (x.kind == y.kind &&
		 (x.kind == MPROC_STR || x.kind == MPROC_BYTES))
		*ret = is_less_bytes(&x, &y);
	else
		return mpr_fail(-EPROTOTYPE, "values of kind %d and %d have no "
				"order", (int)a->kind, (int)b->kind);
	return 0;
}
