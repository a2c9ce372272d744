/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mproc/pipe.h>

#include "arena/arena.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "ipc/limit.h"
#include "ipc/socket_conn.h"
#include "manager/calls.h"
#include "manager/desk.h"
#include "manager/objects.h"
#include "manager/patience.h"
#include "manager/served.h"
#include "manager/serve_array.h"
#include "manager/serve_find.h"
#include "manager/serve_list.h"
#include "manager/serve_queue.h"
#include "manager/serve_table.h"
#include "manager/server.h"
#include "os/epoll.h"
#include "os/fds.h"
#include "os/interrupt.h"
#include "os/socket.h"
#include "os/thread.h"
#include "sync/remote.h"

/* Who is ready: a client by its address, which is none of these, or a worker by an odd
 * number (calls.h). */
enum {
	ID_LISTENER = 2,
	ID_END = 4,
	ID_DESK = 6,
	ID_CONTROL = 8,
	ID_QUEUES = 10,
};

#define DETAIL 512 /* bytes of an error's text */
#define ACCEPTED 16	      /* at most, before clients have a turn */
#define ROUNDS 16	      /* of a call that does not wait */
#define CONTROL ((size_t)4 << 10)      /* bytes at once */
#define CONTROL_MOST ((size_t)2 << 20) /* bytes of a type */
#define NAP 20 /* ms; see mpr_interrupt_poll() */
#define LEAST_SHARE ((size_t)256 << 10) /* of memory, besides long messages */
#define REST INT64_C(100000000) /* ns without accepting, after it has failed */

struct mpr_manager_server {
	struct mpr_served_by by; /* first: who answers gets it */
	mproc_arena *arena;
	mproc_listener *listener;
	int set; /* of descriptors */
	int control, other;
	bool ended;
	bool accepts;	    /* the listener is in the set */
	int64_t accepts_at; /* if not: from when on */
	unsigned n_clients, max_clients;
	struct mpr_served *clients, *left;
	struct mpr_budget budget;
	size_t share; /* of one client */
	struct mpr_objects objects;
	struct mpr_desk *desk;
	struct mpr_queue_desk *queues;
	int64_t desk_at; /* when they are to be looked after */
	struct mpr_calls calls;
	struct mpr_buffer control_in;
	struct mpr_patience patience;
};

static void
unlink_client(struct mpr_manager_server *s, struct mpr_served *c)
{
	if (c->next)
		c->next->previous = c->previous;
	if (c->previous)
		c->previous->next = c->next;
	else
		s->clients = c->next;
	s->n_clients--;
}

/* It is gone on with when others have had a turn. */
static void
leave_for_later(struct mpr_manager_server *s, struct mpr_served *c)
{
	if (c->is_left)
		return;
	c->is_left = true;
	c->next_left = s->left;
	s->left = c;
}

static void
unlink_left(struct mpr_manager_server *s, const struct mpr_served *c)
{
	struct mpr_served **link = &s->left;

	while (*link && *link != c)
		link = &(*link)->next_left;
	if (*link)
		*link = c->next_left;
}

/* One that has waited has an answer now. */
static void
tell(struct mpr_served_by *by, struct mpr_served *c)
{
	leave_for_later((struct mpr_manager_server *)by, c);
}

static void
remove_client(struct mpr_manager_server *s, struct mpr_served *c)
{
	mpr_desk_leave(s->desk, c);
	mpr_queue_desk_leave(s->queues, c, NULL);
	if (c->is_left)
		unlink_left(s, c);
	unlink_client(s, c);
	mpr_calls_forget(&s->calls, c);
	mpr_epoll_remove(s->set, c->fd);
	mpr_fds_close(c->fd);
	mpr_buffer_end(&c->in);
	mpr_buffer_end(&c->out);
	free(c);
}

static void
watch(struct mpr_manager_server *s, struct mpr_served *c, short events)
{
	if (c->watched == events)
		return;
	mpr_epoll_remove(s->set, c->fd);
	c->watched = mpr_epoll_add(s->set, c->fd, events,
				   (uint64_t)(uintptr_t)c) < 0 ? 0 : events;
}

