/* SPDX-License-Identifier: MIT */
/*
 * pool.h: forks in the middle of waits, by a signal handler that returns in the child,
 * or by a function that is called meanwhile. What was submitted is the parent's, and so
 * is what a worker has to do.
 */
#include <sys/wait.h>

#include "pool.h"

#define N 10

/* Of the board's counts. */
enum {
	READY, /* who is to be forked is about to sleep */
	FORKED,
	GO_CHILD, /* the handler may return */
	GO_PARENT,
	LEFT, /* the child has left the handler */
	CHILD, /* its process id */
	STATUS, /* how it has ended, and 1 << 16 */
	WORKERS, /* how many have begun */
	GATE, /* for further ones */
	HOLDERS, /* process ids of those that have run a task */
};

static pid_t forked;

/* Who sleeps, and has said so before. */
static void
await_sleep(struct board *b, pid_t pid)
{
	int state;

	mpt_until(b->t, (state = mpt_task_state(pid)) == 'S' || state == 'Z' ||
			!state);
}

static void
fork_in_handler(int signal)
{
	struct board *b = the_board();

	(void)signal;
	if (atomic_load(&b->counts[FORKED]))
		return;
	forked = fork();
	if (!forked) {
		mpt_until(b->t, atomic_load(&b->counts[GO_CHILD]));
		atomic_store(&b->counts[LEFT], 1);
		return;
	}
	atomic_store(&b->counts[CHILD], (unsigned)forked);
	atomic_store(&b->counts[FORKED], 1);
	mpt_until(b->t, atomic_load(&b->counts[GO_PARENT]));
}

enum way { ONE, MANY, AMONG_OTHERS, WAYS };

static int
wait_in(enum way way, mproc_future *f)
{
	struct mproc_waitable item = { .kind = MPROC_WAIT_FUTURE, .object = f };
	mproc_future *fs[2] = { f, f };

	switch (way) {
	case ONE:
		return mproc_future_wait(f, MPROC_FOREVER);
	case MANY:
		return mproc_future_wait_many(fs, 2, MPROC_ALL, MPROC_FOREVER) -
		       2;
	default:
		return mproc_wait(&item, 1, MPROC_FOREVER) - 1;
	}
}

/* The first time it is killed. */
static int
run_again(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	unsigned n = atomic_load(&b->begun);

	atomic_store(&b->counts[HOLDERS + n], (unsigned)getpid());
	atomic_fetch_add(&b->begun, 1);
	if (n == 0)
		wait_to_be_killed(b->t);
	return mproc_result_set(out, in, len);
}

/* Waits for a task that another worker has begun. */
static int
wait_in_task(const void *in, size_t len, struct mproc_result *out)
{
	struct board *b = the_board();
	mproc_future *f = submit_int(b, run_again, 7);
	int status = -1, r;

	(void)len;
	await_begun(b, 1);
	signal(SIGUSR1, fork_in_handler);
	atomic_store(&b->pid, getpid());
	atomic_store(&b->counts[READY], 1);
	r = wait_in((enum way)int_of(in), f);
	if (getpid() != atomic_load(&b->pid))
		_exit(r ? 1 : 0);
	mpt_check_int(b->t, r, 0);
	mpt_check_int(b->t, waitpid(forked, &status, 0), forked);
	mpt_check_int(b->t, status, 0);
	r = take_int(b, f);
	return mproc_result_set(out, &r, sizeof(r));
}

/* Of workers that come later none begins. */
static int
hold_others(void *unused)
{
	struct board *b = the_board();

	(void)unused;
	mpt_until(b->t, atomic_fetch_add(&b->counts[WORKERS], 1) < 2 ||
				atomic_load(&b->counts[GATE]));
	return 0;
}

/* Its worker is killed, and who waits for it in a task may run it. A copy of that one
 * may not. */
