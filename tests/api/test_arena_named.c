/* SPDX-License-Identifier: MIT */
/*
 * arena.h: arenas with a name. The programs that meet in one are instances of
 * this program, started by exec, and have it at other addresses.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "named.h"

#define ROUNDS 2000

static char path[96];

static void
choose_path(void)
{
	choose_name("arena");
	snprintf(path, sizeof(path), "/dev/shm/%s", name);
}

static mproc_arena *
create(void)
{
	mproc_arena *a = create_arena("arena");

	choose_path();
	return a;
}

/* One process. */

static void
it_is_made_opened_closed_and_unlinked(void **state)
{
	mproc_arena *a = create(), *b = NULL;
	struct mproc_arena_stat stat;
	struct stat st;
	void *p;

	(void)state;
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, SIZE);
	assert_true(a != mproc_arena_default());

	/* The same one each time, with or without the slash. */
	assert_int_equal(mproc_arena_open(&b, name, MPROC_NOWAIT), 0);
	assert_ptr_equal(a, b);
	p = mproc_arena_alloc(a, 1000, 64);
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 64, 0);
	assert_true(mproc_is_shared(p));
	assert_int_equal(mproc_arena_stat(a, &stat), 0);
	assert_int_equal(stat.capacity, SIZE);
	assert_int_equal(stat.blocks, 1);
	assert_int_equal(stat.participants, 1);
	mproc_arena_close(b);
	memset(p, 1, 1000);
	mproc_free(p);
	mproc_arena_close(a);
	assert_false(mproc_is_shared(p));
	assert_int_equal(mproc_arena_unlink(name), 0);
	assert_int_equal(mproc_arena_unlink(name), -ENOENT);
	assert_int_equal(lstat(path, &st), -1);
}

static void
what_is_in_it_stays_until_it_is_unlinked(void **state)
{
	struct mproc_arena_stat stat;
	mproc_arena *a = create();
	mproc_lock *lock;
	void *found;
	int *p;

	(void)state;
	p = mproc_arena_alloc(a, sizeof(*p), 0);
	lock = mproc_arena_alloc(a, sizeof(*lock), 0);
	assert_true(p && lock);
	*p = 42;
	assert_int_equal(mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_arena_bind(a, "answer", p), 0);
	assert_int_equal(mproc_arena_bind(a, "lock", lock), 0);
	mproc_arena_close(a);

	assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_arena_stat(a, &stat), 0);
	assert_int_equal(stat.participants, 0);
	assert_int_equal(mproc_arena_find(a, "answer", &found, MPROC_NOWAIT),
			 0);
	assert_int_equal(*(int *)found, 42);
	/* Who closes it ends there as a thread ends. */
	assert_int_equal(mproc_arena_find(a, "lock", &found, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_lock_acquire(found, MPROC_NOWAIT),
			 MPROC_OWNER_DIED);
	remove_arena(a);
}

