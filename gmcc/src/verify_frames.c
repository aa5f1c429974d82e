// SPDX-License-Identifier: GPL-2.0
/*
 * The frames table: exactly one row per call in text, and each row right.
 *
 * Proves I3 and I5 for stacks, by what verify_stack.c finds: the row of a call
 * says how far the return address is from the stack pointer there, and its
 * shared window holds neither that nor a register that was saved for the caller.
 * Where the stack pointer was aligned, the distance depends on how the caller
 * was; then it must be the same for every such caller that comes to the call.
 */
#include "verify.h"
#include "verify_stack.h"

/* By what is known at a call: false if nothing leads there, or it does not tell. */
static bool check_state(struct vimg *v, const struct vsec *s, const struct vinsn *n,
			const struct gm_frame *fr, const struct stack_at *at)
{
	if (!at->reached || !stack_known(at->sp))
		return false;
	if (at->sp - STACK_ENTRY != (int64_t)fr->size) {
		finding(v, "frame", s, n->off,
			"the frame has %d bytes below the return address, the manifest says %u.",
			at->sp - STACK_ENTRY, fr->size);
		return true;
	}
	for (int k = 0; fr->window_len && (uint32_t)fr->window + fr->window_len <= fr->size && k < 64; k++) {
		int64_t to = at->sp - 16 - 8 * k;	/* from the stack pointer */

		if (at->saved >> k & 1 && to + 8 > fr->window && to < fr->window + fr->window_len) {
			finding(v, "frame", s, n->off,
				"the shared window (%u bytes at +%u) holds a saved register at +%lld.",
				fr->window_len, fr->window, (long long)to);
			break;
		}
	}
	return true;
}

/* By every alignment of the caller's that leads here. */
static bool check_alignments(struct vimg *v, const struct vsec *s, const struct vinsn *n,
			     const struct gm_frame *fr, const struct stack_call *call)
{
	bool any = false;

	for (int c = 0; call->aligned && c < STACK_ALIGNMENTS; c++) {
		size_t before = v->nr_findings;

		if (!call->aligned[c].reached)
			continue;
		if (!check_state(v, s, n, fr, &call->aligned[c]))
			return false;
		if (v->nr_findings != before)
			return true;
		any = true;
	}
	return any;
}

static void check_frame(struct vimg *v, const struct stack_call *call, const struct vsec *s,
			const struct vinsn *n, const struct gm_frame *fr)
{
	if (fr->size % 8)
		finding(v, "frame", s, n->off, "a frame of %u bytes is not whole words.", fr->size);
	if ((uint32_t)fr->window + fr->window_len > fr->size)
		finding(v, "frame", s, n->off, "the shared window reaches the return address.");
	if (check_state(v, s, n, fr, &call->any) || check_alignments(v, s, n, fr, call))
		v->proof.frames++;
	else
		finding(v, "frame", s, n->off, "no way to this call tells how large the frame is.");
}

/* The rows of one section and its calls, side by side. */
static uint32_t check_section(struct vimg *v, const struct stack_call **calls, const struct vsec *s,
			      uint32_t next)
{
	const uint32_t nr = v->man->frames.count;

	while (next < nr && v->frames[next].region < (uint32_t)s->region)
		finding(v, "frame", s, 0, "row %u of the frames is out of order, or in no text.", next++);
	for (size_t i = 0; i < s->nr_insns; i++) {
		const struct vinsn *n = &s->insns[i];
		const struct stack_call *call;
		const struct gm_frame *fr;

		if (n->kind != V_CALL)
			continue;
		call = (*calls)++;
		for (; next < nr && v->frames[next].region == (uint32_t)s->region &&
		     v->frames[next].offset < n->off + n->len; next++)
			finding(v, "frame", s, v->frames[next].offset, "a frame behind no call.");
		fr = &v->frames[next];
		if (next >= nr || fr->region != (uint32_t)s->region || fr->offset != n->off + n->len) {
			finding(v, "frame", s, n->off, "a call without a frame.");
			continue;
		}
		check_frame(v, call, s, n, fr);
		next++;
	}
	for (; next < nr && v->frames[next].region == (uint32_t)s->region; next++)
		finding(v, "frame", s, v->frames[next].offset, "a frame behind no call.");
	return next;
}

void verify_frames(struct vimg *v)
{
	const struct stack_call *calls = stack_follow_all(v);
	uint32_t next = 0;

	for (uint32_t i = 0; i < v->man->regions.count; i++)
		if (v->region_secs[i] && v->region_secs[i]->nr_insns)
			next = check_section(v, &calls, v->region_secs[i], next);
	if (next < v->man->frames.count)
		finding(v, "frame", vsec_find(v, GM_SECTION_MANIFEST), v->man->frames.offset,
			"row %u of the frames is out of order, or in no text.", next);
}
