/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with a set, or with
 * two, and of giving a name a value: it is done or not, with each element, and all
 * else is as it was. What a table goes through meanwhile is stepped through in
 * test_dict.c.
 */
#include <mproc/containers.h>

#include "base/fault.h"
#include "containers/table.h"
#include "sync.h"
#include "world.h"

#define EVERY 100
#define BUDGET 60
#define PAIR_CASES 80 /* it takes several times as long */
#define N 8

/* Elements as bits: of the set in the beginning; what is in both, and in the other
 * one only. */
#define ALL ((1U << N) - 1)
#define BOTH (1U << (N - 1))
#define OTHER (1U << N)

struct scene {
	struct mpt *t;
	mproc_set *s;
	mproc_set *other; /* of both, N - 1 and N */
	mproc_namespace *ns;
	int (*op)(mproc_set *s, mproc_set *other);
	unsigned from, to; /* what is in s before op, and after it */
	struct mproc_arena_stat before;
};

static void
begin(void *arg)
{
	struct scene *s = arg;

	recover();
	assert_int_equal(mproc_arena_stat(NULL, &s->before), 0);
	assert_int_equal(mproc_set_create(&s->s, NULL), 0);
	assert_int_equal(mproc_set_create(&s->other, NULL), 0);
	assert_int_equal(mproc_namespace_create(&s->ns, NULL), 0);
	atomic_store(&((struct mpr_table *)s->s)->seed, 1);
	atomic_store(&((struct mpr_table *)s->other)->seed, 1);
	atomic_store(&((struct mpr_table *)s->ns)->seed, 1);
	for (int i = 0; i < N; i++)
		assert_int_equal(mproc_set_add(s->s, mproc_int(i)), 1);
	for (int i = N - 1; i <= N; i++)
		assert_int_equal(mproc_set_add(s->other, mproc_int(i)), 1);
	assert_int_equal(mproc_namespace_set(s->ns, "name", mproc_int(1)), 0);
}

static uint64_t
state(void *arg)
{
	struct scene *s = arg;
	const mproc_arena *a = mpr_arena_peek();
	uint64_t h = arena_state(NULL);

	h = hash(h, mpr_arena_at(a, ((struct mpr_table *)s->s)->root), 4096);
	return hash(h, mpr_arena_at(a, ((struct mpr_table *)s->ns)->root),
		    4096);
}

static void
warm_up(struct scene *s)
{
	mproc_free(mproc_value_new(64, NULL));
	(void)mpr_fault_set("open:1+");
	may_fail(mproc_set_has(s->s, mproc_int(0)));
}

/* It has @least to @most elements of 0 to N, each once. */
static void
expect_elements(struct scene *s, unsigned least, unsigned most)
{
	struct mproc_cursor c = { { 0 } };
	unsigned seen[N + 1] = { 0 }, n = 0;
	struct mproc_any got;
	int r;

	while ((r = mproc_set_next(s->s, &c, &got)) == 0) {
		assert_in_range(got.i64, 0, N);
		assert_int_equal(seen[got.i64]++, 0);
		n++;
	}
	assert_int_equal(r, -ENODATA);
	assert_in_range(n, least, most);
	assert_int_equal(mproc_set_len(s->s), n);
	for (int i = 0; i <= N; i++)
		assert_int_equal(mproc_set_has(s->s, mproc_int(i)), seen[i]);
}

static void
end(struct scene *s)
{
	struct mproc_arena_stat now;
	struct mproc_any got;

	for (int i = 0; i < 3 * N; i++)
		assert_true(mproc_set_add(s->s, mproc_int(i)) >= 0);
	assert_int_equal(mproc_set_len(s->s), 3 * N);
	for (int i = 0; i < 3 * N; i++)
		assert_int_equal(mproc_set_pop(s->s, &got), 0);
	assert_int_equal(mproc_set_pop(s->s, &got), -ENODATA);
	assert_int_equal(mproc_set_len(s->other), 2);
	mproc_set_destroy(s->s);
	mproc_set_destroy(s->other);
	mproc_namespace_destroy(s->ns);
	recover();
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.blocks, s->before.blocks);
	assert_int_equal(now.participants, s->before.participants);
}

static void
step(struct scene *s, const char *name, void (*victim)(void *arg),
     void (*survivor)(void *arg, pid_t victim, unsigned long n, bool finished))
{
	mpt_stepper_run(s->t, &(struct mpt_stepper_opts){
		.name = name,
		.victim = victim,
		.before = begin,
		.survivor = survivor,
		.fingerprint = state,
		.every = EVERY,
		.budget = BUDGET,
		.max_cases = s->op ? PAIR_CASES : 0,
		.arg = s,
	}, NULL);
}

static void
add_victim(void *arg)
{
	struct scene *s = arg;
	int r;

	warm_up(s);
	mpt_step_begin();
	r = mproc_set_add(s->s, mproc_int(N));
	mpt_step_end();
	must_be(r, 1);
}

static void
add_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	expect_elements(s, finished ? N + 1 : N, N + 1);
	end(s);
}

static void
pop_victim(void *arg)
{
	struct scene *s = arg;
	struct mproc_any got;
	int r;

	warm_up(s);
	mpt_step_begin();
	r = mproc_set_pop(s->s, &got);
	mpt_step_end();
	must_be(r, 0);
}

