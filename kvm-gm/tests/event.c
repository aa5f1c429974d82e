// SPDX-License-Identifier: GPL-2.0
/*
 * I2, events that come while a vCPU is inside: interrupts, NMIs, SMIs, machine
 * checks, INIT, the debugger. What the guest can handle it finds at the resume gate.
 */
#include <asm/svm.h>
#include <asm/vmx.h>
#include <string.h>
#include <sys/ioctl.h>

#include "walk.h"

#define SP		STACK(0)
#define NMI_VECTOR	2
#define IRQ_VECTOR	0x20

extern const char kernel_timed_calls[], kernel_timer[], kernel_timer_count[];
extern const char text_rounds[];
extern const char kernel_write_device[], text_read[], text_undefined[], text_vectors[];
extern const char text_vectors_hlt[], text_vectors_hlt_itself[], text_write_private[];

static void raise_interrupt(void)
{
	struct kvm_interrupt interrupt = { .irq = IRQ_VECTOR };

	must(ioctl(cpu->fd, KVM_INTERRUPT, &interrupt), "KVM_INTERRUPT");
}

static void raise_nmi(void)
{
	must(ioctl(cpu->fd, KVM_NMI), "KVM_NMI");
}

static void raise_machine_check(void)
{
	uint64_t banks = 1 | 1 << 8;	/* MCG_CTL */
	struct kvm_x86_mce mce = {
		.status = 1ULL << 63 | 1ULL << 61 | 1ULL << 60,	/* valid, fatal, enabled */
		.mcg_status = 4,				/* in progress */
	};

	must(ioctl(cpu->fd, KVM_X86_SETUP_MCE, &banks), "KVM_X86_SETUP_MCE");
	must(ioctl(cpu->fd, KVM_X86_SET_MCE, &mce), "KVM_X86_SET_MCE");
}

struct outside_event {
	void (*raise)(void);
	unsigned int vector;
	unsigned int times;
};

static void outside_event(const struct attack *attack)
{
	const struct outside_event *e = attack->with;
	struct kvm_sregs sregs;
	unsigned int i;

	start();
	sregs = vcpu_sregs(cpu);
	sregs.cr4 |= 0x40;		/* MCE */
	vcpu_set_sregs(cpu, &sregs);
	spin(cpu, SP, true);
	for (i = 0; i < e->times; i++) {
		e->raise();
		expect_event(cpu, e->vector, NO_ERROR_CODE, SP);
		handler_returns(cpu);
		if (i + 1 < e->times)
			run_until_inside(cpu);
	}
	stop_spinning(cpu);
	expect_equal("event exits", query(1).crossings[KVM_GM_EVENT_EXIT], e->times);
	expect_equal("resumes", query(1).crossings[KVM_GM_RESUME], e->times);
}

/* A second NMI comes while the first is handled: KVM steps to the IRET's end. */
static void nmi_in_nmi(const struct attack *attack)
{
	(void)attack;
	start();
	spin(cpu, SP, false);
	raise_nmi();
	expect_event(cpu, NMI_VECTOR, NO_ERROR_CODE, SP);
	raise_nmi();
	handler_returns(cpu);
	expect_vector(cpu, NMI_VECTOR, NO_ERROR_CODE, gate_va(GATE_RESUME));
	handler_returns(cpu);
	run_until_inside(cpu);
	expect_equal("RFLAGS inside, but for arithmetic", vcpu_regs(cpu).rflags & ~0x8d5ULL, 2);
	stop_spinning(cpu);
}

