/* SPDX-License-Identifier: MIT */
/*
 * Processes with an image of their own, in themselves.
 *
 *   loaded: the plan is found, the arena adopted, the parent followed
 *   the program's start: the entry is found, the options are applied, the
 *     parent says go
 *   the program's constructors
 *   in place of main(): the entry
 */
#ifndef MPR_PROCESS_SPAWNED_H
#define MPR_PROCESS_SPAWNED_H

#include <stdbool.h>

/* Whether this process has an image of its own, and has not come to its entry; or a
 * library is being loaded for that, which has constructors as well. */
bool mpr_spawned_is_early(void);
void mpr_spawned_set_early(bool is);

/* Whether this program, begun anew, would run an entry in place of main(). */
bool mpr_spawned_can_be(void);

/* What it is begun with. */
char *const *mpr_spawned_argv(void);

#endif
