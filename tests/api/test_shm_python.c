/* SPDX-License-Identifier: MIT */
/*
 * shm.h and Python's multiprocessing.shared_memory: each opens what the other one
 * made. Python is the program python3, which must be there.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "common.h"
#include "python.h"
#include "shareable.h"

/*
 * What all scripts begin with. Before 3.13 Python's resource tracker unlinks at the
 * program's end what it has only opened; attach() tells it not to.
 */
#define PRELUDE \
	"import sys\n" \
	"from multiprocessing import resource_tracker as rt\n" \
	"from multiprocessing import shared_memory as sm\n" \
	"name = sys.argv[1].lstrip('/')\n" \
	"def attached(s):\n" \
	"    rt.unregister(s._name, 'shared_memory')\n" \
	"    return s\n" \
	"def go(step):\n" \
	"    print(step, flush=True)\n" \
	"    assert sys.stdin.readline() == 'go\\n'\n"

static void
start(struct python *py, void **state, const char *script)
{
	mpt_watchdog(*state, 60);
	mpt_name(*state, py->name, "python");
	python_start(py, *state, script);
}

static void
c_opens_what_python_made(void **state)
{
	struct python py;
	mproc_shm *s = NULL;
	char path[96];
	char *p;

	start(&py, state, PRELUDE
	      "s = sm.SharedMemory(name=name, create=True, size=5000)\n"
	      "s.buf[:5] = b'hello'\n"
	      "go(s.size)\n"
	      "assert bytes(s.buf[:5]) == b'HELLO', bytes(s.buf[:5])\n"
	      "assert s.buf[4999] == 7\n"
	      "s.buf[0] = 1\n"
	      "s.close()\n"
	      "s.unlink()\n"
	      "go('unlinked')\n");
	python_reach(&py, "5000");
	assert_int_equal(mproc_shm_open(&s, py.name), 0);
	assert_int_equal(mproc_shm_size(s), 5000);
	p = mproc_shm_ptr(s);
	assert_memory_equal(p, "hello", 6);
	memcpy(p, "HELLO", 5);
	p[4999] = 7;
	python_go(&py);
	python_reach(&py, "unlinked");
	snprintf(path, sizeof(path), "/dev/shm%s", py.name);
	assert_int_equal(access(path, F_OK), -1);
	python_go(&py);
	python_end(&py, 0);
	/* It is ours as long as we have it. */
	assert_int_equal(p[0], 1);
	assert_int_equal(p[4999], 7);
	mproc_shm_close(s);
}

static void
python_opens_what_c_made(void **state)
{
	mproc_shm *s = NULL, *none = NULL;
	struct python py;
	char *p;

	mpt_name(*state, py.name, "python");
	assert_int_equal(mproc_shm_create(&s, py.name, 5000, NULL), 0);
	p = mproc_shm_ptr(s);
	memcpy(p, "hello", 5);
	start(&py, state, PRELUDE
	      "s = attached(sm.SharedMemory(name=name))\n"
	      "assert s.size == 5000 and s.name == name\n"
	      "assert bytes(s.buf[:6]) == b'hello\\0'\n"
	      "s.buf[4999] = 9\n"
	      "try:\n"
	      "    sm.SharedMemory(name=name, create=True, size=1)\n"
	      "    sys.exit('it was there')\n"
	      "except FileExistsError:\n"
	      "    pass\n"
	      "go('written')\n"
	      "assert s.buf[0] == 0x48\n"
	      "s.close()\n"
	      "try:\n"
	      "    sm.SharedMemory(name=name)\n"
	      "    sys.exit('it is there')\n"
	      "except FileNotFoundError:\n"
	      "    pass\n");
	python_reach(&py, "written");
	assert_int_equal(p[4999], 9);
	assert_int_equal(mproc_shm_create(&none, py.name, 1, NULL), -EEXIST);
	p[0] = 'H';
	assert_int_equal(mproc_shm_unlink(py.name), 0);
	python_go(&py);
	python_end(&py, 0);
	mproc_shm_close(s);
}

