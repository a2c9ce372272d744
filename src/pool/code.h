/* SPDX-License-Identifier: MIT */
/*
 * Functions that workers call, as numbers in shared memory.
 *
 * Where the keeper is a copy of the creator the number is the address, for who has the same
 * image; before it, for a function of a library, which one that is: {0 1, library 6, address
 * 57}. Copies of the creator have what it has loaded before them, not what it has loaded since;
 * so a worker looks whether what lies there is that library. Of what no library with a mark
 * has it can only see whether there is code. The program is there always, and in it nobody
 * looks for anything.
 *
 * Where the keeper has an image of its own, and for who has another one than the creator, it
 * is {1 1, module 15, offset 48}: module 0 is the program, which is the same for all of them.
 *
 * Marks of libraries stand in the root in the order in which somebody first named a function
 * there. A number is as good for the next keeper as for this one. No address of a program has
 * one of the first seven bits, so which of the two it is does not depend on other words.
 *
 * Copies of the creator look for nothing in the loader's list, as another thread of it may
 * have had its lock: they ask what lies at an address. So who has another image than they can
 * name no library there.
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
 * with an error detail: it is not here, or somebody has scribbled. */
mpr_function *mpr_code_find(const struct mpr_pool_use *u, uint64_t code);

#endif
