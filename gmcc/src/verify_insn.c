// SPDX-License-Identifier: GPL-2.0
/*
 * Which instructions need a privilege that a guarded module does not have.
 *
 * A table of opcodes, by map, opcode byte and ModRM, made from the manuals'
 * opcode maps; what capstone itself counts as privileged is refused on top.
 * Without privilege, or harmless at CPL 0 (the interrupt flag and the traps are
 * the guest's own): cli, sti, pushf, popf, rdtsc, rdtscp, rdpmc, cpuid, int3,
 * ud2, smsw, sldt, str, verr, verw, lar, lsl, rdfsbase, rdgsbase.
 */
#include <capstone/capstone.h>
#include <string.h>

#include "verify.h"

enum opcode_map { ONE, TWO, THREE_38 };

#define ANY	0xff
#define REG(n)	(1 << (n))

struct row {
	enum opcode_map map;
	uint8_t first, last;	/* opcode bytes */
	uint8_t regs;		/* bit n: with ModRM.reg = n; ANY: always */
	int8_t mod;		/* 3: register form only, 0: memory only, -1: both */
	const char *name;
};

static const struct row table[] = {
	{ ONE, 0x6c, 0x6f, ANY, -1, "string port access" },
	{ ONE, 0x8e, 0x8e, ANY, -1, "segment load" },
	{ ONE, 0x9a, 0x9a, ANY, -1, "far call" },
	{ ONE, 0xca, 0xcb, ANY, -1, "far return" },
	{ ONE, 0xcd, 0xcd, ANY, -1, "software interrupt" },
	{ ONE, 0xce, 0xcf, ANY, -1, "interrupt return" },
	{ ONE, 0xe4, 0xe7, ANY, -1, "port access" },
	{ ONE, 0xea, 0xea, ANY, -1, "far jump" },
	{ ONE, 0xec, 0xef, ANY, -1, "port access" },
	{ ONE, 0xf1, 0xf1, ANY, -1, "int1" },
	{ ONE, 0xf4, 0xf4, ANY, -1, "hlt" },
	{ TWO, 0x00, 0x00, REG(2) | REG(3), -1, "lldt, ltr" },
	{ TWO, 0x01, 0x01, 0xff & ~REG(4), 0, "descriptor table, lmsw or invlpg" },
	{ TWO, 0x05, 0x09, ANY, -1, "system call, clts or cache invalidation" },
	{ TWO, 0x20, 0x23, ANY, -1, "control or debug register" },
	{ TWO, 0x24, 0x27, ANY, -1, "test register" },
	{ TWO, 0x30, 0x30, ANY, -1, "wrmsr" },
	{ TWO, 0x32, 0x32, ANY, -1, "rdmsr" },
	{ TWO, 0x34, 0x37, ANY, -1, "system call or getsec" },
	{ TWO, 0x78, 0x79, ANY, -1, "vmread, vmwrite" },
	{ TWO, 0xa1, 0xa1, ANY, -1, "pop fs" },
	{ TWO, 0xa9, 0xa9, ANY, -1, "pop gs" },
	{ TWO, 0xaa, 0xaa, ANY, -1, "rsm" },
	{ TWO, 0xb2, 0xb2, ANY, -1, "lss" },
	{ TWO, 0xb4, 0xb5, ANY, -1, "lfs, lgs" },
	{ TWO, 0xc7, 0xc7, REG(3) | REG(5) | REG(6) | REG(7), 0, "vmptrld, vmxon, xsaves and their kin" },
	{ THREE_38, 0x80, 0x82, ANY, -1, "invept, invvpid, invpcid" },
	{ THREE_38, 0xf5, 0xf6, ANY, 0, "shadow stack write" },
};

/* 0f 01 in register form: only these, by their ModRM byte, need nothing. */
static const uint8_t group7_ok[] = {
	0xd0,				/* xgetbv */
	0xd5, 0xd6,			/* xend, xtest */
	0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7,	/* smsw */
	0xf9,				/* rdtscp */
};

