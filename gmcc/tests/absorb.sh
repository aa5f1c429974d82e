# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: functions of another object that become the module's own, code of the
# guest's own, and calls through pointers that stay inside.

# donor FILE < source: standard input as an object to absorb. $init, $vermagic and
# $depends make it one that cannot be.
donor() {
	{
		printf '\t.macro orc cfa, reg=5, type=2\n\t.pushsection .orc_unwind_ip, "a"\n\t.long 777f - .\n\t.popsection\n'
		printf '\t.pushsection .orc_unwind, "a"\n\t.short \\cfa, 0\n\t.byte \\reg, \\type\n\t.popsection\n\t777:\n\t.endm\n'
		printf '\t.macro func name\n\t.section .text.\\name, "ax"\n\t.p2align 4\n\t.globl \\name\n\t.type \\name, @function\n\t\\name:\n\torc 8\n\t.endm\n'
		printf '\t.macro endfunc name\n\t.size \\name, . - \\name\n\torc 0, 0, 0\n\t.endm\n'
		printf '\t.section .gnu.linkonce.this_module, "aw"\n\t.globl __this_module\n\t__this_module: .zero 0x500\n%s\n' "${init-}"
		printf '\t.section .modinfo, "a"\n\t.asciz "name=%s"\n\t.asciz "depends=%s"\n%s\n' "$(basename "$1" .ko)" "${depends-}" "${vermagic-}"
		cat
	} | "$CC" -c -x assembler -o "$1" -
}

# absorbs NAME DONOR,... < source of the module: guarded with these, and verified.
absorbs() {
	name=$1
	assemble "$tmp/host.ko" || { not_ok "$name" "does not assemble"; return; }
	check "guards $name" "$GMCC_SAN" guard --verify --absorb "$2" -o "$tmp/good.gm.ko" "$tmp/host.ko"
	check "image of $name is sound" "$here/check_image.py" "$tmp/good.gm.ko"
}

# unabsorbed NAME DONOR,... MESSAGE: refused so, and nothing is written.
unabsorbed() {
	rm -rf "$tmp/out"
	mkdir "$tmp/out"
	fails "refuses $1" 1 "gmcc: $3" "$GMCC_SAN" guard -q --absorb "$2" -o "$tmp/out/x" "$tmp/host.ko"
	check "refuses $1: leaves nothing behind" [ -z "$(ls -A "$tmp/out")" ]
}

donor "$tmp/one.ko" <<-'S'
	func __wrap_add
	cmp limit(%rip), %rdi
	ja 1f
	incl count(%rip)
	lea 1(%rdi), %rax
	jmp __x86_return_thunk
	1:
	jmp __real_add
	endfunc __wrap_add
	func __wrap_many
	push %rbx
	orc 16
	mov %rdi, %rbx
	call loop
	call add
	call fresh
	call helper
	pop %rbx
	orc 8
	jmp __x86_return_thunk
	endfunc __wrap_many
	func helper
	jmp __x86_return_thunk
	endfunc helper
	func __wrap_idle
	call elsewhere
	jmp __x86_return_thunk
	endfunc __wrap_idle
	.section .gm.guest, "ax"
	.type loop, @function
	loop:
	mov $7, %ecx
	2:
	call fresh
	dec %ecx
	jne 2b
	mov $gated, %rax
	jmp __x86_return_thunk
	.size loop, . - loop
	.text
	.globl gated
	.type gated, @function
	gated:
	orc 8
	jmp __x86_return_thunk
	.size gated, . - gated
	orc 0, 0, 0
	.section .rodata.limit, "a"
	limit: .quad 99
	.section .rodata.idle, "a"
	.quad __wrap_idle
	.section .bss.count, "aw", @nobits
	count: .zero 4
S
module() {
	cat <<-'S'
	.globl f
	func f
	call add
	call many
	call fresh2
	jmp add
	endfunc f
	.data
	pointer: .quad add
	.section __ksymtab, "a"
	.long f - .
	S
}
module | absorbs "a module with two functions of an object" "$tmp/one.ko"
json "their kernel's namesakes are called by them alone" \
	"gates[('out-call', 'add')]['call-sites'] == 2 and ('out-call', 'many') not in gates" "$tmp/good.gm.ko"