static void
pop_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;

	(void)victim;
	(void)n;
	expect_elements(s, N - 1, finished ? N - 1 : N);
	end(s);
}

static void
killed_while_elements_come_and_go(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "add", add_victim, add_survivor);
	step(&s, "pop", pop_victim, pop_survivor);
}

static int
discard(mproc_set *s, mproc_set *other)
{
	(void)other;
	return mproc_set_discard(s, mproc_int(N - 1)) == 1 ? 0 : -1;
}

static int
clear(mproc_set *s, mproc_set *other)
{
	(void)other;
	return mproc_set_clear(s);
}

static void
pair_victim(void *arg)
{
	struct scene *s = arg;
	int r;

	warm_up(s);
	mpt_step_begin();
	r = s->op(s->s, s->other);
	mpt_step_end();
	must_be(r, 0);
}

static void
pair_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	unsigned bits = 0;

	(void)victim;
	(void)n;
	for (unsigned i = 0; i <= N; i++)
		bits |= (unsigned)mproc_set_has(s->s, mproc_int(i)) << i;
	/* Each element is as it was, or as it is to be. */
	assert_int_equal((bits ^ s->from) & (bits ^ s->to), 0);
	if (finished)
		assert_int_equal(bits, s->to);
	expect_elements(s, 0, N + 1);
	end(s);
}

static void
step_pair(struct mpt *t, const char *name,
	  int (*op)(mproc_set *s, mproc_set *other), unsigned to)
{
	struct scene s = { .t = t, .op = op, .from = ALL, .to = to };

	step(&s, name, pair_victim, pair_survivor);
}

static void
killed_while_elements_go(void **state)
{
	step_pair(*state, "discard", discard, ALL & ~BOTH);
	step_pair(*state, "clear", clear, 0);
}

static void
killed_between_two_sets(void **state)
{
	mpt_watchdog(*state, 60);
	step_pair(*state, "update", mproc_set_update, ALL | OTHER);
	step_pair(*state, "intersection", mproc_set_intersection_update, BOTH);
	step_pair(*state, "difference", mproc_set_difference_update,
		  ALL & ~BOTH);
	step_pair(*state, "symmetric difference",
		  mproc_set_symmetric_difference_update, (ALL & ~BOTH) | OTHER);
}

/* The answer is 0 of all of them. */
static void
killed_while_it_compares_two_sets(void **state)
{
	step_pair(*state, "is_subset", mproc_set_is_subset, ALL);
	step_pair(*state, "is_equal", mproc_set_is_equal, ALL);
	step_pair(*state, "is_disjoint", mproc_set_is_disjoint, ALL);
}

static void
name_victim(void *arg)
{
	struct scene *s = arg;
	int r;

	warm_up(s);
	mpt_step_begin();
	r = mproc_namespace_set(s->ns, "name", mproc_str("a text"));
	mpt_step_end();
	may_fail(r);
}

static void
name_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	struct mproc_any got;

	(void)victim;
	(void)n;
	assert_int_equal(mproc_namespace_get(s->ns, "name", &got), 0);
	assert_true(got.kind == MPROC_INT ?
			    got.i64 == 1 && !finished :
			    got.kind == MPROC_STR && got.len == 6);
	mproc_any_clear(&got);
	assert_int_equal(mproc_namespace_del(s->ns, "name"), 0);
	assert_int_equal(mproc_namespace_get(s->ns, "name", &got), -ENOENT);
	expect_elements(s, N, N);
	end(s);
}

static void
no_name_victim(void *arg)
{
	struct scene *s = arg;
	int r;

	warm_up(s);
	mpt_step_begin();
	r = mproc_namespace_del(s->ns, "name");
	mpt_step_end();
	may_fail(r);
}

static void
no_name_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	int64_t i = 1;
	int r = mproc_namespace_get_int(s->ns, "name", &i);

	(void)victim;
	(void)n;
	assert_true(r == -ENOENT || (r == 0 && !finished));
	assert_int_equal(i, 1);
	assert_int_equal(mproc_namespace_set(s->ns, "name", mproc_int(2)), 0);
	assert_int_equal(mproc_namespace_get_int(s->ns, "name", &i), 0);
	assert_int_equal(i, 2);
	expect_elements(s, N, N);
	end(s);
}

static void
killed_while_a_name_gets_a_value_or_none(void **state)
{
	struct scene s = { .t = *state };

	step(&s, "name", name_victim, name_survivor);
	step(&s, "no name", no_name_victim, no_name_survivor);
}

static int
setup(void **state)
{
	mproc_namespace *ns;
	mproc_set *s, *other;

	if (world_setup(state) < 0 || mproc_set_create(&s, NULL) < 0 ||
	    mproc_set_create(&other, NULL) < 0 ||
	    mproc_namespace_create(&ns, NULL) < 0)
		return -1;
	mproc_set_destroy(s);
	mproc_set_destroy(other);
	mproc_namespace_destroy(ns);
	make_spare_slots();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_elements_come_and_go),
		mpt_test(killed_while_elements_go),
		mpt_test(killed_between_two_sets),
		mpt_test(killed_while_it_compares_two_sets),
		mpt_test(killed_while_a_name_gets_a_value_or_none),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
