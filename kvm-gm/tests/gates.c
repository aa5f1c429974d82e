// SPDX-License-Identifier: GPL-2.0
/*
 * I1 and I2 at every kind of gate, for every register: what is in it where a gate
 * is used has no effect beyond but what the convention of calls says, which beyond()
 * spells out; and what the guest keeps in control registers, debug registers and
 * bases neither disturbs the module nor is lost (journeys, through all gates).
 */
#include <string.h>
#include <sys/ioctl.h>

#include "walk.h"

#define SP		STACK(0)
#define RESULT		0x1234
#define LOW		VA_MODULES
#define HIGH		(VA_MODULES + MODULE_PAGES * PAGE)
#define SECRET(i)	(0x5ec2e700UL + (i))

#define RFLAGS_FIXED	0x2ULL
#define RFLAGS_TF	0x100ULL
#define RFLAGS_IF	0x200ULL
#define RFLAGS_RF	0x10000ULL
#define RFLAGS_KEPT	0xad5ULL	/* IF, and what arithmetic sets */

extern const char kernel_halt[], kernel_callee[], kernel_write_debug[], kernel_write_debug_end[];
extern const char text_null[], text_out[], text_keep[], text_keep_load[], text_journey[];
extern const char text_journey_back[], text_journey_load[], out[], out_return[];

/* --- one gate ------------------------------------------------------------------- */

/* What a thread that text_keep() was interrupted in had, and is to have again. */
static struct kvm_regs interrupted;

static void unmap_absent(void)
{
	*machine_entry(&vm, VA_ABSENT, 1) = 0;
}

static void map_absent(void)
{
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
}

/* The vCPU is at that gate, and all is as it should be. */
static void arrive(unsigned int gate)
{
	struct kvm_regs regs;

	switch (gate) {
	case GATE_NULL:
		call_gate(cpu, gate, SP, RESULT - 1, 0, 0);
		break;
	case GATE_IN_RETURN:
		call_text(cpu, text_out, SP, 0, 0);
		expect_out_call(cpu, SP);
		kernel_at(cpu, gate_va(gate), SP);
		break;
	case GATE_RESUME:
		unmap_absent();
		call_text(cpu, text_keep, SP, VA_ABSENT, 0);
		expect_event(cpu, PF_VECTOR, 0, SP);
		map_absent();
		kernel_at(cpu, gate_va(gate), SP);
		break;
	default:
		/* As if the function that is called began with it. */
		call_gate(cpu, GATE_NULL, SP, RESULT - 1, 0, 0);
		expect_equal("where the module is entered", cross(cpu), text_va(text_null));
		regs = vcpu_regs(cpu);
		regs.rip = gate_va(gate);
		regs.rsp += gate == GATE_OUT_RETURN ? 8 : 0;
		vcpu_set_regs(cpu, &regs);
	}
}

static void remember_interrupted(void)
{
	map_absent();
	call_text(cpu, text_keep, SP, VA_ABSENT, 0);
	while (cross(cpu) == gate_va(GATE_JUMP))
		;
	step_to(cpu, text_va(text_keep_load));
	interrupted = vcpu_regs(cpu);
	expect_return(cpu);
}

/* What there must be beyond a gate that was used with these. */
static struct kvm_regs beyond(unsigned int gate, const struct kvm_regs *at)
{
	const struct kvm_regs caller = kernel_regs(0, 0);
	struct kvm_regs regs = *at;

