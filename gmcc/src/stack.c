// SPDX-License-Identifier: GPL-2.0
/*
 * Where the stack and frame pointers are at each instruction, relative to the
 * CFA, the address just above the function's return address.
 *
 * ORC tells where it is enough for an unwinder: by RSP in most functions; by
 * RBP, or by a word that RBP points near, in those that align their frame.
 * There RSP is followed from instruction to instruction:
 *
 *	RSP = CFA - off - gap
 *
 * where the gap, 0 unless the function does `and $-16,%rsp' or the like, is one
 * of a few multiples of 8 that depend on how the caller was aligned.
 *
 * Keeps I3: KVM finds a return address by the call below it, so each call must
 * have one frame size. A call under a gap becomes as many calls as there are
 * gaps, chosen by the alignment of the frame. What cannot be followed is left
 * unknown, and frames.c refuses its calls. Keeps I1: that a function of the
 * kernel's does not return is the guest's to say, so a trap is put behind its calls.
 */
#include <stdlib.h>
#include <string.h>

#include "gmcc.h"

#define MAX_ALIGN	64

struct work {
	struct sec *s;
	struct insn *n;
};

static struct work *queue;
static size_t nr_queue;

static void enqueue(struct sec *s, struct insn *n)
{
	queue = xgrow(queue, nr_queue, sizeof(*queue));
	queue[nr_queue++] = (struct work){ s, n };
}

static bool same(const struct spot *a, const struct spot *b)
{
	return a->state == b->state && a->off == b->off && a->align == b->align && a->base == b->base;
}

/* Merges what is known from one more way to get here. True: it changed. */
static bool merge(struct spot *to, const struct spot *from)
{
	if (to->state == SPOT_NONE && from->state != SPOT_NONE) {
		*to = *from;
		return true;
	}
	if (to->state != SPOT_KNOWN || from->state == SPOT_NONE || same(to, from))
		return false;
	to->state = SPOT_LOST;
	return true;
}

/* ORC's own word on the two at @n. */
static void by_orc(const struct orc *orc, struct insn *n)
{
	const struct spot at = { .state = SPOT_KNOWN, .off = orc ? orc->sp_offset : 0 };

	n->orc_reg = orc ? orc->sp_reg : ORC_REG_NONE;
	n->orc_off = at.off;
	if (n->orc_reg == ORC_REG_BP)
		n->bp = at;
	if (n->orc_reg == ORC_REG_SP)
		n->sp = at;
}

static void advance(const struct insn *n, struct spot *sp, struct spot *bp)
{
	const struct spot lost = { .state = SPOT_LOST };

	*sp = n->sp;
	*bp = n->bp;
	switch (n->bp_effect) {
	case BP_FROM_SP:
		*bp = n->sp;
		bp->off -= n->bp_imm;
		break;
	case BP_LOST:
		*bp = lost;
		break;
	}
	switch (n->sp_effect) {
	case SP_ADD:
		sp->off -= n->sp_imm;
		break;
	case SP_FROM_BP:
		*sp = n->bp;
		sp->off -= n->sp_imm;
		break;
	case SP_AND:
		if (sp->align || -n->sp_imm > MAX_ALIGN)
			*sp = lost;
		else if (sp->state == SPOT_KNOWN && -n->sp_imm > 8) {
			sp->align = -n->sp_imm;
			sp->base = sp->off & (sp->align - 1);
		}
		break;
	case SP_LOST:
		*sp = lost;
		break;
	}
}

static void flow_to(struct sec *s, struct insn *n, const struct spot *sp, const struct spot *bp)
{
	bool changed;

	if (!n || n->orc_reg == ORC_REG_SP)
		return;
	changed = merge(&n->sp, sp);
	if (n->orc_reg != ORC_REG_BP)
		changed |= merge(&n->bp, bp);
	if (changed)
		enqueue(s, n);
}

