/* SPDX-License-Identifier: MIT */
/*
 * The end of a process by exit(3), or by a return from main().
 */
#ifndef MPR_OS_EXIT_H
#define MPR_OS_EXIT_H

/*
 * Has @fn run with the exit status when the process ends in that way, before
 * what was registered with atexit(3) until now. It stays registered in forked
 * children; @fn is the same in all calls of a program, of which the first that
 * succeeds counts. Returns 0 or -ENOMEM.
 */
int mpr_exit_hook(void (*fn)(int status));

#endif
