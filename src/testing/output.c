/* SPDX-License-Identifier: MIT */
/*
 * A pipe that is read all the time, also when nothing of it is kept any more: who
 * writes to it never has to wait for long.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "os/fds.h"
#include "os/pipe.h"
#include "testing/output.h"

#define CHUNK 16384
#define CHUNKS 80 /* in one go: more than a pipe holds */
#define ROOM_FIRST 1024

int
mpr_output_open(struct mpr_output *o, bool on, size_t most)
{
	*o = (struct mpr_output){ .fds = { -1, -1 }, .most = most };
	return on ? mpr_pipe_open(o->fds) : 0;
}

static void
close_end(int *fd)
{
	if (*fd >= 0)
		mpr_fds_close(*fd);
	*fd = -1;
}

void
mpr_output_listen(struct mpr_output *o)
{
	close_end(&o->fds[1]);
}

void
mpr_output_close(struct mpr_output *o)
{
	close_end(&o->fds[0]);
	close_end(&o->fds[1]);
}

/* As much as there is memory for, and no more than is wanted. */
static void
keep(struct mpr_output *o, const char *text, size_t n)
{
	size_t room = o->room ? o->room : ROOM_FIRST, wanted = n;
	char *more;

	if (wanted > o->most - o->len)
		wanted = o->most - o->len;
	while (room <= o->len + wanted)
		room *= 2;
	if (room > o->room) {
		more = mpr_realloc(o->text, room);
		if (more) {
			o->text = more;
			o->room = room;
		} else {
			/* A gap would be worse. */
			wanted = 0;
			o->most = o->len;
		}
	}
	o->lost += n - wanted;
	if (!wanted)
		return;
	memcpy(o->text + o->len, text, wanted);
	o->len += wanted;
	o->text[o->len] = '\0';
}

bool
mpr_output_drain(struct mpr_output *o)
{
	char chunk[CHUNK];
	bool any = false;
	int n;

	for (int i = 0; i < CHUNKS && o->fds[0] >= 0; i++) {
		n = mpr_pipe_read(o->fds[0], chunk, sizeof(chunk));
		if (n == -EAGAIN)
			break;
		if (n > 0)
			keep(o, chunk, (size_t)n);
		else
			close_end(&o->fds[0]);
		any = true;
	}
	return any;
}
