/* SPDX-License-Identifier: MIT */
/*
 * A listener compares keys with many at once, inside mproc_listener_accept() and
 * nowhere else, and gives the first one who is through. So nobody who is slow or
 * silent keeps others out; there is room for a fixed number, and where it is full the
 * one who has been there longest goes.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/opts.h"
#include "ipc/handshake.h"
#include "ipc/limit.h"
#include "ipc/socket_conn.h"
#include "os/fds.h"
#include "os/gather.h"
#include "os/generation.h"
#include "os/socket.h"
#include "os/thread.h"
#include "os/turn.h"

#define UNDER_WAY 64
#define OLDEST 0
#define BACKLOG 128
#define MODE_USER 0600u
#define MODE_ANY 0666u
#define DETAIL 512 /* bytes of an error's text */

struct mproc_listener {
	int fd;
	int gather; /* it, and those under way; -1 without a key */
	uint64_t owner; /* the process that opened it */
	_Atomic uint64_t generation;
	struct mpr_socket_place place;
	struct mpr_admission admission;
	struct mpr_turn turn;
	struct mpr_socket_conn *spare; /* so that who is through is not lost */
	int64_t left;	  /* when a call was last here */
	unsigned n;	  /* under way */
	struct mpr_handshake under_way[UNDER_WAY];
};

/* Successful calls do not change the text of the last error, but those who are not let
 * in have one each. */
struct detail {
	char text[DETAIL];
};

static void
keep_detail(struct detail *d)
{
	snprintf(d->text, sizeof(d->text), "%s", mproc_error_detail());
}

static void
give_detail_back(const struct detail *d)
{
	mpr_fail(0, "%s", d->text);
}

static int
watch(const mproc_listener *l, int fd)
{
	int r = mpr_gather_add(l->gather, fd);

	return r < 0 ? mpr_fail(-ENOMEM, "no memory to watch a connection") : 0;
}

static int
open_gather(mproc_listener *l)
{
	int r;

	l->gather = mpr_gather_open();
	if (l->gather < 0)
		return mpr_fail(l->gather, "no descriptor to wait by");
	r = watch(l, l->fd);
	if (r < 0)
		mpr_fds_close(l->gather);
	return r;
}

static int
open_socket(mproc_listener *l, const char *address, int backlog)
{
	unsigned mode = l->admission.user_only ? MODE_USER : MODE_ANY;
	int r;

	l->fd = mpr_socket_listen(address, mode, backlog ? backlog : BACKLOG,
				  l->admission.passes_fds, &l->place);
	if (l->fd < 0)
		return l->fd;
	l->gather = -1;
	r = l->admission.key ? open_gather(l) : 0;
	if (r < 0) {
		mpr_socket_remove(&l->place);
		mpr_fds_close(l->fd);
	}
	return r;
}

static int
read_opts(struct mpr_admission *ret, const char *address,
	  const struct mproc_listener_opts *o)
{
	const struct mproc_connect_opts same = {
		.struct_size = sizeof(same),
		.authkey = o->authkey,
		.authkey_len = o->authkey_len,
		.md5 = o->md5,
		.peers = o->peers,
		.handshake_timeout = o->handshake_timeout,
		.pass_fds = o->pass_fds,
	};

	if (o->backlog < 0)
		return mpr_fail(-EINVAL, ".backlog is %d", o->backlog);
	return mpr_admission_read(ret, address, &same, MPROC_PEERS_USER);
}

