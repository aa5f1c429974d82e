/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guarded modules: what every crossing does with activations (I3), see
 * activation.c. Inline, since calls would be a tenth of a crossing.
 */
#ifndef __KVM_X86_GM_ACTIVATION_H
#define __KVM_X86_GM_ACTIVATION_H

#include "gm/gm.h"

#define GM_GUEST_STACK_SHIFT	14	/* THREAD_SIZE of distribution kernels */

void gm_lose(struct gm_seal *seal, struct gm_activation *act);
bool gm_find_outer(struct gm_seal *seal, struct gm_activation *act);

static __always_inline struct hlist_head *gm_guest_bucket(struct gm_seal *seal, u64 sp)
{
	return &seal->by_guest_sp[gm_hash(sp, &seal->hash, seal->act_bits)];
}

static __always_inline struct hlist_head *gm_out_bucket(struct gm_seal *seal, u64 sp)
{
	return &seal->by_out_sp[gm_hash(sp, &seal->hash, seal->act_bits)];
}

/* Those that wait on one guest stack share a bucket. */
static __always_inline struct hlist_head *gm_waiting_bucket(struct gm_seal *seal, u64 sp)
{
	return &seal->waiting[gm_hash(sp >> GM_GUEST_STACK_SHIFT, &seal->hash, seal->act_bits)];
}

static __always_inline struct gm_activation *gm_find_by_guest_sp(struct hlist_head *bucket,
								 u64 sp)
{
	struct gm_activation *act;

	hlist_for_each_entry(act, bucket, by_guest_sp)
		if (act->guest_sp == sp)
			return act;
	return NULL;
}

static __always_inline struct gm_activation *gm_find_by_out_sp(struct hlist_head *bucket,
							       u64 sp)
{
	struct gm_activation *act;

	hlist_for_each_entry(act, bucket, by_out_sp)
		if (act->out_sp == sp)
			return act;
	return NULL;
}

/*
 * For a thread that calls in at @guest_sp; the caller fills in the rest. If
 * another activation came in at the same stack pointer and is not inside, its
 * thread is gone and can never come back. Errors: -ENOSPC, there is none left;
 * -EBUSY, another vCPU is inside that came in there.
 */
static __always_inline struct gm_activation *gm_begin_activation(struct gm_seal *seal,
								 u64 guest_sp)
{
	struct hlist_head *bucket = gm_guest_bucket(seal, guest_sp);
	struct gm_activation *act;

	raw_spin_lock(&seal->act_lock);
	act = gm_find_by_guest_sp(bucket, guest_sp);
	if (unlikely(act)) {
		if (act->state == GM_ACT_INSIDE) {
			act = ERR_PTR(-EBUSY);
			goto unlock;
		}
		gm_lose(seal, act);
	}
	act = seal->free_acts;
	if (!act) {
		act = ERR_PTR(-ENOSPC);
		goto unlock;
	}
	act->guest_sp = guest_sp;
	act->outer = NULL;
	if (unlikely(seal->waiting) && !gm_find_outer(seal, act)) {
		act = ERR_PTR(-ENOSPC);
		goto unlock;
	}
	seal->free_acts = act->next_free;
	hlist_add_head(&act->by_guest_sp, bucket);
	WRITE_ONCE(act->state, GM_ACT_INSIDE);
unlock:
	raw_spin_unlock(&seal->act_lock);
	return act;
}

/* The caller is inside in @act, which is nobody's after this. */
static __always_inline void gm_end_activation(struct gm_seal *seal, struct gm_activation *act)
{
	raw_spin_lock(&seal->act_lock);
	hlist_del(&act->by_guest_sp);
	act->next_free = seal->free_acts;
	seal->free_acts = act;
	act->fpu = GM_FPU_GUEST;
	WRITE_ONCE(act->state, GM_ACT_FREE);
	raw_spin_unlock(&seal->act_lock);
}

/*
 * @act is saved: let its in-return claim it. Two live threads never have the
 * same stack pointer; an activation that has, and is out too, is a dead one's.
 */
static __always_inline void gm_publish_out(struct gm_seal *seal, struct gm_activation *act)
{
	struct hlist_head *bucket = gm_out_bucket(seal, act->out_sp);
	struct gm_activation *dead;

	raw_spin_lock(&seal->act_lock);
	dead = gm_find_by_out_sp(bucket, act->out_sp);
	if (unlikely(dead))
		gm_lose(seal, dead);
	hlist_add_head(&act->by_out_sp, bucket);
	if (act->shared)
		hlist_add_head(&act->waiting, gm_waiting_bucket(seal, act->out_sp));
	WRITE_ONCE(act->state, GM_ACT_OUT);
	raw_spin_unlock(&seal->act_lock);
}

/*
 * The activation whose out-call returns at @out_sp, or NULL. With @fast, none
 * whose x87 and SIMD registers have to be loaded.
 */
static __always_inline struct gm_activation *gm_claim_out(struct gm_seal *seal, u64 out_sp,
							  bool fast)
{
	struct gm_activation *act;

	raw_spin_lock(&seal->act_lock);
	act = gm_find_by_out_sp(gm_out_bucket(seal, out_sp), out_sp);
	if (!act || (fast && !gm_fpu_idle(act, 0))) {
		act = NULL;
	} else {
		hlist_del(&act->by_out_sp);
		hlist_del_init(&act->waiting);
		WRITE_ONCE(act->state, GM_ACT_INSIDE);
	}
	raw_spin_unlock(&seal->act_lock);
	return act;
}

#endif /* __KVM_X86_GM_ACTIVATION_H */
