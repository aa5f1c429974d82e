// SPDX-License-Identifier: GPL-2.0
/*
 * gmcc inspect: what is in a guarded image, for people and as JSON.
 *
 * The signature is shown, not judged: that takes a keyring, which QEMU has.
 */
#include <getopt.h>
#include <openssl/cms.h>
#include <stdlib.h>
#include <string.h>

#include "border.h"
#include "json.h"
#include "pointers.h"
#include "privilege.h"

static const char help[] =
"Usage: gmcc inspect [--json | --graph[=svg|dot]] IMAGE\n"
"       gmcc inspect --diff [--json] OLD NEW\n"
"\n"
"Shows a guarded image: regions, gates with what uses them, shared and private\n"
"sections, requested privileges, call frames and the signer. It verifies nothing.\n"
"\n"
"      --json   one JSON object instead of text\n"
"      --graph  the border as a picture, SVG (the default) or DOT: entries left,\n"
"               the module in the middle, exits right, with counts of call sites\n"
"      --diff   what the border of NEW has that OLD's has not, and the reverse\n"
"  -h, --help   this text\n"
"\n"
"Exit status: 0 done, 1 bad input, 2 wrong usage; with --diff 0 the same border,\n"
"1 another, 2 bad input or wrong usage.\n";

static const char *region_kind(uint32_t kind)
{
	static const char *const names[] = { "?", "gates", "text", "rodata", "data", "stack", "hostinfo", "devices" };

	return names[kind < ARRAY_SIZE(names) ? kind : 0];
}

static const char *gate_kind(uint32_t kind)
{
	static const char *const names[] = {
		"?", "in-call", "in-return", "resume", "out-call", "out-call-indirect", "out-return",
	};

	return names[kind < ARRAY_SIZE(names) ? kind : 0];
}

static bool has_target(const struct gm_gate *g)
{
	return g->kind == KVM_GM_GATE_IN_CALL || g->kind == KVM_GM_GATE_OUT_CALL;
}

/* The signer as the signature names it: issuer and serial, or a key id. */
static char *signer(const struct image *img)
{
	const uint8_t *p = img->sig;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)img->sig_size);
	STACK_OF(CMS_SignerInfo) *infos = cms ? CMS_get0_SignerInfos(cms) : NULL;
	ASN1_OCTET_STRING *keyid = NULL;
	ASN1_INTEGER *serial = NULL;
	X509_NAME *issuer = NULL;
	char *ret = NULL;

	if (infos && sk_CMS_SignerInfo_num(infos) == 1 &&
	    CMS_SignerInfo_get0_signer_id(sk_CMS_SignerInfo_value(infos, 0), &keyid, &issuer,
					  &serial) == 1) {
		if (issuer) {
			char *s = X509_NAME_oneline(issuer, NULL, 0);

			ret = xasprintf("%s", s ? s : "?");
			OPENSSL_free(s);
		} else if (keyid) {
			ret = xasprintf("key id");
			for (int i = 0; i < ASN1_STRING_length(keyid); i++)
				ret = xasprintf("%s%s%02x", ret, i ? ":" : " ",
						ASN1_STRING_get0_data(keyid)[i]);
		}
	}
	CMS_ContentInfo_free(cms);
	return ret;
}

static char *hex(const uint8_t *p, size_t n)
{
	char *s = xalloc(2 * n + 1);

	for (size_t i = 0; i < n; i++)
		snprintf(s + 2 * i, 3, "%02x", p[i]);
	return s;
}

static void text_pointers(const struct image *img, const struct gm_gate *g)
{
	uint32_t nr;
	const struct gm_pointer *p = pointers_of(img->pointers, g, &nr);

	for (uint32_t i = 0; i < nr; i++) {
		const char *type = img->pointers->strings + p[i].type;

		printf("%s%s: %s%s", i ? ", " : "  takes ", pointer_register(&p[i]),
		       p[i].flags & GM_POINTER_F_CONST ? "const " : "",
		       p[i].flags & GM_POINTER_F_FUNCTION ? "a function" : *type ? type : "a pointer");
		if (p[i].size)
			printf(" (%u bytes)", p[i].size);
	}
}

