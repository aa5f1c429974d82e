// SPDX-License-Identifier: GPL-2.0
/*
 * gmcc guard --absorb: functions of another object become the module's own.
 *
 * The object is a .ko that kbuild made for the same kernel. For each function
 * __wrap_NAME in it, the module's references to its import NAME lead there; what the
 * object itself calls NAME, or __real_NAME, is the kernel's. That is what ld -r --wrap
 * means, but done on struct obj: so only what the wrapped functions reach comes along,
 * section by section, and tables lose their entries about the rest. One table row per
 * section says what becomes of it; all merged text is then guarded as the module's own.
 *
 * Keeps: fail closed. A section that the table does not know is refused, as is an
 * object for another kernel, or with a symbol whose version is not known.
 */
#include <string.h>

#include "gmcc.h"

#define WRAP		"__wrap_"
#define REAL		"__real_"
#define ORC_SIZE	6
#define VERSION_SIZE	64		/* struct modversion_info: a CRC and a name */
#define CRC_SIZE	8

enum merge {
	DROP,
	APPEND,		/* behind the module's section of the row's name, or of its own */
	ONCE,		/* as APPEND, but there may be one only */
	TABLE,		/* entries, each about the place that its first relocation names */
	ORC,		/* .orc_unwind_ip and, by its entries, .orc_unwind */
};

#define F_PREFIX	(1 << 0)

static const struct row {
	const char *name;
	enum merge merge;
	unsigned int flags;
	const char *to;		/* APPEND: NULL for its own name */
	unsigned int entry;	/* TABLE: bytes; 0: of .altinstructions */
} rows[] = {
	{ ".text", APPEND, F_PREFIX, ".text", 0 },
	{ ".rodata", APPEND, F_PREFIX, ".rodata", 0 },
	{ ".altinstr_aux", APPEND, 0, NULL, 0 },
	{ ".altinstr_replacement", APPEND, 0, NULL, 0 },
	{ GM_SECTION_GUEST, APPEND, 0, NULL, 0 },
	{ GM_SECTION_HOSTINFO, ONCE, 0, NULL, 0 },
	{ GM_SECTION_DEVICES, ONCE, 0, NULL, 0 },
	{ ".data..percpu", APPEND, F_PREFIX, ".data..percpu", 0 },
	/* By a note's name: private or shared, as the module's. */
	{ ".data.gm_", APPEND, F_PREFIX, NULL, 0 },
	/* Apart from the module's, so that neither makes the other shared. */
	{ ".data", APPEND, F_PREFIX, ".data.gm_absorbed", 0 },
	{ ".bss", APPEND, F_PREFIX, ".bss.gm_absorbed", 0 },

	{ "__bug_table", TABLE, 0, NULL, 12 },
	{ "__jump_table", TABLE, 0, NULL, 16 },
	{ ".altinstructions", TABLE, 0, NULL, 0 },
	{ ".static_call_sites", TABLE, 0, NULL, 8 },
	{ ".parainstructions", TABLE, 0, NULL, 16 },
	{ ".return_sites", TABLE, 0, NULL, 4 },
	{ ".retpoline_sites", TABLE, 0, NULL, 4 },
	{ ".call_sites", TABLE, 0, NULL, 4 },
	{ ".ibt_endbr_seal", TABLE, 0, NULL, 4 },
	{ ".smp_locks", TABLE, 0, NULL, 4 },
	{ "__mcount_loc", TABLE, 0, NULL, 8 },
	{ "__patchable_function_entries", TABLE, 0, NULL, 8 },
	{ ".orc_unwind_ip", ORC, 0, NULL, 4 },

	/* What is of use here has been read by then, the rest is the module's to say. */
	{ ".orc_unwind", DROP, 0, NULL, 0 },
	{ ".orc_header", DROP, 0, NULL, 0 },
	{ ".modinfo", DROP, 0, NULL, 0 },
	{ "__versions", DROP, 0, NULL, 0 },
	{ ".gnu.linkonce.this_module", DROP, 0, NULL, 0 },
	{ ".note", DROP, F_PREFIX, NULL, 0 },
	{ ".comment", DROP, 0, NULL, 0 },
	{ ".BTF", DROP, F_PREFIX, NULL, 0 },
	{ ".debug_", DROP, F_PREFIX, NULL, 0 },
	{ ".discard", DROP, F_PREFIX, NULL, 0 },
};

