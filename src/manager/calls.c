/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "manager/calls.h"
#include "manager/codec.h"
#include "manager/typed.h"
#include "manager/worker.h"
#include "os/clock.h"
#include "os/epoll.h"
#include "os/fds.h"
#include "os/generation.h"
#include "os/socket.h"
#include "process/describe.h"
#include "process/handle.h"

#define READ ((size_t)16 << 10)	    /* bytes at once */
#define SOON INT64_C(2000000)	    /* ns: looks again whether a worker has ended */
#define AT_ONCE INT64_C(10000000)   /* ns: most have ended by then */
#define GRACE INT64_C(1000000000)   /* ns, for the end of workers that were killed */

struct mpr_call_waiting {
	struct mpr_call_waiting *next;
	struct mpr_served *client; /* NULL: gone */
	int64_t number;		   /* the client's */
	int64_t id;		   /* ours */
	int64_t deadline;
	const struct mpr_type *type;
	unsigned method;
	struct mpr_typed *object; /* to compare, and for the worker */
	uint32_t generation;	  /* the object's */
	char name[MPR_OBJECT_NAME];
	struct mpr_buffer values;
};

struct mpr_call_worker {
	struct mpr_call_worker *next;
	const struct mpr_type *type;
	mproc_process *process;
	int fd;		/* -1: it is being ended */
	int process_fd; /* or -1 */
	short watched;
	bool timed_out;
	struct mpr_call_waiting *running;
	struct mpr_buffer in, out;
};

void
mpr_calls_init(struct mpr_calls *calls)
{
	calls->last = &calls->first;
	calls->due = MPR_NEVER;
	calls->generation = mpr_generation();
}

static void
expect(struct mpr_calls *calls, int64_t due)
{
	if (due < calls->due)
		calls->due = due;
}

/* Answers it, and it is no more. */
static void
finish(struct mpr_calls *calls, struct mpr_call_waiting *w, int r,
       const struct mproc_any *value, const char *text)
{
	if (w->client) {
		w->client->n_calls--;
		calls->answer(calls, w->client, w->number, r, value, text);
	}
	calls->n--;
	mpr_buffer_end(&w->values);
	free(w);
}

static struct mpr_call_waiting *
unlink_waiting(struct mpr_calls *calls, struct mpr_call_waiting **link)
{
	struct mpr_call_waiting *w = *link;

	*link = w->next;
	if (!*link)
		calls->last = link;
	return w;
}

/*
 * Workers.
 */

static uint64_t
id_of(const struct mpr_call_worker *worker)
{
	return (uint64_t)(uintptr_t)worker | 1;
}

static void
watch(struct mpr_calls *calls, struct mpr_call_worker *worker)
{
	short events = mpr_buffer_len(&worker->out) ?
			       MPR_SOCKET_IN | MPR_SOCKET_OUT : MPR_SOCKET_IN;

	if (worker->watched == events)
		return;
	if (worker->watched)
		mpr_epoll_remove(calls->set, worker->fd);
	worker->watched = mpr_epoll_add(calls->set, worker->fd, events,
					id_of(worker)) < 0 ? 0 : events;
}

/* It is not to go on, if it can: who runs in it is answered when it has ended. */
static void
end_worker(struct mpr_calls *calls, struct mpr_call_worker *worker)
{
	if (worker->fd < 0)
		return;
	expect(calls, 0);
	(void)mproc_process_kill(worker->process);
	mpr_epoll_remove(calls->set, worker->fd);
	if (worker->process_fd >= 0)
		mpr_epoll_remove(calls->set, worker->process_fd);
	mpr_fds_close(worker->fd);
	worker->fd = worker->process_fd = -1;
	(void)mpr_process_wait(worker->process, mproc_now() + AT_ONCE, false);
}

