/* SPDX-License-Identifier: MIT */
/*
 * Containers that another process has: what can be asked of it, and who carries that
 * over. A call is the name of an operation and some values; its result is a number,
 * as the public function returns it, and some values, which are copies of the
 * caller's.
 */
#ifndef MPR_CONTAINERS_REMOTE_H
#define MPR_CONTAINERS_REMOTE_H

#include <limits.h>
#include <stdbool.h>

#include <mproc/any.h>

#include "arena/arena.h"
#include "arena/remote.h"
#include "containers/any.h"
#include "sync/remote.h"

/* Operations, and their arguments; the numbers stand in docs/spec/wire.md. What
 * comes back is that of the public functions of these names. */
enum mpr_remote_op {
	MPR_OP_HELLO = 0,    /* not of an object: see the page */
	MPR_OP_FIND = 1,     /* likewise: kind, name */
	MPR_OP_DESTROY = 2,
	MPR_OP_CHECK = 3,
	MPR_OP_LEN = 4,
	MPR_OP_CLEAR = 5,
	MPR_OP_NEXT = 6,     /* the cursor's first two words */
	MPR_OP_GET = 16,     /* key */
	MPR_OP_HAS = 17,     /* key */
	MPR_OP_SET = 18,     /* key, value */
	MPR_OP_POP = 19,     /* key */
	MPR_OP_POP_ITEM = 20,
	MPR_OP_SET_DEFAULT = 21, /* key, value */
	MPR_OP_ADD = 22,     /* key, number */
	MPR_OP_EXCHANGE = 23, /* key, bits below, expected, value */
	MPR_OP_MERGE = 24,   /* the other's id */
	MPR_OP_GET_MANY = 25, /* keys: a row in bytes */
	MPR_OP_SET_MANY = 26, /* keys and values in turn: a row in bytes */
	/* Of sets, DISCARD also of namespaces. */
	MPR_OP_PUT = 32,     /* element */
	MPR_OP_DISCARD = 33, /* element, or name */
	MPR_OP_TOGGLE = 34,  /* element */
	/* Of a set and another one: the other's id. */
	MPR_OP_UPDATE = 40,
	MPR_OP_INTERSECTION_UPDATE = 41,
	MPR_OP_DIFFERENCE_UPDATE = 42,
	MPR_OP_SYMMETRIC_DIFFERENCE_UPDATE = 43,
	MPR_OP_IS_SUBSET = 44,
	MPR_OP_IS_EQUAL = 45,
	MPR_OP_IS_DISJOINT = 46,
	/* From 64 on: sync/remote.h; from 96 on: ipc/queue_remote.h. */
	/* Of lists. Several values are one argument: a row of them in bytes. */
	MPR_OP_LIST_GET = 160,	   /* index */
	MPR_OP_LIST_NEXT = 161,	   /* index, from the start */
	MPR_OP_LIST_SLICE = 162,   /* from, to, the most that are wanted */
	MPR_OP_LIST_REPLACE = 163, /* from, to, values */
	MPR_OP_LIST_EXTEND = 164,  /* values */
	MPR_OP_LIST_APPEND = 165,  /* value */
	MPR_OP_LIST_SET = 166,	   /* index, value */
	MPR_OP_LIST_INSERT = 167,  /* index, value */
	MPR_OP_LIST_ADD = 168,	   /* index, number */
	MPR_OP_LIST_EXCHANGE = 169, /* index, bits below, expected, value */
	MPR_OP_LIST_POP = 170,	   /* index */
	MPR_OP_LIST_SORT = 171,
	MPR_OP_LIST_REVERSE = 172,
	MPR_OP_LIST_INDEX = 173,   /* value */
	MPR_OP_LIST_COUNT = 174,   /* value */
	MPR_OP_LIST_REMOVE = 175,  /* value */
	MPR_OP_LIST_REORDER = 176, /* order, values as they are expected */
	/* Of arrays. Elements are bytes. */
	MPR_OP_ARRAY_GET = 192,	     /* index, how many bytes */
	MPR_OP_ARRAY_SET = 193,	     /* index, elements */
	MPR_OP_ARRAY_ADD = 194,	     /* index, bytes of an element, number */
	MPR_OP_ARRAY_EXCHANGE = 195, /* index, expected element, new one */
	/* Not of an object that has a number: see the page. */
	MPR_OP_OBJECT = 224,	     /* type, name */
	MPR_OP_OBJECT_DESTROY = 225, /* name */
	MPR_OP_CALL = 226,	     /* name, method, ns, values: a row in bytes */
};

