/* SPDX-License-Identifier: MIT */
/*
 * The child reads the options in its copy of the parent's memory. The order of
 * the steps is part of the contract: a relative working directory is looked up
 * before descriptors are closed, for instance, and a source of a standard
 * stream need not be among those that are kept.
 */
#include <errno.h>
#include <stdlib.h>

#include "arena/arena.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/macros.h"
#include "ipc/handover.h"
#include "ipc/socket_end.h"
#include "os/child.h"
#include "os/cpu.h"
#include "os/fds.h"
#include "os/generation.h"
#include "os/stdio.h"
#include "process/method.h"
#include "process/setup.h"

enum step {
	GROUP = MPR_SETUP_STEPS,
	NICE,
	BIND,
	ENTER,
	ENVIRONMENT,
	STDIN, /* and the two behind it, in the order of their numbers */
	STDOUT,
	STDERR,
	KEEP,
	CLOSE,
	LIMIT,
	STEPS
};

/* The word: that it was written, which step failed, with what error, and which
 * descriptor or resource it was about. */
#define WRITTEN (UINT64_C(1) << 63)
#define STEP_SHIFT 48
#define ERROR_SHIFT 32
#define ERROR_MAX 4095 /* the kernel's */

/* Since this process closed what it had inherited: older generations have no
 * descriptors here. */
static uint64_t closed_before;

static uint64_t
failure(enum step step, int r, int fd)
{
	return WRITTEN | (uint64_t)step << STEP_SHIFT |
	       (uint64_t)-r << ERROR_SHIFT | (uint32_t)fd;
}

uint64_t
mpr_setup_failure(enum mpr_setup_step step, int r)
{
	return failure((enum step)step, r, 0);
}

MPR_CHILD_PATH static int
check_stream(const char *name, struct mproc_stdio s, bool lines)
{
	switch (s.kind) {
	case MPROC_STDIO_INHERIT:
	case MPROC_STDIO_NULL:
		return 0;
	case MPROC_STDIO_FD:
		return s.fd >= 0 ? 0 : mpr_fail(-EINVAL, "%s: descriptor %d",
						name, s.fd);
	case MPROC_STDIO_LINES:
		if (lines)
			return 0;
	}
	return mpr_fail(-EINVAL, "%s: there is no kind %d", name, s.kind);
}

/* @least is the smallest number of entries that means something. */
MPR_CHILD_PATH static int
check_list(const char *name, const int *list, int n, int least)
{
	if (n < least || (n > 0 && !list) || (n == 0 && list))
		return mpr_fail(-EINVAL, "%s is %p, n_%s is %d", name,
				(const void *)list, name, n);
	for (int i = 0; i < n; i++)
		if (list[i] < 0)
			return mpr_fail(-EINVAL, "%s[%d] is %d", name, i,
					list[i]);
	return 0;
}

/* What does not go together. */
MPR_CHILD_PATH static int
check_method(const struct mproc_process_opts *o)
{
	int r = mpr_method_check(o->method);

	if (r == 0 && o->daemon && o->outlive_parent)
		r = mpr_fail(-EINVAL, "a daemon does not outlive its parent");
	if (r == 0 && o->outlive_parent &&
	    (o->stdout_.kind == MPROC_STDIO_LINES ||
	     o->stderr_.kind == MPROC_STDIO_LINES))
		r = mpr_fail(-EINVAL, "who outlives its parent cannot have it "
			     "pass on its lines");
	if (r == 0 && o->exe && o->method != MPROC_SPAWN)
		r = mpr_fail(-EINVAL, "exe is \"%s\", and the method is not "
			     "MPROC_SPAWN", o->exe);
	return r;
}

