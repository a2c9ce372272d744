/* SPDX-License-Identifier: MIT */
/*
 * What is left of a process that is killed, see mpt_priv.h.
 *
 * Of a killed process there remains what it shares with others: the bytes of its
 * shared memory, the robust mutexes that it holds or is just about to take, whose
 * list the kernel reads in its private memory, and what it has told the kernel by
 * system calls. So when it has executed an instruction that is no system call,
 * and neither those bytes nor that list have changed, it makes no difference
 * whether it is killed before or behind it; if nobody else is there who might have
 * changed something in between.
 *
 * All of it is compared byte for byte, as the instructions that matter are those
 * of which nobody had thought. The test reads the shared memory in its own address
 * space, where each mapping must lie as in the victim, which is a fork of it. It
 * opens nothing for that: its locks on a file would go with the first descriptor
 * that it closes. Memory is sparse; what has never been written is not read, or it
 * would be allocated. More memory comes by a system call, or with the first store
 * to a page, which the number of blocks of the file tells.
 *
 * Where any of this cannot be had, the answer is that nothing is known.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mpt_priv.h"

enum {
	MAX_FILES = 8,
	MAX_RANGES = 256,
	MAX_FDS = 1024,
	MAX_MAPS = 1 << 18,
	MAX_PAGES = MPT_SCRATCH / 4096,
	LIST_WORDS = 3,		/* struct robust_list_head */
};

/* Bytes to compare in all: beyond that it takes longer than what it is to save. */
#define MAX_WORK (INT64_C(2) << 30)

struct range {
	const unsigned char *at;
	size_t len;
};

struct file {
	int fd;
	blkcnt_t blocks;
};

struct mpt_remains {
	struct mpt *t;
	pid_t pid;
	void *list;		/* of robust mutexes, in the victim */
	uintptr_t words[LIST_WORDS];
	struct file files[MAX_FILES];
	unsigned n_files;
	struct range ranges[MAX_RANGES];
	unsigned n_ranges;
	unsigned char pages[MAX_PAGES];	/* of the scratch bytes: which exist */
	unsigned char *copy;	/* of all ranges, one behind the other */
	size_t size;
	int64_t work;		/* bytes that were compared */
};

/* Whether the process has one thread and no children. */
static bool is_single(pid_t pid)
{
	char path[64], c;
	struct stat st;
	ssize_t r;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	if (stat(path, &st) < 0 || st.st_nlink != 3)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	r = read(fd, &c, 1);
	close(fd);
	return r == 0;
}

bool mpt_remains_alone(void)
{
	return is_single(getpid());
}

static bool read_list(struct mpt_remains *m, uintptr_t words[LIST_WORDS])
{
	const size_t size = LIST_WORDS * sizeof(words[0]);
	struct iovec here = { words, size }, there = { m->list, size };

	return process_vm_readv(m->pid, &here, 1, &there, 1, 0) ==
	       (ssize_t)size;
}

/* The mappings of a process as text, to be freed; or NULL. */
static char *read_maps(pid_t pid)
{
	char path[32], *text = malloc(MAX_MAPS);
	size_t len = 0;
	ssize_t r = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (text != NULL && fd >= 0 && len < MAX_MAPS - 1 &&
	       (r = read(fd, text + len, MAX_MAPS - 1 - len)) > 0)
		len += (size_t)r;
	if (fd >= 0)
		close(fd);
	if (r != 0) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	return text;
}

/* A descriptor that the test has of that file, or -1. */
static int find_fd(dev_t dev, ino_t ino, struct stat *ret)
{
	int fd;

	for (fd = 0; fd < MAX_FDS; fd++)
		if (fstat(fd, ret) == 0 && ret->st_dev == dev &&
		    ret->st_ino == ino)
			return fd;
	return -1;
}

static bool add_range(struct mpt_remains *m, uintptr_t at, size_t len)
{
	if (m->n_ranges == MAX_RANGES)
		return false;
	m->ranges[m->n_ranges++] =
		(struct range){ (const unsigned char *)at, len };
	return true;
}

/* Adds what there is in a file between two offsets; the first lies at @at. */
static bool add_data(struct mpt_remains *m, int fd, off_t from, off_t to,
		     uintptr_t at)
{
	off_t position = lseek(fd, 0, SEEK_CUR);
	off_t start, end = from;
	bool ok = position >= 0;

	while (ok && end < to) {
		start = lseek(fd, end, SEEK_DATA);
		if (start < 0 && errno == ENXIO)
			break;
		end = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);
		if (end < 0)
			ok = false;
		else if (start < to)
			ok = add_range(m, at + (uintptr_t)(start - from),
				       (size_t)((end < to ? end : to) - start));
	}
	return lseek(fd, position, SEEK_SET) == position && ok;
}

