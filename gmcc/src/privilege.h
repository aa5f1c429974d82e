/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests of privileges as text (gm_image.h has the syntax), and the list of
 * them that becomes the manifest's table.
 */
#ifndef GMCC_PRIVILEGE_H
#define GMCC_PRIVILEGE_H

#include "gmcc.h"

/*
 * All that was asked for, wherever, and nothing else: sorted by kind, then first;
 * no two of one kind share a value. Requests that do are merged, and so are ports
 * and MSRs next to one another; where an MSR is asked for with and without WRITE,
 * with it.
 */
struct requests {
	size_t nr;		/* at most GM_MAX_PRIVILEGES */
	struct gm_privilege list[2 * GM_MAX_PRIVILEGES + 2];
};

/* NULL, or what is wrong with the text and what would be right. */
const char *privilege_parse(const char *text, struct gm_privilege *p);
/* False, and nothing has changed, if there would be too many. */
bool requests_add(struct requests *r, const struct gm_privilege *p);
/* Is there one of this kind, with these flags? */
bool requests_kind(const struct requests *r, uint32_t kind, uint32_t flags);
/* Does one of this kind share a value with this range? */
bool requests_overlap(const struct requests *r, uint32_t kind, uint64_t first, uint64_t last);

/* For people; kinds that nobody knows, too. */
const char *privilege_text(const struct gm_privilege *p);

#endif /* GMCC_PRIVILEGE_H */
