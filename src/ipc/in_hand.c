/* SPDX-License-Identifier: MIT */
#include "ipc/attachment.h"
#include "ipc/in_hand.h"
#include "ipc/queue_put.h"

void
mpr_in_hand_each(void (*fn)(const struct mpr_in_hand *h, void *ctx), void *ctx)
{
	/* A forked child's are its parent's. */
	if (!mpr_attachments.all ||
	    mpr_attachments.generation != mpr_generation())
		return;
	for (struct mpr_attachment *at = mpr_attachments.all; at;
	     at = at->next) {
		struct mpr_in_hand h = {
			.queue = at->q,
			.unfinished = at->held.n,
			.peeked = at->shown != NULL,
			.reserved = mpr_put_reserved(at) != NULL,
		};

		if (h.unfinished || h.peeked || h.reserved)
			fn(&h, ctx);
	}
}
