/* SPDX-License-Identifier: MIT */
/*
 * Where a check fails decides what becomes of it. A process that was started ends,
 * and its failure is on a board: that of the run that it belongs to, or that of the
 * process with the framework, which it has inherited, or been given, either way. That
 * process itself is told at once, or looks at its board, where its other threads
 * write, too.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/macros.h"
#include "base/opts.h"
#include "os/abort.h"
#include "os/child.h"
#include "os/crash.h"
#include "os/stdio.h"
#include "os/task.h"
#include "process/inline.h"
#include "process/self.h"
#include "testing/check.h"

/* This process's, if it has the id, or that of one it descends from. With a new
 * image there is only what its ticket says, and the one board that it leads to, be it
 * the framework's or a run's. */
static struct {
	bool hooked;
	struct mproc_test_framework calls;
	pid_t pid;
	pid_t tid;
	struct mpr_board *board;
	unsigned seen; /* of what is on it */
} framework;

/* What is on the board of the run that this process belongs to. */
static struct mpr_board *reported;
static MPR_THREAD_LOCAL struct mpr_board *reported_inline;

/* For the process that is about to be started. */
static MPR_THREAD_LOCAL struct mpr_board *given;

/* .calls.abort_env in a new image. */
static char abort_env[MPR_NAME_MAX];

/* Without a framework. */
static _Atomic int failed_here;

/* An assertion that the calling thread is in. */
static MPR_THREAD_LOCAL struct {
	const char *what;
	const char *file;
	int line;
	pid_t pid; /* a forked child is in none */
} present;

static _Atomic pid_t caught_by; /* process that has its abort() caught */

static bool
has_framework(void)
{
	return framework.hooked && framework.pid == mpr_task_pid();
}

bool
mpr_check_has_framework(void)
{
	return has_framework() && framework.tid == mpr_task_tid();
}

void
mpr_check_report_to(struct mpr_board *b)
{
	reported = b;
	given = NULL;
}

struct mpr_board *
mpr_check_found(void)
{
	return framework.board;
}

bool
mpr_check_has_fd(int fd)
{
	return has_framework() && framework.board->shmem.file.fd == fd;
}

void
mpr_check_give(struct mpr_board *b)
{
	given = b;
}

struct mpr_board *
mpr_check_inline_to(struct mpr_board *b)
{
	struct mpr_board *before = reported_inline;

	reported_inline = b;
	return before;
}

void
mpr_check_tell(const struct mpr_failure *f)
{
	framework.calls.failed(framework.calls.ctx,
			       &(struct mproc_test_failure){
				       .text = f->text,
				       .file = f->file,
				       .process = f->process,
				       .line = f->line,
				       .pid = f->pid,
			       });
}

void
mpr_check_print(const struct mpr_failure *f)
{
	fprintf(stderr, "%s:%d: failed in process \"%s\" (%d): %s\n", f->file,
		(int)f->line, f->process, (int)f->pid, f->text);
}

/* Where the calling thread's failures go. */
static struct mpr_board *
my_board(void)
{
	return reported_inline ? reported_inline :
	       has_framework() ? framework.board :
	       reported	       ? reported :
				 framework.board;
}

/* A board that there is may be read by nobody any more, but then it is of no
 * harm. */
static void
note(const struct mpr_failure *f)
{
	struct mpr_board *b = my_board();

	if (b)
		mpr_board_add(b, f);
	else
		atomic_fetch_add(&failed_here, 1);
}

/* Not in order: another thread may be in the middle of anything. */
static noreturn void
end_process(void)
{
	mpr_stdio_flush();
	mpr_child_exit(MPROC_TEST_FAILED);
}

static void
fail(const char *text, const char *file, int line)
{
	struct mpr_failure f = { .line = line, .pid = mpr_task_pid() };
	bool ours = has_framework();

	snprintf(f.text, sizeof(f.text), "%s", text ? text : "");
	snprintf(f.file, sizeof(f.file), "%s", file ? file : "");
	snprintf(f.process, sizeof(f.process), "%s", mproc_self_name());
	if (mpr_inline_process()) {
		mpr_check_print(&f);
		note(&f);
		mpr_inline_leave(MPROC_TEST_FAILED);
	}
	if (ours && framework.tid == mpr_task_tid()) {
		mpr_check_tell(&f);
		return;
	}
	if (!ours)
		mpr_check_print(&f);
	note(&f);
	/* One that was forked by plain fork() is another's, too. */
	if (!ours && (mpr_self_is_started() || reported || framework.board))
		end_process();
}

bool
mproc_test_check_at(bool ok, const char *text, const char *file, int line)
{
	if (mpr_unlikely(!ok))
		fail(text, file, line);
	return ok;
}

/* In each child, as it begins. */
static void
prepare_child(void)
{
	if (framework.board)
		mpr_board_inherit(framework.board);
	mpr_crash_uncatch();
	if (framework.calls.abort_env)
		mpr_abort_set_variable(framework.calls.abort_env);
}

