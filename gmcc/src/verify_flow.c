// SPDX-License-Identifier: GPL-2.0
/*
 * Follows the stack pointer through all text: from the gates, the called
 * functions and what only symbols lead to, along every branch.
 *
 * Proves I3 and I5 for all of it: the stack pointer is known everywhere, a return is
 * made from the return address, and no frame is larger than the guard page below a
 * private stack, over which nothing gets then.
 *
 * Where ways may meet a block begins, and what is known there is kept; in
 * between it follows from that. First all is followed with a CFA aligned
 * anyhow. Where this loses the stack pointer is followed up once for each
 * alignment, and only by way of the blocks that lead there.
 */
#include <string.h>

#include "verify_stack.h"

struct block {
	uint32_t region, insn;
	uint32_t call;			/* number of the first call from here on */
};

struct flow {
	struct vimg *v;
	struct block *blocks;		/* [0] is none */
	size_t nr_blocks;
	bool *starts;			/* by block: of a function, whatever symbols say */
	const struct gm_frame **frames;	/* by call, NULL: none */
	size_t nr_calls;

	int alignment;
	uint32_t *slots;		/* of a block's state + 1; 0: not followed */
	struct stack_state *states;
	bool *entered, *queued;		/* by block */
	bool *lost;			/* by block: the stack pointer is not known all through it */
	uint32_t *todo;
	size_t nr_todo;

	/* The blocks that lead to a block: preds[first_pred[b]..first_pred[b + 1]) */
	uint32_t *first_pred, *preds;
};

static const struct vsec *text(const struct vimg *v, uint32_t region)
{
	const struct vsec *s = v->region_secs[region];

	return s && s->nr_insns ? s : NULL;
}

static struct vinsn *target_of(const struct vinsn *n)
{
	return n->target_sec ? (struct vinsn *)vinsn_at(n->target_sec, n->target) : NULL;
}

static void mark(struct vinsn *n)
{
	if (n)
		n->block = 1;
}

static void mark_at(const struct vsec *s, uint64_t off)
{
	mark(s ? (struct vinsn *)vinsn_at(s, off) : NULL);
}

static const struct vsec *gate_target(const struct vimg *v, const struct gm_gate *g)
{
	for (uint32_t i = 0; g->kind == KVM_GM_GATE_IN_CALL && i < v->man->regions.count; i++)
		if (v->regions[i].anchor == g->target_anchor)
			return v->region_secs[i];
	return NULL;
}

/* Where ways meet, or begin. */
static void mark_blocks(struct vimg *v)
{
	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		const struct vsec *s = text(v, i);

		for (size_t j = 0; s && j < s->nr_insns; j++)
			mark(target_of(&s->insns[j]));
		for (size_t j = 0; s && j < s->nr_funcs; j++)
			mark_at(s, s->funcs[j]->value);
	}
	for (uint32_t i = 0; i < v->man->gates.count; i++)
		mark_at(gate_target(v, &v->gates[i]), v->gates[i].target_addend);
}

/* Rows and calls are in the same order; verify_frames.c says what else is wrong. */
static const struct gm_frame *frame_of(const struct vimg *v, uint32_t region, uint32_t off, uint32_t *next)
{
	const struct gm_frame *fr = v->frames, *end = fr + v->man->frames.count;

	for (fr += *next; fr < end && (fr->region < region || (fr->region == region && fr->offset < off)); fr++)
		++*next;
	return fr < end && fr->region == region && fr->offset == off ? fr : NULL;
}

static void number_blocks(struct flow *f)
{
	uint32_t next = 0;

	f->nr_blocks = 1;
	f->blocks = xarray(1, sizeof(*f->blocks));
	for (uint32_t i = 0; i < f->v->man->regions.count; i++) {
		const struct vsec *s = text(f->v, i);

		for (size_t j = 0; s && j < s->nr_insns; j++) {
			struct vinsn *n = &s->insns[j];

			if (n->block) {
				f->blocks = xgrow(f->blocks, f->nr_blocks, sizeof(*f->blocks));
				f->blocks[f->nr_blocks] = (struct block){ i, j, f->nr_calls };
				n->block = f->nr_blocks++;
			}
			if (n->kind != V_CALL)
				continue;
			f->frames = xgrow(f->frames, f->nr_calls, sizeof(*f->frames));
			f->frames[f->nr_calls++] = frame_of(f->v, i, n->off + n->len, &next);
		}
	}
}

