//! Measures the cost of booting, and checks it against the budgets.
//!
//! Instructions are counted in QEMU ([`count`]), with disks from [`payload`] and
//! the image builder. [`boots`] compares the loaders; [`sizes`] and [`builds`]
//! measure sizes and build times. No budget is a time. It requires Linux on
//! x86-64 and a QEMU with plugin support.

mod boots;
mod budgets;
mod builds;
mod checksum;
mod count;
mod payload;
mod peers;
mod plot;
mod sizes;
mod text;

use bench::tools;
use boots::{Boot, Contender, SIZES};
use budgets::Budgets;
use clap::builder::RangedU64ValueParser;
use clap::{Arg, ArgAction};
use count::Counter;
use siso_image::elf::Kernel;
use siso_image::image::{self, Image};
use siso_image::manifest::Manifest;
use siso_image::qemu::Scratch;
use siso_image::{LOADER, SECTOR};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The command-line options.
struct Options {
    peers: bool,
    docs: bool,
    runs: usize,
}

fn main() -> ExitCode {
    let options = options();
    let done = Scratch::new()
        .map_err(|error| error.to_string())
        .and_then(|scratch| bench(&options, scratch.path()));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Options {
    let flag = |name: &'static str, help: &'static str| {
        let flag = Arg::new(name).long(name).action(ArgAction::SetTrue);
        flag.help(help)
    };
    let matches = clap::Command::new("bench")
        .about("Measures the cost of booting")
        .arg(flag(
            "peers",
            "Also build and measure the crate bootloader 0.9",
        ))
        .arg(flag("docs", "Write the tables and the plot to docs/"))
        .arg(
            Arg::new("runs")
                .long("runs")
                .value_name("NUMBER")
                .default_value("3")
                .value_parser(RangedU64ValueParser::<usize>::new().range(1..))
                .help("How many times to boot and build everything"),
        )
        .get_matches();
    Options {
        peers: matches.get_flag("peers"),
        docs: matches.get_flag("docs"),
        runs: *matches.get_one("runs").expect("there is a default"),
    }
}

/// Measures everything; false if a budget is not met.
fn bench(options: &Options, folder: &Path) -> Result<bool, String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("bench/ has a parent folder");
    let hello = top.join("target/kernels/release/hello");
    let kernel = top.join("target/kernel/siso_os");
    let debug = top.join("target/kernels/dev/siso_os");
    let counter = Counter::new(folder)?;

    let mut contenders = vec![floor(folder)?, ours(folder)?];
    let mut peers = None;
    if options.peers {
        match peers::build(top, folder) {
            Ok((built, theirs)) => {
                peers = Some(built);
                contenders.extend(theirs);
            }
            Err(error) => eprintln!("bench: peers are not measured: {error}"),
        }
    }
    let small = contenders[1].boots[0].disk.clone();
    let versions = count::versions(&small, folder)?;
    boots::run(&mut contenders, &counter, options.runs)?;
    let report = Report {
        docs: options.docs.then(|| top.join("docs")),
    };
    report.add("machine", &format!("{versions}; runs: {}\n", options.runs))?;
    report.add("counts", &boots::tables(&contenders))?;
    if boots::others(&contenders).next().is_some() {
        println!("* not measured in this run; see docs/speed.md\n");
    }
    report.plot(&plot::svg(&contenders))?;
    let sources = sizes::Sources::new(folder)?;
    report.add("files", &sources.table(&contenders[1]))?;
    report.add("services", &boots::services(&contenders[1]))?;
    let kernels = [("`examples/hello.rs`", &*hello), ("our kernel", &kernel)];
    report.add("disk", &sizes::disk(kernels)?)?;
    let (used, marked) = (sizes::low_memory(), sizes::marked(&small)?);
    report.add("memory", &format!("{used}\n{marked}"))?;

    report.add("checksum", &checksum::speeds()?)?;

    let debug = DebugKernel::measure(&debug, folder, &counter)?;
    let mut builds = builds::Builds::new(top, folder)?;
    builds.run(options.runs, || {
        peers.as_ref().map(peers::Peers::clean_build).transpose()
    })?;
    report.add("builds", &builds.table())?;
    let budgets = Budgets::of(&contenders, &debug, &builds, &kernel)?;
    report.add("budgets", &budgets.table())?;
    for missed in budgets.missed() {
        eprintln!("bench: budget not met: {missed}");
    }
    Ok(budgets.missed().next().is_none())
}

/// The output: tables on stdout, and optionally in the docs.
struct Report {
    docs: Option<PathBuf>,
}

