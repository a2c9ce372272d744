/* SPDX-License-Identifier: MIT */
/*
 * Takes each of the hot paths a number of times, and prints their names.
 *
 * test_instructions.py runs this under callgrind, which counts anew whenever
 * counted() begins, and writes down what it has counted when that ends. So all
 * is made before, and each path is warm. Nobody is there but this thread, and a
 * process that holds the ends of the pipe and does nothing: none of this waits,
 * sleeps or wakes. What comes back is looked at.
 *
 * Usage: hot N, how often, a multiple of 16
 */
#include <mproc/mproc.h>
#include <unistd.h>

#include "bench.h"

#define WARM 1024 /* all keys once */
#define BATCH 16
#define KEYS 1024
#define IDLE 100
/* Of the arena: valgrind takes minutes over the usual one. */
#define CAPACITY ((size_t)4 << 30)
#define LARGE ((size_t)1 << 30)

static mproc_queue *queue, *single;
static mproc_conn *reader, *writer;
static mproc_process *holder;
static struct mproc_waitable items[IDLE + 1];
static mproc_lock *lock;
static mproc_rlock *rlock;
static mproc_rwlock *rwlock;
static mproc_semaphore *semaphore;
static mproc_event *event;
static mproc_dict *dict;
static mproc_list *list;
static mproc_pool *pool;
static int64_t *value;
static char keys[KEYS][16];

static struct bench_message sent[BATCH], taken[BATCH];
static struct iovec msgs[BATCH], ret_msgs[BATCH];

static void
must(bool good)
{
	if (!good)
		bench_die(mproc_error_detail());
}

static void
put_get(mproc_queue *q, unsigned n)
{
	size_t len;

	for (unsigned i = 0; i < n; i++) {
		sent[0].number = i;
		must(!mproc_queue_put(q, &sent[0], sizeof(sent[0]),
				      MPROC_FOREVER));
		must(!mproc_queue_get(q, &taken[0], sizeof(taken[0]), &len,
				      MPROC_FOREVER));
		must(len == sizeof(taken[0]) && taken[0].number == i);
	}
}

static void
use_queue(unsigned n)
{
	put_get(queue, n);
}

static void
use_queue_single_consumer(unsigned n)
{
	put_get(single, n);
}

static void
use_queue_by_16(unsigned n)
{
	for (unsigned i = 0; i < n; i += BATCH) {
		sent[BATCH - 1].number = i;
		must(mproc_queue_put_many(queue, msgs, BATCH, MPROC_FOREVER) ==
		     BATCH);
		must(mproc_queue_get_many(queue, taken, sizeof(taken), ret_msgs,
					  BATCH, MPROC_FOREVER) == BATCH);
		must(taken[BATCH - 1].number == i);
	}
}

static void
use_pipe(unsigned n)
{
	size_t len;

	for (unsigned i = 0; i < n; i++) {
		sent[0].number = i;
		must(!mproc_conn_send(writer, &sent[0], sizeof(sent[0]),
				      MPROC_FOREVER));
		must(!mproc_conn_recv(reader, &taken[0], sizeof(taken[0]), &len,
				      MPROC_FOREVER));
		must(len == sizeof(taken[0]) && taken[0].number == i);
	}
}

/* The event that is ready comes behind the queues that are not. */
static void
use_wait(unsigned n)
{
	must(!mproc_event_set(event));
	for (unsigned i = 0; i < n; i++)
		must(mproc_wait(items, IDLE + 1, MPROC_FOREVER) == 1 &&
		     items[IDLE].ret_events);
	must(!mproc_event_clear(event));
}

static void
use_lock(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		must(!mproc_lock_acquire(lock, MPROC_FOREVER));
		must(!mproc_lock_release(lock));
	}
}

static void
use_rlock(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		must(!mproc_rlock_acquire(rlock, MPROC_FOREVER));
		must(!mproc_rlock_release(rlock));
	}
}

static void
use_rwlock_read(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		must(!mproc_rwlock_read(rwlock, MPROC_FOREVER));
		must(!mproc_rwlock_release(rwlock));
	}
}

static void
use_semaphore(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		must(!mproc_semaphore_acquire(semaphore, MPROC_FOREVER));
		must(!mproc_semaphore_release(semaphore));
	}
}

static void
use_event_set_clear(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		must(mproc_event_set(event) >= 0);
		must(mproc_event_clear(event) >= 0);
	}
}

static void
use_event_is_set(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		must(mproc_event_is_set(event) == 0);
}

static void
use_heap(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t *p = mproc_alloc(64);

		must(p && !p[0]);
		p[0] = i + 1;
		mproc_free(p);
	}
}

static void
use_dict_get(unsigned n)
{
	int64_t i64;

	for (unsigned i = 0; i < n; i++) {
		must(!mproc_dict_get_int(dict, mproc_str(keys[i % KEYS]),
					 &i64));
		must(i64 % KEYS == i % KEYS);
	}
}

static void
use_dict_set(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		must(mproc_dict_set(dict, mproc_str(keys[i % KEYS]),
				    mproc_int(i)) >= 0);
}

static void
use_list_get(unsigned n)
{
	int64_t i64;

	for (unsigned i = 0; i < n; i++) {
		must(!mproc_list_get_int(list, i % WARM, &i64));
		must(i64 == (int64_t)(i % WARM));
	}
}

static void
use_list_append(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		must(!mproc_list_append(list, mproc_int(i)));
}

static void
use_value_lock(unsigned n)
{
	int64_t before = *value;

	for (unsigned i = 0; i < n; i++)
		mproc_with_lock(mproc_lock_of(value))++ *value;
	must(*value - before == n);
}

