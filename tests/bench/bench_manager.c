/* SPDX-License-Identifier: MIT */
/*
 * A manager over a Unix socket: reading and setting keys, one request at a time; 16 keys
 * in one request; and 16 requests at once by threads that share a connection. Compared
 * with Redis, one command at a time, and 16 behind each other, and with Python's
 * Manager().dict(). Then how long one takes, half of them and 99 of a hundred; and how
 * much memory a server has for each client.
 *
 * Redis' commands are there as bytes before the clock starts; ours are made and read by
 * the library within the time. Each value that was read is compared, and those that were
 * set are read when the time is over.
 *
 * Usage: bench_manager [rounds]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "python.h"
#include "redis.h"

#define ROUNDS 5
#define OPS 40960 /* of a round */
#define OF_PYTHON 10240
#define AT_ONCE 16
#define KEYS 256
#define SAMPLES 10000
#define CLIENTS 1000

enum { GET, SET, OPERATIONS };
enum { ALONE, REDIS, PYTHON, MANY, REDIS_MANY, THREADS, KINDS };

static const char *const operations[OPERATIONS] = { "get", "set" };
static const char *const names[KINDS] = {
	"libmproc",	     "Redis",		  "Manager().dict()",
	"libmproc, 16 keys", "Redis, 16 at once", "libmproc, 16 threads",
};

/* Whom a contender is compared with, by who does as many at once. */
static const int rivals[KINDS] = { REDIS, REDIS, ALONE, REDIS_MANY, REDIS_MANY,
				   REDIS_MANY };

static struct bench_redis redis;
static mproc_manager *manager;
static mproc_dict *dict;
static int redis_fd = -1;
static pid_t server;
static char texts[KEYS][16];
static struct mproc_any keys[KEYS];
static int64_t ours, theirs; /* what all values differ by */

static int64_t
value_of(unsigned k, int64_t epoch)
{
	return (int64_t)k * 1000003 + epoch;
}

/*
 * Ours.
 */

static void
get(unsigned i)
{
	int64_t value = -1;

	if (mproc_dict_get_int(dict, keys[i % KEYS], &value) < 0)
		bench_die(mproc_error_detail());
	if (value != value_of(i % KEYS, ours))
		bench_die("a wrong value");
}

static void
set(unsigned i)
{
	if (mproc_dict_set(dict, keys[i % KEYS],
			   mproc_int(value_of(i % KEYS, ours))) < 0)
		bench_die(mproc_error_detail());
}

static void
get_many(unsigned i)
{
	struct mproc_any values[AT_ONCE];
	bool there[AT_ONCE];

	if (mproc_dict_get_many(dict, keys + i % KEYS, AT_ONCE, values, there) !=
	    AT_ONCE)
		bench_die(mproc_error_detail());
	for (unsigned k = 0; k < AT_ONCE; k++)
		if (values[k].kind != MPROC_INT ||
		    values[k].i64 != value_of(i % KEYS + k, ours))
			bench_die("a wrong value of many");
}

static void
set_many(unsigned i)
{
	struct mproc_dict_item items[AT_ONCE];

	for (unsigned k = 0; k < AT_ONCE; k++)
		items[k] = (struct mproc_dict_item){
			keys[i % KEYS + k],
			mproc_int(value_of(i % KEYS + k, ours)),
		};
	if (mproc_dict_set_many(dict, items, AT_ONCE) != AT_ONCE)
		bench_die(mproc_error_detail());
}

static void *
run_thread(void *arg)
{
	for (unsigned i = 0; i < OPS / AT_ONCE; i++)
		((uintptr_t)arg == GET ? get : set)(i);
	return NULL;
}

static void
run_threads(int op)
{
	pthread_t threads[AT_ONCE];

	for (int i = 0; i < AT_ONCE; i++)
		if (pthread_create(&threads[i], NULL, run_thread,
				   (void *)(uintptr_t)op) != 0)
			bench_die("pthread_create");
	for (int i = 0; i < AT_ONCE; i++)
		pthread_join(threads[i], NULL);
}

/*
 * Redis'.
 */

static struct command {
	char bytes[AT_ONCE * 80];
	size_t len;
} commands[OPERATIONS][KEYS], many_commands[OPERATIONS][KEYS / AT_ONCE];

static void
write_command(struct command *c, int op, unsigned k)
{
	char number[24];

	snprintf(number, sizeof(number), "%lld", (long long)value_of(k, theirs));
	if (op == GET)
		c->len += (size_t)snprintf(c->bytes + c->len,
					   sizeof(c->bytes) - c->len,
					   "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n",
					   strlen(texts[k]), texts[k]);
	else
		c->len += (size_t)snprintf(c->bytes + c->len,
					   sizeof(c->bytes) - c->len,
					   "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n"
					   "%s\r\n", strlen(texts[k]), texts[k],
					   strlen(number), number);
}

