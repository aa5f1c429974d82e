// SPDX-License-Identifier: GPL-2.0
/*
 * The connection to a monitor, and its commands.
 *
 * Keeps: a server that is slow, silent or hostile costs at most the timeout and
 * QMP_MAX_LINE bytes; nothing it sends is taken for an answer to what was not asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "qmp.h"
#include "tools.h"

struct qmp {
	int fd;
	char *path;
	double timeout;
	char *buffer;
	size_t room, used, taken;	/* taken: of used, lines that were handed out */
	size_t scanned;			/* of used, known to have no further newline */
	unsigned int id;
	struct json_object *answer;	/* that the error is in */
	struct qmp_error error;
};

static volatile sig_atomic_t stop_signal;
static bool stoppable;
static sigset_t wait_mask;

static void on_signal(int number)
{
	stop_signal = number;
}

/* Blocked but while waiting: none comes between a look at the flag and the wait. */
void stop_on_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* What the terminal's library makes of it is looked at after a wait. */
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, &wait_mask);
	sigdelset(&wait_mask, SIGINT);
	sigdelset(&wait_mask, SIGTERM);
	sigdelset(&wait_mask, SIGWINCH);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	stoppable = true;
}

bool stopped(void)
{
	return stop_signal;
}

static bool wait_for(int fd, short events, double deadline)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		double left = deadline - now();
		struct timespec t;
		int n;

		if (stopped())
			return false;
		if (left < 0)
			left = 0;
		t.tv_sec = left < 1e9 ? (time_t)left : (time_t)1e9;
		t.tv_nsec = left < 1e9 ? (long)((left - t.tv_sec) * 1e9) : 0;
		n = ppoll(&p, fd >= 0, &t, stoppable ? &wait_mask : NULL);
		if (n > 0)
			return true;
		if (!n)
			return false;
		if (errno != EINTR)
			fail(EXIT_CONNECT, "cannot wait: %s", strerror(errno));
		/* Not one of ours: the window's size has changed, say. */
		if (!stopped() && events == POLLIN && fd == STDIN_FILENO)
			return true;
	}
}

bool wait_input(int fd, double deadline)
{
	return wait_for(fd, POLLIN, deadline);
}

_Noreturn static void no_qmp(const struct qmp *q, const char *what)
{
	char *safe = safe_text(what);

	fail(EXIT_CONNECT, "%s: this is no QMP monitor, or not a sane one: %s", q->path, safe);
}

/* The next line, without its end, or NULL if stopped; it must begin by the deadline. */
static char *read_line(struct qmp *q, double deadline)
{
	bool partly = false;

	for (;;) {
		char *line = q->buffer + q->taken;
		char *end = q->used > q->scanned ?
			memchr(q->buffer + q->scanned, '\n', q->used - q->scanned) : NULL;
		ssize_t n;

		if (end) {
			*end = '\0';
			q->taken = q->scanned = end + 1 - q->buffer;
			return line;
		}
		q->scanned = q->used;
		if (q->taken) {
			memmove(q->buffer, line, q->used - q->taken);
			q->used = q->scanned -= q->taken;
			q->taken = 0;
		}
		if (q->used >= QMP_MAX_LINE)
			no_qmp(q, "a line of more than 16 MiB");
		/* What has begun must end in time, also where the wait is for ever. */
		if (q->used && !partly) {
			partly = true;
			if (deadline > now() + q->timeout)
				deadline = now() + q->timeout;
		}
		if (!wait_for(q->fd, POLLIN, deadline)) {
			if (stopped())
				return NULL;
			fail(EXIT_CONNECT, "%s: no %s within %g s%s", q->path,
			     partly ? "end of a line" : "answer", q->timeout,
			     q->id || partly ? "" : "; does another program use this monitor? It "
			     "serves one at a time");
		}
		if (q->room - q->used < 4096) {
			q->room = q->room ? 2 * q->room : 16384;
			q->buffer = xrealloc(q->buffer, q->room);
		}
		n = recv(q->fd, q->buffer + q->used, q->room - q->used, 0);
		if (n > 0)
			q->used += n;
		else if (!n)
			fail(EXIT_CONNECT, "%s: QEMU has closed the connection", q->path);
		else if (errno != EAGAIN && errno != EINTR)
			fail(EXIT_CONNECT, "%s: %s", q->path, strerror(errno));
	}
}

