/*
 * Guarded modules: whose signatures count.
 *
 * Each check of the code has a case here that fails without it. Every error is
 * compared as a whole. Certificates are made when they are needed; what a test
 * does not say about one is as in a good one (gm-test-pki.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <gnutls/pkcs7.h>
#include "qapi/error.h"
#include "gm-test-keyring.h"

#define UNKNOWN "put its certificate into the keyring if you trust it, or " \
                "sign with it included if its issuer is there"

/* The intermediate comes along in the signature; then, it is in the keyring. */
#define refuses_chain(chain, ...) do {                                   \
        Chain c_ = chain;                                               \
        g_autoptr(GmKeyring) one_ = ring(c_.root);                      \
        g_autoptr(GmKeyring) two_ = ring(c_.root, c_.middle);           \
                                                                        \
        refuses(one_, gm_test_sign(.by = c_.signer,                      \
                                   .with = { c_.signer, c_.middle }),    \
                __VA_ARGS__);                                            \
         refuses(two_, gm_test_sign(.by = c_.signer,                      \
                                   .with = { c_.signer }),               \
                __VA_ARGS__);                                            \
         gm_test_pki_reset();                                            \
     } while (0)

 static void test_direct(void)
 {
     const GmTestCrt *self = gm_test_crt(.cn = "Self");
    const GmTestCrt *rsa = gm_test_crt(.cn = "RSA", .rsa_bits = 2048);
    const GmTestCrt *root = gm_test_crt(.cn = "Root", .ca = true);
    const GmTestCrt *listed = gm_test_crt(.cn = "Listed", .issuer = root);
    g_autoptr(GmKeyring) keyring = ring(self, rsa, listed);

    accepts(keyring, gm_test_sign(.by = self), "Self");
    accepts(keyring, gm_test_sign(.by = rsa), "RSA");
    accepts(keyring, gm_test_sign(.by = listed), "Listed");
    accepts(keyring, gm_test_sign(.by = self, .digest = GNUTLS_DIG_SHA512),
            "Self");
    /* What comes along does not matter then, unless it cannot be read. */
    accepts(keyring, gm_test_sign(.by = self, .with = { root, self }), "Self");
    /* With attributes, which are what is signed then. */
    accepts(keyring, gm_test_sign(.by = self, .flags =
                                  GNUTLS_PKCS7_INCLUDE_TIME), "Self");
    refuses(keyring, gm_test_sign(.by = root),
            "signed by an unknown key (issuer CN=Root, serial 12); "
            UNKNOWN);
}

static void test_chain(void)
{
    Chain c = chain_new(GOOD, GOOD, GOOD);
    const GmTestCrt *near = gm_test_crt(.cn = "Near", .issuer = c.root);
    const GmTestCrt *stranger = gm_test_crt(.cn = "Stranger");
    g_autoptr(GmKeyring) top = ring(c.root);
    g_autoptr(GmKeyring) low = ring(c.middle);
    g_autoptr(GmKeyring) both = ring(c.root, c.middle);
    g_autoptr(GmKeyring) all = ring(c.signer, c.middle, c.root);
    const gnutls_datum_t *bare = gm_test_sign(.by = c.signer);
    const gnutls_datum_t *one = gm_test_sign(.by = c.signer,
                                             .with = { c.signer });
    const gnutls_datum_t *two = gm_test_sign(.by = c.signer, .with = {
                                             c.middle, c.signer });
    const gnutls_datum_t *three = gm_test_sign(.by = c.signer, .with = {
                                               stranger, c.root, c.middle,
                                               c.signer });

    accepts(top, gm_test_sign(.by = near, .with = { near }), "Near");
    accepts(top, two, "Signer");
    accepts(top, three, "Signer");
    accepts(low, one, "Signer");
    accepts(low, three, "Signer");
    accepts(both, one, "Signer");
    accepts(both, two, "Signer");
    accepts(all, bare, "Signer");

    refuses(top, bare, "signed by an unknown key (issuer CN=Middle, serial "
            "12); " UNKNOWN);
    refuses(top, one, SIGNER "is not in the keyring, and neither is its "
            "issuer, CN=Middle; put the issuer's there if you trust it, or "
            "sign with all certificates up to one of the keyring");
}

