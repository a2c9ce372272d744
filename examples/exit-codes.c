/* SPDX-License-Identifier: MIT */
/*
 * How a process ended: exit codes and signals are kept apart. To a shell an
 * exit with 137 and a death by SIGKILL look the same.
 */
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int
return_it(void *arg)
{
	const int *code = arg;

	return *code;
}

static int
wait_for_signal(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

static void
show(const char *what, mproc_entry *entry, int arg, int signal)
{
	struct mproc_exit end;
	mproc_process *p;
	int code;

	if (mproc_process_start(&p, entry, &arg, NULL) < 0)
		exit(1);
	if (signal == SIGKILL)
		mproc_process_kill(p);
	else if (signal == SIGTERM)
		mproc_process_terminate(p);
	mproc_process_join(p, MPROC_FOREVER);
	mproc_process_exit_info(p, &end);
	mproc_process_exitcode(p, &code);
	printf("%-16s code %3d, signal %2d, in one number %3d\n", what,
	       end.code, end.signal, code);
	mproc_process_close(p);
}

int
main(void)
{
	show("returned 3:", return_it, 3, 0);
	show("returned 137:", return_it, 137, 0);
	show("terminated:", wait_for_signal, 0, SIGTERM);
	show("killed:", wait_for_signal, 0, SIGKILL);
	return 0;
}
