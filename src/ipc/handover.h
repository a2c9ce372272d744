/* SPDX-License-Identifier: MIT */
/*
 * How children come to hold ends of pipes: their parent adds holds for them while
 * they wait for the order to begin, so that each end has a holder all the time. If
 * the parent is killed in between, so is the child, and recovery ends both's.
 */
#ifndef MPR_IPC_HANDOVER_H
#define MPR_IPC_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <mproc/pipe.h>

/* What one child gets. All zero but for the generation is nothing. */
struct mpr_handover {
	mproc_conn **conns;
	unsigned n, room;
	uint64_t generation; /* of the process that gives it */
	pid_t pid;	/* the child's */
	uint64_t child; /* the word of its holds; 0: it has none yet */
	bool moves; /* the caller does not hold them any more then */
};

/* Whether the caller holds all of these. Returns 0, -EINVAL, -EFAULT, -ESTALE. */
int mpr_handover_check(mproc_conn *const *conns, int n);

/* Of those in @conns that are sockets: where they are, and their descriptors. Returns
 * how many there are; or -ESTALE if the caller has closed one meanwhile. */
struct mpr_handover_socket {
	uint64_t end; /* its address */
	int32_t fd;
	int32_t pad;
};

/* How many of @conns are sockets. */
int mpr_handover_count(mproc_conn *const *conns, int n);

int mpr_handover_sockets(mproc_conn *const *conns, int n,
			 struct mpr_handover_socket *ret);

/* In a forked child: it keeps the sockets of @conns, or, if there are none, @all that
 * there are; the others are closed. */
void mpr_handover_keep(mproc_conn *const *conns, int n, bool all);

/* In the child: it is to hold the end at @end, by the socket @fd, which is closed at
 * exec and becomes the library's. Returns 0, -ENOMEM, -EBADMSG. */
int mpr_handover_adopt(uint64_t end, int fd);

/* The child @pid is to hold @conns; or, if there are none, @all that the caller
 * holds. Returns 0 or a negative error; mpr_handover_undo() is called then. It is
 * -ECHILD in a process that a signal handler has forked meanwhile: that has nothing to
 * give, end or undo here. */
int mpr_handover_begin(struct mpr_handover *p, mproc_conn *const *conns, int n, bool all,
		   pid_t pid);

/* The caller goes on to hold what it has named for the child. */
void mpr_handover_lend(struct mpr_handover *p);

/* The caller holds @conns as one who uses them: the other ends see it, too, if they are
 * the caller's own. @ret_words gets the word of each: see mpr_pipe_word(). */
void mpr_handover_claim(mproc_conn *const *conns, int n, uint64_t *ret_words);

/* It is about to get the order to begin. */
void mpr_handover_end(struct mpr_handover *p);

/* It gets none: all is as it was. */
void mpr_handover_undo(struct mpr_handover *p);

/* In the child, if it may hold any: then it takes part in the arena from now on, where
 * its death is seen without a question to the kernel. */
void mpr_handover_receive(void);

/* The calling process is about to end, in order: it holds nothing any more. Others
 * would find that out, but later. */
void mpr_handover_end_all(void);

/* What tells the pipe of @c from another one that has its place later; 0 if there is
 * none. */
uint64_t mpr_pipe_word(const mproc_conn *c);

/* The calling process does not hold the end any more, nor does the calling thread
 * keep anything for it; if the pipe is still the one of @word, unless that is 0. */
void mpr_pipe_leave(mproc_conn *c, uint64_t word);

#endif
