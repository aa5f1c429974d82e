// SPDX-License-Identifier: GPL-2.0
/*
 * I2: nothing outside the module's sealed text ever executes with privilege
 * raised: not by jumps, exceptions, interrupts, or instructions that have no
 * business in a module.
 */
#include <asm/svm.h>
#include <asm/vmx.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "attack.h"

#define SP		STACK(0)
#define RESULT		0x1234

extern const char kernel_halt[], kernel_jump[], text_goto[], text_return_to[];
extern const char text_return_early[], text_return_late[], text_read[], text_write[];
extern const char text_count[], text_keep[], text_divide[], text_undefined[];
extern const char text_not_canonical[], text_load_ds[], text_load_ss[], text_float[];
extern const char text_float_divide[], text_step[], text_syscall[], text_hlt[];
extern const char text_foreign_hypercall[], text_vmxon[], text_vmxoff[], text_vmclear[];
extern const char text_vmptrld[], text_vmptrst[], text_vmread[], text_vmwrite[], text_vmlaunch[];
extern const char text_vmresume[], text_invept[], text_invvpid[], text_vmfunc[], text_getsec[];
extern const char text_rsm[];
extern const char text_cpuid[], text_rdpmc[], text_read_cr0[], text_write_cr0[];
extern const char text_write_cr4[], text_read_dr7[], text_write_dr7[], text_clts[];
extern const char text_rdmsr[], text_wrmsr[], text_xsetbv[], text_wbinvd[];
extern const char text_invd[], text_write_cr3[];
extern const char text_write_cr3_after[], text_pause[], text_rdtsc[], text_vmrun[];
extern const char text_vmload[], text_vmsave[], text_stgi[], text_clgi[], text_invlpga[];
extern const char kernel_read[], text_msr_write[], text_msr_write_itself[];
extern const char out_return[], out[];

/* --- jumps --------------------------------------------------------------------- */

struct place {
	unsigned int region;
	const char *text;	/* instead of the region's start */
	uint64_t va;		/* instead of a region */
};

static void jump_from_outside(const struct attack *attack)
{
	const struct place *p = attack->with;
	struct kvm_regs regs;
	uint64_t va;

	start();
	va = p->text ? text_va(p->text) : region_va(p->region);
	regs = kernel_regs(kernel_va(kernel_jump), SP);
	regs.rdi = va;
	vcpu_set_regs(cpu, &regs);
	expect_violation(cpu, KVM_GM_V_EXEC, bypassed_gate(va), va, va,
			 .gpa = region_gpa(p->region) + (va & (PAGE - 1)), .module = &victim);
}

static void jump_by_alias(const struct attack *attack)
{
	(void)attack;
	start();
	machine_map(&vm, VA_ABSENT, region_gpa(REGION_TEXT), PTE_P);
	kernel_at(cpu, VA_ABSENT, SP);
	expect_violation(cpu, KVM_GM_V_EXEC, KVM_GM_NO_GATE, VA_ABSENT, VA_ABSENT,
			 .gpa = region_gpa(REGION_TEXT), .module = &victim);
}

static void escape(const struct attack *attack)
{
	const struct place *p = attack->with;
	uint64_t va;

	start();
	va = p->va ?: region_va(p->region);
	if (!p->va && p->region == REGION_STACK)
		va += PAGE;			/* above the guard page */
	call_text(cpu, text_goto, SP, va, 0);
	if (p->va)
		expect_violation(cpu, KVM_GM_V_ESCAPE, KVM_GM_NO_GATE, va, va,
				 .gpa = va - VA_KERNEL, .module = &victim, .inside = SP);
	else
		expect_violation(cpu, KVM_GM_V_ESCAPE, KVM_GM_NO_GATE, va, va, .any_gpa = true,
				 .module = &victim, .inside = SP);
	expect_activations(0, 1);
}

