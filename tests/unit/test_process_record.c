/* SPDX-License-Identifier: MIT */
/*
 * Records that a process shares with its children.
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include "common.h"
#include "os/task.h"
#include "process/record.h"
#include "process/self.h"

#define MANY 1500 /* several pages */

/* Forks where a signal handler may fork, as soon as there is memory. */
static bool forks;
static pid_t copy;

void *__real_mpr_child_pages(size_t size);
void *__wrap_mpr_child_pages(size_t size);

void *
__wrap_mpr_child_pages(size_t size)
{
	void *pages = __real_mpr_child_pages(size);

	if (forks) {
		forks = false;
		copy = fork();
	}
	return pages;
}

static struct mpr_record *records[MANY];

static void
many_records_are_distinct_and_zeroed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		records[i] = mpr_record_new();
		assert_non_null(records[i]);
		assert_int_equal(records[i]->order, MPR_RECORD_WAIT);
		assert_int_equal(records[i]->ended, 0);
		records[i]->order = i;
		records[i]->ended = ~i;
	}
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(records[i]->order, i);
		assert_int_equal(records[i]->ended, ~i);
	}
	for (unsigned i = 0; i < MANY; i++)
		mpr_record_free(records[i]);
}

static void
a_freed_record_is_used_again_and_zeroed(void **state)
{
	struct mpr_record *first = mpr_record_new(), *again;

	(void)state;
	assert_non_null(first);
	first->order = MPR_RECORD_GO;
	first->ended = 43;
	mpr_record_free(first);
	again = mpr_record_new();
	assert_ptr_equal(again, first);
	assert_int_equal(again->order, MPR_RECORD_WAIT);
	assert_int_equal(again->ended, 0);
	mpr_record_free(again);
}

static int
note_in_record(struct mpt *t, void *arg)
{
	struct mpr_record *record = arg;

	mpt_check_int(t, record->order, MPR_RECORD_GO);
	record->ended = 43;
	return 0;
}

static void
a_child_and_its_parent_see_the_same_record(void **state)
{
	struct mpt *t = *state;
	struct mpr_record *record = mpr_record_new();

	assert_non_null(record);
	record->order = MPR_RECORD_GO;
	mpt_expect_exit(t, mpt_spawn(t, "child", note_in_record, record), 0);
	assert_int_equal(record->ended, 43);
	mpr_record_free(record);
}

static int
make_own_records(struct mpt *t, void *arg)
{
	struct mpr_record *parents = arg, *own;

	for (int i = 0; i < 600; i++) {
		own = mpr_record_new();
		mpt_check(t, own && own != parents);
		own->ended = 99;
	}
	mpt_check_int(t, parents->ended, 7);
	return 0;
}

static void
a_forked_child_has_records_of_its_own(void **state)
{
	struct mpt *t = *state;
	struct mpr_record *record = mpr_record_new();
	struct mpr_record *other = mpr_record_new();

	record->ended = 7;
	mpr_record_free(other); /* room in the page that the child sees */
	mpt_expect_exit(t, mpt_spawn(t, "child", make_own_records, record), 0);
	assert_int_equal(record->ended, 7);
	assert_int_equal(other->ended, 0);
	mpr_record_free(record);
}

struct lent {
	struct mpr_record *told; /* where the child tells of its record */
	struct mpr_records *records;
};

static int
use_what_is_lent(struct mpt *t, void *arg)
{
	struct lent *lent = arg;
	struct mpr_record *own;

	mpr_records_have(lent->records);
	own = mpr_record_new();
	mpt_check(t, own);
	mpt_check_int(t, own->ended, 0);
	own->ended = 44;
	atomic_store(&lent->told->setup, (uintptr_t)own);
	return 0;
}

/* Returns its first record, which the parent has mapped where the child has. */
static struct mpr_record *
lend(struct mpt *t, struct lent *lent)
{
	lent->records = mpr_records_set_aside();
	assert_non_null(lent->records);
	mpt_expect_exit(t, mpt_spawn(t, "child", use_what_is_lent, lent), 0);
	return (struct mpr_record *)(uintptr_t)lent->told->setup;
}

static bool
is_mapped(struct mpr_record *record)
{
	unsigned char in_core;

	return mincore((void *)((uintptr_t)record & ~(uintptr_t)4095), 4096,
		       &in_core) == 0;
}

