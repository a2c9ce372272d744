/* SPDX-License-Identifier: MIT */
/*
 * What is asked of who says that it is a manager: calls that come to whatever they do.
 */
#ifndef HOSTILE_MANAGER_ASK_H
#define HOSTILE_MANAGER_ASK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <mproc/manager.h>

#include "mpt_rand.h"

static inline int
count_up(const struct mproc_any *old, struct mproc_any *value, void *ctx)
{
	int *left = ctx;

	*value = old ? *old : mproc_int(1);
	/* Who always says that somebody was faster is given up. */
	return (*left)-- > 0 ? 1 : 0;
}

/* Of a list, which comes with many values. */
static inline int
ask_list(mproc_manager *m)
{
	struct mproc_any got[3];
	mproc_list *l;
	size_t n = 0;
	int r = mproc_manager_list(m, "lists", &l);

	if (r == 0)
		r = mproc_list_slice(l, 0, INT64_MAX, got, 3, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		mproc_any_clear(&got[i]);
	return r;
}

/* Several keys. */
static inline int
ask_many(mproc_dict *d)
{
	const struct mproc_any keys[3] = { mproc_int(1), mproc_str("abc") };
	const struct mproc_dict_item items[2] = { { keys[0], keys[1] } };
	struct mproc_any got[3];
	bool there[3];
	int r = mproc_dict_get_many(d, keys, 3, got, there), n = 0;

	for (int i = 0; i < 3; i++) {
		n += there[i];
		mproc_any_clear(&got[i]);
	}
	if (r >= 0)
		assert_int_equal(n, r);
	return r < 0 ? r : mproc_dict_set_many(d, items, 2);
}

/* Of a queue, which comes as bytes. */
static inline int
ask_queue(struct mpt_rand *rand, mproc_manager *m)
{
	struct mproc_queue_stat st;
	char buf[5] = "abcd";
	struct iovec msgs[3] = { { buf, 1 }, { buf + 1, 2 }, { NULL, 0 } };
	mproc_queue *q, *dlq;
	const void *shown;
	size_t len;
	int r = mproc_manager_queue(m, "jobs", NULL, &q);

	if (r < 0)
		return r;
	switch (mpt_rand_below(rand, 6)) {
	case 0:
		return mproc_queue_put_many(q, msgs, 3, MPROC_NOWAIT);
	case 1:
		return mproc_queue_get(q, buf, sizeof(buf), &len, MPROC_NOWAIT);
	case 2:
		return mproc_queue_get_many(q, buf, sizeof(buf), msgs, 3,
					    MPROC_NOWAIT);
	case 3:
		r = mproc_queue_peek(q, &shown, &len, MPROC_NOWAIT);
		return r < 0 ? r : mproc_queue_release(q, shown);
	case 4:
		return mproc_queue_stat(q, &st);
	}
	(void)mproc_queue_len(q);
	return mproc_queue_dead_letters(q, &dlq);
}

/* One call, whatever comes of it. */
static inline int
ask(struct mpt_rand *rand, mproc_manager *m, mproc_dict *d)
{
	struct mproc_any got = mproc_nil(), key = mproc_nil(), one = mproc_int(1);
	struct mproc_cursor c = { { 0 } };
	char text[8];
	int64_t i64;
	double f64;
	int r, left = 3;

	switch (mpt_rand_below(rand, 18)) {
	case 0:
		r = mproc_dict_get(d, one, &got);
		break;
	case 1:
		r = mproc_dict_get_int(d, one, &i64);
		break;
	case 2:
		r = mproc_dict_get_float(d, one, &f64);
		break;
	case 3:
		r = mproc_dict_get_str(d, one, text, sizeof(text), NULL);
		break;
	case 4:
		r = mproc_dict_pop(d, one, &got);
		break;
	case 5:
		r = mproc_dict_pop_item(d, &key, &got);
		break;
	case 6:
		r = mproc_dict_set_default(d, one, one, &got);
		break;
	case 7:
		r = mproc_dict_add(d, one, one, &got);
		break;
	case 8:
		r = mproc_dict_next(d, &c, &key, &got);
		break;
	case 9:
		r = mproc_dict_update(d, one, count_up, &left);
		break;
	case 10:
		r = mproc_dict_compare_exchange(d, one, &one, NULL);
		break;
	case 11:
	case 12:
		r = ask_list(m);
		break;
	case 13:
	case 14:
		r = ask_many(d);
		break;
	case 15:
		r = ask_queue(rand, m);
		break;
	default:
		(void)mproc_dict_len(d);
		r = mproc_dict_set(d, one, one);
	}
	mproc_any_clear(&got);
	mproc_any_clear(&key);
	return r;
}

#endif
