/* SPDX-License-Identifier: MIT */
/*
 * Waiting for several processes at once: whose end is seen, what a wait costs,
 * and what is done where it cannot be had.
 */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"
#include "os/clock.h"
#include "process/handle.h"
#include "process/watch.h"

#define MANY 20

static int
wait_for_a_signal(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 0;
}

static void
start(mproc_process **ps, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(mproc_process_start(&ps[i], wait_for_a_signal,
						     NULL, NULL), 0);
}

static void
end(mproc_process **ps, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (ps[i])
			assert_int_equal(mproc_process_stop(ps[i],
							    MPROC_NOWAIT), 0);
		mproc_process_close(ps[i]);
	}
}

/* Waits until one is done: how many waits did that take? */
static unsigned
watch_until_done(struct mpr_watch *w, mproc_process *p)
{
	unsigned n = 0;

	while (!mpr_process_is_done(p)) {
		assert_int_equal(mpr_watch(w, MPR_NEVER), 0);
		n++;
	}
	return n;
}

/* One after the other, from the last to the first. */
static void
see_each_end(unsigned n)
{
	mproc_process *ps[MANY];
	struct mpr_watch w = { .ps = ps, .n = n, .fd = -1 };

	start(ps, n);
	assert_int_equal(mpr_watch(&w, mproc_now()), -ETIMEDOUT);
	for (unsigned i = n; i > 0; i--) {
		assert_false(mpr_process_is_done(ps[i - 1]));
		assert_int_equal(mproc_process_kill(ps[i - 1]), 0);
		watch_until_done(&w, ps[i - 1]);
		assert_int_equal(w.tries, 0);
		for (unsigned j = 0; j + 1 < i; j++)
			assert_false(mpr_process_is_done(ps[j]));
	}
	/* Nobody is left to wait for. */
	assert_int_equal(mpr_watch(&w, mproc_now() + 1000000), -ETIMEDOUT);
	end(ps, n);
}

static void
the_end_of_any_of_them_is_seen(void **state)
{
	(void)state;
	see_each_end(3);
	see_each_end(MANY);
}

static void
it_is_seen_without_memory_and_without_poll(void **state)
{
	static const char *const specs[] = { "malloc:1+", "poll:1+" };
	mproc_process *ps[MANY];
	struct mpr_watch w = { .ps = ps, .n = MANY, .fd = -1 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		start(ps, MANY);
		mpr_fault_set(specs[i]);
		assert_int_equal(mproc_process_kill(ps[MANY - 1]), 0);
		watch_until_done(&w, ps[MANY - 1]);
		mpr_fault_set(NULL);
		end(ps, MANY);
	}
}

static void
those_that_are_missing_are_left_out(void **state)
{
	mproc_process *ps[3] = { NULL };
	struct mpr_watch w = { .ps = ps, .n = 3, .fd = -1 };

	(void)state;
	assert_int_equal(mpr_watch(&w, mproc_now()), -ETIMEDOUT);
	start(&ps[1], 1);
	assert_int_equal(mproc_process_kill(ps[1]), 0);
	watch_until_done(&w, ps[1]);
	end(ps, 3);
}

/* A waiting process costs one call for each wait, not one for each child. */
static void
a_wait_looks_only_at_those_that_ended(void **state)
{
	mproc_process *ps[MANY];
	struct mpr_watch w = { .ps = ps, .n = MANY, .fd = -1 };
	uint64_t waits;

	(void)state;
	start(ps, MANY);
	mpr_fault_set("waitid:1000000");
	assert_int_equal(mpr_watch(&w, mproc_now() + 5000000), -ETIMEDOUT);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_WAITID), 0);
	mpr_fault_set(NULL);
	assert_int_equal(kill(ps[7]->child.pid, SIGKILL), 0);
	mpr_fault_set("waitid:1000000");
	waits = watch_until_done(&w, ps[7]);
	assert_true(waits <= 2);
	assert_in_range(mpr_fault_hits(MPR_FAULT_WAITID), 1, 4);
	mpr_fault_set(NULL);
	end(ps, MANY);
}

static void
a_descriptor_ends_a_wait_too(void **state)
{
	mproc_process *ps[2];
	struct mpr_watch w = { .ps = ps, .n = 2 };
	int64_t began;

	(void)state;
	start(ps, 2);
	w.fd = eventfd(1, EFD_CLOEXEC);
	assert_true(w.fd >= 0);
	/* A wait in vain takes a second. */
	began = mproc_now();
	for (int i = 0; i < 5; i++)
		assert_int_equal(mpr_watch(&w, MPR_NEVER), 0);
	assert_true(mproc_now() - began < INT64_C(4000000000));
	assert_false(mpr_process_is_done(ps[0]));
	close(w.fd);
	/* Closed behind our back: the processes are watched all the same. */
	assert_int_equal(mproc_process_kill(ps[1]), 0);
	watch_until_done(&w, ps[1]);
	end(ps, 2);
}

static void
an_interrupt_is_answered_by_those_whom_it_is_for(void **state)
{
	mproc_process *ps[2];
	struct mpr_watch w = { .ps = ps, .n = 2, .fd = -1 };

	(void)state;
	start(ps, 2);
	mproc_interrupt();
	assert_int_equal(mproc_process_kill(ps[0]), 0);
	watch_until_done(&w, ps[0]);
	w.interruptible = true;
	assert_int_equal(mpr_watch(&w, MPR_NEVER), -EINTR);
	assert_int_equal(mpr_watch(&w, mproc_now() + 1000000), -ETIMEDOUT);
	end(ps, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(the_end_of_any_of_them_is_seen),
		mpt_test(it_is_seen_without_memory_and_without_poll),
		mpt_test(those_that_are_missing_are_left_out),
		mpt_test(a_wait_looks_only_at_those_that_ended),
		mpt_test(a_descriptor_ends_a_wait_too),
		mpt_test(an_interrupt_is_answered_by_those_whom_it_is_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
