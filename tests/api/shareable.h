/* SPDX-License-Identifier: MIT */
/*
 * Python's ShareableList, as it lies in its segment (Python 3.8 and later), all in
 * the machine's own byte order:
 *
 *	int64 n
 *	int64 offset[n + 1]	of each item in the data, and of their end
 *	data			each item in a multiple of 8 bytes
 *	char format[n][8]	how Python's struct module reads it
 *	int8 transform[n]	what becomes of it then
 *
 * Nothing in it is aligned beyond what that gives.
 */
#ifndef API_SHAREABLE_H
#define API_SHAREABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum item_kind { ITEM_BAD, ITEM_INT, ITEM_FLOAT, ITEM_BOOL, ITEM_STR,
		 ITEM_BYTES, ITEM_NONE };

struct item {
	enum item_kind kind;
	int64_t i; /* of a bool, too */
	double f;
	char text[64]; /* of a str in UTF-8, or bytes */
	size_t len;
};

struct shareable {
	unsigned char *base;
	int64_t n;
};

static inline int64_t
shareable_word(const struct shareable *l, size_t at)
{
	int64_t word;

	memcpy(&word, l->base + at, sizeof(word));
	return word;
}

static inline unsigned char *
shareable_data(const struct shareable *l, int64_t n)
{
	size_t begin = ((size_t)l->n + 2) * 8;

	return l->base + begin + shareable_word(l, 8 + (size_t)n * 8);
}

static inline char *
shareable_format(const struct shareable *l, int64_t n)
{
	return (char *)shareable_data(l, l->n) + n * 8;
}

static inline int8_t *
shareable_transform(const struct shareable *l, int64_t n)
{
	return (int8_t *)shareable_format(l, l->n) + n;
}

/* Whether a segment holds one. */
static inline bool
shareable_attach(struct shareable *ret_l, void *base, size_t size)
{
	struct shareable l = { .base = base };

	if (size < 16)
		return false;
	l.n = shareable_word(&l, 0);
	if (l.n < 0 || (size_t)l.n > size / 8 - 2)
		return false;
	*ret_l = l;
	return (size_t)((unsigned char *)shareable_transform(&l, l.n) -
			l.base) <= size;
}

static inline struct item
shareable_get(const struct shareable *l, int64_t n)
{
	const unsigned char *data = shareable_data(l, n);
	struct item item = { .kind = ITEM_BAD };
	char format[9] = "";
	size_t len;

	memcpy(format, shareable_format(l, n), 8);
	if (strcmp(format, "q") == 0) {
		item.kind = ITEM_INT;
		memcpy(&item.i, data, 8);
	} else if (strcmp(format, "d") == 0) {
		item.kind = ITEM_FLOAT;
		memcpy(&item.f, data, 8);
	} else if (strcmp(format, "xxxxxxx?") == 0) {
		item.kind = ITEM_BOOL;
		item.i = data[7];
	} else if (strcmp(format, "xxxxxx?x") == 0) {
		item.kind = ITEM_NONE;
	} else if (sscanf(format, "%zus", &len) == 1 &&
		   len < sizeof(item.text)) {
		item.kind = *shareable_transform(l, n) == 1 ? ITEM_STR :
							      ITEM_BYTES;
		memcpy(item.text, data, len);
		while (len && item.text[len - 1] == '\0')
			len--;
		item.len = len;
	}
	return item;
}

/* Items keep their kind here. */
static inline void
shareable_set(const struct shareable *l, int64_t n, const struct item *item)
{
	if (item->kind == ITEM_INT)
		memcpy(shareable_data(l, n), &item->i, 8);
	else
		memcpy(shareable_data(l, n), &item->f, 8);
}

/* Bytes that an item takes. */
static inline size_t
item_size(const struct item *item)
{
	return item->kind == ITEM_STR || item->kind == ITEM_BYTES ?
		       8 * (item->len / 8 + 1) : 8;
}

/* Bytes that a list of them takes. */
static inline size_t
shareable_size(const struct item *items, int64_t n)
{
	size_t size = ((size_t)n + 2) * 8 + (size_t)n * 9;

	for (int64_t i = 0; i < n; i++)
		size += item_size(&items[i]);
	return size;
}

static inline void
write_item(const struct shareable *l, int64_t n, const struct item *item)
{
	static const char *const formats[] = {
		[ITEM_INT] = "q",	    [ITEM_FLOAT] = "d",
		[ITEM_BOOL] = "xxxxxxx?", [ITEM_NONE] = "xxxxxx?x",
	};
	unsigned char *data = shareable_data(l, n);
	int8_t transform = 0;
	char format[24] = "";

	switch (item->kind) {
	case ITEM_STR:
	case ITEM_BYTES:
		transform = item->kind == ITEM_STR ? 1 : 2;
		snprintf(format, sizeof(format), "%zus", item_size(item));
		memcpy(data, item->text, item->len);
		break;
	case ITEM_BOOL:
		data[7] = item->i != 0;
		break;
	case ITEM_NONE:
		transform = 3;
		break;
	default:
		shareable_set(l, n, item);
	}
	if (!*format)
		snprintf(format, sizeof(format), "%s", formats[item->kind]);
	memcpy(shareable_format(l, n), format, 8);
	*shareable_transform(l, n) = transform;
}

/* Writes one into zeroed memory of shareable_size(). */
static inline void
shareable_build(struct shareable *ret_l, void *base, const struct item *items,
		int64_t n)
{
	struct shareable l = { .base = base, .n = n };
	int64_t offset = 0;

	memcpy(l.base, &n, 8);
	for (int64_t i = 0; i <= n; i++) {
		memcpy(l.base + 8 + i * 8, &offset, 8);
		if (i < n)
			offset += (int64_t)item_size(&items[i]);
	}
	for (int64_t i = 0; i < n; i++)
		write_item(&l, i, &items[i]);
	*ret_l = l;
}

#endif
