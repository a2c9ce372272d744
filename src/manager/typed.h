/* SPDX-License-Identifier: MIT */
/*
 * An object of a registered type in shared memory: a value (sync/value.h) that begins
 * with what type it is of, and whose rest is the state that the methods work on. So it
 * has a lock, which says whether a method has died in the middle.
 */
#ifndef MPR_MANAGER_TYPED_H
#define MPR_MANAGER_TYPED_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include <mproc/sync.h>

#include "manager/objects.h"
#include "manager/types.h"

#define MPR_TYPED_MAGIC UINT64_C(0x6465707974000000) /* and its offset */

struct mpr_typed {
	uint64_t magic;
	char type[MPR_OBJECT_NAME]; /* padded with zeroes */
	uint64_t size;		    /* of the state */
	uint64_t pad[7];
	unsigned char state[];
};

static_assert(sizeof(struct mpr_typed) == 128, "shared layout");

/* Whether a value of the arena, or an array, is such an object. */
bool mpr_typed_is(const mproc_arena *a, const void *value);

/* For what a client has written: that does not make an object of an array, whose methods
 * would rely on it. Returns whether it would have. */
bool mpr_typed_undo(const mproc_arena *a, void *value);

/* Differs from that of what was or will be at the same address. */
uint32_t mpr_typed_generation(const struct mpr_typed *o);

/* Its lock, or NULL, with a text: it was destroyed. */
mproc_lock *mpr_typed_lock(const struct mpr_typed *o);

/* Finds the object of that name. Returns 0; -ENOENT; -EPROTOTYPE if something else
 * has it; -ESTALE if it was destroyed, and has it still. */
int mpr_typed_find(mproc_arena *a, const char *name, struct mpr_typed **ret);

/* The same; or makes one of @type. -EPROTOTYPE, too, if that one is of another type,
 * or its state of another size. */
int mpr_typed_make(mproc_arena *a, const struct mpr_type *type, const char *name);

/* Takes its name away, then destroys it. Returns 0, or as mpr_typed_find(). */
int mpr_typed_destroy(mproc_arena *a, const char *name);

#endif
