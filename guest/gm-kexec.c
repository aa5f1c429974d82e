// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gm-kexec KERNEL INITRD COMMAND-LINE: run another kernel in this one's place,
 * without a word to any module of this one. For tests of the guest's side; kexec
 * (kexec-tools) is what one uses otherwise.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fputs("usage: gm-kexec KERNEL INITRD COMMAND-LINE\n", stderr);
		return 2;
	}
	if (syscall(SYS_kexec_file_load, open_file(argv[1]), open_file(argv[2]),
		    strlen(argv[3]) + 1, argv[3], 0UL))
		err(1, "kexec_file_load");
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		LINUX_REBOOT_CMD_KEXEC, NULL);
	err(1, "reboot");
}
