# shellcheck shell=sh
# gm-run: QEMU's command line, its life, and what is left of it. Sourced by run.

# shellcheck disable=SC2034,SC2154 # what run has, and what judge() takes
usage() {
	name=$1 text=$2
	shift 2
	says "wrong usage: $name" 2 "gm-run: $text
\`gm-run --help' tells the options." "$gm_run" "$@"
}
usage "nothing to start" "there is nothing to start: --kernel FILE or --disk FILE is missing" --keyring k
usage "no keyring" "--keyring is missing: the certificates of those who may sign modules" --kernel k
usage "an option that is none" "\`--nope': no such option" --nope
usage "an option without argument" "\`--kernel': its argument is missing" --kernel
usage "a word that is no option" "\`x' is no option; arguments for QEMU come after --" --append -- x
usage "--initrd alone" "--initrd and --append need --kernel" --keyring k --disk d.raw --initrd i
usage "an image's part that is none" "--image: \`size=3' is neither grant=SPEC nor policy=POLICY; a comma \
in the file's name is written twice" --image x,size=3
usage "an image without a name" "--image: the file is missing" --image ,grant=mwait
usage "a policy that is none" "--policy: a policy is inject, stop or quarantine, not \`maybe'" --policy maybe
usage "an image's policy that is none" "--image: a policy is inject, stop or quarantine, not \`maybe'" \
	--image x,policy=maybe
for address in 1 01:00 01:20.0 01:00.8 g1:00.0 01:00.0x 10000:01:00.0; do
	usage "a PCI address that is none: $address" "--device-passthrough: \`$address' is no PCI address such \
as 0000:01:00.0" --device-passthrough $address
done
usage "a device's part that is none" "--device-passthrough: \`rom=x' is not id=ID" \
	--device-passthrough 01:00.0,rom=x
usage "an id that is none" "--device-passthrough: \`1n' is no id: letters, digits, '.', '_' and '-', a \
letter first" --device-passthrough 01:00.0,id=1n
usage "the same device twice" "--device-passthrough: two devices with the same address or id" --check \
	--device-passthrough 01:00.0 --device-passthrough 0000:01:00.0
usage "a disk of unknown format" "--disk: the format of \`/dev/sdx' is not known: add ,format=raw or \
,format=qcow2" --disk /dev/sdx
usage "a format that is none" "--disk: \`format=vmdk' is not format=raw or format=qcow2" --disk d,format=vmdk
for size in 0 x -1 1E 1GG 99999999999999999999 16777217T; do
	usage "a size that is none: $size" "--memory wants a size such as 512M or 4G, not \`$size'" --memory $size
done
usage "CPUs that are none" "--cpus wants a number, 1 to 1024, not \`0'" --cpus 0
usage "a name that is a path" "--name: \`a/b' is no name: letters, digits, '.', '_' and '-', at most 60" \
	--name a/b

# What is printed is what QEMU gets.
cat >"$tmp/show" <<'SHOW'
#!/bin/sh
printf '%s\n' "$@"
SHOW
chmod +x "$tmp/show"
dry() {
	"$gm_run" --dry-run --name g --qemu "$tmp/show" "$@" >"$tmp/dry" || return 1
	sh "$tmp/dry" | sed '/^-L$/{N;d}' >"$tmp/words"
}
dry --kernel "$tmp/a b" --append "console=ttyS0 it's \$HOME \`x\` \"y\"" --keyring k,1 --no-verifier \
	--image 'x,,y.ko,grant=msr=0x35,grant=mmio=nic0,policy=stop' --image z.ko --memory 512m --cpus 4 \
	--device-passthrough 1:0.0,id=nic0 --crl c --policy quarantine --qmp "$tmp/q,p" -- -nic user -m '4 G'
status=$? want=0 name="dry run: the shell gets back what was said" out=$(sed "s|$tmp|@|g" "$tmp/words")
text="-name
g
-nodefaults
-no-user-config
-display
none
-machine
q35
-accel
kvm,guarded-modules=on
-cpu
host,svm=off,vmx=off
-smp
4
-m
512m
-kernel
@/a b
-append
console=ttyS0 it's \$HOME \`x\` \"y\"
-serial
mon:stdio
-chardev
socket,id=gm-qmp,path=@/q,,p,server=on,wait=off
-mon
chardev=gm-qmp,mode=control
-chardev
socket,id=gm-events,path=@/q,,p-events,server=on,wait=off
-mon
chardev=gm-events,mode=control
-device
{\"driver\":\"vfio-pci\",\"host\":\"0000:01:00.0\",\"id\":\"nic0\"}
-device
{\"driver\":\"guarded-modules\",\"keyring\":\"k,1\",\"crl\":\"c\",\"violation-policy\":\"quarantine\"}
-object
{\"qom-type\":\"guarded-module\",\"id\":\"gm-image0\",\"file\":\"x,y.ko\",\"policy\":\"stop\",\"grants\":[\"msr=0x35\",\"mmio=nic0\"]}
-object
{\"qom-type\":\"guarded-module\",\"id\":\"gm-image1\",\"file\":\"z.ko\"}
-nic
user
-m
4 G"
judge
dry --disk 'a,,b.qcow2' --keyring k --no-console --verifier /bin/true
status=$? name="dry run: a disk" out=$(grep -A1 -e -blockdev -e virtio -e serial -e '"guarded' "$tmp/words" | \
	grep -v -e '^-')
text='{"driver":"qcow2","node-name":"gm-disk","file":{"driver":"file","filename":"a,b.qcow2"}}
{"driver":"virtio-blk-pci","drive":"gm-disk"}
{"driver":"guarded-modules","keyring":"k","verifier":"/bin/true"}'
judge
check "dry run: a block device" sh -c "'$gm_run' --dry-run --keyring k --disk /dev/vg/d,format=raw | \
	grep -q '\"driver\":\"raw\".*{\"driver\":\"host_device\",\"filename\":\"/dev/vg/d\"}'"
check "dry run: the monitor's usual place" sh -c "'$gm_run' --dry-run --name g --keyring k --kernel k | \
	grep -q 'path=$tmp/runtime/gm-run/g/qmp,'"
check "a dry run leaves nothing" sh -c "[ ! -e '$tmp/runtime/gm-run' ]"

# Its life: QEMU is a program that does what it is told.
"$CC" -shared -fPIC -o "$tmp/shim.so" -I "$here/../../kvm-gm/include/uapi" "$here/shim.c" || exit 1
root=$tmp/host
mkdir -p "$root/proc" "$root/dev"
echo 'flags : svm' >"$root/proc/cpuinfo"
: >"$root/dev/kvm"
: >"$tmp/keyring.pem"
: >"$tmp/kernel"
GM_TEST_VERSION=$(sed -n 's/^#define KVM_GM_API_VERSION[[:space:]]*//p' \
	"$here/../../kvm-gm/include/uapi/linux/kvm_gm.h")
export GM_TEST_VERSION GM_TEST_KNOWS="guarded-modules,help guarded-module,help" GM_TEST_OUT="$tmp/qemu-out"
# What the last guest has left: it must be gone before anybody waits for the next one's.
forget() {
	rm -f "$tmp/qemu-out" "$tmp/qemu-out.end"
}
# guest WHAT-QEMU-DOES ARGUMENT...
guest() {
	todo=$1
	shift
	set -- "$gm_run" --qemu "${with_qemu:-$here/fake_qemu.py}" --sysroot "$root" --keyring \
		"${keys:-$tmp/keyring.pem}" --kernel "$tmp/kernel" --verifier /bin/true "$@"
	GM_TEST_QEMU=$todo LD_PRELOAD=$tmp/shim.so \
		ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 exec "$@"
}
# ended NAME STATUS TEXT TODO ARGUMENT...
ended() {
	name=$1 want=$2 text=$3
	shift 3
	forget
	(guest "$@") >"$tmp/out" 2>&1 </dev/null
	status=$?
	out=$(sed "s|$tmp|@|g; s|$here|%|g" "$tmp/out")
	judge
}
nothing_left() {
	check "$1: nothing is left" sh -c "ls -A '$tmp/runtime/gm-run' >'$tmp/left'; cat '$tmp/left'; \
		[ ! -s '$tmp/left' ]"
}
ended "QEMU's exit status" 7 "" 7
nothing_left "QEMU's end"
ended "QEMU killed" 137 "" kill
nothing_left "QEMU killed"
check "the folder of guests is nobody else's" sh -c "[ \$(stat -c %a '$tmp/runtime/gm-run') = 700 ]"
ended "what is missing, and no QEMU" 3 "missing  keyring: @/none: No such file or directory. Name a file that \
exists
gm-run: the host lacks 1 thing; nothing was started" 0 --keyring "$tmp/none"
check "what is missing: no QEMU" sh -c "[ ! -e '$tmp/qemu-out' ]"
printf '#!/nonesuch\n' >"$tmp/bad"
chmod +x "$tmp/bad"

forget
(guest wait --name one) &
first=$!
await "$tmp/qemu-out"
check "the guest's own folder is nobody else's" \
	sh -c "[ \$(stat -c %a '$tmp/runtime/gm-run/one') = 700 ]"
ended "a name that is in use" 4 "gm-run: a guest \`one' runs already: choose another --name" 0 --name one
forget
(guest wait --name two) &
second=$!
await "$tmp/qemu-out"
kill -TERM "$first"
wait "$first"
status=$? name="SIGTERM gets to QEMU, its status comes back" want=5 out=$(cat "$tmp/qemu-out.end")
text=SIGTERM
judge
check "the other guest goes on" sh -c "ls '$tmp/runtime/gm-run' | grep -qx two"
rm -f "$tmp/qemu-out.end"
kill -KILL "$second"
wait "$second" 2>/dev/null
await "$tmp/qemu-out.end"
check "gm-run killed: QEMU is told to end" grep -q SIGTERM "$tmp/qemu-out.end"
says "gm-run killed: its guest is none any more" 3 "gmctl: no guest of gm-run runs (there is none in \
@/runtime/gm-run). Name QEMU's monitor with --qmp PATH or \$GM_QMP" "$gmctl" list
ended "gm-run killed: its name can be used again" 0 "" 0 --name two
nothing_left "gm-run killed and run again"

forget
(guest wait --qmp "$tmp/own") &
first=$!
await "$tmp/qemu-out"
check "--qmp: both monitors are there" sh -c "[ -S '$tmp/own' ] && [ -S '$tmp/own-events' ]"
ended "--qmp: a path that is in use" 4 "gm-run: @/own is there already, and in use" 0 --qmp "$tmp/own"
kill -TERM "$first"
wait "$first"
check "--qmp: neither is left" sh -c "[ ! -e '$tmp/own' ] && [ ! -e '$tmp/own-events' ]"
echo precious >"$tmp/own"
ended "--qmp: a file" 4 "gm-run: @/own is there already, and no socket" 0 --qmp "$tmp/own"
check "--qmp: the file is as it was" grep -q precious "$tmp/own"
(
	export XDG_RUNTIME_DIR="$tmp/shared"
	mkdir -p "$tmp/shared/gm-run"
	chmod 755 "$tmp/shared/gm-run"
	forget
	guest 0
) >"$tmp/out" 2>&1
status=$? name="a folder of guests that others can look into" want=4 out=$(sed "s|$tmp|@|g" "$tmp/out")
text="gm-run: @/shared/gm-run is not yours alone (owner $(id -u), mode 755): remove it, or use --qmp PATH"
judge
check "Ctrl-C gets to QEMU once; a terminal that QEMU left raw is put right" timeout 60 \
	"$here/on_terminal.py" env LD_PRELOAD="$tmp/shim.so" ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 \
	"$gm_run" --qemu "$here/fake_qemu.py" --sysroot "$root" --keyring "$tmp/keyring.pem" --kernel "$tmp/kernel" \
	--verifier /bin/true --no-console
nothing_left "Ctrl-C"
