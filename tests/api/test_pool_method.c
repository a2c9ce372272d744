/* SPDX-License-Identifier: MIT */
/*
 * pool.h: .method. What workers with an image of their own have, and have not; who starts
 * their keepers. What they have in common with others is in the other tests of pools, which
 * run with MPT_METHOD=spawn and forkserver, too.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mpt_rand.h"
#include "pool_method.h"

enum { N = 30, ROUNDS = 20 };

static int number; /* that the creator sets */

__attribute__((constructor)) static void
end_early(void)
{
	if (getenv("POOL_METHOD_DIES") && mproc_parent_pid())
		kill(getpid(), SIGKILL);
}

static int
stay(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)info;
	(void)size;
	(void)unused;
	usleep(500);
	return 1;
}

/* Half the time it has the loader's lock. */
static void *
use_loader(void *unused)
{
	for (;;) {
		dl_iterate_phdr(stay, NULL);
		usleep(500);
	}
	return unused;
}

/* In keepers and fork servers: others have their environment from before. */
__attribute__((constructor)) static void
use_loader_early(void)
{
	pthread_t thread;

	if (getenv("POOL_METHOD_LOADS") &&
	    (!dlopen(getenv("MPT_SPAWN_MODULE"), RTLD_NOW) ||
	     pthread_create(&thread, NULL, use_loader, NULL)))
		abort();
}

static void
end(struct mpt *t, mproc_pool *pool)
{
	mpt_check_int(t, mproc_pool_close(pool), 0);
	mpt_check_int(t, mproc_pool_join(pool, MPROC_FOREVER), 0);
	mproc_pool_free(pool);
	mproc_forkserver_stop();
}

static int
apply(struct mpt *t, mproc_pool *pool, mproc_task *fn, const void *in, size_t len)
{
	int out = -1;

	mpt_check_int(t, mproc_pool_apply(pool, fn, in, len, &out, sizeof(out), NULL,
					  MPROC_FOREVER), 0);
	return out;
}

static int
get_number(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	return mproc_result_set(out, &number, sizeof(number));
}

static int
count_threads(void)
{
	char line[256];
	int n = -1;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Threads: %d", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

/* Bits, for what of the creator's it has. */
static int
look_around(const void *in, size_t len, struct mproc_result *out)
{
	sigset_t blocked;
	int found = 0;

	(void)len;
	found |= number ? 1 : 0;
	found |= fcntl(int_of(in), F_GETFD) >= 0 ? 2 : 0;
	/* ThreadSanitizer has one of its own. */
	found |= !UNDER_TSAN && count_threads() != 1 ? 4 : 0;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	found |= sigismember(&blocked, SIGINT) || sigismember(&blocked, SIGTSTP) ? 8 : 0;
	found |= sigismember(&blocked, SIGUSR2) ? 16 : 0;
	return mproc_result_set(out, &found, sizeof(found));
}

static void *
sit_around(void *meeting)
{
	struct meeting *m = meeting;

	while (!atomic_load(&m->go_on))
		usleep(1000);
	return NULL;
}

static void
workers_have_nothing_of_the_creators(struct mpt *t, int method)
{
	struct meeting *m = mproc_alloc(sizeof(*m));
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 700);
	sigset_t usr2, before;
	pthread_t thread;
	mproc_pool *pool;

	assert_non_null(m);
	assert_true(high >= 700);
	assert_int_equal(pthread_create(&thread, NULL, sit_around, m), 0);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &usr2, &before);
	number = 7;
	pool = make(t, method, 2);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	/* But its signal mask. */
	for (int i = 0; i < N; i++)
		assert_int_equal(apply(t, pool, look_around, &high, sizeof(high)), 16);
	end(t, pool);
	atomic_store(&m->go_on, true);
	pthread_join(thread, NULL);
	number = 0;
	close(high);
	close(fd);
	mproc_free(m);
}

by_each_method(workers_have_nothing_of_the_creators)

