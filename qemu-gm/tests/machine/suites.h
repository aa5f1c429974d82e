/*
 * What test_*.c have: start the machine, and name the tests.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_GM_SUITES_H
#define TESTS_GM_SUITES_H

void suite_config(void);
void suite_device(void);
void suite_grant(void);
void suite_kvm(void);
void suite_mmio(void);
void suite_monitor(void);
void suite_object(void);
void suite_pages(void);
void suite_ports(void);
void suite_realize(void);
void suite_register(void);
void suite_seal(void);
void suite_verifier(void);
void suite_violation(void);

#endif /* TESTS_GM_SUITES_H */
