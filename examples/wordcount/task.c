/* SPDX-License-Identifier: MIT */
/*
 * task.c - a piece of work: segments of files.
 */
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
task_init(struct task *t)
{
	t->id = 0;
	t->n_parts = 0;
	t->size = offsetof(struct task, parts);
}

bool
task_add(struct task *t, const char *path, bool follow, uint64_t from,
	 uint64_t len)
{
	size_t path_size = strlen(path) + 1;
	size_t size = (sizeof(struct task_part) + path_size + 7) & ~(size_t)7;
	struct task_part *p;

	if (t->n_parts == TASK_PARTS || size > TASK_ROOM - t->size)
		return false;
	p = (void *)((char *)t + t->size);
	memset(p, 0, size);
	p->from = from;
	p->len = len;
	p->size = (uint32_t)size;
	p->follow = follow;
	memcpy(p->path, path, path_size);
	t->size += (uint32_t)size;
	t->n_parts++;
	return true;
}

const struct task_part *
task_part(const struct task *t, const struct task_part *previous)
{
	if (!previous)
		return (const void *)t->parts;
	return (const void *)((const char *)previous + previous->size);
}

int
task_part_count(const struct task_part *p, struct text *text,
		struct words *words, uint64_t *ret_bytes)
{
	struct stat st;
	int fd, r;

	*ret_bytes = 0;
	/* The file may have become anything since it was found, for example a
	 * pipe, on which opening and reading would wait. */
	fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
				   (p->follow ? 0 : O_NOFOLLOW));
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = S_ISDIR(st.st_mode) ? -EISDIR : -ESPIPE;
	else
		r = text_count(text, fd, p->from, p->len, words, ret_bytes);
	close(fd);
	return r;
}
