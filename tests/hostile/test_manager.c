/* SPDX-License-Identifier: MIT */
/*
 * Requests that are nearly right, changed at random, to what reads them and to a
 * server: whatever they say, it goes on, and so does who asks properly.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <mproc/manager.h>

#include "manager.h"
#include "manager_ask.h"
#include "mpt.h"
#include "mpt_rand.h"

#define INPUT 300
#define GRAIN_MAX 64 /* bytes of one, more or less */

static unsigned
rounds(unsigned usual)
{
	const char *level = getenv("MPT_LEVEL");

	if (level && strcmp(level, "quick") == 0)
		return usual / 5;
	return level && strcmp(level, "full") == 0 ? usual * 100 : usual;
}

#define GRAIN(text) { text, sizeof(text) - 1 }

/* Each operation, and whatever else a row may have. \301 stands for the number of an
 * object. */
static const struct {
	const char *bytes;
	size_t n;
} grains[] = {
	GRAIN("\0\0\0\23\225\0\0\0\255mproc-manager\1"),
	GRAIN("\0\0\0\12\225\1\1\0\1\244dict"),
	GRAIN("\0\0\0\4\223\2\2\301"),
	GRAIN("\0\0\0\4\223\2\3\301"),
	GRAIN("\0\0\0\4\223\2\4\301"),
	GRAIN("\0\0\0\4\223\2\5\301"),
	GRAIN("\0\0\0\6\225\2\6\301\0\0"),
	GRAIN("\0\0\0\5\224\2\20\301\1"),
	GRAIN("\0\0\0\6\224\2\20\301\241x"),
	GRAIN("\0\0\0\5\224\2\21\301\302"),
	GRAIN("\0\0\0\7\225\2\22\301\1\241x"),
	GRAIN("\0\0\0\7\225\2\22\301\241x\1"),
	GRAIN("\0\0\0\16\225\2\22\301\242ab\304\5....."),
	GRAIN("\0\0\0\5\224\2\23\301\1"),
	GRAIN("\0\0\0\4\223\2\24\301"),
	GRAIN("\0\0\0\6\225\2\25\301\2\3"),
	GRAIN("\0\0\0\16\225\2\26\301\1\313\77\360\0\0\0\0\0\0"),
	GRAIN("\0\0\0\10\227\2\27\301\1\3\1\2"),
	GRAIN("\0\0\0\10\227\2\27\301\1\7\300\2"),
	GRAIN("\0\0\0\5\224\2\30\301\301"),
	GRAIN("\0\0\0\12\224\2\31\301\304\4\223\1\2\3"),
	GRAIN("\0\0\0\14\224\2\31\301\304\6\335\377\377\377\377\1"),
	GRAIN("\0\0\0\15\224\2\32\301\304\7\224\1\242ab\3\4"),
	GRAIN("\0\0\0\10\224\2\32\301\304\2\221\1"),
	GRAIN("\0\0\0\5\224\2\40\301\1"),
	GRAIN("\0\0\0\5\224\2\41\301\1"),
	GRAIN("\0\0\0\6\224\2\41\301\241x"),
	GRAIN("\0\0\0\5\224\2\42\301\1"),
	GRAIN("\0\0\0\5\224\2\50\301\301"),
	GRAIN("\0\0\0\5\224\2\51\301\301"),
	GRAIN("\0\0\0\5\224\2\52\301\301"),
	GRAIN("\0\0\0\5\224\2\53\301\301"),
	GRAIN("\0\0\0\5\224\2\54\301\301"),
	GRAIN("\0\0\0\5\224\2\55\301\301"),
	GRAIN("\0\0\0\5\224\2\56\301\301"),
	GRAIN("\0\0\0\6\225\2\100\301\1\0"),
	GRAIN("\0\0\0\6\225\3\100\301\1\377"),
	GRAIN("\0\0\0\6\225\4\100\301\2\50"),
	GRAIN("\0\0\0\6\225\5\100\301\3\377"),
	GRAIN("\0\0\0\5\224\2\101\301\1"),
	GRAIN("\0\0\0\5\224\2\101\301\2"),
	GRAIN("\0\0\0\5\224\2\102\301\1"),
	GRAIN("\0\0\0\4\223\2\103\301"),
	GRAIN("\0\0\0\4\223\2\104\301"),
	GRAIN("\0\0\0\5\224\2\105\0\3"),
	GRAIN("\0\0\0\5\224\2\105\0\5"),
	GRAIN("\0\0\0\5\224\2\106\0\1"),
	GRAIN("\0\0\0\15\230\1\1\0\12\244some\2\0\1"),
	GRAIN("\0\0\0\4\223\2\107\301"),
	GRAIN("\0\0\0\4\223\2\110\301"),
	GRAIN("\0\0\0\4\223\2\111\301"),
	GRAIN("\0\0\0\4\223\2\112\301"),
	/* The lock's number is hardly ever that of another place. */
	GRAIN("\0\0\0\10\226\2\314\200\301\1\0\12"),
	GRAIN("\0\0\0\10\226\3\314\200\301\1\301\12"),
	GRAIN("\0\0\0\6\224\2\314\201\301\1"),
	GRAIN("\0\0\0\12\224\2\314\201\301\316\377\377\377\377"),
	GRAIN("\0\0\0\7\225\2\314\202\301\1\0"),
	GRAIN("\0\0\0\7\225\3\314\202\301\2\12"),
	GRAIN("\0\0\0\7\225\5\314\202\301\3\377"),
	GRAIN("\0\0\0\6\224\2\314\203\301\1"),
	GRAIN("\0\0\0\5\223\2\314\204\301"),
	GRAIN("\0\0\0\5\223\2\314\205\301"),
	GRAIN("\0\0\0\5\223\2\314\206\301"),
	GRAIN("\0\0\0\5\223\2\314\207\301"),
	GRAIN("\0\0\0\7\224\2\20\301\307\0\1"),
	GRAIN("\0\0\0\15\224\2\20\301\323\177\377\377\377\377\377\377\377"),
	/* Of lists. */
	GRAIN("\0\0\0\6\224\2\314\240\301\0"),
	GRAIN("\0\0\0\6\224\2\314\241\301\0"),
	GRAIN("\0\0\0\10\226\2\314\242\301\0\20\20"),
	GRAIN("\0\0\0\20\226\2\314\242\301\377\177\317\177\377\377\377"
	      "\377\377\377\377"),
	GRAIN("\0\0\0\14\226\2\314\243\301\1\2\304\3\222\5\6"),
	GRAIN("\0\0\0\16\224\2\314\244\301\304\6\223\1\2\243abc"),
	GRAIN("\0\0\0\14\224\2\314\244\301\304\5\335\377\377\377\377"),
	GRAIN("\0\0\0\6\224\2\314\245\301\7"),
	GRAIN("\0\0\0\7\225\2\314\246\301\0\11"),
	GRAIN("\0\0\0\7\225\2\314\247\301\1\11"),
	GRAIN("\0\0\0\7\225\2\314\250\301\0\1"),
	GRAIN("\0\0\0\11\227\2\314\251\301\0\3\1\2"),
	GRAIN("\0\0\0\11\227\2\314\251\301\0\7\1\2"),
	GRAIN("\0\0\0\6\224\2\314\252\301\377"),
	GRAIN("\0\0\0\5\223\2\314\253\301"),
	GRAIN("\0\0\0\5\223\2\314\254\301"),
	GRAIN("\0\0\0\6\224\2\314\255\301\1"),
	GRAIN("\0\0\0\6\224\2\314\256\301\1"),
	GRAIN("\0\0\0\6\224\2\314\257\301\1"),
	GRAIN("\0\0\0\24\225\2\314\260\301\304\10\0\0\0\1\0\0\0\0\304"
	      "\3\222\1\1"),
	GRAIN("\0\0\0\17\225\2\314\260\301\304\4\0\0\0\0\304\2\221\1"),
	/* Of arrays. */
	GRAIN("\0\0\0\7\225\2\314\300\301\0\4"),
	GRAIN("\0\0\0\11\225\2\314\300\301\0\315\177\377"),
	GRAIN("\0\0\0\14\225\2\314\301\301\1\304\4abcd"),
	GRAIN("\0\0\0\10\226\2\314\302\301\0\4\1"),
	GRAIN("\0\0\0\20\226\2\314\302\301\0\4\313\77\360\0\0\0\0\0\0"),
	GRAIN("\0\0\0\22\226\2\314\303\301\0\304\4\0\0\0\0\304\4abcd"),
	GRAIN("\0\0\0\13\230\1\1\0\5\243arr\4\2\300"),
	/* Of queues. */
	GRAIN("\0\0\0\21\227\2`\301\1\0\304\4\0\0\0\3\304\3abc"),
	GRAIN("\0\0\0\25\227\3`\301\1\377\304\10\0\0\0\1\0\0\0\2\304\3abc"),
	GRAIN("\0\0\0\16\227\3`\301\2\5\304\4\0\0\0\0\304\0"),
	GRAIN("\0\0\0\21\227\4`\301\1\0\304\4\177\377\377\377\304\3abc"),
	GRAIN("\0\0\0\10\227\2a\301\1\0d\1"),
	GRAIN("\0\0\0\10\227\3a\301\1\377d\20"),
	GRAIN("\0\0\0\10\227\4a\301\2(\1\0"),
	GRAIN("\0\0\0\16\227\5a\301\3\377\316\177\377\377\377\315\177\377"),
	GRAIN("\0\0\0\5\224\2b\301\1"),
	GRAIN("\0\0\0\5\224\2b\301\3"),
	GRAIN("\0\0\0\5\224\2c\301\1"),
	GRAIN("\0\0\0\6\225\4d\301\1\0"),
	GRAIN("\0\0\0\6\225\5d\301\2\377"),
	GRAIN("\0\0\0\4\223\2e\301"),
	GRAIN("\0\0\0\5\224\2f\301\1"),
	GRAIN("\0\0\0\5\224\2f\301\2"),
	GRAIN("\0\0\0\4\223\2g\301"),
	GRAIN("\0\0\0\23\226\1\1\0\6\243qqq\304\10\226\0@\2\0\14\241q"),
	GRAIN("\0\0\0\22\226\1\1\0\6\243qqs\304\7\226\0\0\0\0\1\300"),
};