enum {
	MPR_EXCHANGE_EXPECTED = 1, /* there is a value that is expected */
	MPR_EXCHANGE_VALUE = 2,	   /* there is a new one */
	MPR_EXCHANGE_SAME = 4,	   /* kind and bits are to be the same */
};

/* What objects there are. */
enum mpr_remote_kind {
	MPR_REMOTE_DICT = 1,
	MPR_REMOTE_SET = 2,
	MPR_REMOTE_NAMESPACE = 3,
	MPR_REMOTE_LIST = 4,
	MPR_REMOTE_ARRAY = 5, /* and values */
	MPR_REMOTE_QUEUE = 6,
	MPR_REMOTE_LOCK = 8,
	MPR_REMOTE_RLOCK = 9,
	MPR_REMOTE_SEMAPHORE = 10,
	MPR_REMOTE_EVENT = 11,
	MPR_REMOTE_CONDITION = 12,
	MPR_REMOTE_BARRIER = 13,
};

/* In the place of a kind of cells: arrays are none. */
#define MPR_NO_CELL MPR_CELL_KINDS

static const enum mpr_cell_kind mpr_remote_cells[] = {
	[MPR_REMOTE_DICT] = MPR_CELL_DICT,
	[MPR_REMOTE_SET] = MPR_CELL_SET,
	[MPR_REMOTE_NAMESPACE] = MPR_CELL_NAMESPACE,
	[MPR_REMOTE_LIST] = MPR_CELL_LIST,
	[MPR_REMOTE_ARRAY] = MPR_NO_CELL,
	[MPR_REMOTE_QUEUE] = MPR_QUEUE_CELL,
	[MPR_REMOTE_LOCK] = MPR_CELL_LOCK,
	[MPR_REMOTE_RLOCK] = MPR_CELL_RLOCK,
	[MPR_REMOTE_SEMAPHORE] = MPR_CELL_SEMAPHORE,
	[MPR_REMOTE_EVENT] = MPR_CELL_EVENT,
	[MPR_REMOTE_CONDITION] = MPR_CELL_CONDITION,
	[MPR_REMOTE_BARRIER] = MPR_CELL_BARRIER,
};

/* Whether a number is one of them. The first kind of cell is that of gaps, too. */
static inline bool
mpr_remote_is_kind(int64_t kind)
{
	return kind > 0 &&
	       kind < (int64_t)(sizeof(mpr_remote_cells) / sizeof(mpr_remote_cells[0])) &&
	       (mpr_remote_cells[kind] != MPR_CELL_LOCK || kind == MPR_REMOTE_LOCK);
}

/* So many keys in one request. */
#define MPR_REMOTE_MANY 1024

#define MPR_REMOTE_ARGS 5
#define MPR_REMOTE_RETS 4

struct mpr_remote_call {
	enum mpr_remote_op op;
	unsigned n_args, n_rets;
	struct mproc_any args[MPR_REMOTE_ARGS];
	struct mproc_any rets[MPR_REMOTE_RETS]; /* MPROC_NIL what does not come */
	bool waits; /* an interrupt calls it off */
	bool takes; /* something away, which comes with the answer: that is awaited */

