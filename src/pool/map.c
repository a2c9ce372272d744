/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/macros.h"
#include "pool/code.h"
#include "pool/entries.h"
#include "pool/map.h"
#include "pool/map_chunk.h"

#define PAGE 4096 /* or more */
#define AROUND UINT64_C(65536) /* what Linux maps at once for a read, and aligned so */

static bool
cas(_Atomic uint64_t *word, uint64_t *from, uint64_t to)
{
	return atomic_compare_exchange_strong(word, from, to);
}

size_t
mpr_map_size(uint64_t n, unsigned n_shares)
{
	return sizeof(struct mproc_future) + sizeof(struct mpr_map) +
	       n_shares * sizeof(struct mpr_map_share) +
	       mpr_round_up(n / 8 + 1, 64);
}

MPR_CHILD_PATH bool
mpr_map_look_at(const struct mpr_pool_use *u, struct mproc_future *f,
		struct mpr_map_use *ret_m)
{
	struct mpr_map *map = mpr_map_behind(f);
	struct mpr_block_ref ref;
	struct mpr_map_use *m = ret_m;

	if (!mpr_future_is_a(f, MPR_FUTURE_MAP) ||
	    !mpr_heap_find_linked(u->arena, mpr_arena_offset(u->arena, f), &ref) ||
	    ref.size < mpr_map_size(0, 0))
		return false;
	*m = (struct mpr_map_use){
		.pool = u,
		.f = f,
		.map = map,
		.shares = (struct mpr_map_share *)(map + 1),
		.n = map->n,
		.chunk = map->chunk,
		.largest = map->largest,
		.n_shares = map->n_shares,
		.round = map->round,
		.size = ref.size,
	};
	if (m->n > MPR_MAP_ITEMS_MAX || m->n_shares > MPR_POOL_WORKERS_MAX ||
	    m->round > MPR_POOL_WORKERS_MAX ||
	    !m->chunk || m->chunk > MPR_MAP_ITEMS_MAX ||
	    m->largest > MPR_MAP_ITEMS_MAX ||
	    ref.size < mpr_map_size(m->n, m->n_shares))
		return false;
	m->bits = (_Atomic uint64_t *)(m->shares + m->n_shares);
	m->n_chunks = mpr_map_chunk_count(m);
	return true;
}

static bool
is_item(const struct mpr_map_use *m, uint64_t desk)
{
	return desk & MPR_DESK_HAS && mpr_desk_item(desk) < m->n;
}

static uint64_t
share_word(uint64_t id, enum mpr_future_state state, unsigned worker)
{
	return mpr_future_word(id, state, worker);
}

/* Whether there are chunks that nobody has claimed. */
static bool
has_chunks(const struct mpr_map_use *m)
{
	return atomic_load(&m->map->next) / MPR_MAP_CHUNK_UNIT < m->n_chunks;
}

/* A share that nobody has. */
enum waiting {
	WAITS_NOT, /* or there is nothing to do for it */
	WAITS_EMPTY, /* it has no chunk, but there are some */
	WAITS_WITH_ITEM, /* nobody else can do that */
};

static enum waiting
how_waits(const struct mpr_map_use *m, unsigned s, uint64_t id)
{
	if (atomic_load(&m->shares[s].word) != share_word(id, MPR_FUTURE_QUEUED, 0))
		return WAITS_NOT;
	if (is_item(m, atomic_load(&m->shares[s].desk)))
		return WAITS_WITH_ITEM;
	return has_chunks(m) ? WAITS_EMPTY : WAITS_NOT;
}

bool
mpr_map_waits(const struct mpr_map_use *m, uint64_t id)
{
	for (unsigned s = 0; s < m->n_shares; s++)
		if (how_waits(m, s, id) != WAITS_NOT)
			return true;
	return false;
}

