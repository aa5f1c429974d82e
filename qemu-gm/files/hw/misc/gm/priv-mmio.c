/*
 * Guarded modules: the privilege `mmio=DEVICE'.
 *
 * All BARs of a PCI device, of memory and of ports, leave the guest's address
 * spaces: a region of ones stands in their place (hidden.c). No access that
 * starts from an address can reach them any more, whoever makes it: a vCPU in
 * whatever view, KVM itself, vhost, DMA of another device. Accesses of the
 * module have an address space each that holds the BAR and nothing else.
 *
 * The module reaches memory BARs in pages of its own, if it has some and there
 * is room (priv-mmio-pages.c). Otherwise it does so where the guest has mapped
 * them: then the guest can turn other accesses of it into accesses to the
 * device, and the other way round.
 *
 * What stays the guest's is how the device fits into the machine:
 * configuration space, within limits (priv-mmio-config.c), and the MSI-X
 * tables, for its PCI core. To reset the bus that it is on, to put that to
 * sleep, or to cut it off, is denial of service, which the guest can do
 * anyway.
 *
 * The device is reset when it is granted and again before the guest sees it,
 * so that neither finds what the other has programmed. Its BARs stay where
 * they are; its interrupts are off, and it no longer masters the bus, as after
 * any reset.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "exec/ioport.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_device.h"
#include "hw/sysbus.h"
#include "hw/misc/gm/guarded_modules.h"
#include "priv-mmio.h"

/* Those that are raised. */
static QLIST_HEAD(, GmMmio) gm_mmio_list = QLIST_HEAD_INITIALIZER(gm_mmio_list);

GmMmio *gm_mmio_of(const PCIDevice *pdev)
{
    GmMmio *m;

    QLIST_FOREACH(m, &gm_mmio_list, next) {
        if (m->pdev == pdev) {
            return m;
        }
    }
    return NULL;
}

/* --- which devices -------------------------------------------------------- */

/* VIRTIO_PCI_CAP_PCI_CFG is a way to the BARs through configuration space. */
static bool gm_mmio_is_virtio(PCIDevice *pdev)
{
    uint16_t id = pci_get_word(pdev->config + PCI_DEVICE_ID);

    return object_dynamic_cast(OBJECT(pdev), "virtio-pci") ||
           (pci_get_word(pdev->config + PCI_VENDOR_ID) ==
            PCI_VENDOR_ID_REDHAT_QUMRANET && id >= 0x1000 && id <= 0x107f);
}

/* vfio puts BARs smaller than a page where it wants them itself. */
static bool gm_mmio_moves_bars(PCIDevice *pdev)
{
    int i;

    for (i = 0; i < PCI_ROM_SLOT; i++) {
        const PCIIORegion *r = &pdev->io_regions[i];

        if (r->size && r->size < qemu_real_host_page_size() &&
            !(r->type & PCI_BASE_ADDRESS_SPACE_IO)) {
            return object_dynamic_cast(OBJECT(pdev), "vfio-pci");
        }
    }
    return false;
}

static bool gm_mmio_check_device(PCIDevice *pdev, Error **errp)
{
    const char *why = NULL;
    bool has_bar = false;
    int i;

    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        has_bar |= pdev->io_regions[i].size;
    }
    if (object_dynamic_cast(OBJECT(pdev), TYPE_GUARDED_MODULES)) {
        why = "the guest loads the modules from it";
    } else if (IS_PCI_BRIDGE(pdev)) {
        why = "it is a bridge";
    } else if (gm_mmio_is_virtio(pdev)) {
        why = "a virtio device can be reached through its configuration "
              "space, too";
    } else if (pci_is_vf(pdev) || pdev->exp.sriov_cap) {
        why = "SR-IOV functions have BARs in common";
    } else if (gm_mmio_moves_bars(pdev)) {
        why = "vfio maps BARs smaller than a page itself";
    } else if (pdev->has_vga) {
        why = "the guest reaches it at VGA's addresses, too";
    } else if (!has_bar) {
        why = "it has no BAR";
    }
    if (why) {
        error_setg(errp, "device '%s' cannot be granted: %s", pdev->qdev.id,
                   why);
    }
    return !why;
}

static bool gm_mmio_init(GmPrivilege *p, const char *value, Error **errp)
{
    GmMmio *m = GM_PRIVILEGE_MMIO(p);
    DeviceState *dev;

    if (!value || !*value) {
        error_setg(errp, "the id of a device is missing: use mmio=DEVICE");
        return false;
    }
    dev = qdev_find_recursive(sysbus_get_default(), value);
    if (!dev) {
        error_setg(errp, "there is no device with the id '%s'", value);
        return false;
    }
    m->pdev = (PCIDevice *)object_dynamic_cast(OBJECT(dev), TYPE_PCI_DEVICE);
    if (!m->pdev) {
        error_setg(errp, "device '%s' is no PCI device", value);
        return false;
    }
    p->text = g_strdup_printf("mmio=%s", value);
    p->what.first = (uint32_t)pci_get_word(m->pdev->config + PCI_VENDOR_ID)
                    << 16 | pci_get_word(m->pdev->config + PCI_DEVICE_ID);
    p->what.last = p->what.first;
    return true;
}

