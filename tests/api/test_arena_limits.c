/* SPDX-License-Identifier: MIT */
/*
 * An arena where things run out: shared memory, the control group, descriptors,
 * places to put it. Whatever is missing, there is an error that says so and
 * never SIGBUS, and what can be had works. Also the end of a process that
 * crashes with all of it mapped.
 *
 * There is no arena in this program, so each role makes its own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common.h"
#include "mpt_mount.h"
#include "mpt_refuse.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static void
refuse_memfd(int error)
{
	static const long call = SYS_memfd_create;

	mpt_refuse(error, &call, 1);
}

static int
answer(void *arg)
{
	mproc_queue **q = arg;
	unsigned char buffer[100];
	size_t len;

	for (;;) {
		if (mproc_queue_get(q[0], buffer, sizeof(buffer), &len,
				    MPROC_FOREVER) < 0)
			return 1;
		if (len == 0)
			return 0;
		for (size_t i = 0; i < len; i++)
			buffer[i] ^= 0xff;
		if (mproc_queue_put(q[1], buffer, len, MPROC_FOREVER) < 0)
			return 2;
	}
}

/* Messages to a child and back, and a killed child that is noticed. */
static void
use_all(struct mpt *t)
{
	struct mproc_arena_stat before;
	unsigned char buffer[100];
	mproc_queue **q;
	mproc_process *p;
	int code;

	q = mproc_alloc(2 * sizeof(*q));
	mpt_check(t, q);
	mpt_check_int(t, mproc_queue_create(&q[0], NULL), 0);
	mpt_check_int(t, mproc_queue_create(&q[1], NULL), 0);
	mpt_check_int(t, mproc_arena_stat(NULL, &before), 0);
	for (int killed = 0; killed < 2; killed++) {
		/* Where a program finds neither its libraries nor memory. */
		mpt_check_int(t, mproc_process_start(
			&p, answer, q, MPROC_OPTS(mproc_process_opts,
						  .method = MPROC_FORK)), 0);
		for (size_t n = 1; n <= sizeof(buffer); n++) {
			memset(buffer, (int)n, n);
			mpt_check_int(t, mproc_queue_put(q[0], buffer, n,
							 MPROC_FOREVER), 0);
			mpt_check_int(t, mproc_queue_get(q[1], buffer, n, NULL,
							 MPROC_FOREVER), 0);
			mpt_check_int(t, buffer[n - 1], (int)n ^ 0xff);
		}
		if (killed)
			mproc_process_kill(p);
		else
			mpt_check_int(t, mproc_queue_put(q[0], "", 0,
							 MPROC_FOREVER), 0);
		mpt_check_int(t, mproc_process_join(p, MPROC_FOREVER), 0);
		mpt_check_int(t, mproc_process_exitcode(p, &code), 0);
		mpt_check_int(t, code, killed ? -9 : 0);
		mproc_process_close(p);
	}
	mproc_queue_destroy(q[0]);
	mproc_queue_destroy(q[1]);
	mproc_free(q);
}

/* Blocks of @size until there are no more; all of them are written to.
 * Returns how many there were. */
static unsigned
fill(struct mpt *t, void **blocks, unsigned max, size_t size)
{
	unsigned n = 0;

	while (n < max && (blocks[n] = mproc_alloc(size))) {
		memset(blocks[n], (int)n, size);
		n++;
	}
	mpt_check(t, n < max);
	return n;
}

/* They hold what fill() wrote. Frees them. */
static void
drain(struct mpt *t, void **blocks, unsigned n, size_t size)
{
	while (n--) {
		unsigned char *p = blocks[n];

		mpt_check(t, p[0] == (n & 0xff) && p[size - 1] == (n & 0xff));
		mproc_free(p);
	}
}

