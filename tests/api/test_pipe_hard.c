/* SPDX-License-Identifier: MIT */
/*
 * pipe.h: what the end of file is and is not when things go badly.
 */
#include "pipe.h"

static int
wait_in_step(void *arg)
{
	struct mpt *t = arg;
	struct board *b = mpt_scratch(t);

	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

/* Who has sent before is told as often as it asks. */
static void
the_end_of_file_stays(void **state)
{
	struct mpt *t = *state;
	struct board *b = new_board(t);
	mproc_process *p = start_with(t, wait_in_step, &b->b, 1);

	assert_int_equal(mproc_conn_send(b->a, "x", 1, MPROC_NOWAIT), 0);
	kill_and_close(p);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mproc_conn_send(b->a, "x", 1, MPROC_NOWAIT),
				 -EPIPE);
		assert_int_equal(recv_now(b->a), -EPIPE);
	}
	end(t, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(the_end_of_file_stays),
	};

	return cmocka_run_group_tests(tests, with_pipes, NULL);
}
