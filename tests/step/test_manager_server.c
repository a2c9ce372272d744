/* SPDX-License-Identifier: MIT */
/*
 * The server of a manager is killed after each instruction of what it does about one
 * request for a dict, a list, an array, a queue, or a method of a registered type. The
 * client learns of it at once. By another server on the same arena it was carried out or
 * not, and nothing is torn.
 *
 * Locks and the like are in test_manager_server_lock.c.
 */
#include "ipc/queue_shm.h"
#include "manager_data.h"
#include "manager_queues.h"
#include "manager_server.h"

/* The header of a queue's blocks, and that of the first messages. */
#define BLOCKS_SEEN (9 * 64)

static uint64_t
hash_queue(uint64_t h, const mproc_arena *a, const mproc_queue *q)
{
	uint64_t offset = q->lanes;

	h = hash(h, q, sizeof(*q));
	for (int i = 0; i < 2 && offset; i++) {
		const struct mpr_lane *lane = mpr_arena_at(a, offset);

		h = hash(h, lane, sizeof(*lane));
		offset = lane->next;
	}
	offset = q->blocks;
	return offset ? hash(h, mpr_arena_at(a, offset), BLOCKS_SEEN) : h;
}

static uint64_t
hash_queues(uint64_t h, const mproc_arena *a, const struct objects *o)
{
	return hash_queue(hash_queue(h, a, o->queue), a, o->ack);
}

/*
 * Dicts, lists and arrays.
 */

/* The first ones. */
static void
set_many_check(struct scene *s, bool finished)
{
	char c, before = 'b';

	(void)s;
	for (int i = 0; i < ITEMS; i++, before = c) {
		c = letter_at(i);
		assert_true(c == before || (c == 'a' && !finished));
	}
}

/* Where it lies, it is the test's. */
static void
array_begin(struct scene *s)
{
	(void)s;
	memset(objects.a, 0, ITEMS * sizeof(objects.a[0]));
}

/* Each element for itself. */
static void
array_set_check(struct scene *s, bool finished)
{
	uint64_t found[ITEMS];

	(void)s;
	assert_int_equal(mproc_array_get(objects.a, 0, found, sizeof(found)), 0);
	for (int i = 0; i < ITEMS; i++)
		assert_true(found[i] == UINT64_MAX || (!found[i] && !finished));
}

static const struct op data_ops[] = {
	{ "server, dict set", dict_begin, NULL, dict_set, dict_set_check },
	{ "server, dict get", dict_begin, NULL, dict_get, dict_get_check },
	{ "server, dict pop", dict_begin, NULL, dict_pop, dict_pop_check },
	{ "server, dict set_many", dict_begin, NULL, dict_set_many, set_many_check },
	{ "server, list append", list_begin, NULL, list_append, list_append_check },
	{ "server, list pop", list_begin, NULL, list_pop, list_pop_check },
	{ "server, array set", array_begin, NULL, array_set, array_set_check },
	{ "server, array add", array_begin, NULL, array_add, array_add_check },
};

/*
 * Queues.
 */

static const struct op queue_ops[] = {
	{ "server, queue put", NULL, NULL, queue_put, queue_put_check },
	{ "server, queue put, ack", NULL, NULL, ack_put, ack_put_check },
	{ "server, queue get", queue_begin, NULL, queue_get, queue_get_check },
	{ "server, queue get, ack", ack_begin, NULL, ack_get, ack_get_check },
	{ "server, queue task_done", ack_begin, ack_get, ack_done, ack_done_check },
	{ "server, end of who has a message", ack_begin, ack_get, NULL, ack_get_check },
};

/*
 * Methods of a registered type.
 */

/* It is made when there is somebody to serve. */
static int
find_nothing(mproc_manager *m)
{
	objects.m = m;
	return 0;
}

/* Then there is a worker. */
static int
call_ready(struct scene *s)
{
	int r = mproc_manager_object(objects.m, "counter", "count");

	(void)s;
	return r < 0 ? r : add(0, NULL);
}

static void
call_check(struct scene *s, bool finished)
{
	assert_int_equal(call_ready(s), 0);
	expect_counted(&s->count, finished);
}

static const struct op call_ops[] = {
	{ "server, call", NULL, call_ready, call_run, call_check },
};

static void
server_killed_with_data(void **state)
{
	static const struct kind data = { .find = find_data };

	step_ops(*state, &data, data_ops, N_OPS(data_ops));
}

static void
server_killed_with_messages(void **state)
{
	static const struct kind queues = {
		.find = find_queues, .state = hash_queues, .recovers = true,
	};

	step_ops(*state, &queues, queue_ops, N_OPS(queue_ops));
}

static void
server_killed_with_a_call(void **state)
{
	static const struct kind calls = {
		.find = find_nothing, .register_type = register_counter,
	};

	step_ops(*state, &calls, call_ops, N_OPS(call_ops));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(server_killed_with_data),
		mpt_test(server_killed_with_messages),
		mpt_test(server_killed_with_a_call),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
