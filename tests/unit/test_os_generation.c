/* SPDX-License-Identifier: MIT */
/*
 * Every process has a generation of its own, however it was forked.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

#include "common.h"
#include "os/generation.h"

static void
it_is_a_number_that_stays(void **state)
{
	uint64_t mine = mpr_generation();

	(void)state;
	assert_true(mine > 0);
	for (int i = 0; i < 100; i++)
		assert_true(mpr_generation() == mine);
}

static int
expect_another(struct mpt *t, void *arg)
{
	uint64_t parents = *(uint64_t *)arg, mine = mpr_generation();

	mpt_check(t, mine != parents);
	mpt_check(t, mine != 0);
	mpt_check(t, mpr_generation() == mine);
	return 0;
}

static void
a_forked_child_has_another(void **state)
{
	struct mpt *t = *state;
	uint64_t mine = mpr_generation();

	mpt_expect_exit(t, mpt_spawn(t, "child", expect_another, &mine), 0);
	assert_true(mpr_generation() == mine);
}

static int
fork_on(struct mpt *t, void *arg)
{
	uint64_t seen[8] = { *(uint64_t *)arg };
	int status;
	pid_t pid;

	/* Each child compares itself with all of its ancestors. */
	for (int depth = 1; depth < 8; depth++) {
		seen[depth] = mpr_generation();
		for (int i = 0; i < depth; i++)
			mpt_check(t, seen[depth] != seen[i]);
		pid = depth % 2 ? fork() : _Fork();
		mpt_check(t, pid >= 0);
		if (pid > 0) {
			mpt_check_int(t, waitpid(pid, &status, 0), pid);
			_exit(status ? 1 : 0);
		}
	}
	_exit(0);
}

static void
a_child_of_a_child_differs_from_all_its_ancestors(void **state)
{
	struct mpt *t = *state;
	uint64_t mine = mpr_generation();

	mpt_expect_exit(t, mpt_spawn(t, "child", fork_on, &mine), 0);
}

static void
a_child_without_fork_handlers_has_another_too(void **state)
{
	struct mpt *t = *state;
	uint64_t mine = mpr_generation();
	int status;
	pid_t pid;

	(void)t;
	pid = _Fork();
	if (pid == 0)
		_exit(mpr_generation() == mine || mpr_generation() == 0);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(mpr_generation() == mine);
}

static int
expect_the_same(struct mpt *t, void *arg)
{
	mpt_check(t, mpr_generation() == *(uint64_t *)arg);
	return 0;
}

static void
threads_share_their_process_generation(void **state)
{
	struct mpt *t = *state;
	uint64_t mine = mpr_generation();

	mpt_use_threads(t, true);
	for (int i = 0; i < 4; i++)
		mpt_spawn(t, "thread", expect_the_same, &mine);
	mpt_join_all(t);
}

static int
hold_the_lock(struct mpt *t, void *arg)
{
	(void)arg;
	mpr_process_lock();
	mpt_step(t, 0);
	mpt_reach(t, 2);
	mpr_process_unlock();
	return 0;
}

static int
lock_and_unlock(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	mpr_process_lock();
	mpr_process_unlock();
	return 0;
}

static void
a_lock_held_by_another_thread_is_free_in_a_child(void **state)
{
	struct mpt *t = *state;
	int holder, child;

	mpt_use_threads(t, true);
	holder = mpt_spawn(t, "holder", hold_the_lock, NULL);
	mpt_reach(t, 1);
	mpt_use_threads(t, false);
	child = mpt_spawn(t, "child", lock_and_unlock, NULL);
	mpt_expect_exit(t, child, 0);
	mpt_step(t, 1);
	mpt_expect_exit(t, holder, 0);
}

static unsigned counter;

static int
count_under_the_lock(struct mpt *t, void *arg)
{
	(void)t;
	for (unsigned i = *(unsigned *)arg; i; i--) {
		mpr_process_lock();
		counter++;
		mpr_process_unlock();
	}
	return 0;
}

static void
the_lock_keeps_threads_apart(void **state)
{
	struct mpt *t = *state;
	unsigned n = amount(20000);

	counter = 0;
	mpt_use_threads(t, true);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "thread", count_under_the_lock, &n);
	mpt_join_all(t);
	assert_int_equal(counter, 3 * n);
}

/* A signal handler has forked while a fork had the lock; the child goes on in there. */
static int
come_back_from_a_fork(struct mpt *t, void *arg)
{
	struct mpr_process_page *page;

	(void)arg;
	mpr_generation();
	page = atomic_load(&mpr_process_page);
	mpr_fork_lock_forget();
	mpr_fork_unlock();
	mpr_fork_lock();
	mpt_check_int(t, pthread_mutex_trylock(&page->fork_lock), EBUSY);
	mpr_fork_unlock();
	mpt_check_int(t, pthread_mutex_trylock(&page->fork_lock), 0);
	pthread_mutex_unlock(&page->fork_lock);
	return 0;
}

static void
a_copy_that_gives_back_the_lock_of_forks_can_take_it(void **state)
{
	struct mpt *t = *state;
	int id;

	mpr_fork_lock();
	id = mpt_fork(t, "copy", come_back_from_a_fork, NULL);
	mpr_fork_unlock();
	mpt_expect_exit(t, id, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_is_a_number_that_stays),
		mpt_test(a_forked_child_has_another),
		mpt_test(a_child_of_a_child_differs_from_all_its_ancestors),
		mpt_test(a_child_without_fork_handlers_has_another_too),
		mpt_test(threads_share_their_process_generation),
		mpt_test(a_lock_held_by_another_thread_is_free_in_a_child),
		mpt_test(the_lock_keeps_threads_apart),
		mpt_test(a_copy_that_gives_back_the_lock_of_forks_can_take_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
