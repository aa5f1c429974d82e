# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: what prototypes in BTF tell. mkbtf makes the BTF.

check "mkbtf makes BTF" "$here/mkbtf" "$tmp/btf"
cat "$here/victim.s" - > "$tmp/with-btf.s" <<-S
	.section .BTF, "a"
	.incbin "$tmp/btf/module.btf"
S
assemble "$tmp/protos.ko" < "$tmp/with-btf.s"
check "a kernel's BTF and a module's" "$GMCC_SAN" guard -q --verify --btf "$tmp/btf/kernel.btf" \
	-o "$tmp/protos.gm.ko" "$tmp/protos.ko"
json "a prototype tells words on the stack" "gates[('out-call', 'ext')]['stack-words'] == 1" \
	"$tmp/protos.gm.ko"
json "and what register arguments point to, of a function of the kernel" \
	"[(p['register'], p['type'], p['size'], p['const'], p['function']) for p in gates[('out-call', 'ext')]['pointer-arguments']] == [('rdi', 'struct foo', 24, False, False), ('rdx', 'int', 4, True, False), ('rcx', '', 0, False, True)]" \
	"$tmp/protos.gm.ko"
json "and of the module" \
	"[(p['register'], p['type'], p['size']) for p in gates[('in-call', 'f')]['pointer-arguments']] == [('rsi', 'size_t', 8)]" \
	"$tmp/protos.gm.ko"
check "inspect says so" grep -q " ext  1 on the stack  4 call sites  takes rdi: struct foo (24 bytes), rdx: const int (4 bytes), rcx: a function$" <<-S
	$("$GMCC_SAN" inspect "$tmp/protos.gm.ko")
S

assemble "$tmp/names.ko" <<-'S'
	func f
	sub $8, %rsp
	orc 16
	push $1
	orc 24
	push $2
	orc 32
	call two
	call print
	add $24, %rsp
	orc 8
	ret
	endfunc f
S
check "names that two functions share, and variadic functions" "$GMCC_SAN" guard -q \
	--btf "$tmp/btf/kernel.btf" -o "$tmp/names.gm.ko" "$tmp/names.ko"
json "count as the calls tell" \
	"[gates[('out-call', n)]['stack-words'] for n in ('two', 'print')] == [2, 0]" "$tmp/names.gm.ko"
json "the first argument of a variadic one is known" \
	"'pointer-arguments' not in gates[('out-call', 'two')] and [p['register'] for p in gates[('out-call', 'print')]['pointer-arguments']] == ['rdi']" \
	"$tmp/names.gm.ko"

for bad in "$tmp"/btf/bad-*.btf; do
	fails "BTF damaged: $(basename "$bad" .btf)" 1 \
		"gmcc: $bad: no BTF in this file. Give a vmlinux, or /sys/kernel/btf/vmlinux of the guest's kernel." \
		"$GMCC_SAN" guard -q --btf "$bad" -o "$tmp/x" "$tmp/protos.ko"
done
for odd in loop names; do
	check "BTF that tells nothing: $odd" "$GMCC_SAN" guard -q --verify --btf "$tmp/btf/$odd.btf" \
		-o "$tmp/odd.gm.ko" "$tmp/protos.ko"
done

# A library of functions for other modules.
sed 's/\.quad init_module/.quad 0/; s/init_module/start_module/' "$here/prelude.s" > "$tmp/in.s"
"$CC" -c -x assembler -o "$tmp/library.ko" "$tmp/in.s"
check "a module without init and exit gets a pair" "$GMCC_SAN" guard -q --verify --btf "$tmp/btf/kernel.btf" \
	-o "$tmp/library.gm.ko" "$tmp/library.ko"
json "by which it is sealed and unsealed" "gates[('in-call', 'init_module')]['init'] and gates[('in-call', 'cleanup_module')]['exit']" \
	"$tmp/library.gm.ko"
check "its struct module leads to them" sh -c "
	readelf -rW '$tmp/library.gm.ko' | sed -n '/this_module/,/^\$/p' > '$tmp/rels'
	grep -q '^0*138 .*gm_init ' '$tmp/rels' && grep -q '^0*4e0 .*gm_gate_cleanup_module ' '$tmp/rels'"
