/* SPDX-License-Identifier: MIT */
/*
 * glibc shows how much a stream holds in its structure, which costs a forked
 * child no page of code.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <unistd.h>

#include "base/macros.h"
#include "os/generation.h"
#include "os/stdio.h"
#include "os/thread.h"

#define SAY_TRIES 100 /* ms */

MPR_CHILD_PATH static bool
holds_output(const FILE *stream)
{
	return stream->_IO_write_ptr > stream->_IO_write_base;
}

MPR_CHILD_PATH static void
flush_unlocked(FILE *stream)
{
	if (!holds_output(stream) || ftrylockfile(stream) != 0)
		return;
	fflush_unlocked(stream);
	funlockfile(stream);
}

MPR_CHILD_PATH void
mpr_stdio_flush(void)
{
	flush_unlocked(stdout);
	flush_unlocked(stderr);
}

/* Returns whether there is room, and we are still the process of @generation. Not left to
 * write(2): a copy that a signal handler forks in there begins it again. */
static bool
await_room(int fd, uint64_t generation)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int n;

	do
		n = poll(&pfd, 1, -1);
	while (n < 0 && errno == EINTR && mpr_generation_peek() == generation);
	return mpr_generation_peek() == generation;
}

void
mpr_stdio_pass(FILE *stream, const char *text, size_t len, uint64_t generation)
{
	int fd = fileno_unlocked(stream);
	ssize_t n;

	/* One of the program's own that leads to no file. */
	if (fd < 0) {
		(void)fwrite_unlocked(text, 1, len, stream);
		(void)fflush_unlocked(stream);
		return;
	}
	(void)fflush_unlocked(stream);
	while (len && await_room(fd, generation)) {
		n = write(fd, text, len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0) {
			/* As if the stream had written it. */
			stream->_flags |= _IO_ERR_SEEN;
			return;
		}
		text += n;
		len -= (size_t)n;
	}
}

/* Whether a line can be written now. What leads to no file always takes it. */
static bool
has_room(FILE *stream)
{
	struct pollfd pfd = { .fd = fileno_unlocked(stream), .events = POLLOUT };

	return pfd.fd < 0 || poll(&pfd, 1, 0) > 0;
}

static bool
try_to_say(const char *line)
{
	bool said;

	if (ftrylockfile(stderr) != 0)
		return false;
	said = has_room(stderr);
	if (said)
		fputs_unlocked(line, stderr);
	funlockfile(stderr);
	return said;
}

void
mpr_stdio_say(const char *line)
{
	int before = mpr_thread_forbid_cancel();

	for (int i = 0; i < SAY_TRIES && !try_to_say(line); i++)
		(void)poll(NULL, 0, 1);
	mpr_thread_allow_cancel(before);
}

MPR_CHILD_PATH void
mpr_stdio_finish(void)
{
	if (holds_output(stdout))
		fflush(stdout);
	if (holds_output(stderr))
		fflush(stderr);
}

MPR_CHILD_PATH void
mpr_stdio_forget(void)
{
	if (holds_output(stdout))
		__fpurge(stdout);
	if (holds_output(stderr))
		__fpurge(stderr);
}

MPR_CHILD_PATH void
mpr_stdio_renew_input(void)
{
	if (stdin->_IO_read_base == stdin->_IO_read_end &&
	    !(stdin->_flags & (_IO_EOF_SEEN | _IO_ERR_SEEN)))
		return;
	__fpurge(stdin);
	clearerr_unlocked(stdin);
}
