/* SPDX-License-Identifier: MIT */
/*
 * shm.h: plain segments, between processes that know nothing but the name.
 */
#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common.h"
#include "mpt_mount.h"

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

/* Of this test, as Python writes it, with the slash, and where it lies. */
static char slash_name[64], path[96];
static const char *const name = slash_name + 1;

static void
choose_name(struct mpt *t)
{
	mpt_name(t, slash_name, "shm");
	snprintf(path, sizeof(path), "/dev/shm%s", slash_name);
}

static mproc_shm *
create(struct mpt *t, size_t size)
{
	mproc_shm *s = NULL;

	choose_name(t);
	assert_int_equal(mproc_shm_create(&s, name, size, NULL), 0);
	assert_non_null(s);
	return s;
}

static mproc_shm *
open_it(void)
{
	mproc_shm *s = NULL;

	assert_int_equal(mproc_shm_open(&s, name), 0);
	assert_non_null(s);
	return s;
}

static void
end(mproc_shm *s)
{
	mproc_shm_close(s);
	assert_int_equal(mproc_shm_unlink(name), 0);
}

static bool
is_filled(const mproc_shm *s, unsigned char with)
{
	/* The handle is not changed by asking. */
	mproc_shm *h = (mproc_shm *)(uintptr_t)s;
	const unsigned char *p = mproc_shm_ptr(h);
	size_t size = mproc_shm_size(h);

	return p[0] == with && memcmp(p, p + 1, size - 1) == 0;
}

static struct stat
stat_of(const char *file)
{
	struct stat st;

	assert_int_equal(lstat(file, &st), 0);
	return st;
}

static void
it_is_made_opened_closed_and_unlinked(void **state)
{
	static const size_t sizes[] = { 1, 7, 4095, 4096, 4097, 100000,
					3 << 20 };
	unsigned fds = mpt_fd_count();
	mproc_shm *s, *again;
	struct stat st;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		s = create(*state, sizes[i]);
		assert_int_equal(mpt_fd_count(), fds);
		assert_int_equal(mproc_shm_size(s), sizes[i]);
		assert_string_equal(mproc_shm_name(s), name);
		assert_int_equal((uintptr_t)mproc_shm_ptr(s) % PAGE, 0);
		assert_false(mproc_is_shared(mproc_shm_ptr(s)));
		st = stat_of(path);
		assert_int_equal(st.st_mode, S_IFREG | 0600);
		assert_int_equal(st.st_size, sizes[i]);
		/* All of it is there before anybody has touched it. */
		assert_true((size_t)st.st_blocks * 512 >= sizes[i]);
		assert_true(is_filled(s, 0));

		/* Another mapping of the same, with or without the slash. */
		again = open_it();
		assert_ptr_not_equal(mproc_shm_ptr(s), mproc_shm_ptr(again));
		assert_int_equal(mproc_shm_size(again), sizes[i]);
		memset(mproc_shm_ptr(s), 1, sizes[i]);
		assert_true(is_filled(again, 1));
		mproc_shm_close(s);
		assert_int_equal(mproc_shm_open(&s, slash_name), 0);
		assert_string_equal(mproc_shm_name(s), name);
		memset(mproc_shm_ptr(s), 2, sizes[i]);
		assert_true(is_filled(again, 2));

		/* Without a name it is used on. */
		assert_int_equal(mproc_shm_unlink(slash_name), 0);
		assert_int_equal(mproc_shm_unlink(name), -ENOENT);
		assert_int_equal(access(path, F_OK), -1);
		memset(mproc_shm_ptr(again), 3, sizes[i]);
		assert_true(is_filled(s, 3));
		mproc_shm_close(s);
		mproc_shm_close(again);
		assert_int_equal(mpt_fd_count(), fds);
	}
	mproc_shm_close(NULL);
}

