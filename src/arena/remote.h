/* SPDX-License-Identifier: MIT */
/*
 * Handles to objects that lie in no arena of this process: another one has them,
 * which carries out what is to be done with them (manager/client.h).
 *
 * Users have one type for both, so a handle is an address like that of any object,
 * and lies in a range in which nothing else does. Who finds that an address lies in
 * no arena, and would refuse it, asks here: calls for objects at hand pay nothing.
 * Nothing is read at an address before it is known to lie in the range, whatever a
 * user passes.
 */
#ifndef MPR_ARENA_REMOTE_H
#define MPR_ARENA_REMOTE_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define MPR_REMOTES 4096 /* the most in one process */

/* No process can have an address with this bit: 52 of them are the most that there
 * are for users on aarch64, 56 on x86-64, of which Linux gives out 47 unless it is
 * asked for more. And it is no tag, which some processors leave out. */
#define MPR_REMOTE_FENCE ((uintptr_t)1 << 54)

struct mpr_remote;
struct mpr_remote_call; /* containers/remote.h */

/* What is asked of a lock or the like, or a queue, whose values are numbers. */
struct mpr_remote_ask {
	unsigned op;
	unsigned n_args, n_rets;
	int64_t args[4];
	int64_t rets[4];
	/* By it the calling thread may get something that is given back when the
	 * thread ends. */
	bool takes;
	/* Of queues also bytes, behind the numbers: those that are sent; and where those
	 * that come go, how much room is there, and then how much came. So what was taken
	 * for the answer is not lost for want of memory. */
	struct iovec sent[2], got[2];
	unsigned n_sent, n_got;
	/* It may take as long as it does until the answer is there, and an interrupt
	 * calls it off: then it is known that nothing has happened. */
	bool waits;
};

/* Who carries calls over. It begins with this. */
struct mpr_remote_owner {
	int (*carry)(struct mpr_remote_owner *owner,
		     const struct mpr_remote *remote,
		     struct mpr_remote_call *call);
	int (*ask)(struct mpr_remote_owner *owner,
		   const struct mpr_remote *remote, struct mpr_remote_ask *ask);

	/* Of arrays, for who lies below those who know of calls: how many elements
	 * there are, and their end. Return 0 or a negative error. */
	int (*len)(struct mpr_remote_owner *owner, const struct mpr_remote *remote,
		   size_t *ret_len);
	int (*destroy)(struct mpr_remote_owner *owner,
		       const struct mpr_remote *remote);

	/* A handle to another object of that kind, which an answer has told of. */
	int (*beside)(struct mpr_remote_owner *owner, const struct mpr_remote *remote,
		      int64_t id, void **ret);

	/* For sync/remote_thread.c: says that a thread has ended, which nobody waits
	 * for; and has that come to an end at once. */
	void (*leave)(struct mpr_remote_owner *owner, int64_t thread);
	void (*hurry)(struct mpr_remote_owner *owner);
	_Atomic bool is_met;
	unsigned n_leaving;
	struct mpr_remote_owner *next_met;
};

/* The first word of a handle that has been in use, for ever: that of an object that was
 * destroyed (sync/cell.h), with which no frequent path goes on. */
#define MPR_REMOTE_WORD (UINT64_C(1) << 21)

/* The owner's calls are what use the rest. */
struct mpr_remote {
	alignas(64) _Atomic uint64_t word;
	/* NULL: it leads nowhere. */
	_Atomic(struct mpr_remote_owner *) owner;
	struct mpr_remote *next; /* of the owner's, or of the free ones */
	int64_t id;
	/* Where a recursive lock counts: its taker writes 0 here. */
	_Atomic uint32_t scratch;
	unsigned kind;
};

static_assert(offsetof(struct mpr_remote, scratch) == 32,
	      "it lies where struct mpr_rlock counts");

/* The handle at @p, or NULL if that is none, or leads nowhere. Its owner stays for
 * as long as the user lets it. */
struct mpr_remote *mpr_remote_at(const void *p);

/* Whether one has been there, or may be: what is in the range is nothing else. */
bool mpr_remote_has(const void *p);

/* The same handle for who could take it for memory: with the fence, so that to look
 * there, or to write, is a crash at once. The functions here know both. */
void *mpr_remote_fenced(const struct mpr_remote *remote);

/* Of an array. Return 0; -EINVAL if it is none; -ESTALE if it leads nowhere any more;
 * those of its owner. */
int mpr_remote_array_len(const void *handle, size_t *ret_len);
int mpr_remote_array_destroy(const void *handle);

/* As .beside of its owner. -ESTALE also if it leads nowhere, or is NULL. */
int mpr_remote_beside(const struct mpr_remote *remote, int64_t id, void **ret);

/* One that leads nowhere yet, until its owner is set; NULL if all are in use. */
struct mpr_remote *mpr_remote_take(void);

/* It leads nowhere again. It comes to another use after MPR_REMOTES others were given
 * back. */
void mpr_remote_give(struct mpr_remote *remote);

#endif
