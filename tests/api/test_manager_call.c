/* SPDX-License-Identifier: MIT */
/*
 * Objects of types of the program's own: their methods are called here and by clients,
 * and may crash, hang, or be too slow.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "manager.h"

#define PATIENCE mproc_sec(60)

/* What methods and tests have in common; workers are forked, and share it. */
struct gate {
	_Atomic int open;
	_Atomic int begun; /* methods that have come to it */
};

static struct gate *gate;

struct count {
	int64_t n, again; /* the same, but in the middle of a method */
	char text[64];
};

static int
add(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	struct count *c = state;

	c->n += n ? args[0].i64 : 1;
	c->again = c->n;
	*ret = mproc_int(c->n);
	return 0;
}

static int
echo(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	(void)state;
	if (n)
		*ret = args[0];
	return n;
}

/* Its texts end as those of C do. */
static int
join(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	struct count *c = state;

	snprintf(c->text, sizeof(c->text), "%s%s%s", (const char *)args[0].ptr,
		 n > 1 ? "-" : "", n > 1 ? (const char *)args[1].ptr : "");
	*ret = mproc_str(c->text);
	return 0;
}

static int
fail_with(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	(void)state;
	if (n)
		*ret = args[0];
	return -EDOM;
}

static int
fail_oddly(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	(void)state, (void)args, (void)n, (void)ret;
	return -100000;
}

static int
die(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	struct count *c = state;

	(void)args, (void)n, (void)ret;
	c->n += 1000;
	raise(SIGKILL);
	return 0;
}

static int
leave(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	(void)state, (void)args, (void)n, (void)ret;
	_exit(7);
}

static int
hang(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	struct count *c = state;

	(void)args, (void)n, (void)ret;
	c->n += 1000;
	for (;;)
		pause();
	return 0;
}

static int
wait_at_gate(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	gate->begun++;
	while (!gate->open)
		usleep(1000);
	return add(state, args, n, ret);
}

static int
large(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	static char bytes[1 << 20];

	(void)state, (void)n;
	*ret = mproc_bytes(bytes, (size_t)args[0].i64);
	return 0;
}

static int
mend(void *state)
{
	struct count *c = state;

	c->n = c->again;
	return 0;
}

static const struct mproc_type_method methods[] = {
	{ "add", "|i", add },	    { "echo", NULL, echo },
	{ "join", "s|s", join },    { "fail", "|*", fail_with },
	{ "odd", "", fail_oddly },  { "die", "", die },
	{ "leave", "", leave },	    { "hang", "", hang },
	{ "gate", "", wait_at_gate }, { "large", "i", large },
};

#define COUNTER                                                     \
	.state_size = sizeof(struct count), .methods = methods,     \
	.n_methods = sizeof(methods) / sizeof(methods[0])

static void
register_counter(mproc_manager *m)
{
	assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "counter", .recover = mend, .workers = 4,
			COUNTER)), 0);
}

/* A manager that has such a type, and somebody who is connected to it. */
static mproc_manager *
start_counters(struct mpt *t, mproc_manager **ret_c)
{
	mproc_manager *m;

	gate = mpt_scratch(t);
	gate->open = gate->begun = 0;
	m = start(NULL);
	register_counter(m);
	*ret_c = connect_to(m);
	return m;
}

