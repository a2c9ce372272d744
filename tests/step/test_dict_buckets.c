/* SPDX-License-Identifier: MIT */
/*
 * A process is killed after each instruction of what it does with a dict whose
 * buckets lie in many blocks, which a directory names. Here that begins with the first
 * bucket that is cut, and each that comes of one has a block: see tests/meson.build.
 */
#include "table.h"

static unsigned refused; /* the block for buckets with this number, if it is not 0 */
static bool dies_before_it_cuts;

int __real_mpr_heap_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
			    struct mpr_block_ref *ret_ref);
int __wrap_mpr_heap_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
			    struct mpr_block_ref *ret_ref);

int
__wrap_mpr_heap_reserve(mproc_arena *a, struct mpr_self *self, size_t size,
			struct mpr_block_ref *ret_ref)
{
	if (refused && --refused == 0)
		return -ENOMEM;
	return __real_mpr_heap_reserve(a, self, size, ret_ref);
}

int __real_mpr_table_cut(const struct mpr_visit *v, uint64_t bucket, uint64_t n);
int __wrap_mpr_table_cut(const struct mpr_visit *v, uint64_t bucket, uint64_t n);

int
__wrap_mpr_table_cut(const struct mpr_visit *v, uint64_t bucket, uint64_t n)
{
	if (dies_before_it_cuts)
		_exit(0);
	return __real_mpr_table_cut(v, bucket, n);
}

static int
set(struct change *c)
{
	return mproc_dict_set(c->s.d, mproc_int(c->s.keys[c->it]), c->to);
}

/* The first stripe's. */
static uint64_t
cuts_of(struct scene *s)
{
	return visit(s).stripe->cuts;
}

/* How many there are with @n keys: so many that there are two buckets for a key. */
static uint64_t
cuts_with(unsigned n)
{
	return n < 3 ? 0 : (2 * n - 2) / 3;
}

static void
begin_full(void *arg)
{
	struct change *c = arg;
	struct mpr_visit v;

	begin(arg);
	assert_int_equal(cuts_of(&c->s), cuts_with(c->s.n));
	v = visit(&c->s);
	assert_int_not_equal(move_in_next_cut(&v), 0);
}

/* It is the next key for which there are more buckets. */
static void
grown_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct change *c = arg;

	if (finished)
		assert_int_equal(cuts_of(&c->s), cuts_with(c->s.n) + 1);
	change_survivor(arg, victim, n, finished);
}

static void
step_growth(struct mpt *t, const char *name, unsigned n)
{
	struct change c = { .s = { .t = t, .n = n }, .it = n, .op = set,
			    .to = mproc_int(5) };

	c.new_value = &c.to;
	step(&c.s, name, begin_full, change_victim, grown_survivor);
}

static void
killed_while_it_makes_the_directory(void **state)
{
	mpt_watchdog(*state, 120);
	step_growth(*state, "first cut", 2);
}

static void
killed_while_it_adds_buckets(void **state)
{
	mpt_watchdog(*state, 120);
	step_growth(*state, "two keys move", 6);
	step_growth(*state, "four keys move", 29);
}

static int
set_in_want(struct change *c)
{
	int r;

	refused = c->s.n == 2 ? 3 : 2;
	r = set(c);
	/* It has asked, and not again. */
	must_be(refused, 0);
	return r;
}

static void
ungrown_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct change *c = arg;

	assert_int_equal(cuts_of(&c->s), cuts_with(c->s.n));
	change_survivor(arg, victim, n, finished);
}

static void
killed_while_there_is_no_memory_for_buckets(void **state)
{
	struct change c = { .s = { .t = *state, .n = 2 }, .it = 2,
			    .op = set_in_want, .to = mproc_int(5) };

	mpt_watchdog(*state, 120);
	c.new_value = &c.to;
	step(&c.s, "the directory and a block", begin_full, change_victim,
	     ungrown_survivor);
	c.s.n = c.it = 29;
	step(&c.s, "one of three blocks", begin_full, change_victim, ungrown_survivor);
}

/* All is done but that the chain is not cut. */
static void
die_over_growth(void *arg)
{
	dies_before_it_cuts = true;
	may_fail(set(arg));
}

static void
begin_after_growth(void *arg)
{
	struct change *c = arg;

	begin_full(arg);
	wait_for_exit(start(die_over_growth, c));
	assert_int_equal(cuts_of(&c->s), cuts_with(c->s.n) + 1);
}

/* Whoever comes first repairs it. */
static void
look_victim(void *arg)
{
	struct change *c = arg;
	int r;

	mproc_free(mproc_value_new(64, NULL));
	(void)mpr_fault_set("open:1+");
	mpt_step_begin();
	r = mproc_dict_has(c->s.d, mproc_int(c->s.keys[c->it]));
	mpt_step_end();
	must_be(r, 1);
}

static void
repaired_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct change *c = arg;

	(void)victim;
	(void)n;
	(void)finished;
	assert_true(has_value(&c->s, c->it, &c->to));
	expect_others(&c->s, (int)c->it);
	end(&c->s);
}

static void
killed_while_it_cuts_what_another_has_left(void **state)
{
	struct change c = { .s = { .t = *state, .n = 11 }, .it = 11,
			    .to = mproc_int(5) };

	mpt_watchdog(*state, 120);
	step(&c.s, "repair of growth", begin_after_growth, look_victim,
	     repaired_survivor);
}

static void
killed_while_it_destroys_one(void **state)
{
	struct scene s = { .t = *state, .n = 9 };

	mpt_watchdog(*state, 240);
	step(&s, "destroy", begin, destroy_victim, destroy_survivor);
}

static void
clear_victim(void *arg)
{
	struct scene *s = arg;
	int r;

	warm_up(s);
	mpt_step_begin();
	r = mproc_dict_clear(s->d);
	mpt_step_end();
	must_be(r, 0);
}

/* Some keys are gone, and of those that are there nothing is lost; it grows again from
 * whatever buckets it has. */
static void
clear_survivor(void *arg, pid_t victim, unsigned long n, bool finished)
{
	struct scene *s = arg;
	unsigned left = 0;

	(void)victim;
	(void)n;
	for (unsigned i = 0; i < s->n; i++) {
		if (!has_value(s, i, NULL)) {
			assert_true(has_value(s, i, &s->values[i]));
			left++;
		}
	}
	assert_int_equal(mproc_dict_len(s->d), left);
	if (finished) {
		assert_int_equal(left, 0);
		assert_int_equal(cuts_of(s), 0);
		assert_int_equal(visit(s).stripe->directory, 0);
	}
	end(s);
}

static void
killed_while_it_clears_one(void **state)
{
	struct scene s = { .t = *state, .n = 9 };

	mpt_watchdog(*state, 240);
	step(&s, "clear", begin, clear_victim, clear_survivor);
}

/* And blocks of all sizes that there are here. */
static int
setup_buckets(void **state)
{
	struct scene s = { .n = 29 };
	int r = setup(state);

	if (r < 0)
		return r;
	begin(&s);
	mproc_dict_destroy(s.d);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(killed_while_it_makes_the_directory),
		mpt_test(killed_while_it_adds_buckets),
		mpt_test(killed_while_there_is_no_memory_for_buckets),
		mpt_test(killed_while_it_cuts_what_another_has_left),
		mpt_test(killed_while_it_destroys_one),
		mpt_test(killed_while_it_clears_one),
	};

	return cmocka_run_group_tests(tests, setup_buckets, NULL);
}
