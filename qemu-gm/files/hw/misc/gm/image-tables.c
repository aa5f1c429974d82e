/*
 * Guarded images: every bound and every table of the manifest is checked.
 *
 * The manifest comes from a signed file, and is taken for hostile all the
 * same: what is accepted here is used without further checks, by seal.c and
 * by whatever names things for people.
 *
 * The file depends on glib and Error only, so that tests and fuzzers can
 * build it without the rest of QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "image-tables.h"

/* Generous for a kernel module, small for a host. */
#define GM_MAX_ANCHORS 65536

/* KVM's own limits, so that what is registered can be sealed. */
#define GM_MAX_STACK_PAGES 16

/* In a mask of registers. */
#define GM_GATE_RSP (1 << 4)
#define GM_HYPERCALL_LEN 3

/* Where a table of the manifest is, or NULL. */
static const void *gm_table_at(const struct gm_manifest *m,
                               const struct gm_table *table, const char *what,
                               size_t entry_size, uint32_t max, Error **errp)
{
    if (table->count > max) {
        error_setg(errp, "manifest: %u %s, at most %u are supported",
                   table->count, what, max);
        return NULL;
    }
    if (table->offset % 8 || table->offset < sizeof(*m) ||
        !gm_range_ok(table->offset, (uint64_t)table->count * entry_size,
                     m->size)) {
        error_setg(errp, "manifest: the table of %s (%u entries at %u) is "
                   "misaligned or ends outside the manifest's %u bytes", what,
                   table->count, table->offset, m->size);
        return NULL;
    }
    return (const uint8_t *)m + table->offset;
}

static bool gm_check_name(const struct gm_manifest *m, Error **errp)
{
    size_t len = strnlen(m->name, sizeof(m->name));
    size_t i;

    if (!len || len == sizeof(m->name)) {
        error_setg(errp, "manifest: the module's name is empty or not "
                   "terminated");
        return false;
    }
    for (i = 0; i < len; i++) {
        if (!g_ascii_isalnum(m->name[i]) && m->name[i] != '_' &&
            m->name[i] != '-') {
            error_setg(errp, "manifest: the module's name has a character "
                       "0x%02x", (uint8_t)m->name[i]);
            return false;
        }
    }
    for (; i < sizeof(m->name); i++) {
        if (m->name[i]) {
            error_setg(errp, "manifest: the module's name is followed by "
                       "garbage");
            return false;
        }
    }
    return true;
}

/* Names go to logs and monitors: printable ASCII, terminated. */
static bool gm_check_strings(const GmImage *image, Error **errp)
{
    uint32_t count = image->manifest->strings.count;
    uint32_t i;

    if (!count || image->strings[0] || image->strings[count - 1]) {
        error_setg(errp, "manifest: the strings do not start and end with NUL");
        return false;
    }
    for (i = 0; i < count; i++) {
        if (image->strings[i] && !g_ascii_isgraph(image->strings[i])) {
            error_setg(errp, "manifest: byte %u of the strings is not "
                       "printable", i);
            return false;
        }
    }
    return true;
}

static bool gm_check_anchors(const GmImage *image, Error **errp)
{
    const struct gm_manifest *m = image->manifest;
    uint32_t i;

    for (i = 0; i < m->anchors.count; i++) {
        const struct gm_anchor *a = &image->anchors[i];

        if (a->kind < GM_ANCHOR_REGION || a->kind > GM_ANCHOR_PERCPU) {
            error_setg(errp, "manifest: anchor %u: unknown kind %u", i,
                       a->kind);
            return false;
        }
        if (a->name >= m->strings.count) {
            error_setg(errp, "manifest: anchor %u: name outside the strings",
                       i);
            return false;
        }
        if (a->kind >= GM_ANCHOR_EXTERN && a->size) {
            error_setg(errp, "manifest: anchor %u (%s): a symbol has no size",
                       i, gm_image_anchor_name(image, i));
            return false;
        }
        if (a->size > INT32_MAX) {
            error_setg(errp, "manifest: anchor %u (%s): %" PRIu64 " bytes are "
                       "too many", i, gm_image_anchor_name(image, i),
                       (uint64_t)a->size);
            return false;
        }
    }
    return true;
}

