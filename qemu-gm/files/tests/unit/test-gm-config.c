/*
 * Guarded modules: what the guest may write to configuration space.
 *
 * Of a function with each capability that there is, every byte is tried: what
 * is not expected here must be refused.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "../../hw/misc/gm/pci-policy.h"

#define PM      0x40
#define VPD     0x48
#define MSI     0x50            /* 64 bits, with masks */
#define MSIX    0x70
#define EXP     0x80            /* version 2 */
#define AF      0xc0
#define VNDR    0xc8
#define SATA    0xd8
#define EA      0xe0

#define AER     0x100
#define EXT     0x180           /* others, 0x20 bytes each */

static const uint16_t ext_caps[] = {
    PCI_EXT_CAP_ID_VC, PCI_EXT_CAP_ID_PWR, PCI_EXT_CAP_ID_VNDR,
    PCI_EXT_CAP_ID_ACS, PCI_EXT_CAP_ID_ARI, PCI_EXT_CAP_ID_ATS,
    PCI_EXT_CAP_ID_SRIOV, PCI_EXT_CAP_ID_PRI, PCI_EXT_CAP_ID_REBAR,
    PCI_EXT_CAP_ID_DPA, PCI_EXT_CAP_ID_TPH, PCI_EXT_CAP_ID_LTR,
    PCI_EXT_CAP_ID_PASID, PCI_EXT_CAP_ID_DPC, PCI_EXT_CAP_ID_L1SS,
    PCI_EXT_CAP_ID_PTM, PCI_EXT_CAP_ID_DVSEC, PCI_EXT_CAP_ID_DOE,
};

static uint8_t config[4096];

static void put_word(unsigned addr, uint16_t value)
{
    config[addr] = value;
    config[addr + 1] = value >> 8;
}

static void put_cap(unsigned addr, uint8_t id, uint16_t flags, unsigned next)
{
    config[addr] = id;
    config[addr + 1] = next;
    put_word(addr + 2, flags);
}

static void put_ext_cap(unsigned addr, uint16_t id, unsigned next)
{
    put_word(addr, id);
    put_word(addr + 2, next << 4 | 1);
}

static void make_config(void)
{
    unsigned i;

    memset(config, 0xff, sizeof(config));
    memset(config, 0, PCI_STD_HEADER_SIZEOF);
    put_word(PCI_STATUS, PCI_STATUS_CAP_LIST);
    config[PCI_CAPABILITY_LIST] = PM;
    put_cap(PM, PCI_CAP_ID_PM, 0, VPD);
    put_cap(VPD, PCI_CAP_ID_VPD, 0, MSI);
    put_cap(MSI, PCI_CAP_ID_MSI, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT,
            MSIX);
    put_cap(MSIX, PCI_CAP_ID_MSIX, 0, EXP);
    put_cap(EXP, PCI_CAP_ID_EXP, 2, AF);
    put_cap(AF, PCI_CAP_ID_AF, 0, VNDR);
    put_cap(VNDR, PCI_CAP_ID_VNDR, 0, SATA);
    put_cap(SATA, PCI_CAP_ID_SATA, 0, EA);
    put_cap(EA, PCI_CAP_ID_EA, 0, 0);
    put_ext_cap(AER, PCI_EXT_CAP_ID_ERR, EXT);
    for (i = 0; i < G_N_ELEMENTS(ext_caps); i++) {
        unsigned at = EXT + 0x20 * i;

        put_ext_cap(at, ext_caps[i],
                    i + 1 < G_N_ELEMENTS(ext_caps) ? at + 0x20 : 0);
    }
}

/* What is expected of some bytes; all others are refused. */
typedef struct Expected {
    unsigned first, count;
    uint8_t set, clear;
} Expected;

static void expect_all(const GmPciState *s, const Expected *e)
{
    unsigned addr;

    for (addr = 0; addr < s->size; addr++) {
        GmPciBits bits = gm_pci_policy(s, addr);
        const Expected none = { 0 }, *want = &none, *i;

        for (i = e; i->count; i++) {
            if (addr >= i->first && addr < i->first + i->count) {
                want = i;
            }
        }
        if (bits.set != want->set || bits.clear != want->clear) {
            g_test_message("byte 0x%x: may set 0x%02x and clear 0x%02x, "
                           "expected 0x%02x and 0x%02x", addr, bits.set,
                           bits.clear, want->set, want->clear);
            g_test_fail();
        }
    }
}

