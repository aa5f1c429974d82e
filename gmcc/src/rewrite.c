// SPDX-License-Identifier: GPL-2.0
/*
 * Routes every edge into and out of sealed text through gates and stubs.
 *
 * Keeps I1 and I2 on gmcc's side: after rewriting, direct branches in text
 * lead to text only, and no relocation anywhere gives the guest the address of
 * text instead of that of a gate, but for the unwinder's tables.
 */
#include <string.h>

#include "gmcc.h"

static const char *thunk_register(const char *name)
{
	static const char *const prefixes[] = {
		"__x86_indirect_thunk_", "__x86_indirect_call_thunk_", "__x86_indirect_jump_thunk_",
	};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return name + strlen(prefixes[i]);
	return NULL;
}

static void branch_out(struct obj *o, struct sec *s, struct insn *n)
{
	static const uint8_t nop5[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	static const uint8_t ret5[] = { 0xc3, 0xcc, 0xcc, 0xcc, 0xcc };
	struct rel *r = n->rel;
	const char *name = r->sym->name;
	struct stub *stub;

	if (!strcmp(name, "__fentry__") && n->kind == INSN_CALL) {
		memcpy(s->data + n->off, nop5, sizeof(nop5));
		n->kind = INSN_OTHER;
		r->dead = true;
		return;
	}
	if (!strcmp(name, "__x86_return_thunk")) {
		if (n->kind != INSN_JMP || n->len != 5) {
			refuse(o, s, n->off,
			       "return thunk that is not jumped to. Report this module.");
			return;
		}
		memcpy(s->data + n->off, ret5, sizeof(ret5));
		n->kind = INSN_RET;
		r->dead = true;
		return;
	}
	if (r->sym == o->guest_thunk)
		stub = stub_for_guest_thunk(o);
	else if (thunk_register(name))
		stub = stub_for_register(o, thunk_register(name));
	else
		stub = stub_for(o, r->sym);
	if (!stub) {
		refuse(o, s, n->off, "unknown thunk, %s. Report this module.", name);
		return;
	}
	if (r->addend != -4)
		refuse(o, s, n->off, "branch into the middle of %s. Report this module.", name);
	n->stub = stub;
	r->sym = stub->sym;
}

/* The guest's own section: its code may be patched, and gives no privilege. */
static void branch_to_guest_code(struct obj *o, struct insn *n)
{
	struct rel *r = n->rel;

	n->stub = stub_for_guest_code(o, r->sym, r->sym->value + r->addend + 4);
	r->sym = n->stub->sym;
	r->addend = -4;
}

static void rewrite_branch(struct obj *o, struct sec *s, struct insn *n)
{
	struct rel *r = n->rel;
	uint64_t target = r->sym->value + r->addend + 4;

	if (!r->sym->sec)
		branch_out(o, s, n);
	else if (r->sym->sec->role == ROLE_GUEST)
		branch_to_guest_code(o, n);
	else if (r->sym->sec->role != ROLE_TEXT)
		refuse(o, s, n->off, "branch to %s, which is no code. Report this module.",
		       r->sym->sec->name);
	else if (!insn_at(r->sym->sec, target))
		refuse(o, s, n->off,
		       "branch to 0x%llx, which is no instruction of %s. Report this module.",
		       (unsigned long long)target, r->sym->sec->name);
}

static void retarget(struct obj *o, struct sec *s, struct rel *r, uint64_t target, int64_t addend)
{
	struct gate *g = gate_for(o, r->sym->sec, target, s, r->off);

	if (!g)
		return;
	r->sym = g->sym;
	r->addend = addend;
}

static bool bad_symbol(struct obj *o, struct sec *s, const struct rel *r)
{
	if (r->sym->sec || r->sym->shndx == SHN_UNDEF)
		return false;
	refuse(o, s, r->off, "refers to %s, a symbol of special section 0x%x. Use a module without it.",
	       r->sym->name, r->sym->shndx);
	return true;
}

static void note_escape(const struct sec *s, const struct rel *r)
{
	struct sec *t = r->sym->sec;

	if (t->escapes)
		return;
	t->escapes = true;
	t->escape_sec = s;
	t->escape_off = r->off;
}

/*
 * A label of the function around it (_THIS_IP_ and its kin): a number to print,
 * where a gate would mislead. Who jumps there from outside finds no code.
 */
static bool is_this_ip(const struct sec *s, const struct insn *n, const struct rel *r, uint64_t off)
{
	const struct sym *f = func_of(s, n->off);

	return r->sym->sec == s && f && f->value != off && func_of(s, off) == f && insn_at(s, off);
}

static void rewrite_reference(struct obj *o, struct sec *s, const struct insn *n, struct rel *r)
{
	bool pc = r->type == R_X86_64_PC32 || r->type == R_X86_64_PLT32;
	int64_t end = pc ? (int64_t)(n->off + n->len - r->off) : 0;
	bool address = r->off - n->off == n->imm || n->kind == INSN_LEA;
	struct sec *t = r->sym->sec;

	if (bad_symbol(o, s, r) || !t)
		return;
	if (t->role == ROLE_TEXT) {
		if (!address)
			refuse(o, s, r->off, "text is read as data (%s). Use a module that does not.",
			       t->name);
		else if (!is_this_ip(s, n, r, r->sym->value + r->addend + end))
			retarget(o, s, r, r->sym->value + r->addend + end, -end);
		return;
	}
	if (t->role == ROLE_DROP) {
		refuse(o, s, r->off, "refers to %s, which is dropped. Report this module.", t->name);
		return;
	}
	t->used_by_text = true;
	if (address)
		note_escape(s, r);
}

void rewrite_text(struct obj *o, struct sec *s)
{
	size_t next = 0;

	for (size_t i = 0; i < s->nr_insns; i++) {
		struct insn *n = &s->insns[i];

		for (; next < s->nr_rels && s->rels[next].off < n->off + n->len; next++) {
			if (bad_symbol(o, s, &s->rels[next]))
				continue;
			if (n->rel == &s->rels[next])
				rewrite_branch(o, s, n);
			else
				rewrite_reference(o, s, n, &s->rels[next]);
		}
	}
}

/* The loader's two pointers: init goes to the stub that seals, exit to a gate. */
static void rewrite_this_module(struct obj *o, struct sec *s, struct rel *r)
{
	if (!strcmp(r->sym->name, "init_module") && !r->addend && r->type == R_X86_64_64 &&
	    !o->init_linked) {
		r->sym = o->init_stub;
		o->init_linked = true;
	} else if (!strcmp(r->sym->name, "cleanup_module") && !r->addend && r->type == R_X86_64_64) {
		struct gate *g = gate_for(o, r->sym->sec, r->sym->value, s, r->off);

		if (g && !(g->flags & KVM_GM_GATE_F_EXIT))
			refuse(o, s, r->off, "two functions are named cleanup_module. Rename one.");
		retarget(o, s, r, r->sym->value, 0);
	} else {
		refuse(o, s, r->off, "the module structure points to %s. Report this module.",
		       r->sym->name);
	}
}

void rewrite_data(struct obj *o, struct sec *s)
{
	for (size_t i = 0; i < s->nr_rels; i++) {
		struct rel *r = &s->rels[i];
		struct sec *t = r->sym->sec;

		if (bad_symbol(o, s, r) || !t || section_is_location(s))
			continue;
		if (t->role == ROLE_DROP) {
			refuse(o, s, r->off, "refers to %s, which is dropped. Report this module.",
			       t->name);
		} else if (section_is_this_module(s)) {
			rewrite_this_module(o, s, r);
		} else if (t->role != ROLE_TEXT) {
			note_escape(s, r);
		} else if (s->role == ROLE_GUEST && (r->type == R_X86_64_PC32 || r->type == R_X86_64_PLT32)) {
			retarget(o, s, r, r->sym->value + r->addend + 4, -4);
		} else if (r->type == R_X86_64_64 || (s->role == ROLE_GUEST && r->type == R_X86_64_32S) ||
			   (r->type == R_X86_64_PC32 && section_is_relative(s))) {
			retarget(o, s, r, r->sym->value + r->addend, 0);
		} else {
			refuse(o, s, r->off,
			       "relative pointer to text (%s+0x%llx). Use a module without it.",
			       t->name, (unsigned long long)(r->sym->value + r->addend));
		}
	}
}
