// SPDX-License-Identifier: GPL-2.0
/*
 * I7: a violation drops privilege, is reported and acted upon by policy; what
 * ends a module or a machine in the middle of a stay leaves nothing behind.
 */
#include <asm/svm.h>
#include <asm/vmx.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "attack.h"

#define SP		STACK(0)
#define RESULT		0x1234
#define EFER		0xc0000080
#define EFER_SVME	0x1000ULL
#define KVM_ENOSYS	1000

extern const char kernel_write[], kernel_wrmsr[], kernel_halt[], text_read[], text_out[];
extern const char text_count[], text_write_text[], text_hlt[];

static void call_out(struct vcpu *vcpu, uint64_t sp)
{
	call_text(vcpu, text_out, sp, 0, 0);
	expect_out_call(vcpu, sp);
}

static void interrupt(struct vcpu *vcpu, uint64_t sp)
{
	call_text(vcpu, text_read, sp, VA_ABSENT, 0);
	expect_event(vcpu, PF_VECTOR, 0, sp);
}

static void unseal(void)
{
	uint32_t id = victim.arg.id;

	must(ioctl(vm.vm, KVM_GM_UNSEAL, &id), "KVM_GM_UNSEAL");
}

static void seal_again(void)
{
	prepare(&victim, 0, &(struct setup) {});
	seal(&victim);
}

/* --- policies ------------------------------------------------------------------------ */

static void write_to_text(struct vcpu *vcpu, enum kvm_gm_policy policy)
{
	uint64_t va = region_va(REGION_TEXT);

	kernel_stores(vcpu, va, 0);
	expect_violation(vcpu, KVM_GM_V_WRITE, bypassed_gate(va), kernel_va(kernel_write), va,
			 .gpa = region_gpa(REGION_TEXT), .module = &victim, .policy = policy);
}

/* Nothing is injected: as long as userspace goes on, it happens again. */
static void stop_outside(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .policy = KVM_GM_POLICY_STOP });
	for (i = 0; i < 5; i++)
		write_to_text(cpu, KVM_GM_POLICY_STOP);
	expect_equal("flags", query(1).flags, 0);
}

/* Privilege is dropped first. What it goes on at is a gate for nobody. */
static void stop_inside(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .policy = KVM_GM_POLICY_STOP });
	call_text(cpu, text_hlt, SP, 0, 0);
	expect_violation(cpu, KVM_GM_V_EXIT, KVM_GM_NO_GATE, text_va(text_hlt),
			 exit_code(SVM_EXIT_HLT, EXIT_REASON_HLT), .module = &victim,
			 .inside = SP, .policy = KVM_GM_POLICY_STOP);
	expect_activations(0, 1);
	for (i = 0; i < 3; i++)
		expect_violation(cpu, KVM_GM_V_RESUME, GATE_RESUME, gate_va(GATE_RESUME), SP,
				 .module = &victim, .policy = KVM_GM_POLICY_STOP);
}

#define QUARANTINE	KVM_GM_POLICY_QUARANTINE

static void expect_quarantine(struct vcpu *vcpu, unsigned int gate, uint64_t sp)
{
	kernel_at(vcpu, gate_va(gate), sp);
	expect_violation(vcpu, KVM_GM_V_QUARANTINE, gate, gate_va(gate), gate_va(gate),
			 .module = &victim, .policy = QUARANTINE);
}

static void quarantine(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .policy = QUARANTINE, .other = true });
	call_out(cpu, STACK(1));
	interrupt(cpu, STACK(2));
	write_to_text(cpu, QUARANTINE);
	expect_equal("flags", query(1).flags, KVM_GM_QUERY_F_QUARANTINED);
	expect_quarantine(cpu, GATE_NULL, SP);
	expect_quarantine(cpu, GATE_IN_RETURN, STACK(1));
	expect_quarantine(cpu, GATE_RESUME, STACK(2));
	/* It is still sealed: nobody writes there. */
	write_to_text(cpu, QUARANTINE);
	/* The other module is not concerned. */
	expect_equal("flags of the other", query(2).flags, 0);
	call_gate(cpu, GATE_NULL, SP, RESULT - 1, 0, 0);
	vcpu_set_regs(cpu, &(struct kvm_regs) { .rip = other.gates[GATE_NULL].insn, .rsp = SP,
						.rdi = 41, .rflags = 2 });
	expect_halt(cpu, kernel_va(kernel_halt));
	expect_equal("the other's result", vcpu_regs(cpu).rax, 42);
	victim_is_gone();
	unseal();
}

