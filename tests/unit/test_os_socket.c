/* SPDX-License-Identifier: MIT */
/*
 * Sockets and their addresses: files that come into being with their permissions and
 * go with their owner, names that are no files, and TCP.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <mproc/core.h>

#include "base/fault.h"
#include "common.h"
#include "os/fds.h"
#include "os/socket.h"
#include "os/socket_name.h"

/* "unix:" and a path where a file that stays is found. */
struct address {
	char text[96];
};

#define PATH_AT 5

static struct address
an_address(void **state, const char *what)
{
	struct address a;
	char name[64];

	mpt_name(*state, name, what);
	snprintf(a.text, sizeof(a.text), "unix:/dev/shm%s", name);
	return a;
}

static void
expect_text(const char *text)
{
	if (!strstr(mproc_error_detail(), text))
		fail_msg("\"%s\" is not in \"%s\"", text, mproc_error_detail());
}

/* Bytes go both ways, and what holds of all sockets holds. */
static void
try_pair(int a, int b)
{
	const int fds[2] = { a, b };
	char buf[8];
	ssize_t n;

	for (int i = 0; i < 2; i++) {
		const struct iovec parts[2] = { { (void *)(uintptr_t)"ab", 2 },
						{ (void *)(uintptr_t)"c", 1 } };

		assert_true(fds[i] > 2);
		assert_true(mpr_fds_ends_at_exec(fds[i]));
		assert_int_equal(mpr_socket_receive(fds[i], buf, 8, false), -EAGAIN);
		assert_int_equal(mpr_socket_send(fds[i], parts, 2, false), 3);
		/* A packet may still be on its way. */
		do
			n = mpr_socket_receive(fds[!i], buf, 8, false);
		while (n == -EAGAIN);
		assert_int_equal(n, 3);
		assert_memory_equal(buf, "abc", 3);
	}
}

static void
try_listener(int fd, const char *address)
{
	int a, b = -EAGAIN;

	assert_int_equal(mpr_socket_accept(fd), -EAGAIN);
	a = mpr_socket_connect(address, false, mproc_now() + 10000000000);
	assert_true(a >= 0);
	while (b == -EAGAIN)
		b = mpr_socket_accept(fd);
	assert_true(b >= 0);
	try_pair(a, b);
	mpr_fds_close(b);
	{
		const struct iovec part = { (void *)(uintptr_t)"x", 1 };
		char buf[1];
		ssize_t r;

		/* The end is seen, and there is no SIGPIPE. */
		while ((r = mpr_socket_receive(a, buf, 1, false)) == -EAGAIN)
			;
		assert_int_equal(r, 0);
		while ((r = mpr_socket_send(a, &part, 1, false)) > 0)
			;
		assert_int_equal(r, -EPIPE);
	}
	mpr_fds_close(a);
}

