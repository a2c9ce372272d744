/* SPDX-License-Identifier: MIT */
/*
 * The beginning and the end of a connection to a manager.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "containers/remote.h"
#include "ipc/limit.h"
#include "ipc/socket_conn.h"
#include "manager/client_priv.h"
#include "manager/codec.h"
#include "manager/server.h"
#include "os/fds.h"
#include "os/generation.h"
#include "os/socket.h"
#include "os/thread.h"
#include "sync/remote.h"

static int
carry(struct mpr_remote_owner *owner, const struct mpr_remote *remote,
      struct mpr_remote_call *call)
{
	struct mpr_client *c = (struct mpr_client *)owner;
	const int64_t id = remote->id;
	int r = mpr_client_call(c, id, call, MPR_NEVER);

	if (call->op == MPR_OP_DESTROY && (r >= 0 || r == -ESTALE))
		mpr_client_drop(c, remote, id);
	return r;
}

static int
greet(struct mpr_client *c, struct mpr_limit *limit)
{
	struct mpr_remote_call call = {
		.op = MPR_OP_HELLO,
		.n_args = 2,
		.args = { mproc_str(MPR_MANAGER_MAGIC),
			  mproc_int(MPR_MANAGER_VERSION) },
		.n_rets = 2,
	};
	int r = mpr_limit_begin(limit);

	if (r < 0)
		return r;
	r = mpr_client_call(c, 0, &call, limit->deadline);
	if (r < 0)
		return r;
	if (call.rets[0].kind != MPROC_INT || call.rets[1].kind != MPROC_INT ||
	    call.rets[0].i64 != MPR_MANAGER_VERSION || call.rets[1].i64 <= 0) {
		r = mpr_fail(-EBADMSG, "what answers at %s is no manager",
			     c->address);
	} else {
		c->max_message = (uint64_t)call.rets[1].i64 < MPR_CLIENT_LONGEST ?
					 (size_t)call.rets[1].i64 : MPR_CLIENT_LONGEST;
	}
	for (unsigned i = 0; i < 2; i++)
		mproc_any_clear(&call.rets[i]);
	return r < 0 ? r : 0;
}

/* A thread that ends, which is in the middle of saying so. */
static void
hurry(struct mpr_remote_owner *owner)
{
	mpr_socket_hang_up(((struct mpr_client *)owner)->fd);
}

static struct mpr_client *
make(const char *address, int fd)
{
	struct mpr_client *c = mpr_zalloc(sizeof(*c) + strlen(address) + 1);

	if (!c)
		return NULL;
	c->owner = (struct mpr_remote_owner){
		.carry = carry,
		.beside = mpr_client_beside,
		.ask = mpr_client_ask,
		.len = mpr_client_len,
		.destroy = mpr_client_destroy,
		.leave = mpr_client_leave,
		.hurry = hurry,
	};
	c->generation = mpr_generation();
	c->fd = fd;
	c->sliced = mpr_socket_slice(fd);
	c->max_message = MPR_CLIENT_READ; /* for the first one */
	mpr_turn_init(&c->sending);
	mpr_turn_init(&c->reading);
	mpr_turn_init(&c->lock);
	strcpy(c->address, address);
	return c;
}

static int
open_at(struct mpr_client **ret_c, const char *address,
	const struct mproc_connect_opts *o, mproc_timeout timeout)
{
	struct mpr_limit limit = mpr_limit(timeout);
	mproc_timeout left = timeout;
	struct mpr_client *c;
	mproc_conn *conn;
	int fd, r;

	if (mpr_limit_begin(&limit) == 0 && limit.deadline != MPR_NEVER)
		left = mproc_until(limit.deadline);
	r = mproc_connect(&conn, address, o, left);
	if (r < 0)
		return r;
	fd = mpr_socket_conn_release((struct mpr_socket_conn *)conn);
	mpr_socket_expect_life(fd);
	c = make(address, fd);
	if (!c) {
		mpr_fds_close(fd);
		return mpr_fail(-ENOMEM, "no memory for a connection");
	}
	r = greet(c, &limit);
	if (r == -EACCES)
		r = mpr_fail(r, "manager %s asks for a key", address);
	if (r < 0)
		mpr_client_close(c);
	else
		*ret_c = c;
	return r;
}

int
mpr_client_open(struct mpr_client **ret_c, const char *address,
		const struct mproc_connect_opts *opts, mproc_timeout timeout)
{
	int before, r = mpr_codec_check();

	if (r < 0)
		return r;
	before = mpr_thread_forbid_cancel();
	r = open_at(ret_c, address, opts, timeout);
	mpr_thread_allow_cancel(before);
	return r;
}

const char *
mpr_client_address(const struct mpr_client *c)
{
	return c->address;
}

void
mpr_client_close(struct mpr_client *c)
{
	int before = mpr_thread_forbid_cancel();

	mpr_remote_forget(&c->owner, c->generation != mpr_generation());
	mpr_client_drop_all(c);
	mpr_fds_close(c->fd);
	mpr_buffer_end(&c->in);
	/* Of those who sleep there none is in a forked child. */
	if (c->generation != mpr_generation()) {
		mpr_turn_init(&c->sending);
		mpr_turn_init(&c->reading);
		mpr_turn_init(&c->lock);
	}
	mpr_turn_destroy(&c->sending);
	mpr_turn_destroy(&c->reading);
	mpr_turn_destroy(&c->lock);
	free(c);
	mpr_thread_allow_cancel(before);
}
