/* SPDX-License-Identifier: MIT */
/*
 * The handle of a started process, in the process that started it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/opts.h"
#include "ipc/pipe_holds.h"
#include "ipc/queue_fd.h"
#include "os/clock.h"
#include "os/crash.h"
#include "os/fds.h"
#include "os/generation.h"
#include "os/interrupt.h"
#include "os/stdio.h"
#include "os/task.h"
#include "os/thread.h"
#include "process/children.h"
#include "process/exit.h"
#include "process/forkserver.h"
#include "process/handle.h"
#include "process/inline.h"
#include "process/method.h"
#include "process/name.h"
#include "process/setup.h"
#include "process/spawn.h"
#include "process/watch.h"

/* How often a start that takes long looks whether the child still lives. */
#define LOOK_EVERY INT64_C(50000000) /* ns */

/* How long a program by another name may take to come to us. */
#define FOREIGN_LIMIT INT64_C(30000000000) /* ns */

/* How many are tried until one can have the arena at its address. */
#define IMAGES 3

/* How long after its start a process may end without a sleep of who joins it; unless a
 * look, with a turn for others, takes so long that there are some. */
#define SHORT_LIFE INT64_C(250000) /* ns */
#define TURN INT64_C(20000) /* ns */

int
mpr_process_check(const mproc_process *p)
{
	if (!p)
		return mpr_fail(-EINVAL, "the process is NULL");
	if (p->generation != mpr_generation())
		return mpr_fail(-ECHILD, "process \"%s\" was started by "
				"another process", p->name);
	return 0;
}

void
mpr_process_free(mproc_process *p)
{
	mpr_child_close(&p->child);
	for (int i = 0; i < 2; i++)
		if (p->lines[i])
			mpr_lines_release(p->lines[i]);
	if (p->plan.shmem.base)
		mpr_plan_free(&p->plan);
	else if (p->record)
		mpr_record_free(p->record);
	/* Who has ended in order has seen the end of its children. */
	mpr_records_take_back(p->lent, p->ended && p->exit.code == 0);
	mpr_inline_drop(p);
	free(p->report);
	free(p);
}

MPR_CHILD_PATH static int
make_handle(mproc_process **ret_p, const struct mproc_process_opts *o,
	    bool service)
{
	mproc_process *p = mpr_malloc(sizeof(*p));

	if (!p)
		return mpr_fail(-ENOMEM, "no memory for a process handle");
	*p = (mproc_process){
		.generation = mpr_generation(),
		.handover.generation = mpr_generation(),
		.child.fd = -1,
		.daemon = o->daemon,
		.outlives = o->outlive_parent,
		.service = service,
	};
	mpr_name_make(p->name, o->name);
	*ret_p = p;
	return 0;
}

MPR_CHILD_PATH static int
ending(void)
{
	return mpr_fail(-ESHUTDOWN, "process %d is ending",
			(int)mpr_task_pid());
}

/* A signal handler has forked us in the middle of a start, and has returned: what is
 * started there is our parent's. */
MPR_CHILD_PATH static bool
is_copy(const mproc_process *p)
{
	return p->generation != mpr_generation();
}

/* The child knows by @pid that it is meant. By the time that a copy comes here the
 * record may be another child's. */
MPR_CHILD_PATH static void
order(mproc_process *p, enum mpr_record_order order, pid_t pid)
{
	sigset_t before;

	mpr_thread_forbid_signals(&before);
	if (!is_copy(p)) {
		atomic_store(&p->record->pid, (uint32_t)pid);
		if (atomic_exchange(&p->record->order, order) ==
		    MPR_RECORD_ASLEEP)
			mpr_parker_wake(&p->record->parker);
	}
	mpr_thread_allow_signals(&before);
}

/* What a copy has forked itself, as its parent was about to: nobody else would end
 * it. The record may be the parent's. */
static void
end_if_ours(mproc_process *p)
{
	if (!mpr_child_is_ours(&p->child))
		return;
	mpr_process_lock();
	(void)mpr_child_signal(&p->child, SIGKILL);
	mpr_process_unlock();
	mpr_child_reap_blocking(p->child.pid);
}

/* The order alone is not enough: a child that is stopped does not see it, and
 * another child may write over it. */
static void
give_up(mproc_process *p)
{
	mpr_process_lock();
	(void)mpr_child_signal(&p->child, SIGKILL);
	mpr_process_unlock();
	order(p, MPR_RECORD_ABORT, p->child.pid);
}

