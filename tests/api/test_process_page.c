/* SPDX-License-Identifier: MIT */
/*
 * process.h: the list of children, and arguments that are copied.
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "process.h"

#define MIB (1u << 20)
#define FAMILY 5

/* In the scratch bytes. */
struct board {
	_Atomic unsigned ready;
};

static int
be_ready_for_ever(void *t)
{
	struct board *b = mpt_scratch(t);

	b->ready++;
	wait_to_be_killed(t);
	return 0;
}

/* Children. */

/* Takes away those that were closed while they ran and have ended since. */
static bool
is_any_child_left(void)
{
	mproc_process *p = start(return_it, NULL);
	siginfo_t info;

	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
	assert_int_equal(mproc_forkserver_stop(), 0);
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void
children_are_counted_and_the_newest_comes_first(void **state)
{
	mproc_process *p[FAMILY], *found[FAMILY + 1];

	assert_int_equal(mproc_children(NULL, 0), 0);
	assert_int_equal(mproc_children(found, 1), 0);
	for (int i = 0; i < FAMILY; i++) {
		p[i] = start(be_ready_for_ever, *state);
		assert_int_equal(mproc_children(NULL, 0), i + 1);
	}
	for (int n = 0; n <= FAMILY + 1; n++) {
		memset(found, 0, sizeof(found));
		assert_int_equal(mproc_children(found, n), FAMILY);
		for (int i = 0; i <= FAMILY; i++)
			assert_ptr_equal(found[i], i < n && i < FAMILY ?
				p[FAMILY - 1 - i] : NULL);
	}
	for (int i = 0; i < FAMILY; i++)
		kill_and_close(p[i]);
	assert_int_equal(mproc_children(found, FAMILY), 0);
}

static void
bad_places_for_children_are_invalid(void **state)
{
	mproc_process *found[1];

	(void)state;
	assert_int_equal(mproc_children(NULL, 1), -EINVAL);
	assert_true(detail_has("ret_ps"));
	assert_int_equal(mproc_children(found, -1), -EINVAL);
	assert_int_equal(mproc_children(NULL, -1), -EINVAL);
	assert_int_equal(mproc_children(found, INT32_MIN), -EINVAL);
}

static void
children_that_have_ended_are_left_out_and_reaped(void **state)
{
	mproc_process *older = start(be_ready_for_ever, *state);
	mproc_process *ended = start(return_it, NULL);
	mproc_process *newer = start(be_ready_for_ever, *state);
	mproc_process *found[3] = { NULL };
	pid_t pid = mproc_process_pid(ended);

	mpt_until(*state, mproc_children(found, 3) == 2);
	assert_ptr_equal(found[0], newer);
	assert_ptr_equal(found[1], older);
	assert_int_equal(mpt_task_state(pid), 0);
	/* What happened can still be asked. */
	assert_int_equal(end_of(ended), 0);
	assert_int_equal(mproc_process_pid(ended), pid);
	mproc_process_close(ended);
	kill_and_close(older);
	assert_int_equal(mproc_children(found, 3), 1);
	assert_ptr_equal(found[0], newer);
	kill_and_close(newer);
}

static int
hold_memory_and_end(void *arg)
{
	return mproc_alloc(100) && !arg ? 0 : 1;
}

static void
what_a_reaped_child_held_is_given_back_when_it_is_joined(void **state)
{
	struct mproc_arena_stat before = stat_now();
	mproc_process *p = start(hold_memory_and_end, NULL);

	mpt_until(*state, mproc_children(NULL, 0) == 0);
	assert_int_equal(end_of(p), 0);
	assert_int_equal(stat_now().participants, before.participants);
	mproc_process_close(p);
}

static void
children_whose_handles_are_closed_are_left_out(void **state)
{
	mproc_process *kept = start(be_ready_for_ever, *state), *found[2];
	mproc_process *closed = start(be_ready_for_ever, *state);
	pid_t pid = mproc_process_pid(closed);

	mproc_process_close(closed);
	assert_int_equal(mproc_children(found, 2), 1);
	assert_ptr_equal(found[0], kept);
	assert_int_equal(kill(pid, SIGKILL), 0);
	kill_and_close(kept);
	assert_int_equal(mproc_children(found, 2), 0);
	mpt_until(*state, !is_any_child_left());
}

static int
count_children_after_a_fork(struct mpt *t, void *arg)
{
	mproc_process *found[2], *p;

	(void)arg;
	mpt_check_int(t, mproc_children(NULL, 0), 0);
	mpt_check_int(t, mproc_children(found, 2), 0);
	/* Those of its own count. */
	mpt_check_int(t, mproc_process_start(&p, be_ready_for_ever, t, NULL), 0);
	mpt_check_int(t, mproc_children(found, 2), 1);
	mpt_check(t, found[0] == p);
	mpt_check_int(t, mproc_process_stop(p, MPROC_NOWAIT), 0);
	mproc_process_close(p);
	return 0;
}

static int
count_children_of_a_child(void *t)
{
	return count_children_after_a_fork(t, NULL);
}

static void
neither_a_parents_children_nor_a_childs_count(void **state)
{
	struct mpt *t = *state;
	mproc_process *p = start(be_ready_for_ever, t), *q;

	mpt_expect_exit(t, mpt_spawn(t, "forked", count_children_after_a_fork,
				     NULL), 0);
	q = start(count_children_of_a_child, t);
	/* While it has a child of its own, and after that. */
	while (mproc_process_is_alive(q))
		assert_in_range(mproc_children(NULL, 0), 1, 2);
	assert_int_equal(end_of(q), 0);
	assert_int_equal(mproc_children(NULL, 0), 1);
	mproc_process_close(q);
	kill_and_close(p);
}

static int
start_and_end_some(struct mpt *t, void *arg)
{
	struct board *b = mpt_scratch(t);
	mproc_process *p;

	(void)arg;
	for (unsigned i = amount(100); i; i--) {
		mpt_check_int(t, mproc_process_start(&p, return_it, NULL,
						     NULL), 0);
		if (i % 2)
			mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER),
				      0);
		mproc_process_close(p);
	}
	b->ready++;
	return 0;
}

