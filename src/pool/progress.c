/* SPDX-License-Identifier: MIT */
/*
 * The line that shows how far a map is.
 */
#include <stdio.h>
#include <string.h>

#include <mproc/pool.h>

#include "os/terminal.h"

#define STANDARD_ERROR 2
#define WIDTH_MAX 512
#define SECOND INT64_C(1000000000)

/* How long the rest takes if it goes on as until now; -1 if nothing is known yet. */
static int64_t
seconds_left(const struct mproc_progress *p, size_t done, size_t n)
{
	double took = (double)(mproc_now() - p->started) / (double)SECOND;
	double left;

	if (done <= p->first || took <= 0)
		return -1;
	left = took * (double)(n - done) / (double)(done - p->first);
	return left < 1e9 ? (int64_t)(left + 0.5) : -1;
}

/* What stands behind the bar. */
static void
write_figures(const struct mproc_progress *p, size_t done, size_t n, char *text,
	      size_t size)
{
	int64_t left = seconds_left(p, done, n);
	double part = n ? (double)done / (double)n : 1;
	int len = snprintf(text, size, " %3d %% %zu/%zu", (int)(part * 100), done,
			   n);

	if (done < n && left >= 0 && len > 0 && (size_t)len < size)
		snprintf(text + len, size - (size_t)len, ", %d:%02d:%02d left",
			 (int)(left / 3600), (int)(left / 60 % 60),
			 (int)(left % 60));
}

/* One line, which takes the place of the one before. */
static void
draw(const struct mproc_progress *p, int fd, unsigned columns, size_t done,
     size_t n)
{
	const char *label = p->label ? p->label : "";
	char line[WIDTH_MAX + 2], figures[128];
	size_t width = columns - 1 < WIDTH_MAX ? columns - 1 : WIDTH_MAX, at = 1;
	size_t before = strlen(label), behind, bar, full;

	write_figures(p, done, n, figures, sizeof(figures));
	behind = strlen(figures);
	if (before > width)
		before = width;
	if (behind > width - before)
		behind = width - before;
	memset(line, ' ', sizeof(line));
	line[0] = '\r';
	memcpy(line + at, label, before);
	at += before;
	bar = width - before - behind;
	/* With a space and two brackets around it. */
	if (bar >= 6) {
		full = n ? (size_t)((double)(bar - 3) * ((double)done / (double)n)) :
			   bar - 3;
		line[at + 1] = '[';
		memset(line + at + 2, '#', full);
		line[at + bar - 1] = ']';
		at += bar;
	}
	memcpy(line + at, figures, behind);
	at = width + 1;
	if (done == n)
		line[at++] = '\n';
	mpr_terminal_write(fd, line, at);
}

/* Where nobody looks on. */
static void
tell_end(const struct mproc_progress *p, int fd, size_t n)
{
	char line[WIDTH_MAX];
	int len = snprintf(line, sizeof(line), "%.200s%s%zu/%zu\n",
			   p->label ? p->label : "", p->label ? " " : "", n, n);

	mpr_terminal_write(fd, line, (size_t)len);
}

void
mproc_progress_bar(size_t done, size_t n, void *progress)
{
	struct mproc_progress none = { 0 };
	struct mproc_progress *p = progress ? progress : &none;
	int fd = p->fd ? p->fd : STANDARD_ERROR;
	unsigned columns = mpr_terminal_columns(fd);

	if (done > n)
		done = n;
	if (!p->started) {
		p->started = mproc_now();
		p->first = done;
	}
	if (columns > 1)
		draw(p, fd, columns, done, n);
	else if (done == n)
		tell_end(p, fd, n);
	/* For the next map. */
	if (done == n)
		p->started = 0;
}
