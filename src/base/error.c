/* SPDX-License-Identifier: MIT */
/*
 * Error names and this thread's last failure in full.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <mproc/core.h>

#include "base/error.h"

static _Thread_local char detail[512];

int
mpr_fail(int r, const char *format, ...)
{
	int saved = errno;
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	errno = saved;
	return r;
}

const char *
mproc_error_detail(void)
{
	return detail;
}

static const struct {
	int error;
	const char *text;
} texts[] = {
	{ EAGAIN, "EAGAIN: would block, or a limit is reached" },
	{ ETIMEDOUT, "ETIMEDOUT: timed out" },
	{ EINTR, "EINTR: interrupted by mproc_interrupt()" },
	{ ESHUTDOWN, "ESHUTDOWN: shut down" },
	{ EPIPE, "EPIPE: the other side is gone" },
	{ EMSGSIZE, "EMSGSIZE: message too long" },
	{ ENOSPC, "ENOSPC: shared memory is full" },
	{ ENOMEM, "ENOMEM: out of memory" },
	{ EFBIG, "EFBIG: above the file size limit" },
	{ EMFILE, "EMFILE: too many open files in this process" },
	{ ENFILE, "ENFILE: too many open files in the system" },
	{ EBADMSG, "EBADMSG: shared memory is corrupt" },
	{ EPROTO, "EPROTO: layout or version mismatch" },
	{ ECHILD, "ECHILD: the handle belongs to another process" },
	{ EOWNERDEAD, "EOWNERDEAD: its owner died" },
	{ EDEADLK, "EDEADLK: would wait for itself" },
	{ EPERM, "EPERM: not permitted" },
	{ EACCES, "EACCES: access denied" },
	{ EINVAL, "EINVAL: invalid argument" },
	{ EFAULT, "EFAULT: not shared memory" },
	{ ESTALE, "ESTALE: the object is destroyed" },
	{ EBUSY, "EBUSY: in use" },
	{ EPROTOTYPE, "EPROTOTYPE: of another kind" },
	{ E2BIG, "E2BIG: options that this version does not know" },
	{ ENODATA, "ENODATA: there is none" },
	{ ERANGE, "ERANGE: no such index" },
	{ ENOEXEC, "ENOEXEC: cannot be started that way" },
	{ ENOLCK, "ENOLCK: no more locks" },
	{ ENOSYS, "ENOSYS: the system does not offer it" },
	{ EBADF, "EBADF: no open descriptor" },
	{ ENOENT, "ENOENT: no such file, name or key" },
	{ ENOTDIR, "ENOTDIR: not a directory" },
	{ ENAMETOOLONG, "ENAMETOOLONG: file name too long" },
	{ ELOOP, "ELOOP: too many symbolic links" },
	{ EIO, "EIO: input or output failed" },
	{ EOVERFLOW, "EOVERFLOW: as many as there can be" },
	{ EADDRINUSE, "EADDRINUSE: somebody has that address" },
	{ EADDRNOTAVAIL, "EADDRNOTAVAIL: no address of this machine" },
	{ ECONNREFUSED, "ECONNREFUSED: nobody listens there" },
	{ EHOSTUNREACH, "EHOSTUNREACH: no such host, or no way to it" },
	{ ENETUNREACH, "ENETUNREACH: no such network, or no way to it" },
	{ ENOMSG, "ENOMSG: what comes next is of another kind" },
	{ ETOOMANYREFS, "ETOOMANYREFS: too many descriptors on their way" },
	{ ENOTSUP, "ENOTSUP: not supported here" },
	{ ENOTRECOVERABLE, "ENOTRECOVERABLE: broken" },
};

const char *
mproc_strerror(int r)
{
	if (r == 0)
		return "success";
	if (r > 0)
		return "success, with an outcome";
	for (size_t i = 0; i < MPR_ARRAY_LEN(texts); i++)
		if (-texts[i].error == r)
			return texts[i].text;
	return "unknown error";
}
