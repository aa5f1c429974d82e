// SPDX-License-Identifier: GPL-2.0
/*
 * Decodes sealed text, all of it, and proves what I2 and I4 want of it.
 *
 * Every byte of every text region belongs to exactly one instruction of one
 * linear decoding (int3 fills the gaps), and control cannot leave that
 * decoding: each direct branch lands on one of its instructions, there is no
 * indirect one, nothing runs off the end of a region or into the next. What
 * control reaches from the gates is followed as well, for the summary.
 */
#include <capstone/capstone.h>
#include <string.h>

#include "verify.h"

const struct vinsn *vinsn_at(const struct vsec *s, uint64_t off)
{
	return s->starts && off < s->size && s->starts[off] ? &s->insns[s->starts[off] - 1] : NULL;
}

/* Requested by the module, where all can see it. */
static bool requested(const struct vimg *v, const cs_insn *in)
{
	uint32_t flags, kind = insn_requestable(in, &flags);

	return kind && vrequested(v, kind, flags);
}

static bool is_branch(csh cs, const cs_insn *in)
{
	return cs_insn_group(cs, in, X86_GRP_CALL) || cs_insn_group(cs, in, X86_GRP_JUMP) ||
	       in->id == X86_INS_LOOP || in->id == X86_INS_LOOPE || in->id == X86_INS_LOOPNE ||
	       in->id == X86_INS_XBEGIN;
}

static void judge_branch(struct vimg *v, const struct vsec *s, csh cs, const cs_insn *in,
			 struct vinsn *n)
{
	const cs_x86 *x = &in->detail->x86;

	v->proof.branches++;
	if (x->op_count != 1 || x->operands[0].type != X86_OP_IMM) {
		finding(v, "indirect", s, n->off, "bare indirect branch, %s %s.", in->mnemonic, in->op_str);
		return;
	}
	/* Intel ignores the prefix, AMD cuts the target to 16 bits. */
	if (x->prefix[2] == 0x66)
		finding(v, "branch", s, n->off,
			"branch with an operand-size prefix, which vendors read differently.");
	n->kind = in->id == X86_INS_XBEGIN ? V_JCC : cs_insn_group(cs, in, X86_GRP_CALL) ? V_CALL :
		  in->id == X86_INS_JMP ? V_JMP : V_JCC;
	n->target = (uint32_t)x->operands[0].imm;
	n->target_sec = s;
}

static void judge(struct vimg *v, const struct vsec *s, csh cs, const cs_insn *in, struct vinsn *n)
{
	const cs_x86 *x = &in->detail->x86;
	const char *why;

	if (is_branch(cs, in)) {
		judge_branch(v, s, cs, in, n);
		return;
	}
	switch (in->id) {
	case X86_INS_RET:
		n->kind = V_RET;
		if (x->op_count)
			finding(v, "indirect", s, n->off, "ret that pops arguments.");
		return;
	case X86_INS_UD2:
	case X86_INS_INT3:
		n->kind = V_TRAP;
		return;
	case X86_INS_VMCALL:
	case X86_INS_VMMCALL:
	case X86_INS_VMFUNC:
		return;		/* verify_patterns() judges these by their bytes */
	}
	why = insn_privilege(cs, in);
	if (why && (v->all_privileges || !requested(v, in)))
		finding(v, "privilege", s, n->off, "%s%s%s: %s.", in->mnemonic, *in->op_str ? " " : "",
			in->op_str, why);
}

bool is_location(const struct vsec *s, int64_t off)
{
	const struct vsym *f = off > 0 ? vfunc_of(s, off) : NULL;

	return f && (uint64_t)off > f->value && (uint64_t)off - f->value < f->size;
}

/* The relocations of one instruction: each one field of it, by its bytes. */
static void match_rels(struct vimg *v, const struct vsec *s, const cs_insn *in, struct vinsn *n,
		       size_t *next)
{
	const cs_x86 *x = &in->detail->x86;
	bool rip = false, disp = false, here = false;

	for (; *next < s->nr_rels && s->rels[*next].off < n->off + n->len; ++*next) {
		const struct vrel *r = &s->rels[*next];
		const struct gm_anchor *a = vanchor_at(v, s, r->off);
		uint32_t at = r->off - n->off;
		int64_t target;

		/* QEMU keeps what is relative to GS near the GS base. */
		if (a && a->kind >= GM_ANCHOR_EXTERN &&
		    (a->kind == GM_ANCHOR_PERCPU) != (x->prefix[1] == X86_PREFIX_GS))
			finding(v, "relocation", s, r->off, "%s is %s per-CPU data, but the manifest "
				"says otherwise.", vstring(v, a->name),
				x->prefix[1] == X86_PREFIX_GS ? "used as" : "no");

		if (at + r->width > n->len ||
		    (at != x->encoding.disp_offset && at != x->encoding.imm_offset)) {
			finding(v, "relocation", s, r->off, "no field of the instruction, %s %s.",
				in->mnemonic, in->op_str);
			continue;
		}
		disp |= at == x->encoding.disp_offset;
		if (n->kind != V_CALL && n->kind != V_JMP && n->kind != V_JCC)
			continue;
		n->target_sec = vrel_target(r, n->off + n->len - r->off, &target);
		n->target = target >= 0 && target < UINT32_MAX ? target : UINT32_MAX;
		if (!n->target_sec)
			finding(v, "branch", s, n->off, "leads to %s, past all stubs.", r->sym->name);
		if (r->type != R_X86_64_PC32 && r->type != R_X86_64_PLT32)
			finding(v, "branch", s, n->off, "branch by relocation type %u.", r->type);
	}
	for (unsigned int i = 0; i < x->op_count; i++) {
		rip |= x->operands[i].type == X86_OP_MEM && x->operands[i].mem.base == X86_REG_RIP;
		/* lea: where the code is, as in _THIS_IP_ */
		here |= in->id == X86_INS_LEA && x->operands[i].type == X86_OP_MEM &&
			is_location(s, (int64_t)(n->off + n->len) + x->operands[i].mem.disp);
	}
	if (rip && !disp && here)
		v->proof.locations++;
	else if (rip && !disp)
		finding(v, "address", s, n->off, "refers to text without a relocation, %s %s.",
			in->mnemonic, in->op_str);
}

