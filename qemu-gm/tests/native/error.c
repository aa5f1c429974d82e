/*
 * Enough of QEMU's Error, and its way to open files, for the files that need nothing else of QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"

struct Error {
    char *msg;
};

Error *error_abort;

void error_setg(Error **errp, const char *fmt, ...)
{
    va_list ap;
    char *msg;

    va_start(ap, fmt);
    msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);

    if (errp == &error_abort) {
        g_error("unexpected error: %s", msg);
    }
    if (!errp) {
        g_free(msg);
        return;
    }
    /* Two errors for one failure would be a bug of the caller. */
    g_assert(!*errp);
    *errp = g_new0(Error, 1);
    (*errp)->msg = msg;
}

void error_prepend(Error **errp, const char *fmt, ...)
{
    g_autofree char *prefix = NULL, *msg = NULL;
    va_list ap;

    if (!errp) {
        return;
    }
    va_start(ap, fmt);
    prefix = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    msg = (*errp)->msg;
    (*errp)->msg = g_strconcat(prefix, msg, NULL);
}

int qemu_open(const char *name, int flags, Error **errp)
{
    int fd = open(name, flags | O_CLOEXEC);

    if (fd < 0) {
        error_setg(errp, "Could not open '%s': %s", name, strerror(errno));
    }
    return fd;
}

int qemu_close(int fd)
{
    return close(fd);
}

const char *error_get_pretty(const Error *err)
{
    return err->msg;
}

void error_free(Error *err)
{
    if (err) {
        g_free(err->msg);
        g_free(err);
    }
}