static void
end_counters(mproc_manager *m, mproc_manager *c, const char *object)
{
	if (object)
		assert_int_equal(mproc_manager_object_destroy(c, object), 0);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

static void
expect_add(mproc_manager *m, const char *object, int64_t by, int64_t sum)
{
	struct mproc_any arg = mproc_int(by), got;

	assert_int_equal(mproc_manager_call(m, object, "add", &arg, 1, &got,
					    PATIENCE), 0);
	assert_int_equal(got.kind, MPROC_INT);
	assert_int_equal(got.i64, sum);
}

/* Nothing is wanted of it but an error. */
static int
call(mproc_manager *m, const char *object, const char *method)
{
	return mproc_manager_call(m, object, method, NULL, 0, NULL, PATIENCE);
}

static void
methods_are_called_here_and_there(void **state)
{
	const struct mproc_any values[] = {
		mproc_nil(), mproc_int(-5), mproc_float(0.5), mproc_bool(true),
		mproc_str("text"), mproc_bytes("a\0b", 3), mproc_str(""),
		mproc_bytes(NULL, 0),
	};
	const struct mproc_any texts[] = { mproc_str("left"), mproc_str("right") };
	mproc_manager *c, *m = start_counters(*state, &c);
	struct mproc_any got, many[MPROC_CALL_ARGS];

	assert_int_equal(mproc_manager_object(c, "counter", "visits"), 0);
	assert_int_equal(mproc_manager_object(m, "counter", "visits"), 0);
	for (int i = 0; i < 2; i++) {
		mproc_manager *any = i ? m : c;

		expect_add(any, "visits", 2, i ? 5 : 2);
		expect_add(any, "visits", 1, i ? 6 : 3);
		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
			assert_int_equal(mproc_manager_call(any, "visits", "echo",
						&values[j], 1, &got, PATIENCE), 1);
			assert_true(same(&got, &values[j]));
			mproc_any_clear(&got);
		}
		for (int j = 0; j < MPROC_CALL_ARGS; j++)
			many[j] = mproc_int(j);
		assert_int_equal(mproc_manager_call(any, "visits", "echo", many,
				 MPROC_CALL_ARGS, NULL, PATIENCE), MPROC_CALL_ARGS);
		assert_int_equal(mproc_manager_call(any, "visits", "echo", NULL, 0,
						    &got, PATIENCE), 0);
		assert_int_equal(got.kind, MPROC_NIL);
		for (int j = 1; j <= 2; j++) {
			assert_int_equal(mproc_manager_call(any, "visits", "join",
						texts, j, &got, PATIENCE), 0);
			assert_string_equal(got.ptr, j > 1 ? "left-right" : "left");
			mproc_any_clear(&got);
		}
	}
	end_counters(m, c, "visits");
}

static void
errors_and_their_texts_travel(void **state)
{
	mproc_manager *c, *m = start_counters(*state, &c);
	const struct mproc_any text = mproc_str("it is not in the domain");

	assert_int_equal(mproc_manager_object(c, "counter", "fails"), 0);
	for (int i = 0; i < 2; i++) {
		mproc_manager *any = i ? m : c;

		assert_int_equal(mproc_manager_call(any, "fails", "fail", &text, 1,
						    NULL, PATIENCE), -EDOM);
		assert_string_equal(mproc_error_detail(), text.ptr);
		assert_int_equal(call(any, "fails", "fail"), -EDOM);
		assert_string_equal(mproc_error_detail(), mproc_strerror(-EDOM));
		assert_int_equal(call(any, "fails", "odd"), -EINVAL);
		assert_non_null(strstr(mproc_error_detail(), "-100000"));
	}
	end_counters(m, c, "fails");
}

