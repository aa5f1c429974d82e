// SPDX-License-Identifier: GPL-2.0
/*
 * gm-run: start a guest with guarded modules in one line. It looks whether the
 * host has all that is needed, says what is missing and how to get it, and runs
 * QEMU.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gm_run.h"

static const char help[] =
	"Usage: gm-run [OPTIONS] --keyring CERTS --kernel FILE | --disk FILE [-- QEMU-ARGUMENT...]\n"
	"       gm-run --check [OPTIONS]\n\n"
	"Starts a guest that can have guarded modules. Its console is on the terminal: Ctrl-A X ends\n"
	"it, Ctrl-A H tells more.\n\n"
	"The guest\n"
	"  --kernel FILE, --initrd FILE, --append TEXT\n"
	"                     a kernel, its initial file system and command line\n"
	"  --disk FILE[,format=raw|qcow2]\n"
	"                     an image of a disk; the format is told by .qcow2, .raw or .img, too\n"
	"  --memory SIZE      with K, M, G or T [1G]\n"
	"  --cpus N           [2]\n"
	"  --name NAME        for gmctl --name [guest-PID]\n"
	"  --no-console       leave the terminal alone; Ctrl-C ends the guest\n\n"
	"Guarded modules\n"
	"  --keyring CERTS    certificates of those who may sign, a file or a folder\n"
	"  --crl CRLS         lists of those that are revoked\n"
	"  --image FILE[,grant=SPEC]...[,policy=POLICY]\n"
	"                     register this image, with these privileges; may be repeated\n"
	"  --policy POLICY    what follows a violation: inject, stop or quarantine [inject]\n"
	"  --verifier PROGRAM, --no-verifier\n"
	"                     what proves that an image keeps the rules [gmcc]\n"
	"  --device-passthrough ADDRESS[,id=ID]\n"
	"                     give the guest this PCI device of the host, such as 0000:01:00.0;\n"
	"                     grant=mmio=ID makes it a module's alone; may be repeated\n\n"
	"The run\n"
	"  --qmp PATH         where the monitor is to be [$XDG_RUNTIME_DIR/gm-run/NAME/qmp]\n"
	"  --qemu PROGRAM     [$GM_QEMU, or qemu-system-x86_64-gm]\n"
	"  --check            only look whether the host has all that is needed\n"
	"  --dry-run          only print QEMU's command\n"
	"  -v, --verbose      say what is there, too, not only what is missing\n"
	"  --sysroot DIR      look at DIR/dev, DIR/proc and DIR/sys\n"
	"  --help, --version\n\n"
	"A comma in a file's name is written twice. Exit status: that of QEMU; before that 2: wrong\n"
	"usage, 3: the host lacks something, 4: QEMU was not started.\n";

enum {
	OPT_KERNEL = 0x100, OPT_INITRD, OPT_APPEND, OPT_DISK, OPT_MEMORY, OPT_CPUS, OPT_NAME,
	OPT_NO_CONSOLE, OPT_KEYRING, OPT_CRL, OPT_IMAGE, OPT_POLICY, OPT_VERIFIER,
	OPT_NO_VERIFIER, OPT_PASSTHROUGH, OPT_QMP, OPT_QEMU, OPT_CHECK, OPT_DRY_RUN,
	OPT_SYSROOT, OPT_VERSION,
};

static const struct option long_options[] = {
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "no-console", no_argument, NULL, OPT_NO_CONSOLE },
	{ "keyring", required_argument, NULL, OPT_KEYRING },
	{ "crl", required_argument, NULL, OPT_CRL },
	{ "image", required_argument, NULL, OPT_IMAGE },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "verifier", required_argument, NULL, OPT_VERIFIER },
	{ "no-verifier", no_argument, NULL, OPT_NO_VERIFIER },
	{ "device-passthrough", required_argument, NULL, OPT_PASSTHROUGH },
	{ "qmp", required_argument, NULL, OPT_QMP },
	{ "qemu", required_argument, NULL, OPT_QEMU },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "verbose", no_argument, NULL, 'v' },
	{ "sysroot", required_argument, NULL, OPT_SYSROOT },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 }
};

void list_add(struct list *l, const char *item)
{
	l->item = xrealloc(l->item, (l->count + 1) * sizeof(*l->item));
	l->item[l->count++] = item;
}

/* The part of *text up to the next comma that is not doubled; *text goes on behind it. */
static char *next_part(const char **text)
{
	char *part = xcalloc(strlen(*text) + 1, 1), *to = part;
	const char *s = *text;

	for (; *s; *to++ = *s++) {
		if (*s != ',')
			continue;
		if (s[1] != ',')
			break;
		s++;
	}
	*text = *s ? s + 1 : NULL;
	return part;
}