MPR_CHILD_PATH int
mpr_setup_check(const struct mproc_process_opts *o)
{
	int r = check_method(o);

	if (r == 0)
		r = mpr_handover_check(o->conns, o->n_conns);
	if (r == 0)
		r = check_stream("stdin_", o->stdin_, false);

	if (r == 0)
		r = check_stream("stdout_", o->stdout_, true);
	if (r == 0)
		r = check_stream("stderr_", o->stderr_, true);
	if (r == 0)
		r = check_list("keep_fds", o->keep_fds, o->n_keep_fds, -1);
	if (r == 0)
		r = check_list("cpus", o->cpus, o->n_cpus, 0);
	if (r == 0 && (o->n_limits < 0 || (o->n_limits > 0) != !!o->limits))
		r = mpr_fail(-EINVAL, "limits is %p, n_limits is %d",
			     (const void *)o->limits, o->n_limits);
	for (int i = 0; i < o->n_limits && r == 0; i++)
		if (o->limits[i].soft > o->limits[i].hard)
			r = mpr_fail(-EINVAL, "limits[%d]: soft is %llu, hard "
				     "is %llu", i,
				     (unsigned long long)o->limits[i].soft,
				     (unsigned long long)o->limits[i].hard);
	if (r == 0 && (o->nice < -20 || o->nice > 19))
		r = mpr_fail(-EINVAL, "nice is %d", o->nice);
	if (r == 0 && o->process_group < -1)
		r = mpr_fail(-EINVAL, "process_group is %d",
			     (int)o->process_group);
	return r;
}

/* The first that is closed, as a word. A standard stream that leads elsewhere is open
 * by the time that it is kept. */
MPR_CHILD_PATH static uint64_t
find_closed(const struct mproc_process_opts *o)
{
	const struct mproc_stdio *streams[] = { &o->stdin_, &o->stdout_,
						&o->stderr_ };

	for (int i = 0; i < 3; i++)
		if (streams[i]->kind == MPROC_STDIO_FD &&
		    mpr_fds_check(streams[i]->fd) < 0)
			return failure(STDIN + (enum step)i, -EBADF,
				       streams[i]->fd);
	for (int i = 0; i < o->n_keep_fds; i++) {
		int fd = o->keep_fds[i];

		if (mpr_fds_check(fd) < 0 &&
		    (fd > 2 || streams[fd]->kind == MPROC_STDIO_INHERIT))
			return failure(KEEP, -EBADF, fd);
	}
	return WRITTEN;
}

MPR_CHILD_PATH int
mpr_setup_check_files(const struct mproc_process_opts *o)
{
	return mpr_setup_result(find_closed(o), o);
}

MPR_CHILD_PATH bool
mpr_setup_is_needed(const struct mproc_process_opts *o)
{
	return o->n_cpus || o->cwd || o->env || o->stdin_.kind ||
	       o->stdout_.kind || o->stderr_.kind || o->n_keep_fds ||
	       o->n_limits || o->nice || o->process_group;
}

MPR_CHILD_PATH static int
source(struct mproc_stdio s)
{
	return s.kind == MPROC_STDIO_FD	  ? s.fd :
	       s.kind == MPROC_STDIO_NULL ? MPR_FDS_NULL :
					    MPR_FDS_INHERIT;
}

MPR_CHILD_PATH static uint64_t
redirect(const struct mproc_process_opts *o)
{
	const int sources[3] = { source(o->stdin_), source(o->stdout_),
				 source(o->stderr_) };
	int failed, r = mpr_fds_redirect(sources, &failed);

	if (r < 0)
		return failure(STDIN + (enum step)failed, r, sources[failed]);
	if (o->stdin_.kind)
		mpr_stdio_renew_input();
	return 0;
}

static uint64_t
close_others(const struct mproc_process_opts *o, int kept)
{
	int n = o->n_keep_fds < 0 ? 0 : o->n_keep_fds, all, r;
	unsigned sockets = mpr_socket_end_fds(NULL, 0);
	int *keep;

	for (int i = 0; i < n; i++) {
		r = mpr_fds_check(o->keep_fds[i]);
		if (r < 0)
			return failure(KEEP, r, o->keep_fds[i]);
	}
	all = n + MPR_ARENA_FDS + 1 + (int)sockets;
	keep = mpr_malloc((size_t)all * sizeof(*keep));
	if (!keep)
		return failure(CLOSE, -ENOMEM, 0);
	for (int i = 0; i < n; i++)
		keep[i] = o->keep_fds[i];
	mpr_arena_fds(keep + n);
	keep[n + MPR_ARENA_FDS] = kept;
	mpr_socket_end_fds(keep + n + MPR_ARENA_FDS + 1, sockets);
	r = mpr_fds_close_others(keep, all);
	free(keep);
	if (r < 0)
		return failure(CLOSE, r, 0);
	closed_before = mpr_generation();
	return 0;
}

