// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel would patch, trap on, or do with a privilege that a guarded
 * module does not have: turned into code that needs none of it.
 *
 *	static branch	a test of the key in memory
 *	WARN, BUG	a call out to a trap that stands in the guest's own code
 *	port, MSR	a call out to the same instruction in the guest's own code,
 *			unless the module asks for the privilege
 *	pv_ops		a call out to what the pointer in memory says
 *
 * and functions of the kernel that keep registers which a call out does not:
 * through glue that saves them, or replaced by gmcc's own copy if they are a
 * few instructions on registers.
 *
 * Keeps I2: nothing here makes the guest's memory choose a place inside; a key
 * chooses between the two places that the compiler put there. Keeps I4: tables
 * of places to patch lose every entry about sealed text, sections.c does that.
 */
#include <string.h>

#include "gmcc.h"

#define JUMP_SIZE	16	/* struct jump_entry: code, target, key */
#define JUMP_LIKELY	1	/* in the key: jumps if the key is off */
#define BUG_SIZE	12	/* struct bug_entry: address, file, line, flags */
#define BUG_FLAGS	10
#define BUGFLAG_WARNING	1

static void need_dead_flags(struct obj *o, const struct sec *s, const struct insn *n, uint64_t off,
			    const char *what)
{
	if (!flags_dead_at(s, n))
		refuse(o, s, off, "%s where the arithmetic flags may be in use. Report this module.", what);
}

static const struct rel *table_rel(struct obj *o, const struct sec *s, size_t *next, uint64_t off)
{
	while (*next < s->nr_rels && s->rels[*next].off < off)
		++*next;
	if (*next == s->nr_rels || s->rels[*next].off != off)
		die(o->file, "%s+0x%llx: malformed.", s->name, (unsigned long long)off);
	return &s->rels[*next];
}

/* What the kernel may patch and trap on as ever. */
static bool is_guests(const struct rel *r)
{
	return r->sym->sec && r->sym->sec->role == ROLE_GUEST;
}

/* The instruction that a table is about; not if something replaces it already. */
static struct insn *table_insn(struct obj *o, const struct sec *s, const struct rel *r)
{
	struct sec *t = r->sym->sec;
	struct insn *n = t && t->role == ROLE_TEXT ? insn_at(t, r->sym->value + r->addend) : NULL;

	if (!n || n->edit)
		die(o->file, "%s+0x%llx: not about an instruction of its own.", s->name,
		    (unsigned long long)r->off);
	return n;
}

