/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "arena/participant.h"
#include "arena/table.h"
#include "base/macros.h"
#include "os/generation.h"
#include "os/task.h"

struct entry {
	/* Where it is mapped; end is 0 if it is not. begin is set before end, and
	 * end is cleared before anything else. */
	_Atomic uintptr_t begin, end;
	/* Who runs mpr_arenas_each() with it: {generation 48 | number 16}; a
	 * parent's do not count. */
	_Atomic uint64_t visitors;
	struct mproc_arena arena;
	/* Under the process lock. */
	unsigned opens; /* 0: closed, and maybe mapped for a while */
	unsigned threads; /* that have joined */
	uint64_t generation; /* of the process whose they are */
};

#define VISITORS UINT64_C(0xffff)

static struct entry table[MPR_ARENAS_NAMED_MAX];
MPR_CHILD_DATA _Atomic unsigned mpr_arenas_high;

static struct entry *
entry_of(const mproc_arena *a)
{
	return &table[a->index - 1];
}

static bool
contains(const struct entry *e, uintptr_t at)
{
	/* Acquire pairs with the release in mpr_arenas_publish(). */
	uintptr_t end = atomic_load_explicit(&e->end, memory_order_acquire);
	uintptr_t begin = atomic_load_explicit(&e->begin, memory_order_acquire);

	/* Again: it may have been another arena's in between. */
	return at - begin < end - begin &&
	       atomic_load_explicit(&e->end, memory_order_relaxed) == end &&
	       end;
}

MPR_CHILD_PATH mproc_arena *
mpr_arena_search(const void *p)
{
	mproc_arena *a = mpr_arena_peek();
	uintptr_t at = (uintptr_t)p;
	unsigned high;

	if (a && at - (uintptr_t)a->shmem.base < a->shmem.size)
		return a;
	high = atomic_load_explicit(&mpr_arenas_high, memory_order_acquire);
	for (unsigned i = 0; i < high; i++)
		if (contains(&table[i], at))
			return &table[i].arena;
	return a;
}

int
mpr_arena_get_of(const void *p, mproc_arena **ret_a)
{
	mproc_arena *a = mpr_arena_of(p);

	if (mpr_unlikely(!a))
		return mpr_arena_get(ret_a);
	*ret_a = a;
	return 0;
}

/* How many there are as @word says. */
static uint64_t
count_visitors(uint64_t word)
{
	return word >> 16 == mpr_generation() ? word & VISITORS : 0;
}

static void
add_visitor(struct entry *e, int64_t n)
{
	uint64_t word = atomic_load(&e->visitors), next;

	do
		next = mpr_generation() << 16 |
		       (count_visitors(word) + (uint64_t)n);
	while (!atomic_compare_exchange_weak(&e->visitors, &word, next));
}

void
mpr_arenas_each(void (*fn)(mproc_arena *a, void *arg), void *arg)
{
	mproc_arena *a = mpr_arena_peek();
	unsigned high = atomic_load_explicit(&mpr_arenas_high,
					     memory_order_acquire);

	if (a)
		fn(a, arg);
	for (unsigned i = 0; i < high; i++) {
		/* seq_cst, both: who unmaps it clears end, then looks for
		 * visitors. */
		add_visitor(&table[i], 1);
		if (atomic_load(&table[i].end))
			fn(&table[i].arena, arg);
		add_visitor(&table[i], -1);
	}
}

/* If it is mapped. It stays so as for a thread that has joined: who unmaps it has
 * the process lock, which a visitor may wait for. */
static bool
enter(struct entry *e)
{
	bool mapped;

	mpr_process_lock();
	mapped = atomic_load(&e->end) != 0;
	if (mapped)
		mpr_arenas_entered(&e->arena);
	mpr_process_unlock();
	return mapped;
}

static void
leave(struct entry *e, uint64_t generation, bool had_joined)
{
	/* Or a signal handler has forked. */
	if (generation != mpr_generation())
		return;
	/* What it has joined to look does not keep it mapped. */
	if (!had_joined)
		mpr_self_leave_named(e->arena.index);
	mpr_process_lock();
	mpr_arenas_left(&e->arena);
	mpr_process_unlock();
}

