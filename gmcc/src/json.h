/* SPDX-License-Identifier: GPL-2.0 */
/* JSON on standard output: strings and keys, escaped. */
#ifndef GMCC_JSON_H
#define GMCC_JSON_H

#include <stdbool.h>

void json_string(const char *s);
/* "key": "value", or null; a comma before it unless it is the first. */
void json_key(bool first, const char *key, const char *value);

#endif /* GMCC_JSON_H */
