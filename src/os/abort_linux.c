/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "os/abort.h"

static struct sigaction before;
static void (*called)(void);
static bool is_set;

static void
on_abort(int signal)
{
	int saved = errno;

	called();
	/* It comes once more, when we have returned. */
	sigaction(SIGABRT, &before, NULL);
	raise(signal);
	errno = saved;
}

void
mpr_abort_catch(void (*fn)(void))
{
	struct sigaction action, present;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_abort;
	called = fn;
	/* Not ours for our own, or it would never end. */
	if (sigaction(SIGABRT, &action, &present) == 0 &&
	    present.sa_handler != on_abort)
		before = present;
}

void
mpr_abort_restore(void)
{
	sigaction(SIGABRT, &before, NULL);
}

void
mpr_abort_set_variable(const char *name)
{
	if (!getenv(name))
		is_set = setenv(name, "1", 1) == 0;
}

void
mpr_abort_clear_variable(const char *name)
{
	if (is_set)
		unsetenv(name);
	is_set = false;
}
