/* SPDX-License-Identifier: MIT */
/*
 * Listeners and connections with Python's multiprocessing.connection at the other side,
 * in both roles: with the program python3, which must be there, and with a script that
 * speaks as Python does since 3.12, whatever the program's version.
 */
#include <signal.h>

#include "listener.h"
#include "python.h"

/* What the scripts begin with. The address has the form of ours. */
#define PRELUDE \
	"import os, signal, socket, sys\n" \
	"from multiprocessing import AuthenticationError\n" \
	"from multiprocessing.connection import Client, Listener\n" \
	"key = b'correct horse'\n" \
	"def place(text):\n" \
	"    kind, rest = text.split(':', 1)\n" \
	"    if kind == 'tcp':\n" \
	"        host, port = rest.rsplit(':', 1)\n" \
	"        return host, int(port)\n" \
	"    return '\\0' + rest[1:] if rest[0] == '@' else rest\n" \
	"address = place(sys.argv[1])\n" \
	"def go(step):\n" \
	"    print(step, flush=True)\n" \
	"    assert sys.stdin.readline() == 'go\\n'\n" \
	"def fails(kinds, f, *args, **kw):\n" \
	"    try:\n" \
	"        f(*args, **kw)\n" \
	"    except kinds:\n" \
	"        return\n" \
	"    assert False, 'no error'\n"

/* Lengths at which the form of what is sent changes, on either side. */
#define LENGTHS 0, 1, 100, 4096, 16384, 16385, 300000
#define TEXT_OF_(...) #__VA_ARGS__
#define TEXT_OF(...) TEXT_OF_(__VA_ARGS__)

static const size_t lengths[] = { LENGTHS };

#define LONGEST 300000

/* Both send messages of these lengths, and get them back inverted. */
#define EXCHANGE \
	"def exchange(c):\n" \
	"    for n in " TEXT_OF(LENGTHS) ":\n" \
	"        got = c.recv_bytes()\n" \
	"        assert got == bytes(i * 7 & 255 for i in range(n)), n\n" \
	"        c.send_bytes(got.translate(bytes(range(255, -1, -1))))\n"

static void
exchange(struct mpt *t, mproc_conn *c)
{
	static unsigned char out[LONGEST], in[LONGEST];
	size_t len;

	for (size_t i = 0; i < LONGEST; i++)
		out[i] = (unsigned char)(i * 7);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		mpt_check_int(t, mproc_conn_send(c, out, lengths[i],
						 mproc_sec(20)), 0);
		mpt_check_int(t, mproc_conn_recv(c, in, sizeof(in), &len,
						 mproc_sec(20)), 0);
		mpt_check_int(t, len, lengths[i]);
		for (size_t j = 0; j < len; j++)
			mpt_check(t, in[j] == (unsigned char)~out[j]);
	}
}

static void
start(struct python *py, void **state, const char *address, const char *script)
{
	mpt_watchdog(*state, 60);
	snprintf(py->name, sizeof(py->name), "%s", address);
	python_start(py, *state, script);
}

static mproc_conn *
accept_one(mproc_listener *l)
{
	mproc_conn *c = NULL;

	assert_int_equal(mproc_listener_accept(l, &c, mproc_sec(20)), 0);
	return c;
}

static void
expect_end(mproc_conn *c, const char *detail)
{
	char buf[16];

	assert_int_equal(mproc_conn_recv(c, buf, sizeof(buf), NULL,
					 mproc_sec(20)), -EPIPE);
	assert_true(detail_has(detail));
	mproc_conn_close(c);
}