/* An object on its way into the module. */
struct donor {
	struct obj *o;
	const struct row **rows;	/* by section */
	bool *live;
	size_t *todo, nr_todo;		/* live, but not followed yet */
	struct sec **to;		/* where a live section has gone, */
	uint64_t *base;			/* and at what offset */
	const char *names;		/* of the wrapped functions that the module uses */
};

static struct sec *section_here(const struct obj *o, const char *name)
{
	for (size_t i = 1; i < o->nr_secs; i++)
		if (!strcmp(o->secs[i]->name, name) && o->secs[i]->type != SHT_RELA)
			return o->secs[i];
	return NULL;
}

static const struct row *row_of(const struct sec *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].flags & F_PREFIX ? !strncmp(s->name, rows[i].name, strlen(rows[i].name)) :
					       !strcmp(s->name, rows[i].name))
			return &rows[i];
	return NULL;
}

/* The next string `KEY=value' from @p on, NULL: no more; its value. */
static const char *modinfo_next(const struct obj *o, const char *key, const char *p)
{
	const struct sec *s = section_here(o, ".modinfo");
	const char *end = s ? (const char *)s->data + s->size : NULL;
	size_t n = strlen(key);

	for (p = p ? p + strlen(p) + 1 : s ? (const char *)s->data : NULL; p < end; p += strlen(p) + 1)
		if (!strncmp(p, key, n) && p[n] == '=')
			return p + n + 1;
	return NULL;
}

static const char *modinfo(const struct obj *o, const char *key)
{
	return modinfo_next(o, key, NULL);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void check_object(const struct obj *o, const struct obj *a)
{
	const struct sec *orc = section_here(o, ".orc_header"), *its_orc = section_here(a, ".orc_header");
	const struct sec *info = section_here(a, ".modinfo"), *self = section_here(a, ".gnu.linkonce.this_module");
	const char *is = modinfo(o, "vermagic"), *was;

	if (!info || !self || !info->size || !info->data || info->data[info->size - 1] || !modinfo(a, "name"))
		die(a->file, "no kernel module. Give the .ko that kbuild makes of what to absorb.");
	was = modinfo(a, "vermagic");
	if (!same_text(is, was))
		die(a->file, "built for `%s', but the module for `%s'. Build it against the headers of the module's kernel.",
		    was ? was : "no kernel", is ? is : "no kernel");
	if (orc && its_orc && orc->data && its_orc->data &&
	    (orc->size != its_orc->size || memcmp(orc->data, its_orc->data, orc->size)))
		die(a->file, "has unwind data (.orc_header) of another form than the module. Build it against the headers of the module's kernel.");
	if (self->nr_rels)
		die(a->file, "has an init or exit function of its own, which nobody would call. Leave it out.");
	if (modinfo(a, "depends") && *modinfo(a, "depends"))
		die(a->file, "depends on other modules (%s). Absorb only what needs the kernel alone.",
		    modinfo(a, "depends"));
}

/* Sections that nobody would know what to do with. */
static void check_sections(const struct donor *d)
{
	for (size_t i = 1; i < d->o->nr_secs; i++) {
		const struct sec *s = d->o->secs[i];

		if (s->type != SHT_RELA && s->flags & SHF_ALLOC && s->size && !d->rows[i])
			refuse(d->o, s, 0, "a section that cannot be absorbed. Build the object without it, or teach gmcc about it (absorb.c).");
		if (d->rows[i] && d->rows[i]->merge == TABLE && !s->data && s->size)
			refuse(d->o, s, 0, "malformed.");
	}
	refused_exit(d->o);
}

static const char *wrapped(const struct sym *y)
{
	return y->sec && ELF64_ST_TYPE(y->info) == STT_FUNC && ELF64_ST_BIND(y->info) != STB_LOCAL &&
	       !strncmp(y->name, WRAP, strlen(WRAP)) ? y->name + strlen(WRAP) : NULL;
}

/* A section's number is in `out', which the object itself has no use for. */
static bool is_live(const struct donor *d, const struct sec *s)
{
	return s && d->live[s->out];
}

/* It comes along, and what it refers to. */
static bool mark(struct donor *d, const struct sec *s)
{
	const struct row *row = s ? d->rows[s->out] : NULL;

	if (!row || (row->merge != APPEND && row->merge != ONCE) || is_live(d, s))
		return false;
	d->live[s->out] = true;
	d->todo[d->nr_todo++] = s->out;
	while (d->nr_todo) {
		const struct sec *from = d->o->secs[d->todo[--d->nr_todo]];

		for (size_t i = 0; i < from->nr_rels; i++) {
			const struct sec *t = from->rels[i].sym->sec;

			row = t ? d->rows[t->out] : NULL;
			if (!row || (row->merge != APPEND && row->merge != ONCE) || is_live(d, t))
				continue;
			d->live[t->out] = true;
			d->todo[d->nr_todo++] = t->out;
		}
	}
	return true;
}

static unsigned int entry_size(const struct donor *d, const struct row *row)
{
	return row->entry ? row->entry : d->o->linux_6_1 ? 12 : 14;
}

/* The relocations of one entry; whether it is about something that comes along. */
static bool entry_lives(const struct donor *d, const struct sec *s, uint64_t end, size_t first, size_t *next)
{
	const struct sec *about = first < s->nr_rels && s->rels[first].off < end ? s->rels[first].sym->sec : NULL;

	for (*next = first; *next < s->nr_rels && s->rels[*next].off < end; ++*next)
		;
	return is_live(d, about);
}

/* What a table says of live text is live, too: a static branch's key, a trap's file name. */
static bool mark_by_table(struct donor *d, const struct sec *s, const struct row *row)
{
	unsigned int size = entry_size(d, row);
	bool more = false;
	size_t next = 0;

	if (s->size % size)
		die(d->o->file, "%s: malformed. Build it for the module's kernel.", s->name);
	for (uint64_t off = 0; off < s->size; off += size) {
		size_t first = next;

		if (!entry_lives(d, s, off + size, first, &next))
			continue;
		for (size_t i = first; i < next; i++)
			more |= mark(d, s->rels[i].sym->sec);
	}
	return more;
}

static void mark_all(struct donor *d)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 1; i < d->o->nr_secs; i++)
			if (d->rows[i] && d->rows[i]->merge >= TABLE)
				more |= mark_by_table(d, d->o->secs[i], d->rows[i]);
	}
}

