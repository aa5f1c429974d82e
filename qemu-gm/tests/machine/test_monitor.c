/*
 * The monitor's commands: what they refuse, and what they tell.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"
#include "hw/misc/gm/hmp.h"
#include "qemu/readline.h"
#include "qapi/qapi-commands-guarded-modules.h"
#include "qapi/qapi-commands-misc.h"

/* Exactly that is its output. */
static void expect(const char *command, const char *text)
{
    g_autofree char *said = qmp_human_monitor_command(command, false, 0, &error_abort);
    g_auto(GStrv) lines = g_strsplit(said, "\r\n", -1);
    g_autofree char *plain = g_strjoinv("\n", lines);

    g_assert_cmpstr(plain, ==, text);
}

static void test_register(void)
{
    g_autofree char *command = g_strdup_printf("gm_register -p stop %s msr=0x35  pio=0x64",
                                               machine_image);
    g_autofree char *again = g_strdup_printf("gm_register %s", machine_image);
    g_autofree char *refused = g_strdup_printf("Error: module 'gmtest' (id 5a5a5a5a5a5a) is "
                                               "already registered, from '%s'\n", machine_image);
    g_autofree char *said = NULL;
    GmEntry *entry;

    expect("gm_register -p forgive x", "Error: invalid parameter value: forgive\n");
    expect("gm_register /nonexistent/x", "Error: Could not open '/nonexistent/x': No such file or "
           "directory\n");

    /* The record goes to standard error, whoever asks. */
    machine_listen();
    expect(command, "gmtest: id 5a5a5a5a5a5a, signed by signer, 84 pages, 8 gates\n");
    said = machine_heard();
    g_assert(strstr(said, "audit: registered module=\"gmtest\""));
    expect(again, refused);
    entry = gm_find_name(gm_state(), GM_TEST_NAME);
    g_assert_cmpint(entry->policy, ==, GM_VIOLATION_POLICY_STOP);
    g_assert_cmpuint(entry->grants->len, ==, 2);

    expect("gm_grant gmtest hostinfo msr=0x198", "");
    expect("gm_grant gmtest hostinfo", "Error: 'hostinfo': module 'gmtest' has 'hostinfo' "
           "already\n");
    expect("gm_revoke gmtest msr=0x35 pio=0x64", "");
    expect("gm_revoke gmtest mwait", "Error: module 'gmtest' has no 'mwait'; it has hostinfo, "
           "msr=0x198\n");
    expect("gm_unregister nobody", "Error: no module 'nobody' is registered\n");
    expect("gm_unregister gmtest", "");
    g_assert_cmpuint(gm_state()->entries->len, ==, 0);
}

static void test_qmp(void)
{
    g_autoptr(strList) grants = machine_list((const char *[]) { "hostinfo", NULL });
    g_autoptr(GmRegistration) info = NULL;
    Error *err = NULL;

    g_assert(!qmp_gm_register(NULL, NULL, false, NULL, false, 0, &err));
    machine_expect_error(g_steal_pointer(&err), "exactly one of 'file' and 'fd' must be given");
    info = qmp_gm_register(machine_image, NULL, true, grants, true,
                           GM_VIOLATION_POLICY_QUARANTINE, &error_abort);
    g_assert_cmpstr(info->name, ==, GM_TEST_NAME);
    g_assert_cmpstr(info->signer, ==, "signer");
    g_assert_cmpint(info->policy, ==, GM_VIOLATION_POLICY_QUARANTINE);
    g_assert_cmpstr(info->grants->value, ==, "hostinfo");
    qmp_gm_revoke(GM_TEST_NAME, grants, &error_abort);
    qmp_gm_grant(GM_TEST_NAME, grants, &error_abort);
    qmp_gm_unregister(GM_TEST_NAME, &error_abort);
    g_assert_cmpuint(gm_state()->entries->len, ==, 0);
}

