/* SPDX-License-Identifier: MIT */
/*
 * Several threads may use the server while another one finds that it is dead and
 * begins the next, so each holds it meanwhile. The list of them is one word; that and
 * the counts are changed under the process lock.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "arena/arena.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/opts.h"
#include "os/clock.h"
#include "os/courier.h"
#include "os/fds.h"
#include "os/file.h"
#include "os/generation.h"
#include "os/image.h"
#include "os/task.h"
#include "os/thread.h"
#include "process/forkserver.h"
#include "process/plans.h"
#include "process/request.h"
#include "process/server.h"
#include "process/setup.h"
#include "process/spare.h"
#include "process/spawn.h"

#define LOOK_EVERY INT64_C(50000000) /* ns */
#define GRACE INT64_C(1000000000)    /* ns, for its end */
#define PATIENCE INT64_C(100000000)  /* ns, for starts by one that is stopped */

/* How many servers are begun, and asked, for one start, if they end again and
 * again. */
#define SERVERS 3

struct server {
	struct server *next; /* on the list of all */
	unsigned holders;
	uint64_t generation; /* of the process that has begun it */
	struct mpr_file connection; /* which the program may close behind our back */
	struct mpr_plans *plans;
	mproc_process *process;
	_Atomic int pidfd; /* its, for forked children; -1: none */
	struct mpr_spare spare;
};

/* Those that are begun, serve or are ended, for a forked child, which closes what it has
 * of theirs: a server whose starter has become another program ends when nobody has
 * the connection any more. Changed under the process lock by one store each, as that
 * child may have been forked in the middle. */
MPR_CHILD_DATA static _Atomic(struct server *) all;

/* A forked child may find its parent's here. */
MPR_CHILD_DATA static _Atomic(struct server *) current;
static struct mproc_forkserver_opts wanted; /* for the next one */
static unsigned stops; /* how often it was stopped */

/* A signal handler has forked us in the middle of a start, and has returned: the
 * server, and what is said to it, are our parent's. */
static bool
is_copy(const struct server *s)
{
	return s->generation != mpr_generation();
}

static int
not_ours(void)
{
	return mpr_fail(-ECHILD, "the fork server is another process's");
}

/* The process lock is held in these two. */

static struct server *
mine(void)
{
	struct server *s = atomic_load(&current);

	return s && !is_copy(s) ? s : NULL;
}

static struct server *
take_current(void)
{
	struct server *s = mine();

	if (s)
		atomic_store(&current, NULL);
	return s;
}

static struct server *
hold(void)
{
	struct server *s;

	mpr_process_lock();
	s = mine();
	if (s)
		s->holders++;
	mpr_process_unlock();
	return s;
}

bool
mpr_forkserver_has_fd(int fd)
{
	struct server *s;
	bool has;

	mpr_process_lock();
	s = mine();
	has = s && (fd == s->connection.fd || fd == mpr_plans_fd(s->plans) ||
		    fd == s->process->child.fd || fd == s->spare.orders.fd ||
		    fd == s->spare.theirs.fd);
	mpr_process_unlock();
	return has;
}

static void
enlist(struct server *s)
{
	mpr_process_lock();
	s->next = atomic_load(&all);
	atomic_store(&all, s);
	mpr_process_unlock();
}

static void
strike_off(struct server *s)
{
	struct server *other;

	mpr_process_lock();
	other = atomic_load(&all);
	if (other == s)
		atomic_store(&all, s->next);
	while (other && other->next != s)
		other = other->next;
	if (other)
		other->next = s->next;
	mpr_process_unlock();
}

static void
destroy(struct server *s)
{
	struct mpr_server_request end = { .ask = MPR_SERVER_END };
	struct mpr_child spare = { .fd = -1 };

	(void)mpr_request_tell(&s->connection, s->generation, &end, sizeof(end),
			       NULL, 0);
	mpr_file_close(&s->connection);
	if (mpr_process_wait(s->process, mproc_now() + GRACE, false) < 0) {
		(void)mproc_process_kill(s->process);
		(void)mpr_process_wait(s->process, mproc_now() + GRACE, false);
	}
	atomic_store(&s->pidfd, -1);
	mproc_process_close(s->process);
	if (!is_copy(s))
		mpr_spare_end(&s->spare, &s->spare.plan, &spare,
			      MPR_SPARE_NONE);
	strike_off(s);
	mpr_spare_forget(&s->spare);
	mpr_plans_drop(s->plans);
	free(s);
}

