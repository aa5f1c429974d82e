// SPDX-License-Identifier: GPL-2.0
/*
 * Decodes sealed text and refuses what may not be in it.
 *
 * Keeps I2 and I4 on gmcc's side: every byte of text decodes, every branch is
 * direct and lands on an instruction, every relocation is exactly one field of
 * one instruction and every reference to another section is a relocation. No
 * instruction needs more privilege than a guarded module has, and no hypercall
 * or VMFUNC is hidden in the bytes of another instruction.
 *
 * Allowed although privileged: cli, sti, popf (the interrupt flag is the
 * guest's own), rdtsc, rdtscp, rdpmc (reading), ud2 and int3 (they trap, and
 * the trap is the guest's).
 */
#include <capstone/capstone.h>
#include <string.h>

#include "gmcc.h"

/* Capstone 5 calls 0f b9 by the name that Intel gives it. */
#if CS_API_MAJOR >= 5
#define X86_INS_UD2B X86_INS_UD1
#endif

#define USE_OTHER "Use a module without it."

/* The bytes of an instruction after its legacy and REX prefixes. */
static const uint8_t *opcode(const cs_insn *in)
{
	static const uint8_t prefixes[] = {
		0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0xf0,
	};
	const uint8_t *p = in->bytes;

	while (p < in->bytes + in->size - 1 && memchr(prefixes, *p, sizeof(prefixes)))
		p++;
	return p < in->bytes + in->size - 1 && (*p & 0xf0) == 0x40 ? p + 1 : p;
}

/* Two-byte opcodes, some told apart by their ModRM byte. */
static bool is_privileged_0f(const cs_insn *in, const uint8_t *op)
{
	uint8_t modrm = op + 2 < in->bytes + in->size ? op[2] : 0;
	bool f3 = memchr(in->bytes, 0xf3, op - in->bytes);
	unsigned int reg = modrm >> 3 & 7;

	switch (op[1]) {
	case 0x00:				/* sldt, str, verr and verw only */
		return reg == 2 || reg == 3;
	case 0x01:				/* xgetbv, xend, xtest, rdtscp, smsw only */
		return modrm != 0xd0 && modrm != 0xd5 && modrm != 0xd6 && modrm != 0xf9 && reg != 4;
	case 0x05: case 0x06: case 0x07:	/* syscall, clts, sysret */
	case 0x08: case 0x09:			/* invd, wbinvd */
	case 0x20: case 0x21: case 0x22: case 0x23:	/* mov cr, dr */
	case 0x30: case 0x32:			/* wrmsr, rdmsr */
	case 0x34: case 0x35: case 0x37:	/* sysenter, sysexit, getsec */
	case 0x78: case 0x79:			/* vmread, vmwrite, SSE4a */
	case 0xa1: case 0xa9:			/* pop fs, gs */
	case 0xaa:				/* rsm */
	case 0xb2: case 0xb4: case 0xb5:	/* lss, lfs, lgs */
		return true;
	case 0x38:				/* invept, invvpid, invpcid */
		return modrm >= 0x80 && modrm <= 0x82;
	case 0xae:				/* wrfsbase, wrgsbase */
		return f3 && modrm >= 0xd0 && modrm <= 0xdf;
	case 0xc7:				/* xrstors, xsaves, vmptrld and their kin */
		return modrm < 0xc0 && reg != 1 && reg != 4;
	}
	return false;
}

/*
 * Judged by the opcode's bytes, and by capstone's privilege group on top: the
 * group alone misses rdmsr and clts.
 */
static bool is_privileged(csh cs, const cs_insn *in)
{
	const uint8_t *op = opcode(in);

	switch (op[0]) {
	case 0x0f:
		if (is_privileged_0f(in, op))
			return true;
		break;
	case 0x6c: case 0x6d: case 0x6e: case 0x6f:	/* ins, outs */
	case 0xe4: case 0xe5: case 0xe6: case 0xe7:	/* in, out */
	case 0xec: case 0xed: case 0xee: case 0xef:
	case 0x8e:					/* mov to a segment register */
	case 0xca: case 0xcb: case 0xcf:		/* retf, iret */
	case 0xcd: case 0xf1: case 0xf4:		/* int, int1, hlt */
		return true;
	}
	switch (in->id) {
	case X86_INS_CLI:
	case X86_INS_STI:
	case X86_INS_RDTSC:
	case X86_INS_RDTSCP:
	case X86_INS_RDPMC:
	case X86_INS_UD2:
	case X86_INS_UD2B:
		return false;
	}
	return cs_insn_group(cs, in, X86_GRP_PRIVILEGE);
}

