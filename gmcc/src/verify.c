// SPDX-License-Identifier: GPL-2.0
/*
 * gmcc verify: proves that an image keeps the rules of guarded modules.
 *
 * Collects findings and prints them; what is proved is in verify_*.c. An image
 * that cannot even be read is one finding, so that the output has one form.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "privilege.h"
#include "sign.h"
#include "verify.h"

static const char help[] =
"Usage: gmcc verify [--json] [--keyring CERTS [--signature FILE]] IMAGE\n"
"\n"
"Proves that a guarded image, signed or not, keeps the rules, by an analysis\n"
"of its own: it trusts nothing that `gmcc guard' did.\n"
"\n"
"      --keyring CERTS  check the signature, too: its signer must be one of these\n"
"                    certificates (a file, PEM or DER, or a folder of such files)\n"
"      --signature FILE  the signature, if it is not appended to the image (DER)\n"
"      --json        one JSON object instead of text\n"
"  -q, --quiet       findings only, no summary\n"
"  -h, --help        this text\n"
"\n"
"Exit status: 0 verified, 1 refused (each finding is printed), 2 wrong usage.\n";

static const struct vsym *symbol_at(const struct vimg *v, const struct vsec *s, uint64_t off)
{
	const struct vsym *f = vfunc_of(s, off);

	if (f && (off == f->value || off - f->value < f->size))
		return f;
	for (size_t i = 1; i < v->nr_syms; i++) {
		const struct vsym *y = &v->syms[i];

		if (y->sec == s && y->type == STT_OBJECT && off >= y->value && off - y->value < y->size)
			return y;
	}
	return NULL;
}

void finding(struct vimg *v, const char *kind, const struct vsec *s, uint64_t off,
	     const char *fmt, ...)
{
	struct finding *f;
	char text[512];
	va_list ap;

	if (v->nr_findings >= MAX_FINDINGS) {
		v->nr_findings++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	v->findings = xgrow(v->findings, v->nr_findings, sizeof(*v->findings));
	f = &v->findings[v->nr_findings++];
	*f = (struct finding){
		.kind = kind, .sec = s, .off = off, .text = xasprintf("%s", text),
		.sym = s && v->syms ? symbol_at(v, s, off) : NULL,
	};
}

void verify_image(struct vimg *v)
{
	if (!verify_elf(v) || !verify_manifest(v))
		return;
	if (!verify_regions(v))
		return;
	verify_anchors(v);
	verify_relocs(v);
	verify_requests(v);
	verify_decode(v);
	verify_edges(v);
	verify_gates(v);
	verify_pointers(v);
	verify_patterns(v);
	verify_branches(v);
	verify_reach(v);
	verify_frames(v);
}

/* The signature, appended or in a file of its own, by a certificate of the keyring. */
static void verify_signature(struct vimg *v, const char *keyring, const char *file)
{
	size_t size = v->sig_size;
	const uint8_t *sig = file ? read_input(file, &size) : v->data + v->size;
	const char *why;

	if (!size) {
		finding(v, "signature", NULL, 0, "not signed.");
		return;
	}
	why = keyring_check(keyring, v->data, v->size, sig, size, &v->signer);
	if (why)
		finding(v, "signature", NULL, 0, "%s%s%s%s.", why, v->signer ? " (" : "",
			v->signer ? v->signer : "", v->signer ? ")" : "");
}

static size_t nr_printed(const struct vimg *v)
{
	return v->nr_findings < MAX_FINDINGS ? v->nr_findings : MAX_FINDINGS;
}

void print_finding(FILE *to, const struct vimg *v, const struct finding *f)
{
	fprintf(to, "%s: ", v->file);
	if (f->sec) {
		fprintf(to, "%s+0x%llx", f->sec->name, (unsigned long long)f->off);
		if (f->sym)
			fprintf(to, " (%s+0x%llx)", f->sym->name,
				(unsigned long long)(f->off - f->sym->value));
		fprintf(to, ": ");
	}
	fprintf(to, "%s: %s\n", f->kind, f->text);
}

bool verified(const char *out, const void *image, size_t size)
{
	struct vimg v = { .file = out, .data = image, .size = size };

	verify_image(&v);
	for (size_t i = 0; i < nr_printed(&v); i++)
		print_finding(stderr, &v, &v.findings[i]);
	return !v.nr_findings;
}

