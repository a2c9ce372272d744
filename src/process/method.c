/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>

#include <mproc/process.h>

#include "base/error.h"
#include "base/macros.h"
#include "process/method.h"

static _Atomic int usual = MPROC_FORK;

int
mpr_method_usual(void)
{
	return atomic_load(&usual);
}

MPR_CHILD_PATH int
mpr_method_check(int method)
{
	return method >= MPROC_FORK && method <= MPROC_FORKSERVER ?
		       0 : mpr_fail(-EINVAL, "there is no start method %d",
				    method);
}

MPR_CHILD_PATH int
mproc_set_start_method(int method)
{
	int r = mpr_method_check(method);

	if (r == 0)
		atomic_store(&usual, method);
	return r;
}