static void escape_by_return(const struct attack *attack)
{
	uint64_t va = kernel_va(kernel_halt);

	(void)attack;
	start();
	call_text(cpu, text_return_to, SP, va, 0);
	expect_violation(cpu, KVM_GM_V_ESCAPE, KVM_GM_NO_GATE, va, va, .gpa = va - VA_KERNEL,
			 .module = &victim, .inside = SP);
}

/* What lies there for the guest does not exist inside. */
static void escape_to_guard(const struct attack *attack)
{
	uint64_t va;

	(void)attack;
	start();
	va = region_va(REGION_STACK);
	call_text(cpu, text_goto, SP, va, 0);
	expect_violation(cpu, KVM_GM_V_LIMIT, KVM_GM_NO_GATE, va, va, .module = &victim,
			 .inside = SP);
}

/* The module's own text at the frame that the guest knows is not its text. */
static void escape_to_guest_frame(const struct attack *attack)
{
	(void)attack;
	start();
	machine_map(&vm, VA_BESIDE, region_gpa(REGION_TEXT), PTE_P);
	call_text(cpu, text_goto, SP, VA_BESIDE, 0);
	expect_violation(cpu, KVM_GM_V_ESCAPE, KVM_GM_NO_GATE, VA_BESIDE, VA_BESIDE,
			 .gpa = region_gpa(REGION_TEXT), .module = &victim, .inside = SP);
}

struct stray_return {
	const char *text;
	int64_t sp;		/* the private stack pointer then, from where it was */
};

static void return_elsewhere(const struct attack *attack)
{
	const struct stray_return *r = attack->with;

	start();
	call_text(cpu, r->text, SP, 0, 0);
	expect_violation(cpu, KVM_GM_V_FRAME, GATE_OUT_RETURN, text_va(out_return),
			 private_sp() + r->sp, .module = &victim, .inside = SP);
	expect_activations(0, 1);
}

/* --- exceptions of the module's own -------------------------------------------------- */

struct exception {
	const char *text;
	uint64_t rsi;
	uint64_t cr0;		/* to be set outside */
	unsigned int vector;
	uint64_t error;
};

static void exception(const struct attack *attack)
{
	const struct exception *e = attack->with;
	struct kvm_sregs sregs;

	start();
	sregs = vcpu_sregs(cpu);
	sregs.cr0 |= e->cr0;
	vcpu_set_sregs(cpu, &sregs);
	call_text(cpu, e->text, SP, e->rsi, 0);
	expect_event(cpu, e->vector, e->error, SP);
	if (e->vector == PF_VECTOR)
		expect_equal("CR2", vcpu_sregs(cpu).cr2, e->rsi);
	expect_activations(1, 0);
	expect_equal("event exits", query(1).crossings[KVM_GM_EVENT_EXIT], 1);
}

static void exception_on_read_only(const struct attack *attack)
{
	(void)attack;
	start();
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P);
	call_text(cpu, text_write, SP, VA_ABSENT, 1);
	expect_event(cpu, PF_VECTOR, 3, SP);
	expect_equal("CR2", vcpu_sregs(cpu).cr2, VA_ABSENT);
	/* The guest allows it: the write is done then. */
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	handler_returns(cpu);
	expect_equal("result", expect_return(cpu), 1);
	expect_equal("what was written", *word_at(VA_SCRATCH), 1);
}

/* User memory does not exist inside, whatever the guest maps. */
static void exception_on_user(const struct attack *attack)
{
	(void)attack;
	start();
	machine_map(&vm, VA_USER, SCRATCH, PTE_P | PTE_W | PTE_U);
	call_text(cpu, text_read, SP, VA_USER, 0);
	expect_event(cpu, PF_VECTOR, 0, SP);
	expect_equal("CR2", vcpu_sregs(cpu).cr2, VA_USER);
	handler_returns(cpu);
	expect_event(cpu, PF_VECTOR, 0, SP);
}

