# The user's commands. `make help` lists them.

PROFILE ?= release
KERNEL  ?= target/kernel/siso_os
IMAGE   ?= target/siso_os.img
DEVICE  ?=
NAME    ?=
WX      ?=
CMDLINE ?=
RAMDISK ?=
SERIAL  ?= auto
QUIET   ?=
MANIFEST ?=
FAULTS  ?=
QEMU    ?= qemu-system-x86_64
ISO     ?= target/siso_os.iso
GDB     ?= gdb
PEERS   ?=
SAMPLE  ?=
SEED    ?=
BIOS    ?=
DOCS    ?=
LAB     ?=
JSON    ?=
HANDOUT ?=

# Take these texts literally, without expanding them as make would. NAME counts
# only on the command line, because some systems have a variable of that name.
override CMDLINE := $(value CMDLINE)
override LAB     := $(value LAB)
override HANDOUT := $(value HANDOUT)
override NAME    := $(if $(filter command,$(firstword $(origin NAME))),$(value NAME))

export HANDOUT LAB QEMU QEMU_FLAGS CMDLINE RAMDISK MANIFEST NAME FAULTS

siso   := tools/siso
# The image options: what goes into an image besides the kernel.
options := --serial "$(SERIAL)" $(if $(QUIET),--quiet) $(if $(WX),--wx) $(if $(CMDLINE),--command-line "$$CMDLINE") \
    $(if $(RAMDISK),--ramdisk "$$RAMDISK") $(if $(MANIFEST),--manifest "$$MANIFEST")
# Debian has sfdisk here, which not every PATH includes.
export PATH := $(PATH):/usr/sbin:/sbin
# The browser that opens the tour's page in a test.
chromium := $(shell command -v chromium || command -v chromium-browser || \
    command -v google-chrome)
# Skip the tests that this machine cannot run.
skip   := $(shell test -r /dev/kvm -a -w /dev/kvm || echo --skip on_kvm) \
    $(shell PATH=$$PATH:/usr/sbin:/sbin; losetup --find >/dev/null 2>&1 && \
        command -v mkfs.ext4 >/dev/null && unshare --mount true 2>/dev/null || \
        echo --skip on_loop_devices::) \
    $(if $(chromium),,--skip on_chromium)
# One test more at a time than there are CPUs, as many of them wait for a guest.
threads := --test-threads $(shell expr 1 + `getconf _NPROCESSORS_ONLN || echo 1`)
# The program that runs tests and shows what of the loader they leave out.
build_coverage = tools/host-cargo build -p bench --bin coverage \
    -Z unstable-options --artifact-dir $(CURDIR)/target/bin
# The labs and their grader.
build_labs = tools/host-cargo build --package siso-labs --quiet -Z unstable-options \
    --artifact-dir $(CURDIR)/target/bin
# Build this project's kernel first; use any other kernel as it is.
kernel := $(if $(filter $(KERNEL),target/kernel/siso_os),kernel)

.PHONY: run image usb iso new install test test-course test-tour test-book test-labs coverage mutants fuzz faults lint debug gdb disasm size bench tour screenshot book site explain lab hint grade watch handout doctor clean help setup kernel kernels

# The programs that a target needs, by doctor's groups. They are installed first.
run tour screenshot grade watch: needs := run
test test-course faults coverage mutants: needs := run test
debug:          needs := run debug
iso:            needs := iso
bench:          needs := run
# The same code as a release build, with line numbers.
tour:           PROFILE := tour
# A debug build also has line numbers for the kernel.
debug disasm:   PROFILE := dev

run: setup $(kernel)            ## boot the kernel in QEMU
	@$(siso) run $(KERNEL) $(options)

image: setup $(kernel)          ## build a disk image: KERNEL=elf IMAGE=path
	@$(siso) build $(KERNEL) -o $(IMAGE) $(options)

usb: setup $(kernel)            ## write a bootable USB stick (Linux only): DEVICE=/dev/...
	@$(siso) usb $(KERNEL) $(DEVICE) $(options)

iso: setup $(kernel)            ## build a bootable CD image: ISO=path
	@mkdir -p target/iso
	@$(siso) build $(KERNEL) -o target/iso/siso_os.img $(options)
	xorriso -as mkisofs -quiet -hard-disk-boot -b siso_os.img -o $(ISO) target/iso

