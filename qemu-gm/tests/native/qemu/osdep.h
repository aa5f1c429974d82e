/*
 * Enough of QEMU's osdep.h for the files that need nothing else of QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef QEMU_OSDEP_H
#define QEMU_OSDEP_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <glib.h>

#undef MIN
#undef MAX
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define QEMU_ALIGN_UP(n, m) (((n) + (m) - 1) / (m) * (m))
#define QEMU_ALIGN_DOWN(n, m) ((n) / (m) * (m))
#define DIV_ROUND_UP(n, m) (((n) + (m) - 1) / (m))

struct Error;
int qemu_open(const char *name, int flags, struct Error **errp);
int qemu_close(int fd);

#endif /* QEMU_OSDEP_H */
