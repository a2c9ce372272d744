/* SPDX-License-Identifier: MIT */
/*
 * What tests share that show that a call does not enter the kernel: a seccomp filter
 * kills who makes any system call but the ones it needs to report and to end.
 */
#ifndef API_SYSCALLS_H
#define API_SYSCALLS_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "common.h"
#include "mpt_refuse.h"

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#error "which architecture does seccomp call this?"
#endif

/* From here on: write, exit and exit_group, or death by SIGSYS. */
static inline void
forbid_system_calls(struct mpt *t)
{
	/* Where the kernel does not tell a child that it is one, each call has
	 * to ask who it is. */
	uint32_t asked = mpt_without("wipeonfork") ? SYS_getpid : SYS_write;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, asked, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	mpt_check_int(t, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	mpt_check_int(t, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program),
		      0);
}

#endif
