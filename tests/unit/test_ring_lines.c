/* SPDX-License-Identifier: MIT */
/*
 * Lines that a consumer takes by writes which change nothing: which ones, when, and
 * that nothing is changed. The lane's buffer begins with a page.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/owner.h"
#include "common.h"
#include "ring/lane.h"
#include "ring/lane_fast.h"

#define CAPACITY 4096
#define HALF (CAPACITY / 2 / MPR_LINE)
#define MOST 64
#define NONE SIZE_MAX

typedef int get_fn(struct mpr_consumer *c, void *buf, size_t size, size_t *ret_len);
typedef int get_many_fn(struct mpr_consumer *c, void *buf, size_t size,
			struct iovec *ret_msgs, int n, size_t *ret_len);

static size_t page;
static unsigned char *pages; /* the lane's head, its buffer, and one more */
static struct mpr_lane *lane;
static struct mpr_producer p;
static struct mpr_consumer c;
static bool alone;

static int
fresh_lane(bool is_alone)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return -1;
	alone = is_alone;
	return 0;
}

static int
only_consumer(void **state)
{
	(void)state;
	return fresh_lane(true);
}

static int
shared_consumer(void **state)
{
	(void)state;
	return fresh_lane(false);
}

static int
free_lane(void **state)
{
	(void)state;
	return munmap(pages, 3 * page);
}

/* So that @before bytes of its buffer come before the second page. */
static void
begin(size_t before)
{
	lane = (struct mpr_lane *)(void *)(pages + page - before - sizeof(*lane));
	mpr_lane_init(lane, mpr_owner(1, 0, MPR_LANE_ACTIVE));
	assert_int_equal(mpr_producer_begin(&p, lane, CAPACITY), 0);
	mpr_consumer_begin(&c, lane, CAPACITY);
}

/* Each fills a line. */
static void
put(unsigned n)
{
	unsigned char msg[MPR_LINE - MPR_FRAME_HEADER];

	for (unsigned i = 0; i < n; i++) {
		memset(msg, (int)(i + 1), sizeof(msg));
		assert_int_equal(mpr_producer_put(&p, msg, sizeof(msg)), 0);
	}
}

static int
get(int n)
{
	get_fn *one = alone ? mpr_consumer_get : mpr_consumer_get_shared;
	get_many_fn *many = alone ? mpr_consumer_get_many :
				    mpr_consumer_get_many_shared;
	unsigned char buf[CAPACITY];
	struct iovec msgs[MOST];
	size_t len;
	int r;

	if (n > 1)
		return many(&c, buf, sizeof(buf), msgs, n, &len);
	r = one(&c, buf, sizeof(buf), &len);
	return r < 0 ? r : 1;
}

/* All that there is. */
static void
get_all(unsigned expected, int at_once)
{
	unsigned n = 0;
	int r;

	while ((r = get(at_once)) > 0)
		n += (unsigned)r;
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(n, expected);
}

static void
nothing_is_changed(void **state)
{
	unsigned char was[CAPACITY];

	(void)state;
	begin(0);
	for (unsigned round = 0; round < 16; round++) {
		put(HALF - 5);
		memcpy(was, lane->buffer, sizeof(was));
		get_all(HALF - 5, round % 2 ? 1 : 16);
		assert_memory_equal(lane->buffer, was, sizeof(was));
	}
}

/* Where the tail is in the middle of a group of lines. */
static void
what_is_behind_the_tail_is_not_touched(void **state)
{
	const unsigned n = 20;

	(void)state;
	for (int at_once = 1; at_once <= 16; at_once += 15) {
		begin(n * MPR_LINE);
		put(n);
		assert_int_equal(mprotect(pages + page, 2 * page, PROT_READ), 0);
		get_all(n, at_once);
		assert_int_equal(mprotect(pages + page, 2 * page,
					  PROT_READ | PROT_WRITE), 0);
	}
}

#if defined(__x86_64__)

#define STEP 0x100 /* the flag that ends each instruction by SIGTRAP */

/* Where a get has written in the buffer, which it must not: it is let through for an
 * instruction each time. */
static struct {
	size_t at[MOST];
	unsigned n;
} written;

