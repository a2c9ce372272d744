/* SPDX-License-Identifier: MIT */
/*
 * Transparent huge pages of shared memory, which are off in most systems. Those of
 * hugetlbfs are no choice: they have to be set aside beforehand, and cannot be given
 * back in parts.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mproc/core.h>

#include "base/error.h"
#include "base/fault.h"
#include "os/huge.h"

#define SETTING "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/* The word of the file that is chosen, "[" and "]" around it; "" if there is none. */
static void
read_setting(char *text, size_t size)
{
	int fd = mpr_fault(MPR_FAULT_OPEN) ? -1 : open(SETTING,
						       O_RDONLY | O_CLOEXEC);
	char *begin, *end;
	ssize_t n;

	n = fd < 0 ? 0 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	begin = strchr(text, '[');
	end = begin ? strchr(begin, ']') : NULL;
	if (!end) {
		text[0] = '\0';
		return;
	}
	*end = '\0';
	memmove(text, begin + 1, (size_t)(end - begin));
}

int
mpr_huge_ask(void)
{
	char setting[128];

	read_setting(setting, sizeof(setting));
	if (!setting[0])
		return mpr_fail(-ENOTSUP, "no huge pages: this kernel has no %s",
				SETTING);
	if (strcmp(setting, "never") == 0 || strcmp(setting, "deny") == 0)
		return mpr_fail(-ENOTSUP, "no huge pages: %s is \"%s\", and not "
				"\"advise\"", SETTING, setting);
	return 0;
}

int
mpr_huge_use(const struct mpr_shmem *s)
{
	int r = mpr_huge_ask();

	if (r < 0)
		return r;
	if (s->file.directory)
		return mpr_fail(-ENOTSUP, "no huge pages: the memory is a file in "
				"%s", s->file.directory);
	if (mpr_fault(MPR_FAULT_MADVISE) ||
	    madvise(s->base, s->size, MADV_HUGEPAGE) < 0)
		return mpr_fail(-ENOTSUP, "no huge pages: MADV_HUGEPAGE: %s",
				mproc_strerror(-errno));
	return 0;
}
