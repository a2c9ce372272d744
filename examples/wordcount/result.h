/* SPDX-License-Identifier: MIT */
/*
 * result.h - what a worker sends back for a task.
 *
 * A result is a stream of bytes: failures, words as they lie in the worker's
 * table, and then the bytes of those that do not fit into their slots. It is
 * cut into as many messages as it takes, without regard to what lies where, so
 * a word may be of any length. The result counts when its last message has
 * arrived, and not at all before.
 *
 * Each message says who sends it, by a number that no other worker has had in
 * this run, for which task, and its place in the stream. Messages of one
 * sender stay in order, so the parent need only put them together.
 */
#ifndef WORDCOUNT_RESULT_H
#define WORDCOUNT_RESULT_H

#include <mproc/mproc.h>
#include <stddef.h>
#include <stdint.h>

#include "words.h"

enum {
	RESULT_ROOM = 60 * 1024
}; /* bytes in a message, at most */

/**
 * struct result_head - how each message begins
 * @task:       id of the task
 * @sender:     number of the worker
 * @sequence:   place in the stream, from 0
 * @n_failures: in the last message: how many failures the stream holds
 * @last:       nothing follows
 * @n_words:    in the last message: how many words it holds
 * @files:      in the last message: how many files were begun
 * @bytes:      in the last message: how many bytes were looked at
 */
struct result_head {
	uint64_t task;
	uint32_t sender;
	uint32_t sequence;
	uint32_t n_failures;
	uint32_t last;
	uint64_t n_words;
	uint64_t files;
	uint64_t bytes;
};

/* In the stream: a part that could not be read, by its number in the task. */
struct result_failure {
	uint32_t part;
	int32_t error; /* -errno */
};

/* A result on its way: a message being filled, and what went wrong. */
struct result {
	mproc_queue *queue;
	int error;
	size_t used;
	struct result_head head;
	char bytes[RESULT_ROOM - sizeof(struct result_head)];
};

void result_begin(struct result *r, mproc_queue *queue, uint32_t sender,
		  uint64_t task);

void result_add_failure(struct result *r, uint32_t part, int error);

void result_add_words(struct result *r, const struct words *words);

/* Sends the last message. Returns 0, or a negative error of the queue: then
 * the result is not complete and never will be. */
int result_end(struct result *r);

#endif
