/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <mproc/core.h>

#include "arena/participant.h"
#include "base/macros.h"
#include "ipc/queue_fd.h"
#include "os/ambience.h"
#include "os/child.h"
#include "os/courier.h"
#include "os/fds.h"
#include "os/sibling.h"
#include "os/stdio.h"
#include "process/forkserver.h"
#include "process/plan.h"
#include "process/self.h"
#include "process/server.h"
#include "process/setup.h"
#include "process/spawned.h"

#define PLAN 0
#define DIRECTORY 1

static struct mpr_keyboard keyboard;

/* What the child is made of; it never leaves the functions below. */
struct birth {
	struct mpr_server_request request;
	struct mpr_plan_file plan;
	int fds[MPR_COURIER_FDS];
	int n;
	int connection;
};

static void
tell_failure(struct mpr_record *record, enum mpr_setup_step step, int r)
{
	atomic_store(&record->setup, mpr_setup_failure(step, r));
	mpr_parker_wake(&record->starter);
}

static noreturn void
refuse(const struct birth *b, enum mpr_setup_step step, int r)
{
	tell_failure(b->plan.record, step, r);
	mpr_child_exit(127);
}

/* All that we were sent goes above the numbers that the child is to have. */
static int
make_room(struct birth *b, const struct mproc_process_opts *o)
{
	int above = 3;

	for (int i = 0; i < o->n_keep_fds; i++)
		if (o->keep_fds[i] >= above)
			above = o->keep_fds[i] + 1;
	for (int i = PLAN; i < b->n; i++) {
		if (b->fds[i] >= above)
			continue;
		b->fds[i] = mpr_fds_move_up(b->fds[i], above);
		if (b->fds[i] < 0)
			return b->fds[i];
	}
	b->plan.shmem.file.fd = b->fds[PLAN];
	return 0;
}

static int
place_kept(struct birth *b, const struct mproc_process_opts *o)
{
	const struct mpr_pass *pass = mpr_plan_at(&b->plan,
						  b->plan.plan->pass_at);
	int r = 0;

	for (int i = 0; i < o->n_keep_fds && r >= 0; i++)
		r = mpr_fds_move_to(b->fds[b->request.keep + i],
				    o->keep_fds[i]);
	for (int i = 0; i < b->plan.plan->n_pass; i++)
		if (pass[i].stays)
			mpr_fds_end_at_exec(pass[i].fd);
	return r < 0 ? r : 0;
}

/* They lead where they do in the starter, or where its options say. */
static void
lead_stream(struct birth *b, int stream, struct mproc_stdio *ret_s)
{
	int number = b->request.streams[stream];

	if (number == MPR_SERVER_CLOSED) {
		mpr_fds_close(stream);
		*ret_s = (struct mproc_stdio){ .kind = MPROC_STDIO_INHERIT };
	} else if (number == MPR_SERVER_NULL) {
		*ret_s = (struct mproc_stdio){ .kind = MPROC_STDIO_NULL };
	} else {
		*ret_s = (struct mproc_stdio){ .kind = MPROC_STDIO_FD,
					       .fd = b->fds[number] };
	}
}

static int
place_descriptors(struct birth *b, struct mproc_process_opts *o)
{
	int r = make_room(b, o);

	if (r == 0)
		r = mpr_fds_enter(b->fds[DIRECTORY]);
	if (r == 0)
		r = place_kept(b, o);
	if (r < 0)
		return r;
	lead_stream(b, 0, &o->stdin_);
	lead_stream(b, 1, &o->stdout_);
	lead_stream(b, 2, &o->stderr_);
	return 0;
}

static void
close_rest(const struct birth *b)
{
	for (int i = DIRECTORY; i < b->request.keep; i++)
		mpr_fds_close(b->fds[i]);
}

