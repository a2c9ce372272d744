/* SPDX-License-Identifier: MIT */
/*
 * The process of a manager is forked, so that it has the arena, named or not, and it
 * says over a socket when it listens. It ends when it is told so over that, and when
 * its starter has ended: which a descriptor of that tells. The socket may not end
 * then, as children of the starter have copies of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "ipc/wire.h"
#include "manager/buffer.h"
#include "manager/server.h"
#include "manager/start.h"
#include "manager/types.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/fds.h"
#include "os/interrupt.h"
#include "process/handle.h"

#define TEXT 256
#define LOOK mproc_sec(1) /* where there is no descriptor for a process */

/* What the server says when it has begun, or cannot. */
struct report {
	int r;
	char address[MPR_SOCKET_TEXT];
	char text[TEXT];
};

struct order {
	const struct mproc_manager_opts *opts;
	int control;
};

static volatile sig_atomic_t asked_to_end;

static void
on_signal(int signal)
{
	if (signal != SIGTERM)
		return;
	asked_to_end = 1;
	mproc_interrupt();
}

static int
report(int control, int r, const char *address)
{
	struct report report = { .r = r };

	if (r < 0)
		snprintf(report.text, sizeof(report.text), "%s",
			 mproc_error_detail());
	else
		snprintf(report.address, sizeof(report.address), "%s", address);
	/* Nothing was sent before, so there is room. */
	return mpr_socket_send_bytes(control, &report, sizeof(report), false) ==
			       (ssize_t)sizeof(report) ? r : -EPIPE;
}

/* In the server's process. */
static int
serve(void *arg)
{
	const struct order *order = arg;
	struct mpr_child_ears ears;
	struct mpr_manager_server *s;
	mproc_timeout patience;
	int starter, r;

	mpr_child_listen(on_signal, &ears);
	starter = mproc_parent_fd();
	patience = starter < 0 ? LOOK : MPROC_FOREVER;
	r = mpr_manager_server_open(&s, order->opts, order->control,
			    starter < 0 ? -1 : starter);
	if (r < 0)
		return report(order->control, r, NULL) < 0;
	mpr_manager_server_ears(s, &ears);
	r = report(order->control, 0, mpr_manager_server_address(s));
	while (r == 0 && !asked_to_end) {
		r = mpr_manager_server_run(s, patience);
		if (r == 0 || (r == -ETIMEDOUT && mproc_parent_fd() == -EPIPE))
			break;
		if (r == -EINTR || r == -ETIMEDOUT)
			r = 0;
	}
	mpr_manager_server_close(s);
	return r < 0 && r != -ETIMEDOUT;
}

/* Returns 0, or why it did not come. */
static int
receive_all(int fd, void *ret, size_t size)
{
	size_t have = 0;
	ssize_t n = 0;
	int r = 0;

	while (have < size && r == 0) {
		n = mpr_socket_receive(fd, (char *)ret + have, size - have, false);
		if (n > 0)
			have += (size_t)n;
		else if (n != -EAGAIN)
			return -EPIPE;
		else
			r = mpr_socket_await(fd, MPR_SOCKET_IN, INT64_MAX);
	}
	return r;
}

/* Returns 0, or why there is no server. */
static int
await_report(struct mpr_started *started)
{
	struct report report;
	int r = receive_all(started->control, &report, sizeof(report));

	if (r == -EPIPE)
		return mpr_fail(r, "the server of the manager has died before it could "
				"begin");
	if (r < 0)
		return r;
	if (report.r < 0) {
		report.text[TEXT - 1] = '\0';
		return mpr_fail(report.r, "%s", report.text);
	}
	memcpy(started->address, report.address, sizeof(started->address));
	started->address[sizeof(started->address) - 1] = '\0';
	return 0;
}