/* Is it something that a request of this kind may be about? */
static bool gm_privilege_range_ok(const struct gm_privilege *p)
{
    switch (p->kind) {
    case KVM_GM_PRIV_MMIO:      /* one device, or any */
        return (p->first == p->last && p->last <= UINT32_MAX) ||
               (!p->first && p->last == UINT32_MAX);
    case KVM_GM_PRIV_PIO:
        return p->first <= p->last && p->last <= UINT16_MAX;
    case KVM_GM_PRIV_MSR:
        return p->first <= p->last && p->last <= UINT32_MAX;
    default:
        return !p->first && !p->last;
    }
}

static bool gm_check_privileges(const GmImage *image, Error **errp)
{
    uint32_t i;

    for (i = 0; i < image->manifest->privileges.count; i++) {
        const struct gm_privilege *p = &image->privileges[i];

        if (p->kind < KVM_GM_PRIV_MMIO || p->kind >= KVM_GM_NR_PRIVILEGES) {
            error_setg(errp, "manifest: privilege %u: unknown kind %u", i,
                       p->kind);
            return false;
        }
        if (p->flags &&
            (p->kind != KVM_GM_PRIV_MSR || p->flags != KVM_GM_PRIV_F_WRITE)) {
            error_setg(errp, "manifest: privilege %u: kind %u has no flags "
                       "0x%x", i, p->kind, p->flags);
            return false;
        }
        if (!gm_privilege_range_ok(p)) {
            error_setg(errp, "manifest: privilege %u: kind %u has no 0x%"
                       PRIx64 " to 0x%" PRIx64, i, p->kind,
                       (uint64_t)p->first, (uint64_t)p->last);
            return false;
        }
        if (i && (p->kind < p[-1].kind ||
                  (p->kind == p[-1].kind && p->first <= p[-1].last))) {
            error_setg(errp, "manifest: privilege %u is out of order or "
                       "overlaps the one before", i);
            return false;
        }
    }
    return true;
}

static bool gm_image_requests(const GmImage *image, uint32_t kind)
{
    uint32_t i;

    for (i = 0; i < image->manifest->privileges.count; i++) {
        if (image->privileges[i].kind == kind) {
            return true;
        }
    }
    return false;
}

/* The image has no say in what is there. */
static bool gm_region_is_blank(uint32_t kind)
{
    return kind == KVM_GM_REGION_STACK || kind == KVM_GM_REGION_HOSTINFO ||
           kind == KVM_GM_REGION_DEVICES;
}

static bool gm_check_region(GmImage *image, uint32_t i, size_t body_size,
                            Error **errp)
{
    const struct gm_region *r = &image->regions[i];

    if (r->kind < KVM_GM_REGION_GATES || r->kind > KVM_GM_REGION_DEVICES) {
        error_setg(errp, "manifest: region %u: unknown kind %u", i, r->kind);
        return false;
    }
    if (r->anchor >= image->manifest->anchors.count ||
        image->anchors[r->anchor].kind != GM_ANCHOR_REGION ||
        image->anchors[r->anchor].size != r->size) {
        error_setg(errp, "manifest: region %u: anchor %u does not match", i,
                   r->anchor);
        return false;
    }
    if (!r->size || r->size % GM_PAGE_SIZE ||
        r->size / GM_PAGE_SIZE > KVM_GM_MAX_PAGES - image->nr_pages) {
        error_setg(errp, "manifest: region %u (%s): %" PRIu64 " bytes are not "
                   "whole pages, or more than the %d pages that a module may "
                   "have", i, gm_image_region_name(image, i),
                   (uint64_t)r->size, KVM_GM_MAX_PAGES);
        return false;
    }
    image->nr_pages += r->size / GM_PAGE_SIZE;

    if (r->file_size && (r->file_size != r->size ||
                         !gm_range_ok(r->file_offset, r->size, body_size))) {
        error_setg(errp, "manifest: region %u (%s): contents (%" PRIu64
                   " bytes at %" PRIu64 ") do not fit region or file", i,
                   gm_image_region_name(image, i), (uint64_t)r->file_size,
                   (uint64_t)r->file_offset);
        return false;
    }
    if (!r->file_size != gm_region_is_blank(r->kind) &&
        r->kind != KVM_GM_REGION_DATA) {
        error_setg(errp, "manifest: region %u (%s): kind %u %s contents", i,
                   gm_image_region_name(image, i), r->kind,
                   r->file_size ? "must not have" : "needs");
        return false;
    }
    return true;
}

