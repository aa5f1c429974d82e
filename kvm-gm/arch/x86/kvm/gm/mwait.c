// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: MONITOR and MWAIT without an exit, a privilege.
 *
 * The instructions sleep and wake the physical CPU while the vCPU is in the
 * module's view. Anywhere else, and inside after a revoke, they exit as they do
 * in every VM, and do nothing: there is no moment at which MWAIT in sealed text
 * is a violation.
 *
 * Nobody can sleep against the host's will. While a vCPU runs, every interrupt
 * of the host's exits, whatever the guest has masked, and so ends the sleep;
 * a task that becomes runnable on the CPU is announced by one, or by the tick
 * that runs while two tasks want the CPU. What a deep state costs the host is the
 * time to wake up from it. How deep the module is to go is told, not enforced,
 * since MWAIT does not exit by its hint: see KVM_GM_MWAIT_MAX_HINT.
 */
#include "gm/privilege.h"

/*
 * The VMX preemption timer does not count in states deeper than C2 (SDM vol. 3, "VMX-
 * Preemption Timer"), and which hint beyond those of C1 leads where is the CPU model's.
 */
#define GM_MWAIT_TIMER_HINT	0x0f

static int gm_grant_mwait(struct gm_seal *seal, const struct kvm_gm_grant *arg)
{
	if (arg->limit > KVM_GM_MWAIT_MAX_HINT)
		return -EINVAL;
	if (seal->view_flags & GM_VIEW_MWAIT)
		return -EEXIST;
	/*
	 * As for KVM_X86_DISABLE_EXITS_MWAIT: a CPU that misses no store and no timer.
	 * The guest cannot know that it would have to flush the line first, either.
	 */
	if (!boot_cpu_has(X86_FEATURE_MWAIT) || boot_cpu_has_bug(X86_BUG_MONITOR) ||
	    boot_cpu_has_bug(X86_BUG_CLFLUSH_MONITOR) || !boot_cpu_has(X86_FEATURE_ARAT))
		return -EOPNOTSUPP;
	if (arg->limit > GM_MWAIT_TIMER_HINT && kvm_x86_ops.set_hv_timer)
		return -EOPNOTSUPP;

	seal->mwait_hint = arg->limit;
	WRITE_ONCE(seal->view_flags, seal->view_flags | GM_VIEW_MWAIT);
	kvm_make_all_cpus_request(seal->kvm, KVM_REQ_GM);
	gm_tell_mwait(seal);
	return 0;
}

static int gm_revoke_mwait(struct gm_seal *seal, const struct kvm_gm_grant *arg)
{
	if (!(seal->view_flags & GM_VIEW_MWAIT))
		return -ENOENT;

	WRITE_ONCE(seal->view_flags, seal->view_flags & ~GM_VIEW_MWAIT);
	/* Before it can call MWAIT in vain, as far as that is possible. */
	gm_tell_mwait(seal);
	/* A vCPU that is inside, asleep or not, leaves the guest before this returns. */
	kvm_make_all_cpus_request(seal->kvm, KVM_REQ_GM);
	return 0;
}

const struct gm_privilege_ops gm_mwait_ops = {
	.grant	= gm_grant_mwait,
	.revoke	= gm_revoke_mwait,
};
