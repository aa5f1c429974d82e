/*
 * Guarded modules: what the guest may write to configuration space.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_PCI_POLICY_H
#define HW_MISC_GM_PCI_POLICY_H

/* A function (no bridge) that has been granted. */
typedef struct GmPciState {
    const uint8_t *config;
    unsigned size;              /* bytes of it */
    bool sealed;                /* its module is: the rest counts then only */
    uint64_t fixed;             /* bytes (of 64) that keep mapped BARs there */
    uint8_t decoding;           /* bits of PCI_COMMAND that have BARs mapped */
} GmPciState;

/*
 * Of one byte: bits that the guest may set, and those that it may clear. A bit
 * of the latter alone is cleared by any write, whatever is written.
 */
typedef struct GmPciBits {
    uint8_t set;
    uint8_t clear;
} GmPciBits;

GmPciBits gm_pci_policy(const GmPciState *s, unsigned addr);

/* What becomes of a byte that is @old; @refused if that is not @value. */
uint8_t gm_pci_merge(GmPciBits bits, uint8_t old, uint8_t value,
                     bool *refused);

#endif /* HW_MISC_GM_PCI_POLICY_H */
