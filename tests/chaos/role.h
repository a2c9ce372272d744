/* SPDX-License-Identifier: MIT */
/*
 * Processes that a chaos program starts by hand, kills and replaces: many thousand in
 * a run, more than a scenario has roles.
 */
#ifndef CHAOS_ROLE_H
#define CHAOS_ROLE_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>

#include "mpt.h"

struct role {
	pid_t pid;
	uint32_t life; /* the how manieth, of those that count them */
};

/* Whether it has ended; if it is bound to, when it has. It stays a zombie. */
static inline bool
has_ended(const struct role *role, bool is_bound_to)
{
	siginfo_t info = { 0 };

	waitid(P_PID, (id_t)role->pid, &info,
	       WEXITED | WNOWAIT | (is_bound_to ? 0 : WNOHANG));
	return info.si_pid;
}

/* Waits for a role that is to end. Returns whether it was killed. */
static inline bool
reap(struct mpt *t, struct role *role)
{
	int status;

	mpt_check_int(t, waitpid(role->pid, &status, 0), role->pid);
	role->pid = 0;
	if (WIFSIGNALED(status)) {
		mpt_check_int(t, WTERMSIG(status), SIGKILL);
		return true;
	}
	mpt_check_int(t, WEXITSTATUS(status), 0);
	return false;
}

static inline void
wait_us(uint64_t us)
{
	struct timespec time = { .tv_nsec = (long)us * 1000 };

	ppoll(NULL, 0, &time, NULL);
}

#endif
