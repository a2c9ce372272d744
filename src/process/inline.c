/* SPDX-License-Identifier: MIT */
/*
 * While the entry runs here its child is a daemon, whatever it was to be: the
 * entry may call exit(), and then the end of this process must not wait for a
 * child that waits for us.
 */
#include <setjmp.h>
#include <stdlib.h>

#include "os/generation.h"
#include "os/stdio.h"
#include "os/thread.h"
#include "process/exit.h"
#include "process/handle.h"
#include "process/inline.h"

/* One call of an entry, on the stack of the thread that makes it. */
struct call {
	sigjmp_buf escape;
	struct call *outer;
	mproc_process *process;
	uint64_t generation; /* a forked child has a copy of our stack */
	const void *mark; /* of functions at exit that were there before */
	volatile int code; /* set between the jumps */
};

_Atomic bool mpr_inline_on;

static MPR_THREAD_LOCAL struct call *this_call;

static struct call *
present(void)
{
	struct call *c = this_call;

	return mpr_unlikely(c != NULL) && c->generation == mpr_generation() ?
		       c : NULL;
}

/* What the child runs. Its parent has written the code before it let it go. */
static int
end_as_told(void *arg)
{
	const mproc_process *p = arg;

	return (int)atomic_load(&p->record->told);
}

int
mpr_inline_take(mproc_process *p, const struct mpr_call *call,
		struct mpr_call *ret_stub)
{
	void *copy;
	int r = 0;

	if (call->arg_size)
		r = mpr_process_copy_arg(&copy, call->arg, call->arg_size);
	if (r < 0)
		return r;
	p->call = *call;
	if (call->arg_size)
		p->call.arg = copy;
	*ret_stub = mpr_call_entry(end_as_told, p, 0);
	return 0;
}

void
mpr_inline_drop(mproc_process *p)
{
	if (p->call.arg_size)
		free(p->call.arg);
	p->call = (struct mpr_call){ 0 };
}

/* The exit rules look at these two under the lock. */
static void
set_kind(mproc_process *p, bool daemon, bool outlives)
{
	mpr_process_lock();
	p->daemon = daemon;
	p->outlives = outlives;
	mpr_process_unlock();
}

static void
call_entry(struct call *c)
{
	c->code = mpr_call_run(&c->process->call);
}

static void
call_functions(struct call *c)
{
	mpr_exit_run_since(c->mark);
}

/* @fn may leave by mpr_inline_leave(). */
static void
call_guarded(struct call *c, void (*fn)(struct call *c))
{
	if (sigsetjmp(c->escape, 1) == 0)
		fn(c);
}

void
mpr_inline_run(mproc_process *p)
{
	struct call call = {
		.outer = this_call,
		.process = p,
		.generation = mpr_generation(),
		.mark = mpr_exit_mark(),
	};
	bool daemon = p->daemon, outlives = p->outlives;
	int before = mpr_thread_forbid_cancel();

	set_kind(p, true, false);
	this_call = &call;
	call_guarded(&call, call_entry);
	call_guarded(&call, call_functions);
	mpr_stdio_flush();
	this_call = call.outer;
	set_kind(p, daemon, outlives);
	mpr_thread_allow_cancel(before);
	mpr_inline_drop(p);
	atomic_store(&p->record->told, (uint32_t)call.code & 0xff);
}

mproc_process *
mpr_inline_process(void)
{
	struct call *c = present();

	return c ? c->process : NULL;
}

noreturn void
mpr_inline_leave(int code)
{
	struct call *c = present();

	c->code = code;
	siglongjmp(c->escape, 1);
}
