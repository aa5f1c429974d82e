// SPDX-License-Identifier: GPL-2.0
/*
 * Follows the stack pointer through all text: from the gates, the called
 * functions and what only symbols lead to, along every branch.
 *
 * What is known of a register or of a word on the stack is its distance from the
 * CFA. That is enough until a function aligns its stack pointer. For these, all
 * is followed once for each way in which the CFA can be aligned: then `and'
 * gives a known result, and so do the tests by which guard chooses between calls.
 */
#include <capstone/capstone.h>
#include <string.h>

#include "verify_stack.h"

#define NR_SAVED	6
#define MAX_DISTANCE	(1 << 20)
#define ALIGNMENT	64

static const uint8_t saved_regs[NR_SAVED] = { 3, STACK_RBP, 12, 13, 14, 15 };
static const uint8_t scratch_regs[] = { 0, 1, 2, 6, 7, 8, 9, 10, 11 };

/* The number of the 64-bit register that a register is, or is the low part of. */
static int number_of(csh cs, unsigned int reg)
{
	static const char names[16][4][6] = {
		{ "rax", "eax", "ax", "al" }, { "rcx", "ecx", "cx", "cl" },
		{ "rdx", "edx", "dx", "dl" }, { "rbx", "ebx", "bx", "bl" },
		{ "rsp", "esp", "sp", "spl" }, { "rbp", "ebp", "bp", "bpl" },
		{ "rsi", "esi", "si", "sil" }, { "rdi", "edi", "di", "dil" },
		{ "r8", "r8d", "r8w", "r8b" }, { "r9", "r9d", "r9w", "r9b" },
		{ "r10", "r10d", "r10w", "r10b" }, { "r11", "r11d", "r11w", "r11b" },
		{ "r12", "r12d", "r12w", "r12b" }, { "r13", "r13d", "r13w", "r13b" },
		{ "r14", "r14d", "r14w", "r14b" }, { "r15", "r15d", "r15w", "r15b" },
	};
	static const char *const high[] = { "ah", "ch", "dh", "bh" };
	static int8_t cache[X86_REG_ENDING];	/* number + 1, or -1 */
	const char *name;

	if (reg >= X86_REG_ENDING)
		return -1;
	if (cache[reg])
		return cache[reg] > 0 ? cache[reg] - 1 : -1;
	cache[reg] = -1;
	name = cs_reg_name(cs, reg);
	for (int i = 0; name && i < 16; i++)
		for (int j = 0; j < 4; j++)
			if (!strcmp(name, names[i][j]) || (i < 4 && !strcmp(name, high[i])))
				cache[reg] = i + 1;
	return cache[reg] > 0 ? cache[reg] - 1 : -1;
}

static int saved_index(int reg)
{
	for (int i = 0; i < NR_SAVED; i++)
		if (saved_regs[i] == reg)
			return i;
	return -1;
}

static int32_t limited(int64_t below)
{
	return below < 0 || below > MAX_DISTANCE ? STACK_UNKNOWN : below;
}

static void set_reg(struct stack_state *st, int reg, int64_t below)
{
	if (saved_index(reg) >= 0)
		st->original &= ~(1u << saved_index(reg));
	st->reg[reg] = limited(below);
	if (reg != STACK_RSP || !stack_known(st->reg[reg]))
		return;
	/* What is below the stack pointer is gone. */
	for (int n = 0; n < 64; n++)
		if (16 + 8 * n > st->reg[reg])
			st->saved &= ~(1ULL << n);
	for (int n = 0; n < STACK_WORDS; n++)
		if (8 + 8 * n > st->reg[reg])
			st->word[n] = STACK_UNKNOWN;
}

static int32_t word_at(const struct stack_state *st, int64_t below)
{
	return below >= 8 && below % 8 == 0 && below / 8 <= STACK_WORDS ? st->word[below / 8 - 1] :
	       STACK_UNKNOWN;
}

/* A store of @size bytes, of a value if it is a whole word. */
static void store(struct stack_state *st, int64_t below, unsigned int size, int32_t value, int reg)
{
	for (int n = 0; n < STACK_WORDS; n++) {
		int64_t at = 8 + 8 * n;

		if (below > at - 8 && below - (int64_t)size < at)
			st->word[n] = size == 8 && below == at ? value : STACK_UNKNOWN;
	}
	if (reg >= 0 && saved_index(reg) >= 0 && size == 8 && st->original >> saved_index(reg) & 1 &&
	    below >= 16 && below % 8 == 0 && (below - 16) / 8 < 64)
		st->saved |= 1ULL << ((below - 16) / 8);
}

