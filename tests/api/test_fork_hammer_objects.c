/* SPDX-License-Identifier: MIT */
/*
 * All objects that are not in test_fork_hammer.c: threads are inside their operations
 * while another thread forks again and again. Each child uses those that it shares
 * with the threads, and some of its own, with a time limit; and in the end all that
 * anybody has added is there.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>

#include "common.h"

/* Seconds that a child may take for a few milliseconds' work. */
#define LIMIT 20

/* For what others give back soon. */
#define SOON mproc_sec(15)

/* Headers and seats that stay for the next ones. */
#define STAYING 80

/* In the arena, but for the handles: all processes add to the sums. */
struct shared {
	mproc_lock lock, condition_lock;
	mproc_rlock rlock;
	mproc_rwlock rwlock;
	mproc_condition condition;
	mproc_event event;
	mproc_once once;
	mproc_semaphore *semaphore, *undone;
	mproc_queue *kept;
	mproc_dict *dict;
	mproc_list *list;
	mproc_set *set;
	mproc_namespace *ns;
	mproc_pool *pool;
	int64_t *value;
	int64_t locked; /* by .lock; and so on */
	int64_t rlocked;
	int64_t written;
	_Atomic int64_t expected;
	_Atomic int64_t ran_once;
};

static struct shared *s;

static struct {
	_Atomic bool over;
	_Atomic unsigned wrong; /* line of the first thing that went wrong */
	_Atomic unsigned rounds;
} world;

/* In threads and children: notes what went wrong. */
#define EXPECT(cond)                                                          \
	do {                                                                  \
		if (!(cond)) {                                                \
			unsigned none = 0;                                    \
                                                                              \
			atomic_compare_exchange_strong(&world.wrong, &none,   \
						       __LINE__);             \
		}                                                             \
	} while (0)

/* The sums have no atomics: whoever holds the lock has them alone. */

static void
use_locks(unsigned number)
{
	mproc_lock *own = NULL;

	EXPECT(mproc_lock_acquire(&s->lock, SOON) == 0);
	s->locked++;
	EXPECT(mproc_lock_release(&s->lock) == 0);
	EXPECT(mproc_rlock_acquire(&s->rlock, SOON) == 0);
	EXPECT(mproc_rlock_acquire(&s->rlock, SOON) == 0);
	s->rlocked++;
	EXPECT(mproc_rlock_release(&s->rlock) == 0);
	EXPECT(mproc_rlock_release(&s->rlock) == 0);
	EXPECT(mproc_rwlock_read(&s->rwlock, SOON) == 0);
	EXPECT(mproc_rwlock_release(&s->rwlock) == 0);
	EXPECT(mproc_rwlock_write(&s->rwlock, SOON) == 0);
	s->written++;
	EXPECT(mproc_rwlock_release(&s->rwlock) == 0);
	EXPECT(mproc_lock_create(&own) == 0);
	EXPECT(mproc_lock_acquire(own, MPROC_NOWAIT) == 0);
	EXPECT(mproc_lock_release(own) == 0);
	mproc_lock_destroy(own);
	(void)number;
}

static void
use_semaphores(unsigned number)
{
	mproc_semaphore *own = NULL;

	EXPECT(mproc_semaphore_acquire(s->semaphore, SOON) == 0);
	EXPECT(mproc_semaphore_release(s->semaphore) == 0);
	EXPECT(mproc_semaphore_acquire(s->undone, SOON) == 0);
	EXPECT(mproc_semaphore_release(s->undone) == 0);
	EXPECT(mproc_semaphore_create(&own, MPROC_OPTS(mproc_semaphore_opts,
						       .value = 1)) == 0);
	EXPECT(mproc_semaphore_acquire(own, MPROC_NOWAIT) == 0);
	EXPECT(mproc_semaphore_acquire(own, MPROC_NOWAIT) == -EAGAIN);
	mproc_semaphore_destroy(own);
	(void)number;
}

static void
use_a_condition(unsigned number)
{
	int r;

	EXPECT(mproc_lock_acquire(&s->condition_lock, SOON) == 0);
	r = mproc_condition_wait(&s->condition, &s->condition_lock,
				 mproc_us(1 + number % 50));
	EXPECT(r == 0 || r == -ETIMEDOUT);
	EXPECT(mproc_lock_release(&s->condition_lock) == 0);
	EXPECT(mproc_condition_notify_all(&s->condition) >= 0);
}

