// SPDX-License-Identifier: GPL-2.0
/*
 * The code of .gm.gates (what the guest may execute) and .gm.stubs (what
 * leads out of sealed text).
 *
 * Keeps I1: a gate has one target, fixed here. KVM tells gates apart by the
 * address of the hypercall instruction alone, so no slot carries an identity.
 * The bytes hold VMMCALL; KVM puts the host's own hypercall into the page that
 * it owns when it seals.
 */
#include <string.h>

#include "gmcc.h"
#include "policy.h"

#define HYPERCALL	0x0f, 0x01, 0xd9	/* vmmcall */
#define UD2		0x0f, 0x0b
#define RET		0xc3
#define INT3		0xcc
#define LE32(x)		(x) & 0xff, ((x) >> 8) & 0xff, ((x) >> 16) & 0xff, ((x) >> 24) & 0xff

/* In-call: endbr64; hypercall; ud2 */
static const uint8_t in_call[] = { 0xf3, 0x0f, 0x1e, 0xfa, HYPERCALL, UD2 };
_Static_assert(sizeof(in_call) == GATE_IN_CALL_INSN + 5, "hypercall behind endbr64");

static const uint8_t resume[] = { HYPERCALL, UD2 };
static const uint8_t out_return[] = { HYPERCALL, UD2 };
/* call *%r11; hypercall (the in-return gate); ud2 */
static const uint8_t trampoline[] = { 0x41, 0xff, 0xd3, HYPERCALL, UD2 };
static const uint8_t ret[] = { RET };
static const uint8_t out_call[] = { HYPERCALL, RET };

/*
 * What the loader calls instead of init_module(): ask KVM to seal, then enter
 * through the in-call gate. Runs in the guest view, before the seal on either
 * vendor's processors, so it carries both hypercalls. Without KVM (its CPUID
 * signature, also behind Hyper-V's) a hypercall would trap: -ENODEV instead.
 */
static const uint8_t init_stub[] = {
	0xf3, 0x0f, 0x1e, 0xfa,			/* 00 endbr64 */
	0x53,					/* 04 push %rbx */
	0xb8, LE32(0x40000000),			/* 05 mov $0x40000000,%eax */
	0x0f, 0xa2,				/* 0a cpuid */
	0x81, 0xfb, 'K', 'V', 'M', 'K',		/* 0c cmp $"KVMK",%ebx */
	0x74, 0x0f,				/* 12 je 23 */
	0xb8, LE32(0x40000100),			/* 14 mov $0x40000100,%eax */
	0x0f, 0xa2,				/* 19 cpuid */
	0x81, 0xfb, 'K', 'V', 'M', 'K',		/* 1b cmp $"KVMK",%ebx */
	0x75, 0x44,				/* 21 jne 67 */
	0x31, 0xc0,				/* 23 xor %eax,%eax */
	0x0f, 0xa2,				/* 25 cpuid */
	0x48, 0x8d, 0x3d, LE32(0),		/* 27 lea .gm.anchors(%rip),%rdi */
	0xb8, LE32(KVM_GM_HC_SEAL),		/* 2e mov $KVM_GM_HC_SEAL,%eax */
	0x81, 0xfb, 'A', 'u', 't', 'h',		/* 33 cmp $"Auth",%ebx */
	0x74, 0x0d,				/* 39 je 48 */
	0x81, 0xfb, 'H', 'y', 'g', 'o',		/* 3b cmp $"Hygo",%ebx */
	0x74, 0x05,				/* 41 je 48 */
	0x0f, 0x01, 0xc1,			/* 43 vmcall */
	0xeb, 0x03,				/* 46 jmp 4b */
	0x0f, 0x01, 0xd9,			/* 48 vmmcall */
	0x5b,					/* 4b pop %rbx */
	0x48, 0x85, 0xc0,			/* 4c test %rax,%rax */
	0x0f, 0x84, LE32(0),			/* 4f jz in-call gate of init */
	0x48, 0x3d, LE32(-1000U),		/* 55 cmp $-KVM_ENOSYS,%rax */
	0x75, 0x05,				/* 5b jne 62 */
	0xb8, LE32(-38U),			/* 5d mov $-ENOSYS,%eax */
	RET, INT3, INT3, INT3, INT3,		/* 62 ret */
	0x5b,					/* 67 pop %rbx */
	0xb8, LE32(-19U),			/* 68 mov $-ENODEV,%eax */
	RET,					/* 6d ret */
};
#define INIT_LEA	0x2a	/* the fields to fill in */
#define INIT_JZ		0x51

_Static_assert(sizeof(init_stub) == 0x6e, "jump distances above");
_Static_assert(GATE_INIT_OFFSET + sizeof(init_stub) <= GATE_FIRST_OFFSET, "init stub overlaps");

