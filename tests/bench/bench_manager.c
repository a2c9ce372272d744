/* SPDX-License-Identifier: MIT */
/*
 * A manager over a Unix socket: reading a key, one request at a time, and 16 at once by
 * threads that share a connection; compared with Redis, one command at a time, and 16
 * behind each other. Then how long one takes, half of them and 99 of a hundred; and how
 * much memory the server has for each client. Python's manager is in bench_dict.
 *
 * Usage: bench_manager [rounds]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "redis.h"

#define ROUNDS 5
#define OPS 40000 /* of a round */
#define AT_ONCE 16
#define KEYS 250
#define SAMPLES 20000
#define CLIENTS 1000

enum { ALONE, THREADS, REDIS, REDIS_AT_ONCE, KINDS };

static const char *const names[KINDS] = {
	"manager", "manager, 16 threads", "Redis", "Redis, 16 at once",
};

static struct bench_redis redis;
static mproc_manager *manager;
static mproc_dict *dict;
static int redis_fd = -1;
static char keys[KEYS][16];
static pid_t server;

static void
get(unsigned i)
{
	int64_t value = -1;

	if (mproc_dict_get_int(dict, mproc_str(keys[i % KEYS]), &value) < 0)
		bench_die(mproc_error_detail());
	if (value != i % KEYS)
		bench_die("a wrong value");
}

static void
get_from_redis(unsigned i)
{
	if (bench_redis_get(redis_fd, keys[i % KEYS]) != (long)(i % KEYS))
		bench_die("redis: a wrong value");
}

static void *
get_many(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < OPS / AT_ONCE; i++)
		get(i);
	return NULL;
}

static void
get_by_threads(void)
{
	pthread_t threads[AT_ONCE];

	for (int i = 0; i < AT_ONCE; i++)
		if (pthread_create(&threads[i], NULL, get_many, NULL) != 0)
			bench_die("pthread_create");
	for (int i = 0; i < AT_ONCE; i++)
		pthread_join(threads[i], NULL);
}

/* AT_ONCE commands by one call, and all answers to them. */
static void
get_from_redis_at_once(void)
{
	char commands[AT_ONCE * 64], answers[AT_ONCE * 64];

	for (unsigned op = 0; op < OPS; op += AT_ONCE) {
		size_t len = 0, n = 0;
		char *at = answers;

		for (unsigned i = op; i < op + AT_ONCE; i++)
			len += (size_t)snprintf(commands + len,
						sizeof(commands) - len,
						"*2\r\n$3\r\nGET\r\n$%zu\r\n"
						"%s\r\n",
						strlen(keys[i % KEYS]),
						keys[i % KEYS]);
		if (send(redis_fd, commands, len, 0) != (ssize_t)len)
			bench_die("redis: send");
		for (int lines = 0; lines < 2 * AT_ONCE;) {
			ssize_t got = recv(redis_fd, answers + n,
					   sizeof(answers) - 1 - n, 0);

			if (got <= 0)
				bench_die("redis: recv");
			for (ssize_t i = 0; i < got; i++)
				lines += answers[n + (size_t)i] == '\n';
			n += (size_t)got;
		}
		answers[n] = '\0';
		for (unsigned i = op; i < op + AT_ONCE; i++) {
			at = strchr(at, '\n') + 1;
			if (strtol(at, &at, 10) != (long)(i % KEYS))
				bench_die("redis: a wrong value at once");
			at = strchr(at, '\n') + 1;
		}
	}
}

static double
round_of(int kind)
{
	int64_t began = mproc_now();

	switch (kind) {
	case ALONE:
		for (unsigned i = 0; i < OPS; i++)
			get(i);
		break;
	case THREADS:
		get_by_threads();
		break;
	case REDIS:
		for (unsigned i = 0; i < OPS && redis.pid; i++)
			get_from_redis(i);
		break;
	default:
		if (redis.pid)
			get_from_redis_at_once();
	}
	return (double)(mproc_now() - began) / OPS;
}

