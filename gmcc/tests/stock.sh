# shellcheck shell=sh disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Part of run: the distribution's own modules.

modules=${GMCC_MODULES:-$(find /lib/modules -mindepth 1 -maxdepth 1 -name '6.12.*' 2>/dev/null | sort -V | tail -n 1)/kernel}
dummy=$(find "$modules/drivers/net" -maxdepth 1 -name 'dummy.ko*' 2>/dev/null | head -n 1)

# sweep COUNT: every one is guarded soundly, or refused with a place and advice.
sweep() {
	find "$modules" -name '*.ko*' | sort > "$tmp/all"
	step=$(($(wc -l < "$tmp/all") / $1))
	guarded=0 declined=0 wrong=0
	for m in $(awk -v s="$step" 'NR % s == 1' "$tmp/all") \
		$(grep -E '/(virtio_net|e1000e|loop|xor|dummy|ifb|nlmon|crc32c_generic)\.ko' "$tmp/all"); do
		"$GMCC_SAN" guard -q -o "$tmp/m.gm.ko" "$m" 2> "$tmp/m.err"
		status=$?
		if [ $status -eq 0 ] && "$here/check_image.py" "$tmp/m.gm.ko" 2> "$tmp/m.err" &&
			"$GMCC_SAN" verify "$tmp/m.gm.ko" > "$tmp/m.err" 2>&1; then
			guarded=$((guarded + 1))
		elif [ $status -eq 1 ] && ! grep -qvE "^gmcc: [^:]*: .*\.$" "$tmp/m.err"; then
			declined=$((declined + 1))
		else
			wrong=$((wrong + 1))
			echo "# $m: status $status"
			sed 's/^/#   /' "$tmp/m.err" | head -n 5
		fi
	done
	echo "# stock modules: $guarded guarded, $declined refused, $wrong wrong"
	[ $wrong -eq 0 ]
}

if [ -z "$dummy" ]; then
	skip "stock modules" "none under /lib/modules"
else
	check "guards the stock dummy" "$GMCC_SAN" guard -o "$tmp/dummy.gm.ko" "$dummy"
	check "again" "$GMCC" guard -q -o "$tmp/dummy2.gm.ko" "$dummy"
	check "the same input gives the same bytes" cmp "$tmp/dummy.gm.ko" "$tmp/dummy2.gm.ko"
	check "the image is sound; dummy_setup lends exactly its 6-byte address" \
		"$here/check_image.py" "$tmp/dummy.gm.ko" dummy_setup:2:6
	check "--stacks and --stack-pages" "$GMCC_SAN" guard -q --stacks 5 --stack-pages 3 \
		-o "$tmp/dummy3.gm.ko" "$dummy"
	json "stacks have the size asked for" \
		"(j['stacks'], j['stack-pages'], [r['pages'] for r in j['regions'] if r['kind'] == 'stack']) == (5, 3, [20])" \
		"$tmp/dummy3.gm.ko"
	json "inspect tells init, exit and the module's name" \
		"j['module'] == 'dummy' and not j['signed'] and gates[('in-call', 'dummy_init_module')]['init'] and gates[('in-call', 'dummy_cleanup_module')]['exit']" \
		"$tmp/dummy.gm.ko"
	check "inspect as text" "$GMCC_SAN" inspect "$tmp/dummy.gm.ko"
	fails "refuses its own output" 1 "" "$GMCC_SAN" guard -o "$tmp/x" "$tmp/dummy.gm.ko"
	case $dummy in
	*.xz) xz -dc "$dummy" > "$tmp/plain.ko" ;;
	*.zst) zstd -qdc "$dummy" > "$tmp/plain.ko" ;;
	*) cp "$dummy" "$tmp/plain.ko" ;;
	esac
	check "an unpacked module" "$GMCC_SAN" guard -q -o "$tmp/plain.gm.ko" "$tmp/plain.ko"
	check "gives the same image" cmp "$tmp/plain.gm.ko" "$tmp/dummy.gm.ko"
	if command -v zstd > /dev/null; then
		zstd -qf "$tmp/plain.ko" -o "$tmp/plain.ko.zst"
		check "a .zst module" "$GMCC_SAN" guard -q -o "$tmp/zst.gm.ko" "$tmp/plain.ko.zst"
		check "gives the same image, too" cmp "$tmp/zst.gm.ko" "$tmp/dummy.gm.ko"
	else
		skip "a .zst module" "no zstd"
	fi
	if sweep "$GMCC_SWEEP" > "$tmp/sweep"; then
		ok "stock modules are guarded soundly or refused with a reason"
	else
		not_ok "stock modules are guarded soundly or refused with a reason"
	fi
	cat "$tmp/sweep"
	check "damaged modules" mutate "$tmp/plain.ko" "$GMCC_SAN" guard -q -o "$tmp/mut.ko"
	check "damaged images" mutate "$tmp/dummy.gm.ko" "$GMCC_SAN" inspect --json
	check "damaged images, verified" mutate "$tmp/dummy.gm.ko" "$GMCC_SAN" verify --json
fi
