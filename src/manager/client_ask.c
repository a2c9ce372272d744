/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "containers/remote.h"
#include "manager/client.h"
#include "os/thread.h"
#include "sync/remote.h"

int
mpr_client_ask(struct mpr_remote_owner *owner, const struct mpr_remote *remote,
	       struct mpr_remote_ask *numbers)
{
	struct mpr_remote_call call = {
		.op = (enum mpr_remote_op)numbers->op,
		.n_args = numbers->n_args + numbers->n_sent,
		.n_rets = numbers->n_rets + numbers->n_got,
		.waits = numbers->waits,
		.places = numbers->got,
		.n_places = numbers->n_got,
	};
	bool odd = false;
	int r;

	for (unsigned i = 0; i < numbers->n_args; i++)
		call.args[i] = mproc_int(numbers->args[i]);
	for (unsigned i = 0; i < numbers->n_sent; i++)
		call.args[numbers->n_args + i] = mproc_bytes(numbers->sent[i].iov_base,
							     numbers->sent[i].iov_len);
	r = owner->carry(owner, remote, &call);
	for (unsigned i = 0; i < numbers->n_rets && r >= 0; i++) {
		odd |= call.rets[i].kind != MPROC_INT;
		numbers->rets[i] = call.rets[i].i64;
	}
	for (unsigned i = 0; i < call.n_rets && r >= 0; i++)
		mproc_any_clear(&call.rets[i]);
	return odd ? mpr_fail(-EBADMSG, "values that are none") : r;
}

void
mpr_client_leave(struct mpr_remote_owner *owner, int64_t thread)
{
	const struct mpr_remote_call call = {
		.op = (enum mpr_remote_op)MPR_OP_LEAVE,
		.n_args = 1,
		.args = { mproc_int(thread) },
	};
	int before = mpr_thread_forbid_cancel();

	/* If it cannot be, its connection has come to an end, or the manager does
	 * as if it had, once this process ends. */
	(void)mpr_client_tell((struct mpr_client *)owner, &call);
	mpr_thread_allow_cancel(before);
}
