/* SPDX-License-Identifier: MIT */
/*
 * MPROC_SPAWN and MPROC_FORKSERVER: processes that are no copies of who starts them.
 * What only a fork server does is in test_forkserver.c.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "options.h"
#include "owned.h"

static int method; /* of the two */

#define WITH(...) MPROC_OPTS(mproc_process_opts, .method = method, __VA_ARGS__)

/* A test with each. */
#define both_methods(f)                                                       \
	static void f##_by_spawn(void **state)                                \
	{                                                                     \
		method = MPROC_SPAWN;                                         \
		f(state);                                                     \
	}                                                                     \
	static void f##_by_forkserver(void **state)                           \
	{                                                                     \
		method = MPROC_FORKSERVER;                                    \
		f(state);                                                     \
		assert_int_equal(mproc_forkserver_stop(), 0);                 \
	}

#define both_methods_tests(f) \
	mpt_test(f##_by_spawn), mpt_test(f##_by_forkserver)

/* In the arena. */
struct board {
	int value;
	int got;
	char text[512];
	bool open[64];
	mproc_lock lock;
	mproc_queue *q;
	_Atomic unsigned ready;
	void *block;
};

static int changed = 1;
static int constructed;
static int early_error; /* what a start in a constructor gives */

/* What main() would find is there, and what it would do is not done yet. */
__attribute__((constructor)) static void
construct(void)
{
	mproc_process *p;

	constructed++;
	if (getenv("SPAWN_EARLY"))
		early_error = mproc_process_start(
			&p, return_it, NULL,
			MPROC_OPTS(mproc_process_opts, .method = MPROC_SPAWN));
}

static struct board *
new_board(void)
{
	struct board *b = mproc_alloc(sizeof(*b));

	assert_non_null(b);
	return b;
}

static mproc_process *
spawn(mproc_entry *fn, void *arg)
{
	return start_with(fn, arg, WITH(.name = NULL));
}

static int
result_of(mproc_entry *fn, void *arg, const struct mproc_process_opts *o)
{
	mproc_process *p = start_with(fn, arg, o);
	int code = end_of(p);

	mproc_process_close(p);
	return code;
}

/* The image. */

static int
note_statics(void *arg)
{
	struct board *b = arg;

	b->value = changed * 100 + constructed;
	b->got = mproc_is_shared(b);
	snprintf(b->text, sizeof(b->text), "%s %d", mproc_self_name(),
		 mproc_parent_pid() == getppid());
	return 3;
}

static void
the_image_is_new_and_the_arena_is_not(void **state)
{
	struct board *b = new_board();

	(void)state;
	changed = 2;
	assert_int_equal(result_of(note_statics, b, WITH(.name = "anew")), 3);
	assert_int_equal(b->value, 101);
	assert_true(b->got);
	assert_string_equal(b->text, "anew 1");
	mproc_free(b);
}

both_methods(the_image_is_new_and_the_arena_is_not)

static int
end_by(void *arg)
{
	raise((int)(intptr_t)arg);
	return 0;
}

static int
end_by_exit(void *arg)
{
	exit((int)(intptr_t)arg);
}

static void
ends_are_told_as_for_forked_ones(void **state)
{
	(void)state;
	assert_int_equal(result_of(return_it, (void *)255, WITH(.name = NULL)), 255);
	assert_int_equal(result_of(end_by_exit, (void *)9, WITH(.name = NULL)), 9);
	assert_int_equal(result_of(end_by, (void *)SIGKILL, WITH(.name = NULL)), -SIGKILL);
	assert_int_equal(result_of(end_by, (void *)SIGTERM, WITH(.name = NULL)), -SIGTERM);
}

both_methods(ends_are_told_as_for_forked_ones)

static void
a_crash_leaves_a_report(void **state)
{
	/* Sanitizers leave this one alone. */
	mproc_process *p = spawn(end_by, (void *)SIGTRAP);
	struct mproc_exit end;

	(void)state;
	assert_int_equal(end_of(p), -SIGTRAP);
	assert_int_equal(mproc_process_exit_info(p, &end), 0);
	assert_non_null(end.report);
	assert_non_null(strstr(end.report, "SIGTRAP"));
	mproc_process_close(p);
}

both_methods(a_crash_leaves_a_report)

static void
an_entry_may_be_static_in_a_library_that_was_loaded_later(void **state)
{
	void *module = dlopen(getenv("MPT_SPAWN_MODULE"), RTLD_NOW);
	mproc_entry *(*entry)(void);
	int *value = mproc_value(int, 1);

	(void)state;
	assert_non_null(module);
	*(void **)&entry = dlsym(module, "module_entry");
	assert_int_equal(result_of(entry(), value, WITH(.name = NULL)), 11);
	assert_int_equal(*value, 11);
	mproc_free(value);
	dlclose(module);
}

both_methods(an_entry_may_be_static_in_a_library_that_was_loaded_later)

void *through_block(void); /* spawn_through.c */

static int
tell_of_the_block(void *arg)
{
	struct board *b = arg;

	b->block = through_block();
	return b->block && mproc_is_shared(b->block) ? 0 : 1;
}

static void
a_library_that_needs_us_finds_the_arena_in_its_constructor(void **state)
{
	struct board *b = new_board();

	(void)state;
	setenv("SPAWN_BLOCK", "1", 1);
	assert_int_equal(result_of(tell_of_the_block, b, WITH(.name = NULL)),
			 0);
	unsetenv("SPAWN_BLOCK");
	/* It is ours as well, and outlives who has made it. */
	assert_true(mproc_is_shared(b->block));
	memset(b->block, 1, 100);
	mproc_free(b->block);
	mproc_free(b);
}

both_methods(a_library_that_needs_us_finds_the_arena_in_its_constructor)

/* Not even where it is loaded for the sake of the entry. */
static void
a_library_does_not_start_others_without_end(void **state)
{
	int *value = mproc_value(int, 0);
	char address[32];
	void *module;

	(void)state;
	snprintf(address, sizeof(address), "%llx",
		 (unsigned long long)(uintptr_t)value);
	setenv("SPAWN_STARTS", address, 1);
	assert_int_equal(mproc_set_start_method(method), 0);
	module = dlopen(getenv("MPT_SPAWN_MODULE"), RTLD_NOW);
	assert_int_equal(mproc_set_start_method(MPROC_FORK), 0);
	unsetenv("SPAWN_STARTS");
	assert_non_null(module);
	/* Loaded here and in the child, which runs the entry. */
	assert_int_equal(*value, 12);
	mproc_free(value);
	dlclose(module);
}

both_methods(a_library_does_not_start_others_without_end)

/* The argument. */

static int
sum(void *arg)
{
	unsigned char *bytes = arg;
	int n = 0;

	for (int i = 0; i < 100000; i++)
		n += bytes[i];
	return (uintptr_t)arg % _Alignof(max_align_t) ? 255 : n % 251;
}

static void
bytes_are_copied(void **state)
{
	unsigned char *bytes = malloc(100000);
	mproc_process *p;
	int n = 0;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		bytes[i] = (unsigned char)(i * 7);
		n += bytes[i];
	}
	p = start_with(sum, bytes, WITH(.arg_size = 100000));
	memset(bytes, 0, 100000);
	free(bytes);
	assert_int_equal(end_of(p), n % 251);
	mproc_process_close(p);
}

