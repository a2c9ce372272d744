/* SPDX-License-Identifier: MIT */
/*
 * How a producer sleeps in a full lane: for how long, for how much room, and what it
 * makes of what the consumer takes meanwhile. Sleeps are made up: in each, this thread
 * is the consumer.
 */
#include <errno.h>

#include <mproc/mproc.h>

#include "common.h"
#include "ipc/attachment.h"
#include "os/clock.h"
#include "sync/park.h"

#define MS INT64_C(1000000)
#define CAPACITY 4096
#define SIZE 56
#define IN_LANE (CAPACITY / 64)
#define SLEEPS 8

/* What the consumer does in a sleep. */
enum act {
	NOTHING,
	TAKE_ONE,
	TAKE_HALF, /* or as much as wakes the producer */
	TAKE_ONE_LATE, /* and the CPU has so much else to do */
};

#define LATE (20 * MS) /* as long as that sleep's end, and the next look's, are past */

static struct {
	bool made_up;
	mproc_queue *q;
	int64_t now;
	const enum act *acts;
	unsigned n;
	int64_t ms[SLEEPS]; /* 0: for ever */
	unsigned taken; /* in the last one */
} sleeps;

int64_t __real_mproc_now(void);
int64_t __wrap_mproc_now(void);
int __real_mpr_park(struct mpr_self *self, const void *object, uint32_t ticket,
		    int64_t deadline);
int __wrap_mpr_park(struct mpr_self *self, const void *object, uint32_t ticket,
		    int64_t deadline);

int64_t
__wrap_mproc_now(void)
{
	return sleeps.made_up ? sleeps.now += 100 : __real_mproc_now();
}

static struct mpr_attachment *
attachment(void)
{
	struct mpr_attachment *at = mpr_attachment_present(sleeps.q);

	assert_non_null(at);
	return at;
}

static bool
wants(void)
{
	return atomic_load(&attachment()->producer.lane->want) != 0;
}

static void
take_one(void)
{
	char buf[SIZE];

	assert_int_equal(mproc_queue_get(sleeps.q, buf, sizeof(buf), NULL,
					 MPROC_NOWAIT), 0);
	sleeps.taken++;
}

int
__wrap_mpr_park(struct mpr_self *self, const void *object, uint32_t ticket,
		int64_t deadline)
{
	enum act act;

	if (!sleeps.made_up)
		return __real_mpr_park(self, object, ticket, deadline);
	assert_true(sleeps.n < SLEEPS);
	if (deadline != MPR_NEVER)
		/* A few looks at the clock may lie between. */
		sleeps.ms[sleeps.n] = (deadline - sleeps.now + MS / 8) / MS;
	act = sleeps.acts[sleeps.n++];
	sleeps.taken = 0;
	if (act != NOTHING)
		take_one();
	while (act == TAKE_HALF && wants() && sleeps.taken < IN_LANE)
		take_one();
	if (!wants())
		return 0;
	assert_int_not_equal(deadline, MPR_NEVER);
	/* As the real one, if it is over already. */
	if (sleeps.now < deadline)
		sleeps.now = deadline + (act == TAKE_ONE_LATE ? LATE : 0);
	return -ETIMEDOUT;
}

static void
begin(void)
{
	sleeps.made_up = false;
	sleeps.q = NULL;
	assert_int_equal(mproc_queue_create(
		&sleeps.q, MPROC_OPTS(mproc_queue_opts, .capacity = CAPACITY)), 0);
}

/* A put in a full lane, and what the consumer does in its sleeps. */
static void
put_and(const enum act *acts)
{
	static const char msg[SIZE];

	while (mproc_queue_put(sleeps.q, msg, SIZE, MPROC_NOWAIT) == 0)
		;
	memset(sleeps.ms, 0, sizeof(sleeps.ms));
	sleeps.acts = acts;
	sleeps.n = 0;
	sleeps.now = __real_mproc_now();
	sleeps.made_up = true;
	assert_int_equal(mproc_queue_put(sleeps.q, msg, SIZE, MPROC_FOREVER), 0);
	sleeps.made_up = false;
}

