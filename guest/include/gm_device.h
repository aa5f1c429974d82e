/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The `guarded-modules' PCI device, as the guest sees it: it offers the
 * registered images, and nothing else. Registers are 32-bit, little-endian.
 */
#ifndef GM_DEVICE_H
#define GM_DEVICE_H

#define GM_PCI_VENDOR_ID	0x1234	/* QEMU */
#define GM_PCI_DEVICE_ID	0x676d
#define GM_PCI_REVISION		1

#define GM_BAR_REGS		0	/* 4 KiB of registers */
#define GM_BAR_IMAGE		2	/* read-only window on the selected image */

#define GM_REG_MAGIC		0x00	/* r:  GM_DEVICE_MAGIC */
#define GM_REG_COUNT		0x04	/* r:  registered images */
#define GM_REG_SELECT		0x08	/* rw: index, fills SIZE, NAME and the window */
#define GM_REG_SIZE		0x0c	/* r:  bytes; 0: nothing selected */
#define GM_REG_NAME		0x40	/* r:  char[64], the module's name */

#define GM_DEVICE_MAGIC		0x31444d47	/* "GMD1" */

#endif /* GM_DEVICE_H */
