/* SPDX-License-Identifier: MIT */
/*
 * Which slots are taken stands in private memory only, under the process lock. The
 * process that has the server has mapped the file whole, until neither the server nor
 * a plan needs it.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <mproc/core.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "os/bytelock.h"
#include "os/child.h"
#include "os/generation.h"
#include "process/plans.h"

#define SIZE (MPR_PLANS_SLOTS * MPR_PLANS_SLOT_SIZE)

struct mpr_plans {
	struct mpr_plans *next; /* on the list of all */
	struct mpr_shmem shmem;
	uint64_t generation; /* of the process that has it mapped */
	unsigned holders;
	uint64_t taken, backed; /* one bit for each slot */
};

static_assert(MPR_PLANS_SLOTS == 64, "bits of a word");

/* Those whose file may be open, for a forked child, which closes it. Changed under the
 * process lock by one store each, as that child may have been forked in the middle. */
MPR_CHILD_DATA static _Atomic(struct mpr_plans *) all;

static void
enlist(struct mpr_plans *plans)
{
	mpr_process_lock();
	plans->next = atomic_load(&all);
	atomic_store(&all, plans);
	mpr_process_unlock();
}

static void
strike_off(struct mpr_plans *plans)
{
	struct mpr_plans *other;

	mpr_process_lock();
	other = atomic_load(&all);
	if (other == plans)
		atomic_store(&all, plans->next);
	while (other && other->next != plans)
		other = other->next;
	if (other)
		other->next = plans->next;
	mpr_process_unlock();
}

int
mpr_plans_new(struct mpr_plans **ret_plans)
{
	struct mpr_plans *plans = mpr_zalloc(sizeof(*plans));
	int r;

	if (!plans)
		return mpr_fail(-ENOMEM, "no memory for the plans of processes");
	plans->holders = 1;
	plans->generation = mpr_generation();
	r = mpr_shmem_create(&plans->shmem, SIZE, MPR_CHILD_PAGE, false);
	if (r < 0) {
		free(plans);
		return r;
	}
	enlist(plans);
	/* A signal handler may have forked us, and the file is our parent's. */
	r = mpr_plans_check(plans);
	if (r == 0)
		r = mpr_bytelock_take(&plans->shmem.file, 0);
	if (r < 0)
		mpr_plans_drop(plans);
	else
		*ret_plans = plans;
	return r;
}

void
mpr_plans_drop(struct mpr_plans *plans)
{
	bool last;

	mpr_process_lock();
	last = --plans->holders == 0;
	mpr_process_unlock();
	if (!last)
		return;
	/* In a forked child something else may be at that place. */
	if (plans->generation == mpr_generation())
		mpr_shmem_unmap_only(&plans->shmem);
	mpr_file_close(&plans->shmem.file);
	strike_off(plans);
	free(plans);
}

MPR_CHILD_PATH void
mpr_plans_forget(void)
{
	for (struct mpr_plans *p = atomic_load(&all); p; p = p->next)
		mpr_file_close(&p->shmem.file);
	if (mpr_unlikely(atomic_load(&all) != NULL))
		atomic_store(&all, NULL);
}

int
mpr_plans_fd(const struct mpr_plans *plans)
{
	return mpr_file_is_open(&plans->shmem.file) ? plans->shmem.file.fd : -1;
}

int
mpr_plans_check(const struct mpr_plans *plans)
{
	return plans->generation == mpr_generation() ?
		       0 : mpr_fail(-ECHILD, "the plans of processes are another "
				    "process's");
}

static int
take_number(struct mpr_plans *plans)
{
	int number = -1;

	mpr_process_lock();
	if (~plans->taken) {
		number = __builtin_ctzll(~plans->taken);
		plans->taken |= UINT64_C(1) << number;
		plans->holders++;
	}
	mpr_process_unlock();
	return number;
}

/* What was allocated once stays so. */
static int
back(struct mpr_plans *plans, const struct mpr_shmem *slot, uint64_t bit)
{
	bool is_backed;
	int r;

	mpr_process_lock();
	is_backed = plans->backed & bit;
	mpr_process_unlock();
	if (is_backed)
		return 0;
	r = mpr_shmem_back(&plans->shmem,
			   (size_t)(slot->base - plans->shmem.base),
			   slot->size);
	if (r < 0)
		return r;
	mpr_process_lock();
	plans->backed |= bit;
	mpr_process_unlock();
	return 0;
}

int
mpr_plans_take(struct mpr_plans *plans, size_t size, struct mpr_shmem *ret_slot)
{
	int number = size > MPR_PLANS_SLOT_SIZE ? -1 : take_number(plans), r;

	if (number < 0)
		return -EAGAIN;
	*ret_slot = (struct mpr_shmem){
		.base = plans->shmem.base +
			(size_t)number * MPR_PLANS_SLOT_SIZE,
		.size = MPR_PLANS_SLOT_SIZE,
		.file.fd = -1,
	};
	r = back(plans, ret_slot, UINT64_C(1) << number);
	if (r == 0)
		r = mpr_plans_check(plans);
	if (r < 0)
		mpr_plans_give(plans, ret_slot);
	return r;
}

int
mpr_plans_number(const struct mpr_plans *plans, const struct mpr_shmem *slot)
{
	return (int)((size_t)(slot->base - plans->shmem.base) /
		     MPR_PLANS_SLOT_SIZE);
}

void
mpr_plans_give(struct mpr_plans *plans, const struct mpr_shmem *slot)
{
	mpr_process_lock();
	plans->taken &= ~(UINT64_C(1) << mpr_plans_number(plans, slot));
	mpr_process_unlock();
	mpr_plans_drop(plans);
}

int
mpr_plans_adopt(struct mpr_plans_copy *ret_copy, int fd)
{
	uint64_t size;

	*ret_copy = (struct mpr_plans_copy){ .file.fd = -1 };
	return mpr_file_adopt(&ret_copy->file, fd, &size) == 0 && size == SIZE ?
		       0 : -EPROTO;
}

int
mpr_plans_show(struct mpr_plans_copy *copy, int number,
	       struct mpr_shmem *ret_slot)
{
	struct mpr_shmem *slot = &copy->slots[number];
	int r = 0;

	/* Aligned, as then one page fault of a child brings all of it. */
	if (!slot->base)
		r = mpr_shmem_attach_part(slot, &copy->file,
					  (size_t)number * MPR_PLANS_SLOT_SIZE,
					  MPR_PLANS_SLOT_SIZE,
					  MPR_PLANS_SLOT_SIZE);
	else if (copy->hides[number])
		r = mpr_shmem_hide(slot, false);
	if (r < 0)
		return r;
	*ret_slot = *slot;
	ret_slot->file.fd = -1;
	return 0;
}

void
mpr_plans_hide(struct mpr_plans_copy *copy, int number)
{
	bool hides = mpr_shmem_hide(&copy->slots[number], true) == 0;

	/* What is not written costs no copy of its page after a fork. */
	if (copy->hides[number] != hides)
		copy->hides[number] = hides;
}
