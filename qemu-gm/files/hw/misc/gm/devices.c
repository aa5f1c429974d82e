/*
 * Guarded modules: the pages of a sealed module that lead to devices.
 *
 * Two things can go wrong with them. A module that still has a pointer to
 * pages that it had for one device could reach another with it: so what has
 * been given to something (a BAR of a device, by name) is never given to
 * anything else while the seal lasts. And KVM tells of an exit by the guest's
 * address: so of two ranges at the same address only one is active, and what
 * is idle there ends.
 *
 * The file depends on glib and Error only, so that tests can be KVM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "devices.h"

struct GmDevices {
    const struct kvm_gm_seal *seal;
    GmMapFn *map;
    uint32_t nr_pages;                  /* of the region, the table included */
    GmRange ranges[KVM_GM_MAX_RANGES];
};

GmDevices *gm_devices_new(const GmSealPlan *plan, GmMapFn *map)
{
    GmDevices *d;
    uint32_t i;

    for (i = 0; i < plan->seal.nr_regions; i++) {
        if (plan->regions[i].kind == KVM_GM_REGION_DEVICES) {
            d = g_new0(GmDevices, 1);
            d->seal = &plan->seal;
            d->map = map;
            d->nr_pages = plan->regions[i].nr_pages;
            return d;
        }
    }
    return NULL;
}

void gm_devices_free(GmDevices *d)
{
    int i;

    if (d) {
        for (i = 0; i < KVM_GM_MAX_RANGES; i++) {
            g_free(d->ranges[i].name);
        }
        g_free(d);
    }
}

/* The range that has any of these pages, or NULL. */
static const GmRange *gm_range_with(const GmDevices *d, uint32_t page,
                                    uint32_t nr_pages)
{
    int i;

    for (i = 0; i < KVM_GM_MAX_RANGES; i++) {
        const GmRange *r = &d->ranges[i];

        if (r->name && page < r->page + r->nr_pages &&
            r->page < page + nr_pages) {
            return r;
        }
    }
    return NULL;
}

/* The first pages that are free, 0: there are not that many in a row. */
static uint32_t gm_first_fit(const GmDevices *d, uint32_t nr_pages)
{
    uint32_t page = 1;

    while (nr_pages && page < d->nr_pages && nr_pages <= d->nr_pages - page) {
        const GmRange *r = gm_range_with(d, page, nr_pages);

        if (!r) {
            return page;
        }
        page = r->page + r->nr_pages;
    }
    return 0;
}

int gm_devices_take(GmDevices *d, const char *name, uint32_t nr_pages)
{
    uint32_t page;
    GmRange *r;
    int i;

    for (i = 0; i < KVM_GM_MAX_RANGES; i++) {
        r = &d->ranges[i];
        if (r->name && !r->taken && r->nr_pages == nr_pages &&
            !strcmp(r->name, name)) {
            r->taken = true;
            return i;
        }
    }
    page = gm_first_fit(d, nr_pages);
    for (i = 0; page && i < KVM_GM_MAX_RANGES; i++) {
        r = &d->ranges[i];
        if (!r->name) {
            *r = (GmRange) {
                .name = g_strdup(name),
                .taken = true,
                .page = page,
                .nr_pages = nr_pages,
            };
            return i;
        }
    }
    return -1;
}

void gm_devices_leave(GmDevices *d, int range)
{
    d->ranges[range].taken = false;
}

const GmRange *gm_devices_range(const GmDevices *d, int range)
{
    return &d->ranges[range];
}

static bool gm_range_touches(const GmRange *r, uint64_t gpa, uint32_t nr_pages)
{
    return r->state != GM_RANGE_ENDED &&
           gpa < r->gpa + (uint64_t)r->nr_pages * GM_PAGE_SIZE &&
           r->gpa < gpa + (uint64_t)nr_pages * GM_PAGE_SIZE;
}

bool gm_devices_conflict(const GmDevices *d, int range, uint64_t gpa)
{
    int i;

    for (i = 0; i < KVM_GM_MAX_RANGES; i++) {
        const GmRange *r = &d->ranges[i];

        if (i != range && r->state == GM_RANGE_ACTIVE &&
            gm_range_touches(r, gpa, d->ranges[range].nr_pages)) {
            return true;
        }
    }
    return false;
}

/* @nr_pages is 0: the range ends. */
static int gm_map(GmDevices *d, int range, uint32_t nr_pages, uint64_t gpa,
                  const uint64_t *hosts)
{
    struct kvm_gm_map map = {
        .size = sizeof(map),
        .id = d->seal->id,
        .generation = d->seal->generation,
        .range = range,
        .page = nr_pages ? d->ranges[range].page : 0,
        .nr_pages = nr_pages,
        .gpa = gpa,
        .hosts = (uintptr_t)hosts,
    };

    return d->map(&map);
}

static bool gm_map_failed(const GmRange *r, int ret, Error **errp)
{
    if (ret == -ENOENT || ret == -ESTALE) {
        error_setg(errp, "the module is not sealed any more");
    } else {
        error_setg(errp, "KVM cannot map %s: %s", r->name, strerror(-ret));
    }
    return false;
}

static bool gm_range_end(GmDevices *d, int range, Error **errp)
{
    GmRange *r = &d->ranges[range];
    int ret = gm_map(d, range, 0, 0, NULL);

    if (ret) {
        return gm_map_failed(r, ret, errp);
    }
    r->state = GM_RANGE_ENDED;
    r->nr_direct = 0;
    return true;
}

bool gm_devices_map(GmDevices *d, int range, uint64_t gpa,
                    const uint64_t *hosts, Error **errp)
{
    GmRange *r = &d->ranges[range];
    uint32_t j;
    int i, ret;

    for (i = 0; i < KVM_GM_MAX_RANGES; i++) {
        if (i != range && d->ranges[i].state == GM_RANGE_IDLE &&
            gm_range_touches(&d->ranges[i], gpa, r->nr_pages) &&
            !gm_range_end(d, i, errp)) {
            return false;
        }
    }
    ret = gm_map(d, range, r->nr_pages, gpa, hosts);
    if (ret) {
        return gm_map_failed(r, ret, errp);
    }
    r->state = GM_RANGE_ACTIVE;
    r->gpa = gpa;
    r->nr_direct = 0;
    for (j = 0; j < r->nr_pages; j++) {
        r->nr_direct += !!hosts[j];
    }
    return true;
}

bool gm_devices_idle(GmDevices *d, int range, Error **errp)
{
    GmRange *r = &d->ranges[range];
    int ret;

    if (r->state != GM_RANGE_ACTIVE) {
        return true;
    }
    ret = gm_map(d, range, r->nr_pages, r->gpa, NULL);
    if (ret && ret != -ENOENT && ret != -ESTALE) {
        /* Less than was asked for, but it leads nowhere, either. */
        return gm_range_end(d, range, errp);
    }
    r->state = GM_RANGE_IDLE;
    r->nr_direct = 0;
    return true;
}