/* A memory operand's distance below the CFA, if it is known. */
static bool stack_operand(csh cs, const struct stack_state *st, const cs_x86_op *op, int64_t *below)
{
	int base = op->type == X86_OP_MEM ? number_of(cs, op->mem.base) : -1;

	if (base < 0 || op->mem.index != X86_REG_INVALID || op->mem.segment != X86_REG_INVALID ||
	    !stack_known(st->reg[base]))
		return false;
	*below = st->reg[base] - op->mem.disp;
	return true;
}

/* The value of an operand of 8 bytes. */
static int32_t value_of(csh cs, const struct stack_state *st, const cs_x86_op *op)
{
	int64_t below;

	if (op->size != 8)
		return STACK_UNKNOWN;
	if (op->type == X86_OP_REG && number_of(cs, op->reg) >= 0)
		return st->reg[number_of(cs, op->reg)];
	return stack_operand(cs, st, op, &below) ? word_at(st, below) : STACK_UNKNOWN;
}

/* Everything that an instruction writes is unknown afterwards. */
static void forget(csh cs, const cs_insn *in, struct stack_state *st)
{
	const cs_x86 *x = &in->detail->x86;
	uint8_t nr_read, nr_write;
	cs_regs read, write;
	int64_t below;

	if (cs_regs_access(cs, in, read, &nr_read, write, &nr_write) != CS_ERR_OK)
		nr_write = 0;
	for (uint8_t i = 0; i < nr_write; i++)
		if (number_of(cs, write[i]) >= 0)
			set_reg(st, number_of(cs, write[i]), STACK_UNKNOWN);
	if (x->op_count && stack_operand(cs, st, &x->operands[0], &below) && in->id != X86_INS_CMP &&
	    in->id != X86_INS_TEST)
		store(st, below, x->operands[0].size, STACK_UNKNOWN, -1);
}

static void push(csh cs, const cs_insn *in, struct stack_state *st)
{
	const cs_x86_op *op = in->detail->x86.operands;
	int reg = in->id == X86_INS_PUSH && op->type == X86_OP_REG ? number_of(cs, op->reg) : -1;
	int32_t value = in->id == X86_INS_PUSH ? value_of(cs, st, op) : STACK_UNKNOWN;

	if (!stack_known(st->reg[STACK_RSP]))
		return;
	set_reg(st, STACK_RSP, (int64_t)st->reg[STACK_RSP] + 8);
	if (stack_known(st->reg[STACK_RSP]))
		store(st, st->reg[STACK_RSP], 8, value, reg);
}

static void pop(struct stack_state *st, int reg)
{
	int64_t sp = st->reg[STACK_RSP];
	bool saved;

	if (!stack_known(sp)) {
		if (reg >= 0)
			set_reg(st, reg, STACK_UNKNOWN);
		return;
	}
	saved = sp >= 16 && (sp - 16) / 8 < 64 && st->saved >> ((sp - 16) / 8) & 1;
	if (reg >= 0) {
		set_reg(st, reg, word_at(st, sp));
		if (saved && saved_index(reg) >= 0)
			st->original |= 1u << saved_index(reg);
	}
	if (reg != STACK_RSP)
		set_reg(st, STACK_RSP, sp - 8);
}

/* The low bits of a value that is @below the CFA. */
static int64_t low_bits(int alignment, int64_t below)
{
	return (8 * alignment - below) & (ALIGNMENT - 1);
}

/* and $-A, %reg */
static void align(int alignment, csh cs, const cs_insn *in, struct stack_state *st)
{
	const cs_x86_op *op = in->detail->x86.operands;
	int64_t a = op[1].type == X86_OP_IMM ? -op[1].imm : 0;
	int32_t value = value_of(cs, st, &op[0]);

	if (op[0].type != X86_OP_REG || alignment == STACK_ANY || a < 1 || a > ALIGNMENT || a & (a - 1) ||
	    !stack_known(value)) {
		forget(cs, in, st);
		return;
	}
	set_reg(st, number_of(cs, op[0].reg), value + (low_bits(alignment, value) & (a - 1)));
}

