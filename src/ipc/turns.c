/* SPDX-License-Identifier: MIT */
#include "ipc/turns.h"
#include "ring/lane_fast.h"

/* Up to @most looks in all. */
static bool
pass(struct mpr_attachment *at, unsigned most, unsigned *looked)
{
	unsigned n = at->n_consumers;
	bool around = false;

	if (most > n)
		most = n;
	while (*looked < most) {
		++*looked;
		if (++at->ahead >= n) {
			at->ahead = 0;
			around = true;
		}
		if (at->ahead == at->cursor ||
		    mpr_consumer_is_empty(&at->consumers[at->ahead]))
			continue;
		at->cursor = at->ahead;
		at->quantum = MPR_QUANTUM;
		/* New lanes must not starve behind ever so short turns. */
		if (around)
			(void)mpr_attachment_find_lanes(at);
		return true;
	}
	return false;
}

bool
mpr_turn_pass(struct mpr_attachment *at, bool all, unsigned *looked)
{
	return pass(at, all ? at->n_consumers : MPR_LOOKS, looked);
}

void
mpr_turn_end(struct mpr_attachment *at)
{
	unsigned looked = 0;

	at->quantum = MPR_QUANTUM;
	(void)mpr_turn_pass(at, false, &looked);
}

bool
mpr_turn_go_on(struct mpr_attachment *at, unsigned *ret_looked)
{
	*ret_looked = at->left ? 0 : at->n_consumers;
	if (at->left && mpr_turn_pass(at, false, ret_looked)) {
		at->left--;
		return true;
	}
	at->left = at->n_consumers - 1;
	return false;
}

bool
mpr_turn_look_on(struct mpr_attachment *at, unsigned *looked)
{
	if (!pass(at, *looked + MPR_LOOKS, looked))
		return false;
	/* A new lane may be one more than there were. */
	if (at->left)
		at->left--;
	return true;
}
