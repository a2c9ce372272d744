/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction that changes what is shared, and after
 * many others, while it submits a map, works on one, cancels one, and, as the keeper,
 * buries a worker that has died with one. All items are done in the end; none is begun
 * twice but the one that the dead one had in its hands.
 */
#include <sys/wait.h>

#include "pool.h"
#include "pool/worker.h"

#define N 7
#define CHUNK 2
#define FAILING 3 /* an item that fails */
#define DEADLY 4 /* one that a worker dies with */

struct mapped {
	struct scene scene; /* first */
	mproc_future *map;
	unsigned retries;
};

/* In the scratch bytes, behind runs(). */
static _Atomic unsigned *
begun(void)
{
	return runs() + 1;
}

/* Behind those: whether the pool becomes smaller at an item, once. */
static _Atomic unsigned *
shrinks(void)
{
	return begun() + N;
}

static int
do_item(const void *in, void *out, void *ctx)
{
	int i;

	memcpy(&i, in, sizeof(i));
	atomic_fetch_add(&begun()[i], 1);
	if (i == CHUNK && atomic_exchange(shrinks(), 0))
		atomic_store(&mpr_worker_self()->use.root->surplus, 1);
	if (ctx && i == DEADLY)
		raise(SIGKILL);
	memcpy(out, in, sizeof(i));
	return i == FAILING ? -EDOM : 0;
}

static mproc_future *
map_items(const struct scene *s, void *ctx)
{
	static const int in[N] = { 0, 1, 2, 3, 4, 5, 6 };
	mproc_future *f;

	may_fail(mproc_pool_map_async(s->pool, do_item, ctx, in, sizeof(in[0]),
				      NULL, sizeof(in[0]), N,
				      MPROC_OPTS(mproc_map_opts, .chunk = CHUNK),
				      &f));
	return f;
}

static void
begin_map(void *arg)
{
	struct mapped *m = arg;

	begin(&m->scene);
	for (int i = 0; i <= N; i++)
		atomic_store(&begun()[i], 0);
	m->map = map_items(&m->scene, NULL);
}

/* @dead says which item may have failed by a death, or is -1. */
static void
expect_items(struct mapped *m, unsigned again, int dead)
{
	int out[N], error, twice = 0;
	struct mproc_task_error e;
	size_t item = 0;

	assert_int_equal(mproc_future_get(m->map, out, sizeof(out), NULL,
					  MPROC_FOREVER), MPROC_TASK_FAILED);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(out[i], i);
		assert_in_range(atomic_load(&begun()[i]), 1, 1 + again);
		twice += atomic_load(&begun()[i]) > 1;
	}
	assert_true(twice <= 1);
	assert_int_equal(mproc_future_next_failed(m->map, &item, &error), 0);
	assert_int_equal(item, FAILING);
	assert_int_equal(error, -EDOM);
	item++;
	if (dead < 0) {
		assert_int_equal(mproc_future_next_failed(m->map, &item, &error),
				 -ENODATA);
	} else {
		assert_int_equal(mproc_future_next_failed(m->map, &item, &error),
				 0);
		assert_int_equal(item, dead);
		assert_int_equal(error, -EOWNERDEAD);
	}
	assert_int_equal(mproc_future_error(m->map, &e), 0);
	assert_int_equal(e.items, dead < 0 ? 1 : 2);
	mproc_future_close(m->map);
}

static void
finish(struct mapped *m)
{
	expect_result(&m->scene, m->scene.f);
	mproc_future_close(m->scene.f);
	end(&m->scene);
}

static void
map_victim(void *arg)
{
	struct mapped *m = arg;

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	map_items(&m->scene, NULL);
	mpt_step_end();
}

/* What the dead one has submitted is done, and closed. */
static void
after_map(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct mapped *m = arg;

	(void)victim;
	(void)n;
	recover();
	assert_in_range(count_futures(&m->scene), finished ? 3 : 2, 3);
	assert_int_equal(mproc_future_wait(m->map, MPROC_FOREVER), 0);
	mpt_until(m->scene.t, count_futures(&m->scene) == 2);
	for (int i = 0; i < N; i++)
		assert_in_range(atomic_load(&begun()[i]), finished ? 2 : 1, 2);
	mproc_future_close(m->map);
	finish(m);
}

static void
work_victim(void *arg)
{
	struct mapped *m = arg;
	struct mpr_worker me = play_worker(&m->scene, 0);

	mpt_step_begin();
	run_task(&me, m->map);
	mpt_step_end();
}

