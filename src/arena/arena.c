/* SPDX-License-Identifier: MIT */
/*
 * The default arena is made by whoever first needs it, under this process's
 * own lock, and published by one store. A child that is forked while another
 * thread is making it has none, and makes its own.
 */
#include <errno.h>
#include <string.h>

#include "arena/arena.h"
#include "arena/check.h"
#include "arena/extent.h"
#include "arena/heap.h"
#include "arena/kinds.h"
#include "arena/participant.h"
#include "arena/recover.h"
#include "arena/table.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/opts.h"
#include "os/fence.h"
#include "os/generation.h"
#include "os/huge.h"

/* Unless asked for: as much as there can be, then half of it and so on. */
#define CAPACITY_USUAL MPR_CAPACITY_MAX
#define CAPACITY_HALVED_TO (UINT64_C(64) << 20)

/* A core dump makes the kernel allocate all of what it contains; so do we, if it is
 * to be there from the beginning. */
#define CAPACITY_DUMPED (UINT64_C(256) << 20)

/* Tables, and a dozen extents: enough for a queue between processes. */
#define CAPACITY_LEAST (UINT64_C(16) << 20)

#define PAGE 4096

static struct mproc_arena default_arena;
static _Atomic(struct mproc_arena *) default_published;

/* How to make it; under the process lock. A forked child has a copy. */
static struct mproc_arena_opts wanted;

static int
make_memory(struct mproc_arena *a, const struct mproc_arena_opts *o,
	    mpr_arena_maker *make, void *arg)
{
	uint64_t size = CAPACITY_USUAL;
	int r;

	if (o->capacity)
		return make(&a->shmem, mpr_round_up(o->capacity,
						    MPR_EXTENT_SIZE), arg);
	if (o->core_dump || o->prefault)
		size = CAPACITY_DUMPED;
	do {
		r = make(&a->shmem, size, arg);
		size /= 2;
	} while ((r == -ENOMEM || r == -EFBIG) && size >= CAPACITY_HALVED_TO);
	return r;
}

MPR_IMAGE_PATH void
mpr_arena_attach(struct mproc_arena *a)
{
	a->shm = mpr_arena_at(a, 0);
	a->shmem.stays = a->shm->prefaulted != 0;
	a->n_extents = (uint32_t)((a->shmem.size - MPR_HEAP_AT) /
				  MPR_EXTENT_SIZE);
	for (unsigned i = 0; i < MPR_KINDS; i++)
		a->rovers[i] = (struct mpr_rover){ 0 };
}

uint32_t
mpr_arena_abi(void)
{
	return mpr_parker_kind | (uint32_t)sizeof(void *) << 8 |
	       (uint32_t)sizeof(struct mpr_participant) << 16;
}

int
mpr_arena_make(struct mproc_arena *a, const struct mproc_arena_opts *o,
	       mpr_arena_maker *make, void *arg)
{
	int r = make_memory(a, o, make, arg);

	if (r < 0)
		return r;
	if (o->huge_pages)
		r = mpr_huge_use(&a->shmem);
	if (r == 0)
		r = o->prefault ? mpr_shmem_fill(&a->shmem) :
				  mpr_shmem_back(&a->shmem, 0, PAGE);
	if (r < 0) {
		mpr_shmem_unmap(&a->shmem);
		return r;
	}
	((struct mpr_arena_shm *)mpr_arena_at(a, 0))->prefaulted = o->prefault;
	mpr_arena_attach(a);
	a->shm->magic = MPR_ARENA_MAGIC;
	a->shm->layout = MPR_ARENA_LAYOUT;
	a->shm->abi = mpr_arena_abi();
	a->shm->size = a->shmem.size;
	/* Epoch 0 is what zeroed memory has. */
	atomic_init(&a->shm->epochs, 1);
	atomic_init(&a->shm->light_fences, !mpr_fence_register());
	return 0;
}

