/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdatomic.h>

#include "arena/arena.h"
#include "base/macros.h"
#include "ipc/handover.h"
#include "os/child.h"
#include "os/fds.h"
#include "os/start.h"
#include "process/exit.h"
#include "process/plan.h"
#include "process/self.h"
#include "process/setup.h"
#include "process/spawned.h"

/* Of a program that could not become what it was to be. Nobody sees it who has
 * got the word about that. */
#define EXIT_CODE 127

MPR_CHILD_DATA static struct mpr_plan_file plan; /* stays mapped: it has the record */
MPR_CHILD_DATA static struct mproc_process_opts opts;
MPR_CHILD_DATA static struct mpr_start start;
MPR_CHILD_DATA static bool early;

/* The program has called mproc_process_main(); for its children, too. */
static bool called;

bool
mpr_spawned_is_early(void)
{
	return early;
}

void
mpr_spawned_set_early(bool is)
{
	early = is;
}

bool
mpr_spawned_can_be(void)
{
	return called || mpr_start_is_ours();
}

char *const *
mpr_spawned_argv(void)
{
	static char name[] = "mproc";
	static char *const unknown[] = { name, NULL };
	char *const *argv = mpr_start_argv();

	return argv && argv[0] ? argv : unknown;
}

static noreturn void
refuse(enum mpr_setup_step step, int r)
{
	atomic_store(&plan.record->setup, mpr_setup_failure(step, r));
	mpr_parker_wake(&plan.record->starter);
	mpr_child_exit(EXIT_CODE);
}

/* At once: a program that another constructor starts would keep the other side from
 * seeing the end. */
MPR_IMAGE_PATH static void
seal_sockets(void)
{
	const struct mpr_handover_socket *sockets =
		mpr_plan_at(&plan, plan.plan->sockets_at);

	for (int i = 0; i < plan.plan->n_sockets; i++)
		mpr_fds_end_at_exec(sockets[i].fd);
}

/* Before the options close what is not to stay open. */
MPR_IMAGE_PATH static int
adopt_sockets(void)
{
	const struct mpr_handover_socket *sockets =
		mpr_plan_at(&plan, plan.plan->sockets_at);
	int r = 0;

	for (int i = 0; i < plan.plan->n_sockets && r == 0; i++)
		r = mpr_handover_adopt(sockets[i].end, sockets[i].fd);
	return r;
}

/* The parent may have had descriptors closed at exec that were needed so far. */
MPR_IMAGE_PATH static void
settle_descriptors(void)
{
	const struct mpr_pass *pass = mpr_plan_at(&plan, plan.plan->pass_at);

	for (int i = 0; i < plan.plan->n_pass; i++)
		if (pass[i].stays)
			mpr_fds_end_at_exec(pass[i].fd);
	for (int i = 0; i < plan.plan->n_pass; i++)
		if (!pass[i].stays && !mpr_fds_ends_at_exec(pass[i].fd))
			mpr_fds_close(pass[i].fd);
}

MPR_IMAGE_PATH static void
arrive(void)
{
	int r = mpr_plan_call(&plan, &start.call);

	if (r < 0)
		refuse(MPR_SETUP_ENTRY, r);
	r = adopt_sockets();
	if (r < 0)
		refuse(MPR_SETUP_DESCRIPTORS, r);
	start.opts = &opts;
	start.setup = true;
	start.given = plan.plan->given;
	start.name = plan.plan->name;
	start.record = plan.record;
	start.test = mpr_self_ticket_of(&plan.plan->test);
	start.promise = &plan.shmem.file;
	if (!opts.no_report)
		mpr_crash_plan(&start.crash);
	mpr_self_begin(&start);
	mpr_plan_close(&plan);
	settle_descriptors();
}

MPR_IMAGE_PATH static int
run(void)
{
	/* Behind the functions that the C library and the program's constructors
	 * have registered, as in a program that comes to start processes. */
	int r = mpr_exit_prepare();

	if (r < 0)
		mpr_child_exit(EXIT_CODE);
	early = false;
	mpr_self_enter(&start);
}

MPR_IMAGE_PATH MPR_CONSTRUCTOR static void
begin(void)
{
	int r = mpr_plan_receive(&plan);

	if (r == -ENOENT)
		return;
	if (r < 0)
		mpr_child_exit(EXIT_CODE);
	early = true;
	mpr_child_bond(&start.bond);
	start.bond.parent = plan.plan->parent;
	start.bond.outlives = plan.plan->outlives;
	mpr_child_follow(&start.bond);
	seal_sockets();
	mpr_plan_options(&plan, &opts);
	mproc_set_exit_limit((mproc_timeout){ plan.plan->exit_limit });
	(void)mproc_set_start_method(plan.plan->method);
	r = mpr_arena_adopt(&plan.plan->arena);
	if (r < 0)
		refuse(MPR_SETUP_ARENA, r);
	mpr_start_instead(arrive, run);
}

void
mproc_process_main(void)
{
	called = true;
	if (!early)
		return;
	arrive();
	run();
}
