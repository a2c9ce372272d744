/* SPDX-License-Identifier: MIT */
#include <pthread.h>

#include "os/thread.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;
static void (*_Atomic at_exit)(void *arg);

static void
make_key(void)
{
	key_error = pthread_key_create(&key, at_exit);
}

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

int
mpr_thread_at_exit(void (*fn)(void *arg), void *arg)
{
	at_exit = fn;
	pthread_once(&once, make_key);
	if (key_error)
		return -key_error;
	return -pthread_setspecific(key, arg);
}
