/* SPDX-License-Identifier: MIT */
/*
 * A pool of workers counts letters. One of the texts kills its worker: that task
 * fails and says how, all others are done.
 */
#include <ctype.h>
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define TEXTS 5

static const char *const texts[TEXTS] = {
	"a worker takes a task",
	"and leaves its result",
	"KILL",
	"whoever is killed",
	"every future completes",
};

static int
count_letters(const void *in, size_t len, struct mproc_result *out)
{
	const char *text = in;
	int n = 0;

	if (len == 4 && memcmp(text, "KILL", 4) == 0)
		raise(SIGKILL);
	for (size_t i = 0; i < len; i++)
		n += isalpha((unsigned char)text[i]) != 0;
	return mproc_result_set(out, &n, sizeof(n));
}

static int
print_result(const char *text, mproc_future *f)
{
	struct mproc_exit end;
	int n, r;

	r = mproc_future_get(f, &n, sizeof(n), NULL, MPROC_FOREVER);
	if (r == 0)
		printf("%d letters: %s\n", n, text);
	else if (r == MPROC_TASK_FAILED && mproc_future_exit_info(f, &end) == 0)
		printf("signal %d ended the worker: %s\n", end.signal, text);
	mproc_future_close(f);
	return r < 0 ? r : 0;
}

int
main(void)
{
	mproc_future *futures[TEXTS];
	mproc_pool *pool = NULL;
	int r;

	r = mproc_pool_create(&pool, MPROC_OPTS(mproc_pool_opts, .workers = 2));
	for (int i = 0; i < TEXTS && r == 0; i++)
		r = mproc_pool_submit(pool, count_letters, texts[i],
				      strlen(texts[i]), &futures[i]);
	for (int i = 0; i < TEXTS && r == 0; i++)
		r = print_result(texts[i], futures[i]);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", mproc_strerror(r),
			mproc_error_detail());
	/* Ends the workers, and frees what is left. */
	mproc_pool_free(pool);
	return r < 0;
}
