/* SPDX-License-Identifier: MIT */
/*
 * walk.h - the regular files of some trees, one after the other.
 *
 * A symbolic link is followed if it is one of the paths given, never below
 * them. Whatever is no regular file and no directory is passed over. What
 * cannot be read is reported as a problem, and the walk goes on.
 */
#ifndef WORDCOUNT_WALK_H
#define WORDCOUNT_WALK_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a step of the walk came to. */
enum walk_step {
	WALK_END,
	WALK_FILE,
	WALK_OTHER
};

/**
 * struct walk_file - a file found
 * @path:   its path, valid until the next step
 * @size:   its length in bytes
 * @follow: it may be a symbolic link
 */
struct walk_file {
	const char *path;
	uint64_t size;
	bool follow;
};

struct walk {
	char *const *paths; /* not visited yet */
	size_t n_paths;
	char **dirs; /* found, not opened yet */
	size_t n_dirs;
	size_t dirs_room;
	DIR *dir; /* being read, or NULL */
	char *dir_path;
	char *path;
	size_t path_room;
};

void walk_start(struct walk *w, char *const *paths, size_t n_paths);

/* Looks at one more file or directory; fills in ret_file if it is a file that
 * counts. */
enum walk_step walk_next(struct walk *w, struct walk_file *ret_file);

void walk_end(struct walk *w);

#endif
