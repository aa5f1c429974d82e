// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: MONITOR and MWAIT without an exit, a privilege.
 *
 * The instructions sleep and wake the physical CPU while the vCPU is in the
 * module's view. Anywhere else, and inside after a revoke, they exit as they do
 * in every VM; a host's interrupt ends the sleep in any case.
 */
#include "gm/privilege.h"

static int gm_grant_mwait(struct gm_seal *seal, const struct kvm_gm_grant *arg)
{
	if (seal->view_flags & GM_VIEW_MWAIT)
		return -EEXIST;
	/* As for KVM_X86_DISABLE_EXITS_MWAIT: a CPU that misses no store and no timer. */
	if (!boot_cpu_has(X86_FEATURE_MWAIT) || boot_cpu_has_bug(X86_BUG_MONITOR) ||
	    !boot_cpu_has(X86_FEATURE_ARAT))
		return -EOPNOTSUPP;

	WRITE_ONCE(seal->view_flags, seal->view_flags | GM_VIEW_MWAIT);
	kvm_make_all_cpus_request(seal->kvm, KVM_REQ_GM);
	return 0;
}

static int gm_revoke_mwait(struct gm_seal *seal, const struct kvm_gm_grant *arg)
{
	if (!(seal->view_flags & GM_VIEW_MWAIT))
		return -ENOENT;

	/* A vCPU that is inside, asleep or not, leaves the guest before this returns. */
	WRITE_ONCE(seal->view_flags, seal->view_flags & ~GM_VIEW_MWAIT);
	kvm_make_all_cpus_request(seal->kvm, KVM_REQ_GM);
	return 0;
}

const struct gm_privilege_ops gm_mwait_ops = {
	.grant	= gm_grant_mwait,
	.revoke	= gm_revoke_mwait,
};
