/* SPDX-License-Identifier: MIT */
/*
 * The loader's list of modules. The build-id is in a note of each, which the
 * linkers of today write unless they are told not to; two modules with the same
 * one are the same file, down to each offset.
 *
 * To walk the list takes a lock that fork(2) does not free in the child, so who may
 * be a child of a process with several threads asks for the module at an address,
 * which takes none: _dl_find_object(), in glibc since 2.35.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include <mproc/core.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/macros.h"
#include "os/generation.h"
#include "os/module.h"

#define NOTE_ALIGN 4

/* Of a module that is mapped from its begin on, so much is there on any machine. */
#define FIRST_PAGE 4096

/* The modules that were here when mpr_module_note() was called. One of them may be gone
 * by now, and another be there. */
struct noted {
	size_t n;
	size_t room;
	struct {
		uint64_t mark;
		uintptr_t at; /* an address in it */
	} modules[];
};

static _Atomic(struct noted *) noted;

struct mpr_module_span mpr_module_span;

/* Where mpr_module_has_code() has found some last: of a worker, in the only thread that asks
 * for that. Not of its copies: it may have let go of that before it was copied, and have
 * there again what they do not have. */
static struct {
	uint64_t generation;
	uintptr_t at;
	uintptr_t size;
	uint64_t mark;
} known;

/* Likewise, the code of no module: all that there was when some of it was looked for last,
 * as to look takes as long as there are mappings, up to some 100 ms. In order, for bsearch(). */
struct stretch {
	uintptr_t from;
	uintptr_t to;
};

static struct {
	uint64_t generation;
	size_t n;
	size_t room;
	struct stretch *all;
} made;

/* One pass over the list. */
struct search {
	/* What is looked for: who has this address, or else this id, or mark. */
	uintptr_t address;
	const struct mpr_module *wanted;
	uint64_t mark;

	bool found;
	bool program; /* what was found is it */
	bool is_code; /* what the address leads to */
	uintptr_t from; /* that begins there, and ends there */
	uintptr_t to;
	/* Receive what was found, if not NULL. */
	struct mpr_module *module;
	struct mpr_module_id *id;
	uintptr_t base;
};

/* Whether the segment has @address in it. */
static bool
has(const struct dl_phdr_info *info, const ElfW(Phdr) *segment,
    uintptr_t address)
{
	return segment->p_type == PT_LOAD &&
	       address - (info->dlpi_addr + segment->p_vaddr) <
		       segment->p_memsz;
}

MPR_IMAGE_PATH static const ElfW(Phdr) *
segment_of(const struct dl_phdr_info *info, uintptr_t address)
{
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (has(info, &info->dlpi_phdr[i], address))
			return &info->dlpi_phdr[i];
	return NULL;
}

/* The build-id among the notes at @at, or NULL. */
MPR_IMAGE_PATH static const unsigned char *
read_notes(const unsigned char *at, size_t len, uint32_t *ret_len)
{
	const ElfW(Nhdr) *note;
	size_t name, size;

	while (len >= sizeof(*note)) {
		note = (const void *)at;
		name = (note->n_namesz + NOTE_ALIGN - 1) & ~(NOTE_ALIGN - 1U);
		size = sizeof(*note) + name +
		       ((note->n_descsz + NOTE_ALIGN - 1) & ~(NOTE_ALIGN - 1U));
		if (size > len)
			break;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
		    memcmp(at + sizeof(*note), "GNU", 4) == 0 &&
		    note->n_descsz > 0 && note->n_descsz <= MPR_MODULE_ID_MAX) {
			*ret_len = note->n_descsz;
			return at + sizeof(*note) + name;
		}
		at += size;
		len -= size;
	}
	return NULL;
}

/* Where the module has its build-id, or NULL. */
MPR_IMAGE_PATH static const unsigned char *
find_id(const struct dl_phdr_info *info, uint32_t *ret_len)
{
	const unsigned char *id = NULL;

	*ret_len = 0;
	for (int i = 0; i < info->dlpi_phnum && !id; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t at = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_NOTE)
			id = read_notes((const void *)at, segment->p_memsz, ret_len);
	}
	return id;
}

