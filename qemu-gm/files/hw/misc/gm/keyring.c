/*
 * Guarded modules: the certificates whose signatures count.
 *
 * Signatures are those of the kernel's sign-file: PKCS#7 (CMS) over the whole
 * image, detached. The signer's certificate is in the keyring, or comes along in
 * the signature together with what leads to the keyring (chain.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <gnutls/pkcs7.h>
#include "certificate.h"
#include "chain.h"
#include "crl.h"
#include "keyring.h"
#include "pemfile.h"

/* Certificates that a signature may bring along. */
#define GM_EXTRA_MAX 16

struct GmKeyring {
    GPtrArray *crts;            /* gnutls_x509_crt_t */
    GPtrArray *subjects;        /* char *, in the same order */
    GmCrls *crls;               /* or NULL */
};

static void gm_crt_free(void *crt)
{
    gnutls_x509_crt_deinit(crt);
}

static bool gm_keyring_add_file(void *opaque, const char *path,
                                const gnutls_datum_t *data, bool pem,
                                Error **errp)
{
    GmKeyring *keyring = opaque;
    gnutls_x509_crt_t *crts;
    unsigned i, n;
    int ret;

    ret = gnutls_x509_crt_list_import2(&crts, &n, data, pem ?
                                       GNUTLS_X509_FMT_PEM :
                                       GNUTLS_X509_FMT_DER, 0);
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

GmKeyring *gm_keyring_load(const char *path, Error **errp)
{
    g_autoptr(GmKeyring) keyring = g_new0(GmKeyring, 1);

    keyring->crts = g_ptr_array_new_with_free_func(gm_crt_free);
    keyring->subjects = g_ptr_array_new_with_free_func(g_free);

    if (!gm_pem_files(path, "the keyring", gm_keyring_add_file, keyring,
                      errp)) {
        return NULL;
    }
    if (!keyring->crts->len) {
        error_setg(errp, "keyring '%s' holds no certificate", path);
        return NULL;
    }
    return g_steal_pointer(&keyring);
}

bool gm_keyring_load_crls(GmKeyring *keyring, const char *path, Error **errp)
{
    GmCrls *crls = gm_crls_load(path, keyring->crts, time(NULL), errp);

    if (!crls) {
        return false;
    }
    gm_crls_free(keyring->crls);
    keyring->crls = crls;
    return true;
}

void gm_keyring_free(GmKeyring *keyring)
{
    if (keyring) {
        gm_crls_free(keyring->crls);
        g_ptr_array_unref(keyring->crts);
        g_ptr_array_unref(keyring->subjects);
        g_free(keyring);
    }
}

const GPtrArray *gm_keyring_subjects(const GmKeyring *keyring)
{
    return keyring->subjects;
}

static bool gm_datum_equal(const gnutls_datum_t *a, const void *data,
                           size_t size)
{
    return a->size && a->size == size && !memcmp(a->data, data, size);
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

/* Of several with the same key id, one that is valid. */
static gnutls_x509_crt_t
gm_find_signer(const GPtrArray *crts,
               const gnutls_pkcs7_signature_info_st *info, time_t now)
{
    gnutls_x509_crt_t found = NULL;
    unsigned i;

    for (i = 0; i < crts->len; i++) {
        if (gm_crt_matches(crts->pdata[i], info)) {
            if (gm_crt_in_time(crts->pdata[i], now)) {
                return crts->pdata[i];
            }
            found = found ?: crts->pdata[i];
        }
    }
    return found;
}

static const char gm_unknown_key_hint[] =
    "put its certificate into the keyring if you trust it, or sign with it "
    "included if its issuer is there";

static void gm_error_unknown_key(Error **errp,
                                 const gnutls_pkcs7_signature_info_st *info)
{
    g_autofree char *serial = gm_hex(info->signer_serial.data,
                                     info->signer_serial.size);
    g_autofree char *keyid = gm_hex(info->issuer_keyid.data,
                                    info->issuer_keyid.size);
    g_autofree char *issuer = NULL;

    if (info->issuer_keyid.size) {
        error_setg(errp, "signed by an unknown key (key id %s); %s", keyid,
                   gm_unknown_key_hint);
        return;
    }
    issuer = gm_dn_text(&info->issuer_dn);
    error_setg(errp, "signed by an unknown key (issuer %s, serial %s); %s",
               issuer, serial, gm_unknown_key_hint);
}

/* The certificates that came along, which prove nothing by themselves. */
static GPtrArray *gm_pkcs7_crts(gnutls_pkcs7_t pkcs7, Error **errp)
{
    g_autoptr(GPtrArray) crts = g_ptr_array_new_with_free_func(gm_crt_free);
    int i, n = gnutls_pkcs7_get_crt_count(pkcs7);

    if (n > GM_EXTRA_MAX) {
        error_setg(errp, "the signature has %d certificates, at most %d are "
                   "read; sign with the chain alone", n, GM_EXTRA_MAX);
        return NULL;
    }
    for (i = 0; i < n; i++) {
        gnutls_datum_t der = { 0 };
        gnutls_x509_crt_t crt;
        int ret;

        ret = gnutls_pkcs7_get_crt_raw2(pkcs7, i, &der);
        if (ret >= 0) {
            ret = gnutls_x509_crt_init(&crt);
        }
        if (ret >= 0) {
            g_ptr_array_add(crts, crt);
            ret = gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER);
        }
        gnutls_free(der.data);
        if (ret < 0) {
            error_setg(errp, "malformed signature: certificate %d: %s", i,
                       gnutls_strerror(ret));
            return NULL;
        }
    }
    return g_steal_pointer(&crts);
}

static char *gm_pkcs7_verify(const GmKeyring *keyring, gnutls_pkcs7_t pkcs7,
                             const gnutls_pkcs7_signature_info_st *info,
                             const gnutls_datum_t *body, Error **errp)
{
    g_autoptr(GPtrArray) extra = gm_pkcs7_crts(pkcs7, errp);
    g_autofree char *name = NULL;
    time_t now = time(NULL);
    gnutls_x509_crt_t crt;
    int ret;

    if (!extra) {
        return NULL;
    }
    crt = gm_find_signer(keyring->crts, info, now);
    if (!crt) {
        crt = gm_find_signer(extra, info, now);
    }
    if (!crt) {
        gm_error_unknown_key(errp, info);
        return NULL;
    }
    if (!gm_chain_check(keyring->crts, extra, keyring->crls, crt, now, errp)) {
        return NULL;
    }
    name = gm_crt_name(crt);
    if (!gm_sign_is_safe(info->algo)) {
        error_setg(errp, "the signature by %s is made with %s, which is not "
                   "safe; sign with SHA-256 or better", name,
                   gm_sign_name(info->algo));
        return NULL;
    }
    ret = gnutls_pkcs7_verify_direct(pkcs7, crt, 0, body, 0);
    if (ret < 0) {
        error_setg(errp, "the signature by %s does not match the contents: "
                   "%s", name, gnutls_strerror(ret));
        return NULL;
    }
    return g_steal_pointer(&name);
}

/* A signature of exactly one signer, over what it does not contain. */
static bool gm_pkcs7_check(gnutls_pkcs7_t pkcs7, Error **errp)
{
    gnutls_datum_t contents = { 0 };
    int ret;

    ret = gnutls_pkcs7_get_signature_count(pkcs7);
    if (ret != 1) {
        error_setg(errp, "malformed signature: not exactly one signer");
        return false;
    }
    ret = gnutls_pkcs7_get_embedded_data(pkcs7, GNUTLS_PKCS7_EDATA_GET_RAW,
                                         &contents);
    gnutls_free(contents.data);
    if (ret != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
        error_setg(errp, "malformed signature: it has contents of its own; "
                   "sign with them detached");
        return false;
    }
    return true;
}

char *gm_keyring_verify(const GmKeyring *keyring, const uint8_t *body,
                        const GmSignature *sig, Error **errp)
{
    const gnutls_datum_t data = { (unsigned char *)body, sig->body_size };
    const gnutls_datum_t der = { (unsigned char *)sig->der, sig->der_size };
    gnutls_pkcs7_signature_info_st info;
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
    } else if (gm_pkcs7_check(pkcs7, errp)) {
        ret = gnutls_pkcs7_get_signature_info(pkcs7, 0, &info);
        if (ret < 0) {
            error_setg(errp, "malformed signature: %s", gnutls_strerror(ret));
        } else {
            name = gm_pkcs7_verify(keyring, pkcs7, &info, &data, errp);
            gnutls_pkcs7_signature_info_deinit(&info);
        }
    }
    gnutls_pkcs7_deinit(pkcs7);
    return name;
}