new: setup                      ## create a new kernel next to this folder: NAME=name
	@test -n "$$NAME" || { echo "NAME is missing, as in: make new NAME=my_kernel" >&2; exit 1; }
	@case "$$NAME" in */*) ;; *) NAME="../$$NAME" ;; esac; $(siso) new "$$NAME"
	@command -v siso-image >/dev/null || echo "First install siso-image, once: make install"

install: setup                  ## install siso-image for other kernels, in ~/.cargo/bin
	tools/host-cargo install

test: setup lint kernels        ## boot every kernel and check it: loader, image builder, kernel
	cargo test
	$(build_coverage)
	target/bin/coverage tools/host-cargo test -p siso-image -- --include-ignored $(threads) $(skip) --skip tour::
	tools/host-cargo test --workspace --exclude siso-image --exclude siso-book --exclude siso-labs
	tools/host-cargo test -p siso-book --lib --test pages --test lines --test explain

test-course: setup kernels      ## test the tour, the experiments of the book and the labs
	tools/host-cargo test -p siso-image -p siso-book -p siso-labs --no-run
	$(MAKE) --no-print-directory --jobs test-tour test-book test-labs
	@$(if $(chromium),:,echo "1 test was left out: the_page_works_on_chromium (Chromium is missing)")

# The parts of `make test-course`, which run side by side: many tests wait.
test-tour:
	tools/host-cargo test -p siso-image -- --include-ignored $(threads) $(skip) tour::

test-book:
	tools/host-cargo test -p siso-book --test blocks --test tries

test-labs:
	tools/host-cargo test -p siso-labs

coverage: setup kernels         ## run the loader's tests, show what they leave out
	$(build_coverage)
	target/bin/coverage tools/host-cargo test --test suite -- --include-ignored $(threads) $(skip)

mutants: setup kernels          ## change the loader, see which test notices: SAMPLE=300
	tools/host-cargo build -p bench --bin mutants \
	    -Z unstable-options --artifact-dir $(CURDIR)/target/bin
	target/bin/mutants $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))

fuzz: setup                     ## feed random input to the image builder (needs cargo-fuzz)
	@tools/fuzz/run

faults: setup kernels           ## run the fault tests at full length: FAULTS="groups"
	@tools/faults --include-ignored $(threads) $(skip)

lint: kernel                    ## check formatting and lints
	cargo fmt --check
	tools/host-cargo fmt --all --check
	rustfmt --check --edition 2024 docs/labs/*/*.rs
	cargo clippy --examples --tests -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --no-deps --quiet
	tools/host-cargo clippy --workspace --all-targets -- --deny warnings
	tools/host-cargo clippy --package siso-book --test site -- --deny warnings
	cd tests/kernels && cargo fmt --check
	cd tests/kernels && cargo clippy --target-dir ../../target/kernels/build -- --deny warnings
	cd tests/series && cargo fmt --check
	cd tests/series && cargo clippy --target-dir ../../target/series -- --deny warnings
	cd tests/drop_in && cargo fmt --check
	cd tests/drop_in && cargo clippy --all-features --target-dir ../../target/drop_in -- --deny warnings

debug: setup $(kernel)          ## boot, then wait for `make gdb` in another terminal
	@echo "QEMU is waiting on port 1234. Run 'make gdb' in another terminal."
	@$(siso) run $(KERNEL) $(options) -S -gdb tcp:127.0.0.1:1234

gdb: setup                      ## debug the kernel that `make debug` started
	@$(siso) loader -o target/loader.elf
	@echo "Try: hbreak *0x7c00 (stage 1) or hbreak *_start (the kernel), continue,"
	@echo "stepi, siso-next (steps over calls), siso-here (shows the location again)."
	@$(GDB) -q -x tools/gdb/siso.py $(KERNEL) \
	    -ex 'add-symbol-file target/loader.elf' \
	    -ex 'set tcp auto-retry off' -ex 'target remote :1234'

disasm: setup $(kernel)         ## disassemble the loader and the kernel, with source lines
	@$(siso) loader -o target/loader.elf
	@tools/disasm target/loader.elf $(KERNEL)

size: setup                     ## show used and free bytes in both stages
	@$(siso) size

bench: setup kernel             ## count instructions and bytes: PEERS=1 DOCS=1
	cargo build -Z unstable-options --artifact-dir target/kernels/dev
	cargo build --examples --release -Z unstable-options --artifact-dir target/kernels/release
	tools/host-cargo build -p bench --release \
	    -Z unstable-options --artifact-dir $(CURDIR)/target/bin
	target/bin/bench $(if $(PEERS),--peers) $(if $(DOCS),--docs)

