//! What the tests share: paths, disk images, and machines.
//!
//! `make kernels` builds the kernels; `make test` includes it.

#![allow(dead_code)] // no test file uses everything

pub mod bad_bios;
pub mod bochs;
pub mod browser;
pub mod kernel_rules;
pub mod looping;
pub mod pages;
pub mod runner;

use siso_image::elf::Kernel;
use siso_image::image::{Image, Options};
use siso_image::layout::STAGE1_BASE;
use siso_image::manifest::Manifest;
use siso_image::qemu::{self, Machine};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A time limit that is long enough for the slowest host.
pub const LONG: Duration = Duration::from_secs(300);
/// QEMU's exit status if a test kernel passes: `0x10 << 1 | 1`.
pub const PASSED: i32 = 33;
/// The device through which the test kernels exit QEMU.
pub const EXIT: [&str; 2] = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"];

/// No network card. Its option ROM takes a twelfth of the time of a boot, and nothing
/// here needs it; the runner's tests have it.
pub const NO_NETWORK: [&str; 2] = ["-nic", "none"];

/// This tree's image builder.
pub const SISO_IMAGE: &str = env!("CARGO_BIN_EXE_siso-image");

/// The top folder of the project.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tools/ has a parent folder")
        .into()
}

/// The ELF file of a kernel: the name of a test kernel, or `dev/NAME` or
/// `release/NAME` for this project's kernel and the examples.
pub fn kernel(name: &str) -> PathBuf {
    let file = top().join("target/kernels").join(name);
    assert!(
        file.exists(),
        "{} does not exist: run `make kernels`",
        file.display()
    );
    file
}

/// Runs the image builder.
pub fn siso_image(arguments: &[&str]) -> Output {
    Command::new(SISO_IMAGE)
        .args(arguments)
        .output()
        .expect("the image builder starts")
}

/// The image of a kernel, made by an image builder.
pub fn image_by(program: &Path, kernel: &Path) -> Vec<u8> {
    let folder = Folder::new();
    let image = folder.0.join("image");
    let output = Command::new(program)
        .args(["build", path(kernel), "-o", path(&image)])
        .output()
        .expect("the image builder starts");
    assert!(output.status.success(), "{output:?}");
    fs::read(image).expect("the image exists")
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// A generator of pseudo-random numbers, which are the same in every run.
pub struct Random(pub u64);

impl Random {
    /// The next number, which is less than `end` (Knuth's linear congruential
    /// generator).
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % end
    }
}

/// A folder that is removed at the end of a test.
pub struct Folder(pub PathBuf, TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary files can be made");
        Folder(folder.path().into(), folder)
    }
}

/// A disk image in its own temporary folder.
pub struct Disk {
    folder: Folder,
    pub path: PathBuf,
}

impl Disk {
    pub fn new(bytes: &[u8]) -> Self {
        let folder = Folder::new();
        let path = folder.0.join("disk.img");
        fs::write(&path, bytes).expect("the disk image can be written");
        Disk { folder, path }
    }

    /// A disk with one of the kernels.
    pub fn of(name: &str) -> Self {
        Disk::new(&image(name))
    }

    /// Boots the disk in QEMU, with more arguments.
    pub fn boot(&self, arguments: &[&str]) -> Machine {
        let disk = qemu::disk(&self.path);
        let all: Vec<&str> = disk
            .iter()
            .map(String::as_str)
            .chain(NO_NETWORK)
            .chain(arguments.iter().copied())
            .collect();
        Machine::start(&all).expect("QEMU starts")
    }
}

/// A field of stage 2's header, which the image builder fills.
pub fn field(image: &[u8], address: u64) -> usize {
    let at = (address - STAGE1_BASE) as usize;
    u32::from_le_bytes(image[at..][..4].try_into().expect("four bytes")) as usize
}

/// Prints a row of the table that `make faults` shows.
pub fn row(case: &str, expected: &str, seen: &str, emulator: &str) {
    println!("| {case} | {expected} | {seen} | {emulator} |");
}

