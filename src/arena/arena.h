/* SPDX-License-Identifier: MIT */
/*
 * The arena: one sealed, sparse shared memory object, its header, and the
 * handle that a process has of it.
 *
 *   0        header, struct mpr_arena_shm
 *   4 KiB    participants (arena/participant.h), 256 bytes each
 *   512 KiB  what each of them waits for (sync/wait.h), 8 bytes each
 *   768 KiB  what each of them notes about itself (sync/notes.h), 128 bytes
 *            each
 *   896 KiB  for how many others some of them wait (sync/crowd.h), 32 bytes each
 *   1 MiB    extents (arena/extent.h), 40 bytes each
 *   4 MiB    heap, in extents of 1 MiB
 *
 * All of it is backed by the kernel page by page, before it is first used;
 * watermarks tell how far. Links are offsets from the arena's start; 0 is no
 * offset of anything that is linked to.
 *
 * The handle is private memory. It holds copies of all bounds, so that no word
 * of the shared part needs to be believed.
 */
#ifndef MPR_ARENA_ARENA_H
#define MPR_ARENA_ARENA_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <mproc/arena.h>

#include "arena/rover.h"
#include "base/macros.h"
#include "os/file.h"
#include "os/shmem.h"

#define MPR_ARENA_MAGIC UINT64_C(0x616e6572616d706c)
#define MPR_ARENA_LAYOUT 24

#define MPR_PARTICIPANTS_MAX 1024
#define MPR_PARTICIPANTS_AT 4096
#define MPR_WAITS_AT (UINT64_C(512) << 10)
#define MPR_NOTES_AT (UINT64_C(768) << 10)
#define MPR_CROWDS_AT (UINT64_C(896) << 10)
#define MPR_EXTENTS_AT (UINT64_C(1) << 20)
#define MPR_HEAP_AT (UINT64_C(4) << 20)
#define MPR_EXTENT_SIZE (UINT64_C(1) << 20)

/* Of its mapping: helps where memory has 2 MiB pages, costs nothing where it has
 * not. */
#define MPR_ARENA_ALIGN ((size_t)2 << 20)

/* The number of an extent must fit the slot field of an owner word. */
#define MPR_CAPACITY_MAX (UINT64_C(64) << 30)

static_assert((MPR_CAPACITY_MAX - MPR_HEAP_AT) / MPR_EXTENT_SIZE <= 0x10000,
	      "see above");

/* Kinds of objects that must be looked through when someone dies. */
enum mpr_kind {
	MPR_KIND_SYNC,
	MPR_KIND_QUEUE,
	MPR_KIND_PIPE,
	MPR_KINDS
};

/* Kinds of small objects, sync/cell.h. */
enum mpr_cell_kind {
	MPR_CELL_LOCK,
	MPR_CELL_EVENT,
	MPR_CELL_SEMAPHORE,
	MPR_CELL_ONCE,
	MPR_CELL_RLOCK,
	MPR_CELL_CONDITION,
	MPR_CELL_RWLOCK,
	MPR_CELL_BARRIER,
	MPR_CELL_DICT,
	MPR_CELL_SET,
	MPR_CELL_NAMESPACE,
	MPR_CELL_LIST,
	MPR_CELL_POOL,
	MPR_CELL_KINDS
};

struct mpr_arena_shm {
	/* Written once, before anyone else can see the arena. */
	uint64_t magic;
	uint32_t layout;
	uint32_t abi; /* of what the C library and the build decide */
	uint64_t size;

	/* 1: some process cannot be reached by heavy fences, so fast paths
	 * fence themselves. Only ever set. */
	_Atomic uint32_t light_fences;
	/* 1: all of it has memory and keeps it. Written once, as the above. */
	uint32_t prefaulted;

	/* When somebody last looked for the dead thoroughly (recover.h). */
	_Atomic int64_t looked_at;
	/* And who was chosen to be woken (sync/wait.h). */
	_Atomic int64_t waits_looked_at;
	/* Which sleeper looked at all last, and when; and who has finished its look
	 * last, and when that began (sync/park.c). */
	_Atomic uint64_t last_look;
	_Atomic uint64_t finished_look;

	/* Where epochs of owner words come from: no value is given twice. */
	alignas(MPR_APART) _Atomic uint64_t epochs;

	/* Participants [0, high) have been used, [0, backed) have memory. */
	alignas(MPR_APART) _Atomic uint32_t participants_high;
	_Atomic uint32_t participants_backed;
	/* The same for extents. */
	_Atomic uint32_t extents_high;
	_Atomic uint32_t extents_backed;
	_Atomic uint32_t waits_backed;
	_Atomic uint32_t notes_backed;
	/* And for crowds. */
	_Atomic uint32_t crowds_high;
	_Atomic uint32_t crowds_backed;

	/* First object of each kind; they are linked by offsets and never
	 * leave the list. */
	alignas(MPR_APART) _Atomic uint64_t objects[MPR_KINDS];
	/* First block of cells for each kind of these. */
	_Atomic uint64_t cells[MPR_CELL_KINDS];
	/* The block where there may be a free one, or 0. */
	_Atomic uint64_t cell_hints[MPR_CELL_KINDS];
	/* First block of the names of objects, sync/names.c. */
	_Atomic uint64_t names;
};

