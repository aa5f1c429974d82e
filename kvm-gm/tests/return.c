// SPDX-License-Identifier: GPL-2.0
/*
 * I3: a call out of the module returns exactly once, to the instruction after
 * it, with the stack, stack pointer and callee-saved registers that it had.
 */
#include "attack.h"

#define SP		STACK(0)
#define RESULT		0x1234
#define SECRET(i)	(0x5ec2e700UL + (i))

extern const char kernel_callee[], kernel_calls[], text_null[], text_out[], text_out_twice[];
extern const char text_out_indirect[], text_out_args[], text_read[], text_recurse[];
extern const char text_asm[], text_noreturn[], out[];

/* A thread that called text_out() at @sp is in the kernel's function. */
static void call_out(struct vcpu *vcpu, uint64_t sp)
{
	call_text(vcpu, text_out, sp, 0, 0);
	expect_out_call(vcpu, sp);
}

/* The in-return gate, by RET from the kernel's function or otherwise. */
static void in_return(struct vcpu *vcpu, uint64_t sp)
{
	struct kvm_regs regs = kernel_regs(gate_va(GATE_IN_RETURN), sp);

	regs.rax = RESULT - 1;
	vcpu_set_regs(vcpu, &regs);
}

static void expect_no_return(struct vcpu *vcpu, uint64_t sp)
{
	in_return(vcpu, sp);
	expect_violation(vcpu, KVM_GM_V_RETURN, GATE_IN_RETURN, gate_va(GATE_IN_RETURN), sp,
			 .module = &victim);
}

static void expect_came_back(struct vcpu *vcpu, uint64_t sp)
{
	in_return(vcpu, sp);
	expect_equal("result", expect_return(vcpu), RESULT);
}

static void out_and_back(const struct attack *attack)
{
	struct kvm_regs regs;

	(void)attack;
	start();
	call_text(cpu, text_out, SP, 0x11, 0x22);
	regs = expect_out_call(cpu, SP);
	expect_equal("RSP", regs.rsp, SP - 8);
	expect_equal("the second argument", regs.rsi, 0x11);
	expect_equal("the third argument", regs.rdx, 0x22);
	callee_returns(cpu, RESULT - 1);
	expect_equal("result", expect_return(cpu), RESULT);
	expect_activations(0, 0);
}

static void out_twice(const struct attack *attack)
{
	(void)attack;
	start();
	call_text(cpu, text_out_twice, SP, 0, 0);
	expect_out_call(cpu, SP);
	callee_returns(cpu, 1);
	expect_out_call(cpu, SP);
	callee_returns(cpu, RESULT);
	expect_equal("result", expect_return(cpu), RESULT);
}

static void out_indirectly(const struct attack *attack)
{
	(void)attack;
	start();
	call_text(cpu, text_out_indirect, SP, kernel_va(kernel_callee), 0);
	expect_out_call(cpu, SP);
	callee_returns(cpu, RESULT);
	expect_equal("result", expect_return(cpu), RESULT);
}

/* A pointer that the guest handed over leads into the module: its gates refuse. */
static void out_indirectly_inside(const struct attack *attack)
{
	uint64_t va;

	(void)attack;
	start();
	va = text_va(text_null);
	call_text(cpu, text_out_indirect, SP, va, 0);
	expect_violation(cpu, KVM_GM_V_EXEC, bypassed_gate(va), va, va,
			 .gpa = region_gpa(REGION_TEXT) + (va & (PAGE - 1)), .module = &victim,
			 .moved = true);
	expect_equal("RSP", *word_at(vcpu_regs(cpu).rsp + 32), SP - 8);
	expect_activations(1, 0);
}

static void return_twice(const struct attack *attack)
{
	(void)attack;
	start();
	call_out(cpu, SP);
	expect_came_back(cpu, SP);
	expect_no_return(cpu, SP);
}

static void return_wrong_stack(const struct attack *attack)
{
	const int64_t *offset = attack->with;

	start();
	call_out(cpu, SP);
	expect_no_return(cpu, SP + *offset);
	expect_activations(1, 0);
	expect_came_back(cpu, SP);
}

static void return_never_called(const struct attack *attack)
{
	(void)attack;
	start();
	expect_no_return(cpu, SP);
}

