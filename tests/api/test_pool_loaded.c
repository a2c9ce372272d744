/* SPDX-License-Identifier: MIT */
/*
 * pool.h: functions that workers which are copies of the creator do not have, as it has
 * loaded or made them later; and those that they have, wherever they lie. What workers with
 * an image of their own have is in test_pool_method.c.
 */
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool.h"

enum { N = 20, PAGE = 4096 };

static void *
load(void)
{
	void *module = dlopen(getenv("MPT_SPAWN_MODULE"), RTLD_NOW);

	assert_non_null(module);
	return module;
}

static void
unload(void *module)
{
	assert_int_equal(dlclose(module), 0);
	assert_null(dlopen(getenv("MPT_SPAWN_MODULE"), RTLD_NOW | RTLD_NOLOAD));
}

static mproc_task *
task_of(void *module)
{
	mproc_task *task;

	*(void **)&task = dlsym(module, "module_task");
	assert_non_null(*(void **)&task);
	return task;
}

/* Such as no compiler adds a call to: it is copied. */
#if defined(__clang__)
__attribute__((disable_sanitizer_instrumentation))
#else
__attribute__((no_sanitize("thread", "address", "undefined")))
#endif
static int
nothing(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	return 0;
}

/* The same as code that no library has, in @page. */
static mproc_task *
made_in(void *page)
{
	mproc_task *task;

	assert_int_equal(mprotect(page, PAGE, PROT_READ | PROT_WRITE), 0);
	memcpy(page, (const void *)(uintptr_t)nothing, 64);
	assert_int_equal(mprotect(page, PAGE, PROT_READ | PROT_EXEC), 0);
	__builtin___clear_cache((char *)page, (char *)page + 64);
	*(void **)&task = page;
	return task;
}

static void *
new_page(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(page != MAP_FAILED);
	return page;
}

static int
next_int(void *src, const void **ret_in, size_t *ret_len)
{
	int *i = src;

	if (*i == N)
		return -ENODATA;
	++*i;
	*ret_in = i;
	*ret_len = sizeof(*i);
	return 0;
}

/* Each function of @task's is refused, as is each part of what calls it; and nobody dies. */
static void
expect_refused(struct board *b, mproc_task *task)
{
	mproc_map_fn *of_items = (mproc_map_fn *)(void (*)(void))task;
	pid_t worker = take_int(b, submit(b, tell_pid, NULL, 0));
	int in[N] = { 0 }, out[N], errors[N], next = 0;
	mproc_future *between = submit_int(b, square, 6);
	mproc_iter *it;

	for (int i = 0; i < 3; i++)
		expect_error(b, submit(b, task, NULL, 0), -ENOEXEC);
	assert_int_equal(mproc_pool_map(b->pool, of_items, NULL, in, sizeof(int), out,
					sizeof(int), N,
					MPROC_OPTS(mproc_map_opts, .errors = errors)),
			 MPROC_TASK_FAILED);
	for (int i = 0; i < N; i++)
		assert_int_equal(errors[i], -ENOEXEC);
	for (unsigned chunk = 1; chunk <= 4; chunk += 3) {
		next = 0;
		assert_int_equal(mproc_pool_imap(b->pool, task, next_int, &next,
						 MPROC_OPTS(mproc_imap_opts,
							    .chunk = chunk), &it), 0);
		for (int i = 0; i < N; i++)
			assert_int_equal(mproc_iter_next(it, NULL, 0, NULL,
							 MPROC_FOREVER),
					 MPROC_TASK_FAILED);
		assert_int_equal(mproc_iter_next(it, NULL, 0, NULL, MPROC_FOREVER),
				 -ENODATA);
		mproc_iter_close(it);
	}
	assert_int_equal(take_int(b, between), 36);
	assert_int_equal(take_int(b, submit(b, tell_pid, NULL, 0)), worker);
	assert_int_equal(pool_stat(b).deaths, 0);
}

static void
expect_done(struct board *b, mproc_task *task)
{
	mproc_future *f = submit(b, task, NULL, 0);

	assert_int_equal(mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER), 0);
	mproc_future_close(f);
}

static void
what_was_loaded_before_is_run(void **state)
{
	void *module = load();
	struct board *b = pool_of(*state, 2);

	expect_done(b, task_of(module));
	for (int i = 0; i < 4; i++) {
		expect_done(b, task_of(module));
		assert_int_equal(take_int(b, submit_int(b, square, i)), i * i);
	}
	close_and_join(b);
	unload(module);
}

static void
what_was_loaded_later_is_refused(void **state)
{
	struct board *b = pool_of(*state, 1);
	void *module = load();

	expect_refused(b, task_of(module));
	close_and_join(b);
	unload(module);
}

/* With its workers. */
static void
kill_keeper(struct board *b)
{
	assert_int_equal(kill(pool_stat(b).keeper, SIGKILL), 0);
	mpt_until(b->t, pool_stat(b).keeper == 0);
	mpt_reap_orphans(b->t);
}

