/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/opts.h"
#include "manager/codec.h"
#include "manager/types.h"

#define METHODS 1024
#define WORKERS 1024
#define TIMEOUT INT64_C(60000000000) /* ns, of a call whose type says nothing */
#define PACKED ((size_t)1 << 20)
#define HEAD 6	   /* values of a packed type, before those of its methods */
#define EACH 3	   /* of a method */
#define OPTIONAL '|'
#define ANY '*'

static const char letters[] = {
	[MPROC_NIL] = 'n', [MPROC_INT] = 'i', [MPROC_FLOAT] = 'f',
	[MPROC_BOOL] = 'b', [MPROC_STR] = 's', [MPROC_BYTES] = 'y',
	[MPROC_REF] = 0,
};

static int
check_name(const char *what, const char *name)
{
	if (!name || !*name)
		return mpr_fail(-EINVAL, "a %s without a name", what);
	if (strlen(name) >= MPR_OBJECT_NAME)
		return mpr_fail(-ENAMETOOLONG, "the name of a %s has %zu bytes, more "
				"than %d", what, strlen(name),
				MPR_OBJECT_NAME - 1);
	return 0;
}

static int
check_letters(const struct mproc_type_method *m)
{
	size_t n = 0, bars = 0;

	for (const char *p = m->args; p && *p; p++) {
		if (*p == OPTIONAL)
			bars++;
		else if (*p == ANY || memchr(letters, *p, MPROC_REF))
			n++;
		else
			return mpr_fail(-EINVAL, "method %s takes values of an "
					"unknown kind: %c", m->name, *p);
	}
	return bars < 2 && n <= MPROC_CALL_ARGS ?
		       0 : mpr_fail(-EINVAL, "method %s takes up to %d values",
				    m->name, MPROC_CALL_ARGS);
}

static int
check_method(const struct mproc_type *t, int i)
{
	const struct mproc_type_method *m = &t->methods[i];
	int r = check_name("method", m->name);

	if (r < 0)
		return r;
	if (!m->fn)
		return mpr_fail(-EINVAL, "method %s has no function", m->name);
	for (int j = 0; j < i; j++)
		if (strcmp(t->methods[j].name, m->name) == 0)
			return mpr_fail(-EINVAL, "two methods %s", m->name);
	return check_letters(m);
}

int
mpr_type_check(struct mproc_type *t, const struct mproc_type *type)
{
	int r;

	if (!type)
		return mpr_fail(-EINVAL, "the type is NULL");
	r = mpr_opts_read(t, sizeof(*t), type);
	if (r == 0)
		r = check_name("type", t->name);
	if (r < 0)
		return r;
	if (!t->methods || t->n_methods < 1 || t->n_methods > METHODS)
		return mpr_fail(-EINVAL, "a type of %d methods: it may have 1 to %d",
				t->n_methods, METHODS);
	if (t->workers < 0 || t->workers > WORKERS)
		return mpr_fail(-EINVAL, ".workers is %d: it may be up to %d",
				t->workers, WORKERS);
	for (int i = 0; i < t->n_methods && r == 0; i++)
		r = check_method(t, i);
	if (!t->workers)
		t->workers = mproc_cpu_count();
	if (!t->timeout.ns)
		t->timeout.ns = TIMEOUT;
	return r;
}

/* Texts lie behind the methods. */
static const char *
keep(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = *at;

	memcpy(copy, text, size);
	*at += size;
	return copy;
}

static size_t
size_of_texts(const struct mproc_type *t)
{
	size_t size = strlen(t->name) + 1;

	for (int i = 0; i < t->n_methods; i++) {
		size += strlen(t->methods[i].name) + 1;
		if (t->methods[i].args)
			size += strlen(t->methods[i].args) + 1;
	}
	return size;
}

int
mpr_types_add(struct mpr_types *types, const struct mproc_type *t)
{
	size_t methods = (size_t)t->n_methods * sizeof(t->methods[0]);
	struct mpr_type *type;
	char *texts;

	for (type = types->all; type; type = type->next)
		if (strcmp(type->is.name, t->name) == 0)
			return mpr_fail(-EEXIST, "the manager has a type %s already",
					t->name);
	type = mpr_malloc(sizeof(*type) + methods + size_of_texts(t));
	if (!type)
		return mpr_fail(-ENOMEM, "no memory for a type");
	texts = (char *)type->methods + methods;
	type->is = *t;
	type->is.methods = type->methods;
	type->is.name = keep(&texts, t->name);
	for (int i = 0; i < t->n_methods; i++) {
		type->methods[i] = t->methods[i];
		type->methods[i].name = keep(&texts, t->methods[i].name);
		if (t->methods[i].args)
			type->methods[i].args = keep(&texts, t->methods[i].args);
	}
	type->next = types->all;
	types->all = type;
	return 0;
}

const struct mpr_type *
mpr_types_find(const struct mpr_types *types, const char *name, size_t len)
{
	const struct mpr_type *type = types->all;

	while (type && (strlen(type->is.name) != len ||
			memcmp(type->is.name, name, len) != 0))
		type = type->next;
	if (!type)
		mpr_fail(-ENOENT, "no type %.*s is registered with the manager",
			 (int)(len < MPR_OBJECT_NAME ? len : MPR_OBJECT_NAME), name);
	return type;
}

