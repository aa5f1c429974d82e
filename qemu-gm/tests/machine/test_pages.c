/*
 * A granted device in the pages of a sealed module: when they lead to it, and when
 * nowhere.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "card.h"
#include "suites.h"
#include "exec/memory.h"
#include "qapi/qapi-commands-guarded-modules.h"

#define NIC_PAGES       32
#define NIC_LEDCTL_RESET 0x00068302
#define NIC_MSIX_PAGES  4

static uint8_t ram[4 * GM_PAGE_SIZE] QEMU_ALIGNED(GM_PAGE_SIZE);
static GmEntry *entry;

static void start(const char *grant)
{
    const char *const grants[] = { grant, NULL };

    entry = machine_register(machine_greedy, grants, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_GREEDY, 0), ==, 0);
    machine_forget_events();
}

/* Range @i of KVM's leads to @gpa; 0: it has none. */
static void expect_range(int i, uint64_t gpa, uint32_t page, uint32_t nr_pages)
{
    const struct kvm_gm_map *r = &fake_kvm.seals[1].ranges[i];

    g_assert_cmphex(r->gpa, ==, gpa);
    g_assert_cmpuint(r->page, ==, page);
    g_assert_cmpuint(r->nr_pages, ==, nr_pages);
    g_assert(!nr_pages || r->hosts);
}

/* It is an exit each time, and leads nowhere. */
static void expect_idle(int i)
{
    g_assert_cmpuint(fake_kvm.seals[1].ranges[i].nr_pages, >, 0);
    g_assert(!fake_kvm.seals[1].ranges[i].hosts);
}

static void nic_write(uint32_t addr, uint32_t value)
{
    machine_nic->config_write(machine_nic, addr, value, addr == PCI_COMMAND ? 2 : 4);
}

