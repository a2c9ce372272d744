/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "os/child.h"
#include "testing/board.h"

struct mpr_board *
mpr_board_new(void)
{
	return mpr_child_pages(sizeof(struct mpr_board));
}

void
mpr_board_free(struct mpr_board *b)
{
	if (b)
		mpr_child_pages_free(b, sizeof(*b));
}

void
mpr_board_add(struct mpr_board *b, const struct mpr_failure *f)
{
	uint32_t i = atomic_fetch_add(&b->failed, 1);

	if (i >= MPR_BOARD_FAILURES)
		return;
	b->failures[i] = *f;
	/* Release: who sees this finds the text. */
	atomic_store_explicit(&b->written[i], 1, memory_order_release);
}

unsigned
mpr_board_read(const struct mpr_board *b, unsigned from,
	       struct mpr_failure *ret, unsigned n, unsigned *ret_n)
{
	unsigned i, end = atomic_load(&b->failed), count = 0;
	struct mpr_failure *f;

	for (i = from; i < end && i < MPR_BOARD_FAILURES && count < n; i++) {
		/* Acquire pairs with the release above. */
		if (!atomic_load_explicit(&b->written[i], memory_order_acquire))
			continue;
		f = &ret[count++];
		memcpy(f, &b->failures[i], sizeof(*f));
		f->process[sizeof(f->process) - 1] = '\0';
		f->file[sizeof(f->file) - 1] = '\0';
		f->text[sizeof(f->text) - 1] = '\0';
	}
	*ret_n = count;
	return i >= MPR_BOARD_FAILURES ? end : i;
}

void
mpr_board_clear(struct mpr_board *b, unsigned seen)
{
	uint32_t end = seen;

	/* Nobody writes in an entry before it has its number. */
	if (atomic_load(&b->failed) != end)
		return;
	for (unsigned i = 0; i < MPR_BOARD_FAILURES; i++)
		atomic_store(&b->written[i], 0);
	atomic_compare_exchange_strong(&b->failed, &end, 0);
}
