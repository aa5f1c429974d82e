/* SPDX-License-Identifier: GPL-2.0 */
/* What gm_stray.ko keeps in a register, and gm_attack.ko must not see. */
#ifndef GM_STRAY_H
#define GM_STRAY_H

#define GM_STRAY_SECRET		0x5ec2e7

#endif /* GM_STRAY_H */
