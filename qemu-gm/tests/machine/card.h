/*
 * PCI devices of a test's own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_GM_CARD_H
#define TESTS_GM_CARD_H

#include "machine.h"

#define CARD_BAR        0xe2000000ULL   /* where the firmware puts the first BAR */

/* Plug it in; @realize gives it what it has. Placed, and decoding. */
PCIDevice *card_add(const char *id, void (*realize)(PCIDevice *pdev));

/* The same, but vfio takes it for its own. */
PCIDevice *card_add_vfio(const char *id, void (*realize)(PCIDevice *pdev));

/* As when the guest ejects it. */
void card_remove(PCIDevice *pdev);

/* For @realize: BAR @i, of registers that are all 0x5a. */
void card_bar(PCIDevice *pdev, int i, uint8_t type, uint64_t size);
MemoryRegion *card_region(int i);

/* One that has not been used before. */
MemoryRegion *card_new_region(void);

#endif /* TESTS_GM_CARD_H */
