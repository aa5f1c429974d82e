/*
 * Guarded modules: a granted device in the module's own pages.
 *
 * A module whose image has a DEVICES region does not reach its device through
 * the guest's page tables: memory BARs of whole pages get pages of that
 * region, and keep them until the seal ends (devices.c). What QEMU has mapped
 * itself, as vfio does, is there without an exit; MSI-X tables, and whatever
 * QEMU has to see, are exits.
 *
 * Both is as the memory core says, and kept so: a listener hears of all that
 * changes in the BAR's own address space (vfio takes its mappings away around
 * an INTx interrupt), and of each time that the guest's changes, as when it
 * maps the BAR, or resets the bus. While the guest does not have the BAR
 * mapped, or has put another one of the module's on top of it, the pages lead
 * nowhere. They never lead to anything but this BAR, wherever the guest has
 * put it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "devices.h"
#include "priv-mmio.h"
#include "trace.h"

static GmDevices *gm_bar_devices(const GmBar *bar)
{
    return GM_PRIVILEGE(bar->mmio)->devices;
}

/* Can it be there, if there is room? */
static bool gm_bar_fits_pages(const GmBar *bar)
{
    return bar->real && !gm_bar_is_ports(bar) &&
           bar != &bar->mmio->bars[PCI_ROM_SLOT] &&
           gm_bar_region(bar)->size % GM_PAGE_SIZE == 0 &&
           gm_bar_region(bar)->size / GM_PAGE_SIZE <= KVM_GM_MAX_PAGES &&
           qemu_real_host_page_size() == GM_PAGE_SIZE;
}

/* Should it be there now? */
static bool gm_bar_wants_pages(const GmBar *bar)
{
    return gm_bar_is_mapped(bar) &&
           gm_bar_region(bar)->addr % GM_PAGE_SIZE == 0;
}

/* Our own address of the page at @offset; 0: an access to it is an exit. */
static uint64_t gm_bar_host(GmBar *bar, hwaddr offset)
{
    MemoryRegionSection s = memory_region_find(&bar->root, offset,
                                               GM_PAGE_SIZE);
    uintptr_t host = 0;

    /* Where the BAR has nothing, it is the root itself. */
    if (memory_region_is_ram(s.mr) && !s.readonly &&
        !memory_region_get_dirty_log_mask(s.mr) &&
        s.offset_within_address_space == offset &&
        int128_get64(s.size) == GM_PAGE_SIZE) {
        host = (uintptr_t)memory_region_get_ram_ptr(s.mr) +
               s.offset_within_region;
    }
    memory_region_unref(s.mr);
    return host % GM_PAGE_SIZE ? 0 : host;
}

static int gm_bar_take(const GmBar *bar)
{
    g_autofree char *name = g_strdup_printf("BAR %d of device '%s'",
                                            (int)(bar - bar->mmio->bars),
                                            bar->mmio->pdev->qdev.id);

    return gm_devices_take(gm_bar_devices(bar), name,
                           gm_bar_region(bar)->size / GM_PAGE_SIZE);
}

/* Have the pages lead to where they should. */
static bool gm_bar_update(GmBar *bar, Error **errp)
{
    GmDevices *devices = gm_bar_devices(bar);
    g_autofree uint64_t *hosts = NULL;
    uint32_t nr_pages, i;
    hwaddr gpa;

    bar->changed = false;
    if (!gm_bar_wants_pages(bar)) {
        return bar->range < 0 || gm_devices_idle(devices, bar->range, errp);
    }
    if (bar->range < 0) {
        bar->range = gm_bar_take(bar);
        if (bar->range < 0) {
            return true;
        }
    }
    gpa = gm_bar_region(bar)->addr;
    if (gm_devices_conflict(devices, bar->range, gpa)) {
        return gm_devices_idle(devices, bar->range, errp);
    }
    nr_pages = gm_bar_region(bar)->size / GM_PAGE_SIZE;
    hosts = g_new(uint64_t, nr_pages);
    for (i = 0; i < nr_pages; i++) {
        hosts[i] = gm_bar_host(bar, (hwaddr)i * GM_PAGE_SIZE);
    }
    if (!gm_devices_map(devices, bar->range, gpa, hosts, errp)) {
        return false;
    }
    trace_gm_pages(GM_PRIVILEGE(bar->mmio)->module,
                   GM_PRIVILEGE(bar->mmio)->text, bar - bar->mmio->bars, gpa,
                   nr_pages,
                   gm_devices_range(devices, bar->range)->nr_direct);
    return true;
}

static bool gm_bar_is_current(const GmBar *bar)
{
    const GmRange *r = bar->range < 0 ? NULL :
                       gm_devices_range(gm_bar_devices(bar), bar->range);
    bool active = r && r->state == GM_RANGE_ACTIVE;

    return !bar->changed && active == gm_bar_wants_pages(bar) &&
           (!active || r->gpa == gm_bar_region(bar)->addr);
}

