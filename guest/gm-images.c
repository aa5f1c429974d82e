// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gm-load: images, as the device shows them.
 *
 * The window shows one image, from a write to the select register until the
 * host unregisters that image or the next write. So what has been read is the
 * image that was looked for, whole, if its size and name are there afterwards.
 * Indices move when an earlier image is unregistered: a list counts if the next
 * one is the same.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gm-load.h"

#define TRIES		16
#define PAUSE		20000		/* us, between them */
#define MAX_IMAGES	1024		/* no host has as many */

/* What the window shows; false if nothing. */
static bool shown(struct image *image)
{
	uint32_t word;
	int i;

	image->size = device_register(GM_REG_SIZE);
	for (i = 0; i < NAME_LEN; i += 4) {
		word = device_register(GM_REG_NAME + i);
		memcpy(image->name + i, &word, 4);
	}
	image->name[NAME_LEN - 1] = '\0';
	/* Again: it may have gone between the size and the name. */
	return image->size && image->size == device_register(GM_REG_SIZE);
}

static bool same(const struct image *a, const struct image *b)
{
	return a->size == b->size && !strcmp(a->name, b->name);
}

static bool still_shown(const struct image *image)
{
	struct image now;

	return shown(&now) && same(&now, image);
}

/* One pass; false if the host changed something meanwhile. */
static bool list_once(struct images *images)
{
	uint32_t i, count = device_register(GM_REG_COUNT);
	struct image *image;

	if (count > MAX_IMAGES)
		die("the device says that it has %u images", count);
	images->count = 0;
	images->list = allocate(count * sizeof(*images->list));
	for (i = 0; i < count; i++) {
		image = &images->list[images->count++];
		device_select(i);
		if (!shown(image))
			return false;
		image->index = i;
		if (image->size > device_window())
			die("image %u (%s) has %zu bytes, the window %zu", i,
			    image->name, image->size, device_window());
	}
	return device_register(GM_REG_COUNT) == count;
}

static bool same_lists(const struct images *a, const struct images *b)
{
	size_t i;

	for (i = 0; i < a->count && i < b->count; i++)
		if (!same(&a->list[i], &b->list[i]))
			return false;
	return a->count == b->count;
}

static void __attribute__((noreturn)) give_up(void)
{
	die("the host keeps changing what it offers, also at the last of %d attempts: try again",
	    TRIES);
}

void images_free(struct images *images)
{
	size_t i;

	for (i = 0; i < images->count; i++)
		free(images->list[i].data);
	free(images->list);
	*images = (struct images){ 0 };
}

/* Is it the list of now? */
static bool confirmed(const struct images *images)
{
	struct images again = { 0 };
	bool is = list_once(&again) && same_lists(images, &again);

	images_free(&again);
	return is;
}

void images_list(struct images *images)
{
	int try;

	for (try = 0; try < TRIES; try++) {
		if (list_once(images) && confirmed(images))
			return;
		images_free(images);
		usleep(PAUSE);
	}
	give_up();
}

/* False if it is not there any more, or was not to the end. */
static bool read_once(struct image *image)
{
	device_select(image->index);
	image->data = allocate(image->size);
	device_copy(image->data, image->size);
	return still_shown(image);
}

/* By name, or else by index. */
static struct image *find(const struct images *images, const char *what)
{
	unsigned long index;
	char *end;
	size_t i;

	for (i = 0; i < images->count; i++)
		if (!strcmp(images->list[i].name, what))
			return &images->list[i];
	index = strtoul(what, &end, 10);
	if (*what >= '0' && *what <= '9' && !*end && index < images->count)
		return &images->list[index];
	return NULL;
}

static bool read_all(struct images *images)
{
	size_t i;

	for (i = 0; i < images->count; i++)
		if (!read_once(&images->list[i]))
			return false;
	return true;
}

/* What remains is the image that was asked for. */
static bool read_one(struct images *images, const char *what)
{
	struct image *image = find(images, what), found;

	if (!image)
		die("the host offers no image '%s' (%zu registered: see `gm-load list'); it is registered with gm_register at QEMU's monitor",
		    what, images->count);
	if (!read_once(image))
		return false;
	found = *image;
	images->list[0] = found;
	images->count = 1;
	return true;
}

void images_read(struct images *images, const char *what)
{
	int try;

	for (try = 0; try < TRIES; try++) {
		images_list(images);
		if (what ? read_one(images, what) : read_all(images))
			return;
		images_free(images);
		usleep(PAUSE);
	}
	give_up();
}

bool image_name_valid(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-";

	return *name && *name != '-' && !name[strspn(name, allowed)];
}

/* Part of the file, or NULL if it has none such. */
static const void *part(const struct image *image, uint64_t offset,
			uint64_t size)
{
	if (offset > image->size || size > image->size - offset)
		return NULL;
	return image->data + offset;
}

static bool section(const struct image *image, const Elf64_Ehdr *head,
		    unsigned int nr, Elf64_Shdr *to)
{
	const void *from = part(image, head->e_shoff, (uint64_t)head->e_shnum *
						      sizeof(*to));

	if (!from || nr >= head->e_shnum)
		return false;
	memcpy(to, (const char *)from + nr * sizeof(*to), sizeof(*to));
	return true;
}

/* The section .modinfo: NUL-terminated words KEY=VALUE. */
static const char *modinfo(const struct image *image, size_t *size)
{
	static const char name[] = ".modinfo";
	Elf64_Shdr names, this;
	const char *text;
	Elf64_Ehdr head;
	unsigned int i;

	if (image->size < sizeof(head))
		return NULL;
	memcpy(&head, image->data, sizeof(head));
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) ||
	    head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_shentsize != sizeof(this) ||
	    !section(image, &head, head.e_shstrndx, &names))
		return NULL;
	for (i = 0; section(image, &head, i, &this); i++) {
		if (this.sh_name > names.sh_size ||
		    names.sh_size - this.sh_name < sizeof(name) ||
		    !part(image, names.sh_offset, names.sh_size))
			continue;
		text = part(image, names.sh_offset + this.sh_name, sizeof(name));
		if (!text || memcmp(text, name, sizeof(name)))
			continue;
		text = part(image, this.sh_offset, this.sh_size);
		/* So that every word in it ends in it. */
		if (!text || !this.sh_size || text[this.sh_size - 1])
			return NULL;
		*size = this.sh_size;
		return text;
	}
	return NULL;
}

const char *image_info(const struct image *image, const char *key)
{
	const char *word, *end;
	size_t size;

	word = modinfo(image, &size);
	if (!word)
		return NULL;
	for (end = word + size; word < end; word += strlen(word) + 1)
		if (!strncmp(word, key, strlen(key)) && word[strlen(key)] == '=')
			return word + strlen(key) + 1;
	return NULL;
}
