/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mpt_mount.h"

static void fail_for(struct mpt *t, const char *what, const char *path)
{
	mpt_fail(t, __FILE__, __LINE__, "%s %s: %s", what, path,
		 strerror(errno));
}

static bool put(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd >= 0 && write(fd, text, len) == (ssize_t)len &&
	       close(fd) == 0;
}

/* Makes us root of a user namespace, in which we are allowed to mount. */
static bool become_root(void)
{
	char users[32], groups[32];

	snprintf(users, sizeof(users), "0 %u 1", (unsigned)geteuid());
	snprintf(groups, sizeof(groups), "0 %u 1", (unsigned)getegid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
	       put("/proc/self/setgroups", "deny") &&
	       put("/proc/self/uid_map", users) &&
	       put("/proc/self/gid_map", groups);
}

void mpt_mount_private(struct mpt *t)
{
	if (unshare(CLONE_NEWNS) < 0 && !become_root()) {
		fprintf(stderr, "mpt: no mount namespace, as root or as a "
			"user: %s\n", strerror(errno));
		_exit(MPT_REFUSED);
	}
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		fail_for(t, "making private", "/");
}

void mpt_mount_tmpfs(struct mpt *t, const char *path, const char *options)
{
	if (mount("mpt", path, "tmpfs", 0, options) < 0)
		fail_for(t, "mounting on", path);
}

void mpt_mount_read_only(struct mpt *t, const char *path)
{
	if (mount("mpt", path, "tmpfs", MS_RDONLY, NULL) < 0)
		fail_for(t, "mounting on", path);
}

void mpt_mount_file(struct mpt *t, const char *source, const char *path)
{
	if (mount(source, path, NULL, MS_BIND, NULL) < 0)
		fail_for(t, "mounting on", path);
}

void mpt_write_file(struct mpt *t, const char *path, const char *text)
{
	char directory[PATH_MAX];
	char *slash;

	snprintf(directory, sizeof(directory), "%s", path);
	for (slash = strchr(directory + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(directory, 0755) < 0 && errno != EEXIST)
			fail_for(t, "making", directory);
		*slash = '/';
	}
	if (!put(path, text))
		fail_for(t, "writing", path);
}
