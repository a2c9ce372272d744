/* SPDX-License-Identifier: MIT */
/*
 * Queues of a manager, as only clients use them: what becomes of a message on its way,
 * of one who does not read, and of a server that is killed.
 */
#include <errno.h>
#include <unistd.h>

#include "manager_queue.h"
#include "manager_queue_raw.h"

static void
end_queue(const char *name)
{
	mproc_queue *q;

	assert_int_equal(mproc_manager_queue(client, name, NULL, &q), 0);
	mproc_queue_destroy(q);
}

/* More than the kernel takes for a connection, and little for who has no CPU. */
enum { BIG = 1 << 20 };

static void
what_was_not_sent_comes_back(void **state)
{
	struct mpt *t = *state;

	/* Where a death in between would make it a dead letter, too; to a client, or to
	 * the family; and also after a drain. */
	for (int i = 0; i < 8; i++) {
		const bool joinable = i & 1, family = i & 2, drained = i & 4;
		unsigned char *big = malloc(BIG), *got = malloc(BIG), number[9];
		struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
							  .joinable = joinable));
		int fd = connect_raw(server);
		mproc_queue *q, *takes;
		void *found;
		size_t len;

		assert_true(big && got);
		for (unsigned k = 0; k < BIG; k++)
			big[k] = (unsigned char)(k ^ k >> 11);
		assert_int_equal(mproc_manager_queue(client, b->name, NULL, &q), 0);
		assert_int_equal(mproc_arena_find(NULL, b->name, &found, MPROC_NOWAIT),
				 0);
		takes = family ? found : q;
		find_raw(fd, b->name, number);
		ask_raw(fd, number);
		assert_int_equal(mproc_queue_put(q, big, BIG, MPROC_NOWAIT), 0);
		mpt_until(t, stat_of(b).depth == 0);
		come_round(q);
		if (drained)
			assert_int_equal(mproc_queue_shutdown(found, MPROC_DRAIN), 0);
		assert_int_equal(mproc_queue_get(takes, got, BIG, &len, MPROC_NOWAIT),
				 -EAGAIN);
		close(fd);
		memset(got, 0, BIG);
		assert_int_equal(mproc_queue_get(takes, got, BIG, &len, mproc_sec(20)),
				 0);
		assert_int_equal(len, BIG);
		assert_memory_equal(big, got, BIG);
		if (joinable)
			assert_int_equal(mproc_queue_task_done(takes), 0);
		if (drained)
			assert_int_equal(mproc_queue_get(takes, got, BIG, &len,
							 mproc_sec(20)), -ESHUTDOWN);
		else
			expect_nothing(q);
		free(big);
		free(got);
		end_queue(b->name);
	}
}

/* Nothing else comes of it: it is read by the next one, and was no killer. Who does not
 * read it goes, or does not, and others wait for it. */