static void json_pointers(const struct image *img, const struct gm_gate *g)
{
	uint32_t nr;
	const struct gm_pointer *p = pointers_of(img->pointers, g, &nr);

	for (uint32_t i = 0; i < nr; i++) {
		printf("%s{", i ? ", " : ", \"pointer-arguments\": [");
		json_key(true, "register", pointer_register(&p[i]));
		json_key(false, "type", img->pointers->strings + p[i].type);
		printf(", \"size\": %u, \"const\": %s, \"function\": %s}", p[i].size,
		       p[i].flags & GM_POINTER_F_CONST ? "true" : "false",
		       p[i].flags & GM_POINTER_F_FUNCTION ? "true" : "false");
	}
	if (nr)
		putchar(']');
}

static void text_gates(const struct border *b)
{
	const struct image *img = &b->img;

	for (uint32_t i = 0; i < img->man->gates.count; i++) {
		const struct gm_gate *g = &img->gates[i];

		printf("  %5u  %-17s  %s", i, gate_kind(g->kind), image_string(img, g->name));
		if (has_target(g) && img->anchors[g->target_anchor].kind == GM_ANCHOR_REGION)
			printf("  -> %s+0x%llx", image_string(img, img->anchors[g->target_anchor].name),
			       (unsigned long long)g->target_addend);
		if (g->flags & KVM_GM_GATE_F_INIT)
			printf("  init");
		if (g->flags & KVM_GM_GATE_F_EXIT)
			printf("  exit");
		if (g->flags & (KVM_GM_GATE_F_FPU_BEGIN | KVM_GM_GATE_F_FPU_END))
			printf("  simd");
		if (g->flags & KVM_GM_GATE_F_ASM)
			printf("  assembly");
		if (g->flags & KVM_GM_GATE_F_NORETURN)
			printf("  no return");
		if (g->stack_words)
			printf("  %u on the stack", g->stack_words);
		if (g->kind == KVM_GM_GATE_IN_CALL)
			printf("  %zu pointer%s", b->gate_count[i], b->gate_count[i] == 1 ? "" : "s");
		if (g->kind == KVM_GM_GATE_OUT_CALL || g->kind == KVM_GM_GATE_OUT_CALL_INDIRECT)
			printf("  %zu call site%s", b->gate_count[i], b->gate_count[i] == 1 ? "" : "s");
		text_pointers(img, g);
		putchar('\n');
	}
}

static void text_names(const char *title, const struct border_list *l)
{
	unsigned int column = 0;

	printf("\n%s\n", title);
	for (size_t i = 0; i < l->nr; i++) {
		unsigned int n = strlen(l->rows[i].name) + 2;

		if (column && column + n > 78)
			column = 0;
		printf("%s%s", column ? "  " : i ? "\n  " : "  ", l->rows[i].name);
		column += n;
	}
	if (l->nr)
		putchar('\n');
}

void inspect_text(const struct border *b)
{
	const struct image *img = &b->img;
	const struct gm_manifest *m = img->man;
	uint32_t windows = 0;

	printf("module     %s\n", m->name);
	printf("id         %s\n", hex(m->id, sizeof(m->id)));
	printf("stacks     %u of %u pages\n", m->nr_stacks, m->stack_pages - GM_STACK_GUARD);
	if (!img->sig)
		printf("signature  none\n");
	else
		printf("signature  %zu bytes by %s\n", img->sig_size,
		       signer(img) ? signer(img) : "nobody: not PKCS#7 of one signer");
	for (size_t i = 0; i < b->absorbed.nr; i++)
		printf("absorbed   %s: %s\n", b->absorbed.rows[i].name, b->absorbed.rows[i].note);
	printf("\nsealed regions\n");
	for (uint32_t i = 0; i < m->regions.count; i++)
		printf("  %5u  %-7s  %-24s %4llu pages\n", i, region_kind(img->regions[i].kind),
		       image_string(img, img->anchors[img->regions[i].anchor].name),
		       (unsigned long long)(img->regions[i].size / GM_PAGE));
	printf("\nshared with the guest\n");
	for (uint32_t i = 0; i < m->anchors.count; i++)
		if (img->anchors[i].kind == GM_ANCHOR_SHARED)
			printf("  %-32s %8llu bytes\n", image_string(img, img->anchors[i].name),
			       (unsigned long long)img->anchors[i].size);
	printf("\ngates\n");
	text_gates(b);
	text_names("imports", &b->imports);
	printf("\nrequested privileges\n");
	for (uint32_t i = 0; i < m->privileges.count; i++)
		printf("  %s\n", privilege_text(&img->privileges[i]));
	if (!m->privileges.count)
		printf("  none\n");
	printf("\nprivileged instructions\n");
	for (size_t i = 0; i < b->privileges.nr; i++)
		printf("  %-16s %zu place%s\n", b->privileges.rows[i].name, b->privileges.rows[i].count,
		       b->privileges.rows[i].count == 1 ? "" : "s");
	if (!b->privileges.nr)
		printf("  none\n");
	for (uint32_t i = 0; i < m->frames.count; i++)
		windows += !!img->frames[i].window_len;
	printf("\n%u call frames, %u with a shared window; %u relocations, %u anchors\n",
	       m->frames.count, windows, m->relocs.count, m->anchors.count);
}

