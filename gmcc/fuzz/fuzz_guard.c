// SPDX-License-Identifier: GPL-2.0
/*
 * gmcc guard on arbitrary modules. Beyond memory safety: an image that comes
 * out must verify. Only what the module itself brings along may be wrong with
 * it: what the loader would refuse, and frames and the stack pointer, which guard
 * takes from unwind data and symbols that may lie.
 */
#include <string.h>

#include "fuzz.h"
#include "verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool of_the_module(const struct finding *f)
{
	return !strcmp(f->kind, "loader") || !strcmp(f->kind, "import") ||
	       !strcmp(f->kind, "frame") || !strcmp(f->kind, "stack");
}

static void run(uint8_t *data, size_t size)
{
	static const struct options opt = { .stacks = 2, .stack_pages = 2 };
	struct vimg v = { .file = "image" };
	void *image;

	guard_image("module", data, size, &opt, &image, &v.size);
	v.data = image;
	verify_image(&v);
	for (size_t i = 0; i < v.nr_findings && i < MAX_FINDINGS; i++)
		if (!of_the_module(&v.findings[i]))
			fuzz_wrong("guard makes an image that verify refuses: %s+0x%llx: %s: %s",
				   v.findings[i].sec ? v.findings[i].sec->name : "",
				   (unsigned long long)v.findings[i].off, v.findings[i].kind,
				   v.findings[i].text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(run, data, size);
	return 0;
}