/* One object of each kind, as the server calls them. */
static const unsigned char kinds[] = { 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13 };
enum { KINDS = sizeof(kinds), ARRAY = 5, LIST = 3, BARRIER = 13 };
static int64_t numbers[KINDS];

#define GRAINS (sizeof(grains) / sizeof(grains[0]))

#define NUMBER '\301'

/* A grain, with an object in each place for one. */
static size_t
plant(struct mpt_rand *rand, unsigned char *to)
{
	size_t i = (size_t)mpt_rand_below(rand, GRAINS), n = 0;
	int64_t number = numbers[mpt_rand_below(rand, KINDS)];

	for (size_t at = 0; at < grains[i].n; at++) {
		if (grains[i].bytes[at] != NUMBER) {
			to[n++] = (unsigned char)grains[i].bytes[at];
			continue;
		}
		to[n++] = 0xd3;
		for (int shift = 56; shift >= 0; shift -= 8)
			to[n++] = (unsigned char)((uint64_t)number >> shift);
		to[3] = (unsigned char)(to[3] + 8);
	}
	return n;
}

static size_t
grow(struct mpt_rand *rand, unsigned char *to)
{
	size_t n = 0;

	do
		n += plant(rand, to + n);
	while (n < INPUT - GRAIN_MAX && mpt_rand_below(rand, 6));
	/* Most of them as they are, or nearly so. */
	for (uint64_t i = mpt_rand_below(rand, 4); i; i--)
		to[mpt_rand_below(rand, n)] ^=
			(unsigned char)(1u << mpt_rand_below(rand, 8));
	return mpt_rand_below(rand, 4) ? n : 1 + mpt_rand_below(rand, n);
}

