/*
 * Guarded modules: files of certificates and of revocation lists.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_PEMFILE_H
#define HW_MISC_GM_PEMFILE_H

#include <gnutls/gnutls.h>

/* @pem: the data is in PEM form, not in DER. */
typedef bool GmPemFile(void *opaque, const char *path,
                       const gnutls_datum_t *data, bool pem, Error **errp);

/**
 * gm_pem_files: Read a file, or all files of a directory.
 * @path: either; of a directory, files and links to files whose names do not
 *        start with a dot, in the order of their names
 * @what: "the keyring", for errors
 * @fn: called for each, until it returns false
 *
 * Whatever cannot be read is an error, and so is anything that is no regular
 * file: nothing is left out in silence.
 */
bool gm_pem_files(const char *path, const char *what, GmPemFile *fn,
                  void *opaque, Error **errp);

#endif /* HW_MISC_GM_PEMFILE_H */
