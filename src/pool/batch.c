/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "os/clock.h"
#include "pool/batch.h"
#include "pool/code.h"
#include "pool/task.h"

#define ALIGN 16
#define ROOM_FIRST 1024

/* Before the bytes of each. */
struct head {
	uint64_t len;
	uint64_t word; /* of an input: the task (pool/code.h); of a result: what it returned */
};

static_assert(sizeof(struct head) == ALIGN, "what follows is aligned");

/* Before all inputs. */
struct preface {
	_Atomic uint64_t begun;
	uint64_t pad;
};

static_assert(sizeof(struct preface) == ALIGN, "what follows is aligned");

static size_t
padded(size_t len)
{
	return mpr_round_up(len, ALIGN);
}

/* For @len bytes from @at on. */
static int
make_room(struct mpr_batch *b, size_t at, size_t len)
{
	size_t room = b->room ? b->room : ROOM_FIRST;
	char *bytes;

	if (len > SIZE_MAX / 4 - at)
		return mpr_fail(-ENOMEM, "%zu bytes more in a chunk", len);
	while (room < at + len)
		room *= 2;
	if (room == b->room)
		return 0;
	bytes = mpr_realloc(b->bytes, room);
	if (!bytes)
		return mpr_fail(-ENOMEM, "no memory for a chunk of %zu bytes", room);
	b->bytes = bytes;
	b->room = room;
	return 0;
}

/* Writes the record that begins at @at, and is the last one then. */
static int
put(struct mpr_batch *b, size_t at, uint64_t word, const void *p, size_t len)
{
	const struct head head = { .len = len, .word = word };
	char *bytes;
	int r = make_room(b, at, sizeof(head) + len + ALIGN);

	if (r < 0)
		return r;
	bytes = b->bytes + at + sizeof(head);
	memcpy(b->bytes + at, &head, sizeof(head));
	if (len)
		memcpy(bytes, p, len);
	memset(bytes + len, 0, padded(len) - len);
	b->last = at;
	b->len = at + sizeof(head) + padded(len);
	return 0;
}

static int
next(const char *bytes, size_t len, size_t *at, struct head *ret_head,
     const void **ret_bytes)
{
	if (*at == len)
		return -ENODATA;
	if (len - *at < sizeof(*ret_head))
		return -EBADMSG;
	/* Once: any process can write there. */
	memcpy(ret_head, bytes + *at, sizeof(*ret_head));
	*at += sizeof(*ret_head);
	if (ret_head->len > len - *at || padded(ret_head->len) > len - *at)
		return -EBADMSG;
	*ret_bytes = bytes + *at;
	*at += padded(ret_head->len);
	return 0;
}

int
mpr_batch_add(struct mpr_batch *b, uint64_t fn, const void *in, size_t len)
{
	const size_t at = b->n ? b->len : sizeof(struct preface);
	int r = put(b, at, fn, in, len);

	if (r < 0)
		return r;
	if (!b->n++)
		memset(b->bytes, 0, at);
	return 0;
}

int
mpr_batch_next(const char *bytes, size_t len, size_t *at,
	       struct mpr_batch_record *ret_record)
{
	struct head head;
	int r = next(bytes, len, at, &head, &ret_record->bytes);

	if (r < 0)
		return r;
	ret_record->result = (int)(int64_t)head.word;
	ret_record->len = head.len;
	return 0;
}

int
mpr_batch_add_rest(struct mpr_batch *b, const mproc_arena *a,
		   const struct mproc_future *f)
{
	const char *bytes = (const char *)(f + 1);
	size_t len = f->in_len, at = sizeof(struct preface);
	struct mpr_block_ref ref;
	struct preface preface;
	struct head head;
	const void *in;
	uint64_t i;
	int r;

	/* Any process can write there. */
	if (!mpr_heap_find_linked(a, mpr_arena_offset(a, f), &ref) ||
	    ref.size < sizeof(*f) || len > ref.size - sizeof(*f) || len < at)
		return -EBADMSG;
	memcpy(&preface, bytes, sizeof(preface));
	if (preface.begun > INT_MAX)
		return -EBADMSG;
	if (!preface.begun)
		preface.begun = 1;
	for (i = 0; (r = next(bytes, len, &at, &head, &in)) == 0; i++) {
		if (i < preface.begun)
			continue;
		r = mpr_batch_add(b, head.word, in, head.len);
		if (r < 0)
			return r;
	}
	return r == -ENODATA ? (int)preface.begun : r;
}

void
mpr_batch_clear(struct mpr_batch *b)
{
	b->len = b->n = 0;
}

void
mpr_batch_free(struct mpr_batch *b)
{
	free(b->bytes);
}

int
mpr_batch_set(struct mpr_batch *b, const void *p, size_t len)
{
	return put(b, b->last, 0, p, len);
}

/* Runs the next one, whose result is the last record of @results then. */
static int
run(const struct head *head, const void *in, struct mpr_batch *results,
    struct mproc_result *out)
{
	mproc_task *fn = (mproc_task *)mpr_code_find(&out->worker->use, head->word);
	struct mproc_result one = {
		.worker = out->worker,
		.f = out->f,
		.batch = results,
	};
	struct head done = { 0 };
	int r;

	r = put(results, results->len, 0, NULL, 0);
	if (r < 0)
		return r;
	/* A limit is one for each. */
	if (results->n++ && out->worker->limited)
		atomic_store(&out->f->started, mproc_now());
	r = fn ? fn(in, head->len, &one) : -ENOEXEC;
	/* A child that the task has forked has nothing to tell. */
	if (mpr_worker_is_copy(out->worker))
		return -ECHILD;
	memcpy(&done, results->bytes + results->last, sizeof(done));
	done.word = (uint64_t)(r < 0 ? r : 0);
	memcpy(results->bytes + results->last, &done, sizeof(done));
	return 0;
}

/* Threads come to the end of an input, and begin no other. */
static bool
is_given_up(const struct mproc_result *out)
{
	return atomic_load(&out->f->cell.word) & MPR_FUTURE_REVOKED;
}

int
mpr_batch_run(const void *in, size_t in_len, struct mproc_result *out)
{
	struct preface *preface = (struct preface *)(uintptr_t)in;
	struct mpr_batch results = { 0 };
	size_t at = sizeof(*preface);
	struct head head;
	const void *bytes;
	int r = in_len < at ? -EBADMSG : 0;

	while (r == 0 && (r = next(in, in_len, &at, &head, &bytes)) == 0) {
		/* Nothing is ordered by it but what follows in this thread: who reads it
		 * knows by then that we are dead. But for a thread of which others do not
		 * wait: seq_cst, and they read it once it is given up. */
		atomic_store(&preface->begun, results.n + 1);
		if (is_given_up(out))
			break;
		r = run(&head, bytes, &results, out);
	}
	if (r == -ENODATA)
		r = mproc_result_set(out, results.bytes, results.len);
	/* The last one is counted as this task is. */
	if (r == 0 && results.n)
		mpr_worker_did(out->worker, results.n - 1);
	mpr_batch_free(&results);
	return r;
}
