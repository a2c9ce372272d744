/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer writes anything in the words of a pool: its cell and root, the records
 * of its workers, the groups of entries, futures of tasks and of maps with their shares.
 * Tasks may fail, be lost or done twice, workers may die; calls that were given a time
 * return in it, with what the header says, nothing crashes, and the pool can be ended and
 * freed. Another pool can be made then and does what it should, and what is a user's stays
 * what it is.
 *
 * A word may name what belongs to someone else, which is lost then. So each role has an
 * arena of its own, and this program none. Roles run side by side: where nobody can end
 * the pool any more, freeing it takes seconds.
 *
 * None is of threads: a call has to wait for tasks of theirs to come back, and who
 * scribbles can keep them for ever. Their memory is the same.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <mproc/mproc.h>

#include "hostile.h"
#include "pool/map_shm.h"
#include "pool/pool_shm.h"
#include "sync/holder.h"

#define LARGE 5000
#define USERS 4096 /* bytes of a block of the user's */
#define ITEMS 20
#define A_WHILE mproc_ms(5)

enum { WORKERS = 2, POOL_WORDS = 140, POOL_VALUES = 40, AT_ONCE = 8 };

enum which { DONE, DONE_LARGE, RUNNING, SHARED, QUEUED, QUEUED_MAP, FUTURES };

/* In the scratch bytes. */
struct board {
	_Atomic unsigned at; /* what was tried last, counted from 1 */
	_Atomic unsigned calls;
	_Atomic unsigned returns[256]; /* by error */
	_Atomic unsigned freed_late; /* pools */
	_Atomic unsigned spoilt; /* arenas, whose heaps say so */
};

/* In an arena. */
struct scene {
	mproc_pool *pool;
	mproc_future *futures[FUTURES];
	unsigned char *users;
	struct shared {
		_Atomic unsigned begun;
		_Atomic bool go_on;
		_Atomic bool stop; /* who uses it meanwhile */
		_Atomic unsigned rounds; /* of that one */
	} *shared;
	struct mpr_pool_root *root; /* as it was before anybody scribbled */
	struct words names;
	struct word word[POOL_WORDS];
	unsigned n;
};

static struct scene scene;
static int64_t began;

/* Tasks. They look at nothing that they are given: its length may be anything. */

static int
leave_bytes(const void *in, size_t len, struct mproc_result *out)
{
	static const char bytes[LARGE];

	(void)in;
	return mproc_result_set(out, bytes, len == 1 ? 10 : sizeof(bytes));
}

static int
linger(const void *in, size_t len, struct mproc_result *out)
{
	(void)in;
	(void)len;
	atomic_fetch_add(&scene.shared->begun, 1);
	while (!atomic_load(&scene.shared->go_on))
		usleep(200);
	return mproc_result_set(out, "text", 4);
}

static int
item(const void *in, void *out, void *ctx)
{
	(void)in;
	(void)out;
	(void)ctx;
	return -EDOM;
}

static int
linger_over(const void *in, void *out, void *ctx)
{
	(void)in;
	(void)out;
	(void)ctx;
	if (!atomic_load(&scene.shared->go_on))
		atomic_fetch_add(&scene.shared->begun, 1);
	while (!atomic_load(&scene.shared->go_on))
		usleep(200);
	return 0;
}

/* What workers find that are no copies of who has made the pool. Somebody may have written
 * over the argument, too. */
static int
initialize(void *shared)
{
	if (!scene.shared)
		scene.shared = shared;
	return 0;
}

/* The pool, with a future in each state. */

static mproc_future *
submit(struct mpt *t, mproc_task *fn, size_t len)
{
	mproc_future *f = NULL;

	mpt_check_int(t, mproc_pool_submit(scene.pool, fn, "ab", len, &f), 0);
	return f;
}

static mproc_future *
map(struct mpt *t, mproc_map_fn *fn)
{
	static const int in[ITEMS];
	mproc_future *f = NULL;

	mpt_check_int(t, mproc_pool_map_async(scene.pool, fn, NULL, in,
					      sizeof(in[0]), NULL, sizeof(int),
					      ITEMS,
					      MPROC_OPTS(mproc_map_opts,
							 .chunk = 4), &f), 0);
	return f;
}