/* What there is of each kind. */
typedef struct GmRegionSums {
    uint64_t pages[KVM_GM_REGION_DEVICES + 1];
    uint32_t count[KVM_GM_REGION_DEVICES + 1];
} GmRegionSums;

static bool gm_check_stacks(const struct gm_manifest *m,
                            const GmRegionSums *sums, Error **errp)
{
    uint64_t stack_pages = (uint64_t)m->stack_pages * m->nr_stacks;

    if (!stack_pages || sums->pages[KVM_GM_REGION_STACK] != stack_pages ||
        sums->count[KVM_GM_REGION_STACK] != 1) {
        error_setg(errp, "manifest: %u stacks of %u pages do not make up the "
                   "%" PRIu64 " pages of stack in %u regions", m->nr_stacks,
                   m->stack_pages, sums->pages[KVM_GM_REGION_STACK],
                   sums->count[KVM_GM_REGION_STACK]);
        return false;
    }
    if (m->stack_pages <= GM_STACK_GUARD ||
        m->stack_pages > GM_MAX_STACK_PAGES) {
        error_setg(errp, "manifest: stacks of %u pages, %u to %u are "
                   "supported", m->stack_pages, GM_STACK_GUARD + 1,
                   GM_MAX_STACK_PAGES);
        return false;
    }
    return true;
}

/* Regions that are for what the image asks for. */
static bool gm_check_privileged(const GmImage *image, const GmRegionSums *sums,
                                Error **errp)
{
    bool hostinfo = gm_image_requests(image, KVM_GM_PRIV_HOSTINFO);
    uint32_t devices = sums->count[KVM_GM_REGION_DEVICES];

    if (sums->pages[KVM_GM_REGION_HOSTINFO] != hostinfo) {
        error_setg(errp, "manifest: %" PRIu64 " pages for the host's "
                   "information, but the privilege hostinfo is %srequested",
                   sums->pages[KVM_GM_REGION_HOSTINFO], hostinfo ? "" : "not ");
        return false;
    }
    if (devices > 1 || (devices && sums->pages[KVM_GM_REGION_DEVICES] < 2)) {
        error_setg(errp, "manifest: %" PRIu64 " pages for devices in %u "
                   "regions, there may be one, of two pages at least",
                   sums->pages[KVM_GM_REGION_DEVICES], devices);
        return false;
    }
    if (devices && !gm_image_requests(image, KVM_GM_PRIV_MMIO)) {
        error_setg(errp, "manifest: %" PRIu64 " pages for devices, but the "
                   "privilege mmio is not requested",
                   sums->pages[KVM_GM_REGION_DEVICES]);
        return false;
    }
    return true;
}

static bool gm_check_regions(GmImage *image, size_t body_size, Error **errp)
{
    const struct gm_manifest *m = image->manifest;
    GmRegionSums sums = { 0 };
    uint32_t i, nr_anchors = 0;
    g_autofree bool *used = g_new0(bool, m->anchors.count + 1);

    for (i = 0; i < m->anchors.count; i++) {
        nr_anchors += image->anchors[i].kind == GM_ANCHOR_REGION;
    }
    for (i = 0; i < m->regions.count; i++) {
        const struct gm_region *r = &image->regions[i];

        if (!gm_check_region(image, i, body_size, errp)) {
            return false;
        }
        if (used[r->anchor]) {
            error_setg(errp, "manifest: region %u (%s): anchor %u is another "
                       "region's", i, gm_image_region_name(image, i),
                       r->anchor);
            return false;
        }
        used[r->anchor] = true;
        sums.pages[r->kind] += r->size / GM_PAGE_SIZE;
        sums.count[r->kind]++;
    }
    if (nr_anchors != m->regions.count) {
        error_setg(errp, "manifest: %u regions, but %u anchors of regions",
                   m->regions.count, nr_anchors);
        return false;
    }
    if (!sums.pages[KVM_GM_REGION_GATES] || !sums.pages[KVM_GM_REGION_TEXT]) {
        error_setg(errp, "manifest: no %s", sums.pages[KVM_GM_REGION_GATES] ?
                   "text" : "gates");
        return false;
    }
    return gm_check_stacks(m, &sums, errp) &&
           gm_check_privileged(image, &sums, errp);
}

