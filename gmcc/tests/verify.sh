# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: what `gmcc verify' proves. mkwrong damages an image, one property
# at a time; verify must say exactly what mkwrong expects, and nothing else.

# says FILE EXPECTED: exactly these findings, and refused if there are any.
says() {
	"$GMCC_SAN" verify -q "$1" > "$tmp/said" 2>&1
	status=$?
	sed -i "s|^$1: ||" "$tmp/said"
	want=0
	[ ! -s "$2" ] || want=1
	diff "$2" "$tmp/said" && [ $status -eq $want ]
}

cat "$here/prelude.s" "$here/victim.s" > "$tmp/in.s"
"$CC" -c -x assembler -o "$tmp/victim.ko" "$tmp/in.s"
check "guards the victim" "$GMCC_SAN" guard -q -o "$tmp/victim.gm.ko" "$tmp/victim.ko"
check "verifies its image" "$GMCC_SAN" verify "$tmp/victim.gm.ko"
{
	cat "$tmp/in.s"
	printf '\t.section .data..percpu, "aw"\n\t.quad 0\n\town: .quad 0\n'
	printf '\t.section .gm.hostinfo, "a"\n\t.p2align 12\n\t.zero 4096\n'
	# By way of a pointer this leads to f, and has something else in %rbx.
	printf '\t.text\n\tfunc tail\n\tmov %%rdi, %%rbx\n\tjmp __x86_indirect_thunk_rax\n\tendfunc tail\n'
	# As deep as may be: the return address of the call is a page below the function's.
	cat <<-'S'
	func deep
	sub $4088, %rsp
	orc 4096
	call ext
	add $4088, %rsp
	orc 8
	ret
	endfunc deep
	func percpu
	mov %gs:own(%rip), %eax
	ret
	endfunc percpu
	func again
	push %rbx
	orc 16
	pop %rbx
	orc 8
	push %rbx
	orc 16
	sub $16, %rsp
	orc 32
	call ext
	add $16, %rsp
	orc 16
	pop %rbx
	orc 8
	ret
	endfunc again
	func either
	test %edi, %edi
	jne 1f
	push %rbx
	jmp 2f
	1: push %rax
	2: orc 16
	sub $16, %rsp
	orc 32
	call ext
	add $24, %rsp
	orc 8
	ret
	endfunc either
	func reload
	mov %rsp, %rax
	push %rax
	orc 16
	sub $16, %rsp
	orc 32
	call ext
	mov 16(%rsp), %rsp
	orc 8
	ret
	endfunc reload
	S
} > "$tmp/asks.s"
"$CC" -c -x assembler -o "$tmp/asks.ko" "$tmp/asks.s"
check "guards it with requests" "$GMCC_SAN" guard -q --privilege hostinfo --privilege msr=0x35 \
	--privilege pio=0x60-0x64 -o "$tmp/asks.gm.ko" "$tmp/asks.ko"
check "verifies that image" "$GMCC_SAN" verify "$tmp/asks.gm.ko"
# shellcheck disable=SC2086 # names
check "mkwrong damages them" "$here/mkwrong" "$tmp/victim.gm.ko" "$tmp/asks.gm.ko" "$tmp/wrong" ${GMCC_WRONG:-}
for image in "$tmp"/wrong/*.ko; do
	check "finds $(basename "$image" .ko)" says "$image" "${image%.ko}.txt"
done

[ -z "${GMCC_WRONG:-}" ] || return 0

{ cat "$tmp/in.s"; printf '\t.text\n\tfunc more\n\tcall missing\n\tret\n\tendfunc more\n'; } > "$tmp/more.s"
"$CC" -c -x assembler -o "$tmp/more.ko" "$tmp/more.s"
fails "guard --verify writes no image that does not verify" 1 \
	"$tmp/more.gm.ko: __versions+0x0: import: no version of the import missing; the module loader refuses that.
gmcc: $tmp/more.ko: the image does not verify. Report this module." \
	"$GMCC_SAN" guard --verify -o "$tmp/more.gm.ko" "$tmp/more.ko"
fails "inspect reads no manifest without content" 1 \
	"gmcc: $tmp/wrong/manifest-without-content.ko: no manifest. Give an image that \`gmcc guard' wrote." \
	"$GMCC_SAN" inspect "$tmp/wrong/manifest-without-content.ko"
"$GMCC_SAN" verify --json "$tmp/wrong/mwait.ko" > "$tmp/j.json"
check "--json tells each finding" python3 -c "
import json, sys
j = json.load(open(sys.argv[1]))
assert not j['verified'] and not j['signed'] and j['module'] == 'bad' and j['nr-findings'] == 1, j
f, = j['findings']
assert (f['kind'], f['section'], f['offset'], f['symbol'], f['symbol-offset']) == ('privilege', '.text', 0x50, 'g', 0), f
assert f['message'] == 'mwait: system instruction of group 7.', f" "$tmp/j.json"
"$GMCC_SAN" verify --json "$tmp/victim.gm.ko" > "$tmp/j.json"
check "--json tells what was checked" python3 -c "
import json, sys
j = json.load(open(sys.argv[1]))
assert j['verified'] and not j['findings'], j
c = j['checked']
assert (c['gates'], c['relocations'], c['frames'], c['bytes-scanned']) == (10, 21, 5, 3 * 4096), c" "$tmp/j.json"
"$GMCC_SAN" verify --json "$tmp/asks.gm.ko" > "$tmp/j.json"
check "and what is requested" python3 -c "
import json, sys
assert json.load(open(sys.argv[1]))['requests'] == ['pio=0x60-0x64', 'msr=0x35', 'hostinfo']" "$tmp/j.json"
fails "a file that is no image" 1 \
	"$tmp/victim.ko: manifest: 0 sections .gm.manifest, not one. Give an image that \`gmcc guard' wrote.
$tmp/victim.ko: refused, 1 finding" "$GMCC_SAN" verify "$tmp/victim.ko"
