/*
 * The calls to KVM: what it must have, and whose an access is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"
#include "qapi/qapi-commands-misc.h"
#include "kvm.h"

static void refuse(const char *why)
{
    Error *err = NULL;
    bool ok = gm_kvm_enable(&err);

    machine_expect_error(err, why);
    g_assert(!ok && !gm_kvm_enabled());
    g_assert(!fake_kvm.enabled);
}

static bool read_port(uint8_t *value)
{
    MachineAccess a = { .view = 1, .addr = 0x64, .size = 1, .count = 1 };
    bool handled = machine_access_ports(&a);

    *value = a.data[0];
    return handled;
}

static bool read_memory(void)
{
    return machine_access_memory(&(MachineAccess) { .view = 1, .own_pages = true,
                                                    .addr = MACHINE_NIC_BAR, .size = 4 });
}

static void test_enable(void)
{
    fake_kvm.version = 0;
    refuse("this host's KVM does not support guarded modules");
    fake_kvm.version = -EINVAL;
    refuse("this host's KVM does not support guarded modules");
    fake_kvm.version = 10 * KVM_GM_API_VERSION + 1;
    refuse("this host's KVM has version " stringify(KVM_GM_API_VERSION) "1 of the guarded modules "
           "interface, this QEMU needs " stringify(KVM_GM_API_VERSION));
    fake_kvm.version = KVM_GM_API_VERSION;
    fake_kvm.enable = -EBUSY;
    refuse("KVM cannot enable guarded modules: Device or resource busy");
    fake_kvm.enable = 0;

    /* A KVM that has not been asked means something else by these bits. */
    g_assert(!gm_kvm_enabled());
    gm_kvm_enable(&error_abort);
    g_assert(gm_kvm_enabled() && fake_kvm.enabled);
}

/* This comes first: KVM has not been asked. */
static void test_not_enabled(void)
{
    const char *const grants[] = { "pio=0x60-0x64", "mmio=nic0", NULL };
    g_autofree char *info = NULL;
    uint8_t value;

    machine_register(machine_image, grants, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    g_assert(!read_port(&value));
    g_assert(!read_memory());
    info = qmp_human_monitor_command("info gm", false, 0, &error_abort);
    g_assert(strstr(info, "sealing: not possible without KVM\r\n"));
    fake_kvm.nr_unseals = 0;
    gm_machine_reset(gm_state());
    g_assert_cmpuint(fake_kvm.nr_unseals, ==, 1);
    machine_forget();
}

static void test_access(void)
{
    uint8_t value = 0;

    machine_register(machine_image, (const char *[]) { "pio=0x60-0x64", NULL }, &error_abort);
    g_assert(!read_port(&value));
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    g_assert(read_port(&value));
    g_assert_cmphex(value, !=, 0xff);
    machine_forget();
}

static void test_translate(void)
{
    uint64_t gpa = 0;

    fake_kvm.nr_mapped = 1;
    fake_kvm.maps[0].va = GM_TEST_MODULE;
    fake_kvm.maps[0].gpa = 0x5000;
    fake_kvm.maps[0].valid = true;
    g_assert(gm_kvm_translate(first_cpu, GM_TEST_MODULE, &gpa));
    g_assert_cmphex(gpa, ==, 0x5000);
    fake_kvm.maps[0].valid = false;
    g_assert(!gm_kvm_translate(first_cpu, GM_TEST_MODULE, &gpa));
    fake_kvm.maps[0].valid = true;
    fake_kvm.translate = -EFAULT;
    g_assert(!gm_kvm_translate(first_cpu, GM_TEST_MODULE, &gpa));
    fake_kvm_reset();
}

/* A signal is no reason to have a device's pages lead nowhere. */
static void test_interrupted(void)
{
    machine_register(machine_image, (const char *[]) { "mmio=nic0", NULL }, &error_abort);
    fake_kvm.map_interrupted = 3;
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    g_assert_cmpuint(fake_kvm.map_interrupted, ==, 0);
    g_assert_cmpuint(fake_kvm.seals[1].ranges[0].nr_pages, ==, 32);
    machine_forget();
}

void suite_kvm(void)
{
    g_autofree char *device = NULL;

    machine_prepare();
    device = g_strdup_printf("guarded-modules,keyring=%s", machine_keyring);
    machine_start(NULL, (const char *[]) { "-device", device, NULL });
    g_test_add_func("/gm/kvm/not-enabled", test_not_enabled);
    g_test_add_func("/gm/kvm/enable", test_enable);
    g_test_add_func("/gm/kvm/access", test_access);
    g_test_add_func("/gm/kvm/translate", test_translate);
    g_test_add_func("/gm/kvm/interrupted", test_interrupted);
}
