/*
 * Guarded modules: who has been granted what.
 *
 * Invariant: what a module holds lies within what its signed image asks for and
 * within what the administrator has granted; a command grants or revokes all
 * that it names, or nothing.
 *
 * What QEMU does itself (MMIO, PIO) holds from the grant until it is revoked,
 * sealed or not, so that the guest cannot prepare a device for a module that it
 * loads later. What KVM does is bound to a seal and raised again with each.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "exec/address-spaces.h"
#include "system/cpus.h"
#include "audit.h"
#include "privilege.h"
#include "state.h"

/* --- texts ---------------------------------------------------------------- */

bool gm_privilege_range(const char *value, uint64_t max, const char **end,
                        struct gm_privilege *what, Error **errp)
{
    uint64_t first, last;

    if (!value || qemu_strtou64(value, end, 0, &first)) {
        error_setg(errp, "a number or FIRST-LAST is missing behind '='");
        return false;
    }
    last = first;
    if (**end == '-' && qemu_strtou64(*end + 1, end, 0, &last)) {
        error_setg(errp, "'-' is not followed by a number");
        return false;
    }
    if (first > last) {
        error_setg(errp, "the last number is less than the first one");
        return false;
    }
    if (last > max) {
        error_setg(errp, "the largest number is 0x%" PRIx64, max);
        return false;
    }
    what->first = first;
    what->last = last;
    return true;
}

bool gm_privilege_no_value(GmPrivilege *p, const char *value, Error **errp)
{
    if (value) {
        error_setg(errp, "it takes no '='");
    }
    return !value;
}

char *gm_privilege_describe_range(const char *word,
                                  const struct gm_privilege *what)
{
    if (what->first == what->last) {
        return g_strdup_printf("%s=0x%" PRIx64, word, (uint64_t)what->first);
    }
    return g_strdup_printf("%s=0x%" PRIx64 "-0x%" PRIx64, word,
                           (uint64_t)what->first, (uint64_t)what->last);
}

/* --- classes -------------------------------------------------------------- */

static GSList *gm_privilege_classes(void)
{
    return object_class_get_list_sorted(TYPE_GM_PRIVILEGE, false);
}

static const char *gm_privilege_word(const GmPrivilegeClass *k)
{
    return object_class_get_name(OBJECT_CLASS(k)) +
           strlen(GM_PRIVILEGE_TYPE(""));
}

static GmPrivilegeClass *gm_privilege_class(const char *text)
{
    g_autofree char *word = g_strndup(text, strcspn(text, "="));
    g_autofree char *type = g_strconcat(GM_PRIVILEGE_TYPE(""), word, NULL);
    ObjectClass *class = object_class_by_name(type);

    if (!class || object_class_is_abstract(class)) {
        return NULL;
    }
    return (GmPrivilegeClass *)object_class_dynamic_cast(class,
                                                         TYPE_GM_PRIVILEGE);
}

static GmPrivilegeClass *gm_privilege_class_of_kind(uint32_t kind)
{
    g_autoptr(GSList) list = gm_privilege_classes();
    GSList *i;

    for (i = list; i; i = i->next) {
        GmPrivilegeClass *k = GM_PRIVILEGE_CLASS(i->data);

        if (k->kind == kind) {
            return k;
        }
    }
    return NULL;
}

static void gm_unknown_privilege(const char *text, Error **errp)
{
    g_autoptr(GSList) list = gm_privilege_classes();
    g_autoptr(GString) words = g_string_new(NULL);
    GSList *i;

    for (i = list; i; i = i->next) {
        g_string_append_printf(words, "%s%s", i == list ? "" : ", ",
                               gm_privilege_word(GM_PRIVILEGE_CLASS(i->data)));
    }
    error_setg(errp, "there is no privilege '%s'; there are %s", text,
               words->str);
}

/* --- requests ------------------------------------------------------------- */

/* What @image asks for: the only place that knows where that is. */
static const struct gm_privilege *gm_requests(const GmImage *image,
                                              uint32_t *count)
{
    *count = image->manifest->privileges.count;
    return image->privileges;
}

