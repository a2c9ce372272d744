/* SPDX-License-Identifier: MIT */
/*
 * The word of a future: what may become of a task in each state, and who comes too
 * late. Nothing runs here but the test, as whoever it is; the last ones have a keeper.
 */
#include <errno.h>
#include <signal.h>

#include "common.h"
#include "os/task.h"
#include "pool/entries.h"
#include "pool/keeper_word.h"
#include "pool/keeping.h"
#include "pool/pool.h"
#include "pool/task.h"
#include "sync/park.h"
#include "unkept.h"

static struct scene {
	struct unkept pool;
	unsigned runs;
	mproc_future *canceled; /* by the task that runs, or NULL */
	int result; /* of a task */
} s;

static int
task(const void *in, size_t len, struct mproc_result *out)
{
	s.runs++;
	if (s.canceled)
		assert_true(mpr_task_revoke(s.canceled,
					    atomic_load(&s.canceled->cell.word),
					    MPR_FUTURE_CANCELED));
	assert_int_equal(mproc_result_set(out, in, len), 0);
	return s.result;
}

static mproc_future *
submit(void)
{
	mproc_future *f;

	assert_int_equal(mproc_pool_submit(s.pool.use.pool, task, "abc", 3, &f), 0);
	return f;
}

static uint64_t
word_of(mproc_future *f)
{
	return atomic_load(&f->cell.word);
}

static void
run_at(unsigned w, mproc_future *f, uint64_t word)
{
	mpr_task_run(&s.pool.workers[w], mpr_arena_offset(s.pool.use.arena, f), word);
}

static void
expect(mproc_future *f, enum mpr_future_state state, int result)
{
	assert_int_equal(mpr_future_state(word_of(f)), state);
	if (state == MPR_FUTURE_DONE)
		assert_int_equal(mpr_task_result(f, word_of(f)), result);
}

static bool
bury(mproc_future *f, unsigned w)
{
	return mpr_task_bury(&s.pool.use, s.pool.self, f, w,
			     &(struct mproc_exit){ .code = -1, .signal = 9 });
}

/* RUNNING at a worker that does not come to its end. */
static mproc_future *
submit_and_take(unsigned w)
{
	mproc_future *f = submit();

	atomic_store(&f->cell.word,
		     mpr_future_with(word_of(f), MPR_FUTURE_RUNNING, w));
	return f;
}

static void
a_task_is_run_once(void **state)
{
	mproc_future *f = submit();
	uint64_t word = word_of(f);

	(void)state;
	run_at(0, f, word);
	expect(f, MPR_FUTURE_DONE, 0);
	assert_int_equal(s.runs, 1);
	/* Another hint, and one of an earlier future in the same place. */
	run_at(1, f, word);
	assert_int_equal(s.runs, 1);
	mproc_future_close(f);
	f = submit();
	run_at(0, f, word_of(f) + MPR_FUTURE_ID_UNIT);
	run_at(0, f, word_of(f) - MPR_FUTURE_ID_UNIT);
	assert_int_equal(s.runs, 1);
	expect(f, MPR_FUTURE_QUEUED, 0);
	mproc_future_close(f);
	run_at(0, f, word_of(f));
	assert_int_equal(s.runs, 2);
	assert_false(mpr_entries_exist(&s.pool.use));
}

/* There is an error, or none: what is a number above zero somebody has scribbled. */
static void
no_result_is_above_zero(void **state)
{
	mproc_future *f = submit();
	char bytes[3];
	size_t len;

	(void)state;
	run_at(0, f, word_of(f));
	for (int result = 1; result < 3; result++) {
		atomic_store(&f->result, result);
		assert_int_equal(mproc_future_get(f, bytes, sizeof(bytes), &len,
						  MPROC_NOWAIT), 0);
		assert_int_equal(len, 3);
	}
	mproc_future_close(f);
}

/* Of a word that is none of a task. */
static void
what_is_scribbled_is_not_canceled_for_ever(void **state)
{
	mproc_future *f = submit();
	const uint64_t word = word_of(f);
	const uint64_t words[] = {
		word | MPR_FUTURE_CANCELED, word | 1,
		mpr_future_with(word, (enum mpr_future_state)0, 0),
		mpr_future_with(word, (enum mpr_future_state)7, 0),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		atomic_store(&f->cell.word, words[i]);
		assert_int_equal(mproc_future_cancel(f, MPROC_CANCEL_RUNNING),
				 -EBADMSG);
	}
	atomic_store(&f->cell.word, word);
	assert_int_equal(mproc_future_cancel(f, 0), 0);
	mproc_future_close(f);
}

