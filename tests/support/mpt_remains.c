/* SPDX-License-Identifier: MIT */
/*
 * What is left of a process that is killed, see mpt_priv.h.
 *
 * Of a killed process there remains what it shares with others: the bytes of its
 * shared memory, the robust mutexes that it holds or is just about to take, whose
 * list the kernel reads in its private memory, and what it has told the kernel by
 * system calls. So when it has executed an instruction that is no system call,
 * and neither those bytes nor that list have changed, it makes no difference
 * whether it is killed before or behind it; if nobody else has changed something in
 * between, see mpt_others.c.
 *
 * All of it is compared byte for byte, as the instructions that matter are those
 * of which nobody had thought. The test reads the shared memory in its own address
 * space, where a mapping lies as in the victim, which is a fork of it; what only the
 * victim has is read there, and a page of that counts as changed when it comes. The
 * test opens nothing for that: its locks on a file would go with the first descriptor
 * that it closes. Memory is sparse; a page that nobody has touched is not read, or it
 * would be allocated. It becomes data with the first access to it, whether it was
 * reserved before, as fallocate(2) does, or not; so what is data is asked again after
 * each page fault. Of what is data the victim can only have changed the pages that its
 * page tables know. That is few of them: a child starts without those of shared memory.
 *
 * The list of mutexes is followed as the kernel does it: links between mutexes that
 * are not shared lie in private memory.
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
	PAGE = 4096,
	MAX_MAPPINGS = 8,
	MAX_RANGES = 256,
	MAX_FDS = 1024,
	MAX_MAPS = 1 << 18,
	MAX_PAGES = MPT_SCRATCH / PAGE,
	LIST_WORDS = 3,		/* struct robust_list_head */
	MAX_MUTEXES = 64,
	MAX_FOREIGN = 1 << 28,	/* bytes in such a mapping */
	MAX_FOREIGN_PAGES = 64,
};

/* Bytes to compare in all: beyond that it takes longer than what it is to save. */
#define MAX_WORK (INT64_C(16) << 30)

struct range {
	const unsigned char *at;
	size_t len;
};

struct ranges {
	unsigned n;
	struct range at[MAX_RANGES];
};

/* Of a file that the test has, too. */
struct mapping {
	int fd;
	off_t from, to;
	uintptr_t at;
};

/* Its words, and where the mutexes of the list have theirs. */
struct list {
	unsigned n;
	uintptr_t words[LIST_WORDS + MAX_MUTEXES];
};

/* Pages that only the victim has mapped, and what is in them. */
struct foreign {
	unsigned n;
	uintptr_t at[MAX_FOREIGN_PAGES];
	unsigned char bytes[MAX_FOREIGN_PAGES][PAGE];
};

struct page {
	const unsigned char *at;
	unsigned char *copy;
};

struct mpt_remains {
	struct mpt *t;
	pid_t pid;
	void *head;		/* of the list of robust mutexes, in the victim */
	struct list list;
	struct mapping mappings[MAX_MAPPINGS];
	unsigned n_mappings;
	struct range foreign[MAX_MAPPINGS];
	unsigned n_foreign;
	struct ranges ranges;
	int pagemap;		/* of the victim, in /proc */
	long faults;		/* when that was last read; -1 if it is to be again */
	unsigned char *copy;	/* of all ranges, one behind the other */
	size_t size;
	struct page *pages;	/* which the victim has */
	unsigned n_pages;
	struct foreign was, is;	/* pages of m->foreign */
	int64_t work;		/* bytes that were compared */
};

/* Whether the process has one thread and no child. */
static bool is_single(pid_t pid)
{
	char path[64], text[32];
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
	r = read(fd, text, sizeof(text));
	close(fd);
	return r == 0;
}

static bool read_words(struct mpt_remains *m, uintptr_t at, uintptr_t *ret,
		       unsigned n)
{
	const size_t size = n * sizeof(*ret);
	struct iovec here = { ret, size }, there = { (void *)at, size };

	return process_vm_readv(m->pid, &here, 1, &there, 1, 0) ==
	       (ssize_t)size;
}