/* Adds a mapping of the victim, the first line of @line. */
static bool add_mapping(struct mpt_remains *m, const char *line,
			const char *own)
{
	unsigned long start, end, offset, inode;
	const size_t len = strcspn(line, "\n") + 1;
	unsigned major, minor;
	char rights[5];
	struct stat st;
	const char *p;

	if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu", &start, &end, rights,
		   &offset, &major, &minor, &inode) != 7)
		return false;
	if (rights[1] != 'w' || rights[3] != 's' ||
	    (start <= (uintptr_t)m->t->shared &&
	     end > (uintptr_t)m->t->shared))
		return true;

	for (p = own; *p != '\0' && strncmp(p, line, len) != 0;
	     p = strchr(p, '\n') + 1)
		;
	if (*p == '\0' || rights[0] != 'r' || m->n_files == MAX_FILES)
		return false;
	m->files[m->n_files].fd = find_fd(makedev(major, minor), inode, &st);
	m->files[m->n_files].blocks = st.st_blocks;
	return m->files[m->n_files++].fd >= 0 &&
	       add_data(m, m->files[m->n_files - 1].fd, (off_t)offset,
			(off_t)(offset + (end - start)), start);
}

/* The scratch bytes of the scenario, as far as they exist. */
static bool add_scratch(struct mpt_remains *m)
{
	unsigned char *scratch = m->t->shared->scratch;
	unsigned i;

	if (mincore(scratch, MPT_SCRATCH, m->pages) < 0)
		return false;
	for (i = 0; i < MAX_PAGES; i++)
		if ((m->pages[i] & 1) &&
		    !add_range(m, (uintptr_t)scratch + i * 4096, 4096))
			return false;
	return true;
}

static bool add_all(struct mpt_remains *m)
{
	char *own = read_maps(getpid()), *all = read_maps(m->pid);
	bool ok = own != NULL && all != NULL;
	const char *p;

	m->n_files = m->n_ranges = 0;
	for (p = all; ok && *p != '\0'; p = strchr(p, '\n') + 1)
		ok = add_mapping(m, p, own);
	free(own);
	free(all);
	return ok && add_scratch(m);
}

bool mpt_remains_look(struct mpt_remains *m)
{
	size_t at = 0, size = 0;
	unsigned i;

	if (!is_single(m->pid) || !read_list(m, m->words) || !add_all(m))
		return false;
	for (i = 0; i < m->n_ranges; i++)
		size += m->ranges[i].len;
	if (size > m->size) {
		free(m->copy);
		m->copy = malloc(size);
		m->size = size;
		if (m->copy == NULL)
			abort();
	}
	for (i = 0; i < m->n_ranges; i++) {
		memcpy(m->copy + at, m->ranges[i].at, m->ranges[i].len);
		at += m->ranges[i].len;
	}
	return true;
}

/* Whether there are pages now that there were not. */
static bool has_grown(struct mpt_remains *m)
{
	unsigned char pages[MAX_PAGES];
	struct stat st;
	unsigned i;

	for (i = 0; i < m->n_files; i++)
		if (fstat(m->files[i].fd, &st) < 0 ||
		    st.st_blocks != m->files[i].blocks)
			return true;
	return mincore(m->t->shared->scratch, MPT_SCRATCH, pages) < 0 ||
	       memcmp(pages, m->pages, sizeof(pages)) != 0;
}

bool mpt_remains_changed(struct mpt_remains *m, bool *ret_known)
{
	uintptr_t words[LIST_WORDS];
	bool changed = false;
	size_t at = 0;
	unsigned i;

	if (has_grown(m)) {
		*ret_known = mpt_remains_look(m);
		return true;
	}
	*ret_known = read_list(m, words) && m->work < MAX_WORK;
	if (memcmp(words, m->words, sizeof(words)) != 0) {
		memcpy(m->words, words, sizeof(words));
		changed = true;
	}
	for (i = 0; i < m->n_ranges; at += m->ranges[i++].len) {
		m->work += (int64_t)m->ranges[i].len;
		if (memcmp(m->copy + at, m->ranges[i].at, m->ranges[i].len) == 0)
			continue;
		memcpy(m->copy + at, m->ranges[i].at, m->ranges[i].len);
		changed = true;
	}
	return changed;
}

struct mpt_remains *mpt_remains_new(struct mpt *t, pid_t pid)
{
	struct mpt_remains *m = calloc(1, sizeof(*m));
	size_t len;

	if (m == NULL)
		abort();
	m->t = t;
	m->pid = pid;
	if (syscall(SYS_get_robust_list, pid, &m->list, &len) < 0 ||
	    !mpt_remains_look(m)) {
		mpt_remains_free(m);
		return NULL;
	}
	return m;
}

void mpt_remains_free(struct mpt_remains *m)
{
	if (m == NULL)
		return;
	free(m->copy);
	free(m);
}
