/*
 * Guarded modules: the human monitor's commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_GM_HMP_H
#define HW_MISC_GM_HMP_H

#include "monitor/monitor.h"
#include "qemu/readline.h"

void hmp_gm_register(Monitor *mon, const QDict *qdict);
void hmp_gm_unregister(Monitor *mon, const QDict *qdict);
void hmp_gm_grant(Monitor *mon, const QDict *qdict);
void hmp_gm_revoke(Monitor *mon, const QDict *qdict);
void hmp_info_gm(Monitor *mon, const QDict *qdict);

void gm_unregister_completion(ReadLineState *rs, int nb_args, const char *str);
void gm_grant_completion(ReadLineState *rs, int nb_args, const char *str);
void gm_revoke_completion(ReadLineState *rs, int nb_args, const char *str);

#endif /* HW_MISC_GM_HMP_H */
