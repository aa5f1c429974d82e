/*
 * Guarded modules: text of others that goes into messages.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_ESCAPE_H
#define HW_MISC_GM_ESCAPE_H

#include <glib.h>

/**
 * gm_escape: Make a text safe to show.
 * @text: a name, a path, the subject of a certificate; @size bytes of it
 *
 * Whatever is not printable ASCII becomes \xNN, and so does the double quote:
 * the result has one line, moves no cursor and ends no quoted string. A safe
 * text stays as it is.
 *
 * Returns: the safe text, to be freed with g_free().
 */
static inline char *gm_escape_n(const char *text, size_t size)
{
    GString *s = g_string_sized_new(size);
    size_t i;

    for (i = 0; i < size; i++) {
        if (g_ascii_isprint(text[i]) && text[i] != '"') {
            g_string_append_c(s, text[i]);
        } else {
            g_string_append_printf(s, "\\x%02x", (unsigned char)text[i]);
        }
    }
    return g_string_free(s, false);
}

static inline char *gm_escape(const char *text)
{
    return gm_escape_n(text, strlen(text));
}

#endif /* HW_MISC_GM_ESCAPE_H */
