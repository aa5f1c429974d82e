// SPDX-License-Identifier: GPL-2.0
/*
 * Gates and stubs: that the bytes at each are what KVM takes it for.
 *
 * Proves I1 and I2 as far as the image goes: in .gm.gates there is nothing but
 * the gates of the manifest, the trampoline, a return and the init stub; a gate
 * leads to the start of a function; each out-call is followed by a return, and
 * nothing runs into it from above.
 */
#include <capstone/capstone.h>
#include <string.h>

#include "verify.h"

#define CALL_LEN	3	/* of a hypercall instruction */

static const uint8_t vmmcall[] = { 0x0f, 0x01, 0xd9 };
static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
static const uint8_t ud2[] = { 0x0f, 0x0b };
static const uint8_t call_r11[] = { 0x41, 0xff, 0xd3 };

const struct gm_gate *vgate_at(const struct vimg *v, const struct vsec *s, uint64_t off)
{
	uint32_t lo = 0, hi = v->man->gates.count;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const struct gm_gate *g = &v->gates[mid];

		if (g->region == (uint32_t)s->region && g->offset == off)
			return g;
		if (g->region < (uint32_t)s->region ||
		    (g->region == (uint32_t)s->region && g->offset < off))
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool bytes_at(const struct vsec *s, uint64_t off, const uint8_t *want, size_t n)
{
	return s->data && off <= s->size && s->size - off >= n && !memcmp(s->data + off, want, n);
}

static void cover(uint8_t *seen, const struct vsec *s, uint64_t off, size_t n)
{
	for (size_t i = 0; i < n && off + i < s->size; i++)
		seen[off + i] = 1;
}

static void check_in_call(struct vimg *v, const struct gm_gate *g, const struct vsec *s, uint8_t *seen)
{
	const struct vsec *t = NULL;
	const struct vsym *f;

	if (!bytes_at(s, g->offset - sizeof(endbr64), endbr64, sizeof(endbr64)))
		finding(v, "gate", s, g->offset, "no endbr64 before the in-call.");
	else
		cover(seen, s, g->offset - sizeof(endbr64), sizeof(endbr64));
	for (uint32_t i = 0; i < v->man->regions.count; i++)
		if (v->region_secs[i] && v->regions[i].anchor == g->target_anchor)
			t = v->region_secs[i];
	/* Nothing but text has instructions. */
	if (!t || !vinsn_at(t, g->target_addend)) {
		finding(v, "gate", s, g->offset, "the in-call does not lead to an instruction of text.");
		return;
	}
	f = vfunc_of(t, g->target_addend);
	if (!f || f->value != (uint64_t)g->target_addend)
		finding(v, "gate", s, g->offset, "the in-call leads to %s+0x%llx, which is no function's start.",
			t->name, (unsigned long long)g->target_addend);
	if (vgate_at(v, t, g->target_addend))
		finding(v, "gate", s, g->offset, "the in-call leads to another gate.");
}

static void check_out_call(struct vimg *v, const struct gm_gate *g, const struct vsec *s)
{
	static const uint8_t ret[] = { 0xc3 };
	const struct gm_anchor *a = &v->anchors[g->target_anchor];
	uint64_t start = g->offset;

	if (g->kind == KVM_GM_GATE_OUT_CALL && (a->kind == GM_ANCHOR_REGION ||
	    (a->kind == GM_ANCHOR_EXTERN && g->target_addend)))
		finding(v, "gate", s, g->offset, "the out-call does not lead to an import.");
	if (g->kind == KVM_GM_GATE_OUT_CALL && a->kind == GM_ANCHOR_EXTERN &&
	    strcmp(vstring(v, a->name), vstring(v, g->name)))
		finding(v, "gate", s, g->offset, "the out-call is named %s, but leads to %s.",
			vstring(v, g->name), vstring(v, a->name));
	if (!bytes_at(s, g->offset + CALL_LEN, ret, sizeof(ret)))
		finding(v, "gate", s, g->offset, "no return behind the out-call.");
	/* mov %reg,%r11 */
	if (g->kind == KVM_GM_GATE_OUT_CALL_INDIRECT && start >= 3 && s->data[start - 2] == 0x89 &&
	    (s->data[start - 3] | 4) == 0x4d && (s->data[start - 1] & 0xc7) == 0xc3)
		start -= 3;
	if (start && vinsn_at(s, start)) {
		const struct vinsn *prev = vinsn_at(s, start) - 1;

		if (vinsn_at(s, start) != s->insns && prev->kind != V_RET && prev->kind != V_TRAP &&
		    prev->kind != V_JMP)
			finding(v, "gate", s, g->offset, "text runs into the out-call from above.");
	}
}

/* The instructions that the init stub may consist of. */
static bool init_insn_ok(unsigned int id)
{
	static const uint16_t ok[] = {
		X86_INS_ENDBR64, X86_INS_PUSH, X86_INS_POP, X86_INS_MOV, X86_INS_LEA, X86_INS_CMP,
		X86_INS_TEST, X86_INS_XOR, X86_INS_CPUID, X86_INS_VMCALL, X86_INS_VMMCALL,
		X86_INS_RET, X86_INS_JMP, X86_INS_JE, X86_INS_JNE, X86_INS_NOP,
	};

	for (size_t i = 0; i < ARRAY_SIZE(ok); i++)
		if (ok[i] == id)
			return true;
	return false;
}

struct stub_walk {
	uint64_t todo[64];
	size_t nr;
	bool hypercall;
};

/* One run of the init stub's instructions; false: it is wrong, and where is said. */
static bool walk_init_stub(struct vimg *v, const struct vsec *s, uint8_t *seen, csh cs, cs_insn *in,
			   struct stub_walk *w)
{
	uint64_t addr = w->todo[--w->nr];
	const uint8_t *p = s->data + addr;
	size_t left = s->size - addr;
	const struct gm_gate *g = vgate_at(v, s, addr + sizeof(endbr64));

	if (g && g->flags & KVM_GM_GATE_F_INIT)
		return true;
	while (addr < s->size && !seen[addr]) {
		const cs_x86 *x = &in->detail->x86;
		uint64_t at = addr;

		if (!cs_disasm_iter(cs, &p, &left, &addr, in) || !init_insn_ok(in->id)) {
			finding(v, "gate", s, at, "the init stub does something else.");
			return false;
		}
		cover(seen, s, at, in->size);
		w->hypercall |= in->id == X86_INS_VMMCALL || in->id == X86_INS_VMCALL;
		if (in->id == X86_INS_RET)
			return true;
		if (!cs_insn_group(cs, in, X86_GRP_JUMP))
			continue;
		if (x->op_count != 1 || x->operands[0].type != X86_OP_IMM ||
		    (uint64_t)x->operands[0].imm >= s->size || w->nr == ARRAY_SIZE(w->todo)) {
			finding(v, "gate", s, at, "the init stub jumps elsewhere.");
			return false;
		}
		w->todo[w->nr++] = x->operands[0].imm;
		if (in->id == X86_INS_JMP)
			return true;
	}
	return true;
}

/* Follows the init stub from its start; it may leave only to the init gate. */
static void check_init_stub(struct vimg *v, const struct vsec *s, uint8_t *seen)
{
	struct stub_walk w = { .todo = { v->init_off }, .nr = 1 };
	bool ok = true;
	struct decoder d = decoder_open(v->file);

	while (ok && w.nr)
		ok = walk_init_stub(v, s, seen, d.cs, d.in, &w);
	if (ok && !w.hypercall)
		finding(v, "gate", s, v->init_off, "the init stub makes no hypercall.");
}

/* What KVM is to know of whom a gate leads to. */
static bool flags_are_right(const struct vimg *v, const struct gm_gate *g)
{
	static const struct callee ordinary;
	const struct callee *callee = &ordinary;

	if (g->kind == KVM_GM_GATE_IN_CALL)
		return g->flags <= KVM_GM_GATE_F_EXIT && !g->results;
	if (g->kind == KVM_GM_GATE_OUT_CALL && g->target_anchor < v->man->anchors.count &&
	    v->anchors[g->target_anchor].kind == GM_ANCHOR_EXTERN)
		callee = callee_known(vstring(v, v->anchors[g->target_anchor].name));
	return g->flags == callee->flags && g->results == callee->results;
}

static void check_gate(struct vimg *v, uint32_t i, uint8_t *const *seen)
{
	const struct gm_gate *g = &v->gates[i], *prev = i ? g - 1 : NULL;
	const struct vsec *s = v->region_secs[g->region];
	bool outside = g->kind <= KVM_GM_GATE_RESUME;

	if (!s)
		return;
	if (s->kind != (outside ? KVM_GM_REGION_GATES : KVM_GM_REGION_TEXT)) {
		finding(v, "gate", s, g->offset, "gate %u (%s) is in the wrong kind of region.", i,
			vstring(v, g->name));
		return;
	}
	if (prev && (prev->region > g->region ||
		     (prev->region == g->region && prev->offset + CALL_LEN > g->offset)))
		finding(v, "gate", s, g->offset, "gate %u (%s) is out of order.", i, vstring(v, g->name));
	if (g->offset % GM_PAGE > GM_PAGE - CALL_LEN || g->reserved || g->stack_words > KVM_GM_MAX_STACK_WORDS ||
	    !flags_are_right(v, g))
		finding(v, "gate", s, g->offset, "gate %u (%s) has bad flags or results, or crosses a page.", i,
			vstring(v, g->name));
	if (!bytes_at(s, g->offset, vmmcall, CALL_LEN)) {
		finding(v, "gate", s, g->offset, "no hypercall at gate %u (%s).", i, vstring(v, g->name));
		return;
	}
	if (seen[g->region])
		cover(seen[g->region], s, g->offset, CALL_LEN);
	if (g->kind == KVM_GM_GATE_OUT_CALL || g->kind == KVM_GM_GATE_OUT_CALL_INDIRECT) {
		check_out_call(v, g, s);
	} else {
		if (!bytes_at(s, g->offset + CALL_LEN, ud2, sizeof(ud2)))
			finding(v, "gate", s, g->offset, "no ud2 behind gate %u (%s).", i,
				vstring(v, g->name));
		else if (seen[g->region])
			cover(seen[g->region], s, g->offset + CALL_LEN, sizeof(ud2));
		if (g->kind == KVM_GM_GATE_IN_CALL)
			check_in_call(v, g, s, seen[g->region]);
	}
	v->proof.gates++;
}

static void check_counts(struct vimg *v)
{
	static const struct {
		const char *what;
		uint8_t kind, flags;
		bool optional;
	} one[] = {
		{ "in-return", KVM_GM_GATE_IN_RETURN, 0, false },
		{ "resume", KVM_GM_GATE_RESUME, 0, false },
		{ "out-return", KVM_GM_GATE_OUT_RETURN, 0, false },
		{ "init", KVM_GM_GATE_IN_CALL, KVM_GM_GATE_F_INIT, false },
		{ "exit", KVM_GM_GATE_IN_CALL, KVM_GM_GATE_F_EXIT, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(one); i++) {
		size_t n = 0;

		for (uint32_t j = 0; j < v->man->gates.count; j++)
			n += v->gates[j].kind == one[i].kind && v->gates[j].flags == one[i].flags;
		if (n > 1 || (!n && !one[i].optional))
			finding(v, "gate", vsec_find(v, GM_SECTION_MANIFEST), 0, "%zu %s gates, not one.", n,
				one[i].what);
	}
}

static void check_trampoline(struct vimg *v, uint8_t *const *seen)
{
	const struct gm_manifest *m = v->man;
	const struct vsec *t = v->region_secs[m->trampoline_region], *r = v->region_secs[m->ret_region];
	const struct gm_gate *g;
	static const uint8_t ret[] = { 0xc3 };

	if (!t || !r)
		return;
	g = vgate_at(v, t, m->trampoline_offset + sizeof(call_r11));
	if (t->kind != KVM_GM_REGION_GATES || !g || g->kind != KVM_GM_GATE_IN_RETURN ||
	    !bytes_at(t, m->trampoline_offset, call_r11, sizeof(call_r11)))
		finding(v, "gate", t, m->trampoline_offset,
			"the trampoline is not `call *%%r11' right before the in-return gate.");
	else
		cover(seen[m->trampoline_region], t, m->trampoline_offset, sizeof(call_r11));
	if (r->kind != KVM_GM_REGION_GATES || !bytes_at(r, m->ret_offset, ret, sizeof(ret)))
		finding(v, "gate", r, m->ret_offset, "the return is no `ret' among the gates.");
	else
		cover(seen[m->ret_region], r, m->ret_offset, sizeof(ret));
}

/* The rest of the gates' regions traps. */
static void check_rest(struct vimg *v, const struct vsec *s, const uint8_t *seen)
{
	for (uint64_t i = 0; i < s->size; i++)
		if (!seen[i] && s->data[i] != 0xcc) {
			finding(v, "gate", s, i, "code among the gates that belongs to none (0x%02x).",
				s->data[i]);
			return;
		}
}

void verify_gates(struct vimg *v)
{
	uint8_t **seen = xalloc((v->man->regions.count + 1) * sizeof(*seen));

	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		const struct vsec *s = v->region_secs[i];

		if (s && s->data && s->kind == KVM_GM_REGION_GATES)
			seen[i] = xalloc(s->size);
	}
	for (uint32_t i = 0; i < v->man->gates.count; i++)
		if (v->region_secs[v->gates[i].region] && v->region_secs[v->gates[i].region]->data)
			check_gate(v, i, seen);
	check_counts(v);
	check_trampoline(v, seen);
	if (v->init_sec && v->init_sec->kind == KVM_GM_REGION_GATES && v->init_sec->data &&
	    v->init_off < v->init_sec->size)
		check_init_stub(v, v->init_sec, seen[v->init_sec->region]);
	for (uint32_t i = 0; i < v->man->regions.count; i++)
		if (seen[i])
			check_rest(v, v->region_secs[i], seen[i]);
}
