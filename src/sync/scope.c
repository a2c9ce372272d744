/* SPDX-License-Identifier: MIT */
#include "sync/scope.h"
#include "arena/death.h"
#include "os/task.h"

struct mpr_scope
mpr_scope(uint64_t name, const struct mpr_participant *of)
{
	if (!(name & MPR_NAME_PRIVATE))
		return (struct mpr_scope){ 0 };
	if (!of)
		return (struct mpr_scope){ .pid = (uint32_t)mpr_task_pid() };
	return (struct mpr_scope){
		.pid = atomic_load(&of->pid),
		.namespace = atomic_load(&of->pid_namespace),
	};
}

/* Two with the same pid, in different namespaces, are told apart where the
 * caller knows its own. */
bool
mpr_scope_includes(const struct mpr_scope *scope,
		   const struct mpr_participant *p)
{
	if (!scope->pid)
		return true;
	return atomic_load(&p->pid) == scope->pid &&
	       (!scope->namespace ||
		atomic_load(&p->pid_namespace) == scope->namespace);
}

bool
mpr_scope_lives(const mproc_arena *a, unsigned slot, uint64_t ident)
{
	return mpr_participant_state(ident) == MPR_PARTICIPANT_LIVE &&
	       !mpr_participant_is_dead(a, slot, ident, false);
}

bool
mpr_scope_has(const mproc_arena *a, const struct mpr_scope *scope,
	      unsigned slot)
{
	struct mpr_participant *p = mpr_participant_at(a, slot);

	return mpr_scope_lives(a, slot, atomic_load(&p->ident)) &&
	       mpr_scope_includes(scope, p);
}
