/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A QEMU monitor, spoken to in QMP over a UNIX socket. Whoever is at the other
 * end is not trusted: lines, their depth and every wait have a limit.
 */
#ifndef QMP_H
#define QMP_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#define QMP_MAX_LINE	(16UL << 20)
#define QMP_MAX_DEPTH	32

struct qmp;

/* What a failed command says; valid until the next command. */
struct qmp_error {
	const char *class;
	const char *text;
};

/* From here on SIGINT and SIGTERM end a wait instead of the program. */
void stop_on_signals(void);
bool stopped(void);
/* Wait for input on fd (-1: none) until the deadline; false: none came, or stopped. */
bool wait_input(int fd, double deadline);

/*
 * Connected, and capabilities negotiated, within so many seconds; or exit status
 * 3, or NULL if stopped.
 */
struct qmp *qmp_open(const char *path, double timeout);
void qmp_close(struct qmp *q);
/* For what takes longer than the rest. */
void qmp_set_timeout(struct qmp *q, double timeout);

/*
 * Execute a command, with a file descriptor if fd is not -1. `arguments' may be
 * NULL and are taken over. The result is the caller's; NULL: see qmp_error(),
 * unless stopped().
 */
struct json_object *qmp_execute(struct qmp *q, const char *command,
				struct json_object *arguments, int fd);
const struct qmp_error *qmp_error(const struct qmp *q);

/* The next event, whenever it comes; NULL if stopped. The caller's. */
struct json_object *qmp_event(struct qmp *q);

/*
 * Members of what QEMU answered. One that is not there, or of another type, ends
 * the program with status 3, unless `optional'.
 */
const char *member_string(struct json_object *o, const char *key);
const char *optional_string(struct json_object *o, const char *key);
uint64_t member_number(struct json_object *o, const char *key);
bool optional_number(struct json_object *o, const char *key, uint64_t *value);
bool member_bool(struct json_object *o, const char *key);
struct json_object *member_object(struct json_object *o, const char *key);
struct json_object *member_array(struct json_object *o, const char *key);
struct json_object *optional_array(struct json_object *o, const char *key);
/* An element of an array that must be an object. */
struct json_object *element_object(struct json_object *array, size_t index);

#endif