static void
go_on(struct mpr_manager_server *s, struct mpr_served *c, bool reads)
{
	switch (mpr_served_go_on(&s->by, c, reads)) {
	case MPR_SERVED_WAITS_IN:
		watch(s, c, MPR_SOCKET_IN);
		break;
	case MPR_SERVED_WAITS_OUT:
		watch(s, c, MPR_SOCKET_OUT);
		break;
	case MPR_SERVED_IS_LEFT:
		leave_for_later(s, c);
		break;
	case MPR_SERVED_GONE:
		remove_client(s, c);
		return;
	}
	if (c->last_handed || c->is_passed_over)
		mpr_queue_desk_sent(s->queues, c);
	/* Who cannot be waited for would be forgotten. */
	if (!c->watched)
		remove_client(s, c);
}

/* Those whose requests are here, and had to give way to others. */
static void
go_on_with_left(struct mpr_manager_server *s)
{
	struct mpr_served *c = s->left, *next;

	s->left = NULL;
	for (; c; c = next) {
		next = c->next_left;
		c->is_left = false;
		go_on(s, c, false);
	}
}

static int
add_client(struct mpr_manager_server *s, int fd)
{
	struct mpr_served *c = mpr_zalloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->fd = fd;
	c->budget = (struct mpr_budget){ s->share, &s->budget };
	c->in.budget = c->out.budget = &c->budget;
	c->watched = MPR_SOCKET_IN;
	if (mpr_epoll_add(s->set, fd, MPR_SOCKET_IN, (uint64_t)(uintptr_t)c) < 0) {
		free(c);
		return -ENOMEM;
	}
	c->next = s->clients;
	if (c->next)
		c->next->previous = c;
	s->clients = c;
	s->n_clients++;
	return 0;
}

/* There are as many as there may be: it is told so, if that can be done at once. */
static void
send_away(struct mpr_manager_server *s, int fd)
{
	struct mpr_served c = { .fd = fd, .leaves = true,
				.in.budget = &s->budget,
				.out.budget = &s->budget };

	mpr_log(MPROC_LOG_WARNING, "manager %s: a client was sent away: there are %u",
		mpr_manager_server_address(s), s->n_clients);
	if (mpr_served_answer(&s->by, &c, 0, -EBUSY, NULL, 0,
			      "the manager has as many clients as it may have") == 0)
		(void)mpr_served_go_on(&s->by, &c, false);
	mpr_buffer_end(&c.in);
	mpr_buffer_end(&c.out);
	mpr_fds_close(fd);
}

/* What keeps it from accepting stays for a while: of descriptors, for one. */
static void
rest(struct mpr_manager_server *s, int r)
{
	mpr_log(MPROC_LOG_WARNING, "manager %s: accepts nobody for a moment: %s",
		mpr_manager_server_address(s), mproc_strerror(r));
	mpr_epoll_remove(s->set, mproc_listener_fd(s->listener));
	s->accepts = false;
	s->accepts_at = mproc_now() + REST;
}

static void
accept_some(struct mpr_manager_server *s)
{
	mproc_conn *conn;
	int fd, r = 0;

	for (int i = 0; i < ACCEPTED && r == 0; i++) {
		r = mproc_listener_accept(s->listener, &conn, MPROC_NOWAIT);
		if (r < 0)
			break;
		fd = mpr_socket_conn_release((struct mpr_socket_conn *)conn);
		mpr_socket_expect_life(fd);
		if (s->n_clients == s->max_clients) {
			send_away(s, fd);
			continue;
		}
		r = add_client(s, fd);
		if (r < 0)
			mpr_fds_close(fd);
	}
	if (r < 0 && r != -EAGAIN)
		rest(s, r);
}

static int
begin_accepting(struct mpr_manager_server *s)
{
	int r = mpr_epoll_add(s->set, mproc_listener_fd(s->listener),
			      MPR_SOCKET_IN, ID_LISTENER);

	s->accepts = r == 0;
	s->accepts_at = r == 0 ? MPR_NEVER : mproc_now() + REST;
	return r;
}

static int
greet(struct mpr_manager_server *s, struct mpr_served *c, const struct mpr_message *m)
{
	struct mproc_any said[2] = { mproc_int(MPR_MANAGER_VERSION),
				     mproc_int((int64_t)s->by.max_message) };
	const struct mproc_any *v = m->values;
	const char magic[] = MPR_MANAGER_MAGIC;

	if (m->n != 5 || v[1].kind != MPROC_INT || v[1].i64 != MPR_OP_HELLO ||
	    v[2].kind != MPROC_INT || v[3].kind != MPROC_STR ||
	    v[3].len != sizeof(magic) - 1 ||
	    memcmp(v[3].ptr, magic, sizeof(magic) - 1) != 0 ||
	    v[4].kind != MPROC_INT)
		return -EBADMSG;
	c->greeted = true;
	if (v[4].i64 == MPR_MANAGER_VERSION)
		return mpr_served_answer(&s->by, c, v[0].i64, 0, said, 2, NULL);
	c->leaves = true;
	return mpr_served_answer(&s->by, c, v[0].i64, -EPROTO, NULL, 0,
				 "the manager speaks version 1 only");
}

