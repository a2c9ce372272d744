/* SPDX-License-Identifier: MIT */
/*
 * Programs that are not of one family meet in a named arena: servers answer what
 * clients ask, each a program of its own. A server is killed; a client asks all
 * the same, and the next server answers.
 *
 * named-arena             play all of it
 * named-arena serve NAME  be a server
 * named-arena ask NAME N  be a client
 */
#include <errno.h>
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct desk {
	mproc_lock lock; /* zero bytes are a free one */
	int served;
};

static _Noreturn void
give_up(const char *what, int r)
{
	fprintf(stderr, "%s: %s (%s)\n", what, mproc_strerror(r),
		mproc_error_detail());
	exit(1);
}

static void *
find(mproc_arena *a, const char *what)
{
	void *found = NULL;
	int r = mproc_arena_find(a, what, &found, mproc_sec(20));

	if (r < 0)
		give_up(what, r);
	return found;
}

static mproc_arena *
meet(const char *name)
{
	mproc_arena *a;
	int r = mproc_arena_open(&a, name, mproc_sec(20));

	if (r < 0)
		give_up(name, r);
	return a;
}

static void
count(struct desk *desk)
{
	int r = mproc_lock_acquire(&desk->lock, MPROC_FOREVER);

	if (r == MPROC_OWNER_DIED)
		r = mproc_lock_consistent(&desk->lock); /* a number is whole */
	if (r < 0)
		give_up("counting", r);
	desk->served++;
	mproc_lock_release(&desk->lock);
}

static int
serve(const char *name)
{
	mproc_arena *a = meet(name);
	mproc_queue *questions = find(a, "questions");
	mproc_queue *answers = find(a, "answers");
	struct desk *desk = find(a, "desk");
	size_t len;
	int n, r;

	for (;;) {
		r = mproc_queue_get(questions, &n, sizeof(n), &len,
				    MPROC_FOREVER);
		if (r < 0)
			give_up("waiting for a question", r);
		count(desk);
		n *= n;
		r = mproc_queue_put(answers, &n, sizeof(n), MPROC_FOREVER);
		if (r < 0)
			give_up("answering", r);
	}
}

static int
ask(const char *name, int n)
{
	mproc_arena *a = meet(name);
	size_t len;
	int answer, r;

	r = mproc_queue_put(find(a, "questions"), &n, sizeof(n), mproc_sec(20));
	if (r < 0)
		give_up("asking", r);
	r = mproc_queue_get(find(a, "answers"), &answer, sizeof(answer), &len,
			    mproc_sec(20));
	if (r < 0)
		give_up("waiting for the answer", r);
	printf("%d squared is %d\n", n, answer);
	mproc_arena_close(a);
	return 0;
}

/* Any program would do that opens the arena; this is the one at hand. */
static pid_t
start(const char *self, const char *what, const char *name, const char *n)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl(self, self, what, name, n, (char *)NULL);
		perror(self);
		_exit(1);
	}
	return pid;
}

static int
end_of(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ?
		       WEXITSTATUS(status) : -1;
}

static void
bind(mproc_arena *a, const char *what, void *object)
{
	int r = object ? mproc_arena_bind(a, what, object) : -ENOMEM;

	if (r < 0)
		give_up(what, r);
}

static mproc_queue *
queue(mproc_arena *a)
{
	mproc_queue *q = NULL;
	int r = mproc_queue_create(&q, MPROC_OPTS(mproc_queue_opts,
						  .arena = a));

	if (r < 0)
		give_up("making a queue", r);
	return q;
}

static int
play(const char *self)
{
	static const char *const numbers[] = { "2", "7", "12" };
	struct desk *desk;
	mproc_arena *a;
	pid_t server, client;
	char name[64];
	int r, failed = 0;

	snprintf(name, sizeof(name), "mproc-example-%ld", (long)getpid());
	r = mproc_arena_create(&a, MPROC_OPTS(mproc_arena_opts, .name = name,
					      .capacity = 32 << 20));
	if (r < 0)
		give_up(name, r);
	server = start(self, "serve", name, NULL);
	desk = mproc_arena_alloc(a, sizeof(*desk), 0);
	bind(a, "desk", desk);
	bind(a, "questions", queue(a));
	bind(a, "answers", queue(a));
	for (int i = 0; i < 3; i++)
		failed |= end_of(start(self, "ask", name, numbers[i]));

	kill(server, SIGKILL);
	end_of(server);
	printf("the server was killed\n");
	client = start(self, "ask", name, "100");
	server = start(self, "serve", name, NULL);
	failed |= end_of(client);
	printf("%d questions were answered\n", desk->served);

	kill(server, SIGKILL);
	end_of(server);
	mproc_arena_close(a);
	mproc_arena_unlink(name);
	return failed ? 1 : 0;
}

int
main(int argc, char **argv)
{
	if (argc == 1)
		return play("/proc/self/exe");
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 4 && strcmp(argv[1], "ask") == 0)
		return ask(argv[2], atoi(argv[3]));
	fprintf(stderr, "usage: named-arena [serve NAME | ask NAME N]\n");
	return 2;
}
