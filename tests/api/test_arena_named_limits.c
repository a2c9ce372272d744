/* SPDX-License-Identifier: MIT */
/*
 * Named arenas where there is not enough of something: errors that say so, no signal,
 * and neither a name nor a descriptor is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"
#include "mpt_mount.h"

#define MIB ((size_t)1 << 20)
#define SIZE (32 * MIB)
#define PIECE 100000
#define PIECES 1000

/* Of this process; its own part of /dev/shm. */
static char name[64], path[96];

static void
choose_name(void)
{
	/* As mpt_name() has it, without the slash. */
	snprintf(name, sizeof(name), "mpt-%d-limit", (int)getpid());
	snprintf(path, sizeof(path), "/dev/shm/%s", name);
}

/* There is none, and nothing of one. */
static void
expect_none(struct mpt *t, int error, bool prefault)
{
	mproc_arena *a = NULL;
	int fds = mpt_fd_count();

	mpt_check_int(t, mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = name, .capacity = SIZE,
		.prefault = prefault)), error);
	mpt_check(t, !a && access(path, F_OK) < 0);
	mpt_check_int(t, mpt_fd_count(), fds);
}

static mproc_arena *
make_one(struct mpt *t)
{
	mproc_arena *a = NULL;

	mpt_check_int(t, mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = name, .capacity = SIZE)), 0);
	return a;
}

/* Uses up all there is. Returns how many pieces it was. */
static int
use_all(struct mpt *t, mproc_arena *a)
{
	static void *pieces[PIECES];
	int n = 0;

	while (n < PIECES && (pieces[n] = mproc_arena_alloc(a, PIECE, 0)))
		memset(pieces[n++], 0xaa, PIECE);
	mpt_check_int(t, errno, ENOSPC);
	mpt_check(t, detail_has(" left"));
	for (int i = 0; i < n; i++)
		mproc_free(pieces[i]);
	return n;
}

static int
use_a_small_file_system(struct mpt *t, void *arg)
{
	static const char rest[65536];
	mproc_arena *a;
	int n, fd;

	(void)arg;
	choose_name();
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/dev/shm", "size=8m");
	expect_none(t, -ENOSPC, true);
	mpt_check(t, detail_has("33554432"));
	a = make_one(t);
	n = use_all(t, a);
	mpt_check(t, n > 60 && n < 84);
	mpt_check_int(t, use_all(t, a), n);
	mproc_arena_close(a);
	mpt_check_int(t, mproc_arena_unlink(name), 0);

	/* Others have all of it. */
	fd = open("/dev/shm/rest", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	mpt_check(t, fd >= 0);
	while (write(fd, rest, sizeof(rest)) > 0)
		;
	mpt_check_int(t, errno, ENOSPC);
	expect_none(t, -ENOSPC, false);
	mpt_check(t, detail_has(" left"));
	close(fd);
	return 0;
}

static void
a_full_dev_shm_is_an_error_and_no_signal(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "poor", use_a_small_file_system, NULL),
			0);
}

static int
use_a_read_only_one(struct mpt *t, void *arg)
{
	mproc_arena *a = NULL;
	int r;

	(void)arg;
	choose_name();
	mpt_mount_private(t);
	mpt_mount_read_only(t, "/dev/shm");
	r = mproc_arena_create(&a, MPROC_OPTS(mproc_arena_opts, .name = name,
					      .capacity = SIZE));
	mpt_check(t, r == -EROFS || r == -EACCES);
	mpt_check(t, !a && detail_has("/dev/shm"));
	return 0;
}

static void
a_read_only_dev_shm_is_an_error(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "reader", use_a_read_only_one, NULL),
			0);
}

/* Bytes of address space that are in use. */
static rlim_t
address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * 4096;
}

static void
limit(struct mpt *t, int resource, rlim_t to)
{
	struct rlimit l;

	mpt_check_int(t, getrlimit(resource, &l), 0);
	l.rlim_cur = to == RLIM_INFINITY ? l.rlim_max : to;
	mpt_check_int(t, setrlimit(resource, &l), 0);
}

/* Opens what another one has made. */
static int
open_within_limits(struct mpt *t, void *arg)
{
	const char *its_name = arg;
	mproc_arena *a = NULL;
	int fds = mpt_fd_count();

	limit(t, RLIMIT_AS, address_space() + 4 * MIB);
	mpt_check_int(t, mproc_arena_open(&a, its_name, MPROC_NOWAIT), -ENOMEM);
	limit(t, RLIMIT_AS, RLIM_INFINITY);
	mpt_check_int(t, mpt_fd_count(), fds);
	limit(t, RLIMIT_NOFILE, 0);
	mpt_check_int(t, mproc_arena_open(&a, its_name, MPROC_NOWAIT), -EMFILE);
	limit(t, RLIMIT_NOFILE, RLIM_INFINITY);
	mpt_check(t, !a);
	mpt_check_int(t, mpt_fd_count(), fds);
	mpt_check_int(t, mproc_arena_open(&a, its_name, MPROC_NOWAIT), 0);
	mproc_free(mproc_arena_alloc(a, PIECE, 0));
	mproc_arena_close(a);
	return 0;
}

static int
run_into_limits(struct mpt *t, void *arg)
{
	char *its_name = mpt_scratch(t);
	mproc_arena *a;

	(void)arg;
	choose_name();
	limit(t, RLIMIT_AS, address_space() + 4 * MIB);
	expect_none(t, -ENOMEM, false);
	mpt_check(t, detail_has("33554432"));
	limit(t, RLIMIT_AS, RLIM_INFINITY);
	limit(t, RLIMIT_FSIZE, SIZE - 1);
	expect_none(t, -EFBIG, false);
	mpt_check(t, detail_has("RLIMIT_FSIZE") && detail_has("33554432"));
	limit(t, RLIMIT_FSIZE, RLIM_INFINITY);
	limit(t, RLIMIT_NOFILE, 0);
	mpt_check_int(t, mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = name, .capacity = SIZE)), -EMFILE);
	limit(t, RLIMIT_NOFILE, RLIM_INFINITY);
	a = make_one(t);
	strcpy(its_name, name);
	mpt_step(t, 0);
	mpt_reach(t, 2);
	mproc_arena_close(a);
	mpt_check_int(t, mproc_arena_unlink(name), 0);
	return 0;
}

static void
limits_are_errors_and_no_signals(void **state)
{
	struct mpt *t = *state;
	int maker = mpt_spawn(t, "maker", run_into_limits, NULL);

	mpt_reach(t, 1);
	mpt_expect_exit(t, mpt_spawn(t, "opener", open_within_limits,
				     mpt_scratch(t)), 0);
	mpt_step(t, 1);
	mpt_expect_exit(t, maker, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_full_dev_shm_is_an_error_and_no_signal),
		mpt_test(a_read_only_dev_shm_is_an_error),
		mpt_test(limits_are_errors_and_no_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
