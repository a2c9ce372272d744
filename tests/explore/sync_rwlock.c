/* SPDX-License-Identifier: MIT */
/*
 * Locks for readers and writers in all schedules. Who writes is alone, who reads
 * is so with readers only. After a writer that was killed each one is told so,
 * with its name, until another one says that all is well; after a reader nobody
 * is. Who reads is let in once more, and does not get it for writing. Of a lock
 * that is destroyed, and made again at its place, those who have the first one and
 * those who have the second do not exclude each other; all else holds for each.
 */
#include <errno.h>
#include <string.h>

#include "sync/rwlock.h"
#include "sync_world.h"

#define NOBODY EXPLORE_FIBERS

enum { AGAIN = 1 }; /* a reader reads twice, and tries to write */
enum { HELD = 1 };  /* of a case: fiber 0 writes when it begins */

static struct {
	mproc_rwlock *at;
	bool reads[EXPLORE_FIBERS];
	unsigned writer;
	unsigned dead; /* the last writer, if it was killed */
	bool over[EXPLORE_FIBERS];
	uint32_t generation[EXPLORE_FIBERS]; /* of the lock that each has */
	bool destroyed; /* once, or about to be */
} known;

static sync_part destroys;

static uint32_t
generation(void)
{
	return ((struct mpr_rwlock *)known.at)->cell.generation;
}

/* The first lock may be destroyed while it is used, the next one never. */
static bool
may_be_gone(uint32_t of)
{
	return known.destroyed && of == 0;
}

/* Whether what @fiber has is the lock that there is now. */
static bool
is_this(unsigned fiber)
{
	return known.generation[fiber] == generation();
}

/* Whether all others have done what they wanted. */
static bool
is_last(unsigned fiber)
{
	for (unsigned f = 0; f < world_fibers(); f++)
		if (f != fiber && !known.over[f] && !explore_killed(f))
			return false;
	return true;
}

/* Whether the first fiber writes, and the second one waits for that; or will not
 * do so any more. */
static bool
is_written(unsigned unused)
{
	(void)unused;
	return known.writer == 0 || known.over[0] || explore_killed(0);
}

static bool
is_waited_for(unsigned unused)
{
	(void)unused;
	return sync_wait_word(1) || known.over[0] || explore_killed(0) ||
	       explore_killed(1) || known.destroyed;
}

/* Whether the first fiber has given the lock back, and the third one has taken
 * it. */
static bool
is_given(unsigned unused)
{
	(void)unused;
	return known.over[0] || explore_killed(0);
}

static bool
is_taken(unsigned unused)
{
	(void)unused;
	return known.writer == 2 || known.over[2] || explore_killed(2);
}

/* Whether anybody that lives reads. */
static bool
is_read(void)
{
	for (unsigned f = 0; f < world_fibers(); f++)
		if (known.reads[f] && is_this(f) && !explore_killed(f))
			return true;
	return false;
}

/* @me has got it, with the result @r. */
static void
check_died(unsigned me, int r)
{
	struct mproc_owner owner;

	if (known.writer != NOBODY && !is_this(known.writer))
		known.writer = NOBODY;
	if (known.dead != NOBODY && !is_this(known.dead))
		known.dead = NOBODY;
	explore_check(known.writer == NOBODY || explore_killed(known.writer));
	if (known.writer != NOBODY)
		known.dead = known.writer;
	known.writer = NOBODY;
	explore_check(known.dead == NOBODY || r == MPROC_OWNER_DIED);
	if (r != MPROC_OWNER_DIED)
		return;
	/* Or it was killed before or after it wrote. */
	r = mproc_rwlock_owner(known.at, &owner);
	if (may_be_gone(known.generation[me]))
		return;
	explore_check(r == 0 && owner.died_pid > 0);
	explore_check(explore_killed((unsigned)owner.died_pid - 1));
	explore_check(known.dead == NOBODY ||
		      owner.died_pid == (pid_t)known.dead + 1);
}

/* It has the lock that it wanted when @of was its generation. What it has of
 * another one, which was made meanwhile, it gives back. */
static bool
has_this(unsigned me, uint32_t of)
{
	known.generation[me] = generation();
	if (generation() == of)
		return true;
	mproc_rwlock_release(known.at);
	return false;
}

/* Holders of two locks do not exclude each other. */
static void
use_data(void (*use)(void))
{
	if (sync_has(destroys))
		explore_point();
	else
		use();
}

static void
give_back(uint32_t of)
{
	int r = mproc_rwlock_release(known.at);

	explore_check(r == 0 || may_be_gone(of));
}

static void
read_again(void)
{
	int r = mproc_rwlock_read(known.at, MPROC_FOREVER);

	explore_check(r >= 0);
	explore_check(mproc_rwlock_write(known.at, MPROC_FOREVER) == -EDEADLK);
	explore_check(mproc_rwlock_release(known.at) == 0);
}

