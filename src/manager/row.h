/* SPDX-License-Identifier: MIT */
/*
 * Calls with many values, which are a row of their own in one of the others, on their
 * way to a manager and back; and values that come, as the user gets them.
 */
#ifndef MPR_MANAGER_ROW_H
#define MPR_MANAGER_ROW_H

#include "containers/remote.h"
#include "manager/buffer.h"

/* A value is the user's then, and a text has a 0 behind it. Both may be the same.
 * Returns 0 or -ENOMEM. */
int mpr_row_take(const struct mproc_any *from, struct mproc_any *to);

/* Makes the call's many values its last argument, at *@row, which stays until it is
 * over. Returns 0; -EMSGSIZE; -ENOMEM, without a text. */
int mpr_row_pack(struct mpr_remote_call *call, struct mpr_buffer *row, size_t limit);

/* Gives the caller the many values that came. Returns 0; -EBADMSG, -ENOMEM: then it
 * has none. */
int mpr_row_unpack(struct mpr_remote_call *call);

#endif