	/* Many values: a last argument, if this is not NULL. */
	const struct mproc_any *many;
	size_t n_many;
	/* Where the last of the values that come is many, if this is not NULL: where
	 * they go, how many there is room for, and how many came; its place among
	 * the others is MPROC_NIL then. If it was none, it is what it was. */
	struct mproc_any *ret_many;
	size_t size_many, n_ret_many;
	/* Where the last of the values that come go, which are bytes, as in struct
	 * mpr_remote_ask; in their place is MPROC_NIL. If it was none, nothing came. */
	struct iovec *places;
	unsigned n_places;
};

/* What functions return that may be asked about such a one, in place of -EFAULT: no
 * error of a user's function. */
#define MPR_REMOTE INT_MIN

/* MPR_REMOTE if it is a handle to one of @kind; 0 if it is no handle; or -EBADMSG, or
 * -ESTALE if it leads nowhere any more. */
int mpr_remote_check(enum mpr_cell_kind kind, const void *handle);

/* Has the call carried out. Returns its result, or why there is none: -ESTALE if the
 * handle leads nowhere any more; -EFAULT if an argument is a reference, -EINVAL if
 * it is no value; those of the owner. If it is negative no values came. */
int mpr_remote_carry(const void *handle, struct mpr_remote_call *call);

/* What came, to who wants it: it is theirs then, or nobody's. */
void mpr_remote_to(struct mproc_any *value, const struct mpr_want *want);

/*
 * What the functions of table_use.h and dict.h of these names do, for a handle that
 * was checked.
 */
int mpr_remote_get(const void *handle, const struct mproc_any *key,
		   const struct mpr_want *want);
int mpr_remote_set(const void *handle, const struct mproc_any *key,
		   const struct mproc_any *value);
int mpr_remote_len(const void *handle, size_t *ret_len);
int mpr_remote_simple(const void *handle, enum mpr_remote_op op);

/* A call with one value that comes: an integer from 0 on, else it is -EBADMSG. */
int mpr_remote_size(const void *handle, struct mpr_remote_call *call, size_t *ret);
int mpr_remote_next(const void *handle, struct mproc_cursor *cursor,
		    struct mproc_any *ret_key, struct mproc_any *ret_value);
int mpr_remote_pop(const void *handle, const struct mproc_any *key,
		   struct mproc_any *ret_value);
int mpr_remote_pop_item(const void *handle, struct mproc_any *ret_key,
			struct mproc_any *ret_value);
int mpr_remote_set_default(const void *handle, const struct mproc_any *key,
			   const struct mproc_any *value,
			   struct mproc_any *ret_value);
int mpr_remote_add(const void *handle, const struct mproc_any *key,
		   const struct mproc_any *n, struct mproc_any *ret_sum);

/* @expected, @value: may be NULL. @same: kind and bits count, not what Python takes
 * for equal. */
int mpr_remote_exchange(const void *handle, const struct mproc_any *key,
			const struct mproc_any *expected,
			const struct mproc_any *value, bool same);
int mpr_remote_update(const void *handle, const struct mproc_any *key,
		      mproc_update_fn *fn, void *ctx);

/* Those of dict.h; items are keys and values in turn. On failure of the first values may
 * have come. */
int mpr_remote_get_many(const void *handle, const struct mproc_any *keys, size_t n,
			struct mproc_any *ret_values, bool *ret_there);
int mpr_remote_set_many(const void *handle, const struct mproc_any *items, size_t n);

/* Of one element or name. Returns the result. */
int mpr_remote_one(const void *handle, enum mpr_remote_op op,
		   const struct mproc_any *key);

/* Of two containers, whose owner does it if both are with the same one. Returns the
 * result; or MPR_REMOTE if they are not: then nothing was done. */
int mpr_remote_two(const void *handle, enum mpr_remote_op op, const void *other);

/* Whether it is there: 0, or as any call. */
int mpr_remote_is_there(const void *handle);

#endif
