/* SPDX-License-Identifier: MIT */
/*
 * The objects that a manager serves: what has a name in its arena (sync/names.c).
 * Who is in the family of the server uses them there; others name them by numbers.
 */
#ifndef MPR_MANAGER_OBJECTS_H
#define MPR_MANAGER_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mproc/arena.h>
#include <mproc/queue.h>

#include "arena/arena.h"

#define MPR_OBJECT_NAME 56 /* bytes, with a zero */

/* What a new one is to be like; zero bytes where a kind has no choice. */
struct mpr_object_init {
	unsigned value, max; /* of a semaphore; or the parties of a barrier */
	bool undo;
};

/* Finds the object of @kind that has that name in @a, or makes it as @init says, NULL
 * for zero bytes, and gives it the name. Returns 0; -EPROTOTYPE if something else has
 * it; -ESTALE if the object was destroyed, and has it still; what mproc_arena_bind() and
 * the object's _create() return. */
int mpr_object_find(mproc_arena *a, enum mpr_cell_kind kind, const char *name,
		    const struct mpr_object_init *init, void **ret);

/* What a value or array is, or is to be. */
struct mpr_array_shape {
	size_t elem;	  /* bytes */
	size_t n;	  /* of them; 0: it has to be there, and has as many as it has */
	const void *init; /* or NULL */
};

/* The same for a value or array, whose kind is MPR_NO_CELL. Returns as
 * mpr_object_find(), -EPROTOTYPE also if it has another shape; -ENOENT if there is none
 * that could have any number of elements; -EINVAL; -ENOMEM. */
int mpr_object_find_array(mproc_arena *a, const char *name,
			  const struct mpr_array_shape *shape, void **ret);

/* One that a client knows by its number. */
struct mpr_object {
	void *object;
	enum mpr_cell_kind kind;
	uint32_t generation; /* of the cell, when it was found */
	char name[MPR_OBJECT_NAME];
};

struct mpr_objects {
	struct mpr_object *all;
	uint32_t n, size;
	uint32_t *table; /* of numbers, by what lies where: 2 * size; 0 is none */
};

/* Finds or makes one, and gives its number, above 0. Returns 0; -ENOMEM; as
 * mpr_object_find(). */
int mpr_objects_find(struct mpr_objects *objects, mproc_arena *a,
		     enum mpr_cell_kind kind, const char *name,
		     const struct mpr_object_init *init, int64_t *ret_id);

int mpr_objects_find_array(struct mpr_objects *objects, mproc_arena *a,
			   const char *name, const struct mpr_array_shape *shape,
			   int64_t *ret_id);

/* The same for a queue, which is made as @opts say; -EPROTOTYPE also if what has the name
 * was a queue and is none any more. */
int mpr_object_find_queue(mproc_arena *a, const char *name,
			  const struct mproc_queue_opts *opts, void **ret);
int mpr_objects_find_queue(struct mpr_objects *objects, mproc_arena *a, const char *name,
			   const struct mproc_queue_opts *opts, int64_t *ret_id);

/* Gives a number to one without a name. */
int mpr_objects_add_queue(struct mpr_objects *objects, mproc_queue *q, int64_t *ret_id);

/* Returns 0; -EINVAL if no object has had that number; -ESTALE if it was
 * destroyed. */
int mpr_objects_get(const struct mpr_objects *objects, int64_t id,
		    struct mpr_object **ret);

/* Takes its name away, if it has one, then destroys it. Returns 0, or a negative error if the name
 * could not be. */
int mpr_object_destroy(const struct mpr_object *object, mproc_arena *a);

void mpr_objects_end(struct mpr_objects *objects);

#endif
