/*
 * What the guest writes to a granted device's configuration space. Bit by bit, that is
 * test-gm-config; here is what state of the device decides, and what is written at all.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "card.h"
#include "suites.h"
#include "hw/pci/pci_host.h"
#include "qapi/qapi-commands-guarded-modules.h"

#define CAP_PM          0xc8    /* of e1000e */
#define OWN             0x44    /* a register that no capability is for */

static uint32_t get(uint32_t addr, int size)
{
    return pci_host_config_read_common(machine_nic, addr, pci_config_size(machine_nic), size);
}

static void put(uint32_t addr, uint32_t value, int size)
{
    pci_host_config_write_common(machine_nic, addr, pci_config_size(machine_nic), value, size);
}

static uint64_t refused(void)
{
    g_autoptr(GmInfo) info = qmp_query_gm(false, false, &error_abort);

    return info->modules->value->hidden->value->config_writes;
}

/* What becomes of it, and whether that counts as refused. */
static void try(uint32_t addr, uint32_t value, int size, uint32_t wanted)
{
    uint64_t before = refused();

    put(addr, value, size);
    g_assert_cmphex(get(addr, size), ==, wanted);
    g_assert_cmpuint(refused(), ==, before + (wanted != value));
}

static void start(bool sealed)
{
    machine_register(machine_image, (const char *[]) { "mmio=nic0", NULL }, &error_abort);
    if (sealed) {
        g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    }
}