static char *gm_mmio_describe(const struct gm_privilege *what)
{
    /* Images ask for one device, or for any. */
    if (what->first != what->last) {
        return g_strdup("mmio");
    }
    return g_strdup_printf("mmio=%04" PRIx64 ":%04" PRIx64,
                           (uint64_t)what->first >> 16,
                           (uint64_t)what->first & 0xffff);
}

static bool gm_mmio_overlaps(const GmPrivilege *a, const GmPrivilege *b)
{
    return GM_PRIVILEGE_MMIO(a)->pdev == GM_PRIVILEGE_MMIO(b)->pdev;
}

/* --- hiding and showing --------------------------------------------------- */

/* Put @with where the BAR is in the guest's address space, if it is there. */
static void gm_mmio_replace(PCIIORegion *r, MemoryRegion *with)
{
    if (r->addr != PCI_BAR_UNMAPPED) {
        memory_region_del_subregion(r->address_space, r->memory);
    }
    r->memory = with;
    if (r->addr != PCI_BAR_UNMAPPED) {
        memory_region_add_subregion_overlap(r->address_space, r->addr,
                                            r->memory, 1);
    }
}

/* One of the tables at @reg of the capability, if it is in BAR number @bar. */
static void gm_mmio_show_msix(GmMmio *m, int bar, MemoryRegion *alias,
                              const char *name, MemoryRegion *table, int reg)
{
    uint32_t where = pci_get_long(m->pdev->config + m->pdev->msix_cap + reg);

    if ((where & PCI_MSIX_FLAGS_BIRMASK) == bar) {
        memory_region_init_alias(alias, OBJECT(m), name, table, 0,
                                 memory_region_size(table));
        memory_region_add_subregion(&m->bars[bar].hidden,
                                    where & ~PCI_MSIX_FLAGS_BIRMASK, alias);
    }
}

static void gm_mmio_init_bar(GmMmio *m, int i)
{
    PCIIORegion *r = &m->pdev->io_regions[i];
    GmBar *bar = &m->bars[i];

    bar->real = r->memory;
    /*
     * A region is drawn where it was put last, even if it is a root: hence one
     * of our own, and one that is more than an alias, which would be its root.
     */
    memory_region_init_io(&bar->root, OBJECT(m), &unassigned_io_ops, NULL,
                          "gm-bar", r->size);
    memory_region_init_alias(&bar->alias, OBJECT(m), "gm-bar-alias", bar->real,
                             0, r->size);
    memory_region_add_subregion(&bar->root, 0, &bar->alias);
    gm_hidden_init(&bar->hidden, GM_PRIVILEGE(m), "gm-hidden-bar", r->size);
    if (msix_present(m->pdev)) {
        gm_mmio_show_msix(m, i, &bar->msix_table, "gm-msix-table",
                          &m->pdev->msix_table_mmio, PCI_MSIX_TABLE);
        gm_mmio_show_msix(m, i, &bar->msix_pba, "gm-msix-pba",
                          &m->pdev->msix_pba_mmio, PCI_MSIX_PBA);
    }
}

static void gm_mmio_hide(GmMmio *m)
{
    int i;

    memory_region_transaction_begin();
    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        if (m->pdev->io_regions[i].size) {
            gm_mmio_replace(&m->pdev->io_regions[i], &m->bars[i].hidden);
        }
    }
    memory_region_transaction_commit();
}

static void gm_mmio_show(GmMmio *m)
{
    int i;

    memory_region_transaction_begin();
    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        if (m->pdev->io_regions[i].size) {
            gm_mmio_replace(&m->pdev->io_regions[i], m->bars[i].real);
        }
    }
    memory_region_transaction_commit();
}

/*
 * What a bus does to it, and not the device alone: vfio turns off decoding and
 * the host's interrupts, and configuration space must say so, or the guest would
 * turn them off once more. Then what tells where it is comes back. It may be
 * one that forgets nothing: until a driver has it master the bus again, it
 * writes no buffers that another driver has left to it.
 */
