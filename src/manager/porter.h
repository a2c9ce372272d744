/* SPDX-License-Identifier: MIT */
/*
 * A participant that sleeps for a server: a thread that does nothing else. What the server
 * has in its name are the porter's, and are left by the dead if the process is killed;
 * where the server has announced it as one that waits, whoever has something wakes it,
 * and it tells the server. So one thread that may not sleep can wait in any number of
 * places (ipc/queue_agent.h).
 */
#ifndef MPR_MANAGER_PORTER_H
#define MPR_MANAGER_PORTER_H

#include <stdbool.h>

#include <mproc/arena.h>

#include "arena/participant.h"

struct mpr_porter;

/* Returns 0; -EAGAIN, -ENOMEM, -EMFILE, -ENFILE; as mpr_self(). */
int mpr_porter_open(struct mpr_porter **ret_p, mproc_arena *a);

/* In whose name things are had, by the thread that serves alone. */
struct mpr_self *mpr_porter_self(const struct mpr_porter *p);

/* Readable when somebody has woken it since the last reset, which comes before the look
 * at what it was woken for. */
int mpr_porter_fd(const struct mpr_porter *p);
void mpr_porter_reset(struct mpr_porter *p);

/* Whether somebody has woken it since that was last asked, other than by a knock. */
bool mpr_porter_is_woken(struct mpr_porter *p);

/* As if somebody had woken it. */
void mpr_porter_knock(struct mpr_porter *p);

/* Nothing is had in its name any more. In a forked child it is not there. */
void mpr_porter_close(struct mpr_porter *p);

#endif
