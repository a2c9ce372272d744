/* SPDX-License-Identifier: MIT */
/*
 * Bytes from a stranger, given to what reads requests and answers of managers. Used by
 * test_manager.c and, with libFuzzer, by fuzz_manager.c.
 */
#ifndef HOSTILE_MANAGER_H
#define HOSTILE_MANAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "manager/codec.h"

#define MANAGER_LIMIT 4096

static inline bool
manager_lies_in(const struct mproc_any *any, const uint8_t *bytes, size_t n)
{
	const uint8_t *at = any->ptr;

	if (any->kind != MPROC_STR && any->kind != MPROC_BYTES)
		return any->kind <= MPROC_REF &&
		       (any->kind != MPROC_REF || !any->ptr);
	return !any->len || (at >= bytes && any->len <= n &&
			     (size_t)(at - bytes) <= n - any->len);
}

/* The same of many values in one: no more of them than there are bytes. */
static inline bool
manager_many_are_bad(const struct mproc_any *any)
{
	struct mproc_any *values;
	bool bad = false;
	size_t n;

	if (any->kind != MPROC_BYTES ||
	    mpr_codec_count(any->ptr, any->len, &n) < 0)
		return false;
	if (n >= any->len)
		return true;
	values = malloc((n + 1) * sizeof(*values));
	if (values && mpr_codec_unpack(values, n, any->ptr, any->len) == 0)
		for (size_t i = 0; i < n && !bad; i++)
			bad = !manager_lies_in(&values[i], any->ptr, any->len);
	free(values);
	return bad;
}

/* Returns whether something happened that must not. */
static inline bool
manager_one_input(const uint8_t *bytes, size_t n)
{
	struct mpr_message m;
	struct mpr_frame f;
	int r;

	while ((r = mpr_codec_next(&f, bytes, n, MANAGER_LIMIT)) > 0) {
		if (f.whole > n || f.len > MANAGER_LIMIT || f.message != bytes + 4)
			return true;
		if (mpr_codec_read(&m, f.message, f.len) == 0) {
			if (m.n > MPR_MESSAGE_VALUES)
				return true;
			for (unsigned i = 0; i < m.n; i++)
				if (!manager_lies_in(&m.values[i], f.message,
						     f.len) ||
				    manager_many_are_bad(&m.values[i]))
					return true;
		}
		bytes += f.whole;
		n -= f.whole;
	}
	return r == 0 && f.whole > MANAGER_LIMIT + 4;
}

#endif