static struct sym *import_named(const struct obj *o, const char *name)
{
	for (size_t i = 1; i < o->nr_syms; i++)
		if (!o->syms[i]->sec && o->syms[i]->shndx == SHN_UNDEF && !strcmp(o->syms[i]->name, name))
			return o->syms[i];
	return NULL;
}

/* By this name the linker would have found it; not a namesake of one file's own. */
static struct sym *global_named(const struct obj *o, const char *name)
{
	for (size_t i = 1; i < o->nr_syms; i++)
		if (o->syms[i]->sec && ELF64_ST_BIND(o->syms[i]->info) == STB_GLOBAL && !strcmp(o->syms[i]->name, name))
			return o->syms[i];
	return NULL;
}

static bool redirect(struct obj *o, const struct sym *from, struct sym *to)
{
	bool any = false;

	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_rels; j++)
			if (o->secs[i]->rels[j].sym == from) {
				o->secs[i]->rels[j].sym = to;
				any = true;
			}
	return any;
}

/* Leads the module's references to the object's functions, and marks those. */
static void wrap(struct obj *o, struct donor *d)
{
	bool any = false;

	for (size_t i = 1; i < d->o->nr_syms; i++) {
		struct sym *y = d->o->syms[i], *import;
		const char *name = wrapped(y);

		if (!name)
			continue;
		any = true;
		if (symbol_defined(o, name))
			die(d->o->file, "%s: %s is a function of the module's own. Only what it imports can be wrapped.",
			    y->name, name);
		import = import_named(o, name);
		if (import && import->wrapped_by)
			die(d->o->file, "%s is defined by %s, too. Absorb one of them.", y->name,
			    import->wrapped_by);
		if (!import || !redirect(o, import, y))
			continue;
		import->wrapped_by = d->o->file;
		import->internal = true;	/* unless what is absorbed imports it, see resolve() */
		d->names = xasprintf("%s %s", d->names, name);
		mark(d, y->sec);
	}
	if (!any)
		die(d->o->file, "defines no function " WRAP "NAME, so there is nothing to absorb. "
		    "Name a function so for each function of the kernel's that it replaces.");
	mark_all(d);
}

