/* SPDX-License-Identifier: MIT */
/*
 * What the layers below offer to tests, as the public interface has it.
 */
#include <mproc/testing.h>

#include "base/fault.h"
#include "process/inline.h"

int
mproc_test_inline(bool on)
{
	return atomic_exchange(&mpr_inline_on, on);
}

int
mproc_test_fault(const char *spec)
{
	return mpr_fault_set(spec);
}
