/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the desk for queues share: queue_desk.c is who waits, queue_hand.c
 * what clients are given.
 */
#ifndef MPR_MANAGER_QUEUE_DESK_PRIV_H
#define MPR_MANAGER_QUEUE_DESK_PRIV_H

#include "manager/porter.h"
#include "manager/queue_desk.h"

#define MPR_QUEUE_BUCKETS 256

struct mpr_queue_desk {
	uint64_t generation;
	mproc_arena *arena;
	struct mpr_served_by *by;
	struct mpr_budget *budget;
	int set;
	uint64_t id;
	void (*tell)(struct mpr_served_by *by, struct mpr_served *c);
	struct mpr_porter *porter; /* NULL: none yet */
	struct mpr_queue_post *posts[MPR_QUEUE_BUCKETS];
	struct mpr_queue_post *busy;
	int64_t soonest; /* no deadline is before that */
	int64_t look_at;
	unsigned n_posts;
	int64_t swept; /* when those that are gone were last looked for */
	bool woken;    /* since then: one may have been destroyed */
	struct mpr_served *stuck; /* clients that take nothing of what they are sent */
	int64_t stuck_look;
};

/* As what clients have on the way. NULL, with the text, if there is none. */
void *mpr_queue_desk_take_memory(struct mpr_budget *budget, size_t size);
void mpr_queue_desk_give_memory(struct mpr_budget *budget, void *p, size_t size);

/* What waits here, or is to be put back, has changed. */
void mpr_queue_post_set_busy(struct mpr_queue_post *p);

/* Whether it takes no answers at the moment: what there is should go to others. */
bool mpr_queue_is_slow(const struct mpr_served *c);

/* Whether clients of this server join. */
bool mpr_queue_is_joined(struct mpr_queue_desk *d, const mproc_queue *q);

/* queue_hand.c */

/* Takes what there is for @k, and answers. Returns 0; 1 if others were always faster;
 * -EAGAIN if nothing is there; an error. */
int mpr_queue_hand(struct mpr_queue_post *p, const struct mpr_queued *k);

/* Whether @party has messages; or others than it. */
bool mpr_queue_has(const struct mpr_queue_post *p, const struct mpr_party *party);
bool mpr_queue_others_have(const struct mpr_queue_post *p,
			   const struct mpr_party *party);

/* What the client has, or all that one of its threads has, comes back. */
void mpr_queue_hand_back(struct mpr_served *c, const int64_t *thread);

/* Ends those that take too little while others wait for what becomes of it. To be called
 * every MPR_QUEUE_STUCK_LOOK ns. */
#define MPR_QUEUE_STUCK_LOOK INT64_C(500000000)
void mpr_queue_look_for_stuck(struct mpr_queue_desk *d);

/* It is not looked at any more. */
void mpr_queue_forget_stuck(struct mpr_queue_desk *d, struct mpr_served *c);

/* Puts into the queue again what has come back, if there is room. */
void mpr_queue_put_back(struct mpr_queue_post *p);

/* All of it is forgotten, with the queue. */
void mpr_queue_forget_handed(struct mpr_queue_post *p);

#endif
