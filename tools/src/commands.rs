//! What the commands do.

use crate::cli;
use clap::ArgMatches;
use siso_image::crate09::Crate09;
use siso_image::elf::Kernel;
use siso_image::image::{Image, Options, Serial};
use siso_image::manifest::Manifest;
#[cfg(feature = "new")]
use siso_image::new;
use siso_image::qemu::{Launch, Scratch};
use siso_image::test::Failed;
#[cfg(feature = "tour")]
use siso_image::tour::bad_bios::BadBios;
#[cfg(feature = "tour")]
use siso_image::tour::subject::Subject;
use siso_image::{LOADER_ELF, adopt, output, run, size, test};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The loader accepts no segment and no boot module larger than this.
const FILE_BYTES_MAX: u64 = 1 << 31;

/// Runs the command with these arguments; returns the exit status.
pub fn run(matches: &ArgMatches) -> Result<u8, String> {
    let (name, args) = matches.subcommand().expect("a command is required");
    match name {
        "run" => {
            let build = Build::of(args, Manifest::of_cargo)?;
            let kernel = path(args, "kernel");
            if test::is_test(kernel) {
                return run_test(build, kernel, flags(args));
            }
            let flags = [build.manifest.run_args.clone(), flags(args), more_flags()].concat();
            let (mut scratch, image) = build.temporary_image(kernel)?;
            let launch = Launch::new(&image, &build.manifest.run_command, &flags);
            let run = run::run(&mut scratch, &image, launch);
            run.map_err(|failed| {
                explain(&failed, &image, kernel, &flags);
                failed.message
            })
        }
        "test" => {
            let build = Build::of(args, Manifest::of_cargo)?;
            run_test(build, path(args, "kernel"), flags(args))
        }
        _ => run_other(name, args).map(|()| 0),
    }
}

/// Runs a command that does not run a kernel.
fn run_other(name: &str, args: &ArgMatches) -> Result<(), String> {
    match name {
        "build" => {
            let build = Build::of(args, no_manifest)?;
            let output = path(args, "output");
            let image = build.image(path(args, "kernel"))?;
            write(output, &image.bytes)?;
            println!("{}", image.describe(output));
            Ok(())
        }
        "screenshot" => {
            let build = Build::of(args, no_manifest)?;
            let (_scratch, image) = build.temporary_image(path(args, "kernel"))?;
            run::screenshot(&image, path(args, "output"), &more_flags())
        }
        #[cfg(feature = "tour")]
        "tour" => {
            let build = Build::of(args, no_manifest)?;
            let bios = args.get_one::<String>("bios");
            tour(&build, path(args, "kernel"), path(args, "output"), bios)
        }
        #[cfg(feature = "tour")]
        "why" => {
            let kernel = path(args, "kernel");
            let flags = [flags(args), more_flags()].concat();
            print!(
                "{}",
                match args.get_one::<PathBuf>("image") {
                    Some(image) => why(image, kernel, &flags)?,
                    None => {
                        let build = Build::of(args, Manifest::of_cargo)?;
                        let (_scratch, image) = build.temporary_image(kernel)?;
                        let flags = [build.manifest.run_args.clone(), flags].concat();
                        why(&image, kernel, &flags)?
                    }
                }
            );
            Ok(())
        }
        "usb" => {
            let build = Build::of(args, no_manifest)?;
            usb(&build.image(path(args, "kernel"))?, path(args, "device"))
        }
        #[cfg(feature = "new")]
        "new" => new::make(path(args, "folder")),
        "adopt" => {
            let choices = adopt::Choices {
                mend: args.get_flag("mend"),
                yes: args.get_flag("yes"),
            };
            adopt::adopt(path(args, "folder"), &choices)
        }
        "loader" => write(path(args, "output"), LOADER_ELF),
        "size" => {
            print!("{}", size::table());
            Ok(())
        }
        "completions" => {
            let shell = args.get_one::<clap_complete::Shell>("shell");
            let shell = *shell.expect("the argument is required");
            clap_complete::generate(shell, &mut cli::command(), "siso-image", &mut io::stdout());
            Ok(())
        }
        _ => unreachable!("clap knows all commands"),
    }
}