	switch (gate) {
	case GATE_NULL:
		regs.rip = text_va(text_null);
		regs.rsp = private_sp();
		regs.rflags = (at->rflags & RFLAGS_KEPT) | RFLAGS_FIXED;
		return regs;
	case GATE_IN_RETURN:
		regs.rip = gate_va(GATE_OUT) + 3;
		regs.rsp = private_sp() - 16;
		regs.rbx = SECRET(3);
		regs.rbp = SECRET(5);
		regs.r12 = SECRET(12);
		regs.r13 = SECRET(13);
		regs.r14 = SECRET(14);
		regs.r15 = SECRET(15);
		regs.rflags = (at->rflags & RFLAGS_KEPT) | RFLAGS_FIXED;
		return regs;
	case GATE_RESUME:
		return interrupted;
	case GATE_OUT:
		return (struct kvm_regs) {
			.rip = victim.arg.trampoline, .rsp = SP,
			.rdi = at->rdi, .rsi = at->rsi, .rdx = at->rdx, .rcx = at->rcx,
			.r8 = at->r8, .r9 = at->r9, .rax = at->rax,
			.r11 = kernel_va(kernel_callee),
			.rflags = (at->rflags & RFLAGS_IF) | RFLAGS_FIXED,
		};
	default:
		return (struct kvm_regs) {
			.rip = victim.arg.ret, .rsp = SP, .rax = at->rax, .rdx = at->rdx,
			.rbx = caller.rbx, .rbp = caller.rbp, .r12 = caller.r12,
			.r13 = caller.r13, .r14 = caller.r14, .r15 = caller.r15,
			.rflags = (at->rflags & RFLAGS_IF) | RFLAGS_FIXED,
		};
	}
}

static const struct {
	const char *name;
	size_t offset;
} registers[] = {
#define REGISTER(name) { #name, offsetof(struct kvm_regs, name) }
	REGISTER(rax), REGISTER(rbx), REGISTER(rcx), REGISTER(rdx), REGISTER(rsi), REGISTER(rdi),
	REGISTER(rbp), REGISTER(r8), REGISTER(r9), REGISTER(r10), REGISTER(r11), REGISTER(r12),
	REGISTER(r13), REGISTER(r14), REGISTER(r15), REGISTER(rsp),
#undef REGISTER
	{ "rip", offsetof(struct kvm_regs, rip) }, { "rflags", offsetof(struct kvm_regs, rflags) },
};

#define NR_GENERAL	16
#define NR_REGISTERS	(sizeof(registers) / sizeof(registers[0]))

static __u64 *register_in(struct kvm_regs *regs, unsigned int i)
{
	return (__u64 *)((uint8_t *)regs + registers[i].offset);
}

/* @what is what was hostile, with that value. */
static void expect_registers(const char *what, uint64_t value, struct kvm_regs want)
{
	struct kvm_regs got = vcpu_regs(cpu);
	unsigned int i;

	for (i = 0; i < NR_REGISTERS; i++)
		expect(*register_in(&got, i) == *register_in(&want, i),
		       "%s was 0x%lx: %s: got 0x%llx, want 0x%llx", what, value, registers[i].name,
		       *register_in(&got, i), *register_in(&want, i));
}

/* After a call out at which the module had these: it has again what a function keeps. */
static void expect_kept(const char *what, uint64_t value, const struct kvm_regs *at)
{
	struct kvm_regs caller = kernel_regs(gate_va(GATE_IN_RETURN), SP), want = caller;

	vcpu_set_regs(cpu, &caller);
	cross(cpu);
	want.rbx = at->rbx;
	want.rbp = at->rbp;
	want.r12 = at->r12;
	want.r13 = at->r13;
	want.r14 = at->r14;
	want.r15 = at->r15;
	want.rsp = at->rsp;
	want.rip = gate_va(GATE_OUT) + 3;
	expect_registers(what, value, want);
}

/* From inside to the end of the stay; the module was called at @sp. */
static void end_stay(uint64_t sp)
{
	struct kvm_regs regs = vcpu_regs(cpu);

	regs.rip = gate_va(GATE_OUT_RETURN);
	regs.rsp = private_sp() + 8;
	vcpu_set_regs(cpu, &regs);
	expect_equal("where the stay ends", cross(cpu), victim.arg.ret);
	expect_equal("RSP there", vcpu_regs(cpu).rsp, sp);
	expect_activations(0, 0);
}

