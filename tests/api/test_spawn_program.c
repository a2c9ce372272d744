/* SPDX-License-Identifier: MIT */
/*
 * MPROC_SPAWN of other programs than the caller's, and by programs that libmproc
 * does not begin by itself.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>

#include "options.h"

#define WITH(...) MPROC_OPTS(mproc_process_opts, .method = method, __VA_ARGS__)

static void
another_program_is_refused_if_it_is_none_of_ours(void **state)
{
	int method = MPROC_SPAWN;

	expect_refused(*state, -ENOENT, "/nowhere", WITH(.exe = "/nowhere"));
	expect_refused(*state, -EACCES, "/dev/null", WITH(.exe = "/dev/null"));
	/* Not linked with libmproc. */
	expect_refused(*state, -ENOEXEC, "status 1", WITH(.exe = "/bin/false"));
	for (method = 0; method < 4; method++)
		if (method != MPROC_SPAWN)
			expect_refused(*state, -EINVAL, "exe",
				       WITH(.exe = "/bin/true"));
	for (method = 4; method < 9; method++)
		expect_refused(*state, -EINVAL, "method",
			       WITH(.name = NULL));
}

static void
another_program_runs_an_entry_of_a_library(void **state)
{
	void *module = dlopen(getenv("MPT_SPAWN_MODULE"), RTLD_NOW);
	mproc_entry *(*entry)(void);
	struct mproc_process_opts o = {
		.struct_size = sizeof(o),
		.method = MPROC_SPAWN,
		.exe = getenv("MPT_SPAWN_EXE"),
	};
	int *value = mproc_value(int, 1);
	mproc_process *p;

	assert_non_null(module);
	*(void **)&entry = dlsym(module, "module_entry");
	p = start_with(entry(), value, &o);
	assert_int_equal(end_of(p), 11);
	mproc_process_close(p);
	assert_int_equal(*value, 11);
	/* But none of this program. */
	expect_refused(*state, -ENOEXEC, "not the same", &o);
	mproc_free(value);
	dlclose(module);
}

/* Its exit code, and what it prints. */
static int
run_program(const char *path, const char *argument, char text[4096])
{
	int fds[2], status;
	size_t n = 0;
	ssize_t r;
	pid_t pid;

	make_pipe(fds);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		execl(path, path, argument, NULL);
		_exit(127);
	}
	close(fds[1]);
	while ((r = read(fds[0], text + n, 4095 - n)) > 0)
		n += (size_t)r;
	text[n] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What comes to libmproc through another library, and what loads it when it runs. */
static const char *const programs[] = { "MPT_SPAWN_HOST", "MPT_SPAWN_LATE" };

static void
a_program_that_we_do_not_begin_has_to_ask(void **state)
{
	char text[4096];

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *path = getenv(programs[i]);

		assert_int_equal(run_program(path, "does not", text), 100);
		assert_non_null(strstr(text, "mproc_process_main()"));
		assert_int_equal(run_program(path, "asks", text), 37);
		assert_string_equal(text, "");
	}
}

/* Its main() starts nobody in turn. */
static void
a_program_that_asks_no_more_does_not_start_others_without_end(void **state)
{
	char text[4096];
	const char *other;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(run_program(getenv(programs[i]), "asks once",
					     text), 100);
		/* The new image, and who has started it. */
		other = strstr(text, "or main(), would start others");
		assert_non_null(other);
		assert_non_null(strstr(other, "ended with status 100"));
	}
}

static void
a_program_without_an_id_is_told_how_to_get_one(void **state)
{
	char text[4096];
	const char *first;

	(void)state;
	assert_int_equal(run_program(getenv("MPT_SPAWN_ANONYMOUS"), NULL, text),
			 2);
	first = strstr(text, "has no build-id: link it with -Wl,--build-id");
	assert_non_null(first);
	assert_non_null(strstr(first + 1, "has no build-id"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(another_program_is_refused_if_it_is_none_of_ours),
		mpt_test(another_program_runs_an_entry_of_a_library),
		mpt_test(a_program_that_we_do_not_begin_has_to_ask),
		mpt_test(a_program_that_asks_no_more_does_not_start_others_without_end),
		mpt_test(a_program_without_an_id_is_told_how_to_get_one),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
