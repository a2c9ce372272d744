/* SPDX-License-Identifier: MIT */
/*
 * without FEATURE[,FEATURE...][=ERRNO] PROGRAM [ARGUMENT...] - run a test
 * program as if the kernel had not got these features.
 *
 * ERRNO is ENOSYS, what an old kernel says, or EPERM, what some sandboxes say.
 * Without it each call fails with what a kernel without the feature would say.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mpt_refuse.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* A system call, or some uses of it. */
struct feature {
	const char *name;
	long syscall;
	int error; /* what a kernel without it says */
	enum { ALWAYS, WHEN, BITS } test;
	int arg;
	uint32_t value;
};

static const struct feature features[] = {
	{ .name = "memfd", SYS_memfd_create, ENOSYS },
	{ .name = "tmpfile", SYS_openat, EOPNOTSUPP, BITS, 2, __O_TMPFILE },
	{ .name = "fallocate", SYS_fallocate, EOPNOTSUPP },
	{ .name = "populate", SYS_madvise, EINVAL, WHEN, 2,
	  MADV_POPULATE_WRITE },
	{ .name = "remove", SYS_madvise, EINVAL, WHEN, 2, MADV_REMOVE },
	{ .name = "wipeonfork", SYS_madvise, EINVAL, WHEN, 2, MADV_WIPEONFORK },
	{ .name = "dontdump", SYS_madvise, EINVAL, WHEN, 2, MADV_DONTDUMP },
	{ .name = "membarrier", SYS_membarrier, ENOSYS },
	{ .name = "pidfd", SYS_pidfd_open, ENOSYS },
	{ .name = "pidfd", SYS_pidfd_send_signal, ENOSYS },
	{ .name = "pidfd", SYS_waitid, EINVAL, WHEN, 0, 3 /* P_PIDFD */ },
	{ .name = "clone3", SYS_clone3, ENOSYS },
	{ .name = "closerange", SYS_close_range, ENOSYS },
	{ .name = "eventfd", SYS_eventfd2, ENOSYS },
	{ .name = "pdeathsig", SYS_prctl, EINVAL, WHEN, 0, PR_SET_PDEATHSIG },
	{ .name = "setname", SYS_prctl, EINVAL, WHEN, 0, PR_SET_NAME },
	{ .name = "waitv", SYS_futex_waitv, ENOSYS },
	{ .name = "passrights", SYS_setsockopt, ENOPROTOOPT, WHEN, 2,
	  83 /* SO_PASSRIGHTS */ },
};

static int
read_error(const char *name)
{
	if (strcmp(name, "ENOSYS") == 0)
		return ENOSYS;
	if (strcmp(name, "EPERM") == 0)
		return EPERM;
	fprintf(stderr, "without: ENOSYS or EPERM, not %s\n", name);
	exit(2);
}

/* @error is 0 for what each of them has. */
static void
refuse(const char *name, int error)
{
	int found = 0;

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		const struct feature *f = &features[i];
		int e = error ? error : f->error;

		if (strcmp(f->name, name) != 0)
			continue;
		found++;
		if (f->test == ALWAYS)
			mpt_refuse(e, &f->syscall, 1);
		else if (f->test == WHEN)
			mpt_refuse_when(e, f->syscall, f->arg, f->value);
		else
			mpt_refuse_bits(e, f->syscall, f->arg, f->value);
	}
	if (!found) {
		fprintf(stderr, "without: no feature is called %s\n", name);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	char *names, *error, *name, *rest;

	if (argc < 3) {
		fprintf(stderr, "usage: without FEATURE[,FEATURE...][=ERRNO] "
			"PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	names = argv[1];
	error = strchr(names, '=');
	if (error)
		*error++ = '\0';
	setenv("MPT_WITHOUT", names, 1);
	for (name = strtok_r(names, ",", &rest); name;
	     name = strtok_r(NULL, ",", &rest))
		refuse(name, error ? read_error(error) : 0);
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
