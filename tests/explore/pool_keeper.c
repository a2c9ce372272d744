/* SPDX-License-Identifier: MIT */
/*
 * Who keeps a pool, in all schedules: processes that need a keeper and start one, the
 * creator that frees the pool and makes another in its place, and those that give back
 * what a dead creator has left. The order in which these do what they do is that of
 * keeper.c and make.c.
 *
 * One keeps a pool at a time. Who has the word has it of the pool that it means, and that
 * pool is there. A pool is freed once, when nobody keeps it.
 */
#include <errno.h>

#include "pool_keeper.h"
#include "sync/cell.h"

#define NOBODY EXPLORE_FIBERS

enum { AT_THE_END_FREES = 1 }; /* a keeper whose creator is dead */

static struct {
	struct mpr_pool_root root;
	unsigned keeps; /* who has the word, and was not said to have lost it */
	unsigned freed; /* how often the first pool was */
} known;

static struct mpr_pool_use
pool_of(uint32_t generation)
{
	return (struct mpr_pool_use){
		.pool = sync_cell(0),
		.arena = world_arena(),
		.root = &known.root,
		.generation = generation,
	};
}

static struct mpr_self *
self_of(unsigned me)
{
	return world_self(me);
}

static uint64_t
cell_word(void)
{
	const struct mproc_pool *pool = sync_cell(0);

	return explore_newest(&pool->cell.word);
}

/* Right after the change of the word by which it is @me. */
static void
takes(unsigned me, uint32_t generation)
{
	explore_check(cell_word() == mpr_pool_word(generation));
	explore_check(known.keeps == NOBODY || explore_killed(known.keeps));
	known.keeps = me;
}

/* It is about to change the word for another one. */
static void
leaves(unsigned me)
{
	explore_check(known.keeps == me);
	known.keeps = NOBODY;
}

static bool
phase_is_over(void)
{
	uint64_t phase = explore_newest(&known.root.phase);

	return phase >> 32 != POOL_FIRST || (phase & 0xff) == MPR_POOL_ENDED;
}

static bool
has_ended(void)
{
	return cell_word() != mpr_pool_word(POOL_FIRST) || phase_is_over();
}

/* Whether who waits for the first pool has something to do. */
static bool
is_to_look(unsigned fiber)
{
	uint64_t word = explore_newest(&known.root.keeper);

	(void)fiber;
	return phase_is_over() || !(word & MPR_HELD) ||
	       explore_killed(mpr_holder_slot(word));
}

static bool
is_ended(unsigned fiber)
{
	(void)fiber;
	return has_ended();
}

/* The caller has the cell: its word becomes @word. */
static void
leave_cell(unsigned me, uint64_t word)
{
	struct mproc_pool *pool = sync_cell(0);
	uint64_t mine = mpr_holder(self_of(me)) | MPR_GONE;

	explore_check(atomic_compare_exchange_strong(&pool->cell.word, &mine,
						     word));
}

/* The caller has the cell of the first pool, and nobody keeps that. */
static void
unmake(unsigned me)
{
	explore_check(known.keeps == NOBODY || explore_killed(known.keeps));
	explore_check(++known.freed == 1);
	atomic_store(&known.root.keeper, mpr_keeper_over(POOL_FIRST));
	leave_cell(me, MPR_GONE);
}

static bool
take_first(void)
{
	return mpr_cell_take(MPR_CELL_POOL, sync_cell(0),
			     mpr_pool_word(POOL_FIRST));
}

/* The keeper that it has started takes its place: here it is that itself. */
static void
be_keeper(unsigned me, const struct mpr_pool_use *u, unsigned how)
{
	uint64_t starter = mpr_keeper_starter(self_of(me));
	uint64_t mine = mpr_holder(self_of(me));

	explore_check(atomic_compare_exchange_strong(&u->root->keeper, &starter,
						     mine));
	explore_check(mpr_pool_advance(u, MPR_POOL_ENDED));
	/* From here on its creator may free the pool, and does not ask. */
	leaves(me);
	if (how == AT_THE_END_FREES &&
	    atomic_load(&u->root->keeper) == mine && take_first())
		unmake(me);
	/* And is there for a while. */
	explore_point();
}

