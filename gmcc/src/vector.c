// SPDX-License-Identifier: GPL-2.0
/*
 * The length of AVX and AVX-512 instructions that the disassembler does not
 * know. They need no privilege, do not branch, write no general register, and all
 * have a ModRM byte, so their shape is enough; other opcodes are not accepted here.
 */
#include "gmcc.h"

/* To general registers, RSP perhaps: moves, masks, compares, BMI and what is like it. */
static bool writes_general(unsigned int map, uint8_t op)
{
	static const struct {
		uint8_t map, first, last;
	} table[] = {
		{ 1, 0x2c, 0x2d }, { 1, 0x50, 0x50 }, { 1, 0x78, 0x79 }, { 1, 0x7e, 0x7e },
		{ 1, 0x93, 0x93 }, { 1, 0xc5, 0xc5 }, { 1, 0xd7, 0xd7 },
		{ 2, 0xe0, 0xff },
		{ 3, 0x14, 0x17 }, { 3, 0x60, 0x63 }, { 3, 0xf0, 0xf0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].map == map && op >= table[i].first && op <= table[i].last)
			return true;
	return false;
}

/* Of map 0f: with an immediate byte. Map 0f3a always has one, 0f38 never. */
static bool has_imm(unsigned int map, uint8_t op)
{
	if (map != 1)
		return map == 3;
	return (op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6);
}

/* The opcode's place and map; 0: no such instruction. */
static size_t opcode_at(const uint8_t *p, size_t left, unsigned int *map)
{
	if (left > 3 && p[0] == 0xc5) {
		*map = 1;
		return 2;
	}
	if (left > 4 && p[0] == 0xc4) {
		*map = p[1] & 31;
		return 3;
	}
	if (left > 5 && p[0] == 0x62 && !(p[1] & 0x08) && p[2] & 0x04) {
		*map = p[1] & 7;
		return 4;
	}
	return 0;
}

size_t vector_length(const uint8_t *p, size_t left, struct insn *n, bool *rip)
{
	unsigned int map, mod, rm, disp = 0;
	size_t at = opcode_at(p, left, &map), len = at + 2;
	bool imm;

	if (!at || map < 1 || map > 3 || (map == 1 && p[at] == 0x77) || writes_general(map, p[at]))
		return 0;
	imm = has_imm(map, p[at]);
	mod = p[at + 1] >> 6;
	rm = p[at + 1] & 7;
	*rip = mod == 0 && rm == 5;
	if (mod != 3 && rm == 4) {
		if (left <= len)
			return 0;
		if (mod == 0 && (p[len] & 7) == 5)
			disp = 4;
		len++;
	}
	if (mod == 1)
		disp = 1;
	else if (mod == 2 || *rip)
		disp = 4;
	n->disp = disp == 4 ? len : 0;
	len += disp;
	n->imm = imm ? len : 0;
	len += imm;
	return len <= left && len <= 15 ? len : 0;
}