static void
what_makes_no_sense_is_refused(void **state)
{
	static const struct mproc_type_method odd[][2] = {
		{ { NULL, NULL, add } },  { { "", NULL, add } },
		{ { "x", NULL, NULL } },  { { "x", "z", add } },
		{ { "x", "i||i", add } }, { { "x", "iiiiiiiiiiiiiiiii", add } },
	};
	static const struct mproc_type_method twice[] = { { "x", NULL, add },
							  { "x", NULL, add } };
	mproc_manager *c, *m = start_counters(*state, &c);
	struct mproc_any arg = mproc_str("1");
	void *block = mproc_alloc(64), *value = mproc_value_new(4, NULL);
	void *other, *forged, *here;
	uint64_t magic;
	mproc_dict *d = dict_of(m, "dict");

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type,
				.name = "odd", .methods = odd[i], .n_methods = 1)),
				 -EINVAL);
	assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "odd", .methods = twice, .n_methods = 2)), -EINVAL);
	assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "odd")), -EINVAL);
	assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type, COUNTER)),
			 -EINVAL);
	assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "odd", .workers = -1, COUNTER)), -EINVAL);
	assert_int_equal(mproc_manager_register(m, NULL), -EINVAL);
	assert_int_equal(mproc_manager_register(NULL, NULL), -EINVAL);
	assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "counter", COUNTER)), -EEXIST);
	assert_int_equal(mproc_manager_register(c, MPROC_OPTS(mproc_type,
			.name = "odd", COUNTER)), -EPERM);
	assert_int_equal(mproc_manager_object(c, "odd", "object"), -ENOENT);
	assert_int_equal(mproc_manager_object(c, "counter", ""), -EINVAL);
	assert_int_equal(mproc_manager_object(c, NULL, "object"), -EINVAL);
	assert_int_equal(call(c, "object", "add"), -ENOENT);
	assert_int_equal(mproc_manager_object(c, "counter", "object"), 0);
	assert_int_equal(call(c, "object", "nothing"), -ENOSYS);
	assert_int_equal(mproc_manager_call(c, "object", "add", &arg, 1, NULL,
					    PATIENCE), -EINVAL);
	assert_int_equal(call(c, "object", "join"), -EINVAL);
	assert_non_null(strstr(mproc_error_detail(), "s|s"));
	assert_int_equal(mproc_manager_call(c, "object", "die", &arg, 1, NULL,
					    PATIENCE), -EINVAL);
	assert_int_equal(mproc_manager_call(c, "object", "echo", NULL, 1, NULL,
					    PATIENCE), -EINVAL);
	assert_int_equal(mproc_manager_call(c, "object", "echo", &arg, 17, NULL,
					    PATIENCE), -EINVAL);
	arg = mproc_ref(block);
	assert_int_equal(mproc_manager_call(c, "object", "echo", &arg, 1, NULL,
					    PATIENCE), -EFAULT);
	assert_int_equal(mproc_manager_call(c, "object", "add", NULL, 0, NULL,
					    MPROC_NOWAIT), -EAGAIN);
	/* Names of something else. */
	assert_int_equal(mproc_arena_bind(NULL, "block", block), 0);
	assert_int_equal(mproc_arena_bind(NULL, "value", value), 0);
	for (int i = 0; i < 3; i++) {
		const char *name = i == 0 ? "block" : i == 1 ? "value" : "dict";

		assert_int_equal(call(c, name, "add"), -EPROTOTYPE);
		assert_int_equal(mproc_manager_object(m, "counter", name),
				 -EPROTOTYPE);
		assert_int_equal(mproc_manager_object_destroy(c, name),
				 -EPROTOTYPE);
		assert_int_equal(mproc_arena_bind(NULL, name, NULL), 0);
	}
	assert_int_equal(mproc_manager_dict(c, "object", &d), -EPROTOTYPE);
	mproc_dict_destroy(d);
	/* Nor does a client make an object of an array: what tells one is its place. */
	assert_int_equal(mproc_arena_find(NULL, "object", &other, MPROC_NOWAIT), 0);
	assert_int_equal(mproc_manager_array(c, "forged", sizeof(magic), 40, NULL,
					     &forged), 0);
	assert_int_equal(mproc_arena_find(NULL, "forged", &here, MPROC_NOWAIT), 0);
	memcpy(&magic, other, sizeof(magic));
	magic += (uint64_t)((char *)here - (char *)other);
	assert_int_equal(mproc_array_set(forged, 0, &magic, sizeof(magic)), -EPERM);
	assert_int_equal(*(uint64_t *)here, 0);
	assert_int_equal(mproc_array_add(forged, 0, sizeof(magic), (int64_t)magic,
					 NULL), -EPERM);
	assert_int_equal(mproc_array_compare_exchange(forged, 0, sizeof(magic),
						      &(uint64_t){ 0 }, &magic),
			 -EPERM);
	/* And of one that says so all the same the size has to be true. */
	memcpy(here, other, 128);
	memcpy(here, &magic, sizeof(magic));
	assert_int_equal(call(c, "forged", "add"), -EPROTOTYPE);
	mproc_free(forged);
	/* Whatever lies before its state, nobody writes there as into a value. */
	for (size_t size = sizeof(struct count); size < sizeof(struct count) + 512;
	     size++)
		assert_int_equal(mproc_manager_value(c, "object", size, NULL,
						     &other), -EPROTOTYPE);
	mproc_free(block);
	mproc_free(value);
	assert_int_equal(mproc_manager_object_destroy(m, "object"), 0);
	assert_int_equal(mproc_manager_object_destroy(m, "object"), -ENOENT);
	assert_int_equal(call(c, "object", "add"), -ENOENT);
	end_counters(m, c, NULL);
}

