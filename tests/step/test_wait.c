/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of a wait for a queue and an event at
 * once, or for a descriptor, too, and of what wakes such a wait: others go on, no message
 * is left lying, and an event that was set was set for all.
 */
#include <poll.h>
#include <sys/eventfd.h>

#include "waiters.h"

/* ns until others have gone on that were woken; a slice ends after 50000000. A busy
 * machine holds up some of them. */
#define LATE INT64_C(20000000)

enum { OTHERS = 2 };

struct scene {
	struct world w;
	mproc_event *e;
	int fd; /* nothing ever comes there */
	pid_t others[OTHERS];
	unsigned long late; /* in how many cases they were */
	unsigned long cases;
};

/* In the scratch bytes. */
struct board {
	_Atomic int asleep; /* how many have announced themselves, or will soon */
	_Atomic int dead;   /* the victim is */
};

static struct board *
board(const struct scene *s)
{
	return mpt_scratch(s->w.t);
}

static void
begin(void *arg)
{
	struct scene *s = arg;

	*board(s) = (struct board){ 0 };
	world_begin(&s->w);
	assert_int_equal(mproc_event_create(&s->e), 0);
	s->fd = eventfd(0, EFD_CLOEXEC);
	assert_true(s->fd >= 0);
}

static void
end(struct scene *s)
{
	recover();
	close(s->fd);
	mproc_event_destroy(s->e);
	world_end(&s->w);
}

/* For the first @n of them. */
static int
wait_for(struct scene *s, int n, short ret[2], mproc_timeout timeout)
{
	struct mproc_waitable items[] = {
		{ .kind = MPROC_WAIT_QUEUE, .object = s->w.q },
		{ .kind = MPROC_WAIT_EVENT, .object = s->e },
		{ .kind = MPROC_WAIT_FD, .fd = s->fd, .events = POLLIN },
	};
	int r = mproc_wait(items, n, timeout);

	for (int i = 0; ret && i < 2; i++)
		ret[i] = items[i].ret_events;
	return r;
}

static int
wait_for_both(struct scene *s, short ret[2], mproc_timeout timeout)
{
	return wait_for(s, 2, ret, timeout);
}

/* Another process, which ends with 0. */
static void
start_other(struct scene *s, int i, int (*role)(struct scene *s))
{
	s->others[i] = fork();
	assert_true(s->others[i] >= 0);
	if (s->others[i] == 0)
		_exit(role(s));
}

static void
expect_end(struct scene *s, int i)
{
	wait_for_exit(s->others[i]);
}

/* What a thread's first call does. */
static void
take_part(struct scene *s)
{
	must_be(wait_for_both(s, NULL, MPROC_NOWAIT), -EAGAIN);
}

/* It works, whatever has happened. */
static void
expect_both_to_work(struct scene *s)
{
	struct found found[5];
	short told[2];

	assert_int_equal(wait_for_both(s, told, mproc_until(1)), -ETIMEDOUT);
	put(s->w.q, BY_TEST, 0);
	assert_int_equal(wait_for_both(s, told, mproc_sec(30)), 1);
	assert_int_equal(mproc_event_set(s->e), 0);
	assert_int_equal(wait_for_both(s, told, mproc_sec(30)), 2);
	drain(s->w.q, found);
	assert_int_equal(found[BY_TEST].n, 1);
}

static void
late_victim(void *arg)
{
	struct scene *s = arg;

	take_part(s);
	mpt_step_begin();
	must_be(wait_for_both(s, NULL, mproc_until(1)), -ETIMEDOUT);
	mpt_step_end();
}

/* The thread's first call, which makes it a participant. */
static void
first_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(wait_for_both(s, NULL, mproc_until(1)), -ETIMEDOUT);
	mpt_step_end();
}

/* With a descriptor among them another thread of the victim's watches for it. */
static void
mixed_late_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(wait_for(s, 3, NULL, mproc_until(1)), -ETIMEDOUT);
	mpt_step_end();
}

static void
mixed_woken_victim(void *arg)
{
	struct scene *s = arg;

	mpt_step_begin();
	must_be(wait_for(s, 3, NULL, mproc_sec(60)), 1);
	mpt_step_end();
}

static void
works_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	recover();
	expect_both_to_work(s);
	end(s);
}

/* Puts a message once somebody waits. */
static int
put_for_who_waits(struct scene *s)
{
	struct message m = message(BY_OTHER, 0);

	while (waiters_in_queue(&s->w) < 1)
		sched_yield();
	return mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT) < 0;
}

static void
begin_with_putter(void *arg)
{
	begin(arg);
	start_other(arg, 0, put_for_who_waits);
}

static void
woken_victim(void *arg)
{
	struct scene *s = arg;

	take_part(s);
	mpt_step_begin();
	must_be(wait_for_both(s, NULL, mproc_sec(60)), 1);
	mpt_step_end();
}

static void
woken_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct found found[5];
	short told[2];

	(void)victim;
	(void)n;
	(void)finished;
	assert_int_equal(wait_for_both(s, told, mproc_sec(30)), 1);
	assert_int_equal(told[0] != 0, 1);
	expect_end(s, 0);
	drain(s->w.q, found);
	assert_int_equal(found[BY_OTHER].n, 1);
	works_survivor(arg, victim, n, finished);
}

/* Takes the message, wherever it is woken. */
static int
take_one(struct scene *s)
{
	struct message m;
	int r;

	board(s)->asleep++;
	r = mproc_queue_get(s->w.q, &m, sizeof(m), NULL, mproc_sec(30));
	return r < 0 || !is_whole(&m) || m.sender != BY_OTHER;
}

