/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "ipc/handover.h"
#include "os/image.h"
#include "os/thread.h"
#include "process/plan.h"
#include "process/spawn.h"
#include "process/spawned.h"

int
mpr_spawn_check(const struct mproc_process_opts *o)
{
	if (mpr_spawned_is_early())
		return mpr_fail(-ENOEXEC, "this process has not come to its own "
				"entry yet: a constructor, or main(), would "
				"start others without end");
	if (!mpr_image_would_trust())
		return mpr_fail(-ENOEXEC, "this process has other rights than "
				"its user, or its program gives them: a new "
				"image would trust no word of it");
	if (!o->exe && !mpr_image_is_program())
		return mpr_fail(-ENOEXEC, "the loader was asked to run this "
				"program, which cannot be begun anew then: name "
				"it by .exe");
	if (!o->exe && !mpr_spawned_can_be())
		return mpr_fail(-ENOEXEC, "libmproc does not control the start "
				"of this program, as it was loaded later or "
				"through another library: call "
				"mproc_process_main() first in main(), or name "
				"another program by .exe");
	return 0;
}

/* All descriptors that are to stay open. */
static int
list_fds(const struct mpr_plan_file *f, int *fds)
{
	const struct mpr_pass *pass = mpr_plan_at(f, f->plan->pass_at);
	const struct mpr_handover_socket *sockets =
		mpr_plan_at(f, f->plan->sockets_at);
	int n = 0;

	fds[n++] = f->shmem.file.fd;
	if (f->plan->arena.size) {
		fds[n++] = f->plan->arena.fd;
		fds[n++] = f->plan->arena.locks_fd;
	}
	for (int i = 0; i < f->plan->n_pass; i++)
		fds[n++] = pass[i].fd;
	for (int i = 0; i < f->plan->n_sockets; i++)
		fds[n++] = sockets[i].fd;
	return n;
}

/* A fork server is to ignore the keyboard, and cannot do so before it runs. */
static pid_t
start_image(const struct mpr_plan_file *f, const struct mproc_process_opts *o,
	    bool service, const sigset_t *blocked)
{
	char variable[MPR_PLAN_VARIABLE_MAX];
	char *const exe_argv[] = { (char *)(uintptr_t)o->exe, NULL };
	struct mpr_image image = {
		.path = o->exe,
		.argv = o->exe ? exe_argv : mpr_spawned_argv(),
		.blocked = blocked,
		.deaf = service,
	};
	size_t n = (size_t)f->plan->n_pass + (size_t)f->plan->n_sockets + 3;
	int *fds = mpr_malloc(n * sizeof(*fds));
	char **env;
	pid_t pid;

	mpr_plan_variable(f, variable);
	env = mpr_image_environment(o->env, variable);
	if (fds && env) {
		image.env = env;
		image.fds = fds;
		image.n_fds = list_fds(f, fds);
		pid = mpr_image_start(&image);
	} else {
		pid = -ENOMEM;
	}
	free(fds);
	free(env);
	return pid < 0 ? mpr_fail(pid, "starting %s: %s",
				  o->exe ? o->exe : "this program anew",
				  mproc_strerror(pid)) : pid;
}

pid_t
mpr_spawn(mproc_process *p, const struct mpr_call *call,
	  const struct mproc_process_opts *o)
{
	int r = mpr_plan_make(&p->plan, call, p->name, o, p->service, NULL);
	sigset_t before;

	if (r < 0)
		return r;
	p->record = p->plan.record;
	mpr_thread_forbid_signals(&before);
	/* A signal handler may have forked us meanwhile, and the plan is our parent's. */
	r = mpr_process_check(p);
	if (r == 0)
		r = start_image(&p->plan, o, p->service, &before);
	mpr_thread_allow_signals(&before);
	return r;
}