both_methods(bytes_are_copied)

static void
what_the_image_has_not_is_refused(void **state)
{
	int local = 0, *heap = malloc(sizeof(*heap));
	mproc_process *p = NULL;

	(void)state;
	assert_int_equal(mproc_process_start(&p, return_it, &local, WITH(.name = NULL)),
			 -EFAULT);
	assert_true(detail_has("arg_size"));
	assert_int_equal(mproc_process_start(&p, return_it, heap, WITH(.name = NULL)),
			 -EFAULT);
	assert_int_equal(mproc_process_start(&p, return_it, &changed, WITH(.name = NULL)),
			 -EFAULT);
	assert_null(p);
	free(heap);
	assert_int_equal(result_of(return_it, NULL, WITH(.name = NULL)), 0);
}

both_methods(what_the_image_has_not_is_refused)

/* Options. */

static int
note_place(void *arg)
{
	struct board *b = arg;
	char where[200] = "";
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	snprintf(b->text, sizeof(b->text), "%s|%s|%s|%d", getcwd(where, 200),
		 getenv("SPAWN_A") ? getenv("SPAWN_A") : "-",
		 getenv("MPROC_SPAWNED") ? "left" : "gone", CPU_COUNT(&set));
	return getenv("HOME") != NULL;
}

static void
options_are_applied(void **state)
{
	static const char *const env[] = { "SPAWN_A=x y", NULL };
	struct board *b = new_board();
	int cpu = sched_getcpu();

	(void)state;
	assert_int_equal(result_of(note_place, b, WITH(.cwd = "/", .env = env,
							.cpus = &cpu,
							.n_cpus = 1)), 0);
	assert_string_equal(b->text, "/|x y|gone|1");
	setenv("SPAWN_A", "mine", 1);
	(void)result_of(note_place, b, WITH(.cwd = "/usr"));
	unsetenv("SPAWN_A");
	assert_non_null(strstr(b->text, "/usr|mine|gone|"));
	mproc_free(b);
}

