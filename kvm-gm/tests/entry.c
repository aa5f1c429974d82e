// SPDX-License-Identifier: GPL-2.0
/*
 * I1: privilege is raised only through a gate of a sealed module, to the gate's
 * one target, in a sane environment.
 */
#include <string.h>
#include <sys/ioctl.h>

#include "attack.h"

#define SP		STACK(0)
#define LOW		VA_MODULES
#define HIGH		(VA_MODULES + MODULE_PAGES * PAGE)
#define RESULT		0x1234


#define KVM_EPERM	1
#define KVM_ENOSYS	1000

extern const char kernel_hypercall[], kernel_halt[], kernel_debug_jump[];
extern const char text_null[], text_flags[], text_read[];
extern const char text_out[], text_goto[], text_read_private[], text_hypercall[], out[];

/* --- the three ways in ---------------------------------------------------------- */

/* Everything is as it should be, and the vCPU at a gate for the way in. */
static void arrive(unsigned int gate)
{
	struct kvm_regs regs;

	switch (gate) {
	case GATE_IN_RETURN:
		call_text(cpu, text_out, SP, 0, 0);
		regs = expect_out_call(cpu, SP);
		kernel_at(cpu, gate_va(gate), regs.rsp + 8);
		break;
	case GATE_RESUME:
		call_text(cpu, text_read, SP, VA_ABSENT, 0);
		expect_event(cpu, PF_VECTOR, 0, SP);
		machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
		*word_at(VA_SCRATCH) = RESULT;
		kernel_at(cpu, gate_va(gate), SP);
		break;
	default:
		call_gate(cpu, gate, SP, RESULT - 1, 0, 0);
	}
}

/* After a violation at that gate, with all in order again. */
static void arrive_again(unsigned int gate)
{
	struct kvm_regs regs = kernel_regs(gate_va(gate), SP);

	regs.rdi = RESULT - 1;
	if (gate == GATE_IN_RETURN)
		regs.rax = RESULT - 1;
	vcpu_set_regs(cpu, &regs);
}

struct environment {
	unsigned int gate;
	uint64_t gs;		/* the GS base, 0: a good one */
	uint64_t sp;		/* 0: a good one */
	bool zero_gs;
	bool good;		/* the last value on the good side */
};

static void set_gs(uint64_t base)
{
	struct kvm_sregs sregs = vcpu_sregs(cpu);

	sregs.gs.base = base;
	vcpu_set_sregs(cpu, &sregs);
}

static void hostile_environment(const struct attack *attack)
{
	const struct environment *e = attack->with;
	bool gs = e->gs || e->zero_gs;
	struct kvm_regs regs;

	start();
	arrive(e->gate);
	if (gs)
		set_gs(e->gs);
	if (e->sp) {
		regs = vcpu_regs(cpu);
		regs.rsp = e->sp;
		vcpu_set_regs(cpu, &regs);
	}
	if (!e->good) {
		expect_violation(cpu, KVM_GM_V_ENVIRONMENT, e->gate, gate_va(e->gate),
				 gs ? e->gs : e->sp, .module = &victim, .no_stack = e->sp != 0);
		set_gs(VA_DIRECT);
	}
	arrive_again(e->gate);
	if (e->good && e->sp) {
		regs = vcpu_regs(cpu);
		regs.rsp = e->sp;
		*word_at(e->sp) = kernel_va(kernel_halt);
		vcpu_set_regs(cpu, &regs);
	}
	expect_equal("result", expect_return(cpu), RESULT);
	set_gs(VA_DIRECT);
	expect_activations(0, 0);
}

#define ENVIRONMENT(label, text, nr, ...) \
	{ label, 1, text, hostile_environment, \
	  &(const struct environment){ .gate = nr, __VA_ARGS__ } }
#define AT_EVERY_GATE(label, text, ...) \
	ENVIRONMENT("in-call-" label, "in-call " text, GATE_NULL, __VA_ARGS__), \
	ENVIRONMENT("in-return-" label, "in-return " text, GATE_IN_RETURN, __VA_ARGS__), \
	ENVIRONMENT("resume-" label, "resume " text, GATE_RESUME, __VA_ARGS__)

/* --- flags, debug registers, modes ----------------------------------------------- */

