// SPDX-License-Identifier: GPL-2.0
/*
 * gmcc guard: from a stock module to an unsigned guarded image.
 *
 * The order of the passes matters: all text is decoded, and has taken its final
 * shape, before anything is rewritten (branches between sections are checked
 * against it), all references
 * are seen before data is declared private, and all gates exist before anchors
 * are numbered.
 */
#include <getopt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "batch.h"
#include "policy.h"
#include "verify.h"

/* Of a module's name, as QEMU takes it. */
#define NAME_CHARACTERS	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

#define DEFAULT_STACKS		32
#define DEFAULT_STACK_PAGES	2

static const char help[] =
"Usage: gmcc guard [-o OUT] [--policy FILE] [--stacks N] [--stack-pages N]\n"
"                  [--privilege SPEC]... [--absorb OBJECT[,OBJECT]...]...\n"
"                  [--btf FILE] [--verify] [-j N] [--report FILE] MODULE...\n"
"\n"
"Turns a kernel module (.ko, .ko.xz, .ko.zst) into an unsigned guarded image;\n"
"several of them each in a process of its own.\n"
"\n"
"  -o, --output OUT     write OUT, or to the folder OUT, instead of NAME.gm.ko in\n"
"                       the current directory\n"
"      --stacks N       private stacks, so activations at once (1..256, default 32)\n"
"      --stack-pages N  pages of each private stack (1..8, default 2)\n"
"      --policy FILE    what may be an entry, private, shared, privileged (TOML)\n"
"      --privilege SPEC ask for a privilege, beside what policy and module ask for:\n"
"                       mmio=8086:10d3 (mmio: of any PCI device), pio=0x60-0x64,\n"
"                       msr=0x35, msr=0x198-0x199:rw, mwait, hostinfo\n"
"      --absorb OBJECT  make functions of OBJECT (a .ko of the same kernel) the module's\n"
"                       own: __wrap_NAME is called instead of the kernel's NAME\n"
"      --btf FILE       take prototypes of kernel functions from FILE's BTF\n"
"                       (a vmlinux or /sys/kernel/btf/vmlinux)\n"
"      --verify         write only what `gmcc verify' finds nothing in\n"
"  -j, --jobs N         processes at a time (1..256, default 1)\n"
"      --report FILE    write a line for each module: exit status, processor\n"
"                       seconds (its own, and the system's for it), file\n"
"  -q, --quiet          no summary\n"
"  -h, --help           this text\n";

static void read_modinfo(struct obj *o)
{
	const struct sec *s = section_named(o, ".modinfo");
	const char *p, *end;

	if (!s || !s->size || !s->data || s->data[s->size - 1])
		die(o->file, "no valid .modinfo section. Give a kernel module (.ko).");
	if (!section_named(o, ".gnu.linkonce.this_module"))
		die(o->file, "no module structure. Give a kernel module (.ko), not one of its objects (.o).");
	for (p = (const char *)s->data, end = p + s->size; p < end; p += strlen(p) + 1)
		if (!strncmp(p, "name=", 5) && p[5] && strlen(p + 5) < KVM_GM_NAME_LEN &&
		    strspn(p + 5, NAME_CHARACTERS) == strlen(p + 5) && !o->name)
			o->name = xasprintf("%s", p + 5);
		else if (!strncmp(p, "vermagic=6.1.", 13))
			o->linux_6_1 = true;
	if (!o->name)
		die(o->file, "no valid name in .modinfo. Give a kernel module (.ko).");
}

static void identify(struct obj *o, const uint8_t *data, size_t size)
{
	char *what = xasprintf("gmcc " GMCC_VERSION " %u %u %s", o->stacks, o->stack_pages,
			       policy_text(o));
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL) ||
	    !EVP_DigestUpdate(md, what, strlen(what) + 1) || !EVP_DigestUpdate(md, data, size))
		die(o->file, "cannot compute SHA-256.");
	for (size_t i = 0; i < o->nr_absorbed; i++)
		if (!EVP_DigestUpdate(md, &o->absorbed[i].size, sizeof(o->absorbed[i].size)) ||
		    !EVP_DigestUpdate(md, o->absorbed[i].data, o->absorbed[i].size))
			die(o->file, "cannot compute SHA-256.");
	if (!EVP_DigestFinal_ex(md, o->id, NULL))
		die(o->file, "cannot compute SHA-256.");
	EVP_MD_CTX_free(md);
}

/* What is moved apart may come together elsewhere: a few rounds are enough. */
static void part_patterns(struct obj *o)
{
	bool again = true;

	for (int round = 0; again && round < 4; round++) {
		again = false;
		for (size_t i = 1; i < o->nr_secs; i++)
			if (o->secs[i]->role == ROLE_TEXT && o->secs[i] != o->s_glue)
				again |= text_part_patterns(o->secs[i]);
		if (again)
			layout_text(o);
	}
}