static bool gm_requested(const GmImage *image, const struct gm_privilege *what)
{
    const struct gm_privilege *r;
    uint32_t count, i;

    r = gm_requests(image, &count);
    for (i = 0; i < count; i++) {
        if (r[i].kind == what->kind && r[i].first <= what->first &&
            what->last <= r[i].last && !(what->flags & ~r[i].flags)) {
            return true;
        }
    }
    return false;
}

strList *gm_privilege_requests(const GmImage *image)
{
    const struct gm_privilege *r;
    strList *list = NULL, **tail = &list;
    uint32_t count, i;

    r = gm_requests(image, &count);
    for (i = 0; i < count; i++) {
        GmPrivilegeClass *k = gm_privilege_class_of_kind(r[i].kind);

        if (k) {
            QAPI_LIST_APPEND(tail, k->describe(&r[i]));
        }
    }
    return list;
}

static char *gm_join(strList *list)
{
    g_autoptr(GString) text = g_string_new(NULL);
    strList *i;

    for (i = list; i; i = i->next) {
        g_string_append_printf(text, "%s%s", i == list ? "" : ", ", i->value);
    }
    return g_strdup(text->len ? text->str : "nothing");
}

/* --- grants --------------------------------------------------------------- */

strList *gm_privilege_grants(const GmEntry *entry)
{
    strList *list = NULL, **tail = &list;
    unsigned i;

    for (i = 0; i < entry->grants->len; i++) {
        GmPrivilege *p = entry->grants->pdata[i];

        QAPI_LIST_APPEND(tail, g_strdup(p->text));
    }
    return list;
}

static bool gm_privilege_init(GmPrivilege *p, const GmEntry *entry,
                              const char *text, Error **errp)
{
    GmPrivilegeClass *k = GM_PRIVILEGE_GET_CLASS(p);
    const char *value = strchr(text, '=');

    p->module = g_strdup(gm_entry_name(entry));
    p->seal = entry->plan ? &entry->plan->seal : NULL;
    p->devices = entry->devices;
    p->what.kind = k->kind;
    if (!k->init(p, value ? value + 1 : NULL, errp)) {
        return false;
    }
    if (!p->text) {
        p->text = k->describe(&p->what);
    }
    return true;
}

/* What @text says, whether or not the module may have it. */
static GmPrivilege *gm_privilege_parse(const GmEntry *entry, const char *text,
                                       Error **errp)
{
    GmPrivilegeClass *k = gm_privilege_class(text);
    GmPrivilege *p;

    if (!k) {
        gm_unknown_privilege(text, errp);
        return NULL;
    }
    p = GM_PRIVILEGE(object_new_with_class(OBJECT_CLASS(k)));
    if (!gm_privilege_init(p, entry, text, errp)) {
        error_prepend(errp, "'%s': ", text);
        object_unref(p);
        return NULL;
    }
    return p;
}

static bool gm_overlaps(const GmPrivilege *a, const GmPrivilege *b)
{
    GmPrivilegeClass *k = GM_PRIVILEGE_GET_CLASS(a);

    if (a->what.kind != b->what.kind) {
        return false;
    }
    return k->overlaps ? k->overlaps(a, b)
                       : a->what.first <= b->what.last &&
                         b->what.first <= a->what.last;
}

static bool gm_check_free_among(const GmPrivilege *p, const GPtrArray *others,
                                Error **errp)
{
    unsigned i;

    for (i = 0; i < others->len; i++) {
        const GmPrivilege *other = others->pdata[i];

        if (gm_overlaps(p, other)) {
            error_setg(errp, "'%s': module '%s' has '%s' already", p->text,
                       other->module, other->text);
            return false;
        }
    }
    return true;
}

static bool gm_check_grant(const GmPrivilege *p, const GmEntry *entry,
                           const GPtrArray *together, Error **errp)
{
    GmState *s = gm_state();
    unsigned i;

    if (!gm_requested(entry->image, &p->what)) {
        g_autoptr(strList) requests = gm_privilege_requests(entry->image);
        g_autofree char *text = gm_join(requests);

        error_setg(errp, "'%s': module '%s' does not ask for it; it asks for "
                   "%s", p->text, p->module, text);
        return false;
    }
    if (!gm_check_free_among(p, together, errp) ||
        !gm_check_free_among(p, entry->grants, errp)) {
        return false;
    }
    for (i = 0; i < s->entries->len && GM_PRIVILEGE_GET_CLASS(p)->exclusive;
         i++) {
        const GmEntry *other = s->entries->pdata[i];

        if (!gm_check_free_among(p, other->grants, errp)) {
            return false;
        }
    }
    return true;
}

