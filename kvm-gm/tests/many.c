// SPDX-License-Identifier: GPL-2.0
/*
 * I3, I5 and I7 with as many modules as there may be at once: each has its own
 * activations, data and counters, also where they call through each other.
 */
#include "attack.h"

#define SP		STACK(0)
#define FRAME		0x100
#define RESULT		0x1234
#define MODULES_IN_ALL	KVM_GM_MAX_SEALS

extern const char text_out[], text_read_private[], text_write_private[];

static struct module modules[MODULES_IN_ALL];

/* The next calls are of that one. */
static void turn_to(unsigned int i)
{
	victim = modules[i];
}

static void start_all(unsigned int count, const struct setup *setup)
{
	unsigned int i;

	start_with(setup);
	modules[0] = victim;
	for (i = 1; i < count; i++) {
		prepare(&modules[i], i, setup);
		seal(&modules[i]);
		expect_equal("id", modules[i].arg.id, i + 1);
	}
}

static void call_out(struct vcpu *vcpu, unsigned int i, uint64_t sp)
{
	turn_to(i);
	call_text(vcpu, text_out, sp, 0, 0);
	expect_out_call(vcpu, sp);
}

static void come_back(struct vcpu *vcpu, unsigned int i, uint64_t sp)
{
	struct kvm_regs regs;

	turn_to(i);
	regs = kernel_regs(gate_va(GATE_IN_RETURN), sp);
	regs.rax = RESULT + i - 1;
	vcpu_set_regs(vcpu, &regs);
	expect_equal("result", expect_return(vcpu), RESULT + i);
}

/* Each calls the next, on one stack; nobody comes back by another's gate. */
static void all_at_once(const struct attack *attack)
{
	unsigned int i, j;

	(void)attack;
	start_all(MODULES_IN_ALL, &(struct setup) {});
	for (i = 0; i < MODULES_IN_ALL; i++) {
		turn_to(i);
		call_text(cpu, text_write_private, SP, i, 0);
		expect_return(cpu);
	}
	for (i = 0; i < MODULES_IN_ALL; i++) {
		turn_to(i);
		call_text(cpu, text_read_private, SP, 0, 0);
		expect_equal("private data", expect_return(cpu), i);
	}
	for (i = 0; i < MODULES_IN_ALL; i++)
		call_out(cpu, i, SP - i * FRAME);
	for (i = 0; i < MODULES_IN_ALL; i++) {
		turn_to(i);
		expect_activations(1, 0);
		for (j = 0; j < MODULES_IN_ALL; j++) {
			if (i == j)
				continue;
			kernel_at(cpu, gate_va(GATE_IN_RETURN), SP - j * FRAME);
			expect_violation(cpu, KVM_GM_V_RETURN, GATE_IN_RETURN,
					 gate_va(GATE_IN_RETURN), SP - j * FRAME,
					 .module = &victim);
		}
	}
	while (i--) {
		come_back(cpu, i, SP - i * FRAME);
		expect_activations(0, 0);
		expect_equal("in-returns", query(i + 1).crossings[KVM_GM_IN_RETURN], 1);
		expect_equal("in-calls", query(i + 1).crossings[KVM_GM_IN_CALL], 3);
	}
}

/* Two call through each other on two vCPUs, come back on the other one, and again. */
static void through_each_other(const struct attack *attack)
{
	unsigned int depth, round;

	(void)attack;
	start_all(2, &(struct setup) { .vcpus = 2 });
	for (round = 0; round < 4; round++) {
		for (depth = 0; depth < ACTIVATIONS; depth++) {
			call_out(cpu, depth % 2, STACK(0) - depth * FRAME);
			call_out(cpu2, (depth + 1) % 2, STACK(1) - depth * FRAME);
		}
		for (depth = 0; depth < 2; depth++) {
			turn_to(depth);
			expect_activations(ACTIVATIONS, 0);
			call_text(cpu, text_out, STACK(2), 0, 0);
			expect_violation(cpu, KVM_GM_V_LIMIT, GATE_JUMP, gate_va(GATE_JUMP),
					 STACK(2), .module = &victim);
		}
		for (depth = ACTIVATIONS; depth--; ) {
			come_back(cpu2, depth % 2, STACK(0) - depth * FRAME);
			come_back(cpu, (depth + 1) % 2, STACK(1) - depth * FRAME);
		}
	}
	expect_activations(0, 0);
}

const struct attack many_attacks[] = {
	{ "modules-31", 3, "31 modules, each of which calls the next, and all ways back: return",
	  all_at_once, NULL },
	{ "modules-through", 3, "two modules that call through each other on two vCPUs: limit",
	  through_each_other, NULL },
	{}
};
