/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <mproc/core.h>

#include "arena/participant.h"
#include "base/alloc.h"
#include "base/macros.h"
#include "ipc/handover.h"
#include "ipc/queue_fd.h"
#include "os/ambience.h"
#include "os/child.h"
#include "os/courier.h"
#include "os/fds.h"
#include "os/sibling.h"
#include "os/stdio.h"
#include "os/task.h"
#include "process/forkserver.h"
#include "process/plan.h"
#include "process/plans.h"
#include "process/self.h"
#include "process/server.h"
#include "process/setup.h"
#include "process/spawned.h"

#define DIRECTORY 0
#define PLAN 1 /* if it is in no slot */

static struct mpr_keyboard keyboard;
static struct mpr_plans_copy plans;

/* What the child is made of; it never leaves the functions below. As much of it as
 * can be is made before the fork: see struct mpr_crash_plan. */
struct birth {
	struct mpr_server_request request;
	struct mpr_plan_file plan;
	int n;
	int connection;
	int orders; /* a spare's connection */
	int life; /* the server's pidfd; or -1: it makes no spares */
	struct mpr_ambience ours;
	struct mpr_start start;
	struct mpr_file promise;
	struct mproc_process_opts opts;
	const char **env; /* or NULL: it is the server's */
	void *arg; /* a copy, or NULL */
	int fds[MPR_COURIER_FDS];
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

static bool
has_slot(const struct birth *b)
{
	return b->request.slot != MPR_SERVER_NO_SLOT;
}

/* All that we were sent goes above the numbers that the child is to have. */
MPR_CHILD_PATH static int
make_room(struct birth *b, const struct mproc_process_opts *o)
{
	int above = 3;

	for (int i = 0; i < o->n_keep_fds; i++)
		if (o->keep_fds[i] >= above)
			above = o->keep_fds[i] + 1;
	for (int i = 0; i < b->n; i++) {
		if (b->fds[i] >= above)
			continue;
		b->fds[i] = mpr_fds_move_up(b->fds[i], above);
		if (b->fds[i] < 0)
			return b->fds[i];
	}
	if (has_slot(b) && b->promise.fd < above)
		b->promise.fd = mpr_fds_move_up(b->promise.fd, above);
	else if (!has_slot(b))
		b->promise.fd = b->fds[PLAN];
	return b->promise.fd < 0 ? b->promise.fd : 0;
}

MPR_CHILD_PATH static int
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

MPR_CHILD_PATH static int
adopt_sockets(const struct birth *b, const struct mproc_process_opts *o)
{
	const struct mpr_handover_socket *sockets =
		mpr_plan_at(&b->plan, b->plan.plan->sockets_at);
	int first = b->request.keep + (o->n_keep_fds > 0 ? o->n_keep_fds : 0);
	int r = 0;

	for (int i = 0; i < b->plan.plan->n_sockets && r == 0; i++)
		r = mpr_handover_adopt(sockets[i].end, b->fds[first + i]);
	return r;
}

/* They lead where they do in the starter, or where its options say. */
MPR_CHILD_PATH static void
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

MPR_CHILD_PATH static int
place_descriptors(struct birth *b, struct mproc_process_opts *o)
{
	int r = make_room(b, o);

	if (r == 0)
		r = mpr_fds_enter(b->fds[DIRECTORY]);
	if (r == 0)
		r = place_kept(b, o);
	if (r == 0)
		r = adopt_sockets(b, o);
	if (r < 0)
		return r;
	lead_stream(b, 0, &o->stdin_);
	lead_stream(b, 1, &o->stdout_);
	lead_stream(b, 2, &o->stderr_);
	return 0;
}

MPR_CHILD_PATH static void
close_rest(const struct birth *b)
{
	for (int i = 0; i < b->request.keep; i++)
		if (b->fds[i] != b->promise.fd)
			mpr_fds_close(b->fds[i]);
}

/* Nothing that is loaded here is ever unloaded: most starts are of what the last one
 * was, and to look at the loader's list costs a page that was written before each
 * fork. What is not here, the child loads: then there is no function. */
static struct mpr_call
find_call(const struct mpr_plan_file *f)
{
	static struct mpr_module_id module;
	static mpr_function *entry;
	static uint64_t offset;
	const struct mpr_plan *plan = f->plan;
	struct mpr_call call = mpr_plan_arguments(f);

	if (!entry || plan->entry != offset ||
	    !mpr_module_is(&plan->module.id, &module)) {
		if (mpr_module_look(&plan->module, plan->entry, &entry) < 0)
			entry = NULL;
		module = plan->module.id;
		offset = plan->entry;
	}
	call.fn = entry;
	return call;
}

static int
prepare(struct birth *b)
{
	const struct mpr_plan *plan = b->plan.plan;

	b->start = (struct mpr_start){
		.name = plan->name,
		.record = b->plan.record,
		.opts = &b->opts,
		.test = mpr_self_ticket_of(&plan->test),
		.setup = true,
		.given = plan->given,
		.promise = &b->promise,
	};
	b->promise = has_slot(b) ? plans.file : b->plan.shmem.file;
	b->start.bond = (struct mpr_child_bond){
		.parent = plan->parent,
		.signal = MPR_CHILD_ORPHANED,
		.blocked = mpr_ambience_blocks(&plan->ambience,
					       MPR_CHILD_ORPHANED),
		.outlives = plan->outlives,
		.fostered = true,
	};
	mpr_plan_options(&b->plan, &b->opts);
	if (!b->opts.no_report)
		mpr_crash_plan(&b->start.crash);
	b->start.call = find_call(&b->plan);
	if (has_slot(b) && plan->arg_size) {
		/* What comes of the child may have it for longer than the slot. */
		b->arg = mpr_malloc(plan->arg_size);
		if (!b->arg)
			return -ENOMEM;
		b->start.call.arg = memcpy(b->arg, b->start.call.arg,
					   plan->arg_size);
	}
	return mpr_plan_environment(&b->plan, &b->env);
}

static void
load_entry(struct birth *b)
{
	int r;

	mpr_spawned_set_early(true);
	r = mpr_plan_call(&b->plan, &b->start.call);
	mpr_spawned_set_early(false);
	if (r < 0)
		refuse(b, MPR_SETUP_ENTRY, r);
	if (b->arg)
		b->start.call.arg = b->arg;
}

/* What the server has is none of the child's. */
MPR_CHILD_PATH static void
leave_server(const struct birth *b)
{
	mpr_stdio_forget();
	mpr_self_forget();
	mpr_queue_fd_forget();
	mpr_forkserver_forget();
	mpr_handover_keep(NULL, 0, false);
	mpr_fds_close(b->connection);
}

/* The child's whole life, from the fork on, or from a spare's order. */
MPR_CHILD_PATH MPR_NOINLINE static noreturn void
live(struct birth *b, bool was_spare)
{
	const struct mpr_plan *plan = b->plan.plan;
	int r;

	/* First, as what follows unblocks what it needs. */
	mpr_ambience_take(&plan->ambience, &b->ours);
	mpr_child_follow(&b->start.bond);
	if (!was_spare)
		leave_server(b);
	mpr_keyboard_heed(&keyboard);
	/* Closed now, as what the child is to have may come to their numbers. */
	mpr_fds_close(b->orders);
	if (b->life >= 0)
		mpr_fds_close(b->life);
	if (!has_slot(b))
		mpr_fds_close(plans.file.fd);
	mproc_set_exit_limit((mproc_timeout){ plan->exit_limit });
	(void)mproc_set_start_method(plan->method);
	r = place_descriptors(b, &b->opts);
	if (r < 0)
		refuse(b, MPR_SETUP_DESCRIPTORS, r);
	if (mpr_unlikely(!b->start.call.fn))
		load_entry(b);
	b->opts.env = b->env;
	mpr_self_begin(&b->start);
	if (b->env)
		free(b->env);
	if (!b->opts.n_keep_fds)
		close_rest(b);
	mpr_fds_close(b->promise.fd);
	mpr_self_enter(&b->start);
}

static void
forget(struct birth *b)
{
	free(b->env);
	free(b->arg);
	b->env = NULL;
	b->arg = NULL;
	for (int i = 0; i < b->n; i++)
		mpr_fds_close(b->fds[i]);
	if (has_slot(b))
		mpr_plans_hide(&plans, b->request.slot);
	else
		mpr_shmem_unmap_only(&b->plan.shmem);
}

/* Returns false if there is no such slot. */
static bool
show_slot(const struct birth *b, struct mpr_shmem *ret_slot)
{
	return b->request.slot >= 0 && b->request.slot < MPR_PLANS_SLOTS &&
	       mpr_plans_show(&plans, b->request.slot, ret_slot) == 0;
}

/* Returns false if there is none. */
static bool
open_plan(struct birth *b)
{
	struct mpr_shmem slot;

	if (!has_slot(b))
		return b->n > PLAN && mpr_plan_open(&b->plan, b->fds[PLAN]) == 0;
	return show_slot(b, &slot) && mpr_plan_open_slot(&b->plan, &slot) == 0;
}

/* The starter gets hold of it by a descriptor, as whoever has only its id may find
 * another process by that, if it dies and others reap it. */
static void
say_ready(const struct birth *b)
{
	struct mpr_server_ready ready = { .spare = b->request.spare,
					  .pid = mpr_task_pid() };
	struct mpr_child me = { .fd = -1 };

	(void)mpr_child_open(&me, ready.pid);
	(void)mpr_courier_send(b->orders, &ready, sizeof(ready), &me.fd,
			       me.fd >= 0);
	mpr_child_close(&me);
}

/* What is still there for another one was for one that has died. Nobody waits for one
 * that gets no order: it was not started. */
static void
receive_order(struct birth *b)
{
	int32_t spare = b->request.spare;
	bool is_ready = false;

	for (;;) {
		/* Whoever waits for it already gets hold of it by its id. */
		if (!is_ready && !mpr_courier_await(b->orders, 0)) {
			say_ready(b);
			is_ready = true;
		}
		if (!mpr_courier_await_beside(b->orders, b->life))
			mpr_child_exit(0);
		b->n = mpr_courier_receive(b->orders, &b->request,
					   sizeof(b->request), b->fds);
		if (b->n < 0)
			mpr_child_exit(0);
		if (b->request.spare == spare)
			return;
		while (b->n > 0)
			mpr_fds_close(b->fds[--b->n]);
	}
}

static noreturn void
wait_as_spare(struct birth *b)
{
	int r;

	b->start.bond = (struct mpr_child_bond){
		.parent = b->request.parent,
		.signal = MPR_CHILD_ORPHANED,
		.blocked = mpr_ambience_blocks(&b->ours, MPR_CHILD_ORPHANED),
		.fostered = true,
	};
	mpr_child_follow(&b->start.bond);
	leave_server(b);
	receive_order(b);
	if (mpr_plan_open_slot(&b->plan, &b->plan.shmem) < 0)
		mpr_child_exit(0);
	if (b->n < b->request.n)
		refuse(b, MPR_SETUP_DESCRIPTORS, -EMFILE);
	r = prepare(b);
	if (r < 0)
		refuse(b, MPR_SETUP_FORK, r);
	live(b, true);
}

/* @b is as good as new afterwards. */
MPR_CHILD_PATH static void
fork_child(struct birth *b, const struct mpr_sibling *sibling, bool as_spare)
{
	pid_t pid;

	/* What the preload function has joined, the child would be taken for
	 * having. */
	mpr_self_leave();
	/* So that its page is there: a kernel that has to fetch it gives up if we
	 * are killed meanwhile, and the child would have no id. */
	atomic_store(&b->plan.record->pid, 0);
	pid = mpr_sibling_fork(sibling, &b->plan.record->pid);
	if (pid == 0 && as_spare)
		wait_as_spare(b);
	if (pid == 0)
		live(b, false);
	if (pid < 0)
		tell_failure(b->plan.record, MPR_SETUP_FORK, pid);
	else
		mpr_parker_wake(&b->plan.record->starter);
	forget(b);
}

/* Returns false if it cannot tell the starter what came of it. */
MPR_CHILD_PATH MPR_NOINLINE static bool
fork_one(struct birth *b, const struct mpr_sibling *sibling)
{
	int r;

	if (!open_plan(b))
		return false;
	if (b->n < b->request.n) {
		/* There was no room for the rest. */
		tell_failure(b->plan.record, MPR_SETUP_DESCRIPTORS, -EMFILE);
		forget(b);
		return true;
	}
	mpr_ambience_note(&b->ours);
	r = prepare(b);
	if (r < 0) {
		tell_failure(b->plan.record, MPR_SETUP_FORK, r);
		forget(b);
		return true;
	}
	fork_child(b, sibling, false);
	return true;
}

/* Returns as fork_one(). */
MPR_NOINLINE static bool
fork_spare(struct birth *b, const struct mpr_sibling *sibling)
{
	struct mpr_shmem slot;

	if (!show_slot(b, &slot))
		return false;
	mpr_plan_open_reserved(&b->plan, &slot);
	b->n = 0;
	if (b->life < 0) {
		tell_failure(b->plan.record, MPR_SETUP_FORK, -ENOSYS);
		forget(b);
		return true;
	}
	mpr_ambience_note(&b->ours);
	fork_child(b, sibling, true);
	return true;
}

static struct mpr_server_answer
preload(const struct mpr_server_hello *hello, int connection)
{
	struct mpr_server_answer answer = { .preloads = 1 };
	struct mpr_call call = { .arg = (void *)(uintptr_t)hello->arg };

	if (hello->has_preload)
		answer.error = mpr_courier_send(connection, &answer,
						sizeof(answer), NULL, 0);
	answer.preloads = 0;
	if (!hello->has_preload || answer.error < 0)
		return answer;
	mpr_spawned_set_early(true);
	answer.error = mpr_module_find(&hello->module, hello->entry, &call.fn);
	mpr_spawned_set_early(false);
	if (answer.error == 0)
		answer.code = mpr_call_run(&call);
	return answer;
}

static struct mpr_server_answer
greet(int connection, int *ret_orders, int *ret_r)
{
	struct mpr_server_answer answer = { .error = 0 };
	struct mpr_server_hello hello;
	int fds[MPR_COURIER_FDS], n;

	n = mpr_courier_receive(connection, &hello, sizeof(hello), fds);
	*ret_r = n < 0 ? n : 0;
	if (n < 0)
		return answer;
	answer.error = n == 2 ? mpr_plans_adopt(&plans, fds[0]) : -EMFILE;
	*ret_orders = n == 2 ? fds[1] : -1;
	if (answer.error == 0)
		answer = preload(&hello, connection);
	mpr_stdio_flush();
	return answer;
}

static bool
do_request(struct birth *b, const struct mpr_sibling *sibling)
{
	switch (b->request.ask) {
	case MPR_SERVER_FORK:
		return fork_one(b, sibling);
	case MPR_SERVER_SPARE:
		return fork_spare(b, sibling);
	}
	return false;
}

static void
serve(int connection, int orders, const struct mpr_sibling *sibling)
{
	struct birth b = { .connection = connection, .orders = orders };
	struct mpr_child us = { .fd = -1 };

	/* With one CPU, to fork ahead saves nothing. */
	mpr_ambience_note(&b.ours);
	if (!mpr_ambience_has_one_cpu(&b.ours))
		(void)mpr_child_open(&us, mpr_task_pid());
	b.life = us.fd;
	do
		b.n = mpr_courier_receive(connection, &b.request,
					  sizeof(b.request), b.fds);
	while (b.n >= 0 && do_request(&b, sibling));
}

int
mpr_server_run(void *arg)
{
	int connection = *(int *)arg, orders, r;
	struct mpr_server_answer answer;
	struct mpr_sibling sibling;
	pid_t us = mpr_task_pid();

	mpr_keyboard_ignore(&keyboard);
	/* Before there are children: one may find the loader's lock taken for ever, by a thread
	 * that a constructor or the preload function has begun. And before that function, which
	 * may leave no memory. */
	mpr_module_note();
	answer = greet(connection, &orders, &r);
	/* A child that the preload function has forked may return from it, too: what
	 * it made would be the server's children, and nobody's that asks. */
	if (r < 0 || mpr_task_pid() != us)
		return answer.code;
	if (answer.error == 0)
		answer.error = mpr_sibling_prepare(&sibling);
	r = mpr_courier_send(connection, &answer, sizeof(answer), NULL, 0);
	if (r == 0 && answer.error == 0 && answer.code == 0)
		serve(connection, orders, &sibling);
	return 0;
}
