# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: gmcc in kbuild, from sources to images. GMCC_KDIR names the kernel
# to build against (default: the newest headers of 6.12).

kdir=${GMCC_KDIR:-$(find /usr/src -mindepth 1 -maxdepth 1 -name 'linux-headers-6.12.*-amd64' 2> /dev/null | sort -V | tail -n 1)}
# The make that runs the tests has an O of its own.
unset MAKEFLAGS MFLAGS
ld=$(dirname "$GMCC")/gmcc-ld

# kbuild LOG [VARIABLE=VALUE...]: what the manual says, on a fresh copy.
kbuild() {
	log=$1
	shift
	make -C "$kdir" M="$tmp/module" CC="$GMCC" LD="$ld" "$@" modules > "$log" 2>&1 ||
		{ tail -n 20 "$log"; return 1; }
}

check "as CC it is the compiler" sh -c "echo 'int f(void){return 3;}' | '$GMCC' -O2 -x c -c -o '$tmp/cc.o' - && nm '$tmp/cc.o' | grep -q ' T f'"
fails "of which there must be one" 1 \
	"gmcc: /none: cannot run the compiler: No such file or directory. Name it in GMCC_CC." \
	env GMCC_CC=/none "$GMCC_SAN" -c x.c
check "as LD it is the linker" "$ld" -r -o "$tmp/ld.o" "$tmp/cc.o"
fails "and fails as that does" 1 "" "$ld" -r -o "$tmp/ld.o" "$tmp/none.o"
check "build --help" "$GMCC_SAN" build --help
fails "build with a wrong option" 2 "" "$GMCC_SAN" build --frobnicate
fails "build without a kernel" 1 \
	"gmcc: $tmp: no kernel to build against. Install its headers, or name another with --kernel." \
	"$GMCC" build -k "$tmp" "$here/module"

build=/lib/modules/$(uname -r)/build
if [ -e "$build/Makefile" ]; then
	skip "build for the kernel that runs" "its headers are here"
else
	fails "build for the kernel that runs" 1 \
		"gmcc: $build: no kernel to build against. Install its headers, or name another with --kernel." \
		"$GMCC" build "$here/module"
fi

if [ -z "$kdir" ] || [ ! -e "$kdir/Makefile" ]; then
	skip "kbuild" "no linux-headers-6.12"
else
	cp -r "$here/module" "$tmp/module"
	check "builds modules by kbuild" kbuild "$tmp/log"
	for m in gm_plain gm_noted; do
		check "$m has a guarded image that verifies" "$GMCC_SAN" verify -q "$tmp/module/$m.gm.ko"
		check "$m: its image is sound" "$here/check_image.py" "$tmp/module/$m.gm.ko"
	done
	json "an unmodified source gets the defaults" \
		"{n for k, n in gates if k == 'in-call'} == {'gm_plain_init', 'gm_plain_exit', 'tick'} and not j['privileged-instructions'] and not j['requests']" \
		"$tmp/module/gm_plain.gm.ko"
	json "notes make data private" \
		"'.data.gm_private' in [r['section'] for r in j['regions'] if r['kind'] == 'data'] and '.data.gm_shared' in [s['name'] for s in j['shared']]" \
		"$tmp/module/gm_noted.gm.ko"
	json "and request privileges" "j['requests'] == ['msr=0xce', 'mwait', 'hostinfo'] and j['privileged-instructions'] == [{'instruction': 'mwait', 'places': 1}, {'instruction': 'rdmsr', 'places': 1}]" \
		"$tmp/module/gm_noted.gm.ko"

	echo 'stacks = 7' > "$tmp/module/gm_plain.gm.toml"
	echo 'entries = ["gm_noted_init"]' > "$tmp/module/gm_noted.gm.toml"
	sed -i '/GM_ENTRY/d' "$tmp/module/gm_noted.c"
	if kbuild "$tmp/log" -k > /dev/null; then
		not_ok "a module that breaks its policy fails its build"
	else
		check "a module that breaks its policy fails its build" \
			grep -q "the address of tick is given away, but the policy does not name it as an entry" "$tmp/log"
	fi
	check "and leaves no .ko" [ ! -e "$tmp/module/gm_noted.ko" ]

	rm -r "$tmp/module"
	cp -r "$here/module" "$tmp/module"
	echo 'obj-m := gm_plain.o' > "$tmp/module/Kbuild"
	echo 'stacks = 7' > "$tmp/module/gm_plain.gm.toml"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$tmp/d.key" -out "$tmp/d.crt" -subj /CN=driver \
		-days 2 2> /dev/null
	check "gmcc build does the same, and signs" env GMCC_KEY="$tmp/d.key" GMCC_CERT="$tmp/d.crt" \
		"$GMCC" build -k "$kdir" "$tmp/module"
	check "the signature is good" "$GMCC_SAN" verify -q --keyring "$tmp/d.crt" "$tmp/module/gm_plain.gm.ko"
	json "the policy beside the module is obeyed" "j['stacks'] == 7" "$tmp/module/gm_plain.gm.ko"

	# What there is to absorb, and the drivers that it is for.
	stock=/lib/modules/$(basename "$kdir" | sed 's/^linux-headers-//')/kernel/drivers/net/ethernet/intel
	cp -r "$here/../../guest/absorb" "$tmp/absorb"
	check "builds what modules absorb" make -C "$kdir" M="$tmp/absorb" GM_TOP="$(cd "$here/../.." && pwd)" modules
	# GCC would make a memcpy() of few bytes in place.
	check "what gm_outside() refuses, the guest writes" sh -c \
		"objdump -dr -j .text.__wrap_memcpy_fromio '$tmp/absorb/gm_devices.ko' | grep -qE '(guest_copy|\.gm\.guest)(-|\+)0x'"
	for m in e1000e e1000 igb; do
		ko=$(find "$stock/$m" -name "$m.ko*" 2> /dev/null)
		if [ -z "$ko" ]; then
			skip "$m with what it absorbs" "none under $stock"
			continue
		fi
		check "$m with what it absorbs is guarded, and verifies" "$GMCC_SAN" guard -q --verify \
			--absorb "$tmp/absorb/gm_net.ko,$tmp/absorb/gm_devices.ko" --privilege mmio -o "$tmp/absorbed.gm.ko" "$ko"
		json "$m sends and receives by functions of its own" \
			"('out-call', 'is_vmalloc_addr') not in gates and gates[('out-call', 'skb_put')]['call-sites'] == 1 and ('in-call', 'gm_poll') in gates and [(r['kind'], r['pages']) for r in j['regions'] if r['section'] == '.gm.devices'] == [('devices', 65)]" \
			"$tmp/absorbed.gm.ko"
	done
fi
