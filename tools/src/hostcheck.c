// SPDX-License-Identifier: GPL-2.0
/*
 * Does the host have what a guest with guarded modules needs? One line for each
 * thing; what is missing comes with what to do about it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvm_gm.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gm_run.h"

#define PROBE_SECONDS 20	/* for QEMU to tell what it knows */

extern char **environ;

/* What is missing is the error of a run, but the result of --check. */
void is_there(struct check *c, const char *what, const char *format, ...)
{
	va_list args;

	if (!c->verbose)
		return;
	printf("ok       %s: ", what);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void is_missing(struct check *c, const char *what, const char *how, const char *format, ...)
{
	FILE *f = c->verbose ? stdout : stderr;
	va_list args;

	c->missing++;
	fprintf(f, "missing  %s: ", what);
	va_start(args, format);
	vfprintf(f, format, args);
	va_end(args);
	fprintf(f, ". %s\n", how);
}

char *below(const struct check *c, const char *format, ...)
{
	va_list args;
	char *path, *whole;

	va_start(args, format);
	if (vasprintf(&path, format, args) < 0)
		fail(EXIT_START, "out of memory");
	va_end(args);
	whole = xasprintf("%s%s", c->sysroot, path);
	free(path);
	return whole;
}

static bool has_word(const char *line, const char *word)
{
	size_t n = strlen(word);

	for (const char *s = strstr(line, word); s; s = strstr(s + 1, word))
		if ((s == line || strchr(" \t", s[-1])) && strchr(" \t\n", s[n]))
			return true;
	return false;
}

static void check_cpu(struct check *c)
{
	char *path = below(c, "/proc/cpuinfo"), *line = NULL;
	FILE *f = fopen(path, "re");
	bool svm = false, vmx = false;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0) {
		if (strncmp(line, "flags", 5))
			continue;
		svm = has_word(line, "svm");
		vmx = has_word(line, "vmx");
		break;
	}
	if (!f)
		is_missing(c, "CPU", "Mount /proc", "%s: %s", path, strerror(errno));
	else if (svm)
		is_there(c, "CPU", "it has AMD's virtualization (SVM)");
	else if (vmx)
		is_missing(c, "CPU", "Use a machine with an AMD CPU: on Intel's (VMX), KVM does not offer "
			   "guarded modules yet", "it has no SVM");
	else
		is_missing(c, "CPU", "Turn on SVM (AMD-V) in the firmware's setup; in a virtual machine, "
			   "nested virtualization on its host", "it shows no virtualization (svm)");
	if (f)
		fclose(f);
	free(line);
	free(path);
}

/* Which of our modules to load, or to make, where the KVM that is loaded is a stock one. */
static void stock_kvm(struct check *c)
{
	char *npt = below(c, "/sys/module/kvm_amd/parameters/npt"), *installed, *how;
	struct utsname u;
	FILE *f = fopen(npt, "re");
	int value = f ? fgetc(f) : 'Y';

	if (f)
		fclose(f);
	free(npt);
	if (value == 'N' || value == '0') {
		is_missing(c, "KVM", "Load it again without that option: modprobe -r kvm_amd && modprobe "
			   "kvm_amd npt=1", "nested paging is turned off (kvm_amd's npt)");
		return;
	}
	uname(&u);
	installed = xasprintf("/lib/modules/%s/updates/kvm.ko", u.release);
	if (!access(installed, F_OK))
		how = xstrdup("Ours is installed: end all virtual machines, then modprobe -r kvm_amd kvm "
			      "&& modprobe kvm_amd");
	else
		how = xasprintf("Ours is not installed for Linux %s (no %s): make install, end all virtual "
				"machines, then modprobe -r kvm_amd kvm && modprobe kvm_amd", u.release,
				installed);
	is_missing(c, "KVM", how, "the KVM that is loaded is a stock one, without guarded modules");
	free(how);
	free(installed);
}

static void check_kvm(struct check *c)
{
	char *path = below(c, "/dev/kvm");
	int fd = open(path, O_RDWR | O_CLOEXEC), version;

	if (fd < 0 && (errno == EACCES || errno == EPERM))
		is_missing(c, "/dev/kvm", "Join its group and log in again: adduser USER kvm",
			   "you may not use it");
	else if (fd < 0)
		is_missing(c, "/dev/kvm", "Load KVM: modprobe kvm_amd", "%s", strerror(errno));
	if (fd < 0) {
		free(path);
		return;
	}
	free(path);
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		is_missing(c, "/dev/kvm", "Load KVM: modprobe kvm_amd", "it is not KVM");
		close(fd);
		return;
	}
	is_there(c, "/dev/kvm", "you may use it");
	version = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_GM);
	if (version == KVM_GM_API_VERSION)
		is_there(c, "KVM", "it has guarded modules, version %d", version);
	else if (version <= 0)
		stock_kvm(c);
	else
		is_missing(c, "KVM", "Build and install KVM, QEMU and the tools from one source, and load "
			   "KVM again", "its guarded modules have version %d, this program is for %d",
			   version, KVM_GM_API_VERSION);
	close(fd);
}

