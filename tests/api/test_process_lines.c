/* SPDX-License-Identifier: MIT */
/*
 * process.h: output that the starter passes on, line by line. In roles, whose own
 * output goes to a file.
 */
#include <sched.h>
#include <stdio.h>

#include "lines.h"

#define LONG 10000
#define TALKERS 4
#define SHORT_LINES 2000 /* which are in a pipe of one page */

static int
say_two_lines(void *arg)
{
	(void)arg;
	printf("first\n");
	fflush(stdout);
	printf("second");
	return 4;
}

static int
see_lines(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = lines(arg, "worker");
	unsigned fds = mpt_fd_count();
	int fd = redirect(t);

	mpt_check_int(t, mpt_fd_count(), fds + 1);
	start_and_join(t, say_two_lines, arg, &o, 4);
	/* All of it, as soon as it is joined, with an end to each line. */
	must_be(t, fd, "[worker] first\n[worker] second\n");
	mproc_forkserver_stop();
	mpt_check_int(t, mpt_fd_count(), fds + 1);
	return 0;
}

static void
lines_come_with_the_name_in_front(void **state)
{
	by_each(*state, see_lines);
}

static int
say_it_when_told(void *arg)
{
	const struct board *b = arg;

	while (!b->go)
		sched_yield();
	return write(1, "x\n", 2) != 2;
}

static int
print_before_and_behind(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = lines(arg, "p");
	struct board *b = arg;
	int fd = redirect(t);
	mproc_process *p;

	mpt_check_int(t, mproc_process_start(&p, say_it_when_told, b, &o), 0);
	printf("before\n");
	b->go = true;
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	printf("behind\n");
	fflush(stdout);
	must_be(t, fd, "before\n[p] x\nbehind\n");
	mproc_process_close(p);
	mproc_forkserver_stop();
	return 0;
}

static void
lines_come_behind_what_their_starter_has_printed(void **state)
{
	by_each(*state, print_before_and_behind);
}

static int
print_to_memory(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = lines(arg, "p");
	struct board *b = arg;
	FILE *before = stdout;
	char *text;
	size_t len;

	stdout = open_memstream(&text, &len);
	mpt_check(t, stdout != NULL);
	b->go = true;
	start_and_join(t, say_it_when_told, arg, &o, 0);
	mpt_check(t, len == 6 && memcmp(text, "[p] x\n", len) == 0);
	fclose(stdout);
	stdout = before;
	free(text);
	mproc_forkserver_stop();
	return 0;
}

static void
a_stream_need_not_lead_to_a_file(void **state)
{
	by_each(*state, print_to_memory);
}

static int
say_a_byte_at_a_time(void *arg)
{
	struct board *b = arg;

	for (const char *c = "one\n\ntwo\n"; *c; c++)
		if (write(1, c, 1) != 1)
			return 1;
	b->ready = 1;
	while (!b->go)
		sched_yield();
	return 0;
}

static int
see_them_at_once(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = lines(arg, "slow");
	struct board *b = arg;
	int fd = redirect(t);
	mproc_process *p;

	mpt_check_int(t, mproc_process_start(&p, say_a_byte_at_a_time, b, &o),
		      0);
	/* While it runs, and though nobody waits for it. */
	mpt_until(t, lseek(fd, 0, SEEK_END) ==
			     (off_t)strlen("[slow] one\n[slow] \n[slow] two\n"));
	must_be(t, fd, "[slow] one\n[slow] \n[slow] two\n");
	mpt_check(t, mproc_process_is_alive(p));
	b->go = true;
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mproc_process_close(p);
	mproc_forkserver_stop();
	return 0;
}

static void
lines_come_when_they_are_written(void **state)
{
	by_each(*state, see_them_at_once);
}

static int
say_much(void *arg)
{
	char line[LONG + 2];

	(void)arg;
	memset(line, 'x', LONG);
	line[5] = '\0'; /* a byte like any other */
	line[LONG] = '\n';
	for (int i = 0; i < 50; i++)
		if (write(1 + i % 2, line, LONG + 1) != LONG + 1)
			return 1;
	return 0;
}

