# SPDX-License-Identifier: GPL-2.0
#
# Guarded Modules on KVM. `make help' lists the targets. Everything is built
# below build/; downloads and shared build results are in the cache outside the
# clone (see ./configure --help).

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := all

# Goals that need no configuration.
BARE := help clean distclean cache-clean
ifneq ($(filter-out $(BARE),$(or $(MAKECMDGOALS),all)),)
include config.mk
endif

B := $(CURDIR)/build
RIG := rig/gm-rig
GMCC := $(B)/gmcc/gmcc
IMAGES := $(B)/images
DUMMY := $(firstword $(wildcard $(KERNEL_MODULES)/kernel/drivers/net/dummy.ko*))

config.mk: configure
	./configure $(CONFIGURE_ARGUMENTS)

help:
	@echo 'all              everything below'
	@echo '  kvm-gm           kvm.ko, kvm-amd.ko, kvm-intel.ko with guarded modules'
	@echo '  kvm-stock        the same modules, unpatched'
	@echo '  qemu             QEMU with guarded modules'
	@echo '  gmcc guest       the image compiler; gm-load and the modules of the attacks'
	@echo '  tools            gmctl, gm-top and gm-run, for the administrator of the host'
	@echo '  raw-attacks      attacks on our KVM that need no QEMU and no Linux in the guest'
	@echo '  l1-tools         what the rig puts into L1 when Bochs runs it'
	@echo '  images           test keys; stock dummy.ko, drivers of network cards and some of our own, guarded and signed'
	@echo '  load-images      the stock modules of rig/loads.toml, guarded and signed'
	@echo 'deps             install packages and fetch the sources (as root or with sudo)'
	@echo 'demo             deps, all, and the story of one module, start to end'
	@echo 'demo-nic         the same of a network driver, and of the passed-through card it is granted'
	@echo 'demo-mwait       the same of an idle loop that changes over between MWAIT and HLT'
	@echo 'check            deps, all, and every test'
	@echo 'check-ept        the tests on VMX: on the hardware, or the default set in Bochs (FULL=1: all)'
	@echo 'check-loads      stock modules of many kinds, guarded, loaded, put to work, unloaded'
	@echo 'check-loads-6.1  the same in a guest of Linux 6.1, Debian 12'"'"'s own'
	@echo 'check-nic        guarded drivers of passed-through network cards: function, attacks, a long soak'
	@echo 'check-attacks    the attacks alone: those from a Linux guest, and the raw ones'
	@echo 'check-qemu       QEMU'"'"'s side: unit tests, its qtests, the monitor, grants, a fuzz of FUZZ_SECONDS'
	@echo 'quick T=NAME     rebuild KVM and run the tests NAME (a test or a group); VENDOR=vmx on VMX'
	@echo 'check-debug      the tests that boot, on a host kernel with KASAN, lockdep and the like'
	@echo 'check-faults     on that kernel: each allocation fails in turn, signals come in every call'
	@echo 'soak             for long, and what is left of it afterwards:'
	@echo '  soak-guests    16 threads and 10^6 crossings while modules come and go; QEMU killed at any moment'
	@echo '  soak-machines  10^4 machines created, sealed and destroyed'
	@echo 'coverage         what tests reach of our files, line by line:'
	@echo '  coverage-gmcc  of gmcc: its own tests'
	@echo '  coverage-qemu  of QEMU'"'"'s side: its own tests'
	@echo '  coverage-kvm   of KVM'"'"'s: the raw attacks, a guest, fuzz-kvm and check-faults, two minutes each'
	@echo 'check-selftests  KVM'"'"'s own tests, on the unpatched KVM and on ours: do they differ?'
	@echo 'check-style      checkpatch, sparse and the compiler with W=1 on kvm-gm/'
	@echo 'check-model      search a model of views, activations and crossings for a way to break I1, I2, I3'
	@echo 'check-gmcc-corpus  gmcc on every stock module of the kernel: guarded and verified, or why not'
	@echo 'fuzz             FUZZ_RUNS executions (10^6) or FUZZ_SECONDS of each fuzzer; what they reached, and what they'
	@echo '                 found: then the exit status is not 0'
	@echo '  fuzz-gmcc      gmcc: the guarding of modules, readers of images and of BTF'
	@echo '  fuzz-qemu      what QEMU reads of images and signatures; the device in a whole QEMU'
	@echo '  fuzz-kvm       KVM'"'"'s ioctls and gates, on the kernel of check-debug'
	@echo 'check-mutants    remove each security check of KVM, of QEMU'"'"'s side and of gmcc verify in turn: a test'
	@echo '                 must notice. M=NAME: that one (mutants is the same); M=kvm, M=qemu, M=gmcc: one side'
	@echo 'bench-idle-cost  what a guest without guarded modules pays, in instructions'
	@echo 'bench-crossing   what a border crossing costs, in instructions'
	@echo 'bench-nic        what a guarded network driver costs for each packet, in instructions'
	@echo 'bench-mwait      what an idle vCPU costs that sleeps by HLT, by MWAIT, and by the guarded mwait_idle'
	@echo 'install          gmcc, the tools, gm-load, QEMU and the KVM modules; DESTDIR is honoured'
	@echo 'install-guest    gm-load, its udev rule and unit; DESTDIR may be a guest'"'"'s root'
	@echo 'clean distclean  drop build/; drop config.mk as well'
	@echo 'cache-clean      drop the cache outside the clone'

