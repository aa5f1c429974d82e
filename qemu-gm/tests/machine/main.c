/*
 * Tests in a whole QEMU: one program with all of them, of which the name that it is
 * called by chooses one: a QEMU starts once in a process.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"

#define PREFIX "test-machine-"

static const struct {
    const char *name;
    void (*start)(void);
} suites[] = {
    { "config", suite_config },
    { "device", suite_device },
    { "grant", suite_grant },
    { "kvm", suite_kvm },
    { "mmio", suite_mmio },
    { "monitor", suite_monitor },
    { "object", suite_object },
    { "pages", suite_pages },
    { "ports", suite_ports },
    { "realize", suite_realize },
    { "register", suite_register },
    { "seal", suite_seal },
    { "verifier", suite_verifier },
    { "violation", suite_violation },
};

int main(int argc, char **argv)
{
    g_autofree char *name = g_path_get_basename(argv[0]);
    unsigned i;
    int ret;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(suites); i++) {
        if (g_str_has_prefix(name, PREFIX) &&
            !strcmp(name + strlen(PREFIX), suites[i].name)) {
            suites[i].start();
            ret = g_test_run();
            machine_clean_up();
            return ret;
        }
    }
    fprintf(stderr, "no tests are called %s\n", name);
    return 2;
}
