//! The command line.

use siso_image::elf::Kernel;
use siso_image::image::{Image, Options};
use siso_image::manifest::Manifest;
use siso_image::{LOADER_ELF, layout, new, output, qemu, run, test};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

const USAGE: &str = "\
usage: siso-image build KERNEL -o IMAGE    make a disk image of a kernel
       siso-image run KERNEL [FLAGS]       boot a kernel in QEMU; what `cargo test`
                                           has built is run as `test` does it
       siso-image test KERNEL [WORDS] [FLAGS]
                                           boot a kernel that tests itself; WORDS
                                           are its command line
       siso-image picture KERNEL -o PNG    boot it, take a picture of the screen
       siso-image usb KERNEL DEVICE        write a bootable stick: asks first, then
                                           erases it (on Linux)
       siso-image new FOLDER               make a new kernel to begin with
       siso-image loader -o FILE           write the loader's ELF file, with its
                                           symbols, for a debugger
       siso-image size                     bytes used and free in both stages

  --wx                 allow pages that are writable and executable
  --command-line TEXT  give the kernel a text
  --ramdisk FILE       give the kernel a file
  --manifest FILE      do what this Cargo.toml asks for in its tables
                       [package.metadata.bootloader] and .bootimage
  FLAGS                more arguments for QEMU; also $QEMU_FLAGS; $QEMU names
                       another QEMU, $TIMEOUT a time limit in seconds";

/// The loader takes no more of anything.
const FILE_BYTES_MAX: u64 = 1 << 31;

fn main() -> ExitCode {
    let text = |argument: OsString| {
        let shown = argument.to_string_lossy().into_owned();
        argument
            .into_string()
            .map_err(|_| format!("{shown}: the name is not UTF-8"))
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
            let options = ImageOptions::take(&mut args, no_manifest)?;
            let output = take_output(&mut args)?;
            let image = options.image(&only_kernel(&args)?)?;
            write(&output, &image.bytes)?;
            println!("{}", image.describe(&output));
            Ok(())
        }
        "run" => {
            let options = ImageOptions::take(&mut args, Manifest::of_cargo)?;
            let kernel = take_kernel(&mut args)?;
            if test::is_test(&kernel) {
                return run_test(options, &kernel, args);
            }
            let flags = [options.manifest.run_args.clone(), args, more_flags()].concat();
            let success = options.manifest.test_success_exit_code;
            options.with_image(&kernel, |image| run::run(image, &flags, success))?
        }
        "test" => {
            let options = ImageOptions::take(&mut args, Manifest::of_cargo)?;
            let kernel = take_kernel(&mut args)?;
            run_test(options, &kernel, args)
        }
        "picture" => {
            let options = ImageOptions::take(&mut args, no_manifest)?;
            let output = take_output(&mut args)?;
            options.with_image(&only_kernel(&args)?, |image| {
                run::picture(image, &output, &more_flags())
            })?
        }
        "usb" => {
            let options = ImageOptions::take(&mut args, no_manifest)?;
            let kernel = take_kernel(&mut args)?;
            usb(&options.image(&kernel)?, &only_device(&args)?)
        }
        "new" => match &args[..] {
            [folder] => new::make(Path::new(folder)),
            _ => Err(format!("which FOLDER?\n{USAGE}")),
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
        _ => Err(format!("unknown command '{name}'\n{USAGE}")),
    }
}

/// Cargo runs kernels; what else is done with them is done by hand.
fn no_manifest() -> Result<Manifest, String> {
    Ok(Manifest::default())
}

/// What an image is made of, besides the kernel.
struct ImageOptions {
    wx: bool,
    manifest: Manifest,
    packages: Options,
}

impl ImageOptions {
    /// Takes the options out of the arguments; where they name no manifest,
    /// `usual` finds one.
    fn take(
        args: &mut Vec<String>,
        usual: fn() -> Result<Manifest, String>,
    ) -> Result<ImageOptions, String> {
        // First of all, as this text may look like an option.
        let command_line = take_value(args, "--command-line")?.unwrap_or_default();
        let ramdisk = match take_value(args, "--ramdisk")? {
            Some(file) => read(Path::new(&file))?,
            None => Vec::new(),
        };
        let manifest = match take_value(args, "--manifest")? {
            Some(file) => Manifest::read(Path::new(&file))?,
            None => usual()?,
        };
        let wx = args.iter().position(|arg| arg == "--wx");
        Ok(ImageOptions {
            wx: wx.map(|at| args.remove(at)).is_some(),
            manifest,
            packages: Options {
                command_line,
                ramdisk,
            },
        })
    }

