/*
 * Guarded modules: the human monitor's commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/misc/gm/hmp.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-guarded-modules.h"
#include "qobject/qdict.h"

void coroutine_fn hmp_gm_register(Monitor *mon, const QDict *qdict)
{
    g_autoptr(GmRegistration) info = NULL;
    Error *err = NULL;

    info = qmp_gm_register(qdict_get_str(qdict, "file"), &err);
    if (!hmp_handle_error(mon, err)) {
        monitor_printf(mon, "%s: id %.12s, signed by %s, %u pages, %u gates\n",
                       info->name, info->id, info->signer, info->pages,
                       info->gates);
    }
}

void hmp_gm_unregister(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_gm_unregister(qdict_get_str(qdict, "name"), &err);
    hmp_handle_error(mon, err);
}

static void hmp_print_violations(Monitor *mon, GmViolationCountList *counts)
{
    const char *sep = "";

    for (; counts; counts = counts->next) {
        monitor_printf(mon, "%s%s %" PRIu64, sep,
                       GmViolationKind_str(counts->value->kind),
                       counts->value->count);
        sep = ", ";
    }
    if (!*sep) {
        monitor_printf(mon, "none");
    }
}

static void hmp_print_module(Monitor *mon, const GmModule *m)
{
    const GmCrossings *c = m->crossings;

    monitor_printf(mon, "%s: %s", m->name, GmModuleState_str(m->state));
    if (m->has_seal) {
        monitor_printf(mon, " (seal %u), %u pages", m->seal, m->sealed_pages);
    }
    monitor_printf(mon, ", activations %u of %u", m->activations,
                   m->activations_max);
    if (m->activations_lost) {
        monitor_printf(mon, " (%u lost)", m->activations_lost);
    }
    monitor_printf(mon, ", gates %u\n", m->gates);
    monitor_printf(mon, "  image:      id %.12s, %s, signed by %s\n", m->id,
                   m->file, m->signer);
    monitor_printf(mon, "  crossings:  in-call %" PRIu64 ", out-return %" PRIu64
                   ", out-call %" PRIu64 ", in-return %" PRIu64
                   ", event-exit %" PRIu64 ", resume %" PRIu64 "\n",
                   c->in_call, c->out_return, c->out_call, c->in_return,
                   c->event_exit, c->resume);
    monitor_printf(mon, "  violations: ");
    hmp_print_violations(mon, m->violations);
    monitor_printf(mon, "\n");
}

static void hmp_print_violation(Monitor *mon, const GmViolation *v)
{
    monitor_printf(mon, "  #%" PRIu64 " %s: module %s, rip 0x%" PRIx64
                   ", address 0x%" PRIx64, v->count,
                   GmViolationKind_str(v->kind), v->module ?: "-", v->rip,
                   v->address);
    if (v->has_gpa) {
        monitor_printf(mon, ", gpa 0x%" PRIx64, v->gpa);
    }
    if (v->gate) {
        monitor_printf(mon, ", gate %s", v->gate);
    }
    monitor_printf(mon, ", CPU %" PRId64 "\n", v->cpu_index);
}

void hmp_info_gm(Monitor *mon, const QDict *qdict)
{
    g_autoptr(GmInfo) info = NULL;
    GmViolationList *v;
    Error *err = NULL;
    GmModuleList *m;
    strList *key;

    info = qmp_query_gm(&err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    for (key = info->keys; key; key = key->next) {
        monitor_printf(mon, "key: %s\n", key->value);
    }
    if (!info->can_seal) {
        monitor_printf(mon, "sealing: not possible without KVM\n");
    }
    for (m = info->modules; m; m = m->next) {
        hmp_print_module(mon, m->value);
    }
    if (!info->modules) {
        monitor_printf(mon, "no modules registered\n");
    }
    monitor_printf(mon, "seals refused: %" PRIu64 "\n", info->seals_refused);
    monitor_printf(mon, "violations: %" PRIu64 " (", info->violations_total);
    hmp_print_violations(mon, info->violations);
    monitor_printf(mon, ")\n");
    for (v = info->last_violations; v; v = v->next) {
        hmp_print_violation(mon, v->value);
    }
}
