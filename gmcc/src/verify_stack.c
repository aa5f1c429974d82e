// SPDX-License-Identifier: GPL-2.0
/*
 * What one instruction does to what is known of the stack.
 *
 * What is known of a register or of a word on the stack is its distance from the
 * CFA. That is enough until a function aligns its stack pointer. For these, all
 * is followed once for each way in which the CFA can be aligned: then `and'
 * gives a known result, and so do the tests by which guard chooses between calls.
 *
 * An instruction is decoded once, to a struct stack_op, and stepped over often.
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

static bool is_high_byte(unsigned int reg)
{
	return reg == X86_REG_AH || reg == X86_REG_BH || reg == X86_REG_CH || reg == X86_REG_DH;
}

static int saved_index(int reg)
{
	for (int i = 0; i < NR_SAVED; i++)
		if (saved_regs[i] == reg)
			return i;
	return -1;
}

/* Operands, and all that is written. */
static void note_operands(csh cs, const cs_insn *in, struct stack_op *op)
{
	const cs_x86 *x = &in->detail->x86;
	uint8_t nr_read, nr_write;
	cs_regs read, write;

	if (cs_regs_access(cs, in, read, &nr_read, write, &nr_write) != CS_ERR_OK)
		nr_write = 0;
	for (uint8_t i = 0; i < nr_write; i++)
		if (number_of(cs, write[i]) >= 0)
			op->writes |= 1U << number_of(cs, write[i]);
	for (int i = 0; i < 2 && i < x->op_count; i++) {
		const cs_x86_op *o = &x->operands[i];

		op->size[i] = o->size;
		if (o->type == X86_OP_REG)
			op->reg[i] = number_of(cs, o->reg);
		if (o->type != X86_OP_MEM || o->mem.index != X86_REG_INVALID ||
		    o->mem.segment != X86_REG_INVALID || number_of(cs, o->mem.base) < 0)
			continue;
		op->mem = i;
		op->base = number_of(cs, o->mem.base);
		op->disp = (int32_t)o->mem.disp;
	}
}

static void note_kind(const cs_insn *in, struct stack_op *op)
{
	const cs_x86 *x = &in->detail->x86;
	const cs_x86_op *o = x->operands;
	bool imm = x->op_count == 2 && o[1].type == X86_OP_IMM;

	switch (in->id) {
	case X86_INS_PUSH:
	case X86_INS_PUSHFQ:
	case X86_INS_POP:
	case X86_INS_POPFQ:
	case X86_INS_LEAVE:
		if (x->prefix[2] == 0x66)	/* of two bytes */
			op->writes |= 1 << STACK_RSP;
		else
			op->kind = in->id == X86_INS_LEAVE ? STACK_LEAVE :
				   in->id == X86_INS_PUSH || in->id == X86_INS_PUSHFQ ? STACK_PUSH :
				   STACK_POP;
		break;
	case X86_INS_ENTER:	/* the disassembler does not say so */
		op->writes |= 1 << STACK_RSP | 1 << STACK_RBP;
		break;
	case X86_INS_LEA:
		op->kind = STACK_LEA;
		break;
	case X86_INS_MOV:
		op->kind = STACK_MOVE;
		break;
	case X86_INS_ADD:
	case X86_INS_SUB:
		if (!imm || op->reg[0] < 0 || o[1].imm < -MAX_DISTANCE || o[1].imm > MAX_DISTANCE)
			break;
		op->kind = STACK_ADD;
		op->imm = in->id == X86_INS_ADD ? o[1].imm : -o[1].imm;
		break;
	case X86_INS_AND:
		if (!imm || op->reg[0] < 0 || o[1].imm >= 0 || o[1].imm < -ALIGNMENT ||
		    -o[1].imm & (-o[1].imm - 1))
			break;
		op->kind = STACK_ALIGN;
		op->imm = -o[1].imm;
		break;
	case X86_INS_CMP:
	case X86_INS_TEST:
		op->kind = STACK_NOTHING;
		if (in->id != X86_INS_TEST || !imm || o[1].imm < 0 || o[1].imm >= ALIGNMENT ||
		    (o[0].type == X86_OP_REG && is_high_byte(o[0].reg)))
			break;
		op->kind = STACK_TEST;
		op->imm = o[1].imm;
		break;
	}
}

