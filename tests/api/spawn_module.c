/* SPDX-License-Identifier: MIT */
/*
 * A library with a task, and with an entry that nobody else can name. As long as
 * SPAWN_STARTS has the address of a shared number, it runs the entry in a process
 * whenever it is loaded, and counts that, up to a limit.
 */
#include <stdint.h>
#include <stdlib.h>

#include <mproc/mproc.h>

#define LIMIT 4

static int constructed;

static int
add(void *arg)
{
	mproc_fetch_add((int *)arg, 10 * constructed);
	return 11;
}

static void
start_another(int *value)
{
	mproc_process *p;

	if (mproc_fetch_add(value, 1) >= LIMIT ||
	    mproc_process_start(&p, add, value, NULL) < 0)
		return;
	(void)mproc_process_join(p, MPROC_FOREVER);
	mproc_process_close(p);
}

__attribute__((constructor)) static void
construct(void)
{
	const char *address = getenv("SPAWN_STARTS");

	constructed++;
	if (address)
		start_another((int *)(uintptr_t)strtoull(address, NULL, 16));
}

mproc_entry *module_entry(void);

mproc_entry *
module_entry(void)
{
	return add;
}

mproc_task module_task;

int
module_task(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	(void)out;
	return 0;
}