static void
children_may_be_counted_while_others_start_some(void **state)
{
	struct mpt *t = *state;
	struct board *b = mpt_scratch(t);

	mpt_use_threads(t, true);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "parent", start_and_end_some, NULL);
	while (b->ready < 3)
		assert_in_range(mproc_children(NULL, 0), 0, 3);
	mpt_join_all(t);
	mpt_until(t, mproc_children(NULL, 0) == 0);
	mpt_until(t, !is_any_child_left());
}

/* Arguments. */

struct given {
	struct mpt *t;
	size_t size;
	unsigned char bytes[64];
};

/* Looks only once the parent has changed what it gave. */
static int
check_given(void *arg)
{
	struct given *g = arg;
	struct given copy = *g;

	mpt_check_int(copy.t, (uintptr_t)arg % _Alignof(max_align_t), 0);
	mpt_reach(copy.t, 1);
	mpt_check(copy.t, memcmp(g, &copy, sizeof(copy)) == 0);
	mpt_check_int(copy.t, copy.size, sizeof(copy));
	for (size_t i = 0; i < sizeof(copy.bytes); i++)
		mpt_check_int(copy.t, copy.bytes[i], i);
	memset(g, 0xee, sizeof(*g)); /* it is ours */
	return 0;
}

static void
fill_given(struct given *g, struct mpt *t)
{
	struct given whole = { .t = t, .size = sizeof(whole) };

	for (size_t i = 0; i < sizeof(whole.bytes); i++)
		whole.bytes[i] = (unsigned char)i;
	/* @g may lie anywhere. */
	memcpy((void *)g, &whole, sizeof(whole));
}

static mproc_process *
start_with(mproc_entry *fn, void *arg, size_t size)
{
	mproc_process *p = NULL;

	assert_int_equal(mproc_process_start(
		&p, fn, arg, MPROC_OPTS(mproc_process_opts, .arg_size = size)),
		0);
	return p;
}

static void
an_argument_is_copied_before_start_returns(void **state)
{
	struct mpt *t = *state;
	struct given *g = malloc(sizeof(*g)), unchanged;
	mproc_process *p;

	fill_given(g, t);
	fill_given(&unchanged, t);
	p = start_with(check_given, g, sizeof(*g));
	assert_memory_equal(g, &unchanged, sizeof(*g));
	memset(g, 0xff, sizeof(*g));
	free(g);
	mpt_step(t, 0);
	assert_int_equal(end_of(p), 0);
	mproc_process_close(p);
}

