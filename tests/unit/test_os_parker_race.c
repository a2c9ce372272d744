/* SPDX-License-Identifier: MIT */
/*
 * A sleeper stands after each single instruction of its way to sleep while it
 * is woken; a waker stands after each of its own while the other falls asleep.
 * If a wake-up is lost, the sleep does not end in time.
 */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <sys/uio.h>

#include "common.h"
#include "mpt_step_arch.h"
#include "os/clock.h"
#include "os/parker.h"
#include "puppet.h"

/* Longer than the watchdog allows. */
#define TOO_LONG INT64_C(3600000000000)

/* In the scratch bytes. */
struct bed {
	struct mpr_parker parker;
	_Atomic uint32_t called;
	_Atomic uint32_t woken;
};

static void
sleep_until_called(struct mpt *t, void *arg)
{
	struct bed *bed = arg;
	uint32_t ticket = mpr_parker_ticket(&bed->parker);
	int64_t until = mproc_now() + TOO_LONG;

	/* Once, so that the functions of the C library are found. */
	mpt_check_int(t, mpr_parker_wait(&bed->parker, ticket, 1), -ETIMEDOUT);
	puppet_halt(); /* having found that nobody has called yet */
	do {
		mpr_parker_wait(&bed->parker, ticket, until);
		ticket = mpr_parker_ticket(&bed->parker);
	} while (!bed->called);
}

static void
call(struct mpt *t, void *arg)
{
	struct mpr_parker own = { 0 };
	struct bed *bed = arg;

	(void)t;
	/* Once, as if somebody slept there. */
	mpr_parker_init(&own);
	own.posts = 1;
	mpr_parker_wake(&own);
	puppet_halt();
	bed->called = 1;
	mpr_parker_wake(&bed->parker);
	bed->woken = 1;
}

/* What comes next is the system call that sleeps. */
static bool
is_about_to_sleep(struct mpt *t, pid_t pid)
{
	struct user_regs_struct regs;
	struct iovec iov = { .iov_base = &regs, .iov_len = sizeof(regs) };
	long insn;

	mpt_check_int(t, ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov), 0);
	insn = ptrace(PTRACE_PEEKTEXT, pid, MPT_PC(&regs), NULL);
	return mpt_is_syscall((uint32_t)insn);
}

/* A sleeper that is moved by @n instructions, but not into its sleep. Returns
 * whether there were so many. */
static bool
start_sleeper(struct mpt *t, struct bed *bed, unsigned n, pid_t *ret_pid)
{
	pid_t pid = puppet_start(t, sleep_until_called, bed);

	*ret_pid = pid;
	/* Out of the system call that halted it. */
	mpt_check(t, puppet_move(t, pid));
	for (; n && !is_about_to_sleep(t, pid); n--)
		mpt_check(t, puppet_move(t, pid));
	return n == 0;
}

static void
no_wake_up_is_lost_by_one_who_is_about_to_sleep(void **state)
{
	struct bed *bed = mpt_scratch(*state);
	unsigned n = 0;
	bool enough;
	pid_t pid;

	mpr_parker_init(&bed->parker);
	do {
		bed->called = 0;
		enough = start_sleeper(*state, bed, n++, &pid);
		bed->called = 1;
		mpr_parker_wake(&bed->parker);
		puppet_run(*state, pid);
	} while (enough);
	assert_true(n > 10);
}

/* The waker is moved by @n instructions, then the sleeper goes on and falls
 * asleep. Returns whether there were so many. */
static bool
fall_asleep_while_woken(struct mpt *t, struct bed *bed, unsigned n,
			unsigned sleeper_n)
{
	pid_t sleeper, waker;
	bool enough;
	int state;

	bed->called = bed->woken = 0;
	start_sleeper(t, bed, sleeper_n, &sleeper);
	waker = puppet_start(t, call, bed);
	for (; n && !bed->woken; n--)
		mpt_check(t, puppet_move(t, waker));
	enough = n == 0;
	mpt_check_int(t, ptrace(PTRACE_CONT, sleeper, NULL, NULL), 0);
	do
		state = mpt_task_state(sleeper);
	while (state != 'S' && state != 'Z');
	puppet_run(t, waker);
	mpt_check(t, !puppet_wait(t, sleeper));
	return enough;
}

static void
no_wake_up_is_lost_by_one_who_is_about_to_wake(void **state)
{
	struct bed *bed = mpt_scratch(*state);
	unsigned n;

	mpr_parker_init(&bed->parker);
	/* The sleeper stands at its first instruction, and before its last. */
	for (n = 0; fall_asleep_while_woken(*state, bed, n, 0); n++)
		;
	for (n = 0; fall_asleep_while_woken(*state, bed, n, UINT_MAX); n++)
		;
	assert_true(n > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(no_wake_up_is_lost_by_one_who_is_about_to_sleep),
		mpt_test(no_wake_up_is_lost_by_one_who_is_about_to_wake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
