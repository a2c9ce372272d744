/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/cpu.h"
#include "os/fence.h"

static bool
membarrier(int command)
{
	int saved = errno;
	bool ok = !mpr_fault(MPR_FAULT_MEMBARRIER) &&
		  syscall(SYS_membarrier, command, 0, 0) == 0;

	errno = saved;
	return ok;
}

bool
mpr_fence_register(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

bool
mpr_fence_heavy(void)
{
	/* The kernel fences other CPUs; where it cannot, fence at least us. */
	mpr_cpu_fence();
	return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}
