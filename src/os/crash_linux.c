/* SPDX-License-Identifier: MIT */
/*
 * The end is always the same: the signal is queued once more, as it came, for
 * the thread that got it, with the default action, and the handler returns. It
 * is delivered at the instruction that was interrupted, so that a core dump
 * shows what it would have shown, whether that instruction would fault again,
 * as most do, or whether the signal was sent.
 *
 * Only functions that are async-signal-safe are called, but for those of
 * os/trace.h.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/text.h"
#include "os/child.h"
#include "os/crash.h"
#include "os/crash_cause.h"
#include "os/syscall_arch.h"
#include "os/trace.h"
#include "os/trace_arch.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* The handler with all that it calls needs a tenth of that, and the frame of
 * the largest register sets as much again. Nobody touches it before. */
#define STACK_SIZE (64 << 10)

/* Of the program's own stacks: one that is smaller than the first gives way to
 * ours, and where less than the second is left, without the frame, there is no
 * report. Lazy binding takes half of that. */
#define STACK_MIN (size_t)(16 << 10)
#define ROOM (size_t)5000

#define PART_SECONDS 1	 /* for each part of the report */
#define PATIENCE_MS 4000 /* for a report that another thread writes */
#define PATH_MAX_SHOWN 200

static const int signals[MPR_CRASH_SIGNALS] = {
	SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS,
};

/* Ours, since we were started. */
MPR_CHILD_DATA static struct {
	struct mpr_crash_report report;
	uint64_t first_line;
	_Atomic pid_t thread; /* which writes the report, or 0 */
} watched;

/* Of the thread that writes the report. Not on its stack: parts that are left
 * in the middle must find it as they left it, and all of it is touched in a
 * crash only. */
static struct {
	int signal;
	const siginfo_t *info;
	ucontext_t *context;
	struct mpr_text text;
	size_t published; /* bytes */
	struct mpr_trace trace;
	struct mpr_trace_point before; /* what @context had, if @moved */
	bool moved;
	unsigned listed; /* frames */
	int timer; /* the kernel's number for it, or -1 */
	volatile unsigned part;
	volatile bool in_part; /* then @escape leads out of it */
	sigjmp_buf escape;
} work;

/* What is there so far can be read; but not a line that did not fit. */
static void
publish(void)
{
	if (work.text.full)
		return;
	work.published = work.text.length;
	/* Release pairs with the acquire of the reader, who finds the text. */
	atomic_store_explicit(watched.report.length, (uint32_t)work.published,
			      memory_order_release);
}

static void
tell_cause(void)
{
	struct mpr_text *text = &work.text;

	mpr_text_add(text, "process \"");
	mpr_text_add(text, watched.report.name);
	mpr_text_add(text, "\" (");
	mpr_text_add_number(text, watched.report.pid);
	mpr_text_add(text, "): ");
	mpr_crash_cause(text, work.signal, work.info, watched.report.pid);
	mpr_text_add(text, "\n");
	publish();
}

static void
tell_thread(void)
{
	struct mpr_text *text = &work.text;
	char name[16] = "";

	prctl(PR_GET_NAME, name, 0, 0, 0);
	mpr_text_add(text, "thread ");
	mpr_text_add_number(text, watched.thread);
	mpr_text_add(text, " \"");
	mpr_text_add(text, name);
	mpr_text_add(text, "\"\n");
	publish();
}

static void
tell_log(void)
{
	uint64_t count = mpr_log_count(), n = watched.first_line;
	char line[MPR_LOG_LINE];
	int level;

	if (count > MPR_LOG_KEPT && n < count - MPR_LOG_KEPT)
		n = count - MPR_LOG_KEPT;
	for (; n < count; n++) {
		if (!mpr_log_line(n, &level, line))
			continue;
		mpr_text_add(&work.text, "log: ");
		mpr_text_add(&work.text, mpr_log_level_name(level));
		mpr_text_add(&work.text, ": ");
		mpr_text_add(&work.text, line);
		mpr_text_add(&work.text, "\n");
		publish();
	}
}

static void
collect(void)
{
	mpr_trace_collect(&work.trace);
}

/* A call through a bad pointer: the fault is where the next instruction should
 * have been. The backtrace goes on with the caller. */
