/* SPDX-License-Identifier: MIT */
/*
 * arena.h: the default arena and its heap. What must happen before there is an
 * arena happens in roles, as the tests themselves share one.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common.h"
#include "mpt_rand.h"
#include "mpt_refuse.h"

static void
the_default_arena_is_one_and_stays(void **state)
{
	mproc_arena *a = mproc_arena_default();

	(void)state;
	assert_non_null(a);
	assert_ptr_equal(mproc_arena_default(), a);
	assert_true(stat_now().capacity >= 64 << 20);
}

static int
expect_same_arena(struct mpt *t, void *arg)
{
	mpt_check(t, mproc_arena_default() == arg);
	return 0;
}

static void
threads_and_children_get_the_same_handle(void **state)
{
	struct mpt *t = *state;

	mpt_spawn(t, "child", expect_same_arena, mproc_arena_default());
	mpt_use_threads(t, true);
	mpt_spawn(t, "thread", expect_same_arena, mproc_arena_default());
	mpt_join_all(t);
}

static void
memory_is_zeroed_aligned_and_shared(void **state)
{
	(void)state;
	for (size_t size = 1; size < 3000000; size = size * 3 + 1) {
		unsigned char *p = mproc_alloc(size);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 64, 0);
		assert_true(mproc_is_shared(p));
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, size);
		mproc_free(p);
	}
}

static void
private_memory_is_not_shared(void **state)
{
	static int variable;
	void *heap = malloc(10);

	(void)state;
	assert_false(mproc_is_shared(NULL));
	assert_false(mproc_is_shared(&state));
	assert_false(mproc_is_shared(&variable));
	assert_false(mproc_is_shared(heap));
	assert_false(mproc_is_shared((void *)UINTPTR_MAX));
	free(heap);
}

static void
impossible_sizes_are_refused(void **state)
{
	(void)state;
	errno = 0;
	assert_null(mproc_alloc(0));
	assert_int_equal(errno, EINVAL);
	assert_null(mproc_alloc(SIZE_MAX));
	assert_int_equal(errno, ENOMEM);
	assert_true(detail_has("18446744073709551615"));
	assert_null(mproc_alloc((size_t)stat_now().capacity + 1));
	assert_int_equal(errno, ENOMEM);
}

static void
count_error(void *ctx, int level, const char *text)
{
	(void)text;
	*(int *)ctx += level == MPROC_LOG_ERROR;
}

static void
a_wrong_free_is_logged_and_does_nothing(void **state)
{
	unsigned char *p = mproc_alloc(100), *q = mproc_alloc(100);
	struct mproc_arena_stat before;
	int errors = 0, local;

	(void)state;
	memset(q, 0x5a, 100);
	mproc_free(p);
	before = stat_now();
	mproc_log_set(MPROC_LOG_ERROR, count_error, &errors);
	mproc_free(p);
	mproc_free(q + 1);
	mproc_free(&local);
	assert_int_equal(errors, 3);
	mproc_free(NULL); /* is right */
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	assert_int_equal(errors, 3);
	expect_stat(&before);
	for (int i = 0; i < 100; i++)
		assert_int_equal(q[i], 0x5a);
	mproc_free(q);
}

struct pair {
	unsigned char *p;
	unsigned char *q;
};

static int
use_parents_memory(struct mpt *t, void *arg)
{
	struct pair *pair = arg;

	mpt_check(t, mproc_is_shared(pair) && mproc_is_shared(pair->p));
	mpt_check_int(t, pair->p[0], 17);
	pair->q = mproc_alloc(64);
	mpt_check(t, pair->q);
	pair->q[0] = 18;
	mproc_free(pair->p);
	return 0;
}

static void
pointers_are_good_in_every_process_of_the_family(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before = stat_now();
	struct pair *pair = mproc_alloc(sizeof(*pair));

	pair->p = mproc_alloc(64);
	pair->p[0] = 17;
	mpt_expect_exit(t, mpt_spawn(t, "child", use_parents_memory, pair), 0);
	/* The child is gone, what it allocated is not. */
	assert_int_equal(pair->q[0], 18);
	mproc_free(pair->q);
	mproc_free(pair);
	expect_stat(&before);
}

