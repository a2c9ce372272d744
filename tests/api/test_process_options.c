/* SPDX-License-Identifier: MIT */
/*
 * process.h: options that the child applies to itself before its entry runs:
 * CPUs, working directory, environment, open files.
 */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>

#include "options.h"

#define FDS 1024
#define OURS 2 /* that libmproc keeps for the arena */

/* In the scratch bytes; written by entries. */
struct board {
	struct mpt *t;
	char text[1024];
	bool open[FDS];
	unsigned n_open;
	_Atomic unsigned ready;
	mproc_queue *q;
	mproc_process *sibling;
	int fds[8];
};

static struct board *
begin(void **state)
{
	struct board *b = mpt_scratch(*state);

	b->t = *state;
	return b;
}

/* Open files. */

static int
note_open(void *arg)
{
	struct board *b = arg;

	b->n_open = 0;
	for (int fd = 0; fd < FDS; fd++) {
		b->open[fd] = fcntl(fd, F_GETFD) >= 0;
		b->n_open += b->open[fd];
	}
	return 0;
}

static void
all_others_are_closed(void **state)
{
	struct board *b = begin(state);
	int fds[6];

	for (int i = 0; i < 6; i++) {
		fds[i] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100 + 40 * i);
		assert_true(fds[i] >= 100);
	}
	run_with(note_open, b, NULL);
	/* Or closed at exec. */
	for (int i = 0; i < 6; i++)
		assert_int_equal(b->open[fds[i]], usual_method() == MPROC_FORK);

	run_with(note_open, b, MPROC_OPTS(mproc_process_opts,
					  .n_keep_fds = -1));
	assert_int_equal(b->n_open, 3 + OURS);
	for (int i = 0; i < 3; i++)
		assert_true(b->open[i]);

	/* In any order, twice, and standard streams among them. */
	run_with(note_open, b, MPROC_OPTS(mproc_process_opts,
		.keep_fds = ((int[]){ fds[4], 1, fds[1], fds[4], fds[2] }),
		.n_keep_fds = 5));
	assert_int_equal(b->n_open, 3 + OURS + 3);
	for (int i = 0; i < 6; i++)
		assert_int_equal(b->open[fds[i]], i == 1 || i == 2 || i == 4);

	/* Neighbours, the first one that there can be among them. */
	run_with(note_open, b, MPROC_OPTS(mproc_process_opts,
					  .keep_fds = fds, .n_keep_fds = 6));
	assert_int_equal(b->n_open, 3 + OURS + 6);
	for (int i = 0; i < 6; i++)
		close(fds[i]);
}

static void
many_files_are_kept(void **state)
{
	struct board *b = begin(state);
	int all[500], kept[500], n = 0;
	/* So many go with a message to a fork server. */
	int many = usual_method() == MPROC_FORKSERVER ? 245 * 3 / 2 : 500;

	for (int i = 0; i < many; i++) {
		all[i] = dup(STDERR_FILENO);
		assert_true(all[i] > 2 && all[i] < FDS);
		if (i % 3)
			kept[n++] = all[i];
	}
	run_with(note_open, b, MPROC_OPTS(mproc_process_opts,
					  .keep_fds = kept, .n_keep_fds = n));
	assert_int_equal(b->n_open, 3 + OURS + n);
	for (int i = 0; i < many; i++) {
		assert_int_equal(b->open[all[i]], i % 3 != 0);
		close(all[i]);
	}
}

static int
write_hello(void *arg)
{
	return dprintf((int)(intptr_t)arg, "hello") == 5 ? 0 : 1;
}

static void
a_source_of_a_stream_need_not_be_kept(void **state)
{
	int out[2], also[2];

	(void)state;
	make_pipe(out);
	make_pipe(also);
	run_with(write_hello, (void *)(intptr_t)also[1],
		 MPROC_OPTS(mproc_process_opts,
			    .stdout_ = { MPROC_STDIO_FD, out[1] },
			    .keep_fds = &also[1], .n_keep_fds = 1));
	close(out[1]);
	close(also[1]);
	expect_text(out[0], "");
	expect_text(also[0], "hello");
	close(out[0]);
	close(also[0]);
}

static int
answer(void *arg)
{
	return mproc_queue_put(arg, "x", 1, MPROC_FOREVER);
}