static void
write_commands(int op)
{
	memset(commands[op], 0, sizeof(commands[op]));
	memset(many_commands[op], 0, sizeof(many_commands[op]));
	for (unsigned k = 0; k < KEYS; k++) {
		write_command(&commands[op][k], op, k);
		write_command(&many_commands[op][k / AT_ONCE], op, k);
	}
}

/* @n answers to @c, about keys from @k on. */
static void
ask_redis(const struct command *c, int op, unsigned k, unsigned n)
{
	char answers[AT_ONCE * 64], *at = answers;
	int lines = (int)n * (op == GET ? 2 : 1);

	bench_redis_ask(redis_fd, c->bytes, c->len, lines, answers,
			sizeof(answers));
	for (unsigned i = k; i < k + n; i++) {
		if (op == SET && strncmp(at, "+OK\r\n", 5) != 0)
			bench_die("redis: a value was not set");
		if (op == GET) {
			at = strchr(at, '\n') + 1;
			if (strtoll(at, &at, 10) != value_of(i, theirs))
				bench_die("redis: a wrong value");
		}
		at = strchr(at, '\n') + 1;
	}
}

static void
get_from_redis(unsigned i)
{
	ask_redis(&commands[GET][i % KEYS], GET, i % KEYS, 1);
}

/*
 * Python's.
 */

#define PYTHON_BEGIN                                                          \
	BENCH_PYTHON                                                          \
	"d = context.Manager().dict()\n"                                      \
	"names = ['key.%d' % k for k in range(256)]\n"                        \
	"for k, name in enumerate(names):\n"                                  \
	"    d[name] = k * 1000003\n"

static const char *const python[OPERATIONS] = {
	PYTHON_BEGIN
	"def use(i):\n"
	"    for n in range(a):\n"
	"        check(d[names[n % 256]] == n % 256 * 1000003)\n"
	"print(measure(1, use) / a)\n",
	PYTHON_BEGIN
	"def use(i):\n"
	"    for n in range(a):\n"
	"        d[names[n % 256]] = n % 256 * 1000003 + 1\n"
	"took = measure(1, use)\n"
	"for k, name in enumerate(names):\n"
	"    check(d[name] == k * 1000003 + 1)\n"
	"print(took / a)\n",
};

/* So many of a hundred have taken no longer: b. */
static const char *const python_each =
	PYTHON_BEGIN
	"took = []\n"
	"for n in range(a):\n"
	"    began = now()\n"
	"    check(d[names[n % 256]] == n % 256 * 1000003)\n"
	"    took.append(now() - began)\n"
	"print(sorted(took)[a * b // 100])\n";

/*
 * Rounds.
 */

static void
use(int kind, int op)
{
	unsigned step = kind == MANY || kind == REDIS_MANY ? AT_ONCE : 1;

	if (kind == THREADS) {
		run_threads(op);
		return;
	}
	for (unsigned i = 0; i < OPS; i += step) {
		if (kind == REDIS)
			ask_redis(&commands[op][i % KEYS], op, i % KEYS, 1);
		else if (kind == REDIS_MANY)
			ask_redis(&many_commands[op][i % KEYS / AT_ONCE], op,
				  i % KEYS, AT_ONCE);
		else if (kind == MANY)
			(op == GET ? get_many : set_many)(i);
		else
			(op == GET ? get : set)(i);
	}
}

static double
round_of(int kind, int op)
{
	bool is_redis = kind == REDIS || kind == REDIS_MANY;
	int64_t began, took;

	if (kind == PYTHON)
		return bench_python(python[op], OF_PYTHON, 0);
	if (is_redis && !redis.pid)
		return 0;
	if (op == SET && is_redis)
		theirs++;
	else if (op == SET)
		ours++;
	if (is_redis) {
		write_commands(GET);
		write_commands(SET);
	}
	began = mproc_now();
	use(kind, op);
	took = mproc_now() - began;
	for (unsigned k = 0; k < KEYS && op == SET; k++)
		(is_redis ? get_from_redis : get)(k);
	return (double)took / OPS;
}

static void
print(int op, int rounds, double **ns)
{
	printf("%s a key, %d rounds in turn, verified\n", operations[op], rounds);
	printf("%-20s %10s %10s %10s\n", "", "median ns", "least", "most");
	bench_table("ns", "%s a key of a manager", operations[op]);
	for (int k = 0; k < KINDS; k++) {
		const double *rival = ns[rivals[k]];

		if (k == PYTHON && bench_is_missing(names[k], ns[k]))
			continue;
		if ((k == REDIS || k == REDIS_MANY) && !redis.pid) {
			printf("%-20s left out: no redis-server\n", names[k]);
			bench_report_left_out(names[k], "no redis-server");
			continue;
		}
		bench_row(names[k], ns[k], rounds, 1);
		if (rivals[k] != k && rival[0] > 0)
			printf("  %6.2f x %s", bench_median_ratio(rival, ns[k],
								 rounds),
			       names[rivals[k]]);
		printf("\n");
	}
}

