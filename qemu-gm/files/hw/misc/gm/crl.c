/*
 * Guarded modules: certificates that count no longer.
 *
 * Once there are lists, every issuer in a chain must have one: a list that was
 * lost must not bring back what it revoked. A list counts if a certificate of
 * the keyring signed it and if it is in force when it is asked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "certificate.h"
#include "crl.h"
#include "pemfile.h"

typedef struct GmCrl {
    gnutls_x509_crl_t crl;
    char *file;
    char *issuer;
    gnutls_datum_t issuer_dn;
} GmCrl;

struct GmCrls {
    GPtrArray *list;            /* GmCrl */
    const GPtrArray *authorities;
    time_t now;
};

static void gm_crl_free(void *opaque)
{
    GmCrl *c = opaque;

    gnutls_x509_crl_deinit(c->crl);
    gnutls_free(c->issuer_dn.data);
    g_free(c->file);
    g_free(c->issuer);
    g_free(c);
}

static bool gm_crl_signed_by(const GmCrl *c, gnutls_x509_crt_t crt)
{
    const unsigned anything = GNUTLS_VERIFY_DISABLE_CA_SIGN |
                              GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
                              GNUTLS_VERIFY_ALLOW_BROKEN |
                              GNUTLS_VERIFY_ALLOW_SIGN_WITH_SHA1;
    unsigned status;

    return gnutls_x509_crl_check_issuer(c->crl, crt) &&
           gnutls_x509_crl_verify(c->crl, &crt, 1, anything, &status) >= 0 &&
           !(status & (GNUTLS_CERT_SIGNATURE_FAILURE |
                       GNUTLS_CERT_SIGNER_NOT_FOUND));
}

static bool gm_crl_check_time(const GmCrl *c, time_t now, Error **errp)
{
    time_t from = gnutls_x509_crl_get_this_update(c->crl);
    time_t to = gnutls_x509_crl_get_next_update(c->crl);
    g_autofree char *from_text = gm_time_text(from);
    g_autofree char *to_text = gm_time_text(to);

    if (from == (time_t)-1 || now < from) {
        error_setg(errp, "revocation list '%s' of %s is not valid yet, but "
                   "from %s on; wait, or correct the host's clock", c->file,
                   c->issuer, from_text);
        return false;
    }
    if (to == (time_t)-1) {
        error_setg(errp, "revocation list '%s' of %s does not say when the "
                   "next one is due; have it issued with a nextUpdate",
                   c->file, c->issuer);
        return false;
    }
    if (now > to) {
        error_setg(errp, "revocation list '%s' of %s has expired on %s; put "
                   "the next one in its place", c->file, c->issuer, to_text);
        return false;
    }
    return true;
}

/* A list for a part of the certificates only is marked by such an extension. */
static bool gm_crl_check_extensions(const GmCrl *c, Error **errp)
{
    unsigned critical;
    char oid[128];
    size_t size;
    int i, ret;

    for (i = 0; ; i++) {
        size = sizeof(oid);
        critical = 1;
        ret = gnutls_x509_crl_get_extension_info(c->crl, i, oid, &size,
                                                 &critical);
        if (ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
            return true;
        }
        if (ret < 0) {
            error_setg(errp, "revocation list '%s' of %s has extensions that "
                       "cannot be read: %s", c->file, c->issuer,
                       gnutls_strerror(ret));
            return false;
        }
        if (critical) {
            error_setg(errp, "revocation list '%s' of %s has the critical "
                       "extension %s, which is not known here; use a full "
                       "list", c->file, c->issuer, oid);
            return false;
        }
    }
}

static bool gm_crl_check_signature(const GmCrl *c,
                                   const GPtrArray *authorities, Error **errp)
{
    int algo = gnutls_x509_crl_get_signature_algorithm(c->crl);
    gnutls_x509_crt_t found = NULL;
    unsigned i, ca = 0;

    for (i = 0; i < authorities->len && !found; i++) {
        if (gm_crl_signed_by(c, authorities->pdata[i])) {
            found = authorities->pdata[i];
        }
    }
    if (!found) {
        error_setg(errp, "revocation list '%s' of %s is not signed by a "
                   "certificate of the keyring; put the authority's into the "
                   "keyring", c->file, c->issuer);
        return false;
    }
    if (gnutls_x509_crt_get_basic_constraints(found, NULL, &ca, NULL) < 0 ||
        !ca || !gm_crt_has_usage(found, GNUTLS_KEY_CRL_SIGN)) {
        error_setg(errp, "revocation list '%s' of %s is signed by a "
                   "certificate that is not meant for it; it must have "
                   "CA:TRUE, and cRLSign in its key usage", c->file,
                   c->issuer);
        return false;
    }
    if (!gm_sign_is_safe(algo)) {
        error_setg(errp, "revocation list '%s' of %s is signed with %s, which "
                   "is not safe; have it issued anew, with SHA-256 or better",
                   c->file, c->issuer, gm_sign_name(algo));
        return false;
    }
    return true;
}