static unsigned
mode_of(const char *address)
{
	struct stat st;

	assert_int_equal(lstat(address + PATH_AT, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	return st.st_mode & 07777;
}

static void
a_file_has_its_permissions_whatever_the_umask(void **state)
{
	static const mode_t umasks[] = { 0, 0022, 0777 };
	struct address a = an_address(state, "socket");
	struct mpr_socket_place place;
	int fd;

	for (int i = 0; i < 6; i++) {
		mode_t before = umask(umasks[i / 2]);
		unsigned mode = i & 1 ? 0666 : 0600;

		fd = mpr_socket_listen(a.text, mode, 4, false, &place);
		umask(before);
		assert_true(fd > 2);
		assert_int_equal(mode_of(a.text), mode);
		assert_string_equal(place.address, a.text);
		try_listener(fd, a.text);
		mpr_socket_remove(&place);
		mpr_fds_close(fd);
		assert_int_equal(access(a.text + PATH_AT, F_OK), -1);
	}
}

static void
names_that_are_no_files_are_as_good(void **state)
{
	struct mpr_socket_place place, other;
	char name[64], address[80];
	int fd;

	snprintf(address, sizeof(address), "unix:@%s",
		 mpt_name(*state, name, "abstract") + 1);
	fd = mpr_socket_listen(address, 0600, 4, false, &place);
	assert_true(fd >= 0);
	assert_string_equal(place.address, address);
	assert_int_equal(mpr_socket_listen(address, 0600, 4, false, &other),
			 -EADDRINUSE);
	expect_text(address);
	try_listener(fd, address);
	mpr_socket_remove(&place);
	mpr_fds_close(fd);
	assert_int_equal(mpr_socket_connect(address, false, 0), -ECONNREFUSED);
}

static int
nodelay_of(int fd)
{
	socklen_t len = sizeof(int);
	int on = 0;

	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len);
	return on;
}

static void
tcp_has_a_port_and_does_not_delay(void **state)
{
	struct mpr_socket_place place;
	char expected[64];
	int fd, a, b = -EAGAIN, port = 0;

	(void)state;
	fd = mpr_socket_listen("tcp:127.0.0.1:0", 0600, 4, false, &place);
	assert_true(fd > 2);
	assert_int_equal(sscanf(place.address, "tcp:127.0.0.1:%d", &port), 1);
	assert_true(port > 0);
	try_listener(fd, place.address);
	a = mpr_socket_connect(place.address, false, mproc_now() + 10000000000);
	while (b == -EAGAIN)
		b = mpr_socket_accept(fd);
	assert_true(nodelay_of(a) && nodelay_of(b));
	mpr_fds_close(fd);
	/* Connections that are there do not keep a new listener off. */
	snprintf(expected, sizeof(expected), "tcp:127.0.0.1:%d", port);
	mpr_fds_close(b);
	fd = mpr_socket_listen(expected, 0600, 4, false, &place);
	assert_true(fd >= 0);
	assert_string_equal(place.address, expected);
	mpr_fds_close(a);
	mpr_fds_close(fd);
	assert_int_equal(mpr_socket_connect(expected, false, mproc_now() + 10000000000),
			 -ECONNREFUSED);
	expect_text(expected);
}

static void
hosts_have_names_and_brackets_and_may_be_missing(void **state)
{
	static const char *const texts[][2] = {
		{ "tcp:localhost:0", "tcp:127.0.0.1:" },
		{ "tcp::0", "tcp:0.0.0.0:" },
		{ "tcp:[127.0.0.1]:0", "tcp:127.0.0.1:" },
		{ "tcp:[::1]:0", "tcp:[::1]:" },
		{ "tcp:::1:0", "tcp:[::1]:" },
	};
	struct mpr_socket_place place;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int fd = mpr_socket_listen(texts[i][0], 0600, 4, false, &place);

		/* A machine need not have IPv6. */
		if (i >= 3 && (fd == -EADDRNOTAVAIL || fd == -EAFNOSUPPORT))
			continue;
		assert_true(fd >= 0);
		assert_int_equal(strncmp(place.address, texts[i][1],
					 strlen(texts[i][1])), 0);
		if (i != 1)
			try_listener(fd, place.address);
		mpr_fds_close(fd);
	}
}

/* Addresses of one link mean nothing without its number. */
static void
a_link_belongs_to_an_address(void **state)
{
	struct mpr_socket_name names[MPR_SOCKET_NAMES];
	char text[MPR_SOCKET_TEXT];

	(void)state;
	assert_int_equal(mpr_socket_names("tcp:[fe80::1%1]:5", false, names), 1);
	mpr_socket_describe(&names[0], text);
	assert_string_equal(text, "tcp:[fe80::1%1]:5");
}