MPR_IMAGE_PATH static struct mpr_module_id
id_of(const struct dl_phdr_info *info)
{
	struct mpr_module_id id = { 0 };
	const unsigned char *bytes = find_id(info, &id.len);

	if (bytes)
		memcpy(id.bytes, bytes, id.len);
	return id;
}

MPR_IMAGE_PATH bool
mpr_module_is(const struct mpr_module_id *a, const struct mpr_module_id *b)
{
	return a->len && a->len == b->len &&
	       memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* As FNV-1a of 64 bits, but by words as long as there are some: docs/spec/pool.md. */
static uint64_t
mark_of(const unsigned char *id, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325), word;

	for (; len >= sizeof(word); id += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, id, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0x100000001b3);
		hash ^= hash >> 32;
	}
	for (; len; len--)
		hash = (hash ^ *id++) * UINT64_C(0x100000001b3);
	return hash ? hash : 1;
}

/* Not by its place in a list: there is one for each namespace (dlmopen(3)). */
MPR_IMAGE_PATH static bool
is_program(const struct dl_phdr_info *info)
{
	return segment_of(info, getauxval(AT_ENTRY));
}

MPR_IMAGE_PATH static bool
is_wanted(const struct dl_phdr_info *info, const struct search *s)
{
	struct mpr_module_id id;

	if (!s->wanted && !s->mark)
		return segment_of(info, s->address);
	id = id_of(info);
	return s->wanted ? mpr_module_is(&id, &s->wanted->id) :
			   id.len && mark_of(id.bytes, id.len) == s->mark;
}

MPR_IMAGE_PATH static int
look(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *s = arg;
	const ElfW(Phdr) *segment;

	(void)size;
	if (!is_wanted(info, s))
		return 0;
	s->found = true;
	s->program = is_program(info);
	s->base = info->dlpi_addr;
	if (s->wanted || s->mark)
		s->address += s->base;
	segment = segment_of(info, s->address);
	s->is_code = segment && segment->p_flags & PF_X;
	if (segment) {
		s->from = info->dlpi_addr + segment->p_vaddr;
		s->to = s->from + segment->p_memsz;
	}
	if (s->id)
		*s->id = id_of(info);
	if (!s->module)
		return 1;
	s->module->id = id_of(info);
	s->module->program = s->program;
	snprintf(s->module->path, sizeof(s->module->path), "%s",
		 info->dlpi_name ? info->dlpi_name : "");
	return 1;
}

/* The program headers in the file's mapping, if they lie on its first page. */
MPR_IMAGE_PATH static bool
read_headers(const struct dl_find_object *object, struct dl_phdr_info *info)
{
	const unsigned char *start = object->dlfo_map_start;
	const ElfW(Ehdr) *header = object->dlfo_map_start;
	size_t len = header->e_phnum * sizeof(ElfW(Phdr));

	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_phentsize != sizeof(ElfW(Phdr)) ||
	    header->e_phoff % alignof(ElfW(Phdr)) || len > FIRST_PAGE ||
	    header->e_phoff > FIRST_PAGE - len)
		return false;
	info->dlpi_phdr = (const void *)(start + header->e_phoff);
	info->dlpi_phnum = header->e_phnum;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD && segment->p_offset == 0 &&
		    info->dlpi_addr + segment->p_vaddr == (uintptr_t)start &&
		    segment->p_filesz >= header->e_phoff + len)
			return true;
	}
	return false;
}

/* As dl_iterate_phdr(), but of the module at @at alone, and without a lock. Returns 0, or
 * -ENOENT: there is none; or -ENOTSUP: its headers do not lie where linkers put them. */
MPR_IMAGE_PATH static int
look_at(uintptr_t at, struct search *s)
{
	struct dl_find_object object;
	struct dl_phdr_info info = { 0 };

	if (_dl_find_object((void *)at, &object) < 0)
		return -ENOENT;
	info.dlpi_addr = object.dlfo_link_map->l_addr;
	info.dlpi_name = object.dlfo_link_map->l_name;
	if (!read_headers(&object, &info))
		return -ENOTSUP;
	look(&info, sizeof(info), s);
	return 0;
}

