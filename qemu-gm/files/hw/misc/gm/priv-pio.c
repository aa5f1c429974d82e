/*
 * Guarded modules: the privilege `pio=FIRST[-LAST]'.
 *
 * A region of ones (hidden.c) lies over the ports in the guest's I/O space. The
 * module's accesses have an address space with what was there when the ports
 * were granted, and nothing else. What is there must be bound to stay: ports of
 * PCI devices, which the guest can move, and of whatever can be unplugged are
 * refused; so are those that KVM answers before QEMU hears of an access.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/range.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "exec/ioport.h"
#include "hw/pci/pci_device.h"
#include "hw/qdev-core.h"
#include "kvm.h"
#include "privilege.h"

#define TYPE_GM_PRIVILEGE_PIO GM_PRIVILEGE_TYPE("pio")
OBJECT_DECLARE_SIMPLE_TYPE(GmPio, GM_PRIVILEGE_PIO)

struct GmPio {
    GmPrivilege parent_obj;

    MemoryRegion hidden;        /* in the guest's I/O space */
    MemoryRegion real;          /* what the module sees: aliases, ones between */
    GPtrArray *aliases;
    AddressSpace *as;
};

/* With KVM's own PIC and PIT. */
static const struct {
    uint16_t first;
    uint16_t last;
    const char *what;
} gm_pio_kvm[] = {
    { 0x20, 0x21, "PIC" },
    { 0x40, 0x43, "PIT" },
    { 0x61, 0x61, "speaker port" },
    { 0xa0, 0xa1, "PIC" },
    { 0x4d0, 0x4d1, "PIC" },
};

static bool gm_pio_init(GmPrivilege *p, const char *value, Error **errp)
{
    const char *end;

    if (!gm_privilege_range(value, UINT16_MAX, &end, &p->what, errp)) {
        return false;
    }
    if (*end) {
        error_setg(errp, "'%s' does not belong there", end);
        return false;
    }
    return true;
}

static char *gm_pio_describe(const struct gm_privilege *what)
{
    return gm_privilege_describe_range("pio", what);
}

static bool gm_pio_check_kvm(const GmPrivilege *p, Error **errp)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(gm_pio_kvm) && gm_kvm_has_pic_and_pit(); i++) {
        if (gm_pio_kvm[i].first <= p->what.last &&
            gm_pio_kvm[i].last >= p->what.first) {
            error_setg(errp, "port 0x%x is that of KVM's own %s, which cannot "
                       "be hidden from the guest", gm_pio_kvm[i].first,
                       gm_pio_kvm[i].what);
            error_append_hint(errp, "With -machine kernel-irqchip=split it is "
                              "QEMU's.\n");
            return false;
        }
    }
    return true;
}

/* Can what answers at @port go away, or move? */
static bool gm_pio_check_owner(MemoryRegion *mr, uint64_t port, Error **errp)
{
    Object *owner = memory_region_owner(mr);
    DeviceState *dev;

    while (owner && !object_dynamic_cast(owner, TYPE_DEVICE)) {
        owner = owner->parent;
    }
    if (!owner) {
        return true;
    }
    dev = DEVICE(owner);
    if (object_dynamic_cast(owner, TYPE_PCI_DEVICE)) {
        error_setg(errp, "port 0x%" PRIx64 " belongs to a PCI device (%s): the "
                   "guest can move it", port, object_get_typename(owner));
        error_append_hint(errp, "mmio=DEVICE grants ports of BARs, too.\n");
        return false;
    }
    if (DEVICE_GET_CLASS(dev)->hotpluggable && dev->parent_bus &&
        qbus_is_hotpluggable(dev->parent_bus)) {
        error_setg(errp, "port 0x%" PRIx64 " belongs to a device that can be "
                   "unplugged (%s)", port, object_get_typename(owner));
        return false;
    }
    return true;
}

