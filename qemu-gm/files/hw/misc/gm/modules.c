/*
 * Guarded modules: registering images, and granting privileges to them.
 *
 * Called by the monitor's commands (qmp.c) and for objects (object.c). Every
 * decision leaves a record, those to refuse included.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "monitor/monitor.h"
#include "audit.h"
#include "state.h"
#include "trace.h"
#include "verifier.h"

void gm_entry_free(void *opaque)
{
    GmEntry *entry = opaque;

    if (entry) {
        gm_image_free(entry->image);
        gm_devices_free(entry->devices);
        gm_seal_plan_free(entry->plan);
        g_clear_pointer(&entry->grants, g_ptr_array_unref);
        g_free(entry->file);
        g_free(entry->signer);
        g_free(entry);
    }
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(GmEntry, gm_entry_free)

static int gm_open(const GmWanted *wanted, Error **errp)
{
    if (wanted->fd) {
        return monitor_get_fd(monitor_cur(), wanted->fd, errp);
    }
    /* O_NONBLOCK: do not let a FIFO hang the monitor. */
    return qemu_open(wanted->file, O_RDONLY | O_NONBLOCK, errp);
}

/* The whole of a regular file, which must not be larger than @max. */
static uint8_t *gm_read_file(int fd, const char *name, uint64_t max,
                             size_t *size, Error **errp)
{
    g_autofree uint8_t *data = NULL;
    struct stat st;
    size_t done = 0;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        error_setg(errp, "'%s' is not a regular file", name);
        return NULL;
    }
    if (st.st_size > max) {
        error_setg(errp, "'%s' has %" PRIu64 " bytes, the device's window %"
                   PRIu64, name, (uint64_t)st.st_size, max);
        error_append_hint(errp, "Enlarge the image-window property.\n");
        return NULL;
    }
    data = g_malloc(st.st_size + 1);
    while (done < st.st_size) {
        ssize_t n = pread(fd, data + done, st.st_size - done, done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            error_setg(errp, "cannot read '%s': %s", name,
                       n ? strerror(errno) : "it became shorter");
            return NULL;
        }
        done += n;
    }
    *size = done;
    return g_steal_pointer(&data);
}

/* Everything about a file except how it fits with what is registered. */
static GmEntry *coroutine_fn gm_entry_new(GmState *s, const GmWanted *wanted,
                                          const char *name, Error **errp)
{
    g_autoptr(GmEntry) entry = g_new0(GmEntry, 1);
    g_autofree uint8_t *data = NULL;
    GmSignature sig;
    size_t size;
    int fd;

    fd = gm_open(wanted, errp);
    if (fd < 0) {
        return NULL;
    }
    data = gm_read_file(fd, name, s->window_size, &size, errp);
    qemu_close(fd);
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
    entry->file = g_strdup(name);
    entry->policy = wanted->has_policy ? wanted->policy : s->policy;
    entry->object = wanted->object;
    entry->grants = g_ptr_array_new_with_free_func(object_unref);
    entry->state = GM_MODULE_STATE_REGISTERED;
    return g_steal_pointer(&entry);

fail:
    error_prepend(errp, "cannot register '%s': ", name);
    return NULL;
}

GmEntry *gm_find_name(GmState *s, const char *name)
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

GmState *gm_require_device(Error **errp)
{
    GmState *s = gm_state();

    if (!s) {
        error_setg(errp, "this virtual machine has no " TYPE_GUARDED_MODULES
                   " device");
    }
    return s;
}

static char *gm_join_grants(strList *grants)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (; grants; grants = grants->next) {
        g_string_append_printf(text, "%s%s", text->len ? " " : "",
                               grants->value);
    }
    return text->len ? g_string_free(g_steal_pointer(&text), false) : NULL;
}

static void gm_audit_entry(GmDecision decision, const GmEntry *entry,
                           strList *grants)
{
    g_autofree char *text = gm_join_grants(grants);

    gm_audit(decision, &(GmAudit) {
             .module = gm_entry_name(entry), .id = entry->image->id,
             .file = entry->file, .signer = entry->signer, .grants = text });
}

static void gm_audit_refused(const char *request, const char *module,
                             const char *file, strList *grants,
                             const Error *err)
{
    g_autofree char *text = gm_join_grants(grants);

    gm_audit(GM_AUDIT_REFUSED, &(GmAudit) {
             .request = request, .module = module, .file = file,
             .grants = text, .reason = error_get_pretty(err) });
}

