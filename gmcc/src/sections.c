// SPDX-License-Identifier: GPL-2.0
/*
 * What becomes of each section: one table row per special kernel section.
 *
 * Keeps: fail closed. A section that the table does not know is kept only if
 * it neither refers to sealed text nor is referred to by it; every row that
 * drops or keeps something says why that is safe.
 */
#include <string.h>

#include "gmcc.h"
#include "policy.h"

enum action {
	KEEP,		/* the guest kernel's own; loaded as it is */
	DROP,		/* not in the image */
	RODATA,		/* sealed, read-only */
	DATA,		/* sealed if private, else shared: seal.c decides */
	GUEST,		/* code that the kernel patches: the guest's own */
	SITES,		/* a list of places; those in sealed text are taken out */
	HOSTINFO,	/* one page of zeroes, which KVM fills in */
	DEVICES,	/* pages of zeroes, which KVM puts registers of devices in place of */
	REFUSE,
};

#define F_PREFIX	(1 << 0)	/* name is a prefix */
#define F_LOCATION	(1 << 1)	/* addresses of text say where, not what to call */
#define F_RELATIVE	(1 << 2)	/* PC32 fields are pointers, not locations */
#define F_THIS_MODULE	(1 << 3)
#define F_PERCPU	(1 << 4)

struct special {
	const char *name;
	enum action action;
	unsigned int flags;
	const char *why;	/* REFUSE: the message */
	unsigned int entry;	/* SITES: bytes of one */
};