static void return_while_inside(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	spin(cpu, SP, false);
	expect_no_return(cpu2, SP);
	stop_spinning(cpu);
}

/* The first of two vCPUs to return has the thread, the other has nothing. */
static void return_of_another(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	call_out(cpu, SP);
	expect_came_back(cpu2, SP);
	expect_no_return(cpu, SP);
}

static void threads_out_of_order(const struct attack *attack)
{
	(void)attack;
	start();
	call_out(cpu, STACK(0));
	call_out(cpu, STACK(1));
	call_out(cpu, STACK(2));
	expect_activations(3, 0);
	expect_came_back(cpu, STACK(1));
	expect_came_back(cpu, STACK(0));
	call_out(cpu, STACK(3));
	expect_no_return(cpu, STACK(1));
	expect_came_back(cpu, STACK(2));
	expect_came_back(cpu, STACK(3));
	expect_activations(0, 0);
}

static void threads_on_two_vcpus(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	for (i = 0; i < 50; i++) {
		struct vcpu *here = i & 1 ? cpu : cpu2, *there = i & 1 ? cpu2 : cpu;

		call_out(here, STACK(0));
		call_out(there, STACK(1));
		expect_came_back(there, STACK(0));
		expect_came_back(here, STACK(1));
	}
	expect_activations(0, 0);
	expect_equal("in-returns", query(1).crossings[KVM_GM_IN_RETURN], 100);
}

#define DEPTH	4
#define FRAME	0x100

/* Kernel, module, kernel, module ... on one stack. */
static void nested(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .activations = DEPTH });
	for (i = 0; i < DEPTH; i++)
		call_out(cpu, SP - i * FRAME);
	expect_activations(DEPTH, 0);
	call_text(cpu, text_out, SP - DEPTH * FRAME, 0, 0);
	expect_violation(cpu, KVM_GM_V_LIMIT, GATE_JUMP, gate_va(GATE_JUMP), SP - DEPTH * FRAME,
			 .module = &victim);
	while (i--) {
		expect_came_back(cpu, SP - i * FRAME);
		expect_no_return(cpu, SP - i * FRAME);
	}
	expect_activations(0, 0);
}

static void exhausted(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start_with(&(struct setup) { .activations = 2 });
	call_out(cpu, STACK(0));
	call_text(cpu, text_read, STACK(1), VA_ABSENT, 0);
	expect_event(cpu, PF_VECTOR, 0, STACK(1));
	for (i = 2; i < 20; i++) {
		call_text(cpu, text_out, STACK(i), 0, 0);
		expect_violation(cpu, KVM_GM_V_LIMIT, GATE_JUMP, gate_va(GATE_JUMP), STACK(i),
				 .module = &victim);
	}
	expect_came_back(cpu, STACK(0));
	call_out(cpu, STACK(5));
	expect_came_back(cpu, STACK(5));
}

/* Two out-calls that would come back at one stack pointer: the first is a dead one's. */
static void two_on_one_stack(const struct attack *attack)
{
	(void)attack;
	start();
	call_out(cpu, SP + 8);
	call_out(cpu, SP);
	expect_activations(1, 1);
	expect_came_back(cpu, SP);
	expect_no_return(cpu, SP);
}

static void call_while_inside(const struct attack *attack)
{
	(void)attack;
	start_with(&(struct setup) { .vcpus = 2 });
	spin(cpu, SP, false);
	call_gate(cpu2, GATE_NULL, SP, 41, 0, 0);
	expect_violation(cpu2, KVM_GM_V_ENVIRONMENT, GATE_NULL, gate_va(GATE_NULL), SP,
			 .module = &victim);
	stop_spinning(cpu);
}

/* A call from where another never came back: that one's thread is gone. */
static void superseded(const struct attack *attack)
{
	(void)attack;
	start();
	call_out(cpu, SP);
	call_gate(cpu, GATE_NULL, SP, 41, 0, 0);
	expect_equal("result", expect_return(cpu), 42);
	expect_activations(0, 1);
	expect_no_return(cpu, SP);
}

