/* SPDX-License-Identifier: MIT */
/*
 * The beginning and the end of a thread.
 */
#ifndef MPR_OS_THREAD_H
#define MPR_OS_THREAD_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Starts a thread that runs @fn(@arg) and that nobody waits for. It takes no
 * signals but those of its own crashes, so that the program's handlers run
 * elsewhere. Returns 0, -EAGAIN or -ENOMEM.
 *
 * A process does not go on for such threads. They are counted from their start until
 * each has said that it is over, and all three are done with the process lock held:
 * one that ended between the count and a look at how many there are would make one of
 * the program's pass for it.
 */
int mpr_thread_start(void *(*fn)(void *arg), void *arg);
void mpr_thread_is_over(void);

/* Whether no others are left. */
bool mpr_thread_are_last(void);

/*
 * A thread of the program's, which somebody joins; it is the caller's memory until then.
 */
struct mpr_thread {
	void (*fn)(void *arg);
	/* Called at its end, also if @fn leaves by pthread_exit() or is cancelled; and
	 * in a child that @fn has forked, if it returns there. */
	void (*over)(void *arg);
	void *arg;
	pthread_t id;
};

/* Starts it. It takes no signals, as above, until @fn allows them. Returns 0, -EAGAIN or
 * -ENOMEM. */
int mpr_thread_run(struct mpr_thread *t);

/* Waits for its end. No cancellation point. */
void mpr_thread_join(const struct mpr_thread *t);

/* Lets others go first. */
void mpr_thread_yield(void);

/* How ps and debuggers call the calling thread; up to 15 bytes. */
void mpr_thread_show_name(const char *name);

/* What is done when threads end. It stays for as long as the program runs. */
struct mpr_thread_hook {
	void (*fn)(void *arg);
	_Atomic uint64_t key; /* and 1; 0 as long as there is none */
};

/*
 * Has the hook's function run with @arg, which is not NULL, when the calling thread
 * ends, if it ends in order; once, whatever was said before. Not run at the end of the
 * process. Returns 0, -EAGAIN or -ENOMEM.
 */
int mpr_thread_at_exit(struct mpr_thread_hook *hook, void *arg);

/* A thread in the middle of something must not be cancelled there. Returns what
 * mpr_thread_allow_cancel() is to be given afterwards. */
int mpr_thread_forbid_cancel(void);
void mpr_thread_allow_cancel(int before);

/* Between these two no signal handler runs on the calling thread, but those of its own
 * crashes: one might fork, and return in both processes, where there must be one only
 * who goes on. May be nested. */
void mpr_thread_forbid_signals(sigset_t *ret_before);
void mpr_thread_allow_signals(const sigset_t *before);

#endif
