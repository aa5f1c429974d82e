/*
 * What can be registered, what can be withdrawn, and the record of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"

#define ID(digit) digit digit digit digit digit digit digit digit
#define IMAGE_ID ID("5a5a5a5a")

/* Nothing is registered then, and the record says so. */
static void refuse(const GmWanted *wanted, const char *why)
{
    g_autofree char *file = wanted->file && !wanted->fd
                            ? g_strdup_printf(" file=\"%s\"", wanted->file) : g_strdup("");
    g_autofree char *line = g_strdup_printf("info: guarded-modules: audit: refused "
                                            "request=\"register\"%s reason=\"%s\"", file, why);
    unsigned before = gm_state()->entries->len;
    Error *err = NULL;
    GmEntry *entry;

    machine_listen();
    entry = gm_register(wanted, &err);
    machine_expect_heard(line);
    machine_expect_error(err, why);
    g_assert(!entry);
    g_assert_cmpuint(gm_state()->entries->len, ==, before);
}

static void G_GNUC_PRINTF(2, 3) refuse_file(const char *file, const char *format, ...)
{
    g_autofree char *why = NULL;
    va_list ap;

    va_start(ap, format);
    why = g_strdup_vprintf(format, ap);
    va_end(ap);
    refuse(&(GmWanted) { .file = file }, why);
}

static void hangs(int signal)
{
    static const char text[] = "to open a FIFO hangs\n";

    _exit(write(STDOUT_FILENO, text, strlen(text)) ? 1 : 2);
}

static void test_files(void)
{
    const size_t large = gm_state()->window_size + 1;
    g_autofree uint8_t *zeroes = g_malloc0(large);
    g_autofree char *too_large = machine_write("large", zeroes, large);
    g_autofree char *fits = machine_write("fits", zeroes, large - 1);
    g_autofree char *fifo = g_build_filename(machine_folder, "fifo", NULL);
    sigset_t set;

    refuse(&(GmWanted) { }, "exactly one of 'file' and 'fd' must be given");
    refuse(&(GmWanted) { .file = machine_image, .fd = "f" },
           "exactly one of 'file' and 'fd' must be given");
    refuse_file("/nonexistent/x", "Could not open '/nonexistent/x': No such file or directory");
    refuse_file("/", "'/' is not a regular file");
    g_assert(!mkfifo(fifo, 0600));
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    signal(SIGALRM, hangs);
    alarm(10);
    refuse_file(fifo, "'%s' is not a regular file", fifo);
    alarm(0);
    refuse_file(too_large, "'%s' has 65537 bytes, the device's window 65536", too_large);
    refuse_file(fits, "cannot register '%s': not an ELF file", fits);
}

/* Files of sysfs say that they have a page, and do not. */
static void test_shorter(void)
{
    static const char file[] = "/sys/kernel/uevent_seqnum";

    if (access(file, R_OK)) {
        g_test_skip("there is no sysfs");
        return;
    }
    refuse_file(file, "cannot read '%s': it became shorter", file);
}

static void test_images(void)
{
    g_auto(GmTestImage) unsigned_one = { 0 };
    g_auto(GmTestImage) bad = { 0 };
    g_auto(GmTestImage) no_elf = { 0 };
    g_autofree char *plain = NULL, *lies = NULL, *text = NULL;

    gm_test_image_init(&unsigned_one);
    plain = machine_write("unsigned", unsigned_one.data, unsigned_one.size);
    refuse_file(plain, "cannot register '%s': not signed", plain);
    refuse_file(machine_unknown, "cannot register '%s': signed by an unknown key (issuer "
                "CN=other, serial 02); put its certificate into the keyring if you trust it, or "
                "sign with it included if its issuer is there", machine_unknown);
    gm_test_image_init(&bad);
    bad.m->version++;
    lies = machine_write_image(&bad, "bad");
    refuse_file(lies, "cannot register '%s': manifest version %u, this QEMU understands %u", lies,
                GM_MANIFEST_VERSION + 1, GM_MANIFEST_VERSION);
    gm_test_image_init(&no_elf);
    no_elf.data[0] = 0;
    text = machine_write_image(&no_elf, "no-elf");
    refuse_file(text, "cannot register '%s': not an ELF file", text);
}