struct sym *symbol_defined(const struct obj *o, const char *name)
{
	for (size_t i = 1; i < o->nr_syms; i++)
		if (o->syms[i]->sec && !strcmp(o->syms[i]->name, name))
			return o->syms[i];
	return NULL;
}

struct gate *gate_for(struct obj *o, struct sec *s, uint64_t off,
		      const struct sec *from, uint64_t from_off)
{
	struct sym *f = func_at(s, off);
	struct gate *g;

	if (!f) {
		refuse(o, from, from_off,
		       "pointer into the middle of a function, %s+0x%llx. Use a module that takes only whole functions' addresses.",
		       s->name, (unsigned long long)off);
		return NULL;
	}
	if (!insn_at(s, off)) {
		refuse(o, from, from_off, "%s does not start with an instruction (%s+0x%llx). Report this module.",
		       f->name, s->name, (unsigned long long)off);
		return NULL;
	}
	if (f->gate)
		return f->gate;
	/* Init and exit are entries by their nature: gates_init() asks first. */
	if ((from != s || from_off != off) && !policy_entry(o, f->name)) {
		refuse(o, from, from_off,
		       "the address of %s is given away, but the policy does not name it as an entry.",
		       f->name);
		return NULL;
	}
	g = f->gate = xalloc(sizeof(*g));
	g->sec = f->entry ? f->entry->sec : s;
	g->off = f->entry ? f->entry->value : off;
	g->name = f->name;
	g->slot = GATE_FIRST_OFFSET + o->nr_gates * GM_SLOT;
	g->sym = obj_symbol(o, xasprintf("gm_gate_%s", f->name), STT_FUNC, o->s_gates,
			    g->slot, GM_SLOT);
	o->gates = xgrow(o->gates, o->nr_gates, sizeof(*o->gates));
	o->gates[o->nr_gates++] = g;
	return g;
}

struct stub *stub_new(struct obj *o, const char *name)
{
	struct stub *st = xalloc(sizeof(*st));

	st->name = name;
	st->slot = STUB_FIRST_OFFSET + o->nr_stubs * GM_SLOT;
	st->insn = st->slot;
	st->sym = obj_symbol(o, xasprintf("gm_stub_%s", name), STT_FUNC, o->s_stubs,
			     st->slot, GM_SLOT);
	o->stubs = xgrow(o->stubs, o->nr_stubs, sizeof(*o->stubs));
	o->stubs[o->nr_stubs++] = st;
	return st;
}

struct stub *stub_for(struct obj *o, struct sym *target)
{
	if (!target->stub) {
		target->stub = stub_new(o, target->name);
		target->stub->target = target;
	}
	return target->stub;
}

/* What stands in a section of the guest's own, such as a static call's trampoline. */
struct stub *stub_for_guest_code(struct obj *o, struct sym *target, uint64_t off)
{
	struct stub *st;

	for (size_t i = 0; i < o->nr_stubs; i++)
		if (o->stubs[i]->target && o->stubs[i]->target->sec == target->sec &&
		    o->stubs[i]->target_off == off)
			return o->stubs[i];
	st = stub_new(o, func_at(target->sec, off) ? func_at(target->sec, off)->name : target->sec->name);
	st->target = target;
	st->target_off = off;
	return st;
}

/* glue.c's way out: the target is in R11, and no arguments are on the stack. */
struct stub *stub_for_guest_thunk(struct obj *o)
{
	struct sym *y = o->guest_thunk;

	if (!y->stub) {
		y->stub = stub_new(o, "guest");
		y->stub->fixed_words = true;
	}
	return y->stub;
}

static const char *const registers[] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

static int register_number(const char *reg)
{
	for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
		if (i != 4 && !strcmp(registers[i], reg))
			return i;
	return -1;
}

struct stub *stub_for_register(struct obj *o, const char *reg)
{
	struct stub *st;

	if (register_number(reg) < 0)
		return NULL;
	for (size_t i = 0; i < o->nr_stubs; i++)
		if (!o->stubs[i]->target && !strcmp(o->stubs[i]->name, reg))
			return o->stubs[i];
	st = stub_new(o, reg);
	if (strcmp(reg, "r11"))
		st->insn += 3;		/* after mov %reg,%r11 */
	return st;
}

static void init_gate(struct obj *o, const char *name, uint8_t flag)
{
	const struct sym *y = symbol_defined(o, name);
	struct gate *g;

	if (!y || y->sec->role != ROLE_TEXT) {
		if (flag == KVM_GM_GATE_F_INIT)
			die(o->file, "no init_module() to seal at. Give a module with an init function.");
		return;
	}
	g = gate_for(o, y->sec, y->value, y->sec, y->value);
	if (!g)
		return;
	if (g->flags)
		refuse(o, y->sec, y->value, "one function is both init and exit. Split it.");
	g->flags = flag;
}

