//! What only GDB can do: it changes a register where the loader looks at it, for CPUs
//! that no emulator has, it stops one where it seldom is when the runner looks, and it
//! sees which way a conditional move goes.

use crate::common::bad_bios::BadBios;
use crate::common::{Disk, EXIT, Folder, LONG, PASSED, assert_shows, kernel_that_resets, row, top};
use crate::header::with_a_long_table;
use siso_image::elf::Kernel;
use siso_image::image::{Image, Options};
use siso_image::layout::{CHUNK_SECTORS, CPU_CHECK, FOUR_GIB, ONE_MIB, STAGE1_BASE};
use siso_image::manifest::Manifest;
use siso_image::qemu::{EFER_LMA, Failure, Machine};
use siso_image::recorder::stub::{self, Stub};
use siso_image::recorder::symbols::Symbols;
use siso_image::{LOADER, LOADER_ELF};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The first instruction with these bytes at or after an address of the loader.
fn instruction(from: u64, bytes: &[u8]) -> u64 {
    let code = &LOADER[(from - STAGE1_BASE) as usize..];
    let at = code.windows(bytes.len()).position(|window| window == bytes);
    from + at.expect("the loader has this instruction") as u64
}

/// The arguments with which QEMU waits for GDB, whose socket is in the folder.
fn server(folder: &Folder) -> [String; 5] {
    let socket = folder.0.join("gdb");
    let server = format!("socket,path={},server=on,wait=off,id=gdb", socket.display());
    ["-S", "-chardev", &server, "-gdb", "chardev:gdb"].map(String::from)
}

/// Runs the machine to an address of the loader, executes a GDB command there, and
/// lets it go on.
fn change(folder: &Folder, address: u64, command: &str) {
    let output = Command::new("timeout")
        .args(["120", "gdb", "-nx", "-q", "-batch"])
        .args(["-ex", "set architecture i386:x86-64"])
        .args([
            "-ex",
            &format!("target remote {}", folder.0.join("gdb").display()),
        ])
        .args(["-ex", &format!("hbreak *{address:#x}"), "-ex", "continue"])
        .args(["-ex", command, "-ex", "delete", "-ex", "detach"])
        .output()
        .expect("GDB starts; `make doctor` shows how to install it");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Breakpoint 1, "), "{said}");
    assert!(output.status.success(), "{said}");
}

fn boot(disk: &Disk, arguments: &[String]) -> Machine {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    disk.boot(&arguments)
}

/// Boots a disk, up to the boot sector's first instruction.
fn at_the_boot_sector(disk: &Disk) -> (Machine, Stub) {
    let folder = Folder::new();
    let socket = folder.0.join("stub");
    let arguments = stub::arguments(&socket);
    let machine = disk.boot(&arguments.each_ref().map(String::as_str));
    let mut stub = Stub::connect(&socket).expect("the stub answers");
    let reached = stub.run_to_boot_sector(&machine, 1);
    reached.expect("the boot sector starts");
    (machine, stub)
}

/// For an instruction, the CPU executes 32-bit code in long mode. A runner that looks just
/// then sees a kernel that has not halted.
#[test]
fn long_mode_with_32_bit_code() {
    let disk = Disk::of("release/siso_os");
    let (mut machine, mut stub) = at_the_boot_sector(&disk);
    let loader = Symbols::read(LOADER_ELF).expect("it is an ELF file");
    let enter_long = loader.address("enter_long").expect("the loader has it");
    stub.set_breakpoint(enter_long).expect("it can be set");
    stub.go_on().expect("the machine runs");
    while machine.register("EFER").expect("QEMU shows it") & EFER_LMA == 0 {
        stub.step().expect("the machine can be stepped");
    }
    assert!(machine.register("RIP").is_err(), "this is 64-bit code");
    let seen = machine.wait_for_halt(Duration::from_secs(1));
    let expected = matches!(
        seen,
        Err(Failure::NotHalted {
            long_mode: true,
            ..
        })
    );
    assert!(expected, "{:?}", seen.err());
}

/// So the tour's second boot goes on with what a device answered in the first one.
#[test]
fn a_register_is_set() {
    const ANSWER: u64 = 0x1234_5678;
    let disk = Disk::of("release/siso_os");
    let (_machine, mut stub) = at_the_boot_sector(&disk);
    stub.set_rax(ANSWER).expect("RAX can be set");
    let registers = stub.registers().expect("the stub sends them");
    assert_eq!(registers.general[0], ANSWER);
}

/// Where EFLAGS.ID stays 0 whatever POPF loads, there is no CPUID.
#[test]
fn a_cpu_without_cpuid() {
    let (disk, folder) = (Disk::of("release/siso_os"), Folder::new());
    let mut machine = boot(&disk, &server(&folder));
    let popf = instruction(CPU_CHECK, &[0x66, 0x9d]);
    change(&folder, popf + 2, "set $eflags = $eflags & ~0x200000");
    let sentence = "E4 this CPU has no 64-bit mode";
    assert_shows(&mut machine, sentence);
    row("a CPU without CPUID", sentence, sentence, "QEMU");
}

