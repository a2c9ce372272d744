/* SPDX-License-Identifier: MIT */
/*
 * options.h - what the command line asks for.
 */
#ifndef WORDCOUNT_OPTIONS_H
#define WORDCOUNT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct options - what the command line asks for
 * @workers: how many processes count
 * @top:     how many words are printed; SIZE_MAX for all
 * @batch:   bytes of text in a task, or 0: as many as suits
 * @chaos:   kill workers meanwhile
 * @compare: count with one process too, compare, and tell the speed-up
 * @paths:   files and directories; all of them exist
 * @n_paths: how many, at least 1
 */
struct options {
	unsigned workers;
	size_t top;
	uint64_t batch;
	bool chaos;
	bool compare;
	char *const *paths;
	size_t n_paths;
};

/* Reads the command line. Returns -1, or the status to exit with: help was
 * asked for and given, or something is wrong and has been told. */
int options_read(struct options *o, int argc, char **argv);

#endif
