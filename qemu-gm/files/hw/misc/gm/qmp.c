/*
 * Guarded modules: the monitor's commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-guarded-modules.h"
#include "qapi/qapi-visit-guarded-modules.h"
#include "qapi/clone-visitor.h"
#include "state.h"

QEMU_BUILD_BUG_ON(GM_GATE_KIND_IN_CALL + 1 != KVM_GM_GATE_IN_CALL);
QEMU_BUILD_BUG_ON(GM_GATE_KIND_IN_RETURN + 1 != KVM_GM_GATE_IN_RETURN);
QEMU_BUILD_BUG_ON(GM_GATE_KIND_RESUME + 1 != KVM_GM_GATE_RESUME);
QEMU_BUILD_BUG_ON(GM_GATE_KIND_OUT_CALL + 1 != KVM_GM_GATE_OUT_CALL);
QEMU_BUILD_BUG_ON(GM_GATE_KIND_OUT_CALL_INDIRECT + 1 !=
                  KVM_GM_GATE_OUT_CALL_INDIRECT);
QEMU_BUILD_BUG_ON(GM_GATE_KIND_OUT_RETURN + 1 != KVM_GM_GATE_OUT_RETURN);

/* The part of GmModule that GmRegistration is. */
static void gm_fill_registration(const GmEntry *entry, GmRegistration *info)
{
    const GmImage *image = entry->image;

    info->name = g_strdup(gm_entry_name(entry));
    info->id = g_strdup(image->id);
    info->file = g_strdup(entry->file);
    info->size = image->size;
    info->signer = g_strdup(entry->signer);
    info->pages = image->nr_pages;
    info->gates = image->manifest->gates.count;
    info->activations_max = image->manifest->nr_stacks;
    info->requests = gm_privilege_requests(image);
    info->grants = gm_privilege_grants(entry);
    info->policy = entry->policy;
}

GmRegistration *coroutine_fn qmp_gm_register(const char *file, const char *fd,
                                             bool has_grants, strList *grants,
                                             bool has_policy,
                                             GmViolationPolicy policy,
                                             Error **errp)
{
    const GmWanted wanted = {
        .file = file,
        .fd = fd,
        .has_policy = has_policy,
        .policy = policy,
        .grants = has_grants ? grants : NULL,
    };
    GmRegistration *info;
    GmEntry *entry;

    entry = gm_register(&wanted, errp);
    if (!entry) {
        return NULL;
    }
    info = g_new0(GmRegistration, 1);
    gm_fill_registration(entry, info);
    return info;
}

void qmp_gm_unregister(const char *name, Error **errp)
{
    gm_unregister(name, errp);
}

void qmp_gm_grant(const char *name, strList *grants, Error **errp)
{
    gm_grant(name, grants, errp);
}

void qmp_gm_revoke(const char *name, strList *grants, Error **errp)
{
    gm_revoke(name, grants, errp);
}

static GmViolationCountList *gm_violation_counts(const uint64_t *counts)
{
    GmViolationCountList *list = NULL;
    int i;

    for (i = GM_VIOLATION_KIND__MAX - 1; i >= 0; i--) {
        if (counts[i]) {
            GmViolationCount *count = g_new0(GmViolationCount, 1);

            count->kind = i;
            count->count = counts[i];
            QAPI_LIST_PREPEND(list, count);
        }
    }
    return list;
}

static GmHiddenList *gm_hidden_info(const GmEntry *entry)
{
    GmHiddenList *list = NULL, **tail = &list;
    unsigned i;

    for (i = 0; i < entry->grants->len; i++) {
        GmPrivilege *p = entry->grants->pdata[i];
        GmPrivilegeClass *k = GM_PRIVILEGE_GET_CLASS(p);
        GmHidden *hidden;

        if (!k->hides) {
            continue;
        }
        hidden = g_new0(GmHidden, 1);
        hidden->grant = g_strdup(p->text);
        hidden->reads = p->hidden_reads;
        hidden->writes = p->hidden_writes;
        if (k->fill) {
            k->fill(p, hidden);
        }
        QAPI_LIST_APPEND(tail, hidden);
    }
    return list;
}

