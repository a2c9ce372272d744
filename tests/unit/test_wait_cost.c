/* SPDX-License-Identifier: MIT */
/*
 * What a wait for one of many costs, in instructions: of a set, as much as for what is
 * ready, however many are in it; without one, a few for each item that is not.
 */
#include <mproc/mproc.h>

#include "common.h"
#include "puppet.h"

enum { FEW = 10, MORE = 60, MANY = 2000 };

static mproc_queue *queues[MANY];

/* In the scratch bytes. */
struct board {
	int n;	  /* of the queues */
	int ready; /* which one has a message */
	int result;
};

static struct mproc_waitable
queue(int i)
{
	return (struct mproc_waitable){ .kind = MPROC_WAIT_QUEUE,
					.object = queues[i] };
}

static void
wait_for_a_set(struct mpt *t, void *arg)
{
	struct board *b = arg;
	struct mproc_waitable ready[4];
	mproc_waitset *w;

	mpt_check_int(t, mproc_waitset_create(&w), 0);
	for (int i = 0; i < b->n; i++) {
		const struct mproc_waitable item = queue(i);

		mpt_check_int(t, mproc_waitset_add(w, &item), 0);
	}
	/* Until it is told. */
	mpt_check_int(t, mproc_waitset_wait(w, ready, 4, MPROC_FOREVER), 1);
	mpt_check(t, ready[0].object == queues[b->ready]);
	puppet_halt();
	b->result = mproc_waitset_wait(w, ready, 4, MPROC_FOREVER);
	puppet_halt();
}

static void
wait_for_all(struct mpt *t, void *arg)
{
	static struct mproc_waitable items[MANY];
	struct board *b = arg;

	for (int i = 0; i < b->n; i++)
		items[i] = queue(i);
	mpt_check_int(t, mproc_wait(items, b->n, MPROC_FOREVER), 1);
	puppet_halt();
	b->result = mproc_wait(items, b->n, MPROC_FOREVER);
	puppet_halt();
}

/* How many instructions from one halt to the next. */
static unsigned long
cost_of(struct mpt *t, void (*wait)(struct mpt *t, void *arg), int n)
{
	struct board *b = mpt_scratch(t);
	unsigned long moves;
	pid_t pid;
	char byte;

	*b = (struct board){ .n = n, .ready = n / 2 };
	assert_int_equal(mproc_queue_put(queues[b->ready], "x", 1, MPROC_NOWAIT),
			 0);
	pid = puppet_start(t, wait, b);
	moves = puppet_count(t, pid);
	assert_int_equal(b->result, 1);
	puppet_kill(pid);
	assert_int_equal(mproc_queue_get(queues[b->ready], &byte, 1, NULL,
					 MPROC_NOWAIT), 0);
	assert_true(mproc_arena_recover(NULL) >= 0);
	return moves;
}

static void
a_set_costs_what_is_ready(void **state)
{
	unsigned long few = cost_of(*state, wait_for_a_set, FEW);
	unsigned long many = cost_of(*state, wait_for_a_set, MANY);

	print_message("# one of %d: %lu instructions, one of %d: %lu\n", FEW, few,
		      MANY, many);
	assert_in_range(many, 1, few + few / 4);
}

/* At most 50 ns. 282 instructions were 16 of a processor of 2024. */
static void
an_idle_item_costs_little(void **state)
{
	unsigned long few = cost_of(*state, wait_for_all, FEW);
	unsigned long more = cost_of(*state, wait_for_all, MORE);
	unsigned long each = (more - few) / (MORE - FEW);

	print_message("# %lu instructions for each idle queue\n", each);
	assert_in_range(each, 1, 400);
}

static int
setup(void **state)
{
	if (with_arena(state) < 0)
		return -1;
	for (int i = 0; i < MANY; i++)
		if (mproc_queue_create(&queues[i], MPROC_OPTS(
			    mproc_queue_opts, .capacity = 4096)) < 0)
			return -1;
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_set_costs_what_is_ready),
		mpt_test(an_idle_item_costs_little),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