/* The next message that is not blank: an object. */
static struct json_object *read_message(struct qmp *q, double deadline)
{
	struct json_tokener *tokener;
	struct json_object *o;
	enum json_tokener_error error;
	char *line;
	size_t length;

	do {
		line = read_line(q, deadline);
		if (!line)
			return NULL;
		length = q->buffer + q->taken - 1 - line;
		if (length && line[length - 1] == '\r')
			line[--length] = '\0';
	} while (!length);

	if (strlen(line) != length)
		no_qmp(q, "a line with a zero byte");
	tokener = json_tokener_new_ex(QMP_MAX_DEPTH);
	if (!tokener)
		fail(EXIT_CONNECT, "out of memory");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tokener, line, length + 1);
	error = json_tokener_get_error(tokener);
	json_tokener_free(tokener);
	if (error != json_tokener_success || !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		no_qmp(q, error == json_tokener_success ? "a line that is no JSON object" :
		       json_tokener_error_desc(error));
	}
	return o;
}

static void connect_to(struct qmp *q, double deadline)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(q->path) >= sizeof(address.sun_path))
		fail(EXIT_CONNECT, "%s: a socket's path has %zu bytes at most", q->path,
		     sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, q->path);
	q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (q->fd < 0)
		fail(EXIT_CONNECT, "no socket: %s", strerror(errno));
	while (connect(q->fd, (struct sockaddr *)&address, sizeof(address))) {
		/* So many wait for that monitor that the kernel takes no more. */
		if (errno == EAGAIN && now() < deadline) {
			wait_for(-1, 0, now() + 0.05);
			if (stopped())
				return;
			continue;
		}
		if (errno == EINTR)
			continue;
		fail(EXIT_CONNECT, "cannot connect to %s: %s%s", q->path, strerror(errno),
		     errno == ECONNREFUSED ? "; has that QEMU ended?" :
		     errno == EAGAIN ? "; others wait for it already" :
		     errno == EACCES ? "; only its owner and root may" : "");
	}
}

struct qmp *qmp_open(const char *path, double timeout)
{
	double deadline = now() + timeout;
	struct qmp *q = xcalloc(1, sizeof(*q));
	struct json_object *o = NULL;

	q->path = xstrdup(path);
	q->timeout = timeout;
	connect_to(q, deadline);
	if (!stopped())
		o = read_message(q, deadline);
	if (!o) {
		qmp_close(q);
		return NULL;
	}
	if (!json_object_object_get_ex(o, "QMP", NULL))
		no_qmp(q, "it does not introduce itself");
	json_object_put(o);
	o = qmp_execute(q, "qmp_capabilities", NULL, -1);
	if (!o && !stopped())
		no_qmp(q, q->error.text);
	json_object_put(o);
	return q;
}

void qmp_close(struct qmp *q)
{
	if (!q)
		return;
	close(q->fd);
	json_object_put(q->answer);
	free(q->buffer);
	free(q->path);
	free(q);
}

void qmp_set_timeout(struct qmp *q, double timeout)
{
	q->timeout = timeout;
}

/* All of it, the descriptor with the first byte; false if stopped. */
static bool send_all(struct qmp *q, const char *data, size_t length, int fd, double deadline)
{
	while (length) {
		struct iovec iov = { .iov_base = (void *)data, .iov_len = length };
		union {
			char space[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} control = { 0 };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		if (fd >= 0) {
			struct cmsghdr *c;

			m.msg_control = control.space;
			m.msg_controllen = sizeof(control.space);
			c = CMSG_FIRSTHDR(&m);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(c), &fd, sizeof(int));
		}
		n = sendmsg(q->fd, &m, MSG_NOSIGNAL);
		if (n > 0) {
			fd = -1;
			data += n;
			length -= n;
		} else if (errno == EAGAIN) {
			if (wait_for(q->fd, POLLOUT, deadline))
				continue;
			if (stopped())
				return false;
			fail(EXIT_CONNECT, "%s: takes no command within %g s", q->path, q->timeout);
		} else if (errno == EPIPE || errno == ECONNRESET) {
			fail(EXIT_CONNECT, "%s: QEMU has closed the connection", q->path);
		} else if (errno != EINTR) {
			fail(EXIT_CONNECT, "%s: %s", q->path, strerror(errno));
		}
	}
	return true;
}

