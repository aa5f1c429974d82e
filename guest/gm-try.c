// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gm-try: what busybox cannot do with the modules that the tests load: the
 * kernel's ciphers (AF_ALG), links with attributes (rtnetlink), a TUN device
 * that answers, device-mapper tables; gm-try-input.c and gm-try-filter.c have
 * more. Runs in the guest, static.
 *
 * Everything is printed in hex, and compared by who calls.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/if_alg.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gm-try.h"

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("gm-try: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static int usage(FILE *to, int status)
{
	fputs("Usage: gm-try hash ALGORITHM HEX [KEY]       the digest\n"
	      "       gm-try cipher ALGORITHM KEY IV HEX     encrypted, after proof that it decrypts\n"
	      "       gm-try aead ALGORITHM KEY IV HEX TAG   the same, with a tag of TAG bytes\n"
	      "       gm-try link NAME KIND [link=NAME] [ATTRIBUTE=HEX...]  add a link\n"
	      "       gm-try tun NAME                        a TUN device that answers pings\n"
	      "       gm-try dm NAME SECTORS TARGET [PARAMETERS]  a mapped device, its minor\n"
	      "       gm-try undm NAME                       remove it\n"
	      "       gm-try hid BUS:VENDOR:PRODUCT HEX REPORT...  a HID device, its descriptor and\n"
	      "                                              reports: the events, TYPE CODE VALUE\n"
	      "       gm-try lirc DEVICE PROTOCOL SCANCODE   sent, and received by the same device\n"
	      "       gm-try rule TABLE [CHAIN TARGET [MATCH[.REVISION]=HEX...]]  all that an IPv4\n"
	      "                                              packet filter's table has\n"
	      "HEX is an even number of digits; HEX*N repeats it, '-' is nothing.\n", to);
	return status;
}

size_t bytes(const char *text, uint8_t *to)
{
	size_t once = 0, all, digits = strspn(text, "0123456789abcdef");
	unsigned long times = 1;
	unsigned int byte;

	if (!strcmp(text, "-"))
		return 0;
	if (text[digits] == '*')
		times = strtoul(text + digits + 1, NULL, 10);
	else if (text[digits])
		die("'%s' is not hex", text);
	if (digits % 2 || times > BYTES_MAX || digits / 2 * times > BYTES_MAX)
		die("'%s' has a bad length", text);
	for (; once < digits / 2; once++) {
		sscanf(text + 2 * once, "%2x", &byte);
		to[once] = byte;
	}
	all = once * times;
	for (size_t i = once; i < all; i++)
		to[i] = to[i - once];
	return all;
}

static void print_bytes(const uint8_t *data, size_t size)
{
	while (size--)
		printf("%02x", *data++);
	putchar('\n');
}

void copy_name(char *to, size_t room, const char *name)
{
	if (strlen(name) >= room)
		die("'%s' is too long", name);
	memset(to, 0, room);
	memcpy(to, name, strlen(name));
}

/* A socket for operations of an algorithm. */
static int algorithm(const char *type, const char *name, const char *key, unsigned int tag)
{
	struct sockaddr_alg address = { .salg_family = AF_ALG };
	int fd = socket(AF_ALG, SOCK_SEQPACKET, 0), operation;
	static uint8_t data[BYTES_MAX];
	size_t size;

	copy_name((char *)address.salg_type, sizeof(address.salg_type), type);
	copy_name((char *)address.salg_name, sizeof(address.salg_name), name);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die("%s %s: %s", type, name, strerror(errno));
	if (key) {
		size = bytes(key, data);
		if (setsockopt(fd, SOL_ALG, ALG_SET_KEY, data, size))
			die("%s: key of %zu bytes: %s", name, size, strerror(errno));
	}
	if (tag && setsockopt(fd, SOL_ALG, ALG_SET_AEAD_AUTHSIZE, NULL, tag))
		die("%s: tag of %u bytes: %s", name, tag, strerror(errno));
	operation = accept(fd, NULL, NULL);
	if (operation < 0)
		die("%s: accept: %s", name, strerror(errno));
	close(fd);
	return operation;
}

static int hash(const char *name, const char *hex, const char *key)
{
	static uint8_t data[BYTES_MAX];
	int fd = algorithm("hash", name, key, 0);
	size_t size = bytes(hex, data);
	ssize_t got;

	if (send(fd, data, size, 0) != (ssize_t)size)
		die("%s: send: %s", name, strerror(errno));
	got = read(fd, data, sizeof(data));
	if (got < 0)
		die("%s: read: %s", name, strerror(errno));
	print_bytes(data, got);
	return 0;
}

/* One operation; `room' bytes of output are asked for. */
static size_t crypt_once(int fd, uint32_t operation, const char *iv, const uint8_t *in,
			 size_t size, uint8_t *out, size_t room)
{
	static uint8_t iv_bytes[BYTES_MAX];
	size_t iv_size = bytes(iv, iv_bytes);
	char control[CMSG_SPACE(4) + CMSG_SPACE(sizeof(struct af_alg_iv) + 64)] = "";
	struct iovec data = { .iov_base = (void *)in, .iov_len = size };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	struct af_alg_iv *alg_iv;
	ssize_t got;

	if (iv_size > 64)
		die("an IV of %zu bytes", iv_size);
	header->cmsg_level = SOL_ALG;
	header->cmsg_type = ALG_SET_OP;
	header->cmsg_len = CMSG_LEN(4);
	memcpy(CMSG_DATA(header), &operation, 4);
	message.msg_controllen = CMSG_SPACE(4);
	if (iv_size) {
		message.msg_controllen += CMSG_SPACE(sizeof(*alg_iv) + iv_size);
		header = CMSG_NXTHDR(&message, header);
		header->cmsg_level = SOL_ALG;
		header->cmsg_type = ALG_SET_IV;
		header->cmsg_len = CMSG_LEN(sizeof(*alg_iv) + iv_size);
		alg_iv = (struct af_alg_iv *)CMSG_DATA(header);
		alg_iv->ivlen = iv_size;
		memcpy(alg_iv->iv, iv_bytes, iv_size);
	}
	if (sendmsg(fd, &message, 0) != (ssize_t)size)
		die("sendmsg: %s", strerror(errno));
	got = read(fd, out, room);
	if (got < 0)
		die("read: %s", strerror(errno));
	return got;
}

static int cipher(const char *type, const char *name, const char *key, const char *iv,
		  const char *hex, unsigned int tag)
{
	static uint8_t plain[BYTES_MAX], sealed[BYTES_MAX + 64], back[BYTES_MAX];
	size_t size = bytes(hex, plain), got;
	int fd = algorithm(type, name, key, tag);

	if (tag > 64)
		die("a tag of %u bytes", tag);
	got = crypt_once(fd, ALG_OP_ENCRYPT, iv, plain, size, sealed, size + tag);
	if (got != size + tag)
		die("%s: %zu bytes became %zu", name, size, got);
	if (crypt_once(fd, ALG_OP_DECRYPT, iv, sealed, got, back, size) != size ||
	    memcmp(plain, back, size))
		die("%s: what was encrypted does not decrypt", name);
	print_bytes(sealed, got);
	return 0;
}

static struct rtattr *attribute(struct nlmsghdr *header, uint16_t type, const void *data,
				size_t size)
{
	struct rtattr *attr = (void *)((char *)header + NLMSG_ALIGN(header->nlmsg_len));

	attr->rta_type = type;
	attr->rta_len = RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(attr), data, size);
	header->nlmsg_len = NLMSG_ALIGN(header->nlmsg_len) + RTA_ALIGN(attr->rta_len);
	return attr;
}