static void
a_crash_takes_its_worker_along(void **state)
{
	mproc_manager *c, *m = start_counters(*state, &c);

	assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "fragile", .workers = 1, COUNTER)), 0);
	assert_int_equal(mproc_manager_object(c, "counter", "mended"), 0);
	assert_int_equal(mproc_manager_object(c, "fragile", "fragile"), 0);
	assert_int_equal(mproc_manager_object(c, "fragile", "other"), 0);
	for (int i = 0; i < 2; i++) {
		mproc_manager *any = i ? m : c;

		expect_add(any, "mended", 1, i + 1);
		assert_int_equal(call(any, "mended", "die"), -EOWNERDEAD);
		assert_non_null(strstr(mproc_error_detail(), "SIGKILL"));
		assert_non_null(strstr(mproc_error_detail(), "counter.die"));
	}
	/* What it has left half done is mended. */
	expect_add(c, "mended", 1, 3);
	assert_int_equal(call(c, "fragile", "leave"), -EOWNERDEAD);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(call(c, "fragile", "add"), -ENOTRECOVERABLE);
		assert_non_null(strstr(mproc_error_detail(), "fragile"));
	}
	/* By the same worker. */
	expect_add(m, "other", 1, 1);
	assert_int_equal(mproc_manager_object_destroy(c, "fragile"), 0);
	assert_int_equal(mproc_manager_object(m, "fragile", "fragile"), 0);
	expect_add(c, "fragile", 4, 4);
	assert_int_equal(mproc_manager_object_destroy(c, "fragile"), 0);
	assert_int_equal(mproc_manager_object_destroy(c, "other"), 0);
	end_counters(m, c, "mended");
}

static void
what_never_ends_is_ended(void **state)
{
	mproc_manager *c, *m = start_counters(*state, &c);

	assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "hasty", .recover = mend, .workers = 1,
			.timeout = mproc_ms(20), COUNTER)), 0);
	assert_int_equal(mproc_manager_object(c, "hasty", "hasty"), 0);
	assert_int_equal(mproc_manager_object(c, "counter", "slow"), 0);
	/* By its caller, and by its type. */
	assert_int_equal(mproc_manager_call(c, "slow", "hang", NULL, 0, NULL,
					    mproc_ms(20)), -ETIMEDOUT);
	assert_int_equal(call(c, "hasty", "hang"), -ETIMEDOUT);
	assert_non_null(strstr(mproc_error_detail(), "killed"));
	assert_int_equal(mproc_manager_call(m, "slow", "hang", NULL, 0, NULL,
					    mproc_ms(20)), -ETIMEDOUT);
	expect_add(m, "slow", 1, 1);
	assert_int_equal(mproc_manager_object_destroy(c, "hasty"), 0);
	end_counters(m, c, "slow");
}

struct one_call {
	mproc_manager *m;
	const char *object, *method;
	int expected;
};

static int
call_as(struct mpt *t, void *arg)
{
	const struct one_call *one = arg;

	mpt_check_int(t, call(one->m, one->object, one->method), one->expected);
	return 0;
}

static void
who_is_slow_holds_nobody_up(void **state)
{
	struct mpt *t = *state;
	mproc_manager *c, *m = start_counters(t, &c);
	struct one_call first = { c, "slow", "gate", 0 };
	struct one_call second = { c, "slow", "gate", 0 };
	struct one_call other = { m, "others", "gate", 0 };
	mproc_dict *d = dict_of(c, "dict");

	assert_int_equal(mproc_manager_object(c, "counter", "slow"), 0);
	assert_int_equal(mproc_manager_object(c, "counter", "others"), 0);
	assert_int_equal(mproc_manager_object(c, "counter", "quick"), 0);
	mpt_use_threads(t, true);
	mpt_spawn(t, "first", call_as, &first);
	mpt_spawn(t, "second", call_as, &second);
	mpt_spawn(t, "other", call_as, &other);
	/* Of two for one object one has begun. */
	mpt_until(t, gate->begun == 2);
	for (int i = 0; i < 20; i++) {
		expect_add(c, "quick", 1, i + 1);
		assert_int_equal(mproc_dict_set(d, mproc_int(1), mproc_int(i)), 0);
	}
	assert_int_equal(gate->begun, 2);
	assert_int_equal(mproc_manager_object_destroy(c, "slow"), -EBUSY);
	gate->open = 1;
	mpt_join_all(t);
	expect_add(c, "slow", 1, 3);
	assert_int_equal(mproc_manager_object_destroy(c, "slow"), 0);
	assert_int_equal(mproc_manager_object_destroy(c, "others"), 0);
	mproc_dict_destroy(d);
	end_counters(m, c, "quick");
}