static void
a_letter_that_was_not_sent_comes_back(void **state)
{
	struct mpt *t = *state;
	const size_t size = sizeof(struct mproc_dead_letter) + BIG;

	for (int i = 0; i < 4; i++) {
		const bool family = i & 1, goes = i & 2;
		unsigned char *bytes = calloc(1, size), number[9], letters[9];
		struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
							  .joinable = true));
		mproc_manager *dies = connect_to(server);
		struct mproc_dead_letter letter;
		mproc_queue *q, *has, *dlq;
		int fd = connect_raw(server);
		void *found;
		size_t len;

		assert_non_null(bytes);
		assert_int_equal(mproc_manager_queue(client, b->name, NULL, &q), 0);
		assert_int_equal(mproc_manager_queue(dies, b->name, NULL, &has), 0);
		assert_int_equal(mproc_arena_find(NULL, b->name, &found, MPROC_NOWAIT),
				 0);
		assert_int_equal(mproc_queue_dead_letters(family ? found : q, &dlq), 0);
		bytes[BIG - 1] = 'x';
		assert_int_equal(mproc_queue_put(q, bytes, BIG, MPROC_NOWAIT), 0);
		assert_int_equal(mproc_queue_get(has, bytes, BIG, &len, MPROC_NOWAIT), 0);
		mproc_manager_close(dies);
		mpt_until(t, stat_of(b).dead_letters == 1);
		find_raw(fd, b->name, number);
		find_letters_raw(fd, number, letters);
		ask_raw(fd, letters);
		mpt_until(t, stat_of(b).dead_letters == 0);
		come_round(q);
		assert_int_equal(mproc_queue_get(dlq, bytes, size, &len, MPROC_NOWAIT),
				 -EAGAIN);
		assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), -EAGAIN);
		assert_int_equal(mproc_queue_join(found, MPROC_NOWAIT), -EAGAIN);
		if (goes)
			close(fd);
		assert_int_equal(mproc_queue_join(family ? found : q, mproc_sec(20)),
				 -EOWNERDEAD);
		assert_int_equal(mproc_queue_get(dlq, bytes, size, &len, mproc_sec(20)),
				 0);
		assert_int_equal(len, size);
		memcpy(&letter, bytes, sizeof(letter));
		assert_int_equal(letter.deaths, 1);
		assert_int_equal(bytes[size - 1], 'x');
		assert_int_equal(mproc_queue_join(q, MPROC_FOREVER), 0);
		if (!goes)
			close(fd);
		free(bytes);
		end_queue(b->name);
	}
}

enum { STUCK = 4 };

/* One takes nothing of a message of a queue that nobody drains, and has it when it does;
 * and one each of others that are drained: it goes to who takes it, a client or the
 * family. */
static void
who_takes_nothing_does_not_hold_up_a_drain(void **state)
{
	struct mpt *t = *state;
	unsigned char *big = malloc(BIG), *got = malloc(BIG), number[9], head[32];
	char name[1 + STUCK][sizeof(((struct board *)0)->name)];
	mproc_queue *q[1 + STUCK];
	int fd[1 + STUCK];
	size_t len, left;
	void *found;

	assert_true(big && got);
	for (unsigned i = 0; i <= STUCK; i++) {
		memset(big, (int)('a' + i), BIG);
		fd[i] = connect_raw(server);
		memcpy(name[i], new_queue(t, MPROC_OPTS(mproc_queue_opts,
				.joinable = i & 1))->name, sizeof(name[i]));
		assert_int_equal(mproc_manager_queue(client, name[i], NULL, &q[i]), 0);
		find_raw(fd[i], name[i], number);
		ask_raw(fd[i], number);
		assert_int_equal(mproc_queue_put(q[i], big, BIG, MPROC_NOWAIT), 0);
		mpt_until(t, mproc_queue_len(q[i]) == 0);
	}
	for (unsigned i = 1; i <= STUCK; i++) {
		assert_int_equal(mproc_arena_find(NULL, name[i], &found, MPROC_NOWAIT),
				 0);
		if (i > STUCK / 2)
			q[i] = found;
		assert_int_equal(mproc_queue_shutdown(q[i], MPROC_DRAIN), 0);
	}
	for (unsigned i = 1; i <= STUCK; i++) {
		assert_int_equal(mproc_queue_get(q[i], got, BIG, &len, mproc_sec(20)),
				 0);
		assert_int_equal(len, BIG);
		assert_true(got[0] == 'a' + i && got[BIG - 1] == 'a' + i);
		if (i & 1)
			assert_int_equal(mproc_queue_task_done(q[i]), 0);
		assert_int_equal(mproc_queue_get(q[i], got, BIG, &len, mproc_sec(20)),
				 -ESHUTDOWN);
	}
	/* It was the first one that took nothing. The end of its answer is the message. */
	read_bytes(fd[0], head, 4);
	left = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	assert_in_range(left, BIG, BIG + sizeof(head));
	read_bytes(fd[0], head, left - BIG);
	read_bytes(fd[0], got, BIG);
	assert_true(got[0] == 'a' && got[BIG - 1] == 'a');
	for (unsigned i = 0; i <= STUCK; i++) {
		close(fd[i]);
		end_queue(name[i]);
	}
	free(big);
	free(got);
}

enum { FAT = 32 << 10, FATS = 100 };

