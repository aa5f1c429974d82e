/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the stack pointer is at each call, for verify_frames.c: in bytes below
 * the CFA, the address just above the function's return address.
 *
 * verify_stack.c knows what one instruction does to what is known, verify_flow.c
 * which instructions follow one another.
 */
#ifndef GMCC_VERIFY_STACK_H
#define GMCC_VERIFY_STACK_H

#include "verify.h"

#define STACK_UNKNOWN	INT32_MAX
#define STACK_ENTRY	8		/* of a function: the return address */
/* Below that a frame may reach over the guard page. */
#define STACK_DEEPEST	((int32_t)(STACK_ENTRY + GM_STACK_GUARD * GM_PAGE))
#define STACK_RSP	4		/* registers are numbered as the CPU does */
#define STACK_RBP	5
#define STACK_WORDS	32		/* below the CFA, whose content is followed */

/* How the CFA lies in 64 bytes: 8 times this, or anyhow. */
#define STACK_ALIGNMENTS	8
#define STACK_ANY		(-1)

struct stack_state {
	int32_t reg[16];		/* CFA - register */
	int32_t word[STACK_WORDS];	/* CFA - what is at CFA - 8 - 8n */
	uint64_t saved;			/* bit n: a caller's value may be at CFA - 16 - 8n */
	int8_t zero;			/* the zero flag, -1: unknown */
	uint8_t original;		/* bit: a register surely holds the caller's value */
	bool reached;			/* else nothing leads here, and nothing is known */
};

static inline bool stack_known(int64_t distance)
{
	return distance != STACK_UNKNOWN;
}

/* verify_stack.c: at a function's start; behind an instruction; from two sides */
void stack_enter(struct stack_state *st);
void stack_step(int alignment, const struct stack_op *op, struct stack_state *st);
void stack_call(const struct gm_frame *fr, struct stack_state *st);	/* fr: NULL if none */
bool stack_join(struct stack_state *to, const struct stack_state *from);	/* true: news */

/* verify_flow.c */
struct stack_at {
	bool reached;
	int32_t sp;
	uint64_t saved;
};

/* At one call: with a CFA aligned anyhow; if that does not tell, with each (else NULL). */
struct stack_call {
	struct stack_at any, *aligned;
};

/* All calls, in the order of regions and instructions. */
struct stack_call *stack_follow_all(struct vimg *v);

#endif /* GMCC_VERIFY_STACK_H */
