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
	bool gapped, exact;		/* addresses taken are relative to CFA - gap, to CFA */
	int64_t low;			/* lowest address taken */
	int64_t high;			/* highest address taken */
	int64_t indexed_low;		/* lowest one taken with an index */
	int64_t canary_at;
	uint64_t saved[2];		/* bit n: a register is saved at CFA - 8n - 16; at ... - gap */
	int32_t aligned_at;		/* where the gap is: CFA - this */
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

static void note_address(struct func *f, int64_t at, bool gapped)
{
	if (!f->escapes || at < f->low)
		f->low = at;
	if (!f->escapes || at > f->high)
		f->high = at;
	f->escapes = true;
	*(gapped ? &f->gapped : &f->exact) = true;
}

/* `mov %rsp,%rbp' that sets up a frame, after which ORC goes by RBP. */
static bool is_frame_pointer(const struct sec *s, const struct insn *n)
{
	const struct insn *next = n + 1 < s->insns + s->nr_insns ? n + 1 : NULL;

	return n->bp_effect == BP_FROM_SP && next && next->orc_reg != ORC_REG_SP &&
	       next->bp.state == SPOT_KNOWN;
}

static bool is_aligning(const struct insn *n)
{
	return n->orc_reg == ORC_REG_R10 || n->orc_reg == ORC_REG_R13 ||
	       n->orc_reg == ORC_REG_DX || n->orc_reg == ORC_REG_DI;
}

/* `lea 8(%rsp),%r10': where the function's arguments are, before it aligns its frame. */
static bool is_argument_pointer(const struct sec *s, const struct insn *n)
{
	const struct insn *end = s->insns + s->nr_insns;

	/* Once the CFA is in a register, a `lea' is of a local. */
	if (n->orc_reg != ORC_REG_SP)
		return false;
	for (int i = 0; i < 16 && n < end && n->orc_reg == ORC_REG_SP; i++)
		n++;
	return n < end && is_aligning(n);
}

static void note_save(struct func *f, const struct insn *n)
{
	int32_t slot = n->sp.off / 8 - 1;

	if (n->sp.state == SPOT_KNOWN && slot >= 0 && slot < 16)
		f->saved[n->sp.align != 0] |= 1ULL << slot;
}

static int64_t top_of(const struct func *f, bool gapped)
{
	int64_t top = gapped && f->aligned_at ? -f->aligned_at : -8;

	for (int64_t slot = -top / 8 - 1; slot >= 0 && slot < 16 && f->saved[gapped] >> slot & 1; slot++)
		top -= 8;
	return top;
}

/* What lies above a function's objects. */
static void note_bounds(const struct sec *s, const struct insn *n)
{
	bool saves = n->saves || (n->kind == INSN_PUSH && is_aligning(n));
	const struct spot *base = n->bp_mem ? &n->bp : &n->sp;
	struct func *f;

	if (!saves && !n->canary_store && n->sp_effect != SP_AND)
		return;
	f = func_info(s, n->off);
	if (!f)
		return;
	if (saves)
		note_save(f, n);
	if (n->sp_effect == SP_AND && n->sp.state == SPOT_KNOWN)
		f->aligned_at = n->sp.off;
	if (n->canary_store && base->state == SPOT_KNOWN) {
		f->canary = true;
		f->canary_at = n->sp_disp - base->off;
	}
}

static bool takes_address(const struct insn *n)
{
	return n->kind == INSN_LEA && (n->sp_mem || (n->bp_mem && n->orc_reg != ORC_REG_SP));
}

static void note_addresses(const struct sec *s, const struct insn *n)
{
	const struct spot *base = n->bp_mem ? &n->bp : &n->sp;
	bool lea = takes_address(n);
	struct func *f;
	int64_t at;

	if (!lea && !n->sp_copy)
		return;
	f = func_info(s, n->off);
	if (!f)
		return;
	if (n->sp_copy && !is_frame_pointer(s, n)) {
		if (n->sp.state == SPOT_KNOWN)
			note_address(f, -n->sp.off, n->sp.align);
		else
			f->unknown = true;
	}
	if (!lea || is_argument_pointer(s, n))
		return;
	if (base->state != SPOT_KNOWN) {
		f->unknown = true;
		return;
	}
	at = n->sp_disp - base->off;
	/* Above all objects: the arguments, or where a loop over an array ends. */
	if (at >= top_of(f, base->align))
		return;
	if (!n->indexed) {
		note_address(f, at, base->align);
		return;
	}
	if (!f->indexed || at < f->indexed_low)
		f->indexed_low = at;
	f->indexed = true;
	*(base->align ? &f->gapped : &f->exact) = true;
}

