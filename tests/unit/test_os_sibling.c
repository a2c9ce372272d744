/* SPDX-License-Identifier: MIT */
/*
 * os/sibling.h: a role forks children of the test.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "base/fault.h"
#include "common.h"
#include "os/sibling.h"

/* In the scratch bytes. */
struct board {
	_Atomic uint32_t pid;
	_Atomic uint32_t own; /* what it says of itself */
	pid_t test;
};

static int
fork_a_sibling(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	pthread_mutex_t mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
	struct mpr_sibling s;
	pid_t pid;

	(void)arg;
	mpt_check_int(t, mpr_sibling_prepare(&s), 0);
	pid = mpr_sibling_fork(&s, &b->pid);
	if (pid == 0) {
		b->own = (uint32_t)gettid();
		/* As whom the C library locks, and whom it signals. */
		pthread_mutex_lock(&mutex);
		if (mutex.__data.__owner != gettid() || getppid() != b->test)
			_exit(1);
		raise(SIGTERM);
		_exit(2);
	}
	mpt_check(t, pid > 0);
	mpt_check_int(t, b->pid, pid);
	/* It is none of ours. */
	mpt_check_int(t, waitpid(pid, NULL, WNOHANG), -1);
	mpt_check_int(t, errno, ECHILD);
	return 0;
}

static void
the_child_is_the_parents(void **state)
{
	struct board *b = mpt_scratch(*state);
	int id, status;

	b->test = getpid();
	id = mpt_spawn(*state, "forker", fork_a_sibling, NULL);
	mpt_until(*state, b->pid != 0);
	assert_int_equal(waitpid((pid_t)b->pid, &status, 0), b->pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	assert_int_equal(b->own, b->pid);
	mpt_expect_exit(*state, id, 0);
}

static void
a_fork_that_fails_leaves_no_id(void **state)
{
	_Atomic uint32_t pid = 0;
	struct mpr_sibling s;

	(void)state;
	assert_int_equal(mpr_sibling_prepare(&s), 0);
	assert_int_equal(mpr_fault_set("fork:1=ENOMEM"), 0);
	assert_int_equal(mpr_sibling_fork(&s, &pid), -ENOMEM);
	assert_int_equal(mpr_fault_set(NULL), 0);
	assert_int_equal(pid, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(the_child_is_the_parents),
		mpt_test(a_fork_that_fails_leaves_no_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
