/*
 * KVM as a test plays it: kvm.c of the device is built to call these functions.
 *
 * It takes nobody's word: a seal, a grant or a mapping that the real one would
 * have to refuse because QEMU got something wrong ends the test, since no guest
 * may bring QEMU to that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include <linux/kvm.h>
#include <linux/kvm_gm.h>
#include "kvm.h"
#include "fake.h"

FakeKvm fake_kvm = { .version = KVM_GM_API_VERSION };

void fake_kvm_must(bool condition, const char *what)
{
    if (!condition) {
        /* Even while a test listens. */
        dprintf(STDERR_FILENO, "KVM was handed what it must never get: %s\n", what);
        abort();
    }
}

void fake_kvm_reset(void)
{
    memset(&fake_kvm, 0, sizeof(fake_kvm));
    fake_kvm.version = KVM_GM_API_VERSION;
}

int fake_check_extension(struct KVMState *s, unsigned int extension)
{
    return extension == KVM_CAP_GM ? fake_kvm.version : 0;
}

uint64_t fake_gpa(uint64_t va)
{
    return va & (MACHINE_RAM - 1) & -0x1000ULL;
}

int fake_vcpu_ioctl(struct CPUState *cpu, unsigned long type, ...)
{
    struct kvm_translation *tr;
    unsigned i;
    va_list ap;

    va_start(ap, type);
    tr = va_arg(ap, struct kvm_translation *);
    va_end(ap);
    fake_kvm_must(type == KVM_TRANSLATE, "another ioctl of a vCPU");
    tr->valid = 1;
    if (fake_kvm.translate) {
        return fake_kvm.translate;
    }
    for (i = 0; i < fake_kvm.nr_mapped; i++) {
        if (fake_kvm.maps[i].va == (tr->linear_address & -0x1000ULL)) {
            tr->physical_address = fake_kvm.maps[i].gpa;
            tr->valid = fake_kvm.maps[i].valid;
            return 0;
        }
    }
    tr->physical_address = fake_gpa(tr->linear_address);
    return 0;
}

/* --- sealing -------------------------------------------------------------- */

static void check_regions(const struct kvm_gm_seal *seal)
{
    const struct kvm_gm_region *r = (void *)(uintptr_t)seal->regions;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
    uint64_t pages = 0;
    uint32_t i, j;

    fake_kvm_must(seal->nr_regions && seal->nr_regions <= KVM_GM_MAX_REGIONS,
                  "a bad number of regions");
    for (i = 0; i < seal->nr_regions; i++) {
        uint64_t *gpas = (void *)(uintptr_t)r[i].gpas;
        uint64_t size = r[i].nr_pages * 4096ULL;

        pages += r[i].nr_pages;
        fake_kvm_must(r[i].nr_pages && pages <= KVM_GM_MAX_PAGES,
                      "a bad number of pages");
        fake_kvm_must(!(r[i].va % 4096) && r[i].va >= 0xffffffff80000000ULL &&
                      r[i].va + size > r[i].va, "a region where no module is");
        for (j = 0; j < i; j++) {
            fake_kvm_must(r[i].va + size <= r[j].va ||
                          r[j].va + r[j].nr_pages * 4096ULL <= r[i].va,
                          "regions that overlap");
        }
        for (j = 0; j < r[i].nr_pages; j++) {
            fake_kvm_must(!(gpas[j] % 4096) && gpas[j] < MACHINE_RAM,
                          "a page that is not RAM");
            fake_kvm_must(g_hash_table_add(seen, &gpas[j]), "one page twice");
        }
        if (r[i].content) {
            /* To be copied from: all of it must be there. */
            g_autofree uint8_t *copy = g_memdup2((void *)(uintptr_t)r[i].content,
                                                 size);
            fake_kvm_must(copy, "no content");
        }
    }
}