static void quarantine_inside(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .policy = QUARANTINE });
	call_text(cpu, text_write_text, SP, 0, 0);
	expect_violation(cpu, KVM_GM_V_ACCESS, bypassed_gate(region_va(REGION_TEXT)),
			 text_va(text_write_text), region_va(REGION_TEXT), .any_gpa = true,
			 .module = &victim, .inside = SP, .policy = QUARANTINE);
	expect_quarantine(cpu, GATE_NULL, SP);
	victim_is_gone();
}

/* The vCPUs that are inside have to leave: #GP at the resume gate, scrubbed. */
static void quarantine_others(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .vcpus = 3, .policy = QUARANTINE });
	spin(cpu2, STACK(2), false);
	spin(&vm.vcpu[2], STACK(3), false);
	write_to_text(cpu, QUARANTINE);
	expect_event(cpu2, GP_VECTOR, 0, STACK(2));
	expect_event(&vm.vcpu[2], GP_VECTOR, 0, STACK(3));
	expect_activations(0, 2);
	expect_quarantine(cpu2, GATE_RESUME, STACK(2));
	victim_is_gone();
}

/* That too many threads enter is no reason to let nobody in. */
static void quarantine_not_at_limit(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .activations = 2, .policy = QUARANTINE });
	for (i = 0; i < 2; i++)
		call_out(cpu, STACK(i));
	call_gate(cpu, GATE_NULL, SP - 0x100, 0, 0, 0);
	expect_violation(cpu, KVM_GM_V_LIMIT, GATE_NULL, gate_va(GATE_NULL), SP - 0x100,
			 .module = &victim, .policy = KVM_GM_POLICY_INJECT);
	expect_equal("flags", query(1).flags, 0);
	kernel_at(cpu, gate_va(GATE_IN_RETURN), STACK(0));
	expect_halt(cpu, kernel_va(kernel_halt));
}

static void quarantine_is_over(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .policy = QUARANTINE });
	write_to_text(cpu, QUARANTINE);
	unseal();
	prepare(&victim, 0, &(struct setup) {});
	count_violation(1, KVM_GM_V_WRITE, -1);
	seal(&victim);
	expect_equal("generation", victim.arg.generation, 2);
	expect_equal("flags", query(1).flags, 0);
	expect_intact();
}

/* A guest that does nothing else harms only itself. */
static void flood(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start();
	for (i = 0; i < 1000; i++)
		write_to_text(cpu, KVM_GM_POLICY_INJECT);
}

/* --- unseals in the middle --------------------------------------------------------------- */

static void unsealed_inside(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	spin(cpu, STACK(0), false);
	spin(cpu2, STACK(1), false);
	unseal();
	victim_is_gone();
	expect_equal("flags", query(1).flags, KVM_GM_QUERY_F_ENDED);
	expect_event(cpu, GP_VECTOR, 0, STACK(0));
	expect_event(cpu2, GP_VECTOR, 0, STACK(1));
}

/* An exception of the module's own goes with it: one #GP, not two exceptions. */
static void unsealed_with_exception(const struct attack *attack)
{
	struct kvm_vcpu_events events;

	(void)attack;
	start();
	spin(cpu, SP, false);
	must(ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events), "KVM_GET_VCPU_EVENTS");
	events.exception.injected = 1;
	events.exception.nr = NP_VECTOR;
	events.exception.has_error_code = 1;
	events.exception.error_code = 0x77;
	must(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, &events), "KVM_SET_VCPU_EVENTS");
	unseal();
	victim_is_gone();
	expect_event(cpu, GP_VECTOR, 0, SP);
}

/* While vCPUs are still on their way out, the id is not given out again. */
static void sealed_again_while_inside(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	spin(cpu, STACK(0), false);
	unseal();
	seal_again();
	expect_equal("id", victim.arg.id, 2);
	call_gate(cpu2, GATE_NULL, STACK(1), 41, 0, 0);
	expect_equal("result", expect_return(cpu2), 42);
	expect_event(cpu, GP_VECTOR, 0, STACK(0));
	expect_activations(0, 0);
}

