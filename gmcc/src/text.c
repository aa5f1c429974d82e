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
 * the trap is the guest's). Port and MSR accesses that the module asks for no
 * privilege for are the guest's to make: convert.c sends them out.
 */
#include <capstone/capstone.h>
#include <string.h>

#include "gmcc.h"
#include "policy.h"

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

/* in, out, ins, outs, rdmsr, wrmsr, wbinvd: all in registers, or by rdi and rsi. */
static bool is_guests_own(const cs_insn *in)
{
	const uint8_t *op = opcode(in);

	switch (op[0]) {
	case 0x6c: case 0x6d: case 0x6e: case 0x6f:
	case 0xe4: case 0xe5: case 0xe6: case 0xe7:
	case 0xec: case 0xed: case 0xee: case 0xef:
		/* Not with another segment or address size. */
		return !memchr(in->bytes, 0x67, op - in->bytes) && !memchr(in->bytes, 0x64, op - in->bytes) &&
		       !memchr(in->bytes, 0x65, op - in->bytes);
	case 0x0f:
		return op[1] == 0x30 || op[1] == 0x32 || op[1] == 0x09;
	}
	return false;
}

/*
 * Stays inside, for a privilege that the module asks for. Which MSR, and which
 * port in DX, is known when it runs; so what the module asks for decides for all
 * of them, and only an immediate port by itself.
 */
static bool is_requested(const struct obj *o, const cs_insn *in)
{
	const struct requests *r = &o->policy->requests;
	const uint8_t *op = opcode(in);
	unsigned int width = 1;

	switch (op[0]) {
	case 0xe5: case 0xe7:
		width = memchr(in->bytes, 0x66, op - in->bytes) ? 2 : 4;
		/* fallthrough */
	case 0xe4: case 0xe6:
		return requests_overlap(r, KVM_GM_PRIV_PIO, op[1], op[1] + width - 1);
	case 0xec: case 0xed: case 0xee: case 0xef:
		return requests_kind(r, KVM_GM_PRIV_PIO, 0);
	case 0x0f:
		return (op[1] == 0x32 && requests_kind(r, KVM_GM_PRIV_MSR, 0)) ||
		       (op[1] == 0x30 && requests_kind(r, KVM_GM_PRIV_MSR, KVM_GM_PRIV_F_WRITE)) ||
		       (op[1] == 0x01 && (op[2] == 0xc8 || op[2] == 0xc9) &&
			requests_kind(r, KVM_GM_PRIV_MWAIT, 0));
	}
	return false;
}

static bool is_callee_saved(unsigned int reg)
{
	return reg == X86_REG_RBX || reg == X86_REG_RBP || reg == X86_REG_R12 ||
	       reg == X86_REG_R13 || reg == X86_REG_R14 || reg == X86_REG_R15;
}

/* 1 + its number in instructions; 0: no 32- or 64-bit general register. */
static uint8_t register_number(unsigned int reg)
{
	static const uint16_t wide[] = {
		X86_REG_RAX, X86_REG_RCX, X86_REG_RDX, X86_REG_RBX, X86_REG_RSP, X86_REG_RBP,
		X86_REG_RSI, X86_REG_RDI, X86_REG_R8, X86_REG_R9, X86_REG_R10, X86_REG_R11,
		X86_REG_R12, X86_REG_R13, X86_REG_R14, X86_REG_R15,
	};
	static const uint16_t narrow[] = {
		X86_REG_EAX, X86_REG_ECX, X86_REG_EDX, X86_REG_EBX, X86_REG_ESP, X86_REG_EBP,
		X86_REG_ESI, X86_REG_EDI, X86_REG_R8D, X86_REG_R9D, X86_REG_R10D, X86_REG_R11D,
		X86_REG_R12D, X86_REG_R13D, X86_REG_R14D, X86_REG_R15D,
	};

	for (unsigned int i = 0; i < 16; i++)
		if (reg == wide[i] || reg == narrow[i])
			return i + 1;
	return 0;
}

static bool is_rsp(const cs_x86_op *op)
{
	return op->type == X86_OP_REG && op->reg == X86_REG_RSP;
}

static bool is_rbp(const cs_x86_op *op)
{
	return op->type == X86_OP_REG && (op->reg == X86_REG_RBP || op->reg == X86_REG_EBP ||
					  op->reg == X86_REG_BP || op->reg == X86_REG_BPL);
}

