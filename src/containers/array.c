/* SPDX-License-Identifier: MIT */
/*
 * Elements of values and arrays by their index, wherever the array is: at hand, as the
 * memory that it is (sync/value.c), or with a manager.
 */
#include <errno.h>
#include <string.h>

#include <mproc/value.h>

#include "base/error.h"
#include "containers/remote.h"
#include "sync/value.h"

/* Elements of an array at hand. */
struct part {
	unsigned char *at;
	size_t elem;
	size_t n;
};

/* Returns 0; MPR_REMOTE; a negative error. */
static int
look_up(const void *array, size_t *ret_elem, size_t *ret_n)
{
	int r = mpr_remote_check(MPR_NO_CELL, array);

	return r < 0 ? r : mpr_value_shape(array, ret_elem, ret_n);
}

/* Those that are @size bytes from @from on. Returns as look_up(); -EINVAL;
 * -ERANGE. */
static int
find_part(const void *array, size_t from, size_t size, struct part *ret)
{
	size_t elem, n;
	int r = look_up(array, &elem, &n);

	*ret = (struct part){ 0 };
	if (r < 0)
		return r;
	if (size % elem)
		return mpr_fail(-EINVAL, "%zu bytes of elements of %zu", size, elem);
	if (from > n || size / elem > n - from)
		return mpr_fail(-ERANGE, "%zu elements from %zu on in an array of %zu",
				size / elem, from, n);
	*ret = (struct part){
		.at = (unsigned char *)(uintptr_t)array + from * elem,
		.elem = elem,
		.n = size / elem,
	};
	return 0;
}

/* One of them, which can be changed at once. */
static int
find_one(const void *array, size_t i, size_t size, struct part *ret)
{
	int r = find_part(array, i, size, ret);

	if (r == 0 && ret->n != 1)
		return mpr_fail(-EINVAL, "%zu bytes of an element of %zu", size,
				ret->elem);
	return r;
}

/* Blocks begin at multiples of 64, so such elements are aligned. */
static bool
is_atomic(const struct part *part)
{
	return part->elem == 1 || part->elem == 2 || part->elem == 4 ||
	       part->elem == 8;
}

/* A row of bytes that came; the caller's buffer has @size of them. */
static int
take_bytes(struct mproc_any *bytes, void *ret, size_t size)
{
	int r = 0;

	if (bytes->kind != MPROC_BYTES || bytes->len != size)
		r = mpr_fail(-EBADMSG, "elements that are none");
	else if (size && ret)
		memcpy(ret, bytes->ptr, size);
	mproc_any_clear(bytes);
	return r;
}

static bool
fits(size_t i, size_t size)
{
	return i <= INT64_MAX && size <= INT64_MAX;
}

static int
get_elsewhere(const void *array, size_t from, void *ret, size_t size)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_ARRAY_GET,
		.n_args = 2,
		.args = { mproc_int((int64_t)from), mproc_int((int64_t)size) },
		.n_rets = 1,
	};
	int r = fits(from, size) ? mpr_remote_carry(array, &call) :
				   mpr_fail(-ERANGE, "no array is that long");

	return r < 0 ? r : take_bytes(&call.rets[0], ret, size);
}

int
mproc_array_get(const void *array, size_t from, void *ret, size_t size)
{
	struct part part;
	int r;

	if (!ret && size)
		return mpr_fail(-EINVAL, "ret is NULL");
	r = find_part(array, from, size, &part);
	if (r < 0)
		return r == MPR_REMOTE ? get_elsewhere(array, from, ret, size) : r;
	if (!is_atomic(&part)) {
		if (size)
			memcpy(ret, part.at, size);
		return 0;
	}
	for (size_t i = 0; i < part.n; i++)
		(void)mproc_atomic_load(part.at + i * part.elem, part.elem,
					(unsigned char *)ret + i * part.elem);
	return 0;
}

static int
set_elsewhere(void *array, size_t from, const void *values, size_t size)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_ARRAY_SET,
		.n_args = 2,
		.args = { mproc_int((int64_t)from), mproc_bytes(values, size) },
	};
	int r = fits(from, size) ? mpr_remote_carry(array, &call) :
				   mpr_fail(-ERANGE, "no array is that long");

	return r < 0 ? r : 0;
}

int
mproc_array_set(void *array, size_t from, const void *values, size_t size)
{
	struct part part;
	int r;

	if (!values && size)
		return mpr_fail(-EINVAL, "values is NULL");
	r = find_part(array, from, size, &part);
	if (r < 0)
		return r == MPR_REMOTE ? set_elsewhere(array, from, values, size) : r;
	if (!is_atomic(&part)) {
		if (size)
			memcpy(part.at, values, size);
		return 0;
	}
	for (size_t i = 0; i < part.n; i++)
		(void)mproc_atomic_store(part.at + i * part.elem, part.elem,
					 (const unsigned char *)values +
						 i * part.elem);
	return 0;
}

/* @n is what is added. */
static int
add_elsewhere(void *array, size_t i, size_t size, struct mproc_any n, void *ret_before)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_ARRAY_ADD,
		.n_args = 3,
		.args = { mproc_int((int64_t)i), mproc_int((int64_t)size), n },
		.n_rets = 1,
	};
	int r = fits(i, size) ? mpr_remote_carry(array, &call) :
				mpr_fail(-ERANGE, "no array is that long");

	return r < 0 ? r : take_bytes(&call.rets[0], ret_before, size);
}

int
mproc_array_add(void *array, size_t i, size_t size, int64_t n, void *ret_before)
{
	struct part part;
	int r = find_one(array, i, size, &part);

	if (r < 0)
		return r == MPR_REMOTE ? add_elsewhere(array, i, size, mproc_int(n),
						       ret_before) : r;
	return mproc_atomic_add(part.at, size, n, ret_before);
}

int
mproc_array_add_float(void *array, size_t i, size_t size, double n, void *ret_before)
{
	struct part part;
	int r = find_one(array, i, size, &part);

	if (r < 0)
		return r == MPR_REMOTE ? add_elsewhere(array, i, size, mproc_float(n),
						       ret_before) : r;
	return mproc_atomic_add_float(part.at, size, n, ret_before);
}

static int
exchange_elsewhere(void *array, size_t i, size_t size, void *expected,
		   const void *value)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_ARRAY_EXCHANGE,
		.n_args = 3,
		.args = { mproc_int((int64_t)i), mproc_bytes(expected, size),
			  mproc_bytes(value, size) },
		.n_rets = 1,
	};
	int result = fits(i, size) ? mpr_remote_carry(array, &call) :
				     mpr_fail(-ERANGE, "no array is that long"), r;

	if (result < 0)
		return result;
	r = take_bytes(&call.rets[0], result ? NULL : expected, size);
	return r < 0 ? r : result != 0;
}

int
mproc_array_compare_exchange(void *array, size_t i, size_t size, void *expected,
			     const void *value)
{
	struct part part;
	int r;

	if (!expected || !value)
		return mpr_fail(-EINVAL, "expected or value is NULL");
	r = find_one(array, i, size, &part);
	if (r < 0)
		return r == MPR_REMOTE ? exchange_elsewhere(array, i, size, expected,
							    value) : r;
	return mproc_atomic_compare_exchange(part.at, size, expected, value);
}