static void
the_stat_counts_what_is_allocated(void **state)
{
	struct mproc_arena_stat before = stat_now(), now;
	void *p = mproc_alloc(1000), *large = mproc_alloc(5 << 20);
	mproc_queue *q;

	(void)state;
	now = stat_now();
	assert_int_equal(now.blocks, before.blocks + 2);
	assert_in_range(now.used - before.used, 1000 + (5 << 20), 6 << 20);
	assert_true(now.backed >= now.used);
	assert_true(now.backed <= now.capacity);
	assert_int_equal(now.participants, before.participants);
	assert_int_equal(mproc_queue_create(&q, NULL), 0);
	assert_int_equal(stat_now().queues, before.queues + 1);
	mproc_queue_destroy(q);
	mproc_free(p);
	mproc_free(large);
	expect_stat(&before);
	if (!mpt_without("remove"))
		assert_true(stat_now().backed <= now.backed - (5 << 20));
	assert_int_equal(mproc_arena_stat(NULL, NULL), -EINVAL);
	assert_int_equal(mproc_arena_stat(mproc_arena_default(), &now), 0);
}

static int
allocate_and_free(struct mpt *t, void *arg)
{
	struct mpt_rand r;

	mpt_rand_init(&r, (uintptr_t)arg);
	for (int i = 0; i < 20; i++) {
		size_t size = 1 + (size_t)mpt_rand_below(&r, 20000);
		unsigned char *p = mproc_alloc(size);

		mpt_check(t, p);
		memset(p, (int)(uintptr_t)arg, size);
		mpt_check_int(t, p[size / 2], (unsigned char)(uintptr_t)arg);
		mproc_free(p);
	}
	return 0;
}

static void
many_children_allocate_and_leave_nothing(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before = stat_now();

	for (uintptr_t i = 0; i < 100; i++)
		mpt_spawn(t, "child", allocate_and_free, (void *)i);
	mpt_join_all(t);
	expect_stat(&before);
}

static int
join_and_wait(struct mpt *t, void *arg)
{
	mproc_free(mproc_alloc(1));
	mpt_step(t, (unsigned)(uintptr_t)arg);
	wait_to_be_killed(t);
	return 0;
}

static void
recover_counts_who_died(void **state)
{
	struct mpt *t = *state;
	struct mproc_arena_stat before = stat_now();
	int ids[5];

	for (uintptr_t i = 0; i < 5; i++)
		ids[i] = mpt_spawn(t, "victim", join_and_wait, (void *)i);
	mpt_reach(t, 5);
	assert_int_equal(stat_now().participants, before.participants + 5);
	assert_int_equal(mproc_arena_recover(NULL), 0);
	mpt_kill(t, ids[0]);
	mpt_kill_unreaped(t, ids[1]);
	mpt_pause(t, ids[2]);
	assert_int_equal(mproc_arena_recover(mproc_arena_default()), 2);
	assert_int_equal(stat_now().participants, before.participants + 3);
	mpt_resume(t, ids[2]);
	for (int i = 2; i < 5; i++)
		mpt_kill(t, ids[i]);
	assert_int_equal(mproc_arena_recover(NULL), 3);
	expect_stat(&before);
}

/*
 * Roles that make an arena of their own: an exec'ed instance of this program
 * belongs to no family yet.
 */
static int
run_self(struct mpt *t, void *arg)
{
	(void)t;
	execl("/proc/self/exe", "self", arg, (char *)NULL);
	return 127;
}

static void
expect_instance(void **state, char *name)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, name, run_self, name), 0);
}

#define CHECK(cond)                                                           \
	do {                                                                  \
		if (!(cond)) {                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,    \
				#cond);                                       \
			return 1;                                             \
		}                                                             \
	} while (0)

static int
instance_limited_file_size(void)
{
	struct rlimit limit = { 1 << 20, RLIM_INFINITY };
	mproc_queue *q;

	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	errno = 0;
	CHECK(mproc_arena_default() == NULL && errno == EFBIG);
	CHECK(detail_has("RLIMIT_FSIZE"));
	errno = 0;
	CHECK(mproc_alloc(10) == NULL && errno == EFBIG);
	CHECK(mproc_queue_create(&q, NULL) == -EFBIG);
	CHECK(mproc_arena_recover(NULL) == -EFBIG);
	/* It is no lasting failure. */
	limit.rlim_cur = 100 << 20;
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK(mproc_arena_default() != NULL);
	CHECK(stat_now().capacity == 64 << 20);
	return 0;
}

static int
instance_without_descriptors(void)
{
	struct rlimit limit, none = { 0, 0 };
	mproc_queue *q;

	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	none.rlim_max = limit.rlim_max;
	/* None at all, then one, which is one too few. */
	for (none.rlim_cur = 0; none.rlim_cur < 4; none.rlim_cur += 3) {
		CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
		errno = 0;
		CHECK(mproc_arena_default() == NULL && errno == EMFILE);
		CHECK(mproc_queue_create(&q, NULL) == -EMFILE);
		CHECK(mproc_alloc(1) == NULL && errno == EMFILE);
	}
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK(mproc_arena_default() != NULL);
	return 0;
}