/* The child's whole life, from the fork on. */
static noreturn void
live(struct birth *b)
{
	const struct mpr_plan *plan = b->plan.plan;
	struct mpr_start start = {
		.name = plan->name,
		.record = b->plan.record,
		.setup = true,
	};
	struct mproc_process_opts o;
	const char **env = NULL;
	int r;

	/* First, as what follows unblocks what it needs. */
	mpr_ambience_take(&plan->ambience);
	mpr_child_bond(&start.bond);
	start.bond.parent = plan->parent;
	start.bond.outlives = plan->outlives;
	start.bond.fostered = true;
	mpr_child_follow(&start.bond);
	mpr_stdio_forget();
	mpr_self_forget();
	mpr_queue_fd_forget();
	mpr_forkserver_forget();
	mpr_keyboard_heed(&keyboard);
	mpr_fds_close(b->connection);
	mproc_set_exit_limit((mproc_timeout){ plan->exit_limit });
	(void)mproc_set_start_method(plan->method);
	mpr_plan_options(&b->plan, &o);
	r = place_descriptors(b, &o);
	if (r < 0)
		refuse(b, MPR_SETUP_DESCRIPTORS, r);
	r = mpr_plan_environment(&b->plan, &env);
	mpr_spawned_set_early(true);
	if (r == 0)
		r = mpr_plan_call(&b->plan, &start.call);
	mpr_spawned_set_early(false);
	if (r < 0)
		refuse(b, MPR_SETUP_ENTRY, r);
	o.env = env;
	start.opts = &o;
	start.promise = &b->plan.shmem.file;
	if (!o.no_report)
		mpr_crash_plan(&start.crash);
	mpr_self_begin(&start);
	free(env);
	if (!o.n_keep_fds)
		close_rest(b);
	mpr_plan_close(&b->plan);
	mpr_self_enter(&start);
}

static void
forget(struct birth *b)
{
	for (int i = DIRECTORY; i < b->n; i++)
		mpr_fds_close(b->fds[i]);
	/* And the plan's. */
	mpr_plan_free(&b->plan);
}

/* Returns false if it cannot tell the starter what came of it. */
static bool
fork_one(struct birth *b, const struct mpr_sibling *sibling)
{
	pid_t pid;

	if (b->n <= PLAN || mpr_plan_open(&b->plan, b->fds[PLAN]) < 0)
		return false;
	if (b->n < b->request.n) {
		/* There was no room for the rest. */
		tell_failure(b->plan.record, MPR_SETUP_DESCRIPTORS, -EMFILE);
		forget(b);
		return true;
	}
	/* What the preload function has joined, the child would be taken for
	 * having. */
	mpr_self_leave();
	/* So that its page is there: a kernel that has to fetch it gives up if we
	 * are killed meanwhile, and the child would have no id. */
	atomic_store(&b->plan.record->pid, 0);
	pid = mpr_sibling_fork(sibling, &b->plan.record->pid);
	if (pid == 0)
		live(b);
	if (pid < 0)
		tell_failure(b->plan.record, MPR_SETUP_FORK, pid);
	else
		mpr_parker_wake(&b->plan.record->starter);
	forget(b);
	return true;
}

static struct mpr_server_answer
preload(const struct mpr_server_request *request)
{
	struct mpr_server_answer answer = { 0 };
	struct mpr_call call = { .arg = (void *)(uintptr_t)request->arg };

	if (!request->has_preload)
		return answer;
	mpr_spawned_set_early(true);
	answer.error = mpr_module_find(&request->module, request->entry,
				       &call.fn);
	mpr_spawned_set_early(false);
	if (answer.error == 0)
		answer.code = mpr_call_run(&call);
	return answer;
}

int
mpr_server_run(void *arg)
{
	struct birth b = { .connection = *(int *)arg };
	struct mpr_server_answer answer;
	struct mpr_sibling sibling;
	int r;

	mpr_keyboard_ignore(&keyboard);
	r = mpr_courier_receive(b.connection, &b.request, sizeof(b.request),
				b.fds);
	if (r < 0)
		return 0;
	answer = preload(&b.request);
	mpr_stdio_flush();
	if (answer.error == 0)
		answer.error = mpr_sibling_prepare(&sibling);
	r = mpr_courier_send(b.connection, &answer, sizeof(answer), NULL, 0);
	if (r < 0 || answer.error < 0 || answer.code != 0)
		return 0;
	do
		b.n = mpr_courier_receive(b.connection, &b.request,
					  sizeof(b.request), b.fds);
	while (b.n >= 0 && b.request.ask == MPR_SERVER_FORK &&
	       fork_one(&b, &sibling));
	return 0;
}
