/* SPDX-License-Identifier: MIT */
#include "os/memory.h"
#include "pool/shortage.h"

void
mpr_shortage_look(struct mpr_shortage *s)
{
	uint64_t now = mpr_memory_kills();

	/* Of the deaths behind these we were told before. */
	if (s->explained < s->counted)
		s->explained = s->counted;
	/* Also if it is another group's now. */
	if (!s->begun || s->explained > now)
		s->explained = now;
	s->counted = now;
	s->begun = true;
}

bool
mpr_shortage_explains(struct mpr_shortage *s)
{
	if (!s->begun || mpr_memory_kills() <= s->explained)
		return false;
	s->explained++;
	return true;
}
