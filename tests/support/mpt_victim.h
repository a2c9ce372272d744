/* SPDX-License-Identifier: MIT */
/*
 * A process that runs an operation under the single-step killer, and how it is moved on.
 */
#ifndef MPT_VICTIM_H
#define MPT_VICTIM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mpt_step.h"

/* What a victim did when it was told to go on. */
enum mpt_stop {
	MPT_STOP_TRAP,		/* a step was made, or the breakpoint reached */
	MPT_STOP_END,		/* it stands at the end mark, or has exited */
	MPT_STOP_ASLEEP,
};

struct mpt_victim {
	struct mpt *t;
	const struct mpt_stepper_opts *o;
	pid_t pid;
	int signal;		/* to be delivered with the next step */
	bool signalled;		/* since that was last cleared */
	long faults;		/* of pages, up to the last stop; if it is compared */
};

/* Fails the test, with errno. */
_Noreturn void mpt_victim_fail(struct mpt_victim *v, const char *what);

/* Makes one that stands behind its begin mark. */
void mpt_victim_start(struct mpt_victim *v);

/* It is moved on between these two: sleep is noticed, and it has a CPU with the test. */
void mpt_victim_take(const struct mpt_victim *v);
void mpt_victim_let_go(void);

/* Moves it on, for one instruction or until something happens; @n is only for
 * messages. */
enum mpt_stop mpt_victim_advance(struct mpt_victim *v, bool single,
				 unsigned long n);

/* Lets it run to the @visit-th visit of @pc. */
enum mpt_stop mpt_victim_run_to_visit(struct mpt_victim *v, uintptr_t pc,
				      unsigned visit);

/*
 * The same for the first visit, by changing the text. Where that cannot be, as
 * in the vdso, it returns false and the victim has not moved.
 */
bool mpt_victim_run_to(struct mpt_victim *v, uintptr_t pc, enum mpt_stop *ret);

/* Lets one that stands at the end mark run to its end; it stays a zombie. */
void mpt_victim_finish(struct mpt_victim *v);

uintptr_t mpt_victim_pc(struct mpt_victim *v);
void mpt_victim_set_pc(struct mpt_victim *v, uintptr_t pc);

/* A word of its text. They return false where there is none, or it may not change. */
bool mpt_victim_read(struct mpt_victim *v, uintptr_t pc, unsigned long *ret);
bool mpt_victim_write(struct mpt_victim *v, uintptr_t pc, unsigned long word);

#endif
