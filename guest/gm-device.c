// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gm-load: the `guarded-modules' PCI device, by its resource files in sysfs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gm-load.h"

#define PCI_DEVICES	"/sys/bus/pci/devices"

static char slot[32];
static volatile uint32_t *regs;
static const uint8_t *window;
static size_t window_size;

/* Path of a file of the device in sysfs; valid until the next call. */
static const char *sysfs(const char *device, const char *file)
{
	static char path[320];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", device, file);
	return path;
}

static long read_number(const char *device, const char *file)
{
	FILE *f = fopen(sysfs(device, file), "re");
	char line[32];
	long n = -1;

	if (!f)
		return -1;
	if (fgets(line, sizeof(line), f))
		n = strtol(line, NULL, 0);
	fclose(f);
	return n;
}

static bool find_device(void)
{
	DIR *dir = opendir(PCI_DEVICES);
	struct dirent *entry;
	bool found = false;

	if (!dir)
		die("cannot read %s: %s (is sysfs mounted?)", PCI_DEVICES,
		    strerror(errno));
	while (!found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' ||
		    strlen(entry->d_name) >= sizeof(slot) ||
		    read_number(entry->d_name, "vendor") != GM_PCI_VENDOR_ID ||
		    read_number(entry->d_name, "device") != GM_PCI_DEVICE_ID)
			continue;
		strcpy(slot, entry->d_name);
		found = true;
	}
	closedir(dir);
	return found;
}

static void __attribute__((noreturn)) cannot(const char *what)
{
	int err = errno;

	die("cannot %s the device: %s: %s%s", what, slot, strerror(err),
	    err == EPERM ? " (kernel lockdown forbids it; see `man kernel_lockdown')" :
	    err == EACCES ? " (are you root?)" : "");
}

/* Memory decoding is off until somebody enables the device. */
static void enable_device(void)
{
	int fd;

	if (read_number(slot, "enable") > 0)
		return;
	fd = open(sysfs(slot, "enable"), O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		cannot("enable");
	close(fd);
}

/* The file stays open: it holds the lock. */
static void *map_bar(int bar, int flags, size_t *size)
{
	struct stat st;
	char file[16];
	void *p;
	int fd;

	snprintf(file, sizeof(file), "resource%d", bar);
	fd = open(sysfs(slot, file), flags | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		cannot("open");
	if (flags == O_RDWR && flock(fd, LOCK_EX))
		cannot("lock");
	*size = st.st_size;
	p = mmap(NULL, *size, PROT_READ | (flags == O_RDWR ? PROT_WRITE : 0),
		 MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		cannot("map");
	return p;
}

void device_open(void)
{
	size_t size;

	if (!find_device()) {
		fputs("gm-load: this machine has no guarded-modules device: the host adds one with QEMU's `-device guarded-modules'\n",
		      stderr);
		exit(EXIT_NO_DEVICE);
	}
	enable_device();
	regs = map_bar(GM_BAR_REGS, O_RDWR, &size);
	if (size < GM_REG_NAME + NAME_LEN ||
	    device_register(GM_REG_MAGIC) != GM_DEVICE_MAGIC)
		die("%s is not a guarded-modules device that this gm-load knows: use the one that came with the host's QEMU",
		    slot);
	window = map_bar(GM_BAR_IMAGE, O_RDONLY, &window_size);
}

uint32_t device_register(unsigned int offset)
{
	return regs[offset / 4];
}

void device_select(uint32_t index)
{
	regs[GM_REG_SELECT / 4] = index;
}

size_t device_window(void)
{
	return window_size;
}

void device_copy(void *to, size_t size)
{
	memcpy(to, window, size);
}
