/* SPDX-License-Identifier: MIT */
/*
 * The shared memory object under the arena.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <mproc/core.h>

#include "base/fault.h"
#include "common.h"
#include "mpt_mount.h"
#include "os/shmem.h"

#define MIB (UINT64_C(1) << 20)

static struct mpr_shmem s;

static void
it_is_aligned_zeroed_and_gone_after_unmap(void **state)
{
	(void)state;
	for (size_t align = 4096; align <= 64 * MIB; align *= 4) {
		assert_int_equal(mpr_shmem_create(&s, 3 * MIB, align, false),
				 0);
		assert_int_equal((uintptr_t)s.base % align, 0);
		assert_int_equal(s.size, 3 * MIB);
		assert_int_equal(s.base[0], 0);
		assert_int_equal(s.base[3 * MIB - 1], 0);
		mpr_shmem_unmap(&s);
	}
}

static void
its_size_can_never_change(void **state)
{
	(void)state;
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
	assert_int_equal(ftruncate(s.file.fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(s.file.fd, 2 * MIB), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(s.file.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	mpr_shmem_unmap(&s);
}

/* Another image has its stacks and libraries at these addresses or above. */
static void
it_lies_where_nothing_else_comes(void **state)
{
	uintptr_t top = (uintptr_t)1 << 47, tib = (uintptr_t)1 << 40;
	unsigned char *first;

	(void)state;
	if ((uintptr_t)&first >= top || (uintptr_t)&first < top - tib)
		skip(); /* not the usual address space of x86-64 */
	assert_int_equal(mpr_shmem_create(&s, (uint64_t)64 << 30, 2 * MIB, false),
			 0);
	first = s.base;
	mpr_shmem_unmap(&s);
	assert_int_equal(mpr_shmem_create(&s, (uint64_t)64 << 30, 2 * MIB, false),
			 0);
	assert_ptr_not_equal(s.base, first);
	assert_in_range((uintptr_t)s.base, top - tib - tib / 2,
			top - tib - s.size);
	mpr_shmem_unmap(&s);
}

static void
it_can_be_mapped_where_another_process_has_it(void **state)
{
	struct mpr_shmem other;
	unsigned char *base;

	(void)state;
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
	s.base[77] = 7;
	assert_int_equal(mpr_shmem_attach_at(&other, &s.file, MIB, s.base,
					     false), -EEXIST);
	assert_int_equal(s.base[77], 7);
	base = s.base;
	mpr_shmem_unmap_only(&s);
	assert_int_equal(mpr_shmem_attach_at(&other, &s.file, MIB, base, false),
			 0);
	assert_ptr_equal(other.base, base);
	assert_int_equal(base[77], 7);
	base[78] = 8;
	mpr_shmem_unmap(&other);
}

static int
write_in_child(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_check_int(t, s.base[5], 17);
	s.base[6] = 18;
	return 0;
}

static void
a_forked_child_has_it_at_the_same_address(void **state)
{
	struct mpt *t = *state;

	assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
	s.base[5] = 17;
	mpt_expect_exit(t, mpt_spawn(t, "child", write_in_child, NULL), 0);
	assert_int_equal(s.base[6], 18);
	mpr_shmem_unmap(&s);
}

static void
it_is_sparse_until_it_is_backed(void **state)
{
	(void)state;
	assert_int_equal(mpr_shmem_create(&s, 1024 * MIB, 4096, false), 0);
	assert_int_equal(mpr_shmem_backed(&s), 0);
	assert_int_equal(mpr_shmem_back(&s, 512 * MIB, 64 * 1024), 0);
	assert_int_equal(mpr_shmem_backed(&s), 64 * 1024);
	mpr_shmem_unmap(&s);
}

static void
backing_keeps_what_is_there(void **state)
{
	(void)state;
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
	memset(s.base + 100, 0x5a, 9000);
	assert_int_equal(mpr_shmem_back(&s, 0, MIB), 0);
	for (int i = 100; i < 9100; i++)
		assert_int_equal(s.base[i], 0x5a);
	assert_int_equal(mpr_shmem_backed(&s), MIB);
	mpr_shmem_unmap(&s);
}

