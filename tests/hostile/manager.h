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

/* The same of what may be a row of values: no more of them than there are bytes. */
static inline bool
manager_row_is_bad(const uint8_t *bytes, size_t n)
{
	struct mproc_any *values;
	bool bad = false;
	size_t count;

	if (mpr_codec_count(bytes, n, &count) < 0)
		return false;
	if (count >= n)
		return true;
	values = malloc((count + 1) * sizeof(*values));
	if (values && mpr_codec_unpack(values, count, bytes, n) == 0)
		for (size_t i = 0; i < count && !bad; i++)
			bad = !manager_lies_in(&values[i], bytes, n);
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
				    (m.values[i].kind == MPROC_BYTES &&
				     manager_row_is_bad(m.values[i].ptr,
							m.values[i].len)))
					return true;
		}
		if (manager_row_is_bad(f.message, f.len))
			return true;
		bytes += f.whole;
		n -= f.whole;
	}
	return r == 0 && f.whole > MANAGER_LIMIT + 4;
}

#endif