/* A hint for each share that waits like that, for @most of them. */
static int
announce(const struct mpr_map_use *m, uint64_t id, enum waiting how, unsigned most,
	 unsigned *n)
{
	int r = 0;

	for (unsigned s = 0; s < m->n_shares && most && r == 0; s++) {
		if (how_waits(m, s, id) != how)
			continue;
		r = mpr_task_put_hint(m->pool, m->f, id);
		*n += r == 0;
		most--;
	}
	return r;
}

int
mpr_map_announce(const struct mpr_map_use *m, uint64_t id)
{
	uint32_t workers = atomic_load(&m->pool->root->n_workers);
	unsigned n = 0;
	int r;

	/* Who takes one takes a share that has an item, if there is one, and does no
	 * other: so there are to be as many hints as those, whoever else is to come. */
	r = announce(m, id, WAITS_WITH_ITEM, m->n_shares, &n);
	if (r < 0)
		return r;
	r = announce(m, id, WAITS_EMPTY, workers ? workers : 1, &n);
	/* Who takes one of any of these does all that is in no chunk, if nobody else
	 * comes. */
	return n ? 0 : r;
}

/* Notes the last claim that was made, as @next says, in the desk of its share, unless
 * that was done. */
static void
note_claim(const struct mpr_map_use *m, uint64_t next)
{
	uint64_t chunks = next / MPR_MAP_CHUNK_UNIT, share = next & MPR_MAP_SHARE;
	uint64_t desk, first;

	if (!chunks || share >= m->n_shares)
		return;
	first = mpr_map_chunk_begin(m, chunks - 1);
	desk = atomic_load(&m->shares[share].desk);
	/* Later values have a later item, or HAS; so if it is this one still, it has
	 * not been noted, and the CAS is for this claim and no other. */
	if (!(desk & MPR_DESK_HAS) && mpr_desk_item(desk) <= first)
		cas(&m->shares[share].desk, &desk,
		    mpr_desk(first, MPR_DESK_HAS));
}

/* The next chunk for share @s, which is the caller's and has none. */
static bool
claim(const struct mpr_worker *me, const struct mpr_map_use *m, unsigned s)
{
	/* seq_cst: the CAS says at once which chunk is whose. */
	uint64_t next = atomic_load(&m->map->next), chunks;

	do {
		chunks = next / MPR_MAP_CHUNK_UNIT;
		if (chunks >= m->n_chunks)
			return false;
		note_claim(m, next);
		if (mpr_worker_is_copy(me))
			return false;
	} while (!cas(&m->map->next, &next,
		      (chunks + 1) * MPR_MAP_CHUNK_UNIT | s));
	note_claim(m, (chunks + 1) * MPR_MAP_CHUNK_UNIT | s);
	return true;
}

static bool
is_failed(const struct mpr_map_use *m, uint64_t item)
{
	return atomic_load(&m->bits[item / 64]) >> item % 64 & 1;
}

/* The errors of items, 0 for those that there was no memory for, made if there are none;
 * NULL without memory. */
static _Atomic int32_t *
codes_of(const struct mpr_map_use *m, struct mpr_self *self)
{
	mproc_arena *a = m->pool->arena;
	struct mpr_block_ref ref;

	if (!atomic_load(&m->map->codes) && self &&
	    mpr_heap_reserve(a, self, m->n * sizeof(int32_t), &ref) == 0 &&
	    !mpr_block_try_link(a, self, &ref, &m->map->codes))
		mpr_block_cancel(self, &ref);
	if (!atomic_load(&m->map->codes) ||
	    !mpr_heap_find_at(a, &m->map->codes, &ref) ||
	    ref.size / sizeof(int32_t) < m->n)
		return NULL;
	return mpr_arena_at(a, ref.offset);
}

/* An item has failed: nothing more is begun, if that is what is wanted. */
static void
stop(const struct mpr_map_use *m)
{
	if (m->map->fail_fast)
		atomic_store(&m->map->stopped, 1);
}

