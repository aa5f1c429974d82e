// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gm-load: fetch guarded images from the `guarded-modules' PCI device, and
 * load them. Runs in the guest, as root, static, without libraries.
 *
 * Loading is init_module(2), as for every other module, or modprobe's, which
 * gm-load only puts the files in place for. Nothing here is trusted: what gets
 * to the kernel counts as guarded only once KVM has sealed it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gm-load.h"

#ifndef GM_VERSION
#define GM_VERSION	"unknown"
#endif

#define MAX_PARAMETERS	4096

static int status = EXIT_DONE;

static void say(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("gm-load: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	exit(EXIT_FAILED);
}

void complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	status = EXIT_FAILED;
}

void *allocate(size_t size)
{
	void *p = calloc(1, size ?: 1);

	if (!p)
		die("no memory for %zu bytes", size);
	return p;
}

static void usage(FILE *to)
{
	fputs("Usage: gm-load list [--json]               show the images that the host offers\n"
	      "       gm-load sync [OPTION...]            put all where modprobe finds them\n"
	      "         -d, --directory=DIR               ... in DIR, not in updates/guarded of the\n"
	      "                                           running kernel's modules\n"
	      "             --no-depmod                   do not run depmod\n"
	      "       gm-load config                      print a modprobe.d file that does without sync\n"
	      "       gm-load insert NAME|INDEX [PARAM...] load one into this kernel\n"
	      "       gm-load NAME [PARAM...]             the same, if no command has that name\n"
	      "       gm-load fetch NAME|INDEX FILE       write one to a file\n"
	      "       gm-load --help, gm-load --version\n"
	      "The guest's side of guarded modules: see gm-load(8).\n", to);
}

static void __attribute__((noreturn, format(printf, 1, 2)))
misused(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	fputs("Try `gm-load --help'.\n", stderr);
	exit(EXIT_USAGE);
}

static void no_more(int argc, char **argv, int at)
{
	if (at < argc)
		misused("%s: what is '%s' for?", argv[0], argv[at]);
}

/* Drop what no other program should have to cope with. */
static void drop_nameless(struct images *images)
{
	size_t i, count = 0;

	for (i = 0; i < images->count; i++) {
		struct image *image = &images->list[i];

		if (image_name_valid(image->name)) {
			images->list[count++] = *image;
			continue;
		}
		complain("image %u: '%s' is no module's name; skipped",
			 image->index, image->name);
		free(image->data);
	}
	images->count = count;
}

static void print_json(const struct images *images)
{
	size_t i;

	putchar('[');
	for (i = 0; i < images->count; i++)
		printf("%s\n  {\"index\": %u, \"name\": \"%s\", \"size\": %zu}",
		       i ? "," : "", images->list[i].index,
		       images->list[i].name, images->list[i].size);
	puts(images->count ? "\n]" : "]");
}

static void list(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ }
	};
	struct images images = { 0 };
	bool json = false;
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c != 'j')
			misused("list: '%s' is no option of it", argv[optind - 1]);
		json = true;
	}
	no_more(argc, argv, optind);
	device_open();
	images_list(&images);
	if (json) {
		drop_nameless(&images);
		print_json(&images);
	} else {
		for (i = 0; i < images.count; i++)
			printf("%u %s %zu\n", images.list[i].index,
			       images.list[i].name, images.list[i].size);
		fflush(stdout);
		fprintf(stderr, "gm-load: %zu image%s\n", images.count,
			images.count == 1 ? "" : "s");
	}
	images_free(&images);
}

