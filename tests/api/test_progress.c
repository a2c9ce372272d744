/* SPDX-License-Identifier: MIT */
/*
 * pool.h: the line that shows how far a map is, on a terminal and elsewhere.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pool.h"

static struct terminal {
	int master;
	int slave;
	struct mproc_progress line;
} tty;

static void
open_terminal(unsigned short columns)
{
	struct winsize size = { .ws_row = 25, .ws_col = columns };

	tty.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	assert_true(tty.master >= 0);
	assert_int_equal(grantpt(tty.master), 0);
	assert_int_equal(unlockpt(tty.master), 0);
	tty.slave = open(ptsname(tty.master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(tty.slave >= 0);
	assert_int_equal(ioctl(tty.slave, TIOCSWINSZ, &size), 0);
	tty.line = (struct mproc_progress){ .label = "lines", .fd = tty.slave };
}

static void
close_terminal(void)
{
	close(tty.slave);
	close(tty.master);
}

static void
expect_line(const char *text)
{
	char line[256] = "";
	ssize_t n = read(tty.master, line, sizeof(line) - 1);

	assert_true(n > 0);
	assert_string_equal(line, text);
}

static void
a_terminal_has_a_bar(void **state)
{
	(void)state;
	open_terminal(40);
	errno = 17;
	mproc_progress_bar(0, 10, &tty.line);
	assert_int_equal(errno, 17);
	expect_line("\rlines [                    ]   0 % 0/10");
	/* As if it had begun ten seconds ago. */
	tty.line.started -= INT64_C(10000000000);
	mproc_progress_bar(5, 10, &tty.line);
	expect_line("\rlines [###   ]  50 % 5/10, 0:00:10 left");
	mproc_progress_bar(10, 10, &tty.line);
	/* A terminal makes two of the end of a line. */
	expect_line("\rlines [###################] 100 % 10/10\r\n");
	/* It is ready for another one. */
	assert_int_equal(tty.line.started, 0);
	close_terminal();
}

static void
what_does_not_fit_is_left_out(void **state)
{
	static const unsigned short columns[] = { 2, 5, 8, 12, 20, 300 };

	(void)state;
	for (int i = 0; i < 6; i++) {
		char line[1024];
		ssize_t n;

		open_terminal(columns[i]);
		mproc_progress_bar(3, SIZE_MAX, &tty.line);
		n = read(tty.master, line, sizeof(line));
		assert_int_equal(n, columns[i]);
		assert_int_equal(line[0], '\r');
		close_terminal();
	}
}

static int
twice(const void *in, void *out, void *ctx)
{
	int i = 2 * int_of(in);

	(void)ctx;
	memcpy(out, &i, sizeof(i));
	return 0;
}

static void
elsewhere_its_end_is_told(void **state)
{
	struct board *b = pool_of(*state, 2);
	struct mproc_progress line = { .label = "items" };
	int in[10] = { 0 }, out[10], ends[2];
	char text[64] = "";

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	line.fd = ends[1];
	mproc_progress_bar(4, 10, &line);
	assert_int_equal(mproc_pool_map(b->pool, twice, NULL, in, sizeof(int), out,
					sizeof(int), 10,
					MPROC_OPTS(mproc_map_opts,
						   .progress = mproc_progress_bar,
						   .progress_ctx = &line)), 0);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "items 10/10\n");
	close(ends[0]);
	close(ends[1]);
	close_and_join(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_terminal_has_a_bar),
		mpt_test(what_does_not_fit_is_left_out),
		mpt_test(elsewhere_its_end_is_told),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
