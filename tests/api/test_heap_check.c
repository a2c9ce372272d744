/* SPDX-License-Identifier: MIT */
/*
 * MPROC_HEAP_CHECK, and what is said of addresses that are no block. The mode is
 * for a process from its beginning, so most of this happens in instances of this
 * program that are started with it.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common.h"
#include "mpt_rand.h"

#define MIB ((size_t)1 << 20)

/* What was logged last, and how often. */
static char text[512];
static _Atomic int lines;

static void
remember(void *ctx, int level, const char *line)
{
	(void)ctx;
	if (level != MPROC_LOG_ERROR)
		return;
	snprintf(text, sizeof(text), "%s", line);
	lines++;
}

static void
listen(void)
{
	text[0] = '\0';
	lines = 0;
	mproc_log_set(MPROC_LOG_ERROR, remember, NULL);
}

#define CHECK(cond)                                                           \
	do {                                                                  \
		if (!(cond)) {                                                \
			fprintf(stderr, "%s:%d: %s (%d lines, \"%s\")\n",     \
				__FILE__, __LINE__, #cond, lines, text);      \
			return 1;                                             \
		}                                                             \
	} while (0)

/* There was one line since listen(), with each of that and our ids in it. */
static bool
was_told(const char *what, const char *more)
{
	char ids[64];

	snprintf(ids, sizeof(ids), "process %d, thread %d", (int)getpid(),
		 (int)syscall(SYS_gettid));
	return lines == 1 && strstr(text, what) && strstr(text, more) &&
	       strstr(text, ids);
}

static const size_t sizes[] = { 1,    47,   48,	    63,	     64,  65, 100, 4096,
				5000, 70000, 1044464, 1044480, MIB, MIB - 5,
				3 * MIB + 5 };

#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

static char *
bytes(size_t size)
{
	static char s[64];

	snprintf(s, sizeof(s), ": %zu bytes, allocated", size);
	return s;
}

/* Nothing is said of who writes all that he has, and no more. */
static int
instance_no_false_alarm(void)
{
	listen();
	for (size_t i = 0; i < N_SIZES; i++)
		for (size_t k = 0; k < N_SIZES; k++) {
			char *p = mproc_alloc(sizes[i]), *array;

			memset(p, 0xff, sizes[i]);
			p = mproc_realloc(p, sizes[k]);
			CHECK(p);
			memset(p, 0xff, sizes[k]);
			CHECK(mproc_arena_recover(NULL) >= 0);
			mproc_free(p);
			p = mproc_arena_alloc(NULL, sizes[i], 4096);
			memset(p, 0xff, sizes[i]);
			mproc_free(p);
			array = mproc_array(char, sizes[k]);
			CHECK(array && mproc_array_len(array) == sizes[k]);
			memset(array, 0xff, sizes[k]);
			CHECK(mproc_lock_acquire(mproc_lock_of(array),
						 MPROC_NOWAIT) == 0);
			CHECK(mproc_lock_release(mproc_lock_of(array)) == 0);
			mproc_free(array);
		}
	CHECK(lines == 0);
	CHECK(stat_now().blocks == 0);
	return 0;
}

static int
instance_overflow(void)
{
	for (size_t i = 0; i < N_SIZES; i++) {
		size_t size = sizes[i];
		char *p = mproc_alloc(size), first[64];

		/* The end of a string, as it happens. */
		p[size] = '\0';
		snprintf(first, sizeof(first),
			 ": 1 bytes behind its end were written, the first at "
			 "byte %zu: ", size);
		listen();
		CHECK(mproc_arena_recover(NULL) >= 0);
		CHECK(was_told("mproc_arena_recover(", bytes(size)));
		CHECK(strstr(text, first));
		listen();
		mproc_free(p);
		CHECK(was_told("mproc_free(", bytes(size)));
		/* It is free all the same. */
		CHECK(stat_now().blocks == 0);

		p = mproc_alloc(size);
		p[size + 15] = '\0';
		p[size + 7] = '\0';
		listen();
		p = mproc_realloc(p, size + 1);
		CHECK(was_told("mproc_realloc(", bytes(size)));
		CHECK(strstr(text, ": 2 bytes behind"));
		/* The new one has its own. */
		listen();
		CHECK(mproc_arena_recover(NULL) >= 0);
		CHECK(lines == 0);
		p[size + 1] = 1;
		mproc_free(p);
		CHECK(was_told("mproc_free(", bytes(size + 1)));
	}
	return 0;
}

static int
instance_array(void)
{
	for (size_t i = 0; i < N_SIZES; i++) {
		unsigned char *array = mproc_array(unsigned char, sizes[i]);

		array[sizes[i]] = 1;
		/* It is an array yet: the lock is not where one comes first. */
		CHECK(mproc_array_len(array) == sizes[i]);
		listen();
		mproc_free(array);
		CHECK(was_told("mproc_free(", bytes(sizes[i])));
	}
	CHECK(stat_now().blocks == 0);
	return 0;
}

static unsigned char *
resize_to_and_fro(unsigned char *p)
{
	for (size_t size = 600; size < 750; size += 50)
		p = mproc_realloc(p, size);
	return mproc_realloc(p, 601);
}

/* Who changes the size of a block where it is, while others look: one that frees it
 * each time, and one that does not, so that it is soon just as it was. */
static int
instance_resizing(void)
{
	unsigned n = amount(3000);
	unsigned char *kept;
	pid_t pids[2];
	int status;

	mproc_free(mproc_alloc(1));
	listen();
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		CHECK(pids[i] >= 0);
		if (pids[i])
			continue;
		kept = mproc_alloc(600);
		for (unsigned k = 0; k < n; k++) {
			if (i)
				kept = resize_to_and_fro(kept);
			else
				mproc_free(resize_to_and_fro(mproc_alloc(600)));
		}
		mproc_free(kept);
		_exit(lines != 0);
	}
	for (int i = 0; i < 2; i++) {
		while (waitpid(pids[i], &status, WNOHANG) == 0)
			CHECK(mproc_arena_recover(NULL) >= 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	CHECK(lines == 0);
	return 0;
}

static int
instance_silent(void)
{
	char *p = mproc_alloc(64);

	p[64] = 1;
	mproc_free(p);
	return 0;
}

/* In the arena whose name is given: a block that is broken by a process that
 * checks, and is freed by one that does not. */
static int
instance_named(void)
{
	mproc_arena *a;
	char *p;

	CHECK(mproc_arena_open(&a, getenv("NAME"), MPROC_NOWAIT) == 0);
	p = mproc_arena_alloc(a, 77, 0);
	CHECK(p && mproc_arena_bind(a, "it", p) == 0);
	p[80] = 1;
	mproc_arena_close(a);
	return 0;
}

/*
 * Addresses that are no block, with the checking mode or without.
 */
static int
instance_explain(void)
{
	char *p = mproc_alloc(100), *large = mproc_alloc(2 * MIB);
	char *freed = mproc_alloc(90), *private = malloc(100);
	int *value = mproc_value(int, 5);
	mproc_lock *lock;

	mproc_free(freed);
	listen();
	mproc_free(freed);
	CHECK(was_told("no block is allocated there; what was freed had",
		       "90 bytes, allocated"));
	mproc_free(value);
	listen();
	mproc_free(value);
	CHECK(was_told("no block is allocated there; what was freed had",
		       "4 bytes, allocated"));
	listen();
	mproc_free(p + 36);
	CHECK(was_told("that is byte 36 of a block of", "100 bytes, allocated"));
	listen();
	mproc_free(large + MIB + 3);
	CHECK(was_told("that is byte 1048579 of a block of",
		       "2097152 bytes, allocated"));
	listen();
	mproc_free(private);
	CHECK(lines == 1 && strstr(text, "that is not shared memory"));
	CHECK(mproc_lock_create(&lock) == 0);
	listen();
	mproc_free(lock);
	CHECK(lines == 1 && (strstr(text, "belongs to libmproc")));
	mproc_free(large);
	listen();
	mproc_free(large);
	CHECK(lines == 1 && strstr(text, "no block is allocated there"));
	listen();
	mproc_free(p - ((uintptr_t)p & (MIB - 1)));
	CHECK(lines == 1 && strstr(text, "no block is allocated there"));
	listen();
	mproc_free((void *)(uintptr_t)8);
	CHECK(lines == 1 && strstr(text, "that is not shared memory"));
	listen();
	mproc_free(p);
	mproc_lock_destroy(lock);
	free(private);
	CHECK(lines == 0);
	return 0;
}

static uint64_t
backed(void)
{
	struct mproc_arena_stat stat;

	return mproc_arena_stat(NULL, &stat) < 0 ? 0 : stat.backed;
}

/* A block whose owner frees it while another one looks for broken guards. */
static int
instance_going(void)
{
	char *p = mproc_alloc(MIB + 1);
	uint64_t before;

	CHECK(p && madvise(p + MIB + 4096, MIB - 4096, MADV_REMOVE) == 0);
	before = backed();
	listen();
	CHECK(mproc_arena_recover(NULL) >= 0);
	CHECK(lines == 1 && backed() == before);
	mproc_free(p);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(void);
} instances[] = {
	{ "no-false-alarm", instance_no_false_alarm },
	{ "overflow", instance_overflow },
	{ "array", instance_array },
	{ "resizing", instance_resizing },
	{ "silent", instance_silent },
	{ "named", instance_named },
	{ "explain", instance_explain },
	{ "going", instance_going },
};

struct start {
	const char *name;
	const char *check; /* NULL: not set */
	const char *log;
	int out; /* standard error; 0: as it is */
};

static void
set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static int
run_self(struct mpt *t, void *arg)
{
	const struct start *s = arg;

	(void)t;
	set("MPROC_HEAP_CHECK", s->check);
	set("MPROC_LOG", s->log);
	if (s->out && dup2(s->out, 2) < 0)
		return 126;
	execl("/proc/self/exe", "self", s->name, (char *)NULL);
	return 127;
}

static void
expect_instance(void **state, struct start s)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, s.name, run_self, &s), 0);
}

