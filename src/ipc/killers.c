/* SPDX-License-Identifier: MIT */
#include "base/owner.h"
#include "ipc/killers.h"
#include "sync/seats.h"

/*
 * A killer's word: bits 32 to 63 its pid, 2 to 9 the signal, bit 1 whether that
 * is known, bit 0 set. Without a killer bit 0 is 0, and the rest is the epoch
 * of the block's use.
 */
#define THERE 1
#define TOLD 2

static uint64_t
killer(uint32_t pid)
{
	return (uint64_t)pid << 32 | THERE;
}

static uint32_t
pid_of(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

void
mpr_killers_none(struct mpr_message_block *b, uint64_t word)
{
	uint64_t none = mpr_owner(mpr_owner_epoch(word), 0, 0);

	atomic_store_explicit(&b->deaths, none, memory_order_relaxed);
	for (int i = 0; i < MPR_KILLERS; i++)
		atomic_store_explicit(&b->killer[i], none,
				      memory_order_relaxed);
}

/* The count is in the place of the slot. */
static uint64_t
count(struct mpr_message_block *b, uint64_t word, _Atomic uint64_t *seat,
      uint64_t seat_word)
{
	uint64_t deaths = atomic_load(&b->deaths), next;
	unsigned n;

	do {
		/* Asked after the load: otherwise it may be somebody else's
		 * memory by now, where any value may be. */
		if (!mpr_seat_is_held(seat, seat_word))
			return 0;
		if (mpr_owner_epoch(deaths) >= mpr_owner_epoch(word))
			return deaths;
		n = mpr_owner_slot(deaths);
		next = mpr_owner(mpr_owner_epoch(word),
				 n < UINT16_MAX ? n + 1 : n, 0);
	} while (!atomic_compare_exchange_strong(&b->deaths, &deaths, next));
	return next;
}

unsigned
mpr_killers_add(struct mpr_message_block *b, uint64_t word, uint32_t pid,
		_Atomic uint64_t *seat, uint64_t seat_word)
{
	uint64_t deaths = count(b, word, seat, seat_word);
	unsigned n = mpr_owner_slot(deaths);
	_Atomic uint64_t *place;
	uint64_t before;

	if (!n)
		return 0;
	place = &b->killer[(n - 1) % MPR_KILLERS];
	before = atomic_load(place);
	/* Asked after the load, as above: what is there is of this use of the
	 * block, or this is not our death any more. Again if a parent has just
	 * told what ended an earlier one. */
	while (mpr_owner_epoch(deaths) == mpr_owner_epoch(word) &&
	       atomic_load(&b->deaths) == deaths &&
	       mpr_seat_is_held(seat, seat_word) &&
	       !((before & THERE) && pid_of(before) == pid))
		if (atomic_compare_exchange_strong(place, &before, killer(pid)))
			break;
	return n;
}

void
mpr_killers_told(struct mpr_message_block *b, uint32_t pid, int signal)
{
	for (int i = 0; i < MPR_KILLERS; i++) {
		uint64_t word = atomic_load(&b->killer[i]);

		if ((word & (THERE | TOLD)) == THERE && pid_of(word) == pid)
			atomic_compare_exchange_strong(
				&b->killer[i], &word,
				word | (uint64_t)(signal & 0xff) << 2 | TOLD);
	}
}

void
mpr_killers_read(const struct mpr_message_block *b,
		 struct mproc_dead_letter *ret)
{
	unsigned deaths = mpr_owner_slot(atomic_load(&b->deaths));
	unsigned n = deaths < MPR_KILLERS ? deaths : MPR_KILLERS;

	*ret = (struct mproc_dead_letter){ .deaths = deaths };
	for (unsigned i = deaths - n; i < deaths; i++) {
		uint64_t word = atomic_load(&b->killer[i % MPR_KILLERS]);

		if (!(word & THERE))
			continue;
		ret->killer[ret->n_killers++] = (struct mproc_killer){
			.pid = (pid_t)pid_of(word),
			.signal = word & TOLD ? (int)(word >> 2 & 0xff) : -1,
		};
	}
}
