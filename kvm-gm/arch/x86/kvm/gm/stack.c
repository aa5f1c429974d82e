// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: private stacks and the objects on them (I3, I5).
 *
 * A private stack lives in KVM's pages. At the same guest virtual address the
 * guest sees other pages of KVM's, the mirror, which it may use as it likes. So
 * copying between the two touches no guest memory and cannot fail. A module passes `&local' to
 * the kernel, so at an out-call the shared windows of all live frames are
 * copied to the mirror, and at the in-return from it; return addresses and
 * saved registers are in no window (struct kvm_gm_frame).
 *
 * The kernel may write such an object at any time, also while the module runs
 * (a completion, a wait queue entry). So an out-call writes only the bytes
 * that the module changed since the mirror was last seen: `shadow' is what
 * the mirror then held, `synced' tells for which bytes.
 *
 * What a thread calls out for may call in again, in an activation of its own (a
 * callback). That one may use objects of the frames that wait further up, the
 * outer ones, and so they are shared and collected at its crossings, too.
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

static __always_inline int gm_compare_frame(const void *key, const void *elem)
{
	u64 ret = *(const u64 *)key;
	const struct kvm_gm_frame *frame = elem;

	return ret < frame->ret ? -1 : ret > frame->ret;
}

static struct kvm_gm_frame *gm_find_frame(struct gm_seal *seal, u64 ret)
{
	return __inline_bsearch(&ret, seal->frames, seal->nr_frames,
				sizeof(*seal->frames), gm_compare_frame);
}

/* Bytes of a private stack that lie in one page, and their mirror. */
struct gm_span {
	u8 *private;
	u8 *mirror;
	u32 len;
};

static struct gm_span gm_span(struct gm_seal *seal, u64 va, u32 len)
{
	struct gm_page *p = &seal->pages[seal->stack_first +
					 ((va - seal->stack_va) >> PAGE_SHIFT)];
	u32 in = offset_in_page(va);

	return (struct gm_span) {
		.private = page_address(p->page) + in,
		.mirror = page_address(p->mirror) + in,
		.len = min_t(u32, len, PAGE_SIZE - in),
	};
}

/* Write to the mirror what the module changed in [@va, @va + @len). */
static void gm_share(struct gm_seal *seal, struct gm_activation *act, u64 va, u32 len)
{
	u32 at = va - (act->stack_top - seal->stack_size);

	act->shared = true;
	while (len) {
		struct gm_span span = gm_span(seal, va, len);
		u32 i;

		/* Other threads of the module may be writing here. */
		for (i = 0; i < span.len; i++) {
			u8 byte = READ_ONCE(span.private[i]);

			if (test_bit(at + i, act->synced) && act->shadow[at + i] == byte)
				continue;
			WRITE_ONCE(span.mirror[i], byte);
			act->shadow[at + i] = byte;
		}
		bitmap_set(act->synced, at, span.len);
		va += span.len;
		at += span.len;
		len -= span.len;
	}
}

/*
 * Take over what the guest changed in the mirror of [@va, @va + @len). It may
 * be writing to it: what is remembered is what the module is given. What it
 * left alone may be newer on the private stack: the module itself writes there,
 * in calls that it gets before this one returns.
 */
static void gm_collect(struct gm_seal *seal, struct gm_activation *act, u64 va, u32 len)
{
	u32 at = va - (act->stack_top - seal->stack_size);

	while (len) {
		struct gm_span span = gm_span(seal, va, len);
		u32 i;

		for (i = 0; i < span.len; i++) {
			u8 byte = READ_ONCE(span.mirror[i]);

			if (byte != act->shadow[at + i]) {
				span.private[i] = byte;
				act->shadow[at + i] = byte;
			}
		}

		va += span.len;
		at += span.len;
		len -= span.len;
	}
}

typedef void (*gm_window_fn)(struct gm_seal *seal, struct gm_activation *act,
			     u64 va, u32 len);

/*
 * Call @fn for the window of every live frame of @act, the innermost first.
 * @sp is at the innermost return address. Returns how many bytes the windows
 * have, or -EINVAL: there is a return address that the image does not know, or no
 * end within the stack.
 */
static int gm_walk_windows(struct gm_seal *seal, struct gm_activation *act, u64 sp,
			   gm_window_fn fn)
{
	u64 last = seal->out_return;
	u64 floor = act->stack_top - seal->stack_size + PAGE_SIZE;
	int depth, bytes = 0;

	for (depth = 0; depth < KVM_GM_MAX_DEPTH; depth++) {
		struct kvm_gm_frame *frame;
		u64 *ret;

		if (sp < floor || sp >= act->top_sp)
			return -EINVAL;
		ret = gm_stack_word(seal, sp);
		if (!ret)
			return -EINVAL;
		if (*ret == last)
			return sp + 8 == act->top_sp ? bytes : -EINVAL;

		frame = gm_find_frame(seal, *ret);
		if (!frame)
			return -EINVAL;

		sp += 8;
		if (frame->size > act->top_sp - sp)
			return -EINVAL;
		if (frame->window_len)
			fn(seal, act, sp + frame->window, frame->window_len);
		bytes += frame->window_len;
		sp += frame->size;
	}
	return -EINVAL;
}

/* At an out-call with the private stack pointer @sp, of a module with windows. */
bool gm_share_windows(struct gm_seal *seal, struct gm_activation *act, u64 sp)
{
	int bytes = gm_walk_windows(seal, act, sp, gm_share);

	if (bytes < 0)
		return false;
	act->window_bytes = bytes;
	return true;
}

/* At the in-return from it, with the same @sp: the same frames are there. */
void gm_collect_windows(struct gm_seal *seal, struct gm_activation *act, u64 sp)
{
	gm_walk_windows(seal, act, sp, gm_collect);
}

/*
 * For the activations that wait further up on the guest's stack. They stay where
 * they are as long as the lock is held: nobody claims them, so nobody changes
 * their frames. There are more than may be when one has ended and begun anew, with
 * others above it, while this one waited below; no stack does that, and the rest
 * is not looked at.
 */
static void gm_walk_outer(struct gm_seal *seal, struct gm_activation *act, gm_window_fn fn)
{
	struct gm_budget budget = GM_OUTER_BUDGET;

	raw_spin_lock(&seal->act_lock);
	for (act = gm_outer(act); act && gm_afford(&budget, act); act = gm_outer(act))
		gm_walk_windows(seal, act, act->regs[VCPU_REGS_RSP], fn);
	raw_spin_unlock(&seal->act_lock);
}

/* When @act, which has been called by a callee of others, leaves ... */
void gm_share_outer(struct gm_seal *seal, struct gm_activation *act)
{
	gm_walk_outer(seal, act, gm_share);
}

/* ... and when it enters. */
void gm_collect_outer(struct gm_seal *seal, struct gm_activation *act)
{
	gm_walk_outer(seal, act, gm_collect);
}