static void test_info(void)
{
    struct kvm_gm_exit exit = {
        .type = KVM_GM_EXIT_VIOLATION, .kind = KVM_GM_V_WRITE, .id = 1, .rip = 0x10, .addr = 0x20,
        .gpa = 0x3000,
    };
    g_autofree char *wanted = NULL;
    g_autofree char *idle = NULL;
    GmEntry *entry;

    expect("info gm", "key: CN=signer\nno modules registered\nseals refused: 0\nviolations: 0 "
           "(none)\n");
    entry = machine_register(machine_image, (const char *[]) { "pio=0x64", "mmio=nic0",
                                                              "hostinfo", NULL }, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    fake_kvm.seals[1].in_calls = 3;
    fake_kvm.seals[1].lost = 2;
    exit.generation = entry->plan->seal.generation;
    gm_handle_exit(first_cpu, &exit);
    machine_nic->config_write(machine_nic, PCI_VENDOR_ID, 0, 2);

    wanted = g_strdup_printf(
        "key: CN=signer\n"
        "gmtest: sealed (seal 1), 84 pages, activations 0 of 4 (2 lost), gates 8\n"
        "  image:      id 5a5a5a5a5a5a, %s, signed by signer\n"
        "  crossings:  in-call 3, out-return 0, out-call 0, in-return 0, event-exit 0, resume 0\n"
        "  violations: write 1\n"
        "  policy:     inject\n"
        "  requests:   mmio=8086:10d3, pio=0x60-0x64, msr=0x35, msr=0x198-0x199:rw, hostinfo\n"
        "  grants:     pio=0x64, mmio=nic0, hostinfo\n"
        "  hidden:     pio=0x64: guest's reads 0, writes 0\n"
        "  hidden:     mmio=nic0: guest's reads 0, writes 0\n"
        "  refused:    mmio=nic0: guest's writes to configuration space 1\n"
        "  reached:    mmio=nic0: BAR 0 in 32 own pages, 0 without exits; BAR 1 where the guest "
        "maps it; BAR 2 by ports; BAR 3 in 4 own pages, 0 without exits\n"
        "  crossings by gate:\n"
        "               3 in-return         in_return\n"
        "               3 resume            resume\n"
        "               2 in-call           exit\n"
        "               2 in-call           xmit\n"
        "               1 in-call           init\n"
        "               1 out-return        out_return\n"
        "seals refused: 0\n"
        "violations: 1 (write 1)\n"
        "  #1 write: module gmtest, rip 0x10, address 0x20, gpa 0x3000, gate _printk, CPU 0\n",
        machine_image);
    expect("info gm -v", wanted);

    /* KVM has let go of it just now: no counts. */
    fake_kvm.counts = -ESTALE;
    g_free(wanted);
    wanted = qmp_human_monitor_command("info gm -v", false, 0, &error_abort);
    g_assert(!strstr(wanted, "by gate"));
    fake_kvm.counts = 0;

    /* It is over, and nobody has told yet. */
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_ENDED;
    idle = qmp_human_monitor_command("info gm -v", false, 0, &error_abort);
    g_assert(strstr(idle, "gmtest: unsealed, activations 0 of 4, gates 8\r\n"));
    g_assert(!strstr(idle, "reached:"));
    machine_forget();
}

static void complete(void (*finder)(ReadLineState *rs, int nb_args, const char *str), int nb_args,
                     const char *str, const char *wanted)
{
    g_autofree ReadLineState *rs = g_new0(ReadLineState, 1);
    g_autoptr(GString) text = g_string_new(NULL);
    int i;

    finder(rs, nb_args, str);
    for (i = 0; i < rs->nb_completions; i++) {
        g_string_append_printf(text, "%s%s", i ? " " : "", rs->completions[i]);
        g_free(rs->completions[i]);
    }
    g_assert_cmpstr(text->str, ==, wanted);
}

static void test_completion(void)
{
    machine_register(machine_image, (const char *[]) { "msr=0x35", NULL }, &error_abort);
    machine_register(machine_greedy, NULL, &error_abort);
    complete(gm_unregister_completion, 2, "", "gmtest greedy");
    complete(gm_unregister_completion, 2, "gm", "gmtest");
    complete(gm_unregister_completion, 3, "", "");
    complete(gm_grant_completion, 2, "gr", "greedy");
    complete(gm_grant_completion, 3, "mwa", "mwait");
    complete(gm_revoke_completion, 3, "m", "msr=0x35");
    machine_forget();
}

void suite_monitor(void)
{
    machine_start("", NULL);
    g_test_add_func("/gm/monitor/register", test_register);
    g_test_add_func("/gm/monitor/qmp", test_qmp);
    g_test_add_func("/gm/monitor/info", test_info);
    g_test_add_func("/gm/monitor/completion", test_completion);
}