/* From here on sealed text holds nothing that anybody would patch. */
static void convert(struct obj *o)
{
	alternatives_apply(o);
	glue_init(o);
	for (size_t i = 1; i < o->nr_secs; i++)
		if (o->secs[i]->role == ROLE_TEXT && o->secs[i] != o->s_glue)
			text_decode(o, o->secs[i]);
	refused_exit(o);
	frames_check_count(o);
	orc_read(o);
	convert_text(o);
	stack_follow(o);
	frames_find_variadic(o);
	layout_text(o);
	part_patterns(o);
	glue_finish(o);
	sections_filter_sites(o);
	orc_read(o);
	for (size_t i = 1; i < o->nr_secs; i++)
		if (o->secs[i]->role == ROLE_TEXT)
			text_scan_patterns(o, o->secs[i]);
	refused_exit(o);
}

static void rewrite(struct obj *o)
{
	gates_init(o);
	for (size_t i = 1; i < o->nr_secs; i++) {
		struct sec *s = o->secs[i];

		if (s->role == ROLE_TEXT && s != o->s_stubs)
			rewrite_text(o, s);
		else if (s->role != ROLE_DROP && s->flags & SHF_ALLOC)
			rewrite_data(o, s);
	}
	refused_exit(o);
	if (!o->init_linked)
		die(o->file, "the module structure does not point to init_module(). Report this module.");
	gates_finish(o);
}

static void summary(const struct obj *o, const char *out)
{
	printf("%s: module %s, %zu in-call gates, %zu out-call stubs, %zu call frames, %u stacks of %u pages\n",
	       out, o->name, o->nr_gates, o->nr_stubs, o->nr_frames, o->stacks,
	       o->stack_pages);
	for (size_t i = 1; i < o->nr_secs; i++) {
		const struct sec *s = o->secs[i];

		if (s->role == ROLE_DATA)
			printf("  private  %-24s %8llu bytes\n", s->out_name,
			       (unsigned long long)s->mem_size);
		else if (s->role == ROLE_KEEP && section_is_data(s) && (s->used_by_text || s->escapes))
			printf("  shared   %-24s %8llu bytes%s", s->out_name,
			       (unsigned long long)s->mem_size, s->escapes ? ", " : ": empty\n");
		if (s->role == ROLE_KEEP && section_is_data(s) && s->escapes)
			printf("address taken at %s+0x%llx\n", s->escape_sec->name,
			       (unsigned long long)s->escape_off);
	}
	for (size_t i = 0; i < o->nr_absorbed; i++)
		printf("  absorbs  %s:%s\n", o->absorbed[i].file,
		       *o->absorbed[i].names ? o->absorbed[i].names : " nothing that the module calls");
	for (size_t i = 0; i < o->policy->requests.nr; i++)
		printf("  requests %s\n", privilege_text(&o->policy->requests.list[i]));
	if (!o->opt->btf)
		printf("  no --btf: arguments on the stack are counted from the calls alone\n");
}

static const char *default_output(const char *in)
{
	const char *base = strrchr(in, '/') ? strrchr(in, '/') + 1 : in;
	size_t n = strlen(base);
	static const char *const ends[] = { ".xz", ".zst", ".ko" };

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (n > strlen(ends[i]) && !strncmp(base + n - strlen(ends[i]), ends[i], strlen(ends[i])))
			n -= strlen(ends[i]);
	return xasprintf("%.*s.gm.ko", (int)n, base);
}

static unsigned int number(const char *opt, const char *s, unsigned int max)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (*end || !*s || !n || n > max) {
		fprintf(stderr, "gmcc guard: %s wants a number from 1 to %u, not `%s'.\n", opt, max, s);
		run_exit(EXIT_USAGE);
	}
	return n;
}

static void request(struct requests *r, const char *text)
{
	struct gm_privilege p;
	const char *wrong = privilege_parse(text, &p);

	if (!wrong && !requests_add(r, &p))
		wrong = xasprintf("more than %d. Ask for ranges.", GM_MAX_PRIVILEGES);
	if (!wrong)
		return;
	fprintf(stderr, "gmcc guard: --privilege: %s\n", wrong);
	run_exit(EXIT_USAGE);
}

/* OBJECT[,OBJECT]... */
static void absorb_option(struct options *opt, const char *list)
{
	while (*list) {
		size_t n = strcspn(list, ",");

		if (!n)
			break;
		opt->absorb = xgrow(opt->absorb, opt->nr_absorb, sizeof(*opt->absorb));
		opt->absorb[opt->nr_absorb++] = xasprintf("%.*s", (int)n, list);
		list += n + (list[n] == ',');
		if (!*list)
			return;
	}
	fprintf(stderr, "gmcc guard: --absorb wants OBJECT[,OBJECT]..., not `%s'.\n", list);
	run_exit(EXIT_USAGE);
}