/* Tables that are sorted by region and offset have no duplicates either. */
static bool gm_sorted(uint32_t region, uint32_t offset, uint32_t next_region,
                      uint32_t next_offset)
{
    return next_region > region ||
           (next_region == region && next_offset > offset);
}

static bool gm_check_relocs(const GmImage *image, Error **errp)
{
    const struct gm_manifest *m = image->manifest;
    uint32_t i;

    for (i = 0; i < m->relocs.count; i++) {
        const struct gm_reloc *r = &image->relocs[i];
        const struct gm_reloc *prev = i ? r - 1 : NULL;

        if (r->type < GM_RELOC_64 || r->type > GM_RELOC_PC64) {
            error_setg(errp, "manifest: relocation %u: unknown type %u", i,
                       r->type);
            return false;
        }
        if (r->region >= m->regions.count ||
            !gm_range_ok(r->offset, gm_reloc_width(r->type),
                         image->regions[r->region].file_size)) {
            error_setg(errp, "manifest: relocation %u (region %u, offset 0x%x) "
                       "is outside the contents of a region", i, r->region,
                       r->offset);
            return false;
        }
        if (prev && (!gm_sorted(prev->region, prev->offset, r->region,
                                r->offset) ||
                     (prev->region == r->region && r->offset - prev->offset <
                      gm_reloc_width(prev->type)))) {
            error_setg(errp, "manifest: relocation %u (region %u, offset 0x%x) "
                       "is out of order or overlaps the one before", i,
                       r->region, r->offset);
            return false;
        }
        if (r->anchor >= m->anchors.count) {
            error_setg(errp, "manifest: relocation %u: no anchor %u", i,
                       r->anchor);
            return false;
        }
    }
    return true;
}

/* An in-call goes to sealed text, an out-call leaves for the guest. */
static bool gm_check_gate_target(const GmImage *image, uint32_t i,
                                 Error **errp)
{
    const struct gm_gate *g = &image->gates[i];
    const struct gm_anchor *a = &image->anchors[g->target_anchor];
    bool ok;

    if (g->kind == KVM_GM_GATE_IN_CALL) {
        uint32_t region;

        for (region = 0; region < image->manifest->regions.count; region++) {
            if (image->regions[region].anchor == g->target_anchor) {
                break;
            }
        }
        ok = a->kind == GM_ANCHOR_REGION &&
             image->regions[region].kind == KVM_GM_REGION_TEXT &&
             g->target_addend >= 0 && g->target_addend < a->size;
    } else {
        ok = a->kind != GM_ANCHOR_REGION;
    }
    if (!ok) {
        error_setg(errp, "manifest: gate %u (%s): target %s%+" PRId64 " is on "
                   "the wrong side", i, gm_image_str(image, g->name),
                   gm_image_anchor_name(image, g->target_anchor),
                   (int64_t)g->target_addend);
    }
    return ok;
}

/* The flags that a gate of that kind may have, one at a time. */
static uint8_t gm_gate_flags(uint8_t kind)
{
    switch (kind) {
    case KVM_GM_GATE_IN_CALL:
        return KVM_GM_GATE_F_INIT | KVM_GM_GATE_F_EXIT;
    case KVM_GM_GATE_OUT_CALL:
        return KVM_GM_GATE_F_FPU_BEGIN | KVM_GM_GATE_F_FPU_END |
               KVM_GM_GATE_F_ASM | KVM_GM_GATE_F_NORETURN;
    default:
        return 0;
    }
}