/* An item has failed. By who has its share. Again it has no effect. */
static void
fail(const struct mpr_map_use *m, struct mpr_self *self, uint64_t item, int error)
{
	_Atomic int32_t *codes = codes_of(m, self);

	if (codes)
		atomic_store(&codes[item], error);
	atomic_store(&m->map->failed, 1);
	/* seq_cst: the error is there before. */
	atomic_fetch_or(&m->bits[item / 64], UINT64_C(1) << item % 64);
	stop(m);
}

/* Nothing more of it is to be begun. */
static bool
is_over(const struct mpr_map_use *m)
{
	return atomic_load(&m->f->cell.word) & MPR_FUTURE_REVOKED ||
	       atomic_load(&m->map->stopped);
}

/* The caller's desk, from *@desk to @to. Returns false if it has become OVERDUE. */
static bool
move(struct mpr_map_share *share, uint64_t *desk, uint64_t to, bool limited)
{
	if (limited && !cas(&share->desk, desk, to))
		return false;
	/* Release: what was done for the item before is there. Pairs with the loads
	 * of who buries us, and of who counts. */
	if (!limited)
		atomic_store_explicit(&share->desk, to, memory_order_release);
	*desk = to;
	return true;
}

/* In the place of a function that is not in this process: the error of each item. */
static int
is_not_here(const void *in, void *out, void *ctx)
{
	(void)in;
	(void)out;
	(void)ctx;
	return -ENOEXEC;
}

static mproc_map_fn *
function_of(const struct mpr_map_use *m)
{
	mpr_function *fn = mpr_code_find(m->pool, m->f->fn);

	return fn ? (mproc_map_fn *)fn : is_not_here;
}

enum chunk_end {
	CHUNK_DONE, /* or nothing more of it is wanted */
	CHUNK_LEFT, /* the worker has done all that it may do */
	CHUNK_LOST, /* overdue */
	CHUNK_FORKED, /* this is a copy of the worker */
};

/* Who waits for a map in a task goes on until there is none left. */
static uint64_t
left_for(const struct mpr_worker *me)
{
	return me->depth == 1 ? mpr_worker_left(me) : UINT64_MAX;
}

static MPR_NOINLINE void
note_failure(const struct mpr_worker *me, const struct mpr_map_use *m, uint64_t item,
	     int error)
{
	if (!mpr_worker_is_copy(me))
		fail(m, mpr_self_in(m->pool->arena), item, error);
}

/* Of a chunk what is done at once. */
struct stint {
	struct mproc_map_run run;
	struct mpr_worker *me;
	const struct mpr_map_use *m;
	struct mpr_map_share *share;
	uint64_t desk; /* as it is, if each item has a time limit */
	bool limited; /* that is so */
	bool looks; /* after each whether the map is over */
};

/* Maps where the results go, as far as the kernel does that for a read: many pages at
 * once, of which each would be a fault when it is written. */
static void
look_at_results(struct stint *s)
{
	const struct mproc_map_run *run = &s->run;
	const uint64_t items = (run->end - run->next) / run->step;
	const uint64_t out = run->out, end = out + items * run->out_size;

	/* Of chunks within a page few begin one. Nobody can look at what goes round. */
	if (end - out < PAGE || end > UINT64_MAX - AROUND)
		return;
	/* There may be no memory. Who dies of that has begun no item that would count
	 * it, and the next one dies of its item. A copy writes nothing. */
	if (mpr_worker_is_copy(s->me) || atomic_load(&s->share->looks))
		return;
	atomic_store(&s->share->looks, 1);
	for (uint64_t at = out; at < end; at = (at / AROUND + 1) * AROUND)
		(void)*(const volatile char *)mpr_map_address(at);
	if (!mpr_worker_is_copy(s->me))
		atomic_store(&s->share->looks, 0);
}

