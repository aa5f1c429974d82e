# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: requests of privileges, from all places that they come from, and
# which instructions stay in sealed text for them.

assemble "$tmp/ask.ko" < /dev/null

# asks NAME REQUESTS SPEC...: guarded with these options, it requests exactly that.
asks() {
	name=$1
	want=$2
	shift 2
	for spec in "$@"; do
		set -- "$@" --privilege "$spec"
		shift
	done
	if "$GMCC_SAN" guard -q --verify "$@" -o "$tmp/ask.gm.ko" "$tmp/ask.ko" > "$tmp/out.txt" 2>&1; then
		json "$name" "j['requests'] == '$want'.split()" "$tmp/ask.gm.ko"
	else
		not_ok "$name" "$(cat "$tmp/out.txt")"
	fi
}

asks "no request" ""
asks "any PCI device" mmio mmio
asks "one PCI device" mmio=8086:10d3 mmio=8086:10d3
asks "another, in capitals and short" mmio=10ec:0008 mmio=10EC:8
asks "any PCI device has each" mmio mmio=8086:10d3 mmio mmio=8086:100e
asks "devices next to one another stay two" "mmio=8086:10d3 mmio=8086:10d4" mmio=8086:10d4 mmio=8086:10d3
asks "the last device" mmio=ffff:ffff mmio=ffff:ffff
asks "one port" pio=0x60 pio=0x60
asks "in decimal" pio=0x60 pio=96
asks "ports" pio=0x60-0x64 pio=0x60-100
asks "all ports" pio=0x0-0xffff pio=0-0xffff
asks "an MSR" msr=0x35 msr=0x35
asks "MSRs to write" msr=0x198-0x199:rw msr=0x198-0x199:rw
asks "the last MSR" msr=0xffffffff msr=0xffffffff
asks "all of them, by kind, then first" "mmio=8086:10d3 pio=0x60 msr=0x35 msr=0x198:rw mwait" \
	mwait msr=0x198:rw msr=0x35 pio=0x60 mmio=8086:10d3
asks "the same twice" "pio=0x60 mwait" mwait pio=0x60 mwait pio=0x60-0x60
asks "ranges that overlap, or touch" pio=0x10-0x30 pio=0x20-0x30 pio=0x10-0x15 pio=0x16-0x20
asks "ranges that do not" "pio=0x10-0x15 pio=0x17" pio=0x17 pio=0x10-0x15
asks "a range around others" msr=0x0-0xff msr=0x10 msr=0x20 msr=0x30 msr=0-0xff
asks "an MSR to read and to write" msr=0x35:rw msr=0x35 msr=0x35:rw
asks "in the other order" msr=0x35:rw msr=0x35:rw msr=0x35
asks "one in a range to write" "msr=0x30-0x34 msr=0x35:rw msr=0x36-0x40" msr=0x30-0x40 msr=0x35:rw
asks "in the other order" "msr=0x30-0x34 msr=0x35:rw msr=0x36-0x40" msr=0x35:rw msr=0x30-0x40
asks "a range across two to write" "msr=0x30 msr=0x31:rw msr=0x32-0x34 msr=0x35:rw msr=0x36" \
	msr=0x31:rw msr=0x35:rw msr=0x30-0x36
asks "two to write that become one" "msr=0x30 msr=0x31-0x33:rw" msr=0x31:rw msr=0x30-0x33 msr=0x32-0x33:rw
few=$(seq -f 'pio=%.0f' 0 2 126)
# shellcheck disable=SC2086
asks "64 of them" "$(seq 0 2 126 | xargs printf 'pio=0x%x ')" $few
# shellcheck disable=SC2046,SC2086
fails "65 of them" 2 "gmcc guard: --privilege: more than 64. Ask for ranges." \
	"$GMCC_SAN" guard $(printf -- '--privilege %s ' $few) --privilege mwait "$tmp/ask.ko"
# shellcheck disable=SC2086
asks "65, of which two become one" "$(seq 0 2 122 | xargs printf 'pio=0x%x ') pio=0x7c-0x7e" $few pio=125

# One parser: what it says, with who asked in front.
while IFS='|' read -r spec message; do
	fails "refuses the request '$spec'" 2 "gmcc guard: --privilege: $message" \
		"$GMCC_SAN" guard --privilege "$spec" -o "$tmp/x" "$tmp/ask.ko"
