/* SPDX-License-Identifier: MIT */
/*
 * Shared dicts: setting and reading keys that are there, with short texts for keys
 * and numbers for values; in shared memory, and through a manager, compared with Python's
 * Manager().dict() and with Redis over a Unix socket, one command at a time. By one
 * process, then by several, each with keys of its own: what is read must be what was set
 * last.
 *
 * Usage: bench_dict [rounds]
 */
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "python.h"
#include "redis.h"

#define ROUNDS 5
#define PEERS_MAX 8
#define KEYS 250 /* of each peer */

/* Of all peers together, whole rounds over their keys. */
#define OF_DICT 1000000
#define OF_PYTHON 10000
#define OF_REDIS 50000 /* of a manager, too */

enum { SET, GET, OPS };
enum { DICT, MANAGER, PYTHON, REDIS, KINDS };

static const char *const ops[OPS] = { "set", "get" };
static const char *const names[KINDS] = {
	"mproc_dict", "libmproc's manager", "Manager().dict()", "Redis",
};

static struct shared {
	_Atomic unsigned ready;
	_Atomic unsigned go;
	_Atomic int64_t end;
} *shared;

static mproc_dict *dict;
static mproc_manager *manager; /* NULL where the library has none */
static struct bench_redis redis;

struct peer {
	char keys[KEYS][16];
	int fd; /* to Redis */
};

static long
value_of(unsigned i, unsigned round)
{
	return (long)i * 1000003 + round;
}

static void
use_dict(struct peer *p, int op, unsigned rounds)
{
	int64_t value;

	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < KEYS; i++) {
			struct mproc_any key = mproc_str(p->keys[i]);

			if (op == SET) {
				value = value_of(i, round);
				if (mproc_dict_set(dict, key,
						   mproc_int(value)) < 0)
					bench_die(mproc_error_detail());
			} else if (mproc_dict_get_int(dict, key, &value) < 0 ||
				   value != value_of(i, 0)) {
				bench_die("a wrong value");
			}
		}
}

static void
use_redis(struct peer *p, int op, unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < KEYS; i++)
			if (op == SET)
				bench_redis_set(p->fd, p->keys[i],
						value_of(i, round));
			else if (bench_redis_get(p->fd, p->keys[i]) !=
				 value_of(i, 0))
				bench_die("redis: a wrong value");
}

static void
use(struct peer *p, int kind, int op, unsigned rounds)
{
	if (kind == REDIS)
		use_redis(p, op, rounds);
	else
		use_dict(p, op, rounds);
}

/* The last round's values are there. */
static void
check(struct peer *p, int kind, unsigned round)
{
	for (unsigned i = 0; i < KEYS; i++) {
		int64_t value = -1;

		if (kind == REDIS)
			value = bench_redis_get(p->fd, p->keys[i]);
		else if (mproc_dict_get_int(dict, mproc_str(p->keys[i]),
					    &value) < 0)
			bench_die("a value is missing");
		if (value != value_of(i, round))
			bench_die("a wrong value in the end");
	}
}

/* From now on the dict is the manager's. */
static void
connect_to_manager(void)
{
	mproc_manager *m;

	if (mproc_manager_connect(&m, mproc_manager_address(manager), NULL,
				  mproc_sec(10)) < 0 ||
	    mproc_manager_dict(m, "dict", &dict) < 0)
		bench_die(mproc_error_detail());
}

static void
be_a_peer(unsigned me, int kind, int op, unsigned rounds)
{
	struct peer p = { .fd = -1 };

	for (unsigned i = 0; i < KEYS; i++)
		snprintf(p.keys[i], sizeof(p.keys[i]), "%u.%u", me, i);
	if (kind == REDIS)
		p.fd = bench_redis_connect(&redis);
	if (kind == MANAGER)
		connect_to_manager();
	use(&p, kind, SET, 1);
	shared->ready++;
	while (!shared->go)
		sched_yield();
	use(&p, kind, op, rounds);
	shared->end = mproc_now();
	check(&p, kind, op == SET ? rounds - 1 : 0);
	_exit(0);
}