static void
who_does_not_read_keeps_little(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts,
						  .capacity = 4 << 20));
	unsigned char *fat = calloc(1, FAT), number[9];
	int fd = connect_raw(server), n = 0, more = 0;
	mproc_queue *q;

	assert_non_null(fat);
	assert_int_equal(mproc_manager_queue(client, b->name, NULL, &q), 0);
	find_raw(fd, b->name, number);
	for (int i = 0; i < FATS; i++)
		ask_raw(fd, number);
	come_round(q);
	for (int i = 0; i < FATS; i++) {
		fat[0] = (unsigned char)i;
		assert_int_equal(mproc_queue_put(q, fat, FAT, mproc_sec(20)), 0);
	}
	/* Until there is no more, also for the other one. */
	come_round(q);
	while (mproc_queue_get(q, fat, FAT, NULL, MPROC_NOWAIT) == 0)
		n++;
	assert_true(n > FATS / 2 && n < FATS);
	assert_int_equal(mproc_queue_len(q), 0);
	/* What it takes meanwhile makes room for others. */
	read_bytes(fd, fat, FAT);
	close(fd);
	come_round(q);
	while (mproc_queue_get(q, fat, FAT, NULL, MPROC_NOWAIT) == 0)
		more++;
	assert_true(more > 0 && n + more < FATS);
	free(fat);
	end_queue(b->name);
}

static void
those_who_wait_get_them_as_they_came(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, NULL);
	unsigned char number[9], answer[128];
	int fds[4];
	mproc_queue *q;

	assert_int_equal(mproc_manager_queue(client, b->name, NULL, &q), 0);
	for (int i = 0; i < 4; i++) {
		fds[i] = connect_raw(server);
		find_raw(fds[i], b->name, number);
		ask_raw(fds[i], number);
		come_round(q);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(mproc_queue_put(q, &(char){ (char)('a' + i) }, 1,
						 MPROC_NOWAIT), 0);
	/* [2, 1, 1, lengths, message] */
	for (int i = 0; i < 4; i++) {
		read_bytes(fds[i], answer, 17);
		assert_memory_equal(answer, "\0\0\0\15\225\2\1\1\304\4\0\0\0\1\304\1", 16);
		assert_int_equal(answer[16], 'a' + i);
		close(fds[i]);
	}
	expect_nothing(q);
	end_queue(b->name);
}

/* It is not empty for who does not wait, though others do. */
static void
what_those_who_wait_do_not_want_is_for_others(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, NULL);
	struct iovec two[2] = { { &(char){ 'a' }, 1 }, { &(char){ 'b' }, 1 } };
	unsigned char number[9], answer[17], got;
	int fd = connect_raw(server);
	mproc_queue *q, *ours;

	assert_int_equal(mproc_manager_queue(client, b->name, NULL, &q), 0);
	assert_int_equal(mproc_manager_queue(server, b->name, NULL, &ours), 0);
	find_raw(fd, b->name, number);
	for (int i = 0; i < 200; i++) {
		ask_raw(fd, number);
		come_round(q);
		assert_int_equal(mproc_queue_put_many(ours, two, 2, MPROC_NOWAIT), 2);
		assert_int_equal(mproc_queue_get(q, &got, 1, NULL, MPROC_NOWAIT), 0);
		assert_int_equal(got, 'b');
		read_bytes(fd, answer, 17);
		assert_int_equal(answer[16], 'a');
	}
	close(fd);
	expect_nothing(q);
	end_queue(b->name);
}

static unsigned
queues_there_are(void)
{
	struct mproc_arena_stat st;

	assert_int_equal(mproc_arena_stat(NULL, &st), 0);
	return (unsigned)st.queues;
}

/* A server that has nothing to do keeps none of its memory. The first test here, as other
 * queues would count. */