/* Room for more, which is @fill. */
static void grow(struct sec *to, uint64_t size, uint8_t fill)
{
	uint8_t *all = xalloc(size);

	if (to->mem_size)
		memcpy(all, to->data, to->mem_size);
	memset(all + to->mem_size, fill, size - to->mem_size);
	to->data = all;
	to->size = to->mem_size = size;
}

static void append_bytes(struct sec *to, const void *data, uint64_t size)
{
	uint64_t at = to->size;

	grow(to, at + size, 0);
	memcpy(to->data + at, data, size);
}

static void append_rel(struct sec *to, struct rel r, uint64_t shift)
{
	r.off += shift;
	to->rels = xgrow(to->rels, to->nr_rels, sizeof(*to->rels));
	to->rels[to->nr_rels++] = r;
}

static struct sec *destination(struct obj *o, const struct donor *d, const struct sec *s, const struct row *row)
{
	const char *name = row->to ? row->to : s->name;
	struct sec *to = section_here(o, name);

	if (to && row->merge == ONCE)
		die(d->o->file, "has a section %s, as the module, or what it has absorbed, has. There can be one.",
		    name);
	/* Read-only by name alone, or without content: not what belongs together. */
	if (to && ((to->flags ^ s->flags) & (SHF_WRITE | SHF_EXECINSTR | SHF_ALLOC) || to->type != s->type)) {
		name = xasprintf("%s.gm_%s", name, s->type == SHT_NOBITS ? "blank" : "absorbed");
		to = section_here(o, name);
	}
	if (!to) {
		to = obj_section(o, name, s->type, s->flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR), 0);
		to->align = s->align;
	}
	if (to->align < s->align)
		to->align = s->align;
	return to;
}

/*
 * Section by section. Text has a byte between any two, so that unwind data, which
 * says where each ends, never says two things of one place.
 */
static void place(struct obj *o, struct donor *d)
{
	for (size_t i = 1; i < d->o->nr_secs; i++) {
		const struct sec *s = d->o->secs[i];
		uint64_t align = s->align ? s->align : 1;
		struct sec *to;

		if (!d->live[i])
			continue;
		to = d->to[i] = destination(o, d, s, d->rows[i]);
		d->base[i] = (to->size + (to->size && s->flags & SHF_EXECINSTR) + align - 1) & ~(align - 1);
		to->size = d->base[i] + s->size;
	}
	for (size_t i = 1; i < d->o->nr_secs; i++) {
		const struct sec *s = d->o->secs[i];
		struct sec *to = d->to[i];

		if (!d->live[i])
			continue;
		if (s->type == SHT_NOBITS) {
			to->mem_size = to->size;
			continue;
		}
		if (to->size != to->mem_size)
			grow(to, to->size, s->flags & SHF_EXECINSTR ? 0xcc : 0);
		memcpy(to->data + d->base[i], s->data, s->size);
	}
}

static void die_unresolved(const struct donor *d, const struct sym *y)
{
	die(d->o->file, "refers to %s, which is not absorbed. Build the object without it.",
	    *y->name ? y->name : y->sec->name);
}

/* The symbol that stands for one of the object's in the module; @addend if that shifts. */
static struct sym *resolve(struct obj *o, const struct donor *d, struct sym *y, int64_t *addend)
{
	const char *name = y->name;
	struct sym *here;
	struct sec *to;