static_assert(sizeof(struct mpr_arena_shm) <= MPR_PARTICIPANTS_AT,
	      "the header fits its page");
static_assert(offsetof(struct mpr_arena_shm, epochs) == 128, "shared layout");
static_assert(offsetof(struct mpr_arena_shm, participants_high) == 256,
	      "shared layout");
static_assert(offsetof(struct mpr_arena_shm, objects) == 384, "shared layout");

struct mproc_arena {
	struct mpr_shmem shmem;
	struct mpr_file locks; /* os/bytelock.h */
	int64_t locks_at; /* the byte of the first slot */
	struct mpr_arena_shm *shm; /* the start of the mapping */
	uint32_t n_extents;
	unsigned index; /* 0: the default one; see arena/table.h */
	struct mpr_rover rovers[MPR_KINDS]; /* in the lists of objects */
	/* Where this process looks for empty slabs next, and of which classes it has
	 * passed one since the first extent. Threads may be here at once: what is wrong
	 * then is which slab's memory goes back when. */
	_Atomic uint32_t trim_next;
	_Atomic uint64_t trim_passed;
};

/* The capacities that an arena can have; 0 is the usual one. */
int mpr_arena_check_capacity(size_t capacity);

typedef int mpr_arena_maker(struct mpr_shmem *ret_s, size_t size, void *arg);

/*
 * Makes what lies in memory, by @make: with the capacity that is wanted, or with
 * the usual one, or half of it as often as there is no address space for that or
 * a limit forbids it. Returns 0 or a negative error.
 */
int mpr_arena_make(struct mproc_arena *a, const struct mproc_arena_opts *o,
		   mpr_arena_maker *make, void *arg);

/* Its memory is mapped: the rest of the handle. */
void mpr_arena_attach(struct mproc_arena *a);

/* What a header's abi is to be. */
uint32_t mpr_arena_abi(void);

/* The default arena, made if need be. Returns 0 or a negative error. */
int mpr_arena_get(mproc_arena **ret_a);

/* The default arena if this process has one already, or NULL. */
mproc_arena *mpr_arena_peek(void);

/* How another image of this program, made by exec, gets the default arena: it
 * inherits the two descriptors, and has the memory at the same address. */
struct mpr_arena_ticket {
	uint64_t base, size; /* size 0: there is none yet; make one by opts */
	int fd, locks_fd;
	struct mproc_arena_opts opts;
};

/* Returns 0, or -EBADF if the program has closed one of them. */
int mpr_arena_give(struct mpr_arena_ticket *ret_ticket);

/* In the new image, before its default arena is used. Returns 0; -EEXIST if
 * something lies at its address; -ENOMEM, -EBADF. */
int mpr_arena_adopt(const struct mpr_arena_ticket *ticket);

/* What @a stands for: itself, or the default arena if it is NULL. */
int mpr_arena_resolve(mproc_arena *a, mproc_arena **ret_a);

#define MPR_ARENAS_NAMED_MAX 32

/* The descriptors that this process needs for its arenas; -1 for one that it has
 * not got. */
#define MPR_ARENA_FDS (2 + MPR_ARENAS_NAMED_MAX)
void mpr_arena_fds(int ret_fds[MPR_ARENA_FDS]);

static inline void *
mpr_arena_at(const mproc_arena *a, uint64_t offset)
{
	return a->shmem.base + offset;
}

static inline uint64_t
mpr_arena_offset(const mproc_arena *a, const void *p)
{
	return (uint64_t)((const unsigned char *)p - a->shmem.base);
}

/*
 * The name of an object that may lie outside the arena too, where it is for the
 * threads of one process: its offset, or its address and a bit that no offset
 * has. Below 2^62.
 */
#define MPR_NAME_PRIVATE (UINT64_C(1) << 61)

static inline uint64_t
mpr_arena_name(const mproc_arena *a, const void *p)
{
	uint64_t offset = mpr_arena_offset(a, p);

	return offset < a->shmem.size ? offset :
					(uint64_t)(uintptr_t)p | MPR_NAME_PRIVATE;
}

/* Whether [@offset, @offset + @len) lies in the heap. */
static inline bool
mpr_arena_has(const mproc_arena *a, uint64_t offset, uint64_t len)
{
	return offset >= MPR_HEAP_AT && offset <= a->shmem.size &&
	       len <= a->shmem.size - offset;
}

/* A value that no owner word has had as its epoch before. */
static inline uint64_t
mpr_arena_epoch(const mproc_arena *a)
{
	return atomic_fetch_add_explicit(&a->shm->epochs, 1,
					 memory_order_relaxed);
}

/*
 * Makes sure that entries [0, @n) of a table at @table, of @entry bytes each,
 * are backed, and notes it in @watermark, which counts entries.
 */
int mpr_arena_back_table(const mproc_arena *a, uint64_t table, size_t entry,
			 _Atomic uint32_t *watermark, uint32_t n);

#endif
