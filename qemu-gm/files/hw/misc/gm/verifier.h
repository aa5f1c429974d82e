/*
 * Guarded modules: have another program look at an image first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_VERIFIER_H
#define HW_MISC_GM_VERIFIER_H

#include "qemu/coroutine.h"

/*
 * Before the first gm_verify(): what it may take, and that a shutdown does not
 * wait for it.
 */
void gm_verifier_init(unsigned seconds);

/*
 * Does `@program verify' accept the @size bytes at @image? They must stay until
 * this returns, in these seconds at most. All else goes on meanwhile, unless the
 * caller has QEMU's main loop wait.
 */
bool coroutine_fn gm_verify(const char *program, const uint8_t *image,
                            size_t size, Error **errp);

#endif /* HW_MISC_GM_VERIFIER_H */