/* All that POPF can set: CF PF AF ZF SF TF IF DF OF IOPL NT AC ID, and RF. */
#define FLAGS_HOSTILE	0x257fd7ULL
#define FLAGS_KEPT	0xad7ULL	/* with bit 1 */

static void hostile_flags(const struct attack *attack)
{
	struct kvm_regs regs;

	(void)attack;
	start();
	/* Bochs counts it as a step of TF's if the page has to be mapped first. */
	call_text(cpu, text_flags, SP, 0, 0);
	expect_return(cpu);
	call_text(cpu, text_flags, SP, 0, 0);
	regs = vcpu_regs(cpu);
	regs.rflags = FLAGS_HOSTILE;
	vcpu_set_regs(cpu, &regs);
	expect_equal("the module's flags", expect_return(cpu), FLAGS_KEPT);
	expect_equal("flags after the return", vcpu_regs(cpu).rflags, 0x202);
}

static void hostile_flags_at_return(const struct attack *attack)
{
	struct kvm_regs regs;

	(void)attack;
	start();
	arrive(GATE_IN_RETURN);
	arrive_again(GATE_IN_RETURN);
	regs = vcpu_regs(cpu);
	regs.rflags = FLAGS_HOSTILE;
	vcpu_set_regs(cpu, &regs);
	expect_equal("result", expect_return(cpu), RESULT);
	expect_equal("flags after the return", vcpu_regs(cpu).rflags, 0x202);
}

static void hostile_flags_at_resume(const struct attack *attack)
{
	struct kvm_regs regs;

	(void)attack;
	start();
	arrive(GATE_RESUME);
	regs = vcpu_regs(cpu);
	regs.rflags = FLAGS_HOSTILE;
	vcpu_set_regs(cpu, &regs);
	expect_equal("result", expect_return(cpu), RESULT);
	expect_equal("flags after the return", vcpu_regs(cpu).rflags, 2);
}

struct breakpoint {
	unsigned int gate;
	const char *text;	/* on its execution; else on the private data */
};

static void hostile_breakpoint(const struct attack *attack)
{
	const struct breakpoint *b = attack->with;
	struct kvm_debugregs debug = {}, after;

	start();
	arrive(b->gate);
	debug.db[0] = b->text ? text_va(b->text) : region_va(REGION_DATA);
	debug.dr6 = 0xffff0ff0;
	debug.dr7 = b->text ? 0x402 : 0xf0402;	/* G0; data: reads and writes, 4 bytes */
	must(ioctl(cpu->fd, KVM_SET_DEBUGREGS, &debug), "KVM_SET_DEBUGREGS");
	if (b->text)
		arrive_again(b->gate);
	else
		call_text(cpu, text_read_private, SP, 0, 0);
	expect_equal("result", expect_return(cpu), b->text ? RESULT : 0xdadadadadadadada);
	must(ioctl(cpu->fd, KVM_GET_DEBUGREGS, &after), "KVM_GET_DEBUGREGS");
	expect_equal("DR7 afterwards", after.dr7, debug.dr7);
	expect_equal("DR6 afterwards", after.dr6, debug.dr6);
	debug.dr7 = 0x400;
	must(ioctl(cpu->fd, KVM_SET_DEBUGREGS, &debug), "KVM_SET_DEBUGREGS");
}

/* Where it arrived, but by way of the guest's own MOVs to DR0 and DR7. */
static void set_breakpoint_before(uint64_t address, uint64_t dr7)
{
	struct kvm_regs regs = vcpu_regs(cpu);

	regs.rsp -= 8;
	*word_at(regs.rsp) = regs.rip;
	regs.rip = kernel_va(kernel_debug_jump);
	regs.r10 = address;
	regs.r11 = dr7;
	vcpu_set_regs(cpu, &regs);
}

/*
 * Between the MOVs and the gate is no exit: what DR7 is the CPU alone knows. All pages
 * that are used have been before.
 */
static void hostile_breakpoint_at_once(const struct attack *attack)
{
	const struct breakpoint *b = attack->with;
	struct kvm_debugregs after;

	start();
	call_gate(cpu, GATE_NULL, SP, RESULT - 1, 0, 0);
	set_breakpoint_before(0, 0x400);
	expect_equal("result", expect_return(cpu), RESULT);

	arrive(b->gate);
	arrive_again(b->gate);
	set_breakpoint_before(text_va(b->text), 0x402);
	expect_equal("result", expect_return(cpu), RESULT);
	must(ioctl(cpu->fd, KVM_GET_DEBUGREGS, &after), "KVM_GET_DEBUGREGS");
	expect_equal("DR0 afterwards", after.db[0], text_va(b->text));
	expect_equal("DR7 afterwards", after.dr7, 0x402);
	expect_equal("DR6 afterwards", after.dr6, 0xffff0ff0);
}