static void
use_events(unsigned number)
{
	mproc_event *own = NULL;
	int r;

	EXPECT(mproc_event_set(&s->event) == 0);
	if (number % 2)
		EXPECT(mproc_event_clear(&s->event) == 0);
	r = mproc_event_wait(&s->event, mproc_us(1 + number % 50));
	EXPECT(r == 0 || r == -ETIMEDOUT);
	EXPECT(mproc_event_create(&own) == 0);
	EXPECT(mproc_event_wait(own, MPROC_NOWAIT) == -EAGAIN);
	EXPECT(mproc_event_set(own) == 0);
	EXPECT(mproc_event_wait(own, SOON) == 0);
	mproc_event_destroy(own);
}

static void
use_a_barrier(unsigned number)
{
	mproc_barrier *own = NULL;

	/* Who comes alone has to wait. */
	EXPECT(mproc_barrier_create(&own, 2) == 0);
	EXPECT(mproc_barrier_enroll(own) == 0);
	EXPECT(mproc_barrier_wait(own, mproc_us(1 + number % 50)) == -ETIMEDOUT);
	EXPECT(mproc_barrier_broken(own));
	EXPECT(mproc_barrier_reset(own) == 0);
	EXPECT(!mproc_barrier_broken(own));
	mproc_barrier_destroy(own);
}

static int
note_once(void *arg)
{
	++*(_Atomic int64_t *)arg;
	return 0;
}

static void
use_once(unsigned number)
{
	mproc_once *own = NULL;
	_Atomic int64_t ran = 0;

	EXPECT(mproc_once_run(&s->once, note_once, &s->ran_once) == 0);
	EXPECT(mproc_once_create(&own) == 0);
	EXPECT(mproc_once_run(own, note_once, &ran) == 0);
	EXPECT(mproc_once_run(own, note_once, &ran) == 0);
	EXPECT(ran == 1);
	mproc_once_destroy(own);
	(void)number;
}

static void
use_values(unsigned number)
{
	int *array = mproc_array(int, 10);

	(void)mproc_fetch_add(s->value, 1);
	EXPECT(array && mproc_array_len(array) == 10 && array[9] == 0);
	if (!array)
		return;
	EXPECT(mproc_lock_acquire(mproc_lock_of(array), SOON) == 0);
	array[number % 10] = 1;
	EXPECT(mproc_lock_release(mproc_lock_of(array)) == 0);
	mproc_free(array);
}

static void
use_containers(unsigned number)
{
	mproc_dict *own = NULL;
	int64_t got = -1;
	char name[32];

	snprintf(name, sizeof(name), "of %d", (int)getpid());
	EXPECT(mproc_dict_add(s->dict, mproc_str("sum"), mproc_int(1), NULL) ==
	       0);
	EXPECT(mproc_list_append(s->list, mproc_int(number)) == 0);
	EXPECT(mproc_list_pop(s->list, 0, NULL) == 0);
	EXPECT(mproc_set_add(s->set, mproc_int(number)) >= 0);
	EXPECT(mproc_set_discard(s->set, mproc_int(number)) >= 0);
	EXPECT(mproc_namespace_set(s->ns, "last", mproc_int(number)) >= 0);
	EXPECT(mproc_namespace_get_int(s->ns, "last", &got) == 0);
	EXPECT(mproc_dict_create(&own, NULL) == 0);
	EXPECT(mproc_dict_set(own, mproc_str(name), mproc_int(number)) >= 0);
	EXPECT(mproc_dict_get_int(own, mproc_str(name), &got) == 0);
	EXPECT(got == number);
	mproc_dict_destroy(own);
}

static void
use_a_pipe(unsigned number)
{
	mproc_conn *a = NULL, *b = NULL;
	unsigned got = ~number;

	EXPECT(mproc_pipe(&a, &b, NULL) == 0);
	EXPECT(mproc_conn_send(a, &number, sizeof(number), SOON) == 0);
	EXPECT(mproc_conn_recv(b, &got, sizeof(got), NULL, SOON) == 0);
	EXPECT(got == number);
	mproc_conn_close(a);
	mproc_conn_close(b);
}

/* A child has a copy of the sockets that there are, so no address is used twice. */
static void
use_a_listener(unsigned number)
{
	static _Atomic unsigned addresses;
	mproc_conn *client = NULL, *server = NULL;
	mproc_listener *l = NULL;
	unsigned got = ~number;
	char address[64];

	snprintf(address, sizeof(address), "unix:@mpt-hammer-%d-%u",
		 (int)getpid(), addresses++);
	EXPECT(mproc_listener_open(&l, address, NULL) == 0);
	EXPECT(mproc_connect(&client, address, NULL, SOON) == 0);
	EXPECT(mproc_listener_accept(l, &server, SOON) == 0);
	EXPECT(mproc_conn_send(client, &number, sizeof(number), SOON) == 0);
	EXPECT(mproc_conn_recv(server, &got, sizeof(got), NULL, SOON) == 0);
	EXPECT(got == number);
	mproc_conn_close(client);
	mproc_conn_close(server);
	mproc_listener_close(l);
}

