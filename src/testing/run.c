/* SPDX-License-Identifier: MIT */
/*
 * A run of an entry under test.
 *
 *   parent: board, pipes, start, let go, read --> gone: locks, blocks --> reap
 *   child:  what is there, entry, functions at exit, what is left --> board
 *
 * What the parent looks at it looks at before it reaps the child: recovery gives
 * back what a dead one held.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/opts.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "os/pipe.h"
#include "os/task.h"
#include "process/handle.h"
#include "process/inline.h"
#include "process/method.h"
#include "testing/check.h"
#include "testing/look.h"
#include "testing/output.h"
#include "testing/result.h"

#define DEFAULT_TIMEOUT INT64_C(10000000000)
#define DEFAULT_OUTPUT ((size_t)1 << 20)
#define NS_PER_TICK 20000000 /* what ages of blocks are known to, and more */

struct run {
	struct mpr_call call;
	struct mproc_process_opts process;
	struct mpr_board *board;
	struct mpr_output out, err;
	mproc_process *p;
	int64_t began;
	int64_t deadline;
	struct mpr_look look; /* the child's own */
	/* Inline: what the caller has had before. */
	struct mpr_left *before;
	size_t blocks_before;
	size_t bytes_before;
};

/* In the process under test: the last of its functions at exit. */
static void
look_at_end(void *arg)
{
	struct run *run = arg;
	bool faults = mpr_fault_pause();

	mpr_look_end(&run->look);
	mpr_fault_resume(faults);
}

/* What a new image knows of its run: the parent has seen that it has the board. */
static struct run *
run_of_image(void)
{
	static struct run run;

	run.board = mpr_check_found();
	return &run;
}

/* What a forked process has besides from its parent. */
static void
leave_parent(struct run *run)
{
	mpr_check_report_to(run->board);
	mpr_board_inherit(run->board);
	/* Its streams lead there by now. */
	mpr_output_close(&run->out);
	mpr_output_close(&run->err);
}

/* In the process under test. */
static int
run_entry(const struct mpr_call *call)
{
	struct run *run = call->around_arg ? call->around_arg : run_of_image();
	const struct mpr_board_task *task = &run->board->shm->task;
	bool faults = mpr_fault_pause();

	if (call->around_arg && !mpr_inline_process())
		leave_parent(run);
	mpr_look_begin(&run->look, run->board, task->alone);
	/* Without memory for that nobody looks. */
	if (mproc_at_exit(look_at_end, run) < 0)
		mpr_look_drop(&run->look);
	mpr_fault_resume(faults);
	if (task->fault[0])
		(void)mpr_fault_set(task->fault);
	run->look.faults = mpr_fault_failures();
	return mpr_call_inner(call);
}

static int
check_opts(const struct mproc_test_opts *o)
{
	const struct mpr_board_task *task;

	if (o->timeout.ns < 0)
		return mpr_fail(-EINVAL, "the timeout is a point in time");
	if (o->fault && strlen(o->fault) >= sizeof(task->fault))
		return mpr_fail(-EINVAL, "fault has %zu bytes, more than %zu",
				strlen(o->fault), sizeof(task->fault) - 1);
	return mpr_fault_check(o->fault);
}

static int
open_streams(struct run *run, size_t most)
{
	struct mproc_process_opts *o = &run->process;
	bool here = mpr_inline_is_on();
	int r;

	r = mpr_output_open(&run->out, !here && !o->stdout_.kind, most);
	if (r == 0)
		r = mpr_output_open(&run->err, !here && !o->stderr_.kind, most);
	if (r < 0)
		return mpr_fail(r, "a pipe: %s", mproc_strerror(r));
	if (run->out.fds[1] >= 0)
		o->stdout_ = (struct mproc_stdio){ MPROC_STDIO_FD,
						   run->out.fds[1] };
	if (run->err.fds[1] >= 0)
		o->stderr_ = (struct mproc_stdio){ MPROC_STDIO_FD,
						   run->err.fds[1] };
	return 0;
}

static void
look_at_blocks(const struct run *run, struct mproc_test_result *r, pid_t pid)
{
	struct mpr_look_blocks b = {
		.pid = (uint32_t)pid,
		/* An id may have been another's. */
		.age = mpr_inline_is_on() ?
			       INT64_MAX :
			       mproc_now() - run->began + NS_PER_TICK,
	};

	mpr_look_at_blocks(&b);
	r->n_blocks = b.n > run->blocks_before ? b.n - run->blocks_before : 0;
	r->block_bytes = b.bytes > run->bytes_before ?
				 b.bytes - run->bytes_before : 0;
}