/* Item by item, and asks before and after each one. */
static enum chunk_end
run_asking(struct stint *s)
{
	struct mproc_map_run *run = &s->run;
	int r;

	do {
		if (s->limited && !mpr_worker_is_copy(s->me))
			/* Before the desk, by which the keeper looks at it. */
			atomic_store(&s->share->started, mproc_now());
		/* After all that can be done before. */
		if (mpr_worker_is_copy(s->me))
			return CHUNK_FORKED;
		if (!move(s->share, &s->desk, run->next, s->limited))
			return CHUNK_LOST;
		r = run->fn(mpr_map_address(run->in), mpr_map_address(run->out),
			    run->ctx);
		if (mpr_unlikely(r < 0))
			note_failure(s->me, s->m, mpr_desk_item(run->next), r);
		run->in += run->in_size;
		run->out += run->out_size;
		run->next += run->step;
	} while (run->next < run->end && !(s->looks && is_over(s->m)));
	return CHUNK_DONE;
}

/* By the loop that is near them. What that leaves is not for it. */
static enum chunk_end
run_straight(struct stint *s)
{
	struct mproc_map_run *run = &s->run;
	mproc_map_loop *loop = s->m->pool->loop;
	uint64_t from;
	int r;

	/* Before the loop, which says so, too: who dies in it dies of this item, and not
	 * for ever. */
	if (mpr_worker_is_copy(s->me))
		return CHUNK_FORKED;
	move(s->share, &s->desk, run->next, false);
	/* The error of a loop that has not moved is no item's. */
	for (from = run->next; (r = loop(run)) < 0 && run->next > from; from = run->next)
		note_failure(s->me, s->m, mpr_desk_item(run->next - run->step), r);
	return run->next < run->end ? run_asking(s) : CHUNK_DONE;
}

/* Does the chunk that the share has, or as much of it as the worker may do. */
static enum chunk_end
run_chunk(struct mpr_worker *me, const struct mpr_map_use *m,
	  struct mpr_map_share *share, bool limited)
{
	const struct mpr_map *map = m->map;
	const uint64_t flags = MPR_DESK_HAS | MPR_DESK_BEGUN, left = left_for(me);
	const uint64_t desk = atomic_load(&share->desk);
	const uint64_t first = mpr_desk_item(desk);
	const uint64_t end = mpr_map_chunk_end(m, first);
	const uint64_t stop = left < end - first ? first + left : end;
	struct stint s = {
		.run = {
			.fn = function_of(m),
			.ctx = mpr_map_address(map->ctx),
			.in = map->in + first * map->in_size,
			.in_size = map->in_size,
			.out = map->out + first * map->out_size,
			.out_size = map->out_size,
			.next = mpr_desk(first, flags),
			.step = MPR_DESK_ITEM_UNIT,
			.end = mpr_desk(stop, flags),
			.begun = (uint64_t *)(uintptr_t)&share->desk,
			.place = (const uint64_t *)(uintptr_t)
				mpr_generation_place(),
			.mark = me->generation,
		},
		.me = me,
		.m = m,
		.share = share,
		.desk = desk,
		.limited = limited,
		/* Others are killed for what has come to its end. */
		.looks = map->fail_fast || me->stays,
	};
	uint64_t item;
	enum chunk_end r;

	look_at_results(&s);
	r = s.limited || s.looks ? run_asking(&s) : run_straight(&s);
	if (r != CHUNK_DONE)
		return r;
	if (mpr_worker_is_copy(me))
		return CHUNK_FORKED;
	item = mpr_desk_item(s.run.next);
	mpr_worker_did(me, item - first);
	return move(share, &s.desk, mpr_desk(item, item < end ? MPR_DESK_HAS : 0),
		    limited) ? CHUNK_DONE : CHUNK_LOST;
}

/* QUEUED to RUNNING at us, of those that wait like that; returns its number, or -1. From
 * then on the map stays. */
