/*
 * Guarded modules: one certificate, what it is called and what it may do.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_CERTIFICATE_H
#define HW_MISC_GM_CERTIFICATE_H

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* All texts are safe to show, and to be freed with g_free(). */
char *gm_dn_text(const gnutls_datum_t *dn);
char *gm_crt_subject(gnutls_x509_crt_t crt);
char *gm_crt_issuer(gnutls_x509_crt_t crt);
char *gm_crt_serial(gnutls_x509_crt_t crt);
char *gm_hex(const void *bytes, size_t size);
char *gm_time_text(time_t t);

/* What a person calls its owner: the common name, if there is one. */
char *gm_crt_name(gnutls_x509_crt_t crt);

/* "the certificate of the signer, CN=...,": @depth is its place in a chain. */
char *gm_crt_describe(gnutls_x509_crt_t crt, unsigned depth);

bool gm_crt_in_time(gnutls_x509_crt_t crt, time_t now);

/* Whether it may be its owner's issuer; not whether it is in its own right. */
bool gm_crt_is_self_issued(gnutls_x509_crt_t crt);

/* Do the names fit, and did @issuer's key sign it? Says nothing of its worth. */
bool gm_crt_signed_by(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer);

/* If there is a key usage at all, is this among it? */
bool gm_crt_has_usage(gnutls_x509_crt_t crt, unsigned usage);

/* Nothing that anybody could forge: neither MD5 nor SHA-1 nor what is unknown. */
bool gm_sign_is_safe(gnutls_sign_algorithm_t algo);
const char *gm_sign_name(gnutls_sign_algorithm_t algo);

/**
 * gm_crt_check: May a certificate stand where it does in a chain?
 * @depth: 0 is the signer, and each issues the one before
 * @top: nobody's signature on it counts
 */
bool gm_crt_check(gnutls_x509_crt_t crt, unsigned depth, bool top, time_t now,
                  Error **errp);

#endif /* HW_MISC_GM_CERTIFICATE_H */