/* Its creator may truncate a file while we open it. */
static void
backing_makes_no_file_larger(void **state)
{
	struct rlimit before, limit;
	struct mpr_file f;
	struct stat st;
	int r;

	(void)state;
	assert_int_equal(mpr_file_anonymous(&f, "test", false), 0);
	assert_int_equal(mpr_shmem_create_in(&s, &f, MIB, 4096, false), 0);
	assert_int_equal(ftruncate(f.fd, 100), 0);
	(void)mpr_shmem_back_rest(&s);
	assert_int_equal(fstat(f.fd, &st), 0);
	assert_int_equal(st.st_size, 100);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	/* No signal comes. */
	r = mpr_shmem_back_rest(&s);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(r == -ENOSPC || r == -ENOSYS);
	mpr_shmem_unmap(&s);
}

/* Resident pages of the mapping, asked where the descriptor cannot be. */
static unsigned
pages_in_core(void)
{
	unsigned char in_core[256];
	unsigned n = 0;

	assert_int_equal(mincore(s.base, MIB, in_core), 0);
	for (int i = 0; i < 256; i++)
		n += in_core[i] & 1;
	return n;
}

static void
it_can_be_backed_after_the_descriptor_was_closed(void **state)
{
	(void)state;
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
	close(s.file.fd);
	assert_int_equal(pages_in_core(), 0);
	assert_int_equal(mpr_shmem_back(&s, 16384, 65536), 0);
	assert_int_equal(pages_in_core(), 16);
	assert_int_equal(mpr_shmem_backed(&s), 0); /* nobody to ask */
	mpr_shmem_unmap(&s);
}

/* Flags that the kernel shows for the mapping that starts at @base. */
static bool
has_vm_flag(const unsigned char *base, const char *flag)
{
	char line[512], start[32];
	bool ours = false, found = false;
	FILE *f = fopen("/proc/self/smaps", "re");

	assert_non_null(f);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)(uintptr_t)base);
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, start, strlen(start)) == 0)
			ours = true;
		else if (ours && strncmp(line, "VmFlags:", 8) == 0)
			break;
	}
	found = ours && strstr(line, flag);
	fclose(f);
	return found;
}

static void
it_stays_out_of_core_dumps(void **state)
{
	(void)state;
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
	assert_true(has_vm_flag(s.base, " sh"));
	assert_true(has_vm_flag(s.base, " dd"));
	mpr_shmem_unmap(&s);
	/* But if it is asked for, or cannot be had. */
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096, true), 0);
	assert_false(has_vm_flag(s.base, " dd"));
	mpr_shmem_unmap(&s);
	mpr_fault_set("madvise:1");
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
	mpr_fault_set(NULL);
	assert_false(has_vm_flag(s.base, " dd"));
	mpr_shmem_unmap(&s);
}

static int
create_above_the_file_size_limit(struct mpt *t, void *arg)
{
	struct rlimit limit = { MIB, MIB };

	(void)arg;
	signal(SIGXFSZ, SIG_DFL);
	mpt_check_int(t, setrlimit(RLIMIT_FSIZE, &limit), 0);
	mpt_check_int(t, mpr_shmem_create(&s, MIB + 4096, 4096, false), -EFBIG);
	mpt_check(t, strstr(mproc_error_detail(), "1052672"));
	mpt_check(t, strstr(mproc_error_detail(), "1048576"));
	mpt_check_int(t, mpr_shmem_create(&s, MIB, 4096, false), 0);
	mpt_check_int(t, mpr_shmem_back(&s, 0, MIB), 0);
	return 0;
}

static void
more_than_the_file_size_limit_is_an_error_and_no_signal(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "child",
				     create_above_the_file_size_limit, NULL),
			0);
}

static int
create_without_descriptors(struct mpt *t, void *arg)
{
	struct rlimit none = { 0, 0 };

	(void)arg;
	mpt_check_int(t, setrlimit(RLIMIT_NOFILE, &none), 0);
	mpt_check_int(t, mpr_shmem_create(&s, MIB, 4096, false), -EMFILE);
	return 0;
}

