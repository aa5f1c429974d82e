/*
 * Guarded modules: what KVM is to seal, from an image and the guest's claims.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_SEAL_H
#define HW_MISC_GM_SEAL_H

#include "image.h"

/*
 * Where the guest has mapped the page of @va, if it is ordinary, writable RAM
 * there. The guest may change that at any time: KVM freezes what we found.
 */
typedef bool GmTranslate(void *opaque, uint64_t va, uint64_t *gpa);

/* One module, loaded at known addresses. */
typedef struct GmSealPlan {
    struct kvm_gm_seal seal;
    struct kvm_gm_region *regions;
    struct kvm_gm_gate *gates;
    struct kvm_gm_frame *frames;
    const char **gate_names;            /* by gate number; the image's */
    uint8_t *content;                   /* of all regions */
    uint64_t *gpas;                     /* of all regions, in their order */
    struct kvm_gm_shared *shared;       /* sorted, none touches another */
    uint32_t nr_pages;
} GmSealPlan;

/**
 * gm_seal_plan_new: Lay out a module at the addresses that the guest claims.
 * @image: the image
 * @values: one value for each anchor; hostile
 * @translate: reads the guest's page tables
 * @opaque: for @translate
 * @others: GmSealPlan of each module that is sealed already
 * @err: why not, as a negative errno for the guest
 */
GmSealPlan *gm_seal_plan_new(const GmImage *image, const uint64_t *values,
                             GmTranslate *translate, void *opaque,
                             const GPtrArray *others, int *err, Error **errp);

/* Once sealed, contents and frames are KVM's; keep what names things. */
void gm_seal_plan_trim(GmSealPlan *plan);
void gm_seal_plan_free(GmSealPlan *plan);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(GmSealPlan, gm_seal_plan_free)

#endif /* HW_MISC_GM_SEAL_H */
