/* SPDX-License-Identifier: MIT */
#include "sync/barrier_remote.h"
#include "sync/remote.h"

int
mpr_barrier_remote_wait(mproc_barrier *barrier, mproc_timeout timeout)
{
	int64_t thread = mpr_remote_thread(), time = mpr_remote_time(timeout);
	struct mpr_remote_ask ask = {
		.op = MPR_OP_BARRIER_WAIT,
		.n_args = 2,
		/* Of what is over by now the barrier is broken all the same. */
		.args = { thread, time || !timeout.ns ? time : 1 },
		.takes = true,
		.waits = true,
	};

	return thread < 0 ? (int)thread :
			    mpr_remote_ask(MPR_CELL_BARRIER, barrier, &ask);
}

int
mpr_barrier_remote_enroll(mproc_barrier *barrier)
{
	int64_t thread = mpr_remote_thread();
	struct mpr_remote_ask ask = {
		.op = MPR_OP_BARRIER_ENROLL,
		.n_args = 1,
		.args = { thread },
		.takes = true,
	};

	return thread < 0 ? (int)thread :
			    mpr_remote_ask(MPR_CELL_BARRIER, barrier, &ask);
}

int
mpr_barrier_remote_ask(const mproc_barrier *barrier, unsigned op)
{
	return mpr_remote_ask_simply(MPR_CELL_BARRIER, barrier, op);
}