/* The flag that the module set steps neither the guest nor, later, itself. */
static void exception_step(const struct attack *attack)
{
	(void)attack;
	start();
	call_text(cpu, text_step, SP, 0, 0);
	expect_event(cpu, DB_VECTOR, NO_ERROR_CODE, SP);
	handler_returns(cpu);
	expect_return(cpu);
}

/* --- instructions ------------------------------------------------------------------------ */

struct instruction {
	const char *text;
	unsigned int offset;	/* of the instruction */
	uint32_t svm, vmx;	/* the exit code, UNDEFINED: the CPU has no such instruction */
	uint64_t cr4;		/* to be set outside */
};

#define UNDEFINED	(~0U)
#define CR4_OSXSAVE	0x40000

static void instruction(const struct attack *attack)
{
	const struct instruction *i = attack->with;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if ((i->cr4 & CR4_OSXSAVE) && !cpu_has("xsave"))
		skip("the CPU has no XSAVE, or the host's kernel does not use it");
	start();
	sregs = vcpu_sregs(cpu);
	sregs.cr4 |= i->cr4;
	vcpu_set_sregs(cpu, &sregs);
	call_text(cpu, i->text, SP, 0x80000033, 0);	/* for CR0: no WP */
	regs = vcpu_regs(cpu);
	regs.rax = regs.rcx = 0;
	vcpu_set_regs(cpu, &regs);
	if (exit_code(i->svm, i->vmx) == UNDEFINED) {
		expect_event(cpu, UD_VECTOR, NO_ERROR_CODE, SP);
		expect_activations(1, 0);
		return;
	}
	expect_violation(cpu, KVM_GM_V_EXIT, KVM_GM_NO_GATE, text_va(i->text) + i->offset,
			 exit_code(i->svm, i->vmx), .module = &victim, .inside = SP);
	expect_activations(0, 1);
}

/* SVM needs no exit: the module has no text in tables that are not KVM's. */
static void write_cr3(const struct attack *attack)
{
	uint64_t va;

	(void)attack;
	start();
	call_text(cpu, text_write_cr3, SP, PML4, 0);
	if (machine_vendor() == VMX) {
		expect_violation(cpu, KVM_GM_V_EXIT, KVM_GM_NO_GATE, text_va(text_write_cr3),
				 EXIT_REASON_CR_ACCESS, .module = &victim, .inside = SP);
		return;
	}
	va = text_va(text_write_cr3_after);
	expect_violation(cpu, KVM_GM_V_ESCAPE, bypassed_gate(va), va, va,
			 .gpa = region_gpa(REGION_TEXT) + (va & (PAGE - 1)), .module = &victim,
			 .inside = SP);
}

static void harmless(const struct attack *attack)
{
	start();
	call_text(cpu, attack->with, SP, 0, 0);
	expect(expect_return(cpu), "the result is 0");
}

/* --- resumption ----------------------------------------------------------------------------- */

/* Interrupted in text_keep(), which has a value of its own in every register. */
static void interrupted(unsigned int vcpus)
{
	start_with(&(struct setup) { .vcpus = vcpus });
	call_text(cpu, text_keep, SP, VA_ABSENT, 0);
	expect_event(cpu, PF_VECTOR, 0, SP);
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	*word_at(VA_SCRATCH) = RESULT;
}

static void resume_exact(const struct attack *attack)
{
	(void)attack;
	interrupted(1);
	handler_returns(cpu);
	expect_equal("result", expect_return(cpu), RESULT);
	expect_activations(0, 0);
}

static void resume_elsewhere(const struct attack *attack)
{
	static struct kvm_xsave vectors;

	(void)attack;
	interrupted(2);
	/* Vector registers are what a kernel moves with a thread. */
	must(ioctl(cpu->fd, KVM_GET_XSAVE, &vectors), "KVM_GET_XSAVE");
	must(ioctl(cpu2->fd, KVM_SET_XSAVE, &vectors), "KVM_SET_XSAVE");
	kernel_at(cpu2, gate_va(GATE_RESUME), SP);
	expect_equal("result", expect_return(cpu2), RESULT);
	/* The vCPU that was interrupted has nothing to go back to. */
	kernel_at(cpu, gate_va(GATE_RESUME), SP);
	expect_violation(cpu, KVM_GM_V_RESUME, GATE_RESUME, gate_va(GATE_RESUME), SP,
			 .module = &victim);
}