static void
a_copy_of_a_worker_runs_nothing(void **state)
{
	for (int way = 0; way < WAYS; way++) {
		struct board *b = new_board(*state);
		mproc_future *f;

		memset(b, 0, sizeof(*b));
		new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 2,
					    .retries = 3,
					    .initializer = hold_others));
		f = submit_int(b, wait_in_task, way);
		mpt_until(b->t, atomic_load(&b->counts[READY]));
		await_sleep(b, atomic_load(&b->pid));
		assert_int_equal(kill(atomic_load(&b->pid), SIGUSR1), 0);
		mpt_until(b->t, atomic_load(&b->counts[FORKED]));
		assert_int_equal(kill((pid_t)atomic_load(&b->counts[HOLDERS]),
				      SIGKILL), 0);
		mpt_until(b->t, pool_stat(b).queued == 1);
		atomic_store(&b->counts[GO_CHILD], 1);
		mpt_until(b->t, atomic_load(&b->counts[LEFT]));
		await_sleep(b, (pid_t)atomic_load(&b->counts[CHILD]));
		assert_int_equal(atomic_load(&b->begun), 1);
		atomic_store(&b->counts[GO_PARENT], 1);
		assert_int_equal(take_int(b, f), 7);
		assert_int_equal(atomic_load(&b->begun), 2);
		assert_int_equal(atomic_load(&b->counts[HOLDERS + 1]),
				 atomic_load(&b->pid));
		atomic_store(&b->counts[GATE], 1);
		close_and_join(b);
	}
}

static void
fork_and_return(int signal)
{
	struct board *b = the_board();

	(void)signal;
	if (atomic_exchange(&b->counts[FORKED], 1))
		return;
	forked = fork();
	if (forked)
		atomic_store(&b->counts[CHILD], (unsigned)forked);
}

static int
tell_begun(const void *in, size_t len, struct mproc_result *out)
{
	atomic_fetch_add(&the_board()->begun, 1);
	return mproc_result_set(out, in, len);
}

static int
prepare_fork(const void *in, size_t len, struct mproc_result *out)
{
	signal(SIGUSR1, fork_and_return);
	atomic_store(&the_board()->pid, getpid());
	return mproc_result_set(out, in, len);
}

static bool
has_ended(pid_t pid)
{
	int state = mpt_task_state(pid);

	return state == 'Z' || !state;
}

/* The handler of a task that has ended forks the worker while it has nothing to do. The
 * child finds something, as the worker is stopped; it leaves that, and ends. */
static void
a_copy_of_a_worker_takes_nothing(void **state)
{
	struct board *b = new_board(*state);
	mproc_future *f;
	pid_t child;

	memset(b, 0, sizeof(*b));
	pool_of(*state, 1);
	assert_int_equal(take_int(b, submit_int(b, prepare_fork, 3)), 3);
	await_sleep(b, atomic_load(&b->pid));
	assert_int_equal(kill(atomic_load(&b->pid), SIGUSR1), 0);
	mpt_until(b->t, (child = (pid_t)atomic_load(&b->counts[CHILD])));
	await_sleep(b, atomic_load(&b->pid));
	await_sleep(b, child);
	assert_int_equal(kill(atomic_load(&b->pid), SIGSTOP), 0);
	f = submit_int(b, tell_begun, 5);
	mpt_until(b->t, has_ended(child) || atomic_load(&b->begun));
	assert_int_equal(atomic_load(&b->begun), 0);
	assert_int_equal(kill(atomic_load(&b->pid), SIGCONT), 0);
	assert_int_equal(take_int(b, f), 5);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

static void
fork_and_stop(int signal)
{
	fork_and_return(signal);
	if (!forked)
		raise(SIGSTOP);
}

static int
prepare_stop(const void *in, size_t len, struct mproc_result *out)
{
	signal(SIGUSR1, fork_and_stop);
	atomic_store(&the_board()->pid, getpid());
	return mproc_result_set(out, in, len);
}

/* It has had nothing to do for too long, while the worker has something. */
static void
a_copy_of_a_worker_does_not_end_it(void **state)
{
	struct board *b = new_board(*state);
	mproc_future *f;
	pid_t child;

	memset(b, 0, sizeof(*b));
	new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 1,
				    .idle_timeout = mproc_sec(2)));
	assert_int_equal(take_int(b, submit_int(b, prepare_stop, 3)), 3);
	await_sleep(b, atomic_load(&b->pid));
	assert_int_equal(kill(atomic_load(&b->pid), SIGUSR1), 0);
	mpt_until(b->t, (child = (pid_t)atomic_load(&b->counts[CHILD])));
	f = submit_int(b, linger, 5);
	await_begun(b, 1);
	mpt_until(b->t, mpt_task_state(child) == 'T');
	assert_int_equal(kill(child, SIGCONT), 0);
	mpt_until(b->t, has_ended(child));
	assert_int_equal(pool_stat(b).workers, 1);
	atomic_store(&b->go_on, true);
	assert_int_equal(take_int(b, f), 5);
	close_and_join(b);
	mpt_reap_orphans(b->t);
}