void gates_init(struct obj *o)
{
	const uint64_t flags = SHF_ALLOC | SHF_EXECINSTR;

	o->s_gates = obj_section(o, GM_SECTION_GATES, SHT_PROGBITS, flags, 0);
	o->s_gates->role = ROLE_GATES;
	o->s_stubs = obj_section(o, GM_SECTION_STUBS, SHT_PROGBITS, flags, 0);
	o->s_stubs->role = ROLE_TEXT;
	o->s_stacks = obj_section(o, GM_SECTION_STACKS, SHT_NOBITS, SHF_ALLOC | SHF_WRITE,
				  (uint64_t)o->stacks *
					  (o->stack_pages + GM_STACK_GUARD) * GM_PAGE);
	o->s_stacks->role = ROLE_STACK;
	o->s_anchors = obj_section(o, GM_SECTION_ANCHORS, SHT_PROGBITS, SHF_ALLOC, 0);
	o->s_anchors->align = 8;
	o->s_manifest = obj_section(o, GM_SECTION_MANIFEST, SHT_PROGBITS, 0, 0);

	o->init_stub = obj_symbol(o, "gm_init", STT_FUNC, o->s_gates, GATE_INIT_OFFSET,
				  sizeof(init_stub));
	obj_symbol(o, "gm_ret", STT_FUNC, o->s_gates, GATE_RET_OFFSET, GM_SLOT);
	obj_symbol(o, "gm_resume", STT_FUNC, o->s_gates, GATE_RESUME_OFFSET, GM_SLOT);
	obj_symbol(o, "gm_trampoline", STT_FUNC, o->s_gates, GATE_TRAMPOLINE_OFFSET, GM_SLOT);
	obj_symbol(o, "gm_return", STT_FUNC, o->s_stubs, STUB_RETURN_OFFSET, GM_SLOT);
	init_gate(o, "init_module", KVM_GM_GATE_F_INIT);
	init_gate(o, "cleanup_module", KVM_GM_GATE_F_EXIT);
	refused_exit(o);
}

static void section_room(struct sec *s, uint64_t size)
{
	s->size = s->mem_size = size;
	s->data = xalloc(size);
	memset(s->data, INT3, size);
}

static void fill_init_stub(struct obj *o)
{
	struct sec *s = o->s_gates;
	uint8_t *p = s->data + GATE_INIT_OFFSET;
	uint32_t jz = o->gates[0]->slot - (GATE_INIT_OFFSET + INIT_JZ + 4);
	struct rel *r = xalloc(sizeof(*r));

	memcpy(p, init_stub, sizeof(init_stub));
	memcpy(p + INIT_JZ, &jz, 4);
	r->off = GATE_INIT_OFFSET + INIT_LEA;
	r->type = R_X86_64_PC32;
	r->sym = o->s_anchors->section_sym;
	r->addend = -4;
	s->rels = r;
	s->nr_rels = 1;
}

static void write_stub(struct obj *o, const struct stub *st)
{
	uint8_t *p = o->s_stubs->data + st->slot;

	if (!st->target && !st->fixed_words && strcmp(st->name, "r11")) {
		int reg = register_number(st->name);

		*p++ = reg < 8 ? 0x49 : 0x4d;		/* mov %reg,%r11 */
		*p++ = 0x89;
		*p++ = 0xc3 | (reg & 7) << 3;
	}
	memcpy(o->s_stubs->data + st->insn, out_call, sizeof(out_call));
}

void gates_finish(struct obj *o)
{
	section_room(o->s_gates, GATE_FIRST_OFFSET + o->nr_gates * GM_SLOT);
	memcpy(o->s_gates->data + GATE_RET_OFFSET, ret, sizeof(ret));
	memcpy(o->s_gates->data + GATE_RESUME_OFFSET, resume, sizeof(resume));
	memcpy(o->s_gates->data + GATE_TRAMPOLINE_OFFSET, trampoline, sizeof(trampoline));
	fill_init_stub(o);
	for (size_t i = 0; i < o->nr_gates; i++)
		memcpy(o->s_gates->data + o->gates[i]->slot, in_call, sizeof(in_call));

	dispatch_plan(o);
	section_room(o->s_stubs, dispatch_size(o, STUB_FIRST_OFFSET + o->nr_stubs * GM_SLOT));
	memcpy(o->s_stubs->data + STUB_RETURN_OFFSET, out_return, sizeof(out_return));
	for (size_t i = 0; i < o->nr_stubs; i++)
		write_stub(o, o->stubs[i]);
	dispatch_write(o);
}
