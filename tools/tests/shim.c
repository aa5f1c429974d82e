// SPDX-License-Identifier: GPL-2.0
/*
 * For the tests of gm-run's checks, preloaded: a file named kvm answers as
 * /dev/kvm does, with $GM_TEST_VERSION for KVM_CAP_GM.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <linux/kvm_gm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int ioctl(int fd, unsigned long request, ...)
{
	const char *version = getenv("GM_TEST_VERSION");
	va_list args;
	long argument;

	(void)fd;
	va_start(args, request);
	argument = va_arg(args, long);
	va_end(args);
	if (version && *version && request == KVM_GET_API_VERSION)
		return KVM_API_VERSION;
	if (version && *version && request == KVM_CHECK_EXTENSION && argument == KVM_CAP_GM)
		return atoi(version);
	errno = ENOTTY;
	return -1;
}
