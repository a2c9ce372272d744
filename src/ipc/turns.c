/* SPDX-License-Identifier: MIT */
#include "ipc/turns.h"
#include "ring/lane_fast.h"

bool
mpr_turn_pass(struct mpr_attachment *at, bool all, unsigned *looked)
{
	unsigned n = at->n_consumers;
	unsigned most = all || n < MPR_LOOKS ? n : MPR_LOOKS;

	while (*looked < most) {
		++*looked;
		if (++at->ahead >= n)
			at->ahead = 0;
		if (at->ahead == at->cursor ||
		    mpr_consumer_is_empty(&at->consumers[at->ahead]))
			continue;
		at->cursor = at->ahead;
		at->quantum = MPR_QUANTUM;
		return true;
	}
	return false;
}

void
mpr_turn_end(struct mpr_attachment *at)
{
	unsigned looked = 0;

	at->quantum = MPR_QUANTUM;
	(void)mpr_turn_pass(at, false, &looked);
}

bool
mpr_turn_go_on(struct mpr_attachment *at)
{
	unsigned looked = 0;

	if (at->left && mpr_turn_pass(at, false, &looked)) {
		at->left--;
		return true;
	}
	at->left = at->n_consumers - 1;
	return false;
}