/* --- general registers and flags ----------------------------------------------------- */

/* The gate by itself: what is seen right beyond. */
static void seen_beyond(unsigned int gate, const char *what, uint64_t value,
			const struct kvm_regs *at)
{
	struct kvm_regs want = beyond(gate, at);

	vcpu_set_regs(cpu, at);
	cross(cpu);
	if (gate == GATE_RESUME)	/* of a fault */
		want.rflags |= vcpu_regs(cpu).rflags & RFLAGS_RF;
	expect_registers(what, value, want);
	if (gate == GATE_OUT)
		expect_kept(what, value, at);
	if (gate != GATE_OUT_RETURN)
		end_stay(gate == GATE_NULL ? at->rsp : SP);
}

/* The same undisturbed, on KVM's fast path: to the next time that the kernel halts. */
static void run_beyond(unsigned int gate, const char *what, uint64_t value,
		       const struct kvm_regs *at)
{
	struct kvm_regs want = beyond(gate == GATE_NULL ? GATE_OUT_RETURN : gate, at);

	*word_at(VA_SCRATCH) = RESULT;
	vcpu_set_regs(cpu, at);
	switch (gate) {
	case GATE_IN_RETURN:
		expect_equal("result", expect_return(cpu), at->rax + 1);
		return;
	case GATE_RESUME:
		expect_equal("result", expect_return(cpu), RESULT);
		return;
	case GATE_OUT:
		expect_halt(cpu, kernel_va(kernel_callee));
		want.rip = kernel_va(kernel_callee) + 1;
		want.rsp -= 8;
		expect_registers(what, value, want);
		expect_kept(what, value, at);
		end_stay(SP);
		return;
	case GATE_NULL:
		want.rax = at->rdi + 1;
		want.rbx = at->rbx;
		want.rbp = at->rbp;
		want.r12 = at->r12;
		want.r13 = at->r13;
		want.r14 = at->r14;
		want.r15 = at->r15;
		break;
	}
	expect_halt(cpu, kernel_va(kernel_halt));
	want.rip = kernel_va(kernel_halt) + 1;
	want.rsp += 8;
	expect_registers(what, value, want);
}

static bool is_bad_stack(uint64_t sp)
{
	return sp >> 47 != 0x1ffff || sp % 8 || (sp >= LOW && sp < HIGH + PAGE);
}

static void seal_anew(void)
{
	uint32_t id = victim.arg.id;

	must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
	prepare(&victim, 0, &(struct setup) {});
	seal(&victim);
}

/* A stack pointer at a gate is more than a value. */
static void hostile_stack(unsigned int gate, uint64_t value, const struct kvm_regs *good)
{
	struct kvm_regs at = *good;
	bool bad = is_bad_stack(value), absent = !machine_at(&vm, value);

	at.rsp = value;
	vcpu_set_regs(cpu, &at);
	if (gate == GATE_OUT_RETURN) {
		expect_violation(cpu, KVM_GM_V_FRAME, gate, gate_va(gate), value,
				 .module = &victim, .inside = SP);
		/* That stack is lost. */
		count_violation(victim.arg.id, KVM_GM_V_FRAME, -1);
		seal_anew();
		return;
	}
	if (gate == GATE_OUT || (gate == GATE_NULL && !bad)) {
		seen_beyond(gate, "rsp", value, &at);
		return;
	}
	expect_violation(cpu, bad ? KVM_GM_V_ENVIRONMENT :
			 gate == GATE_RESUME ? KVM_GM_V_RESUME : KVM_GM_V_RETURN, gate,
			 gate_va(gate), value, .module = &victim, .no_stack = bad || absent);
	seen_beyond(gate, "rsp, before,", value, good);
}

