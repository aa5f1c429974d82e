/* SPDX-License-Identifier: GPL-2.0 */
/* What an image says of pointers among the arguments of its gates. */
#ifndef GMCC_POINTERS_H
#define GMCC_POINTERS_H

#include "gmcc.h"

struct pointers {
	const uint8_t *id;
	const struct gm_pointer *pointers;
	uint32_t nr;
	const char *strings;
	uint32_t strings_size;
};

/* All of the section; what is wrong with it, or NULL: all that is in it is in bounds. */
const char *pointers_read(struct pointers *p, const void *data, size_t size);
/* Those of one gate; NULL if there is none. */
const struct gm_pointer *pointers_of(const struct pointers *p, const struct gm_gate *g, uint32_t *nr);
const char *pointer_register(const struct gm_pointer *p);

#endif /* GMCC_POINTERS_H */