static void
memory_goes_to_the_end_of_the_last_page(void **state)
{
	mproc_shm *s = create(*state, PAGE + 1);
	unsigned char *p = mproc_shm_ptr(s);

	p[2 * PAGE - 1] = 5;
	assert_int_equal(p[2 * PAGE - 1], 5);
	end(s);
}

/* Pages of address space that this process has. */
static unsigned long
address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages;
}

static void
closing_gives_all_of_the_mapping_back(void **state)
{
	unsigned long before = address_space();
	mproc_shm *s;

	for (int i = 0; i < 500; i++) {
		s = create(*state, 1);
		mproc_shm_close(open_it());
		end(s);
	}
	assert_true(address_space() < before + 400);
}

static void
without_a_name_it_gets_one_like_pythons(void **state)
{
	mproc_shm *s[50];
	const char *chosen;

	(void)state;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(mproc_shm_create(&s[i], NULL, 10, NULL), 0);
		chosen = mproc_shm_name(s[i]);
		assert_int_equal(strlen(chosen), 12);
		assert_int_equal(strncmp(chosen, "psm_", 4), 0);
		for (int j = 4; j < 12; j++)
			assert_true(isxdigit((unsigned char)chosen[j]));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(chosen, mproc_shm_name(s[j]));
		snprintf(path, sizeof(path), "/dev/shm/%s", chosen);
		assert_int_equal(stat_of(path).st_size, 10);
	}
	for (int i = 0; i < 50; i++) {
		assert_int_equal(mproc_shm_unlink(mproc_shm_name(s[i])), 0);
		mproc_shm_close(s[i]);
	}
}

static void
the_mode_is_what_was_asked_for(void **state)
{
	mode_t before = umask(077);
	mproc_shm *s = NULL;

	choose_name(*state);
	assert_int_equal(mproc_shm_create(&s, name, 1, MPROC_OPTS(
		mproc_shm_opts, .mode = 0664)), 0);
	umask(before);
	assert_int_equal(stat_of(path).st_mode & 07777, 0664);
	end(s);
}

static void
bad_arguments_are_refused(void **state)
{
	struct mproc_shm_opts none = { 0 };
	struct {
		struct mproc_shm_opts known;
		int unknown;
	} newer = { { .struct_size = sizeof(newer) }, 1 };
	mproc_shm *s = create(*state, 1), *none_made = NULL;
	char longest[300];

	memset(longest, 'x', sizeof(longest));
	longest[201] = '\0';
#define CREATE(n, size) mproc_shm_create(&none_made, n, size, NULL)
	assert_int_equal(mproc_shm_create(NULL, "x", 1, NULL), -EINVAL);
	assert_int_equal(CREATE("x", 0), -EINVAL);
	assert_int_equal(CREATE(NULL, 0), -EINVAL);
	assert_int_equal(CREATE("", 1), -EINVAL);
	assert_int_equal(CREATE("/", 1), -EINVAL);
	assert_int_equal(CREATE("..", 1), -EINVAL);
	assert_int_equal(CREATE("a/b", 1), -EINVAL);
	assert_int_equal(CREATE("//a", 1), -EINVAL);
	assert_int_equal(CREATE(longest, 1), -ENAMETOOLONG);
	assert_int_equal(CREATE(NULL, SIZE_MAX), -EFBIG);
	assert_int_equal(CREATE(NULL, (size_t)1 << 60), -ENOMEM);
	assert_true(detail_has("1152921504606846976 bytes"));
	assert_int_equal(mproc_shm_create(&none_made, NULL, 1, MPROC_OPTS(
		mproc_shm_opts, .mode = 0700)), -EINVAL);
	assert_int_equal(mproc_shm_create(&none_made, NULL, 1, &none),
			 -EINVAL);
	assert_int_equal(mproc_shm_create(&none_made, NULL, 1, &newer.known),
			 -E2BIG);
	/* It is said at once, whether there would be memory or not. */
	assert_int_equal(CREATE(name, 1), -EEXIST);
	assert_int_equal(CREATE(slash_name, (size_t)1 << 60), -EEXIST);
	assert_true(detail_has(name));
	assert_int_equal(mproc_shm_open(NULL, name), -EINVAL);
	assert_int_equal(mproc_shm_open(&none_made, NULL), -EINVAL);
	assert_int_equal(mproc_shm_open(&none_made, "a/b"), -EINVAL);
	assert_int_equal(mproc_shm_open(&none_made, longest), -ENAMETOOLONG);
	assert_int_equal(mproc_shm_unlink(NULL), -EINVAL);
	assert_int_equal(mproc_shm_unlink(".."), -EINVAL);
	assert_int_equal(mproc_shm_unlink(longest), -ENAMETOOLONG);
	assert_null(none_made);

	longest[200] = '\0';
	assert_int_equal(CREATE(longest, 1), 0);
	assert_string_equal(mproc_shm_name(none_made), longest);
	assert_int_equal(mproc_shm_unlink(longest), 0);
	mproc_shm_close(none_made);
	end(s);
}

