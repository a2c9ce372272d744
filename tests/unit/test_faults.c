/* SPDX-License-Identifier: MIT */
/*
 * Uses of the library in which calls of the kernel fail: see faults.h.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>

#include "faults.h"
#include "ipc/queue_fd.h"

#define LARGE (3u << 20)

static uint64_t
count_participants(void)
{
	const mproc_arena *a = mpr_arena_peek();

	return a ? mpr_participants_count(a) : 0;
}

/* The uses. Each returns 0 or the first error, and undoes what it did. */

static int
use_heap(struct mpt *t)
{
	unsigned char *small, *large;
	int r = 0;

	small = mproc_alloc(100);
	if (!small)
		return -errno;
	large = mproc_alloc(LARGE);
	if (large) {
		for (size_t i = 0; i < LARGE; i += 512) {
			mpt_check_int(t, large[i], 0);
			large[i] = 1;
		}
	} else {
		r = -errno;
	}
	mproc_free(large);
	mproc_free(small);
	return r;
}

static int
use_values(struct mpt *t)
{
	unsigned char *p = mproc_array(unsigned char, LARGE);

	if (!p)
		return -errno;
	mpt_check(t, mproc_lock_of(p) && mproc_array_len(p) == LARGE);
	memset(p, 1, LARGE);
	mproc_free(p);
	return 0;
}

static int
use_queue(struct mpt *t)
{
	mproc_queue *q;
	char text[8] = "";
	size_t len;
	int r, late;

	r = mproc_queue_create(&q, MPROC_OPTS(mproc_queue_opts,
					      .capacity = 4096));
	if (r < 0)
		return r;
	r = mproc_queue_put(q, "hello", 6, mproc_sec(20));
	if (r == 0)
		r = mproc_queue_get(q, text, sizeof(text), &len, mproc_sec(20));
	if (r == 0) {
		mpt_check_int(t, len, 6);
		mpt_check(t, strcmp(text, "hello") == 0);
		late = mproc_queue_get(q, text, sizeof(text), &len,
				       mproc_ms(2));
		mpt_check_int(t, late, -ETIMEDOUT);
	}
	mproc_queue_destroy(q);
	return r;
}

/* Its descriptor tells of a message, and of nothing. */
static int
use_descriptor(struct mpt *t)
{
	struct pollfd pfd = { .events = POLLIN };
	mproc_queue *q;
	char c;
	int r;

	r = mproc_queue_create(&q, NULL);
	if (r < 0)
		return r;
	pfd.fd = r = mproc_queue_fd(q);
	if (r >= 0)
		r = mproc_queue_put(q, "x", 1, MPROC_NOWAIT);
	if (r == 0)
		mpt_check_int(t, poll(&pfd, 1, 20000), 1);
	if (r == 0)
		r = mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT);
	if (r == 0) {
		mpt_check_int(t, mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT),
			      -EAGAIN);
		mpt_check_int(t, poll(&pfd, 1, 0), 0);
	}
	mproc_queue_destroy(q);
	/* The watcher has ended, or none began. */
	mpt_until(t, count_participants() <= 1);
	return r;
}

/* All that is waited for: a queue and @fd, so many times. */
static int
wait_for_all(mproc_queue *q, int fd, bool mixed, mproc_timeout timeout)
{
	enum { MANY = 40 };
	struct mproc_waitable items[MANY];

	for (int i = 0; i < MANY; i++)
		items[i] = mixed && i % 2 ?
			(struct mproc_waitable){ .kind = MPROC_WAIT_FD,
						 .fd = fd, .events = POLLIN } :
			(struct mproc_waitable){ .kind = MPROC_WAIT_QUEUE,
						 .object = q };
	return mproc_wait(items, MANY, timeout);
}