static int
take(const struct mpr_worker *me, const struct mpr_map_use *m, uint64_t id,
     enum waiting how)
{
	for (unsigned s = 0; s < m->n_shares; s++) {
		uint64_t queued = share_word(id, MPR_FUTURE_QUEUED, 0);

		if (how_waits(m, s, id) == how && !mpr_worker_is_copy(me) &&
		    cas(&m->shares[s].word, &queued,
			share_word(id, MPR_FUTURE_RUNNING, me->number)))
			return (int)s;
	}
	return -1;
}

/* The future, from QUEUED to SHARED. */
static void
begin(const struct mpr_map_use *m)
{
	uint64_t word = atomic_load(&m->f->cell.word);

	while (mpr_future_state(word) == MPR_FUTURE_QUEUED &&
	       !cas(&m->f->cell.word, &word,
		    mpr_future_with(word, MPR_FUTURE_SHARED, 0)))
		;
}

static enum chunk_end
run_chunks(struct mpr_worker *me, const struct mpr_map_use *m, unsigned s,
	   bool limited)
{
	struct mpr_map_share *share = &m->shares[s];
	enum chunk_end end = CHUNK_DONE;

	begin(m);
	while (end == CHUNK_DONE && !is_over(m)) {
		if (mpr_unlikely((me->depth == 1 && mpr_worker_is_surplus(me)) ||
				 !left_for(me)))
			return CHUNK_LEFT;
		/* What is no item after that was scribbled. */
		if (!is_item(m, atomic_load(&share->desk)) &&
		    (!claim(me, m, s) || !is_item(m, atomic_load(&share->desk))))
			break;
		end = run_chunk(me, m, share, limited);
	}
	return end;
}

void
mpr_map_run(struct mpr_worker *me, const struct mpr_map_use *m, uint64_t id)
{
	bool outermost = !me->depth;
	struct mpr_self *self;
	enum chunk_end end;
	int s = take(me, m, id, WAITS_WITH_ITEM);
	uint64_t word;

	if (s < 0)
		s = take(me, m, id, WAITS_EMPTY);

	if (s < 0)
		return;
	me->depth++;
	if (outermost)
		atomic_store(&me->record->lease,
			     mpr_arena_offset(m->pool->arena, m->f));
	end = run_chunks(me, m, (unsigned)s, outermost && me->limited);
	if (end == CHUNK_FORKED || mpr_worker_is_copy(me))
		return;
	me->depth--;
	if (outermost)
		atomic_store(&me->record->lease, 0);
	atomic_store(&m->shares[s].started, 0);
	word = share_word(id, MPR_FUTURE_RUNNING, me->number);
	if (mpr_worker_is_copy(me))
		return;
	/* seq_cst: of those that do this at the same time, the last one finds in
	 * mpr_map_settle() that all have. What is left another one takes, by the
	 * same hint. */
	if (end == CHUNK_LOST ||
	    !cas(&m->shares[s].word, &word,
		 share_word(id, end == CHUNK_LEFT ? MPR_FUTURE_QUEUED :
						    MPR_FUTURE_DONE, 0))) {
		me->revoked = true;
		return;
	}
	self = mpr_self_in(m->pool->arena);
	if (self)
		mpr_map_settle(m, self, id);
}

/* What stays of a share that nobody has is not to be done: DONE. Returns false if it
 * is to be done, or somebody has it. */
static bool
close_share(const struct mpr_map_use *m, struct mpr_map_share *share, uint64_t id)
{
	uint64_t word = atomic_load(&share->word);

	/* Another map is there by now. */
	if ((word ^ id) & MPR_FUTURE_ID)
		return false;
	if (mpr_future_state(word) == MPR_FUTURE_QUEUED &&
	    (is_over(m) || !is_item(m, atomic_load(&share->desk))))
		return cas(&share->word, &word,
			   share_word(id, MPR_FUTURE_DONE, 0));
	return mpr_future_state(word) == MPR_FUTURE_DONE;
}