# --- set-up ---------------------------------------------------------------

deps:
	rig/install-packages
	./configure $(CONFIGURE_ARGUMENTS)
	rig/fetch-linux
	rig/fetch-qemu

# These do their own set-up. What configure chooses may change with it, so the
# work itself is a second make.
demo demo-nic demo-mwait check check-attacks check-ept check-loads check-loads-6.1 check-nic check-qemu \
	bench-idle-cost bench-crossing bench-nic bench-mwait: deps
	$(MAKE) run-$@

configured:
	@[ '$(COMPLETE)' = yes ] || { echo "packages are missing: run make deps" >&2; exit 1; }

# --- build ----------------------------------------------------------------

all: kvm-gm kvm-stock qemu qemu-parts gmcc tools guest images load-images raw-attacks l1-tools

kvm-gm kvm-stock: configured
	rig/fetch-linux
	rig/build-kvm $(@:kvm-%=%)

qemu: configured
	rig/fetch-qemu
	rig/build-qemu

# Our tests in QEMU's build, and those of its own that ours could break.
qemu-tests: configured
	rig/fetch-qemu
	rig/build-qemu --tests

# What it takes to test the device in a whole QEMU.
qemu-parts: configured
	rig/fetch-qemu
	rig/build-qemu --parts

gmcc: configured
	$(MAKE) -C gmcc O=$(B)/gmcc all

l1-tools: configured
	$(MAKE) -C rig/l1 O=$(B)/l1

tools: configured
	$(MAKE) -C tools O=$(B)/tools all

guest: configured
	$(MAKE) -C guest O=$(B)/guest KDIR=$(KERNEL_HEADERS) all attack absorb

raw-attacks: configured
	$(MAKE) -C kvm-gm/tests O=$(B)/raw-attacks

# A stock driver of Intel's network cards.
stock = $(firstword $(wildcard $(KERNEL_MODULES)/kernel/drivers/net/ethernet/intel/$(1)/$(1).ko*))

# What they absorb.
absorbed = --absorb $(B)/guest/absorb/gm_net.ko,$(B)/guest/absorb/gm_devices.ko

guard = $(GMCC) guard --btf $(KERNEL_HEADERS)/vmlinux $(3) -o $(IMAGES)/$(1).unsigned.ko $(2) && \
	$(GMCC) sign --key $(B)/keys/signer.key --cert $(B)/keys/signer.crt \
		-o $(IMAGES)/$(1).gm.ko $(IMAGES)/$(1).unsigned.ko