static void
compare(int rounds)
{
	double **ns = bench_columns(KINDS, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = round_of(k);
	bench_table("ns", "manager: get a key");
	printf("get a key, %d rounds in turn, verified\n", rounds);
	printf("%-20s %10s %10s %10s\n", "", "median ns", "least", "most");
	for (int k = 0; k < KINDS; k++) {
		if (k >= REDIS && !redis.pid) {
			bench_left_out(names[k], "not installed: redis-server");
			continue;
		}
		bench_row(names[k], ns[k], rounds, 1);
		printf("\n");
	}
	bench_free_columns(ns, KINDS);
}

/* One after the other; half of them, and 99 of a hundred, take at most @ret. */
static void
measure_each(void (*fn)(unsigned i), double ret[2])
{
	double *ns = bench_column(SAMPLES);

	for (unsigned i = 0; i < SAMPLES; i++) {
		int64_t began = mproc_now();

		fn(i);
		ns[i] = (double)(mproc_now() - began);
	}
	qsort(ns, SAMPLES, sizeof(*ns), bench_compare);
	ret[0] = ns[SAMPLES / 2];
	ret[1] = ns[SAMPLES * 99 / 100];
	free(ns);
}

static void
compare_each(int rounds)
{
	const char *const who[2] = { names[ALONE], names[REDIS] };
	static const char *const what[2] = { "median", "99 %" };
	double **ns[2] = { bench_columns(2, rounds), bench_columns(2, rounds) };

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < (redis.pid ? 2 : 1); k++) {
			double p[2];

			measure_each(k ? get_from_redis : get, p);
			ns[0][k][i] = p[0];
			ns[1][k][i] = p[1];
		}
	for (int v = 0; v < 2; v++) {
		bench_table("ns", "manager: get a key, %s", what[v]);
		bench_show(who, ns[v], 2, rounds, 0);
		bench_free_columns(ns[v], 2);
	}
}

/* What the server has that nobody else has, in bytes. */
static long
memory_of_server(void)
{
	char path[64];
	long size, resident = 0, shared = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)server);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%ld %ld %ld", &size, &resident, &shared) != 3)
		bench_die("statm");
	fclose(file);
	return (resident - shared) * sysconf(_SC_PAGESIZE);
}

static void
measure_memory(void)
{
	static mproc_manager *clients[CLIENTS];
	long before = memory_of_server();
	double each;
	mproc_dict *d;

	for (int i = 0; i < CLIENTS; i++)
		if (mproc_manager_connect(&clients[i],
					  mproc_manager_address(manager), NULL,
					  mproc_sec(10)) < 0 ||
		    mproc_manager_dict(clients[i], "bench", &d) < 0)
			bench_die(mproc_error_detail());
	each = (double)(memory_of_server() - before) / CLIENTS;
	printf("%d clients take the server %.0f bytes each\n", CLIENTS, each);
	bench_table("bytes", "manager: the server's memory for a client");
	bench_report(names[ALONE], &each, 1);
	for (int i = 0; i < CLIENTS; i++)
		mproc_manager_close(clients[i]);
}

static void
start_server(char *address, size_t size)
{
	mproc_manager *m;
	int fds[2];

	if (pipe(fds) < 0)
		bench_die("pipe");
	server = fork();
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
						       .in_process = true)) < 0)
			_exit(1);
		if (write(fds[1], mproc_manager_address(m),
			  strlen(mproc_manager_address(m)) + 1) < 0)
			_exit(1);
		close(fds[1]);
		_exit(mproc_manager_serve(m, MPROC_FOREVER) < 0);
	}
	close(fds[1]);
	memset(address, 0, size);
	if (read(fds[0], address, size - 1) <= 0)
		address[0] = '\0';
	close(fds[0]);
}

/* Also if something fails. */
static void
stop_servers(void)
{
	bench_redis_stop(&redis);
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
	struct rlimit files;
	char address[160];

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	start_server(address, sizeof(address));
	atexit(stop_servers);
	if (!*address) {
		bench_table("ns", "manager: get a key");
		bench_left_out(names[ALONE], "built without managers");
		return 0;
	}
	if (mproc_manager_connect(&manager, address, NULL, mproc_sec(10)) < 0 ||
	    mproc_manager_dict(manager, "bench", &dict) < 0)
		bench_die(mproc_error_detail());
	if (bench_redis_start(&redis))
		redis_fd = bench_redis_connect(&redis);
	for (unsigned i = 0; i < KEYS; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key.%u", i);
		if (mproc_dict_set(dict, mproc_str(keys[i]), mproc_int(i)) < 0)
			bench_die(mproc_error_detail());
		if (redis.pid)
			bench_redis_set(redis_fd, keys[i], (long)i);
	}
	compare(rounds);
	compare_each(rounds);
	measure_memory();
	mproc_manager_close(manager);
	return 0;
}
