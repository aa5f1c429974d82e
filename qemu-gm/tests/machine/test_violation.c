/*
 * What KVM tells: violations, seals that have ended; and what a reset ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"
#include "qapi/qapi-commands-guarded-modules.h"
#include "system/runstate.h"

static GmEntry *entry;

static void start(void)
{
    entry = machine_register(machine_image, NULL, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    machine_forget_events();
    gm_state()->warn_count = 0;
}

static void end(void)
{
    machine_forget();
    machine_forget_events();
}

/* A violation of the module that is sealed first. */
static struct kvm_gm_exit violation(void)
{
    return (struct kvm_gm_exit) {
        .type = KVM_GM_EXIT_VIOLATION,
        .kind = KVM_GM_V_WRITE,
        .id = 1,
        .generation = entry->plan ? entry->plan->seal.generation : 0,
        .gate = 0,
        .rip = 0x1234,
        .addr = 0x5678,
        .gpa = 0x9000,
    };
}

static void test_told(void)
{
    struct kvm_gm_exit exit;

    start();
    exit = violation();
    machine_listen();
    gm_handle_exit(first_cpu, &exit);
    machine_expect_heard("warning: guarded-modules: violation #1: write at rip 0x1234, address "
                         "0x5678, module gmtest, gate _printk, gpa 0x9000, CPU 0");
    machine_expect_event("violation 1 write module gmtest gate _printk rip 0x1234 addr 0x5678 "
                         "gpa 0x9000 cpu 0 inject");
    exit.gpa = UINT64_MAX;
    exit.gate = entry->plan->seal.nr_gates;
    machine_listen();
    gm_handle_exit(first_cpu, &exit);
    machine_expect_heard("warning: guarded-modules: violation #2: write at rip 0x1234, address "
                         "0x5678, module gmtest, CPU 0");
    machine_expect_event("violation 2 write module gmtest gate - rip 0x1234 addr 0x5678 gpa none "
                         "cpu 0 inject");
    exit.gate = KVM_GM_NO_GATE;
    gm_handle_exit(first_cpu, &exit);
    machine_expect_event("violation 3 write module gmtest gate - rip 0x1234 addr 0x5678 gpa none "
                         "cpu 0 inject");
    g_assert_cmpuint(entry->violations[GM_VIOLATION_KIND_WRITE], ==, 3);
    g_assert_cmpuint(gm_state()->violations[GM_VIOLATION_KIND_WRITE], ==, 3);
    g_assert(runstate_is_running());
    end();
}

/* Not the module that has that number now. */
static void test_whose(void)
{
    struct kvm_gm_exit exit;

    start();
    exit = violation();
    exit.generation++;
    gm_handle_exit(first_cpu, &exit);
    machine_expect_event("violation 1 write module - gate - rip 0x1234 addr 0x5678 gpa 0x9000 "
                         "cpu 0 inject");
    exit = violation();
    exit.id = 2;
    gm_handle_exit(first_cpu, &exit);
    machine_expect_event("violation 2 write module - gate - rip 0x1234 addr 0x5678 gpa 0x9000 "
                         "cpu 0 inject");
    g_assert_cmpuint(entry->violations[GM_VIOLATION_KIND_WRITE], ==, 0);
    end();
}

static void refuse(struct kvm_gm_exit exit, const char *why)
{
    machine_listen();
    gm_handle_exit(first_cpu, &exit);
    machine_expect_heard(why);
    machine_expect_event(NULL);
    g_assert_cmpuint(gm_state()->violations_total, ==, 0);
}

/* A newer KVM may know more than this QEMU. */
static void test_unknown(void)
{
    struct kvm_gm_exit exit;

    start();
    exit = violation();
    exit.kind = 0;
    refuse(exit, "guarded-modules: KVM reports an unknown violation 0");
    exit.kind = KVM_GM_NR_VIOLATIONS;
    refuse(exit, "guarded-modules: KVM reports an unknown violation 16");
    exit = violation();
    exit.policy = GM_VIOLATION_POLICY__MAX;
    refuse(exit, "guarded-modules: KVM reports an unknown violation 2");
    exit = violation();
    exit.type = 9;
    refuse(exit, "guarded-modules: KVM reports an unknown exit 9");
    end();
}

static void test_policies(void)
{
    struct kvm_gm_exit exit;

    start();
    exit = violation();
    exit.policy = KVM_GM_POLICY_STOP;
    gm_handle_exit(first_cpu, &exit);
    g_assert(runstate_check(RUN_STATE_PAUSED));
    vm_start();
    machine_forget_events();

    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_QUARANTINED;
    exit = violation();
    exit.policy = KVM_GM_POLICY_QUARANTINE;
    gm_handle_exit(first_cpu, &exit);
    machine_expect_event("violation 2 write module gmtest gate _printk rip 0x1234 addr 0x5678 "
                         "gpa 0x9000 cpu 0 quarantine");
    g_assert(runstate_is_running());
    g_assert_cmpint(entry->state, ==, GM_MODULE_STATE_QUARANTINED);
    g_assert(entry->quarantined);
    end();
}