static GmEntry *coroutine_fn gm_do_register(const GmWanted *wanted,
                                            const char *name, Error **errp)
{
    GmState *s = gm_require_device(errp);
    g_autoptr(GmEntry) entry = NULL;
    bool begun, ok;

    if (!s) {
        return NULL;
    }
    /* The verifier takes its time, and others do things meanwhile. */
    object_ref(s);
    entry = gm_entry_new(s, wanted, name, errp);
    begun = gm_privilege_begin(wanted->grants);
    ok = entry;
    if (ok && gm_state() != s) {
        error_setg(errp, "the " TYPE_GUARDED_MODULES " device has gone");
        ok = false;
    }
    ok = ok && gm_check_unique(s, entry, errp) &&
         gm_privilege_grant(entry, wanted->grants, errp);
    if (ok) {
        g_ptr_array_add(s->entries, entry);
    }
    gm_privilege_end(begun);
    object_unref(s);
    return ok ? g_steal_pointer(&entry) : NULL;
}

GmEntry *coroutine_fn gm_register(const GmWanted *wanted, Error **errp)
{
    g_autofree char *name = NULL;
    GmEntry *entry = NULL;
    ERRP_GUARD();

    if (!wanted->file == !wanted->fd) {
        error_setg(errp, "exactly one of 'file' and 'fd' must be given");
    } else {
        name = wanted->fd ? g_strconcat("fd:", wanted->fd, NULL)
                          : g_strdup(wanted->file);
        entry = gm_do_register(wanted, name, errp);
    }
    if (!entry) {
        gm_audit_refused("register", NULL, name, wanted->grants, *errp);
        return NULL;
    }
    trace_gm_register(gm_entry_name(entry), entry->image->id, entry->signer,
                      entry->image->nr_pages);
    gm_audit_entry(GM_AUDIT_REGISTERED, entry, wanted->grants);
    return entry;
}

static GmEntry *gm_require_module(const char *name, Error **errp)
{
    GmState *s = gm_require_device(errp);
    GmEntry *entry;

    if (!s) {
        return NULL;
    }
    entry = gm_find_name(s, name);
    if (!entry) {
        error_setg(errp, "no module '%s' is registered", name);
        return NULL;
    }
    gm_entry_refresh(entry);
    return entry;
}

static bool gm_do_unregister(const char *name, Error **errp)
{
    GmEntry *entry = gm_require_module(name, errp);

    if (!entry) {
        return false;
    }
    if (entry->state == GM_MODULE_STATE_SEALED) {
        error_setg(errp, "module '%s' is sealed: the guest must unload it "
                   "first", name);
        return false;
    }
    if (entry->plan) {
        int ret = gm_entry_unseal(entry, GM_UNSEAL_REASON_UNREGISTER);

        if (ret) {
            error_setg_errno(errp, -ret, "module '%s' cannot be unsealed", name);
            return false;
        }
    }
    trace_gm_unregister(name);
    gm_audit_entry(GM_AUDIT_UNREGISTERED, entry, NULL);
    gm_privilege_drop_all(entry);
    gm_deselect(gm_state(), entry);
    g_ptr_array_remove(gm_state()->entries, entry);
    return true;
}

bool gm_unregister(const char *name, Error **errp)
{
    ERRP_GUARD();

    if (!gm_do_unregister(name, errp)) {
        gm_audit_refused("unregister", name, NULL, NULL, *errp);
        return false;
    }
    return true;
}

static bool gm_do_grant(const char *name, strList *grants, Error **errp)
{
    GmEntry *entry = gm_require_module(name, errp);

    if (!entry) {
        return false;
    }
    if (entry->state == GM_MODULE_STATE_QUARANTINED) {
        error_setg(errp, "module '%s' is quarantined", name);
        return false;
    }
    if (!gm_privilege_grant(entry, grants, errp)) {
        return false;
    }
    gm_audit_entry(GM_AUDIT_GRANTED, entry, grants);
    return true;
}

bool gm_grant(const char *name, strList *grants, Error **errp)
{
    bool begun = gm_privilege_begin(grants);
    bool ok;
    ERRP_GUARD();

    ok = gm_do_grant(name, grants, errp);
    gm_privilege_end(begun);
    if (!ok) {
        gm_audit_refused("grant", name, NULL, grants, *errp);
    }
    return ok;
}

bool gm_revoke(const char *name, strList *grants, Error **errp)
{
    GmEntry *entry;
    ERRP_GUARD();

    entry = gm_require_module(name, errp);
    if (!entry || !gm_privilege_revoke(entry, grants, errp)) {
        gm_audit_refused("revoke", name, NULL, grants, *errp);
        return false;
    }
    gm_audit_entry(GM_AUDIT_REVOKED, entry, grants);
    return true;
}
