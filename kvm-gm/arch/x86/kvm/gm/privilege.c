// SPDX-License-Identifier: GPL-2.0
/*
 * Guarded modules: granting and revoking privileges.
 *
 * Whether a module may have one is userspace's decision; what KVM lets nobody
 * have is that of the privilege's own file. Registers of devices are not among
 * them: userspace has those, puts them into the module's pages (devices.c), or learns
 * from KVM_GM_RUN_VIEW() who reaches out.
 */
#include <linux/nospec.h>

#include "gm/privilege.h"
#include "gm/trace.h"

static const struct gm_privilege_ops *const gm_privileges[KVM_GM_NR_PRIVILEGES] = {
	[KVM_GM_PRIV_MSR]	= &gm_msr_ops,
	[KVM_GM_PRIV_MWAIT]	= &gm_mwait_ops,
	[KVM_GM_PRIV_HOSTINFO]	= &gm_hostinfo_ops,
};

int gm_grant(struct kvm *kvm, const struct kvm_gm_grant *arg, bool grant)
{
	const struct gm_privilege_ops *ops;
	struct gm_seal *seal;
	u32 kind;
	int r;

	if (arg->size != sizeof(*arg) || arg->kind >= KVM_GM_NR_PRIVILEGES)
		return -EINVAL;

	kind = array_index_nospec(arg->kind, KVM_GM_NR_PRIVILEGES);
	ops = gm_privileges[kind];
	if (!ops || (arg->flags && kind != KVM_GM_PRIV_MSR) ||
	    (arg->flags & ~KVM_GM_PRIV_F_WRITE) || arg->first > arg->last ||
	    (arg->last && kind != KVM_GM_PRIV_MSR) ||
	    (arg->limit && kind != KVM_GM_PRIV_MWAIT))
		return -EINVAL;

	guard(mutex)(&kvm->slots_lock);

	seal = gm_get_sealed(kvm, arg->id, arg->generation);
	if (IS_ERR(seal))
		return PTR_ERR(seal);

	r = grant ? ops->grant(seal, arg) : ops->revoke(seal, arg);
	if (!r)
		trace_kvm_gm_grant(seal->id, grant, kind, arg->flags, arg->first, arg->last);
	return r;
}
