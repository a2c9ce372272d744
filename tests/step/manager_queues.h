/* SPDX-License-Identifier: MIT */
/*
 * Requests for queues, with messages of the letters 'a', 'b', ..., and what becomes of
 * these: see manager_objects.h.
 */
#ifndef STEP_MANAGER_QUEUES_H
#define STEP_MANAGER_QUEUES_H

#include "letters.h"
#include "manager_objects.h"

enum { LETTERS = 4 };

static inline int
find_queues(mproc_manager *m)
{
	const struct mproc_queue_opts ack = {
		.struct_size = sizeof(ack), .ack = true, .max_redeliveries = -1,
	};
	const struct mproc_queue_opts narrow = {
		.struct_size = sizeof(narrow), .max_items = 1,
	};
	int r = mproc_manager_queue(m, "queue", NULL, &objects.queue);

	if (r == 0)
		r = mproc_manager_queue(m, "ack", &ack, &objects.ack);
	return r < 0 ? r : mproc_manager_queue(m, "narrow", &narrow, &objects.narrow);
}

static inline int
put(mproc_queue *q, char c, mproc_timeout timeout)
{
	char text[LEN + 1];

	text_of(text, c);
	return mproc_queue_put(q, text, LEN, timeout);
}

static inline void
fill(mproc_queue *q, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(put(q, (char)('a' + i), MPROC_NOWAIT), 0);
}

/* Returns the letter of a whole message, or an error. */
static inline int
get(mproc_queue *q, mproc_timeout timeout)
{
	char text[LEN + 1], whole[LEN + 1];
	size_t len;
	int r = mproc_queue_get(q, text, LEN, &len, timeout);

	if (r < 0)
		return r;
	text_of(whole, text[0]);
	return len == LEN && memcmp(text, whole, LEN) == 0 ? text[0] : -EBADMSG;
}

static inline int
get_any(mproc_queue *q)
{
	int r = get(q, BOUND);

	return r < 0 ? r : 0;
}

/* How often each letter is found. */
struct found {
	unsigned n[LETTERS];
};

/* All that there is is taken, and done if that is to be. */
static inline struct found
drain(mproc_queue *q)
{
	struct found found = { { 0 } };
	int r;

	while ((r = get(q, MPROC_NOWAIT)) >= 0) {
		assert_in_range(r, 'a', 'a' + LETTERS - 1);
		found.n[r - 'a']++;
		if (q == objects.ack)
			assert_int_equal(mproc_queue_task_done(q), 0);
	}
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(mproc_queue_len(q), 0);
	if (q == objects.ack)
		assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), 0);
	return found;
}

static inline int
queue_put(struct scene *s)
{
	(void)s;
	return put(objects.queue, 'b', BOUND);
}

static inline int
ack_put(struct scene *s)
{
	(void)s;
	return put(objects.ack, 'b', BOUND);
}

static inline void
expect_put(mproc_queue *q, bool finished)
{
	struct found found = drain(q);

	assert_in_range(found.n[1], finished, 1);
	assert_int_equal(found.n[0] + found.n[2] + found.n[3], 0);
}

static inline void
queue_put_check(struct scene *s, bool finished)
{
	(void)s;
	expect_put(objects.queue, finished);
}

static inline void
ack_put_check(struct scene *s, bool finished)
{
	(void)s;
	expect_put(objects.ack, finished);
}

static inline void
queue_begin(struct scene *s)
{
	(void)s;
	fill(objects.queue, ITEMS);
}

static inline void
ack_begin(struct scene *s)
{
	(void)s;
	fill(objects.ack, ITEMS);
}

static inline int
queue_get(struct scene *s)
{
	(void)s;
	return get_any(objects.queue);
}

static inline int
ack_get(struct scene *s)
{
	(void)s;
	return get_any(objects.ack);
}

static inline int
ack_done(struct scene *s)
{
	(void)s;
	return mproc_queue_task_done(objects.ack);
}

static inline void
expect_first_gone(mproc_queue *q, bool finished)
{
	struct found found = drain(q);

	assert_in_range(found.n[0], 0, !finished);
	for (int i = 1; i < LETTERS; i++)
		assert_int_equal(found.n[i], i < ITEMS);
}

/* The one in the victim's hands may be lost. */
static inline void
queue_get_check(struct scene *s, bool finished)
{
	(void)s;
	expect_first_gone(objects.queue, finished);
}

static inline void
ack_done_check(struct scene *s, bool finished)
{
	(void)s;
	expect_first_gone(objects.ack, finished);
}

/* Each once, whoever has had it. */
static inline void
ack_get_check(struct scene *s, bool finished)
{
	struct found found = drain(objects.ack);

	(void)s;
	(void)finished;
	for (int i = 0; i < LETTERS; i++)
		assert_int_equal(found.n[i], i < ITEMS);
}

#endif
