// SPDX-License-Identifier: GPL-2.0
/*
 * gmcc in kbuild: from a module's unmodified sources to its image.
 *
 * As CC it is the kernel's own compiler with the notes' header on the path. As
 * LD (gmcc-ld) it is the linker; but the link that makes NAME.ko makes
 * NAME.gm.ko beside it, guarded, verified and, with a key, signed. A module that
 * cannot be guarded fails its link, so that make stops and makes it again.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gmcc.h"
#include "sign.h"
#include "spawn.h"
#include "verify.h"

static const char build_help[] =
"Usage: gmcc build [-k KERNEL-BUILD] [DIR] [-- MAKE-ARGUMENT...]\n"
"\n"
"Builds the module in DIR (by default here) by its own Kbuild or Makefile, and\n"
"leaves NAME.gm.ko beside each NAME.ko. The same as\n"
"  make -C KERNEL-BUILD M=DIR CC=gmcc LD=gmcc-ld modules\n"
"\n"
"  -k, --kernel DIR  by default /lib/modules/RELEASE/build of the running kernel\n"
"  -h, --help        this text\n"
"\n"
"GMCC_CC and GMCC_LD name the compiler and the linker (gcc, ld), GMCC_BTF the\n"
"kernel's BTF (vmlinux in KERNEL-BUILD), GMCC_POLICY the policy (NAME.gm.toml\n"
"beside the module), GMCC_KEY and GMCC_CERT sign the image.\n";

static const char *variable(const char *name, const char *otherwise)
{
	const char *s = getenv(name);

	return s && *s ? s : otherwise;
}

/* Where gmcc itself is. */
static const char *self(void)
{
	char *path = realpath("/proc/self/exe", NULL), *ret;

	if (!path)
		die("/proc/self/exe", "%s.", strerror(errno));
	ret = xasprintf("%s", path);
	free(path);
	return ret;
}

/* The folder of a header that modules include: installed, or in the source tree. */
static const char *include_folder(const char *header, const char *in_tree)
{
	const char *const places[] = { "../include/gmcc", in_tree };
	const char *dir = dirname(xasprintf("%s", self()));

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (!access(xasprintf("%s/%s/%s", dir, places[i], header), R_OK))
			return xasprintf("%s/%s", dir, places[i]);
	return NULL;
}

static int add_include(char **args, int n, const char *folder)
{
	if (folder) {
		args[n++] = xasprintf("-isystem");
		args[n++] = xasprintf("%s", folder);
	}
	return n;
}

int cmd_cc(int argc, char **argv)
{
	const char *include = variable("GMCC_INCLUDE", NULL), *cc = variable("GMCC_CC", "gcc");
	char **args = xalloc((argc + 5) * sizeof(*args));
	bool compiles = false;
	int n = 0;

	for (int i = 1; i < argc; i++)
		compiles |= !strcmp(argv[i], "-c") || !strcmp(argv[i], "-E") || !strcmp(argv[i], "-S");
	args[n++] = xasprintf("%s", cc);
	for (int i = 1; i < argc; i++)
		args[n++] = argv[i];
	if (compiles && include) {
		n = add_include(args, n, include);
	} else if (compiles) {
		n = add_include(args, n, include_folder("guarded_module.h", "../../guest/include"));
		n = add_include(args, n, include_folder("linux/kvm_gm.h", "../../kvm-gm/include/uapi"));
	}
	execvp(cc, args);
	die(cc, "cannot run the compiler: %s. Name it in GMCC_CC.", strerror(errno));
}

static int run_linker(char **argv)
{
	const char *ld = variable("GMCC_LD", "ld");
	int status;

	argv[0] = xasprintf("%s", ld);
	status = spawn_wait(ld, argv);
	if (status == SPAWN_NONE)
		die(ld, "no such linker. Name it in GMCC_LD.");
	return status;
}

