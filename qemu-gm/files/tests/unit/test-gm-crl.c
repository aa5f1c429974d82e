/*
 * Guarded modules: certificates that count no longer.
 *
 * Each check of the code has a case here that fails without it. Every error is
 * compared as a whole.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "../../hw/misc/gm/crl.h"
#include "gm-test-keyring.h"

static void test_revoked(void)
{
    Chain c = chain_new(GOOD, GOOD, GOOD);
    const gnutls_datum_t *bare = gm_test_sign(.by = c.signer, .with = {
                                              c.signer });
    const gnutls_datum_t *full = gm_test_sign(.by = c.signer, .with = {
                                              c.signer, c.middle });
    const char *none = gm_test_crl(.by = c.root);
    const char *low = gm_test_crl(.by = c.middle);
    const char *no_middle = gm_test_crl(.by = c.root, .revoked = { c.middle });
    const char *no_signer = gm_test_crl(.by = c.middle,
                                        .revoked = { c.signer });
    g_autofree char *good = g_strconcat(none, low, NULL);
    g_autofree char *bad_signer = g_strconcat(none, no_signer, NULL);
    g_autofree char *bad_middle = g_strconcat(no_middle, low, NULL);
    g_autofree char *file = g_build_filename(tmpdir, "list.pem", NULL);
    g_autoptr(GmKeyring) top = ring(c.root);
    g_autoptr(GmKeyring) both = ring(c.middle, c.root);

    g_assert(load_crls(both, good, &error_abort));
    accepts(both, bare, "Signer");
    accepts(both, full, "Signer");

    g_assert(load_crls(both, bad_signer, &error_abort));
    refuses(both, bare, SIGNER "has been revoked by CN=Middle (serial 12, %s, "
            "list '%s'); sign with another", gm_test_date(-1), file);
    g_assert(load_crls(both, bad_middle, &error_abort));
    refuses(both, bare, MIDDLE "has been revoked by CN=Root (serial 11, %s, "
            "list '%s'); sign with another", gm_test_date(-1), file);
    refuses(both, full, MIDDLE "has been revoked by CN=Root (serial 11, %s, "
            "list '%s'); sign with another", gm_test_date(-1), file);
    g_assert(load_crls(top, no_middle, &error_abort));
    refuses(top, full, MIDDLE "has been revoked by CN=Root (serial 11, %s, "
            "list '%s'); sign with another", gm_test_date(-1), file);

    /* With lists, everybody needs one. */
    g_assert(load_crls(top, none, &error_abort));
    refuses(top, full, SIGNER "may have been revoked: there is no revocation "
            "list of its issuer, CN=Middle; put it to the others, and the "
            "issuer's certificate into the keyring");
    g_assert(load_crls(both, low, &error_abort));
    refuses(both, full, MIDDLE "may have been revoked: there is no revocation "
            "list of its issuer, CN=Root; put it to the others, and the "
            "issuer's certificate into the keyring");
}

/* A list of somebody else by the same name is not that of the issuer. */
static void test_namesake(void)
{
    const GmTestCrt *root = gm_test_crt(.cn = "Root", .ca = true);
    const GmTestCrt *other = gm_test_crt(.cn = "Root", .ca = true);
    const GmTestCrt *end = gm_test_crt(.cn = "Signer", .issuer = root);
    const GmTestCrt *self = gm_test_crt(.cn = "Self");
    g_autoptr(GmKeyring) keyring = ring(root, other, self);

    g_assert(load_crls(keyring, gm_test_crl(.by = other), &error_abort));
    refuses(keyring, gm_test_sign(.by = end, .with = { end }),
            SIGNER "may have been revoked: there is no revocation list of its "
            "issuer, CN=Root; put it to the others, and the issuer's "
            "certificate into the keyring");
    /* Who is trusted by himself needs none. */
    accepts(keyring, gm_test_sign(.by = self), "Self");
}

