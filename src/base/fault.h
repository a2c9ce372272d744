/* SPDX-License-Identifier: MIT */
/*
 * Fault injection: lets the nth call of a named kernel service fail, in this
 * process and whatever it forks from then on. Used at the call itself:
 *
 *	fd = mpr_fault(MPR_FAULT_MEMFD) ? -1 : memfd_create(name, flags);
 *
 * It is always compiled in, so that what is tested is what is shipped; while
 * nothing is to fail it costs one load.
 */
#ifndef MPR_BASE_FAULT_H
#define MPR_BASE_FAULT_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* What can fail; its name in a spec is the lower-case end of its name here. */
enum mpr_fault_point {
	MPR_FAULT_MEMFD,      /* memfd_create() */
	MPR_FAULT_TMPFILE,    /* open() with O_TMPFILE */
	MPR_FAULT_FTRUNCATE,  /* ftruncate() */
	MPR_FAULT_SEAL,	      /* F_ADD_SEALS */
	MPR_FAULT_FSTAT,      /* fstat() */
	MPR_FAULT_MMAP,	      /* mmap() */
	MPR_FAULT_MADVISE,    /* madvise(), but for the two below */
	MPR_FAULT_FALLOCATE,  /* fallocate() that allocates */
	MPR_FAULT_POPULATE,   /* MADV_POPULATE_WRITE */
	MPR_FAULT_PUNCH,      /* fallocate() or MADV_REMOVE that gives back */
	MPR_FAULT_MEMBARRIER, /* membarrier() */
	MPR_FAULT_FORK,	      /* fork() */
	MPR_FAULT_FOLLOW,     /* PR_SET_PDEATHSIG, then timer_create() */
	MPR_FAULT_PIDFD,      /* pidfd_open() */
	MPR_FAULT_WAITID,     /* waitid() */
	MPR_FAULT_KILL,	      /* kill(), pidfd_send_signal() */
	MPR_FAULT_POLL,	      /* ppoll() */
	MPR_FAULT_EVENTFD,    /* eventfd() */
	MPR_FAULT_EPOLL,      /* epoll_create() */
	MPR_FAULT_LOCK,	      /* fcntl() on a byte lock */
	MPR_FAULT_OPEN,	      /* open() of files in /proc, /sys and /dev */
	MPR_FAULT_LINK,	      /* linkat() */
	MPR_FAULT_THREAD,     /* pthread_create() */
	MPR_FAULT_KEY,	      /* pthread_key_create(), pthread_setspecific() */
	MPR_FAULT_DUP,	      /* F_DUPFD_CLOEXEC, dup2() */
	MPR_FAULT_CLOSE,      /* close_range() */
	MPR_FAULT_CHDIR,      /* chdir() */
	MPR_FAULT_AFFINITY,   /* sched_setaffinity() */
	MPR_FAULT_WAIT,	      /* sleeping in a futex, or what stands for it */
	MPR_FAULT_SOCKET,     /* socket() */
	MPR_FAULT_BIND,	      /* bind() */
	MPR_FAULT_ACCEPT,     /* accept4() */
	MPR_FAULT_CONNECT,    /* connect() */
	MPR_FAULT_SEND,	      /* sendmsg() of messages */
	MPR_FAULT_RECEIVE,    /* recv() of messages */
	MPR_FAULT_MALLOC,     /* malloc() and the like */
	MPR_FAULTS
};

/*
 * Says what is to fail. @spec is a list of POINT:N[+][=ERRNO] with commas
 * between: the Nth call from now fails, once, or with a "+" that one and all
 * later ones; with the errno of that name (a small choice of them) or with
 * what is usual there. "fork:3,fallocate:1+=ENOSPC", for example. It replaces
 * what was set before and counts anew. NULL or "" ends it and leaves the
 * counts. Returns 0, or -EINVAL for a spec that makes no sense; then nothing
 * has changed.
 *
 * Calls and counts are safe from any thread, setting is not while other
 * threads are inside the library.
 */
int mpr_fault_set(const char *spec);

/* Whether it would accept @spec: 0 or -EINVAL. */
int mpr_fault_check(const char *spec);

/* Nothing fails, and nothing is counted, until what is set is resumed: for calls
 * of who tests, in the middle of what is tested. Gives what mpr_fault_resume() is
 * to be given. */
bool mpr_fault_pause(void);
void mpr_fault_resume(bool was_set);

/* How often @point was reached since the last spec, while one was set. */
uint64_t mpr_fault_hits(enum mpr_fault_point point);

/* How many calls have been made to fail since then. */
uint64_t mpr_fault_failures(void);

/* The name of @point in a spec. */
const char *mpr_fault_name(enum mpr_fault_point point);

extern _Atomic bool mpr_fault_armed;

/* Counts a call of @point. Returns whether it is to fail, with errno set. */
bool mpr_fault_reached(enum mpr_fault_point point);

static inline bool
mpr_fault(enum mpr_fault_point point)
{
	/* Relaxed: who sets a spec has no other thread in here. */
	return mpr_unlikely(atomic_load_explicit(&mpr_fault_armed,
						 memory_order_relaxed)) &&
	       mpr_fault_reached(point);
}

/* The same, and errno stays as it is. To find errno costs a child a page of code, so that is
 * for later. */
static inline bool
mpr_fault_quietly(enum mpr_fault_point point)
{
	bool fails;
	int saved;

	if (mpr_likely(!atomic_load_explicit(&mpr_fault_armed,
					     memory_order_relaxed)))
		return false;
	saved = errno;
	fails = mpr_fault_reached(point);
	errno = saved;
	return fails;
}

#endif
