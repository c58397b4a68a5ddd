//! The command line.

use siso_image::elf::Kernel;
use siso_image::image::{Image, Options, Serial};
use siso_image::manifest::Manifest;
#[cfg(feature = "new")]
use siso_image::new;
use siso_image::{LOADER_ELF, layout, output, qemu, run, test};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

const USAGE: &str = "\
usage: siso-image build KERNEL -o IMAGE    build a disk image of a kernel
       siso-image run KERNEL [FLAGS]       boot a kernel in QEMU; a kernel built by
                                           `cargo test` is run as with `test`
       siso-image test KERNEL [WORDS] [FLAGS]
                                           boot a self-testing kernel; WORDS are
                                           its command line
       siso-image screenshot KERNEL -o PNG boot a kernel, save a screenshot
       siso-image usb KERNEL DEVICE        write a bootable USB stick; asks before
                                           it erases the stick (Linux only)
       siso-image new FOLDER               create a new kernel
       siso-image loader -o FILE           write the loader's ELF file, with
                                           symbols, for a debugger
       siso-image size                     show used and free bytes in both stages

  --wx                 allow pages that are both writable and executable
  --command-line TEXT  pass a command line to the kernel
  --ramdisk FILE       pass a file to the kernel
  --serial MODE        whether the loader uses the serial line: on, off, or auto
                       (the default): on unless the BIOS mirrors the screen there
  --manifest FILE      read [package.metadata.bootloader] and
                       [package.metadata.bootimage] from this Cargo.toml
  FLAGS                more arguments for QEMU

  Environment: $QEMU_FLAGS (more arguments for QEMU), $QEMU (the program),
  $TIMEOUT (a time limit in seconds)";

/// The loader accepts no segment and no boot module larger than this.
const FILE_BYTES_MAX: u64 = 1 << 31;

fn main() -> ExitCode {
    let text = |argument: OsString| {
        let shown = argument.to_string_lossy().into_owned();
        argument
            .into_string()
            .map_err(|_| format!("{shown}: the argument is not UTF-8"))
    };
    let arguments: Result<_, _> = env::args_os().skip(1).map(text).collect();
    match arguments.and_then(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("siso-image: {message}");
            ExitCode::FAILURE
        }
    }
}