json "what nobody calls is not there" \
	"('out-call', 'elsewhere') not in gates and 'elsewhere' not in [e['name'] for e in j['externs']]" "$tmp/good.gm.ko"
check "nor is it in text" sh -c "! readelf -sW '$tmp/good.gm.ko' | grep -wE '__wrap_idle|elsewhere|many'"
json "a pointer to an import leads to a gate of the function" \
	"gates[('in-call', '__wrap_add')]['pointers'] == 1" "$tmp/good.gm.ko"
json "the guest's code is called out to, and calls as it likes" \
	"gates[('out-call', 'loop')]['call-sites'] == 1 and ('in-call', 'gated') in gates" "$tmp/good.gm.ko"
json "its data is apart, and private if no address leaves" \
	"'.bss.gm_absorbed' in [r['section'] for r in j['regions'] if r['kind'] == 'data']" "$tmp/good.gm.ko"
json "the image says so" "j['absorbed'] == [{'object': 'one', 'functions': ['add', 'many']}]" "$tmp/good.gm.ko"
check "to people, too" sh -c "'$GMCC_SAN' inspect '$tmp/good.gm.ko' | grep -qx 'absorbed   one: add many'"
code "a call leads inside" f <<-'S'
	callq  f+0x5
	__wrap_add-0x4
	callq  f+0xa
	__wrap_many-0x4
	callq  f+0xf
	gm_stub_fresh2-0x4
	jmpq   f+0x14
	__wrap_add-0x4
S
# What an object imports is the kernel's, or what the module has for all to see.
{
	module
	printf '\t.text\n\tfunc fresh\n\tjmp __x86_return_thunk\n\tendfunc fresh\n'
} > "$tmp/namesake.s"
absorbs "a module with a static function of the name of an import" "$tmp/one.ko" < "$tmp/namesake.s"
json "which is not what the object calls" "gates[('out-call', 'fresh')]['call-sites'] == 1" "$tmp/good.gm.ko"
{ printf '\t.globl fresh\n'; cat "$tmp/namesake.s"; } | absorbs "the same with a global one" "$tmp/one.ko"
json "which is" "('out-call', 'fresh') not in gates and ('in-call', 'fresh') in gates" "$tmp/good.gm.ko"
module | absorbs "a module with two functions of an object again" "$tmp/one.ko"
cp "$tmp/good.gm.ko" "$tmp/before.gm.ko"
printf ' ' | dd of="$tmp/one.ko" bs=1 seek=4096 oflag=append conv=notrunc 2> /dev/null
module | absorbs "the same with another object" "$tmp/one.ko"
check "is another image" sh -c "[ \"\$('$GMCC' inspect '$tmp/good.gm.ko' | sed -n 's/^id *//p')\" != \"\$('$GMCC' inspect '$tmp/before.gm.ko' | sed -n 's/^id *//p')\" ]"

check "damaged objects" mutate "$tmp/one.ko" "$GMCC_SAN" guard -q -o "$tmp/mut.ko" "$tmp/host.ko" --absorb

func_wrap() {
	printf '\tfunc __wrap_%s\n\tjmp __x86_return_thunk\n\tendfunc __wrap_%s\n' "$1" "$1"
}
func_wrap fresh2 | donor "$tmp/two.ko"
module | absorbs "two objects" "$tmp/one.ko,$tmp/two.ko"
json "both are named" "[a['object'] for a in j['absorbed']] == ['one', 'two']" "$tmp/good.gm.ko"
func_wrap nothing | donor "$tmp/none.ko"
module | absorbs "an object that the module has no use for" "$tmp/none.ko"
json "absorbs nothing" "j['absorbed'] == []" "$tmp/good.gm.ko"

{ func_wrap add; printf '\tfunc gone\n\tmov missing(%%rip), %%eax\n\tret\n\tendfunc gone\n'; } | donor "$tmp/three.ko"
unabsorbed "two that wrap the same" "$tmp/one.ko,$tmp/three.ko" \
	"$tmp/three.ko: __wrap_add is defined by $tmp/one.ko, too. Absorb one of them."
printf '\tfunc other\n\tret\n\tendfunc other\n' | donor "$tmp/bad.ko"
unabsorbed "an object without a __wrap_" "$tmp/bad.ko" \
	"$tmp/bad.ko: defines no function __wrap_NAME, so there is nothing to absorb. Name a function so for each function of the kernel's that it replaces."
