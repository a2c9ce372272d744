/* SPDX-License-Identifier: MIT */
/*
 * What a queue is to be like that is made for a client, as a row of values.
 */
#ifndef MPR_MANAGER_QUEUE_OPTIONS_H
#define MPR_MANAGER_QUEUE_OPTIONS_H

#include <mproc/any.h>
#include <mproc/queue.h>

/* capacity, longest message, most messages, redeliveries, flags, name or nil */
#define MPR_QUEUE_OPTIONS 6

enum mpr_queue_option {
	MPR_QUEUE_OPTION_SINGLE_CONSUMER = 1,
	MPR_QUEUE_OPTION_ORDERED = 2,
	MPR_QUEUE_OPTION_JOINABLE = 4,
	MPR_QUEUE_OPTION_ACK = 8,
};

#define MPR_QUEUE_OPTION_NAME 64 /* bytes, with a zero */

/* The text of the last one is the caller's. */
void mpr_queue_options_write(struct mproc_any ret[MPR_QUEUE_OPTIONS],
			     const struct mproc_queue_opts *opts);

/* Its name is @name then. Returns 0, or -EINVAL if the values make no sense. */
int mpr_queue_options_read(struct mproc_queue_opts *ret,
			   char name[MPR_QUEUE_OPTION_NAME],
			   const struct mproc_any values[MPR_QUEUE_OPTIONS]);

#endif
