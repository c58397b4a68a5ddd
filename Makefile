# The front door. `make help` lists what there is.

PROFILE ?= release
KERNEL  ?= target/kernel/siso_os
IMAGE   ?= target/siso_os.img
DEVICE  ?=
NAME    ?=
WX      ?=
CMDLINE ?=
RAMDISK ?=
MANIFEST ?=
QEMU    ?= qemu-system-x86_64
ISO     ?= target/siso_os.iso
GDB     ?= gdb
PEERS   ?=
DOCS    ?=

# What a user types is a text, not more of this file; some systems have a NAME.
override CMDLINE := $(value CMDLINE)
override NAME    := $(if $(filter command,$(firstword $(origin NAME))),$(value NAME))

export QEMU QEMU_FLAGS CMDLINE RAMDISK MANIFEST NAME

siso   := tools/siso
# What goes into an image besides the kernel.
options := $(if $(WX),--wx) $(if $(CMDLINE),--command-line "$$CMDLINE") \
    $(if $(RAMDISK),--ramdisk "$$RAMDISK") $(if $(MANIFEST),--manifest "$$MANIFEST")
# Where Debian keeps sfdisk, which not every PATH has.
export PATH := $(PATH):/usr/sbin:/sbin
# Tests that this machine cannot run are left out, and counted as such.
skip   := $(shell test -r /dev/kvm -a -w /dev/kvm || echo --skip on_kvm) \
    $(shell PATH=$$PATH:/usr/sbin:/sbin; losetup --find >/dev/null 2>&1 && \
        command -v mkfs.ext4 >/dev/null && unshare --mount true 2>/dev/null || \
        echo --skip on_loop_devices::)
# Our own kernel is built first; another one is taken as it is.
kernel := $(if $(filter $(KERNEL),target/kernel/siso_os),kernel)

.PHONY: run image usb iso new test matrix lint debug gdb list size bench picture doctor clean help setup kernel kernels

# What is missing is got before anything else, all at once.
run picture: needs := run
test matrix: needs := run test
debug:       needs := run debug
iso:         needs := iso
bench:       needs := run
# A debug build has line numbers for the kernel, too.
debug list:  PROFILE := dev

run: setup $(kernel)            ## boot the kernel in QEMU
	@$(siso) run $(KERNEL) $(options)

image: setup $(kernel)          ## make a disk image: KERNEL=elf IMAGE=path
	@$(siso) build $(KERNEL) -o $(IMAGE) $(options)

usb: setup $(kernel)            ## write a bootable stick, on Linux: DEVICE=/dev/...
	@$(siso) usb $(KERNEL) $(DEVICE) $(options)

iso: setup $(kernel)            ## wrap a disk image for a CD-ROM: ISO=path
	@mkdir -p target/iso
	@$(siso) build $(KERNEL) -o target/iso/siso_os.img $(options)
	xorriso -as mkisofs -quiet -hard-disk-boot -b siso_os.img -o $(ISO) target/iso

new: setup                      ## make a new kernel beside this folder: NAME=name
	@test -n "$$NAME" || { echo "Which NAME? make new NAME=my_kernel" >&2; exit 1; }
	@case "$$NAME" in */*) ;; *) NAME="../$$NAME" ;; esac; $(siso) new "$$NAME"
	@command -v siso-image >/dev/null || \
	    echo "They need siso-image, once: cargo install --path tools"

test: setup lint kernels        ## boot everything there is to boot, and check it
	cargo test
	tools/host-cargo test -- --include-ignored $(skip)
	HOST_CRATE=bench tools/host-cargo test

matrix: setup kernels           ## all of the long tests, as a table: half an hour
	@tools/matrix --include-ignored $(skip)

lint: kernel                    ## check format and lints
	cargo fmt --check
	tools/host-cargo fmt --check
	cargo clippy --examples --tests -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --no-deps --quiet
	tools/host-cargo clippy --all-targets -- --deny warnings
	HOST_CRATE=bench tools/host-cargo fmt --check
	HOST_CRATE=bench tools/host-cargo clippy --all-targets -- --deny warnings
	cd tests/kernels && cargo fmt --check
	cd tests/kernels && cargo clippy --target-dir ../../target/kernels/build -- --deny warnings
	cd tests/series && cargo fmt --check
	cd tests/series && cargo clippy --target-dir ../../target/series -- --deny warnings

debug: setup $(kernel)          ## boot and wait for `make gdb` in another terminal
	@echo "QEMU waits on port 1234 for 'make gdb' in another terminal."
	@$(siso) run $(KERNEL) $(options) -S -gdb tcp:127.0.0.1:1234

gdb: setup                      ## debug what `make debug` has started
	@$(siso) loader -o target/loader.elf
	@echo "Try: hbreak *0x7c00 (stage 1) or hbreak *_start (the kernel), continue,"
	@echo "stepi, siso-next (over calls), siso-here (the place once more)."
	@$(GDB) -q -x tools/gdb/siso.py $(KERNEL) \
	    -ex 'add-symbol-file target/loader.elf' \
	    -ex 'set tcp auto-retry off' -ex 'target remote :1234'

list: setup $(kernel)           ## disassembly of loader and kernel, with their source
	@$(siso) loader -o target/loader.elf
	@tools/disasm target/loader.elf $(KERNEL)

size: setup                     ## bytes used and free in both stages
	@$(siso) size

bench: setup kernel             ## count instructions and bytes: PEERS=1, DOCS=1
	cargo build -Z unstable-options --artifact-dir target/kernels/dev
	cargo build --examples --release -Z unstable-options --artifact-dir target/kernels/release
	HOST_CRATE=bench tools/host-cargo build --release \
	    -Z unstable-options --artifact-dir $(CURDIR)/target/bin
	target/bin/bench $(if $(PEERS),--peers) $(if $(DOCS),--docs)

picture: setup kernel           ## take the pictures of the screen for the docs
	cargo build --example stack_overflow -Z unstable-options --artifact-dir target/kernels/dev
	@$(siso) picture target/kernel/siso_os -o docs/screen.png
	@$(siso) picture target/kernels/dev/stack_overflow -o docs/exception.png

doctor:                         ## what is missing here, and how to get it
	@tools/doctor

clean:                          ## remove everything that was built
	rm -rf target

help:                           ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18
	@echo
	@echo "  PROFILE=dev|release, KERNEL=elf, IMAGE=path, WX=1 (allow writable code),"
	@echo "  CMDLINE=\"text\" and RAMDISK=file (for the kernel to read), MANIFEST=Cargo.toml"
	@echo "  (of a kernel that asks for its stack and addresses there), QEMU=program,"
	@echo "  QEMU_FLAGS=..., TIMEOUT=seconds can be set behind each."

setup:
	@tools/doctor --install build $(needs)

kernel: setup
	cargo build --profile $(PROFILE) -Z unstable-options --artifact-dir target/kernel

# What the tests boot: our kernel and the examples in both profiles, and the
# kernels of tests/kernels.
kernels: setup
	cargo build --examples --bins -Z unstable-options --artifact-dir target/kernels/dev
	cargo build --examples --bins --release -Z unstable-options --artifact-dir target/kernels/release
	cd tests/kernels && cargo build --workspace --exclude pie --release \
	    --target-dir ../../target/kernels/build \
	    -Z unstable-options --artifact-dir ../../target/kernels
	cd tests/kernels && cargo build --package pie --target x86_64-unknown-none --release \
	    --target-dir ../../target/kernels/build \
	    -Z unstable-options --artifact-dir ../../target/kernels
