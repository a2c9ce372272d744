/* SPDX-License-Identifier: MIT */
/*
 * The world of locks and the like: how it is made, the fibers, and the checks.
 */
#include <errno.h>
#include <string.h>

#include "arena/participant.h"
#include "arena/recover.h"
#include "sync/holder.h"
#include "sync/lock.h"
#include "sync/park.h"
#include "sync_world.h"

#define NOBODY EXPLORE_FIBERS

/* The arena, as far as it is used: after the tables a block of cells. */
static struct {
	_Alignas(4096) unsigned char low[MPR_HEAP_AT];
	uint64_t next, magic, pad[6];
	struct mpr_lock lock; /* in the first cell */
	unsigned char others[4096 - 96];
} memory;

static struct mproc_arena arena = {
	.shmem = { .base = memory.low, .size = sizeof(memory) },
	.shm = (void *)memory.low,
};

static struct mpr_lock *const l = &memory.lock;
static mproc_lock *const lock = (mproc_lock *)&memory.lock;

static const struct sync_case *now;

/* What is nobody's memory, or one fiber's own. */
static struct {
	unsigned fibers;
	struct mpr_self selves[EXPLORE_FIBERS];
	bool interrupted[EXPLORE_FIBERS];
	unsigned holder;
	uint32_t generation; /* of the lock that it holds */
	bool destroyed; /* once, or about to be */
} world;

/* For the fakes. */

mproc_arena *
sync_arena(void)
{
	return &arena;
}

struct mpr_self *
sync_self(unsigned fiber)
{
	return &world.selves[fiber];
}

unsigned
sync_fiber_of(const struct mpr_life *life)
{
	unsigned f = 0;

	while (&mpr_participant_at(&arena, f)->life != life)
		f++;
	return f;
}

static bool
has_unburied(unsigned unused)
{
	(void)unused;
	for (unsigned f = 0; f < world.fibers; f++)
		if (explore_killed(f) &&
		    mpr_participant_state(explore_newest(
			    &mpr_participant_at(&arena, f)->ident)) !=
			    MPR_PARTICIPANT_FREE)
			return true;
	return false;
}

bool
sync_may_look(void)
{
	return !now->patient && has_unburied(0);
}

bool
sync_may_run_out_of_time(unsigned fiber)
{
	return now->roles[fiber].timed;
}

bool
sync_is_interrupted(unsigned fiber)
{
	return world.interrupted[fiber];
}

void
sync_answer(unsigned fiber)
{
	world.interrupted[fiber] = false;
}

enum sync_part
sync_part_of(unsigned fiber)
{
	return fiber < EXPLORE_FIBERS ? now->roles[fiber].part : SYNC_NOTHING;
}

/* The beginning. */

static void
begin_participant(unsigned f)
{
	struct mpr_participant *p = mpr_participant_at(&arena, f);

	memset(p, 0, sizeof(*p));
	atomic_init(&p->pid, f + 1);
	atomic_init(&p->tid, f + 1);
	atomic_init(&p->ident, (f + 1) << 2 | MPR_PARTICIPANT_LIVE);
	world.selves[f] = (struct mpr_self){
		.generation = 1,
		.arena = &arena,
		.shared = p,
		.ident = atomic_load(&p->ident),
		.slot = f,
		.pid = f + 1,
	};
}

static void
share_participant(unsigned f)
{
	struct mpr_participant *p = mpr_participant_at(&arena, f);
	uint64_t *wait = (uint64_t *)mpr_arena_at(&arena, MPR_WAITS_AT) + f;

	*wait = 0;
	explore_share(SYNC_IDENT, &p->ident, 8, "ident");
	explore_share(SYNC_EVENT, &p->parker.event, 8, "event");
	explore_share(SYNC_OWNER, &p->wait_owner, 8, "waits for");
	explore_share(SYNC_NOTE, &p->wakes, 8, "note");
	explore_share(SYNC_WAIT, wait, 8, "wait");
}

