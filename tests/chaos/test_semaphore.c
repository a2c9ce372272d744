/* SPDX-License-Identifier: MIT */
/*
 * Eight processes share things by the permits of a semaphore, and are killed
 * and stopped at random. Who has a permit finds a thing that nobody else uses.
 * With .undo no permit is ever lost, and none is there twice; without, exactly
 * those of who was killed with one, and the test puts them back. Who waits gets
 * one.
 */
#include "chaos.h"

#define KILLS 300
#define PERMITS 2
#define TURNS 5000 /* at most, with a permit */

enum { ACQUIRES = 1, RELEASES };

static const char *const deeds[] = { "acquire", "release", NULL };

/* Where a worker is, as it notes itself. Nobody but itself knows whether it has
 * a permit in the middle of TAKING and GIVING. */
enum place {
	OUTSIDE,
	TAKING,
	USING,
	GIVING,
};

struct thing {
	_Atomic pid_t user;              /* 0: nobody */
	volatile uint64_t first, second; /* equal, if whole */
};

struct board {
	struct chaos chaos;
	mproc_semaphore *s;
	struct thing things[PERMITS];
	_Atomic unsigned place[CHAOS_WORKERS];
	/* For the test alone. */
	bool undo;
	unsigned
		unsure; /* have taken a permit along, or not, since the truce */
	unsigned lost, repaired;
};

static struct thing *
find_thing(struct board *b, pid_t user, pid_t next)
{
	for (int i = 0; i < PERMITS; i++) {
		pid_t is = user;

		if (atomic_compare_exchange_strong(&b->things[i].user, &is,
						   next))
			return &b->things[i];
	}
	return NULL;
}

/* That of a dead one is free when the test has cleared it. */
static void
use_thing(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	struct thing *thing;
	uint64_t first;

	mpt_until(t, (thing = find_thing(b, 0, getpid())));
	mpt_check(t, thing->first == thing->second);
	first = ++thing->first;
	chaos_spend(rand, TURNS);
	mpt_check(t, thing->first == first);
	mpt_check_int(t, thing->user, getpid());
	thing->second++;
}

static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct board *b = mpt_scratch(t);
	struct mpt_rand rand;
	int r;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	chaos_join(t);
	while (chaos_rest(t, me)) {
		b->place[me] = TAKING;
		chaos_does(ACQUIRES);
		r = chaos_done(mproc_semaphore_acquire(b->s,
						       chaos_timeout(&rand)));
		b->place[me] = r == 0 ? USING : OUTSIDE;
		if (r == -ETIMEDOUT || r == -EAGAIN)
			continue;
		mpt_check_int(t, r, 0);
		use_thing(t, b, &rand);
		r = mproc_semaphore_value(b->s);
		mpt_check(t, r >= 0 && r < PERMITS);
		b->chaos.finished[me]++;
		b->place[me] = GIVING;
		mpt_check(t, find_thing(b, getpid(), 0));
		chaos_does(RELEASES);
		mpt_check_int(t, chaos_done(mproc_semaphore_release(b->s)), 0);
		b->place[me] = OUTSIDE;
	}
	return 0;
}

static pid_t
user(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);

	return b->things[mpt_rand_below(rand, PERMITS)].user;
}

static void
repair(struct board *b, pid_t pid)
{
	for (int i = 0; i < PERMITS; i++) {
		struct thing *thing = &b->things[i];

		if (thing->user != pid)
			continue;
		b->repaired += thing->first != thing->second;
		thing->second = thing->first;
		thing->user = 0;
	}
}

/* Without .undo: one permit has to be left. */
static bool
bury(struct mpt *t, unsigned number, pid_t pid)
{
	struct board *b = mpt_scratch(t);

	repair(b, pid);
	if (b->undo)
		return false;
	switch ((enum place)b->place[number]) {
	case USING:
		b->lost++;
		assert_int_equal(mproc_semaphore_release(b->s), 0);
		break;
	case TAKING:
	case GIVING:
		b->unsure++;
		break;
	default:
		break;
	}
	b->place[number] = OUTSIDE;
	return b->unsure == PERMITS - 1;
}

static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	int value = mproc_semaphore_value(b->s);

	assert_in_range(value, PERMITS - b->unsure, PERMITS);
	b->lost += (unsigned)(PERMITS - value);
	for (; value < PERMITS; value++)
		assert_int_equal(mproc_semaphore_release(b->s), 0);
	b->unsure = 0;
	assert_int_equal(mproc_semaphore_release(b->s),
			 b->undo ? -EPERM : -EOVERFLOW);
	for (int i = 0; i < PERMITS; i++) {
		assert_int_equal(b->things[i].user, 0);
		assert_int_equal(b->things[i].first, b->things[i].second);
	}
}

static void
run(struct mpt *t, bool undo)
{
	struct board *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.crowded = true,
		.deeds = deeds,
		.inside = user,
		.bury = bury,
		.verify = verify,
	};
	uint64_t finished, used = 0;

	b->undo = undo;
	assert_int_equal(
		mproc_semaphore_create(&b->s, MPROC_OPTS(mproc_semaphore_opts,
							 .value = PERMITS,
							 .max = PERMITS,
							 .undo = undo)),
		0);
	chaos_run(t, &plan);
	finished = chaos_finished(t);
	for (int i = 0; i < PERMITS; i++)
		used += b->things[i].first;
	assert_in_range(used, finished, finished + b->chaos.deaths);
	print_message("# used %llu times, %u kills, %u of them in the middle, "
		      "%u permits lost\n",
		      (unsigned long long)used, b->chaos.deaths, b->repaired,
		      b->lost);
	mproc_semaphore_destroy(b->s);
}

static void
a_pool_survives_kills_and_stops(struct mpt *t)
{
	run(t, false);
}

static void
permits_come_back_from_the_dead(struct mpt *t)
{
	run(t, true);
}

chaos_both(a_pool_survives_kills_and_stops)
chaos_both(permits_come_back_from_the_dead)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(a_pool_survives_kills_and_stops),
		chaos_tests(permits_come_back_from_the_dead),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