static bool gm_check_gate(const GmImage *image, uint32_t i, Error **errp)
{
    const struct gm_manifest *m = image->manifest;
    const struct gm_gate *g = &image->gates[i];
    bool outside = g->kind <= KVM_GM_GATE_RESUME;

    if (g->kind < KVM_GM_GATE_IN_CALL || g->kind > KVM_GM_GATE_OUT_RETURN) {
        error_setg(errp, "manifest: gate %u: unknown kind %u", i, g->kind);
        return false;
    }
    if (g->name >= m->strings.count) {
        error_setg(errp, "manifest: gate %u: name outside the strings", i);
        return false;
    }
    if (g->region >= m->regions.count ||
        image->regions[g->region].kind != (outside ? KVM_GM_REGION_GATES
                                                   : KVM_GM_REGION_TEXT) ||
        !gm_range_ok(g->offset, GM_HYPERCALL_LEN,
                     image->regions[g->region].size) ||
        g->offset % GM_PAGE_SIZE > GM_PAGE_SIZE - GM_HYPERCALL_LEN) {
        error_setg(errp, "manifest: gate %u (%s): kind %u may not lie in "
                   "region %u at offset 0x%x", i, gm_image_str(image, g->name),
                   g->kind, g->region, g->offset);
        return false;
    }
    if (i && (!gm_sorted(g[-1].region, g[-1].offset, g->region, g->offset) ||
              (g[-1].region == g->region && g->offset - g[-1].offset <
               GM_HYPERCALL_LEN))) {
        error_setg(errp, "manifest: gate %u (%s) is out of order or overlaps "
                   "the one before", i, gm_image_str(image, g->name));
        return false;
    }
    if (g->reserved || g->stack_words > KVM_GM_MAX_STACK_WORDS ||
        (g->flags & ~gm_gate_flags(g->kind)) || (g->flags & (g->flags - 1)) ||
        (g->results && g->flags != KVM_GM_GATE_F_ASM) ||
        (g->results & GM_GATE_RSP)) {
        error_setg(errp, "manifest: gate %u (%s): bad flags 0x%x or %u stack "
                   "words", i, gm_image_str(image, g->name), g->flags,
                   g->stack_words);
        return false;
    }
    if (g->target_anchor >= m->anchors.count) {
        error_setg(errp, "manifest: gate %u (%s): no anchor %u", i,
                   gm_image_str(image, g->name), g->target_anchor);
        return false;
    }
    if (g->kind == KVM_GM_GATE_IN_CALL || g->kind == KVM_GM_GATE_OUT_CALL) {
        return gm_check_gate_target(image, i, errp);
    }
    return true;
}

static bool gm_check_gates(const GmImage *image, Error **errp)
{
    static const struct {
        const char *what;
        uint8_t kind, flags;
        uint32_t min;
    } counts[] = {
        { "in-return",  KVM_GM_GATE_IN_RETURN,  0,                  1 },
        { "resume",     KVM_GM_GATE_RESUME,     0,                  1 },
        { "out-return", KVM_GM_GATE_OUT_RETURN, 0,                  1 },
        { "init",       KVM_GM_GATE_IN_CALL,    KVM_GM_GATE_F_INIT, 1 },
        { "exit",       KVM_GM_GATE_IN_CALL,    KVM_GM_GATE_F_EXIT, 0 },
    };
    uint32_t i, j, n;

    for (i = 0; i < image->manifest->gates.count; i++) {
        if (!gm_check_gate(image, i, errp)) {
            return false;
        }
    }
    for (j = 0; j < G_N_ELEMENTS(counts); j++) {
        for (i = n = 0; i < image->manifest->gates.count; i++) {
            n += image->gates[i].kind == counts[j].kind &&
                 image->gates[i].flags == counts[j].flags;
        }
        if (n < counts[j].min || n > 1) {
            error_setg(errp, "manifest: %u %s gates", n, counts[j].what);
            return false;
        }
    }
    return true;
}

static bool gm_check_frames(const GmImage *image, Error **errp)
{
    const struct gm_manifest *m = image->manifest;
    uint32_t i;

    for (i = 0; i < m->frames.count; i++) {
        const struct gm_frame *f = &image->frames[i];

        if (f->region >= m->regions.count ||
            image->regions[f->region].kind != KVM_GM_REGION_TEXT ||
            !f->offset || f->offset >= image->regions[f->region].size) {
            error_setg(errp, "manifest: frame %u (region %u, offset 0x%x) is "
                       "not in text", i, f->region, f->offset);
            return false;
        }
        if (i && !gm_sorted(f[-1].region, f[-1].offset, f->region,
                            f->offset)) {
            error_setg(errp, "manifest: frame %u (region %u, offset 0x%x) is "
                       "out of order", i, f->region, f->offset);
            return false;
        }
        if (f->size % 8 ||
            f->size >= (m->stack_pages - GM_STACK_GUARD) * GM_PAGE_SIZE) {
            error_setg(errp, "manifest: frame %u (region %u, offset 0x%x): "
                       "%u bytes are not whole words on a stack", i,
                       f->region, f->offset, f->size);
            return false;
        }
        if ((uint32_t)f->window + f->window_len > f->size) {
            error_setg(errp, "manifest: frame %u (region %u, offset 0x%x): "
                       "window %u+%u does not fit %u bytes", i, f->region,
                       f->offset, f->window, f->window_len, f->size);
            return false;
        }
    }
    return true;
}