#define bad_crl(pem, ...) do {                                          \
        Error *err_ = NULL;                                             \
                                                                        \
        g_assert(!load_crls(keyring, pem, &err_));                      \
        expect(err_, __VA_ARGS__);                                      \
    } while (0)

static void test_crls(void)
{
    const GmTestCrt *root = gm_test_crt(.cn = "Root", .ca = true);
    const GmTestCrt *fake = gm_test_crt(.cn = "Root", .ca = true);
    const GmTestCrt *stranger = gm_test_crt(.cn = "Stranger", .ca = true);
    const GmTestCrt *leaf = gm_test_crt(.cn = "Leaf", .usage =
                                        GNUTLS_KEY_CRL_SIGN);
    const GmTestCrt *no_crls = gm_test_crt(.cn = "NoCRLs", .ca = true,
                                           .usage = GNUTLS_KEY_KEY_CERT_SIGN);
    const GmTestCrt *says_so = gm_test_crt(.cn = "SaysSo", .no_ca = true,
                                           .usage = GNUTLS_KEY_CRL_SIGN);
    g_autofree char *file = g_build_filename(tmpdir, "list.pem", NULL);
    g_autoptr(GmKeyring) keyring = ring(root, leaf, no_crls, says_so);
    g_autofree char *second = g_strconcat(gm_test_crl(.by = root), gm_test_crl(
                                          .by = stranger), NULL);

    bad_crl(gm_test_crl(.by = stranger), "revocation list '%s' of CN=Stranger "
            "is not signed by a certificate of the keyring; put the "
            "authority's into the keyring", file);
    bad_crl(second, "revocation list '%s' of CN=Stranger is not signed by a "
            "certificate of the keyring; put the authority's into the keyring",
            file);
    bad_crl(gm_test_crl(.by = root, .signed_by = fake), "revocation list '%s' "
            "of CN=Root is not signed by a certificate of the keyring; put the "
            "authority's into the keyring", file);
    bad_crl(gm_test_crl(.by = leaf), "revocation list '%s' of CN=Leaf is "
            "signed by a certificate that is not meant for it; it must have "
            "CA:TRUE, and cRLSign in its key usage", file);
    bad_crl(gm_test_crl(.by = says_so), "revocation list '%s' of CN=SaysSo is "
            "signed by a certificate that is not meant for it; it must have "
            "CA:TRUE, and cRLSign in its key usage", file);
    bad_crl(gm_test_crl(.by = no_crls), "revocation list '%s' of CN=NoCRLs is "
            "signed by a certificate that is not meant for it; it must have "
            "CA:TRUE, and cRLSign in its key usage", file);
    bad_crl(gm_test_crl(.by = root, .from = -3, .to = -2), "revocation list "
            "'%s' of CN=Root has expired on %s; put the next one in its place",
            file, gm_test_date(-2));
    bad_crl(gm_test_crl(.by = root, .from = 2, .to = 3), "revocation list "
            "'%s' of CN=Root is not valid yet, but from %s on; wait, or "
            "correct the host's clock", file, gm_test_date(2));
    bad_crl(gm_test_crl(.by = root, .digest = GNUTLS_DIG_SHA1), "revocation "
            "list '%s' of CN=Root is signed with ECDSA-SHA1, which is not "
            "safe; have it issued anew, with SHA-256 or better", file);
    bad_crl(gm_test_crl(.by = root, .no_next = true), "revocation list '%s' of "
            "CN=Root does not say when the next one is due; have it issued "
            "with a nextUpdate", file);
    bad_crl("", "'%s' holds no valid revocation list: ", file);
    bad_crl(gm_test_crt_pem(root), "'%s' holds no valid revocation list: ",
            file);
}

