/* SPDX-License-Identifier: MIT */
/*
 * pool.h: processes that have another image than the creator of a pool whose workers are
 * copies of that, or threads beside it, or none: they submit all that others do. What tasks
 * find is in the workers. Pools whose workers have another image, too, are in
 * test_pool_method.c.
 */
#include <stdio.h>
#include <unistd.h>

#include "pool.h"

enum { N = 40, OF_CREATOR = 7 };

static int number; /* that the creator sets */

/* In the arena. */
struct meeting {
	mproc_pool *pool;
	int backend;
	_Atomic int step;
	_Atomic bool go_on;
};

static int
add_number(const void *in, size_t len, struct mproc_result *out)
{
	int i = int_of(in) + number;

	(void)len;
	return mproc_result_set(out, &i, sizeof(i));
}

static int
add_number_to_item(const void *in, void *out, void *ctx)
{
	int i = int_of(in) + number + int_of(ctx);

	memcpy(out, &i, sizeof(i));
	return i % 10 ? 0 : -EDOM;
}

static int
die(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	raise(SIGKILL);
	return 0;
}

/* In a process that has no scenario: says where, and ends it. */
#define CHECK(what) check(what, __LINE__, #what)

static void
check(bool well, int line, const char *what)
{
	if (well)
		return;
	fprintf(stderr, "line %d: %s; %s\n", line, what, mproc_error_detail());
	_exit(1);
}

/* What tasks of the pool add. */
static int
number_of(const struct meeting *m)
{
	return m->backend == MPROC_POOL_INLINE ? 0 : OF_CREATOR;
}

static void
check_tasks(struct meeting *m)
{
	mproc_future *fs[N];
	size_t len = 0;
	int out = 0;

	for (int i = 0; i < N; i++)
		CHECK(mproc_pool_submit(m->pool, add_number, &i, sizeof(i),
					&fs[i]) == 0);
	CHECK(mproc_future_wait_many(fs, N, MPROC_ALL, MPROC_FOREVER) == N);
	for (int i = 0; i < N; i++) {
		CHECK(mproc_future_get(fs[i], &out, sizeof(out), &len,
				       MPROC_FOREVER) == 0);
		CHECK(len == sizeof(out) && out == i + number_of(m));
		mproc_future_close(fs[i]);
	}
	CHECK(mproc_pool_apply(m->pool, add_number, &(int){ 5 }, sizeof(int), &out,
			       sizeof(out), NULL, MPROC_FOREVER) == 0);
	CHECK(out == 5 + number_of(m));
	CHECK(mproc_pool_close(m->pool) == -ECHILD);
}

static void
check_map(struct meeting *m)
{
	int in[N], out[N], errors[N], plus = 3, *shared = mproc_alloc(sizeof(*shared));

	CHECK(shared);
	*shared = plus;
	for (int i = 0; i < N; i++)
		in[i] = i;
	for (int copied = 0; copied < 2; copied++) {
		memset(out, 0, sizeof(out));
		CHECK(mproc_pool_map(m->pool, add_number_to_item,
				     copied ? &plus : shared, in, sizeof(int), out,
				     sizeof(int), N,
				     MPROC_OPTS(mproc_map_opts, .chunk = 3,
						.ctx_size = copied ? sizeof(plus) : 0,
						.errors = errors)) ==
		      MPROC_TASK_FAILED);
		for (int i = 0; i < N; i++) {
			CHECK(out[i] == i + number_of(m) + 3);
			CHECK(errors[i] == (out[i] % 10 ? 0 : -EDOM));
		}
	}
	/* Workers do not have what lies here. */
	CHECK(mproc_pool_map(m->pool, add_number_to_item, &plus, in, sizeof(int), out,
			     sizeof(int), N, NULL) ==
	      (m->backend == MPROC_POOL_INLINE ? MPROC_TASK_FAILED : -EFAULT));
	mproc_free(shared);
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

static void
check_iterator(struct meeting *m)
{
	mproc_iter *it = NULL;
	int next = 0, out;

	CHECK(mproc_pool_imap(m->pool, add_number, next_int, &next, NULL, &it) == 0);
	for (int i = 1; i <= N; i++) {
		CHECK(mproc_iter_next(it, &out, sizeof(out), NULL,
				      MPROC_FOREVER) == 0);
		CHECK(out == i + number_of(m));
	}
	CHECK(mproc_iter_next(it, &out, sizeof(out), NULL, MPROC_FOREVER) == -ENODATA);
	mproc_iter_close(it);
}

/* Copies of the creator look for none there. */
static void
check_library(struct meeting *m)
{
	mproc_task *of_libc = (mproc_task *)(void (*)(void))getppid;
	mproc_future *f = NULL;
	int r = mproc_pool_submit(m->pool, of_libc, NULL, 0, &f);

	if (m->backend == MPROC_POOL_INLINE) {
		CHECK(r == 0);
		mproc_future_close(f);
		return;
	}
	CHECK(r == -ENOEXEC && strstr(mproc_error_detail(), "another image"));
}

static void
check_death(struct meeting *m)
{
	struct mproc_task_error e;
	struct mproc_exit end;
	mproc_future *f;

	if (m->backend != MPROC_POOL_PROCESSES)
		return;
	CHECK(mproc_pool_submit(m->pool, die, NULL, 0, &f) == 0);
	CHECK(mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER) == MPROC_TASK_FAILED);
	CHECK(mproc_future_error(f, &e) == 0 && e.error == -EOWNERDEAD);
	CHECK(mproc_future_exit_info(f, &end) == 0 && end.signal == SIGKILL);
	mproc_future_close(f);
}