int64_t frame_top(const struct sec *s, const struct insn *n)
{
	const struct func *f = func_info(s, n->off);

	return f ? top_of(f, f->gapped || (!f->exact && n->sp.align)) : -8;
}

static void refuse_frame(struct obj *o, struct sec *s, const struct insn *n)
{
	refuse(o, s, n->off,
	       "the stack frame at this call is unknown (ORC register %d, type %d). "
	       "Build without variable-length arrays and stack realignment.",
	       n->orc_reg, orc_at(s, n->off) ? orc_at(s, n->off)->type : -1);
}

/* [low, high) from RSP, and what the window held before. */
static void set_window(struct obj *o, struct sec *s, const struct insn *n, struct frame *fr,
		       int64_t low, int64_t high)
{
	if (fr->window_len && fr->window < low)
		low = fr->window;
	if (fr->window_len && fr->window + fr->window_len > high)
		high = fr->window + fr->window_len;
	if (high <= low)
		return;
	if (high > UINT16_MAX) {
		refuse(o, s, n->off, "stack frame larger than 64 KiB. Move objects off the stack.");
		return;
	}
	fr->window = low;
	fr->window_len = high - low;
}

/*
 * A variadic function hands a va_list on to the kernel, which finds the
 * arguments on the stack: those that this call pushed.
 */
static void lend_arguments(struct obj *o, struct sec *s, const struct insn *n, struct frame *fr)
{
	const struct sec *t = n->rel ? n->rel->sym->sec : s;
	const struct sym *f;
	int64_t words;

	if (n->stub || !t)
		return;
	f = func_of(t, n->rel ? n->rel->sym->value + n->rel->addend + 4 : n->target);
	if (!f || !f->lends_args)
		return;
	words = pushes_before(s, n);
	set_window(o, s, n, fr, 0, 8 * words);
}

/* Does the register, by number, point to an object on the stack at @n, for certain? */
static bool holds_local(const struct sec *s, const struct insn *n, unsigned int reg)
{
	const unsigned int kept = 1 << 3 | 1 << 5 | 0xf << 12;	/* RBX, RBP, R12 to R15 */
	const struct sym *f = func_of(s, n->off);

	for (int i = 0; i < 32 && n-- > s->insns; i++) {
		if (func_of(s, n->off) != f || !insn_falls_through(s, n) ||
		    (n->kind == INSN_CALL && !(kept >> reg & 1)))
			return false;
		if (n->to != reg + 1)
			continue;
		if (takes_address(n) || n->sp_copy)
			return true;
		if (!n->from || n->kind != INSN_OTHER)
			return false;
		reg = n->from - 1;
	}
	return false;
}

static void check_arguments(struct obj *o, const struct sec *s, const struct insn *n)
{
	const char *name = n->stub && n->stub->target ? n->stub->target->name : NULL;
	uint16_t linear = name ? callee_known(name)->linear : 0;

	for (unsigned int reg = 0; linear >> reg; reg++)
		if (linear >> reg & 1 && holds_local(s, n, reg))
			refuse(o, s, n->off, "%s() is given an object on the stack, which the block layer "
			       "knows by the thread's stack, not by a private one. Allocate the object.",
			       name);
}

static void add_frame(struct obj *o, struct sec *s, const struct insn *n)
{
	const struct orc *orc = orc_at(s, n->off);
	const struct func *f = func_info(s, n->off);
	int64_t low, high, top, sp;
	struct frame *fr;

	if (!f) {
		refuse(o, s, n->off, "call outside of any function. Give the code a FUNC symbol.");
		return;
	}
	if (!orc || orc->type != ORC_TYPE_CALL || n->sp.state != SPOT_KNOWN || n->sp.off < 8 ||
	    f->unknown || (f->gapped && f->exact)) {
		refuse_frame(o, s, n);
		return;
	}
	check_arguments(o, s, n);
	sp = n->sp.off + n->gap;
	o->frames = xgrow(o->frames, o->nr_frames, sizeof(*o->frames));
	fr = &o->frames[o->nr_frames++];
	*fr = (struct frame){ .sec = s, .off = n->off + n->len, .size = sp - 8 };
	lend_arguments(o, s, n, fr);
	if (!f->escapes && !f->indexed)
		return;
	if (f->gapped && !n->sp.align) {
		refuse_frame(o, s, n);
		return;
	}

	top = frame_top(s, n);
	high = f->canary && f->canary_at > f->high ? f->canary_at : top;
	/* Relative to RSP: the same gap is below both, or above the object alone. */
	low = f->low + (f->gapped ? n->sp.off : sp);
	high += f->gapped ? n->sp.off : sp;
	/* Where an object starts that is reached by index alone is unknown. */
	if (low < 0 || (f->indexed && (!f->escapes || f->indexed_low < f->low)))
		low = 0;
	set_window(o, s, n, fr, low, high);
}

