/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guarded modules: registers of devices in a module's own pages, see devices.c.
 */
#ifndef __KVM_X86_GM_DEVICES_H
#define __KVM_X86_GM_DEVICES_H

#include "gm/gm.h"

/* A page of the DEVICES region: it is backed by none of KVM's. */
static inline bool gm_is_device(const struct gm_page *p)
{
	return !p->page;
}

int gm_load_devices(struct gm_seal *seal, const struct gm_region *region);
void gm_unmap_devices(struct gm_seal *seal);
int gm_map(struct kvm *kvm, const struct kvm_gm_map *arg);

bool gm_find_device(struct kvm_vcpu *vcpu, gpa_t gpa);

/* Is there a range at @p, a page of a device? */
bool gm_is_mapped(struct gm_seal *seal, struct gm_page *p);
int gm_faultin_device(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault, struct gm_page *p);

#endif /* __KVM_X86_GM_DEVICES_H */