/* Its words, and the link of each mutex up to the one that leads back or nowhere. */
static bool read_list(struct mpt_remains *m, struct list *ret)
{
	uintptr_t at;

	if (!read_words(m, (uintptr_t)m->head, ret->words, LIST_WORDS))
		return false;
	ret->n = LIST_WORDS;
	/* The lowest bit tells the kind of mutex. */
	for (at = ret->words[0] & ~(uintptr_t)1; at != (uintptr_t)m->head;
	     at = ret->words[ret->n++] & ~(uintptr_t)1)
		if (ret->n == LIST_WORDS + MAX_MUTEXES)
			return false;
		else if (!read_words(m, at, &ret->words[ret->n], 1))
			break;
	return true;
}

static bool is_same_list(const struct list *a, const struct list *b)
{
	return a->n == b->n &&
	       memcmp(a->words, b->words, a->n * sizeof(a->words[0])) == 0;
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
static int find_fd(dev_t dev, ino_t ino)
{
	struct stat st;
	int fd;

	for (fd = 0; fd < MAX_FDS; fd++)
		if (fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino)
			return fd;
	return -1;
}

static bool add_range(struct ranges *r, uintptr_t at, size_t len)
{
	if (r->n == MAX_RANGES)
		return false;
	r->at[r->n++] = (struct range){ (const unsigned char *)at, len };
	return true;
}

/* Adds what is data in a mapping, in whole pages: of the last one of a file the
 * bytes behind its end are shared, too. */
static bool add_data(struct ranges *r, const struct mapping *f)
{
	off_t position = lseek(f->fd, 0, SEEK_CUR);
	off_t start, end = f->from;
	bool ok = position >= 0;

	while (ok && end < f->to) {
		start = lseek(f->fd, end, SEEK_DATA);
		if (start < 0 && errno == ENXIO)
			break;
		end = start < 0 ? -1 : lseek(f->fd, start, SEEK_HOLE);
		if (end < 0) {
			ok = false;
			break;
		}
		start = start / PAGE * PAGE;
		end = (end + PAGE - 1) / PAGE * PAGE;
		if (end > f->to)
			end = f->to;
		if (start < end)
			ok = add_range(r, f->at + (uintptr_t)(start - f->from),
				       (size_t)(end - start));
	}
	return lseek(f->fd, position, SEEK_SET) == position && ok;
}

/* Adds a mapping of the victim, the first line of @line. */
static bool add_mapping(struct mpt_remains *m, const char *line,
			const char *own)
{
	const uintptr_t shared = (uintptr_t)m->t->shared;
	unsigned long start, end, offset, inode;
	const size_t len = strcspn(line, "\n") + 1;
	struct mapping *f = &m->mappings[m->n_mappings];
	unsigned major, minor;
	char rights[5];
	const char *p;

	if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu", &start, &end, rights,
		   &offset, &major, &minor, &inode) != 7)
		return false;
	if (rights[1] != 'w' || rights[3] != 's' ||
	    (start <= shared && end > shared && !m->t->is_in_arena))
		return true;

	for (p = own; *p != '\0' && strncmp(p, line, len) != 0;
	     p = strchr(p, '\n') + 1)
		;
	if (rights[0] != 'r' || m->n_mappings == MAX_MAPPINGS)
		return false;
	*f = (struct mapping){
		.fd = find_fd(makedev(major, minor), inode),
		.from = (off_t)offset,
		.to = (off_t)(offset + (end - start)),
		.at = start,
	};
	if (*p != '\0' && f->fd >= 0) {
		m->n_mappings++;
		return true;
	}
	if (end - start > MAX_FOREIGN || m->n_foreign == MAX_MAPPINGS)
		return false;
	m->foreign[m->n_foreign++] =
		(struct range){ (const unsigned char *)start, end - start };
	return true;
}