/* --- user and compatibility mode ---------------------------------------------------- */

struct mode {
	unsigned int gate;
	uint64_t nr;		/* RAX */
};

static void let_user_reach(uint64_t va)
{
	int level;

	for (level = 4; level; level--)
		*machine_entry(&vm, va, level) |= PTE_U;
}

static void user_mode(const struct attack *attack)
{
	const struct mode *mode = attack->with;
	struct kvm_sregs sregs, kernel_mode;
	struct kvm_regs regs;
	const uint64_t *frame;

	start();
	arrive(mode->gate);
	let_user_reach(gate_va(mode->gate));
	regs = vcpu_regs(cpu);
	regs.rax = mode->nr;
	vcpu_set_regs(cpu, &regs);
	kernel_mode = sregs = vcpu_sregs(cpu);
	sregs.cs.dpl = sregs.ss.dpl = 3;
	sregs.cs.selector = USER_CS;
	sregs.ss.selector = USER_DS;
	vcpu_set_sregs(cpu, &sregs);

	/* KVM tells user mode that it has no hypercalls; its next instruction is HLT. */
	regs = expect_vector(cpu, GP_VECTOR, 0, gate_va(mode->gate) + 3);
	frame = word_at(regs.rsp);
	expect_equal("CS", frame[2], USER_CS);
	expect_equal("what the hypercall returns", regs.rax, -KVM_EPERM);
	vcpu_set_sregs(cpu, &kernel_mode);
	arrive_again(mode->gate);
	expect_equal("result", expect_return(cpu), RESULT);
}

static void compatibility_mode(const struct attack *attack)
{
	uint64_t low = (uint32_t)VA_MODULES;
	struct kvm_sregs sregs, kernel_mode;
	struct kvm_regs regs;

	(void)attack;
	start();
	machine_map(&vm, low, region_gpa(REGION_GATES), PTE_P);
	regs = kernel_regs(low, SP);
	regs.rax = 0xaaaa;
	vcpu_set_regs(cpu, &regs);
	kernel_mode = sregs = vcpu_sregs(cpu);
	sregs.cs.l = 0;
	sregs.cs.db = 1;
	sregs.cs.selector = COMPAT_CS;
	vcpu_set_sregs(cpu, &sregs);
	regs = expect_halt(cpu, low + 3);
	expect_equal("what the hypercall returns", regs.rax, (uint32_t)-KVM_ENOSYS);
	vcpu_set_sregs(cpu, &kernel_mode);
}

/* SMM has other memory; that it is the same here makes it no better. */
static void system_management_mode(const struct attack *attack)
{
	const struct environment *e = attack->with;

	start();
	machine_set_slot(&vm, 1 << 16, 0, MODULES, vm.memory, 0);
	machine_set_slot(&vm, 1 << 16 | 1, MODULES, MEMORY - MODULES, vm.memory + MODULES, 0);
	arrive(e->gate);
	set_management_mode(cpu, true);
	expect_violation(cpu, KVM_GM_V_ENVIRONMENT, e->gate, gate_va(e->gate),
			 vcpu_sregs(cpu).cr4, .module = &victim);
	set_management_mode(cpu, false);
	arrive_again(e->gate);
	expect_equal("result", expect_return(cpu), RESULT);
}

/* --- hypercalls that are no gates ----------------------------------------------------- */

struct hypercall {
	uint64_t nr;		/* RAX */
	uint64_t result;	/* 0: a violation */
};

static void stray_hypercall(const struct attack *attack)
{
	const struct hypercall *h = attack->with;
	uint64_t va = kernel_va(kernel_hypercall);
	struct kvm_regs regs;

	start();
	regs = kernel_regs(va, SP);
	regs.rax = h->nr;
	vcpu_set_regs(cpu, &regs);
	if (h->result) {
		regs = expect_halt(cpu, va + 3);
		expect_equal("what the hypercall returns", regs.rax, h->result);
	} else {
		expect_violation(cpu, KVM_GM_V_HYPERCALL, KVM_GM_NO_GATE, va, va);
	}
}

