/* SPDX-License-Identifier: MIT */
/*
 * Eight processes put things into a small buffer and take them out, with a lock
 * and two conditions, and are killed and stopped at random. Nothing is lost or
 * comes twice, each producer's things come in their order, whoever was killed
 * half way; and with one notification for each thing nobody sleeps who could go
 * on.
 */
#include "chaos.h"

#define KILLS 500
#define ROOM_MAX 3
#define SLOTS (ROOM_MAX + 1) /* so that the last one taken is still there */
#define TURNS 10000          /* at most, with the lock or without */
#define PILL CHAOS_WORKERS   /* who takes a thing of the test itself rests */
#define PRODUCERS (CHAOS_WORKERS + 1)
#define LONG_ENOUGH mproc_sec(30) /* for the test to get in */

#define ROOM_FOR_ALL 2       /* then each notifies all */

enum { WAITS = 1, NOTIFIES, NOTIFIES_ALL };

static const char *const deeds[] = { "wait_for", "notify", "notify_all", NULL };

struct thing {
	unsigned producer;
	uint64_t number; /* of its things */
};

struct board {
	struct chaos chaos;
	mproc_lock *lock;
	mproc_condition *not_empty, *not_full;
	_Atomic pid_t inside; /* who has the lock, and can go on */
	_Atomic bool consumes[CHAOS_WORKERS]; /* rests only by a pill */
	/* All below has the lock. Written in the order in which it stands here,
	 * so that one who comes after a death knows what is missing. */
	volatile struct thing slots[SLOTS];
	volatile uint64_t put;
	volatile uint64_t sent[PRODUCERS]; /* how many of each one */
	volatile uint64_t taken;
	volatile uint64_t received[PRODUCERS];
	unsigned repaired, deaths_told;
	volatile unsigned room; /* changes when all rest */
};

static void
count_put(struct board *b)
{
	const volatile struct thing *last;

	if (!b->put)
		return;
	last = &b->slots[(b->put - 1) % SLOTS];
	if (b->sent[last->producer] != last->number)
		return;
	b->sent[last->producer]++;
	b->repaired++;
}

static void
count_taken(struct board *b)
{
	const volatile struct thing *last;

	if (!b->taken)
		return;
	last = &b->slots[(b->taken - 1) % SLOTS];
	if (b->received[last->producer] != last->number)
		return;
	b->received[last->producer]++;
	b->repaired++;
}

/* Whoever died may not have said what it has done. */
static void
repair(struct mpt *t, struct board *b)
{
	struct mproc_owner owner;

	mpt_check_int(t, mproc_lock_owner(b->lock, &owner), 0);
	mpt_check_int(t, owner.pid, getpid());
	mpt_check(t, !owner.died_pid || chaos_death(t, owner.died_pid));
	b->deaths_told++;
	count_put(b);
	count_taken(b);
	mpt_check_int(t, mproc_lock_consistent(b->lock), 0);
	mpt_check(t, mproc_condition_notify_all(b->not_empty) >= 0);
	mpt_check(t, mproc_condition_notify_all(b->not_full) >= 0);
}

static int
has_things(void *arg)
{
	const struct board *b = arg;

	return b->put != b->taken;
}

static int
has_room(void *arg)
{
	const struct board *b = arg;

	return b->put - b->taken < b->room;
}

static int
is_true(void *unused)
{
	(void)unused;
	return 1;
}

/* Takes the lock, and returns with it when @pred is true. Returns false,
 * without it, if that took too long. */
static bool
enter(struct mpt *t, mproc_condition *condition, int (*pred)(void *),
      mproc_timeout timeout)
{
	struct board *b = mpt_scratch(t);
	int r = mproc_lock_acquire(b->lock, MPROC_FOREVER);

	do {
		if (r == MPROC_OWNER_DIED)
			repair(t, b);
		else
			mpt_check_int(t, r, 0);
		chaos_does(WAITS);
		r = chaos_done(mproc_condition_wait_for(condition, b->lock,
							pred, b, timeout));
	} while (r == MPROC_OWNER_DIED);
	if (r == 0) {
		b->inside = getpid();
		return true;
	}
	mpt_check(t, r == -ETIMEDOUT || r == -EAGAIN);
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
	return false;
}

static void
leave(struct mpt *t, mproc_condition *condition)
{
	struct board *b = mpt_scratch(t);
	int r;

	if (b->room == ROOM_FOR_ALL) {
		chaos_does(NOTIFIES_ALL);
		r = chaos_done(mproc_condition_notify_all(condition));
	} else {
		chaos_does(NOTIFIES);
		r = chaos_done(mproc_condition_notify(condition, 1));
	}
	mpt_check(t, r >= 0);
	b->inside = 0;
	mpt_check_int(t, mproc_lock_release(b->lock), 0);
}

static void
put(struct board *b, unsigned producer, struct mpt_rand *rand)
{
	volatile struct thing *thing = &b->slots[b->put % SLOTS];

	thing->producer = producer;
	thing->number = b->sent[producer];
	b->put++;
	if (rand)
		chaos_spend(rand, TURNS);
	b->sent[producer]++;
}

