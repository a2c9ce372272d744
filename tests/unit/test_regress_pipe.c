/* SPDX-License-Identifier: MIT */
/*
 * Defects that pipes once had. Each test brings about by force what needed bad
 * luck then.
 */
#include <errno.h>

#include <mproc/mproc.h>

#include "common.h"
#include "ipc/pipe_shm.h"

static struct mpr_pipe *
pipe_of(mproc_conn *c)
{
	struct mpr_pipe *pipe = NULL;
	mproc_arena *a;
	unsigned side;

	assert_int_equal(mpr_pipe_of(c, &a, &pipe, &side), 0);
	return pipe;
}

/* A hold that ends has the same word each time that a process closes an end at the
 * same place. Who was stopped before it frees the word frees a later one, of a later
 * pipe, about which nothing was done; and who was to do it is killed. */
static void
a_pipe_without_holders_goes(void **state)
{
	mproc_conn *a = NULL, *b = NULL;
	struct mpr_pipe *pipe;

	(void)state;
	assert_int_equal(mproc_pipe(&a, &b, NULL), 0);
	pipe = pipe_of(a);
	for (unsigned side = 0; side < 2; side++)
		for (int i = 0; i < MPR_HOLDS_FIRST; i++)
			atomic_store(&pipe->end[side].holds.word[i], 0);
	assert_int_equal(mproc_arena_recover(NULL), 0);
	assert_int_equal(mpr_owner_state(atomic_load(&pipe->state)),
			 MPR_PIPE_FREE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_pipe_without_holders_goes),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