/* A thread of its own in the arena, a child of its own, and recovery. */
static int
use_the_library(void *arg)
{
	struct board *b = arg;
	mproc_process *p;
	mproc_queue *q;
	char c;

	if (mproc_queue_create(&q, NULL) < 0)
		return 1;
	if (mproc_process_start(&p, answer, q, NULL) < 0)
		return 2;
	if (mproc_queue_get(q, &c, 1, NULL, MPROC_FOREVER) < 0)
		return 3;
	if (mproc_process_join(p, MPROC_FOREVER) < 0)
		return 4;
	mproc_process_close(p);
	mproc_queue_destroy(q);
	if (mproc_arena_recover(NULL) < 0)
		return 5;
	return mproc_queue_put(b->q, "done", 5, MPROC_FOREVER) == 0 ? 0 : 6;
}

static void
the_library_works_with_all_files_closed(void **state)
{
	struct board *b = begin(state);
	char text[8];

	assert_int_equal(mproc_queue_create(&b->q, NULL), 0);
	run_with(use_the_library, b, MPROC_OPTS(mproc_process_opts,
						.n_keep_fds = -1));
	assert_int_equal(mproc_queue_get(b->q, text, sizeof(text), NULL,
					 MPROC_NOWAIT), 0);
	assert_string_equal(text, "done");
	mproc_queue_destroy(b->q);
}

/* Opens files until the numbers that its parent had are in use again, then
 * closes its copies of the parent's handles. */
static int
close_inherited_handles(void *arg)
{
	struct board *b = arg;
	mproc_process *mine;
	int code, fd;

	do {
		fd = open("/dev/null", O_RDONLY);
		if (fd < 0)
			return 1;
	} while (fd < b->fds[0] + 8);
	if (mproc_process_start(&mine, return_it, (void *)9, NULL) < 0)
		return 2;
	note_open(b);
	mproc_process_close(b->sibling);
	for (fd = 0; fd < FDS; fd++)
		if (b->open[fd] != (fcntl(fd, F_GETFD) >= 0))
			return 3;
	if (mproc_process_join(mine, MPROC_FOREVER) < 0 ||
	    mproc_process_exitcode(mine, &code) < 0 || code != 9)
		return 4;
	fd = mproc_process_fd(mine);
	mproc_process_close(mine);
	if (fd >= 0 && fcntl(fd, F_GETFD) >= 0)
		return 5;
	return 0;
}

static void
closing_an_inherited_handle_closes_no_file_of_the_child(void **state)
{
	struct board *b = begin(state);

	b->sibling = start(wait_for_ever, b->t);
	b->fds[0] = mproc_process_fd(b->sibling);
	if (b->fds[0] < 0)
		b->fds[0] = 3; /* no pidfds */
	run_with(close_inherited_handles, b,
		 MPROC_OPTS(mproc_process_opts, .n_keep_fds = -1,
			    .method = MPROC_FORK));
	kill_and_close(b->sibling);
}

/* One that leads elsewhere is there, whatever there was before. */
static int
keep_a_stream_that_was_closed(struct mpt *t, void *arg)
{
	mproc_process *p;
	int code = -1;

	mpt_check_int(t, close(STDOUT_FILENO), 0);
	mpt_check_int(t, mproc_process_start(
		&p, write_hello, (void *)STDOUT_FILENO,
		MPROC_OPTS(mproc_process_opts,
			   .stdout_ = { MPROC_STDIO_NULL, 0 },
			   .keep_fds = ((int[]){ STDOUT_FILENO }),
			   .n_keep_fds = 1)), 0);
	mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, 0);
	mproc_process_close(p);
	return arg != NULL;
}

static void
a_stream_that_leads_elsewhere_can_be_kept(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "host", keep_a_stream_that_was_closed,
				     NULL), 0);
}

static void
files_that_cannot_be_kept_are_refused(void **state)
{
	int closed = dup(STDERR_FILENO), fd = STDERR_FILENO;
	char text[32];

	close(closed);
	snprintf(text, sizeof(text), "%d", closed);
	expect_refused(*state, -EBADF, text, MPROC_OPTS(mproc_process_opts,
		.keep_fds = ((int[]){ fd, closed }), .n_keep_fds = 2));
	expect_refused(*state, -EINVAL, "keep_fds[1]",
		       MPROC_OPTS(mproc_process_opts,
				  .keep_fds = ((int[]){ fd, -1 }),
				  .n_keep_fds = 2));
	expect_refused(*state, -EINVAL, "keep_fds",
		       MPROC_OPTS(mproc_process_opts, .n_keep_fds = -2));
	expect_refused(*state, -EINVAL, "keep_fds",
		       MPROC_OPTS(mproc_process_opts, .n_keep_fds = 1));
	expect_refused(*state, -EINVAL, "keep_fds",
		       MPROC_OPTS(mproc_process_opts, .keep_fds = &fd));
}

/* Environment. */

