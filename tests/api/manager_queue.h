/* SPDX-License-Identifier: MIT */
/*
 * What tests of queues of managers share: messages that say whether they are whole.
 */
#ifndef API_MANAGER_QUEUE_H
#define API_MANAGER_QUEUE_H

#include "manager_modes.h"

static inline mproc_queue *
queue_of(struct mpt *t, unsigned who)
{
	return object_of(t, who, QUEUE);
}

static inline struct board *
new_queue(struct mpt *t, const struct mproc_queue_opts *opts)
{
	struct board *b;

	queue_opts = opts;
	b = new_board(t, QUEUE);
	queue_opts = NULL;
	return b;
}

static inline void
end(struct mpt *t, struct board *b)
{
	mproc_queue *q;

	mpt_join_all(t);
	/* It takes the name away, too. */
	if (mproc_manager_queue(client, b->name, NULL, &q) == 0)
		mproc_queue_destroy(q);
}

/* As the family sees it, which is where it lies. */
static inline struct mproc_queue_stat
stat_of(const struct board *b)
{
	struct mproc_queue_stat st;
	void *q;

	assert_int_equal(mproc_arena_find(NULL, b->name, &q, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_stat(q, &st), 0);
	return st;
}

/* A message that says what it is. */
struct note {
	uint32_t from, number;
	uint64_t sum;
	unsigned char fill[48];
};

static inline uint64_t
sum_of(const struct note *n)
{
	uint64_t sum = n->from * UINT64_C(1000003) + n->number;

	for (unsigned i = 0; i < sizeof(n->fill); i++)
		sum = sum * 31 + n->fill[i];
	return sum;
}

static inline struct note
note(unsigned from, unsigned number)
{
	struct note n = { .from = from, .number = number };

	for (unsigned i = 0; i < sizeof(n.fill); i++)
		n.fill[i] = (unsigned char)(from + number * (i + 1));
	n.sum = sum_of(&n);
	return n;
}

static inline int
put_note(mproc_queue *q, unsigned from, unsigned number, mproc_timeout timeout)
{
	struct note n = note(from, number);

	return mproc_queue_put(q, &n, sizeof(n), timeout);
}

/* Returns its number, or an error. */
static inline int
get_note(mproc_queue *q, struct note *ret, mproc_timeout timeout)
{
	size_t len;
	int r = mproc_queue_get(q, ret, sizeof(*ret), &len, timeout);

	if (r < 0)
		return r;
	return len == sizeof(*ret) && ret->sum == sum_of(ret) ? (int)ret->number :
								 -EBADMSG;
}

/* What nobody puts again. */
static inline void
expect_nothing(mproc_queue *q)
{
	struct note n;

	assert_int_equal(get_note(q, &n, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(get_note(q, &n, mproc_ms(20)), -ETIMEDOUT);
	assert_int_equal(mproc_queue_len(q), 0);
}

static inline int
get_one(struct mpt *t, void *arg)
{
	mproc_queue *q = queue_of(t, number(arg));
	struct board *b = mpt_scratch(t);
	struct note n;

	b->ready++;
	mpt_check(t, get_note(q, &n, mproc_sec(20)) >= 0);
	b->done++;
	return 0;
}

#endif
