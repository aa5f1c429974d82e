/*
 * Guarded modules: what the guest asks for, and what it did.
 *
 * KVM's exits arrive here: a module to be sealed, a module that is not sealed
 * any longer, a violation. KVM has acted on the latter two; names, events,
 * counters and messages are ours (I7). Everything read from the guest is
 * hostile, and everything it causes can be repeated at will: hence no message
 * without a limit and no allocation that outlives the exit.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/clone-visitor.h"
#include "qapi/qapi-events-guarded-modules.h"
#include "qapi/qapi-visit-guarded-modules.h"
#include "exec/address-spaces.h"
#include "system/runstate.h"
#include "state.h"
#include "trace.h"

#define GM_WARN_PERIOD_MS 5000
#define GM_WARN_BURST 10

/* The guest's gpa for `none'. */
#define GM_NO_GPA UINT64_MAX

QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_EXEC + 1 != KVM_GM_V_EXEC);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_WRITE + 1 != KVM_GM_V_WRITE);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_HYPERCALL + 1 != KVM_GM_V_HYPERCALL);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_GATE + 1 != KVM_GM_V_GATE);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_RETURN + 1 != KVM_GM_V_RETURN);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_RESUME + 1 != KVM_GM_V_RESUME);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_ENVIRONMENT + 1 != KVM_GM_V_ENVIRONMENT);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_LIMIT + 1 != KVM_GM_V_LIMIT);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_ESCAPE + 1 != KVM_GM_V_ESCAPE);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_ACCESS + 1 != KVM_GM_V_ACCESS);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_EXIT + 1 != KVM_GM_V_EXIT);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_FRAME + 1 != KVM_GM_V_FRAME);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_EMULATE + 1 != KVM_GM_V_EMULATE);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND_QUARANTINE + 1 != KVM_GM_V_QUARANTINE);
QEMU_BUILD_BUG_ON((int)GM_VIOLATION_POLICY_INJECT != KVM_GM_POLICY_INJECT);
QEMU_BUILD_BUG_ON((int)GM_VIOLATION_POLICY_STOP != KVM_GM_POLICY_STOP);
QEMU_BUILD_BUG_ON((int)GM_VIOLATION_POLICY_QUARANTINE !=
                  KVM_GM_POLICY_QUARANTINE);
QEMU_BUILD_BUG_ON(GM_VIOLATION_KIND__MAX + 1 != KVM_GM_NR_VIOLATIONS);

/* May one more message go out? */
static bool gm_may_warn(GmState *s)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    if (now - s->warn_period_start >= GM_WARN_PERIOD_MS) {
        if (s->warn_count > GM_WARN_BURST) {
            warn_report("guarded-modules: %u messages suppressed",
                        s->warn_count - GM_WARN_BURST);
        }
        s->warn_period_start = now;
        s->warn_count = 0;
    }
    return s->warn_count++ < GM_WARN_BURST;
}

GmEntry *gm_find_seal(GmState *s, uint32_t seal)
{
    unsigned i;

    for (i = 0; i < s->entries->len; i++) {
        GmEntry *entry = s->entries->pdata[i];

        if (entry->plan && entry->plan->seal.id == seal) {
            return entry;
        }
    }
    return NULL;
}

static GmEntry *gm_find_id(GmState *s, const uint8_t *id)
{
    unsigned i;

    for (i = 0; i < s->entries->len; i++) {
        GmEntry *entry = s->entries->pdata[i];

        if (!memcmp(entry->image->manifest->id, id, GM_ID_LEN)) {
            return entry;
        }
    }
    return NULL;
}

static void gm_unsealed(GmEntry *entry, GmUnsealReason reason)
{
    uint32_t seal = entry->plan->seal.id;
    int i;

    for (i = 0; i < KVM_GM_NR_CROSSINGS; i++) {
        entry->crossings[i] += entry->query.crossings[i];
    }
    memset(&entry->query, 0, sizeof(entry->query));
    gm_privilege_unsealed(entry);
    g_clear_pointer(&entry->devices, gm_devices_free);
    g_clear_pointer(&entry->plan, gm_seal_plan_free);
    entry->state = entry->quarantined ? GM_MODULE_STATE_QUARANTINED :
                                        GM_MODULE_STATE_UNSEALED;

    trace_gm_unsealed(gm_entry_name(entry), seal, GmUnsealReason_str(reason));
    qapi_event_send_gm_unsealed(gm_entry_name(entry), seal, reason);
}