/* In memory that the child shares, so that it would see the change. */
static void
an_argument_in_shared_memory_is_copied_too(void **state)
{
	struct mpt *t = *state;
	struct given *g = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct given *h = mproc_alloc(sizeof(*h));
	mproc_process *p, *q;

	assert_true(g != MAP_FAILED);
	assert_non_null(h);
	fill_given(g, t);
	fill_given(h, t);
	p = start_with(check_given, g, sizeof(*g));
	q = start_with(check_given, h, sizeof(*h));
	memset(g, 0xff, sizeof(*g));
	munmap(g, 4096);
	memset(h, 0xff, sizeof(*h));
	mproc_free(h);
	mpt_step(t, 0);
	assert_int_equal(end_of(p), 0);
	assert_int_equal(end_of(q), 0);
	mproc_process_close(p);
	mproc_process_close(q);
}

static void
a_copy_is_aligned_whatever_the_original_is(void **state)
{
	struct mpt *t = *state;
	unsigned char room[sizeof(struct given) + 16];
	mproc_process *p[8];

	for (int i = 0; i < 8; i++) {
		fill_given((void *)(room + i), t);
		p[i] = start_with(check_given, room + i, sizeof(struct given));
	}
	mpt_step(t, 0);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(end_of(p[i]), 0);
		mproc_process_close(p[i]);
	}
}

static int
return_the_byte(void *arg)
{
	return *(unsigned char *)arg;
}

static int
check_a_mib(void *arg)
{
	const unsigned *n = arg;

	for (unsigned i = 0; i < MIB / sizeof(*n); i++)
		if (n[i] != i * 2654435761u)
			return 1;
	return 0;
}

static void
an_argument_may_be_small_or_large(void **state)
{
	unsigned *large = malloc(MIB);
	unsigned char byte = 77;
	mproc_process *p, *q;

	(void)state;
	assert_non_null(large);
	for (unsigned i = 0; i < MIB / sizeof(*large); i++)
		large[i] = i * 2654435761u;
	p = start_with(return_the_byte, &byte, 1);
	q = start_with(check_a_mib, large, MIB);
	free(large);
	byte = 0;
	assert_int_equal(end_of(p), 77);
	assert_int_equal(end_of(q), 0);
	mproc_process_close(p);
	mproc_process_close(q);
}

static int
compare_with_itself(void *arg)
{
	return arg == *(void **)arg ? 5 : 6;
}

static void
without_a_size_the_pointer_itself_is_given(void **state)
{
	void **self = mproc_alloc(sizeof(*self));
	mproc_process *p;

	(void)state;
	assert_non_null(self);
	*self = self;
	p = start(compare_with_itself, self);
	assert_int_equal(end_of(p), 5);
	mproc_process_close(p);
	p = start_with(compare_with_itself, self, sizeof(*self));
	assert_int_equal(end_of(p), 6);
	mproc_process_close(p);
	mproc_free(self);
}

/* Sanitizers would end the program for a malloc() that must fail. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *
__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *
__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void
an_impossible_argument_starts_nothing(void **state)
{
	static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 4096,
					SIZE_MAX / 2, SIZE_MAX / 4 };
	unsigned fds = mpt_fd_count();
	mproc_process *p = NULL;
	char c = 0;

	(void)state;
	assert_int_equal(mproc_process_start(
		&p, return_it, NULL,
		MPROC_OPTS(mproc_process_opts, .arg_size = 1)), -EINVAL);
	assert_true(detail_has("arg_size"));
	for (int i = 0; i < 4; i++)
		assert_int_equal(mproc_process_start(
			&p, return_it, &c,
			MPROC_OPTS(mproc_process_opts, .arg_size = sizes[i])),
			-ENOMEM);
	assert_null(p);
	assert_int_equal(mproc_children(NULL, 0), 0);
	assert_int_equal(mpt_fd_count(), fds);
	assert_int_equal(mproc_forkserver_stop(), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(children_are_counted_and_the_newest_comes_first),
		mpt_test(bad_places_for_children_are_invalid),
		mpt_test(children_that_have_ended_are_left_out_and_reaped),
		mpt_test(what_a_reaped_child_held_is_given_back_when_it_is_joined),
		mpt_test(children_whose_handles_are_closed_are_left_out),
		mpt_test(neither_a_parents_children_nor_a_childs_count),
		mpt_test(children_may_be_counted_while_others_start_some),
		mpt_test(an_argument_is_copied_before_start_returns),
		mpt_test(an_argument_in_shared_memory_is_copied_too),
		mpt_test(a_copy_is_aligned_whatever_the_original_is),
		mpt_test(an_argument_may_be_small_or_large),
		mpt_test(without_a_size_the_pointer_itself_is_given),
		mpt_test(an_impossible_argument_starts_nothing),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
