# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: the pages that registers of devices appear in.

# pages FLAGS ALIGN SIZE [MORE]
pages() {
	printf '\t.section .gm.devices, "%s\n\t.p2align %s\n\tdevices: .zero %s\n%s\n' "$1" "$2" "$3" "${4-}"
	printf '\t.text\n\tfunc f\n\tlea devices(%%rip), %%rdi\n\tmov 4096(%%rdi), %%eax\n\tmov %%eax, devices+8(%%rip)\n\tret\n\tendfunc f\n'
}
# declined NAME MESSAGE OPTIONS < source
declined() {
	assemble "$tmp/devices.ko" || { not_ok "$1" "does not assemble"; return; }
	name=$1
	message=$2
	shift 2
	fails "refuses $name" 1 "gmcc: $tmp/devices.ko: $message" \
		"$GMCC_SAN" guard -q "$@" -o "$tmp/x" "$tmp/devices.ko"
}

for kind in 'aw"' 'aw", @nobits'; do
	pages "$kind" 12 266240 > "$tmp/devices.s"
	printf '\t.section .modinfo\n\t.asciz "gm_privilege=mmio=8086:10d3"\n' >> "$tmp/devices.s"
	accepted "pages for registers, \"$kind" < "$tmp/devices.s"
	json "are a region, without content" \
		"[(r['section'], r['pages'], r['file-offset']) for r in j['regions'] if r['kind'] == 'devices'] == [('.gm.devices', 65, 0)] and j['requests'] == ['mmio=8086:10d3']" \
		"$tmp/good.gm.ko"
	check "for the guest's loader as well" sh -c "readelf -SW '$tmp/good.gm.ko' | grep -q '\.gm\.devices *NOBITS .* 041000 00  WA '"
done
pages 'aw"' 12 8192 > "$tmp/devices.s"
declined "pages without the request" ".gm.devices+0x0: nothing asks for the privilege mmio. Add GM_PRIVILEGE(\"mmio=VENDOR:DEVICE\") or --privilege mmio=VENDOR:DEVICE." \
	--privilege pio=0x60 < "$tmp/devices.s"
once="Declare it once, with GM_DEVICES() of guarded_module.h."
while IFS='|' read -r what flags align size message; do
	pages "$flags" "$align" "$size" > "$tmp/devices.s"
	declined "$what" ".gm.devices+0x0: $message $once" --privilege mmio < "$tmp/devices.s"
done <<'S'
one page|aw"|12|4096|not two pages of data or more (4096 bytes, aligned to 4096).
a page and a half|aw"|12|12200|not two pages of data or more (12200 bytes, aligned to 4096).
pages across others|aw"|4|8192|not two pages of data or more (8192 bytes, aligned to 16).
pages aligned to two|aw"|13|8192|not two pages of data or more (8192 bytes, aligned to 8192).
read-only pages|a"|12|8192|not writable data.
code|awx"|12|8192|not writable data.
pages that are not loaded|"|12|8192|not writable data.
S
filled="not all zeroes, but KVM fills it in. Do not initialize it."
pages 'aw"' 12 8191 "	.byte 1" > "$tmp/devices.s"
declined "content" ".gm.devices+0x0: $filled" --privilege mmio < "$tmp/devices.s"
pages 'aw"' 12 8184 "	.quad f" > "$tmp/devices.s"
declined "an address" ".gm.devices+0x0: $filled" --privilege mmio < "$tmp/devices.s"
pages 'aw"' 12 8192 '	.section .gm.devices, "aw", @progbits, unique, 1
	.p2align 12
	.zero 8192' > "$tmp/devices.s"
declined "two such sections" "two sealed sections .gm.devices. Link the module with ld -r." --privilege mmio < "$tmp/devices.s"

{ pages 'aw"' 12 8192; printf '\t.section .rodata, "a"\n\tr: .zero 16\n\t.data\n\t.quad r\n'; } | assemble "$tmp/devices.ko"
"$GMCC" guard -q --privilege mmio --privilege mwait -o "$tmp/devices.gm.ko" "$tmp/devices.ko"
wrong_image "$tmp/devices.gm.ko" "pages for registers that nothing asks for" 'i.entry("privileges", 0, kind=2, first=0, last=0)' \
	".gm.manifest+0x0: region: 1 regions for devices with 2 pages, and mmio is not requested."
wrong_image "$tmp/devices.gm.ko" "registers in data" 'i.entry("regions", i.region(".gm.devices"), kind=5)' \
	".gm.devices+0x0: region: region kind 5 is not what this section is for." \
	".gm.manifest+0x70: region: 32 stacks of 3 pages, but 98 pages of stack." \
	".text+0x13 (f+0x3): private: takes the address of private data, .gm.devices-4."
wrong_image "$tmp/devices.gm.ko" "read-only registers" 'i.header(".gm.devices", flags=2)' \
	".gm.devices+0x0: region: section flags 0x2 do not fit region kind 7."
wrong_image "$tmp/devices.gm.ko" "constants as registers" 'i.entry("regions", i.region(".rodata"), kind=7)' \
	".rodata+0x0: region: section flags 0x2 do not fit region kind 7." \
	".rodata+0x0: region: content, where there may be none." \
	".rodata+0x0: region: region kind 7 is not what this section is for." \
	".gm.manifest+0x0: region: 2 regions for devices with 3 pages, and mmio is requested."
wrong_image "$tmp/devices.gm.ko" "a page too few" 'i.entry("regions", i.region(".gm.devices"), size=4096); i.header(".gm.devices", size=4096); i.entry("anchors", [k for k, a in enumerate(i.tables("anchors")) if a["size"] == 8192][0], size=4096)' \
	".gm.manifest+0x0: region: 1 regions for devices with 1 pages, and mmio is requested."
