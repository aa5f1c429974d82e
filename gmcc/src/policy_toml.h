/* SPDX-License-Identifier: GPL-2.0 */
/* TOML, for C: no more than policies need. */
#ifndef GMCC_POLICY_TOML_H
#define GMCC_POLICY_TOML_H

/*
 * Parses a file and calls back for each value, lists flattened.
 * NULL, or what is wrong (from malloc()).
 */
struct toml_sink {
	void (*string)(void *arg, const char *key, const char *value);
	void (*number)(void *arg, const char *key, long long value);
	void (*list)(void *arg, const char *key);	/* before its strings */
	void *arg;
};
#ifdef __cplusplus
extern "C"
#endif
char *toml_parse(const char *file, const struct toml_sink *sink);

#endif /* GMCC_POLICY_TOML_H */
