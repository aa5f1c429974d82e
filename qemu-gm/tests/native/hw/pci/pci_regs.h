/*
 * QEMU's copy of Linux' header, as the system has it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <linux/pci_regs.h>
