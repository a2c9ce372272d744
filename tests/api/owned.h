/* SPDX-License-Identifier: MIT */
/*
 * What a process owns that starting others could change, and comparing it.
 */
#ifndef API_OWNED_H
#define API_OWNED_H

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common.h"

#define OWNED_SIGNALS 64
#define OWNED_FDS 1024 /* are looked at */

/* Found without memory: there may be none. */
struct owned {
	unsigned fds;
	unsigned mappings;
	uint64_t blocked;
	/* As the kernel keeps them: the C library hides some of its own. */
	unsigned char actions[OWNED_SIGNALS][64];
};

static inline unsigned
owned_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < OWNED_FDS; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Those of files, with which all that is shared begins: how many others there are is up
 * to the allocator, above all a sanitizer's. The path follows the first '/'. */
static inline unsigned
owned_mappings(struct mpt *t)
{
	char text[4096];
	unsigned paths = 0;
	bool in_path = false;
	ssize_t n;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	mpt_check(t, fd >= 0);
	while ((n = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			paths += text[i] == '/' && !in_path;
			in_path = text[i] != '\n' && (in_path || text[i] == '/');
		}
	close(fd);
	return paths;
}

static inline void
owned_look(struct mpt *t, struct owned *o)
{
	memset(o, 0, sizeof(*o));
	/* It comes with the first start that needs it. */
	mproc_forkserver_stop();
	o->fds = owned_fds();
	o->mappings = owned_mappings(t);
	mpt_check_int(t, syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL,
				 &o->blocked, sizeof(o->blocked)), 0);
	for (int i = 0; i < OWNED_SIGNALS; i++)
		syscall(SYS_rt_sigaction, i + 1, NULL, o->actions[i],
			sizeof(o->blocked));
}

static inline void
expect_no_child(struct mpt *t)
{
	mproc_forkserver_stop();
	errno = 0;
	mpt_check_int(t, waitpid(-1, NULL, WNOHANG), -1);
	mpt_check_int(t, errno, ECHILD);
}

/* No child, and all else as it was. */
static inline void
expect_nothing_left(struct mpt *t, const struct owned *before)
{
	struct owned now;

	expect_no_child(t);
	owned_look(t, &now);
	mpt_check_int(t, now.fds, before->fds);
	mpt_check_int(t, now.mappings, before->mappings);
	mpt_check_int(t, now.blocked, before->blocked);
	for (int i = 0; i < OWNED_SIGNALS; i++)
		mpt_check_int(t, memcmp(now.actions[i], before->actions[i],
					sizeof(now.actions[i])), 0);
}

#endif
