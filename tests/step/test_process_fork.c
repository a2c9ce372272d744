/* SPDX-License-Identifier: MIT */
/*
 * What a start does is interrupted at one instruction after the other by a signal, whose
 * handler forks and returns in both. A copy that goes on late changes nothing in memory
 * that its parent uses for something else by then; one that goes on first sends nothing
 * in its parent's name, and takes nothing that is its parent's. Where the starts as a
 * whole are interrupted, behind system calls: test_fork_in_start.c.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "interrupt.h"
#include "os/courier.h"
#include "os/image.h"
#include "process/handle.h"
#include "process/plan.h"
#include "process/record.h"
#include "process/request.h"
#include "process/server.h"
#include "process/spare.h"

#define PATTERN 0xa5
#define COPIES 50 /* at most, one more */

struct board {
	bool is_dry; /* no copies: to count the instructions */
	_Atomic unsigned copies;
	_Atomic bool host_is_done;
};

static struct board *board;

/* @after comes before late copies go on, @check when all are gone. */
static struct job {
	struct mpt *t;
	void (*before)(void);
	void (*call)(void);
	void (*after)(void);
	void (*check)(void);
	bool copies_are_late;
} job;

/* In the host and its copies. */
static volatile bool armed, is_copy;
static struct mpr_record *record;
static struct mpr_plans *plans;
static struct mpr_plan_file plan;
static mproc_process *process;
static struct mpr_file ours;
static int theirs;
static uint64_t generation;
static struct mpr_spare spare;
static struct mpr_child child;

static void
on_signal(int signal)
{
	int saved = errno, status;
	pid_t pid;

	(void)signal;
	if (!armed)
		return;
	pid = _Fork();
	mpt_check(job.t, pid >= 0);
	if (pid == 0) {
		is_copy = true;
		alarm(20);
		board->copies++;
		if (job.copies_are_late)
			mpt_until(job.t, board->host_is_done);
	} else if (!job.copies_are_late) {
		mpt_check_int(job.t, waitpid(pid, &status, 0), pid);
		mpt_check_int(job.t, status, 0);
	}
	errno = saved;
}

static void
host(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	int status;

	mpt_check_int(job.t, sigaction(SIGUSR1, &action, NULL), 0);
	job.before();
	let_be_interrupted(job.t);
	armed = !board->is_dry;
	job.call();
	armed = false;
	if (is_copy)
		_exit(0);
	raise(SIGSTOP);
	if (job.after)
		job.after();
	board->host_is_done = true;
	while (waitpid(-1, &status, 0) > 0)
		mpt_check_int(job.t, status, 0);
	job.check();
	_exit(0);
}

static unsigned
try_every(unsigned every)
{
	unsigned n;
	pid_t pid;

	board->copies = 0;
	board->host_is_done = false;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		host();
	n = interrupt_all(pid, every);
	wait_for_exit(pid);
	return n;
}

static void
try_all(struct mpt *t, struct job which)
{
	unsigned n;

	job = which;
	job.t = t;
	board->is_dry = true;
	n = try_every(1);
	board->is_dry = false;
	try_every(n / COPIES + 1);
	assert_true(board->copies > 0);
	recover();
}

/* The record is another child's now. */

static void
fill_record(void)
{
	memset(record, PATTERN, sizeof(*record));
}

static void
check_record(void)
{
	const unsigned char *bytes = (const unsigned char *)record;

	for (size_t i = 0; i < sizeof(*record); i++)
		mpt_check_int(job.t, bytes[i], PATTERN);
}

/* Once before, as what is bound late takes thousands of instructions. */
static void
take_first_record(void)
{
	mpr_record_free(mpr_record_new());
}

static void
take_record(void)
{
	record = mpr_record_new();
	mpt_check(job.t, record);
}

static void
a_late_copy_clears_no_record(void **state)
{
	try_all(*state, (struct job){ .before = take_first_record, .call = take_record,
				      .after = fill_record,
				      .check = check_record,
				      .copies_are_late = true });
}

static int
return_at_once(void *arg)
{
	return arg != NULL;
}