static bool gm_raise(GmPrivilege *p, Error **errp)
{
    GmPrivilegeClass *k = GM_PRIVILEGE_GET_CLASS(p);

    if (k->per_seal && !p->seal) {
        return true;
    }
    if (!k->raise(p, errp)) {
        error_prepend(errp, "'%s': ", p->text);
        return false;
    }
    p->raised = true;
    return true;
}

static bool gm_lower(GmPrivilege *p, Error **errp)
{
    if (p->raised && !GM_PRIVILEGE_GET_CLASS(p)->lower(p, errp)) {
        error_prepend(errp, "'%s': ", p->text);
        return false;
    }
    p->raised = false;
    return true;
}

/* Undo what was done to the first @n of @list; there is no way back from here. */
static void gm_undo(GPtrArray *list, unsigned n,
                    bool (*undo)(GmPrivilege *p, Error **errp))
{
    while (n--) {
        Error *err = NULL;

        if (!undo(list->pdata[n], &err)) {
            error_reportf_err(err, "guarded-modules: ");
        }
    }
}

static bool gm_raise_all(GPtrArray *list, Error **errp)
{
    unsigned i;

    for (i = 0; i < list->len; i++) {
        if (!gm_raise(list->pdata[i], errp)) {
            gm_undo(list, i, gm_lower);
            return false;
        }
    }
    return true;
}

bool gm_privilege_begin(strList *texts)
{
    for (; texts; texts = texts->next) {
        GmPrivilegeClass *k = gm_privilege_class(texts->value);

        if (k && k->hides) {
            /* Whoever waits for the BQL to do what it has looked up does it. */
            pause_all_vcpus();
            return true;
        }
    }
    return false;
}

void gm_privilege_end(bool begun)
{
    if (begun) {
        /* The same for I/O threads, whose lookups RCU protects. */
        drain_call_rcu();
        resume_all_vcpus();
    }
}

bool gm_privilege_grant(GmEntry *entry, strList *texts, Error **errp)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(object_unref);

    for (; texts; texts = texts->next) {
        GmPrivilege *p = gm_privilege_parse(entry, texts->value, errp);

        if (!p) {
            return false;
        }
        if (!gm_check_grant(p, entry, list, errp)) {
            object_unref(p);
            return false;
        }
        g_ptr_array_add(list, p);
    }
    if (!gm_raise_all(list, errp)) {
        return false;
    }
    g_ptr_array_extend_and_steal(entry->grants, g_steal_pointer(&list));
    return true;
}

/* Does @named, which a user has written as @text, mean @grant? */
static bool gm_names_grant(const GmPrivilege *named, const char *text,
                           const GmPrivilege *grant)
{
    return !strcmp(grant->text, named->text) ||
           (GM_PRIVILEGE_GET_CLASS(grant)->single && !strchr(text, '=') &&
            grant->what.kind == named->what.kind);
}

static GmPrivilege *gm_find_grant(const GmEntry *entry, const char *text,
                                  Error **errp)
{
    g_autoptr(strList) grants = NULL;
    g_autofree char *granted = NULL;
    GmPrivilege *p;
    unsigned i;

    p = gm_privilege_parse(entry, text, errp);
    if (!p) {
        return NULL;
    }
    for (i = 0; i < entry->grants->len; i++) {
        GmPrivilege *grant = entry->grants->pdata[i];

        if (gm_names_grant(p, text, grant)) {
            object_unref(p);
            return grant;
        }
    }
    grants = gm_privilege_grants(entry);
    granted = gm_join(grants);
    error_setg(errp, "module '%s' has no '%s'; it has %s", p->module, p->text,
               granted);
    object_unref(p);
    return NULL;
}

bool gm_privilege_revoke(GmEntry *entry, strList *texts, Error **errp)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    unsigned i;

    for (; texts; texts = texts->next) {
        GmPrivilege *p = gm_find_grant(entry, texts->value, errp);

        if (!p) {
            return false;
        }
        if (!g_ptr_array_find(list, p, NULL)) {
            g_ptr_array_add(list, p);
        }
    }
    for (i = 0; i < list->len; i++) {
        if (!gm_lower(list->pdata[i], errp)) {
            gm_undo(list, i, gm_raise);
            return false;
        }
    }
    for (i = 0; i < list->len; i++) {
        g_ptr_array_remove(entry->grants, list->pdata[i]);
    }
    return true;
}