static int
fill_a_small_file_system(struct mpt *t, void *arg)
{
	static void *blocks[200000];
	unsigned n, small;

	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/dev/shm", "size=8m");
	refuse_memfd(ENOSYS);
	n = fill(t, blocks, 200, MIB);
	mpt_check(t, n >= 5 && n <= 7);
	mpt_check_int(t, errno, ENOSPC);
	mpt_check(t, detail_has("allocating 1048576 bytes"));
	mpt_check(t, detail_has("/dev/shm has "));
	mpt_check(t, detail_has(" of 8388608 bytes left"));
	mpt_check(t, detail_has("docker: --shm-size"));
	/* What is freed can be had again, as often as one likes. */
	for (int i = 0; i < 20; i++) {
		mproc_free(blocks[n - 1]);
		blocks[n - 1] = mproc_alloc(MIB);
		mpt_check(t, blocks[n - 1]);
		memset(blocks[n - 1], (int)n - 1, MIB);
	}
	/* In small pieces, too. */
	small = fill(t, blocks + n, 190000, 1000);
	mpt_check_int(t, errno, ENOSPC);
	drain(t, blocks + n, small, 1000);
	mpt_check_int(t, fill(t, blocks + n, 190000, 1000), small);
	drain(t, blocks + n, small, 1000);
	drain(t, blocks, n, MIB);
	use_all(t);
	n = fill(t, blocks, 200, MIB);
	mpt_check(t, n >= 3);
	drain(t, blocks, n, MIB);
	return 0;
}

static void
a_small_file_system_is_used_up_and_no_further(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", fill_a_small_file_system,
				     NULL), 0);
}

/* All of it that is left. */
static void
write_full(struct mpt *t, const char *path)
{
	static const char zeroes[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	mpt_check(t, fd >= 0);
	while (write(fd, zeroes, sizeof(zeroes)) > 0)
		;
	mpt_check_int(t, errno, ENOSPC);
	close(fd);
}

/* It notices late that what it waits for has ended. */
static int
end_a_large_array(struct mpt *t, void *arg)
{
	void *array;
	int status;
	pid_t pid;

	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/dev/shm", "size=8m");
	refuse_memfd(ENOSYS);
	array = mproc_array_new(1, 3 * MIB / 2, NULL);
	mpt_check(t, array);
	mpt_check_int(t, mproc_lock_acquire(mproc_lock_of(array), MPROC_NOWAIT),
		      0);
	pid = fork();
	if (pid == 0)
		_exit(mproc_lock_acquire(mproc_lock_of(array), MPROC_FOREVER) !=
		      -ESHUTDOWN);
	mpt_until(t, mpt_task_state(pid) == 'S');
	kill(pid, SIGSTOP);
	mpt_check(t, waitpid(pid, &status, WUNTRACED) == pid &&
			     WIFSTOPPED(status));
	mproc_free(array);
	write_full(t, "/dev/shm/rest");
	kill(pid, SIGCONT);
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check_int(t, status, 0);
	return 0;
}

static void
who_waits_for_what_has_ended_needs_no_memory_for_that(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", end_a_large_array, NULL), 0);
}

/* Who waited for a lock is dead, and its memory freed, before anybody recovers from
 * that. */
static int
free_what_the_dead_waited_for(struct mpt *t, void *arg)
{
	mproc_lock *lock;
	int status;
	char *p;
	pid_t pid;

	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/dev/shm", "size=8m");
	refuse_memfd(ENOSYS);
	p = mproc_alloc(3 * MIB / 2);
	mpt_check(t, p);
	lock = (mproc_lock *)(void *)(p + MIB);
	mpt_check_int(t, mproc_lock_acquire(lock, MPROC_NOWAIT), 0);
	pid = fork();
	if (pid == 0)
		_exit(mproc_lock_acquire(lock, MPROC_FOREVER) != 0);
	mpt_until(t, mpt_task_state(pid) == 'S');
	kill(pid, SIGKILL);
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check_int(t, mproc_lock_release(lock), 0);
	mproc_free(p);
	write_full(t, "/dev/shm/rest");
	mpt_check_int(t, mproc_arena_recover(NULL), 1);
	return 0;
}

static void
nobody_looks_at_what_the_dead_waited_for(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", free_what_the_dead_waited_for,
				     NULL), 0);
}