static void nic_back(void)
{
    machine_forget();
    nic_write(PCI_BASE_ADDRESS_0, MACHINE_NIC_BAR);
    nic_write(PCI_BASE_ADDRESS_3, MACHINE_NIC_MSIX);
    nic_write(PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
}

static void expect_bars(const char *wanted)
{
    g_autoptr(GmInfo) info = qmp_query_gm(false, false, &error_abort);
    g_autoptr(GString) text = g_string_new(NULL);
    GmBarInfoList *b;

    for (b = info->modules->value->hidden->value->bars; b; b = b->next) {
        g_string_append_printf(text, "%s%" PRId64 " %s", text->len ? ", " : "", b->value->bar,
                               GmBarAccess_str(b->value->access));
        if (b->value->has_pages) {
            g_string_append_printf(text, " %u %u", b->value->pages, b->value->direct_pages);
        }
    }
    g_assert_cmpstr(text->str, ==, wanted);
}

/* What has been granted before the seal, and after. */
static void test_mapped(void)
{
    start("mmio=nic0");
    expect_range(0, MACHINE_NIC_BAR, 1, NIC_PAGES);
    expect_range(1, MACHINE_NIC_MSIX, 1 + NIC_PAGES, NIC_MSIX_PAGES);
    expect_range(2, 0, 0, 0);
    expect_bars("0 own-pages 32 0, 1 guest-pages, 2 ports, 3 own-pages 4 0");
    machine_revoke("greedy", "mmio=nic0", &error_abort);
    expect_idle(0);
    expect_idle(1);
    machine_grant("greedy", "mmio=nic0", &error_abort);
    expect_range(0, MACHINE_NIC_BAR, 1, NIC_PAGES);

    /* With the seal, that is over; the next one begins anew. */
    gm_machine_reset(gm_state());
    g_assert_cmpint(machine_seal(MACHINE_GREEDY, 0), ==, 0);
    expect_range(0, MACHINE_NIC_BAR, 1, NIC_PAGES);
    nic_back();
}

static bool access_own(uint64_t addr, unsigned size, uint64_t *value)
{
    MachineAccess a = { .view = 1, .own_pages = true, .addr = addr, .size = size };
    bool handled = machine_access_memory(&a);

    *value = ldq_le_p(a.data);
    return handled;
}

static bool access_guest(uint64_t addr, unsigned size, uint64_t *value)
{
    MachineAccess a = { .view = 1, .addr = addr, .size = size };
    bool handled = machine_access_memory(&a);

    *value = ldq_le_p(a.data);
    return handled;
}

/* By its own pages, and by nothing else; to its own device, and to nothing else. */
static void test_access(void)
{
    const uint64_t end = MACHINE_NIC_BAR + NIC_PAGES * GM_PAGE_SIZE;
    uint64_t value;

    start("mmio=nic0");
    g_assert(access_own(MACHINE_NIC_BAR + 0xe00, 4, &value));
    g_assert_cmphex(value, ==, NIC_LEDCTL_RESET);
    g_assert(access_own(end - 4, 4, &value));
    g_assert(!access_own(end, 4, &value));
    g_assert(!access_own(end + GM_PAGE_SIZE * GM_PAGE_SIZE, 4, &value));
    g_assert(!access_own(end - 4, 8, &value));
    g_assert(!access_own(MACHINE_NIC_BAR - 4, 4, &value));
    g_assert(!access_guest(MACHINE_NIC_BAR + 0xe00, 4, &value));
    g_assert(access_own(MACHINE_NIC_MSIX, 4, &value));
    g_assert(!access_own(MACHINE_NIC_MSIX + NIC_MSIX_PAGES * GM_PAGE_SIZE, 4, &value));

    machine_revoke("greedy", "mmio=nic0", &error_abort);
    g_assert(!access_own(MACHINE_NIC_BAR + 0xe00, 4, &value));
    nic_back();
}

/* Off the guest's map, the pages lead nowhere; then to where it is. */
static void test_moves(void)
{
    uint64_t value;

    nic_write(PCI_COMMAND, 0);
    start("mmio=nic0");
    expect_range(0, 0, 0, 0);
    expect_bars("0 guest-pages, 1 guest-pages, 2 ports, 3 guest-pages");
    g_assert(!access_own(MACHINE_NIC_BAR, 4, &value));
    nic_write(PCI_BASE_ADDRESS_0, 0xe1000000);
    expect_range(0, 0, 0, 0);
    nic_write(PCI_COMMAND, PCI_COMMAND_MEMORY);
    expect_range(0, 0xe1000000, 1, NIC_PAGES);
    expect_range(1, MACHINE_NIC_MSIX, 1 + NIC_PAGES, NIC_MSIX_PAGES);

    /* A reset of the bus takes it away. */
    pci_device_reset(machine_nic);
    expect_idle(0);
    expect_idle(1);
    g_assert(access_own(0xe1000008, 4, &value));
    g_assert_cmphex(value, ==, UINT32_MAX);
    expect_bars("0 own-pages 0 0, 1 guest-pages, 2 ports, 3 own-pages 0 0");
    nic_write(PCI_BASE_ADDRESS_0, MACHINE_NIC_BAR);
    nic_write(PCI_COMMAND, PCI_COMMAND_MEMORY);
    expect_range(0, MACHINE_NIC_BAR, 1, NIC_PAGES);
    nic_back();
}

/* Of two BARs at one place, one is there. */
static void test_conflict(void)
{
    uint64_t value;

    nic_write(PCI_BASE_ADDRESS_3, MACHINE_NIC_BAR + 0x4000);
    start("mmio=nic0");
    expect_range(0, MACHINE_NIC_BAR, 1, NIC_PAGES);
    expect_range(1, 0, 0, 0);
    g_assert(access_own(MACHINE_NIC_BAR + 0x4000, 4, &value));
    /* Nor is the other one where it has not been. */
    g_assert(!access_own(8, 4, &value));
    nic_back();
}

/* --- KVM refuses ---------------------------------------------------------- */

static void test_refused(void)
{
    uint32_t led = 0;
    Error *err = NULL;

    machine_register(machine_greedy, (const char *[]) { "mmio=nic0", NULL }, &error_abort);
    fake_kvm.map = -ENOMEM;
    fake_kvm.map_first = 1;
    gm_state()->warn_count = 0;
    machine_listen();
    g_assert_cmpint(machine_seal(MACHINE_GREEDY, 0), ==, -EPERM);
    machine_expect_heard("warning: guarded-modules: seal refused: module 'greedy': 'mmio=nic0': "
                         "KVM cannot map BAR 3 of device 'nic0': Cannot allocate memory");
    g_assert(!fake_kvm.seals[1].used);

    fake_kvm.map = 0;
    machine_revoke("greedy", "mmio=nic0", &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_GREEDY, 0), ==, 0);
    fake_kvm.map = -ENOMEM;
    fake_kvm.map_first = 1;
    g_assert(!machine_grant("greedy", "mmio=nic0", &err));
    machine_expect_error(g_steal_pointer(&err), "'mmio=nic0': KVM cannot map BAR 3 of device "
                         "'nic0': Cannot allocate memory");
    g_assert_cmpuint(gm_find_name(gm_state(), "greedy")->grants->len, ==, 0);
    /* It is the guest's still. */
    address_space_read(&address_space_memory, MACHINE_NIC_BAR + 0xe00, MEMTXATTRS_UNSPECIFIED,
                       &led, 4);
    g_assert_cmphex(led, ==, NIC_LEDCTL_RESET);

    fake_kvm.map = 0;
    machine_grant("greedy", "mmio=nic0", &error_abort);
    expect_range(0, MACHINE_NIC_BAR, 1, NIC_PAGES);
    nic_back();
}

