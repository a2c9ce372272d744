/* SPDX-License-Identifier: MIT */
/*
 * arena.h and queue.h: daemons, which fork, lose their parent, and give their
 * standard descriptors away, or never had any.
 */
#include <fcntl.h>

#include "family.h"

/* daemon(3) forks, and the parent ends. The variants say whether the standard
 * descriptors and the directory stay. */
static int
become_a_daemon(struct mpt *t, void *arg)
{
	unsigned variant = (unsigned)(uintptr_t)arg;
	struct board *b = mpt_scratch(t);
	pid_t session = getsid(0);

	hold_all(t);
	mpt_check_int(t, daemon(variant & 1, variant & 2), 0);
	mpt_check(t, getsid(0) != session);
	mpt_step(t, 2 * variant);
	mpt_reach(t, 2 * variant + 2);
	hold_all(t);
	mproc_free(b->block);
	b->block = mproc_alloc(100);
	mpt_check(t, b->block);
	return 0;
}

static void
a_daemon_goes_on_in_the_family(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);
	int id;

	begin(t);
	b->block = mproc_alloc(100);
	for (unsigned variant = 0; variant < 4; variant++) {
		id = mpt_spawn(t, "daemon", become_a_daemon,
			       (void *)(uintptr_t)variant);
		mpt_expect_exit(t, id, 0);
		mpt_reach(t, 2 * variant + 1);
		assert_int_equal(mproc_arena_recover(NULL), 1);
		mpt_step(t, 2 * variant + 1);
		assert_int_equal(mpt_reap_orphans(t), 1);
		assert_int_equal(mproc_arena_recover(NULL), 1);
	}
	mproc_free(b->block);
	b->blocks--;
	expect_all_given_back(t);
}

static void *
put_a_pointer(void *q)
{
	return mproc_queue_put(q, &q, sizeof(q), MPROC_NOWAIT) == 0 ? q : NULL;
}

/*
 * A program without standard descriptors, as some daemons are: whatever it
 * opens there, or writes there, is no file of the arena's. Returns 0 if so.
 */
static int
live_without_standard_descriptors(void)
{
	mproc_queue *q, *got = NULL;
	pthread_t thread;
	void *result;

	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	if (mproc_queue_create(&q, NULL) < 0)
		return 1;
	for (int fd = 0; fd < 3; fd++)
		if (write(fd, "stray bytes", 11) >= 0 || errno != EBADF)
			return 2;
	/* As daemon() would. */
	if (open("/dev/null", O_RDWR) != 0 || dup2(0, 1) != 1 ||
	    dup2(0, 2) != 2)
		return 3;
	if (pthread_create(&thread, NULL, put_a_pointer, q) ||
	    pthread_join(thread, &result) || result != q)
		return 4;
	if (mproc_queue_get(q, &got, sizeof(got), NULL, MPROC_NOWAIT) < 0)
		return 5;
	return got == q ? 0 : 6;
}

static int
run_without_standard_descriptors(struct mpt *t, void *arg)
{
	(void)t;
	(void)arg;
	execl("/proc/self/exe", "self", "bare", (char *)NULL);
	return 127;
}

static void
a_program_without_standard_descriptors_does_not_overwrite_it(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "bare",
				     run_without_standard_descriptors, NULL),
			0);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_daemon_goes_on_in_the_family),
		mpt_test(
		 a_program_without_standard_descriptors_does_not_overwrite_it),
	};

	if (argc > 1 && strcmp(argv[1], "bare") == 0)
		return live_without_standard_descriptors();
	return cmocka_run_group_tests(tests, with_arena, NULL);
}
