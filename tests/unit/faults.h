/* SPDX-License-Identifier: MIT */
/*
 * Every call of the kernel that can fail is made to fail, one after the other,
 * in a use of the library by a process that has not used it before. What comes of
 * it is either what would have come without the fault, or an error that says why,
 * after which nothing is left behind and the same use succeeds.
 */
#ifndef UNIT_FAULTS_H
#define UNIT_FAULTS_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include <mproc/mproc.h>

#include "base/fault.h"
#include "common.h"

/* What a role tells, and what a process has after one use without a fault. */
struct board {
	struct footprint {
		struct mproc_arena_stat stat;
		unsigned fds;
		unsigned mappings;
		bool arena;
	} expected;
	_Atomic uint64_t usual_hits[MPR_FAULTS]; /* without a fault */
	_Atomic uint64_t hits;
	_Atomic uint64_t child_hits; /* of this point, which includes ours */
	enum mpr_fault_point point;
	_Atomic unsigned failures;
	_Atomic unsigned begun; /* members of a group */
	char spec[64]; /* of the fault, until it is over */
	bool in_thread; /* the error detail is another thread's */
	/* A use keeps blocks, which are larger where there was no memory for smaller ones. */
	bool keeps;
};

/* Returns 0 or the first error, and undoes what it did. */
struct use {
	const char *name;
	int (*fn)(struct mpt *t);
	bool forks; /* what its children reach is not seen */
};

/* Shared ones. */
static inline unsigned
count_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned n = 0;

	while (file && fgets(line, sizeof(line), file))
		n += strstr(line, "rw-s") != NULL;
	if (file)
		fclose(file);
	return n;
}

static inline void
measure(struct footprint *f)
{
	*f = (struct footprint){ .fds = mpt_fd_count(),
				 .mappings = count_mappings() };
	f->arena = mpr_arena_peek();
	if (f->arena)
		(void)mproc_arena_stat(NULL, &f->stat);
}

static inline void
compare(struct mpt *t, const struct footprint *was,
	const struct footprint *expected)
{
	const struct board *b = mpt_scratch(t);

	mpt_check_int(t, was->arena, expected->arena);
	mpt_check_int(t, was->fds, expected->fds);
	mpt_check_int(t, was->mappings, expected->mappings);
	mpt_check_int(t, was->stat.blocks, expected->stat.blocks);
	if (!b->keeps)
		mpt_check_int(t, was->stat.used, expected->stat.used);
	mpt_check_int(t, was->stat.participants, expected->stat.participants);
	mpt_check_int(t, was->stat.queues, expected->stat.queues);
}

static inline void
expect_an_error(struct mpt *t, int r)
{
	static const int known[] = { EAGAIN, EMFILE, ENFILE, ENOLCK, ENOMEM,
				     ENOSPC, ENOSYS, EPERM, EFBIG, EACCES,
				     EINVAL, ENOTSUP, ENOEXEC, EPIPE,
				     EADDRINUSE, ECONNREFUSED };
	bool found = false;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		found |= r == -known[i];
	if (!found)
		mpt_fail(t, __FILE__, __LINE__, "%d is not documented", r);
}

/* One use, with a fault. */
struct trial {
	const struct use *use;
	const char *spec;
	int point;     /* whose calls are counted, or -1 */
	unsigned call; /* the one that fails */
};

static inline int
use_with_fault(struct mpt *t, void *arg)
{
	const struct trial *trial = arg;
	struct board *b = mpt_scratch(t);
	struct footprint after;
	sigset_t before, now;
	int r;

	/* Bounded, so that a hang shows where it is. */
	alarm(30);
	sigprocmask(SIG_SETMASK, NULL, &before);
	mpt_check_int(t, mpr_fault_set(trial->spec), 0);
	r = trial->use->fn(t);
	mpr_fault_set(NULL);
	b->spec[0] = '\0';
	b->hits = trial->point < 0 ? 0 :
		  mpr_fault_hits((enum mpr_fault_point)trial->point);
	if (b->hits < b->child_hits)
		b->hits = b->child_hits;
	/* A child that failed cannot tell. */
	if (r < 0 && b->hits < trial->call)
		b->hits = trial->call;
	if (r < 0) {
		b->failures++;
		expect_an_error(t, r);
		mpt_check(t, b->in_thread ||
			     mproc_error_detail()[0] != '\0');
	}
	mpt_check_int(t, waitpid(-1, NULL, WNOHANG), -1);
	mpt_check_int(t, errno, ECHILD);
	sigprocmask(SIG_SETMASK, NULL, &now);
	for (int s = 1; s <= SIGRTMAX; s++)
		mpt_check_int(t, sigismember(&now, s), sigismember(&before, s));

	mpt_check_int(t, trial->use->fn(t), 0);
	measure(&after);
	compare(t, &after, &b->expected);
	return 0;
}