static void start_at(struct flow *f, const struct vinsn *n)
{
	if (n)
		f->starts[n->block] = true;
}

/* What is called, by the text or by a gate, or has a symbol. */
static void find_starts(struct flow *f)
{
	struct vimg *v = f->v;

	f->starts = xalloc(f->nr_blocks * sizeof(*f->starts));
	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		const struct vsec *s = text(v, i);

		for (size_t j = 0; s && j < s->nr_insns; j++)
			if (s->insns[j].kind == V_CALL)
				start_at(f, target_of(&s->insns[j]));
		for (size_t j = 0; s && j < s->nr_funcs; j++)
			start_at(f, vinsn_at(s, s->funcs[j]->value));
	}
	for (uint32_t i = 0; i < v->man->gates.count; i++) {
		const struct vsec *s = gate_target(v, &v->gates[i]);

		if (s)
			start_at(f, vinsn_at(s, v->gates[i].target_addend));
	}
}

static void flow_to(struct flow *f, const struct vinsn *n, const struct stack_state *st)
{
	uint32_t b = n ? n->block : 0, slot = b ? f->slots[b] : 0;

	if (!slot || !stack_join(&f->states[slot - 1], st) || f->queued[b])
		return;
	f->queued[b] = true;
	f->todo[f->nr_todo++] = b;
}

static void flow_entry(struct flow *f, const struct vinsn *n)
{
	struct stack_state entry;

	if (!n || !n->block || f->entered[n->block])
		return;
	f->entered[n->block] = true;
	stack_enter(&entry);
	flow_to(f, n, &entry);
}

/* Does a conditional jump go this way, for all that is known? */
static bool may_go(const struct vsec *s, const struct vinsn *n, const struct stack_state *st, bool taken)
{
	const uint8_t *p = s->data + n->off;
	uint8_t condition = n->len == 2 ? p[0] & 15 : n->len == 6 ? p[1] & 15 : 0;

	if (st->zero < 0 || (condition != 4 && condition != 5) ||
	    (n->len == 2 ? (p[0] & 0xf0) != 0x70 : p[0] != 0x0f || (p[1] & 0xf0) != 0x80))
		return true;
	return taken == ((condition == 4) == st->zero);
}

/*
 * A jump to a function's start, or to a stub, with the return address on top is a call
 * whose return is the caller's. What registers hold is no matter there, and the stub for
 * a pointer leads to all functions: one that is known too little of must not spoil all.
 */
static void flow_jump(struct flow *f, const struct vsec *s, const struct vinsn *n, const struct stack_state *st)
{
	const struct vinsn *to = target_of(n);

	if (to && st->reg[STACK_RSP] == STACK_ENTRY && (n->target_sec != s || f->starts[to->block]))
		flow_entry(f, to);
	else
		flow_to(f, to, st);
}

/* One instruction; false: control does not go on behind it. @fr: of a call. */
static bool step(struct flow *f, const struct vsec *s, const struct vinsn *n,
		 const struct gm_frame *fr, struct stack_state *st)
{
	bool on = true;

	switch (n->kind) {
	case V_RET:
	case V_TRAP:
		return false;
	case V_PLAIN:
		stack_step(f->alignment, &n->stack, st);
		return true;
	case V_CALL:
		flow_entry(f, target_of(n));
		stack_call(fr, st);
		break;
	case V_JMP:
	case V_JCC:
		on = n->kind == V_JCC && may_go(s, n, st, false);
		if (n->kind == V_JCC && !may_go(s, n, st, true))
			break;
		st->zero = -1;
		flow_jump(f, s, n, st);
		break;
	}
	st->zero = -1;
	return on;
}

