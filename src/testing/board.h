/* SPDX-License-Identifier: MIT */
/*
 * A board: pages on which processes under test write for the one that tests
 * them. They are a file in memory, and go with the last process that has them. A
 * forked process has them from its parent; one with a new image has a ticket in its
 * plan, and maps the file that it finds among the descriptors of the board's owner,
 * who made it. So nobody else needs a descriptor, to have it or to pass it on, and no
 * arena. Without the owner there is no way to them, and nobody who reads.
 *
 * Failures come from any process and thread: each takes the next number, and
 * fills in that entry. What a process under test has left when it ended it writes
 * alone.
 */
#ifndef MPR_TESTING_BOARD_H
#define MPR_TESTING_BOARD_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <mproc/testing.h>

#include "os/shmem.h"
#include "process/self.h"

#define MPR_BOARD_FAILURES MPROC_TEST_LISTED

struct mpr_failure {
	int32_t line;
	int32_t pid;
	char process[64];
	char file[160];
	char text[280];
};

struct mpr_left_fd {
	int32_t fd;
	char what[124];
};

struct mpr_left_lock {
	uint64_t address;
	uint32_t kind; /* enum mproc_test_hold */
	uint32_t n;
};

struct mpr_left_message {
	uint64_t queue;
	uint32_t unfinished;
	uint32_t peeked;
	uint32_t reserved;
	uint32_t pad;
};

struct mpr_left_process {
	int32_t pid;
	char name[64];
};

/* What a process has left. The counts may be above what is listed. */
struct mpr_left {
	int32_t n_fds; /* -1: not known */
	int32_t n_locks;
	int32_t n_messages;
	int32_t n_processes;
	uint64_t faults;
	uint64_t n_blocks; /* in an arena that its parent has not */
	uint64_t block_bytes;
	struct mpr_left_fd fds[MPROC_TEST_LISTED];
	struct mpr_left_lock locks[MPROC_TEST_LISTED];
	struct mpr_left_message messages[MPROC_TEST_LISTED];
	struct mpr_left_process processes[MPROC_TEST_LISTED];
};

/* What a run tells the process that it starts. */
struct mpr_board_task {
	uint32_t alone; /* the process makes the arena itself, if it needs one */
	char fault[1024];
};

struct mpr_board_shm {
	_Atomic uint32_t failed; /* how many, also those without an entry */
	_Atomic uint32_t looked; /* what is left is written */
	_Atomic uint32_t found; /* id of the last process that has found it */
	struct mpr_board_task task;
	_Atomic uint32_t written[MPR_BOARD_FAILURES];
	struct mpr_failure failures[MPR_BOARD_FAILURES];
	struct mpr_left left;
};

static_assert(sizeof(struct mpr_board_shm) <= 65536, "one small mapping");

/* A process's handle; a forked child has a copy. */
struct mpr_board {
	struct mpr_shmem shmem;
	struct mpr_self_ticket ticket; /* but for the framework */
	struct mpr_board_shm *shm;
};

/* Makes one, which the caller owns. Returns 0; -ENOMEM, -ENOSPC, -EMFILE and the like
 * (os/shmem.h). */
int mpr_board_new(struct mpr_board **ret_b);

/* That of another process. Returns 0, -ENOMEM, or what mpr_file_borrow() gives. */
int mpr_board_find(struct mpr_board **ret_b,
		   const struct mpr_self_ticket *ticket);

/* In a forked child, which does not own it: closes the descriptor. */
void mpr_board_inherit(struct mpr_board *b);

/* Also closes the descriptor. */
void mpr_board_free(struct mpr_board *b);

void mpr_board_add(struct mpr_board *b, const struct mpr_failure *f);

/* Copies what has come from number @from on, up to @n. Returns the number of the
 * next one. Of what is being written nothing is copied; who writes it may be dead.
 * Other processes may write anything anywhere here: strings end, nothing else is
 * sure. */
unsigned mpr_board_read(const struct mpr_board *b, unsigned from,
			struct mpr_failure *ret, unsigned n, unsigned *ret_n);

/* Ready for as many again, if nobody has written since number @seen. */
void mpr_board_clear(struct mpr_board *b, unsigned seen);

#endif
