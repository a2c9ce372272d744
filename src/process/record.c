/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/macros.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/generation.h"
#include "os/task.h"
#include "os/thread.h"
#include "process/record.h"

#define MOMENT INT64_C(250000) /* ns */

#define PER_PAGE (MPR_CHILD_PAGE / sizeof(struct mpr_record))

/* A page of records, and the reports behind it. */
struct sheet {
	struct mpr_record records[PER_PAGE];
	char reports[PER_PAGE][MPR_REPORT_SIZE];
};

static_assert(offsetof(struct sheet, reports) == MPR_CHILD_PAGE, "one page");

/* Private account of one sheet. */
struct mpr_records {
	struct mpr_records *next;
	uint64_t generation; /* of the process that it belongs to */
	struct sheet *sheet;
	bool used[PER_PAGE];
};

/* Our own come first; behind them are those of the process that forked us,
 * which are in use there, one by ourselves. */
MPR_CHILD_DATA static struct mpr_records *pages;

/* For the next child that is to have one; of the process that mapped it. */
static struct mpr_records *spare;

MPR_CHILD_PATH static struct mpr_records *
own(struct mpr_records *page)
{
	return page && page->generation == mpr_generation() ? page : NULL;
}

MPR_CHILD_PATH static struct mpr_records *
make_page(void)
{
	struct mpr_records *page = mpr_zalloc(sizeof(*page));

	if (!page)
		return NULL;
	/* First: a copy that a handler forks once it is mapped shares it with us. */
	page->generation = mpr_generation();
	page->sheet = mpr_child_pages(sizeof(*page->sheet));
	if (!page->sheet) {
		free(page);
		return NULL;
	}
	return page;
}

MPR_CHILD_PATH static void
add_page(struct mpr_records *page)
{
	page->generation = mpr_generation();
	page->next = pages;
	pages = page;
}

MPR_CHILD_PATH void
mpr_record_init(struct mpr_record *record)
{
	atomic_store(&record->order, MPR_RECORD_WAIT);
	atomic_store(&record->ended, 0);
	atomic_store(&record->reported, 0);
	atomic_store(&record->pid, 0);
	atomic_store(&record->setup, 0);
	mpr_parker_init(&record->parker);
	mpr_parker_init(&record->starter);
}

MPR_CHILD_PATH static struct mpr_record *
take(struct mpr_records *page)
{
	struct mpr_record *record;

	for (size_t i = 0; i < PER_PAGE; i++) {
		if (page->used[i])
			continue;
		page->used[i] = true;
		record = &page->sheet->records[i];
		mpr_record_init(record);
		return record;
	}
	return NULL;
}

MPR_CHILD_PATH struct mpr_record *
mpr_record_new(void)
{
	struct mpr_record *record = NULL;
	struct mpr_records *page;
	sigset_t before;

	/* A copy that a handler forks would clear it once more, at any time. */
	mpr_thread_forbid_signals(&before);
	mpr_process_lock();
	for (page = own(pages); page && !record; page = own(page->next))
		record = take(page);
	if (!record) {
		page = make_page();
		if (page) {
			add_page(page);
			record = take(page);
		}
	}
	mpr_process_unlock();
	mpr_thread_allow_signals(&before);
	return record;
}

void
mpr_record_free(struct mpr_record *record)
{
	struct mpr_record *first;

	mpr_process_lock();
	for (struct mpr_records *page = own(pages); page; page = own(page->next)) {
		first = page->sheet->records;
		if (record >= first && record < first + PER_PAGE)
			page->used[record - first] = false;
	}
	mpr_process_unlock();
}

static void
drop_page(struct mpr_records *page)
{
	if (!page)
		return;
	mpr_child_pages_free(page->sheet, sizeof(*page->sheet));
	free(page);
}

struct mpr_records *
mpr_records_set_aside(void)
{
	struct mpr_records *page;

	mpr_process_lock();
	page = spare;
	spare = NULL;
	mpr_process_unlock();
	if (own(page))
		return page;
	drop_page(page); /* our parent's, which nobody has */
	return make_page();
}

/* With an account of its own: to write to its parent's would cost it a copy of that page, and
 * another one after each fork. */
MPR_CHILD_PATH void
mpr_records_have(const struct mpr_records *records)
{
	struct mpr_records *page = records ? mpr_malloc(sizeof(*page)) : NULL;

	if (!page)
		return;
	*page = (struct mpr_records){ .sheet = records->sheet };
	add_page(page);
}

void
mpr_records_take_back(struct mpr_records *records, bool unused)
{
	if (!records)
		return;
	mpr_process_lock();
	/* A copy that a handler has forked since it was set aside has its parent's. */
	if (unused && !spare && own(records)) {
		spare = records;
		records = NULL;
	}
	mpr_process_unlock();
	drop_page(records);
}

void
mpr_record_look_out(const struct mpr_record *record, bool or_id)
{
	int64_t until = mproc_now() + MOMENT;

	while (!atomic_load(&record->setup) &&
	       !(or_id && atomic_load(&record->pid)) && mproc_now() < until)
		mpr_task_yield();
}

MPR_CHILD_PATH void *
mpr_record_report(struct mpr_record *record)
{
	/* Sheets begin at pages, and their records fill one. */
	size_t i = (uintptr_t)record % MPR_CHILD_PAGE / sizeof(*record);
	struct sheet *sheet = (struct sheet *)(void *)(record - i);

	return sheet->reports[i];
}
