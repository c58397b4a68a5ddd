//! The command line.

use siso_image::elf::Kernel;
use siso_image::image::Image;
use siso_image::{LOADER_ELF, layout, output, qemu, run};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

const USAGE: &str = "\
usage: siso-image build KERNEL -o IMAGE    make a disk image of a kernel
       siso-image run KERNEL [FLAGS]       boot a kernel in QEMU
       siso-image picture KERNEL -o PNG    boot it, take a picture of the screen
       siso-image usb KERNEL DEVICE        write a bootable stick: asks first, then
                                           erases it (on Linux)
       siso-image loader -o FILE           write the loader's ELF file, with its
                                           symbols, for a debugger
       siso-image size                     bytes used and free in both stages

  --wx   (build, run, picture, usb) allow pages that are writable and executable
  FLAGS  more arguments for QEMU; also $QEMU_FLAGS; $QEMU names another QEMU";

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
    let wx = take_flag(&mut args, "--wx");
    match name.as_str() {
        "build" => {
            let output = take_output(&mut args)?;
            let image = image(&only_kernel(&args)?, wx)?;
            write(&output, &image.bytes)?;
            println!("{}", image.describe(&output));
            Ok(())
        }
        "run" => {
            let kernel = take_kernel(&mut args)?;
            with_image(&kernel, wx, |image| run::run(image, &flags(args)))
        }
        "picture" => {
            let output = take_output(&mut args)?;
            with_image(&only_kernel(&args)?, wx, |image| {
                run::picture(image, &output, &flags(vec![]))
            })
        }
        "usb" => {
            let kernel = take_kernel(&mut args)?;
            usb(&image(&kernel, wx)?, &only_device(&args)?)
        }
        "loader" => write(&take_output(&mut args)?, LOADER_ELF),
        "size" => {
            size();
            Ok(())
        }
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("unknown command '{name}'\n{USAGE}")),
    }
}

fn take_flag(args: &mut Vec<String>, flag: &str) -> bool {
    let found = args.iter().position(|arg| arg == flag);
    found.map(|at| args.remove(at)).is_some()
}

fn take_output(args: &mut Vec<String>) -> Result<PathBuf, String> {
    match args.iter().position(|arg| arg == "-o") {
        Some(at) if at + 1 < args.len() => {
            Ok(args.drain(at..at + 2).next_back().into_iter().collect())
        }
        _ => Err(format!("where to? -o FILE is missing\n{USAGE}")),
    }
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

/// Those of the command line, then those of the environment.
fn flags(mut args: Vec<String>) -> Vec<String> {
    let more = env::var("QEMU_FLAGS").unwrap_or_default();
    args.extend(more.split_whitespace().map(String::from));
    args
}

fn image(kernel: &Path, wx: bool) -> Result<Image, String> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", kernel.display());
    let file = fs::read(kernel).map_err(|error| about(&error))?;
    let kernel = Kernel::parse(&file, wx).map_err(|error| about(&error))?;
    Ok(Image::new(&kernel))
}

/// Makes an image for a while.
fn with_image(
    kernel: &Path,
    wx: bool,
    then: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<(), String> {
    let image = image(kernel, wx)?;
    let folder = qemu::temporary_folder().map_err(|error| error.to_string())?;
    let file = folder.join("siso_os.img");
    let done = write(&file, &image.bytes).and_then(|()| then(&file));
    let _ = fs::remove_dir_all(folder); // in the folder for such things
    done
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