static int
put_beside_who_waits(struct scene *s)
{
	struct message m = message(BY_OTHER, 0);

	while (waiters_in_queue(&s->w) < 2 && !board(s)->dead)
		sched_yield();
	return mproc_queue_put(s->w.q, &m, sizeof(m), MPROC_NOWAIT) < 0;
}

/* One sleeps in a get, and whoever of the two is woken, it gets the message. */
static void
begin_with_taker(void *arg)
{
	struct scene *s = arg;

	begin(s);
	start_other(s, 0, take_one);
	mpt_until(s->w.t, waiters_in_queue(&s->w) == 1);
	start_other(s, 1, put_beside_who_waits);
}

static void
taker_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	board(s)->dead = 1;
	expect_end(s, 1);
	expect_end(s, 0);
	works_survivor(arg, victim, n, finished);
}

/* It sees the message, or sees it no more. */
static void
onlooking_victim(void *arg)
{
	struct scene *s = arg;
	int r;

	take_part(s);
	mpt_step_begin();
	r = wait_for_both(s, NULL, mproc_ms(100));
	must_be(r == 1 || r == -ETIMEDOUT, true);
	mpt_step_end();
}

struct what {
	const char *name;
	void (*before)(void *arg);
	void (*victim)(void *arg);
	void (*survivor)(void *arg, pid_t victim, unsigned long n,
			 bool finished);
};

/* @budget and @max_cases are mpt_stepper_opts's. */
static void
step_through(void **state, const struct what *what, size_t n,
	     unsigned long budget, unsigned long max_cases)
{
	struct scene s = { .w = { .t = *state, .opts.capacity = 4096 } };

	for (; n; n--, what++) {
		mpt_watchdog(s.w.t, 60);
		mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
			.name = what->name,
			.before = what->before,
			.victim = what->victim,
			.survivor = what->survivor,
			.fingerprint = arena_state,
			.every = 2 * budget,
			.budget = budget,
			.max_cases = max_cases,
			.arg = &s,
		}, NULL);
	}
}

#define STEP_THROUGH(what, budget, max_cases)                             \
	step_through(state, what, sizeof(what) / sizeof((what)[0]), budget, \
		     max_cases)

static void
killed_in_wait(void **state)
{
	static const struct what what[] = {
		{ "first wait for both", begin, first_victim, works_survivor },
		{ "wait for both that is late", begin, late_victim,
		  works_survivor },
		{ "wait for both, woken", begin_with_putter, woken_victim,
		  woken_survivor },
		{ "wait for both, beside one who takes", begin_with_taker,
		  onlooking_victim, taker_survivor },
	};

	STEP_THROUGH(what, 100, 0);
}

static void
killed_in_a_mix(void **state)
{
	static const struct what what[] = {
		{ "wait for a mix that is late", begin, mixed_late_victim,
		  works_survivor },
		{ "wait for a mix, woken", begin_with_putter,
		  mixed_woken_victim, woken_survivor },
	};

	STEP_THROUGH(what, 30, 60);
}

static int
sleep_for_both(struct scene *s)
{
	short told[2];
	int r = wait_for_both(s, told, mproc_sec(60));

	return r != 1 || !told[1];
}

static void
begin_with_sleepers(void *arg)
{
	struct scene *s = arg;

	begin(s);
	for (int i = 0; i < OTHERS; i++) {
		start_other(s, i, sleep_for_both);
		mpt_until(s->w.t, waiters_for_many() == i + 1u &&
					mpt_task_state(s->others[i]) == 'S');
	}
}

static void
set_victim(void *arg)
{
	struct scene *s = arg;

	take_part(s);
	mpt_step_begin();
	must_be(mproc_event_set(s->e), 0);
	mpt_step_end();
}

/* If it is set, nobody needs to set it again; even if it is cleared before
 * somebody notices the death. */
static void
set_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int is_set = mproc_event_is_set(s->e);
	int64_t began;

	assert_in_range(is_set, finished, 1);
	assert_int_equal(mproc_event_clear(s->e), 0);
	recover();
	if (!is_set) {
		/* One that just looks whether its time has come is none. */
		mpt_until(s->w.t, waiters_for_many() == OTHERS);
		assert_int_equal(mproc_event_set(s->e), 0);
	}
	began = mproc_now();
	for (int i = 0; i < OTHERS; i++)
		expect_end(s, i);
	s->late += mproc_now() - began > LATE;
	s->cases++;
	assert_int_equal(mproc_event_clear(s->e), 0);
	works_survivor(arg, victim, n, finished);
}

static void
killed_in_a_set_that_wakes(void **state)
{
	struct scene s = { .w = { .t = *state, .opts.capacity = 4096 } };

	mpt_watchdog(s.w.t, 60);
	mpt_stepper_run(s.w.t, &(struct mpt_stepper_opts){
		.name = "set that wakes who waits for both",
		.before = begin_with_sleepers,
		.victim = set_victim,
		.survivor = set_survivor,
		.fingerprint = arena_state,
		.every = 500,
		.budget = 100,
		.arg = &s,
	}, NULL);
	assert_in_range(s.late, 0, s.cases / 5);
}

/* The first ones make room for many. */
static int
setup(void **state)
{
	mproc_event *made;

	if (mproc_event_create(&made) < 0)
		return -1;
	mproc_event_destroy(made);
	make_spare_slots();
	return world_setup(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_in_wait),
		mpt_test(killed_in_a_mix),
		mpt_test(killed_in_a_set_that_wakes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
