/*
 * Granted devices: which can be, what the guest finds in their place, and how they come
 * and go.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "card.h"
#include "suites.h"
#include "priv-mmio.h"
#include "hw/pci/msix.h"
#include "qapi/qapi-commands-guarded-modules.h"
#include "qapi/qapi-commands-qdev.h"

#define NIC_LEDCTL              (MACHINE_NIC_BAR + 0xe00)
#define NIC_LEDCTL_RESET        0x00068302
#define NIC_MASTER              (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
#define NIC_STATUS              (MACHINE_NIC_BAR + 8)

static void refuse(const char *grant, const char *why)
{
    g_autofree char *text = g_strdup_printf("'%s': %s", grant, why);
    Error *err = NULL;
    bool ok;

    machine_register(machine_greedy, NULL, &error_abort);
    ok = machine_grant("greedy", grant, &err);
    machine_expect_error(err, text);
    g_assert(!ok);
    machine_forget();
}

/* An error of raise(): it has the text of the grant before that of the device. */
static void refuse_device(const char *id, const char *why)
{
    g_autofree char *grant = g_strdup_printf("mmio=%s", id);
    g_autofree char *text = g_strdup_printf("device '%s' cannot be granted: %s", id, why);

    refuse(grant, text);
}

static uint32_t in(hwaddr port)
{
    uint32_t value = 0;

    address_space_read(&address_space_io, port, MEMTXATTRS_UNSPECIFIED, &value, 4);
    return value;
}

static void test_names(void)
{
    Error *err = NULL;

    refuse("mmio", "the id of a device is missing: use mmio=DEVICE");
    refuse("mmio=", "the id of a device is missing: use mmio=DEVICE");
    refuse("mmio=nic1", "there is no device with the id 'nic1'");
    refuse("mmio=serial0", "device 'serial0' is no PCI device");

    machine_register(machine_image, NULL, &error_abort);
    g_assert(!machine_grant(GM_TEST_NAME, "mmio=rng0", &err));
    machine_expect_error(err, "'mmio=rng0': module 'gmtest' does not ask for it; it asks for "
                         "mmio=8086:10d3, pio=0x60-0x64, msr=0x35, msr=0x198-0x199:rw, hostinfo");
    machine_forget();
}

/* --- which devices -------------------------------------------------------- */

static void empty(PCIDevice *pdev)
{
}

static void one_page(PCIDevice *pdev)
{
    card_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, 4096);
}

static void half_page(PCIDevice *pdev)
{
    card_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, 2048);
}

static void page_and_ports(PCIDevice *pdev)
{
    one_page(pdev);
    card_bar(pdev, 1, PCI_BASE_ADDRESS_SPACE_IO, 64);
}

static void virtio_by_id(PCIDevice *pdev)
{
    one_page(pdev);
    pci_set_word(pdev->config + PCI_VENDOR_ID, PCI_VENDOR_ID_REDHAT_QUMRANET);
    pci_set_word(pdev->config + PCI_DEVICE_ID, 0x1041);
}

/* Such a device can be granted. */
static void accept_card(PCIDevice *pdev)
{
    machine_register(machine_greedy, (const char *[]) { "mmio=card", NULL }, &error_abort);
    g_assert_cmphex(machine_load(CARD_BAR), ==, UINT32_MAX);
    machine_forget();
    g_assert_cmphex(machine_load(CARD_BAR), ==, 0x5a5a5a5a);
    card_remove(pdev);
}

static void refuse_card(PCIDevice *pdev, const char *why)
{
    refuse_device("card", why);
    card_remove(pdev);
}

static void test_refused(void)
{
    static const char virtio[] = "a virtio device can be reached through its configuration space, "
                                 "too";
    PCIDevice *pdev;

    refuse_device("gm0", "the guest loads the modules from it");
    refuse_device("br0", "it is a bridge");
    refuse_device("rng0", virtio);
    refuse_card(card_add("card", virtio_by_id), virtio);
    refuse_card(card_add("card", empty), "it has no BAR");
    refuse_card(card_add_vfio("card", half_page), "vfio maps BARs smaller than a page itself");
    accept_card(card_add_vfio("card", page_and_ports));
    accept_card(card_add("card", half_page));

    pdev = card_add("card", one_page);
    pdev->has_vga = true;
    refuse_device("card", "the guest reaches it at VGA's addresses, too");
    pdev->has_vga = false;
    pdev->exp.sriov_cap = 0x100;
    refuse_device("card", "SR-IOV functions have BARs in common");
    pdev->exp.sriov_cap = 0;
    pdev->exp.sriov_vf.pf = machine_nic;
    refuse_device("card", "SR-IOV functions have BARs in common");
    pdev->exp.sriov_vf.pf = NULL;
    accept_card(pdev);
}