done <<'S'
|no privilege is called `'. There are mmio, pio, msr, mwait and hostinfo.
wrmsr|no privilege is called `wrmsr'. There are mmio, pio, msr, mwait and hostinfo.
MSR=0x35|no privilege is called `MSR'. There are mmio, pio, msr, mwait and hostinfo.
ms=1|no privilege is called `ms'. There are mmio, pio, msr, mwait and hostinfo.
mwait=1|`mwait=1' is not understood. Write mwait.
hostinfo=|`hostinfo=' is not understood. Write hostinfo.
mmio=|`mmio=' is not understood. Write mmio, or mmio=VENDOR:DEVICE in hexadecimal, such as mmio=8086:10d3.
mmio=8086|`mmio=8086' is not understood. Write mmio, or mmio=VENDOR:DEVICE in hexadecimal, such as mmio=8086:10d3.
mmio=8086:10d3:1|`mmio=8086:10d3:1' is not understood. Write mmio, or mmio=VENDOR:DEVICE in hexadecimal, such as mmio=8086:10d3.
mmio=18086:10d3|`mmio=18086:10d3' is not understood. Write mmio, or mmio=VENDOR:DEVICE in hexadecimal, such as mmio=8086:10d3.
mmio=8086:110d3|`mmio=8086:110d3' is not understood. Write mmio, or mmio=VENDOR:DEVICE in hexadecimal, such as mmio=8086:10d3.
mmio=8086:|`mmio=8086:' is not understood. Write mmio, or mmio=VENDOR:DEVICE in hexadecimal, such as mmio=8086:10d3.
pio|`pio' is not understood. Write pio=PORT or pio=FIRST-LAST, such as pio=0x60-0x64.
pio=|`pio=' is not understood. Write pio=PORT or pio=FIRST-LAST, such as pio=0x60-0x64.
pio=0x|`pio=0x' is not understood. Write pio=PORT or pio=FIRST-LAST, such as pio=0x60-0x64.
pio=60h|`pio=60h' is not understood. Write pio=PORT or pio=FIRST-LAST, such as pio=0x60-0x64.
pio=060|`pio=060' is not understood. Write pio=PORT or pio=FIRST-LAST, such as pio=0x60-0x64.
pio=-1|`pio=-1' is not understood. Write pio=PORT or pio=FIRST-LAST, such as pio=0x60-0x64.
pio=1-|`pio=1-' is not understood. Write pio=PORT or pio=FIRST-LAST, such as pio=0x60-0x64.
pio=1-2-3|`pio=1-2-3' is not understood. Write pio=PORT or pio=FIRST-LAST, such as pio=0x60-0x64.
pio=1:rw|`pio=1:rw' is not understood. Write pio=PORT or pio=FIRST-LAST, such as pio=0x60-0x64.
pio=1, 2|`pio=1, 2' is not understood. Write pio=PORT or pio=FIRST-LAST, such as pio=0x60-0x64.
pio=0x10000|`pio=0x10000' goes beyond 0xffff, the last there is.
pio=0-65536|`pio=0-65536' goes beyond 0xffff, the last there is.
pio=2-1|`pio=2-1' ends before it starts. Write the lower number first.
msr=0x35:w|`msr=0x35:w' is not understood. Write msr=INDEX or msr=FIRST-LAST, with :rw behind it to write as well, such as msr=0x198-0x199:rw.
msr=0x35:rw:rw|`msr=0x35:rw:rw' is not understood. Write msr=INDEX or msr=FIRST-LAST, with :rw behind it to write as well, such as msr=0x198-0x199:rw.
msr=0x100000000|`msr=0x100000000' goes beyond 0xffffffff, the last there is.
msr=0x10000000000000001|`msr=0x10000000000000001' is not understood. Write msr=INDEX or msr=FIRST-LAST, with :rw behind it to write as well, such as msr=0x198-0x199:rw.
S
check "and leaves nothing behind" [ ! -e "$tmp/x" ]
printf 'privileges = ["mwait", "msr=35-34"]\n' > "$tmp/ask.toml"
fails "in a policy, with its name" 1 \
	"gmcc: $tmp/ask.toml: privileges: \`msr=35-34' ends before it starts. Write the lower number first." \
	"$GMCC_SAN" guard --policy "$tmp/ask.toml" -o "$tmp/x" "$tmp/ask.ko"
{ printf 'privileges = ['; seq -f '"pio=%.0f", ' 0 2 128; printf ']\n'; } > "$tmp/ask.toml"
fails "and one too many" 1 \
	"gmcc: $tmp/ask.toml: privileges: \`pio=128' is one privilege too many, beyond 64. Ask for ranges." \
	"$GMCC_SAN" guard --policy "$tmp/ask.toml" -o "$tmp/x" "$tmp/ask.ko"
refused "a bad request in the source" \
	".modinfo: gm_privilege: no privilege is called \`rdmsr'. There are mmio, pio, msr, mwait and hostinfo." <<-'S'
	.section .modinfo
	.asciz "gm_privilege=rdmsr"
S
assemble "$tmp/ask.ko" <<-'S'
	.section .modinfo
	.asciz "gm_privilege=msr=0x35"
	.asciz "gm_privilege=mwait"
S
asks "notes in the source" "msr=0x35 mwait"
json_id() {
	"$GMCC" inspect "$1" | sed -n 's/^id *//p'
}
noted=$(json_id "$tmp/ask.gm.ko")
asks "and options beside them" "pio=0x60 msr=0x35:rw mwait" pio=0x60 msr=0x35:rw
check "make another id" [ "$noted" != "$(json_id "$tmp/ask.gm.ko")" ]
printf 'privileges = ["pio=0x60-0x64", "msr=0x36"]\n' > "$tmp/ask.toml"
check "and a policy" "$GMCC_SAN" guard -q --policy "$tmp/ask.toml" --privilege pio=0x65 -o "$tmp/ask.gm.ko" "$tmp/ask.ko"
json "add up" "j['requests'] == ['pio=0x60-0x65', 'msr=0x35-0x36', 'mwait']" "$tmp/ask.gm.ko"
check "the summary tells them" sh -c "'$GMCC_SAN' guard -o '$tmp/x' '$tmp/ask.ko' | grep '^  requests' | tr '\\n' ' ' | grep -qx '  requests msr=0x35   requests mwait '"
rm -f "$tmp/x"

# What stays inside: eight instructions, each for itself.
assemble "$tmp/ask.ko" <<-'S'
	.macro each insns:vararg
	.irp insn, \insns
	\insn
	xor %r8d, %r8d
	.endr
	.endm
	func f
	each rdmsr, wrmsr, "inb (%dx)", "outw (%dx)", "outb $0x80", "inl $0x5f", outsb, wbinvd
	ret
	endfunc f
S
# stays NAME INSTRUCTIONS SPEC...: with these requests, these stay in sealed text, the
# others are calls out, and the image verifies.
stays() {
	name=$1
	want=$2
	shift 2
	for spec in "$@"; do
		set -- "$@" --privilege "$spec"
		shift
	done
	if ! "$GMCC_SAN" guard -q --verify "$@" -o "$tmp/good.gm.ko" "$tmp/ask.ko" > "$tmp/out.txt" 2>&1; then
		not_ok "$name" "$(cat "$tmp/out.txt")"
		return
	fi
	objdump -d --no-show-raw-insn --disassemble=f "$tmp/good.gm.ko" |
		sed -n 's/^ *[0-9a-f]*:[[:space:]]*\(rdmsr\|wrmsr\|in \|out \|call\)/\1/p' | tr -s ' ' > "$tmp/code"
	calls=$(grep -c '^call' "$tmp/code")
	got=$(grep -v '^call' "$tmp/code" | sed 's/ *$//' | tr '\n' ';')
	if [ "$got" = "$want" ] && [ "$calls" -eq $((8 - $(echo "$want" | tr -cd ';' | wc -c))) ]; then
		ok "$name"
	else
		not_ok "$name" "$calls calls, and $got"
	fi
}
stays "without a request all are the guest's" ""
stays "msr keeps rdmsr" "rdmsr;" msr=0x35
stays "msr to write keeps wrmsr, too" "rdmsr;wrmsr;" msr=0x35:rw
stays "pio keeps in and out, but for immediate ports that are not requested" \
	"in (%dx),%al;out %ax,(%dx);" pio=0x63-0x64
stays "and with these" "in (%dx),%al;out %ax,(%dx);out %al,\$0x80;" pio=0x80
stays "of which one is in reach" "in (%dx),%al;out %ax,(%dx);in \$0x5f,%eax;" pio=0x62
stays "the others keep none" "" mmio mwait
stays "all keep all but string accesses" \
	"rdmsr;wrmsr;in (%dx),%al;out %ax,(%dx);out %al,\$0x80;in \$0x5f,%eax;" pio=0-0xffff msr=0-0xffff:rw
json "inspect counts them" \
	"{p['instruction']: p['places'] for p in j['privileged-instructions']} == {'rdmsr': 1, 'wrmsr': 1, 'in': 2, 'out': 2}" \
	"$tmp/good.gm.ko"

assemble "$tmp/ask.ko" <<-'S'
	func f
	monitor
	mwait
	ret
	endfunc f
S
check "mwait keeps monitor and mwait" "$GMCC_SAN" guard -q --verify --privilege mwait -o "$tmp/good.gm.ko" "$tmp/ask.ko"
json "as they are" \
	"j['privileged-instructions'] == [{'instruction': 'monitor', 'places': 1}, {'instruction': 'mwait', 'places': 1}]" \
	"$tmp/good.gm.ko"
fails "nothing else does" 1 "gmcc: $tmp/ask.ko: .text+0x10 (f): privileged instruction, monitor. Use a module without it.
gmcc: $tmp/ask.ko: .text+0x13 (f): privileged instruction, mwait. Use a module without it." \
	"$GMCC_SAN" guard -q --privilege mmio --privilege msr=0:rw --privilege pio=0 -o "$tmp/x" "$tmp/ask.ko"
while read -r insn shown; do
	assemble "$tmp/ask.ko" <<-S
	func f
	$insn
	ret
	endfunc f
	S
	fails "$insn stays refused, whatever is requested" 1 \
		"gmcc: $tmp/ask.ko: .text+0x10 (f): privileged instruction, $shown. Use a module without it." \
		"$GMCC_SAN" guard -q --privilege mmio --privilege pio=0-0xffff --privilege msr=0-0xffffffff:rw \
		--privilege mwait -o "$tmp/x" "$tmp/ask.ko"
done <<'S'
hlt hlt
clts clts
swapgs swapgs
S

# The page that hostinfo is about.
page() {
	printf '\t.section .gm.hostinfo, "%s"%s\n\t.p2align %s\n\thost: .zero %s\n%s\n' "$1" "$2" "$3" "$4" "$5"
	printf '\t.text\n\tfunc f\n\tmov host(%%rip), %%eax\n\tret\n\tendfunc f\n'
}
# hosted NAME MESSAGE OPTIONS < source
hosted() {
	assemble "$tmp/host.ko" || { not_ok "$1" "does not assemble"; return; }
	name=$1
	message=$2
	shift 2
	fails "refuses $name" 1 "gmcc: $tmp/host.ko: $message" "$GMCC_SAN" guard -q "$@" -o "$tmp/x" "$tmp/host.ko"
}
for kind in 'a|' 'aw|' 'a|, @nobits' 'aw|, @nobits'; do
	page "${kind%|*}" "${kind#*|}" 12 4096 "" > "$tmp/host.s"
	printf '\t.section .modinfo\n\t.asciz "gm_privilege=hostinfo"\n' >> "$tmp/host.s"
	accepted "a page for the host's information, \"$kind\"" < "$tmp/host.s"
	json "is a region, read-only and without content" \
		"[(r['section'], r['pages'], r['file-offset']) for r in j['regions'] if r['kind'] == 'hostinfo'] == [('.gm.hostinfo', 1, 0)] and j['requests'] == ['hostinfo']" \
		"$tmp/good.gm.ko"
	check "for the guest's loader as well" sh -c "readelf -SW '$tmp/good.gm.ko' | grep -q '\.gm\.hostinfo *NOBITS .* 001000 00   A '"
done
page a "" 12 4096 "" > "$tmp/host.s"
hosted "the page without the request" ".gm.hostinfo+0x0: nothing asks for the privilege hostinfo. Add GM_PRIVILEGE(\"hostinfo\") or --privilege hostinfo." \
	--privilege msr=0x35 < "$tmp/host.s"
hosted "the request without the page" "asks for the privilege hostinfo, but has no section .gm.hostinfo to see it in. Declare it with GM_HOSTINFO() of guarded_module.h, or do not ask." \
	--privilege hostinfo < /dev/null
once="Declare it once, with GM_HOSTINFO() of guarded_module.h."
page a "" 12 4096 "	.zero 4096" > "$tmp/host.s"
hosted "two pages" ".gm.hostinfo+0x0: not one page of data (8192 bytes, aligned to 4096). $once" \
	--privilege hostinfo < "$tmp/host.s"
page a "" 12 4088 "" > "$tmp/host.s"
hosted "less than a page" ".gm.hostinfo+0x0: not one page of data (4088 bytes, aligned to 4096). $once" \
	--privilege hostinfo < "$tmp/host.s"
page a "" 4 4096 "" > "$tmp/host.s"
hosted "a page across two" ".gm.hostinfo+0x0: not one page of data (4096 bytes, aligned to 16). $once" \
	--privilege hostinfo < "$tmp/host.s"
page ax "" 12 4096 "" > "$tmp/host.s"
hosted "code" ".gm.hostinfo+0x0: code, or not loaded. $once" \
	--privilege hostinfo < "$tmp/host.s"
page "" "" 12 4096 "" > "$tmp/host.s"
hosted "a page that is not loaded" ".gm.hostinfo+0x0: code, or not loaded. $once" \
	--privilege hostinfo < "$tmp/host.s"
filled="not all zeroes, but KVM fills it in. Do not initialize it."
page a "" 12 4095 "	.byte 1" > "$tmp/host.s"
hosted "content" ".gm.hostinfo+0x0: $filled" --privilege hostinfo < "$tmp/host.s"
page a "" 12 4088 "	.quad f" > "$tmp/host.s"
hosted "an address" ".gm.hostinfo+0x0: $filled" --privilege hostinfo < "$tmp/host.s"