static void
what_is_no_address_is_explained(void **state)
{
	static const struct {
		const char *text, *detail;
		int listen, connect;
	} wrong[] = {
		{ NULL, "NULL", -EINVAL, -EINVAL },
		{ "", "begins neither", -EINVAL, -EINVAL },
		{ "/tmp/x", "begins neither", -EINVAL, -EINVAL },
		{ "unix:", "must follow", -EINVAL, -EINVAL },
		{ "unix:x", "must follow", -EINVAL, -EINVAL },
		{ "unix:/", "no name", -EINVAL, -EINVAL },
		{ "unix:@", "no name", -EINVAL, -EINVAL },
		{ "tcp:", "host:port", -EINVAL, -EINVAL },
		{ "tcp:localhost", "host:port", -EINVAL, -EINVAL },
		{ "tcp:localhost:", "host:port", -EINVAL, -EINVAL },
		{ "tcp:localhost:http", "host:port", -EINVAL, -EINVAL },
		{ "tcp:localhost:65536", "65535", -EINVAL, -EINVAL },
		{ "tcp:localhost:-1", "65535", -EINVAL, -EINVAL },
		{ "tcp::80", "a host", 0, -EINVAL },
		{ "tcp:localhost:0", "a port", 0, -EINVAL },
		{ "unix:/nowhere/x", "/nowhere/x", -ENOENT, -ENOENT },
		{ "unix:/dev/null/x", "/dev/null/x", -ENOTDIR, -ENOTDIR },
		{ "tcp:192.0.2.1:1", "192.0.2.1", -EADDRNOTAVAIL, 0 },
	};
	struct mpr_socket_place place;
	char path[160] = "unix:/";

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (wrong[i].listen) {
			assert_int_equal(mpr_socket_listen(wrong[i].text, 0600,
							   4, false, &place),
					 wrong[i].listen);
			expect_text(wrong[i].detail);
		}
		if (wrong[i].connect) {
			assert_int_equal(mpr_socket_connect(wrong[i].text, false, 0),
					 wrong[i].connect);
			expect_text(wrong[i].detail);
		}
	}
	/* One byte too many, of a path and of a name. */
	memset(path + 6, 'x', 107);
	assert_int_equal(mpr_socket_listen(path, 0600, 4, false, &place),
			 -ENAMETOOLONG);
	expect_text("108 bytes");
	expect_text("at most 107");
	assert_int_equal(mpr_socket_connect(path, false, 0), -ENAMETOOLONG);
	path[6 + 106] = '\0';
	assert_int_equal(mpr_socket_connect(path, false, 0), -ENOENT);
	path[5] = '@';
	path[6 + 106] = 'x';
	assert_int_equal(mpr_socket_connect(path, false, 0), -ECONNREFUSED);
	path[6 + 107] = 'x';
	assert_int_equal(mpr_socket_connect(path, false, 0), -ENAMETOOLONG);
	expect_text("at most 108");
}

/* Binds it and goes. */
static void
leave_a_file(const char *address)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", address + PATH_AT);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	close(fd);
}

static void
a_file_that_was_left_is_replaced_and_no_other(void **state)
{
	struct address a = an_address(state, "left");
	const char *path = a.text + PATH_AT;
	struct mpr_socket_place place, other;
	int fd, again, file;

	leave_a_file(a.text);
	fd = mpr_socket_listen(a.text, 0600, 4, false, &place);
	assert_true(fd >= 0);
	assert_int_equal(mode_of(a.text), 0600);
	/* Somebody listens. */
	assert_int_equal(mpr_socket_listen(a.text, 0600, 4, false, &other),
			 -EADDRINUSE);
	expect_text("somebody listens");
	assert_int_equal(mode_of(a.text), 0600);
	try_listener(fd, a.text);
	/* What has taken its place is not removed. */
	unlink(path);
	again = mpr_socket_listen(a.text, 0600, 4, false, &other);
	assert_true(again >= 0);
	mpr_socket_remove(&place);
	assert_int_equal(mode_of(a.text), 0600);
	mpr_socket_remove(&other);
	mpr_fds_close(fd);
	mpr_fds_close(again);
	/* Not a socket, and not ours. */
	file = open(path, O_CREAT | O_WRONLY, 0600);
	close(file);
	assert_int_equal(mpr_socket_listen(a.text, 0600, 4, false, &place),
			 -EADDRINUSE);
	expect_text("no socket");
	unlink(path);
	leave_a_file(a.text);
	if (chown(path, 12345, (gid_t)-1) == 0) {
		assert_int_equal(mpr_socket_listen(a.text, 0600, 4, false, &place),
				 -EADDRINUSE);
		expect_text("user 12345");
	}
	unlink(path);
}

