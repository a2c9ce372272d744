/* SPDX-License-Identifier: MIT */
/*
 * What the files of the test support library share with each other.
 */
#ifndef MPT_PRIV_H
#define MPT_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "mpt.h"

/* Slots beyond those of the roles. */
enum {
	MPT_SLOT_TEST = MPT_ROLES,	/* the test itself */
	MPT_SLOT_VICTIM,		/* the process under the stepper */
	MPT_SLOT_STRAY,			/* threads and forks, not roles */
	MPT_SLOTS
};

enum mpt_reported {
	MPT_NO_REPORT,
	MPT_WRITING,
	MPT_WRITTEN,			/* the text is valid */
	MPT_SHOWN,			/* and the test has failed with it */
};

/* What one role tells the others, in memory shared by all. */
struct mpt_slot {
	_Atomic(pid_t) pid;
	atomic_uint reported;		/* enum mpt_reported */
	atomic_uint ended;		/* the thread's function is over */
	_Atomic(const char *) waits;	/* what it last waited for; a literal */
	char role[32];
	char text[416];			/* of the first failed check */
};

struct mpt_shared {
	_Atomic(uint32_t) step;
	uintptr_t base;			/* where the test's program lies */
	atomic_uint failures;		/* not 0: whoever waits gives up */
	struct mpt_slot slots[MPT_SLOTS];
	_Alignas(4096) unsigned char scratch[MPT_SCRATCH];
};

/* What only the test knows about a role. */
struct mpt_role {
	struct mpt *t;
	mpt_fn *fn;
	void *arg;
	pthread_t thread;
	struct mproc_process *handle;	/* if the library started it */
	int id;
	bool is_copy;			/* forked, whatever MPT_METHOD says */
	bool is_thread;
	bool paused;
	bool killed;			/* by mpt_kill_unreaped() */
	bool done;			/* joined or reaped */
};

/* A list of things the process owns, one line of text each. */
struct mpt_leak {
	char *text;
	size_t len;
	size_t size;
};

struct mpt {
	const char *name;
	pid_t pid;
	pid_t tid;
	struct mpt_shared *shared;
	int shared_fd;			/* or -1 */
	bool is_in_arena;
	struct mpt_leak before;
	unsigned watchdog_seconds;
	unsigned n_roles;
	unsigned n_handles;
	bool threads;
	bool was_subreaper;
	pid_t victim;			/* of the stepper, not yet reaped */
	void *step_points[2];		/* the stepper's; freed at teardown */
	struct mpt_others *others;	/* likewise */
	struct mpt_remains *remains;
	char note[160];			/* what a longer run was just doing */
	struct mpt_role roles[MPT_ROLES];
};

/* mpt.c */

/* First thing in a forked child: makes it the role of that slot. */
void mpt_child_begin(struct mpt *t, unsigned slot);

/* Last thing in a forked child. */
_Noreturn void mpt_child_end(int code);

/* How a process ended, as text. */
const char *mpt_end_text(char buf[64], int status);

/* The text a slot reported, or NULL. */
const char *mpt_report(struct mpt *t, unsigned slot);

/* Sends SIGKILL and waits until the child is a zombie; does not reap it. */
void mpt_slay(pid_t pid);

/* Waits at most @ms milliseconds in the kernel, for nothing in particular. */
void mpt_nap(unsigned ms);

/* mpt_method.c */

/* Where a process with an image of its own finds the scenario: a variable. */
#define MPT_PLACE "MPT_SCENARIO"

/* A zeroed scenario with its shared pages, or NULL. */
struct mpt *mpt_method_make(void);

/* The same literal where the test has it. */
const char *mpt_method_literal(const struct mpt *t, const char *text);

/* Before and after the leak check. */
void mpt_method_unshare(struct mpt *t);
void mpt_method_free(struct mpt *t);

/* Starts a role by MPT_METHOD. Returns its id, or 0 if it is to be forked. */
pid_t mpt_method_start(struct mpt *t, struct mpt_role *role, const char *name);

/* One that was to be a copy in any case. */
void mpt_method_copied(void);

/* Descriptors that this process has for its roles. */
unsigned mpt_method_fds(void);

/* Whether it is a fork server and those are the means of this run, not what is tested. */
bool mpt_method_is_server(pid_t pid);

/* Ends the test's fork server, and waits for those of processes that are dead. */
void mpt_method_end_servers(void);

/* Whatever a test needs of that is there before it begins. Returns 0 or -1. */
int mpt_method_begin(void);

/* Gives back what the library has for the roles, which have ended. */
void mpt_method_end(struct mpt *t);

/* mpt_others.c */

/* Who is there beside a victim: threads of the test, and all that descend from it. */
struct mpt_others;

/* Waits until they sleep. Returns NULL if they do not, or are too many. */
struct mpt_others *mpt_others_new(pid_t victim);
void mpt_others_free(struct mpt_others *o);
unsigned mpt_others_count(const struct mpt_others *o);

/* Whether one of them has run since the last look. */
bool mpt_others_ran(struct mpt_others *o);

/* Waits until they sleep again. Returns false if they do not, or are others than
 * they were. */
bool mpt_others_settle(struct mpt_others *o, bool *ret_ran);

/* mpt_remains.c */

/* What is left of a process when it is killed, as bytes. */
struct mpt_remains;

/* Has a look at a stopped child, a fork. Returns NULL if not all can be seen. */
struct mpt_remains *mpt_remains_new(struct mpt *t, pid_t pid);
void mpt_remains_free(struct mpt_remains *m);

/* Another look, after a system call, for it may share something else now.
 * Returns false if not all can be seen any more. */
bool mpt_remains_look(struct mpt_remains *m);

/* Whether anything has changed since the last look; @faults is how many page faults it
 * has had. */
bool mpt_remains_changed(struct mpt_remains *m, long faults, bool *ret_known);

/* mpt_step.c */

/* What a run has, if a check has failed in it. */
void mpt_stepper_free(struct mpt *t);

/* mpt_watch.c */

/* Gives the scenario its whole watchdog time again. */
void mpt_watch_start(struct mpt *t);
void mpt_watch_stop(void);

/* mpt_leak.c */

void mpt_leak_take(struct mpt_leak *l);
void mpt_leak_drop(struct mpt_leak *l);

/*
 * Compares what the process owns with an earlier list, prints each
 * difference, and removes leaked children and names. Returns their number.
 */
unsigned mpt_leak_report(const struct mpt_leak *before);

/* Children of this process, zombies included; at most @size of them. */
unsigned mpt_children(pid_t *ret, unsigned size);

/* Whether that is somebody's fork server, alive or dead. */
bool mpt_is_server(pid_t pid);

/* Whether any other thread of this process does not sleep. */
bool mpt_threads_run(void);

/* Whether the process was a child when the list was taken. */
bool mpt_leak_has_child(const struct mpt_leak *l, pid_t pid);

#endif
