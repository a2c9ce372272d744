/* SPDX-License-Identifier: MIT */
/*
 * Workers that are processes, forked by the keeper.
 */
#include "base/macros.h"
#include "pool/backend.h"
#include "process/handle.h"

MPR_CHILD_PATH static int
begin(const struct mpr_working *w, const char *name, void **ret_worker)
{
	struct mproc_process_opts o = {
		.struct_size = sizeof(o),
		.name = name,
		.method = MPROC_FORK,
	};
	struct mpr_working working = *w;
	struct mpr_call call = mpr_call_entry(mpr_worker_run, &working, 0);
	mproc_process *process;
	int r = mpr_process_hold_service(&process, &call, &o);

	if (r < 0)
		return r;
	mpr_process_let_go(process);
	*ret_worker = process;
	return 0;
}

static bool
has_ended(void *worker, struct mproc_exit *ret_end)
{
	mproc_process *process = worker;

	if (!mpr_process_has_ended(process))
		return false;
	*ret_end = process->exit;
	return true;
}

static void
close_one(void *worker)
{
	mproc_process_close(worker);
}

static void
kill_one(void *worker)
{
	(void)mproc_process_kill(worker);
}

const struct mpr_backend mpr_backend_processes = {
	.begin = begin,
	.has_ended = has_ended,
	.close = close_one,
	.kill = kill_one,
	.has_exits = true,
};
