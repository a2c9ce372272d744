/* SPDX-License-Identifier: MIT */
/*
 * process/plans.h: the slots, and who has them mapped.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "common.h"
#include "os/bytelock.h"
#include "process/plans.h"

static struct mpr_plans *
new_plans(void)
{
	struct mpr_plans *plans;

	assert_int_equal(mpr_plans_new(&plans), 0);
	return plans;
}

static bool
is_mapped(const void *at)
{
	unsigned char resident;

	return mincore((void *)(uintptr_t)at, 1, &resident) == 0;
}

/* One that goes on in the middle of a start, as a signal handler has forked it. */
static void
a_copy_takes_none(void **state)
{
	struct mpr_plans *plans = new_plans();
	struct mpr_shmem slot;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(mpr_plans_check(plans), 0);
	pid = _Fork();
	if (pid == 0)
		_exit(mpr_plans_check(plans) == -ECHILD &&
		      mpr_plans_take(plans, 1, &slot) == -ECHILD ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	mpr_plans_drop(plans);
}

static void
slots_are_taken_and_given_back(void **state)
{
	struct mpr_shmem slots[MPR_PLANS_SLOTS], more;
	struct mpr_plans *plans = new_plans();

	(void)state;
	for (int i = 0; i < MPR_PLANS_SLOTS; i++) {
		assert_int_equal(mpr_plans_take(plans, MPR_PLANS_SLOT_SIZE,
						&slots[i]), 0);
		assert_int_equal(mpr_plans_number(plans, &slots[i]), i);
		memset(slots[i].base, i, slots[i].size);
	}
	assert_int_equal(mpr_plans_take(plans, 1, &more), -EAGAIN);
	for (int i = 0; i < MPR_PLANS_SLOTS; i++) {
		assert_int_equal(slots[i].base[0], i);
		assert_int_equal(slots[i].base[slots[i].size - 1], i);
	}
	mpr_plans_give(plans, &slots[5]);
	assert_int_equal(mpr_plans_take(plans, MPR_PLANS_SLOT_SIZE + 1, &more),
			 -EAGAIN);
	assert_int_equal(mpr_plans_take(plans, 1, &more), 0);
	assert_int_equal(mpr_plans_number(plans, &more), 5);
	for (int i = 0; i < MPR_PLANS_SLOTS; i++)
		mpr_plans_give(plans, &slots[i]);
	mpr_plans_drop(plans);
}

static void
a_slot_that_cannot_be_backed_is_not_taken(void **state)
{
	struct mpr_plans *plans = new_plans();
	struct mpr_shmem slot;

	(void)state;
	assert_int_equal(mpr_fault_set("fallocate:1=ENOSPC"), 0);
	assert_int_equal(mpr_plans_take(plans, 1, &slot), -ENOSPC);
	assert_int_equal(mpr_fault_set(NULL), 0);
	assert_int_equal(mpr_plans_take(plans, 1, &slot), 0);
	assert_int_equal(mpr_plans_number(plans, &slot), 0);
	mpr_plans_give(plans, &slot);
	mpr_plans_drop(plans);
}

static void
a_slot_is_there_as_long_as_it_is_taken(void **state)
{
	unsigned fds = mpt_fd_count();
	struct mpr_plans *plans = new_plans();
	struct mpr_shmem slot;

	(void)state;
	assert_int_equal(mpr_plans_take(plans, 1, &slot), 0);
	mpr_plans_drop(plans);
	memset(slot.base, 1, slot.size);
	mpr_plans_give(plans, &slot);
	assert_false(is_mapped(slot.base));
	assert_int_equal(mpt_fd_count(), fds);
}

static void
expect_in_child(bool expected, const void *at)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(is_mapped(at) == expected ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
a_forked_child_gives_back_its_copy_only(void **state)
{
	struct mpr_plans *plans = new_plans();
	struct mpr_shmem slot;
	int status;
	void *own;
	pid_t pid;

	(void)state;
	assert_int_equal(mpr_plans_take(plans, 1, &slot), 0);
	mpr_plans_drop(plans);
	pid = fork();
	if (pid == 0) {
		/* It may be in the middle of a call for one: a signal handler
		 * has forked it. */
		if (!is_mapped(slot.base))
			_exit(1);
		/* What it has there is its own, whatever becomes of its copy. */
		own = mmap(slot.base, 1, PROT_READ, MAP_PRIVATE |
			   MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		mpr_plans_give(plans, &slot);
		_exit(own == slot.base && is_mapped(own) ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(is_mapped(slot.base));
	mpr_plans_give(plans, &slot);
}

static void
children_of_the_server_have_what_they_are_shown(void **state)
{
	struct mpr_shmem slots[2], mine[2];
	struct mpr_plans *plans = new_plans();
	struct mpr_plans_copy copy;

	(void)state;
	assert_int_equal(mpr_plans_adopt(&copy, dup(mpr_plans_fd(plans))), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mpr_plans_take(plans, 1, &slots[i]), 0);
		slots[i].base[0] = (unsigned char)(10 + i);
		assert_int_equal(mpr_plans_show(&copy, i, &mine[i]), 0);
		assert_int_equal(mine[i].base[0], 10 + i);
		mpr_plans_hide(&copy, i);
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(mpr_plans_show(&copy, i % 2, &mine[0]), 0);
		assert_ptr_equal(mine[0].base, copy.slots[i % 2].base);
		expect_in_child(true, mine[0].base);
		expect_in_child(false, copy.slots[1 - i % 2].base);
		mpr_plans_hide(&copy, i % 2);
		expect_in_child(false, mine[0].base);
	}
	for (int i = 0; i < 2; i++) {
		mpr_shmem_unmap_only(&copy.slots[i]);
		mpr_plans_give(plans, &slots[i]);
	}
	mpr_file_close(&copy.file);
	mpr_plans_drop(plans);
}

static void
a_slot_that_cannot_be_hidden_is_shown_all_the_same(void **state)
{
	struct mpr_plans *plans = new_plans();
	struct mpr_plans_copy copy;
	struct mpr_shmem mine;

	(void)state;
	assert_int_equal(mpr_plans_adopt(&copy, dup(mpr_plans_fd(plans))), 0);
	assert_int_equal(mpr_plans_show(&copy, 3, &mine), 0);
	assert_int_equal(mpr_fault_set("madvise:1=EPERM"), 0);
	mpr_plans_hide(&copy, 3);
	assert_int_equal(mpr_fault_set("madvise:1=EPERM"), 0);
	assert_int_equal(mpr_plans_show(&copy, 3, &mine), 0);
	assert_int_equal(mpr_fault_set(NULL), 0);
	expect_in_child(true, mine.base);
	/* One that is hidden and cannot be shown is an error. */
	mpr_plans_hide(&copy, 3);
	assert_int_equal(mpr_fault_set("madvise:1=EPERM"), 0);
	assert_int_equal(mpr_plans_show(&copy, 3, &mine), -EPERM);
	assert_int_equal(mpr_fault_set(NULL), 0);
	mpr_shmem_unmap_only(&copy.slots[3]);
	mpr_file_close(&copy.file);
	mpr_plans_drop(plans);
}

static void
what_is_no_such_file_is_refused(void **state)
{
	struct mpr_plans_copy copy;
	struct mpr_file other;

	(void)state;
	assert_int_equal(mpr_file_anonymous(&other, "other", true), 0);
	assert_int_equal(mpr_plans_adopt(&copy, other.fd), -EPROTO);
	assert_int_equal(mpr_plans_adopt(&copy, -1), -EPROTO);
	mpr_file_close(&other);
}

static void
its_lock_says_that_the_process_is_there(void **state)
{
	struct mpr_plans *plans = new_plans();
	struct mpr_file file;
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(mpr_file_note(&file, mpr_plans_fd(plans)) == 0 &&
				      mpr_bytelock_query(&file, 0) == 1 ?
			      0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* Closed by somebody else. */
	assert_int_equal(close(mpr_plans_fd(plans)), 0);
	assert_int_equal(mpr_plans_fd(plans), -1);
	mpr_plans_drop(plans);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(slots_are_taken_and_given_back),
		mpt_test(a_copy_takes_none),
		mpt_test(a_slot_that_cannot_be_backed_is_not_taken),
		mpt_test(a_slot_is_there_as_long_as_it_is_taken),
		mpt_test(a_forked_child_gives_back_its_copy_only),
		mpt_test(children_of_the_server_have_what_they_are_shown),
		mpt_test(a_slot_that_cannot_be_hidden_is_shown_all_the_same),
		mpt_test(what_is_no_such_file_is_refused),
		mpt_test(its_lock_says_that_the_process_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
