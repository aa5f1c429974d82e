// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU's life: a folder for its monitors, QEMU as a child that has the terminal,
 * and an end like its own.
 *
 * gm-run stays as QEMU's parent, so that when it has ended nothing is left, on
 * whatever way QEMU went. If gm-run is killed, QEMU is told to end, and the
 * folder, whose lock nobody holds then, is taken over or cleared by the next run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "gm_run.h"

struct run {
	char *folder;		/* NULL: the monitor's path was given */
	int lock;
	char *monitor, *events;
};

static char *base_folder(void)
{
	const char *why;
	char *base = runs_folder(&why);

	if (!base)
		fail(EXIT_START, "%s, so there is no place for the monitor. Set it, or use --qmp PATH",
		     why);
	return base;
}

char *monitor_path(const struct options *o)
{
	char *base, *path;

	if (o->qmp)
		return xstrdup(o->qmp);
	base = base_folder();
	path = xasprintf("%s/%s/qmp", base, o->name);
	free(base);
	return path;
}

/* A folder of ours alone. */
static void make_folder(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		fail(EXIT_START, "cannot make the folder %s: %s", path, strerror(errno));
	if (lstat(path, &st) || !S_ISDIR(st.st_mode))
		fail(EXIT_START, "%s is not a folder", path);
	if (st.st_uid != geteuid() || st.st_mode & 077)
		fail(EXIT_START, "%s is not yours alone (owner %ld, mode %03o): remove it, or use --qmp "
		     "PATH", path, (long)st.st_uid, st.st_mode & 0777);
}

/* The lock of the folder, which is there again if another run has just removed it. */
static int take_lock(const char *folder, const char *name)
{
	char *path = xasprintf("%s/lock", folder);
	struct stat held, there;
	int fd;

	for (;;) {
		make_folder(folder);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			fail(EXIT_START, "cannot make %s: %s", path, strerror(errno));
		if (flock(fd, LOCK_EX | LOCK_NB))
			fail(EXIT_START, "a guest `%s' runs already: choose another --name", name);
		if (!fstat(fd, &held) && !stat(path, &there) && held.st_ino == there.st_ino &&
		    held.st_dev == there.st_dev)
			break;
		close(fd);
	}
	free(path);
	return fd;
}

/* A socket that nobody listens at any more makes way; anything else does not. */
static void clear_path(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		fail(EXIT_START, "%s: a socket's path has %zu bytes at most", path,
		     sizeof(address.sun_path) - 1);
	if (lstat(path, &st))
		return;
	if (!S_ISSOCK(st.st_mode))
		fail(EXIT_START, "%s is there already, and no socket", path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || !connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    errno != ECONNREFUSED)
		fail(EXIT_START, "%s is there already, and in use", path);
	close(fd);
	if (unlink(path))
		fail(EXIT_START, "cannot remove %s: %s", path, strerror(errno));
}

static struct run *run_begin(const struct options *o)
{
	struct run *r = xcalloc(1, sizeof(*r));
	char *base;

	r->monitor = monitor_path(o);
	r->events = xasprintf("%s-events", r->monitor);
	r->lock = -1;
	if (!o->qmp) {
		base = base_folder();
		make_folder(base);
		r->folder = xasprintf("%s/%s", base, o->name);
		r->lock = take_lock(r->folder, o->name);
		free(base);
	}
	clear_path(r->monitor);
	clear_path(r->events);
	return r;
}

static void remove_socket(const char *path)
{
	struct stat st;

	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
}

static void run_end(struct run *r)
{
	char *path;

	remove_socket(r->monitor);
	remove_socket(r->events);
	if (!r->folder)
		return;
	path = xasprintf("%s/lock", r->folder);
	unlink(path);
	rmdir(r->folder);
	free(path);
	close(r->lock);
}

static const int passed_on[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

/* The child: QEMU, or its errno in the pipe. */
_Noreturn static void become(char **argv, const sigset_t *mask, pid_t parent, int report)
{
	int error;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		execv(argv[0], argv);
	}
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

static pid_t start(char **argv, const sigset_t *mask, struct run *r)
{
	pid_t parent = getpid(), pid;
	int report[2], error;

	if (pipe2(report, O_CLOEXEC))
		fail(EXIT_START, "no pipe: %s", strerror(errno));
	pid = fork();
	if (!pid)
		become(argv, mask, parent, report[1]);
	error = errno;
	close(report[1]);
	if (pid > 0 && read(report[0], &error, sizeof(error)) != sizeof(error)) {
		close(report[0]);
		return pid;
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	run_end(r);
	fail(EXIT_START, "cannot start %s: %s", argv[0], strerror(error));
}

/* Until QEMU ends: pass on what the terminal has not sent to both already. */
static int wait_for_end(pid_t pid, const sigset_t *set)
{
	siginfo_t info;
	int status;

	for (;;) {
		if (sigwaitinfo(set, &info) < 0)
			continue;
		if (info.si_signo == SIGCHLD) {
			if (waitpid(pid, &status, WNOHANG) == pid)
				return status;
		} else if (info.si_code != SI_KERNEL) {
			kill(pid, info.si_signo);
		}
	}
}

_Noreturn static void end_like(int status)
{
	struct rlimit none = { 0, 0 };
	sigset_t set;

	if (WIFEXITED(status))
		exit(WEXITSTATUS(status));
	/* QEMU's core is the one to look at. */
	setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(WTERMSIG(status));
	exit(128 + WTERMSIG(status));
}

_Noreturn void supervise(const struct options *o)
{
	struct termios terminal;
	bool has_terminal = !tcgetattr(STDIN_FILENO, &terminal);
	sigset_t set, before;
	struct run *r;
	int status;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&set, passed_on[i]);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &set, &before);
	r = run_begin(o);
	pid = start(qemu_command(o, r->monitor), &before, r);
	status = wait_for_end(pid, &set);
	run_end(r);
	/* QEMU does that itself, unless it was killed. */
	if (has_terminal && WIFSIGNALED(status)) {
		signal(SIGTTOU, SIG_IGN);
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	}
	end_like(status);
}