static void
a_pool_without_a_method_is_a_copy(void **state)
{
	mproc_pool *pool;

	number = 7;
	assert_int_equal(mproc_set_start_method(MPROC_SPAWN), 0);
	pool = make(*state, 0, 1);
	assert_int_equal(mproc_set_start_method(MPROC_FORK), 0);
	assert_int_equal(apply(*state, pool, get_number, NULL, 0), 7);
	end(*state, pool);
	pool = make(*state, MPROC_FORK, 1);
	assert_int_equal(apply(*state, pool, get_number, NULL, 0), 7);
	end(*state, pool);
	number = 0;
}

static int
add_to_number(void *arg)
{
	number += int_of(arg);
	return 0;
}

static void
initializers_get_what_lies_in_the_arena(struct mpt *t, int method)
{
	struct mproc_pool_opts o = {
		.struct_size = sizeof(o), .workers = 1, .method = method,
		.initializer = add_to_number,
	};
	int mine = 5, *shared = mproc_alloc(sizeof(*shared));
	mproc_pool *pool;

	assert_non_null(shared);
	*shared = 6;
	o.init_arg = &mine;
	assert_int_equal(mproc_pool_create(&pool, &o), -EFAULT);
	o.init_size = sizeof(mine);
	assert_int_equal(mproc_pool_create(&pool, &o), 0);
	assert_int_equal(apply(t, pool, get_number, NULL, 0), 5);
	end(t, pool);
	o.init_arg = shared;
	o.init_size = 0;
	assert_int_equal(mproc_pool_create(&pool, &o), 0);
	assert_int_equal(apply(t, pool, get_number, NULL, 0), 6);
	end(t, pool);
	mproc_free(shared);
}

by_each_method(initializers_get_what_lies_in_the_arena)

static void
methods_that_make_no_sense_are_refused(void **state)
{
	struct mproc_pool_opts o = { .struct_size = sizeof(o), .workers = 1 };
	mproc_pool *pool;

	for (int backend = 0; backend <= MPROC_POOL_INLINE; backend++) {
		o.backend = backend;
		o.method = -1;
		assert_int_equal(mproc_pool_create(&pool, &o), -EINVAL);
		o.method = MPROC_FORKSERVER + 1;
		assert_int_equal(mproc_pool_create(&pool, &o), -EINVAL);
	}
	number = 7;
	for (o.backend = MPROC_POOL_THREADS; o.backend <= MPROC_POOL_INLINE;
	     o.backend++) {
		o.method = MPROC_SPAWN;
		o.init_arg = &number;
		assert_int_equal(mproc_pool_create(&pool, &o), 0);
		assert_int_equal(apply(*state, pool, get_number, NULL, 0), 7);
		end(*state, pool);
	}
	number = 0;
}

/* Functions that workers do not have. */

static int
copy_item(const void *in, void *out, void *ctx)
{
	memcpy(out, in, sizeof(int));
	return ctx ? -1 : 0;
}

