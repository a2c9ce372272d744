/* SPDX-License-Identifier: MIT */
/*
 * The world of locks and the like: how it is made, and the fibers.
 */
#include <errno.h>
#include <string.h>

#include "arena/participant.h"
#include "arena/recover.h"
#include "sync/cell.h"
#include "sync/park.h"
#include "sync_world.h"

#define NOBODY EXPLORE_FIBERS

/* The arena, as far as it is used: after the tables a block of cells. */
static struct {
	_Alignas(4096) unsigned char low[MPR_HEAP_AT];
	uint64_t next, magic, pad[6];
	_Alignas(8) unsigned char cells[63][SYNC_CELL];
} memory;

static struct mproc_arena arena = {
	.shmem = { .base = memory.low, .size = sizeof(memory) },
	.shm = (void *)memory.low,
};

const struct sync_case *sync_now;

/* What is nobody's memory, or one fiber's own. */
static struct {
	unsigned fibers;
	struct mpr_self selves[EXPLORE_FIBERS]; /* of who does not run */
	unsigned running;
	bool interrupted[EXPLORE_FIBERS];
	bool holds_interrupts[EXPLORE_FIBERS];
	bool is_inside[EXPLORE_FIBERS];
	bool has_slept[EXPLORE_FIBERS];
	uint64_t word_at_sleep[EXPLORE_FIBERS];
	_Atomic uint64_t data;
	uint64_t last; /* what was written there */
} world;

/* For what lies below. */

mproc_arena *
world_arena(void)
{
	return &arena;
}

unsigned
world_fibers(void)
{
	return world.fibers;
}

struct mpr_self *
world_self(unsigned fiber)
{
	(void)fiber;
	return &mpr_this_thread;
}

uint32_t
world_ticket(unsigned fiber, uint32_t ticket)
{
	const struct mpr_cell *cell = sync_cell(0);

	if (!world.has_slept[fiber])
		world.word_at_sleep[fiber] = explore_newest(&cell->word);
	world.has_slept[fiber] = true;
	return ticket;
}

bool
world_may_look(void)
{
	return !sync_now->patient && explore_has_unburied();
}

bool
world_may_run_out_of_time(unsigned fiber)
{
	return sync_now->roles[fiber].timed;
}

bool
world_is_interrupted(unsigned fiber)
{
	return world.interrupted[fiber] && !world.holds_interrupts[fiber];
}

void
world_answer(unsigned fiber)
{
	world.interrupted[fiber] = false;
}

void
sync_hold_interrupts(bool hold)
{
	world.holds_interrupts[explore_current()] = hold;
}

/* For the objects. */

void *
sync_cell(unsigned i)
{
	return memory.cells[i];
}

bool
sync_has(sync_part *run)
{
	for (unsigned f = 0; f < world.fibers; f++)
		if (sync_now->roles[f].run == run)
			return true;
	return false;
}

void
sync_call(unsigned me)
{
	world.is_inside[me] = true;
	world.has_slept[me] = false;
}

void
sync_return(unsigned me)
{
	world.is_inside[me] = false;
}

bool
sync_is_killed_inside(unsigned fiber)
{
	return explore_killed(fiber) && world.is_inside[fiber];
}

unsigned
sync_killed_inside(void)
{
	unsigned n = 0;

	for (unsigned f = 0; f < world.fibers; f++)
		n += sync_is_killed_inside(f);
	return n;
}

bool
sync_any_killed(void)
{
	for (unsigned f = 0; f < world.fibers; f++)
		if (explore_killed(f))
			return true;
	return false;
}

uint64_t
sync_word_at_sleep(unsigned fiber)
{
	return world.word_at_sleep[fiber];
}

static _Atomic uint64_t *
wait_word_at(unsigned f)
{
	return (_Atomic uint64_t *)mpr_arena_at(&arena, MPR_WAITS_AT) + f;
}

uint64_t
sync_wait_word(unsigned fiber)
{
	return explore_newest(wait_word_at(fiber));
}

uint64_t
sync_many_word(unsigned fiber)
{
	return explore_newest(&mpr_participant_at(&arena, fiber)->many);
}

bool
sync_may_fail(const struct sync_role *role, int r)
{
	return (r == -ETIMEDOUT && role->timed) ||
	       (r == -EINTR && sync_has(sync_interrupts));
}

void
sync_data_share(void)
{
	world.last = 0;
	explore_share(SYNC_DATA, &world.data, sizeof(world.data), "data");
}

void
sync_data_check(void)
{
	explore_check(explore_load(&world.data, memory_order_relaxed) ==
		      world.last);
}

void
sync_data_change(void)
{
	uint64_t next = world.last + 1;

	sync_data_check();
	explore_store(&world.data, next, memory_order_relaxed);
	world.last = next;
}