	if (y->sec && strcmp(name, "__this_module")) {
		if (!is_live(d, y->sec))
			die_unresolved(d, y);
		if (ELF64_ST_TYPE(y->info) != STT_SECTION)
			return y;
		*addend += d->base[y->sec->out];
		to = d->to[y->sec->out];
		if (!to->section_sym)
			to->section_sym = obj_symbol(o, "", STT_SECTION, to, 0, 0);
		return to->section_sym;
	}
	if (!y->sec && y->shndx != SHN_UNDEF)
		die_unresolved(d, y);
	if (!strncmp(name, REAL, strlen(REAL)))
		name += strlen(REAL);
	here = import_named(o, name);
	if (here)
		here->internal = false;
	else
		here = global_named(o, name);
	if (!here) {
		here = obj_symbol(o, name, STT_NOTYPE, NULL, 0, 0);
		here->info = ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE);
	}
	return here;
}

static void add_rels(struct obj *o, const struct donor *d, const struct sec *s, size_t first, size_t next,
		     struct sec *to, uint64_t shift)
{
	for (size_t i = first; i < next; i++) {
		struct rel r = s->rels[i];

		r.sym = resolve(o, d, r.sym, &r.addend);
		append_rel(to, r, shift);
	}
}

static struct sec *table_here(struct obj *o, const char *name, const struct sec *like)
{
	struct sec *to = section_here(o, name);

	if (!to) {
		to = obj_section(o, name, like->type, like->flags & (SHF_ALLOC | SHF_WRITE), 0);
		to->align = like->align;
	}
	return to;
}

static void add_table(struct obj *o, const struct donor *d, const struct sec *s, const struct row *row)
{
	const struct sec *un = row->merge == ORC ? section_here(d->o, ".orc_unwind") : NULL;
	uint8_t *entries = xalloc(s->size), *orcs = un ? xalloc(un->size) : NULL;
	unsigned int size = entry_size(d, row);
	struct sec *to;
	size_t next = 0, n = 0;
	uint64_t at;

	if (!s->size)
		return;
	if (row->merge == ORC && (!un || !un->data || un->size / ORC_SIZE != s->size / size))
		die(d->o->file, ".orc_unwind and .orc_unwind_ip do not match.");
	to = table_here(o, s->name, s);
	at = to->size;
	for (uint64_t off = 0; off < s->size; off += size) {
		size_t first = next;

		if (!entry_lives(d, s, off + size, first, &next))
			continue;
		add_rels(o, d, s, first, next, to, at - off);
		memcpy(entries + size * n, s->data + off, size);
		if (un)
			memcpy(orcs + ORC_SIZE * n, un->data + off / size * ORC_SIZE, ORC_SIZE);
		at += size;
		n++;
	}
	append_bytes(to, entries, n * size);
	if (un)
		append_bytes(table_here(o, un->name, un), orcs, n * ORC_SIZE);
}

static void move_symbols(struct obj *o, const struct donor *d)
{
	for (size_t i = 1; i < d->o->nr_syms; i++) {
		struct sym *y = d->o->syms[i];
		size_t at;

		if (!is_live(d, y->sec) || ELF64_ST_TYPE(y->info) == STT_SECTION)
			continue;
		at = y->sec->out;
		y->info = ELF64_ST_INFO(STB_LOCAL, ELF64_ST_TYPE(y->info));
		y->sec = d->to[at];
		y->value += d->base[at];
		o->syms = xgrow(o->syms, o->nr_syms, sizeof(*o->syms));
		o->syms[o->nr_syms++] = y;
	}
}

static const uint8_t *version_of(const struct sec *s, const char *name)
{
	for (uint64_t off = 0; s && s->data && off + VERSION_SIZE <= s->size; off += VERSION_SIZE)
		if (!strncmp((const char *)s->data + off + CRC_SIZE, name, VERSION_SIZE - CRC_SIZE))
			return s->data + off;
	return NULL;
}

/* Symbols that the module has imported so far, or now does: of one version, and of a known one. */
static void merge_versions(struct obj *o, const struct donor *d, size_t first_new)
{
	struct sec *to = section_here(o, "__versions");
	const struct sec *from = section_here(d->o, "__versions");

	if (!to)
		return;
	for (uint64_t off = 0; off + VERSION_SIZE <= to->size; off += VERSION_SIZE) {
		const char *name = (const char *)to->data + off + CRC_SIZE;
		const uint8_t *v = version_of(from, name);

		if (v && memcmp(v, to->data + off, CRC_SIZE))
			die(d->o->file, "%.*s has another version (CRC) than for the module. Build it against the headers of the module's kernel.",
			    VERSION_SIZE - CRC_SIZE, name);
	}
	for (size_t i = first_new; i < o->nr_syms; i++) {
		const char *name = o->syms[i]->name;
		const uint8_t *v = version_of(from, name);

		if (o->syms[i]->sec || version_of(to, name))
			continue;
		if (!v)
			die(d->o->file, "no version (CRC) of %s is known, which the module does not import. Call it by this name, not as "
			    REAL "%s, and build against a kernel with Module.symvers.", name, name);
		append_bytes(to, v, VERSION_SIZE);
	}
}