static void
functions_of_other_modules(struct mpt *t, int method)
{
	void *module = dlopen(getenv("MPT_SPAWN_MODULE"), RTLD_NOW);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct board b = { .t = t };
	struct mproc_pool_stat stat;
	int in[N] = { 0 }, out[N], errors[N];
	mproc_task *nowhere, *(*entry)(void);
	mproc_map_fn *item;
	mproc_future *f;

	assert_non_null(module);
	assert_true(page != MAP_FAILED);
	*(void **)&entry = dlsym(module, "module_entry");
	*(void **)&nowhere = page;
	/* Of this program it was loaded by the creator only. */
	item = (mproc_map_fn *)(void (*)(void))entry();
	b.pool = make(t, method, 2);
	assert_int_equal(mproc_pool_submit(b.pool, nowhere, NULL, 0, &f), -ENOEXEC);
	expect_error(&b, submit(&b, entry(), NULL, 0), -ENOEXEC);
	assert_int_equal(mproc_pool_map(b.pool, item, NULL, in, sizeof(int), out,
					sizeof(int), N,
					MPROC_OPTS(mproc_map_opts, .errors = errors)),
			 MPROC_TASK_FAILED);
	for (int i = 0; i < N; i++)
		assert_int_equal(errors[i], -ENOEXEC);
	/* Nor do they have what lies in the caller's memory. */
	assert_int_equal(mproc_pool_map(b.pool, copy_item, in, in, sizeof(int), out,
					sizeof(int), N, NULL), -EFAULT);
	assert_int_equal(mproc_pool_map(b.pool, copy_item, NULL, in, sizeof(int), out,
					sizeof(int), N, NULL), 0);
	assert_int_equal(apply(t, b.pool, square, &(int){ 5 }, sizeof(int)), 25);
	end(t, b.pool);
	/* That an initializer is none, workers find. */
	assert_int_equal(mproc_pool_create(&b.pool, MPROC_OPTS(
		mproc_pool_opts, .workers = 1, .method = method,
		.initializer = (mproc_entry *)(void (*)(void))entry())), 0);
	mpt_until(t, mproc_pool_stat(b.pool, &stat) == 0 && stat.initializer);
	assert_int_equal(stat.initializer, -ENOEXEC);
	mproc_pool_free(b.pool);
	mproc_forkserver_stop();
	munmap(page, 4096);
	dlclose(module);
}

by_each_method(functions_of_other_modules)

static struct meeting *of_loops;

static int
remember(void *meeting)
{
	of_loops = meeting;
	return 0;
}

static int
count_loops(struct mproc_map_run *run)
{
	atomic_fetch_add(&of_loops->loops, 1);
	return mproc_map_loop_near_(run);
}

static void
workers_have_the_creators_loop(struct mpt *t, int method)
{
	struct meeting *m = mproc_alloc(sizeof(*m));
	int in[N], out[N];
	mproc_pool *pool;

	assert_non_null(m);
	for (int i = 0; i < N; i++)
		in[i] = i;
	assert_int_equal(mproc_pool_create_near(&pool, MPROC_OPTS(
		mproc_pool_opts, .workers = 2, .method = method,
		.initializer = remember, .init_arg = m), count_loops), 0);
	assert_int_equal(mproc_pool_map(pool, copy_item, NULL, in, sizeof(int), out,
					sizeof(int), N, NULL), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_true(atomic_load(&m->loops));
	end(t, pool);
	mproc_free(m);
}

by_each_method(workers_have_the_creators_loop)

/* Keepers. */

static void
the_next_keeper_begins_anew(struct mpt *t, int method)
{
	mproc_pool *pool = make(t, method, 2);
	struct mproc_pool_stat stat;

	number = 7;
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(apply(t, pool, get_number, NULL, 0), 0);
		kill_keeper(t, keeper_of(t, pool));
		assert_int_equal(apply(t, pool, get_number, NULL, 0), 0);
		assert_int_equal(mproc_pool_stat(pool, &stat), 0);
		assert_int_equal(stat.keepers, i + 1);
	}
	number = 0;
	end(t, pool);
	mpt_reap_orphans(t);
}

by_each_method(the_next_keeper_begins_anew)

static int
wait_for_go(const void *in, size_t len, struct mproc_result *out)
{
	struct meeting *m;
	int found = number;

	(void)len;
	memcpy(&m, in, sizeof(m));
	atomic_store(&m->begun, true);
	while (!atomic_load(&m->go_on))
		usleep(1000);
	return mproc_result_set(out, &found, sizeof(found));
}

/* Another image, which submits a task, and is the only one that waits. */
static int
submit_and_wait(void *arg)
{
	struct meeting *m = arg;
	int out = -1;
	mproc_future *f;

	if (mproc_pool_submit(m->pool, wait_for_go, &m, sizeof(m), &f) < 0)
		return 1;
	if (mproc_future_get(f, &out, sizeof(out), NULL, MPROC_FOREVER) < 0)
		return 2;
	mproc_future_close(f);
	return out;
}