#define PUT_AND(...) put_and((const enum act[SLEEPS]){ __VA_ARGS__ })

static void
end(void)
{
	mproc_queue_destroy(sleeps.q);
}

static void
who_sleeps_is_woken_when_half_of_the_lane_is_free(void **state)
{
	(void)state;
	begin();
	PUT_AND(TAKE_HALF);
	assert_int_equal(sleeps.n, 1);
	assert_int_equal(sleeps.taken, IN_LANE / 2);
	end();
}

static void
it_goes_on_if_nothing_more_is_taken(void **state)
{
	(void)state;
	begin();
	PUT_AND(TAKE_ONE, NOTHING);
	/* In the first sleep something was. */
	assert_int_equal(sleeps.n, 2);
	assert_int_equal(sleeps.ms[0], 4);
	assert_int_equal(sleeps.ms[1], 8);
	end();
}

static void
it_sleeps_on_while_more_is_taken(void **state)
{
	(void)state;
	begin();
	PUT_AND(TAKE_ONE, TAKE_ONE, TAKE_HALF);
	assert_int_equal(sleeps.n, 3);
	assert_int_equal(sleeps.taken, IN_LANE / 2 - 2);
	end();
}

static void
but_not_for_long(void **state)
{
	(void)state;
	begin();
	PUT_AND(TAKE_ONE, TAKE_ONE, TAKE_ONE, TAKE_ONE, TAKE_ONE);
	assert_int_equal(sleeps.n, 4);
	assert_int_equal(sleeps.ms[3], 32);
	end();
}

static void
it_looks_later_after_looks_in_vain_and_sooner_if_it_was_waited_for(void **state)
{
	(void)state;
	begin();
	PUT_AND(TAKE_ONE, TAKE_HALF);
	PUT_AND(TAKE_HALF);
	assert_int_equal(sleeps.ms[0], 8);
	for (int64_t ms = 8; ms; ms /= 2) {
		PUT_AND(TAKE_ONE, NOTHING);
		assert_int_equal(sleeps.n, 2);
		assert_int_equal(sleeps.ms[0], ms);
	}
	PUT_AND(TAKE_ONE, NOTHING);
	assert_int_equal(sleeps.ms[0], 1);
	for (int i = 0; i < 10; i++)
		PUT_AND(TAKE_ONE, TAKE_HALF);
	assert_int_equal(sleeps.ms[0], 16);
	end();
}

/* What nothing was taken in is a time that has passed since the last look. */
static void
a_late_look_delays_the_next_one(void **state)
{
	(void)state;
	begin();
	PUT_AND(TAKE_ONE_LATE, TAKE_ONE, TAKE_HALF);
	assert_int_equal(sleeps.n, 3);
	assert_int_equal(sleeps.ms[1], 8);
	assert_int_equal(sleeps.ms[2], 16);
	end();
}

/* Then it sleeps for one message, however long that takes. */
static void
it_does_not_look_for_ever(void **state)
{
	(void)state;
	begin();
	PUT_AND(NOTHING, NOTHING, NOTHING, NOTHING, TAKE_ONE);
	assert_int_equal(sleeps.n, 5);
	assert_int_equal(sleeps.ms[3], 32);
	assert_int_equal(sleeps.ms[4], 0);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_sleeps_is_woken_when_half_of_the_lane_is_free),
		mpt_test(it_goes_on_if_nothing_more_is_taken),
		mpt_test(it_sleeps_on_while_more_is_taken),
		mpt_test(but_not_for_long),
		mpt_test(it_looks_later_after_looks_in_vain_and_sooner_if_it_was_waited_for),
		mpt_test(a_late_look_delays_the_next_one),
		mpt_test(it_does_not_look_for_ever),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
