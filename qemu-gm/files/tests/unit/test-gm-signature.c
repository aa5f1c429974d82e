/*
 * Guarded images: the signature at their end. Whose it may be: test-gm-keyring.c.
 *
 * Each check of the code has a case here that fails without it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "../../hw/misc/gm/image.h"
#include "../../hw/misc/gm/keyring.h"
#include "gm-test-image.h"

#define DAY (24 * 60 * 60)

static char *tmpdir;

static void sig_error(const GmTestImage *t, const char *text)
{
    g_autofree uint8_t *data = g_memdup2(t->data, t->size);
    GmSignature sig;
    Error *err = NULL;

    g_assert(!gm_signature_find(data, t->size, &sig, &err));
    gm_test_expect(err, text);
}

static void test_trailer(void)
{
    GmTestKey *key = gm_test_key_new("Trailer", 1, -DAY, DAY);
    g_auto(GmTestImage) t = { 0 };
    GmSignature sig;
    uint8_t *trailer;
    size_t size, i;

    gm_test_image_init(&t);
    size = t.size;
    sig_error(&t, "not signed");

    gm_test_image_sign(&t, key);
    g_assert(gm_signature_find(t.data, t.size, &sig, &error_abort));
    g_assert_cmpuint(sig.body_size, ==, size);

    trailer = t.data + t.size - 28 - 12;
    for (i = 0; i < 8; i++) {
        trailer[i] ^= 1;
        sig_error(&t, i == 2 ? "type 3, expected 2" : "must be zero");
        trailer[i] ^= 1;
    }
    memset(trailer + 8, 0xff, 4);
    sig_error(&t, "4294967295 bytes long");
    memset(trailer + 8, 0, 4);
    sig_error(&t, "0 bytes long");

    /* Nothing but a trailer, or less. */
    for (i = 0; i <= 40; i++) {
        GmTestImage end = { .data = t.data + t.size - i, .size = i };

        sig_error(&end, i < 28 ? "not signed" : "malformed signature");
    }
    gm_test_key_free(key);
}

static char *verify(const GmKeyring *keyring, const GmTestImage *t,
                    Error **errp)
{
    GmSignature sig;

    g_assert(gm_signature_find(t->data, t->size, &sig, &error_abort));
    return gm_keyring_verify(keyring, t->data, &sig, errp);
}

static void test_signature(void)
{
    g_autofree char *path = g_build_filename(tmpdir, "good.pem", NULL);
    g_autoptr(GmTestKey) good = gm_test_key_new("Good key", 0x1234, -DAY, DAY);
    g_autoptr(GmTestKey) unknown = gm_test_key_new("Stranger", 0x55, -DAY,
                                                   DAY);
    /* Claims to be the good key: issuer and serial are the same. */
    g_autoptr(GmTestKey) forger = gm_test_key_new("Good key", 0x1234, -DAY,
                                                  DAY);
    g_autoptr(GmKeyring) keyring = NULL;
    g_autofree char *signer = NULL;
    g_auto(GmTestImage) t1 = { 0 };
    g_auto(GmTestImage) t2 = { 0 };
    g_auto(GmTestImage) t3 = { 0 };
    Error *err = NULL;
    size_t i, size;

    gm_test_key_save(good, path);
    keyring = gm_keyring_load(path, &error_abort);

    gm_test_image_init(&t1);
    size = t1.size;
    gm_test_image_sign(&t1, good);
    signer = verify(keyring, &t1, &error_abort);
    g_assert_cmpstr(signer, ==, "Good key");

    for (i = 0; i < size; i += 0x123) {
        err = NULL;
        t1.data[i] ^= 0x10;
        g_assert(!verify(keyring, &t1, &err));
        gm_test_expect(err, "the signature by Good key does not match");
        t1.data[i] ^= 0x10;
    }

    err = NULL;
    gm_test_image_init(&t2);
    gm_test_image_sign(&t2, unknown);
    g_assert(!verify(keyring, &t2, &err));
    gm_test_expect(err, "unknown key (issuer CN=Stranger, serial 55)");

    err = NULL;
    gm_test_image_init(&t3);
    gm_test_image_sign(&t3, forger);
    g_assert(!verify(keyring, &t3, &err));
    gm_test_expect(err, "the signature by Good key does not match");
}

/* A signature with any one bit wrong is none, and does no harm. */
static void test_signature_flipped(void)
{
    g_autofree char *path = g_build_filename(tmpdir, "flip.pem", NULL);
    g_autoptr(GmTestKey) key = gm_test_key_new("Key", 7, -DAY, DAY);
    g_autoptr(GmKeyring) keyring = NULL;
    g_auto(GmTestImage) t = { 0 };
    size_t i, start;

    gm_test_key_save(key, path);
    keyring = gm_keyring_load(path, &error_abort);
    gm_test_image_init(&t);
    start = t.size;
    gm_test_image_sign(&t, key);

    for (i = start; i < t.size - 40; i++) {
        g_autofree char *signer = NULL;
        Error *err = NULL;

        t.data[i] ^= 0x01;
        signer = verify(keyring, &t, &err);
        /* A few bytes, such as the version of the syntax, say nothing. */
        g_assert(!signer == !!err);
        if (i >= t.size - 40 - 256) {
            g_assert(!signer);
        }
        error_free(err);
        t.data[i] ^= 0x01;
    }
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    tmpdir = g_dir_make_tmp("gm-image-XXXXXX", NULL);
    g_assert(tmpdir);

    g_test_add_func("/gm/signature/trailer", test_trailer);
    g_test_add_func("/gm/signature/verify", test_signature);
    g_test_add_func("/gm/signature/flipped", test_signature_flipped);
    ret = g_test_run();

    if (!ret) {
        g_autofree char *quoted = g_shell_quote(tmpdir);
        g_autofree char *command = g_strconcat("rm -r ", quoted, NULL);

        ret = system(command);
    }
    g_free(tmpdir);
    return ret;
}
