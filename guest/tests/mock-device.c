// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A device for gm-load's tests, as the file GM_MOCK says, one word a line:
 *
 *	image NAME FILE			registered from the beginning
 *	at N unregister NAME		before access N, counted from 1
 *	at N register NAME FILE		the same
 *	every N				before each Nth access the first image
 *					is registered anew
 *	window SIZE
 *
 * Without GM_MOCK there is no device. It keeps the device's rules: an image
 * that is unregistered leaves the window, and nothing else does but a select.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../gm-load.h"

#define MAX	64

static struct image images[MAX], events[MAX], selected;
static int when[MAX];
static bool removes[MAX];
static int nr_images, nr_events, accesses, period;
static size_t window = 1 << 20;

static struct image load(const char *name, const char *file)
{
	struct image image = { 0 };
	FILE *f = fopen(file, "rb");

	if (!f)
		die("mock: no file %s", file);
	/* Not terminated if it is as long as the register. */
	strncpy(image.name, name, sizeof(image.name));
	image.data = allocate(1 << 20);
	image.size = fread(image.data, 1, 1 << 20, f);
	fclose(f);
	return image;
}

static void add(struct image image)
{
	images[nr_images++] = image;
}

static void drop(int at)
{
	if (selected.data == images[at].data)
		selected = (struct image){ 0 };
	memmove(&images[at], &images[at + 1],
		(--nr_images - at) * sizeof(images[0]));
}

static void happen(int event)
{
	int i;

	if (!removes[event]) {
		add(events[event]);
		return;
	}
	for (i = 0; i < nr_images; i++)
		if (!strcmp(images[i].name, events[event].name)) {
			drop(i);
			return;
		}
}

static void access_device(void)
{
	struct image first;
	int i;

	accesses++;
	for (i = 0; i < nr_events; i++)
		if (when[i] == accesses)
			happen(i);
	if (period && accesses % period == 0) {
		first = images[0];
		drop(0);
		add(first);
	}
}

void device_open(void)
{
	const char *path = getenv("GM_MOCK");
	char line[512], name[100], file[400];
	FILE *f = path ? fopen(path, "r") : NULL;
	int at;

	if (!f) {
		fputs("gm-load: mock: no device\n", stderr);
		exit(EXIT_NO_DEVICE);
	}
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '\n') {
			continue;
		} else if (sscanf(line, "image %99s %399s", name, file) == 2) {
			add(load(name, file));
		} else if (sscanf(line, "at %d unregister %99s", &at, name) == 2) {
			when[nr_events] = at;
			removes[nr_events] = true;
			snprintf(events[nr_events++].name, NAME_LEN, "%.63s", name);
		} else if (sscanf(line, "at %d register %99s %399s", &at, name,
				  file) == 3) {
			when[nr_events] = at;
			events[nr_events++] = load(name, file);
		} else if (sscanf(line, "every %d", &period) != 1 &&
			   sscanf(line, "window %zu", &window) != 1) {
			die("mock: what is %s", line);
		}
	}
	fclose(f);
}

uint32_t device_register(unsigned int offset)
{
	uint32_t word = 0;

	access_device();
	if (offset == GM_REG_COUNT)
		return nr_images;
	if (offset == GM_REG_SIZE)
		return selected.size;
	if (offset >= GM_REG_NAME && offset < GM_REG_NAME + NAME_LEN)
		memcpy(&word, selected.name + offset - GM_REG_NAME, 4);
	return word;
}

void device_select(uint32_t index)
{
	access_device();
	selected = index < (uint32_t)nr_images ? images[index] : (struct image){ 0 };
}

size_t device_window(void)
{
	return window;
}

/* An image that goes in the middle is there no longer in the second half. */
void device_copy(void *to, size_t size)
{
	size_t half = size / 2;

	memset(to, 0, size);
	access_device();
	if (selected.data)
		memcpy(to, selected.data, half);
	access_device();
	if (selected.data)
		memcpy((char *)to + half, selected.data + half, size - half);
}