images: gmcc guest
	rig/make-keys $(B)/keys
	mkdir -p $(IMAGES)
	$(call guard,dummy,$(DUMMY))
	$(call guard,gm_stray,$(B)/guest/attack/gm_stray.ko)
	$(call guard,gm_parts,$(B)/guest/attack/gm_parts.ko)
	$(call guard,gm_lends,$(B)/guest/attack/gm_lends.ko,--absorb $(B)/guest/absorb/gm_net.ko)
	$(call guard,gm_order,$(B)/guest/attack/gm_order.ko,--absorb $(B)/guest/absorb/gm_net.ko)
	$(call guard,gm_probe,$(B)/guest/attack/gm_probe.ko)
	$(call guard,gm_pages,$(B)/guest/attack/gm_pages.ko)
	$(call guard,gm_soak,$(B)/guest/attack/gm_soak.ko)
	$(call guard,e1000e,$(call stock,e1000e),--privilege mmio=8086:10d3 $(absorbed))
	$(call guard,igb,$(call stock,igb),--privilege mmio=8086:10c9 $(absorbed))
	$(call guard,e1000,$(call stock,e1000),--privilege mmio=8086:100e --privilege pio=0-0xffff \
		$(absorbed))
	GMCC_KEY=$(B)/keys/signer.key GMCC_CERT=$(B)/keys/signer.crt \
		$(MAKE) -C guest O=$(B)/guest KDIR=$(KERNEL_HEADERS) GMCC=$(GMCC) mwait_idle
	cp $(B)/guest/mwait_idle/mwait_idle.gm.ko $(IMAGES)/

# The modules of rig/loads.toml.
load-images: images
	$(RIG) load-images

guest-kernel: configured
	rig/fetch-guest-kernel

load-images-6.1: images guest-kernel
	$(RIG) load-images --guest-kernel 6.1

# --- test -----------------------------------------------------------------

run-demo: all
	rig/demo

run-demo-nic: kvm-gm qemu gmcc guest images
	rig/demo-nic

run-demo-mwait: kvm-gm qemu gmcc guest images
	rig/demo-mwait

run-check: all
	$(RIG) test --beside

# On hardware with VMX all of the table runs there; else a set of it in Bochs.
run-check-ept: kvm-gm kvm-stock qemu gmcc guest images raw-attacks l1-tools
	$(RIG) test --vendor vmx --set $(if $(FULL),full,default) --beside

run-check-attacks: kvm-gm qemu guest images raw-attacks
	$(RIG) test attacks raw

run-check-nic: kvm-gm qemu guest images
	$(RIG) test nic

run-check-loads: kvm-gm qemu guest load-images raw-attacks
	$(RIG) test loads

run-check-loads-6.1: kvm-gm qemu guest load-images-6.1 raw-attacks
	$(RIG) test --guest-kernel 6.1 loads

run-check-qemu: kvm-gm kvm-stock qemu-tests qemu-parts guest load-images raw-attacks
	$(RIG) test qemu bad-input grants lifecycle guest

run-bench-idle-cost run-bench-crossing: kvm-gm kvm-stock qemu
	bench/$(@:run-bench-%=%)

run-bench-nic: kvm-gm kvm-stock qemu guest images
	bench/nic

run-bench-mwait: kvm-gm kvm-stock qemu guest images
	bench/mwait

check-gmcc-corpus: gmcc
	GMCC=$(GMCC) gmcc/tests/corpus --jobs $(JOBS) --btf $(KERNEL_HEADERS)/vmlinux $(KERNEL_MODULES)

check-model: configured
	model/check $(M)

# QEMU's side needs nothing that is built before but QEMU's parts, gmcc nothing at all.
check-mutants mutants: $(if $(filter-out gmcc,$(or $(M),all)),qemu-parts) \
		$(if $(filter-out qemu gmcc,$(or $(M),all)),qemu guest images raw-attacks,configured)
	$(RIG) mutants $(M)

fuzz-gmcc: configured
	$(MAKE) -C gmcc O=$(B)/gmcc fuzz

fuzz-qemu: gmcc qemu-parts
	$(MAKE) -C qemu-gm/tests O=$(B)/qemu-fuzz PARTS=$(B)/qemu-parts GMCC=$(GMCC) fuzz

# All of them run, whatever one has found.
fuzz:
	$(MAKE) -k fuzz-gmcc fuzz-qemu fuzz-kvm

quick: kvm-gm raw-attacks l1-tools
	$(RIG) test $(if $(VENDOR),--vendor $(VENDOR)) $(T)

# --- checks that take longer, or look at the code --------------------------

check-debug check-selftests check-style: deps
	$(MAKE) run-$@

debug-kernel: configured
	rig/build-debug-kernel

kvm-gm-debug kvm-stock-debug: debug-kernel
	rig/fetch-linux
	rig/build-kvm --debug $(@:kvm-%-debug=%)