static void test_unknown(void)
{
    Chain c = chain_new(GOOD, GOOD, GOOD);
    const GmTestCrt *other = gm_test_crt(.cn = "Other", .ca = true);
    const GmTestCrt *self = gm_test_crt(.cn = "Self");
    g_autoptr(GmKeyring) keyring = ring(other);

    refuses(keyring, gm_test_sign(.by = self, .with = { self }),
            "the certificate of the signer, CN=Self, is not in the keyring, "
            "and nobody else has issued it; put it there if you trust it");
    refuses(keyring, gm_test_sign(.by = c.signer, .with = { c.signer, c.middle,
                                                            c.root }),
            ROOT "is not in the keyring, and nobody else has issued it; put it "
            "there if you trust it");
    refuses(keyring, gm_test_sign(.by = c.signer, .with = { c.signer,
                                                            c.middle }),
            MIDDLE "is not in the keyring, and neither is its issuer, CN=Root; "
            "put the issuer's there if you trust it, or sign with all "
            "certificates up to one of the keyring");
}

/* Names are right, keys are not. */
static void test_forged(void)
{
    const GmTestCrt *root = gm_test_crt(.cn = "Root", .ca = true);
    const GmTestCrt *fake = gm_test_crt(.cn = "Root", .ca = true);
    const GmTestCrt *bad = gm_test_crt(.cn = "Signer", .issuer = root,
                                       .signed_by = fake);
    const GmTestCrt *self = gm_test_crt(.cn = "Self");
    g_autoptr(GmKeyring) keyring = ring(root, self);

    refuses(keyring, gm_test_sign(.by = bad, .with = { bad, fake }),
            ROOT "is not in the keyring, and nobody else has issued it; put it "
            "there if you trust it");
    refuses(keyring, gm_test_sign(.by = bad, .with = { bad }),
            SIGNER "is not in the keyring, and neither is its issuer, CN=Root; "
            "put the issuer's there if you trust it, or sign with all "
            "certificates up to one of the keyring");
    refuses(keyring, gm_test_sign(.by = self, .body = "something else"),
            "the signature by Self does not match the contents: ");
}

static void test_time(void)
{
    GmTestSpec old = SPEC(.from = -3, .to = -2), new = SPEC(.from = 2, .to = 3);

    refuses_chain(chain_new(GOOD, GOOD, old), SIGNER "has expired on %s; sign "
                  "with a renewed one", gm_test_date(-2));
    refuses_chain(chain_new(GOOD, old, GOOD), MIDDLE "has expired on %s; put a "
                  "renewed one in its place", gm_test_date(-2));
    refuses_chain(chain_new(old, GOOD, GOOD), ROOT "has expired on %s; put a "
                  "renewed one in its place", gm_test_date(-2));
    refuses_chain(chain_new(GOOD, GOOD, new), SIGNER "is not valid yet, but "
                  "from %s on; wait, or correct the host's clock",
                  gm_test_date(2));
    refuses_chain(chain_new(GOOD, new, GOOD), MIDDLE "is not valid yet, but "
                  "from %s on; wait, or correct the host's clock",
                  gm_test_date(2));
}

/* An authority that got a new certificate for its key. */
static void test_renewed(void)
{
    const GmTestCrt *old = gm_test_crt(.cn = "Root", .ca = true, .from = -3,
                                       .to = -2);
    const GmTestCrt *new = gm_test_crt(.cn = "Root", .ca = true, .key_of = old);
    const GmTestCrt *end = gm_test_crt(.cn = "Signer", .issuer = old);
    g_autoptr(GmKeyring) both = ring(old, new);
    g_autoptr(GmKeyring) stale = ring(old);

    accepts(both, gm_test_sign(.by = end, .with = { end }), "Signer");
    refuses(stale, gm_test_sign(.by = end, .with = { end, new }),
            ROOT "has expired on %s; put a renewed one in its place",
            gm_test_date(-2));
}

