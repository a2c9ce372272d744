/* SPDX-License-Identifier: MIT */
/*
 * The files of /sys/fs/cgroup and /proc. A group lies below its parents, each
 * of which has a limit of its own. A container that does not see its group's
 * own directory sees that of its root, which the walk ends with.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/macros.h"
#include "os/clock.h"
#include "os/memory.h"

#define UNKNOWN UINT64_MAX

/* How version 1 says that there is no limit, give or take a page. */
#define UNLIMITED (UINT64_C(1) << 62)

#define TEXT_SIZE 4096
#define PATH_SIZE 1024

/* How long an answer is good, in nanoseconds. */
#define ANSWER_LASTS 10000000

static const struct version {
	const char *controller; /* in a line of /proc/self/cgroup */
	const char *mount, *limit, *usage;
	const char *events; /* how many were killed */
	const char *reclaimable[3]; /* lines of memory.stat */
} versions[] = {
	{
		.controller = "",
		.mount = "/sys/fs/cgroup",
		.limit = "/memory.max",
		.usage = "/memory.current",
		.events = "/memory.events",
		.reclaimable = { "inactive_file ", "active_file ",
				 "slab_reclaimable " },
	},
	{
		.controller = "memory",
		.mount = "/sys/fs/cgroup/memory",
		.limit = "/memory.limit_in_bytes",
		.usage = "/memory.usage_in_bytes",
		.events = "/memory.oom_control",
		.reclaimable = { "total_inactive_file ", "total_active_file " },
	},
};

