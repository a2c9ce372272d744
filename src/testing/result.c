/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "os/signame.h"
#include "testing/result.h"

int
mpr_result_new(struct mproc_test_result *ret)
{
	struct mpr_kept *kept = mpr_zalloc(sizeof(*kept));

	memset(ret, 0, sizeof(*ret));
	if (!kept)
		return mpr_fail(-ENOMEM, "no memory for a result");
	*ret = (struct mproc_test_result){
		.out = "",
		.err = "",
		.failures = kept->failures,
		.fds = kept->fds,
		.locks = kept->locks,
		.messages = kept->messages,
		.processes = kept->processes,
		.memory = kept,
	};
	return 0;
}

void
mproc_test_result_free(struct mproc_test_result *r)
{
	struct mpr_kept *kept = r ? r->memory : NULL;

	if (!r)
		return;
	if (kept) {
		free(kept->report);
		free(kept->out);
		free(kept->err);
	}
	free(kept);
	memset(r, 0, sizeof(*r));
}

static void
list_failures(struct mproc_test_result *r, const struct mpr_board *b)
{
	struct mpr_kept *kept = r->memory;
	unsigned n, all;

	all = mpr_board_read(b, 0, kept->failed, MPR_BOARD_FAILURES, &n);
	r->n_failures = all < INT_MAX ? (int)all : INT_MAX;
	/* One whose writer was killed in it counts, with no more to say. */
	for (unsigned i = 0; i < MPR_BOARD_FAILURES; i++) {
		const struct mpr_failure *f = &kept->failed[i];

		kept->failures[i] = (struct mproc_test_failure){
			.text = i < n ? f->text : "a check whose text is lost",
			.file = i < n ? f->file : "?",
			.process = i < n ? f->process : "?",
			.line = f->line,
			.pid = f->pid,
		};
	}
}

/* A count that somebody else has written. */
static int
count(int32_t n)
{
	return n > 0 ? n : 0;
}

void
mpr_result_list(struct mproc_test_result *r, const struct mpr_board *b)
{
	struct mpr_kept *kept = r->memory;
	struct mpr_left *left = &kept->left;

	list_failures(r, b);
	r->n_fds = left->n_fds < 0 ? -1 : left->n_fds;
	r->n_locks = count(left->n_locks);
	r->n_messages = count(left->n_messages);
	r->n_processes = count(left->n_processes);
	r->n_faults = left->faults;
	for (int i = 0; i < MPROC_TEST_LISTED; i++) {
		struct mpr_left_fd *fd = &left->fds[i];
		struct mpr_left_lock *lock = &left->locks[i];
		struct mpr_left_message *message = &left->messages[i];
		struct mpr_left_process *process = &left->processes[i];

		fd->what[sizeof(fd->what) - 1] = '\0';
		process->name[sizeof(process->name) - 1] = '\0';
		kept->fds[i] = (struct mproc_test_fd){ fd->what, fd->fd };
		kept->locks[i] = (struct mproc_test_lock){
			(const void *)(uintptr_t)lock->address,
			(int)lock->kind, lock->n,
		};
		kept->messages[i] = (struct mproc_test_message){
			(mproc_queue *)(uintptr_t)message->queue,
			message->unfinished, message->peeked != 0,
			message->reserved != 0,
		};
		kept->processes[i] = (struct mproc_test_process){
			process->name, process->pid,
		};
	}
}

void
mpr_result_take_out(struct mproc_test_result *r, struct mpr_output *o)
{
	struct mpr_kept *kept = r->memory;

	kept->out = o->text;
	r->out = o->text ? o->text : "";
	r->out_len = o->len;
	r->out_lost = o->lost;
	o->text = NULL;
}

void
mpr_result_take_err(struct mproc_test_result *r, struct mpr_output *o)
{
	struct mpr_kept *kept = r->memory;

	kept->err = o->text;
	r->err = o->text ? o->text : "";
	r->err_len = o->len;
	r->err_lost = o->lost;
	o->text = NULL;
}

/* One line more, cut where there is no room. */
static void MPR_PRINTF(2, 3)
add(struct mpr_kept *kept, const char *format, ...)
{
	size_t len = strlen(kept->problems), room = sizeof(kept->problems) - len;
	va_list args;

	if (len && room > 1) {
		kept->problems[len++] = '\n';
		kept->problems[len] = '\0';
		room--;
	}
	va_start(args, format);
	vsnprintf(kept->problems + len, room, format, args);
	va_end(args);
}

static void
judge_end(const struct mproc_test_result *r, mproc_timeout timeout)
{
	struct mpr_kept *kept = r->memory;
	const struct mproc_exit *e = &r->exit;
	char signal[MPR_SIGNAME_MAX];

	if (r->timed_out)
		add(kept, "did not end within %lld ms, and was killed",
		    (long long)(timeout.ns / 1000000));
	else if (e->signal)
		add(kept, "was ended by %s", mpr_signame(e->signal, signal));
	else if (e->code < 0)
		add(kept, "ended in a way that nobody knows");
	else if (e->code == MPROC_TEST_FAILED && r->n_failures)
		return;
	else if (e->code)
		add(kept, "exited with code %d", e->code);
}

static int
listed(int n)
{
	return n < MPROC_TEST_LISTED ? n : MPROC_TEST_LISTED;
}

static void
judge_lock(struct mpr_kept *kept, const struct mproc_test_lock *l)
{
	switch (l->kind) {
	case MPROC_TEST_READ:
		add(kept, "held the lock at %p for reading", l->object);
		break;
	case MPROC_TEST_PERMIT:
		add(kept, "held %u permits of the semaphore at %p", l->n,
		    l->object);
		break;
	default:
		add(kept, "held the lock at %p", l->object);
	}
}

static void
judge_message(struct mpr_kept *kept, const struct mproc_test_message *m)
{
	const void *q = m->queue;

	if (m->unfinished)
		add(kept, "had taken %u messages of the queue at %p that are not "
			  "done", m->unfinished, q);
	if (m->peeked)
		add(kept, "had peeked at a message of the queue at %p", q);
	if (m->reserved)
		add(kept, "had reserved a message in the queue at %p", q);
}

void
mpr_result_judge(struct mproc_test_result *r, mproc_timeout timeout,
		 bool keeps_blocks)
{
	struct mpr_kept *kept = r->memory;

	judge_end(r, timeout);
	for (int i = 0; i < r->n_failures && i < MPR_BOARD_FAILURES; i++) {
		const struct mproc_test_failure *f = &r->failures[i];

		add(kept, "failed in process \"%s\", %s:%d: %s", f->process,
		    f->file, f->line, f->text);
	}
	for (int i = 0; i < listed(r->n_fds); i++)
		add(kept, "left descriptor %d open: %s", r->fds[i].fd,
		    r->fds[i].what);
	for (int i = 0; i < listed(r->n_locks); i++)
		judge_lock(kept, &r->locks[i]);
	for (int i = 0; i < listed(r->n_messages); i++)
		judge_message(kept, &r->messages[i]);
	for (int i = 0; i < listed(r->n_processes); i++)
		add(kept, "left process \"%s\" running", r->processes[i].name);
	if (r->n_blocks && !keeps_blocks)
		add(kept, "left %zu blocks of shared memory, %zu bytes",
		    r->n_blocks, r->block_bytes);
	r->problems = kept->problems[0] ? kept->problems : NULL;
}
