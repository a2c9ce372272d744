/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "base/fault.h"
#include "base/macros.h"
#include "os/generation.h"
#include "os/task.h"
#include "os/thread.h"

/* What a log function of the user may need; it is touched as it is used. */
#define STACK (256 * 1024)

static int
start(const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg)
{
	pthread_t thread;
	int r;

	if (mpr_fault(MPR_FAULT_THREAD))
		return -errno;
	r = pthread_create(&thread, attr, fn, arg);
	if (r == 0 && !attr)
		pthread_detach(thread);
	return -r;
}

/* Those of this process: a forked child has none. */
static _Atomic unsigned *
own_threads(void)
{
	mpr_generation();
	return &atomic_load(&mpr_process_page)->own_threads;
}

MPR_CHILD_PATH void
mpr_thread_forbid_signals(sigset_t *ret_before)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGTRAP);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_BLOCK, &all, ret_before);
}

MPR_CHILD_PATH void
mpr_thread_allow_signals(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

int
mpr_thread_start(void *(*fn)(void *arg), void *arg)
{
	pthread_attr_t attr;
	sigset_t before;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	mpr_thread_forbid_signals(&before);
	r = start(&attr, fn, arg);
	/* Too small for the thread-local variables of this program. */
	if (r == -EINVAL)
		r = start(NULL, fn, arg);
	mpr_thread_allow_signals(&before);
	pthread_attr_destroy(&attr);
	if (r == 0)
		atomic_fetch_add(own_threads(), 1);
	return r;
}

void
mpr_thread_is_over(void)
{
	atomic_fetch_sub(own_threads(), 1);
}

static void *
run(void *arg)
{
	const struct mpr_thread *t = arg;

	pthread_cleanup_push(t->over, t->arg);
	t->fn(t->arg);
	pthread_cleanup_pop(1);
	return NULL;
}

int
mpr_thread_run(struct mpr_thread *t)
{
	sigset_t before;
	int r;

	if (mpr_fault(MPR_FAULT_THREAD))
		return -errno;
	mpr_thread_forbid_signals(&before);
	r = pthread_create(&t->id, NULL, run, t);
	mpr_thread_allow_signals(&before);
	return -r;
}

void
mpr_thread_join(const struct mpr_thread *t)
{
	int before = mpr_thread_forbid_cancel();

	pthread_join(t->id, NULL);
	mpr_thread_allow_cancel(before);
}

void
mpr_thread_yield(void)
{
	sched_yield();
}

bool
mpr_thread_are_last(void)
{
	return mpr_task_are_last(atomic_load(own_threads()));
}

void
mpr_thread_show_name(const char *name)
{
	/* Where a sandbox forbids it, it has its maker's. */
	(void)prctl(PR_SET_NAME, name);
}

MPR_CHILD_PATH int
mpr_thread_forbid_cancel(void)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

MPR_CHILD_PATH void
mpr_thread_allow_cancel(int before)
{
	pthread_setcancelstate(before, NULL);
}

/* Makes the key, if there is none yet. */
MPR_CHILD_PATH static int
make_key(struct mpr_thread_hook *hook)
{
	pthread_key_t key;
	uint64_t none = 0;
	int r;

	if (atomic_load(&hook->key))
		return 0;
	r = mpr_fault(MPR_FAULT_KEY) ? errno :
				       pthread_key_create(&key, hook->fn);
	if (r)
		return -r;
	/* One of several threads wins. Nobody waits for it, as it may not exist
	 * any more in a forked child. */
	if (!atomic_compare_exchange_strong(&hook->key, &none,
					    (uint64_t)key + 1))
		pthread_key_delete(key);
	return 0;
}

MPR_CHILD_PATH int
mpr_thread_at_exit(struct mpr_thread_hook *hook, void *arg)
{
	int r = make_key(hook);

	if (r < 0)
		return r;
	if (mpr_fault(MPR_FAULT_KEY))
		return -errno;
	return -pthread_setspecific(
		(pthread_key_t)(atomic_load(&hook->key) - 1), arg);
}