static void
the_next_keeper_has_what_was_loaded(void **state)
{
	struct board *b = pool_of(*state, 1);
	void *module = load();

	expect_refused(b, task_of(module));
	kill_keeper(b);
	expect_done(b, task_of(module));
	close_and_join(b);
	unload(module);
}

static void
the_next_keeper_does_not_have_what_was_unloaded(void **state)
{
	void *module = load();
	mproc_task *task = task_of(module);
	struct board *b = pool_of(*state, 1);
	mproc_future *before, *after;

	expect_done(b, task);
	/* The only worker is busy until it dies. */
	before = submit(b, linger, NULL, 0);
	await_begun(b, 1);
	after = submit(b, task, NULL, 0);
	unload(module);
	kill_keeper(b);
	expect_error(b, after, -ENOEXEC);
	expect_error(b, before, -EOWNERDEAD);
	close_and_join(b);
}

static void
code_of_no_library(void **state)
{
	void *early = new_page(), *late;
	mproc_task *made = made_in(early);
	struct board *b = pool_of(*state, 1);

	late = new_page();
	expect_done(b, made);
	expect_refused(b, made_in(late));
	expect_done(b, made);
	close_and_join(b);
	/* Where workers have something else. */
	assert_int_equal(mprotect(early, PAGE, PROT_READ | PROT_WRITE), 0);
	b = pool_of(*state, 1);
	expect_refused(b, made_in(early));
	close_and_join(b);
	munmap(early, PAGE);
	munmap(late, PAGE);
}

/* Those who run it where it is submitted, or beside that. */
static void
where_there_is_one_memory_all_is_run(void **state)
{
	const int backends[] = { MPROC_POOL_THREADS, MPROC_POOL_INLINE };
	void *module, *page;
	struct board *b;

	for (size_t i = 0; i < 2; i++) {
		b = new_pool(*state, MPROC_OPTS(mproc_pool_opts, .workers = 1,
						.backend = backends[i]));
		module = load();
		page = new_page();
		expect_done(b, task_of(module));
		expect_done(b, made_in(page));
		close_and_join(b);
		munmap(page, PAGE);
		unload(module);
	}
}

/* So it is in a worker of another pool, which has what it loads. */
static int
load_and_run(const void *in, size_t len, struct mproc_result *out)
{
	const struct mproc_pool_opts *o =
		MPROC_OPTS(mproc_pool_opts, .workers = 1,
			   .backend = MPROC_POOL_INLINE);
	void *module = dlopen(getenv("MPT_SPAWN_MODULE"), RTLD_NOW);
	mproc_task *task = NULL;
	mproc_pool *p = NULL;
	int r = module ? mproc_pool_create(&p, o) : -ENOENT;

	(void)in;
	(void)len;
	(void)out;
	if (r == 0) {
		*(void **)&task = dlsym(module, "module_task");
		r = mproc_pool_apply(p, task, NULL, 0, NULL, 0, NULL, MPROC_FOREVER);
		mproc_pool_free(p);
	}
	return r < 0 ? r : r ? -EIO : 0;
}

static void
a_worker_has_what_it_loads_in_its_own_pools(void **state)
{
	struct board *b = pool_of(*state, 1);

	expect_done(b, load_and_run);
	close_and_join(b);
}

static void *loaded;

/* In a worker that has run the task: it lets the library go, makes a pool, and has it again
 * in the same place. */
static int
have_it_again(const void *in, size_t len, struct mproc_result *out)
{
	const struct mproc_pool_opts *o =
		MPROC_OPTS(mproc_pool_opts, .workers = 1, .retries = 0);
	struct mproc_task_error error = { 0 };
	mproc_task *before = task_of(loaded), *task;
	mproc_pool *p = NULL;
	mproc_future *f;
	int r;

	(void)in;
	(void)len;
	(void)out;
	unload(loaded);
	r = mproc_pool_create(&p, o);
	if (r < 0)
		return r;
	task = task_of(load());
	if (task != before)
		r = -ESTALE;
	if (r == 0)
		r = mproc_pool_submit(p, task, NULL, 0, &f);
	if (r == 0)
		r = mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER);
	if (r == MPROC_TASK_FAILED)
		r = mproc_future_error(f, &error);
	mproc_pool_free(p);
	if (r < 0)
		return r;
	return error.error == -ENOEXEC ? 0 : error.error ? error.error : -EIO;
}

static void
what_a_worker_remembers_is_not_known_to_its_own(void **state)
{
	struct board *b;

	loaded = load();
	b = pool_of(*state, 1);
	expect_done(b, task_of(loaded));
	expect_done(b, have_it_again);
	close_and_join(b);
	unload(loaded);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(what_was_loaded_before_is_run),
		mpt_test(what_was_loaded_later_is_refused),
		mpt_test(the_next_keeper_has_what_was_loaded),
		mpt_test(the_next_keeper_does_not_have_what_was_unloaded),
		mpt_test(code_of_no_library),
		mpt_test(where_there_is_one_memory_all_is_run),
		mpt_test(a_worker_has_what_it_loads_in_its_own_pools),
		mpt_test(what_a_worker_remembers_is_not_known_to_its_own),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
