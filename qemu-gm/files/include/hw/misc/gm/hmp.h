/*
 * Guarded modules: the human monitor's commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_HMP_H
#define HW_MISC_GM_HMP_H

void coroutine_fn hmp_gm_register(Monitor *mon, const QDict *qdict);
void hmp_gm_unregister(Monitor *mon, const QDict *qdict);
void hmp_info_gm(Monitor *mon, const QDict *qdict);

#endif /* HW_MISC_GM_HMP_H */
