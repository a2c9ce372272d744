/* SPDX-License-Identifier: MIT */
/*
 * The process that makes a pool, closes, terminates, resizes or frees it is killed after
 * each instruction that changes what is shared, and after many others. Its workers and
 * its keeper end with it; who makes a pool after that gets all that it has left.
 */
#include "pool.h"

static mproc_pool *
make(void)
{
	mproc_pool *pool;

	may_fail(mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
						     .workers = WORKERS)));
	return pool;
}

static void
run_one(mproc_pool *pool)
{
	size_t len = LARGE, got;
	char bytes[LARGE];
	mproc_future *f;

	may_fail(mproc_pool_submit(pool, leave_bytes, &len, sizeof(len), &f));
	may_fail(mproc_future_get(f, bytes, sizeof(bytes), &got,
				  MPROC_FOREVER));
	if (got != len)
		_exit(1);
	mproc_future_close(f);
}

static void
create_victim(void *arg)
{
	(void)arg;
	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	(void)make();
	mpt_step_end();
}

static void
close_victim(void *arg)
{
	mproc_pool *pool = make();

	(void)arg;
	run_one(pool);
	mpt_step_begin();
	may_fail(mproc_pool_close(pool));
	mpt_step_end();
}

static void
terminate_victim(void *arg)
{
	mproc_pool *pool = make();

	(void)arg;
	run_one(pool);
	mpt_step_begin();
	may_fail(mproc_pool_terminate(pool));
	mpt_step_end();
}

/* To more workers than it has room for. */
static void
resize_victim(void *arg)
{
	mproc_pool *pool = make();

	(void)arg;
	run_one(pool);
	mpt_step_begin();
	may_fail(mproc_pool_resize(pool, WORKERS + 1));
	mpt_step_end();
}

static void
free_victim(void *arg)
{
	mproc_pool *pool = make();

	(void)arg;
	run_one(pool);
	mpt_step_begin();
	mproc_pool_free(pool);
	mpt_step_end();
}

static struct mpr_pool_root *
root_of(const mproc_arena *a, const void *object)
{
	uint64_t root = atomic_load(&((const mproc_pool *)object)->root);

	return root && mpr_heap_is_linked(a, root, sizeof(struct mpr_pool_root)) ?
		       mpr_arena_at(a, root) : NULL;
}

/* Room for more workers would stay with the cell, and the next one find it. */
static void
drop_room(const mproc_arena *unused, void *object, void *ctx)
{
	mproc_arena *a = mpr_arena_peek();
	struct mpr_pool_root *root = root_of(a, object);
	struct mpr_block_ref ref;

	(void)unused;
	if (root && atomic_load(&root->more) &&
	    mpr_heap_find_at(a, &root->more, &ref))
		mpr_block_unlink(a, ctx, &ref, &root->more, 0);
}

static void
drop_rooms(void)
{
	struct mpr_self *self;

	assert_int_equal(mpr_self(mpr_arena_peek(), &self), 0);
	mpr_cells_each(mpr_arena_peek(), MPR_CELL_POOL, drop_room, self);
}

static void
begin_without(void *arg)
{
	struct scene *s = arg;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
}

static void
make_and_free(void)
{
	mproc_pool *pool = make();

	run_one(pool);
	mproc_pool_free(pool);
}

static void
nothing_is_left(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct mproc_arena_stat now;
	struct scene *s = arg;

	(void)victim;
	(void)n;
	(void)finished;
	mpt_reap_orphans(s->t);
	recover();
	make_and_free();
	recover();
	drop_rooms();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
	assert_int_equal(now.used, s->before.used);
	assert_int_equal(now.queues, s->before.queues);
	assert_int_equal(now.participants, s->before.participants);
}

/* What pools there are, and all else. */
static void
add_pool(const mproc_arena *a, void *object, void *ctx)
{
	const struct mpr_pool_root *root = root_of(a, object);
	uint64_t *h = ctx;

	*h = hash(*h, object, sizeof(mproc_pool));
	if (root)
		*h = hash(*h, root, sizeof(*root));
}

static uint64_t
state(void *arg)
{
	uint64_t h = arena_state(NULL);

	(void)arg;
	mpr_cells_each(mpr_arena_peek(), MPR_CELL_POOL, add_pool, &h);
	return h;
}

static void
step(struct mpt *t, const char *name, void (*victim)(void *arg))
{
	struct scene s = { .t = t };

	mpt_watchdog(t, 120);
	/* What stays with a cell and its queue is there, also for two at once. */
	for (int i = 0; i < 2; i++)
		make_and_free();
	mpt_stepper_run(t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = victim,
		.before = begin_without,
		.survivor = nothing_is_left,
		.fingerprint = state,
		.arg = &s,
		.every = 100,
		.budget = 50,
		.max_cases = 200,
		.forks = true,
	}, NULL);
}

static void
killed_while_it_makes_one(void **state)
{
	step(*state, "create", create_victim);
}

static void
killed_while_it_closes_one(void **state)
{
	step(*state, "close", close_victim);
}

static void
killed_while_it_terminates_one(void **state)
{
	step(*state, "terminate", terminate_victim);
}

static void
killed_while_it_resizes_one(void **state)
{
	step(*state, "resize", resize_victim);
}

static void
killed_while_it_frees_one(void **state)
{
	step(*state, "free", free_victim);
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
		mpt_test(killed_while_it_makes_one),
		mpt_test(killed_while_it_closes_one),
		mpt_test(killed_while_it_terminates_one),
		mpt_test(killed_while_it_resizes_one),
		mpt_test(killed_while_it_frees_one),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
