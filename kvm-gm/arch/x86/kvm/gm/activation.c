// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: who has which activation (I3).
 *
 * An activation is one thread's stay in a module. It is found by the guest's
 * stack pointer, since threads sleep and move between vCPUs: by guest_sp, where
 * the thread came in, and while it is in an out-call also by out_sp, where it
 * will come back. No two have the same of either, so that none can be mistaken
 * for another; and whoever claims one takes it away from everybody else.
 *
 * A thread that dies inside or in an out-call leaves frames that other objects of
 * the module may point to. Its private stack is never used again, so that no
 * other thread's frames can be passed off as those.
 *
 * What every crossing does is in activation.h.
 */
#include "gm/activation.h"

int gm_alloc_activations(struct gm_seal *seal)
{
	u32 i;

	seal->acts = kvcalloc(seal->nr_acts, sizeof(*seal->acts), GFP_KERNEL_ACCOUNT);
	seal->act_bits = order_base_2(seal->nr_acts) + 2;
	seal->by_guest_sp = kvcalloc(1 << seal->act_bits, sizeof(*seal->by_guest_sp),
				     GFP_KERNEL_ACCOUNT);
	seal->by_out_sp = kvcalloc(1 << seal->act_bits, sizeof(*seal->by_out_sp),
				   GFP_KERNEL_ACCOUNT);
	if (seal->has_windows)
		seal->waiting = kvcalloc(1 << seal->act_bits, sizeof(*seal->waiting),
					 GFP_KERNEL_ACCOUNT);
	if (!seal->acts || !seal->by_guest_sp || !seal->by_out_sp ||
	    (seal->has_windows && !seal->waiting))
		return -ENOMEM;

	for (i = seal->nr_acts; i--; ) {
		struct gm_activation *act = &seal->acts[i];

		act->next_free = seal->free_acts;
		seal->free_acts = act;
		act->stack_top = seal->stack_va + (i + 1ULL) * seal->stack_size;
		act->top_page = page_address(gm_page_at(seal, act->stack_top - 1)->page);

		if (seal->has_fpu) {
			act->xsave = kzalloc(GM_XSAVE_SIZE, GFP_KERNEL_ACCOUNT);
			if (!act->xsave)
				return -ENOMEM;
		}
		if (!seal->has_windows)
			continue;
		act->shadow = kvzalloc(seal->stack_size, GFP_KERNEL_ACCOUNT);
		act->synced = bitmap_zalloc(seal->stack_size, GFP_KERNEL_ACCOUNT);
		act->windows = kcalloc(KVM_GM_MAX_DEPTH, sizeof(*act->windows),
				       GFP_KERNEL_ACCOUNT);
		if (!act->shadow || !act->synced || !act->windows)
			return -ENOMEM;
	}
	return 0;
}

void gm_free_activations(struct gm_seal *seal)
{
	u32 i;

	for (i = 0; i < seal->nr_acts && seal->acts; i++) {
		kvfree_sensitive(seal->acts[i].shadow, seal->stack_size);
		bitmap_free(seal->acts[i].synced);
		kfree(seal->acts[i].windows);
		kfree_sensitive(seal->acts[i].xsave);
	}
	kvfree(seal->by_guest_sp);
	kvfree(seal->by_out_sp);
	kvfree(seal->waiting);
	kvfree_sensitive(seal->acts, seal->nr_acts * sizeof(*seal->acts));
}

/* Nobody finds @act any more. */
void gm_lose(struct gm_seal *seal, struct gm_activation *act)
{
	lockdep_assert_held(&seal->act_lock);

	hlist_del(&act->by_guest_sp);
	if (act->state == GM_ACT_OUT)
		hlist_del(&act->by_out_sp);
	hlist_del_init(&act->waiting);
	WRITE_ONCE(act->state, GM_ACT_LOST);
}

/* The activation that waits further up on the guest stack of @act, if it still does. */
struct gm_activation *gm_outer(struct gm_activation *act)
{
	struct gm_activation *outer = act->outer;

	return outer && outer->state == GM_ACT_OUT && outer->out_sp == act->outer_sp ?
	       outer : NULL;
}

/*
 * The activation, if any, from which the guest came to call in with @act: its
 * out-call is the nearest further up on the stack. A guest that lies about this
 * has objects shared that may be at any time. False: there are too many, or with
 * too much; all of it is looked at in each crossing but those of events.
 */
bool gm_find_outer(struct gm_seal *seal, struct gm_activation *act)
{
	struct gm_budget budget = GM_OUTER_BUDGET;
	struct gm_activation *other;

	hlist_for_each_entry(other, gm_waiting_bucket(seal, act->guest_sp), waiting) {
		if (other->out_sp <= act->guest_sp ||
		    (other->out_sp ^ act->guest_sp) >> GM_GUEST_STACK_SHIFT ||
		    (act->outer && other->out_sp > act->outer_sp))
			continue;
		act->outer = other;
		act->outer_sp = other->out_sp;
	}
	for (other = gm_outer(act); other; other = gm_outer(other))
		if (!gm_afford(&budget, other))
			return false;
	return true;
}

/* The caller is inside in @act, and gives it up with frames on its stack. */
void gm_lose_activation(struct gm_seal *seal, struct gm_activation *act)
{
	raw_spin_lock(&seal->act_lock);
	gm_lose(seal, act);
	raw_spin_unlock(&seal->act_lock);
}

/* @act is saved: let a resume claim it. */
void gm_publish_event(struct gm_seal *seal, struct gm_activation *act)
{
	raw_spin_lock(&seal->act_lock);
	WRITE_ONCE(act->state, GM_ACT_EVENT);
	raw_spin_unlock(&seal->act_lock);
}

/* The activation that came in at @guest_sp and was interrupted, or NULL. */
struct gm_activation *gm_claim_event(struct gm_seal *seal, u64 guest_sp, bool fast)
{
	struct gm_activation *act;

	raw_spin_lock(&seal->act_lock);
	act = gm_find_by_guest_sp(gm_guest_bucket(seal, guest_sp), guest_sp);
	if (!act || act->state != GM_ACT_EVENT || (fast && !gm_fpu_idle(act, 0)))
		act = NULL;
	else
		WRITE_ONCE(act->state, GM_ACT_INSIDE);
	raw_spin_unlock(&seal->act_lock);
	return act;
}