/* One with an image of its own has ended without a word. If that was by a signal, or
 * nobody knows, as others have reaped it, it was started, and has ended; or else its
 * program is not what we need. */
static int
judge_end(mproc_process *p)
{
	bool ended;

	mpr_process_lock();
	ended = mpr_process_look(p);
	mpr_process_unlock();
	if (!ended || p->exit.code < 0)
		return 0;
	return mpr_fail(-ENOEXEC, "the new image ended with status %d before "
			"it came to libmproc: its libraries, or .exe",
			p->exit.code);
}

/* Until the child has applied its options. One that is killed before that was
 * started, and has ended. */
static int
wait_for_setup(mproc_process *p, const struct mproc_process_opts *o)
{
	int64_t limit = o->exe ? mproc_now() + FOREIGN_LIMIT : MPR_NEVER;
	struct mpr_record *record = p->record;
	uint32_t ticket;
	uint64_t word;
	bool gone;

	/* A new image takes longer than that. */
	if (o->method != MPROC_SPAWN)
		mpr_record_look_out(record, false);
	for (;;) {
		/* Before its word is read: a dead one writes no more. */
		gone = mpr_child_is_gone(&p->child);
		ticket = mpr_parker_ticket(&record->starter);
		word = atomic_load(&record->setup);
		if (word)
			return mpr_setup_result(word, o);
		if (is_copy(p))
			return mpr_process_check(p);
		if (gone)
			return p->plan.shmem.base ? judge_end(p) : 0;
		if (mproc_now() > limit)
			return mpr_fail(-ENOEXEC, "%s has not come to libmproc "
					"within %d s: is it linked with it?",
					o->exe,
					(int)(FOREIGN_LIMIT / 1000000000));
		mpr_parker_wait(&record->starter, ticket,
				mproc_now() + LOOK_EVERY);
	}
}

MPR_CHILD_PATH static int
list(mproc_process *p)
{
	p->listed = mpr_children_add(p);
	return p->listed ? 0 : ending();
}

/* The one that could not do as it was told. It may be among our children already, and
 * if this process is ending by now, it stays there. Returns what the start says. */
static int
drop(mproc_process *p, int r)
{
	if (p->listed && !mpr_children_withdraw(p)) {
		give_up(p);
		mpr_process_wait(p, MPR_NEVER, false);
		return ending();
	}
	p->listed = false;
	if (!p->ended) {
		give_up(p);
		mpr_child_reap_blocking(p->child.pid);
	}
	return r;
}

/* The generation that is alone with its children. */
MPR_CHILD_DATA static _Atomic uint64_t alone;

MPR_CHILD_PATH void
mpr_process_is_alone(void)
{
	atomic_store(&alone, mpr_generation());
}

/* By its id, which stays its own until it is reaped: by us, but for what functions of
 * pthread_atfork(3) do. */
MPR_CHILD_PATH static int
get_hold(mproc_process *p, pid_t pid)
{
	if (p->child.fd >= 0)
		return 0;
	if (atomic_load(&alone) != mpr_generation())
		return mpr_child_open(&p->child, pid);
	mpr_child_know(&p->child, pid);
	return 0;
}

/*
 * The child waits for an order until its options are applied, its pidfd is
 * there, and it is among our children: what fails after the fork must not have
 * started anything. If only the options can fail, that is for the child to see, and it
 * has the order before: a new image need not wait until we are awake again.
 */
MPR_CHILD_PATH static int
open_child(mproc_process *p, pid_t pid, bool setup,
	   const struct mproc_process_opts *o)
{
	int r = get_hold(p, pid);

	if (r < 0)
		mpr_fail(r, "pidfd_open: %s", mproc_strerror(r));
	else
		r = mpr_handover_begin(&p->handover, o->conns, o->n_conns,
				       p->gives_all, pid);
	if (r == 0 && p->at_once && !is_copy(p)) {
		p->starting = true;
		r = list(p);
		if (r == 0)
			order(p, MPR_RECORD_GO, pid);
	}
	if (r == 0 && setup)
		r = wait_for_setup(p, o);
	/* Nobody joins one of the library's own in a hurry. */
	if (!p->service)
		p->started = mproc_now();
	if (is_copy(p)) {
		end_if_ours(p);
		r = mpr_process_check(p);
	} else if (r == 0 && !p->listed) {
		r = list(p);
	}
	if (r == 0 && p->at_once)
		mpr_children_show(p);
	if (r < 0 && !is_copy(p))
		r = drop(p, r);
	if (r < 0)
		mpr_handover_undo(&p->handover);
	return r;
}

