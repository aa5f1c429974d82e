/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GMCC_SPAWN_H
#define GMCC_SPAWN_H

#define SPAWN_FAILED	126	/* as the shell has it */
#define SPAWN_NONE	127

/* Its exit status, or one of the above. */
int spawn_wait(const char *file, char **argv);

#endif /* GMCC_SPAWN_H */