static void
python_connects(void **state)
{
	struct mpt *t = *state;
	mproc_listener *l, *keyless;
	struct python py;
	char *address = unix_address(t, "python"), other[80], base[64];
	mproc_conn *c;

	assert_int_equal(mproc_listener_open(&l, address,
		MPROC_OPTS(mproc_listener_opts, A_KEY)), 0);
	snprintf(other, sizeof(other), "unix:@%s",
		 mpt_name(t, base, "keyless") + 1);
	assert_int_equal(mproc_listener_open(&keyless, other, NULL), 0);
	start(&py, state, address, PRELUDE EXCHANGE
	      "c = Client(address, authkey=key)\n"
	      "exchange(c)\n"
	      "fails(EOFError, c.recv_bytes)\n"
	      /* Another key, and none: then what comes is a question. */
	      "fails(AuthenticationError, Client, address, authkey=b'wrong')\n"
	      "c = Client(address)\n"
	      "assert c.recv_bytes()[:11] == b'#CHALLENGE#'\n"
	      "c.send_bytes(b'hello')\n"
	      "assert c.recv_bytes() == b'#FAILURE#'\n"
	      "fails((EOFError, OSError), c.recv_bytes)\n"
	      /* A key where none is asked for: it waits for a question. */
	      "other = place(sys.stdin.readline().strip())\n"
	      "fails((AuthenticationError, AssertionError), Client, other,\n"
	      "      authkey=key)\n"
	      /* Torn messages: of who leaves, and of who is killed. */
	      "c = Client(address, authkey=key)\n"
	      "os.write(c.fileno(), b'\\0\\0\\0\\5he')\n"
	      "c.close()\n"
	      "c = Client(address, authkey=key)\n"
	      "fails((EOFError, OSError), c.recv_bytes)\n"
	      "c = Client(address, authkey=key)\n"
	      "c.send_bytes(b'x' * 10)\n"
	      "os.write(c.fileno(), b'\\xff\\xff\\xff\\xff\\0\\0\\0\\1\\0\\0')\n"
	      "os.kill(os.getpid(), signal.SIGKILL)\n");
	c = accept_one(l);
	exchange(t, c);
	mproc_conn_close(c);
	dprintf(py.in[1], "%s\n", other);
	/* The two that are not let in are between these. */
	while (!becomes_readable(mproc_listener_fd(keyless), 0))
		assert_int_equal(mproc_listener_accept(l, &c, mproc_ms(2)),
				 -ETIMEDOUT);
	c = accept_one(keyless);
	send_text(t, c, "a message that is no question");
	expect_end(c, "has closed");
	mproc_listener_close(keyless);
	c = accept_one(l);
	expect_end(c, "after 2 of a message's 5 bytes");
	c = accept_one(l);
	assert_int_equal(write(mproc_conn_fd(c), "\0\0\1\0torn", 8), 8);
	mproc_conn_close(c);
	c = accept_one(l);
	expect_message(t, c, "xxxxxxxxxx");
	expect_end(c, "message's length");
	mpt_expect_signal(t, py.id, SIGKILL);
	close(py.in[1]);
	close(py.out[0]);
	mproc_listener_close(l);
}

/* Whether what the program speaks is sha256. */
#define IS_NEW "print(int(sys.version_info >= (3, 12)), flush=True)\n"

static bool
is_new(const struct python *py)
{
	char answer = 0, newline = 0;

	assert_int_equal(read(py->out[0], &answer, 1), 1);
	assert_int_equal(read(py->out[0], &newline, 1), 1);
	assert_true((answer == '0' || answer == '1') && newline == '\n');
	return answer == '1';
}

