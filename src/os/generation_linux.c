/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "os/generation.h"

#define PAGE 4096

_Atomic(struct mpr_process_page *) mpr_process_page;

/* Ordinary memory, so a child counts on from its parent's value. */
static _Atomic uint64_t last_generation;

/* Kernels before 4.14 cannot wipe the page: then fork() does it, and _Fork()
 * is not noticed. */
static void
wipe_in_child(void)
{
	struct mpr_process_page *page = atomic_load(&mpr_process_page);

	*page = (struct mpr_process_page){ 0 };
}

static struct mpr_process_page *
make_page(void)
{
	struct mpr_process_page *page, *first = NULL;
	bool wiped;

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		abort();
	wiped = madvise(page, PAGE, MADV_WIPEONFORK) == 0;
	if (!atomic_compare_exchange_strong(&mpr_process_page, &first, page)) {
		munmap(page, PAGE);
		return first;
	}
	if (!wiped)
		pthread_atfork(NULL, NULL, wipe_in_child);
	return page;
}

uint64_t
mpr_generation_assign(void)
{
	struct mpr_process_page *page = atomic_load(&mpr_process_page);
	uint64_t mine, current = 0;

	if (!page)
		page = make_page();
	mine = atomic_fetch_add(&last_generation, 1) + 1;
	if (atomic_compare_exchange_strong(&page->generation, &current, mine))
		return mine;
	return current;
}

void
mpr_process_lock(void)
{
	struct mpr_process_page *page;
	int state;

	mpr_generation();
	page = atomic_load(&mpr_process_page);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&page->lock);
	page->cancel_state = state;
}

void
mpr_process_unlock(void)
{
	struct mpr_process_page *page = atomic_load(&mpr_process_page);
	int state = page->cancel_state;

	pthread_mutex_unlock(&page->lock);
	pthread_setcancelstate(state, NULL);
}