static void registers_at(unsigned int gate)
{
	const uint64_t values[] = {
		0, 1, ~0ULL, 1ULL << 63, 1ULL << 47, VA_USER, VA_ABSENT, KVM_GM_HC_SEAL,
		gate_va(GATE_JUMP), gate_va(GATE_OUT), text_va(text_null), region_va(REGION_DATA),
		private_sp(), victim.arg.trampoline, STACK(5),
	};
	unsigned int i, j;

	for (i = 0; i < NR_GENERAL; i++)
		for (j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
			bool stack = !strcmp(registers[i].name, "rsp");
			struct kvm_regs good, at;

			arrive(gate);
			good = at = vcpu_regs(cpu);
			if (stack) {
				hostile_stack(gate, values[j], &good);
				continue;
			}
			*register_in(&at, i) = values[j];
			seen_beyond(gate, registers[i].name, values[j], &at);
			arrive(gate);
			run_beyond(gate, registers[i].name, values[j], &at);
		}
	expect_activations(0, 0);
}

static void hostile_registers(const struct attack *attack)
{
	const unsigned int *gate = attack->with;

	start();
	remember_interrupted();
	registers_at(*gate);
}

/* All but VM, which 64-bit mode has not, and those that are fixed. */
#define FLAGS	0x3d7fd5ULL

static void hostile_flag(const struct attack *attack)
{
	const unsigned int gate = *(const unsigned int *)attack->with;
	uint64_t flag;

	start();
	remember_interrupted();
	for (flag = 1; flag <= FLAGS; flag <<= 1) {
		struct kvm_regs at;

		/* A step of the module's own does not end at its gates: exception-step. */
		if (!(flag & FLAGS) ||
		    (flag == RFLAGS_TF && (gate == GATE_OUT || gate == GATE_OUT_RETURN)))
			continue;
		arrive(gate);
		at = vcpu_regs(cpu);
		at.rflags = RFLAGS_FIXED | flag;
		seen_beyond(gate, "rflags", flag, &at);
		arrive(gate);
		run_beyond(gate, "rflags", flag, &at);
	}
	expect_activations(0, 0);
}

/* --- what stays the guest's, on a journey through all gates ------------------------------ */

/* Before which gate of the journey the guest changes something. */
static const unsigned int ways_in[] = { GATE_JUMP, GATE_IN_RETURN, GATE_RESUME };

#define NR_WAYS_IN	(sizeof(ways_in) / sizeof(ways_in[0]))

struct change {
	void (*make)(const struct change *change);
	void (*check)(const struct change *change);	/* wherever the kernel is, from then on */
	unsigned int nr;
	uint64_t value, more;
};

static void journey(unsigned int before, const struct change *change)
{
	struct kvm_regs regs;
	bool made = false;
	unsigned int i;

	unmap_absent();
	*word_at(VA_SCRATCH) = 1;
	call_text(cpu, text_journey, SP, VA_ABSENT, 0);
	for (i = 0; i < NR_WAYS_IN; i++) {
		if (ways_in[i] == before) {
			regs = vcpu_regs(cpu);
			change->make(change);
			vcpu_set_regs(cpu, &regs);
			made = true;
		}
		switch (ways_in[i]) {
		case GATE_JUMP:
			expect_out_call(cpu, SP);
			regs = kernel_regs(gate_va(GATE_IN_RETURN), SP);
			regs.rax = RESULT - 1;
			break;
		case GATE_IN_RETURN:
			expect_event(cpu, PF_VECTOR, 0, SP);
			map_absent();
			regs = kernel_regs(gate_va(GATE_RESUME), SP);
			break;
		default:
			expect_equal("result", expect_return(cpu), RESULT);
		}
		if (made)
			change->check(change);
		vcpu_set_regs(cpu, &regs);
	}
	kernel_at(cpu, kernel_va(kernel_halt), SP);
	expect_activations(0, 0);
}

/* Control registers: @nr is 0, 4, or EFER's; all but the changed bits is as ever. */
#define CHANGE_EFER	100

static __u64 *control_in(struct kvm_sregs *sregs, unsigned int nr)
{
	return nr == 0 ? &sregs->cr0 : nr == 4 ? &sregs->cr4 :
							     &sregs->efer;
}