static const char *value_of(const char *part, const char *key)
{
	size_t n = strlen(key);

	return !strncmp(part, key, n) && part[n] == '=' && part[n + 1] ? part + n + 1 : NULL;
}

static const char *known_policy(const char *option, const char *policy)
{
	if (strcmp(policy, "inject") && strcmp(policy, "stop") && strcmp(policy, "quarantine"))
		usage_error(NULL, "%s: a policy is inject, stop or quarantine, not `%s'", option,
			    policy);
	return policy;
}

static void add_image(struct options *o, const char *text)
{
	struct image image = { .file = next_part(&text) };

	if (!*image.file)
		usage_error(NULL, "--image: the file is missing");
	while (text) {
		char *part = next_part(&text);

		if (value_of(part, "grant"))
			list_add(&image.grants, value_of(part, "grant"));
		else if (value_of(part, "policy"))
			image.policy = known_policy("--image", value_of(part, "policy"));
		else
			usage_error(NULL, "--image: `%s' is neither grant=SPEC nor policy=POLICY; a comma "
				    "in the file's name is written twice", part);
	}
	o->images = xrealloc(o->images, (o->nr_images + 1) * sizeof(image));
	o->images[o->nr_images++] = image;
}

static bool valid_id(const char *id)
{
	return isalpha((unsigned char)id[0]) && valid_name(id);
}

/* DOMAIN:BUS:DEVICE.FUNCTION in full, or NULL. */
static char *pci_address(const char *text)
{
	unsigned int domain = 0, bus, device, function;
	int end = -1;

	sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &end);
	if (end < 0 || text[end]) {
		domain = 0;
		end = -1;
		sscanf(text, "%2x:%2x.%1x%n", &bus, &device, &function, &end);
	}
	if (end < 0 || text[end] || device > 31 || function > 7)
		return NULL;
	return xasprintf("%04x:%02x:%02x.%x", domain, bus, device, function);
}

static void add_passthrough(struct options *o, const char *text)
{
	char *address = next_part(&text);
	struct passthrough p = { .address = pci_address(address) };

	if (!p.address)
		usage_error(NULL, "--device-passthrough: `%s' is no PCI address such as 0000:01:00.0",
			    address);
	free(address);
	while (text) {
		char *part = next_part(&text);

		p.id = value_of(part, "id");
		if (!p.id)
			usage_error(NULL, "--device-passthrough: `%s' is not id=ID", part);
		if (!valid_id(p.id))
			usage_error(NULL, "--device-passthrough: `%s' is no id: letters, digits, '.', '_' "
				    "and '-', a letter first", p.id);
	}
	o->devices = xrealloc(o->devices, (o->nr_devices + 1) * sizeof(p));
	o->devices[o->nr_devices++] = p;
}