/* The gates page under another address. */
static void aliased_gate(const struct attack *attack)
{
	const unsigned int *gate = attack->with;
	uint64_t va = VA_ABSENT + (gate_va(*gate) & (PAGE - 1));

	start();
	va = VA_ABSENT + (gate_va(*gate) & (PAGE - 1));
	machine_map(&vm, VA_ABSENT, region_gpa(REGION_GATES), PTE_P);
	kernel_at(cpu, va, SP);
	expect_violation(cpu, KVM_GM_V_HYPERCALL, KVM_GM_NO_GATE, va, va);
}

struct forged {
	unsigned int region;
	unsigned int offset;
	int gate;		/* -1: none is there */
};

/* A page of the guest's own with a hypercall, at an address of the module's. */
static void forged_page(const struct attack *attack)
{
	const struct forged *f = attack->with;
	uint64_t va;

	start();
	va = region_va(f->region) + f->offset;
	machine_map(&vm, region_va(f->region), SCRATCH, PTE_P | PTE_W);
	forge_hypercall(vm.memory + SCRATCH + f->offset);
	kernel_at(cpu, va, SP);
	expect_violation(cpu, KVM_GM_V_GATE, f->gate < 0 ? KVM_GM_NO_GATE : (uint32_t)f->gate,
			 va, va, .module = &victim);
	machine_map(&vm, region_va(f->region), region_gpa(f->region), PTE_P | PTE_W);
}

/* The same for ways in: it gains nothing, control is at the registered target. */
static void forged_way_in(const struct attack *attack)
{
	const struct environment *e = attack->with;

	start();
	arrive(e->gate);
	machine_map(&vm, region_va(REGION_GATES), SCRATCH, PTE_P | PTE_W);
	forge_hypercall(vm.memory + SCRATCH + (gate_va(e->gate) & (PAGE - 1)));
	machine_map(&vm, region_va(REGION_TEXT), SCRATCH + PAGE, PTE_P | PTE_W);
	memset(vm.memory + SCRATCH + PAGE, 0xf4, PAGE);
	memset(vm.memory + SCRATCH + 0xa0, 0xc3, 1);
	*word_at(VA_SCRATCH) = e->gate == GATE_RESUME ? RESULT : *word_at(VA_SCRATCH);
	arrive_again(e->gate);
	expect_equal("result", expect_return(cpu), RESULT);
	machine_map(&vm, region_va(REGION_GATES), region_gpa(REGION_GATES), PTE_P | PTE_W);
}

/* --- gates from inside, gates of another seal -------------------------------------------- */

static void way_in_from_inside(const struct attack *attack)
{
	const struct environment *e = attack->with;

	start();
	call_text(cpu, text_goto, SP, gate_va(e->gate), 0);
	expect_violation(cpu, KVM_GM_V_ESCAPE, KVM_GM_NO_GATE, gate_va(e->gate),
			 gate_va(e->gate), .inside = SP, .module = &victim, .any_gpa = true);
	expect_activations(0, 1);
}

static void gate_of_another(const struct attack *attack)
{
	const struct environment *e = attack->with;
	uint64_t va;

	start_with(&(struct setup) { .other = true });
	va = other.gates[e->gate].insn;
	call_text(cpu, text_goto, SP, va, 0);
	expect_violation(cpu, KVM_GM_V_ESCAPE, KVM_GM_NO_GATE, va, va,
			 .gpa = other.gpas[e->gate < GATE_OUT ? REGION_GATES : REGION_TEXT] +
			 (va & (PAGE - 1)), .inside = SP, .module = &victim);
}

static void return_to_another(const struct attack *attack)
{
	struct kvm_regs regs;

	(void)attack;
	start_with(&(struct setup) { .other = true });
	arrive(GATE_IN_RETURN);
	regs = vcpu_regs(cpu);
	kernel_at(cpu, other.gates[GATE_IN_RETURN].insn, regs.rsp);
	expect_violation(cpu, KVM_GM_V_RETURN, GATE_IN_RETURN, other.gates[GATE_IN_RETURN].insn,
			 regs.rsp, .module = &other);
	arrive_again(GATE_IN_RETURN);
	expect_equal("result", expect_return(cpu), RESULT);
}

