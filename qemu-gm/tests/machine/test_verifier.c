/*
 * The program that looks at images first: what it gets, and what becomes of its word.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "machine.h"
#include "suites.h"
#include "block/aio.h"
#include "qemu/coroutine.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "system/runstate.h"
#include "system/system.h"

static char *verifier;          /* a shell script; another one in each test */

typedef struct Registering {
    const char *file;
    GmEntry *entry;
    Error *err;
    bool done;
} Registering;

static void coroutine_fn register_co(void *opaque)
{
    Registering *r = opaque;

    r->entry = gm_register(&(GmWanted) { .file = r->file }, &r->err);
    r->done = true;
}

static void write_verifier(const char *script)
{
    g_autofree char *text = g_strdup_printf("#!/bin/sh\n%s\n", script);

    g_free(machine_write("verify", text, strlen(text)));
    g_assert(!chmod(verifier, 0700));
}

static void begin(Registering *r)
{
    *r = (Registering) { .file = machine_image };
    aio_co_enter(qemu_get_aio_context(), qemu_coroutine_create(register_co, r));
    g_assert(!r->done);
}

static void finish(Registering *r)
{
    while (!r->done) {
        aio_poll(qemu_get_aio_context(), true);
    }
}

/* With %s in @why for the verifier. */
static void refuse(const char *script, const char *format)
{
    g_auto(GStrv) parts = g_strsplit(format, "%s", 2);
    g_autofree char *why = g_strjoinv(verifier, parts);
    g_autofree char *text = g_strdup_printf("cannot register '%s': %s", machine_image, why);
    Registering r;

    write_verifier(script);
    begin(&r);
    finish(&r);
    machine_expect_error(r.err, text);
    g_assert(!r.entry);
    g_assert_cmpuint(gm_state()->entries->len, ==, 0);
}

static void test_accepts(void)
{
    g_autofree char *seen = g_build_filename(machine_folder, "seen", NULL);
    g_autofree char *script = g_strdup_printf("[ \"$*\" = 'verify -q /dev/stdin' ] && cat > %s",
                                              seen);
    g_autofree char *file = NULL, *copy = NULL;
    size_t size, copied;
    Registering r;

    write_verifier(script);
    begin(&r);
    finish(&r);
    g_assert(r.entry && !r.err);
    g_assert(g_file_get_contents(machine_image, &file, &size, NULL));
    g_assert(g_file_get_contents(seen, &copy, &copied, NULL));
    g_assert_cmpmem(file, size, copy, copied);
    machine_forget();
}

static void test_refuses(void)
{
    refuse("echo 'text+0x10: a call that no gate is for'; exit 1",
           "'%s verify' refuses it: text+0x10: a call that no gate is for");
    refuse("echo first >&2; echo second; exit 1", "'%s verify' refuses it: first");
    refuse("exit 1", "'%s verify' refuses it: it does not say why");
    refuse("printf 'a\\033[2Jb\\001\\n'; exit 1", "'%s verify' refuses it: a?[2Jb?");
    refuse("echo usage; exit 2", "'%s verify' failed with status 2: usage");
    refuse("kill -9 $$", "'%s verify' was ended by signal 9");
}

static void test_not_run(void)
{
    char *own = gm_state()->verifier;
    Registering r;

    gm_state()->verifier = (char *)"/nonexistent/gmcc";
    begin(&r);
    finish(&r);
    g_assert(!r.entry);
    gm_test_expect(r.err, "cannot run the verifier: Failed to execute child process");
    gm_state()->verifier = own;
}

static void test_too_long(void)
{
    int64_t began = g_get_monotonic_time();

    refuse("exec sleep 30", "'%s verify' was ended: QEMU ends, or it took more than 1 s; property "
           "'verifier-timeout' can give it more");
    g_assert_cmpint(g_get_monotonic_time() - began, <, 10 * G_USEC_PER_SEC);
}

/* Nobody knows then: that is no yes. */
static void test_lost(void)
{
    signal(SIGCHLD, SIG_IGN);
    refuse("exit 0", "how '%s verify' ended is unknown: start QEMU with SIGCHLD not ignored");
    signal(SIGCHLD, SIG_DFL);
}

/* What is not signed well is not shown to it. */
static void test_signature_first(void)
{
    g_autofree char *seen = g_build_filename(machine_folder, "shown", NULL);
    g_autofree char *script = g_strdup_printf(": > %s", seen);
    Registering r = { .file = machine_unknown };

    write_verifier(script);
    aio_co_enter(qemu_get_aio_context(), qemu_coroutine_create(register_co, &r));
    finish(&r);
    g_assert(!r.entry && r.err);
    error_free(r.err);
    g_assert(access(seen, F_OK));
}

/* Two at a time: what was not there before the verifier ran may be there after. */
static void test_meanwhile(void)
{
    g_autofree char *why = g_strdup_printf("module 'gmtest' (id 5a5a5a5a5a5a) is already "
                                           "registered, from '%s'", machine_image);
    Registering first, second;

    write_verifier("sleep 0.2");
    begin(&first);
    begin(&second);
    finish(&first);
    finish(&second);
    g_assert(!first.entry != !second.entry);
    machine_expect_error(first.err ?: second.err, why);
    g_assert_cmpuint(gm_state()->entries->len, ==, 1);
    machine_forget();
}

/* The guest switches off the device's slot meanwhile. */
static void test_gone(void)
{
    DeviceState *dev = DEVICE(gm_state());
    Registering r;

    write_verifier("sleep 0.2");
    begin(&r);
    object_unparent(OBJECT(dev));
    g_assert(!gm_state());
    finish(&r);
    g_assert(!r.entry);
    machine_expect_error(r.err, "the guarded-modules device has gone");
    drain_call_rcu();
}

/* QEMU does not wait for it when it ends. In a process of its own: it does end. */
static void test_shutdown(void)
{
    if (g_test_subprocess()) {
        int64_t began = g_get_monotonic_time();
        Registering r;

        write_verifier("exec sleep 30");
        begin(&r);
        qemu_system_shutdown_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
        qemu_main_loop();
        finish(&r);
        error_report_err(r.err);
        g_assert_cmpint(g_get_monotonic_time() - began, <, G_USEC_PER_SEC / 2);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*verify' was ended: QEMU ends*");
}

void suite_verifier(void)
{
    g_autofree char *properties = NULL;

    machine_prepare();
    verifier = machine_write("verify", "#!/bin/sh\n", 10);
    g_assert(!chmod(verifier, 0700));
    properties = g_strdup_printf(",verifier=%s,verifier-timeout=1", verifier);
    machine_start(properties, NULL);
    g_test_add_func("/gm/verifier/accepts", test_accepts);
    g_test_add_func("/gm/verifier/refuses", test_refuses);
    g_test_add_func("/gm/verifier/not-run", test_not_run);
    g_test_add_func("/gm/verifier/too-long", test_too_long);
    g_test_add_func("/gm/verifier/lost", test_lost);
    g_test_add_func("/gm/verifier/signature-first", test_signature_first);
    g_test_add_func("/gm/verifier/meanwhile", test_meanwhile);
    g_test_add_func("/gm/verifier/shutdown", test_shutdown);
    g_test_add_func("/gm/verifier/gone", test_gone);
}
