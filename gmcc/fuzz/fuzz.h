/* SPDX-License-Identifier: GPL-2.0 */
/* What the fuzzers share: runs within one process, and a mutator that knows ELF. */
#ifndef GMCC_FUZZ_H
#define GMCC_FUZZ_H

#include "gmcc.h"

/* One run of gmcc's code on an input; it may end by die(). Nothing stays behind. */
void fuzz_run(void (*run)(uint8_t *data, size_t size), const uint8_t *data, size_t size);

/* Something that must not be: says so, and crashes. */
_Noreturn void fuzz_wrong(const char *fmt, ...) PRINTF(1, 2);

#endif /* GMCC_FUZZ_H */