static void
after_work(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct mapped *m = arg;

	(void)victim;
	(void)n;
	recover();
	if (finished)
		assert_int_equal(mproc_future_ready(m->map), 1);
	expect_items(m, finished ? 0 : 1, -1);
	finish(m);
}

/* A worker that ends after its first task and three items, in the middle of a chunk. */
static void
begin_retiring(void *arg)
{
	struct mapped *m = arg;

	begin_map(m);
	atomic_store(&m->scene.use.root->max_tasks, 4);
}

/* One that is one too many from its second chunk on. */
static void
begin_leaving(void *arg)
{
	begin_map(arg);
	atomic_store(shrinks(), 1);
}

/* One that does all, and then has nothing to do. */
static void
begin_resting(void *arg)
{
	struct mapped *m = arg;

	begin_map(m);
	atomic_store(&m->scene.use.root->idle_timeout, 1);
}

static void
worker_victim(void *arg)
{
	const struct scene *s = &((struct mapped *)arg)->scene;
	struct mpr_child_ears ears;
	struct mpr_working working = {
		.use = s->use,
		.record = mpr_pool_worker_at(&s->use, 0),
		.ticket = UINT64_C(1) << 32,
		.keeper = atomic_load(&s->use.root->keeper),
		.ears = &ears,
	};

	mpr_child_listen(SIG_DFL, &ears);
	atomic_store(&working.record->word, working.ticket);
	mpt_step_begin();
	if (mpr_worker_run(&working))
		_exit(1);
	mpt_step_end();
}

static void
after_retiring(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct mapped *m = arg;
	size_t done = N;

	(void)victim;
	(void)n;
	recover();
	if (finished) {
		assert_int_equal(mpr_pool_worker_at(&m->scene.use, 0)->word, 0);
		assert_int_equal(mproc_future_ready(m->scene.f), 1);
		assert_int_equal(mproc_future_progress(m->map, &done, NULL), 0);
		assert_int_equal(done, 3);
	}
	/* The others end as well, and what is left is done by yet others. */
	expect_items(m, finished ? 0 : 1, -1);
	finish(m);
}

static void
after_leaving(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct mapped *m = arg;
	size_t done = N;

	(void)victim;
	(void)n;
	recover();
	if (finished) {
		assert_int_equal(mpr_pool_worker_at(&m->scene.use, 0)->word, 0);
		assert_int_equal(m->scene.use.root->surplus, 0);
		assert_int_equal(mproc_future_progress(m->map, &done, NULL), 0);
		assert_int_equal(done, 2 * CHUNK);
	}
	/* As many as there are to be do the rest, and end with the pool only. */
	expect_items(m, finished ? 0 : 1, -1);
	mpt_until(m->scene.t, count_workers(&m->scene) == WORKERS);
	finish(m);
}

static void
after_resting(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct mapped *m = arg;

	(void)victim;
	(void)n;
	recover();
	if (finished) {
		assert_int_equal(mpr_pool_worker_at(&m->scene.use, 0)->word,
				 MPR_POOL_RESTS);
		assert_int_equal(mproc_future_ready(m->map), 1);
	}
	expect_items(m, finished ? 0 : 1, -1);
	finish(m);
}

static void
cancel_victim(void *arg)
{
	struct mapped *m = arg;

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	may_fail(mproc_future_cancel(m->map, 0));
	mpt_step_end();
}

static void
after_cancel(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct mapped *m = arg;
	struct mproc_task_error e;

	(void)victim;
	(void)n;
	recover();
	assert_true(!finished || mproc_future_ready(m->map));
	assert_int_equal(mproc_future_wait(m->map, MPROC_FOREVER), 0);
	assert_int_equal(mproc_future_error(m->map, &e), 0);
	if (e.error == -ECANCELED) {
		assert_int_equal(e.items, N);
		for (int i = 0; i < N; i++)
			assert_int_equal(atomic_load(&begun()[i]), 0);
		mproc_future_close(m->map);
	} else {
		expect_items(m, 0, -1);
	}
	finish(m);
}