/// The default manifest of commands that Cargo does not run.
fn no_manifest() -> Result<Manifest, String> {
    Ok(Manifest::default())
}

/// A required argument.
fn path<'a>(args: &'a ArgMatches, name: &str) -> &'a Path {
    let path = args.get_one::<PathBuf>(name);
    path.expect("the argument is required")
}

/// The arguments after the kernel.
fn flags(args: &ArgMatches) -> Vec<String> {
    let flags = args.get_many::<String>("flags").unwrap_or_default();
    flags.cloned().collect()
}

/// More arguments for QEMU, from the environment.
fn more_flags() -> Vec<String> {
    let more = env::var("QEMU_FLAGS").unwrap_or_default();
    more.split_whitespace().map(String::from).collect()
}

/// What an image is built from, besides the kernel.
struct Build {
    wx: bool,
    manifest: Manifest,
    options: Options,
}

impl Build {
    /// Without `--manifest`, `default_manifest` provides the manifest.
    fn of(
        args: &ArgMatches,
        default_manifest: fn() -> Result<Manifest, String>,
    ) -> Result<Build, String> {
        let ramdisk = args.get_one::<PathBuf>("ramdisk");
        let manifest = args.get_one::<PathBuf>("manifest");
        let mut manifest = manifest.map_or_else(default_manifest, |file| Manifest::read(file))?;
        let crate09 = args.get_one::<Crate09>("bootloader-features").copied();
        manifest.crate09 = crate09.or(manifest.crate09);
        let quiet = args.get_flag("quiet") || manifest.quiet;
        Ok(Build {
            // The loader of the crate maps writable code without a word.
            wx: args.get_flag("wx") || manifest.crate09.is_some(),
            manifest,
            options: Options {
                command_line: args.get_one("command-line").cloned().unwrap_or_default(),
                ramdisk: ramdisk.map_or(Ok(Vec::new()), |file| read(file))?,
                serial: match args.get_one::<String>("serial").map(String::as_str) {
                    Some("on") => Serial::On,
                    Some("off") => Serial::Off,
                    _ => Serial::Auto,
                },
                quiet,
            },
        })
    }

    fn image(&self, kernel: &Path) -> Result<Image, String> {
        let about = |error: &dyn std::fmt::Display| format!("{}: {error}", kernel.display());
        let file = read(kernel)?;
        let kernel = Kernel::parse(&file, self.wx).map_err(|error| about(&error))?;
        Image::new(&kernel, &self.manifest, &self.options).map_err(|error| about(&error))
    }

    /// Builds an image in a temporary folder.
    fn temporary_image(&self, kernel: &Path) -> Result<(Scratch, PathBuf), String> {
        let image = self.image(kernel)?;
        let scratch = Scratch::new().map_err(|error| error.to_string())?;
        let file = scratch.path().join("siso_os.img");
        write(&file, &image.bytes)?;
        Ok((scratch, file))
    }
}

/// Records a boot of a kernel and writes the tour to a folder.
#[cfg(feature = "tour")]
fn tour(build: &Build, kernel: &Path, output: &Path, bios: Option<&String>) -> Result<(), String> {
    let elf = read(kernel)?;
    let image = build.image(kernel)?;
    let (scratch, path) = build.temporary_image(kernel)?;
    let mut subject = Subject::new(&path, image, kernel, &elf, &more_flags())?;
    if let Some(setting) = bios {
        let disk = scratch.path().join("bios.img");
        let mut bios = BadBios::assemble(scratch.path())?;
        bios.set(setting)?;
        write(&disk, &bios.bytes)?;
        subject = subject.with_bios(setting, &disk);
    }
    println!("{}", siso_image::tour::make(&subject, output)?);
    Ok(())
}

