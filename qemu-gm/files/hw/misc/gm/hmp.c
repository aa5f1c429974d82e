/*
 * Guarded modules: the human monitor's commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "block/aio-wait.h"
#include "hw/misc/gm/hmp.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "qapi/error.h"
#include "qapi/qapi-builtin-types.h"
#include "qapi/qapi-commands-guarded-modules.h"
#include "qapi/util.h"
#include "qemu/coroutine.h"
#include "qemu/readline.h"
#include "qobject/qdict.h"

/* The words of @line, which may be NULL. */
static strList *hmp_words(const char *line)
{
    g_auto(GStrv) words = g_strsplit_set(line ?: "", " \t", -1);
    strList *list = NULL, **tail = &list;
    char **word;

    for (word = words; *word; word++) {
        if (**word) {
            QAPI_LIST_APPEND(tail, g_strdup(*word));
        }
    }
    return list;
}

typedef struct HmpGmRegister {
    Monitor *mon;
    char *file;
    strList *grants;
    bool has_policy;
    GmViolationPolicy policy;
    bool suspended;             /* the monitor */
    bool done;
} HmpGmRegister;

static void hmp_gm_register_free(HmpGmRegister *r)
{
    g_free(r->file);
    qapi_free_strList(r->grants);
    g_free(r);
}

static void coroutine_fn hmp_gm_register_co(void *opaque)
{
    HmpGmRegister *r = opaque;
    g_autoptr(GmRegistration) info = NULL;
    Error *err = NULL;

    info = qmp_gm_register(r->file, NULL, true, r->grants, r->has_policy,
                           r->policy, &err);
    if (!hmp_handle_error(r->mon, err)) {
        monitor_printf(r->mon, "%s: id %.12s, signed by %s, %u pages, "
                       "%u gates\n", info->name, info->id, info->signer,
                       info->pages, info->gates);
    }
    monitor_set_cur(qemu_coroutine_self(), NULL);
    r->done = true;
    aio_wait_kick();
    if (r->suspended) {
        monitor_resume(r->mon);
        hmp_gm_register_free(r);
    }
}

/*
 * While the verifier runs, this monitor takes no other command, and all else
 * goes on: which is not what commands that are coroutines do.
 */
void hmp_gm_register(Monitor *mon, const QDict *qdict)
{
    const char *policy = qdict_get_try_str(qdict, "policy");
    HmpGmRegister *r = g_new0(HmpGmRegister, 1);
    Error *err = NULL;
    Coroutine *co;

    r->mon = mon;
    r->file = g_strdup(qdict_get_str(qdict, "file"));
    r->grants = hmp_words(qdict_get_try_str(qdict, "grants"));
    if (policy) {
        r->has_policy = true;
        r->policy = qapi_enum_parse(&GmViolationPolicy_lookup, policy, -1,
                                    &err);
        if (hmp_handle_error(mon, err)) {
            hmp_gm_register_free(r);
            return;
        }
    }
    co = qemu_coroutine_create(hmp_gm_register_co, r);
    monitor_set_cur(co, mon);
    aio_co_enter(qemu_get_aio_context(), co);
    if (!r->done && !monitor_suspend(mon)) {
        r->suspended = true;
        return;
    }
    /* human-monitor-command wants what it says now. */
    AIO_WAIT_WHILE_UNLOCKED(NULL, !r->done);
    hmp_gm_register_free(r);
}

void hmp_gm_unregister(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;

    qmp_gm_unregister(qdict_get_str(qdict, "name"), &err);
    hmp_handle_error(mon, err);
}

void hmp_gm_grant(Monitor *mon, const QDict *qdict)
{
    g_autoptr(strList) grants = hmp_words(qdict_get_str(qdict, "grants"));
    Error *err = NULL;

    qmp_gm_grant(qdict_get_str(qdict, "name"), grants, &err);
    hmp_handle_error(mon, err);
}

void hmp_gm_revoke(Monitor *mon, const QDict *qdict)
{
    g_autoptr(strList) grants = hmp_words(qdict_get_str(qdict, "grants"));
    Error *err = NULL;

    qmp_gm_revoke(qdict_get_str(qdict, "name"), grants, &err);
    hmp_handle_error(mon, err);
}

static void hmp_print_strings(Monitor *mon, const char *what,
                              const strList *list)
{
    monitor_printf(mon, "  %-11s %s", what, list ? "" : "none");
    for (; list; list = list->next) {
        monitor_printf(mon, "%s%s", list->value, list->next ? ", " : "");
    }
    monitor_printf(mon, "\n");
}