static void add_modinfo(struct obj *o, const char *key, const char *value)
{
	const char *text = xasprintf("%s=%s", key, value);
	struct sec *s = section_here(o, ".modinfo");

	append_bytes(s, text, strlen(text) + 1);
}

static bool has_modinfo(const struct obj *o, const char *key, const char *value)
{
	const char *p = NULL;

	while ((p = modinfo_next(o, key, p)))
		if (!strcmp(p, value))
			return true;
	return false;
}

static void merge_modinfo(struct obj *o, const struct donor *d)
{
	static const char *const keys[] = { GM_MODINFO_PRIVILEGE, "import_ns" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		for (const char *p = modinfo(d->o, keys[i]); p; p = modinfo_next(d->o, keys[i], p))
			if (!has_modinfo(o, keys[i], p))
				add_modinfo(o, keys[i], p);
	add_modinfo(o, GM_MODINFO_ABSORBED, xasprintf("%s:%s", modinfo(d->o, "name"), d->names));
}

static void merge(struct obj *o, struct donor *d)
{
	size_t first_new = o->nr_syms;

	place(o, d);
	for (size_t i = 1; i < d->o->nr_secs; i++)
		if (d->live[i])
			add_rels(o, d, d->o->secs[i], 0, d->o->secs[i]->nr_rels, d->to[i], d->base[i]);
	for (size_t i = 1; i < d->o->nr_secs; i++)
		if (d->rows[i] && d->rows[i]->merge >= TABLE)
			add_table(o, d, d->o->secs[i], d->rows[i]);
	merge_versions(o, d, first_new);
	move_symbols(o, d);
	merge_modinfo(o, d);
}

static struct donor *donor_read(const struct obj *o, struct absorbed *from)
{
	struct donor *d = xalloc(sizeof(*d));
	size_t sig_size;

	from->data = read_input(from->file, &from->size);
	from->size = signature_find(from->data, from->size, &sig_size);
	d->o = obj_read(from->file, from->data, from->size);
	d->o->linux_6_1 = o->linux_6_1;
	d->rows = xalloc(d->o->nr_secs * sizeof(*d->rows));
	d->live = xalloc(d->o->nr_secs * sizeof(*d->live));
	d->todo = xalloc(d->o->nr_secs * sizeof(*d->todo));
	d->to = xalloc(d->o->nr_secs * sizeof(*d->to));
	d->base = xalloc(d->o->nr_secs * sizeof(*d->base));
	d->names = "";
	for (size_t i = 1; i < d->o->nr_secs; i++) {
		d->o->secs[i]->out = i;
		d->rows[i] = row_of(d->o->secs[i]);
	}
	check_object(o, d->o);
	check_sections(d);
	return d;
}

void absorb(struct obj *o)
{
	const struct options *opt = o->opt;
	struct donor **donors = xalloc((opt->nr_absorb + 1) * sizeof(*donors));

	o->absorbed = xalloc((opt->nr_absorb + 1) * sizeof(*o->absorbed));
	for (; o->nr_absorbed < opt->nr_absorb; o->nr_absorbed++) {
		struct absorbed *a = &o->absorbed[o->nr_absorbed];

		a->file = opt->absorb[o->nr_absorbed];
		donors[o->nr_absorbed] = donor_read(o, a);
		wrap(o, donors[o->nr_absorbed]);
		a->names = donors[o->nr_absorbed]->names;
	}
	/* All references of the module's are led away by then, and no others. */
	for (size_t i = 0; i < o->nr_absorbed; i++)
		if (*o->absorbed[i].names)
			merge(o, donors[i]);
	if (o->nr_absorbed)
		obj_index(o);
}