static void
methods_run_at_once_if_the_type_says_so(void **state)
{
	struct mpt *t = *state;
	mproc_manager *c, *m = start_counters(t, &c);
	struct one_call one = { c, "both", "gate", 0 };

	assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "free", .workers = 2, .concurrent = true,
			COUNTER)), 0);
	assert_int_equal(mproc_manager_object(c, "free", "both"), 0);
	mpt_use_threads(t, true);
	mpt_spawn(t, "one", call_as, &one);
	mpt_spawn(t, "two", call_as, &one);
	mpt_until(t, gate->begun == 2);
	/* Both workers are busy. */
	assert_int_equal(mproc_manager_call(c, "both", "add", NULL, 0, NULL,
					    mproc_ms(5)), -ETIMEDOUT);
	gate->open = 1;
	mpt_join_all(t);
	assert_int_equal(call(c, "both", "die"), -EOWNERDEAD);
	assert_int_equal(call(c, "both", "add"), 0);
	end_counters(m, c, "both");
}

static int
connect_and_call(struct mpt *t, void *arg)
{
	mproc_manager *c;

	mpt_check_int(t, mproc_manager_connect(&c, arg, NULL, PATIENCE), 0);
	(void)call(c, "left", "gate");
	return 0;
}

/* Its call goes on; one that waits does not. */
static void
a_client_may_die_while_its_method_runs(void **state)
{
	struct mpt *t = *state;
	mproc_manager *c, *m = start_counters(t, &c);
	char address[128];
	int id;

	assert_int_equal(mproc_manager_object(c, "counter", "left"), 0);
	snprintf(address, sizeof(address), "%s", mproc_manager_address(m));
	id = mpt_fork(t, "client", connect_and_call, address);
	mpt_until(t, gate->begun == 1);
	mpt_kill(t, id);
	assert_int_equal(mproc_manager_object_destroy(c, "left"), -EBUSY);
	gate->open = 1;
	expect_add(c, "left", 1, 2);
	end_counters(m, c, "left");
}

static void
what_is_too_long_is_an_error_of_one_call(void **state)
{
	static char bytes[5000];
	mproc_manager *m = start(MPROC_OPTS(mproc_manager_opts,
					    .max_message = 4096));
	mproc_manager *c = connect_to(m);
	struct mproc_any arg = mproc_bytes(bytes, 3900), got;

	(void)state;
	register_counter(m);
	assert_int_equal(mproc_manager_object(c, "counter", "long"), 0);
	assert_int_equal(mproc_manager_call(c, "long", "echo", &arg, 1, &got,
					    PATIENCE), 1);
	assert_int_equal(got.len, 3900);
	mproc_any_clear(&got);
	arg.len = sizeof(bytes);
	assert_int_equal(mproc_manager_call(c, "long", "echo", &arg, 1, NULL,
					    PATIENCE), -EMSGSIZE);
	/* In the worker's answer, and in the server's. */
	for (int64_t n = 4080; n < 4100; n++) {
		arg = mproc_int(n);
		assert_int_equal(mproc_manager_call(c, "long", "large", &arg, 1,
				 &got, PATIENCE), n <= 4090 ? 0 : -EMSGSIZE);
		if (n <= 4090)
			mproc_any_clear(&got);
	}
	arg = mproc_int(1 << 20);
	assert_int_equal(mproc_manager_call(c, "long", "large", &arg, 1, NULL,
					    PATIENCE), -EMSGSIZE);
	expect_add(c, "long", 1, 1);
	end_counters(m, c, "long");
}

