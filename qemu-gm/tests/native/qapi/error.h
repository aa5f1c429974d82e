/*
 * Enough of QEMU's Error for the files that need nothing else of QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef QAPI_ERROR_H
#define QAPI_ERROR_H

typedef struct Error Error;

extern Error *error_abort;

void error_setg(Error **errp, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void error_prepend(Error **errp, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
const char *error_get_pretty(const Error *err);
void error_free(Error *err);

#endif /* QAPI_ERROR_H */
