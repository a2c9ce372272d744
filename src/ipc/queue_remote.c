/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/queue_remote.h"
#include "os/clock.h"
#include "sync/remote.h"

#define LEN 4 /* MPR_OP_LEN of containers/remote.h */
#define LENGTH 4 /* bytes of one */
#define PEEK_FIRST ((size_t)4 << 10) /* bytes of memory for a message, if that is enough */

void
mpr_queue_write_length(unsigned char to[4], size_t len)
{
	for (int i = 0; i < LENGTH; i++)
		to[i] = (unsigned char)(len >> (24 - 8 * i));
}

size_t
mpr_queue_read_length(const unsigned char from[4])
{
	return (size_t)from[0] << 24 | (size_t)from[1] << 16 | (size_t)from[2] << 8 |
	       (size_t)from[3];
}

static int
nonsense(const mproc_queue *q)
{
	return mpr_fail(-EBADMSG, "what came for queue %p are no messages",
			(const void *)q);
}

/* What is over when it is asked for is not waited for. */
static int
ask_to_wait(mproc_queue *q, struct mpr_remote_ask *ask, mproc_timeout timeout)
{
	int r;

	ask->args[0] = mpr_remote_thread();
	if (ask->args[0] < 0)
		return (int)ask->args[0];
	ask->args[1] = mpr_remote_time(timeout);
	ask->takes = ask->op == MPR_OP_QUEUE_GET;
	ask->waits = true;
	r = mpr_remote_ask(MPR_QUEUE_CELL, q, ask);
	return r == -EAGAIN && timeout.ns ? -ETIMEDOUT : r;
}

/*
 * Putting.
 */

static int
put(mproc_queue *q, const unsigned char *lengths, int n, const void *bytes, size_t len,
    mproc_timeout timeout)
{
	struct mpr_remote_ask ask = {
		.op = MPR_OP_QUEUE_PUT,
		.n_args = 2,
		.sent = { { (void *)(uintptr_t)lengths, (size_t)n * LENGTH },
			  { (void *)(uintptr_t)bytes, len } },
		.n_sent = 2,
	};
	int r = mpr_queue_remote_check_held(q, false);

	if (r < 0)
		return r;
	r = ask_to_wait(q, &ask, timeout);
	return r > n || r == 0 ? nonsense(q) : r;
}

int
mpr_queue_remote_too_long(size_t len)
{
	return mpr_fail(-EMSGSIZE, "a message of %zu bytes, a manager takes at most "
			"%d", len, INT32_MAX);
}

/* Parts one behind the other. */
static unsigned char *
gather(const struct iovec *parts, int n, size_t len)
{
	unsigned char *bytes = mpr_malloc(len + 1);
	size_t at = 0, part;

	for (int i = 0; i < n && bytes; i++) {
		/* Someone may have changed them since they were added up. */
		part = parts[i].iov_len < len - at ? parts[i].iov_len : len - at;
		if (part)
			memcpy(bytes + at, parts[i].iov_base, part);
		at += part;
	}
	if (!bytes)
		mpr_fail(-ENOMEM, "no memory for a request of %zu bytes", len);
	return bytes;
}

int
mpr_queue_remote_put(mproc_queue *q, const struct iovec *parts, int n, size_t len,
		     mproc_timeout timeout)
{
	unsigned char length[LENGTH], *bytes = NULL;
	int r;

	if (len > INT32_MAX)
		return mpr_queue_remote_too_long(len);
	mpr_queue_write_length(length, len);
	if (n > 1) {
		bytes = gather(parts, n, len);
		if (!bytes)
			return -ENOMEM;
	}
	r = put(q, length, 1, n == 1 ? parts[0].iov_base : bytes, len, timeout);
	free(bytes);
	return r < 0 ? r : 0;
}

