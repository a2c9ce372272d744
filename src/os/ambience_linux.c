/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sched.h>
#include <string.h>

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

void
mpr_ambience_take(const struct mpr_ambience *a)
{
	struct mpr_ambience mine;

	mpr_ambience_note(&mine);
	if (memcmp(mine.cpus, a->cpus, sizeof(mine.cpus)) != 0)
		(void)sched_setaffinity(0, sizeof(a->cpus),
					(const cpu_set_t *)(const void *)a->cpus);
	pthread_sigmask(SIG_SETMASK, &a->blocked, NULL);
}

void
mpr_keyboard_ignore(struct mpr_keyboard *ret_k)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	for (int i = 0; i < MPR_KEYBOARD_SIGNALS; i++)
		sigaction(of_keyboard[i], &ignore, &ret_k->before[i]);
}

void
mpr_keyboard_heed(const struct mpr_keyboard *k)
{
	for (int i = 0; i < MPR_KEYBOARD_SIGNALS; i++)
		sigaction(of_keyboard[i], &k->before[i], NULL);
}