static void
what_is_no_segment_is_refused_and_left_alone(void **state)
{
	mproc_shm *s = NULL;
	int fd;

	choose_name(*state);
	assert_int_equal(mproc_shm_open(&s, name), -ENOENT);
	assert_int_equal(symlink("/etc/hostname", path), 0);
	assert_int_equal(mproc_shm_open(&s, name), -ELOOP);
	assert_int_equal(mproc_shm_create(&s, name, 1, NULL), -EEXIST);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/shm/nothing-is-there", path), 0);
	assert_int_equal(mproc_shm_create(&s, name, 1, NULL), -EEXIST);
	assert_int_equal(access("/dev/shm/nothing-is-there", F_OK), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(mproc_shm_open(&s, name), -EISDIR);
	assert_int_equal(mproc_shm_unlink(name), -EISDIR);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(mproc_shm_open(&s, name), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
	assert_int_equal(mproc_shm_open(&s, name), -EINVAL);
	assert_int_equal(unlink(path), 0);

	/* As Python leaves it for a moment. */
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(mproc_shm_open(&s, name), -EAGAIN);
	assert_int_equal(stat_of(path).st_size, 0);
	assert_int_equal(ftruncate(fd, 10), 0);
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, 4321, 4321), 0);
		assert_int_equal(mproc_shm_open(&s, name), -EPERM);
		assert_true(detail_has("4321"));
		assert_int_equal(fchown(fd, 0, 0), 0);
	}
	assert_null(s);
	s = open_it();
	assert_int_equal(mproc_shm_size(s), 10);
	close(fd);
	end(s);
}

/* Somebody else has bytes of the file locked. */
static int
see_locks(struct mpt *t, void *arg)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd;

	(void)arg;
	choose_name(t);
	fd = open(path, O_RDWR | O_CLOEXEC);
	mpt_check(t, fd >= 0);
	mpt_check_int(t, fcntl(fd, F_GETLK, &lock), 0);
	mpt_check_int(t, lock.l_type, F_WRLCK);
	close(fd);
	return 0;
}

