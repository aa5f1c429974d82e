// SPDX-License-Identifier: GPL-2.0
/*
 * Common to the fuzzers, which link all of gmcc but main() with libFuzzer.
 *
 * gmcc ends a run on bad input; here that comes back with a longjmp, and all
 * that the run held is given back. What gmcc prints goes nowhere. The mutator
 * aims half of its changes at the tables of the ELF file: headers, symbols,
 * relocations, the manifest, and the code, none of which a blind one finds
 * between pages of padding.
 */
#include <elf.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

static jmp_buf over;

static void come_back(int status)
{
	longjmp(over, status ? status : 1);
}

void fuzz_run(void (*run)(uint8_t *data, size_t size), const uint8_t *data, size_t size)
{
	run_over = come_back;
	if (!setjmp(over))
		run(xmemdup(data, size), size);
	run_release();
}

_Noreturn void fuzz_wrong(const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(text) - 2)
		n = sizeof(text) - 2;
	text[n] = '\n';
	if (write(STDERR_FILENO, text, n + 1) < 0)
		_exit(1);
	abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	/* Only gmcc's own messages: libFuzzer and the sanitizers write to the descriptor. */
	stdout = fopen("/dev/null", "w");
	stderr = fopen("/dev/null", "w");
	if (!stdout || !stderr)
		fuzz_wrong("cannot open /dev/null");
	return 0;
}

static unsigned int dice(unsigned int *seed, unsigned int sides)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 8) % sides;
}

/* A change of one to eight bytes, to what tends to matter. */
static void poke(uint8_t *p, size_t room, unsigned int *seed)
{
	static const uint64_t values[] = {
		0, 1, 2, 4, 7, 8, 0x10, 0x7f, 0x80, 0xff, 0x100, 0xfff, 0x1000, 0x7fff, 0xffff, 0x10000,
		0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, -1ULL, -8ULL,
	};
	static const uint8_t code[][4] = {
		{ 0x0f, 0x01, 0xd9, 0x90 }, { 0xff, 0xd0, 0x90, 0x90 }, { 0xe8, 0, 0, 0 }, { 0xeb, 0x05, 0, 0 },
		{ 0x0f, 0x30, 0xc3, 0xcc }, { 0x48, 0x83, 0xec, 0x20 }, { 0xc3, 0xcc, 0xcc, 0xcc }, { 0x55, 0x53, 0x5b, 0x5d },
	};
	uint64_t v;

	switch (dice(seed, 4)) {
	case 0:
		v = values[dice(seed, ARRAY_SIZE(values))];
		memcpy(p, &v, 1u << dice(seed, 4) < room ? 1u << dice(seed, 4) : 1);
		break;
	case 1:
		p[0] ^= 1u << dice(seed, 8);
		break;
	case 2:
		if (room >= 4)
			memcpy(p, code[dice(seed, ARRAY_SIZE(code))], 4);
		break;
	default:
		p[0] += (uint8_t)(dice(seed, 33) - 16);
	}
}

/* Somewhere in one section, or in the table of sections. */
static bool poke_elf(uint8_t *data, size_t size, unsigned int *seed)
{
	Elf64_Ehdr eh;
	Elf64_Shdr sh;
	uint64_t at, room;

	if (size < sizeof(eh))
		return false;
	memcpy(&eh, data, sizeof(eh));
	if (!eh.e_shnum || eh.e_shoff > size || (size - eh.e_shoff) / sizeof(sh) < eh.e_shnum)
		return false;
	at = eh.e_shoff + dice(seed, eh.e_shnum) * sizeof(sh);
	memcpy(&sh, data + at, sizeof(sh));
	room = sizeof(sh);
	if (dice(seed, 8) && sh.sh_type != SHT_NOBITS && sh.sh_size && sh.sh_offset < size &&
	    size - sh.sh_offset >= sh.sh_size) {
		at = sh.sh_offset;
		room = sh.sh_size;
		/* Most of a padded page is padding. */
		if (room >= GM_PAGE && dice(seed, 4))
			room = 512;
	}
	at += dice(seed, room < UINT32_MAX ? room : UINT32_MAX);
	poke(data + at, size - at < 8 ? size - at : 8, seed);
	return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	unsigned int n = 1 + dice(&seed, 4);

	if (!dice(&seed, 4))
		return LLVMFuzzerMutate(data, size, max);
	while (n--)
		if (!poke_elf(data, size, &seed))
			return LLVMFuzzerMutate(data, size, max);
	return size;
}
