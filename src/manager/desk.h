/* SPDX-License-Identifier: MIT */
/*
 * Where clients wait, and what they have. What is asked for and cannot be had at once is
 * kept here until it can, in the order in which it came; what was got is the client's
 * until it gives it back, or is gone: a lease.
 *
 * In the arena clients are nobody. What they have a deputy has (manager/deputy.h), and
 * where they wait with others than clients one stands in line for all of them. So any
 * number of clients may wait, who is in the family sees one more process, and if the
 * server is killed all that its clients had is left by the dead.
 *
 * Private memory of the server's, which is one thread.
 */
#ifndef MPR_MANAGER_DESK_H
#define MPR_MANAGER_DESK_H

#include "containers/remote.h"
#include "manager/deputy.h"
#include "manager/objects.h"
#include "manager/served.h"
#include "sync/crowd.h"
#include "sync/news.h"
#include "sync/remote.h"

/* A thread of a client's. */
struct mpr_party {
	struct mpr_served *client;
	int64_t thread;
	/* Of who has waited for a condition, or does: */
	struct mpr_lease *reserve; /* memory for what it is to have again, or NULL */
	const void *called;	   /* the condition, if it was notified */
	uint32_t generation;	   /* of that */
};

/* What is asked, and by whom. */
struct mpr_request {
	struct mpr_party party;
	int64_t number;
	const struct mpr_object *other; /* that its second number means, or NULL */
};

/* What a client has. */
struct mpr_lease {
	struct mpr_lease *next, *previous;	   /* of the object */
	struct mpr_lease *next_of, *previous_of;   /* of the client */
	struct mpr_post *post;
	struct mpr_party party;
	struct mpr_self *self; /* in whose name */
	_Atomic uint64_t *note; /* of a party of a barrier; or NULL */
	uint32_t nested;       /* beyond the first time */
};

/* A request that is kept. */
struct mpr_kept {
	struct mpr_kept *next, *previous;	  /* of the object, as they came */
	struct mpr_kept *next_of, *previous_of;   /* of the client */
	struct mpr_kept *later, *sooner;	  /* of those that have a deadline */
	struct mpr_post *post;
	struct mpr_party party;
	int64_t number;
	int64_t deadline;
	int64_t since;
	struct mpr_news seen; /* when it came; see .see below */

	/* Of who waits for a condition: the lock; that it waits for the lock by now; and
	 * what its answer is then, 0 or an error. */
	const void *lock;
	uint32_t generation;
	bool comes_back;
	int why;
};

/* An object that clients wait for, or have. */
struct mpr_post {
	struct mpr_errand errand; /* first */
	struct mpr_post *next; /* in its bucket */
	const struct mpr_post_ops *ops;
	struct mpr_desk *desk;
	void *object;
	enum mpr_cell_kind kind;
	uint32_t generation;
	bool is_out;  /* a deputy waits for it */
	bool is_missed; /* one should, and there is none */
	bool is_over; /* destroyed, and forgotten once that one is back */
	struct mpr_kept *first, *last;
	unsigned n_kept;
	struct mpr_lease *leases;
	struct mpr_news seen; /* since when the deputy waits */
	/* Of a condition: */
	struct mpr_crowd crowd;
	unsigned n_coming; /* who were notified, and have not given the lock back yet */
};

/* What a kind of object does. */
struct mpr_post_ops {
	bool (*has_leases)(const struct mpr_post *p);
	/* How it is, for a kind that nobody takes: all who have come before it changed
	 * go on. NULL: they go on one after another. */
	struct mpr_news (*see)(const struct mpr_post *p);
	/* Takes it for @party, in the name of @self, if it can be had, with a lease.
	 * Returns its result, from 0 on; -EBUSY if others than clients have it; -EAGAIN
	 * if clients do, so that there is nothing to wait for but them; an error. */
	int (*try)(struct mpr_post *p, const struct mpr_party *party,
		   struct mpr_self *self, const struct mpr_news *seen);
	/* A deputy waits for it; see struct mpr_errand. */
	int (*run)(struct mpr_errand *errand);
	/* It is given back; @died: by somebody who is gone. NULL if there are no
	 * leases. */
	int (*give)(struct mpr_post *p, const struct mpr_lease *lease, bool died);
	/* The same for what a deputy has brought for nobody. NULL if it brings nothing. */
	int (*give_up)(struct mpr_post *p, struct mpr_self *self);
	/* What is not to be waited for in that way. */
	int (*serve)(struct mpr_post *p, const struct mpr_request *q,
		     struct mpr_remote_call *call);

	/* NULL, all of these, for what waits as above. */

	/* As mpr_post_go_on(). */
	void (*go_on)(struct mpr_post *p);
	/* Does what has happened in the arena, and nobody has told of. Returns whether
	 * somebody does not wait here any more: any of those who do may be another
	 * one. */
	bool (*refresh)(struct mpr_post *p);
	/* It waits no more, for the reason @why; see stop(). After refresh(). */
	void (*stop)(struct mpr_kept *k, int why);
	/* It is to be forgotten. After refresh(); false: that has to be done again. */
	bool (*part)(struct mpr_kept *k);
	/* The post goes. */
	void (*clear)(struct mpr_post *p);
};

extern const struct mpr_post_ops mpr_post_lock;
extern const struct mpr_post_ops mpr_post_semaphore;
extern const struct mpr_post_ops mpr_post_event;
extern const struct mpr_post_ops mpr_post_condition;
extern const struct mpr_post_ops mpr_post_barrier;

