/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guarded modules: privileges (I1, I2).
 *
 * What a sealed module can be granted, beyond what its guest has. A privilege
 * is one file with these operations, named in privilege.c. How it is raised and
 * dropped as vCPUs enter and leave is its own affair, as long as nobody outside
 * the module's view has it, and nobody at all once revoke() has returned.
 */
#ifndef __KVM_X86_GM_PRIVILEGE_H
#define __KVM_X86_GM_PRIVILEGE_H

#include "gm/gm.h"

struct gm_privilege_ops {
	/* With kvm->slots_lock held, of a seal that is not dead. 0 or an error. */
	int (*grant)(struct gm_seal *seal, const struct kvm_gm_grant *arg);
	int (*revoke)(struct gm_seal *seal, const struct kvm_gm_grant *arg);
};

extern const struct gm_privilege_ops gm_msr_ops;
extern const struct gm_privilege_ops gm_mwait_ops;
extern const struct gm_privilege_ops gm_hostinfo_ops;

#endif /* __KVM_X86_GM_PRIVILEGE_H */