static const struct special table[] = {
	/*
	 * Order matters where one name is a prefix of another: the first row
	 * that matches wins, so `.data..percpu' stands before `.data.'
	 */
	/* The loader makes a copy for each CPU, the guest's as all per-CPU memory. */
	{ ".data..percpu", KEEP, F_PERCPU, NULL, 0 },
	{ ".data", DATA, 0, NULL, 0 },
	{ ".data.", DATA, F_PREFIX, NULL, 0 },
	{ ".bss", DATA, 0, NULL, 0 },
	{ ".bss.", DATA, F_PREFIX, NULL, 0 },
	{ ".ref.data", DATA, 0, NULL, 0 },
	{ ".init.data", DATA, 0, NULL, 0 },
	{ ".exit.data", DATA, 0, NULL, 0 },
	{ ".rodata", RODATA, 0, NULL, 0 },
	{ ".rodata.", RODATA, F_PREFIX, NULL, 0 },
	{ ".init.rodata", RODATA, F_PREFIX, NULL, 0 },

	/* Read by the loader before, or by the kernel while, the module lives. */
	{ ".gnu.linkonce.this_module", KEEP, F_THIS_MODULE, NULL, 0 },
	{ ".modinfo", KEEP, 0, NULL, 0 },
	{ "__versions", KEEP, 0, NULL, 0 },
	{ "__version_ext_", KEEP, F_PREFIX, NULL, 0 },
	{ "__param", KEEP, 0, NULL, 0 },
	/* Dynamic debug: the kernel sets its flags; its branch is in __jump_table. */
	{ "__dyndbg", KEEP, F_PREFIX, NULL, 0 },
	{ ".note", KEEP, F_PREFIX, NULL, 0 },
	{ ".BTF", KEEP, F_PREFIX, NULL, 0 },
	{ ".comment", KEEP, 0, NULL, 0 },
	/* Exported functions are reached through their gates, as pointers are. */
	{ "__ksymtab_strings", KEEP, 0, NULL, 0 },
	{ "__ksymtab", KEEP, F_PREFIX | F_RELATIVE, NULL, 0 },
	{ "__kcrctab", KEEP, F_PREFIX, NULL, 0 },
	/* The unwinder looks text up in these; it never runs what it finds. */
	{ ".orc_unwind_ip", KEEP, F_LOCATION, NULL, 0 },
	{ ".orc_unwind", KEEP, 0, NULL, 0 },
	{ ".orc_header", KEEP, 0, NULL, 0 },

	/*
	 * Lists of places to patch. What is not listed is not patched and
	 * stays as compiled, which is correct everywhere, if slower: ftrace
	 * calls are nops already (rewrite.c), returns are bare `ret',
	 * retpolines became stubs, lock prefixes and endbr64 stay, a static
	 * call calls its trampoline, which the kernel keeps right.
	 */
	{ "__mcount_loc", SITES, 0, NULL, 8 },
	{ "__patchable_function_entries", SITES, 0, NULL, 8 },
	{ ".return_sites", SITES, 0, NULL, 4 },
	{ ".retpoline_sites", SITES, 0, NULL, 4 },
	{ ".call_sites", SITES, 0, NULL, 4 },
	{ ".ibt_endbr_seal", SITES, 0, NULL, 4 },
	{ ".smp_locks", SITES, 0, NULL, 4 },
	{ ".static_call_sites", SITES, 0, NULL, 8 },
	/* Linux 6.1: calls through pv_ops, which the loader would make direct ones. */
	{ ".parainstructions", SITES, 0, NULL, 16 },
	/* Static branches test their key in memory by then (convert.c). */
	{ "__jump_table", SITES, 0, NULL, 16 },
	/* Traps have moved to .gm.guest, and their entries with them (convert.c). */
	{ "__bug_table", KEEP, F_RELATIVE, NULL, 0 },
	/* The choice has been made (alternatives.c); .altinstr_aux is plain text. */
	{ ".altinstructions", DROP, 0, NULL, 0 },
	{ ".altinstr_replacement", DROP, 0, NULL, 0 },
	/* What the kernel patches to call a function of its choice. */
	{ ".static_call.text", GUEST, 0, NULL, 0 },
	{ ".static_call_tramp_key", KEEP, F_RELATIVE, NULL, 0 },
	/* Tracepoints: pointers to functions lead to gates; the key is in memory. */
	{ "__tracepoints", KEEP, F_PREFIX, NULL, 0 },
	{ "__tracepoint_str", KEEP, 0, NULL, 0 },
	{ "_ftrace_event", KEEP, F_PREFIX, NULL, 0 },
	{ "_ftrace_eval_map", KEEP, 0, NULL, 0 },
	{ "__bpf_raw_tp_map", KEEP, 0, NULL, 0 },
	{ "___srcu_struct_ptrs", KEEP, 0, NULL, 0 },
	/* Useless once the text has changed. */
	{ ".debug_", DROP, F_PREFIX, NULL, 0 },
	{ ".discard", DROP, F_PREFIX, NULL, 0 },

	{ "__ex_table", REFUSE, 0,
	  "exception fixups are not supported: the kernel would resume in sealed text. "
	  "Use a module without user memory accesses and safe MSR or port accesses.", 0 },
	{ "_kprobe_blacklist", REFUSE, 0,
	  "NOKPROBE_SYMBOL is not supported. Use a module without it.", 0 },
	{ "_error_injection_whitelist", REFUSE, 0,
	  "error injection is not supported: the kernel would patch sealed text. Use a module without it.", 0 },
	{ ".kunit_", REFUSE, F_PREFIX,
	  "KUnit suites are not supported. Use a module built without CONFIG_KUNIT.", 0 },
	{ ".klp", REFUSE, F_PREFIX, "live patches cannot be guarded.", 0 },
	{ ".init_array", REFUSE, F_PREFIX,
	  "constructors are not supported. Use a module built without coverage.", 0 },
	{ ".ctors", REFUSE, F_PREFIX,
	  "constructors are not supported. Use a module built without coverage.", 0 },
	{ GM_SECTION_HOSTINFO, HOSTINFO, 0, NULL, 0 },
	{ GM_SECTION_DEVICES, DEVICES, 0, NULL, 0 },
	{ GM_SECTION_GUEST, GUEST, 0, NULL, 0 },
	{ ".gm.", REFUSE, F_PREFIX, "the module is guarded already. Give the original module.", 0 },
};

struct sec *section_named(const struct obj *o, const char *name)
{
	for (size_t i = 1; i < o->nr_secs; i++)
		if (!strcmp(o->secs[i]->name, name))
			return o->secs[i];
	return NULL;
}

static const struct special *lookup(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct special *sp = &table[i];

		if (sp->flags & F_PREFIX ? !strncmp(name, sp->name, strlen(sp->name)) :
					   !strcmp(name, sp->name))
			return sp;
	}
	return NULL;
}

bool section_is_percpu(const struct sec *s)
{
	return s->special && s->special->flags & F_PERCPU;
}

bool section_is_location(const struct sec *s)
{
	return s->special && s->special->flags & F_LOCATION;
}