static bool is_callee_saved(unsigned int reg)
{
	return reg == X86_REG_RBX || reg == X86_REG_RBP || reg == X86_REG_R12 ||
	       reg == X86_REG_R13 || reg == X86_REG_R14 || reg == X86_REG_R15;
}

/* What frames.c wants to know about the use of the stack pointer. */
static void note_stack_use(const cs_insn *in, struct insn *n, const struct insn *prev)
{
	const cs_x86 *x = &in->detail->x86;
	const cs_x86_op *op = x->operands;

	for (unsigned int i = 0; i < x->op_count; i++) {
		if (op[i].type != X86_OP_MEM)
			continue;
		n->indexed = op[i].mem.index != X86_REG_INVALID;
		if (op[i].mem.base == X86_REG_RSP) {
			n->sp_mem = true;
			n->sp_disp = op[i].mem.disp;
		}
	}
	if (x->op_count == 2 && op[1].type == X86_OP_REG && op[1].reg == X86_REG_RSP &&
	    (op[0].type == X86_OP_MEM || op[0].reg != X86_REG_RSP) && in->id != X86_INS_CMP &&
	    in->id != X86_INS_TEST)
		n->sp_copy = true;
	if (x->op_count && op[0].type == X86_OP_REG && op[0].reg == X86_REG_RSP &&
	    in->id != X86_INS_PUSH && in->id != X86_INS_CMP && in->id != X86_INS_TEST) {
		n->sp_write = true;
		if (in->id == X86_INS_LEA)
			n->kind = INSN_OTHER;
	}
	if (in->id == X86_INS_PUSH) {
		n->kind = INSN_PUSH;
		n->saves = op[0].type == X86_OP_REG && is_callee_saved(op[0].reg);
		n->sp_copy = op[0].type == X86_OP_REG && op[0].reg == X86_REG_RSP;
	}
	n->canary_load = in->id == X86_INS_MOV && op[1].type == X86_OP_MEM &&
			 op[1].mem.segment == X86_REG_GS && op[1].mem.disp == 0x28 &&
			 op[1].mem.base == X86_REG_INVALID && op[1].mem.index == X86_REG_INVALID;
	n->canary_store = in->id == X86_INS_MOV && prev && prev->canary_load && n->sp_mem &&
			  op[0].type == X86_OP_MEM && op[1].type == X86_OP_REG && !n->indexed;
}

static void classify_insn(struct obj *o, struct sec *s, csh cs, const cs_insn *in, struct insn *n)
{
	const cs_x86 *x = &in->detail->x86;
	bool direct = x->op_count == 1 && x->operands[0].type == X86_OP_IMM;

	if (cs_insn_group(cs, in, X86_GRP_CALL) || cs_insn_group(cs, in, X86_GRP_JUMP)) {
		if (!direct) {
			refuse(o, s, n->off,
			       "bare indirect branch, %s %s. Build with retpolines (-mindirect-branch=thunk-extern).",
			       in->mnemonic, in->op_str);
			return;
		}
		n->kind = cs_insn_group(cs, in, X86_GRP_CALL) ? INSN_CALL :
			  in->id == X86_INS_JMP ? INSN_JMP : INSN_JCC;
		n->target = (uint32_t)x->operands[0].imm;
		return;
	}
	if (in->id == X86_INS_LOOP || in->id == X86_INS_LOOPE || in->id == X86_INS_LOOPNE) {
		n->kind = INSN_JCC;
		n->target = (uint32_t)x->operands[0].imm;
		return;
	}
	if (in->id == X86_INS_RET) {
		n->kind = INSN_RET;
		if (x->op_count)
			refuse(o, s, n->off, "ret that pops arguments. " USE_OTHER);
		return;
	}
	if (is_privileged(cs, in))
		refuse(o, s, n->off, "privileged instruction, %s%s%s. " USE_OTHER, in->mnemonic,
		       in->op_str[0] ? " " : "", in->op_str);
	if (in->id == X86_INS_LEA)
		n->kind = INSN_LEA;
}