static void end(void)
{
    machine_forget();
    machine_nic->config_write(machine_nic, PCI_BASE_ADDRESS_0, MACHINE_NIC_BAR, 4);
    machine_nic->config_write(machine_nic, PCI_BASE_ADDRESS_1, 0, 4);
    machine_nic->config_write(machine_nic, PCI_BASE_ADDRESS_2, MACHINE_NIC_PORTS, 4);
    machine_nic->config_write(machine_nic, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
}

static void test_own(void)
{
    start(false);
    try(OWN, 0x4321, 2, get(OWN, 2));
    try(PCI_SUBSYSTEM_ID, 0x4321, 2, get(PCI_SUBSYSTEM_ID, 2));
    end();
    put(OWN, 0x4321, 2);
    g_assert_cmphex(get(OWN, 2), ==, 0x4321);
    put(OWN, 0, 2);
}

/* Until the seal: where it is, and whether it decodes, is the guest's to say. */
static void test_free(void)
{
    start(false);
    try(PCI_BASE_ADDRESS_0, 0xe1000000, 4, 0xe1000000);
    try(PCI_COMMAND, 0, 2, 0);
    try(PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2,
        PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    try(CAP_PM + PCI_PM_CTRL, 3, 2, 3);
    try(CAP_PM + PCI_PM_CTRL, 0, 2, 0);
    end();
}

/* Sealed: what is mapped stays where it is, and its decoding on. */
static void test_fixed(void)
{
    const uint16_t decoding = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;

    start(true);
    try(PCI_BASE_ADDRESS_0, 0xe1000000, 4, MACHINE_NIC_BAR);
    try(PCI_BASE_ADDRESS_0 + 2, 0xe100, 2, MACHINE_NIC_BAR >> 16);
    try(PCI_BASE_ADDRESS_0 + 3, 0xe1, 1, MACHINE_NIC_BAR >> 24);
    try(PCI_BASE_ADDRESS_2, 0xd001, 4, MACHINE_NIC_PORTS | 1);
    try(PCI_COMMAND, 0, 2, decoding);
    try(PCI_COMMAND, PCI_COMMAND_IO, 2, decoding);
    try(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2, decoding | PCI_COMMAND_MASTER);
    try(CAP_PM + PCI_PM_CTRL, 3, 2, 0);
    g_assert_cmpuint(fake_kvm.seals[1].ranges[0].gpa, ==, MACHINE_NIC_BAR);
    g_assert(fake_kvm.seals[1].ranges[0].hosts);
    end();
}

/* What keeps nothing mapped can be turned off. */
static void test_not_decoding(void)
{
    machine_nic->config_write(machine_nic, PCI_BASE_ADDRESS_2, 0, 4);
    start(true);
    try(PCI_COMMAND, PCI_COMMAND_MEMORY, 2, PCI_COMMAND_MEMORY);
    try(PCI_COMMAND, 0, 2, PCI_COMMAND_MEMORY);
    end();
}

/* A reset ends the seal, and with it that. */
static void test_free_again(void)
{
    start(true);
    gm_machine_reset(gm_state());
    try(PCI_BASE_ADDRESS_0, 0xe1000000, 4, 0xe1000000);
    try(PCI_COMMAND, 0, 2, 0);
    end();
}

/* Sealed: what is not mapped can be placed and mapped, once. */
static void test_placed(void)
{
    start(true);
    try(PCI_BASE_ADDRESS_1, 0xe1000000, 4, 0xe1000000);
    try(PCI_BASE_ADDRESS_1, 0xe1100000, 4, 0xe1000000);
    end();

    machine_nic->config_write(machine_nic, PCI_COMMAND, PCI_COMMAND_IO, 2);
    start(true);
    try(PCI_BASE_ADDRESS_0, 0xe1000000, 4, 0xe1000000);
    try(PCI_BASE_ADDRESS_0, MACHINE_NIC_BAR, 4, MACHINE_NIC_BAR);
    try(PCI_COMMAND, 0, 2, PCI_COMMAND_IO);
    try(PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    try(PCI_BASE_ADDRESS_0, 0xe1000000, 4, MACHINE_NIC_BAR);
    end();
}

static void large(PCIDevice *pdev)
{
    card_bar(pdev, 0, PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_64, 4096);
    card_bar(pdev, 2, PCI_BASE_ADDRESS_SPACE_MEMORY, 4096);
}

/* Of a BAR of 64 bits, both halves; not what is behind it. */
static void test_64_bits(void)
{
    PCIDevice *pdev = card_add("card", large);

    machine_register(machine_greedy, (const char *[]) { "mmio=card", NULL }, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_GREEDY, 0), ==, 0);
    pdev->config_write(pdev, PCI_BASE_ADDRESS_1, 1, 4);
    g_assert_cmphex(pci_get_long(pdev->config + PCI_BASE_ADDRESS_1), ==, 0);
    g_assert_cmpuint(refused(), ==, 1);
    pdev->config_write(pdev, PCI_BASE_ADDRESS_2, 0xe6000000, 4);
    g_assert_cmphex(pci_get_long(pdev->config + PCI_BASE_ADDRESS_2), ==, 0xe6000000);
    machine_forget();
    card_remove(pdev);
}

static unsigned writes;

static void count(PCIDevice *pdev, uint32_t addr, uint32_t val, int len)
{
    writes++;
    pci_default_write_config(pdev, addr, val, len);
}

/* Bytes that are refused as a whole are not written at all, the others as what they are. */
static void test_parts(void)
{
    PCIConfigWriteFunc *own = machine_nic->config_write;

    machine_nic->config_write = count;
    start(false);
    writes = 0;
    put(OWN, 0x12345678, 4);
    put(PCI_VENDOR_ID, 0, 4);
    g_assert_cmpuint(writes, ==, 0);
    /* Two of four bytes are free; one; all. */
    put(PCI_CACHE_LINE_SIZE, 0x7f7f0010, 4);
    g_assert_cmpuint(writes, ==, 1);
    g_assert_cmphex(get(PCI_CACHE_LINE_SIZE, 1), ==, 0x10);
    put(PCI_INTERRUPT_LINE, 0x1234, 4);
    g_assert_cmpuint(writes, ==, 2);
    g_assert_cmphex(get(PCI_INTERRUPT_LINE, 1), ==, 0x34);
    put(PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 4);
    g_assert_cmpuint(writes, ==, 3);
    machine_forget();
    machine_nic->config_write = own;
    end();
}

void suite_config(void)
{
    machine_start("", NULL);
    g_test_add_func("/gm/config/own", test_own);
    g_test_add_func("/gm/config/free", test_free);
    g_test_add_func("/gm/config/fixed", test_fixed);
    g_test_add_func("/gm/config/not-decoding", test_not_decoding);
    g_test_add_func("/gm/config/free-again", test_free_again);
    g_test_add_func("/gm/config/placed", test_placed);
    g_test_add_func("/gm/config/64-bits", test_64_bits);
    g_test_add_func("/gm/config/parts", test_parts);
}
