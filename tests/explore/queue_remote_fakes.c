/* SPDX-License-Identifier: MIT */
/*
 * There is nothing of managers where schedules are explored.
 */
#include <errno.h>

#include "arena/remote.h"
#include "ipc/queue_remote.h"

bool
mpr_remote_has(const void *p)
{
	(void)p;
	return false;
}

/* Without handles nobody comes here. */
#define NEVER(name, ...)                                                       \
	int mpr_queue_remote_##name(__VA_ARGS__)                               \
	{                                                                      \
		return -EFAULT;                                                \
	}

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif

NEVER(put, mproc_queue *q, const struct iovec *parts, int n, size_t len,
      mproc_timeout timeout)
NEVER(put_many, mproc_queue *q, const struct iovec *msgs, int n, mproc_timeout timeout)
NEVER(get, mproc_queue *q, void *buf, size_t size, size_t *ret_len,
      mproc_timeout timeout)
NEVER(get_many, mproc_queue *q, void *buf, size_t size, struct iovec *ret_msgs, int n,
      mproc_timeout timeout)
NEVER(done, mproc_queue *q)
NEVER(requeue, mproc_queue *q)
NEVER(join, mproc_queue *q, mproc_timeout timeout)
NEVER(dead_letters, mproc_queue *q, mproc_queue **ret_dlq)
NEVER(shutdown, mproc_queue *q, unsigned flags)
NEVER(stat, mproc_queue *q, struct mproc_queue_stat *ret_stat)
NEVER(reserve, mproc_queue *q, size_t len, void **ret_p, mproc_timeout timeout)
NEVER(commit, mproc_queue *q, void *p, size_t len)
NEVER(abort, mproc_queue *q, void *p)
NEVER(peek, mproc_queue *q, const void **ret_p, size_t *ret_len, mproc_timeout timeout)
NEVER(release, mproc_queue *q, const void *p)

size_t
mpr_queue_remote_len(mproc_queue *q)
{
	(void)q;
	return 0;
}

void
mpr_queue_remote_destroy(mproc_queue *q)
{
	(void)q;
}
