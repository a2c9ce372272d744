/* SPDX-License-Identifier: MIT */
/*
 * The parser and the writers of msgpack-c, which are templates in its headers:
 * nothing is linked with it. The functions of its library that read make a tree,
 * with as much memory as a message of a few bytes says that it takes; here each
 * value goes to where it is wanted, and the first that does not belong there ends
 * it.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/macros.h"
#include "ipc/wire.h"
#include "manager/codec.h"

#include <msgpack/pack.h>

#define REFERENCE 1 /* our type of what MessagePack has no type for, with no bytes */

int
mpr_codec_check(void)
{
	return 0;
}

/* What the parser calls for each value with; a byte is what it has of that
 * itself. */
struct reading {
	struct mproc_any *to;
	size_t size; /* how many there is room for */
	size_t n;
	size_t said; /* how many come, as the row says */
	bool began;
};

static int
put(struct reading *reading, struct mproc_any value, char *ret)
{
	*ret = 0;
	if (!reading->began || reading->n == reading->size)
		return -1;
	reading->to[reading->n++] = value;
	return 0;
}

#define PUT(name, type, make)                                              \
	static inline int read##name(struct reading *reading, type value,  \
				     char *ret)                            \
	{                                                                  \
		return put(reading, make, ret);                            \
	}

PUT(_uint8, uint8_t, mproc_int(value))
PUT(_uint16, uint16_t, mproc_int(value))
PUT(_uint32, uint32_t, mproc_int(value))
PUT(_int8, int8_t, mproc_int(value))
PUT(_int16, int16_t, mproc_int(value))
PUT(_int32, int32_t, mproc_int(value))
PUT(_int64, int64_t, mproc_int(value))
PUT(_float, float, mproc_float((double)value))
PUT(_double, double, mproc_float(value))

static inline int
read_uint64(struct reading *reading, uint64_t value, char *ret)
{
	/* No value of ours is that large. */
	return value <= INT64_MAX ?
		       put(reading, mproc_int((int64_t)value), ret) : -1;
}

static inline int
read_nil(struct reading *reading, char *ret)
{
	return put(reading, mproc_nil(), ret);
}

static inline int
read_true(struct reading *reading, char *ret)
{
	return put(reading, mproc_bool(true), ret);
}

static inline int
read_false(struct reading *reading, char *ret)
{
	return put(reading, mproc_bool(false), ret);
}

static inline int
read_bin(struct reading *reading, const char *base, const char *at, unsigned len,
	 char *ret)
{
	(void)base;
	/* Of none it is not said where. */
	return put(reading, mproc_bytes(len ? at : NULL, len), ret);
}

static inline int
read_str(struct reading *reading, const char *base, const char *at, unsigned len,
	 char *ret)
{
	struct mproc_any text = mproc_bytes(len ? at : NULL, len);

	(void)base;
	text.kind = MPROC_STR;
	return put(reading, text, ret);
}

static inline int
read_ext(struct reading *reading, const char *base, const char *at, unsigned len,
	 char *ret)
{
	(void)base;
	/* The first of its bytes is its type. */
	if (len != 1 || *at != REFERENCE)
		return -1;
	return put(reading, mproc_ref(NULL), ret);
}

static inline int
read_array(struct reading *reading, unsigned n, char *ret)
{
	*ret = 0;
	if (reading->began)
		return -1;
	reading->began = true;
	reading->said = n;
	return n <= reading->size ? 0 : -1;
}

static inline int
read_array_item(struct reading *reading, char *row, char item)
{
	(void)reading;
	(void)row;
	(void)item;
	return 0;
}

static inline int
read_map(struct reading *reading, unsigned n, char *ret)
{
	(void)reading;
	(void)n;
	(void)ret;
	return -1;
}

static inline int
read_map_item(struct reading *reading, char *map, char key, char value)
{
	(void)reading;
	(void)map;
	(void)key;
	(void)value;
	return -1;
}

static inline char
read_root(struct reading **reading)
{
	(void)reading;
	return 0;
}

/* One row, and nothing in it that is one. */
#define MSGPACK_EMBED_STACK_SIZE 2
#include <msgpack/unpack.h>
#include <msgpack/unpack_define.h>

#define msgpack_unpack_struct(name) struct parser##name
/* Inline, as not all of them are used. */
#define msgpack_unpack_func(ret, name) static inline ret parse##name
#define msgpack_unpack_callback(name) HOOK##name
#define msgpack_unpack_object char
#define msgpack_unpack_user struct reading *

#define HOOK_root read_root
#define HOOK_uint8(u, v, o) read_uint8(*(u), v, o)
#define HOOK_uint16(u, v, o) read_uint16(*(u), v, o)
#define HOOK_uint32(u, v, o) read_uint32(*(u), v, o)
#define HOOK_uint64(u, v, o) read_uint64(*(u), v, o)
#define HOOK_int8(u, v, o) read_int8(*(u), v, o)
#define HOOK_int16(u, v, o) read_int16(*(u), v, o)
#define HOOK_int32(u, v, o) read_int32(*(u), v, o)
#define HOOK_int64(u, v, o) read_int64(*(u), v, o)
#define HOOK_float(u, v, o) read_float(*(u), v, o)
#define HOOK_double(u, v, o) read_double(*(u), v, o)
#define HOOK_nil(u, o) read_nil(*(u), o)
#define HOOK_true(u, o) read_true(*(u), o)
#define HOOK_false(u, o) read_false(*(u), o)
#define HOOK_str(u, b, p, n, o) read_str(*(u), b, p, n, o)
#define HOOK_bin(u, b, p, n, o) read_bin(*(u), b, p, n, o)
#define HOOK_ext(u, b, p, n, o) read_ext(*(u), b, p, n, o)
#define HOOK_array(u, n, o) read_array(*(u), (unsigned)(n), o)
#define HOOK_array_item(u, o, i) read_array_item(*(u), o, i)
#define HOOK_map(u, n, o) read_map(*(u), (unsigned)(n), o)
#define HOOK_map_item(u, o, k, v) read_map_item(*(u), o, k, v)