# without NAME MESSAGE: what else is wrong with NAME.btf.
without() {
	fails "a struct module without room: $1" 1 "gmcc: $2" "$GMCC_SAN" guard -q --btf "$tmp/btf/$1.btf" \
		-o "$tmp/x" "$tmp/library.ko"
}
without memberless "$tmp/btf/memberless.btf: no struct module with a member init in this BTF. Give the vmlinux of the guest's kernel."
without outside "$tmp/library.ko: its struct module has no room at 1276 for init. Give the vmlinux of the module's kernel."
sed -i 's/\.zero 0x3c0/.zero 0x360\n\t.quad start_module\n\t.zero 0x58/' "$tmp/in.s"
"$CC" -c -x assembler -o "$tmp/library.ko" "$tmp/in.s"
without taken "$tmp/library.ko: its struct module has something else at 1184. Give the vmlinux of the module's kernel."

# wrong NAME OFFSET BYTES FINDING: verify says what is wrong with .gm.pointers.
wrong() {
	python3 - "$tmp/protos.gm.ko" "$tmp/wrong.gm.ko" "$2" "$3" <<-'P'
	import sys
	good, out, off, new = sys.argv[1:]
	data = bytearray(open(good, "rb").read())
	new = bytes.fromhex(new)
	at = data.index(b"GMPOINT\0") + int(off)
	data[at:at + len(new)] = new
	open(out, "wb").write(data)
	P
	fails "finds $1" 1 "$tmp/wrong.gm.ko: .gm.pointers+0x$4" "$GMCC_SAN" verify -q "$tmp/wrong.gm.ko"
}

# 64 bytes of header; 20 of each pointer: region, offset, type, size, argument, flags, 0.
wrong "another magic" 0 00 "0: pointer: wrong magic or size."
wrong "another version" 8 02 "0: pointer: of a version that this gmcc does not know."
wrong "another size" 12 10 "0: pointer: wrong magic or size."
wrong "another image's pointers" 16 ffffff "10: pointer: of another image."
wrong "a table outside" 52 ff "0: pointer: a table is misaligned or outside of it."
wrong "a misaligned table" 48 42 "0: pointer: a table is misaligned or outside of it."
wrong_image "$tmp/protos.gm.ko" "pointers twice" \
	'i.header(".orc_header", name=i.sec(".gm.pointers")["name"], flags=0)' \
	".gm.pointers+0x0: pointer: a second section of this name."
wrong_image "$tmp/protos.gm.ko" "pointers without content" 'i.header(".gm.pointers", type=8)' \
	".gm.pointers+0x0: pointer: empty, or loaded."
wrong_image "$tmp/protos.gm.ko" "pointers that are loaded" 'i.header(".gm.pointers", flags=2)' \
	".gm.pointers+0x0: pointer: empty, or loaded."
# Where the strings begin is at 56.
strings='s = i.sec(".gm.pointers"); s = int.from_bytes(i.data[s["offset"] + 56:][:4], "little")'
wrong_image "$tmp/protos.gm.ko" "strings with another start" "$strings; i.put('.gm.pointers', s, 0x78)" \
	".gm.pointers+0x0: pointer: the strings do not start and end with NUL."
wrong_image "$tmp/protos.gm.ko" "strings without end" \
	'i.put(".gm.pointers", i.sec(".gm.pointers")["size"] - 1, 0x78)' \
	".gm.pointers+0x0: pointer: the strings do not start and end with NUL."
wrong_image "$tmp/protos.gm.ko" "a string with a control character" "$strings; i.put('.gm.pointers', s + 1, 7)" \
	".gm.pointers+0x0: pointer: a string is not printable."
wrong "a table in the header" 48 08 "0: pointer: a table is misaligned or outside of it."
wrong "a table beyond" 49 ff "0: pointer: a table is misaligned or outside of it."
wrong "strings beyond" 57 ff "0: pointer: a table is misaligned or outside of it."
wrong "no strings" 60 00000000 "0: pointer: the strings do not start and end with NUL."
wrong "a pointer of no gate" 68 01 "0: pointer: entry 0 is about no gate that passes arguments."
wrong "a pointer of the resume gate" 68 10000000 "0: pointer: entry 0 is about no gate that passes arguments."
wrong "a pointer of no region" 67 01 "0: pointer: a pointer is out of order."
wrong "a type outside" 74 ff "0: pointer: a pointer has a bad type."
wrong "a seventh argument" 80 06 "0: pointer: a pointer has a bad argument or flag."
wrong "an unknown flag" 81 04 "0: pointer: a pointer has a bad argument or flag."
wrong "a reserved field" 82 01 "0: pointer: a pointer has a bad argument or flag."
wrong "the same argument twice" 120 00 "0: pointer: a pointer is out of order."