/* A signer's word for one file is not for another. */
static void test_changed(void)
{
    g_autofree char *file = NULL, *changed = NULL;
    size_t size;

    g_assert(g_file_get_contents(machine_image, &file, &size, NULL));
    file[GM_TEST_TEXT] ^= 1;
    changed = machine_write("changed", file, size);
    refuse_file(changed, "cannot register '%s': the signature by signer does not match the "
                "contents: Public key signature verification has failed.", changed);
}

static void test_unique(void)
{
    g_auto(GmTestImage) named = { 0 };
    g_auto(GmTestImage) fourth = { 0 };
    g_autofree char *same_name = NULL, *one_more = NULL;

    gm_test_image_init(&named);
    memset(named.m->id, 0x22, sizeof(named.m->id));
    same_name = machine_write_image(&named, "same-name");
    gm_test_image_init(&fourth);
    memset(fourth.m->id, 0x33, sizeof(fourth.m->id));
    strcpy(fourth.m->name, "fourth");
    one_more = machine_write_image(&fourth, "fourth");

    machine_register(machine_image, NULL, &error_abort);
    refuse_file(machine_image, "module 'gmtest' (id 5a5a5a5a5a5a) is already registered, from "
                "'%s'", machine_image);
    refuse_file(same_name, "another image of module 'gmtest' (id 5a5a5a5a5a5a) is already "
                "registered, from '%s'", machine_image);
    machine_register(machine_greedy, NULL, &error_abort);
    machine_register(machine_plain, NULL, &error_abort);
    refuse_file(one_more, "no more than 3 modules can be registered; unregister one, or enlarge "
                "the property 'max-modules'");
    gm_unregister("plain", &error_abort);
    machine_register(one_more, NULL, &error_abort);
    machine_forget();
}

/* What cannot be granted is not registered either. */
static void test_with_grants(void)
{
    const char *const texts[] = { "pio=0x60", "pio=0x70", NULL };
    const char *const good[] = { "pio=0x60", "hostinfo", NULL };
    g_autoptr(strList) grants = machine_list(texts);
    g_autofree char *line = NULL, *wanted = NULL;
    Error *err = NULL;
    GmEntry *entry;

    machine_listen();
    g_assert(!gm_register(&(GmWanted) { .file = machine_image, .grants = grants }, &err));
    line = machine_heard();
    wanted = g_strdup_printf("qemu-system-x86_64: info: guarded-modules: audit: refused request="
                             "\"register\" file=\"%s\" grants=\"pio=0x60 pio=0x70\" reason=\"'pio"
                             "=0x70': module 'gmtest' does not ask for it; it asks for mmio=8086:"
                             "10d3, pio=0x60-0x64, msr=0x35, msr=0x198-0x199:rw, hostinfo\"\n",
                             machine_image);
    g_assert_cmpstr(line, ==, wanted);
    error_free(err);
    g_assert_cmpuint(gm_state()->entries->len, ==, 0);

    entry = machine_register(machine_image, good, &error_abort);
    g_assert_cmpuint(entry->grants->len, ==, 2);
    machine_forget();
}

static void test_policy(void)
{
    GmEntry *entry;

    gm_state()->policy = GM_VIOLATION_POLICY_QUARANTINE;
    entry = machine_register(machine_image, NULL, &error_abort);
    g_assert_cmpint(entry->policy, ==, GM_VIOLATION_POLICY_QUARANTINE);
    entry = gm_register(&(GmWanted) { .file = machine_plain, .has_policy = true,
                                      .policy = GM_VIOLATION_POLICY_STOP }, &error_abort);
    g_assert_cmpint(entry->policy, ==, GM_VIOLATION_POLICY_STOP);
    gm_state()->policy = GM_VIOLATION_POLICY_INJECT;
    machine_forget();
}

static void refuse_unregister(const char *name, const char *why)
{
    g_autofree char *line = g_strdup_printf("info: guarded-modules: audit: refused request="
                                            "\"unregister\" module=\"%s\" reason=\"%s\"", name,
                                            why);
    unsigned before = gm_state()->entries->len;
    Error *err = NULL;
    bool ok;

    machine_listen();
    ok = gm_unregister(name, &err);
    machine_expect_heard(line);
    machine_expect_error(err, why);
    g_assert(!ok);
    g_assert_cmpuint(gm_state()->entries->len, ==, before);
}