static void
drop(struct server *s)
{
	bool last;

	mpr_process_lock();
	last = --s->holders == 0;
	mpr_process_unlock();
	if (last)
		destroy(s);
}

/* It is dead: the next who needs one begins another. */
static void
give_up(struct server *s)
{
	bool was_current;

	mpr_process_lock();
	was_current = mine() == s;
	if (was_current)
		atomic_store(&current, NULL);
	mpr_process_unlock();
	if (was_current)
		drop(s);
}

/* Not one that nobody has found dead yet. */
static struct server *
hold_living(void)
{
	struct server *s = hold();

	if (s && mpr_child_is_gone(&s->process->child)) {
		give_up(s);
		drop(s);
		s = NULL;
	}
	return s;
}

/* Makes @s the one, if there is none; it is held once more. Another one in its place
 * will begin as it did. The process lock is held. */
static bool
install(struct server *s, const struct mproc_forkserver_opts *o)
{
	if (mine())
		return false;
	s->holders++;
	wanted = *o;
	atomic_store(&current, s);
	return true;
}

/* The caller holds the server that it has begun, or another thread's, which was
 * faster. If it was stopped meanwhile, others will want one without these options:
 * then the caller's is for this time only. */
static void
settle(struct server **s, const struct mproc_forkserver_opts *o, unsigned before)
{
	struct server *other = NULL;

	mpr_process_lock();
	if (stops == before && !install(*s, o)) {
		other = mine();
		other->holders++;
	}
	mpr_process_unlock();
	if (!other)
		return;
	drop(*s);
	*s = other;
}

static int
start_image(struct server *s)
{
	struct mproc_process_opts o = {
		.method = MPROC_SPAWN,
		.name = "forkserver",
		.n_keep_fds = 1,
		.arg_size = sizeof(int),
	};
	int ends[2], r = mpr_courier_pair(ends);
	struct mpr_call call;

	if (r < 0)
		return mpr_fail(r, "a connection to the fork server: %s",
				mproc_strerror(r));
	o.keep_fds = &ends[1];
	call = mpr_call_entry(mpr_server_run, &ends[1], sizeof(int));
	r = mpr_file_note(&s->connection, ends[0]);
	if (r < 0)
		mpr_fds_close(ends[0]);
	else
		r = mpr_process_hold_service(&s->process, &call, &o);
	mpr_fds_close(ends[1]);
	/* We may have become a copy before there was a process. */
	if (r == 0 && is_copy(s)) {
		mpr_process_abandon(s->process);
		r = not_ours();
	}
	/* In a copy it is closed already, and the number may be another's. */
	if (r < 0) {
		mpr_file_close(&s->connection);
		return r;
	}
	atomic_store(&s->pidfd, s->process->child.fd);
	mpr_process_let_go(s->process);
	return 0;
}

/* Others may have its end of the connection too, as they were forked meanwhile: then
 * no end of the messages tells of its death. */
static int
receive_answer(const struct server *s, struct mpr_server_answer *ret_answer)
{
	int none[MPR_COURIER_FDS];
	bool gone;

	do {
		/* Before the look for an answer: it may have come first. */
		gone = mpr_child_is_gone(&s->process->child);
		if (is_copy(s))
			break;
		if (!mpr_file_is_open(&s->connection))
			return -EPIPE;
		if (mpr_courier_await(s->connection.fd, LOOK_EVERY / 1000000) &&
		    !is_copy(s))
			return mpr_courier_receive(s->connection.fd, ret_answer,
						   sizeof(*ret_answer), none);
	} while (!gone && !is_copy(s));
	return is_copy(s) ? not_ours() : -EPIPE;
}

static int
say_hello(struct server *s, const struct mproc_forkserver_opts *o)
{
	struct mpr_server_hello hello = { 0 };
	int fds[2] = { mpr_plans_fd(s->plans), -1 }, r = 0;

	if (o->preload) {
		hello.has_preload = 1;
		hello.arg = (uintptr_t)o->preload_arg;
		r = mpr_module_of((mpr_function *)o->preload, &hello.module,
				  &hello.entry);
	}
	if (r < 0)
		return r;
	if (fds[0] < 0)
		return -EPIPE;
	r = mpr_spare_connect(&s->spare);
	if (r < 0)
		return mpr_fail(r, "a connection to the fork server: %s",
				mproc_strerror(r));
	fds[1] = s->spare.theirs.fd;
	return mpr_request_tell(&s->connection, s->generation, &hello,
				sizeof(hello), fds, 2);
}

/* It has ended before it could serve. Returns -EPIPE if it was killed, or has
 * crashed; who was reaped elsewhere, and left no code, counts as that. */
