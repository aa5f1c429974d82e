/*
 * Guarded modules: one certificate, what it is called and what it may do.
 *
 * GnuTLS would refuse most of what is refused here, too, and has the last word
 * (chain.c). But it does not say which certificate it means, checks little of
 * one that is trusted by itself, and how strict it is depends on the host's
 * configuration. Hence each rule of ours is written out, and whatever cannot
 * be read counts as broken.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "certificate.h"
#include "escape.h"

#define GM_OID_LEN 128

char *gm_hex(const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    GString *s = g_string_new(NULL);
    size_t i;

    for (i = 0; i < size; i++) {
        g_string_append_printf(s, "%02x", p[i]);
    }
    return g_string_free(s, false);
}

char *gm_time_text(time_t t)
{
    char text[32];
    struct tm tm;

    if (t == (time_t)-1 || !gmtime_r(&t, &tm) ||
        !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm)) {
        return g_strdup("an unknown date");
    }
    return g_strdup(text);
}

/* @dn was allocated by GnuTLS, or is empty. */
static char *gm_dn_steal(gnutls_datum_t *dn)
{
    char *text;

    if (!dn->size) {
        text = g_strdup("(no name)");
    } else {
        text = gm_escape_n((const char *)dn->data, dn->size);
    }
    gnutls_free(dn->data);
    return text;
}

char *gm_dn_text(const gnutls_datum_t *dn)
{
    gnutls_datum_t text = { 0 };

    gnutls_x509_rdn_get2(dn, &text, 0);
    return gm_dn_steal(&text);
}

char *gm_crt_subject(gnutls_x509_crt_t crt)
{
    gnutls_datum_t dn = { 0 };

    gnutls_x509_crt_get_dn3(crt, &dn, 0);
    return gm_dn_steal(&dn);
}

char *gm_crt_issuer(gnutls_x509_crt_t crt)
{
    gnutls_datum_t dn = { 0 };

    gnutls_x509_crt_get_issuer_dn3(crt, &dn, 0);
    return gm_dn_steal(&dn);
}

char *gm_crt_serial(gnutls_x509_crt_t crt)
{
    uint8_t serial[64];
    size_t size = sizeof(serial);

    if (gnutls_x509_crt_get_serial(crt, serial, &size) < 0) {
        return g_strdup("(none)");
    }
    return gm_hex(serial, size);
}

char *gm_crt_name(gnutls_x509_crt_t crt)
{
    char cn[256];
    size_t size = sizeof(cn);

    if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0,
                                      cn, &size) < 0) {
        return gm_crt_subject(crt);
    }
    return gm_escape_n(cn, size);
}

char *gm_crt_describe(gnutls_x509_crt_t crt, unsigned depth)
{
    g_autofree char *subject = gm_crt_subject(crt);

    return g_strdup_printf("the certificate of the %s, %s,",
                           depth ? "issuer" : "signer", subject);
}

static void G_GNUC_PRINTF(4, 5)
gm_crt_refuse(Error **errp, gnutls_x509_crt_t crt, unsigned depth,
              const char *fmt, ...)
{
    g_autofree char *what = gm_crt_describe(crt, depth);
    g_autofree char *why = NULL;
    va_list ap;

    va_start(ap, fmt);
    why = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    error_setg(errp, "%s %s", what, why);
}

bool gm_crt_in_time(gnutls_x509_crt_t crt, time_t now)
{
    time_t from = gnutls_x509_crt_get_activation_time(crt);
    time_t to = gnutls_x509_crt_get_expiration_time(crt);

    return from != (time_t)-1 && to != (time_t)-1 && from <= now && now <= to;
}

static bool gm_check_time(gnutls_x509_crt_t crt, unsigned depth, time_t now,
                          Error **errp)
{
    time_t from = gnutls_x509_crt_get_activation_time(crt);
    time_t to = gnutls_x509_crt_get_expiration_time(crt);
    g_autofree char *from_text = gm_time_text(from);
    g_autofree char *to_text = gm_time_text(to);

    if (from == (time_t)-1 || now < from) {
        gm_crt_refuse(errp, crt, depth, "is not valid yet, but from %s on; "
                      "wait, or correct the host's clock", from_text);
        return false;
    }
    if (to == (time_t)-1 || now > to) {
        gm_crt_refuse(errp, crt, depth, "has expired on %s; %s", to_text,
                      depth ? "put a renewed one in its place"
                            : "sign with a renewed one");
        return false;
    }
    return true;
}

bool gm_crt_is_self_issued(gnutls_x509_crt_t crt)
{
    return gnutls_x509_crt_check_issuer(crt, crt);
}

