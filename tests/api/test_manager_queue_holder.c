/* SPDX-License-Identifier: MIT */
/*
 * A client that takes nothing of a message that others wait for, and has something: it
 * keeps that for as long as it likes, as somebody in the family does who is stopped.
 */
#include "manager_queue.h"
#include "manager_queue_raw.h"

enum { BIG = 1 << 20 }; /* more than the kernel takes for a connection */

/* What it has; or nothing. */
enum hold { A_LOCK, A_MESSAGE, A_ROLE, A_LETTER, NOTHING, KINDS };

struct holder {
	int fd;
	char name[sizeof(((struct board *)0)->name)]; /* of the queue that is drained */
	char has[sizeof(((struct board *)0)->name)]; /* of what it has */
	mproc_queue *q;
};

static void
make(struct mpt *t, char *name, const struct mproc_queue_opts *opts, mproc_queue **ret)
{
	memcpy(name, new_queue(t, opts)->name, sizeof(((struct board *)0)->name));
	assert_int_equal(mproc_manager_queue(client, name, NULL, ret), 0);
}

static void
have_lock(struct holder *h)
{
	unsigned char request[18] = { 0, 0, 0, 14, 0x95, 2, 64 }, answer[6];
	unsigned char number[9];
	mproc_lock *lock;

	snprintf(h->has, sizeof(h->has), "held");
	assert_int_equal(mproc_manager_lock(client, h->has, &lock), 0);
	find_object_raw(h->fd, 8, h->has, number);
	memcpy(request + 7, number, 9);
	memcpy(request + 16, "\1\0", 2);
	assert_int_equal(send(h->fd, request, 18, 0), 18);
	read_bytes(h->fd, answer, 6);
	assert_memory_equal(answer + 4, "\222\2", 2);
	read_bytes(h->fd, answer, 1);
	assert_int_equal(answer[0], 0);
}

/* It has the message, or, of a queue that does not keep it, is the only consumer. */
static void
have_message(struct mpt *t, struct holder *h, const struct mproc_queue_opts *opts)
{
	unsigned char number[9], answer[17];
	mproc_queue *q;

	make(t, h->has, opts, &q);
	find_raw(h->fd, h->has, number);
	ask_raw(h->fd, number);
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), 0);
	read_bytes(h->fd, answer, 17);
	assert_int_equal(answer[16], 'x');
}

