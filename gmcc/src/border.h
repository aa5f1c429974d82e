/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The border of an image, as an administrator looks at it: what leads in, what
 * leads out and how often, what is lent to the guest, what needs privilege.
 */
#ifndef GMCC_BORDER_H
#define GMCC_BORDER_H

#include "gmcc.h"

struct border_row {
	const char *name;
	const char *note;	/* "init", "exit", "indirect", or "" */
	unsigned int words;	/* arguments on the stack */
	size_t count;		/* pointers to an entry, call sites of an exit, ... */
};

struct border_list {
	struct border_row *rows;	/* sorted */
	size_t nr;
};

struct border {
	const char *file;
	struct image img;
	struct border_list entries, exits, shared, privates, imports;
	struct border_list absorbed;	/* objects, and in `note' the functions; in the image's order */
	struct border_list requests;	/* of privileges, as text, sorted as such */
	struct border_list privileges;	/* instructions in sealed text that need one */
	size_t *gate_count;	/* by gate: pointers or call sites */
};

/* border.c; ends the run if the file is no image */
void border_read(struct border *b, const char *file, const uint8_t *data, size_t size);

/* inspect.c */
void inspect_text(const struct border *b);
void inspect_json(const struct border *b);

/* graph.c */
void graph_dot(const struct border *b);
void graph_svg(const struct border *b);

/* diff.c: do they differ? */
bool border_diff(const struct border *old, const struct border *new, bool json);

#endif /* GMCC_BORDER_H */
