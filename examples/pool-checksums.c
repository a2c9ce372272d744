/* SPDX-License-Identifier: MIT */
/*
 * What sha256sum says of the files in a directory, by a pool: each file is a task, and no
 * more of them are on their way than a few for each worker. Results come in the order of
 * the names. sha256sum itself looks at them then.
 *
 *	pool-checksums [DIRECTORY]
 *
 * Without one, it makes some files.
 */
#include <dirent.h>
#include <errno.h>
#include <mproc/mproc.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAMPLES 5

/* The names, and which of them is next. */
struct names {
	struct dirent **all;
	int n;
	int next;
};

static int
checksum(const void *in, size_t len, struct mproc_result *out)
{
	uint8_t block[65536], digest[SHA256_DIGEST_SIZE];
	FILE *file = fopen(in, "re");
	struct sha256_ctx sum;
	size_t n;
	int r = 0;

	(void)len;
	if (!file)
		return -errno;
	sha256_init(&sum);
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		sha256_update(&sum, n, block);
	if (ferror(file))
		r = -EIO;
	fclose(file);
	sha256_digest(&sum, sizeof(digest), digest);
	return r < 0 ? r : mproc_result_set(out, digest, sizeof(digest));
}

static int
next_name(void *src, const void **ret_in, size_t *ret_len)
{
	struct names *names = src;
	const char *name;

	if (names->next == names->n)
		return -ENODATA;
	name = names->all[names->next++]->d_name;
	*ret_in = name;
	*ret_len = strlen(name) + 1;
	return 0;
}

static int
is_file(const struct dirent *entry)
{
	struct stat st;

	return stat(entry->d_name, &st) == 0 && S_ISREG(st.st_mode);
}

static void
print(FILE *file, const uint8_t *digest, const char *name)
{
	for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
		fprintf(file, "%02x", digest[i]);
	fprintf(file, "  %s\n", name);
}

/* Returns how many could not be read, or a negative error. */
static int
print_all(mproc_iter *it, const struct names *names, FILE *checker)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct mproc_task_error error;
	size_t item;
	int failed = 0, r;

	while ((r = mproc_iter_next(it, digest, sizeof(digest), NULL,
				    MPROC_FOREVER)) >= 0) {
		mproc_iter_item(it, &item);
		if (r == 0) {
			print(stdout, digest, names->all[item]->d_name);
			print(checker, digest, names->all[item]->d_name);
		} else if (mproc_iter_error(it, &error) == 0) {
			fprintf(stderr, "%s: %s\n", names->all[item]->d_name,
				mproc_strerror(error.error));
			failed++;
		}
	}
	return r == -ENODATA ? failed : r;
}

/* Of the files in the directory where we are. */
static int
run(FILE *checker)
{
	struct names names = { .n = scandir(".", &names.all, is_file, alphasort) };
	mproc_pool *pool = NULL;
	mproc_iter *it = NULL;
	int r;

	if (names.n < 0)
		return -errno;
	r = mproc_pool_create(&pool, NULL);
	if (r == 0)
		r = mproc_pool_imap(pool, checksum, next_name, &names, NULL, &it);
	if (r == 0)
		r = print_all(it, &names, checker);
	if (r < 0)
		fprintf(stderr, "%s\n", mproc_error_detail());
	mproc_iter_close(it);
	mproc_pool_free(pool);
	while (names.n)
		free(names.all[--names.n]);
	free(names.all);
	return r;
}

/* Goes into a directory of its own. */
static int
make_samples(char *dir)
{
	char name[32];
	FILE *file;

	if (!mkdtemp(dir) || chdir(dir) < 0)
		return -errno;
	for (int i = 0; i < SAMPLES; i++) {
		snprintf(name, sizeof(name), "sample-%d", i);
		file = fopen(name, "we");
		if (!file)
			return -errno;
		for (int n = 0; n < i * i * 20000; n++)
			fputc(n % 251, file);
		fclose(file);
	}
	return 0;
}

static void
remove_samples(const char *dir)
{
	char name[32];

	for (int i = 0; i < SAMPLES; i++) {
		snprintf(name, sizeof(name), "sample-%d", i);
		unlink(name);
	}
	rmdir(dir);
}

int
main(int argc, char **argv)
{
	char dir[] = "/tmp/checksums-XXXXXX";
	FILE *checker;
	int r;

	r = argc > 1 ? chdir(argv[1]) : make_samples(dir);
	if (r < 0) {
		perror(argc > 1 ? argv[1] : dir);
		return 1;
	}
	checker = popen("sha256sum --check --quiet", "w");
	r = checker ? run(checker) : -errno;
	fflush(stdout);
	if (checker && pclose(checker) == 0 && r >= 0)
		printf("sha256sum says the same\n");
	else
		r = 1;
	if (argc <= 1)
		remove_samples(dir);
	return r != 0;
}
