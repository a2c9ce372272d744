/* SPDX-License-Identifier: MIT */
/*
 * A manager on another machine: on another network, which a cable connects to this one.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "manager.h"

#define HERE "10.99.7.1"
#define THERE "10.99.7.2"
#define PATIENCE mproc_sec(20)

/* Between both machines. */
struct cable {
	_Atomic int plugged_in, serves, over;
	char address[128];
};

static int
refuse(const char *what)
{
	print_message("# %s: no networks of our own here\n", what);
	return MPT_REFUSED;
}

/* Root in a user namespace of its own, if it is not root already. */
static bool
make_a_network(void)
{
	char map[64];
	uid_t uid = getuid();
	int n, fd;

	if (unshare(CLONE_NEWNET) == 0)
		return true;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	n = snprintf(map, sizeof(map), "0 %d 1", (int)uid);
	fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = write(fd, map, (size_t)n) == n;
	close(fd);
	return n;
}

static bool
run(const char *command)
{
	return system(command) == 0;
}

static bool
plug_in(pid_t there)
{
	char command[256];

	snprintf(command, sizeof(command), "ip link add mpt-here type veth "
		 "peer name mpt-there netns %d 2>/dev/null", (int)there);
	return run(command) &&
	       run("ip addr add " HERE "/24 dev mpt-here && "
		   "ip link set mpt-here up");
}

static void
await(_Atomic int *what)
{
	while (!*what)
		usleep(1000);
}

static int
double_it(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
{
	(void)state;
	(void)n;
	*ret = mproc_int(2 * args[0].i64);
	return 0;
}

static const struct mproc_type_method methods[] = { { "double", "i", double_it } };

/* The other machine. Returns its exit status. */
static int
be_there(struct cable *cable)
{
	mproc_manager *m;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0)
		return 1;
	cable->plugged_in = 1;
	await(&cable->serves);
	if (!run("ip addr add " THERE "/24 dev mpt-there && "
		 "ip link set mpt-there up"))
		return 2;
	if (mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
					.address = "tcp:" THERE ":0", A_KEY)) < 0 ||
	    mproc_manager_register(m, MPROC_OPTS(mproc_type, .name = "doubler",
					.methods = methods, .n_methods = 1)) < 0)
		return 3;
	snprintf(cable->address, sizeof(cable->address), "%s",
		 mproc_manager_address(m));
	cable->serves = 2;
	await(&cable->over);
	mproc_manager_close(m);
	return 0;
}

static void
use_it(struct mpt *t, const struct cable *cable)
{
	struct mproc_any two = mproc_int(2), got;
	mproc_manager *c;
	mproc_dict *d;

	mpt_check_int(t, mproc_manager_connect(&c, cable->address, NULL, PATIENCE),
		      -EACCES);
	mpt_check_int(t, mproc_manager_connect(&c, cable->address,
				MPROC_OPTS(mproc_connect_opts, A_KEY), PATIENCE),
		      0);
	mpt_check_int(t, mproc_manager_dict(c, "far", &d), 0);
	for (int i = 0; i < 100; i++)
		mpt_check_int(t, mproc_dict_add(d, mproc_str("n"), mproc_int(i),
						NULL), 0);
	mpt_check_int(t, mproc_dict_get(d, mproc_str("n"), &got), 0);
	mpt_check_int(t, got.i64, 4950);
	mproc_dict_destroy(d);
	mpt_check_int(t, mproc_manager_object(c, "doubler", "doubler"), 0);
	mpt_check_int(t, mproc_manager_call(c, "doubler", "double", &two, 1, &got,
					    PATIENCE), 0);
	mpt_check_int(t, got.i64, 4);
	/* Without the cable nothing comes back, and with it what was sent does. */
	mpt_check(t, run("ip link set mpt-here down"));
	mpt_check_int(t, mproc_manager_call(c, "doubler", "double", &two, 1, &got,
					    mproc_ms(20)), -ETIMEDOUT);
	mpt_check(t, run("ip link set mpt-here up"));
	mpt_check_int(t, mproc_manager_call(c, "doubler", "double", &two, 1, &got,
					    PATIENCE), 0);
	mpt_check_int(t, mproc_manager_object_destroy(c, "doubler"), 0);
	mproc_manager_close(c);
}

static int
be_here(struct mpt *t, void *arg)
{
	struct cable *cable = mpt_scratch(t);
	int status;
	pid_t pid;

	(void)arg;
	if (!make_a_network())
		return refuse("unshare(2)");
	pid = fork();
	if (pid == 0)
		_exit(be_there(cable));
	while (!cable->plugged_in && waitpid(pid, NULL, WNOHANG) == 0)
		usleep(1000);
	if (!cable->plugged_in || !plug_in(pid)) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return refuse("ip(8)");
	}
	cable->serves = 1;
	while (cable->serves != 2 && waitpid(pid, &status, WNOHANG) == 0)
		usleep(1000);
	mpt_check_int(t, cable->serves, 2);
	use_it(t, cable);
	cable->over = 1;
	mpt_check_int(t, waitpid(pid, &status, 0), pid);
	mpt_check_int(t, status, 0);
	return 0;
}

static void
a_manager_serves_another_machine(void **state)
{
	struct mpt *t = *state;

	mpt_expect_exit(t, mpt_fork(t, "here", be_here, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		mpt_test(a_manager_serves_another_machine),
	};

	return cmocka_run_group_tests(tests, with_manager, NULL);
}
