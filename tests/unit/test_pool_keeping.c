/* SPDX-License-Identifier: MIT */
/*
 * An inline pool whose keeper is somebody for a moment: what is changed meanwhile is left
 * to that one, which has looked already.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common.h"
#include "pool/caller.h"
#include "pool/keeper_word.h"
#include "pool/pool.h"
#include "pool/pool_shm.h"

static struct scene {
	struct mpr_pool_use use;
	pthread_t thread;
	sem_t begun;
	sem_t go_on;
	int result; /* of the task in the other thread */
	/* The records' last page: the keeper comes there when it has read the phase and
	 * found that task. */
	unsigned char *page;
	size_t size;
	void (*meanwhile)(void);
} s;

static int
linger(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	sem_post(&s.begun);
	return sem_wait(&s.go_on) ? -errno : 0;
}

static void *
submit(void *unused)
{
	mproc_future *f;

	(void)unused;
	s.result = mproc_pool_submit(s.use.pool, linger, NULL, 0, &f);
	if (s.result < 0)
		return NULL;
	s.result = mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER);
	mproc_future_close(f);
	return NULL;
}

static void
end_task(void)
{
	sem_post(&s.go_on);
	assert_int_equal(pthread_join(s.thread, NULL), 0);
}

static void
terminate(void)
{
	assert_int_equal(mproc_pool_terminate(s.use.pool), 0);
}

static void
come_to_page(int number)
{
	(void)number;
	mprotect(s.page, s.size, PROT_READ | PROT_WRITE);
	s.meanwhile();
}

static void
make_pool(void)
{
	mproc_pool *pool;

	s = (struct scene){ 0 };
	sem_init(&s.begun, 0, 0);
	sem_init(&s.go_on, 0, 0);
	assert_int_equal(mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
						.backend = MPROC_POOL_INLINE)), 0);
	assert_int_equal(mpr_pool_look_up(pool, &s.use), 0);
}

/* One with a task in another thread. */
static void
begin(void)
{
	make_pool();
	assert_int_equal(pthread_create(&s.thread, NULL, submit, NULL), 0);
	assert_int_equal(sem_wait(&s.begun), 0);
}

/* Closes the pool, and has @meanwhile run in that. */
static void
close_and(void (*meanwhile)(void))
{
	struct sigaction old, action = { .sa_handler = come_to_page };
	struct mpr_pool_worker *records;
	unsigned n;

	begin();
	s.meanwhile = meanwhile;
	records = mpr_pool_workers(&s.use, &n);
	s.size = (size_t)sysconf(_SC_PAGESIZE);
	s.page = (unsigned char *)((uintptr_t)(records + n) / s.size * s.size) -
		 s.size;
	assert_true((unsigned char *)(records + 1) <= s.page);
	sigaction(SIGSEGV, &action, &old);
	assert_int_equal(mprotect(s.page, s.size, PROT_NONE), 0);
	assert_int_equal(mproc_pool_close(s.use.pool), 0);
	sigaction(SIGSEGV, &old, NULL);
}

static void
who_comes_out_last_meanwhile_ends_the_pool(void **state)
{
	(void)state;
	close_and(end_task);
	assert_int_equal(s.result, 0);
	assert_int_equal(mpr_pool_phase(&s.use), MPR_POOL_ENDED);
	mproc_pool_free(s.use.pool);
}

static void
a_pool_is_terminated_meanwhile(void **state)
{
	(void)state;
	close_and(terminate);
	end_task();
	assert_int_equal(s.result, MPROC_TASK_FAILED);
	assert_int_equal(mpr_pool_phase(&s.use), MPR_POOL_ENDED);
	mproc_pool_free(s.use.pool);
}

/* Terminates it as far as to say so. */
static void
die_as_keeper(void)
{
	struct mpr_self *self;

	if (mpr_self(s.use.arena, &self) < 0 ||
	    mpr_keeper_claim(&s.use, mpr_keeper_starter(self),
			     MPR_POOL_TERMINATING) < 0)
		_exit(1);
	mpr_pool_advance(&s.use, MPR_POOL_TERMINATING);
	raise(SIGKILL);
}

static void
what_a_dead_keeper_has_left_is_done(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	begin();
	pid = fork();
	if (pid == 0)
		die_as_keeper();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, SIGKILL);
	/* The task goes on, but its result is none. */
	assert_int_equal(mproc_pool_join(s.use.pool, MPROC_NOWAIT), -EAGAIN);
	end_task();
	assert_int_equal(s.result, MPROC_TASK_FAILED);
	assert_int_equal(mpr_pool_phase(&s.use), MPR_POOL_ENDED);
	mproc_pool_free(s.use.pool);
}

static struct {
	int go_on[2]; /* for the copy */
	pid_t copy;
} fork_scene;

static void
fork_and_wait(int number)
{
	char c;

	(void)number;
	fork_scene.copy = fork();
	if (fork_scene.copy == 0 && read(fork_scene.go_on[0], &c, 1) != 1)
		_exit(1);
}

static void
raise_there(void)
{
	raise(SIGUSR1);
}

/* A signal handler forks as the thread gives its record back, and has it again when the
 * copy goes on. */
static void
a_copy_gives_no_record_back(void **state)
{
	struct sigaction old[2], page = { .sa_handler = come_to_page },
			 user = { .sa_handler = fork_and_wait };
	struct mpr_pool_worker *record;
	struct mpr_caller caller;
	int status;

	(void)state;
	make_pool();
	s.meanwhile = raise_there;
	assert_int_equal(pipe(fork_scene.go_on), 0);
	assert_int_equal(mpr_caller_enter(&s.use, &caller), 0);
	record = caller.worker.record;
	s.size = (size_t)sysconf(_SC_PAGESIZE);
	s.page = (unsigned char *)((uintptr_t)record / s.size * s.size);
	sigaction(SIGSEGV, &page, &old[0]);
	sigaction(SIGUSR1, &user, &old[1]);
	assert_int_equal(mprotect(s.page, s.size, PROT_NONE), 0);
	mpr_caller_leave(&caller);
	if (fork_scene.copy == 0)
		_exit(0);
	sigaction(SIGSEGV, &old[0], NULL);
	sigaction(SIGUSR1, &old[1], NULL);
	assert_int_equal(mpr_caller_enter(&s.use, &caller), 0);
	assert_ptr_equal(caller.worker.record, record);
	assert_int_equal(write(fork_scene.go_on[1], "", 1), 1);
	assert_int_equal(waitpid(fork_scene.copy, &status, 0), fork_scene.copy);
	assert_int_equal(status, 0);
	assert_int_equal(atomic_load(&record->word), caller.worker.holder);
	mpr_caller_leave(&caller);
	close(fork_scene.go_on[0]);
	close(fork_scene.go_on[1]);
	mproc_pool_free(s.use.pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_comes_out_last_meanwhile_ends_the_pool),
		cmocka_unit_test(a_pool_is_terminated_meanwhile),
		cmocka_unit_test(what_a_dead_keeper_has_left_is_done),
		cmocka_unit_test(a_copy_gives_no_record_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
