/*
 * Arbitrary signatures over one text, against a keyring and revocation lists.
 *
 * FUZZ_KEYRING and FUZZ_CRL name these. Beyond memory safety: nobody but the
 * two who may sign is ever accepted, and a refusal has an error.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "keyring.h"

#define BODY "the contents of a module\n"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static GmKeyring *keyring;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    keyring = gm_keyring_load(getenv("FUZZ_KEYRING"), &error_abort);
    return !gm_keyring_load_crls(keyring, getenv("FUZZ_CRL"), &error_abort);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = g_malloc(size ? size : 1);
    const GmSignature sig = {
        .body_size = strlen(BODY),
        .der = copy,
        .der_size = size,
    };
    g_autofree char *name = NULL;
    Error *err = NULL;

    if (size) {
        memcpy(copy, data, size);
    }
    name = gm_keyring_verify(keyring, (const uint8_t *)BODY, &sig, &err);
    if (!name == !err || (name && strcmp(name, "Fuzz leaf") &&
                          strcmp(name, "Fuzz self"))) {
        fprintf(stderr, "fuzz-keyring: %s\n", name ?: "no error");
        abort();
    }
    error_free(err);
    return 0;
}