/* Every third one has workers with an image of their own. */
static void
make_pool(struct mpt *t, unsigned number)
{
	struct shared *shared = mproc_alloc(sizeof(*shared));

	mpt_check(t, shared);
	*shared = (struct shared){ 0 };
	scene = (struct scene){ .shared = shared,
				.users = mproc_alloc(USERS) };
	mpt_check(t, scene.users);
	memset(scene.users, 0x5a, USERS);
	mpt_check_int(t, mproc_pool_create(
		&scene.pool, MPROC_OPTS(mproc_pool_opts, .workers = WORKERS,
					.retries = 1,
					.task_timeout = mproc_sec(30),
					.method = number % 3 ? MPROC_FORK :
							       MPROC_SPAWN,
					.initializer = initialize,
					.init_arg = shared)), 0);
	scene.futures[DONE] = submit(t, leave_bytes, 1);
	scene.futures[DONE_LARGE] = submit(t, leave_bytes, 2);
	for (int i = DONE; i <= DONE_LARGE; i++)
		mpt_check_int(t, mproc_future_wait(scene.futures[i],
						   MPROC_FOREVER), 0);
	scene.futures[RUNNING] = submit(t, linger, 1);
	while (atomic_load(&shared->begun) < 1)
		usleep(100);
	scene.futures[SHARED] = map(t, linger_over);
	while (atomic_load(&shared->begun) < 2)
		usleep(100);
	scene.futures[QUEUED] = submit(t, leave_bytes, 1);
	scene.futures[QUEUED_MAP] = map(t, item);
}

/* Its words. */

static void
add(const char *name, unsigned index, void *p, size_t size)
{
	struct word *word = &scene.word[scene.n++];

	snprintf(word->name, sizeof(word->name), "%.16s %u", name, index);
	word->p = p;
	word->size = size;
}

#define ADD(index, object, member)                                           \
	add(#member, (index), (void *)(uintptr_t)&(object)->member,          \
	    sizeof((object)->member))

static void
add_root(struct mpr_pool_root *r)
{
	ADD(0, r, mark);
	ADD(0, r, phase);
	ADD(0, r, keeper);
	ADD(0, r, creator);
	ADD(0, r, n_workers);
	ADD(0, r, creator_since);
	ADD(0, r, image);
	ADD(0, r, queue);
	ADD(0, r, workers);
	ADD(0, r, groups);
	ADD(0, r, task_timeout);
	ADD(0, r, retries);
	ADD(0, r, backend);
	ADD(0, r, broken);
	ADD(0, r, initializer);
	ADD(0, r, init_arg);
	ADD(0, r, init);
	ADD(0, r, deaths);
	add("name", 0, r->name, 8);
	add("name", 7, r->name + MPR_POOL_NAME - 8, 8);
	ADD(0, r, creator_namespace);
	ADD(0, r, queue_open);
	ADD(0, r, idle_timeout);
	ADD(0, r, max_tasks);
	ADD(0, r, resting);
	ADD(0, r, method);
	ADD(0, r, modules[0]);
	ADD(0, r, cursor);
	ADD(0, r, last);
	ADD(0, r, program);
}

static void
add_map(struct mpr_map *m)
{
	struct mpr_map_share *share = (struct mpr_map_share *)(m + 1);

	ADD(0, m, n);
	ADD(0, m, chunk);
	ADD(0, m, in_size);
	ADD(0, m, out_size);
	ADD(0, m, in);
	ADD(0, m, out);
	ADD(0, m, ctx);
	ADD(0, m, kept);
	ADD(0, m, n_shares);
	ADD(0, m, fail_fast);
	ADD(0, m, stopped);
	ADD(0, m, failed);
	ADD(0, m, codes);
	ADD(0, m, largest);
	ADD(0, m, round);
	ADD(0, m, next);
	for (unsigned i = 0; i < WORKERS; i++) {
		ADD(i, &share[i], word);
		ADD(i, &share[i], desk);
		ADD(i, &share[i], started);
		ADD(i, &share[i], deaths);
	}
}

