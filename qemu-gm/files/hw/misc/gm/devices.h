/*
 * Guarded modules: the pages of a sealed module that lead to devices.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_DEVICES_H
#define HW_MISC_GM_DEVICES_H

#include "seal.h"

typedef enum GmRangeState {
    GM_RANGE_ENDED,             /* an access is a violation */
    GM_RANGE_IDLE,              /* an access is an exit, and leads nowhere */
    GM_RANGE_ACTIVE,            /* it leads to what the range is for */
} GmRangeState;

/* A run of pages. Once it has been taken, it keeps them until the seal ends. */
typedef struct GmRange {
    char *name;                 /* what it is for; NULL: not in use */
    bool taken;                 /* by somebody who has that */
    GmRangeState state;
    uint32_t page;              /* of the region */
    uint32_t nr_pages;
    uint32_t nr_direct;         /* of them lead there without an exit */
    uint64_t gpa;               /* unless ENDED: what the guest calls it */
} GmRange;

/* KVM_GM_MAP: 0 or a negative errno. */
typedef int GmMapFn(struct kvm_gm_map *map);

typedef struct GmDevices GmDevices;

/* Of the module that is sealed as @plan says; NULL if it has no such pages. */
GmDevices *gm_devices_new(const GmSealPlan *plan, GmMapFn *map);
void gm_devices_free(GmDevices *d);

/**
 * gm_devices_take: Find pages for @name.
 *
 * Those that it had before in this seal, or the first that are free. Nothing
 * is mapped there yet.
 *
 * Returns: the number of the range, or -1 if there is no room
 */
int gm_devices_take(GmDevices *d, const char *name, uint32_t nr_pages);

/* It is nobody's now; make it idle before. */
void gm_devices_leave(GmDevices *d, int range);

const GmRange *gm_devices_range(const GmDevices *d, int range);

/* Would @range, at @gpa, touch what another active range is at? */
bool gm_devices_conflict(const GmDevices *d, int range, uint64_t gpa);

/**
 * gm_devices_map: Have the pages of @range lead to what the guest has at @gpa.
 * @hosts: for each page our own address of it, or 0: exits
 *
 * There must be no conflict. On failure all is as before.
 */
bool gm_devices_map(GmDevices *d, int range, uint64_t gpa,
                    const uint64_t *hosts, Error **errp);

/**
 * gm_devices_idle: Have the pages of @range lead nowhere.
 *
 * If that fails, they lead where they did. It does not if the seal is over.
 */
bool gm_devices_idle(GmDevices *d, int range, Error **errp);

#endif /* HW_MISC_GM_DEVICES_H */
