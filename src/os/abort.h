/* SPDX-License-Identifier: MIT */
/*
 * abort() in an assertion, which is to end in another way.
 */
#ifndef MPR_OS_ABORT_H
#define MPR_OS_ABORT_H

/* At SIGABRT, @fn is called, in the thread that has it. If it returns, all is as
 * if nothing had caught the signal: what was there before gets it. */
void mpr_abort_catch(void (*fn)(void));

/* Gives the variable @name of the environment the value "1", unless it has one;
 * and takes it away, if it got it here. */
void mpr_abort_set_variable(const char *name);
void mpr_abort_clear_variable(const char *name);

/* What was there before is there again. */
void mpr_abort_restore(void);

#endif
