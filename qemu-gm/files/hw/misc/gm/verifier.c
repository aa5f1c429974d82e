/*
 * Guarded modules: have another program look at an image first.
 *
 * What the signature vouches for is whose an image is. That it keeps the rules
 * is proven by `gmcc verify', which the device runs if it is told where it is. It
 * gets the bytes that QEMU has read, not the file, which may change.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/wait.h>
#include "qapi/error.h"
#include "block/aio.h"
#include "qemu/coroutine.h"
#include "qemu/cutils.h"
#include "qemu/memfd.h"
#include "verifier.h"

#define GM_VERIFIER_SECONDS 60
#define GM_VERIFIER_TEXT 1024   /* bytes of what it says that an error has */

typedef struct GmVerifier {
    Coroutine *co;
    int image;
    int text;
    GPid pid;
    int status;
    bool late;
} GmVerifier;

/* In the child, after everything but the standard streams is marked to close. */
static void gm_verifier_child(void *opaque)
{
    GmVerifier *v = opaque;

    dup2(v->image, STDIN_FILENO);
    dup2(v->text, STDOUT_FILENO);
    dup2(v->text, STDERR_FILENO);
}

static void gm_verifier_ended(GPid pid, int status, void *opaque)
{
    GmVerifier *v = opaque;

    v->status = status;
    aio_co_wake(v->co);
}

static gboolean gm_verifier_is_late(void *opaque)
{
    GmVerifier *v = opaque;

    v->late = true;
    kill(v->pid, SIGKILL);
    return G_SOURCE_CONTINUE;
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

static bool coroutine_fn gm_verifier_run(GmVerifier *v, const char *verifier,
                                         Error **errp)
{
    char *argv[] = { (char *)verifier, (char *)"verify", (char *)"-q",
                     (char *)"/dev/stdin", NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    guint timer;

    v->co = qemu_coroutine_self();
    if (!g_spawn_async(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                       gm_verifier_child, v, &v->pid, &error)) {
        error_setg(errp, "cannot run the verifier: %s", error->message);
        return false;
    }
    g_child_watch_add(v->pid, gm_verifier_ended, v);
    timer = g_timeout_add_seconds(GM_VERIFIER_SECONDS, gm_verifier_is_late, v);
    qemu_coroutine_yield();
    g_source_remove(timer);
    g_spawn_close_pid(v->pid);

    if (v->late) {
        error_setg(errp, "'%s verify' took more than %d s", verifier,
                   GM_VERIFIER_SECONDS);
        return false;
    }
    if (!WIFEXITED(v->status)) {
        error_setg(errp, "'%s verify' was ended by signal %d", verifier,
                   WTERMSIG(v->status));
        return false;
    }
    if (WEXITSTATUS(v->status)) {
        text = gm_verifier_text(v->text);
        error_setg(errp, "'%s verify' refuses it: %s", verifier, text);
        return false;
    }
    return true;
}

bool coroutine_fn gm_verify(const char *verifier, const uint8_t *image,
                            size_t size, Error **errp)
{
    GmVerifier v = { .image = -1, .text = -1 };
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
    ok = gm_verifier_run(&v, verifier, errp);
out:
    close(v.image);
    if (v.text >= 0) {
        close(v.text);
    }
    return ok;
}
