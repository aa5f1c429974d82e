/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the stack pointer is at each instruction, for verify_frames.c: in bytes
 * below the CFA, the address just above the function's return address.
 */
#ifndef GMCC_VERIFY_STACK_H
#define GMCC_VERIFY_STACK_H

#include "verify.h"

#define STACK_UNSET	INT32_MIN	/* nothing leads here */
#define STACK_UNKNOWN	INT32_MAX
#define STACK_ENTRY	8		/* of a function: the return address */
#define STACK_RSP	4		/* registers are numbered as the CPU does */
#define STACK_RBP	5
#define STACK_WORDS	32		/* below the CFA, whose content is followed */

/* How the CFA lies in 64 bytes: 8 times this, or anyhow. */
#define STACK_ALIGNMENTS	8
#define STACK_ANY		(-1)

struct stack_state {
	int32_t reg[16];		/* CFA - register */
	int32_t word[STACK_WORDS];	/* CFA - what is at CFA - 8 - 8n */
	int8_t zero;			/* the zero flag, -1: unknown */
	uint8_t original;		/* bit: a register still holds the caller's value */
	uint64_t saved;			/* bit n: such a value is at CFA - 16 - 8n */
};

struct stack_flow {
	int alignment;
	struct stack_state **states;	/* by region, instruction */
	uint32_t *todo_region, *todo_insn;
	size_t nr_todo;
};

static inline bool stack_known(int64_t distance)
{
	return distance != STACK_UNSET && distance != STACK_UNKNOWN;
}

void stack_follow_all(struct vimg *v, int alignment, struct stack_flow *f);

#endif /* GMCC_VERIFY_STACK_H */