MPR_IMAGE_PATH static void
ask_loader(struct search *s)
{
	dl_iterate_phdr(look, s);
}

/* Who has the address. */
MPR_IMAGE_PATH static void
find_owner(struct search *s)
{
	if (look_at(s->address, s) == -ENOTSUP)
		ask_loader(s);
}

/* Whether it is the program, or what was noted. */
MPR_IMAGE_PATH static bool
is_known(struct search *s)
{
	/* Pairs with the release in mpr_module_note(): else what it leads to may be unset. */
	const struct noted *all =
		atomic_load_explicit(&noted, memory_order_acquire);
	uint64_t mark = s->wanted ? mark_of(s->wanted->id.bytes, s->wanted->id.len) : s->mark;

	(void)look_at(getauxval(AT_ENTRY), s);
	for (size_t i = 0; all && i < all->n && !s->found; i++)
		if (all->modules[i].mark == mark)
			(void)look_at(all->modules[i].at, s);
	return s->found;
}

/* Who has the id, or the mark. */
MPR_IMAGE_PATH static void
find_named(struct search *s)
{
	if (!is_known(s))
		ask_loader(s);
}

static int
note(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct noted **all = arg, *more;
	struct mpr_module_id id = id_of(info);
	size_t room;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum && id.len; i++) {
		if (info->dlpi_phdr[i].p_type != PT_LOAD)
			continue;
		if (!*all || (*all)->n == (*all)->room) {
			room = *all ? 2 * (*all)->room : 16;
			more = mpr_realloc(*all, sizeof(**all) +
					   room * sizeof((*all)->modules[0]));
			if (!more)
				return 1;
			more->n = *all ? more->n : 0;
			more->room = room;
			*all = more;
		}
		(*all)->modules[(*all)->n].mark = mark_of(id.bytes, id.len);
		(*all)->modules[(*all)->n++].at =
			info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		return 0;
	}
	return 0;
}

void
mpr_module_note(void)
{
	struct noted *none = NULL, *all = NULL;

	if (atomic_load_explicit(&noted, memory_order_relaxed))
		return;
	dl_iterate_phdr(note, &all);
	/* Pairs with the acquire in is_known(). */
	if (!atomic_compare_exchange_strong_explicit(&noted, &none, all,
						     memory_order_release,
						     memory_order_relaxed))
		free(all);
}

static const char *
name_of(const struct mpr_module *module)
{
	return module->program ? "the program" : module->path;
}

/* What the kernel says of the memory around an address. */
enum said { MAPPED, NOT_MAPPED, UNKNOWN };

struct mapping {
	unsigned long from;
	unsigned long to;
	char rights[5];
	char path[MPR_MODULE_PATH_MAX]; /* begins with / if it is a file's */
};

/* Calls @fn for each, until it returns true. */
static enum said
each_mapping(bool (*fn)(const struct mapping *m, void *arg), void *arg)
{
	FILE *maps = mpr_fault(MPR_FAULT_OPEN) ? NULL : fopen("/proc/self/maps", "re");
	enum said said = UNKNOWN;
	struct mapping m;
	char *line = NULL;
	size_t size = 0;
	int at;

	while (maps && said == UNKNOWN && getline(&line, &size, maps) > 0) {
		at = 0;
		if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &m.from, &m.to,
			   m.rights, &at) != 3)
			continue;
		snprintf(m.path, sizeof(m.path), "%.*s",
			 (int)strcspn(line + at, "\n"), line + at);
		if (fn(&m, arg))
			said = MAPPED;
	}
	if (maps && said == UNKNOWN && feof(maps))
		said = NOT_MAPPED;
	free(line);
	if (maps)
		fclose(maps);
	return said;
}

struct around {
	uintptr_t address;
	struct mapping *m;
};

static bool
is_around(const struct mapping *m, void *arg)
{
	const struct around *a = arg;

	if (a->address < m->from || a->address >= m->to)
		return false;
	*a->m = *m;
	return true;
}