fn command(mut args: Vec<String>) -> Result<(), String> {
    let name = if args.is_empty() {
        String::new()
    } else {
        args.remove(0)
    };
    let wants_help = |arg: &String| ["--help", "-h"].contains(&arg.as_str());
    if args.first().is_some_and(wants_help) {
        println!("{USAGE}");
        return Ok(());
    }
    match name.as_str() {
        "build" => {
            let build = Build::take(&mut args, no_manifest)?;
            let output = take_output(&mut args)?;
            let image = build.image(&only_kernel(&args)?)?;
            write(&output, &image.bytes)?;
            println!("{}", image.describe(&output));
            Ok(())
        }
        "run" => {
            let build = Build::take(&mut args, Manifest::of_cargo)?;
            let kernel = take_kernel(&mut args)?;
            if test::is_test(&kernel) {
                return run_test(build, &kernel, args);
            }
            let flags = [build.manifest.run_args.clone(), args, more_flags()].concat();
            let success = build.manifest.test_success_exit_code;
            build.with_image(&kernel, |image| run::run(image, &flags, success))?
        }
        "test" => {
            let build = Build::take(&mut args, Manifest::of_cargo)?;
            let kernel = take_kernel(&mut args)?;
            run_test(build, &kernel, args)
        }
        "screenshot" => {
            let build = Build::take(&mut args, no_manifest)?;
            let output = take_output(&mut args)?;
            build.with_image(&only_kernel(&args)?, |image| {
                run::screenshot(image, &output, &more_flags())
            })?
        }
        "usb" => {
            let build = Build::take(&mut args, no_manifest)?;
            let kernel = take_kernel(&mut args)?;
            usb(&build.image(&kernel)?, &only_device(&args)?)
        }
        #[cfg(feature = "new")]
        "new" => match &args[..] {
            [folder] => new::make(Path::new(folder)),
            _ => Err(format!("new needs one FOLDER\n{USAGE}")),
        },
        "loader" => write(&take_output(&mut args)?, LOADER_ELF),
        "size" => {
            size();
            Ok(())
        }
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        "--version" | "-V" => {
            println!("siso-image {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        "" => Err(format!("the command is missing\n{USAGE}")),
        _ => Err(format!("unknown command '{name}'\n{USAGE}")),
    }
}

/// The default manifest of commands that Cargo does not run.
fn no_manifest() -> Result<Manifest, String> {
    Ok(Manifest::default())
}

/// What an image is built from, besides the kernel.
struct Build {
    wx: bool,
    manifest: Manifest,
    options: Options,
}

impl Build {
    /// Removes the options from the arguments. Without `--manifest`,
    /// `default_manifest` provides the manifest.
    fn take(
        args: &mut Vec<String>,
        default_manifest: fn() -> Result<Manifest, String>,
    ) -> Result<Build, String> {
        // This must come first, because the text may look like an option.
        let command_line = take_value(args, "--command-line")?.unwrap_or_default();
        let ramdisk = match take_value(args, "--ramdisk")? {
            Some(file) => read(Path::new(&file))?,
            None => Vec::new(),
        };
        let serial = match take_value(args, "--serial")?.as_deref() {
            None | Some("auto") => Serial::Auto,
            Some("on") => Serial::On,
            Some("off") => Serial::Off,
            Some(other) => return Err(format!("--serial {other}: must be auto, on or off")),
        };
        let manifest = match take_value(args, "--manifest")? {
            Some(file) => Manifest::read(Path::new(&file))?,
            None => default_manifest()?,
        };
        let wx = args.iter().position(|arg| arg == "--wx");
        Ok(Build {
            wx: wx.map(|at| args.remove(at)).is_some(),
            manifest,
            options: Options {
                command_line,
                ramdisk,
                serial,
            },
        })
    }

    fn image(&self, kernel: &Path) -> Result<Image, String> {
        let about = |error: &dyn std::fmt::Display| format!("{}: {error}", kernel.display());
        let file = read(kernel)?;
        let kernel = Kernel::parse(&file, self.wx).map_err(|error| about(&error))?;
        Image::new(&kernel, &self.manifest, &self.options).map_err(|error| about(&error))
    }

    /// Builds a temporary image and calls `action` with its path.
    fn with_image<T>(&self, kernel: &Path, action: impl FnOnce(&Path) -> T) -> Result<T, String> {
        let image = self.image(kernel)?;
        let folder = qemu::temporary_folder().map_err(|error| error.to_string())?;
        let file = folder.join("siso_os.img");
        let result = write(&file, &image.bytes).map(|()| action(&file));
        let _ = fs::remove_dir_all(folder); // temporary, so a failure is harmless
        result
    }
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
fn run_test(mut build: Build, kernel: &Path, mut words: Vec<String>) -> Result<(), String> {
    let for_qemu = |word: &String| word.starts_with('-') && !word.starts_with("--");
    let end = words.iter().position(for_qemu).unwrap_or(words.len());
    let flags = [words.split_off(end), more_flags()].concat();
    if build.options.command_line.is_empty() {
        build.options.command_line = words.join(" ");
    }
    let limit = run::time_limit()?;
    let run = |image: &Path| test::run(image, &build.manifest, limit, &flags);
    if let Err(error) = build.with_image(kernel, run)? {
        let name = kernel.file_name().unwrap_or_default().to_string_lossy();
        eprintln!("siso-image: {name}: {error}");
        // The exit status of the standard harness: Cargo adds a note for others.
        std::process::exit(101);
    }
    Ok(())
}

/// Removes an option and its value from the arguments; returns the value.
fn take_value(args: &mut Vec<String>, option: &str) -> Result<Option<String>, String> {
    match args.iter().position(|arg| arg == option) {
        Some(at) if at + 1 < args.len() => Ok(args.drain(at..at + 2).next_back()),
        Some(_) => Err(format!("{option} needs a value\n{USAGE}")),
        None => Ok(None),
    }
}

fn take_output(args: &mut Vec<String>) -> Result<PathBuf, String> {
    let output = take_value(args, "-o")?.map(PathBuf::from);
    output.ok_or_else(|| format!("-o FILE is missing\n{USAGE}"))
}

fn take_kernel(args: &mut Vec<String>) -> Result<PathBuf, String> {
    if args.is_empty() {
        return Err(format!("KERNEL is missing\n{USAGE}"));
    }
    Ok(args.remove(0).into())
}

fn only_kernel(args: &[String]) -> Result<PathBuf, String> {
    match args {
        [kernel] => Ok(kernel.into()),
        [] => Err(format!("KERNEL is missing\n{USAGE}")),
        [_, more, ..] => Err(format!("unknown argument '{more}'\n{USAGE}")),
    }
}

fn only_device(args: &[String]) -> Result<PathBuf, String> {
    match args {
        [device] => Ok(device.into()),
        [] => Err(format!(
            "DEVICE is missing (`lsblk` lists the disks)\n{USAGE}"
        )),
        [_, more, ..] => Err(format!("unknown argument '{more}'\n{USAGE}")),
    }
}

/// More arguments for QEMU, from the environment.
fn more_flags() -> Vec<String> {
    let more = env::var("QEMU_FLAGS").unwrap_or_default();
    more.split_whitespace().map(String::from).collect()
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

fn size() {
    let stage2 = layout::STAGE2_END - layout::STAGE2_BASE;
    let code = layout::STAGE1_END - layout::STAGE1_BASE;
    println!(
        "stage 1: {code:5} bytes of code and data, {:4} free",
        layout::DISK_SIGNATURE - code
    );
    println!(
        "stage 2: {:5} bytes of code and data, {:4} free; messages take {} of them",
        layout::MESSAGES_END - layout::STAGE2_BASE,
        layout::LOADER_END - layout::MESSAGES_END,
        layout::MESSAGES_END - layout::MESSAGES_BASE,
    );
    println!(
        "on disk: {:5} bytes of at most {}",
        layout::SECTOR_BYTES + stage2,
        layout::LOADER_BYTES
    );
}
