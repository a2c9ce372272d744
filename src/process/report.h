/* SPDX-License-Identifier: MIT */
/*
 * The report of a process that crashed, as its parent gets it. The process
 * writes it into memory that both share, in the middle of a crash, so nothing
 * in there can be relied on.
 */
#ifndef MPR_PROCESS_REPORT_H
#define MPR_PROCESS_REPORT_H

#include "process/record.h"

/*
 * A copy of what the record's process has reported, or NULL if that is nothing,
 * or there is no memory. It is text whatever the process has written: lines of
 * printable ASCII, of bounded length, with question marks for all else. To be
 * freed.
 */
char *mpr_report_copy(struct mpr_record *record);

#endif
