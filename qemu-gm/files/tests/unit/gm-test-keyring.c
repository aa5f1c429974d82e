/*
 * Guarded modules: what the tests of the keyring have in common.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "gm-test-keyring.h"

char *tmpdir;

void expect(Error *err, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_assert(err);
    if (!g_str_has_suffix(text, ": ") ||
        !g_str_has_prefix(error_get_pretty(err), text)) {
        g_assert_cmpstr(error_get_pretty(err), ==, text);
    }
    error_free(err);
}

char *file_new(const char *name, const char *text)
{
    char *path = g_build_filename(tmpdir, name, NULL);

    g_assert(g_file_set_contents(path, text, -1, NULL));
    return path;
}

GmKeyring *ring_new(const GmTestCrt *const *crts)
{
    g_autoptr(GString) pem = g_string_new(NULL);
    g_autofree char *path = NULL;

    for (; *crts; crts++) {
        g_string_append(pem, gm_test_crt_pem(*crts));
    }
    path = file_new("ring.pem", pem->str);
    return gm_keyring_load(path, &error_abort);
}

bool load_crls(GmKeyring *keyring, const char *pem, Error **errp)
{
    g_autofree char *path = file_new("list.pem", pem);

    return gm_keyring_load_crls(keyring, path, errp);
}

char *verify(const GmKeyring *keyring, const gnutls_datum_t *sig,
             Error **errp)
{
    const GmSignature s = {
        .body_size = strlen(GM_TEST_BODY),
        .der = sig->data,
        .der_size = sig->size,
    };

    return gm_keyring_verify(keyring, (const uint8_t *)GM_TEST_BODY, &s, errp);
}

void accepts(const GmKeyring *keyring, const gnutls_datum_t *sig,
             const char *signer)
{
    g_autofree char *name = verify(keyring, sig, &error_abort);

    g_assert_cmpstr(name, ==, signer);
}

Chain chain_new(GmTestSpec root, GmTestSpec mid, GmTestSpec end)
{
    Chain c;

    root.cn = "Root";
    root.ca = true;
    c.root = gm_test_crt_new(root);
    mid.cn = "Middle";
    mid.ca = !mid.ca;
    mid.issuer = c.root;
    c.middle = gm_test_crt_new(mid);
    end.cn = "Signer";
    end.issuer = c.middle;
    c.signer = gm_test_crt_new(end);
    return c;
}

static void run(const void *opaque)
{
    const GmTestCase *t = opaque;

    t->test();
    gm_test_pki_reset();
}

int test_main(int argc, char **argv, const GmTestCase *tests)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    tmpdir = g_dir_make_tmp("test-gm-keyring-XXXXXX", NULL);
    g_assert(tmpdir);
    for (; tests->path; tests++) {
        g_test_add_data_func(tests->path, tests, run);
    }
    ret = g_test_run();
    if (!ret) {
        g_autofree char *quoted = g_shell_quote(tmpdir);
        g_autofree char *command = g_strconcat("rm -r ", quoted, NULL);

        ret = system(command);
    }
    g_free(tmpdir);
    return ret;
}
