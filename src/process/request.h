/* SPDX-License-Identifier: MIT */
/*
 * What is sent to a fork server, and to its spare, by the process that it works for.
 */
#ifndef MPR_PROCESS_REQUEST_H
#define MPR_PROCESS_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include <mproc/process.h>

#include "os/file.h"
#include "process/plan.h"

/* Whether all descriptors that go along fit into a message. Returns 0 or -EINVAL. */
int mpr_request_check(const struct mproc_process_opts *o);

/* Sends a message, with descriptors. Returns what mpr_courier_send() does; -EPIPE, too,
 * if the program has closed the connection behind our back, or we are not of the
 * @generation that has it: a signal handler may have forked in the middle. */
int mpr_request_tell(const struct mpr_file *to, uint64_t generation,
		     const void *message, size_t len, const int *fds, int n);

/* Has a child made by @plan: the server forks it, or it is the spare of that number.
 * Returns the same, or what mpr_fds_directory() does. */
int mpr_request_send(const struct mpr_file *to, uint64_t generation,
		     const struct mpr_plan_file *plan, int32_t spare,
		     const struct mproc_process_opts *o);

#endif