/* What is linked into a module, NULL: something else. */
static const char *module_output(int argc, char **argv)
{
	const char *out = NULL;
	bool relocatable = false;
	size_t n;

	for (int i = 1; i < argc; i++) {
		relocatable |= !strcmp(argv[i], "-r");
		if (!strcmp(argv[i], "-o") && i + 1 < argc)
			out = argv[i + 1];
	}
	n = out ? strlen(out) : 0;
	return relocatable && n > 3 && !strcmp(out + n - 3, ".ko") ? out : NULL;
}

static const char *if_readable(const char *file)
{
	return access(file, R_OK) ? NULL : file;
}

/* A module whose image is refused has not been linked. */
static void drop_module(void *file)
{
	if (*(char *)file)
		unlink(file);
}

static void guard_module(const char *ko)
{
	const char *base = xasprintf("%.*s", (int)strlen(ko) - 3, ko), *out = xasprintf("%s.gm.ko", base);
	const char *key = variable("GMCC_KEY", NULL), *cert = variable("GMCC_CERT", NULL);
	struct options opt = {
		.btf = variable("GMCC_BTF", if_readable("vmlinux")),
		.policy = variable("GMCC_POLICY", if_readable(xasprintf("%s.gm.toml", base))),
	};
	char *dropped = xasprintf("%s", ko);
	size_t size;
	uint8_t *data;
	void *image;

	if (!key != !cert)
		die(ko, "GMCC_KEY and GMCC_CERT belong together. Give both, or none.");
	at_end(drop_module, dropped);
	data = read_input(ko, &size);
	guard_image(ko, data, size, &opt, &image, &size);
	if (!verified(out, image, size))
		die(ko, "the image does not verify. Report this module.");
	if (key)
		image = sign_bytes(out, image, size, key, cert, false, &size);
	write_output(out, image, size);
	*dropped = 0;
	printf("  GUARD   %s\n", out);
}

int cmd_ld(int argc, char **argv)
{
	const char *ko = module_output(argc, argv);
	int status = run_linker(argv);

	if (!status && ko)
		guard_module(ko);
	return status;
}

static const char *running_kernel(void)
{
	char release[256] = "";
	FILE *f = fopen("/proc/sys/kernel/osrelease", "r");

	if (!f || !fgets(release, sizeof(release), f))
		die("/proc/sys/kernel/osrelease", "%s.", strerror(errno));
	fclose(f);
	release[strcspn(release, "\n")] = 0;
	return xasprintf("/lib/modules/%s/build", release);
}

static int run_make(const char *kernel, const char *dir, int nr_extra, char **extra)
{
	const char *ld = xasprintf("%s/gmcc-ld", dirname(xasprintf("%s", self())));
	char **args = xalloc((nr_extra + 8) * sizeof(*args));
	char *full = realpath(dir, NULL);
	int n = 0;

	if (!full)
		die(dir, "%s.", strerror(errno));
	if (access(ld, X_OK))
		die(ld, "%s. Install gmcc whole.", strerror(errno));
	if (access(xasprintf("%s/Makefile", kernel), R_OK))
		die(kernel, "no kernel to build against. Install its headers, or name another with --kernel.");
	args[n++] = xasprintf("make");
	args[n++] = xasprintf("-C");
	args[n++] = xasprintf("%s", kernel);
	args[n++] = xasprintf("M=%s", full);
	args[n++] = xasprintf("CC=%s", self());
	args[n++] = xasprintf("LD=%s", ld);
	for (int i = 0; i < nr_extra; i++)
		args[n++] = extra[i];
	args[n++] = xasprintf("modules");
	free(full);
	fflush(NULL);
	execvp("make", args);
	die("make", "%s.", strerror(errno));
}

int cmd_build(int argc, char **argv)
{
	const char *kernel = NULL, *dir = ".";
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--"); i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(build_help, stdout);
			return 0;
		}
		if ((!strcmp(argv[i], "-k") || !strcmp(argv[i], "--kernel")) && i + 1 < argc) {
			kernel = argv[++i];
		} else if (argv[i][0] == '-') {
			fputs(build_help, stderr);
			return EXIT_USAGE;
		} else {
			dir = argv[i];
		}
	}
	i += i < argc;
	return run_make(kernel ? kernel : running_kernel(), dir, argc - i, argv + i);
}