static int
judge_end(const struct server *s)
{
	if (mpr_process_wait(s->process, mproc_now() + GRACE, false) < 0 ||
	    s->process->exit.signal || s->process->exit.code < 0)
		return -EPIPE;
	return mpr_fail(-ENOEXEC, "the fork server has ended with status %d "
			"before it could serve: its preload function?",
			s->process->exit.code);
}

/* Has it run the preload function, and waits for that; @ret_preloads tells whether
 * it has come so far. Returns -EPIPE if it was killed meanwhile. */
static int
greet(struct server *s, const struct mproc_forkserver_opts *o,
      bool *ret_preloads)
{
	struct mpr_server_answer answer = { .preloads = 1 };
	int r = say_hello(s, o);

	*ret_preloads = false;
	while (r == 0 && answer.preloads) {
		r = receive_answer(s, &answer);
		*ret_preloads |= r == 0 && answer.preloads;
	}
	if (r == -EPIPE)
		return judge_end(s);
	if (r < 0)
		return r;
	if (answer.error < 0)
		return mpr_fail(answer.error, "the fork server: %s",
				mproc_strerror(answer.error));
	return answer.code == 0 ?
		       0 : mpr_fail(-ENOEXEC, "the preload function of the fork "
				    "server has returned %d", answer.code);
}

static int
make(struct server **ret_s)
{
	struct server *s = mpr_zalloc(sizeof(*s));
	int r;

	if (!s)
		return mpr_fail(-ENOMEM, "no memory for a fork server");
	s->holders = 1;
	s->generation = mpr_generation();
	s->connection.fd = -1;
	s->pidfd = -1;
	mpr_child_at_fork(mpr_forkserver_forget);
	s->spare.orders.fd = -1;
	s->spare.theirs.fd = -1;
	r = mpr_plans_new(&s->plans);
	if (r < 0) {
		free(s);
		return r;
	}
	enlist(s);
	r = start_image(s);
	if (r < 0) {
		strike_off(s);
		mpr_plans_drop(s->plans);
		free(s);
		return r;
	}
	*ret_s = s;
	return 0;
}

/* Begins one that serves, and holds it. One that is killed on the way is replaced. */
static int
begin(struct server **ret_s, const struct mproc_forkserver_opts *o)
{
	unsigned in_preload = 0;
	bool preloads;
	mproc_arena *a;
	/* Its children are to have it, whenever it is used first. */
	int r = mpr_arena_get(&a);

	if (r < 0)
		return r;
	for (int i = 0; i < SERVERS; i++) {
		r = make(ret_s);
		if (r < 0)
			return r;
		r = greet(*ret_s, o, &preloads);
		if (r == 0)
			return 0;
		drop(*ret_s);
		if (r != -EPIPE)
			return r;
		in_preload += preloads;
	}
	return in_preload == SERVERS ?
		       mpr_fail(-ENOEXEC, "%d fork servers in turn have ended by "
				"a signal in the preload function", SERVERS) :
		       mpr_fail(-EPIPE, "%d fork servers in turn were killed "
				"before they could serve", SERVERS);
}

/* Holds one, which may be dead. */
static int
get(struct server **ret_s)
{
	struct mproc_forkserver_opts o;
	unsigned before;
	int r;

	mpr_process_lock();
	*ret_s = mine();
	if (*ret_s)
		(*ret_s)->holders++;
	o = wanted;
	before = stops;
	mpr_process_unlock();
	if (*ret_s)
		return 0;
	r = begin(ret_s, &o);
	if (r == 0)
		settle(ret_s, &o, before);
	return r;
}

/* Until there is a child. Returns its id; -EPIPE if the server has died and there is
 * none; another error. */
static pid_t
wait_for_id(const struct server *s, struct mpr_record *record,
	    const struct mproc_process_opts *o)
{
	uint32_t ticket, pid;
	uint64_t word;
	bool gone;

	mpr_record_look_out(record, true);
	for (;;) {
		/* Before the id is read: the kernel writes it before the server
		 * can have ended. */
		gone = mpr_child_is_gone(&s->process->child);
		if (is_copy(s))
			return not_ours();
		ticket = mpr_parker_ticket(&record->starter);
		word = atomic_load(&record->setup);
		pid = atomic_load(&record->pid);
		if (pid)
			return (pid_t)pid;
		if (word)
			return mpr_setup_result(word, o);
		if (gone)
			return -EPIPE;
		mpr_parker_wait(&record->starter, ticket,
				mproc_now() + LOOK_EVERY);
	}
}

