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
#include "letters.h"
#include "manager_server.h"

enum { ITEMS = 3 };

/* The header of a queue's blocks, and that of the first messages. */
#define BLOCKS_SEEN (9 * 64)

static int
find_data(mproc_manager *m, struct objects *o)
{
	void *a;
	int r = mproc_manager_dict(m, "dict", &o->d);

	if (r == 0)
		r = mproc_manager_list(m, "list", &o->l);
	if (r == 0)
		r = mproc_manager_array(m, "array", sizeof(uint64_t), ITEMS, NULL, &a);
	if (r == 0)
		o->a = a;
	return r;
}

static int
find_queues(mproc_manager *m, struct objects *o)
{
	const struct mproc_queue_opts ack = {
		.struct_size = sizeof(ack), .ack = true, .max_redeliveries = -1,
	};
	int r = mproc_manager_queue(m, "queue", NULL, &o->queue);

	return r < 0 ? r : mproc_manager_queue(m, "ack", &ack, &o->ack);
}

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

static int
find_caller(mproc_manager *m, struct objects *o)
{
	o->m = m;
	return 0;
}

/*
 * Dicts, lists and arrays.
 */

static char
letter_at(const struct objects *o, int64_t i)
{
	struct mproc_any any;
	int r = mproc_dict_get(o->d, mproc_int(i), &any);

	if (r < 0)
		assert_int_equal(r, -ENOENT);
	return r < 0 ? 0 : letter_of(&any);
}

static void
dict_begin(const struct objects *o)
{
	char text[LEN + 1];

	text_of(text, 'a');
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(mproc_dict_set(o->d, mproc_int(i), mproc_str(text)), 0);
}

static int
dict_set(const struct objects *o)
{
	char text[LEN + 1];

	return mproc_dict_set(o->d, mproc_int(1), text_of(text, 'b'));
}

static void
dict_set_check(struct scene *s, const struct objects *o, bool finished)
{
	char c = letter_at(o, 1);

	(void)s;
	assert_true(c == 'b' || (c == 'a' && !finished));
	assert_int_equal(mproc_dict_len(o->d), ITEMS);
}

static int
dict_get(const struct objects *o)
{
	struct mproc_any any;
	int r = mproc_dict_get(o->d, mproc_int(1), &any);

	if (r == 0)
		mproc_any_clear(&any);
	return r;
}

static void
dict_get_check(struct scene *s, const struct objects *o, bool finished)
{
	(void)s;
	(void)finished;
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(letter_at(o, i), 'a');
}

static int
dict_pop(const struct objects *o)
{
	struct mproc_any any;
	int r = mproc_dict_pop(o->d, mproc_int(1), &any);

	if (r == 0)
		mproc_any_clear(&any);
	return r;
}

static void
dict_pop_check(struct scene *s, const struct objects *o, bool finished)
{
	char c = letter_at(o, 1);

	(void)s;
	assert_true(!c || (c == 'a' && !finished));
	assert_int_equal(mproc_dict_len(o->d), c ? ITEMS : ITEMS - 1);
	dict_begin(o);
}

static int
dict_set_many(const struct objects *o)
{
	struct mproc_dict_item items[ITEMS];
	char text[LEN + 1];

	text_of(text, 'b');
	for (int i = 0; i < ITEMS; i++)
		items[i] = (struct mproc_dict_item){ mproc_int(i), mproc_str(text) };
	return mproc_dict_set_many(o->d, items, ITEMS);
}

/* The first ones. */
static void
dict_set_many_check(struct scene *s, const struct objects *o, bool finished)
{
	char c, before = 'b';

	(void)s;
	for (int i = 0; i < ITEMS; i++, before = c) {
		c = letter_at(o, i);
		assert_true(c == before || (c == 'a' && !finished));
	}
}

static void
list_begin(const struct objects *o)
{
	char text[LEN + 1];

	assert_int_equal(mproc_list_clear(o->l), 0);
	assert_int_equal(mproc_list_append(o->l, text_of(text, 'a')), 0);
}

static int
list_append(const struct objects *o)
{
	char text[LEN + 1];

	return mproc_list_append(o->l, text_of(text, 'b'));
}