/*
 * AVX instructions that the disassembler does not know have no privilege, do not
 * branch and leave the stack pointer alone (vector.c); a relocation is their
 * displacement and leads to data.
 */
static size_t skip_vector(struct vimg *v, const struct vsec *s, uint32_t off, const uint8_t *p,
			  size_t left, size_t *next)
{
	struct insn shape = {};
	bool rip = false, disp = false;
	size_t len = vector_length(p, left, &shape, &rip);

	for (; len && *next < s->nr_rels && s->rels[*next].off < off + len; ++*next) {
		const struct vrel *r = &s->rels[*next];
		const struct gm_anchor *a = vanchor_at(v, s, r->off);
		int64_t to;
		const struct vsec *t = vrel_target(r, off + len - r->off, &to);

		disp |= shape.disp && r->off == off + shape.disp;
		if (!shape.disp || r->off != off + shape.disp ||
		    (t && t->flags & SHF_EXECINSTR) || (a && a->kind == GM_ANCHOR_PERCPU))
			finding(v, "relocation", s, r->off,
				"not to data, or no field of an AVX instruction.");
	}
	if (rip && !disp)
		finding(v, "relocation", s, off, "reference to text, in an AVX instruction.");
	return len;
}

static void decode(struct vimg *v, struct vsec *s, csh cs, cs_insn *in)
{
	const uint8_t *p = s->data;
	/* Enough for nearly all code; memory that is not used costs nothing. */
	size_t left = s->size, next = 0, room = s->size / 3 + 1;
	uint64_t addr = 0;

	s->starts = xalloc(s->size * sizeof(*s->starts));
	s->insns = xalloc(room * sizeof(*s->insns));
	while (left) {
		struct vinsn *n;

		if (s->nr_insns == room) {
			room *= 2;
			s->insns = memcpy(xalloc(room * sizeof(*s->insns)), s->insns,
					  s->nr_insns * sizeof(*s->insns));
		}
		n = &s->insns[s->nr_insns++];
		memset(n, 0, sizeof(*n));
		n->off = addr;
		s->starts[addr] = s->nr_insns;
		if (*p == 0xcc) {
			/* A run of padding is one: nothing has business inside it. */
			while (left && *p == 0xcc && n->len < UINT8_MAX)
				p++, addr++, left--, n->len++;
			n->kind = V_TRAP;
			for (; next < s->nr_rels && s->rels[next].off < addr; next++)
				finding(v, "relocation", s, s->rels[next].off,
					"no field of the instruction, int3.");
			continue;
		}
		if (!cs_disasm_iter(cs, &p, &left, &addr, in)) {
			n->len = skip_vector(v, s, n->off, p, left, &next);
			n->stack.mem = -1;
			if (n->len) {
				p += n->len, addr += n->len, left -= n->len;
				continue;
			}
			finding(v, "decode", s, addr, "byte 0x%02x is part of no instruction.", *p);
			s->nr_insns--;
			s->starts[addr] = 0;
			break;
		}
		n->len = in->size;
		n->imm = in->detail->x86.encoding.imm_offset;
		n->lea = in->id == X86_INS_LEA;
		stack_note(cs, in, &n->stack);
		judge(v, s, cs, in, n);
		match_rels(v, s, in, n, &next);
		v->proof.insns++;
	}
	if (!left && s->nr_insns) {
		const struct vinsn *last = &s->insns[s->nr_insns - 1];

		if (last->kind != V_TRAP && last->kind != V_RET && last->kind != V_JMP)
			finding(v, "decode", s, last->off, "control runs off the end of the region.");
	}
}

void verify_decode(struct vimg *v)
{
	struct decoder d = decoder_open(v->file);

	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		struct vsec *s = v->region_secs[i];

		if (s && s->kind == KVM_GM_REGION_TEXT && s->data)
			decode(v, s, d.cs, d.in);
	}
}

