/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "containers/remote.h"
#include "manager/calling.h"
#include "manager/codec.h"
#include "os/clock.h"

int
mpr_calling_object(struct mpr_client *c, const char *type, const char *name)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_OBJECT,
		.n_args = 2,
		.args = { mproc_str(type), mproc_str(name) },
	};
	int r = mpr_client_call(c, 0, &call, MPR_NEVER);

	return r < 0 ? r : 0;
}

int
mpr_calling_destroy(struct mpr_client *c, const char *name)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_OBJECT_DESTROY,
		.n_args = 1,
		.args = { mproc_str(name) },
	};
	int r = mpr_client_call(c, 0, &call, MPR_NEVER);

	return r < 0 ? r : 0;
}

static int
check_values(const struct mproc_any *args, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct mproc_any *any = &args[i];

		if ((unsigned)any->kind > MPROC_REF)
			return mpr_fail(-EINVAL, "a value of kind %d",
					(int)any->kind);
		if (any->kind == MPROC_REF)
			return mpr_fail(-EFAULT, "a reference does not go to methods");
		if ((any->kind == MPROC_STR || any->kind == MPROC_BYTES) &&
		    !any->ptr && any->len)
			return mpr_fail(-EINVAL, "a text or bytes at NULL");
	}
	return 0;
}

/* How long the manager has for it: what the caller has by now. */
static int64_t
left_until(int64_t deadline)
{
	int64_t left;

	if (deadline == MPR_NEVER)
		return MPROC_FOREVER.ns;
	left = deadline - mproc_now();
	return left > 0 ? left : 1;
}

int
mpr_calling_call(struct mpr_client *c, const char *object, const char *method,
		 const struct mproc_any *args, size_t n, struct mproc_any *ret,
		 int64_t deadline)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_CALL,
		.n_args = 4,
		.args = { mproc_str(object), mproc_str(method),
			  mproc_int(left_until(deadline)) },
		.n_rets = 1,
	};
	struct mpr_buffer row = { .bytes = NULL };
	size_t limit = mpr_client_max_message(c);
	int r = check_values(args, n);

	if (r < 0)
		return r;
	r = mpr_codec_pack(&row, args, n, limit);
	if (r == -EMSGSIZE)
		r = mpr_fail(r, "manager %s takes messages of up to %zu bytes",
			     mpr_client_address(c), limit);
	else if (r < 0)
		r = mpr_fail(r, "no memory for a call");
	if (r == 0) {
		call.args[3] = mproc_bytes(row.bytes + row.from,
					   mpr_buffer_len(&row));
		mpr_fail(0, "%s", "");
		r = mpr_client_call(c, 0, &call, deadline);
	}
	mpr_buffer_end(&row);
	/* Our own time was up before the manager has said anything. */
	if (r == -ETIMEDOUT && !*mproc_error_detail())
		return mpr_fail(r, "%s.%s has not come to an end in time", object,
				method);
	if (r < 0)
		return r;
	if (ret)
		*ret = call.rets[0];
	else
		mproc_any_clear(&call.rets[0]);
	return r;
}
