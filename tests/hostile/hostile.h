/* SPDX-License-Identifier: MIT */
/*
 * The shared words of a queue, what a hostile peer writes in them, and what
 * the others may be told afterwards.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "ipc/queue_shm.h"
#include "mpt.h"
#include "mpt_rand.h"

enum {
	CAPACITY = MPR_QUEUE_CAPACITY_MIN,
	LANES = 2,
	FRAMES = 4,
	WORDS = 20 + LANES * (9 + FRAMES),
	VALUES = 21,
	LEN_MAX = 200,
	GUARD = 64,
	BATCH = 6,
};

struct word {
	char name[24];
	void *p;
	size_t size; /* 4 or 8 */
};

struct words {
	unsigned n;
	struct word word[WORDS];
	uint64_t lane;	/* offset of the first one */
	uint64_t queue; /* offset */
	uint64_t arena; /* bytes */
};

static inline void
add_word(struct words *w, const char *name, unsigned index, void *p,
	 size_t size)
{
	struct word *word = &w->word[w->n++];

	snprintf(word->name, sizeof(word->name), "%s %u", name, index);
	word->p = p;
	word->size = size;
}

#define ADD_WORD(w, name, index, member)                            \
	add_word(w, name, index, (void *)(uintptr_t)&(member),      \
		 sizeof(member))

static inline void
add_lane_words(struct words *w, struct mpr_lane *lane, unsigned index)
{
	ADD_WORD(w, "lane owner", index, lane->owner);
	ADD_WORD(w, "lane next", index, lane->next);
	ADD_WORD(w, "lane queue", index, lane->queue);
	ADD_WORD(w, "lane tail", index, lane->tail);
	ADD_WORD(w, "lane count", index, lane->count);
	ADD_WORD(w, "lane head", index, lane->head);
	ADD_WORD(w, "lane want", index, lane->want);
	ADD_WORD(w, "lane busy", index, lane->busy);
	ADD_WORD(w, "lane owes", index, lane->owes);
	for (unsigned i = 0; i < FRAMES; i++)
		add_word(w, "lane word", index * 100 + i,
			 lane->buffer + 32 * i, 8);
}

/* Notes where the words of a queue are that nobody has written in. Returns
 * false if it is not sound all the same. The link in the arena's list of queues
 * is not the queue's alone and left out. */
static inline bool
words_of(struct words *w, mproc_queue *q)
{
	mproc_arena *a = mpr_arena_peek();
	uint64_t offset = atomic_load(&q->lanes);

	*w = (struct words){
		.lane = offset,
		.queue = mpr_arena_offset(a, q),
		.arena = a->shmem.size,
	};
	ADD_WORD(w, "magic", 0, q->magic);
	ADD_WORD(w, "state", 0, q->state);
	ADD_WORD(w, "closing", 0, q->closing);
	ADD_WORD(w, "hint", 0, q->hint);
	ADD_WORD(w, "capacity", 0, q->capacity);
	ADD_WORD(w, "flags", 0, q->flags);
	ADD_WORD(w, "max_message", 0, q->max_message);
	add_word(w, "name", 0, q->name, 8);
	add_word(w, "name", 7, q->name + 56, 8);
	ADD_WORD(w, "lanes", 0, q->lanes);
	ADD_WORD(w, "role", 0, q->role);
	ADD_WORD(w, "pipe", 0, q->pipe);
	ADD_WORD(w, "seats", 0, q->seats.more);
	for (unsigned i = 0; i < MPR_SEATS_FIRST; i++)
		ADD_WORD(w, "seat", i, q->seats.seat[i]);
	for (unsigned i = 0; i < LANES && offset; i++) {
		struct mpr_lane *lane = mpr_arena_at(a, offset);

		if (offset % MPR_APART ||
		    !mpr_arena_has(a, offset, mpr_lane_size(CAPACITY)))
			return false;
		add_lane_words(w, lane, i);
		offset = atomic_load(&lane->next);
	}
	return true;
}

static inline uint64_t
read_word(const struct word *word)
{
	return word->size == 8 ?
		       atomic_load((_Atomic uint64_t *)word->p) :
		       atomic_load((_Atomic uint32_t *)word->p);
}

static inline void
write_word(const struct word *word, uint64_t value)
{
	if (word->size == 8)
		atomic_store((_Atomic uint64_t *)word->p, value);
	else
		atomic_store((_Atomic uint32_t *)word->p, (uint32_t)value);
}

/* One of VALUES values that are worth trying where @old was. */
static inline uint64_t
hostile_value(const struct words *w, uint64_t old, unsigned n,
	      struct mpt_rand *rand)
{
	const uint64_t values[VALUES - 1] = {
		0, 1, 2, 3, UINT64_MAX, UINT64_C(1) << 63, UINT64_C(1) << 40,
		old + 1, old - 1, old + 16, old - 16, old ^ 2,
		old + CAPACITY, old - CAPACITY,
		w->lane, w->queue,	  /* cycles, one thing for another */
		w->lane + 64,		  /* not where something starts */
		w->arena - 64, w->arena + 64,
		MPR_QUEUE_CAPACITY_MAX, /* a good one that is not ours */
	};

	return n < VALUES - 1 ? values[n] : mpt_rand_next(rand);
}

/* A call that was given a few milliseconds must not take longer than this. */
static inline int64_t
bound(void)
{
	const char *slow = getenv("MPT_SLOW");

	return (slow ? atoi(slow) : 1) * INT64_C(2000000000);
}