/* The gates are gone: the guest's hypercall is one that KVM does not know. */
static void unsealed_while_out(const struct attack *attack)
{
	const unsigned int *gate = attack->with;
	struct kvm_regs regs;

	start();
	if (*gate == GATE_IN_RETURN)
		call_out(cpu, SP);
	else if (*gate == GATE_RESUME)
		interrupt(cpu, SP);
	unseal();
	victim_is_gone();
	forge_hypercall(machine_at(&vm, gate_va(*gate)));
	kernel_at(cpu, gate_va(*gate), SP);
	regs = expect_halt(cpu, gate_va(*gate) + 3);
	expect_equal("RAX", regs.rax, -KVM_ENOSYS);
}

/* Nor does a module that comes in its place know them. */
static void sealed_again_while_out(const struct attack *attack)
{
	(void)attack;
	start();
	call_out(cpu, STACK(1));
	interrupt(cpu, STACK(2));
	unseal();
	seal_again();
	kernel_at(cpu, gate_va(GATE_IN_RETURN), STACK(1));
	expect_violation(cpu, KVM_GM_V_RETURN, GATE_IN_RETURN, gate_va(GATE_IN_RETURN), STACK(1),
			 .module = &victim);
	kernel_at(cpu, gate_va(GATE_RESUME), STACK(2));
	expect_violation(cpu, KVM_GM_V_RESUME, GATE_RESUME, gate_va(GATE_RESUME), STACK(2),
			 .module = &victim);
	expect_intact();
}

struct last_call {
	unsigned int gate;
	uint64_t result;	/* of init, exit */
	bool ends;
};

static void last_call(const struct attack *attack)
{
	const struct last_call *call = attack->with;
	struct kvm_gm_exit *exit;

	start_with(&(struct setup) { .init = call->gate == GATE_INIT });
	call_gate(cpu, call->gate, SP, call->result, 0, 0);
	if (!call->ends) {
		expect_equal("result", expect_return(cpu), call->result);
		return;
	}
	exit = KVM_GM_EXIT(cpu->run);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_GM);
	expect_equal("type", exit->type, KVM_GM_EXIT_UNSEALED);
	expect_equal("module", exit->id, victim.arg.id);
	expect_equal("generation", exit->generation, victim.arg.generation);
	expect_equal("rip", exit->rip, victim.arg.ret);
	victim_is_gone();
	expect_equal("flags", query(1).flags, KVM_GM_QUERY_F_ENDED);
	*(uint8_t *)machine_at(&vm, victim.arg.ret) = 0xc3;
	expect_equal("result", expect_return(cpu), call->result);
}

/* Nothing of a module expects to be entered before its init, or that twice. */
static void init_first(const struct attack *attack)
{
	static const unsigned int gates[] = { GATE_NULL, GATE_JUMP, GATE_ARGS, GATE_EXIT };
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .init = true });
	for (i = 0; i < sizeof(gates) / sizeof(gates[0]); i++) {
		call_gate(cpu, gates[i], SP, 0, 0, 0);
		expect_violation(cpu, KVM_GM_V_GATE, gates[i], gate_va(gates[i]),
				 gate_va(gates[i]), .module = &victim);
	}
	call_gate(cpu, GATE_INIT, SP, 0, 0, 0);
	expect_equal("result of init", expect_return(cpu), 0);
	call_gate(cpu, GATE_INIT, SP, 0, 0, 0);
	expect_violation(cpu, KVM_GM_V_GATE, GATE_INIT, gate_va(GATE_INIT), gate_va(GATE_INIT),
			 .module = &victim);
}

/* A kernel that clears CR0.WP makes way for another, which knows of no module. */
static void kernel_ends(const struct attack *attack)
{
	extern const char kernel_write_cr0[];
	struct kvm_gm_exit *exit;
	struct kvm_regs regs;
	unsigned int id;

	(void)attack;
	start_with(&(struct setup) { .other = true });
	exit = KVM_GM_EXIT(cpu->run);
	call_out(cpu, STACK(1));
	regs = kernel_regs(kernel_va(kernel_write_cr0), SP);
	regs.rax = 0x80000033;
	vcpu_set_regs(cpu, &regs);
	for (id = 1; id <= 2; id++) {
		expect_equal("exit reason", run_on(cpu), KVM_EXIT_GM);
		expect_equal("type", exit->type, KVM_GM_EXIT_UNSEALED);
		expect_equal("module", exit->id, id);
		expect_equal("flags", query(id).flags,
			     KVM_GM_QUERY_F_ENDED | KVM_GM_QUERY_F_KERNEL_ENDED);
	}
	expect_halt(cpu, kernel_va(kernel_write_cr0) + 3);
	expect_equal("text", kernel_loads(cpu, region_va(REGION_TEXT)), 0xf4f4f4f4f4f4f4f4);
	victim_is_gone();
}

