/*
 * Guarded modules: the certificates whose signatures count.
 *
 * Signatures are those of the kernel's sign-file: PKCS#7 (CMS) over the whole
 * image, detached. As in the kernel's trusted keyring, every certificate is
 * trusted by itself: the signer must be in the keyring, there are no chains.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <gnutls/pkcs7.h>
#include "keyring.h"

struct GmKeyring {
    GPtrArray *crts;            /* gnutls_x509_crt_t */
    GPtrArray *subjects;        /* char *, in the same order */
};

static gboolean gm_datum_equal(const gnutls_datum_t *a, const void *data,
                               size_t size)
{
    return a->size && a->size == size && !memcmp(a->data, data, size);
}

static char *gm_datum_hex(const gnutls_datum_t *d)
{
    GString *s = g_string_new(NULL);
    unsigned i;

    for (i = 0; i < d->size; i++) {
        g_string_append_printf(s, "%02x", d->data[i]);
    }
    return g_string_free(s, false);
}

static char *gm_crt_subject(gnutls_x509_crt_t crt)
{
    gnutls_datum_t dn = { 0 };
    char *subject;

    if (gnutls_x509_crt_get_dn3(crt, &dn, 0) < 0) {
        return g_strdup("(no subject)");
    }
    subject = g_strndup((const char *)dn.data, dn.size);
    gnutls_free(dn.data);
    return subject;
}

/* What a person calls the owner of a certificate. */
static char *gm_crt_name(gnutls_x509_crt_t crt)
{
    char cn[256];
    size_t size = sizeof(cn);

    if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0,
                                      cn, &size) < 0) {
        return gm_crt_subject(crt);
    }
    return g_strdup(cn);
}

static bool gm_keyring_add_file(GmKeyring *keyring, const char *path,
                                Error **errp)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *data = NULL;
    gnutls_x509_crt_t *crts;
    gnutls_datum_t datum;
    unsigned i, n;
    gsize size;
    int ret;

    if (!g_file_get_contents(path, &data, &size, &err)) {
        error_setg(errp, "cannot read the keyring: %s", err->message);
        return false;
    }
    datum.data = (unsigned char *)data;
    datum.size = size;

    ret = gnutls_x509_crt_list_import2(&crts, &n, &datum, GNUTLS_X509_FMT_PEM,
                                       0);
    if (ret == GNUTLS_E_NO_CERTIFICATE_FOUND) {
        ret = gnutls_x509_crt_list_import2(&crts, &n, &datum,
                                           GNUTLS_X509_FMT_DER, 0);
    }
    if (ret < 0) {
        error_setg(errp, "keyring '%s' holds no valid X.509 certificate: %s",
                   path, gnutls_strerror(ret));
        return false;
    }
    for (i = 0; i < n; i++) {
        g_ptr_array_add(keyring->crts, crts[i]);
        g_ptr_array_add(keyring->subjects, gm_crt_subject(crts[i]));
    }
    gnutls_free(crts);
    return true;
}

static bool gm_keyring_add_dir(GmKeyring *keyring, const char *path,
                               Error **errp)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &err);
    const char *name;

    if (!dir) {
        error_setg(errp, "cannot read the keyring: %s", err->message);
        return false;
    }
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        if (name[0] != '.' && !g_file_test(file, G_FILE_TEST_IS_DIR) &&
            !gm_keyring_add_file(keyring, file, errp)) {
            return false;
        }
    }
    return true;
}

static void gm_crt_free(void *crt)
{
    gnutls_x509_crt_deinit(crt);
}

GmKeyring *gm_keyring_load(const char *path, Error **errp)
{
    g_autoptr(GmKeyring) keyring = g_new0(GmKeyring, 1);
    bool ok;

    keyring->crts = g_ptr_array_new_with_free_func(gm_crt_free);
    keyring->subjects = g_ptr_array_new_with_free_func(g_free);

    if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
        ok = gm_keyring_add_dir(keyring, path, errp);
    } else {
        ok = gm_keyring_add_file(keyring, path, errp);
    }
    if (!ok) {
        return NULL;
    }
    if (!keyring->crts->len) {
        error_setg(errp, "keyring '%s' holds no certificate", path);
        return NULL;
    }
    return g_steal_pointer(&keyring);
}

void gm_keyring_free(GmKeyring *keyring)
{
    if (keyring) {
        g_ptr_array_unref(keyring->crts);
        g_ptr_array_unref(keyring->subjects);
        g_free(keyring);
    }
}

const GPtrArray *gm_keyring_subjects(const GmKeyring *keyring)
{
    return keyring->subjects;
}