static int
square(const void *in, size_t len, struct mproc_result *ret)
{
	uint64_t i;

	if (len != sizeof(i))
		return -1;
	memcpy(&i, in, sizeof(i));
	i *= i;
	return mproc_result_set(ret, &i, sizeof(i));
}

static void
use_pool_inline(unsigned n)
{
	mproc_future *f;
	uint64_t i64;

	for (uint64_t i = 0; i < n; i++) {
		must(!mproc_pool_submit(pool, square, &i, sizeof(i), &f));
		must(!mproc_future_get(f, &i64, sizeof(i64), NULL,
				       MPROC_FOREVER));
		must(i64 == i * i);
		mproc_future_close(f);
	}
}

/* As who is on the other side does, of which there must be one. */
static int
hold(void *arg)
{
	(void)arg;
	while (pause() < 0)
		;
	return 0;
}

static void
make_items(void)
{
	for (int i = 0; i < IDLE; i++) {
		mproc_queue *q;

		must(!mproc_queue_create(&q, NULL));
		items[i] = (struct mproc_waitable){ .kind = MPROC_WAIT_QUEUE,
						    .object = q };
	}
	items[IDLE] = (struct mproc_waitable){ .kind = MPROC_WAIT_EVENT,
					       .object = event };
}

static void
make(void)
{
	must(!mproc_arena_configure_default(
		MPROC_OPTS(mproc_arena_opts, .capacity = CAPACITY)));
	must(!mproc_queue_create(&queue, NULL));
	must(!mproc_queue_create(&single, MPROC_OPTS(mproc_queue_opts,
						     .single_consumer = true)));
	must(!mproc_pipe(&reader, &writer,
			 MPROC_OPTS(mproc_pipe_opts, .one_way = true)));
	must(!mproc_process_start(&holder, hold, NULL, MPROC_OPTS(
		mproc_process_opts, .method = MPROC_FORK, .daemon = true)));
	must(!mproc_lock_create(&lock));
	must(!mproc_rlock_create(&rlock));
	must(!mproc_rwlock_create(&rwlock));
	must(!mproc_semaphore_create(
		&semaphore, MPROC_OPTS(mproc_semaphore_opts, .value = 1)));
	must(!mproc_event_create(&event));
	make_items();
	must(!mproc_dict_create(&dict, NULL));
	must(!mproc_list_create(&list, NULL));
	value = mproc_value(int64_t, 0);
	must(value);
	must(!mproc_pool_create(
		&pool,
		MPROC_OPTS(mproc_pool_opts, .backend = MPROC_POOL_INLINE)));
	for (int i = 0; i < BATCH; i++) {
		bench_fill(&sent[i], (uint64_t)i);
		msgs[i] = (struct iovec){ &sent[i], sizeof(sent[i]) };
	}
	for (int i = 0; i < KEYS; i++)
		snprintf(keys[i], sizeof(keys[i]), "key-%d", i);
}

/* A queue with room for much, in memory as it is used: the arena is large then.
 */
static void
enlarge(void)
{
	static mproc_queue *q;

	if (q)
		return;
	must(!mproc_queue_create(
		&q, MPROC_OPTS(mproc_queue_opts, .capacity = LARGE)));
	must(!mproc_queue_put(q, &sent[0], sizeof(sent[0]), MPROC_NOWAIT));
}

/* So many at once that they are in several slabs. */
static void
use_large_arena(unsigned n)
{
	uint64_t *last = NULL;

	enlarge();
	for (unsigned i = 0; i < n; i++) {
		uint64_t *p = mproc_alloc(4096);

		must(p && !p[0]);
		p[0] = (uint64_t)(uintptr_t)last;
		last = p;
	}
	while (last) {
		void *p = last;

		last = (uint64_t *)(uintptr_t)last[0];
		mproc_free(p);
	}
}

/* Who sets comes before who gets, and who appends likewise. */
static const struct path {
	const char *name;
	void (*use)(unsigned n);
} paths[] = {
	{ "queue put and get", use_queue },
	{ "queue put and get, single consumer", use_queue_single_consumer },
	{ "queue put and get by 16", use_queue_by_16 },
	{ "pipe send and recv", use_pipe },
	{ "wait for one of 101", use_wait },
	{ "lock", use_lock },
	{ "rlock", use_rlock },
	{ "rwlock read", use_rwlock_read },
	{ "semaphore", use_semaphore },
	{ "event set and clear", use_event_set_clear },
	{ "event is_set", use_event_is_set },
	{ "value's lock", use_value_lock },
	{ "alloc and free", use_heap },
	{ "dict set", use_dict_set },
	{ "dict get", use_dict_get },
	{ "list append", use_list_append },
	{ "list get", use_list_get },
	{ "pool submit and get, inline", use_pool_inline },
	{ "alloc and free of 4 KiB in a large arena", use_large_arena },
};

/* callgrind finds it by its name. */
void counted(const struct path *path, unsigned n);

__attribute__((noinline)) void
counted(const struct path *path, unsigned n)
{
	path->use(n);
	puts(path->name);
}

int
main(int argc, char **argv)
{
	unsigned n = argc == 2 ? (unsigned)atoi(argv[1]) : 0;

	if (!n || n % BATCH)
		bench_die("usage: hot N, a multiple of 16");
	make();
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		paths[i].use(WARM);
		counted(&paths[i], n);
	}
	must(!mproc_process_kill(holder));
	must(!mproc_process_join(holder, MPROC_FOREVER));
	mproc_process_close(holder);
	return 0;
}
