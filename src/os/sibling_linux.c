/* SPDX-License-Identifier: MIT */
/*
 * CLONE_PARENT. fork(3) has no flags, and a bare clone(2) leaves the C library
 * believing that the child's thread is the parent's: it keeps the thread's id, with
 * which it locks mutexes, and has told the kernel where its list of robust ones is.
 * So the kernel writes the id of the child where that is kept, and is told of the
 * list again. The list is as it was: whoever forks here holds no such mutex.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mproc/core.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/macros.h"
#include "os/clone_arch.h"
#include "os/sibling.h"

int
mpr_sibling_prepare(struct mpr_sibling *ret_s)
{
	if (prctl(PR_GET_TID_ADDRESS, &ret_s->tid, 0, 0, 0) < 0 ||
	    !ret_s->tid || *(pid_t *)ret_s->tid != gettid())
		return mpr_fail(-ENOSYS, "PR_GET_TID_ADDRESS: %s",
				mproc_strerror(-errno));
	if (syscall(SYS_get_robust_list, 0, &ret_s->robust,
		    &ret_s->robust_len) < 0)
		return mpr_fail(-ENOSYS, "get_robust_list: %s",
				mproc_strerror(-errno));
	return 0;
}

MPR_CHILD_PATH pid_t
mpr_sibling_fork(const struct mpr_sibling *s, _Atomic uint32_t *ret_pid)
{
	long pid;

	if (mpr_fault(MPR_FAULT_FORK))
		return -errno;
	pid = mpr_clone(CLONE_PARENT | CLONE_PARENT_SETTID |
				CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID |
				SIGCHLD,
			ret_pid, s->tid);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		syscall(SYS_set_robust_list, s->robust, s->robust_len);
	return (pid_t)pid;
}