/* Returns whether the caller has become it; or the pool has ended. */
static bool
becomes_keeper(unsigned me, const struct mpr_pool_use *u)
{
	int r;

	do {
		explore_wait(is_to_look);
		if (mpr_pool_phase(u) == MPR_POOL_ENDED)
			return false;
		r = mpr_keeper_claim(u, mpr_keeper_starter(self_of(me)),
				     MPR_POOL_TERMINATING);
	} while (r == -EBUSY);
	explore_check(r == 0 || r == -ESTALE || r == -ESHUTDOWN);
	if (r == 0)
		takes(me, u->generation);
	return r == 0;
}

static void
keeps(unsigned me, const struct sync_role *role)
{
	const struct mpr_pool_use u = pool_of(POOL_FIRST);

	if (becomes_keeper(me, &u))
		be_keeper(me, &u, role->how);
}

/* Of an inline pool, and of one that was terminated: who finds that a keeper has something to
 * do is that for a moment. */
static void
is_it_a_moment(unsigned me, const struct sync_role *role)
{
	const struct mpr_pool_use u = pool_of(POOL_FIRST);
	uint64_t mine = mpr_keeper_starter(self_of(me));

	(void)role;
	if (!becomes_keeper(me, &u))
		return;
	mpr_pool_advance(&u, MPR_POOL_ENDED);
	leaves(me);
	/* If it is freed already, there is nothing to give back. */
	mpr_keeper_give_back(&u, mine);
}

static void
frees(unsigned me, const struct sync_role *role)
{
	(void)role;
	explore_wait(is_ended);
	if (take_first())
		unmake(me);
}

/* And makes another one there. */
static void
remakes(unsigned me, const struct sync_role *role)
{
	uint64_t mine = mpr_keeper_starter(self_of(me));
	struct mpr_pool_use u = pool_of(POOL_FIRST + 1);
	void *cell;

	frees(me, role);
	explore_check(mpr_cell_create_in(u.arena, MPR_CELL_POOL, &cell) == 0);
	explore_check(cell == sync_cell(0));
	/* Who has kept the first one has ended that, and may live. */
	explore_check(mpr_keeper_seize(&u, mine));
	explore_check(known.keeps == NOBODY || explore_killed(known.keeps));
	known.keeps = me;
	atomic_store(&known.root.phase,
		     (uint64_t)u.generation << 32 | MPR_POOL_OPEN);
	leave_cell(me, mpr_pool_word(u.generation));
	leaves(me);
	explore_check(mpr_keeper_give_back(&u, mine));
}

/* Who makes a pool somewhere, and finds this one, whose creator is dead. */
static void
reclaims(unsigned me, const struct sync_role *role)
{
	const struct mpr_pool_use u = pool_of(POOL_FIRST);
	uint64_t mine = mpr_keeper_starter(self_of(me));

	(void)role;
	if (!mpr_pool_is_there(&u) ||
	    mpr_keeper_claim(&u, mine, MPR_POOL_ENDED) < 0)
		return;
	takes(me, POOL_FIRST);
	mpr_pool_advance(&u, MPR_POOL_TERMINATING);
	explore_check(take_first());
	leaves(me);
	explore_check(mpr_keeper_end(&u, mine));
	unmake(me);
}

/* The same, but its creator lives after all, and may free the pool meanwhile. It has none
 * of another one. */