/// An ELF file with these segments: flags, virtual and physical address, size in
/// memory. At most 1 KiB of each is in the file. The entry point is the start of the
/// first executable segment. The kernel resets the machine, even if the entry point
/// is changed.
pub fn kernel_that_resets(segments: &[(u32, u64, u64, u64)]) -> Vec<u8> {
    const UD2: [u8; 2] = [0x0f, 0x0b]; // without an interrupt table: a triple fault
    let entry = segments
        .iter()
        .find(|segment| segment.0 & 1 != 0)
        .expect("a segment is executable")
        .1;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    elf.resize(16, 0);
    elf.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    elf.extend(entry.to_le_bytes());
    elf.extend(64u64.to_le_bytes());
    elf.resize(52, 0);
    elf.extend([64, 0, 56, 0, segments.len() as u8, 0, 0, 0, 0, 0, 0, 0]);
    for (n, (flags, virt, phys, memory)) in (1u64..).zip(segments) {
        elf.extend(1u32.to_le_bytes());
        elf.extend(flags.to_le_bytes());
        let fields = [
            n * 0x1000,
            *virt,
            *phys,
            0x400.min(*memory),
            *memory,
            0x1000,
        ];
        elf.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
    }
    for n in 1..=segments.len() {
        elf.resize(n * 0x1000, 0);
        elf.extend(UD2.repeat(0x200));
    }
    elf
}

/// The image of one of the kernels.
pub fn image(name: &str) -> Vec<u8> {
    let file = fs::read(kernel(name)).expect("the kernel can be read");
    let kernel = Kernel::parse(&file, name == "writable_code").expect("the kernel is valid");
    plain(&kernel).bytes
}

/// The image of a kernel without a manifest, options or boot modules.
pub fn plain(kernel: &Kernel) -> Image {
    Image::new(kernel, &Manifest::default(), &Options::default()).expect("everything fits")
}

/// Boots a self-checking test kernel; returns its serial output. The memory is
/// full of garbage, as after a warm start, so all zeros come from the loader.
pub fn passes_in_garbage(name: &str) -> String {
    let folder = Folder::new();
    let arguments = garbage(&folder, "pc", 128);
    passes(name, &arguments.each_ref().map(String::as_str))
}

/// Every byte of memory that is full of garbage.
pub const GARBAGE: u8 = 0xa5;

/// The arguments for a machine with so many MiB of memory full of garbage, in a file in
/// the folder.
pub fn garbage(folder: &Folder, machine: &str, mib: usize) -> [String; 6] {
    let file = folder.0.join("garbage");
    fs::write(&file, vec![GARBAGE; mib << 20]).expect("a file can be written");
    let (size, path) = (format!("size={mib}M"), file.display());
    [
        "-m".into(),
        mib.to_string(),
        "-object".into(),
        format!("memory-backend-file,id=ram,{size},mem-path={path}"),
        "-machine".into(),
        format!("{machine},memory-backend=ram"),
    ]
}

/// The same with QEMU's default memory, which is zero.
pub fn passes(name: &str, arguments: &[&str]) -> String {
    passes_with(name, &Disk::of(name), arguments)
}

/// The same with a given disk.
pub fn passes_with(name: &str, disk: &Disk, arguments: &[&str]) -> String {
    passed(name, disk.boot(&[&EXIT, arguments].concat()))
}

/// The same with a machine that has the exit device.
pub fn passed(name: &str, mut machine: Machine) -> String {
    let status = machine.wait_for_end(LONG).expect("QEMU can be waited for");
    let serial = machine.serial();
    assert_eq!(status, Some(PASSED), "{name}: {serial}");
    assert!(serial.contains(&format!("{name} ok")), "{serial}");
    serial
}

/// Boots a disk that cannot boot; asserts that screen, serial line and port 0xE9
/// all show this error.
pub fn fails(disk: &Disk, arguments: &[&str], sentence: &str) {
    let mut machine = disk.boot(arguments);
    assert_shows(&mut machine, sentence);
    let screen = machine.screen().expect("QEMU shows its screen");
    // Stage 1 prints below the BIOS's text.
    if !sentence.starts_with("E1") && !sentence.starts_with("E2") {
        assert_eq!(screen.row(0), "", "row 0 belongs to the kernel");
    }
    let test = std::thread::current()
        .name()
        .unwrap_or_default()
        .replace('_', " ");
    row(
        &format!("{test} {}", arguments.join(" ")),
        sentence,
        sentence,
        "QEMU",
    );
}

/// Waits until the serial line, port 0xE9 and the screen show this. On the screen,
/// it is at the start of a line.
pub fn assert_shows(machine: &mut Machine, sentence: &str) {
    let serial = machine.wait_for_serial(LONG, |serial| serial.contains(sentence));
    assert!(serial, "{sentence}; serial: {}", machine.serial());
    assert!(
        machine.debug_port().contains(sentence),
        "port: {}",
        machine.debug_port()
    );
    // The screen is written last.
    let start = Instant::now();
    loop {
        let screen = machine.screen().expect("QEMU shows its screen");
        if (1..25).any(|row| screen.row(row).starts_with(sentence)) {
            break;
        }
        assert!(start.elapsed() < LONG, "{screen}");
        sleep(Duration::from_millis(50));
    }
}