/* The same at any time. */
#define FREE                                                            \
    { PCI_COMMAND, 4, 0xff, 0xff },                                     \
    { PCI_CACHE_LINE_SIZE, 2, 0xff, 0xff },                             \
    { PCI_BASE_ADDRESS_0, 24, 0xff, 0xff },                             \
    { PCI_INTERRUPT_LINE, 1, 0xff, 0xff },                              \
    { PM + PCI_PM_CTRL + 1, 1, 0xff, 0xff },                            \
    { VPD + PCI_VPD_ADDR, 1, 0xff, 0xff },                              \
    { VPD + PCI_VPD_ADDR + 1, 1, 0x7f, 0xff },                          \
    { MSI + PCI_MSI_FLAGS, 22, 0xff, 0xff },                            \
    { MSIX + PCI_MSIX_FLAGS, 2, 0xff, 0xff },                           \
    { EXP + PCI_EXP_DEVCTL, 1, 0xff, 0xff },                            \
    { EXP + PCI_EXP_DEVSTA, 2, 0xff, 0xff },                            \
    { EXP + PCI_EXP_LNKCTL, 1, 0xcf, 0xcf },                            \
    { EXP + PCI_EXP_LNKCTL + 1, 3, 0xff, 0xff },                        \
    { EXP + PCI_EXP_DEVCTL2, 4, 0xff, 0xff },                           \
    { AER + PCI_ERR_UNCOR_STATUS, 24, 0xff, 0xff }

static void test_granted(void)
{
    const GmPciState s = { .config = config, .size = sizeof(config),
                           .fixed = UINT64_MAX, .decoding = 3 };
    const Expected e[] = {
        FREE,
        { PCI_ROM_ADDRESS, 4, 0xff, 0xff },
        { PM + PCI_PM_CTRL, 1, 0xff, 0xff },
        { EXP + PCI_EXP_DEVCTL + 1, 1, 0xff, 0xff },
        { AF + PCI_AF_CTRL, 1, 1, 1 },
        { 0 }
    };

    make_config();
    expect_all(&s, e);
}

static void test_sealed(void)
{
    const GmPciState s = { .config = config, .size = sizeof(config),
                           .sealed = true };
    const Expected e[] = {
        FREE,
        { PM + PCI_PM_CTRL, 1, 0xfc, 0xff },
        { EXP + PCI_EXP_DEVCTL + 1, 1, 0x7f, 0x7f },
        { 0 }
    };

    make_config();
    expect_all(&s, e);
}

/* BARs 0 and 2 are mapped, the latter of ports. */
static void test_sealed_mapped(void)
{
    const GmPciState s = { .config = config, .size = sizeof(config),
                           .sealed = true, .decoding = 3,
                           .fixed = 0xf0fULL << PCI_BASE_ADDRESS_0 };
    const Expected e[] = {
        FREE,
        { PCI_COMMAND, 1, 0xff, 0xfc },
        { PCI_BASE_ADDRESS_0, 4, 0, 0 },
        { PCI_BASE_ADDRESS_2, 4, 0, 0 },
        { PM + PCI_PM_CTRL, 1, 0xfc, 0xff },
        { EXP + PCI_EXP_DEVCTL + 1, 1, 0x7f, 0x7f },
        { 0 }
    };

    make_config();
    expect_all(&s, e);
}

/* Capabilities that are shorter: what is behind them is something else. */
static void test_short_caps(void)
{
    static const struct {
        uint16_t flags;
        unsigned size;
    } msi[] = {
        { 0, 10 }, { PCI_MSI_FLAGS_64BIT, 14 }, { PCI_MSI_FLAGS_MASKBIT, 20 },
    };
    GmPciState s = { .config = config, .size = sizeof(config) };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(msi); i++) {
        make_config();
        put_word(MSI + PCI_MSI_FLAGS, msi[i].flags);
        g_assert_cmphex(gm_pci_policy(&s, MSI + msi[i].size - 1).set, ==, 0xff);
        g_assert_cmphex(gm_pci_policy(&s, MSI + msi[i].size).set, ==, 0);
    }
    make_config();
    put_word(EXP + PCI_EXP_FLAGS, 1);
    g_assert_cmphex(gm_pci_policy(&s, EXP + PCI_EXP_LNKSTA).set, ==, 0xff);
    g_assert_cmphex(gm_pci_policy(&s, EXP + PCI_EXP_DEVCTL2).set, ==, 0);
}

