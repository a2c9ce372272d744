/* SPDX-License-Identifier: MIT */
/*
 * What lies below every world of processes, in place of the kernel: time,
 * sleep, death, and who calls. Fiber f is the participant in slot f.
 *
 * Time stands still while anybody can go on by himself, but where the scenario
 * is hasty: there each look at the clock takes some. A sleep ends by a wake-up;
 * by itself, as at the end of a slice, where the world has its sleepers look
 * for the dead; and at its deadline, where the world lets that happen.
 */
#ifndef EXPLORE_FAKES_H
#define EXPLORE_FAKES_H

#include <stdbool.h>
#include <stdint.h>

#include <mproc/arena.h>

#include "explorer.h"

struct mpr_self;

/* Before each schedule. */
void explore_fakes_begin(bool hasty);

/* explore_park.c, for that. */
void explore_park_begin(void);

/* Whether somebody is dead and was not recovered from. */
bool explore_has_unburied(void);

/* What a world says of itself. */

mproc_arena *world_arena(void);
unsigned world_fibers(void);

/* The participant that @fiber, which is the one that runs, is. */
struct mpr_self *world_self(unsigned fiber);

/* @fiber is about to sleep until a wake-up since @ticket. Returns the ticket to
 * go by. */
uint32_t world_ticket(unsigned fiber, uint32_t ticket);

/* Whether sleepers wake up by themselves, to look for the dead. */
bool world_may_look(void);

/* Whether it may be late for a deadline of @fiber that is no more than 1 ms
 * away. */
bool world_may_run_out_of_time(unsigned fiber);
bool world_is_interrupted(unsigned fiber);

/* @fiber returns because of the interrupt. */
void world_answer(unsigned fiber);

#endif