/* A small file system without the calls that allocate and give back by descriptor. */
static int
fill_through_the_mapping(struct mpt *t, void *arg)
{
	static const long calls[] = { SYS_memfd_create, SYS_fallocate };
	static void *blocks[200];
	unsigned n, again;

	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/dev/shm", "size=8m");
	mpt_refuse(EPERM, calls, 2);
	mpt_refuse_when(EPERM, SYS_madvise, 2, 9 /* MADV_REMOVE */);
	n = fill(t, blocks, 200, MIB);
	mpt_check(t, n >= 5 && n <= 7);
	mpt_check_int(t, errno, ENOSPC);
	mpt_check(t, detail_has("docker: --shm-size"));
	drain(t, blocks, n, MIB);
	/* It could not be given back, but it is there, and zero. */
	again = n;
	for (n = 0; n < again; n++) {
		unsigned char *p = blocks[n] = mproc_alloc(MIB);

		mpt_check(t, p);
		for (size_t i = 0; i < MIB; i++)
			mpt_check(t, p[i] == 0);
		memset(p, (int)n, MIB);
	}
	drain(t, blocks, n, MIB);
	use_all(t);
	return 0;
}

static void
memory_that_cannot_be_given_back_is_used_again(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", fill_through_the_mapping,
				     NULL), 0);
}

static int
use_without_memfd(struct mpt *t, void *arg)
{
	mpt_mount_private(t);
	/* None, one that is read-only, and two that are. */
	if (strcmp(arg, "/tmp") == 0) {
		mpt_mount_tmpfs(t, "/dev", NULL);
	} else if (strcmp(arg, "/var/tmp") == 0) {
		mpt_mount_read_only(t, "/dev/shm");
		mpt_mount_read_only(t, "/tmp");
	}
	mpt_mount_tmpfs(t, arg, "size=32m");
	refuse_memfd(EPERM);
	use_all(t);
	mpt_check(t, !mproc_alloc(64 * MIB) && errno == ENOSPC);
	mpt_check(t, detail_has(arg));
	return 0;
}

static void
each_place_for_an_unnamed_file_will_do(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "shm", use_without_memfd,
				     (char[]){ "/dev/shm" }), 0);
	mpt_expect_exit(t, mpt_spawn(t, "tmp", use_without_memfd,
				     (char[]){ "/tmp" }), 0);
	mpt_expect_exit(t, mpt_spawn(t, "var", use_without_memfd,
				     (char[]){ "/var/tmp" }), 0);
}

static int
use_no_place(struct mpt *t, void *arg)
{
	struct mproc_arena_stat stat;
	unsigned fds = mpt_fd_count();
	mproc_queue *q;

	(void)arg;
	mpt_mount_private(t);
	mpt_mount_read_only(t, "/dev/shm");
	mpt_mount_read_only(t, "/tmp");
	mpt_mount_read_only(t, "/var/tmp");
	refuse_memfd(EPERM);
	errno = 0;
	mpt_check(t, !mproc_arena_default() && errno == ENOSYS);
	mpt_check(t, detail_has("memfd_create: ") && detail_has("/dev/shm: ") &&
			     detail_has("; /tmp: ") &&
			     detail_has("/var/tmp: "));
	mpt_check(t, !mproc_alloc(1) && errno == ENOSYS);
	mpt_check_int(t, mproc_queue_create(&q, NULL), -ENOSYS);
	mpt_check_int(t, mproc_arena_recover(NULL), -ENOSYS);
	mpt_check_int(t, mproc_arena_stat(NULL, &stat), -ENOSYS);
	mpt_check_int(t, mpt_fd_count(), fds);
	return 0;
}

static void
no_place_at_all_is_an_error_that_names_them(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", use_no_place, NULL), 0);
}