/* Does it end with 0, within time? */
static bool succeeds(char *const argv[])
{
	posix_spawn_file_actions_t actions;
	double deadline = now() + PROBE_SECONDS;
	int status;
	pid_t pid;
	bool ok;

	posix_spawn_file_actions_init(&actions);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	ok = !posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (!ok)
		return false;
	while (!waitpid(pid, &status, WNOHANG)) {
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
		if (now() < deadline)
			continue;
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return false;
	}
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool knows(const char *qemu, const char *option, const char *what)
{
	char *help = xasprintf("%s,help", what);
	char *argv[] = { (char *)qemu, (char *)"-machine", (char *)"none", (char *)option, help, NULL };
	bool known = succeeds(argv);

	free(help);
	return known;
}

static void check_qemu(struct check *c, const struct options *o)
{
	static const char install[] = "make install of this project installs qemu-system-x86_64-gm; or name "
		"it with --qemu or $GM_QEMU";

	if (!o->qemu)
		is_missing(c, "QEMU", install, "qemu-system-x86_64-gm is neither beside this program nor "
			   "on $PATH");
	else if (access(o->qemu, X_OK))
		is_missing(c, "QEMU", install, "%s: %s", o->qemu, strerror(errno));
	else if (!knows(o->qemu, "-device", "guarded-modules"))
		is_missing(c, "QEMU", install, "%s does not know the device guarded-modules", o->qemu);
	else if (o->nr_images && !knows(o->qemu, "-object", "guarded-module"))
		is_missing(c, "QEMU", install, "%s is too old for --image: it does not know the object "
			   "guarded-module", o->qemu);
	else if (o->nr_devices && !knows(o->qemu, "-device", "vfio-pci"))
		is_missing(c, "QEMU", install, "%s cannot pass devices through (no vfio-pci)", o->qemu);
	else
		is_there(c, "QEMU", "%s knows guarded modules", o->qemu);
}

static void check_firmware(struct check *c, const struct options *o)
{
	static const struct {
		const char *file, *how;
		bool kernel;
	} files[] = {
		{ "bios-256k.bin", "apt-get install seabios", false },
		{ "kvmvapic.bin", "apt-get install qemu-system-data", false },
		{ "linuxboot_dma.bin", "apt-get install qemu-system-data", true },
	};
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		bool found = files[i].kernel && !o->kernel;

		for (size_t k = 0; k < nr_data_folders && !found; k++) {
			char *path = xasprintf("%s/%s", data_folders[k], files[i].file);

			found = !access(path, R_OK);
			free(path);
		}
		if (!found)
			is_missing(c, "firmware", files[i].how, "%s is neither in %s nor in %s",
				   files[i].file, data_folders[0], data_folders[1]);
		all &= found;
	}
	if (all)
		is_there(c, "firmware", "all of QEMU's is there");
}

static void check_file(struct check *c, const char *what, const char *path, bool folder_too,
		       bool writable)
{
	char *safe;
	struct stat st;

	if (!path)
		return;
	safe = safe_text(path);
	if (stat(path, &st))
		is_missing(c, what, "Name a file that exists", "%s: %s", safe, strerror(errno));
	else if (S_ISDIR(st.st_mode) ? !folder_too : !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		is_missing(c, what, "Name another one", "%s is not a regular file%s", safe,
			   folder_too ? " or a folder" : "");
	else if (access(path, writable ? R_OK | W_OK : R_OK))
		is_missing(c, what, "Change its permissions (chmod, chown)", "%s: %s", safe,
			   strerror(errno));
	else
		is_there(c, what, "%s", safe);
	free(safe);
}

static void check_verifier(struct check *c, const struct options *o)
{
	if (o->no_verifier)
		is_there(c, "verifier", "none, as asked for: signatures alone count");
	else if (!o->verifier)
		is_missing(c, "verifier", "make install of this project installs it; or name it with "
			   "--verifier, or trust signatures alone with --no-verifier",
			   "gmcc is neither beside this program nor on $PATH");
	else if (access(o->verifier, X_OK))
		is_missing(c, "verifier", "Name another one", "%s: %s", o->verifier, strerror(errno));
	else
		is_there(c, "verifier", "%s", o->verifier);
}

unsigned int check_host(const struct options *o)
{
	struct check c = { .sysroot = o->sysroot, .verbose = o->check || o->verbose };

	check_cpu(&c);
	check_kvm(&c);
	check_qemu(&c, o);
	check_firmware(&c, o);
	check_verifier(&c, o);
	check_file(&c, "keyring", o->keyring, true, false);
	check_file(&c, "revocation lists", o->crl, true, false);
	check_file(&c, "kernel", o->kernel, false, false);
	check_file(&c, "initrd", o->initrd, false, false);
	check_file(&c, "disk", o->disk, false, true);
	for (size_t i = 0; i < o->nr_images; i++)
		check_file(&c, "image", o->images[i].file, false, false);
	if (o->nr_devices)
		check_passthrough(&c, o);
	return c.missing;
}
