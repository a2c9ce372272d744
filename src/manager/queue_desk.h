/* SPDX-License-Identifier: MIT */
/*
 * Where clients put messages into queues, get them, and wait for that. What cannot be done
 * at once is kept here until it can, in the order in which it came.
 *
 * In the arena all clients of a queue are one participant, the porter (manager/porter.h):
 * one lane, one seat, and what they have taken is its. A message is on its way to a client
 * until all of the answer has been handed to the kernel; of a queue that keeps messages the
 * client has it until it is done. If the client is gone, what was on its way comes back as
 * if nobody had taken it, and what the client had as after a death.
 *
 * Private memory of the server's, which is one thread.
 */
#ifndef MPR_MANAGER_QUEUE_DESK_H
#define MPR_MANAGER_QUEUE_DESK_H

#include <sys/uio.h>

#include <mproc/queue.h>

#include "ipc/queue_agent.h"
#include "manager/desk.h"

enum mpr_queue_line {
	MPR_QUEUE_PUTS,
	MPR_QUEUE_GETS,
	MPR_QUEUE_JOINS,
	MPR_QUEUE_LINES,
};

/* A request that waits, or is tried for the first time. */
struct mpr_queued {
	struct mpr_queued *next, *previous;	  /* in its line */
	struct mpr_queued *next_of, *previous_of; /* of the client */
	struct mpr_queue_post *post;
	enum mpr_queue_line line;
	struct mpr_party party;
	int64_t number;
	int64_t deadline;
	/* To put; kept, they lie behind it. */
	const struct iovec *msgs;
	int n;
	size_t memory; /* bytes that it has */
	/* To get: how many bytes, and messages, at most. */
	size_t size;
	int most;
};

/* Messages that are on their way to a client, or that it has. */
struct mpr_handed {
	struct mpr_handed *next, *previous;	  /* of the queue, as they were taken */
	struct mpr_handed *next_of, *previous_of; /* of the client, likewise */
	struct mpr_queue_post *post;
	struct mpr_party party;
	struct mpr_taken taken; /* of a queue that keeps messages, or a dead letter */
	uint64_t end; /* of the answer, in bytes that the client was ever sent */
	bool is_sent;
	/* The others, as long as they could come back; and what it took to answer. */
	struct iovec *msgs;
	int n;
	unsigned char *lengths, *bytes;
	void *memory; /* for all of that */
	size_t size;
	struct mpr_budget *budget; /* that it is a part of */
};

/* A queue that clients use. */
struct mpr_queue_post {
	struct mpr_queue_post *next; /* in its bucket */
	struct mpr_queue_post *next_busy, *previous_busy;
	bool is_busy; /* somebody waits here, or something waits for them */
	struct mpr_queue_desk *desk;
	mproc_queue *q;
	struct mpr_attachment *at; /* the porter's */
	struct mpr_queued *first[MPR_QUEUE_LINES], *last[MPR_QUEUE_LINES];
	struct mpr_put_wait put_wait;
	bool awaits; /* the seat says that the porter waits for messages */
	struct mpr_handed *handed, *last_handed;
	struct mpr_handed *back, *last_back; /* nobody's, and not in the queue */
	struct mpr_party consumer; /* of .single_consumer; client NULL: none */
};

struct mpr_queue_desk;

/* As mpr_desk_open(); the porter is there when the first queue is used. */
int mpr_queue_desk_open(struct mpr_queue_desk **ret_d, mproc_arena *a,
			struct mpr_served_by *by, struct mpr_budget *budget, int set,
			uint64_t id,
			void (*tell)(struct mpr_served_by *by, struct mpr_served *c));

/* The place for a queue. Returns 0; -ENOMEM; those of mpr_porter_open() and of
 * mpr_attachment_get(). */
int mpr_queue_desk_find(struct mpr_queue_desk *d, mproc_queue *q,
			struct mpr_queue_post **ret);

/* Does what @k says, or keeps it for @time ns, or for ever below 0. Returns the result;
 * or MPR_KEPT, and it is answered already, or will be. */
int mpr_queue_desk_ask(struct mpr_queue_post *p, struct mpr_queued *k, int64_t time);

/* The message that @party has had longest is done, or given back. */
int mpr_queue_desk_done(struct mpr_queue_post *p, const struct mpr_party *party);
int mpr_queue_desk_requeue(struct mpr_queue_post *p, const struct mpr_party *party);

/* The request of that number, if it is still kept. */
void mpr_queue_desk_withdraw(struct mpr_queue_desk *d, struct mpr_served *c,
			     int64_t number);

/* A thread of a client's has ended; or, if it is NULL, the client is gone. */
void mpr_queue_desk_leave(struct mpr_queue_desk *d, struct mpr_served *c,
			  const int64_t *thread);

/* It has been sent more. */
void mpr_queue_desk_sent(struct mpr_queue_desk *d, struct mpr_served *c);

/* A client has destroyed the queue, perhaps. */
void mpr_queue_desk_destroyed(struct mpr_queue_desk *d, const mproc_queue *q);

/* Somebody has woken the porter. */
void mpr_queue_desk_hear(struct mpr_queue_desk *d);

/* As mpr_desk_look(), mpr_desk_close(). */
int64_t mpr_queue_desk_look(struct mpr_queue_desk *d);
void mpr_queue_desk_close(struct mpr_queue_desk *d);

#endif