static void
bad_arguments_are_refused(void **state)
{
	mproc_arena *a = create(), *b = NULL;
	char longest[300];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[201] = '\0';
#define CREATE(...) mproc_arena_create(&b, MPROC_OPTS(mproc_arena_opts, \
						      __VA_ARGS__))
	assert_int_equal(mproc_arena_create(NULL, MPROC_OPTS(
		mproc_arena_opts, .name = "x")), -EINVAL);
	assert_int_equal(mproc_arena_create(&b, NULL), -EINVAL);
	assert_int_equal(CREATE(.name = ""), -EINVAL);
	assert_int_equal(CREATE(.name = "/"), -EINVAL);
	assert_int_equal(CREATE(.name = ".."), -EINVAL);
	assert_int_equal(CREATE(.name = "a/b"), -EINVAL);
	assert_int_equal(CREATE(.name = longest), -ENAMETOOLONG);
	assert_int_equal(CREATE(.name = "x", .capacity = MIB), -EINVAL);
	assert_int_equal(CREATE(.name = "x", .mode = 04600), -EINVAL);
	assert_int_equal(CREATE(.name = name, .capacity = SIZE), -EEXIST);
	assert_non_null(strstr(mproc_error_detail(), name));
	assert_int_equal(mproc_arena_open(NULL, name, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_arena_open(&b, NULL, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_arena_open(&b, "a/b", MPROC_NOWAIT), -EINVAL);
	assert_int_equal(mproc_arena_unlink(NULL), -EINVAL);
	assert_int_equal(mproc_arena_configure_default(MPROC_OPTS(
		mproc_arena_opts, .name = "x")), -EINVAL);
	assert_null(b);
	errno = 0;
	assert_null(mproc_arena_alloc(a, 1, (size_t)2 << 20));
	assert_int_equal(errno, EINVAL);
	assert_null(mproc_arena_alloc(a, 1, 24));
	assert_null(mproc_arena_alloc(a, 0, 0));
	assert_null(mproc_arena_alloc(a, SIZE, 0));
	assert_int_equal(errno, ENOMEM);
	/* Nothing happens. */
	mproc_arena_close(NULL);
	mproc_arena_close(mproc_arena_default());
	remove_arena(a);
	mproc_arena_close(a);
}

static void
what_is_no_arena_is_refused_and_left_alone(void **state)
{
	mproc_arena *a = NULL;
	char header[64], found[64];
	struct stat st;
	int fd;

	(void)state;
	choose_path();
	assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT), -ENOENT);
	assert_int_equal(symlink("/etc/hostname", path), 0);
	assert_int_equal(mproc_arena_open(&a, name, mproc_sec(9)), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT), -EISDIR);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
	assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT), -EINVAL);
	assert_int_equal(unlink(path), 0);

	fd = open(path, O_CREAT | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT), -EBADMSG);
	memset(header, 0xa5, sizeof(header));
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(fd, header, sizeof(header)),
				 sizeof(header));
	assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT), -EBADMSG);
	assert_int_equal(pread(fd, found, sizeof(found), 0), sizeof(found));
	assert_memory_equal(found, header, sizeof(header));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 6400);
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, 4321, 4321), 0);
		assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT),
				 -EPERM);
	}
	close(fd);
	assert_int_equal(unlink(path), 0);
}

/* Writes a word into the header of an arena that nobody has open. */
static void
patch(off_t at, uint32_t word)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &word, sizeof(word), at), sizeof(word));
	close(fd);
}

static void
other_versions_and_sizes_are_refused(void **state)
{
	mproc_arena *a;

	(void)state;
	mproc_arena_close(create());
	patch(8, 99);
	assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT),
			 -EPROTONOSUPPORT);
	assert_non_null(strstr(mproc_error_detail(), "99"));
	assert_int_equal(mproc_arena_unlink(name), 0);

	mproc_arena_close(create());
	patch(12, 99); /* built in another way */
	assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT),
			 -EPROTONOSUPPORT);
	assert_int_equal(mproc_arena_unlink(name), 0);

	mproc_arena_close(create());
	assert_int_equal(truncate(path, SIZE / 2), 0);
	assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT), -EBADMSG);
	assert_non_null(strstr(mproc_error_detail(), "16777216"));
	assert_int_equal(mproc_arena_unlink(name), 0);
}

static void
there_can_be_32_and_each_has_its_own_memory(void **state)
{
	mproc_arena *a[33] = { NULL };
	mproc_lock *lock[32];
	char names[33][80];

	(void)state;
	choose_path();
	for (int i = 0; i < 33; i++) {
		snprintf(names[i], sizeof(names[i]), "%s-%d", name, i);
		assert_int_equal(mproc_arena_create(&a[i], MPROC_OPTS(
			mproc_arena_opts, .name = names[i],
			.capacity = 16 * MIB)), i < 32 ? 0 : -EMFILE);
	}
	for (int i = 0; i < 32; i++) {
		lock[i] = mproc_arena_alloc(a[i], sizeof(*lock[i]), 0);
		assert_non_null(lock[i]);
		assert_int_equal(mproc_lock_acquire(lock[i], MPROC_NOWAIT), 0);
	}
	for (int i = 0; i < 32; i++) {
		assert_int_equal(mproc_lock_acquire(lock[i], MPROC_NOWAIT),
				 -EDEADLK);
		assert_int_equal(mproc_lock_release(lock[i]), 0);
		mproc_free(lock[i]);
		mproc_arena_close(a[i]);
		assert_int_equal(mproc_arena_unlink(names[i]), 0);
	}
	/* And their places are free again. */
	remove_arena(create());
}

