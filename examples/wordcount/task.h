/* SPDX-License-Identifier: MIT */
/*
 * task.h - a piece of work: segments of files.
 *
 * A task is built in place and sent as it is. Small files share one, and a
 * large one is spread over many, so each is worth sending, none takes long,
 * and what a killed worker had in its hands is soon done again.
 */
#ifndef WORDCOUNT_TASK_H
#define WORDCOUNT_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"
#include "words.h"

enum {
	TASK_ROOM = 40 * 1024, /* bytes: a queue of 64 KiB takes it */
	TASK_PARTS = 256
};

/**
 * struct task_part - a segment of a file, followed by its path
 * @from:      where it begins
 * @len:       its bytes; UINT64_MAX goes to the end, wherever that is then
 * @size:      bytes of this structure and the path, a multiple of 8
 * @follow:    the path may be a symbolic link
 */
struct task_part {
	uint64_t from;
	uint64_t len;
	uint32_t size;
	uint32_t follow;
	char path[];
};

struct task {
	uint64_t id;
	uint32_t n_parts;
	uint32_t size; /* of the whole task in bytes */
	uint64_t parts[(TASK_ROOM - 16) / 8];
};

void task_init(struct task *t);

/* Adds a part. Returns false, and nothing is added, if the task is full. */
bool task_add(struct task *t, const char *path, bool follow, uint64_t from,
	      uint64_t len);

/* The first part, or the one behind a part. */
const struct task_part *task_part(const struct task *t,
				  const struct task_part *previous);

/* Adds the words of a part to a table. Returns 0 or -errno, when some of them
 * may have been added; ret_bytes receives how much there was to read. */
int task_part_count(const struct task_part *p, struct text *text,
		    struct words *words, uint64_t *ret_bytes);

#endif