/* How many of @msgs are put at once, *@ret_len bytes: up to one that can never be. */
static int
count(const struct iovec *msgs, int n, size_t *ret_len)
{
	int i;

	*ret_len = 0;
	for (i = 0; i < n && i < MPR_QUEUE_MANY; i++) {
		if ((!msgs[i].iov_base && msgs[i].iov_len) ||
		    msgs[i].iov_len > INT32_MAX - *ret_len)
			break;
		*ret_len += msgs[i].iov_len;
	}
	return i;
}

static int
put_some(mproc_queue *q, const struct iovec *msgs, int n, size_t len,
	 mproc_timeout timeout)
{
	unsigned char *lengths = mpr_malloc((size_t)n * LENGTH), *bytes;
	int r = -ENOMEM;

	if (!lengths)
		return mpr_fail(r, "no memory for a request of %d messages", n);
	for (int i = 0; i < n; i++)
		mpr_queue_write_length(lengths + i * LENGTH, msgs[i].iov_len);
	bytes = gather(msgs, n, len);
	if (bytes)
		r = put(q, lengths, n, bytes, len, timeout);
	free(bytes);
	free(lengths);
	return r;
}

int
mpr_queue_remote_put_many(mproc_queue *q, const struct iovec *msgs, int n,
			  mproc_timeout timeout)
{
	size_t len;
	int r;

	n = count(msgs, n, &len);
	if (!n)
		return mpr_queue_remote_too_long(msgs[0].iov_len);
	/* A message to the manager may have less than all of them. */
	while ((r = put_some(q, msgs, n, len, timeout)) == -EMSGSIZE && n > 1) {
		n /= 2;
		len = 0;
		for (int i = 0; i < n; i++)
			len += msgs[i].iov_len;
	}
	return r;
}

/*
 * Getting.
 */

/* The next message is longer than its place, or than an answer may be. */
static int
does_not_fit(int64_t len, size_t size)
{
	if ((uint64_t)len > size)
		return mpr_fail(-EMSGSIZE, "a message of %lld bytes, the buffer has "
				"%zu", (long long)len, size);
	return mpr_fail(-EMSGSIZE, "a message of %lld bytes is longer than an answer "
			"of the manager's may be", (long long)len);
}

/* Where @n messages lie in @buf. */
static bool
spread(const struct iovec *lengths, size_t len, unsigned char *buf,
       struct iovec *ret_msgs, int n)
{
	const unsigned char *from = lengths->iov_base;
	size_t at = 0, one;

	if (lengths->iov_len != (size_t)n * LENGTH)
		return false;
	for (int i = 0; i < n; i++) {
		one = mpr_queue_read_length(from + i * LENGTH);
		if (one > len - at)
			return false;
		ret_msgs[i] = (struct iovec){ buf ? buf + at : buf, one };
		at += one;
	}
	return at == len;
}

static int
get_some(mproc_queue *q, void *buf, size_t size, unsigned char *lengths,
	 struct iovec *ret_msgs, int n, mproc_timeout timeout)
{
	struct mpr_remote_ask ask = {
		.op = MPR_OP_QUEUE_GET,
		.n_args = 4,
		.args = { 0, 0, size < INT32_MAX ? (int64_t)size : INT32_MAX, n },
		.n_rets = 1,
		.got = { { lengths, (size_t)n * LENGTH }, { buf, size } },
		.n_got = 2,
	};
	int r = ask_to_wait(q, &ask, timeout);

	if (r == 0 && ask.rets[0] >= 0) {
		ret_msgs[0] = (struct iovec){ NULL, (size_t)ask.rets[0] };
		r = does_not_fit(ask.rets[0], size);
	} else if (r == 0 || r > n || (r > 0 && !spread(&ask.got[0],
							ask.got[1].iov_len, buf,
							ret_msgs, r))) {
		r = nonsense(q);
	}
	return r;
}

int
mpr_queue_remote_get_many(mproc_queue *q, void *buf, size_t size,
			  struct iovec *ret_msgs, int n, mproc_timeout timeout)
{
	unsigned char one[LENGTH], *lengths = one;
	int r = mpr_queue_remote_check_held(q, true);

