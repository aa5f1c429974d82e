/*
 * The device's properties, what it needs, and what is left when it goes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"
#include "hw/misc/gm/gm_device.h"
#include "hw/pci/pci_bus.h"
#include "hw/qdev-core.h"
#include "qapi/qapi-commands-guarded-modules.h"
#include "qapi/qapi-commands-migration.h"
#include "qemu/rcu.h"
#include "system/kvm.h"
#include "system/qtest.h"
#include "system/reset.h"
#include "system/system.h"

/* Add the device as the command line does; @properties: "NAME=VALUE,..." */
static DeviceState *add(const char *properties, Error **errp)
{
    g_auto(GStrv) words = g_strsplit(properties, ",", -1);
    DeviceState *dev = qdev_new(TYPE_GUARDED_MODULES);
    char **word;
    bool ok;

    for (word = words; *word; word++) {
        char *value = strchr(*word, '=');

        *value++ = '\0';
        object_property_parse(OBJECT(dev), *word, value, &error_abort);
    }
    dev->hotplugged = false;
    ok = qdev_realize(dev, BUS(pci_get_bus(machine_nic)), errp);
    object_unref(OBJECT(dev));
    return ok ? dev : NULL;
}

static DeviceState *add_good(void)
{
    g_autofree char *good = g_strdup_printf("keyring=%s", machine_keyring);

    return add(good, &error_abort);
}

/* As when the guest switches off its slot; then nothing of it is left. */
static void take_away(DeviceState *dev)
{
    object_unparent(OBJECT(dev));
    drain_call_rcu();
    g_assert(!gm_state());
}

static void refuse(const char *properties, const char *why)
{
    Error *err = NULL;
    DeviceState *dev = add(properties, &err);

    machine_expect_error(err, why);
    g_assert(!dev && !gm_state());
    drain_call_rcu();
}

/* The same, with a keyring. */
static void refuse_with(const char *properties, const char *why)
{
    g_autofree char *all = g_strdup_printf("keyring=%s,%s", machine_keyring, properties);

    refuse(all, why);
}

static void test_needs_kvm(void)
{
    qtest_allowed = false;
    refuse_with("max-modules=1", "guarded-modules needs KVM: use -accel kvm,guarded-modules=on");
    kvm_allowed = true;
    refuse_with("max-modules=1", "guarded-modules needs its support in KVM to be turned on: "
                "use -accel kvm,guarded-modules=on");
    kvm_allowed = false;
    qtest_allowed = true;
}

static void test_properties(void)
{
    static const char window[] = "property 'image-window' must be a power of two from 4 KiB "
                                 "to 1 GiB";
    static const char modules[] = "property 'max-modules' must be from 1 to 4096";
    static const char timeout[] = "property 'verifier-timeout' must be from 1 to 3600 seconds";

    refuse("max-modules=1", "property 'keyring' is missing: the certificates of those who may "
           "sign modules, or issue such certificates");
    refuse_with("image-window=12K", window);
    refuse_with("image-window=2K", window);
    refuse_with("image-window=2G", window);
    refuse_with("max-modules=0", modules);
    refuse_with("max-modules=4097", modules);
    refuse_with("verifier-timeout=0", timeout);
    refuse_with("verifier-timeout=3601", timeout);
    refuse_with("violation-policy=forgive", "property 'violation-policy' is 'forgive'; it can "
                "be inject, stop or quarantine");
}

static void test_files(void)
{
    g_autofree char *text = g_strdup_printf("property 'verifier' is '%s', which cannot be run: "
                                            "Permission denied", machine_keyring);
    g_autofree char *plain = g_strdup_printf("verifier=%s", machine_keyring);

    refuse_with("verifier=/nonexistent/gmcc", "property 'verifier' is '/nonexistent/gmcc', "
                "which cannot be run: No such file or directory");
    refuse_with(plain, text);
    refuse("keyring=/nonexistent/keys", "cannot read the keyring: Could not open "
           "'/nonexistent/keys': No such file or directory");
    if (!access("/sys/kernel/uevent_seqnum", R_OK)) {
        refuse("keyring=/sys/kernel/uevent_seqnum", "cannot read the keyring: "
               "'/sys/kernel/uevent_seqnum': it became shorter");
    }
    refuse_with("crl=/nonexistent/crl", "cannot read the revocation lists: Could not open "
                "'/nonexistent/crl': No such file or directory");
}

