/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "process/report.h"

static char
cleaned(char c)
{
	return c == '\n' || (c >= ' ' && c <= '~') ? c : '?';
}

char *
mpr_report_copy(struct mpr_record *record)
{
	/* Acquire pairs with the release of whoever wrote the text: what the
	 * length covers is there. Read once, as all here: others that have the
	 * page may still be writing. */
	size_t length = atomic_load_explicit(&record->reported,
					     memory_order_acquire);
	const _Atomic char *text = mpr_record_report(record);
	char *copy;

	if (length == 0)
		return NULL;
	if (length > MPR_REPORT_SIZE)
		length = MPR_REPORT_SIZE;
	copy = mpr_malloc(length + 1);
	if (!copy)
		return NULL;
	for (size_t i = 0; i < length; i++)
		copy[i] = cleaned(atomic_load_explicit(&text[i],
						       memory_order_relaxed));
	copy[length] = '\0';
	return copy;
}