static bool is_plain(const cs_x86_op *op, unsigned int base)
{
	return op->type == X86_OP_MEM && op->mem.base == base && op->mem.index == X86_REG_INVALID &&
	       op->mem.segment == X86_REG_INVALID;
}

static void set_sp(struct insn *n, enum sp_effect effect, int64_t imm)
{
	n->sp_effect = imm == (int32_t)imm ? effect : SP_LOST;
	n->sp_imm = (int32_t)imm;
}

/* How RSP and RBP change, for stack.c. */
static void note_stack_change(const cs_insn *in, struct insn *n)
{
	const cs_x86_op *op = in->detail->x86.operands;
	unsigned int nr = in->detail->x86.op_count;
	bool imm = nr == 2 && op[1].type == X86_OP_IMM;

	switch (in->id) {
	case X86_INS_PUSH:
	case X86_INS_POP:
		if (op[0].size != 8 || is_rsp(&op[0]))
			set_sp(n, SP_LOST, 0);
		else
			set_sp(n, SP_ADD, in->id == X86_INS_PUSH ? -8 : 8);
		break;
	case X86_INS_PUSHFQ:
	case X86_INS_POPFQ:
		set_sp(n, SP_ADD, in->id == X86_INS_PUSHFQ ? -8 : 8);
		return;
	case X86_INS_LEAVE:
		set_sp(n, SP_FROM_BP, 8);
		n->bp_effect = BP_LOST;
		return;
	case X86_INS_ENTER:
		set_sp(n, SP_LOST, 0);
		n->bp_effect = BP_LOST;
		return;
	default:
		if (!nr || !is_rsp(&op[0]) || in->id == X86_INS_CMP || in->id == X86_INS_TEST)
			break;
		if ((in->id == X86_INS_SUB || in->id == X86_INS_ADD) && imm)
			set_sp(n, SP_ADD, in->id == X86_INS_ADD ? op[1].imm : -op[1].imm);
		else if (in->id == X86_INS_AND && imm && op[1].imm < 0 && !(-op[1].imm & (-op[1].imm - 1)))
			set_sp(n, SP_AND, op[1].imm);
		else if (in->id == X86_INS_LEA && is_plain(&op[1], X86_REG_RSP))
			set_sp(n, SP_ADD, op[1].mem.disp);
		else if (in->id == X86_INS_LEA && is_plain(&op[1], X86_REG_RBP))
			set_sp(n, SP_FROM_BP, op[1].mem.disp);
		else if (in->id == X86_INS_MOV && op[1].type == X86_OP_REG && op[1].reg == X86_REG_RBP)
			set_sp(n, SP_FROM_BP, 0);
		else
			set_sp(n, SP_LOST, 0);
	}
	if (nr == 2 && op[0].type == X86_OP_REG && op[0].reg == X86_REG_RBP && is_rsp(&op[1]) &&
	    in->id == X86_INS_MOV) {
		n->bp_effect = BP_FROM_SP;
	} else if (nr == 2 && op[0].type == X86_OP_REG && op[0].reg == X86_REG_RBP &&
		   in->id == X86_INS_LEA && is_plain(&op[1], X86_REG_RSP)) {
		n->bp_effect = BP_FROM_SP;
		n->bp_imm = op[1].mem.disp;
	} else {
		/* Capstone's access flags are not to be trusted: any other first or second operand. */
		for (unsigned int i = 0; i < nr && i < 2; i++)
			if (is_rbp(&op[i]) && (i == 0 || in->id == X86_INS_XCHG || in->id == X86_INS_XADD) &&
			    in->id != X86_INS_PUSH && in->id != X86_INS_CMP && in->id != X86_INS_TEST)
				n->bp_effect = BP_LOST;
	}
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
		n->sp_mem = op[i].mem.base == X86_REG_RSP;
		n->bp_mem = op[i].mem.base == X86_REG_RBP;
		if (n->sp_mem || n->bp_mem)
			n->sp_disp = op[i].mem.disp;
	}
	note_stack_change(in, n);
	if (x->op_count && op[0].type == X86_OP_REG && in->id != X86_INS_CMP &&
	    in->id != X86_INS_TEST && in->id != X86_INS_PUSH)
		n->to = register_number(op[0].reg);
	if (x->op_count == 2 && in->id == X86_INS_MOV && op[1].type == X86_OP_REG)
		n->from = register_number(op[1].reg);
	if (x->op_count == 2 && is_rsp(&op[1]) &&
	    (op[0].type == X86_OP_MEM || op[0].reg != X86_REG_RSP) && in->id != X86_INS_CMP &&
	    in->id != X86_INS_TEST)
		n->sp_copy = true;
	if (x->op_count && is_rsp(&op[0]) && in->id != X86_INS_PUSH && in->id != X86_INS_CMP &&
	    in->id != X86_INS_TEST) {
		n->sp_write = true;
		if (in->id == X86_INS_LEA)
			n->kind = INSN_OTHER;
	}
	if (in->id == X86_INS_PUSH) {
		n->kind = INSN_PUSH;
		/* R10, an aligned frame's argument pointer, lies among them. */
		n->saves = op[0].type == X86_OP_REG && (is_callee_saved(op[0].reg) || op[0].reg == X86_REG_R10);
		n->sp_copy = is_rsp(&op[0]);
	}
	n->canary_load = in->id == X86_INS_MOV && op[1].type == X86_OP_MEM &&
			 op[1].mem.segment == X86_REG_GS && op[1].mem.disp == 0x28 &&
			 op[1].mem.base == X86_REG_INVALID && op[1].mem.index == X86_REG_INVALID;
	n->canary_store = in->id == X86_INS_MOV && prev && prev->canary_load &&
			  (n->sp_mem || n->bp_mem) && op[0].type == X86_OP_MEM &&
			  op[1].type == X86_OP_REG && !n->indexed;
}

