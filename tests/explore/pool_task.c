/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a task, in all schedules: two workers that may take it, of which one may
 * be killed; the keeper that buries that one; who waits for the result, cancels the task,
 * or closes its future.
 *
 * A task is run by one at a time, once, and once more for each death that it may have.
 * What was dropped is not run. Its future comes to be done, whoever waits is woken and
 * finds what the task has written; and is freed once, when nobody has the task.
 */
#include <errno.h>

#include "pool/entries.h"
#include "pool/future.h"
#include "pool/task.h"
#include "pool_task.h"

#define NOBODY EXPLORE_FIBERS
#define ID (UINT64_C(5) * MPR_FUTURE_ID_UNIT)

/* Where in the block of cells they lie. */
enum { POOL_AT = 0, ROOT_AT = 5, FUTURE_AT = 13, WORKERS_AT = 21 };

static struct {
	struct mpr_worker workers[POOL_WORKERS];
	unsigned fiber[POOL_WORKERS]; /* of each */
	bool has_ended[EXPLORE_FIBERS]; /* by itself */
	unsigned inside; /* who runs the task */
	unsigned runs;
	unsigned frees;
	bool dropped;
	unsigned dropped_at; /* runs, by then */
} known;

static sync_part closes, cancels;

static struct mpr_pool_root *
root(void)
{
	return sync_cell(ROOT_AT);
}

static struct mproc_future *
future(void)
{
	return sync_cell(FUTURE_AT);
}

static uint64_t
newest(void)
{
	return explore_newest(&future()->cell.word);
}

static struct mpr_pool_use
use(void)
{
	return (struct mpr_pool_use){
		.pool = sync_cell(POOL_AT),
		.arena = world_arena(),
		.root = root(),
		.generation = 1,
	};
}

/* For what lies beside. */

static struct mpr_worker *
worker_of_fiber(void)
{
	for (unsigned w = 0; w < POOL_WORKERS; w++)
		if (known.fiber[w] == explore_current())
			return &known.workers[w];
	return NULL;
}

struct mpr_worker *
mpr_worker_self(void)
{
	return worker_of_fiber();
}

struct mpr_worker *
mpr_worker_process(void)
{
	return worker_of_fiber();
}

/* Until it is freed, others may find it. */
void
mpr_future_free(mproc_arena *a, struct mpr_self *self, struct mproc_future *f)
{
	(void)a;
	(void)self;
	(void)f;
	explore_point();
	explore_check(known.inside == NOBODY || explore_killed(known.inside));
	explore_check(++known.frees == 1);
}

/* Workers. */

static int
task(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	explore_check(known.inside == NOBODY || explore_killed(known.inside));
	explore_check(!known.dropped || known.runs == known.dropped_at);
	known.inside = explore_current();
	known.runs++;
	sync_data_change();
	known.inside = NOBODY;
	return 0;
}

/* Whether there is something to take, or nothing will be. */
static bool
is_to_look(unsigned fiber)
{
	(void)fiber;
	return mpr_future_state(newest()) != MPR_FUTURE_RUNNING;
}

static void
works(unsigned me, const struct sync_role *role)
{
	struct mpr_worker *w = &known.workers[role->n];

	do {
		explore_wait(is_to_look);
		if (mpr_future_state(newest()) != MPR_FUTURE_QUEUED)
			break;
		mpr_task_run(w, mpr_arena_offset(world_arena(), future()), ID);
	} while (!w->revoked);
	known.has_ended[me] = true;
}

/* The keeper. */

static bool
is_dead(unsigned w)
{
	return explore_killed(known.fiber[w]) || known.has_ended[known.fiber[w]];
}

/* Who was to free it, and did not come to that. */
static bool
is_left(uint64_t word)
{
	return mpr_future_state(word) == MPR_FUTURE_FREED && !known.frees &&
	       explore_killed(mpr_holder_slot(mpr_future_freer(word)));
}

static bool
is_to_be_kept(unsigned fiber)
{
	uint64_t word = newest();

	(void)fiber;
	if (mpr_future_state(word) == MPR_FUTURE_RUNNING)
		return word & MPR_FUTURE_REVOKED ||
		       is_dead(word & MPR_FUTURE_WORKER);
	return is_left(word) || known.frees ||
	       (mpr_future_state(word) == MPR_FUTURE_DONE && !sync_has(closes));
}