/* Between its bind() and its listen(). */
static void
who_is_about_to_listen_has_the_address(void **state)
{
	struct address a = an_address(state, "later");
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct mpr_socket_place place;

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", a.text + PATH_AT);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(mpr_socket_listen(a.text, 0600, 4, false, &place),
			 -EADDRINUSE);
	expect_text("somebody listens");
	assert_int_equal(listen(fd, 1), 0);
	close(mpr_socket_connect(a.text, false, 0));
	close(fd);
	unlink(a.text + PATH_AT);
}

struct race {
	_Atomic unsigned winners, tried;
	char address[96];
};

static int
replace_at_once(struct mpt *t, void *arg)
{
	struct race *race = arg;
	struct mpr_socket_place place;
	int fd;

	mpt_reach(t, 1);
	fd = mpr_socket_listen(race->address, 0600, 4, false, &place);
	mpt_check(t, fd >= 0 || fd == -EADDRINUSE);
	race->winners += fd >= 0;
	race->tried++;
	/* It listens until all have tried. */
	mpt_reach(t, 2);
	return 0;
}

static void
of_several_who_replace_it_one_has_it(void **state)
{
	struct mpt *t = *state;
	struct address a = an_address(state, "race");
	struct race *race = mpt_scratch(t);

	memcpy(race->address, a.text, sizeof(a.text));
	leave_a_file(a.text);
	for (int i = 0; i < 4; i++)
		mpt_spawn(t, "replacer", replace_at_once, race);
	mpt_step(t, 0);
	mpt_until(t, race->tried == 4);
	assert_int_equal(race->winners, 1);
	mpt_step(t, 1);
	mpt_join_all(t);
	unlink(a.text + PATH_AT);
}

static void
a_directory_that_stays_locked_keeps_what_is_in_it(void **state)
{
	struct address a = an_address(state, "locked");
	struct mpr_socket_place place;
	int lock;

	if (amount(1) < 10)
		return; /* it takes a second */
	lock = open("/dev/shm", O_RDONLY | O_DIRECTORY);
	assert_int_equal(flock(lock, LOCK_SH), 0);
	leave_a_file(a.text);
	assert_int_equal(mpr_socket_listen(a.text, 0600, 4, false, &place),
			 -EADDRINUSE);
	expect_text("cannot be locked");
	unlink(a.text + PATH_AT);
	/* But it keeps nobody from making one. */
	close(mpr_socket_listen(a.text, 0600, 4, false, &place));
	mpr_socket_remove(&place);
	close(lock);
}

static void *
interrupt_sleeper(void *arg)
{
	while (mpt_task_state(*(pid_t *)arg) != 'S')
		sched_yield();
	mproc_interrupt();
	return NULL;
}

static void
connecting_to_who_is_busy_has_an_end(void **state)
{
	struct address a = an_address(state, "busy");
	struct mpr_socket_place place;
	int fd, fds[8], n = 0;
	pid_t me = getpid();
	pthread_t thread;
	int64_t before;

	fd = mpr_socket_listen(a.text, 0600, 1, false, &place);
	while (n < 8 && (fds[n] = mpr_socket_connect(a.text, false, 0)) >= 0)
		n++;
	assert_in_range(n, 1, 7);
	assert_int_equal(fds[n], -EAGAIN);
	before = mproc_now();
	assert_int_equal(mpr_socket_connect(a.text, false, before + 30000000),
			 -ETIMEDOUT);
	assert_true(mproc_now() >= before + 30000000);
	pthread_create(&thread, NULL, interrupt_sleeper, &me);
	assert_int_equal(mpr_socket_connect(a.text, false, INT64_MAX), -EINTR);
	pthread_join(thread, NULL);
	while (n)
		mpr_fds_close(fds[--n]);
	mpr_socket_remove(&place);
	mpr_fds_close(fd);
}

