// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gm-load: fetch guarded images from the `guarded-modules' PCI device, and
 * load them. Runs in the guest, as root, static, without libraries.
 *
 * The device shows one image at a time in a window (gm_device.h); loading is
 * init_module(2), as for every other module. Nothing here is trusted: what the
 * tool hands to the kernel counts as guarded only once KVM has sealed it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gm_device.h"

#define PCI_DEVICES	"/sys/bus/pci/devices"
#define NAME_LEN	64

struct device {
	char slot[32];
	volatile uint32_t *regs;
	const uint8_t *window;
	size_t window_size;
};

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("gm-load: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void usage(FILE *to)
{
	fputs("Usage: gm-load list                         show the images that the host offers\n"
	      "       gm-load fetch NAME|INDEX FILE        write one to a file\n"
	      "       gm-load insert NAME|INDEX [PARAM...] load one into this kernel\n"
	      "       gm-load NAME [PARAM...]              the same, if no command has that name\n"
	      "       gm-load --help\n", to);
}

/* Path of a file of the device in sysfs; valid until the next call. */
static const char *sysfs(const char *slot, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", slot, file);
	return path;
}

static long read_number(const char *slot, const char *file)
{
	FILE *f = fopen(sysfs(slot, file), "r");
	char line[32];
	long n = -1;

	if (!f)
		return -1;
	if (fgets(line, sizeof(line), f))
		n = strtol(line, NULL, 0);
	fclose(f);
	return n;
}

static void find_device(struct device *dev)
{
	DIR *dir = opendir(PCI_DEVICES);
	struct dirent *entry;

	if (!dir)
		die("cannot read %s: %s (is sysfs mounted?)", PCI_DEVICES,
		    strerror(errno));
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' ||
		    strlen(entry->d_name) >= sizeof(dev->slot) ||
		    read_number(entry->d_name, "vendor") != GM_PCI_VENDOR_ID ||
		    read_number(entry->d_name, "device") != GM_PCI_DEVICE_ID)
			continue;
		strcpy(dev->slot, entry->d_name);
		closedir(dir);
		return;
	}
	die("this machine has no guarded-modules device");
}

/* Memory decoding is off until somebody enables the device. */
static void enable_device(const struct device *dev)
{
	const char *path = sysfs(dev->slot, "enable");
	int fd;

	if (read_number(dev->slot, "enable") > 0)
		return;
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "1", 1) != 1)
		die("cannot enable the device: %s: %s", path, strerror(errno));
	close(fd);
}

