/* SPDX-License-Identifier: MIT */
/* A task is a block with a number; the worker puts its square there and hands the
 * block back, as GLib's pools have no results. */
#include "pool_glib.h"

#include <glib.h>
#include <stdint.h>

struct task {
	uint64_t in;
	uint64_t out;
};

static void
square(gpointer data, gpointer results)
{
	struct task *t = data;

	t->out = t->in * t->in;
	g_async_queue_push(results, t);
}

/* Takes a result; whether it is right. */
static bool
take(GAsyncQueue *results)
{
	struct task *t = g_async_queue_pop(results);
	bool right = t->out == t->in * t->in;

	g_free(t);
	return right;
}

int
bench_glib_squares(unsigned workers, unsigned n, bool one_by_one)
{
	GAsyncQueue *results = g_async_queue_new();
	GThreadPool *pool = g_thread_pool_new(square, results, (gint)workers,
					      TRUE, NULL);
	bool right = true;

	for (unsigned i = 0; i < n; i++) {
		struct task *t = g_new(struct task, 1);

		*t = (struct task){ .in = i };
		g_thread_pool_push(pool, t, NULL);
		if (one_by_one)
			right &= take(results);
	}
	for (unsigned i = 0; i < n && !one_by_one; i++)
		right &= take(results);
	g_thread_pool_free(pool, FALSE, TRUE);
	g_async_queue_unref(results);
	return right ? 1 : -1;
}