/* Whether control can come from @n to the instruction after it. */
bool insn_falls_through(const struct sec *s, const struct insn *n)
{
	static const char *const noreturn[] = {
		"__stack_chk_fail", "__fortify_panic", "fortify_panic", "panic", "nmi_panic", "do_exit",
		"__module_put_and_kthread_exit", "kthread_complete_and_exit", "kthread_exit", "make_task_dead",
		"BUG_func", "__ubsan_handle_builtin_unreachable",
	};
	const uint8_t *p = s->data + n->off;

	/* After WARN; BUG ends in ud2; a static branch was maybe a jump. */
	if (n->edit)
		return n->edit->pieces[n->edit->nr - 1].kind;
	if (n->kind == INSN_JMP || n->kind == INSN_RET || p[0] == 0xcc || (p[0] == 0x0f && p[1] == 0x0b))
		return false;
	for (size_t i = 0; n->kind == INSN_CALL && n->rel && i < ARRAY_SIZE(noreturn); i++)
		if (!n->rel->sym->sec && !strcmp(n->rel->sym->name, noreturn[i]))
			return false;
	return true;
}

static void flow_from(struct sec *s, struct insn *n)
{
	struct spot sp, bp;

	advance(n, &sp, &bp);
	if (!n->edit && (n->kind == INSN_JMP || n->kind == INSN_JCC)) {
		struct sec *t = n->rel ? n->rel->sym->sec : s;
		uint64_t off = n->rel ? n->rel->sym->value + n->rel->addend + 4 : n->target;

		if (t && t->role == ROLE_TEXT)
			flow_to(t, insn_at(t, off), &sp, &bp);
	}
	if (insn_falls_through(s, n) && n + 1 < s->insns + s->nr_insns)
		flow_to(s, n + 1, &sp, &bp);
	/* A static branch goes both ways; its target is in the edit. */
	for (size_t i = 0; n->edit && i < n->edit->nr; i++) {
		const struct piece *p = &n->edit->pieces[i];

		if (p->kind == INSN_JCC && p->sym && p->sym->sec)
			flow_to(p->sym->sec, insn_at(p->sym->sec, p->sym->value + p->addend), &sp, &bp);
	}
}

/* `test $bit' of the alignment's witness: RBP, or the CFA that it points near. */
static void test_bit(struct edit *e, const struct insn *n, uint8_t bit)
{
	if (n->orc_reg == ORC_REG_BP) {
		const uint8_t reg[] = { 0x40, 0xf6, 0xc5, bit };	/* test $bit,%bpl */

		edit_bytes(e, reg, sizeof(reg));
	} else {
		uint8_t mem[] = { 0xf6, 0x85, 0, 0, 0, 0, bit };	/* testb $bit,off(%rbp) */
		int32_t off = n->orc_off;

		memcpy(mem + 2, &off, 4);
		edit_bytes(e, mem, sizeof(mem));
	}
}

/* The gap, when the witness is @v in the bits that matter. */
static unsigned int gap_of(const struct insn *n, unsigned int v)
{
	int cfa = n->orc_reg == ORC_REG_BP ? (int)v + n->bp.off : (int)v;

	return (unsigned int)(cfa - n->sp.base) & (n->sp.align - 1);
}

struct expansion {
	struct edit *e;
	const struct insn *n;
	const struct piece *call;	/* NULL: n itself */
	size_t *jumps;			/* pieces that lead to the end */
	size_t nr_jumps;
};

static void put_call(struct expansion *x, unsigned int v)
{
	struct piece *p = edit_bytes(x->e, NULL, 0);

	if (x->call)
		*p = *x->call;
	else
		p->copy = x->n;
	p->gap = gap_of(x->n, v);
}