/* What is wrong with the stack pointer before an instruction, or NULL; @before: at the last one. */
static const char *judge(struct flow *f, uint32_t b, const struct vsec *s, struct vinsn *n,
			 int32_t sp, const char *before)
{
	const char *wrong = NULL;

	f->lost[b] |= !stack_known(sp);
	if (!stack_known(sp))
		wrong = "the stack pointer is not known.";
	else if (n->kind == V_RET && sp != STACK_ENTRY)
		wrong = "the stack pointer is not at the return address.";
	else if (sp + (n->kind == V_CALL ? 8 : 0) > STACK_DEEPEST)
		wrong = "the frame may reach over the guard page.";
	/* What is lost while the CFA is aligned anyhow is followed up. */
	if (!wrong || wrong == before || n->told || (!stack_known(sp) && f->alignment == STACK_ANY))
		return wrong;
	finding(f->v, "stack", s, n->off, "%s", wrong);
	n->told = true;
	return wrong;
}

/* From a block's start to the next; @at: what is known at each call, or NULL: not judged. */
static void walk(struct flow *f, uint32_t b, struct stack_at *at)
{
	const struct block *bl = &f->blocks[b];
	const struct vsec *s = f->v->region_secs[bl->region];
	struct stack_state st = f->states[f->slots[b] - 1];
	uint32_t call = bl->call;
	const char *wrong = NULL;

	for (size_t i = bl->insn; i < s->nr_insns; i++) {
		struct vinsn *n = &s->insns[i];

		if (i != bl->insn && n->block) {
			flow_to(f, n, &st);
			return;
		}
		if (at)
			wrong = judge(f, b, s, n, st.reg[STACK_RSP], wrong);
		if (at && n->kind == V_CALL)
			at[call] = (struct stack_at){ true, st.reg[STACK_RSP], st.saved };
		if (!step(f, s, n, n->kind == V_CALL ? f->frames[call++] : NULL, &st))
			return;
	}
}

static void drain(struct flow *f)
{
	while (f->nr_todo) {
		uint32_t b = f->todo[--f->nr_todo];

		f->queued[b] = false;
		walk(f, b, NULL);
	}
}

static bool is_reached(const struct flow *f, uint32_t b)
{
	return f->slots[b] && f->states[f->slots[b] - 1].reached;
}

/*
 * Once more for the saved registers: in the first round a register may have
 * seemed to be the caller's still, where it is not on each of the ways.
 */
static void follow_saved(struct flow *f)
{
	for (uint32_t b = 1; b < f->nr_blocks; b++) {
		if (!is_reached(f, b))
			continue;
		f->states[f->slots[b] - 1].saved = 0;
		f->queued[b] = true;
		f->todo[f->nr_todo++] = b;
	}
	drain(f);
}

static void enter_block(struct flow *f, uint32_t b)
{
	flow_entry(f, &f->v->region_secs[f->blocks[b].region]->insns[f->blocks[b].insn]);
}

/* Every function, from what leads to it; what only symbols lead to comes last. */
static void enter_all(struct flow *f)
{
	struct vimg *v = f->v;

	for (uint32_t i = 0; i < v->man->gates.count; i++) {
		const struct vsec *s = gate_target(v, &v->gates[i]);

		if (s)
			flow_entry(f, vinsn_at(s, v->gates[i].target_addend));
	}
	drain(f);
	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		const struct vsec *s = text(v, i);

		/* Parts that lie elsewhere have no entry. */
		for (size_t j = 0; s && j < s->nr_funcs; j++) {
			const struct vinsn *n = vinsn_at(s, s->funcs[j]->value);

			if (n && n->block && !is_reached(f, n->block) && !strstr(s->funcs[j]->name, ".cold"))
				flow_entry(f, n);
		}
		drain(f);
	}
}

/*
 * Until nothing is new; then what is known at each call. @entered: by block, what
 * to enter as a function, NULL: find that out.
 */
static void follow(struct flow *f, int alignment, size_t nr_slots, const bool *entered,
		   struct stack_at *at)
{
	f->alignment = alignment;
	f->states = xalloc(nr_slots * sizeof(*f->states));
	f->entered = xalloc(f->nr_blocks * sizeof(*f->entered));
	for (uint32_t b = 1; entered && b < f->nr_blocks; b++)
		if (entered[b] && f->slots[b])
			enter_block(f, b);
	if (entered)
		drain(f);
	else
		enter_all(f);
	follow_saved(f);
	for (uint32_t b = 1; b < f->nr_blocks; b++)
		if (is_reached(f, b))
			walk(f, b, at);
}