func_wrap f | donor "$tmp/bad.ko"
unabsorbed "a wrapped function of the module's own" "$tmp/bad.ko" \
	"$tmp/bad.ko: __wrap_f: f is a function of the module's own. Only what it imports can be wrapped."
{ func_wrap add; printf '\t.globl __wrap_many\n\tfunc __wrap_many\n\tincl common(%%rip)\n\tret\n\tendfunc __wrap_many\n\t.comm common, 8\n'; } |
	donor "$tmp/bad.ko"
unabsorbed "what the linker would have placed" "$tmp/bad.ko" \
	"$tmp/bad.ko: refers to common, which is not absorbed. Build the object without it."
func_wrap add | vermagic='	.asciz "import_ns=NAMES"
	.asciz "import_ns=OTHERS"' donor "$tmp/names.ko"
{ module; printf '\t.section .modinfo, "a"\n\t.asciz "import_ns=OTHERS"\n'; } |
	absorbs "a module and an object with namespaces of symbols" "$tmp/names.ko"
check "the image imports each once" sh -c "
	strings '$tmp/good.gm.ko' | grep '^import_ns=' | sort > '$tmp/ns'
	printf 'import_ns=NAMES\nimport_ns=OTHERS\n' | cmp - '$tmp/ns'"
func_wrap add | init="	.quad __wrap_add" donor "$tmp/bad.ko"
unabsorbed "an object with an init function" "$tmp/bad.ko" \
	"$tmp/bad.ko: has an init or exit function of its own, which nobody would call. Leave it out."
func_wrap add | depends=mii donor "$tmp/bad.ko"
unabsorbed "an object that needs other modules" "$tmp/bad.ko" \
	"$tmp/bad.ko: depends on other modules (mii). Absorb only what needs the kernel alone."
func_wrap add | vermagic='	.asciz "vermagic=6.12.1 SMP"' donor "$tmp/bad.ko"
unabsorbed "an object for another kernel" "$tmp/bad.ko" \
	"$tmp/bad.ko: built for \`6.12.1 SMP', but the module for \`no kernel'. Build it against the headers of the module's kernel."
{ func_wrap add; printf '\t.section .strange, "a"\n\t.quad 1\n'; } | donor "$tmp/bad.ko"
unabsorbed "an object with a section that is not known" "$tmp/bad.ko" \
	"$tmp/bad.ko: .strange+0x0: a section that cannot be absorbed. Build the object without it, or teach gmcc about it (absorb.c)."
echo 'int x;' | "$CC" -c -x c -o "$tmp/bad.ko" -
unabsorbed "an object that kbuild has not finished" "$tmp/bad.ko" \
	"$tmp/bad.ko: no kernel module. Give the .ko that kbuild makes of what to absorb."
unabsorbed "one that is not there" "$tmp/nowhere.ko" "$tmp/nowhere.ko: No such file or directory."
cp "$here/run" "$tmp/bad.ko"
unabsorbed "one that is no object" "$tmp/bad.ko" \
	"$tmp/bad.ko: not an ELF file. Give a kernel module (.ko, .ko.xz, .ko.zst)."
for list in "," "$tmp/one.ko,,x" ""; do
	fails "refuses --absorb '$list'" 2 "" "$GMCC_SAN" guard --absorb "$list" "$tmp/host.ko"
done

# Versions of imports: those of the object's that the module does not have.
versions() {
	printf '\t.section __versions, "a"\n'
	for pair; do
		printf '\t.quad %s\n\t888: .asciz "%s"\n\t.zero 56 - (. - 888b)\n' "${pair#*=}" "${pair%=*}"
	done
}
{ module; versions add=1 many=2 fresh2=3 __x86_return_thunk=4; } > "$tmp/versioned.s"
{ printf '\tfunc __wrap_add\n\tcall fresh\n\tcall add\n\tjmp __x86_return_thunk\n\tendfunc __wrap_add\n'; } > "$tmp/wrap.s"
{ cat "$tmp/wrap.s"; versions fresh=5 add=1; } | donor "$tmp/four.ko"
absorbs "a module and an object with versions" "$tmp/four.ko" < "$tmp/versioned.s"
check "there is a version of what the object imports" sh -c "readelf -x __versions '$tmp/good.gm.ko' | grep -q fresh"
{ cat "$tmp/wrap.s"; versions fresh=5 add=9; } | donor "$tmp/four.ko"
unabsorbed "an object of another version" "$tmp/four.ko" \
	"$tmp/four.ko: add has another version (CRC) than for the module. Build it against the headers of the module's kernel."
{ cat "$tmp/wrap.s"; versions add=1; } | donor "$tmp/four.ko"
unabsorbed "an import without a version" "$tmp/four.ko" \
	"$tmp/four.ko: no version (CRC) of fresh is known, which the module does not import. Call it by this name, not as __real_fresh, and build against a kernel with Module.symvers."

