/* SPDX-License-Identifier: MIT */
#include "base/macros.h"
#include "process/call.h"

MPR_CHILD_PATH int
mpr_call_inner(const struct mpr_call *call)
{
	return call->is_member ?
		       ((mproc_group_entry *)call->fn)(call->index, call->arg) :
		       ((mproc_entry *)call->fn)(call->arg);
}

MPR_CHILD_PATH int
mpr_call_run(const struct mpr_call *call)
{
	return call->around ? call->around(call) : mpr_call_inner(call);
}
