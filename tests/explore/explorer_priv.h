/* SPDX-License-Identifier: MIT */
/*
 * Between the parts of the explorer: fibers (explorer.c), choices
 * (explore_tape.c), accesses (explore_access.c) and what they find
 * (explore_memory.c).
 */
#ifndef EXPLORER_PRIV_H
#define EXPLORER_PRIV_H

#include "explorer.h"

/* explorer.c */

/* Comes before each access: others may run, or the fiber may end here. */
void explore_step(void);

/* How far back to read, 0 to @max; anything but 0 counts as staleness. */
unsigned explore_choose_stale(unsigned max);

/* A line of the trace, if there is one. */
void explore_note(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* explore_tape.c */

/* One of @n ways to go on, 0 to @n - 1; all of them are tried. */
unsigned explore_choose(unsigned n);

/* Before the first schedule, before each, and after each; the last one returns
 * false if there are no more. */
void explore_tape_clear(void);
void explore_tape_rewind(void);
bool explore_tape_next(void);

/* explore_access.c */

/* Forgets what fibers were about. */
void explore_access_begin(void);

/* What a mutant has put off happens now. */
void explore_access_settle(void);

/* explore_memory.c: a machine with views. Words go by number. */

/* A piece of shared memory. */
struct explore_region {
	uintptr_t begin, end;
	unsigned id;
	unsigned first; /* word */
	const char *name;
};

/* Forgets all shared memory. */
void explore_memory_begin(void);

/* The word that @object is, and the region it lies in; it is shared. */
unsigned explore_memory_find(const volatile void *object,
			     const struct explore_region **ret_region);

/* Fiber @fiber reads: any store to the word that it may still read, the newest
 * one, or the one that it read there last. */
uint64_t explore_memory_read(unsigned fiber, unsigned at, memory_order order);
uint64_t explore_memory_read_newest(unsigned fiber, unsigned at,
				    memory_order order);
uint64_t explore_memory_read_again(unsigned fiber, unsigned at);

/* Appends a store; @modifies if it is the second half of a
 * read-modify-write. */
void explore_memory_write(unsigned fiber, unsigned at, uint64_t value,
			  memory_order order, bool modifies);

void explore_memory_fence(unsigned fiber, memory_order order);

/* @fiber knows what @other knew. */
void explore_memory_inherit(unsigned fiber, unsigned other);

/* What an order implies. */
bool explore_acquires(memory_order order);
bool explore_releases(memory_order order);

#endif