/* The limits of a process, with a memfd and with a file. */
static int
run_into_limits(struct mpt *t, void *arg)
{
	struct rlimit space = { 40 * MIB, RLIM_INFINITY };
	struct rlimit file = { 8 * MIB, RLIM_INFINITY };
	struct rlimit fds = { 0, RLIM_INFINITY };
	unsigned open_now = mpt_fd_count();
	struct mproc_arena_stat stat;

	if (arg)
		refuse_memfd(EPERM);
	mpt_check_int(t, getrlimit(RLIMIT_NOFILE, &fds), 0);
	for (unsigned spare = 0; spare < 2; spare++) {
		struct rlimit few = { 0, fds.rlim_max };

		/* Numbers below the limit are taken, but for the spare. */
		few.rlim_cur = (rlim_t)dup(0) + spare;
		close((int)few.rlim_cur - (int)spare);
		mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &few), 0);
		errno = 0;
		mpt_check(t, !mproc_arena_default() && errno == EMFILE);
		mpt_check(t, detail_has("EMFILE"));
		mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &fds), 0);
		mpt_check_int(t, mpt_fd_count(), open_now);
	}
	mpt_check_int(t, setrlimit(RLIMIT_FSIZE, &file), 0);
	errno = 0;
	mpt_check(t, !mproc_arena_default() && errno == EFBIG);
	mpt_check(t, detail_has("RLIMIT_FSIZE") && detail_has("8388608"));
	file.rlim_cur = RLIM_INFINITY;
	mpt_check_int(t, setrlimit(RLIMIT_FSIZE, &file), 0);

	mpt_check_int(t, setrlimit(RLIMIT_AS, &space), 0);
	errno = 0;
	mpt_check(t, !mproc_arena_default() && errno == ENOMEM);
	mpt_check(t, detail_has("mapping 67108864 bytes of shared"));
	mpt_check_int(t, mpt_fd_count(), open_now);
	space.rlim_cur = 2 * GIB;
	mpt_check_int(t, setrlimit(RLIMIT_AS, &space), 0);
	use_all(t);
	mpt_check_int(t, mproc_arena_stat(NULL, &stat), 0);
	mpt_check(t, stat.capacity < 2 * GIB);
	return 0;
}

static void
limits_of_the_process_are_errors(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "memfd", run_into_limits, NULL), 0);
	mpt_expect_exit(t, mpt_spawn(t, "file", run_into_limits, t), 0);
}

#define GROUP "/sys/fs/cgroup/it"

static int
fill_the_control_group(struct mpt *t, void *arg)
{
	struct mproc_arena_stat before, after;
	void *p;

	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/sys/fs/cgroup", NULL);
	mpt_write_file(t, "/sys/fs/cgroup/self", "0::/it\n");
	mpt_mount_file(t, "/sys/fs/cgroup/self", "/proc/self/cgroup");
	mpt_write_file(t, GROUP "/memory.max", "100000000\n");
	mpt_write_file(t, GROUP "/memory.current", "99990000\n");
	mpt_write_file(t, GROUP "/memory.stat", "inactive_file 900000\n");
	/* What is small goes; what is large might end in a kill. */
	use_all(t);
	/* What is of no use goes back now, not when an allocation fails. */
	mpt_check(t, mproc_arena_recover(NULL) >= 0);
	mpt_check_int(t, mproc_arena_stat(NULL, &before), 0);
	for (size_t size = MIB; size < 64 * MIB; size *= 4) {
		errno = 0;
		mpt_check(t, !mproc_alloc(size) && errno == ENOMEM);
		mpt_check(t, detail_has("the control group has 910000 of "
					"100000000 bytes left"));
		mpt_check(t, detail_has(" are in use"));
	}
	/* Of this one, what would have been noted is much memory, too. */
	mpt_check(t, !mproc_alloc(8 * GIB) && errno == ENOMEM);
	mpt_check_int(t, mproc_arena_stat(NULL, &after), 0);
	mpt_check_int(t, after.backed, before.backed);
	mpt_check_int(t, after.blocks, before.blocks);

	/* A block is asked for whole, not MiB by MiB. */
	mpt_write_file(t, GROUP "/memory.stat", "inactive_file 9000000\n");
	mpt_check(t, !mproc_alloc(20 * MIB) && errno == ENOMEM);
	mpt_check(t, detail_has("allocating 20971520 bytes"));
	mpt_write_file(t, GROUP "/memory.stat", "inactive_file 90000000\n");
	p = mproc_alloc(20 * MIB);
	mpt_check(t, p);
	memset(p, 1, 20 * MIB);
	mproc_free(p);
	return 0;
}

