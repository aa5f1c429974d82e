// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gm-try: input devices that are made of nothing. A HID device (uhid) that sends
 * reports, and a remote control that receives what it sends (rc-loopback).
 * Prints what comes out at the other end of the kernel.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <linux/lirc.h>
#include <linux/uhid.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "gm-try.h"

#define WAIT_MS		5000
#define HID_NAME	"gm-try"

static void uhid_send(int fd, const struct uhid_event *event)
{
	if (write(fd, event, sizeof(*event)) != sizeof(*event))
		die("uhid: event %u: %s", event->type, strerror(errno));
}

/* The event device of our HID device: found by its name, once it is there. */
static int open_events(void)
{
	char name[256], path[300];
	struct dirent *entry;
	DIR *folder;
	int fd;

	for (int waited = 0; waited < WAIT_MS; waited += 50, usleep(50000)) {
		folder = opendir("/dev/input");
		while (folder && (entry = readdir(folder))) {
			snprintf(path, sizeof(path), "/dev/input/%s", entry->d_name);
			if (strncmp(entry->d_name, "event", 5) || (fd = open(path, O_RDONLY)) < 0)
				continue;
			if (ioctl(fd, EVIOCGNAME(sizeof(name)), name) > 0 &&
			    !strncmp(name, HID_NAME, strlen(HID_NAME))) {
				closedir(folder);
				return fd;
			}
			close(fd);
		}
		if (folder)
			closedir(folder);
	}
	die("no event device came up");
}

/* All that is there until nothing comes for a while: "TYPE CODE VALUE", no syncs. */
static void print_events(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	struct input_event event;

	while (poll(&ready, 1, 500) > 0) {
		if (read(fd, &event, sizeof(event)) != sizeof(event))
			die("event device: %s", strerror(errno));
		if (event.type != EV_SYN && event.type != EV_MSC)
			printf("%u %u %d\n", event.type, event.code, event.value);
	}
}

int hid(const char *ids, const char *descriptor, char **reports)
{
	static struct uhid_event create = { .type = UHID_CREATE2 }, input = { .type = UHID_INPUT2 };
	static const struct uhid_event destroy = { .type = UHID_DESTROY };
	static uint8_t data[BYTES_MAX];
	int fd = open("/dev/uhid", O_RDWR), events, waited = 0;
	struct pollfd ready = { .events = POLLIN };
	size_t size = bytes(descriptor, data);

	if (fd < 0)
		die("/dev/uhid: %s", strerror(errno));
	if (sscanf(ids, "%hx:%x:%x", &create.u.create2.bus, &create.u.create2.vendor,
		   &create.u.create2.product) != 3 || size > sizeof(create.u.create2.rd_data))
		die("'%s' is not BUS:VENDOR:PRODUCT, or the descriptor is too long", ids);
	strcpy((char *)create.u.create2.name, HID_NAME);
	create.u.create2.rd_size = size;
	memcpy(create.u.create2.rd_data, data, size);
	uhid_send(fd, &create);
	ready.fd = events = open_events();
	for (char **report = reports; *report; report++) {
		size = bytes(*report, data);
		if (size > sizeof(input.u.input2.data))
			die("a report of %zu bytes", size);
		input.u.input2.size = size;
		memcpy(input.u.input2.data, data, size);
		/* The first ones are lost while the driver still sets up the device. */
		do
			uhid_send(fd, &input);
		while (report == reports && !poll(&ready, 1, 100) && (waited += 100) < WAIT_MS);
	}
	print_events(events);
	close(events);
	uhid_send(fd, &destroy);
	return 0;
}

/* Sends a scancode, and prints the protocol and the scancode that are received. */
int lirc(const char *device, const char *protocol, const char *scancode)
{
	struct lirc_scancode code = { .rc_proto = strtoul(protocol, NULL, 10),
				      .scancode = strtoull(scancode, NULL, 16) };
	uint32_t mode = LIRC_MODE_SCANCODE;
	int out = open(device, O_RDWR), in = open(device, O_RDONLY);
	struct pollfd ready = { .fd = in, .events = POLLIN };

	if (out < 0 || in < 0 || ioctl(in, LIRC_SET_REC_MODE, &mode) ||
	    ioctl(out, LIRC_SET_SEND_MODE, &mode))
		die("%s: %s", device, strerror(errno));
	if (write(out, &code, sizeof(code)) != sizeof(code))
		die("%s: write: %s", device, strerror(errno));
	if (poll(&ready, 1, WAIT_MS) != 1 || read(in, &code, sizeof(code)) != sizeof(code))
		die("%s: nothing was received", device);
	printf("%u %llx\n", code.rc_proto, (unsigned long long)code.scancode);
	return 0;
}