/* Its pages are not for others, and its byte locks must outlast the attempt. */
static void
a_named_arena_is_refused(void **state)
{
	unsigned fds = mpt_fd_count();
	struct mproc_arena_stat stat;
	struct mpt *t = *state;
	mproc_shm *s = NULL;
	mproc_arena *a;

	choose_name(t);
	assert_int_equal(mproc_arena_create(&a, MPROC_OPTS(
		mproc_arena_opts, .name = name, .capacity = 64 * MIB)), 0);
	assert_int_equal(mproc_shm_open(&s, name), -EINVAL);
	assert_true(detail_has("arena"));
	assert_int_equal(mpt_fd_count(), fds + 1);
	/* A participant has its byte locked. */
	assert_non_null(mproc_arena_alloc(a, 64, 0));
	mpt_expect_exit(t, mpt_spawn(t, "before", see_locks, NULL), 0);
	assert_int_equal(mproc_shm_open(&s, slash_name), -EINVAL);
	mpt_expect_exit(t, mpt_spawn(t, "after", see_locks, NULL), 0);
	mproc_arena_close(a);
	assert_int_equal(mproc_shm_open(&s, name), -EINVAL);
	assert_true(detail_has("arena"));
	assert_int_equal(mpt_fd_count(), fds);
	assert_int_equal(mproc_arena_open(&a, name, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_arena_stat(a, &stat), 0);
	assert_true(stat.backed < 32 * MIB);
	mproc_arena_close(a);
	assert_int_equal(mproc_arena_unlink(name), 0);
	assert_null(s);
}

static void
what_others_left_sparse_is_allocated_when_it_is_opened(void **state)
{
	size_t size = 5 * MIB + 10;
	mproc_shm *s;
	int fd;

	choose_name(*state);
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, "x", 1, (off_t)MIB), 1);
	close(fd);
	assert_true((size_t)stat_of(path).st_blocks * 512 < size);
	s = open_it();
	assert_int_equal(mproc_shm_size(s), size);
	assert_int_equal(stat_of(path).st_size, size);
	assert_true((size_t)stat_of(path).st_blocks * 512 >= size);
	assert_int_equal(((char *)mproc_shm_ptr(s))[MIB], 'x');
	assert_int_equal(((char *)mproc_shm_ptr(s))[size - 1], 0);
	end(s);
}

/* Limits. */

static int
use_a_small_file_system(struct mpt *t, void *arg)
{
	mproc_shm *s = NULL, *other = NULL;
	int fd;

	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/dev/shm", "size=8m");
	mpt_check_int(t, mproc_shm_create(&s, "s", 9 * MIB, NULL), -ENOSPC);
	mpt_check(t, detail_has("allocating 9437184 bytes"));
	mpt_check(t, detail_has(" of 8388608 bytes left"));
	mpt_check(t, detail_has("docker: --shm-size"));
	mpt_check_int(t, access("/dev/shm/s", F_OK), -1);
	mpt_check_int(t, mproc_shm_create(&s, "s", 6 * MIB, NULL), 0);
	mpt_check_int(t, mproc_shm_create(&other, "t", 3 * MIB, NULL), -ENOSPC);
	mpt_check(t, detail_has("/dev/shm has "));
	mpt_check_int(t, mproc_shm_create(&other, "t", MIB, NULL), 0);
	memset(mproc_shm_ptr(s), 1, 6 * MIB);
	memset(mproc_shm_ptr(other), 1, MIB);
	mpt_check_int(t, mproc_shm_unlink("t"), 0);
	mproc_shm_close(other);

	/* What Python would find out by a signal. */
	fd = open("/dev/shm/t", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	mpt_check_int(t, ftruncate(fd, 3 * MIB), 0);
	close(fd);
	other = NULL;
	mpt_check_int(t, mproc_shm_open(&other, "t"), -ENOSPC);
	mpt_check(t, !other && detail_has("3145728"));
	/* And room enough again, for a whole one to be opened in full. */
	mproc_shm_close(s);
	mpt_check_int(t, mproc_shm_open(&s, "s"), 0);
	mpt_check_int(t, mproc_shm_unlink("s"), 0);
	mproc_shm_close(s);
	mpt_check_int(t, mproc_shm_open(&other, "t"), 0);
	memset(mproc_shm_ptr(other), 1, 3 * MIB);
	mproc_shm_close(other);
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
	mproc_shm *s = NULL;
	int r;

	(void)arg;
	mpt_mount_private(t);
	mpt_mount_read_only(t, "/dev/shm");
	r = mproc_shm_create(&s, "s", 1, NULL);
	mpt_check(t, r == -EROFS || r == -EACCES);
	mpt_check(t, !s && detail_has("/dev/shm"));
	return 0;
}

static void
a_read_only_dev_shm_is_an_error(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "reader", use_a_read_only_one, NULL),
			0);
}

