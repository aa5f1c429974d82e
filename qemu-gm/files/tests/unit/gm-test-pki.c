/*
 * Certificates, revocation lists and signatures for tests, good and bad.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <gnutls/pkcs7.h>
#include "gm-test-pki.h"

static GPtrArray *crts;         /* GmTestCrt */
static GPtrArray *texts;        /* what g_free() frees */
static time_t now;
static unsigned serials;

static void crt_free(void *opaque)
{
    GmTestCrt *c = opaque;

    gnutls_x509_crt_deinit(c->crt);
    gnutls_x509_privkey_deinit(c->key);
    g_free(c);
}

void gm_test_pki_reset(void)
{
    g_clear_pointer(&crts, g_ptr_array_unref);
    g_clear_pointer(&texts, g_ptr_array_unref);
}

/* Make what follows from one point in time, so that dates can be told. */
static void pki_init(void)
{
    if (!crts) {
        crts = g_ptr_array_new_with_free_func(crt_free);
        texts = g_ptr_array_new_with_free_func(g_free);
        now = time(NULL);
        serials = 0x10;
    }
}

static void *keep(void *text)
{
    g_ptr_array_add(texts, text);
    return text;
}

static char *keep_datum(gnutls_datum_t *d)
{
    char *text = keep(g_strndup((char *)d->data, d->size));

    gnutls_free(d->data);
    return text;
}

static time_t day(int days)
{
    return now + days * GM_TEST_DAY;
}

const char *gm_test_date(int days)
{
    char *text = keep(g_malloc(32));
    time_t t = day(days);

    strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", gmtime(&t));
    return text;
}

static void make_key(GmTestCrt *c, const GmTestSpec *spec)
{
    g_assert(!gnutls_x509_privkey_init(&c->key));
    if (spec->key_of) {
        g_assert(!gnutls_x509_privkey_cpy(c->key, spec->key_of->key));
    } else if (spec->rsa_bits) {
        g_assert(!gnutls_x509_privkey_generate(c->key, GNUTLS_PK_RSA,
                                               spec->rsa_bits, 0));
    } else {
        unsigned curve = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);

        g_assert(!gnutls_x509_privkey_generate(c->key, GNUTLS_PK_ECDSA, curve,
                                               0));
    }
}

static void constrain_dns(gnutls_x509_crt_t crt, const char *name)
{
    const gnutls_datum_t datum = { (unsigned char *)name, strlen(name) };
    gnutls_x509_name_constraints_t nc;

    g_assert(!gnutls_x509_name_constraints_init(&nc));
    g_assert(!gnutls_x509_name_constraints_add_permitted(
                 nc, GNUTLS_SAN_DNSNAME, &datum));
    g_assert(!gnutls_x509_crt_set_name_constraints(crt, nc, 1));
    gnutls_x509_name_constraints_deinit(nc);
}

/* GnuTLS writes none of these. */
static void constrain_dn(gnutls_x509_crt_t crt)
{
    static const char der[] =
        "\x30\x15\xa0\x13\x30\x11\xa4\x0f"
        "\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x0c\x02" "Me";

    g_assert(!gnutls_x509_crt_set_extension_by_oid(
                 crt, GNUTLS_X509EXT_OID_NAME_CONSTRAINTS, der,
                 sizeof(der) - 1, 1));
}

static void set_extensions(gnutls_x509_crt_t crt, const GmTestSpec *spec)
{
    unsigned usage = spec->usage;

    if (spec->ca) {
        g_assert(!gnutls_x509_crt_set_basic_constraints(
                     crt, 1, spec->limited ? spec->pathlen : -1));
    }
    if (spec->no_ca) {
        g_assert(!gnutls_x509_crt_set_basic_constraints(crt, 0, -1));
    }
    if (!usage) {
        usage = spec->ca ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN
                         : GNUTLS_KEY_DIGITAL_SIGNATURE;
    }
    if (!spec->no_usage) {
        g_assert(!gnutls_x509_crt_set_key_usage(crt, usage));
    }
    if (spec->purpose) {
        g_assert(!gnutls_x509_crt_set_key_purpose_oid(crt, spec->purpose, 0));
    }
    if (spec->critical) {
        g_assert(!gnutls_x509_crt_set_extension_by_oid(crt, spec->critical,
                                                       "\x05\x00", 2, 1));
    }
    if (spec->dns) {
        g_assert(!gnutls_x509_crt_set_subject_alt_name(
                     crt, GNUTLS_SAN_DNSNAME, spec->dns, strlen(spec->dns),
                     GNUTLS_FSAN_SET));
    }
    if (spec->only_dns) {
        constrain_dns(crt, spec->only_dns);
    }
    if (spec->only_dn) {
        constrain_dn(crt);
    }
}

