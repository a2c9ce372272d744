/* SPDX-License-Identifier: MIT */
/*
 * interrupt.c - the wish of the user or the system that the program ends.
 */
#include "interrupt.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t noted;

static void
note(int signal)
{
	noted = signal;
}

void
interrupt_catch(void)
{
	struct sigaction sa, old;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = note;
	sa.sa_flags = SA_RESTART;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	/* Under nohup a hang-up is to be ignored. */
	sigaction(SIGHUP, &sa, &old);
	if (old.sa_handler == SIG_IGN)
		sigaction(SIGHUP, &old, NULL);
}

void
interrupt_leave_to_parent(void)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
}

int
interrupt_signal(void)
{
	return noted;
}