static void
what_the_family_destroys_is_given_back(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts, .ack = true));
	mproc_queue *q, *dlq;
	struct note n;
	void *ours;

	assert_int_equal(mproc_manager_queue(client, b->name, NULL, &q), 0);
	assert_int_equal(mproc_queue_dead_letters(q, &dlq), 0);
	assert_int_equal(get_note(dlq, &n, MPROC_NOWAIT), -EAGAIN);
	assert_int_equal(put_note(q, 0, 1, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_len(dlq), 0);
	assert_int_equal(mproc_queue_len(q), 1);
	assert_int_equal(mproc_arena_find(NULL, b->name, &ours, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_arena_bind(NULL, b->name, NULL), 0);
	assert_int_equal(queues_there_are(), 2);
	mproc_queue_destroy(ours);
	mpt_until(t, queues_there_are() == 0);
	assert_int_equal(put_note(q, 0, 1, MPROC_NOWAIT), -ESTALE);
}

static void *
wait_for_the_end(void *arg)
{
	struct note n;

	return (void *)(intptr_t)get_note(arg, &n, MPROC_FOREVER);
}

static void
a_killed_server_leaves_nobody_waiting(void **state)
{
	struct mpt *t = *state;
	mproc_manager *other = start(NULL), *c = connect_to(other);
	mproc_lock *lock;
	mproc_queue *q, *ours;
	struct mproc_owner o;
	pthread_t thread;
	struct note n;
	void *result;

	/* Whose pid is the server's. */
	assert_int_equal(mproc_manager_lock(c, "whose", &lock), 0);
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_owner(lock, &o), 0);
	assert_int_equal(mproc_manager_queue(c, "left", MPROC_OPTS(mproc_queue_opts,
					     .ack = true), &q), 0);
	assert_int_equal(put_note(q, 1, 1, MPROC_NOWAIT), 0);
	assert_int_equal(put_note(q, 1, 2, MPROC_NOWAIT), 0);
	assert_int_equal(get_note(q, &n, MPROC_NOWAIT), 1);
	assert_int_equal(mproc_manager_queue(other, "left", NULL, &ours), 0);
	assert_int_equal(get_note(ours, &n, MPROC_NOWAIT), 2);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_the_end, q), 0);
	assert_int_equal(kill(o.pid, SIGKILL), 0);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -EPIPE);
	assert_int_equal(mproc_queue_task_done(q), -EPIPE);
	assert_int_equal(put_note(q, 1, 3, MPROC_NOWAIT), -EPIPE);
	/* What its client had was the server's, for the family. */
	assert_int_equal(mproc_queue_task_done(ours), 0);
	assert_int_equal(get_note(ours, &n, mproc_sec(20)), 1);
	assert_int_equal(mproc_queue_task_done(ours), 0);
	mproc_manager_close(c);
	mproc_manager_close(other);
	mpt_until(t, mproc_queue_join(ours, MPROC_NOWAIT) == 0);
	end_queue("left");
	assert_int_equal(mproc_manager_lock(client, "whose", &lock), 0);
	mproc_lock_destroy(lock);
}

enum { THREADS = 3 };

/* Threads of one client have what they have got. */
static void *
take_as_a_thread(void *arg)
{
	struct note n;
	/* There is one, which is another thread's. */
	int r = mproc_queue_task_done(arg) == -EINVAL ?
			get_note(arg, &n, mproc_sec(20)) : -EBADMSG;

	if (r >= 0 && mproc_queue_join(arg, MPROC_NOWAIT) == -EDEADLK)
		r = mproc_queue_task_done(arg);
	return (void *)(intptr_t)r;
}

static void
threads_of_a_client_are_different_takers(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts, .ack = true));
	pthread_t threads[THREADS];
	mproc_queue *q;
	struct note n;
	void *result;

	assert_int_equal(mproc_manager_queue(client, b->name, NULL, &q), 0);
	assert_int_equal(put_note(q, 0, 9, MPROC_NOWAIT), 0);
	assert_int_equal(get_note(q, &n, MPROC_NOWAIT), 9);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_as_a_thread,
						q), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(put_note(q, 0, i, MPROC_NOWAIT), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		assert_int_equal((intptr_t)result, 0);
	}
	assert_int_equal(mproc_queue_task_done(q), 0);
	assert_int_equal(mproc_queue_task_done(q), -EINVAL);
	assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), 0);
	expect_nothing(q);
	end_queue(b->name);
}