/* An NMI that an interrupt shadow holds back, which ends with the gate: it comes inside. */
static void nmi_in_shadow(const struct attack *attack)
{
	struct kvm_vcpu_events events;

	(void)attack;
	start();
	call_gate(cpu, GATE_NULL, SP, 41, 0, 0);
	must(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
	events.flags |= KVM_VCPUEVENT_VALID_SHADOW;
	events.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS;
	must(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
	raise_nmi();
	expect_event(cpu, NMI_VECTOR, NO_ERROR_CODE, SP);
	handler_returns(cpu);
	expect_equal("result", expect_return(cpu), 42);
	expect_equal("event exits", query(1).crossings[KVM_GM_EVENT_EXIT], 1);
}

static void exception_from_userspace(const struct attack *attack)
{
	struct kvm_vcpu_events events;

	(void)attack;
	start();
	spin(cpu, SP, false);
	must(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
	events.exception.injected = 1;
	events.exception.nr = GP_VECTOR;
	events.exception.has_error_code = 1;
	events.exception.error_code = 0x77;
	must(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
	expect_event(cpu, GP_VECTOR, 0x77, SP);
	handler_returns(cpu);
	stop_spinning(cpu);
}

/* --- vector registers ---------------------------------------------------------------- */

#define XMM(n)	(160 / 4 + 4 * (n))	/* in struct kvm_xsave, in words */

static uint32_t vector_register(struct vcpu *vcpu, unsigned int n, uint32_t value)
{
	static struct kvm_xsave state;
	uint32_t was;

	must(ioctl(vcpu->fd, KVM_GET_XSAVE, &state), "KVM_GET_XSAVE");
	was = state.region[XMM(n)];
	state.region[XMM(n)] = value;
	state.region[512 / 4] |= 3;		/* of the header: x87 and SSE are there */
	must(ioctl(vcpu->fd, KVM_SET_XSAVE, &state), "KVM_SET_XSAVE");
	return was;
}

/*
 * Between kernel_fpu_begin() and _end() they are the module's: neither a callee
 * nor a handler sees them, nor has what it leaves there an effect, here or on
 * the vCPU where the thread goes on.
 */
static void vector_registers(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	call_text(cpu, text_write_private, SP, VA_ABSENT, 0);
	expect_return(cpu);
	call_text(cpu, text_vectors, SP, 0, 0);
	expect_out_call(cpu, SP);
	callee_returns(cpu, 0);
	expect_out_call(cpu, SP);
	for (i = 0; i < 16; i++)
		expect_equal("an SIMD register in the callee",
			     vector_register(cpu, i, 0xbad), 0);
	kernel_at(cpu2, gate_va(GATE_IN_RETURN), SP);
	expect_event(cpu2, PF_VECTOR, 0, SP);
	for (i = 0; i < 16; i++)
		expect_equal("an SIMD register in the handler",
			     vector_register(cpu2, i, 0xbad), 0);
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	kernel_at(cpu, gate_va(GATE_RESUME), SP);
	expect_out_call(cpu, SP);
	for (i = 0; i < 16; i++)
		expect_equal("an SIMD register after it", vector_register(cpu, i, 0), 0);
	callee_returns(cpu, 0);
	expect_equal("result", expect_return(cpu), 1);
	call_text(cpu, text_write_private, SP, 0xdadadadadadadada, 0);
	expect_return(cpu);
}

/* A thread that dies in between leaves none of it behind. */
static void vector_registers_dropped(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start();
	call_text(cpu, text_vectors_hlt, SP, 0, 0);
	expect_out_call(cpu, SP);
	callee_returns(cpu, 0);
	expect_violation(cpu, KVM_GM_V_EXIT, KVM_GM_NO_GATE, text_va(text_vectors_hlt_itself),
			 exit_code(SVM_EXIT_HLT, EXIT_REASON_HLT), .module = &victim,
			 .inside = SP);
	for (i = 0; i < 16; i++)
		expect_equal("an SIMD register", vector_register(cpu, i, 0), 0);
}

/* --- SMM --------------------------------------------------------------------------- */

/* SMRAM's state save area, 64-bit form. */
#define SMBASE		0x30000
#define SMM_RIP		0xff78
#define SMM_RSP		0xffd8
#define SMM_CR3		0xff50

static uint8_t *smram(void)
{
	return vm.memory + SMBASE;
}

static void have_smm(void)
{
	machine_set_slot(&vm, 1 << 16, 0, MODULES, vm.memory, 0);
	machine_set_slot(&vm, 1 << 16 | 1, MODULES, MEMORY - MODULES, vm.memory + MODULES, 0);
	memcpy(smram() + 0x8000, "\xf4\x0f\xaa", 3);	/* hlt; rsm */
}

/* An SMI comes; what it interrupts is, as far as SMM sees, at @rip. */
static void take_smi(uint64_t rip)
{
	must(ioctl(cpu->fd, KVM_SMI), "KVM_SMI");
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_HLT);
	expect_equal("RIP in SMM", vcpu_regs(cpu).rip, 0x8001);
	expect_equal("RIP that was saved", *(uint64_t *)(smram() + SMM_RIP), rip);
	expect_equal("CR3 that was saved", *(uint64_t *)(smram() + SMM_CR3), PML4);
}

static void take_smi_inside(void)
{
	unsigned int i;

	take_smi(gate_va(GATE_RESUME));
	expect_equal("RSP that was saved", *(uint64_t *)(smram() + SMM_RSP), SP);
	for (i = 0; i < 16; i++)		/* RAX at 0xfff8, down to R15 */
		if (0xfff8 - 8 * i != SMM_RSP)
			expect_equal("a general register that was saved",
				     *(uint64_t *)(smram() + 0xfff8 - 8 * i), 0);
}

static void smi(const struct attack *attack)
{
	(void)attack;
	start();
	have_smm();
	spin(cpu, SP, false);
	take_smi_inside();
	stop_spinning(cpu);
}

static void smi_at_each_instruction(const struct attack *attack)
{
	struct walk walk;
	unsigned int k;

	(void)attack;
	start();
	have_smm();
	for (k = 0; walk_begin_at(&walk, cpu, SP, k); k++) {
		if (walk_is_inside(&walk))
			take_smi_inside();
		else
			take_smi(walk.rip);
		walk_end(&walk);
		expect_activations(0, 0);
	}
	expect(k >= WALK_LEAST, "only %u instructions", k);
}

/* --- a guest that cannot take what it is given ------------------------------------------ */

/* The frame of the event would go to sealed text. */
static void frame_to_text(const struct attack *attack)
{
	uint64_t sp = VA_SCRATCH + PAGE, va;

	(void)attack;
	start();
	va = region_va(REGION_TEXT) + PAGE - 8;
	call_text(cpu, text_read, sp, VA_ABSENT, 0);
	machine_map(&vm, VA_SCRATCH, region_gpa(REGION_TEXT), PTE_P | PTE_W);
	expect_violation(cpu, KVM_GM_V_WRITE, bypassed_gate(va), gate_va(GATE_RESUME), va,
			 .gpa = region_gpa(REGION_TEXT) + PAGE - 8, .module = &victim,
			 .moved = true, .vector = DF_VECTOR);
	expect_activations(1, 0);
	machine_map(&vm, VA_SCRATCH, SCRATCH, PTE_P | PTE_W);
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	*word_at(VA_SCRATCH) = 0x1234;
	kernel_at(cpu, gate_va(GATE_RESUME), sp);
	expect_equal("result", expect_return(cpu), 0x1234);
}

static void frame_absent(const struct attack *attack)
{
	uint64_t sp = VA_SCRATCH + PAGE;

	(void)attack;
	start();
	call_text(cpu, text_undefined, sp, 0, 0);
	*machine_entry(&vm, VA_SCRATCH, 1) = 0;
	expect_vector(cpu, DF_VECTOR, 0, gate_va(GATE_RESUME));
	expect_activations(1, 0);
}

/* No handler at all: the machine shuts down, as it would without a module. */
static void no_handlers(const struct attack *attack)
{
	struct kvm_sregs sregs, good;

	(void)attack;
	start();
	good = sregs = vcpu_sregs(cpu);
	sregs.idt.limit = 0;
	vcpu_set_sregs(cpu, &sregs);
	call_text(cpu, text_undefined, SP, 0, 0);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_SHUTDOWN);
	expect_activations(1, 0);
	vcpu_set_sregs(cpu, &good);
	call_gate(cpu, GATE_NULL, SP, 41, 0, 0);
	expect_equal("result", expect_return(cpu), 42);
	expect_activations(0, 1);
}

/* --- the debugger --------------------------------------------------------------------------- */

static void debug(uint32_t control)
{
	struct kvm_guest_debug debug = { .control = control };

	must(ioctl(cpu->fd, KVM_SET_GUEST_DEBUG, &debug), "KVM_SET_GUEST_DEBUG");
}

/* Its steps are its own: the guest is not to see one. */
static void debugger_steps(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start();
	spin(cpu, SP, false);
	debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	for (i = 0; i < 20; i++) {
		expect_equal("exit reason", run_on(cpu), KVM_EXIT_DEBUG);
		expect(cpu->run->debug.arch.pc - region_va(REGION_TEXT) < PAGE,
		       "a step to 0x%llx", cpu->run->debug.arch.pc);
	}
	debug(0);
	run_until_inside(cpu);
	stop_spinning(cpu);
	expect_equal("RFLAGS", vcpu_regs(cpu).rflags, 2);
}

/* --- with KVM's interrupt controller ------------------------------------------------- */

#define APIC_BASE	0xfee00000
#define APIC_ICR	0x300
#define APIC_ICR_HIGH	0x310
#define ICR_INIT	0x4500		/* assert */

static void apic_store(unsigned int reg, uint32_t value)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = kernel_regs(kernel_va(kernel_write_device), STACK(1));

	regs.rdi = VA_ABSENT + reg;
	regs.rax = value;
	vcpu_set_regs(cpu, &regs);
	must(ioctl(cpu->fd, KVM_SET_MP_STATE, &state), "KVM_SET_MP_STATE");
	do				/* it halts, which is no exit here */
		run_for_a_while(cpu);
	while (vcpu_regs(cpu).rip != kernel_va(kernel_write_device) + 3);
}

/* KVM looks who is there, and the second CPU is past its start-up. */
static void start_two_with_apics(void)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_lapic_state lapic;

	start_with(&(struct setup) {
		.vcpus = 2, .interrupt_controller = true, .activations = WALK_LEAST,
	});
	must(ioctl(cpu2->fd, KVM_GET_LAPIC, &lapic), "KVM_GET_LAPIC");
	must(ioctl(cpu2->fd, KVM_SET_LAPIC, &lapic), "KVM_SET_LAPIC");
	must(ioctl(cpu2->fd, KVM_SET_MP_STATE, &state), "KVM_SET_MP_STATE");
}