/* A private stack with a dead thread's frames on it is not another thread's. */
static void superseded_often(const struct attack *attack)
{
	unsigned int i;

	(void)attack;
	start();
	for (i = 0; i < ACTIVATIONS; i++) {
		call_out(cpu, SP);
		expect_activations(1, i);
	}
	call_text(cpu, text_out, STACK(1), 0, 0);
	expect_violation(cpu, KVM_GM_V_LIMIT, GATE_JUMP, gate_va(GATE_JUMP), STACK(1),
			 .module = &victim);
	expect_came_back(cpu, SP);
	call_out(cpu, STACK(1));
	expect_came_back(cpu, STACK(1));
	expect_no_return(cpu, SP);
}

/* The address that the kernel's function returns to is the guest's to change. */
static void forged_return_address(const struct attack *attack)
{
	uint64_t va;

	(void)attack;
	start();
	call_out(cpu, SP);
	va = text_va(out) + 3;
	*word_at(SP - 8) = va;
	callee_returns(cpu, 0);
	expect_violation(cpu, KVM_GM_V_EXEC, bypassed_gate(va), va, va, .module = &victim,
			 .gpa = region_gpa(REGION_TEXT) + (va & (PAGE - 1)), .moved = true);
	expect_came_back(cpu, SP);
}

/* No word that the guest can read tells where in its text the module is. */
static void return_addresses_hidden(const struct attack *attack)
{
	uint64_t sp;

	(void)attack;
	start();
	call_out(cpu, SP);
	for (sp = STACK(0) - 0x1000; sp < STACK(0) + 0x1000; sp += 8)
		expect(*word_at(sp) - region_va(REGION_TEXT) >= PAGE, "0x%lx holds 0x%lx", sp,
		       *word_at(sp));
	for (sp = private_sp() - 0x80; sp < private_sp() + 24; sp += 8) {
		extern const char kernel_read[];
		struct kvm_regs regs = kernel_regs(kernel_va(kernel_read), STACK(1));

		regs.rdi = sp;
		vcpu_set_regs(cpu, &regs);
		regs = expect_halt(cpu, kernel_va(kernel_read) + 3);
		expect_equal("a word of the private stack, as the guest sees it", regs.rax, 0);
	}
	expect_came_back(cpu, SP);
}

static void unaligned_stack(const struct attack *attack)
{
	(void)attack;
	start();
	call_text(cpu, text_out, SP + 8, 0, 0);
	expect_equal("RSP", expect_out_call(cpu, SP + 8).rsp, SP - 8);
	expect_came_back(cpu, SP);
	expect_equal("RSP", vcpu_regs(cpu).rsp, SP + 16);
}

/* Recursion without end stops at the guard page, whatever the guest maps there. */
static void stack_overflow(const struct attack *attack)
{
	uint64_t guard;

	(void)attack;
	start();
	guard = region_va(REGION_STACK);
	machine_map(&vm, guard, SCRATCH, PTE_P | PTE_W);
	call_text(cpu, text_recurse, SP, 0, 0);
	expect_violation(cpu, KVM_GM_V_LIMIT, KVM_GM_NO_GATE, text_va(text_recurse),
			 guard + PAGE - 8, .module = &victim, .inside = SP);
	expect_activations(0, 1);
}

/* Nor does the second stack end in the first. */
static void stack_overflow_second(const struct attack *attack)
{
	uint64_t guard;

	(void)attack;
	start();
	guard = region_va(REGION_STACK) + STACK_PAGES * PAGE;
	call_out(cpu, STACK(1));
	call_text(cpu, text_recurse, SP, 0, 0);
	expect_violation(cpu, KVM_GM_V_LIMIT, KVM_GM_NO_GATE, text_va(text_recurse),
			 guard + PAGE - 8, .module = &victim, .inside = SP);
	expect_came_back(cpu, STACK(1));
}

/* --- callees with conventions of their own ---------------------------------------------- */

/* What assembly keeps is the module's to rely on, whatever the guest leaves there. */
static void assembly_callee(const struct attack *attack)
{
	struct kvm_regs regs;

	(void)attack;
	start();
	call_text(cpu, text_asm, SP, 0, 0);
	regs = expect_halt(cpu, kernel_va(kernel_callee));
	expect_equal("RBX, an argument here", regs.rbx, SECRET(3));
	expect_equal("RBP", regs.rbp, 0);
	expect_equal("R10", regs.r10, 0);
	expect_equal("R12", regs.r12, 0);
	expect_equal("R15", regs.r15, 0);
	callee_returns(cpu, RESULT);
	expect_equal("result", expect_return(cpu), RESULT);
}

