// SPDX-License-Identifier: GPL-2.0
/*
 * gm_pages: gm_probe with pages of its own for the registers of devices: an edu
 * device with its megabyte, and shared memory.
 */
#define GM_PROBE_PAGES	600

#include "gm_probe.c"
