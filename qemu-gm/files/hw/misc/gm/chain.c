/*
 * Guarded modules: from a signer's certificate to the keyring.
 *
 * The chain goes from the signer to its issuer and so on, until a certificate
 * is in the keyring; from there, it goes on as long as the keyring has an
 * issuer. So whoever puts both an authority and one below it into the keyring
 * can still revoke the lower one. All of the chain must be in order, whichever
 * of its certificates it is that makes it trusted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "certificate.h"
#include "chain.h"

#define GM_CHAIN_MAX 8

typedef struct GmChain {
    gnutls_x509_crt_t crt[GM_CHAIN_MAX];
    unsigned len;
} GmChain;

static bool gm_chain_has(const GmChain *chain, gnutls_x509_crt_t crt)
{
    unsigned i;

    for (i = 0; i < chain->len; i++) {
        if (gnutls_x509_crt_equals(chain->crt[i], crt)) {
            return true;
        }
    }
    return false;
}

/* Of several with the same key, one that is valid: authorities get renewed. */
static gnutls_x509_crt_t gm_chain_find(const GmChain *chain,
                                       const GPtrArray *crts, time_t now)
{
    gnutls_x509_crt_t last = chain->crt[chain->len - 1], found = NULL;
    unsigned i;

    for (i = 0; i < crts->len; i++) {
        gnutls_x509_crt_t crt = crts->pdata[i];

        if (gm_chain_has(chain, crt) || !gm_crt_signed_by(last, crt)) {
            continue;
        }
        if (gm_crt_in_time(crt, now)) {
            return crt;
        }
        found = found ?: crt;
    }
    return found;
}

static bool gm_is_in(const GPtrArray *crts, gnutls_x509_crt_t crt)
{
    unsigned i;

    for (i = 0; i < crts->len; i++) {
        if (crts->pdata[i] == crt) {
            return true;
        }
    }
    return false;
}

static void gm_chain_error(const GmChain *chain, Error **errp)
{
    gnutls_x509_crt_t last = chain->crt[chain->len - 1];
    g_autofree char *what = gm_crt_describe(last, chain->len - 1);
    g_autofree char *issuer = gm_crt_issuer(last);

    if (gm_crt_is_self_issued(last)) {
        error_setg(errp, "%s is not in the keyring, and nobody else has issued "
                   "it; put it there if you trust it", what);
    } else {
        error_setg(errp, "%s is not in the keyring, and neither is its issuer, "
                   "%s; put the issuer's there if you trust it, or sign with "
                   "all certificates up to one of the keyring", what, issuer);
    }
}

static bool gm_chain_build(GmChain *chain, const GPtrArray *keyring,
                           const GPtrArray *extra, gnutls_x509_crt_t signer,
                           time_t now, Error **errp)
{
    gnutls_x509_crt_t next = signer;
    bool trusted = false;

    while (next) {
        if (chain->len == GM_CHAIN_MAX) {
            error_setg(errp, "the signer's chain has more than %d "
                       "certificates; use fewer authorities", GM_CHAIN_MAX);
            return false;
        }
        chain->crt[chain->len++] = next;
        trusted |= gm_is_in(keyring, next);
        if (gm_crt_is_self_issued(next)) {
            break;
        }
        next = gm_chain_find(chain, keyring, now);
        if (!next && !trusted) {
            next = gm_chain_find(chain, extra, now);
        }
    }
    if (!trusted) {
        gm_chain_error(chain, errp);
    }
    return trusted;
}

static bool gm_chain_verify_from(const GmChain *chain, unsigned depth,
                                 Error **errp)
{
    const unsigned flags = GNUTLS_VERIFY_DO_NOT_ALLOW_X509_V1_CA_CRT |
                           GNUTLS_VERIFY_DO_NOT_ALLOW_UNSORTED_CHAIN |
                           GNUTLS_VERIFY_DISABLE_CRL_CHECKS |
                           GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM);
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)GNUTLS_KP_CODE_SIGNING,
    };
    g_autofree char *what = NULL;
    gnutls_x509_crt_t crts[GM_CHAIN_MAX];
    gnutls_x509_trust_list_t anchors;
    gnutls_datum_t text = { 0 };
    unsigned status = ~0u;
    int ret;

    memcpy(crts, chain->crt, sizeof(crts));
    ret = gnutls_x509_trust_list_init(&anchors, 0);
    if (ret < 0) {
        error_setg(errp, "cannot verify: %s", gnutls_strerror(ret));
        return false;
    }
    ret = gnutls_x509_trust_list_add_cas(anchors, &crts[chain->len - 1], 1, 0);
    if (ret == 1) {
        ret = gnutls_x509_trust_list_verify_crt2(anchors, crts + depth,
                                                 MAX(chain->len - 1, 1) - depth,
                                                 &purpose, 1, flags, &status,
                                                 NULL);
    }
    gnutls_x509_trust_list_deinit(anchors, 0);
    if (ret >= 0 && !status) {
        return true;
    }
    if (ret >= 0) {
        gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509,
                                                     &text, 0);
    }
    what = gm_crt_describe(chain->crt[depth], depth);
    error_setg(errp, "%s is not good to GnuTLS: %s", what,
               text.size ? (char *)text.data : gnutls_strerror(ret));
    gnutls_free(text.data);
    return false;
}

/*
 * GnuTLS's own verdict, on the chain as it is: its last certificate alone is
 * trusted here, which has been checked, as GnuTLS only looks at its time. From
 * the top, one more certificate each time, so that the bad one is named.
 */
static bool gm_chain_verify(const GmChain *chain, Error **errp)
{
    unsigned depth = MAX(chain->len - 1, 1);

    while (depth-- > 0) {
        if (!gm_chain_verify_from(chain, depth, errp)) {
            return false;
        }
    }
    return true;
}

bool gm_chain_check(const GPtrArray *keyring, const GPtrArray *extra,
                    const GmCrls *crls, gnutls_x509_crt_t signer, time_t now,
                    Error **errp)
{
    GmChain chain = { .len = 0 };
    unsigned i;

    if (!gm_chain_build(&chain, keyring, extra, signer, now, errp)) {
        return false;
    }
    for (i = 0; i < chain.len; i++) {
        if (!gm_crt_check(chain.crt[i], i, i == chain.len - 1, now, errp)) {
            return false;
        }
    }
    /* From the top: a list is as good as the one who issued it. */
    for (i = chain.len; crls && i-- > 0; ) {
        if (!gm_crls_check(crls, chain.crt[i], i,
                           i == chain.len - 1 ? NULL : chain.crt[i + 1], now,
                           errp)) {
            return false;
        }
    }
    return gm_chain_verify(&chain, errp);
}
