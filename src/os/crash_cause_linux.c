/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "base/macros.h"
#include "os/crash_cause.h"

static const struct {
	int signal;
	const char *name;
} names[] = {
	{ SIGSEGV, "SIGSEGV" }, { SIGBUS, "SIGBUS" },   { SIGFPE, "SIGFPE" },
	{ SIGILL, "SIGILL" },	{ SIGTRAP, "SIGTRAP" }, { SIGABRT, "SIGABRT" },
	{ SIGSYS, "SIGSYS" },
};

static const struct {
	int signal;
	int code;
	const char *text;
} reasons[] = {
	{ SIGSEGV, SEGV_MAPERR, "nothing is mapped at" },
	{ SIGSEGV, SEGV_ACCERR, "access is not permitted to" },
	{ SIGSEGV, SEGV_PKUERR, "a protection key forbids access to" },
	{ SIGBUS, BUS_ADRALN, "misaligned access to" },
	{ SIGBUS, BUS_ADRERR, "no memory behind the mapping at" },
	{ SIGBUS, BUS_OBJERR, "hardware error at" },
	{ SIGBUS, BUS_MCEERR_AR, "broken memory at" },
	{ SIGFPE, FPE_INTDIV, "integer division by zero at" },
	{ SIGFPE, FPE_INTOVF, "integer overflow at" },
	{ SIGFPE, FPE_FLTDIV, "floating-point division by zero at" },
	{ SIGFPE, FPE_FLTOVF, "floating-point overflow at" },
	{ SIGFPE, FPE_FLTUND, "floating-point underflow at" },
	{ SIGFPE, FPE_FLTRES, "inexact floating-point result at" },
	{ SIGFPE, FPE_FLTINV, "invalid floating-point operation at" },
	{ SIGILL, ILL_ILLOPC, "illegal instruction at" },
	{ SIGILL, ILL_ILLOPN, "illegal instruction at" },
	{ SIGILL, ILL_ILLADR, "illegal addressing mode at" },
	{ SIGILL, ILL_PRVOPC, "privileged instruction at" },
	{ SIGTRAP, TRAP_BRKPT, "breakpoint at" },
	{ SIGTRAP, TRAP_TRACE, "trace trap at" },
};

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

static const char *
reason(int signal, int code)
{
	for (size_t i = 0; i < MPR_ARRAY_LEN(reasons); i++)
		if (reasons[i].signal == signal && reasons[i].code == code)
			return reasons[i].text;
	return NULL;
}

static void
add_name(struct mpr_text *text, int signal)
{
	for (size_t i = 0; i < MPR_ARRAY_LEN(names); i++)
		if (names[i].signal == signal)
			mpr_text_add(text, names[i].name);
	mpr_text_add(text, " (");
	mpr_text_add_number(text, signal);
	mpr_text_add(text, ")");
}

static void
add_sender(struct mpr_text *text, const siginfo_t *info, pid_t self)
{
	if (info->si_pid == self) {
		mpr_text_add(text, "sent by the process itself");
		return;
	}
	mpr_text_add(text, "sent by process ");
	mpr_text_add_number(text, info->si_pid);
	mpr_text_add(text, " of user ");
	mpr_text_add_number(text, info->si_uid);
}

void
mpr_crash_cause(struct mpr_text *text, int signal, const siginfo_t *info,
		pid_t self)
{
	const char *why = reason(signal, info->si_code);

	add_name(text, signal);
	mpr_text_add(text, ", ");
	if (info->si_code == SI_USER || info->si_code == SI_TKILL ||
	    info->si_code == SI_QUEUE) {
		add_sender(text, info, self);
	} else if (signal == SIGSYS && info->si_code == SYS_SECCOMP) {
		mpr_text_add(text, "a filter forbids system call ");
		mpr_text_add_number(text, info->si_syscall);
	} else if (why) {
		mpr_text_add(text, why);
		mpr_text_add(text, " ");
		mpr_text_add_hex(text, (uintptr_t)info->si_addr,
				 2 * sizeof(void *));
	} else if (signal == SIGSEGV && info->si_code == SI_KERNEL) {
		/* The processor does not tell which. */
		mpr_text_add(text, "an address that cannot exist");
	} else if (signal == SIGTRAP && info->si_code == SI_KERNEL) {
		mpr_text_add(text, "breakpoint");
	} else {
		mpr_text_add(text, "code ");
		mpr_text_add_number(text, info->si_code);
	}
}
