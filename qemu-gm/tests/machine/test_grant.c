/*
 * Granting and revoking: what may be granted to whom, and what KVM is told.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"
#include "qemu/rcu.h"

#define ASKS "module 'gmtest' does not ask for it; it asks for mmio=8086:10d3, pio=0x60-0x64, " \
             "msr=0x35, msr=0x198-0x199:rw, hostinfo"

static void start(bool sealed)
{
    machine_register(machine_image, NULL, &error_abort);
    machine_register(machine_greedy, NULL, &error_abort);
    if (sealed) {
        g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
        g_assert_cmpint(machine_seal(MACHINE_GREEDY, 2), ==, 0);
    }
    machine_forget_events();
}

static char *granted(const char *name)
{
    g_autoptr(strList) list = gm_privilege_grants(gm_find_name(gm_state(), name));
    g_autoptr(GString) text = g_string_new(NULL);
    strList *i;

    for (i = list; i; i = i->next) {
        g_string_append_printf(text, "%s%s", text->len ? " " : "", i->value);
    }
    return g_strdup(text->str);
}

static void expect_granted(const char *name, const char *texts)
{
    g_autofree char *text = granted(name);

    g_assert_cmpstr(text, ==, texts);
}

typedef bool Command(const char *name, strList *grants, Error **errp);

/* @texts, with spaces between. Nothing changes, and the record says why. */
static void refuse(Command *command, const char *name, const char *texts, const char *why)
{
    g_auto(GStrv) words = g_strsplit(texts, " ", -1);
    g_autoptr(strList) list = machine_list((const char *const *)words);
    GmEntry *entry = gm_find_name(gm_state(), name);
    g_autofree char *before = entry ? granted(name) : NULL;
    g_autofree char *line = g_strdup_printf("info: guarded-modules: audit: refused request=\"%s\""
                                            " module=\"%s\" grants=\"%s\" reason=\"%s\"",
                                            command == gm_grant ? "grant" : "revoke", name,
                                            texts, why);
    Error *err = NULL;
    bool ok;

    machine_listen();
    ok = command(name, list, &err);
    machine_expect_heard(line);
    machine_expect_error(err, why);
    g_assert(!ok);
    if (before) {
        expect_granted(name, before);
    }
}

static bool do_all(Command *command, const char *name, const char *texts)
{
    g_auto(GStrv) words = g_strsplit(texts, " ", -1);
    g_autoptr(strList) list = machine_list((const char *const *)words);

    return command(name, list, &error_abort);
}

static void test_texts(void)
{
    start(false);
    refuse(gm_grant, "nobody", "hostinfo", "no module 'nobody' is registered");
    refuse(gm_grant, GM_TEST_NAME, "root", "there is no privilege 'root'; there are hostinfo, "
           "mmio, msr, mwait, pio");
    refuse(gm_grant, GM_TEST_NAME, "kvm", "there is no privilege 'kvm'; there are hostinfo, mmio, "
           "msr, mwait, pio");
    refuse(gm_grant, GM_TEST_NAME, "hostinfo=1", "'hostinfo=1': it takes no '='");
    refuse(gm_grant, GM_TEST_NAME, "pio", "'pio': a number or FIRST-LAST is missing behind '='");
    refuse(gm_grant, GM_TEST_NAME, "msr=all", "'msr=all': a number or FIRST-LAST is missing "
           "behind '='");
    refuse(gm_grant, GM_TEST_NAME, "pio=0x60-", "'pio=0x60-': '-' is not followed by a number");
    refuse(gm_grant, GM_TEST_NAME, "pio=0x64-0x60", "'pio=0x64-0x60': the last number is less "
           "than the first one");
    refuse(gm_grant, "greedy", "pio=0x10000", "'pio=0x10000': the largest number is 0xffff");
    refuse(gm_grant, "greedy", "pio=0x60:rw", "'pio=0x60:rw': ':rw' does not belong there");
    refuse(gm_grant, "greedy", "msr=0x100000000", "'msr=0x100000000': the largest number is "
           "0xffffffff");
    refuse(gm_grant, "greedy", "msr=0x198:w", "'msr=0x198:w': what can follow the registers is "
           "':rw', not ':w'");
    refuse(gm_grant, "greedy", "mwait=", "'mwait=': what follows '=' is a hint, such as 0x10");
    refuse(gm_grant, "greedy", "mwait=C1", "'mwait=C1': what follows '=' is a hint, such as 0x10");
    refuse(gm_grant, "greedy", "mwait=0x70", "'mwait=0x70': the largest hint is 0x6f");
    machine_forget();
}

