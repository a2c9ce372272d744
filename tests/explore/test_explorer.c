/* SPDX-License-Identifier: MIT */
/*
 * The explorer itself: it runs every schedule once, and its memory allows what
 * C11 allows and nothing else. The small programs are the usual litmus tests;
 * each is asked whether an outcome can be found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "explorer.h"

static struct {
	_Alignas(8) _Atomic uint64_t x;
	_Alignas(8) _Atomic uint64_t y;
	_Alignas(8) unsigned char bytes[16];
} shared;

static uint64_t seen[EXPLORE_FIBERS];
static memory_order storing, loading;
static unsigned count;

static void
begin(void)
{
	explore_share(0, &shared.x, 8, "x");
	explore_share(1, &shared.y, 8, "y");
	explore_share(2, shared.bytes, 16, "bytes");
	memset(seen, 0, sizeof(seen));
}

/* Whether exploring finds a schedule in which the check in @end fails. */
static bool
finds(void (*run)(unsigned), unsigned fibers, void (*end)(void),
      struct explore_bounds bounds)
{
	struct explore_scenario s = {
		.name = "litmus",
		.fibers = fibers,
		.begin = begin,
		.run = run,
		.end = end,
		.mortal = ~0u,
	};
	struct explore_result result;

	explore(&s, &bounds, &result);
	return result.failure[0];
}

#define WEAK ((struct explore_bounds){ .preemptions = 6, .stale = 4 })
#define PLAIN ((struct explore_bounds){ .preemptions = 6 })

static void
three_stores(unsigned fiber)
{
	for (uint64_t i = 0; i < 3; i++)
		explore_store(&shared.x, 3 * fiber + i, memory_order_relaxed);
}

static void
count_schedule(void)
{
	count++;
}

static unsigned
schedules(struct explore_bounds bounds)
{
	count = 0;
	assert_false(finds(three_stores, 2, count_schedule, bounds));
	return count;
}

static void
all_interleavings_are_run_once(void **state)
{
	(void)state;
	assert_int_equal(schedules(PLAIN), 6 * 5 * 4 / (3 * 2));
	/* One after the other; then also one cut into two pieces. */
	assert_int_equal(schedules((struct explore_bounds){ 0 }), 2);
	assert_int_equal(schedules((struct explore_bounds){
				 .preemptions = 1 }), 2 + 2 * 2);
}

static void
all_crashes_are_run(void **state)
{
	(void)state;
	/* Either fiber, before each of its stores, in either order. */
	assert_int_equal(schedules((struct explore_bounds){ .crashes = 1 }),
			 2 + 2 * 2 * 3);
}

static void
add_badly(unsigned fiber)
{
	uint64_t x = explore_load(&shared.x, memory_order_relaxed);

	(void)fiber;
	explore_store(&shared.x, x + 1, memory_order_relaxed);
}

static void
add_by_cas(unsigned fiber)
{
	uint64_t x = explore_load(&shared.x, memory_order_relaxed);

	(void)fiber;
	while (!explore_cas(&shared.x, &x, x + 1, memory_order_relaxed))
		;
}

static void
both_were_counted(void)
{
	explore_check(explore_peek(&shared.x) == 2);
}

static void
a_lost_update_is_found(void **state)
{
	(void)state;
	assert_true(finds(add_badly, 2, both_were_counted, PLAIN));
	assert_false(finds(add_by_cas, 2, both_were_counted, PLAIN));
	assert_false(finds(add_by_cas, 2, both_were_counted, WEAK));
}

static void
pass_message(unsigned fiber)
{
	if (fiber == 0) {
		explore_store(&shared.x, 1, memory_order_relaxed);
		explore_store(&shared.y, 1, storing);
	} else {
		seen[0] = explore_load(&shared.y, loading);
		seen[1] = explore_load(&shared.x, memory_order_relaxed);
	}
}

static void
pass_message_by_fences(unsigned fiber)
{
	if (fiber == 0) {
		explore_store(&shared.x, 1, memory_order_relaxed);
		explore_fence(storing);
		explore_store(&shared.y, 1, memory_order_relaxed);
	} else {
		seen[0] = explore_load(&shared.y, memory_order_relaxed);
		explore_fence(loading);
		seen[1] = explore_load(&shared.x, memory_order_relaxed);
	}
}

static void
message_is_there(void)
{
	explore_check(!seen[0] || seen[1]);
}