static bool is_branch_site(const struct sec *s, const struct insn *n)
{
	static const uint8_t nop2[] = { 0x66, 0x90 }, nop5[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	const uint8_t *p = s->data + n->off;

	return n->kind == INSN_JMP || (n->len == 2 && !memcmp(p, nop2, 2)) ||
	       (n->len == 5 && !memcmp(p, nop5, 5));
}

static void convert_branch(struct obj *o, struct sec *s, uint64_t off, size_t *next)
{
	/* cmpl $0,key(%rip) */
	static const uint8_t cmp[] = { 0x83, 0x3d, 0, 0, 0, 0, 0 };
	const struct rel *code = table_rel(o, s, next, off);
	const struct rel *target = table_rel(o, s, next, off + 4);
	const struct rel *key = table_rel(o, s, next, off + 8);
	struct sec *t = code->sym->sec, *to = target->sym->sec;
	uint64_t at = key->sym->value + key->addend, to_off = target->sym->value + target->addend;
	struct insn *n, *there;
	struct piece *p;
	struct edit *e;

	if (is_guests(code))
		return;
	n = table_insn(o, s, code);
	if (!is_branch_site(t, n)) {
		refuse(o, t, n->off, "a static branch that is neither a nop nor a jump. Report this module.");
		return;
	}
	there = to && to->role == ROLE_TEXT ? insn_at(to, to_off) : NULL;
	if (!there) {
		refuse(o, t, n->off, "a static branch to no instruction of the module. Report this module.");
		return;
	}
	if (key->sym->sec && (key->sym->sec->role == ROLE_TEXT || key->sym->sec->role == ROLE_DROP)) {
		refuse(o, t, n->off, "a static branch whose key is in %s. Report this module.",
		       key->sym->sec->name);
		return;
	}
	need_dead_flags(o, t, n + 1 < t->insns + t->nr_insns ? n + 1 : NULL, n->off, "a static branch");
	need_dead_flags(o, to, there, n->off, "a static branch");
	e = edit_new(n);
	p = edit_bytes(e, cmp, sizeof(cmp));
	p->disp = p->field = 2;
	p->imm = 6;
	p->sym = key->sym;
	p->addend = key->addend - (at & 3);
	edit_branch(e, at & JUMP_LIKELY ? 0x84 : 0x85, target->sym, target->addend);
}

static void convert_branches(struct obj *o)
{
	struct sec *s = section_named(o, "__jump_table");
	size_t next = 0;

	if (s && (s->size % JUMP_SIZE || (s->size && !s->data)))
		die(o->file, "__jump_table: malformed. Use a module built for Linux 6.1 or 6.12.");
	for (uint64_t off = 0; s && off < s->size; off += JUMP_SIZE)
		convert_branch(o, s, off, &next);
}

/*
 * The entry moves to a trap in the guest's code. WARN goes on after the call;
 * after BUG a trap inside is what is left if the guest does.
 */
static void convert_bug(struct obj *o, struct sec *s, uint64_t off, size_t *next)
{
	static const uint8_t ud2[] = { 0x0f, 0x0b };
	struct rel *r = (struct rel *)table_rel(o, s, next, off);
	bool warning = s->data[off + BUG_FLAGS] & BUGFLAG_WARNING;
	struct sec *t = r->sym->sec;
	const struct sym *f;
	struct sym *guest;
	struct insn *n;
	struct edit *e;

	if (is_guests(r))
		return;
	n = table_insn(o, s, r);
	f = func_of(t, n->off);
	if (n->len != sizeof(ud2) || memcmp(t->data + n->off, ud2, sizeof(ud2))) {
		refuse(o, t, n->off, "BUG or WARN that is no ud2. Report this module.");
		return;
	}
	if (warning)
		need_dead_flags(o, t, n + 1 < t->insns + t->nr_insns ? n + 1 : NULL, n->off, "WARN");
	e = edit_new(n);
	edit_branch(e, 0xe8, glue_trap(o, f ? f->name : "text", &guest), 0);
	if (!warning)
		edit_bytes(e, ud2, sizeof(ud2));
	r->sym = guest;
	r->addend = 0;
}

static void convert_bugs(struct obj *o)
{
	struct sec *s = section_named(o, "__bug_table");
	size_t next = 0;

	if (s && (s->size % BUG_SIZE || (s->size && !s->data)))
		die(o->file, "__bug_table: malformed. Use a module built for Linux 6.1 or 6.12.");
	for (uint64_t off = 0; s && off < s->size; off += BUG_SIZE)
		convert_bug(o, s, off, &next);
}

/* in, out, ins, outs, rdmsr, wrmsr, wbinvd (text.c) */
static void convert_privileged(struct obj *o, struct sec *s, struct insn *n)
{
	const uint8_t *bytes = s->data + n->off, *op = bytes;
	unsigned int results = 0;

	while (op < bytes + n->len - 1 && (*op == 0x66 || *op == 0xf2 || *op == 0xf3 || (*op & 0xf0) == 0x40))
		op++;
	if (*op == 0xe4 || *op == 0xe5 || *op == 0xec || *op == 0xed)
		results = BIT_RAX;
	else if (*op == 0x6c || *op == 0x6d)
		results = BIT_RDI | BIT_RCX;
	else if (*op == 0x6e || *op == 0x6f)
		results = BIT_RSI | BIT_RCX;
	else if (*op == 0x0f && op[1] == 0x32)
		results = BIT_RAX | BIT_RDX;
	need_dead_flags(o, s, n + 1 < s->insns + s->nr_insns ? n + 1 : NULL, n->off,
			"a port or MSR access");
	edit_branch(edit_new(n), 0xe8, glue_guest_insn(o, bytes, n->len, results), 0);
}

/*
 * Functions that the compiler does not treat as functions: inline assembly
 * calls them and tells of fewer registers than a call out may change.
 */
static const struct {
	const char *name;	/* a prefix if it ends in _ */
	unsigned int results;
	bool leaf;		/* glue.c has its own */
} conventions[] = {
	{ "__get_user_", BIT_RAX | BIT_RDX, false },
	{ "__put_user_", BIT_RCX, false },
	{ "__SCT__preempt_schedule", 0, false },
	{ "__SCT__preempt_schedule_notrace", 0, false },
	{ "preempt_schedule_thunk", 0, false },
	{ "preempt_schedule_notrace_thunk", 0, false },
	{ "rep_movs_alternative", BIT_RCX | BIT_RDI | BIT_RSI, false },
	{ "rep_stos_alternative", BIT_RCX | BIT_RDI, false },
	{ "__sw_hweight32", 0, true },
	{ "__sw_hweight64", 0, true },
	{ "clear_page_orig", 0, true },
	{ "clear_page_rep", 0, true },
	{ "clear_page_erms", 0, true },
};

static void convert_call(struct obj *o, struct insn *n)
{
	const char *name = n->rel->sym->name;
	struct rel *r = n->rel;

	for (size_t i = 0; i < ARRAY_SIZE(conventions); i++) {
		const char *c = conventions[i].name;
		size_t len = strlen(c);

		if (c[len - 1] == '_' ? strncmp(name, c, len) : strcmp(name, c))
			continue;
		r->sym = conventions[i].leaf ? glue_leaf(o, name) :
			 glue_call_out(o, r->sym, conventions[i].results);
		return;
	}
}

static void convert_section(struct obj *o, struct sec *s)
{
	for (size_t i = 0; i < s->nr_insns; i++) {
		struct insn *n = &s->insns[i];

		if (n->guests_own) {
			convert_privileged(o, s, n);
		} else if (n->pv_call) {
			const struct rel *r = s->rels;

			while (r->off != n->off + n->disp)
				r++;
			need_dead_flags(o, s, n + 1 < s->insns + s->nr_insns ? n + 1 : NULL, n->off,
					"a paravirt call");
			edit_branch(edit_new(n), 0xe8,
				    glue_call_memory(o, r->sym, r->addend + r->bias), 0);
		} else if (n->rel && !n->rel->sym->sec && n->rel->addend == -4) {
			convert_call(o, n);
		}
	}
}

void convert_text(struct obj *o)
{
	size_t nr_secs = o->nr_secs;

	convert_branches(o);
	convert_bugs(o);
	for (size_t i = 1; i < nr_secs; i++)
		if (o->secs[i]->role == ROLE_TEXT && o->secs[i] != o->s_glue)
			convert_section(o, o->secs[i]);
	refused_exit(o);
}