/* Names that the two make up. */
static void
names_without_a_name_go_both_ways(void **state)
{
	struct python py;
	mproc_shm *s = NULL, *theirs = NULL;

	assert_int_equal(mproc_shm_create(&s, NULL, 100, NULL), 0);
	memset(mproc_shm_ptr(s), 'c', 100);
	mpt_watchdog(*state, 60);
	snprintf(py.name, sizeof(py.name), "%s", mproc_shm_name(s));
	python_start(&py, *state, PRELUDE
		     "c = attached(sm.SharedMemory(name))\n"
		     "s = sm.SharedMemory(create=True, size=200)\n"
		     "s.buf[:100] = c.buf[:]\n"
		     "c.buf[:12] = s.name.ljust(12).encode()\n"
		     "go('made')\n"
		     "s.unlink()\n");
	python_reach(&py, "made");
	memcpy(py.name, mproc_shm_ptr(s), 12);
	py.name[12] = '\0';
	py.name[strcspn(py.name, " ")] = '\0';
	assert_int_equal(mproc_shm_open(&theirs, py.name), 0);
	assert_int_equal(mproc_shm_size(theirs), 200);
	assert_memory_equal(mproc_shm_ptr(theirs), "cccc", 4);
	python_go(&py);
	python_end(&py, 0);
	mproc_shm_close(theirs);
	assert_int_equal(mproc_shm_unlink(mproc_shm_name(s)), 0);
	mproc_shm_close(s);
}

/* It unlinks what Python made when that ends, however it ends. */
static void
pythons_end_takes_the_name_and_not_the_memory(void **state)
{
	struct python py;
	mproc_shm *s = NULL, *none = NULL;

	start(&py, state, PRELUDE
	      "s = sm.SharedMemory(name=name, create=True, size=10)\n"
	      "go('made')\n"
	      "sys.exit(3)\n");
	python_reach(&py, "made");
	assert_int_equal(mproc_shm_open(&s, py.name), 0);
	memset(mproc_shm_ptr(s), 6, 10);
	python_go(&py);
	python_end(&py, 3);
	assert_int_equal(mproc_shm_open(&none, py.name), -ENOENT);
	assert_int_equal(((char *)mproc_shm_ptr(s))[9], 6);
	mproc_shm_close(s);
}

/* Lists. */

static void
expect_text(const struct shareable *l, int64_t n, enum item_kind kind,
	    const char *text)
{
	struct item item = shareable_get(l, n);

	assert_int_equal(item.kind, kind);
	assert_int_equal(item.len, strlen(text));
	assert_memory_equal(item.text, text, item.len);
}

static void
expect_word(const struct shareable *l, int64_t n, enum item_kind kind,
	    int64_t i, double f)
{
	struct item item = shareable_get(l, n);

	assert_int_equal(item.kind, kind);
	assert_int_equal(item.i, i);
	assert_true(item.f == f);
}

static void
c_reads_and_changes_a_list_that_python_made(void **state)
{
	struct shareable l = { .n = 0 };
	struct python py;
	mproc_shm *s = NULL;

	start(&py, state, PRELUDE
	      "l = sm.ShareableList([-5, 2**62, 2.5, True, False, 'Grüße', '',\n"
	      "    '12345678', b'bytes', None, 1e300], name=name)\n"
	      "go('made')\n"
	      "assert list(l) == [7, 2**62, -0.125, True, False, 'Grüße', '',\n"
	      "    '12345678', b'bytes', None, 1e300], list(l)\n"
	      "l[5] = 'ab'\n"
	      "l[9] = 12\n"
	      "l[0] = None\n"
	      "go('changed')\n"
	      "l.shm.close()\n"
	      "l.shm.unlink()\n");
	python_reach(&py, "made");
	assert_int_equal(mproc_shm_open(&s, py.name), 0);
	assert_true(shareable_attach(&l, mproc_shm_ptr(s), mproc_shm_size(s)));
	assert_int_equal(l.n, 11);
	expect_word(&l, 0, ITEM_INT, -5, 0);
	expect_word(&l, 1, ITEM_INT, INT64_C(1) << 62, 0);
	expect_word(&l, 2, ITEM_FLOAT, 0, 2.5);
	expect_word(&l, 3, ITEM_BOOL, 1, 0);
	expect_word(&l, 4, ITEM_BOOL, 0, 0);
	expect_text(&l, 5, ITEM_STR, "Gr\xc3\xbc\xc3\x9f" "e");
	expect_text(&l, 6, ITEM_STR, "");
	expect_text(&l, 7, ITEM_STR, "12345678");
	expect_text(&l, 8, ITEM_BYTES, "bytes");
	expect_word(&l, 9, ITEM_NONE, 0, 0);
	expect_word(&l, 10, ITEM_FLOAT, 0, 1e300);
	shareable_set(&l, 0, &(struct item){ .kind = ITEM_INT, .i = 7 });
	shareable_set(&l, 2, &(struct item){ .kind = ITEM_FLOAT,
					     .f = -0.125 });
	python_go(&py);
	python_reach(&py, "changed");
	/* Python may change the kind, too. */
	expect_text(&l, 5, ITEM_STR, "ab");
	expect_word(&l, 9, ITEM_INT, 12, 0);
	expect_word(&l, 0, ITEM_NONE, 0, 0);
	expect_word(&l, 10, ITEM_FLOAT, 0, 1e300);
	python_go(&py);
	python_end(&py, 0);
	mproc_shm_close(s);
}

