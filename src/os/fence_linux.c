/* SPDX-License-Identifier: MIT */
#include <linux/membarrier.h>

#include "base/fault.h"
#include "base/macros.h"
#include "os/cpu.h"
#include "os/fence.h"
#include "os/syscall_arch.h"

MPR_CHILD_PATH static bool
membarrier(int command)
{
	return !mpr_fault_quietly(MPR_FAULT_MEMBARRIER) &&
	       mpr_syscall(SYS_membarrier, command, 0) == 0;
}

MPR_CHILD_PATH bool
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