/* The text of a small file, as far as it fits; "" if there is none. */
static bool
read_text(const char *path, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int fd;

	*text = '\0';
	fd = mpr_fault(MPR_FAULT_OPEN) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	do {
		n = read(fd, text + len, size - 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	close(fd);
	text[len] = '\0';
	return len > 0;
}

/* What follows @key, which stands at the start of a line of @text; or NULL. */
static const char *
find_line(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text && strncmp(text, key, len) != 0) {
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return text ? text + len : NULL;
}

/* The number behind @key; UNKNOWN if there is none. */
static uint64_t
read_number(const char *text, const char *key)
{
	const char *at = find_line(text, key);
	char *end;
	uint64_t n;

	if (!at)
		return UNKNOWN;
	n = strtoull(at, &end, 10);
	return end == at ? UNKNOWN : n;
}

/*
 * The path of this process's group. It is empty for the root, and for a path
 * that leads out of what we see.
 */
static bool
find_group(const struct version *v, char *path)
{
	char text[TEXT_SIZE], *line, *next, *controllers, *controller;

	if (!read_text("/proc/self/cgroup", text, TEXT_SIZE))
		return false;
	/* ID:CONTROLLER,CONTROLLER:/PATH; version 2 names no controller. */
	for (line = text; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		strsep(&line, ":");
		controllers = strsep(&line, ":");
		while ((controller = strsep(&controllers, ",")))
			if (strcmp(controller, v->controller) == 0)
				break;
		if (!line || !controller)
			continue;
		if (strlen(line) >= PATH_SIZE || strcmp(line, "/") == 0 ||
		    strcmp(line, "/..") == 0 || strncmp(line, "/../", 4) == 0)
			*line = '\0';
		strcpy(path, line);
		return true;
	}
	return false;
}

/* The number in the file @name of the group at @path. */
static uint64_t
read_file(const struct version *v, const char *path, const char *name,
	  char *text)
{
	char full[PATH_SIZE + 64];

	snprintf(full, sizeof(full), "%s%s%s", v->mount, path, name);
	return read_text(full, text, TEXT_SIZE) ? read_number(text, "") : UNKNOWN;
}

/* What the kernel could free of the group's caches. */
static uint64_t
reclaimable(const struct version *v, const char *path, char *text)
{
	uint64_t sum = 0, n;

	(void)read_file(v, path, "/memory.stat", text);
	for (int i = 0; i < 3 && v->reclaimable[i]; i++) {
		n = read_number(text, v->reclaimable[i]);
		sum += n == UNKNOWN ? 0 : n;
	}
	return sum;
}

static void
note(struct mpr_memory *least, uint64_t left, uint64_t limit,
     const char *whose)
{
	if (left < least->left)
		*least = (struct mpr_memory){
			.left = left,
			.limit = limit,
				.whose = whose,
		};
}

static void
ask_group(const struct version *v, const char *path, uint64_t wanted,
	  struct mpr_memory *least)
{
	char text[TEXT_SIZE];
	uint64_t limit, used, cached;

	limit = read_file(v, path, v->limit, text);
	if (limit >= UNLIMITED)
		return;
	used = read_file(v, path, v->usage, text);
	if (used == UNKNOWN)
		return;
	if (used > limit || limit - used < wanted) {
		cached = reclaimable(v, path, text);
		used = used > cached ? used - cached : 0;
	}
	note(least, used < limit ? limit - used : 0, limit,
	     "the control group");
}

static void
ask_groups(const struct version *v, uint64_t wanted, struct mpr_memory *least)
{
	char path[PATH_SIZE], *slash;

	if (!find_group(v, path))
		return;
	for (;;) {
		ask_group(v, path, wanted, least);
		slash = strrchr(path, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}

static void
ask_machine(struct mpr_memory *least)
{
	uint64_t available, swap, total;
	char text[TEXT_SIZE];

	if (!read_text("/proc/meminfo", text, TEXT_SIZE))
		return;
	available = read_number(text, "MemAvailable:");
	swap = read_number(text, "SwapFree:");
	total = read_number(text, "MemTotal:");
	if (available == UNKNOWN || swap == UNKNOWN)
		return;
	note(least, (available + swap) * 1024, total * 1024, "the machine");
}

void
mpr_memory_probe(uint64_t wanted, struct mpr_memory *ret_memory)
{
	int saved = errno;

	*ret_memory = (struct mpr_memory){ UNKNOWN, UNKNOWN, "nobody" };
	for (size_t i = 0; i < MPR_ARRAY_LEN(versions); i++)
		ask_groups(&versions[i], wanted, ret_memory);
	ask_machine(ret_memory);
	errno = saved;
}

bool
mpr_memory_allows(uint64_t wanted, struct mpr_memory *ret_memory)
{
	/* What may be taken without asking, and until when. Relaxed: a stale
	 * value costs a question, or leaves one out. */
	static _Atomic uint64_t credit;
	static _Atomic int64_t credit_ends;
	uint64_t have = atomic_load_explicit(&credit, memory_order_relaxed);
	int64_t now = mproc_now();

	if (now < atomic_load_explicit(&credit_ends, memory_order_relaxed))
		while (have >= wanted)
			if (atomic_compare_exchange_weak_explicit(
				    &credit, &have, have - wanted,
				    memory_order_relaxed,
				    memory_order_relaxed))
				return true;
	mpr_memory_probe(wanted, ret_memory);
	if (ret_memory->left < wanted)
		return false;
	atomic_store_explicit(&credit, (ret_memory->left - wanted) / 16,
			      memory_order_relaxed);
	atomic_store_explicit(&credit_ends, now + ANSWER_LASTS,
			      memory_order_relaxed);
	return true;
}

/* The same line in all of these files. */
#define KILLS "oom_kill "

/* Of the group of this process; UNKNOWN if it does not count them. */
static uint64_t
kills_of_group(const struct version *v)
{
	char path[PATH_SIZE], text[TEXT_SIZE];

	if (!find_group(v, path))
		return UNKNOWN;
	(void)read_file(v, path, v->events, text);
	return read_number(text, KILLS);
}

/* On the machine. */
static uint64_t
kills_of_machine(void)
{
	char text[4 * TEXT_SIZE];

	(void)read_text("/proc/vmstat", text, sizeof(text));
	return read_number(text, KILLS);
}

int
mpr_memory_kills(uint64_t *ret_n)
{
	const int n_versions = (int)MPR_ARRAY_LEN(versions);
	int saved = errno, who = 0;

	*ret_n = UNKNOWN;
	while (*ret_n == UNKNOWN && who <= n_versions) {
		*ret_n = who < n_versions ? kills_of_group(&versions[who]) :
					    kills_of_machine();
		who++;
	}
	errno = saved;
	if (*ret_n != UNKNOWN)
		return who;
	*ret_n = 0;
	return 0;
}
