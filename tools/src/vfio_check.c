// SPDX-License-Identifier: GPL-2.0
/*
 * Can these PCI devices of the host be given to a guest? The kernel's rule is
 * that of the IOMMU group: all its devices are vfio-pci's, or nobody's.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gm_run.h"

#define CAP_IPC_LOCK_BIT 14
/* Beside its memory: what a guest's devices show, and QEMU's own. */
#define MEMLOCK_MORE (64UL << 20)

/* Has the folder an entry? */
static bool has_entries(const char *path)
{
	struct dirent *e = NULL;
	DIR *d = opendir(path);

	while (d && (e = readdir(d)) && e->d_name[0] == '.')
		;
	if (d)
		closedir(d);
	return e;
}

/* The last part of where a link leads, or NULL. */
static char *link_name(const char *path)
{
	char target[PATH_MAX], *slash;
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return NULL;
	target[n] = '\0';
	slash = strrchr(target, '/');
	return xstrdup(slash ? slash + 1 : target);
}

static char *driver_of(const struct check *c, const char *address)
{
	char *path = below(c, "/sys/bus/pci/devices/%s/driver", address), *name = link_name(path);

	free(path);
	return name;
}

/* A bridge to others, which the kernel lets keep its driver. */
static bool is_bridge(const struct check *c, const char *address)
{
	char *path = below(c, "/sys/bus/pci/devices/%s/class", address), class[16] = "";
	FILE *f = fopen(path, "re");

	free(path);
	if (f && !fgets(class, sizeof(class), f))
		class[0] = '\0';
	if (f)
		fclose(f);
	return !strncmp(class, "0x0604", 6);
}

static char *how_to_bind(const char *address, const char *driver)
{
	char *unbind = driver ? xasprintf(" && echo %s >/sys/bus/pci/devices/%s/driver/unbind", address,
					  address) : xstrdup("");
	char *how = xasprintf("As root: driverctl set-override %s vfio-pci; or: modprobe vfio-pci && echo "
			      "vfio-pci >/sys/bus/pci/devices/%s/driver_override%s && echo %s "
			      ">/sys/bus/pci/drivers_probe", address, address, unbind, address);

	free(unbind);
	return how;
}

/* The other devices of the group. */
static bool check_group(struct check *c, const char *address, const char *group)
{
	char *path = below(c, "/sys/kernel/iommu_groups/%s/devices", group);
	struct dirent *e;
	DIR *d = opendir(path);
	bool good = true;

	while (d && (e = readdir(d))) {
		char *driver, *how;

		if (e->d_name[0] == '.' || !strcmp(e->d_name, address))
			continue;
		driver = driver_of(c, e->d_name);
		if (driver && strcmp(driver, "vfio-pci") && strcmp(driver, "pci-stub") &&
		    !is_bridge(c, e->d_name)) {
			how = how_to_bind(e->d_name, driver);
			is_missing(c, address, how, "%s is in the same IOMMU group, %s, and the host uses "
				   "it (driver %s)", e->d_name, group, driver);
			free(how);
			good = false;
		}
		free(driver);
	}
	if (d)
		closedir(d);
	free(path);
	return good;
}

static void check_device(struct check *c, const char *address)
{
	char *path = below(c, "/sys/bus/pci/devices/%s", address), *group, *driver, *how, *node;
	bool good = true;

	if (access(path, F_OK)) {
		is_missing(c, address, "lspci -D lists those that there are", "the host has no such PCI "
			   "device");
		free(path);
		return;
	}
	free(path);
	path = below(c, "/sys/bus/pci/devices/%s/iommu_group", address);
	group = link_name(path);
	free(path);
	if (!group) {
		is_missing(c, address, "Choose a device behind the IOMMU", "it is in no IOMMU group");
		return;
	}
	driver = driver_of(c, address);
	if (!driver || strcmp(driver, "vfio-pci")) {
		how = how_to_bind(address, driver);
		is_missing(c, address, how, "it is not bound to vfio-pci (%s%s)", driver ? "driver " :
			   "no driver", driver ? driver : "");
		free(how);
		good = false;
	}
	good &= check_group(c, address, group);
	node = below(c, "/dev/vfio/%s", group);
	if (good && access(node, R_OK | W_OK)) {
		how = xasprintf("As root: chown USER /dev/vfio/%s", group);
		is_missing(c, address, how, "/dev/vfio/%s: %s", group, strerror(errno));
		free(how);
		good = false;
	}
	if (good)
		is_there(c, address, "bound to vfio-pci, IOMMU group %s", group);
	free(node);
	free(driver);
	free(group);
}

static bool may_lock_all(const struct check *c)
{
	char *path = below(c, "/proc/self/status"), *line = NULL;
	unsigned long long capabilities = 0;
	FILE *f = fopen(path, "re");
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0)
		if (sscanf(line, "CapEff: %llx", &capabilities) == 1)
			break;
	if (f)
		fclose(f);
	free(line);
	free(path);
	return capabilities & 1ULL << CAP_IPC_LOCK_BIT;
}

/* The guest's memory is pinned for the device. */
static void check_memlock(struct check *c, const struct options *o)
{
	uint64_t need = o->memory_bytes + MEMLOCK_MORE;
	struct rlimit limit;
	char *how;

	if (may_lock_all(c)) {
		is_there(c, "locked memory", "as much as you like (CAP_IPC_LOCK)");
		return;
	}
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= need) {
		is_there(c, "locked memory", "as much as the guest needs");
		return;
	}
	how = xasprintf("As root: prlimit --memlock=%llu --pid $$, in this shell; for good in "
			"/etc/security/limits.conf, or LimitMEMLOCK= of a systemd unit",
			(unsigned long long)need);
	is_missing(c, "locked memory", how, "you may lock %llu KiB, a guest with %s and a passed device "
		   "needs %llu", (unsigned long long)limit.rlim_cur >> 10, o->memory,
		   (unsigned long long)need >> 10);
	free(how);
}

void check_passthrough(struct check *c, const struct options *o)
{
	char *path = below(c, "/sys/kernel/iommu_groups");

	if (has_entries(path)) {
		is_there(c, "IOMMU", "it is on");
		for (size_t i = 0; i < o->nr_devices; i++)
			check_device(c, o->devices[i].address);
	} else {
		is_missing(c, "IOMMU", "Turn it on in the firmware's setup (AMD-Vi); the kernel must not "
			   "be told amd_iommu=off or iommu=off", "it is off, no device can be given to a "
			   "guest");
	}
	free(path);
	check_memlock(c, o);
}
