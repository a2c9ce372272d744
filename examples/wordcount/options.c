/* SPDX-License-Identifier: MIT */
/*
 * options.c - what the command line asks for.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <mproc/mproc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "problems.h"

/* libmproc takes 1024 participants, of which the parent is one. */
enum {
	MOST_WORKERS = 1000,
	TOP_ON_TERMINAL = 10,
	USAGE = 2
};

static const char help[] =
	"usage: wordcount [-j N] [--chaos] [--top K] [OPTION...] [PATH...]\n"
	"Counts the words in files, and in the files below directories, with\n"
	"several processes. Without PATH: /usr/include.\n"
	"\n"
	"A word is a run of the bytes A-Z, a-z, 0-9 and _ within one file. "
	"For\n"
	"each word its count, a tab and the word are printed, the most "
	"frequent\n"
	"first. All else goes to standard error. Symbolic links are followed\n"
	"only where they are given as PATH.\n"
	"\n"
	"  -j, --jobs N      count with N processes, 1 to 1000\n"
	"                    (default: as many as there are CPUs)\n"
	"      --chaos       kill a random one of them several times a second\n"
	"  -t, --top K       print only the K most frequent words\n"
	"                    (default: 10 on a terminal, all otherwise)\n"
	"      --compare     count again with a single process and no queue,\n"
	"                    check that the answer is the same, and then "
	"measure\n"
	"                    N processes on the same, now cached, files: "
	"prints\n"
	"                    how many times as fast they were. With --chaos "
	"only\n"
	"                    the answers are compared. (default on a "
	"terminal)\n"
	"      --no-compare  do not\n"
	"      --batch BYTES cut the text into pieces of BYTES, at least 1\n"
	"                    (default: 64 KiB growing to 4 MiB)\n"
	"  -h, --help        print this\n"
	"\n"
	"Exit status: 0 all was counted; 1 something could not be read or\n"
	"written, the rest was counted; 2 wrong usage or no such PATH; 128 "
	"plus\n"
	"the number of the signal that ended it.\n";

static int
wrong_usage(void)
{
	fprintf(stderr, "wordcount: try --help\n");
	return USAGE;
}

/* Reads a whole number from least to most. Returns false, and says so, if it
 * is none. */
static bool
read_number(const char *what, const char *text, uint64_t least, uint64_t most,
	    uint64_t *ret_number)
{
	uint64_t number = 0;
	const char *c;

	for (c = text; *c >= '0' && *c <= '9' && number <= most; c++) {
		if (number > (UINT64_MAX - 9) / 10)
			number = UINT64_MAX;
		else
			number = number * 10 + (uint64_t)(*c - '0');
	}
	if (c == text || *c || number < least || number > most) {
		fprintf(stderr,
			"wordcount: %s must be a number from %llu to "
			"%llu, not '",
			what, (unsigned long long)least,
			(unsigned long long)most);
		problems_print_name(text);
		fprintf(stderr, "'\n");
		return false;
	}
	*ret_number = number;
	return true;
}

static bool
check_paths(const struct options *o)
{
	const char *wrong;
	struct stat st;
	bool good = true;
	size_t i;

	for (i = 0; i < o->n_paths; i++) {
		wrong = NULL;
		if (stat(o->paths[i], &st))
			wrong = strerror(errno);
		else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
			wrong = "neither a file nor a directory";
		if (wrong) {
			problems_report(o->paths[i], wrong);
			good = false;
		}
	}
	return good;
}

int
options_read(struct options *o, int argc, char **argv)
{
	static char include[] = "/usr/include";
	static char *const default_paths[] = { include };
	static const struct option known[] = {
		{ "jobs", required_argument, NULL, 'j' },
		{ "chaos", no_argument, NULL, 'c' },
		{ "top", required_argument, NULL, 't' },
		{ "compare", no_argument, NULL, 'p' },
		{ "no-compare", no_argument, NULL, 'n' },
		{ "batch", required_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool terminal = isatty(STDOUT_FILENO);
	uint64_t number;
	int c;

	memset(o, 0, sizeof(*o));
	o->top = terminal ? TOP_ON_TERMINAL : SIZE_MAX;
	o->compare = terminal;
	while ((c = getopt_long(argc, argv, "j:t:h", known, NULL)) != -1) {
		switch (c) {
		case 'j':
			if (!read_number("-j", optarg, 1, MOST_WORKERS,
					 &number))
				return USAGE;
			o->workers = (unsigned)number;
			break;
		case 'c':
			o->chaos = true;
			break;
		case 't':
			if (!read_number("--top", optarg, 0, INT64_MAX,
					 &number))
				return USAGE;
			o->top = number;
			break;
		case 'p':
			o->compare = true;
			break;
		case 'n':
			o->compare = false;
			break;
		case 'b':
			if (!read_number("--batch", optarg, 1, INT64_MAX,
					 &o->batch))
				return USAGE;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return wrong_usage();
		}
	}
	if (!o->workers) {
		o->workers = (unsigned)mproc_cpu_count();
		if (o->workers > MOST_WORKERS)
			o->workers = MOST_WORKERS;
	}
	o->paths = optind < argc ? argv + optind : default_paths;
	o->n_paths = optind < argc ? (size_t)(argc - optind) : 1;
	return check_paths(o) ? -1 : USAGE;
}