/* The loader has the path that it was given, which may have begun in a directory
 * where we are no more. */
static void
complete_path(struct mpr_module *module, uintptr_t address)
{
	struct mapping m;
	struct around a = { address, &m };

	if (!module->program && module->path[0] != '/' &&
	    each_mapping(is_around, &a) == MAPPED && m.path[0] == '/')
		memcpy(module->path, m.path, sizeof(m.path));
}

static int
lacks_id(const char *name)
{
	return mpr_fail(-ENOEXEC, "%s has no build-id: link it with "
			"-Wl,--build-id", name);
}

static int
not_to_be_told(const struct search *s)
{
	return mpr_fail(-ENOEXEC, "%p is %s: another image cannot be told where "
			"to find it", (void *)s->address,
			s->found ? "no code of its module" :
				   "in no program or library");
}

int
mpr_module_of(mpr_function *fn, struct mpr_module *ret_module,
	      uint64_t *ret_offset)
{
	struct search s = {
		.address = (uintptr_t)fn,
		.module = ret_module,
	};

	find_owner(&s);
	if (!s.found || !s.is_code)
		return not_to_be_told(&s);
	if (!ret_module->id.len)
		return lacks_id(name_of(ret_module));
	complete_path(ret_module, s.address);
	*ret_offset = s.address - s.base;
	return 0;
}

MPR_IMAGE_PATH int
mpr_module_own_id(struct mpr_module_id *ret_id)
{
	struct search s = { .address = (uintptr_t)mpr_module_own_id,
			    .id = ret_id };

	*ret_id = (struct mpr_module_id){ 0 };
	find_owner(&s);
	return ret_id->len ? 0 : lacks_id("what has this library in it");
}

MPR_IMAGE_PATH static int
find(const struct mpr_module *module, uint64_t offset, bool load,
     mpr_function **ret_fn)
{
	struct search s = { .address = offset, .wanted = module };

	find_named(&s);
	/* It stays loaded: nobody here could know when to let it go. */
	if (!s.found && load && !module->program &&
	    dlopen(module->path, RTLD_NOW | RTLD_GLOBAL)) {
		s.address = offset;
		ask_loader(&s);
	}
	if (!s.found || !s.is_code)
		return mpr_fail(-ENOEXEC, "%s: %s", name_of(module),
				s.found ? "no code at that place" :
					  "not in this process");
	*ret_fn = (mpr_function *)s.address;
	return 0;
}

MPR_IMAGE_PATH int
mpr_module_find(const struct mpr_module *module, uint64_t offset,
		mpr_function **ret_fn)
{
	return find(module, offset, true, ret_fn);
}

int
mpr_module_look(const struct mpr_module *module, uint64_t offset,
		mpr_function **ret_fn)
{
	return find(module, offset, false, ret_fn);
}

int
mpr_module_place_of(mpr_function *fn, struct mpr_module_place *ret_place)
{
	struct mpr_module_id id = { 0 };
	struct search s = {
		.address = (uintptr_t)fn,
		.id = &id,
	};

	find_owner(&s);
	if (!s.found || !s.is_code)
		return not_to_be_told(&s);
	if (!id.len)
		return lacks_id(s.program ? "the program" :
					    "the library with the function");
	*ret_place = (struct mpr_module_place){
		.mark = mark_of(id.bytes, id.len),
		.offset = s.address - s.base,
		.program = s.program,
	};
	return 0;
}

int
mpr_module_look_at(uint64_t mark, uint64_t offset, mpr_function **ret_fn)
{
	struct search s = { .address = offset, .mark = mark };

	find_named(&s);
	if (!s.found || !s.is_code)
		return mpr_fail(-ENOEXEC, s.found ?
				"the module has no code at that place" :
				"the function's module is not in this process");
	*ret_fn = (mpr_function *)s.address;
	return 0;
}

