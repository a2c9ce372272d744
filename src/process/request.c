/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include <mproc/core.h>

#include "base/error.h"
#include "ipc/handover.h"
#include "os/courier.h"
#include "os/fds.h"
#include "os/generation.h"
#include "os/thread.h"
#include "process/request.h"
#include "process/server.h"

int
mpr_request_check(const struct mproc_process_opts *o)
{
	int keep = o->n_keep_fds > 0 ? o->n_keep_fds : 0;
	int conns = o->n_conns > 0 ? mpr_handover_count(o->conns, o->n_conns) :
				     0;

	return keep + conns <= MPR_COURIER_FDS - 5 ?
		       0 : mpr_fail(-EINVAL, "%d descriptors in keep_fds and %d "
				    "connections with sockets; a fork server "
				    "takes %d", keep, conns,
				    MPR_COURIER_FDS - 5);
}

int
mpr_request_tell(const struct mpr_file *to, uint64_t generation,
		 const void *message, size_t len, const int *fds, int n)
{
	sigset_t before;
	int r;

	/* Nobody else is sent anything, least of all descriptors; and no copy sends
	 * it once more. It takes some hundred starts by a server that is stopped to
	 * have this wait. */
	mpr_thread_forbid_signals(&before);
	r = mpr_file_is_open(to) && generation == mpr_generation() ?
		    mpr_courier_send(to->fd, message, len, fds, n) : -EPIPE;
	mpr_thread_allow_signals(&before);
	return r;
}

/* What is sent along. */
struct parcel {
	struct mpr_server_request request;
	int fds[MPR_COURIER_FDS];
	int n;
};

static int
add_stream(struct parcel *parcel, int stream, struct mproc_stdio s)
{
	static const char *const names[] = { "stdin_", "stdout_", "stderr_" };
	int fd = s.kind == MPROC_STDIO_FD ? s.fd : stream;

	parcel->request.streams[stream] = s.kind == MPROC_STDIO_NULL ?
						  MPR_SERVER_NULL :
						  MPR_SERVER_CLOSED;
	if (s.kind == MPROC_STDIO_NULL)
		return 0;
	if (mpr_fds_check(fd) < 0)
		return s.kind == MPROC_STDIO_INHERIT ?
			       0 : mpr_fail(-EBADF, "descriptor %d for %s: %s",
					    fd, names[stream],
					    mproc_strerror(-EBADF));
	parcel->request.streams[stream] = parcel->n;
	parcel->fds[parcel->n++] = fd;
	return 0;
}

static int
pack(struct parcel *parcel, const struct mpr_plan_file *plan, int32_t spare,
     int directory, const struct mproc_process_opts *o)
{
	const struct mpr_handover_socket *sockets =
		mpr_plan_at(plan, plan->plan->sockets_at);
	int r;

	parcel->request = (struct mpr_server_request){
		.ask = MPR_SERVER_FORK,
		.slot = plan->plans ? mpr_plans_number(plan->plans,
						       &plan->shmem) :
				      MPR_SERVER_NO_SLOT,
		.spare = spare,
	};
	parcel->n = 0;
	parcel->fds[parcel->n++] = directory;
	if (!plan->plans)
		parcel->fds[parcel->n++] = plan->shmem.file.fd;
	r = add_stream(parcel, 0, o->stdin_);
	if (r == 0)
		r = add_stream(parcel, 1, o->stdout_);
	if (r == 0)
		r = add_stream(parcel, 2, o->stderr_);
	parcel->request.keep = parcel->n;
	for (int i = 0; i < o->n_keep_fds && r == 0; i++) {
		/* One that is closed is a standard stream that leads elsewhere:
		 * there has to be any in its place (mpr_setup_check_files()). */
		parcel->fds[parcel->n++] = mpr_fds_check(o->keep_fds[i]) < 0 ?
						   directory : o->keep_fds[i];
	}
	/* Looked at again: the number lies in shared memory, and so does what
	 * mpr_request_check() has counted. */
	for (int i = 0, n = plan->plan->n_sockets; i < n && r == 0; i++) {
		if (parcel->n == MPR_COURIER_FDS)
			return mpr_fail(-EBADMSG, "the plan of a process is corrupt");
		parcel->fds[parcel->n++] = sockets[i].fd;
	}
	parcel->request.n = parcel->n;
	return r;
}

int
mpr_request_send(const struct mpr_file *to, uint64_t generation,
		 const struct mpr_plan_file *plan, int32_t spare,
		 const struct mproc_process_opts *o)
{
	int directory = mpr_fds_directory(), r;
	struct parcel parcel;

	if (directory < 0)
		return mpr_fail(directory, "the working directory: %s",
				mproc_strerror(directory));
	r = pack(&parcel, plan, spare, directory, o);
	if (r == 0)
		r = mpr_request_tell(to, generation, &parcel.request,
				     sizeof(parcel.request), parcel.fds,
				     parcel.n);
	mpr_fds_close(directory);
	if (r < 0 && r != -EBADF && r != -EPIPE)
		mpr_fail(r, "a message to the fork server: %s",
			 mproc_strerror(r));
	return r;
}
