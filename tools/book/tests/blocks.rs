//! Every command that the book shows has been run.
//!
//! A shell block says how it is checked: ` ```sh run ` is run here, from the top of the
//! tree, and must succeed; ` ```sh fails ` must fail; ` ```sh by=FILE::TEST ` is what a
//! test of the image builder's suite does. A ` ```gdb run ` block is what one types into
//! `make gdb`. If a ` ```text output ` block follows, its lines must come in this order;
//! `...` stands for anything.

mod common;

use common::{missing, values};
use siso_book::chapters::{self, Block};
use siso_book::{tools, top};
use siso_image::LOADER_ELF;
use siso_image::qemu::{self, Machine};
use std::fs;
use std::process::{Command, Stdio};

#[test]
fn every_command_does_what_the_book_says() {
    let values = values();
    let (mut checked, mut wrong) = (0, Vec::new());
    for page in chapters::all().expect("the pages can be read") {
        let blocks = page.blocks();
        for (n, block) in blocks.iter().enumerate() {
            let place = format!("{}:{}", page.file, block.line);
            let output = blocks.get(n + 1).filter(|next| next.has("output"));
            // What another test runs, that test checks.
            let output = output.filter(|_| block.option("by").is_none());
            let text = values.fill(&block.text).expect("its figures are known");
            let result = match block.info.first().map(String::as_str) {
                Some("sh") if page.is_chapter() => shell(block, &text),
                Some("gdb") => gdb(&text),
                _ => continue,
            };
            checked += 1;
            let wanted = output.map(|output| values.fill(&output.text).expect("known"));
            let complaint = match result {
                Ok(said) => wanted.and_then(|wanted| missing(&wanted, &said)),
                Err(complaint) => Some(complaint),
            };
            wrong.extend(complaint.map(|complaint| format!("{place}: {complaint}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(checked >= 20, "only {checked} blocks");
}

fn shell(block: &Block, text: &str) -> Result<String, String> {
    if let Some(test) = block.option("by") {
        return suite_has(test).map(|()| String::new());
    }
    if !block.has("run") && !block.has("fails") {
        return Err("the block does not say how it is checked".into());
    }
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new("timeout")
        .args(["540", "sh", "-e", "-c", text])
        .current_dir(top())
        .env("PATH", path)
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("MAKEFLAGS")
        .stdin(Stdio::null())
        .output()
        .expect("a shell starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    match output.status.success() == block.has("run") {
        true => Ok(said),
        false => Err(format!("{}\n{said}", output.status)),
    }
}

/// A test of the image builder's suite exists.
fn suite_has(test: &str) -> Result<(), String> {
    let (file, name) = test.split_once("::").ok_or("by=FILE::TEST")?;
    let text = siso_book::read(format!("tools/tests/suite/{file}.rs"))?;
    let is_there =
        text.contains(&format!("#[test]\nfn {name}()")) || text.contains(&format!("fn {name}()"));
    is_there
        .then_some(())
        .ok_or_else(|| format!("there is no test {test}"))
}

/// Types commands into GDB, as `make gdb` starts it; the machine has not begun.
fn gdb(commands: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (loader, socket, script, image) = (
        folder.path().join("loader.elf"),
        folder.path().join("gdb"),
        folder.path().join("commands"),
        folder.path().join("siso_os.img"),
    );
    let kernel = top().join("target/kernels/dev/siso_os");
    fs::write(&loader, LOADER_ELF).expect("a file can be written");
    fs::write(&image, siso_book::image_of(&kernel)?.bytes).expect("a file can be written");
    let settings = format!(
        "set pagination off\nadd-symbol-file {}\ntarget remote {}\n{commands}echo all commands done\\n\n",
        loader.display(),
        socket.display()
    );
    fs::write(&script, settings).expect("a file can be written");
    let server = format!("socket,path={},server=on,wait=off,id=gdb", socket.display());
    let disk = qemu::disk(&image);
    let mut arguments: Vec<&str> = disk.iter().map(String::as_str).collect();
    arguments.extend(["-S", "-chardev", &server, "-gdb", "chardev:gdb"]);
    let _machine = Machine::start(&arguments).expect("QEMU starts");
    let output = Command::new("timeout")
        .args(["120", "gdb", "-nx", "-q", "-batch", "-x"])
        .arg(top().join("tools/gdb/siso.py"))
        .args(["-x", tools::path(&script)])
        .arg(&kernel)
        .stdin(Stdio::null())
        .output()
        .expect("GDB starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    // After the last one, GDB and QEMU may end in any order.
    match said.contains("all commands done") {
        true => Ok(said),
        false => Err(said),
    }
}

#[test]
fn missing_output_is_found() {
    assert_eq!(missing("a ... c\n...\nd\n", "x\nab c\ny\nd e\n"), None);
    assert!(missing("a\nb\n", "b\na\n").is_some());
    assert!(missing("a...b\n", "ba\n").is_some());
}
