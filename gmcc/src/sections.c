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

enum action {
	KEEP,		/* the guest kernel's own; loaded as it is */
	DROP,		/* not in the image */
	RODATA,		/* sealed, read-only */
	DATA,		/* sealed if private, else shared: seal.c decides */
	REFUSE,
};

#define F_PREFIX	(1 << 0)	/* name is a prefix */
#define F_LOCATION	(1 << 1)	/* addresses of text say where, not what to call */
#define F_RELATIVE	(1 << 2)	/* PC32 fields are pointers, not locations */
#define F_THIS_MODULE	(1 << 3)
#define F_STATIC_CALL	(1 << 4)	/* drop only if all keys are the kernel's */

struct special {
	const char *name;
	enum action action;
	unsigned int flags;
	const char *why;	/* REFUSE: the message */
};

#define PATCHED "its code would be patched by the loader, and sealed text cannot be. "

static const struct special table[] = {
	/*
	 * Order matters where one name is a prefix of another: the first row
	 * that matches wins, so .data..percpu stands before .data.
	 */
	{ ".data..percpu", REFUSE, F_PREFIX,
	  "per-CPU variables are not supported. Use a module without DEFINE_PER_CPU." },
	{ ".data", DATA, 0, NULL },
	{ ".data.", DATA, F_PREFIX, NULL },
	{ ".bss", DATA, 0, NULL },
	{ ".bss.", DATA, F_PREFIX, NULL },
	{ ".ref.data", DATA, 0, NULL },
	{ ".init.data", DATA, 0, NULL },
	{ ".exit.data", DATA, 0, NULL },
	{ ".rodata", RODATA, 0, NULL },
	{ ".rodata.", RODATA, F_PREFIX, NULL },
	{ ".init.rodata", RODATA, F_PREFIX, NULL },

	/* Read by the loader before, or by the kernel while, the module lives. */
	{ ".gnu.linkonce.this_module", KEEP, F_THIS_MODULE, NULL },
	{ ".modinfo", KEEP, 0, NULL },
	{ "__versions", KEEP, 0, NULL },
	{ "__version_ext_", KEEP, F_PREFIX, NULL },
	{ "__param", KEEP, 0, NULL },
	/* Dynamic debug: the kernel sets its flags; its branch is in __jump_table. */
	{ "__dyndbg", KEEP, F_PREFIX, NULL },
	{ ".note", KEEP, F_PREFIX, NULL },
	{ ".BTF", KEEP, F_PREFIX, NULL },
	{ ".comment", KEEP, 0, NULL },
	/* Exported functions are reached through their gates, as pointers are. */
	{ "__ksymtab_strings", KEEP, 0, NULL },
	{ "__ksymtab", KEEP, F_PREFIX | F_RELATIVE, NULL },
	{ "__kcrctab", KEEP, F_PREFIX, NULL },
	/* The unwinder looks text up in these; it never runs what it finds. */
	{ ".orc_unwind_ip", KEEP, F_LOCATION, NULL },
	{ ".orc_unwind", KEEP, 0, NULL },
	{ ".orc_header", KEEP, 0, NULL },

	/*
	 * Lists of places to patch. Without the list the loader patches
	 * nothing and all stays as compiled, which is correct everywhere, if
	 * slower: ftrace calls are nops already (rewrite.c), returns are bare
	 * `ret', retpolines became stubs, lock prefixes and endbr64 stay.
	 */
	{ "__mcount_loc", DROP, 0, NULL },
	{ "__patchable_function_entries", DROP, 0, NULL },
	{ ".return_sites", DROP, 0, NULL },
	{ ".retpoline_sites", DROP, 0, NULL },
	{ ".call_sites", DROP, 0, NULL },
	{ ".ibt_endbr_seal", DROP, 0, NULL },
	{ ".smp_locks", DROP, 0, NULL },
	/* An unpatched site calls the trampoline, which the kernel keeps right. */
	{ ".static_call_sites", DROP, F_STATIC_CALL, NULL },
	/* Useless once the text has changed. */
	{ ".debug_", DROP, F_PREFIX, NULL },
	{ ".discard", DROP, F_PREFIX, NULL },

	{ ".altinstr", REFUSE, F_PREFIX,
	  "alternatives are not supported: " PATCHED
	  "Use a module without them." },
	{ ".parainstructions", REFUSE, 0,
	  "paravirt sites are not supported: " PATCHED "Use a module without them." },
	{ "__jump_table", REFUSE, 0,
	  "static branches are not supported: " PATCHED
	  "Use a module without static keys, tracepoints and dynamic debug." },
	{ "__bug_table", REFUSE, 0,
	  "BUG() and WARN() are not supported: the kernel would look the trap up at an address it never sees. "
	  "Use a module without them." },
	{ "__ex_table", REFUSE, 0,
	  "exception fixups are not supported: the kernel would resume in sealed text. "
	  "Use a module without user memory accesses and safe MSR or port accesses." },
	{ ".static_call.text", REFUSE, 0,
	  "static calls of the module's own are not supported: " PATCHED
	  "Use a module without DEFINE_STATIC_CALL and tracepoints." },
	{ ".static_call_tramp_key", REFUSE, 0,
	  "exported static calls are not supported. Use a module without them." },
	{ "__tracepoints", REFUSE, F_PREFIX,
	  "tracepoints are not supported: the kernel would patch and call sealed text. "
	  "Use a module that defines none." },
	{ "_ftrace_event", REFUSE, F_PREFIX,
	  "trace events are not supported. Use a module that defines none." },
	{ "_ftrace_eval_map", REFUSE, 0,
	  "trace events are not supported. Use a module that defines none." },
	{ "__bpf_raw_tp_map", REFUSE, 0,
	  "tracepoints are not supported. Use a module that defines none." },
	{ "_kprobe_blacklist", REFUSE, 0,
	  "NOKPROBE_SYMBOL is not supported. Use a module without it." },
	{ "_error_injection_whitelist", REFUSE, 0,
	  "error injection is not supported: the kernel would patch sealed text. Use a module without it." },
	{ ".kunit_", REFUSE, F_PREFIX,
	  "KUnit suites are not supported. Use a module built without CONFIG_KUNIT." },
	{ ".klp", REFUSE, F_PREFIX, "live patches cannot be guarded." },
	{ ".init_array", REFUSE, F_PREFIX,
	  "constructors are not supported. Use a module built without coverage." },
	{ ".ctors", REFUSE, F_PREFIX,
	  "constructors are not supported. Use a module built without coverage." },
	{ ".gm.", REFUSE, F_PREFIX, "the module is guarded already. Give the original module." },
};

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
	return s->special && s->special->action == DATA;
}

