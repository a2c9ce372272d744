/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/error.h"
#include "base/opts.h"
#include "ipc/handshake.h"
#include "ipc/limit.h"
#include "ipc/socket_conn.h"
#include "os/fds.h"
#include "os/socket.h"
#include "os/thread.h"

/* The deadline is the sooner one of the call's and of the handshake's. */
static int
await_answer(const struct mpr_handshake *h, struct mpr_limit *limit)
{
	int64_t deadline;
	int r = mpr_limit_begin(limit);

	if (r < 0)
		return r;
	deadline = h->deadline < limit->deadline ? h->deadline : limit->deadline;
	r = mpr_socket_await(h->fd, MPR_SOCKET_IN, deadline);
	if (r == -ETIMEDOUT && deadline < limit->deadline)
		return mpr_fail(-EACCES, "the other side does not compare keys: it "
				"may have none");
	return r;
}

static int
shake_hands(int fd, const struct mpr_admission *admission,
	    struct mpr_limit *limit)
{
	struct mpr_handshake h;
	int r = mpr_handshake_begin(&h, fd, false, admission);

	while (r == 0) {
		r = mpr_handshake_go_on(&h);
		if (r == 0)
			r = await_answer(&h, limit);
	}
	return r < 0 ? r : 0;
}

static int
get_in(int fd, const struct mpr_admission *admission, struct mpr_limit *limit)
{
	int r = mpr_admission_check_user(admission, fd);

	if (r < 0 || !admission->key)
		return r;
	return shake_hands(fd, admission, limit);
}

static int
connect_to(struct mpr_socket_conn **ret_c, const char *address,
	   const struct mpr_admission *admission, mproc_timeout timeout)
{
	struct mpr_limit limit = mpr_limit(timeout);
	int fd, r;

	fd = mpr_socket_connect(address, admission->passes_fds,
				mpr_limit_begin(&limit) < 0 ? 0 : limit.deadline);
	if (fd < 0)
		return fd;
	r = get_in(fd, admission, &limit);
	if (r == 0)
		r = mpr_socket_conn_make(ret_c, fd, !admission->key,
					 admission->passes_fds);
	if (r < 0)
		mpr_fds_close(fd);
	return r;
}

int
mproc_connect(mproc_conn **ret_c, const char *address,
	      const struct mproc_connect_opts *opts, mproc_timeout timeout)
{
	struct mproc_connect_opts o;
	struct mpr_admission admission;
	struct mpr_socket_conn *c;
	int before, r;

	if (!ret_c)
		return mpr_fail(-EINVAL, "ret_c is NULL");
	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r == 0)
		r = mpr_admission_read(&admission, address, &o, MPROC_PEERS_ANY);
	if (r < 0)
		return r;
	before = mpr_thread_forbid_cancel();
	r = connect_to(&c, address, &admission, timeout);
	mpr_admission_end(&admission);
	mpr_thread_allow_cancel(before);
	if (r == 0)
		*ret_c = (mproc_conn *)c;
	return r;
}