static int
use_wait(struct mpt *t)
{
	mproc_queue *q = NULL;
	int r, fds[2];
	char c;

	r = mproc_queue_create(&q, NULL);
	if (r < 0)
		return r;
	mpt_check_int(t, pipe2(fds, O_CLOEXEC), 0);
	r = wait_for_all(q, fds[0], false, mproc_ms(1));
	if (r == -ETIMEDOUT)
		r = wait_for_all(q, fds[0], true, mproc_ms(1));
	if (r == -ETIMEDOUT)
		r = mproc_queue_put(q, "x", 1, MPROC_NOWAIT);
	if (r == 0)
		r = wait_for_all(q, fds[0], true, mproc_sec(20));
	if (r >= 0) {
		mpt_check_int(t, r, 20);
		r = mproc_queue_get(q, &c, 1, NULL, MPROC_NOWAIT);
	}
	mproc_queue_destroy(q);
	close(fds[0]);
	close(fds[1]);
	/* The watcher has ended, or none began. It may not have joined before all
	 * was over. */
	mpt_until(t, !mpr_queue_fd_threads() && count_participants() <= 1);
	return r;
}

static int
use_sockets(struct mpt *t)
{
	mproc_conn *c = NULL, *d = NULL;
	char address[64], text[8] = "";
	mproc_listener *l;
	int r;

	snprintf(address, sizeof(address), "unix:@mpt-faults-%ld",
		 (long)getpid());
	r = mproc_listener_open(&l, address, NULL);
	if (r < 0)
		return r;
	r = mproc_connect(&c, address, NULL, mproc_sec(20));
	if (r == 0)
		r = mproc_listener_accept(l, &d, mproc_sec(20));
	if (r == 0)
		r = mproc_conn_send(c, "hello", 6, mproc_sec(20));
	if (r == 0)
		r = mproc_conn_recv(d, text, sizeof(text), NULL, mproc_sec(20));
	if (r == 0)
		mpt_check(t, strcmp(text, "hello") == 0);
	mproc_conn_close(c);
	mproc_conn_close(d);
	mproc_listener_close(l);
	return r;
}

/* Made, closed, opened again. */
static int
use_named_arena(struct mpt *t)
{
	struct mproc_arena_opts opts = { .struct_size = sizeof(opts),
					 .capacity = 16 << 20 };
	mproc_arena *a;
	char name[64];
	void *p, *found;
	int r;

	opts.name = mpt_name(t, name, "arena");
	r = mproc_arena_create(&a, &opts);
	if (r < 0)
		return r;
	p = mproc_arena_alloc(a, 100, 0);
	r = p ? mproc_arena_bind(a, "object", p) : -errno;
	mproc_arena_close(a);
	if (r == 0)
		r = mproc_arena_open(&a, name, MPROC_NOWAIT);
	mpt_check_int(t, mproc_arena_unlink(name), 0);
	if (r < 0)
		return r;
	r = mproc_arena_find(a, "object", &found, MPROC_NOWAIT);
	mpt_check_int(t, r, 0);
	mproc_free(found);
	mproc_arena_close(a);
	return r;
}

/* One with a name and one without; opened again. */
static int
use_segment(struct mpt *t)
{
	mproc_shm *s, *random;
	char name[64];
	int r;

	r = mproc_shm_create(&s, mpt_name(t, name, "segment"), LARGE, NULL);
	if (r < 0)
		return r;
	memset(mproc_shm_ptr(s), 1, LARGE);
	mproc_shm_close(s);
	r = mproc_shm_open(&s, name);
	mpt_check_int(t, mproc_shm_unlink(name), 0);
	if (r < 0)
		return r;
	mpt_check_int(t, ((char *)mproc_shm_ptr(s))[LARGE - 1], 1);
	r = mproc_shm_create(&random, NULL, 1, NULL);
	if (r == 0) {
		mpt_check_int(t, mproc_shm_unlink(mproc_shm_name(random)), 0);
		mproc_shm_close(random);
	}
	mproc_shm_close(s);
	return r;
}

/* More of the lane's memory is needed in the middle of a batch. */
static int
use_large_lane(struct mpt *t)
{
	static unsigned char bytes[30000], buf[30000];
	struct iovec msgs[8], got;
	mproc_queue *q;
	int r, done = 0;

	for (int i = 0; i < 8; i++)
		msgs[i] = (struct iovec){ bytes, sizeof(bytes) };
	r = mproc_queue_create(&q, MPROC_OPTS(mproc_queue_opts,
					      .capacity = 1 << 20));
	if (r < 0)
		return r;
	while (done < 8) {
		r = mproc_queue_put_many(q, msgs + done, 8 - done,
					 mproc_sec(20));
		if (r < 0)
			break;
		done += r;
	}
	/* An error has put nothing, and taken nothing back. */
	mpt_check_int(t, mproc_queue_len(q), done);
	while (done > 0) {
		int got_now = mproc_queue_get_many(q, buf, sizeof(buf), &got,
						   1, MPROC_NOWAIT);

		/* A fault comes once. */
		if (got_now < 0 && r < 0)
			break;
		if (got_now < 0)
			r = got_now;
		else
			mpt_check_int(t, mproc_queue_len(q), --done);
	}
	mproc_queue_destroy(q);
	return r < 0 ? r : 0;
}