static bool find_mappings(struct mpt_remains *m)
{
	char *own = read_maps(getpid()), *all = read_maps(m->pid);
	bool ok = own != NULL && all != NULL;
	const char *p;

	m->n_mappings = m->n_foreign = 0;
	for (p = all; ok && *p != '\0'; p = strchr(p, '\n') + 1)
		ok = add_mapping(m, p, own);
	free(own);
	free(all);
	return ok;
}

/* The scratch bytes of the scenario, as far as they exist. */
static bool add_scratch(struct mpt_remains *m, struct ranges *r)
{
	unsigned char *scratch = m->t->shared->scratch;
	unsigned char pages[MAX_PAGES];
	unsigned i;

	if (mincore(scratch, MPT_SCRATCH, pages) < 0)
		return false;
	for (i = 0; i < MAX_PAGES; i++)
		if ((pages[i] & 1) &&
		    !add_range(r, (uintptr_t)scratch + i * PAGE, PAGE))
			return false;
	return true;
}

static bool find_ranges(struct mpt_remains *m, struct ranges *ret)
{
	unsigned i;

	ret->n = 0;
	for (i = 0; i < m->n_mappings; i++)
		if (!add_data(ret, &m->mappings[i]))
			return false;
	return add_scratch(m, ret);
}

/* Copies the bytes to compare the next ones with. */
static void copy_ranges(struct mpt_remains *m)
{
	size_t at = 0, size = 0;
	unsigned i;

	for (i = 0; i < m->ranges.n; i++)
		size += m->ranges.at[i].len;
	if (size > m->size) {
		free(m->copy);
		free(m->pages);
		m->copy = malloc(size);
		m->pages = malloc(size / PAGE * sizeof(*m->pages));
		m->size = size;
		if (m->copy == NULL || m->pages == NULL)
			abort();
	}
	for (i = 0; i < m->ranges.n; at += m->ranges.at[i++].len)
		memcpy(m->copy + at, m->ranges.at[i].at, m->ranges.at[i].len);
}

typedef bool found_fn(struct mpt_remains *m, uintptr_t page, unsigned char *copy);

/* Tells @fn of the pages in a range that the victim has, be it that they are about to
 * move, and where their copies are. */
static bool walk_pages(struct mpt_remains *m, const struct range *range,
		       unsigned char *copy, found_fn *fn)
{
	const uint64_t has = UINT64_C(3) << 62;
	const size_t end = ((uintptr_t)range->at + range->len) / PAGE;
	size_t page = (uintptr_t)range->at / PAGE, n, i, size;
	uint64_t entries[512];

	for (; page < end; page += n) {
		n = end - page < 512 ? end - page : 512;
		size = n * sizeof(entries[0]);
		if (pread(m->pagemap, entries, size,
			  (off_t)(page * sizeof(entries[0]))) != (ssize_t)size)
			return false;
		for (i = 0; i < n; i++) {
			if ((entries[i] & has) &&
			    !fn(m, (page + i) * PAGE, copy))
				return false;
			copy += copy != NULL ? PAGE : 0;
		}
	}
	return true;
}

static bool add_page(struct mpt_remains *m, uintptr_t page, unsigned char *copy)
{
	m->pages[m->n_pages++] = (struct page){ (void *)page, copy };
	return true;
}

static bool add_foreign(struct mpt_remains *m, uintptr_t page,
			unsigned char *copy)
{
	(void)copy;
	if (m->is.n == MAX_FOREIGN_PAGES)
		return false;
	m->is.at[m->is.n++] = page;
	return true;
}

/* Which pages the victim has. */
static bool find_pages(struct mpt_remains *m)
{
	unsigned char *copy = m->copy;
	unsigned i;

	m->n_pages = m->is.n = 0;
	for (i = 0; i < m->ranges.n; copy += m->ranges.at[i++].len)
		if (!walk_pages(m, &m->ranges.at[i], copy, add_page))
			return false;
	for (i = 0; i < m->n_foreign; i++)
		if (!walk_pages(m, &m->foreign[i], NULL, add_foreign))
			return false;
	return true;
}