static void
who_keeps_to_his_bytes_hears_nothing(void **state)
{
	expect_instance(state, (struct start){ .name = "no-false-alarm",
					       .check = "1" });
}

static void
who_writes_behind_the_end_is_told_whose_and_where(void **state)
{
	expect_instance(state, (struct start){ .name = "overflow",
					       .check = "1" });
}

static void
an_array_has_a_guard_before_its_lock(void **state)
{
	expect_instance(state, (struct start){ .name = "array",
					       .check = "1" });
}

static void
a_block_that_changes_its_size_is_not_taken_for_broken(void **state)
{
	expect_instance(state, (struct start){ .name = "resizing",
					       .check = "1" });
}

static void
memory_that_has_gone_is_not_brought_back(void **state)
{
	expect_instance(state, (struct start){ .name = "going", .check = "1" });
}

static void
an_address_that_is_no_block_is_explained(void **state)
{
	expect_instance(state, (struct start){ .name = "explain",
					       .check = "1" });
	expect_instance(state, (struct start){ .name = "explain" });
}

/* What an instance that writes behind an end prints, unless a function listens. */
static bool
prints(void **state, const char *check, const char *log)
{
	char line[512] = { 0 };
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	expect_instance(state, (struct start){ "silent", check, log, fds[1] });
	close(fds[1]);
	n = read(fds[0], line, sizeof(line) - 1);
	assert_true(n >= 0);
	close(fds[0]);
	if (n > 0)
		assert_non_null(strstr(line, "1 bytes behind its end"));
	return n > 0;
}