static void *map_bar(const struct device *dev, int bar, bool writable,
		     size_t *size)
{
	struct stat st;
	char file[16];
	void *p;
	int fd;

	snprintf(file, sizeof(file), "resource%d", bar);
	fd = open(sysfs(dev->slot, file), writable ? O_RDWR : O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		die("cannot open %s: %s", sysfs(dev->slot, file),
		    strerror(errno));
	*size = st.st_size;
	p = mmap(NULL, *size, PROT_READ | (writable ? PROT_WRITE : 0),
		 MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("cannot map %s: %s", sysfs(dev->slot, file),
		    strerror(errno));
	close(fd);
	return p;
}

static uint32_t reg(const struct device *dev, unsigned int offset)
{
	return dev->regs[offset / 4];
}

static void open_device(struct device *dev)
{
	size_t size;

	find_device(dev);
	enable_device(dev);
	dev->regs = map_bar(dev, GM_BAR_REGS, true, &size);
	if (size < GM_REG_NAME + NAME_LEN ||
	    reg(dev, GM_REG_MAGIC) != GM_DEVICE_MAGIC)
		die("%s is not a guarded-modules device that this tool knows",
		    dev->slot);
	dev->window = map_bar(dev, GM_BAR_IMAGE, false, &dev->window_size);
}

/* Show an image in the window; returns its size. */
static size_t select_image(const struct device *dev, uint32_t index,
			   char name[NAME_LEN])
{
	uint32_t word, size;
	int i;

	dev->regs[GM_REG_SELECT / 4] = index;
	size = reg(dev, GM_REG_SIZE);
	for (i = 0; i < NAME_LEN; i += 4) {
		word = reg(dev, GM_REG_NAME + i);
		memcpy(name + i, &word, 4);
	}
	name[NAME_LEN - 1] = '\0';
	if (!size)
		die("image %u is gone", index);
	if (size > dev->window_size)
		die("image %u (%s) has %u bytes, the window %zu", index, name,
		    size, dev->window_size);
	return size;
}

/* Select by name, or by index. */
static size_t find_image(const struct device *dev, const char *what,
			 char name[NAME_LEN])
{
	uint32_t i, count = reg(dev, GM_REG_COUNT);
	unsigned long index;
	size_t size;
	char *end;

	for (i = 0; i < count; i++) {
		size = select_image(dev, i, name);
		if (!strcmp(name, what))
			return size;
	}
	errno = 0;
	index = strtoul(what, &end, 10);
	if (!errno && *what >= '0' && *what <= '9' && !*end && index < count)
		return select_image(dev, index, name);

	die("the host offers no image '%s' (%u registered)", what, count);
}

/* An ordinary copy: neither write() nor the kernel should read a device. */
static uint8_t *copy_image(const struct device *dev, size_t size)
{
	uint8_t *copy = malloc(size);

	if (!copy)
		die("no memory for %zu bytes", size);
	memcpy(copy, dev->window, size);
	return copy;
}

static void list(const struct device *dev)
{
	uint32_t i, count = reg(dev, GM_REG_COUNT);
	char name[NAME_LEN];
	size_t size;

	for (i = 0; i < count; i++) {
		size = select_image(dev, i, name);
		printf("%u %s %zu\n", i, name, size);
	}
	fprintf(stderr, "gm-load: %u image%s\n", count, count == 1 ? "" : "s");
}

static void fetch(const struct device *dev, const char *what, const char *file)
{
	char name[NAME_LEN];
	size_t size = find_image(dev, what, name);
	uint8_t *image = copy_image(dev, size);
	FILE *f = fopen(file, "wb");

	if (!f)
		die("cannot create %s: %s", file, strerror(errno));
	if (fwrite(image, 1, size, f) != size || fclose(f))
		die("cannot write %s: %s", file, strerror(errno));
	printf("%s: %zu bytes\n", name, size);
}

static const char *explain(int err)
{
	switch (err) {
	case ENOEXEC:
		return " (wrong format or kernel version: see dmesg)";
	case EEXIST:
		return " (it is loaded already)";
	case ENOENT:
		return " (unknown symbol, or the host does not know the image: see dmesg)";
	case EPERM:
		return " (not root, or modules are disabled)";
	case EKEYREJECTED:
		return " (this kernel does not trust the signer)";
	case EBUSY:
		return " (it is sealed already)";
	default:
		return "";
	}
}

static void insert(const struct device *dev, const char *what, char **params)
{
	char name[NAME_LEN], line[4096] = "";
	size_t size = find_image(dev, what, name);
	uint8_t *image = copy_image(dev, size);
	size_t used = 0;

	for (; *params; params++) {
		int n = snprintf(line + used, sizeof(line) - used, "%s%s",
				 used ? " " : "", *params);

		if ((size_t)n >= sizeof(line) - used)
			die("too many parameters");
		used += n;
	}
	if (syscall(SYS_init_module, image, size, line)) {
		int err = errno;

		die("cannot load %s: %s%s", name, strerror(err), explain(err));
	}
	printf("%s: loaded\n", name);
}

static bool is_command(const char *word)
{
	return !strcmp(word, "list") || !strcmp(word, "fetch") ||
	       !strcmp(word, "insert");
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	struct device dev = { 0 };

	if (!strcmp(command, "--help") || !strcmp(command, "-h")) {
		usage(stdout);
	} else if (!strcmp(command, "list") && argc == 2) {
		open_device(&dev);
		list(&dev);
	} else if (!strcmp(command, "fetch") && argc == 4) {
		open_device(&dev);
		fetch(&dev, argv[2], argv[3]);
	} else if (!strcmp(command, "insert") && argc >= 3) {
		open_device(&dev);
		insert(&dev, argv[2], argv + 3);
	} else if (*command && *command != '-' && !is_command(command)) {
		open_device(&dev);
		insert(&dev, command, argv + 2);
	} else {
		usage(stderr);
		return 2;
	}
	if (fflush(stdout))
		die("cannot write: %s", strerror(errno));
	return 0;
}