static int
count_much(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = lines(arg, "n");
	int fd = redirect(t);
	size_t x = 0, prefixes = 0, ends = 0, zeros = 0;
	off_t len;
	char *text;

	start_and_join(t, say_much, arg, &o, 0);
	len = lseek(fd, 0, SEEK_END);
	text = text_of(fd);
	for (off_t i = 0; i < len; i++) {
		x += text[i] == 'x';
		prefixes += text[i] == '[';
		ends += text[i] == '\n';
		zeros += text[i] == '\0';
	}
	free(text);
	mpt_check_int(t, x, 50 * (LONG - 1));
	mpt_check_int(t, zeros, 50);
	/* Nothing is lost, and each piece is a line. */
	mpt_check_int(t, prefixes, ends);
	mpt_check(t, ends >= 150);
	mproc_forkserver_stop();
	return 0;
}

static void
nothing_is_lost_of_much(void **state)
{
	by_each(*state, count_much);
}

static int
leave_somebody_behind(void *arg)
{
	struct board *b = arg;

	printf("parent\n");
	fflush(stdout);
	if (fork() == 0) {
		b->ready = 1;
		while (!b->go)
			sched_yield();
		printf("heir\n");
		fflush(stdout);
		_exit(0);
	}
	return 0;
}

static int
hear_of_heirs(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = lines(arg, "p");
	unsigned fds = mpt_fd_count();
	struct board *b = arg;
	int fd = redirect(t);

	/* A join does not wait for who else has the pipe. */
	start_and_join(t, leave_somebody_behind, b, &o, 0);
	mpt_until(t, b->ready == 1);
	must_be(t, fd, "[p] parent\n");
	b->go = true;
	mpt_until(t, lseek(fd, 0, SEEK_END) ==
			     (off_t)strlen("[p] parent\n[p] heir\n"));
	must_be(t, fd, "[p] parent\n[p] heir\n");
	mproc_forkserver_stop();
	/* The thread goes when there is nobody left. */
	mpt_until(t, mpt_fd_count() == fds + 1);
	return 0;
}

static void
lines_of_heirs_come_later(void **state)
{
	by_each(*state, hear_of_heirs);
}

static int
leave_talkers_behind(void *arg)
{
	struct board *b = arg;
	char lines[4096];

	/* Sooner written than passed on: the pipe is never empty. */
	memset(lines, '\n', sizeof(lines));
	for (int i = 0; i < TALKERS; i++) {
		if (fork() != 0)
			continue;
		while (!b->go && write(1, lines, sizeof(lines)) > 0)
			b->ready++;
		_exit(0);
	}
	while (b->ready < 10)
		sched_yield();
	return 0;
}

static int
join_in_spite_of_talkers(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = lines(arg, "p");
	struct board *b = arg;

	(void)redirect(t);
	start_and_join(t, leave_talkers_behind, arg, &o, 0);
	b->go = true;
	mproc_forkserver_stop();
	return 0;
}

static void
a_join_does_not_wait_for_heirs_to_be_silent(void **state)
{
	by_each(*state, join_in_spite_of_talkers);
}

static int
say_and_die(void *arg)
{
	(void)arg;
	if (write(2, "dying", 5) != 5)
		return 1;
	return raise(SIGKILL);
}

static int
start_and_exit(void *arg)
{
	struct board *b = arg;
	struct mproc_process_opts o = lines(b, "inner");
	mproc_process *p;

	/* Nobody joins it but the end of this process. */
	return mproc_process_start(&p, say_two_lines, b, &o) < 0;
}

static int
see_the_last_words(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = lines(arg, "victim");
	int fd = redirect(t);

	start_and_join(t, say_and_die, arg, &o, -SIGKILL);
	must_be(t, fd, "[victim] dying\n");
	o.name = "outer";
	start_and_join(t, start_and_exit, arg, &o, 0);
	must_be(t, fd, "[victim] dying\n[outer] [inner] first\n"
		       "[outer] [inner] second\n");
	mproc_forkserver_stop();
	return 0;
}

static void
last_words_are_heard(void **state)
{
	by_each(*state, see_the_last_words);
}