static void gm_mmio_reset(PCIDevice *pdev)
{
    static const uint8_t kept[] = {
        PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_1, PCI_BASE_ADDRESS_2,
        PCI_BASE_ADDRESS_3, PCI_BASE_ADDRESS_4, PCI_BASE_ADDRESS_5,
        PCI_ROM_ADDRESS,
    };
    uint16_t command = pci_get_word(pdev->config + PCI_COMMAND);
    uint8_t line = pdev->config[PCI_INTERRUPT_LINE];
    uint32_t values[ARRAY_SIZE(kept)];
    int i;

    for (i = 0; i < ARRAY_SIZE(kept); i++) {
        values[i] = pci_get_long(pdev->config + kept[i]);
    }
    pci_device_reset(pdev);
    for (i = 0; i < ARRAY_SIZE(kept); i++) {
        pdev->config_write(pdev, kept[i], values[i], 4);
    }
    pdev->config_write(pdev, PCI_INTERRUPT_LINE, line, 1);
    pdev->config_write(pdev, PCI_COMMAND, command & ~PCI_COMMAND_MASTER, 2);
}

typedef struct GmVisible {
    const PCIDevice *pdev;
    hwaddr addr;
    bool found;
} GmVisible;

static bool gm_mmio_is_visible(Int128 start, Int128 len, const MemoryRegion *mr,
                               hwaddr offset, void *opaque)
{
    GmVisible *v = opaque;
    Object *owner = memory_region_owner((MemoryRegion *)mr);

    if (mr == &v->pdev->msix_table_mmio || mr == &v->pdev->msix_pba_mmio) {
        return false;
    }
    while (owner && owner != OBJECT(v->pdev)) {
        owner = owner->parent;
    }
    v->found = owner;
    v->addr = int128_get64(start);
    return v->found;
}

/* Some devices answer at addresses that no BAR is for. */
static bool gm_mmio_check_hidden(PCIDevice *pdev, Error **errp)
{
    AddressSpace *const spaces[] = { &address_space_memory, &address_space_io };
    GmVisible v = { .pdev = pdev };
    int i;

    RCU_READ_LOCK_GUARD();
    for (i = 0; i < ARRAY_SIZE(spaces) && !v.found; i++) {
        flatview_for_each_range(address_space_to_flatview(spaces[i]),
                                gm_mmio_is_visible, &v);
    }
    if (v.found) {
        error_setg(errp, "device '%s' cannot be granted: the guest reaches it "
                   "at 0x%" HWADDR_PRIx ", too, where it has no BAR",
                   pdev->qdev.id, v.addr);
    }
    return !v.found;
}

static void gm_mmio_unrealized(DeviceListener *listener, DeviceState *dev);
static void gm_mmio_release(GmMmio *m);

static bool gm_mmio_raise(GmPrivilege *p, Error **errp)
{
    static DeviceListener listener = { .unrealize = gm_mmio_unrealized };
    static bool listening;
    GmMmio *m = GM_PRIVILEGE_MMIO(p);
    PCIDevice *pdev = m->pdev;
    int i;

    if (!gm_mmio_check_device(pdev, errp)) {
        return false;
    }
    if (!listening) {
        device_listener_register(&listener);
        listening = true;
    }
    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        if (pdev->io_regions[i].size && !m->bars[i].real) {
            gm_mmio_init_bar(m, i);
        }
        if (m->bars[i].real) {
            memory_region_set_enabled(&m->bars[i].hidden, true);
        }
    }
    gm_mmio_hide(m);
    if (!gm_mmio_check_hidden(pdev, errp)) {
        gm_mmio_show(m);
        return false;
    }
    gm_mmio_reset(pdev);

    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        GmBar *bar = &m->bars[i];

        if (bar->real) {
            g_autofree char *name = g_strdup_printf("gm-%s-bar%d",
                                                    pdev->qdev.id, i);

            bar->as = g_new0(AddressSpace, 1);
            address_space_init(bar->as, &bar->root, name);
            gm_bar_watch(bar);
        }
    }
    error_setg(&m->unplug_blocker, "device '%s' has been granted to the guarded "
               "module '%s': use gm_revoke first", pdev->qdev.id, p->module);
    qdev_add_unplug_blocker(DEVICE(pdev), m->unplug_blocker);
    m->config_write = pdev->config_write;
    pdev->config_write = gm_mmio_config_write;
    QLIST_INSERT_HEAD(&gm_mmio_list, m, next);
    if (!gm_mmio_enter_pages(m, errp)) {
        gm_mmio_release(m);
        gm_mmio_show(m);
        return false;
    }
    return true;
}

