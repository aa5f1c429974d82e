/*
 * Guarded modules: a record of what the administrator's decisions were.
 *
 * A line reads
 *
 *   guarded-modules: audit: registered module="dummy" id="eaaf..." file="..."
 *
 * always with these words first and the fields in the order of the table, so
 * that a log can be searched by program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/coroutine.h"
#include "qemu/error-report.h"
#include "monitor/monitor.h"
#include "audit.h"
#include "escape.h"
#include "trace.h"

static const char *const gm_decisions[] = {
    [GM_AUDIT_REGISTERED] = "registered",
    [GM_AUDIT_REFUSED] = "refused",
    [GM_AUDIT_UNREGISTERED] = "unregistered",
    [GM_AUDIT_GRANTED] = "granted",
    [GM_AUDIT_REVOKED] = "revoked",
};

static const struct {
    const char *name;
    size_t offset;
} gm_fields[] = {
    { "request", offsetof(GmAudit, request) },
    { "module", offsetof(GmAudit, module) },
    { "id", offsetof(GmAudit, id) },
    { "file", offsetof(GmAudit, file) },
    { "signer", offsetof(GmAudit, signer) },
    { "grants", offsetof(GmAudit, grants) },
    { "reason", offsetof(GmAudit, reason) },
};

char *gm_audit_line(GmDecision decision, const GmAudit *audit)
{
    GString *line = g_string_new("guarded-modules: audit: ");
    unsigned i;

    g_string_append(line, gm_decisions[decision]);
    for (i = 0; i < G_N_ELEMENTS(gm_fields); i++) {
        const char *text = *(const char *const *)((const char *)audit +
                                                  gm_fields[i].offset);

        if (text) {
            g_autofree char *safe = gm_escape(text);

            g_string_append_printf(line, " %s=\"%s\"", gm_fields[i].name, safe);
        }
    }
    return g_string_free(line, false);
}

void gm_audit(GmDecision decision, const GmAudit *audit)
{
    g_autofree char *line = gm_audit_line(decision, audit);
    Coroutine *self = qemu_coroutine_self();
    int saved_errno = errno;
    Monitor *mon;

    trace_gm_audit(line);
    /* What is reported in a command of a human monitor goes there else. */
    mon = monitor_set_cur(self, NULL);
    info_report("%s", line);
    monitor_set_cur(self, mon);
    errno = saved_errno;
}