/* The child is to be faster. */
static void
fork_and_see_its_end(int signal)
{
	struct board *b = the_board();
	int status = -1;

	(void)signal;
	if (atomic_exchange(&b->counts[FORKED], 1))
		return;
	forked = fork();
	if (!forked)
		return;
	mpt_check_int(b->t, waitpid(forked, &status, 0), forked);
	atomic_store(&b->counts[STATUS], 1u << 16 | (unsigned)status);
}

static int
give_number(void *src, const void **ret_in, size_t *ret_len)
{
	int *next = src;

	if (*next == N)
		return -ENODATA;
	++*next;
	*ret_in = next;
	*ret_len = sizeof(*next);
	return 0;
}

enum call { APPLY, MAP, MAP_AND_TELL, NEXT, NEXT_OF_ANY, CALLS };

static void
fork_in_progress(size_t done, size_t n, void *ctx)
{
	(void)n;
	(void)done;
	(void)ctx;
	if (the_board()->go_on)
		fork_and_see_its_end(0);
}

static int
map_numbers(struct board *b, mproc_progress_fn *tell)
{
	int in[N], out[N], r;

	for (int i = 0; i < N; i++) {
		in[i] = i;
		out[i] = -1;
	}
	r = mproc_pool_map(b->pool, linger_over, NULL, in, sizeof(int), out,
			   sizeof(int), N,
			   MPROC_OPTS(mproc_map_opts, .progress = tell));
	for (int i = 0; i < N && r == 0; i++)
		mpt_check_int(b->t, out[i], i);
	return r;
}

static int
take_all(struct board *b, bool unordered)
{
	mproc_iter *it = NULL;
	int next = 0, out, r, n = 0;

	mpt_check_int(b->t, mproc_pool_imap(b->pool, linger, give_number, &next,
					    MPROC_OPTS(mproc_imap_opts,
						       .unordered = unordered,
						       .window = 3), &it), 0);
	while ((r = mproc_iter_next(it, &out, sizeof(out), NULL,
				    MPROC_FOREVER)) == 0)
		n++;
	mproc_iter_close(it);
	mpt_check(b->t, r < 0 && (r != -ENODATA || n == N));
	return r == -ENODATA ? 0 : r;
}

static int
make_call(struct board *b, enum call call)
{
	int out = 0, r;

	switch (call) {
	case APPLY:
		r = mproc_pool_apply(b->pool, linger, &out, sizeof(out), &out,
				     sizeof(out), NULL, MPROC_FOREVER);
		return r;
	case MAP:
		return map_numbers(b, NULL);
	case MAP_AND_TELL:
		return map_numbers(b, fork_in_progress);
	default:
		return take_all(b, call == NEXT_OF_ANY);
	}
}

static int
be_forked(struct mpt *t, void *arg)
{
	struct board *b = arg;
	pid_t pid = getpid();
	int r;

	signal(SIGUSR1, fork_and_see_its_end);
	atomic_store(&b->counts[READY], 1);
	r = make_call(b, (enum call)atomic_load(&b->counts[HOLDERS]));
	if (getpid() != pid)
		_exit(r == -ECHILD ? 0 : 1);
	mpt_check_int(t, r, 0);
	mpt_check_int(t, atomic_load(&b->counts[STATUS]), 1 << 16);
	return 0;
}

static void
what_was_submitted_is_the_parents(void **state)
{
	for (unsigned call = 0; call < CALLS; call++) {
		struct board *b = new_board(*state);
		int id;

		memset(b, 0, sizeof(*b));
		pool_of(*state, 2);
		atomic_store(&b->counts[HOLDERS], call);
		id = mpt_fork(b->t, "caller", be_forked, b);
		mpt_until(b->t, atomic_load(&b->counts[READY]));
		await_begun(b, 1);
		await_sleep(b, mpt_pid(b->t, id));
		if (call != MAP_AND_TELL) {
			assert_int_equal(kill(mpt_pid(b->t, id), SIGUSR1), 0);
			mpt_until(b->t, atomic_load(&b->counts[FORKED]));
		}
		atomic_store(&b->go_on, true);
		mpt_expect_exit(b->t, id, 0);
		mpt_until(b->t, pool_stat(b).futures == 0);
		assert_int_equal(pool_stat(b).deaths, 0);
		close_and_join(b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_copy_of_a_worker_runs_nothing),
		mpt_test(a_copy_of_a_worker_takes_nothing),
		mpt_test(a_copy_of_a_worker_does_not_end_it),
		mpt_test(what_was_submitted_is_the_parents),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
