/* SPDX-License-Identifier: MIT */
/*
 * The few things the single-step killer must know about a processor: an
 * instruction that nothing else contains and that stops the victim, where its
 * program counter is, what a system call looks like, and how to break at an
 * instruction: MPT_BREAK replaces its bits under MPT_BREAK_MASK, raises SIGTRAP
 * and leaves the program counter MPT_BREAK_SIZE further on. A processor that can
 * break at an address by itself does so before the instruction there, as often
 * as it comes, and leaves the text alone. A port adds a branch.
 */
#ifndef MPT_STEP_ARCH_H
#define MPT_STEP_ARCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>

#if defined(__x86_64__)

#define MPT_MARK_INSN "ud2"
#define MPT_PC(regs) ((regs)->rip)
#define MPT_BREAK 0xccul
#define MPT_BREAK_MASK 0xfful
enum {
	MPT_MARK_SIZE = 2,
	MPT_BREAK_SIZE = 1,
};

static inline bool mpt_is_syscall(uint32_t insn)
{
	return (insn & 0xffff) == 0x050f;
}

/* From now on @pid, which is stopped, breaks at @pc; or nowhere, if that is 0.
 * Returns false if that cannot be had. */
static inline bool mpt_break_at(pid_t pid, uintptr_t pc)
{
	const size_t registers = offsetof(struct user, u_debugreg);
	const size_t size = sizeof(((struct user *)0)->u_debugreg[0]);

	return ptrace(PTRACE_POKEUSER, pid, (void *)registers, (void *)pc)
		       == 0 &&
	       ptrace(PTRACE_POKEUSER, pid, (void *)(registers + 7 * size),
		      (void *)(uintptr_t)(pc != 0)) == 0;
}

#elif defined(__aarch64__)

#define MPT_MARK_INSN ".inst 0x00000000"
#define MPT_PC(regs) ((regs)->pc)
#define MPT_BREAK 0xd4200000ul
#define MPT_BREAK_MASK 0xfffffffful
enum {
	MPT_MARK_SIZE = 4,
	MPT_BREAK_SIZE = 0,
};

static inline bool mpt_is_syscall(uint32_t insn)
{
	return insn == 0xd4000001;
}

static inline bool mpt_break_at(pid_t pid, uintptr_t pc)
{
	(void)pid;
	(void)pc;
	return false;
}

#else
#error "mpt_step_arch.h: the single-step killer has no port to this processor"
#endif

#endif
