/* SPDX-License-Identifier: MIT */
/*
 * The watcher: the thread of a process that waits for all things in an arena of
 * which the process wants to be told (ipc/watched.h); one for each arena, as a
 * thread sleeps in one. It runs from the first thing on, and ends with the last, or
 * a moment after that if it had a bell. It looks at queues without a lock.
 *
 * What it watches, a thing, is found by what wakers tell it (sync/told.h), so
 * that a wake-up costs what was told and what was noted by the process's own
 * threads, not what is watched: one of 10,000 things has the watcher look at the
 * seats of ten. As a waker may be stopped before it tells, things are also looked
 * at without being told: up to THOROUGH_MOST of them every 50 ms, in turn. So all
 * of 10,000 are within two seconds, by 5,000 looks a second; where n sleep in the
 * arena, n times as long, as the watcher sleeps for slices, too (sync/park.h).
 */
#ifndef MPR_IPC_WATCHER_H
#define MPR_IPC_WATCHER_H

/* The thread's function. */
void *mpr_watcher(void *arena);

#endif