static void json_absorbed(const struct border *b)
{
	printf(", \"absorbed\": [");
	for (size_t i = 0; i < b->absorbed.nr; i++) {
		const char *p = b->absorbed.rows[i].note;

		printf("%s{", i ? ", " : "");
		json_key(true, "object", b->absorbed.rows[i].name);
		printf(", \"functions\": [");
		for (bool first = true; *p; first = false, p += strspn(p, " ")) {
			size_t n = strcspn(p, " ");

			printf("%s", first ? "" : ", ");
			json_string(xasprintf("%.*s", (int)n, p));
			p += n;
		}
		printf("]}");
	}
	putchar(']');
}

static void json_regions(const struct image *img)
{
	printf(", \"regions\": [");
	for (uint32_t i = 0; i < img->man->regions.count; i++) {
		const struct gm_region *r = &img->regions[i];

		printf("%s{", i ? ", " : "");
		json_key(true, "kind", region_kind(r->kind));
		json_key(false, "section", image_string(img, img->anchors[r->anchor].name));
		printf(", \"pages\": %llu, \"file-offset\": %llu}",
		       (unsigned long long)(r->size / GM_PAGE), (unsigned long long)r->file_offset);
	}
	putchar(']');
}

static void json_anchors(const struct image *img, uint32_t kind, const char *key)
{
	bool first = true;

	printf(", \"%s\": [", key);
	for (uint32_t i = 0; i < img->man->anchors.count; i++) {
		if (img->anchors[i].kind != kind)
			continue;
		printf("%s{", first ? "" : ", ");
		json_key(true, "name", image_string(img, img->anchors[i].name));
		printf(", \"bytes\": %llu}", (unsigned long long)img->anchors[i].size);
		first = false;
	}
	putchar(']');
}

static void json_gates(const struct border *b)
{
	const struct image *img = &b->img;

	printf(", \"gates\": [");
	for (uint32_t i = 0; i < img->man->gates.count; i++) {
		const struct gm_gate *g = &img->gates[i];

		printf("%s{\"index\": %u", i ? ", " : "", i);
		json_key(false, "kind", gate_kind(g->kind));
		json_key(false, "name", image_string(img, g->name));
		printf(", \"region\": %u, \"offset\": %u, \"stack-words\": %u", g->region, g->offset,
		       g->stack_words);
		if (has_target(g)) {
			json_key(false, "target", image_string(img, img->anchors[g->target_anchor].name));
			printf(", \"target-offset\": %lld", (long long)g->target_addend);
		}
		if (g->kind == KVM_GM_GATE_IN_CALL)
			printf(", \"pointers\": %zu", b->gate_count[i]);
		if (g->kind == KVM_GM_GATE_OUT_CALL || g->kind == KVM_GM_GATE_OUT_CALL_INDIRECT)
			printf(", \"call-sites\": %zu", b->gate_count[i]);
		if (g->flags & KVM_GM_GATE_F_INIT)
			printf(", \"init\": true");
		if (g->flags & KVM_GM_GATE_F_EXIT)
			printf(", \"exit\": true");
		if (g->flags & KVM_GM_GATE_F_FPU_BEGIN)
			printf(", \"simd\": \"begin\"");
		if (g->flags & KVM_GM_GATE_F_FPU_END)
			printf(", \"simd\": \"end\"");
		if (g->flags & KVM_GM_GATE_F_ASM)
			printf(", \"results\": %u", g->results);
		if (g->flags & KVM_GM_GATE_F_NORETURN)
			printf(", \"noreturn\": true");
		json_pointers(img, g);
		putchar('}');
	}
	putchar(']');
}