static void make_control(const struct change *change)
{
	struct kvm_sregs sregs = vcpu_sregs(cpu);

	*control_in(&sregs, change->nr) = change->value;
	vcpu_set_sregs(cpu, &sregs);
}

static void check_control(const struct change *change)
{
	struct kvm_sregs sregs = vcpu_sregs(cpu);

	expect_equal("a control register", *control_in(&sregs, change->nr), change->value);
}

/* Does KVM take it at all, outside? */
static bool may_be_set(const struct change *change)
{
	struct kvm_sregs sregs = vcpu_sregs(cpu), with = sregs;
	bool may;

	*control_in(&with, change->nr) = change->value;
	may = !ioctl(cpu->fd, KVM_SET_SREGS, &with);
	vcpu_set_sregs(cpu, &sregs);
	return may;
}

struct control {
	unsigned int nr;
	uint64_t toggled;	/* each, one at a time */
	uint64_t surely;	/* those that every CPU has */
};

static void hostile_control(const struct attack *attack)
{
	const struct control *control = attack->with;
	uint64_t bit, done = 0;
	struct kvm_sregs good;
	unsigned int i;

	start();
	good = vcpu_sregs(cpu);
	for (bit = 1; bit <= control->toggled; bit <<= 1) {
		struct change change = {
			make_control, check_control, .nr = control->nr,
			.value = *control_in(&good, control->nr) ^ bit,
		};

		if (!(control->toggled & bit) || !may_be_set(&change))
			continue;
		for (i = 0; i < NR_WAYS_IN; i++) {
			journey(ways_in[i], &change);
			vcpu_set_sregs(cpu, &good);
		}
		done |= bit;
	}
	expect_equal("bits that were not toggled", control->surely & ~done, 0);
}

/* --- bases ------------------------------------------------------------------------------ */

#define MSR_KERNEL_GS_BASE	0xc0000102

enum { FS_BASE, GS_BASE, KERNEL_GS_BASE };

struct msr {
	struct kvm_msrs header;
	struct kvm_msr_entry entry;
};

static uint64_t base(unsigned int nr)
{
	struct msr msr = { { .nmsrs = 1 }, { .index = MSR_KERNEL_GS_BASE } };
	struct kvm_sregs sregs = vcpu_sregs(cpu);

	if (nr != KERNEL_GS_BASE)
		return nr == FS_BASE ? sregs.fs.base : sregs.gs.base;
	expect_equal("KVM_GET_MSRS", ioctl(cpu->fd, KVM_GET_MSRS, &msr), 1);
	return msr.entry.data;
}

static void set_base(unsigned int nr, uint64_t value)
{
	struct kvm_sregs sregs = vcpu_sregs(cpu);

	if (nr == KERNEL_GS_BASE) {
		vcpu_set_msr(cpu, MSR_KERNEL_GS_BASE, value);
		return;
	}
	*(nr == FS_BASE ? &sregs.fs.base : &sregs.gs.base) = value;
	vcpu_set_sregs(cpu, &sregs);
}

/* Before it is as it should be, it is not, and the gate refuses. */
static void make_base(const struct change *change)
{
	unsigned int gate;

	if (change->more) {
		for (gate = 0; gate_va(gate) != vcpu_regs(cpu).rip; gate++)
			;
		set_base(change->nr, change->more);
		expect_violation(cpu, KVM_GM_V_ENVIRONMENT, gate, gate_va(gate), change->more,
				 .module = &victim);
	}
	set_base(change->nr, change->value);
}

static void check_base(const struct change *change)
{
	expect_equal("a base", base(change->nr), change->value);
}

static bool is_bad_gs(uint64_t gs)
{
	return gs >> 47 != 0x1ffff || (gs > LOW - 2 * MIB && gs < HIGH);
}