/* The generation that is not to ask for its threads again. */
MPR_CHILD_DATA static _Atomic uint64_t warned;

/* Once in each process. */
MPR_CHILD_PATH static void
warn_of_threads(void)
{
	unsigned threads, ours;

	if (atomic_load(&warned) == mpr_generation() ||
	    atomic_load(&alone) == mpr_generation())
		return;
	threads = mpr_task_threads();
	if (threads < 2)
		return;
	ours = mpr_queue_fd_threads() + mpr_lines_threads();
	if (threads - 1 <= ours)
		return;
	atomic_store(&warned, mpr_generation());
	mpr_log(MPROC_LOG_WARNING, "process %d forks while it has %u threads: "
		"in the child the others are gone, and locks that they held "
		"stay locked; MPROC_SPAWN and MPROC_FORKSERVER copy neither",
		(int)mpr_task_pid(), threads - ours);
}

/* Forks @p, which makes @call. */
MPR_CHILD_PATH static int
start_fork(mproc_process *p, const struct mpr_call *call,
	   const struct mproc_process_opts *o)
{
	struct mpr_start start = {
		.call = *call,
		.name = p->name,
		.opts = o,
		.setup = mpr_setup_is_needed(o),
	};
	pid_t pid;

	/* Before the fork: the child knows of no others. */
	p->gives_all = o->n_conns == 0 && mpr_hold_may_be();
	start.given = o->n_conns > 0 || p->gives_all;
	warn_of_threads();
	p->record = mpr_record_new();
	if (!p->record)
		return mpr_fail(-ENOMEM, "no memory for a process record");
	start.record = p->record;
	mpr_child_bond(&start.bond);
	start.bond.outlives = o->outlive_parent;
	if (!o->no_report)
		mpr_crash_plan(&start.crash);
	mpr_stdio_flush();
	/* That may have taken long. */
	if (is_copy(p))
		return mpr_process_check(p);
	pid = mpr_child_fork();
	if (pid == 0)
		mpr_self_run(&start);
	if (pid < 0)
		return mpr_fail(pid, "fork: %s", mproc_strerror(pid));
	return open_child(p, pid, start.setup, o);
}

/* Another image has its libraries and stacks elsewhere than the last one, so
 * where one could not have the arena at its place, the next one can. */
static int
start_spawn(mproc_process *p, const struct mpr_call *call,
	    const struct mproc_process_opts *o)
{
	int r = mpr_spawn_check(o);
	pid_t pid;

	if (r < 0)
		return r;
	mpr_stdio_flush();
	for (int i = 0; i < IMAGES; i++) {
		pid = mpr_spawn(p, call, o);
		r = pid < 0 ? pid : open_child(p, pid, true, o);
		if (r != -EEXIST)
			break;
		mpr_child_close(&p->child);
		mpr_plan_free(&p->plan);
		p->record = NULL;
		p->ended = false; /* another thread may have seen that */
	}
	return r;
}

static int
start_by_server(mproc_process *p, const struct mpr_call *call,
		const struct mproc_process_opts *o)
{
	pid_t pid;

	mpr_stdio_flush();
	pid = mpr_forkserver_fork(p, call, o);
	return pid < 0 ? pid : open_child(p, pid, true, o);
}

MPR_CHILD_PATH static int
start_by_method(mproc_process *p, const struct mpr_call *call,
		const struct mproc_process_opts *o)
{
	struct mpr_call copied = *call;
	void *copy = NULL;
	int r = 0;

	if (o->method == MPROC_SPAWN)
		return start_spawn(p, call, o);
	if (o->method == MPROC_FORKSERVER)
		return start_by_server(p, call, o);
	if (call->arg_size) {
		r = mpr_process_copy_arg(&copy, call->arg, call->arg_size);
		copied.arg = copy;
	}
	if (r == 0)
		r = start_fork(p, &copied, o);
	free(copy);
	return r;
}

/* Output that is passed on goes into a pipe, of which only the child keeps the
 * end. */
