/* SPDX-License-Identifier: MIT */
/*
 * The filters do not look at the architecture: the programs under test make
 * native system calls only.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "mpt.h"
#include "mpt_refuse.h"

enum {
	MAX_CALLS = 64,
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW_HALF 0
#else
#define LOW_HALF 4
#endif

static struct sock_filter load(size_t offset)
{
	return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					    (uint32_t)offset);
}

/* Goes on with the next instruction if so, else skips @skip of them. */
static struct sock_filter unless_equal(uint32_t value, uint8_t skip)
{
	return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0,
					    skip);
}

static struct sock_filter unless_any(uint32_t bits, uint8_t skip)
{
	return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0,
					    skip);
}

static struct sock_filter answer(uint32_t what)
{
	return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what);
}

static struct sock_filter failure(int error)
{
	return answer(SECCOMP_RET_ERRNO |
		      ((uint32_t)error & SECCOMP_RET_DATA));
}

static _Noreturn void give_up(const char *text)
{
	fprintf(stderr, "mpt: refusing system calls: %s\n", text);
	_exit(MPT_FAILED);
}

static void install(struct sock_filter *code, size_t len)
{
	struct sock_fprog program = {
		.len = (unsigned short)len,
		.filter = code,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		give_up(strerror(errno));
}

void mpt_refuse(int error, const long *syscalls, int n)
{
	struct sock_filter code[2 * MAX_CALLS + 2];
	size_t len = 0;
	int i;

	if (n > MAX_CALLS)
		give_up("too many of them");
	code[len++] = load(offsetof(struct seccomp_data, nr));
	for (i = 0; i < n; i++) {
		code[len++] = unless_equal((uint32_t)syscalls[i], 1);
		code[len++] = failure(error);
	}
	code[len++] = answer(SECCOMP_RET_ALLOW);
	install(code, len);
}

/* One system call, if @test holds for an argument. */
static void refuse_one(int error, long syscall, int arg,
		       struct sock_filter test)
{
	struct sock_filter code[] = {
		load(offsetof(struct seccomp_data, nr)),
		unless_equal((uint32_t)syscall, 3),
		load(offsetof(struct seccomp_data, args) + 8 * (size_t)arg +
		     LOW_HALF),
		test,
		failure(error),
		answer(SECCOMP_RET_ALLOW),
	};

	install(code, sizeof(code) / sizeof(code[0]));
}

void mpt_refuse_when(int error, long syscall, int arg, uint32_t value)
{
	refuse_one(error, syscall, arg, unless_equal(value, 1));
}

void mpt_refuse_bits(int error, long syscall, int arg, uint32_t bits)
{
	refuse_one(error, syscall, arg, unless_any(bits, 1));
}

bool mpt_without(const char *feature)
{
	const char *at = getenv("MPT_WITHOUT");
	size_t len = strlen(feature), n;

	while (at != NULL && *at != '\0') {
		n = strcspn(at, ",");
		if (n == len && strncmp(at, feature, n) == 0)
			return true;
		at += n + (at[n] == ',');
	}
	return false;
}