static int
join_with_the_stream_locked(struct mpt *t, void *arg)
{
	struct mproc_process_opts o = lines(arg, "p");
	int fd = redirect(t);

	for (int i = 0; i < 20; i++) {
		flockfile(stdout);
		start_and_join(t, say_two_lines, arg, &o, 4);
		funlockfile(stdout);
	}
	mpt_check_int(t, lseek(fd, 0, SEEK_END),
		      20 * (long)strlen("[p] first\n[p] second\n"));
	mproc_forkserver_stop();
	return 0;
}

static void
who_has_the_stream_locked_may_join(void **state)
{
	by_each(*state, join_with_the_stream_locked);
}

static int
say_short_lines(void *arg)
{
	char text[2 * SHORT_LINES];

	(void)arg;
	for (int i = 0; i < SHORT_LINES; i++)
		memcpy(text + 2 * i, "x\n", 2);
	return write(1, text, sizeof(text)) != sizeof(text);
}

static void
let_go(void *arg)
{
	(void)arg;
	funlockfile(stdout);
}

static int
exit_after_its_child(void *arg)
{
	struct board *b = arg;
	struct mproc_process_opts o = lines(b, "inner");
	mproc_process *p;

	o.daemon = b->daemon;
	/* Until the end has begun, no line gets further than to our thread. */
	flockfile(stdout);
	if (mproc_at_exit(let_go, NULL) < 0 ||
	    mproc_process_start(&p, say_short_lines, b, &o) < 0)
		return 1;
	/* That it has ended is seen before that, and not what comes with it. */
	while (mproc_children(NULL, 0) > 0)
		sched_yield();
	return 0;
}

static int
see_lines_of_the_ended(struct mpt *t, void *arg)
{
	static const char line[] = "[outer] [inner] x\n";
	const size_t len = strlen(line);
	char *expected = malloc(2 * SHORT_LINES * len + 1);
	struct mproc_process_opts o = lines(arg, "outer");
	struct board *b = arg;
	int fd = redirect(t);

	mpt_check(t, expected != NULL);
	for (size_t i = 0; i < 2 * SHORT_LINES; i++)
		memcpy(expected + i * len, line, len + 1);
	for (int daemon = 0; daemon < 2; daemon++) {
		b->daemon = daemon;
		start_and_join(t, exit_after_its_child, b, &o, 0);
		mpt_check_int(t, lseek(fd, 0, SEEK_END),
			      (1 + daemon) * SHORT_LINES * (long)len);
	}
	must_be(t, fd, expected);
	free(expected);
	mproc_forkserver_stop();
	return 0;
}

static void
lines_of_one_that_has_ended_before_its_starter_are_heard(void **state)
{
	by_each(*state, see_lines_of_the_ended);
}

static void
what_makes_no_sense_is_refused(void **state)
{
	const struct board by_fork = { .method = MPROC_FORK };
	struct mproc_process_opts o = lines(&by_fork, "refused");
	mproc_process *p;
	unsigned fds;

	expect_refused(*state, -EINVAL, "stdin_",
		       MPROC_OPTS(mproc_process_opts,
				  .stdin_ = { MPROC_STDIO_LINES, 0 }));
	expect_refused(*state, -EINVAL, "outlives",
		       MPROC_OPTS(mproc_process_opts, .outlive_parent = true,
				  .stdout_ = { MPROC_STDIO_LINES, 0 }));
	/* What fails later takes the pipe along, and the thread. */
	o.cwd = "/nowhere";
	fds = mpt_fd_count();
	assert_int_equal(mproc_process_start(&p, return_it, NULL, &o), -ENOENT);
	assert_int_equal(mpt_fd_count(), fds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(lines_come_with_the_name_in_front),
		mpt_test(lines_come_behind_what_their_starter_has_printed),
		mpt_test(a_stream_need_not_lead_to_a_file),
		mpt_test(who_has_the_stream_locked_may_join),
		mpt_test(lines_come_when_they_are_written),
		mpt_test(nothing_is_lost_of_much),
		mpt_test(lines_of_heirs_come_later),
		mpt_test(a_join_does_not_wait_for_heirs_to_be_silent),
		mpt_test(last_words_are_heard),
		mpt_test(lines_of_one_that_has_ended_before_its_starter_are_heard),
		mpt_test(what_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
