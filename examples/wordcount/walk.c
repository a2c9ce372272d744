/* SPDX-License-Identifier: MIT */
/*
 * walk.c - the regular files of some trees, one after the other.
 *
 * Directories wait by name on a stack, and one at a time is open, so no tree
 * is too deep for the descriptors. nftw() would give up the whole walk when a
 * directory vanishes, and cannot be left between two files.
 */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"
#include "problems.h"

void
walk_start(struct walk *w, char *const *paths, size_t n_paths)
{
	memset(w, 0, sizeof(*w));
	w->paths = paths;
	w->n_paths = n_paths;
}

static void
push(struct walk *w, const char *path)
{
	size_t size = strlen(path) + 1;

	if (w->n_dirs == w->dirs_room) {
		w->dirs_room = 2 * w->dirs_room + 16;
		w->dirs =
			memory_resize(w->dirs, w->dirs_room, sizeof(*w->dirs));
	}
	w->dirs[w->n_dirs] = memory_resize(NULL, 1, size);
	memcpy(w->dirs[w->n_dirs++], path, size);
}

static void
leave(struct walk *w)
{
	if (w->dir)
		closedir(w->dir);
	w->dir = NULL;
	free(w->dir_path);
	w->dir_path = NULL;
}

/* Opens the directory on top of the stack. */
static void
enter(struct walk *w, bool follow)
{
	int fd;

	w->dir_path = w->dirs[--w->n_dirs];
	fd = open(w->dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
				       (follow ? 0 : O_NOFOLLOW));
	if (fd >= 0) {
		w->dir = fdopendir(fd);
		if (!w->dir)
			close(fd);
	}
	if (!w->dir) {
		problems_report(w->dir_path, strerror(errno));
		leave(w);
	}
}

/* Puts the path of an entry of the open directory into w->path. */
static bool
join(struct walk *w, const char *name)
{
	size_t dir_len = strlen(w->dir_path), len = strlen(name);
	size_t slash = dir_len && w->dir_path[dir_len - 1] != '/';

	if (w->path_room < dir_len + len + 2) {
		w->path_room = 2 * (dir_len + len + 2);
		w->path = memory_resize(w->path, 1, w->path_room);
	}
	memcpy(w->path, w->dir_path, dir_len);
	memcpy(w->path + dir_len, "/", slash);
	memcpy(w->path + dir_len + slash, name, len + 1);
	if (dir_len + slash + len < PATH_MAX)
		return true;
	problems_report(w->path, strerror(ENAMETOOLONG));
	return false;
}

/* Reads one entry. Returns true if it is a regular file. */
static bool
read_entry(struct walk *w, struct walk_file *ret_file)
{
	struct dirent *entry;
	struct stat st;

	errno = 0;
	entry = readdir(w->dir);
	if (!entry) {
		if (errno)
			problems_report(w->dir_path, strerror(errno));
		leave(w);
		return false;
	}
	if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
		return false;
	/* Only a regular file's size is needed, so do without stat where the
	 * file system says what an entry is. */
	if (entry->d_type != DT_REG && entry->d_type != DT_DIR &&
	    entry->d_type != DT_UNKNOWN)
		return false;
	if (!join(w, entry->d_name))
		return false;
	if (entry->d_type == DT_DIR) {
		push(w, w->path);
		return false;
	}
	if (fstatat(dirfd(w->dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW)) {
		problems_report(w->path, strerror(errno));
		return false;
	}
	if (S_ISDIR(st.st_mode))
		push(w, w->path);
	ret_file->path = w->path;
	ret_file->size = (uint64_t)st.st_size;
	ret_file->follow = false;
	return S_ISREG(st.st_mode);
}

/* Takes the next of the paths given. Returns true if it is a file. */
static bool
take_path(struct walk *w, struct walk_file *ret_file)
{
	const char *path = *w->paths++;
	struct stat st;

	w->n_paths--;
	if (stat(path, &st)) {
		problems_report(path, strerror(errno));
		return false;
	}
	if (S_ISDIR(st.st_mode)) {
		push(w, path);
		enter(w, true);
	}
	ret_file->path = path;
	ret_file->size = (uint64_t)st.st_size;
	ret_file->follow = true;
	return S_ISREG(st.st_mode);
}

enum walk_step
walk_next(struct walk *w, struct walk_file *ret_file)
{
	bool found = false;

	if (w->dir)
		found = read_entry(w, ret_file);
	else if (w->n_dirs)
		enter(w, false);
	else if (w->n_paths)
		found = take_path(w, ret_file);
	else
		return WALK_END;
	return found ? WALK_FILE : WALK_OTHER;
}

void
walk_end(struct walk *w)
{
	leave(w);
	while (w->n_dirs)
		free(w->dirs[--w->n_dirs]);
	free(w->dirs);
	free(w->path);
	memset(w, 0, sizeof(*w));
}