/* Messages that are acknowledged, whoever has put them. */
static void
use_kept_messages(unsigned number)
{
	unsigned got;

	EXPECT(mproc_queue_put(s->kept, &number, sizeof(number), SOON) == 0);
	EXPECT(mproc_queue_get(s->kept, &got, sizeof(got), NULL, SOON) == 0);
	EXPECT(mproc_queue_task_done(s->kept) == 0);
}

static void
use_waits(unsigned number)
{
	struct mproc_waitable item = { .kind = MPROC_WAIT_QUEUE }, ready;
	mproc_waitset *w = NULL;
	mproc_queue *q = NULL;

	EXPECT(mproc_queue_create(&q, NULL) == 0);
	item.object = q;
	EXPECT(mproc_wait(&item, 1, MPROC_NOWAIT) == -EAGAIN);
	EXPECT(mproc_waitset_create(&w) == 0);
	EXPECT(mproc_waitset_add(w, &item) == 0);
	EXPECT(mproc_queue_put(q, &number, sizeof(number), MPROC_NOWAIT) == 0);
	EXPECT(mproc_waitset_wait(w, &ready, 1, SOON) == 1);
	EXPECT(ready.object == q);
	EXPECT(mproc_wait(&item, 1, SOON) == 1);
	EXPECT(mproc_waitset_remove(w, &item) == 0);
	mproc_waitset_close(w);
	mproc_queue_destroy(q);
}

static int
double_it(const void *in, size_t len, struct mproc_result *out)
{
	unsigned number = *(const unsigned *)in * 2;

	return len == sizeof(number) ?
		       mproc_result_set(out, &number, sizeof(number)) : -EINVAL;
}

static void
use_a_pool(unsigned number)
{
	unsigned got = 0;

	EXPECT(mproc_pool_apply(s->pool, double_it, &number, sizeof(number),
				&got, sizeof(got), NULL, SOON) == 0);
	EXPECT(got == number * 2);
}

/* A pipe that one thread uses alone would have had another holder, who is gone. */
static const struct mproc_process_opts *
without_pipes(void)
{
	static const struct mproc_process_opts o = {
		.struct_size = sizeof(o),
		.n_conns = -1,
	};

	return &o;
}

static int
return_number(int index, void *arg)
{
	return index == 0 && (uintptr_t)arg > 1000 ? 1 : 0;
}

static void
use_a_group(unsigned number)
{
	mproc_group *g = NULL;

	EXPECT(mproc_group_start(&g, return_number,
				 (void *)(uintptr_t)(number % 1000), 2,
				 MPROC_OPTS(mproc_group_opts,
					    .process = without_pipes())) == 0);
	EXPECT(mproc_group_join(g, MPROC_FOREVER) == 0);
	mproc_group_close(g);
}