/* It has ended. */
static void
bury(struct mpr_calls *calls, struct mpr_call_worker **link)
{
	struct mpr_call_worker *worker = *link;
	struct mpr_call_waiting *w = worker->running;
	const char *type = worker->type->is.name;
	char text[MPR_DESCRIBE_MAX], all[2 * MPR_DESCRIBE_MAX];
	struct mproc_exit e = { .code = -1 };

	*link = worker->next;
	(void)mproc_process_exit_info(worker->process, &e);
	mpr_describe(&e, text);
	if (!worker->timed_out)
		mpr_log(MPROC_LOG_WARNING, "a worker of type %s has ended: %s", type,
			text);
	if (w && worker->timed_out) {
		finish(calls, w, -ETIMEDOUT, NULL, "the method has taken too long, "
		       "and was killed");
	} else if (w) {
		snprintf(all, sizeof(all), "the worker of %s.%s has died: %s", type,
			 worker->type->methods[w->method].name, text);
		finish(calls, w, -EOWNERDEAD, NULL, all);
	}
	mproc_process_close(worker->process);
	mpr_buffer_end(&worker->in);
	mpr_buffer_end(&worker->out);
	free(worker);
}

static int
start_process(struct mpr_calls *calls, struct mpr_call_worker *worker, int fd)
{
	/* It begins before this returns, and the child has a copy. */
	struct mpr_worker_order order = {
		.type = worker->type,
		.ears = calls->ears,
		.max_message = calls->max_message,
		.fd = fd,
	};
	const struct mproc_process_opts po = {
		.struct_size = sizeof(po),
		.name = worker->type->is.name,
		.method = MPROC_FORK,
		.keep_fds = &order.fd,
		.n_keep_fds = 1,
		.stdin_ = { .kind = MPROC_STDIO_NULL },
		.n_conns = -1,
		.no_report = true,
	};
	struct mpr_call entry = mpr_call_entry(mpr_worker_main, &order, 0);
	int r = mpr_process_hold_service(&worker->process, &entry, &po);

	if (r == 0)
		mpr_process_let_go(worker->process);
	return r;
}

static int
start_worker(struct mpr_calls *calls, const struct mpr_type *type,
	     struct mpr_call_worker **ret)
{
	struct mpr_call_worker *worker = mpr_zalloc(sizeof(*worker));
	int fds[2], r;

	if (!worker)
		return mpr_fail(-ENOMEM, "no memory for a worker");
	worker->type = type;
	r = mpr_socket_pair(fds);
	if (r < 0) {
		free(worker);
		return mpr_fail(r, "no descriptors for a worker");
	}
	worker->fd = fds[0];
	worker->out.budget = worker->in.budget = calls->budget;
	r = start_process(calls, worker, fds[1]);
	mpr_fds_close(fds[1]);
	if (r < 0) {
		mpr_fds_close(fds[0]);
		free(worker);
		return r;
	}
	/* Without one, the end of its socket tells. */
	worker->process_fd = mproc_process_fd(worker->process);
	if (worker->process_fd >= 0 &&
	    mpr_epoll_add(calls->set, worker->process_fd, MPR_SOCKET_IN,
			  id_of(worker)) < 0)
		worker->process_fd = -1;
	worker->next = calls->workers;
	calls->workers = worker;
	*ret = worker;
	return 0;
}

/* Sends what there is, and expects what comes. */
static void
push(struct mpr_calls *calls, struct mpr_call_worker *worker)
{
	struct mpr_buffer *out = &worker->out;
	ssize_t n = 1;

	while (mpr_buffer_len(out) && n > 0) {
		n = mpr_socket_send_bytes(worker->fd, out->bytes + out->from,
					  mpr_buffer_len(out), false);
		if (n > 0)
			mpr_buffer_drop(out, (size_t)n, false);
	}
	watch(calls, worker);
	if (!worker->watched || (n < 0 && n != -EAGAIN))
		end_worker(calls, worker);
}

/*
 * Which call runs where.
 */

static int64_t
deadline_of_run(const struct mpr_type *type, int64_t deadline)
{
	int64_t most = mpr_deadline(type->is.timeout);

	return most < deadline ? most : deadline;
}

static bool
is_busy(const struct mpr_calls *calls, const struct mpr_typed *object)
{
	const struct mpr_call_worker *worker = calls->workers;

	while (worker && !(worker->running && worker->running->object == object))
		worker = worker->next;
	return worker;
}

/* One that has nothing to do, or a new one. Returns 0; -EAGAIN if all are busy; or
 * why there is none. */
