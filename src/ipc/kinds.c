/* SPDX-License-Identifier: MIT */
/*
 * The table of kinds that the arena looks through when someone dies. A new
 * kind of shared object gets a line here and a name in enum mpr_kind.
 */
#include "arena/kinds.h"
#include "ipc/attachment.h"
#include "ipc/pipe_recover.h"
#include "ipc/queue_recover.h"
#include "sync/wait.h"

const struct mpr_kind_ops mpr_kinds[MPR_KINDS] = {
	[MPR_KIND_SYNC] = {
		.recover = mpr_waits_recover,
		.left = mpr_waits_left,
	},
	[MPR_KIND_QUEUE] = {
		.recover = mpr_queues_recover,
		.told = mpr_queues_told,
		.leave = mpr_attachments_leave,
		.count = mpr_queues_count,
	},
	[MPR_KIND_PIPE] = {
		.recover = mpr_pipes_recover,
		.ended = mpr_pipes_ended,
		.look = mpr_pipes_look,
		.leave = mpr_pipes_leave,
	},
};