both_methods(options_are_applied)

static int
say(void *arg)
{
	char line[32] = "";

	printf("out %s", fgets(line, sizeof(line), stdin));
	fprintf(stderr, "err %d", (int)(intptr_t)arg);
	return 0;
}

static void
standard_streams_lead_where_they_are_told_to(void **state)
{
	int in[2], out[2], err[2];
	mproc_process *p;

	(void)state;
	make_pipe(in);
	make_pipe(out);
	make_pipe(err);
	assert_int_equal(write(in[1], "word", 4), 4);
	close(in[1]);
	p = start_with(say, (void *)5,
		       WITH(.stdin_ = { MPROC_STDIO_FD, in[0] },
			     .stdout_ = { MPROC_STDIO_FD, out[1] },
			     .stderr_ = { MPROC_STDIO_FD, err[1] }));
	close(in[0]);
	close(out[1]);
	close(err[1]);
	expect_text(out[0], "out word");
	expect_text(err[0], "err 5");
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	close(out[0]);
	close(err[0]);
}

both_methods(standard_streams_lead_where_they_are_told_to)

static int
note_open(void *arg)
{
	struct board *b = arg;
	int n = 0;

	for (int fd = 0; fd < 64; fd++) {
		b->open[fd] = fcntl(fd, F_GETFD) >= 0;
		n += b->open[fd];
	}
	return n;
}

static int
note_flags(void *arg)
{
	struct board *b = arg;

	return fcntl(b->value, F_GETFD) & FD_CLOEXEC ? 2 : 1;
}

static void
descriptors_stay_as_asked(void **state)
{
	struct board *b = new_board();
	int open_one = fcntl(2, F_DUPFD, 20);
	int closed_one = fcntl(2, F_DUPFD_CLOEXEC, 30);
	int keep[] = { closed_one };

	(void)state;
	/* Nobody is told to keep or close any: what exec leaves. */
	(void)result_of(note_open, b, WITH(.name = NULL));
	/* A fork server has what it had when it began. */
	assert_true(b->open[open_one] == (method == MPROC_SPAWN));
	assert_false(b->open[closed_one]);
	/* 0, 1, 2, and the two of the arena. */
	assert_int_equal(result_of(note_open, b, WITH(.n_keep_fds = -1)), 5);
	assert_int_equal(result_of(note_open, b, WITH(.keep_fds = keep,
						       .n_keep_fds = 1)), 6);
	assert_true(b->open[closed_one]);
	b->value = closed_one;
	assert_int_equal(result_of(note_flags, b, WITH(.keep_fds = keep,
							.n_keep_fds = 1)), 2);
	close(open_one);
	close(closed_one);
	mproc_free(b);
}

both_methods(descriptors_stay_as_asked)

/* What cannot be started. */

/* Nothing is left behind, but for the server, which may be. */
static void
refuse(struct mpt *t, mproc_entry *fn, int error, const char *text,
       const struct mproc_process_opts *o)
{
	mproc_process *p = NULL;
	struct owned before;

	owned_look(t, &before);
	assert_int_equal(mproc_process_start(&p, fn, NULL, o), error);
	assert_null(p);
	assert_true(detail_has(text));
	assert_int_equal(mproc_children(NULL, 0), 0);
	assert_int_equal(mproc_forkserver_stop(), 0);
	expect_nothing_left(t, &before);
}

