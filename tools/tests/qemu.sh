# shellcheck shell=sh
# gmctl and gm-run with the real QEMU. There is no KVM: it runs no guest, but all
# except sealing works (accel=qtest). Sourced by run.

# shellcheck disable=SC2034,SC2154 # what run has, and what judge() takes

real() {
	sock=$tmp/real
	"$QEMU" -machine q35 -accel qtest -display none -nodefaults -L /usr/share/qemu -L /usr/share/seabios \
		-qmp "unix:$sock,server=on,wait=off" "$@" 2>"$tmp/qemu-log" &
	qemu=$!
	await "$sock" || not_ok "QEMU starts" "$(cat "$tmp/qemu-log")"
	export GM_QMP="$sock"
}
real_ends() {
	kill "$qemu"
	wait "$qemu"
	status=$? qemu=''
	unset GM_QMP
}

# Events of the real QEMU, once the monitor is theirs.
follow() {
	"$gmctl" events >"$tmp/out" 2>&1 &
	follower=$!
	for _ in $(seq 60); do
		"$gmctl" list --timeout 1 >/dev/null 2>&1 || break
	done
}

if [ -z "$QEMU" ] || [ ! -x "$QEMU" ] || [ ! -f "$IMAGES/dummy.gm.ko" ]; then
	skip "all with the real QEMU" "QEMU or dummy.gm.ko is not built: make qemu images"
else
	image=$IMAGES/dummy.gm.ko
	privileges=no
	! "$QEMU" -machine none -object guarded-module,help >/dev/null 2>&1 || privileges=yes

	real
	says "real QEMU, no device" 1 "gmctl: QEMU refuses query-gm: this virtual machine has no \
guarded-modules device
Start QEMU with -accel kvm,guarded-modules=on and -device guarded-modules,keyring=CERTIFICATES, or use \
gm-run." "$gmctl" list
	real_ends

	real -device guarded-modules,keyring="$KEYS/keyring.pem"
	says "real QEMU: list" 0 "no modules are registered" "$gmctl" list
	check "real QEMU: info" sh -c "'$gmctl' info | grep -qx 'key: CN=Guarded modules test: signer'"
	check "real QEMU: register --by-path" sh -c "'$gmctl' register --by-path '$image' | grep -Eqx \
'dummy: id [0-9a-f]{12}, signed by Guarded modules test: signer, [0-9]+ pages, [0-9]+ gates'"
	check "real QEMU: list --json" sh -c "'$gmctl' list --json | python3 -c '
