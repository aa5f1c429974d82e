// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gm-try: one rule in one of the IPv4 packet filter's tables. A table is
 * replaced as a whole, so what it had before is gone; each chain's policy is to
 * accept. Without a rule the table is emptied.
 */
#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gm-try.h"

static const char *const chains[NF_INET_NUMHOOKS] = {
	[NF_INET_PRE_ROUTING] = "PREROUTING", [NF_INET_LOCAL_IN] = "INPUT",
	[NF_INET_FORWARD] = "FORWARD", [NF_INET_LOCAL_OUT] = "OUTPUT",
	[NF_INET_POST_ROUTING] = "POSTROUTING",
};

static struct {
	struct ipt_replace head;
	uint8_t room[16384];
} table;

/* A match or target at the end of the entry that is being built. */
static void add_part(struct ipt_entry *entry, const char *spec, int is_target)
{
	static uint8_t data[BYTES_MAX];
	char name[XT_EXTENSION_MAXNAMELEN + 8], *end;
	const char *value = strchr(spec, '=');
	struct xt_entry_match *part = (void *)((uint8_t *)entry + entry->next_offset);
	size_t size = value ? bytes(value + 1, data) : 4;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(spec, "="), spec);
	if (size > 1024)
		die("'%s' is too long", spec);
	end = strchr(name, '.');
	if (end) {
		part->u.user.revision = strtoul(end + 1, NULL, 10);
		*end = '\0';
	}
	/* A verdict alone is the standard target, whose name is empty. */
	if (is_target && (!strcmp(name, "DROP") || !strcmp(name, "ACCEPT"))) {
		*(int *)data = -(strcmp(name, "DROP") ? NF_ACCEPT : NF_DROP) - 1;
		name[0] = '\0';
	}
	copy_name(part->u.user.name, sizeof(part->u.user.name), name);
	memcpy(part->data, data, size);
	part->u.user.match_size = XT_ALIGN(sizeof(*part) + size);
	entry->next_offset += part->u.user.match_size;
}

static struct ipt_entry *add_entry(const char *target, char **matches)
{
	struct ipt_entry *entry = (void *)(table.room + table.head.size);

	entry->next_offset = sizeof(*entry);
	for (; *matches; matches++)
		add_part(entry, *matches, 0);
	entry->target_offset = entry->next_offset;
	add_part(entry, target, 1);
	table.head.size += entry->next_offset;
	table.head.num_entries++;
	if (table.head.size > sizeof(table.room) / 2)
		die("the rule is too long");
	return entry;
}

int rule(const char *name, const char *chain, const char *target, char **matches)
{
	struct ipt_getinfo info = { 0 };
	socklen_t size = sizeof(info);
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW), found = !chain;
	char *none[] = { NULL };

	copy_name(info.name, sizeof(info.name), name);
	if (fd < 0 || getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &info, &size))
		die("table %s: %s", name, strerror(errno));
	copy_name(table.head.name, sizeof(table.head.name), name);
	table.head.valid_hooks = info.valid_hooks;
	for (int hook = 0; hook < NF_INET_NUMHOOKS; hook++) {
		if (!(info.valid_hooks & 1U << hook))
			continue;
		table.head.hook_entry[hook] = table.head.size;
		if (chain && !strcmp(chains[hook], chain)) {
			add_entry(target, matches);
			found = 1;
		}
		table.head.underflow[hook] = table.head.size;
		add_entry("ACCEPT", none);
	}
	if (!found)
		die("table %s has no chain %s", name, chain);
	/* The end: a target of this name, with room for a name. */
	add_entry("ERROR=00*30", none);
	table.head.num_counters = info.num_entries;
	table.head.counters = calloc(info.num_entries, sizeof(struct xt_counters));
	if (setsockopt(fd, IPPROTO_IP, IPT_SO_SET_REPLACE, &table, sizeof(table.head) + table.head.size))
		die("table %s: %s", name, strerror(errno));
	close(fd);
	return 0;
}