void
mpr_arenas_visit(void (*fn)(mproc_arena *a, void *arg), void *arg)
{
	mproc_arena *a = mpr_arena_peek();
	unsigned high = atomic_load_explicit(&mpr_arenas_high,
					     memory_order_acquire);
	uint64_t generation = mpr_generation();

	if (a)
		fn(a, arg);
	for (unsigned i = 0; i < high; i++) {
		bool had_joined;

		if (!enter(&table[i]))
			continue;
		had_joined = mpr_self_in(&table[i].arena) != NULL;
		fn(&table[i].arena, arg);
		leave(&table[i], generation, had_joined);
	}
}

MPR_CHILD_PATH void
mpr_arenas_files(const struct mpr_file *ret[MPR_ARENAS_NAMED_MAX])
{
	for (int i = 0; i < MPR_ARENAS_NAMED_MAX; i++)
		ret[i] = atomic_load(&table[i].end) ?
				 &table[i].arena.shmem.file : NULL;
}

mproc_arena *
mpr_arenas_find(uint64_t device, uint64_t inode)
{
	for (unsigned i = 0; i < MPR_ARENAS_NAMED_MAX; i++) {
		const struct mpr_file *f = &table[i].arena.shmem.file;

		if (atomic_load(&table[i].end) && f->device == device &&
		    f->inode == inode && mpr_file_is_open(f))
			return &table[i].arena;
	}
	return NULL;
}

void
mpr_arenas_publish(mproc_arena *a)
{
	struct entry *e = entry_of(a);
	uintptr_t base = (uintptr_t)a->shmem.base;

	e->opens = 1;
	e->threads = 0;
	atomic_store(&e->begin, base);
	/* Before the end: a child that is forked here has it all, or nothing. */
	if (a->index > atomic_load(&mpr_arenas_high))
		atomic_store(&mpr_arenas_high, a->index);
	/* Release, at least: who finds the address finds the arena. */
	atomic_store(&e->end, base + a->shmem.size);
}

void
mpr_arenas_hold(mproc_arena *a)
{
	entry_of(a)->opens++;
}

bool
mpr_arenas_has(const mproc_arena *a)
{
	for (unsigned i = 0; i < MPR_ARENAS_NAMED_MAX; i++)
		if (a == &table[i].arena)
			return table[i].opens > 0;
	return false;
}

static unsigned *
threads_of(struct entry *e)
{
	/* Those of the process that we were forked from are not here. */
	if (e->generation != mpr_generation())
		e->threads = 0;
	e->generation = mpr_generation();
	return &e->threads;
}

void
mpr_arenas_unmap_unused(mproc_arena *a)
{
	struct entry *e = entry_of(a);

	if (!atomic_load(&e->end) || e->opens || *threads_of(e))
		return;
	atomic_store(&e->end, 0);
	while (count_visitors(atomic_load(&e->visitors)))
		mpr_task_yield();
	mpr_shmem_unmap(&a->shmem);
}

mproc_arena *
mpr_arenas_take(void)
{
	for (unsigned i = 0; i < MPR_ARENAS_NAMED_MAX; i++) {
		struct entry *e = &table[i];

		/* Its threads may be those of our parent. */
		if (e->arena.index)
			mpr_arenas_unmap_unused(&e->arena);
		if (atomic_load(&e->end))
			continue;
		memset(&e->arena, 0, sizeof(e->arena));
		e->arena.index = i + 1;
		return &e->arena;
	}
	return NULL;
}

bool
mpr_arenas_drop(mproc_arena *a)
{
	return --entry_of(a)->opens == 0;
}

MPR_CHILD_PATH void
mpr_arenas_entered(mproc_arena *a)
{
	if (a->index)
		++*threads_of(entry_of(a));
}

void
mpr_arenas_left(mproc_arena *a)
{
	if (!a->index)
		return;
	--*threads_of(entry_of(a));
	mpr_arenas_unmap_unused(a);
}