/* Counted as privileged by capstone, but harmless; see above. */
static const uint16_t harmless[] = {
	X86_INS_CLI, X86_INS_STI, X86_INS_RDTSC, X86_INS_RDTSCP, X86_INS_RDPMC, X86_INS_UD2,
	X86_INS_INT3, X86_INS_SMSW, X86_INS_SLDT, X86_INS_STR,
};

/* Legacy prefixes, then at most one REX; VEX and EVEX code has no privilege. */
static const uint8_t *skip_prefixes(const uint8_t *p, const uint8_t *end)
{
	while (p < end && (*p == 0x66 || *p == 0x67 || *p == 0xf0 || *p == 0xf2 || *p == 0xf3 ||
			   (*p & 0xe7) == 0x26 || (*p & 0xfe) == 0x64))
		p++;
	return p < end && *p >= 0x40 && *p <= 0x4f ? p + 1 : p;
}

static const char *by_opcode(const uint8_t *p, const uint8_t *end, const uint8_t *start)
{
	enum opcode_map map = ONE;
	uint8_t op, modrm;

	if (p < end && *p == 0x0f) {
		map = TWO;
		if (++p < end && *p == 0x38) {
			map = THREE_38;
			p++;
		}
	}
	if (p >= end)
		return "nothing after prefixes";
	op = *p++;
	modrm = p < end ? *p : 0;
	if (map == TWO && op == 0x01 && modrm >= 0xc0)
		return memchr(group7_ok, modrm, sizeof(group7_ok)) ? NULL : "system instruction of group 7";
	if (map == TWO && op == 0xae && modrm >= 0xd0 && modrm < 0xe0 && memchr(start, 0xf3, p - start))
		return "wrfsbase, wrgsbase";
	/* F2 and mandatory 66 turn these into crc32, adcx, adox: plain arithmetic. */
	if (map == THREE_38 && op == 0xf6 && (memchr(start, 0xf3, p - start) || memchr(start, 0x66, p - start)))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct row *r = &table[i];

		if (r->map == map && op >= r->first && op <= r->last &&
		    (r->regs == ANY || r->regs >> (modrm >> 3 & 7) & 1) &&
		    (r->mod < 0 || (r->mod == 3) == (modrm >= 0xc0)))
			return r->name;
	}
	return NULL;
}

uint32_t insn_requestable(const struct cs_insn *in, uint32_t *flags)
{
	const uint8_t *end = in->bytes + in->size, *p = skip_prefixes(in->bytes, end);

	*flags = 0;
	if (p < end && ((*p >= 0xe4 && *p <= 0xe7) || (*p >= 0xec && *p <= 0xef)))
		return KVM_GM_PRIV_PIO;
	if (end - p < 2 || *p != 0x0f)
		return 0;
	if (p[1] == 0x30) {
		*flags = KVM_GM_PRIV_F_WRITE;
		return KVM_GM_PRIV_MSR;
	}
	if (p[1] == 0x32)
		return KVM_GM_PRIV_MSR;
	return end - p == 3 && p[1] == 0x01 && (p[2] & 0xfe) == 0xc8 ? KVM_GM_PRIV_MWAIT : 0;
}

const char *insn_privilege(size_t cs, const struct cs_insn *in)
{
	const uint8_t *end = in->bytes + in->size;
	const char *why = by_opcode(skip_prefixes(in->bytes, end), end, in->bytes);

	if (why)
		return why;
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (harmless[i] == in->id)
			return NULL;
	if (cs_insn_group(cs, in, X86_GRP_PRIVILEGE) || cs_insn_group(cs, in, X86_GRP_IRET) ||
	    cs_insn_group(cs, in, X86_GRP_VM))
		return "privileged by the disassembler's account";
	return NULL;
}