static void
messages_are_held_in_copies(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_queue(t, MPROC_OPTS(mproc_queue_opts, .ack = true));
	const void *shown;
	char *room, got[8];
	mproc_queue *q;
	size_t len;
	void *p;

	assert_int_equal(mproc_manager_queue(client, b->name, NULL, &q), 0);
	assert_int_equal(mproc_queue_reserve(q, 8, NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_queue_reserve(q, 8, &p, MPROC_NOWAIT), 0);
	room = p;
	assert_int_equal(mproc_queue_reserve(q, 8, &p, MPROC_NOWAIT), -EBUSY);
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), -EBUSY);
	assert_int_equal(mproc_queue_commit(q, room + 1, 1), -EINVAL);
	assert_int_equal(mproc_queue_commit(q, room, 9), -EINVAL);
	memcpy(room, "first", 5);
	assert_int_equal(mproc_queue_commit(q, room, 5), 0);
	assert_int_equal(mproc_queue_commit(q, room, 5), -EINVAL);
	assert_int_equal(mproc_queue_reserve(q, 0, &p, mproc_sec(20)), 0);
	assert_int_equal(mproc_queue_abort(q, p), 0);
	assert_int_equal(mproc_queue_abort(q, p), -EINVAL);
	assert_int_equal(mproc_queue_put(q, "other", 5, MPROC_NOWAIT), 0);

	assert_int_equal(mproc_queue_peek(q, NULL, NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_queue_peek(q, &shown, &len, MPROC_NOWAIT), 0);
	assert_true(len == 5 && memcmp(shown, "first", 5) == 0);
	assert_int_equal(mproc_queue_get(q, got, 8, &len, MPROC_NOWAIT), -EBUSY);
	assert_int_equal(mproc_queue_peek(q, &shown, &len, MPROC_NOWAIT), -EBUSY);
	assert_int_equal(mproc_queue_task_done(q), -EBUSY);
	assert_int_equal(mproc_queue_release(q, "first"), -EINVAL);
	assert_int_equal(mproc_queue_release(q, shown), 0);
	assert_int_equal(mproc_queue_release(q, shown), -EINVAL);
	assert_int_equal(mproc_queue_task_done(q), 0);
	assert_int_equal(mproc_queue_get(q, got, 8, &len, MPROC_NOWAIT), 0);
	assert_true(len == 5 && memcmp(got, "other", 5) == 0);
	assert_int_equal(mproc_queue_task_done(q), 0);
	assert_int_equal(mproc_queue_peek(q, &shown, &len, MPROC_NOWAIT), -EAGAIN);
	end_queue(b->name);
}

