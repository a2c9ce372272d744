/* SPDX-License-Identifier: MIT */
#include "crew.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static unsigned
count(const struct board *b, enum end end)
{
	return end == PRODUCER ? b->producers : b->consumers;
}

static unsigned
channels(const struct board *b)
{
	return b->trips ? 2 : 1;
}

void
crew_open(struct crew *c, const struct transport *t, unsigned trips)
{
	*c = (struct crew){ .transport = t,
			    .size = sizeof(*c->board) + trips * sizeof(double),
			    .fd = memfd_create("bench", MFD_CLOEXEC) };
	if (c->fd < 0 || ftruncate(c->fd, (off_t)c->size) < 0)
		bench_die("memfd_create");
	c->board = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd,
			0);
	if (c->board == MAP_FAILED)
		bench_die("mmap");
	c->board->trips = trips;
	/* Who started the ends may be dead before them. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* A child that dies with us. Returns in the child with 0. */
static pid_t
fork_one(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		bench_die("fork");
	if (pid > 0)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	return 0;
}

/* The state of a process, as proc(5) has it, 'X' if it is not there; and its
 * parent. */
static char
state_of(pid_t pid, pid_t *ret_parent)
{
	char path[64], text[256] = "", *end;
	FILE *file;

	*ret_parent = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 'X';
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	end = strrchr(text, ')');
	if (!end || strlen(end) < 4)
		return 'X';
	*ret_parent = (pid_t)strtol(end + 4, NULL, 10);
	return end[2];
}

/* Also if the number is that of a stranger by now. */
static bool
is_dead(const struct crew *c, pid_t pid)
{
	pid_t parent;
	char state = state_of(pid, &parent);

	return state == 'X' || state == 'Z' ||
	       (parent != getpid() && parent != c->host);
}

/* False if one does not come. */
static bool
wait_until_ready(const struct crew *c, enum end end, double patience)
{
	int64_t until = ends_now() + (int64_t)(patience * 1e9);

	for (unsigned i = 0; i < count(c->board, end); i++)
		while (!c->board->ends[end][i].ready) {
			if (ends_now() > until || crew_flaw(c) ||
			    (c->host && is_dead(c, c->host)))
				return false;
			ends_nap(ENDS_LOOK / 10);
		}
	return true;
}

static void
fork_ends(struct crew *c, enum end end)
{
	for (unsigned i = 0; i < count(c->board, end); i++) {
		pid_t pid = fork_one();

		if (pid == 0)
			ends_run(c->transport, c->channels, c->board, end, i);
		c->board->ends[end][i].pid = (uint32_t)pid;
	}
}

struct thread {
	const struct crew *crew;
	enum end end;
	unsigned index;
};

static void *
be_thread(void *arg)
{
	const struct thread *t = arg;

	ends_run(t->crew->transport, t->crew->channels, t->crew->board, t->end,
		 t->index);
}

static void
start_threads(const struct crew *c, enum end end)
{
	for (unsigned i = 0; i < count(c->board, end); i++) {
		struct thread *t = malloc(sizeof(*t));
		pthread_t thread;

		if (!t)
			_exit(1);
		*t = (struct thread){ c, end, i };
		if (pthread_create(&thread, NULL, be_thread, t))
			_exit(1);
	}
}

/* The process of all ends. */
static _Noreturn void
be_host(const struct crew *c, double patience)
{
	const struct board *b = c->board;
	struct job job = { b->size, b->producers, b->consumers };
	char path[64];

	setpgid(0, 0);
	if (c->transport->kind == HOSTED) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getppid(),
			 c->fd);
		c->transport->host(c->channels, &job, path);
		_exit(1);
	}
	start_threads(c, CONSUMER);
	if (!wait_until_ready(c, CONSUMER, patience))
		_exit(1);
	start_threads(c, PRODUCER);
	for (;;)
		pause();
}