static void
a_full_control_group_is_an_error_and_no_kill(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", fill_the_control_group, NULL),
			0);
}

static int
fill_the_arena(struct mpt *t, void *arg)
{
	/* Small ones last: their slabs stay. */
	static const size_t sizes[] = { MIB, 3 * MIB, 100000 };
	static void *blocks[500];
	unsigned n;

	(void)arg;
	mpt_check_int(t, mproc_arena_configure_default(MPROC_OPTS(
			mproc_arena_opts, .capacity = 32 * MIB)), 0);
	for (int i = 0; i < 3; i++) {
		n = fill(t, blocks, 500, sizes[i]);
		mpt_check_int(t, errno, ENOMEM);
		mpt_check(t, detail_has("33554432"));
		mpt_check(t, n * sizes[i] > 16 * MIB);
		drain(t, blocks, n, sizes[i]);
		mpt_check_int(t, fill(t, blocks, 500, sizes[i]), n);
		drain(t, blocks, n, sizes[i]);
	}
	return 0;
}

static void
a_full_arena_is_an_error_and_can_be_emptied(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", fill_the_arena, NULL), 0);
}

static int
use_a_small_arena(struct mpt *t, void *arg)
{
	mproc_queue *q = NULL;
	char buf[8];

	(void)arg;
	mpt_check_int(t, mproc_arena_configure_default(MPROC_OPTS(
			mproc_arena_opts, .capacity = 64 * MIB)), 0);
	mpt_check_int(t, mproc_queue_create(&q, MPROC_OPTS(
			mproc_queue_opts, .capacity = 64 * MIB)), 0);
	mpt_check_int(t, mproc_queue_put(q, "x", 1, MPROC_FOREVER), -ENOMEM);
	/* What it wanted, and what there is. */
	mpt_check(t, detail_has("67109504"));
	mpt_check(t, detail_has("67108864"));
	mproc_queue_destroy(q);
	mpt_check_int(t, mproc_queue_create(&q, MPROC_OPTS(
			mproc_queue_opts, .capacity = 32 * MIB)), 0);
	mpt_check_int(t, mproc_queue_put(q, "x", 1, MPROC_FOREVER), 0);
	mpt_check_int(t, mproc_queue_get(q, buf, sizeof(buf), NULL,
					 MPROC_FOREVER), 0);
	mproc_queue_destroy(q);
	return 0;
}

static void
an_arena_that_is_too_small_for_a_lane_says_so(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", use_a_small_arena, NULL), 0);
}

/* A block that can be told from whatever else is in a core file. */
#define WORDS (4 * MIB / sizeof(uint64_t))