/* The newest counters; those that are known already if KVM has no more. */
static int gm_query_counters(GmEntry *entry)
{
    struct kvm_gm_query query = {
        .size = sizeof(query),
        .id = entry->plan->seal.id,
    };
    int ret = gm_kvm_query(&query);

    if (!ret) {
        entry->query = query;
        entry->quarantined |= query.flags & KVM_GM_QUERY_F_QUARANTINED;
    }
    return ret;
}

void gm_entry_refresh(GmEntry *entry)
{
    if (entry->plan && (gm_query_counters(entry) == -ENOENT ||
                        entry->query.flags & KVM_GM_QUERY_F_ENDED)) {
        gm_unsealed(entry, entry->query.flags & KVM_GM_QUERY_F_KERNEL_ENDED ?
                           GM_UNSEAL_REASON_KEXEC : GM_UNSEAL_REASON_GUEST);
    } else if (entry->plan && entry->quarantined) {
        entry->state = GM_MODULE_STATE_QUARANTINED;
    }
}

int gm_entry_unseal(GmEntry *entry, GmUnsealReason reason)
{
    int ret;

    gm_query_counters(entry);
    ret = gm_kvm_unseal(entry->plan->seal.id);
    if (!ret || ret == -ENOENT) {
        gm_unsealed(entry, reason);
        return 0;
    }
    return ret;
}

void gm_machine_reset(void *opaque)
{
    GmState *s = opaque;
    unsigned i;

    for (i = 0; i < s->entries->len; i++) {
        GmEntry *entry = s->entries->pdata[i];
        int ret;

        if (!entry->plan) {
            continue;
        }
        ret = gm_entry_unseal(entry, GM_UNSEAL_REASON_RESET);
        if (ret) {
            error_report("guarded-modules: cannot unseal '%s': %s",
                         gm_entry_name(entry), strerror(-ret));
        }
    }
    /* Nothing may outlive a reset, whatever is thought to be sealed. */
    for (i = 1; i <= KVM_GM_MAX_SEALS && gm_kvm_enabled(); i++) {
        gm_kvm_unseal(i);
    }
}

/*
 * A page of the guest that is ordinary RAM: neither a device nor ROM, whose
 * contents somebody else owns.
 */
static bool gm_guest_page(void *opaque, uint64_t va, uint64_t *gpa)
{
    hwaddr xlat, len = GM_PAGE_SIZE;
    MemoryRegion *mr;

    if (!gm_kvm_translate(opaque, va, gpa) || *gpa % GM_PAGE_SIZE) {
        return false;
    }
    RCU_READ_LOCK_GUARD();
    mr = address_space_translate(&address_space_memory, *gpa, &xlat, &len,
                                 true, MEMTXATTRS_UNSPECIFIED);
    return len == GM_PAGE_SIZE && memory_region_is_ram(mr) && !mr->readonly &&
           !mr->rom_device && !memory_region_is_ram_device(mr);
}

static bool gm_guest_read(CPUState *cpu, uint64_t va, void *buf, size_t size)
{
    if (size > UINT64_MAX - va) {
        return false;
    }
    while (size) {
        size_t offset = va % GM_PAGE_SIZE;
        size_t n = MIN(size, GM_PAGE_SIZE - offset);
        uint64_t gpa;

        if (!gm_guest_page(cpu, va - offset, &gpa) ||
            address_space_read(&address_space_memory, gpa + offset,
                               MEMTXATTRS_UNSPECIFIED, buf, n) != MEMTX_OK) {
            return false;
        }
        buf = (uint8_t *)buf + n;
        va += n;
        size -= n;
    }
    return true;
}

/* Which module does the guest mean, and can it be sealed now? */
static GmEntry *gm_seal_find(GmState *s, CPUState *cpu, uint64_t va, int *err,
                             Error **errp)
{
    struct gm_anchors head;
    GmEntry *entry;

    if (!gm_guest_read(cpu, va, &head, sizeof(head))) {
        error_setg(errp, "0x%" PRIx64 " cannot be read", va);
        *err = -EFAULT;
        return NULL;
    }
    if (memcmp(head.magic, GM_ANCHORS_MAGIC, sizeof(head.magic))) {
        error_setg(errp, "there are no anchors at 0x%" PRIx64, va);
        *err = -EINVAL;
        return NULL;
    }
    entry = gm_find_id(s, head.id);
    if (!entry) {
        error_setg(errp, "no image with id %02x%02x%02x%02x%02x%02x is "
                   "registered", head.id[0], head.id[1], head.id[2],
                   head.id[3], head.id[4], head.id[5]);
        *err = -ENOENT;
        return NULL;
    }
    gm_entry_refresh(entry);
    if (entry->plan) {
        error_setg(errp, "module '%s' is sealed already",
                   gm_entry_name(entry));
        *err = -EBUSY;
        return NULL;
    }
    if (head.count != entry->image->manifest->anchors.count || head.reserved) {
        error_setg(errp, "module '%s': %u anchors, its image has %u",
                   gm_entry_name(entry), head.count,
                   entry->image->manifest->anchors.count);
        *err = -EINVAL;
        return NULL;
    }
    return entry;
}

