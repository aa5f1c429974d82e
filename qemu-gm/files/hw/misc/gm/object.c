/*
 * Guarded modules: images that the command line registers.
 *
 *   -object guarded-module,id=ID,file=FILE,grants=mmio=nic0,grants=mwait
 *
 * The object registers its image once all devices exist, or at once if it is
 * added later. A virtual machine whose image cannot be registered does not start.
 * Deleting the object withdraws the module.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/coroutine.h"
#include "qemu/error-report.h"
#include "qemu/notify.h"
#include "qapi/error.h"
#include "qapi/qapi-builtin-visit.h"
#include "block/aio-wait.h"
#include "hw/qdev-core.h"
#include "qom/object_interfaces.h"
#include "system/system.h"
#include "state.h"

#define TYPE_GUARDED_MODULE "guarded-module"
OBJECT_DECLARE_SIMPLE_TYPE(GmObject, GUARDED_MODULE)

struct GmObject {
    Object parent_obj;

    char *file;
    strList *grants;
    bool has_policy;
    GmViolationPolicy policy;

    bool complete;
    Notifier machine_ready;
};

typedef struct GmRegisterCo {
    GmWanted wanted;
    Error *err;
    bool done;
} GmRegisterCo;

/* What this object has registered, unless a monitor has withdrawn it. */
static GmEntry *gm_object_entry(const GmObject *o)
{
    GmState *s = gm_state();
    unsigned i;

    for (i = 0; s && i < s->entries->len; i++) {
        GmEntry *entry = s->entries->pdata[i];

        if (entry->object == o) {
            return entry;
        }
    }
    return NULL;
}

static void coroutine_fn gm_object_register_co(void *opaque)
{
    GmRegisterCo *co = opaque;

    gm_register(&co->wanted, &co->err);
    co->done = true;
    aio_wait_kick();
}

static bool gm_object_register(GmObject *o, Error **errp)
{
    GmRegisterCo co = {
        .wanted = {
            .file = o->file,
            .has_policy = o->has_policy,
            .policy = o->policy,
            .grants = o->grants,
            .object = o,
        },
    };

    aio_co_enter(qemu_get_aio_context(),
                 qemu_coroutine_create(gm_object_register_co, &co));
    AIO_WAIT_WHILE_UNLOCKED(NULL, !co.done);
    error_propagate(errp, co.err);
    return !co.err;
}

static void gm_object_machine_ready(Notifier *notifier, void *data)
{
    GmObject *o = container_of(notifier, GmObject, machine_ready);
    Error *err = NULL;

    if (!gm_object_register(o, &err)) {
        error_reportf_err(err, "object '%s': ",
                          object_get_canonical_path_component(OBJECT(o)));
        exit(EXIT_FAILURE);
    }
}

static void gm_object_complete(UserCreatable *uc, Error **errp)
{
    GmObject *o = GUARDED_MODULE(uc);

    if (!o->file) {
        error_setg(errp, "property 'file' is missing: the guarded image");
        return;
    }
    o->complete = true;
    if (phase_check(PHASE_MACHINE_READY)) {
        gm_object_register(o, errp);
        return;
    }
    o->machine_ready.notify = gm_object_machine_ready;
    qemu_add_machine_init_done_notifier(&o->machine_ready);
}

static bool gm_object_can_be_deleted(UserCreatable *uc)
{
    GmEntry *entry = gm_object_entry(GUARDED_MODULE(uc));

    if (entry) {
        gm_entry_refresh(entry);
    }
    return !entry || entry->state != GM_MODULE_STATE_SEALED;
}

static void gm_object_finalize(Object *obj)
{
    GmObject *o = GUARDED_MODULE(obj);
    GmEntry *entry = gm_object_entry(o);

    if (o->machine_ready.notify) {
        qemu_remove_machine_init_done_notifier(&o->machine_ready);
    }
    if (entry) {
        entry->object = NULL;
        gm_entry_refresh(entry);
        /* Sealed: QEMU ends, and all goes. */
        if (entry->state != GM_MODULE_STATE_SEALED) {
            g_autofree char *name = g_strdup(gm_entry_name(entry));
            Error *err = NULL;

            if (!gm_unregister(name, &err)) {
                error_report_err(err);
            }
        }
    }
    g_free(o->file);
    qapi_free_strList(o->grants);
}

/* What it registers cannot change afterwards. */
static bool gm_object_may_set(const GmObject *o, Error **errp)
{
    if (o->complete) {
        error_setg(errp, "a guarded module's properties cannot be changed; "
                   "delete the object and add another one");
    }
    return !o->complete;
}

static char *gm_object_get_file(Object *obj, Error **errp)
{
    return g_strdup(GUARDED_MODULE(obj)->file);
}

static void gm_object_set_file(Object *obj, const char *value, Error **errp)
{
    GmObject *o = GUARDED_MODULE(obj);

    if (gm_object_may_set(o, errp)) {
        g_free(o->file);
        o->file = g_strdup(value);
    }
}

static void gm_object_get_grants(Object *obj, Visitor *v, const char *name,
                                 void *opaque, Error **errp)
{
    visit_type_strList(v, name, &GUARDED_MODULE(obj)->grants, errp);
}

static void gm_object_set_grants(Object *obj, Visitor *v, const char *name,
                                 void *opaque, Error **errp)
{
    GmObject *o = GUARDED_MODULE(obj);
    strList *grants;

    if (gm_object_may_set(o, errp) &&
        visit_type_strList(v, name, &grants, errp)) {
        qapi_free_strList(o->grants);
        o->grants = grants;
    }
}

static int gm_object_get_policy(Object *obj, Error **errp)
{
    return GUARDED_MODULE(obj)->policy;
}

static void gm_object_set_policy(Object *obj, int value, Error **errp)
{
    GmObject *o = GUARDED_MODULE(obj);

    if (gm_object_may_set(o, errp)) {
        o->policy = value;
        o->has_policy = true;
    }
}

static void gm_object_class_init(ObjectClass *oc, void *data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    ucc->complete = gm_object_complete;
    ucc->can_be_deleted = gm_object_can_be_deleted;

    object_class_property_add_str(oc, "file", gm_object_get_file,
                                  gm_object_set_file);
    object_class_property_set_description(oc, "file", "Guarded image");
    object_class_property_add(oc, "grants", "strList", gm_object_get_grants,
                              gm_object_set_grants, NULL, NULL);
    object_class_property_set_description(oc, "grants",
                                          "Privileges to grant");
    object_class_property_add_enum(oc, "policy", "GmViolationPolicy",
                                   &GmViolationPolicy_lookup,
                                   gm_object_get_policy, gm_object_set_policy);
    object_class_property_set_description(oc, "policy",
        "What follows a violation (default: that of the device)");
}

static const TypeInfo gm_object_info = {
    .name = TYPE_GUARDED_MODULE,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(GmObject),
    .instance_finalize = gm_object_finalize,
    .class_init = gm_object_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_USER_CREATABLE },
        { }
    },
};

static void gm_object_register_types(void)
{
    type_register_static(&gm_object_info);
}

type_init(gm_object_register_types)