static int
be_limited(struct mpt *t, void *arg)
{
	struct rlimit size = { 100000, RLIM_INFINITY };
	struct rlimit space, fds;
	mproc_shm *s = NULL;
	rlim_t before;
	int r;

	(void)arg;
	choose_name(t);
	mpt_check_int(t, getrlimit(RLIMIT_AS, &space), 0);
	before = space.rlim_cur;
	space.rlim_cur = address_space() * PAGE + 4 * MIB;
	mpt_check_int(t, setrlimit(RLIMIT_AS, &space), 0);
	r = mproc_shm_create(&s, name, 64 * MIB, NULL);
	space.rlim_cur = before;
	mpt_check_int(t, setrlimit(RLIMIT_AS, &space), 0);
	mpt_check_int(t, r, -ENOMEM);
	mpt_check(t, !s && detail_has("67108864 bytes"));
	mpt_check_int(t, access(path, F_OK), -1);

	mpt_check_int(t, setrlimit(RLIMIT_FSIZE, &size), 0);
	mpt_check_int(t, mproc_shm_create(&s, name, 100001, NULL), -EFBIG);
	mpt_check(t, detail_has("100001") && detail_has("RLIMIT_FSIZE"));
	mpt_check_int(t, mproc_shm_create(&s, name, 100000, NULL), 0);
	mproc_shm_close(s);
	s = NULL;
	mpt_check_int(t, getrlimit(RLIMIT_NOFILE, &fds), 0);
	fds.rlim_cur = 0;
	mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &fds), 0);
	mpt_check_int(t, mproc_shm_open(&s, name), -EMFILE);
	mpt_check_int(t, mproc_shm_create(&s, NULL, 1, NULL), -EMFILE);
	mpt_check(t, !s);
	mpt_check_int(t, mproc_shm_unlink(name), 0);
	return 0;
}

static void
limits_are_errors_and_no_signals(void **state)
{
	struct mpt *t = *state;

	choose_name(t);
	mpt_expect_exit(t, mpt_spawn(t, "limited", be_limited, NULL), 0);
}

/* Others. */

struct words {
	_Atomic unsigned sum;
	_Atomic unsigned winners, losers;
};

static int
add_and_close(struct mpt *t, void *arg)
{
	mproc_shm *s = arg;
	struct words *w = mproc_shm_ptr(s);

	mpt_check(t, strcmp(mproc_shm_name(s), name) == 0);
	mpt_check_int(t, mproc_shm_size(s), sizeof(*w));
	for (int i = 0; i < 1000; i++)
		atomic_fetch_add(&w->sum, 1);
	mproc_shm_close(s);
	return 0;
}

static void
forked_children_use_the_handle(void **state)
{
	struct mpt *t = *state;
	mproc_shm *s = create(t, sizeof(struct words));
	struct words *w = mproc_shm_ptr(s);

	for (int i = 0; i < 3; i++)
		mpt_spawn(t, "child", add_and_close, s);
	mpt_join_all(t);
	/* Each has closed its own. */
	assert_int_equal(w->sum, 3000);
	end(s);
}

/* Everyone makes it or else opens it; then it is unlinked, and again. */
static int
make_or_open(struct mpt *t, void *arg)
{
	struct words *w, *all = mpt_scratch(t);
	char buf[64];
	const char *its_name = mpt_name(t, buf, "shm");
	mproc_shm *s;
	int r;

	(void)arg;
	for (unsigned i = 0; i < amount(500); i++) {
		r = mproc_shm_create(&s, its_name, 5000, NULL);
		if (r == -EEXIST) {
			atomic_fetch_add(&all->losers, 1);
			r = mproc_shm_open(&s, its_name);
			if (r == -ENOENT)
				continue;
		} else {
			atomic_fetch_add(&all->winners, 1);
		}
		mpt_check_int(t, r, 0);
		mpt_check_int(t, mproc_shm_size(s), 5000);
		w = mproc_shm_ptr(s);
		atomic_fetch_add(&w->sum, 1);
		r = mproc_shm_unlink(its_name);
		mpt_check(t, r == 0 || r == -ENOENT);
		mproc_shm_close(s);
	}
	return 0;
}

