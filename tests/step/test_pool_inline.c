/* SPDX-License-Identifier: MIT */
/*
 * Processes that run tasks of an inline pool, or keep it for a moment, are killed after
 * each instruction that changes what is shared, and after many others. Its creator ends it
 * all the same, and nothing is left.
 */
#include <sys/wait.h>

#include "pool.h"

static int
die(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	raise(SIGKILL);
	return 0;
}

/* Somebody has died in a task of it. */
static void
lose_one(struct scene *s)
{
	pid_t pid = fork();
	mproc_future *f;

	if (pid == 0) {
		may_fail(mproc_pool_submit(s->pool, die, NULL, 0, &f));
		_exit(1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
make_inline(void *arg)
{
	struct scene *s = arg;

	recover();
	atomic_store(runs(), 0);
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	assert_int_equal(mproc_pool_create(&s->pool, MPROC_OPTS(mproc_pool_opts,
						.backend = MPROC_POOL_INLINE)), 0);
	assert_int_equal(mpr_pool_look_up(s->pool, &s->use), 0);
}

static void
make_and_lose(void *arg)
{
	struct scene *s = arg;

	make_inline(arg);
	lose_one(s);
	mpr_pool_advance(&s->use, MPR_POOL_CLOSING);
}

static void
submit_victim(void *arg)
{
	struct scene *s = arg;

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	mproc_future_close(submit(s));
	mpt_step_end();
}

static int
add_run(const void *in, void *out, void *ctx)
{
	(void)ctx;
	atomic_fetch_add(runs(), 1);
	memcpy(out, in, 1);
	return *(const char *)in == 'b' ? -EDOM : 0;
}

static void
map_victim(void *arg)
{
	struct scene *s = arg;
	char out[3];

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	may_fail(mproc_pool_map(s->pool, add_run, NULL, "abc", 1, out, 1, 3, NULL) -
		 MPROC_TASK_FAILED);
	mpt_step_end();
}

static void
keep_victim(void *arg)
{
	struct scene *s = arg;

	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	mpr_keeping_wake(&s->use);
	mpt_step_end();
	if (mpr_pool_phase(&s->use) != MPR_POOL_ENDED)
		_exit(1);
}

static void
finish(struct scene *s)
{
	struct mproc_pool_stat stat;
	struct mproc_arena_stat now;

	assert_int_equal(mproc_pool_close(s->pool), 0);
	assert_int_equal(mproc_pool_join(s->pool, MPROC_FOREVER), 0);
	assert_int_equal(mproc_pool_stat(s->pool, &stat), 0);
	assert_int_equal(stat.queued + stat.running + stat.workers, 0);
	mproc_pool_free(s->pool);
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
	assert_int_equal(now.used, s->before.used);
	assert_int_equal(now.participants, s->before.participants);
}

static void
others_go_on(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	assert_true(!finished || atomic_load(runs()) > 0);
	s->f = submit(s);
	expect_result(s, s->f);
	mproc_future_close(s->f);
	finish(s);
}

static void
it_ends(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	finish(s);
}

/* All that steers the pool. */
static uint64_t
inline_state(void *arg)
{
	struct scene *s = arg;
	struct mpr_entries_walk walk = mpr_entries_walk(&s->use);
	uint64_t h = arena_state(NULL);
	struct mproc_future *f;
	struct mpr_map_use m;

	h = hash(h, s->use.root, sizeof(*s->use.root));
	h = hash(h, mpr_pool_worker_at(&s->use, 0),
		 2 * sizeof(struct mpr_pool_worker));
	while ((f = mpr_entries_next(&walk)))
		h = hash(h, f, mpr_map_look_at(&s->use, f, &m) ?
				       mpr_map_size(m.n, m.n_shares) :
				       sizeof(*f));
	return h;
}

/* What stays with a cell is there. */
static void
warm_up_inline(struct scene *s)
{
	make_inline(s);
	mproc_future_close(submit(s));
	mproc_pool_free(s->pool);
}

static void
step(struct mpt *t, const char *name, void (*before)(void *arg),
     void (*victim)(void *arg),
     void (*survivor)(void *arg, pid_t victim, unsigned long n, bool finished))
{
	struct scene s = { .t = t, .len = LARGE };

	mpt_watchdog(t, 120);
	warm_up_inline(&s);
	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = name,
		.before = before,
		.victim = victim,
		.survivor = survivor,
		.fingerprint = inline_state,
		.arg = &s,
		.every = 100,
		.budget = 50,
		.max_cases = 100,
	}, NULL);
}

static void
killed_while_it_runs_a_task(void **state)
{
	step(*state, "submit", make_inline, submit_victim, others_go_on);
}

static void
killed_while_it_runs_a_map(void **state)
{
	step(*state, "map", make_inline, map_victim, others_go_on);
}

static void
killed_while_it_keeps_the_pool(void **state)
{
	step(*state, "keep", make_and_lose, keep_victim, it_ends);
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
		mpt_test(killed_while_it_runs_a_task),
		mpt_test(killed_while_it_runs_a_map),
		mpt_test(killed_while_it_keeps_the_pool),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
