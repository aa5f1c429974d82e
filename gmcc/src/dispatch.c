// SPDX-License-Identifier: GPL-2.0
/*
 * Calls through a pointer that lead to a function of the module's own stay inside.
 *
 * A pointer to such a function is the address of its gate. Left to KVM, a call through
 * it is a call out, to a gate that leads in again: four crossings. So a stub for a
 * register asks first whether what is in it is one of the module's own gates, by a
 * search among their addresses, which are in order, and jumps to the function if so:
 *
 *	stub:	mov %reg,%r11
 *		jmp range
 *	out:	hypercall; ret
 *	range:	cmp $first gate,%r11; jb out
 *		cmp $last gate,%r11; ja out
 *		jmp search
 *	search:	cmp $gate,%r11; je function; ja the upper half
 *		the lower half ...; jmp miss
 *	miss:	hypercall; ret
 *
 * Keeps I1: only what has a gate can be reached, and that whole. Init and exit are left
 * to KVM, which counts them, as are functions with arguments on the stack: such a
 * function may write there, and the caller may have something else in that place.
 * Keeps I3: the jump is a tail call on the caller's own private stack.
 */
#include <string.h>

#include "gmcc.h"

#define OUT_OFFSET	8	/* of the hypercall, in a slot */
#define RANGE_SIZE	32

struct code {
	uint8_t *data;		/* NULL: only measured */
	uint64_t at;
	struct obj *o;
};

static struct stub *miss;	/* NULL: nothing to search for */
static uint64_t ranges;		/* offset of the first in .gm.stubs */

static bool by_register(const struct stub *st)
{
	return !st->target && !st->fixed_words && st != miss;
}

static bool is_reachable(const struct gate *g)
{
	return !g->flags && func_at(g->sec, g->off) && !func_at(g->sec, g->off)->lends_args;
}

void dispatch_plan(struct obj *o)
{
	bool calls = false, targets = false;

	miss = NULL;
	for (size_t i = 0; i < o->nr_stubs; i++)
		calls |= by_register(o->stubs[i]);
	for (size_t i = 0; i < o->nr_gates; i++)
		targets |= is_reachable(o->gates[i]);
	if (!calls || !targets)
		return;
	for (size_t i = 0; i < o->nr_stubs; i++)
		if (by_register(o->stubs[i]))
			o->stubs[i]->insn = o->stubs[i]->slot + OUT_OFFSET;
	miss = stub_new(o, "entry");
	miss->fixed_words = true;
}

static void put(struct code *c, const void *bytes, size_t len)
{
	if (c->data)
		memcpy(c->data + c->at, bytes, len);
	c->at += len;
}

/* To another place in .gm.stubs. */
static void put_jump(struct code *c, const uint8_t *op, size_t len, uint64_t to)
{
	uint32_t distance = to - (c->at + len + 4);

	put(c, op, len);
	put(c, &distance, 4);
}

static void put_rel(struct code *c, uint32_t type, struct sym *y, int64_t addend)
{
	static const uint8_t zero[4];
	struct sec *s = c->o->s_stubs;

	if (c->data) {
		s->rels = xgrow(s->rels, s->nr_rels, sizeof(*s->rels));
		s->rels[s->nr_rels++] = (struct rel){ .off = c->at, .type = type, .sym = y, .addend = addend };
	}
	put(c, zero, 4);
}

static void put_compare(struct code *c, const struct gate *g)
{
	static const uint8_t cmp[] = { 0x49, 0x81, 0xfb };

	put(c, cmp, sizeof(cmp));
	put_rel(c, R_X86_64_32S, g->sym, 0);
}

static const uint8_t jmp[] = { 0xe9 }, jb[] = { 0x0f, 0x82 }, je[] = { 0x0f, 0x84 }, ja[] = { 0x0f, 0x87 };

static void put_search(struct code *c, size_t from, size_t to)
{
	size_t mid = from + (to - from) / 2;
	const struct gate *g;
	uint64_t branch, upper;

	if (from == to) {
		put_jump(c, jmp, sizeof(jmp), miss->slot);
		return;
	}
	g = c->o->gates[mid];
	put_compare(c, g);
	put(c, je, sizeof(je));
	put_rel(c, R_X86_64_PC32, is_reachable(g) ? func_at(g->sec, g->off) : miss->sym, -4);
	branch = c->at;
	put_jump(c, ja, sizeof(ja), 0);
	put_search(c, from, mid);
	upper = c->at;
	if (mid + 1 == to) {
		upper = miss->slot;
	} else {
		put_search(c, mid + 1, to);
	}
	if (c->data) {
		uint32_t distance = upper - (branch + 6);

		memcpy(c->data + branch + 2, &distance, 4);
	}
}

static size_t nr_ranges(const struct obj *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->nr_stubs; i++)
		n += by_register(o->stubs[i]);
	return n;
}

uint64_t dispatch_size(struct obj *o, uint64_t slots)
{
	struct code c = { .at = slots, .o = o };

	ranges = slots;
	if (!miss)
		return slots;
	c.at += nr_ranges(o) * RANGE_SIZE;
	put_search(&c, 0, o->nr_gates);
	return c.at;
}

void dispatch_write(struct obj *o)
{
	struct code c = { .data = o->s_stubs->data, .at = ranges, .o = o };
	uint64_t search = ranges + nr_ranges(o) * RANGE_SIZE;

	if (!miss)
		return;
	for (size_t i = 0; i < o->nr_stubs; i++) {
		const struct stub *st = o->stubs[i];
		struct code slot = { .data = c.data, .at = st->slot + 3, .o = o };
		uint64_t range = c.at;

		if (!by_register(st))
			continue;
		if (!strcmp(st->name, "r11"))
			slot.at = st->slot;
		put_jump(&slot, jmp, sizeof(jmp), range);
		put_compare(&c, o->gates[0]);
		put_jump(&c, jb, sizeof(jb), st->insn);
		put_compare(&c, o->gates[o->nr_gates - 1]);
		put_jump(&c, ja, sizeof(ja), st->insn);
		put_jump(&c, jmp, sizeof(jmp), search);
		c.at = range + RANGE_SIZE;
	}
	put_search(&c, 0, o->nr_gates);
	obj_symbol(o, "gm_dispatch", STT_FUNC, o->s_stubs, ranges, c.at - ranges);
}

/* By then it is known which functions have arguments on the stack. */
void dispatch_finish(struct obj *o)
{
	struct sec *s = o->s_stubs;

	if (!miss)
		return;
	for (size_t i = 0; i < s->nr_rels; i++) {
		const struct sym *f = s->rels[i].sym;

		if (s->rels[i].type == R_X86_64_PC32 && f != miss->sym && f->incoming)
			s->rels[i].sym = miss->sym;
	}
	for (size_t i = 0; i < o->nr_stubs; i++)
		if (by_register(o->stubs[i]) && o->stubs[i]->stack_words > miss->stack_words)
			miss->stack_words = o->stubs[i]->stack_words;
}
