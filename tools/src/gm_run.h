/* SPDX-License-Identifier: GPL-2.0 */
/*
 * gm-run: what its parts share.
 */
#ifndef GM_RUN_H
#define GM_RUN_H

#include <stdint.h>

#include "tools.h"

enum {
	EXIT_HOST	= 3,	/* the host lacks something */
	EXIT_START	= 4,	/* QEMU was not started */
};

struct list {
	const char **item;
	size_t count;
};

struct image {
	const char *file, *policy;
	struct list grants;
};

struct passthrough {
	char *address;			/* 0000:01:00.0 */
	const char *id;			/* NULL: none */
};

struct options {
	const char *kernel, *initrd, *append;
	const char *disk, *disk_format;
	const char *keyring, *crl, *policy;
	const char *memory, *cpus;
	uint64_t memory_bytes;
	char *name;
	const char *qmp;
	const char *sysroot;
	char *qemu, *verifier;		/* paths, or NULL: not found */
	bool no_verifier, console;
	bool check, dry_run, verbose;
	struct image *images;
	size_t nr_images;
	struct passthrough *devices;
	size_t nr_devices;
	char **extra;			/* arguments for QEMU, up to NULL */
};

void list_add(struct list *l, const char *item);

/* Folders of firmware; those that the distribution's packages fill. */
extern const char *const data_folders[];
extern const size_t nr_data_folders;

/* QEMU's arguments, up to NULL; `qmp' is the monitor's path. */
char **qemu_command(const struct options *o, const char *qmp);
/* As a shell reads it. */
void print_command(char **argv);

/* Findings of the checks of the host. */
struct check {
	const char *sysroot;
	bool verbose;			/* say what is there, too; on standard output */
	unsigned int missing;
};

__attribute__((format(printf, 3, 4)))
void is_there(struct check *c, const char *what, const char *format, ...);
/* What is wrong, and after `how' what to do about it, on one line. */
__attribute__((format(printf, 4, 5)))
void is_missing(struct check *c, const char *what, const char *how, const char *format, ...);
/* A path below the root that is looked at. */
__attribute__((format(printf, 2, 3)))
char *below(const struct check *c, const char *format, ...);

/* All of them; the number of those that fail. */
unsigned int check_host(const struct options *o);
void check_passthrough(struct check *c, const struct options *o);

/*
 * Run QEMU and do as it does: pass on signals, end as it ends. What was made for
 * it goes with it.
 */
_Noreturn void supervise(const struct options *o);
/* Where the monitor will be; the caller's. */
char *monitor_path(const struct options *o);

#endif