/* A device that answers where it has no BAR; it is as before then. */
static void refuse_elsewhere(MemoryRegion *space, Object *(*owner)(PCIDevice *pdev))
{
    PCIDevice *pdev = card_add("card", one_page);
    MemoryRegion *more = card_new_region();

    memory_region_init_io(more, owner(pdev), &unassigned_io_ops, NULL, "gm-test-more", 16);
    memory_region_add_subregion_overlap(space, 0x7000, more, 2);
    refuse_device("card", "the guest reaches it at 0x7000, too, where it has no BAR");
    g_assert_cmphex(machine_load(CARD_BAR), ==, 0x5a5a5a5a);
    memory_region_del_subregion(space, more);
    object_unparent(OBJECT(more));
    card_remove(pdev);
}

static Object *itself(PCIDevice *pdev)
{
    return OBJECT(pdev);
}

static Object *child(PCIDevice *pdev)
{
    Object *o = object_new("container");

    object_property_add_child(OBJECT(pdev), "part", o);
    object_unref(o);
    return o;
}

static void test_elsewhere(void)
{
    refuse_elsewhere(get_system_memory(), itself);
    refuse_elsewhere(get_system_io(), itself);
    refuse_elsewhere(get_system_memory(), child);
}

/* --- what the guest finds ------------------------------------------------- */

static void expect_hidden(unsigned reads, unsigned writes)
{
    g_autoptr(GmInfo) info = qmp_query_gm(false, false, &error_abort);
    const GmHidden *hidden = info->modules->value->hidden->value;

    g_assert_cmpstr(hidden->grant, ==, "mmio=nic0");
    g_assert_cmpuint(hidden->reads, ==, reads);
    g_assert_cmpuint(hidden->writes, ==, writes);
}

static void test_hidden(void)
{
    uint32_t status = machine_load(NIC_STATUS);

    g_assert_cmphex(status, !=, UINT32_MAX);
    g_assert_cmphex(in(MACHINE_NIC_PORTS), !=, UINT32_MAX);
    machine_register(machine_image, (const char *[]) { "mmio=nic0", NULL }, &error_abort);
    g_assert_cmphex(machine_load(NIC_STATUS), ==, UINT32_MAX);
    g_assert_cmphex(machine_load(NIC_STATUS + 1), ==, UINT32_MAX);
    g_assert_cmphex(in(MACHINE_NIC_PORTS), ==, UINT32_MAX);
    machine_store(NIC_LEDCTL, 0x12345678);
    expect_hidden(3, 1);

    /* Its interrupts are the guest's to set up; what is between is not there. */
    machine_store(MACHINE_NIC_MSIX + PCI_MSIX_ENTRY_DATA, 0x4711);
    g_assert_cmphex(machine_load(MACHINE_NIC_MSIX + PCI_MSIX_ENTRY_DATA), ==, 0x4711);
    g_assert_cmphex(machine_load(MACHINE_NIC_MSIX + 0x2000), ==, 0);
    expect_hidden(3, 1);
    g_assert_cmphex(machine_load(MACHINE_NIC_MSIX + 0x1000), ==, UINT32_MAX);
    expect_hidden(4, 1);

    /* It can be moved: nothing comes to light. */
    machine_nic->config_write(machine_nic, PCI_BASE_ADDRESS_0, 0xe1000000, 4);
    g_assert_cmphex(machine_load(0xe1000008), ==, UINT32_MAX);
    machine_nic->config_write(machine_nic, PCI_BASE_ADDRESS_0, MACHINE_NIC_BAR, 4);
    expect_hidden(5, 1);
    machine_revoke(GM_TEST_NAME, "mmio=nic0", &error_abort);
    g_assert_cmphex(machine_load(NIC_STATUS), ==, status);
    machine_forget();
}

/* Neither finds what the other has left there; where it is stays. */
static void test_reset(void)
{
    PCIDevice *nic = machine_nic;
    AddressSpace *as;
    hwaddr offset;
    GmEntry *entry;
    GmPrivilege *p;
    uint32_t value = 0;

    nic->config_write(nic, PCI_INTERRUPT_LINE, 0x0b, 1);
    nic->config_write(nic, PCI_COMMAND, NIC_MASTER, 2);
    machine_store(NIC_LEDCTL, 0x12345678);
    g_assert_cmphex(machine_load(NIC_LEDCTL), ==, 0x12345678);
    entry = machine_register(machine_image, (const char *[]) { "mmio=nic0", NULL }, &error_abort);
    p = entry->grants->pdata[0];
    g_assert(GM_PRIVILEGE_GET_CLASS(p)->find(p, GM_ACCESS_MEMORY, NIC_LEDCTL, 4, &as, &offset));
    address_space_read(as, offset, MEMTXATTRS_UNSPECIFIED, &value, 4);
    g_assert_cmphex(value, ==, NIC_LEDCTL_RESET);
    g_assert_cmphex(pci_get_long(nic->config + PCI_BASE_ADDRESS_0), ==, MACHINE_NIC_BAR);
    g_assert_cmphex(pci_get_word(nic->config + PCI_COMMAND), ==, NIC_MASTER & ~PCI_COMMAND_MASTER);
    g_assert_cmphex(nic->config[PCI_INTERRUPT_LINE], ==, 0x0b);

    value = 0x87654321;
    address_space_write(as, offset, MEMTXATTRS_UNSPECIFIED, &value, 4);
    nic->config_write(nic, PCI_COMMAND, NIC_MASTER, 2);
    machine_revoke(GM_TEST_NAME, "mmio=nic0", &error_abort);
    g_assert_cmphex(machine_load(NIC_LEDCTL), ==, NIC_LEDCTL_RESET);
    g_assert_cmphex(pci_get_word(nic->config + PCI_COMMAND), ==, NIC_MASTER & ~PCI_COMMAND_MASTER);
    machine_forget();
}