static pid_t
ask(const struct server *s, mproc_process *p, const struct mpr_call *call,
    const struct mproc_process_opts *o)
{
	int r;

	/* Its lock went with it, by which the child knows us. */
	if (mpr_plans_fd(s->plans) < 0)
		return -EPIPE;
	r = mpr_plan_make(&p->plan, call, p->name, o, p->service,
			  s->plans);
	if (r < 0)
		return r;
	p->record = p->plan.record;
	r = mpr_request_send(&s->connection, s->generation, &p->plan, 0, o);
	return r < 0 ? r : wait_for_id(s, p->record, o);
}

/* Until the spare has said how its order went. Returns 0; -EPIPE if it died before. */
static int
wait_for_spare(const struct server *s, const mproc_process *p)
{
	struct mpr_record *record = p->record;
	uint32_t ticket;
	bool gone;

	mpr_record_look_out(record, false);
	for (;;) {
		gone = mpr_child_is_gone(&p->child);
		if (is_copy(s))
			return not_ours();
		ticket = mpr_parker_ticket(&record->starter);
		if (atomic_load(&record->setup))
			return 0;
		if (gone)
			return -EPIPE;
		mpr_parker_wait(&record->starter, ticket,
				mproc_now() + LOOK_EVERY);
	}
}

/* Its slot, with the plan in it, is @p's from then on. Returns 0; -EAGAIN if there is
 * none, or the server is to be asked; another error, and the spare stays. */
static int
take_spare(struct server *s, mproc_process *p, const struct mpr_call *call,
	   const struct mproc_process_opts *o)
{
	int r = -EAGAIN;

	if (!mpr_spare_take(&s->spare))
		return -EAGAIN;
	/* What its server has begun with may be out of date by now. */
	if (mpr_plans_fd(s->plans) >= 0 &&
	    !mpr_child_is_gone(&s->process->child))
		r = mpr_plan_make_reserved(&s->spare.plan, call, p->name, o,
					   p->service);
	if (r < 0) {
		mpr_spare_leave(&s->spare, MPR_SPARE_ASKED);
		return r;
	}
	mpr_spare_hand_over(&s->spare, &p->plan);
	p->record = p->plan.record;
	return 0;
}

/* Returns 0 if its order is there for it, whether or not it is. An error: it has none. */
static int
order_spare(struct server *s, mproc_process *p, const struct mproc_process_opts *o)
{
	if (mpr_spare_meet(&s->spare, &p->child, 0) == 0 &&
	    mpr_child_is_gone(&p->child))
		return -EPIPE;
	return mpr_request_send(&s->spare.orders, s->generation, &p->plan,
				s->spare.number, o);
}

/* Returns its id; -EAGAIN if there is none, or it has died, and the server is to be
 * asked; another error. All that the start comes by is @p's, which has it closed in a
 * copy, too. */
static pid_t
ask_spare(struct server *s, mproc_process *p, const struct mpr_call *call,
	  const struct mproc_process_opts *o)
{
	int r = take_spare(s, p, call, o);
	pid_t pid;

	if (r < 0)
		return r;
	r = order_spare(s, p, o);
	/* Most times it is there. Otherwise the server may be about to make it, with
	 * or without an order. */
	pid = (pid_t)atomic_load(&p->record->pid);
	if (!pid)
		pid = wait_for_id(s, p->record, o);
	if (r == 0 && pid > 0)
		r = mpr_spare_meet(&s->spare, &p->child, pid);
	if (r == 0 && pid > 0)
		r = wait_for_spare(s, p);
	if (is_copy(s))
		return mpr_process_check(p);
	if (r == 0 && pid > 0) {
		mpr_spare_leave(&s->spare, MPR_SPARE_NONE);
		return pid;
	}
	/* A child that could not be made then may be to be had now; but no spare is
	 * asked for again. */
	mpr_spare_end(&s->spare, &p->plan, &p->child,
		      pid < 0 && pid != -EPIPE ? MPR_SPARE_REFUSED :
						 MPR_SPARE_NONE);
	p->record = NULL;
	return -EAGAIN;
}

static void
ask_for_spare(struct server *s)
{
	struct mpr_server_request request = { .ask = MPR_SERVER_SPARE,
					      .parent = mpr_task_pid() };
	int r = mpr_plan_reserve(&s->spare.plan, s->plans);

	if (r == 0) {
		request.slot = mpr_plans_number(s->plans, &s->spare.plan.shmem);
		request.spare = ++s->spare.number;
		r = mpr_request_tell(&s->connection, s->generation, &request,
				     sizeof(request), NULL, 0);
		if (r < 0)
			mpr_plan_free(&s->spare.plan);
	}
	mpr_spare_leave(&s->spare, r < 0 ? MPR_SPARE_NONE : MPR_SPARE_ASKED);
}

