/* SPDX-License-Identifier: GPL-2.0 */
/* A bounds-checked look at BTF, a kernel's or, on top of that, a module's. */
#ifndef GMCC_BTF_H
#define GMCC_BTF_H

#include <linux/btf.h>

#include "gmcc.h"

struct btf {
	const struct btf *base;		/* of a module's, NULL: none */
	const uint8_t *types;
	const char *strings;		/* the last byte is NUL */
	uint32_t first_id, nr_types;	/* [first_id, first_id + nr_types) */
	uint32_t first_string, strings_size;
	uint32_t *offsets;		/* in types, by id - first_id */
	uint32_t *functions;		/* ids by name: open addressing */
	uint32_t functions_mask;
};

/* @data is to live as long as what is returned; NULL: malformed. */
struct btf *btf_open(const void *data, size_t size, const struct btf *base);
/* With all that belongs to it in bounds; NULL: void, or no such type. */
const struct btf_type *btf_type(const struct btf *b, uint32_t id);
const char *btf_name(const struct btf *b, uint32_t off);	/* "" if there is none */
/* The type behind typedefs and qualifiers; NULL as above. */
const struct btf_type *btf_strip(const struct btf *b, uint32_t id);
/* In bytes, -1: not known. */
int64_t btf_size(const struct btf *b, uint32_t id);
/* The prototype of a function that this BTF itself has; NULL: none, or several. */
const struct btf_type *btf_function(const struct btf *b, const char *name);
/* The id of a structure by its name, 0: none. */
uint32_t btf_struct(const struct btf *b, const char *name);

static inline unsigned int btf_kind(const struct btf_type *t)
{
	return BTF_INFO_KIND(t->info);
}

static inline unsigned int btf_vlen(const struct btf_type *t)
{
	return BTF_INFO_VLEN(t->info);
}

#endif /* GMCC_BTF_H */