/* Within what the image asks for, and no more. */
static void test_requested(void)
{
    start(false);
    refuse(gm_grant, GM_TEST_NAME, "mwait", "'mwait': " ASKS);
    refuse(gm_grant, GM_TEST_NAME, "pio=0x5f-0x60", "'pio=0x5f-0x60': " ASKS);
    refuse(gm_grant, GM_TEST_NAME, "pio=0x64-0x65", "'pio=0x64-0x65': " ASKS);
    refuse(gm_grant, GM_TEST_NAME, "msr=0x60", "'msr=0x60': " ASKS);
    refuse(gm_grant, GM_TEST_NAME, "msr=0x35:rw", "'msr=0x35:rw': " ASKS);
    refuse(gm_grant, GM_TEST_NAME, "msr=0x198 msr=0x34", "'msr=0x34': " ASKS);
    machine_register(machine_plain, NULL, &error_abort);
    refuse(gm_grant, "plain", "hostinfo", "'hostinfo': module 'plain' does not ask for it; it "
           "asks for nothing");
    do_all(gm_grant, GM_TEST_NAME, "pio=0x60-0x64 msr=0x35 msr=0x198-0x199:rw hostinfo");
    expect_granted(GM_TEST_NAME, "pio=0x60-0x64 msr=0x35 msr=0x198-0x199:rw hostinfo");
    machine_forget();
}

/* Nothing is granted twice; to two modules what they can both have. */
static void test_taken(void)
{
    start(false);
    refuse(gm_grant, GM_TEST_NAME, "msr=0x198-0x199 msr=0x199:rw", "'msr=0x199:rw': module "
           "'gmtest' has 'msr=0x198-0x199' already");
    do_all(gm_grant, GM_TEST_NAME, "hostinfo msr=0x35 pio=0x64");
    refuse(gm_grant, GM_TEST_NAME, "hostinfo", "'hostinfo': module 'gmtest' has 'hostinfo' "
           "already");
    do_all(gm_grant, "greedy", "hostinfo msr=0x34-0x36");
    refuse(gm_grant, "greedy", "msr=0x36-0x38", "'msr=0x36-0x38': module 'greedy' has "
           "'msr=0x34-0x36' already");
    refuse(gm_grant, "greedy", "msr=0x30-0x34", "'msr=0x30-0x34': module 'greedy' has "
           "'msr=0x34-0x36' already");
    refuse(gm_grant, "greedy", "pio=0x60-0x64", "'pio=0x60-0x64': module 'gmtest' has 'pio=0x64' "
           "already");
    do_all(gm_grant, "greedy", "pio=0x60 msr=0x37");
    expect_granted("greedy", "hostinfo msr=0x34-0x36 pio=0x60 msr=0x37");
    machine_forget();
}

static void expect_kvm(uint32_t id, uint32_t kind, uint32_t flags, uint64_t first, uint64_t last,
                       uint32_t limit)
{
    const struct kvm_gm_grant *g = &fake_kvm.last_grant;

    g_assert_cmpuint(g->id, ==, id);
    g_assert_cmpuint(g->generation, ==, fake_kvm.seals[id].generation);
    g_assert_cmpuint(g->kind, ==, kind);
    g_assert_cmpuint(g->flags, ==, flags);
    g_assert_cmphex(g->first, ==, first);
    g_assert_cmphex(g->last, ==, last);
    g_assert_cmphex(g->limit, ==, limit);
}

static void test_kvm(void)
{
    start(true);
    do_all(gm_grant, "greedy", "msr=0x198-0x199:rw");
    expect_kvm(2, KVM_GM_PRIV_MSR, KVM_GM_PRIV_F_WRITE, 0x198, 0x199, 0);
    do_all(gm_grant, "greedy", "msr=0x35");
    expect_kvm(2, KVM_GM_PRIV_MSR, 0, 0x35, 0x35, 0);
    do_all(gm_grant, "greedy", "mwait=0x20");
    expect_kvm(2, KVM_GM_PRIV_MWAIT, 0, 0, 0, 0x20);
    do_all(gm_grant, "greedy", "hostinfo");
    expect_kvm(2, KVM_GM_PRIV_HOSTINFO, 0, 0, 0, 0);
    expect_granted("greedy", "msr=0x198-0x199:rw msr=0x35 mwait=0x20 hostinfo");
    g_assert_cmpuint(fake_kvm.seals[2].nr_grants, ==, 4);
    g_assert_cmpuint(fake_kvm.seals[1].nr_grants, ==, 0);

    /* The word alone means the one that there can be. */
    do_all(gm_revoke, "greedy", "mwait msr=0x35");
    g_assert_cmpuint(fake_kvm.seals[2].nr_grants, ==, 2);
    expect_granted("greedy", "msr=0x198-0x199:rw hostinfo");
    machine_forget();
}

