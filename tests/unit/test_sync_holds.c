/* SPDX-License-Identifier: MIT */
/*
 * What a process holds, found from outside, while it lives and after its death.
 */
#include <errno.h>
#include <signal.h>

#include <mproc/arena.h>
#include <mproc/queue.h>
#include <mproc/sync.h>
#include <mproc/value.h>

#include "common.h"
#include "ipc/in_hand.h"
#include "sync/holder.h"
#include "sync/holds.h"

/* In the arena; as many locks of each kind as lie there. */
struct things {
	mproc_lock lock;
	mproc_rlock rlock;
	mproc_rwlock written;
	mproc_rwlock read;
	mproc_lock free;
};

static struct things *things;
static mproc_lock *cell, *of_value;
static mproc_rwlock *read_cell;
static mproc_semaphore *permits;
static void *value;

static int
make_things(void **state)
{
	if (with_arena(state) < 0)
		return -1;
	things = mproc_alloc(sizeof(*things));
	value = mproc_value(int, 3);
	if (!things || !value || mproc_lock_create(&cell) < 0 ||
	    mproc_rwlock_create(&read_cell) < 0 ||
	    mproc_semaphore_create(&permits,
				   MPROC_OPTS(mproc_semaphore_opts, .value = 5,
					      .undo = true)) < 0)
		return -1;
	of_value = mproc_lock_of(value);
	return 0;
}

struct found {
	struct mpr_hold holds[32];
	unsigned n;
};

static void
note(const struct mpr_hold *hold, void *ctx)
{
	struct found *f = ctx;

	if (f->n < 32)
		f->holds[f->n++] = *hold;
}

static unsigned
times(const struct found *f, const void *object, enum mpr_hold_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n; i++)
		if (f->holds[i].object == object && f->holds[i].kind == kind)
			n += f->holds[i].n;
	return n;
}

static int
hold_all(struct mpt *t, void *arg)
{
	mproc_timeout now = MPROC_NOWAIT;

	(void)arg;
	mpt_check_int(t, mproc_lock_acquire(&things->free, now), 0);
	mpt_check_int(t, mproc_lock_release(&things->free), 0);
	mpt_check_int(t, mproc_lock_acquire(&things->lock, now), 0);
	mpt_check_int(t, mproc_rlock_acquire(&things->rlock, now), 0);
	mpt_check_int(t, mproc_rlock_acquire(&things->rlock, now), 0);
	mpt_check_int(t, mproc_rwlock_write(&things->written, now), 0);
	mpt_check_int(t, mproc_rwlock_read(&things->read, now), 0);
	mpt_check_int(t, mproc_rwlock_read(read_cell, now), 0);
	mpt_check_int(t, mproc_lock_acquire(cell, now), 0);
	mpt_check_int(t, mproc_lock_acquire(of_value, now), 0);
	mpt_check_int(t, mproc_semaphore_acquire(permits, now), 0);
	mpt_check_int(t, mproc_semaphore_acquire(permits, now), 0);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	return 0;
}

static void
expect_locks(pid_t pid)
{
	struct found f = { .n = 0 };

	mpr_holds_locks(mproc_arena_default(), pid, note, &f);
	assert_int_equal(times(&f, &things->lock, MPR_HOLD_LOCK), 1);
	assert_int_equal(times(&f, &things->rlock, MPR_HOLD_LOCK), 1);
	assert_int_equal(times(&f, &things->written, MPR_HOLD_LOCK), 1);
	assert_int_equal(times(&f, cell, MPR_HOLD_LOCK), 1);
	assert_int_equal(times(&f, of_value, MPR_HOLD_LOCK), 1);
	assert_int_equal(f.n, 5);
}

static void
expect_shares(pid_t pid)
{
	struct found f = { .n = 0 };

	mpr_holds_shares(mproc_arena_default(), pid, note, &f);
	assert_int_equal(times(&f, &things->read, MPR_HOLD_READ), 1);
	assert_int_equal(times(&f, read_cell, MPR_HOLD_READ), 1);
	assert_int_equal(times(&f, permits, MPR_HOLD_PERMIT), 2);
	assert_int_equal(f.n, 3);
}

static void
all_that_a_process_holds_is_found_and_nothing_else(void **state)
{
	mproc_timeout now = MPROC_NOWAIT;
	struct found f = { .n = 0 };
	struct mpt *t = *state;
	int id = mpt_spawn(t, "holder", hold_all, NULL);
	pid_t pid = mpt_pid(t, id);

	mpt_reach(t, 1);
	expect_locks(pid);
	expect_shares(pid);
	/* What somebody else holds is not its. */
	assert_int_equal(mproc_lock_acquire(&things->free, now), 0);
	expect_locks(pid);
	mpr_holds_locks(mproc_arena_default(), getpid(), note, &f);
	assert_int_equal(times(&f, &things->free, MPR_HOLD_LOCK), 1);
	assert_int_equal(f.n, 1);
	assert_int_equal(mproc_lock_release(&things->free), 0);

	/* Dead, and nobody has looked for it. */
	mpt_kill_unreaped(t, id);
	expect_locks(pid);
	expect_shares(pid);
	/* Once somebody has taken it over, it still says whose it was. */
	assert_int_equal(mproc_lock_acquire(&things->lock, mproc_sec(10)),
			 MPROC_OWNER_DIED);
	expect_locks(pid);
	assert_int_equal(mproc_lock_release(&things->lock), 0);
	expect_locks(pid);
	mpt_kill(t, id);
	/* Until all is well. */
	mproc_arena_recover(NULL);
	expect_locks(pid);
	mpr_holds_shares(mproc_arena_default(), pid, note, &f);
	assert_int_equal(f.n, 1);
	assert_int_equal(mproc_lock_acquire(&things->lock, now),
			 MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_consistent(&things->lock), 0);
	assert_int_equal(mproc_lock_release(&things->lock), 0);
	f.n = 0;
	mpr_holds_locks(mproc_arena_default(), pid, note, &f);
	assert_int_equal(times(&f, &things->lock, MPR_HOLD_LOCK), 0);
	assert_int_equal(f.n, 4);
}