/* The newest ones can be asked for, as many as there is room for. */
static void test_last(void)
{
    struct kvm_gm_exit exit;
    GmViolationList *v;
    g_autoptr(GmInfo) info = NULL;
    unsigned n = 0;

    start();
    exit = violation();
    for (exit.rip = 1; exit.rip <= GM_LAST_VIOLATIONS + 5; exit.rip++) {
        gm_handle_exit(first_cpu, &exit);
    }
    info = qmp_query_gm(false, false, &error_abort);
    g_assert_cmpuint(info->violations_total, ==, GM_LAST_VIOLATIONS + 5);
    for (v = info->last_violations; v; v = v->next, n++) {
        g_assert_cmpuint(v->value->rip, ==, 6 + n);
        g_assert_cmpuint(v->value->count, ==, 6 + n);
    }
    g_assert_cmpuint(n, ==, GM_LAST_VIOLATIONS);
    end();
}

static void test_log(void)
{
    g_autofree char *heard = NULL;
    g_auto(GStrv) lines = NULL;
    struct kvm_gm_exit exit;
    unsigned i;

    start();
    exit = violation();
    machine_listen();
    for (i = 0; i < 30; i++) {
        gm_handle_exit(first_cpu, &exit);
    }
    heard = machine_heard();
    lines = g_strsplit(heard, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 11);
    end();
}

static void unsealed(uint32_t id)
{
    struct kvm_gm_exit exit = { .type = KVM_GM_EXIT_UNSEALED, .id = id };

    gm_handle_exit(first_cpu, &exit);
}

static void test_unsealed(void)
{
    start();
    /* Another one has the number already; or nobody has it. */
    unsealed(1);
    unsealed(2);
    machine_expect_event(NULL);
    g_assert_cmpint(entry->state, ==, GM_MODULE_STATE_SEALED);

    fake_kvm.seals[1].in_calls = 7;
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_ENDED;
    unsealed(1);
    machine_expect_event("unsealed gmtest seal 1 guest");
    machine_expect_event(NULL);
    g_assert_cmpint(entry->state, ==, GM_MODULE_STATE_UNSEALED);
    g_assert(!entry->plan && !entry->devices);
    g_assert_cmpuint(entry->crossings[KVM_GM_IN_CALL], ==, 7);
    g_assert_cmpuint(entry->query.crossings[KVM_GM_IN_CALL], ==, 0);

    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    machine_forget_events();
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_ENDED | KVM_GM_QUERY_F_KERNEL_ENDED;
    unsealed(1);
    machine_expect_event("unsealed gmtest seal 1 kexec");
    end();
}

/* Whoever asks about a module learns what has become of it. */
static void test_refresh(void)
{
    start();
    fake_kvm.query = -EINVAL;
    gm_entry_refresh(entry);
    g_assert_cmpint(entry->state, ==, GM_MODULE_STATE_SEALED);
    fake_kvm.query = 0;
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_QUARANTINED;
    gm_entry_refresh(entry);
    g_assert_cmpint(entry->state, ==, GM_MODULE_STATE_QUARANTINED);
    machine_expect_event(NULL);
    fake_kvm.query = -ENOENT;
    gm_entry_refresh(entry);
    machine_expect_event("unsealed gmtest seal 1 guest");
    g_assert_cmpint(entry->state, ==, GM_MODULE_STATE_QUARANTINED);
    end();
}

/* Of two that are registered, and one that nobody knows of. */
static void test_reset(void)
{
    start();
    machine_register(machine_plain, NULL, &error_abort);
    fake_kvm.seals[5].used = fake_kvm.seals[KVM_GM_MAX_SEALS].used = true;
    gm_machine_reset(gm_state());
    machine_expect_event("unsealed gmtest seal 1 reset");
    machine_expect_event(NULL);
    g_assert_cmpint(entry->state, ==, GM_MODULE_STATE_UNSEALED);
    g_assert(!fake_kvm.seals[1].used && !fake_kvm.seals[5].used &&
             !fake_kvm.seals[KVM_GM_MAX_SEALS].used);

    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    machine_forget_events();
    fake_kvm.unseal = -EIO;
    machine_listen();
    gm_machine_reset(gm_state());
    machine_expect_heard("guarded-modules: cannot unseal 'gmtest': Input/output error");
    machine_expect_event(NULL);
    g_assert(entry->plan);
    g_assert_cmpint(entry->state, ==, GM_MODULE_STATE_SEALED);
    end();
}

void suite_violation(void)
{
    machine_start("", NULL);
    g_test_add_func("/gm/violation/told", test_told);
    g_test_add_func("/gm/violation/whose", test_whose);
    g_test_add_func("/gm/violation/unknown", test_unknown);
    g_test_add_func("/gm/violation/policies", test_policies);
    g_test_add_func("/gm/violation/last", test_last);
    g_test_add_func("/gm/violation/log", test_log);
    g_test_add_func("/gm/violation/unsealed", test_unsealed);
    g_test_add_func("/gm/violation/refresh", test_refresh);
    g_test_add_func("/gm/violation/reset", test_reset);
}
