/* SPDX-License-Identifier: MIT */
/*
 * ledger.c - which tasks there are, which are done, and what came of them.
 */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "problems.h"
#include "result.h"

/* What one sender has sent of its result for one task. */
struct ledger_stream {
	struct ledger_stream *next;
	uint32_t sender;
	uint32_t sequence; /* of the message to come */
	size_t used;
	size_t room;
	char *bytes;
};

const struct task *
ledger_add(struct ledger *l, const struct task *task, uint64_t bytes,
	   uint64_t files)
{
	struct ledger_entry *e;

	if (l->n_entries == l->room) {
		l->room = 2 * l->room + 64;
		l->entries =
			memory_resize(l->entries, l->room, sizeof(*l->entries));
	}
	e = &l->entries[l->n_entries++];
	memset(e, 0, sizeof(*e));
	e->task = memory_resize(NULL, 1, task->size);
	memcpy(e->task, task, task->size);
	e->task->id = l->n_entries;
	e->bytes = bytes;
	e->files = files;
	return e->task;
}

struct ledger_entry *
ledger_undone(struct ledger *l, uint64_t id)
{
	struct ledger_entry *e;

	if (id == 0 || id > l->n_entries)
		return NULL;
	e = &l->entries[id - 1];
	return e->task ? e : NULL;
}

static void
set_done(struct ledger *l, struct ledger_entry *e)
{
	struct ledger_stream *stream;

	while (e->streams) {
		stream = e->streams;
		e->streams = stream->next;
		free(stream->bytes);
		free(stream);
	}
	free(e->task);
	e->task = NULL;
	l->n_done++;
	l->done_files += e->files;
	l->done_bytes += e->bytes;
	while (l->first < l->n_entries && !l->entries[l->first].task)
		l->first++;
}

/* The stream of a sender, begun if need be. */
static struct ledger_stream *
find_stream(struct ledger_entry *e, uint32_t sender)
{
	struct ledger_stream *stream;

	for (stream = e->streams; stream; stream = stream->next) {
		if (stream->sender == sender)
			return stream;
	}
	stream = memory_resize(NULL, 1, sizeof(*stream));
	memset(stream, 0, sizeof(*stream));
	stream->sender = sender;
	stream->next = e->streams;
	e->streams = stream;
	return stream;
}

/* libmproc promises that no message of a result is lost, changed, or arrives
 * before another. A wrong answer would be worse than none. */
static _Noreturn void
broken(const char *what)
{
	fprintf(stderr, "wordcount: a result is broken: %s\n", what);
	exit(1);
}

/* Takes n times size bytes off a stream. */
static void *
take(char **at, size_t *left, uint64_t n, size_t size)
{
	char *taken = *at;

	if (*left / size < n)
		broken("too short");
	*at += n * size;
	*left -= n * size;
	return taken;
}

static void
report(const struct task *task, const struct result_failure *failures,
       uint32_t n)
{
	const struct task_part *part = task_part(task, NULL);
	uint32_t i, k = 0;

	for (i = 0; i < n; i++) {
		if (failures[i].part >= task->n_parts || failures[i].part < k)
			broken("no such part");
		for (; k < failures[i].part; k++)
			part = task_part(task, part);
		problems_report(part->path, strerror(-failures[i].error));
	}
}

static void
merge(struct ledger *l, const struct ledger_entry *e,
      const struct ledger_stream *stream, const struct result_head *head)
{
	struct result_failure *failures;
	size_t left = stream->used;
	char *at = stream->bytes;
	struct word *words;
	uint64_t i;

	failures = take(&at, &left, head->n_failures, sizeof(*failures));
	words = take(&at, &left, head->n_words, sizeof(*words));
	for (i = 0; i < head->n_words; i++) {
		if (words[i].size == WORD_FAR)
			words[i].far.bytes =
				take(&at, &left, words[i].far.len, 1);
	}
	if (left)
		broken("too long");
	report(e->task, failures, head->n_failures);
	words_merge(&l->words, words, head->n_words, head->n_words);
	l->files += head->files;
	l->bytes += head->bytes;
}

void
ledger_receive(struct ledger *l, const void *message, size_t len)
{
	const struct result_head *head = message;
	struct ledger_stream *stream;
	struct ledger_entry *e;

	if (len < sizeof(*head) || head->task == 0 || head->task > l->n_entries)
		broken("no such task");
	e = ledger_undone(l, head->task);
	if (!e)
		return;
	stream = find_stream(e, head->sender);
	if (head->sequence != stream->sequence++)
		broken("a message is missing");
	len -= sizeof(*head);
	if (stream->room - stream->used < len) {
		stream->room = 2 * stream->room + len;
		stream->bytes = memory_resize(stream->bytes, 1, stream->room);
	}
	if (len)
		memcpy(stream->bytes + stream->used, head + 1, len);
	stream->used += len;
	if (head->last) {
		merge(l, e, stream, head);
		set_done(l, e);
	}
}

void
ledger_give_up(struct ledger *l, uint64_t id)
{
	struct ledger_entry *e = ledger_undone(l, id);
	const struct task_part *part = NULL;
	uint32_t i;

	for (i = 0; i < e->task->n_parts; i++) {
		part = task_part(e->task, part);
		problems_report(part->path, "not counted: each worker that "
					    "tried to died");
	}
	set_done(l, e);
}

void
ledger_close(struct ledger *l)
{
	while (l->first < l->n_entries)
		set_done(l, &l->entries[l->first]);
	free(l->entries);
	l->entries = NULL;
}
