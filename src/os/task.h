/* SPDX-License-Identifier: MIT */
/*
 * Threads as the kernel counts them: a thread id together with a time at which
 * the thread was there names one thread for ever, whatever id is used again.
 */
#ifndef MPR_OS_TASK_H
#define MPR_OS_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum mpr_task_state {
	MPR_TASK_UNKNOWN, /* no /proc: nothing can be said */
	MPR_TASK_RUNS,	  /* exists, running, sleeping or stopped */
	MPR_TASK_GONE,	  /* ended, or a zombie, or its id is another's */
};

/* Start time of thread @tid in clock ticks since boot; 0 if unknown. */
uint64_t mpr_task_start_time(pid_t tid);

/* The calling thread's; also where /proc speaks of another PID namespace. */
uint64_t mpr_task_own_start_time(void);

/* The present, counted as start times are: nobody who runs has a later one. */
uint64_t mpr_task_now(void);

/* What became of the thread that had @tid at @time, or 0 if that is unknown: who
 * has the id but started later is another one. */
enum mpr_task_state mpr_task_probe(pid_t tid, uint64_t time);

/*
 * Whether the process @pid has ended, with all its threads, waited for or not; or,
 * unless @start is 0, the id is that of one which started later. False where
 * nothing can be said. Not to be cancelled.
 */
bool mpr_task_process_ended(pid_t pid, uint64_t start);

/* Which PID namespace this process is in, for as long as it lives: ids of
 * another one mean nothing here. 0 if unknown. */
uint64_t mpr_task_namespace(void);

/* What the process @parent has got for that, before it forked this one: the kernel is not
 * asked again, unless we are somebody else's child: then it returns false. */
bool mpr_task_inherit_namespace(pid_t parent, uint64_t namespace);

/* How many threads this process has; 1 as long as it has never had another, which
 * costs nothing to tell; 0 where nothing can be said. */
unsigned mpr_task_threads(void);

/* Whether @n threads, of which the calling one is one, are all that is left of its
 * process: the first one has ended, and so have all others. False where nothing can
 * be said. */
bool mpr_task_are_last(unsigned n);

/* How often another thread has had the CPU although this process's had not done with
 * it, of all its threads. */
uint64_t mpr_task_preempted(void);

pid_t mpr_task_pid(void);
pid_t mpr_task_tid(void);

/* Lets another thread run. */
void mpr_task_yield(void);

#endif