static int
start_process(struct mpr_started *started, const struct order *order)
{
	const struct mproc_process_opts po = {
		.struct_size = sizeof(po),
		.name = "mproc-manager",
		.method = MPROC_FORK,
		.keep_fds = &order->control,
		.n_keep_fds = 1,
		.stdin_ = { .kind = MPROC_STDIO_NULL },
		/* Ctrl-C is for those who use it; and it ends with its starter, but
		 * in order. */
		.process_group = -1,
		.outlive_parent = true,
		.no_report = true,
	};
	struct mpr_call call = mpr_call_entry(serve, (void *)(uintptr_t)order, 0);
	int r = mpr_process_hold_service(&started->process, &call, &po);

	if (r == 0)
		mpr_process_let_go(started->process);
	return r;
}

int
mpr_started_begin(struct mpr_started *ret, const struct mproc_manager_opts *opts)
{
	struct order order = { .opts = opts };
	int fds[2], r;

	*ret = (struct mpr_started){ .control = -1 };
	r = mpr_socket_pair(fds);
	if (r < 0)
		return mpr_fail(r, "no descriptors for a manager");
	ret->control = fds[0];
	order.control = fds[1];
	r = start_process(ret, &order);
	mpr_fds_close(fds[1]);
	if (r == 0)
		r = await_report(ret);
	if (r < 0 && ret->process)
		(void)mpr_started_end(ret, MPROC_NOWAIT);
	if (r < 0)
		mpr_started_forget(ret);
	return r;
}

static int
send_all(int fd, struct mpr_buffer *out)
{
	ssize_t n = 0;

	while (mpr_buffer_len(out) && n >= 0) {
		n = mpr_socket_send_bytes(fd, out->bytes + out->from,
					  mpr_buffer_len(out), false);
		if (n == -EAGAIN)
			n = mpr_socket_await(fd, MPR_SOCKET_OUT, MPR_NEVER);
		else if (n > 0)
			mpr_buffer_drop(out, (size_t)n, false);
	}
	return n < 0 ? (int)n : 0;
}

/* An interrupt stays pending: half of it cannot be called off. */
static int
tell_of_type(int control, struct mpr_buffer *out, struct mpr_manager_heard *heard)
{
	int r;

	mpr_interrupt_hold();
	r = send_all(control, out);
	if (r == 0)
		r = receive_all(control, heard, sizeof(*heard));
	mpr_interrupt_unhold();
	return r < 0 ? mpr_fail(r, "the server of the manager has died") : 0;
}

int
mpr_started_register(struct mpr_started *started, const struct mproc_type *type)
{
	struct mpr_buffer row = { .bytes = NULL }, out = { .bytes = NULL };
	unsigned char head[MPR_WIRE_LONG] = { 0 };
	struct mpr_manager_heard heard;
	int r;

	if (started->control < 0)
		return mpr_fail(-EPIPE, "the manager was shut down");
	r = mpr_type_pack(&row, type);
	if (r == 0) {
		mpr_wire_put(head, mpr_buffer_len(&row));
		r = mpr_buffer_add(&out, head, MPR_WIRE_SHORT);
	}
	if (r == 0)
		r = mpr_buffer_add(&out, row.bytes + row.from, mpr_buffer_len(&row));
	if (r == 0)
		r = tell_of_type(started->control, &out, &heard);
	mpr_buffer_end(&row);
	mpr_buffer_end(&out);
	if (r < 0)
		return r;
	heard.text[sizeof(heard.text) - 1] = '\0';
	return heard.r < 0 ? mpr_fail(heard.r, "%s", heard.text) : 0;
}

int
mpr_started_end(struct mpr_started *started, mproc_timeout grace)
{
	int r = 0;

	if (started->control >= 0) {
		/* Others may have copies, so that it does not end. */
		(void)mpr_manager_server_tell_end(started->control);
		mpr_fds_close(started->control);
	}
	started->control = -1;
	if (grace.ns)
		r = mproc_process_join(started->process, grace);
	if (r == -EINTR)
		return r;
	if (r < 0 || !grace.ns)
		(void)mproc_process_kill(started->process);
	r = mproc_process_join(started->process, MPROC_FOREVER);
	return r;
}

void
mpr_started_forget(struct mpr_started *started)
{
	if (started->control >= 0)
		mpr_fds_close(started->control);
	mproc_process_close(started->process);
	*started = (struct mpr_started){ .control = -1 };
}