/* What is at @port, and until where, the first of several things at most. */
static bool gm_pio_add(GmPio *io, uint64_t port, uint64_t last, uint64_t *next,
                       Error **errp)
{
    const uint64_t first = GM_PRIVILEGE(io)->what.first;
    MemoryRegionSection section;
    MemoryRegion *alias;
    bool ok = true;
    uint64_t size;

    /* Where nothing is, that is the I/O space itself. */
    section = memory_region_find(get_system_io(), port, last - port + 1);
    port = section.offset_within_address_space;
    size = int128_get64(section.size);
    *next = port + size;
    if (section.mr != get_system_io()) {
        ok = gm_pio_check_owner(section.mr, port, errp);
        if (ok) {
            alias = g_new0(MemoryRegion, 1);
            memory_region_init_alias(alias, OBJECT(io), "gm-ports", section.mr,
                                     section.offset_within_region, size);
            memory_region_add_subregion(&io->real, port - first, alias);
            g_ptr_array_add(io->aliases, alias);
        }
    }
    memory_region_unref(section.mr);
    return ok;
}

static void gm_pio_clear(GmPio *io)
{
    unsigned i;

    for (i = 0; i < io->aliases->len; i++) {
        memory_region_del_subregion(&io->real, io->aliases->pdata[i]);
        object_unparent(OBJECT(io->aliases->pdata[i]));
    }
    g_ptr_array_set_size(io->aliases, 0);
}

static bool gm_pio_raise(GmPrivilege *p, Error **errp)
{
    GmPio *io = GM_PRIVILEGE_PIO(p);
    uint64_t port = p->what.first;
    uint64_t size = p->what.last - p->what.first + 1;

    if (!gm_pio_check_kvm(p, errp)) {
        return false;
    }
    if (!io->aliases) {
        io->aliases = g_ptr_array_new_with_free_func(g_free);
        gm_hidden_init(&io->hidden, p, "gm-hidden-ports", size);
        memory_region_init_io(&io->real, OBJECT(p), &unassigned_io_ops, NULL,
                              "gm-real-ports", size);
    }
    while (port <= p->what.last) {
        if (!gm_pio_add(io, port, p->what.last, &port, errp)) {
            gm_pio_clear(io);
            return false;
        }
    }
    if (!io->aliases->len) {
        error_setg(errp, "there is nothing at these ports");
        return false;
    }
    io->as = g_new0(AddressSpace, 1);
    address_space_init(io->as, &io->real, "gm-ports");
    /* Whatever the guest maps there from now on is below. */
    memory_region_add_subregion_overlap(get_system_io(), p->what.first,
                                        &io->hidden, INT_MAX);
    return true;
}

static bool gm_pio_lower(GmPrivilege *p, Error **errp)
{
    GmPio *io = GM_PRIVILEGE_PIO(p);

    memory_region_del_subregion(get_system_io(), &io->hidden);
    address_space_destroy_free(io->as);
    io->as = NULL;
    gm_pio_clear(io);
    return true;
}

static bool gm_pio_find(GmPrivilege *p, GmAccess access, hwaddr addr,
                        hwaddr len, AddressSpace **as, hwaddr *offset)
{
    if (access != GM_ACCESS_PORTS || addr < p->what.first ||
        addr + len - 1 > p->what.last) {
        return false;
    }
    *as = GM_PRIVILEGE_PIO(p)->as;
    *offset = addr - p->what.first;
    return true;
}

static void gm_pio_finalize(Object *obj)
{
    GmPio *io = GM_PRIVILEGE_PIO(obj);

    g_clear_pointer(&io->aliases, g_ptr_array_unref);
}

static void gm_pio_class_init(ObjectClass *class, void *data)
{
    GmPrivilegeClass *k = GM_PRIVILEGE_CLASS(class);

    k->kind = KVM_GM_PRIV_PIO;
    k->exclusive = true;
    k->hides = true;
    k->init = gm_pio_init;
    k->raise = gm_pio_raise;
    k->lower = gm_pio_lower;
    k->describe = gm_pio_describe;
    k->find = gm_pio_find;
}

static const TypeInfo gm_pio_info = {
    .name = TYPE_GM_PRIVILEGE_PIO,
    .parent = TYPE_GM_PRIVILEGE,
    .instance_size = sizeof(GmPio),
    .instance_finalize = gm_pio_finalize,
    .class_init = gm_pio_class_init,
};

static void gm_pio_register_types(void)
{
    type_register_static(&gm_pio_info);
}

type_init(gm_pio_register_types)