void stack_note(size_t cs, const struct cs_insn *in, struct stack_op *op)
{
	*op = (struct stack_op){ .reg = { -1, -1 }, .mem = -1, .base = -1 };
	note_operands(cs, in, op);
	note_kind(in, op);
}

static void set_reg(struct stack_state *st, int reg, int64_t below)
{
	const bool known = stack_known(below) && below >= 0 && below <= MAX_DISTANCE;

	if (saved_index(reg) >= 0)
		st->original &= ~(1u << saved_index(reg));
	st->reg[reg] = known ? below : STACK_UNKNOWN;
	if (reg != STACK_RSP || !known)
		return;
	/* What is below the stack pointer is gone. */
	if (below < 16)
		st->saved = 0;
	else if (below / 8 - 1 < 64)
		st->saved &= (1ULL << (below / 8 - 1)) - 1;
	for (int64_t n = below / 8; n < STACK_WORDS; n++)
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
	int64_t first = below > (int64_t)size ? (below - size) / 8 : 0;

	for (int64_t n = first; n < STACK_WORDS && 8 * n < below; n++)
		st->word[n] = size == 8 && below == 8 + 8 * n ? value : STACK_UNKNOWN;
	if (reg >= 0 && saved_index(reg) >= 0 && size == 8 && st->original >> saved_index(reg) & 1 &&
	    below >= 16 && below % 8 == 0 && (below - 16) / 8 < 64)
		st->saved |= 1ULL << ((below - 16) / 8);
}

/* Operand @i is memory whose distance below the CFA is known. */
static bool stack_operand(const struct stack_state *st, const struct stack_op *op, int i, int64_t *below)
{
	if (op->mem != i || !stack_known(st->reg[op->base]))
		return false;
	*below = (int64_t)st->reg[op->base] - op->disp;
	return true;
}

/* The value of an operand of 8 bytes. */
static int32_t value_of(const struct stack_state *st, const struct stack_op *op, int i)
{
	int64_t below;

	if (op->size[i] != 8)
		return STACK_UNKNOWN;
	if (op->reg[i] >= 0)
		return st->reg[op->reg[i]];
	return stack_operand(st, op, i, &below) ? word_at(st, below) : STACK_UNKNOWN;
}

/* Everything that an instruction writes is unknown afterwards. */
static void forget(const struct stack_op *op, struct stack_state *st)
{
	int64_t below;

	for (unsigned int left = op->writes; left; left &= left - 1)
		set_reg(st, __builtin_ctz(left), STACK_UNKNOWN);
	if (stack_operand(st, op, 0, &below))
		store(st, below, op->size[0], STACK_UNKNOWN, -1);
}

static void push(const struct stack_op *op, struct stack_state *st)
{
	int32_t value = value_of(st, op, 0);

	if (!stack_known(st->reg[STACK_RSP]))
		return;
	set_reg(st, STACK_RSP, (int64_t)st->reg[STACK_RSP] + 8);
	if (stack_known(st->reg[STACK_RSP]))
		store(st, st->reg[STACK_RSP], 8, value, op->reg[0]);
}

static void pop(struct stack_state *st, int reg)
{
	int32_t sp = st->reg[STACK_RSP];
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
		set_reg(st, STACK_RSP, (int64_t)sp - 8);
}

/* The low bits of a value that is @below the CFA. */
static int64_t low_bits(int alignment, int64_t below)
{
	return (8 * alignment - below) & (ALIGNMENT - 1);
}

/* and $-A, %reg */
static void align(int alignment, const struct stack_op *op, struct stack_state *st)
{
	int32_t value = value_of(st, op, 0);

	if (alignment == STACK_ANY || !stack_known(value))
		forget(op, st);
	else
		set_reg(st, op->reg[0], value + (low_bits(alignment, value) & (op->imm - 1)));
}

