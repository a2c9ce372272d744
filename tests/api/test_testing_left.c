/* SPDX-License-Identifier: MIT */
/*
 * testing.h: what an entry under test has left behind, of each sort.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "testing.h"

#define NOW MPROC_NOWAIT

static struct all {
	mproc_lock *lock;
	mproc_rlock *rlock;
	mproc_rwlock *rwlock;
	mproc_semaphore *semaphore;
	mproc_lock *embedded; /* in a block of ours, at byte 128 */
	mproc_queue *plain;
	mproc_queue *kept;
} all;

/* What an entry is told: a new image knows nothing of the above. */
struct job {
	char what[8];
	struct all all;
};

static struct mproc_test_result
run_job(mproc_entry *fn, const char *what)
{
	struct job job = { .all = all };

	snprintf(job.what, sizeof(job.what), "%s", what);
	return run_copy(fn, &job, sizeof(job), NULL);
}

/* In the entry. */
static const char *
take_job(void *arg)
{
	const struct job *job = arg;

	all = job->all;
	return job->what;
}

static int
make_all(void **state)
{
	unsigned char *block = mproc_alloc(1000);

	(void)state;
	if (!block || mproc_lock_create(&all.lock) < 0 ||
	    mproc_rlock_create(&all.rlock) < 0 ||
	    mproc_rwlock_create(&all.rwlock) < 0 ||
	    mproc_semaphore_create(&all.semaphore,
				   MPROC_OPTS(mproc_semaphore_opts, .value = 5,
					      .undo = true)) < 0 ||
	    mproc_queue_create(&all.plain,
			       MPROC_OPTS(mproc_queue_opts,
					  .single_consumer = true)) < 0 ||
	    mproc_queue_create(&all.kept, MPROC_OPTS(mproc_queue_opts,
						     .ack = true)) < 0)
		return -1;
	all.embedded = (mproc_lock *)(void *)(block + 128);
	for (int i = 0; i < 4; i++)
		if (mproc_queue_put(all.plain, "x", 1, NOW) < 0 ||
		    mproc_queue_put(all.kept, "x", 1, NOW) < 0)
			return -1;
	return 0;
}

static int
open_some(void *arg)
{
	int kept = *(int *)arg, twice, full;

	/* One that is closed, one in the place of another, two that stay. */
	close(open("/dev/null", O_RDONLY));
	full = open("/dev/full", O_RDONLY | O_CLOEXEC);
	if (dup2(full, kept) < 0 || close(full) < 0)
		return 1;
	twice = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	return twice < 0 || dup(twice) < 0 ? 2 : 0;
}

static void
descriptors_that_stay_open_are_named(void **state)
{
	int inherited = open("/dev/zero", O_RDONLY | O_CLOEXEC), zeros = 0;
	const struct mproc_process_opts *p =
		MPROC_OPTS(mproc_process_opts, .arg_size = sizeof(int),
			   .keep_fds = &inherited, .n_keep_fds = 1);
	struct mproc_test_result r =
		run_with(open_some, &inherited,
			 MPROC_OPTS(mproc_test_opts, .process = p));

	(void)state;
	assert_int_equal(r.exit.code, 0);
	assert_int_equal(r.n_fds, 3);
	for (int i = 0; i < 3; i++) {
		if (r.fds[i].fd == inherited)
			assert_string_equal(r.fds[i].what, "/dev/full");
		else
			zeros += strcmp(r.fds[i].what, "/dev/zero") == 0;
	}
	assert_int_equal(zeros, 2);
	assert_true(problems_have(&r, "open: /dev/full"));
	mproc_test_result_free(&r);
	close(inherited);
}

static int
open_many(void *arg)
{
	for (int i = 0; i < *(int *)arg; i++)
		if (open("/dev/null", O_RDONLY) < 0)
			return 1;
	return 0;
}

static void
of_many_the_first_are_listed_and_all_counted(void **state)
{
	int n = MPROC_TEST_LISTED + 10;
	struct mproc_test_result r = run_copy(open_many, &n, sizeof(n), NULL);

	(void)state;
	assert_int_equal(r.n_fds, n);
	for (int i = 0; i < MPROC_TEST_LISTED; i++)
		assert_string_equal(r.fds[i].what, "/dev/null");
	mproc_test_result_free(&r);
}

static int
do_nothing(void *arg)
{
	return arg != NULL;
}