/* The caller may have no share: nothing is written but by a CAS that names the id. */
void
mpr_map_settle(const struct mpr_map_use *m, struct mpr_self *self, uint64_t id)
{
	uint64_t word = atomic_load(&m->f->cell.word);

	if ((word ^ id) & MPR_FUTURE_ID ||
	    (mpr_future_state(word) != MPR_FUTURE_QUEUED &&
	     mpr_future_state(word) != MPR_FUTURE_SHARED) ||
	    (!is_over(m) && atomic_load(&m->map->next) / MPR_MAP_CHUNK_UNIT <
				    m->n_chunks))
		return;
	for (unsigned s = 0; s < m->n_shares; s++)
		if (!close_share(m, &m->shares[s], id))
			return;
	while (mpr_future_state(word) == MPR_FUTURE_QUEUED &&
	       !((word ^ id) & MPR_FUTURE_ID))
		if (cas(&m->f->cell.word, &word,
			mpr_future_with(word, MPR_FUTURE_SHARED, 0)))
			break;
	mpr_task_finish(m->pool, self, m->f,
			mpr_future_word(id, MPR_FUTURE_SHARED, 0),
			MPR_FUTURE_WAITED | MPR_FUTURE_ABANDONED | MPR_FUTURE_REVOKED,
			0);
}

bool
mpr_map_drop(const struct mpr_map_use *m, struct mpr_self *self, uint64_t id,
	     uint64_t why)
{
	uint64_t word = atomic_load(&m->f->cell.word);

	do {
		if ((word ^ id) & MPR_FUTURE_ID ||
		    mpr_future_state(word) != MPR_FUTURE_QUEUED)
			return false;
	} while (!cas(&m->f->cell.word, &word,
		      mpr_future_with(word, MPR_FUTURE_SHARED, 0) | why));
	mpr_map_settle(m, self, id);
	return true;
}

/* Who has the share is to be killed, and cannot give it back: so it takes nothing else,
 * which would be killed with it. Returns whether @word, which was read there, is that of
 * one who has it. */
static bool
revoke_share(struct mpr_map_share *share, uint64_t id, uint64_t word)
{
	return !((word ^ id) & MPR_FUTURE_ID) &&
	       mpr_future_state(word) == MPR_FUTURE_RUNNING &&
	       (word & MPR_FUTURE_CANCELED ||
		cas(&share->word, &word, word | MPR_FUTURE_CANCELED));
}

void
mpr_map_each_worker(const struct mpr_map_use *m, uint64_t id,
		    mpr_map_worker_fn *fn, void *ctx)
{
	for (unsigned s = 0; s < m->n_shares; s++) {
		uint64_t word = atomic_load(&m->shares[s].word);

		if (revoke_share(&m->shares[s], id, word))
			fn(ctx, (unsigned)(word & MPR_FUTURE_WORKER));
	}
}

void
mpr_map_doom(const struct mpr_map_use *m, uint64_t id)
{
	for (unsigned s = 0; s < m->n_shares; s++) {
		uint64_t word = atomic_load(&m->shares[s].word), holder;
		struct mpr_pool_worker *record;

		record = mpr_pool_worker_at(m->pool, word & MPR_FUTURE_WORKER);
		/* Before the share is revoked: if that succeeds, it is this one
		 * that has it, or one that has died meanwhile. */
		holder = record ? atomic_load(&record->word) : 0;
		if (revoke_share(&m->shares[s], id, word) && holder)
			atomic_store(&record->doomed, holder);
	}
}

/* What the dead worker was doing of its share: the item in its hands is to be done
 * again, or has failed. */
