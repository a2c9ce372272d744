/* SPDX-License-Identifier: MIT */
/*
 * Instances of the test program inside a test, see mpt_self.h.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mpt_priv.h"
#include "mpt_self.h"

int mpt_self_run(const char *name, char *out, size_t size)
{
	char buf[1024], path[1024];
	size_t len = 0, n;
	int status, p[2];
	ssize_t r;
	pid_t pid;

	/* The link itself is no good: under valgrind it leads to valgrind. */
	r = readlink("/proc/self/exe", path, sizeof(path) - 1);
	assert_true(r > 0);
	path[r] = '\0';

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(p[1], STDOUT_FILENO);
		dup2(p[1], STDERR_FILENO);
		unsetenv(MPT_PLACE);
		execl(path, path, name, (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	while ((r = read(p[0], buf, sizeof(buf))) > 0) {
		n = (size_t)r < size - 1 - len ? (size_t)r : size - 1 - len;
		memcpy(out + len, buf, n);
		len += n;
	}
	out[len] = '\0';
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

void mpt_self_fails(const char *name, const char *text, const char *text2)
{
	char out[8192];
	int status = mpt_self_run(name, out, sizeof(out));

	if (WIFEXITED(status) && WEXITSTATUS(status) == 1 &&
	    strstr(out, text) != NULL && strstr(out, text2) != NULL)
		return;
	print_error("%s: status 0x%x, expected \"%s\" and \"%s\" in:\n%s\n",
		    name, (unsigned)status, text, text2, out);
	fail();
}