static int
print_environment(void *arg)
{
	struct board *b = arg;
	char *at = b->text;

	at += sprintf(at, "%s ", getenv("A") ? getenv("A") : "-");
	at += sprintf(at, "%s ", getenv("B") ? getenv("B") : "-");
	sprintf(at, "%s", getenv("PATH") ? "PATH" : "-");
	return setenv("C", "3", 1) || unsetenv("A") ||
	       strcmp(getenv("C"), "3") != 0 || getenv("A");
}

static void
the_environment_is_replaced(void **state)
{
	struct board *b = begin(state);

	assert_non_null(getenv("PATH"));
	run_with(print_environment, b,
		 MPROC_OPTS(mproc_process_opts,
			    .env = ((const char *[]){ "A=one", "B=", NULL })));
	assert_string_equal(b->text, "one  -");
	run_with(print_environment, b,
		 MPROC_OPTS(mproc_process_opts, .env = ((const char *[]){ NULL })));
	assert_string_equal(b->text, "- - -");
	run_with(print_environment, b, NULL);
	assert_string_equal(b->text, "- - PATH");
	assert_non_null(getenv("PATH"));
	assert_null(getenv("A"));
}

static int
wait_and_print_environment(void *arg)
{
	struct board *b = arg;

	mpt_reach(b->t, 1);
	return print_environment(arg);
}

static void
the_environment_is_a_copy(void **state)
{
	struct board *b = begin(state);
	char *shared = mproc_alloc(8);
	const char *env[] = { shared, NULL };
	mproc_process *p;

	assert_non_null(shared);
	strcpy(shared, "A=one");
	p = start_with(wait_and_print_environment, b,
		       MPROC_OPTS(mproc_process_opts, .env = env));
	strcpy(shared, "A=two");
	mpt_step(b->t, 0);
	assert_int_equal(end_of(p), 0);
	assert_string_equal(b->text, "one - -");
	mproc_process_close(p);
	mproc_free(shared);
}

/* Working directory. */

static int
note_directory(void *arg)
{
	struct board *b = arg;

	return getcwd(b->text, sizeof(b->text)) ? 0 : 1;
}

static void
the_working_directory_is_the_childs_own(void **state)
{
	struct board *b = begin(state);
	char before[PATH_MAX], after[PATH_MAX];

	assert_non_null(getcwd(before, sizeof(before)));
	run_with(note_directory, b,
		 MPROC_OPTS(mproc_process_opts, .cwd = "/proc/self"));
	assert_int_equal(strncmp(b->text, "/proc/", 6), 0);
	assert_int_not_equal(atoi(b->text + 6), getpid());
	run_with(note_directory, b,
		 MPROC_OPTS(mproc_process_opts, .cwd = "."));
	assert_string_equal(b->text, before);
	assert_non_null(getcwd(after, sizeof(after)));
	assert_string_equal(after, before);
}

static void
a_directory_that_cannot_be_entered_is_refused(void **state)
{
	char deep[PATH_MAX + 2];

	memset(deep, 'x', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	expect_refused(*state, -ENOENT, "\"/nowhere\"",
		       MPROC_OPTS(mproc_process_opts, .cwd = "/nowhere"));
	expect_refused(*state, -ENOENT, "cwd \"\"",
		       MPROC_OPTS(mproc_process_opts, .cwd = ""));
	expect_refused(*state, -ENOTDIR, "/dev/null",
		       MPROC_OPTS(mproc_process_opts, .cwd = "/dev/null"));
	expect_refused(*state, -ENAMETOOLONG, "cwd",
		       MPROC_OPTS(mproc_process_opts, .cwd = deep));
}

/* CPUs. */

static int
count_cpus(void *arg)
{
	struct board *b = arg;
	cpu_set_t set;

	sprintf(b->text, "%d", mproc_cpu_count());
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 255;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			return cpu;
	return 254;
}

static void
a_process_runs_on_the_cpus_that_it_was_given(void **state)
{
	struct board *b = begin(state);
	cpu_set_t before, after;
	mproc_process *p;
	int cpu, tried = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	for (cpu = 0; cpu < 254; cpu++) {
		if (!CPU_ISSET(cpu, &before))
			continue;
		/* One that no machine has beside it. */
		p = start_with(count_cpus, b, MPROC_OPTS(mproc_process_opts,
			.cpus = ((int[]){ cpu, INT_MAX }), .n_cpus = 2));
		assert_int_equal(end_of(p), cpu);
		assert_string_equal(b->text, "1");
		mproc_process_close(p);
		tried++;
	}
	assert_true(tried > 0);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&after, &before));
}