/* The object is the client's to end. */
static int
destroy(struct mpr_manager_server *s, const struct mpr_object *o)
{
	int r = mpr_object_destroy(o, s->arena);

	if (r == 0 && o->kind == MPR_QUEUE_CELL)
		mpr_queue_desk_destroyed(s->queues, o->object);
	else if (r == 0 && mpr_desk_is_for(o->kind))
		mpr_desk_destroyed(s->desk, o);
	return r;
}

/* MPR_OP_WITHDRAW, MPR_OP_LEAVE */
static int
serve_client(struct mpr_manager_server *s, struct mpr_served *c,
	     struct mpr_remote_call *call)
{
	int r = mpr_desk_serve_client(s->desk, c, call);

	if (r == 0 && (unsigned)call->op == MPR_OP_WITHDRAW)
		mpr_queue_desk_withdraw(s->queues, c, call->args[0].i64);
	else if (r == 0)
		mpr_queue_desk_leave(s->queues, c, &call->args[0].i64);
	return r;
}

/* Returns the result, or MPR_KEPT. */
static int
carry_out(struct mpr_manager_server *s, struct mpr_served *c,
	  const struct mpr_message *m, struct mpr_remote_call *call)
{
	struct mpr_served_room room = mpr_served_room(&s->by, c);
	const struct mpr_serve_limits limits = {
		s->by.max_message,
		c->budget.left < s->budget.left ? c->budget.left : s->budget.left,
		&room.room,
	};
	struct mpr_object *o, *other = NULL;
	int r;

	if (call->op == MPR_OP_FIND)
		return mpr_serve_find(&s->objects, s->arena, call);
	if ((unsigned)call->op == MPR_OP_WITHDRAW ||
	    (unsigned)call->op == MPR_OP_LEAVE)
		return serve_client(s, c, call);
	r = mpr_objects_get(&s->objects, m->values[2].i64, &o);
	if (r < 0)
		return r;
	if (call->op == MPR_OP_DESTROY)
		return destroy(s, o);
	if (o->kind == MPR_QUEUE_CELL)
		return mpr_serve_queue(s->queues, c, m->values[0].i64, o, &s->objects,
				       call);
	if (mpr_desk_is_for(o->kind)) {
		if (mpr_desk_takes_other((unsigned)call->op) && call->n_args > 1)
			r = mpr_objects_get(&s->objects, call->args[1].i64, &other);
		return r < 0 ? r : mpr_desk_serve(s->desk, c, m->values[0].i64, o,
						  other, call);
	}
	if (o->kind == MPR_NO_CELL)
		return mpr_serve_array(o, call, &limits);
	if (o->kind == MPR_CELL_LIST)
		return mpr_serve_list(o, call, &limits);
	if (mpr_serve_table_takes_other(call->op) && call->n_args == 1 &&
	    call->args[0].kind == MPROC_INT)
		r = mpr_objects_get(&s->objects, call->args[0].i64, &other);
	return r < 0 ? r : mpr_serve_table(o, call, other, &limits);
}

/* Whether it takes away what comes with the answer, and is lost without it. */
static bool
takes(enum mpr_remote_op op)
{
	return op == MPR_OP_POP || op == MPR_OP_POP_ITEM || op == MPR_OP_LIST_POP;
}