static void
nothing_is_read_that_is_not_there(void **state)
{
	unsigned char input[INPUT];
	struct mpt_rand rand;
	unsigned n = rounds(100000);

	mpt_watchdog(*state, 120);
	mpt_rand_init(&rand, mpt_seed());
	for (unsigned i = 0; i < n; i++) {
		size_t len = grow(&rand, input);
		/* Of that size exactly, so that a read beside is one. */
		unsigned char *copy = malloc(len);

		assert_non_null(copy);
		memcpy(copy, input, len);
		if (manager_one_input(copy, len))
			fail_msg("round %u", i);
		free(copy);
	}
}

static int
connect_raw(const char *address)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = strlen(address + 6);

	/* "unix:@name" */
	memcpy(name.sun_path + 1, address + 6, len);
	assert_int_equal(connect(fd, (struct sockaddr *)&name,
				 (socklen_t)(offsetof(struct sockaddr_un,
						      sun_path) + 1 + len)), 0);
	return fd;
}

static void
serve_all(mproc_manager *m)
{
	assert_int_equal(mproc_manager_serve(m, MPROC_NOWAIT), -EAGAIN);
}

/* Whether it is still there; what it has said is thrown away. */
static bool
is_open(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		;
	return n < 0 && errno == EAGAIN;
}

