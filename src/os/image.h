/* SPDX-License-Identifier: MIT */
/*
 * A process with an image of its own: a program that begins anew, rather than a
 * copy of this process. To make one costs the same however much memory this
 * process has.
 */
#ifndef MPR_OS_IMAGE_H
#define MPR_OS_IMAGE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mpr_image {
	const char *path; /* of the program; NULL: the one that runs here */
	char *const *argv;
	char *const *env;
	const int *fds; /* that stay open, though they are closed at exec here */
	int n_fds;
	const sigset_t *blocked; /* signals; NULL: those that are blocked here */
	bool deaf; /* signals of the keyboard are blocked in it (os/ambience.h) */
};

/* Returns the id of the child, or what fork() and execve() give; -ENOEXEC if the
 * running program cannot be found. */
pid_t mpr_image_start(const struct mpr_image *image);

/* Whether the running program can be begun anew: to the kernel it is the loader where
 * that was asked to run it ("ld.so PROGRAM"). */
bool mpr_image_is_program(void);

/* Whether a new image of this program would trust what it finds in its environment:
 * not where it would have other rights than its caller. */
bool mpr_image_would_trust(void);

/* In the new image, as long as nobody else can have asked: takes the variable
 * @name out of the environment. Returns its value, or NULL if it is not there or
 * not to be trusted, as the program has more rights than who started it. The value
 * stays valid. */
const char *mpr_image_take_variable(const char *name);

/* A number that the kernel has given to this image: forked children have the same
 * one, and no other image has. */
uint64_t mpr_image_mark(void);

/* This process's environment. */
const char *const *mpr_image_own_environment(void);

/* The same environment and one more string; the caller frees it, and the strings
 * are those of @env, or of this process if that is NULL. NULL without memory. */
char **mpr_image_environment(const char *const *env, char *added);

#endif