/* Waiting for a name. */

static int
create_later(struct mpt *t, void *unused)
{
	mproc_arena *a = NULL;
	char buf[64];

	(void)unused;
	mpt_name(t, buf, "arena");
	mpt_step(t, 0);
	mpt_check_int(t, mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = buf, .capacity = SIZE)), 0);
	mpt_step(t, 2);
	mproc_arena_close(a);
	return 0;
}

static void
an_open_waits_for_the_arena_to_be_made(void **state)
{
	struct mpt *t = *state;
	mproc_arena *a = NULL;

	choose_path();
	assert_int_equal(mproc_arena_open(&a, name, mproc_ms(20)),
			 -ETIMEDOUT);
	mpt_spawn(t, "creator", create_later, NULL);
	mpt_reach(t, 1);
	assert_int_equal(mproc_arena_open(&a, name, mproc_sec(20)), 0);
	mpt_step(t, 1);
	mpt_join_all(t);
	remove_arena(a);
}

static void
interrupt(int sig)
{
	(void)sig;
	mproc_interrupt();
}

static void
an_open_can_be_interrupted(void **state)
{
	struct sigaction sa = { .sa_handler = interrupt };
	mproc_arena *a = NULL;

	(void)state;
	choose_path();
	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
	assert_int_equal(mproc_arena_open(&a, name, MPROC_FOREVER), -EINTR);
	assert_int_equal(mproc_arena_open(&a, name, mproc_ms(10)),
			 -ETIMEDOUT);
}

/* Names of objects. */

static void
objects_are_bound_and_found_by_name(void **state)
{
	mproc_arena *a = create();
	char text[60];
	void *p[300], *found;

	(void)state;
	for (int i = 0; i < 300; i++) {
		p[i] = mproc_arena_alloc(a, 64, 0);
		snprintf(text, sizeof(text), "object %d", i);
		assert_int_equal(mproc_arena_bind(a, text, p[i]), 0);
	}
	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "object %d", i);
		assert_int_equal(mproc_arena_find(a, text, &found,
						  MPROC_NOWAIT), 0);
		assert_ptr_equal(found, p[i]);
	}
	assert_int_equal(mproc_arena_bind(a, "object 7", p[8]), -EEXIST);
	assert_int_equal(mproc_arena_bind(a, "object 7", NULL), 0);
	assert_int_equal(mproc_arena_bind(a, "object 7", NULL), -ENOENT);
	assert_int_equal(mproc_arena_find(a, "object 7", &found, MPROC_NOWAIT),
			 -ENOENT);
	assert_int_equal(mproc_arena_bind(a, "object 7", p[8]), 0);
	assert_int_equal(mproc_arena_find(a, "object 7", &found, MPROC_NOWAIT),
			 0);
	assert_ptr_equal(found, p[8]);
	assert_int_equal(mproc_arena_find(a, "nothing", &found, mproc_ms(5)),
			 -ETIMEDOUT);
	assert_int_equal(mproc_arena_bind(a, "outside", text), -EINVAL);
	assert_int_equal(mproc_arena_bind(a, "", p[0]), -EINVAL);
	assert_int_equal(mproc_arena_bind(a, NULL, p[0]), -EINVAL);
	assert_int_equal(mproc_arena_find(a, "x", NULL, MPROC_NOWAIT), -EINVAL);
	memset(text, 'n', sizeof(text));
	text[56] = '\0';
	assert_int_equal(mproc_arena_bind(a, text, p[0]), -ENAMETOOLONG);
	text[55] = '\0';
	assert_int_equal(mproc_arena_bind(a, text, p[0]), 0);
	assert_int_equal(mproc_arena_find(a, text, &found, MPROC_NOWAIT), 0);
	remove_arena(a);
}

static int
bind_later(struct mpt *t, void *object)
{
	mpt_step(t, 0);
	mpt_check_int(t, mproc_arena_bind(NULL, "late", object), 0);
	return 0;
}