static void
no_descriptor_is_an_error(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "child", create_without_descriptors,
				     NULL), 0);
}

static void
more_than_the_address_space_is_an_error_that_leaves_nothing(void **state)
{
	unsigned fds = mpt_fd_count();

	(void)state;
	assert_int_equal(mpr_shmem_create(&s, (size_t)1 << 56, 4096, false),
			 -ENOMEM);
	assert_int_equal(mpt_fd_count(), fds);
}

/* Pages of address space. */
static unsigned long
address_space(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128] = "";

	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoul(text, NULL, 10);
}

static void
a_failure_half_way_leaves_nothing(void **state)
{
	static const struct {
		const char *spec;
		int error;
	} failures[] = {
		{ "memfd:1=EMFILE", -EMFILE },
		{ "fstat:1", -ENOMEM },
		{ "ftruncate:1", -ENOSPC },
		{ "mmap:1", -ENOMEM },
		{ "mmap:2", -ENOMEM },
		/* More than may be locked. */
		{ "mmap:1=EAGAIN", -ENOMEM },
		/* More than valgrind has. */
		{ "mmap:1=EINVAL", -ENOMEM },
		{ "mmap:2=EPERM", -EPERM },
	};
	unsigned fds = mpt_fd_count();
	unsigned long space;

	(void)state;
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		space = address_space();
		assert_int_equal(mpr_fault_set(failures[i].spec), 0);
		assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false),
				 failures[i].error);
		assert_true(address_space() == space);
		assert_true(strlen(mproc_error_detail()) > 10);
		assert_int_equal(mpt_fd_count(), fds);
	}
	/* Not all that fails is a failure. */
	mpr_fault_set("ftruncate:1=EINTR,seal:1");
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
	mpr_fault_set(NULL);
	assert_int_equal(fcntl(s.file.fd, F_GET_SEALS), 0);
	mpr_shmem_unmap(&s);
}

static void
an_unnamed_file_serves_as_well(void **state)
{
	struct mpt *t = *state;

	mpr_fault_set("memfd:1+");
	assert_int_equal(mpr_shmem_create(&s, 1024 * MIB, 4096, false), 0);
	mpr_fault_set(NULL);
	assert_int_equal(mpr_shmem_backed(&s), 0);
	assert_int_equal(mpr_shmem_back(&s, 512 * MIB, MIB), 0);
	assert_int_equal(mpr_shmem_back(&s, 0, 4096), 0);
	assert_int_equal(mpr_shmem_backed(&s), MIB + 4096);
	s.base[5] = 17;
	mpt_expect_exit(t, mpt_spawn(t, "child", write_in_child, NULL), 0);
	assert_int_equal(s.base[6], 18);
	assert_int_equal(mpr_shmem_unback(&s, 0, MIB), 0);
	assert_int_equal(mpr_shmem_backed(&s), MIB);
	assert_int_equal(s.base[5], 0);
	mpr_shmem_unmap(&s);
}

static void
memory_is_allocated_through_the_mapping_if_need_be(void **state)
{
	static const char *const specs[] = {
		"fallocate:1+=ENOSYS", "fallocate:1+=EOPNOTSUPP",
		"fallocate:1+=EPERM", "fallocate:1+=EINTR",
		"fallocate:1=EINTR,populate:1=EINVAL",
		"fallocate:1=EINTR,populate:1=EINTR",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
		s.base[0] = 17;
		assert_int_equal(mpr_fault_set(specs[i]), 0);
		assert_int_equal(mpr_shmem_back(&s, 0, 65536), 0);
		assert_true(mpr_fault_hits(MPR_FAULT_POPULATE) > 0);
		mpr_fault_set(NULL);
		assert_int_equal(mpr_shmem_backed(&s), 65536);
		assert_int_equal(s.base[0], 17);
		mpr_shmem_unmap(&s);
	}
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
	mpr_fault_set("fallocate:1+=ENOSYS,populate:1+=EINVAL");
	assert_int_equal(mpr_shmem_back(&s, 0, 65536), -ENOSYS);
	mpr_fault_set("fallocate:1+=EPERM,populate:1+=ENOMEM");
	assert_int_equal(mpr_shmem_back(&s, 0, 65536), -ENOMEM);
	mpr_fault_set("fallocate:1");
	assert_int_equal(mpr_shmem_back(&s, 0, 65536), -ENOSPC);
	assert_int_equal(mpr_fault_hits(MPR_FAULT_POPULATE), 0);
	mpr_fault_set(NULL);
	assert_int_equal(mpr_shmem_backed(&s), 0);
	mpr_shmem_unmap(&s);
}