/* The thread is not in the module any more: nothing waits for it. */
static void callee_without_return(const struct attack *attack)
{
	(void)attack;
	start();
	call_text(cpu, text_noreturn, SP, 0, 0);
	expect_out_call(cpu, SP);
	expect_activations(0, 0);
	expect_no_return(cpu, SP);
}

/* --- arguments on the stack ------------------------------------------------------------ */

static void arguments_in(const struct attack *attack)
{
	(void)attack;
	start();
	call_gate(cpu, GATE_ARGS, SP, 0, 0, 0);
	word_at(SP)[1] = 7;
	word_at(SP)[2] = 8;
	word_at(SP)[3] = 9;
	expect_equal("result", expect_return(cpu), 789);
}

/* By a CALL of the guest's, of which KVM has not seen yet where RSP is. */
static void arguments_in_called(const struct attack *attack)
{
	struct kvm_regs regs;

	(void)attack;
	start();
	word_at(SP)[0] = 0;
	word_at(SP)[1] = 4;
	word_at(SP)[2] = 2;
	regs = kernel_regs(kernel_va(kernel_calls), SP);
	regs.rbx = 1;
	regs.r12 = gate_va(GATE_ARGS);
	vcpu_set_regs(cpu, &regs);
	expect_equal("exit reason", run_on(cpu), KVM_EXIT_HLT);
	regs = vcpu_regs(cpu);
	expect_equal("result", regs.rax, 42);
	expect_equal("calls left", regs.rbx, 0);
	expect_equal("RSP", regs.rsp, SP);
}

/* The arguments would lie where nothing is: the guest's page fault, at the gate. */
static void arguments_in_absent(const struct attack *attack)
{
	uint64_t sp = VA_SCRATCH + PAGE - 16;

	(void)attack;
	start();
	call_gate(cpu, GATE_ARGS, sp, 0, 0, 0);
	*machine_entry(&vm, VA_SCRATCH + PAGE, 1) = 0;
	expect_vector(cpu, PF_VECTOR, 0, gate_va(GATE_ARGS));
	expect_equal("CR2", vcpu_sregs(cpu).cr2, VA_SCRATCH + PAGE);
	expect_activations(0, 0);
}

static void arguments_out(const struct attack *attack)
{
	struct kvm_regs regs;
	unsigned int i;

	(void)attack;
	start();
	call_text(cpu, text_out_args, SP, 0, 0);
	regs = expect_out_call(cpu, SP);
	for (i = 1; i <= GATE_ARGS_WORDS; i++)
		expect_equal("an argument", word_at(regs.rsp)[i], SECRET(i));
	callee_returns(cpu, RESULT);
	expect_equal("result", expect_return(cpu), RESULT);
}

static void arguments_out_absent(const struct attack *attack)
{
	uint64_t sp = VA_SCRATCH + PAGE;

	(void)attack;
	start();
	call_text(cpu, text_out_args, sp, 0, 0);
	*machine_entry(&vm, VA_SCRATCH, 1) = 0;
	expect_violation(cpu, KVM_GM_V_ENVIRONMENT, GATE_OUT_ARGS, victim.arg.trampoline, sp - 32,
			 .module = &victim, .moved = true, .no_stack = true);
	expect_activations(0, 1);
}

/* The guest's stack leads to sealed text: nothing is written there. */
static void arguments_out_to_text(const struct attack *attack)
{
	uint64_t sp = VA_SCRATCH + PAGE;
	struct kvm_regs regs;

	(void)attack;
	start();
	call_text(cpu, text_out_args, sp, 0, 0);
	machine_map(&vm, VA_SCRATCH, region_gpa(REGION_TEXT), PTE_P | PTE_W);
	/* The trampoline's own CALL is what the sealed page refuses. */
	expect_violation(cpu, KVM_GM_V_WRITE, bypassed_gate(region_va(REGION_TEXT) + PAGE - 40),
			 victim.arg.trampoline, region_va(REGION_TEXT) + PAGE - 40,
			 .gpa = region_gpa(REGION_TEXT) + PAGE - 40, .module = &victim,
			 .moved = true, .no_stack = true);
	machine_map(&vm, VA_SCRATCH, SCRATCH, PTE_P | PTE_W);
	regs = kernel_regs(gate_va(GATE_IN_RETURN), sp - 32);
	regs.rax = RESULT;
	vcpu_set_regs(cpu, &regs);
	expect_equal("result", expect_return(cpu), RESULT);
}