static bool
message_can_be_missed(void (*run)(unsigned), memory_order store,
		      memory_order load, struct explore_bounds bounds)
{
	storing = store;
	loading = load;
	return finds(run, 2, message_is_there, bounds);
}

static void
messages_pass_by_release_and_acquire(void **state)
{
	void (*const run[])(unsigned) = { pass_message,
					  pass_message_by_fences };
	const memory_order relaxed = memory_order_relaxed;
	const memory_order acquire = memory_order_acquire;
	const memory_order release = memory_order_release;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_false(message_can_be_missed(run[i], relaxed, relaxed,
						   PLAIN));
		assert_true(message_can_be_missed(run[i], relaxed, acquire,
						  WEAK));
		assert_true(message_can_be_missed(run[i], release, relaxed,
						  WEAK));
		assert_false(message_can_be_missed(run[i], release, acquire,
						   WEAK));
	}
}

/* 0: no fences, 1: both fence, 2: one makes both fence, 3: one fences. */
static int fencing;

static void
store_and_look(unsigned fiber)
{
	explore_store(fiber ? &shared.x : &shared.y, 1, memory_order_release);
	if (fencing == 1 || (fencing == 3 && fiber == 0))
		explore_fence(memory_order_seq_cst);
	if (fencing == 2 && fiber == 0)
		explore_barrier();
	seen[fiber] = explore_load(fiber ? &shared.y : &shared.x,
				   memory_order_acquire);
}

static void
one_saw_the_other(void)
{
	explore_check(seen[0] || seen[1]);
}

static void
both_can_look_too_early_without_fences(void **state)
{
	(void)state;
	fencing = 0;
	assert_false(finds(store_and_look, 2, one_saw_the_other, PLAIN));
	assert_true(finds(store_and_look, 2, one_saw_the_other, WEAK));
	fencing = 1;
	assert_false(finds(store_and_look, 2, one_saw_the_other, WEAK));
	fencing = 2;
	assert_false(finds(store_and_look, 2, one_saw_the_other, WEAK));
	fencing = 3;
	assert_true(finds(store_and_look, 2, one_saw_the_other, WEAK));
}

/* The same with one word that both store to: who stores last looks. */
static void
store_last_and_look(unsigned fiber)
{
	if (fiber == 0) {
		explore_store(&shared.x, 1, storing);
		explore_store(&shared.y, 1, storing);
	} else {
		explore_store(&shared.y, 2, storing);
		seen[1] = explore_load(&shared.x, loading);
	}
}

static void
last_one_saw_the_other(void)
{
	explore_check(explore_peek(&shared.y) == 1 || seen[1]);
}

static void
store_and_look_in_order(unsigned fiber)
{
	explore_store(fiber ? &shared.x : &shared.y, 1, storing);
	seen[fiber] = explore_load(fiber ? &shared.y : &shared.x, loading);
}

static bool
can_look_too_early(memory_order store, memory_order load)
{
	bool both, last;

	storing = store;
	loading = load;
	both = finds(store_and_look_in_order, 2, one_saw_the_other, WEAK);
	last = finds(store_last_and_look, 2, last_one_saw_the_other, WEAK);
	assert_int_equal(both, last);
	return both;
}

static void
seq_cst_accesses_have_one_order(void **state)
{
	(void)state;
	assert_false(can_look_too_early(memory_order_seq_cst,
					memory_order_seq_cst));
	assert_true(can_look_too_early(memory_order_seq_cst,
				       memory_order_acquire));
	assert_true(can_look_too_early(memory_order_release,
				       memory_order_seq_cst));
}

/* A word's values are seen in their order, and a release is passed on by who
 * changes the word in between. */
static void
relay(unsigned fiber)
{
	uint64_t y = 1;

	switch (fiber) {
	case 0:
		explore_store(&shared.x, 1, memory_order_relaxed);
		explore_store(&shared.y, 1, memory_order_release);
		break;
	case 1:
		explore_cas(&shared.y, &y, 2, memory_order_relaxed);
		break;
	default:
		seen[0] = explore_load(&shared.y, memory_order_acquire);
		seen[1] = explore_load(&shared.x, memory_order_relaxed);
		seen[2] = explore_load(&shared.y, memory_order_relaxed);
	}
}

static void
order_is_kept(void)
{
	explore_check(!seen[0] || seen[1]);
	explore_check(seen[2] >= seen[0]);
}

