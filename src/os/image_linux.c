/* SPDX-License-Identifier: MIT */
/*
 * posix_spawn(3): in glibc a clone() that shares memory until the exec. The
 * running program is /proc/self/exe, also if its file was replaced or removed.
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
#include "os/ambience.h"
#include "os/image.h"

/* Of @image, which has the caller's otherwise. */
static int
set_attributes(posix_spawnattr_t *attributes, const struct mpr_image *image)
{
	sigset_t blocked;
	int r = 0;

	if (!image->deaf)
		return 0;
	r = pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	mpr_keyboard_add(&blocked);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attributes, &blocked);
	if (r == 0)
		r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK);
	return r;
}

pid_t
mpr_image_start(const struct mpr_image *image)
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
	r = set_attributes(&attributes, image);
	/* A descriptor that is made a copy of itself is not closed at exec. */
	for (int i = 0; i < image->n_fds && r == 0; i++)
		r = posix_spawn_file_actions_adddup2(&actions, image->fds[i],
						     image->fds[i]);
	if (r == 0 && mpr_fault(MPR_FAULT_FORK))
		r = errno;
	if (r == 0)
		r = posix_spawn(&pid,
				image->path ? image->path : "/proc/self/exe",
				&actions, &attributes, image->argv, image->env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	/* Where there is no /proc, or it shows only what we may not read. */
	if (!image->path && (r == ENOENT || r == EACCES))
		r = ENOEXEC;
	return r == 0 ? pid : -r;
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

const char *
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
