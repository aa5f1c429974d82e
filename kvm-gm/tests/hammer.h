/* SPDX-License-Identifier: GPL-2.0 */
/*
 * raw-hammer: random and exhaustive trouble for our KVM, at length, where
 * raw-attacks tries one thing at a time. A way to hammer is a row of the table in
 * hammer.c; it runs rounds, each with virtual machines of its own (attack.h has the
 * scene), and what it finds ends the program with the seed that leads there.
 */
#ifndef GM_TESTS_HAMMER_H
#define GM_TESTS_HAMMER_H

#include "attack.h"

struct random {
	uint64_t state;
};

uint64_t draw(struct random *random);
/* 0..@n - 1 */
static inline uint64_t below(struct random *random, uint64_t n)
{
	return draw(random) % n;
}

/* True once in @n times. */
static inline bool rarely(struct random *random, uint64_t n)
{
	return !below(random, n);
}

#define pick(random, array)	((array)[below(random, sizeof(array) / sizeof((array)[0]))])

#define TO_THE_END	(~0ULL)

struct hammer {
	uint64_t runs;			/* at least so many; TO_THE_END: until there are no more */
	double seconds;			/* unless so much time is over, 0: no limit */
	uint64_t seed;
	struct random random;
	uint64_t done;
};

/* Is there more to do? Tells every few seconds how far it is. */
bool go_on(struct hammer *hammer);

/* What happened how often, for the summary. */
void tally(const char *what, uint64_t times);

/* A timer of the calling thread's interrupts its KVM_RUN every so many microseconds; 0: no more. */
void interrupt_every(unsigned int usec);

/* In order: what to hammer. Each returns when go_on() says so. */
void fuzz_ioctls(struct hammer *hammer);
void fuzz_gates(struct hammer *hammer);
void cycle_machines(struct hammer *hammer);
void fail_allocations(struct hammer *hammer);
void send_signals(struct hammer *hammer);

/*
 * The calls of a machine's life (calls.c): the name of step @i, NULL after the last;
 * what comes before it; the call itself, 0 or a negative errno.
 */
const char *step_name(unsigned int i);
void begin_steps(void);
void prepare_step(unsigned int i);
int make_step(unsigned int i);
void end_steps(void);

/* Let @vcpu arrive at some gate, or elsewhere, with some state; run it to its next exit (fuzz_gate.c). */
void run_somewhere(struct vcpu *vcpu, struct random *random);

#endif /* GM_TESTS_HAMMER_H */
