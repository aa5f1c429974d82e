// SPDX-License-Identifier: GPL-2.0
/*
 * Looks at query-gm's counters, and rates from two of them.
 */
#include <stdlib.h>
#include <string.h>

#include "rates.h"

/* There are some while it is sealed. */
static void take_symbols(struct module *m, struct json_object *symbols)
{
	size_t i, n = symbols ? json_object_array_length(symbols) : 0;

	m->symbols = xcalloc(n, sizeof(*m->symbols));
	m->nr_symbols = n;
	for (i = 0; i < n; i++) {
		struct json_object *s = element_object(symbols, i);

		m->symbols[i].name = safe_text(member_string(s, "name"));
		m->symbols[i].kind = safe_text(member_string(s, "kind"));
		m->symbols[i].crossings = member_number(s, "crossings");
	}
}

struct sample *sample_new(struct json_object *info, double when)
{
	struct json_object *modules = member_array(info, "modules");
	struct sample *s = xcalloc(1, sizeof(*s));

	s->when = when;
	s->violations = member_number(info, "violations-total");
	s->seals_refused = member_number(info, "seals-refused");
	s->nr_modules = json_object_array_length(modules);
	s->modules = xcalloc(s->nr_modules, sizeof(*s->modules));
	for (size_t i = 0; i < s->nr_modules; i++) {
		struct json_object *o = element_object(modules, i);
		struct json_object *crossings = member_object(o, "crossings");
		struct module *m = &s->modules[i];

		m->name = safe_text(member_string(o, "name"));
		m->id = safe_text(member_string(o, "id"));
		m->state = safe_text(member_string(o, "state"));
		m->activations = member_number(o, "activations");
		m->activations_max = member_number(o, "activations-max");
		free(join_violations(member_array(o, "violations"), &m->violations));
		for (int k = 0; k < NR_CROSSINGS; k++) {
			m->crossings[k] = member_number(crossings, crossing_names[k]);
			m->all += m->crossings[k];
		}
		optional_number(o, "seal", &m->seal);
		take_symbols(m, optional_array(o, "symbols"));
	}
	return s;
}

static const struct module *find(const struct sample *s, const struct module *m)
{
	for (size_t i = 0; s && i < s->nr_modules; i++)
		if (!strcmp(s->modules[i].id, m->id) && !strcmp(s->modules[i].name, m->name))
			return &s->modules[i];
	return NULL;
}

static void rate_module(struct module *m, const struct module *before, double elapsed)
{
	static const struct module zero;
	bool anew = !before;
	int k;

	for (k = 0; k < NR_CROSSINGS && !anew; k++)
		anew = m->crossings[k] < before->crossings[k];
	if (anew)
		before = &zero;
	m->all_rate = 0;
	for (k = 0; k < NR_CROSSINGS; k++) {
		m->rate[k] = (m->crossings[k] - before->crossings[k]) / elapsed;
		m->all_rate += m->rate[k];
	}
}

/*
 * An image's symbols are the same, in the same order, as long as its id is. They
 * are counted from the seal on. Its number is given out again: a new seal of the
 * same number shows in what fell.
 */
static void rate_symbols(struct module *m, const struct module *before, double elapsed)
{
	bool anew = !before || before->seal != m->seal || before->nr_symbols != m->nr_symbols;
	size_t i;

	for (i = 0; i < m->nr_symbols && !anew; i++)
		anew = m->symbols[i].crossings < before->symbols[i].crossings ||
			strcmp(m->symbols[i].name, before->symbols[i].name);
	for (i = 0; i < m->nr_symbols; i++)
		m->symbols[i].rate = (m->symbols[i].crossings -
				      (anew ? 0 : before->symbols[i].crossings)) / elapsed;
}

void sample_rate(struct sample *s, const struct sample *before)
{
	double elapsed = s->when - before->when;

	if (elapsed < 1e-3)
		elapsed = 1e-3;
	s->elapsed = elapsed;
	for (size_t i = 0; i < s->nr_modules; i++) {
		struct module *m = &s->modules[i];
		const struct module *old = find(before, m);
		uint64_t violations = old && old->violations <= m->violations ? old->violations : 0;

		rate_module(m, old, elapsed);
		rate_symbols(m, old, elapsed);
		m->violations_rate = (m->violations - violations) / elapsed;
	}
}

void sample_free(struct sample *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nr_modules; i++) {
		struct module *m = &s->modules[i];

		for (size_t k = 0; k < m->nr_symbols; k++) {
			free(m->symbols[k].name);
			free(m->symbols[k].kind);
		}
		free(m->symbols);
		free(m->name);
		free(m->id);
		free(m->state);
	}
	free(s->modules);
	free(s);
}
