// SPDX-License-Identifier: GPL-2.0
/*
 * The frames table: for each call in sealed text, where the caller's own
 * return address lies, and which bytes the guest may write meanwhile.
 *
 * Keeps I3: distances come from the module's ORC data, and a call whose frame
 * ORC does not describe relative to the stack pointer is refused.
 *
 * Keeps I5 for stacks. The shared window is one per function: from the lowest
 * stack address that the function takes to the end of its locals. The end is
 * the stack protector's canary where there is one (the compiler places it
 * above every object whose address is taken), else the lowest register saved
 * in the prologue. All positions are kept relative to the CFA, the address
 * just above the return address, since the stack pointer moves.
 *
 *	CFA      ->  stack arguments
 *	CFA - 8      return address
 *	CFA - 16     saved registers
 *	top      ->  canary, objects, spilled values
 */
#include <string.h>

#include "gmcc.h"

struct func {
	struct func *parent;		/* union-find: parts of one function */
	bool escapes, indexed, canary, unknown;
	int64_t low;			/* lowest address taken */
	int64_t high;			/* highest address taken */
	int64_t indexed_low;		/* lowest one taken with an index */
	uint32_t indexed_off;
	int64_t canary_at;
	uint64_t saved;			/* bit n: a register is saved at CFA - 8n - 16 */
};

static struct func *root(struct func *f)
{
	while (f->parent)
		f = f->parent;
	return f;
}

static struct func *func_info(const struct sec *s, uint32_t off)
{
	struct sym *y = func_of(s, off);

	if (!y)
		return NULL;
	if (!y->func)
		y->func = xalloc(sizeof(struct func));
	return root(y->func);
}

/* A jump that keeps the frame connects two parts of one function. */
static void join_parts(const struct sec *s, const struct insn *n)
{
	const struct sec *t = n->rel ? n->rel->sym->sec : s;
	uint32_t target = n->rel ? n->rel->sym->value + n->rel->addend + 4 : n->target;
	const struct orc *orc = orc_at(t, target);
	struct func *a, *b;

	if (n->stub || (func_at(t, target) && orc && orc->sp_reg == ORC_REG_SP && orc->sp_offset == 8 &&
			!strstr(func_at(t, target)->name, ".cold")))
		return;
	a = func_info(s, n->off);
	b = func_info(t, target);
	if (a && b && a != b)
		b->parent = a;
}

static void note_address(struct func *f, int64_t at)
{
	if (!f->escapes || at < f->low)
		f->low = at;
	if (!f->escapes || at > f->high)
		f->high = at;
	f->escapes = true;
}

static void note_insn(const struct sec *s, const struct insn *n)
{
	const struct orc *orc = orc_at(s, n->off);
	bool lea = n->kind == INSN_LEA && n->sp_mem;
	struct func *f;
	int64_t at;

	if (!lea && !n->sp_copy && !n->saves && !n->canary_store)
		return;
	f = func_info(s, n->off);
	if (!f)
		return;
	if (!orc || orc->sp_reg != ORC_REG_SP) {
		f->unknown |= lea || n->sp_copy;
		return;
	}
	at = n->sp_disp - orc->sp_offset;
	if (lea && n->indexed) {
		if (!f->indexed || at < f->indexed_low) {
			f->indexed_low = at;
			f->indexed_off = n->off;
		}
		f->indexed = true;
	} else if (lea) {
		note_address(f, at);
	}
	if (n->sp_copy)
		note_address(f, -orc->sp_offset);
	if (n->canary_store) {
		f->canary = true;
		f->canary_at = at;
	}
	if (n->saves && orc->sp_offset >= 8 && orc->sp_offset < 8 * 9)
		f->saved |= 1ULL << (orc->sp_offset / 8 - 1);
}

int64_t frame_top(const struct sec *s, uint32_t off)
{
	const struct func *f = func_info(s, off);
	int64_t top = -8;

	for (unsigned int i = 0; f && f->saved >> i & 1; i++)
		top -= 8;
	return top;
}

static void add_frame(struct obj *o, struct sec *s, const struct insn *n)
{
	const struct orc *orc = orc_at(s, n->off);
	const struct func *f = func_info(s, n->off);
	int64_t low, high, top;
	struct frame *fr;

	if (!f) {
		refuse(o, s, n->off, "call outside of any function. Give the code a FUNC symbol.");
		return;
	}
	if (!orc || orc->type != ORC_TYPE_CALL || orc->sp_reg != ORC_REG_SP || orc->sp_offset < 8 ||
	    f->unknown) {
		refuse(o, s, n->off,
		       "the stack frame at this call is unknown (ORC register %d, type %d). "
		       "Build without variable-length arrays and stack realignment.",
		       orc ? orc->sp_reg : -1, orc ? orc->type : -1);
		return;
	}
	o->frames = xgrow(o->frames, o->nr_frames, sizeof(*o->frames));
	fr = &o->frames[o->nr_frames++];
	*fr = (struct frame){ .sec = s, .off = n->off + n->len, .size = orc->sp_offset - 8 };
	if (!f->escapes && !f->indexed)
		return;

	top = frame_top(s, n->off);
	high = f->canary && f->canary_at > f->high ? f->canary_at : top;
	if (f->indexed && (!f->escapes || f->indexed_low < f->low)) {
		refuse(o, s, n->off,
		       "an object on the stack is reached only by indexed addresses (at +0x%x), so its start is unknown. "
		       "Take the object's address, or move it off the stack.",
		       f->indexed_off);
		return;
	}
	if (f->high >= top || f->low >= high) {
		refuse(o, s, n->off,
		       "the function takes the address of its stack arguments, which stay private. "
		       "Pass them in registers.");
		return;
	}
	low = f->low + orc->sp_offset;
	high += orc->sp_offset;
	if (low < 0)
		low = 0;
	if (high <= low)
		return;
	if (high > UINT16_MAX) {
		refuse(o, s, n->off, "stack frame larger than 64 KiB. Move objects off the stack.");
		return;
	}
	fr->window = low;
	fr->window_len = high - low;
}

void frames_build(struct obj *o)
{
	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_insns; j++) {
			const struct insn *n = &o->secs[i]->insns[j];

			if (n->kind == INSN_JMP || n->kind == INSN_JCC)
				join_parts(o->secs[i], n);
		}
	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_insns; j++)
			note_insn(o->secs[i], &o->secs[i]->insns[j]);
	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_insns; j++)
			if (o->secs[i]->insns[j].kind == INSN_CALL)
				add_frame(o, o->secs[i], &o->secs[i]->insns[j]);
	if (o->nr_frames > KVM_GM_MAX_FRAMES)
		die(o->file, "%zu calls, more than %d. Split the module.", o->nr_frames,
		    KVM_GM_MAX_FRAMES);
	refused_exit(o);
}
