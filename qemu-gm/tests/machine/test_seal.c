/*
 * A guest that asks for a seal: what it is believed, and what it is told.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"
#include "qemu/rcu.h"

#define NOWHERE 0x80000000ULL   /* nothing is there */
#define ROM     0xffff0000ULL   /* the firmware's */
#define OWN     0x90000000ULL   /* regions of the test */

static void trust_again(void)
{
    gm_state()->warn_count = 0;
}

/* Nothing is sealed then; the guest gets @ret, the administrator @why. */
static void refuse_at(uint64_t va, int64_t ret, const char *why)
{
    g_autofree char *line = g_strdup_printf("warning: guarded-modules: seal refused: %s", why);
    uint64_t refused = gm_state()->seals_refused;
    int64_t got;

    trust_again();
    machine_listen();
    got = machine_seal_at(va);
    machine_expect_heard(line);
    g_assert_cmpint(got, ==, ret);
    machine_expect_event(NULL);
    g_assert_cmpuint(gm_state()->seals_refused, ==, refused + 1);
}

static void refuse(const MachineAnchors *a, int64_t ret, const char *why)
{
    machine_write_anchors(a, MACHINE_ANCHORS);
    refuse_at(MACHINE_ANCHORS, ret, why);
}

static void start(void)
{
    machine_register(machine_image, NULL, &error_abort);
    machine_register(machine_greedy, NULL, &error_abort);
    machine_forget_events();
}

static void end(void)
{
    machine_forget();
    machine_forget_events();
}

static void test_sealed(void)
{
    GmEntry *entry;

    start();
    entry = gm_find_name(gm_state(), GM_TEST_NAME);
    entry->policy = GM_VIOLATION_POLICY_STOP;
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    machine_expect_event("sealed gmtest id 5a5a5a5a5a5a seal 1 pages 84 cpu 0");
    machine_expect_event(NULL);
    g_assert_cmpuint(fake_kvm.nr_seals, ==, 1);
    g_assert_cmpuint(fake_kvm.last.policy, ==, KVM_GM_POLICY_STOP);
    g_assert_cmpint(entry->state, ==, GM_MODULE_STATE_SEALED);
    g_assert_cmpuint(entry->plan->seal.id, ==, 1);
    g_assert(gm_find_seal(gm_state(), 1) == entry);
    g_assert(!gm_find_seal(gm_state(), 0));
    refuse_at(MACHINE_ANCHORS, -EBUSY, "module 'gmtest' is sealed already");
    end();
}

static void test_head(void)
{
    MachineAnchors a;

    start();
    machine_anchors(&a, MACHINE_IMAGE, 0);
    a.magic[7] ^= 1;
    refuse(&a, -EINVAL, "there are no anchors at 0xffffffffc1000000");
    machine_anchors(&a, MACHINE_IMAGE, 0);
    a.id[GM_ID_LEN - 1] ^= 1;
    refuse(&a, -ENOENT, "no image with id 5a5a5a5a5a5a is registered");
    machine_anchors(&a, MACHINE_IMAGE, 0);
    a.count++;
    refuse(&a, -EINVAL, "module 'gmtest': 10 anchors, its image has 9");
    a.count -= 2;
    refuse(&a, -EINVAL, "module 'gmtest': 8 anchors, its image has 9");
    machine_anchors(&a, MACHINE_IMAGE, 0);
    a.reserved = 1;
    refuse(&a, -EINVAL, "module 'gmtest': 9 anchors, its image has 9");
    machine_anchors(&a, MACHINE_IMAGE, 0);
    a.values[GM_TEST_A_TEXT] += 0x10;
    refuse(&a, -EINVAL, "module 'gmtest': region .text at 0xffffffffc0100010 is not page-aligned "
           "where Linux has modules");
    g_assert_cmpuint(fake_kvm.nr_seals, ==, 0);
    end();
}

/* The page of @va is at @gpa of the guest. */
static void map(uint64_t va, uint64_t gpa)
{
    fake_kvm.maps[0].va = va;
    fake_kvm.maps[0].gpa = gpa;
    fake_kvm.maps[0].valid = true;
    fake_kvm.nr_mapped = 1;
}

static void refuse_page(uint64_t gpa)
{
    MachineAnchors a;

    machine_anchors(&a, MACHINE_IMAGE, 0);
    machine_write_anchors(&a, MACHINE_ANCHORS);
    map(MACHINE_ANCHORS, gpa);
    refuse_at(MACHINE_ANCHORS, -EFAULT, "0xffffffffc1000000 cannot be read");
    map(GM_TEST_MODULE, gpa);
    refuse_at(MACHINE_ANCHORS, -EFAULT, "module 'gmtest': page 0xffffffffc0100000 of .text is "
              "not mapped to RAM");
    fake_kvm.nr_mapped = 0;
}