struct mpr_desk;

/* @tell: that there is an answer to be sent to a client. @set: of descriptors, to which
 * that of the deputies is added with @id when there are some. Returns 0, or a negative
 * error. */
int mpr_desk_open(struct mpr_desk **ret_d, mproc_arena *a, struct mpr_served_by *by,
		  int set, uint64_t id,
		  void (*tell)(struct mpr_served_by *by, struct mpr_served *c));

/* Whether it is for objects of @kind. */
bool mpr_desk_is_for(enum mpr_cell_kind kind);

/* The request was kept: its answer comes later. No result is. */
#define MPR_KEPT INT_MIN

/* Carries out @call, the request @number of a client's, for the object; @other: NULL, or
 * see below. Returns its
 * result, or MPR_KEPT. */
int mpr_desk_serve(struct mpr_desk *d, struct mpr_served *c, int64_t number,
		   const struct mpr_object *o, const struct mpr_object *other,
		   struct mpr_remote_call *call);

/* Whether the second number of an operation is another object's, which is @other. */
static inline bool
mpr_desk_takes_other(unsigned op)
{
	return op == MPR_OP_CONDITION_WAIT;
}

/* MPR_OP_WITHDRAW, MPR_OP_LEAVE: of no object. */
int mpr_desk_serve_client(struct mpr_desk *d, struct mpr_served *c,
			  struct mpr_remote_call *call);

/* The object was destroyed by a client: those who wait learn it. */
void mpr_desk_destroyed(struct mpr_desk *d, const struct mpr_object *o);

/* A client is gone. */
void mpr_desk_leave(struct mpr_desk *d, struct mpr_served *c);

/* A deputy has come back. */
void mpr_desk_hear(struct mpr_desk *d);

/* Answers those whose time is over. Returns when it is to be called again. */
int64_t mpr_desk_look(struct mpr_desk *d);

/* All clients are gone. */
void mpr_desk_close(struct mpr_desk *d);

/*
 * For kinds of objects.
 */

/* One that nobody has yet. Returns 0; -ENOLCK, -ENOMEM with the text. */
int mpr_lease_make(struct mpr_post *p, const struct mpr_party *party,
		   struct mpr_lease **ret);

/* @self has it for the client; or it was made in vain. */
void mpr_lease_begin(struct mpr_lease *lease, struct mpr_self *self);
void mpr_lease_forget(struct mpr_lease *lease);

/* Nobody has it any more, and it is as memory: a reserve, or no more at all. */
void mpr_lease_take_out(struct mpr_lease *lease);
void mpr_lease_drop(struct mpr_lease *lease);

/* The one of @party, or NULL. */
struct mpr_lease *mpr_lease_find(const struct mpr_post *p,
				 const struct mpr_party *party);

/* A request is kept, at the end. @time: ns, below 0 for ever. Returns 0; -ENOLCK, -ENOMEM
 * with the text. */
int mpr_kept_make(struct mpr_post *p, const struct mpr_request *q, int64_t time,
		  const struct mpr_news *seen, struct mpr_kept **ret);

/* It waits for something else, and for ever. */
void mpr_kept_move(struct mpr_kept *k, struct mpr_post *p);

/* Nobody waits for its answer. */
void mpr_kept_drop(struct mpr_kept *k);

/* Its answer. Of an error the text is there. */
void mpr_kept_answer(struct mpr_kept *k, int r);

/* That of an object; NULL if there is none, or no memory for one, with the text. */
struct mpr_post *mpr_post_find(struct mpr_desk *d, const void *object,
			       uint32_t generation);
struct mpr_post *mpr_post_of(struct mpr_desk *d, const struct mpr_object *o);

/* The same, and nothing that is gone ends. */
struct mpr_post *mpr_post_look_up(struct mpr_desk *d, const void *object,
				  uint32_t generation);

/* Whether the object was destroyed; and the end of what is here of it. */
bool mpr_post_is_gone(const struct mpr_post *p);
void mpr_post_end(struct mpr_post *p);

/* Has a deputy wait for it, if none does, for the first one who waits here. Returns 0;
 * -EBUSY; as mpr_deputies_send(). */
int mpr_post_send(struct mpr_post *p);

/* After a look at those who wait, which has left some or none: a deputy waits for the
 * first one, if it is for others than clients. */
void mpr_post_wait_on(struct mpr_post *p, bool for_others);

/* A place for a party of a barrier. Returns 0; -ENOLCK, -ENOMEM and others with the
 * text. */
int mpr_lease_take_note(struct mpr_lease *lease, struct mpr_self **ret_self);

/* @party is gone: if it was notified, and may have seen nothing of it, somebody else
 * is. */
void mpr_condition_pass_on(struct mpr_desk *d, const struct mpr_party *party);

/* @party has given its lock back, or gets none, or somebody else was notified for it: if
 * we die nobody has to be. */
void mpr_condition_is_back(struct mpr_desk *d, const struct mpr_party *party);

/* Why a lock is not who asks's. */
int mpr_lock_fail_other(const struct mpr_post *p);

/* Something has changed: those who wait go on, as far as they can. The object may not be
 * there any more after that. */
void mpr_post_go_on(struct mpr_post *p);

/* Gives back what was leased, and lets the next ones go on. Returns as .give. */
int mpr_lease_end(struct mpr_lease *lease, bool died);

#endif