static bool is_answer(struct qmp *q, struct json_object *o)
{
	struct json_object *id;

	if (json_object_object_get_ex(o, "event", NULL))
		return false;
	if (!json_object_object_get_ex(o, "id", &id) ||
	    !json_object_is_type(id, json_type_int) || json_object_get_uint64(id) != q->id)
		no_qmp(q, "an answer to something that was not asked");
	return true;
}

struct json_object *qmp_execute(struct qmp *q, const char *command,
				struct json_object *arguments, int fd)
{
	double deadline = now() + q->timeout;
	struct json_object *o = json_object_new_object(), *result, *error;
	const char *text;
	bool sent;

	json_object_put(q->answer);
	q->answer = NULL;
	q->error = (struct qmp_error){ .class = "", .text = "" };
	json_object_object_add(o, "execute", json_object_new_string(command));
	if (arguments)
		json_object_object_add(o, "arguments", arguments);
	json_object_object_add(o, "id", json_object_new_int64(++q->id));
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	sent = send_all(q, text, strlen(text), fd, deadline) &&
		send_all(q, "\n", 1, -1, deadline);
	json_object_put(o);
	if (!sent)
		return NULL;

	for (;;) {
		o = read_message(q, deadline);
		if (!o)
			return NULL;
		if (is_answer(q, o))
			break;
		json_object_put(o);
	}
	if (json_object_object_get_ex(o, "return", &result) && result) {
		result = json_object_get(result);
		json_object_put(o);
		return result;
	}
	if (!json_object_object_get_ex(o, "error", &error) ||
	    !json_object_is_type(error, json_type_object))
		no_qmp(q, "an answer with neither a result nor an error");
	q->error.class = member_string(error, "class");
	q->error.text = member_string(error, "desc");
	q->answer = o;
	return NULL;
}

const struct qmp_error *qmp_error(const struct qmp *q)
{
	return &q->error;
}

struct json_object *qmp_event(struct qmp *q)
{
	for (;;) {
		struct json_object *o = read_message(q, now() + 1e9);

		if (!o || json_object_object_get_ex(o, "event", NULL))
			return o;
		no_qmp(q, "an answer to something that was not asked");
	}
}

static struct json_object *member(struct json_object *o, const char *key, enum json_type type,
				  bool optional)
{
	struct json_object *m;

	if (!json_object_object_get_ex(o, key, &m)) {
		if (optional)
			return NULL;
		fail(EXIT_CONNECT, "QEMU's answer has no '%s'; is it one with guarded modules, and "
		     "not older than this tool?", key);
	}
	if (!json_object_is_type(m, type))
		fail(EXIT_CONNECT, "'%s' in QEMU's answer is not of type %s", key,
		     json_type_to_name(type));
	return m;
}

const char *member_string(struct json_object *o, const char *key)
{
	return json_object_get_string(member(o, key, json_type_string, false));
}

const char *optional_string(struct json_object *o, const char *key)
{
	struct json_object *m = member(o, key, json_type_string, true);

	return m ? json_object_get_string(m) : NULL;
}

uint64_t member_number(struct json_object *o, const char *key)
{
	return json_object_get_uint64(member(o, key, json_type_int, false));
}

bool optional_number(struct json_object *o, const char *key, uint64_t *value)
{
	struct json_object *m = member(o, key, json_type_int, true);

	if (m)
		*value = json_object_get_uint64(m);
	return m;
}

bool member_bool(struct json_object *o, const char *key)
{
	return json_object_get_boolean(member(o, key, json_type_boolean, false));
}

struct json_object *member_object(struct json_object *o, const char *key)
{
	return member(o, key, json_type_object, false);
}

struct json_object *member_array(struct json_object *o, const char *key)
{
	return member(o, key, json_type_array, false);
}

struct json_object *optional_array(struct json_object *o, const char *key)
{
	return member(o, key, json_type_array, true);
}

struct json_object *element_object(struct json_object *array, size_t index)
{
	struct json_object *o = json_object_array_get_idx(array, index);

	if (!json_object_is_type(o, json_type_object))
		fail(EXIT_CONNECT, "an element of a list in QEMU's answer is no object");
	return o;
}
