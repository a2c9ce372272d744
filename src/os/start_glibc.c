/* SPDX-License-Identifier: MIT */
/*
 * A program begins with a call of __libc_start_main() in the C library, which is
 * told where main() is, calls the constructors of the program, then main(). The
 * loader looks for that function as for any other, and in us before the C
 * library, as we need that. Ours has no version, so it fits whatever version the
 * program was linked with; in glibc all of them are one function.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

#include <mproc/export.h>

#include "base/macros.h"
#include "os/start.h"

typedef int main_function(int argc, char **argv, char **env);
typedef int start_function(main_function *main, int argc, char **argv,
			   void (*init)(void), void (*fini)(void),
			   void (*rtld_fini)(void), void *stack_end);

static bool ours;
static bool constructed;
static char **arguments;
static main_function *main_itself;
static void (*first_of_all)(void);
static int (*instead_of_main)(void);

/* The name is the C library's, and it has no prototype anywhere. */
MPROC_API start_function __libc_start_main;

bool
mpr_start_is_ours(void)
{
	return ours;
}

char *const *
mpr_start_argv(void)
{
	return arguments;
}

MPR_IMAGE_PATH void
mpr_start_instead(void (*first)(void), int (*instead)(void))
{
	first_of_all = first;
	instead_of_main = instead;
}

/* glibc calls constructors with what it calls main() with. */
MPR_CONSTRUCTOR static void
note_arguments(int argc, char **argv)
{
	(void)argc;
	arguments = argv;
	constructed = true;
}

MPR_IMAGE_PATH static void
call_first(void)
{
	void (*first)(void) = first_of_all;

	first_of_all = NULL;
	if (first)
		first();
}

MPR_IMAGE_PATH static int
main_or_instead(int argc, char **argv, char **env)
{
	call_first();
	return instead_of_main ? instead_of_main() :
				 main_itself(argc, argv, env);
}

MPR_IMAGE_PATH int
__libc_start_main(main_function *main, int argc, char **argv,
		  void (*init)(void), void (*fini)(void),
		  void (*rtld_fini)(void), void *stack_end)
{
	start_function *next;

	*(void **)&next = dlsym(RTLD_NEXT, "__libc_start_main");
	if (!next)
		abort();
	ours = true;
	main_itself = main;
	call_first();
	/* Part of the program itself, as in tests, our constructors are among those
	 * that come now. */
	if (instead_of_main || !constructed)
		main = main_or_instead;
	return next(main, argc, argv, init, fini, rtld_fini, stack_end);
}