static void *
use_queue_too(void *arg)
{
	int r = use_queue(arg);

	/* The text is the thread's own. */
	mpt_check(arg, r == 0 || mproc_error_detail()[0] != '\0');
	return (void *)(intptr_t)r;
}

static int
use_threads(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	pthread_t thread;
	void *result;

	b->in_thread = true;
	mpt_check_int(t, pthread_create(&thread, NULL, use_queue_too, t), 0);
	mpt_check_int(t, pthread_join(thread, &result), 0);
	return (int)(intptr_t)result;
}

static int
return_seven(void *arg)
{
	return *(int *)arg;
}

static int
use_process(struct mpt *t)
{
	mproc_process *p;
	int r, code, seven = 7;

	r = mproc_process_start(&p, return_seven, &seven,
				MPROC_OPTS(mproc_process_opts, .name = "seven",
					   .arg_size = sizeof(seven)));
	if (r < 0)
		return r;
	mpt_check_int(t, mproc_process_join(p, mproc_sec(20)), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, 7);
	mproc_process_close(p);
	return 0;
}

static int
wait_for_ever(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 1;
}

static int
use_signals(struct mpt *t)
{
	mproc_process *p;
	int r, code;

	r = mproc_process_start(&p, wait_for_ever, NULL, NULL);
	if (r < 0)
		return r;
	mpt_check_int(t, mproc_process_join(p, mproc_ms(2)), -ETIMEDOUT);
	r = mproc_process_kill(p);
	if (r < 0) {
		mpr_fault_set(NULL);
		mpt_check_int(t, mproc_process_kill(p), 0);
	}
	mpt_check_int(t, mproc_process_join(p, mproc_sec(20)), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	mpt_check_int(t, code, -SIGKILL);
	mproc_process_close(p);
	return r;
}

/* Leaves what there is to recover from. */
static int
put_and_die(mproc_queue *q)
{
	int r = mproc_queue_put(q, "x", 1, MPROC_NOWAIT);

	raise(SIGKILL);
	return r;
}

static int
use_recovery(struct mpt *t)
{
	mproc_queue *q;
	int r, status;
	pid_t pid;

	r = mproc_queue_create(&q, NULL);
	if (r < 0)
		return r;
	pid = fork();
	if (pid == 0)
		_exit(put_and_die(q));
	mpt_check(t, pid > 0);
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	r = mproc_arena_recover(NULL);
	mproc_queue_destroy(q);
	return r < 0 ? r : 0;
}

static int
begin_and_return(int index, void *t)
{
	struct board *b = mpt_scratch(t);

	(void)index;
	b->begun++;
	return 0;
}

static int
use_group(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	mproc_group *g;
	int r;

	b->begun = 0;
	r = mproc_group_start(&g, begin_and_return, t, 8, NULL);
	if (r < 0) {
		/* None has begun, and none is left. */
		mpt_check_int(t, b->begun, 0);
		return r;
	}
	mpt_check_int(t, mproc_group_join(g, mproc_sec(20)), 0);
	mpt_check_int(t, b->begun, 8);
	mproc_group_close(g);
	return 0;
}

static int
fail_or_wait_for_ever(int index, void *arg)
{
	return index == 2 ? 3 : wait_for_ever(arg);
}

/* Long enough for a failure to be seen, where time passes slowly, too. */
static mproc_timeout
patience(void)
{
	const char *slow = getenv("MPT_SLOW");

	return mproc_ms(500 * (slow ? atoi(slow) : 1));
}

static int
use_failing_group(struct mpt *t)
{
	struct mproc_exit exit;
	mproc_group *g;
	int r;

	r = mproc_group_start(&g, fail_or_wait_for_ever, NULL, 4,
			      MPROC_OPTS(mproc_group_opts,
					 .grace = mproc_ms(50)));
	if (r < 0)
		return r;
	r = mproc_group_join(g, patience());
	if (r == -ETIMEDOUT) {
		/* Nobody could be asked or killed. */
		mpr_fault_set(NULL);
		mpt_check_int(t, mproc_group_stop(g, MPROC_NOWAIT), 0);
		r = mproc_group_join(g, MPROC_NOWAIT);
	}
	mpt_check_int(t, r, MPROC_GROUP_FAILED);
	mpt_check_int(t, mproc_group_failure(g, &exit), 2);
	mpt_check_int(t, exit.code, 3);
	mproc_group_close(g);
	return 0;
}

/* Succeeds at the second attempt. */
static int
fail_once(void *t)
{
	struct board *b = mpt_scratch(t);

	return b->begun++ == 0;
}

static int
succeed(void *arg)
{
	(void)arg;
	return 0;
}

static int
use_supervisor(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	mproc_supervisor *s;
	int r;

	b->begun = 0;
	r = mproc_supervisor_create(&s, MPROC_OPTS(mproc_supervisor_opts,
						   .max_restarts = 2));
	if (r < 0)
		return r;
	for (int i = 0; r >= 0 && i < 8; i++)
		r = mproc_supervisor_add(
			s, i == 1 ? fail_once : succeed, t,
			MPROC_OPTS(mproc_child_opts,
				   .restart = MPROC_RESTART_ON_FAILURE));
	if (r >= 0)
		r = mproc_supervisor_run(s, mproc_sec(20));
	if (r == MPROC_SUPERVISOR_GAVE_UP)
		/* Only a first start can fail too often here. */
		r = -EAGAIN;
	else if (r == 0)
		mpt_check_int(t, b->begun, 2);
	mproc_supervisor_close(s);
	return r;
}

static int
kill_those_that_run(struct mpt *t, mproc_supervisor *s)
{
	mproc_process *ps[3];
	int n;

	mpr_fault_set(NULL);
	n = mproc_children(ps, 3);
	for (int i = 0; i < n; i++)
		mpt_check_int(t, mproc_process_kill(ps[i]), 0);
	return mproc_supervisor_run(s, mproc_sec(20));
}

static int
use_stopping_supervisor(struct mpt *t)
{
	mproc_supervisor *s;
	int r, n = 0;

	r = mproc_supervisor_create(&s, NULL);
	if (r < 0)
		return r;
	while (n < 2 && (r = mproc_supervisor_add(
				 s, wait_for_ever, NULL,
				 MPROC_OPTS(mproc_child_opts,
					    .grace = mproc_ms(5)))) >= 0)
		n++;
	if (r >= 0) {
		r = mproc_supervisor_run(s, mproc_ms(22));
		mpt_check(t, r == -ETIMEDOUT || r == MPROC_SUPERVISOR_GAVE_UP);
		mpt_check_int(t, mproc_supervisor_stop(s), 0);
		if (r == -ETIMEDOUT)
			r = mproc_supervisor_run(s, mproc_ms(500));
		if (r == -ETIMEDOUT)
			/* Nobody could be asked or killed. */
			r = kill_those_that_run(t, s);
	}
	mproc_supervisor_close(s);
	return r > 0 ? -EAGAIN : r;
}

static void
do_nothing(void *arg)
{
	(void)arg;
}

static int
use_exit(struct mpt *t)
{
	(void)t;
	return mproc_at_exit(do_nothing, NULL);
}

/* What is to fail may be what the child asks for. */
static int
tell_hits(void *arg)
{
	struct board *b = arg;

	b->child_hits = mpr_fault_hits(b->point);
	return 0;
}

static int
use_options(struct mpt *t)
{
	const struct board *b = mpt_scratch(t);
	int cpu = 0, r, code;
	mproc_process *p;
	cpu_set_t set;

	mpt_check_int(t, sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	r = mproc_process_start(
		&p, tell_hits, mpt_scratch(t),
		MPROC_OPTS(mproc_process_opts,
			   .env = ((const char *[]){ "A=one", NULL }),
			   .cwd = "/", .cpus = &cpu, .n_cpus = 1,
			   .stdin_ = { MPROC_STDIO_NULL, 0 },
			   .stdout_ = { MPROC_STDIO_FD, STDERR_FILENO },
			   .keep_fds = &cpu, .n_keep_fds = -1));
	if (r < 0)
		return r;
	mpt_check_int(t, mproc_process_join(p, mproc_sec(20)), 0);
	mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
	/* A process that would not notice its parent's end does not run. */
	if (b->point != MPR_FAULT_FOLLOW || code != 128 + SIGKILL)
		mpt_check_int(t, code, 0);
	mproc_process_close(p);
	return 0;
}

static const struct use uses[] = {
	{ "heap", use_heap, false },
	{ "queue", use_queue, false },
	{ "threads", use_threads, false },
	{ "process", use_process, true },
	{ "signals", use_signals, true },
	{ "recovery", use_recovery, true },
	{ "exit", use_exit, false },
	{ "group", use_group, true },
	{ "failing group", use_failing_group, true },
	{ "supervisor", use_supervisor, true },
	{ "stopping supervisor", use_stopping_supervisor, true },
	{ "options", use_options, true },
	{ "large lane", use_large_lane, false },
	{ "descriptor", use_descriptor, false },
	{ "named arena", use_named_arena, false },
	{ "segment", use_segment, false },
	{ "values", use_values, false },
	{ "sockets", use_sockets, false },
	{ "wait", use_wait, false },
};

static const struct use *
use_of(const char *name)
{
	const struct use *use = uses;

	while (strcmp(use->name, name) != 0)
		use++;
	return use;
}

#define SWEEP(test, use) \
	static void test(void **state) \
	{ \
		sweep_all(*state, use_of(use)); \
	}

SWEEP(a_use_of_the_heap_fails_cleanly, "heap")
SWEEP(a_use_of_values_fails_cleanly, "values")
SWEEP(a_use_of_a_queue_fails_cleanly, "queue")
SWEEP(a_use_of_a_large_lane_fails_cleanly, "large lane")
SWEEP(a_use_of_a_descriptor_fails_cleanly, "descriptor")
SWEEP(a_use_of_a_named_arena_fails_cleanly, "named arena")
SWEEP(a_use_of_a_segment_fails_cleanly, "segment")
SWEEP(a_use_of_sockets_fails_cleanly, "sockets")
SWEEP(a_wait_for_many_fails_cleanly, "wait")
SWEEP(a_use_in_a_thread_fails_cleanly, "threads")
SWEEP(a_start_fails_cleanly, "process")
SWEEP(an_option_fails_cleanly, "options")
SWEEP(a_signal_fails_cleanly, "signals")
SWEEP(a_recovery_fails_cleanly, "recovery")
SWEEP(an_exit_function_fails_cleanly, "exit")
SWEEP(a_group_starts_with_all_members_or_none, "group")
SWEEP(a_group_that_fails_does_so_whatever_else_fails, "failing group")
SWEEP(a_supervisor_starts_all_or_gives_up, "supervisor")
SWEEP(a_supervisor_stops_whatever_else_fails, "stopping supervisor")

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_use_of_the_heap_fails_cleanly),
		mpt_test(a_use_of_values_fails_cleanly),
		mpt_test(a_use_of_a_queue_fails_cleanly),
		mpt_test(a_use_of_a_large_lane_fails_cleanly),
		mpt_test(a_use_of_a_descriptor_fails_cleanly),
		mpt_test(a_use_of_a_named_arena_fails_cleanly),
		mpt_test(a_use_of_a_segment_fails_cleanly),
		mpt_test(a_use_of_sockets_fails_cleanly),
		mpt_test(a_wait_for_many_fails_cleanly),
		mpt_test(a_use_in_a_thread_fails_cleanly),
		mpt_test(a_start_fails_cleanly),
		mpt_test(an_option_fails_cleanly),
		mpt_test(a_signal_fails_cleanly),
		mpt_test(a_recovery_fails_cleanly),
		mpt_test(an_exit_function_fails_cleanly),
		mpt_test(a_group_starts_with_all_members_or_none),
		mpt_test(a_group_that_fails_does_so_whatever_else_fails),
		mpt_test(a_supervisor_starts_all_or_gives_up),
		mpt_test(a_supervisor_stops_whatever_else_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