/* KVM will run guest code at these places: they must hold what they should. */
static bool gm_check_code(const GmImage *image, uint32_t region,
                          uint32_t offset, const char *code, size_t len,
                          const char *what, Error **errp)
{
    const struct gm_region *r;

    if (region >= image->manifest->regions.count ||
        image->regions[region].kind != KVM_GM_REGION_GATES ||
        !gm_range_ok(offset, len, image->regions[region].size)) {
        error_setg(errp, "manifest: %s (region %u, offset 0x%x) is not among "
                   "the gates", what, region, offset);
        return false;
    }
    r = &image->regions[region];
    if (memcmp(image->file + r->file_offset + offset, code, len)) {
        error_setg(errp, "manifest: %s (region %u, offset 0x%x) is not the "
                   "expected instruction", what, region, offset);
        return false;
    }
    return true;
}

static bool gm_check_trampoline(const GmImage *image, Error **errp)
{
    static const char call_r11[] = { 0x41, 0xff, 0xd3 };
    static const char ret[] = { 0xc3 };
    const struct gm_manifest *m = image->manifest;
    const struct gm_gate *g = image->gates;

    while (g->kind != KVM_GM_GATE_IN_RETURN) {
        g++;
    }
    if (m->trampoline_region != g->region ||
        (uint64_t)m->trampoline_offset + sizeof(call_r11) != g->offset) {
        error_setg(errp, "manifest: the trampoline is not right before the "
                   "in-return gate");
        return false;
    }
    return gm_check_code(image, m->trampoline_region, m->trampoline_offset,
                         call_r11, sizeof(call_r11), "the trampoline", errp) &&
           gm_check_code(image, m->ret_region, m->ret_offset, ret, sizeof(ret),
                         "the return", errp);
}

/* The manifest's header and the bounds of its tables. */
static bool gm_check_tables(GmImage *image, Error **errp)
{
    const struct gm_manifest *m = image->manifest;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(m->reserved); i++) {
        if (m->reserved[i]) {
            error_setg(errp, "manifest: reserved fields are not zero");
            return false;
        }
    }
    image->anchors = gm_table_at(m, &m->anchors, "anchors",
                                 sizeof(struct gm_anchor), GM_MAX_ANCHORS,
                                 errp);
    if (!image->anchors) {
        return false;
    }
    image->regions = gm_table_at(m, &m->regions, "regions",
                                 sizeof(struct gm_region), KVM_GM_MAX_REGIONS,
                                 errp);
    if (!image->regions) {
        return false;
    }
    image->relocs = gm_table_at(m, &m->relocs, "relocations",
                                sizeof(struct gm_reloc), UINT32_MAX, errp);
    if (!image->relocs) {
        return false;
    }
    image->gates = gm_table_at(m, &m->gates, "gates", sizeof(struct gm_gate),
                               KVM_GM_MAX_GATES, errp);
    if (!image->gates) {
        return false;
    }
    image->frames = gm_table_at(m, &m->frames, "frames",
                                sizeof(struct gm_frame), KVM_GM_MAX_FRAMES,
                                errp);
    if (!image->frames) {
        return false;
    }
    image->privileges = gm_table_at(m, &m->privileges, "privileges",
                                    sizeof(struct gm_privilege),
                                    GM_MAX_PRIVILEGES, errp);
    if (!image->privileges) {
        return false;
    }
    image->strings = gm_table_at(m, &m->strings, "strings", 1, UINT32_MAX,
                                 errp);
    return image->strings;
}

bool gm_image_check_manifest(GmImage *image, size_t body_size, Error **errp)
{
    return gm_check_name(image->manifest, errp) &&
           gm_check_tables(image, errp) &&
           gm_check_strings(image, errp) &&
           gm_check_anchors(image, errp) &&
           gm_check_privileges(image, errp) &&
           gm_check_regions(image, body_size, errp) &&
           gm_check_relocs(image, errp) &&
           gm_check_gates(image, errp) &&
           gm_check_frames(image, errp) &&
           gm_check_trampoline(image, errp);
}
