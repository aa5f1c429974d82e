// SPDX-License-Identifier: GPL-2.0
/*
 * Decides which writable sections are private, and gives every sealed section
 * its place: page-aligned, padded to whole pages, in core memory.
 *
 * Keeps I5: a writable section is sealed only if no address in it leaves the
 * module's own instructions; anything else is the guest's, listed as shared.
 */
#include <string.h>

#include "gmcc.h"
#include "policy.h"

/* Names that the loader would put into memory that it frees after init. */
static const char *core_name(const struct sec *s)
{
	static const struct {
		const char *prefix, *core;
	} names[] = {
		{ ".init.text", ".text.gm_init" },
		{ ".exit.text", ".text.gm_exit" },
		{ ".init.rodata", ".rodata.gm_init" },
		{ ".init.data", ".data.gm_init" },
		{ ".exit.data", ".data.gm_exit" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strncmp(s->name, names[i].prefix, strlen(names[i].prefix)))
			return xasprintf("%s%s", names[i].core, s->name + strlen(names[i].prefix));
	if (!strncmp(s->name, ".init", 5))
		return xasprintf("%s.gm%s", s->flags & SHF_EXECINSTR ? ".text" : ".data", s->name);
	return s->name;
}

static void pad(struct sec *s, uint8_t fill)
{
	uint64_t size = (s->size + GM_PAGE - 1) & ~(GM_PAGE - 1);

	if (s->data) {
		uint8_t *data = xalloc(size);

		memcpy(data, s->data, s->size);
		memset(data + s->size, fill, size - s->size);
		s->data = data;
	}
	s->size = size;
	if (s->align < GM_PAGE)
		s->align = GM_PAGE;
	s->flags &= SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR;
	s->entsize = 0;
}

/* Private, by the policy or because nothing gives an address in it away. */
static bool is_private(const struct obj *o, const struct sec *s)
{
	enum policy_data want = policy_data(o, s);

	if (want == POLICY_PRIVATE && s->escapes)
		refuse(o, s->escape_sec, s->escape_off,
		       "gives an address in %s away, which the policy wants private.", s->name);
	return want != POLICY_SHARED && s->size && !s->escapes && (s->used_by_text || want == POLICY_PRIVATE);
}

void seal_sections(struct obj *o)
{
	for (size_t i = 1; i < o->nr_secs; i++) {
		struct sec *s = o->secs[i];

		if (section_is_data(s) && s->role == ROLE_KEEP && is_private(o, s))
			s->role = ROLE_DATA;
		if (s->role == ROLE_TEXT || s->role == ROLE_RODATA || s->role == ROLE_DATA ||
		    (section_is_data(s) && s->used_by_text))
			s->out_name = core_name(s);
		switch (s->role) {
		case ROLE_TEXT:
		case ROLE_GATES:
			pad(s, 0xcc);
			break;
		case ROLE_RODATA:
		case ROLE_DATA:
			pad(s, 0);
			break;
		default:
			break;
		}
		if (s->align > GM_PAGE && s->role != ROLE_KEEP && s->role != ROLE_DROP)
			refuse(o, s, 0, "aligned to more than a page. Lower the alignment.");
	}
	refused_exit(o);
}