/* Only the guest's own memory, of which nobody else has the contents. */
static void test_pages(void)
{
    static uint8_t memory[GM_PAGE_SIZE] QEMU_ALIGNED(GM_PAGE_SIZE);
    static MemoryRegion ram, part, device;

    start();
    refuse_page(NOWHERE);
    refuse_page(MACHINE_NIC_BAR);
    refuse_page(ROM);
    refuse_page(0x1800);

    map(MACHINE_ANCHORS, 0);
    fake_kvm.maps[0].valid = false;
    refuse_at(MACHINE_ANCHORS, -EFAULT, "0xffffffffc1000000 cannot be read");
    fake_kvm.nr_mapped = 0;

    memory_region_init_ram(&ram, NULL, "gm-test-ram", GM_PAGE_SIZE, &error_abort);
    memory_region_init_alias(&part, NULL, "gm-test-part", &ram, 0, GM_PAGE_SIZE / 2);
    memory_region_add_subregion(get_system_memory(), OWN, &part);
    refuse_page(OWN);
    memory_region_del_subregion(get_system_memory(), &part);

    memory_region_init_ram_device_ptr(&device, NULL, "gm-test-device", GM_PAGE_SIZE, memory);
    memory_region_add_subregion(get_system_memory(), OWN, &device);
    refuse_page(OWN);
    memory_region_del_subregion(get_system_memory(), &device);
    object_unparent(OBJECT(&device));
    object_unparent(OBJECT(&part));
    object_unparent(OBJECT(&ram));
    drain_call_rcu();
    end();
}

static void test_range(void)
{
    const uint64_t edge = MACHINE_ANCHORS + GM_PAGE_SIZE - sizeof(struct gm_anchors);
    MachineAnchors a;

    start();
    refuse_at(UINT64_MAX - 8, -EFAULT, "0xfffffffffffffff7 cannot be read");
    machine_anchors(&a, MACHINE_IMAGE, 0);
    machine_write_anchors(&a, edge);
    map(MACHINE_ANCHORS + GM_PAGE_SIZE, NOWHERE);
    refuse_at(edge, -EFAULT, "module 'gmtest': its anchors cannot be read");
    map(MACHINE_ANCHORS + GM_PAGE_SIZE, fake_gpa(MACHINE_ANCHORS + GM_PAGE_SIZE));
    g_assert_cmpint(machine_seal_at(edge), ==, 0);
    end();
}

static void test_kvm_refuses(void)
{
    start();
    fake_kvm.seal = -EOPNOTSUPP;
    machine_seal(MACHINE_IMAGE, 0);
    refuse_at(MACHINE_ANCHORS, -EOPNOTSUPP, "module 'gmtest': the guest runs with 5-level paging\n"
              "Start its kernel with no5lvl.");
    fake_kvm.seal = -ENOMEM;
    refuse_at(MACHINE_ANCHORS, -ENOMEM, "module 'gmtest': KVM refused: Cannot allocate memory");
    g_assert(!gm_find_name(gm_state(), GM_TEST_NAME)->plan);
    end();
}

/* Two modules have no page in common; what has ended is in nobody's way. */
static void test_others(void)
{
    MachineAnchors a;

    start();
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    machine_expect_event("sealed gmtest id 5a5a5a5a5a5a seal 1 pages 84 cpu 0");
    machine_anchors(&a, MACHINE_GREEDY, 0);
    refuse(&a, -EINVAL, "module 'greedy': region .text at 0xffffffffc0100000 overlaps another "
           "sealed module");
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_ENDED;
    g_assert_cmpint(machine_seal_at(MACHINE_ANCHORS), ==, 0);
    machine_expect_event("unsealed gmtest seal 1 guest");
    machine_expect_event("sealed greedy id 6b6b6b6b6b6b seal 1 pages 84 cpu 0");
    end();
}

/* It has been unloaded, and is loaded again, before anybody has heard of that. */
static void test_again(void)
{
    start();
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    machine_forget_events();
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_ENDED;
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 3), ==, 0);
    machine_expect_event("unsealed gmtest seal 1 guest");
    machine_expect_event("sealed gmtest id 5a5a5a5a5a5a seal 1 pages 84 cpu 0");
    end();
}

/* KVM gives the number out anew: whoever had it is sealed no longer. */
static void test_same_number(void)
{
    start();
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    machine_forget_events();
    fake_kvm.force_id = 1;
    g_assert_cmpint(machine_seal(MACHINE_GREEDY, 2), ==, 0);
    machine_expect_event("unsealed gmtest seal 1 guest");
    machine_expect_event("sealed greedy id 6b6b6b6b6b6b seal 1 pages 84 cpu 0");
    g_assert_cmpint(gm_find_name(gm_state(), GM_TEST_NAME)->state, ==,
                    GM_MODULE_STATE_UNSEALED);
    end();
}