static void
keeps(unsigned me, const struct sync_role *role)
{
	const struct mpr_pool_use u = use();
	struct mpr_self *self = world_self(me);
	uint64_t word;
	unsigned w;

	(void)role;
	for (;;) {
		explore_wait(is_to_be_kept);
		word = atomic_load(&future()->cell.word);
		w = (unsigned)(word & MPR_FUTURE_WORKER);
		if (mpr_future_state(word) == MPR_FUTURE_RUNNING) {
			if (!is_dead(w) && !(word & MPR_FUTURE_REVOKED))
				continue;
			if (!is_dead(w))
				explore_kill(known.fiber[w]);
			explore_inherit(known.fiber[w]);
			mpr_task_bury(&u, self, future(), w, NULL);
		} else if (is_left(word)) {
			explore_inherit(mpr_holder_slot(mpr_future_freer(word)));
			mpr_future_free(u.arena, self, future());
		} else if (mpr_future_state(word) == MPR_FUTURE_DONE ||
			   known.frees) {
			return;
		}
	}
}

/* It takes the place of the one that is killed. */
static bool
is_first_dead(unsigned fiber)
{
	(void)fiber;
	return explore_killed(0);
}

/* Who has the future. */

static void
waits(unsigned me, const struct sync_role *role)
{
	struct mpr_future_use u;
	int r;

	(void)me;
	(void)role;
	r = mpr_future_look_up(future(), &u);
	if (r == 0)
		r = mpr_future_wait(&u, MPROC_FOREVER);
	/* Somebody has closed it meanwhile. */
	if (sync_has(closes) && (r == -ESTALE || r == -ESHUTDOWN))
		return;
	explore_check(r == 0);
	if (!sync_has(closes))
		sync_data_check();
}

static void
closes(unsigned me, const struct sync_role *role)
{
	struct mpr_future_use u;

	(void)me;
	(void)role;
	explore_check(mpr_future_look_up(future(), &u) == 0);
	mpr_future_close(&u);
}

static void
cancels(unsigned me, const struct sync_role *role)
{
	struct mpr_future_use u;
	int r;

	(void)me;
	explore_check(mpr_future_look_up(future(), &u) == 0);
	r = mpr_future_cancel(&u, role->how);
	explore_check(r == 0 || r == -EALREADY || (r == -EBUSY && !role->how));
	/* What nobody has begun is not begun, and what runs is not done again. */
	known.dropped = r == 0;
	known.dropped_at = known.runs;
}

/* The beginning and the end. */

static void
begin_worker(unsigned w)
{
	struct mpr_pool_worker *records = sync_cell(WORKERS_AT);

	known.fiber[w] = NOBODY;
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++)
		if (sync_now->roles[f].run == works &&
		    sync_now->roles[f].n == w)
			known.fiber[w] = f;
	known.workers[w] = (struct mpr_worker){
		.use = use(),
		.record = &records[w],
		.generation = 1,
		.number = w,
	};
}

static void
begin(void)
{
	union {
		mproc_task *fn;
		uint64_t word;
	} fn = { .word = 0 };
	struct mproc_pool *pool = sync_cell(POOL_AT);
	struct mproc_future *f = future();
	struct mpr_pool_root *r = root();
	mproc_arena *a = world_arena();

	known.inside = NOBODY;
	known.runs = known.frees = 0;
	known.dropped = false;
	fn.fn = task;
	atomic_init(&pool->cell.word, mpr_pool_word(1));
	atomic_init(&pool->cell.generation, 1);
	atomic_init(&pool->root, mpr_arena_offset(a, r));
	r->mark = MPR_POOL_MARK + mpr_arena_offset(a, pool);
	atomic_init(&r->phase, UINT64_C(1) << 32 | MPR_POOL_OPEN);
	atomic_init(&r->workers, mpr_arena_offset(a, sync_cell(WORKERS_AT)));
	atomic_init(&r->retries, sync_now->value);
	atomic_init(&f->cell.word, mpr_future_word(ID, MPR_FUTURE_QUEUED, 0));
	atomic_init(&f->cell.generation, 1);
	atomic_init(&f->pool, mpr_arena_offset(a, pool));
	f->fn = fn.word;
	for (unsigned w = 0; w < POOL_WORKERS; w++)
		begin_worker(w);
	for (unsigned i = 0; i < EXPLORE_FIBERS; i++)
		known.has_ended[i] = false;
	explore_share(SYNC_OBJECT, &f->cell.word, 8, "future");
	sync_data_share();
}

