/* SPDX-License-Identifier: MIT */
#include "os/memory.h"
#include "pool/shortage.h"

void
mpr_shortage_look(struct mpr_shortage *s)
{
	uint64_t now;
	int who = mpr_memory_kills(&now);

	/* Of the deaths behind these we were told before. */
	if (s->explained < s->counted)
		s->explained = s->counted;
	if (who != s->who || s->explained > now)
		s->explained = now;
	s->counted = now;
	s->who = who;
}

void
mpr_shortage_begin(struct mpr_shortage *s, uint64_t counted, int who)
{
	*s = (struct mpr_shortage){
		.explained = counted, .counted = counted, .who = who,
	};
}

bool
mpr_shortage_explains(struct mpr_shortage *s)
{
	uint64_t now;
	int who = mpr_memory_kills(&now);

	if (!who || who != s->who || now <= s->explained)
		return false;
	s->explained++;
	return true;
}
