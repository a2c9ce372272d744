/* SPDX-License-Identifier: MIT */
/*
 * interrupt.h - the wish of the user or the system that the program ends.
 *
 * A handler notes the signal, and loops look at the note: waits of libmproc go
 * on after a handler has run, so none of them lasts longer than 100 ms.
 */
#ifndef WORDCOUNT_INTERRUPT_H
#define WORDCOUNT_INTERRUPT_H

/* Notes SIGINT, SIGTERM and SIGHUP from now on. */
void interrupt_catch(void);

/* In a worker: the parent decides what becomes of it. Ctrl-C and a hang-up,
 * which go to all processes at once, are ignored; SIGTERM ends it. */
void interrupt_leave_to_parent(void);

/* The signal that came, or 0. */
int interrupt_signal(void);

#endif
