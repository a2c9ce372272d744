/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include <mproc/containers.h>

#include "base/alloc.h"
#include "base/error.h"
#include "containers/set.h"
#include "containers/table_use.h"
#include "manager/serve_many.h"
#include "manager/serve_table.h"

static int
len(const struct mpr_object *o, struct mpr_remote_call *call)
{
	size_t n = 0;
	int r = mpr_table_len(o->kind, o->object, &n);

	if (r == 0)
		call->rets[0] = mproc_int((int64_t)n);
	call->n_rets = 1;
	return r;
}

/* A stranger's cursor: any words are one. */
static int
next(const struct mpr_object *o, struct mpr_remote_call *call)
{
	struct mproc_cursor c = { { 0 } };
	int r;

	if (call->args[0].kind != MPROC_INT || call->args[1].kind != MPROC_INT)
		return mpr_fail(-EINVAL, "a cursor that is none");
	c.mproc_opaque[0] = (uint64_t)call->args[0].i64;
	c.mproc_opaque[1] = (uint64_t)call->args[1].i64;
	r = mpr_table_next(o->kind, o->object, &c, &call->rets[2],
			   &call->rets[3]);
	call->rets[0] = mproc_int((int64_t)c.mproc_opaque[0]);
	call->rets[1] = mproc_int((int64_t)c.mproc_opaque[1]);
	call->n_rets = 4;
	return r;
}