bool section_is_relative(const struct sec *s)
{
	return s->special && s->special->flags & F_RELATIVE;
}

bool section_is_this_module(const struct sec *s)
{
	return s->special && s->special->flags & F_THIS_MODULE;
}

bool section_is_data(const struct sec *s)
{
	return s->special && s->special->action == DATA && s->flags & SHF_ALLOC && s->flags & SHF_WRITE;
}

static bool all_zero(const struct sec *s)
{
	for (uint64_t i = 0; s->data && i < s->size; i++)
		if (s->data[i])
			return false;
	return true;
}

#define DECLARE_HOSTINFO "Declare it once, with GM_HOSTINFO() of guarded_module.h."

/* No more than a place: what the module sees there is not in the image. */
static void make_blank(struct sec *s, enum role role, uint64_t flags)
{
	s->role = role;
	s->type = SHT_NOBITS;
	s->flags = flags;
	s->entsize = 0;
	s->data = NULL;
}

#define DECLARE_DEVICES "Declare it once, with GM_DEVICES() of guarded_module.h."

static void classify_devices(struct obj *o, struct sec *s)
{
	if ((s->flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR)) != (SHF_ALLOC | SHF_WRITE))
		refuse(o, s, 0, "not writable data. " DECLARE_DEVICES);
	else if (s->size < 2 * GM_PAGE || s->size % GM_PAGE || s->align != GM_PAGE)
		refuse(o, s, 0, "not two pages of data or more (%llu bytes, aligned to %llu). " DECLARE_DEVICES,
		       (unsigned long long)s->size, (unsigned long long)s->align);
	else if (s->nr_rels || !all_zero(s))
		refuse(o, s, 0, "not all zeroes, but KVM fills it in. Do not initialize it.");
	else if (!requests_kind(&o->policy->requests, KVM_GM_PRIV_MMIO, 0))
		refuse(o, s, 0, "nothing asks for the privilege mmio. Add GM_PRIVILEGE(\"mmio=VENDOR:DEVICE\") "
		       "or --privilege mmio=VENDOR:DEVICE.");
	make_blank(s, ROLE_DEVICES, SHF_ALLOC | SHF_WRITE);
}

static void classify_hostinfo(struct obj *o, struct sec *s)
{
	if (!(s->flags & SHF_ALLOC) || s->flags & SHF_EXECINSTR)
		refuse(o, s, 0, "code, or not loaded. " DECLARE_HOSTINFO);
	else if (s->size != GM_PAGE || s->align != GM_PAGE)
		refuse(o, s, 0, "not one page of data (%llu bytes, aligned to %llu). " DECLARE_HOSTINFO,
		       (unsigned long long)s->size, (unsigned long long)s->align);
	else if (s->nr_rels || !all_zero(s))
		refuse(o, s, 0, "not all zeroes, but KVM fills it in. Do not initialize it.");
	else if (!requests_kind(&o->policy->requests, KVM_GM_PRIV_HOSTINFO, 0))
		refuse(o, s, 0, "nothing asks for the privilege hostinfo. Add GM_PRIVILEGE(\"hostinfo\") "
		       "or --privilege hostinfo.");
	make_blank(s, ROLE_HOSTINFO, SHF_ALLOC);
}