static int hmp_compare_symbols(const void *a, const void *b)
{
    const GmSymbol *x = *(GmSymbol *const *)a;
    const GmSymbol *y = *(GmSymbol *const *)b;

    if (x->crossings != y->crossings) {
        return x->crossings < y->crossings ? 1 : -1;
    }
    return strcmp(x->name, y->name);
}

/* Those that have been used, the most frequent ones first. */
static void hmp_print_symbols(Monitor *mon, GmSymbolList *list)
{
    g_autoptr(GPtrArray) symbols = g_ptr_array_new();
    unsigned i;

    for (; list; list = list->next) {
        if (list->value->crossings) {
            g_ptr_array_add(symbols, list->value);
        }
    }
    g_ptr_array_sort(symbols, hmp_compare_symbols);
    for (i = 0; i < symbols->len; i++) {
        const GmSymbol *symbol = symbols->pdata[i];

        monitor_printf(mon, "    %12" PRIu64 " %-17s %s\n", symbol->crossings,
                       GmGateKind_str(symbol->kind), symbol->name);
    }
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

/* Which registers the module finds where. */
static void hmp_print_bars(Monitor *mon, const GmHidden *h)
{
    const char *sep = "";
    GmBarInfoList *b;

    monitor_printf(mon, "  reached:    %s:", h->grant);
    for (b = h->bars; b; b = b->next) {
        const GmBarInfo *bar = b->value;

        monitor_printf(mon, "%s BAR %" PRId64 " ", sep, bar->bar);
        switch (bar->access) {
        case GM_BAR_ACCESS_OWN_PAGES:
            monitor_printf(mon, "in %u own pages, %u without exits", bar->pages,
                           bar->direct_pages);
            break;
        case GM_BAR_ACCESS_GUEST_PAGES:
            monitor_printf(mon, "where the guest maps it");
            break;
        default:
            monitor_printf(mon, "by ports");
            break;
        }
        sep = ";";
    }
    monitor_printf(mon, "\n");
}

static void hmp_print_module(Monitor *mon, const GmModule *m)
{
    const GmCrossings *c = m->crossings;
    GmHiddenList *h;

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
    monitor_printf(mon, "  policy:     %s\n", GmViolationPolicy_str(m->policy));
    hmp_print_strings(mon, "requests:", m->requests);
    hmp_print_strings(mon, "grants:", m->grants);
    for (h = m->hidden; h; h = h->next) {
        monitor_printf(mon, "  hidden:     %s: guest's reads %" PRIu64
                       ", writes %" PRIu64 "\n", h->value->grant,
                       h->value->reads, h->value->writes);
        if (h->value->config_writes) {
            monitor_printf(mon, "  refused:    %s: guest's writes to "
                           "configuration space %" PRIu64 "\n",
                           h->value->grant, h->value->config_writes);
        }
        if (h->value->has_bars) {
            hmp_print_bars(mon, h->value);
        }
    }
    if (m->has_symbols) {
        monitor_printf(mon, "  crossings by gate:\n");
        hmp_print_symbols(mon, m->symbols);
    }
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

    info = qmp_query_gm(true, qdict_get_try_bool(qdict, "verbose", false),
                        &err);
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

/* Module names, then what @list finds in each module. */
static void hmp_complete(ReadLineState *rs, int nb_args, const char *str,
                         strList *(*list)(const GmModule *m))
{
    g_autoptr(GmInfo) info = qmp_query_gm(false, false, NULL);
    GmModuleList *m;
    strList *i;

    readline_set_completion_index(rs, strlen(str));
    for (m = info ? info->modules : NULL; m; m = m->next) {
        if (nb_args == 2) {
            readline_add_completion_of(rs, str, m->value->name);
            continue;
        }
        for (i = list ? list(m->value) : NULL; i; i = i->next) {
            readline_add_completion_of(rs, str, i->value);
        }
    }
}

static strList *hmp_module_requests(const GmModule *m)
{
    return m->requests;
}

static strList *hmp_module_grants(const GmModule *m)
{
    return m->grants;
}

void gm_unregister_completion(ReadLineState *rs, int nb_args, const char *str)
{
    hmp_complete(rs, nb_args, str, NULL);
}

void gm_grant_completion(ReadLineState *rs, int nb_args, const char *str)
{
    hmp_complete(rs, nb_args, str, hmp_module_requests);
}

void gm_revoke_completion(ReadLineState *rs, int nb_args, const char *str)
{
    hmp_complete(rs, nb_args, str, hmp_module_grants);
}