/* The stay is over, and the vCPU waits for its start-up. */
static void expect_init(unsigned int inside)
{
	struct kvm_mp_state state;

	run_for_a_while(cpu2);
	must(ioctl(cpu2->fd, KVM_GET_MP_STATE, &state), "KVM_GET_MP_STATE");
	expect_equal("state", state.mp_state, KVM_MP_STATE_INIT_RECEIVED);
	expect_equal("RIP", vcpu_regs(cpu2).rip, 0xfff0);
	expect_equal("RAX", vcpu_regs(cpu2).rax, 0);
	expect_equal("CR3", vcpu_sregs(cpu2).cr3, 0);
	expect_activations(0, inside);
}

/* What follows a case runs all vCPUs. */
static void end_with_apics(void)
{
	machine_destroy(&vm);
	start();
}

/* By another CPU. */
static void init(const struct attack *attack)
{
	(void)attack;
	start_two_with_apics();
	machine_map(&vm, VA_ABSENT, APIC_BASE, PTE_P | PTE_W);
	spin(cpu2, SP, false);
	expect_activations(1, 0);
	apic_store(APIC_ICR_HIGH, 1 << 24);
	apic_store(APIC_ICR, ICR_INIT);
	expect_init(1);
	end_with_apics();
}

/* Up to the call out, where the kernel would halt. */
static void init_at_each_instruction(const struct attack *attack)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs good;
	struct walk walk;
	unsigned int k, inside = 0;

	(void)attack;
	start_two_with_apics();
	good = vcpu_sregs(cpu2);
	for (k = 0;; k++) {
		struct kvm_vcpu_events events;

		walk_begin_at(&walk, cpu2, SP, k);
		if (walk.rip == victim.arg.trampoline)
			break;
		must(ioctl(cpu2->fd, KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
		events.flags |= KVM_VCPUEVENT_VALID_SMM;
		events.smi.latched_init = 1;
		must(ioctl(cpu2->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
		inside += walk_is_inside(&walk);
		expect_init(inside);
		vcpu_set_sregs(cpu2, &good);
		must(ioctl(cpu2->fd, KVM_SET_MP_STATE, &state), "KVM_SET_MP_STATE");
	}
	expect(inside >= 8, "only %u of %u instructions were inside", inside, k);
	end_with_apics();
}

#define X2APIC_ENABLED		0xc00
#define X2APIC_SPURIOUS		0x80f
#define X2APIC_LVT_TIMER	0x832
#define X2APIC_DIVIDE		0x83e
#define TIMED_CALLS		5000
#define ROUNDS			20000	/* of the module's, for each call */

/* At all distances from the gate, by the APIC's timer, as Linux takes its ticks. */
static void timer_in_calls(const struct attack *attack)
{
	const uint64_t *count;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t taken;

	(void)attack;
	start_two_with_apics();
	machine_set_handler(&vm, IRQ_VECTOR, kernel_va(kernel_timer));
	sregs = vcpu_sregs(cpu);
	sregs.apic_base |= X2APIC_ENABLED;
	vcpu_set_sregs(cpu, &sregs);
	vcpu_set_msr(cpu, X2APIC_SPURIOUS, 0x1ff);
	vcpu_set_msr(cpu, X2APIC_DIVIDE, 0x3);		/* by 16 */
	vcpu_set_msr(cpu, X2APIC_LVT_TIMER, IRQ_VECTOR);
	regs = kernel_regs(kernel_va(kernel_timed_calls), SP);
	regs.rflags |= 0x200;		/* IF */
	regs.r12 = gate_va(GATE_JUMP);
	regs.r13 = TIMED_CALLS;
	regs.r14 = text_va(text_rounds);
	regs.r15 = ROUNDS;
	vcpu_set_regs(cpu, &regs);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_IO);
	expect_equal("calls that were not made", vcpu_regs(cpu).r13, 0);
	count = machine_at(&vm, kernel_va(kernel_timer_count));
	taken = query(1).crossings[KVM_GM_EVENT_EXIT];
	expect(taken > TIMED_CALLS / 100, "of %u interrupts %lu came inside", TIMED_CALLS, taken);
	expect(*count >= taken, "the handler counted %lu of %lu", *count, taken);
	expect_equal("resumes", query(1).crossings[KVM_GM_RESUME], taken);
	expect_activations(0, 0);
}

#define EVENT(label, text, ...) \
	{ label, 2, text, outside_event, &(const struct outside_event){ __VA_ARGS__ } }

const struct attack event_attacks[] = {
	EVENT("interrupt", "an interrupt inside: the guest finds it at the resume gate",
	      raise_interrupt, IRQ_VECTOR, 1),
	EVENT("interrupt-storm", "an interrupt at each chance: each resumed",
	      raise_interrupt, IRQ_VECTOR, 100),
	EVENT("nmi", "an NMI inside: the guest finds it at the resume gate",
	      raise_nmi, NMI_VECTOR, 1),
	EVENT("nmi-storm", "an NMI at each chance: each resumed", raise_nmi, NMI_VECTOR, 100),
	EVENT("machine-check", "a machine check inside: the guest finds it at the resume gate",
	      raise_machine_check, MC_VECTOR, 1),
	{ "nmi-in-nmi", 2, "an NMI while another is handled: again at the resume gate, then inside",
	  nmi_in_nmi, NULL },
	{ "nmi-in-shadow", 2, "an NMI held back until the gate has been used: at the resume gate",
	  nmi_in_shadow, NULL },
	{ "smi", 2, "an SMI inside: SMM finds the resume gate, and registers scrubbed", smi, NULL },
	{ "every-instruction-smi", 2, "an SMI at every instruction of a call: SMM finds the same",
	  smi_at_each_instruction, NULL },
	{ "exception-injected", 2, "an exception from userspace inside: at the resume gate",
	  exception_from_userspace, NULL },
	{ "init", 2, "an INIT inside: the stay is over", init, NULL },
	{ "every-instruction-init", 2, "an INIT at every instruction up to a call out: it is over",
	  init_at_each_instruction, NULL },
	{ "timer", 2, "the APIC's timer in 5,000 calls, at each distance: each resumed",
	  timer_in_calls, NULL },
	{ "vectors", 2, "SIMD registers over calls out and events, on two vCPUs: the module's own",
	  vector_registers, NULL },
	{ "vectors-dropped", 2, "a violation with the module's SIMD registers loaded: scrubbed",
	  vector_registers_dropped, NULL },
	{ "event-frame-to-text", 2, "an event whose frame would go to sealed text: write, then #DF",
	  frame_to_text, NULL },
	{ "event-frame-absent", 2, "an event whose frame would go nowhere: #DF at the resume gate",
	  frame_absent, NULL },
	{ "event-no-handlers", 2, "an event with no handlers: the machine shuts down, outside",
	  no_handlers, NULL },
	{ "debugger-steps", 2, "a debugger steps inside: the guest never sees a step",
	  debugger_steps, NULL },
	{}
};
