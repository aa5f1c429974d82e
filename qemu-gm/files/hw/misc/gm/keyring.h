/*
 * Guarded modules: the certificates whose signatures count.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_KEYRING_H
#define HW_MISC_GM_KEYRING_H

#include "image.h"

typedef struct GmKeyring GmKeyring;

/**
 * gm_keyring_load: Read X.509 certificates.
 * @path: a file with one or more certificates (PEM), or one (DER); or a
 *        directory of such files, names that start with a dot excepted
 *
 * Returns: a keyring that is not empty, or NULL: one bad file is an error.
 */
GmKeyring *gm_keyring_load(const char *path, Error **errp);

/**
 * gm_keyring_load_crls: Read revocation lists; from now on, each issuer of a
 * certificate must have one.
 * @path: see gm_crls_load()
 */
bool gm_keyring_load_crls(GmKeyring *keyring, const char *path, Error **errp);
void gm_keyring_free(GmKeyring *keyring);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(GmKeyring, gm_keyring_free)

/* The subject of each certificate, as an array of strings. */
const GPtrArray *gm_keyring_subjects(const GmKeyring *keyring);

/**
 * gm_keyring_verify: Verify a signature.
 * @keyring: the keys that count
 * @body: what was signed, sig->body_size bytes
 * @sig: the signature
 *
 * The signer must be in the keyring, or its certificate must have been issued
 * by one that is: directly, or through others of the keyring or the signature.
 *
 * Returns: name of the signer, safe to show, to be freed with g_free(); or
 * NULL, and an error that names the certificate it is about.
 */
char *gm_keyring_verify(const GmKeyring *keyring, const uint8_t *body,
                        const GmSignature *sig, Error **errp);

#endif /* HW_MISC_GM_KEYRING_H */
