# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tests in a whole QEMU, of which only the device's files are built anew: the rest
# is the ordinary build, as rig/build-qemu --parts has left it in PARTS.

PARTS ?= $(TOP)/build/qemu-parts
MACHINE := $(CURDIR)/machine
MACHINE_GM := $(filter-out $(GM)/stubs.c,$(wildcard $(GM)/*.c))
MACHINE_HDRS := $(wildcard $(GM)/*.h machine/*.h) $(UNIT)/gm-test-image.h $(PARTS)/assembled Makefile machine.mk
LINKER ?= bfd
MACHINE_LIBS := -Wl,--as-needed -pie -Wl,-z,relro -Wl,-z,now $(PARTS)/libqemuutil.a -lrt -lgnutls \
	-lfdt -lz -lslirp -lglib-2.0 -lutil -lm -pthread -fuse-ld=$(LINKER)
# QEMU's own headers are not for -Wextra; QEMU's build is strict with the device's files.
MACHINE_FLAGS := -fPIE -Wall -Werror $(MACHINE_WARNINGS)
# In place of QEMU's own functions, which ask the real KVM.
FAKE := -include $(MACHINE)/fake.h -Dkvm_vm_ioctl=fake_vm_ioctl -Dkvm_vcpu_ioctl=fake_vcpu_ioctl \
	-Dkvm_vm_check_extension=fake_check_extension
# A grant waits for RCU, which takes its time; the fuzzer does so now and then.
FUZZ_FAKE := -Ddrain_call_rcu=fake_drain_call_rcu

$(PARTS)/assembled:
	@echo 'there is no QEMU to test the device in: run rig/build-qemu --parts' >&2; exit 1

# machine_objects FLAVOUR COMPILER FLAGS FLAGS-OF-PRIVILEGE: of the device and of what all these tests share.
define machine_objects
$(1)_OBJECTS := $$(patsubst $$(GM)/%.c,$$(O)/$(1)/%.o,$$(MACHINE_GM)) \
	$$(addprefix $$(O)/$(1)/,machine-machine.o machine-kvm.o gm-test-image.o)

$$(O)/$(1)/%.o: $$(GM)/%.c $$(MACHINE_HDRS) | $$(O)/$(1)
	$(2) $(3) $$(MACHINE_FLAGS) @$$(PARTS)/flags -c -o $$@ $$<

$$(O)/$(1)/kvm.o: $$(GM)/kvm.c $$(MACHINE_HDRS) | $$(O)/$(1)
	$(2) $(3) $$(MACHINE_FLAGS) $$(FAKE) @$$(PARTS)/flags-target -c -o $$@ $$<

$$(O)/$(1)/privilege.o: $$(GM)/privilege.c $$(MACHINE_HDRS) | $$(O)/$(1)
	$(2) $(3) $$(MACHINE_FLAGS) $(4) @$$(PARTS)/flags -c -o $$@ $$<

$$(O)/$(1)/machine-%.o: machine/%.c $$(MACHINE_HDRS) | $$(O)/$(1)
	$(2) $(3) $$(MACHINE_FLAGS) -iquote $$(GM) @$$(PARTS)/flags-target -c -o $$@ $$<

$$(O)/$(1)/gm-test-image.o: $$(UNIT)/gm-test-image.c $$(MACHINE_HDRS) | $$(O)/$(1)
	$(2) $(3) $$(MACHINE_FLAGS) @$$(PARTS)/flags -c -o $$@ $$<

$$(O)/$(1):
	mkdir -p $$@
endef

$(eval $(call machine_objects,machine-fuzz,$(CLANG),$(FUZZ_SANITIZE),$(FUZZ_FAKE)))
$(eval $(call machine_objects,machine-cov,$(CLANG),$(COVER:-fsanitize=fuzzer%=-fsanitize=fuzzer-no-link%),$(FUZZ_FAKE)))

$(O)/fuzz-device: $(machine-fuzz_OBJECTS) $(O)/machine-fuzz/machine-fuzz_device.o
	$(CLANG) $(FUZZ) -o $@ $^ $(PARTS)/rest.o $(MACHINE_LIBS)

$(O)/cov-device: $(machine-cov_OBJECTS) $(O)/machine-cov/machine-fuzz_device.o
	$(CLANG) $(COVER) -o $@ $^ $(PARTS)/rest.o $(MACHINE_LIBS)