static void
looks(unsigned me, const struct sync_role *role)
{
	const struct mproc_pool *pool = sync_cell(0);
	const struct mpr_pool_use u = pool_of(POOL_FIRST);
	uint64_t mine = mpr_keeper_starter(self_of(me));

	(void)role;
	if (mpr_keeper_claim(&u, mine, MPR_POOL_ENDED) < 0)
		return;
	explore_check(explore_newest(&pool->cell.generation) == POOL_FIRST);
	mpr_keeper_give_back(&u, mine);
}

/* An open pool without a keeper. */
static void
begin(void)
{
	struct mproc_pool *pool = sync_cell(0);

	known.keeps = NOBODY;
	known.freed = 0;
	atomic_init(&pool->cell.word, mpr_pool_word(POOL_FIRST));
	atomic_init(&pool->cell.generation, POOL_FIRST);
	atomic_init(&known.root.keeper, mpr_keeper_none(POOL_FIRST));
	atomic_init(&known.root.phase,
		    (uint64_t)POOL_FIRST << 32 | MPR_POOL_OPEN);
	explore_share(SYNC_OBJECT, &pool->cell.word, 8, "cell");
	explore_share(SYNC_KEEPER, &known.root.keeper, 8, "keeper");
	explore_share(SYNC_PHASE, &known.root.phase, 8, "phase");
}

static void
end(void)
{
	bool to_be_freed = sync_has(frees) || sync_has(remakes) ||
			   sync_has(reclaims);

	explore_check(has_ended() || (sync_any_killed() && sync_has(reclaims)));
	explore_check(sync_any_killed() || known.freed == to_be_freed);
}

static const struct sync_object keeper = {
	.kind = MPR_CELL_POOL,
	.begin = begin,
	.end = end,
};

#define KEEPS { .run = keeps }
#define MAY_DIE(part) { .run = part, .mortal = true }

const struct sync_case pool_keeper_cases[POOL_KEEPER_CASES] = {
	[POOL_KEEPER_TWO] = {
		.name = "two need a keeper",
		.object = &keeper,
		.roles = { MAY_DIE(keeps), KEEPS },
	},
	[POOL_KEEPER_THREE] = {
		.name = "three need a keeper",
		.object = &keeper,
		.roles = { MAY_DIE(keeps), MAY_DIE(keeps), KEEPS },
	},
	[POOL_KEEPER_ENDED] = {
		.name = "the creator frees it at its end",
		.object = &keeper,
		.roles = { MAY_DIE(keeps), KEEPS, { .run = frees } },
	},
	[POOL_KEEPER_REMADE] = {
		.name = "another pool is made in its place",
		.object = &keeper,
		.roles = { MAY_DIE(keeps), KEEPS, { .run = remakes } },
	},
	[POOL_KEEPER_LATE] = {
		.name = "who looks is late, and another one is in its place",
		.object = &keeper,
		.roles = { MAY_DIE(looks), MAY_DIE(keeps), KEEPS,
			   { .run = remakes } },
		.fewer = 1,
	},
	[POOL_KEEPER_INLINE] = {
		.name = "two are the keeper for a moment, and another pool is made",
		.object = &keeper,
		.roles = { MAY_DIE(is_it_a_moment), { .run = is_it_a_moment },
			   { .run = remakes } },
	},
	[POOL_KEEPER_TERMINATED] = {
		.name = "one has started a keeper, another is it for a moment",
		.object = &keeper,
		.roles = { MAY_DIE(keeps), { .run = is_it_a_moment },
			   { .run = remakes } },
	},
	[POOL_KEEPER_ORPHANED] = {
		.name = "the creator is dead, and two give it back",
		.object = &keeper,
		.roles = { MAY_DIE(reclaims), { .run = reclaims } },
	},
	[POOL_KEEPER_ORPHANED_THREE] = {
		.name = "the creator is dead, and one starts a keeper meanwhile",
		.object = &keeper,
		.roles = { MAY_DIE(reclaims), { .run = reclaims },
			   { .run = keeps, .how = AT_THE_END_FREES,
			     .mortal = true } },
	},
};
