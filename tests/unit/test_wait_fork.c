/* SPDX-License-Identifier: MIT */
/*
 * Waitsets in a child that another thread has forked while one was being changed: it
 * can be closed there.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "common.h"

#define MANY 40 /* it grows */

void __real_free(void *p);
void __wrap_free(void *p);

static mproc_waitset *forked;
static unsigned children, failed;

/* As if another thread had forked just after that. What is freed is another one's. */
void
__wrap_free(void *p)
{
	mproc_waitset *w = forked;
	int status;
	pid_t pid;

	if (!w || !p) {
		__real_free(p);
		return;
	}
	forked = NULL;
	memset(p, 0x5a, 8 * sizeof(void *));
	__real_free(p);
	pid = fork();
	if (pid == 0) {
		mproc_waitset_close(w);
		_exit(0);
	}
	children++;
	failed += waitpid(pid, &status, 0) != pid || status != 0;
	forked = w;
}

static void
a_child_closes_one_that_was_growing(void **state)
{
	mproc_waitset *w;
	int ends[2], fds[MANY];

	(void)state;
	assert_int_equal(mproc_waitset_create(&w), 0);
	for (int i = 0; i < MANY; i++) {
		struct mproc_waitable item = { .kind = MPROC_WAIT_FD,
					       .events = POLLIN };

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		close(ends[1]);
		item.fd = fds[i] = ends[0];
		forked = w;
		assert_int_equal(mproc_waitset_add(w, &item), 0);
		forked = NULL;
	}
	assert_true(children > 0);
	assert_int_equal(failed, 0);
	mproc_waitset_close(w);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_child_closes_one_that_was_growing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