/* One call for each value of the bits from @bit up; @v has those below. */
static void put_calls(struct expansion *x, unsigned int bit, unsigned int v)
{
	size_t branch;

	if (bit == x->n->sp.align) {
		put_call(x, v);
		/* The last one falls through. */
		if (v != x->n->sp.align - 8U) {
			x->jumps = xgrow(x->jumps, x->nr_jumps, sizeof(*x->jumps));
			x->jumps[x->nr_jumps++] = x->e->nr;
			edit_branch(x->e, 0xe9, NULL, 0);
		}
		return;
	}
	test_bit(x->e, x->n, bit);
	branch = x->e->nr;
	edit_branch(x->e, 0x85, NULL, 0);
	put_calls(x, bit << 1, v);
	x->e->pieces[branch].to_piece = x->e->nr;
	put_calls(x, bit << 1, v | bit);
}

static void put_expansion(struct edit *e, const struct insn *n, const struct piece *call)
{
	struct expansion x = { .e = e, .n = n, .call = call };

	put_calls(&x, 8, 0);
	for (size_t i = 0; i < x.nr_jumps; i++)
		e->pieces[x.jumps[i]].to_piece = e->nr;
}

/* Behind a call: what it returns to, or another path's code, another function's? */
static bool comes_back(const struct sec *s, const struct insn *n)
{
	const struct edit *e = n->edit;

	/* BUG has its trap. */
	if (e && e->pieces[e->nr - 1].kind != INSN_CALL)
		return true;
	return insn_falls_through(s, n) && n + 1 < s->insns + s->nr_insns &&
	       func_of(s, n->off) == func_of(s, n[1].off);
}

static void expand(struct obj *o, struct sec *s, struct insn *n)
{
	static const uint8_t ud2[] = { 0x0f, 0x0b };
	struct edit *old = n->edit, *e;
	bool call = !old && n->kind == INSN_CALL, back = comes_back(s, n), gap;

	for (size_t i = 0; old && i < old->nr; i++)
		call |= old->pieces[i].kind == INSN_CALL;
	/* RBP tells the alignment if it was set before RSP was aligned. */
	gap = n->sp.state == SPOT_KNOWN && n->sp.align &&
	      (n->orc_reg == ORC_REG_BP || n->orc_reg == ORC_REG_BP_INDIRECT);
	if (!call || (!gap && back))
		return;
	if (n->rel && !strcmp(n->rel->sym->name, "__fentry__"))
		return;
	if (gap && n->kind == INSN_CALL && !old && n->rel && !n->rel->sym->sec && n->rel->addend != -4)
		refuse(o, s, n->off, "branch into the middle of %s. Report this module.",
		       n->rel->sym->name);
	e = edit_new(n);
	for (size_t i = 0; old && i < old->nr; i++) {
		if (gap && old->pieces[i].kind == INSN_CALL)
			put_expansion(e, n, &old->pieces[i]);
		else
			*edit_bytes(e, NULL, 0) = old->pieces[i];
	}
	if (!old && gap)
		put_expansion(e, n, NULL);
	else if (!old)
		edit_bytes(e, NULL, 0)->copy = n;
	if (!back)
		edit_bytes(e, ud2, sizeof(ud2));
}

void stack_by_orc(struct sec *s)
{
	size_t next = 0;

	for (size_t j = 0; j < s->nr_insns; j++) {
		while (next < s->nr_orc && s->orc[next].off <= s->insns[j].off)
			next++;
		by_orc(next ? &s->orc[next - 1] : NULL, &s->insns[j]);
	}
}

void stack_follow(struct obj *o)
{
	for (size_t i = 1; i < o->nr_secs; i++)
		stack_by_orc(o->secs[i]);
	for (size_t i = 1; i < o->nr_secs; i++) {
		struct sec *s = o->secs[i];

		/* Into each stretch that RSP does not describe. */
		for (size_t j = 0; j < s->nr_insns; j++)
			if (s->insns[j].orc_reg == ORC_REG_SP)
				flow_from(s, &s->insns[j]);
	}
	while (nr_queue) {
		struct work w = queue[--nr_queue];

		flow_from(w.s, w.n);
	}
	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_insns; j++)
			expand(o, o->secs[i], &o->secs[i]->insns[j]);
	refused_exit(o);
}
