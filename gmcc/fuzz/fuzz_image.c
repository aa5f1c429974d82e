// SPDX-License-Identifier: GPL-2.0
/* gmcc verify, then gmcc inspect in all its forms, on arbitrary images. */
#include "border.h"
#include "fuzz.h"
#include "verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void verify(uint8_t *data, size_t size)
{
	struct vimg v = { .file = "image", .data = data };

	v.size = signature_find(data, size, &v.sig_size);
	verify_image(&v);
}

static void inspect(uint8_t *data, size_t size)
{
	struct border b;

	border_read(&b, "image", data, size);
	inspect_text(&b);
	inspect_json(&b);
	graph_svg(&b);
	graph_dot(&b);
	border_diff(&b, &b, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(verify, data, size);
	fuzz_run(inspect, data, size);
	return 0;
}
