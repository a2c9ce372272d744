/* SPDX-License-Identifier: MIT */
#include "os/cpu.h"
#include "sync/spin.h"

#define PAUSES 100

bool
mpr_spin(const _Atomic uint64_t *word, uint64_t bits, unsigned *pauses)
{
	/* Each look takes the word's line from who has it, and is about to write
	 * there. So each comes after half as many pauses more as there were. */
	while (*pauses < PAUSES) {
		unsigned next = *pauses + *pauses / 2 + 1;

		if (next > PAUSES)
			next = PAUSES;
		while (mpr_spin_on(pauses, next))
			;
		if (!(atomic_load_explicit(word, memory_order_relaxed) & bits))
			return true;
	}
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
