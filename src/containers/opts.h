/* SPDX-License-Identifier: MIT */
/*
 * The options of containers, which are the same for all kinds.
 */
#ifndef MPR_CONTAINERS_OPTS_H
#define MPR_CONTAINERS_OPTS_H

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include <mproc/containers.h>

#include "base/error.h"
#include "base/opts.h"

/* Each of them has what this one has, and where this one has it. */
#define MPR_SAME_OPTS(type)                                                   \
	static_assert(sizeof(struct type) == sizeof(struct mproc_dict_opts) && \
			      offsetof(struct type, arena) ==                 \
				      offsetof(struct mproc_dict_opts, arena), \
		      "options of containers differ")

MPR_SAME_OPTS(mproc_list_opts);
MPR_SAME_OPTS(mproc_namespace_opts);
MPR_SAME_OPTS(mproc_set_opts);

/* Where a container is to be made that @ret receives, NULL for the default arena.
 * Returns 0; -EINVAL, -E2BIG. */
static inline int
mpr_container_opts(const void *ret, const void *opts, mproc_arena **ret_a)
{
	struct mproc_dict_opts o;
	int r;

	*ret_a = NULL;
	if (!ret)
		return mpr_fail(-EINVAL, "the pointer that receives the "
				"container is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		*ret_a = o.arena;
	return r;
}

#endif
