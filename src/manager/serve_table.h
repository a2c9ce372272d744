/* SPDX-License-Identifier: MIT */
/*
 * What clients ask of tables, done here.
 */
#ifndef MPR_MANAGER_SERVE_TABLE_H
#define MPR_MANAGER_SERVE_TABLE_H

#include "manager/serve_list.h"

/* Whether an operation is about two objects: the first value is the other's
 * number. */
bool mpr_serve_table_takes_other(enum mpr_remote_op op);

/* Carries out @call, which comes from a stranger: its values, and how many there
 * are, as they may be. @other: of an operation with two, or NULL. Returns its
 * result; or -EINVAL if there is no such operation. The values in .rets are the
 * caller's to be cleared, whatever it returns. */
int mpr_serve_table(const struct mpr_object *o, struct mpr_remote_call *call,
		    const struct mpr_object *other,
		    const struct mpr_serve_limits *limits);

#endif
