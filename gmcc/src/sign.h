/* SPDX-License-Identifier: GPL-2.0 */
/* Signatures: keys, keyrings, and whether a signature is good. */
#ifndef GMCC_SIGN_H
#define GMCC_SIGN_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* signkey.c: a private key from a PEM file or a pkcs11: URI; ends the run without one */
EVP_PKEY *signkey_read(const char *where);

/*
 * keyring.c: is the PKCS#7 @sig over @data made by a certificate of @keyring
 * (a file, PEM or DER, or a folder of such files)? NULL if so, and *signer is
 * the certificate's subject; else why not. Ends the run without a keyring.
 */
const char *keyring_check(const char *keyring, const uint8_t *data, size_t size,
			  const uint8_t *sig, size_t sig_size, const char **signer);

/* sign.c: an image with its signature appended; ends the run if that cannot be */
uint8_t *sign_bytes(const char *file, const uint8_t *data, size_t size, const char *key,
		    const char *cert, bool embed, size_t *signed_size);
/* Ends the run with OpenSSL's own reason */
_Noreturn void die_ssl(const char *file, const char *what);

#endif /* GMCC_SIGN_H */
