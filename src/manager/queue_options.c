/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "manager/queue_options.h"

/* What is more than the wire takes is more than any queue does. */
static struct mproc_any
size(size_t n)
{
	return mproc_int(n < INT64_MAX ? (int64_t)n : INT64_MAX);
}

void
mpr_queue_options_write(struct mproc_any ret[MPR_QUEUE_OPTIONS],
			const struct mproc_queue_opts *o)
{
	ret[0] = size(o->capacity);
	ret[1] = size(o->max_message);
	ret[2] = size(o->max_items);
	ret[3] = mproc_int(o->max_redeliveries);
	ret[4] = mproc_int((o->single_consumer ? MPR_QUEUE_OPTION_SINGLE_CONSUMER : 0) |
			   (o->ordered ? MPR_QUEUE_OPTION_ORDERED : 0) |
			   (o->joinable ? MPR_QUEUE_OPTION_JOINABLE : 0) |
			   (o->ack ? MPR_QUEUE_OPTION_ACK : 0));
	ret[5] = o->name ? mproc_str(o->name) : mproc_nil();
}

int
mpr_queue_options_read(struct mproc_queue_opts *ret, char name[MPR_QUEUE_OPTION_NAME],
		       const struct mproc_any values[MPR_QUEUE_OPTIONS])
{
	const struct mproc_any *text = &values[5];
	int64_t flags = values[4].i64;
	bool wrong = text->kind != MPROC_NIL && text->kind != MPROC_STR;
	size_t len = 0;

	for (int i = 0; i < 5; i++)
		wrong |= values[i].kind != MPROC_INT ||
			 (i != 3 && values[i].i64 < 0);
	if (wrong || flags > 15 || values[3].i64 > INT_MAX || values[3].i64 < INT_MIN)
		return mpr_fail(-EINVAL, "the options of a queue are wanted");
	if (text->kind == MPROC_STR)
		len = text->len < MPR_QUEUE_OPTION_NAME ? text->len :
							  MPR_QUEUE_OPTION_NAME - 1;
	if (len)
		memcpy(name, text->ptr, len);
	name[len] = '\0';
	*ret = (struct mproc_queue_opts){
		.struct_size = sizeof(*ret),
		.capacity = (size_t)values[0].i64,
		.max_message = (size_t)values[1].i64,
		.max_items = (size_t)values[2].i64,
		.max_redeliveries = (int)values[3].i64,
		.single_consumer = flags & MPR_QUEUE_OPTION_SINGLE_CONSUMER,
		.ordered = flags & MPR_QUEUE_OPTION_ORDERED,
		.joinable = flags & MPR_QUEUE_OPTION_JOINABLE,
		.ack = flags & MPR_QUEUE_OPTION_ACK,
		.name = name,
	};
	return 0;
}