static void
pythons_digest_has_to_be_allowed_over_tcp(void **state)
{
	mproc_listener *strict, *lenient;
	struct mpt *t = *state;
	char addresses[160], port[32];
	struct python py;
	mproc_conn *c;
	bool new;
	int r;

	assert_int_equal(mproc_listener_open(&strict, "tcp:127.0.0.1:0",
		MPROC_OPTS(mproc_listener_opts, A_KEY)), 0);
	assert_int_equal(mproc_listener_open(&lenient, "tcp:127.0.0.1:0",
		MPROC_OPTS(mproc_listener_opts, A_KEY,
			   .md5 = MPROC_MD5_ALLOW)), 0);
	snprintf(addresses, sizeof(addresses), "%s",
		 mproc_listener_address(lenient));
	start(&py, state, addresses, PRELUDE EXCHANGE IS_NEW
	      "c = Client(address, authkey=key)\n"
	      "exchange(c)\n"
	      "strict = place(sys.stdin.readline().strip())\n"
	      "if sys.version_info >= (3, 12):\n"
	      "    Client(strict, authkey=key).send_bytes(b'hello')\n"
	      "else:\n"
	      "    fails(AuthenticationError, Client, strict, authkey=key)\n"
	      "print('done', flush=True)\n"
	      /* The other role. */
	      "l = Listener(('127.0.0.1', 0), authkey=key)\n"
	      "print(l.address[1], flush=True)\n"
	      "if sys.version_info >= (3, 12):\n"
	      "    l.accept()\n"
	      "else:\n"
	      "    fails((EOFError, OSError), l.accept)\n"
	      "exchange(l.accept())\n");
	new = is_new(&py);
	c = accept_one(lenient);
	exchange(t, c);
	mproc_conn_close(c);
	dprintf(py.in[1], "%s\n", mproc_listener_address(strict));
	if (new) {
		c = accept_one(strict);
		expect_message(t, c, "hello");
		mproc_conn_close(c);
	} else {
		while (!becomes_readable(py.out[0], 0))
			assert_int_equal(mproc_listener_accept(strict, &c,
							       mproc_ms(2)),
					 -ETIMEDOUT);
	}
	python_reach(&py, "done");
	mproc_listener_close(strict);
	mproc_listener_close(lenient);
	python_hear(&py, port);
	snprintf(addresses, sizeof(addresses), "tcp:127.0.0.1:%s", port);
	r = mproc_connect(&c, addresses, MPROC_OPTS(mproc_connect_opts, A_KEY),
			  mproc_sec(20));
	assert_int_equal(r, new ? 0 : -EACCES);
	if (new)
		mproc_conn_close(c);
	else
		assert_true(detail_has("md5"));
	assert_int_equal(mproc_connect(&c, addresses,
		MPROC_OPTS(mproc_connect_opts, A_KEY, .md5 = MPROC_MD5_ALLOW),
		mproc_sec(20)), 0);
	exchange(t, c);
	mproc_conn_close(c);
	python_end(&py, 0);
}

static int
connect_with(const char *address, const char *key, mproc_conn **ret_c)
{
	return mproc_connect(ret_c, address,
		MPROC_OPTS(mproc_connect_opts, .authkey = key,
			   .authkey_len = key ? strlen(key) : 0,
			   .handshake_timeout = mproc_ms(2000)), mproc_sec(20));
}

static void
python_listens(void **state)
{
	struct mpt *t = *state;
	char address[80], base[64], buf[16], question[100];
	struct python py;
	mproc_conn *c;
	bool new;

	snprintf(address, sizeof(address), "unix:@%s",
		 mpt_name(t, base, "listens") + 1);
	start(&py, state, address, PRELUDE EXCHANGE IS_NEW
	      "l = Listener(address, authkey=key)\n"
	      "go('listens')\n"
	      "exchange(l.accept())\n"
	      "fails(AuthenticationError, l.accept)\n"
	      /* Of one who has none and leaves. */
	      "fails((EOFError, OSError), l.accept)\n"
	      "c = l.accept()\n"
	      "os.write(c.fileno(), b'\\0\\0\\0\\5he')\n"
	      "c.close()\n"
	      "if sys.version_info >= (3, 12):\n"
	      "    l.accept()\n"
	      "else:\n"
	      "    fails(EOFError, l.accept)\n"
	      "l.close()\n"
	      "l = Listener(address)\n"
	      "go('without key')\n"
	      "exchange(l.accept())\n"
	      "c = l.accept()\n"
	      "c.send_bytes(b'no question')\n"
	      "fails((EOFError, OSError), c.recv_bytes)\n");
	new = is_new(&py);
	python_reach(&py, "listens");
	python_go(&py);
	assert_int_equal(connect_with(address, KEY, &c), 0);
	exchange(t, c);
	mproc_conn_close(c);
	assert_int_equal(connect_with(address, "wrong", &c), -EACCES);
	assert_true(detail_has("our key is wrong"));
	assert_int_equal(connect_with(address, NULL, &c), 0);
	assert_int_equal(mproc_conn_recv(c, buf, 16, NULL, mproc_sec(20)),
			 -EMSGSIZE);
	assert_int_equal(mproc_conn_recv(c, question, 100, NULL, mproc_sec(20)),
			 -EACCES);
	assert_true(detail_has("asks for a key"));
	mproc_conn_close(c);
	assert_int_equal(connect_with(address, KEY, &c), 0);
	expect_end(c, "after 2 of a message's 5 bytes");
	assert_int_equal(mproc_connect(&c, address,
		MPROC_OPTS(mproc_connect_opts, A_KEY, .md5 = MPROC_MD5_FORBID),
		mproc_sec(20)), new ? 0 : -EACCES);
	if (new)
		mproc_conn_close(c);
	else
		assert_true(detail_has("md5"));
	python_reach(&py, "without key");
	python_go(&py);
	assert_int_equal(connect_with(address, NULL, &c), 0);
	exchange(t, c);
	mproc_conn_close(c);
	assert_int_equal(connect_with(address, KEY, &c), -EACCES);
	assert_true(detail_has("asks for no key"));
	python_end(&py, 0);
}

