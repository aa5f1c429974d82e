// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: private stacks and the objects on them (I3, I5).
 *
 * A private stack lives in KVM's pages. At the same guest virtual address the
 * guest sees plain memory of its own, the mirror. A module passes `&local' to
 * the kernel, so at an out-call the shared windows of all live frames are
 * copied to the mirror, and at the in-return from it; return addresses and
 * saved registers are in no window (struct kvm_gm_frame).
 *
 * The kernel may write such an object at any time, also while the module runs
 * (a completion, a wait queue entry). So an out-call writes only the bytes
 * that the module changed since the mirror was last seen: `shadow' is what
 * the mirror then held, `synced' tells for which bytes.
 */
#include <linux/bsearch.h>

#include "gm/gm.h"

/* Where the word at @va of a private stack is, NULL if it is on none. */
u64 *gm_stack_word(struct gm_seal *seal, u64 va)
{
	u64 offset = va - seal->stack_va;
	struct gm_page *p;

	if (offset >= (u64)seal->nr_acts * seal->stack_size ||
	    !IS_ALIGNED(va, sizeof(u64)))
		return NULL;

	p = &seal->pages[seal->stack_first + (offset >> PAGE_SHIFT)];
	return page_address(p->page) + offset_in_page(va);
}

static int gm_cmp_frame(const void *key, const void *elt)
{
	const struct kvm_gm_frame *frame = elt;
	u64 ret = *(const u64 *)key;

	return ret < frame->ret ? -1 : ret > frame->ret;
}

/* Bytes of a private stack that lie in one page, and their mirror. */
struct gm_span {
	u8 *private;
	gpa_t gpa;		/* of the mirror */
	u32 len;
};

static struct gm_span gm_span(struct gm_seal *seal, u64 va, u32 len)
{
	u32 index = seal->stack_first + ((va - seal->stack_va) >> PAGE_SHIFT);
	u32 in = offset_in_page(va);

	return (struct gm_span) {
		.private = page_address(seal->pages[index].page) + in,
		.gpa = gfn_to_gpa(seal->gfns[index]) + in,
		.len = min_t(u32, len, PAGE_SIZE - in),
	};
}

static bool gm_byte_changed(struct gm_activation *act, u32 at, u8 now)
{
	return !test_bit(at, act->synced) || act->shadow[at] != now;
}

/* Write to the mirror what the module changed in [@va, @va + @len). */
static bool gm_share(struct kvm_vcpu *vcpu, u64 va, u32 len)
{
	struct gm_activation *act = vcpu->arch.gm.act;
	struct gm_seal *seal = vcpu->arch.gm.seal;
	u32 at = va - (gm_stack_top(seal, act) - seal->stack_size);

	while (len) {
		struct gm_span span = gm_span(seal, va, len);
		u32 i = 0, n;

		while (i < span.len) {
			for (n = 0; i + n < span.len; n++)
				if (!gm_byte_changed(act, at + i + n, span.private[i + n]))
					break;
			if (n && kvm_vcpu_write_guest(vcpu, span.gpa + i,
						      span.private + i, n))
				return false;
			i += n + 1;
		}
		memcpy(&act->shadow[at], span.private, span.len);
		bitmap_set(act->synced, at, span.len);
		va += span.len;
		at += span.len;
		len -= span.len;
	}
	return true;
}

/* Take over what the mirror holds in [@va, @va + @len). */
static bool gm_collect(struct kvm_vcpu *vcpu, u64 va, u32 len)
{
	struct gm_activation *act = vcpu->arch.gm.act;
	struct gm_seal *seal = vcpu->arch.gm.seal;
	u32 at = va - (gm_stack_top(seal, act) - seal->stack_size);

	while (len) {
		struct gm_span span = gm_span(seal, va, len);

		if (kvm_vcpu_read_guest(vcpu, span.gpa, span.private, span.len))
			return false;
		memcpy(&act->shadow[at], span.private, span.len);
		va += span.len;
		at += span.len;
		len -= span.len;
	}
	return true;
}

typedef bool (*gm_window_fn)(struct kvm_vcpu *vcpu, u64 va, u32 len);

/*
 * Call @fn for the window of every live frame of the current activation, the
 * innermost first. The stack pointer is at the innermost return address.
 */
static bool gm_walk_windows(struct kvm_vcpu *vcpu, u64 sp, gm_window_fn fn)
{
	struct gm_activation *act = vcpu->arch.gm.act;
	struct gm_seal *seal = vcpu->arch.gm.seal;
	u64 last = seal->gates[seal->out_return].insn;
	u64 floor = gm_stack_top(seal, act) - seal->stack_size;
	int depth;

	for (depth = 0; depth < KVM_GM_MAX_DEPTH; depth++) {
		struct kvm_gm_frame *frame;
		u64 *ret;

		if (sp < floor || sp >= act->top_sp)
			return false;
		ret = gm_stack_word(seal, sp);
		if (!ret)
			return false;
		if (*ret == last)
			return sp + 8 == act->top_sp;

		frame = bsearch(ret, seal->frames, seal->nr_frames,
				sizeof(*frame), gm_cmp_frame);
		if (!frame)
			return false;

		sp += 8;
		if (frame->size > act->top_sp - sp)
			return false;
		if (frame->window_len && !fn(vcpu, sp + frame->window, frame->window_len))
			return false;
		sp += frame->size;
	}
	return false;
}

bool gm_share_windows(struct kvm_vcpu *vcpu)
{
	return !vcpu->arch.gm.seal->has_windows ||
	       gm_walk_windows(vcpu, kvm_rsp_read(vcpu), gm_share);
}

bool gm_collect_windows(struct kvm_vcpu *vcpu)
{
	return !vcpu->arch.gm.seal->has_windows ||
	       gm_walk_windows(vcpu, kvm_rsp_read(vcpu), gm_collect);
}
