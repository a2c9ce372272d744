/* SPDX-License-Identifier: MIT */
/*
 * What a backtrace must know of a processor: where the context of a signal has
 * the registers that say where the program is, and how to get from the start of
 * a function, before its first instruction, to its caller. That is needed after
 * a call that led to no code, as there are no tables for that. A port adds a
 * branch; without, the backtrace of such a call ends where it begins.
 */
#ifndef MPR_OS_TRACE_ARCH_H
#define MPR_OS_TRACE_ARCH_H

#include <stdint.h>
#include <ucontext.h>

struct mpr_trace_point {
	uintptr_t pc;
	uintptr_t sp;
};

#if defined(__x86_64__)

static inline struct mpr_trace_point
mpr_trace_point(const ucontext_t *context)
{
	return (struct mpr_trace_point){
		.pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP],
		.sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP],
	};
}

static inline void
mpr_trace_move(ucontext_t *context, struct mpr_trace_point to)
{
	context->uc_mcontext.gregs[REG_RIP] = (greg_t)to.pc;
	context->uc_mcontext.gregs[REG_RSP] = (greg_t)to.sp;
}

/* The call has pushed where it returns to. */
static inline struct mpr_trace_point
mpr_trace_caller(const ucontext_t *context)
{
	struct mpr_trace_point at = mpr_trace_point(context);

	at.pc = *(const uintptr_t *)at.sp;
	at.sp += sizeof(uintptr_t);
	return at;
}

#elif defined(__aarch64__)

static inline struct mpr_trace_point
mpr_trace_point(const ucontext_t *context)
{
	return (struct mpr_trace_point){
		.pc = context->uc_mcontext.pc,
		.sp = context->uc_mcontext.sp,
	};
}

static inline void
mpr_trace_move(ucontext_t *context, struct mpr_trace_point to)
{
	context->uc_mcontext.pc = to.pc;
	context->uc_mcontext.sp = to.sp;
}

static inline struct mpr_trace_point
mpr_trace_caller(const ucontext_t *context)
{
	struct mpr_trace_point at = mpr_trace_point(context);

	at.pc = context->uc_mcontext.regs[30];
	return at;
}

#else

/* No fault is at this one. */
static inline struct mpr_trace_point
mpr_trace_point(const ucontext_t *context)
{
	(void)context;
	return (struct mpr_trace_point){ .pc = UINTPTR_MAX };
}

static inline void
mpr_trace_move(ucontext_t *context, struct mpr_trace_point to)
{
	(void)context;
	(void)to;
}

static inline struct mpr_trace_point
mpr_trace_caller(const ucontext_t *context)
{
	return mpr_trace_point(context);
}

#endif

#endif