/* A list of revoked authorities only, which says so. */
static void test_partial_crl(void)
{
    static const char issuer[] =
        "-----BEGIN CERTIFICATE-----\n"
        "MIIBhTCCASugAwIBAgIUfhX0GmEymQpd0eBW4XbP56Rjou0wCgYIKoZIzj0EAwIw\n"
        "DzENMAsGA1UEAwwEUm9vdDAgFw0yNjExMjYxNTA0NTFaGA8yMTI2MTEwMjE1MDQ1\n"
        "MVowDzENMAsGA1UEAwwEUm9vdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABA6j\n"
        "u/p6yOwFhmNGxrTsPL3y54kFb8Eaipo8T+6RuyZrgagY2vnfubNuZQZbLEKl7c07\n"
        "mpYoKGGrmAWBTgLRvhmjYzBhMB0GA1UdDgQWBBQKakAHnYA9AJpYkVguEyrpoyqX\n"
        "ETAfBgNVHSMEGDAWgBQKakAHnYA9AJpYkVguEyrpoyqXETAPBgNVHRMBAf8EBTAD\n"
        "AQH/MA4GA1UdDwEB/wQEAwIBBjAKBggqhkjOPQQDAgNIADBFAiBq00oiNapUvwo1\n"
        "AEQO+YutrphZoepu2c6SDay70p6n0wIhAOnxV+ZjgViMjTUk2tAGjGye7cA6dYee\n"
        "dMvawX3j2/Wb\n"
        "-----END CERTIFICATE-----\n";
    static const char list[] =
        "-----BEGIN X509 CRL-----\n"
        "MIG4MGECAQEwCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEUm9vdBcNMjYxMTI2MTUw\n"
        "NDUxWhgPMjEyNjExMDIxNTA0NTFaoB8wHTAPBgNVHRwBAf8EBTADggH/MAoGA1Ud\n"
        "FAQDAgEBMAoGCCqGSM49BAMCA0cAMEQCIFpsys6K+U4NDdj5OlAmd8EQTdMgQlK0\n"
        "/OMbHm75Z9vIAiARYBvH3Vqlqib24bAmZje/s7CZ/i0V3lVgB5kHnfcYCQ==\n"
        "-----END X509 CRL-----\n";
    g_autofree char *path = file_new("issuer.pem", issuer);
    g_autofree char *file = g_build_filename(tmpdir, "list.pem", NULL);
    g_autoptr(GmKeyring) keyring = gm_keyring_load(path, &error_abort);

    bad_crl(list, "revocation list '%s' of CN=Root has the critical extension "
            "2.5.29.28, which is not known here; use a full list", file);
}

/* QEMU may run for long: a list that was in force need not be any longer. */
static void test_stale_crl(void)
{
    const GmTestCrt *root = gm_test_crt(.cn = "Root", .ca = true);
    const GmTestCrt *end = gm_test_crt(.cn = "Signer", .issuer = root);
    g_autofree char *path = file_new("list.pem", gm_test_crl(.by = root));
    g_autoptr(GPtrArray) keyring = g_ptr_array_new();
    time_t now = time(NULL);
    Error *err = NULL;
    GmCrls *crls;

    g_ptr_array_add(keyring, root->crt);
    crls = gm_crls_load(path, keyring, now, &error_abort);
    g_assert(gm_crls_check(crls, end->crt, 0, root->crt, now, &error_abort));
    g_assert(!gm_crls_check(crls, end->crt, 0, root->crt, now +
                            2 * GM_TEST_DAY, &err));
    expect(err, "revocation list '%s' of CN=Root has expired on %s; put the "
            "next one in its place", path, gm_test_date(1));
    gm_crls_free(crls);
}

static const GmTestCase tests[] = {
    { "/gm/crl/revoked", test_revoked },
    { "/gm/crl/namesake", test_namesake },
    { "/gm/crl/bad", test_crls },
    { "/gm/crl/partial", test_partial_crl },
    { "/gm/crl/stale", test_stale_crl },
    { NULL }
};

int main(int argc, char **argv)
{
    return test_main(argc, argv, tests);
}