/*
 * What Python says since 3.12, made of hmac and hashlib alone: a challenge and an
 * answer begin with the name of a digest, and the HMAC is that of the whole challenge,
 * name included.
 */
#define NEWER \
	"import hmac, os, socket, struct, sys\n" \
	"KEY = b'correct horse'\n" \
	"def say(s, text):\n" \
	"    s.sendall(struct.pack('!i', len(text)) + text)\n" \
	"def hear(s):\n" \
	"    n, = struct.unpack('!i', s.recv(4, socket.MSG_WAITALL))\n" \
	"    return s.recv(n, socket.MSG_WAITALL)\n" \
	"def mac(name, text):\n" \
	"    return b'{%s}' % name + hmac.new(KEY, text, name.decode()).digest()\n" \
	"def answer(s, name=None):\n" \
	"    text = hear(s)\n" \
	"    assert text[:11] == b'#CHALLENGE#', text\n" \
	"    text = text[11:]\n" \
	"    assert text[:8] == b'{sha256}' and len(text) == 48, text\n" \
	"    say(s, mac(name or text[1:7], text))\n" \
	"    return hear(s)\n" \
	"def ask(s, name):\n" \
	"    text = b'{%s}' % name + os.urandom(40)\n" \
	"    say(s, b'#CHALLENGE#' + text)\n" \
	"    try:\n" \
	"        good = hear(s) == mac(name, text)\n" \
	"    except struct.error:\n" \
	"        return 'left'\n" \
	"    say(s, b'#WELCOME#' if good else b'#FAILURE#')\n" \
	"    return good\n" \
	"def ended(s):\n" \
	"    return s.recv(1) == b''\n"

static void
connect_newer(const char *address, int md5, int expected)
{
	mproc_conn *c;

	assert_int_equal(mproc_connect(&c, address,
		MPROC_OPTS(mproc_connect_opts, A_KEY, .md5 = md5),
		mproc_sec(20)), expected);
	if (expected == 0)
		mproc_conn_close(c);
}

