/* SPDX-License-Identifier: MIT */
/*
 * What a desk is, for the files that it is made of.
 */
#ifndef MPR_MANAGER_DESK_PRIV_H
#define MPR_MANAGER_DESK_PRIV_H

#include "manager/desk.h"

#define MPR_DESK_BUCKETS 256

/* How often those who wait look by themselves: whether what they wait for is still
 * there, and where no deputy was left to wait, for it. */
#define MPR_DESK_LOOK INT64_C(100000000) /* ns */
#define MPR_DESK_LOOK_ALONE INT64_C(5000000)

struct mpr_desk {
	uint64_t generation;
	mproc_arena *arena;
	struct mpr_served_by *by;
	int set;
	uint64_t id;
	void (*tell)(struct mpr_served_by *by, struct mpr_served *c);
	struct mpr_deputies *deputies; /* NULL: none yet */
	struct mpr_post *posts[MPR_DESK_BUCKETS];
	unsigned n_kept, n_missed;
	unsigned n_ended; /* posts, so far */
	/* Of conditions: who hears that some were called, wherever it was, and how many
	 * there are where somebody waits. */
	struct mpr_post crier;
	unsigned n_crowds;
	struct mpr_kept *soonest, *latest;
	int64_t look_at;
};

/* Memory that counts as what the client has on the way. NULL with the text. */
void *mpr_desk_take_memory(struct mpr_served *c, size_t size);
void mpr_desk_give_memory(struct mpr_served *c, void *p, size_t size);

/* Who has what is to be had at once. Returns as mpr_deputies_first(). */
int mpr_desk_get_first(struct mpr_desk *d, struct mpr_self **ret_self);

#endif