int
mpr_type_method(const struct mpr_type *type, const struct mproc_any *name)
{
	for (int i = 0; i < type->is.n_methods; i++)
		if (strlen(type->methods[i].name) == name->len &&
		    memcmp(type->methods[i].name, name->ptr, name->len) == 0)
			return i;
	return mpr_fail(-ENOSYS, "type %s has no method %.*s", type->is.name,
			(int)(name->len < MPR_OBJECT_NAME ? name->len :
							    MPR_OBJECT_NAME),
			(const char *)name->ptr);
}

int
mpr_type_check_args(const struct mpr_type *type, unsigned method,
		    const struct mproc_any *args, size_t n)
{
	const struct mproc_type_method *m = &type->methods[method];
	const char *p = m->args;
	size_t i = 0;
	bool optional = false;

	for (; p && *p; p++) {
		if (*p == OPTIONAL) {
			optional = true;
			continue;
		}
		if (i == n)
			break;
		if (*p != ANY && letters[args[i].kind] != *p)
			return mpr_fail(-EINVAL, "value %zu of %s.%s is of another "
					"kind than \"%s\" says", i + 1,
					type->is.name, m->name, m->args);
		i++;
	}
	if (p && (i < n || (*p && !optional)))
		return mpr_fail(-EINVAL, "%s.%s does not take %zu values: \"%s\"",
				type->is.name, m->name, n, m->args);
	return 0;
}

/*
 * Functions travel as integers, texts with the zero behind them.
 */

static struct mproc_any
text(const char *s)
{
	return s ? mproc_bytes(s, strlen(s) + 1) : mproc_nil();
}

int
mpr_type_pack(struct mpr_buffer *to, const struct mproc_type *t)
{
	size_t n = HEAD + (size_t)t->n_methods * EACH;
	struct mproc_any *all = mpr_zalloc(n * sizeof(*all)), *v;
	int r;

	if (!all)
		return mpr_fail(-ENOMEM, "no memory for a type");
	all[0] = text(t->name);
	all[1] = mproc_int((int64_t)t->state_size);
	all[2] = mproc_int(t->workers);
	all[3] = mproc_int(t->concurrent);
	all[4] = mproc_int(t->timeout.ns);
	all[5] = mproc_int((int64_t)(uintptr_t)t->recover);
	for (int i = 0; i < t->n_methods; i++) {
		v = &all[HEAD + i * EACH];
		v[0] = text(t->methods[i].name);
		v[1] = text(t->methods[i].args);
		v[2] = mproc_int((int64_t)(uintptr_t)t->methods[i].fn);
	}
	r = mpr_codec_pack(to, all, n, PACKED);
	free(all);
	return r < 0 ? mpr_fail(r, "a type of %d methods could not be sent",
				t->n_methods) : 0;
}

/* From who has forked us: it is what it is. */
static int
add_unpacked(struct mpr_types *types, const struct mproc_any *all, size_t n)
{
	struct mproc_type t = {
		.struct_size = sizeof(t),
		.name = all[0].ptr,
		.state_size = (size_t)all[1].i64,
		.workers = (int)all[2].i64,
		.concurrent = all[3].i64,
		.timeout = { .ns = all[4].i64 },
		.recover = (mproc_recover_fn *)(uintptr_t)all[5].i64,
		.n_methods = (int)((n - HEAD) / EACH),
	};
	struct mproc_type_method *methods;
	int r;

	methods = mpr_malloc((size_t)t.n_methods * sizeof(*methods));
	if (!methods)
		return mpr_fail(-ENOMEM, "no memory for a type");
	for (int i = 0; i < t.n_methods; i++) {
		const struct mproc_any *v = &all[HEAD + i * EACH];

		methods[i].name = v[0].ptr;
		methods[i].args = v[1].kind == MPROC_NIL ? NULL : v[1].ptr;
		methods[i].fn = (mproc_method *)(uintptr_t)v[2].i64;
	}
	t.methods = methods;
	r = mpr_types_add(types, &t);
	free(methods);
	return r;
}

int
mpr_types_unpack(struct mpr_types *types, const unsigned char *bytes, size_t len)
{
	struct mproc_any *all;
	size_t n;
	int r = mpr_codec_count(bytes, len, &n);

	if (r < 0 || n < HEAD + EACH)
		return mpr_fail(-EBADMSG, "what came is no type");
	all = mpr_malloc(n * sizeof(*all));
	if (!all)
		return mpr_fail(-ENOMEM, "no memory for a type");
	r = mpr_codec_unpack(all, n, bytes, len);
	r = r < 0 ? mpr_fail(r, "what came is no type") :
		    add_unpacked(types, all, n);
	free(all);
	return r;
}

void
mpr_types_end(struct mpr_types *types)
{
	struct mpr_type *next;

	for (struct mpr_type *type = types->all; type; type = next) {
		next = type->next;
		free(type);
	}
	types->all = NULL;
}
