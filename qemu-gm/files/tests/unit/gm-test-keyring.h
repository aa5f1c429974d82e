/*
 * Guarded modules: what the tests of the keyring have in common.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_GM_TEST_KEYRING_H
#define TESTS_GM_TEST_KEYRING_H

#include "../../hw/misc/gm/keyring.h"
#include "gm-test-pki.h"

/* A folder for the test's files. */
extern char *tmpdir;

/*
 * The text of an error; frees it. A text that ends with a colon and a blank
 * goes on in GnuTLS's words.
 */
void expect(Error *err, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Its path; to be freed. */
char *file_new(const char *name, const char *text);

/* A keyring with these certificates in one file. */
GmKeyring *ring_new(const GmTestCrt *const *crts);

#define ring(...) ring_new((const GmTestCrt *const[]) { __VA_ARGS__, NULL })

/* From tmpdir's file list.pem, which has this text then. */
bool load_crls(GmKeyring *keyring, const char *pem, Error **errp);

char *verify(const GmKeyring *keyring, const gnutls_datum_t *sig,
             Error **errp);

void accepts(const GmKeyring *keyring, const gnutls_datum_t *sig,
             const char *signer);

#define refuses(keyring, sig, ...) do {                                 \
        Error *err_ = NULL;                                             \
                                                                        \
        g_assert(!verify(keyring, sig, &err_));                         \
        expect(err_, __VA_ARGS__);                                      \
    } while (0)

#define SIGNER "the certificate of the signer, CN=Signer, "
#define MIDDLE "the certificate of the issuer, CN=Middle, "
#define ROOT   "the certificate of the issuer, CN=Root, "

/* Three certificates in a row, each with something different about it. */
typedef struct Chain {
    const GmTestCrt *root, *middle, *signer;
} Chain;

/* Two authorities, unless @mid.ca is set, which is turned round. */
Chain chain_new(GmTestSpec root, GmTestSpec mid, GmTestSpec end);

#define SPEC(...) ((GmTestSpec) { __VA_ARGS__ })
#define GOOD SPEC(0)

typedef struct GmTestCase {
    const char *path;
    void (*test)(void);
} GmTestCase;

/* Runs them, up to one without a path. */
int test_main(int argc, char **argv, const GmTestCase *tests);

#endif /* TESTS_GM_TEST_KEYRING_H */