static void
python_reads_and_changes_a_list_that_c_made(void **state)
{
	static const struct item items[] = {
		{ .kind = ITEM_INT, .i = -5 },
		{ .kind = ITEM_FLOAT, .f = 2.5 },
		{ .kind = ITEM_BOOL, .i = 1 },
		{ .kind = ITEM_STR, .text = "Gr\xc3\xbc\xc3\x9f" "e", .len = 7 },
		{ .kind = ITEM_STR, .text = "12345678", .len = 8 },
		{ .kind = ITEM_BYTES, .text = "b\xff", .len = 2 },
		{ .kind = ITEM_NONE },
		{ .kind = ITEM_BOOL },
		{ .kind = ITEM_STR },
	};
	int64_t n = sizeof(items) / sizeof(items[0]);
	size_t size = shareable_size(items, n);
	struct python py;
	struct shareable l;
	mproc_shm *s = NULL;

	mpt_name(*state, py.name, "python");
	assert_int_equal(mproc_shm_create(&s, py.name, size, NULL), 0);
	shareable_build(&l, mproc_shm_ptr(s), items, n);
	start(&py, state, PRELUDE
	      "l = sm.ShareableList(name=name)\n"
	      "attached(l.shm)\n"
	      "want = [-5, 2.5, True, 'Grüße', '12345678', b'b\\xff', None,\n"
	      "    False, '']\n"
	      "assert list(l) == want, list(l)\n"
	      "assert [type(x) for x in l] == [type(x) for x in want]\n"
	      "same = sm.ShareableList(want)\n"
	      "assert bytes(same.shm.buf) == bytes(l.shm.buf)\n"
	      "assert same.format == l.format\n"
	      "same.shm.close()\n"
	      "same.shm.unlink()\n"
	      "l[0] = 2**40\n"
	      "l[1] = -1.5\n"
	      "l[4] = 'x'\n"
	      "go('changed')\n"
	      "assert l[0] == 3 and l[1] == 0.5\n"
	      "l.shm.close()\n");
	python_reach(&py, "changed");
	expect_word(&l, 0, ITEM_INT, INT64_C(1) << 40, 0);
	expect_word(&l, 1, ITEM_FLOAT, 0, -1.5);
	expect_text(&l, 4, ITEM_STR, "x");
	expect_text(&l, 3, ITEM_STR, "Gr\xc3\xbc\xc3\x9f" "e");
	shareable_set(&l, 0, &(struct item){ .kind = ITEM_INT, .i = 3 });
	shareable_set(&l, 1, &(struct item){ .kind = ITEM_FLOAT, .f = 0.5 });
	python_go(&py);
	python_end(&py, 0);
	assert_int_equal(mproc_shm_unlink(py.name), 0);
	mproc_shm_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(c_opens_what_python_made),
		mpt_test(python_opens_what_c_made),
		mpt_test(names_without_a_name_go_both_ways),
		mpt_test(pythons_end_takes_the_name_and_not_the_memory),
		mpt_test(c_reads_and_changes_a_list_that_python_made),
		mpt_test(python_reads_and_changes_a_list_that_c_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