/* Firmware clears it too, in SMM: the kernel lives on. */
static void firmware_clears(const struct attack *attack)
{
	extern const char kernel_write_cr0[];
	struct kvm_regs regs = kernel_regs(kernel_va(kernel_write_cr0), SP);
	struct kvm_sregs sregs;

	(void)attack;
	start();
	machine_set_slot(&vm, 1 << 16, 0, MODULES, vm.memory, 0);
	set_management_mode(cpu, true);
	regs.rax = 0x80000033;
	vcpu_set_regs(cpu, &regs);
	expect_halt(cpu, kernel_va(kernel_write_cr0) + 3);
	sregs = vcpu_sregs(cpu);
	expect_equal("CR0", sregs.cr0, 0x80000033);
	sregs.cr0 = 0x80010033;
	vcpu_set_sregs(cpu, &sregs);
	set_management_mode(cpu, false);
	expect_equal("flags", query(victim.arg.id).flags, 0);
	expect_intact();
}

/* --- userspace, in the middle ------------------------------------------------------------- */

static void state_kept(const struct attack *attack)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	(void)attack;
	start();
	spin(cpu, SP, false);
	regs = vcpu_regs(cpu);
	sregs = vcpu_sregs(cpu);
	vcpu_set_regs(cpu, &regs);
	vcpu_set_sregs(cpu, &sregs);
	run_until_inside(cpu);
	expect_activations(1, 0);
	stop_spinning(cpu);
}

/* A machine reset: the stay is over, and the vCPU where userspace puts it. */
static void state_replaced(const struct attack *attack)
{
	struct kvm_sregs sregs;

	(void)attack;
	start();
	sregs = vcpu_sregs(cpu);
	spin(cpu, SP, false);
	vcpu_set_sregs(cpu, &sregs);
	expect_activations(0, 1);
	kernel_at(cpu, kernel_va(kernel_halt), SP);
	expect_halt(cpu, kernel_va(kernel_halt));
}

/* Where the module had been the guest, afterwards, has no privilege. */
static void state_replaced_but_rip(const struct attack *attack)
{
	struct kvm_sregs sregs;
	uint64_t va;

	(void)attack;
	start();
	sregs = vcpu_sregs(cpu);
	spin(cpu, SP, false);
	vcpu_set_sregs(cpu, &sregs);
	va = text_va(text_count);
	kernel_at(cpu, va, SP);
	expect_violation(cpu, KVM_GM_V_EXEC, bypassed_gate(va), va, va, .module = &victim,
			 .gpa = region_gpa(REGION_TEXT) + (va & (PAGE - 1)));
}

enum { INSIDE, OUT, EVENT, NOTHING };

static void machine_ends(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	for (i = 0; i < 12; i++) {
		start_with(&(struct setup) { .vcpus = 2, .other = true });
		switch (i % 4) {
		case INSIDE:
			spin(cpu, STACK(0), false);
			spin(cpu2, STACK(1), false);
			break;
		case OUT:
			call_out(cpu, STACK(0));
			break;
		case EVENT:
			interrupt(cpu, STACK(0));
			break;
		}
		machine_destroy(&vm);
	}
	start();
}

static unsigned long available(void)
{
	unsigned long kilobytes = 0;
	char line[100];
	FILE *file = fopen("/proc/meminfo", "r");

	expect(file, "/proc/meminfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %lu", &kilobytes) == 1)
			break;
	fclose(file);
	expect(kilobytes, "/proc/meminfo does not say what is available");
	return kilobytes;
}

/* A seal's pages, 2 MiB each time; far more than other things make it waver. */
static void repeated(const struct attack *attack)
{
	const struct setup setup = { .activations = 256 };
	unsigned long before = 0, after;
	unsigned int i;

	(void)attack;
	start_with(&setup);
	for (i = 0; i < 60; i++) {
		unseal();
		if (i == 10)
			before = available();
		prepare(&victim, 0, &setup);
		seal(&victim);
		expect_equal("generation", victim.arg.generation, i + 2);
		call_gate(cpu, GATE_NULL, SP, 41, 0, 0);
		expect_equal("result", expect_return(cpu), 42);
	}
	after = available();
	expect(after + 20000 > before, "of %lu KiB there are %lu KiB left after 50 seals", before,
	       after);
}

