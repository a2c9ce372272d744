/* SPDX-License-Identifier: MIT */
/*
 * ledger.h - which tasks there are, which are done, and what came of them.
 *
 * Every task is done exactly once, however often it is given out: the first
 * complete result of a task is merged and the task is done; all that arrives
 * for it later is dropped. A result of which some messages have arrived waits
 * beside its task, and goes when that is done by someone else.
 */
#ifndef WORDCOUNT_LEDGER_H
#define WORDCOUNT_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#include "task.h"
#include "words.h"

struct ledger_stream;

/**
 * struct ledger_entry - a task
 * @task:    as it is sent, or NULL once it is done
 * @streams: results that are not complete
 * @bytes:   of text, as the walk found it
 * @files:   that begin in it
 * @deaths:  how many workers died with it in their hands by accident
 */
struct ledger_entry {
	struct task *task;
	struct ledger_stream *streams;
	uint64_t bytes;
	uint64_t files;
	unsigned deaths;
};

/**
 * struct ledger - all tasks; the id of entries[i] is i + 1
 * @n_done:      how many are done
 * @first:       all entries before this one are done
 * @words:       the answer, when all are done
 * @files:       files counted
 * @bytes:       bytes counted
 * @done_files:  of the files that the walk found, those behind us
 * @done_bytes:  likewise
 */
struct ledger {
	struct ledger_entry *entries;
	size_t n_entries;
	size_t room;
	size_t n_done;
	size_t first;
	struct words words;
	uint64_t files;
	uint64_t bytes;
	uint64_t done_files;
	uint64_t done_bytes;
};

/* Enters a copy of a task and gives it its id. */
const struct task *ledger_add(struct ledger *l, const struct task *task,
			      uint64_t bytes, uint64_t files);

/* The entry of a task that is not done, or NULL. */
struct ledger_entry *ledger_undone(struct ledger *l, uint64_t id);

/* Takes one message of a result. */
void ledger_receive(struct ledger *l, const void *message, size_t len);

/* Marks a task as done that nobody can do, and reports its files. */
void ledger_give_up(struct ledger *l, uint64_t id);

/* Frees all but the words. */
void ledger_close(struct ledger *l);

#endif