/* A refused grant leaves nothing in the pages that were filled before. */
static void test_refused_half(void)
{
    start("hostinfo");
    fake_kvm.map = -ENOMEM;
    fake_kvm.map_first = 1;
    fake_kvm.map_ends = true;
    g_assert(!machine_grant("greedy", "mmio=nic0", NULL));
    g_assert_cmpuint(fake_kvm.nr_maps, ==, 4);
    expect_range(0, 0, 0, 0);
    nic_back();
}

/* What cannot be taken away stays granted, as it was. */
static void test_not_revoked(void)
{
    uint64_t value;
    Error *err = NULL;

    start("mmio=nic0");
    fake_kvm.map = -ENOMEM;
    fake_kvm.map_first = 1;
    fake_kvm.map_times = 2;
    g_assert(!machine_revoke("greedy", "mmio=nic0", &err));
    machine_expect_error(g_steal_pointer(&err), "'mmio=nic0': KVM cannot map BAR 3 of device "
                         "'nic0': Cannot allocate memory");
    g_assert_cmpuint(entry->grants->len, ==, 1);
    expect_range(0, MACHINE_NIC_BAR, 1, NIC_PAGES);
    expect_range(1, MACHINE_NIC_MSIX, 1 + NIC_PAGES, NIC_MSIX_PAGES);
    g_assert(access_own(MACHINE_NIC_MSIX, 4, &value));

    fake_kvm.map = -EIO;
    fake_kvm.map_first = fake_kvm.map_times = 0;
    machine_listen();
    nic_write(PCI_COMMAND, PCI_COMMAND_MEMORY);
    pci_device_reset(machine_nic);
    machine_expect_heard("guarded-modules: module 'greedy': KVM cannot map BAR 0 of device 'nic0': "
                         "Input/output error");
    fake_kvm.map = 0;
    nic_back();
}

/* --- what is mapped without exits ----------------------------------------- */

static MemoryRegion *part;

/* One page of memory, and in the other ones what looks like it. */
static void direct(PCIDevice *pdev)
{
    card_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, 4 * GM_PAGE_SIZE);
    part = card_new_region();
    memory_region_init_ram_device_ptr(part, OBJECT(pdev), "gm-test-ram", GM_PAGE_SIZE, ram);
    memory_region_add_subregion(card_region(0), 0, part);
}

static void expect_direct(bool there)
{
    g_assert_cmphex(fake_kvm.seals[1].hosts[0][0], ==, there ? (uintptr_t)ram : 0);
    g_assert_cmphex(fake_kvm.seals[1].hosts[0][1], ==, 0);
    expect_bars(there ? "0 own-pages 4 1" : "0 own-pages 4 0");
}

static void test_direct(void)
{
    PCIDevice *pdev = card_add("card", direct);

    start("mmio=card");
    expect_range(0, CARD_BAR, 1, 4);
    expect_direct(true);

    /* vfio takes its mappings away around an interrupt. */
    memory_region_set_enabled(part, false);
    expect_direct(false);
    memory_region_set_enabled(part, true);
    expect_direct(true);

    /* A write must not go unnoticed. */
    memory_region_set_readonly(part, true);
    expect_direct(false);
    memory_region_set_readonly(part, false);
    expect_direct(true);
    memory_region_set_log(part, true, DIRTY_MEMORY_VGA);
    expect_direct(false);
    memory_region_set_log(part, false, DIRTY_MEMORY_VGA);
    expect_direct(true);
    machine_forget();
    card_remove(pdev);
}

static void half_a_page(PCIDevice *pdev)
{
    direct(pdev);
    part = card_new_region();
    memory_region_init_io(part, OBJECT(pdev), &unassigned_io_ops, NULL, "gm-test-half", 2048);
    memory_region_add_subregion_overlap(card_region(0), 2048, part, 1);
}

static void other_half(PCIDevice *pdev)
{
    direct(pdev);
    part = card_new_region();
    memory_region_init_io(part, OBJECT(pdev), &unassigned_io_ops, NULL, "gm-test-half", 2048);
    memory_region_add_subregion_overlap(card_region(0), 0, part, 1);
}