run-check-debug: kvm-gm-debug kvm-stock-debug qemu guest images raw-attacks
	$(RIG) test --l1-kernel=debug boot chain attacks raw policy bad-input stress

kvm-gm-coverage: debug-kernel
	rig/fetch-linux
	rig/build-kvm --coverage gm

hammer = $(RIG) hammer $(if $(FUZZ_SECONDS),--seconds $(FUZZ_SECONDS)) $(if $(FUZZ_RUNS),--runs $(FUZZ_RUNS))

fuzz-kvm: kvm-gm-debug qemu raw-attacks
	$(hammer) --l1-kernel=debug-fast fuzz-ioctls fuzz-gates

check-faults: kvm-gm-debug qemu raw-attacks
	$(RIG) hammer --l1-kernel=debug faults signals

soak-guests: kvm-gm qemu guest images raw-attacks
	$(RIG) soak

soak-machines: kvm-gm qemu raw-attacks
	$(RIG) hammer cycles

soak: soak-guests soak-machines

coverage-gmcc: configured
	GMCC_MODULES=$(KERNEL_MODULES)/kernel GMCC_BTF=$(KERNEL_HEADERS)/vmlinux $(MAKE) -C gmcc O=$(B)/gmcc coverage

coverage-qemu: qemu-parts
	$(MAKE) -C qemu-gm/tests O=$(B)/qemu-unit PARTS=$(B)/qemu-parts coverage

# What takes a machine comes last.
coverage: coverage-gmcc coverage-qemu coverage-kvm

coverage-kvm: kvm-gm-coverage qemu guest images raw-attacks
	$(RIG) hammer --l1-kernel=debug --coverage --seconds 120 fuzz-ioctls fuzz-gates faults signals

selftests: configured
	rig/build-selftests

run-check-selftests: kvm-gm kvm-stock qemu selftests
	$(RIG) selftests $(T)

run-check-style: configured
	rig/check-style

.PHONY: kvm-gm-coverage fuzz-kvm check-faults soak soak-guests soak-machines coverage coverage-gmcc coverage-qemu coverage-kvm
.PHONY: check-debug check-selftests check-style debug-kernel kvm-gm-debug kvm-stock-debug \
	selftests run-check-debug run-check-selftests run-check-style

# --- install, clean -------------------------------------------------------

install: all install-built
	[ -n '$(DESTDIR)' ] || depmod $(KERNEL_RELEASE)

# The same, of what is built.
install-built: install-guest
	$(MAKE) -C gmcc O=$(B)/gmcc prefix=$(PREFIX) DESTDIR=$(DESTDIR) install
	$(MAKE) -C tools O=$(B)/tools prefix=$(PREFIX) DESTDIR=$(DESTDIR) install
	install -D -m 755 $(B)/qemu/qemu-system-x86_64 \
		$(DESTDIR)$(PREFIX)/bin/qemu-system-x86_64-gm
	install -D -m 644 -t $(DESTDIR)/lib/modules/$(KERNEL_RELEASE)/updates \
		$(B)/kvm-modules/gm/*.ko

# What belongs into a guest, whose file system DESTDIR may be.
install-guest: configured
	$(MAKE) -C guest O=$(B)/guest prefix=$(PREFIX) DESTDIR=$(DESTDIR) install

clean:
	rm -rf build

distclean: clean
	rm -f config.mk
	@echo "Downloads and shared builds stay in the cache: make cache-clean drops them."

cache-clean:
	rig/clean-cache

.PHONY: all help deps demo demo-nic run-demo-nic demo-mwait run-demo-mwait check check-nic run-check-nic run-bench-nic bench-mwait run-bench-mwait check-attacks check-gmcc-corpus check-model coverage-gmcc fuzz fuzz-gmcc fuzz-qemu bench-idle-cost bench-crossing bench-nic configured kvm-gm \
	kvm-stock qemu qemu-parts gmcc tools l1-tools guest images load-images raw-attacks run-demo run-check \
	run-check-attacks check-ept run-check-ept check-qemu run-check-qemu qemu-tests check-loads run-check-loads check-loads-6.1 run-check-loads-6.1 guest-kernel load-images-6.1 \
	run-bench-idle-cost run-bench-crossing quick mutants check-mutants install install-built install-guest clean distclean cache-clean
