/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "containers/table_use.h"
#include "manager/codec.h"
#include "manager/many.h"
#include "manager/serve_many.h"

#define OTHERS 64 /* bytes of an answer but for its keys and values, at most */
#define EACH 10	  /* bytes of a key in it, but for those of a text or of bytes */

/* What is left of an answer. */
struct left {
	struct mpr_room room; /* first */
	size_t bytes;
};

/* Looked at again if somebody has changed the value meanwhile, so it only says whether
 * there is room. */
static int
fits(struct mpr_room *room, uint64_t bytes)
{
	const struct left *left = (const struct left *)room;

	return left->bytes >= EACH && bytes <= left->bytes - EACH ?
		       0 : mpr_fail(-EMSGSIZE, "the value is longer than a message "
				    "of this manager's may be");
}

/* Of each key whether it is there, and the values of those that are, which come to
 * @values. Returns how many keys; or what is wrong about the first one. */
static int
read_all(const struct mpr_object *o, const struct mpr_many *keys,
	 struct mpr_many *values, unsigned char *there, size_t room)
{
	struct left left = { { fits }, room };
	struct mpr_want want = { .room = &left.room };
	size_t i;
	int r = 0;

	values->n = 0;
	for (i = 0; i < keys->n; i++) {
		struct mproc_any *value = &values->values[values->n];

		want.ret = value;
		r = left.bytes < EACH ?
			    -EMSGSIZE : mpr_table_get(o->kind, o->object,
						      &keys->values[i], &want);
		if (r < 0 && r != -ENOENT)
			break;
		there[i] = r == 0;
		left.bytes -= EACH;
		if (r < 0)
			continue;
		left.bytes -= value->owned ? value->len : 0;
		values->n++;
	}
	return i || r == 0 ? (int)i : r;
}

static int
answer(struct mpr_remote_call *call, const struct mpr_many *values,
       const struct mpr_serve_limits *limits)
{
	struct mpr_buffer row = { .bytes = NULL };
	int r = mpr_codec_pack(&row, values->values, values->n, limits->max_message);

	if (r < 0) {
		mpr_buffer_end(&row);
		return mpr_fail(r, "the manager has no memory for the answer");
	}
	call->rets[1] = mproc_bytes(row.bytes, row.to);
	call->rets[1].owned = 1;
	return 0;
}

static int
read_keys(struct mpr_many *keys, const struct mpr_remote_call *call, size_t each,
	  const struct mpr_serve_limits *limits)
{
	int r = mpr_many_read(keys, &call->args[0], limits);

	if (r == 0 && (keys->n % each || keys->n / each > MPR_REMOTE_MANY))
		r = mpr_fail(-EINVAL, "a row of up to %d keys is wanted",
			     MPR_REMOTE_MANY);
	return r;
}

int
mpr_serve_many_get(const struct mpr_object *o, struct mpr_remote_call *call,
		   const struct mpr_serve_limits *limits)
{
	struct mpr_many keys, values = { .values = NULL };
	unsigned char *there = NULL;
	int r = read_keys(&keys, call, 1, limits), n = 0;

	if (r == 0)
		r = mpr_many_allocate(&values, keys.n, limits);
	if (r == 0) {
		there = mpr_malloc(keys.n + 1);
		r = there ? 0 : mpr_fail(-ENOMEM, "the manager has no memory for "
					 "the answer");
	}
	call->n_rets = 2;
	if (r == 0) {
		call->rets[0] = mproc_bytes(there, 0);
		call->rets[0].owned = 1;
		n = read_all(o, &keys, &values, there,
			     limits->max_message - OTHERS);
		r = n < 0 ? n : answer(call, &values, limits);
		call->rets[0].len = r < 0 ? 0 : (size_t)n;
	} else {
		values.n = 0;
	}
	for (size_t i = 0; i < values.n; i++)
		mproc_any_clear(&values.values[i]);
	free(values.values);
	free(keys.values);
	return r < 0 ? r : n;
}

int
mpr_serve_many_set(const struct mpr_object *o, struct mpr_remote_call *call,
		   const struct mpr_serve_limits *limits)
{
	struct mpr_many items;
	int r = read_keys(&items, call, 2, limits);
	size_t i = 0;

	while (r == 0 && i < items.n) {
		r = mpr_table_set(o->kind, o->object, &items.values[i],
				  &items.values[i + 1]);
		i += r == 0 ? 2 : 0;
	}
	free(items.values);
	return i ? (int)(i / 2) : r;
}
