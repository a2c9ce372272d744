/* SPDX-License-Identifier: MIT */
/*
 * Redis as a contender: a server of our own on a Unix socket, which keeps nothing on
 * disk, and a client that sends one command at a time and waits for its answer, with
 * the least that its protocol needs.
 */
#ifndef BENCH_REDIS_H
#define BENCH_REDIS_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

struct bench_redis {
	pid_t pid; /* of the server; 0 if there is none */
	pid_t owner; /* who has started it */
	char path[64];
};

static inline void
bench_redis_address(const struct bench_redis *redis, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(ret->sun_path, redis->path);
}

/* A connection, or -1. */
static inline int
bench_redis_connect(const struct bench_redis *redis)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	bench_redis_address(redis, &address);
	if (connect(fd, (const struct sockaddr *)&address,
		    sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline void
bench_redis_become(const struct bench_redis *redis)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execlp("redis-server", "redis-server", "--port", "0", "--unixsocket",
	       redis->path, "--save", "", "--appendonly", "no", "--logfile",
	       "/dev/null", "--dir", "/tmp", (char *)NULL);
	_exit(127);
}

/* Returns whether there is one. */
static inline bool
bench_redis_start(struct bench_redis *redis)
{
	const struct timespec moment = { .tv_nsec = 10000000 };
	int fd = -1, status;

	redis->pid = 0;
	redis->owner = getpid();
	if (system("redis-server --version >/dev/null 2>&1") != 0)
		return false;
	snprintf(redis->path, sizeof(redis->path), "/tmp/mproc-bench-%d.sock",
		 (int)getpid());
	fflush(stdout);
	redis->pid = fork();
	if (redis->pid < 0)
		bench_die("fork");
	if (redis->pid == 0)
		bench_redis_become(redis);
	for (int i = 0; i < 1000 && fd < 0; i++) {
		if (waitpid(redis->pid, &status, WNOHANG) != 0)
			bench_die("redis-server has ended");
		nanosleep(&moment, NULL);
		fd = bench_redis_connect(redis);
	}
	if (fd < 0)
		bench_die("redis-server does not answer");
	close(fd);
	return true;
}

static inline void
bench_redis_stop(struct bench_redis *redis)
{
	if (!redis->pid || redis->owner != getpid())
		return;
	kill(redis->pid, SIGKILL);
	waitpid(redis->pid, NULL, 0);
	unlink(redis->path);
	redis->pid = 0;
}

/* Sends a command of @len bytes and receives its answer, which ends with the
 * @lines-th end of a line, as a text. */
static inline void
bench_redis_ask(int fd, const char *command, size_t len, int lines,
		char *ret_answer, size_t size)
{
	size_t n = 0;

	if (send(fd, command, len, 0) != (ssize_t)len)
		bench_die("redis: send");
	while (lines) {
		ssize_t got = recv(fd, ret_answer + n, size - 1 - n, 0);

		if (got <= 0)
			bench_die("redis: recv");
		for (ssize_t i = 0; i < got; i++)
			lines -= ret_answer[n + (size_t)i] == '\n';
		n += (size_t)got;
		/* An error, or nothing, is one line. */
		if (ret_answer[0] == '-' || memcmp(ret_answer, "$-1", 3) == 0)
			break;
	}
	ret_answer[n] = '\0';
}

static inline void
bench_redis_set(int fd, const char *key, long value)
{
	char command[128], answer[64], number[24];
	int len;

	snprintf(number, sizeof(number), "%ld", value);
	len = snprintf(command, sizeof(command),
		       "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
		       strlen(key), key, strlen(number), number);
	bench_redis_ask(fd, command, (size_t)len, 1, answer, sizeof(answer));
	if (strcmp(answer, "+OK\r\n") != 0)
		bench_die("redis: a value was not set");
}

static inline long
bench_redis_get(int fd, const char *key)
{
	char command[128], answer[64];
	int len;

	len = snprintf(command, sizeof(command),
		       "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key), key);
	bench_redis_ask(fd, command, (size_t)len, 2, answer, sizeof(answer));
	if (answer[0] != '$' || answer[1] == '-')
		bench_die("redis: a value is missing");
	return strtol(strchr(answer, '\n') + 1, NULL, 10);
}

#endif
