/*
 * Certificates, revocation lists and signatures for tests, good and bad.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_GM_TEST_PKI_H
#define TESTS_GM_TEST_PKI_H

#include <gnutls/gnutls.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#define GM_TEST_DAY (24 * 60 * 60)

typedef struct GmTestCrt {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
} GmTestCrt;

/* What is zero is as in a good certificate of a signer. */
typedef struct GmTestSpec {
    const char *cn;
    const GmTestCrt *issuer;    /* itself */
    const GmTestCrt *signed_by; /* whose key really signs: the issuer's */
    const GmTestCrt *key_of;    /* a new one, on the curve P-256 */
    unsigned rsa_bits;
    int from, to;               /* days from now: -1, 1 */
    bool ca;
    bool no_ca;                 /* says so */
    bool limited;               /* pathlen counts */
    int pathlen;
    unsigned usage;             /* digitalSignature; of a CA, its two */
    bool no_usage;
    const char *purpose;        /* none */
    gnutls_digest_algorithm_t digest;   /* SHA-256 */
    int version;                /* 3 */
    const char *critical;       /* OID of an unknown critical extension */
    const char *dns;
    const char *only_dns;       /* a constraint */
    bool only_dn;               /* likewise, to CN=Me */
} GmTestSpec;

/* All that these return lives until gm_test_pki_reset(). */
const GmTestCrt *gm_test_crt_new(GmTestSpec spec);
void gm_test_pki_reset(void);

#define gm_test_crt(...) gm_test_crt_new((GmTestSpec) { __VA_ARGS__ })

typedef struct GmTestSign {
    const GmTestCrt *by;
    const GmTestCrt *by_too;
    const GmTestCrt *with[24];  /* certificates to bring along */
    const char *body;           /* GM_TEST_BODY */
    gnutls_digest_algorithm_t digest;   /* SHA-256 */
    unsigned flags;
} GmTestSign;

#define GM_TEST_BODY "the contents of a module"

const gnutls_datum_t *gm_test_sign_new(GmTestSign spec);

#define gm_test_sign(...) gm_test_sign_new((GmTestSign) { __VA_ARGS__ })

typedef struct GmTestCrl {
    const GmTestCrt *by;
    const GmTestCrt *signed_by; /* whose key really signs */
    const GmTestCrt *revoked[4];
    int from, to;               /* days from now: -1, 1 */
    bool no_next;
    gnutls_digest_algorithm_t digest;   /* SHA-256 */
} GmTestCrl;

/* PEM. */
const char *gm_test_crl_new(GmTestCrl spec);

#define gm_test_crl(...) gm_test_crl_new((GmTestCrl) { __VA_ARGS__ })

/* PEM. */
const char *gm_test_crt_pem(const GmTestCrt *crt);

/* When, in the words of messages; @days as in the above. */
const char *gm_test_date(int days);

#endif /* TESTS_GM_TEST_PKI_H */