static void
compare(int op, int rounds)
{
	double **ns = bench_columns(KINDS, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = round_of(k, op);
	print(op, rounds, ns);
	bench_free_columns(ns, KINDS);
}

/*
 * What each takes.
 */

enum { HALF, MOST, EACH };

static const char *const each[EACH] = { "half of them", "99 of a hundred" };
static const int each_of_100[EACH] = { 50, 99 };

/* Sets both, in ns. */
static void
measure_each(double ret[EACH], void (*fn)(unsigned i))
{
	double *ns = bench_column(SAMPLES);

	for (unsigned i = 0; i < SAMPLES; i++) {
		int64_t began = mproc_now();

		fn(i);
		ns[i] = (double)(mproc_now() - began);
	}
	qsort(ns, SAMPLES, sizeof(*ns), bench_compare);
	for (int e = 0; e < EACH; e++)
		ret[e] = ns[SAMPLES * each_of_100[e] / 100];
	free(ns);
}

static void
round_of_each(int kind, double ret[EACH])
{
	for (int e = 0; e < EACH && kind == PYTHON; e++)
		ret[e] = bench_python(python_each, SAMPLES,
				      (unsigned)each_of_100[e]);
	if (kind == ALONE)
		measure_each(ret, get);
	else if (kind == REDIS && redis.pid)
		measure_each(ret, get_from_redis);
}

/* The kinds that ask for one key at a time. */
static void
compare_each(int rounds)
{
	double **ns[EACH], taken[EACH] = { 0 };

	for (int e = 0; e < EACH; e++)
		ns[e] = bench_columns(PYTHON + 1, rounds);
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k <= PYTHON; k++) {
			round_of_each(k, taken);
			for (int e = 0; e < EACH; e++)
				ns[e][k][i] = taken[e];
			memset(taken, 0, sizeof(taken));
		}
	for (int e = 0; e < EACH; e++) {
		bench_table("ns", "get a key of a manager: %s take no longer",
			    each[e]);
		bench_show(names, ns[e], PYTHON + 1, rounds, 0);
		bench_free_columns(ns[e], PYTHON + 1);
	}
}

/* What a process has that nobody else has, in bytes. */
static long
memory_of(pid_t pid)
{
	char path[64];
	long size, resident = 0, shared = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%ld %ld %ld", &size, &resident, &shared) != 3)
		bench_die("statm");
	fclose(file);
	return (resident - shared) * sysconf(_SC_PAGESIZE);
}

static void
print_memory(const char *name, long bytes)
{
	double bytes_each = (double)bytes / CLIENTS;

	printf("%-20s %d clients take the server %.0f bytes each\n", name, CLIENTS,
	       bytes_each);
	bench_table("bytes", "memory of a server for each of %d clients", CLIENTS);
	bench_report(name, &bytes_each, 1);
}

/* Each has asked for something. */
static void
measure_memory(void)
{
	static mproc_manager *clients[CLIENTS];
	long before = memory_of(server);
	mproc_dict *d;
	int64_t value;

	for (int i = 0; i < CLIENTS; i++)
		if (mproc_manager_connect(&clients[i],
					  mproc_manager_address(manager), NULL,
					  mproc_sec(10)) < 0 ||
		    mproc_manager_dict(clients[i], "bench", &d) < 0 ||
		    mproc_dict_get_int(d, keys[0], &value) < 0)
			bench_die(mproc_error_detail());
	print_memory(names[ALONE], memory_of(server) - before);
	for (int i = 0; i < CLIENTS; i++)
		mproc_manager_close(clients[i]);
}

static void
measure_memory_of_redis(void)
{
	static int fds[CLIENTS];
	long before = memory_of(redis.pid);
	int first = redis_fd;

	for (int i = 0; i < CLIENTS; i++) {
		redis_fd = fds[i] = bench_redis_connect(&redis);
		if (redis_fd < 0)
			bench_die("redis: connect");
		get_from_redis(0);
	}
	print_memory(names[REDIS], memory_of(redis.pid) - before);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	redis_fd = first;
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

static void
fill(void)
{
	for (unsigned k = 0; k < KEYS; k++) {
		snprintf(texts[k], sizeof(texts[k]), "key.%u", k);
		keys[k] = mproc_str(texts[k]);
		set(k);
	}
	write_commands(GET);
	write_commands(SET);
	if (bench_redis_start(&redis))
		redis_fd = bench_redis_connect(&redis);
	for (unsigned k = 0; k < KEYS && redis.pid; k++)
		ask_redis(&commands[SET][k], SET, k, 1);
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
		printf("left out: built without managers\n");
		return 0;
	}
	if (mproc_manager_connect(&manager, address, NULL, mproc_sec(10)) < 0 ||
	    mproc_manager_dict(manager, "bench", &dict) < 0)
		bench_die(mproc_error_detail());
	fill();
	for (int op = 0; op < OPERATIONS; op++)
		compare(op, rounds);
	compare_each(rounds);
	measure_memory();
	if (redis.pid)
		measure_memory_of_redis();
	mproc_manager_close(manager);
	return 0;
}