static void test_kvm_refuses(void)
{
    static const struct {
        int error;
        const char *grant;
        const char *why;
    } cases[] = {
        { -EPERM, "msr=0x35", "'msr=0x35': KVM lets no module have it" },
        { -EEXIST, "msr=0x35", "'msr=0x35': module 'greedy' has it, or a part of it, already" },
        { -E2BIG, "msr=0x35", "'msr=0x35': a sealed module can have 64 ranges, no more; those "
          "that were revoked count until it is unloaded" },
        { -ENXIO, "hostinfo", "'hostinfo': module 'greedy' has no page for it" },
        { -EOPNOTSUPP, "mwait", "'mwait': the CPU of this host does not have it" },
        { -EOPNOTSUPP, "mwait=0x20", "'mwait=0x20': the CPU of this host does not have it, or "
          "KVM's timers would stop in so deep a state; without '=' it may" },
        { -ENOENT, "msr=0x35", "'msr=0x35': module 'greedy' is not sealed any more" },
        { -ESTALE, "msr=0x35", "'msr=0x35': module 'greedy' is not sealed any more" },
        { -ENOMEM, "msr=0x35", "'msr=0x35': KVM refused: Cannot allocate memory" },
    };
    unsigned i;

    start(true);
    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        fake_kvm.grant = cases[i].error;
        refuse(gm_grant, "greedy", cases[i].grant, cases[i].why);
    }
    machine_forget();
}

static uint8_t keyboard(void)
{
    uint8_t value = 0;

    address_space_read(&address_space_io, 0x64, MEMTXATTRS_UNSPECIFIED, &value, 1);
    return value;
}

/* All that a command names, or nothing. */
static void test_all_or_nothing(void)
{
    start(true);
    fake_kvm.grant = -EPERM;
    refuse(gm_grant, GM_TEST_NAME, "pio=0x60-0x64 hostinfo", "'hostinfo': KVM lets no module have "
           "it");
    g_assert_cmphex(keyboard(), !=, 0xff);

    fake_kvm.grant = 0;
    do_all(gm_grant, GM_TEST_NAME, "pio=0x60-0x64 hostinfo msr=0x35");
    g_assert_cmphex(keyboard(), ==, 0xff);
    refuse(gm_revoke, GM_TEST_NAME, "pio=0x60-0x64 mwait", "module 'gmtest' has no 'mwait'; it has "
           "pio=0x60-0x64, hostinfo, msr=0x35");
    g_assert_cmphex(keyboard(), ==, 0xff);
    refuse(gm_revoke, GM_TEST_NAME, "msr=0x198", "module 'gmtest' has no 'msr=0x198'; it has "
           "pio=0x60-0x64, hostinfo, msr=0x35");
    refuse(gm_revoke, GM_TEST_NAME, "root", "there is no privilege 'root'; there are hostinfo, "
           "mmio, msr, mwait, pio");
    fake_kvm.revoke = -EBUSY;
    refuse(gm_revoke, GM_TEST_NAME, "pio=0x60-0x64 hostinfo", "'hostinfo': KVM did not revoke it: "
           "Device or resource busy");
    g_assert_cmphex(keyboard(), ==, 0xff);
    g_assert_cmpuint(fake_kvm.seals[1].nr_grants, ==, 2);
    fake_kvm.revoke = 0;
    do_all(gm_revoke, GM_TEST_NAME, "pio=0x60-0x64 hostinfo");
    g_assert_cmphex(keyboard(), !=, 0xff);
    expect_granted(GM_TEST_NAME, "msr=0x35");
    machine_forget();
}

/* What has been given and cannot be taken back is told. */
static void test_not_undone(void)
{
    g_autoptr(strList) grants = machine_list((const char *[]) { "hostinfo", "msr=0x35", NULL });
    Error *err = NULL;

    start(true);
    fake_kvm.grant = -EPERM;
    fake_kvm.grant_first = 1;
    fake_kvm.revoke = -EBUSY;
    machine_listen();
    g_assert(!gm_privilege_grant(gm_find_name(gm_state(), GM_TEST_NAME), grants, &err));
    machine_expect_heard("guarded-modules: 'hostinfo': KVM did not revoke it: Device or resource "
                         "busy");
    machine_expect_error(err, "'msr=0x35': KVM lets no module have it");
    expect_granted(GM_TEST_NAME, "");
    machine_forget();
}

/* What is named twice is revoked once, and if that fails given back once. */
static void test_twice(void)
{
    start(true);
    do_all(gm_grant, GM_TEST_NAME, "pio=0x60-0x64 hostinfo");
    fake_kvm.revoke = -EBUSY;
    refuse(gm_revoke, GM_TEST_NAME, "pio=0x60-0x64 pio=0x60-0x64 hostinfo", "'hostinfo': KVM did "
           "not revoke it: Device or resource busy");
    fake_kvm.revoke = 0;
    do_all(gm_revoke, GM_TEST_NAME, "hostinfo hostinfo");
    g_assert_cmpuint(fake_kvm.nr_revokes, ==, 2);
    machine_forget();
}

