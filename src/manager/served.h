/* SPDX-License-Identifier: MIT */
/*
 * One client, as its server sees it: what came from it and is no whole request yet,
 * and answers that it has not taken. As long as there are some of these no request
 * of its is read, so it can ask for no more than it takes.
 */
#ifndef MPR_MANAGER_SERVED_H
#define MPR_MANAGER_SERVED_H

#include <stdbool.h>
#include <stdint.h>

#include "containers/any.h"
#include "manager/buffer.h"
#include "manager/codec.h"

struct mpr_handed;
struct mpr_kept;
struct mpr_lease;
struct mpr_queued;

struct mpr_served {
	struct mpr_served *next, *previous; /* of all */
	struct mpr_served *next_left;	    /* of those that are left to be gone on with */
	int fd;
	short watched;	 /* what it is waited for */
	unsigned n_calls; /* of methods, whose answers are to come */
	bool greeted;	 /* it has said what it speaks */
	bool is_left;	 /* whole requests of it are here */
	bool is_gone;	 /* nobody takes its answers, as far as is known */
	bool leaves;	 /* once it has the last answer */
	bool is_over;	 /* it has to go, whatever it has not taken */
	struct mpr_budget budget; /* what it may have of that of all */
	struct mpr_buffer in, out;
	/* Of the desk (manager/desk.h): what it waits for, and what it has. */
	struct mpr_kept *kept;
	struct mpr_lease *leases;
	unsigned n_kept, n_leases, n_notes;
	uint64_t sent; /* bytes that the kernel has got for it */
	/* Of the desk for queues (manager/queue_desk.h). */
	struct mpr_queued *queued;
	struct mpr_handed *handed, *last_handed;
	unsigned n_queued, n_roles;
	unsigned n_held; /* messages that are its until they are done */
	bool is_passed_over; /* it waits, and was too slow for what there was */
	/* Of those who have not taken all of an answer with messages: how often it was looked
	 * at in vain while others waited for that, and what had been sent before. */
	struct mpr_served *next_stuck, *previous_stuck;
	bool is_stuck;
	unsigned stuck_looks;
	uint64_t stuck_at;
};

/* What it takes of a server to answer. */
struct mpr_served_by {
	size_t max_message;
	struct mpr_buffer spare; /* memory for who has none */
	/* Answers @m, by mpr_served_answer(), now or later. Returns 0, or a negative error that
	 * ends the connection. */
	int (*answer)(struct mpr_served_by *by, struct mpr_served *c,
		      const struct mpr_message *m);
};

/* What becomes of it. */
enum mpr_served_state {
	MPR_SERVED_WAITS_IN,
	MPR_SERVED_WAITS_OUT,
	MPR_SERVED_IS_LEFT, /* there is more to do, but others have a turn, too */
	MPR_SERVED_GONE,
};

/* Reads what is there, once, then answers and sends as far as that goes. @reads:
 * only the latter, if it is false. */
enum mpr_served_state mpr_served_go_on(struct mpr_served_by *by, struct mpr_served *c,
				       bool reads);

/* It has no answer to take, and waits: it keeps no memory for one. */
void mpr_served_rest(struct mpr_served_by *by, struct mpr_served *c);

/* Room in an answer for what is taken out for it, so that it cannot be lost. */
struct mpr_served_room {
	struct mpr_room room; /* first */
	struct mpr_buffer *out;
	size_t max_message;
	size_t bytes; /* that were asked for */
};

struct mpr_served_room mpr_served_room(const struct mpr_served_by *by,
				       struct mpr_served *c);

/* Writes an answer: its number, result, and values; or in their place, if @r is
 * negative, @text. What is too long or too much is an error in its place. Returns 0,
 * or
 * -ENOMEM. */
int mpr_served_answer(struct mpr_served_by *by, struct mpr_served *c, int64_t number,
		      int r, const struct mproc_any *values, unsigned n,
		      const char *text);

#endif