/// Prints why a guest died, if it did.
#[cfg(feature = "tour")]
fn explain(failed: &Failed, image: &Path, kernel: &Path, flags: &[String]) {
    if failed.died {
        eprintln!(
            "siso-image: recording it once more, to see why: {}",
            failed.message
        );
        match why(image, kernel, flags) {
            Ok(text) => eprint!("{text}"),
            Err(message) => eprintln!("siso-image: {message}"),
        }
    }
}

/// The same by a program that can record: `tools/siso` builds it when it is needed.
#[cfg(not(feature = "tour"))]
fn explain(failed: &Failed, image: &Path, kernel: &Path, flags: &[String]) {
    if failed.died
        && let Some(siso) = env::var_os("SISO")
    {
        eprintln!(
            "siso-image: recording it once more, to see why: {} (the first time, the recorder is \
             built)",
            failed.message
        );
        let _ = std::process::Command::new(siso)
            .args(["why", "--image"])
            .args([image, kernel])
            .args(flags)
            .env_remove("QEMU_FLAGS") // they are among the flags
            .status();
    }
}

/// Says why a guest died.
#[cfg(feature = "tour")]
fn why(image: &Path, kernel: &Path, flags: &[String]) -> Result<String, String> {
    let limit = run::time_limit()?.unwrap_or(siso_image::why::LIMIT);
    siso_image::why::explain(image, &read(kernel)?, flags, limit)
}

/// Reads a whole regular file; reading a device might never end.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let metadata = fs::metadata(path).map_err(|error| about(&error))?;
    if !metadata.is_file() {
        return Err(about(&"is not a regular file"));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(about(&"is larger than 2 GiB"));
    }
    fs::read(path).map_err(|error| about(&error))
}

/// Boots a self-testing kernel. The words before the first one with a single
/// leading dash are its command line, unless it already has one; the rest are
/// arguments for QEMU.
fn run_test(mut build: Build, kernel: &Path, mut words: Vec<String>) -> Result<u8, String> {
    let for_qemu = |word: &String| word.starts_with('-') && !word.starts_with("--");
    let end = words.iter().position(for_qemu).unwrap_or(words.len());
    let more = [words.split_off(end), more_flags()].concat();
    if build.options.command_line.is_empty() {
        build.options.command_line = words.join(" ");
    }
    build.options.quiet = true; // only the kernel's lines are the test's
    let limit = run::time_limit()?;
    let (mut scratch, image) = build.temporary_image(kernel)?;
    let manifest = &build.manifest;
    // As with bootimage, these are also for a program that is not QEMU.
    let no_reboot = manifest.test_no_reboot.then(|| "-no-reboot".to_string());
    let test_args = manifest.test_args.clone().unwrap_or_default();
    let flags = [no_reboot.into_iter().collect(), test_args, more].concat();
    // The recorder does not know the test's own arguments.
    let exit = ["-device", test::EXIT_DEVICE].map(String::from);
    let with_exit = match manifest.test_args {
        Some(_) => flags.clone(),
        None => [&exit, &flags[..]].concat(),
    };
    let launch = Launch::new(&image, &manifest.run_command, &flags);
    match test::run(&mut scratch, launch, manifest, limit) {
        Ok(()) => Ok(0),
        Err(failed) => {
            let name = kernel.file_name().unwrap_or_default().to_string_lossy();
            eprintln!("siso-image: {name}: {}", failed.message);
            explain(&failed, &image, kernel, &with_exit);
            Ok(failed.status)
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    output::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(target_os = "linux")]
fn usb(image: &Image, device: &Path) -> Result<(), String> {
    siso_image::usb::write(&image.bytes, device)
}

#[cfg(not(target_os = "linux"))]
fn usb(_: &Image, device: &Path) -> Result<(), String> {
    Err(format!(
        "usb works on Linux only; build an IMAGE instead, then run: dd if=IMAGE of={} bs=1048576",
        device.display()
    ))
}
