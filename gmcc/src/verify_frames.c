// SPDX-License-Identifier: GPL-2.0
/*
 * The frames table: exactly one row per call in text, and each row right.
 *
 * Proves I3 and I5 for stacks. The stack pointer is followed through all text,
 * from the gates and the called functions on, along every branch, in bytes
 * below the CFA (the address just above the return address). At a call that
 * gives the row's size; and where registers of the caller's are saved is known
 * too, so a shared window must hold neither these nor the return address. Where
 * paths disagree (behind calls that do not return) or the stack pointer is
 * realigned, the module's unwind data must agree instead.
 */
#include <capstone/capstone.h>
#include <stdlib.h>
#include <string.h>

#include "verify.h"

#define UNSET		INT32_MIN
#define UNKNOWN		INT32_MAX
#define ENTRY_DEPTH	8	/* the return address */
#define NR_SAVED	6

/* What is known before an instruction. Distances are CFA - register. */
struct state {
	int32_t sp, bp;
	uint8_t original;	/* bit: the register still holds the caller's value */
	uint64_t slots;		/* bit n: CFA - 16 - 8n holds a caller's register */
};

struct flow {
	struct vimg *v;
	struct state **states;		/* by region, instruction */
	uint32_t *todo_region, *todo_insn;
	size_t nr_todo;
};

struct orc_row {
	uint32_t off;
	int16_t sp_offset;
	uint8_t sp_reg, type;
};

static const unsigned int saved_regs[NR_SAVED] = {
	X86_REG_RBX, X86_REG_RBP, X86_REG_R12, X86_REG_R13, X86_REG_R14, X86_REG_R15,
};

static bool known(int64_t distance)
{
	return distance != UNSET && distance != UNKNOWN;
}

/* The callee-saved register that a register is, or is part of; -1: none. */
static int saved_reg(csh cs, unsigned int reg)
{
	static const char *const names[NR_SAVED][5] = {
		{ "rbx", "ebx", "bx", "bl", "bh" }, { "rbp", "ebp", "bp", "bpl", "" },
		{ "r12", "r12d", "r12w", "r12b", "" }, { "r13", "r13d", "r13w", "r13b", "" },
		{ "r14", "r14d", "r14w", "r14b", "" }, { "r15", "r15d", "r15w", "r15b", "" },
	};
	const char *name = cs_reg_name(cs, reg);

	for (int i = 0; name && i < NR_SAVED; i++)
		for (int j = 0; j < 5; j++)
			if (!strcmp(name, names[i][j]))
				return i;
	return -1;
}

/* The stack grew or shrank: slots below it are gone. */
static void set_sp(struct state *st, int64_t sp)
{
	if (sp < 0 || sp > 1 << 20) {
		st->sp = UNKNOWN;
		return;
	}
	st->sp = sp;
	for (int n = 0; n < 64; n++)
		if (16 + 8 * n > sp)
			st->slots &= ~(1ULL << n);
}

static void save_slot(struct state *st, int64_t below_cfa)
{
	if (below_cfa >= 16 && below_cfa % 8 == 0 && (below_cfa - 16) / 8 < 64)
		st->slots |= 1ULL << ((below_cfa - 16) / 8);
}

/* What a memory operand's base is, in bytes below the CFA, if it is known. */
static bool stack_operand(const struct state *st, const cs_x86_op *op, int64_t *below)
{
	int32_t base = op->mem.base == X86_REG_RSP ? st->sp : op->mem.base == X86_REG_RBP ? st->bp : UNKNOWN;

	if (op->type != X86_OP_MEM || !known(base) ||
	    op->mem.index != X86_REG_INVALID)
		return false;
	*below = base - op->mem.disp;
	return true;
}

static void written_registers(csh cs, const cs_insn *in, struct state *st)
{
	cs_regs read, write;
	uint8_t nr_read, nr_write;

	if (cs_regs_access(cs, in, read, &nr_read, write, &nr_write) != CS_ERR_OK)
		return;
	for (uint8_t i = 0; i < nr_write; i++) {
		int r = saved_reg(cs, write[i]);

		if (r < 0)
			continue;
		st->original &= ~(1u << r);
		if (saved_regs[r] == X86_REG_RBP)
			st->bp = UNKNOWN;
	}
}

static void do_pop(const cs_x86_op *op, struct state *st)
{
	bool saved = st->sp >= 16 && (st->sp - 16) / 8 < 64 && st->slots >> ((st->sp - 16) / 8) & 1;

	for (int r = 0; r < NR_SAVED; r++)
		if (op->type == X86_OP_REG && op->reg == saved_regs[r]) {
			st->original &= ~(1u << r);
			if (saved)
				st->original |= 1u << r;
			if (op->reg == X86_REG_RBP)
				st->bp = UNKNOWN;
		}
	set_sp(st, st->sp - 8);
}