static void
hold_process(void)
{
	struct mpr_call call = mpr_call_entry(return_at_once, NULL, 0);

	mpt_check_int(job.t, mpr_process_hold(&process, &call, MPROC_OPTS(
		mproc_process_opts, .method = MPROC_FORK)), 0);
	record = process->record;
}

static void
let_process_go(void)
{
	mpr_process_let_go(process);
}

static void
join_process(void)
{
	mpt_check_int(job.t, mproc_process_join(process, MPROC_FOREVER), 0);
	fill_record();
}

static void
a_late_copy_gives_no_order(void **state)
{
	try_all(*state, (struct job){ .before = hold_process,
				      .call = let_process_go,
				      .after = join_process,
				      .check = check_record,
				      .copies_are_late = true });
}

static void
reserve_slot(void)
{
	if (mpr_plan_reserve(&plan, plans) < 0)
		mpt_check(job.t, is_copy);
	record = plan.record;
}

static void
make_plan(void)
{
	struct mpr_call call = mpr_call_entry(return_at_once, NULL, 0);
	struct mproc_process_opts o = {
		.method = MPROC_FORKSERVER,
		.env = mpr_image_own_environment(),
	};

	if (mpr_plan_make(&plan, &call, (char[MPR_NAME_MAX]){ "child" }, &o,
			  false, plans) < 0)
		mpt_check(job.t, is_copy);
}

static void
make_plans(void)
{
	mpt_check_int(job.t, mpr_plans_new(&plans), 0);
	make_plan();
	mpr_plan_free(&plan);
}

static void
fill_slot(void)
{
	memset(plan.shmem.base, PATTERN, plan.shmem.size);
}

static void
check_slot(void)
{
	for (size_t i = 0; i < plan.shmem.size; i++)
		mpt_check_int(job.t, plan.shmem.base[i], PATTERN);
}

static void
a_late_copy_writes_into_no_slot(void **state)
{
	try_all(*state, (struct job){ .before = make_plans,
				      .call = reserve_slot,
				      .after = fill_slot, .check = check_slot,
				      .copies_are_late = true });
	try_all(*state, (struct job){ .before = make_plans, .call = make_plan,
				      .after = fill_slot, .check = check_slot,
				      .copies_are_late = true });
}

static void
connect_us(void)
{
	int ends[2];

	mpt_check_int(job.t, mpr_courier_pair(ends), 0);
	mpt_check_int(job.t, mpr_file_note(&ours, ends[0]), 0);
	theirs = ends[1];
	generation = mpr_generation();
}

static void
tell(void)
{
	char word = 'w';

	(void)mpr_request_tell(&ours, generation, &word, 1, NULL, 0);
}

static void
check_told_once(void)
{
	int fds[MPR_COURIER_FDS];
	char word;

	mpt_check_int(job.t, mpr_courier_take(theirs, &word, 1, fds), 0);
	mpt_check_int(job.t, mpr_courier_take(theirs, &word, 1, fds), -EAGAIN);
}

static void
a_copy_sends_nothing(void **state)
{
	try_all(*state, (struct job){ .before = connect_us, .call = tell,
				      .check = check_told_once });
}

static void
send_ready(void)
{
	struct mpr_server_ready ready = { .pid = 104 };
	int fd = STDIN_FILENO;

	mpt_check_int(job.t, mpr_spare_connect(&spare), 0);
	mpt_check_int(job.t, mpr_courier_send(spare.theirs.fd, &ready,
					      sizeof(ready), &fd, 1), 0);
}

static void
meet(void)
{
	(void)mpr_spare_meet(&spare, &child, 0);
}

static void
check_met(void)
{
	mpt_check_int(job.t, child.pid, 104);
}

static void
a_copy_receives_nothing(void **state)
{
	try_all(*state, (struct job){ .before = send_ready, .call = meet,
				      .check = check_met });
}

static int
with_board(void **state)
{
	(void)state;
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return board == MAP_FAILED || !mproc_arena_default();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_late_copy_clears_no_record),
		mpt_test(a_late_copy_gives_no_order),
		mpt_test(a_late_copy_writes_into_no_slot),
		mpt_test(a_copy_sends_nothing),
		mpt_test(a_copy_receives_nothing),
	};

	return cmocka_run_group_tests(tests, with_board, NULL);
}