static void expect_merged(uint8_t set, uint8_t clear, uint8_t old,
                          uint8_t value, uint8_t merged)
{
    const GmPciBits bits = { set, clear };
    bool refused;

    g_assert_cmphex(gm_pci_merge(bits, old, value, &refused), ==, merged);
    g_assert_cmpint(refused, ==, merged != value);
}

static void test_merge(void)
{
    expect_merged(0xff, 0xff, 0x5a, 0xa5, 0xa5);
    expect_merged(0x00, 0x00, 0x5a, 0xa5, 0x5a);
    expect_merged(0x00, 0x00, 0x5a, 0x5a, 0x5a);
    expect_merged(0xff, 0xfc, 0x03, 0x04, 0x07);
    expect_merged(0xff, 0xfc, 0x00, 0x03, 0x03);
    expect_merged(0xff, 0xfc, 0x02, 0x01, 0x03);
    /* What may be cleared alone is: a write of vital product data, say. */
    expect_merged(0x7f, 0xff, 0x80, 0x81, 0x01);
    expect_merged(0xfc, 0xff, 0x00, 0x0f, 0x0c);
    expect_merged(0xfc, 0xff, 0x03, 0x0c, 0x0c);
}

/* No capabilities, or no room for extended ones. */
static void test_no_caps(void)
{
    GmPciState s = { .config = config, .size = 256 };

    make_config();
    put_word(PCI_STATUS, 0);
    g_assert_cmphex(gm_pci_policy(&s, PM + PCI_PM_CTRL).set, ==, 0);
    make_config();
    g_assert_cmphex(gm_pci_policy(&s, PM + PCI_PM_CTRL).set, ==, 0xff);
    g_assert_cmphex(gm_pci_policy(&s, AER + PCI_ERR_COR_MASK).set, ==, 0);
    s.size = AER + 3;
    g_assert_cmphex(gm_pci_policy(&s, AER + PCI_ERR_COR_MASK).set, ==, 0);
}

/* Lists without an end, or that lead out: it ends, and reads nothing beyond. */
static void test_bad_lists(void)
{
    g_autofree uint8_t *copy = NULL;
    GmPciState s = { .size = sizeof(config) };
    unsigned addr, i;

    for (i = 0; i < 2000; i++) {
        make_config();
        for (addr = 0; addr < sizeof(config); addr++) {
            if (!g_test_rand_int_range(0, 20)) {
                config[addr] = g_test_rand_int_range(0, 256);
            }
        }
        put_word(PCI_STATUS, PCI_STATUS_CAP_LIST);
        s.size = i % 2 ? 256 : sizeof(config);
        g_free(copy);
        s.config = copy = g_memdup2(config, s.size);
        for (addr = 0; addr < s.size; addr += 1 + addr / 64) {
            gm_pci_policy(&s, addr);
        }
    }
    make_config();
    s.config = config;
    config[PM + 1] = PM;
    put_ext_cap(AER, PCI_EXT_CAP_ID_ERR, AER);
    g_assert_cmphex(gm_pci_policy(&s, 0xf0).set, ==, 0);
    g_assert_cmphex(gm_pci_policy(&s, 0xff0).set, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gm/config/granted", test_granted);
    g_test_add_func("/gm/config/sealed", test_sealed);
    g_test_add_func("/gm/config/sealed-mapped", test_sealed_mapped);
    g_test_add_func("/gm/config/short-caps", test_short_caps);
    g_test_add_func("/gm/config/merge", test_merge);
    g_test_add_func("/gm/config/no-caps", test_no_caps);
    g_test_add_func("/gm/config/bad-lists", test_bad_lists);
    return g_test_run();
}