/* call *pv_ops+N(%rip) */
static bool is_pv_call(const struct sec *s, const cs_insn *in, size_t next)
{
	return in->id == X86_INS_CALL && in->size == 6 && in->bytes[0] == 0xff && in->bytes[1] == 0x15 &&
	       next < s->nr_rels && s->rels[next].off == in->address + 2 && !s->rels[next].sym->sec &&
	       !strcmp(s->rels[next].sym->name, "pv_ops");
}

/* What capstone does not tell. */
static uint8_t also_read(const cs_insn *in)
{
	switch (in->id) {
	case X86_INS_ADC: case X86_INS_SBB: case X86_INS_RCL: case X86_INS_RCR:
	case X86_INS_CMC: case X86_INS_ADCX:
		return FLAG_CF;
	case X86_INS_ADOX:
		return FLAG_OF;
	case X86_INS_LAHF:
		return FLAG_ALL & ~FLAG_OF;
	}
	return 0;
}

static bool is_shift(unsigned int id)
{
	switch (id) {
	case X86_INS_SHL: case X86_INS_SAL: case X86_INS_SHR: case X86_INS_SAR:
	case X86_INS_ROL: case X86_INS_ROR: case X86_INS_RCL: case X86_INS_RCR:
	case X86_INS_SHLD: case X86_INS_SHRD:
		return true;
	}
	return false;
}

static void note_flags(csh cs, const cs_insn *in, struct insn *n)
{
#define SETS(f)	(X86_EFLAGS_MODIFY_##f | X86_EFLAGS_RESET_##f | X86_EFLAGS_UNDEFINED_##f)
	static const struct {
		uint64_t read, set;
		uint8_t flag;
	} flags[] = {
		{ X86_EFLAGS_TEST_CF, SETS(CF) | X86_EFLAGS_SET_CF, FLAG_CF },
		{ X86_EFLAGS_TEST_PF, SETS(PF), FLAG_PF },
		{ X86_EFLAGS_TEST_AF, SETS(AF), FLAG_AF },
		{ X86_EFLAGS_TEST_ZF, SETS(ZF), FLAG_ZF },
		{ X86_EFLAGS_TEST_SF, SETS(SF), FLAG_SF },
		{ X86_EFLAGS_TEST_OF, SETS(OF), FLAG_OF },
	};
	const cs_x86 *x = &in->detail->x86;
	/* A shift by %cl, or no step of a repeated one, may change nothing. */
	bool maybe = x->prefix[0] == X86_PREFIX_REP || x->prefix[0] == X86_PREFIX_REPNE;

	if (is_shift(in->id))
		for (unsigned int i = 1; i < x->op_count; i++)
			maybe |= x->operands[i].type == X86_OP_REG && x->operands[i].reg == X86_REG_CL;
	n->flags_read = also_read(in);
	if (cs_insn_group(cs, in, X86_GRP_FPU))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (x->eflags & flags[i].read)
			n->flags_read |= flags[i].flag;
		if (x->eflags & flags[i].set && !maybe)
			n->flags_set |= flags[i].flag;
	}
}