/* RSP or RBP set from a known address. */
static void set_pointer(struct state *st, unsigned int reg, int64_t below)
{
	if (reg == X86_REG_RSP) {
		set_sp(st, below);
	} else {
		st->bp = below < 0 || below > 1 << 20 ? UNKNOWN : below;
		st->original &= ~(1u << 1);
	}
}

static void unknown_sp(struct state *st)
{
	st->sp = UNKNOWN;
}

/* Instructions that move RSP or RBP, or save a register. True: dealt with. */
static bool step_stack(const cs_insn *in, struct state *st)
{
	const cs_x86 *x = &in->detail->x86;
	const cs_x86_op *op = x->operands;
	bool pointer = x->op_count && op[0].type == X86_OP_REG &&
		       (op[0].reg == X86_REG_RSP || op[0].reg == X86_REG_RBP);
	int64_t below;

	if (st->sp == UNKNOWN && in->id != X86_INS_LEAVE && !pointer)
		return false;
	switch (in->id) {
	case X86_INS_PUSH:
	case X86_INS_PUSHFQ:
		if (st->sp == UNKNOWN)
			return true;
		for (int r = 0; in->id == X86_INS_PUSH && r < NR_SAVED; r++)
			if (op[0].type == X86_OP_REG && op[0].reg == saved_regs[r] && st->original >> r & 1) {
				set_sp(st, st->sp + 8);
				save_slot(st, st->sp);
				return true;
			}
		set_sp(st, st->sp + 8);
		return true;
	case X86_INS_POP:
	case X86_INS_POPFQ:
		if (st->sp == UNKNOWN)
			return false;
		if (in->id == X86_INS_POP)
			do_pop(op, st);
		else
			set_sp(st, st->sp - 8);
		return true;
	case X86_INS_LEAVE:
		if (!known(st->bp)) {
			unknown_sp(st);
			return true;
		}
		set_sp(st, st->bp);
		do_pop(&(cs_x86_op){ .type = X86_OP_REG, .reg = X86_REG_RBP }, st);
		return true;
	case X86_INS_SUB:
	case X86_INS_ADD:
		if (!pointer || op[0].reg != X86_REG_RSP)
			return false;
		if (op[1].type != X86_OP_IMM || st->sp == UNKNOWN)
			unknown_sp(st);
		else
			set_sp(st, st->sp + (in->id == X86_INS_SUB ? op[1].imm : -op[1].imm));
		return true;
	case X86_INS_LEA:
		if (!pointer || !stack_operand(st, &op[1], &below))
			return false;
		set_pointer(st, op[0].reg, below);
		return true;
	case X86_INS_MOV:
		if (pointer && op[1].type == X86_OP_REG &&
		    (op[1].reg == X86_REG_RSP || op[1].reg == X86_REG_RBP)) {
			below = op[1].reg == X86_REG_RSP ? st->sp : st->bp;
			if (!known(below))
				return false;
			set_pointer(st, op[0].reg, below);
			return true;
		}
		if (x->op_count == 2 && op[1].type == X86_OP_REG && stack_operand(st, &op[0], &below))
			for (int r = 0; r < NR_SAVED; r++)
				if (op[1].reg == saved_regs[r] && st->original >> r & 1)
					save_slot(st, below);
		return false;
	}
	return false;
}

static void step(csh cs, const cs_insn *in, struct state *st)
{
	cs_regs read, write;
	uint8_t nr_read, nr_write;

	if (step_stack(in, st))
		return;
	written_registers(cs, in, st);
	if (in->id == X86_INS_CALL ||
	    cs_regs_access(cs, in, read, &nr_read, write, &nr_write) != CS_ERR_OK)
		return;
	for (uint8_t i = 0; i < nr_write; i++)
		if (write[i] == X86_REG_RSP || write[i] == X86_REG_ESP || write[i] == X86_REG_SP)
			unknown_sp(st);
}

/* Joins what is known; true if that told anything new. */
static bool join(struct state *to, const struct state *from)
{
	struct state old = *to;

	if (to->sp == UNSET) {
		*to = *from;
		return true;
	}
	if (to->sp != from->sp)
		to->sp = UNKNOWN;
	if (to->bp != from->bp)
		to->bp = UNKNOWN;
	to->original |= from->original;
	to->slots |= from->slots;
	return old.sp != to->sp || old.bp != to->bp || old.original != to->original ||
	       old.slots != to->slots;
}

static void flow_to(struct flow *f, const struct vsec *s, uint64_t off, const struct state *st)
{
	const struct vinsn *n = s ? vinsn_at(s, off) : NULL;
	uint32_t i;

	if (!n || !f->states[s->region])
		return;
	i = n - s->insns;
	if (!join(&f->states[s->region][i], st))
		return;
	f->todo_region = xgrow(f->todo_region, f->nr_todo, sizeof(*f->todo_region));
	f->todo_insn = xgrow(f->todo_insn, f->nr_todo, sizeof(*f->todo_insn));
	f->todo_region[f->nr_todo] = s->region;
	f->todo_insn[f->nr_todo++] = i;
}

