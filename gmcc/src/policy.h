/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a module's author or administrator wants different from the defaults: a
 * TOML file, and notes in the module's source (guest/include/guarded_module.h).
 */
#ifndef GMCC_POLICY_H
#define GMCC_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "privilege.h"

struct names {
	const char **names;
	size_t nr;
};

struct policy {
	const char *file;	/* for messages */
	bool closed;		/* nothing but entries[] may be an entry */
	struct names entries;	/* functions */
	struct names privates;	/* sections that must be private */
	struct names shared;	/* sections that stay the guest's */
	struct requests requests;	/* of privileges */
	unsigned int stacks, stack_pages;	/* 0: not said */
};

enum policy_data { POLICY_AUTO, POLICY_PRIVATE, POLICY_SHARED };

struct obj;
struct sec;

/* @file: NULL for the defaults. Ends the run if it is wrong. */
struct policy *policy_read(const char *file);
/* Adds the notes in the module's source, and what options ask for. */
void policy_notes(struct obj *o);
/* Everything that the policy names is there. */
void policy_check(const struct obj *o);
/* All of it, for the image's id. */
const char *policy_text(const struct obj *o);
bool policy_entry(const struct obj *o, const char *function);
enum policy_data policy_data(const struct obj *o, const struct sec *s);

#endif /* GMCC_POLICY_H */
