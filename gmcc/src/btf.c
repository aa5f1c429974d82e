// SPDX-License-Identifier: GPL-2.0
/*
 * Reads BTF where it lies: one pass finds where each type is, and puts the
 * functions into an index by name. Nothing is copied: a kernel has more than
 * a hundred thousand types, and a module asks about a few.
 *
 * Keeps: every type and string that is handed out lies in the data, whatever
 * the file held; chains of types are followed so far and no further.
 */
#include <string.h>

#include "btf.h"

#define MAX_CHAIN	32

/* What follows struct btf_type, -1: no such kind. */
static int64_t extra(const struct btf_type *t)
{
	switch (btf_kind(t)) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_ENUM:
		return sizeof(struct btf_enum) * (int64_t)btf_vlen(t);
	case BTF_KIND_FUNC_PROTO:
		return sizeof(struct btf_param) * (int64_t)btf_vlen(t);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return sizeof(struct btf_member) * (int64_t)btf_vlen(t);
	case BTF_KIND_DATASEC:
		return sizeof(struct btf_var_secinfo) * (int64_t)btf_vlen(t);
	case BTF_KIND_ENUM64:
		return sizeof(struct btf_enum64) * (int64_t)btf_vlen(t);
	}
	return -1;
}

static const struct btf_type *type_here(const struct btf *b, uint32_t i)
{
	return (const struct btf_type *)(b->types + b->offsets[i]);
}

static uint32_t hash(const char *s)
{
	uint32_t h = 5381;

	while (*s)
		h = h * 33 + (unsigned char)*s++;
	return h ^ h >> 15;
}

static void index_functions(struct btf *b, uint32_t nr)
{
	b->functions_mask = 15;
	while (b->functions_mask < 2 * nr)
		b->functions_mask = 2 * b->functions_mask + 1;
	b->functions = xalloc((b->functions_mask + 1ULL) * sizeof(*b->functions));
	for (uint32_t i = 0; i < b->nr_types; i++) {
		const struct btf_type *t = type_here(b, i);
		uint32_t at;

		if (btf_kind(t) != BTF_KIND_FUNC)
			continue;
		at = hash(btf_name(b, t->name_off)) & b->functions_mask;
		while (b->functions[at])
			at = (at + 1) & b->functions_mask;
		b->functions[at] = b->first_id + i;
	}
}

/* Where each type is; false: not whole types all through. */
static bool index_types(struct btf *b, uint32_t size)
{
	uint32_t off = 0, nr_functions = 0;

	b->offsets = xalloc((size / sizeof(struct btf_type) + 1) * sizeof(*b->offsets));
	while (off < size) {
		const struct btf_type *t = (const struct btf_type *)(b->types + off);
		int64_t more = size - off < sizeof(*t) ? -1 : extra(t);

		if (more < 0 || more > (int64_t)(size - off - sizeof(*t)))
			return false;
		b->offsets[b->nr_types++] = off;
		nr_functions += btf_kind(t) == BTF_KIND_FUNC;
		off += sizeof(*t) + more;
	}
	index_functions(b, nr_functions);
	return true;
}

struct btf *btf_open(const void *data, size_t size, const struct btf *base)
{
	struct btf_header h;
	struct btf *b = xalloc(sizeof(*b));

	/* Types are words. */
	if ((uintptr_t)data % 4)
		data = xmemdup(data, size);
	if (size < sizeof(h))
		return NULL;
	memcpy(&h, data, sizeof(h));
	if (h.magic != BTF_MAGIC || h.version != BTF_VERSION || h.hdr_len < sizeof(h) || h.hdr_len > size)
		return NULL;
	size -= h.hdr_len;
	if (h.hdr_len % 4 || h.type_off % 4 || h.type_off > size || h.type_len > size - h.type_off ||
	    h.str_off > size || h.str_len > size - h.str_off || !h.str_len)
		return NULL;
	b->base = base;
	b->types = (const uint8_t *)data + h.hdr_len + h.type_off;
	b->strings = (const char *)data + h.hdr_len + h.str_off;
	b->strings_size = h.str_len;
	b->first_id = base ? base->first_id + base->nr_types : 1;
	b->first_string = base ? base->first_string + base->strings_size : 0;
	if (b->strings[b->strings_size - 1] || b->first_id + (uint64_t)h.type_len > INT32_MAX)
		return NULL;
	return index_types(b, h.type_len) ? b : NULL;
}

const struct btf_type *btf_type(const struct btf *b, uint32_t id)
{
	while (b && id < b->first_id)
		b = b->base;
	return b && id - b->first_id < b->nr_types ? type_here(b, id - b->first_id) : NULL;
}

const char *btf_name(const struct btf *b, uint32_t off)
{
	while (b && off < b->first_string)
		b = b->base;
	return b && off - b->first_string < b->strings_size ? b->strings + (off - b->first_string) : "";
}

static bool is_named_through(unsigned int kind)
{
	return kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_CONST || kind == BTF_KIND_VOLATILE ||
	       kind == BTF_KIND_RESTRICT || kind == BTF_KIND_TYPE_TAG;
}

const struct btf_type *btf_strip(const struct btf *b, uint32_t id)
{
	const struct btf_type *t = btf_type(b, id);

	for (int i = 0; t && is_named_through(btf_kind(t)); i++)
		t = i < MAX_CHAIN ? btf_type(b, t->type) : NULL;
	return t;
}

int64_t btf_size(const struct btf *b, uint32_t id)
{
	uint64_t times = 1;

	for (int i = 0; i < MAX_CHAIN; i++) {
		const struct btf_type *t = btf_strip(b, id);
		struct btf_array a;

		switch (t ? btf_kind(t) : BTF_KIND_UNKN) {
		case BTF_KIND_INT:
		case BTF_KIND_ENUM:
		case BTF_KIND_ENUM64:
		case BTF_KIND_STRUCT:
		case BTF_KIND_UNION:
		case BTF_KIND_FLOAT:
			times *= t->size;
			return times <= INT32_MAX ? (int64_t)times : -1;
		case BTF_KIND_PTR:
			times *= 8;
			return times <= INT32_MAX ? (int64_t)times : -1;
		case BTF_KIND_ARRAY:
			memcpy(&a, t + 1, sizeof(a));
			times *= a.nelems;
			if (times > INT32_MAX)
				return -1;
			id = a.type;
			break;
		default:
			return -1;
		}
	}
	return -1;
}

/* Static functions may share a name; nobody knows then which one is meant. */
const struct btf_type *btf_function(const struct btf *b, const char *name)
{
	const struct btf_type *one = NULL;

	for (uint32_t at = hash(name) & b->functions_mask; b->functions[at];
	     at = (at + 1) & b->functions_mask) {
		const struct btf_type *t = btf_type(b, b->functions[at]);

		if (strcmp(btf_name(b, t->name_off), name))
			continue;
		if (one && one->type != t->type)
			return NULL;
		one = t;
	}
	one = one ? btf_type(b, one->type) : NULL;
	return one && btf_kind(one) == BTF_KIND_FUNC_PROTO ? one : NULL;
}

uint32_t btf_struct(const struct btf *b, const char *name)
{
	for (uint32_t i = 0; i < b->nr_types; i++) {
		const struct btf_type *t = type_here(b, i);

		if (btf_kind(t) == BTF_KIND_STRUCT && !strcmp(btf_name(b, t->name_off), name))
			return b->first_id + i;
	}
	return 0;
}
