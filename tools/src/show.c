// SPDX-License-Identifier: GPL-2.0
/*
 * What QEMU answers, as text for people. Addresses are hexadecimal; the order
 * and the words are those of QEMU's own `info gm'.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gmctl.h"

const char *const crossing_names[] = {
	"in-call", "out-return", "out-call", "in-return", "event-exit", "resume",
};

_Static_assert(ARRAY_SIZE(crossing_names) == NR_CROSSINGS, "a name for each");

void print_json(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
}

static FILE *text_open(char **text, size_t *size)
{
	FILE *f = open_memstream(text, size);

	if (!f)
		fail(EXIT_REFUSED, "out of memory");
	return f;
}

char *join_strings(struct json_object *array, const char *none)
{
	size_t size, n = array ? json_object_array_length(array) : 0;
	char *text;
	FILE *f = text_open(&text, &size);

	for (size_t i = 0; i < n; i++) {
		struct json_object *s = json_object_array_get_idx(array, i);

		if (!json_object_is_type(s, json_type_string))
			fail(EXIT_CONNECT, "a list of strings in QEMU's answer has something else");
		fprintf(f, "%s%s", i ? ", " : "", json_object_get_string(s));
	}
	if (!n)
		fputs(none, f);
	fclose(f);
	return text;
}

char *join_violations(struct json_object *array, uint64_t *total)
{
	size_t size, n = json_object_array_length(array);
	char *text;
	FILE *f = text_open(&text, &size);
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *v = element_object(array, i);
		uint64_t count = member_number(v, "count");

		fprintf(f, "%s%s %" PRIu64, i ? ", " : "", member_string(v, "kind"), count);
		sum += count;
	}
	if (!n)
		fputs("none", f);
	fclose(f);
	if (total)
		*total = sum;
	return text;
}

static bool is_address(const char *key)
{
	return !strcmp(key, "rip") || !strcmp(key, "address") || !strcmp(key, "gpa");
}

char *describe(struct json_object *data)
{
	const char *separator = "";
	size_t size;
	char *text, *safe;
	FILE *f = text_open(&text, &size);

	json_object_object_foreach(data, key, value) {
		fprintf(f, "%s%s ", separator, key);
		if (is_address(key) && json_object_is_type(value, json_type_int))
			fprintf(f, "0x%" PRIx64, json_object_get_uint64(value));
		else
			fputs(json_object_get_string(value) ? json_object_get_string(value) : "null",
			      f);
		separator = ", ";
	}
	fclose(f);
	safe = safe_text(text);
	free(text);
	return safe;
}
