/* SPDX-License-Identifier: MIT */
/*
 * A module that is never loaded to the end: its constructor sleeps for ever, as
 * one that waits for a lock may, and the loader holds its own lock meanwhile.
 */
#include <unistd.h>

__attribute__((constructor)) static void
sleep_for_ever(void)
{
	for (;;)
		pause();
}
