/*
 * Guarded modules: the calls to KVM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_KVM_H
#define HW_MISC_GM_KVM_H

#include "hw/misc/gm/guarded_modules.h"
#include <linux/kvm_gm.h>

/* Did gm_kvm_enable() succeed in this VM? */
bool gm_kvm_enabled(void);

/* The ioctls; 0 or a negative errno. */
int gm_kvm_seal(struct kvm_gm_seal *seal);
int gm_kvm_unseal(uint32_t id);
int gm_kvm_query(struct kvm_gm_query *query);
int gm_kvm_counts(struct kvm_gm_counts *counts);
int gm_kvm_grant(struct kvm_gm_grant *grant);
int gm_kvm_revoke(struct kvm_gm_grant *grant);
int gm_kvm_map(struct kvm_gm_map *map);

/* Do KVM's own models of PIC and PIT answer in place of QEMU's? */
bool gm_kvm_has_pic_and_pit(void);

/* Where the vCPU maps @va; from the vCPU's own thread. */
bool gm_kvm_translate(CPUState *cpu, uint64_t va, uint64_t *gpa);

#endif /* HW_MISC_GM_KVM_H */