static void
note_program(void)
{
	struct dl_find_object object;

	if (atomic_load_explicit(&mpr_module_span.size, memory_order_relaxed) ||
	    _dl_find_object((void *)getauxval(AT_ENTRY), &object) < 0)
		return;
	atomic_store_explicit(&mpr_module_span.at, (uintptr_t)object.dlfo_map_start,
			      memory_order_relaxed);
	/* Pairs with the acquire in mpr_module_is_programs(). */
	atomic_store_explicit(&mpr_module_span.size,
			      (uintptr_t)object.dlfo_map_end -
				      (uintptr_t)object.dlfo_map_start,
			      memory_order_release);
}

int
mpr_module_program(uint64_t *ret_mark)
{
	struct mpr_module_id id = { 0 };
	struct search s = { .address = getauxval(AT_ENTRY), .id = &id };

	note_program();
	find_owner(&s);
	if (!id.len)
		return lacks_id("the program");
	*ret_mark = mark_of(id.bytes, id.len);
	return 0;
}

uint64_t
mpr_module_library_of(mpr_function *fn)
{
	union { mpr_function *fn; void *at; } address = { fn };
	struct dl_find_object object;
	struct dl_phdr_info info;
	const unsigned char *id;
	uint32_t len;

	note_program();
	if (mpr_module_is_programs((uintptr_t)address.at) ||
	    _dl_find_object(address.at, &object) < 0)
		return 0;
	info.dlpi_addr = object.dlfo_link_map->l_addr;
	id = read_headers(&object, &info) ? find_id(&info, &len) : NULL;
	return id ? mark_of(id, len) : 0;
}

static void
know(uintptr_t at, uintptr_t end, uint64_t mark)
{
	known.generation = mpr_generation();
	known.at = at;
	known.size = end - at;
	known.mark = mark;
}

/* Without memory it is not remembered: what is looked for is told all the same. */
static void
add_made(uintptr_t from, uintptr_t to)
{
	size_t room = made.room ? 2 * made.room : 16;
	struct stretch *more;

	if (made.n == made.room) {
		more = mpr_realloc(made.all, room * sizeof(*more));
		if (!more)
			return;
		made.all = more;
		made.room = room;
	}
	made.all[made.n++] = (struct stretch){ from, to };
}

/* If it is code of no module, or in what its module has for data. */
static bool
note_made(const struct mapping *m, void *arg)
{
	struct search owner = { .address = m->from };
	struct stretch *wanted = arg;

	if (!strchr(m->rights, 'x') ||
	    (look_at(m->from, &owner) == 0 && owner.is_code))
		return false;
	add_made(m->from, m->to);
	if (wanted->from >= m->from && wanted->from < m->to)
		*wanted = (struct stretch){ m->from, m->to };
	return false;
}

static int
compare(const void *a, const void *b)
{
	const struct stretch *one = a, *other = b;

	return one->from < other->from ? -1 : one->from >= other->to;
}

static bool
is_made(uintptr_t at, uint64_t mark)
{
	struct stretch wanted = { at, 0 }, *there = NULL;

	if (made.n && made.generation == mpr_generation_peek())
		there = bsearch(&wanted, made.all, made.n, sizeof(*there), compare);
	if (there) {
		know(there->from, there->to, mark);
		return true;
	}
	/* All is looked for anew. */
	known.size = 0;
	made.n = 0;
	made.generation = mpr_generation();
	if (each_mapping(note_made, &wanted) == UNKNOWN && !wanted.to)
		return true;
	if (wanted.to)
		know(wanted.from, wanted.to, mark);
	return wanted.to;
}

static bool
is_of(uintptr_t at, uint64_t mark)
{
	struct mpr_module_id id = { 0 };
	struct search s = { .address = at, .id = &id };
	int r = look_at(at, &s);

	if (r < 0)
		return !mark && (r == -ENOTSUP || is_made(at, 0));
	if (mark && !(id.len && mark_of(id.bytes, id.len) == mark))
		return false;
	if (!s.is_code)
		return is_made(at, mark);
	know(s.from, s.to, mark);
	return true;
}

bool
mpr_module_has_code(mpr_function *fn, uint64_t mark)
{
	uintptr_t at = (uintptr_t)fn;

	note_program();
	return (at - known.at < known.size && known.mark == mark &&
		known.generation == mpr_generation_peek()) ||
	       is_of(at, mark);
}
