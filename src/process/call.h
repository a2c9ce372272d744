/* SPDX-License-Identifier: MIT */
/*
 * What a started process is to call: its entry, with its argument.
 */
#ifndef MPR_PROCESS_CALL_H
#define MPR_PROCESS_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include <mproc/process.h>

#include "os/module.h"

struct mpr_call {
	mpr_function *fn; /* a mproc_entry, or a mproc_group_entry */
	bool is_member;	  /* the latter, which gets @index, too */
	int index;
	void *arg;
	size_t arg_size; /* of what @arg points to, to be copied; or 0 */

	/* Of this library, or NULL: what is called in its place, and makes it by
	 * mpr_call_inner(). @around_arg is for that, and NULL in a new image. */
	int (*around)(const struct mpr_call *call);
	void *around_arg;
};

static inline struct mpr_call
mpr_call_entry(mproc_entry *fn, void *arg, size_t arg_size)
{
	return (struct mpr_call){ .fn = (mpr_function *)fn,
				  .arg = arg,
				  .arg_size = arg_size };
}

/* Returns what the entry does. */
int mpr_call_run(const struct mpr_call *call);
int mpr_call_inner(const struct mpr_call *call);

#endif