static void test_usage(void)
{
    GmTestSpec cert_sign = SPEC(.usage = GNUTLS_KEY_KEY_CERT_SIGN);
    GmTestSpec sign = SPEC(.usage = GNUTLS_KEY_DIGITAL_SIGNATURE);
    GmTestSpec server = SPEC(.purpose = GNUTLS_KP_TLS_WWW_SERVER);
    GmTestSpec code = SPEC(.purpose = GNUTLS_KP_CODE_SIGNING);
    GmTestSpec none = SPEC(.no_usage = true);
    GmTestSpec any = SPEC(.purpose = GNUTLS_KP_ANY);
    const char *const purpose = "is not meant for signing code; its extended "
                                "key usage must have codeSigning";
    g_autoptr(GmKeyring) keyring = NULL;
    const GmTestCrt *self;
    Chain c[3];
    unsigned i;

    refuses_chain(chain_new(GOOD, GOOD, cert_sign), SIGNER "is not meant for "
                  "signatures; its key usage must have digitalSignature");
    refuses_chain(chain_new(GOOD, sign, GOOD), MIDDLE "is not meant to issue "
                  "certificates; its key usage must have keyCertSign");
    refuses_chain(chain_new(sign, GOOD, GOOD), ROOT "is not meant to issue "
                  "certificates; its key usage must have keyCertSign");
    refuses_chain(chain_new(GOOD, GOOD, server), SIGNER "%s", purpose);
    refuses_chain(chain_new(GOOD, server, GOOD), MIDDLE "%s", purpose);
    refuses_chain(chain_new(server, GOOD, GOOD), ROOT "%s", purpose);

    /* One that is trusted by itself has no less to keep to. */
    self = gm_test_crt(.cn = "Signer", .purpose = GNUTLS_KP_TLS_WWW_SERVER);
    keyring = ring(self);
    refuses(keyring, gm_test_sign(.by = self), SIGNER "%s", purpose);

    c[0] = chain_new(none, none, none);
    c[1] = chain_new(code, code, code);
    c[2] = chain_new(GOOD, GOOD, any);
    for (i = 0; i < G_N_ELEMENTS(c); i++) {
        g_autoptr(GmKeyring) k = ring(c[i].root);

        accepts(k, gm_test_sign(.by = c[i].signer,
                               .with = { c[i].signer, c[i].middle }), "Signer");
    }
}

static void test_authority(void)
{
    const char *const no_authority = "is not that of an authority; its basic "
                                     "constraints must have CA:TRUE";
    GmTestSpec leaf = SPEC(.ca = true);     /* chain_new() turns it round */
    GmTestSpec leaf_sign = SPEC(.ca = true, .usage = GNUTLS_KEY_KEY_CERT_SIGN);
    GmTestSpec says_so = SPEC(.ca = true, .no_ca = true,
                              .usage = GNUTLS_KEY_KEY_CERT_SIGN);
    GmTestSpec limit = SPEC(.limited = true, .pathlen = 0);
    g_autoptr(GmKeyring) keyring = NULL;
    const GmTestCrt *v1, *self, *end;

    refuses_chain(chain_new(GOOD, leaf, GOOD), MIDDLE "%s", no_authority);
    refuses_chain(chain_new(GOOD, leaf_sign, GOOD), MIDDLE "%s", no_authority);
    refuses_chain(chain_new(GOOD, says_so, GOOD), MIDDLE "%s", no_authority);
    refuses_chain(chain_new(limit, GOOD, GOOD), ROOT "allows a chain with no "
                 "more than 0 authorities below it, and there are 1 (pathlen); "
                  "have the signer's issued by one that is higher up");

    /* A self-signed signer of the keyring is no authority. */
    self = gm_test_crt(.cn = "Root", .usage = GNUTLS_KEY_KEY_CERT_SIGN |
                                              GNUTLS_KEY_DIGITAL_SIGNATURE);
    v1 = gm_test_crt(.cn = "Middle", .version = 1);
    keyring = ring(self, v1);
    end = gm_test_crt(.cn = "Signer", .issuer = self);
    refuses(keyring, gm_test_sign(.by = end, .with = { end }), ROOT "%s",
            no_authority);
    end = gm_test_crt(.cn = "Signer", .issuer = v1);
    refuses(keyring, gm_test_sign(.by = end, .with = { end }), MIDDLE "%s",
            no_authority);
    g_clear_pointer(&keyring, gm_keyring_free);

    /* A limit that is kept. */
    self = gm_test_crt(.cn = "Root", .ca = true, .limited = true, .pathlen = 0);
    end = gm_test_crt(.cn = "Signer", .issuer = self);
    keyring = ring(self);
    accepts(keyring, gm_test_sign(.by = end, .with = { end }), "Signer");
}