static void
changes_in_between_pass_a_release_on(void **state)
{
	(void)state;
	assert_false(finds(relay, 3, order_is_kept, WEAK));
}

static void
copy(unsigned fiber)
{
	uint64_t out[2], in[2] = { 1, 1 };

	if (fiber == 0) {
		explore_copy_out(out, shared.bytes, sizeof(out));
		explore_store(&shared.x, 1, storing);
		explore_point();
		explore_use();
		seen[0] = out[0] | out[1];
		seen[1] = out[0] ^ out[1];
	} else if (explore_load(&shared.x, memory_order_acquire)) {
		explore_copy_in(shared.bytes, in, sizeof(in));
	}
}

static void
copy_is_old(void)
{
	explore_check(!seen[0]);
}

static void
copies_are_made_before_a_release_only(void **state)
{
	(void)state;
	storing = memory_order_release;
	assert_false(finds(copy, 2, copy_is_old, WEAK));
	storing = memory_order_relaxed;
	assert_true(finds(copy, 2, copy_is_old, WEAK));
}

static unsigned bell;

static void
wake(unsigned fiber)
{
	if (fiber == 0) {
		bell = 0;
		explore_sleep(&bell, 0);
	} else {
		explore_store(&shared.x, 1, memory_order_relaxed);
		bell = 1;
	}
	seen[fiber] = 1;
}

static void
all_ended(void)
{
	explore_check(seen[0]);
}

/* Nobody sets bell after the sleeper has cleared it: a lost wake-up. */
static void
a_fiber_that_sleeps_for_ever_is_seen(void **state)
{
	(void)state;
	assert_true(finds(wake, 2, all_ended, PLAIN));
}

static void
inherit(unsigned fiber)
{
	if (fiber == 0) {
		explore_store(&shared.x, 1, memory_order_relaxed);
		explore_store(&shared.y, 1, memory_order_relaxed);
	} else {
		explore_inherit(0);
		seen[0] = explore_load(&shared.y, memory_order_relaxed);
		seen[1] = explore_load(&shared.x, memory_order_relaxed);
		explore_check(!seen[0] || seen[1]);
		explore_check(explore_killed(0) || seen[0]);
	}
}

static void
an_heir_knows_what_the_dead_did(void **state)
{
	struct explore_bounds bounds = WEAK;

	(void)state;
	bounds.crashes = 1;
	assert_false(finds(inherit, 2, count_schedule, bounds));
}

static bool
is_first_or_x_is_set(unsigned fiber)
{
	return fiber == 0 || explore_peek(&shared.x) == 1;
}

static void
set_or_find(unsigned fiber)
{
	if (fiber == 0)
		explore_store(&shared.x, 1, memory_order_relaxed);
	else
		explore_check(explore_peek(&shared.x) == 1);
	seen[fiber] = 1;
}

static void
who_set_it_or_both_ran(void)
{
	count++;
	explore_check(explore_killed(0) ? !seen[1] && explore_asleep(1) :
					  seen[1] || explore_killed(1));
}

static void
a_fiber_begins_when_it_is_ready(void **state)
{
	struct explore_scenario s = {
		.name = "ready",
		.fibers = 2,
		.ready = is_first_or_x_is_set,
		.begin = begin,
		.run = set_or_find,
		.end = who_set_it_or_both_ran,
		.mortal = 1,
	};
	struct explore_bounds bounds = { .preemptions = 2, .crashes = 1 };
	struct explore_result result;

	(void)state;
	count = 0;
	explore(&s, &bounds, &result);
	assert_string_equal(result.failure, "");
	/* The first one ends or is killed before its store. */
	assert_int_equal(count, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_interleavings_are_run_once),
		cmocka_unit_test(all_crashes_are_run),
		cmocka_unit_test(a_lost_update_is_found),
		cmocka_unit_test(messages_pass_by_release_and_acquire),
		cmocka_unit_test(both_can_look_too_early_without_fences),
		cmocka_unit_test(seq_cst_accesses_have_one_order),
		cmocka_unit_test(changes_in_between_pass_a_release_on),
		cmocka_unit_test(copies_are_made_before_a_release_only),
		cmocka_unit_test(a_fiber_that_sleeps_for_ever_is_seen),
		cmocka_unit_test(an_heir_knows_what_the_dead_did),
		cmocka_unit_test(a_fiber_begins_when_it_is_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