static int
get(const struct mpr_object *o, struct mpr_remote_call *call, bool only_whether)
{
	const struct mpr_want want = { .ret = only_whether ? NULL :
							     &call->rets[0] };
	int r = mpr_table_get(o->kind, o->object, &call->args[0], &want);

	if (!only_whether) {
		call->n_rets = 1;
		return r;
	}
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* What a value is to be, if it is something. */
struct exchange {
	const struct mproc_any *expected, *value;
};

static int
exchange_if_same(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	const struct exchange *x = ctx;

	if (!old != !x->expected || (old && !mpr_any_same(old, x->expected)))
		return 0;
	*value = *x->value;
	return 1;
}

static int
exchange(const struct mpr_object *o, struct mpr_remote_call *call)
{
	int64_t bits = call->args[1].i64;
	struct exchange x = {
		bits & MPR_EXCHANGE_EXPECTED ? &call->args[2] : NULL,
		bits & MPR_EXCHANGE_VALUE ? &call->args[3] : NULL,
	};

	if (call->args[1].kind != MPROC_INT ||
	    (bits & MPR_EXCHANGE_SAME && !x.value))
		return mpr_fail(-EINVAL, "an exchange of an unknown kind");
	if (bits & MPR_EXCHANGE_SAME)
		return mproc_dict_update(o->object, call->args[0],
					 exchange_if_same, &x);
	return mproc_dict_compare_exchange(o->object, call->args[0], x.expected,
					   x.value);
}

/* A name has no zero in it, and one behind it. */
static int
discard_name(const struct mpr_object *o, const struct mproc_any *name)
{
	char *text = mpr_malloc(name->len + 1);
	int r;

	if (!text)
		return mpr_fail(-ENOMEM, "no memory for a name");
	if (name->len)
		memcpy(text, name->ptr, name->len);
	text[name->len] = '\0';
	r = mproc_namespace_del(o->object, text);
	free(text);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int
with_other(mproc_set *s, mproc_set *other, enum mpr_remote_op op)
{
	switch (op) {
	case MPR_OP_UPDATE:
		return mproc_set_update(s, other);
	case MPR_OP_INTERSECTION_UPDATE:
		return mproc_set_intersection_update(s, other);
	case MPR_OP_DIFFERENCE_UPDATE:
		return mproc_set_difference_update(s, other);
	case MPR_OP_SYMMETRIC_DIFFERENCE_UPDATE:
		return mproc_set_symmetric_difference_update(s, other);
	case MPR_OP_IS_SUBSET:
		return mproc_set_is_subset(s, other);
	case MPR_OP_IS_EQUAL:
		return mproc_set_is_equal(s, other);
	default:
		return mproc_set_is_disjoint(s, other);
	}
}

enum {
	DICT = 1 << 0,
	SET = 1 << 1,
	NAMESPACE = 1 << 2,
	ALL = DICT | SET | NAMESPACE,
};

/* Whose operations they are, and how many values each takes; the first one is a key,
 * element or name, if @key. */
static const struct operation {
	unsigned char of, n_args;
	bool key, other;
} operations[] = {
	[MPR_OP_CHECK] = { .of = ALL },
	[MPR_OP_LEN] = { .of = ALL },
	[MPR_OP_CLEAR] = { .of = ALL },
	[MPR_OP_NEXT] = { .of = ALL, .n_args = 2 },
	[MPR_OP_GET] = { .of = DICT | NAMESPACE, .n_args = 1, .key = true },
	[MPR_OP_HAS] = { .of = ALL, .n_args = 1, .key = true },
	[MPR_OP_SET] = { .of = DICT | NAMESPACE, .n_args = 2, .key = true },
	[MPR_OP_POP] = { .of = DICT, .n_args = 1, .key = true },
	[MPR_OP_POP_ITEM] = { .of = DICT | SET },
	[MPR_OP_SET_DEFAULT] = { .of = DICT, .n_args = 2, .key = true },
	[MPR_OP_ADD] = { .of = DICT, .n_args = 2, .key = true },
	[MPR_OP_EXCHANGE] = { .of = DICT, .n_args = 4, .key = true },
	[MPR_OP_MERGE] = { .of = DICT, .n_args = 1, .other = true },
	[MPR_OP_GET_MANY] = { .of = DICT, .n_args = 1 },
	[MPR_OP_SET_MANY] = { .of = DICT, .n_args = 1 },
	[MPR_OP_PUT] = { .of = SET, .n_args = 1, .key = true },
	[MPR_OP_DISCARD] = { .of = SET | NAMESPACE, .n_args = 1, .key = true },
	[MPR_OP_TOGGLE] = { .of = SET, .n_args = 1, .key = true },
	[MPR_OP_UPDATE] = { .of = SET, .n_args = 1, .other = true },
	[MPR_OP_INTERSECTION_UPDATE] = { .of = SET, .n_args = 1, .other = true },
	[MPR_OP_DIFFERENCE_UPDATE] = { .of = SET, .n_args = 1, .other = true },
	[MPR_OP_SYMMETRIC_DIFFERENCE_UPDATE] = { .of = SET, .n_args = 1,
						 .other = true },
	[MPR_OP_IS_SUBSET] = { .of = SET, .n_args = 1, .other = true },
	[MPR_OP_IS_EQUAL] = { .of = SET, .n_args = 1, .other = true },
	[MPR_OP_IS_DISJOINT] = { .of = SET, .n_args = 1, .other = true },
};

static unsigned
bit_of(enum mpr_cell_kind kind)
{
	return kind == MPR_CELL_DICT ? DICT : kind == MPR_CELL_SET ? SET :
								     NAMESPACE;
}

bool
mpr_serve_table_takes_other(enum mpr_remote_op op)
{
	return (size_t)op < MPR_ARRAY_LEN(operations) && operations[op].other;
}

/* What is there for that kind, with that many values, and a name for a name. */
static int
check(const struct mpr_object *o, const struct mpr_remote_call *call,
      const struct mpr_object *other)
{
	const struct mproc_any *key = &call->args[0];
	const struct operation *op;

	op = (size_t)call->op < MPR_ARRAY_LEN(operations) ?
		     &operations[call->op] : NULL;
	if (!op || !(op->of & bit_of(o->kind)) || op->n_args != call->n_args)
		return mpr_fail(-EINVAL, "such an object has no operation %d with "
				"%u values", (int)call->op, call->n_args);
	if (op->key && o->kind == MPR_CELL_NAMESPACE &&
	    (key->kind != MPROC_STR ||
	     (key->len && memchr(key->ptr, '\0', key->len))))
		return mpr_fail(-EINVAL, "a name that is none");
	if (op->other && (!other || other->kind != o->kind))
		return mpr_fail(-EINVAL, "the other object is of another kind");
	return 0;
}

int
mpr_serve_table(const struct mpr_object *o, struct mpr_remote_call *call,
		const struct mpr_object *other, const struct mpr_serve_limits *limits)
{
	const struct mpr_want popped = { .ret = &call->rets[0],
					 .room = limits->room };
	struct mproc_any *args = call->args, *rets = call->rets;
	void *table = o->object;
	int r = check(o, call, other);

	call->n_rets = 0;
	memset(call->rets, 0, sizeof(call->rets));
	if (r < 0)
		return r;
	switch (call->op) {
	case MPR_OP_CHECK:
		return mpr_table_check(o->kind, table);
	case MPR_OP_LEN:
		return len(o, call);
	case MPR_OP_CLEAR:
		return mpr_table_clear(o->kind, table);
	case MPR_OP_NEXT:
		return next(o, call);
	case MPR_OP_GET:
		return get(o, call, false);
	case MPR_OP_HAS:
		return get(o, call, true);
	case MPR_OP_SET:
		return mpr_table_set(o->kind, table, &args[0], &args[1]);
	case MPR_OP_POP:
		call->n_rets = 1;
		return mpr_table_take(o->kind, table, &args[0], &popped);
	case MPR_OP_POP_ITEM:
		call->n_rets = 2;
		return mpr_table_pop(o->kind, table, limits->room, &rets[0],
				     &rets[1]);
	case MPR_OP_SET_DEFAULT:
		call->n_rets = 1;
		return mproc_dict_set_default(table, args[0], args[1], &rets[0]);
	case MPR_OP_ADD:
		call->n_rets = 1;
		return mproc_dict_add(table, args[0], args[1], &rets[0]);
	case MPR_OP_EXCHANGE:
		return exchange(o, call);
	case MPR_OP_MERGE:
		return mproc_dict_merge(table, other->object);
	case MPR_OP_GET_MANY:
		return mpr_serve_many_get(o, call, limits);
	case MPR_OP_SET_MANY:
		return mpr_serve_many_set(o, call, limits);
	case MPR_OP_PUT:
		return mproc_set_add(table, args[0]);
	case MPR_OP_DISCARD:
		return o->kind == MPR_CELL_SET ?
			       mproc_set_discard(table, args[0]) :
			       discard_name(o, &args[0]);
	case MPR_OP_TOGGLE:
		return mpr_set_toggle(table, &args[0]);
	default:
		return with_other(table, other->object, call->op);
	}
}
