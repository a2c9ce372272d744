/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "os/ambience.h"

static const int of_keyboard[MPR_KEYBOARD_SIGNALS] = { SIGINT, SIGQUIT,
							SIGTSTP };

void
mpr_ambience_note(struct mpr_ambience *ret_a)
{
	memset(ret_a, 0, sizeof(*ret_a));
	/* A system with more CPUs refuses; then nobody changes any. */
	(void)sched_getaffinity(0, sizeof(ret_a->cpus),
				(cpu_set_t *)(void *)ret_a->cpus);
	pthread_sigmask(SIG_SETMASK, NULL, &ret_a->blocked);
}

static bool
has_cpus(const struct mpr_ambience *a, const struct mpr_ambience *b)
{
	for (size_t i = 0; i < MPR_ARRAY_LEN(a->cpus); i++)
		if (a->cpus[i] != b->cpus[i])
			return false;
	return true;
}

MPR_CHILD_PATH void
mpr_ambience_take(const struct mpr_ambience *a,
		  const struct mpr_ambience *before)
{
	if (mpr_unlikely(!has_cpus(a, before)))
		(void)sched_setaffinity(0, sizeof(a->cpus),
					(const cpu_set_t *)(const void *)a->cpus);
	/* By a function that a child calls anyway: see base/macros.h. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &a->blocked, NULL, NSIG / 8);
}

bool
mpr_ambience_has_one_cpu(const struct mpr_ambience *a)
{
	return CPU_COUNT_S(sizeof(a->cpus),
			   (const cpu_set_t *)(const void *)a->cpus) == 1;
}

bool
mpr_ambience_blocks(const struct mpr_ambience *a, int signal)
{
	return sigismember(&a->blocked, signal) == 1;
}

void
mpr_keyboard_add(sigset_t *set)
{
	for (int i = 0; i < MPR_KEYBOARD_SIGNALS; i++)
		sigaddset(set, of_keyboard[i]);
}

MPR_CHILD_PATH void
mpr_keyboard_ignore(struct mpr_keyboard *ret_k)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	for (int i = 0; i < MPR_KEYBOARD_SIGNALS; i++)
		sigaction(of_keyboard[i], &ignore, &ret_k->before[i]);
}

MPR_CHILD_PATH void
mpr_keyboard_heed(const struct mpr_keyboard *k)
{
	for (int i = 0; i < MPR_KEYBOARD_SIGNALS; i++)
		sigaction(of_keyboard[i], &k->before[i], NULL);
}
