//! The loader with a change: assembled from a copy of `boot/`, as the book tells its
//! reader to try, and as a student writes a lab.

use crate::tools::{binutil, path};
use crate::{read, top};
use siso_image::SECTOR;
use siso_image::elf::Kernel;
use siso_image::image::{Image, Loader, Options};
use siso_image::layout::STAGE1_BASE;
use siso_image::manifest::Manifest;
use std::fs;
use std::path::{Path, PathBuf};

/// A loader as linked.
pub struct Built {
    /// With symbols and line numbers.
    pub elf: Vec<u8>,
    /// Its bytes as stored on the disk.
    pub bytes: Vec<u8>,
    /// The global symbols.
    symbols: Vec<(u64, String)>,
}

/// Assembles and links a copy of `boot/` in a folder; or returns what the assembler or
/// the linker says against it.
pub fn build(boot: &Path, work: &Path) -> Result<Built, String> {
    let (elf, bin) = (work.join("loader.elf"), work.join("loader.bin"));
    let mut objects = Vec::new();
    for name in sources()? {
        // A student's copy has an object instead of a file that is a solution.
        let (given, object) = (
            boot.join(&name).with_extension("o"),
            work.join(&name).with_extension("o"),
        );
        let has_source = boot.join(&name).with_extension("s").exists();
        if has_source || !given.exists() {
            assemble(boot, &name, &object, &["-g"])?;
            objects.push(object);
        } else {
            objects.push(given);
        }
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
    let listing = binutil("nm", &["--extern-only", path(&elf)])?;
    let symbol = |line: &str| {
        let (value, rest) = line.split_once(' ')?;
        let value = u64::from_str_radix(value, 16).ok()?;
        Some((value, rest.get(2..)?.to_string()))
    };
    let about = |error: std::io::Error| error.to_string();
    Ok(Built {
        elf: fs::read(elf).map_err(about)?,
        bytes: fs::read(bin).map_err(about)?,
        symbols: listing.lines().filter_map(symbol).collect(),
    })
}

/// Assembles a file of a copy of `boot/`, with more arguments for the assembler.
pub fn assemble(boot: &Path, name: &str, object: &Path, more: &[&str]) -> Result<(), String> {
    let source = boot.join(name).with_extension("s");
    let arguments = ["--fatal-warnings", "-I", path(boot), "-o"];
    let files = [path(object), path(&source)];
    binutil("as", &[more, &arguments, &files].concat()).map(drop)
}

impl Built {
    /// The address of a global symbol.
    pub fn address(&self, name: &str) -> Option<u64> {
        let mut all = self.symbols.iter();
        all.find(|(_, symbol)| symbol == name)
            .map(|(value, _)| *value)
    }

    /// The image of this loader and a kernel, as `make image` builds it.
    pub fn image(&self, kernel: &Path) -> Result<Vec<u8>, String> {
        let about = |error: String| format!("{}: {error}", kernel.display());
        let elf = fs::read(kernel).map_err(|error| about(error.to_string()))?;
        let parsed = Kernel::parse(&elf, false).map_err(|error| about(error.to_string()))?;
        let in_stage1 = STAGE1_BASE..STAGE1_BASE + SECTOR as u64 - 4;
        let checksum = self.address("STAGE2_CHECKSUM");
        let loader = Loader {
            bytes: &self.bytes,
            stage2_checksum: checksum
                .filter(|address| in_stage1.contains(address))
                .ok_or("stage 1 has no place for the checksum of stage 2 any more")?,
        };
        let (manifest, options) = (Manifest::default(), Options::default());
        Image::with_loader(&loader, &parsed, &manifest, &options)
            .map(|image| image.bytes)
            .map_err(|error| about(error.to_string()))
    }
}

/// The names of the loader's files in the order of `build.rs`.
fn sources() -> Result<Vec<String>, String> {
    let text = read("build.rs")?;
    let list = || {
        let (_, list) = text.split_once("BOOT_FILES")?;
        let (_, list) = list.split_once("= [")?;
        Some(list.split_once(']')?.0)
    };
    let list = list().ok_or("build.rs has no list BOOT_FILES")?;
    let names = list.split('"').skip(1).step_by(2);
    Ok(names.map(String::from).collect())
}

/// Copies `boot/` into a folder, as its folder `boot`.
pub fn copy(tree: &Path) -> Result<PathBuf, String> {
    let boot = tree.join("boot");
    let about = |error: std::io::Error| format!("{}: {error}", boot.display());
    fs::create_dir(&boot).map_err(about)?;
    for entry in fs::read_dir(top().join("boot")).map_err(about)? {
        let entry = entry.map_err(about)?;
        fs::copy(entry.path(), boot.join(entry.file_name())).map_err(about)?;
    }
    Ok(boot)
}

/// Applies a change to a file of a copy of the tree. Its first line is `@@ FILE`; the
/// others begin with `-`, `+` or a blank, and are in the file exactly once. There may be
/// more than one.
pub fn change(diff: &str, tree: &Path) -> Result<(), String> {
    let parts = diff.split("@@ ").skip(1);
    if parts.clone().next().is_none() {
        return Err("the change names no file".into());
    }
    for part in parts {
        let (name, lines) = part.split_once('\n').ok_or("the change is empty")?;
        let file = tree.join(name);
        let text = fs::read_to_string(&file).map_err(|error| format!("{name}: {error}"))?;
        let side = |other: char| -> String {
            let kept = lines.lines().filter(|line| !line.starts_with(other));
            kept.map(|line| line.get(1..).unwrap_or_default().to_string() + "\n")
                .collect()
        };
        let (old, new) = (side('+'), side('-'));
        if old == new || text.matches(&old).count() != 1 {
            return Err(format!("{name} does not have its lines, or more than once"));
        }
        fs::write(&file, text.replace(&old, &new)).map_err(|error| error.to_string())?;
    }
    Ok(())
}