/* Calls @fn for each way that leads on from a block to another, functions' entries apart. */
static void for_each_way(struct flow *f, void (*fn)(struct flow *, uint32_t from, uint32_t to))
{
	for (uint32_t b = 1; b < f->nr_blocks; b++) {
		const struct vsec *s = f->v->region_secs[f->blocks[b].region];

		for (size_t i = f->blocks[b].insn; i < s->nr_insns; i++) {
			const struct vinsn *n = &s->insns[i], *t = target_of(n);

			if (i != f->blocks[b].insn && n->block) {
				fn(f, b, n->block);
				break;
			}
			if (t && (n->kind == V_JMP || n->kind == V_JCC))
				fn(f, b, t->block);
			if (n->kind == V_JMP || n->kind == V_RET || n->kind == V_TRAP)
				break;
		}
	}
}

static void count_pred(struct flow *f, uint32_t from, uint32_t to)
{
	(void)from;
	f->first_pred[to + 1]++;
}

static void put_pred(struct flow *f, uint32_t from, uint32_t to)
{
	f->preds[f->first_pred[to]++] = from;
}

static void find_preds(struct flow *f)
{
	f->first_pred = xalloc((f->nr_blocks + 1) * sizeof(*f->first_pred));
	for_each_way(f, count_pred);
	for (size_t b = 0; b < f->nr_blocks; b++)
		f->first_pred[b + 1] += f->first_pred[b];
	f->preds = xalloc((f->first_pred[f->nr_blocks] + 1) * sizeof(*f->preds));
	for_each_way(f, put_pred);
	/* Each has moved on to where the next one's begin. */
	memmove(f->first_pred + 1, f->first_pred, f->nr_blocks * sizeof(*f->first_pred));
	f->first_pred[0] = 0;
}

static void want(struct flow *f, uint32_t b, size_t *nr)
{
	if (f->slots[b])
		return;
	f->slots[b] = ++*nr;
	f->todo[f->nr_todo++] = b;
}

static bool is_open(const struct stack_call *c)
{
	return c->any.reached && !stack_known(c->any.sp);
}

/* Gives slots to the blocks where the stack pointer is lost, and to what leads there; how many. */
static size_t choose_blocks(struct flow *f)
{
	size_t nr = 0;

	memset(f->slots, 0, f->nr_blocks * sizeof(*f->slots));
	find_preds(f);
	for (uint32_t b = 1; b < f->nr_blocks; b++)
		if (f->lost[b])
			want(f, b, &nr);
	while (f->nr_todo) {
		uint32_t b = f->todo[--f->nr_todo];

		for (uint32_t i = f->first_pred[b]; i < f->first_pred[b + 1]; i++)
			want(f, f->preds[i], &nr);
	}
	return nr;
}

struct stack_call *stack_follow_all(struct vimg *v)
{
	struct flow f = { .v = v };
	struct stack_call *calls;
	const bool *entered;
	struct stack_at *at;
	size_t nr;

	mark_blocks(v);
	number_blocks(&f);
	find_starts(&f);
	f.slots = xalloc(f.nr_blocks * sizeof(*f.slots));
	f.queued = xalloc(f.nr_blocks * sizeof(*f.queued));
	f.lost = xalloc(f.nr_blocks * sizeof(*f.lost));
	f.todo = xalloc(f.nr_blocks * sizeof(*f.todo));
	calls = xalloc((f.nr_calls + 1) * sizeof(*calls));
	at = xalloc((f.nr_calls + 1) * sizeof(*at));
	for (uint32_t b = 1; b < f.nr_blocks; b++)
		f.slots[b] = b;
	follow(&f, STACK_ANY, f.nr_blocks, NULL, at);
	entered = f.entered;
	for (size_t i = 0; i < f.nr_calls; i++)
		calls[i].any = at[i];
	nr = choose_blocks(&f);
	for (int c = 0; nr && c < STACK_ALIGNMENTS; c++) {
		memset(at, 0, f.nr_calls * sizeof(*at));
		follow(&f, c, nr, entered, at);
		for (size_t i = 0; i < f.nr_calls; i++) {
			if (!is_open(&calls[i]))
				continue;
			if (!calls[i].aligned)
				calls[i].aligned = xalloc(STACK_ALIGNMENTS * sizeof(*at));
			calls[i].aligned[c] = at[i];
		}
	}
	return calls;
}