/* Whether the pages that only the victim has, or their bytes, have changed. */
static bool foreign_changed(struct mpt_remains *m, bool *ret_known)
{
	struct iovec here = { m->is.bytes, m->is.n * PAGE };
	struct iovec there[MAX_FOREIGN_PAGES];
	bool changed;
	unsigned i;

	for (i = 0; i < m->is.n; i++)
		there[i] = (struct iovec){ (void *)m->is.at[i], PAGE };
	*ret_known = i == 0 || process_vm_readv(m->pid, &here, 1, there, i,
						0) == (ssize_t)here.iov_len;
	changed = m->is.n != m->was.n ||
		  memcmp(m->is.at, m->was.at, i * sizeof(m->is.at[0])) != 0 ||
		  memcmp(m->is.bytes, m->was.bytes, here.iov_len) != 0;
	if (changed)
		m->was = m->is;
	return changed;
}

bool mpt_remains_look(struct mpt_remains *m)
{
	bool known;
	size_t len;

	if (!is_single(m->pid) ||
	    syscall(SYS_get_robust_list, m->pid, &m->head, &len) < 0 ||
	    !read_list(m, &m->list) || !find_mappings(m) ||
	    !find_ranges(m, &m->ranges))
		return false;
	m->faults = -1;
	copy_ranges(m);
	if (!find_pages(m))
		return false;
	foreign_changed(m, &known);
	return known;
}

/* Whether there is more data than there was; then that is copied. */
static bool has_grown(struct mpt_remains *m, long faults, bool *ret_known)
{
	struct ranges ranges;
	bool grown = false;

	*ret_known = true;
	if (faults == m->faults)
		return false;
	m->faults = faults;
	*ret_known = find_ranges(m, &ranges);
	if (!*ret_known)
		return false;
	if (ranges.n != m->ranges.n ||
	    memcmp(ranges.at, m->ranges.at,
		   ranges.n * sizeof(ranges.at[0])) != 0) {
		m->ranges = ranges;
		copy_ranges(m);
		grown = true;
	}
	*ret_known = find_pages(m);
	return grown;
}

bool mpt_remains_changed(struct mpt_remains *m, long faults, bool *ret_known)
{
	struct list list;
	bool changed;
	unsigned i;

	*ret_known = read_list(m, &list) && m->work < MAX_WORK;
	if (!*ret_known)
		return true;
	changed = !is_same_list(&list, &m->list);
	m->list = list;
	/* To read a link may have given it a page, without a fault of its own. */
	if (changed)
		m->faults = -1;
	if (has_grown(m, faults, ret_known) || !*ret_known)
		return true;
	if (foreign_changed(m, ret_known) || !*ret_known)
		changed = true;
	m->work += (int64_t)(m->n_pages + m->is.n) * PAGE;
	for (i = 0; i < m->n_pages; i++) {
		if (memcmp(m->pages[i].copy, m->pages[i].at, PAGE) == 0)
			continue;
		memcpy(m->pages[i].copy, m->pages[i].at, PAGE);
		changed = true;
	}
	return changed;
}

struct mpt_remains *mpt_remains_new(struct mpt *t, pid_t pid)
{
	struct mpt_remains *m = calloc(1, sizeof(*m));
	char path[64];

	if (m == NULL)
		abort();
	m->t = t;
	m->pid = pid;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	m->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (sysconf(_SC_PAGESIZE) != PAGE || !mpt_remains_look(m)) {
		mpt_remains_free(m);
		return NULL;
	}
	return m;
}

void mpt_remains_free(struct mpt_remains *m)
{
	if (m == NULL)
		return;
	if (m->pagemap >= 0)
		close(m->pagemap);
	free(m->copy);
	free(m->pages);
	free(m);
}