static void synchronize(int argc, char **argv)
{
	static const struct option options[] = {
		{ "directory", required_argument, NULL, 'd' },
		{ "no-depmod", no_argument, NULL, 'n' },
		{ }
	};
	const char *directory = NULL;
	bool depmod = true;
	int c;

	while ((c = getopt_long(argc, argv, ":d:", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			directory = optarg;
			break;
		case 'n':
			depmod = false;
			break;
		case ':':
			misused("sync: '%s' wants a directory", argv[optind - 1]);
		default:
			misused("sync: '%s' is no option of it", argv[optind - 1]);
		}
	}
	no_more(argc, argv, optind);
	device_open();
	sync_directory(directory, depmod);
}

/*
 * modprobe loads what the stock module of that name depends on before it runs
 * the command; the image's own dependencies need not be the same.
 */
static void config(int argc, char **argv)
{
	struct images images = { 0 };
	const char *depends;
	char self[4096];
	ssize_t n;
	size_t i;

	no_more(argc, argv, 1);
	device_open();
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		die("cannot tell where gm-load is: /proc/self/exe: %s",
		    strerror(errno));
	self[n] = '\0';
	images_read(&images, NULL);
	drop_nameless(&images);
	printf("# Written by `gm-load config', for modprobe.d(5).\n");
	for (i = 0; i < images.count; i++) {
		const struct image *image = &images.list[i];

		printf("install %s ", image->name);
		depends = image_info(image, "depends");
		if (depends && *depends) {
			printf("/sbin/modprobe -a ");
			for (; *depends; depends++)
				putchar(*depends == ',' ? ' ' : *depends);
			printf(" && ");
		}
		printf("%s insert %s $CMDLINE_OPTS\n", self, image->name);
	}
	images_free(&images);
}

static void fetch(int argc, char **argv)
{
	struct images images = { 0 };
	const struct image *image;
	const char *file;
	FILE *f;

	if (argc < 3)
		misused("fetch: which image, and to which file?");
	no_more(argc, argv, 3);
	device_open();
	images_read(&images, argv[1]);
	image = images.list;
	file = argv[2];
	f = fopen(file, "wb");
	if (!f)
		die("cannot create %s: %s", file, strerror(errno));
	if (fwrite(image->data, 1, image->size, f) != image->size || fclose(f)) {
		int err = errno;
		struct stat st;

		if (!stat(file, &st) && S_ISREG(st.st_mode))
			unlink(file);
		die("cannot write %s: %s", file, strerror(err));
	}
	printf("%s: %zu bytes\n", image->name, image->size);
	images_free(&images);
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
		return " (not root, modules are disabled, or the host has the module in quarantine)";
	case EKEYREJECTED:
		return " (this kernel does not trust the signer)";
	case EBUSY:
		return " (it is sealed already)";
	default:
		return "";
	}
}

static void insert(int argc, char **argv)
{
	char line[MAX_PARAMETERS] = "";
	struct images images = { 0 };
	const struct image *image;
	const char *depends;
	size_t used = 0;
	int i;

	if (argc < 2)
		misused("insert: which image?");
	for (i = 2; i < argc; i++) {
		int n = snprintf(line + used, sizeof(line) - used, "%s%s",
				 used ? " " : "", argv[i]);

		if ((size_t)n >= sizeof(line) - used)
			die("too many parameters: %d bytes are the limit",
			    MAX_PARAMETERS - 1);
		used += n;
	}
	device_open();
	images_read(&images, argv[1]);
	image = images.list;
	if (syscall(SYS_init_module, image->data, image->size, line)) {
		int err = errno;

		depends = image_info(image, "depends");
		if (err == ENOENT && depends && *depends)
			die("cannot load %s: %s%s; it depends on %s: load that first",
			    image->name, strerror(err), explain(err), depends);
		die("cannot load %s: %s%s", image->name, strerror(err),
		    explain(err));
	}
	printf("%s: loaded\n", image->name);
	images_free(&images);
}

static const struct command {
	const char *name;
	void (*run)(int argc, char **argv);	/* argv[0] is its name */
} commands[] = {
	{ "list", list },
	{ "sync", synchronize },
	{ "config", config },
	{ "fetch", fetch },
	{ "insert", insert },
};

static void run(int argc, char **argv)
{
	size_t i;

	if (!argc) {
		usage(stderr);
		exit(EXIT_USAGE);
	}
	if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h") ||
	    (argc == 2 && !strcmp(argv[1], "--help"))) {
		usage(stdout);
		return;
	}
	if (!strcmp(argv[0], "--version") || !strcmp(argv[0], "-V")) {
		printf("gm-load %s (guarded modules, device revision %d)\n",
		       GM_VERSION, GM_PCI_REVISION);
		return;
	}
	if (*argv[0] == '-' || !*argv[0])
		misused("there is no option '%s'", argv[0]);
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (!strcmp(argv[0], commands[i].name)) {
			opterr = 0;
			commands[i].run(argc, argv);
			return;
		}
	}
	insert(argc + 1, argv - 1);
}

int main(int argc, char **argv)
{
	run(argc - 1, argv + 1);
	if (fflush(stdout) || ferror(stdout))
		die("cannot write: %s", strerror(errno));
	return status;
}
