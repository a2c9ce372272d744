/* SPDX-License-Identifier: MIT */
/*
 * Who makes a pool gives back those of dead creators first. It is stopped there, after
 * each few of its instructions, and another process makes a pool meanwhile, may be in the
 * same cell; in the middle of that the first one goes on until it names itself in the
 * keeper's word, if it does. Both have a pool with a keeper in the end, and nothing is
 * left of the dead one's.
 *
 * And it is killed there; then whoever waits for a task of the dead one's is told of its
 * end, and who makes the next pool gives back what is left.
 */
#include <sys/ptrace.h>

#include "pool.h"

/* So many instructions before the word changes all places are tried, but for three of
 * four; before that few, and so many behind. */
#define PLACES 120
#define BEHIND 400
#define SLACK 100
#define FAR 100000

struct shared {
	mproc_pool *left;
	mproc_future *f; /* a task of that */
};

static struct shared *
shared(void)
{
	return mpt_scratch(mpt_here());
}

static _Atomic uint64_t *
keeper_of(mproc_pool *pool)
{
	struct mpr_pool_root *root =
		mpr_arena_at(mpr_arena_peek(), atomic_load(&pool->root));

	return &root->keeper;
}

/* A pool whose creator is dead, with all who worked for it. */
static mproc_pool *
leave_one(struct mpt *t)
{
	pid_t pid;

	shared()->left = NULL;
	pid = fork();
	if (pid == 0) {
		mproc_pool *pool;

		may_fail(mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
							     .workers = 1)));
		shared()->left = pool;
		may_fail(mproc_pool_submit(pool, leave_bytes, NULL, 0,
					   &shared()->f));
		raise(SIGKILL);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_non_null(shared()->left);
	mpt_reap_orphans(t);
	recover();
	return shared()->left;
}

static void
make_one(void)
{
	mproc_pool *pool;

	mproc_free(mproc_alloc(64));
	may_fail(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? -1 : 0);
	raise(SIGSTOP);
	may_fail(mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
						     .workers = 1)));
	mproc_pool_free(pool);
	_exit(0);
}

/* It stands before it makes a pool. */
static pid_t
start_reclaimer(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		make_one();
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL),
			 0);
	return pid;
}

/* Returns false if it has ended, which it does well. */
static bool
go_on(pid_t pid, enum __ptrace_request how)
{
	static int sig;
	int status;

	assert_int_equal(ptrace(how, pid, NULL, (void *)(intptr_t)sig), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	sig = 0;
	if (!WIFSTOPPED(status)) {
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		return false;
	}
	if (WSTOPSIG(status) != SIGTRAP)
		sig = WSTOPSIG(status);
	return true;
}

/* Until it has been @n times through a kernel's door, in or out. */
static void
pass_doors(pid_t pid, unsigned n)
{
	while (n--)
		assert_true(go_on(pid, PTRACE_SYSCALL));
}

static unsigned
step(pid_t pid, unsigned n, const _Atomic uint64_t *until, uint64_t not)
{
	for (unsigned i = 0; i < n; i++) {
		if (until && atomic_load(until) != not)
			return i;
		assert_true(go_on(pid, PTRACE_SINGLESTEP));
	}
	return n;
}

static void
end_reclaimer(pid_t pid)
{
	while (go_on(pid, PTRACE_CONT))
		;
}

/* Where the word changes first: behind the last door before it, how far. */
static void
find_place(struct mpt *t, unsigned *ret_doors, unsigned *ret_steps)
{
	_Atomic uint64_t *keeper = keeper_of(leave_one(t));
	uint64_t word = atomic_load(keeper);
	pid_t pid = start_reclaimer();
	unsigned doors = 0;

	while (atomic_load(keeper) == word) {
		assert_true(go_on(pid, PTRACE_SYSCALL));
		doors++;
	}
	end_reclaimer(pid);
	keeper = keeper_of(leave_one(t));
	word = atomic_load(keeper);
	pid = start_reclaimer();
	pass_doors(pid, doors - 1);
	*ret_doors = doors - 1;
	*ret_steps = step(pid, FAR, keeper, word);
	assert_in_range(*ret_steps, 1, FAR - 1);
	end_reclaimer(pid);
}

/* Whether who keeps the scene's pool is a process that does. */
static bool
is_kept(const struct scene *s)
{
	uint64_t word = atomic_load(&s->use.root->keeper);

	return mpr_holder_has_it(word) && !mpr_holder_is_dead(s->use.arena, word);
}

static void
try_at(struct mpt *t, unsigned doors, unsigned steps, unsigned more)
{
	const struct mproc_pool_opts o = { .struct_size = sizeof(o),
					   .workers = 1 };
	struct scene s = { .t = t, .len = 1 };
	_Atomic uint64_t *keeper;
	pid_t pid;

	mpt_watchdog(t, 30);
	keeper = keeper_of(leave_one(t));
	assert_int_equal(mproc_arena_stat(NULL, &s.before), 0);
	pid = start_reclaimer();
	pass_doors(pid, doors);
	step(pid, steps, NULL, 0);

	assert_int_equal(mpr_self(mpr_arena_peek(), &s.self), 0);
	assert_int_equal(mpr_pool_make(&s.use, s.self, &o, mproc_map_loop_near_),
			 0);
	s.pool = s.use.pool;
	step(pid, more, keeper, atomic_load(keeper));
	assert_int_equal(begin_keeping(&s), 0);
	mpr_pool_open(&s.use);
	assert_true(is_kept(&s));

	end_reclaimer(pid);
	assert_true(is_kept(&s));
	s.f = submit(&s);
	expect_result(&s, s.f);
	mproc_future_close(s.f);
	assert_int_equal(atomic_load(&s.use.root->keepers), 1);
	take_apart(&s);
}

static void
stopped_while_it_gives_back_one(void **state)
{
	struct mpt *t = *state;
	unsigned doors, steps, tried = 0;

	mpt_watchdog(t, 60);
	find_place(t, &doors, &steps);
	for (unsigned n = steps % 4; n < steps + BEHIND;
	     n += n + PLACES < steps ? 128 : n < steps ? 4 : 8) {
		/* It names itself within so many more, if it does. */
		try_at(t, doors, n, n < steps ? steps - n + SLACK : BEHIND);
		tried++;
	}
	print_message("# %u places in %u instructions\n", tried, steps + BEHIND);
}

static void
begin_left(void *arg)
{
	struct scene *s = arg;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	leave_one(s->t);
}

static void
make_victim(void *arg)
{
	mproc_pool *pool;

	(void)arg;
	mproc_free(mproc_alloc(64));
	mpt_step_begin();
	may_fail(mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
						     .workers = 1)));
	mpt_step_end();
}

