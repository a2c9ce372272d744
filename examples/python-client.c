/* SPDX-License-Identifier: MIT */
/*
 * A server in C, and a client in Python that asks it questions: they have an address
 * and a key in common, and nothing else. What they send are whole messages.
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY "a key that both know"

/* A name that is no file begins with a zero there, and with "@" here. */
static const char script[] =
	"import sys\n"
	"from multiprocessing.connection import Client\n"
	"with Client('\\0' + sys.argv[1], authkey=b'" KEY "') as c:\n"
	"    for n in 7, 12, 1000:\n"
	"        c.send_bytes(str(n).encode())\n"
	"        print(n, 'squared is', c.recv_bytes().decode())\n";

static pid_t
start_python(const char *name)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execlp("python3", "python3", "-c", script, name, (char *)NULL);
		perror("python3");
		_exit(1);
	}
	return pid;
}

/* Answers until the client has no more questions. */
static int
serve(mproc_conn *c)
{
	char question[32], answer[32];
	size_t len;
	long n;
	int r;

	for (;;) {
		r = mproc_conn_recv(c, question, sizeof(question) - 1, &len,
				    MPROC_FOREVER);
		if (r < 0)
			return r == -EPIPE ? 0 : r;
		question[len] = '\0';
		n = strtol(question, NULL, 10);
		len = (size_t)snprintf(answer, sizeof(answer), "%ld", n * n);
		r = mproc_conn_send(c, answer, len, MPROC_FOREVER);
		if (r < 0)
			return r;
	}
}

int
main(void)
{
	char name[64], address[80];
	mproc_listener *l;
	mproc_conn *c;
	int r, status = 1;
	pid_t pid;

	snprintf(name, sizeof(name), "mproc-example-%ld", (long)getpid());
	snprintf(address, sizeof(address), "unix:@%s", name);
	r = mproc_listener_open(&l, address,
				MPROC_OPTS(mproc_listener_opts, .authkey = KEY,
					   .authkey_len = sizeof(KEY) - 1));
	if (r < 0) {
		fprintf(stderr, "listening: %s (%s)\n", mproc_strerror(r),
			mproc_error_detail());
		return 1;
	}
	pid = start_python(name);
	r = mproc_listener_accept(l, &c, mproc_sec(30));
	if (r == 0) {
		r = serve(c);
		mproc_conn_close(c);
	}
	if (r < 0)
		fprintf(stderr, "serving: %s (%s)\n", mproc_strerror(r),
			mproc_error_detail());
	mproc_listener_close(l);
	waitpid(pid, &status, 0);
	printf("the client has ended%s\n", status ? " badly" : "");
	return r < 0 || status;
}