static void check_tables(const struct kvm_gm_seal *seal)
{
    const struct kvm_gm_gate *g = (void *)(uintptr_t)seal->gates;
    const struct kvm_gm_frame *f = (void *)(uintptr_t)seal->frames;
    const struct kvm_gm_shared *s = (void *)(uintptr_t)seal->shared;
    const struct kvm_gm_region *r = (void *)(uintptr_t)seal->regions;
    uint64_t pages = 0;
    uint32_t i, j;

    fake_kvm_must(seal->nr_gates && seal->nr_gates <= KVM_GM_MAX_GATES,
                  "a bad number of gates");
    for (i = 0; i < seal->nr_gates; i++) {
        bool inside = false;

        fake_kvm_must(!i || g[i - 1].insn < g[i].insn, "gates out of order");
        for (j = 0; j < seal->nr_regions; j++) {
            inside |= g[i].target >= r[j].va &&
                      g[i].target - r[j].va < r[j].nr_pages * 4096ULL;
        }
        fake_kvm_must(g[i].kind != KVM_GM_GATE_IN_CALL || inside,
                      "an in-call to outside");
        fake_kvm_must(g[i].kind != KVM_GM_GATE_OUT_CALL || !inside,
                      "an out-call to inside");
    }
    for (i = 1; i < seal->nr_frames; i++) {
        fake_kvm_must(f[i - 1].ret < f[i].ret, "frames out of order");
    }
    fake_kvm_must(seal->nr_shared <= KVM_GM_MAX_SHARED, "too much is shared");
    for (i = 0; i < seal->nr_shared; i++) {
        pages += s[i].nr_pages;
        fake_kvm_must(!(s[i].va % 4096) && s[i].nr_pages &&
                      pages <= KVM_GM_MAX_PAGES &&
                      (!i || s[i].va > s[i - 1].va +
                             s[i - 1].nr_pages * 4096), "bad shared pages");
    }
}

static uint32_t device_pages(const struct kvm_gm_seal *seal)
{
    const struct kvm_gm_region *r = (void *)(uintptr_t)seal->regions;
    uint32_t i;

    for (i = 0; i < seal->nr_regions; i++) {
        if (r[i].kind == KVM_GM_REGION_DEVICES) {
            return r[i].nr_pages;
        }
    }
    return 0;
}

static int fake_seal(struct kvm_gm_seal *seal)
{
    uint32_t id = 1;

    fake_kvm.nr_seals++;
    fake_kvm.last = *seal;
    fake_kvm_must(seal->size == sizeof(*seal) && !seal->reserved[0] &&
                  seal->policy <= KVM_GM_POLICY_QUARANTINE &&
                  strnlen(seal->name, KVM_GM_NAME_LEN) < KVM_GM_NAME_LEN,
                  "a bad struct kvm_gm_seal");
    check_regions(seal);
    check_tables(seal);
    if (fake_kvm.seal) {
        return fake_kvm.seal;
    }
    while (id <= KVM_GM_MAX_SEALS && fake_kvm.seals[id].used &&
           !(fake_kvm.seals[id].flags & KVM_GM_QUERY_F_ENDED)) {
        id++;
    }
    id = fake_kvm.force_id ?: id;
    if (id > KVM_GM_MAX_SEALS) {
        return -E2BIG;
    }
    fake_kvm.seals[id] = (FakeSeal) {
        .used = true,
        .generation = ++fake_kvm.generations,
        .nr_gates = seal->nr_gates,
        .device_pages = device_pages(seal),
    };
    seal->id = id;
    seal->generation = fake_kvm.generations;
    return 0;
}

static FakeSeal *find(uint32_t id)
{
    return id && id <= KVM_GM_MAX_SEALS && fake_kvm.seals[id].used
           ? &fake_kvm.seals[id] : NULL;
}

/* One that is not over. */
static FakeSeal *find_live(uint32_t id)
{
    FakeSeal *s = find(id);

    return s && !(s->flags & KVM_GM_QUERY_F_ENDED) ? s : NULL;
}

static int fake_unseal(uint32_t id)
{
    FakeSeal *s = find_live(id);

    fake_kvm.nr_unseals++;
    if (fake_kvm.unseal) {
        return fake_kvm.unseal;
    }
    if (!s) {
        return -ENOENT;
    }
    memset(s, 0, sizeof(*s));
    return 0;
}

static int fake_query(struct kvm_gm_query *q)
{
    FakeSeal *s = find(q->id);

    fake_kvm.nr_queries++;
    fake_kvm_must(q->size == sizeof(*q), "a bad struct kvm_gm_query");
    if (fake_kvm.query) {
        return fake_kvm.query;
    }
    if (!s) {
        return -ENOENT;
    }
    q->flags = s->flags;
    q->generation = s->generation;
    q->crossings[KVM_GM_IN_CALL] = s->in_calls;
    q->lost = s->lost;
    return 0;
}

/* --- what is sealed ------------------------------------------------------- */

static int fake_counts(struct kvm_gm_counts *c)
{
    FakeSeal *s = find_live(c->id);
    uint64_t *counts = (void *)(uintptr_t)c->counts;
    uint32_t i;

    fake_kvm_must(c->size == sizeof(*c) && !c->reserved,
                  "a bad struct kvm_gm_counts");
    if (fake_kvm.counts) {
        return fake_kvm.counts;
    }
    if (!s) {
        return -ENOENT;
    }
    if (s->generation != c->generation) {
        return -ESTALE;
    }
    if (s->nr_gates != c->nr_gates) {
        return -EINVAL;
    }
    for (i = 0; i < c->nr_gates; i++) {
        counts[i] = i / 2;
    }
    return 0;
}

