/* SPDX-License-Identifier: GPL-2.0 */
/* What main.c and attack.c tell each other. */
#ifndef GM_TESTS_MAIN_H
#define GM_TESTS_MAIN_H

/* How the process of a case ends. */
enum { STATUS_PASSED, STATUS_FAILED, STATUS_SKIPPED = 77 };

/* After a case: counters are as it said, and the victim works on every vCPU. */
void all_is_well(void);

#endif /* GM_TESTS_MAIN_H */