/* How often to do something. */
static inline unsigned
rounds(unsigned quick, unsigned normal, unsigned full)
{
	const char *level = getenv("MPT_LEVEL");

	if (level && strcmp(level, "quick") == 0)
		return quick;
	return level && strcmp(level, "full") == 0 ? full : normal;
}

static inline bool
put_may_return(int r)
{
	return r == 0 || r == -EAGAIN || r == -ETIMEDOUT || r == -ESHUTDOWN ||
	       r == -ESTALE || r == -EINVAL || r == -EBADMSG ||
	       r == -EMSGSIZE || r == -ENOMEM || r == -ENOSPC;
}

static inline bool
get_may_return(int r)
{
	return put_may_return(r) || r == -EBUSY;
}

/* Puts and gets whose return, time and memory are checked. */

static inline int
checked_put(struct mpt *t, mproc_queue *q, size_t len, mproc_timeout timeout)
{
	int64_t begin = mproc_now();
	unsigned char *msg = malloc(len + 1); /* its end is the sanitizer's */
	int r;

	mpt_check(t, msg);
	memset(msg, (int)len, len);
	r = mproc_queue_put(q, msg, len, timeout);
	free(msg);
	if (!put_may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "put: %s", mproc_strerror(r));
	mpt_check(t, mproc_now() - begin < bound());
	return r;
}

static inline int
checked_get(struct mpt *t, mproc_queue *q, size_t size, mproc_timeout timeout)
{
	unsigned char bytes[GUARD + LEN_MAX + GUARD];
	int64_t begin = mproc_now();
	size_t len = 0;
	int r;

	memset(bytes, 0xa5, sizeof(bytes));
	r = mproc_queue_get(q, bytes + GUARD, size, &len, timeout);
	if (!get_may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "get: %s", mproc_strerror(r));
	if (r == 0)
		mpt_check(t, len <= size);
	for (size_t i = 0; i < sizeof(bytes); i++)
		mpt_check(t, bytes[i] == 0xa5 ||
				     (i >= GUARD && i < GUARD + size));
	mpt_check(t, mproc_now() - begin < bound());
	return r;
}

/* In batches, or, if @parts, one message. Returns as put does. */
static inline int
checked_put_many(struct mpt *t, mproc_queue *q, size_t len, bool parts,
		 mproc_timeout timeout)
{
	int64_t begin = mproc_now();
	struct iovec iov[BATCH];
	int r;

	for (int i = 0; i < BATCH; i++) {
		/* No message is longer than the buffers of those who get. */
		iov[i].iov_len = parts ? len / BATCH :
					 (len + (size_t)i * 31) % LEN_MAX;
		iov[i].iov_base = malloc(iov[i].iov_len + 1);
		mpt_check(t, iov[i].iov_base);
		memset(iov[i].iov_base, i, iov[i].iov_len);
	}
	if (parts)
		r = mproc_queue_putv(q, iov, BATCH, timeout);
	else
		r = mproc_queue_put_many(q, iov, BATCH, timeout);
	for (int i = 0; i < BATCH; i++)
		free(iov[i].iov_base);
	mpt_check(t, r <= BATCH && (parts || r != 0));
	r = r > 0 ? 0 : r;
	if (!put_may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "put_many: %s",
			 mproc_strerror(r));
	mpt_check(t, mproc_now() - begin < bound());
	return r;
}

static inline int
checked_get_many(struct mpt *t, mproc_queue *q, size_t size,
		 mproc_timeout timeout)
{
	unsigned char bytes[GUARD + LEN_MAX + GUARD];
	struct iovec msgs[BATCH + 1];
	int64_t begin = mproc_now();
	size_t at = 0;
	int r;

	memset(bytes, 0xa5, sizeof(bytes));
	memset(msgs, 0xa5, sizeof(msgs));
	r = mproc_queue_get_many(q, bytes + GUARD, size, msgs, BATCH, timeout);
	mpt_check(t, r <= BATCH && r != 0);
	for (int i = 0; i < r; i++) {
		mpt_check(t, msgs[i].iov_base == bytes + GUARD + at);
		mpt_check(t, msgs[i].iov_len <= size - at);
		at += msgs[i].iov_len;
	}
	/* Behind the last there is nothing. */
	mpt_check_int(t, msgs[BATCH].iov_len, UINT64_C(0xa5a5a5a5a5a5a5a5));
	r = r > 0 ? 0 : r;
	if (!get_may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "get_many: %s",
			 mproc_strerror(r));
	for (size_t i = 0; i < sizeof(bytes); i++)
		mpt_check(t, bytes[i] == 0xa5 ||
				     (i >= GUARD && i < GUARD + size));
	mpt_check(t, mproc_now() - begin < bound());
	return r;
}

static inline void
checked_stat(struct mpt *t, mproc_queue *q)
{
	int64_t begin = mproc_now();
	struct mproc_queue_stat st;
	int r = mproc_queue_stat(q, &st);

	if (!put_may_return(r))
		mpt_fail(t, __FILE__, __LINE__, "stat: %s", mproc_strerror(r));
	if (r == 0)
		mpt_check(t, strnlen(st.name, sizeof(st.name)) <
				     sizeof(st.name));
	mpt_check(t, mproc_now() - begin < bound());
}

#endif