void
mpr_forkserver_started(void)
{
	int before = mpr_thread_forbid_cancel();
	struct server *s = hold();

	if (s && mpr_spare_is_wanted(&s->spare))
		ask_for_spare(s);
	if (s)
		drop(s);
	mpr_thread_allow_cancel(before);
}

pid_t
mpr_forkserver_fork(mproc_process *p, const struct mpr_call *call,
		    const struct mproc_process_opts *opts)
{
	struct mproc_process_opts o = *opts;
	struct server *s;
	pid_t pid = -EPIPE;
	int r;

	r = mpr_request_check(&o);
	if (r < 0)
		return r;
	if (!o.env)
		o.env = mpr_image_own_environment();
	for (int i = 0; i < SERVERS && pid == -EPIPE; i++) {
		/* A signal handler may have forked: see is_copy(). */
		r = mpr_process_check(p);
		if (r == 0)
			r = get(&s);
		if (r < 0)
			return r;
		pid = ask_spare(s, p, call, &o);
		if (pid == -EAGAIN)
			pid = ask(s, p, call, &o);
		if (pid < 0) {
			mpr_plan_free(&p->plan);
			p->record = NULL;
		}
		if (pid == -EPIPE)
			give_up(s);
		drop(s);
	}
	return pid == -EPIPE ?
		       mpr_fail(-EPIPE, "%d fork servers in turn have ended",
				SERVERS) : pid;
}

MPR_CHILD_PATH void
mpr_forkserver_forget(void)
{
	struct server *s = atomic_load(&all);

	mpr_plans_forget();
	if (mpr_likely(!s))
		return;
	for (; s; s = s->next) {
		mpr_file_close(&s->connection);
		mpr_child_close_copy(atomic_load(&s->pidfd));
		mpr_spare_forget(&s->spare);
	}
	atomic_store(&all, NULL);
	atomic_store(&current, NULL);
}

static bool
is_held_by_others(struct server *s)
{
	bool held;

	mpr_process_lock();
	held = s->holders > 1;
	mpr_process_unlock();
	return held;
}

/* Those who are in the middle of a start by it may come to its end; else it is killed,
 * and they begin another one. */
static void
end_starts(struct server *s)
{
	int64_t deadline = mproc_now() + PATIENCE;
	unsigned tries = 0;

	while (is_held_by_others(s) && mpr_child_pause(deadline, tries++) == 0)
		;
	if (!is_held_by_others(s))
		return;
	(void)mproc_process_kill(s->process);
	(void)mpr_process_wait(s->process, mproc_now() + GRACE, false);
}

static void
stop(void)
{
	struct server *s;

	mpr_process_lock();
	s = take_current();
	wanted = (struct mproc_forkserver_opts){ 0 };
	stops++;
	mpr_process_unlock();
	if (!s)
		return;
	end_starts(s);
	drop(s);
}

MPR_CHILD_PATH void
mpr_forkserver_end(void)
{
	if (atomic_load(&current))
		stop();
}

/* A thread that is cancelled in the middle would leave a server that nobody knows. */
int
mproc_forkserver_stop(void)
{
	int before = mpr_thread_forbid_cancel();

	stop();
	mpr_thread_allow_cancel(before);
	return 0;
}

static int
start(const struct mproc_forkserver_opts *opts)
{
	uint64_t generation = mpr_generation();
	struct mproc_forkserver_opts o;
	int r = mpr_opts_read(&o, sizeof(o), opts);
	bool is_first = false;
	struct server *s;

	if (r < 0)
		return r;
	if (o.preload_arg && !mpr_plan_can_pass(o.preload_arg))
		return mpr_fail(-EFAULT, "the preload function's argument %p is "
				"no memory of the default arena", o.preload_arg);
	s = hold_living();
	if (!s) {
		r = begin(&s, &o);
		if (r < 0)
			return generation == mpr_generation() ? r : not_ours();
		mpr_process_lock();
		is_first = install(s, &o);
		mpr_process_unlock();
	}
	drop(s);
	return is_first ? 0 : mpr_fail(-EBUSY, "there is a fork server");
}

int
mproc_forkserver_start(const struct mproc_forkserver_opts *opts)
{
	int before = mpr_thread_forbid_cancel(), r = start(opts);

	mpr_thread_allow_cancel(before);
	return r;
}
