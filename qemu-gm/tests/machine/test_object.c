/*
 * Images that the command line registers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"
#include "qobject/qjson.h"
#include "qobject/qobject.h"
#include "qom/object_interfaces.h"
#include "qom/qom-qobject.h"

static Object *add(const char *file, Error **errp)
{
    return object_new_with_props("guarded-module", object_get_objects_root(), "m1", errp,
                                 "file", file, NULL);
}

static void refuse_delete(const char *id, const char *why)
{
    Error *err = NULL;
    bool ok = user_creatable_del(id, &err);

    machine_expect_error(err, why);
    g_assert(!ok);
}

/* What the command line says. */
static void test_start(void)
{
    GmEntry *entry = gm_find_name(gm_state(), GM_TEST_NAME);
    Object *o = object_resolve_path_component(object_get_objects_root(), "m0");
    QObject *grants;
    GString *text;

    g_assert(entry && o);
    g_assert(entry->object == o);
    grants = object_property_get_qobject(o, "grants", &error_abort);
    text = qobject_to_json(grants);
    g_assert_cmpstr(text->str, ==, "[\"hostinfo\", \"pio=0x60\"]");
    g_string_free(text, true);
    qobject_unref(grants);
    g_assert_cmpint(entry->policy, ==, GM_VIOLATION_POLICY_STOP);
    g_assert_cmpuint(entry->grants->len, ==, 2);
    user_creatable_del("m0", &error_abort);
    g_assert_cmpuint(gm_state()->entries->len, ==, 0);
}

static void test_refused(void)
{
    g_autofree char *why = g_strdup_printf("cannot register '%s': signed by an unknown key "
                                           "(issuer CN=other, serial 02); put its certificate "
                                           "into the keyring if you trust it, or sign with it "
                                           "included if its issuer is there", machine_unknown);
    Error *err = NULL;

    g_assert(!object_new_with_props("guarded-module", object_get_objects_root(), "m1", &err, NULL));
    machine_expect_error(g_steal_pointer(&err), "property 'file' is missing: the guarded image");
    g_assert(!add(machine_unknown, &err));
    machine_expect_error(err, why);
    g_assert_cmpuint(gm_state()->entries->len, ==, 0);
}

/* What has been registered cannot be changed behind its back. */
static void test_fixed(void)
{
    static const char why[] = "a guarded module's properties cannot be changed; delete the object "
                              "and add another one";
    Object *o = add(machine_image, &error_abort);
    g_autofree char *file = NULL;
    Error *err = NULL;

    g_assert(!object_property_set_str(o, "file", machine_greedy, &err));
    machine_expect_error(g_steal_pointer(&err), why);
    g_assert(!object_property_parse(o, "grants", "1", &err));
    machine_expect_error(g_steal_pointer(&err), why);
    g_assert(!object_property_set_str(o, "policy", "stop", &err));
    machine_expect_error(g_steal_pointer(&err), why);
    file = object_property_get_str(o, "file", &error_abort);
    g_assert_cmpstr(file, ==, machine_image);
    g_assert_cmpint(object_property_get_enum(o, "policy", "GmViolationPolicy", &error_abort), ==,
                    GM_VIOLATION_POLICY_INJECT);
    user_creatable_del("m1", &error_abort);
}

static void test_sealed(void)
{
    add(machine_image, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    refuse_delete("m1", "object 'm1' is in use, can not be deleted");
    g_assert_cmpuint(gm_state()->entries->len, ==, 1);

    /* The guest has unloaded it meanwhile. */
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_ENDED;
    user_creatable_del("m1", &error_abort);
    g_assert_cmpuint(gm_state()->entries->len, ==, 0);
    machine_forget();
}

/* QEMU ends while it is sealed: the module outlives its object. */
static void test_outlived(void)
{
    Object *o = add(machine_image, &error_abort);
    GmEntry *entry = gm_find_name(gm_state(), GM_TEST_NAME);

    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    machine_listen();
    object_unparent(o);
    machine_expect_heard("");
    g_assert_cmpuint(gm_state()->entries->len, ==, 1);
    g_assert(!entry->object);
    g_assert_cmpuint(fake_kvm.nr_unseals, ==, 0);
    machine_forget();
}

/* KVM keeps a quarantined module: it stays, and says so. */
static void test_kept(void)
{
    add(machine_image, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_QUARANTINED;
    fake_kvm.unseal = -EBUSY;
    machine_listen();
    user_creatable_del("m1", &error_abort);
    machine_expect_heard("info: guarded-modules: audit: refused request=\"unregister\" module=\""
                         "gmtest\" reason=\"module 'gmtest' cannot be unsealed: Device or resource "
                         "busy\"\nqemu-system-x86_64: module 'gmtest' cannot be unsealed: Device "
                         "or resource busy");
    g_assert_cmpuint(gm_state()->entries->len, ==, 1);
    machine_forget();
}

/* Withdrawn at the monitor, and registered there: not the object's. */
static void test_others(void)
{
    add(machine_image, &error_abort);
    gm_unregister(GM_TEST_NAME, &error_abort);
    machine_register(machine_image, NULL, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    user_creatable_del("m1", &error_abort);
    g_assert_cmpuint(gm_state()->entries->len, ==, 1);
    machine_forget();
}

/* A virtual machine whose image cannot be registered does not start. */
static void test_no_start(void)
{
    if (g_test_subprocess()) {
        g_autofree char *object = NULL;

        machine_prepare();
        atexit(machine_clean_up);
        object = g_strdup_printf("guarded-module,id=m0,file=%s", machine_unknown);
        machine_start("", (const char *[]) { "-object", object, NULL });
        machine_clean_up();
        _exit(0);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*object 'm0': cannot register*signed by an unknown key*");
}

void suite_object(void)
{
    g_test_add_func("/gm/object/no-start", test_no_start);
    g_test_add_func("/gm/object/start", test_start);
    g_test_add_func("/gm/object/refused", test_refused);
    g_test_add_func("/gm/object/fixed", test_fixed);
    g_test_add_func("/gm/object/sealed", test_sealed);
    g_test_add_func("/gm/object/outlived", test_outlived);
    g_test_add_func("/gm/object/kept", test_kept);
    g_test_add_func("/gm/object/others", test_others);
    if (!g_test_subprocess()) {
        g_autofree char *object = NULL;

        machine_prepare();
        object = g_strdup_printf("guarded-module,id=m0,file=%s,grants=hostinfo,grants=pio=0x60,"
                                 "policy=stop", machine_image);
        machine_start("", (const char *[]) { "-object", object, NULL });
    }
}