static void
read_once(unsigned me, const struct sync_role *role)
{
	uint32_t of = generation();
	int r = mproc_rwlock_read(known.at, sync_timeout(role));

	if (r < 0) {
		explore_check(sync_may_fail(role, r) || known.destroyed);
		return;
	}
	if (!has_this(me, of))
		return;
	known.reads[me] = true;
	check_died(me, r);
	use_data(sync_data_check);
	if (role->how == AGAIN)
		read_again();
	known.reads[me] = false;
	give_back(of);
}

static void
reads(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 0; i < role->n; i++)
		read_once(me, role);
	known.over[me] = true;
}

static void
write_once(unsigned me, const struct sync_role *role)
{
	uint32_t of = generation();
	int r = mproc_rwlock_write(known.at, sync_timeout(role));

	if (r < 0) {
		explore_check(sync_may_fail(role, r) || known.destroyed);
		return;
	}
	if (!has_this(me, of))
		return;
	explore_check(!is_read());
	check_died(me, r);
	known.writer = me;
	if (r == MPROC_OWNER_DIED) {
		r = mproc_rwlock_consistent(known.at);
		explore_check(r == 0 || may_be_gone(of));
		known.dead = NOBODY;
	}
	use_data(sync_data_change);
	explore_check(!is_this(me) || !is_read());
	if (known.writer == me)
		known.writer = NOBODY;
	give_back(of);
}

static void
writes(unsigned me, const struct sync_role *role)
{
	for (unsigned i = 0; i < role->n; i++)
		write_once(me, role);
	known.over[me] = true;
}

/* The lock that it has from the beginning. */
static void
gives_back(unsigned me, const struct sync_role *role)
{
	(void)role;
	use_data(sync_data_change);
	if (known.writer == me)
		known.writer = NOBODY;
	give_back(0);
	known.over[me] = true;
}

/* The lock; makes another one in its place, and writes as often as its role
 * says. */
static void
destroys(unsigned me, const struct sync_role *role)
{
	mproc_rwlock *other;

	explore_point();
	known.destroyed = true;
	mproc_rwlock_destroy(known.at);
	explore_check(mproc_rwlock_create(&other) == 0);
	explore_check(other == known.at);
	writes(me, role);
}

static void
begin(void)
{
	struct mpr_participant *p = mpr_participant_at(world_arena(), 0);
	struct mpr_rwlock *l = sync_cell(0);

	known.at = sync_cell(0);
	known.writer = known.dead = NOBODY;
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++)
		known.reads[f] = known.over[f] = false;
	known.destroyed = false;
	memset(known.generation, 0, sizeof(known.generation));
	if (sync_now->how == HELD) {
		uint64_t word = mpr_holder_of(0, p->ident);

		atomic_init(&l->cell.word, word);
		atomic_init(&l->named, mpr_holder_named_as(word, p->pid));
		known.writer = 0;
	}
	explore_share(SYNC_OBJECT, &l->cell.word, 8, "lock");
	sync_data_share();
}

/* All have given back what they took. */
static void
end(void)
{
	struct mpr_rwlock *l = sync_cell(0);
	uint64_t word = explore_newest(&l->cell.word);

	/* Or it was given to one that has given up. */
	explore_check(!(word & MPR_HELD) || word & MPR_WANTS ||
		      explore_killed(mpr_holder_slot(word)));
	for (unsigned f = 0; f < world_fibers(); f++)
		explore_check(explore_killed(f) ||
			      !explore_newest(mpr_notes_at(world_arena(), f)
						      ->word));
}

static const struct sync_object rwlock = {
	.kind = MPR_CELL_RWLOCK,
	.begin = begin,
	.end = end,
	.has_notes = true,
};

#define READS(times) { .run = reads, .n = times, .mortal = true }
/* The same for those who need not be killed. */
#define ALSO_READS { .run = reads, .n = 1 }
#define READS_AGAIN { .run = reads, .n = 1, .how = AGAIN, .mortal = true }
#define READS_LAST { .run = reads, .when = is_last, .n = 1 }
#define READS_TIMED { .run = reads, .n = 1, .timed = true, .mortal = true }
#define WRITES(times) { .run = writes, .n = times, .mortal = true }
#define WRITES_THEN(begins) \
	{ .run = writes, .when = begins, .n = 1, .mortal = true }
#define WRITES_LAST { .run = writes, .when = is_last, .n = 1 }
#define DESTROYS(times) { .run = destroys, .n = times, .mortal = true }
#define WRITES_TIMED { .run = writes, .n = 1, .timed = true, .mortal = true }