/// A firmware setup that switched NX off: the BIOS has set bit 34 of MISC_ENABLE,
/// and CPUID reports no NX before the loader clears it.
#[test]
fn nx_switched_off_by_the_firmware() {
    let (disk, folder) = (Disk::of("contract"), Folder::new());
    let bios = BadBios::new(&[("nx_off", 1)]);
    let server = server(&folder);
    let server: Vec<&str> = server.iter().map(String::as_str).collect();
    let arguments = [&EXIT[..], &["-cpu", "Nehalem"], &server].concat();
    let (mut machine, _bios) = bios.boot(&disk, &folder, &arguments);
    let test_lm = instruction(CPU_CHECK, &[0x66, 0xf7, 0xc2, 0, 0, 0, 0x20]); // test %edx
    change(&folder, test_lm, "set $edx = $edx & ~(1 << 20)");
    let status = machine.wait_for_end(LONG).expect("QEMU can be waited for");
    assert_eq!(status, Some(PASSED), "{}", machine.serial());
    let report = fs::read_to_string(folder.0.join("report")).unwrap_or_default();
    assert_eq!(report, "NX on\n");
    row("NX switched off in MISC_ENABLE", "on", "on", "QEMU");
}

/// A conditional move: its file, its line, and whether it moves with these EFLAGS.
type Move = (String, usize, fn(u64) -> bool);

/// The conditional moves in the loader's sources.
fn conditional_moves() -> Vec<Move> {
    const CF: u64 = 1 << 0;
    const ZF: u64 = 1 << 6;
    let mut moves = Vec::new();
    for file in fs::read_dir(top().join("boot")).expect("boot/ can be read") {
        let path = file.expect("it has a name").path();
        let name = path.file_name().expect("it is a file").to_string_lossy();
        let text = fs::read_to_string(&path).expect("sources are text");
        for (line, code) in (1..).zip(text.lines()) {
            let Some(word) = code
                .split_whitespace()
                .find(|word| word.starts_with("cmov"))
            else {
                continue;
            };
            let moves_if: fn(u64) -> bool = match word {
                "cmovb" => |flags| flags & CF != 0,
                "cmova" => |flags| flags & (CF | ZF) == 0,
                _ => panic!("{name}:{line}: add {word} here"),
            };
            moves.push((name.to_string(), line, moves_if));
        }
    }
    moves
}

/// How often a boot stops at a conditional move: the first times are the different ones.
const STOPS: u32 = 50;

/// Boots an image with this BIOS, up to a kernel that resets the machine, and stops
/// at each conditional move. Returns a line for each stop: `at FILE:LINE EFLAGS`.
fn stops(bios: &BadBios, image: &[u8], moves: &[Move]) -> String {
    let folder = Folder::new();
    let server = server(&folder);
    let server: Vec<&str> = server.iter().map(String::as_str).collect();
    let (mut machine, _bios) = bios.boot(&Disk::new(image), &folder, &server);
    let mut script = format!("target remote {}\n", folder.0.join("gdb").display());
    for (file, line, _) in moves {
        script += &format!("hbreak {file}:{line}\nenable count {STOPS} $bpnum\n");
        script += "commands\nsilent\n";
        script += &format!("printf \"at {file}:{line} %d\\n\", $eflags\ncontinue\nend\n");
    }
    script += "continue\n";
    let (loader, commands) = (folder.0.join("loader.elf"), folder.0.join("commands"));
    fs::write(&loader, LOADER_ELF).expect("a file can be written");
    fs::write(&commands, script).expect("a file can be written");
    let output = Command::new("timeout")
        .args(["300", "gdb", "-nx", "-q", "-batch", "-x"])
        .args([&commands, &loader])
        .output()
        .expect("GDB starts; `make doctor` shows how to install it");
    let status = machine.wait_for_end(LONG).expect("QEMU can be waited for");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(status, Some(0), "{}{errors}", machine.serial());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Each conditional move of the loader is seen to move, and not to.
#[test]
fn conditional_moves_go_both_ways() {
    const TIB: u64 = 1 << 40;
    let kernel = kernel_that_resets(&[(5, 0x20_0000, 0x20_0000, 0x400)]);
    let kernel = Kernel::parse(&kernel, false).expect("the kernel is valid");
    let options = Options {
        ramdisk: vec![0x55; 100_000],
        ..Options::default()
    };
    let image = Image::new(&kernel, &Manifest::default(), &options);
    let image = image.expect("there is room for all").bytes;
    let mut bios = BadBios::new(&[]);
    bios.set_memory_map(&[
        (0, 0x9_0000, 1, 1),
        (ONE_MIB, 126 * ONE_MIB, 1, 1),
        (FOUR_GIB, FOUR_GIB, 1, 1),
        (3 * TIB, 2 * TIB, 1, 1),
        (6 * TIB, TIB, 1, 1),
    ]);
    let moves = conditional_moves();
    assert!(!moves.is_empty());
    let long = with_a_long_table(image.clone(), CHUNK_SECTORS);
    let said = stops(&bios, &image, &moves) + &stops(&bios, &long, &moves);
    for (file, line, moves_if) in moves {
        let flags = said.lines().filter_map(|text| {
            let flags = text.strip_prefix(&format!("at {file}:{line} "))?;
            flags.parse::<u64>().ok()
        });
        let (moved, kept): (Vec<u64>, Vec<u64>) = flags.partition(|flags| moves_if(*flags));
        assert!(!moved.is_empty(), "{file}:{line} never moves: {said}");
        assert!(!kept.is_empty(), "{file}:{line} always moves: {said}");
    }
}