static void
python_of_3_12_gets_by_without_md5(void **state)
{
	struct mpt *t = *state;
	char *address = unix_address(t, "newer");
	mproc_listener *l;
	struct python py;
	mproc_conn *c;

	assert_int_equal(mproc_listener_open(&l, address,
		MPROC_OPTS(mproc_listener_opts, A_KEY,
			   .md5 = MPROC_MD5_FORBID)), 0);
	start(&py, state, address + PATH_AT, NEWER
	      "def client():\n"
	      "    s = socket.socket(socket.AF_UNIX)\n"
	      "    s.connect(sys.argv[1])\n"
	      "    return s\n"
	      "s = client()\n"
	      "assert answer(s) == b'#WELCOME#'\n"
	      "assert ask(s, b'sha256') is True\n"
	      "say(s, b'from 3.12')\n"
	      "assert hear(s) == b'to 3.12'\n"
	      /* A weaker digest, by its name; for us, and for itself. */
	      "s = client()\n"
	      "assert answer(s, b'md5') == b'#FAILURE#' and ended(s)\n"
	      "s = client()\n"
	      "assert answer(s) == b'#WELCOME#'\n"
	      "assert ask(s, b'md5') == 'left'\n"
	      "KEY = b'wrong'\n"
	      "s = client()\n"
	      "assert answer(s) == b'#FAILURE#' and ended(s)\n"
	      "KEY = b'correct horse'\n"
	      /* The other role. */
	      "l = socket.socket(socket.AF_UNIX)\n"
	      "l.bind('\\0' + sys.argv[1])\n"
	      "l.listen()\n"
	      "print('listens', flush=True)\n"
	      "assert sys.stdin.readline() == 'go\\n'\n"
	      "for name in b'sha256', b'md5', b'md5', b'sha256', b'sha256':\n"
	      "    s = l.accept()[0]\n"
	      "    good = ask(s, name)\n"
	      "    if good is True:\n"
	      "        good = answer(s)\n"
	      "    print(good, flush=True)\n");
	c = accept_one(l);
	expect_message(t, c, "from 3.12");
	send_text(t, c, "to 3.12");
	mproc_conn_close(c);
	/* The others are not let in; it goes on when it has been told. */
	while (!becomes_readable(py.out[0], 0))
		assert_int_equal(mproc_listener_accept(l, &c, mproc_ms(2)),
				 -ETIMEDOUT);
	python_reach(&py, "listens");
	python_go(&py);
	mproc_listener_close(l);
	memmove(address + PATH_AT + 1, address + PATH_AT,
		strlen(address + PATH_AT) + 1);
	address[PATH_AT] = '@';
	connect_newer(address, MPROC_MD5_FORBID, 0);
	python_reach(&py, "b'#WELCOME#'");
	connect_newer(address, MPROC_MD5_FORBID, -EACCES);
	python_reach(&py, "left");
	connect_newer(address, MPROC_MD5_ALLOW, 0);
	python_reach(&py, "b'#WELCOME#'");
	assert_int_equal(connect_with(address, "wrong", &c), -EACCES);
	python_reach(&py, "False");
	connect_newer(address, 0, 0);
	python_reach(&py, "b'#WELCOME#'");
	python_end(&py, 0);
}

#define MOST 1000

/* In one process on either side, which may have 1,024 descriptors as a rule. */
static void
a_thousand_of_pythons_are_open_at_once(void **state)
{
	static mproc_conn *conns[MOST];
	struct mpt *t = *state;
	char *address = unix_address(t, "often"), text[16];
	unsigned n = amount(MOST) < MOST ? amount(MOST) : MOST;
	mproc_listener *l;
	struct python py;

	assert_int_equal(mproc_listener_open(&l, address,
		MPROC_OPTS(mproc_listener_opts, A_KEY)), 0);
	start(&py, state, address, PRELUDE
	      "n = int(sys.stdin.readline())\n"
	      "all = []\n"
	      "for i in range(n):\n"
	      "    all.append(Client(address, authkey=key))\n"
	      "    all[i].send_bytes(b'%d' % i)\n"
	      "for i in range(n):\n"
	      "    assert all[i].recv_bytes() == b'%d' % (n - i)\n");
	dprintf(py.in[1], "%u\n", n);
	for (unsigned i = 0; i < n; i++)
		conns[i] = accept_one(l);
	for (unsigned i = n; i-- > 0;) {
		snprintf(text, sizeof(text), "%u", i);
		expect_message(t, conns[i], text);
		snprintf(text, sizeof(text), "%u", n - i);
		send_text(t, conns[i], text);
	}
	python_end(&py, 0);
	for (unsigned i = 0; i < n; i++)
		expect_end(conns[i], "has closed");
	mproc_listener_close(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(python_connects),
		mpt_test(pythons_digest_has_to_be_allowed_over_tcp),
		mpt_test(python_listens),
		mpt_test(python_of_3_12_gets_by_without_md5),
		mpt_test(a_thousand_of_pythons_are_open_at_once),
	};

	return cmocka_run_group_tests(tests, with_arena, NULL);
}
