/* SPDX-License-Identifier: MIT */
/*
 * A bounded buffer, made of a lock and two conditions: producers wait while it is
 * full, consumers while it is empty. All of it is one structure in shared memory,
 * valid as soon as its bytes are zero.
 */
#include <mproc/mproc.h>
#include <stdio.h>

#define PRODUCERS 3
#define CONSUMERS 4
#define NUMBERS 2000 /* of each producer */
#define PLACES 8

struct buffer {
	mproc_lock lock;
	mproc_condition not_full;
	mproc_condition not_empty;
	unsigned first, used;
	long place[PLACES];
	unsigned producing; /* how many are not done yet */
	/* What the consumers found. */
	long taken, sum;
};

static struct buffer *b;

static int
is_not_full(void *arg)
{
	(void)arg;
	return b->used < PLACES;
}

static int
is_not_empty(void *arg)
{
	(void)arg;
	return b->used > 0 || b->producing == 0;
}

static int
put(long n)
{
	int r = mproc_lock_acquire(&b->lock, MPROC_FOREVER);

	if (r < 0)
		return r;
	r = mproc_condition_wait_for(&b->not_full, &b->lock, is_not_full, NULL,
				     mproc_sec(30));
	if (r == 0) {
		b->place[(b->first + b->used++) % PLACES] = n;
		mproc_condition_notify(&b->not_empty, 1);
	}
	mproc_lock_release(&b->lock);
	return r;
}

/* Returns 1 with a number, 0 when there will be no more. */
static int
get(long *ret_n)
{
	int r = mproc_lock_acquire(&b->lock, MPROC_FOREVER);

	if (r < 0)
		return r;
	r = mproc_condition_wait_for(&b->not_empty, &b->lock, is_not_empty,
				     NULL, mproc_sec(30));
	if (r == 0 && b->used) {
		*ret_n = b->place[b->first];
		b->first = (b->first + 1) % PLACES;
		b->used--;
		mproc_condition_notify(&b->not_full, 1);
		r = 1;
	}
	mproc_lock_release(&b->lock);
	return r;
}

static int
produce(void *arg)
{
	int r = 0;

	(void)arg;
	for (long n = 1; n <= NUMBERS && r == 0; n++)
		r = put(n);
	mproc_with_lock(&b->lock)
		if (--b->producing == 0)
			mproc_condition_notify_all(&b->not_empty);
	return r == 0 ? 0 : 1;
}

static int
consume(void *arg)
{
	long n = 0, taken = 0, sum = 0;
	int r;

	(void)arg;
	while ((r = get(&n)) == 1) {
		taken++;
		sum += n;
	}
	mproc_with_lock(&b->lock) {
		b->taken += taken;
		b->sum += sum;
	}
	return r == 0 ? 0 : 1;
}

int
main(void)
{
	mproc_process *all[PRODUCERS + CONSUMERS];
	int i, code, r = 0;

	b = mproc_alloc(sizeof(*b));
	if (!b)
		return 1;
	b->producing = PRODUCERS;
	for (i = 0; i < PRODUCERS + CONSUMERS && r == 0; i++)
		r = mproc_process_start(&all[i],
					i < PRODUCERS ? produce : consume, NULL,
					MPROC_OPTS(mproc_process_opts,
						   .daemon = true));
	if (r < 0) {
		fprintf(stderr, "%s\n", mproc_strerror(r));
		return 1;
	}
	for (i = 0; i < PRODUCERS + CONSUMERS; i++) {
		mproc_process_join(all[i], MPROC_FOREVER);
		if (mproc_process_exitcode(all[i], &code) < 0 || code != 0)
			r = 1;
		mproc_process_close(all[i]);
	}
	printf("%ld of %d numbers, their sum is %ld\n", b->taken,
	       PRODUCERS * NUMBERS, b->sum);
	mproc_free(b);
	return r;
}
