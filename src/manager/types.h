/* SPDX-License-Identifier: MIT */
/*
 * The types of a program's own that a server serves: copies in its private memory, of
 * which its workers have copies in turn. docs/decisions/0103-methods-run-in-workers.md
 */
#ifndef MPR_MANAGER_TYPES_H
#define MPR_MANAGER_TYPES_H

#include <mproc/manager.h>

#include "manager/buffer.h"
#include "manager/objects.h"

struct mpr_type {
	struct mpr_type *next;
	struct mproc_type is; /* what it points to is the type's */
	struct mproc_type_method methods[];
};

struct mpr_types {
	struct mpr_type *all;
};

/* What the user may register. Returns 0; -EINVAL, -E2BIG, -ENAMETOOLONG, with a
 * text. */
int mpr_type_check(struct mproc_type *ret, const struct mproc_type *type);

/* Adds a copy of one that was checked. Returns 0; -EEXIST; -ENOMEM. */
int mpr_types_add(struct mpr_types *types, const struct mproc_type *type);

/* One whose name is of @len bytes; NULL, with a text, if there is none. */
const struct mpr_type *mpr_types_find(const struct mpr_types *types, const char *name,
				      size_t len);

/* The number of a method; or -ENOSYS, with a text. */
int mpr_type_method(const struct mpr_type *type, const struct mproc_any *name);

/* Whether the method takes such values. Returns 0, or -EINVAL with a text. */
int mpr_type_check_args(const struct mpr_type *type, unsigned method,
			const struct mproc_any *args, size_t n);

/*
 * A type on its way to a process that was forked from this one, and has the same code
 * at the same addresses. Returns 0, -EMSGSIZE or -ENOMEM.
 */
int mpr_type_pack(struct mpr_buffer *to, const struct mproc_type *type);

/* Adds what mpr_type_pack() has written. Returns as mpr_types_add(), or -EBADMSG. */
int mpr_types_unpack(struct mpr_types *types, const unsigned char *bytes, size_t len);

void mpr_types_end(struct mpr_types *types);

#endif