const struct sync_case sync_rwlock_cases[SYNC_RWLOCK_CASES] = {
	[SYNC_RWLOCK_ONE_EACH] = {
		.name = "one reads twice, one writes",
		.object = &rwlock,
		.roles = { READS(2), WRITES(1) },
	},
	[SYNC_RWLOCK_TWO_WRITERS] = {
		.name = "two write",
		.object = &rwlock,
		.roles = { WRITES(1), WRITES(1) },
	},
	[SYNC_RWLOCK_TWO_READ] = {
		.name = "two read, one writes",
		.object = &rwlock,
		.roles = { READS(1), READS(1), WRITES(1) },
		.fewer = 1,
	},
	[SYNC_RWLOCK_TWO_WRITE] = {
		.name = "one reads, two write",
		.object = &rwlock,
		.roles = { READS(1), WRITES(1), WRITES(1) },
		.fewer = 1,
	},
	[SYNC_RWLOCK_HASTY] = {
		.name = "one reads, two write, who waits is starved",
		.object = &rwlock,
		.roles = { READS(1), WRITES(1), WRITES(1) },
		.hasty = true,
		.fewer = 1,
	},
	[SYNC_RWLOCK_AGAIN] = {
		.name = "one reads while it reads, one writes",
		.object = &rwlock,
		.roles = { READS_AGAIN, WRITES(1) },
	},
	[SYNC_RWLOCK_READER_TIMED] = {
		.name = "a reader may give up",
		.object = &rwlock,
		.roles = { READS_TIMED, READS(1), WRITES(1) },
		.fewer = 1,
	},
	[SYNC_RWLOCK_WRITER_TIMED] = {
		.name = "a writer may give up",
		.object = &rwlock,
		.roles = { READS(1), WRITES_TIMED, WRITES(1) },
		.fewer = 1,
	},
	[SYNC_RWLOCK_TIMED_THEN_WRITE] = {
		.name = "a writer may give up, then another one comes",
		.object = &rwlock,
		.roles = { WRITES(1), WRITES_TIMED, WRITES_LAST },
	},
	[SYNC_RWLOCK_TIMED_THEN_READ] = {
		.name = "a writer may give up, then a reader comes",
		.object = &rwlock,
		.roles = { WRITES(1), WRITES_TIMED, READS_LAST },
	},
	[SYNC_RWLOCK_INTERRUPTED] = {
		.name = "a writer is interrupted",
		.object = &rwlock,
		.roles = { READS(1), WRITES(1), READS(1),
			   { .run = sync_interrupts, .victim = 1 } },
		.fewer = 2,
	},
	[SYNC_RWLOCK_WAITER_INTERRUPTED] = {
		.name = "of two writers that wait one is interrupted",
		.object = &rwlock,
		.roles = { WRITES(2), WRITES_THEN(is_written),
			   WRITES_THEN(is_waited_for),
			   { .run = sync_interrupts, .when = is_waited_for,
			     .victim = 1 } },
		.fewer = 1,
	},
	[SYNC_RWLOCK_HELD] = {
		.name = "one writes, another one waits, a third and a fourth "
			"come",
		.object = &rwlock,
		.how = HELD,
		.roles = { { .run = gives_back, .mortal = true }, WRITES(1),
			   WRITES_THEN(is_given), WRITES_THEN(is_taken) },
		.fewer_kills = 1,
	},
	[SYNC_RWLOCK_DESTROYED] = {
		.name = "a lock that is read and written is destroyed and made "
			"again",
		.object = &rwlock,
		.roles = { READS(1), WRITES(1), DESTROYS(0) },
		.fewer = 1,
	},
	[SYNC_RWLOCK_HELD_DESTROYED] = {
		.name = "a lock that is held and waited for is destroyed and "
			"made again",
		.object = &rwlock,
		.how = HELD,
		.roles = { { .run = gives_back, .mortal = true }, READS(2),
			   DESTROYS(1) },
		.fewer = 1,
	},
	[SYNC_RWLOCK_DESTROYED_THEN_WRITE] = {
		.name = "a lock that a writer waits for is destroyed and made "
			"again, then another writer comes",
		.object = &rwlock,
		.how = HELD,
		.roles = { { .run = gives_back, .when = is_waited_for,
			     .mortal = true },
			   WRITES(1), DESTROYS(0), WRITES_LAST },
		.fewer = 2,
	},
	[SYNC_RWLOCK_DESTROYED_RECOVERED] = {
		.name = "a lock is destroyed, and another one recovers",
		.object = &rwlock,
		.roles = { WRITES(1), ALSO_READS, DESTROYS(0), SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
	[SYNC_RWLOCK_READERS_RECOVERED] = {
		.name = "two read, one writes, and another one recovers",
		.object = &rwlock,
		.roles = { READS(1), READS(1), WRITES(1), SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
	[SYNC_RWLOCK_WRITERS_RECOVERED] = {
		.name = "one reads, two write, and another one recovers",
		.object = &rwlock,
		.roles = { READS(1), WRITES(1), WRITES(1), SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
	[SYNC_RWLOCK_HASTY_RECOVERED] = {
		.name = "the same, who waits is starved",
		.object = &rwlock,
		.roles = { READS(1), WRITES(1), WRITES(1), SYNC_RECOVERS },
		.patient = true,
		.hasty = true,
		.fewer = 1,
	},
	[SYNC_RWLOCK_TIMED_RECOVERED] = {
		.name = "a writer may give up, and another one recovers",
		.object = &rwlock,
		.roles = { READS(1), WRITES_TIMED, WRITES(1), SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
	[SYNC_RWLOCK_THREE_RECOVERED] = {
		.name = "three write, and another one recovers",
		.object = &rwlock,
		.roles = { WRITES(1), WRITES(1), WRITES(1), SYNC_RECOVERS },
		.patient = true,
		.fewer = 1,
	},
};