static void
a_child_finds_what_was_set_aside_for_it(void **state)
{
	struct lent lent = { .told = mpr_record_new() };
	struct mpr_record *first = lend(*state, &lent), *record;

	assert_int_equal(first->ended, 44);
	/* Nobody here has a record of it. */
	for (unsigned i = 0; i < 100; i++) {
		record = mpr_record_new();
		assert_ptr_not_equal(record, first);
	}
	assert_int_equal(first->ended, 44);
	mpr_records_take_back(lent.records, true);
	/* What is the same again is zeroed for the next one. */
	assert_ptr_equal(lend(*state, &lent), first);
	assert_int_equal(first->ended, 44);
	mpr_records_take_back(lent.records, true);
}

static void
what_others_may_write_to_is_lent_to_nobody_else(void **state)
{
	struct lent lent = { .told = mpr_record_new() }, other = lent;
	struct mpr_record *first = lend(*state, &lent), *second;

	assert_true(is_mapped(first));
	mpr_records_take_back(lent.records, false);
	assert_false(is_mapped(first));

	/* Two at a time: each has its own, and one is kept. */
	first = lend(*state, &lent);
	second = lend(*state, &other);
	assert_ptr_not_equal(first, second);
	mpr_records_take_back(lent.records, true);
	mpr_records_take_back(other.records, true);
	assert_true(is_mapped(first));
	assert_false(is_mapped(second));
	mpr_records_have(NULL);
	mpr_records_take_back(NULL, true);
	mpr_record_free(lent.told);
}

static int
set_aside_too(struct mpt *t, void *unused)
{
	struct mpr_records *aside = mpr_records_set_aside();
	struct mpr_record *own;

	mpt_check(t, aside);
	mpr_records_have(aside);
	own = mpr_record_new();
	mpt_check(t, own);
	own->ended = 44;
	(void)unused;
	return 0;
}

static void
what_a_parent_has_to_spare_is_not_its_childs(void **state)
{
	struct lent lent = { .told = mpr_record_new() };
	struct mpr_record *first = lend(*state, &lent);

	mpr_records_take_back(lent.records, true);
	first->ended = 7;
	mpt_expect_exit(*state, mpt_spawn(*state, "child", set_aside_too, NULL),
			0);
	assert_int_equal(first->ended, 7);
	mpr_record_free(lent.told);
}

/* What the copy finds, it gives to its own next child. */
static void
a_copy_that_is_forked_meanwhile_sets_aside_another(void **state)
{
	struct mpr_record *told = mpr_record_new(), *first;
	struct mpr_records *aside;
	int status;

	(void)state;
	/* There is to be none to spare. */
	mpr_records_take_back(mpr_records_set_aside(), false);
	forks = true;
	aside = mpr_records_set_aside();
	assert_non_null(aside);
	if (copy == 0) {
		mpr_records_take_back(aside, true);
		aside = mpr_records_set_aside();
	}
	mpr_records_have(aside);
	free(aside); /* its parent's account of what is in use now */
	first = mpr_record_new();
	assert_non_null(first);
	if (copy == 0) {
		while (!atomic_load(&told->setup))
			mpr_task_yield();
		first->ended = 44;
		_exit(0);
	}
	first->ended = 7;
	atomic_store(&told->setup, 1);
	assert_int_equal(waitpid(copy, &status, 0), copy);
	assert_int_equal(status, 0);
	assert_int_equal(first->ended, 7);
	mpr_record_free(first);
	mpr_record_free(told);
}

static int
take_and_give(struct mpt *t, void *arg)
{
	struct mpr_record *mine[50];
	uint32_t tag = (uint32_t)(uintptr_t)arg;

	for (unsigned round = amount(100); round; round--) {
		for (int i = 0; i < 50; i++) {
			mine[i] = mpr_record_new();
			mpt_check(t, mine[i]);
			mine[i]->ended = tag;
		}
		for (int i = 0; i < 50; i++) {
			mpt_check_int(t, mine[i]->ended, tag);
			mpr_record_free(mine[i]);
		}
	}
	return 0;
}

static void
threads_never_get_the_same_record(void **state)
{
	struct mpt *t = *state;

	mpt_use_threads(t, true);
	for (uintptr_t i = 1; i <= 3; i++)
		mpt_spawn(t, "thread", take_and_give, (void *)i);
	mpt_join_all(t);
}