/* The relocations of one instruction: exactly its displacement or immediate. */
static void match_rels(struct obj *o, struct sec *s, const cs_insn *in, struct insn *n, size_t *next)
{
	const cs_x86 *x = &in->detail->x86;
	bool branch = n->kind == INSN_CALL || n->kind == INSN_JMP || n->kind == INSN_JCC;
	bool rip = false, have_disp = false;

	for (; *next < s->nr_rels && s->rels[*next].off < n->off + n->len; ++*next) {
		struct rel *r = &s->rels[*next];
		uint32_t at = r->off - n->off;
		unsigned int size = r->type == R_X86_64_64 ? 8 : 4;

		if (branch && n->len - at == 4 && at &&
		    (r->type == R_X86_64_PC32 || r->type == R_X86_64_PLT32)) {
			n->rel = r;
		} else if (!branch && n->disp && at == n->disp && at + size <= n->len) {
			have_disp = true;
		} else if (branch || !n->imm || at != n->imm || at + size > n->len) {
			refuse(o, s, r->off,
			       "relocation that is no field of the instruction, %s %s. Report this module.",
			       in->mnemonic, in->op_str);
		}
	}
	for (unsigned int i = 0; i < x->op_count; i++)
		rip |= x->operands[i].type == X86_OP_MEM && x->operands[i].mem.base == X86_REG_RIP;
	if (rip && !have_disp)
		refuse(o, s, n->off,
		       "reference to text without a relocation, %s %s. Assemble with the symbol global.",
		       in->mnemonic, in->op_str);
}

static int by_off(const struct insn *n, size_t nr, uint32_t off)
{
	size_t lo = 0, hi = nr;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (n[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < nr && n[lo].off == off;
}

static void check_targets(struct obj *o, struct sec *s)
{
	for (size_t i = 0; i < s->nr_insns; i++) {
		const struct insn *n = &s->insns[i];

		if (n->rel || (n->kind != INSN_CALL && n->kind != INSN_JMP && n->kind != INSN_JCC))
			continue;
		if (!by_off(s->insns, s->nr_insns, n->target))
			refuse(o, s, n->off,
			       "branch to 0x%x, which is no instruction of %s. Report this module.",
			       n->target, s->name);
	}
}

void text_decode(struct obj *o, struct sec *s)
{
	const uint8_t *p = s->data;
	size_t left = s->size, next = 0;
	uint64_t addr = 0;
	cs_insn *in;
	csh cs;

	if (s->size >= 1ULL << 31)
		die(o->file, "%s: too large.", s->name);
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &cs) != CS_ERR_OK)
		die(o->file, "cannot start the disassembler.");
	cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
	in = cs_malloc(cs);
	while (left) {
		struct insn *n, *prev;

		if (!cs_disasm_iter(cs, &p, &left, &addr, in)) {
			refuse(o, s, addr, "undecodable byte 0x%02x. Report this module.", *p);
			break;
		}
		s->insns = xgrow(s->insns, s->nr_insns, sizeof(*s->insns));
		prev = s->nr_insns ? &s->insns[s->nr_insns - 1] : NULL;
		n = &s->insns[s->nr_insns++];
		memset(n, 0, sizeof(*n));
		n->off = in->address;
		n->len = in->size;
		n->disp = in->detail->x86.encoding.disp_offset;
		n->imm = in->detail->x86.encoding.imm_offset;
		classify_insn(o, s, cs, in, n);
		note_stack_use(in, n, prev);
		match_rels(o, s, in, n, &next);
	}
	cs_free(in, 1);
	cs_close(&cs);
	check_targets(o, s);
}

void text_scan_patterns(struct obj *o, const struct sec *s)
{
	static const struct {
		uint8_t last;
		const char *name;
	} bad[] = { { 0xc1, "VMCALL" }, { 0xd9, "VMMCALL" }, { 0xd4, "VMFUNC" } };

	for (uint64_t i = 0; i + 3 <= s->size; i++)
		for (size_t j = 0; j < ARRAY_SIZE(bad); j++)
			if (s->data[i] == 0x0f && s->data[i + 1] == 0x01 && s->data[i + 2] == bad[j].last)
				refuse(o, s, i,
				       "the bytes of a %s. Change the constant or the code around it.",
				       bad[j].name);
}