static GPtrArray *gm_sealed_plans(GmState *s)
{
    GPtrArray *plans = g_ptr_array_new();
    unsigned i;

    for (i = 0; i < s->entries->len; i++) {
        GmEntry *entry = s->entries->pdata[i];

        if (entry->plan) {
            g_ptr_array_add(plans, entry->plan);
        }
    }
    return plans;
}

static int gm_seal(GmState *s, CPUState *cpu, uint64_t va, Error **errp)
{
    g_autoptr(GPtrArray) others = NULL;
    g_autoptr(GmSealPlan) plan = NULL;
    g_autofree uint64_t *values = NULL;
    GmEntry *entry, *stale;
    uint32_t count;
    unsigned i;
    int ret;

    entry = gm_seal_find(s, cpu, va, &ret, errp);
    if (!entry) {
        return ret;
    }
    count = entry->image->manifest->anchors.count;
    values = g_new(uint64_t, count);
    if (!gm_guest_read(cpu, va + sizeof(struct gm_anchors), values,
                       count * sizeof(*values))) {
        error_setg(errp, "module '%s': its anchors cannot be read",
                   gm_entry_name(entry));
        return -EFAULT;
    }
    for (i = 0; i < s->entries->len; i++) {
        gm_entry_refresh(s->entries->pdata[i]);
    }
    if (entry->quarantined) {
        /* A guest that ends a seal must not end a quarantine thereby. */
        error_setg(errp, "module '%s' is quarantined", gm_entry_name(entry));
        error_append_hint(errp, "To trust it again, use gm_unregister and "
                          "gm_register.\n");
        return -EPERM;
    }
    others = gm_sealed_plans(s);
    plan = gm_seal_plan_new(entry->image, values, gm_guest_page, cpu, others,
                            &ret, errp);
    if (!plan) {
        error_prepend(errp, "module '%s': ", gm_entry_name(entry));
        return ret;
    }
    plan->seal.policy = entry->policy;
    ret = gm_kvm_seal(&plan->seal);
    if (ret == -EOPNOTSUPP) {
        error_setg(errp, "module '%s': the guest runs with 5-level paging",
                   gm_entry_name(entry));
        error_append_hint(errp, "Start its kernel with no5lvl.\n");
        return ret;
    }
    if (ret) {
        error_setg_errno(errp, -ret, "module '%s': KVM refused",
                         gm_entry_name(entry));
        return ret;
    }

    /* KVM gave out the number anew: whoever had it is sealed no longer. */
    stale = gm_find_seal(s, plan->seal.id);
    if (stale) {
        gm_unsealed(stale, GM_UNSEAL_REASON_GUEST);
    }
    gm_seal_plan_trim(plan);
    entry->plan = g_steal_pointer(&plan);
    entry->devices = gm_devices_new(entry->plan, gm_kvm_map);
    if (!gm_privilege_sealed(entry, errp)) {
        /* The vCPU is at the init gate still: nobody has been inside. */
        error_prepend(errp, "module '%s': ", gm_entry_name(entry));
        gm_kvm_unseal(entry->plan->seal.id);
        g_clear_pointer(&entry->devices, gm_devices_free);
        g_clear_pointer(&entry->plan, gm_seal_plan_free);
        return -EPERM;
    }
    entry->state = GM_MODULE_STATE_SEALED;

    trace_gm_sealed(gm_entry_name(entry), entry->plan->seal.id,
                    entry->plan->nr_pages, cpu->cpu_index);
    qapi_event_send_gm_sealed(gm_entry_name(entry), entry->image->id,
                              entry->plan->seal.id, entry->plan->nr_pages,
                              cpu->cpu_index);
    return 0;
}