static void for_each_insn(struct obj *o, void (*fn)(const struct sec *, const struct insn *))
{
	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_insns; j++)
			fn(o->secs[i], &o->secs[i]->insns[j]);
}

/*
 * Who is called, when @f takes the address of its arguments: the function that
 * @f is the cold part of. Two of one name are both said to.
 */
static void note_lender(struct obj *o, struct sym *f)
{
	const char *cold = strstr(f->name, ".cold");

	if (!cold) {
		f->lends_args = true;
		return;
	}
	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_funcs; j++) {
			struct sym *y = o->secs[i]->funcs[j];

			if (!strncmp(y->name, f->name, cold - f->name) && !y->name[cold - f->name])
				y->lends_args = true;
		}
}

/* A function with a va_list of its own arguments. */
static void note_variadic(struct obj *o, const struct sec *s, const struct insn *n)
{
	const struct spot *base = n->bp_mem ? &n->bp : &n->sp;
	struct sym *f;

	if (!takes_address(n) || n->indexed || base->state != SPOT_KNOWN || base->align ||
	    n->sp_disp < base->off || is_argument_pointer(s, n))
		return;
	f = func_of(s, n->off);
	if (f)
		note_lender(o, f);
}

static bool is_fentry(const struct insn *n)
{
	return n->rel && !n->rel->sym->sec && !strcmp(n->rel->sym->name, "__fentry__");
}

_Noreturn static void too_many_calls(const struct obj *o, const char *least, size_t calls)
{
	die(o->file, "%s%zu calls, more than %d. Split the module.", least, calls, KVM_GM_MAX_FRAMES);
}

/* Early: a module that is far too large is not worth the rest of the work. */
void frames_check_relocs(const struct obj *o)
{
	size_t calls = 0;

	for (size_t i = 1; i < o->nr_secs; i++) {
		const struct sec *s = o->secs[i];

		for (size_t j = 0; s->role == ROLE_TEXT && j < s->nr_rels; j++) {
			const struct rel *r = &s->rels[j];

			/* call, as the compiler has it */
			calls += r->type == R_X86_64_PLT32 && r->off && s->data[r->off - 1] == 0xe8 &&
				 strcmp(r->sym->name, "__fentry__");
		}
	}
	if (calls > KVM_GM_MAX_FRAMES)
		too_many_calls(o, "at least ", calls);
}

void frames_check_count(struct obj *o)
{
	size_t calls = 0;

	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_insns; j++)
			calls += o->secs[i]->insns[j].kind == INSN_CALL &&
				 !is_fentry(&o->secs[i]->insns[j]);
	if (calls > KVM_GM_MAX_FRAMES)
		too_many_calls(o, "", calls);
}

void frames_find_variadic(struct obj *o)
{
	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_insns; j++)
			note_variadic(o, o->secs[i], &o->secs[i]->insns[j]);
}

void frames_build(struct obj *o)
{
	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_insns; j++) {
			const struct insn *n = &o->secs[i]->insns[j];

			if (n->kind == INSN_JMP || n->kind == INSN_JCC)
				join_parts(o->secs[i], n);
		}
	for_each_insn(o, note_bounds);
	for_each_insn(o, note_addresses);
	for (size_t i = 1; i < o->nr_secs; i++)
		for (size_t j = 0; j < o->secs[i]->nr_insns; j++)
			if (o->secs[i]->insns[j].kind == INSN_CALL)
				add_frame(o, o->secs[i], &o->secs[i]->insns[j]);
	if (o->nr_frames > KVM_GM_MAX_FRAMES)
		too_many_calls(o, "", o->nr_frames);
	refused_exit(o);
}