static void resume_another(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .other = true });
	arrive(GATE_RESUME);
	kernel_at(cpu, other.gates[GATE_RESUME].insn, SP);
	expect_violation(cpu, KVM_GM_V_RESUME, GATE_RESUME, other.gates[GATE_RESUME].insn, SP,
			 .module = &other);
	arrive_again(GATE_RESUME);
	expect_equal("result", expect_return(cpu), RESULT);
}

/* --- the init gate's hypercall, from anywhere ----------------------------------------------- */

static void expect_seal_request(uint64_t va, uint64_t anchors, int64_t answer)
{
	struct kvm_gm_exit *exit = KVM_GM_EXIT(cpu->run);
	struct kvm_regs regs = kernel_regs(va, SP);

	regs.rax = KVM_GM_HC_SEAL;
	regs.rdi = anchors;
	vcpu_set_regs(cpu, &regs);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_GM);
	expect_equal("type", exit->type, KVM_GM_EXIT_SEAL);
	expect_equal("module", exit->id, 0);
	expect_equal("rip", exit->rip, va);
	expect_equal("addr", exit->addr, anchors);
	expect_equal("gate", exit->gate, KVM_GM_NO_GATE);
	expect_equal("answer when nobody gives one", exit->ret, -KVM_ENOSYS);
	exit->ret = answer;
	regs = expect_halt(cpu, va + 3);
	expect_equal("RAX", regs.rax, answer);
}

static void seal_request_from_kernel(const struct attack *attack)
{
	(void)attack;
	start();
	expect_seal_request(kernel_va(kernel_hypercall), 0x123456789, -17);
	expect_seal_request(kernel_va(kernel_hypercall), ~0ULL, 0);
}

static void seal_request_from_module(const struct attack *attack)
{
	(void)attack;
	start();
	machine_map(&vm, region_va(REGION_DATA), SCRATCH, PTE_P | PTE_W);
	forge_hypercall(vm.memory + SCRATCH);
	expect_seal_request(region_va(REGION_DATA), region_va(REGION_TEXT), -1);
}

static void hypercall_inside(const struct attack *attack)
{
	const struct hypercall *h = attack->with;
	struct kvm_regs regs;

	start();
	call_text(cpu, text_hypercall, SP, 0, 0);
	regs = vcpu_regs(cpu);
	regs.rax = h->nr;
	vcpu_set_regs(cpu, &regs);
	expect_violation(cpu, KVM_GM_V_GATE, KVM_GM_NO_GATE, text_va(text_hypercall),
			 text_va(text_hypercall), .inside = SP, .module = &victim);
}