/* More than the whole arena, a piece at a time. */
static int
instance_full_arena(void)
{
	struct rlimit limit = { 64 << 20, RLIM_INFINITY };
	static void *p[200];
	int n = 0;

	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK(mproc_arena_default() != NULL);
	CHECK(stat_now().capacity == 64 << 20);
	while (n < 200 && (p[n] = mproc_alloc(1 << 20)))
		n++;
	CHECK(n > 50 && n < 64);
	CHECK(errno == ENOMEM || errno == ENOSPC);
	CHECK(mproc_error_detail()[0]);
	CHECK(mproc_alloc(2 << 20) == NULL);
	mproc_free(p[10]);
	mproc_free(p[11]);
	p[10] = mproc_alloc(2 << 20);
	CHECK(p[10] != NULL);
	CHECK(mproc_alloc(1 << 20) == NULL);
	p[11] = NULL;
	while (n)
		mproc_free(p[--n]);
	CHECK(stat_now().blocks == 0);
	return 0;
}

static int
instance_first_use_in_child(void)
{
	int status = 0, fds[2];
	void *p = NULL;
	pid_t pid;

	/* No arena yet: the child's is its own. */
	CHECK(!mproc_is_shared(&status));
	CHECK(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		p = mproc_alloc(100);
		_exit(!p || write(fds[1], &p, sizeof(p)) != sizeof(p));
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(read(fds[0], &p, sizeof(p)) == sizeof(p));
	CHECK(!mproc_is_shared(p));
	CHECK(mproc_arena_default() != NULL);
	CHECK(stat_now().blocks == 0);
	return 0;
}

static int
instance_closed_descriptors(void)
{
	char *p = mproc_alloc(100), *large;
	mproc_queue *q;

	CHECK(p);
	closefrom(3);
	/* Who joined before goes on, on memory that is there and on new. */
	p[0] = 1;
	large = mproc_alloc(3 << 20);
	CHECK(large);
	memset(large, 1, 3 << 20);
	CHECK(mproc_queue_create(&q, NULL) == 0);
	CHECK(mproc_queue_put(q, "x", 1, MPROC_NOWAIT) == 0);
	CHECK(mproc_queue_get(q, p, 1, NULL, MPROC_NOWAIT) == 0);
	mproc_queue_destroy(q);
	mproc_free(large);
	/* And closes nobody else's. */
	CHECK(open("/dev/null", O_RDONLY) == 3);
	CHECK(mproc_arena_recover(NULL) == 0);
	mproc_free(p);
	CHECK(fcntl(3, F_GETFD) >= 0);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(void);
} instances[] = {
	{ "file-size", instance_limited_file_size },
	{ "no-descriptors", instance_without_descriptors },
	{ "full", instance_full_arena },
	{ "in-child", instance_first_use_in_child },
	{ "closed", instance_closed_descriptors },
};

static void
a_file_size_limit_is_an_error_and_no_signal(void **state)
{
	expect_instance(state, (char[]){ "file-size" });
}

static void
a_lack_of_descriptors_is_an_error(void **state)
{
	expect_instance(state, (char[]){ "no-descriptors" });
}

static void
a_full_arena_refuses_and_recovers(void **state)
{
	expect_instance(state, (char[]){ "full" });
}

static void
an_arena_first_used_in_a_child_is_the_childs(void **state)
{
	expect_instance(state, (char[]){ "in-child" });
}

static void
an_arena_whose_descriptors_were_closed_goes_on(void **state)
{
	expect_instance(state, (char[]){ "closed" });
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(the_default_arena_is_one_and_stays),
		mpt_test(threads_and_children_get_the_same_handle),
		mpt_test(memory_is_zeroed_aligned_and_shared),
		mpt_test(private_memory_is_not_shared),
		mpt_test(impossible_sizes_are_refused),
		mpt_test(a_wrong_free_is_logged_and_does_nothing),
		mpt_test(pointers_are_good_in_every_process_of_the_family),
		mpt_test(the_stat_counts_what_is_allocated),
		mpt_test(many_children_allocate_and_leave_nothing),
		mpt_test(recover_counts_who_died),
		mpt_test(a_file_size_limit_is_an_error_and_no_signal),
		mpt_test(a_lack_of_descriptors_is_an_error),
		mpt_test(a_full_arena_refuses_and_recovers),
		mpt_test(an_arena_first_used_in_a_child_is_the_childs),
		mpt_test(an_arena_whose_descriptors_were_closed_goes_on),
	};

	if (argc > 1) {
		for (size_t i = 0; i < sizeof(instances) / sizeof(instances[0]);
		     i++)
			if (strcmp(argv[1], instances[i].name) == 0)
				return instances[i].run();
		return 126;
	}
	return cmocka_run_group_tests(tests, with_arena, NULL);
}