/* A quarantine does not end with the seal. */
static void test_quarantined(void)
{
    static const char why[] = "module 'gmtest' is quarantined\nTo trust it again, use "
                              "gm_unregister and gm_register.";

    start();
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    machine_forget_events();
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_QUARANTINED | KVM_GM_QUERY_F_ENDED;
    trust_again();
    machine_listen();
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, -EPERM);
    machine_expect_heard("warning: guarded-modules: seal refused: module 'gmtest' is quarantined"
                         "\nTo trust it again, use gm_unregister and gm_register.");
    machine_expect_event("unsealed gmtest seal 1 guest");
    g_assert_cmpint(gm_find_name(gm_state(), GM_TEST_NAME)->state, ==,
                    GM_MODULE_STATE_QUARANTINED);
    gm_machine_reset(gm_state());
    refuse_at(MACHINE_ANCHORS, -EPERM, why);
    g_assert_cmpuint(fake_kvm.nr_seals, ==, 1);

    gm_unregister(GM_TEST_NAME, &error_abort);
    machine_register(machine_image, NULL, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    end();
}

/* Without one of its privileges, it is not sealed. */
static void test_privilege(void)
{
    GmEntry *entry;

    start();
    machine_grant(GM_TEST_NAME, "hostinfo", &error_abort);
    machine_grant(GM_TEST_NAME, "msr=0x198", &error_abort);
    g_assert_cmpuint(fake_kvm.nr_grants, ==, 0);
    fake_kvm.grant = -ENXIO;
    machine_seal(MACHINE_IMAGE, 0);
    refuse_at(MACHINE_ANCHORS, -EPERM, "module 'gmtest': 'hostinfo': module 'gmtest' has no page "
              "for it");
    entry = gm_find_name(gm_state(), GM_TEST_NAME);
    g_assert(!entry->plan && !entry->devices);
    g_assert_cmpint(entry->state, ==, GM_MODULE_STATE_REGISTERED);
    g_assert(!fake_kvm.seals[1].used);
    g_assert_cmpuint(fake_kvm.nr_unseals, ==, 2);

    /* Nor does it keep the one that it had got: with that seal, KVM has forgotten it. */
    fake_kvm.grant_first = 1;
    refuse_at(MACHINE_ANCHORS, -EPERM, "module 'gmtest': 'msr=0x198': module 'gmtest' has no page "
              "for it");
    machine_revoke(GM_TEST_NAME, "hostinfo", &error_abort);
    g_assert_cmpuint(fake_kvm.nr_revokes, ==, 0);

    fake_kvm.grant = 0;
    machine_grant(GM_TEST_NAME, "hostinfo", &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    g_assert_cmpuint(fake_kvm.seals[1].nr_grants, ==, 2);
    g_assert_cmpuint(fake_kvm.seals[1].grants[0].first, ==, 0x198);
    g_assert_cmpuint(fake_kvm.seals[1].grants[1].kind, ==, KVM_GM_PRIV_HOSTINFO);
    end();
}

/* A guest cannot fill the log. */
static void test_log(void)
{
    g_autofree char *heard = NULL, *more = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned i;

    start();
    trust_again();
    machine_listen();
    for (i = 0; i < 30; i++) {
        machine_seal_at(MACHINE_ANCHORS + 0x100);
    }
    heard = machine_heard();
    lines = g_strsplit(heard, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 11);
    g_assert_cmpuint(gm_state()->seals_refused, ==, 30);

    gm_state()->warn_period_start -= 5000;
    machine_listen();
    machine_seal_at(MACHINE_ANCHORS + 0x100);
    machine_expect_heard("warning: guarded-modules: 20 messages suppressed\n"
                         "qemu-system-x86_64: warning: guarded-modules: seal refused: there are "
                         "no anchors at 0xffffffffc1000100");
    end();
}

void suite_seal(void)
{
    machine_start("", NULL);
    g_test_add_func("/gm/seal/sealed", test_sealed);
    g_test_add_func("/gm/seal/head", test_head);
    g_test_add_func("/gm/seal/pages", test_pages);
    g_test_add_func("/gm/seal/range", test_range);
    g_test_add_func("/gm/seal/kvm-refuses", test_kvm_refuses);
    g_test_add_func("/gm/seal/others", test_others);
    g_test_add_func("/gm/seal/again", test_again);
    g_test_add_func("/gm/seal/same-number", test_same_number);
    g_test_add_func("/gm/seal/quarantined", test_quarantined);
    g_test_add_func("/gm/seal/privilege", test_privilege);
    g_test_add_func("/gm/seal/log", test_log);
}