/* Never guessed from what is in it: that is the guest's to write. */
static void set_disk(struct options *o, const char *text)
{
	static const struct {
		const char *suffix, *format;
	} formats[] = { { ".qcow2", "qcow2" }, { ".raw", "raw" }, { ".img", "raw" } };
	size_t length;

	o->disk = next_part(&text);
	o->disk_format = NULL;
	while (text) {
		char *part = next_part(&text);

		o->disk_format = value_of(part, "format");
		if (!o->disk_format || (strcmp(o->disk_format, "raw") &&
					strcmp(o->disk_format, "qcow2")))
			usage_error(NULL, "--disk: `%s' is not format=raw or format=qcow2", part);
	}
	length = strlen(o->disk);
	for (size_t i = 0; i < ARRAY_SIZE(formats) && !o->disk_format; i++) {
		size_t n = strlen(formats[i].suffix);

		if (length > n && !strcmp(o->disk + length - n, formats[i].suffix))
			o->disk_format = formats[i].format;
	}
	if (!o->disk_format)
		usage_error(NULL, "--disk: the format of `%s' is not known: add ,format=raw or "
			    ",format=qcow2", o->disk);
}

static void set_memory(struct options *o, const char *text)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	uint64_t n;
	int shift = 20;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		shift = unit ? 10 * (int)(unit - units + 1) : 64;
		end++;
	}
	if (!isdigit((unsigned char)*text) || errno || *end || shift > 40 || !n || n >> (63 - shift))
		usage_error(NULL, "--memory wants a size such as 512M or 4G, not `%s'", text);
	o->memory = text;
	o->memory_bytes = n << shift;
}

static void set_cpus(struct options *o, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || n < 1 || n > 1024)
		usage_error(NULL, "--cpus wants a number, 1 to 1024, not `%s'", text);
	o->cpus = text;
}

static void set_name(struct options *o, const char *text)
{
	if (!valid_name(text))
		usage_error(NULL, "--name: `%s' is no name: letters, digits, '.', '_' and '-', at most "
			    "60", text);
	o->name = xstrdup(text);
}

