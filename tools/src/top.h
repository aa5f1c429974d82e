/* SPDX-License-Identifier: GPL-2.0 */
/*
 * gmctl top: tables of a look at the counters, and the view that is live.
 */
#ifndef TOP_H
#define TOP_H

#include "rates.h"

enum sort {
	SORT_RATE,		/* crossings a second */
	SORT_TOTAL,
	SORT_NAME,
	SORT_VIOLATIONS,	/* modules; symbols by rate */
	SORT_ACTIVATIONS,	/* the same */
	NR_SORTS,
};

struct sort_key {
	char key;
	const char *name;
};

extern const struct sort_key sort_keys[NR_SORTS];

/* The first row is the head. */
struct table *modules_table(struct sample *s, enum sort sort);
/* At most `max' symbols, of all modules; without `idle' those with crossings alone. */
struct table *symbols_table(const struct sample *s, enum sort sort, size_t max, bool idle);
char *summary_line(const struct sample *s);

void view_begin(enum sort sort);
void view_end(void);
/*
 * Show it, and react to keys until an interval, which they can change, has gone by
 * since it began; false: the user is done.
 */
bool view_show(struct sample *s, const char *path, double *interval, double began);

#endif
