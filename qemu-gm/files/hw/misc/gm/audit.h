/*
 * Guarded modules: a record of what the administrator's decisions were.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_AUDIT_H
#define HW_MISC_GM_AUDIT_H

typedef enum GmDecision {
    GM_AUDIT_REGISTERED,
    GM_AUDIT_REFUSED,           /* to register, grant, revoke or unregister */
    GM_AUDIT_UNREGISTERED,
    GM_AUDIT_GRANTED,
    GM_AUDIT_REVOKED,
} GmDecision;

/* What a decision was about; what is NULL is left out. */
typedef struct GmAudit {
    const char *request;        /* of a refusal: "register", "grant", ... */
    const char *module;
    const char *id;
    const char *file;
    const char *signer;
    const char *grants;         /* separated by spaces */
    const char *reason;
} GmAudit;

/**
 * gm_audit: Record one decision.
 *
 * One line on standard error, never in a monitor, and the trace event
 * gm_audit. The texts may be anybody's: they are escaped here. The limits of
 * messages that a guest can cause do not apply, so only what was asked for at
 * a monitor or on the command line belongs here. Keeps errno.
 *
 *   gm_audit(GM_AUDIT_REFUSED, &(GmAudit) { .request = "register",
 *            .file = file, .reason = error_get_pretty(err) });
 */
void gm_audit(GmDecision decision, const GmAudit *audit);

/* The line of gm_audit(), to be freed with g_free(). */
char *gm_audit_line(GmDecision decision, const GmAudit *audit);

#endif /* HW_MISC_GM_AUDIT_H */