static void end_attribute(struct nlmsghdr *header, struct rtattr *attr)
{
	attr->rta_len = (char *)header + header->nlmsg_len - (char *)attr;
}

static int add_link(const char *name, const char *kind, char **words)
{
	static struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
		char room[4096];
	} request = {
		.header = {
			.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
			.nlmsg_type = RTM_NEWLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
		},
	};
	static uint8_t value[BYTES_MAX];
	struct { struct nlmsghdr header; struct nlmsgerr error; char room[1024]; } answer;
	struct nlmsghdr *header = &request.header;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct rtattr *info, *data;
	uint32_t parent;
	char *end;

	attribute(header, IFLA_IFNAME, name, strlen(name) + 1);
	if (*words && !strncmp(*words, "link=", 5)) {
		parent = if_nametoindex(*words++ + 5);
		attribute(header, IFLA_LINK, &parent, sizeof(parent));
	}
	info = attribute(header, IFLA_LINKINFO, NULL, 0);
	attribute(header, IFLA_INFO_KIND, kind, strlen(kind));
	data = attribute(header, IFLA_INFO_DATA, NULL, 0);
	for (; *words; words++) {
		unsigned long type = strtoul(*words, &end, 10);
		size_t size;

		if (*end != '=' || (size = bytes(end + 1, value)) > 256)
			die("'%s' is no attribute", *words);
		attribute(header, type, value, size);
	}
	end_attribute(header, data);
	end_attribute(header, info);
	if (fd < 0 || send(fd, &request, header->nlmsg_len, 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(answer.error)))
		die("rtnetlink: %s", strerror(errno));
	if (answer.header.nlmsg_type != NLMSG_ERROR || answer.error.error)
		die("link %s of kind %s: %s", name, kind, strerror(-answer.error.error));
	return 0;
}