static void
give_ticket(struct mpr_self_ticket *ret_ticket)
{
	const struct mpr_board *b = given ? given : my_board();
	const char *env = framework.calls.abort_env;

	if (b)
		*ret_ticket = b->ticket;
	ret_ticket->hooked = framework.hooked;
	snprintf(ret_ticket->abort_env, sizeof(ret_ticket->abort_env), "%s",
		 env ? env : "");
}

/* In a new image, or the copy of one that is a fork server's, which may have another
 * ticket. A board that cannot be had is no reason for the process not to be what it
 * was to be. */
static void
take_ticket(const struct mpr_self_ticket *ticket)
{
	bool faults = mpr_fault_pause();

	mpr_board_free(framework.board);
	framework.board = NULL;
	if (ticket->owner && mpr_board_find(&framework.board, ticket) == 0)
		atomic_store(&framework.board->shm->found,
			     (uint32_t)mpr_task_pid());
	framework.hooked = ticket->hooked;
	memcpy(abort_env, ticket->abort_env, sizeof(abort_env));
	framework.calls.abort_env = abort_env[0] ? abort_env : NULL;
	atomic_store(&mpr_self_prepare,
		     framework.hooked ? prepare_child : NULL);
	mpr_fault_resume(faults);
}

MPR_CONSTRUCTOR static void
come_in(void)
{
	static const struct mpr_self_tickets tickets = { give_ticket,
							 take_ticket };

	mpr_self_tickets = &tickets;
}

static int
read_framework(struct mproc_test_framework *ret_f,
	       const struct mproc_test_framework *given_f)
{
	int r = mpr_opts_read(ret_f, sizeof(*ret_f), given_f);

	if (r < 0)
		return r;
	if (given_f && !ret_f->failed)
		return mpr_fail(-EINVAL, "a framework needs a function that "
				"fails");
	if (ret_f->abort_env && strlen(ret_f->abort_env) >= sizeof(abort_env))
		return mpr_fail(-EINVAL, "abort_env has %zu bytes, more than "
				"%zu", strlen(ret_f->abort_env),
				sizeof(abort_env) - 1);
	return 0;
}

int
mproc_test_hook(const struct mproc_test_framework *given_f)
{
	struct mproc_test_framework calls;
	struct mpr_board *board = NULL;
	int r = read_framework(&calls, given_f);

	if (r == 0 && given_f)
		r = mpr_board_new(&board);
	if (r < 0)
		return r;
	if (framework.pid == mpr_task_pid())
		mpr_board_free(framework.board);
	framework.hooked = given_f != NULL;
	framework.calls = calls;
	framework.pid = mpr_task_pid();
	framework.tid = mpr_task_tid();
	framework.board = board;
	framework.seen = 0;
	atomic_store(&mpr_self_prepare, given_f ? prepare_child : NULL);
	return 0;
}

/* Those of the board of this process. */
static int
collect_from_board(void)
{
	struct mpr_failure first, f;
	unsigned from = framework.seen, n, end;

	end = mpr_board_read(framework.board, from, &first, 1, &n);
	if (end == from)
		return 0;
	framework.seen = end;
	if (!n)
		first = (struct mpr_failure){
			.text = "a check whose text is lost",
			.file = __FILE__,
			.line = __LINE__,
			.process = "?",
		};
	while ((end = mpr_board_read(framework.board, framework.seen, &f, 1,
				     &n)) != framework.seen) {
		framework.seen = end;
		if (n)
			mpr_check_print(&f);
	}
	mpr_board_clear(framework.board, end);
	if (!atomic_load(&framework.board->shm->failed))
		framework.seen = 0;
	mpr_check_tell(&first);
	return (int)(end - from);
}

int
mproc_test_collect(void)
{
	int n = atomic_exchange(&failed_here, 0);

	return mpr_check_has_framework() ? n + collect_from_board() : n;
}

static void
leave_assert(void)
{
	present.file = NULL;
	/* A process under test may abort by itself at any time. */
	if (framework.pid != mpr_task_pid())
		return;
	caught_by = 0;
	mpr_abort_restore();
	if (framework.calls.abort_env)
		mpr_abort_clear_variable(framework.calls.abort_env);
}

/* At SIGABRT. */
static void
on_abort(void)
{
	const char *file = present.file;

	if (!file || present.pid != mpr_task_pid())
		return;
	leave_assert();
	/* What has been said may not have ended its line. */
	fputc('\n', stderr);
	fail(present.what, file, present.line);
}

static void
catch_abort(void)
{
	mpr_abort_catch(on_abort);
	if (framework.calls.abort_env)
		mpr_abort_set_variable(framework.calls.abort_env);
}

bool
mproc_test_begin_assert(const char *what, const char *file, int line)
{
	pid_t pid = mpr_task_pid();
	bool is_inline = mpr_inline_process() != NULL;

	if (!framework.hooked)
		return false;
	if (framework.pid == pid && !is_inline) {
		(void)mproc_test_collect();
		return false;
	}
	present.what = what;
	present.file = file;
	present.line = line;
	present.pid = pid;
	if (caught_by != pid) {
		caught_by = pid;
		catch_abort();
	}
	return true;
}

void
mproc_test_end_assert(void)
{
	if (present.file)
		leave_assert();
}