static void
begin(void)
{
	struct mpr_arena_shm *shm = arena.shm;

	world.holder = NOBODY;
	world.destroyed = false;
	memset(world.interrupted, 0, sizeof(world.interrupted));
	memset(shm, 0, sizeof(*shm));
	memset(&memory.next, 0, 4096);
	sync_fakes_begin(now->hasty);
	atomic_init(&shm->looked_at, 1);
	atomic_init(&shm->waits_looked_at, 1);
	atomic_init(&shm->participants_high, world.fibers);
	memory.magic = MPR_CELL_MAGIC + MPR_CELL_LOCK;
	atomic_init(&shm->cells[MPR_CELL_LOCK],
		    mpr_arena_offset(&arena, &memory.next));
	for (unsigned f = 0; f < world.fibers; f++) {
		begin_participant(f);
		share_participant(f);
	}
	explore_share(SYNC_LOCK, &l->cell.word, 8, "lock");
}

/* The fibers. */

/* The first lock may be destroyed while it is used, the next one never. */
static bool
may_be_gone(uint32_t generation)
{
	return world.destroyed && generation == 0;
}

static void
check_died(int r, bool inside, uint32_t generation)
{
	struct mproc_owner owner;

	/* What it protected may be half changed. */
	explore_check(!inside || r == MPROC_OWNER_DIED);
	if (r != MPROC_OWNER_DIED)
		return;
	r = mproc_lock_owner(lock, &owner);
	if (may_be_gone(generation))
		return;
	explore_check(r == 0 && owner.died_pid > 0);
	explore_check(explore_killed((unsigned)owner.died_pid - 1));
	explore_check(!inside || owner.died_pid == (pid_t)world.holder + 1);
	explore_check(mproc_lock_consistent(lock) == 0 ||
		      may_be_gone(generation));
}

/* It holds the lock. */
static void
hold(unsigned me, int r, uint32_t generation)
{
	bool inside = world.holder != NOBODY &&
		      world.generation == generation;

	explore_check(!inside || explore_killed(world.holder));
	if (!may_be_gone(generation))
		check_died(r, inside, generation);
	world.holder = me;
	world.generation = generation;
	explore_point();
	if (world.generation == generation)
		world.holder = NOBODY;
}

static void
take_and_give(unsigned me, const struct sync_role *role)
{
	uint32_t generation = l->cell.generation;
	int r;

	r = mproc_lock_acquire(lock, role->timed ? mproc_ms(1) :
						   MPROC_FOREVER);
	if (r < 0) {
		explore_check((r == -ETIMEDOUT && role->timed) ||
			      r == -EINTR || world.destroyed);
		return;
	}
	/* The new one is not what it wanted. */
	if (l->cell.generation == generation)
		hold(me, r, generation);
	if (l->cell.generation == generation) {
		r = mproc_lock_release(lock);
		explore_check(r == 0 || may_be_gone(generation));
	} else {
		explore_check(mproc_lock_release(lock) < 0);
	}
}

static void
replace(void)
{
	mproc_lock *other;

	explore_point();
	world.destroyed = true;
	mproc_lock_destroy(lock);
	explore_check(mproc_lock_create(&other) == 0);
	explore_check(other == lock);
}

static void
run(unsigned me)
{
	const struct sync_role *role = &now->roles[me];

	switch (role->part) {
	case SYNC_NOTHING:
		break;
	case SYNC_LOCKS:
		for (unsigned i = 0; i < role->n; i++)
			take_and_give(me, role);
		break;
	case SYNC_DESTROYS:
		replace();
		break;
	case SYNC_INTERRUPTS:
		explore_point();
		world.interrupted[role->victim] = true;
		mpr_unpark(&arena, role->victim);
		break;
	case SYNC_RECOVERS:
		for (;;) {
			explore_wait(has_unburied);
			mpr_recover_all(&arena, false);
		}
	}
}

/* The end: all have given back what they took, so nobody has to wait. */
static void
end(void)
{
	uint64_t word = explore_newest(&l->cell.word);

	for (unsigned f = 0; f < world.fibers; f++)
		explore_check(explore_killed(f) || !explore_asleep(f) ||
			      now->roles[f].part == SYNC_RECOVERS);
	explore_check(!now->patient || !has_unburied(0));
	explore_check(!(word & MPR_HELD) ||
		      explore_killed(mpr_holder_slot(word)));
}

const struct explore_scenario *
sync_scenario(const struct sync_case *c)
{
	static struct explore_scenario s;

	now = c;
	s = (struct explore_scenario){
		.name = c->name,
		.begin = begin,
		.run = run,
		.end = end,
	};
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++) {
		if (c->roles[f].part != SYNC_NOTHING)
			s.fibers = f + 1;
		if (c->roles[f].mortal)
			s.mortal |= 1u << f;
	}
	world.fibers = s.fibers;
	return &s;
}