/* Its configuration space is the device's own again afterwards. */
static void test_own_again(void)
{
    PCIConfigWriteFunc *own = machine_nic->config_write;

    machine_register(machine_image, (const char *[]) { "mmio=nic0", NULL }, &error_abort);
    g_assert(machine_nic->config_write != own);
    machine_forget();
    g_assert(machine_nic->config_write == own);
}

static void test_exclusive(void)
{
    Error *err = NULL;

    machine_register(machine_image, (const char *[]) { "mmio=nic0", NULL }, &error_abort);
    machine_register(machine_greedy, NULL, &error_abort);
    g_assert(!machine_grant("greedy", "mmio=nic0", &err));
    machine_expect_error(g_steal_pointer(&err), "'mmio=nic0': module 'gmtest' has 'mmio=nic0' "
                         "already");
    g_assert(!machine_grant(GM_TEST_NAME, "mmio=nic0", &err));
    machine_expect_error(g_steal_pointer(&err), "'mmio=nic0': module 'gmtest' has 'mmio=nic0' "
                         "already");

    /* Nor can it be taken away at a monitor. */
    qmp_device_del("nic0", &err);
    machine_expect_error(g_steal_pointer(&err), "device 'nic0' has been granted to the guarded "
                         "module 'gmtest': use gm_revoke first");
    machine_forget();
    machine_register(machine_greedy, (const char *[]) { "mmio=nic0", NULL }, &error_abort);
    machine_forget();
}

/* The guest can have a device ejected by itself: the grant is gone then. */
static void eject(bool sealed, int map, const char *heard)
{
    PCIDevice *pdev = card_add("card", one_page);
    GmEntry *entry = machine_register(machine_greedy, (const char *[]) { "mmio=card", NULL },
                                      &error_abort);
    g_autofree char *said = NULL;

    if (sealed) {
        g_assert_cmpint(machine_seal(MACHINE_GREEDY, 0), ==, 0);
        g_assert_cmpuint(fake_kvm.seals[1].ranges[0].nr_pages, ==, 1);
    }
    fake_kvm.map = map;
    machine_listen();
    card_remove(pdev);
    said = machine_heard();
    g_assert_cmpstr(said, ==, heard);
    g_assert_cmpuint(entry->grants->len, ==, 0);
    g_assert(!gm_mmio_of(NULL));
    if (sealed && !map) {
        g_assert_cmpuint(fake_kvm.seals[1].hosts[0][0], ==, 0);
        g_assert(!fake_kvm.seals[1].ranges[0].hosts);
    }
    g_assert(!machine_revoke("greedy", "mmio=card", NULL));
    machine_forget();
}

static void test_ejected(void)
{
    static const char audit[] = "qemu-system-x86_64: info: guarded-modules: audit: revoked "
                                "module=\"greedy\" id=\"6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b"
                                "6b6b6b6b6b6b6b6b6b6b6b\" grants=\"mmio=card\" reason=\"the guest "
                                "has unplugged the device\"\n";
    g_autofree char *failed = g_strconcat("qemu-system-x86_64: guarded-modules: module 'greedy': "
                                          "KVM cannot map BAR 0 of device 'card': Cannot allocate "
                                          "memory\nqemu-system-x86_64: guarded-modules: KVM cannot "
                                          "map BAR 0 of device 'card': Cannot allocate memory\n",
                                          audit, NULL);

    eject(false, 0, audit);
    eject(true, 0, audit);
    eject(true, -ENOMEM, failed);
}

void suite_mmio(void)
{
    const char *const devices[] = {
        "-device", "virtio-rng-pci,id=rng0", "-device", "pci-bridge,id=br0,chassis_nr=1",
        "-chardev", "null,id=null", "-device", "isa-serial,id=serial0,chardev=null", NULL
    };

    machine_start("", devices);
    g_test_add_func("/gm/mmio/names", test_names);
    g_test_add_func("/gm/mmio/refused", test_refused);
    g_test_add_func("/gm/mmio/elsewhere", test_elsewhere);
    g_test_add_func("/gm/mmio/hidden", test_hidden);
    g_test_add_func("/gm/mmio/reset", test_reset);
    g_test_add_func("/gm/mmio/own-again", test_own_again);
    g_test_add_func("/gm/mmio/exclusive", test_exclusive);
    g_test_add_func("/gm/mmio/ejected", test_ejected);
}