/* Inline, before: what the caller itself has is not of the entry. */
static int
look_before(struct run *run, struct mproc_test_result *r)
{
	run->before = mpr_zalloc(sizeof(*run->before));
	if (!run->before)
		return mpr_fail(-ENOMEM, "no memory for a look");
	mpr_look_at_locks(run->before, mpr_task_pid());
	look_at_blocks(run, r, mpr_task_pid());
	run->blocks_before = r->n_blocks;
	run->bytes_before = r->block_bytes;
	return 0;
}

static struct pollfd
poll_for(const struct mpr_output *o)
{
	return (struct pollfd){ .fd = o->fds[0],
				.events = o->fds[0] < 0 ? 0 : POLLIN };
}

/* Until the process has ended. Returns 0, or -EINTR; then it has been killed. */
static int
watch(struct run *run, struct mproc_test_result *r)
{
	struct pollfd fds[4]; /* and room for one more */
	unsigned tries = 0;
	bool any, gone;
	int result = 0, w;

	do {
		/* Before its output is read: then it has written all. */
		gone = mpr_child_is_gone(&run->p->child);
		any = mpr_output_drain(&run->out);
		any |= mpr_output_drain(&run->err);
		tries = any ? 1 : tries + 1;
		if (gone)
			break;
		fds[0] = mpr_child_poll(&run->p->child);
		fds[1] = poll_for(&run->out);
		fds[2] = poll_for(&run->err);
		w = mpr_interrupt_pending() ? -EINTR :
			mpr_child_wait(fds, 3, run->deadline, tries);
		if (w == 0)
			continue;
		if (w == -EINTR) {
			mpr_interrupt_answer();
			result = w;
		}
		r->timed_out |= w == -ETIMEDOUT;
		run->deadline = MPR_NEVER;
		(void)mproc_process_kill(run->p);
	} while (!gone);
	r->wall_ns = mproc_now() - run->began;
	return result;
}

/* It is gone, and not reaped. */
static void
look_after(const struct run *run, struct mproc_test_result *r)
{
	struct mpr_kept *kept = r->memory;
	pid_t pid = run->before ? mpr_task_pid() : run->p->child.pid;

	/* Acquire pairs with the release of who has written it. */
	r->looked = atomic_load_explicit(&run->board->shm->looked,
					 memory_order_acquire) == 1;
	if (r->looked)
		memcpy(&kept->left, &run->board->shm->left, sizeof(kept->left));
	else
		mpr_look_at_shares(&kept->left, pid);
	if (kept->left.n_locks < 0 ||
	    kept->left.n_locks > MPROC_TEST_LISTED)
		kept->left.n_locks = MPROC_TEST_LISTED;
	mpr_look_at_locks(&kept->left, pid);
	if (run->before)
		mpr_look_subtract_locks(&kept->left, run->before);
	look_at_blocks(run, r, pid);
	if (run->board->shm->task.alone && r->looked) {
		r->n_blocks = kept->left.n_blocks;
		r->block_bytes = kept->left.block_bytes;
	}
	mpr_result_list(r, run->board);
}

/* All that is known of its end goes into the result, and the handle goes. */
static int
reap(struct run *run, struct mproc_test_result *r)
{
	struct mpr_kept *kept = r->memory;
	const char *report;
	size_t size;
	int e = mpr_process_wait(run->p, MPR_NEVER, false);

	if (e == 0)
		e = mproc_process_exit_info(run->p, &r->exit);
	if (e == 0) {
		snprintf(kept->name, sizeof(kept->name), "%s", r->exit.name);
		r->exit.name = kept->name;
		report = r->exit.report;
		size = report ? strlen(report) + 1 : 0;
		kept->report = report ? mpr_malloc(size) : NULL;
		if (kept->report)
			memcpy(kept->report, report, size);
		r->exit.report = kept->report;
	}
	mproc_process_close(run->p);
	return e;
}

/* Held, with its options applied; or it has been killed before that. */
static int
check_image(const struct run *run)
{
	return run->process.method == MPROC_FORK || mpr_inline_is_on() ||
			       atomic_load(&run->board->shm->found) ==
				       (uint32_t)run->p->child.pid ||
			       mpr_child_is_gone(&run->p->child) ?
		       0 : mpr_fail(-EACCES, "the new image cannot open the "
				    "file that its checks are to be noted in, "
				    "among the descriptors of process %d in "
				    "/proc", (int)mpr_task_pid());
}

