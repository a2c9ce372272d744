/* SPDX-License-Identifier: MIT */
/*
 * Heaps and dicts that one process is killed in the use of. A block holds what was
 * written there until it is given back; a key has the value that was set last.
 */
#include <mproc/mproc.h>

#include "bench.h"
#include "death.h"
#include "heap_boost.h"
#include "redis.h"

#define KEPT 64
#define SIZE 64

static mproc_dict *dict;
static mproc_manager *manager;
static struct bench_redis redis;
static int redis_fd;

/* Takes a block and gives back the oldest. */
static void
blocks_use(unsigned me, void *(*take)(size_t), void (*give)(void *))
{
	static uint64_t *kept[KEPT], n;
	uint64_t **p = &kept[n % KEPT], tag = (uint64_t)me << 32;

	if (*p && ((*p)[0] != (tag | (n - KEPT)) || (*p)[SIZE / 8 - 1] != **p))
		bench_die("a block was somebody else's too");
	if (*p)
		give(*p);
	*p = take(SIZE);
	if (!*p)
		bench_die("no memory");
	(*p)[0] = (*p)[SIZE / 8 - 1] = tag | n++;
}

static bool
heap_open(void)
{
	mproc_free(mproc_alloc(SIZE));
	return true;
}

static void
heap_use(unsigned me)
{
	blocks_use(me, mproc_alloc, mproc_free);
}

static void
heap_close(void)
{
}

static bool
boost_open(void)
{
	return bench_boost_begin((size_t)16 << 20);
}

static void
boost_use(unsigned me)
{
	blocks_use(me, bench_boost_alloc, bench_boost_free);
}

static bool
dict_open(void)
{
	death_must(mproc_dict_create(&dict, NULL));
	return true;
}

static void
dict_use(unsigned me)
{
	static int64_t n;
	int64_t got = -1;
	char key[16];

	snprintf(key, sizeof(key), "%u.%d", me, (int)(n % KEPT));
	death_must(mproc_dict_set(dict, mproc_str(key), mproc_int(n)));
	death_must(mproc_dict_get_int(dict, mproc_str(key), &got));
	if (got != n++)
		bench_die("a wrong value");
}

static void
dict_close(void)
{
	mproc_dict_destroy(dict);
}

static bool
manager_open(void)
{
	return mproc_manager_start(&manager, NULL) == 0;
}

static void
manager_enter(void)
{
	mproc_manager *m;

	death_must(mproc_manager_connect(&m, mproc_manager_address(manager), NULL,
					 mproc_sec(10)));
	death_must(mproc_manager_dict(m, "dict", &dict));
}

static void
manager_close(void)
{
	mproc_manager_close(manager);
}

static bool
redis_open(void)
{
	return bench_redis_start(&redis);
}

static void
redis_enter(void)
{
	redis_fd = bench_redis_connect(&redis);
}

static void
redis_use(unsigned me)
{
	static long n;
	char key[16];

	snprintf(key, sizeof(key), "%u.%d", me, (int)(n % KEPT));
	bench_redis_set(redis_fd, key, n);
	if (bench_redis_get(redis_fd, key) != n++)
		bench_die("redis: a wrong value");
}

static void
redis_close(void)
{
	bench_redis_stop(&redis);
}

static const char python_dict[] =
	"d = context.Manager().dict()\n"
	"def use(i):\n"
	"    n = done[i]\n"
	"    d['%d.%d' % (i, n % 64)] = n\n"
	"    check(d['%d.%d' % (i, n % 64)] == n)\n";

const struct death_kind death_memory[] = {
	{ .name = "mproc_alloc", .object = "a heap", .open = heap_open,
	  .use = heap_use, .close = heap_close },
	{ .name = "Boost.Interprocess", .object = "a heap",
	  .missing = "libboost-dev", .open = boost_open, .use = boost_use,
	  .close = bench_boost_end },
	{ .name = "mproc_dict", .object = "a dict", .open = dict_open,
	  .use = dict_use, .close = dict_close },
	{ .name = "libmproc's manager", .object = "a dict",
	  .missing = "libnettle and libmsgpack", .open = manager_open,
	  .enter = manager_enter, .use = dict_use, .close = manager_close },
	{ .name = "Manager().dict()", .object = "a dict", .python = python_dict },
	{ .name = "Redis", .object = "a dict", .missing = "redis-server",
	  .open = redis_open, .enter = redis_enter, .use = redis_use,
	  .close = redis_close },
};

const int death_n_memory = sizeof(death_memory) / sizeof(death_memory[0]);