static int
find_worker(struct mpr_calls *calls, const struct mpr_type *type,
	    struct mpr_call_worker **ret)
{
	int n = 0, r;

	for (struct mpr_call_worker *w = calls->workers; w; w = w->next) {
		if (w->type != type)
			continue;
		if (w->fd >= 0 && !w->running) {
			*ret = w;
			return 0;
		}
		n++;
	}
	if (n >= type->is.workers)
		return -EAGAIN;
	r = start_worker(calls, type, ret);
	if (r >= 0 || !n)
		return r;
	/* Some are there, and come to it. */
	calls->starved = true;
	return -EAGAIN;
}

/* Whether what had the name still has it. */
static int
check_object(struct mpr_calls *calls, const struct mpr_call_waiting *w)
{
	struct mpr_typed *o;
	int r = mpr_typed_find(calls->arena, w->name, &o);

	if (r < 0)
		return r;
	/* Another one may lie where it was. */
	return o == w->object && mpr_typed_generation(o) == w->generation ?
		       0 : mpr_fail(-ESTALE, "object %s was destroyed", w->name);
}

static int
hand_over(struct mpr_calls *calls, struct mpr_call_worker *worker,
	  struct mpr_call_waiting *w)
{
	struct mproc_any all[] = {
		mproc_int(w->id),
		mproc_int(w->method),
		mproc_int((int64_t)(uintptr_t)w->object),
		mproc_bytes(w->values.bytes + w->values.from,
			    mpr_buffer_len(&w->values)),
	};
	int r = mpr_codec_write(&worker->out, all, 4, calls->max_message + READ);

	if (r < 0)
		return mpr_fail(r, "no memory for a call");
	mpr_buffer_end(&w->values);
	w->deadline = deadline_of_run(w->type, w->deadline);
	expect(calls, w->deadline);
	w->next = NULL;
	worker->running = w;
	worker->timed_out = false;
	return 0;
}

/* Who is to run it, if it can be. Returns 0; -EAGAIN if it has to wait; or why it will
 * not. */
static int
find_place(struct mpr_calls *calls, struct mpr_call_waiting *w, int64_t now,
	   struct mpr_call_worker **ret)
{
	int r;

	/* A worker would be killed for it at once. */
	if (w->deadline <= now)
		return mpr_fail(-ETIMEDOUT, "the time of a call was over before it "
				"began");
	if (!w->type->is.concurrent && is_busy(calls, w->object))
		return -EAGAIN;
	r = find_worker(calls, w->type, ret);
	return r == 0 ? check_object(calls, w) : r;
}

/* Runs the one at @link, if that can be. Returns whether it waits no more. */
static bool
try_run(struct mpr_calls *calls, struct mpr_call_waiting **link, int64_t now)
{
	struct mpr_call_worker *worker = NULL;
	struct mpr_call_waiting *w = *link;
	int r = find_place(calls, w, now, &worker);

	if (r == -EAGAIN)
		return false;
	(void)unlink_waiting(calls, link);
	if (r == 0)
		r = hand_over(calls, worker, w);
	if (r == 0)
		push(calls, worker);
	else
		finish(calls, w, r, NULL, mproc_error_detail());
	return true;
}

/* Whether another one of a type can run: one of its workers has nothing to do, or is not
 * there yet. */
static bool
has_room(const struct mpr_calls *calls, const struct mpr_type *type)
{
	int n = 0;

	for (const struct mpr_call_worker *w = calls->workers; w; w = w->next) {
		if (w->type != type)
			continue;
		if (w->fd >= 0 && !w->running)
			return true;
		n++;
	}
	return n < type->is.workers;
}

/* As many as can, after something has changed. Those of an object run in the order in
 * which they came, as the first of them that has to wait makes all wait. Of a type that
 * has no room no more are looked at. */
static void
run_some(struct mpr_calls *calls)
{
	struct mpr_call_waiting **link = &calls->first;
	const struct mpr_type *full = NULL;
	int64_t now = *link ? mproc_now() : 0;

	calls->starved = false;
	while (*link) {
		const struct mpr_type *type = (*link)->type;

		if (type != full && try_run(calls, link, now))
			continue;
		if (type != full && !has_room(calls, type))
			full = type;
		link = &(*link)->next;
	}
}

