/* SPDX-License-Identifier: MIT */
/*
 * posix_spawn(3) is the way where os/exec.h has none. The running program is
 * /proc/self/exe, also if its file was replaced or removed.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/macros.h"
#include "os/ambience.h"
#include "os/exec.h"
#include "os/image.h"

/* By the C library. */
static pid_t
start_slowly(const struct mpr_exec *e)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t pid;
	int r;

	r = posix_spawnattr_init(&attributes);
	if (r != 0)
		return -r;
	r = posix_spawn_file_actions_init(&actions);
	if (r != 0) {
		posix_spawnattr_destroy(&attributes);
		return -r;
	}
	r = posix_spawnattr_setsigmask(&attributes, &e->blocked);
	if (r == 0)
		r = posix_spawnattr_setflags(&attributes,
					     POSIX_SPAWN_SETSIGMASK);
	/* A descriptor that is made a copy of itself is not closed at exec. */
	for (unsigned i = 0; i < e->n_fds && r == 0; i++)
		r = posix_spawn_file_actions_adddup2(&actions, e->fds[i],
						     e->fds[i]);
	if (r == 0)
		r = posix_spawn(&pid, e->path, &actions, &attributes, e->argv,
				e->env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return r == 0 ? pid : -r;
}

pid_t
mpr_image_start(const struct mpr_image *image)
{
	struct mpr_exec e = {
		.path = image->path ? image->path : "/proc/self/exe",
		.argv = image->argv,
		.env = image->env,
		.fds = image->fds,
		.n_fds = (unsigned)image->n_fds,
	};
	pid_t pid;

	if (image->blocked)
		e.blocked = *image->blocked;
	else
		pthread_sigmask(SIG_SETMASK, NULL, &e.blocked);
	if (image->deaf)
		mpr_keyboard_add(&e.blocked);
	if (mpr_fault(MPR_FAULT_FORK))
		return -errno;
	pid = mpr_exec_start(&e);
	if (pid == -ENOSYS)
		pid = start_slowly(&e);
	/* Where there is no /proc, or it shows only what we may not read. */
	if (!image->path && (pid == -ENOENT || pid == -EACCES))
		return -ENOEXEC;
	return pid;
}

bool
mpr_image_is_program(void)
{
	/* Where the kernel has put the loader beside the program. */
	return getauxval(AT_BASE) != 0;
}

bool
mpr_image_would_trust(void)
{
	/* The program's file may give rights, as it has to us; or exec finds that
	 * the effective ids differ from the real ones. */
	return !getauxval(AT_SECURE) && getuid() == geteuid() &&
	       getgid() == getegid();
}

MPR_IMAGE_PATH const char *
mpr_image_take_variable(const char *name)
{
	const char *value = secure_getenv(name);

	/* The string stays where the kernel has put it. What is not trusted goes,
	 * too: programs that we run might trust us. */
	unsetenv(name);
	return value;
}

const char *const *
mpr_image_own_environment(void)
{
	static const char *const none[] = { NULL };

	return environ ? (const char *const *)environ : none;
}

char **
mpr_image_environment(const char *const *env, char *added)
{
	char **copy;
	size_t n = 0;

	if (!env)
		env = mpr_image_own_environment();
	while (env[n])
		n++;
	copy = mpr_malloc((n + 2) * sizeof(*copy));
	if (!copy)
		return NULL;
	/* First, as the first of two with the same name counts. */
	copy[0] = added;
	memcpy(copy + 1, env, n * sizeof(*copy));
	copy[n + 1] = NULL;
	return copy;
}

uint64_t
mpr_image_mark(void)
{
	/* 16 bytes on the first stack, random for each exec. */
	const void *random = (const void *)getauxval(AT_RANDOM);
	uint64_t mark = 0;

	if (random)
		memcpy(&mark, random, sizeof(mark));
	return mark;
}
