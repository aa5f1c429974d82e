/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Notes that a module's source can give to gmcc. None is needed: without them
 * every function whose address is taken is an entry, data is private where no
 * address in it is given away, and no privileged instruction is accepted. In a
 * build without gmcc they change nothing but the section of an object.
 *
 *	static u64 GM_PRIVATE key;		only the module may write it
 *	static struct stats GM_SHARED stats;	the kernel may write it
 *	GM_ENTRY(my_xmit);			with one of these, only these
 *						(and init and exit) are entries
 *	GM_PRIVILEGE("mwait");			request: text may hold mwait
 */
#ifndef GUARDED_MODULE_H
#define GUARDED_MODULE_H

#include <linux/module.h>

/* gmcc refuses the module if an address in a private object leaves it. */
#define GM_PRIVATE	__attribute__((__section__(".data.gm_private")))
/* In a section of its own, so that it makes nothing else shared. */
#define GM_SHARED	__attribute__((__section__(".data.gm_shared")))

#define GM_ENTRY(function)		MODULE_INFO(gm_entry, #function)
#define GM_PRIVILEGE(mnemonic)		MODULE_INFO(gm_privilege, mnemonic)

#endif /* GUARDED_MODULE_H */