static void hostile_bases(const struct attack *attack)
{
	const unsigned int nr = *(const unsigned int *)attack->with;
	static const uint64_t values[] = {
		1, VA_USER, 0x7fffffffffff, 0xffff800000000000, LOW - 2 * MIB, LOW - 2 * MIB + 1,
		LOW, LOW + PAGE, HIGH - 1, HIGH, ~0ULL, VA_ABSENT,
	};
	unsigned int i, j;
	uint64_t good;

	start();
	good = base(nr);
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		for (j = 0; j < NR_WAYS_IN; j++) {
			bool bad = nr == GS_BASE && is_bad_gs(values[i]);

			journey(ways_in[j], &(const struct change) {
				make_base, check_base, .nr = nr,
				.value = bad ? good : values[i], .more = bad ? values[i] : 0,
			});
			set_base(nr, good);
		}
}

/* --- debug registers ------------------------------------------------------------------- */

static void write_debug(const uint64_t *db, uint64_t dr7)
{
	struct kvm_regs regs = kernel_regs(kernel_va(kernel_write_debug), STACK(1));

	regs.rax = db[0];
	regs.rbx = db[1];
	regs.rcx = db[2];
	regs.rdx = db[3];
	regs.rsi = dr7;
	vcpu_set_regs(cpu, &regs);
	expect_halt(cpu, kernel_va(kernel_write_debug_end));
}

static struct kvm_debugregs debug_registers(void)
{
	struct kvm_debugregs debug;

	must(ioctl(cpu->fd, KVM_GET_DEBUGREGS, &debug), "KVM_GET_DEBUGREGS");
	return debug;
}

#define DR6_NOTHING	0xffff0ff0
#define DR7_FIXED	0x400ULL
#define DR7_GD		0x2000ULL

static void no_debug(void)
{
	must(ioctl(cpu->fd, KVM_SET_DEBUGREGS, &(struct kvm_debugregs) {
		.dr6 = DR6_NOTHING, .dr7 = DR7_FIXED }), "KVM_SET_DEBUGREGS");
}

/* @nr: which of the four; @value: where; @more: DR7. */
static void make_breakpoint(const struct change *change)
{
	uint64_t db[4] = {};

	db[change->nr] = change->value;
	write_debug(db, change->more);
}

static void check_breakpoint(const struct change *change)
{
	struct kvm_debugregs debug = debug_registers();

	expect_equal("the breakpoint's address", debug.db[change->nr], change->value);
	expect_equal("DR7", debug.dr7, change->more);
	expect_equal("DR6", debug.dr6, DR6_NOTHING);
}

enum { ON_EXECUTION = 0, ON_WRITE = 1, ON_ACCESS = 3 };

static uint64_t dr7_of(unsigned int nr, unsigned int type, bool global)
{
	return DR7_FIXED | (global ? 2ULL : 1ULL) << 2 * nr |
	       (type | (type ? 0xcULL : 0)) << (16 + 4 * nr);	/* data: 4 bytes */
}

static void breakpoints_before_each_gate(void)
{
	static const uint64_t none[4];
	const struct {
		uint64_t va;
		unsigned int type;
	} places[] = {
		{ text_va(text_journey), ON_EXECUTION }, { text_va(out), ON_EXECUTION },
		{ text_va(text_journey_back), ON_EXECUTION },
		{ text_va(text_journey_load), ON_EXECUTION },
		{ text_va(out_return), ON_EXECUTION }, { private_sp() - 8, ON_WRITE },
		{ private_sp() - 8, ON_ACCESS }, { region_va(REGION_DATA), ON_ACCESS },
	};
	unsigned int i, j, nr;

	for (nr = 0; nr < 4; nr++) {
		for (i = 0; i < 2 * sizeof(places) / sizeof(places[0]); i++)
			for (j = 0; j < NR_WAYS_IN; j++)
				journey(ways_in[j], &(const struct change) {
					make_breakpoint, check_breakpoint, .nr = nr,
					.value = places[i / 2].va,
					.more = dr7_of(nr, places[i / 2].type, i % 2),
				});
		/* In force again where the module has been left: the kernel's own #DB. */
		make_breakpoint(&(const struct change) {
			.nr = nr, .value = kernel_va(kernel_callee),
			.more = dr7_of(nr, ON_EXECUTION, true),
		});
		call_text(cpu, text_out, SP, 0, 0);
		expect_vector(cpu, DB_VECTOR, NO_ERROR_CODE, kernel_va(kernel_callee));
		expect_equal("DR6", debug_registers().dr6, DR6_NOTHING | 1 << nr);
		write_debug(none, DR7_FIXED);
		kernel_at(cpu, gate_va(GATE_IN_RETURN), SP);
		expect_return(cpu);
		no_debug();
	}
}

