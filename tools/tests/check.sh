# shellcheck shell=sh
# gm-run's checks of the host, on hosts that are made up. Sourced by run.

# shellcheck disable=SC2034,SC2154 # what run has, and what judge() takes
"$CC" -shared -fPIC -o "$tmp/shim.so" -I "$here/../../kvm-gm/include/uapi" "$here/shim.c" || exit 1
version=$(sed -n 's/^#define KVM_GM_API_VERSION[[:space:]]*//p' \
	"$here/../../kvm-gm/include/uapi/linux/kvm_gm.h")
keyring=$tmp/keyring.pem kernel=$tmp/kernel
: >"$keyring"
: >"$kernel"

# host: an AMD machine with our KVM, and a device at 0000:01:00.0 that is ready.
host() {
	root=$tmp/host
	rm -rf "$root"
	mkdir -p "$root/proc/self" "$root/dev/vfio" "$root/sys/module/kvm_amd/parameters" \
		"$root/sys/kernel/iommu_groups/7/devices" "$root/sys/bus/pci/drivers/vfio-pci" \
		"$root/sys/bus/pci/drivers/e1000e" "$root/sys/bus/pci/drivers/pcieport"
	printf 'processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu svm npt\n\n' >"$root/proc/cpuinfo"
	printf 'CapEff:\t0000000000004000\n' >"$root/proc/self/status"
	echo Y >"$root/sys/module/kvm_amd/parameters/npt"
	: >"$root/dev/kvm"
	: >"$root/dev/vfio/7"
	device 0000:01:00.0 7 vfio-pci 0x020000
	knows="guarded-modules,help guarded-module,help vfio-pci,help"
	cap=$version
}

# device ADDRESS GROUP DRIVER CLASS
device() {
	folder=$root/sys/bus/pci/devices/$1
	mkdir -p "$folder"
	rm -f "$folder/driver" "$folder/iommu_group"
	[ -z "$2" ] || ln -s "../../../kernel/iommu_groups/$2" "$folder/iommu_group"
	[ -z "$2" ] || ln -sfn "$folder" "$root/sys/kernel/iommu_groups/$2/devices/$1"
	[ -z "$3" ] || ln -s "../../../bus/pci/drivers/$3" "$folder/driver"
	echo "$4" >"$folder/class"
}

# look ARGUMENT...: $status and $out of gm-run --check.
look() {
	GM_TEST_VERSION=$cap GM_TEST_KNOWS=$knows LD_PRELOAD=$tmp/shim.so \
		ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 timeout 60 "$gm_run" --check \
		--sysroot "$root" --qemu "${with_qemu:-$here/fake_qemu.py}" --verifier /bin/true "$@" \
		>"$tmp/out" 2>&1 </dev/null
	status=$?
	out=$(sed "s|$here|%|g; s|$tmp|@|g; s|Linux [0-9][^ ]* (no /lib/modules/[^/]*|Linux R (no M|" "$tmp/out")
}

# looked NAME STATUS TEXT ARGUMENT...: gm-run --check says exactly this.
looked() {
	name=$1 want=$2 text=$3
	shift 3
	look "$@"
	judge
}

# lacks NAME LINE ARGUMENT...: of what is missing it says this line alone.
lacks() {
	name=$1 want=3 text=$2
	shift 2
	look "$@"
	out=$(printf '%s\n' "$out" | grep '^missing')
	judge
}

host
good="ok       CPU: it has AMD's virtualization (SVM)
ok       /dev/kvm: you may use it
ok       KVM: it has guarded modules, version $version
ok       QEMU: %/fake_qemu.py knows guarded modules
ok       firmware: all of QEMU's is there
ok       verifier: /bin/true"
looked "a host that has all" 0 "$good
ok       keyring: @/keyring.pem
ok       kernel: @/kernel
ok       image: @/kernel
ok       IOMMU: it is on
ok       0000:01:00.0: bound to vfio-pci, IOMMU group 7
ok       locked memory: as much as you like (CAP_IPC_LOCK)" --keyring "$keyring" --kernel "$kernel" \
	--image "$kernel,grant=mwait" --device-passthrough 01:00.0
looked "a host alone" 0 "$good"

echo 'flags : fpu vmx' >"$root/proc/cpuinfo"
lacks "an Intel CPU" "missing  CPU: it has no SVM. Use a machine with an AMD CPU: on Intel's (VMX), KVM \
does not offer guarded modules yet"
echo 'flags : fpu svmx xsvm svm_lock' >"$root/proc/cpuinfo"
lacks "a CPU without virtualization" "missing  CPU: it shows no virtualization (svm). Turn on SVM (AMD-V) \
in the firmware's setup; in a virtual machine, nested virtualization on its host"
rm "$root/proc/cpuinfo"
lacks "no /proc" "missing  CPU: @/host/proc/cpuinfo: No such file or directory. Mount /proc"