/* test $bits, of the low byte of a value that is known. */
static int8_t test(int alignment, const struct stack_op *op, const struct stack_state *st)
{
	int32_t value = STACK_UNKNOWN;
	int64_t below;

	if (op->reg[0] >= 0)
		value = st->reg[op->reg[0]];
	else if (stack_operand(st, op, 0, &below))
		value = word_at(st, below);
	return alignment != STACK_ANY && stack_known(value) ? !(low_bits(alignment, value) & op->imm) : -1;
}

static void move(const struct stack_op *op, struct stack_state *st)
{
	int32_t value = value_of(st, op, 1);
	int64_t below;

	if (op->reg[0] >= 0 && op->size[0] == 8)
		set_reg(st, op->reg[0], value);
	else if (stack_operand(st, op, 0, &below))
		store(st, below, op->size[0], value, op->size[1] == 8 ? op->reg[1] : -1);
	else
		forget(op, st);
}

static void add(const struct stack_op *op, struct stack_state *st)
{
	int32_t value = value_of(st, op, 0);

	if (stack_known(value))
		set_reg(st, op->reg[0], (int64_t)value - op->imm);
	else
		forget(op, st);
}

void stack_step(int alignment, const struct stack_op *op, struct stack_state *st)
{
	int8_t zero = -1;
	int64_t below;

	switch (op->kind) {
	case STACK_NOTHING:
		break;
	case STACK_PUSH:
		push(op, st);
		break;
	case STACK_POP:
		pop(st, op->reg[0]);
		if (stack_operand(st, op, 0, &below))
			store(st, below, 8, STACK_UNKNOWN, -1);
		break;
	case STACK_LEAVE:
		set_reg(st, STACK_RSP, st->reg[STACK_RBP]);
		pop(st, STACK_RBP);
		break;
	case STACK_LEA:
		if (op->size[0] == 8 && op->reg[0] >= 0 && stack_operand(st, op, 1, &below))
			set_reg(st, op->reg[0], below);
		else
			forget(op, st);
		break;
	case STACK_MOVE:
		move(op, st);
		break;
	case STACK_ADD:
		add(op, st);
		break;
	case STACK_ALIGN:
		align(alignment, op, st);
		break;
	case STACK_TEST:
		zero = test(alignment, op, st);
		break;
	default:
		forget(op, st);
	}
	st->zero = zero;
}

void stack_enter(struct stack_state *st)
{
	*st = (struct stack_state){ .zero = -1, .original = (1 << NR_SAVED) - 1, .reached = true };
	for (int i = 0; i < 16; i++)
		st->reg[i] = STACK_UNKNOWN;
	for (int i = 0; i < STACK_WORDS; i++)
		st->word[i] = STACK_UNKNOWN;
	st->reg[STACK_RSP] = STACK_ENTRY;
}

void stack_call(const struct gm_frame *fr, struct stack_state *st)
{
	int32_t sp = st->reg[STACK_RSP];

	/* What is lent to the callee may be anything afterwards. */
	if (fr && fr->window_len && stack_known(sp))
		store(st, (int64_t)sp - fr->window, fr->window_len, STACK_UNKNOWN, -1);
	for (size_t i = 0; i < sizeof(scratch_regs); i++)
		st->reg[scratch_regs[i]] = STACK_UNKNOWN;
}

bool stack_join(struct stack_state *to, const struct stack_state *from)
{
	const uint64_t saved = to->saved | from->saved;
	const uint8_t original = to->original & from->original;
	const int8_t zero = to->zero == from->zero ? to->zero : -1;
	int32_t news = 0;

	if (!to->reached) {
		*to = *from;
		return true;
	}
	for (int i = 0; i < 16; i++) {
		int32_t both = to->reg[i] == from->reg[i] ? to->reg[i] : STACK_UNKNOWN;

		news |= both ^ to->reg[i];
		to->reg[i] = both;
	}
	for (int i = 0; i < STACK_WORDS; i++) {
		int32_t both = to->word[i] == from->word[i] ? to->word[i] : STACK_UNKNOWN;

		news |= both ^ to->word[i];
		to->word[i] = both;
	}
	news |= saved != to->saved || original != to->original || zero != to->zero;
	to->saved = saved;
	to->original = original;
	to->zero = zero;
	return news;
}
