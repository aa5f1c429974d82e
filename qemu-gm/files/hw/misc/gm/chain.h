/*
 * Guarded modules: from a signer's certificate to the keyring.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_CHAIN_H
#define HW_MISC_GM_CHAIN_H

#include <gnutls/x509.h>
#include "crl.h"

/**
 * gm_chain_check: May this certificate sign modules now?
 * @keyring: certificates that are trusted
 * @extra: certificates that may help to get there, and are not trusted
 * @crls: revocation lists, or NULL
 * @signer: a certificate of either
 */
bool gm_chain_check(const GPtrArray *keyring, const GPtrArray *extra,
                    const GmCrls *crls, gnutls_x509_crt_t signer, time_t now,
                    Error **errp);

#endif /* HW_MISC_GM_CHAIN_H */
