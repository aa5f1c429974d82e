// SPDX-License-Identifier: GPL-2.0
/*
 * Who gets which address: every relocation of the image, by what it points to.
 *
 * Proves I1: nobody outside is given an address of text, only those of gates,
 * but for the unwinder's table and the anchors; the loader's init pointer leads
 * to the init stub and its exit pointer to the exit gate. Proves I5: no address
 * in a private section leaves the module's own instructions.
 */
#include <string.h>

#include "verify.h"

static const char *target_name(const struct vrel *r)
{
	return *r->sym->name || !r->sym->sec ? r->sym->name : r->sym->sec->name;
}

/* Relocations of these say where something is; nothing calls it by them. */
static bool holds_locations(const struct vsec *s)
{
	return !strcmp(s->name, ".orc_unwind_ip") || !strcmp(s->name, GM_SECTION_ANCHORS);
}

static bool is_gate(const struct vimg *v, const struct vsec *t, int64_t off)
{
	const struct gm_gate *g = vgate_at(v, t, off + 4);

	return off >= 0 && g && g->kind == KVM_GM_GATE_IN_CALL;
}

static void check_this_module(struct vimg *v, const struct vsec *s, const struct vrel *r,
			      const struct vsec *t, int64_t off)
{
	const struct gm_gate *g = t->kind == KVM_GM_REGION_GATES ? vgate_at(v, t, off + 4) : NULL;

	if (g && g->kind == KVM_GM_GATE_IN_CALL && g->flags & KVM_GM_GATE_F_EXIT)
		return;
	if (t->kind == KVM_GM_REGION_GATES && !g && !v->init_sec && (uint64_t)off < t->size) {
		v->init_sec = t;
		v->init_off = off;
		return;
	}
	finding(v, "address", s, r->off,
		"the module structure points to %s%+lld, neither the init stub nor the exit gate.",
		target_name(r), (long long)r->addend);
}

/* A pointer in data, whoever may read it. */
static void check_pointer(struct vimg *v, const struct vsec *s, const struct vrel *r)
{
	/* In code that is the guest's, a relative field ends its instruction. */
	bool code = s->flags & SHF_EXECINSTR && !s->kind;
	int64_t off;
	const struct vsec *t = vrel_target(r, code ? r->width : 0, &off);

	if (s->kind == KVM_GM_REGION_GATES) {
		if (!t || strcmp(t->name, GM_SECTION_ANCHORS) || !vrel_is_pc(r))
			finding(v, "address", s, r->off, "code among the gates refers to %s%+lld.",
				target_name(r), (long long)r->addend);
		return;
	}
	if (!t || holds_locations(s))
		return;
	if (t->kind == KVM_GM_REGION_TEXT)
		finding(v, "address", s, r->off, "holds the address of text, %s%+lld, and not of a gate.",
			target_name(r), (long long)r->addend);
	else if (t->kind && !strcmp(s->name, ".gnu.linkonce.this_module"))
		check_this_module(v, s, r, t, off);
	else if (t->kind == KVM_GM_REGION_GATES && !is_gate(v, t, off))
		finding(v, "address", s, r->off, "points among the gates, but to none, %s%+lld.",
			target_name(r), (long long)r->addend);
	else if (t->kind == KVM_GM_REGION_DATA || t->kind == KVM_GM_REGION_STACK)
		finding(v, "private", s, r->off, "holds the address of private data, %s%+lld.",
			target_name(r), (long long)r->addend);
}

/* An operand of text, other than a branch's. */
static void check_operand(struct vimg *v, const struct vsec *s, const struct vinsn *n,
			  const struct vrel *r)
{
	bool address = n->lea || r->off - n->off == n->imm;
	int64_t off;
	const struct vsec *t = vrel_target(r, n->off + n->len - r->off, &off);

	if (!t)
		return;
	if (t->kind == KVM_GM_REGION_TEXT && address && is_location(t, off))
		v->proof.locations++;
	else if (t->kind == KVM_GM_REGION_TEXT)
		finding(v, "address", s, r->off, "uses the address of text, %s%+lld, and not of a gate.",
			target_name(r), (long long)r->addend);
	else if (t->kind == KVM_GM_REGION_GATES && (!address || !is_gate(v, t, off)))
		finding(v, "address", s, r->off, "points among the gates, but to none, %s%+lld.",
			target_name(r), (long long)r->addend);
	else if (address && (t->kind == KVM_GM_REGION_DATA || t->kind == KVM_GM_REGION_STACK))
		finding(v, "private", s, r->off, "takes the address of private data, %s%+lld.",
			target_name(r), (long long)r->addend);
}

static void check_text(struct vimg *v, const struct vsec *s)
{
	size_t next = 0;

	for (size_t i = 0; i < s->nr_insns; i++) {
		const struct vinsn *n = &s->insns[i];

		for (; next < s->nr_rels && s->rels[next].off < n->off + n->len; next++)
			if (n->kind != V_CALL && n->kind != V_JMP && n->kind != V_JCC)
				check_operand(v, s, n, &s->rels[next]);
	}
}

void verify_edges(struct vimg *v)
{
	for (size_t i = 1; i < v->nr_secs; i++) {
		const struct vsec *s = &v->secs[i];

		if (s->kind == KVM_GM_REGION_TEXT)
			check_text(v, s);
		else if (s->flags & SHF_ALLOC)
			for (size_t j = 0; j < s->nr_rels; j++)
				check_pointer(v, s, &s->rels[j]);
	}
	if (!v->init_sec)
		finding(v, "address", vsec_find(v, ".gnu.linkonce.this_module"), 0,
			"the module structure does not point to the init stub.");
}
