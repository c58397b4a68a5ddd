//! What a tour shows: a disk image, and how it is booted.

use crate::LOADER_ELF;
use crate::elf::Kernel;
use crate::image::Image;
use crate::qemu::escaped;
use crate::recorder::symbols::Symbols;
use std::path::{Path, PathBuf};

/// A boot that can be repeated.
pub struct Subject<'elf> {
    /// The disk image.
    pub image: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How many of its sectors are read during a boot.
    pub used_sectors: usize,
    /// The kernel's file name.
    pub name: String,
    /// Whether it was built here, from this project's sources.
    pub kernel_is_ours: bool,
    /// The kernel's entry point.
    pub entry: u64,
    /// The loader's debug information.
    pub loader: Symbols<'elf>,
    /// The kernel's.
    pub kernel: Symbols<'elf>,
    /// The arguments for QEMU, with the drives.
    pub arguments: Vec<String>,
    /// How many times a boot sector is entered until the image's is.
    pub entries: u32,
    /// The settings of a misbehaving BIOS, if there is one.
    pub bios: String,
}

/// Whether a kernel is in a folder into which only this project's own is built; the
/// test kernels are elsewhere.
fn is_ours(kernel: &Path) -> bool {
    const FOLDERS: [&str; 5] = [
        "kernel",
        "kernels/dev",
        "kernels/release",
        "kernels/tour",
        "x86_64-siso_os",
    ];
    let target = top().join("target");
    let path = kernel.canonicalize().unwrap_or_default();
    FOLDERS.iter().any(|it| path.starts_with(target.join(it)))
}

/// The folder of this project, as it was when this program was built.
pub fn top() -> &'static Path {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR"));
    tools.parent().unwrap_or(tools)
}

impl<'elf> Subject<'elf> {
    /// A disk image with a kernel, booted as by `siso-image run`.
    pub fn new(
        image: &Path,
        built: Image,
        path: &Path,
        elf: &'elf [u8],
        flags: &[String],
    ) -> Result<Self, String> {
        let about = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let entry = Kernel::parse(elf, true)
            .map_err(|error| about(&error))?
            .entry;
        let drive = format!("format=raw,snapshot=on,file={}", escaped(image));
        let memory = super::memory::MEMORY_MIB.to_string();
        let mut arguments = vec!["-m".into(), memory, "-drive".into(), drive];
        arguments.extend(flags.iter().cloned());
        Ok(Subject {
            image: image.into(),
            bytes: built.bytes,
            used_sectors: built.used_sectors,
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            kernel_is_ours: is_ours(path),
            entry,
            loader: Symbols::read(LOADER_ELF)?,
            kernel: Symbols::read(elf).map_err(|error| about(&error))?,
            arguments,
            entries: 1,
            bios: String::new(),
        })
    }

    /// Boots the image with a BIOS that misbehaves, whose disk is this file.
    pub fn with_bios(mut self, setting: &str, bios: &Path) -> Self {
        let drive = |id: &str, path: &Path| {
            format!(
                "if=none,id={id},format=raw,snapshot=on,file={}",
                escaped(path)
            )
        };
        let at = self.arguments.iter().position(|word| word == "-drive");
        let at = at.expect("there is a drive");
        let words = [
            "-drive".into(),
            drive("bios", bios),
            "-drive".into(),
            drive("image", &self.image),
            "-device".into(),
            "ide-hd,drive=bios,bus=ide.0,bootindex=0".into(),
            "-device".into(),
            "ide-hd,drive=image,bus=ide.1,bootindex=1".into(),
        ];
        self.arguments.splice(at..at + 2, words);
        self.entries = 2; // its own boot sector, then the image's
        self.bios = setting.into();
        self
    }

    /// Whether an address is in the loader.
    pub fn in_loader(&self, address: u64) -> bool {
        self.loader.has(address)
    }

    /// Whether an address is in the loader or in the kernel.
    pub fn is_own(&self, address: u64) -> bool {
        self.in_loader(address) || self.kernel.has(address)
    }

    /// The bytes of the instruction at an address: the loader's as they are on the
    /// disk, where the image builder has filled some in; the kernel's as in its file.
    pub fn code(&self, address: u64) -> &[u8] {
        const LONGEST: usize = 15;
        if self.in_loader(address) {
            let at = (address - crate::layout::STAGE1_BASE) as usize;
            let rest = self.bytes.get(at..).unwrap_or_default();
            return &rest[..rest.len().min(LONGEST)];
        }
        self.kernel.bytes(address, LONGEST)
    }
}
