// SPDX-License-Identifier: GPL-2.0
/*
 * How many arguments each gate and stub passes on the stack.
 *
 * A border crossing changes stacks, so KVM has to copy them. Out of the
 * module: a prototype in BTF if there is one, else the values pushed right
 * before the call, at most over all calls. Into the module: the highest word
 * above its return address that the function touches, or that a function does
 * to which it jumps. Copying too many is harmless, so variadic functions take
 * what their calls push.
 */
#include <string.h>

#include "gmcc.h"

#define MAX_WORDS	KVM_GM_MAX_STACK_WORDS
#define ALIGNED_WORDS	6	/* of a function that aligns its frame, by guess */

/*
 * A conditional branch on the way is one of an argument's value. What an edit
 * put before the call is not of the caller: where the frame is aligned, the
 * branches between the calls of which one is made.
 */
unsigned int pushes_before(const struct sec *s, const struct insn *call)
{
	int64_t top = frame_top(s, call);
	const struct insn *n = call;
	unsigned int words = 0;

	while (n->inner)
		n--;
	while (n-- > s->insns) {
		if (n->kind == INSN_CALL || n->kind == INSN_JMP || n->kind == INSN_RET || n->sp_write)
			break;
		if (n->kind != INSN_PUSH)
			continue;
		if (n->sp.state != SPOT_KNOWN || -8 - n->sp.off >= top)
			break;
		words++;
	}
	return words;
}

/* The highest stack argument that a function itself touches, in words. */
static void note_incoming(const struct sec *s, const struct insn *n)
{
	const struct spot *base = n->bp_mem ? &n->bp : &n->sp;
	struct sym *f = n->sp_mem || n->bp_mem ? func_of(s, n->off) : NULL;
	int64_t at = n->sp_disp - base->off;

	if (!f)
		return;
	/* It reaches them through a pointer that is not followed: take them all. */
	if (n->orc_reg == ORC_REG_BP_INDIRECT && f->incoming < ALIGNED_WORDS)
		f->incoming = ALIGNED_WORDS;
	if (base->state == SPOT_KNOWN && !base->align && at >= 0 && at / 8 + 1 > f->incoming &&
	    (n->sp_mem || n->orc_reg == ORC_REG_BP))
		f->incoming = at / 8 + 1;
}

/* A function needs what the functions need that it jumps to. */
static bool spread_incoming(const struct sec *s, const struct insn *n)
{
	const struct sec *t = n->rel ? n->rel->sym->sec : s;
	uint32_t target = n->rel ? n->rel->sym->value + n->rel->addend + 4 : n->target;
	struct sym *from = func_of(s, n->off), *to = n->stub ? NULL : func_of(t, target);
	unsigned int words = n->stub ? n->stub->stack_words : to ? to->incoming : 0;

	if (!from || from == to || from->incoming >= words)
		return false;
	from->incoming = words;
	return true;
}

static void note_out_call(const struct sec *s, size_t i)
{
	struct insn *n = &s->insns[i];
	const struct sym *f = func_of(s, n->off);
	unsigned int words;

	/* Glue pushes what it saves, never an argument. */
	if (!n->stub || n->stub->fixed_words || !strcmp(s->name, GM_SECTION_GLUE))
		return;
	words = n->kind == INSN_CALL ? pushes_before(s, n) : f ? f->incoming : 0;
	if (words > n->stub->stack_words)
		n->stub->stack_words = words;
}

static void for_each_insn(struct obj *o, void (*fn)(const struct sec *, const struct insn *))
{
	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_insns; j++)
			fn(o->secs[i], &o->secs[i]->insns[j]);
}

void args_count(struct obj *o)
{
	bool changed;

	if (o->opt->btf)
		kbtf_prototypes(o);
	for_each_insn(o, note_incoming);
	do {
		changed = false;
		for (size_t i = 1; i < o->nr_secs; i++) {
			struct sec *s = o->secs[i];

			for (size_t j = 0; j < s->nr_insns; j++) {
				if (s->insns[j].kind == INSN_JMP || s->insns[j].kind == INSN_JCC)
					changed |= spread_incoming(s, &s->insns[j]);
				note_out_call(s, j);
			}
		}
	} while (changed);

	for (size_t i = 0; i < o->nr_gates; i++) {
		struct gate *g = o->gates[i];

		g->stack_words = func_at(g->sec, g->off)->incoming;
		if (g->stack_words > MAX_WORDS)
			refuse(o, g->sec, g->off, "%u arguments on the stack, more than %d. Pass a structure.",
			       g->stack_words, MAX_WORDS);
	}
	for (size_t i = 0; i < o->nr_stubs; i++)
		if (o->stubs[i]->stack_words > MAX_WORDS)
			refuse(o, o->s_stubs, o->stubs[i]->slot,
			       "calls of %s pass %u arguments on the stack, more than %d. Pass a structure.",
			       o->stubs[i]->name, o->stubs[i]->stack_words, MAX_WORDS);
	refused_exit(o);
}