static void test_unregister(void)
{
    refuse_unregister("nobody", "no module 'nobody' is registered");
    machine_register(machine_image, NULL, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    refuse_unregister(GM_TEST_NAME, "module 'gmtest' is sealed: the guest must unload it first");
    g_assert_cmpuint(fake_kvm.nr_unseals, ==, 0);

    /* It has unloaded it meanwhile, and KVM has told nobody yet. */
    machine_forget_events();
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_ENDED;
    gm_unregister(GM_TEST_NAME, &error_abort);
    machine_expect_event("unsealed gmtest seal 1 guest");
    machine_expect_event(NULL);
    g_assert_cmpuint(fake_kvm.nr_unseals, ==, 0);
    machine_forget();
}

/* A module that is quarantined can be withdrawn: that ends its seal. */
static void test_quarantined(void)
{
    machine_register(machine_image, NULL, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_QUARANTINED;
    machine_forget_events();

    fake_kvm.unseal = -EBUSY;
    refuse_unregister(GM_TEST_NAME, "module 'gmtest' cannot be unsealed: Device or resource busy");
    machine_expect_event(NULL);
    g_assert(gm_find_name(gm_state(), GM_TEST_NAME)->plan);
    fake_kvm.unseal = 0;
    gm_unregister(GM_TEST_NAME, &error_abort);
    machine_expect_event("unsealed gmtest seal 1 unregister");
    g_assert(!fake_kvm.seals[1].used);

    /* KVM does not have it any more. */
    machine_register(machine_image, NULL, &error_abort);
    g_assert_cmpint(machine_seal(MACHINE_IMAGE, 0), ==, 0);
    fake_kvm.seals[1].flags = KVM_GM_QUERY_F_QUARANTINED;
    machine_forget_events();
    fake_kvm.unseal = -ENOENT;
    gm_unregister(GM_TEST_NAME, &error_abort);
    machine_expect_event("unsealed gmtest seal 1 unregister");
    machine_forget();
}

/* Texts of others end no field, and no line. */
static void test_record(void)
{
    g_autofree char *strange = g_build_filename(machine_folder, "a\"b\nc", NULL);
    g_autofree char *line = NULL, *wanted = NULL, *grant = NULL;

    grant = g_strdup_printf("info: guarded-modules: audit: registered module=\"gmtest\" id=\""
                            IMAGE_ID "\" file=\"%s\" signer=\"signer\" grants=\"hostinfo\"",
                            machine_image);
    machine_listen();
    machine_register(machine_image, (const char *[]) { "hostinfo", NULL }, &error_abort);
    machine_expect_heard(grant);
    machine_listen();
    machine_grant(GM_TEST_NAME, "msr=0x35", &error_abort);
    line = machine_heard();
    g_assert(strstr(line, "audit: granted module=\"gmtest\" id=\"" IMAGE_ID "\""));
    g_assert(g_str_has_suffix(line, " grants=\"msr=0x35\"\n"));
    g_clear_pointer(&line, g_free);
    machine_listen();
    machine_revoke(GM_TEST_NAME, "msr=0x35", &error_abort);
    line = machine_heard();
    g_assert(strstr(line, "audit: revoked module=\"gmtest\" id=\"" IMAGE_ID "\""));
    g_clear_pointer(&line, g_free);

    g_assert(!rename(machine_plain, strange));
    machine_listen();
    machine_register(strange, NULL, &error_abort);
    line = machine_heard();
    wanted = g_strdup_printf("file=\"%s/a\\x22b\\x0ac\" signer=\"signer\"\n", machine_folder);
    g_assert(g_str_has_suffix(line, wanted));
    g_assert(!rename(strange, machine_plain));
    g_clear_pointer(&line, g_free);

    machine_listen();
    errno = ENOTTY;
    gm_unregister("plain", &error_abort);
    g_assert_cmpint(errno, ==, ENOTTY);
    line = machine_heard();
    g_assert(strstr(line, "audit: unregistered module=\"plain\" id=\"" ID("7c7c7c7c") "\""));
    machine_forget();
}

void suite_register(void)
{
    machine_start("", NULL);
    g_test_add_func("/gm/register/files", test_files);
    g_test_add_func("/gm/register/shorter", test_shorter);
    g_test_add_func("/gm/register/images", test_images);
    g_test_add_func("/gm/register/changed", test_changed);
    g_test_add_func("/gm/register/unique", test_unique);
    g_test_add_func("/gm/register/with-grants", test_with_grants);
    g_test_add_func("/gm/register/policy", test_policy);
    g_test_add_func("/gm/register/unregister", test_unregister);
    g_test_add_func("/gm/register/quarantined", test_quarantined);
    g_test_add_func("/gm/register/record", test_record);
}