host
rm "$root/dev/kvm"
lacks "no /dev/kvm" "missing  /dev/kvm: No such file or directory. Load KVM: modprobe kvm_amd"
host
cap=
lacks "a /dev/kvm that is none" "missing  /dev/kvm: it is not KVM. Load KVM: modprobe kvm_amd"
cap=0
lacks "a stock KVM" "missing  KVM: the KVM that is loaded is a stock one, without guarded modules. Ours is \
not installed for Linux R (no M/updates/kvm.ko): make install, end all virtual machines, then \
modprobe -r kvm_amd kvm && modprobe kvm_amd"
echo N >"$root/sys/module/kvm_amd/parameters/npt"
lacks "KVM without nested paging" "missing  KVM: nested paging is turned off (kvm_amd's npt). Load it again \
without that option: modprobe -r kvm_amd && modprobe kvm_amd npt=1"
host
cap=$((version + 1))
lacks "a KVM of another version" "missing  KVM: its guarded modules have version $cap, this program is for \
$version. Build and install KVM, QEMU and the tools from one source, and load KVM again"

host
install="make install of this project installs qemu-system-x86_64-gm; or name it with --qemu or \$GM_QEMU"
knows=
lacks "a QEMU without guarded modules" "missing  QEMU: %/fake_qemu.py does not know the device \
guarded-modules. $install"
knows="guarded-modules,help"
lacks "a QEMU that is too old for --image" "missing  QEMU: %/fake_qemu.py is too old for --image: it does not \
know the object guarded-module. $install" --image "$kernel"
lacks "a QEMU without vfio-pci" "missing  QEMU: %/fake_qemu.py cannot pass devices through (no vfio-pci). \
$install" --device-passthrough 01:00.0
with_qemu=/none
lacks "a QEMU that does not exist" "missing  QEMU: /none: No such file or directory. $install"
with_qemu=

host
lacks "no keyring" "missing  keyring: @/none: No such file or directory. Name a file that exists" \
	--keyring "$tmp/none"
lacks "no image" "missing  image: @/a,b: No such file or directory. Name a file that exists" \
	--image "$tmp/a,,b,grant=mwait"
lacks "a kernel that is a folder" "missing  kernel: @ is not a regular file. Name another one" --kernel "$tmp"
lacks "no verifier" "missing  verifier: /none: No such file or directory. Name another one" --verifier /none

host
rm -r "$root/sys/kernel/iommu_groups"
lacks "no IOMMU" "missing  IOMMU: it is off, no device can be given to a guest. Turn it on in the firmware's \
setup (AMD-Vi); the kernel must not be told amd_iommu=off or iommu=off" --device-passthrough 01:00.0
host
lacks "no such device" "missing  0000:02:00.0: the host has no such PCI device. lspci -D lists those that \
there are" --device-passthrough 02:00.0
device 0000:02:00.0 "" "" 0x020000
lacks "a device in no group" "missing  0000:02:00.0: it is in no IOMMU group. Choose a device behind the IOMMU" \
	--device-passthrough 02:00.0
bind() {
	echo "As root: driverctl set-override $1 vfio-pci; or: modprobe vfio-pci && echo vfio-pci \
>/sys/bus/pci/devices/$1/driver_override$2 && echo $1 >/sys/bus/pci/drivers_probe"
}
device 0000:01:00.0 7 e1000e 0x020000
lacks "a device that the host uses" "missing  0000:01:00.0: it is not bound to vfio-pci (driver e1000e). \
$(bind 0000:01:00.0 " && echo 0000:01:00.0 >/sys/bus/pci/devices/0000:01:00.0/driver/unbind")" \
	--device-passthrough 01:00.0
device 0000:01:00.0 7 "" 0x020000
lacks "a device without driver" "missing  0000:01:00.0: it is not bound to vfio-pci (no driver). \
$(bind 0000:01:00.0 "")" --device-passthrough 01:00.0
host
device 0000:01:00.1 7 e1000e 0x020000
lacks "a group that is not free" "missing  0000:01:00.0: 0000:01:00.1 is in the same IOMMU group, 7, and the host uses it (driver \
e1000e). $(bind 0000:01:00.1 " && echo 0000:01:00.1 >/sys/bus/pci/devices/0000:01:00.1/driver/unbind")" \
	--device-passthrough 01:00.0
device 0000:01:00.1 7 pcieport 0x060400
device 0000:01:00.2 7 "" 0x020000
looked "a group with a bridge, and a device that nobody has" 0 "$good
ok       IOMMU: it is on
ok       0000:01:00.0: bound to vfio-pci, IOMMU group 7
ok       locked memory: as much as you like (CAP_IPC_LOCK)" --device-passthrough 01:00.0
host
rm "$root/dev/vfio/7"
lacks "no node of the group" "missing  0000:01:00.0: /dev/vfio/7: No such file or directory. As root: chown \
USER /dev/vfio/7" --device-passthrough 01:00.0
host
printf 'CapEff:\t0000000000000000\n' >"$root/proc/self/status"
lock_limit=$(prlimit --memlock --noheadings --raw -o SOFT --pid $$)
prlimit --memlock=4194304: --pid $$
lacks "a limit of locked memory" "missing  locked memory: you may lock 4096 KiB, a guest with 2G and a passed \
device needs 2162688. As root: prlimit --memlock=2214592512 --pid \$\$, in this shell; for good in \
/etc/security/limits.conf, or LimitMEMLOCK= of a systemd unit" --device-passthrough 01:00.0 --memory 2G
prlimit --memlock="$lock_limit:" --pid $$
