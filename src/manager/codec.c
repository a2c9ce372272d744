/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "ipc/wire.h"
#include "manager/codec.h"

int
mpr_codec_next(struct mpr_frame *ret, const unsigned char *bytes, size_t len,
	       size_t limit)
{
	struct mpr_wire_head head = { .have = 0 };
	uint64_t n;
	int r;

	*ret = (struct mpr_frame){ .message = NULL };
	if (len < MPR_WIRE_SHORT)
		return 0;
	r = mpr_wire_feed(&head, bytes, MPR_WIRE_SHORT, &n);
	if (r < 0)
		return r;
	/* Of those that have more bytes before them none is short enough. */
	if (r == 0 || n > limit)
		return -EMSGSIZE;
	ret->message = bytes + MPR_WIRE_SHORT;
	ret->len = (size_t)n;
	ret->whole = MPR_WIRE_SHORT + ret->len;
	return len >= ret->whole;
}