const GmTestCrt *gm_test_crt_new(GmTestSpec spec)
{
    GmTestCrt *c = g_new0(GmTestCrt, 1);
    const GmTestCrt *issuer = spec.issuer ?: c;
    const GmTestCrt *by = spec.signed_by ?: issuer;
    gnutls_datum_t der;
    uint8_t serial;

    pki_init();
    serial = serials++;
    g_assert(serial < 0x80);
    make_key(c, &spec);
    g_assert(!gnutls_x509_crt_init(&c->crt));
    g_assert(!gnutls_x509_crt_set_version(c->crt, spec.version ?: 3));
    g_assert(!gnutls_x509_crt_set_dn_by_oid(c->crt,
                                            GNUTLS_OID_X520_COMMON_NAME, 0,
                                            spec.cn, strlen(spec.cn)));
    g_assert(!gnutls_x509_crt_set_serial(c->crt, &serial, 1));
    g_assert(!gnutls_x509_crt_set_activation_time(c->crt, day(spec.from ?:
                                                              -1)));
    g_assert(!gnutls_x509_crt_set_expiration_time(c->crt, day(spec.to ?: 1)));
    g_assert(!gnutls_x509_crt_set_key(c->crt, c->key));
    if (spec.version != 1) {
        set_extensions(c->crt, &spec);
    }
    g_assert(!gnutls_x509_crt_sign2(c->crt, issuer->crt, by->key,
                                    spec.digest ?: GNUTLS_DIG_SHA256, 0));
    g_ptr_array_add(crts, c);

    /* Part of GnuTLS only knows certificates that were read. */
    g_assert(!gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_DER, &der));
    gnutls_x509_crt_deinit(c->crt);
    g_assert(!gnutls_x509_crt_init(&c->crt));
    g_assert(!gnutls_x509_crt_import(c->crt, &der, GNUTLS_X509_FMT_DER));
    gnutls_free(der.data);
    return c;
}

const char *gm_test_crt_pem(const GmTestCrt *c)
{
    gnutls_datum_t pem;

    g_assert(!gnutls_x509_crt_export2(c->crt, GNUTLS_X509_FMT_PEM, &pem));
    return keep_datum(&pem);
}

static void sign_one(gnutls_pkcs7_t pkcs7, const GmTestCrt *c,
                     const gnutls_datum_t *body, const GmTestSign *spec)
{
    gnutls_privkey_t key;

    g_assert(!gnutls_privkey_init(&key));
    g_assert(!gnutls_privkey_import_x509(key, c->key, 0));
    g_assert(!gnutls_pkcs7_sign(pkcs7, c->crt, key, body, NULL, NULL,
                                spec->digest ?: GNUTLS_DIG_SHA256,
                                spec->flags));
    gnutls_privkey_deinit(key);
}

const gnutls_datum_t *gm_test_sign_new(GmTestSign spec)
{
    const char *text = spec.body ?: GM_TEST_BODY;
    const gnutls_datum_t body = { (unsigned char *)text, strlen(text) };
    gnutls_datum_t *sig = g_new0(gnutls_datum_t, 1);
    gnutls_datum_t der;
    gnutls_pkcs7_t pkcs7;
    unsigned i;

    g_assert(!gnutls_pkcs7_init(&pkcs7));
    /* Later, GnuTLS would not take them any more. */
    for (i = 0; i < G_N_ELEMENTS(spec.with) && spec.with[i]; i++) {
        g_assert(!gnutls_pkcs7_set_crt(pkcs7, spec.with[i]->crt));
    }
    sign_one(pkcs7, spec.by, &body, &spec);
    if (spec.by_too) {
        sign_one(pkcs7, spec.by_too, &body, &spec);
    }
    g_assert(!gnutls_pkcs7_export2(pkcs7, GNUTLS_X509_FMT_DER, &der));
    gnutls_pkcs7_deinit(pkcs7);

    /* Not with a byte more behind it, which a sanitizer would not mind. */
    sig->data = keep(g_memdup2(der.data, der.size));
    sig->size = der.size;
    gnutls_free(der.data);
    return keep(sig);
}

const char *gm_test_crl_new(GmTestCrl spec)
{
    const GmTestCrt *by = spec.signed_by ?: spec.by;
    gnutls_x509_crl_t crl;
    gnutls_datum_t pem;
    unsigned i;

    g_assert(!gnutls_x509_crl_init(&crl));
    g_assert(!gnutls_x509_crl_set_version(crl, 2));
    g_assert(!gnutls_x509_crl_set_this_update(crl, day(spec.from ?: -1)));
    if (!spec.no_next) {
        g_assert(!gnutls_x509_crl_set_next_update(crl, day(spec.to ?: 1)));
    }
    for (i = 0; i < G_N_ELEMENTS(spec.revoked) && spec.revoked[i]; i++) {
        g_assert(!gnutls_x509_crl_set_crt(crl, spec.revoked[i]->crt, day(-1)));
    }
    g_assert(!gnutls_x509_crl_sign2(crl, spec.by->crt, by->key,
                                    spec.digest ?: GNUTLS_DIG_SHA256, 0));
    g_assert(!gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &pem));
    gnutls_x509_crl_deinit(crl);
    return keep_datum(&pem);
}
