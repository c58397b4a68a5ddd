//! The command line: its commands and options.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, value_parser};
use siso_image::crate09::Crate09;
use std::path::PathBuf;

const ENVIRONMENT: &str = "\
Environment:
  QEMU        the QEMU program [default: qemu-system-x86_64]
  QEMU_FLAGS  more arguments for QEMU
  TIMEOUT     a time limit in seconds";

/// All commands.
pub fn command() -> Command {
    let command = Command::new("siso-image")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Builds disk images that boot 64-bit ELF kernels, and runs them")
        .subcommand_required(true)
        .subcommand(
            with_options(Command::new("build").about("Build a disk image of a kernel"))
                .arg(kernel())
                .arg(output("IMAGE", "Where to write the disk image")),
        )
        .subcommand(with_flags(
            with_options(Command::new("run").about(
                "Boot a kernel in QEMU; a kernel built by `cargo test` is run as with `test`",
            )),
            "FLAGS",
            "More arguments for QEMU, in which {} is the image",
        ))
        .subcommand(with_flags(
            with_options(Command::new("test").about("Boot a self-testing kernel")),
            "ARGUMENTS",
            "The kernel's command line, then more arguments for QEMU; those begin with a \
             single dash",
        ))
        .subcommand(
            with_options(Command::new("screenshot").about("Boot a kernel, save a screenshot"))
                .arg(kernel())
                .arg(output("PNG", "Where to write the screenshot"))
                .after_help(ENVIRONMENT),
        )
        .subcommand(
            with_options(
                Command::new("usb")
                    .about("Write a bootable USB stick; ask before it is erased (Linux only)"),
            )
            .arg(kernel())
            .arg(
                path("device")
                    .value_name("DEVICE")
                    .required(true)
                    .help("The whole disk, such as /dev/sdb; `lsblk` lists the disks"),
            ),
        )
        .subcommand(
            Command::new("loader")
                .about("Write the loader's ELF file, with symbols, for a debugger")
                .arg(output("FILE", "Where to write the ELF file")),
        )
        .subcommand(Command::new("size").about("Show used and free bytes in both stages"))
        .subcommand(
            Command::new("adopt")
                .about(
                    "Make this the runner of a kernel for the bootloader crate 0.9; shows the \
                     change first",
                )
                .arg(
                    path("folder")
                        .value_name("FOLDER")
                        .default_value(".")
                        .help("The folder of the kernel's Cargo.toml"),
                )
                .arg(
                    Arg::new("mend")
                        .long("mend")
                        .action(ArgAction::SetTrue)
                        .help("Mend what is known to be wrong with the target's JSON file, too"),
                )
                .arg(
                    Arg::new("yes")
                        .long("yes")
                        .action(ArgAction::SetTrue)
                        .help("Do not ask before the files are changed"),
                ),
        )
        .subcommand(
            Command::new("completions")
                .about("Print completions for a shell")
                .arg(
                    Arg::new("shell")
                        .value_name("SHELL")
                        .required(true)
                        .value_parser(value_parser!(clap_complete::Shell)),
                ),
        );
    #[cfg(feature = "tour")]
    let command = command.subcommand(with_flags(
        with_options(Command::new("why").about("Boot a kernel that dies, and say why it does"))
            .arg(
                path("image")
                    .long("image")
                    .value_name("IMAGE")
                    .help("Boot this disk image, which has the kernel, instead of a new one"),
            ),
        "FLAGS",
        "More arguments for QEMU",
    ));
    #[cfg(feature = "tour")]
    let command = command.subcommand(
        with_options(
            Command::new("tour").about("Record a boot, and make a page that shows each step of it"),
        )
        .arg(kernel())
        .arg(output("FOLDER", "Where to write the files of the tour"))
        .arg(Arg::new("bios").long("bios").value_name("SETTING").help(
            "Boot with a BIOS that misbehaves: a setting of tests/firmware/bad_bios.s, such \
             as a20_closed or sectors_max=1",
        ))
        .after_help(ENVIRONMENT),
    );
    #[cfg(feature = "new")]
    let command = command.subcommand(
        Command::new("new").about("Create a new kernel").arg(
            path("folder")
                .value_name("FOLDER")
                .required(true)
                .help("Its folder; the last part is the kernel's name"),
        ),
    );
    command
}

fn path(name: &'static str) -> Arg {
    Arg::new(name).value_parser(value_parser!(PathBuf))
}

fn kernel() -> Arg {
    path("kernel")
        .value_name("KERNEL")
        .required(true)
        .help("The kernel's ELF file")
}

fn output(value_name: &'static str, help: &'static str) -> Arg {
    path("output")
        .short('o')
        .value_name(value_name)
        .required(true)
        .help(help)
}

/// Adds what an image is built from, besides the kernel.
fn with_options(command: Command) -> Command {
    command
        .arg(
            Arg::new("wx")
                .long("wx")
                .action(ArgAction::SetTrue)
                .help("Allow pages that are both writable and executable"),
        )
        .arg(
            Arg::new("command-line")
                .long("command-line")
                .value_name("TEXT")
                .allow_hyphen_values(true)
                .help("Pass a command line to the kernel"),
        )
        .arg(
            path("ramdisk")
                .long("ramdisk")
                .value_name("FILE")
                .help("Pass a file to the kernel"),
        )
        .arg(
            Arg::new("serial")
                .long("serial")
                .value_name("MODE")
                .default_value("auto")
                .value_parser(PossibleValuesParser::new(["auto", "on", "off"]))
                .help(
                    "Whether the loader uses the serial line; auto: unless the BIOS \
                     mirrors the screen there",
                ),
        )
        .arg(
            Arg::new("quiet")
                .long("quiet")
                .action(ArgAction::SetTrue)
                .help("Let the loader show errors only; in a test, it always does"),
        )
        .arg(
            Arg::new("bootloader-features")
                .long("bootloader-features")
                .value_name("LIST")
                .value_parser(Crate09::parse)
                .help(
                    "Boot the kernel as one of the bootloader crate 0.9 with these of its \
                     features, separated by commas; the manifest says so, too",
                ),
        )
        .arg(path("manifest").long("manifest").value_name("FILE").help(
            "Read the tables bootloader, bootimage and siso-image of [package.metadata] from \
             this Cargo.toml",
        ))
}

/// Adds the kernel and all arguments after it. A short help option would claim
/// QEMU's arguments that begin with an h.
fn with_flags(command: Command, value_name: &'static str, help: &'static str) -> Command {
    command
        .disable_help_flag(true)
        .arg(
            Arg::new("help")
                .long("help")
                .action(ArgAction::Help)
                .help("Print help"),
        )
        .arg(kernel())
        .arg(
            Arg::new("flags")
                .value_name(value_name)
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .help(help),
        )
        .after_help(ENVIRONMENT)
}