static void
a_find_waits_for_a_bind(void **state)
{
	struct mpt *t = *state;
	void *p = mproc_alloc(64), *found = NULL;

	mpt_spawn(t, "binder", bind_later, p);
	mpt_reach(t, 1);
	assert_int_equal(mproc_arena_find(NULL, "late", &found, mproc_sec(20)),
			 0);
	assert_ptr_equal(found, p);
	mpt_join_all(t);
	assert_int_equal(mproc_arena_bind(NULL, "late", NULL), 0);
	mproc_free(p);
}

/* Threads, and forked children. */

static void *
use_and_stay(void *arg)
{
	void **args = arg;
	mproc_semaphore *seen = args[1], *go_on = args[2];
	int *p = mproc_arena_alloc(args[0], sizeof(*p), 0);

	*p = 1;
	mproc_semaphore_release(seen);
	*p = mproc_semaphore_acquire(go_on, MPROC_FOREVER);
	mproc_free(p);
	return NULL;
}

static void
a_thread_that_uses_it_keeps_it_until_it_ends(void **state)
{
	mproc_semaphore seen = { { 0 } }, go_on = { { 0 } };
	mproc_arena *a = create();
	void *args[3] = { a, &seen, &go_on };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, use_and_stay, args), 0);
	assert_int_equal(mproc_semaphore_acquire(&seen, MPROC_FOREVER), 0);
	mproc_arena_close(a);
	assert_int_equal(mproc_semaphore_release(&go_on), 0);
	pthread_join(thread, NULL);
	assert_int_equal(mproc_arena_unlink(name), 0);
}

struct pair {
	mproc_lock lock;
	long sum;
};

static int
add(struct mpt *t, void *arg)
{
	struct pair *p = arg;

	for (int i = 0; i < ROUNDS; i++) {
		mpt_check(t, mproc_lock_acquire(&p->lock, MPROC_FOREVER) == 0);
		p->sum++;
		mpt_check(t, mproc_lock_release(&p->lock) == 0);
	}
	return 0;
}

static void
forked_children_and_threads_have_it_too(void **state)
{
	struct mpt *t = *state;
	mproc_arena *a = create();
	struct pair *p = mproc_arena_alloc(a, sizeof(*p), 0);

	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "child", add, p);
	mpt_join_all(t);
	mpt_use_threads(t, true);
	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "thread", add, p);
	mpt_join_all(t);
	assert_int_equal(p->sum, 6 * ROUNDS);
	remove_arena(a);
}