static uint64_t
word_at(size_t i)
{
	return (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool
holds_words(const uint64_t *p)
{
	for (size_t i = 0; i < WORDS; i++)
		if (p[i] != word_at(i))
			return false;
	return true;
}

/* Whether a page of them is in the file. */
static bool
has_a_page(const char *path)
{
	static uint64_t page[4096 / sizeof(uint64_t)];
	bool found = false;
	FILE *f = fopen(path, "re");

	while (f && !found && fread(page, sizeof(page), 1, f) == 1)
		for (size_t i = 0; i + 1 < WORDS && !found; i += 512)
			found = page[0] == word_at(i) &&
				page[511] == word_at(i + 511);
	if (f)
		fclose(f);
	return found;
}

/* Removes the directory and the core file in it. Returns 1 if the arena is in
 * that, 0 if not, -1 if there is none. */
static int
look_for_core(struct mpt *t, const char *directory)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	char path[512];
	int found = -1;

	mpt_check(t, d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
		found = has_a_page(path);
		unlink(path);
	}
	closedir(d);
	mpt_check_int(t, rmdir(directory), 0);
	return found;
}

struct crash {
	char directory[32];
	uint64_t *block;
};

static int
crash(void *arg)
{
	struct rlimit any = { RLIM_INFINITY, RLIM_INFINITY };
	struct crash *c = arg;

	if (setrlimit(RLIMIT_CORE, &any) < 0 || chdir(c->directory) < 0)
		return 1;
	raise(SIGSEGV);
	return 2;
}

static int
let_a_child_crash(struct mpt *t, void *arg)
{
	struct mproc_arena_opts opts = { .struct_size = sizeof(opts),
					 .capacity = 64 * MIB,
					 .core_dump = arg != NULL };
	const char *slow = getenv("MPT_SLOW");
	struct mproc_arena_stat before, after;
	struct mproc_exit info;
	mproc_process *p;
	struct crash *c;
	int core;

	mpt_check_int(t, mproc_arena_configure_default(&opts), 0);
	c = mproc_alloc(sizeof(*c));
	mpt_check(t, c);
	c->block = mproc_alloc(WORDS * sizeof(uint64_t));
	mpt_check(t, c->block);
	for (size_t i = 0; i < WORDS; i++)
		c->block[i] = word_at(i);
	strcpy(c->directory, "/tmp/mpt-core-XXXXXX");
	mpt_check(t, mkdtemp(c->directory));

	/* What a child needs is there from here on. */
	use_all(t);
	mpt_check_int(t, mproc_arena_stat(NULL, &before), 0);
	mpt_check_int(t, mproc_process_start(&p, crash, c, NULL), 0);
	/* Writing a core file may take its time. */
	mpt_check_int(t, mproc_process_join(p, arg ? MPROC_FOREVER :
					    mproc_sec(slow ? atoi(slow) : 1)),
		      0);
	mpt_check_int(t, mproc_process_exit_info(p, &info), 0);
	mpt_check_int(t, info.signal, SIGSEGV);
	mproc_process_close(p);
	mpt_check_int(t, mproc_arena_stat(NULL, &after), 0);
	mpt_check(t, holds_words(c->block));
	mpt_check_int(t, after.blocks, before.blocks);
	core = look_for_core(t, c->directory);
	if (arg) {
		/* So it would have been found. */
		mpt_check(t, core != 0);
	} else {
		mpt_check(t, core != 1);
		mpt_check_int(t, after.backed, before.backed);
	}
	use_all(t);
	return 0;
}

static void
a_crash_leaves_the_arena_as_it_is(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", let_a_child_crash, NULL), 0);
}

static void
a_core_dump_has_the_arena_if_asked_for(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", let_a_child_crash, t), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_small_file_system_is_used_up_and_no_further),
		mpt_test(who_waits_for_what_has_ended_needs_no_memory_for_that),
		mpt_test(nobody_looks_at_what_the_dead_waited_for),
		mpt_test(memory_that_cannot_be_given_back_is_used_again),
		mpt_test(each_place_for_an_unnamed_file_will_do),
		mpt_test(no_place_at_all_is_an_error_that_names_them),
		mpt_test(limits_of_the_process_are_errors),
		mpt_test(a_full_control_group_is_an_error_and_no_kill),
		mpt_test(a_full_arena_is_an_error_and_can_be_emptied),
		mpt_test(an_arena_that_is_too_small_for_a_lane_says_so),
		mpt_test(a_crash_leaves_the_arena_as_it_is),
		mpt_test(a_core_dump_has_the_arena_if_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