static void
collect_caller(void)
{
	work.before = mpr_trace_point(work.context);
	if (work.signal != SIGSEGV || work.info->si_code <= 0 ||
	    (uintptr_t)work.info->si_addr != work.before.pc ||
	    work.trace.count != 1)
		return;
	mpr_trace_move(work.context, mpr_trace_caller(work.context));
	work.moved = true;
	mpr_trace_collect(&work.trace);
}

static void
move_back(void)
{
	if (work.moved)
		mpr_trace_move(work.context, work.before);
}

static void
tell_place(const struct mpr_place *place)
{
	struct mpr_text *text = &work.text;
	size_t length;

	if (!place->module)
		return;
	length = strlen(place->module);
	mpr_text_add(text, " ");
	if (length > PATH_MAX_SHOWN)
		mpr_text_add(text, "...");
	mpr_text_add(text, length > PATH_MAX_SHOWN ?
		     place->module + length - PATH_MAX_SHOWN : place->module);
	mpr_text_add(text, "+");
	mpr_text_add_hex(text, place->offset, 1);
	if (!place->symbol)
		return;
	mpr_text_add(text, " (");
	mpr_text_add(text, place->symbol);
	mpr_text_add(text, "+");
	mpr_text_add_hex(text, place->distance, 1);
	mpr_text_add(text, ")");
}

static void
list(bool named)
{
	struct mpr_text *text = &work.text;
	struct mpr_place place = { 0 };
	uintptr_t address;
	unsigned gap;

	if (work.trace.count && !work.listed && !text->full)
		mpr_text_add(text, "backtrace:\n");
	while (work.listed < work.trace.count && !text->full) {
		gap = 1;
		if (mpr_trace_frame(&work.trace, work.listed, &address, &gap)) {
			if (named)
				mpr_trace_name(&place, address,
					       work.listed > 0);
			mpr_text_add(text, "#");
			mpr_text_add_number(text, work.listed);
			mpr_text_add(text, " ");
			mpr_text_add_hex(text, address, 2 * sizeof(address));
			tell_place(&place);
		} else {
			mpr_text_add(text, "(");
			mpr_text_add_number(text, gap);
			mpr_text_add(text, " frames left out)");
		}
		mpr_text_add(text, "\n");
		publish();
		work.listed += gap;
	}
}

static void
list_named(void)
{
	list(true);
}

/* What the part before has left over. */
static void
list_bare(void)
{
	list(false);
}

static void (*const parts[])(void) = {
	tell_cause, tell_thread, tell_log,     collect,
	collect_caller, move_back, list_named, list_bare,
};

/* Sends the signal once more whenever a part has had its time. A process
 * without a timer has to do without the parts that may hang. */
static bool
set_timer(void)
{
	struct itimerspec each = {
		.it_value.tv_sec = PART_SECONDS,
		.it_interval.tv_sec = PART_SECONDS,
	};
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = work.signal,
	};

	/* Not timer_create(3), which allocates. */
	event.sigev_notify_thread_id = watched.thread;
	return syscall(SYS_timer_create, CLOCK_MONOTONIC, &event,
		       &work.timer) == 0 &&
	       syscall(SYS_timer_settime, work.timer, 0, &each, NULL) == 0;
}

/* Whether what is left of an alternate stack is enough. The program's own may
 * be small, and where it ends, its data may begin. */
static bool
has_room(void)
{
	stack_t stack;

	return syscall(SYS_sigaltstack, NULL, &stack) < 0 ||
	       !(stack.ss_flags & SS_ONSTACK) ||
	       (size_t)((char *)&stack - (char *)stack.ss_sp) >= ROOM;
}

/* A fault in the report must not end the process by another signal. */
static void
let_faults_come(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	for (unsigned i = 0; i < MPR_CRASH_SIGNALS; i++)
		sigaddset(&mask, signals[i]);
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
}

static void
write_report(int signal, const siginfo_t *info, ucontext_t *context)
{
	unsigned count = MPR_ARRAY_LEN(parts);

	let_faults_come();
	work.signal = signal;
	work.info = info;
	work.context = context;
	work.timer = -1;
	work.text = (struct mpr_text){
		.to = watched.report.text,
		.size = watched.report.size,
	};
	/* A process may be forked by one thread while another one of its parent
	 * is in here. */
	work.published = 0;
	work.trace.count = 0;
	work.trace.begun = false;
	work.moved = false;
	work.listed = 0;
	for (work.part = 0; work.part < count; work.part++) {
		if (parts[work.part] == collect && !set_timer())
			break;
		/* A part that was left may have left a piece of a line. */
		work.text.length = work.published;
		if (sigsetjmp(work.escape, 1) == 0) {
			work.in_part = true;
			parts[work.part]();
		}
		work.in_part = false;
	}
	syscall(SYS_timer_delete, work.timer);
}