bool gm_privilege_sealed(GmEntry *entry, Error **errp)
{
    unsigned i;

    for (i = 0; i < entry->grants->len; i++) {
        GmPrivilege *p = entry->grants->pdata[i];
        GmPrivilegeClass *k = GM_PRIVILEGE_GET_CLASS(p);
        bool ok = true;

        p->seal = &entry->plan->seal;
        p->devices = entry->devices;
        if (k->per_seal) {
            ok = gm_raise(p, errp);
        } else if (k->sealed) {
            ok = k->sealed(p, errp);
            if (!ok) {
                error_prepend(errp, "'%s': ", p->text);
            }
        }
        if (!ok) {
            gm_privilege_unsealed(entry);
            return false;
        }
    }
    return true;
}

void gm_privilege_unsealed(GmEntry *entry)
{
    unsigned i;

    for (i = 0; i < entry->grants->len; i++) {
        GmPrivilege *p = entry->grants->pdata[i];

        if (GM_PRIVILEGE_GET_CLASS(p)->per_seal) {
            p->raised = false;
        } else if (GM_PRIVILEGE_GET_CLASS(p)->unsealed) {
            GM_PRIVILEGE_GET_CLASS(p)->unsealed(p);
        }
        p->seal = NULL;
        p->devices = NULL;
    }
}

void gm_privilege_drop_all(GmEntry *entry)
{
    gm_undo(entry->grants, entry->grants->len, gm_lower);
    g_ptr_array_set_size(entry->grants, 0);
}

void gm_privilege_lost(GmPrivilege *p, const char *why)
{
    GmState *s = gm_state();
    unsigned i;

    p->raised = false;
    for (i = 0; s && i < s->entries->len; i++) {
        GmEntry *entry = s->entries->pdata[i];

        if (g_ptr_array_find(entry->grants, p, NULL)) {
            gm_audit(GM_AUDIT_REVOKED, &(GmAudit) {
                     .module = p->module, .id = entry->image->id,
                     .grants = p->text, .reason = why });
            g_ptr_array_remove(entry->grants, p);
            return;
        }
    }
}

/* --- accesses ------------------------------------------------------------- */

bool gm_privilege_access(uint32_t view, GmAccess access, hwaddr addr,
                         MemTxAttrs attrs, uint8_t *data, unsigned len,
                         unsigned count, bool is_write)
{
    GmEntry *entry;
    unsigned i, n;

    BQL_LOCK_GUARD();
    entry = gm_state() ? gm_find_seal(gm_state(), view) : NULL;
    for (i = 0; entry && i < entry->grants->len; i++) {
        GmPrivilege *p = entry->grants->pdata[i];
        GmPrivilegeClass *k = GM_PRIVILEGE_GET_CLASS(p);
        AddressSpace *as;
        hwaddr offset;

        if (!p->raised || !k->find ||
            !k->find(p, access, addr, len, &as, &offset)) {
            continue;
        }
        /* A device may let go of the BQL, and the grant may go meanwhile. */
        object_ref(p);
        for (n = 0; n < count; n++) {
            if (!p->raised || !as) {
                memset(data + n * len, 0xff, is_write ? 0 : len);
                continue;
            }
            address_space_rw(as, offset, attrs, data + n * len, len, is_write);
        }
        object_unref(p);
        return true;
    }
    return false;
}

static void gm_privilege_finalize(Object *obj)
{
    GmPrivilege *p = GM_PRIVILEGE(obj);

    g_free(p->text);
    g_free(p->module);
}

static const TypeInfo gm_privilege_info = {
    .name = TYPE_GM_PRIVILEGE,
    .parent = TYPE_OBJECT,
    .abstract = true,
    .instance_size = sizeof(GmPrivilege),
    .instance_finalize = gm_privilege_finalize,
    .class_size = sizeof(GmPrivilegeClass),
};

static void gm_privilege_register_types(void)
{
    type_register_static(&gm_privilege_info);
}

type_init(gm_privilege_register_types)