/* With general detect a MOV to a debug register is #DB: the host takes it back. */
static void make_general_detect(const struct change *change)
{
	static const uint64_t none[4];

	no_debug();
	write_debug(none, change->more);
}

static void general_detect_before_each_gate(void)
{
	unsigned int j;

	for (j = 0; j < NR_WAYS_IN; j++)
		journey(ways_in[j], &(const struct change) {
			make_general_detect, check_breakpoint, .more = DR7_FIXED | DR7_GD,
		});
	no_debug();
}

static void hostile_debug(const struct attack *attack)
{
	(void)attack;
	start();
	breakpoints_before_each_gate();
	general_detect_before_each_gate();
}

#define AT_EACH_KIND(label, text, function) \
	{ label "-in-call", 1, text " at an in-call gate: beyond it, a call's convention", \
	  function, &(const unsigned int){ GATE_NULL } }, \
	{ label "-out-call", 2, text " at an out-call gate: beyond it, a call's convention", \
	  function, &(const unsigned int){ GATE_OUT } }, \
	{ label "-in-return", 3, text " at the in-return gate: beyond it, a call's convention", \
	  function, &(const unsigned int){ GATE_IN_RETURN } }, \
	{ label "-resume", 2, text " at the resume gate: beyond it, what there was", \
	  function, &(const unsigned int){ GATE_RESUME } }, \
	{ label "-out-return", 2, text " at the out-return gate: beyond it, a call's convention", \
	  function, &(const unsigned int){ GATE_OUT_RETURN } }

#define CONTROL(label, text, ...) \
	{ label, 1, "each bit of " text " toggled before each way in: the guest's, no more", \
	  hostile_control, &(const struct control){ __VA_ARGS__ } }
#define BASE(label, text, nr) \
	{ label, 1, text, hostile_bases, &(const unsigned int){ nr } }

const struct attack gate_attacks[] = {
	AT_EACH_KIND("registers", "15 values in each of 16 registers", hostile_registers),
	AT_EACH_KIND("rflags", "each flag by itself", hostile_flag),
	/* MP EM TS NE WP AM; not PE, PG and those that are nothing by themselves. */
	CONTROL("every-cr0", "CR0", 0, 0x5002e, 0x5002e),
	/* All but PAE and what no CPU here has; surely VME PVI TSD DE PSE MCE PGE PCE .. */
	CONTROL("every-cr4", "CR4", 4, 0x1f7efdf, 0x7cf),
	/* SCE NXE LMSLE FFXSR TCE AutoIBRS; not LME, LMA. */
	CONTROL("every-efer", "EFER", CHANGE_EFER, 0x20e801, 0x801),
	BASE("every-fs", "FS bases of all kinds before each way in: the guest's, no more", FS_BASE),
	BASE("every-gs", "GS bases of all kinds before each way in: let in, or environment",
	     GS_BASE),
	BASE("every-kernel-gs", "kernel GS bases before each way in: the guest's, no more",
	     KERNEL_GS_BASE),
	{ "every-debug", 1, "DR0 to DR3 on all that a call does, DR7.GD, before each way in: undisturbed",
	  hostile_debug, NULL },
	{}
};