/* False if KVM does not have the seal any more. */
static bool gm_symbols_info(const GmEntry *entry, GmSymbolList **list)
{
    const GmSealPlan *plan = entry->plan;
    g_autofree uint64_t *counts = g_new0(uint64_t, plan->seal.nr_gates);
    struct kvm_gm_counts arg = {
        .size = sizeof(arg),
        .id = plan->seal.id,
        .generation = plan->seal.generation,
        .nr_gates = plan->seal.nr_gates,
        .counts = (uintptr_t)counts,
    };
    uint32_t i;

    if (gm_kvm_counts(&arg)) {
        return false;
    }
    for (i = 0; i < plan->seal.nr_gates; i++) {
        GmSymbol *symbol = g_new0(GmSymbol, 1);

        symbol->name = g_strdup(plan->gate_names[i]);
        symbol->kind = plan->gates[i].kind - KVM_GM_GATE_IN_CALL;
        symbol->crossings = counts[i];
        QAPI_LIST_APPEND(list, symbol);
    }
    return true;
}

static GmModule *gm_module_info(GmEntry *entry, bool symbols)
{
    GmModule *info = g_new0(GmModule, 1);
    uint64_t crossings[KVM_GM_NR_CROSSINGS];
    int i;

    gm_entry_refresh(entry);
    for (i = 0; i < KVM_GM_NR_CROSSINGS; i++) {
        crossings[i] = entry->crossings[i] + entry->query.crossings[i];
    }

    gm_fill_registration(entry, qapi_GmModule_base(info));
    info->state = entry->state;
    if (entry->plan) {
        info->has_seal = true;
        info->seal = entry->plan->seal.id;
        info->sealed_pages = entry->plan->nr_pages;
        info->activations = entry->query.activations;
        info->activations_lost = entry->query.lost;
    }
    info->crossings = g_new0(GmCrossings, 1);
    *info->crossings = (GmCrossings) {
        .in_call = crossings[KVM_GM_IN_CALL],
        .out_return = crossings[KVM_GM_OUT_RETURN],
        .out_call = crossings[KVM_GM_OUT_CALL],
        .in_return = crossings[KVM_GM_IN_RETURN],
        .event_exit = crossings[KVM_GM_EVENT_EXIT],
        .resume = crossings[KVM_GM_RESUME],
    };
    info->violations = gm_violation_counts(entry->violations);
    info->hidden = gm_hidden_info(entry);
    if (symbols && entry->plan) {
        info->has_symbols = gm_symbols_info(entry, &info->symbols);
    }
    return info;
}

GmInfo *qmp_query_gm(bool has_symbols, bool symbols, Error **errp)
{
    GmState *s = gm_require_device(errp);
    const GPtrArray *subjects;
    GmModuleList **modules;
    GmViolationList **last;
    strList **keys;
    GmInfo *info;
    uint64_t n;
    unsigned i;

    if (!s) {
        return NULL;
    }
    info = g_new0(GmInfo, 1);
    info->can_seal = gm_kvm_enabled();
    info->seals_refused = s->seals_refused;
    info->violations_total = s->violations_total;
    info->violations = gm_violation_counts(s->violations);

    modules = &info->modules;
    for (i = 0; i < s->entries->len; i++) {
        QAPI_LIST_APPEND(modules, gm_module_info(s->entries->pdata[i],
                                                 has_symbols && symbols));
    }
    keys = &info->keys;
    subjects = gm_keyring_subjects(s->keyring);
    for (i = 0; i < subjects->len; i++) {
        QAPI_LIST_APPEND(keys, g_strdup(subjects->pdata[i]));
    }
    last = &info->last_violations;
    n = s->violations_total;
    for (n -= MIN(n, GM_LAST_VIOLATIONS); n < s->violations_total; n++) {
        QAPI_LIST_APPEND(last, QAPI_CLONE(GmViolation,
                         s->last_violations[n % GM_LAST_VIOLATIONS]));
    }
    return info;
}