static void
ignore(int signal)
{
	(void)signal;
}

/* fallocate() starts from the beginning after each signal. */
static int
back_under_signals(struct mpt *t, void *arg)
{
	struct sigaction action = { .sa_handler = ignore };
	struct itimerval fast = { { 0, 200 }, { 0, 200 } }, never = { 0 };

	(void)arg;
	mpt_check_int(t, mpr_shmem_create(&s, 64 * MIB, 4096, false), 0);
	sigaction(SIGALRM, &action, NULL);
	mpt_check_int(t, setitimer(ITIMER_REAL, &fast, NULL), 0);
	mpt_check_int(t, mpr_shmem_back(&s, 0, 64 * MIB), 0);
	mpt_check_int(t, setitimer(ITIMER_REAL, &never, NULL), 0);
	mpt_check_int(t, mpr_shmem_backed(&s), 64 * MIB);
	return 0;
}

static void
signals_that_come_fast_do_not_keep_it_from_ending(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", back_under_signals, NULL), 0);
}

static bool
is_zero(size_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s.base[offset + i])
			return false;
	return true;
}

/* Whatever the system allows, what was given back is zero. */
static void
what_is_given_back_reads_as_zero(void **state)
{
	static const struct {
		const char *spec;
		bool kept;
	} ways[] = {
		{ "punch:9", false },
		{ "punch:1", false },
		{ "punch:1=EINTR", false },
		{ "punch:1+", true },
		{ "punch:1+=EPERM,fallocate:1+=EPERM", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
		assert_int_equal(mpr_shmem_back(&s, 0, MIB), 0);
		memset(s.base, 0x5a, MIB);
		assert_int_equal(mpr_fault_set(ways[i].spec), 0);
		assert_int_equal(mpr_shmem_unback(&s, 65536, 131072), 0);
		mpr_fault_set(NULL);
		assert_int_equal(mpr_shmem_backed(&s),
				 ways[i].kept ? MIB : MIB - 131072);
		assert_true(is_zero(65536, 131072));
		assert_int_equal(s.base[65535], 0x5a);
		assert_int_equal(s.base[65536 + 131072], 0x5a);
		mpr_shmem_unmap(&s);
	}
}

static void
it_can_be_given_back_after_the_descriptor_was_closed(void **state)
{
	(void)state;
	for (int refused = 0; refused < 2; refused++) {
		assert_int_equal(mpr_shmem_create(&s, MIB, 4096, false), 0);
		close(s.file.fd);
		assert_int_equal(mpr_shmem_back(&s, 0, MIB), 0);
		memset(s.base, 0x5a, MIB);
		mpr_fault_set(refused ? "punch:1+" : NULL);
		assert_int_equal(mpr_shmem_unback(&s, 0, MIB), 0);
		mpr_fault_set(NULL);
		assert_int_equal(pages_in_core(), refused ? 256 : 0);
		assert_true(is_zero(0, MIB));
		mpr_shmem_unmap(&s);
	}
}

/* In a file system of 2 MiB. */
static int
fill_the_file_system(struct mpt *t, void *arg)
{
	const char *path = arg;

	mpt_mount_private(t);
	mpt_mount_read_only(t, "/dev/shm");
	mpt_mount_tmpfs(t, path, "size=2m");
	mpr_fault_set("memfd:1+");
	mpt_check_int(t, mpr_shmem_create(&s, 64 * MIB, 4096, false), 0);
	mpt_check(t, strcmp(s.file.directory, path) == 0);
	mpt_check_int(t, mpr_shmem_back(&s, 0, MIB), 0);
	memset(s.base, 0x5a, MIB);

	/* By the file and by the mapping: an error. */
	for (int i = 0; i < 2; i++) {
		mpt_check_int(t, mpr_shmem_back(&s, 4 * MIB, 2 * MIB),
			      -ENOSPC);
		mpt_check(t, strstr(mproc_error_detail(), "2097152 bytes"));
		mpt_check(t, strstr(mproc_error_detail(), path));
		mpt_check(t, strstr(mproc_error_detail(), " of 2097152 "));
		mpt_check_int(t, strstr(mproc_error_detail(), "--shm-size") !=
				 NULL, strcmp(path, "/dev/shm") == 0);
		mpr_fault_set("memfd:1+,fallocate:1+=EPERM");
	}
	mpr_fault_set(NULL);
	mpt_check_int(t, mpr_shmem_unback(&s, 4 * MIB, 2 * MIB), 0);
	mpt_check_int(t, mpr_shmem_backed(&s), MIB);
	/* What cannot be given back is wiped, full or not. */
	mpt_check_int(t, mpr_shmem_back(&s, MIB, MIB / 2), 0);
	mpr_fault_set("punch:1+");
	mpt_check_int(t, mpr_shmem_unback(&s, 0, MIB), 0);
	mpt_check(t, is_zero(0, MIB));
	/* Unless that would need memory that is not there. */
	memset(s.base, 0x5a, MIB);
	mpt_check_int(t, mpr_shmem_unback(&s, 0, 8 * MIB), -ENOSPC);
	mpt_check_int(t, s.base[MIB - 1], 0x5a);
	/* And it can be used again. */
	mpr_fault_set(NULL);
	mpt_check_int(t, mpr_shmem_unback(&s, 0, 8 * MIB), 0);
	mpt_check_int(t, mpr_shmem_back(&s, 4 * MIB, 2 * MIB), 0);
	memset(s.base + 4 * MIB, 1, 2 * MIB);
	/* Where nobody can be asked, storing itself would raise SIGBUS. */
	close(s.file.fd);
	mpt_check_int(t, mpr_shmem_back(&s, 8 * MIB, 4096), -ENOSPC);
	mpr_shmem_unmap(&s);
	return 0;
}

static void
a_full_file_system_is_an_error_with_its_size(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "shm", fill_the_file_system,
				     (char[]){ "/dev/shm" }), 0);
	mpt_expect_exit(t, mpt_spawn(t, "tmp", fill_the_file_system,
				     (char[]){ "/tmp" }), 0);
}

