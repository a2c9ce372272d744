/* SPDX-License-Identifier: MIT */
/*
 * A keeper with an image of its own: of what its starter has it finds in its own memory what
 * it needs, and is a keeper like any other then.
 */
#include "arena/arena.h"
#include "os/ambience.h"
#include "os/crash.h"
#include "os/generation.h"
#include "pool/code.h"
#include "pool/keeping.h"

int
mpr_keeper_run_anew(void *arg)
{
	struct mpr_keeping keeping = *(const struct mpr_keeping *)arg;
	struct mpr_keyboard keyboard;
	mpr_function *loop = NULL;

	/* First: handlers of what the program has brought along run already, and a copy
	 * that one forks from here on is no keeper. */
	keeping.generation = mpr_generation();
	/* The pool is in the family's arena, which lies at the same address everywhere. */
	keeping.use.arena = mpr_arena_of(keeping.use.pool);
	if (!keeping.use.arena)
		return 1;
	/* A thread that a constructor has begun may have the loader's lock when workers are
	 * forked. */
	mpr_module_note();
	if (keeping.loop)
		loop = mpr_code_find(&keeping.use, keeping.loop);
	keeping.use.loop = loop ? (mproc_map_loop *)loop : mproc_map_loop_near_;
	/* An image that is begun for a service has those of the keyboard blocked. */
	mpr_keyboard_ignore(&keyboard);
	mpr_crash_prepare();
	mpr_thread_allow_signals(&keeping.blocked);
	return mpr_keeper_run(&keeping);
}
