/* SPDX-License-Identifier: MIT */
/*
 * progress.c - a line on the terminal that says how far the work is.
 */
#include "progress.h"

#include <inttypes.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t INTERVAL = 100 * 1000 * 1000;

void
progress_start(struct progress *p)
{
	memset(p, 0, sizeof(*p));
	p->shown = isatty(STDERR_FILENO);
	p->began = mproc_now();
	p->next = p->began + INTERVAL;
}

void
progress_show(struct progress *p)
{
	int64_t now;
	double seconds, rate;

	if (!p->shown)
		return;
	now = mproc_now();
	if (now < p->next)
		return;
	p->next = now + INTERVAL;
	seconds = (double)(now - p->began) / 1e9;
	rate = (double)p->bytes / seconds;
	fprintf(stderr, "\r%" PRIu64 " files, %.1f MB, %.0f MB/s", p->files,
		(double)p->bytes / 1e6, rate / 1e6);
	if (p->total_known && rate > 0)
		fprintf(stderr, ", %.0f s left",
			p->total_bytes > p->bytes
				? (double)(p->total_bytes - p->bytes) / rate
				: 0.0);
	else
		fprintf(stderr, ", still finding files");
	fprintf(stderr, "\033[K");
	fflush(stderr);
}

void
progress_end(struct progress *p)
{
	if (p->shown)
		fprintf(stderr, "\r\033[K");
	p->shown = false;
}