/* A worker has died with an item. */
static void
begin_kept(void *arg)
{
	struct mapped *m = arg;
	struct scene *s = &m->scene;
	int status;
	pid_t pid;

	begin(s);
	atomic_store(&s->use.root->retries, m->retries);
	for (int i = 0; i < N; i++)
		atomic_store(&begun()[i], 0);
	m->map = map_items(s, runs());
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct mpr_worker me = play_worker(s, 0);

		run_task(&me, m->map);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void
keep_victim(void *arg)
{
	be_keeper(&((struct mapped *)arg)->scene);
}

/* Workers of the dead keeper may have died with it, and with items. */
static void
after_keep(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct mapped *m = arg;
	struct scene *s = &m->scene;
	int out[N], error;
	bool dead = false;

	(void)victim;
	(void)n;
	(void)finished;
	mpt_reap_orphans(s->t);
	recover();
	assert_int_equal(mproc_future_get(m->map, out, sizeof(out), NULL,
					  MPROC_FOREVER), MPROC_TASK_FAILED);
	for (size_t i = 0;
	     mproc_future_next_failed(m->map, &i, &error) == 0; i++) {
		assert_true(error == -EDOM || error == -EOWNERDEAD);
		assert_int_equal(error == -EDOM, i == FAILING);
		dead |= i == DEADLY;
		/* Those before it were done before. */
		assert_true(i == FAILING || i >= DEADLY);
	}
	assert_true(dead);
	for (int i = 0; i < N; i++) {
		assert_in_range(atomic_load(&begun()[i]), 1,
				i < DEADLY ? 1 : 1 + m->retries);
		assert_int_equal(out[i], i == DEADLY ? 0 : i);
	}
	mproc_future_close(m->map);
	assert_int_equal(mproc_future_wait(s->f, MPROC_FOREVER), 0);
	mproc_future_close(s->f);
	end(s);
}

static void
step(struct mpt *t, const struct mpt_stepper_opts *how, unsigned retries)
{
	struct mapped m = { .scene = { .t = t, .len = 40 }, .retries = retries };
	struct mpt_stepper_opts o = *how;

	mpt_watchdog(t, 60);
	warm_up(&m.scene);
	/* Groups of entries, and slabs. */
	begin_map(&m);
	expect_items(&m, 0, -1);
	expect_result(&m.scene, m.scene.f);
	mproc_future_close(m.scene.f);
	take_apart(&m.scene);
	if (!o.before)
		o.before = begin_map;
	o.fingerprint = pool_state;
	o.every = 50;
	o.budget = 50;
	o.max_cases = 250;
	o.arg = &m;
	mpt_stepper_run(t, &o, NULL);
}

static void
killed_while_it_submits_a_map(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "map",
						 .victim = map_victim,
						 .survivor = after_map }, 3);
}

static void
killed_while_it_works_on_a_map(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "work on a map",
						 .victim = work_victim,
						 .survivor = after_work }, 3);
}

static void
killed_while_it_does_all_that_it_may(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "work until it retires",
						 .before = begin_retiring,
						 .victim = worker_victim,
						 .survivor = after_retiring },
	     3);
}

static void
killed_while_it_ends_as_one_too_many(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "work until it is too many",
						 .before = begin_leaving,
						 .victim = worker_victim,
						 .survivor = after_leaving },
	     3);
}

static void
killed_while_it_works_until_it_rests(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "work until it rests",
						 .before = begin_resting,
						 .victim = worker_victim,
						 .survivor = after_resting },
	     3);
}

static void
killed_while_it_cancels_a_map(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "cancel a map",
						 .victim = cancel_victim,
						 .survivor = after_cancel }, 3);
}

static void
killed_while_it_buries_who_had_an_item(void **state)
{
	step(*state, &(struct mpt_stepper_opts){ .name = "bury, without retries",
						 .before = begin_kept,
						 .victim = keep_victim,
						 .survivor = after_keep,
						 .forks = true,
						 .limit = KEEPER_LIMIT }, 0);
	step(*state, &(struct mpt_stepper_opts){ .name = "bury, with retries",
						 .before = begin_kept,
						 .victim = keep_victim,
						 .survivor = after_keep,
						 .forks = true,
						 .limit = KEEPER_LIMIT }, 2);
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
		mpt_test(killed_while_it_submits_a_map),
		mpt_test(killed_while_it_works_on_a_map),
		mpt_test(killed_while_it_does_all_that_it_may),
		mpt_test(killed_while_it_ends_as_one_too_many),
		mpt_test(killed_while_it_works_until_it_rests),
		mpt_test(killed_while_it_cancels_a_map),
		mpt_test(killed_while_it_buries_who_had_an_item),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