int
crew_start(struct crew *c, double patience, const char **ret_flaw)
{
	const struct board *b = c->board;
	struct job job = { b->size, b->producers, b->consumers };
	bool forked = c->transport->kind == FORKED;

	*ret_flaw = "";
	for (unsigned i = 0; i < channels(b); i++) {
		c->channels[i] = c->transport->open(&job);
		if (!c->channels[i])
			return errno ? errno : EIO;
	}
	if (forked) {
		fork_ends(c, CONSUMER);
		/* Those of round trips wait for each other. */
		if (b->trips)
			fork_ends(c, PRODUCER);
	} else {
		fflush(stdout);
		c->host = fork_one();
		if (c->host == 0)
			be_host(c, patience);
	}
	if (!wait_until_ready(c, CONSUMER, patience)) {
		*ret_flaw = "a consumer cannot start";
		return 0;
	}
	if (forked && !b->trips)
		fork_ends(c, PRODUCER);
	if (!wait_until_ready(c, PRODUCER, patience))
		*ret_flaw = "a producer cannot start";
	return 0;
}

bool
crew_is_dead(const struct crew *c, enum end end, unsigned index)
{
	pid_t pid = (pid_t)c->board->ends[end][index].pid;

	return pid && c->transport->kind != THREADS && is_dead(c, pid);
}

/* Our child, a child that we have inherited, or that of a host. */
static void
kill_and_wait(const struct crew *c, pid_t pid)
{
	if (!is_dead(c, pid))
		kill(pid, SIGKILL);
	if (waitpid(pid, NULL, 0) == pid)
		return;
	while (!is_dead(c, pid))
		ends_nap(ENDS_LOOK / 10);
	waitpid(pid, NULL, WNOHANG);
}

void
crew_kill(struct crew *c, enum end end, unsigned index)
{
	kill_and_wait(c, (pid_t)c->board->ends[end][index].pid);
	c->board->ends[end][index].pid = 0;
}

/* The first number in a file, after a word if there is one. */
static double
number_in(const char *path, const char *word)
{
	FILE *file = fopen(path, "re");
	char line[256];
	double found = 0;
	size_t len = strlen(word);

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, word, len) == 0) {
			found = strtod(line + len, NULL);
			break;
		}
	if (file)
		fclose(file);
	return found;
}

/* All threads of a process. */
static double
cpu_time_of(pid_t pid)
{
	char path[64 + 256];
	struct dirent *e;
	double sum = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat",
			 (int)pid, e->d_name);
		sum += number_in(path, "");
	}
	if (dir)
		closedir(dir);
	return sum;
}

double
crew_cpu_time(const struct crew *c, enum end end)
{
	double sum = 0;
	char path[64];

	for (unsigned i = 0; i < count(c->board, end); i++) {
		pid_t pid = (pid_t)c->board->ends[end][i].pid;

		snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
		sum += c->transport->kind == THREADS ? number_in(path, "") :
						       cpu_time_of(pid);
	}
	return sum;
}

static double
memory_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	return number_in(path, "Pss:") * 1024;
}

double
crew_memory_of_self(void)
{
	return memory_of(getpid());
}

double
crew_memory(const struct crew *c)
{
	double sum = crew_memory_of_self();

	if (c->host)
		sum += memory_of(c->host);
	if (c->transport->kind == THREADS)
		return sum;
	for (int end = PRODUCER; end <= CONSUMER; end++)
		for (unsigned i = 0; i < count(c->board, end); i++)
			sum += memory_of((pid_t)c->board->ends[end][i].pid);
	return sum;
}

enum flaw
crew_flaw(const struct crew *c)
{
	const struct board *b = c->board;

	for (int end = PRODUCER; end <= CONSUMER; end++)
		for (unsigned i = 0; i < count(b, end); i++)
			if (b->ends[end][i].flaw)
				return b->ends[end][i].flaw;
	return NO_FLAW;
}

void
crew_close(struct crew *c)
{
	struct board *b = c->board;

	/* First of all who would start, or end, the others. */
	if (c->host) {
		kill(-c->host, SIGKILL);
		kill_and_wait(c, c->host);
	}
	for (int end = PRODUCER; end <= CONSUMER; end++)
		for (unsigned i = 0; i < count(b, end); i++)
			if (b->ends[end][i].pid &&
			    c->transport->kind != THREADS)
				kill_and_wait(c, (pid_t)b->ends[end][i].pid);
	for (unsigned i = 0; i < channels(b); i++)
		if (c->channels[i])
			c->transport->close(c->channels[i]);
	munmap(b, c->size);
	close(c->fd);
}