static void
bury_item(const struct mpr_map_use *m, struct mpr_self *self,
	  struct mpr_map_share *share, unsigned number,
	  const struct mproc_exit *end)
{
	uint64_t desk = atomic_load(&share->desk), item = mpr_desk_item(desk);
	uint64_t deaths = atomic_load(&share->deaths);
	bool failed;

	if (!is_item(m, desk) || !(desk & MPR_DESK_BEGUN))
		return;
	failed = is_failed(m, item);
	if (failed) {
		/* It may have died before it could do that. */
		stop(m);
	} else if (desk & MPR_DESK_OVERDUE) {
		fail(m, self, item, -ETIMEDOUT);
	} else {
		/* It was killed for the map's sake. */
		if (atomic_load(&m->f->cell.word) & MPR_FUTURE_REVOKED)
			return;
		deaths = deaths / MPR_MAP_DEATHS_ITEM_UNIT == item ?
				 deaths + 1 :
				 item * MPR_MAP_DEATHS_ITEM_UNIT | 1;
		/* Who dies after this counts it once more: that is one attempt
		 * less. */
		atomic_store(&share->deaths, deaths);
		atomic_fetch_add(&m->f->deaths, 1);
		if ((deaths & MPR_MAP_DEATHS) <=
			    atomic_load(&m->pool->root->retries) &&
		    !atomic_load(&m->map->stopped)) {
			atomic_fetch_add(&m->pool->root->retried, 1);
			return;
		}
		atomic_fetch_add(&m->pool->root->given_up, 1);
		atomic_store(&m->f->pid, end ? (uint32_t)end->pid : 0);
		atomic_store(&m->f->worker, number);
		mpr_task_note_end(m->pool, self, m->f, end);
		fail(m, self, item, -EOWNERDEAD);
	}
	item++;
	atomic_store(&share->desk,
		     mpr_desk(item, item < mpr_map_chunk_end(m, item - 1) ?
					    MPR_DESK_HAS : 0));
}

bool
mpr_map_bury(const struct mpr_map_use *m, struct mpr_self *self, unsigned number,
	     const struct mproc_exit *end)
{
	uint64_t id = atomic_load(&m->f->cell.word) & MPR_FUTURE_ID;
	uint64_t word = share_word(id, MPR_FUTURE_RUNNING, number);
	bool had = false;

	for (unsigned s = 0; s < m->n_shares; s++) {
		struct mpr_map_share *share = &m->shares[s];

		if ((atomic_load(&share->word) & ~MPR_FUTURE_CANCELED) != word)
			continue;
		had = true;
		note_claim(m, atomic_load(&m->map->next));
		bury_item(m, self, share, number, end);
		atomic_store(&share->started, 0);
		/* Last: somebody else may have it now. */
		atomic_store(&share->word,
			     share_word(id, MPR_FUTURE_QUEUED, 0));
	}
	/* Also for one that has died before it could do this. */
	mpr_map_settle(m, self, id);
	return had;
}

bool
mpr_map_is_overdue(const struct mpr_map_use *m, unsigned number, int64_t limit,
		   int64_t now, int64_t *ret_next)
{
	uint64_t word = share_word(atomic_load(&m->f->cell.word),
				   MPR_FUTURE_RUNNING, number);

	for (unsigned s = 0; s < m->n_shares; s++) {
		struct mpr_map_share *share = &m->shares[s];
		uint64_t desk = atomic_load(&share->desk);
		/* After the desk: it may be the time of a later item, but not of
		 * one before. */
		int64_t started = atomic_load(&share->started);

		if (atomic_load(&share->word) != word || !started ||
		    !(desk & MPR_DESK_BEGUN))
			continue;
		if (desk & MPR_DESK_OVERDUE)
			return true;
		/* Scribbled. */
		if (started < 0 || started > now)
			started = now;
		if (now - started < limit)
			*ret_next = limit > INT64_MAX - started ?
					    INT64_MAX : started + limit;
		else
			return cas(&share->desk, &desk, desk | MPR_DESK_OVERDUE);
	}
	return false;
}