static void resume_twice(const struct attack *attack)
{
	(void)attack;
	interrupted(1);
	handler_returns(cpu);
	expect_equal("result", expect_return(cpu), RESULT);
	kernel_at(cpu, gate_va(GATE_RESUME), SP);
	expect_violation(cpu, KVM_GM_V_RESUME, GATE_RESUME, gate_va(GATE_RESUME), SP,
			 .module = &victim);
}

static void resume_wrong_stack(const struct attack *attack)
{
	const int64_t *offset = attack->with;

	interrupted(1);
	kernel_at(cpu, gate_va(GATE_RESUME), SP + *offset);
	expect_violation(cpu, KVM_GM_V_RESUME, GATE_RESUME, gate_va(GATE_RESUME), SP + *offset,
			 .module = &victim);
	kernel_at(cpu, gate_va(GATE_RESUME), SP);
	expect_equal("result", expect_return(cpu), RESULT);
}

static void resume_never_interrupted(const struct attack *attack)
{
	(void)attack;
	start();
	kernel_at(cpu, gate_va(GATE_RESUME), SP);
	expect_violation(cpu, KVM_GM_V_RESUME, GATE_RESUME, gate_va(GATE_RESUME), SP,
			 .module = &victim);
}

static void resume_inside(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	spin(cpu, SP, false);
	kernel_at(cpu2, gate_va(GATE_RESUME), SP);
	expect_violation(cpu2, KVM_GM_V_RESUME, GATE_RESUME, gate_va(GATE_RESUME), SP,
			 .module = &victim);
	stop_spinning(cpu);
}

static void return_interrupted(const struct attack *attack)
{
	(void)attack;
	interrupted(1);
	kernel_at(cpu, gate_va(GATE_IN_RETURN), SP);
	expect_violation(cpu, KVM_GM_V_RETURN, GATE_IN_RETURN, gate_va(GATE_IN_RETURN), SP,
			 .module = &victim);
	kernel_at(cpu, gate_va(GATE_RESUME), SP);
	expect_equal("result", expect_return(cpu), RESULT);
}

/* The handler ends in the text that it interrupted rather than at the gate. */
static void handler_returns_into_text(const struct attack *attack)
{
	extern const char text_keep_load[];
	struct kvm_regs regs;
	uint64_t va;

	(void)attack;
	interrupted(1);
	va = text_va(text_keep_load);
	regs = kernel_regs(kernel_va(kernel_jump), SP);
	regs.rdi = va;
	vcpu_set_regs(cpu, &regs);
	expect_violation(cpu, KVM_GM_V_EXEC, bypassed_gate(va), va, va,
			 .gpa = region_gpa(REGION_TEXT) + (va & (PAGE - 1)), .module = &victim);
	kernel_at(cpu, gate_va(GATE_RESUME), SP);
	expect_equal("result", expect_return(cpu), RESULT);
}

/* The thread calls in again from where it was interrupted: the old stay is over. */
static void call_while_interrupted(const struct attack *attack)
{
	(void)attack;
	interrupted(1);
	call_gate(cpu, GATE_NULL, SP, 41, 0, 0);
	expect_equal("result", expect_return(cpu), 42);
	expect_activations(0, 1);
	kernel_at(cpu, gate_va(GATE_RESUME), SP);
	expect_violation(cpu, KVM_GM_V_RESUME, GATE_RESUME, gate_va(GATE_RESUME), SP,
			 .module = &victim);
}