/* The signature names its key by issuer and serial number, or by key id. */
static bool gm_crt_matches(gnutls_x509_crt_t crt,
                           const gnutls_pkcs7_signature_info_st *info)
{
    gnutls_datum_t issuer = { 0 };
    uint8_t buf[256];
    size_t size = sizeof(buf);
    bool match;

    if (info->issuer_keyid.size) {
        return gnutls_x509_crt_get_subject_key_id(crt, buf, &size,
                                                  NULL) >= 0 &&
               gm_datum_equal(&info->issuer_keyid, buf, size);
    }
    if (gnutls_x509_crt_get_serial(crt, buf, &size) < 0 ||
        !gm_datum_equal(&info->signer_serial, buf, size) ||
        gnutls_x509_crt_get_raw_issuer_dn(crt, &issuer) < 0) {
        return false;
    }
    match = gm_datum_equal(&info->issuer_dn, issuer.data, issuer.size);
    gnutls_free(issuer.data);
    return match;
}

static gnutls_x509_crt_t
gm_keyring_find(const GmKeyring *keyring,
                const gnutls_pkcs7_signature_info_st *info)
{
    unsigned i;

    for (i = 0; i < keyring->crts->len; i++) {
        if (gm_crt_matches(keyring->crts->pdata[i], info)) {
            return keyring->crts->pdata[i];
        }
    }
    return NULL;
}

static void gm_error_unknown_key(Error **errp,
                                 const gnutls_pkcs7_signature_info_st *info)
{
    g_autofree char *serial = gm_datum_hex(&info->signer_serial);
    g_autofree char *keyid = gm_datum_hex(&info->issuer_keyid);
    gnutls_datum_t issuer = { 0 };

    if (info->issuer_keyid.size) {
        error_setg(errp, "signed by an unknown key (key id %s)", keyid);
        return;
    }
    gnutls_x509_rdn_get2(&info->issuer_dn, &issuer, 0);
    error_setg(errp, "signed by an unknown key (issuer %.*s, serial %s)",
               (int)issuer.size, issuer.data ? (char *)issuer.data : "",
               serial);
    gnutls_free(issuer.data);
}

/* May this certificate's key sign a module now? */
static bool gm_crt_usable(gnutls_x509_crt_t crt, Error **errp)
{
    g_autofree char *name = gm_crt_name(crt);
    time_t now = time(NULL);
    unsigned usage;

    if (now < gnutls_x509_crt_get_activation_time(crt)) {
        error_setg(errp, "the certificate of the signer, %s, is not valid yet",
                   name);
        return false;
    }
    if (now > gnutls_x509_crt_get_expiration_time(crt)) {
        error_setg(errp, "the certificate of the signer, %s, has expired",
                   name);
        return false;
    }
    if (gnutls_x509_crt_get_key_usage(crt, &usage, NULL) >= 0 &&
        !(usage & GNUTLS_KEY_DIGITAL_SIGNATURE)) {
        error_setg(errp, "the certificate of the signer, %s, is not meant for "
                   "signatures", name);
        return false;
    }
    return true;
}

static char *gm_pkcs7_verify(const GmKeyring *keyring, gnutls_pkcs7_t pkcs7,
                             const gnutls_datum_t *body, int index,
                             Error **errp)
{
    gnutls_pkcs7_signature_info_st info;
    gnutls_x509_crt_t crt;
    char *name = NULL;
    int ret;

    ret = gnutls_pkcs7_get_signature_info(pkcs7, index, &info);
    if (ret < 0) {
        error_setg(errp, "malformed signature: %s", gnutls_strerror(ret));
        return NULL;
    }
    crt = gm_keyring_find(keyring, &info);
    if (!crt) {
        gm_error_unknown_key(errp, &info);
    } else if (gm_crt_usable(crt, errp)) {
        name = gm_crt_name(crt);
        ret = gnutls_pkcs7_verify_direct(pkcs7, crt, index, body, 0);
        if (ret < 0) {
            error_setg(errp, "the signature by %s does not match the "
                       "contents: %s", name, gnutls_strerror(ret));
            g_clear_pointer(&name, g_free);
        }
    }
    gnutls_pkcs7_signature_info_deinit(&info);
    return name;
}

char *gm_keyring_verify(const GmKeyring *keyring, const uint8_t *body,
                        const GmSignature *sig, Error **errp)
{
    const gnutls_datum_t data = { (unsigned char *)body, sig->body_size };
    const gnutls_datum_t der = { (unsigned char *)sig->der, sig->der_size };
    gnutls_pkcs7_t pkcs7;
    char *name = NULL;
    int ret;

    ret = gnutls_pkcs7_init(&pkcs7);
    if (ret < 0) {
        error_setg(errp, "cannot verify: %s", gnutls_strerror(ret));
        return NULL;
    }
    ret = gnutls_pkcs7_import(pkcs7, &der, GNUTLS_X509_FMT_DER);
    if (ret < 0) {
        error_setg(errp, "malformed signature: %s", gnutls_strerror(ret));
    } else if (gnutls_pkcs7_get_signature_count(pkcs7) != 1) {
        error_setg(errp, "malformed signature: not exactly one signer");
    } else {
        name = gm_pkcs7_verify(keyring, pkcs7, &data, 0, errp);
    }
    gnutls_pkcs7_deinit(pkcs7);
    return name;
}
