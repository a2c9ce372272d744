/* SPDX-License-Identifier: MIT */
/*
 * A client that takes its message slowly, or late, while the family drains the queue, is
 * not cut off.
 */
#include "manager_queue.h"
#include "manager_queue_raw.h"

enum { PART = 48 << 10, PARTS = 4 };

/* One who has asked for a message of which the kernel does not have the last parts. */
struct slow {
	int fd;
	unsigned char *bytes;
	size_t len, got;
	mproc_queue *found;
	int64_t read_at; /* ns */
};

static int64_t
clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void
read_some(struct slow *s, size_t n)
{
	if (n > s->len - s->got)
		n = s->len - s->got;
	read_bytes(s->fd, s->bytes + s->got, n);
	s->got += n;
	s->read_at = clock_now();
}

static void
begin(struct mpt *t, struct slow *s)
{
	struct board *b = new_queue(t, NULL);
	unsigned char number[9], head[32];
	socklen_t size = sizeof(int);
	mproc_queue *q;
	void *found;
	size_t left;
	int room;

	*s = (struct slow){ .fd = connect_raw(server) };
	assert_int_equal(getsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &room, &size), 0);
	s->len = (size_t)room + (size_t)PARTS * PART;
	s->bytes = malloc(s->len);
	assert_non_null(s->bytes);
	memset(s->bytes, 'x', s->len);
	s->bytes[s->len - 1] = 'y';
	assert_int_equal(mproc_manager_queue(client, b->name, NULL, &q), 0);
	assert_int_equal(mproc_arena_find(NULL, b->name, &found, MPROC_NOWAIT), 0);
	s->found = found;
	find_raw(s->fd, b->name, number);
	ask_raw(s->fd, number);
	assert_int_equal(mproc_queue_put(q, s->bytes, s->len, MPROC_NOWAIT), 0);
	mpt_until(t, mproc_queue_len(q) == 0);
	memset(s->bytes, 0, s->len);
	/* The end of the answer is the message. */
	read_bytes(s->fd, head, 4);
	left = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	assert_in_range(left, s->len, s->len + sizeof(head));
	read_bytes(s->fd, head, left - s->len);
	s->read_at = clock_now();
}

static void
end_slow(struct slow *s)
{
	close(s->fd);
	free(s->bytes);
	mproc_queue_destroy(s->found);
}

/* The rest of it is there, too. */
static void
read_all(struct slow *s)
{
	unsigned char none;

	read_some(s, s->len);
	assert_true(s->bytes[0] == 'x' && s->bytes[s->len - 1] == 'y');
	assert_int_equal(mproc_queue_get(s->found, &none, 1, NULL, mproc_sec(20)),
			 -ESHUTDOWN);
}

/* Waits for what may come back; what does is longer. Returns whether it did because we
 * were kept from reading for too long, which says nothing. */
static bool
was_kept(const struct slow *s, mproc_timeout timeout, int *ret)
{
	unsigned char none;

	*ret = mproc_queue_get(s->found, &none, 1, NULL, timeout);
	return *ret == -EMSGSIZE && clock_now() - s->read_at > INT64_C(1800000000);
}

static void
who_takes_it_slowly_gets_it(void **state)
{
	struct mpt *t = *state;
	struct slow s;
	bool kept;
	int r;

	do {
		begin(t, &s);
		assert_int_equal(mproc_queue_shutdown(s.found, MPROC_DRAIN), 0);
		kept = was_kept(&s, mproc_sec(1), &r);
		/* Of the last parts the kernel has nothing. */
		while (!kept && r != -ESHUTDOWN) {
			assert_int_equal(r, -ETIMEDOUT);
			read_some(&s, PART);
			kept = was_kept(&s, mproc_sec(1), &r);
		}
		if (!kept)
			read_all(&s);
		end_slow(&s);
	} while (kept);
}

/* It has taken nothing for long, but nobody has waited for that. */
static void
who_takes_it_late_gets_it(void **state)
{
	struct mpt *t = *state;
	struct slow s;
	bool kept;
	int r;

	do {
		begin(t, &s);
		assert_false(was_kept(&s, mproc_sec(3), &r));
		assert_int_equal(r, -ETIMEDOUT);
		s.read_at = clock_now();
		assert_int_equal(mproc_queue_shutdown(s.found, MPROC_DRAIN), 0);
		kept = was_kept(&s, mproc_sec(1), &r);
		if (!kept) {
			assert_int_equal(r, -ETIMEDOUT);
			read_all(&s);
		}
		end_slow(&s);
	} while (kept);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_takes_it_slowly_gets_it),
		mpt_test(who_takes_it_late_gets_it),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
