/* SPDX-License-Identifier: MIT */
#include "os/cpu.h"
#include "sync/spin.h"

#define LOOKS 100

bool
mpr_spin(const _Atomic uint64_t *word, uint64_t bits, unsigned *looks)
{
	while (mpr_spin_on(looks, LOOKS))
		if (!(atomic_load_explicit(word, memory_order_relaxed) & bits))
			return true;
	return false;
}

bool
mpr_spin_on(unsigned *looks, unsigned max)
{
	if (*looks >= max)
		return false;
	++*looks;
	mpr_cpu_pause();
	return true;
}
