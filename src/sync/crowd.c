/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "os/clock.h"
#include "sync/condition.h"
#include "sync/crowd.h"
#include "sync/park.h"

static struct mpr_condition *
condition_of(const struct mpr_crowd *crowd)
{
	return (struct mpr_condition *)crowd->condition;
}

static _Atomic uint64_t *
word_of(const struct mpr_crowd *crowd)
{
	return &crowd->wait.self->shared->crowd;
}

void
mpr_crowd_begin(struct mpr_crowd *crowd, struct mpr_self *self)
{
	/* Before it waits: nobody takes it for one who waits for itself. */
	atomic_store(&self->shared->crowd, MPR_CROWD);
	mpr_wait_begin(&crowd->wait, self, crowd->condition, MPR_WAIT_CALL);
	mpr_wait_announce(&crowd->wait, -1);
	crowd->is_there = true;
}

int
mpr_crowd_join(struct mpr_crowd *crowd)
{
	atomic_fetch_add(word_of(crowd), MPR_CROWD_ONE);
	/* Each time: who has found nobody left takes the flag away. */
	if (mpr_condition_flag(condition_of(crowd), crowd->generation))
		return 0;
	(void)mpr_crowd_part(crowd);
	return -ESTALE;
}

bool
mpr_crowd_part(struct mpr_crowd *crowd)
{
	uint64_t word = atomic_load(word_of(crowd));

	do
		if (!mpr_crowd_left(word))
			return false;
	while (!atomic_compare_exchange_strong(word_of(crowd), &word,
					       word - MPR_CROWD_ONE));
	return true;
}

uint32_t
mpr_crowd_take(struct mpr_crowd *crowd)
{
	uint64_t word = atomic_load(word_of(crowd)), called;

	do
		called = word & MPR_CROWD_CALLED;
	while (called && !atomic_compare_exchange_strong(
		word_of(crowd), &word, word - called * (MPR_CROWD_ONE + 1)));
	return (uint32_t)called;
}

void
mpr_crowd_since(struct mpr_crowd *crowd, int64_t since)
{
	atomic_store_explicit(&crowd->since, since, memory_order_relaxed);
	atomic_store_explicit(&crowd->wait.self->shared->wait_since,
			      (uint64_t)since, memory_order_relaxed);
}

void
mpr_crowd_end(struct mpr_crowd *crowd)
{
	(void)mpr_wait_end(&crowd->wait);
	mpr_wait_finish(&crowd->wait);
	/* Not before it waits no more. */
	atomic_store(word_of(crowd), 0);
	crowd->is_there = false;
}

int
mpr_crowd_await(struct mpr_crowd *crowd)
{
	mproc_arena *a = mpr_arena_of(crowd->condition);
	struct mpr_self *self = mpr_self_in(a);
	struct mpr_participant *p = self->shared;
	int r = 0;

	while (r == 0) {
		uint32_t ticket = mpr_park_ticket(self);

		if (mpr_condition_is_gone(condition_of(crowd), crowd->generation))
			return -ESHUTDOWN;
		if (atomic_load(&p->crowd) & MPR_CROWD_CALLED)
			return 0;
		/* It sleeps as who has announced its wait. */
		atomic_store_explicit(&p->wait_object,
				      mpr_arena_name(a, crowd->condition),
				      memory_order_relaxed);
		atomic_store_explicit(&p->wait_since,
				      (uint64_t)atomic_load_explicit(
					      &crowd->since,
					      memory_order_relaxed),
				      memory_order_relaxed);
		r = mpr_park(self, crowd->condition, ticket, MPR_NEVER);
	}
	return r;
}