static void
add_future(unsigned i, struct mproc_future *f)
{
	ADD(i, f, cell.word);
	ADD(i, f, cell.generation);
	ADD(i, f, entry);
	ADD(i, f, kind);
	ADD(i, f, owner);
	ADD(i, f, out);
	ADD(i, f, out_len);
	if (i != RUNNING)
		return;
	ADD(i, f, pool);
	ADD(i, f, fn);
	ADD(i, f, in_len);
	ADD(i, f, owner_since);
	ADD(i, f, owner_namespace);
	ADD(i, f, started);
	ADD(i, f, result);
	ADD(i, f, deaths);
	ADD(i, f, worker);
	ADD(i, f, ended);
}

static void
find_words(struct mpt *t)
{
	mproc_arena *a = mpr_arena_peek();
	struct mpr_pool_worker *workers;
	struct mpr_pool_group *group;
	struct mpr_pool_use u;

	mpt_check_int(t, mpr_pool_look_up(scene.pool, &u), 0);
	scene.root = u.root;
	workers = mpr_arena_at(a, u.root->workers);
	group = mpr_arena_at(a, u.root->groups);
	scene.names = (struct words){
		.lane = mpr_arena_offset(a, scene.futures[RUNNING]),
		.queue = mpr_arena_offset(a, scene.pool),
		.arena = a->shmem.size,
	};
	ADD(0, scene.pool, cell.word);
	ADD(0, scene.pool, cell.generation);
	ADD(0, scene.pool, root);
	add_root(u.root);
	for (unsigned i = 0; i < WORKERS; i++) {
		ADD(i, &workers[i], word);
		ADD(i, &workers[i], doomed);
		ADD(i, &workers[i], lease);
		ADD(i, &workers[i], done);
		ADD(i, &workers[i], begun);
	}
	ADD(0, group, next);
	ADD(0, group, mark);
	for (unsigned i = 0; i < 2; i++)
		ADD(i, group, entry[i]);
	for (unsigned i = 0; i < FUTURES; i++)
		if (i != QUEUED_MAP)
			add_future(i, scene.futures[i]);
	add_map(mpr_map_behind(scene.futures[SHARED]));
	mpt_check(t, scene.n <= POOL_WORDS);
}

static uint64_t
pool_value(const struct word *word, unsigned n, struct mpt_rand *rand)
{
	mproc_arena *a = mpr_arena_peek();
	uint64_t old = read_word(word), out = 0;
	uint64_t generation = (uint64_t)scene.pool->cell.generation << 32;
	struct mpr_pool_root *root = scene.root;
	const uint64_t values[POOL_VALUES - VALUES] = {
		mpr_arena_offset(a, scene.users),
		mpr_arena_offset(a, root),
		root->workers,
		root->groups,
		root->queue,
		mpr_arena_offset(a, scene.futures[SHARED]),
		atomic_load(&scene.futures[DONE_LARGE]->out),
		mpr_holder(mpr_self_in(a)), /* one that lives */
		mpr_holder(mpr_self_in(a)) | MPR_GONE,
		MPR_HELD | 0xffff,
		generation | MPR_POOL_TERMINATING,
		generation | MPR_POOL_ENDED,
		/* In other states, and with other ids. */
		mpr_future_with(old, MPR_FUTURE_QUEUED, 0),
		mpr_future_with(old, MPR_FUTURE_RUNNING, 1),
		mpr_future_with(old, MPR_FUTURE_DONE, 0),
		mpr_future_with(old, MPR_FUTURE_FREED, 0),
		mpr_future_with(old, MPR_FUTURE_SHARED, 0),
		old | MPR_FUTURE_REVOKED,
		old + MPR_FUTURE_ID_UNIT,
	};

	if (n < VALUES)
		return hostile_value(&scene.names, old, n, rand);
	out = values[n - VALUES];
	/* Both halves are worth trying. */
	return word->size == 8 ? out : (uint32_t)(out ^ out >> 32);
}

/* Calls. */

