//! GDB follows the CPU through all modes.

use crate::common::{Disk, Folder, kernel, top};
use siso_image::LOADER_ELF;
use std::fs;
use std::process::Command;

#[test]
fn steps_through_three_modes_with_source_lines() {
    let folder = Folder::new();
    let loader = folder.0.join("loader.elf");
    fs::write(&loader, LOADER_ELF).expect("a file can be written");
    let socket = folder.0.join("gdb");
    let disk = Disk::of("dev/siso_os");
    let server = format!("socket,path={},server=on,wait=off,id=gdb", socket.display());
    let _machine = disk.boot(&["-S", "-chardev", &server, "-gdb", "chardev:gdb"]);
    let output = Command::new("timeout")
        .args(["120", "gdb", "-nx", "-q", "-batch"])
        .arg(kernel("dev/siso_os"))
        .args([
            "-ex",
            &format!("add-symbol-file {}", loader.display()),
            "-x",
        ])
        .arg(top().join("tools/gdb/test.py"))
        .env("SISO_GDB", &socket)
        .env("SISO_GDB_SECONDS", "60")
        .output()
        .expect("GDB starts; `make doctor` shows how to install it");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for location in [
        "16-bit real mode: boot/",
        "32-bit protected mode: boot/",
        "64-bit long mode: boot/",
    ] {
        assert!(said.contains(location), "no '{location}': {said}");
    }
}

/// GDB finds the symbols of a relocated kernel.
#[test]
fn finds_the_symbols_of_a_relocated_kernel() {
    let folder = Folder::new();
    let socket = folder.0.join("gdb");
    let disk = Disk::of("pie");
    let server = format!("socket,path={},server=on,wait=off,id=gdb", socket.display());
    let _machine = disk.boot(&["-S", "-chardev", &server, "-gdb", "chardev:gdb"]);
    let output = Command::new("timeout")
        .args(["60", "gdb", "-nx", "-q", "-batch"])
        .arg(kernel("pie"))
        .arg("-x")
        .arg(top().join("tools/gdb/siso.py"))
        .args(["-ex", &format!("target remote {}", socket.display())])
        .args(["-ex", "hbreak _start", "-ex", "continue", "-ex", "kill"])
        .output()
        .expect("GDB starts; `make doctor` shows how to install it");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Breakpoint 1, "), "{said}");
    assert!(said.contains(" in _start ()"), "{said}");
    assert!(said.contains("64-bit long mode"), "{said}");
}