/*
 * What a worker says.
 */

/* Returns 0, or -EBADMSG if that is no answer of its. */
static int
take_answer(struct mpr_calls *calls, struct mpr_call_worker *worker,
	    const struct mpr_frame *f)
{
	struct mpr_call_waiting *w = worker->running;
	const struct mproc_any *v;
	struct mpr_message m;
	int64_t result;

	if (mpr_codec_read(&m, f->message, f->len) < 0 || m.n != 3 || !w)
		return -EBADMSG;
	v = m.values;
	result = v[1].i64;
	if (v[0].kind != MPROC_INT || v[0].i64 != w->id ||
	    v[1].kind != MPROC_INT || result < INT16_MIN || result > INT32_MAX ||
	    (result < 0 && v[2].kind != MPROC_STR))
		return -EBADMSG;
	worker->running = NULL;
	if (result < 0) {
		char text[512];
		size_t n = v[2].len < sizeof(text) ? v[2].len : sizeof(text) - 1;

		if (n)
			memcpy(text, v[2].ptr, n);
		text[n] = '\0';
		finish(calls, w, (int)result, NULL, text);
	} else {
		finish(calls, w, (int)result, &v[2], NULL);
	}
	return 0;
}

/* Returns 0 if something came, -EAGAIN if not, or why nothing will. */
static int
read_some(struct mpr_calls *calls, struct mpr_call_worker *worker)
{
	struct mpr_buffer *in = &worker->in;
	struct mpr_frame f;
	ssize_t n;
	int r = mpr_buffer_room(in, READ);

	if (r < 0)
		return r;
	n = mpr_socket_receive(worker->fd, in->bytes + in->to, in->size - in->to,
			       false);
	if (n <= 0)
		return n == 0 ? -EPIPE : (int)n;
	in->to += (size_t)n;
	while (r == 0) {
		r = mpr_codec_next(&f, in->bytes + in->from, mpr_buffer_len(in),
				   calls->max_message);
		if (r <= 0)
			break;
		r = take_answer(calls, worker, &f);
		mpr_buffer_drop(in, f.whole, false);
	}
	return r;
}

void
mpr_calls_hear(struct mpr_calls *calls, uint64_t id, short revents)
{
	struct mpr_call_worker *worker =
		(struct mpr_call_worker *)(uintptr_t)(id & ~UINT64_C(1));
	int r;

	/* It was ended since the set was asked. */
	if (worker->fd < 0)
		return;
	r = read_some(calls, worker);
	if (revents & MPR_SOCKET_OUT && r == -EAGAIN)
		push(calls, worker);
	else if (r == -EAGAIN && mpr_process_has_ended(worker->process))
		r = -EPIPE;
	if (r < 0 && r != -EAGAIN)
		end_worker(calls, worker);
	/* Nobody else may have a reason to look again. */
	run_some(calls);
}

/*
 * Time.
 */

/* When something is due, after what was has been done. */
static void
look_ahead(struct mpr_calls *calls)
{
	calls->due = MPR_NEVER;
	for (const struct mpr_call_waiting *w = calls->first; w; w = w->next)
		expect(calls, w->deadline);
	for (const struct mpr_call_worker *w = calls->workers; w; w = w->next)
		if (w->fd < 0)
			expect(calls, mproc_now() + SOON);
		else if (w->running)
			expect(calls, w->running->deadline);
}

void
mpr_calls_tick(struct mpr_calls *calls)
{
	struct mpr_call_waiting **link = &calls->first;
	struct mpr_call_worker **at = &calls->workers;
	bool buried = false;
	int64_t now;

	if (calls->due == MPR_NEVER)
		return;
	now = mproc_now();
	if (now < calls->due)
		return;
	while (*link) {
		if ((*link)->deadline <= now)
			finish(calls, unlink_waiting(calls, link), -ETIMEDOUT, NULL,
			       "no worker has come to the call in time");
		else
			link = &(*link)->next;
	}
	while (*at) {
		struct mpr_call_worker *worker = *at;

		if (worker->fd >= 0 && worker->running &&
		    worker->running->deadline <= now) {
			worker->timed_out = true;
			end_worker(calls, worker);
		}
		if (worker->fd < 0 && mpr_process_has_ended(worker->process)) {
			bury(calls, at);
			buried = true;
		} else {
			at = &worker->next;
		}
	}
	if (buried)
		run_some(calls);
	look_ahead(calls);
}

