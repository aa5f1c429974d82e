// SPDX-License-Identifier: GPL-2.0
/* Arbitrary BTF, alone and on top of itself: all that gmcc asks of it. */
#include "btf.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct btf *b)
{
	for (uint32_t id = 0; id < b->first_id + b->nr_types + 1; id++) {
		const struct btf_type *t = btf_type(b, id);

		btf_size(b, id);
		btf_strip(b, id);
		if (t)
			btf_function(b, btf_name(b, t->name_off));
	}
	btf_struct(b, "module");
}

static void run(uint8_t *data, size_t size)
{
	const struct btf *kernel = btf_open(data, size, NULL);
	const struct btf *module = kernel ? btf_open(data, size, kernel) : NULL;

	if (kernel)
		ask(kernel);
	if (module)
		ask(module);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(run, data, size);
	return 0;
}