/* All that libmproc opens for itself when it is first used in a process. */
static int
use_everything(void *arg)
{
	mproc_process *served;
	mproc_queue *q;
	void *p;
	int fd;

	(void)arg;
	p = mproc_alloc(10);
	mproc_free(p);
	if (mproc_queue_create(&q, NULL) < 0 || mproc_queue_fd(q) < 0)
		return 1;
	/* Not closed by us. */
	fd = mproc_parent_fd();
	if (fd < 0 && fd != -ENOSYS)
		return 2;
	/* Whose connection stays; where there can be one. */
	if (mproc_process_start(&served, do_nothing, NULL,
				MPROC_OPTS(mproc_process_opts,
					   .method = MPROC_FORKSERVER)) == 0) {
		mproc_process_join(served, MPROC_FOREVER);
		mproc_process_close(served);
	}
	if (mproc_test_hook(MPROC_OPTS(mproc_test_framework,
				       .failed = note_failure)) < 0)
		return 3;
	return mproc_cpu_count() > 0 ? 0 : 4;
}

static void
descriptors_of_libmproc_are_no_leaks(void **state)
{
	struct mproc_test_result r = run(use_everything, NULL);

	(void)state;
	assert_null(r.problems);
	mproc_test_result_free(&r);
}

static int
hold(void *arg)
{
	const char *what = take_job(arg);
	int r = 0;

	if (strchr(what, 'l'))
		r |= mproc_lock_acquire(all.lock, NOW);
	if (strchr(what, 'e'))
		r |= mproc_lock_acquire(all.embedded, NOW);
	if (strchr(what, 'r'))
		r |= mproc_rlock_acquire(all.rlock, NOW);
	if (strchr(what, 'w'))
		r |= mproc_rwlock_write(all.rwlock, NOW);
	if (strchr(what, 'R'))
		r |= mproc_rwlock_read(all.rwlock, NOW);
	if (strchr(what, 's'))
		r |= mproc_semaphore_acquire(all.semaphore, NOW) |
		     mproc_semaphore_acquire(all.semaphore, NOW);
	/* What is given back is not held. */
	if (strchr(what, '0'))
		r |= mproc_lock_acquire(all.lock, NOW) |
		     mproc_lock_release(all.lock);
	if (strchr(what, 'k'))
		raise(SIGKILL);
	return r ? 1 : 0;
}

/* So that the next one finds all free. */
static void
set_right(void)
{
	int r[4];

	mproc_arena_recover(NULL);
	r[0] = mproc_lock_acquire(all.lock, NOW);
	r[1] = mproc_lock_acquire(all.embedded, NOW);
	r[2] = mproc_rlock_acquire(all.rlock, NOW);
	r[3] = mproc_rwlock_write(all.rwlock, NOW);
	for (int i = 0; i < 4; i++)
		assert_true(r[i] >= 0);
	assert_int_equal(mproc_lock_consistent(all.lock), 0);
	assert_int_equal(mproc_lock_consistent(all.embedded), 0);
	assert_int_equal(mproc_rlock_consistent(all.rlock), 0);
	assert_int_equal(mproc_rwlock_consistent(all.rwlock), 0);
	assert_int_equal(mproc_lock_release(all.lock), 0);
	assert_int_equal(mproc_lock_release(all.embedded), 0);
	assert_int_equal(mproc_rlock_release(all.rlock), 0);
	assert_int_equal(mproc_rwlock_release(all.rwlock), 0);
}

static void
expect_held(const char *what, const void *object, int kind, unsigned n,
	    const char *text)
{
	char how[3] = { 0 };

	/* Ended in order, and killed. */
	for (int i = 0; i < 2; i++) {
		struct mproc_test_result r;

		how[0] = *what;
		how[1] = i ? 'k' : 0;
		r = run_job(hold, how);
		assert_int_equal(r.exit.signal, i ? SIGKILL : 0);
		assert_int_equal(r.looked, !i);
		assert_int_equal(r.n_locks, 1);
		assert_ptr_equal(r.locks[0].object, object);
		assert_int_equal(r.locks[0].kind, kind);
		assert_int_equal(r.locks[0].n, n);
		assert_true(problems_have(&r, text));
		mproc_test_result_free(&r);
		set_right();
	}
}

static void
what_is_still_held_is_told_also_of_one_that_was_killed(void **state)
{
	(void)state;
	expect_held("l", all.lock, MPROC_TEST_LOCK, 1, "held the lock at");
	expect_held("e", all.embedded, MPROC_TEST_LOCK, 1, "held the lock at");
	expect_held("r", all.rlock, MPROC_TEST_LOCK, 1, "held the lock at");
	expect_held("w", all.rwlock, MPROC_TEST_LOCK, 1, "held the lock at");
	expect_held("R", all.rwlock, MPROC_TEST_READ, 1, "for reading");
	expect_held("s", all.semaphore, MPROC_TEST_PERMIT, 2,
		    "held 2 permits of the semaphore at");
}