#include <msgpack/unpack_template.h>

/* Returns 0 if that was a row, the whole of it, and nothing else. */
static int
read_row(struct reading *reading, const unsigned char *bytes, size_t len)
{
	struct parser_context parser;
	size_t at = 0;
	int r;

	parser.user = reading;
	parse_init(&parser);
	r = parse_execute(&parser, (const char *)bytes, len, &at);
	return r == 1 && at == len && reading->began ? 0 : -EBADMSG;
}

int
mpr_codec_read(struct mpr_message *ret, const unsigned char *bytes, size_t len)
{
	struct reading reading = { .to = ret->values,
				   .size = MPR_MESSAGE_VALUES };
	int r = read_row(&reading, bytes, len);

	ret->n = (unsigned)reading.n;
	return r;
}

int
mpr_codec_count(const unsigned char *bytes, size_t len, size_t *ret_n)
{
	struct reading reading = { .size = 0 };

	*ret_n = 0;
	if (!len)
		return -EBADMSG;
	/* With room for none the parser gets no further than the head. */
	(void)read_row(&reading, bytes, len);
	*ret_n = reading.said;
	/* Each value has a byte. */
	return reading.began && reading.said < len ? 0 : -EBADMSG;
}

int
mpr_codec_unpack(struct mproc_any *ret, size_t n, const unsigned char *bytes,
		 size_t len)
{
	struct reading reading = { .to = ret, .size = n };
	int r = read_row(&reading, bytes, len);

	return r == 0 && reading.n == n ? 0 : -EBADMSG;
}

static int
append(void *to, const char *bytes, size_t n)
{
	return mpr_buffer_add(to, bytes, n);
}

static int
write_value(msgpack_packer *packer, const struct mproc_any *any)
{
	/* More bytes than a message can have. */
	if ((any->kind == MPROC_STR || any->kind == MPROC_BYTES) &&
	    any->len > MPR_WIRE_SHORT_MAX)
		return -EMSGSIZE;
	switch (any->kind) {
	case MPROC_NIL:
		return msgpack_pack_nil(packer);
	case MPROC_INT:
		return msgpack_pack_int64(packer, any->i64);
	case MPROC_FLOAT:
		return msgpack_pack_double(packer, any->f64);
	case MPROC_BOOL:
		return any->b ? msgpack_pack_true(packer) :
				msgpack_pack_false(packer);
	case MPROC_STR:
		return msgpack_pack_str_with_body(packer, any->ptr, any->len);
	case MPROC_BYTES:
		return msgpack_pack_bin_with_body(packer, any->ptr, any->len);
	case MPROC_REF:
		return msgpack_pack_ext(packer, 0, REFERENCE);
	}
	return -EINVAL;
}

/* A row of them; the caller takes back what was written if that fails. */
static int
write_row(struct mpr_buffer *to, const struct mproc_any *values, size_t n,
	  size_t limit)
{
	size_t before = mpr_buffer_len(to);
	msgpack_packer packer;
	int r;

	msgpack_packer_init(&packer, to, append);
	r = msgpack_pack_array(&packer, n);
	for (size_t i = 0; i < n && r == 0; i++) {
		/* Before so much is copied. */
		if ((values[i].kind == MPROC_STR ||
		     values[i].kind == MPROC_BYTES) && values[i].len > limit)
			return -EMSGSIZE;
		r = write_value(&packer, &values[i]);
		if (mpr_buffer_len(to) - before > limit)
			return -EMSGSIZE;
	}
	return r == 0 && mpr_buffer_len(to) - before > limit ? -EMSGSIZE : r;
}

int
mpr_codec_write(struct mpr_buffer *to, const struct mproc_any *values, unsigned n,
		size_t limit)
{
	size_t before = mpr_buffer_len(to), len;
	unsigned char head[MPR_WIRE_LONG] = { 0 };
	int r = mpr_buffer_add(to, head, MPR_WIRE_SHORT);

	if (r == 0)
		r = write_row(to, values, n, limit);
	len = mpr_buffer_len(to) - before;
	if (r < 0) {
		to->to -= len;
		return r;
	}
	mpr_wire_put(head, len - MPR_WIRE_SHORT);
	memcpy(to->bytes + to->from + before, head, MPR_WIRE_SHORT);
	return 0;
}

int
mpr_codec_pack(struct mpr_buffer *to, const struct mproc_any *values, size_t n,
	       size_t limit)
{
	size_t before = mpr_buffer_len(to);
	int r = n > limit || n > UINT32_MAX ? -EMSGSIZE :
					      write_row(to, values, n, limit);

	if (r < 0)
		to->to -= mpr_buffer_len(to) - before;
	return r;
}
