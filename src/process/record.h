/* SPDX-License-Identifier: MIT */
/*
 * A child's record: two cache lines that it shares with the process that
 * started it, from before the fork until the handle is closed.
 *
 * Through it the child says how applying its options went, the parent holds it
 * back until all that can fail there has succeeded, and the child notes its exit
 * status, in case someone else reaps it. Records need no arena: they lie in
 * anonymous shared pages, which go with the last process that has them. Behind
 * each page of records there is room for the text of a report for each, which
 * nobody touches unless a child crashes.
 */
#ifndef MPR_PROCESS_RECORD_H
#define MPR_PROCESS_RECORD_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/parker.h"

#define MPR_REPORT_SIZE 8192

enum mpr_record_order {
	MPR_RECORD_WAIT = 0,
	MPR_RECORD_ASLEEP = 1, /* set by the child */
	MPR_RECORD_GO = 2,
	MPR_RECORD_ABORT = 3,
};

struct mpr_record {
	alignas(64) _Atomic uint32_t order; /* parent to child */
	_Atomic uint32_t ended; /* child to parent: exit status + 1 */
	_Atomic uint32_t reported; /* child to parent: bytes of its report */
	/* The child's id: from the parent, before its order; that of a child which a
	 * fork server makes is the kernel's to write before. */
	_Atomic uint32_t pid;
	struct mpr_parker parker; /* the child's, until it has its order */
	_Atomic uint64_t setup; /* child to parent: setup.h; 0 until it is done */
	struct mpr_parker starter; /* the parent's, until it has that */
	_Atomic uint32_t told; /* parent to child: its code (inline.h) */
};

static_assert(offsetof(struct mpr_record, starter) == 64, "shared layout");
static_assert(sizeof(struct mpr_record) == 128, "two cache lines");

/* Makes a record anew, in memory that it does not have from here. */
void mpr_record_init(struct mpr_record *record);

/* A zeroed record of this process, or NULL without memory. */
struct mpr_record *mpr_record_new(void);

void mpr_record_free(struct mpr_record *record);

/*
 * A page of records for a child that is about to be forked and starts others at once: it need
 * not map one. Nobody else has a record of it as long as it is set aside.
 */
struct mpr_records;

/* NULL without memory: the child maps its own. */
struct mpr_records *mpr_records_set_aside(void);

/* In the child: it is its own from here on; unless there is no memory, and it maps one. @records
 * may be NULL. */
void mpr_records_have(const struct mpr_records *records);

/* The child has ended. If @unused, nobody can write there any more, as it saw the end of all
 * that it has started, and the next child may have it. Otherwise those keep what they have
 * mapped. @records may be NULL. */
void mpr_records_take_back(struct mpr_records *records, bool unused);

/* Stays awake for a moment, if nobody else wants the CPU, until there is a word of
 * the child's, or, if @or_id, its id: to sleep and to be woken takes longer than a
 * forked child takes for its first steps. */
void mpr_record_look_out(const struct mpr_record *record, bool or_id);

/* Where the report of the record's process is: MPR_REPORT_SIZE bytes; of a record
 * with which a page begins, behind that page. */
void *mpr_record_report(struct mpr_record *record);

#endif