static char
letter_in_list(const struct objects *o, int64_t i)
{
	struct mproc_any any;

	assert_int_equal(mproc_list_get(o->l, i, &any), 0);
	return letter_of(&any);
}

static void
list_append_check(struct scene *s, const struct objects *o, bool finished)
{
	size_t len = mproc_list_len(o->l);

	(void)s;
	assert_in_range(len, finished ? 2 : 1, 2);
	assert_int_equal(letter_in_list(o, 0), 'a');
	if (len == 2)
		assert_int_equal(letter_in_list(o, 1), 'b');
}

static int
list_pop(const struct objects *o)
{
	struct mproc_any any;
	int r = mproc_list_pop(o->l, -1, &any);

	if (r == 0)
		mproc_any_clear(&any);
	return r;
}

static void
list_pop_check(struct scene *s, const struct objects *o, bool finished)
{
	size_t len = mproc_list_len(o->l);

	(void)s;
	assert_in_range(len, 0, !finished);
	if (len)
		assert_int_equal(letter_in_list(o, 0), 'a');
	assert_int_equal(mproc_list_clear(o->l), 0);
}

static void
array_begin(const struct objects *o)
{
	memset(o->a, 0, ITEMS * sizeof(o->a[0]));
}

static int
array_set(const struct objects *o)
{
	uint64_t ones[ITEMS];

	memset(ones, 0xff, sizeof(ones));
	return mproc_array_set(o->a, 0, ones, sizeof(ones));
}

/* Each element for itself. */
static void
array_set_check(struct scene *s, const struct objects *o, bool finished)
{
	uint64_t found[ITEMS];

	(void)s;
	assert_int_equal(mproc_array_get(o->a, 0, found, sizeof(found)), 0);
	for (int i = 0; i < ITEMS; i++)
		assert_true(found[i] == UINT64_MAX || (!found[i] && !finished));
}

static int
array_add(const struct objects *o)
{
	return mproc_array_add(o->a, 1, sizeof(uint64_t), 5, NULL);
}

static void
array_add_check(struct scene *s, const struct objects *o, bool finished)
{
	uint64_t found[ITEMS];

	(void)s;
	assert_int_equal(mproc_array_get(o->a, 0, found, sizeof(found)), 0);
	assert_true(found[1] == 5 || (!found[1] && !finished));
	assert_int_equal(found[0] + found[2], 0);
}

static const struct op data_ops[] = {
	{ "server, dict set", dict_begin, NULL, dict_set, dict_set_check },
	{ "server, dict get", dict_begin, NULL, dict_get, dict_get_check },
	{ "server, dict pop", dict_begin, NULL, dict_pop, dict_pop_check },
	{ "server, dict set_many", dict_begin, NULL, dict_set_many, dict_set_many_check },
	{ "server, list append", list_begin, NULL, list_append, list_append_check },
	{ "server, list pop", list_begin, NULL, list_pop, list_pop_check },
	{ "server, array set", array_begin, NULL, array_set, array_set_check },
	{ "server, array add", array_begin, NULL, array_add, array_add_check },
};

/*
 * Queues.
 */

static int
put(mproc_queue *q, char c)
{
	char text[LEN + 1];

	text_of(text, c);
	return mproc_queue_put(q, text, LEN, BOUND);
}

/* The letter of a whole message, or an error. */
static int
get(mproc_queue *q, mproc_timeout timeout)
{
	char text[LEN + 1], whole[LEN + 1];
	size_t len;
	int r = mproc_queue_get(q, text, LEN, &len, timeout);

	if (r < 0)
		return r;
	text_of(whole, text[0]);
	return len == LEN && memcmp(text, whole, LEN) == 0 ? text[0] : -EBADMSG;
}

/* How many of each letter from 'a' on there are, which are done then. */
static void
drain(struct scene *s, mproc_queue *q, bool keeps, int found[ITEMS])
{
	int r;

	memset(found, 0, ITEMS * sizeof(found[0]));
	assert_true(mproc_arena_recover(s->arena) >= 0);
	while ((r = get(q, MPROC_NOWAIT)) >= 0) {
		assert_in_range(r, 'a', 'a' + ITEMS - 1);
		found[r - 'a']++;
		if (keeps)
			assert_int_equal(mproc_queue_task_done(q), 0);
	}
	assert_int_equal(r, -EAGAIN);
}