/* Swap source and destination of each IPv4 echo request, and make it a reply. */
static int tun(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR);
	uint8_t packet[2048], address[4];
	uint32_t sum;
	ssize_t size;

	copy_name(request.ifr_name, sizeof(request.ifr_name), name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request))
		die("tun %s: %s", name, strerror(errno));
	while ((size = read(fd, packet, sizeof(packet))) > 0) {
		if (size < 28 || packet[0] != 0x45 || packet[9] != IPPROTO_ICMP || packet[20] != 8)
			continue;
		memcpy(address, packet + 12, 4);
		memcpy(packet + 12, packet + 16, 4);
		memcpy(packet + 16, address, 4);
		packet[20] = 0;
		/* RFC 1624: the type went down by 8 << 8. */
		sum = (packet[22] << 8 | packet[23]) + 0x800;
		sum = (sum & 0xffff) + (sum >> 16);
		packet[22] = sum >> 8;
		packet[23] = sum;
		if (write(fd, packet, size) != size)
			die("tun %s: write: %s", name, strerror(errno));
	}
	die("tun %s: read: %s", name, strerror(errno));
}

struct dm_request {
	struct dm_ioctl io;
	struct dm_target_spec target;
	char parameters[1024];
};

static void dm_ioctl(struct dm_request *request, unsigned long command, const char *what,
		     const char *name)
{
	int fd = open("/dev/mapper/control", O_RDWR);

	request->io.version[0] = DM_VERSION_MAJOR;
	request->io.data_size = sizeof(*request);
	request->io.data_start = offsetof(struct dm_request, target);
	copy_name(request->io.name, sizeof(request->io.name), name);
	if (fd < 0 || ioctl(fd, command, request))
		die("dm %s %s: %s", what, name, strerror(errno));
	close(fd);
}

static int dm(const char *name, const char *sectors, const char *target, const char *parameters)
{
	struct dm_request request = { 0 };

	dm_ioctl(&request, DM_DEV_CREATE, "create", name);
	memset(&request, 0, sizeof(request));
	request.io.target_count = 1;
	request.target.length = strtoull(sectors, NULL, 10);
	copy_name(request.target.target_type, sizeof(request.target.target_type), target);
	copy_name(request.parameters, sizeof(request.parameters), parameters);
	request.target.next = sizeof(request.target) + sizeof(request.parameters);
	dm_ioctl(&request, DM_TABLE_LOAD, "load", name);
	memset(&request, 0, sizeof(request));
	dm_ioctl(&request, DM_DEV_SUSPEND, "resume", name);
	printf("%u\n", (unsigned int)(request.io.dev & 0xff));
	return 0;
}

static int undm(const char *name)
{
	struct dm_request request = { 0 };

	dm_ioctl(&request, DM_DEV_REMOVE, "remove", name);
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (!strcmp(command, "--help") || !strcmp(command, "-h"))
		return usage(stdout, 0);
	if (!strcmp(command, "hash") && (argc == 4 || argc == 5))
		return hash(argv[2], argv[3], argv[4]);
	if (!strcmp(command, "cipher") && argc == 6)
		return cipher("skcipher", argv[2], argv[3], argv[4], argv[5], 0);
	if (!strcmp(command, "aead") && argc == 7)
		return cipher("aead", argv[2], argv[3], argv[4], argv[5],
			      strtoul(argv[6], NULL, 10));
	if (!strcmp(command, "link") && argc >= 4)
		return add_link(argv[2], argv[3], argv + 4);
	if (!strcmp(command, "tun") && argc == 3)
		return tun(argv[2]);
	if (!strcmp(command, "dm") && (argc == 5 || argc == 6))
		return dm(argv[2], argv[3], argv[4], argc == 6 ? argv[5] : "");
	if (!strcmp(command, "undm") && argc == 3)
		return undm(argv[2]);
	if (!strcmp(command, "hid") && argc >= 5)
		return hid(argv[2], argv[3], argv + 4);
	if (!strcmp(command, "lirc") && argc == 5)
		return lirc(argv[2], argv[3], argv[4]);
	if (!strcmp(command, "rule") && argc == 3)
		return rule(argv[2], NULL, NULL, NULL);
	if (!strcmp(command, "rule") && argc >= 5)
		return rule(argv[2], argv[3], argv[4], argv + 5);
	return usage(stderr, 2);
}
