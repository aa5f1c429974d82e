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

/* The same of @act's own stack, whose last page has the most of what is used. */
static __always_inline u64 *gm_own_word(struct gm_seal *seal, struct gm_activation *act, u64 va)
{
	u64 below = act->stack_top - va;

	if (likely(below <= PAGE_SIZE && IS_ALIGNED(va, sizeof(u64))))
		return (u64 *)(act->top_page + PAGE_SIZE - below);
	return gm_stack_word(seal, va);
}

/* So that each return address is found at once: a table of indices, at most half full. */
int gm_hash_frames(struct gm_seal *seal)
{
	u32 i, at;

	seal->ret_bits = order_base_2(seal->nr_frames) + 1;
	seal->by_ret = kvcalloc(1 << seal->ret_bits, sizeof(*seal->by_ret), GFP_KERNEL_ACCOUNT);
	if (!seal->by_ret)
		return -ENOMEM;

	for (i = 0; i < seal->nr_frames; i++) {
		at = gm_hash(seal->frames[i].ret, &seal->hash, seal->ret_bits);
		while (seal->by_ret[at])
			at = (at + 1) & ((1 << seal->ret_bits) - 1);
		seal->by_ret[at] = i + 1;
	}
	return 0;
}

static __always_inline struct kvm_gm_frame *gm_find_frame(struct gm_seal *seal, u64 ret)
{
	u32 at = gm_hash(ret, &seal->hash, seal->ret_bits);

	for (; seal->by_ret[at]; at = (at + 1) & ((1 << seal->ret_bits) - 1)) {
		struct kvm_gm_frame *frame = &seal->frames[seal->by_ret[at] - 1];

		if (frame->ret == ret)
			return frame;
	}
	return NULL;
}

/* Bytes of a private stack that lie in one page, and their mirror. */
struct gm_span {
	u8 *private;
	u8 *mirror;
	u32 len;
};

static struct gm_span gm_span(struct gm_seal *seal, struct gm_activation *act, u32 at, u32 len)
{
	u64 first = (act - seal->acts) * (seal->stack_size >> PAGE_SHIFT);
	struct gm_page *p = &seal->pages[seal->stack_first + first + (at >> PAGE_SHIFT)];
	u32 in = offset_in_page(at);

	return (struct gm_span) {
		.private = page_address(p->page) + in,
		.mirror = page_address(p->mirror) + in,
		.len = min_t(u32, len, PAGE_SIZE - in),
	};
}

/* Write to the mirror what the module changed in the window. */
static void gm_share(struct gm_seal *seal, struct gm_activation *act, struct gm_window window)
{
	u32 at = window.at, end = window.at + window.len;

	act->shared = true;
	while (at < end) {
		struct gm_span span = gm_span(seal, act, at, end - at);
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
		at += span.len;
	}
}

/*
 * Take over what the guest changed in the mirror of the window. It may be writing
 * to it: what is remembered is what the module is given. What it left alone may be
 * newer on the private stack: the module itself writes there, in calls that it gets
 * before this one returns.
 */
static void gm_collect(struct gm_seal *seal, struct gm_activation *act, struct gm_window window)
{
	u32 at = window.at, end = window.at + window.len;

	while (at < end) {
		struct gm_span span = gm_span(seal, act, at, end - at);
		u32 i;

		for (i = 0; i < span.len; i++) {
			u8 byte = READ_ONCE(span.mirror[i]);

			if (byte != act->shadow[at + i]) {
				span.private[i] = byte;
				act->shadow[at + i] = byte;
			}
		}
		at += span.len;
	}
}

/*
 * Find the windows of all live frames of @act; @sp is at the innermost return
 * address. False: there is a return address that the image does not know, or no end
 * within the stack.
 */
static bool gm_find_windows(struct gm_seal *seal, struct gm_activation *act, u64 sp)
{
	u64 bottom = act->stack_top - seal->stack_size;
	u64 last = seal->out_return;
	int depth;

	act->nr_windows = 0;
	act->window_bytes = 0;
	for (depth = 0; depth < KVM_GM_MAX_DEPTH; depth++) {
		struct kvm_gm_frame *frame;
		u64 *word, ret;

		if (sp < bottom + PAGE_SIZE || sp >= act->top_sp)
			return false;
		word = gm_own_word(seal, act, sp);
		if (!word)
			return false;
		/* Other threads of the module may be writing here. */
		ret = READ_ONCE(*word);
		if (ret == last)
			return sp + 8 == act->top_sp;

		frame = gm_find_frame(seal, ret);
		if (!frame)
			return false;

		sp += 8;
		if (frame->size > act->top_sp - sp)
			return false;
		if (frame->window_len) {
			act->windows[act->nr_windows++] = (struct gm_window) {
				.at = sp + frame->window - bottom,
				.len = frame->window_len,
			};
			act->window_bytes += frame->window_len;
		}
		sp += frame->size;
	}
	return false;
}

static void gm_share_found(struct gm_seal *seal, struct gm_activation *act)
{
	u32 i;

	for (i = 0; i < act->nr_windows; i++)
		gm_share(seal, act, act->windows[i]);
}

static void gm_collect_found(struct gm_seal *seal, struct gm_activation *act)
{
	u32 i;

	for (i = 0; i < act->nr_windows; i++)
		gm_collect(seal, act, act->windows[i]);
}

/* At an out-call with the private stack pointer @sp, of a module with windows. */
bool gm_share_windows(struct gm_seal *seal, struct gm_activation *act, u64 sp)
{
	if (!gm_find_windows(seal, act, sp))
		return false;
	gm_share_found(seal, act);
	return true;
}

/* At the in-return from it: the same frames are there. */
void gm_collect_windows(struct gm_seal *seal, struct gm_activation *act)
{
	gm_collect_found(seal, act);
}

/*
 * For the activations that wait further up on the guest's stack. They stay where
 * they are as long as the lock is held: nobody claims them, so nobody changes
 * their frames. There are more than may be when one has ended and begun anew, with
 * others above it, while this one waited below; no stack does that, and the rest
 * is not looked at.
 */
static void gm_walk_outer(struct gm_seal *seal, struct gm_activation *act,
			  void (*fn)(struct gm_seal *seal, struct gm_activation *act))
{
	struct gm_budget budget = GM_OUTER_BUDGET;

	raw_spin_lock(&seal->act_lock);
	for (act = gm_outer(act); act && gm_afford(&budget, act); act = gm_outer(act))
		fn(seal, act);
	raw_spin_unlock(&seal->act_lock);
}

/* When @act, which has been called by a callee of others, leaves ... */
void gm_share_outer(struct gm_seal *seal, struct gm_activation *act)
{
	gm_walk_outer(seal, act, gm_share_found);
}

/* ... and when it enters. */
void gm_collect_outer(struct gm_seal *seal, struct gm_activation *act)
{
	gm_walk_outer(seal, act, gm_collect_found);
}