bool gm_crt_signed_by(gnutls_x509_crt_t crt, gnutls_x509_crt_t issuer)
{
    const unsigned anything = GNUTLS_VERIFY_DISABLE_CA_SIGN |
                              GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
                              GNUTLS_VERIFY_DISABLE_CRL_CHECKS |
                              GNUTLS_VERIFY_ALLOW_BROKEN |
                              GNUTLS_VERIFY_ALLOW_SIGN_WITH_SHA1;
    unsigned status;

    /*
     * GnuTLS may well find fault with either: what is asked is whether they
     * belong together, so that the fault can be told.
     */
    return gnutls_x509_crt_check_issuer(crt, issuer) &&
           gnutls_x509_crt_verify(crt, &issuer, 1, anything, &status) >= 0 &&
           !(status & (GNUTLS_CERT_SIGNATURE_FAILURE |
                       GNUTLS_CERT_SIGNER_NOT_FOUND));
}

bool gm_sign_is_safe(gnutls_sign_algorithm_t algo)
{
    switch (algo) {
    case GNUTLS_SIGN_RSA_SHA256:
    case GNUTLS_SIGN_RSA_SHA384:
    case GNUTLS_SIGN_RSA_SHA512:
    case GNUTLS_SIGN_RSA_SHA3_256:
    case GNUTLS_SIGN_RSA_SHA3_384:
    case GNUTLS_SIGN_RSA_SHA3_512:
    case GNUTLS_SIGN_RSA_PSS_SHA256:
    case GNUTLS_SIGN_RSA_PSS_SHA384:
    case GNUTLS_SIGN_RSA_PSS_SHA512:
    case GNUTLS_SIGN_RSA_PSS_RSAE_SHA256:
    case GNUTLS_SIGN_RSA_PSS_RSAE_SHA384:
    case GNUTLS_SIGN_RSA_PSS_RSAE_SHA512:
    case GNUTLS_SIGN_ECDSA_SHA256:
    case GNUTLS_SIGN_ECDSA_SHA384:
    case GNUTLS_SIGN_ECDSA_SHA512:
    case GNUTLS_SIGN_ECDSA_SHA3_256:
    case GNUTLS_SIGN_ECDSA_SHA3_384:
    case GNUTLS_SIGN_ECDSA_SHA3_512:
    case GNUTLS_SIGN_ECDSA_SECP256R1_SHA256:
    case GNUTLS_SIGN_ECDSA_SECP384R1_SHA384:
    case GNUTLS_SIGN_ECDSA_SECP521R1_SHA512:
    case GNUTLS_SIGN_EDDSA_ED25519:
    case GNUTLS_SIGN_EDDSA_ED448:
        return true;
    default:
        return false;
    }
}

const char *gm_sign_name(gnutls_sign_algorithm_t algo)
{
    return gnutls_sign_get_name(algo) ?: "an unknown algorithm";
}

static bool gm_check_algorithms(gnutls_x509_crt_t crt, unsigned depth,
                                bool top, Error **errp)
{
    int sign = gnutls_x509_crt_get_signature_algorithm(crt);
    unsigned bits = 0;
    int pk = gnutls_x509_crt_get_pk_algorithm(crt, &bits);

    if (pk < 0 ||
        gnutls_pk_bits_to_sec_param(pk, bits) < GNUTLS_SEC_PARAM_MEDIUM) {
        gm_crt_refuse(errp, crt, depth, "has a weak key, %s of %u bits; use "
                      "RSA of 2048 bits or more, or an elliptic curve",
                      gnutls_pk_get_name(pk) ?: "something unknown", bits);
        return false;
    }
    if (!top && !gm_sign_is_safe(sign)) {
        gm_crt_refuse(errp, crt, depth, "is itself signed with %s, which is "
                      "not safe; have it issued anew, with SHA-256 or better",
                      gm_sign_name(sign));
        return false;
    }
    return true;
}

bool gm_crt_has_usage(gnutls_x509_crt_t crt, unsigned wanted)
{
    unsigned usage = 0;
    int ret = gnutls_x509_crt_get_key_usage(crt, &usage, NULL);

    return ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE ||
           (ret >= 0 && usage & wanted);
}

/* If there is an extended key usage at all, is code signing among it? */
static bool gm_crt_signs_code(gnutls_x509_crt_t crt)
{
    char oid[GM_OID_LEN];
    size_t size;
    int i, ret;

    for (i = 0; ; i++) {
        size = sizeof(oid);
        ret = gnutls_x509_crt_get_key_purpose_oid(crt, i, oid, &size, NULL);
        if (ret == GNUTLS_E_SHORT_MEMORY_BUFFER) {
            continue;
        }
        if (ret < 0) {
            return !i && ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
        }
        if (!strcmp(oid, GNUTLS_KP_CODE_SIGNING) ||
            !strcmp(oid, GNUTLS_KP_ANY)) {
            return true;
        }
    }
}

static bool gm_check_usage(gnutls_x509_crt_t crt, unsigned depth, Error **errp)
{
    if (!depth && !gm_crt_has_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE)) {
        gm_crt_refuse(errp, crt, depth, "is not meant for signatures; its key "
                      "usage must have digitalSignature");
        return false;
    }
    if (depth && !gm_crt_has_usage(crt, GNUTLS_KEY_KEY_CERT_SIGN)) {
        gm_crt_refuse(errp, crt, depth, "is not meant to issue certificates; "
                      "its key usage must have keyCertSign");
        return false;
    }
    if (!gm_crt_signs_code(crt)) {
        gm_crt_refuse(errp, crt, depth, "is not meant for signing code; its "
                      "extended key usage must have codeSigning");
        return false;
    }
    return true;
}