const struct attack entry_attacks[] = {
	AT_EVERY_GATE("gs-user", "with the GS base in user memory: environment",
		      .gs = 0x00007ffff0000000),
	AT_EVERY_GATE("gs-zero", "with the GS base 0: environment", .zero_gs = true),
	AT_EVERY_GATE("gs-module", "with the GS base at the module: environment", .gs = LOW),
	AT_EVERY_GATE("gs-module-end", "with the GS base at the module's last byte: environment",
		      .gs = HIGH - 1),
	AT_EVERY_GATE("gs-below", "with the module within reach of per-CPU data: environment",
		      .gs = LOW - 2 * MIB + 1),
	ENVIRONMENT("in-call-gs-after", "in-call with the GS base right after the module: let in",
		    GATE_NULL, .gs = HIGH, .good = true),
	ENVIRONMENT("in-call-gs-far-below", "in-call with the GS base 2 MiB below: let in",
		    GATE_NULL, .gs = LOW - 2 * MIB, .good = true),
	AT_EVERY_GATE("sp-user", "on a stack in user memory: environment",
		      .sp = 0x00007fff00001000),
	AT_EVERY_GATE("sp-odd", "on an odd stack pointer: environment", .sp = SP + 1),
	AT_EVERY_GATE("sp-half", "on a stack pointer of 4 bytes: environment", .sp = SP + 4),
	AT_EVERY_GATE("sp-module", "on a stack in the module: environment", .sp = LOW),
	AT_EVERY_GATE("sp-module-end", "on a stack that grows into the module: environment",
		      .sp = HIGH + PAGE - 8),
	AT_EVERY_GATE("sp-not-canonical", "on a stack pointer that is no address: environment",
		      .sp = 0xff00000000000000),
	ENVIRONMENT("in-call-sp-after", "in-call on a stack a page above the module: let in",
		    GATE_NULL, .sp = HIGH + PAGE, .good = true),

	{ "in-call-flags", 1, "in-call with every flag set: the module gets IF and arithmetic ones",
	  hostile_flags, NULL },
	{ "in-return-flags", 1, "in-return with every flag set: the module runs undisturbed",
	  hostile_flags_at_return, NULL },
	{ "resume-flags", 1, "resume with every flag set: the module has its own",
	  hostile_flags_at_resume, NULL },
	{ "in-call-breakpoint", 1, "in-call with a breakpoint on the target: it runs undisturbed",
	  hostile_breakpoint, &(const struct breakpoint){ GATE_NULL, text_null } },
	{ "in-call-watchpoint", 1, "in-call with a breakpoint on private data: undisturbed",
	  hostile_breakpoint, &(const struct breakpoint){ GATE_NULL, NULL } },
	{ "in-return-breakpoint", 1, "in-return with a breakpoint on where it goes on: undisturbed",
	  hostile_breakpoint, &(const struct breakpoint){ GATE_IN_RETURN, out + 3 } },
	{ "resume-breakpoint", 1, "resume with a breakpoint on what was interrupted: undisturbed",
	  hostile_breakpoint, &(const struct breakpoint){ GATE_RESUME, text_read } },

	{ "in-call-breakpoint-at-once", 1, "in-call with a breakpoint set by the instructions before the gate",
	  hostile_breakpoint_at_once, &(const struct breakpoint){ GATE_NULL, text_null } },
	{ "in-return-breakpoint-at-once", 1, "in-return with such a one on where it goes on",
	  hostile_breakpoint_at_once, &(const struct breakpoint){ GATE_IN_RETURN, out + 3 } },
	{ "resume-breakpoint-at-once", 1, "resume with such a one on what was interrupted",
	  hostile_breakpoint_at_once, &(const struct breakpoint){ GATE_RESUME, text_read } },

	{ "in-call-user", 1, "in-call from user mode: an ordinary error",
	  user_mode, &(const struct mode){ GATE_NULL, 0xaaaa } },
	{ "in-return-user", 1, "in-return from user mode: an ordinary error",
	  user_mode, &(const struct mode){ GATE_IN_RETURN, 0xaaaa } },
	{ "resume-user", 1, "resume from user mode: an ordinary error",
	  user_mode, &(const struct mode){ GATE_RESUME, 0xaaaa } },
	{ "seal-request-user", 1, "request to seal from user mode: an ordinary error",
	  user_mode, &(const struct mode){ GATE_NULL, KVM_GM_HC_SEAL } },
	{ "in-call-compat", 1, "in-call from compatibility mode: an ordinary error",
	  compatibility_mode, NULL },
	{ "in-call-smm", 1, "in-call from SMM: environment",
	  system_management_mode, &(const struct environment){ .gate = GATE_NULL } },
	{ "in-return-smm", 1, "in-return from SMM: environment",
	  system_management_mode, &(const struct environment){ .gate = GATE_IN_RETURN } },
	{ "resume-smm", 1, "resume from SMM: environment",
	  system_management_mode, &(const struct environment){ .gate = GATE_RESUME } },

	{ "hypercall", 1, "a hypercall from the kernel's own code: hypercall",
	  stray_hypercall, &(const struct hypercall){ 0xaaaa, 0 } },
	{ "hypercall-0", 1, "the same with number 0: hypercall",
	  stray_hypercall, &(const struct hypercall){ 0, 0 } },
	{ "hypercall-13", 1, "the same with the first number that KVM does not define: hypercall",
	  stray_hypercall, &(const struct hypercall){ 13, 0 } },
	{ "hypercall-kvm", 1, "a hypercall that KVM defines: its answer, no violation",
	  stray_hypercall, &(const struct hypercall){ 2, -KVM_ENOSYS } },
	{ "alias-in-call", 1, "an in-call gate by another mapping of its page: hypercall",
	  aliased_gate, &(const unsigned int){ GATE_JUMP } },
	{ "alias-in-return", 1, "the in-return gate by another mapping of its page: hypercall",
	  aliased_gate, &(const unsigned int){ GATE_IN_RETURN } },
	{ "alias-resume", 1, "the resume gate by another mapping of its page: hypercall",
	  aliased_gate, &(const unsigned int){ GATE_RESUME } },

#define FORGED(label, text, ...) \
	{ label, 1, text, forged_page, &(const struct forged){ __VA_ARGS__ } }
	FORGED("forged-out-call", "an out-call gate on a forged page: gate",
	       REGION_TEXT, 0xf00, GATE_OUT),
	FORGED("forged-out-call-indirect", "the indirect out-call gate on a forged page: gate",
	       REGION_TEXT, 0xf10, GATE_OUT_INDIRECT),
	FORGED("forged-out-call-args", "an out-call gate with arguments on a forged page: gate",
	       REGION_TEXT, 0xf20, GATE_OUT_ARGS),
	FORGED("forged-out-return", "the out-return gate on a forged page: gate",
	       REGION_TEXT, 0xf30, GATE_OUT_RETURN),
	FORGED("forged-gate-before", "a hypercall a byte before a gate: gate",
	       REGION_GATES, 0x0f, -1),
	FORGED("forged-gate-after", "a hypercall a byte after a gate: gate",
	       REGION_GATES, 0x11, -1),
	FORGED("forged-gate-overlap", "a hypercall at a gate's last byte: gate",
	       REGION_GATES, 0x12, -1),
	FORGED("forged-gate-next", "a hypercall right after a gate: gate",
	       REGION_GATES, 0x13, -1),
	FORGED("forged-rodata", "a hypercall on a forged page of constants: gate",
	       REGION_RODATA, 0x10, -1),
	FORGED("forged-data", "a hypercall on a forged page of private data: gate",
	       REGION_DATA, 0xffd, -1),
	FORGED("forged-stack", "a hypercall on a forged page of a private stack: gate",
	       REGION_STACK, 0x800, -1),
	{ "forged-in-call", 1, "in-call on forged pages: the module's own text runs",
	  forged_way_in, &(const struct environment){ .gate = GATE_NULL } },
	{ "forged-in-return", 1, "in-return on forged pages: the module's own text runs",
	  forged_way_in, &(const struct environment){ .gate = GATE_IN_RETURN } },
	{ "forged-resume", 1, "resume on forged pages: the module's own text runs",
	  forged_way_in, &(const struct environment){ .gate = GATE_RESUME } },

	{ "inside-in-call", 1, "a jump from inside to an in-call gate: escape",
	  way_in_from_inside, &(const struct environment){ .gate = GATE_NULL } },
	{ "inside-in-return", 1, "a jump from inside to the in-return gate: escape",
	  way_in_from_inside, &(const struct environment){ .gate = GATE_IN_RETURN } },
	{ "inside-resume", 1, "a jump from inside to the resume gate: escape",
	  way_in_from_inside, &(const struct environment){ .gate = GATE_RESUME } },
	{ "other-in-call", 1, "a jump from inside to another module's in-call gate: escape",
	  gate_of_another, &(const struct environment){ .gate = GATE_NULL } },
	{ "other-out-call", 1, "a jump from inside to another module's out-call gate: escape",
	  gate_of_another, &(const struct environment){ .gate = GATE_OUT } },
	{ "other-out-return", 1, "a jump from inside to another module's out-return gate: escape",
	  gate_of_another, &(const struct environment){ .gate = GATE_OUT_RETURN } },
	{ "other-in-return", 1, "an in-return to another module than was left: return",
	  return_to_another, NULL },
	{ "other-resume", 1, "a resume of another module than was interrupted: resume",
	  resume_another, NULL },

	{ "seal-request", 1, "the init gate's hypercall from the kernel: userspace is asked",
	  seal_request_from_kernel, NULL },
	{ "seal-request-module", 1, "the same from a page of a sealed module: userspace is asked",
	  seal_request_from_module, NULL },
	{ "inside-hypercall", 1, "a hypercall inside that is no gate: gate",
	  hypercall_inside, &(const struct hypercall){ 0xaaaa, 0 } },
	{ "inside-seal-request", 1, "the init gate's hypercall inside: gate",
	  hypercall_inside, &(const struct hypercall){ KVM_GM_HC_SEAL, 0 } },
	{ "inside-hypercall-kvm", 1, "a hypercall inside that KVM defines: gate",
	  hypercall_inside, &(const struct hypercall){ 2, 0 } },
	{}
};