static void test_one_only(void)
{
    DeviceState *dev = add_good();
    Error *err = NULL;

    g_assert(gm_state() == GUARDED_MODULES(dev));
    g_assert(!add("max-modules=1", &err));
    machine_expect_error(err, "a virtual machine can have one guarded-modules device only");
    g_assert(gm_state() == GUARDED_MODULES(dev));
    take_away(dev);
}

static unsigned blocked(const char *why)
{
    g_autoptr(MigrationInfo) info = qmp_query_migrate(&error_abort);
    unsigned n = 0;
    strList *i;

    for (i = info->has_blocked_reasons ? info->blocked_reasons : NULL; i; i = i->next) {
        n += !strcmp(i->value, why);
    }
    return n;
}

static void test_migration(void)
{
    static const char why[] = "guarded modules cannot be migrated or saved: their pages and "
                              "activations live in KVM";
    DeviceState *dev = add_good();

    g_assert_cmpuint(blocked(why), ==, 1);
    take_away(dev);
    g_assert_cmpuint(blocked(why), ==, 0);

    only_migratable = 1;
    refuse_with("max-modules=1", "disallowing migration blocker (--only-migratable) for: "
                "guarded modules cannot be migrated or saved: their pages and activations live "
                "in KVM");
    only_migratable = 0;
}

/* The guest can switch off its slot at any time. */
static void test_goes(void)
{
    const char *const grants[] = { "mmio=nic0", "hostinfo", NULL };
    DeviceState *dev = add_good();
    uint32_t value = 0;

    machine_register(machine_image, grants, &error_abort);
    machine_register(machine_plain, NULL, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    machine_forget_events();
    address_space_read(&address_space_memory, MACHINE_NIC_BAR + 8, MEMTXATTRS_UNSPECIFIED,
                       &value, 4);
    g_assert_cmphex(value, ==, UINT32_MAX);

    take_away(dev);
    machine_expect_event("unsealed gmtest seal 1 reset");
    machine_expect_event(NULL);
    g_assert(!fake_kvm.seals[1].used);
    address_space_read(&address_space_memory, MACHINE_NIC_BAR + 8, MEMTXATTRS_UNSPECIFIED,
                       &value, 4);
    g_assert_cmphex(value, !=, UINT32_MAX);

    /* A reset must not find it; nor does an exit. */
    fake_kvm.nr_unseals = 0;
    qemu_devices_reset(RESET_TYPE_COLD);
    g_assert_cmpuint(fake_kvm.nr_unseals, ==, 0);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, -ENODEV);
}

/* Commands say so. */
static void test_none(void)
{
    static const char none[] = "this virtual machine has no guarded-modules device";
    Error *err = NULL;

    g_assert(!machine_register(machine_image, NULL, &err));
    machine_expect_error(g_steal_pointer(&err), none);
    g_assert(!gm_unregister("x", &err));
    machine_expect_error(g_steal_pointer(&err), none);
    g_assert(!machine_grant("x", "hostinfo", &err));
    machine_expect_error(g_steal_pointer(&err), none);
    g_assert(!machine_revoke("x", "hostinfo", &err));
    machine_expect_error(g_steal_pointer(&err), none);
    g_assert(!qmp_query_gm(false, false, &err));
    machine_expect_error(g_steal_pointer(&err), none);
}

void suite_realize(void)
{
    machine_start(NULL, NULL);
    g_test_add_func("/gm/realize/needs-kvm", test_needs_kvm);
    g_test_add_func("/gm/realize/none", test_none);
    g_test_add_func("/gm/realize/properties", test_properties);
    g_test_add_func("/gm/realize/files", test_files);
    g_test_add_func("/gm/realize/one-only", test_one_only);
    g_test_add_func("/gm/realize/migration", test_migration);
    g_test_add_func("/gm/realize/goes", test_goes);
}