static void
several_are_all_told_and_others_not(void **state)
{
	struct mproc_test_result r;
	bool lock = false, rlock = false;

	(void)state;
	/* What the caller holds is not the entry's. */
	assert_int_equal(mproc_lock_acquire(all.embedded, NOW), 0);
	r = run_job(hold, "lrRs");
	assert_int_equal(r.exit.code, 0);
	assert_int_equal(r.n_locks, 4);
	for (int i = 0; i < 4; i++) {
		lock |= r.locks[i].object == all.lock;
		rlock |= r.locks[i].object == all.rlock;
	}
	assert_true(lock && rlock);
	mproc_test_result_free(&r);
	assert_int_equal(mproc_lock_release(all.embedded), 0);
	set_right();
	r = run_job(hold, "0");
	assert_null(r.problems);
	mproc_test_result_free(&r);
}

static int
take(void *arg)
{
	const char *what = take_job(arg);
	const void *p;
	void *space;
	char byte;
	int r = 0;

	if (strchr(what, 'p'))
		r |= mproc_queue_peek(all.plain, &p, NULL, NOW);
	if (strchr(what, 'r'))
		r |= mproc_queue_reserve(all.plain, 10, &space, NOW);
	for (int i = 0; i < 2 && strchr(what, 't'); i++)
		r |= mproc_queue_get(all.kept, &byte, 1, NULL, NOW);
	if (strchr(what, 'd'))
		r |= mproc_queue_task_done(all.kept) |
		     mproc_queue_requeue(all.kept);
	if (strchr(what, 'g'))
		r |= mproc_queue_get(all.plain, &byte, 1, NULL, NOW);
	return r ? 1 : 0;
}

static void
messages_in_hand_are_told(void **state)
{
	static const struct {
		const char *what;
		int n;
		unsigned unfinished;
		bool peeked, reserved, plain;
		const char *text;
	} cases[] = {
		{ "p", 1, 0, true, false, true, "had peeked at a message" },
		{ "r", 1, 0, false, true, true, "had reserved a message" },
		{ "pr", 1, 0, true, true, true, "had peeked at a message" },
		{ "t", 1, 2, false, false, false, "had taken 2 messages" },
		{ "td", 0, 0, false, false, false, NULL },
		{ "g", 0, 0, false, false, false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mproc_test_result r = run_job(take, cases[i].what);

		assert_int_equal(r.exit.code, 0);
		assert_int_equal(r.n_messages, cases[i].n);
		if (cases[i].n) {
			const struct mproc_test_message *m = &r.messages[0];

			assert_ptr_equal(m->queue, cases[i].plain ? all.plain :
								    all.kept);
			assert_int_equal(m->unfinished, cases[i].unfinished);
			assert_int_equal(m->peeked, cases[i].peeked);
			assert_int_equal(m->reserved, cases[i].reserved);
			assert_true(problems_have(&r, cases[i].text));
		} else {
			assert_null(r.problems);
		}
		mproc_test_result_free(&r);
	}
}

static int
stay(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 0;
}

static int
end_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static int
start_some(void *arg)
{
	mproc_process *p, *done;

	if (mproc_process_start(&done, end_at_once, NULL, NULL) < 0 ||
	    mproc_process_join(done, MPROC_FOREVER) < 0)
		return 1;
	mproc_process_close(done);
	/* libmproc has pipes for its lines, as long as it runs. */
	if (mproc_process_start(&p, stay, NULL,
				MPROC_OPTS(mproc_process_opts, .name = "left",
					   .daemon = true,
					   .stdout_ = { MPROC_STDIO_LINES,
							0 })) < 0)
		return 2;
	if (arg)
		mproc_process_close(p);
	return 0;
}

/* It has ended, and nobody knows it. */
static int
leave_a_zombie(void *arg)
{
	mproc_process *p;
	siginfo_t info;
	pid_t pid;

	(void)arg;
	if (mproc_process_start(&p, stay, NULL, NULL) < 0)
		return 1;
	pid = mproc_process_pid(p);
	/* Who closes one that has ended reaps it. */
	mproc_process_close(p);
	if (kill(pid, SIGKILL) < 0)
		return 2;
	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0;
}

static void
processes_that_run_and_handles_that_are_open_are_told(void **state)
{
	struct mproc_test_result r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		r = run(start_some, i ? A_NUMBER : NULL);
		assert_int_equal(r.exit.code, 0);
		assert_int_equal(r.n_processes, 1);
		assert_string_equal(r.processes[0].name, "left");
		assert_true(r.processes[0].pid > 0);
		assert_true(problems_have(&r, "left process \"left\" running"));
		/* An open handle has a pidfd, where there are such. */
		if (i)
			assert_int_equal(r.n_fds, 0);
		else
			assert_true(r.n_fds <= 1);
		mproc_test_result_free(&r);
	}
	r = run(leave_a_zombie, NULL);
	assert_null(r.problems);
	mproc_test_result_free(&r);
}

