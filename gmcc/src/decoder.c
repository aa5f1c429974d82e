// SPDX-License-Identifier: GPL-2.0
/* The disassembler: all that guard and the verifier share. */
#include <capstone/capstone.h>

#include "gmcc.h"

static void close_decoder(void *arg)
{
	struct decoder *d = arg;
	csh cs = d->cs;

	cs_free(d->in, 1);
	cs_close(&cs);
}

struct decoder decoder_open(const char *file)
{
	struct decoder d, *held = xalloc(sizeof(*held));
	csh cs;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &cs) != CS_ERR_OK)
		die(file, "cannot start the disassembler.");
	cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
	d = (struct decoder){ .cs = cs, .in = cs_malloc(cs) };
	*held = d;
	at_end(close_decoder, held);
	return d;
}
