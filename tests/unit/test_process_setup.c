/* SPDX-License-Identifier: MIT */
/*
 * process/setup.h: what the parent makes of the word of a child, which may say
 * anything. What the options do is tested in api/process_options.
 */
#include <errno.h>

#include <mproc/mproc.h>

#include "common.h"
#include "mpt_rand.h"
#include "process/setup.h"

static const struct mproc_process_opts nothing = { .method = MPROC_FORK };

/* Exit code 0 if it is as expected. */
static int
fail_in_a_role(struct mpt *t, void *arg)
{
	const struct mproc_process_opts o = { .cwd = "/nowhere" };
	uint64_t word = mpr_setup_apply(&o, -1);

	(void)arg;
	mpt_check(t, word != 0);
	mpt_check_int(t, mpr_setup_result(word, &o), -ENOENT);
	mpt_check(t, strstr(mproc_error_detail(), "\"/nowhere\""));
	/* The parent may have said nothing of the kind. */
	mpt_check_int(t, mpr_setup_result(word, &nothing), -ENOENT);
	mpt_check(t, strstr(mproc_error_detail(), "cwd"));
	return 0;
}

static void
a_failure_is_told_by_its_word(void **state)
{
	mpt_expect_exit(*state, mpt_spawn(*state, "child", fail_in_a_role,
					  NULL), 0);
}

static int
succeed_in_a_role(struct mpt *t, void *arg)
{
	const struct mproc_process_opts o = { .cwd = "/" };
	uint64_t word = mpr_setup_apply(&o, -1);

	(void)arg;
	mpt_check(t, word != 0);
	mpt_check_int(t, mpr_setup_result(word, &o), 0);
	return 0;
}

static void
success_has_a_word_too(void **state)
{
	mpt_expect_exit(*state, mpt_spawn(*state, "child", succeed_in_a_role,
					  NULL), 0);
}

static void
no_options_need_no_setup(void **state)
{
	static const struct mproc_process_opts others = {
		.name = "name", .arg_size = 7, .method = MPROC_FORK,
		.daemon = true, .outlive_parent = true,
	};

	(void)state;
	assert_false(mpr_setup_is_needed(&nothing));
	assert_false(mpr_setup_is_needed(&others));
	assert_int_equal(mpr_setup_check(&nothing), 0);
}

/* Every word has an error of the kernel's with a text, or is found out. */
static void
any_word_makes_some_sense(void **state)
{
	unsigned sense = 0, nonsense = 0;
	struct mpt_rand rand;
	uint64_t word;
	int r;

	(void)state;
	mpt_rand_init(&rand, mpt_seed());
	for (int i = 0; i < 100000; i++) {
		/* All bits, and those that would be a small step and error. */
		word = mpt_rand_next(&rand);
		if (i % 2)
			word &= UINT64_C(0x800f0fffffffffff);
		r = mpr_setup_result(word, &nothing);
		assert_true(r <= 0 && r >= -4095);
		sense += r != 0 && r != -EBADMSG;
		nonsense += r == -EBADMSG;
		if (r < 0)
			assert_true(strlen(mproc_error_detail()) > 10);
	}
	assert_true(sense > 1000 && nonsense > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_failure_is_told_by_its_word),
		mpt_test(success_has_a_word_too),
		mpt_test(no_options_need_no_setup),
		mpt_test(any_word_makes_some_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