static void test_length(void)
{
    const GmTestCrt *crts[9];
    g_autoptr(GmKeyring) keyring = NULL;
    const GmTestCrt *a, *b, *end;
    unsigned i;

    for (i = 0; i < 9; i++) {
        g_autofree char *cn = g_strdup_printf("CA %u", i);

        crts[i] = gm_test_crt(.cn = i < 8 ? cn : "Signer", .ca = i < 8,
                              .issuer = i ? crts[i - 1] : NULL);
    }
    keyring = ring(crts[0]);
    refuses(keyring, gm_test_sign(.by = crts[8], .with = {
            crts[1], crts[2], crts[3], crts[4], crts[5], crts[6], crts[7],
            crts[8] }), "the signer's chain has more than 8 certificates; use "
            "fewer authorities");
    gm_keyring_free(keyring);
    keyring = ring(crts[1]);
    accepts(keyring, gm_test_sign(.by = crts[8], .with = {
            crts[2], crts[3], crts[4], crts[5], crts[6], crts[7], crts[8] }),
            "Signer");
    gm_keyring_free(keyring);

    /* Two that have issued each other: no loop. */
    a = gm_test_crt(.cn = "A", .ca = true);
    b = gm_test_crt(.cn = "B", .ca = true, .issuer = a);
    a = gm_test_crt(.cn = "A", .ca = true, .issuer = b, .key_of = a);
    end = gm_test_crt(.cn = "Signer", .issuer = b);
    keyring = ring(a, b);
    accepts(keyring, gm_test_sign(.by = end, .with = { end }), "Signer");
}

static void test_algorithms(void)
{
    const char *const weak = "has a weak key, RSA of 1024 bits; use RSA of "
                             "2048 bits or more, or an elliptic curve";
    GmTestSpec small = SPEC(.rsa_bits = 1024);
    GmTestSpec rsa = SPEC(.rsa_bits = 2048);
    GmTestSpec sha1 = SPEC(.digest = GNUTLS_DIG_SHA1);
    GmTestSpec md5 = SPEC(.digest = GNUTLS_DIG_MD5);
    g_autoptr(GmKeyring) keyring = NULL;
    const GmTestCrt *self;

    refuses_chain(chain_new(GOOD, GOOD, small), SIGNER "%s", weak);
    refuses_chain(chain_new(GOOD, small, GOOD), MIDDLE "%s", weak);
    refuses_chain(chain_new(small, GOOD, GOOD), ROOT "%s", weak);
    refuses_chain(chain_new(GOOD, GOOD, sha1), SIGNER "is itself signed with "
                  "ECDSA-SHA1, which is not safe; have it issued anew, with "
                  "SHA-256 or better");
    refuses_chain(chain_new(GOOD, sha1, GOOD), MIDDLE "is itself signed with "
                  "ECDSA-SHA1, which is not safe; have it issued anew, with "
                  "SHA-256 or better");
    refuses_chain(chain_new(rsa, md5, GOOD), MIDDLE "is itself signed with "
                  "RSA-MD5, which is not safe; have it issued anew, with "
                  "SHA-256 or better");

    /* Nobody trusts the keyring's certificates for their signatures. */
    self = gm_test_crt(.cn = "Signer", .rsa_bits = 2048,
                       .digest = GNUTLS_DIG_SHA1);
    keyring = ring(self);
    accepts(keyring, gm_test_sign(.by = self), "Signer");
    refuses(keyring, gm_test_sign(.by = self, .digest = GNUTLS_DIG_SHA1),
            "the signature by Signer is made with RSA-SHA1, which is not safe; "
            "sign with SHA-256 or better");
    refuses(keyring, gm_test_sign(.by = self, .digest = GNUTLS_DIG_MD5),
            "the signature by Signer is made with RSA-MD5, which is not safe; "
            "sign with SHA-256 or better");
}

static void test_extensions(void)
{
    GmTestSpec odd = SPEC(.critical = "1.2.3.4");
    GmTestSpec only_dn = SPEC(.only_dn = true);
    GmTestSpec only_dns = SPEC(.only_dns = "example.org");
    GmTestSpec inside = SPEC(.dns = "a.example.org");
    GmTestSpec outside = SPEC(.dns = "a.example.com");
    /* Of an authority for anything, GnuTLS takes the name for one of DNS. */
    GmTestSpec code = SPEC(.purpose = GNUTLS_KP_CODE_SIGNING);
    const char *const unknown = "has the critical extension 1.2.3.4, which is "
                                "not known here; have it issued without";
    g_autoptr(GmKeyring) keyring = NULL;
    Chain c;

    refuses_chain(chain_new(GOOD, GOOD, odd), SIGNER "%s", unknown);
    refuses_chain(chain_new(odd, GOOD, GOOD), ROOT "%s", unknown);
    refuses_chain(chain_new(GOOD, only_dn, GOOD), MIDDLE "constrains names in "
                  "a way that is not checked here; use constraints on DNS "
                  "names, e-mail addresses or IP addresses, or none");
    refuses_chain(chain_new(only_dns, code, outside), SIGNER "is not good to "
                  "GnuTLS: ");
    c = chain_new(only_dns, code, inside);
    keyring = ring(c.root);
    accepts(keyring, gm_test_sign(.by = c.signer, .with = { c.signer,
                                                            c.middle }),
            "Signer");
}