/* number, operation, object, values */
static int
answer(struct mpr_served_by *by, struct mpr_served *c, const struct mpr_message *m)
{
	struct mpr_manager_server *s = (struct mpr_manager_server *)by;
	struct mpr_remote_call call = { .n_args = 0 };
	int r;

	for (unsigned i = 0; i < 3; i++)
		if (m->n < 3 || m->values[i].kind != MPROC_INT)
			return -EBADMSG;
	if (!c->greeted)
		return greet(s, c, m);
	if (m->n - 3 > MPR_REMOTE_ARGS || m->values[1].i64 < 0 ||
	    m->values[1].i64 > UINT8_MAX)
		return -EBADMSG;
	call.op = (enum mpr_remote_op)m->values[1].i64;
	call.n_args = m->n - 3;
	if (c->is_gone && takes(call.op))
		return -EPIPE;
	for (unsigned i = 0; i < call.n_args; i++)
		call.args[i] = m->values[3 + i];
	if (mpr_calls_has(call.op)) {
		r = mpr_calls_begin(&s->calls, c, m->values[0].i64, &call);
		if (r == MPR_CALLS_LATER)
			return 0;
	} else {
		r = carry_out(s, c, m, &call);
		if (r == MPR_KEPT)
			return 0;
	}
	r = mpr_served_answer(by, c, m->values[0].i64, r, call.rets, call.n_rets,
			      r < 0 ? mproc_error_detail() : NULL);
	for (unsigned i = 0; i < MPR_REMOTE_RETS; i++)
		mproc_any_clear(&call.rets[i]);
	return r;
}

/* What comes after other answers, of a worker or because of the time. */
static void
answer_late(struct mpr_calls *calls, struct mpr_served *c, int64_t number, int r,
	    const struct mproc_any *value, const char *text)
{
	struct mpr_manager_server *s = calls->server;

	if (mpr_served_answer(&s->by, c, number, r, value, 1, text) < 0)
		c->leaves = true;
	leave_for_later(s, c);
}

static void
hear_of_type(struct mpr_manager_server *s, const struct mpr_frame *f)
{
	struct mpr_manager_heard heard = { .r = 0 };

	heard.r = mpr_types_unpack(&s->calls.types, f->message, f->len);
	if (heard.r < 0)
		snprintf(heard.text, sizeof(heard.text), "%s",
			 mproc_error_detail());
	/* One is on its way at a time, so there is room. */
	if (mpr_socket_send_bytes(s->control, &heard, sizeof(heard), false) !=
	    (ssize_t)sizeof(heard))
		s->ended = true;
}

static void
hear_control(struct mpr_manager_server *s)
{
	struct mpr_buffer *in = &s->control_in;
	struct mpr_frame f;
	size_t n;
	ssize_t got = mpr_buffer_room(in, CONTROL);

	if (got == 0)
		got = mpr_socket_receive(s->control, in->bytes + in->to,
					 in->size - in->to, false);
	if (got == -EAGAIN)
		return;
	s->ended = got <= 0;
	in->to += got > 0 ? (size_t)got : 0;
	while (!s->ended) {
		int r = mpr_codec_next(&f, in->bytes + in->from, mpr_buffer_len(in),
				       CONTROL_MOST);

		if (r == 0)
			return;
		if (r < 0 || mpr_codec_count(f.message, f.len, &n) < 0 || !n)
			s->ended = true;
		else
			hear_of_type(s, &f);
		mpr_buffer_drop(in, f.whole, false);
	}
}

int
mpr_manager_server_tell_end(int control)
{
	/* Of a row without values. */
	const unsigned char end[] = { 0, 0, 0, 1, 0x90 };

	return mpr_socket_send_bytes(control, end, sizeof(end), false) < 0 ? -EPIPE :
									     0;
}

/* One that the set says is ready. */
static void
serve_one(struct mpr_manager_server *s, const struct mpr_epoll_ready *ready)
{
	struct mpr_served *c;

	switch (ready->id) {
	case ID_LISTENER:
		accept_some(s);
		break;
	case ID_END:
		s->ended = true;
		break;
	case ID_DESK:
		mpr_desk_hear(s->desk);
		break;
	case ID_QUEUES:
		mpr_queue_desk_hear(s->queues);
		break;
	case ID_CONTROL:
		hear_control(s);
		break;
	default:
		if (mpr_calls_is_worker(ready->id)) {
			mpr_calls_hear(&s->calls, ready->id, ready->revents);
			break;
		}
		c = (struct mpr_served *)(uintptr_t)ready->id;
		c->is_gone = ready->revents & MPR_SOCKET_HUP;
		/* Who has requests here is gone on with in any case. */
		if (!c->is_left)
			go_on(s, c, c->watched == MPR_SOCKET_IN);
	}
}

/* All that are ready have a turn; if none is, for @ms. Returns whether there were any,
 * or -EBADF. */