/* It asks for that, and nobody joins. */
static void
ask_for_letter(struct mpt *t, struct holder *h, unsigned char *big)
{
	unsigned char number[9], letters[9];
	mproc_manager *dies = connect_to(server);
	mproc_queue *has, *dlq;
	size_t len;

	assert_int_equal(mproc_manager_queue(dies, h->name, NULL, &has), 0);
	assert_int_equal(mproc_queue_put(h->q, big, BIG, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get(has, big, BIG, &len, MPROC_NOWAIT), 0);
	mproc_manager_close(dies);
	assert_int_equal(mproc_queue_dead_letters(h->q, &dlq), 0);
	mpt_until(t, mproc_queue_len(dlq) == 1);
	find_raw(h->fd, h->name, number);
	find_letters_raw(h->fd, number, letters);
	ask_raw(h->fd, letters);
	mpt_until(t, mproc_queue_len(dlq) == 0);
}

static void
ask_for_message(struct mpt *t, struct holder *h, const unsigned char *big)
{
	unsigned char number[9];

	find_raw(h->fd, h->name, number);
	ask_raw(h->fd, number);
	assert_int_equal(mproc_queue_put(h->q, big, BIG, MPROC_NOWAIT), 0);
	mpt_until(t, mproc_queue_len(h->q) == 0);
}

static void
begin(struct mpt *t, struct holder *h, enum hold kind, unsigned char *big)
{
	h->fd = connect_raw(server);
	make(t, h->name, MPROC_OPTS(mproc_queue_opts, .joinable = kind == A_LETTER),
	     &h->q);
	memset(big, 'a' + (int)kind, BIG);
	if (kind == A_LOCK)
		have_lock(h);
	else if (kind == A_MESSAGE)
		have_message(t, h, MPROC_OPTS(mproc_queue_opts, .ack = true));
	else if (kind == A_ROLE)
		have_message(t, h, MPROC_OPTS(mproc_queue_opts,
					      .single_consumer = true));
	if (kind == A_LETTER)
		ask_for_letter(t, h, big);
	else
		ask_for_message(t, h, big);
}

/* The end of the answer is the message. */
static void
read_big(struct holder *h, unsigned char *got)
{
	unsigned char head[256];
	size_t left;

	read_bytes(h->fd, head, 4);
	left = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	assert_in_range(left, BIG, BIG + sizeof(head));
	read_bytes(h->fd, head, left - BIG);
	read_bytes(h->fd, got, BIG);
}

static void
has_still(struct mpt *t, struct holder *h, enum hold kind)
{
	struct note n;
	mproc_lock *lock;
	mproc_queue *q;

	switch (kind) {
	case A_LOCK:
		assert_int_equal(mproc_manager_lock(client, h->has, &lock), 0);
		assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), -EAGAIN);
		close(h->fd);
		assert_int_equal(mproc_lock_acquire(lock, mproc_sec(20)),
				 MPROC_OWNER_DIED);
		assert_int_equal(mproc_lock_release(lock), 0);
		mproc_lock_destroy(lock);
		return;
	case A_MESSAGE:
		assert_int_equal(mproc_manager_queue(client, h->has, NULL, &q), 0);
		assert_int_equal(mproc_queue_get(q, &n, 1, NULL, MPROC_NOWAIT), -EAGAIN);
		assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), -EAGAIN);
		close(h->fd);
		assert_int_equal(mproc_queue_get(q, &n, 1, NULL, mproc_sec(20)), 0);
		assert_int_equal(mproc_queue_task_done(q), 0);
		mproc_queue_destroy(q);
		return;
	case A_ROLE:
		assert_int_equal(mproc_manager_queue(client, h->has, NULL, &q), 0);
		assert_int_equal(mproc_queue_get(q, &n, 1, NULL, MPROC_NOWAIT), -EBUSY);
		close(h->fd);
		mpt_until(t, mproc_queue_get(q, &n, 1, NULL, MPROC_NOWAIT) == -EAGAIN);
		mproc_queue_destroy(q);
		return;
	default:
		close(h->fd);
	}
}

static void
who_has_something_is_not_cut_off(void **state)
{
	struct mpt *t = *state;
	unsigned char *big = malloc(BIG), *got = malloc(BIG);
	struct holder all[KINDS];
	size_t len;

	assert_true(big && got);
	for (int i = 0; i < KINDS; i++)
		begin(t, &all[i], (enum hold)i, big);
	/* The last one is that one who has to go, which is seen by its message. */
	for (int i = 0; i < KINDS; i++)
		if (i != A_LETTER)
			assert_int_equal(mproc_queue_shutdown(all[i].q, MPROC_DRAIN), 0);
	assert_int_equal(mproc_queue_get(all[NOTHING].q, got, BIG, &len, mproc_sec(20)),
			 0);
	assert_memory_equal(got, big, BIG);
	for (int i = 0; i < NOTHING; i++) {
		assert_int_equal(mproc_queue_get(all[i].q, got, BIG, &len,
						 MPROC_NOWAIT), -EAGAIN);
		read_big(&all[i], got);
		assert_true(got[0] == 'a' + i && got[BIG - 1] == 'a' + i);
		has_still(t, &all[i], (enum hold)i);
	}
	close(all[NOTHING].fd);
	for (int i = 0; i < KINDS; i++)
		mproc_queue_destroy(all[i].q);
	free(big);
	free(got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_has_something_is_not_cut_off),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