MPR_CHILD_PATH uint64_t
mpr_setup_apply(const struct mproc_process_opts *o, int kept)
{
	uint64_t failed = 0;
	int r;

	if (o->process_group) {
		r = mpr_child_join_group(o->process_group < 0 ?
						 0 : o->process_group);
		if (r < 0)
			return failure(GROUP, r, 0);
	}
	if (o->nice) {
		r = mpr_child_be_nice(o->nice);
		if (r < 0)
			return failure(NICE, r, 0);
	}
	if (o->n_cpus) {
		r = mpr_cpu_bind(o->cpus, o->n_cpus);
		if (r < 0)
			return failure(BIND, r, 0);
	}
	if (o->cwd) {
		r = mpr_child_enter(o->cwd);
		if (r < 0)
			return failure(ENTER, r, 0);
	}
	if (o->env) {
		r = mpr_child_environment(o->env);
		if (r < 0)
			return failure(ENVIRONMENT, r, 0);
	}
	if (o->stdin_.kind || o->stdout_.kind || o->stderr_.kind)
		failed = redirect(o);
	if (!failed && o->n_keep_fds)
		failed = close_others(o, kept);
	/* Last: what comes before may need more. */
	for (int i = 0; i < o->n_limits && !failed; i++) {
		r = mpr_child_limit(o->limits[i].resource, o->limits[i].soft,
				    o->limits[i].hard);
		if (r < 0)
			failed = failure(LIMIT, r, o->limits[i].resource);
	}
	return failed ? failed : WRITTEN;
}

MPR_CHILD_PATH bool
mpr_setup_has_failed(uint64_t word)
{
	return word != WRITTEN;
}

MPR_CHILD_PATH int
mpr_setup_result(uint64_t word, const struct mproc_process_opts *o)
{
	static const char *const streams[] = { "stdin_", "stdout_", "stderr_" };
	uint64_t step = word >> STEP_SHIFT & 0xff;
	int r = -(int)(word >> ERROR_SHIFT & 0xffff);
	int fd = (int)(uint32_t)word;
	const char *text;

	if (r == 0)
		return 0;
	if (r < -ERROR_MAX || step >= STEPS)
		return mpr_fail(-EBADMSG, "the child's word about its options, "
				"%#llx", (unsigned long long)word);
	text = mproc_strerror(r);
	if (step == MPR_SETUP_ARENA)
		return mpr_fail(r, "the arena in the new image: %s", text);
	if (step == MPR_SETUP_ENTRY)
		return mpr_fail(r, "the program or library that has the entry "
				"is not the same in the new image");
	if (step == MPR_SETUP_FORK)
		return mpr_fail(r, "fork in the fork server: %s", text);
	if (step == MPR_SETUP_DESCRIPTORS)
		return mpr_fail(r, "descriptors in the child: %s", text);
	switch ((enum step)step) {
	case GROUP:
		return mpr_fail(r, "process_group %d: %s",
				(int)o->process_group, text);
	case NICE:
		return mpr_fail(r, "nice %d: %s", o->nice, text);
	case LIMIT:
		return mpr_fail(r, "the limit on resource %d: %s", fd, text);
	case BIND:
		return mpr_fail(r, "the %d cpus, from %d on: %s", o->n_cpus,
				o->cpus ? o->cpus[0] : -1, text);
	case ENTER:
		return mpr_fail(r, "cwd \"%s\": %s", o->cwd ? o->cwd : "",
				text);
	case ENVIRONMENT:
		return mpr_fail(r, "a copy of env: %s", text);
	case STDIN:
	case STDOUT:
	case STDERR:
		if (fd == MPR_FDS_NULL)
			return mpr_fail(r, "/dev/null for %s: %s",
					streams[step - STDIN], text);
		return mpr_fail(r, "descriptor %d for %s: %s", fd,
				streams[step - STDIN], text);
	case KEEP:
		return mpr_fail(r, "descriptor %d in keep_fds: %s", fd, text);
	case CLOSE:
	case STEPS:
		break;
	}
	return mpr_fail(r, "closing all but keep_fds: %s", text);
}

bool
mpr_setup_left_open(uint64_t generation)
{
	return generation >= closed_before;
}