/* test $bits, of the low byte of a value that is known. */
static int8_t test(int alignment, csh cs, const cs_insn *in, const struct stack_state *st)
{
	const cs_x86_op *op = in->detail->x86.operands;
	int32_t value = STACK_UNKNOWN;
	int64_t below;

	if (alignment == STACK_ANY || op[1].type != X86_OP_IMM || op[1].imm < 0 || op[1].imm >= ALIGNMENT)
		return -1;
	if (op[0].type == X86_OP_REG && number_of(cs, op[0].reg) >= 0 && op[0].reg != X86_REG_AH &&
	    op[0].reg != X86_REG_BH && op[0].reg != X86_REG_CH && op[0].reg != X86_REG_DH)
		value = st->reg[number_of(cs, op[0].reg)];
	else if (stack_operand(cs, st, &op[0], &below))
		value = word_at(st, below);
	return stack_known(value) ? !(low_bits(alignment, value) & op[1].imm) : -1;
}

static void move(csh cs, const cs_insn *in, struct stack_state *st)
{
	const cs_x86_op *op = in->detail->x86.operands;
	int32_t value = value_of(cs, st, &op[1]);
	int64_t below;

	if (op[0].type == X86_OP_REG && op[0].size == 8 && number_of(cs, op[0].reg) >= 0)
		set_reg(st, number_of(cs, op[0].reg), value);
	else if (stack_operand(cs, st, &op[0], &below))
		store(st, below, op[0].size, value,
		      op[1].type == X86_OP_REG && op[1].size == 8 ? number_of(cs, op[1].reg) : -1);
	else
		forget(cs, in, st);
}

static void add(csh cs, const cs_insn *in, struct stack_state *st, int sign)
{
	const cs_x86_op *op = in->detail->x86.operands;
	int32_t value = value_of(cs, st, &op[0]);

	if (op[0].type != X86_OP_REG || op[1].type != X86_OP_IMM || !stack_known(value) ||
	    op[1].imm < -MAX_DISTANCE || op[1].imm > MAX_DISTANCE)
		forget(cs, in, st);
	else
		set_reg(st, number_of(cs, op[0].reg), value - sign * op[1].imm);
}

static void step(int alignment, csh cs, const cs_insn *in, struct stack_state *st)
{
	const cs_x86_op *op = in->detail->x86.operands;
	int8_t zero = -1;
	int64_t below;

	switch (in->id) {
	case X86_INS_PUSH:
	case X86_INS_PUSHFQ:
		push(cs, in, st);
		break;
	case X86_INS_POP:
		if (op[0].type == X86_OP_REG)
			pop(st, number_of(cs, op[0].reg));
		else
			pop(st, -1);
		break;
	case X86_INS_POPFQ:
		pop(st, -1);
		break;
	case X86_INS_LEAVE:
		set_reg(st, STACK_RSP, st->reg[STACK_RBP]);
		pop(st, STACK_RBP);
		break;
	case X86_INS_LEA:
		if (op[0].size == 8 && stack_operand(cs, st, &op[1], &below))
			set_reg(st, number_of(cs, op[0].reg), below);
		else
			forget(cs, in, st);
		break;
	case X86_INS_MOV:
		move(cs, in, st);
		break;
	case X86_INS_ADD:
		add(cs, in, st, 1);
		break;
	case X86_INS_SUB:
		add(cs, in, st, -1);
		break;
	case X86_INS_AND:
		align(alignment, cs, in, st);
		break;
	case X86_INS_TEST:
		zero = test(alignment, cs, in, st);
		break;
	default:
		forget(cs, in, st);
	}
	st->zero = zero;
}

/* Joins what is known; true if that told anything new. */
static bool join(struct stack_state *to, const struct stack_state *from)
{
	struct stack_state old = *to;

	if (to->reg[STACK_RSP] == STACK_UNSET) {
		*to = *from;
		return true;
	}
	for (int i = 0; i < 16; i++)
		if (to->reg[i] != from->reg[i])
			to->reg[i] = STACK_UNKNOWN;
	for (int i = 0; i < STACK_WORDS; i++)
		if (to->word[i] != from->word[i])
			to->word[i] = STACK_UNKNOWN;
	if (to->zero != from->zero)
		to->zero = -1;
	to->original |= from->original;
	to->saved |= from->saved;
	return memcmp(old.reg, to->reg, sizeof(old.reg)) || memcmp(old.word, to->word, sizeof(old.word)) ||
	       old.zero != to->zero || old.original != to->original || old.saved != to->saved;
}