static void gm_handle_seal(GmState *s, CPUState *cpu, struct kvm_gm_exit *exit)
{
    Error *err = NULL;

    exit->ret = gm_seal(s, cpu, exit->addr, &err);
    if (!err) {
        return;
    }
    s->seals_refused++;
    trace_gm_seal_refused(cpu->cpu_index, exit->addr, exit->ret,
                          error_get_pretty(err));
    if (gm_may_warn(s)) {
        warn_reportf_err(err, "guarded-modules: seal refused: ");
    } else {
        error_free(err);
    }
}

static void gm_handle_unsealed(GmState *s, const struct kvm_gm_exit *exit)
{
    GmEntry *entry = gm_find_seal(s, exit->id);

    /* Another vCPU may have sealed a module under this number meanwhile. */
    if (entry) {
        gm_entry_refresh(entry);
    }
}

/* Whom KVM means, unless the number has been given out anew since. */
static GmEntry *gm_find_violated(GmState *s, const struct kvm_gm_exit *exit)
{
    GmEntry *entry = gm_find_seal(s, exit->id);

    return entry && entry->plan->seal.generation == exit->generation ? entry
                                                                     : NULL;
}

static void gm_warn_violation(const GmViolation *v)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (v->module) {
        g_string_append_printf(text, ", module %s", v->module);
    }
    if (v->gate) {
        g_string_append_printf(text, ", gate %s", v->gate);
    }
    if (v->has_gpa) {
        g_string_append_printf(text, ", gpa 0x%" PRIx64, v->gpa);
    }
    warn_report("guarded-modules: violation #%" PRIu64 ": %s at rip 0x%" PRIx64
                ", address 0x%" PRIx64 "%s, CPU %" PRId64, v->count,
                GmViolationKind_str(v->kind), v->rip, v->address, text->str,
                v->cpu_index);
}

static void gm_handle_violation(GmState *s, CPUState *cpu,
                                const struct kvm_gm_exit *exit)
{
    GmEntry *entry = gm_find_violated(s, exit);
    GmViolation *v, **slot;

    if (exit->kind < KVM_GM_V_EXEC || exit->kind >= KVM_GM_NR_VIOLATIONS ||
        exit->policy >= GM_VIOLATION_POLICY__MAX) {
        error_report("guarded-modules: KVM reports an unknown violation %u",
                     exit->kind);
        return;
    }
    v = g_new0(GmViolation, 1);
    v->kind = exit->kind - KVM_GM_V_EXEC;
    v->rip = exit->rip;
    v->address = exit->addr;
    v->has_gpa = exit->gpa != GM_NO_GPA;
    v->gpa = exit->gpa;
    v->cpu_index = cpu->cpu_index;
    v->policy = exit->policy;
    if (entry) {
        v->module = g_strdup(gm_entry_name(entry));
        if (exit->gate < entry->plan->seal.nr_gates) {
            v->gate = g_strdup(entry->plan->gate_names[exit->gate]);
        }
        entry->violations[v->kind]++;
        gm_entry_refresh(entry);
    }
    s->violations[v->kind]++;
    slot = &s->last_violations[s->violations_total++ % GM_LAST_VIOLATIONS];
    v->count = s->violations_total;
    qapi_free_GmViolation(*slot);
    *slot = v;

    trace_gm_violation(GmViolationKind_str(v->kind), v->module ?: "-", v->rip,
                       v->address, exit->gpa, v->gate ?: "-", cpu->cpu_index);
    qapi_event_send_gm_violation(v);
    if (gm_may_warn(s)) {
        gm_warn_violation(v);
    }
    if (exit->policy == KVM_GM_POLICY_STOP) {
        vm_stop(RUN_STATE_PAUSED);
    }
}

void gm_handle_exit(CPUState *cpu, struct kvm_gm_exit *exit)
{
    GmState *s;

    BQL_LOCK_GUARD();
    s = gm_state();
    if (!s) {
        /* Without a device nothing is registered, hence nothing sealed. */
        exit->ret = -ENODEV;
        return;
    }
    switch (exit->type) {
    case KVM_GM_EXIT_SEAL:
        gm_handle_seal(s, cpu, exit);
        break;
    case KVM_GM_EXIT_VIOLATION:
        gm_handle_violation(s, cpu, exit);
        break;
    case KVM_GM_EXIT_UNSEALED:
        gm_handle_unsealed(s, exit);
        break;
    default:
        error_report("guarded-modules: KVM reports an unknown exit %u",
                     exit->type);
        break;
    }
}