/* Returns whose it was. */
static unsigned
take(struct mpt *t, struct board *b, struct mpt_rand *rand)
{
	const volatile struct thing *thing = &b->slots[b->taken % SLOTS];
	unsigned producer = thing->producer;

	mpt_check(t, thing->number == b->received[producer]);
	mpt_check(t, thing->number < b->sent[producer]);
	b->taken++;
	chaos_spend(rand, TURNS);
	b->received[producer]++;
	return producer;
}

static int
produce(struct mpt *t, unsigned me, struct mpt_rand *rand)
{
	struct board *b = mpt_scratch(t);

	while (chaos_rest(t, me)) {
		if (!enter(t, b->not_full, has_room, chaos_timeout(rand)))
			continue;
		put(b, me, rand);
		leave(t, b->not_empty);
		b->chaos.finished[me]++;
		chaos_spend(rand, TURNS);
	}
	return 0;
}

static int
consume(struct mpt *t, unsigned me, struct mpt_rand *rand)
{
	struct board *b = mpt_scratch(t);
	unsigned producer;

	/* One must take what there is when a truce is called, even if that is
	 * before any consumer has begun. */
	if (!chaos_is_veteran(me) && !chaos_rest(t, me))
		return 0;
	b->consumes[me] = true;
	for (;;) {
		if (!enter(t, b->not_empty, has_things, chaos_timeout(rand)))
			continue;
		producer = take(t, b, rand);
		leave(t, b->not_full);
		if (producer == PILL && !chaos_rest(t, me))
			return 0;
		chaos_spend(rand, TURNS);
	}
}

/* Of each kind there are those that are killed and those that are not. */
static int
work(struct mpt *t, void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct mpt_rand rand;

	chaos_begin(t, me);
	mpt_rand_init(&rand, (uint64_t)getpid());
	return me % 2 ? consume(t, me, &rand) : produce(t, me, &rand);
}

static pid_t
inside(struct mpt *t, struct mpt_rand *rand)
{
	const struct board *b = mpt_scratch(t);

	(void)rand;
	return b->inside;
}

/* Mostly a truce soon, for which others take what the dead one was notified of:
 * whoever comes in its place would do that too. */
static bool
bury(struct mpt *t, unsigned number, pid_t pid)
{
	struct board *b = mpt_scratch(t);

	(void)pid;
	b->consumes[number] = false;
	return b->chaos.deaths % 2;
}

static bool
producers_rest(const struct board *b)
{
	for (int i = 0; i < CHAOS_WORKERS; i += 2)
		if (b->chaos.rests[i] != b->chaos.truce)
			return false;
	return true;
}

/* How many consumers wait for a pill, once it is known of all of them. */
static unsigned
wait_for_pills(struct mpt *t, const struct board *b)
{
	unsigned n = 0;

	for (int i = 1; i < CHAOS_WORKERS; i += 2) {
		mpt_until(t, b->consumes[i] ||
				     b->chaos.rests[i] == b->chaos.truce);
		n += b->consumes[i];
	}
	return n;
}

/* The last one that had the lock may have died with it. Then all that was put
 * is taken, by those who were notified of it; then these are sent to rest. */
static void
call(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	assert_true(enter(t, b->not_full, is_true, LONG_ENOUGH));
	b->inside = 0;
	assert_int_equal(mproc_lock_release(b->lock), 0);
	chaos_until(t, producers_rest(b) && b->put == b->taken);
	for (unsigned n = wait_for_pills(t, b); n; n--) {
		assert_true(enter(t, b->not_full, has_room, LONG_ENOUGH));
		put(b, PILL, NULL);
		leave(t, b->not_empty);
	}
}

/* The buffer is empty. If it has room for one thing only, nobody makes up for a
 * notification that is lost. */
static void
verify(struct mpt *t)
{
	struct board *b = mpt_scratch(t);

	assert_int_equal(b->put, b->taken);
	for (int i = 0; i < PRODUCERS; i++)
		assert_int_equal(b->sent[i], b->received[i]);
	b->room = b->room % ROOM_MAX + 1;
}

static void
a_buffer_survives_kills_and_stops(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct chaos_plan plan = {
		.work = work,
		.kills = KILLS,
		.crowded = true,
		.deeds = deeds,
		.inside = inside,
		.bury = bury,
		.call = call,
		.verify = verify,
	};
	uint64_t sent = 0, finished;

	b->room = ROOM_MAX;
	assert_int_equal(mproc_lock_create(&b->lock), 0);
	assert_int_equal(mproc_condition_create(&b->not_empty), 0);
	assert_int_equal(mproc_condition_create(&b->not_full), 0);
	chaos_run(t, &plan);
	for (int i = 0; i < CHAOS_WORKERS; i++)
		sent += b->sent[i];
	finished = chaos_finished(t);
	/* Who is killed between the two has sent one more. */
	assert_in_range(sent, finished, finished + b->chaos.deaths);
	print_message(
		"# %llu things, %u kills, %u of them with the lock, %u in "
		"the middle\n",
		(unsigned long long)sent, b->chaos.deaths, b->deaths_told,
		b->repaired);
	mproc_condition_destroy(b->not_empty);
	mproc_condition_destroy(b->not_full);
	mproc_lock_destroy(b->lock);
}

chaos_both(a_buffer_survives_kills_and_stops)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		chaos_tests(a_buffer_survives_kills_and_stops),
	};

	return cmocka_run_group_tests(tests, chaos_setup, NULL);
}
