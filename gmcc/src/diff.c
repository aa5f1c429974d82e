// SPDX-License-Identifier: GPL-2.0
/*
 * gmcc inspect --diff: how the border changed from one image to another, for
 * the review before the new one is registered.
 */
#include <string.h>

#include "border.h"
#include "json.h"

enum change { ADDED, REMOVED, CHANGED };

struct differ {
	bool json, differ;
	bool first;		/* of a JSON list */
};

static int compare(const struct border_row *x, const struct border_row *y)
{
	int c = strcmp(y->note, x->note);

	if (c && (!*x->note || !*y->note))
		return c;
	return c ? c : strcmp(x->name, y->name);
}

static void say(struct differ *d, enum change what, const struct border_row *old,
		const struct border_row *new, const char *unit)
{
	static const char *const words[] = { "added", "removed", "changed" };
	const struct border_row *r = new ? new : old;

	d->differ = true;
	if (d->json) {
		printf("%s{", d->first ? "" : ", ");
		json_key(true, "change", words[what]);
		json_key(false, "name", r->name);
		json_key(false, "note", r->note);
		if (old)
			printf(", \"old\": {\"count\": %zu, \"stack-words\": %u}", old->count, old->words);
		if (new)
			printf(", \"new\": {\"count\": %zu, \"stack-words\": %u}", new->count, new->words);
		putchar('}');
		d->first = false;
		return;
	}
	printf("  %c %s", "+-~"[what], r->name);
	if (*r->note)
		printf("  %s", r->note);
	if (what != CHANGED) {
		if (*unit)
			printf("  (%zu %s%s)", r->count, unit, r->count == 1 ? "" : "s");
	} else {
		if (old->count != new->count)
			printf("  (%zu, now %zu %s%s)", old->count, new->count, unit,
			       new->count == 1 ? "" : "s");
		if (old->words != new->words)
			printf("  (%u, now %u arguments on the stack)", old->words, new->words);
	}
	putchar('\n');
}

/* Both lists are sorted; rows of one name are compared in order. */
static void lists(struct differ *d, const char *title, const char *key, const char *unit,
		  const struct border_list *old, const struct border_list *new)
{
	size_t i = 0, j = 0;
	bool head = false;

	if (d->json)
		printf(", \"%s\": [", key);
	d->first = true;
	while (i < old->nr || j < new->nr) {
		const struct border_row *x = i < old->nr ? &old->rows[i] : NULL;
		const struct border_row *y = j < new->nr ? &new->rows[j] : NULL;
		int c = !x ? 1 : !y ? -1 : compare(x, y);

		if (!c && x->words == y->words && x->count == y->count) {
			i++, j++;
			continue;
		}
		if (!head && !d->json)
			printf("%s\n", title);
		head = true;
		say(d, !c ? CHANGED : c < 0 ? REMOVED : ADDED, c <= 0 ? x : NULL, c >= 0 ? y : NULL, unit);
		i += c <= 0;
		j += c >= 0;
	}
	if (d->json)
		putchar(']');
}

static void number(struct differ *d, const char *what, const char *key, uint64_t old, uint64_t new)
{
	if (d->json)
		printf(", \"%s\": {\"old\": %llu, \"new\": %llu}", key, (unsigned long long)old,
		       (unsigned long long)new);
	else if (old != new)
		printf("%s  %llu, now %llu\n", what, (unsigned long long)old, (unsigned long long)new);
	d->differ |= old != new;
}

bool border_diff(const struct border *old, const struct border *new, bool json)
{
	const struct gm_manifest *m = old->img.man, *n = new->img.man;
	struct differ d = { .json = json, .differ = strcmp(m->name, n->name) != 0 };

	if (json) {
		printf("{");
		json_key(true, "old", old->file);
		json_key(false, "new", new->file);
		json_key(false, "old-module", m->name);
		json_key(false, "new-module", n->name);
	} else {
		printf("--- %s\n+++ %s\n", old->file, new->file);
		if (d.differ)
			printf("module  %s, now %s\n", m->name, n->name);
	}
	number(&d, "stacks", "stacks", m->nr_stacks, n->nr_stacks);
	number(&d, "pages of a stack", "stack-pages", m->stack_pages, n->stack_pages);
	lists(&d, "entries", "entries", "pointer", &old->entries, &new->entries);
	lists(&d, "exits", "exits", "call site", &old->exits, &new->exits);
	lists(&d, "requested privileges", "requests", "", &old->requests, &new->requests);
	lists(&d, "privileged instructions", "privileged-instructions", "place", &old->privileges, &new->privileges);
	lists(&d, "shared with the guest", "shared", "byte", &old->shared, &new->shared);
	lists(&d, "private data", "private", "byte", &old->privates, &new->privates);
	lists(&d, "imports", "imports", "", &old->imports, &new->imports);
	if (json)
		printf(", \"same\": %s}\n", d.differ ? "false" : "true");
	else if (!d.differ)
		printf("the same border\n");
	return d.differ;
}