/* A number that is no phase, or has something above it. */
static void
a_phase_that_is_none_is_the_end(void **state)
{
	static const uint32_t none[] = { MPR_POOL_ENDED + 1, 0xff, UINT32_MAX,
					 0x1000 | MPR_POOL_OPEN };
	uint64_t word = atomic_load(&s.pool.use.root->phase);

	(void)state;
	for (unsigned i = 0; i < MPR_ARRAY_LEN(none); i++) {
		atomic_store(&s.pool.use.root->phase, word >> 32 << 32 | none[i]);
		assert_int_equal(mpr_pool_phase(&s.pool.use), MPR_POOL_ENDED);
		/* There is nothing to keep, which is no reason to try for ever. */
		assert_int_equal(mpr_keeping_ensure(&s.pool.use), 0);
	}
	atomic_store(&s.pool.use.root->phase, word);
}

static void
what_is_dropped_is_not_run(void **state)
{
	mproc_future *f = submit();
	uint64_t word = word_of(f);

	(void)state;
	assert_false(mpr_task_drop(&s.pool.use, s.pool.self, f, word + MPR_FUTURE_ID_UNIT,
				   MPR_FUTURE_SHUT));
	assert_true(mpr_task_drop(&s.pool.use, s.pool.self, f, word,
				  MPR_FUTURE_CANCELED));
	expect(f, MPR_FUTURE_DONE, -ECANCELED);
	assert_false(mpr_task_drop(&s.pool.use, s.pool.self, f, word, MPR_FUTURE_SHUT));
	expect(f, MPR_FUTURE_DONE, -ECANCELED);
	run_at(0, f, word);
	assert_int_equal(s.runs, 0);
	mproc_future_close(f);
}

static void
what_runs_is_not_dropped(void **state)
{
	mproc_future *f = submit_and_take(0);

	(void)state;
	assert_false(mpr_task_drop(&s.pool.use, s.pool.self, f, word_of(f),
				   MPR_FUTURE_SHUT));
	expect(f, MPR_FUTURE_RUNNING, 0);
	assert_true(bury(f, 0));
	run_at(1, f, word_of(f));
	expect(f, MPR_FUTURE_DONE, 0);
	mproc_future_close(f);
}

static void
what_is_revoked_is_done_once_its_worker_is_dead(void **state)
{
	mproc_future *f = submit();

	(void)state;
	assert_false(mpr_task_revoke(f, word_of(f), MPR_FUTURE_OVERDUE));
	s.canceled = f;
	run_at(1, f, word_of(f));
	/* The worker has come to the task's end, and was too late. */
	assert_true(s.pool.workers[1].revoked);
	expect(f, MPR_FUTURE_RUNNING, 0);
	assert_false(mpr_task_revoke(f, word_of(f), MPR_FUTURE_OVERDUE));
	assert_false(bury(f, 0));
	/* In spite of .retries. */
	assert_true(bury(f, 1));
	expect(f, MPR_FUTURE_DONE, -ECANCELED);
	assert_int_equal(atomic_load(&f->signal), 9);
	mproc_future_close(f);
}

static void
a_task_of_the_dead_is_queued_as_often_as_it_may(void **state)
{
	mproc_future *f = submit_and_take(0);
	uint64_t id = word_of(f) & MPR_FUTURE_ID;

	(void)state;
	for (unsigned i = 1; i <= 2; i++) {
		assert_true(bury(f, 0));
		assert_false(bury(f, 0));
		expect(f, MPR_FUTURE_QUEUED, 0);
		assert_int_equal(word_of(f) & MPR_FUTURE_ID, id);
		assert_int_equal(atomic_load(&f->deaths), i);
		atomic_store(&f->cell.word,
			     mpr_future_with(word_of(f), MPR_FUTURE_RUNNING, 0));
	}
	assert_true(bury(f, 0));
	expect(f, MPR_FUTURE_DONE, -EOWNERDEAD);
	assert_int_equal(atomic_load(&f->deaths), 3);
	assert_false(bury(f, 0));
	mproc_future_close(f);
}