static void flow_entry(struct flow *f, const struct vsec *s, uint64_t off)
{
	const struct state entry = { .sp = ENTRY_DEPTH, .bp = UNKNOWN, .original = (1 << NR_SAVED) - 1 };

	flow_to(f, s, off, &entry);
}

/* Calls that do not return: what stands behind them is another path's. */
static bool no_return(const struct vimg *v, const struct vinsn *n)
{
	static const char *const names[] = {
		"__stack_chk_fail", "panic", "__fortify_panic", "fortify_panic", "do_exit",
		"kthread_exit", "__module_put_and_kthread_exit", "kthread_complete_and_exit", "make_task_dead", "BUG_func", "nmi_panic",
		"__ubsan_handle_builtin_unreachable",
	};
	const struct gm_gate *g = n->target_sec ? vgate_at(v, n->target_sec, n->target) : NULL;

	for (size_t i = 0; g && g->kind == KVM_GM_GATE_OUT_CALL && i < ARRAY_SIZE(names); i++)
		if (!strcmp(vstring(v, g->name), names[i]))
			return true;
	return false;
}

static void flow_step(struct flow *f, csh cs, cs_insn *in, const struct vsec *s, uint32_t i)
{
	const struct vinsn *n = &s->insns[i];
	struct state st = f->states[s->region][i];
	const uint8_t *p = s->data + n->off;
	const struct vsym *here, *next;
	uint64_t addr = n->off;
	size_t left = n->len;

	if (n->kind == V_RET || n->kind == V_TRAP)
		return;
	if (n->kind == V_PLAIN) {
		if (!cs_disasm_iter(cs, &p, &left, &addr, in))
			return;
		step(cs, in, &st);
	}
	if (n->kind == V_CALL)
		flow_entry(f, n->target_sec, n->target);
	else if (n->kind == V_JMP || n->kind == V_JCC)
		flow_to(f, n->target_sec, n->target, &st);
	if (n->kind == V_JMP || (n->kind == V_CALL && no_return(f->v, n)))
		return;
	/* A call at a function's end does not come back into the next function. */
	here = vfunc_of(s, n->off);
	next = vfunc_of(s, n->off + n->len);
	if (n->kind == V_CALL && here && (here != next || n->off + n->len >= here->value + here->size))
		return;
	flow_to(f, s, n->off + n->len, &st);
}

static void drain(struct flow *f, csh cs, cs_insn *in)
{
	while (f->nr_todo) {
		f->nr_todo--;
		flow_step(f, cs, in, f->v->region_secs[f->todo_region[f->nr_todo]],
			  f->todo_insn[f->nr_todo]);
	}
}

static void follow(struct flow *f, csh cs, cs_insn *in)
{
	const struct vimg *v = f->v;

	f->states = xalloc((v->man->regions.count + 1) * sizeof(*f->states));
	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		const struct vsec *s = v->region_secs[i];

		if (!s || !s->nr_insns)
			continue;
		f->states[i] = xalloc(s->nr_insns * sizeof(**f->states));
		for (size_t j = 0; j < s->nr_insns; j++)
			f->states[i][j].sp = UNSET;
	}
	for (uint32_t i = 0; i < v->man->gates.count; i++)
		for (uint32_t j = 0; v->gates[i].kind == KVM_GM_GATE_IN_CALL && j < v->man->regions.count; j++)
			if (v->regions[j].anchor == v->gates[i].target_anchor)
				flow_entry(f, v->region_secs[j], v->gates[i].target_addend);
	drain(f, cs, in);
	/* What only symbols lead to; parts that lie elsewhere have no entry. */
	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		const struct vsec *s = v->region_secs[i];

		for (size_t j = 0; s && f->states[i] && j < s->nr_funcs; j++) {
			const struct vinsn *n = vinsn_at(s, s->funcs[j]->value);

			if (n && f->states[i][n - s->insns].sp == UNSET && !strstr(s->funcs[j]->name, ".cold"))
				flow_entry(f, s, n->off);
		}
		drain(f, cs, in);
	}
}

