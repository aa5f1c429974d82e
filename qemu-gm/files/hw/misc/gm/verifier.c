/*
 * Guarded modules: have another program look at an image first.
 *
 * What the signature vouches for is whose an image is. That it keeps the rules
 * is proven by `gmcc verify', which the device runs if it is told where it is. It
 * gets the bytes that QEMU has read, not the file, which may change.
 *
 * A thread of the pool waits for it: those who have the main loop wait, for an
 * object say, poll QEMU's own event loop alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/wait.h>
#include "qapi/error.h"
#include "block/thread-pool.h"
#include "qemu/atomic.h"
#include "qemu/coroutine.h"
#include "qemu/cutils.h"
#include "qemu/memfd.h"
#include "qemu/notify.h"
#include "system/runstate.h"
#include "verifier.h"

#define GM_VERIFIER_POLL_US 5000
#define GM_VERIFIER_TEXT 1024   /* bytes of what it says that an error has */

typedef struct GmVerifier {
    const char *program;
    int image;
    int text;
    /* What became of it. */
    GError *error;
    int status;
    bool killed;
    bool lost;                  /* nobody can say how it ended */
} GmVerifier;

static bool gm_shutting_down;
static unsigned gm_verifier_seconds;

/* In the child, after everything but the standard streams is marked to close. */
static void gm_verifier_child(void *opaque)
{
    GmVerifier *v = opaque;

    dup2(v->image, STDIN_FILENO);
    dup2(v->text, STDOUT_FILENO);
    dup2(v->text, STDERR_FILENO);
}

static int gm_verifier_run(void *opaque)
{
    GmVerifier *v = opaque;
    char *argv[] = { (char *)v->program, (char *)"verify", (char *)"-q",
                     (char *)"/dev/stdin", NULL };
    int64_t deadline = g_get_monotonic_time() +
                       gm_verifier_seconds * G_USEC_PER_SEC;
    pid_t ended;
    GPid pid;

    if (!g_spawn_async(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                       gm_verifier_child, v, &pid, &v->error)) {
        return 0;
    }
    while (!(ended = waitpid(pid, &v->status, WNOHANG))) {
        if (g_get_monotonic_time() > deadline ||
            qatomic_read(&gm_shutting_down)) {
            v->killed = true;
            kill(pid, SIGKILL);
            waitpid(pid, &v->status, 0);
            break;
        }
        g_usleep(GM_VERIFIER_POLL_US);
    }
    /* Started with SIGCHLD ignored, QEMU has no status of any child. */
    v->lost = ended < 0;
    g_spawn_close_pid(pid);
    return 0;
}

/* The first line of what it said. */
static char *gm_verifier_text(int fd)
{
    char text[GM_VERIFIER_TEXT];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    char *c;

    text[MAX(n, 0)] = '\0';
    *strchrnul(text, '\n') = '\0';
    for (c = text; *c; c++) {
        if (!g_ascii_isprint(*c)) {
            *c = '?';
        }
    }
    return g_strdup(*text ? text : "it does not say why");
}

static bool gm_verifier_judge(const GmVerifier *v, Error **errp)
{
    g_autofree char *text = gm_verifier_text(v->text);

    if (v->error) {
        error_setg(errp, "cannot run the verifier: %s", v->error->message);
    } else if (v->killed) {
        error_setg(errp, "'%s verify' was ended: QEMU ends, or it took more "
                   "than %u s; property 'verifier-timeout' can give it more",
                   v->program, gm_verifier_seconds);
    } else if (v->lost) {
        error_setg(errp, "how '%s verify' ended is unknown: start QEMU with "
                   "SIGCHLD not ignored", v->program);
    } else if (!WIFEXITED(v->status)) {
        error_setg(errp, "'%s verify' was ended by signal %d", v->program,
                   WTERMSIG(v->status));
    } else if (WEXITSTATUS(v->status) == 1) {
        error_setg(errp, "'%s verify' refuses it: %s", v->program, text);
    } else if (WEXITSTATUS(v->status)) {
        error_setg(errp, "'%s verify' failed with status %d: %s", v->program,
                   WEXITSTATUS(v->status), text);
    } else {
        return true;
    }
    return false;
}

bool coroutine_fn gm_verify(const char *program, const uint8_t *image,
                            size_t size, Error **errp)
{
    GmVerifier v = { .program = program, .image = -1, .text = -1 };
    bool ok = false;

    v.image = qemu_memfd_create("gm-image", size, false, 0, 0, errp);
    if (v.image < 0) {
        return false;
    }
    v.text = qemu_memfd_create("gm-verifier", 0, false, 0, 0, errp);
    if (v.text < 0) {
        goto out;
    }
    if (qemu_write_full(v.image, image, size) != size ||
        lseek(v.image, 0, SEEK_SET) < 0) {
        error_setg_errno(errp, errno, "cannot pass it to the verifier");
        goto out;
    }
    thread_pool_submit_co(gm_verifier_run, &v);
    ok = gm_verifier_judge(&v, errp);
    g_clear_error(&v.error);
out:
    close(v.image);
    if (v.text >= 0) {
        close(v.text);
    }
    return ok;
}

static void gm_shutdown(Notifier *notifier, void *data)
{
    qatomic_set(&gm_shutting_down, true);
}

void gm_verifier_init(unsigned seconds)
{
    static Notifier notifier = { .notify = gm_shutdown };
    static bool registered;

    gm_verifier_seconds = seconds;
    if (!registered) {
        qemu_register_shutdown_notifier(&notifier);
        registered = true;
    }
}