struct obj *guard_image(const char *file, uint8_t *data, size_t size, const struct options *opt,
			void **image, size_t *image_size)
{
	struct obj *o = obj_read(file, data, size);

	o->opt = opt;
	read_modinfo(o);
	absorb(o);
	o->policy = policy_read(opt->policy);
	policy_notes(o);
	o->stacks = opt->stacks ? opt->stacks : o->policy->stacks ? o->policy->stacks : DEFAULT_STACKS;
	o->stack_pages = opt->stack_pages ? opt->stack_pages :
			 o->policy->stack_pages ? o->policy->stack_pages : DEFAULT_STACK_PAGES;
	identify(o, data, size);
	sections_classify(o);
	frames_check_relocs(o);
	policy_check(o);
	convert(o);
	rewrite(o);
	seal_sections(o);
	frames_build(o);
	args_count(o);
	dispatch_finish(o);
	anchors_build(o);
	pointers_build(o);
	manifest_size(o);
	*image = obj_emit(o, image_size);
	return o;
}

/* What all modules of a command have in common. */
struct job {
	struct options opt;
	bool folder;		/* opt.out is one, else a file */
	bool verify, quiet;
};

static const char *output_of(const struct job *j, const char *file)
{
	if (!j->opt.out)
		return default_output(file);
	return j->folder ? xasprintf("%s/%s", j->opt.out, default_output(file)) : j->opt.out;
}

static void guard_file(const char *file, void *arg)
{
	const struct job *j = arg;
	const char *out = output_of(j, file);
	size_t size, sig_size;
	uint8_t *data;
	struct obj *o;
	void *image;

	data = read_input(file, &size);
	size = signature_find(data, size, &sig_size);
	o = guard_image(file, data, size, &j->opt, &image, &size);
	if (j->verify && !verified(out, image, size))
		die(file, "the image does not verify. Report this module.");
	write_output(out, image, size);
	if (!j->quiet)
		summary(o, out);
}

static int by_string(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One image would replace another. */
static void check_outputs(const struct job *j, char **files, int nr)
{
	const char **outs = xalloc(nr * sizeof(*outs));

	if (j->opt.out && !j->folder)
		die(j->opt.out, "not a folder. Name one for the images of several modules.");
	for (int i = 0; i < nr; i++)
		outs[i] = output_of(j, files[i]);
	qsort(outs, nr, sizeof(*outs), by_string);
	for (int i = 1; i < nr; i++)
		if (!strcmp(outs[i - 1], outs[i]))
			die(outs[i], "two modules have this image. Guard them into different folders.");
}

static bool is_folder(const char *path)
{
	struct stat st;

	return path && !stat(path, &st) && S_ISDIR(st.st_mode);
}

int cmd_guard(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "stacks", required_argument, NULL, 's' },
		{ "stack-pages", required_argument, NULL, 'p' },
		{ "policy", required_argument, NULL, 'P' },
		{ "privilege", required_argument, NULL, 'V' },
		{ "absorb", required_argument, NULL, 'a' },
		{ "btf", required_argument, NULL, 'b' },
		{ "verify", no_argument, NULL, 'v' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "report", required_argument, NULL, 'r' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct requests requests;
	static struct job job = { .opt.requests = &requests };
	struct options *opt = &job.opt;
	const char *report = NULL;
	unsigned int jobs = 1;
	int c;

	while ((c = getopt_long(argc, argv, "o:j:qh", longs, NULL)) != -1) {
		switch (c) {
		case 'o':
			opt->out = optarg;
			break;
		case 's':
			opt->stacks = number("--stacks", optarg, MAX_STACKS);
			break;
		case 'p':
			opt->stack_pages = number("--stack-pages", optarg, MAX_STACK_PAGES);
			break;
		case 'P':
			opt->policy = optarg;
			break;
		case 'V':
			request(&requests, optarg);
			break;
		case 'a':
			absorb_option(opt, optarg);
			break;
		case 'b':
			opt->btf = optarg;
			break;
		case 'v':
			job.verify = true;
			break;
		case 'j':
			jobs = number("--jobs", optarg, MAX_JOBS);
			break;
		case 'r':
			report = optarg;
			break;
		case 'q':
			job.quiet = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (argc == optind) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	job.folder = is_folder(opt->out);
	if (argc - optind == 1 && !report) {
		guard_file(argv[optind], &job);
		return 0;
	}
	if (argc - optind > 1)
		check_outputs(&job, argv + optind, argc - optind);
	/* What would else be done in each process. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	decoder_open("gmcc");
	if (opt->btf)
		kbtf_load(opt->btf);
	return batch_run(argv + optind, argc - optind, jobs, report, guard_file, &job);
}
