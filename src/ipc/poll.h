/* SPDX-License-Identifier: MIT */
/*
 * Polling before sleeping: a sleep and its wake-up cost about as much as 30
 * hand-overs of a cache line, so it pays to look again for a while, but how one
 * looks decides how fast both sides are.
 *
 *   Tight polling has the lowest latency, and ruins a stream: the consumer
 *   takes each message as it comes, and both sides exchange cache lines for
 *   every single one. So only a thread that waits for an answer (it has put
 *   something since it last got) polls tightly, and only for the first probes:
 *   for about two microseconds, as each answer that is only a little late would
 *   cost one more. Where it can it looks at the tails of a few lanes and at nothing
 *   else then, before all that a get asks besides, or after a yield that shows it is
 *   alone, since all that lies between such a look and the message makes the way there
 *   and back longer.
 *
 *   Otherwise there is a pause of about 1 us between two probes, in which a
 *   whole batch comes together.
 *
 *   For the same reason a consumer that has taken all it knows of, and has been
 *   at all lanes since (ipc/turns.h), looks for more once in two microseconds at
 *   most. Following the producers closely, it would take each cache line away
 *   from them while that is being written. After a pause that has found nothing
 *   the next looks are without: the producer may be waiting for our CPU.
 *
 *   A thread does not poll where somebody else needs its CPU. So it yields
 *   first: sync/yields.h. Who waits for no answer does so a few times, as long as
 *   others let go soon: they may be consumers who have found nothing either, and
 *   the one who is to do something comes after them.
 *
 *   How long to poll is learnt from how long the waits turn out to be, with
 *   the sleep included. Two threads that wait for each other only because each
 *   wake-up takes its time must not both fall asleep: then each empties or
 *   fills the lane before the other is awake, and it stays that way. So after
 *   a wait that polling could have bridged the next one polls twice as long
 *   as that took; after a longer one, half as long as before.
 */
#ifndef MPR_IPC_POLL_H
#define MPR_IPC_POLL_H

#include <stdbool.h>

#include "ipc/attachment.h"
#include "os/cpu.h"

/* Probes for an answer: as many looks at tails, or whole gets, as it is worth. */
#define MPR_POLL_LOOKS 64
#define MPR_POLL_GETS 16

struct mpr_poll {
	struct mpr_attachment *at;
	int64_t began;	/* 0 before the first look at the clock */
	unsigned probes; /* without a pause, where it is alone */
	unsigned yields; /* probes left that come after one */
	unsigned tight; /* of these, left */
	unsigned gaps;	/* probes left with a pause */
};

/* How many messages this thread has put, in all queues. */
extern MPR_THREAD_LOCAL uint64_t mpr_thread_puts;

/* Starts to poll. @probes: that many without a pause at first, for an answer; or 0. */
void mpr_poll_begin(struct mpr_poll *p, struct mpr_attachment *at, unsigned probes);

/* Waits until the next probe. Returns false when it is time to sleep. */
bool mpr_poll_again(struct mpr_poll *p);

/* Whether the next probe comes without a pause. */
static inline bool
mpr_poll_next_is_tight(const struct mpr_poll *p)
{
	return p->tight != 0;
}

/* Waits until that. Inline, as all that lies between two looks does (0137). */
static inline void
mpr_poll_tightly(struct mpr_poll *p)
{
	p->tight--;
	mpr_cpu_pause();
}

/* Before a look for more messages than the thread knows of: pauses if the last
 * such look was just now. @looked: at so many lanes, in vain; meanwhile it looks at
 * others, and ends when one has something. */
void mpr_poll_pace(struct mpr_attachment *at, unsigned looked);

/* The look has found nothing. */
void mpr_poll_found_nothing(struct mpr_attachment *at);

/* Notes that the wait is over, with or without a sleep. */
void mpr_poll_end(struct mpr_poll *p);

/* Learns from a yield that took from @began to @now. Returns true if nobody
 * else wants the CPU. */
bool mpr_poll_judge(struct mpr_attachment *at, int64_t began, int64_t now);

#endif