static int by_off(const void *a, const void *b)
{
	const struct orc_row *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

/* The unwind data of one section, as far as it is well-formed. */
static size_t read_orc(const struct vimg *v, const struct vsec *s, struct orc_row **rows)
{
	const struct vsec *ip = vsec_find(v, ".orc_unwind_ip"), *un = vsec_find(v, ".orc_unwind");
	size_t n = 0;

	if (!ip || !un || !un->data)
		return 0;
	*rows = xalloc((ip->nr_rels + 1) * sizeof(**rows));
	for (size_t i = 0; i < ip->nr_rels; i++) {
		const struct vrel *r = &ip->rels[i];
		uint64_t at = r->off / 4 * 6;
		int64_t off;

		if (vrel_target(r, 0, &off) != s || off < 0 || at + 6 > un->size)
			continue;
		(*rows)[n++] = (struct orc_row){
			.off = off, .sp_offset = (int16_t)(un->data[at] | un->data[at + 1] << 8),
			.sp_reg = un->data[at + 4] & 15, .type = un->data[at + 5] & 7,
		};
	}
	qsort(*rows, n, sizeof(**rows), by_off);
	return n;
}

static const struct orc_row *orc_row_at(const struct orc_row *rows, size_t n, uint32_t off)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (rows[mid].off <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &rows[lo - 1] : NULL;
}

static void check_window(struct vimg *v, const struct vsec *s, const struct vinsn *n,
			 const struct gm_frame *fr, const struct state *st)
{
	if (!fr->window_len)
		return;
	if ((uint32_t)fr->window + fr->window_len > fr->size) {
		finding(v, "frame", s, n->off, "the shared window reaches the return address.");
		return;
	}
	for (int k = 0; known(st->sp) && k < 64; k++) {
		int64_t at = st->sp - 16 - 8 * k;	/* from the stack pointer */

		if (st->slots >> k & 1 && at + 8 > fr->window && at < fr->window + fr->window_len) {
			finding(v, "frame", s, n->off,
				"the shared window (%u bytes at +%u) holds a saved register at +%lld.",
				fr->window_len, fr->window, (long long)at);
			return;
		}
	}
}

static void check_frame(struct vimg *v, const struct vsec *s, const struct vinsn *n,
			const struct gm_frame *fr, const struct state *st, const struct orc_row *orc)
{
	if (fr->size % 8 || fr->size >= (v->man->stack_pages - GM_STACK_GUARD) * GM_PAGE)
		finding(v, "frame", s, n->off, "a frame of %u bytes is not whole words on a stack.", fr->size);
	if (known(st->sp)) {
		v->proof.frames++;
		if (st->sp - ENTRY_DEPTH != (int64_t)fr->size)
			finding(v, "frame", s, n->off,
				"the frame has %d bytes below the return address, the manifest says %u.",
				st->sp - ENTRY_DEPTH, fr->size);
	} else {
		v->proof.frames_orc++;
		if (!orc || orc->type != ORC_TYPE_CALL || orc->sp_reg != ORC_REG_SP ||
		    orc->sp_offset - ENTRY_DEPTH != (int64_t)fr->size)
			finding(v, "frame", s, n->off,
				"neither the code nor the unwind data shows a frame of %u bytes.", fr->size);
	}
	check_window(v, s, n, fr, st);
}

/* The rows of one section and its calls, side by side. */
static uint32_t check_section(struct vimg *v, const struct vsec *s, const struct state *states,
			      uint32_t next)
{
	const uint32_t nr = v->man->frames.count;
	struct orc_row *rows = NULL;
	size_t nr_rows = read_orc(v, s, &rows);

	while (next < nr && v->frames[next].region < (uint32_t)s->region)
		finding(v, "frame", s, 0, "row %u of the frames is out of order, or in no text.", next++);
	for (size_t i = 0; i < s->nr_insns; i++) {
		const struct vinsn *n = &s->insns[i];
		const struct gm_frame *fr;

		if (n->kind != V_CALL)
			continue;
		for (; next < nr && v->frames[next].region == (uint32_t)s->region &&
		     v->frames[next].offset < n->off + n->len; next++)
			finding(v, "frame", s, v->frames[next].offset, "a frame behind no call.");
		fr = &v->frames[next];
		if (next >= nr || fr->region != (uint32_t)s->region || fr->offset != n->off + n->len) {
			finding(v, "frame", s, n->off, "a call without a frame.");
			continue;
		}
		check_frame(v, s, n, fr, &states[i], orc_row_at(rows, nr_rows, n->off));
		next++;
	}
	for (; next < nr && v->frames[next].region == (uint32_t)s->region; next++)
		finding(v, "frame", s, v->frames[next].offset, "a frame behind no call.");
	return next;
}

void verify_frames(struct vimg *v)
{
	struct flow f = { .v = v };
	uint32_t next = 0;
	struct decoder d = decoder_open(v->file);

	follow(&f, d.cs, d.in);
	for (uint32_t i = 0; i < v->man->regions.count; i++)
		if (v->region_secs[i] && f.states[i])
			next = check_section(v, v->region_secs[i], f.states[i], next);
	if (next < v->man->frames.count)
		finding(v, "frame", vsec_find(v, GM_SECTION_MANIFEST), v->man->frames.offset,
			"row %u of the frames is out of order, or in no text.", next);
}