/* Bytes of users that are no lock, though they have the process in them. */
static void
what_only_looks_like_it_is_not_taken_for_a_lock(void **state)
{
	uint64_t *words = mproc_alloc(8 * 1024);
	struct found f = { .n = 0 };

	(void)state;
	for (unsigned i = 0; i < 1024; i++)
		words[i] = (uint64_t)getpid() << 32 | (uint64_t)getpid();
	/* A word of slot 3, incarnation 7, and beside it what another one has
	 * written down; then the right one, but a word with bits that none has. */
	words[8] = UINT64_C(7) << 32 | MPR_HELD | 3;
	words[10] = UINT64_C(5) << 38 | UINT64_C(3) << 22 | (uint64_t)getpid();
	words[16] = UINT64_C(7) << 32 | MPR_HELD | UINT64_C(1) << 25 | 3;
	words[18] = UINT64_C(7) << 38 | UINT64_C(3) << 22 | (uint64_t)getpid();
	words[24] = MPR_DIED | UINT64_C(7) << 32;
	words[26] = 0;
	words[27] = (uint64_t)getpid() << 32 | 1;
	mpr_holds_locks(mproc_arena_default(), getpid(), note, &f);
	assert_int_equal(f.n, 0);
	/* As these could be: this would be one. */
	words[16] &= ~(UINT64_C(1) << 25);
	mpr_holds_locks(mproc_arena_default(), getpid(), note, &f);
	assert_int_equal(f.n, 1);
	assert_ptr_equal(f.holds[0].object, &words[16]);
	mproc_free(words);
}

static void
note_hand(const struct mpr_in_hand *h, void *ctx)
{
	struct mpr_in_hand *all = ctx;

	while (all->queue && all->queue != h->queue)
		all++;
	*all = *h;
}

static void
messages_in_hand_are_those_of_the_thread(void **state)
{
	struct mpr_in_hand all[4] = { 0 };
	mproc_queue *plain, *kept;
	mproc_timeout now = MPROC_NOWAIT;
	const void *p;
	void *space;
	char byte;
	size_t len;

	(void)state;
	assert_int_equal(mproc_queue_create(&plain, NULL), 0);
	assert_int_equal(mproc_queue_create(&kept, MPROC_OPTS(mproc_queue_opts,
							      .ack = true)),
			 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mproc_queue_put(plain, "x", 1, now), 0);
		assert_int_equal(mproc_queue_put(kept, "x", 1, now), 0);
	}
	mpr_in_hand_each(note_hand, all);
	assert_null(all[0].queue);
	assert_int_equal(mproc_queue_peek(plain, &p, &len, now), 0);
	assert_int_equal(mproc_queue_reserve(kept, 9, &space, now), 0);
	mpr_in_hand_each(note_hand, all);
	assert_non_null(all[1].queue);
	memset(all, 0, sizeof(all));
	for (int i = 0; i < 2; i++)
		assert_int_equal(mproc_queue_get(kept, &byte, 1, NULL, now),
				 0);
	mpr_in_hand_each(note_hand, all);
	for (int i = 0; i < 2; i++) {
		bool is_plain = all[i].queue == plain;

		assert_true(is_plain || all[i].queue == kept);
		assert_int_equal(all[i].peeked, is_plain);
		assert_int_equal(all[i].reserved, !is_plain);
		assert_int_equal(all[i].unfinished, is_plain ? 0 : 2);
	}
	assert_null(all[2].queue);
	assert_int_equal(mproc_queue_release(plain, p), 0);
	assert_int_equal(mproc_queue_abort(kept, space), 0);
	assert_int_equal(mproc_queue_task_done(kept), 0);
	assert_int_equal(mproc_queue_requeue(kept), 0);
	memset(all, 0, sizeof(all));
	mpr_in_hand_each(note_hand, all);
	assert_null(all[0].queue);
	mproc_queue_destroy(plain);
	mproc_queue_destroy(kept);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(all_that_a_process_holds_is_found_and_nothing_else),
		mpt_test(what_only_looks_like_it_is_not_taken_for_a_lock),
		mpt_test(messages_in_hand_are_those_of_the_thread),
	};

	return cmocka_run_group_tests(tests, make_things, NULL);
}
