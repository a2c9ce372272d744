/* SPDX-License-Identifier: MIT */
/* Whether sleepers are told of the ends of others at once. */
#ifndef BESIDE_H
#define BESIDE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/parker.h"

static inline bool
can_sleep_beside(void)
{
	/* No call: which it says if there is one. */
	return mpr_parker_kind == 1 &&
	       syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) < 0 &&
	       errno == EINVAL;
}

#endif
