// SPDX-License-Identifier: GPL-2.0
/*
 * gmctl register, unregister, grant and revoke.
 *
 * Keeps: what is registered is the file that was opened here, by the rights of
 * whoever runs gmctl; QEMU gets the open file, and needs no way to its path.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gmctl.h"

#define REGISTER_TIMEOUT 300	/* s: a verifier may have a large module to prove */

static void add_string(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static int open_image(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		fail(EXIT_REFUSED, "cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		fail(EXIT_REFUSED, "%s is not a regular file", path);
	return fd;
}

static char *absolute(const char *path)
{
	char *folder, *whole;

	if (*path == '/')
		return xstrdup(path);
	folder = getcwd(NULL, 0);
	if (!folder)
		fail(EXIT_REFUSED, "the current folder is not known: %s", strerror(errno));
	whole = xasprintf("%s/%s", folder, path);
	free(folder);
	return whole;
}

static void print_registration(struct json_object *info)
{
	char *name = safe_text(member_string(info, "name"));
	char *signer = safe_text(member_string(info, "signer"));
	char *id = safe_text(member_string(info, "id"));
	char *text, *safe;

	printf("%s: id %.12s, signed by %s, %" PRIu64 " pages, %" PRIu64 " gates\n", name, id,
	       signer, member_number(info, "pages"), member_number(info, "gates"));
	text = join_strings(optional_array(info, "requests"), "");
	safe = safe_text(text);
	if (*safe)
		printf("asks for: %s\n", safe);
	free(safe);
	free(text);
	text = join_strings(optional_array(info, "grants"), "");
	safe = safe_text(text);
	if (*safe)
		printf("granted: %s\n", safe);
	free(safe);
	free(text);
	free(id);
	free(signer);
	free(name);
}

/* The name that the file gets on its way: its path, so that QEMU can show it. */
static struct json_object *register_by_fd(struct qmp *q, const char *path,
					  struct json_object *arguments)
{
	char *name = absolute(path);
	struct json_object *get = json_object_new_object(), *result, *close_it;
	struct qmp_error error;
	int fd = open_image(path);

	add_string(get, "fdname", name);
	json_object_put(execute(q, "getfd", get, fd));
	close(fd);
	add_string(arguments, "fd", name);
	result = qmp_execute(q, "gm-register", arguments, -1);
	if (!result) {
		/* QEMU may hold the file still. The error is the first one. */
		error.class = xstrdup(qmp_error(q)->class);
		error.text = xstrdup(qmp_error(q)->text);
		close_it = json_object_new_object();
		add_string(close_it, "fdname", name);
		json_object_put(qmp_execute(q, "closefd", close_it, -1));
		refused("gm-register", &error);
	}
	free(name);
	return result;
}

int cmd_register(struct target *target, int argc, char **argv)
{
	static const char help[] =
		"Usage: gmctl register [--grant SPEC]... [--policy POLICY] FILE\n\n"
		"Offers the signed image FILE to the guest. QEMU gets the open file, so it needs no\n"
		"access to the path.\n\n"
		"  --grant SPEC       a privilege for it, such as msr=0x198; may be repeated\n"
		"  --policy POLICY    what follows a violation: inject, stop or quarantine\n"
		"                     [as the guarded-modules device says]\n"
		"  --by-path          have QEMU open the path itself: for a monitor that no file\n"
		"                     descriptor gets to\n"
		"  --json             QEMU's own answer\n"
		TARGET_HELP;
	enum { OPT_GRANT = OPT_OWN, OPT_POLICY, OPT_BY_PATH, OPT_JSON };
	static const struct option options[] = {
		TARGET_OPTIONS,
		{ "grant", required_argument, NULL, OPT_GRANT },
		{ "policy", required_argument, NULL, OPT_POLICY },
		{ "by-path", no_argument, NULL, OPT_BY_PATH },
		{ "json", no_argument, NULL, OPT_JSON },
		{ 0 }
	};
	struct json_object *arguments = json_object_new_object();
	struct json_object *grants = json_object_new_array(), *info;
	bool by_path = false, json = false;
	const char *policy = NULL;
	struct qmp *q;
	int option;

	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (option) {
		case OPT_GRANT:
			json_object_array_add(grants, json_object_new_string(optarg));
			break;
		case OPT_POLICY:
			policy = optarg;
			break;
		case OPT_BY_PATH:
			by_path = true;
			break;
		case OPT_JSON:
			json = true;
			break;
		default:
			target_option(target, option, "register",
				      option == 'h' ? help : argv[optind - 1]);
		}
	}
	if (argc - optind != 1)
		usage_error("register", "it takes one FILE, not %d", argc - optind);
	close(open_image(argv[optind]));	/* before anything is asked of QEMU */
	if (json_object_array_length(grants))
		json_object_object_add(arguments, "grants", grants);
	else
		json_object_put(grants);
	if (policy)
		add_string(arguments, "policy", policy);
	q = target_open(target);
	if (!target->timeout)
		qmp_set_timeout(q, REGISTER_TIMEOUT);
	if (by_path) {
		char *path = absolute(argv[optind]);

		add_string(arguments, "file", path);
		free(path);
		info = execute(q, "gm-register", arguments, -1);
	} else {
		info = register_by_fd(q, argv[optind], arguments);
	}
	if (json)
		print_json(info);
	else
		print_registration(info);
	json_object_put(info);
	qmp_close(q);
	finish_output();
	return EXIT_DONE;
}

/* A command about a module, with or without a list of grants. */
static int change(struct target *target, int argc, char **argv, const char *help,
		  const char *command, bool with_grants)
{
	static const struct option options[] = { TARGET_OPTIONS, { 0 } };
	struct json_object *arguments = json_object_new_object();
	const char *word = argv[0];
	struct qmp *q;
	int option;

	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1)
		target_option(target, option, word, option == 'h' ? help : argv[optind - 1]);
	argc -= optind;
	argv += optind;
	if (with_grants ? argc < 2 : argc != 1)
		usage_error(word, with_grants ? "it takes a NAME and at least one SPEC" :
			    "it takes one NAME");
	add_string(arguments, "name", argv[0]);
	if (with_grants) {
		struct json_object *grants = json_object_new_array();

		for (int i = 1; i < argc; i++)
			json_object_array_add(grants, json_object_new_string(argv[i]));
		json_object_object_add(arguments, "grants", grants);
	}
	q = target_open(target);
	json_object_put(execute(q, command, arguments, -1));
	qmp_close(q);
	return EXIT_DONE;
}