static void json_frames(const struct image *img)
{
	printf(", \"frames\": [");
	for (uint32_t i = 0; i < img->man->frames.count; i++) {
		const struct gm_frame *f = &img->frames[i];

		printf("%s{\"region\": %u, \"offset\": %u, \"size\": %u, \"window\": %u, \"window-len\": %u}",
		       i ? ", " : "", f->region, f->offset, f->size, f->window, f->window_len);
	}
	putchar(']');
}

static void json_relocs(const struct image *img)
{
	static const char *const types[] = { "?", "64", "32", "32s", "pc32", "pc64" };

	printf(", \"relocations\": [");
	for (uint32_t i = 0; i < img->man->relocs.count; i++) {
		const struct gm_reloc *r = &img->relocs[i];

		printf("%s{\"region\": %u, \"offset\": %u", i ? ", " : "", r->region, r->offset);
		json_key(false, "type", types[r->type]);
		json_key(false, "target", image_string(img, img->anchors[r->anchor].name));
		printf(", \"addend\": %lld}", (long long)r->addend);
	}
	putchar(']');
}

static void json_privileges(const struct border *b)
{
	printf(", \"requests\": [");
	for (uint32_t i = 0; i < b->img.man->privileges.count; i++) {
		printf("%s", i ? ", " : "");
		json_string(privilege_text(&b->img.privileges[i]));
	}
	printf("], \"privileged-instructions\": [");
	for (size_t i = 0; i < b->privileges.nr; i++) {
		printf("%s{", i ? ", " : "");
		json_key(true, "instruction", b->privileges.rows[i].name);
		printf(", \"places\": %zu}", b->privileges.rows[i].count);
	}
	putchar(']');
}

void inspect_json(const struct border *b)
{
	const struct image *img = &b->img;
	const struct gm_manifest *m = img->man;

	putchar('{');
	json_key(true, "module", m->name);
	json_key(false, "id", hex(m->id, sizeof(m->id)));
	printf(", \"version\": %u, \"stacks\": %u, \"stack-pages\": %u, \"signed\": %s", m->version,
	       m->nr_stacks, m->stack_pages - GM_STACK_GUARD, img->sig ? "true" : "false");
	json_key(false, "signer", img->sig ? signer(img) : NULL);
	json_absorbed(b);
	json_regions(img);
	json_anchors(img, GM_ANCHOR_SHARED, "shared");
	json_anchors(img, GM_ANCHOR_EXTERN, "externs");
	json_gates(b);
	json_privileges(b);
	json_frames(img);
	json_relocs(img);
	printf(", \"trampoline\": {\"region\": %u, \"offset\": %u}, \"return\": {\"region\": %u, \"offset\": %u}}\n",
	       m->trampoline_region, m->trampoline_offset, m->ret_region, m->ret_offset);
}

static void read_file(struct border *b, const char *file)
{
	size_t size;
	uint8_t *data = read_input(file, &size);

	border_read(b, file, data, size);
}

static int diff(const char *old_file, const char *new_file, bool json)
{
	struct border old, new;

	die_status = EXIT_USAGE;
	read_file(&old, old_file);
	read_file(&new, new_file);
	return border_diff(&old, &new, json);
}

static int usage(void)
{
	fputs(help, stderr);
	return EXIT_USAGE;
}

int cmd_inspect(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "graph", optional_argument, NULL, 'g' },
		{ "diff", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool json = false, differ = false;
	const char *graph = NULL;
	struct border b;
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 'g':
			graph = optarg ? optarg : "svg";
			break;
		case 'd':
			differ = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (argc - optind != (differ ? 2 : 1) || (graph && (json || differ)))
		return usage();
	if (graph && strcmp(graph, "svg") && strcmp(graph, "dot")) {
		fprintf(stderr, "gmcc inspect: --graph wants svg or dot, not `%s'.\n", graph);
		return EXIT_USAGE;
	}
	if (differ)
		return diff(argv[optind], argv[optind + 1], json);
	read_file(&b, argv[optind]);
	if (json)
		inspect_json(&b);
	else if (graph && !strcmp(graph, "dot"))
		graph_dot(&b);
	else if (graph)
		graph_svg(&b);
	else
		inspect_text(&b);
	return 0;
}