static int
serve(struct mpt *t, void *arg)
{
	mproc_manager *m;

	mpt_check_int(t, mproc_manager_start(&m, arg), 0);
	mpt_check_int(t, mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "counter", .recover = mend, COUNTER)), 0);
	mpt_step(t, 0);
	mpt_check_int(t, mproc_manager_serve(m, MPROC_FOREVER), 0);
	mproc_manager_close(m);
	return 0;
}

/* The next one finds its objects, of which one has a method half done. */
static void
objects_outlive_a_server_that_is_killed(void **state)
{
	struct mpt *t = *state;
	char name[64];
	struct mproc_manager_opts o = { .struct_size = sizeof(o),
					.in_process = true };
	struct one_call one = { NULL, "state", "hang", -EPIPE };
	mproc_manager *c, *m;
	int id, calls;

	gate = mpt_scratch(t);
	gate->open = gate->begun = 0;
	o.address = strcpy((char *)mpt_scratch(t) + 1024, "unix:/dev/shm");
	mpt_name(t, (char *)mpt_scratch(t) + 1024 + strlen("unix:/dev/shm"),
		 "calls");
	assert_int_equal(mproc_arena_create(&o.arena,
			MPROC_OPTS(mproc_arena_opts,
				   .name = mpt_name(t, name, "arena"),
				   .capacity = (size_t)64 << 20)), 0);
	id = mpt_fork(t, "server", serve, &o);
	mpt_reach(t, 1);
	assert_int_equal(mproc_manager_connect(&c, o.address, NULL, PATIENCE), 0);
	assert_int_equal(mproc_manager_object(c, "counter", "state"), 0);
	expect_add(c, "state", 5, 5);
	one.m = c;
	one.method = "gate";
	mpt_use_threads(t, true);
	calls = mpt_spawn(t, "calls", call_as, &one);
	mpt_until(t, gate->begun == 1);
	mpt_kill(t, id);
	mpt_expect_exit(t, calls, 0);
	assert_int_equal(call(c, "state", "add"), -EPIPE);
	mproc_manager_close(c);
	/* The worker has ended, too, or does so: who wants the lock waits. */
	o.in_process = false;
	m = start(&o);
	assert_int_equal(mproc_manager_connect(&c, o.address, NULL, PATIENCE), 0);
	assert_int_equal(call(c, "state", "add"), -ENOENT);
	assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "counter", .state_size = 8, .methods = methods,
			.n_methods = 1)), 0);
	assert_int_equal(call(c, "state", "add"), -EPROTOTYPE);
	mproc_manager_close(c);
	mproc_manager_close(m);
	m = start(&o);
	register_counter(m);
	expect_add(m, "state", 2, 7);
	mproc_manager_close(m);
	assert_int_equal(mpt_reap_orphans(t), 1);
	mproc_arena_close(o.arena);
	assert_int_equal(mproc_arena_unlink(name), 0);
}

static int
serve_here(struct mpt *t, void *arg)
{
	mpt_check_int(t, mproc_manager_serve(arg, MPROC_FOREVER), 0);
	return 0;
}

static void
a_thread_may_serve_them(void **state)
{
	struct mpt *t = *state;
	mproc_manager *m, *c;

	assert_int_equal(mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
			.in_process = true, A_KEY)), 0);
	register_counter(m);
	mpt_use_threads(t, true);
	mpt_spawn(t, "serves", serve_here, m);
	assert_int_equal(mproc_manager_connect(&c, mproc_manager_address(m),
				MPROC_OPTS(mproc_connect_opts, A_KEY),
				PATIENCE), 0);
	assert_int_equal(mproc_manager_object(m, "counter", "here"), 0);
	expect_add(m, "here", 1, 1);
	expect_add(c, "here", 1, 2);
	assert_int_equal(call(m, "here", "die"), -EOWNERDEAD);
	expect_add(c, "here", 1, 3);
	assert_int_equal(mproc_manager_register(m, MPROC_OPTS(mproc_type,
			.name = "late", COUNTER)), -EBUSY);
	assert_int_equal(mproc_manager_object_destroy(m, "here"), 0);
	assert_int_equal(mproc_manager_shutdown(m, MPROC_NOWAIT), 0);
	mpt_join_all(t);
	mproc_manager_close(c);
	mproc_manager_close(m);
}

