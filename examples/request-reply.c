/* SPDX-License-Identifier: MIT */
/*
 * Questions and answers: a calculator in a process of its own, which can be asked,
 * and which is killed by one question. Who asks is told, and starts another one.
 */
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>

struct question {
	char operation;
	int a, b;
};

/* Answers until nobody is left to ask. */
static int
calculate(void *arg)
{
	mproc_conn *conn = arg;
	struct question q;
	int answer;

	while (mproc_conn_recv(conn, &q, sizeof(q), NULL, MPROC_FOREVER) == 0) {
		if (q.operation == '/' && q.b == 0)
			raise(SIGKILL);
		answer = q.operation == '+' ? q.a + q.b : q.a / q.b;
		if (mproc_conn_send(conn, &answer, sizeof(answer),
				    MPROC_FOREVER) < 0)
			break;
	}
	return 0;
}

static int
start(mproc_process **ret_p, mproc_conn **ret_conn)
{
	mproc_conn *its;
	int r = mproc_pipe(ret_conn, &its, NULL);

	if (r < 0)
		return r;
	return mproc_process_start(ret_p, calculate, its,
				   MPROC_OPTS(mproc_process_opts,
					      .conns = &its, .n_conns = 1));
}

static int
ask(mproc_conn *conn, struct question q)
{
	int answer, r;

	r = mproc_conn_send(conn, &q, sizeof(q), MPROC_FOREVER);
	if (r == 0)
		r = mproc_conn_recv(conn, &answer, sizeof(answer), NULL,
				    MPROC_FOREVER);
	if (r == 0)
		printf("%d %c %d = %d\n", q.a, q.operation, q.b, answer);
	else
		printf("%d %c %d: no answer, %s\n", q.a, q.operation, q.b,
		       mproc_strerror(r));
	return r;
}

static void
end(mproc_process *p, mproc_conn *conn)
{
	int code;

	mproc_conn_close(conn);
	mproc_process_join(p, MPROC_FOREVER);
	if (mproc_process_exitcode(p, &code) == 0)
		printf("the calculator has ended with %d\n", code);
	mproc_process_close(p);
}

int
main(void)
{
	static const struct question questions[] = {
		{ '+', 1, 2 }, { '/', 1, 0 }, { '/', 6, 3 },
	};
	mproc_process *p;
	mproc_conn *conn;
	int r = start(&p, &conn);

	for (int i = 0; i < 3 && r == 0; i++) {
		if (ask(conn, questions[i]) == 0)
			continue;
		end(p, conn);
		r = start(&p, &conn);
	}
	if (r < 0) {
		fprintf(stderr, "%s\n", mproc_error_detail());
		return 1;
	}
	end(p, conn);
	return 0;
}