static int
ask_for_more_than_there_is(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/dev/shm", NULL);
	mpt_write_file(t, "/dev/shm/meminfo", "MemTotal: 9999 kB\n"
		       "MemAvailable: 1000 kB\nSwapFree: 0 kB\n");
	mpt_mount_file(t, "/dev/shm/meminfo", "/proc/meminfo");
	mpt_check_int(t, mpr_shmem_create(&s, 64 * MIB, 4096, false), 0);
	/* Small requests are not worth the question. */
	mpr_fault_set("open:9999");
	mpt_check_int(t, mpr_shmem_back(&s, 0, MIB - 4096), 0);
	mpt_check_int(t, mpr_fault_hits(MPR_FAULT_OPEN), 0);
	mpt_check_int(t, mpr_shmem_back(&s, 4 * MIB, MIB), -ENOMEM);
	mpt_check(t, mpr_fault_hits(MPR_FAULT_OPEN) > 0);
	mpt_check_int(t, mpr_shmem_backed(&s), MIB - 4096);
	mpt_check(t, strcmp(mproc_error_detail(),
			    "allocating 1048576 bytes of shared memory, "
			    "1044480 are in use: the machine has 1024000 of "
			    "10238976 bytes left") == 0);
	mpr_shmem_unmap(&s);
	return 0;
}

static void
more_than_the_machine_has_is_refused_before_it_is_taken(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", ask_for_more_than_there_is,
				     NULL), 0);
}

