// SPDX-License-Identifier: GPL-2.0
/*
 * JSON on standard output. Bytes beyond ASCII, which names in an image may
 * hold, are written as the code points of the same number.
 */
#include <stdio.h>

#include "json.h"

void json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		unsigned char c = *s;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

void json_key(bool first, const char *key, const char *value)
{
	printf("%s\"%s\": ", first ? "" : ", ", key);
	if (value)
		json_string(value);
	else
		printf("null");
}