static bool runnable(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

/* Beside this program; where the build has it; on $PATH. NULL: nowhere. */
static char *find_program(const char *name, const char *in_build)
{
	char self[PATH_MAX], *path, *folders, *folder, *rest;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *environment = getenv("PATH");

	self[n > 0 ? n : 0] = '\0';
	if (strrchr(self, '/')) {
		*strrchr(self, '/') = '\0';
		path = xasprintf("%s/%s", self, name);
		if (runnable(path))
			return path;
		free(path);
		path = xasprintf("%s/%s", self, in_build);
		if (runnable(path))
			return path;
		free(path);
	}
	folders = xstrdup(environment ? environment : "");
	for (folder = strtok_r(folders, ":", &rest); folder; folder = strtok_r(NULL, ":", &rest)) {
		path = xasprintf("%s/%s", folder, name);
		if (*path == '/' && runnable(path)) {
			free(folders);
			return path;
		}
		free(path);
	}
	free(folders);
	return NULL;
}

static void find_programs(struct options *o)
{
	const char *environment = getenv("GM_QEMU");

	if (!o->qemu && environment && *environment)
		o->qemu = xstrdup(environment);
	if (!o->qemu)
		o->qemu = find_program("qemu-system-x86_64-gm", "../qemu/qemu-system-x86_64");
	if (!o->verifier && !o->no_verifier)
		o->verifier = find_program("gmcc", "../gmcc/gmcc");
}

static void set_option(struct options *o, int option, char *word)
{
	switch (option) {
	case OPT_KERNEL:
		o->kernel = optarg;
		break;
	case OPT_INITRD:
		o->initrd = optarg;
		break;
	case OPT_APPEND:
		o->append = optarg;
		break;
	case OPT_DISK:
		set_disk(o, optarg);
		break;
	case OPT_MEMORY:
		set_memory(o, optarg);
		break;
	case OPT_CPUS:
		set_cpus(o, optarg);
		break;
	case OPT_NAME:
		set_name(o, optarg);
		break;
	case OPT_NO_CONSOLE:
		o->console = false;
		break;
	case OPT_KEYRING:
		o->keyring = optarg;
		break;
	case OPT_CRL:
		o->crl = optarg;
		break;
	case OPT_IMAGE:
		add_image(o, optarg);
		break;
	case OPT_POLICY:
		o->policy = known_policy("--policy", optarg);
		break;
	case OPT_VERIFIER:
		o->verifier = xstrdup(optarg);
		break;
	case OPT_NO_VERIFIER:
		o->no_verifier = true;
		break;
	case OPT_PASSTHROUGH:
		add_passthrough(o, optarg);
		break;
	case OPT_QMP:
		o->qmp = optarg;
		break;
	case OPT_QEMU:
		o->qemu = xstrdup(optarg);
		break;
	case OPT_CHECK:
		o->check = true;
		break;
	case OPT_DRY_RUN:
		o->dry_run = true;
		break;
	case 'v':
		o->verbose = true;
		break;
	case OPT_SYSROOT:
		o->sysroot = optarg;
		break;
	case OPT_VERSION:
		printf("gm-run %s\n", GM_TOOLS_VERSION);
		finish_output();
		exit(EXIT_DONE);
	case 'h':
		fputs(help, stdout);
		finish_output();
		exit(EXIT_DONE);
	case 1:
		usage_error(NULL, "`%s' is no option; arguments for QEMU come after --", optarg);
	default:
		usage_error(NULL, "`%s': %s", word, option == ':' ? "its argument is missing" :
			    "no such option");
	}
}

/* What is wrong, but in one option alone. */
static void check_options(const struct options *o)
{
	if (!o->check && !o->kernel && !o->disk)
		usage_error(NULL, "there is nothing to start: --kernel FILE or --disk FILE is missing");
	if (!o->check && !o->keyring)
		usage_error(NULL, "--keyring is missing: the certificates of those who may sign modules");
	if (!o->kernel && (o->initrd || o->append))
		usage_error(NULL, "--initrd and --append need --kernel");
	if (o->no_verifier && o->verifier)
		usage_error(NULL, "--verifier and --no-verifier exclude each other");
	if (o->qmp && !*o->qmp)
		usage_error(NULL, "--qmp wants a path");
	if (o->check && o->dry_run)
		usage_error(NULL, "--check and --dry-run exclude each other");
	for (size_t i = 0; i < o->nr_devices; i++)
		for (size_t k = 0; k < i; k++)
			if (!strcmp(o->devices[i].address, o->devices[k].address) ||
			    (o->devices[i].id && o->devices[k].id &&
			     !strcmp(o->devices[i].id, o->devices[k].id)))
				usage_error(NULL, "--device-passthrough: two devices with the same "
					    "address or id");
}

int main(int argc, char **argv)
{
	struct options o = {
		.memory = "1G", .memory_bytes = 1UL << 30, .cpus = "2", .console = true,
		.sysroot = "",
	};
	unsigned int missing;
	int option;

	tool_name = "gm-run";
	setlocale(LC_CTYPE, "");
	/* In order, so that only what is behind -- is taken for QEMU's. */
	while ((option = getopt_long(argc, argv, "-:hv", long_options, NULL)) != -1)
		set_option(&o, option, argv[optind - 1]);
	o.extra = argv + optind;
	check_options(&o);
	if (!o.name)
		o.name = xasprintf("guest-%ld", (long)getpid());
	find_programs(&o);

	if (o.dry_run) {
		char *path = monitor_path(&o);

		print_command(qemu_command(&o, path));
		finish_output();
		return EXIT_DONE;
	}
	missing = check_host(&o);
	finish_output();
	if (missing && !o.check)
		message("the host lacks %u thing%s; nothing was started", missing,
			missing == 1 ? "" : "s");
	if (missing || o.check)
		return missing ? EXIT_HOST : EXIT_DONE;
	supervise(&o);
}