tour: setup $(kernel)           ## show a boot instruction by instruction: KERNEL=elf BIOS=setting
	@$(siso) tour $(KERNEL) -o target/tour $(options) $(if $(BIOS),--bios "$(BIOS)")

screenshot: setup kernel        ## save the screenshots in the docs
	cargo build --example stack_overflow -Z unstable-options --artifact-dir target/kernels/dev
	@$(siso) screenshot target/kernel/siso_os -o docs/screen.png
	@$(siso) screenshot target/kernels/dev/stack_overflow -o docs/exception.png

book: setup kernel              ## build the course's book in target/book
	@tools/book/build

# The book's figures are those of the release build, not of the tour's kernel.
site: tour                      ## join book, tour and API in target/site/index.html
	@$(MAKE) --no-print-directory kernel
	@tools/book/site
	@$(if $(chromium),tools/host-cargo test --package siso-book --test site --quiet -- $(threads),\
	    echo "3 tests were left out: tools/book/tests/site.rs (Chromium is missing)")

# An IMAGE that is given is explained as it is.
explain: setup $(if $(filter $(IMAGE),target/siso_os.img),image)  ## explain each byte of sector 0: IMAGE=path
	@tools/host-cargo build --package siso-book --quiet -Z unstable-options \
	    --artifact-dir $(CURDIR)/target/bin
	@target/bin/siso-book explain $(IMAGE)

# A program reads what comes out then.
ifneq ($(JSON),)
.SILENT: kernel
endif

lab: setup $(if $(LAB),kernel)   ## begin a lab, or list them: LAB=name
	@$(build_labs)
	@target/bin/siso-labs lab "$$LAB"

hint: setup                     ## show the next hint of a lab: LAB=name
	@$(build_labs)
	@target/bin/siso-labs hint "$$LAB"

grade: setup kernel             ## grade a lab, or all: LAB=name JSON=1
	@$(build_labs)
	@target/bin/siso-labs grade $(if $(JSON),--json) "$$LAB"

watch: setup kernel             ## grade a lab after each save: LAB=name
	@$(build_labs)
	@target/bin/siso-labs watch "$$LAB"

handout: setup kernel           ## make a student's copy of the labs: HANDOUT=folder
	@test -n "$$HANDOUT" || { echo "HANDOUT is missing, as in: make handout HANDOUT=../labs" >&2; exit 1; }
	@$(build_labs)
	@target/bin/siso-labs handout "$$HANDOUT"

doctor:                         ## show missing programs and how to install them
	@tools/doctor

clean:                          ## remove all build output
	rm -rf target

help:                           ## show this help
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 19
	@echo
	@echo "Variables:"
	@echo "  KERNEL=elf               the kernel to boot (default: this project's)"
	@echo "  PROFILE=dev|release      the profile of this project's kernel"
	@echo "  IMAGE=path               the disk image that 'make image' writes"
	@echo "  WX=1                     allow pages that are both writable and executable"
	@echo "  CMDLINE=\"text\"           pass a command line to the kernel"
	@echo "  RAMDISK=file             pass a file to the kernel"
	@echo "  SERIAL=auto|on|off       whether the loader uses the serial line"
	@echo "  QUIET=1                  let the loader print only errors"
	@echo "  MANIFEST=Cargo.toml      read the kernel's stack size and addresses from there"
	@echo "  QEMU=program             the QEMU to run"
	@echo "  QEMU_FLAGS=\"flags\"       more arguments for QEMU"
	@echo "  SAMPLE=count SEED=number how many mutants to try, and which"
	@echo "  LAB=name                 the lab"
	@echo "  TIMEOUT=seconds          the time limit of a run without a display"

setup:
	@tools/doctor --install build $(needs)

kernel: setup
	cargo build --profile $(PROFILE) -Z unstable-options --artifact-dir target/kernel

# The kernels that the tests boot: this project's kernel and the examples in both
# profiles, and the kernels in tests/kernels.
kernels: setup
	cargo build --profile tour -Z unstable-options --artifact-dir target/kernels/tour
	cargo build --examples --bins -Z unstable-options --artifact-dir target/kernels/dev
	cargo build --examples --bins --release -Z unstable-options --artifact-dir target/kernels/release
	cd tests/kernels && cargo build --workspace --exclude pie --release \
	    --target-dir ../../target/kernels/build \
	    -Z unstable-options --artifact-dir ../../target/kernels
	cd tests/kernels && cargo build --package pie --target x86_64-unknown-none --release \
	    --target-dir ../../target/kernels/build \
	    -Z unstable-options --artifact-dir ../../target/kernels
