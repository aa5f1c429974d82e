# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tests in a whole QEMU, of which only the device's files are built anew: the rest
# is the ordinary build, as rig/build-qemu --parts has left it in PARTS.

PARTS ?= $(TOP)/build/qemu-parts
MACHINE := $(CURDIR)/machine
MACHINE_GM := $(filter-out $(GM)/stubs.c,$(wildcard $(GM)/*.c))
MACHINE_HDRS := $(wildcard $(GM)/*.h machine/*.h) $(UNIT)/gm-test-image.h $(PARTS)/assembled Makefile machine.mk
# The faster one, where it is.
LINKER ?= $(if $(shell command -v ld.lld),lld,bfd)
MACHINE_LIBS := -Wl,--as-needed -pie -Wl,-z,relro -Wl,-z,now $(PARTS)/libqemuutil.a -lrt -lgnutls \
	-lfdt -lz -lslirp -lglib-2.0 -lutil -lm -pthread -fuse-ld=$(LINKER)
# QEMU's own headers are not for -Wextra; QEMU's build is strict with the device's files.
MACHINE_FLAGS := -fPIE -Wall -Werror $(MACHINE_WARNINGS)
# In place of QEMU's own functions, which ask the real KVM.
FAKE := -include $(MACHINE)/fake.h -Dkvm_vm_ioctl=fake_vm_ioctl -Dkvm_vcpu_ioctl=fake_vcpu_ioctl \
	-Dkvm_vm_check_extension=fake_check_extension
# For single files of a flavour. A grant waits for RCU, which takes its time; the fuzzer
# does so now and then. Tests see events as they are sent, before any limit of their rate.
machine-fuzz-privilege := -Ddrain_call_rcu=fake_drain_call_rcu
machine-cov-privilege := $(machine-fuzz-privilege)
machine-test-guest := $(foreach event,sealed unsealed violation,\
	-Dqapi_event_send_gm_$(event)=fake_event_$(event))

$(PARTS)/assembled:
	@echo 'there is no QEMU to test the device in: run rig/build-qemu --parts' >&2; exit 1

# machine_objects FLAVOUR COMPILER FLAGS: of the device and of what all these tests share.
define machine_objects
$(1)_OBJECTS := $$(patsubst $$(GM)/%.c,$$(O)/$(1)/%.o,$$(MACHINE_GM)) \
	$$(addprefix $$(O)/$(1)/,machine-machine.o machine-kvm.o gm-test-image.o)

$$(O)/$(1)/%.o: $$(GM)/%.c $$(MACHINE_HDRS) | $$(O)/$(1)
	$(2) $(3) $$(MACHINE_FLAGS) $$($(1)-$$*) @$$(PARTS)/flags -c -o $$@ $$<

$$(O)/$(1)/kvm.o: $$(GM)/kvm.c $$(MACHINE_HDRS) | $$(O)/$(1)
	$(2) $(3) $$(MACHINE_FLAGS) $$(FAKE) @$$(PARTS)/flags-target -c -o $$@ $$<

$$(O)/$(1)/machine-%.o: machine/%.c $$(MACHINE_HDRS) | $$(O)/$(1)
	$(2) $(3) $$(MACHINE_FLAGS) -iquote $$(GM) @$$(PARTS)/flags-target -c -o $$@ $$<

$$(O)/$(1)/gm-test-image.o: $$(UNIT)/gm-test-image.c $$(MACHINE_HDRS) | $$(O)/$(1)
	$(2) $(3) $$(MACHINE_FLAGS) @$$(PARTS)/flags -c -o $$@ $$<

$$(O)/$(1):
	mkdir -p $$@
endef

$(eval $(call machine_objects,machine-fuzz,$(CLANG),$(FUZZ_SANITIZE)))
$(eval $(call machine_objects,machine-cov,$(CLANG),$(COVER:-fsanitize=fuzzer%=-fsanitize=fuzzer-no-link%)))

$(O)/fuzz-device: $(machine-fuzz_OBJECTS) $(O)/machine-fuzz/machine-fuzz_device.o
	$(CLANG) $(FUZZ) -o $@ $^ $(PARTS)/rest.o $(MACHINE_LIBS)

$(O)/cov-device: $(machine-cov_OBJECTS) $(O)/machine-cov/machine-fuzz_device.o
	$(CLANG) $(COVER) -o $@ $^ $(PARTS)/rest.o $(MACHINE_LIBS)

# All tests are one program, which goes by what it is called (main.c).
MACHINE_SUITES := $(patsubst machine/test_%.c,%,$(wildcard machine/test_*.c))
MACHINE_TESTS := $(MACHINE_SUITES:%=$(O)/test-machine-%)
MACHINE_TEST_PARTS := $(addprefix machine-,main watch card $(MACHINE_SUITES:%=test_%))

# machine_program FLAVOUR PROGRAM FLAGS
define machine_program
$(2): $$($(1)_OBJECTS) $$(MACHINE_TEST_PARTS:%=$$(O)/$(1)/%.o)
	$$(CC) $(3) -o $$@ $$^ $$(PARTS)/rest.o $$(MACHINE_LIBS)
endef

$(eval $(call machine_objects,machine-test,$(CC),$(SANITIZE) $(CFLAGS)))
$(eval $(call machine_program,machine-test,$(O)/test-machine,$(SANITIZE)))

$(MACHINE_TESTS): $(O)/test-machine
	ln -sf $(notdir $<) $@

check-machine: $(MACHINE_TESTS)
	for test in $(MACHINE_TESTS); do $$test || exit 1; done
