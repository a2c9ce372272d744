/* SPDX-License-Identifier: MIT */
/*
 * job.h - the whole count by workers.
 */
#ifndef WORDCOUNT_JOB_H
#define WORDCOUNT_JOB_H

#include <stdbool.h>

#include "answer.h"
#include "options.h"

/* Counts with workers, and kills some of them meanwhile if there is to be
 * chaos. Returns 0, also when interrupted; or a negative error, which has been
 * told. */
int job_run(const struct options *o, bool chaos, struct answer *ret_answer);

#endif