static void classify(struct obj *o, struct sec *s)
{
	const struct special *sp = s->special = lookup(s->name);

	s->role = ROLE_KEEP;
	switch (s->type) {
	case SHT_SYMTAB:
	case SHT_STRTAB:
	case SHT_RELA:
		s->role = ROLE_DROP;	/* made anew by emit.c */
		return;
	case SHT_GROUP:
		refuse(o, s, 0, "section groups are not supported. Link the module with ld -r --force-group-allocation.");
		return;
	}
	if (sp && sp->action == REFUSE) {
		if (s->size)
			refuse(o, s, 0, "%s", sp->why);
		return;
	}
	if (sp && sp->action == DROP) {
		s->role = ROLE_DROP;
		return;
	}
	if (sp && sp->action == HOSTINFO) {
		classify_hostinfo(o, s);
		return;
	}
	if (sp && sp->action == DEVICES) {
		classify_devices(o, s);
		return;
	}
	if (!(s->flags & SHF_ALLOC)) {
		if (!strncmp(s->name, ".debug", 6) || s->nr_rels)
			s->role = ROLE_DROP;
		return;
	}
	if (sp && sp->action == GUEST) {
		if (s->size && (s->type != SHT_PROGBITS || (s->flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR)) !=
						       (SHF_ALLOC | SHF_EXECINSTR)))
			refuse(o, s, 0, "no plain code. Put only functions there.");
		s->role = ROLE_GUEST;
		/* Its branches are relative to the end of their field. */
		for (size_t i = 0; i < s->nr_rels; i++)
			if (s->rels[i].type == R_X86_64_PC32 || s->rels[i].type == R_X86_64_PLT32)
				s->rels[i].bias = 4;
		return;
	}
	if (s->flags & SHF_EXECINSTR) {
		if (s->flags & SHF_WRITE || s->type != SHT_PROGBITS)
			refuse(o, s, 0, "writable or empty code. Make the section plain text.");
		if (s->size)
			s->role = ROLE_TEXT;
		return;
	}
	if (sp && sp->action == RODATA && s->flags & SHF_WRITE)
		s->special = lookup(".data");	/* read-only by name alone */
	else if (sp && sp->action == RODATA && s->size && !s->data)
		refuse(o, s, 0, "read-only, but without content. Make the section data.");
	else if (sp && sp->action == RODATA && s->size)
		s->role = ROLE_RODATA;
}

/* Unknown sections may not touch sealed text, in either direction. Said once. */
static void check_unknown(const struct obj *o, const struct sec *s)
{
	for (size_t i = 0; i < s->nr_rels; i++) {
		const struct rel *r = &s->rels[i];
		const struct sec *t = r->sym->sec;

		if (t && s->role == ROLE_TEXT && !t->special && t->role == ROLE_KEEP &&
		    t->flags & SHF_ALLOC && t->size) {
			refuse(o, s, r->off,
			       "refers to the unknown section %s. Teach gmcc about it (sections.c), or build without it.",
			       t->name);
			return;
		} else if (t && t->role == ROLE_TEXT && !s->special && s->role == ROLE_KEEP) {
			refuse(o, s, r->off,
			       "unknown section that refers to text (%s+0x%llx). Teach gmcc about it (sections.c), or build without it.",
			       t->name, (unsigned long long)(r->sym->value + r->addend));
			return;
		}
	}
}

void sections_classify(struct obj *o)
{
	for (size_t i = 1; i < o->nr_secs; i++)
		classify(o, o->secs[i]);
	for (size_t i = 1; i < o->nr_secs; i++)
		check_unknown(o, o->secs[i]);
	refused_exit(o);
	if (requests_kind(&o->policy->requests, KVM_GM_PRIV_HOSTINFO, 0) &&
	    !section_named(o, GM_SECTION_HOSTINFO))
		die(o->file, "asks for the privilege hostinfo, but has no section " GM_SECTION_HOSTINFO
		    " to see it in. Declare it with GM_HOSTINFO() of guarded_module.h, or do not ask.");
}

/* Takes the entries about sealed text out of a list of places. */
static void filter(struct obj *o, struct sec *s)
{
	unsigned int size = s->special->entry;
	size_t kept = 0, nr_rels = 0, next = 0;

	if (s->size % size || (s->size && !s->data))
		die(o->file, "%s: malformed. Use a module built for Linux 6.1 or 6.12.", s->name);
	for (uint64_t off = 0; off < s->size; off += size) {
		size_t first = next;
		bool sealed = false;

		for (; next < s->nr_rels && s->rels[next].off < off + size; next++) {
			const struct sec *t = s->rels[next].sym->sec;

			sealed |= t && (t->role == ROLE_TEXT || t->role == ROLE_DROP);
		}
		if (sealed)
			continue;
		memmove(s->data + kept, s->data + off, size);
		for (size_t i = first; i < next; i++) {
			s->rels[nr_rels] = s->rels[i];
			s->rels[nr_rels++].off -= off - kept;
		}
		kept += size;
	}
	s->size = s->mem_size = kept;
	s->nr_rels = nr_rels;
	if (!kept)
		s->role = ROLE_DROP;
}

void sections_filter_sites(struct obj *o)
{
	for (size_t i = 1; i < o->nr_secs; i++)
		if (o->secs[i]->special && o->secs[i]->special->action == SITES)
			filter(o, o->secs[i]);
}