MPR_CHILD_PATH static int
open_lines(mproc_process *p, struct mproc_process_opts *o, int fds[2])
{
	struct mproc_stdio *streams[2] = { &o->stdout_, &o->stderr_ };
	int r = 0;

	for (int i = 0; i < 2 && r == 0; i++) {
		if (streams[i]->kind != MPROC_STDIO_LINES)
			continue;
		r = mpr_lines_open(&p->lines[i], p->name, i + 1, &fds[i]);
		*streams[i] = (struct mproc_stdio){ .kind = MPROC_STDIO_FD,
						    .fd = fds[i] };
	}
	return r;
}

MPR_CHILD_PATH static int
start(mproc_process *p, const struct mpr_call *call,
      struct mproc_process_opts *o)
{
	int fds[2] = { -1, -1 }, r = mpr_setup_check_files(o);

	if (r == 0)
		r = open_lines(p, o, fds);
	if (r == 0)
		r = start_by_method(p, call, o);
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			mpr_fds_close(fds[i]);
	return r;
}

int
mpr_process_copy_arg(void **ret_copy, const void *arg, size_t size)
{
	*ret_copy = mpr_malloc(size);
	if (!*ret_copy)
		return mpr_fail(-ENOMEM, "no memory for an argument of %zu "
				"bytes", size);
	memcpy(*ret_copy, arg, size);
	return 0;
}

/* Whether a start can fail, once the child is among ours, by what the child sees only.
 * Who names a program may be left without a word, and ends of pipes that were given
 * away do not come back. */
MPR_CHILD_PATH static bool
can_begin_at_once(const struct mproc_process_opts *o)
{
	return o->method == MPROC_SPAWN && !o->exe && o->n_conns <= 0;
}

MPR_CHILD_PATH static int
check_call(const struct mpr_call *call)
{
	if (!call->fn)
		return mpr_fail(-EINVAL, "fn is NULL");
	if (call->arg_size && !call->arg)
		return mpr_fail(-EINVAL, "arg is NULL, arg_size is %zu",
				call->arg_size);
	return 0;
}

MPR_CHILD_PATH static int
hold(mproc_process **ret_p, const struct mpr_call *call,
     const struct mproc_process_opts *opts, bool service, bool at_once)
{
	struct mproc_process_opts o = *opts;
	mproc_process *p = NULL;
	struct mpr_call stub;
	int r, before;

	/* What runs here, or is the library's own, is to hold nothing. */
	if (service || mpr_inline_is_on())
		o.n_conns = -1;
	if (!o.method)
		o.method = mpr_method_usual();
	r = mpr_setup_check(&o);
	if (r == 0)
		r = check_call(call);
	if (r < 0)
		return r;
	if (!mpr_children_may_start())
		return ending();
	r = mpr_exit_prepare();
	if (r < 0)
		return r;
	mpr_children_reap();
	/* A thread that is cancelled in a flush would keep the stream locked,
	 * after the fork it would leave a child behind. */
	before = mpr_thread_forbid_cancel();
	r = make_handle(&p, &o, service);
	if (r == 0 && mpr_inline_is_on() && !service) {
		r = mpr_inline_take(p, call, &stub);
		call = &stub;
		o.method = MPROC_FORK;
	}
	if (r == 0) {
		p->at_once = at_once && can_begin_at_once(&o);
		r = start(p, call, &o);
	}
	if (p && is_copy(p)) {
		r = mpr_process_check(p);
		mpr_handover_undo(&p->handover);
		mproc_process_close(p);
	} else if (r == 0) {
		*ret_p = p;
	} else if (p && p->listed) {
		mpr_children_close(p);
	} else if (p) {
		mpr_process_free(p);
	}
	mpr_thread_allow_cancel(before);
	return r;
}

MPR_CHILD_PATH int
mpr_process_hold(mproc_process **ret_p, const struct mpr_call *call,
		 const struct mproc_process_opts *opts)
{
	return hold(ret_p, call, opts, false, false);
}

MPR_CHILD_PATH int
mpr_process_hold_service(mproc_process **ret_p, const struct mpr_call *call,
			 const struct mproc_process_opts *opts)
{
	return hold(ret_p, call, opts, true, false);
}

MPR_CHILD_PATH void
mpr_process_let_go(mproc_process *p)
{
	if (mpr_unlikely(p->call.fn != NULL))
		mpr_inline_run(p);
	if (is_copy(p))
		return;
	mpr_handover_end(&p->handover);
	if (!p->at_once)
		order(p, MPR_RECORD_GO, p->child.pid);
	if (p->plan.plans)
		mpr_forkserver_started();
	else if (p->plan.shmem.base)
		mpr_plan_close(&p->plan);
}