static void classify_insn(struct obj *o, struct sec *s, csh cs, const cs_insn *in, struct insn *n,
			  size_t next)
{
	const cs_x86 *x = &in->detail->x86;
	bool direct = x->op_count == 1 && x->operands[0].type == X86_OP_IMM;

	if (cs_insn_group(cs, in, X86_GRP_CALL) || cs_insn_group(cs, in, X86_GRP_JUMP)) {
		if (is_pv_call(s, in, next)) {
			n->kind = INSN_OTHER;
			n->pv_call = true;
			return;
		}
		if (!direct) {
			refuse(o, s, n->off,
			       "bare indirect branch, %s %s. Build with retpolines (-mindirect-branch=thunk-extern).",
			       in->mnemonic, in->op_str);
			return;
		}
		if (x->prefix[2] == 0x66)
			refuse(o, s, n->off,
			       "branch with an operand-size prefix, %s, which vendors read differently. "
			       USE_OTHER, in->mnemonic);
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
	if (!is_privileged(cs, in) || is_requested(o, in))
		;
	else if (is_guests_own(in))
		n->guests_own = true;
	else
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

		if (r->type == R_X86_64_PC32 || r->type == R_X86_64_PLT32)
			r->bias = n->len - at;
		r->percpu = x->prefix[1] == X86_PREFIX_GS;
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
	/* lea 0(%rip), the kernel's _THIS_IP_, is a number that nobody jumps to. */
	if (rip && !have_disp && !(n->kind == INSN_LEA && !x->disp))
		refuse(o, s, n->off,
		       "reference to text without a relocation, %s %s. Assemble with the symbol global.",
		       in->mnemonic, in->op_str);
}

struct insn *insn_at(const struct sec *s, uint64_t off)
{
	size_t lo = 0, hi = s->nr_insns;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->insns[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->nr_insns && s->insns[lo].off == off ? &s->insns[lo] : NULL;
}

static const struct insn *branch_target(const struct sec **s, const struct insn *n)
{
	uint64_t off = n->target;

	if (n->rel) {
		off = n->rel->sym->value + n->rel->addend + 4;
		*s = n->rel->sym->sec;
	}
	return insn_at(*s, off);
}

/* Is each flag in @live set before it is read? Gives up after @steps. */
static bool flags_dead(const struct sec *s, const struct insn *n, uint8_t live, int *steps)
{
	const struct sec *to = s;

	while (n && --*steps > 0) {
		if (n->flags_read & live)
			return false;
		live &= ~n->flags_set;
		/* Flags do not outlive a function, in either direction. */
		if (!live || n->kind == INSN_CALL || n->kind == INSN_RET ||
		    (n->kind == INSN_JMP && n->rel && !n->rel->sym->sec))
			return true;
		if (n->kind == INSN_JMP) {
			n = branch_target(&s, n);
			continue;
		}
		to = s;
		if (n->kind == INSN_JCC && !flags_dead(to, branch_target(&to, n), live, steps))
			return false;
		/* What runs off a section's end meets padding that traps. */
		if (++n == s->insns + s->nr_insns)
			return true;
	}
	return false;
}

bool flags_dead_at(const struct sec *s, const struct insn *n)
{
	int steps = 256;

	return !n || flags_dead(s, n, FLAG_ALL, &steps);
}

static void check_targets(struct obj *o, struct sec *s)
{
	for (size_t i = 0; i < s->nr_insns; i++) {
		const struct insn *n = &s->insns[i];

		if (n->rel || (n->kind != INSN_CALL && n->kind != INSN_JMP && n->kind != INSN_JCC))
			continue;
		if (!insn_at(s, n->target))
			refuse(o, s, n->off,
			       "branch to 0x%x, which is no instruction of %s. Report this module.",
			       n->target, s->name);
	}
}

/* What the disassembler does not know, if it can be nothing but AVX. */
static bool decode_vector(struct obj *o, struct sec *s, struct insn *n, const uint8_t **p,
			  size_t *left, uint64_t *addr, size_t *next)
{
	bool rip = false, have_disp = false;
	size_t len = vector_length(*p, *left, n, &rip);

	n->off = *addr;
	n->len = len;
	if (!len) {
		refuse(o, s, *addr, "undecodable byte 0x%02x. Report this module.", **p);
		return false;
	}
	for (; *next < s->nr_rels && s->rels[*next].off < n->off + len; ++*next) {
		struct rel *r = &s->rels[*next];

		if (!n->disp || r->off != n->off + n->disp || r->type == R_X86_64_64) {
			refuse(o, s, r->off, "relocation that is no field of an AVX instruction. Report this module.");
			continue;
		}
		have_disp = true;
		if (r->type == R_X86_64_PC32 || r->type == R_X86_64_PLT32)
			r->bias = len - n->disp;
	}
	if (rip && !have_disp)
		refuse(o, s, n->off,
		       "reference to text without a relocation, in an AVX instruction. Assemble with the symbol global.");
	*p += len;
	*left -= len;
	*addr += len;
	return true;
}

void text_decode(struct obj *o, struct sec *s)
{
	const uint8_t *p = s->data;
	size_t left = s->size, next = 0, room;
	uint64_t addr = 0;
	struct decoder d = decoder_open(o->file);
	cs_insn *in = d.in;
	csh cs = d.cs;

	if (s->size >= 1ULL << 31)
		die(o->file, "%s: too large.", s->name);
	/* Enough for nearly all code; memory that is not used costs nothing. */
	room = s->size / 2 + 1;
	s->insns = xalloc(room * sizeof(*s->insns));
	while (left) {
		struct insn *n, *prev;
		bool known = cs_disasm_iter(cs, &p, &left, &addr, in);

		if (s->nr_insns == room) {
			struct insn *more = xalloc(2 * room * sizeof(*more));

			memcpy(more, s->insns, room * sizeof(*more));
			s->insns = more;
			room *= 2;
		}
		prev = s->nr_insns ? &s->insns[s->nr_insns - 1] : NULL;
		n = &s->insns[s->nr_insns++];
		if (!known) {
			if (!decode_vector(o, s, n, &p, &left, &addr, &next))
				break;
			continue;
		}
		n->off = in->address;
		n->len = in->size;
		n->disp = in->detail->x86.encoding.disp_offset;
		n->imm = in->detail->x86.encoding.imm_offset;
		note_flags(cs, in, n);
		classify_insn(o, s, cs, in, n, next);
		note_stack_use(in, n, prev);
		match_rels(o, s, in, n, &next);
	}
	check_targets(o, s);
}

/* The last byte of a hypercall's name, after 0f 01; or NULL. */
static const char *pattern_at(const struct sec *s, uint64_t i)
{
	static const struct {
		uint8_t last;
		const char *name;
	} bad[] = { { 0xc1, "VMCALL" }, { 0xd9, "VMMCALL" }, { 0xd4, "VMFUNC" } };

	if (i + 3 > s->size || s->data[i] != 0x0f || s->data[i + 1] != 0x01)
		return NULL;
	for (size_t j = 0; j < ARRAY_SIZE(bad); j++)
		if (s->data[i + 2] == bad[j].last)
			return bad[j].name;
	return NULL;
}

bool text_part_patterns(struct sec *s)
{
	static const uint8_t nop = 0x90;
	bool any = false;

	for (uint64_t i = 0; i + 3 <= s->size; i++) {
		struct insn *n = pattern_at(s, i) ? insn_at(s, i + 1) : NULL;
		struct edit *e;

		if (!n && pattern_at(s, i))
			n = insn_at(s, i + 2);
		if (!n)
			continue;
		e = edit_new(n);
		edit_bytes(e, &nop, 1);
		edit_bytes(e, NULL, 0)->copy = n;
		any = true;
	}
	return any;
}

void text_scan_patterns(struct obj *o, const struct sec *s)
{
	for (uint64_t i = 0; i + 3 <= s->size; i++)
		if (pattern_at(s, i))
			refuse(o, s, i,
			       "the bytes of a %s. Change the constant or the code around it.",
			       pattern_at(s, i));
}
