/*
 * Guarded modules: have another program look at an image first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_VERIFIER_H
#define HW_MISC_GM_VERIFIER_H

#include "qemu/coroutine.h"

/*
 * Does `@verifier verify' accept the @size bytes at @image? They must stay until
 * this returns. It runs beside the virtual machine, for at most a minute.
 */
bool coroutine_fn gm_verify(const char *verifier, const uint8_t *image,
                            size_t size, Error **errp);

#endif /* HW_MISC_GM_VERIFIER_H */
