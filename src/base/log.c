/* SPDX-License-Identifier: MIT */
/*
 * Log lines go to the user's function or to standard error. The environment is
 * read once, by whoever logs first; two threads that do so at the same time
 * find the same answer.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mproc/core.h>

#include "base/log.h"

#define LEVEL_UNKNOWN (-1)

static _Atomic int threshold = LEVEL_UNKNOWN;
static mproc_log_fn *receiver;
static void *receiver_ctx;

static const char *const names[] = {
	[MPROC_LOG_OFF] = "off",     [MPROC_LOG_ERROR] = "error",
	[MPROC_LOG_WARNING] = "warning", [MPROC_LOG_INFO] = "info",
	[MPROC_LOG_DEBUG] = "debug",
};

static int
level_from_environment(void)
{
	const char *wanted = getenv("MPROC_LOG");

	for (int i = 0; wanted && i < (int)MPR_ARRAY_LEN(names); i++)
		if (strcmp(wanted, names[i]) == 0)
			return i;
	return MPROC_LOG_OFF;
}

void
mproc_log_set(int level, mproc_log_fn *fn, void *ctx)
{
	receiver = fn;
	receiver_ctx = ctx;
	atomic_store(&threshold, level);
}

void
mpr_log(int level, const char *format, ...)
{
	int limit = atomic_load_explicit(&threshold, memory_order_relaxed);
	int saved = errno;
	char text[256];
	va_list args;

	if (limit == LEVEL_UNKNOWN) {
		limit = level_from_environment();
		atomic_store_explicit(&threshold, limit, memory_order_relaxed);
	}
	if (level > limit)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (receiver)
		receiver(receiver_ctx, level, text);
	else
		fprintf(stderr, "libmproc: %s: %s\n", names[level], text);
	errno = saved;
}
