/* SPDX-License-Identifier: MIT */
/*
 * How many CPUs may we use? The affinity mask tells how many there are, the
 * control group how much time on them.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mproc/core.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "os/cpu.h"

/* Enough for any machine; sched_getaffinity() fails if it is not. */
#define CPUS_MAX 8192

static int
affinity_count(void)
{
	cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	int n = 1;

	if (!set)
		return 1;
	if (sched_getaffinity(0, size, set) == 0)
		n = CPU_COUNT_S(size, set);
	CPU_FREE(set);
	return n > 0 ? n : 1;
}

/* The text of a small file, or false. */
static bool
read_text(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t n;

	if (!file)
		return false;
	n = fread(text, 1, size - 1, file);
	fclose(file);
	text[n] = '\0';
	return n > 0;
}

/* CPUs that quota and period are worth, rounded up; 0 for no limit. */
static int
quota_cpus(long long quota, long long period)
{
	if (quota <= 0 || period <= 0)
		return 0;
	return (int)((quota + period - 1) / period);
}

/* The quota of the control group that this process sees as its root (version
 * 2, as containers have it) or of version 1; 0 for none. */
static int
cgroup_count(void)
{
	char text[128], quota[32];
	long long period;

	if (read_text("/sys/fs/cgroup/cpu.max", text, sizeof(text)) &&
	    sscanf(text, "%31s %lld", quota, &period) == 2 &&
	    strcmp(quota, "max") != 0)
		return quota_cpus(strtoll(quota, NULL, 10), period);
	if (read_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota,
		      sizeof(quota)) &&
	    read_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us", text,
		      sizeof(text)))
		return quota_cpus(strtoll(quota, NULL, 10),
				  strtoll(text, NULL, 10));
	return 0;
}

int
mproc_cpu_count(void)
{
	int allowed = affinity_count();
	int quota = cgroup_count();

	return quota > 0 && quota < allowed ? quota : allowed;
}

int
mpr_cpu_bind(const int *cpus, int n)
{
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	cpu_set_t *set = mpr_zalloc(size);
	int r;

	if (!set)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		if (cpus[i] >= 0 && cpus[i] < CPUS_MAX)
			CPU_SET_S((size_t)cpus[i], size, set);
	r = mpr_fault(MPR_FAULT_AFFINITY) ||
			    sched_setaffinity(0, size, set) < 0 ?
		    -errno : 0;
	free(set);
	return r;
}