static bool gm_crls_add(GmCrls *crls, const char *path, gnutls_x509_crl_t crl,
                        Error **errp)
{
    GmCrl *c = g_new0(GmCrl, 1);

    c->crl = crl;
    c->file = g_strdup(path);
    g_ptr_array_add(crls->list, c);
    if (gnutls_x509_crl_get_raw_issuer_dn(crl, &c->issuer_dn) < 0) {
        error_setg(errp, "revocation list '%s' has no issuer", path);
        return false;
    }
    c->issuer = gm_dn_text(&c->issuer_dn);
    return gm_crl_check_signature(c, crls->authorities, errp) &&
           gm_crl_check_extensions(c, errp) &&
           gm_crl_check_time(c, crls->now, errp);
}

static bool gm_crls_add_file(void *opaque, const char *path,
                             const gnutls_datum_t *data, bool pem, Error **errp)
{
    GmCrls *crls = opaque;
    gnutls_x509_crl_t *list;
    bool ok = true;
    unsigned i, n;
    int ret;

    ret = gnutls_x509_crl_list_import2(&list, &n, data, pem ?
                                       GNUTLS_X509_FMT_PEM :
                                       GNUTLS_X509_FMT_DER, 0);
    if (ret < 0 || !n) {
        error_setg(errp, "'%s' holds no valid revocation list: %s", path,
                   ret < 0 ? gnutls_strerror(ret) : "it is empty");
        return false;
    }
    for (i = 0; i < n; i++) {
        if (ok) {
            ok = gm_crls_add(crls, path, list[i], errp);
        } else {
            gnutls_x509_crl_deinit(list[i]);
        }
    }
    gnutls_free(list);
    return ok;
}

GmCrls *gm_crls_load(const char *path, const GPtrArray *authorities,
                     time_t now, Error **errp)
{
    GmCrls *crls = g_new0(GmCrls, 1);

    crls->list = g_ptr_array_new_with_free_func(gm_crl_free);
    crls->authorities = authorities;
    crls->now = now;
    if (!gm_pem_files(path, "the revocation lists", gm_crls_add_file, crls,
                      errp)) {
        gm_crls_free(crls);
        return NULL;
    }
    if (!crls->list->len) {
        error_setg(errp, "'%s' holds no revocation list", path);
        gm_crls_free(crls);
        return NULL;
    }
    return crls;
}

void gm_crls_free(GmCrls *crls)
{
    if (crls) {
        g_ptr_array_unref(crls->list);
        g_free(crls);
    }
}

/* When was it revoked by this list? False if it was not. */
static bool gm_crl_find(const GmCrl *c, const uint8_t *serial, size_t size,
                        time_t *when)
{
    gnutls_x509_crl_iter_t iter = NULL;
    uint8_t listed[128];
    size_t listed_size;
    bool found = false;
    int ret;

    do {
        listed_size = sizeof(listed);
        ret = gnutls_x509_crl_iter_crt_serial(c->crl, &iter, listed,
                                              &listed_size, when);
        found = ret >= 0 && listed_size == size &&
                !memcmp(listed, serial, size);
    } while (!found && ret >= 0);
    gnutls_x509_crl_iter_deinit(iter);

    if (!found && ret != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
        /* Nobody knows who is on the rest of it. */
        *when = (time_t)-1;
        return true;
    }
    return found;
}

bool gm_crls_check(const GmCrls *crls, gnutls_x509_crt_t crt, unsigned depth,
                   gnutls_x509_crt_t issuer, time_t now, Error **errp)
{
    g_autofree char *what = gm_crt_describe(crt, depth);
    g_autofree char *issuer_name = gm_crt_issuer(crt);
    g_autofree char *serial_text = gm_crt_serial(crt);
    gnutls_datum_t dn = { 0 };
    bool listed = false;
    uint8_t serial[128];
    size_t size = sizeof(serial);
    unsigned i;
    time_t when;

    if (gnutls_x509_crt_get_serial(crt, serial, &size) < 0 ||
        gnutls_x509_crt_get_raw_issuer_dn(crt, &dn) < 0) {
        error_setg(errp, "%s has no valid serial number or issuer", what);
        return false;
    }
    for (i = 0; i < crls->list->len; i++) {
        const GmCrl *c = crls->list->pdata[i];

        if (c->issuer_dn.size != dn.size ||
            memcmp(c->issuer_dn.data, dn.data, dn.size)) {
            continue;
        }
        if (!gm_crl_check_time(c, now, errp)) {
            goto fail;
        }
        if (gm_crl_find(c, serial, size, &when)) {
            g_autofree char *when_text = gm_time_text(when);

            error_setg(errp, "%s has been revoked by %s (serial %s, %s, list "
                       "'%s'); sign with another", what, issuer_name,
                       serial_text, when_text, c->file);
            goto fail;
        }
        listed |= issuer && gm_crl_signed_by(c, issuer);
    }
    gnutls_free(dn.data);
    if (issuer && !listed) {
        error_setg(errp, "%s may have been revoked: there is no revocation "
                   "list of its issuer, %s; put it to the others, and the "
                   "issuer's certificate into the keyring", what, issuer_name);
        return false;
    }
    return true;

fail:
    gnutls_free(dn.data);
    return false;
}