static int
greet(mproc_manager *m)
{
	const char hello[] = "\0\0\0\23\225\0\0\0\255mproc-manager\1";
	unsigned char answer[64];
	int fd = connect_raw(mproc_manager_address(m));

	assert_int_equal(send(fd, hello, sizeof(hello) - 1, 0),
			 sizeof(hello) - 1);
	serve_all(m);
	assert_true(is_open(fd));
	/* They may have been destroyed, and get others then. */
	for (unsigned k = 0; k < KINDS; k++) {
		bool is_array = kinds[k] == ARRAY;
		bool has_shape = is_array || kinds[k] == BARRIER;
		/* Three values more: its shape, or its parties. */
		const unsigned char find[] = { 0, 0, 0, has_shape ? 10 : 7,
					       has_shape ? 0x98 : 0x95, 1, 1, 0,
					       kinds[k], 0xa1,
					       (unsigned char)('a' + k), 4, 2,
					       is_array ? 0xc0 : 0 };
		size_t len = sizeof(find) - (has_shape ? 0 : 3);

		assert_int_equal(send(fd, find, len, 0), len);
		serve_all(m);
		/* [1, 0, number], which takes 64 bits. */
		assert_int_equal(recv(fd, answer, sizeof(answer), MSG_DONTWAIT),
				 16);
		assert_memory_equal(answer + 4, "\223\1\0\317", 4);
		numbers[k] = 0;
		for (int i = 8; i < 16; i++)
			numbers[k] = numbers[k] << 8 | answer[i];
	}
	return fd;
}

static void
a_server_goes_on_whatever_comes(void **state)
{
	unsigned n = rounds(20000), cut = 0, through = 0;
	unsigned char input[INPUT];
	struct mpt_rand rand;
	mproc_manager *m;
	mproc_dict *d;
	int fd = -1;

	mpt_watchdog(*state, 120);
	assert_int_equal(mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
			.in_process = true, .max_message = 1024,
			.max_memory = (size_t)1 << 20)), 0);
	mpt_rand_init(&rand, mpt_seed());
	for (unsigned i = 0; i < n; i++) {
		size_t len;

		if (fd < 0)
			fd = greet(m);
		len = grow(&rand, input);
		assert_int_equal(send(fd, input, len, MSG_NOSIGNAL), len);
		serve_all(m);
		if (is_open(fd) && mpt_rand_below(&rand, 8)) {
			through++;
			continue;
		}
		close(fd);
		fd = -1;
		cut++;
	}
	if (fd >= 0)
		close(fd);
	/* Both happen all the time. */
	assert_true(cut > n / 20 && through > n / 20);
	serve_all(m);
	/* What they may have destroyed can be made anew. */
	assert_int_equal(mproc_manager_dict(m, "after", &d), 0);
	assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_int(1)), 0);
	assert_int_equal(mproc_arena_bind(NULL, "after", NULL), 0);
	mproc_dict_destroy(d);
	mproc_manager_close(m);
}

/* Operations as the page of the messages has them. */
enum { LEN = 4, POP = 170, COUNT = 174 };

/* A request about the list that greet() has found, in 64 bits: [1, @op, list], or with
 * a value. Returns its bytes. */
