/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One call of the victim that passes every gate but the resume gate, brought from
 * each instruction to the next, in the module and in the kernel alike, by the
 * debugger's steps. Between two of them nobody debugs the vCPU, and the test does
 * what it likes.
 */
#ifndef GM_TESTS_WALK_H
#define GM_TESTS_WALK_H

#include "attack.h"

struct walk {
	struct vcpu *vcpu;
	uint64_t sp;		/* at which the kernel calls the victim */
	bool called_out;	/* the kernel's function has halted, and is about to return */
	unsigned int position;	/* instructions before this one */
	uint64_t rip;
};

#define WALK_RESULT	0x1234
/* Instructions of the call: fewer, and it was none. */
#define WALK_LEAST	45

/* The debugger's step, which takes a gate for one instruction; where it ends. */
uint64_t step(struct vcpu *vcpu);
/*
 * The same over the gate where the vCPU is, without TF, for which Bochs, other than a
 * CPU, has #DB pending beyond.
 */
uint64_t cross(struct vcpu *vcpu);
/* Steps, one at least, to that instruction. */
void step_to(struct vcpu *vcpu, uint64_t va);

/* The kernel is about to call the victim, whose memory is all mapped. */
void walk_begin(struct walk *walk, struct vcpu *vcpu, uint64_t sp);
/* The same, @position instructions later; false: the victim has returned before. */
bool walk_begin_at(struct walk *walk, struct vcpu *vcpu, uint64_t sp, unsigned int position);
/* On to the next instruction; false: the victim has returned to kernel_halt. */
bool walk_on(struct walk *walk);
bool walk_is_inside(const struct walk *walk);
/* It stands at a gate for the way in. */
bool walk_is_at_way_in(const struct walk *walk);
/* As the kernel's function returns; interrupts stay enabled. */
void walk_callee_returns(struct walk *walk);
/* It runs on undisturbed to the end, and all is as it should be. */
void walk_end(struct walk *walk);

#endif /* GM_TESTS_WALK_H */