static void
it_is_printed_unless_the_log_says_otherwise(void **state)
{
	assert_true(prints(state, "1", NULL));
	assert_true(prints(state, "1", "error"));
	assert_false(prints(state, "1", "off"));
	assert_false(prints(state, "0", "error"));
	assert_false(prints(state, "", NULL));
	assert_false(prints(state, NULL, "error"));
}

static void
a_process_that_does_not_check_finds_a_broken_guard(void **state)
{
	char name[64];
	mproc_arena *a;
	void *p;

	snprintf(name, sizeof(name), "mpt-%d-check", (int)getpid());
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(mproc_arena_opts,
							   .name = name)), 0);
	setenv("NAME", name, 1);
	expect_instance(state, (struct start){ .name = "named",
					       .check = "1" });
	unsetenv("NAME");
	assert_int_equal(mproc_arena_unlink(name), 0);
	assert_int_equal(mproc_arena_find(a, "it", &p, MPROC_NOWAIT), 0);
	listen();
	mproc_free(p);
	mproc_log_set(MPROC_LOG_OFF, NULL, NULL);
	assert_int_equal(lines, 1);
	assert_non_null(strstr(text, "the first at byte 80: 77 bytes"));
	mproc_arena_close(a);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_keeps_to_his_bytes_hears_nothing),
		mpt_test(who_writes_behind_the_end_is_told_whose_and_where),
		mpt_test(an_array_has_a_guard_before_its_lock),
		mpt_test(a_block_that_changes_its_size_is_not_taken_for_broken),
		mpt_test(memory_that_has_gone_is_not_brought_back),
		mpt_test(an_address_that_is_no_block_is_explained),
		mpt_test(it_is_printed_unless_the_log_says_otherwise),
		mpt_test(a_process_that_does_not_check_finds_a_broken_guard),
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
