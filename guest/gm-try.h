/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gm-try: what its parts share. */
#ifndef GM_TRY_H
#define GM_TRY_H

#include <stddef.h>
#include <stdint.h>

#define BYTES_MAX	65536

void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Bytes from hex digits, "HEX*N" for N times over, into BYTES_MAX; returns how many. */
size_t bytes(const char *text, uint8_t *to);
void copy_name(char *to, size_t room, const char *name);

/* gm-try-input.c */
int hid(const char *ids, const char *descriptor, char **reports);
int lirc(const char *device, const char *protocol, const char *scancode);

/* gm-try-filter.c */
int rule(const char *table, const char *chain, const char *target, char **matches);

#endif