/* How often a thread does it: each time, or each nth. */
static const struct {
	void (*use)(unsigned number);
	unsigned each;
} kinds[] = {
	{ use_locks, 1 },	   { use_semaphores, 1 },
	{ use_a_condition, 1 },	   { use_events, 1 },
	{ use_a_barrier, 1 },	   { use_once, 1 },
	{ use_values, 1 },	   { use_containers, 1 },
	{ use_a_pipe, 1 },	   { use_a_listener, 4 },
	{ use_kept_messages, 1 },  { use_waits, 1 },
	{ use_a_pool, 2 },	   { use_a_group, 16 },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void *
hammer(void *arg)
{
	unsigned first = (unsigned)(uintptr_t)arg;

	for (unsigned i = first; !world.over; i++) {
		unsigned kind = i % KINDS, turn = i / KINDS;

		if (turn % kinds[kind].each == 0) {
			kinds[kind].use(i);
			s->expected += kind == 0;
		}
		world.rounds++;
	}
	return arg;
}

static void
use_all(unsigned number)
{
	for (unsigned i = 0; i < KINDS; i++)
		kinds[(i + number) % KINDS].use(number);
	s->expected++;
}

static void
begin_child(void)
{
	const char *slow = getenv("MPT_SLOW");

	signal(SIGALRM, SIG_DFL);
	alarm(LIMIT * (unsigned)(slow ? atoi(slow) : 1));
	world.wrong = 0;
}

/* Nothing, otherwise what is wrong: a line, as far as it fits. */
static int
end_of_child(void)
{
	return world.wrong ? (int)(1 + world.wrong % 254) : 0;
}

static int
be_started(void *arg)
{
	begin_child();
	use_all((unsigned)(uintptr_t)arg);
	return end_of_child();
}

static void
run_started(unsigned number)
{
	mproc_process *p = NULL;
	int code = -1;

	assert_int_equal(mproc_process_start(&p, be_started,
					     (void *)(uintptr_t)number,
					     without_pipes()), 0);
	assert_int_equal(mproc_process_join(p, MPROC_FOREVER), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 0);
	mproc_process_close(p);
}

static void
run_forked(unsigned number)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		begin_child();
		use_all(number);
		_exit(end_of_child());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
begin_world(struct mproc_arena_stat *ret_before)
{
	assert_true(mproc_arena_recover(NULL) >= 0);
	*ret_before = stat_now();
	memset(&world, 0, sizeof(world));
	s = mproc_alloc(sizeof(*s));
	assert_non_null(s);
	s->value = mproc_value(int64_t, 0);
	assert_non_null(s->value);
	assert_int_equal(mproc_semaphore_create(
		&s->semaphore, MPROC_OPTS(mproc_semaphore_opts, .value = 1)),
			 0);
	assert_int_equal(mproc_semaphore_create(
		&s->undone, MPROC_OPTS(mproc_semaphore_opts, .value = 2,
				       .undo = true)), 0);
	assert_int_equal(mproc_queue_create(
		&s->kept, MPROC_OPTS(mproc_queue_opts, .ack = true)), 0);
	assert_int_equal(mproc_dict_create(&s->dict, NULL), 0);
	assert_int_equal(mproc_list_create(&s->list, NULL), 0);
	assert_int_equal(mproc_set_create(&s->set, NULL), 0);
	assert_int_equal(mproc_namespace_create(&s->ns, NULL), 0);
	/* As long as there is one thread. */
	assert_int_equal(mproc_pool_create(
		&s->pool, MPROC_OPTS(mproc_pool_opts, .workers = 1)), 0);
}

/* The thread that has watched for sets of waits ends by itself. */
static bool
are_all_gone(const struct mproc_arena_stat *before)
{
	return mproc_arena_recover(NULL) >= 0 &&
	       stat_now().participants == before->participants;
}

static void
end_world(struct mpt *t, const struct mproc_arena_stat *before)
{
	struct mproc_arena_stat after;

	assert_int_equal(mproc_pool_close(s->pool), 0);
	assert_int_equal(mproc_pool_join(s->pool, MPROC_FOREVER), 0);
	mproc_pool_free(s->pool);
	mproc_namespace_destroy(s->ns);
	mproc_set_destroy(s->set);
	mproc_list_destroy(s->list);
	mproc_dict_destroy(s->dict);
	mproc_queue_destroy(s->kept);
	mproc_semaphore_destroy(s->undone);
	mproc_semaphore_destroy(s->semaphore);
	mproc_free(s->value);
	mproc_free(s);
	mpt_until(t, are_all_gone(before));
	after = stat_now();
	assert_int_equal(after.queues, before->queues);
	assert_true(after.blocks <= before->blocks + STAYING);
}

static void
expect_all_that_was_added(void)
{
	int64_t sum = 0;

	assert_int_equal(s->locked, s->expected);
	assert_int_equal(s->rlocked, s->expected);
	assert_int_equal(s->written, s->expected);
	assert_int_equal(s->ran_once, 1);
	assert_int_equal(mproc_semaphore_value(s->semaphore), 1);
	assert_int_equal(mproc_semaphore_value(s->undone), 2);
	assert_int_equal(mproc_queue_len(s->kept), 0);
	assert_int_equal(mproc_queue_join(s->kept, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_list_len(s->list), 0);
	assert_int_equal(mproc_dict_get_int(s->dict, mproc_str("sum"), &sum),
			 0);
	assert_int_equal(sum, mproc_load(s->value));
	assert_true(sum > 0);
}

static void
children_of_a_busy_process_use_all_objects_at_once(void **state)
{
	struct mproc_arena_stat before;
	pthread_t threads[3];

	mpt_watchdog(*state, 60);
	begin_world(&before);
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer,
						(void *)(i * 5)), 0);
	mpt_until(*state, world.rounds > 100);
	for (unsigned i = 0; i < amount(100); i++) {
		if (i % 2)
			run_started(i);
		else
			run_forked(i);
		assert_int_equal(world.wrong, 0);
	}
	world.over = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(world.wrong, 0);
	expect_all_that_was_added();
	end_world(*state, &before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(children_of_a_busy_process_use_all_objects_at_once),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
