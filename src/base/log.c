/* SPDX-License-Identifier: MIT */
/*
 * Log lines go to the user's function or to standard error. The environment is
 * read once, by whoever logs first; two threads that do so at the same time
 * find the same answer.
 *
 * Those of level info and above are rare, and are kept whether anybody wants
 * them or not, in a ring that a signal handler can read: no lock, and all words
 * of it are atomic. A line's number tells whether the text belongs to it.
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
_Atomic(void (*)(const char *line)) mpr_log_print;

#define TEXT 256 /* bytes of a line as receivers get it */

#define BEING_WRITTEN UINT64_MAX

struct line {
	_Atomic uint64_t number; /* plus 1; 0 as long as there is none */
	_Atomic int level;
	_Atomic char text[MPR_LOG_LINE];
};

static struct line lines[MPR_LOG_KEPT];
static _Atomic uint64_t count;

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
	if (wanted)
		return MPROC_LOG_OFF;
	wanted = getenv(MPR_LOG_CHECK);
	return wanted && strcmp(wanted, "1") == 0 ? MPROC_LOG_ERROR :
						    MPROC_LOG_OFF;
}

void
mproc_log_set(int level, mproc_log_fn *fn, void *ctx)
{
	receiver = fn;
	receiver_ctx = ctx;
	atomic_store(&threshold, level);
}

static void
keep(int level, const char *text)
{
	uint64_t n = atomic_fetch_add(&count, 1);
	struct line *line = &lines[n % MPR_LOG_KEPT];
	uint64_t before = atomic_load_explicit(&line->number,
					       memory_order_relaxed);
	char c = 1;

	/* The place is another's who has been overtaken, or who has overtaken
	 * us: nobody waits for a log line. */
	if (before > n ||
	    !atomic_compare_exchange_strong_explicit(
		    &line->number, &before, BEING_WRITTEN,
		    memory_order_relaxed, memory_order_relaxed))
		return;
	/* Each release pairs with the acquire in mpr_log_line(): who reads
	 * anything of the new line does not find the old number afterwards. */
	atomic_store_explicit(&line->level, level, memory_order_release);
	for (size_t i = 0; c; i++) {
		c = i < MPR_LOG_LINE - 1 ? text[i] : '\0';
		atomic_store_explicit(&line->text[i], c, memory_order_release);
	}
	/* Release pairs with the acquire in mpr_log_line(): who sees the number
	 * sees the text. */
	atomic_store_explicit(&line->number, n + 1, memory_order_release);
}

uint64_t
mpr_log_count(void)
{
	return atomic_load_explicit(&count, memory_order_relaxed);
}

bool
mpr_log_line(uint64_t n, int *ret_level, char ret_text[MPR_LOG_LINE])
{
	struct line *line = &lines[n % MPR_LOG_KEPT];

	if (atomic_load_explicit(&line->number, memory_order_acquire) != n + 1)
		return false;
	/* Acquire pairs with the releases in keep(), here and below: the number
	 * that is read at the end is no older than what was read before. */
	*ret_level = atomic_load_explicit(&line->level, memory_order_acquire);
	for (size_t i = 0; i < MPR_LOG_LINE; i++)
		ret_text[i] = atomic_load_explicit(&line->text[i],
						   memory_order_acquire);
	ret_text[MPR_LOG_LINE - 1] = '\0';
	return atomic_load_explicit(&line->number, memory_order_relaxed) ==
	       n + 1;
}

const char *
mpr_log_level_name(int level)
{
	return level >= 0 && level < (int)MPR_ARRAY_LEN(names) ? names[level] :
								 "?";
}

static void
print(int level, const char *text)
{
	/* Relaxed: nothing comes with it but the function itself. */
	void (*fn)(const char *line) = atomic_load_explicit(
		&mpr_log_print, memory_order_relaxed);
	char line[TEXT + 32];

	snprintf(line, sizeof(line), "libmproc: %s: %s\n", names[level], text);
	if (fn)
		fn(line);
	else
		fputs(line, stderr);
}

void
mpr_log(int level, const char *format, ...)
{
	int limit = atomic_load_explicit(&threshold, memory_order_relaxed);
	int saved = errno;
	char text[TEXT];
	va_list args;

	if (limit == LEVEL_UNKNOWN) {
		limit = level_from_environment();
		atomic_store_explicit(&threshold, limit, memory_order_relaxed);
	}
	if (level > limit && level > MPROC_LOG_INFO)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (level <= MPROC_LOG_INFO)
		keep(level, text);
	if (level > limit)
		; /* kept, but nobody wants to see it */
	else if (receiver)
		receiver(receiver_ctx, level, text);
	else
		print(level, text);
	errno = saved;
}