static size_t
ask_the_list(unsigned char *to, unsigned char op, bool value)
{
	size_t n = 4;

	to[n++] = value ? 0x94 : 0x93;
	to[n++] = 1;
	to[n++] = 0xcc;
	to[n++] = op;
	to[n++] = 0xd3;
	for (int shift = 56; shift >= 0; shift -= 8)
		to[n++] = (unsigned char)((uint64_t)numbers[LIST] >> shift);
	if (value)
		to[n++] = 1;
	to[0] = to[1] = to[2] = 0;
	to[3] = (unsigned char)(n - 4);
	return n;
}

/* Of many requests that came at once, each of which takes long, some are carried out,
 * before somebody else has a turn. */
static void
who_asks_for_much_at_once_shares_the_server(void **state)
{
	enum { N = 800, VALUES = 200000, ANSWER = 8 };
	static unsigned char flood[N * 20], answers[N * ANSWER];
	static struct mproc_any values[VALUES];
	int fd, other;
	size_t n = 0, done;
	mproc_manager *m;
	mproc_list *l;
	ssize_t got;

	mpt_watchdog(*state, 120);
	assert_int_equal(mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
			.in_process = true)), 0);
	fd = greet(m);
	other = greet(m);
	assert_int_equal(mproc_manager_list(m, "d", &l), 0);
	assert_int_equal(mproc_list_extend(l, values, VALUES), 0);
	for (int i = 0; i < N; i++)
		n += ask_the_list(flood + n, COUNT, true);
	assert_int_equal(send(fd, flood, n, 0), n);
	n = ask_the_list(flood, LEN, false);
	assert_int_equal(send(other, flood, n, 0), n);
	serve_all(m);
	assert_true(recv(other, answers, sizeof(answers), MSG_DONTWAIT) > 0);
	got = recv(fd, answers, sizeof(answers), MSG_DONTWAIT);
	assert_true(got > 0 && got < (ssize_t)sizeof(answers));
	/* All of them are in the end. */
	for (done = (size_t)got; done < sizeof(answers);) {
		serve_all(m);
		got = recv(fd, answers, sizeof(answers), MSG_DONTWAIT);
		assert_true(got > 0);
		done += (size_t)got;
	}
	close(fd);
	close(other);
	mproc_list_destroy(l);
	assert_int_equal(mproc_arena_bind(NULL, "d", NULL), 0);
	mproc_manager_close(m);
}

/* Who has asked for something and is gone before it was taken out: it stays. */
static void
nothing_is_taken_out_for_who_is_gone(void **state)
{
	unsigned char request[20];
	mproc_manager *m;
	mproc_list *l;
	size_t n;
	int fd;

	(void)state;
	assert_int_equal(mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
			.in_process = true)), 0);
	fd = greet(m);
	assert_int_equal(mproc_manager_list(m, "d", &l), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mproc_list_append(l, mproc_int(i)), 0);
	n = ask_the_list(request, POP, true);
	assert_int_equal(send(fd, request, n, 0), n);
	serve_all(m);
	assert_int_equal(mproc_list_len(l), 2);
	assert_true(is_open(fd));
	assert_int_equal(send(fd, request, n, 0), n);
	close(fd);
	serve_all(m);
	assert_int_equal(mproc_list_len(l), 2);
	mproc_list_destroy(l);
	assert_int_equal(mproc_arena_bind(NULL, "d", NULL), 0);
	mproc_manager_close(m);
}

