/* SPDX-License-Identifier: MIT */
/*
 * What a process owns, and what is left of it afterwards.
 *
 * A snapshot is a list of lines, one for each open descriptor, child, name in
 * /dev/shm and mapping of shared memory, worded so that the same thing always
 * gives the same line. A leak is then a line of the second list that the first
 * one does not have, and the line itself is the message. Descriptors are
 * compared both ways: one that vanished was closed by somebody who did not own
 * it.
 *
 * The lists are plain text because they are short and must be readable; the
 * comparison is quadratic and does not matter.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mpt_priv.h"

enum {
	MAX_LINE = 256,
	MAX_CHILDREN = 2 * MPT_ROLES,
	SETTLE_TRIES = 500,	/* times 10 ms for names of other programs */
};

__attribute__((format(printf, 2, 3)))
static void add_line(struct mpt_leak *l, const char *format, ...)
{
	va_list ap;
	int len;

	if (l->size - l->len < MAX_LINE + 1) {
		l->size = l->size * 2 + 4096;
		l->text = realloc(l->text, l->size);
		if (l->text == NULL)
			abort();
	}

	va_start(ap, format);
	len = vsnprintf(l->text + l->len, MAX_LINE, format, ap);
	va_end(ap);

	l->len += (size_t)len < MAX_LINE ? (size_t)len : MAX_LINE - 1;
	l->text[l->len++] = '\n';
	l->text[l->len] = '\0';
}

#ifdef __SANITIZE_THREAD__
const char *__tsan_default_suppressions(void);

/* For each number of a descriptor there is one state, and opendir(3) gets one that
 * a thread of the library has just closed: it knows of no order between the two. */
const char *__tsan_default_suppressions(void)
{
	return "race:add_fds\n";
}
#endif

static void add_fds(struct mpt_leak *l)
{
	char path[64], target[128];
	struct dirent *e;
	ssize_t len;
	DIR *d;

	d = opendir("/proc/self/fd");
	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)e->d_name[0]) ||
		    atoi(e->d_name) == dirfd(d))
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%.20s", e->d_name);
		len = readlink(path, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		add_line(l, "fd %s -> %s", e->d_name, target);
	}
	closedir(d);
}

/*
 * Reads /proc/<pid>/stat. Async-signal-safe, because the watchdog's handler
 * asks for states too. Any of the results may be NULL.
 */
static bool read_stat(pid_t pid, int *ret_state, pid_t *ret_ppid,
		      char comm[32])
{
	char path[32] = "/proc/", digits[12], buf[512];
	char *p, *open_paren, *close_paren;
	size_t n = 0, at = 6, len;
	pid_t v = pid;
	ssize_t r;
	int fd;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	while (n > 0)
		path[at++] = digits[--n];
	memcpy(path + at, "/stat", 6);

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	r = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (r <= 0)
		return false;
	buf[r] = '\0';

	/* The name may hold anything, also parentheses; numbers follow it. */
	open_paren = strchr(buf, '(');
	close_paren = strrchr(buf, ')');
	if (open_paren == NULL || close_paren == NULL ||
	    strlen(close_paren) < 5)
		return false;

	if (ret_state != NULL)
		*ret_state = close_paren[2];
	if (ret_ppid != NULL) {
		*ret_ppid = 0;
		for (p = close_paren + 4; *p >= '0' && *p <= '9'; p++)
			*ret_ppid = *ret_ppid * 10 + (*p - '0');
	}
	if (comm != NULL) {
		len = (size_t)(close_paren - open_paren - 1);
		len = len < 31 ? len : 31;
		memcpy(comm, open_paren + 1, len);
		comm[len] = '\0';
	}
	return true;
}

int mpt_task_state(pid_t tid)
{
	int state = 0;

	read_stat(tid, &state, NULL, NULL);
	return state;
}

bool mpt_threads_run(void)
{
	bool run = false;
	struct dirent *e;
	pid_t tid;
	DIR *d;
	int state;

	d = opendir("/proc/self/task");
	while (d != NULL && !run && (e = readdir(d)) != NULL) {
		tid = atoi(e->d_name);
		if (tid == 0 || tid == gettid())
			continue;
		state = mpt_task_state(tid);
		run = state != 0 && state != 'S';
	}
	if (d != NULL)
		closedir(d);
	return run;
}

bool mpt_is_server(pid_t pid)
{
	char comm[32];

	return read_stat(pid, NULL, NULL, comm) &&
	       strcmp(comm, "forkserver") == 0;
}

unsigned mpt_children(pid_t *ret, unsigned size)
{
	unsigned n = 0;
	siginfo_t info;
	struct dirent *e;
	pid_t pid, ppid;
	DIR *d;

	/* The usual answer, without a walk through all processes. */
	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 &&
	    errno == ECHILD)
		return 0;

	d = opendir("/proc");
	if (d == NULL)
		return 0;
	while (n < size && (e = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		pid = atoi(e->d_name);
		if (read_stat(pid, NULL, &ppid, NULL) && ppid == getpid())
			ret[n++] = pid;
	}
	closedir(d);
	return n;
}

static void add_children(struct mpt_leak *l)
{
	pid_t pids[MAX_CHILDREN];
	unsigned i, n;
	char comm[32];

	n = mpt_children(pids, MAX_CHILDREN);
	for (i = 0; i < n; i++)
		if (read_stat(pids[i], NULL, NULL, comm))
			add_line(l, "child %d (%s)", pids[i], comm);
}

