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

#include <mproc/core.h>

#include "common.h"
#include "os/shmem.h"

#define MIB (UINT64_C(1) << 20)

static struct mpr_shmem s;

static void
it_is_aligned_zeroed_and_gone_after_unmap(void **state)
{
	(void)state;
	for (size_t align = 4096; align <= 64 * MIB; align *= 4) {
		assert_int_equal(mpr_shmem_create(&s, 3 * MIB, align), 0);
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
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096), 0);
	assert_int_equal(ftruncate(s.file.fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(s.file.fd, 2 * MIB), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(s.file.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	mpr_shmem_unmap(&s);
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

	assert_int_equal(mpr_shmem_create(&s, MIB, 4096), 0);
	s.base[5] = 17;
	mpt_expect_exit(t, mpt_spawn(t, "child", write_in_child, NULL), 0);
	assert_int_equal(s.base[6], 18);
	mpr_shmem_unmap(&s);
}

static void
it_is_sparse_until_it_is_backed(void **state)
{
	(void)state;
	assert_int_equal(mpr_shmem_create(&s, 1024 * MIB, 4096), 0);
	assert_int_equal(mpr_shmem_backed(&s), 0);
	assert_int_equal(mpr_shmem_back(&s, 512 * MIB, 64 * 1024), 0);
	assert_int_equal(mpr_shmem_backed(&s), 64 * 1024);
	mpr_shmem_unmap(&s);
}

static void
backing_keeps_what_is_there(void **state)
{
	(void)state;
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096), 0);
	memset(s.base + 100, 0x5a, 9000);
	assert_int_equal(mpr_shmem_back(&s, 0, MIB), 0);
	for (int i = 100; i < 9100; i++)
		assert_int_equal(s.base[i], 0x5a);
	assert_int_equal(mpr_shmem_backed(&s), MIB);
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
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096), 0);
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
	assert_int_equal(mpr_shmem_create(&s, MIB, 4096), 0);
	assert_true(has_vm_flag(s.base, " sh"));
	assert_true(has_vm_flag(s.base, " dd"));
	mpr_shmem_unmap(&s);
}

static int
create_above_the_file_size_limit(struct mpt *t, void *arg)
{
	struct rlimit limit = { MIB, MIB };

	(void)arg;
	signal(SIGXFSZ, SIG_DFL);
	mpt_check_int(t, setrlimit(RLIMIT_FSIZE, &limit), 0);
	mpt_check_int(t, mpr_shmem_create(&s, MIB + 4096, 4096), -EFBIG);
	mpt_check(t, strstr(mproc_error_detail(), "1052672"));
	mpt_check(t, strstr(mproc_error_detail(), "1048576"));
	mpt_check_int(t, mpr_shmem_create(&s, MIB, 4096), 0);
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
	mpt_check_int(t, mpr_shmem_create(&s, MIB, 4096), -EMFILE);
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
	assert_int_equal(mpr_shmem_create(&s, (size_t)1 << 56, 4096), -ENOMEM);
	assert_int_equal(mpt_fd_count(), fds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(it_is_aligned_zeroed_and_gone_after_unmap),
		mpt_test(its_size_can_never_change),
		mpt_test(a_forked_child_has_it_at_the_same_address),
		mpt_test(it_is_sparse_until_it_is_backed),
		mpt_test(backing_keeps_what_is_there),
		mpt_test(it_can_be_backed_after_the_descriptor_was_closed),
		mpt_test(it_stays_out_of_core_dumps),
		mpt_test(more_than_the_file_size_limit_is_an_error_and_no_signal),
		mpt_test(no_descriptor_is_an_error),
		mpt_test(
			more_than_the_address_space_is_an_error_that_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