/* Something like an answer to a request: its number, a result, and some values. */
static size_t
lie(struct mpt_rand *rand, const unsigned char *request, size_t len,
    unsigned char *to)
{
	static const struct {
		const char *bytes;
		size_t n;
	} values[] = {
		GRAIN("\300"),		 GRAIN("\1"),
		GRAIN("\377"),		 GRAIN("\303"),
		GRAIN("\243abc"),	 GRAIN("\304\3abc"),
		GRAIN("\307\0\1"),	 GRAIN("\313\77\360\0\0\0\0\0\0"),
		GRAIN("\323\200\0\0\0\0\0\0\0"), GRAIN("\221\1"),
		GRAIN("\304\3\222\1\2"), GRAIN("\304\6\222\1\243abc"),
		GRAIN("\304\1\1"),	 GRAIN("\304\2\0\1"),
		GRAIN("\304\2\221\1"),
		GRAIN("\304\4\0\0\0\3"), GRAIN("\304\0"),
	};
	static const char results[] = { 0, 1, 0, 1, 0, 2, -2, -12, -32, 127 };
	size_t n = 1, number = 1;
	unsigned count = 2;

	/* The number is written as it was. */
	if (len > 1 && request[1] >= 0xcc && request[1] <= 0xcf)
		number += (size_t)1 << (request[1] - 0xcc);
	if (number > len - 1)
		number = len - 1;
	memcpy(to + n, request + 1, number);
	n += number;
	to[n++] = (unsigned char)results[mpt_rand_below(rand, sizeof(results))];
	for (uint64_t i = mpt_rand_below(rand, 5); i; i--, count++) {
		size_t which = (size_t)mpt_rand_below(rand, sizeof(values) /
							sizeof(values[0]));

		memcpy(to + n, values[which].bytes, values[which].n);
		n += values[which].n;
	}
	to[0] = (unsigned char)(0x90 | count);
	/* But not the number: nobody answers who is asked by another one. */
	if (mpt_rand_below(rand, 8) == 0) {
		size_t at = (size_t)mpt_rand_below(rand, n - number);

		to[at ? number + at : 0] ^=
			(unsigned char)(1u << mpt_rand_below(rand, 8));
	}
	return n;
}

/* No manager, but what says that it is one. */
static int
be_a_liar(struct mpt *t, void *arg)
{
	/* [0, 0, version 1, messages of up to 4096 bytes] */
	static const unsigned char hello[] = { 0x94, 0, 0, 1, 0xcd, 16, 0 };
	unsigned char request[512], answer[INPUT];
	struct mpt_rand rand;
	mproc_listener *l;
	mproc_conn *c;
	size_t len;

	mpt_rand_init(&rand, mpt_seed());
	mpt_check_int(t, mproc_listener_open(&l, arg, NULL), 0);
	mpt_step(t, 0);
	for (;;) {
		bool greeted = false;

		mpt_check_int(t, mproc_listener_accept(l, &c, MPROC_FOREVER), 0);
		while (mproc_conn_recv(c, request, sizeof(request), &len,
				       MPROC_FOREVER) == 0) {
			if (!greeted && mpt_rand_below(&rand, 16)) {
				memcpy(answer, hello, len = sizeof(hello));
			} else {
				len = lie(&rand, request, len, answer);
			}
			greeted = true;
			if (mproc_conn_send(c, answer, len, MPROC_FOREVER) < 0)
				break;
		}
		mproc_conn_close(c);
	}
	return 0;
}

/* What is said, message by message, and what is answered. */
static const struct {
	const char *asked;
	size_t n_asked;
	const char *answer;
	size_t n_answer;
} dialogue[] = {
#define SAYS(asked, answer) { asked, sizeof(asked) - 1, answer, sizeof(answer) - 1 }
	SAYS("\225\0\0\0\255mproc-manager\1", "\224\0\0\1\315\20\0"),
	SAYS("\225\1\1\0\1\244many", "\223\1\0\5"),
	SAYS("\224\2\31\5\304\4\223\1\2\3", "\224\2\3\304\3\1\0\1\304\4\222\7\241x"),
	/* The next one only as far as it likes. */
	SAYS("\224\3\31\5\304\4\223\1\2\3", "\224\3\2\304\2\0\1\304\2\221\11"),
	SAYS("\224\4\31\5\304\2\221\3", "\224\4\1\304\1\0\304\1\220"),
	SAYS("\224\5\32\5\304\7\224\1\4\2\242ab", "\222\5\2"),
	SAYS("\224\6\32\5\304\7\224\1\4\2\242ab", "\222\6\1"),
	SAYS("\224\7\32\5\304\5\222\2\242ab", "\222\7\1"),
};

