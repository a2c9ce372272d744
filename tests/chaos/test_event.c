/* SPDX-License-Identifier: MIT */
/*
 * Eight processes wait for events, set and clear them, and are killed and
 * stopped at random. In a ring each one waits for the one before it: nothing
 * goes on unless each wake-up comes. With a gong, that is set and cleared at
 * once, all who wait at that moment go on, and nobody else.
 */
#include "chaos.h"

#define KILLS 200
#define TURNS 1000    /* at most, between two beats */
#define MOST_CLEARS 400
#define BELL_RINGER 0 /* who only beats; one of those that are not killed */

enum { WAITS = 1, SETS, CLEARS };

static const char *const deeds[] = { "wait", "set", "clear", NULL };

struct ring {
	struct chaos chaos;
	mproc_event *e[CHAOS_WORKERS];
	/* What was done before the event was set: how far its token has come.
	 */
	_Atomic uint64_t mail[CHAOS_WORKERS];
	_Atomic uint64_t read[CHAOS_WORKERS];
	_Atomic pid_t holder; /* of a token, who passes it on */
};

static void
set(struct mpt *t, mproc_event *e)
{
	chaos_does(SETS);
	mpt_check_int(t, chaos_done(mproc_event_set(e)), 0);
}

/* Several times, as it is so short that hardly any kill would hit it. */
static void
clear(struct mpt *t, mproc_event *e, struct mpt_rand *rand)
{
	for (uint64_t n = 1 + mpt_rand_below(rand, MOST_CLEARS); n; n--) {
		chaos_does(CLEARS);
		mpt_check_int(t, chaos_done(mproc_event_clear(e)), 0);
	}
}

static int
wait_for(mproc_event *e, struct mpt_rand *rand)
{
	int r;

	do {
		chaos_does(WAITS);
		r = chaos_done(mproc_event_wait(e, chaos_timeout(rand)));
	} while (r == -ETIMEDOUT || r == -EAGAIN);
	return r;
}

/* Takes a token, and passes it on. */
static void
pass_on(struct mpt *t, struct ring *b, unsigned me, struct mpt_rand *rand)
{
	unsigned next = (me + 1) % CHAOS_WORKERS;
	uint64_t mail;

	clear(t, b->e[me], rand);
	mail = b->mail[me];
	mpt_check(t, mail >= b->read[me]);
	b->read[me] = mail;
	b->mail[next] = mail + 1;
	b->holder = getpid();
	set(t, b->e[next]);
	b->holder = 0;
}

static int
work_in_ring(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct ring *b = mpt_scratch(t);
	struct mpt_rand rand;
	bool rests;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	chaos_join(t);
	/* Who rests has passed a token on in the truce: its successor gets
	 * one. */
	do {
		mpt_check_int(t, wait_for(b->e[me], &rand), 0);
		rests = chaos_is_truce(t);
		pass_on(t, b, me, &rand);
		b->chaos.finished[me]++;
	} while (!rests || chaos_rest(t, me));
	return 0;
}

static pid_t
holder(struct mpt *t, struct mpt_rand *rand)
{
	const struct ring *b = mpt_scratch(t);

	(void)rand;
	return b->holder;
}

/* It may have died with a token. */
static bool
bury_in_ring(struct mpt *t, unsigned number, pid_t pid)
{
	const struct ring *b = mpt_scratch(t);

	(void)pid;
	assert_int_equal(mproc_event_set(b->e[number]), 0);
	return false;
}

/* Each one has seen a token and passed it on before it came to rest, so there
 * is one. From now on there is only one. */
static void
verify_ring(struct mpt *t)
{
	const struct ring *b = mpt_scratch(t);
	unsigned set = 0;

	for (int i = 0; i < CHAOS_WORKERS; i++) {
		int r = mproc_event_is_set(b->e[i]);

		assert_in_range(r, 0, 1);
		set += (unsigned)r;
		assert_int_equal(mproc_event_clear(b->e[i]), 0);
	}
	assert_true(set);
	assert_int_equal(mproc_event_set(b->e[0]), 0);
}

static void
a_ring_goes_on_in_spite_of_kills_and_stops(struct mpt *t)
{
	struct ring *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work_in_ring,
		.kills = KILLS,
		.crowded = true,
		.deeds = deeds,
		.inside = holder,
		.bury = bury_in_ring,
		.verify = verify_ring,
	};

	for (int i = 0; i < CHAOS_WORKERS; i++)
		assert_int_equal(mproc_event_create(&b->e[i]), 0);
	assert_int_equal(mproc_event_set(b->e[0]), 0);
	chaos_run(t, &plan);
	print_message("# passed on %llu times, %u kills\n",
		      (unsigned long long)chaos_finished(t), b->chaos.deaths);
	for (int i = 0; i < CHAOS_WORKERS; i++)
		mproc_event_destroy(b->e[i]);
}

