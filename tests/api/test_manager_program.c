/* SPDX-License-Identifier: MIT */
/*
 * mproc-manager, run as by a shell.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager.h"

#define PATH_AT 5 /* behind "unix:" */
#define LINE 256

/* A run of it; arguments end with NULL. */
struct run {
	pid_t pid;
	FILE *out;
};

static struct run
begin(const char *const *args)
{
	const char *program = getenv("MPT_MANAGER");
	struct run run;
	int fds[2];

	assert_non_null(program);
	assert_int_equal(pipe(fds), 0);
	run.pid = fork();
	if (run.pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		execv(program, (char *const *)(uintptr_t)args);
		_exit(127);
	}
	close(fds[1]);
	run.out = fdopen(fds[0], "r");
	assert_non_null(run.out);
	return run;
}

static void
expect_ready(const struct run *run, char address[LINE])
{
	char line[LINE];

	assert_non_null(fgets(line, sizeof(line), run->out));
	assert_int_equal(sscanf(line, "ready %255s", address), 1);
}

static void
expect_exit(struct run *run, int code)
{
	int status;

	assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
	fclose(run->out);
}

static void
it_serves_until_it_is_told_to_end(void **state)
{
	const char *file = file_address(*state, "program");
	const char *const args[] = { "mproc-manager", "-a", file, NULL };
	char address[LINE];
	struct stat st;
	mproc_manager *c;
	mproc_dict *d;

	for (int i = 0; i < 2; i++) {
		struct run run = begin(args);

		expect_ready(&run, address);
		assert_string_equal(address, file);
		assert_int_equal(mproc_manager_connect(&c, address, NULL,
						       mproc_sec(20)), 0);
		assert_int_equal(mproc_dict_set(dict_of(c, "a"), mproc_int(1),
						mproc_int(2)), 0);
		assert_int_equal(kill(run.pid, i ? SIGINT : SIGTERM), 0);
		expect_exit(&run, 0);
		assert_int_equal(stat(file + PATH_AT, &st), -1);
		assert_int_equal(mproc_manager_dict(c, "a", &d), -EPIPE);
		mproc_manager_close(c);
	}
}

static void
what_is_in_its_arena_stays(void **state)
{
	char name[64], key[96], address[LINE], key_arg[128];
	const char *const args[] = { "mproc-manager", "--capacity=67108864", "-n",
				     mpt_name(*state, name, "program"), key_arg,
				     "--address=tcp::0", NULL };
	FILE *file;
	mproc_manager *c;

	snprintf(key, sizeof(key), "/dev/shm%s.key", name);
	snprintf(key_arg, sizeof(key_arg), "--key-file=%s", key);
	file = fopen(key, "w");
	assert_non_null(file);
	fputs(KEY "\n", file);
	fclose(file);
	for (int i = 0; i < 2; i++) {
		struct run run = begin(args);
		int64_t n = 0;

		expect_ready(&run, address);
		assert_int_equal(mproc_manager_connect(&c, address, NULL,
						       mproc_sec(20)), -EACCES);
		assert_int_equal(mproc_manager_connect(&c, address,
				MPROC_OPTS(mproc_connect_opts, A_KEY),
				mproc_sec(20)), 0);
		assert_int_equal(mproc_dict_add(dict_of(c, "n"), mproc_str("n"),
						mproc_int(1), NULL), 0);
		assert_int_equal(mproc_dict_get_int(dict_of(c, "n"),
						    mproc_str("n"), &n), 0);
		assert_int_equal(n, i + 1);
		mproc_manager_close(c);
		/* In order, and not. */
		assert_int_equal(kill(run.pid, i ? SIGTERM : SIGKILL), 0);
		if (i)
			expect_exit(&run, 0);
		else
			assert_int_equal(waitpid(run.pid, NULL, 0), run.pid);
		if (!i)
			fclose(run.out);
	}
	assert_int_equal(mproc_arena_unlink(name), 0);
	assert_int_equal(unlink(key), 0);
}

static void
what_makes_no_sense_is_said(void **state)
{
	static const char *const all[][3] = {
		{ "mproc-manager", "--nonsense", NULL },
		{ "mproc-manager", "--max-clients=-1", NULL },
		{ "mproc-manager", "-c0", NULL },
		{ "mproc-manager", "-k/nowhere", NULL },
		{ "mproc-manager", "what", NULL },
	};
	static const char *const tcp[] = { "mproc-manager", "-atcp::0", NULL };
	static const char *const help[] = { "mproc-manager", "--help", NULL };
	char line[LINE];
	struct run run;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		run = begin(all[i]);
		assert_non_null(fgets(line, sizeof(line), run.out));
		expect_exit(&run, 2);
	}
	run = begin(tcp);
	assert_non_null(fgets(line, sizeof(line), run.out));
	assert_non_null(strstr(line, "authkey"));
	expect_exit(&run, 1);
	run = begin(help);
	assert_non_null(fgets(line, sizeof(line), run.out));
	assert_non_null(strstr(line, "Usage"));
	/* All of it is read, or it could not be written. */
	while (fgets(line, sizeof(line), run.out))
		;
	expect_exit(&run, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_serves_until_it_is_told_to_end),
		mpt_test(what_is_in_its_arena_stays),
		mpt_test(what_makes_no_sense_is_said),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
