/*
 * Guarded modules: the privilege `mmio=DEVICE', what its files share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_PRIV_MMIO_H
#define HW_MISC_GM_PRIV_MMIO_H

#include "hw/pci/pci_device.h"
#include "privilege.h"

#define TYPE_GM_PRIVILEGE_MMIO GM_PRIVILEGE_TYPE("mmio")
OBJECT_DECLARE_SIMPLE_TYPE(GmMmio, GM_PRIVILEGE_MMIO)

typedef struct GmBar {
    GmMmio *mmio;
    MemoryRegion *real;         /* NULL: there is no such BAR */
    AddressSpace *as;           /* of the module's accesses: */
    MemoryRegion root;          /* with an alias for the real one, at zero */
    MemoryRegion alias;
    MemoryRegion hidden;        /* in place of the real one, with: */
    MemoryRegion msix_table;
    MemoryRegion msix_pba;
    /* priv-mmio-pages.c: */
    MemoryListener listener;    /* of @as */
    bool changed;               /* what is in @as */
    int range;                  /* of the module's own pages, or -1 */
} GmBar;

struct GmMmio {
    GmPrivilege parent_obj;

    PCIDevice *pdev;
    GmBar bars[PCI_NUM_REGIONS];
    bool in_pages;              /* BARs are being kept in the module's pages */
    uint64_t config_refused;    /* the guest's writes to configuration space */
    PCIConfigWriteFunc *config_write;   /* the device's own */
    Error *unplug_blocker;
    QLIST_ENTRY(GmMmio) next;
};

/* The BAR as it is now. */
static inline const PCIIORegion *gm_bar_region(const GmBar *bar)
{
    return &bar->mmio->pdev->io_regions[bar - bar->mmio->bars];
}

static inline bool gm_bar_is_ports(const GmBar *bar)
{
    return gm_bar_region(bar)->type & PCI_BASE_ADDRESS_SPACE_IO;
}

/* Has the guest got it in its address space? Also while that changes. */
static inline bool gm_bar_is_mapped(const GmBar *bar)
{
    return bar->real && gm_bar_region(bar)->addr != PCI_BAR_UNMAPPED &&
           memory_region_is_mapped((MemoryRegion *)&bar->hidden);
}

/* priv-mmio.c: the grant that has @pdev. */
GmMmio *gm_mmio_of(const PCIDevice *pdev);

/* priv-mmio-config.c: in place of the device's own. */
void gm_mmio_config_write(PCIDevice *pdev, uint32_t addr, uint32_t val,
                          int len);

/* --- priv-mmio-pages.c ---------------------------------------------------- */

/* While bar->as exists: notice what changes there. */
void gm_bar_watch(GmBar *bar);
void gm_bar_unwatch(GmBar *bar);

/* Put all BARs that fit into the sealed module's pages, and keep them there. */
bool gm_mmio_enter_pages(GmMmio *m, Error **errp);
/* The pages lead nowhere then. On failure all is as before. */
bool gm_mmio_leave_pages(GmMmio *m, Error **errp);
/* The seal is over, and with it the pages. */
void gm_mmio_forget_pages(GmMmio *m);

/* Has it got pages? Then there is no other way to it. */
static inline bool gm_bar_has_pages(const GmBar *bar)
{
    return bar->range >= 0;
}

/* Do they have @len bytes that an exit calls @addr? NULL: they lead nowhere. */
bool gm_bar_find(const GmBar *bar, hwaddr addr, hwaddr len, AddressSpace **as,
                 hwaddr *offset);

/* For people. */
GmBarInfoList *gm_mmio_bars(GmMmio *m);

#endif /* HW_MISC_GM_PRIV_MMIO_H */
