/* SPDX-License-Identifier: MIT */
/*
 * Threads of the library's own, and the hook at a thread's end.
 */
#include <errno.h>
#include <signal.h>

#include "base/fault.h"
#include "common.h"
#include "os/thread.h"

static _Atomic int hooks_run;

static void
count_hook(void *arg)
{
	hooks_run += *(int *)arg;
}

static void
count_ten(void *arg)
{
	hooks_run += 10 * *(int *)arg;
}

static struct mpr_thread_hook hook = { .fn = count_hook };
static struct mpr_thread_hook other = { .fn = count_ten };

static int
set_hook(struct mpt *t, void *arg)
{
	mpt_check_int(t, mpr_thread_at_exit(&hook, arg), 0);
	/* Again: still once at the end. */
	mpt_check_int(t, mpr_thread_at_exit(&hook, arg), 0);
	mpt_check_int(t, mpr_thread_at_exit(&other, arg), 0);
	mpt_check_int(t, hooks_run, 0);
	return 0;
}

static void
hooks_run_once_when_their_thread_ends(void **state)
{
	struct mpt *t = *state;
	int three = 3;

	mpt_use_threads(t, true);
	mpt_expect_exit(t, mpt_spawn(t, "thread", set_hook, &three), 0);
	assert_int_equal(hooks_run, 33);
}

static _Atomic int begun;
static sigset_t blocked;

static void *
note_mask(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	begun += *(int *)arg;
	return NULL;
}

static void
one_of_our_own_takes_no_signals_but_those_of_its_crashes(void **state)
{
	static int one = 1;
	struct mpt *t = *state;
	sigset_t before, after;

	sigprocmask(SIG_SETMASK, NULL, &before);
	begun = 0;
	assert_int_equal(mpr_thread_start(note_mask, &one), 0);
	mpt_until(t, begun == 1);
	sigprocmask(SIG_SETMASK, NULL, &after);
	for (int s = 1; s <= SIGRTMAX; s++)
		assert_int_equal(sigismember(&before, s),
				 sigismember(&after, s));
	assert_true(sigismember(&blocked, SIGINT));
	assert_true(sigismember(&blocked, SIGCHLD));
	assert_true(sigismember(&blocked, SIGRTMAX));
	assert_false(sigismember(&blocked, SIGSEGV));
	assert_false(sigismember(&blocked, SIGABRT));
}

/* Ends as its argument says. */
static void
end_somehow(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	if (*(int *)arg == 1)
		pthread_exit(NULL);
	if (*(int *)arg == 2) {
		pthread_cancel(pthread_self());
		pthread_testcancel();
	}
	begun = 100;
}

static void
note_end(void *arg)
{
	begun += 10 + *(int *)arg;
}

static void
one_that_is_joined_is_over_however_it_ends(void **state)
{
	(void)state;
	for (int how = 0; how <= 2; how++) {
		struct mpr_thread t = { .fn = end_somehow, .over = note_end,
					.arg = &how };

		begun = 0;
		assert_int_equal(mpr_thread_run(&t), 0);
		mpr_thread_join(&t);
		assert_int_equal(begun, (how ? 0 : 100) + 10 + how);
		assert_true(sigismember(&blocked, SIGINT));
		assert_false(sigismember(&blocked, SIGSEGV));
		mpr_fault_set("thread:1");
		assert_int_equal(mpr_thread_run(&t), -EAGAIN);
		mpr_fault_set(NULL);
	}
}

static void
one_that_cannot_be_had_is_an_error(void **state)
{
	static int one = 1;
	struct mpt *t = *state;

	begun = 0;
	mpr_fault_set("thread:1");
	assert_int_equal(mpr_thread_start(note_mask, &one), -EAGAIN);
	/* A stack that is too small is one that the program would take. */
	mpr_fault_set("thread:1=EINVAL");
	assert_int_equal(mpr_thread_start(note_mask, &one), 0);
	mpr_fault_set(NULL);
	mpt_until(t, begun == 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(one_of_our_own_takes_no_signals_but_those_of_its_crashes),
		mpt_test(one_that_is_joined_is_over_however_it_ends),
		mpt_test(one_that_cannot_be_had_is_an_error),
		mpt_test(hooks_run_once_when_their_thread_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