/* -EDEADLK where a record says that it is ours, as if we were in one of the tasks. */
static int
returned(struct mpt *t, const char *what, int r, int64_t most)
{
	static const int errors[] = {
		-EAGAIN, -EALREADY, -EBADMSG, -EBUSY, -ECANCELED, -ECHILD,
		-EDEADLK, -EFAULT, -EINVAL, -EMSGSIZE, -ENODATA, -ENOEXEC, -ENOMEM,
		-ENOSPC, -ESHUTDOWN, -ESTALE, -ETIMEDOUT,
	};
	struct board *b = mpt_scratch(t);
	unsigned i = 0;

	if (mproc_now() - began >= most)
		mpt_fail(t, __FILE__, __LINE__, "%s took too long", what);
	while (i < MPR_ARRAY_LEN(errors) && errors[i] != r)
		i++;
	if (r > 1 || (r < 0 && i == MPR_ARRAY_LEN(errors)))
		mpt_fail(t, __FILE__, __LINE__, "%s: %d, %s", what, r,
			 mproc_strerror(r));
	b->returns[r < 0 ? -r & 255 : 0]++;
	b->calls++;
	return r;
}

#define CALL(call)                                                           \
	(began = mproc_now(), returned(t, #call, (call), bound()))

static void
use_future(struct mpt *t, mproc_future *f, mproc_timeout timeout)
{
	unsigned char bytes[GUARD + LARGE + GUARD];
	struct mproc_task_error error;
	struct mproc_exit end;
	size_t len = 0, done, n, at = 0;
	int code;

	memset(bytes, 0xa5, sizeof(bytes));
	if (CALL(mproc_future_get(f, bytes + GUARD, LARGE, &len, timeout)) >= 0)
		mpt_check(t, len <= LARGE);
	for (size_t i = 0; i < GUARD; i++)
		mpt_check(t, bytes[i] == 0xa5 &&
				     bytes[GUARD + LARGE + i] == 0xa5);
	CALL(mproc_future_ready(f));
	if (CALL(mproc_future_error(f, &error)) == 0)
		mpt_check(t, strnlen(error.text, sizeof(error.text)) <
				     sizeof(error.text));
	CALL(mproc_future_exit_info(f, &end));
	CALL(mproc_future_progress(f, &done, &n));
	for (unsigned i = 0; i < ITEMS; i++, at++)
		if (CALL(mproc_future_next_failed(f, &at, &code)) < 0)
			break;
}

/* What is new is not what was scribbled in. */
static void
use_pool(struct mpt *t)
{
	struct mproc_pool_stat stat;
	mproc_future *f = NULL;
	int in[ITEMS] = { 0 }, out[ITEMS];

	if (CALL(mproc_pool_stat(scene.pool, &stat)) == 0)
		mpt_check(t, strnlen(stat.name, sizeof(stat.name)) <
				     sizeof(stat.name));
	if (CALL(mproc_pool_submit(scene.pool, leave_bytes, "a", 1, &f)) == 0) {
		use_future(t, f, A_WHILE);
		CALL(mproc_future_cancel(f, MPROC_CANCEL_RUNNING));
		mproc_future_close(f);
	}
	/* It waits for workers to be killed, if the keeper knows whom. */
	began = mproc_now();
	returned(t, "map", mproc_pool_map(scene.pool, item, NULL, in,
					  sizeof(in[0]), out, sizeof(out[0]),
					  ITEMS, MPROC_OPTS(mproc_map_opts,
							    .timeout = A_WHILE)),
		 3 * bound());
	for (int i = 0; i < FUTURES; i++)
		use_future(t, scene.futures[i],
			   i % 2 ? MPROC_NOWAIT : A_WHILE);
}

static void
end_pool(struct mpt *t)
{
	struct board *b = mpt_scratch(t);
	struct mproc_pool_stat stat;

	CALL(mproc_future_cancel(scene.futures[QUEUED], 0));
	CALL(mproc_future_cancel(scene.futures[RUNNING], MPROC_CANCEL_RUNNING));
	mproc_future_close(scene.futures[DONE_LARGE]);
	mproc_future_close(scene.futures[QUEUED_MAP]);
	CALL(mproc_pool_close(scene.pool));
	CALL(mproc_pool_join(scene.pool, A_WHILE));
	CALL(mproc_pool_terminate(scene.pool));
	CALL(mproc_pool_join(scene.pool, A_WHILE));
	began = mproc_now();
	mproc_pool_free(scene.pool);
	b->freed_late += mproc_now() - began > INT64_C(1000000000);
	mpt_check(t, mproc_now() - began < 8 * bound());
	CALL(mproc_pool_stat(scene.pool, &stat));
	for (int i = 0; i < FUTURES; i++)
		use_future(t, scene.futures[i], MPROC_NOWAIT);
	for (int i = 0; i < FUTURES; i++)
		mproc_future_close(scene.futures[i]);
}

static int
use_another_pool(struct mpt *t)
{
	mproc_pool *pool = NULL;
	char bytes[10];
	size_t len = 0;
	int r;

	r = mproc_pool_create(&pool,
			      MPROC_OPTS(mproc_pool_opts, .workers = 1));
	if (r < 0)
		return r;
	r = mproc_pool_apply(pool, leave_bytes, "a", 1, bytes, sizeof(bytes),
			     &len, MPROC_FOREVER);
	mpt_check(t, r != 0 || len == 10);
	mproc_pool_free(pool);
	return r;
}

/* What nobody has written in. Not even the heap, by words that named what was somebody
 * else's, unless it @may_be_spoilt: it says so then. */
static void
expect_all_well(struct mpt *t, bool may_be_spoilt)
{
	struct board *b = mpt_scratch(t);
	int r;

	for (int i = 0; i < USERS; i++)
		mpt_check(t, scene.users[i] == 0x5a);
	r = use_another_pool(t);
	if (may_be_spoilt && r == -EBADMSG)
		b->spoilt++;
	else
		mpt_check_int(t, r, 0);
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
}

static void
let_workers_crash(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
}

/* Number @arg of all words and values. */
static int
write_once(struct mpt *t, void *arg)
{
	unsigned at = (unsigned)(uintptr_t)arg, n = at % POOL_VALUES;
	struct board *b = mpt_scratch(t);
	struct mpt_rand rand;
	struct word *word;

	let_workers_crash();
	mpt_rand_init(&rand, mpt_seed() + at);
	make_pool(t, at);
	find_words(t);
	if (at / POOL_VALUES >= scene.n)
		return 0;
	word = &scene.word[at / POOL_VALUES];
	b->at = at + 1;
	write_word(word, pool_value(word, n, &rand));
	use_pool(t);
	atomic_store(&scene.shared->go_on, true);
	use_pool(t);
	end_pool(t);
	expect_all_well(t, false);
	return 0;
}

static void
end_all(struct mpt *t, const int *ids, unsigned *n)
{
	while (*n)
		mpt_expect_exit(t, ids[--*n], 0);
}

static void
each_word_with_each_value(void **state)
{
	const unsigned step = rounds(160, 47, 1);
	unsigned at = (unsigned)(mpt_seed() % step), n = 0;
	int ids[AT_ONCE];

	for (; at < POOL_WORDS * POOL_VALUES; at += step) {
		char name[32];

		snprintf(name, sizeof(name), "number %u", at);
		if (n == AT_ONCE)
			end_all(*state, ids, &n);
		ids[n++] = mpt_fork(*state, name, write_once,
				    (void *)(uintptr_t)at);
	}
	end_all(*state, ids, &n);
	/* Nobody is left, even where the pool could not be freed. */
	mpt_reap_orphans(*state);
}

static int
use_meanwhile(struct mpt *t)
{
	while (!atomic_load(&scene.shared->stop)) {
		use_pool(t);
		atomic_fetch_add(&scene.shared->rounds, 1);
	}
	return 0;
}

/* Somebody uses the pool while its words are overwritten; most are taken back. */
static int
write_at_work(struct mpt *t, void *arg)
{
	unsigned rounds_before;
	struct mpt_rand rand;
	int64_t until;
	int status;
	pid_t pid;

	let_workers_crash();
	mpt_rand_init(&rand, mpt_seed() + (uint64_t)(uintptr_t)arg);
	make_pool(t, (unsigned)(uintptr_t)arg);
	find_words(t);
	atomic_store(&scene.shared->go_on, true);
	pid = fork();
	mpt_check(t, pid >= 0);
	if (!pid)
		_exit(use_meanwhile(t));
	for (int i = 0; i < 30; i++) {
		struct word *word = &scene.word[mpt_rand_below(&rand, scene.n)];
		uint64_t old = read_word(word);

		rounds_before = atomic_load(&scene.shared->rounds);
		write_word(word, pool_value(word, (unsigned)
			   mpt_rand_below(&rand, POOL_VALUES), &rand));
		until = mproc_now() + 3000000;
		while (atomic_load(&scene.shared->rounds) == rounds_before &&
		       mproc_now() < until)
			usleep(100);
		if (mpt_rand_below(&rand, 8))
			write_word(word, old);
	}
	atomic_store(&scene.shared->stop, true);
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check_int(t, status, 0);
	end_pool(t);
	/* Several words at once may give back twice what is used since. */
	expect_all_well(t, true);
	return 0;
}

static void
words_are_overwritten_at_work(void **state)
{
	const unsigned tries = rounds(4, 16, 200);
	struct board *b = mpt_scratch(*state);
	int ids[AT_ONCE];
	unsigned n = 0;

	for (unsigned i = 0; i < tries; i++) {
		if (n == AT_ONCE)
			end_all(*state, ids, &n);
		ids[n++] = mpt_fork(*state, "scribbler", write_at_work,
				    (void *)(uintptr_t)i);
	}
	end_all(*state, ids, &n);
	assert_true(b->spoilt < tries);
	mpt_reap_orphans(*state);
}

/* A task and a map that would never end, in a pool whose limit for them nobody finds any
 * more but who has it in memory of his own. */
static int
forget_the_limit(struct mpt *t, void *unused)
{
	struct shared *shared = mproc_alloc(sizeof(*shared));
	struct mproc_task_error error;
	struct mpr_pool_use u;

	(void)unused;
	mpt_check(t, shared);
	*shared = (struct shared){ 0 };
	scene = (struct scene){ .shared = shared };
	mpt_check_int(t, mproc_pool_create(
		&scene.pool, MPROC_OPTS(mproc_pool_opts, .workers = 1,
					.task_timeout = mproc_ms(20))), 0);
	mpt_check_int(t, mpr_pool_look_up(scene.pool, &u), 0);
	atomic_store(&u.root->task_timeout, 0);
	for (int i = 0; i < 2; i++) {
		mproc_future *f = i ? map(t, linger_over) : submit(t, linger, 1);

		mpt_check_int(t, mproc_future_wait(f, mproc_sec(30)), 0);
		mpt_check_int(t, mproc_future_error(f, &error), 0);
		mpt_check_int(t, error.error, -ETIMEDOUT);
		mproc_future_close(f);
	}
	mproc_pool_free(scene.pool);
	return 0;
}

static void
a_limit_that_was_scribbled_is_one_still(void **state)
{
	mpt_expect_exit(*state, mpt_fork(*state, "user", forget_the_limit, NULL),
			0);
	mpt_reap_orphans(*state);
}

static int
setup(void **state)
{
	if (mpt_setup(state) < 0)
		return -1;
	mpt_watchdog(*state, rounds(100, 200, 3600));
	mpt_seed(); /* one for all roles */
	return 0;
}

static int
teardown(void **state)
{
	struct board *b = mpt_scratch(*state);

	for (int i = 0; i < 256; i++)
		if (b->returns[i])
			print_message("# %u calls: %s\n", b->returns[i],
				      mproc_strerror(-i));
	print_message("# %u pools took long to be freed\n", b->freed_late);
	print_message("# %u heaps were spoilt\n", b->spoilt);
	return mpt_teardown(state);
}

#define hostile_test(f) { #f, f, setup, teardown, (void *)(uintptr_t)#f }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		hostile_test(each_word_with_each_value),
		hostile_test(words_are_overwritten_at_work),
		hostile_test(a_limit_that_was_scribbled_is_one_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