static void test_subject(void)
{
    const GmTestCrt *odd = gm_test_crt(.cn = "A\033[2J\"\\\xc3\xa4\n");
    g_autoptr(GmKeyring) keyring = ring(odd);

    accepts(keyring, gm_test_sign(.by = odd),
            "A\\x1b[2J\\\\x22\\\\\\xc3\\xa4\\x0a");
    g_assert_cmpstr(gm_keyring_subjects(keyring)->pdata[0], ==,
                    "CN=A\\x1b[2J\\\\x22\\\\\\xc3\\xa4\\x0a");
}

/* Signatures of the right signer that are not of the right form. */
static void test_form(void)
{
    const GmTestCrt *self = gm_test_crt(.cn = "Self");
    const GmTestCrt *two = gm_test_crt(.cn = "Two");
    g_autoptr(GmKeyring) keyring = ring(self, two);
    const gnutls_datum_t *sig = gm_test_sign(.by = self, .with = { self });
    gnutls_datum_t empty = { 0 }, der;
    GmTestSign many = { .by = self };
    gnutls_pkcs7_t pkcs7;
    unsigned i;

    accepts(keyring, sig, "Self");
    refuses(keyring, gm_test_sign(.by = self, .by_too = two),
            "malformed signature: not exactly one signer");
    refuses(keyring, gm_test_sign(.by = self, .by_too = self),
            "malformed signature: not exactly one signer");
    refuses(keyring, gm_test_sign(.by = self, .flags = GNUTLS_PKCS7_EMBED_DATA),
            "malformed signature: it has contents of its own; sign with them "
            "detached");

    for (i = 0; i < 17; i++) {
        many.with[i] = self;
        if (i == 15) {
            accepts(keyring, gm_test_sign_new(many), "Self");
        }
    }
    refuses(keyring, gm_test_sign_new(many), "the signature has 17 "
            "certificates, at most 16 are read; sign with the chain alone");

    /* Certificates, and nobody who signs. */
    g_assert(!gnutls_pkcs7_init(&pkcs7));
    g_assert(!gnutls_pkcs7_set_crt(pkcs7, self->crt));
    g_assert(!gnutls_pkcs7_export2(pkcs7, GNUTLS_X509_FMT_DER, &der));
    gnutls_pkcs7_deinit(pkcs7);
    refuses(keyring, &der, "malformed signature: not exactly one signer");
    gnutls_free(der.data);
    refuses(keyring, &empty, "malformed signature: ");
}

static void test_length_of_form(void)
{
    const GmTestCrt *self = gm_test_crt(.cn = "Self");
    const gnutls_datum_t *sig = gm_test_sign(.by = self, .with = { self });
    g_autoptr(GmKeyring) keyring = ring(self);
    unsigned size;

    for (size = 0; size <= sig->size + 2; size++) {
        g_autofree uint8_t *copy = g_malloc0(size);
        const gnutls_datum_t part = { copy, size };
        Error *err = NULL;

        if (size == sig->size) {
            continue;
        }
        if (size) {
            memcpy(copy, sig->data, MIN(size, sig->size));
        }
        g_assert(!verify(keyring, &part, &err));
        g_assert(g_str_has_prefix(error_get_pretty(err),
                                  "malformed signature: "));
        error_free(err);
    }
}

#define bad_ring(path, ...) do {                                        \
        Error *err_ = NULL;                                             \
                                                                        \
        g_assert(!gm_keyring_load(path, &err_));                        \
        expect(err_, __VA_ARGS__);                                      \
    } while (0)

