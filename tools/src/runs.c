// SPDX-License-Identifier: GPL-2.0
/*
 * Where the guests that gm-run started keep their monitors. Whether one still
 * runs is told by the lock that its gm-run holds, not by a connection: a monitor
 * serves one at a time.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools.h"

char *runs_folder(const char **why)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *folder;
	struct stat st;

	if (runtime && *runtime) {
		if (*runtime == '/')
			return xasprintf("%s/gm-run", runtime);
		*why = "$XDG_RUNTIME_DIR is not an absolute path";
		return NULL;
	}
	if (!geteuid())
		return xstrdup("/run/gm-run");
	folder = xasprintf("/run/user/%ld", (long)geteuid());
	if (!stat(folder, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid()) {
		char *inner = xasprintf("%s/gm-run", folder);

		free(folder);
		return inner;
	}
	free(folder);
	*why = "$XDG_RUNTIME_DIR is not set";
	return NULL;
}

bool run_is_alive(const char *folder)
{
	char *path = xasprintf("%s/lock", folder);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool alive;

	free(path);
	if (fd < 0)
		return false;
	alive = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return alive;
}

/* Fit to be a folder, and a name on QEMU's command line. */
bool valid_name(const char *name)
{
	size_t i;

	if (!isalnum((unsigned char)name[0]) || strlen(name) > 60)
		return false;
	for (i = 0; name[i]; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return false;
	return true;
}
