/*
 * PCI devices of a test's own, one at a time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "card.h"
#include "hw/pci/pci_bus.h"
#include "hw/qdev-core.h"
#include "monitor/qdev.h"
#include "qemu/rcu.h"

static void (*card_realize)(PCIDevice *pdev);
static MemoryRegion *bars[PCI_NUM_REGIONS];

static uint64_t card_read(void *opaque, hwaddr addr, unsigned size)
{
    return 0x5a5a5a5a5a5a5a5aULL;
}

static void card_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
}

static const MemoryRegionOps card_ops = { .read = card_read, .write = card_write };

/* Who knows when the memory core has done with a view that it is in. */
MemoryRegion *card_new_region(void)
{
    static MemoryRegion regions[64];
    static unsigned used;

    g_assert_cmpuint(used, <, G_N_ELEMENTS(regions));
    return &regions[used++];
}

MemoryRegion *card_region(int i)
{
    return bars[i];
}

void card_bar(PCIDevice *pdev, int i, uint8_t type, uint64_t size)
{
    bars[i] = card_new_region();
    memory_region_init_io(bars[i], OBJECT(pdev), &card_ops, NULL, "gm-test-bar", size);
    pci_register_bar(pdev, i, type, bars[i]);
}

static PCIDevice *add(const char *type, const char *id, void (*realize)(PCIDevice *pdev))
{
    DeviceState *dev = qdev_new(type);
    PCIDevice *pdev = PCI_DEVICE(dev);

    card_realize = realize;
    qdev_set_id(dev, g_strdup(id), &error_abort);
    qdev_realize_and_unref(dev, BUS(pci_get_bus(machine_nic)), &error_abort);
    pdev->config_write(pdev, PCI_BASE_ADDRESS_0, CARD_BAR, 4);
    pdev->config_write(pdev, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
    return pdev;
}

PCIDevice *card_add(const char *id, void (*realize)(PCIDevice *pdev))
{
    return add("gm-test-card", id, realize);
}

PCIDevice *card_add_vfio(const char *id, void (*realize)(PCIDevice *pdev))
{
    return add("gm-test-vfio", id, realize);
}

void card_remove(PCIDevice *pdev)
{
    object_unparent(OBJECT(pdev));
    drain_call_rcu();
}

static void card_do_realize(PCIDevice *pdev, Error **errp)
{
    card_realize(pdev);
}

static void card_reset(DeviceState *dev)
{
}

/* Nothing is left of what vfio does with a device of the host. */
static void card_class_init(ObjectClass *klass, void *data)
{
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);

    pc->realize = card_do_realize;
    pc->exit = NULL;
    pc->config_read = NULL;
    pc->config_write = NULL;
    pc->vendor_id = 0x1234;
    pc->device_id = 0x7e57;
    device_class_set_legacy_reset(DEVICE_CLASS(klass), card_reset);
}

static const TypeInfo card_types[] = {
    {
        .name = "gm-test-card",
        .parent = TYPE_PCI_DEVICE,
        .class_init = card_class_init,
        .interfaces = (InterfaceInfo[]) {
            { INTERFACE_CONVENTIONAL_PCI_DEVICE },
            { }
        },
    }, {
        .name = "gm-test-vfio",
        .parent = "vfio-pci",
        .class_init = card_class_init,
    },
};

DEFINE_TYPES(card_types)
