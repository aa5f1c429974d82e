/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gm-load: what its parts share. gm-device.c reaches the device,
 * gm-images.c takes images from it, gm-sync.c keeps a folder of them,
 * gm-load.c is the command line. The tests put a device of their own in the
 * place of gm-device.c (tests/mock-device.c).
 */
#ifndef GM_LOAD_H
#define GM_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gm_device.h"

#define NAME_LEN	64	/* of the register GM_REG_NAME */

/* Exit statuses, as in gm-load.8. */
enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_NO_DEVICE };

struct image {
	char name[NAME_LEN];
	uint32_t index;
	size_t size;
	uint8_t *data;		/* NULL until it has been read */
};

struct images {
	size_t count;
	struct image *list;
};

/* --- gm-load.c: messages, on standard error ----------------------------------- */

void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...);

/* The same, but there is more to do: main() ends with EXIT_FAILED. */
void __attribute__((format(printf, 1, 2))) complain(const char *fmt, ...);

void *allocate(size_t size);

/* --- gm-device.c -------------------------------------------------------------- */

/*
 * Find, enable, map and lock the device; ends the program if that fails. There
 * is one selection for the whole machine, so one gm-load at a time has it.
 */
void device_open(void);
uint32_t device_register(unsigned int offset);
void device_select(uint32_t index);
size_t device_window(void);		/* its size */
void device_copy(void *to, size_t size);	/* from the window's start */

/* --- gm-images.c -------------------------------------------------------------- */

/*
 * The host may register and unregister at any moment. Both of these see one
 * state of the device, or try again, or end the program.
 */
void images_list(struct images *images);
void images_read(struct images *images, const char *what);	/* NULL: all */
void images_free(struct images *images);

/*
 * The value of a key in the image's .modinfo, or NULL; valid as long as the
 * image is.
 */
const char *image_info(const struct image *image, const char *key);

/* Is it the name of a module, and thus good for a file's name? */
bool image_name_valid(const char *name);

/* --- gm-sync.c ---------------------------------------------------------------- */

/* @directory: NULL for that of the running kernel. */
void sync_directory(const char *directory, bool depmod);

#endif /* GM_LOAD_H */