/* All of it that does not change what the guest sees. */
static void gm_mmio_release(GmMmio *m)
{
    int i;

    QLIST_REMOVE(m, next);
    m->pdev->config_write = m->config_write;
    qdev_del_unplug_blocker(DEVICE(m->pdev), m->unplug_blocker);
    error_free(m->unplug_blocker);
    m->unplug_blocker = NULL;
    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        if (m->bars[i].as) {
            gm_bar_unwatch(&m->bars[i]);
            address_space_destroy_free(m->bars[i].as);
            m->bars[i].as = NULL;
            /* A change, or the memory core remembers the view, and its device. */
            memory_region_set_enabled(&m->bars[i].hidden, false);
        }
    }
}

static bool gm_mmio_lower(GmPrivilege *p, Error **errp)
{
    GmMmio *m = GM_PRIVILEGE_MMIO(p);

    if (!gm_mmio_leave_pages(m, errp)) {
        return false;
    }
    gm_mmio_release(m);
    gm_mmio_reset(m->pdev);
    gm_mmio_show(m);
    return true;
}

/*
 * Monitors cannot unplug it meanwhile, but the guest can. Its BARs have left
 * the address spaces already.
 */
static void gm_mmio_unrealized(DeviceListener *listener, DeviceState *dev)
{
    GmMmio *m = gm_mmio_of((PCIDevice *)dev);
    Error *err = NULL;

    if (m) {
        if (!gm_mmio_leave_pages(m, &err)) {
            /* KVM notices when what is behind them goes. */
            error_reportf_err(err, "guarded-modules: ");
        }
        gm_mmio_release(m);
        m->pdev = NULL;
        gm_privilege_lost(GM_PRIVILEGE(m), "the guest has unplugged the device");
    }
}

static bool gm_bar_find_mapped(const GmBar *bar, bool ports, hwaddr addr,
                               hwaddr len, hwaddr *offset)
{
    const PCIIORegion *r = gm_bar_region(bar);

    if (!gm_bar_is_mapped(bar) || ports != gm_bar_is_ports(bar) ||
        addr < r->addr || addr - r->addr >= r->size ||
        len > r->size - (addr - r->addr)) {
        return false;
    }
    *offset = addr - r->addr;
    return true;
}

static bool gm_mmio_find(GmPrivilege *p, GmAccess access, hwaddr addr,
                         hwaddr len, AddressSpace **as, hwaddr *offset)
{
    GmMmio *m = GM_PRIVILEGE_MMIO(p);
    int i;

    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        const GmBar *bar = &m->bars[i];

        if (!bar->real) {
            continue;
        }
        if (access == GM_ACCESS_OWN_PAGES) {
            if (gm_bar_find(bar, addr, len, as, offset)) {
                return true;
            }
        } else if (!gm_bar_has_pages(bar) &&
                   gm_bar_find_mapped(bar, access == GM_ACCESS_PORTS, addr,
                                      len, offset)) {
            *as = bar->as;
            return true;
        }
    }
    return false;
}

static bool gm_mmio_sealed(GmPrivilege *p, Error **errp)
{
    return gm_mmio_enter_pages(GM_PRIVILEGE_MMIO(p), errp);
}

static void gm_mmio_unsealed(GmPrivilege *p)
{
    gm_mmio_forget_pages(GM_PRIVILEGE_MMIO(p));
}

static void gm_mmio_fill(GmPrivilege *p, GmHidden *info)
{
    GmMmio *m = GM_PRIVILEGE_MMIO(p);

    info->has_config_writes = true;
    info->config_writes = m->config_refused;
    info->has_bars = p->seal;
    info->bars = p->seal ? gm_mmio_bars(m) : NULL;
}

static void gm_mmio_instance_init(Object *obj)
{
    GmMmio *m = GM_PRIVILEGE_MMIO(obj);
    int i;

    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        m->bars[i].mmio = m;
        m->bars[i].range = -1;
    }
}

static void gm_mmio_class_init(ObjectClass *class, void *data)
{
    GmPrivilegeClass *k = GM_PRIVILEGE_CLASS(class);

    k->kind = KVM_GM_PRIV_MMIO;
    k->exclusive = true;
    k->hides = true;
    k->init = gm_mmio_init;
    k->raise = gm_mmio_raise;
    k->lower = gm_mmio_lower;
    k->describe = gm_mmio_describe;
    k->overlaps = gm_mmio_overlaps;
    k->find = gm_mmio_find;
    k->sealed = gm_mmio_sealed;
    k->unsealed = gm_mmio_unsealed;
    k->fill = gm_mmio_fill;
}

static const TypeInfo gm_mmio_info = {
    .name = TYPE_GM_PRIVILEGE_MMIO,
    .parent = TYPE_GM_PRIVILEGE,
    .instance_size = sizeof(GmMmio),
    .instance_init = gm_mmio_instance_init,
    .class_init = gm_mmio_class_init,
};

static void gm_mmio_register_types(void)
{
    type_register_static(&gm_mmio_info);
}

type_init(gm_mmio_register_types)
