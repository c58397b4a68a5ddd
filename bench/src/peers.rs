//! The peers: the crate `bootloader` 0.9, built with `bootimage` outside of the
//! tree.

use crate::boots::{Boot, Contender, SIZES};
use crate::payload::random;
use crate::{builds, tools};
use siso_image::elf::Kernel;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "0.9.35";
const MAPPED: &str = ", features = [\"map_physical_memory\"]";

/// Builds the peers to measure.
pub fn build(top: &Path, folder: &Path) -> Result<(Peers, [Contender; 2]), String> {
    let peers = Peers::new(top, folder)?;
    let contenders = peers.contenders()?;
    Ok((peers, contenders))
}

/// The folder in which `bootimage` is installed and used.
pub struct Peers {
    folder: PathBuf,
    channel: String,
}

impl Peers {
    /// Installs `bootimage` unless it is installed; this requires network access.
    fn new(top: &Path, folder: &Path) -> Result<Self, String> {
        let folder = folder.join("peers");
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let toolchain = tools::read(&top.join("rust-toolchain"))?;
        let toolchain = String::from_utf8_lossy(&toolchain);
        let channel = toolchain
            .lines()
            .find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'))
            .ok_or("rust-toolchain names no channel")?;
        let peers = Peers {
            channel: channel.into(),
            folder,
        };
        let mut version = peers.cargo(&peers.folder);
        if tools::run(version.args(["bootimage", "--version"])).is_err() {
            eprintln!("peers: installing bootimage");
            let root = peers.folder.join("tools");
            let mut cargo = peers.cargo(&peers.folder);
            cargo.args(["install", "--quiet", "bootimage", "--root"]);
            tools::run(cargo.arg(root))
                .map_err(|error| format!("bootimage cannot be installed: {error}"))?;
        }
        let target = tools::read(&top.join("x86_64-siso_os.json"))?;
        tools::write(&peers.folder.join("peer.json"), &target)?;
        Ok(peers)
    }

    /// Builds the payload kernels without and with the crate's feature
    /// `map_physical_memory`.
    fn contenders(&self) -> Result<[Contender; 2], String> {
        Ok([
            self.contender("", format!("bootloader {VERSION}"))?,
            self.contender(MAPPED, format!("bootloader {VERSION}, memory mapped"))?,
        ])
    }

    fn contender(&self, features: &str, name: String) -> Result<Contender, String> {
        let project = self.project(features)?;
        let mut boots = Vec::new();
        let mut least = usize::MAX;
        for bytes in SIZES {
            eprintln!("peers: building {name} with {bytes} bytes");
            tools::write(&project.join("src/payload"), &random(bytes))?;
            tools::run(&mut self.bootimage(&project))?;
            let built = project.join("target/peer/release");
            let kernel = tools::read(&built.join("peer"))?;
            let entry = Kernel::parse(&kernel, true).map_err(|error| error.to_string())?;
            let image = tools::read(&built.join("bootimage-peer.bin"))?;
            least = least.min(image.len() - kernel.len().min(image.len()));
            // QEMU rounds disks down to whole cylinders, and this loader reads to the
            // end.
            let mut padded = image;
            padded.resize(padded.len().next_multiple_of(1 << 20), 0);
            let disk = self.folder.join(format!("{name}, {bytes}.img"));
            tools::write(&disk, &padded)?;
            boots.push(Boot::new(disk, entry.entry));
        }
        Ok(Contender {
            name,
            bytes: least,
            boots,
        })
    }

    /// The time of a clean `cargo bootimage` in seconds, with the 8 KiB kernel.
    pub fn clean_build(&self) -> Result<f64, String> {
        let project = self.project(MAPPED)?;
        tools::write(&project.join("src/payload"), &random(SIZES[0]))?;
        let target = project.join("target");
        if target.exists() {
            fs::remove_dir_all(&target).map_err(|error| error.to_string())?;
        }
        builds::seconds(&mut self.bootimage(&project))
    }

    fn project(&self, features: &str) -> Result<PathBuf, String> {
        let project = self.folder.join("peer");
        for folder in ["src", ".cargo"] {
            fs::create_dir_all(project.join(folder)).map_err(|error| error.to_string())?;
        }
        let manifest = format!(
            "[package]\nname = \"peer\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\nbootloader = {{ version = \"={VERSION}\"{features} }}\n\
             [profile.release]\npanic = \"abort\"\n[workspace]\n"
        );
        let settings = "[build]\ntarget = \"../peer.json\"\n[unstable]\n\
             build-std = [\"core\", \"compiler_builtins\"]\n\
             build-std-features = [\"compiler-builtins-mem\"]\njson-target-spec = true\n";
        let kernel = "#![no_std]\n#![no_main]\n\
             #[used]\nstatic PAYLOAD: [u8; include_bytes!(\"payload\").len()] =\n    \
             *include_bytes!(\"payload\");\n\
             #[unsafe(no_mangle)]\nextern \"C\" fn _start() -> ! {\n    \
             loop {\n        unsafe { core::arch::asm!(\"hlt\") }\n    }\n}\n\
             #[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! {\n    loop {}\n}\n";
        tools::write(&project.join("Cargo.toml"), manifest.as_bytes())?;
        tools::write(&project.join(".cargo/config.toml"), settings.as_bytes())?;
        tools::write(&project.join("src/main.rs"), kernel.as_bytes())?;
        Ok(project)
    }

    fn bootimage(&self, project: &Path) -> Command {
        let mut cargo = self.cargo(project);
        cargo.args(["bootimage", "--release"]);
        cargo
    }

    fn cargo(&self, folder: &Path) -> Command {
        let mut cargo = Command::new("cargo");
        let path = env::var("PATH").unwrap_or_default();
        let tools = self.folder.join("tools/bin");
        cargo
            .arg(format!("+{}", self.channel))
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", tools.display()));
        builds::clear(&mut cargo);
        cargo
    }
}
