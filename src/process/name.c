/* SPDX-License-Identifier: MIT */
/*
 * Not by printf(3), which needs so much of the stack that one more page of it has to be
 * copied after each fork.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/macros.h"
#include "base/text.h"
#include "os/generation.h"
#include "process/name.h"

MPR_CHILD_PATH void
mpr_name_make(char ret_name[MPR_NAME_MAX], const char *wanted)
{
	struct mpr_text text = { .to = ret_name, .size = MPR_NAME_MAX - 1 };
	_Atomic unsigned *started;

	memset(ret_name, 0, MPR_NAME_MAX);
	if (wanted) {
		mpr_text_add(&text, wanted);
		return;
	}
	mpr_generation(); /* makes the page ours */
	started = &atomic_load(&mpr_process_page)->started;
	mpr_text_add(&text, "process-");
	mpr_text_add_number(&text, (int64_t)atomic_fetch_add(started, 1) + 1);
}