/* The path length does not count the signer, nor, in RFC 5280, itself. */
static bool gm_check_authority(gnutls_x509_crt_t crt, unsigned depth,
                               Error **errp)
{
    unsigned ca = 0;
    int pathlen = -1;

    if (gnutls_x509_crt_get_basic_constraints(crt, NULL, &ca, &pathlen) < 0 ||
        !ca) {
        gm_crt_refuse(errp, crt, depth, "is not that of an authority; its "
                      "basic constraints must have CA:TRUE");
        return false;
    }
    if (pathlen >= 0 && depth - 1 > (unsigned)pathlen) {
        gm_crt_refuse(errp, crt, depth, "allows a chain with no more than %d "
                      "authorities below it, and there are %u (pathlen); have "
                      "the signer's issued by one that is higher up", pathlen,
                      depth - 1);
        return false;
    }
    return true;
}

/* Constraints of these kinds are what GnuTLS compares names with. */
static bool gm_constraint_is_known(unsigned type)
{
    return type == GNUTLS_SAN_DNSNAME || type == GNUTLS_SAN_RFC822NAME ||
           type == GNUTLS_SAN_IPADDRESS;
}

static bool gm_constraints_are_known(gnutls_x509_name_constraints_t nc)
{
    gnutls_datum_t name;
    unsigned i, type;

    for (i = 0; !gnutls_x509_name_constraints_get_permitted(nc, i, &type,
                                                            &name); i++) {
        if (!gm_constraint_is_known(type)) {
            return false;
        }
    }
    for (i = 0; !gnutls_x509_name_constraints_get_excluded(nc, i, &type,
                                                           &name); i++) {
        if (!gm_constraint_is_known(type)) {
            return false;
        }
    }
    return true;
}

static bool gm_check_constraints(gnutls_x509_crt_t crt, unsigned depth,
                                 Error **errp)
{
    gnutls_x509_name_constraints_t nc;
    unsigned critical;
    bool ok = false;
    int ret;

    if (gnutls_x509_name_constraints_init(&nc) < 0) {
        gm_crt_refuse(errp, crt, depth, "cannot be checked: out of memory");
        return false;
    }
    ret = gnutls_x509_crt_get_name_constraints(crt, nc, 0, &critical);
    if (ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
        ok = true;
    } else if (ret >= 0) {
        ok = gm_constraints_are_known(nc);
    }
    gnutls_x509_name_constraints_deinit(nc);
    if (!ok) {
        gm_crt_refuse(errp, crt, depth, "constrains names in a way that is not "
                      "checked here; use constraints on DNS names, e-mail "
                      "addresses or IP addresses, or none");
    }
    return ok;
}

static bool gm_extension_is_known(const char *oid)
{
    static const char *const known[] = {
        GNUTLS_X509EXT_OID_SUBJECT_KEY_ID,
        GNUTLS_X509EXT_OID_KEY_USAGE,
        GNUTLS_X509EXT_OID_SAN,
        GNUTLS_X509EXT_OID_BASIC_CONSTRAINTS,
        GNUTLS_X509EXT_OID_NAME_CONSTRAINTS,
        GNUTLS_X509EXT_OID_CRT_POLICY,
        GNUTLS_X509EXT_OID_AUTHORITY_KEY_ID,
        GNUTLS_X509EXT_OID_EXTENDED_KEY_USAGE,
    };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(known); i++) {
        if (!strcmp(oid, known[i])) {
            return true;
        }
    }
    return false;
}

static bool gm_check_extensions(gnutls_x509_crt_t crt, unsigned depth,
                                Error **errp)
{
    char oid[GM_OID_LEN];
    unsigned critical;
    size_t size;
    int i, ret;

    for (i = 0; ; i++) {
        size = sizeof(oid);
        critical = 1;
        ret = gnutls_x509_crt_get_extension_info(crt, i, oid, &size,
                                                 &critical);
        if (ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
            return true;
        }
        if (ret < 0) {
            gm_crt_refuse(errp, crt, depth, "has extensions that cannot be "
                          "read: %s", gnutls_strerror(ret));
            return false;
        }
        if (critical && !gm_extension_is_known(oid)) {
            gm_crt_refuse(errp, crt, depth, "has the critical extension %s, "
                          "which is not known here; have it issued without",
                          oid);
            return false;
        }
    }
}

bool gm_crt_check(gnutls_x509_crt_t crt, unsigned depth, bool top, time_t now,
                  Error **errp)
{
    return gm_check_time(crt, depth, now, errp) &&
           gm_check_algorithms(crt, depth, top, errp) &&
           (!depth || gm_check_authority(crt, depth, errp)) &&
           gm_check_usage(crt, depth, errp) &&
           gm_check_extensions(crt, depth, errp) &&
           (!depth || gm_check_constraints(crt, depth, errp));
}