static int
make_anonymous(struct mpr_shmem *ret_s, size_t size, void *unused)
{
	(void)unused;
	return mpr_shmem_create(ret_s, size, MPR_ARENA_ALIGN, wanted.core_dump);
}

static int
create(struct mproc_arena *a)
{
	int r;

	memset(a, 0, sizeof(*a));
	r = mpr_arena_make(a, &wanted, make_anonymous, NULL);
	if (r < 0)
		return r;
	r = mpr_file_anonymous(&a->locks, "mproc-locks", false);
	if (r < 0)
		mpr_shmem_unmap(&a->shmem);
	return r;
}

MPR_CHILD_PATH mproc_arena *
mpr_arena_peek(void)
{
	/* Acquire pairs with the release in mpr_arena_get(): the handle is
	 * complete before it can be seen. */
	return atomic_load_explicit(&default_published, memory_order_acquire);
}

int
mpr_arena_get(mproc_arena **ret_a)
{
	mproc_arena *a = mpr_arena_peek();
	int r = 0;

	if (mpr_likely(a)) {
		*ret_a = a;
		return 0;
	}
	mpr_process_lock();
	a = mpr_arena_peek();
	if (!a) {
		r = create(&default_arena);
		if (r == 0) {
			a = &default_arena;
			atomic_store_explicit(&default_published, a,
					      memory_order_release);
		}
	}
	mpr_process_unlock();
	if (r < 0)
		return r;
	*ret_a = a;
	return 0;
}

int
mpr_arena_give(struct mpr_arena_ticket *ret_ticket)
{
	const mproc_arena *a;

	mpr_process_lock();
	a = mpr_arena_peek();
	*ret_ticket = (struct mpr_arena_ticket){
		.fd = -1, .locks_fd = -1, .opts = wanted
	};
	mpr_process_unlock();
	if (!a)
		return 0;
	if (!mpr_file_is_open(&a->shmem.file) || !mpr_file_is_open(&a->locks))
		return mpr_fail(-EBADF, "a descriptor of the arena was closed: "
				"no other image can have it");
	ret_ticket->base = (uintptr_t)a->shmem.base;
	ret_ticket->size = a->shmem.size;
	ret_ticket->fd = a->shmem.file.fd;
	ret_ticket->locks_fd = a->locks.fd;
	return 0;
}

MPR_IMAGE_PATH static int
adopt(struct mproc_arena *a, const struct mpr_arena_ticket *ticket)
{
	struct mpr_file memory;
	uint64_t size;
	int r;

	memset(a, 0, sizeof(*a));
	r = mpr_file_adopt(&a->locks, ticket->locks_fd, &size);
	if (r == 0)
		r = mpr_file_adopt(&memory, ticket->fd, &size);
	if (r == 0 && size != ticket->size)
		r = mpr_fail(-EBADF, "descriptor %d is not the arena's",
			     ticket->fd);
	if (r == 0)
		r = mpr_shmem_attach_at(&a->shmem, &memory, ticket->size,
					(void *)(uintptr_t)ticket->base,
					ticket->opts.core_dump);
	if (r < 0)
		return r;
	/* What was possible where it was made. */
	if (ticket->opts.huge_pages)
		(void)mpr_huge_use(&a->shmem);
	mpr_arena_attach(a);
	return 0;
}

MPR_IMAGE_PATH int
mpr_arena_adopt(const struct mpr_arena_ticket *ticket)
{
	int r = 0;

	mpr_process_lock();
	wanted = ticket->opts;
	if (ticket->size)
		r = adopt(&default_arena, ticket);
	if (ticket->size && r == 0)
		atomic_store_explicit(&default_published, &default_arena,
				      memory_order_release);
	mpr_process_unlock();
	return r;
}

int
mpr_arena_resolve(mproc_arena *a, mproc_arena **ret_a)
{
	if (!a)
		return mpr_arena_get(ret_a);
	*ret_a = a;
	return 0;
}