static void
what_is_longer_than_a_message_stays(void **state)
{
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts, .max_message = 4096));
	mproc_manager *c = connect_to(m);
	unsigned char *buf = calloc(1, 10000);
	mproc_queue *q, *ours;
	struct iovec msgs[3] = { { buf, 3000 }, { buf, 3000 }, { buf, 5000 } };
	size_t len = 0;

	(void)state;
	assert_non_null(buf);
	assert_int_equal(mproc_manager_queue(c, "short", NULL, &q), 0);
	assert_int_equal(mproc_manager_queue(m, "short", NULL, &ours), 0);
	assert_int_equal(mproc_queue_put(ours, buf, 10000, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_put(q, buf, 10000, MPROC_NOWAIT), -EMSGSIZE);
	/* As many as a message has room for. */
	assert_int_equal(mproc_queue_put_many(q, msgs, 3, MPROC_NOWAIT), 1);
	assert_int_equal(mproc_queue_put_many(q, msgs + 2, 1, MPROC_NOWAIT),
			 -EMSGSIZE);
	assert_int_equal(mproc_queue_get(q, buf, 10000, &len, MPROC_FOREVER),
			 -EMSGSIZE);
	assert_int_equal(len, 10000);
	assert_int_equal(mproc_queue_len(q), 2);
	assert_int_equal(mproc_queue_get(ours, buf, 10000, &len, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get(q, buf, 10000, &len, MPROC_NOWAIT), 0);
	assert_int_equal(len, 3000);
	mproc_queue_destroy(q);
	free(buf);
	assert_int_equal(end_with(m, c), 0);
}

static void
without_memory_nothing_is_lost(void **state)
{
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .max_memory = (size_t)1 << 20));
	mproc_manager *c = connect_to(m);
	const size_t size = 600 << 10;
	unsigned char *buf = calloc(1, size);
	mproc_queue *q, *ours;
	size_t len = 0;

	(void)state;
	assert_non_null(buf);
	assert_int_equal(mproc_manager_queue(c, "long", NULL, &q), 0);
	assert_int_equal(mproc_manager_queue(m, "long", NULL, &ours), 0);
	assert_int_equal(mproc_queue_put(ours, buf, size, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_put(ours, "short", 5, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get(q, buf, size, &len, MPROC_FOREVER), -ENOMEM);
	assert_int_equal(mproc_queue_len(q), 2);
	assert_int_equal(mproc_queue_get(ours, buf, size, &len, MPROC_NOWAIT), 0);
	assert_int_equal(len, size);
	assert_int_equal(mproc_queue_get(q, buf, size, &len, MPROC_FOREVER), 0);
	assert_int_equal(len, 5);
	mproc_queue_destroy(q);
	free(buf);
	assert_int_equal(end_with(m, c), 0);
}

enum { GREEDY = 80, THEIRS = 60000 };

static struct {
	mproc_queue *q;
	_Atomic unsigned refused, ended;
} greed;

static void *
put_big(void *arg)
{
	static const char big[THEIRS];
	int r = mproc_queue_put(greed.q, big, THEIRS, mproc_sec(20));

	(void)arg;
	greed.refused += r == -ENOMEM;
	/* It may begin when the queue is gone. */
	greed.ended += r == -ESHUTDOWN || r == -ESTALE;
	return NULL;
}

/* A client has a quarter: what waits to be put is a part of that. */
static void
what_one_client_puts_leaves_memory_to_others(void **state)
{
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .max_memory = (size_t)4 << 20,
					    .max_message = (size_t)64 << 10));
	mproc_manager *c = connect_to(m), *other = connect_to(m);
	struct mpt *t = *state;
	pthread_t threads[GREEDY];
	static char big[THEIRS];
	mproc_dict *d = dict_of(other, "beside");
	struct mproc_any got;

	assert_int_equal(mproc_manager_queue(c, "full",
					     MPROC_OPTS(mproc_queue_opts, .max_items = 1),
					     &greed.q), 0);
	assert_int_equal(mproc_queue_put(greed.q, "", 1, MPROC_NOWAIT), 0);
	greed.refused = greed.ended = 0;
	for (unsigned i = 0; i < GREEDY; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_big, NULL), 0);
	mpt_until(t, greed.refused >= GREEDY - ((unsigned)1 << 20) / THEIRS);
	assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_bytes(big, THEIRS)), 0);
	assert_int_equal(mproc_dict_get(d, mproc_int(1), &got), 0);
	assert_int_equal(got.len, THEIRS);
	mproc_any_clear(&got);
	mproc_queue_destroy(greed.q);
	for (unsigned i = 0; i < GREEDY; i++)
		pthread_join(threads[i], NULL);
	assert_true(greed.ended > 4);
	assert_int_equal(greed.refused + greed.ended, GREEDY);
	mproc_dict_destroy(d);
	mproc_manager_close(other);
	assert_int_equal(end_with(m, c), 0);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	struct mproc_waitable item = { .kind = MPROC_WAIT_QUEUE };
	struct mproc_queue_opts o = { .struct_size = sizeof(o), .capacity = 1 };
	mproc_queue *q, *again;
	mproc_lock *lock;
	mproc_dict *d;
	char text[201];

	(void)state;
	assert_int_equal(mproc_manager_queue(client, "odd", &o, &q), -EINVAL);
	assert_int_equal(mproc_manager_queue(server, "odd", &o, &q), -EINVAL);
	o = (struct mproc_queue_opts){ .struct_size = sizeof(o), .max_redeliveries = 1 };
	assert_int_equal(mproc_manager_queue(client, "odd", &o, &q), -EINVAL);
	o = (struct mproc_queue_opts){ .struct_size = sizeof(o),
				       .max_items = SIZE_MAX };
	assert_int_equal(mproc_manager_queue(client, "odd", &o, &q), -EINVAL);
	o = (struct mproc_queue_opts){ .struct_size = sizeof(o),
				       .arena = mproc_arena_default() };
	assert_int_equal(mproc_manager_queue(client, "odd", &o, &q), -EINVAL);
	o = (struct mproc_queue_opts){ .struct_size = 1 };
	assert_int_equal(mproc_manager_queue(client, "odd", &o, &q), -EINVAL);
	assert_int_equal(mproc_manager_queue(NULL, "odd", NULL, &q), -EINVAL);
	assert_int_equal(mproc_manager_queue(client, NULL, NULL, &q), -EINVAL);
	assert_int_equal(mproc_manager_queue(client, "", NULL, &q), -EINVAL);
	assert_int_equal(mproc_manager_queue(client, "odd", NULL, NULL), -EINVAL);

	assert_int_equal(mproc_manager_queue(client, "sense", NULL, &q), 0);
	assert_int_equal(mproc_manager_queue(client, "sense", NULL, &again), 0);
	assert_ptr_equal(q, again);
	assert_int_equal(mproc_manager_lock(client, "sense", &lock), -EPROTOTYPE);
	assert_int_equal(mproc_manager_dict(client, "sense dict", &d), 0);
	assert_int_equal(mproc_manager_queue(client, "sense dict", NULL, &again),
			 -EPROTOTYPE);
	assert_int_equal(mproc_manager_queue(server, "sense dict", NULL, &again),
			 -EPROTOTYPE);
	assert_int_equal(mproc_queue_put((mproc_queue *)d, "x", 1, MPROC_NOWAIT),
			 -EBADMSG);
	assert_int_equal(mproc_dict_set((mproc_dict *)q, mproc_int(1), mproc_int(1)),
			 -EBADMSG);
	mproc_dict_destroy(d);
	assert_int_equal(mproc_queue_fd(q), -ENOTSUP);
	item.object = q;
	assert_int_equal(mproc_wait(&item, 1, MPROC_NOWAIT), -ENOTSUP);
	assert_int_equal(mproc_queue_task_done(q), -EINVAL);
	assert_int_equal(mproc_queue_join(q, MPROC_FOREVER), -EINVAL);
	assert_int_equal(mproc_queue_dead_letters(q, &again), -EINVAL);
	assert_int_equal(mproc_queue_dead_letters(q, NULL), -EINVAL);
	mproc_queue_destroy(q);
	/* Once more, and no more. */
	mproc_queue_destroy(q);
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), -ESTALE);
	assert_int_equal(mproc_queue_put_many(q, &(struct iovec){ &o, 1 }, 1,
					      MPROC_NOWAIT), -ESTALE);
	/* Another one of that name is another one. */
	assert_int_equal(mproc_manager_queue(client, "sense", NULL, &again), 0);
	assert_ptr_not_equal(q, again);
	assert_int_equal(mproc_queue_put(q, "x", 1, MPROC_NOWAIT), -ESTALE);
	/* What goes well says nothing about it. */
	snprintf(text, sizeof(text), "%s", mproc_error_detail());
	assert_int_equal(mproc_queue_put(again, "x", 1, mproc_sec(20)), 0);
	assert_int_equal(mproc_queue_get(again, text + 200, 1, NULL, mproc_sec(20)), 0);
	assert_string_equal(mproc_error_detail(), text);
	mproc_queue_destroy(again);
}

