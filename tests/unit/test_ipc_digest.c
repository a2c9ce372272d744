/* SPDX-License-Identifier: MIT */
/*
 * How long two codes take to be compared says nothing of where they differ: it is the
 * same number of instructions.
 */
#include "common.h"
#include "ipc/digest.h"
#include "puppet.h"

/* In the scratch bytes. */
struct codes {
	unsigned char a[MPR_DIGEST_MAX], b[MPR_DIGEST_MAX];
	bool equal;
};

static void
compare(struct mpt *t, void *arg)
{
	struct codes *codes = arg;

	mpt_check_int(t, mpr_digest_get_ready(), 0);
	/* The first time it may be looked for. */
	codes->equal = mpr_digest_equal(codes->a, codes->a, MPR_DIGEST_MAX);
	puppet_halt();
	codes->equal = mpr_digest_equal(codes->a, codes->b, MPR_DIGEST_MAX);
	puppet_halt();
}

/* Of codes that differ at byte @at, or nowhere. */
static unsigned long
cost_of(struct mpt *t, int at)
{
	struct codes *codes = mpt_scratch(t);
	unsigned long moves;
	pid_t pid;

	memset(codes, 0x5a, sizeof(*codes));
	if (at >= 0)
		codes->b[at] ^= 1;
	pid = puppet_start(t, compare, codes);
	moves = puppet_count(t, pid);
	puppet_kill(pid);
	assert_int_equal(codes->equal, at < 0);
	return moves;
}

static void
it_takes_as_long_wherever_they_differ(void **state)
{
	unsigned long equal = cost_of(*state, -1);

	for (int at = 0; at < MPR_DIGEST_MAX; at++)
		assert_int_equal(cost_of(*state, at), equal);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_takes_as_long_wherever_they_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