static int
hold(struct mpt *t, void *arg)
{
	struct pair *p = arg;

	mpt_check_int(t, mproc_lock_acquire(&p->lock, MPROC_FOREVER), 0);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
a_started_child_that_was_killed_is_recovered_from_at_once(void **state)
{
	struct mpt *t = *state;
	mproc_arena *a = create();
	struct pair *p = mproc_arena_alloc(a, sizeof(*p), 0);
	struct mproc_arena_stat stat;
	int id = mpt_spawn(t, "holder", hold, p);

	mpt_reach(t, 1);
	mpt_kill(t, id);
	assert_int_equal(mproc_lock_acquire(&p->lock, mproc_sec(20)),
			 MPROC_OWNER_DIED);
	assert_int_equal(mproc_arena_recover(a), 1);
	assert_int_equal(mproc_arena_stat(a, &stat), 0);
	assert_int_equal(stat.participants, 1);
	remove_arena(a);
}

static int
take_from_it(void *arg)
{
	int *p = mproc_arena_alloc(arg, 2 * MIB, 0);

	if (!p)
		return 1;
	*p = 5;
	mproc_free(p);
	return 0;
}

static void
a_child_that_keeps_no_descriptors_can_use_it(void **state)
{
	mproc_arena *a = create();
	mproc_process *p;
	int code;

	(void)state;
	assert_int_equal(mproc_process_start(&p, take_from_it, a, MPROC_OPTS(
		mproc_process_opts, .n_keep_fds = -1,
		.method = MPROC_FORK)), 0);
	assert_int_equal(mproc_process_join(p, mproc_sec(20)), 0);
	assert_int_equal(mproc_process_exitcode(p, &code), 0);
	assert_int_equal(code, 0);
	mproc_process_close(p);
	remove_arena(a);
}

/* Programs that are not of one family. */

struct board {
	mproc_lock lock;
	mproc_rlock rlock;
	mproc_rwlock rwlock;
	mproc_semaphore ping, pong;
	mproc_condition changed;
	mproc_event go;
	mproc_barrier barrier;
	mproc_once once;
	long sum, written; /* under lock and rwlock */
	int turn;
	_Atomic int runs;
};

static int
count_run(void *arg)
{
	struct board *b = arg;

	atomic_fetch_add(&b->runs, 1);
	return 0;
}

/* What both programs do, one as 0 and one as 1. */
static void
play(struct board *b, int me)
{
	mproc_semaphore *mine = me ? &b->ping : &b->pong;
	mproc_semaphore *theirs = me ? &b->pong : &b->ping;

	EXPECT(mproc_event_wait(&b->go, mproc_sec(30)) == 0);
	EXPECT(mproc_once_run(&b->once, count_run, b) == 0);
	EXPECT(mproc_barrier_wait(&b->barrier, mproc_sec(30)) >= 0);
	for (int i = 0; i < ROUNDS; i++) {
		EXPECT(mproc_lock_acquire(&b->lock, mproc_sec(30)) == 0);
		b->sum++;
		EXPECT(mproc_lock_release(&b->lock) == 0);
		EXPECT(mproc_rwlock_write(&b->rwlock, mproc_sec(30)) == 0);
		b->written++;
		EXPECT(mproc_rwlock_release(&b->rwlock) == 0);
		EXPECT(mproc_rwlock_read(&b->rwlock, mproc_sec(30)) == 0);
		EXPECT(mproc_rwlock_release(&b->rwlock) == 0);
	}
	for (int i = 0; i < ROUNDS / 10; i++) {
		EXPECT(mproc_lock_acquire(&b->lock, mproc_sec(30)) == 0);
		while (b->turn != me)
			EXPECT(mproc_condition_wait(&b->changed, &b->lock,
						    mproc_sec(30)) == 0);
		b->turn = !me;
		EXPECT(mproc_condition_notify_all(&b->changed) >= 0);
		EXPECT(mproc_lock_release(&b->lock) == 0);
		EXPECT(mproc_semaphore_release(theirs) == 0);
		EXPECT(mproc_semaphore_acquire(mine, mproc_sec(30)) == 0);
	}
	EXPECT(mproc_rlock_acquire(&b->rlock, mproc_sec(30)) == 0);
	EXPECT(mproc_rlock_acquire(&b->rlock, MPROC_NOWAIT) == 0);
	EXPECT(mproc_rlock_release(&b->rlock) == 0);
	EXPECT(mproc_rlock_release(&b->rlock) == 0);
	EXPECT(mproc_barrier_wait(&b->barrier, mproc_sec(30)) >= 0);
}

struct message {
	int number;
	char text[60];
};

static void
talk(mproc_queue *from, mproc_queue *to, int number)
{
	struct message m = { .number = number };
	size_t len;

	snprintf(m.text, sizeof(m.text), "message %d", number);
	EXPECT(mproc_queue_put(to, &m, sizeof(m), mproc_sec(30)) == 0);
	EXPECT(mproc_queue_get(from, &m, sizeof(m), &len, mproc_sec(30)) == 0);
	EXPECT(len == sizeof(m) && m.number == number);
}

/* This program as the other one: what it is to do, the arena's name, and where
 * the arena lies elsewhere. */
static int
be_the_other(char **argv)
{
	mproc_queue *there, *back;
	struct board *b;
	mproc_arena *a;

	a = open_as_instance(argv);
	b = find(a, "board");
	there = find(a, "there");
	back = find(a, "back");
	if (strcmp(argv[1], "play") == 0) {
		play(b, 1);
		for (int i = 0; i < 100; i++)
			talk(there, back, i);
	}
	if (strcmp(argv[1], "talk") == 0)
		talk(there, back, 5);
	if (strcmp(argv[1], "hold") == 0) {
		struct message m = { .number = 77 };

		EXPECT(mproc_lock_acquire(&b->lock, mproc_sec(30)) == 0);
		EXPECT(mproc_queue_put(back, &m, sizeof(m), mproc_sec(30)) ==
		       0);
		for (;;)
			pause();
	}
	mproc_arena_close(a);
	return 0;
}

static void
programs_meet_in_it(void **state)
{
	struct mpt *t = *state;
	mproc_arena *a = create();
	struct board *b = mproc_arena_alloc(a, sizeof(*b), 0);
	struct instance play_it = { "play", b }, hold_it = { "hold", b };
	struct instance talk_to = { "talk", b };
	mproc_queue *there, *back;
	struct mproc_owner owner;
	struct message m;
	size_t len;
	pid_t pid;
	int id;

	mpt_watchdog(t, 60);
	assert_non_null(b);
	assert_int_equal(mproc_barrier_init(&b->barrier, 2), 0);
	assert_int_equal(mproc_queue_create(&there, MPROC_OPTS(
		mproc_queue_opts, .arena = a)), 0);
	assert_int_equal(mproc_queue_create(&back, MPROC_OPTS(
		mproc_queue_opts, .arena = a, .single_consumer = true)), 0);
	id = mpt_spawn(t, "other", execute, &play_it);
	assert_int_equal(mproc_arena_bind(a, "board", b), 0);
	assert_int_equal(mproc_arena_bind(a, "there", there), 0);
	assert_int_equal(mproc_arena_bind(a, "back", back), 0);
	assert_int_equal(mproc_event_set(&b->go), 0);
	play(b, 0);
	assert_int_equal(b->sum, 2 * ROUNDS);
	assert_int_equal(b->written, 2 * ROUNDS);
	assert_int_equal(b->runs, 1);
	for (int i = 0; i < 100; i++)
		talk(back, there, i);
	mpt_expect_exit(t, id, 0);

	/* Another one is killed while it has the lock; a third takes its
	 * place. */
	id = mpt_spawn(t, "holder", execute, &hold_it);
	assert_int_equal(mproc_queue_get(back, &m, sizeof(m), &len,
					 mproc_sec(30)), 0);
	assert_int_equal(m.number, 77);
	pid = mpt_pid(t, id);
	assert_int_equal(mproc_lock_owner(&b->lock, &owner), 0);
	assert_int_equal(owner.pid, pid);
	mpt_kill(t, id);
	assert_int_equal(mproc_lock_acquire(&b->lock, mproc_sec(30)),
			 MPROC_OWNER_DIED);
	assert_int_equal(mproc_lock_owner(&b->lock, &owner), 0);
	assert_int_equal(owner.died_pid, pid);
	assert_int_equal(mproc_lock_consistent(&b->lock), 0);
	assert_int_equal(mproc_lock_release(&b->lock), 0);
	id = mpt_spawn(t, "third", execute, &talk_to);
	talk(back, there, 5);
	mpt_expect_exit(t, id, 0);

	assert_int_equal(mproc_queue_fd(there), -ENOTSUP);
	mproc_queue_destroy(there);
	mproc_queue_destroy(back);
	remove_arena(a);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_is_made_opened_closed_and_unlinked),
		mpt_test(what_is_in_it_stays_until_it_is_unlinked),
		mpt_test(bad_arguments_are_refused),
		mpt_test(what_is_no_arena_is_refused_and_left_alone),
		mpt_test(other_versions_and_sizes_are_refused),
		mpt_test(there_can_be_32_and_each_has_its_own_memory),
		mpt_test(an_open_waits_for_the_arena_to_be_made),
		mpt_test(an_open_can_be_interrupted),
		mpt_test(objects_are_bound_and_found_by_name),
		mpt_test(a_find_waits_for_a_bind),
		mpt_test(a_thread_that_uses_it_keeps_it_until_it_ends),
		mpt_test(forked_children_and_threads_have_it_too),
		mpt_test(a_started_child_that_was_killed_is_recovered_from_at_once),
		mpt_test(a_child_that_keeps_no_descriptors_can_use_it),
		mpt_test(programs_meet_in_it),
	};

	if (argc == 4)
		return be_the_other(argv);
	/* So that no test makes it. */
	mproc_arena_default();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
