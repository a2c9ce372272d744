/* SPDX-License-Identifier: MIT */
/*
 * wire.h under libFuzzer, which sees which branches an input has taken: with clang.
 */
#include <stdlib.h>

#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	if (wire_one_input(bytes, n))
		abort();
	return 0;
}