static void gm_bar_changed(MemoryListener *listener,
                           MemoryRegionSection *section)
{
    container_of(listener, GmBar, listener)->changed = true;
}

/* Somebody wants to know of writes, or does not any more. */
static void gm_bar_logging(MemoryListener *listener,
                           MemoryRegionSection *section, int old_mask,
                           int new_mask)
{
    gm_bar_changed(listener, section);
}

/* Called for changes anywhere. */
static void gm_bar_commit(MemoryListener *listener)
{
    GmBar *bar = container_of(listener, GmBar, listener);
    Error *err = NULL;

    if (!bar->mmio->in_pages || !gm_bar_fits_pages(bar) ||
        gm_bar_is_current(bar) || gm_bar_update(bar, &err)) {
        return;
    }
    /* They still lead to the BAR, or nowhere: nobody gets more than before. */
    error_report_once("guarded-modules: module '%s': %s",
                      GM_PRIVILEGE(bar->mmio)->module, error_get_pretty(err));
    error_free(err);
}

void gm_bar_watch(GmBar *bar)
{
    bar->listener = (MemoryListener) {
        .name = "gm-bar",
        .region_add = gm_bar_changed,
        .region_del = gm_bar_changed,
        .log_start = gm_bar_logging,
        .log_stop = gm_bar_logging,
        .commit = gm_bar_commit,
    };
    memory_listener_register(&bar->listener, bar->as);
}

void gm_bar_unwatch(GmBar *bar)
{
    memory_listener_unregister(&bar->listener);
}

static bool gm_mmio_update(GmMmio *m, Error **errp)
{
    int i;

    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        if (gm_bar_fits_pages(&m->bars[i]) &&
            !gm_bar_update(&m->bars[i], errp)) {
            return false;
        }
    }
    return true;
}

static bool gm_mmio_idle(GmMmio *m, Error **errp)
{
    int i;

    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        if (gm_bar_has_pages(&m->bars[i]) &&
            !gm_devices_idle(gm_bar_devices(&m->bars[i]), m->bars[i].range,
                             errp)) {
            return false;
        }
    }
    return true;
}

static void gm_mmio_give_back(GmMmio *m)
{
    int i;

    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        if (gm_bar_has_pages(&m->bars[i])) {
            gm_devices_leave(gm_bar_devices(&m->bars[i]), m->bars[i].range);
        }
    }
    gm_mmio_forget_pages(m);
}

bool gm_mmio_enter_pages(GmMmio *m, Error **errp)
{
    if (!GM_PRIVILEGE(m)->devices) {
        return true;
    }
    m->in_pages = true;
    if (!gm_mmio_update(m, errp)) {
        gm_mmio_idle(m, NULL);
        gm_mmio_give_back(m);
        return false;
    }
    return true;
}

bool gm_mmio_leave_pages(GmMmio *m, Error **errp)
{
    if (!gm_mmio_idle(m, errp)) {
        gm_mmio_update(m, NULL);
        return false;
    }
    gm_mmio_give_back(m);
    return true;
}

void gm_mmio_forget_pages(GmMmio *m)
{
    int i;

    m->in_pages = false;
    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        m->bars[i].range = -1;
    }
}

bool gm_bar_find(const GmBar *bar, hwaddr addr, hwaddr len, AddressSpace **as,
                 hwaddr *offset)
{
    const GmRange *r;

    if (!gm_bar_has_pages(bar)) {
        return false;
    }
    r = gm_devices_range(gm_bar_devices(bar), bar->range);
    if (r->state == GM_RANGE_ENDED || addr < r->gpa ||
        addr - r->gpa >= (uint64_t)r->nr_pages * GM_PAGE_SIZE ||
        len > (uint64_t)r->nr_pages * GM_PAGE_SIZE - (addr - r->gpa)) {
        return false;
    }
    *as = r->state == GM_RANGE_ACTIVE ? bar->as : NULL;
    *offset = addr - r->gpa;
    return true;
}

static GmBarInfo *gm_bar_info(const GmBar *bar)
{
    GmBarInfo *info = g_new0(GmBarInfo, 1);
    const GmRange *r;

    info->bar = bar - bar->mmio->bars;
    if (gm_bar_is_ports(bar)) {
        info->access = GM_BAR_ACCESS_PORTS;
    } else if (gm_bar_has_pages(bar)) {
        r = gm_devices_range(gm_bar_devices(bar), bar->range);
        info->access = GM_BAR_ACCESS_OWN_PAGES;
        info->has_pages = info->has_direct_pages = true;
        info->pages = r->state == GM_RANGE_ACTIVE ? r->nr_pages : 0;
        info->direct_pages = r->nr_direct;
    } else {
        info->access = GM_BAR_ACCESS_GUEST_PAGES;
    }
    return info;
}

GmBarInfoList *gm_mmio_bars(GmMmio *m)
{
    GmBarInfoList *list = NULL, **tail = &list;
    int i;

    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        if (m->bars[i].real) {
            QAPI_LIST_APPEND(tail, gm_bar_info(&m->bars[i]));
        }
    }
    return list;
}