MPR_CHILD_PATH int
mpr_arena_back_table(const mproc_arena *a, uint64_t table, size_t entry,
		     _Atomic uint32_t *watermark, uint32_t n)
{
	/* Relaxed: pages that are backed stay so, and hold what they hold. */
	uint32_t have = atomic_load_explicit(watermark, memory_order_relaxed);
	uint64_t bytes = mpr_round_up(n * entry, PAGE);
	int r;

	if (have >= n)
		return 0;
	r = mpr_shmem_back(&a->shmem, table, bytes);
	if (r < 0)
		return r;
	n = (uint32_t)(bytes / entry);
	while (have < n &&
	       !atomic_compare_exchange_weak_explicit(watermark, &have, n,
						      memory_order_relaxed,
						      memory_order_relaxed))
		;
	return 0;
}

void
mpr_arena_fds(int ret_fds[MPR_ARENA_FDS])
{
	const mproc_arena *a = mpr_arena_peek();
	const struct mpr_file *files[MPR_ARENA_FDS] = {
		a ? &a->shmem.file : NULL,
		a ? &a->locks : NULL,
	};

	mpr_arenas_files(files + 2);
	/* The program may have closed them. */
	for (int i = 0; i < MPR_ARENA_FDS; i++)
		ret_fds[i] = files[i] && mpr_file_is_open(files[i]) ?
				     files[i]->fd : -1;
}

mproc_arena *
mproc_arena_default(void)
{
	mproc_arena *a;
	int r = mpr_arena_get(&a);

	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return a;
}

int
mpr_arena_check_capacity(size_t capacity)
{
	if (!capacity ||
	    (capacity >= CAPACITY_LEAST && capacity <= MPR_CAPACITY_MAX))
		return 0;
	return mpr_fail(-EINVAL, "a capacity of %zu bytes: it must be from %llu "
			"to %llu", capacity, (unsigned long long)CAPACITY_LEAST,
			(unsigned long long)MPR_CAPACITY_MAX);
}

int
mproc_arena_configure_default(const struct mproc_arena_opts *opts)
{
	struct mproc_arena_opts o;
	bool late;
	int r;

	r = mpr_opts_read(&o, sizeof(o), opts);
	if (r < 0)
		return r;
	if (o.name || o.mode)
		return mpr_fail(-EINVAL, "the default arena has no name and no "
				"mode");
	r = mpr_arena_check_capacity(o.capacity);
	if (r == 0 && o.huge_pages)
		r = mpr_huge_ask();
	if (r < 0)
		return r;
	mpr_process_lock();
	late = mpr_arena_peek() != NULL;
	if (!late)
		wanted = o;
	mpr_process_unlock();
	return late ? mpr_fail(-EBUSY, "the default arena exists already") : 0;
}

bool
mproc_is_shared(const void *p)
{
	const mproc_arena *a = mpr_arena_of(p);

	return a && (uintptr_t)p - (uintptr_t)a->shmem.base < a->shmem.size;
}

int
mproc_arena_recover(mproc_arena *a)
{
	int r = mpr_arena_resolve(a, &a);

	if (r == 0) {
		r = mpr_recover_everything(a, true);
		mpr_heap_trim(a);
		mpr_check_all(a);
	}
	return r;
}

int
mproc_arena_stat(mproc_arena *a, struct mproc_arena_stat *ret_stat)
{
	struct mproc_arena_stat stat = { 0 };
	int r;

	if (!ret_stat)
		return mpr_fail(-EINVAL, "ret_stat is NULL");
	r = mpr_arena_resolve(a, &a);
	if (r < 0)
		return r;
	stat.capacity = a->shmem.size;
	stat.backed = mpr_shmem_backed(&a->shmem);
	stat.participants = mpr_participants_count(a);
	mpr_heap_count(a, &stat.blocks, &stat.used);
	for (int i = 0; i < MPR_KINDS; i++)
		if (mpr_kinds[i].count)
			mpr_kinds[i].count(a, &stat);
	*ret_stat = stat;
	return 0;
}