static int
serve_ready(struct mpr_manager_server *s, int ms)
{
	struct mpr_epoll_ready ready[MPR_EPOLL_MOST];
	int64_t queues_at;
	bool some;
	int n;

	mpr_calls_tick(&s->calls);
	some = s->left;
	if (!s->accepts && mproc_now() >= s->accepts_at)
		(void)begin_accepting(s);
	go_on_with_left(s);
	n = mpr_epoll_look(s->set, ready, MPR_EPOLL_MOST, some ? 0 : ms);
	for (int i = 0; i < n; i++)
		serve_one(s, &ready[i]);
	s->desk_at = mpr_desk_look(s->desk);
	queues_at = mpr_queue_desk_look(s->queues);
	if (queues_at < s->desk_at)
		s->desk_at = queues_at;
	return n < 0 ? n : some || n > 0;
}

/* For how long the set itself can be waited for, which saves a call of the kernel: as
 * long as an interrupt waits at most for who looks for it, if nothing else is due. */
static int
nap(const struct mpr_manager_server *s, const struct mpr_limit *limit)
{
	return limit->timeout.ns == MPROC_FOREVER.ns && s->accepts &&
			       s->desk_at == MPR_NEVER &&
			       mpr_calls_due(&s->calls) == MPR_NEVER &&
			       !mpr_interrupt_pending() ?
		       NAP : 0;
}

static int
await(struct mpr_manager_server *s, struct mpr_limit *limit)
{
	int r = mpr_limit_begin(limit);
	int64_t until, due;

	if (r < 0)
		return r;
	if (mproc_now() >= limit->deadline)
		return -ETIMEDOUT;
	until = s->accepts_at < limit->deadline ? s->accepts_at : limit->deadline;
	if (s->desk_at < until)
		until = s->desk_at;
	due = mpr_calls_due(&s->calls);
	if (due < until)
		until = due;
	r = mpr_socket_await(s->set, MPR_SOCKET_IN, until);
	return r == -ETIMEDOUT && until < limit->deadline ? 0 : r;
}

/* Whether it is time to return. */
static int
look_up(struct mpr_limit *limit)
{
	int r = mpr_limit_begin(limit);

	if (r < 0)
		return r;
	if (mpr_interrupt_pending()) {
		mpr_interrupt_answer();
		return -EINTR;
	}
	return mproc_now() >= limit->deadline ? -ETIMEDOUT : 0;
}

/* Who may wait, and has met somebody who wanted something, looks for a moment whether
 * there is more. */
static bool
looks_again(struct mpr_manager_server *s, const struct mpr_limit *limit, bool met)
{
	if (!limit->timeout.ns)
		return false;
	if (!met)
		return mpr_patience_looks(&s->patience);
	mpr_patience_met(&s->patience);
	return mpr_patience_begin(&s->patience);
}

static int
run(struct mpr_manager_server *s, struct mpr_limit *limit)
{
	unsigned turns = 0;
	int r, rounds = 0, ms = 0;
	bool naps = false;

	while (!s->ended) {
		/* An interrupt is for this call, and not for what it does for
		 * clients. */
		mpr_interrupt_hold();
		r = serve_ready(s, ms);
		mpr_interrupt_unhold();
		/* Once after each time that somebody came. */
		naps = r > 0 || (naps && !ms);
		ms = 0;
		if (r < 0)
			return mpr_fail(r, "the program has closed a descriptor of the "
					"manager's");
		if (s->ended)
			continue;
		/* Those who ask for more and more do not hold it up for ever. */
		if ((s->left || looks_again(s, limit, r > 0)) && ++turns % ROUNDS)
			continue;
		if (s->left || s->patience.left) {
			r = look_up(limit);
			if (r < 0)
				return r;
			continue;
		}
		ms = naps ? nap(s, limit) : 0;
		if (ms)
			continue;
		/* Who may wait does; who may not comes to an end, too. */
		if (r == 0 || limit->timeout.ns || ++rounds == ROUNDS)
			r = await(s, limit);
		if (r < 0)
			return r;
	}
	return 0;
}

int
mpr_manager_server_run(struct mpr_manager_server *s, mproc_timeout timeout)
{
	struct mpr_limit limit = mpr_limit(timeout);
	int before = mpr_thread_forbid_cancel(), r;
	char detail[DETAIL];

	/* What goes wrong for clients is no error of this call. */
	snprintf(detail, sizeof(detail), "%s", mproc_error_detail());
	r = run(s, &limit);
	if (r != -EBADF)
		mpr_fail(0, "%s", detail);
	mpr_thread_allow_cancel(before);
	return r;
}

const char *
mpr_manager_server_address(const struct mpr_manager_server *s)
{
	return mproc_listener_address(s->listener);
}

