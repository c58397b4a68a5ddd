# The front door. `make help` lists what there is.

PROFILE ?= release
KERNEL  ?= target/kernel/siso_os
IMAGE   ?= target/siso_os.img
DEVICE  ?=
WX      ?=
QEMU    ?= qemu-system-x86_64
TIMEOUT ?= 60
ISO     ?= target/siso_os.iso
GDB     ?= gdb
PEERS   ?=
DOCS    ?=

export QEMU QEMU_FLAGS TIMEOUT

siso   := tools/siso
wx     := $(if $(WX),--wx)
# Tests on KVM count as ignored where there is none.
kvm    := $(shell test -r /dev/kvm -a -w /dev/kvm && echo --include-ignored)
# Where Debian keeps sfdisk, which not every PATH has.
export PATH := $(PATH):/usr/sbin:/sbin
# Our own kernel is built first; another one is taken as it is.
kernel := $(if $(filter $(KERNEL),target/kernel/siso_os),kernel)

.PHONY: run image usb iso test matrix lint debug gdb list size bench picture doctor clean help kernel kernels

run: $(kernel)                  ## boot the kernel in QEMU
	@tools/doctor --install build run
	@$(siso) run $(KERNEL) $(wx)

image: $(kernel)                ## make a disk image: KERNEL=elf IMAGE=path
	@$(siso) build $(KERNEL) -o $(IMAGE) $(wx)

usb: $(kernel)                  ## write a bootable stick, on Linux: DEVICE=/dev/...
	@$(siso) usb $(KERNEL) $(DEVICE) $(wx)

iso: $(kernel)                  ## wrap a disk image for a CD-ROM: ISO=path
	@tools/doctor --install build iso
	@mkdir -p target/iso
	@$(siso) build $(KERNEL) -o target/iso/siso_os.img $(wx)
	xorriso -as mkisofs -quiet -hard-disk-boot -b siso_os.img -o $(ISO) target/iso

test: lint kernels              ## boot everything there is to boot, and check it
	tools/host-cargo test -- $(kvm)

matrix: kernels                 ## all of the long tests, as a table: half an hour
	@tools/matrix $(kvm)

lint: kernel                    ## check format and lints
	cargo fmt --check
	tools/host-cargo fmt --check
	cargo clippy --examples -- --deny warnings
	tools/host-cargo clippy --all-targets -- --deny warnings
	cd tests/kernels && cargo fmt --check
	cd tests/kernels && cargo clippy --target-dir ../../target/kernels/build -- --deny warnings

debug: $(kernel)                ## boot and wait for `make gdb` in another terminal
	@tools/doctor --install build run debug
	@$(siso) run $(KERNEL) $(wx) -S -s

gdb:                            ## debug what `make debug` has started
	@$(siso) loader -o target/loader.elf
	$(GDB) -q -x tools/gdb/siso.py $(KERNEL) \
	    -ex 'add-symbol-file target/loader.elf' -ex 'target remote :1234'

list: $(kernel)                 ## disassembly of loader and kernel, with their source
	@$(siso) loader -o target/loader.elf
	@tools/list target/loader.elf $(KERNEL)

size:                           ## bytes used and free in both stages
	@tools/doctor --install build
	@$(siso) size

bench: kernel                   ## count instructions and bytes: PEERS=1, DOCS=1
	@tools/doctor --install build run
	cargo build -Z unstable-options --artifact-dir target/kernels/dev
	cargo build --examples --release -Z unstable-options --artifact-dir target/kernels/release
	HOST_CRATE=bench tools/host-cargo build --release \
	    -Z unstable-options --artifact-dir $(CURDIR)/target/bin
	target/bin/bench $(if $(PEERS),--peers) $(if $(DOCS),--docs)

picture: $(kernel)              ## take the picture of the screen for the README
	@$(siso) picture $(KERNEL) -o docs/screen.png

doctor:                         ## what is missing here, and how to get it
	@tools/doctor

clean:                          ## remove everything that was built
	rm -rf target

help:                           ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18
	@echo
	@echo "  PROFILE=dev|release, KERNEL=elf, IMAGE=path, WX=1 (allow writable code),"
	@echo "  QEMU=program, QEMU_FLAGS=..., TIMEOUT=seconds can be set behind each."

kernel:
	@tools/doctor --install build
	cargo build --profile $(PROFILE) -Z unstable-options --artifact-dir target/kernel

# What the tests boot: our kernel and the examples in both profiles, and the
# kernels of tests/kernels.
kernels:
	@tools/doctor --install build run test
	cargo build --examples --bins -Z unstable-options --artifact-dir target/kernels/dev
	cargo build --examples --bins --release -Z unstable-options --artifact-dir target/kernels/release
	cd tests/kernels && cargo build --workspace --release \
	    --target-dir ../../target/kernels/build \
	    -Z unstable-options --artifact-dir ../../target/kernels
