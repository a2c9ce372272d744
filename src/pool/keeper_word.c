/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "arena/recover.h"
#include "pool/keeper_word.h"

static bool
lives(const struct mpr_pool_use *u, uint64_t word)
{
	return word & MPR_HELD && !mpr_holder_is_dead(u->arena, word);
}

bool
mpr_keeper_lives(const struct mpr_pool_use *u)
{
	return lives(u, atomic_load(&u->root->keeper));
}

/* Who had it is dead. What that one had on its way in the heap is settled before whoever comes
 * next can free what that is named by. */
static void
settle(const struct mpr_pool_use *u, uint64_t word)
{
	if (word & MPR_HELD)
		(void)mpr_recover_slot(u->arena, mpr_holder_slot(word));
}

int
mpr_keeper_claim(const struct mpr_pool_use *u, uint64_t mine,
		 enum mpr_pool_phase last)
{
	uint64_t word = atomic_load(&u->root->keeper);

	do {
		if (lives(u, word))
			return -EBUSY;
		/* In this order, and seq_cst: the word is read; its holder is dead;
		 * the pool is there, and has not ended, which only the word's next
		 * holder could change; the word is what it was. */
		if (!mpr_pool_is_there(u))
			return -ESTALE;
		if (mpr_pool_phase(u) > last)
			return -ESHUTDOWN;
		settle(u, word);
	} while (!atomic_compare_exchange_strong(&u->root->keeper, &word, mine));
	return 0;
}

bool
mpr_keeper_seize(const struct mpr_pool_use *u, uint64_t mine)
{
	uint64_t word = atomic_load(&u->root->keeper);

	/* Those who have read it while an earlier pool was there fail from here on. */
	do {
		if (lives(u, word))
			return false;
		settle(u, word);
	} while (!atomic_compare_exchange_strong(&u->root->keeper, &word, mine));
	return true;
}

bool
mpr_keeper_give_back(const struct mpr_pool_use *u, uint64_t mine)
{
	/* Only who has the word ends the pool. Then it does not become again what those
	 * may have read who saw the pool before that: it may be freed at any time, and
	 * they would keep what is made there next. */
	return atomic_compare_exchange_strong(
		&u->root->keeper, &mine,
		mpr_pool_phase(u) == MPR_POOL_ENDED ?
			mpr_keeper_over(u->generation) :
			mpr_keeper_none(u->generation));
}

bool
mpr_keeper_end(const struct mpr_pool_use *u, uint64_t mine)
{
	return atomic_compare_exchange_strong(&u->root->keeper, &mine,
					      mpr_keeper_over(u->generation));
}