/* Lets another thread that crashed first finish its report; its signal ends us
 * all. */
static void
wait_for_report(void)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	/* Not nanosleep(2), at which a thread may be cancelled. */
	for (int i = 0; i < PATIENCE_MS; i++)
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ms, NULL);
}

static void
end_as_before(int signal, const siginfo_t *info, pid_t pid, pid_t thread)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t mask;

	/* Until the handler returns. */
	sigemptyset(&mask);
	sigaddset(&mask, signal);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	sigaction(signal, &action, NULL);
	/* The second is for a sandbox; there a fault still comes again. */
	if (syscall(SYS_rt_tgsigqueueinfo, pid, thread, signal, info) < 0)
		syscall(SYS_tgkill, pid, thread, signal);
}

static void
on_crash(int signal, siginfo_t *info, void *context)
{
	pid_t pid = getpid(), thread = (pid_t)syscall(SYS_gettid), none = 0;
	int saved = errno;

	/* Others have inherited the handler. */
	if (pid == watched.report.pid && has_room()) {
		if (atomic_compare_exchange_strong(&watched.thread, &none,
						   thread))
			write_report(signal, info, context);
		else if (none != thread)
			wait_for_report();
		else if (work.in_part)
			/* A fault in the report, or its time is up. */
			siglongjmp(work.escape, 1);
	}
	end_as_before(signal, info, pid, thread);
	errno = saved;
}

/* Once for the program, and inherited. Who is second has no use for his. */
MPR_IMAGE_PATH static void *
the_stack(void)
{
	static _Atomic(void *) stack;
	void *mine, *first = atomic_load(&stack);

	if (first)
		return first;
	mine = mpr_fault(MPR_FAULT_MMAP) ? MAP_FAILED :
	       mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (mine == MAP_FAILED)
		return NULL;
	if (atomic_compare_exchange_strong(&stack, &first, mine))
		return mine;
	munmap(mine, STACK_SIZE);
	return first;
}

MPR_IMAGE_PATH void
mpr_crash_plan(struct mpr_crash_plan *ret_plan)
{
	struct sigaction *action = &ret_plan->action;

	action->sa_sigaction = on_crash;
	/* Not SA_NODEFER: a fault before we know that there is room would bring
	 * us back to the same place for ever. */
	action->sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigfillset(&action->sa_mask);
	for (unsigned i = 0; i < MPR_CRASH_SIGNALS; i++)
		ret_plan->signals[i] = signals[i];
	sigdelset(&action->sa_mask, MPR_CHILD_ORPHANED);
	ret_plan->stack = the_stack();
	ret_plan->first_line = mpr_log_count();
}

void
mpr_crash_prepare(void)
{
	(void)the_stack();
}

void
mpr_crash_uncatch(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	for (unsigned i = 0; i < MPR_CRASH_SIGNALS; i++)
		sigaction(signals[i], &action, NULL);
}

static long
set_stack(const stack_t *stack, stack_t *ret_before)
{
	return mpr_syscall(SYS_sigaltstack, (long)(uintptr_t)stack,
			   (long)(uintptr_t)ret_before);
}

/* The program's own, which the thread that forked us had, stays if it is large
 * enough. */
MPR_CHILD_PATH static void
use_stack(void *ours)
{
	stack_t stack = { .ss_sp = ours, .ss_size = STACK_SIZE }, before;

	if (ours && set_stack(&stack, &before) == 0 &&
	    !(before.ss_flags & SS_DISABLE) && before.ss_size >= STACK_MIN)
		set_stack(&before, NULL);
}

MPR_CHILD_PATH void
mpr_crash_watch(const struct mpr_crash_plan *plan,
		const struct mpr_crash_report *report)
{
	struct sigaction before;

	watched.report = *report;
	watched.first_line = plan->first_line;
	watched.thread = 0;
	use_stack(plan->stack);
	/* First ours, then back if need be: one call for each, most times. */
	for (unsigned i = 0; i < MPR_CRASH_SIGNALS; i++) {
		sigaction(plan->signals[i], &plan->action, &before);
		if (before.sa_handler != SIG_DFL &&
		    before.sa_sigaction != on_crash)
			sigaction(plan->signals[i], &before, NULL);
	}
}