static int
hold(struct run *run)
{
	int r;

	mpr_check_give(run->board);
	r = mpr_process_hold(&run->p, &run->call, &run->process);
	mpr_check_give(NULL);
	if (r < 0)
		return r;
	r = check_image(run);
	if (r < 0)
		mpr_process_abandon(run->p);
	return r;
}

/* Its pipes are open. */
static int
run_it(struct run *run, struct mproc_test_result *r)
{
	struct mpr_board *before;
	int result, e;

	e = hold(run);
	if (e < 0)
		return e;
	mpr_output_listen(&run->out);
	mpr_output_listen(&run->err);
	before = mpr_check_inline_to(run->before ? run->board : NULL);
	mpr_process_let_go(run->p);
	mpr_check_inline_to(before);
	if (run->before && run->board->shm->task.fault[0])
		(void)mpr_fault_set(NULL);
	result = watch(run, r);
	look_after(run, r);
	e = reap(run, r);
	return e < 0 ? e : result;
}

/* Tells the framework of the first failure, and does not come back, if that does
 * not. */
static void
tell(struct mproc_test_result *r)
{
	const struct mpr_kept *kept = r->memory;
	struct mpr_failure first = kept->failed[0];

	if (r->err_len)
		fprintf(stderr, "%s", r->err);
	mproc_test_result_free(r);
	mpr_check_tell(&first);
}

static void
tell_task(struct run *run, const struct mproc_test_opts *o)
{
	struct mpr_board_task *task = &run->board->shm->task;

	/* A fork server is given one with the first start. */
	task->alone = !mpr_arena_peek() && !mpr_inline_is_on() &&
		      run->process.method != MPROC_FORKSERVER;
	if (o->fault)
		memcpy(task->fault, o->fault, strlen(o->fault));
}

static int
prepare(struct run *run, const struct mproc_test_opts *o,
	struct mproc_test_result *r)
{
	int e = mpr_result_new(r);

	if (e == 0 && mpr_inline_is_on())
		e = look_before(run, r);
	if (e < 0)
		return e;
	e = mpr_board_new(&run->board);
	if (e < 0)
		return e;
	tell_task(run, o);
	return open_streams(run, o->max_output ? o->max_output :
						 DEFAULT_OUTPUT);
}

static int
run_with(const struct mproc_test_opts *o, struct run *run,
	 struct mproc_test_result *r)
{
	mproc_timeout timeout = { o->timeout.ns ? o->timeout.ns :
						  DEFAULT_TIMEOUT };
	int e;

	e = prepare(run, o, r);
	/* In this order: who was killed in time has run for as long. */
	run->began = mproc_now();
	run->deadline = mpr_deadline(timeout);
	if (e == 0)
		e = run_it(run, r);
	mpr_output_close(&run->out);
	mpr_output_close(&run->err);
	if (e == 0) {
		mpr_result_take_out(r, &run->out);
		mpr_result_take_err(r, &run->err);
		mpr_result_judge(r, timeout, o->keeps_blocks);
	} else {
		mproc_test_result_free(r);
	}
	free(run->out.text);
	free(run->err.text);
	free(run->before);
	mpr_board_free(run->board);
	return e;
}

int
mproc_test_run(mproc_entry *fn, void *arg, const struct mproc_test_opts *opts,
	       struct mproc_test_result *ret)
{
	struct run run = {
		.out.fds = { -1, -1 },
		.err.fds = { -1, -1 },
	};
	struct mproc_test_opts o;
	int r;

	if (!fn || !ret)
		return mpr_fail(-EINVAL, "%s is NULL", fn ? "ret" : "fn");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		r = mpr_opts_read(&run.process, sizeof(run.process), o.process);
	if (r == 0)
		r = check_opts(&o);
	if (r < 0)
		return r;
	run.process.struct_size = sizeof(run.process);
	if (!run.process.method)
		run.process.method = mpr_method_usual();
	run.call = mpr_call_entry(fn, arg, run.process.arg_size);
	run.call.around = run_entry;
	run.call.around_arg = &run;
	r = run_with(&o, &run, ret);
	if (r == 0 && ret->n_failures && !o.keep_failures &&
	    mpr_check_has_framework())
		tell(ret);
	return r;
}