static void
one_that_nobody_wants_is_freed_by_who_ends_it(void **state)
{
	mproc_future *f = submit();

	(void)state;
	mproc_future_close(f);
	assert_true(word_of(f) & MPR_FUTURE_ABANDONED);
	assert_false(mpr_task_abandon(s.pool.use.arena, s.pool.self, f, word_of(f)));
	run_at(0, f, word_of(f));
	assert_int_equal(s.runs, 1);
	assert_false(mpr_entries_exist(&s.pool.use));

	f = submit();
	mproc_future_close(f);
	assert_true(mpr_task_drop(&s.pool.use, s.pool.self, f, word_of(f),
				  MPR_FUTURE_SHUT));
	assert_false(mpr_entries_exist(&s.pool.use));

	atomic_store(&s.pool.use.root->retries, 0);
	f = submit_and_take(1);
	mproc_future_close(f);
	assert_true(bury(f, 1));
	assert_false(mpr_entries_exist(&s.pool.use));
}

/* Its pool was freed while somebody was about to close it, and the place is another
 * one's: that one stays as it is. */
static void
one_in_the_same_place_is_not_closed(void **state)
{
	mproc_future *f = submit();
	uint64_t earlier = word_of(f) - MPR_FUTURE_ID_UNIT, word;

	(void)state;
	assert_false(mpr_task_abandon(s.pool.use.arena, s.pool.self, f, earlier));
	expect(f, MPR_FUTURE_QUEUED, 0);
	assert_false(word_of(f) & MPR_FUTURE_ABANDONED);
	run_at(0, f, word_of(f));
	word = word_of(f);
	assert_false(mpr_task_abandon(s.pool.use.arena, s.pool.self, f, earlier));
	assert_int_equal(word_of(f), word);
	assert_true(mpr_task_abandon(s.pool.use.arena, s.pool.self, f, word));
	assert_false(mpr_entries_exist(&s.pool.use));
}

static struct mpr_pool_group *
group_behind(const _Atomic uint64_t *link)
{
	uint64_t offset = atomic_load(link);

	return offset ? mpr_arena_at(s.pool.use.arena, offset) : NULL;
}

/* With the first one, so that it is full, in so many groups. */
static void
fill(mproc_future **fs, unsigned *n, unsigned groups)
{
	while (*n < groups * MPR_POOL_ENTRIES)
		fs[(*n)++] = submit();
}

static void
drop_all(mproc_future **fs, unsigned *n)
{
	for (; *n; --*n) {
		assert_int_equal(mproc_future_cancel(fs[*n - 1], 0), 0);
		mproc_future_close(fs[*n - 1]);
	}
}

static void
groups_are_added_behind_the_last_one(void **state)
{
	static mproc_future *fs[6 * MPR_POOL_ENTRIES];
	struct mpr_entries_walk walk = mpr_entries_walk(&s.pool.use);
	struct mpr_pool_root *root = s.pool.use.root;
	struct mpr_pool_group *first, *g;
	unsigned n = 0, found = 0;
	uint64_t second;

	(void)state;
	fill(fs, &n, 3);
	first = group_behind(&root->groups);
	/* Who began with the first one would add it there. */
	second = atomic_exchange(&first->next, 0);
	fill(fs, &n, 5);
	assert_int_equal(atomic_load(&first->next), 0);
	atomic_store(&first->next, second);
	/* From what is no group, and from the first one on. */
	atomic_store(&root->last, mpr_arena_offset(s.pool.use.arena, fs[0]));
	fill(fs, &n, 6);
	for (g = first; g; g = group_behind(&g->next)) {
		found++;
		if (!atomic_load(&g->next))
			assert_int_equal(mpr_arena_offset(s.pool.use.arena, g),
					 root->last);
	}
	assert_int_equal(found, 6);
	for (found = 0; mpr_entries_next(&walk);)
		found++;
	assert_int_equal(found, n);
	drop_all(fs, &n);
}

/* Where the list was cut, what is behind the cut is nobody's; by 0, or by what is no
 * group. */
