/* SPDX-License-Identifier: MIT */
/*
 * Workers of a pool and its keepers are killed and stopped at random while maps run, of
 * all sizes and chunks.
 *
 * Each item is done, or has failed by the death of as many workers as it may; no item is
 * begun more often than that. Nothing is left when the pool is freed.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "level.h"
#include "mpt_rand.h"

#define WORKERS 4
#define ITEMS 2000 /* at most */
#define RECENT 64

/* Shared with all. */
struct chaos {
	mproc_pool *pool;
	_Atomic unsigned next; /* for recent */
	_Atomic pid_t recent[RECENT]; /* that have begun an item */
	_Atomic unsigned begun[ITEMS];
	uint64_t in[ITEMS];
	uint64_t out[ITEMS];
};

struct run {
	struct mpt *t;
	struct chaos *c;
	struct mpt_rand rand;
	unsigned retries;
	unsigned killed_workers, killed_keepers;
	unsigned items, failed, again;
	pid_t stopped;
};

static int
work(const void *in, void *out, void *ctx)
{
	struct chaos *c = ctx;
	uint64_t n = *(const uint64_t *)in;

	c->recent[c->next++ % RECENT] = getpid();
	atomic_fetch_add(&c->begun[n], 1);
	for (unsigned i = 0; i < n % 7 * 2000; i++)
		atomic_signal_fence(memory_order_seq_cst);
	*(uint64_t *)out = n * n + 1;
	return 0;
}

static pid_t
keeper(const struct chaos *c)
{
	struct mproc_pool_stat stat;

	assert_int_equal(mproc_pool_stat(c->pool, &stat), 0);
	return stat.keeper;
}

static pid_t
parent_of(pid_t pid)
{
	char path[64], line[256];
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	if (file)
		fclose(file);
	return parent;
}

static void
let_go_on(struct run *run)
{
	if (run->stopped)
		kill(run->stopped, SIGCONT);
	run->stopped = 0;
}

static void
strike(struct run *run)
{
	pid_t parent = keeper(run->c);
	pid_t pid = run->c->recent[mpt_rand_below(&run->rand, RECENT)];

	let_go_on(run);
	/* One that has ended may have left its id to another. */
	if (!parent || !pid || parent_of(pid) != parent)
		return;
	switch (mpt_rand_below(&run->rand, 12)) {
	case 0:
		run->killed_keepers += kill(parent, SIGKILL) == 0;
		break;
	case 1:
	case 2:
		if (kill(pid, SIGSTOP) == 0)
			run->stopped = pid;
		break;
	default:
		run->killed_workers += kill(pid, SIGKILL) == 0;
	}
}

static void
verify(struct run *run, mproc_future *f, size_t n)
{
	size_t item = 0, failed = 0;
	int error, r;

	r = mproc_future_get(f, NULL, 0, NULL, MPROC_FOREVER);
	while (mproc_future_next_failed(f, &item, &error) == 0) {
		assert_int_equal(error, -EOWNERDEAD);
		assert_in_range(atomic_load(&run->c->begun[item]), 0,
				run->retries + 1);
		/* Its worker may have died before its first instruction, or
		 * behind its last one. */
		atomic_store(&run->c->begun[item], 1);
		run->c->out[item] = item * item + 1;
		failed++;
		item++;
	}
	assert_int_equal(r, failed ? MPROC_TASK_FAILED : 0);
	for (size_t i = 0; i < n; i++) {
		unsigned begun = atomic_load(&run->c->begun[i]);

		assert_in_range(begun, 1, run->retries + 1);
		run->again += begun - 1;
		assert_int_equal(run->c->out[i], i * i + 1);
	}
	run->items += (unsigned)n;
	run->failed += (unsigned)failed;
	mproc_future_close(f);
}

static void
map_once(struct run *run)
{
	size_t n = (size_t)mpt_rand_below(&run->rand, ITEMS) + 1;
	size_t chunk = mpt_rand_below(&run->rand, 2) ?
			       0 : (size_t)mpt_rand_below(&run->rand, 50);
	struct chaos *c = run->c;
	mproc_future *f;

	for (size_t i = 0; i < n; i++) {
		atomic_store(&c->begun[i], 0);
		c->in[i] = i;
		c->out[i] = 0;
	}
	assert_int_equal(mproc_pool_map_async(c->pool, work, c, c->in,
					      sizeof(c->in[0]), c->out,
					      sizeof(c->out[0]), n,
					      MPROC_OPTS(mproc_map_opts,
							 .chunk = chunk), &f), 0);
	while (mproc_future_wait(f, mproc_ms(1)) == -ETIMEDOUT)
		strike(run);
	/* What is stopped is alive, and waited for. */
	let_go_on(run);
	verify(run, f, n);
}

static void
run_maps(struct mpt *t, unsigned retries)
{
	struct run run = { .t = t, .retries = retries };
	struct mproc_arena_stat before, now;
	unsigned n = chaos_by_level(100, 500, 5000);

	mpt_watchdog(t, n > 1000 ? 3600 : 120);
	mpt_rand_init(&run.rand, mpt_seed());
	assert_int_equal(mproc_arena_stat(NULL, &before), 0);
	run.c = mproc_alloc(sizeof(*run.c));
	assert_non_null(run.c);
	assert_int_equal(mproc_pool_create(&run.c->pool,
					   MPROC_OPTS(mproc_pool_opts,
						      .workers = WORKERS,
						      .retries = (int)retries)), 0);
	for (unsigned i = 0; i < n; i++)
		map_once(&run);
	assert_int_equal(mproc_pool_close(run.c->pool), 0);
	assert_int_equal(mproc_pool_join(run.c->pool, MPROC_FOREVER), 0);
	mproc_pool_free(run.c->pool);
	mpt_reap_orphans(t);
	print_message("# %u items, %u failed, %u begun again; killed: %u workers, "
		      "%u keepers\n", run.items, run.failed, run.again,
		      run.killed_workers, run.killed_keepers);
	mproc_free(run.c);
	assert_true(mproc_arena_recover(NULL) >= 0);
	assert_int_equal(mproc_arena_stat(NULL, &now), 0);
	assert_int_equal(now.participants, before.participants);
	assert_int_equal(now.queues, before.queues);
}

static void
each_item_is_done_or_fails(void **state)
{
	run_maps(*state, 0);
}

static void
each_item_is_begun_again(void **state)
{
	run_maps(*state, 2);
}

static int
setup(void **state)
{
	mproc_pool *p;

	(void)state;
	if (mproc_pool_create(&p, MPROC_OPTS(mproc_pool_opts,
					     .workers = WORKERS)) < 0)
		return -1;
	mproc_pool_free(p);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(each_item_is_done_or_fails),
		mpt_test(each_item_is_begun_again),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