static void
another_image_submits_and_starts_the_next_keeper(struct mpt *t, int method)
{
	struct meeting *m = mproc_alloc(sizeof(*m));
	struct mproc_pool_stat stat;
	mproc_process *p;
	pid_t first;
	int code;

	assert_non_null(m);
	number = 7;
	m->pool = make(t, method, 1);
	first = keeper_of(t, m->pool);
	assert_int_equal(mproc_process_start(&p, submit_and_wait, m,
					     MPROC_OPTS(mproc_process_opts,
							.method = MPROC_SPAWN)), 0);
	mpt_until(t, atomic_load(&m->begun));
	atomic_store(&m->begun, false);
	kill_keeper(t, first);
	/* The task is run again. */
	mpt_until(t, atomic_load(&m->begun));
	assert_int_equal(mproc_pool_stat(m->pool, &stat), 0);
	assert_int_equal(stat.keepers, 2);
	atomic_store(&m->go_on, true);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 0);
	mproc_process_close(p);
	number = 0;
	end(t, m->pool);
	mpt_reap_orphans(t);
	mproc_free(m);
}

by_each_method(another_image_submits_and_starts_the_next_keeper)

/* Each second task is done by a new worker, which may have been forked just then; and so
 * may the keeper have been. */
static void
do_tasks(struct mpt *t, int method, mproc_task *task)
{
	mproc_pool *pool;

	assert_int_equal(mproc_pool_create(&pool, MPROC_OPTS(
		mproc_pool_opts, .workers = 1, .max_tasks_per_worker = 2,
		.method = method)), 0);
	for (int i = 0; i < 4; i++) {
		mpt_check_int(t, mproc_pool_apply(pool, task, NULL, 0, NULL, 0, NULL,
						  MPROC_FOREVER), 0);
		assert_int_equal(apply(t, pool, square, &i, sizeof(i)), i * i);
	}
	mpt_check_int(t, mproc_pool_close(pool), 0);
	mpt_check_int(t, mproc_pool_join(pool, MPROC_FOREVER), 0);
	mproc_pool_free(pool);
}

static void
workers_find_functions_while_the_loader_is_busy(struct mpt *t, int method)
{
	void *module = dlopen(getenv("MPT_SPAWN_MODULE"), RTLD_NOW);
	mproc_task *task;

	assert_non_null(module);
	*(void **)&task = dlsym(module, "module_task");
	assert_int_equal(setenv("POOL_METHOD_LOADS", "1", 1), 0);
	for (int i = 0; i < 10; i++)
		do_tasks(t, method, task);
	mproc_forkserver_stop();
	assert_int_equal(unsetenv("POOL_METHOD_LOADS"), 0);
	dlclose(module);
}

by_each_method(workers_find_functions_while_the_loader_is_busy)

static void
a_keeper_that_is_killed_at_once_is_none(void **state)
{
	mproc_pool *pool;

	assert_int_equal(setenv("POOL_METHOD_DIES", "1", 1), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mproc_pool_create(&pool, MPROC_OPTS(
			mproc_pool_opts, .workers = 1, .method = MPROC_SPAWN)),
			-EAGAIN);
	assert_int_equal(unsetenv("POOL_METHOD_DIES"), 0);
	pool = make(*state, MPROC_SPAWN, 1);
	assert_int_equal(apply(*state, pool, square, &(int){ 3 }, sizeof(int)), 9);
	end(*state, pool);
}

/* A handler of the program's, in a keeper's process, forks once the keeper has given itself
 * the creator's signals; and lets its child, which is no keeper, go ahead. */
static void
fork_and_wait(int signal)
{
	pid_t pid = fork();

	(void)signal;
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
}

