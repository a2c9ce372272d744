/* SPDX-License-Identifier: MIT */
/*
 * What the first call costs: making the default arena in a fresh process, and
 * joining one that exists as a fresh thread or process; against the bare
 * system calls that any such thing needs.
 *
 * Usage: bench_arena [rounds]
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mproc/mproc.h>

#include "bench.h"

#define ROUNDS 9
#define TIMES 200 /* in a round; at most as many as there are slots */
#define PAGE 4096
#define SPACE ((size_t)64 << 30)

/* What a fresh process or thread does; returns the nanoseconds it took. */
typedef int64_t body(void);

static int64_t
do_nothing(void)
{
	return 0;
}

static void
check_block(const unsigned char *block)
{
	if (!block || !mproc_is_shared(block) || block[0] || block[63])
		bench_die(mproc_error_detail());
}

static int64_t
make_arena(void)
{
	int64_t start = mproc_now(), end;
	const mproc_arena *a = mproc_arena_default();

	end = mproc_now();
	if (!a)
		bench_die(mproc_error_detail());
	check_block(mproc_alloc(64));
	return end - start;
}

static int64_t
make_mapping(void)
{
	int64_t start = mproc_now(), end;
	int fd = memfd_create("bench", MFD_CLOEXEC);
	unsigned char *p;

	if (fd < 0 || ftruncate(fd, (off_t)SPACE) < 0)
		bench_die("memfd_create and ftruncate");
	p = mmap(NULL, SPACE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || fallocate(fd, 0, 0, PAGE) < 0)
		bench_die("mmap and fallocate");
	end = mproc_now();
	p[PAGE - 1] = 1;
	if (pread(fd, p, 1, PAGE - 1) != 1 || p[0] != 1)
		bench_die("the mapping is not the file's");
	return end - start;
}

/* The first block costs the registration, the second does not. */
static int64_t
join_arena(void)
{
	int64_t start = mproc_now(), first, second;
	void *a, *b;

	a = mproc_alloc(64);
	first = mproc_now();
	b = mproc_alloc(64);
	second = mproc_now();
	check_block(a);
	check_block(b);
	mproc_free(a);
	mproc_free(b);
	return (first - start) - (second - first);
}

/* The bare locks that prove a death: one in shared memory, one on a file. */
static pthread_mutex_t *mutexes;
static int lock_file;
static int number; /* of the present one in its round */

static int64_t
take_locks(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
			      .l_start = number, .l_len = 1 };
	pthread_mutex_t *mutex = &mutexes[number];
	int64_t start = mproc_now(), end;
	pthread_mutexattr_t attr;
	int r;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(mutex, &attr);
	r = pthread_mutex_lock(mutex);
	if (fcntl(lock_file, F_SETLK, &lock) < 0)
		bench_die("F_SETLK");
	end = mproc_now();
	if (r || pthread_mutex_trylock(mutex) != EBUSY)
		bench_die("the mutex is not locked");
	lock.l_type = F_UNLCK;
	fcntl(lock_file, F_SETLK, &lock);
	pthread_mutex_unlock(mutex);
	return end - start;
}

/* A word to the process that forked. */
static int64_t *answer;

static int64_t
in_a_process(body *fn)
{
	int status;
	pid_t pid;

	*answer = INT64_MIN;
	pid = fork();
	if (pid == 0) {
		*answer = fn();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status ||
	    *answer == INT64_MIN)
		bench_die("a process failed");
	return *answer;
}

static void *
run_thread(void *arg)
{
	*answer = (*(body **)arg)();
	return NULL;
}

static int64_t
in_a_thread(body *fn)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run_thread, &fn) ||
	    pthread_join(thread, NULL))
		bench_die("a thread failed");
	return *answer;
}

/* Nanoseconds of one: what it measured itself, and its whole life. */
struct cost {
	double inside;
	double life;
};

static struct cost
cost_of(int64_t (*in)(body *), body *fn)
{
	int64_t inside = 0, start = mproc_now();

	for (number = 0; number < TIMES; number++)
		inside += in(fn);
	return (struct cost){
		.inside = (double)inside / TIMES,
		.life = (double)(mproc_now() - start) / TIMES,
	};
}

static void
show(const char *what, const char *const names[2], double *const us[2],
     int rounds)
{
	bench_table("us", "arena: %s", what);
	bench_show(names, us, 2, rounds, 2);
}

static void
compare_first_use(int rounds)
{
	static const char *const names[2] = { "mproc_arena_default",
					      "bare system calls" };
	double **us = bench_columns(2, rounds);

	for (int i = 0; i < rounds; i++) {
		us[1][i] = cost_of(in_a_process, make_mapping).inside / 1000;
		us[0][i] = cost_of(in_a_process, make_arena).inside / 1000;
	}
	show("first use, by fresh processes", names, us, rounds);
	bench_free_columns(us, 2);
}

static uint64_t
participants(void)
{
	struct mproc_arena_stat stat;

	if (mproc_arena_recover(NULL) < 0 || mproc_arena_stat(NULL, &stat) < 0)
		bench_die(mproc_error_detail());
	return stat.participants;
}

/* The first mproc_alloc() less the second; then whole lives less one without. */
static void
compare_registration(const char *whose, int64_t (*in)(body *), int rounds)
{
	static const char *const names[2] = { "libmproc", "mutex and byte lock" };
	double **us = bench_columns(2, rounds), **life = bench_columns(2, rounds);
	uint64_t before = participants();
	struct cost cost, bare;
	char what[64];

	for (int i = 0; i < rounds; i++) {
		bare = cost_of(in, do_nothing);
		cost = cost_of(in, take_locks);
		us[1][i] = cost.inside / 1000;
		life[1][i] = (cost.life - bare.life) / 1000;
		cost = cost_of(in, join_arena);
		us[0][i] = cost.inside / 1000;
		life[0][i] = (cost.life - bare.life) / 1000;
		if (participants() != before)
			bench_die("a participant is left");
	}
	snprintf(what, sizeof(what), "registration of fresh %s", whose);
	show(what, names, us, rounds);
	snprintf(what, sizeof(what), "life of fresh %s with it, less without",
		 whose);
	show(what, names, life, rounds);
	bench_free_columns(us, 2);
	bench_free_columns(life, 2);
}

static void *
share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		bench_die("mmap");
	return p;
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;

	answer = share(PAGE);
	/* Before this process has an arena itself. */
	compare_first_use(rounds);

	mutexes = share(TIMES * sizeof(*mutexes));
	lock_file = memfd_create("bench-locks", MFD_CLOEXEC);
	if (lock_file < 0 || !mproc_alloc(64))
		bench_die(mproc_error_detail());
	compare_registration("threads", in_a_thread, rounds);
	compare_registration("processes", in_a_process, rounds);
	return 0;
}
