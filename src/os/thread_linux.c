/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/fault.h"
#include "os/thread.h"

int
mpr_thread_forbid_cancel(void)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

void
mpr_thread_allow_cancel(int before)
{
	pthread_setcancelstate(before, NULL);
}

/* The key, plus 1; 0 as long as there is none. */
static _Atomic uint64_t published;

/* Makes the key, if there is none yet. */
static int
publish_key(void (*fn)(void *arg))
{
	pthread_key_t key;
	uint64_t none = 0;
	int r;

	if (atomic_load(&published))
		return 0;
	r = mpr_fault(MPR_FAULT_KEY) ? errno : pthread_key_create(&key, fn);
	if (r)
		return -r;
	/* One of several threads wins. Nobody waits for it, as it may not exist
	 * any more in a forked child. */
	if (!atomic_compare_exchange_strong(&published, &none,
					    (uint64_t)key + 1))
		pthread_key_delete(key);
	return 0;
}

int
mpr_thread_at_exit(void (*fn)(void *arg), void *arg)
{
	int r = publish_key(fn);

	if (r < 0)
		return r;
	if (mpr_fault(MPR_FAULT_KEY))
		return -errno;
	return -pthread_setspecific(
		(pthread_key_t)(atomic_load(&published) - 1), arg);
}