static void
the_other_side_of_a_local_one_is_known(void **state)
{
	struct address a = an_address(state, "peer");
	struct mpr_socket_place place;
	int fd = mpr_socket_listen(a.text, 0600, 1, false, &place);
	int client = mpr_socket_connect(a.text, false, 0);
	int server = mpr_socket_accept(fd);
	uid_t uid = 99;
	pid_t pid = 0;

	assert_int_equal(mpr_socket_peer(server, &uid, &pid), 0);
	assert_int_equal(uid, geteuid());
	assert_int_equal(pid, getpid());
	assert_true(mpr_socket_trusts(uid) && mpr_socket_trusts(0));
	assert_false(mpr_socket_trusts(geteuid() + 1));
	mpr_fds_close(server);
	mpr_fds_close(client);
	mpr_socket_remove(&place);
	mpr_fds_close(fd);
}

static void
what_the_kernel_refuses_is_an_error_and_leaves_nothing(void **state)
{
	static const struct {
		const char *fault;
		int r;
	} faults[] = {
		{ "socket:1", -EMFILE },
		{ "bind:1=EACCES", -EACCES },
		{ "fstat:1", -ENOMEM },
	};
	struct address a = an_address(state, "fault");
	struct mpr_socket_place place;
	struct iovec part = { &part, 1 };
	char buf[4];
	int fd;

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		mpr_fault_set(faults[i].fault);
		assert_int_equal(mpr_socket_listen(a.text, 0600, 1, false, &place),
				 faults[i].r);
		mpr_fault_set(NULL);
		assert_int_equal(access(a.text + PATH_AT, F_OK), -1);
	}
	fd = mpr_socket_listen(a.text, 0600, 1, false, &place);
	mpr_fault_set("socket:1,connect:1");
	assert_int_equal(mpr_socket_connect(a.text, false, 0), -EMFILE);
	assert_int_equal(mpr_socket_connect(a.text, false, 0), -ECONNREFUSED);
	mpr_fault_set("accept:1,send:1,receive:1");
	assert_int_equal(mpr_socket_accept(fd), -EMFILE);
	assert_int_equal(mpr_socket_send(fd, &part, 1, false), -EPIPE);
	assert_int_equal(mpr_socket_receive(fd, buf, 4, false), -EPIPE);
	mpr_fault_set("malloc:1");
	assert_int_equal(mpr_socket_connect("tcp:localhost:1", false, 0), -ENOMEM);
	mpr_fault_set(NULL);
	mpr_socket_remove(&place);
	mpr_fds_close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_file_has_its_permissions_whatever_the_umask),
		mpt_test(names_that_are_no_files_are_as_good),
		mpt_test(tcp_has_a_port_and_does_not_delay),
		mpt_test(hosts_have_names_and_brackets_and_may_be_missing),
		mpt_test(a_link_belongs_to_an_address),
		mpt_test(what_is_no_address_is_explained),
		mpt_test(a_file_that_was_left_is_replaced_and_no_other),
		mpt_test(who_is_about_to_listen_has_the_address),
		mpt_test(of_several_who_replace_it_one_has_it),
		mpt_test(a_directory_that_stays_locked_keeps_what_is_in_it),
		mpt_test(connecting_to_who_is_busy_has_an_end),
		mpt_test(the_other_side_of_a_local_one_is_known),
		mpt_test(what_the_kernel_refuses_is_an_error_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