static void flow_to(struct stack_flow *f, const struct vsec *s, uint64_t off,
		    const struct stack_state *st)
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

static void flow_entry(struct stack_flow *f, const struct vsec *s, uint64_t off)
{
	struct stack_state entry = { .zero = -1, .original = (1 << NR_SAVED) - 1 };

	for (int i = 0; i < 16; i++)
		entry.reg[i] = STACK_UNKNOWN;
	for (int i = 0; i < STACK_WORDS; i++)
		entry.word[i] = STACK_UNKNOWN;
	entry.reg[STACK_RSP] = STACK_ENTRY;
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

static void flow_step(struct vimg *v, struct stack_flow *f, struct decoder d, const struct vsec *s, uint32_t i)
{
	const struct vinsn *n = &s->insns[i];
	struct stack_state st = f->states[s->region][i], before = st;
	const uint8_t *p = s->data + n->off;
	const struct vsym *here, *next;
	uint64_t addr = n->off;
	size_t left = n->len;

	if (n->kind == V_RET || n->kind == V_TRAP)
		return;
	if (n->kind == V_PLAIN) {
		if (!cs_disasm_iter(d.cs, &p, &left, &addr, d.in))
			return;
		step(f->alignment, d.cs, d.in, &st);
	} else {
		st.zero = -1;
	}
	if (n->kind == V_CALL) {
		flow_entry(f, n->target_sec, n->target);
		for (size_t k = 0; k < ARRAY_SIZE(scratch_regs); k++)
			st.reg[scratch_regs[k]] = STACK_UNKNOWN;
	} else if (n->kind == V_JMP || (n->kind == V_JCC && may_go(s, n, &before, true))) {
		flow_to(f, n->target_sec, n->target, &st);
	}
	if (n->kind == V_JMP || (n->kind == V_CALL && no_return(v, n)) ||
	    (n->kind == V_JCC && !may_go(s, n, &before, false)))
		return;
	/* A call at a function's end does not come back into the next function. */
	here = vfunc_of(s, n->off);
	next = vfunc_of(s, n->off + n->len);
	if (n->kind == V_CALL && here && (here != next || n->off + n->len >= here->value + here->size))
		return;
	flow_to(f, s, n->off + n->len, &st);
}

static void drain(struct vimg *v, struct stack_flow *f, struct decoder d)
{
	while (f->nr_todo) {
		f->nr_todo--;
		flow_step(v, f, d, v->region_secs[f->todo_region[f->nr_todo]], f->todo_insn[f->nr_todo]);
	}
}

void stack_follow_all(struct vimg *v, int alignment, struct stack_flow *f)
{
	struct decoder d = decoder_open(v->file);

	*f = (struct stack_flow){ .alignment = alignment };
	f->states = xalloc((v->man->regions.count + 1) * sizeof(*f->states));
	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		const struct vsec *s = v->region_secs[i];

		if (!s || !s->nr_insns)
			continue;
		f->states[i] = xalloc(s->nr_insns * sizeof(**f->states));
		for (size_t j = 0; j < s->nr_insns; j++)
			f->states[i][j].reg[STACK_RSP] = STACK_UNSET;
	}
	for (uint32_t i = 0; i < v->man->gates.count; i++)
		for (uint32_t j = 0; v->gates[i].kind == KVM_GM_GATE_IN_CALL && j < v->man->regions.count; j++)
			if (v->regions[j].anchor == v->gates[i].target_anchor)
				flow_entry(f, v->region_secs[j], v->gates[i].target_addend);
	drain(v, f, d);
	/* What only symbols lead to; parts that lie elsewhere have no entry. */
	for (uint32_t i = 0; i < v->man->regions.count; i++) {
		const struct vsec *s = v->region_secs[i];

		for (size_t j = 0; s && f->states[i] && j < s->nr_funcs; j++) {
			const struct vinsn *n = vinsn_at(s, s->funcs[j]->value);

			if (n && f->states[i][n - s->insns].reg[STACK_RSP] == STACK_UNSET &&
			    !strstr(s->funcs[j]->name, ".cold"))
				flow_entry(f, s, n->off);
		}
		drain(v, f, d);
	}
}