/* --- nested virtualization ------------------------------------------------------------------ */

static void svme_by_guest(const struct attack *attack)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	(void)attack;
	start();
	regs = kernel_regs(kernel_va(kernel_wrmsr), SP);
	regs.rcx = EFER;
	regs.rax = 0xd00 | EFER_SVME;
	regs.rdx = 0;
	vcpu_set_regs(cpu, &regs);
	expect_vector(cpu, GP_VECTOR, 0, kernel_va(kernel_wrmsr));
	sregs = vcpu_sregs(cpu);
	expect_equal("EFER", sregs.efer, 0xd00);
}

static void svme_by_userspace(const struct attack *attack)
{
	struct kvm_sregs sregs;

	(void)attack;
	start();
	sregs = vcpu_sregs(cpu);
	sregs.efer |= EFER_SVME;
	expect_equal("KVM_SET_SREGS", ioctl(cpu->fd, KVM_SET_SREGS, &sregs), -1);
	expect_equal("its error", errno, EINVAL);
	expect_equal("EFER", vcpu_sregs(cpu).efer, 0xd00);
}

static void svme_by_msr(const struct attack *attack)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = { { .nmsrs = 1 }, { .index = EFER, .data = 0xd00 | EFER_SVME } };

	(void)attack;
	start();
	expect_equal("MSRs that KVM_SET_MSRS sets", ioctl(cpu->fd, KVM_SET_MSRS, &msrs), 0);
	expect_equal("EFER", vcpu_sregs(cpu).efer, 0xd00);
}

#define CR4_VMXE	0x2000ULL

static void vmxe_by_guest(const struct attack *attack)
{
	extern const char kernel_write_cr4[];
	struct kvm_regs regs;
	uint64_t cr4;

	(void)attack;
	start();
	cr4 = vcpu_sregs(cpu).cr4;
	regs = kernel_regs(kernel_va(kernel_write_cr4), SP);
	regs.rax = cr4 | CR4_VMXE;
	vcpu_set_regs(cpu, &regs);
	expect_vector(cpu, GP_VECTOR, 0, kernel_va(kernel_write_cr4));
	expect_equal("CR4", vcpu_sregs(cpu).cr4, cr4);
}

static void vmxe_by_userspace(const struct attack *attack)
{
	struct kvm_sregs sregs;

	(void)attack;
	start();
	sregs = vcpu_sregs(cpu);
	sregs.cr4 |= CR4_VMXE;
	expect_equal("KVM_SET_SREGS", ioctl(cpu->fd, KVM_SET_SREGS, &sregs), -1);
	expect_equal("its error", errno, EINVAL);
	expect_equal("CR4", vcpu_sregs(cpu).cr4, sregs.cr4 & ~CR4_VMXE);
}

static void vmxe_by_state(const struct attack *attack)
{
	struct kvm_nested_state state = {
		.size = sizeof(state), .format = KVM_STATE_NESTED_FORMAT_VMX,
		.hdr.vmx = { .vmxon_pa = PAGE, .vmcs12_pa = ~0ULL },
	};

	(void)attack;
	start();
	expect_equal("KVM_SET_NESTED_STATE", ioctl(cpu->fd, KVM_SET_NESTED_STATE, &state), -1);
	expect_equal("its error", errno, EINVAL);
	/* What says that there is none is taken. */
	state.hdr.vmx.vmxon_pa = ~0ULL;
	expect_equal("KVM_SET_NESTED_STATE", ioctl(cpu->fd, KVM_SET_NESTED_STATE, &state), 0);
}

#define SVME_IS_AMDS	SVM, "EFER.SVME is AMD's"
#define VMXE_IS_INTELS	VMX, "CR4.VMXE is Intel's"