static int
allocate(void *arg)
{
	int n = *(int *)arg;
	void *p;

	for (int i = 0; i < n; i++)
		if (!mproc_alloc(100))
			return 1;
	p = mproc_alloc(5000);
	mproc_free(p);
	return 0;
}

static void
blocks_that_nobody_has_freed_are_counted(void **state)
{
	int n = 3;
	struct mproc_test_result r = run_copy(allocate, &n, sizeof(n), NULL);

	(void)state;
	assert_int_equal(r.n_blocks, 3);
	assert_int_equal(r.block_bytes, 300);
	assert_string_equal(r.problems,
			    "left 3 blocks of shared memory, 300 bytes");
	mproc_test_result_free(&r);
	r = run_copy(allocate, &n, sizeof(n),
		     MPROC_OPTS(mproc_test_opts, .keeps_blocks = true));
	assert_int_equal(r.n_blocks, 3);
	assert_null(r.problems);
	mproc_test_result_free(&r);
}

/* What it does in the end of its life counts. */
static void
tidy_up(void *arg)
{
	(void)arg;
	if (mproc_lock_release(all.lock) < 0)
		_exit(9);
}

static int
tidy_up_late(void *arg)
{
	const char *what = take_job(arg);

	if (mproc_at_exit(tidy_up, NULL) < 0 ||
	    mproc_lock_acquire(all.lock, NOW) != 0)
		return 1;
	if (*what)
		exit(0);
	return 0;
}

static void
functions_at_exit_come_before_the_look(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct mproc_test_result r =
			run_job(tidy_up_late, i ? "x" : "");

		assert_true(r.looked);
		assert_null(r.problems);
		mproc_test_result_free(&r);
	}
}

/* The entry makes an arena of its own, as its parent has none. */
static int
lead_a_life_without_arena(void *arg)
{
	mproc_lock *lock;
	int n = 2;

	(void)arg;
	if (mproc_lock_create(&lock) < 0 || mproc_lock_acquire(lock, NOW) < 0)
		return 1;
	all.lock = lock;
	return allocate(&n);
}

static int
run_without_arena(struct mpt *t, void *arg)
{
	char self[256] = { 0 };
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	(void)arg;
	mpt_check(t, n > 0);
	execl(self, self, "alone", (char *)NULL);
	return 1;
}

static int
look_at_one_alone(int method)
{
	const struct mproc_process_opts *p =
		MPROC_OPTS(mproc_process_opts, .method = method);
	struct mproc_test_result r;

	if (mproc_test_run(lead_a_life_without_arena, NULL,
			   MPROC_OPTS(mproc_test_opts, .process = p), &r) < 0)
		return 1;
	if (r.n_blocks != 2 || r.block_bytes != 200 || r.n_locks != 1 ||
	    r.n_fds != 0)
		return 2;
	mproc_test_result_free(&r);
	/* It has none still. */
	return mproc_arena_configure_default(NULL) == 0 ? 0 : 3;
}

/* In a program of its own. A fork server would have the arena made. */
static int
be_alone(void)
{
	int r = look_at_one_alone(MPROC_FORK);

	return r ? r : look_at_one_alone(MPROC_SPAWN);
}

static void
an_arena_of_the_entry_is_looked_at_too(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "alone", run_without_arena, NULL), 0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(descriptors_that_stay_open_are_named),
		mpt_test(of_many_the_first_are_listed_and_all_counted),
		mpt_test(descriptors_of_libmproc_are_no_leaks),
		mpt_test(what_is_still_held_is_told_also_of_one_that_was_killed),
		mpt_test(several_are_all_told_and_others_not),
		mpt_test(messages_in_hand_are_told),
		mpt_test(processes_that_run_and_handles_that_are_open_are_told),
		mpt_test(blocks_that_nobody_has_freed_are_counted),
		mpt_test(functions_at_exit_come_before_the_look),
		mpt_test(an_arena_of_the_entry_is_looked_at_too),
	};

	if (argc > 1 && strcmp(argv[1], "alone") == 0)
		return be_alone();
	return cmocka_run_group_tests(tests, make_all, NULL);
}
