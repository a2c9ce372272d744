/* SPDX-License-Identifier: MIT */
/*
 * Room for plans that are used again and again: one file that a process and its fork
 * server have mapped, cut into slots. What is in a slot is a plan file (plan.h).
 *
 * The server has each slot mapped by itself, and only the child that it is for gets
 * that mapping. So no other child of the server can write there while this one is
 * begun, nor afterwards. Children that the process forks itself have its mapping of
 * the whole, as a signal handler may have forked them in the middle of a call for one
 * of these processes; nothing of ours writes there in them. Who has ended may have
 * left processes that have it still; so what a process keeps of its plan, besides its
 * record, is a copy.
 *
 * The first byte of the file is locked by the process that has the server, for as long
 * as it is that program.
 */
#ifndef MPR_PROCESS_PLANS_H
#define MPR_PROCESS_PLANS_H

#include <stdbool.h>
#include <stddef.h>

#include "os/shmem.h"

#define MPR_PLANS_SLOTS 64
#define MPR_PLANS_SLOT_SIZE ((size_t)32 << 10)

struct mpr_plans;

/* In the process that has the server. One holder, the caller; the plans in it are
 * others. Returns 0; what mpr_shmem_create() and mpr_bytelock_take() give; or -ECHILD
 * in a process that a signal handler has forked meanwhile. */
int mpr_plans_new(struct mpr_plans **ret_plans);
void mpr_plans_drop(struct mpr_plans *plans);

/* In a forked child: the files are its parent's, those of servers that have ended
 * among them, as long as there is a plan in them. */
void mpr_plans_forget(void);

/* Its file; -1 if the program has closed it behind our back. */
int mpr_plans_fd(const struct mpr_plans *plans);

/* Returns 0, or -ECHILD in a copy of the process that has them: one that a signal handler
 * has forked in the middle of a start. It is not to write into its parent's slots. */
int mpr_plans_check(const struct mpr_plans *plans);

/* Takes a slot, until it is given back. Returns 0; -EAGAIN if there is none, or it is
 * too small for @size bytes; what mpr_plans_check() or mpr_shmem_back() gives. */
int mpr_plans_take(struct mpr_plans *plans, size_t size,
		   struct mpr_shmem *ret_slot);
void mpr_plans_give(struct mpr_plans *plans, const struct mpr_shmem *slot);

/* Which one it is. */
int mpr_plans_number(const struct mpr_plans *plans,
		     const struct mpr_shmem *slot);

/* In the server. */
struct mpr_plans_copy {
	struct mpr_file file;
	struct mpr_shmem slots[MPR_PLANS_SLOTS]; /* base NULL: not yet */
	bool hides[MPR_PLANS_SLOTS]; /* the system lets us */
};

/* @fd is the file. Returns 0, or -EPROTO if it is none. */
int mpr_plans_adopt(struct mpr_plans_copy *ret_copy, int fd);

/* Maps a slot, if it is not mapped yet, and shows it to the children that are forked
 * until it is hidden again. Returns 0 or a negative error. */
int mpr_plans_show(struct mpr_plans_copy *copy, int number,
		   struct mpr_shmem *ret_slot);
void mpr_plans_hide(struct mpr_plans_copy *copy, int number);

#endif
