/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMCC_BATCH_H
#define GMCC_BATCH_H

#include "gmcc.h"

#define MAX_JOBS	256

/*
 * Calls @run for each file, in @jobs processes at a time; it ends as a run does,
 * or returns. The result is an exit status: 0, or that some did not end well.
 * @report, if not NULL: a file to write a line per file to, its exit status
 * (negative: the signal that killed it), its processor seconds, those that it
 * made the system take, and its name.
 */
int batch_run(char **files, int nr, unsigned int jobs, const char *report,
	      void (*run)(const char *file, void *arg), void *arg);

#endif /* GMCC_BATCH_H */