static int
use_copies(struct mpt *t, void *arg)
{
	mproc_queue *q = arg;
	struct note n;

	mpt_check_int(t, put_note(q, 1, 1, MPROC_NOWAIT), -ECHILD);
	mpt_check_int(t, get_note(q, &n, MPROC_FOREVER), -ECHILD);
	mpt_check_int(t, mproc_queue_task_done(q), -ECHILD);
	mpt_check_int(t, mproc_queue_len(q), 0);
	mproc_manager_close(client);
	return 0;
}

static void
a_forked_child_has_no_part_in_it(void **state)
{
	struct mpt *t = *state;
	mproc_queue *q;
	struct note n;

	assert_int_equal(mproc_manager_queue(client, "parent's", MPROC_OPTS(
				 mproc_queue_opts, .ack = true), &q), 0);
	assert_int_equal(put_note(q, 1, 7, MPROC_NOWAIT), 0);
	assert_int_equal(get_note(q, &n, MPROC_NOWAIT), 7);
	mpt_expect_exit(t, mpt_fork(t, "copy", use_copies, q), 0);
	assert_int_equal(mproc_queue_task_done(q), 0);
	assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), 0);
	end_queue("parent's");
}

/* A server whose copy is closed: what its clients have they keep. */
static int
close_server(struct mpt *t, void *arg)
{
	(void)t;
	mproc_manager_close(arg);
	return 0;
}

