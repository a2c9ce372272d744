/* SPDX-License-Identifier: MIT */
/*
 * Functions that workers call, as numbers in shared memory.
 *
 * Where the keeper is a copy of the creator the number is the address, for who has the same
 * image. Where it has an image of its own, and for who has another one than the creator, it is
 * {1 1, module 15, offset 48}: module 0 is the program, which is the same for all of them; the
 * others are libraries, whose marks stand in the root in the order in which somebody first
 * named a function there. A number is as good for the next keeper as for this one. No address
 * of a program has the first bit, so which of the two it is does not depend on other words.
 *
 * Copies of the creator look for nothing in libraries, as another thread of it may have had
 * the loader's lock; so who has another image than they can name none there.
 */
#ifndef MPR_POOL_CODE_H
#define MPR_POOL_CODE_H

#include "os/module.h"
#include "pool/pool_shm.h"

/* What the root's image is of pools whose keepers this process can start, and whose method
 * is that of this one. Returns 0, or -ENOEXEC: the program has no build-id. */
int mpr_code_image(const struct mpr_pool_use *u, uint64_t *ret_image);

/* Whether a pointer means to workers what it means to this process, wherever it leads. */
bool mpr_code_has_memory(const struct mpr_pool_use *u);

/* Returns 0, or -ENOEXEC: no worker could find it. */
int mpr_code_of(const struct mpr_pool_use *u, mpr_function *fn, uint64_t *ret_code);

/* The function, in the keeper, in a worker, or where tasks are run that have none; or NULL,
 * with an error detail: it is in a library that is not here, or somebody has scribbled. */
mpr_function *mpr_code_find(const struct mpr_pool_use *u, uint64_t code);

#endif
