// SPDX-License-Identifier: GPL-2.0
/* Another program, run to its end. */
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawn.h"

int spawn_wait(const char *file, char **argv)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		execvp(file, argv);
		_exit(errno == ENOENT ? SPAWN_NONE : SPAWN_FAILED);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return SPAWN_FAILED;
	return WEXITSTATUS(status);
}
