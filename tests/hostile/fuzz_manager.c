/* SPDX-License-Identifier: MIT */
/*
 * manager.h under libFuzzer, which sees which branches an input has taken: with clang.
 */
#include <stdlib.h>

#include "manager.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	if (manager_one_input(bytes, n))
		abort();
	return 0;
}
