/*
 * Guarded modules: what the guest may write to configuration space.
 *
 * Configuration space stays the guest's, since it has to fit the device into
 * the machine; and what a driver wants there, the guest's kernel does for it.
 * But it must not be a way to the registers, nor to have them change under the
 * module, which would go on with a device that is in another state than it
 * thinks. So what is not in the table below is refused, from the grant on:
 * what a device has there of its own can be a way to all of its registers (an
 * index and a data register are common), and the guest could prepare it for a
 * module that it loads later.
 *
 * Free are
 *
 *  - bus mastering, INTx, MSI and MSI-X: what the device does to the guest's
 *    memory and when it interrupts. Both are the guest's anyway, and all
 *    drivers ask for it.
 *  - the reporting of errors, and how PCI Express carries data: sizes,
 *    ordering, ASPM.
 *  - what is read of vital product data; to write it would last.
 *
 * and until the module is sealed
 *
 *  - the BARs. Then a BAR that is mapped stays where it is, and its decoding
 *    on; one that is not can be placed and mapped, as a driver's probe has it
 *    done.
 *  - the boot ROM. Later nobody needs it, and a device may decode it in place
 *    of its registers.
 *  - power states, and resets of the function. A device comes back from D3hot,
 *    as from a reset, with registers as at power-on, if it comes. To set it
 *    back to D0 is free. A driver that suspends the device is told that it
 *    stays in D0, which Linux takes for a device that cannot sleep; one that
 *    resets it by its function level reset finds it as it was.
 *
 * So nobody can have it share address space or requests in other ways (ATS,
 * PRI, PASID, ACS, SR-IOV, resizable BARs, enhanced allocation), or send it to
 * a self-test.
 *
 * The file depends on nothing of QEMU, so that tests can try every bit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "pci-policy.h"

/* Bounds of lists that a device may have wrong, or circular. */
#define GM_MAX_CAPS     48
#define GM_MAX_EXT_CAPS ((4096 - 256) / 4)

#define GM_PM_STATE     PCI_PM_CTRL_STATE_MASK
#define GM_ALL          UINT32_MAX

typedef enum GmPciWhere {
    GM_PCI_HEADER,
    GM_PCI_CAP,
    GM_PCI_EXT_CAP,
} GmPciWhere;

/*
 * Registers that the guest may write. `free' are bits that it may change,
 * sealed or not; `loose' those that it may only until then; `zero' those of
 * the latter, or of none, that it may clear all the same.
 */
static const struct GmPciRule {
    GmPciWhere where;
    uint16_t id;                /* of the capability */
    uint16_t offset;            /* in it */
    uint8_t size;
    uint32_t free;
    uint32_t loose;
    uint32_t zero;
} gm_pci_rules[] = {
    /* Turning decoding off is up to GmPciState. */
    { GM_PCI_HEADER, 0, PCI_COMMAND, 2, GM_ALL },
    { GM_PCI_HEADER, 0, PCI_STATUS, 2, GM_ALL },
    { GM_PCI_HEADER, 0, PCI_CACHE_LINE_SIZE, 1, GM_ALL },
    { GM_PCI_HEADER, 0, PCI_LATENCY_TIMER, 1, GM_ALL },
    /* As are BARs that are mapped. */
    { GM_PCI_HEADER, 0, PCI_BASE_ADDRESS_0, 4, GM_ALL },
    { GM_PCI_HEADER, 0, PCI_BASE_ADDRESS_1, 4, GM_ALL },
    { GM_PCI_HEADER, 0, PCI_BASE_ADDRESS_2, 4, GM_ALL },
    { GM_PCI_HEADER, 0, PCI_BASE_ADDRESS_3, 4, GM_ALL },
    { GM_PCI_HEADER, 0, PCI_BASE_ADDRESS_4, 4, GM_ALL },
    { GM_PCI_HEADER, 0, PCI_BASE_ADDRESS_5, 4, GM_ALL },
    { GM_PCI_HEADER, 0, PCI_ROM_ADDRESS, 4, 0, GM_ALL },
    { GM_PCI_HEADER, 0, PCI_INTERRUPT_LINE, 1, GM_ALL },

    { GM_PCI_CAP, PCI_CAP_ID_PM, PCI_PM_CTRL, 2, ~GM_PM_STATE, GM_PM_STATE,
      GM_PM_STATE },
    { GM_PCI_CAP, PCI_CAP_ID_VPD, PCI_VPD_ADDR, 2, PCI_VPD_ADDR_MASK, 0,
      PCI_VPD_ADDR_F },
    { GM_PCI_CAP, PCI_CAP_ID_MSI, PCI_MSI_FLAGS, 2, GM_ALL },
    { GM_PCI_CAP, PCI_CAP_ID_MSI, 4, 4, GM_ALL },
    { GM_PCI_CAP, PCI_CAP_ID_MSI, 8, 4, GM_ALL },
    { GM_PCI_CAP, PCI_CAP_ID_MSI, 12, 4, GM_ALL },
    { GM_PCI_CAP, PCI_CAP_ID_MSI, 16, 4, GM_ALL },
    { GM_PCI_CAP, PCI_CAP_ID_MSI, 20, 4, GM_ALL },
    { GM_PCI_CAP, PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS, 2, GM_ALL },
    { GM_PCI_CAP, PCI_CAP_ID_EXP, PCI_EXP_DEVCTL, 2,
      ~PCI_EXP_DEVCTL_BCR_FLR, PCI_EXP_DEVCTL_BCR_FLR },
    { GM_PCI_CAP, PCI_CAP_ID_EXP, PCI_EXP_DEVSTA, 2, GM_ALL },
    { GM_PCI_CAP, PCI_CAP_ID_EXP, PCI_EXP_LNKCTL, 2,
      ~(PCI_EXP_LNKCTL_LD | PCI_EXP_LNKCTL_RL) },
    { GM_PCI_CAP, PCI_CAP_ID_EXP, PCI_EXP_LNKSTA, 2, GM_ALL },
    { GM_PCI_CAP, PCI_CAP_ID_EXP, PCI_EXP_DEVCTL2, 2, GM_ALL },
    { GM_PCI_CAP, PCI_CAP_ID_EXP, PCI_EXP_DEVSTA2, 2, GM_ALL },
    { GM_PCI_CAP, PCI_CAP_ID_AF, PCI_AF_CTRL, 1, 0, PCI_AF_CTRL_FLR },

    { GM_PCI_EXT_CAP, PCI_EXT_CAP_ID_ERR, PCI_ERR_UNCOR_STATUS, 4, GM_ALL },
    { GM_PCI_EXT_CAP, PCI_EXT_CAP_ID_ERR, PCI_ERR_UNCOR_MASK, 4, GM_ALL },
    { GM_PCI_EXT_CAP, PCI_EXT_CAP_ID_ERR, PCI_ERR_UNCOR_SEVER, 4, GM_ALL },
    { GM_PCI_EXT_CAP, PCI_EXT_CAP_ID_ERR, PCI_ERR_COR_STATUS, 4, GM_ALL },
    { GM_PCI_EXT_CAP, PCI_EXT_CAP_ID_ERR, PCI_ERR_COR_MASK, 4, GM_ALL },
    { GM_PCI_EXT_CAP, PCI_EXT_CAP_ID_ERR, PCI_ERR_CAP, 4, GM_ALL },
};

