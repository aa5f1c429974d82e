/*
 * What the guest can do to the registers and the window.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"
#include "hw/misc/gm/gm_device.h"
#include "hw/pci/pci_bus.h"
#include "qapi/qapi-commands-qdev.h"

#define REGS    0xe1000000ULL   /* where the firmware puts them */
#define WINDOW  0xe1100000ULL

static void place(void)
{
    PCIDevice *pdev = PCI_DEVICE(gm_state());

    pdev->config_write(pdev, PCI_BASE_ADDRESS_0 + 4 * GM_BAR_REGS, REGS, 4);
    pdev->config_write(pdev, PCI_BASE_ADDRESS_0 + 4 * GM_BAR_IMAGE, WINDOW, 4);
    pdev->config_write(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
}

/* The window has the file @path, and zeroes behind. */
static void expect_window(const char *path)
{
    g_autofree uint8_t *seen = g_malloc(64 * 1024);
    g_autofree uint8_t *wanted = g_malloc0(64 * 1024);
    g_autofree char *file = NULL;
    size_t size;

    if (path) {
        g_assert(g_file_get_contents(path, &file, &size, NULL));
        memcpy(wanted, file, size);
    }
    address_space_read(&address_space_memory, WINDOW, MEMTXATTRS_UNSPECIFIED, seen, 64 * 1024);
    g_assert(!memcmp(seen, wanted, 64 * 1024));
}

static void test_registers(void)
{
    char name[KVM_GM_NAME_LEN];
    unsigned i;

    g_assert_cmphex(machine_load(REGS + GM_REG_MAGIC), ==, GM_DEVICE_MAGIC);
    g_assert_cmpuint(machine_load(REGS + GM_REG_COUNT), ==, 0);
    machine_register(machine_image, NULL, &error_abort);
    machine_register(machine_greedy, NULL, &error_abort);
    g_assert_cmpuint(machine_load(REGS + GM_REG_COUNT), ==, 2);
    g_assert_cmpuint(machine_load(REGS + GM_REG_SIZE), ==, 0);
    expect_window(NULL);

    machine_store(REGS + GM_REG_SELECT, 1);
    g_assert_cmpuint(machine_load(REGS + GM_REG_SELECT), ==, 1);
    for (i = 0; i < sizeof(name); i += 4) {
        stl_le_p(name + i, machine_load(REGS + GM_REG_NAME + i));
    }
    g_assert_cmpstr(name, ==, "greedy");
    expect_window(machine_greedy);

    /* What is no register reads as zero, and does nothing. */
    for (i = GM_REG_NAME + KVM_GM_NAME_LEN; i < 0x1000; i += 4) {
        g_assert_cmphex(machine_load(REGS + i), ==, 0);
    }
    machine_store(REGS + GM_REG_COUNT, 0);
    machine_store(REGS + GM_REG_SIZE, 0);
    machine_store(REGS + GM_REG_NAME, 0);
    machine_store(REGS + 0xffc, 0);
    g_assert_cmpuint(machine_load(REGS + GM_REG_SELECT), ==, 1);
    expect_window(machine_greedy);
    machine_forget();
}

/* Accesses of other sizes fail, as where there is nothing. */
static void test_sizes(void)
{
    MemoryRegion *mr = &gm_state()->regs;
    uint64_t value;
    MemTxResult result;

    machine_register(machine_image, NULL, &error_abort);
    machine_store(REGS + GM_REG_SELECT, 0);
    result = memory_region_dispatch_read(mr, GM_REG_NAME + KVM_GM_NAME_LEN - 1, &value, MO_8,
                                         MEMTXATTRS_UNSPECIFIED);
    g_assert_cmphex(result, ==, MEMTX_DECODE_ERROR);
    result = memory_region_dispatch_read(mr, GM_REG_NAME + KVM_GM_NAME_LEN - 2, &value,
                                         MO_32 | MO_LE, MEMTXATTRS_UNSPECIFIED);
    g_assert_cmphex(result, ==, MEMTX_DECODE_ERROR);
    result = memory_region_dispatch_read(mr, GM_REG_MAGIC, &value, MO_64 | MO_LE,
                                         MEMTXATTRS_UNSPECIFIED);
    g_assert_cmphex(result, ==, MEMTX_DECODE_ERROR);
    result = memory_region_dispatch_write(mr, GM_REG_SELECT, 7, MO_8, MEMTXATTRS_UNSPECIFIED);
    g_assert_cmphex(result, ==, MEMTX_DECODE_ERROR);
    g_assert_cmpuint(machine_load(REGS + GM_REG_SELECT), ==, 0);
    machine_forget();
}

/* Any number can be selected. */
static void test_select(void)
{
    static const uint32_t numbers[] = { 1, 2, 0x7fffffff, 0x80000000, UINT32_MAX };
    unsigned i;

    machine_register(machine_image, NULL, &error_abort);
    for (i = 0; i < G_N_ELEMENTS(numbers); i++) {
        machine_store(REGS + GM_REG_SELECT, 0);
        expect_window(machine_image);
        machine_store(REGS + GM_REG_SELECT, numbers[i]);
        g_assert_cmphex(machine_load(REGS + GM_REG_SELECT), ==, numbers[i]);
        g_assert_cmpuint(machine_load(REGS + GM_REG_SIZE), ==, 0);
        g_assert_cmphex(machine_load(REGS + GM_REG_NAME), ==, 0);
        expect_window(NULL);
    }
    machine_forget();
}

static void test_window(void)
{
    g_auto(GmTestImage) t = { 0 };
    g_autofree char *longer = NULL;

    gm_test_image_init(&t);
    memset(t.m->id, 0x11, sizeof(t.m->id));
    strcpy(t.m->name, "longer");
    t.data = g_realloc(t.data, t.size + 8);
    memset(t.data + t.size, 0xee, 8);
    t.size += 8;
    longer = machine_write_image(&t, "longer");

    machine_register(longer, NULL, &error_abort);
    machine_register(machine_plain, NULL, &error_abort);
    machine_store(REGS + GM_REG_SELECT, 0);
    expect_window(longer);
    machine_store(REGS + GM_REG_SELECT, 1);
    expect_window(machine_plain);

    /* It is not the guest's to change. */
    machine_store(WINDOW, 0);
    machine_store(WINDOW + 0x1000, 0);
    expect_window(machine_plain);

    /* What is withdrawn is not shown any longer; another one stays. */
    gm_unregister("longer", &error_abort);
    expect_window(machine_plain);
    gm_unregister("plain", &error_abort);
    g_assert_cmpuint(machine_load(REGS + GM_REG_SIZE), ==, 0);
    expect_window(NULL);
    machine_forget();
}

static void test_reset(void)
{
    machine_register(machine_image, NULL, &error_abort);
    machine_register(machine_plain, NULL, &error_abort);
    machine_store(REGS + GM_REG_SELECT, 1);
    device_cold_reset(DEVICE(gm_state()));
    place();
    g_assert_cmpuint(machine_load(REGS + GM_REG_SELECT), ==, 0);
    g_assert_cmpuint(machine_load(REGS + GM_REG_SIZE), ==, 0);
    expect_window(NULL);
    machine_forget();
    place();
}

/* No administrator unplugs it by mistake. */
static void test_unplug(void)
{
    Error *err = NULL;

    qmp_device_del("gm0", &err);
    machine_expect_error(err, "Device 'guarded-modules' does not support hotplugging");
    qmp_device_del("gm0", NULL);
    g_assert(gm_state());
}

/* Keys that cannot be read any more are not relied on; those from before are still told. */
static void test_keyring(void)
{
    g_autofree char *moved = g_strconcat(machine_keyring, ".moved", NULL);
    GmKeyring *before = gm_state()->keyring;
    g_autofree char *text = g_strdup_printf("cannot register '%s': cannot read the keyring: "
                                            "Could not open '%s': No such file or directory",
                                            machine_image, machine_keyring);
    Error *err = NULL;

    g_assert(!rename(machine_keyring, moved));
    g_assert(!machine_register(machine_image, NULL, &err));
    machine_expect_error(err, text);
    g_assert(gm_state()->keyring == before);
    g_assert(!rename(moved, machine_keyring));
    machine_register(machine_image, NULL, &error_abort);
    machine_forget();
}

void suite_device(void)
{
    machine_start("", NULL);
    place();
    g_test_add_func("/gm/device/registers", test_registers);
    g_test_add_func("/gm/device/sizes", test_sizes);
    g_test_add_func("/gm/device/select", test_select);
    g_test_add_func("/gm/device/window", test_window);
    g_test_add_func("/gm/device/reset", test_reset);
    g_test_add_func("/gm/device/unplug", test_unplug);
    g_test_add_func("/gm/device/keyring", test_keyring);
}