int cmd_unregister(struct target *target, int argc, char **argv)
{
	static const char help[] =
		"Usage: gmctl unregister NAME\n\n"
		"Withdraws the image of module NAME. While it is sealed QEMU refuses that, unless it is\n"
		"quarantined.\n\n"
		TARGET_HELP;

	return change(target, argc, argv, help, "gm-unregister", false);
}

#define SPEC_HELP \
	"\nA SPEC is one of\n" \
	"  mmio=DEVICE           registers of the QEMU device with this id, hidden from the guest\n" \
	"  pio=0x60-0x64         I/O ports, also a single one, hidden from the guest\n" \
	"  msr=0x35, msr=0x198-0x199:rw\n" \
	"                        MSRs of the physical CPU, to read, or to read and write\n" \
	"  mwait, mwait=0x10     MONITOR and MWAIT, in C1, or up to this hint\n" \
	"  hostinfo              the page of the host's scheduling\n\n"

int cmd_grant(struct target *target, int argc, char **argv)
{
	static const char help[] =
		"Usage: gmctl grant NAME SPEC...\n\n"
		"Gives privileges to module NAME, all of them or none, also while it is sealed.\n"
		SPEC_HELP
		TARGET_HELP;

	return change(target, argc, argv, help, "gm-grant", true);
}

int cmd_revoke(struct target *target, int argc, char **argv)
{
	static const char help[] =
		"Usage: gmctl revoke NAME SPEC...\n\n"
		"Takes privileges away from module NAME, all of them or none, also while it is sealed\n"
		"and runs: when the command returns it has none of them.\n"
		SPEC_HELP
		TARGET_HELP;

	return change(target, argc, argv, help, "gm-revoke", true);
}
