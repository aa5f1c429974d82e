/*
 * Guarded modules: files of certificates and of revocation lists.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "pemfile.h"

#define GM_PEM_FILE_MAX (16 * 1024 * 1024)

static char *gm_pem_read(const char *path, size_t *size, Error **errp)
{
    g_autofree char *data = NULL;
    struct stat st;
    off_t done = 0;
    ssize_t n;
    int fd;

    /* O_NONBLOCK: a FIFO must not hang QEMU. */
    fd = qemu_open(path, O_RDONLY | O_NONBLOCK, errp);
    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        error_setg(errp, "'%s' is not a regular file", path);
        goto out;
    }
    if (st.st_size > GM_PEM_FILE_MAX) {
        error_setg(errp, "'%s' has more than %d MiB", path,
                   GM_PEM_FILE_MAX / (1024 * 1024));
        goto out;
    }
    data = g_malloc(st.st_size + 1);
    while (done < st.st_size) {
        /* A descriptor of a set (/dev/fdset/N) has its offset in common. */
        n = pread(fd, data + done, st.st_size - done, done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            error_setg(errp, "'%s': %s", path,
                       n ? strerror(errno) : "it became shorter");
            g_clear_pointer(&data, g_free);
            goto out;
        }
        done += n;
    }
    data[done] = '\0';
    *size = done;
out:
    qemu_close(fd);
    return g_steal_pointer(&data);
}

static bool gm_pem_file(const char *path, const char *what, GmPemFile *fn,
                        void *opaque, Error **errp)
{
    g_autofree char *text = NULL;
    gnutls_datum_t data;
    size_t size;

    text = gm_pem_read(path, &size, errp);
    if (!text) {
        error_prepend(errp, "cannot read %s: ", what);
        return false;
    }
    data.data = (unsigned char *)text;
    data.size = size;
    return fn(opaque, path, &data, g_strstr_len(text, size, "-----BEGIN"),
              errp);
}

static int gm_compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool gm_pem_dir(const char *path, const char *what, GmPemFile *fn,
                       void *opaque, Error **errp)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) err = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &err);
    const char *name;
    unsigned i;

    if (!dir) {
        error_setg(errp, "cannot read %s: %s", what, err->message);
        return false;
    }
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        if (name[0] != '.' && !g_file_test(file, G_FILE_TEST_IS_DIR)) {
            g_ptr_array_add(files, g_steal_pointer(&file));
        }
    }
    g_ptr_array_sort(files, gm_compare_names);
    for (i = 0; i < files->len; i++) {
        if (!gm_pem_file(files->pdata[i], what, fn, opaque, errp)) {
            return false;
        }
    }
    return true;
}

bool gm_pem_files(const char *path, const char *what, GmPemFile *fn,
                  void *opaque, Error **errp)
{
    if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
        return gm_pem_dir(path, what, fn, opaque, errp);
    }
    return gm_pem_file(path, what, fn, opaque, errp);
}
