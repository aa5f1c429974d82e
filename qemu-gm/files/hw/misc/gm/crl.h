/*
 * Guarded modules: certificates that count no longer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_CRL_H
#define HW_MISC_GM_CRL_H

#include <gnutls/x509.h>

typedef struct GmCrls GmCrls;

/**
 * gm_crls_load: Read revocation lists (X.509 CRLs).
 * @path: a file with one or more lists (PEM), or one (DER); or a directory of
 *        such files, names that start with a dot excepted
 * @authorities: certificates, one of which must have signed each list
 *
 * Returns: the lists, at least one and each in force; or NULL.
 */
GmCrls *gm_crls_load(const char *path, const GPtrArray *authorities,
                     time_t now, Error **errp);
void gm_crls_free(GmCrls *crls);

/**
 * gm_crls_check: Is a certificate of a chain still good?
 * @issuer: who issued it, and so must have a list; NULL for the last of a
 *          chain, which may be on a list but needs none
 * @depth: its place in the chain
 */
bool gm_crls_check(const GmCrls *crls, gnutls_x509_crt_t crt, unsigned depth,
                   gnutls_x509_crt_t issuer, time_t now, Error **errp);

#endif /* HW_MISC_GM_CRL_H */