static int
use_pool(void *arg)
{
	struct meeting *m = arg;

	/* This image is another. */
	CHECK(number == 0);
	check_tasks(m);
	check_map(m);
	check_iterator(m);
	check_library(m);
	check_death(m);
	check_tasks(m);
	return 0;
}

static mproc_process *
start_image(mproc_entry *fn, struct meeting *m, int method)
{
	mproc_process *p = NULL;

	assert_int_equal(mproc_process_start(&p, fn, m,
					     MPROC_OPTS(mproc_process_opts,
							.method = method)), 0);
	return p;
}

static void
expect_well(mproc_process *p)
{
	int code = -1;

	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 0);
	mproc_process_close(p);
}

static struct meeting *
meet(struct mpt *t, int backend)
{
	struct meeting *m = mproc_alloc(sizeof(*m));

	assert_non_null(m);
	m->backend = backend;
	number = OF_CREATOR;
	mpt_check_int(t, mproc_pool_create(&m->pool, MPROC_OPTS(
		mproc_pool_opts, .workers = 2, .backend = backend)), 0);
	return m;
}

static void
part(struct mpt *t, struct meeting *m)
{
	struct board b = { .t = t, .pool = m->pool };

	close_and_join(&b);
	number = 0;
	mproc_free(m);
}

static void
other_images_submit(void **state)
{
	static const int methods[] = { MPROC_SPAWN, MPROC_FORKSERVER };
	mproc_process *ps[2];

	for (int b = MPROC_POOL_PROCESSES; b <= MPROC_POOL_INLINE; b++) {
		struct meeting *m = meet(*state, b);

		/* Both at once. */
		for (int i = 0; i < 2; i++)
			ps[i] = start_image(use_pool, m, methods[i]);
		for (int i = 0; i < 2; i++)
			expect_well(ps[i]);
		part(*state, m);
	}
	mproc_forkserver_stop();
}

static int
wait_for_go(const void *in, size_t len, struct mproc_result *out)
{
	struct meeting *m;

	memcpy(&m, in, sizeof(m));
	atomic_fetch_add(&m->step, 1);
	while (!atomic_load(&m->go_on))
		usleep(1000);
	return mproc_result_set(out, in, len);
}

