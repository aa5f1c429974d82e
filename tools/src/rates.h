/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rates, from two looks at counters. A counter that fell has begun anew at zero
 * in between, and with it all others of its group: the module's by kind, or those
 * of its symbols.
 */
#ifndef RATES_H
#define RATES_H

#include <stdint.h>

#include "gmctl.h"

struct symbol {
	char *name, *kind;
	uint64_t crossings;
	double rate;			/* per second */
};

struct module {
	char *name, *id, *state;
	uint64_t seal;			/* 0: not sealed */
	uint64_t activations, activations_max, violations;
	uint64_t crossings[NR_CROSSINGS], all;	/* all: of every kind */
	double rate[NR_CROSSINGS], all_rate, violations_rate;
	struct symbol *symbols;
	size_t nr_symbols;
};

/* One look. */
struct sample {
	double when;			/* now() */
	double elapsed;			/* s since the look before, 0: this is the first */
	uint64_t violations, seals_refused;
	struct module *modules;
	size_t nr_modules;
};

/* What query-gm answered. */
struct sample *sample_new(struct json_object *info, double when);
/* Fill in the rates of `s'; a module that was not there before began at zero. */
void sample_rate(struct sample *s, const struct sample *before);
void sample_free(struct sample *s);

#endif