int64_t
mpr_calls_due(const struct mpr_calls *calls)
{
	return calls->due;
}

/*
 * Clients.
 */

static int
take_name(const struct mproc_any *any, char ret[MPR_OBJECT_NAME])
{
	if (any->kind != MPROC_STR || !any->len ||
	    memchr(any->ptr, '\0', any->len))
		return mpr_fail(-EINVAL, "a name is wanted");
	if (any->len >= MPR_OBJECT_NAME)
		return mpr_fail(-ENAMETOOLONG, "a name of %zu bytes, more than %d",
				any->len, MPR_OBJECT_NAME - 1);
	memcpy(ret, any->ptr, any->len);
	ret[any->len] = '\0';
	return 0;
}

/* type, name */
static int
make_object(struct mpr_calls *calls, const struct mpr_remote_call *call)
{
	char type_name[MPR_OBJECT_NAME], name[MPR_OBJECT_NAME];
	const struct mpr_type *type;
	int r;

	if (call->n_args != 2)
		return mpr_fail(-EINVAL, "a type and a name are wanted");
	r = take_name(&call->args[0], type_name);
	if (r == 0)
		r = take_name(&call->args[1], name);
	if (r < 0)
		return r;
	type = mpr_types_find(&calls->types, type_name, strlen(type_name));
	return type ? mpr_typed_make(calls->arena, type, name) : -ENOENT;
}

/* name */
static int
destroy_object(struct mpr_calls *calls, const struct mpr_remote_call *call)
{
	char name[MPR_OBJECT_NAME];
	struct mpr_typed *o;
	int r;

	if (call->n_args != 1)
		return mpr_fail(-EINVAL, "a name is wanted");
	r = take_name(&call->args[0], name);
	if (r == 0)
		r = mpr_typed_find(calls->arena, name, &o);
	if (r < 0)
		return r;
	if (is_busy(calls, o))
		return mpr_fail(-EBUSY, "a method of %s runs", name);
	return mpr_typed_destroy(calls->arena, name);
}

/* Of a stranger's: what there is, and what it takes. */
static int
check_call(struct mpr_calls *calls, const struct mpr_remote_call *call,
	   struct mpr_call_waiting *w)
{
	const struct mproc_any *a = call->args, *row = &a[3];
	struct mproc_any values[MPROC_CALL_ARGS];
	size_t n;
	int r;

	if (call->n_args != 4 || a[1].kind != MPROC_STR || !a[1].len ||
	    a[2].kind != MPROC_INT || row->kind != MPROC_BYTES)
		return mpr_fail(-EINVAL, "a call that is none");
	r = take_name(&a[0], w->name);
	if (r == 0)
		r = mpr_typed_find(calls->arena, w->name, &w->object);
	if (r < 0)
		return r;
	w->generation = mpr_typed_generation(w->object);
	w->type = mpr_types_find(&calls->types, w->object->type,
				 strnlen(w->object->type, MPR_OBJECT_NAME));
	if (!w->type)
		return -ENOENT;
	if (w->object->size != w->type->is.state_size)
		return mpr_fail(-EPROTOTYPE, "the state of %s is of another size than "
				"type %s says", w->name, w->type->is.name);
	r = mpr_type_method(w->type, &a[1]);
	if (r < 0)
		return r;
	w->method = (unsigned)r;
	w->deadline = a[2].i64 < 0 ?
			      MPR_NEVER :
			      mpr_deadline((mproc_timeout){ .ns = a[2].i64 });
	if (mpr_codec_count(row->ptr, row->len, &n) < 0 || n > MPROC_CALL_ARGS ||
	    mpr_codec_unpack(values, n, row->ptr, row->len) < 0)
		return mpr_fail(-EINVAL, "a call takes up to %d values",
				MPROC_CALL_ARGS);
	return mpr_type_check_args(w->type, w->method, values, n);
}