static double
round_of_ours(int kind, int op, unsigned peers)
{
	unsigned n = kind == DICT ? OF_DICT : OF_REDIS;
	unsigned rounds = n / peers / KEYS;
	pid_t pids[PEERS_MAX];
	int64_t began;
	int status;

	shared->ready = shared->go = 0;
	fflush(stdout);
	for (unsigned i = 0; i < peers; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			bench_die("fork");
		if (pids[i] == 0)
			be_a_peer(i, kind, op, rounds);
	}
	while (shared->ready < peers)
		sched_yield();
	began = mproc_now();
	shared->go = 1;
	for (unsigned i = 0; i < peers; i++)
		if (waitpid(pids[i], &status, 0) < 0 || status)
			bench_die("a peer failed");
	return (double)(shared->end - began) / (double)(rounds * KEYS * peers);
}

/* How often, and by how many processes. */
#define PYTHON_BEGIN                                                          \
	BENCH_PYTHON                                                          \
	"keys = 250\n"                                                        \
	"rounds = a // b // keys\n"                                           \
	"d = context.Manager().dict()\n"                                      \
	"def names(i):\n"                                                     \
	"    return ['%d.%d' % (i, k) for k in range(keys)]\n"                \
	"for i in range(b):\n"                                                \
	"    for k, name in enumerate(names(i)):\n"                           \
	"        d[name] = k * 1000003\n"
#define PYTHON_END                                                            \
	"took = measure(b, use)\n"                                            \
	"check(len(d) == b * keys)\n"                                         \
	"for i in range(b):\n"                                                \
	"    for k, name in enumerate(names(i)):\n"                           \
	"        check(d[name] == k * 1000003 + last)\n"                      \
	"print(took / (rounds * keys * b))\n"

static const char *const python[OPS] = {
	PYTHON_BEGIN
	"def use(i):\n"
	"    mine = names(i)\n"
	"    for round in range(rounds):\n"
	"        for k in range(keys):\n"
	"            d[mine[k]] = k * 1000003 + round\n"
	"last = rounds - 1\n"
	PYTHON_END,
	PYTHON_BEGIN
	"def use(i):\n"
	"    mine = names(i)\n"
	"    for round in range(rounds):\n"
	"        for k in range(keys):\n"
	"            check(d[mine[k]] == k * 1000003)\n"
	"last = 0\n"
	PYTHON_END,
};

static double
round_of(int kind, int op, unsigned peers)
{
	if (kind == PYTHON)
		return bench_python(python[op], OF_PYTHON, peers);
	if ((kind == REDIS && !redis.pid) || (kind == MANAGER && !manager))
		return 0;
	return round_of_ours(kind, op, peers);
}

static void
print(int op, unsigned peers, int rounds, double **ns)
{
	bench_table("ns", "dict: %s a key", ops[op]);
	bench_table_at(peers, "processes");
	printf("%s a key, %u process%s, %d rounds in turn, verified\n", ops[op],
	       peers, peers == 1 ? "" : "es", rounds);
	printf("%-20s %10s %10s %10s %9s\n", "", "median ns", "least", "most",
	       "dict is x");
	for (int k = 0; k < KINDS; k++) {
		if (k == PYTHON && bench_is_missing(names[k], ns[k]))
			continue;
		if (k == REDIS && !redis.pid) {
			bench_left_out(names[k], "not installed: redis-server");
			continue;
		}
		if (k == MANAGER && !manager) {
			bench_left_out(names[k], "built without managers");
			continue;
		}
		bench_row(names[k], ns[k], rounds, 1);
		printf(" %9.2f\n", bench_median_ratio(ns[k], ns[DICT], rounds));
	}
}

static void
compare(int op, unsigned peers, int rounds)
{
	double **ns = bench_columns(KINDS, rounds);

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < KINDS; k++)
			ns[k][i] = round_of(k, op, peers);
	print(op, peers, rounds, ns);
	bench_free_columns(ns, KINDS);
}

/* Also if something fails; not by a child. */
static void
stop_redis(void)
{
	bench_redis_stop(&redis);
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	shared = bench_shared(sizeof(*shared));
	if (mproc_dict_create(&dict, NULL) < 0)
		bench_die(mproc_error_detail());
	atexit(stop_redis);
	(void)bench_redis_start(&redis);
	if (mproc_manager_start(&manager, NULL) < 0)
		manager = NULL;
	for (int op = 0; op < OPS; op++) {
		compare(op, 1, rounds);
		compare(op, 2, rounds);
		compare(op, 8, rounds);
	}
	mproc_manager_close(manager);
	mproc_dict_destroy(dict);
	return 0;
}
