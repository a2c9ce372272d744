/* SPDX-License-Identifier: MIT */
/*
 * Copying long messages, through the caches and past them, at distances that are bad
 * for memcpy() and at others; and with their lines taken.
 */
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/copy.h"
#include "common.h"

#define PAGE 4096
#define MOST (5 * PAGE)

static _Alignas(64) unsigned char from[MOST + PAGE], to[MOST + 3 * PAGE];
static const unsigned char zeros[sizeof(to)];

typedef void copier(void *to, const void *from, size_t len);

/* Copies @len bytes to @distance behind a page's beginning, or before it. */
static void
copy(copier *by, int distance, size_t len)
{
	unsigned char *page = from, *t = to + PAGE;

	page += PAGE - (uintptr_t)page % PAGE;
	t += PAGE - (uintptr_t)t % PAGE;
	t += distance;
	for (size_t i = 0; i < len; i++)
		page[i] = (unsigned char)(i * 131 + i / 251 + 1);
	memset(to, 0, sizeof(to));
	by(t, page, len);
	assert_memory_equal(t, page, len);
	memset(t, 0, len);
	assert_memory_equal(to, zeros, sizeof(to));
}

static void
copy_all(copier *by)
{
	static const int distances[] = { -64, -1, 0, 1, 8, 16, 63, 64, 65, 512 };
	static const size_t lengths[] = { 0, 1, 63, 64, 65, 129, 1984, 2 * 1984 - 1,
					  PAGE, 3 * 1984 + 1, 4 * PAGE };

	for (size_t d = 0; d < sizeof(distances) / sizeof(*distances); d++)
		for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
			copy(by, distances[d], lengths[i]);
}

static void
all_bytes_are_copied_and_no_others(void **state)
{
	(void)state;
	copy_all(mpr_copy_long);
}

static void
past_the_caches_as_well(void **state)
{
	/* Wherever it begins and ends in a line. */
	static const int places[] = { 0, 1, 15, 16, 33, 63 };

	(void)state;
	copy_all(mpr_copy_past);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		for (size_t len = 0; len < 3 * 64 + 2; len++)
			copy(mpr_copy_past, places[i], len);
}

#if defined(__x86_64__)

/*
 * No later store waits for one past the caches by itself, so there is a fence after the
 * last of these. Other CPUs would miss it once in a long while, so each instruction is
 * looked at before it is executed.
 */
#define STEP 0x100 /* the flag that ends each instruction by SIGTRAP */

static volatile struct {
	bool over;
	unsigned past;	   /* stores of 16 bytes, by movntdq */
	unsigned unfenced; /* of these, since the last fence */
} seen;

static void
look(int number, siginfo_t *info, void *context)
{
	static const unsigned char fence[] = { 0x0f, 0xae, 0xf8 };
	static const unsigned char movntdq[] = { 0x66, 0x0f, 0xe7 };
	static const unsigned char movntdq_high[] = { 0x66, 0x41, 0x0f, 0xe7 };
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	const void *at = (const void *)regs[REG_RIP];

	(void)number;
	(void)info;
	if (memcmp(at, fence, sizeof(fence)) == 0) {
		seen.unfenced = 0;
	} else if (memcmp(at, movntdq, sizeof(movntdq)) == 0 ||
		   memcmp(at, movntdq_high, sizeof(movntdq_high)) == 0) {
		seen.past++;
		seen.unfenced++;
	}
	if (seen.over)
		regs[REG_EFL] &= ~STEP;
	else
		regs[REG_EFL] |= STEP;
}

static void
copies_past_the_caches_end_with_a_fence(void **state)
{
	struct sigaction old, action = { .sa_sigaction = look, .sa_flags = SA_SIGINFO };
	unsigned char *line = to + 64 - (uintptr_t)to % 64;

	(void)state;
	for (size_t before = 0; before < 2; before++) {
		for (size_t after = 0; after < 2; after++) {
			seen.over = false;
			seen.past = seen.unfenced = 0;
			sigaction(SIGTRAP, &action, &old);
			raise(SIGTRAP);
			mpr_copy_past(line - before, from, before + 192 + after);
			seen.over = true;
			sigaction(SIGTRAP, &old, NULL);
			assert_int_equal(seen.past, 192 / 16);
			assert_int_equal(seen.unfenced, 0);
		}
	}
}

#endif

static void
taking(void *t, const void *f, size_t len)
{
	mpr_copy_taking(t, (void *)(uintptr_t)f, len);
}

/* All multiples of 8 in a line, and all lengths. */
static void
what_is_taken_stays_as_it_is(void **state)
{
	unsigned char was[512];

	(void)state;
	copy_all(taking);
	for (size_t at = 0; at < 64; at += 8) {
		for (size_t len = 0; len < 3 * 64 + 2; len++) {
			for (size_t i = 0; i < sizeof(was); i++)
				was[i] = (unsigned char)(i * 7 + len);
			memcpy(from, was, sizeof(was));
			memset(to, 0, sizeof(was));
			mpr_copy_taking(to, from + 64 + at, len);
			assert_memory_equal(to, was + 64 + at, len);
			assert_memory_equal(to + len, zeros, 64);
			assert_memory_equal(from, was, sizeof(was));
		}
	}
}

static struct {
	unsigned char *lines;
	unsigned written;
} watch;

static void
let_it_write(int signal)
{
	(void)signal;
	watch.written++;
	mprotect(watch.lines, PAGE, PROT_READ | PROT_WRITE);
}

/* Of the last line of a page, or of a part of it. */
static unsigned
is_taken(size_t len)
{
	struct sigaction old, action = { .sa_handler = let_it_write };

	watch.written = 0;
	assert_int_equal(mprotect(watch.lines, PAGE, PROT_READ), 0);
	sigaction(SIGSEGV, &action, &old);
	mpr_copy_taking(to, watch.lines + PAGE - len, len);
	sigaction(SIGSEGV, &old, NULL);
	return watch.written;
}

static void
whole_lines_are_taken(void **state)
{
	(void)state;
	watch.lines = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	assert_ptr_not_equal(watch.lines, MAP_FAILED);
	assert_int_equal(is_taken(8), 0);
	assert_int_equal(is_taken(56), 0);
	assert_int_equal(is_taken(64), 1);
	assert_int_equal(is_taken(1024 + 8), 1);
	munmap(watch.lines, PAGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_bytes_are_copied_and_no_others),
		cmocka_unit_test(past_the_caches_as_well),
#if defined(__x86_64__)
		cmocka_unit_test(copies_past_the_caches_end_with_a_fence),
#endif
		cmocka_unit_test(what_is_taken_stays_as_it_is),
		cmocka_unit_test(whole_lines_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