struct tower {
	struct chaos chaos;
	mproc_event *gong;
	/* Beats of each one, counted before it is set, and after it is
	 * cleared. */
	_Atomic uint64_t begun[CHAOS_WORKERS], ended[CHAOS_WORKERS];
	_Atomic bool listens[CHAOS_WORKERS];
};

static void
beat(struct mpt *t, struct tower *b, unsigned me, struct mpt_rand *rand)
{
	b->begun[me]++;
	set(t, b->gong);
	clear(t, b->gong, rand);
	b->ended[me] = b->begun[me];
}

/* Who has heard it has heard a beat that had not ended when it began to listen.
 * Returns false if it did not listen for long enough. */
static bool
listen(struct mpt *t, struct tower *b, unsigned me, struct mpt_rand *rand)
{
	uint64_t ended[CHAOS_WORKERS];
	bool heard = false;
	int r;

	for (int i = 0; i < CHAOS_WORKERS; i++)
		ended[i] = b->ended[i];
	b->listens[me] = true;
	chaos_does(WAITS);
	r = chaos_done(mproc_event_wait(b->gong, chaos_timeout(rand)));
	b->listens[me] = false;
	if (r == -ETIMEDOUT || r == -EAGAIN)
		return false;
	mpt_check_int(t, r, 0);
	for (int i = 0; i < CHAOS_WORKERS; i++)
		heard |= b->begun[i] > ended[i];
	mpt_check(t, heard);
	return true;
}

/* Whether all others rest, or wait for a beat. */
static bool
others_are_quiet(const struct tower *b)
{
	for (int i = 0; i < CHAOS_WORKERS; i++)
		if (i != BELL_RINGER && b->chaos.rests[i] != b->chaos.truce &&
		    !(b->listens[i] && mpt_task_state(b->chaos.pid[i]) == 'S'))
			return false;
	return true;
}

/* In a truce one beat is enough for all who wait. */
static int
ring_bell(struct mpt *t, struct tower *b, struct mpt_rand *rand)
{
	bool truce;

	do {
		truce = chaos_is_truce(t);
		if (truce)
			mpt_until(t, others_are_quiet(b));
		chaos_spend(rand, TURNS);
		beat(t, b, BELL_RINGER, rand);
	} while (!truce || chaos_rest(t, BELL_RINGER));
	return 0;
}

static int
work_in_tower(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct tower *b = mpt_scratch(t);
	struct mpt_rand rand;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	chaos_join(t);
	if (me == BELL_RINGER)
		return ring_bell(t, b, &rand);
	while (chaos_rest(t, me)) {
		if (mpt_rand_below(&rand, 4)) {
			chaos_spend(&rand, TURNS);
			beat(t, b, me, &rand);
		} else {
			b->chaos.finished[me] += listen(t, b, me, &rand);
		}
	}
	return 0;
}

/* One that beats, if there is one. */
static pid_t
beater(struct mpt *t, struct mpt_rand *rand)
{
	const struct tower *b = mpt_scratch(t);
	unsigned first = (unsigned)mpt_rand_below(rand, CHAOS_WORKERS);

	for (unsigned n = 0; n < CHAOS_WORKERS; n++) {
		unsigned i = (first + n) % CHAOS_WORKERS;

		if (b->begun[i] != b->ended[i])
			return b->chaos.pid[i];
	}
	return 0;
}

/* Whoever died in a beat may have left it set. */
static bool
bury_in_tower(struct mpt *t, unsigned number, pid_t pid)
{
	struct tower *b = mpt_scratch(t);

	(void)pid;
	if (b->begun[number] != b->ended[number])
		assert_int_equal(mproc_event_clear(b->gong), 0);
	b->ended[number] = b->begun[number];
	b->listens[number] = false;
	return false;
}

static void
verify_tower(struct mpt *t)
{
	const struct tower *b = mpt_scratch(t);

	assert_int_equal(mproc_event_is_set(b->gong), 0);
	for (int i = 0; i < CHAOS_WORKERS; i++)
		assert_int_equal(b->begun[i], b->ended[i]);
}

static void
a_gong_is_heard_in_spite_of_kills_and_stops(struct mpt *t)
{
	struct tower *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work_in_tower,
		.kills = KILLS,
		.crowded = true,
		.deeds = deeds,
		.inside = beater,
		.bury = bury_in_tower,
		.verify = verify_tower,
	};
	uint64_t beats = 0;

	assert_int_equal(mproc_event_create(&b->gong), 0);
	chaos_run(t, &plan);
	for (int i = 0; i < CHAOS_WORKERS; i++)
		beats += b->ended[i];
	print_message("# %llu beats, heard %llu times, %u kills\n",
		      (unsigned long long)beats,
		      (unsigned long long)chaos_finished(t), b->chaos.deaths);
	mproc_event_destroy(b->gong);
}

chaos_both(a_ring_goes_on_in_spite_of_kills_and_stops)
chaos_both(a_gong_is_heard_in_spite_of_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(a_ring_goes_on_in_spite_of_kills_and_stops),
		chaos_tests(a_gong_is_heard_in_spite_of_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