# The guest's own code, in the module itself.
accepted "code of the guest's own" <<-'S'
	.globl f
	func f
	call theirs
	lea theirs(%rip), %rdi
	call ext
	jmp __x86_return_thunk
	endfunc f
	.section .gm.guest, "ax"
	.type theirs, @function
	theirs:
	hlt
	wrmsr
	call *%rax
	5:
	ud2
	call f
	cmpl $0, key(%rip)
	nop5
	6:
	ret
	.size theirs, . - theirs
	.section __bug_table, "aw"
	.long 5b - ., 0
	.short 1, 1
	.section __jump_table, "aw"
	.long 6b - 5 - ., 6b - .
	.quad key - .
	.data
	key: .quad 0
S
json "is called by crossings, and calls in by gates" \
	"gates[('out-call', 'theirs')]['call-sites'] == 1 and gates[('in-call', 'f')]['pointers'] == 1" "$tmp/good.gm.ko"
check "its traps and static branches stay the kernel's" sh -c "readelf -rW '$tmp/good.gm.ko' | grep -cE '\.gm\.guest \+ (5|13|18)$' | grep -qx 3"
refused "an alternative in the guest's own code" \
	".gm.guest+0x0 (theirs): an alternative in the guest's own code, which .altinstructions, not in the image, would choose. Leave code that has any to the kernel's functions." <<-'S'
	.section .gm.guest, "ax"
	.type theirs, @function
	theirs:
	nop
	ret
	.size theirs, . - theirs
	.section .altinstr_replacement, "ax"
	7: hlt
	.section .altinstructions, "a"
	.long theirs - ., 7b - .
	.short 100, 0
	.byte 1, 1
S
refused "data among the guest's own code" ".gm.guest+0x0: no plain code. Put only functions there." <<-'S'
	.section .gm.guest, "aw"
	.quad 1
S

# Calls through pointers: who can be reached without a crossing.
accepted "calls through pointers" <<-'S'
	func caller
	call __x86_indirect_thunk_rax
	call __x86_indirect_thunk_r11
	jmp __x86_return_thunk
	endfunc caller
	func plain
	jmp __x86_return_thunk
	endfunc plain
	func stacked
	mov 8(%rsp), %rax
	jmp __x86_return_thunk
	endfunc stacked
	.globl cleanup_module
	func cleanup_module
	jmp __x86_return_thunk
	endfunc cleanup_module
	.data
	.quad caller, plain, stacked
	.section .gnu.linkonce.this_module
	.quad cleanup_module
S
check "lead to functions with their arguments in registers, and to no init or exit" python3 -c "
import re, subprocess, sys
text = subprocess.run(['objdump', '-dr', '--no-show-raw-insn', '-j', '.gm.stubs', sys.argv[1]], capture_output=True, text=True).stdout
taken = re.findall(r'\bje .*\n.*R_X86_64_PC32\s+(\S+)-0x4', text)
assert sorted(taken) == ['caller', 'gm_stub_entry', 'gm_stub_entry', 'gm_stub_entry', 'plain'], text" "$tmp/good.gm.ko"
json "else they are crossings as ever" "{('out-call-indirect', 'rax'), ('out-call-indirect', 'r11'), ('out-call-indirect', 'entry')} <= set(gates)" "$tmp/good.gm.ko"
accepted "a module without a pointer to itself" <<-'S'
	.globl f
	func f
	jmp __x86_indirect_thunk_rax
	endfunc f
S
json "searches for init alone in no stub" "('out-call-indirect', 'entry') not in gates" "$tmp/good.gm.ko"