	if (r < 0)
		return r;
	if (n > MPR_QUEUE_MANY)
		n = MPR_QUEUE_MANY;
	if (n > 1)
		lengths = mpr_malloc((size_t)n * LENGTH);
	if (!lengths)
		return mpr_fail(-ENOMEM, "no memory for %d messages", n);
	r = get_some(q, buf, size, lengths, ret_msgs, n, timeout);
	if (lengths != one)
		free(lengths);
	return r;
}

int
mpr_queue_remote_get(mproc_queue *q, void *buf, size_t size, size_t *ret_len,
		     mproc_timeout timeout)
{
	struct iovec msg = { NULL, 0 };
	int r = mpr_queue_remote_get_many(q, buf, size, &msg, 1, timeout);

	if (ret_len && (r > 0 || r == -EMSGSIZE))
		*ret_len = msg.iov_len;
	return r < 0 ? r : 0;
}

/* One of up to @size bytes. Returns 0; 1 if the next one has more, *@ret_len; an error. */
static int
take_into(mproc_queue *q, void *bytes, size_t size, size_t *ret_len,
	  mproc_timeout timeout)
{
	unsigned char length[LENGTH];
	struct mpr_remote_ask ask = {
		.op = MPR_OP_QUEUE_GET,
		.n_args = 4,
		.args = { 0, 0, (int64_t)size, 0 },
		.n_rets = 1,
		.got = { { length, LENGTH }, { bytes, size } },
		.n_got = 2,
	};
	int r = ask_to_wait(q, &ask, timeout);
	bool is_longer = r == 0 && ask.rets[0] > (int64_t)size &&
			 ask.rets[0] <= INT32_MAX;

	*ret_len = is_longer ? (size_t)ask.rets[0] : ask.got[1].iov_len;
	if (is_longer)
		return 1;
	if (r == 0 && ask.rets[0] >= 0)
		return does_not_fit(ask.rets[0], INT32_MAX);
	return r < 0 ? r : r == 1 ? 0 : nonsense(q);
}

int
mpr_queue_remote_take(mproc_queue *q, void **ret_bytes, size_t *ret_len,
		      mproc_timeout timeout)
{
	size_t size = PEEK_FIRST;
	void *bytes;
	int r;

	if (timeout.ns)
		timeout = mproc_until(mpr_deadline(timeout));
	for (;;) {
		bytes = mpr_malloc(size);
		if (!bytes)
			return mpr_fail(-ENOMEM, "no memory for a message of up to "
					"%zu bytes", size);
		r = take_into(q, bytes, size, ret_len, timeout);
		if (r <= 0)
			break;
		free(bytes);
		/* Twice as much at least, as this is to come to an end. */
		size = *ret_len > 2 * size ? *ret_len : 2 * size;
	}
	if (r < 0)
		free(bytes);
	else
		*ret_bytes = bytes;
	return r;
}

/*
 * What was taken.
 */

static int
simply(int r)
{
	return r < 0 ? r : 0;
}

/* What is shown may be the one. */
static int
end_oldest(mproc_queue *q, unsigned op)
{
	int r = mpr_queue_remote_check_held(q, true);

	return r < 0 ? r : simply(mpr_remote_ask_as(MPR_QUEUE_CELL, q, op));
}

int
mpr_queue_remote_done(mproc_queue *q)
{
	return end_oldest(q, MPR_OP_QUEUE_DONE);
}

int
mpr_queue_remote_requeue(mproc_queue *q)
{
	return end_oldest(q, MPR_OP_QUEUE_REQUEUE);
}

int
mpr_queue_remote_join(mproc_queue *q, mproc_timeout timeout)
{
	struct mpr_remote_ask ask = { .op = MPR_OP_QUEUE_JOIN, .n_args = 2 };

	return simply(ask_to_wait(q, &ask, timeout));
}