static void
refusals_say_why_and_leave_nothing(void **state)
{
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int closed[] = { 999 };
	mproc_entry *nowhere;

	refuse(*state, return_it, -EBADF, "999", WITH(.keep_fds = closed,
						      .n_keep_fds = 1));
	refuse(*state, return_it, -EBADF, "998",
	       WITH(.stdout_ = { MPROC_STDIO_FD, 998 }));
	refuse(*state, return_it, -ENOENT, "/nowhere", WITH(.cwd = "/nowhere"));
	*(void **)&nowhere = code;
	refuse(*state, nowhere, -ENOEXEC, "in no program", WITH(.name = NULL));
	*(void **)&nowhere = &changed;
	refuse(*state, nowhere, -ENOEXEC, "no code", WITH(.name = NULL));
	munmap(code, 4096);
}

both_methods(refusals_say_why_and_leave_nothing)

static int
tell_early_error(void *arg)
{
	(void)arg;
	return -early_error;
}

static void
no_constructor_starts_images_without_end(void **state)
{
	(void)state;
	setenv("SPAWN_EARLY", "1", 1);
	assert_int_equal(result_of(tell_early_error, NULL, WITH(.name = NULL)), ENOEXEC);
	unsetenv("SPAWN_EARLY");
}

both_methods(no_constructor_starts_images_without_end)

/* Families. */

static int
start_another(void *arg)
{
	struct board *b = arg;
	mproc_process *p;
	int code = -1;

	b->value++;
	if (b->value == 3)
		return 5;
	/* By the usual method, which the image has from its parent. */
	if (mproc_process_start(&p, start_another, b, NULL) < 0)
		return 99;
	if (mproc_process_join(p, MPROC_FOREVER) < 0)
		return 98;
	mproc_process_exitcode(p, &code);
	mproc_process_close(p);
	return code + constructed;
}

static void
images_start_images_by_the_usual_method(void **state)
{
	struct board *b = new_board();

	(void)state;
	assert_int_equal(mproc_set_start_method(method), 0);
	assert_int_equal(result_of(start_another, b, NULL), 7);
	assert_int_equal(b->value, 3);
	assert_int_equal(mproc_set_start_method(99), -EINVAL);
	assert_int_equal(mproc_set_start_method(MPROC_FORK), 0);
	mproc_free(b);
}

both_methods(images_start_images_by_the_usual_method)

static int
hold_and_wait(void *arg)
{
	struct board *b = arg;
	char c;

	if (mproc_lock_acquire(&b->lock, MPROC_FOREVER) < 0)
		return 1;
	b->ready = 1;
	return mproc_queue_get(b->q, &c, 1, NULL, MPROC_FOREVER);
}