static void check_target(struct vimg *v, const struct vsec *s, const struct vinsn *n)
{
	const struct vsec *t = n->target_sec;
	const struct gm_gate *g;

	if (!t)
		return;		/* said by judge_branch() or match_rels() */
	if (t->kind != KVM_GM_REGION_TEXT) {
		finding(v, "branch", s, n->off, "leads to %s, which is no sealed text.", t->name);
		return;
	}
	if (!vinsn_at(t, n->target)) {
		finding(v, "branch", s, n->off, "leads to %s+0x%x, which is no instruction.", t->name,
			n->target);
		return;
	}
	g = vgate_at(v, t, n->target);
	if (g && g->kind == KVM_GM_GATE_OUT_RETURN)
		finding(v, "branch", s, n->off, "leads to the out-return gate.");
}

void verify_branches(struct vimg *v)
{
	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		const struct vsec *s = v->region_secs[i];

		for (size_t j = 0; s && j < s->nr_insns; j++)
			if (s->insns[j].kind == V_CALL || s->insns[j].kind == V_JMP ||
			    s->insns[j].kind == V_JCC)
				check_target(v, s, &s->insns[j]);
	}
}

/*
 * No hypercall or VMFUNC at any byte, but for the gates and the init stub,
 * and none that two regions could form together in memory.
 */
static void scan(struct vimg *v, const struct vsec *s, const uint8_t *init_end)
{
	static const struct {
		uint8_t last;
		const char *name;
	} bad[] = { { 0xc1, "vmcall" }, { 0xd9, "vmmcall" }, { 0xd4, "vmfunc" } };

	for (uint64_t i = 0; i + 3 <= s->size; i++) {
		const uint8_t *p = s->data + i;

		if (p[0] != 0x0f || p[1] != 0x01)
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(bad); j++) {
			bool init = s == v->init_sec && i >= v->init_off && p < init_end;

			if (p[2] != bad[j].last || vgate_at(v, s, i) || (init && j < 2))
				continue;
			finding(v, "hypercall", s, i, "the bytes of a %s, and no gate.", bad[j].name);
		}
	}
	if ((s->size >= 1 && s->data[s->size - 1] == 0x0f) ||
	    (s->size >= 2 && s->data[s->size - 2] == 0x0f && s->data[s->size - 1] == 0x01))
		finding(v, "hypercall", s, s->size - 1,
			"ends like a hypercall begins; what lies behind it in memory could complete it.");
	v->proof.patterns_bytes += s->size;
}

void verify_patterns(struct vimg *v)
{
	const uint8_t *init_end = NULL;

	/* The init stub reaches up to the first in-call gate behind it. */
	for (uint32_t i = 0; v->init_sec && v->init_sec->data && i < v->man->gates.count; i++) {
		const struct gm_gate *g = &v->gates[i];

		if (g->region == (uint32_t)v->init_sec->region && g->offset > v->init_off && !init_end)
			init_end = v->init_sec->data + g->offset;
	}
	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		const struct vsec *s = v->region_secs[i];

		if (s && s->data && (s->kind == KVM_GM_REGION_TEXT || s->kind == KVM_GM_REGION_GATES))
			scan(v, s, init_end);
	}
}

struct work {
	const struct vsec **secs;
	uint32_t *offs;
	size_t nr;
};

static void reach(struct work *w, const struct vsec *s, uint64_t off)
{
	struct vinsn *n = s ? (struct vinsn *)vinsn_at(s, off) : NULL;

	if (!n || n->reached)
		return;
	n->reached = true;
	w->secs = xgrow(w->secs, w->nr, sizeof(*w->secs));
	w->offs = xgrow(w->offs, w->nr, sizeof(*w->offs));
	w->secs[w->nr] = s;
	w->offs[w->nr++] = off;
}

void verify_reach(struct vimg *v)
{
	struct work w = { 0 };

	for (uint32_t i = 0; i < v->man->gates.count; i++) {
		const struct gm_gate *g = &v->gates[i];

		reach(&w, v->region_secs[g->region], g->offset);
		for (uint32_t j = 0; g->kind == KVM_GM_GATE_IN_CALL && j < v->man->regions.count; j++)
			if (v->regions[j].anchor == g->target_anchor)
				reach(&w, v->region_secs[j], g->target_addend);
	}
	while (w.nr) {
		const struct vsec *s = w.secs[--w.nr];
		const struct vinsn *n = vinsn_at(s, w.offs[w.nr]);

		if (n->target_sec)
			reach(&w, n->target_sec, n->target);
		if (n->kind != V_JMP && n->kind != V_RET && n->kind != V_TRAP)
			reach(&w, s, n->off + n->len);
	}
	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		const struct vsec *s = v->region_secs[i];

		for (size_t j = 0; s && j < s->nr_insns; j++)
			v->proof.unreached += !s->insns[j].reached && s->data[s->insns[j].off] != 0xcc &&
					      s->data[s->insns[j].off] != 0x90 && s->data[s->insns[j].off] != 0x0f &&
					      s->data[s->insns[j].off] != 0x66;
	}
}
