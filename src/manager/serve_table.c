/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include <mproc/dict.h>

#include "base/error.h"
#include "containers/table_use.h"
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

static bool
is_same(const struct mproc_any *a, const struct mproc_any *b)
{
	if (!a || !b)
		return !a && !b;
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

static int
exchange_if_same(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	const struct exchange *x = ctx;

	if (!is_same(old, x->expected))
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

/* How many values an operation takes, or -1 if there is none of that number. */
static int
args_of(enum mpr_remote_op op)
{
	switch (op) {
	case MPR_OP_CHECK:
	case MPR_OP_LEN:
	case MPR_OP_CLEAR:
	case MPR_OP_POP_ITEM:
		return 0;
	case MPR_OP_GET:
	case MPR_OP_HAS:
	case MPR_OP_POP:
	case MPR_OP_MERGE:
		return 1;
	case MPR_OP_NEXT:
	case MPR_OP_SET:
	case MPR_OP_SET_DEFAULT:
	case MPR_OP_ADD:
		return 2;
	case MPR_OP_EXCHANGE:
		return 4;
	case MPR_OP_HELLO:
	case MPR_OP_FIND:
	case MPR_OP_DESTROY:
		break;
	}
	return -1;
}

int
mpr_serve_table(const struct mpr_object *o, struct mpr_remote_call *call,
		const struct mpr_object *other)
{
	struct mproc_any *args = call->args, *rets = call->rets;
	mproc_dict *d = o->object;

	call->n_rets = 0;
	memset(call->rets, 0, sizeof(call->rets));
	if (args_of(call->op) != (int)call->n_args)
		return mpr_fail(-EINVAL, "no operation %d with %u values",
				(int)call->op, call->n_args);
	switch (call->op) {
	case MPR_OP_CHECK:
		return mpr_table_check(o->kind, d);
	case MPR_OP_LEN:
		return len(o, call);
	case MPR_OP_CLEAR:
		return mpr_table_clear(o->kind, d);
	case MPR_OP_NEXT:
		return next(o, call);
	case MPR_OP_GET:
		return get(o, call, false);
	case MPR_OP_HAS:
		return get(o, call, true);
	case MPR_OP_SET:
		return mproc_dict_set(d, args[0], args[1]);
	case MPR_OP_POP:
		call->n_rets = 1;
		return mproc_dict_pop(d, args[0], &rets[0]);
	case MPR_OP_POP_ITEM:
		call->n_rets = 2;
		return mproc_dict_pop_item(d, &rets[0], &rets[1]);
	case MPR_OP_SET_DEFAULT:
		call->n_rets = 1;
		return mproc_dict_set_default(d, args[0], args[1], &rets[0]);
	case MPR_OP_ADD:
		call->n_rets = 1;
		return mproc_dict_add(d, args[0], args[1], &rets[0]);
	case MPR_OP_EXCHANGE:
		return exchange(o, call);
	case MPR_OP_MERGE:
		return other ? mproc_dict_merge(d, other->object) :
			       mpr_fail(-EINVAL, "a dict to be merged is missing");
	case MPR_OP_HELLO:
	case MPR_OP_FIND:
	case MPR_OP_DESTROY:
		break;
	}
	return -EINVAL;
}
