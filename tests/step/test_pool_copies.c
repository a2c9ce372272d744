/* SPDX-License-Identifier: MIT */
/*
 * A signal handler forks after each instruction of a worker that does a map, and returns
 * in the copy once the worker is done. The copy does no item, and changes nothing of
 * what the worker has left; but for the few instructions between its look at whether it
 * is one and what it is about to change.
 */
#include <sys/ptrace.h>

#include "os/task.h"
#include "pool.h"

#define N 4
#define CHUNK 2
#define EVERY 3 /* instructions */
#define FAR 2000 /* there are fewer places */

/* In the scratch bytes. */
struct board {
	_Atomic unsigned runs; /* as in pool.h */
	_Atomic bool go_on; /* the copy */
};

static struct board *
board(void)
{
	return mpt_scratch(mpt_here());
}

/* Begins by what counts it: who forks later has been in it. */
static int
do_item(const void *in, void *out, void *ctx)
{
	(void)in;
	(void)ctx;
	atomic_fetch_add((_Atomic unsigned *)out, 1);
	return 0;
}

static void
fork_here(int signal)
{
	pid_t pid = _Fork();

	(void)signal;
	while (pid == 0 && !atomic_load(&board()->go_on))
		mpr_task_yield();
}

static mproc_future *
submit_map(const struct scene *s)
{
	mproc_future *f;

	may_fail(mproc_pool_map_async(s->pool, do_item, NULL, NULL, 0, NULL,
				      sizeof(unsigned), N,
				      MPROC_OPTS(mproc_map_opts, .chunk = CHUNK),
				      &f));
	return f;
}

static void
be_worker(const struct scene *s, mproc_future *f)
{
	struct sigaction action = { .sa_handler = fork_here };
	struct mpr_worker me = play_worker(s, 0);

	may_fail(sigaction(SIGUSR1, &action, NULL));
	may_fail(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? -1 : 0);
	raise(SIGSTOP);
	run_task(&me, f);
	_exit(0);
}

/* Returns false if it has ended, which it does well. */
static bool
go_on(pid_t pid, enum __ptrace_request how, int sig)
{
	int status;

	assert_int_equal(ptrace(how, pid, NULL, (void *)(intptr_t)sig), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSTOPPED(status))
		return true;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

/* Forks it @n instructions behind the begin of the first item. Returns false if the map is
 * done by then. */
static bool
fork_at(pid_t pid, mproc_future *f, const _Atomic unsigned *begun, unsigned n)
{
	while (!atomic_load(begun))
		assert_true(go_on(pid, PTRACE_SINGLESTEP, 0));
	while (n-- && !mproc_future_ready(f))
		assert_true(go_on(pid, PTRACE_SINGLESTEP, 0));
	if (mproc_future_ready(f)) {
		assert_false(go_on(pid, PTRACE_CONT, 0));
		return false;
	}
	assert_false(go_on(pid, PTRACE_CONT, SIGUSR1));
	return true;
}

/* Whether a copy that is forked there leaves all as it is. *@ret_more: there was one. */
static bool
is_harmless(struct scene *s, unsigned n, bool *ret_more)
{
	mproc_future *f = submit_map(s);
	const _Atomic unsigned *begun;
	struct mpr_map_use m;
	uint64_t before;
	bool same;
	pid_t pid;

	assert_true(mpr_map_look_at(&s->use, f, &m));
	begun = (const _Atomic unsigned *)(uintptr_t)m.map->out;
	atomic_store(&board()->go_on, false);
	pid = fork();
	if (pid == 0)
		be_worker(s, f);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL),
			 0);
	*ret_more = fork_at(pid, f, begun, n);
	assert_int_equal(mproc_future_ready(f), 1);
	before = hash(0, f, m.size);
	atomic_store(&board()->go_on, true);
	mpt_reap_orphans(s->t);
	same = hash(0, f, m.size) == before;
	for (int i = 0; i < N; i++)
		same = same && atomic_load(&begun[i]) == 1;
	mproc_future_close(f);
	recover();
	return same;
}

static void
a_copy_of_a_worker_does_not_work(void **state)
{
	struct scene s = { .t = *state, .len = 1, .done = true };
	unsigned n, harmful = 0;
	bool more = true;

	mpt_watchdog(s.t, 100);
	warm_up(&s);
	begin(&s);
	for (n = 0; more; n++) {
		assert_true(n < FAR);
		harmful += !is_harmless(&s, EVERY * n, &more);
	}
	print_message("# %u of %u places do harm\n", harmful, n);
	expect_result(&s, s.f);
	mproc_future_close(s.f);
	atomic_store(&mpr_pool_worker_at(&s.use, 0)->word, 0);
	end(&s);
	assert_true(harmful * 8 < n);
}

static int
setup(void **state)
{
	(void)state;
	make_spare_slots();
	return mproc_arena_recover(NULL) < 0 ? -1 : 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_copy_of_a_worker_does_not_work),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
