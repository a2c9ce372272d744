/* SPDX-License-Identifier: MIT */
/*
 * Objects of a manager by their names, and what their functions ask who is connected for
 * without a call of their own.
 */
#include <errno.h>

#include "base/error.h"
#include "containers/remote.h"
#include "manager/client.h"
#include "manager/objects.h"
#include "manager/queue_options.h"
#include "sync/remote.h"

static int
find(struct mpr_client *c, struct mpr_remote_call *call, enum mpr_cell_kind kind,
     void **ret)
{
	struct mpr_remote_owner *owner = (struct mpr_remote_owner *)c;
	struct mpr_remote none = { .id = 0 };
	int r;

	call->n_rets = 1;
	r = owner->carry(owner, &none, call);
	if (r < 0)
		return r;
	if (call->rets[0].kind != MPROC_INT) {
		mproc_any_clear(&call->rets[0]);
		return mpr_fail(-EBADMSG, "a number that is none");
	}
	return mpr_client_handle(c, kind, call->rets[0].i64, ret);
}

int
mpr_client_find(struct mpr_client *c, int kind, const char *name,
		const struct mpr_object_init *init, void **ret)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_FIND,
		.n_args = 2,
		.args = { mproc_int(kind), mproc_str(name) },
	};

	if (init) {
		call.args[call.n_args++] = mproc_int(init->value);
		call.args[call.n_args++] = mproc_int(init->max);
		call.args[call.n_args++] = mproc_int(init->undo);
	}
	return find(c, &call, mpr_remote_cells[kind], ret);
}

int
mpr_client_find_array(struct mpr_client *c, const char *name,
		      const struct mpr_array_shape *shape, void **ret)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_FIND,
		.n_args = 5,
		.args = { mproc_int(MPR_REMOTE_ARRAY), mproc_str(name),
			  mproc_int((int64_t)shape->elem),
			  mproc_int((int64_t)shape->n),
			  shape->init ? mproc_bytes(shape->init,
						    shape->elem * shape->n) :
					mproc_nil() },
	};
	int r = find(c, &call, MPR_NO_CELL, ret);

	if (r == 0)
		*ret = mpr_remote_fenced(*ret);
	return r;
}

int
mpr_client_len(struct mpr_remote_owner *owner, const struct mpr_remote *remote,
	       size_t *ret_len)
{
	(void)owner;
	return mpr_remote_len(remote, ret_len);
}

int
mpr_client_destroy(struct mpr_remote_owner *owner, const struct mpr_remote *remote)
{
	(void)owner;
	return mpr_remote_simple(remote, MPR_OP_DESTROY);
}

int
mpr_client_beside(struct mpr_remote_owner *owner, const struct mpr_remote *remote,
		  int64_t id, void **ret)
{
	return mpr_client_handle((struct mpr_client *)owner,
				 (enum mpr_cell_kind)remote->kind, id, ret);
}

int
mpr_client_find_queue(struct mpr_client *c, const char *name,
		      const struct mproc_queue_opts *opts, void **ret)
{
	struct mproc_any values[MPR_QUEUE_OPTIONS];
	struct mpr_remote_call call = {
		.op = MPR_OP_FIND,
		.n_args = 2,
		.args = { mproc_int(MPR_REMOTE_QUEUE), mproc_str(name) },
		.many = values,
		.n_many = MPR_QUEUE_OPTIONS,
	};

	mpr_queue_options_write(values, opts);
	return find(c, &call, MPR_QUEUE_CELL, ret);
}
