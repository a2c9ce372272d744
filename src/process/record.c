/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "os/child.h"
#include "os/generation.h"
#include "process/record.h"

#define PER_PAGE (MPR_CHILD_PAGE / sizeof(struct mpr_record))

/* Private account of one shared page. */
struct page {
	struct page *next;
	uint64_t generation; /* of the process that it belongs to */
	struct mpr_record *records;
	bool used[PER_PAGE];
};

/* Our own come first; behind them are those of the process that forked us,
 * which are in use there, one by ourselves. */
static struct page *pages;

static struct page *
own(struct page *page)
{
	return page && page->generation == mpr_generation() ? page : NULL;
}

static struct page *
add_page(void)
{
	struct page *page = mpr_zalloc(sizeof(*page));

	if (!page)
		return NULL;
	page->records = mpr_child_page();
	if (!page->records) {
		free(page);
		return NULL;
	}
	page->generation = mpr_generation();
	page->next = pages;
	pages = page;
	return page;
}

static struct mpr_record *
take(struct page *page)
{
	for (size_t i = 0; i < PER_PAGE; i++) {
		if (page->used[i])
			continue;
		page->used[i] = true;
		atomic_store(&page->records[i].order, MPR_RECORD_WAIT);
		atomic_store(&page->records[i].ended, 0);
		atomic_store(&page->records[i].setup, 0);
		mpr_parker_init(&page->records[i].parker);
		mpr_parker_init(&page->records[i].starter);
		return &page->records[i];
	}
	return NULL;
}

struct mpr_record *
mpr_record_new(void)
{
	struct mpr_record *record = NULL;
	struct page *page;

	mpr_process_lock();
	for (page = own(pages); page && !record; page = own(page->next))
		record = take(page);
	if (!record) {
		page = add_page();
		if (page)
			record = take(page);
	}
	mpr_process_unlock();
	return record;
}

void
mpr_record_free(struct mpr_record *record)
{
	mpr_process_lock();
	for (struct page *page = own(pages); page; page = own(page->next))
		if (record >= page->records &&
		    record < page->records + PER_PAGE)
			page->used[record - page->records] = false;
	mpr_process_unlock();
}