static void
many_make_the_same_name_at_once(struct mpt *t)
{
	struct words *all = mpt_scratch(t);
	int r;

	choose_name(t);
	for (int i = 0; i < 4; i++)
		mpt_spawn(t, "one", make_or_open, NULL);
	mpt_join_all(t);
	assert_int_equal(all->winners + all->losers, 4 * amount(500));
	assert_true(all->winners > 0);
	/* Who opened it unlinked it, or somebody else has. */
	r = mproc_shm_unlink(name);
	assert_int_equal(r, -ENOENT);
}

both(many_make_the_same_name_at_once)

/* Nobody sees one that is not whole: the first byte says what the rest is. */
static int
open_all_the_time(struct mpt *t, void *arg)
{
	struct words *all = mpt_scratch(t);
	mproc_shm *s;
	int r;

	(void)arg;
	choose_name(t);
	while (!atomic_load(&all->losers)) {
		r = mproc_shm_open(&s, name);
		if (r == -ENOENT)
			continue;
		mpt_check_int(t, r, 0);
		mpt_check_int(t, mproc_shm_size(s), 3 * PAGE);
		mpt_check_int(t, ((char *)mproc_shm_ptr(s))[3 * PAGE - 1], 0);
		mproc_shm_close(s);
		atomic_fetch_add(&all->winners, 1);
	}
	return 0;
}

static void
an_open_sees_a_whole_one_or_none(void **state)
{
	struct mpt *t = *state;
	struct words *all = mpt_scratch(t);
	mproc_shm *s;

	choose_name(t);
	mpt_spawn(t, "opener", open_all_the_time, NULL);
	for (unsigned i = 0; i < 200 || !atomic_load(&all->winners); i++) {
		assert_int_equal(mproc_shm_create(&s, name, 3 * PAGE, NULL), 0);
		end(s);
	}
	atomic_store(&all->losers, 1);
	mpt_join_all(t);
}

static int
use_until_killed(struct mpt *t, void *arg)
{
	mproc_shm *s = NULL;

	(void)arg;
	choose_name(t);
	mpt_check_int(t, mproc_shm_create(&s, name, 1000, NULL), 0);
	memset(mproc_shm_ptr(s), 9, 1000);
	mpt_step(t, 0);
	wait_to_be_killed(t);
	return 0;
}

static void
the_creators_death_takes_nothing_away(void **state)
{
	struct mpt *t = *state;
	mproc_shm *s;
	int id;

	choose_name(t);
	id = mpt_spawn(t, "creator", use_until_killed, NULL);
	mpt_reach(t, 1);
	mpt_kill(t, id);
	s = open_it();
	assert_int_equal(mproc_shm_size(s), 1000);
	assert_true(is_filled(s, 9));
	end(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_is_made_opened_closed_and_unlinked),
		mpt_test(memory_goes_to_the_end_of_the_last_page),
		mpt_test(closing_gives_all_of_the_mapping_back),
		mpt_test(without_a_name_it_gets_one_like_pythons),
		mpt_test(the_mode_is_what_was_asked_for),
		mpt_test(bad_arguments_are_refused),
		mpt_test(what_is_no_segment_is_refused_and_left_alone),
		mpt_test(a_named_arena_is_refused),
		mpt_test(what_others_left_sparse_is_allocated_when_it_is_opened),
		mpt_test(a_full_dev_shm_is_an_error_and_no_signal),
		mpt_test(a_read_only_dev_shm_is_an_error),
		mpt_test(limits_are_errors_and_no_signals),
		mpt_test(forked_children_use_the_handle),
		both_tests(many_make_the_same_name_at_once),
		mpt_test(an_open_sees_a_whole_one_or_none),
		mpt_test(the_creators_death_takes_nothing_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
