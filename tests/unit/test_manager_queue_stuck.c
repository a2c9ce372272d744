/* SPDX-License-Identifier: MIT */
/*
 * Who takes too little of a message that others wait for has to go, and nobody else: by
 * the desk's looks, however much time there is between them.
 */
#include "common.h"
#include "ipc/attachment.h"
#include "ipc/queue_shm.h"
#include "manager/queue_desk_priv.h"

enum {
	IN_VAIN = 5, /* looks */
	LEAST = 32 << 10, /* bytes in that time */
	LONG = 100, /* times that, which the message has */
};

static mproc_queue q;
static struct mpr_attachment at = { .q = &q, .keeps = true };
static _Alignas(sizeof(struct mpr_message_group)) struct mpr_message_group group;
static struct mpr_queue_post post = { .q = &q, .at = &at };
static unsigned n_told;

static void
tell(struct mpr_served_by *by, struct mpr_served *c)
{
	(void)by;
	(void)c;
	n_told++;
}

/* It is on its way, and the kernel has nothing of it. */
static void
begin(struct mpr_queue_desk *d, struct mpr_served *c, struct mpr_handed *h, bool drains)
{
	*d = (struct mpr_queue_desk){ .tell = tell };
	*h = (struct mpr_handed){ .post = &post, .end = (uint64_t)LONG * LEAST,
				  .taken.block = &group.block[0] };
	post.desk = d;
	*c = (struct mpr_served){ .handed = h, .last_handed = h };
	h->party.client = c;
	atomic_store(&q.closing, drains ? MPROC_DRAIN : 0);
	n_told = 0;
	mpr_queue_desk_sent(d, c);
}

/* Returns after how many looks it has to go, at most @most. */
static unsigned
looks(struct mpr_queue_desk *d, const struct mpr_served *c, unsigned most)
{
	unsigned n = 0;

	while (n < most && !c->is_over) {
		mpr_queue_look_for_stuck(d);
		n++;
	}
	return n;
}

static void
send_more(struct mpr_queue_desk *d, struct mpr_served *c, uint64_t bytes)
{
	c->sent += bytes;
	mpr_queue_desk_sent(d, c);
}

static void
who_takes_nothing_has_to_go(void **state)
{
	struct mpr_queue_desk d;
	struct mpr_served c;
	struct mpr_handed h;

	(void)state;
	begin(&d, &c, &h, true);
	assert_int_equal(looks(&d, &c, IN_VAIN - 2), IN_VAIN - 2);
	assert_int_equal(n_told, 0);
	/* Once it is sent what there is room for. */
	assert_int_equal(looks(&d, &c, 1), 1);
	assert_int_equal(n_told, 1);
	assert_false(c.is_over);
	assert_int_equal(looks(&d, &c, 1), 1);
	assert_int_equal(n_told, 2);
	assert_true(c.is_over);
}

static void
who_had_room_at_last_stays(void **state)
{
	struct mpr_queue_desk d;
	struct mpr_served c;
	struct mpr_handed h;

	(void)state;
	begin(&d, &c, &h, true);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(looks(&d, &c, IN_VAIN - 1), IN_VAIN - 1);
		assert_int_equal(n_told, i + 1);
		send_more(&d, &c, LEAST);
		assert_false(c.is_over);
	}
	/* The end of it may be less than that. */
	send_more(&d, &c, h.end - c.sent - 1);
	assert_int_equal(looks(&d, &c, IN_VAIN - 1), IN_VAIN - 1);
	send_more(&d, &c, 1);
	assert_int_equal(looks(&d, &c, 3 * IN_VAIN), 3 * IN_VAIN);
	assert_null(d.stuck);
}

static void
who_takes_a_byte_now_and_then_has_to_go(void **state)
{
	struct mpr_queue_desk d;
	struct mpr_served c;
	struct mpr_handed h;

	(void)state;
	begin(&d, &c, &h, true);
	for (int i = 1; i < IN_VAIN; i++) {
		assert_int_equal(looks(&d, &c, 1), 1);
		send_more(&d, &c, 1);
	}
	assert_int_equal(looks(&d, &c, IN_VAIN), 1);
	assert_true(c.is_over);
}

/* Also one who has done so for long has its time when others come to wait. */
static void
nobody_has_to_go_for_whom_nobody_waits(void **state)
{
	struct mpr_queue_desk d;
	struct mpr_served c;
	struct mpr_handed h;

	(void)state;
	begin(&d, &c, &h, false);
	assert_int_equal(looks(&d, &c, 10 * IN_VAIN), 10 * IN_VAIN);
	assert_int_equal(n_told, 0);
	at.dead_letters = true;
	assert_int_equal(looks(&d, &c, 10 * IN_VAIN), 10 * IN_VAIN);
	/* Who joins watches its block. */
	atomic_store(&group.watched, 1);
	assert_int_equal(looks(&d, &c, 10 * IN_VAIN), IN_VAIN);
	atomic_store(&group.watched, 0);
	at.dead_letters = false;
	begin(&d, &c, &h, false);
	assert_int_equal(looks(&d, &c, IN_VAIN), IN_VAIN);
	atomic_store(&q.closing, MPROC_DRAIN);
	assert_int_equal(looks(&d, &c, 10 * IN_VAIN), IN_VAIN);
	/* Looks in a row. */
	begin(&d, &c, &h, true);
	assert_int_equal(looks(&d, &c, IN_VAIN - 1), IN_VAIN - 1);
	atomic_store(&q.closing, 0);
	assert_int_equal(looks(&d, &c, 1), 1);
	atomic_store(&q.closing, MPROC_DRAIN);
	assert_int_equal(looks(&d, &c, 10 * IN_VAIN), IN_VAIN);
}

/* Locks and the like, the place of an only consumer, a message: for as long as it has that. */
static void
nobody_has_to_go_who_holds_something(void **state)
{
	struct mpr_handed h, has = { .is_sent = true };
	struct mpr_queue_desk d;
	struct mpr_served c;
	struct mpr_lease lease;

	(void)state;
	begin(&d, &c, &h, true);
	c.leases = &lease;
	assert_int_equal(looks(&d, &c, 10 * IN_VAIN), 10 * IN_VAIN);
	c.leases = NULL;
	c.n_roles = 1;
	assert_int_equal(looks(&d, &c, 10 * IN_VAIN), 10 * IN_VAIN);
	c.n_roles = 0;
	c.handed = &has;
	assert_int_equal(looks(&d, &c, 10 * IN_VAIN), 10 * IN_VAIN);
	assert_int_equal(n_told, 0);
	c.handed = &h;
	assert_int_equal(looks(&d, &c, 10 * IN_VAIN), IN_VAIN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(who_takes_nothing_has_to_go),
		mpt_test(who_had_room_at_last_stays),
		mpt_test(who_takes_a_byte_now_and_then_has_to_go),
		mpt_test(nobody_has_to_go_for_whom_nobody_waits),
		mpt_test(nobody_has_to_go_who_holds_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
