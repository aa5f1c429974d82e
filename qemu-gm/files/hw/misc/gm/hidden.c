/*
 * Guarded modules: what the guest finds in the place of what is hidden from it.
 *
 * All ones, as where there is nothing; writes have no effect.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "privilege.h"
#include "trace.h"

static uint64_t gm_hidden_read(void *opaque, hwaddr addr, unsigned size)
{
    GmPrivilege *p = opaque;

    p->hidden_reads++;
    trace_gm_hidden_read(p->module, p->text, addr, size);
    return UINT64_MAX;
}

static void gm_hidden_write(void *opaque, hwaddr addr, uint64_t value,
                            unsigned size)
{
    GmPrivilege *p = opaque;

    p->hidden_writes++;
    trace_gm_hidden_write(p->module, p->text, addr, value, size);
}

static const MemoryRegionOps gm_hidden_ops = {
    .read = gm_hidden_read,
    .write = gm_hidden_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

void gm_hidden_init(MemoryRegion *mr, GmPrivilege *p, const char *name,
                    uint64_t size)
{
    memory_region_init_io(mr, OBJECT(p), &gm_hidden_ops, p, name, size);
}
