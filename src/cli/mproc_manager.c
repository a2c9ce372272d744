/* SPDX-License-Identifier: MIT */
/*
 * mproc-manager: a manager as a program of its own. It prints one line when clients can
 * connect, serves until SIGTERM or SIGINT, and logs to standard error.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mproc/manager.h>

#define KEY_MAX 4096 /* bytes of a file */
#define USAGE 2	     /* exit status */

static const char usage[] =
	"Usage: mproc-manager [OPTION]...\n"
	"Serve shared dicts, sets and namespaces to other programs.\n"
	"\n"
	"  -a, --address=ADDRESS   where: unix:/path, unix:@name or tcp:host:port;\n"
	"                          without, a name that nobody uses\n"
	"  -k, --key-file=FILE     clients have to have the key in this file, without\n"
	"                          the end of its last line; over TCP there has to be\n"
	"                          one\n"
	"  -n, --arena=NAME        keep objects in the named arena NAME, which is made if\n"
	"                          there is none, and stays\n"
	"  -c, --capacity=BYTES    of that if it is made\n"
	"  -u, --any-user          let in processes of other users of this machine\n"
	"      --max-clients=N     at most so many at once, usually 4096\n"
	"      --max-message=BYTES of a request or an answer, usually 16 MiB\n"
	"      --max-memory=BYTES  for what is on its way, usually 256 MiB\n"
	"  -v, --verbose           log what is of interest, too\n"
	"  -h, --help              say this, and end\n"
	"  -V, --version           say which version it is, and end\n"
	"\n"
	"When clients can connect it prints the line \"ready ADDRESS\". It ends in order\n"
	"by SIGTERM and SIGINT, with status 0.\n";

struct settings {
	struct mproc_manager_opts manager;
	const char *arena;
	size_t capacity;
	unsigned char key[KEY_MAX];
};

static volatile sig_atomic_t asked_to_end;

static void
on_signal(int signal)
{
	(void)signal;
	asked_to_end = 1;
	mproc_interrupt();
}

static void
listen_to_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

static int
complain(const char *what, int r)
{
	fprintf(stderr, "mproc-manager: %s: %s\n", what,
		*mproc_error_detail() ? mproc_error_detail() :
					mproc_strerror(r));
	return EXIT_FAILURE;
}

/* Whether @text is a number from 1 to @most. */
static bool
read_number(const char *option, const char *text, uint64_t most,
	    uint64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	if (errno == 0 && end != text && !*end && strchr(text, '-') == NULL &&
	    *ret_number >= 1 && *ret_number <= most)
		return true;
	fprintf(stderr, "mproc-manager: --%s is a number from 1 to %llu, not %s\n",
		option, (unsigned long long)most, text);
	return false;
}

static bool
read_key(struct settings *s, const char *path)
{
	FILE *file = fopen(path, "re");
	size_t n = 0;
	bool whole = false;

	if (file) {
		n = fread(s->key, 1, sizeof(s->key), file);
		whole = !ferror(file) && n < sizeof(s->key);
		fclose(file);
	}
	if (n && s->key[n - 1] == '\n')
		n--;
	if (!whole || !n) {
		fprintf(stderr, "mproc-manager: %s: %s\n", path,
			!file ? strerror(errno) : "no key of 1 to 4095 bytes");
		return false;
	}
	s->manager.authkey = s->key;
	s->manager.authkey_len = n;
	return true;
}

enum { MAX_CLIENTS = 256, MAX_MESSAGE, MAX_MEMORY };

static const struct option options[] = {
	{ "address", required_argument, NULL, 'a' },
	{ "key-file", required_argument, NULL, 'k' },
	{ "arena", required_argument, NULL, 'n' },
	{ "capacity", required_argument, NULL, 'c' },
	{ "any-user", no_argument, NULL, 'u' },
	{ "max-clients", required_argument, NULL, MAX_CLIENTS },
	{ "max-message", required_argument, NULL, MAX_MESSAGE },
	{ "max-memory", required_argument, NULL, MAX_MEMORY },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* One option. Returns -1 to go on, or an exit status. */
static int
read_option(struct settings *s, int option, const char *name)
{
	uint64_t number = 0;

	switch (option) {
	case 'a':
		s->manager.address = optarg;
		return -1;
	case 'k':
		return read_key(s, optarg) ? -1 : USAGE;
	case 'n':
		s->arena = optarg;
		return -1;
	case 'u':
		s->manager.peers = MPROC_PEERS_ANY;
		return -1;
	case 'v':
		mproc_log_set(MPROC_LOG_INFO, NULL, NULL);
		return -1;
	case 'h':
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	case 'V':
		printf("mproc-manager %s\n", mproc_version());
		return EXIT_SUCCESS;
	case '?':
		fputs("mproc-manager --help says what there is\n", stderr);
		return USAGE;
	default:
		break;
	}
	if (!read_number(name, optarg,
			 option == MAX_CLIENTS ? INT32_MAX : SIZE_MAX, &number))
		return USAGE;
	if (option == 'c')
		s->capacity = (size_t)number;
	else if (option == MAX_CLIENTS)
		s->manager.max_clients = (int)number;
	else if (option == MAX_MESSAGE)
		s->manager.max_message = (size_t)number;
	else
		s->manager.max_memory = (size_t)number;
	return -1;
}

static int
read_options(struct settings *s, int argc, char **argv)
{
	int option, r = -1, index = -1;

	while (r < 0 && (option = getopt_long(argc, argv, "a:k:n:c:uvhV", options,
					      &index)) != -1) {
		r = read_option(s, option,
				index < 0 ? "capacity" : options[index].name);
		index = -1;
	}
	if (r < 0 && optind < argc) {
		fprintf(stderr, "mproc-manager: what is %s?\n", argv[optind]);
		r = USAGE;
	}
	return r;
}

/* Opens or makes the named arena. */
static int
prepare_arena(struct settings *s)
{
	const struct mproc_arena_opts ao = {
		.struct_size = sizeof(ao),
		.name = s->arena,
		.capacity = s->capacity,
	};
	int r;

	if (!s->arena)
		return 0;
	r = mproc_arena_open(&s->manager.arena, s->arena, MPROC_NOWAIT);
	if (r == -ENOENT)
		r = mproc_arena_create(&s->manager.arena, &ao);
	/* Somebody else was faster. */
	if (r == -EEXIST)
		r = mproc_arena_open(&s->manager.arena, s->arena, mproc_sec(1));
	return r;
}

static int
serve(mproc_manager *m)
{
	int r = 0;

	if (printf("ready %s\n", mproc_manager_address(m)) < 0 ||
	    fflush(stdout) == EOF)
		return complain("standard output", -errno);
	while (!asked_to_end) {
		r = mproc_manager_serve(m, MPROC_FOREVER);
		if (r < 0 && r != -EINTR)
			return complain("serving", r);
	}
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	static struct settings s = {
		.manager = { .struct_size = sizeof(s.manager),
			     .in_process = true },
	};
	mproc_manager *m;
	int r;

	mproc_log_set(MPROC_LOG_WARNING, NULL, NULL);
	r = read_options(&s, argc, argv);
	if (r >= 0)
		return r;
	listen_to_signals();
	r = prepare_arena(&s);
	if (r < 0)
		return complain(s.arena, r);
	r = mproc_manager_start(&m, &s.manager);
	explicit_bzero(s.key, sizeof(s.key));
	if (r < 0)
		return complain("starting", r);
	r = serve(m);
	mproc_manager_close(m);
	if (s.manager.arena)
		mproc_arena_close(s.manager.arena);
	return r;
}