static uint16_t gm_pci_word(const GmPciState *s, unsigned addr)
{
    return addr + 2 <= s->size ? s->config[addr] | s->config[addr + 1] << 8 : 0;
}

/* Bytes of the capability at @start, if rules depend on that. */
static unsigned gm_pci_cap_size(const GmPciState *s, unsigned start,
                                uint16_t id)
{
    uint16_t flags = gm_pci_word(s, start + PCI_CAP_FLAGS);

    switch (id) {
    case PCI_CAP_ID_MSI:
        return 10 + (flags & PCI_MSI_FLAGS_64BIT ? 4 : 0) +
               (flags & PCI_MSI_FLAGS_MASKBIT ? 10 : 0);
    case PCI_CAP_ID_EXP:
        return (flags & PCI_EXP_FLAGS_VERS) < 2 ? PCI_EXP_LNKSTA + 2
                                                : PCI_EXP_SLTSTA2 + 2;
    default:
        return UINT16_MAX;
    }
}

/* The rules for what starts at @start, which may or may not be about @addr. */
static void gm_pci_apply(const GmPciState *s, GmPciWhere where, uint16_t id,
                         unsigned start, unsigned addr, GmPciBits *bits)
{
    const struct GmPciRule *r;
    unsigned at = addr - start;

    if (addr < start || (where == GM_PCI_CAP &&
                         at >= gm_pci_cap_size(s, start, id))) {
        return;
    }
    for (r = gm_pci_rules; r < gm_pci_rules + G_N_ELEMENTS(gm_pci_rules); r++) {
        unsigned shift = 8 * (at - r->offset);
        uint8_t change;

        if (r->where != where || r->id != id || at < r->offset ||
            at - r->offset >= r->size) {
            continue;
        }
        change = (r->free | (s->sealed ? 0 : r->loose)) >> shift;
        bits->set |= change;
        bits->clear |= change | r->zero >> shift;
    }
}

static void gm_pci_apply_caps(const GmPciState *s, unsigned addr,
                              GmPciBits *bits)
{
    unsigned start, i;

    if (!(gm_pci_word(s, PCI_STATUS) & PCI_STATUS_CAP_LIST)) {
        return;
    }
    start = s->config[PCI_CAPABILITY_LIST] & ~3;
    for (i = 0; i < GM_MAX_CAPS && start >= PCI_STD_HEADER_SIZEOF; i++) {
        gm_pci_apply(s, GM_PCI_CAP, s->config[start], start, addr, bits);
        start = s->config[start + PCI_CAP_LIST_NEXT] & ~3;
    }
}

static void gm_pci_apply_ext_caps(const GmPciState *s, unsigned addr,
                                  GmPciBits *bits)
{
    unsigned start = PCI_CFG_SPACE_SIZE, i;

    for (i = 0; i < GM_MAX_EXT_CAPS && start >= PCI_CFG_SPACE_SIZE &&
         start + 4 <= s->size; i++) {
        gm_pci_apply(s, GM_PCI_EXT_CAP, gm_pci_word(s, start), start, addr,
                     bits);
        start = gm_pci_word(s, start + 2) >> 4 & ~3;
    }
}

GmPciBits gm_pci_policy(const GmPciState *s, unsigned addr)
{
    GmPciBits bits = { 0 };

    if (addr < PCI_STD_HEADER_SIZEOF) {
        gm_pci_apply(s, GM_PCI_HEADER, 0, 0, addr, &bits);
    } else if (addr < PCI_CFG_SPACE_SIZE) {
        gm_pci_apply_caps(s, addr, &bits);
    } else {
        gm_pci_apply_ext_caps(s, addr, &bits);
    }
    if (s->sealed && addr < 64 && s->fixed & 1ULL << addr) {
        bits = (GmPciBits) { 0 };
    }
    if (s->sealed && addr == PCI_COMMAND) {
        bits.clear &= ~s->decoding;
    }
    return bits;
}

uint8_t gm_pci_merge(GmPciBits bits, uint8_t old, uint8_t value, bool *refused)
{
    uint8_t merged = (value & bits.set) | (old & ~bits.clear);

    *refused = merged != value;
    return merged;
}