static void
cpus_that_are_not_there_are_refused(void **state)
{
	int cpus[] = { 0, -1 }, none = INT_MAX;

	expect_refused(*state, -EINVAL, "cpus",
		       MPROC_OPTS(mproc_process_opts, .cpus = &none,
				  .n_cpus = 1));
	expect_refused(*state, -EINVAL, "cpus[1]",
		       MPROC_OPTS(mproc_process_opts, .cpus = cpus,
				  .n_cpus = 2));
	expect_refused(*state, -EINVAL, "cpus",
		       MPROC_OPTS(mproc_process_opts, .cpus = cpus,
				  .n_cpus = -1));
	expect_refused(*state, -EINVAL, "cpus",
		       MPROC_OPTS(mproc_process_opts, .n_cpus = 1));
	expect_refused(*state, -EINVAL, "cpus",
		       MPROC_OPTS(mproc_process_opts, .cpus = cpus));
}

/* The rest. */

static void
there_is_one_start_method(void **state)
{
	expect_refused(*state, -EINVAL, "start method 77",
		       MPROC_OPTS(mproc_process_opts, .method = 77));
	expect_refused(*state, -EINVAL, "start method -1",
		       MPROC_OPTS(mproc_process_opts, .method = -1));
	assert_int_equal(mproc_set_start_method(0), -EINVAL);
	assert_int_equal(mproc_set_start_method(77), -EINVAL);
	assert_true(detail_has("77"));
	assert_int_equal(mproc_set_start_method(usual_method()), 0);
	run_with(return_it, NULL,
		 MPROC_OPTS(mproc_process_opts, .method = MPROC_FORK));
}

static void
a_child_that_dies_over_its_options_was_started(void **state)
{
	mproc_process *p;
	int code;

	(void)state;
	/* No address of anything; with other methods the parent would read it. */
	p = start_with(return_it, NULL, MPROC_OPTS(mproc_process_opts,
		.env = (const char *const *)8, .method = MPROC_FORK));
	code = end_of(p);
	assert_int_not_equal(code, 0);
	mproc_process_close(p);
}

static int
use_them_all(void *arg)
{
	struct board *b = arg;

	note_open(b);
	return printf("%s", getenv("A")) == 3 && note_directory(b) == 0 ?
		       count_cpus(b) : 250;
}

/* From several threads at once, and many times. */
static int
start_them_all(struct mpt *t, void *arg)
{
	cpu_set_t set;
	int cpu = 0, out[2], code;
	char text[8];
	mproc_process *p;
	struct board *b = mproc_alloc(sizeof(*b));

	(void)arg;
	mpt_check(t, b);
	mpt_check_int(t, sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	for (unsigned i = 0; i < (usual_method() == MPROC_FORK ? amount(50) :
								 amount(10));
	     i++) {
		mpt_check_int(t, pipe2(out, O_CLOEXEC), 0);
		mpt_check_int(t, mproc_process_start(
			&p, use_them_all, b,
			MPROC_OPTS(mproc_process_opts,
				   .env = ((const char *[]){ "A=one", NULL }),
				   .cwd = "/", .cpus = &cpu, .n_cpus = 1,
				   .stdin_ = { MPROC_STDIO_NULL, 0 },
				   .stdout_ = { MPROC_STDIO_FD, out[1] },
				   .n_keep_fds = -1)), 0);
		close(out[1]);
		mpt_check_int(t, read(out[0], text, sizeof(text)), 3);
		mpt_check_int(t, memcmp(text, "one", 3), 0);
		close(out[0]);
		mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
		mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
		mpt_check_int(t, code, cpu);
		mpt_check_int(t, b->n_open, 3 + OURS);
		mproc_process_close(p);
	}
	mproc_free(b);
	return 0;
}

static void
threads_start_processes_with_all_options(void **state)
{
	struct mpt *t = *state;

	mpt_use_threads(t, true);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "thread", start_them_all, NULL);
	mpt_join_all(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(all_others_are_closed),
		mpt_test(many_files_are_kept),
		mpt_test(a_source_of_a_stream_need_not_be_kept),
		mpt_test(the_library_works_with_all_files_closed),
		mpt_test(closing_an_inherited_handle_closes_no_file_of_the_child),
		mpt_test(a_stream_that_leads_elsewhere_can_be_kept),
		mpt_test(files_that_cannot_be_kept_are_refused),
		mpt_test(the_environment_is_replaced),
		mpt_test(the_environment_is_a_copy),
		mpt_test(the_working_directory_is_the_childs_own),
		mpt_test(a_directory_that_cannot_be_entered_is_refused),
		mpt_test(a_process_runs_on_the_cpus_that_it_was_given),
		mpt_test(cpus_that_are_not_there_are_refused),
		mpt_test(there_is_one_start_method),
		mpt_test(a_child_that_dies_over_its_options_was_started),
		mpt_test(threads_start_processes_with_all_options),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
