/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all functions that modules absorb have in common.
 *
 * Such a function runs inside, on arguments and structures that the guest's kernel
 * owns, and so may have made up. A write to where such a pointer leads could let the
 * guest change what a return of the module's goes to, if that is a private stack; a
 * read could be of a register of the device's that changes when it is read.
 * So nothing here goes through a pointer that gm_outside() has not seen (but
 * memcpy_toio() reads what the driver would have), and what that refuses, as anything unusual, goes to the kernel's own function, outside.
 * An index from the guest's memory is compared with its bound right before its use.
 */
#ifndef GM_ABSORB_H
#define GM_ABSORB_H

#include <linux/compiler.h>
#include <asm/page_types.h>

/*
 * Linux loads modules into the last 2 GiB, their stacks and private data with them; what
 * it allocates is below. A loader that does otherwise is userspace's to refuse.
 */
static __always_inline bool gm_outside(const void *p, unsigned long size)
{
	return (unsigned long)p < __START_KERNEL_map && size < __START_KERNEL_map - (unsigned long)p;
}

#endif /* GM_ABSORB_H */