static void
expect_groups_behind(_Atomic uint64_t *cut, uint64_t by)
{
	static mproc_future *fs[3 * MPR_POOL_ENTRIES];
	const struct mpr_pool_root *root;
	struct mpr_entries_walk walk;
	unsigned n = 0, found = 0;

	fill(fs, &n, 3);
	drop_all(fs, &n);
	atomic_store(cut, by);
	assert_int_equal(unkept_free(&s.pool), 0);
	root = s.pool.use.root;
	assert_int_equal(unkept_make(&s.pool, 2), 0);
	assert_ptr_equal(s.pool.use.root, root);
	fill(fs, &n, 3);
	walk = mpr_entries_walk(&s.pool.use);
	while (mpr_entries_next(&walk))
		found++;
	assert_int_equal(found, n);
	drop_all(fs, &n);
}

static void
a_new_pool_adds_groups_where_they_are_found(void **state)
{
	struct mpr_pool_root *root = s.pool.use.root;

	(void)state;
	drop_all((mproc_future *[]){ submit() }, &(unsigned){ 1 });
	expect_groups_behind(&group_behind(&root->groups)->next, 0);
	expect_groups_behind(&root->groups, 0);
	expect_groups_behind(&root->groups, mpr_arena_offset(s.pool.use.arena, root));
	expect_groups_behind(&group_behind(&root->groups)->next,
			     mpr_arena_offset(s.pool.use.arena, root));
	/* A circle. */
	expect_groups_behind(&group_behind(&root->groups)->next,
			     atomic_load(&root->groups));
}

static void
who_frees_is_known(void **state)
{
	uint64_t word = mpr_future_freed(s.pool.self);

	(void)state;
	assert_int_equal(mpr_future_state(word), MPR_FUTURE_FREED);
	assert_int_equal(mpr_future_freer(word), mpr_holder(s.pool.self));
}

static void
an_error_of_the_task_stays_with_it(void **state)
{
	mproc_future *f = submit();
	struct mproc_task_error e;

	(void)state;
	s.result = -EDOM;
	run_at(0, f, word_of(f));
	expect(f, MPR_FUTURE_DONE, -EDOM);
	assert_int_equal(mproc_future_error(f, &e), 0);
	assert_string_equal(e.text, "abc");
	mproc_future_close(f);
}

static _Atomic bool *begun; /* in shared memory */

static int
never_return(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	atomic_store(begun, true);
	for (;;)
		pause();
	return 0;
}

/* A pool with a keeper. */
static mproc_pool *
new_pool(void)
{
	mproc_pool *pool;

	assert_int_equal(mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts,
							     .workers = 1)), 0);
	return pool;
}

/* Who has revoked it was killed before it could have the worker killed. */
static void
what_is_revoked_comes_to_an_end(void **state)
{
	mproc_pool *pool;
	mproc_future *f;

	(void)state;
	/* Before the pool: its workers know where. */
	begun = mproc_alloc(sizeof(*begun));
	assert_non_null(begun);
	atomic_store(begun, false);
	pool = new_pool();
	assert_int_equal(mproc_pool_submit(pool, never_return, NULL, 0, &f), 0);
	while (!atomic_load(begun))
		mpr_task_yield();
	assert_true(mpr_task_revoke(f, word_of(f), MPR_FUTURE_CANCELED));
	assert_int_equal(mproc_future_wait(f, mproc_sec(10)), 0);
	expect(f, MPR_FUTURE_DONE, -ECANCELED);
	mproc_future_close(f);
	mproc_pool_free(pool);
	mproc_free(begun);
}

/* A worker that scribbles, and says that it has nothing of the pool's. */
static int
claim_to_have_left(const void *in, size_t len, struct mproc_result *out)
{
	(void)len;
	(void)out;
	atomic_store(&mpr_worker_self()->record->word, *(const uint64_t *)in);
	raise(SIGKILL);
	return 0;
}

static void
who_is_killed_has_not_left(void **state)
{
	const uint64_t claims[] = { 0, MPR_POOL_RESTS };
	mproc_pool *pool = new_pool();
	mproc_future *f;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mproc_pool_submit(pool, claim_to_have_left,
						   &claims[i], sizeof(claims[i]),
						   &f), 0);
		assert_int_equal(mproc_future_wait(f, mproc_sec(10)), 0);
		expect(f, MPR_FUTURE_DONE, -EOWNERDEAD);
		mproc_future_close(f);
	}
	mproc_pool_free(pool);
}