impl Report {
    fn add(&self, name: &str, section: &str) -> Result<(), String> {
        println!("{section}");
        let Some(docs) = &self.docs else {
            return Ok(());
        };
        let page = docs.join("speed.md");
        let text = String::from_utf8_lossy(&tools::read(&page)?).into_owned();
        let text = text::replace(&text, name, section)
            .map_err(|error| format!("{}: {error}", page.display()))?;
        tools::write(&page, text.as_bytes())
    }

    fn plot(&self, svg: &str) -> Result<(), String> {
        match &self.docs {
            Some(docs) => tools::write(&docs.join("speed.svg"), svg.as_bytes()),
            None => Ok(()),
        }
    }
}

/// The floor: a boot sector that only reads.
fn floor(folder: &Path) -> Result<Contender, String> {
    let boots = SIZES.into_iter().map(|bytes| {
        let path = folder.join(format!("floor-{bytes}.img"));
        tools::write(&path, &payload::floor(bytes, folder)?)?;
        Ok(Boot::new(path, payload::FLOOR_ENTRY))
    });
    Ok(Contender {
        name: "floor".into(),
        bytes: SECTOR,
        boots: boots.collect::<Result<_, String>>()?,
    })
}

/// This project's loader, with a payload kernel of each size.
fn ours(folder: &Path) -> Result<Contender, String> {
    let boots = SIZES.into_iter().map(|bytes| {
        let path = folder.join(format!("siso_os-{bytes}.img"));
        disk(&payload::kernel(bytes), &path)
    });
    Ok(Contender {
        name: "siso_os".into(),
        bytes: LOADER.len(),
        boots: boots.collect::<Result<_, String>>()?,
    })
}

/// Builds a disk from a kernel's ELF file.
fn disk(file: &[u8], path: &Path) -> Result<Boot, String> {
    let kernel = Kernel::parse(file, false).map_err(|error| error.to_string())?;
    let image = Image::new(&kernel, &Manifest::default(), &image::Options::default());
    let image = image.map_err(|error| error.to_string())?;
    tools::write(path, &image.bytes)?;
    Ok(Boot::new(path.into(), kernel.entry))
}

/// A kernel with debug data, compared with its reduced form.
pub struct DebugKernel {
    /// The size of its ELF file in bytes.
    pub bytes: usize,
    /// The bytes to load.
    pub loaded: u64,
    /// The loader's instructions and the INT 13h calls to boot it.
    pub whole: (u64, u64),
    /// The same for its reduced form.
    pub reduced: (u64, u64),
}

impl DebugKernel {
    fn measure(path: &Path, folder: &Path, counter: &Counter) -> Result<Self, String> {
        let file = tools::read(path)?;
        let kernel = Kernel::parse(&file, false).map_err(|error| error.to_string())?;
        let count = |file: &[u8], name: &str| {
            let image: PathBuf = folder.join(name);
            let boot = disk(file, &image)?;
            let counts = counter.boot(&boot.disk, boot.entry)?;
            Ok::<_, String>((counts.own, counts.disk_calls()))
        };
        Ok(DebugKernel {
            bytes: file.len(),
            loaded: kernel.segments.iter().map(|one| one.header.filesz).sum(),
            whole: count(&file, "debug.img")?,
            reduced: count(&kernel.reduced(&[]).0, "reduced.img")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use count::Caller;
    use std::fs;

    /// A boot sector whose instructions can be counted by hand.
    #[test]
    fn a_known_boot_sector_is_counted_correctly() {
        let scratch = Scratch::new().expect("temporary files can be made");
        let mut sector = vec![
            0xb9, 0x05, 0x00, // mov $5, %cx           1
            0xe2, 0xfe, //       loop .                5
            0xcd, 0x12, //       int $0x12             1
            0xcd, 0x12, //       int $0x12             1
            0x90, //             nop                   1
            0xea, 0x00, 0x05, 0x00, 0x00, // ljmp 0x500 1
        ];
        sector.resize(510, 0);
        sector.extend([0x55, 0xaa]);
        sector.resize(1 << 20, 0);
        let disk = scratch.path().join("disk.img");
        fs::write(&disk, &sector).expect("the disk can be written");
        let counter = Counter::new(scratch.path()).expect("the plugin compiles");
        let counts = counter.boot(&disk, 0x500).expect("the disk boots");

        assert_eq!(counts.own, 10);
        assert_eq!(counts.elsewhere, 0);
        let at = [(0x7c00, 1), (0x7c03, 5), (0x7c05, 1), (0x7c07, 1)];
        for (address, times) in at {
            assert_eq!(counts.at.get(&address), Some(&times), "{address:#x}");
        }
        let service = counts.callers[&Caller::Int(0x12)];
        assert_eq!(service.calls, 2);
        assert!(service.instructions > 0);
        let firmware: u64 = counts.callers.values().map(|one| one.instructions).sum();
        assert_eq!(firmware, counts.firmware);
    }
}