__attribute__((constructor)) static void
fork_late(void)
{
	sigset_t usr2;

	if (!getenv("POOL_METHOD_FORKS") || !mproc_parent_pid())
		return;
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	sigprocmask(SIG_BLOCK, &usr2, NULL);
	signal(SIGUSR2, fork_and_wait);
	raise(SIGUSR2);
}

static pid_t
parent_of(pid_t pid)
{
	char path[64], line[256];
	int parent = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	if (f)
		fclose(f);
	return parent;
}

static void
a_copy_of_a_keeper_is_none(void **state)
{
	mproc_pool *pool;

	assert_int_equal(setenv("POOL_METHOD_FORKS", "1", 1), 0);
	pool = make(*state, MPROC_SPAWN, 1);
	assert_int_equal(unsetenv("POOL_METHOD_FORKS"), 0);
	assert_int_equal(apply(*state, pool, square, &(int){ 3 }, sizeof(int)), 9);
	assert_int_equal(parent_of(keeper_of(*state, pool)), getpid());
	end(*state, pool);
}

/* Creators that are killed. */

static int
create_and_free(struct mpt *t, void *arg)
{
	int *method = arg;
	mproc_pool *pool;

	for (;;) {
		mpt_check_int(t, mproc_pool_create(&pool, MPROC_OPTS(
			mproc_pool_opts, .workers = 1, .method = *method)), 0);
		mproc_pool_free(pool);
	}
	return 0;
}

static void
nothing_is_left_of_a_dead_creator(struct mpt *t, int method)
{
	static int of_creator;
	mproc_pool *pool;
	struct mpt_rand rand;
	int id;

	mpt_rand_init(&rand, mpt_seed());
	of_creator = method;
	for (unsigned i = 0; i < amount(ROUNDS); i++) {
		id = mpt_fork(t, "creator", create_and_free, &of_creator);
		usleep((useconds_t)mpt_rand_below(&rand, 20000));
		mpt_kill(t, id);
		mpt_reap_orphans(t);
	}
	pool = make(t, method, 1);
	assert_int_equal(apply(t, pool, square, &(int){ 3 }, sizeof(int)), 9);
	end(t, pool);
}

by_each_method(nothing_is_left_of_a_dead_creator)

static int
create_and_stay(struct mpt *t, void *arg)
{
	struct board *b = arg;

	b->pool = make(t, (int)atomic_load(&b->counts[0]), 2);
	atomic_store(&b->pid, keeper_of(t, b->pool));
	wait_to_be_killed(t);
	return 0;
}

static void
keepers_end_with_their_creator(struct mpt *t, int method)
{
	struct board *b = new_board(t);
	int id, state;

	atomic_store(&b->counts[0], (unsigned)method);
	id = mpt_fork(t, "creator", create_and_stay, b);
	mpt_until(t, atomic_load(&b->pid));
	mpt_kill(t, id);
	mpt_until(t, (state = mpt_task_state(atomic_load(&b->pid))) == 0 ||
			     state == 'Z');
	mpt_reap_orphans(t);
}

by_each_method(keepers_end_with_their_creator)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		tests_of_methods(workers_have_nothing_of_the_creators),
		mpt_test(a_pool_without_a_method_is_a_copy),
		tests_of_methods(initializers_get_what_lies_in_the_arena),
		mpt_test(methods_that_make_no_sense_are_refused),
		tests_of_methods(functions_of_other_modules),
		tests_of_methods(workers_have_the_creators_loop),
		tests_of_methods(the_next_keeper_begins_anew),
		tests_of_methods(another_image_submits_and_starts_the_next_keeper),
		tests_of_methods(workers_find_functions_while_the_loader_is_busy),
		mpt_test(a_keeper_that_is_killed_at_once_is_none),
		mpt_test(a_copy_of_a_keeper_is_none),
		tests_of_methods(nothing_is_left_of_a_dead_creator),
		tests_of_methods(keepers_end_with_their_creator),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
