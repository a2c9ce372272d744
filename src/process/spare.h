/* SPDX-License-Identifier: MIT */
/*
 * The spare of a fork server (server.h), in the process that the server works for: a
 * child that is forked while nobody waits for it, so that the next start has only to
 * tell it what it is to be.
 *
 * It is asked for at the end of a start that has come soon after the one before, and
 * stays until it is used or the server ends: who starts processes now and then has
 * none. It is in no list of our children. Only who is about to use it, or to end it,
 * has a descriptor of it, in the handle that it is for: so a copy of that one, which a
 * signal handler has forked in the middle, is rid of it as of any start that is not its
 * own.
 *
 * A spare runs nothing of the user's before it has both its order and, later, leave to
 * go on. So a start whose spare turns out to have died can be made again by the server
 * itself.
 */
#ifndef MPR_PROCESS_SPARE_H
#define MPR_PROCESS_SPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/child.h"
#include "os/file.h"
#include "process/plan.h"

enum mpr_spare_state {
	MPR_SPARE_NONE,
	MPR_SPARE_BUSY,	   /* a thread has it, or asks for it */
	MPR_SPARE_ASKED,   /* it waits, will soon, or has died */
	MPR_SPARE_REFUSED, /* the server can make none */
};

struct mpr_spare {
	struct mpr_file orders; /* our end of the connection */
	struct mpr_file theirs; /* the other one, to take back what nobody has received */
	uint64_t generation; /* of the process that has both */
	enum mpr_spare_state state; /* under the process lock */
	int64_t last; /* start, under it too */
	int32_t number; /* of the last one */
	struct mpr_plan_file plan; /* reserved; of who is busy, or the last holder of
				    * the server */
};

/* Makes the connection. Returns 0, or -EMFILE, -ENFILE, -ENOMEM. */
int mpr_spare_connect(struct mpr_spare *s);

/* A start has ended: is another spare to be asked for? Then the caller is busy. */
bool mpr_spare_is_wanted(struct mpr_spare *s);

/* The caller is to have it: then he is busy, too. */
bool mpr_spare_take(struct mpr_spare *s);

/* No more. */
void mpr_spare_leave(struct mpr_spare *s, enum mpr_spare_state state);

/* The slot is the caller's, who is busy. */
void mpr_spare_hand_over(struct mpr_spare *s, struct mpr_plan_file *ret_f);

/* Who is busy gets hold of it in @c, if it is there, and he has not yet (.pid 0): by what
 * it has sent, or, if it has not come so far, by @pid, unless that is 0. Returns 0,
 * -EAGAIN, or an error of mpr_child_open(). */
int mpr_spare_meet(const struct mpr_spare *s, struct mpr_child *c, pid_t pid);

/* Ends the one that has slot @f, if there is one, gives that back, and takes back what
 * was sent with its order, for who is busy, or the last holder of the server; @c is for
 * him to meet it, or he has met it there. The server will not make it any more. Then he
 * is not busy. */
void mpr_spare_end(struct mpr_spare *s, struct mpr_plan_file *f,
		   struct mpr_child *c, enum mpr_spare_state then);

/* In a forked child: it is the parent's. */
void mpr_spare_forget(struct mpr_spare *s);

#endif