static int
queue_put(const struct objects *o)
{
	return put(o->queue, 'b');
}

static void
queue_put_check(struct scene *s, const struct objects *o, bool finished)
{
	int found[ITEMS];

	drain(s, o->queue, false, found);
	assert_in_range(found[1], finished, 1);
	assert_int_equal(found[0] + found[2], 0);
}

static void
queue_begin(const struct objects *o)
{
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(put(o->queue, (char)('a' + i)), 0);
}

static int
queue_get(const struct objects *o)
{
	return get(o->queue, BOUND);
}

static void
queue_get_check(struct scene *s, const struct objects *o, bool finished)
{
	int found[ITEMS];

	drain(s, o->queue, false, found);
	assert_in_range(found[0], 0, !finished);
	for (int i = 1; i < ITEMS; i++)
		assert_int_equal(found[i], 1);
}

static void
ack_begin(const struct objects *o)
{
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(put(o->ack, (char)('a' + i)), 0);
}

static int
ack_get(const struct objects *o)
{
	return get(o->ack, BOUND);
}

static int
ack_put(const struct objects *o)
{
	return put(o->ack, 'b');
}

static void
ack_put_check(struct scene *s, const struct objects *o, bool finished)
{
	int found[ITEMS];

	drain(s, o->ack, true, found);
	assert_in_range(found[1], finished, 1);
	assert_int_equal(found[0] + found[2], 0);
}

/* Each once, whoever has had it. */
static void
ack_get_check(struct scene *s, const struct objects *o, bool finished)
{
	int found[ITEMS];

	(void)finished;
	drain(s, o->ack, true, found);
	for (int i = 0; i < ITEMS; i++)
		assert_int_equal(found[i], 1);
	assert_int_equal(mproc_queue_join(o->ack, MPROC_NOWAIT), 0);
}

static int
ack_done(const struct objects *o)
{
	return mproc_queue_task_done(o->ack);
}

static void
ack_done_check(struct scene *s, const struct objects *o, bool finished)
{
	int found[ITEMS];

	drain(s, o->ack, true, found);
	assert_in_range(found[0], 0, !finished);
	for (int i = 1; i < ITEMS; i++)
		assert_int_equal(found[i], 1);
	assert_int_equal(mproc_queue_join(o->ack, MPROC_NOWAIT), 0);
}

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

static int
call_add(const struct objects *o, int64_t n, struct mproc_any *ret)
{
	const struct mproc_any arg = mproc_int(n);
	int r = mproc_manager_object(o->m, "counter", "count");

	return r < 0 ? r : mproc_manager_call(o->m, "count", "add", &arg, 1, ret, BOUND);
}

/* Then there is a worker. */
static int
call_ready(const struct objects *o)
{
	return call_add(o, 0, NULL);
}

static int
call_run(const struct objects *o)
{
	const struct mproc_any one = mproc_int(1);

	return mproc_manager_call(o->m, "count", "add", &one, 1, NULL, BOUND);
}

static void
call_check(struct scene *s, const struct objects *o, bool finished)
{
	struct mproc_any now;

	assert_int_equal(call_add(o, 0, &now), 0);
	assert_int_equal(now.kind, MPROC_INT);
	assert_in_range(now.i64, s->count + finished, s->count + 1);
	s->count = now.i64;
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
	static const struct kind queues = { .find = find_queues, .state = hash_queues };

	step_ops(*state, &queues, queue_ops, N_OPS(queue_ops));
}

static void
server_killed_with_a_call(void **state)
{
	static const struct kind calls = { .find = find_caller, .calls = true };

	step_ops(*state, &calls, call_ops, N_OPS(call_ops));
}

static int
setup(void **state)
{
	(void)state;
	return mproc_arena_default() ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(server_killed_with_data),
		mpt_test(server_killed_with_messages),
		mpt_test(server_killed_with_a_call),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