static int fake_grant(const struct kvm_gm_grant *g, bool revoke)
{
    FakeSeal *s = find_live(g->id);
    unsigned i;

    *(revoke ? &fake_kvm.nr_revokes : &fake_kvm.nr_grants) += 1;
    fake_kvm.last_grant = *g;
    fake_kvm_must(g->size == sizeof(*g) && g->kind >= KVM_GM_PRIV_MSR &&
                  g->kind < KVM_GM_NR_PRIVILEGES && g->first <= g->last &&
                  g->limit <= KVM_GM_MWAIT_MAX_HINT, "a bad struct kvm_gm_grant");
    if (!revoke && fake_kvm.grant_first) {
        fake_kvm.grant_first--;
    } else if (revoke ? fake_kvm.revoke : fake_kvm.grant) {
        return revoke ? fake_kvm.revoke : fake_kvm.grant;
    }
    if (!s) {
        return -ENOENT;
    }
    if (s->generation != g->generation) {
        return -ESTALE;
    }
    for (i = 0; i < s->nr_grants; i++) {
        if (!memcmp(&s->grants[i], g, sizeof(*g))) {
            if (!revoke) {
                return -EEXIST;
            }
            s->grants[i] = s->grants[--s->nr_grants];
            return 0;
        }
    }
    if (revoke) {
        return -ENOENT;
    }
    if (s->nr_grants == KVM_GM_MAX_GRANTS) {
        return -E2BIG;
    }
    s->grants[s->nr_grants++] = *g;
    return 0;
}

static int fake_map(const struct kvm_gm_map *m)
{
    FakeSeal *s = find_live(m->id);
    const uint64_t *hosts = (void *)(uintptr_t)m->hosts;
    unsigned i;

    fake_kvm.nr_maps++;
    fake_kvm.mapped_while_running = !first_cpu->stopped;
    fake_kvm_must(m->size == sizeof(*m) && m->range < KVM_GM_MAX_RANGES &&
                  !(m->gpa % 4096) && !m->reserved &&
                  (m->nr_pages || (!m->page && !m->gpa && !m->hosts)),
                  "a bad struct kvm_gm_map");
    if (fake_kvm.map_interrupted) {
        fake_kvm.map_interrupted--;
        return -EINTR;
    }
    if (fake_kvm.map && !fake_kvm.map_first && (m->nr_pages || !fake_kvm.map_ends)) {
        int error = fake_kvm.map;

        if (fake_kvm.map_times && !--fake_kvm.map_times) {
            fake_kvm.map = 0;
        }
        return error;
    }
    fake_kvm.map_first -= !!fake_kvm.map_first;
    if (!s) {
        return -ENOENT;
    }
    if (s->generation != m->generation) {
        return -ESTALE;
    }
    fake_kvm_must(!m->nr_pages || (m->page && m->page < s->device_pages &&
                                   m->nr_pages <= s->device_pages - m->page),
                  "pages that the region does not have");
    for (i = 0; i < KVM_GM_MAX_RANGES; i++) {
        const struct kvm_gm_map *o = &s->ranges[i];

        fake_kvm_must(i == m->range || !o->nr_pages || !m->nr_pages ||
                      m->page >= o->page + o->nr_pages ||
                      o->page >= m->page + m->nr_pages,
                      "ranges with a page in common");
    }
    s->ranges[m->range] = *m;
    for (i = 0; i < MIN(m->nr_pages, MACHINE_HOSTS); i++) {
        s->hosts[m->range][i] = hosts ? hosts[i] : 0;
    }
    return 0;
}

int fake_vm_ioctl(struct KVMState *state, unsigned long type, ...)
{
    va_list ap;
    void *arg;

    va_start(ap, type);
    arg = va_arg(ap, void *);
    va_end(ap);
    switch (type) {
    case KVM_ENABLE_CAP:
        fake_kvm.enabled = !fake_kvm.enable;
        return fake_kvm.enable;
    case KVM_GM_SEAL:
        return fake_seal(arg);
    case KVM_GM_UNSEAL:
        return fake_unseal(*(uint32_t *)arg);
    case KVM_GM_QUERY:
        return fake_query(arg);
    case KVM_GM_COUNTS:
        return fake_counts(arg);
    case KVM_GM_GRANT:
        return fake_grant(arg, false);
    case KVM_GM_REVOKE:
        return fake_grant(arg, true);
    case KVM_GM_MAP:
        return fake_map(arg);
    default:
        fake_kvm_must(false, "another ioctl of a VM");
        return -ENOTTY;
    }
}