/* A register or flag that the module lost would be a violation (see guest.S). */
static void resume_many_times(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start();
	call_text(cpu, text_keep, SP, VA_ABSENT, 0);
	for (i = 0; i < 200; i++) {
		expect_event(cpu, PF_VECTOR, 0, SP);
		handler_returns(cpu);
	}
	expect_event(cpu, PF_VECTOR, 0, SP);
	machine_map(&vm, VA_ABSENT, SCRATCH, PTE_P | PTE_W);
	handler_returns(cpu);
	expect_return(cpu);
	expect_equal("event exits", query(1).crossings[KVM_GM_EVENT_EXIT], 201);
	expect_equal("resumes", query(1).crossings[KVM_GM_RESUME], 201);
}

#define JUMP(label, what, ...) \
	{ "jump-" label, 2, "a jump from the kernel to " what ": exec", jump_from_outside, \
	  &(const struct place){ __VA_ARGS__ } }
#define ESCAPE(label, what, ...) \
	{ "escape-" label, 2, "a jump from inside to " what ": escape", escape, \
	  &(const struct place){ __VA_ARGS__ } }
#define EXCEPTION(label, text, ...) \
	{ "exception-" label, 2, text " inside: the guest finds it at the resume gate", \
	  exception, &(const struct exception){ __VA_ARGS__ } }
#define INSTRUCTION(label, text, ...) \
	{ "inside-" label, 2, text " inside: exit", instruction, \
	  &(const struct instruction){ __VA_ARGS__ } }
#define UNDEFINED_BY(vendor, label, text, ...) \
	{ "inside-" label, 2, text " inside: exit, " vendor ": #UD", instruction, \
	  &(const struct instruction){ __VA_ARGS__ } }

/* --- what KVM does for a guest right after an exit ------------------------------------- */

/* The machine has ended with the case: what follows needs one where HLT is an exit. */
static void start_again(void)
{
	machine_destroy(&vm);
	start();
}

/* HLT inside exits though it does not outside. Who sleeps there is killed. */
static void halts_inside(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .halts = true, .policy = KVM_GM_POLICY_STOP });
	signal(SIGALRM, SIG_DFL);
	alarm(20);
	call_text(cpu, text_hlt, SP, 0, 0);
	expect_violation(cpu, KVM_GM_V_EXIT, KVM_GM_NO_GATE, text_va(text_hlt),
			 exit_code(SVM_EXIT_HLT, EXIT_REASON_HLT), .module = &victim,
			 .inside = SP, .policy = KVM_GM_POLICY_STOP);
	alarm(0);
	count_violation(victim.arg.id, KVM_GM_V_EXIT, -1);
	start_again();
}

#define MSR_TSC_DEADLINE	0x6e0
#define MSR_X2APIC_ICR		0x830
#define X2APIC_ENABLED		0xc00

/* MSRs of the interrupt controller that KVM writes to at once for a guest. */
static void fast_msr(const struct attack *attack)
{
	const uint32_t *msr = attack->with;
	struct kvm_sregs sregs;

	start_with(&(struct setup) {
		.interrupt_controller = true, .policy = KVM_GM_POLICY_STOP,
	});
	sregs = vcpu_sregs(cpu);
	sregs.apic_base |= X2APIC_ENABLED;
	/* No handlers: who comes back from the module ends the machine. */
	sregs.idt.limit = 0;
	vcpu_set_sregs(cpu, &sregs);
	call_text(cpu, text_msr_write, SP, *msr, 0x30);
	*word_at(SP) = kernel_va(kernel_read);
	expect_violation(cpu, KVM_GM_V_EXIT, KVM_GM_NO_GATE, text_va(text_msr_write_itself),
			 exit_code(SVM_EXIT_MSR, EXIT_REASON_MSR_WRITE), .module = &victim,
			 .inside = SP, .policy = KVM_GM_POLICY_STOP);
	count_violation(victim.arg.id, KVM_GM_V_EXIT, -1);
	start_again();
}