static int
return_43(void *arg)
{
	(void)arg;
	return 43;
}

static pid_t
fork_child(struct mpr_record *record, const struct mproc_process_opts *opts)
{
	struct mpr_start start = {
		.call = mpr_call_entry(return_43, NULL, 0),
		.name = (char[MPR_NAME_MAX]){ "child" },
		.record = record,
		.opts = opts,
	};
	pid_t pid;

	mpr_child_bond(&start.bond);
	start.bond.outlives = opts->outlive_parent;
	mpr_crash_plan(&start.crash);
	pid = fork();
	if (pid == 0) {
		record->pid = (uint32_t)getpid();
		mpr_self_run(&start);
	}
	return pid;
}

/* Orders a child that has fallen asleep. Returns its exit status. */
static int
order_sleeper(struct mpt *t, struct mpr_record *record, uint32_t order,
	      bool outlives)
{
	struct mproc_process_opts opts = { .outlive_parent = outlives };
	pid_t pid = fork_child(record, &opts);
	int status;

	mpt_until(t, record->order == MPR_RECORD_ASLEEP &&
		     mpt_task_state(pid) == 'S');
	/* Without an order, a wake-up is nothing to it. */
	for (int i = 0; i < 10; i++)
		mpr_parker_wake(&record->parker);
	mpt_until(t, mpt_task_state(pid) == 'S');
	record->order = order;
	mpr_parker_wake(&record->parker);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
a_child_that_sleeps_until_its_order_is_woken(void **state)
{
	for (int i = 0; i < 4; i++) {
		struct mpr_record *record = mpr_record_new();

		assert_int_equal(order_sleeper(*state, record, MPR_RECORD_GO,
					       i % 2), 43);
		assert_int_equal(record->ended, 44);
		mpr_record_free(record);

		record = mpr_record_new();
		assert_int_equal(order_sleeper(*state, record,
					       MPR_RECORD_ABORT, i % 2), 0);
		assert_int_equal(record->ended, 0);
		mpr_record_free(record);
	}
}

static int
fork_and_wait(struct mpt *t, void *arg)
{
	struct mproc_process_opts opts = { .outlive_parent = true };
	struct mpr_record *record = arg;

	if (fork_child(record, &opts) > 0)
		wait_to_be_killed(t);
	return 1;
}

static void
one_that_outlives_its_parent_ends_without_an_order(void **state)
{
	struct mpt *t = *state;
	struct mpr_record *record = mpr_record_new();
	int parent;

	parent = mpt_spawn(t, "parent", fork_and_wait, record);
	mpt_until(t, record->order == MPR_RECORD_ASLEEP);
	mpt_kill(t, parent);
	assert_int_equal(mpt_reap_orphans(t), 1);
	assert_int_equal(record->ended, 0);
	mpr_record_free(record);
}

static void
one_that_outlives_its_parent_follows_an_order_of_the_dead(void **state)
{
	struct mpt *t = *state;
	struct mpr_record *record = mpr_record_new();
	int parent;

	parent = mpt_spawn(t, "parent", fork_and_wait, record);
	mpt_until(t, record->order == MPR_RECORD_ASLEEP);
	record->order = MPR_RECORD_GO; /* and is killed before it wakes it */
	mpt_kill(t, parent);
	assert_int_equal(mpt_reap_orphans(t), 1);
	assert_int_equal(record->ended, 44);
	mpr_record_free(record);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(many_records_are_distinct_and_zeroed),
		mpt_test(a_freed_record_is_used_again_and_zeroed),
		mpt_test(a_child_and_its_parent_see_the_same_record),
		mpt_test(a_forked_child_has_records_of_its_own),
		mpt_test(a_child_finds_what_was_set_aside_for_it),
		mpt_test(what_others_may_write_to_is_lent_to_nobody_else),
		mpt_test(what_a_parent_has_to_spare_is_not_its_childs),
		mpt_test(a_copy_that_is_forked_meanwhile_sets_aside_another),
		mpt_test(threads_never_get_the_same_record),
		mpt_test(a_child_that_sleeps_until_its_order_is_woken),
		mpt_test(one_that_outlives_its_parent_ends_without_an_order),
		mpt_test(one_that_outlives_its_parent_follows_an_order_of_the_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
