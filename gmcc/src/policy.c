// SPDX-License-Identifier: GPL-2.0
/*
 * Policies: what may be an entry, what is private or shared, which privileges a
 * module asks for.
 *
 * Keeps: without a policy the defaults are the safe ones. Every function whose
 * address is taken is an entry (nothing else would work), data is private if no
 * address in it is given away, no privilege is asked for. A policy that cannot
 * be kept is an error.
 */
#include <stdlib.h>
#include <string.h>

#include "gmcc.h"
#include "policy.h"
#include "policy_toml.h"

#define NOTE_ENTRY	"gm_entry="
#define NOTE_PRIVILEGE	GM_MODINFO_PRIVILEGE "="

static void add(struct names *n, const char *name)
{
	for (size_t i = 0; i < n->nr; i++)
		if (!strcmp(n->names[i], name))
			return;
	n->names = xgrow(n->names, n->nr, sizeof(*n->names));
	n->names[n->nr++] = xasprintf("%s", name);
}

static bool has(const struct names *n, const char *name)
{
	for (size_t i = 0; i < n->nr; i++)
		if (!strcmp(n->names[i], name))
			return true;
	return false;
}

static struct names *names_of(struct policy *p, const char *key)
{
	if (!strcmp(key, "entries"))
		return &p->entries;
	if (!strcmp(key, "private"))
		return &p->privates;
	if (!strcmp(key, "shared"))
		return &p->shared;
	return NULL;
}

static bool is_privileges(const char *key)
{
	return !strcmp(key, "privileges");
}

/* What @where asks for: for messages, the file and the place in it. */
static void request(struct requests *r, const char *file, const char *where, const char *text)
{
	struct gm_privilege p;
	const char *wrong = privilege_parse(text, &p);

	if (wrong)
		die(file, "%s: %s", where, wrong);
	if (!requests_add(r, &p))
		die(file, "%s: `%.64s' is one privilege too many, beyond %d. Ask for ranges.", where, text,
		    GM_MAX_PRIVILEGES);
}

static void on_list(void *arg, const char *key)
{
	struct policy *p = arg;

	if (!names_of(p, key) && !is_privileges(key))
		die(p->file, "unknown list, %s. Known are entries, private, shared and privileges.", key);
	if (!strcmp(key, "entries"))
		p->closed = true;
}

static void on_string(void *arg, const char *key, const char *value)
{
	struct policy *p = arg;

	on_list(arg, key);
	if (is_privileges(key))
		request(&p->requests, p->file, key, value);
	else
		add(names_of(p, key), value);
}

static void on_number(void *arg, const char *key, long long value)
{
	struct policy *p = arg;
	bool stacks = !strcmp(key, "stacks");

	if (!stacks && strcmp(key, "stack-pages"))
		die(p->file, "unknown number, %s. Known are stacks and stack-pages.", key);
	if (value < 1 || value > (stacks ? MAX_STACKS : MAX_STACK_PAGES))
		die(p->file, "%s is a number from 1 to %d, not %lld.", key,
		    stacks ? MAX_STACKS : MAX_STACK_PAGES, value);
	*(stacks ? &p->stacks : &p->stack_pages) = value;
}

struct policy *policy_read(const char *file)
{
	struct policy *p = xalloc(sizeof(*p));
	const struct toml_sink sink = { on_string, on_number, on_list, p };
	char *wrong;

	p->file = file ? file : "the default policy";
	wrong = file ? toml_parse(file, &sink) : NULL;
	if (wrong) {
		const char *text = xasprintf("%s", wrong);

		free(wrong);
		die(file, "%s", text);
	}
	return p;
}

static struct sec *modinfo(const struct obj *o)
{
	for (size_t i = 1; i < o->nr_secs; i++)
		if (!strcmp(o->secs[i]->name, ".modinfo"))
			return o->secs[i];
	return NULL;
}

/* Strings in .modinfo, as MODULE_INFO() leaves them; read_modinfo() has checked the end. */
static void read_notes(struct obj *o, const struct sec *s)
{
	const char *p = (const char *)s->data, *end = p + s->size;

	for (; p < end; p += strlen(p) + 1) {
		if (!strncmp(p, NOTE_ENTRY, strlen(NOTE_ENTRY))) {
			add(&o->policy->entries, p + strlen(NOTE_ENTRY));
			o->policy->closed = true;
		} else if (!strncmp(p, NOTE_PRIVILEGE, strlen(NOTE_PRIVILEGE))) {
			request(&o->policy->requests, o->file, ".modinfo: " GM_MODINFO_PRIVILEGE,
				p + strlen(NOTE_PRIVILEGE));
		}
	}
}

void policy_notes(struct obj *o)
{
	const struct requests *more = o->opt->requests;

	read_notes(o, modinfo(o));
	for (size_t i = 0; more && i < more->nr; i++)
		if (!requests_add(&o->policy->requests, &more->list[i]))
			die(o->file, "`%s' is one privilege too many, beyond %d. Ask for ranges.",
			    privilege_text(&more->list[i]), GM_MAX_PRIVILEGES);
}

static bool any_function(const struct obj *o, const char *name)
{
	for (size_t i = 1; i < o->nr_syms; i++)
		if (o->syms[i]->sec && ELF64_ST_TYPE(o->syms[i]->info) == STT_FUNC &&
		    !strcmp(o->syms[i]->name, name))
			return true;
	return false;
}

static void check_sections(const struct obj *o, const struct names *n)
{
	for (size_t i = 0; i < n->nr; i++) {
		bool found = false;

		for (size_t j = 1; j < o->nr_secs; j++)
			found |= !strcmp(o->secs[j]->name, n->names[i]) && section_is_data(o->secs[j]);
		if (!found)
			die(o->policy->file, "names %s, which is no section of writable data in %s.",
			    n->names[i], o->file);
	}
}

void policy_check(const struct obj *o)
{
	const struct policy *p = o->policy;

	for (size_t i = 0; i < p->entries.nr; i++)
		if (!any_function(o, p->entries.names[i]))
			die(p->file, "names the entry %s, which is no function of %s.", p->entries.names[i],
			    o->file);
	check_sections(o, &p->privates);
	check_sections(o, &p->shared);
}

const char *policy_text(const struct obj *o)
{
	const struct policy *p = o->policy;
	const struct names *all[] = { &p->entries, &p->privates, &p->shared };
	const char *text = p->closed ? "closed" : "open";

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		text = xasprintf("%s;", text);
		for (size_t j = 0; j < all[i]->nr; j++)
			text = xasprintf("%s %s", text, all[i]->names[j]);
	}
	text = xasprintf("%s;", text);
	for (size_t i = 0; i < p->requests.nr; i++)
		text = xasprintf("%s %s", text, privilege_text(&p->requests.list[i]));
	return text;
}

bool policy_entry(const struct obj *o, const char *function)
{
	return !o->policy->closed || has(&o->policy->entries, function);
}

enum policy_data policy_data(const struct obj *o, const struct sec *s)
{
	if (strstr(s->name, ".gm_private") || has(&o->policy->privates, s->name))
		return POLICY_PRIVATE;
	if (strstr(s->name, ".gm_shared") || has(&o->policy->shared, s->name))
		return POLICY_SHARED;
	return POLICY_AUTO;
}