static void
end(void)
{
	uint64_t word = newest();
	enum mpr_future_state state = mpr_future_state(word);
	unsigned deaths = explore_killed(known.fiber[0]);
	bool revoked = word & MPR_FUTURE_REVOKED;

	if (sync_has(closes))
		explore_check(state == MPR_FUTURE_FREED && known.frees == 1);
	else
		explore_check(state == MPR_FUTURE_DONE && !known.frees);
	explore_check(known.runs <= 1 + deaths);
	if (known.dropped)
		explore_check(mpr_task_result(future(), word) == -ECANCELED);
	if (sync_has(cancels) || sync_has(closes))
		return;
	/* Its result, or the death that it could not have. */
	explore_check(!revoked);
	if (mpr_task_result(future(), word) == 0)
		explore_check(known.runs);
	else
		explore_check(deaths > sync_now->value);
}

/* Who is to begin after a death. */
static bool
may_sleep(unsigned fiber)
{
	return sync_now->roles[fiber].when && !sync_now->roles[fiber].when(fiber);
}

static const struct sync_object a_task = {
	.kind = MPR_CELL_POOL,
	.begin = begin,
	.end = end,
	.may_sleep = may_sleep,
};

#define WORKS(number) { .run = works, .n = number }
#define WORKS_AND_MAY_DIE(number) { .run = works, .n = number, .mortal = true }
#define KEEPS { .run = keeps }
#define WAITS { .run = waits }

const struct sync_case pool_task_cases[POOL_TASK_CASES] = {
	[POOL_TASK_RUN] = {
		.name = "one of two workers runs it",
		.object = &a_task,
		.roles = { WORKS_AND_MAY_DIE(0), WORKS(1), KEEPS, WAITS },
		.fewer = 2,
	},
	[POOL_TASK_RUN_AGAIN] = {
		.name = "it is run again if one dies",
		.object = &a_task,
		.roles = { WORKS_AND_MAY_DIE(0), WORKS(1), KEEPS, WAITS },
		.value = 1,
		.fewer = 2,
	},
	[POOL_TASK_CLOSED] = {
		.name = "its future is closed",
		.object = &a_task,
		.roles = { WORKS_AND_MAY_DIE(0), WORKS(1), KEEPS,
			   { .run = closes } },
		.value = 1,
		.fewer = 1,
	},
	[POOL_TASK_CLOSED_AND_AWAITED] = {
		.name = "its future is closed by another one than who waits",
		.object = &a_task,
		.roles = { WORKS_AND_MAY_DIE(0), WORKS(1), KEEPS,
			   { .run = closes }, WAITS },
		.value = 1,
		.fewer = 2,
	},
	[POOL_TASK_CANCELED] = {
		.name = "it is canceled, and its worker killed",
		.object = &a_task,
		.roles = { WORKS_AND_MAY_DIE(0), KEEPS,
			   { .run = cancels, .how = MPROC_CANCEL_RUNNING },
			   WAITS },
		.fewer = 2,
	},
	[POOL_TASK_DROPPED] = {
		.name = "it is canceled if nobody has begun it",
		.object = &a_task,
		.roles = { WORKS_AND_MAY_DIE(0), KEEPS, { .run = cancels },
			   WAITS },
		.fewer = 2,
	},
	/* As it is killed for that, this is about what two deaths leave. */
	[POOL_TASK_KEPT_BY_TWO] = {
		.name = "the keeper dies as it buries a worker",
		.object = &a_task,
		.roles = { { .run = keeps, .mortal = true }, WORKS(0),
			   { .run = cancels, .how = MPROC_CANCEL_RUNNING },
			   { .run = keeps, .when = is_first_dead } },
		.fewer = 1,
	},
};