static inline int
use_without_fault(struct mpt *t, void *arg)
{
	const struct trial *trial = arg;
	struct board *b = mpt_scratch(t);

	/* Calls are only counted while one is to fail. */
	mpt_check_int(t, mpr_fault_set("malloc:1000000"), 0);
	mpt_check_int(t, trial->use->fn(t), 0);
	mpr_fault_set(NULL);
	for (int point = 0; point < MPR_FAULTS; point++)
		b->usual_hits[point] =
			mpr_fault_hits((enum mpr_fault_point)point);
	mpt_check_int(t, trial->use->fn(t), 0);
	measure(&b->expected);
	return 0;
}

static inline void
try_it(struct mpt *t, const struct use *use, const char *spec, int point,
       unsigned call)
{
	struct trial trial = { use, spec, point, call };
	struct board *b = mpt_scratch(t);
	char role[128];

	b->child_hits = 0;
	b->point = point < 0 ? 0 : (enum mpr_fault_point)point;
	snprintf(b->spec, sizeof(b->spec), "%s", spec);

	snprintf(role, sizeof(role), "%s, %s", use->name, spec);
	mpt_expect_exit(t, mpt_spawn(t, role, use_with_fault, &trial), 0);
}

/* The nth call of @point fails, for each n. Where nothing comes to it, the use is the
 * one without a fault. */
static inline void
sweep(struct mpt *t, const struct use *use, enum mpr_fault_point point)
{
	struct board *b = mpt_scratch(t);
	char spec[64];

	if (!use->forks && !b->usual_hits[point])
		return;
	for (unsigned n = 1;; n++) {
		snprintf(spec, sizeof(spec), "%s:%u", mpr_fault_name(point), n);
		try_it(t, use, spec, (int)point, n);
		if (b->hits < n)
			break;
		if (n == 1) {
			strcat(spec, "+");
			try_it(t, use, spec, (int)point, n);
		}
	}
}

/* What is missing altogether, or comes together. */
static const char *const mixtures[] = {
	"memfd:1+,tmpfile:1+",
	"memfd:1+=EPERM,lock:1",
	"memfd:1+=EMFILE",
	"seal:1+=EPERM",
	"fallocate:1+=EOPNOTSUPP",
	"fallocate:1+=EPERM,populate:2+",
	"fallocate:2=EINTR",
	"punch:1+,malloc:2",
	"pidfd:1+=ENOSYS",
	"pidfd:1+=EPERM,poll:1+",
	"pidfd:1+=ENOSYS,waitid:1+=EPERM",
	"waitid:2=EINTR",
	"open:1+=EACCES,membarrier:1+",
	"close:1+,open:2+=EACCES",
};

static inline void
sweep_all(struct mpt *t, const struct use *use)
{
	struct board *b = mpt_scratch(t);
	struct trial trial = { use, NULL, -1, 0 };

	mpt_watchdog(t, 120);
	mpt_expect_exit(t, mpt_spawn(t, use->name, use_without_fault, &trial),
			0);
	for (int point = 0; point < MPR_FAULTS; point++)
		sweep(t, use, (enum mpr_fault_point)point);
	for (size_t i = 0; i < sizeof(mixtures) / sizeof(mixtures[0]); i++)
		try_it(t, use, mixtures[i], -1, 0);
	assert_true(b->failures > 0);
}

#endif