const struct attack closed_attacks[] = {
	{ "policy-stop", 7, "a write to text, policy stop: again each time that it goes on",
	  stop_outside, NULL },
	{ "policy-stop-inside", 7, "HLT inside, policy stop: outside, then resume each time",
	  stop_inside, NULL },
	{ "policy-quarantine", 7, "a write to text, quarantine: no gate but of the other module",
	  quarantine, NULL },
	{ "policy-quarantine-inside", 7, "the module's write to text, policy quarantine: no gate",
	  quarantine_inside, NULL },
	{ "policy-quarantine-others", 7, "the same with two vCPUs inside: they leave, scrubbed",
	  quarantine_others, NULL },
	{ "policy-quarantine-limit", 7, "too many threads, quarantine: limit, and none",
	  quarantine_not_at_limit, NULL },
	{ "policy-quarantine-over", 7, "a quarantined module sealed anew: it works",
	  quarantine_is_over, NULL },
	{ "flood", 7, "1000 violations: each reported", flood, NULL },
	{ "unseal-inside", 7, "an unseal with two vCPUs inside: they leave, scrubbed",
	  unsealed_inside, NULL },
	{ "unseal-exception", 7, "an unseal with an exception pending: #GP alone",
	  unsealed_with_exception, NULL },
	{ "seal-inside", 7, "the same, and sealed anew before one has left: it gets another id",
	  sealed_again_while_inside, NULL },
	{ "unseal-in-call", 7, "an in-call after an unseal: the gate is none",
	  unsealed_while_out, &(const unsigned int){ GATE_NULL } },
	{ "unseal-in-return", 7, "an in-return after an unseal: the gate is none",
	  unsealed_while_out, &(const unsigned int){ GATE_IN_RETURN } },
	{ "unseal-resume", 7, "a resume after an unseal: the gate is none",
	  unsealed_while_out, &(const unsigned int){ GATE_RESUME } },
	{ "seal-while-out", 7, "in-return, resume after a new seal: return, resume",
	  sealed_again_while_out, NULL },
	{ "init-first", 1, "a call before the init gate's, and a second init: gate",
	  init_first, NULL },
	{ "init-works", 7, "the init gate returns 0: sealed",
	  last_call, &(const struct last_call){ GATE_INIT, 0, false } },
	{ "init-fails", 7, "the init gate returns -19: unsealed",
	  last_call, &(const struct last_call){ GATE_INIT, -19ULL, true } },
	{ "init-fails-int", 7, "the init gate returns -1 in 32 bits: unsealed",
	  last_call, &(const struct last_call){ GATE_INIT, 0xffffffff, true } },
	{ "init-large", 7, "the init gate returns what is positive as an int: sealed",
	  last_call, &(const struct last_call){ GATE_INIT, 0xffffffff00000000, false } },
	{ "exit", 7, "the exit gate returns: unsealed",
	  last_call, &(const struct last_call){ GATE_EXIT, 5, true } },
	{ "firmware-clears", 7, "CR0.WP cleared in SMM: nothing is unsealed",
	  firmware_clears, NULL },
	{ "kernel-ends", 7, "a kernel that clears CR0.WP (kexec): all its modules unsealed",
	  kernel_ends, NULL },
	{ "state-kept", 7, "userspace reads and sets the state of a vCPU inside: it goes on",
	  state_kept, NULL },
	{ "state-replaced", 7, "userspace resets a vCPU inside: the stay is over",
	  state_replaced, NULL },
	{ "state-replaced-rip", 7, "the same, to where the module was: exec",
	  state_replaced_but_rip, NULL },
	{ "machine-ends", 7, "machines that end with vCPUs inside: nothing is left",
	  machine_ends, NULL },
	{ "seal-often", 7, "50 seals and unseals: no memory is lost", repeated, NULL },
	{ "svme", 7, "the guest enables nested virtualization: #GP", svme_by_guest, NULL,
	  SVME_IS_AMDS },
	{ "svme-userspace", 7, "userspace enables nested virtualization: EINVAL",
	  svme_by_userspace, NULL, SVME_IS_AMDS },
	{ "svme-msr", 7, "the same by KVM_SET_MSRS: refused", svme_by_msr, NULL, SVME_IS_AMDS },
	{ "vmxe", 7, "the guest enables nested virtualization: #GP", vmxe_by_guest, NULL,
	  VMXE_IS_INTELS },
	{ "vmxe-userspace", 7, "userspace enables nested virtualization: EINVAL",
	  vmxe_by_userspace, NULL, VMXE_IS_INTELS },
	{ "vmxe-state", 7, "the same by KVM_SET_NESTED_STATE: EINVAL", vmxe_by_state, NULL,
	  VMX, "the state of nested virtualization is Intel's" },
	{}
};