static int
wait_without_keeper(void *arg)
{
	struct meeting *m = arg;
	struct mproc_pool_stat stat;
	mproc_future *f, *g;
	int state, out;

	CHECK(mproc_pool_submit(m->pool, wait_for_go, &m, sizeof(m), &f) == 0);
	while (atomic_load(&m->step) < 1)
		usleep(1000);
	CHECK(mproc_pool_stat(m->pool, &stat) == 0);
	CHECK(kill(stat.keeper, SIGKILL) == 0);
	while ((state = mpt_task_state(stat.keeper)) != 0 && state != 'Z')
		usleep(1000);
	/* A keeper from here would be no copy of the creator; who is one has another
	 * begin, and its workers do what is submitted meanwhile as well. */
	CHECK(mproc_future_wait(f, MPROC_FOREVER) == -ENOEXEC);
	CHECK(mproc_pool_submit(m->pool, add_number, &(int){ 1 }, sizeof(int), &g) == 0);
	CHECK(mproc_future_wait(g, MPROC_NOWAIT) == -ENOEXEC);
	atomic_store(&m->step, 2);
	while (atomic_load(&m->step) < 4)
		usleep(1000);
	CHECK(mproc_future_get(g, &out, sizeof(out), NULL, MPROC_FOREVER) == 0);
	CHECK(out == 1 + OF_CREATOR);
	CHECK(mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER) == MPROC_TASK_FAILED);
	return 0;
}

static void
the_next_keeper_is_a_copy_of_the_creator(void **state)
{
	struct meeting *m = meet(*state, MPROC_POOL_PROCESSES);
	mproc_process *p = start_image(wait_without_keeper, m, MPROC_SPAWN);
	struct board b = { .t = *state, .pool = m->pool };

	mpt_until(b.t, atomic_load(&m->step) == 2);
	assert_int_equal(take_int(&b, submit_int(&b, add_number, 2)), 2 + OF_CREATOR);
	assert_int_equal(pool_stat(&b).keepers, 2);
	atomic_store(&m->go_on, true);
	atomic_store(&m->step, 4);
	expect_well(p);
	part(*state, m);
	mpt_reap_orphans(*state);
}

static int
make_and_stay(void *arg)
{
	struct meeting *m = arg;

	CHECK(mproc_pool_create(&m->pool, MPROC_OPTS(mproc_pool_opts, .workers = 1)) == 0);
	atomic_store(&m->step, 1);
	for (;;)
		pause();
	return 0;
}

static int
wait_without_creator(void *arg)
{
	struct meeting *m = arg;
	struct mproc_pool_stat stat;
	struct mproc_task_error e;
	mproc_future *fs[2];
	int state;

	for (int i = 0; i < 2; i++)
		CHECK(mproc_pool_submit(m->pool, wait_for_go, &m, sizeof(m), &fs[i]) == 0);
	while (atomic_load(&m->step) < 2)
		usleep(1000);
	CHECK(mproc_pool_stat(m->pool, &stat) == 0);
	CHECK(kill(stat.keeper, SIGKILL) == 0);
	while ((state = mpt_task_state(stat.keeper)) != 0 && state != 'Z')
		usleep(1000);
	CHECK(mproc_future_wait(fs[0], MPROC_NOWAIT) == -ENOEXEC);
	atomic_store(&m->step, 3);
	while (atomic_load(&m->step) < 4)
		usleep(1000);
	for (int i = 0; i < 2; i++) {
		CHECK(mproc_future_get(fs[i], NULL, 0, NULL, MPROC_FOREVER) ==
		      MPROC_TASK_FAILED);
		CHECK(mproc_future_error(fs[i], &e) == 0);
		CHECK(e.error == (i ? -ESHUTDOWN : -EOWNERDEAD));
		mproc_future_close(fs[i]);
	}
	return 0;
}

/* Who can start no keeper needs none to see the end of a pool whose creator is dead. */
static void
a_pool_ends_with_its_creator(void **state)
{
	struct meeting *m = mproc_alloc(sizeof(*m));
	mproc_process *creator, *other;

	assert_non_null(m);
	creator = start_image(make_and_stay, m, MPROC_FORK);
	mpt_until(*state, atomic_load(&m->step) == 1);
	other = start_image(wait_without_creator, m, MPROC_SPAWN);
	mpt_until(*state, atomic_load(&m->step) == 3);
	assert_int_equal(mproc_process_kill(creator), 0);
	assert_int_equal(mproc_process_join(creator, MPROC_FOREVER), 0);
	mproc_process_close(creator);
	atomic_store(&m->step, 4);
	expect_well(other);
	mproc_free(m);
	mpt_reap_orphans(*state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(other_images_submit),
		mpt_test(the_next_keeper_is_a_copy_of_the_creator),
		mpt_test(a_pool_ends_with_its_creator),
	};

	return cmocka_run_group_tests(tests, with_pool, NULL);
}