static void *
use_in_process(void *arg)
{
	mproc_manager *c = connect_to(arg);
	intptr_t r = -1;
	mproc_queue *q;
	struct note n;

	if (mproc_manager_queue(c, "in process", NULL, &q) == 0 &&
	    get_note(q, &n, mproc_sec(20)) == 2 &&
	    /* The other one is the serving thread's own. */
	    mproc_queue_join(q, mproc_ms(1)) == -EDEADLK &&
	    mproc_queue_task_done(q) == 0 && mproc_queue_task_done(q) == -EINVAL)
		r = get_note(q, &n, mproc_sec(20));
	(void)mproc_manager_shutdown(arg, MPROC_NOWAIT);
	mproc_manager_close(c);
	return (void *)r;
}

static void
who_serves_is_not_who_takes(void **state)
{
	struct mpt *t = *state;
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts, .in_process = true));
	pthread_t thread;
	mproc_queue *q;
	struct note n;
	void *result;
	int r;

	assert_int_equal(mproc_manager_queue(m, "in process", MPROC_OPTS(
				 mproc_queue_opts, .joinable = true), &q), 0);
	for (unsigned i = 1; i <= 3; i++)
		assert_int_equal(put_note(q, 1, i, MPROC_NOWAIT), 0);
	assert_int_equal(get_note(q, &n, MPROC_NOWAIT), 1);
	assert_int_equal(pthread_create(&thread, NULL, use_in_process, m), 0);
	while ((r = mproc_manager_serve(m, mproc_ms(1))) == -ETIMEDOUT)
		;
	assert_int_equal(r, 0);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 3);
	mpt_expect_exit(t, mpt_fork(t, "copy", close_server, m), 0);
	mproc_manager_close(m);
	/* Its own is; the client has left its last one. */
	assert_int_equal(mproc_queue_task_done(q), 0);
	assert_int_equal(mproc_queue_join(q, MPROC_NOWAIT), -EOWNERDEAD);
	assert_int_equal(mproc_arena_bind(NULL, "in process", NULL), 0);
	mproc_queue_destroy(q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_the_family_destroys_is_given_back),
		mpt_test(what_was_not_sent_comes_back),
		mpt_test(a_letter_that_was_not_sent_comes_back),
		mpt_test(who_takes_nothing_does_not_hold_up_a_drain),
		mpt_test(who_does_not_read_keeps_little),
		mpt_test(those_who_wait_get_them_as_they_came),
		mpt_test(what_those_who_wait_do_not_want_is_for_others),
		mpt_test(a_killed_server_leaves_nobody_waiting),
		mpt_test(threads_of_a_client_are_different_takers),
		mpt_test(messages_are_held_in_copies),
		mpt_test(what_is_longer_than_a_message_stays),
		mpt_test(without_memory_nothing_is_lost),
		mpt_test(what_one_client_puts_leaves_memory_to_others),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(a_forked_child_has_no_part_in_it),
		mpt_test(who_serves_is_not_who_takes),
	};

	return cmocka_run_group_tests(tests, start_both, end_both);
}