static void
nothing_is_left(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct mproc_arena_stat now;
	struct scene *s = arg;
	mproc_pool *pool;
	int r;

	(void)victim;
	(void)n;
	(void)finished;
	mpt_reap_orphans(s->t);
	r = mproc_future_wait(shared()->f, MPROC_FOREVER);
	assert_true(r == 0 || r == -ESTALE || r == -ESHUTDOWN);
	/* Its keeper frees the pool, if we have started one. */
	mpt_reap_orphans(s->t);
	recover();
	assert_int_equal(mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
							     .workers = 1)), 0);
	mproc_pool_free(pool);
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
	assert_int_equal(now.used, s->before.used);
	assert_int_equal(now.queues, s->before.queues);
	assert_int_equal(now.participants, s->before.participants);
}

/* What there is of pools. */
static void
add_pool(const mproc_arena *a, void *object, void *ctx)
{
	const mproc_pool *pool = object;
	uint64_t root = atomic_load(&pool->root), *h = ctx;

	*h = hash(*h, pool, sizeof(*pool));
	if (root && mpr_heap_is_linked(a, root, sizeof(struct mpr_pool_root)))
		*h = hash(*h, mpr_arena_at(a, root),
			  sizeof(struct mpr_pool_root));
}

static uint64_t
state_of_pools(void *arg)
{
	uint64_t h = arena_state(NULL);

	(void)arg;
	mpr_cells_each(mpr_arena_peek(), MPR_CELL_POOL, add_pool, &h);
	return h;
}

static void
killed_while_it_gives_back_one(void **state)
{
	struct scene s = { .t = *state };

	mpt_watchdog(s.t, 120);
	/* What stays with two cells is there. */
	leave_one(s.t);
	leave_one(s.t);
	warm_up(&s);
	mpt_stepper_run(s.t, &(struct mpt_stepper_opts){
		.name = "reclaim",
		.victim = make_victim,
		.before = begin_left,
		.survivor = nothing_is_left,
		.fingerprint = state_of_pools,
		.arg = &s,
		.every = 100,
		.budget = 50,
		.max_cases = 150,
		.forks = true,
	}, NULL);
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
		mpt_test(stopped_while_it_gives_back_one),
		mpt_test(killed_while_it_gives_back_one),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
