/* SPDX-License-Identifier: MIT */
/*
 * What a started process knows of itself, and does around its entry.
 */
#ifndef MPR_PROCESS_SELF_H
#define MPR_PROCESS_SELF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include <mproc/process.h>

#include "os/child.h"
#include "os/crash.h"
#include "os/file.h"
#include "process/call.h"
#include "process/record.h"

#define MPR_NAME_MAX 64

/* Where a process with an image of its own finds the board (testing/board.h) of the
 * test that it belongs to, if it does: a file that another process has. */
struct mpr_self_ticket {
	int32_t owner; /* process id, or 0: there is none */
	int32_t fd;    /* in the owner */
	uint64_t device, inode;
	char abort_env[MPR_NAME_MAX]; /* of the framework; empty for none */
	bool hooked; /* there is a framework */
};

/* What a child gets to know. It lies in the memory of the parent that it has a
 * copy of; one with an image of its own makes it from its plan. */
struct mpr_start {
	struct mpr_call call;
	const char *name; /* MPR_NAME_MAX bytes */
	struct mpr_record *record;
	struct mpr_child_bond bond;
	struct mpr_crash_plan crash; /* unless it does not report crashes */
	const struct mproc_process_opts *opts;
	bool setup; /* the options say more than what is above */
	bool given; /* it may have been given ends of pipes */
	const struct mpr_self_ticket *test; /* or NULL */
	/* A byte of it is locked by the process that will tell us to go on, until it
	 * has, or becomes another program; NULL: the thread that forked us will. */
	const struct mpr_file *promise;
};

/* A forked child's whole life. */
noreturn void mpr_self_run(const struct mpr_start *start);

/* The two halves of it, for one with an image of its own: it follows its parent
 * already. The first returns when the parent has told it to go on. */
void mpr_self_begin(const struct mpr_start *start);
noreturn void mpr_self_enter(const struct mpr_start *start);

/* Called in each child, if there is one, before it watches for crashes and runs
 * its entry: what the layers above have to do there. */
extern _Atomic(void (*)(void)) mpr_self_prepare;

/* The layer that writes and reads tickets, and is not always there: it comes in by a
 * constructor. */
struct mpr_self_tickets {
	void (*give)(struct mpr_self_ticket *ret_ticket);
	void (*take)(const struct mpr_self_ticket *ticket);
};

extern const struct mpr_self_tickets *mpr_self_tickets;

/* The ticket for what the calling thread is about to start. */
void mpr_self_give(struct mpr_self_ticket *ret_ticket);

/* What is to be taken of a plan's ticket: NULL, if it says nothing and this process,
 * or the one that it is forked from, has taken none that said something. */
const struct mpr_self_ticket *
mpr_self_ticket_of(const struct mpr_self_ticket *ticket);

/* Whether this process was started; one that it forks by itself was not. */
bool mpr_self_is_started(void);

/* Whether @fd is what mproc_parent_fd() has given. */
bool mpr_self_has_fd(int fd);

/* The last steps of a started process. */
noreturn void mpr_self_finish(int code);

#endif