/* As docs/spec/wire.md has it, from who does not use the library. */
static void
a_request_may_have_no_limit_in_time(void **state)
{
	static const char sent[] = "\0\0\0\23\225\0\0\0\255mproc-manager\1"
				   "\0\0\0\21\227\1\314\342\0\243raw\243add\377"
				   "\304\1\220";
	/* What it may send, and one. */
	char got[13 + 8];
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	mproc_manager *c, *m = start_counters(*state, &c);
	const char *address = mproc_manager_address(m) + strlen("unix:@");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address);

	memcpy(name.sun_path + 1, address, strlen(address));
	assert_int_equal(mproc_manager_object(m, "counter", "raw"), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&name,
				 (socklen_t)len), 0);
	assert_int_equal(send(fd, sent, sizeof(sent) - 1, 0), sizeof(sent) - 1);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), sizeof(got));
	assert_memory_equal(got + 13, "\0\0\0\4\223\1\0\1", 8);
	close(fd);
	end_counters(m, c, "raw");
}

enum { MANY = 16, LONG = 900 << 10 };

static _Atomic unsigned refused, answered;

static void *
call_with_much(void *arg)
{
	static char bytes[LONG];
	struct mproc_any much = mproc_bytes(bytes, sizeof(bytes));
	int r = mproc_manager_call(arg, "much", "echo", &much, 1, NULL, PATIENCE);

	/* Whose requests there is no room for is disconnected. */
	refused += r == -ENOMEM || r == -EPIPE;
	answered += r == 1;
	return NULL;
}

static void *
call_gate(void *arg)
{
	(void)call(arg, "much", "gate");
	return NULL;
}

/* What it asks for, and has not been answered, takes its own share of memory, and not
 * that of others. */
static void
one_client_does_not_fill_the_memory(void **state)
{
	struct mpt *t = *state;
	pthread_t threads[MANY], others[2], at_gate;
	mproc_manager *m, *greedy, *c;

	gate = mpt_scratch(t);
	gate->open = gate->begun = 0;
	m = start(MPROC_OPTS(mproc_manager_opts, .max_message = 1 << 20,
			     .max_memory = 20 << 20));
	register_counter(m);
	greedy = connect_to(m);
	c = connect_to(m);
	assert_int_equal(mproc_manager_object(c, "counter", "much"), 0);
	refused = answered = 0;
	assert_int_equal(pthread_create(&at_gate, NULL, call_gate, c), 0);
	mpt_until(t, gate->begun == 1);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_with_much,
						greedy), 0);
	/* Some wait for the one at the gate. */
	mpt_until(t, refused >= MANY - 5);
	assert_int_equal(answered, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&others[i], NULL, call_with_much, c),
				 0);
	/* What they have sent is taken, and others go on. */
	for (int i = 0; i < 20; i++)
		assert_int_equal(mproc_manager_object(c, "counter", "beside"), 0);
	gate->open = 1;
	for (int i = 0; i < MANY; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(others[i], NULL);
	pthread_join(at_gate, NULL);
	assert_int_equal(refused + answered, MANY + 2);
	assert_true(answered >= 2);
	assert_int_equal(mproc_manager_object_destroy(c, "beside"), 0);
	mproc_manager_close(greedy);
	end_counters(m, c, "much");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(methods_are_called_here_and_there),
		mpt_test(errors_and_their_texts_travel),
		mpt_test(what_makes_no_sense_is_refused),
		mpt_test(a_crash_takes_its_worker_along),
		mpt_test(what_never_ends_is_ended),
		mpt_test(who_is_slow_holds_nobody_up),
		mpt_test(methods_run_at_once_if_the_type_says_so),
		mpt_test(a_client_may_die_while_its_method_runs),
		mpt_test(what_is_too_long_is_an_error_of_one_call),
		mpt_test(objects_outlive_a_server_that_is_killed),
		mpt_test(a_thread_may_serve_them),
		mpt_test(a_request_may_have_no_limit_in_time),
		mpt_test(one_client_does_not_fill_the_memory),
	};

	return cmocka_run_group_tests(tests, with_manager, NULL);
}