static int
keep_to_the_dialogue(struct mpt *t, void *arg)
{
	unsigned char request[64];
	mproc_listener *l;
	mproc_conn *c;
	size_t len;

	mpt_check_int(t, mproc_listener_open(&l, arg, NULL), 0);
	mpt_step(t, 0);
	mpt_check_int(t, mproc_listener_accept(l, &c, MPROC_FOREVER), 0);
	for (size_t i = 0; i < sizeof(dialogue) / sizeof(dialogue[0]); i++) {
		mpt_check_int(t, mproc_conn_recv(c, request, sizeof(request), &len,
						 MPROC_FOREVER), 0);
		mpt_check_int(t, len, dialogue[i].n_asked);
		mpt_check_int(t, memcmp(request, dialogue[i].asked, len), 0);
		mpt_check_int(t, mproc_conn_send(c, dialogue[i].answer,
						 dialogue[i].n_answer,
						 MPROC_FOREVER), 0);
	}
	mproc_conn_close(c);
	mproc_listener_close(l);
	return 0;
}

/* And the rest of them are another one, if the manager has not done all. */
static void
many_keys_are_one_request(void **state)
{
	const struct mproc_any keys[] = { mproc_int(1), mproc_int(2),
					  mproc_int(3) };
	const struct mproc_dict_item items[] = { { mproc_int(1), mproc_int(4) },
						 { mproc_int(2),
						   mproc_str("ab") } };
	struct mpt *t = *state;
	char *address = mpt_scratch(t), name[64];
	struct mproc_any got[3];
	mproc_manager *m;
	mproc_dict *d;
	bool there[3];
	int id;

	snprintf(address, 128, "unix:/dev/shm%s", mpt_name(t, name, "many"));
	id = mpt_fork(t, "manager", keep_to_the_dialogue, address);
	mpt_reach(t, 1);
	assert_int_equal(mproc_manager_connect(&m, address, NULL, mproc_sec(20)),
			 0);
	assert_int_equal(mproc_manager_dict(m, "many", &d), 0);
	assert_int_equal(mproc_dict_get_many(d, keys, 3, got, there), 2);
	assert_true(there[0] && !there[1] && there[2]);
	assert_int_equal(got[0].i64, 7);
	assert_int_equal(got[1].kind, MPROC_NIL);
	assert_string_equal(got[2].ptr, "x");
	mproc_any_clear(&got[2]);
	assert_int_equal(mproc_dict_get_many(d, keys, 3, got, there), 1);
	assert_true(!there[0] && there[1] && !there[2]);
	assert_int_equal(got[1].i64, 9);
	assert_int_equal(mproc_dict_set_many(d, items, 2), 2);
	assert_int_equal(mproc_dict_set_many(d, items, 2), 2);
	mpt_expect_exit(t, id, 0);
	mproc_manager_close(m);
}

static void
a_client_believes_no_server(void **state)
{
	struct mpt *t = *state;
	char *address = mpt_scratch(t), name[64];
	unsigned n = rounds(5000), met = 0, good = 0;
	struct mpt_rand rand;
	mproc_manager *m = NULL;
	mproc_dict *d = NULL;
	int id, r;

	mpt_watchdog(t, 120);
	snprintf(address, 128, "unix:/dev/shm%s", mpt_name(t, name, "liar"));
	id = mpt_fork(t, "liar", be_a_liar, address);
	mpt_reach(t, 1);
	mpt_rand_init(&rand, mpt_seed());
	/* By chance a lie is what was asked for; sooner or later. */
	for (unsigned i = 0; i < n || !met || !good; i++) {
		r = m ? 0 : mproc_manager_connect(&m, address, NULL,
						  mproc_sec(20));
		if (r == 0 && !d)
			r = mproc_manager_dict(m, "lies", &d);
		if (r == 0 && d)
			r = ask(&rand, m, d);
		good += r >= 0;
		if (r < 0 && m && (r == -EPIPE || r == -EBADMSG ||
				   mpt_rand_below(&rand, 8) == 0)) {
			mproc_manager_close(m);
			m = NULL;
			d = NULL;
			met++;
		}
	}
	mproc_manager_close(m);
	mpt_kill(t, id);
	assert_int_equal(unlink(address + 5), 0);
}

static int
with_arena(void **state)
{
	(void)state;
	return mproc_arena_default() ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(nothing_is_read_that_is_not_there),
		mpt_test(a_server_goes_on_whatever_comes),
		mpt_test(who_asks_for_much_at_once_shares_the_server),
		mpt_test(nothing_is_taken_out_for_who_is_gone),
		mpt_test(many_keys_are_one_request),
		mpt_test(a_client_believes_no_server),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
