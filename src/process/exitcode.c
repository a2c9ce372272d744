/* SPDX-License-Identifier: MIT */
/*
 * What the starter is told of the end of a process.
 */
#include <errno.h>

#include "base/error.h"
#include "process/handle.h"

int
mproc_process_exit_info(mproc_process *p, struct mproc_exit *ret_exit)
{
	int r = mpr_process_check(p);

	if (r < 0)
		return r;
	if (!ret_exit)
		return mpr_fail(-EINVAL, "ret_exit is NULL");
	if (!mpr_process_has_ended(p))
		return -EAGAIN;
	*ret_exit = p->exit;
	return 0;
}

int
mproc_process_exitcode(mproc_process *p, int *ret_code)
{
	struct mproc_exit exit;
	int r = mpr_process_check(p);

	if (r < 0)
		return r;
	if (!ret_code)
		return mpr_fail(-EINVAL, "ret_code is NULL");
	r = mproc_process_exit_info(p, &exit);
	if (r < 0)
		return r;
	if (exit.code < 0 && exit.signal == 0)
		return mpr_fail(-ENODATA, "process \"%s\" was reaped elsewhere "
				"and left no exit code", p->name);
	*ret_code = exit.signal ? -exit.signal : exit.code;
	return 0;
}