/* Whatever lies in the queue, the tasks behind it are done. */
static void
a_hint_that_is_none_stops_nobody(void **state)
{
	const struct mpr_pool_hint wild = { .offset = UINT64_MAX - 7 };
	mproc_pool *pool = new_pool();
	struct mpr_pool_use u;
	mproc_future *f;

	(void)state;
	assert_int_equal(mpr_pool_look_up(pool, &u), 0);
	for (size_t len = 0; len <= sizeof(wild); len += 8)
		assert_int_equal(mproc_queue_put(mpr_pool_queue(&u), &wild, len,
						 MPROC_NOWAIT), 0);
	assert_int_equal(mproc_pool_submit(pool, task, NULL, 0, &f), 0);
	assert_int_equal(mproc_future_wait(f, mproc_sec(10)), 0);
	mproc_future_close(f);
	mproc_pool_free(pool);
}

/* Of a process that is dead, and of one that has its id. */
static void
owners_with_one_id_are_two(void **state)
{
	mproc_pool *pool = new_pool();
	mproc_future *f[4];
	struct mproc_pool_stat stat;

	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(mproc_pool_submit(pool, task, NULL, 0, &f[i]),
				 0);
		assert_int_equal(mproc_future_wait(f[i], MPROC_FOREVER), 0);
	}
	/* Before we were there; but what another namespace says means nothing. */
	f[0]->owner_namespace++;
	f[0]->owner_since = 1;
	f[1]->owner_since = 1;
	f[3]->owner_since = 1;
	do
		assert_int_equal(mproc_pool_stat(pool, &stat), 0);
	while (stat.futures > 2);
	assert_int_equal(mproc_future_ready(f[0]), 1);
	assert_int_equal(mproc_future_ready(f[2]), 1);
	mproc_future_close(f[0]);
	mproc_future_close(f[2]);
	mproc_pool_free(pool);
}

/* The test is the keeper, and sees whether it is woken. */
static bool
wakes_the_keeper(int64_t idle_timeout, uint64_t resting)
{
	uint32_t before;
	mproc_future *f;

	atomic_store(&s.pool.use.root->idle_timeout, idle_timeout);
	atomic_store(&s.pool.use.root->resting, resting);
	atomic_store(&s.pool.use.root->keeper, mpr_holder(s.pool.self));
	before = mpr_park_ticket(s.pool.self);
	f = submit();
	run_at(0, f, word_of(f));
	mproc_future_close(f);
	atomic_store(&s.pool.use.root->keeper, 0);
	return mpr_park_ticket(s.pool.self) != before;
}

static void
who_submits_wakes_the_keeper_while_workers_rest(void **state)
{
	(void)state;
	assert_false(wakes_the_keeper(0, 0));
	assert_false(wakes_the_keeper(1, 0));
	assert_true(wakes_the_keeper(1, 1));
}

static int
setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	return unkept_make(&s.pool, 2);
}

static int
teardown(void **state)
{
	(void)state;
	return unkept_free(&s.pool);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_task_is_run_once),
		test(no_result_is_above_zero),
		test(what_is_scribbled_is_not_canceled_for_ever),
		test(a_phase_that_is_none_is_the_end),
		test(what_is_dropped_is_not_run),
		test(what_runs_is_not_dropped),
		test(what_is_revoked_is_done_once_its_worker_is_dead),
		test(a_task_of_the_dead_is_queued_as_often_as_it_may),
		test(one_that_nobody_wants_is_freed_by_who_ends_it),
		test(one_in_the_same_place_is_not_closed),
		test(groups_are_added_behind_the_last_one),
		test(a_new_pool_adds_groups_where_they_are_found),
		test(who_frees_is_known),
		test(an_error_of_the_task_stays_with_it),
		test(what_is_revoked_comes_to_an_end),
		test(who_is_killed_has_not_left),
		test(a_hint_that_is_none_stops_nobody),
		test(owners_with_one_id_are_two),
		test(who_submits_wakes_the_keeper_while_workers_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
