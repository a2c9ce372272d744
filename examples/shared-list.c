/* SPDX-License-Identifier: MIT */
/*
 * Two children take words from a shared list and put what they make of them into
 * another one. Then one is killed while it sorts that: the list is as it was, and
 * the parent sorts it.
 */
#include <ctype.h>
#include <mproc/mproc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define CHILDREN 2

static mproc_list *words, *capitals;

static int
capitalise(void *arg)
{
	struct mproc_any word;
	char text[64];
	int r = 0;

	(void)arg;
	while (r == 0 && mproc_list_pop(words, 0, &word) == 0) {
		/* A copy of our own, with a 0 behind it. */
		snprintf(text, sizeof(text), "%s", (const char *)word.ptr);
		mproc_any_clear(&word);
		text[0] = (char)toupper((unsigned char)text[0]);
		r = mproc_list_append(capitals, mproc_str(text));
	}
	return r == 0 ? 0 : 1;
}

static int
die(const struct mproc_any *a, const struct mproc_any *b, void *ctx)
{
	(void)ctx;
	raise(SIGKILL);
	return strcmp(a->ptr, b->ptr);
}

static int
sort_and_die(void *arg)
{
	(void)arg;
	return mproc_list_sort(capitals, die, NULL);
}

static int
fail(int r)
{
	fprintf(stderr, "%s\n", mproc_strerror(r));
	return 1;
}

int
main(void)
{
	static const char *const all[] = { "pear", "fig", "apple", "quince",
					   "cherry", "plum", "medlar" };
	const int n = (int)(sizeof(all) / sizeof(all[0]));
	mproc_process *child[CHILDREN];
	struct mproc_any word;
	int code, r;

	r = mproc_list_create(&words, NULL);
	if (r == 0)
		r = mproc_list_create(&capitals, NULL);
	for (int i = 0; i < n && r == 0; i++)
		r = mproc_list_append(words, mproc_str(all[i]));
	for (int i = 0; i < CHILDREN && r == 0; i++)
		r = mproc_process_start(&child[i], capitalise, NULL, NULL);
	if (r < 0)
		return fail(r);
	for (int i = 0; i < CHILDREN; i++) {
		mproc_process_join(child[i], MPROC_FOREVER);
		mproc_process_close(child[i]);
	}
	printf("%zu words left, %zu done\n", mproc_list_len(words),
	       mproc_list_len(capitals));

	r = mproc_process_start(&child[0], sort_and_die, NULL, NULL);
	if (r < 0)
		return fail(r);
	mproc_process_join(child[0], MPROC_FOREVER);
	if (mproc_process_exitcode(child[0], &code) == 0)
		printf("the child that sorted ended with %d\n", code);
	mproc_process_close(child[0]);

	r = mproc_list_sort(capitals, NULL, NULL);
	if (r < 0)
		return fail(r);
	for (size_t i = 0; mproc_list_next(capitals, &i, &word) == 0;
	     mproc_any_clear(&word))
		printf("%s\n", (const char *)word.ptr);
	mproc_list_destroy(words);
	mproc_list_destroy(capitals);
	return 0;
}