static void
protect(int protection)
{
	if (mprotect(pages + page, 2 * page, protection) < 0)
		abort();
}

static void
let_through(int number, siginfo_t *info, void *context)
{
	size_t at = (size_t)((unsigned char *)info->si_addr - lane->buffer);

	(void)number;
	if (at >= CAPACITY || written.n == MOST)
		abort();
	written.at[written.n++] = at;
	protect(PROT_READ | PROT_WRITE);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] |= STEP;
}

static void
go_on(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	protect(PROT_READ);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~STEP;
}

static int
watched_get(int n)
{
	struct sigaction old[2], write = { .sa_flags = SA_SIGINFO }, step = write;
	int r;

	write.sa_sigaction = let_through;
	step.sa_sigaction = go_on;
	sigaction(SIGSEGV, &write, &old[0]);
	sigaction(SIGTRAP, &step, &old[1]);
	written.n = 0;
	protect(PROT_READ);
	r = get(n);
	protect(PROT_READ | PROT_WRITE);
	sigaction(SIGTRAP, &old[1], NULL);
	sigaction(SIGSEGV, &old[0], NULL);
	return r;
}

/* Gets @n, and each line of the group that begins with line @first is written to, or
 * none if that is NONE. */
static void
get_taking(int n, size_t first)
{
	assert_int_equal(watched_get(n), n);
	assert_int_equal(written.n, first == NONE ? 0 : MPR_TAKE_LINES);
	for (unsigned i = 0; i < written.n; i++)
		assert_int_equal(written.at[i], (first + i) * MPR_LINE);
}

/* One for each line, and the last group is not whole. */
static void
a_group_is_taken_with_the_last_frame_before_it(void **state)
{
	const unsigned n = HALF - 5;

	(void)state;
	begin(0);
	put(n);
	for (unsigned next = 1; next <= n; next++)
		get_taking(1, next % MPR_TAKE_LINES == 0 &&
				      next + MPR_TAKE_LINES <= n ? next : NONE);
}

static void
of_a_lane_more_than_half_full_none_is_taken(void **state)
{
	(void)state;
	begin(0);
	put(HALF + 1);
	for (unsigned i = 0; i < HALF + 1; i++)
		get_taking(1, NONE);
	/* With the next look it is half full. */
	put(HALF);
	for (unsigned next = HALF + 2; next < HALF + MPR_TAKE_LINES; next++)
		get_taking(1, NONE);
	get_taking(1, HALF + MPR_TAKE_LINES);
}

/* By batches that end where a group does, so that it is one group for each. */
static void
batches_take_them_too(void **state)
{
	(void)state;
	begin(0);
	put(HALF);
	for (unsigned next = MPR_TAKE_LINES; next < HALF; next += MPR_TAKE_LINES)
		get_taking(MPR_TAKE_LINES, next);
	get_taking(MPR_TAKE_LINES, NONE);
}

static void
batches_of_the_only_consumer_do_so_always(void **state)
{
	(void)state;
	begin(0);
	put(2 * HALF);
	for (unsigned next = MPR_TAKE_LINES; next < 2 * HALF; next += MPR_TAKE_LINES)
		get_taking(MPR_TAKE_LINES, alone ? next : NONE);
	get_taking(MPR_TAKE_LINES, NONE);
}

#endif

#define one(f) { #f " (only consumer)", f, only_consumer, free_lane, NULL }
#define any(f) { #f " (shared)", f, shared_consumer, free_lane, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		one(nothing_is_changed),
		any(nothing_is_changed),
		one(what_is_behind_the_tail_is_not_touched),
		any(what_is_behind_the_tail_is_not_touched),
#if defined(__x86_64__)
		one(a_group_is_taken_with_the_last_frame_before_it),
		any(a_group_is_taken_with_the_last_frame_before_it),
		one(of_a_lane_more_than_half_full_none_is_taken),
		any(of_a_lane_more_than_half_full_none_is_taken),
		one(batches_take_them_too),
		any(batches_take_them_too),
		one(batches_of_the_only_consumer_do_so_always),
		any(batches_of_the_only_consumer_do_so_always),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