static void test_files(void)
{
    const GmTestCrt *root = gm_test_crt(.cn = "Root", .ca = true);
    const GmTestCrt *end = gm_test_crt(.cn = "Signer", .issuer = root);
    g_autofree char *dir = g_build_filename(tmpdir, "ring", NULL);
    g_autofree char *a = g_build_filename(dir, "a.pem", NULL);
    g_autofree char *b = g_build_filename(dir, "b.der", NULL);
    g_autofree char *lists = g_build_filename(tmpdir, "lists", NULL);
    g_autofree char *list = g_build_filename(lists, "root.pem", NULL);
    g_autoptr(GmKeyring) keyring = NULL;
    g_autofree char *junk = NULL;
    g_autofree char *folder = NULL;
    Error *err = NULL;
    gnutls_datum_t der;

    g_assert(!mkdir(dir, 0700) && !mkdir(lists, 0700));
    bad_ring(dir, "keyring '%s' holds no certificate", dir);
    bad_ring(a, "cannot read the keyring: Could not open '%s': No such file "
             "or directory", a);
    g_assert(!symlink("a.pem", a));
    bad_ring(dir, "cannot read the keyring: Could not open '%s': Too many "
             "levels of symbolic links", a);
    g_assert(!unlink(a) && !mkfifo(a, 0600));
    bad_ring(dir, "cannot read the keyring: '%s' is not a regular file", a);
    bad_ring(a, "cannot read the keyring: '%s' is not a regular file", a);
    g_assert(!unlink(a) && g_file_set_contents(a, "", 0, NULL));
    g_assert(!truncate(a, 16 * 1024 * 1024 + 1));
    bad_ring(a, "cannot read the keyring: '%s' has more than 16 MiB", a);
    g_assert(g_file_set_contents(a, "junk", -1, NULL));
    bad_ring(dir, "keyring '%s' holds no valid X.509 certificate: ", a);

    /*
     * Sorted by name, whatever their form; what starts with a dot is hidden, and
     * folders in it are none of the keyring's.
     */
    g_assert(!gnutls_x509_crt_export2(end->crt, GNUTLS_X509_FMT_DER, &der));
    g_assert(g_file_set_contents(b, (char *)der.data, der.size, NULL));
    gnutls_free(der.data);
    g_assert(g_file_set_contents(a, gm_test_crt_pem(root), -1, NULL));
    junk = g_build_filename(dir, ".junk", NULL);
    g_assert(g_file_set_contents(junk, "junk", -1, NULL));
    folder = g_build_filename(dir, "folder", NULL);
    g_assert(!mkdir(folder, 0700));
    keyring = gm_keyring_load(dir, &error_abort);
    g_assert_cmpuint(gm_keyring_subjects(keyring)->len, ==, 2);
    g_assert_cmpstr(gm_keyring_subjects(keyring)->pdata[0], ==, "CN=Root");
    g_assert_cmpstr(gm_keyring_subjects(keyring)->pdata[1], ==, "CN=Signer");
    accepts(keyring, gm_test_sign(.by = end), "Signer");

    g_assert(!gm_keyring_load_crls(keyring, lists, &err));
    expect(err, "'%s' holds no revocation list", lists);
    err = NULL;
    g_assert(!gm_keyring_load_crls(keyring, list, &err));
    expect(err, "cannot read the revocation lists: Could not open '%s': No "
            "such file or directory", list);
    /* What could not be read has changed nothing. */
    accepts(keyring, gm_test_sign(.by = end), "Signer");
    g_assert(g_file_set_contents(list, gm_test_crl(.by = root, .revoked = {
                                                   end }), -1, NULL));
    g_assert(gm_keyring_load_crls(keyring, lists, &error_abort));
    refuses(keyring, gm_test_sign(.by = end), SIGNER "has been revoked by "
            "CN=Root (serial 11, %s, list '%s'); sign with another",
            gm_test_date(-1), list);
}

static const GmTestCase tests[] = {
    { "/gm/keyring/direct", test_direct },
    { "/gm/keyring/files", test_files },
    { "/gm/keyring/form", test_form },
    { "/gm/keyring/form/length", test_length_of_form },
    { "/gm/keyring/subject", test_subject },
    { "/gm/chain/good", test_chain },
    { "/gm/chain/unknown", test_unknown },
    { "/gm/chain/forged", test_forged },
    { "/gm/chain/time", test_time },
    { "/gm/chain/renewed", test_renewed },
    { "/gm/chain/usage", test_usage },
    { "/gm/chain/authority", test_authority },
    { "/gm/chain/length", test_length },
    { "/gm/chain/algorithms", test_algorithms },
    { "/gm/chain/extensions", test_extensions },
    { NULL }
};

int main(int argc, char **argv)
{
    return test_main(argc, argv, tests);
}