bool mpt_leak_has_child(const struct mpt_leak *l, pid_t pid)
{
	char line[32];

	snprintf(line, sizeof(line), "child %d (", pid);
	return strstr(l->text, line) != NULL;
}

/* Names that mpt_name() made in another program, which runs beside us. */
static bool is_foreign_name(const char *name)
{
	return strncmp(name, "mpt-", 4) == 0 && atoi(name + 4) != getpid();
}

static void add_names(struct mpt_leak *l)
{
	struct dirent *e;
	DIR *d;

	d = opendir("/dev/shm");
	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && !is_foreign_name(e->d_name))
			add_line(l, "name /dev/shm/%.200s", e->d_name);
	closedir(d);
}

/*
 * Only shared memory counts: libc maps and unmaps private memory as it likes.
 * madvise() and mprotect() split a mapping in several lines, so neighbours of
 * one file count as one mapping.
 */
static void add_mappings(struct mpt_leak *l)
{
	unsigned long start, end, inode, last_end = 0, last_inode = 0;
	char line[512], *path;
	int at;
	FILE *f;

	f = fopen("/proc/self/maps", "re");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		at = 0;
		if (sscanf(line, "%lx-%lx %*s %*s %*s %lu %n", &start, &end,
			   &inode, &at) != 3 || at == 0)
			continue;
		path = line + at;
		path[strcspn(path, "\n")] = '\0';
		if (strncmp(path, "/memfd:", 7) != 0 &&
		    strncmp(path, "/dev/shm/", 9) != 0)
			continue;
		if (start != last_end || inode != last_inode)
			add_line(l, "mapping at %lx of %.200s", start, path);
		last_end = end;
		last_inode = inode;
	}
	fclose(f);
}

void mpt_leak_take(struct mpt_leak *l)
{
	mpt_leak_drop(l);
	l->size = 4096;
	l->text = calloc(1, l->size);
	if (l->text == NULL)
		abort();
	add_fds(l);
	add_children(l);
	add_names(l);
	add_mappings(l);
}

void mpt_leak_drop(struct mpt_leak *l)
{
	free(l->text);
	*l = (struct mpt_leak){ 0 };
}

static bool has_line(const struct mpt_leak *l, const char *line, size_t len)
{
	const char *p;

	for (p = l->text; *p != '\0'; p = strchr(p, '\n') + 1)
		if (strncmp(p, line, len) == 0 && p[len] == '\n')
			return true;
	return false;
}

/* Removes what would disturb the tests that follow. */
static void clean_up(const char *line)
{
	char own[64], path[MAX_LINE];
	int pid;

	if (sscanf(line, "child %d", &pid) == 1) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return;
	}
	snprintf(own, sizeof(own), "/dev/shm/mpt-%d-", getpid());
	if (sscanf(line, "name %255[^\n]", path) == 1 &&
	    strncmp(path, own, strlen(own)) == 0)
		unlink(path);
}

/*
 * Counts the lines of @a that @b lacks and that start with @kind; with @what
 * it also prints them.
 */
static unsigned difference(const struct mpt_leak *a, const struct mpt_leak *b,
			   const char *kind, const char *what)
{
	const char *p, *end;
	unsigned n = 0;

	for (p = a->text; *p != '\0'; p = end + 1) {
		end = strchr(p, '\n');
		if (strncmp(p, kind, strlen(kind)) != 0 ||
		    has_line(b, p, (size_t)(end - p)))
			continue;
		n++;
		if (what != NULL)
			fprintf(stderr, "mpt: %s: %.*s\n", what, (int)(end - p),
				p);
	}
	return n;
}

static void clean_up_new(const struct mpt_leak *now,
			 const struct mpt_leak *before)
{
	const char *p, *end;

	for (p = now->text; *p != '\0'; p = end + 1) {
		end = strchr(p, '\n');
		if (!has_line(before, p, (size_t)(end - p)))
			clean_up(p);
	}
}

unsigned mpt_leak_report(const struct mpt_leak *before)
{
	struct mpt_leak now = { 0 };
	unsigned n, tries;

	/*
	 * Another program may have a name in /dev/shm for a moment; ours do
	 * not go away by waiting.
	 */
	for (tries = 0;; tries++) {
		mpt_leak_take(&now);
		if (tries == SETTLE_TRIES ||
		    difference(&now, before, "name ", NULL) ==
			    difference(&now, before, "name /dev/shm/mpt-",
				       NULL))
			break;
		mpt_nap(10);
	}

	n = difference(&now, before, "", "leaked");
	n += difference(before, &now, "fd ", "closed by a stranger");
	clean_up_new(&now, before);
	mpt_leak_drop(&now);
	return n;
}

unsigned mpt_fd_count(void)
{
	struct mpt_leak l = { 0 };
	unsigned n = 0;
	char *p;

	l.size = 4096;
	l.text = calloc(1, l.size);
	if (l.text == NULL)
		abort();
	add_fds(&l);
	for (p = l.text; *p != '\0'; p++)
		n += *p == '\n';
	mpt_leak_drop(&l);
	return n - mpt_method_fds();
}