static void
a_killed_one_is_an_owner_that_died(void **state)
{
	struct board *b = new_board();
	mproc_process *p;

	assert_int_equal(mproc_queue_create(&b->q, NULL), 0);
	p = spawn(hold_and_wait, b);
	mpt_until(*state, b->ready == 1);
	kill_and_close(p);
	assert_int_equal(mproc_lock_acquire(&b->lock, mproc_sec(10)),
			 MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_consistent(&b->lock), 0);
	assert_int_equal(mproc_lock_release(&b->lock), 0);
	/* What it was told to take, others get. */
	assert_int_equal(mproc_queue_put(b->q, "x", 1, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_queue_get(b->q, b->text, 1, NULL, MPROC_NOWAIT),
			 0);
	mproc_queue_destroy(b->q);
	mproc_free(b);
}

both_methods(a_killed_one_is_an_owner_that_died)

static int
be_a_parent(struct mpt *t, void *arg)
{
	struct board *b = arg;
	mproc_process *p;

	mpt_check_int(t, mproc_process_start(&p, hold_and_wait, b, WITH(.name = NULL)),
		      0);
	wait_to_be_killed(t);
	return 0;
}

static void
it_ends_with_its_parent(void **state)
{
	struct board *b = new_board();
	int parent;

	assert_int_equal(mproc_queue_create(&b->q, NULL), 0);
	parent = mpt_spawn(*state, "parent", be_a_parent, b);
	mpt_until(*state, b->ready == 1);
	mpt_kill(*state, parent);
	/* And its server with it. */
	assert_int_equal(mpt_reap_orphans(*state),
			 method == MPROC_FORKSERVER ? 2 : 1);
	mproc_queue_destroy(b->q);
	mproc_free(b);
}

both_methods(it_ends_with_its_parent)

static int
member(int index, void *arg)
{
	struct board *b = arg;

	atomic_fetch_add(&b->ready, 1u << (8 * index));
	return index == 2 ? 30 : 0;
}

static void
groups_are_made_of_them(void **state)
{
	struct board *b = new_board();
	struct mproc_exit end;
	mproc_group *g;

	(void)state;
	assert_int_equal(mproc_group_start(&g, member, b, 3, MPROC_OPTS(
		mproc_group_opts, .process = WITH(.name = "m"))), 0);
	assert_int_equal(mproc_group_join(g, MPROC_FOREVER),
			 MPROC_GROUP_FAILED);
	assert_int_equal(mproc_group_failure(g, &end), 2);
	assert_int_equal(end.code, 30);
	assert_true(b->ready >> 16 & 1);
	mproc_group_close(g);
	mproc_free(b);
}

both_methods(groups_are_made_of_them)

struct job {
	struct board *b;
	int number;
};

static int
fail_twice(void *arg)
{
	struct job *job = arg;

	return atomic_fetch_add(&job->b->ready, 1) < 2 ? 1 : job->number - 77;
}

static void
supervisors_start_them_again(void **state)
{
	struct board *b = new_board();
	struct job job = { b, 77 };
	mproc_supervisor *s;

	(void)state;
	assert_int_equal(mproc_supervisor_create(&s, MPROC_OPTS(
		mproc_supervisor_opts, .max_restarts = 2)), 0);
	assert_int_equal(mproc_supervisor_add(s, fail_twice, &job, MPROC_OPTS(
		mproc_child_opts, .restart = MPROC_RESTART_ON_FAILURE,
		.process = WITH(.arg_size = sizeof(job)))), 0);
	memset(&job, 0, sizeof(job));
	assert_int_equal(mproc_supervisor_run(s, MPROC_FOREVER), 0);
	assert_int_equal(b->ready, 3);
	mproc_supervisor_close(s);
	mproc_free(b);
}

both_methods(supervisors_start_them_again)

/* Many at once. */

#define THREADS 4
#define EACH 5

static void *
spawn_some(void *arg)
{
	mproc_process *p;
	int code;

	for (int i = 0; i < EACH; i++) {
		if (mproc_process_start(&p, note_open, arg,
					WITH(.n_keep_fds = -1)) < 0 ||
		    mproc_process_join(p, MPROC_FOREVER) < 0 ||
		    mproc_process_exitcode(p, &code) < 0 || code != 5)
			return arg;
		mproc_process_close(p);
	}
	return NULL;
}

static void
threads_start_them_at_the_same_time(void **state)
{
	struct board *b = new_board();
	pthread_t threads[THREADS];
	void *failed;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, spawn_some,
						b), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	mproc_free(b);
}

both_methods(threads_start_them_at_the_same_time)

static void
a_forked_child_can_close_a_handle(void **state)
{
	struct board *b = new_board();
	mproc_process *p;
	int status;
	pid_t pid;

	assert_int_equal(mproc_queue_create(&b->q, NULL), 0);
	p = spawn(hold_and_wait, b);
	mpt_until(*state, b->ready == 1);
	pid = fork();
	if (pid == 0) {
		mproc_process_close(p);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(mproc_process_is_alive(p));
	kill_and_close(p);
	mproc_queue_destroy(b->q);
	mproc_free(b);
}

both_methods(a_forked_child_can_close_a_handle)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		both_methods_tests(the_image_is_new_and_the_arena_is_not),
		both_methods_tests(ends_are_told_as_for_forked_ones),
		both_methods_tests(a_crash_leaves_a_report),
		both_methods_tests(an_entry_may_be_static_in_a_library_that_was_loaded_later),
		both_methods_tests(a_library_that_needs_us_finds_the_arena_in_its_constructor),
		both_methods_tests(a_library_does_not_start_others_without_end),
		both_methods_tests(bytes_are_copied),
		both_methods_tests(what_the_image_has_not_is_refused),
		both_methods_tests(options_are_applied),
		both_methods_tests(standard_streams_lead_where_they_are_told_to),
		both_methods_tests(descriptors_stay_as_asked),
		both_methods_tests(refusals_say_why_and_leave_nothing),
		both_methods_tests(no_constructor_starts_images_without_end),
		both_methods_tests(images_start_images_by_the_usual_method),
		both_methods_tests(a_killed_one_is_an_owner_that_died),
		both_methods_tests(it_ends_with_its_parent),
		both_methods_tests(groups_are_made_of_them),
		both_methods_tests(supervisors_start_them_again),
		both_methods_tests(threads_start_them_at_the_same_time),
		both_methods_tests(a_forked_child_can_close_a_handle),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