static void print_text(const struct vimg *v, bool quiet)
{
	const struct proof *p = &v->proof;

	for (size_t i = 0; i < nr_printed(v); i++)
		print_finding(stdout, v, &v->findings[i]);
	if (v->nr_findings > MAX_FINDINGS)
		printf("%s: and %zu more.\n", v->file, v->nr_findings - MAX_FINDINGS);
	if (quiet)
		return;
	if (v->nr_findings) {
		printf("%s: refused, %zu finding%s\n", v->file, v->nr_findings,
		       v->nr_findings == 1 ? "" : "s");
		return;
	}
	printf("%s: verified, module %s\n", v->file, v->man->name);
	if (v->signer)
		printf("  signed by %s\n", v->signer);
	printf("  %zu instructions decoded, %zu branches, %zu bytes scanned for hypercalls\n", p->insns,
	       p->branches, p->patterns_bytes);
	printf("  %zu gates, %zu relocations as in the object\n", p->gates, p->relocs);
	printf("  %zu call frames, by following the stack\n", p->frames);
	for (uint32_t i = 0; i < v->man->privileges.count; i++)
		printf("  requests %s\n", privilege_text(&v->privileges[i]));
	if (p->locations)
		printf("  %zu places in functions are named as data\n", p->locations);
	if (p->unreached)
		printf("  %zu instructions that nothing reaches, checked all the same\n", p->unreached);
}

static void print_json(const struct vimg *v)
{
	const struct proof *p = &v->proof;

	printf("{");
	json_key(true, "image", v->file);
	printf(", \"verified\": %s, \"signed\": %s", v->nr_findings ? "false" : "true",
	       v->sig_size ? "true" : "false");
	json_key(false, "module", v->man && v->strings && memchr(v->man->name, 0, KVM_GM_NAME_LEN) ?
		 v->man->name : NULL);
	json_key(false, "signer", v->signer);
	printf(", \"checked\": {\"instructions\": %zu, \"unreached\": %zu, \"branches\": %zu, "
	       "\"bytes-scanned\": %zu, \"locations\": %zu, \"gates\": %zu, \"relocations\": %zu, \"frames\": %zu}",
	       p->insns, p->unreached, p->branches, p->patterns_bytes, p->locations, p->gates,
	       p->relocs, p->frames);
	printf(", \"requests\": [");
	for (uint32_t i = 0; v->privileges && i < v->man->privileges.count; i++) {
		printf("%s", i ? ", " : "");
		json_string(privilege_text(&v->privileges[i]));
	}
	printf("]");
	printf(", \"nr-findings\": %zu, \"findings\": [", v->nr_findings);
	for (size_t i = 0; i < nr_printed(v); i++) {
		const struct finding *f = &v->findings[i];

		printf("%s{", i ? ", " : "");
		json_key(true, "kind", f->kind);
		json_key(false, "section", f->sec ? f->sec->name : NULL);
		printf(", \"offset\": %llu", (unsigned long long)f->off);
		json_key(false, "symbol", f->sym ? f->sym->name : NULL);
		printf(", \"symbol-offset\": %llu",
		       (unsigned long long)(f->sym ? f->off - f->sym->value : 0));
		json_key(false, "message", f->text);
		putchar('}');
	}
	printf("]}\n");
}

int cmd_verify(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "keyring", required_argument, NULL, 'k' },
		{ "signature", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *keyring = NULL, *signature = NULL;
	struct vimg v = { .file = NULL };
	bool json = false, quiet = false;
	size_t size;
	int c;

	while ((c = getopt_long(argc, argv, "qh", longs, NULL)) != -1) {
		switch (c) {
		case 'k':
			keyring = optarg;
			break;
		case 's':
			signature = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'q':
			quiet = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (argc - optind != 1 || (signature && !keyring)) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	v.file = argv[optind];
	v.data = read_input(v.file, &size);
	v.size = signature_find(v.data, size, &v.sig_size);
	verify_image(&v);
	if (keyring)
		verify_signature(&v, keyring, signature);
	if (json)
		print_json(&v);
	else
		print_text(&v, quiet);
	return v.nr_findings ? EXIT_REFUSED : 0;
}
