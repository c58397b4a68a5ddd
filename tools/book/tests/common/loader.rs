//! The loader with a change, as the book tells its reader to try.

use super::image;
use siso_book::tools::{binutil, path};
use siso_image::layout::*;
use siso_image::qemu::{self, Machine};
use siso_image::{LOADER, SECTOR, checksum};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What happens when an image boots.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel says hello on the serial line.
    Boots,
    /// The machine is reset.
    Reset,
    /// Nothing happens any more.
    Hangs,
    /// The loader shows this error.
    Error(String),
}

/// How long nothing must happen until it is a hang.
const HANG: Duration = Duration::from_secs(8);
const LIMIT: Duration = Duration::from_secs(60);

/// An image with the loader that a copy of `boot/` makes; or what the assembler or the
/// linker says against it. The kernel and everything else are those of `image`.
pub fn build(boot: &Path, work: &Path) -> Result<Vec<u8>, String> {
    let good = image();
    let (elf, bin) = (work.join("loader.elf"), work.join("loader.bin"));
    let mut objects = Vec::new();
    for name in sources() {
        let source = boot.join(&name).with_extension("s");
        let object = work.join(&name).with_extension("o");
        let arguments = ["--fatal-warnings", "-I", path(boot), "-o", path(&object)];
        binutil("as", &[&arguments[..], &[path(&source)]].concat())?;
        objects.push(object);
    }
    let script = boot.join("boot.ld");
    for (format, to) in [("elf64-x86-64", &elf), ("binary", &bin)] {
        let format = format!("--oformat={format}");
        let mut arguments = vec!["-n", "-z", "noexecstack", "--build-id=none", &format];
        arguments.extend(["--fatal-warnings", "-L", path(boot), "-T", path(&script)]);
        arguments.extend(["-o", path(to)]);
        arguments.extend(objects.iter().map(|object| path(object)));
        binutil("ld", &arguments)?;
    }
    let loader = fs::read(bin).map_err(|error| error.to_string())?;
    if loader.len() != LOADER.len() {
        return Err(format!("the loader has {} bytes now", loader.len()));
    }
    // The image builder's part: the fields that it fills are at the same places.
    let mut image = good.clone();
    image[..loader.len()].copy_from_slice(&loader);
    let header =
        (IMAGE_HEADER - STAGE1_BASE) as usize..(RESERVED_RANGES_END - STAGE1_BASE) as usize;
    image[header.clone()].copy_from_slice(&good[header]);
    image[0x1b8..0x1fe].copy_from_slice(&good[0x1b8..0x1fe]);
    let symbols = binutil("nm", &[path(&elf)])?;
    let symbol = symbols
        .lines()
        .find(|line| line.ends_with(" STAGE2_CHECKSUM"));
    let symbol = symbol.and_then(|line| u64::from_str_radix(line.split(' ').next()?, 16).ok());
    let at = (symbol.expect("the linker script defines it") - STAGE1_BASE) as usize;
    let sum = checksum::stage2(&image[SECTOR..loader.len()]);
    image[at..at + 4].copy_from_slice(&sum.to_le_bytes());
    Ok(image)
}

/// The names of the loader's files in the order of `build.rs`.
fn sources() -> Vec<String> {
    let text = siso_book::read("build.rs").expect("it can be read");
    let (_, list) = text.split_once("BOOT_FILES").expect("it lists the files");
    let (_, list) = list.split_once("= [").expect("the list begins");
    let (list, _) = list.split_once(']').expect("the list ends");
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(String::from)
        .collect()
}

/// Boots an image, with more arguments for QEMU.
pub fn boot(image: &[u8], work: &Path, arguments: &[&str]) -> (Outcome, String) {
    let file = work.join("try.img");
    fs::write(&file, image).expect("a file can be written");
    let disk = qemu::disk(&file);
    let mut all: Vec<&str> = disk.iter().map(String::as_str).collect();
    all.extend(arguments);
    let mut machine = Machine::start(&all).expect("QEMU starts");
    let (start, mut last, mut changed) = (Instant::now(), String::new(), Instant::now());
    let outcome = loop {
        let said = machine.debug_port() + &machine.serial();
        if said.contains("This is the kernel") {
            break Outcome::Boots;
        }
        if let Some(error) = error_line(&said) {
            break Outcome::Error(error);
        }
        if machine.has_ended() {
            break Outcome::Reset;
        }
        if said != last {
            (last, changed) = (said, Instant::now());
        }
        assert!(start.elapsed() < LIMIT, "QEMU is too slow: {last}");
        if changed.elapsed() > HANG {
            break Outcome::Hangs;
        }
        sleep(Duration::from_millis(50));
    };
    let screen = machine.screen().map(|screen| screen.to_string());
    (outcome, screen.unwrap_or_default())
}

/// The line of an error, if it is complete.
fn error_line(said: &str) -> Option<String> {
    let is_error = |line: &&str| {
        let code = line
            .strip_prefix('E')
            .and_then(|line| line.split(' ').next());
        code.is_some_and(|code| code.parse::<u32>().is_ok())
    };
    said.contains("press a key").then_some(())?;
    said.lines().find(is_error).map(String::from)
}
