/* SPDX-License-Identifier: MIT */
/*
 * The single-step killer: proves that an operation may be killed anywhere.
 *
 * A victim process runs the operation under ptrace and is killed after exactly
 * n of its instructions; then a survivor, in the test itself, looks at what it
 * left behind. This is done for n = 0, 1, 2, ... up to the last instruction,
 * with fresh objects each time. What a test of this kind has passed does not
 * depend on luck or timing.
 *
 * First a dry run counts the instructions, lets the victim finish, and notes
 * the points that matter most: both sides of each system call and of each
 * instruction that changed the shared memory, as .fingerprint sees it. If nobody
 * else is there, or all others sleep (mpt_others.c), all the bytes that the victim
 * shares are compared after each step, and the list of its robust mutexes
 * (mpt_remains.c). Between two points that matter a kill then leaves the very same
 * behind wherever it comes, so one of them stands for all. Two dry runs in a row, of
 * four, must come by the same points, and so must the victims that are killed there.
 *
 * The victim is killed at all points that matter. Of the others it is killed at
 * some chosen by mpt_seed(): at 50, if they were shown to make no difference, in
 * case that this victim does what the one of the dry run did not. Behind a system
 * call that wakes others, two are killed at each point that matters: one at once, and
 * one when they sleep again. If it was not shown, because others are awake, not all
 * can be seen, or victims are not alike, it is killed at the first .every and at
 * .budget more. They are thinned out evenly to .max_cases if that is set.
 * MPT_STEP=full kills at each instruction. Of one that repeats itself, the
 * repetitions 1, 2, 4, 8 ... are taken; and there of a loop that changes nothing that
 * .fingerprint sees, from the 17th round on, 32, 64 ....
 *
 *	static void victim(void *arg)
 *	{
 *		mpt_step_begin();
 *		put(arg, 1);
 *		mpt_step_end();
 *	}
 *
 *	mpt_stepper_run(t, &(struct mpt_stepper_opts){
 *		.name = "put",
 *		.victim = victim,
 *		.before = make_queue,
 *		.survivor = check_queue,
 *		.arg = q,
 *	}, &result);
 *
 * A victim that falls asleep in a system call is killed there, and the
 * instruction it sleeps in is the last one of the operation. The victim has
 * one thread. Do not run this under a sanitizer or valgrind: it would step
 * through their code.
 *
 * Environment: MPT_STEP=full kills at every instruction whatever the options
 * say, MPT_STEP=quick at no more than 64 points, MPT_STEP=<n> after n
 * instructions only (to look at one failure again).
 */
#ifndef MPT_STEP_H
#define MPT_STEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mpt.h"

/*
 * Zero fields have the meaning given in parentheses.
 *
 * @name:        of the operation, for messages (required)
 * @victim:      runs in a forked child; calls mpt_step_begin() and
 *               mpt_step_end() once, around the operation (required)
 * @before:      runs in the test before each fork: fresh objects (none)
 * @survivor:    runs in the test after each death, with cmocka asserts and
 *               mpt_check(): the victim @victim has executed @n instructions;
 *               @finished says that the operation was complete (required)
 * @fingerprint: runs in the test during the dry run: a hash of the memory of
 *               interest, to find the instructions that change it (none)
 * @arg:         handed to all of them
 * @every:       all instructions up to this one (1000)
 * @budget:      how many chosen points beyond that (200)
 * @max_cases:   no more points than this: the ones that matter, the others
 *               spread evenly (no limit)
 * @keep_zombie: leave the victim unreaped while the survivor runs (reaped)
 * @forks:       the operation forks: its child would run into a breakpoint in
 *               the text
 * @in_text:     break in the text even if the processor can do without
 * @walks:       step all the way, without breakpoints
 * @chance:      what a victim does is not what the dry run did, even if nobody else
 *               is awake: choose as if somebody were
 * @exits:       the operation does not come to mpt_step_end(), it ends with the
 *               victim's exit, with whatever code
 * @limit:       the operation is over after so many instructions, if it has not ended
 *               before. For one that ends by a sleep until some time: stepped, it
 *               may be too late for that each time, and go on for ever (none)
 */
struct mpt_stepper_opts {
	const char *name;
	void (*victim)(void *arg);
	void (*before)(void *arg);
	void (*survivor)(void *arg, pid_t victim, unsigned long n,
			 bool finished);
	uint64_t (*fingerprint)(void *arg);
	void *arg;
	unsigned long every;
	unsigned long budget;
	unsigned long max_cases;
	bool keep_zombie;
	bool forks;
	bool in_text;
	bool walks;
	bool chance;
	bool exits;
	unsigned long limit;
};

/*
 * @instructions: of the operation, in the dry run
 * @cases:        calls of the survivor, those after the dry runs included: one, or
 *                two to six if the first was exact; in a full run one
 * @syscalls:     instructions that were system calls, in the dry run
 * @changes:      instructions that changed the fingerprint
 * @others:       instructions that changed nothing in it, but something else that a
 *                killed victim leaves behind, as far as known
 * @exact:        all of these are known, and hold for all victims: see above
 * @asleep:       victims that were killed while they slept in the kernel
 * @astray:       victims that did not come to the breakpoint before their point;
 *                each is one more case
 */
struct mpt_stepper_result {
	unsigned long instructions;
	unsigned long cases;
	unsigned long syscalls;
	unsigned long changes;
	unsigned long others;
	bool exact;
	unsigned long asleep;
	unsigned long astray;
};

/**
 * mpt_stepper_run() - kill a victim at every instruction of an operation
 * @t:   scenario; each case has the whole time of its watchdog
 * @o:   what to do
 * @ret: receives what was done; may be NULL
 *
 * The dry runs, in which the victim finishes, come first, then the kills in
 * ascending order; and once more, if it turns out meanwhile that points were left
 * out that should not. The numbers are printed as a TAP comment. Fails the test
 * when a check of the survivor or victim fails, when the victim dies by itself,
 * and when ptrace is not permitted. When a survivor fails, the message at the
 * end of the scenario says after how many instructions the victim was killed.
 */
void mpt_stepper_run(struct mpt *t, const struct mpt_stepper_opts *o,
		     struct mpt_stepper_result *ret);

/**
 * mpt_step_begin(), mpt_step_end() - mark the operation in a victim
 *
 * Do nothing in any other process. The few instructions of the return from the
 * first and of the call of the second belong to the operation.
 */
void mpt_step_begin(void);
void mpt_step_end(void);

#endif