static int
allocate_the_rest(struct mpt *t, void *arg)
{
	(void)arg;
	mpt_mount_private(t);
	mpt_mount_tmpfs(t, "/dev/shm", NULL);
	mpt_write_file(t, "/dev/shm/meminfo", "MemTotal: 9999 kB\n"
		       "MemAvailable: 9000 kB\nSwapFree: 0 kB\n");
	mpt_mount_file(t, "/dev/shm/meminfo", "/proc/meminfo");
	mpt_check_int(t, mpr_shmem_create(&s, 16 * MIB + 1, 4096, false), 0);
	mpt_check_int(t, mpr_shmem_back(&s, 0, 2 * MIB), 0);
	mpt_check_int(t, mpr_shmem_back_rest(&s), -ENOMEM);
	mpt_check(t, strstr(mproc_error_detail(), "allocating 14680065 "));
	mpt_check_int(t, mpr_shmem_backed(&s), 2 * MIB);
	mpt_check_int(t, mpr_shmem_back(&s, 8 * MIB, 8 * MIB + 1), 0);
	mpt_check_int(t, mpr_shmem_back_rest(&s), 0);
	mpt_check_int(t, mpr_shmem_backed(&s), 16 * MIB + 4096);
	/* Nothing is left to ask for. */
	mpt_check_int(t, mpr_shmem_back_rest(&s), 0);
	mpr_shmem_unmap(&s);
	return 0;
}

static void
the_rest_is_all_that_is_asked_for(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", allocate_the_rest, NULL), 0);
}

static int
create_with_all_memory_locked(struct mpt *t, void *arg)
{
	int r;

	(void)arg;
	mpt_check_int(t, mlockall(MCL_FUTURE), 0);
	r = mpr_shmem_create(&s, 4 * MIB, 4096, false);
	/* Where so much may not be locked it is an error. */
	if (r < 0) {
		mpt_check_int(t, r, -ENOMEM);
		return 0;
	}
	mpt_check_int(t, mpr_shmem_backed(&s), 0);
	mpt_check(t, !has_vm_flag(s.base, " lo"));
	mpt_check_int(t, mpr_shmem_back(&s, 0, 65536), 0);
	s.base[0] = 1;
	mpt_check_int(t, mpr_shmem_backed(&s), 65536);
	mpr_shmem_unmap(&s);
	return 0;
}

static void
it_is_sparse_where_all_memory_is_locked(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_spawn(t, "role", create_with_all_memory_locked,
				     NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_is_aligned_zeroed_and_gone_after_unmap),
		mpt_test(its_size_can_never_change),
		mpt_test(it_lies_where_nothing_else_comes),
		mpt_test(it_can_be_mapped_where_another_process_has_it),
		mpt_test(a_forked_child_has_it_at_the_same_address),
		mpt_test(it_is_sparse_until_it_is_backed),
		mpt_test(backing_keeps_what_is_there),
		mpt_test(backing_makes_no_file_larger),
		mpt_test(it_can_be_backed_after_the_descriptor_was_closed),
		mpt_test(it_stays_out_of_core_dumps),
		mpt_test(more_than_the_file_size_limit_is_an_error_and_no_signal),
		mpt_test(no_descriptor_is_an_error),
		mpt_test(
			more_than_the_address_space_is_an_error_that_leaves_nothing),
		mpt_test(a_failure_half_way_leaves_nothing),
		mpt_test(an_unnamed_file_serves_as_well),
		mpt_test(memory_is_allocated_through_the_mapping_if_need_be),
		mpt_test(signals_that_come_fast_do_not_keep_it_from_ending),
		mpt_test(what_is_given_back_reads_as_zero),
		mpt_test(it_can_be_given_back_after_the_descriptor_was_closed),
		mpt_test(a_full_file_system_is_an_error_with_its_size),
		mpt_test(
			more_than_the_machine_has_is_refused_before_it_is_taken),
		mpt_test(the_rest_is_all_that_is_asked_for),
		mpt_test(it_is_sparse_where_all_memory_is_locked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
