/* SPDX-License-Identifier: MIT */
/*
 * What locks protect in chaos tests: two numbers that are equal if they are
 * whole, and the process that changes them at the moment.
 */
#ifndef CHAOS_PAIR_H
#define CHAOS_PAIR_H

#include "chaos.h"

struct pair {
	/* Changed one after the other, in this order, as kills come between
	 * instructions; equal, and nobody inside, if whole. */
	volatile uint64_t first, second;
	volatile pid_t inside;
	uint64_t repaired; /* how often it was found half changed */
};

#define PAIR_TURNS 5000 /* at most, in the middle of a change or a look */

/* Whoever was here last has told nobody that it is not whole. */
static inline void
pair_must_be_whole(struct mpt *t, const struct pair *p)
{
	mpt_check_int(t, p->inside, 0);
	mpt_check(t, p->first == p->second);
}

static inline void
pair_change(struct pair *p, struct mpt_rand *rand)
{
	p->inside = getpid();
	p->first++;
	chaos_spend(rand, PAIR_TURNS);
	p->second++;
	p->inside = 0;
}

/* Nobody changes it while we look, be it whole or not. */
static inline void
pair_must_stay(struct mpt *t, const struct pair *p, struct mpt_rand *rand)
{
	uint64_t first = p->first, second = p->second;
	pid_t inside = p->inside;

	chaos_spend(rand, PAIR_TURNS);
	mpt_check(t, p->first == first);
	mpt_check(t, p->second == second);
	mpt_check_int(t, p->inside, inside);
}

/*
 * After MPROC_OWNER_DIED: @died is said to have died last. That is whoever left
 * it half changed, or one that was killed later, before it could repair that.
 */
static inline void
pair_must_be_left_by(struct mpt *t, const struct pair *p, pid_t died)
{
	unsigned death = chaos_death(t, died);

	/* Unknown is perhaps who was killed before it had written down who it
	 * is. */
	mpt_check(t, death || (!died && !p->inside));
	if (p->inside)
		mpt_check(t, chaos_death(t, p->inside));
	mpt_check(t, chaos_death(t, p->inside) <= death);
}

/* @owner says who holds it, and who died. */
static inline void
pair_repair(struct mpt *t, struct pair *p, const struct mproc_owner *owner)
{
	mpt_check_int(t, owner->pid, getpid());
	pair_must_be_left_by(t, p, owner->died_pid);
	if (!p->inside)
		return;
	p->repaired++;
	p->second = p->first;
	p->inside = 0;
}

/* When all is over. Who is killed between the change and its note has done one
 * more than were finished. */
static inline void
pair_must_be_all(struct mpt *t, const struct pair *p)
{
	const struct chaos *c = mpt_scratch(t);
	uint64_t finished = chaos_finished(t);

	pair_must_be_whole(t, p);
	assert_in_range(p->first, finished, finished + c->deaths);
	assert_in_range(p->repaired, 0, c->deaths);
	print_message("# %llu changes, %u kills, %llu of them inside\n",
		      (unsigned long long)p->first, c->deaths,
		      (unsigned long long)p->repaired);
}

#endif
