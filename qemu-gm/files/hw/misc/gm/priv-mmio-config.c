/*
 * Guarded modules: the guest's writes to a granted device's configuration
 * space.
 *
 * What may be written says pci-policy.c; what is refused has no effect, and is
 * counted. Bytes that are refused as a whole are not written at all, since to
 * write back what they are could do something: status bits are cleared by
 * ones.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "pci-policy.h"
#include "priv-mmio.h"
#include "trace.h"

/* The bytes of the header that keep mapped BARs where they are. */
static uint64_t gm_mmio_fixed(PCIDevice *pdev)
{
    uint64_t bytes = 0;
    int i;

    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        const PCIIORegion *r = &pdev->io_regions[i];

        if (r->size && r->addr != PCI_BAR_UNMAPPED) {
            bytes |= (r->type & PCI_BASE_ADDRESS_MEM_TYPE_64 ? 0xffULL : 0xf)
                     << pci_bar(pdev, i);
        }
    }
    return bytes;
}

/* The bits of PCI_COMMAND that have BARs mapped now. */
static uint8_t gm_mmio_decoding(const PCIDevice *pdev)
{
    uint8_t bits = 0;
    int i;

    for (i = 0; i < PCI_NUM_REGIONS; i++) {
        const PCIIORegion *r = &pdev->io_regions[i];

        if (r->size && r->addr != PCI_BAR_UNMAPPED) {
            bits |= r->type & PCI_BASE_ADDRESS_SPACE_IO ? PCI_COMMAND_IO
                                                        : PCI_COMMAND_MEMORY;
        }
    }
    return bits;
}

/* Write those of @len bytes that are not refused, in as few parts as can be. */
static void gm_mmio_write_allowed(GmMmio *m, uint32_t addr, uint32_t val,
                                  int len, unsigned allowed)
{
    unsigned all = (1U << len) - 1;

    if ((allowed & all) == all) {
        m->config_write(m->pdev, addr, val, len);
    } else if (allowed & all) {
        len /= 2;
        gm_mmio_write_allowed(m, addr, val & (UINT32_MAX >> (32 - 8 * len)),
                              len, allowed);
        gm_mmio_write_allowed(m, addr + len, val >> (8 * len), len,
                              allowed >> len);
    }
}

void gm_mmio_config_write(PCIDevice *pdev, uint32_t addr, uint32_t val, int len)
{
    GmMmio *m = gm_mmio_of(pdev);
    GmPrivilege *p = GM_PRIVILEGE(m);
    const GmPciState state = {
        .config = pdev->config,
        .size = pci_config_size(pdev),
        .sealed = p->seal,
        .fixed = gm_mmio_fixed(pdev),
        .decoding = gm_mmio_decoding(pdev),
    };
    uint32_t old = pdev->config_read(pdev, addr, len);
    uint32_t merged = 0;
    unsigned allowed = 0;
    bool refused = false;
    int i;

    for (i = 0; i < len; i++) {
        GmPciBits bits = gm_pci_policy(&state, addr + i);
        bool changed;

        merged |= (uint32_t)gm_pci_merge(bits, old >> (8 * i), val >> (8 * i),
                                         &changed) << (8 * i);
        allowed |= (bits.set || bits.clear) << i;
        refused |= changed;
    }
    if (refused) {
        m->config_refused++;
        trace_gm_config_refused(p->module, p->text, addr, val, len);
    }
    gm_mmio_write_allowed(m, addr, merged, len, allowed);
}
