// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU's command line. What comes from outside goes into JSON or has its commas
 * doubled, so that it is never taken for more options than one.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gm_run.h"

const char *const data_folders[] = { "/usr/share/qemu", "/usr/share/seabios" };
const size_t nr_data_folders = ARRAY_SIZE(data_folders);

static struct json_object *object(const char *key, const char *value)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, key, json_object_new_string(value));
	return o;
}

static void add(struct json_object *o, const char *key, const char *value)
{
	if (value)
		json_object_object_add(o, key, json_object_new_string(value));
}

/* OPTION JSON; takes the object over. */
static void add_json(struct list *l, const char *option, struct json_object *o)
{
	list_add(l, option);
	list_add(l, xstrdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							   JSON_C_TO_STRING_NOSLASHESCAPE)));
	json_object_put(o);
}

static void add_pair(struct list *l, const char *option, const char *value)
{
	list_add(l, option);
	list_add(l, value);
}

static char *double_commas(const char *s)
{
	char *doubled = xcalloc(2 * strlen(s) + 1, 1), *to = doubled;

	for (; *s; s++) {
		*to++ = *s;
		if (*s == ',')
			*to++ = ',';
	}
	return doubled;
}

static void add_monitor(struct list *l, const char *id, const char *path, const char *suffix)
{
	char *doubled = double_commas(path);

	add_pair(l, "-chardev", xasprintf("socket,id=%s,path=%s%s,server=on,wait=off", id, doubled,
					  suffix));
	add_pair(l, "-mon", xasprintf("chardev=%s,mode=control", id));
	free(doubled);
}

static void add_disk(struct list *l, const struct options *o)
{
	struct json_object *node = object("driver", o->disk_format), *device;
	struct json_object *file = object("driver", "file");

	if (!strncmp(o->disk, "/dev/", 5)) {
		json_object_put(file);
		file = object("driver", "host_device");
	}
	add(file, "filename", o->disk);
	add(node, "node-name", "gm-disk");
	json_object_object_add(node, "file", file);
	add_json(l, "-blockdev", node);
	device = object("driver", "virtio-blk-pci");
	add(device, "drive", "gm-disk");
	add_json(l, "-device", device);
}

static void add_guarded_modules(struct list *l, const struct options *o)
{
	struct json_object *device = object("driver", "guarded-modules");

	add(device, "keyring", o->keyring);
	add(device, "crl", o->crl);
	add(device, "violation-policy", o->policy);
	if (!o->no_verifier)
		add(device, "verifier", o->verifier ? o->verifier : "gmcc");
	add_json(l, "-device", device);
	for (size_t i = 0; i < o->nr_images; i++) {
		const struct image *image = &o->images[i];
		struct json_object *module = object("qom-type", "guarded-module"), *grants;
		char *id = xasprintf("gm-image%zu", i);

		add(module, "id", id);
		add(module, "file", image->file);
		add(module, "policy", image->policy);
		if (image->grants.count) {
			grants = json_object_new_array();
			for (size_t k = 0; k < image->grants.count; k++)
				json_object_array_add(grants,
						      json_object_new_string(image->grants.item[k]));
			json_object_object_add(module, "grants", grants);
		}
		add_json(l, "-object", module);
		free(id);
	}
}

char **qemu_command(const struct options *o, const char *qmp)
{
	struct list l = { 0 };
	size_t i;

	list_add(&l, o->qemu ? o->qemu : "qemu-system-x86_64-gm");
	for (i = 0; i < nr_data_folders; i++)
		if (!access(data_folders[i], F_OK))
			add_pair(&l, "-L", data_folders[i]);
	add_pair(&l, "-name", o->name);
	list_add(&l, "-nodefaults");
	list_add(&l, "-no-user-config");
	add_pair(&l, "-display", "none");
	add_pair(&l, "-machine", "q35");
	add_pair(&l, "-accel", "kvm,guarded-modules=on");
	/* The guest's own virtual machines and guarded modules exclude each other. */
	add_pair(&l, "-cpu", "host,svm=off,vmx=off");
	add_pair(&l, "-smp", o->cpus);
	add_pair(&l, "-m", o->memory);
	if (o->kernel)
		add_pair(&l, "-kernel", o->kernel);
	if (o->initrd)
		add_pair(&l, "-initrd", o->initrd);
	if (o->append)
		add_pair(&l, "-append", o->append);
	if (o->disk)
		add_disk(&l, o);
	if (o->console)
		add_pair(&l, "-serial", "mon:stdio");
	add_monitor(&l, "gm-qmp", qmp, "");
	add_monitor(&l, "gm-events", qmp, "-events");
	for (i = 0; i < o->nr_devices; i++) {
		struct json_object *device = object("driver", "vfio-pci");

		add(device, "host", o->devices[i].address);
		add(device, "id", o->devices[i].id);
		add_json(&l, "-device", device);
	}
	add_guarded_modules(&l, o);
	for (i = 0; o->extra[i]; i++)
		list_add(&l, o->extra[i]);
	list_add(&l, NULL);
	return (char **)l.item;
}

static void print_word(const char *word)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_";

	if (*word && word[strspn(word, plain)] == '\0') {
		fputs(word, stdout);
		return;
	}
	putchar('\'');
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*word);
	}
	putchar('\'');
}

void print_command(char **argv)
{
	for (size_t i = 0; argv[i]; i++) {
		if (i)
			fputs(argv[i][0] == '-' && argv[i][1] ? " \\\n\t" : " ", stdout);
		print_word(argv[i]);
	}
	putchar('\n');
}