int
mpr_manager_server_fd(const struct mpr_manager_server *s)
{
	return s->set;
}

static int
listen_at(struct mpr_manager_server *s, const struct mproc_manager_opts *o)
{
	const struct mproc_listener_opts lo = {
		.struct_size = sizeof(lo),
		.authkey = o->authkey,
		.authkey_len = o->authkey_len,
		.md5 = MPROC_MD5_FORBID,
		.peers = o->peers,
		.handshake_timeout = o->handshake_timeout,
	};

	return mproc_listener_open(&s->listener, o->address, &lo);
}

static int
gather(struct mpr_manager_server *s)
{
	int r;

	s->set = mpr_epoll_open();
	if (s->set < 0)
		return mpr_fail(s->set, "no descriptor to wait by");
	r = begin_accepting(s);
	if (r == 0)
		r = mpr_epoll_add(s->set, s->control, MPR_SOCKET_IN, ID_CONTROL);
	if (r == 0 && s->other >= 0)
		r = mpr_epoll_add(s->set, s->other, MPR_SOCKET_IN, ID_END);
	return r < 0 ? mpr_fail(r, "no memory to wait for clients") : 0;
}

/* A quarter; or more, if a request and its answer take that, of which each may have
 * twice as much memory as bytes. */
static size_t
share_of(const struct mproc_manager_opts *o)
{
	size_t least = 4 * o->max_message + LEAST_SHARE;
	size_t share = o->max_memory / 4 > least ? o->max_memory / 4 : least;

	return share < o->max_memory ? share : o->max_memory;
}

int
mpr_manager_server_open(struct mpr_manager_server **ret_s,
			const struct mproc_manager_opts *o, int control,
			int other)
{
	struct mpr_manager_server *s;
	int r = mpr_codec_check();

	if (r < 0)
		return r;
	s = mpr_zalloc(sizeof(*s));
	if (!s)
		return mpr_fail(-ENOMEM, "no memory for a manager");
	s->set = -1;
	s->control = control;
	s->other = other;
	s->max_clients = (unsigned)o->max_clients;
	s->budget.left = o->max_memory;
	s->share = share_of(o);
	s->by = (struct mpr_served_by){
		.max_message = o->max_message,
		.spare = { .budget = &s->budget },
		.answer = answer,
	};
	s->calls.max_message = o->max_message;
	s->calls.budget = &s->budget;
	s->calls.answer = answer_late;
	s->calls.server = s;
	mpr_calls_init(&s->calls);
	r = mpr_arena_resolve(o->arena, &s->arena);
	if (r == 0)
		r = listen_at(s, o);
	if (r == 0)
		r = gather(s);
	if (r == 0)
		r = mpr_desk_open(&s->desk, s->arena, &s->by, s->set, ID_DESK,
				  tell);
	if (r == 0)
		r = mpr_queue_desk_open(&s->queues, s->arena, &s->by, &s->budget,
					s->set, ID_QUEUES, tell);
	if (r < 0) {
		mpr_manager_server_close(s);
		return r;
	}
	s->calls.arena = s->arena;
	s->calls.set = s->set;
	*ret_s = s;
	return 0;
}

void
mpr_manager_server_ears(struct mpr_manager_server *s,
			const struct mpr_child_ears *ears)
{
	s->calls.ears = ears;
}

int
mpr_manager_server_register(struct mpr_manager_server *s,
			    const struct mproc_type *type)
{
	return mpr_types_add(&s->calls.types, type);
}

void
mpr_manager_server_close(struct mpr_manager_server *s)
{
	int before = mpr_thread_forbid_cancel();
	struct mpr_served *c, *next;

	mpr_calls_end(&s->calls);
	mpr_buffer_end(&s->control_in);
	/* The set is shared with the process that we were forked from, so nothing is
	 * taken out of it. */
	for (c = s->clients; c; c = next) {
		next = c->next;
		mpr_desk_leave(s->desk, c);
		mpr_queue_desk_leave(s->queues, c, NULL);
		mpr_fds_close(c->fd);
		mpr_buffer_end(&c->in);
		mpr_buffer_end(&c->out);
		free(c);
	}
	mpr_desk_close(s->desk);
	mpr_queue_desk_close(s->queues);
	mpr_buffer_end(&s->by.spare);
	if (s->set >= 0)
		mpr_epoll_close(s->set);
	mproc_listener_close(s->listener);
	mpr_objects_end(&s->objects);
	free(s);
	mpr_thread_allow_cancel(before);
}