static void misaligned(PCIDevice *pdev)
{
    card_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, 4 * GM_PAGE_SIZE);
    part = card_new_region();
    memory_region_init_ram_device_ptr(part, OBJECT(pdev), "gm-test-ram", GM_PAGE_SIZE, ram + 2048);
    memory_region_add_subregion(card_region(0), 0, part);
}

/* Nothing but whole pages. */
static void test_not_direct(void)
{
    static void (*const kinds[])(PCIDevice *pdev) = { half_a_page, other_half, misaligned };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        PCIDevice *pdev = card_add("card", kinds[i]);

        start("mmio=card");
        expect_range(0, CARD_BAR, 1, 4);
        expect_direct(false);
        machine_forget();
        card_remove(pdev);
    }
}

/* --- what has no pages ---------------------------------------------------- */

static void rom_and_ports(PCIDevice *pdev)
{
    card_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY, 2048);
    card_bar(pdev, 1, PCI_BASE_ADDRESS_SPACE_IO, GM_PAGE_SIZE);
    card_bar(pdev, 2, PCI_BASE_ADDRESS_SPACE_MEMORY, 32 * 1024 * 1024);
    card_bar(pdev, 3, PCI_BASE_ADDRESS_SPACE_MEMORY, 512 * 1024);
    card_bar(pdev, PCI_ROM_SLOT, 0, GM_PAGE_SIZE);
}

static bool access_port(uint64_t addr, unsigned size)
{
    return machine_access_ports(&(MachineAccess) { .view = 1, .addr = addr, .size = size,
                                                   .count = 1 });
}

/* There the module goes where the guest's page tables lead: to its device, if that is there. */
static void test_no_pages(void)
{
    PCIDevice *pdev = card_add("card", rom_and_ports);
    const uint64_t rom = 0xe5000000;
    uint64_t value;

    pdev->config_write(pdev, PCI_BASE_ADDRESS_1, 0x8000, 4);
    pdev->config_write(pdev, PCI_BASE_ADDRESS_2, 0xe8000000, 4);
    pdev->config_write(pdev, PCI_BASE_ADDRESS_3, 0xe4000000, 4);
    pdev->config_write(pdev, PCI_ROM_ADDRESS, rom | PCI_ROM_ADDRESS_ENABLE, 4);
    start("mmio=card");
    expect_bars("0 guest-pages, 1 ports, 2 guest-pages, 3 guest-pages, 6 guest-pages");
    nic_write(PCI_COMMAND, 0);
    nic_write(PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    g_assert_cmpuint(fake_kvm.nr_maps, ==, 0);

    g_assert(access_guest(CARD_BAR, 4, &value));
    g_assert_cmphex(value, ==, 0x5a5a5a5a);
    g_assert(access_guest(CARD_BAR + 2044, 4, &value));
    g_assert(!access_guest(CARD_BAR + 2048, 4, &value));
    g_assert(!access_guest(CARD_BAR + 4096, 4, &value));
    g_assert(!access_guest(CARD_BAR + 2044, 8, &value));
    g_assert(!access_guest(CARD_BAR - 4, 4, &value));
    g_assert(!access_guest(0x8000, 4, &value));
    g_assert(!access_own(CARD_BAR, 4, &value));
    g_assert(access_guest(rom, 4, &value));
    g_assert(access_port(0x8000, 4));
    g_assert(access_port(0x8ffc, 4));
    g_assert(!access_port(0x7fff, 1));
    g_assert(!access_port(0x9000, 1));

    /* A reset of the bus: whatever is there now, it is not the device. */
    pci_device_reset(pdev);
    g_assert(!access_guest(CARD_BAR, 4, &value));
    g_assert(!access_port(0x8000, 4));
    machine_forget();
    card_remove(pdev);
}

void suite_pages(void)
{
    machine_start("", NULL);
    g_test_add_func("/gm/pages/mapped", test_mapped);
    g_test_add_func("/gm/pages/access", test_access);
    g_test_add_func("/gm/pages/moves", test_moves);
    g_test_add_func("/gm/pages/conflict", test_conflict);
    g_test_add_func("/gm/pages/refused", test_refused);
    g_test_add_func("/gm/pages/refused-half", test_refused_half);
    g_test_add_func("/gm/pages/not-revoked", test_not_revoked);
    g_test_add_func("/gm/pages/direct", test_direct);
    g_test_add_func("/gm/pages/not-direct", test_not_direct);
    g_test_add_func("/gm/pages/no-pages", test_no_pages);
}