int
mproc_listener_open(mproc_listener **ret_l, const char *address,
		    const struct mproc_listener_opts *opts)
{
	struct mproc_listener_opts o;
	mproc_listener *l;
	int before, r;

	if (!ret_l)
		return mpr_fail(-EINVAL, "ret_l is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r < 0)
		return r;
	l = mpr_zalloc(sizeof(*l));
	if (!l)
		return mpr_fail(-ENOMEM, "no memory for a listener");
	r = read_opts(&l->admission, address, &o);
	before = mpr_thread_forbid_cancel();
	if (r == 0)
		r = open_socket(l, address, o.backlog);
	mpr_thread_allow_cancel(before);
	if (r < 0) {
		mpr_admission_end(&l->admission);
		free(l);
		return r;
	}
	mpr_turn_init(&l->turn);
	l->owner = mpr_generation();
	l->generation = l->owner;
	*ret_l = l;
	return 0;
}

/* In a forked child: those under way are its parent's. The descriptor to wait by is
 * shared with it, so there is another one, with the same number. */
static int
adopt(mproc_listener *l)
{
	int old = l->gather, r = 0;

	for (unsigned i = 0; i < l->n; i++)
		mpr_fds_close(l->under_way[i].fd);
	l->n = 0;
	mpr_turn_init(&l->turn);
	if (old < 0)
		return 0;
	r = open_gather(l);
	if (r == 0)
		r = mpr_fds_move_to(l->gather, old);
	if (r == old)
		mpr_fds_end_at_exec(old);
	l->gather = old;
	return r < 0 ? r : 0;
}

static int
come_in(mproc_listener *l)
{
	uint64_t ours = mpr_generation();
	int before, r = 0;

	/* Acquire: with the generation comes the turn. */
	if (atomic_load_explicit(&l->generation, memory_order_acquire) == ours)
		return 0;
	before = mpr_thread_forbid_cancel();
	mpr_process_lock();
	if (atomic_load_explicit(&l->generation, memory_order_relaxed) != ours)
		r = adopt(l);
	if (r == 0)
		atomic_store_explicit(&l->generation, ours,
				      memory_order_release);
	mpr_process_unlock();
	mpr_thread_allow_cancel(before);
	return r;
}

/* Number @i is not under way any more; its descriptor is still open. */
static int
take_out(mproc_listener *l, unsigned i)
{
	int fd = l->under_way[i].fd;

	mpr_gather_drop(l->gather, fd);
	explicit_bzero(&l->under_way[i].auth, sizeof(l->under_way[i].auth));
	/* In the order in which they came. */
	memmove(&l->under_way[i], &l->under_way[i + 1],
		(--l->n - i) * sizeof(l->under_way[0]));
	return fd;
}

static void
refuse(const mproc_listener *l, int fd, const char *why)
{
	mpr_log(MPROC_LOG_WARNING, "listener %s: one was not let in: %s",
		l->place.address, why);
	mpr_fds_close(fd);
}

/* One who has to show a key is asked for it. Returns 1 if it has done so, 0, or a
 * negative error. */
static int
begin(mproc_listener *l, int fd)
{
	struct mpr_handshake *h;
	int r;

	if (l->n == UNDER_WAY)
		refuse(l, take_out(l, OLDEST), "too many at once");
	h = &l->under_way[l->n];
	r = mpr_handshake_begin(h, fd, true, &l->admission);
	if (r == 0)
		r = watch(l, fd);
	if (r < 0) {
		mpr_fds_close(fd);
		return r;
	}
	l->n++;
	r = mpr_handshake_go_on(h);
	if (r)
		take_out(l, l->n - 1);
	if (r < 0)
		refuse(l, fd, mproc_error_detail());
	return r > 0;
}

/* One has connected. Returns 1 if it is let in, 0, or a negative error. */
static int
receive_one(mproc_listener *l, int fd)
{
	if (mpr_admission_check_user(&l->admission, fd) < 0) {
		refuse(l, fd, mproc_error_detail());
		return 0;
	}
	return l->admission.key ? begin(l, fd) : 1;
}

/* Returns the descriptor of one who has connected, or a negative error. Without a
 * descriptor that is one also where nobody has; and who is silent must not keep the
 * last ones. */
static int
take_one(mproc_listener *l)
{
	int fd;

	while ((fd = mpr_socket_accept(l->fd)) == -EMFILE || fd == -ENFILE) {
		if (!mpr_socket_is_ready(l->fd, MPR_SOCKET_IN))
			return -EAGAIN;
		if (!l->n)
			break;
		refuse(l, take_out(l, OLDEST),
		       "there is no descriptor for another one");
	}
	return fd;
}

/* Those who have connected, up to a number: others wait, too. Returns 1 if one is
 * through, 0 or a negative error. */
static int
receive(mproc_listener *l, int *ret_fd)
{
	int fd, r = 0;

	for (unsigned i = 0; i < UNDER_WAY && r == 0; i++) {
		fd = take_one(l);
		if (fd == -EAGAIN)
			return 0;
		if (fd < 0)
			return mpr_fail(fd, "accepting a connection: %s",
					mproc_strerror(fd));
		*ret_fd = fd;
		r = receive_one(l, fd);
	}
	return r;
}

/* Returns 1 if one is through, or 0. */
static int
go_on(mproc_listener *l, int *ret_fd)
{
	unsigned i = 0;
	int r;

	while (i < l->n) {
		r = mpr_handshake_go_on(&l->under_way[i]);
		if (r > 0) {
			*ret_fd = take_out(l, i);
			return 1;
		}
		if (r < 0)
			refuse(l, take_out(l, i), mproc_error_detail());
		else
			i++;
	}
	return 0;
}

/* Time that nobody has spent here does not count. */
static void
put_off(mproc_listener *l)
{
	int64_t gap = l->n ? mproc_now() - l->left : 0;

	for (unsigned i = 0; i < l->n; i++)
		if (l->under_way[i].deadline < MPR_NEVER - gap)
			l->under_way[i].deadline += gap;
}

static void
expire(mproc_listener *l)
{
	int64_t now = l->n ? mproc_now() : 0;
	unsigned i = 0;

	while (i < l->n)
		if (l->under_way[i].deadline <= now)
			refuse(l, take_out(l, i), "it has not shown a key in time");
		else
			i++;
}

static int
await_somebody(const mproc_listener *l, struct mpr_limit *limit)
{
	int r = mpr_limit_begin(limit);
	int64_t deadline = limit->deadline;

	if (r < 0)
		return r;
	/* Whoever comes all the time does not hold us up. */
	if (mproc_now() >= deadline)
		return -ETIMEDOUT;
	if (l->n && l->under_way[OLDEST].deadline < deadline)
		deadline = l->under_way[OLDEST].deadline;
	r = mpr_socket_await(l->gather < 0 ? l->fd : l->gather, MPR_SOCKET_IN,
			     deadline);
	return r == -ETIMEDOUT && deadline < limit->deadline ? 0 : r;
}

static int
let_in(mproc_listener *l, int *ret_fd, struct mpr_limit *limit)
{
	int r;

	do {
		r = go_on(l, ret_fd);
		if (r == 0)
			r = receive(l, ret_fd);
		if (r == 0) {
			expire(l);
			r = await_somebody(l, limit);
		}
	} while (r == 0);
	return r;
}

static int
accept_in_turn(mproc_listener *l, mproc_conn **ret_c, struct mpr_limit *limit)
{
	struct detail before;
	int fd = -1, r = 0;

	if (!l->spare)
		r = mpr_socket_conn_make(&l->spare, -1, false,
					 l->admission.passes_fds);
	if (r < 0)
		return r;
	keep_detail(&before);
	put_off(l);
	r = let_in(l, &fd, limit);
	if (l->n)
		l->left = mproc_now();
	if (r == 1 || r == -EAGAIN || r == -ETIMEDOUT || r == -EINTR)
		give_detail_back(&before);
	if (r < 0)
		return r;
	mpr_socket_conn_give(l->spare, fd);
	*ret_c = (mproc_conn *)l->spare;
	l->spare = NULL;
	return 0;
}

int
mproc_listener_accept(mproc_listener *l, mproc_conn **ret_c,
		      mproc_timeout timeout)
{
	struct mpr_limit limit = mpr_limit(timeout);
	int before, r;

	if (!l || !ret_c)
		return mpr_fail(-EINVAL, "%s is NULL", l ? "ret_c" : "l");
	r = come_in(l);
	if (r < 0)
		return r;
	if (!mpr_turn_try(&l->turn)) {
		r = mpr_limit_begin(&limit);
		if (r == 0)
			r = mpr_turn_take(&l->turn, limit.deadline);
		if (r < 0)
			return r;
	}
	/* Closing one who is refused is a cancellation point, and so is the log. */
	before = mpr_thread_forbid_cancel();
	r = accept_in_turn(l, ret_c, &limit);
	mpr_turn_give(&l->turn);
	mpr_thread_allow_cancel(before);
	return r;
}

const char *
mproc_listener_address(mproc_listener *l)
{
	return l->place.address;
}

int
mproc_listener_fd(mproc_listener *l)
{
	int r;

	if (!l)
		return mpr_fail(-EINVAL, "l is NULL");
	r = come_in(l);
	if (r < 0)
		return r;
	return l->gather < 0 ? l->fd : l->gather;
}

void
mproc_listener_close(mproc_listener *l)
{
	int before;

	if (!l)
		return;
	before = mpr_thread_forbid_cancel();
	for (unsigned i = 0; i < l->n; i++)
		mpr_fds_close(l->under_way[i].fd);
	if (l->owner == mpr_generation())
		mpr_socket_remove(&l->place);
	/* In a child its threads are not there that wait for it. */
	if (l->generation != mpr_generation())
		mpr_turn_init(&l->turn);
	mpr_turn_destroy(&l->turn);
	if (l->gather >= 0)
		mpr_fds_close(l->gather);
	mpr_fds_close(l->fd);
	if (l->spare)
		mpr_socket_conn_close(l->spare);
	mpr_admission_end(&l->admission);
	explicit_bzero(l, sizeof(*l));
	free(l);
	mpr_thread_allow_cancel(before);
}