mproc_timeout
sync_timeout(const struct sync_role *role)
{
	return role->timed ? mproc_ms(1) : MPROC_FOREVER;
}

/* The beginning. */

void
sync_begin_note(unsigned fiber, uint64_t note)
{
	atomic_init(&mpr_notes_at(&arena, fiber)->word[0], note);
	world.selves[fiber].notes_high = 1;
}

static void
begin_participant(unsigned f)
{
	struct mpr_participant *p = mpr_participant_at(&arena, f);

	memset(p, 0, sizeof(*p));
	memset(mpr_notes_at(&arena, f), 0, sizeof(struct mpr_notes));
	atomic_init(wait_word_at(f), 0);
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
		.notes = mpr_notes_at(&arena, f),
	};
}

static void
share_participant(unsigned f)
{
	struct mpr_participant *p = mpr_participant_at(&arena, f);

	explore_share(SYNC_IDENT, &p->ident, 8, "ident");
	explore_share(SYNC_PARKER, &p->parker.event, 8, "parker");
	explore_share(SYNC_OWNER, &p->wait_owner, 8, "waits for");
	explore_share(SYNC_WAKES, &p->wakes, 8, "wakes");
	explore_share(SYNC_WAIT, wait_word_at(f), 8, "wait");
	if (sync_now->object->has_calls) {
		explore_share(SYNC_THEN, &p->wait_then, 8, "then");
		explore_share(SYNC_CALLS, &p->calls, 8, "calls");
	}
	if (sync_now->object->has_many)
		explore_share(SYNC_MANY, &p->many, 8, "many");
	if (sync_now->object->has_notes)
		explore_share(SYNC_NOTE, mpr_notes_at(&arena, f)->word, 8,
			      "note");
}

static void
begin(void)
{
	enum mpr_cell_kind kind = sync_now->object->kind;
	struct mpr_arena_shm *shm = arena.shm;
	unsigned fibers = world.fibers;

	memset(&world, 0, sizeof(world));
	world.fibers = fibers;
	world.running = NOBODY;
	memset(shm, 0, sizeof(*shm));
	memset(&memory.next, 0, 4096);
	explore_fakes_begin(sync_now->hasty);
	atomic_init(&shm->looked_at, 1);
	atomic_init(&shm->waits_looked_at, 1);
	atomic_init(&shm->participants_high, fibers);
	memory.magic = MPR_CELL_MAGIC + kind;
	atomic_init(&shm->cells[kind], mpr_arena_offset(&arena, &memory.next));
	for (unsigned f = 0; f < fibers; f++)
		begin_participant(f);
	sync_now->object->begin();
	for (unsigned f = 0; f < fibers; f++)
		share_participant(f);
}

/* The fibers. */

static void
enter(unsigned fiber)
{
	if (world.running != NOBODY)
		world.selves[world.running] = mpr_this_thread;
	mpr_this_thread = world.selves[fiber];
	world.running = fiber;
}

static bool
is_ready(unsigned me)
{
	const struct sync_role *role = &sync_now->roles[me];

	return !role->when || role->when(me);
}

static void
run(unsigned me)
{
	const struct sync_role *role = &sync_now->roles[me];

	role->run(me, role);
}

void
sync_interrupts(unsigned me, const struct sync_role *role)
{
	(void)me;
	explore_point();
	world.interrupted[role->victim] = true;
	mpr_unpark(&arena, role->victim);
}

bool
sync_is_anybody_dead(unsigned unused)
{
	(void)unused;
	return explore_has_unburied();
}

void
sync_recovers(unsigned me, const struct sync_role *role)
{
	(void)me;
	(void)role;
	for (;;) {
		explore_wait(sync_is_anybody_dead);
		mpr_recover_all(&arena, false);
	}
}

/* The end. */

static bool
may_sleep(unsigned f)
{
	const struct sync_object *object = sync_now->object;

	return sync_now->roles[f].run == sync_recovers ||
	       (object->may_sleep && object->may_sleep(f));
}

static void
end(void)
{
	for (unsigned f = 0; f < world.fibers; f++)
		explore_check(explore_killed(f) || !explore_asleep(f) ||
			      may_sleep(f));
	explore_check(!sync_now->patient || !explore_has_unburied());
	if (sync_now->object->end)
		sync_now->object->end();
}

const struct explore_scenario *
sync_scenario(const struct sync_case *c)
{
	static struct explore_scenario s;

	sync_now = c;
	s = (struct explore_scenario){
		.name = c->name,
		.ready = is_ready,
		.begin = begin,
		.enter = enter,
		.run = run,
		.end = end,
	};
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++) {
		if (c->roles[f].run)
			s.fibers = f + 1;
		if (c->roles[f].mortal)
			s.mortal |= 1u << f;
	}
	world.fibers = s.fibers;
	return &s;
}