const struct attack exit_attacks[] = {
	JUMP("text", "the text's first instruction", .region = REGION_TEXT),
	JUMP("text-middle", "the middle of the text", .region = REGION_TEXT, .text = text_count),
	JUMP("out-call", "an out-call gate", .region = REGION_TEXT, .text = out),
	JUMP("out-return", "the out-return gate", .region = REGION_TEXT, .text = out_return),
	JUMP("constants", "constants", .region = REGION_RODATA),
	JUMP("data", "private data", .region = REGION_DATA),
	JUMP("stack", "a private stack", .region = REGION_STACK),
	{ "jump-alias", 2, "a jump to text by another mapping: exec", jump_by_alias, NULL },
	ESCAPE("kernel", "the kernel", .va = VA_KERNEL + KERNEL),
	ESCAPE("gates", "the gates", .region = REGION_GATES),
	ESCAPE("constants", "constants", .region = REGION_RODATA),
	ESCAPE("data", "private data", .region = REGION_DATA),
	ESCAPE("stack", "the private stack", .region = REGION_STACK),
	{ "escape-guard", 2, "a jump from inside to the stack's guard page: limit",
	  escape_to_guard, NULL },
	{ "escape-return", 2, "a return from inside to the kernel: escape",
	  escape_by_return, NULL },
	{ "escape-guest-frame", 2, "a jump from inside to text at the guest's frame: escape",
	  escape_to_guest_frame, NULL },
	{ "return-early", 2, "an out-return with a word on the stack: frame",
	  return_elsewhere, &(const struct stray_return){ text_return_early, -8 } },
	{ "return-late", 2, "an out-return with words taken from the stack: frame",
	  return_elsewhere, &(const struct stray_return){ text_return_late, 16 } },

	EXCEPTION("divide", "a division by zero", text_divide, .vector = DE_VECTOR),
	EXCEPTION("undefined", "an undefined instruction", text_undefined, .vector = UD_VECTOR),
	EXCEPTION("not-canonical", "a load from no address", text_not_canonical,
		  .vector = GP_VECTOR),
	EXCEPTION("segment-absent", "a load of an absent segment", text_load_ds,
		  .rsi = ABSENT_DS, .vector = NP_VECTOR, .error = ABSENT_DS),
	EXCEPTION("stack-segment-absent", "a load of an absent stack segment", text_load_ss,
		  .rsi = ABSENT_DS, .vector = SS_VECTOR, .error = ABSENT_DS),
	EXCEPTION("segment-limit", "a load of a segment past the table", text_load_ds,
		  .rsi = 0x1000, .vector = GP_VECTOR, .error = 0x1000),
	EXCEPTION("task-switched", "floating point with CR0.TS", text_float,
		  .cr0 = 8, .vector = NM_VECTOR),
	EXCEPTION("no-coprocessor", "floating point with CR0.EM", text_float,
		  .cr0 = 4, .vector = NM_VECTOR),
	EXCEPTION("float-divide", "a floating point division by zero", text_float_divide,
		  .vector = MF_VECTOR),
	EXCEPTION("read-absent", "a load from where nothing is", text_read,
		  .rsi = VA_ABSENT, .vector = PF_VECTOR),
	EXCEPTION("write-absent", "a store to where nothing is", text_write,
		  .rsi = VA_ABSENT, .vector = PF_VECTOR, .error = 2),
	EXCEPTION("fetch-absent", "a jump to where nothing is", text_goto,
		  .rsi = VA_ABSENT, .vector = PF_VECTOR, .error = 0x10),
	EXCEPTION("read-user", "a load from user space", text_read,
		  .rsi = VA_USER, .vector = PF_VECTOR),
	EXCEPTION("fetch-user", "a jump to user space", text_goto,
		  .rsi = VA_USER, .vector = PF_VECTOR, .error = 0x10),
	EXCEPTION("foreign-hypercall", "the other vendor's hypercall", text_foreign_hypercall,
		  .vector = UD_VECTOR),
	EXCEPTION("syscall", "a disabled system call", text_syscall, .vector = UD_VECTOR),
	{ "exception-read-only", 2, "a store to the guest's read-only memory: when it allows it",
	  exception_on_read_only, NULL },
	{ "exception-user-mapped", 2, "a load from user memory that is there: a page fault",
	  exception_on_user, NULL },
	{ "exception-step", 2, "the module steps itself: one #DB, then it goes on",
	  exception_step, NULL },

	INSTRUCTION("hlt", "HLT", text_hlt, 0, SVM_EXIT_HLT, EXIT_REASON_HLT, 0),
	INSTRUCTION("cpuid", "CPUID", text_cpuid, 0, SVM_EXIT_CPUID, EXIT_REASON_CPUID, 0),
	INSTRUCTION("rdpmc", "RDPMC", text_rdpmc, 0, SVM_EXIT_RDPMC, EXIT_REASON_RDPMC, 0),
	INSTRUCTION("write-cr0", "a store to CR0 of another mode", text_write_cr0, 0,
		    SVM_EXIT_CR0_SEL_WRITE, EXIT_REASON_CR_ACCESS, 0),
	INSTRUCTION("write-cr4", "a store to CR4", text_write_cr4, 0, SVM_EXIT_WRITE_CR4,
		    EXIT_REASON_CR_ACCESS, 0),
	INSTRUCTION("read-dr7", "a load from DR7", text_read_dr7, 0, SVM_EXIT_READ_DR7,
		    EXIT_REASON_DR_ACCESS, 0),
	INSTRUCTION("write-dr7", "a store to DR7", text_write_dr7, 0, SVM_EXIT_WRITE_DR7,
		    EXIT_REASON_DR_ACCESS, 0),
	INSTRUCTION("rdmsr", "RDMSR", text_rdmsr, 5, SVM_EXIT_MSR, EXIT_REASON_MSR_READ, 0),
	INSTRUCTION("wrmsr", "WRMSR", text_wrmsr, 5, SVM_EXIT_MSR, EXIT_REASON_MSR_WRITE, 0),
	INSTRUCTION("xsetbv", "XSETBV", text_xsetbv, 2, SVM_EXIT_XSETBV, EXIT_REASON_XSETBV,
		    CR4_OSXSAVE),
	INSTRUCTION("wbinvd", "WBINVD", text_wbinvd, 0, SVM_EXIT_WBINVD, EXIT_REASON_WBINVD, 0),
	INSTRUCTION("invd", "INVD", text_invd, 0, SVM_EXIT_INVD, EXIT_REASON_INVD, 0),
	{ "inside-write-cr3", 2, "the guest's own tables stored to CR3 inside: escape, VMX: exit",
	  write_cr3, NULL },
	UNDEFINED_BY("VMX", "vmrun", "VMRUN", text_vmrun, 0, SVM_EXIT_VMRUN, UNDEFINED),
	UNDEFINED_BY("VMX", "vmload", "VMLOAD", text_vmload, 0, SVM_EXIT_VMLOAD, UNDEFINED),
	UNDEFINED_BY("VMX", "vmsave", "VMSAVE", text_vmsave, 0, SVM_EXIT_VMSAVE, UNDEFINED),
	UNDEFINED_BY("VMX", "stgi", "STGI", text_stgi, 0, SVM_EXIT_STGI, UNDEFINED),
	UNDEFINED_BY("VMX", "clgi", "CLGI", text_clgi, 0, SVM_EXIT_CLGI, UNDEFINED),
	UNDEFINED_BY("VMX", "invlpga", "INVLPGA", text_invlpga, 0, SVM_EXIT_INVLPGA, UNDEFINED),
	UNDEFINED_BY("SVM", "vmxon", "VMXON", text_vmxon, 0, UNDEFINED, EXIT_REASON_VMON),
	UNDEFINED_BY("SVM", "vmxoff", "VMXOFF", text_vmxoff, 0, UNDEFINED, EXIT_REASON_VMOFF),
	UNDEFINED_BY("SVM", "vmclear", "VMCLEAR", text_vmclear, 0, UNDEFINED, EXIT_REASON_VMCLEAR),
	UNDEFINED_BY("SVM", "vmptrld", "VMPTRLD", text_vmptrld, 0, UNDEFINED, EXIT_REASON_VMPTRLD),
	UNDEFINED_BY("SVM", "vmptrst", "VMPTRST", text_vmptrst, 0, UNDEFINED, EXIT_REASON_VMPTRST),
	UNDEFINED_BY("SVM", "vmread", "VMREAD", text_vmread, 0, UNDEFINED, EXIT_REASON_VMREAD),
	UNDEFINED_BY("SVM", "vmwrite", "VMWRITE", text_vmwrite, 0, UNDEFINED, EXIT_REASON_VMWRITE),
	UNDEFINED_BY("SVM", "vmlaunch", "VMLAUNCH", text_vmlaunch, 0,
		     UNDEFINED, EXIT_REASON_VMLAUNCH),
	UNDEFINED_BY("SVM", "vmresume", "VMRESUME", text_vmresume, 0,
		     UNDEFINED, EXIT_REASON_VMRESUME),
	UNDEFINED_BY("SVM", "invept", "INVEPT", text_invept, 0, UNDEFINED, EXIT_REASON_INVEPT),
	UNDEFINED_BY("SVM", "invvpid", "INVVPID", text_invvpid, 0, UNDEFINED, EXIT_REASON_INVVPID),
	EXCEPTION("vmfunc", "VMFUNC, which KVM enables for nobody", text_vmfunc,
		  .vector = UD_VECTOR),
	EXCEPTION("getsec", "GETSEC without CR4.SMXE", text_getsec, .vector = UD_VECTOR),
	UNDEFINED_BY("VMX", "rsm", "RSM outside SMM", text_rsm, 0, SVM_EXIT_RSM, UNDEFINED),
	{ "inside-hlt-no-exit", 2, "HLT inside where it is no exit outside: exit",
	  halts_inside, NULL },
	{ "inside-icr", 2, "WRMSR to the x2APIC's ICR inside: exit",
	  fast_msr, &(const uint32_t){ MSR_X2APIC_ICR } },
	{ "inside-tsc-deadline", 2, "WRMSR to the TSC deadline inside: exit",
	  fast_msr, &(const uint32_t){ MSR_TSC_DEADLINE } },
	{ "inside-pause", 2, "PAUSE inside: nothing", harmless, text_pause },
	{ "inside-clts", 2, "CLTS inside: nothing", harmless, text_clts },
	{ "inside-read-cr0", 2, "a load from CR0 inside: the guest's", harmless, text_read_cr0 },
	{ "inside-rdtsc", 2, "RDTSC inside: the time", harmless, text_rdtsc },

	{ "resume", 2, "a resume: every register and flag as it was", resume_exact, NULL },
	{ "resume-often", 2, "200 resumes: every register and flag as it was",
	  resume_many_times, NULL },
	{ "resume-elsewhere", 2, "a resume on another vCPU, and again on the first: resume",
	  resume_elsewhere, NULL },
	{ "resume-twice", 2, "a second resume: resume", resume_twice, NULL },
	{ "resume-below", 2, "a resume with a lower stack pointer: resume",
	  resume_wrong_stack, &(const int64_t){ -16 } },
	{ "resume-above", 2, "a resume with a higher stack pointer: resume",
	  resume_wrong_stack, &(const int64_t){ 256 } },
	{ "resume-nothing", 2, "a resume of nothing: resume", resume_never_interrupted, NULL },
	{ "resume-running", 2, "a resume of who is inside on another vCPU: resume",
	  resume_inside, NULL },
	{ "return-interrupted", 2, "an in-return of who was interrupted: return",
	  return_interrupted, NULL },
	{ "handler-into-text", 2, "a handler that ends in the text: exec",
	  handler_returns_into_text, NULL },
	{ "call-interrupted", 2, "a call by who was interrupted: the interrupted stay is over",
	  call_while_interrupted, NULL },
	{}
};