/* A seal that is over has taken KVM's part along. */
static void test_over(void)
{
    static const int gone[] = { -ENOENT, -ESTALE };
    unsigned i;

    for (i = 0; i < G_N_ELEMENTS(gone); i++) {
        start(true);
        do_all(gm_grant, GM_TEST_NAME, "hostinfo");
        fake_kvm.revoke = gone[i];
        do_all(gm_revoke, GM_TEST_NAME, "hostinfo");
        expect_granted(GM_TEST_NAME, "");
        machine_forget();
    }

    /* Raised anew with each seal; between them there is nothing to revoke. */
    start(true);
    do_all(gm_grant, GM_TEST_NAME, "hostinfo");
    gm_machine_reset(gm_state());
    g_assert_cmpuint(fake_kvm.nr_grants, ==, 1);
    do_all(gm_grant, GM_TEST_NAME, "msr=0x35");
    g_assert_cmpuint(fake_kvm.nr_grants, ==, 1);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    g_assert_cmpuint(fake_kvm.seals[1].nr_grants, ==, 2);
    gm_machine_reset(gm_state());
    do_all(gm_revoke, GM_TEST_NAME, "hostinfo msr=0x35");
    g_assert_cmpuint(fake_kvm.nr_revokes, ==, 0);
    machine_forget();
}

static void test_quarantined(void)
{
    start(true);
    do_all(gm_grant, GM_TEST_NAME, "hostinfo");
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_QUARANTINED;
    refuse(gm_grant, GM_TEST_NAME, "msr=0x35", "module 'gmtest' is quarantined");
    do_all(gm_revoke, GM_TEST_NAME, "hostinfo");
    machine_forget();
}

/* What a module had is free when it is withdrawn, whatever KVM says to that. */
static void test_dropped(void)
{
    start(false);
    do_all(gm_grant, GM_TEST_NAME, "pio=0x60-0x64");
    g_assert_cmphex(keyboard(), ==, 0xff);
    gm_unregister(GM_TEST_NAME, &error_abort);
    g_assert_cmphex(keyboard(), !=, 0xff);
    do_all(gm_grant, "greedy", "pio=0x60-0x64");
    machine_forget();
}

static bool called;

static void call(struct rcu_head *head)
{
    called = true;
}

/* As an I/O thread that has looked something up, and takes its time. */
static void *reader(void *begun)
{
    rcu_register_thread();
    rcu_read_lock();
    qemu_event_set(begun);
    g_usleep(200 * 1000);
    rcu_read_unlock();
    rcu_unregister_thread();
    return NULL;
}

/* No vCPU runs while something is being hidden; what was under way has ended after. */
static void test_alone(void)
{
    struct rcu_head head;
    QemuEvent begun;
    GThread *thread;

    start(true);
    g_assert(!first_cpu->stopped);
    do_all(gm_grant, GM_TEST_NAME, "mmio=nic0");
    g_assert_cmpuint(fake_kvm.nr_maps, >, 0);
    g_assert(!fake_kvm.mapped_while_running);
    g_assert(!first_cpu->stopped);

    qemu_event_init(&begun, false);
    thread = g_thread_new("reader", reader, &begun);
    qemu_event_wait(&begun);
    called = false;
    call_rcu1(&head, call);
    do_all(gm_grant, "greedy", "pio=0x60-0x64");
    g_assert(called);
    g_thread_join(thread);
    qemu_event_destroy(&begun);
    refuse(gm_grant, "greedy", "pio=0x60-0x64", "'pio=0x60-0x64': module 'greedy' has "
           "'pio=0x60-0x64' already");
    g_assert(!first_cpu->stopped);
    machine_forget();
}

void suite_grant(void)
{
    machine_start("", NULL);
    g_test_add_func("/gm/grant/texts", test_texts);
    g_test_add_func("/gm/grant/requested", test_requested);
    g_test_add_func("/gm/grant/taken", test_taken);
    g_test_add_func("/gm/grant/kvm", test_kvm);
    g_test_add_func("/gm/grant/kvm-refuses", test_kvm_refuses);
    g_test_add_func("/gm/grant/all-or-nothing", test_all_or_nothing);
    g_test_add_func("/gm/grant/not-undone", test_not_undone);
    g_test_add_func("/gm/grant/twice", test_twice);
    g_test_add_func("/gm/grant/over", test_over);
    g_test_add_func("/gm/grant/quarantined", test_quarantined);
    g_test_add_func("/gm/grant/dropped", test_dropped);
    g_test_add_func("/gm/grant/alone", test_alone);
}