import json, sys
[module] = json.load(sys.stdin)
assert module[\"name\"] == \"dummy\" and module[\"state\"] == \"registered\", module
assert module[\"file\"] == sys.argv[1], module' '$image'"
	check "real QEMU: registered twice" sh -c "'$gmctl' register --by-path '$image' 2>&1 | grep -Eqx \
\"gmctl: QEMU refuses gm-register: module 'dummy' \\(id [0-9a-f]{12}\\) is already registered, from '$image'\""
	cp "$IMAGES/dummy.unsigned.ko" "$tmp/unsigned.ko"
	check "real QEMU: not signed" sh -c "'$gmctl' register --by-path '$tmp/unsigned.ko' 2>&1 | grep -q \
'^gmctl: QEMU refuses gm-register: cannot register .*signature'; '$gmctl' register --by-path \
'$tmp/unsigned.ko' 2>/dev/null; [ \$? = 1 ]"
	says "real QEMU: unregister" 0 "" "$gmctl" unregister dummy
	says "real QEMU: unregister what is not there" 1 "gmctl: QEMU refuses gm-unregister: no module 'dummy' \
is registered
gmctl list shows those that are." "$gmctl" unregister dummy
	follow
	says "real QEMU: its monitor is in use" 3 "gmctl: @/real: no answer within 1 s; does another program \
use this monitor? It serves one at a time" "$gmctl" list --timeout 1
	kill -INT "$follower"
	wait "$follower"
	check "real QEMU: its monitor is free again" "$gmctl" list

	if [ $privileges = no ]; then
		skip "real QEMU: files by descriptor, grants, symbols" "this QEMU has no privileges yet"
	else
		# QEMU cannot get at the path: only the open file gets there.
		mkdir -p "$tmp/closed"
		cp "$image" "$tmp/closed/dummy.gm.ko"
		check "real QEMU: register by descriptor" "$gmctl" register "$tmp/closed/dummy.gm.ko"
		rm -r "$tmp/closed"
		check "real QEMU: the path is shown" sh -c "'$gmctl' list -v | grep -qx \
'  file:        fd:$tmp/closed/dummy.gm.ko'"
		check "real QEMU: a look without KVM has no symbols" sh -c "'$gmctl' top --once --interval 0.1 | \
grep -q '^dummy  *registered'"
		check "real QEMU: a grant that was not asked for" sh -c "'$gmctl' grant dummy mwait 2>&1 | \
grep -q '^gmctl: QEMU refuses gm-grant: '; '$gmctl' grant dummy mwait 2>/dev/null; [ \$? = 1 ]"
		check "real QEMU: a grant that is none" sh -c "'$gmctl' grant dummy xyz 2>&1 | \
grep -q '^gmctl: QEMU refuses gm-grant: .*xyz'"
		check "real QEMU: nothing to revoke" sh -c "'$gmctl' revoke dummy mwait 2>&1 | \
grep -q '^gmctl: QEMU refuses gm-revoke: '"
		check "real QEMU: unregister it" "$gmctl" unregister dummy
		check "real QEMU: a policy of its own" sh -c "'$gmctl' register --policy quarantine '$image' && \
'$gmctl' list -v | grep -qx '  policy:      quarantine'"
		check "real QEMU: a policy that is none" sh -c "'$gmctl' register --policy maybe '$image' 2>&1 | \
grep -q '^gmctl: QEMU refuses gm-register: .*maybe'"
	fi
	kill -STOP "$qemu"
	says "real QEMU that hangs" 3 "gmctl: @/real: no answer within 1 s; does another program use this \
monitor? It serves one at a time" "$gmctl" list --timeout 1
	kill -CONT "$qemu"
	follow
	real_ends
	wait "$follower"
	status=$? name="real QEMU: events end with it" want=3 out=$(sed "s|$tmp|@|g" "$tmp/out")
	text="gmctl: @/real: QEMU has closed the connection"
	judge

	# gm-run, on a host that is made up; behind -- there is a second accelerator.
	"$CC" -shared -fPIC -o "$tmp/shim.so" -I "$here/../../kvm-gm/include/uapi" "$here/shim.c" || exit 1
	mkdir -p "$tmp/amd/proc" "$tmp/amd/dev"
	echo 'flags : svm' >"$tmp/amd/proc/cpuinfo"
	: >"$tmp/amd/dev/kvm"
	truncate -s 1M "$tmp/disk.raw"
	with_image=''
	[ $privileges = no ] || with_image=yes
	(
		GM_TEST_VERSION=$(sed -n 's/^#define KVM_GM_API_VERSION[[:space:]]*//p' \
			"$here/../../kvm-gm/include/uapi/linux/kvm_gm.h")
		export GM_TEST_VERSION
		LD_PRELOAD=$tmp/shim.so ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 exec "$gm_run" \
			--qemu "$QEMU" --sysroot "$tmp/amd" --verifier /bin/true --keyring "$KEYS/keyring.pem" \
			--disk "$tmp/disk.raw" --no-console --name real ${with_image:+--image "$image"} \
			-- -cpu qemu64 -accel qtest
	) >"$tmp/out" 2>&1 &
	run=$!
	await "$tmp/runtime/gm-run/real/qmp-events"
	sleep 0.5
	"$gmctl" events >"$tmp/events" 2>&1 &
	follower=$!
	sleep 0.5
	check "gm-run with the real QEMU: gmctl finds it, beside gmctl events" "$gmctl" list --timeout 10
	if [ -n "$with_image" ]; then
		check "gm-run with the real QEMU: --image" sh -c "'$gmctl' list | grep -q '^dummy *registered'"
	else
		skip "gm-run with the real QEMU: --image" "this QEMU has no guarded-module object yet"
	fi
	kill -TERM "$run"
	wait "$run"
	status=$? name="gm-run with the real QEMU: its end" want=0
	out=$(grep -v -e 'Could not access KVM' -e 'failed to initialize kvm' -e 'KVM_CREATE_VM' -e 'falling back' -e 'audit: ' -e 'terminating on signal' "$tmp/out") text=''
	judge
	wait "$follower"
	check "gm-run with the real QEMU: nothing is left" rmdir "$tmp/runtime/gm-run"
fi