/* Every static call must go through a trampoline that the kernel owns. */
static void check_static_calls(const struct obj *o, const struct sec *s)
{
	for (size_t i = 0; i < s->nr_rels; i++)
		if (s->rels[i].off % 8 == 4 && s->rels[i].sym->sec)
			refuse(o, s, s->rels[i].off,
			       "static call of the module's own, %s: " PATCHED
			       "Use a module without DEFINE_STATIC_CALL and tracepoints.",
			       s->rels[i].sym->name);
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
	if (sp && sp->flags & F_STATIC_CALL)
		check_static_calls(o, s);
	if (sp && sp->action == DROP) {
		s->role = ROLE_DROP;
		return;
	}
	if (!(s->flags & SHF_ALLOC)) {
		if (!strncmp(s->name, ".debug", 6) || s->nr_rels)
			s->role = ROLE_DROP;
		return;
	}
	if (s->flags & SHF_EXECINSTR) {
		if (s->flags & SHF_WRITE || s->type != SHT_PROGBITS)
			refuse(o, s, 0, "writable or empty code. Make the section plain text.");
		if (s->size)
			s->role = ROLE_TEXT;
		return;
	}
	if (sp && sp->action == RODATA && s->size) {
		if (s->flags & SHF_WRITE)
			refuse(o, s, 0, "read-only data by name, but writable. Rename the section to .data.*.");
		s->role = ROLE_RODATA;
	}
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
	bool text = false;

	for (size_t i = 1; i < o->nr_secs; i++) {
		classify(o, o->secs[i]);
		text |= o->secs[i]->role == ROLE_TEXT;
	}
	for (size_t i = 1; i < o->nr_secs; i++)
		check_unknown(o, o->secs[i]);
	refused_exit(o);
	if (!text)
		die(o->file, "no text to guard. Give a kernel module.");
}