void
mpr_process_abandon(mproc_process *p)
{
	if (!is_copy(p))
		give_up(p);
	mpr_process_wait(p, MPR_NEVER, false);
	mpr_handover_undo(&p->handover);
	mproc_process_close(p);
}

int
mproc_process_start(mproc_process **ret_p, mproc_entry *fn, void *arg,
		    const struct mproc_process_opts *opts)
{
	struct mproc_process_opts o;
	struct mpr_call call;
	int r;

	if (!ret_p)
		return mpr_fail(-EINVAL, "ret_p is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r < 0)
		return r;
	call = mpr_call_entry(fn, arg, o.arg_size);
	r = hold(ret_p, &call, &o, false, true);
	if (r == 0)
		mpr_process_let_go(*ret_p);
	return r;
}

static int
wait_by(struct mpr_watch *w, mproc_process *p, int64_t deadline)
{
	int r = 0;

	for (;;) {
		/* A signal handler may have forked: no child of ours, even if
		 * it has ended meanwhile. */
		if (p->generation != mpr_generation())
			return mpr_process_check(p);
		if (mpr_process_see_end(p, mpr_watch_lines(w, deadline)) == 0)
			return 0;
		if (r < 0)
			return r;
		r = mpr_watch(w, deadline);
		if (r == -EINTR)
			return r;
	}
}

int
mpr_process_wait(mproc_process *p, int64_t deadline, bool interruptible)
{
	struct mpr_watch w = { .ps = &p, .n = 1, .fd = -1,
			       .interruptible = interruptible };

	return wait_by(&w, p, deadline);
}

int
mpr_process_wait_at_exit(mproc_process *p, int64_t deadline)
{
	struct mpr_watch w = { .ps = &p, .n = 1, .fd = -1,
			       .bounds_lines = true };

	return wait_by(&w, p, deadline);
}

/* One that was started just now may be about to end: to sleep and to be woken
 * takes longer than that, so we stay awake for a while, if nobody else wants the
 * CPU: who gives up its turn again and again comes last of all, where many do. One that
 * goes on does not cost that again. */
static void
see_a_short_life(const mproc_process *p, int64_t deadline)
{
	int64_t until = p->started + SHORT_LIFE, now = mproc_now(), last = now;
	/* A look is a cancellation point, and a join is none. */
	int before = mpr_thread_forbid_cancel();

	if (until > deadline)
		until = deadline;
	while (now < until && now - last < TURN && !mpr_interrupt_pending() &&
	       !mpr_child_is_gone(&p->child)) {
		mpr_task_yield();
		last = now;
		now = mproc_now();
	}
	mpr_thread_allow_cancel(before);
}

int
mproc_process_join(mproc_process *p, mproc_timeout timeout)
{
	int64_t deadline;
	int r = mpr_process_check(p);

	if (r < 0)
		return r;
	if (mpr_process_has_ended(p))
		return 0;
	if (timeout.ns == 0)
		return -EAGAIN;
	deadline = mpr_deadline(timeout);
	see_a_short_life(p, deadline);
	return mpr_process_wait(p, deadline, true);
}

bool
mproc_process_is_alive(mproc_process *p)
{
	return mpr_process_check(p) == 0 && !mpr_process_has_ended(p);
}

pid_t
mproc_process_pid(mproc_process *p)
{
	return mpr_process_check(p) == 0 ? p->child.pid : 0;
}

const char *
mproc_process_name(mproc_process *p)
{
	return mpr_process_check(p) == 0 ? p->name : NULL;
}

int
mproc_process_fd(mproc_process *p)
{
	int r = mpr_process_check(p);

	if (r < 0)
		return r;
	if (p->child.fd < 0)
		return mpr_fail(-ENOSYS, "the kernel has no pidfds");
	return p->child.fd;
}

void
mproc_process_close(mproc_process *p)
{
	int before;

	if (!p)
		return;
	if (p->generation != mpr_generation()) {
		/* A forked child's copy; the record is the parent's. */
		if (mpr_setup_left_open(p->generation))
			mpr_child_close(&p->child);
		mpr_plan_free(&p->plan);
		mpr_records_take_back(p->lent, false);
		free(p->report);
		free(p);
		return;
	}
	/* What is closed halfway nobody would free. */
	before = mpr_thread_forbid_cancel();
	mpr_children_reap();
	mpr_children_close(p);
	mpr_thread_allow_cancel(before);
}