/* name, method, timeout, row of values */
static int
begin_call(struct mpr_calls *calls, struct mpr_served *c, int64_t number,
	   const struct mpr_remote_call *call)
{
	struct mpr_call_waiting found = { .client = c, .number = number }, *w, **link;
	int r = check_call(calls, call, &found);

	if (r < 0)
		return r;
	if (c->n_calls == MPR_CALLS_OF_CLIENT || calls->n == MPR_CALLS_MOST)
		return mpr_fail(-EBUSY, "as many calls wait as may: %d of a client, "
				"%d of all", MPR_CALLS_OF_CLIENT, MPR_CALLS_MOST);
	w = mpr_malloc(sizeof(*w));
	if (!w)
		return mpr_fail(-ENOMEM, "no memory for a call");
	*w = found;
	w->values.budget = &c->budget;
	if (mpr_buffer_add(&w->values, call->args[3].ptr, call->args[3].len) < 0) {
		free(w);
		return mpr_fail(-ENOMEM, "no memory for a call");
	}
	w->id = calls->number++;
	link = calls->last;
	*link = w;
	calls->last = &w->next;
	calls->n++;
	c->n_calls++;
	expect(calls, w->deadline);
	/* For the others nothing has changed. */
	if (calls->starved)
		run_some(calls);
	else
		(void)try_run(calls, link, mproc_now());
	return MPR_CALLS_LATER;
}

int
mpr_calls_begin(struct mpr_calls *calls, struct mpr_served *c, int64_t number,
		const struct mpr_remote_call *call)
{
	switch (call->op) {
	case MPR_OP_OBJECT:
		return make_object(calls, call);
	case MPR_OP_OBJECT_DESTROY:
		return destroy_object(calls, call);
	default:
		return begin_call(calls, c, number, call);
	}
}

void
mpr_calls_forget(struct mpr_calls *calls, const struct mpr_served *c)
{
	struct mpr_call_waiting **link = &calls->first, *w;

	for (struct mpr_call_worker *worker = calls->workers; worker;
	     worker = worker->next)
		if (worker->running && worker->running->client == c) {
			worker->running->client = NULL;
			/* What it has goes on as a part of that of all. */
			worker->running->values.budget = calls->budget;
		}
	while (*link) {
		if ((*link)->client != c) {
			link = &(*link)->next;
			continue;
		}
		w = unlink_waiting(calls, link);
		w->client = NULL;
		finish(calls, w, 0, NULL, NULL);
	}
}

static void
drop_worker(struct mpr_calls *calls, struct mpr_call_worker *worker, bool is_ours)
{
	if (is_ours && (worker->running || mpr_process_wait(worker->process,
						mproc_now() + GRACE, false) < 0)) {
		(void)mproc_process_kill(worker->process);
		(void)mpr_process_wait(worker->process, mproc_now() + GRACE, false);
	}
	if (worker->running) {
		worker->running->client = NULL;
		finish(calls, worker->running, 0, NULL, NULL);
	}
	mproc_process_close(worker->process);
	mpr_buffer_end(&worker->in);
	mpr_buffer_end(&worker->out);
	free(worker);
}

void
mpr_calls_end(struct mpr_calls *calls)
{
	bool is_ours = calls->generation == mpr_generation();
	struct mpr_call_waiting *waiting;
	struct mpr_call_worker *next;

	while (calls->first) {
		waiting = unlink_waiting(calls, &calls->first);
		waiting->client = NULL;
		finish(calls, waiting, 0, NULL, NULL);
	}
	/* Those that have nothing to do end with their sockets, all at once. */
	for (struct mpr_call_worker *w = calls->workers; w; w = w->next)
		if (w->fd >= 0)
			mpr_fds_close(w->fd);
	for (struct mpr_call_worker *worker = calls->workers; worker; worker = next) {
		next = worker->next;
		drop_worker(calls, worker, is_ours);
	}
	calls->workers = NULL;
	mpr_types_end(&calls->types);
}
