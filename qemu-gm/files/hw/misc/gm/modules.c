/*
 * Guarded modules: registering images, and the monitor's view of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-guarded-modules.h"
#include "qapi/qapi-visit-guarded-modules.h"
#include "qapi/clone-visitor.h"
#include "state.h"
#include "trace.h"
#include "verifier.h"

void gm_entry_free(void *opaque)
{
    GmEntry *entry = opaque;

    if (entry) {
        gm_image_free(entry->image);
        gm_seal_plan_free(entry->plan);
        g_free(entry->file);
        g_free(entry->signer);
        g_free(entry);
    }
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(GmEntry, gm_entry_free)

/* The whole of a regular file, which must not be larger than @max. */
static uint8_t *gm_read_file(const char *path, uint64_t max, size_t *size,
                             Error **errp)
{
    g_autofree uint8_t *data = NULL;
    struct stat st;
    size_t done = 0;
    int fd;

    /* O_NONBLOCK: do not let a FIFO hang the monitor. */
    fd = qemu_open(path, O_RDONLY | O_NONBLOCK, errp);
    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        error_setg(errp, "'%s' is not a regular file", path);
        goto out;
    }
    if (st.st_size > max) {
        error_setg(errp, "'%s' has %" PRIu64 " bytes, the device's window %"
                   PRIu64, path, (uint64_t)st.st_size, max);
        error_append_hint(errp, "Enlarge the image-window property.\n");
        goto out;
    }
    data = g_malloc(st.st_size + 1);
    while (done < st.st_size) {
        ssize_t n = read(fd, data + done, st.st_size - done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            error_setg(errp, "cannot read '%s': %s", path,
                       n ? strerror(errno) : "it became shorter");
            g_clear_pointer(&data, g_free);
            goto out;
        }
        done += n;
    }
    *size = done;
out:
    qemu_close(fd);
    return g_steal_pointer(&data);
}

/* Everything about a file except how it fits with what is registered. */
static GmEntry *coroutine_fn gm_entry_new(GmState *s, const char *file,
                                          Error **errp)
{
    g_autoptr(GmEntry) entry = g_new0(GmEntry, 1);
    g_autofree uint8_t *data = NULL;
    GmSignature sig;
    size_t size;

    data = gm_read_file(file, s->window_size, &size, errp);
    if (!data) {
        return NULL;
    }
    if (!gm_elf_check(data, size, errp) ||
        !gm_signature_find(data, size, &sig, errp)) {
        goto fail;
    }
    if (!gm_load_keyring(s, errp)) {
        goto fail;
    }
    entry->signer = gm_keyring_verify(s->keyring, data, &sig, errp);
    if (!entry->signer) {
        goto fail;
    }
    entry->image = gm_image_new(g_steal_pointer(&data), size, sig.body_size,
                                errp);
    if (!entry->image ||
        (s->verifier &&
         !gm_verify(s->verifier, entry->image->file, size, errp))) {
        goto fail;
    }
    entry->file = g_strdup(file);
    entry->state = GM_MODULE_STATE_REGISTERED;
    return g_steal_pointer(&entry);

fail:
    error_prepend(errp, "cannot register '%s': ", file);
    return NULL;
}

static GmEntry *gm_find_name(GmState *s, const char *name)
{
    unsigned i;

    for (i = 0; i < s->entries->len; i++) {
        if (!strcmp(gm_entry_name(s->entries->pdata[i]), name)) {
            return s->entries->pdata[i];
        }
    }
    return NULL;
}

static bool gm_check_unique(GmState *s, const GmEntry *entry, Error **errp)
{
    const GmEntry *other;
    unsigned i;

    for (i = 0; i < s->entries->len; i++) {
        other = s->entries->pdata[i];
        if (!strcmp(other->image->id, entry->image->id)) {
            error_setg(errp, "module '%s' (id %.12s) is already registered, "
                       "from '%s'", gm_entry_name(other), other->image->id,
                       other->file);
            return false;
        }
    }
    other = gm_find_name(s, gm_entry_name(entry));
    if (other) {
        error_setg(errp, "another image of module '%s' (id %.12s) is already "
                   "registered, from '%s'", gm_entry_name(other),
                   other->image->id, other->file);
        error_append_hint(errp, "Use gm_unregister first.\n");
        return false;
    }
    if (s->entries->len >= s->max_modules) {
        error_setg(errp, "no more than %u modules can be registered; "
                   "unregister one, or enlarge the property 'max-modules'",
                   s->max_modules);
        return false;
    }
    return true;
}

static GmState *gm_require_device(Error **errp)
{
    GmState *s = gm_state();

    if (!s) {
        error_setg(errp, "this virtual machine has no " TYPE_GUARDED_MODULES
                   " device");
    }
    return s;
}

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
}

GmRegistration *coroutine_fn qmp_gm_register(const char *file, Error **errp)
{
    GmState *s = gm_require_device(errp);
    g_autoptr(GmEntry) entry = NULL;
    GmRegistration *info;

    if (!s) {
        return NULL;
    }
    /* The verifier takes its time, and others do things meanwhile. */
    object_ref(s);
    entry = gm_entry_new(s, file, errp);
    if (entry && gm_state() != s) {
        error_setg(errp, "the " TYPE_GUARDED_MODULES " device has gone");
        g_clear_pointer(&entry, gm_entry_free);
    }
    object_unref(s);
    if (!entry || !gm_check_unique(s, entry, errp)) {
        return NULL;
    }
    trace_gm_register(gm_entry_name(entry), entry->image->id, entry->signer,
                      entry->image->nr_pages);

    info = g_new0(GmRegistration, 1);
    gm_fill_registration(entry, info);
    g_ptr_array_add(s->entries, g_steal_pointer(&entry));
    return info;
}

void qmp_gm_unregister(const char *name, Error **errp)
{
    GmState *s = gm_require_device(errp);
    GmEntry *entry;

    if (!s) {
        return;
    }
    entry = gm_find_name(s, name);
    if (!entry) {
        error_setg(errp, "no module '%s' is registered", name);
        return;
    }
    gm_entry_refresh(entry);
    if (entry->state == GM_MODULE_STATE_SEALED) {
        error_setg(errp, "module '%s' is sealed: the guest must unload it "
                   "first", name);
        return;
    }
    if (entry->plan) {
        int ret = gm_entry_unseal(entry, GM_UNSEAL_REASON_UNREGISTER);

        if (ret) {
            error_setg_errno(errp, -ret, "module '%s' cannot be unsealed", name);
            return;
        }
    }
    trace_gm_unregister(name);
    gm_deselect(s, entry);
    g_ptr_array_remove(s->entries, entry);
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

static GmModule *gm_module_info(GmEntry *entry)
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
    return info;
}

GmInfo *qmp_query_gm(Error **errp)
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
        QAPI_LIST_APPEND(modules, gm_module_info(s->entries->pdata[i]));
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