    fn image(&self, kernel: &Path) -> Result<Image, String> {
        let about = |error: &dyn std::fmt::Display| format!("{}: {error}", kernel.display());
        let file = read(kernel)?;
        let kernel = Kernel::parse(&file, self.wx).map_err(|error| about(&error))?;
        Image::new(&kernel, &self.manifest, &self.packages).map_err(|error| about(&error))
    }

    /// Makes an image for a while; returns what came of it then.
    fn with_image<T>(&self, kernel: &Path, then: impl FnOnce(&Path) -> T) -> Result<T, String> {
        let image = self.image(kernel)?;
        let folder = qemu::temporary_folder().map_err(|error| error.to_string())?;
        let file = folder.join("siso_os.img");
        let done = write(&file, &image.bytes).map(|()| then(&file));
        let _ = fs::remove_dir_all(folder); // in the folder for such things
        done
    }
}

/// Reads a whole file; devices may have no end.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let there = fs::metadata(path).map_err(|error| about(&error))?;
    if !there.is_file() {
        return Err(about(&"is no file"));
    }
    if there.len() > FILE_BYTES_MAX {
        return Err(about(&"is larger than 2 GiB"));
    }
    fs::read(path).map_err(|error| about(&error))
}

/// Boots a kernel that tests itself. Words up to the first that begins with one
/// dash are its command line, unless it has one already; the rest is for QEMU.
fn run_test(mut options: ImageOptions, kernel: &Path, mut words: Vec<String>) -> Result<(), String> {
    let for_qemu = |word: &String| word.starts_with('-') && !word.starts_with("--");
    let end = words.iter().position(for_qemu).unwrap_or(words.len());
    let flags = [words.split_off(end), more_flags()].concat();
    if options.packages.command_line.is_empty() {
        options.packages.command_line = words.join(" ");
    }
    let limit = run::time_limit()?;
    let run = |image: &Path| test::run(image, &options.manifest, limit, &flags);
    if let Err(error) = options.with_image(kernel, run)? {
        let name = kernel.file_name().unwrap_or_default().to_string_lossy();
        eprintln!("siso-image: {name}: {error}");
        // The exit status of Cargo's own harness: others make Cargo wonder.
        std::process::exit(101);
    }
    Ok(())
}

/// Takes an option with a value out of the arguments.
fn take_value(args: &mut Vec<String>, option: &str) -> Result<Option<String>, String> {
    match args.iter().position(|arg| arg == option) {
        Some(at) if at + 1 < args.len() => Ok(args.drain(at..at + 2).next_back()),
        Some(_) => Err(format!("{option} wants a value\n{USAGE}")),
        None => Ok(None),
    }
}

fn take_output(args: &mut Vec<String>) -> Result<PathBuf, String> {
    let output = take_value(args, "-o")?.map(PathBuf::from);
    output.ok_or_else(|| format!("where to? -o FILE is missing\n{USAGE}"))
}

fn take_kernel(args: &mut Vec<String>) -> Result<PathBuf, String> {
    if args.is_empty() {
        return Err(format!("which kernel?\n{USAGE}"));
    }
    Ok(args.remove(0).into())
}

fn only_kernel(args: &[String]) -> Result<PathBuf, String> {
    match args {
        [kernel] => Ok(kernel.into()),
        [] => Err(format!("which kernel?\n{USAGE}")),
        [_, more, ..] => Err(format!("unknown argument '{more}'\n{USAGE}")),
    }
}

fn only_device(args: &[String]) -> Result<PathBuf, String> {
    match args {
        [device] => Ok(device.into()),
        [] => Err(format!("which DEVICE? `lsblk` lists the disks\n{USAGE}")),
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
        "usb works on Linux only; elsewhere make an IMAGE, then: dd if=IMAGE of={} bs=1048576",
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
        "stage 2: {:5} bytes of code and data, {:4} free; {} of them messages",
        layout::MESSAGES_END - layout::STAGE2_BASE,
        layout::LOADER_END - layout::MESSAGES_END,
        layout::MESSAGES_END - layout::MESSAGES_BASE,
    );
    println!(
        "on disk: {:5} bytes, of at most {}",
        layout::SECTOR_BYTES + stage2,
        layout::LOADER_BYTES
    );
}
