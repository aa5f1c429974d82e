// SPDX-License-Identifier: GPL-2.0
/* A call of the victim, instruction by instruction: see walk.h. */
#include "walk.h"

#include <sys/ioctl.h>

#define RFLAGS_IF	0x200ULL
#define WORD		0x34	/* what the module loads */
#define TRIES		16	/* what an instruction needs is mapped page by page */

extern const char kernel_halt[], kernel_callee[], text_journey[];

static void debug(struct vcpu *vcpu, uint32_t control)
{
	struct kvm_guest_debug debug = { .control = control };

	must(ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug), "KVM_SET_GUEST_DEBUG");
}

/* A step that only maps what the instruction needs is none, as Bochs counts them. */
uint64_t step(struct vcpu *vcpu)
{
	uint64_t rip = vcpu_regs(vcpu).rip;
	unsigned int i;

	for (i = 0; i < TRIES && vcpu_regs(vcpu).rip == rip; i++) {
		debug(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
		expect_equal("exit reason of a step", run_on(vcpu), KVM_EXIT_DEBUG);
		expect_equal("where the debugger is told it is", vcpu->run->debug.arch.pc,
			     vcpu_regs(vcpu).rip);
		debug(vcpu, 0);
	}
	expect(vcpu_regs(vcpu).rip != rip, "no step from 0x%lx", rip);
	return vcpu_regs(vcpu).rip;
}

/* KVM sets TF where debugging begins: elsewhere, so not at all. */
uint64_t cross(struct vcpu *vcpu)
{
	struct kvm_regs regs = vcpu_regs(vcpu), elsewhere = regs;

	elsewhere.rip = kernel_va(kernel_halt);
	vcpu_set_regs(vcpu, &elsewhere);
	debug(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	vcpu_set_regs(vcpu, &regs);
	expect_equal("exit reason at a gate", run_on(vcpu), KVM_EXIT_DEBUG);
	debug(vcpu, 0);
	return vcpu_regs(vcpu).rip;
}

static bool is_gate(uint64_t va)
{
	unsigned int i;

	for (i = 0; i < NR_GATES; i++)
		if (gate_va(i) == va)
			return true;
	return false;
}

void step_to(struct vcpu *vcpu, uint64_t va)
{
	unsigned int i;

	for (i = 0; step(vcpu) != va; i++)
		expect(i < 100, "no way to 0x%lx", va);
}

static void enable_interrupts(struct vcpu *vcpu)
{
	struct kvm_regs regs = vcpu_regs(vcpu);

	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(vcpu, &regs);
}

void walk_begin(struct walk *walk, struct vcpu *vcpu, uint64_t sp)
{
	*word_at(VA_SCRATCH) = WORD;
	*walk = (struct walk) { .vcpu = vcpu, .sp = sp, .rip = gate_va(GATE_JUMP) };
	call_text(vcpu, text_journey, sp, VA_SCRATCH, 0);
	enable_interrupts(vcpu);
}

bool walk_begin_at(struct walk *walk, struct vcpu *vcpu, uint64_t sp, unsigned int position)
{
	walk_begin(walk, vcpu, sp);
	while (walk->position < position && walk_on(walk))
		;
	return walk->rip != kernel_va(kernel_halt);
}

bool walk_on(struct walk *walk)
{
	if (walk->rip == kernel_va(kernel_callee)) {
		expect_out_call(walk->vcpu, walk->sp);
		walk_callee_returns(walk);
		walk->rip++;
	} else {
		walk->rip = is_gate(walk->rip) ? cross(walk->vcpu) : step(walk->vcpu);
	}
	walk->position++;
	return walk->rip != kernel_va(kernel_halt);
}

bool walk_is_inside(const struct walk *walk)
{
	return walk->rip - region_va(REGION_TEXT) < PAGE;
}

bool walk_is_at_way_in(const struct walk *walk)
{
	return walk->rip == gate_va(GATE_JUMP) || walk->rip == gate_va(GATE_IN_RETURN);
}

void walk_callee_returns(struct walk *walk)
{
	callee_returns(walk->vcpu, WALK_RESULT - WORD);
	enable_interrupts(walk->vcpu);
	walk->called_out = true;
}

void walk_end(struct walk *walk)
{
	if (!walk->called_out) {
		expect_out_call(walk->vcpu, walk->sp);
		walk_callee_returns(walk);
	}
	expect_equal("result", expect_return(walk->vcpu), WALK_RESULT);
	expect_equal("RSP", vcpu_regs(walk->vcpu).rsp, walk->sp + 8);
}