const struct attack return_attacks[] = {
	{ "out-call", 3, "a call out: the kernel sees its arguments alone, and changes nothing",
	  out_and_back, NULL },
	{ "out-call-twice", 3, "two calls out of one stay: each comes back", out_twice, NULL },
	{ "out-call-indirect", 3, "a call out by pointer: it comes back", out_indirectly, NULL },
	{ "out-call-pointer-inside", 3, "a call out by pointer, into the text: exec",
	  out_indirectly_inside, NULL },
	{ "return-twice", 3, "a second in-return: return", return_twice, NULL },
	{ "return-below", 3, "an in-return with a lower stack pointer: return",
	  return_wrong_stack, &(const int64_t){ -16 } },
	{ "return-above", 3, "an in-return with a higher stack pointer: return",
	  return_wrong_stack, &(const int64_t){ 256 } },
	{ "return-at-callee", 3, "an in-return with the callee's stack pointer: return",
	  return_wrong_stack, &(const int64_t){ -8 } },
	{ "return-nothing", 3, "an in-return that nobody waits for: return",
	  return_never_called, NULL },
	{ "return-running", 3, "an in-return of who is inside on another vCPU: return",
	  return_while_inside, NULL },
	{ "return-of-another", 3, "an in-return on another vCPU, then on the first: return",
	  return_of_another, NULL },
	{ "return-out-of-order", 3, "threads that come back in another order: each its own",
	  threads_out_of_order, NULL },
	{ "return-migrated", 3, "threads that come back on another vCPU, 100 times: each its own",
	  threads_on_two_vcpus, NULL },
	{ "nested", 3, "kernel and module in turn on one stack, one time too often: limit",
	  nested, NULL },
	{ "exhausted", 3, "threads that stay away until no activation is left: limit",
	  exhausted, NULL },
	{ "two-on-one-stack", 3, "two out-calls back to one stack pointer: one comes back",
	  two_on_one_stack, NULL },
	{ "call-running", 3, "a call on the stack of who is inside on another vCPU: environment",
	  call_while_inside, NULL },
	{ "superseded", 3, "a call from where another never came back; its in-return: return",
	  superseded, NULL },
	{ "superseded-often", 3, "calls from one place that do not come back: limit",
	  superseded_often, NULL },
	{ "return-address-forged", 3, "the callee's return address changed to the text: exec",
	  forged_return_address, NULL },
	{ "return-address-hidden", 3, "the guest looks for the module's return addresses: none",
	  return_addresses_hidden, NULL },
	{ "stack-unaligned", 3, "a call on a stack of 8 bytes: the callee's is of 16",
	  unaligned_stack, NULL },
	{ "stack-overflow", 3, "a module that recurses without end: limit, at the guard page",
	  stack_overflow, NULL },
	{ "stack-overflow-second", 3, "the same on the second stack: limit, the first is as it was",
	  stack_overflow_second, NULL },
	{ "callee-assembly", 3, "a callee in assembly that keeps nothing: all kept",
	  assembly_callee, NULL },
	{ "callee-no-return", 3, "an in-return from a callee that does not return: return",
	  callee_without_return, NULL },
	{ "arguments-in", 3, "a call with arguments on the stack: the module has them",
	  arguments_in, NULL },
	{ "arguments-in-called", 3, "the same by a CALL: at the stack pointer that it left",
	  arguments_in_called, NULL },
	{ "arguments-in-absent", 3, "the same where nothing is: the guest's page fault",
	  arguments_in_absent, NULL },
	{ "arguments-out", 3, "a call out with arguments on the stack: the kernel has them",
	  arguments_out, NULL },
	{ "arguments-out-absent", 3, "the same with no stack there: environment",
	  arguments_out_absent, NULL },
	{ "arguments-out-to-text", 3, "the same with sealed text there: write",
	  arguments_out_to_text, NULL },
	{}
};