int
mpr_queue_remote_dead_letters(mproc_queue *q, mproc_queue **ret_dlq)
{
	struct mpr_remote_ask ask = { .op = MPR_OP_QUEUE_DEAD_LETTERS, .n_rets = 1 };
	const struct mpr_remote *remote = mpr_remote_at(q);
	void *handle;
	int r = mpr_remote_ask(MPR_QUEUE_CELL, q, &ask);

	if (r < 0)
		return r;
	/* By the same connection. */
	r = mpr_remote_beside(remote, ask.rets[0], &handle);
	if (r == 0)
		*ret_dlq = handle;
	return r;
}

/*
 * The queue.
 */

int
mpr_queue_remote_shutdown(mproc_queue *q, unsigned flags)
{
	struct mpr_remote_ask ask = {
		.op = MPR_OP_QUEUE_SHUTDOWN, .n_args = 1, .args = { flags },
	};

	return simply(mpr_remote_ask(MPR_QUEUE_CELL, q, &ask));
}

size_t
mpr_queue_remote_len(mproc_queue *q)
{
	struct mpr_remote_ask ask = { .op = LEN, .n_rets = 1 };
	int r = mpr_remote_ask(MPR_QUEUE_CELL, q, &ask);

	return r < 0 || ask.rets[0] < 0 ? 0 : (size_t)ask.rets[0];
}

void
mpr_queue_remote_destroy(mproc_queue *q)
{
	(void)mpr_remote_destroy(MPR_QUEUE_CELL, q);
}

/* Where the figures are that have 64 bits. */
static uint64_t *
figure(struct mproc_queue_stat *st, int i)
{
	uint64_t *const all[] = {
		&st->capacity, &st->max_message, &st->depth, &st->bytes, &st->puts,
		&st->gets, &st->lanes, &st->producers, &st->sleeping_producers,
		&st->consumers, &st->sleeping_consumers, &st->max_items, &st->held,
		&st->dead_letters,
	};

	static_assert(sizeof(all) / sizeof(all[0]) + 2 == MPR_QUEUE_FIGURES,
		      "and two others");
	return all[i];
}

static void
write_figure(unsigned char *to, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		to[i] = (unsigned char)(value >> (56 - 8 * i));
}

static uint64_t
read_figure(const unsigned char *from)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | from[i];
	return value;
}

void
mpr_queue_write_stat(unsigned char to[8 * MPR_QUEUE_FIGURES],
		     const struct mproc_queue_stat *stat)
{
	struct mproc_queue_stat copy = *stat;

	write_figure(to, (uint64_t)stat->state);
	write_figure(to + 8, stat->single_consumer);
	for (int i = 2; i < MPR_QUEUE_FIGURES; i++)
		write_figure(to + 8 * i, *figure(&copy, i - 2));
}

void
mpr_queue_read_stat(struct mproc_queue_stat *ret, const unsigned char *from)
{
	ret->state = (int)(read_figure(from) & INT_MAX);
	ret->single_consumer = read_figure(from + 8) != 0;
	for (int i = 2; i < MPR_QUEUE_FIGURES; i++)
		*figure(ret, i - 2) = read_figure(from + 8 * i);
}

int
mpr_queue_remote_stat(mproc_queue *q, struct mproc_queue_stat *ret_stat)
{
	unsigned char figures[8 * MPR_QUEUE_FIGURES];
	struct mproc_queue_stat st = { .state = 0 };
	struct mpr_remote_ask ask = {
		.op = MPR_OP_QUEUE_STAT,
		.got = { { st.name, sizeof(st.name) - 1 }, { figures, sizeof(figures) } },
		.n_got = 2,
	};
	int r = mpr_remote_ask(MPR_QUEUE_CELL, q, &ask);

	if (r >= 0 && ask.got[1].iov_len != sizeof(figures))
		r = nonsense(q);
	if (r >= 0) {
		mpr_queue_read_stat(&st, figures);
		*ret_stat = st;
	}
	return simply(r);
}
